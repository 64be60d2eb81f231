"""Frames in short forms: what a scenario sends.

    "udp 64"     a whole frame of 64 bytes, checksums and all; also tcp, icmp, arp
    "bytes 100"  100 bytes behind an Ethernet header for experiments (type 0x88b5)
    "hex 5254 0000 0001 ..."

Frames of a short form carry a running number, so that no two are alike and what arrives can be compared.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dataplane.records import Side
from dataplane.script.table import near

FRAME_MIN, FRAME_MAX = 14, 65_589  #: an Ethernet header; the largest frame with offloads (5.1.6.3.1)
_MACS = (bytes.fromhex("525400000001"), bytes.fromhex("525400000002"))  #: the driver's, and the other end's
_ADDRESSES = (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
_PORTS = (49152, 9)  #: from there on, and discard


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was written: `form` and its length, or the bytes themselves.

    `net_header` stands before it in the buffer (5.1.6), b"" for one that asks for nothing.
    """

    text: str
    form: str = ""
    length: int = 0
    data: bytes = b""
    net_header: bytes = b""

    def make(self, serial: int, side: Side, pair: int = 0, pairs: int = 1) -> bytes:
        """The bytes, sent by a side as its frame `serial`, on a flow that belongs to this queue pair."""
        if self.data:
            return self.data
        return _FORMS[self.form].make(self.length, serial, side, pair, pairs)


@dataclass(frozen=True, slots=True)
class _Form:
    least: int
    make: Callable[[int, int, Side, int, int], bytes]
    usual: int = 0  #: length where none is given; 0: it must be given


def read(text: str, names: Collection[str] = ()) -> Frame:
    """A frame from its short form; ValueError with one line. `names`: what might have been meant besides."""
    word, _, rest = text.strip().partition(" ")
    if word == "hex":
        try:
            data = bytes.fromhex(rest)
        except ValueError:
            raise ValueError(f"not hexadecimal: {rest[:40]!r}") from None
        if not FRAME_MIN <= len(data) <= FRAME_MAX:
            raise ValueError(f"a frame of {len(data)} bytes is out of range: {FRAME_MIN} to {FRAME_MAX}")
        return Frame(f"hex of {len(data)} bytes", data=data)
    if word not in _FORMS:
        raise ValueError(f"{word!r} is no form of frame; {near(word, [*names, *_FORMS, 'hex'])}")
    form = _FORMS[word]
    if not rest and form.usual:
        return Frame(word, word, form.usual)
    if not re.fullmatch(r"-?[0-9]+", rest.strip()):
        raise ValueError(f'the bytes of the whole frame are wanted, such as "{word} {form.usual or 64}"')
    length = int(rest.strip()[:12])  # enough to be out of range
    if not form.least <= length <= FRAME_MAX:
        raise ValueError(f"{word} of {rest.strip()[:40]} bytes is out of range: {form.least} to {FRAME_MAX}")
    return Frame(f"{word} {length}", word, length)


def flow_pair(frame: bytes, pairs: int) -> int:
    """The queue pair on which the engine sends a frame, by the addresses and ports of its flow."""
    return sum(frame[26:38]) % pairs if pairs > 1 and len(frame) >= 42 else 0


def _payload(length: int, serial: int) -> bytes:
    number = struct.pack(">I", serial & 0xFFFFFFFF)[: max(length, 0)]
    return number + bytes(i & 0xFF for i in range(len(number), length))


def _sum(data: bytes, start: int = 0) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) & 1)
    total: int = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ether(side: Side, kind: int) -> bytes:
    return _MACS[1 - side] + _MACS[side] + struct.pack(">H", kind)


def _ip(side: Side, protocol: int, body: bytes, serial: int) -> bytes:
    ends = _ADDRESSES[side] + _ADDRESSES[1 - side]
    head = struct.pack(">BBHHHBBH", 0x45, 0, (20 + len(body)) & 0xFFFF, 0, 0x4000, 64, protocol, 0)
    head = head[:10] + struct.pack(">H", _sum(head + ends)) + ends
    return _ether(side, 0x0800) + head + body


def _pseudo(side: Side, protocol: int, length: int) -> int:
    ends = _ADDRESSES[side] + _ADDRESSES[1 - side]
    words: tuple[int, ...] = struct.unpack(">4H", ends)
    return sum(words) + protocol + length


def _ports(side: Side, pair: int, pairs: int) -> bytes:
    """Source and destination port of a flow that the engine puts on this queue pair."""
    base = sum(_ADDRESSES[0] + _ADDRESSES[1])
    for extra in range(pairs):
        ends = (_PORTS[0] + extra, _PORTS[1])
        ports = struct.pack(">HH", *(ends if side == Side.DRIVER else reversed(ends)))
        if (base + sum(ports)) % pairs == pair:
            return ports
    return struct.pack(">HH", *_PORTS)


def _udp(length: int, serial: int, side: Side, pair: int, pairs: int) -> bytes:
    body = _payload(length - 42, serial)
    head = _ports(side, pair, pairs) + struct.pack(">H", (8 + len(body)) & 0xFFFF)
    check = _sum(head + b"\0\0" + body, _pseudo(side, 17, 8 + len(body)))
    return _ip(side, 17, head + struct.pack(">H", check or 0xFFFF) + body, serial)


def _tcp(length: int, serial: int, side: Side, pair: int, pairs: int) -> bytes:
    body = _payload(length - 54, serial)
    head = _ports(side, pair, pairs) + struct.pack(">IIBBHHH", serial, 0, 0x50, 0x18, 0xFFFF, 0, 0)
    check = _sum(head + body, _pseudo(side, 6, 20 + len(body)))
    return _ip(side, 6, head[:16] + struct.pack(">H", check) + head[18:] + body, serial)


def _icmp(length: int, serial: int, side: Side, pair: int, pairs: int) -> bytes:
    body = _payload(length - 42, serial)
    kind = 8 if side == Side.DRIVER else 0
    head = struct.pack(">BBHHH", kind, 0, 0, 1, serial & 0xFFFF)
    check = _sum(head + body)
    return _ip(side, 1, head[:2] + struct.pack(">H", check) + head[4:] + body, serial)


def _arp(length: int, serial: int, side: Side, pair: int, pairs: int) -> bytes:
    kind = 1 if side == Side.DRIVER else 2
    head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, kind)
    body = head + _MACS[side] + _ADDRESSES[side] + bytes(6) + _ADDRESSES[1 - side]
    return _ether(side, 0x0806) + body + _payload(length - 42, serial)


def _bytes(length: int, serial: int, side: Side, pair: int, pairs: int) -> bytes:
    return _ether(side, 0x88B5) + _payload(length - 14, serial)


_FORMS = {
    "udp": _Form(46, _udp),
    "tcp": _Form(58, _tcp),
    "icmp": _Form(46, _icmp, 98),
    "arp": _Form(42, _arp, 60),
    "bytes": _Form(FRAME_MIN, _bytes),
}
