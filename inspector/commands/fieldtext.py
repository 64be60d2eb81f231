"""Values of fields as text, as `tshark -T fields` writes them: many frames at once.

Several values of one frame are joined by commas, a field that is not there is empty. What tshark writes in
hexadecimal is so here; fields of the ring and of the net header, which it does not have, come by their names
(`sent`, `to_device`, `tcpv4`) where they have any. Times and time spans are seconds with nine digits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import Any

import numpy as np

from capture.batch import Batch
from capture.fieldtable import FIELDS, FieldInfo, Kind

#: Fields that tshark writes in hexadecimal, with their digits.
_HEX = {
    "eth.type": 4, "vlan.etype": 4, "arp.proto.type": 4, "ip.id": 4, "ip.dsfield": 2, "ip.flags": 2,
    "ip.checksum": 4, "ipv6.tclass": 8, "ipv6.flow": 6, "ipv6.fraghdr.ident": 8, "icmp.checksum": 4,
    "icmpv6.checksum": 4, "icmpv6.echo.identifier": 4, "tcp.flags": 4, "tcp.checksum": 4, "udp.checksum": 4,
    "dns.id": 4, "dns.flags": 4, "dns.qry.class": 4, "gre.proto": 4,
}  # fmt: skip


def texts(batch: Batch, name: str) -> list[str]:
    """The values of a field, one of `FIELDS`, for each frame of a batch."""
    info = FIELDS[name]
    column = batch.column(name)
    if info.parts:  # of any of them, in the order in which they stand in the frame
        column = column.take(np.lexsort((batch.spans(name).values, column.frames)))
    made = [""] * batch.size
    show = _shown(info)
    if info.kind is Kind.PROTOCOL:
        for frame in set(column.frames.tolist()):
            made[frame] = name
        return made
    if column.stops is not None:
        data = batch.block.data
        spans = zip(column.values.tolist(), column.stops.tolist(), strict=True)
        said = [bytes(data[start:stop]).hex() for start, stop in spans]
    else:
        said = [show(value) for value in column.values.tolist()]
    for frame, text in zip(column.frames.tolist(), said, strict=True):
        made[frame] = f"{made[frame]},{text}" if made[frame] else text
    return made


def _shown(info: FieldInfo) -> Callable[[Any], str]:
    match info.kind:
        case Kind.IPV4:
            return lambda value: inet_ntoa(value.to_bytes(4))
        case Kind.IPV6:
            return lambda value: inet_ntop(AF_INET6, value.ljust(16, b"\0"))
        case Kind.MAC:
            return lambda value: value.to_bytes(6).hex(":")
        case Kind.TIME if info.name == "frame.time":
            return _moment
        case Kind.TIME | Kind.DURATION:
            return _seconds
    if info.name in _HEX:
        return lambda value: f"0x{value:0{_HEX[info.name]}x}"
    if info.kind is Kind.NUMBER and ("." not in info.name or info.name.startswith("vnet.")):
        words = {value: word for word, value in info.names.items()}
        return lambda value: words.get(value, str(value))
    return str


def _moment(value: int) -> str:
    when = datetime.fromtimestamp(value // 1_000_000_000, UTC)
    return f"{when:%b} {when.day:2}, {when:%Y %H:%M:%S}.{value % 1_000_000_000:09d} UTC"


def _seconds(value: int) -> str:
    sign, value = ("-", -value) if value < 0 else ("", value)
    return f"{sign}{value // 1_000_000_000}.{value % 1_000_000_000:09d}"
