"""Which checksums hold: said beside them in the tree, from the bytes of the frame alone.

    0x70a3 (good)   0x70a3 (bad, 0x1f2e is right)   0x70a3 (partial, offload)   0x70a3 (not verified: ...)

A sender that leaves a checksum to the device (VIRTIO_NET_HDR_F_NEEDS_CSUM, 5.1.6.2) has put the sum of the
pseudo-header in its place: that is neither good nor bad, and is called partial. What is cut, a fragment, or
quoted in an error is not verified.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from capture.fields import Field

_NEEDS_CSUM, _DATA_VALID = 1, 2


def total(data: bytes, start: int = 0) -> int:
    """The folded sum of the 16-bit words of `data`, on top of `start` (RFC 1071), not inverted."""
    if len(data) % 2:
        data += b"\0"
    value = int.from_bytes(data) + start
    return value % 0xFFFF or (0xFFFF if value else 0)  # 65536 is 1 modulo 65535: the fold in one step


def internet(data: bytes, start: int = 0) -> int:
    """The Internet checksum of `data`, on top of the sum `start`."""
    return ~total(data, start) & 0xFFFF


@dataclass(frozen=True, slots=True)
class _Network:
    """The network layer below: its pseudo-header's addresses, and where its payload ends."""

    addresses: bytes
    version: int
    stop: int
    why_not: str  #: why nothing above can be verified; "" if it can


@dataclass(frozen=True, slots=True)
class _Offload:
    """What the virtio-net header says: where a sum is left to do (-1: nowhere), and whether sums hold."""

    place: int
    valid: bool


def verified(layers: tuple[Field, ...], data: bytes, net_header: bytes = b"") -> tuple[Field, ...]:
    """The same layers with a verdict in the text of each checksum that we know how to make."""
    return tuple(_walk(layers, data, _offload(net_header)))


def _offload(header: bytes) -> _Offload:
    if len(header) < 10:
        return _Offload(-1, False)
    flags, _, _, _, start, offset = struct.unpack_from("<BBHHHH", header)
    return _Offload(start + offset if flags & _NEEDS_CSUM else -1, bool(flags & _DATA_VALID))


def _walk(layers: tuple[Field, ...], data: bytes, offload: _Offload) -> Iterator[Field]:
    network: _Network | None = None
    quoted = False
    for layer in layers:
        known = {field.filter for field in layer.children}
        at = layer.byte_start
        if layer.kind != "layer":
            yield layer
        elif "ip.checksum" in known:
            header = data[at : at + (data[at] & 15) * 4]
            why = "" if len(header) == (data[at] & 15) * 4 >= 20 else "the header is cut"
            good = not total(header) ^ 0xFFFF
            right = 0 if good else internet(header[:10] + b"\0\0" + header[12:])
            yield _with(layer, "ip.checksum", _words(why, good, right))
            network = _ipv4(data, at, quoted)
        else:
            if "ipv6.plen" in known:
                network = _ipv6(data, at, quoted)
            elif network is not None and "ipv6.fraghdr.offset" in known and at + 4 <= len(data):
                if data[at + 2] << 8 & 0xFF00 | data[at + 3] & 0xF9:
                    network = replace(network, why_not="a fragment")
            elif network is not None and any(
                field.filter == "ipv6.routing.segleft" and not field.text.startswith("0")
                for field in layer.children
            ):
                network = replace(network, why_not="the last destination is elsewhere")
            filter_ = next((one for one in _ABOVE if one in known), "")
            if filter_ and network is not None:
                yield _with(layer, filter_, _above(filter_, network, data, at, offload))
                quoted = quoted or "icmp" in filter_
            else:
                yield layer


def _ipv4(data: bytes, at: int, quoted: bool) -> _Network:
    length, place = struct.unpack_from("!2xH2xH", data, at) if at + 20 <= len(data) else (0, 0)
    why = "quoted in an error" if quoted else "a fragment" if place & 0x3FFF else ""
    stop = at + length if length else len(data)
    if stop > len(data):
        why = why or "the packet is cut"
    return _Network(data[at + 12 : at + 20], 4, stop, why)


def _ipv6(data: bytes, at: int, quoted: bool) -> _Network:
    length = int.from_bytes(data[at + 4 : at + 6])
    stop = at + 40 + length if length else len(data)
    why = "quoted in an error" if quoted else "the packet is cut" if stop > len(data) else ""
    return _Network(data[at + 8 : at + 40], 6, stop, why)


#: checksum's filter: (the protocol's number in the pseudo-header, where the checksum stands)
_ABOVE = {"tcp.checksum": (6, 16), "udp.checksum": (17, 6), "icmp.checksum": (1, 2),
          "icmpv6.checksum": (58, 2), "igmp.checksum": (2, 2)}  # fmt: skip


def _above(filter_: str, network: _Network, data: bytes, at: int, offload: _Offload) -> str:
    """The verdict on the checksum of a layer above IP."""
    protocol, place = _ABOVE[filter_]
    stop = network.stop
    bare = filter_ in ("icmp.checksum", "igmp.checksum")  # these have no pseudo-header
    if filter_ == "udp.checksum":
        length = int.from_bytes(data[at + 4 : at + 6])
        if data[at + 6 : at + 8] == b"\0\0":
            return "none" if network.version == 4 else "none, which IPv6 allows to tunnels only"
        if length:
            if at + length > stop or length < 8:
                return _words(network.why_not or "the length is wrong", False, 0)
            stop = at + length
    if offload.place == at + place:
        return "partial, offload"
    payload = data[at:stop]
    if network.why_not or len(payload) < place + 2:
        return _words(network.why_not or "the header is cut", False, 0)
    pseudo = (
        0 if bare else total(network.addresses, protocol + (len(payload) >> 16) + (len(payload) & 0xFFFF))
    )
    good = total(payload, pseudo) == 0xFFFF
    if not good and offload.valid:
        return "verified by the device"
    right = 0 if good else internet(payload[:place] + b"\0\0" + payload[place + 2 :], pseudo)
    return _words("", good, right or (0xFFFF if protocol == 17 else 0))


def _words(why_not: str, good: bool, right: int) -> str:
    if why_not:
        return f"not verified: {why_not}"
    return "good" if good else f"bad, {right:#06x} is right"


def _with(layer: Field, filter_: str, verdict: str) -> Field:
    """The layer with a verdict at one of its fields."""
    children = tuple(
        replace(field, text=f"{field.text} ({verdict})") if field.filter == filter_ else field
        for field in layer.children
    )
    return replace(layer, children=children)
