"""Connections: TCP and SCTP."""

from __future__ import annotations

import struct
from functools import lru_cache

from capture.columns.row import Short
from capture.columns.talk import stream


def tcp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "TCP"
    source, target = struct.unpack_from("!HH", b, at)
    row[3] = f"{source} \u2192 {target}"
    seq, ack, bits, window = struct.unpack_from("!IIHH", b, at + 4)
    if at + 20 > end:
        raise Short
    header = (bits >> 12) * 4
    if header < 20:
        raise ValueError(f"TCP header of {header} bytes")
    start = at + header
    size = end - start
    if size < 0:
        raise ValueError(f"TCP header of {header} bytes")
    acked = f" ack={ack}" if bits & 16 else ""
    row[3] = f"{source} \u2192 {target} [{_flags(bits & 0x1FF)}] seq={seq}{acked} win={window} len={size}"
    if size:
        stream(row, b, start, end, 53 in (source, target))


@lru_cache(512)
def _flags(bits: int) -> str:
    names = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")
    return ", ".join(name for bit, name in enumerate(names) if bits >> bit & 1) or "none"


_CHUNKS = {0: "DATA", 1: "INIT", 2: "INIT ACK", 3: "SACK", 4: "HEARTBEAT", 5: "HEARTBEAT ACK", 6: "ABORT",
           7: "SHUTDOWN", 8: "SHUTDOWN ACK", 9: "ERROR", 10: "COOKIE ECHO", 11: "COOKIE ACK",
           14: "SHUTDOWN COMPLETE", 192: "FORWARD TSN"}  # fmt: skip


def sctp(row: list[str], b: bytes, at: int, end: int) -> None:
    source, target = struct.unpack_from("!HH", b, at)
    row[3] = f"{source} \u2192 {target}"
    if at + 12 > end:
        raise Short
    at += 12
    kinds: list[str] = []
    while at + 4 <= end and len(kinds) < 5:
        size = b[at + 2] << 8 | b[at + 3]
        kinds.append(_CHUNKS.get(b[at], f"chunk {b[at]}"))
        if size < 4:
            raise ValueError(f"SCTP chunk of {size} bytes")
        at += size + 3 & ~3
    more = ["..."] if at + 4 <= end else []
    row[3] = f"{source} \u2192 {target} [{', '.join(kinds + more)}]"
