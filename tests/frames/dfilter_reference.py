"""What a display filter means, one frame at a time, in plain Python and apart from the filter."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, list[Any]]


@dataclass
class Facts:
    """The fields of one frame."""

    values: Values = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        self.values.setdefault(name, []).append(value)


def facts(data: bytes) -> Values:
    """All fields of a frame that the random filters use. Layers: a list of what is still to be read."""
    found = Facts()
    found.add("frame", data)
    found.add("frame.len", len(data))
    todo: list[tuple[str, int, int]] = [("eth", 0, len(data))]
    for _ in range(48):
        following: list[tuple[str, int, int]] = []
        for kind, at, end in todo:
            following += _READ[kind](found, data, at, end)
        todo = following
    return found.values


Next = list[tuple[str, int, int]]


def _number(found: Facts, name: str, data: bytes, at: int, size: int, end: int) -> int | None:
    if at + size > end:
        return None
    value = int.from_bytes(data[at : at + size])
    if name:
        found.add(name, value)
    return value


def _by_type(kind: int | None, at: int, end: int) -> Next:
    names = {0x800: "ip", 0x806: "arp", 0x8035: "arp", 0x86DD: "ipv6", 0x8100: "vlan", 0x9100: "vlan",
             0x88A8: "service", 0x8847: "mpls", 0x8848: "mpls", 0x6558: "eth"}  # fmt: skip
    return [(names[kind], at, end)] if kind in names else []


def _eth(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at < 14:
        return []
    found.add("eth", data[at:end])
    for name, place in (("eth.dst", at), ("eth.src", at + 6)):
        found.add(name, data[place : place + 6].hex(":"))
        found.add("eth.addr", data[place : place + 6].hex(":"))
    kind = int.from_bytes(data[at + 12 : at + 14])
    if kind >= 0x600:
        found.add("eth.type", kind)
        return _by_type(kind, at + 14, end)
    return [("llc", at + 14, min(end, at + 14 + kind))] if kind <= 1500 else []


def _llc(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at >= 8 and data[at : at + 6] == b"\xaa\xaa\x03\0\0\0":
        return _by_type(int.from_bytes(data[at + 6 : at + 8]), at + 8, end)
    return []


def _tag(found: Facts, data: bytes, at: int, end: int, name: str) -> Next:
    tag = _number(found, "", data, at, 2, end)
    if tag is not None and name:
        found.add("vlan", data[at:end])
        found.add("vlan.id", tag & 0xFFF)
        found.add("vlan.priority", tag >> 13)
    kind = _number(found, "", data, at + 2, 2, end)
    if kind is not None and kind <= 1500:
        return [("llc", at + 4, min(end, at + 4 + kind))]
    return _by_type(kind, at + 4, end)


def _vlan(found: Facts, data: bytes, at: int, end: int) -> Next:
    return _tag(found, data, at, end, "vlan")


def _service(found: Facts, data: bytes, at: int, end: int) -> Next:
    return _tag(found, data, at, end, "")


def _mpls(found: Facts, data: bytes, at: int, end: int) -> Next:
    label = _number(found, "", data, at, 4, end)
    if label is None:
        return []
    if not label >> 8 & 1:
        return [("mpls", at + 4, end)]
    version = data[at + 4] >> 4 if at + 4 < end else 0
    return [({4: "ip", 6: "ipv6"}[version], at + 4, end)] if version in (4, 6) else []


def _arp(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at >= 2:
        found.add("arp", data[at:end])
    _number(found, "arp.opcode", data, at + 6, 2, end)
    return []


def _by_protocol(protocol: int, at: int, end: int) -> Next:
    names = {0: "extension", 1: "icmp", 4: "ip", 6: "tcp", 17: "udp", 41: "ipv6", 43: "extension",
             44: "fragment", 47: "gre", 51: "ah", 58: "icmpv6", 60: "extension"}  # fmt: skip
    return [(names[protocol], at, end)] if protocol in names else []


def _ip(found: Facts, data: bytes, at: int, end: int) -> Next:
    if at >= end:
        return []
    found.add("ip", data[at:end])
    version, size = data[at] >> 4, (data[at] & 15) * 4
    if version == 6:
        return _ipv6(found, data, at, end)
    if version != 4 or size < 20:
        return []
    total = _number(found, "", data, at + 2, 2, end)
    if total and total < size:
        return []
    _number(found, "ip.id", data, at + 4, 2, end)
    bits = _number(found, "", data, at + 6, 2, end)
    if bits is not None:
        found.add("ip.flags.df", bits >> 14 & 1)
    _number(found, "ip.ttl", data, at + 8, 1, end)
    protocol = _number(found, "ip.proto", data, at + 9, 1, end)
    for name, place in (("ip.src", at + 12), ("ip.dst", at + 16)):
        value = _number(found, name, data, place, 4, end)
        if value is not None:
            found.add("ip.addr", value)
    if end - at < 20 or protocol is None or bits is None or bits & 0x1FFF:
        return []
    return _by_protocol(protocol, at + size, min(end, at + total) if total else end)


def _ipv6(found: Facts, data: bytes, at: int, end: int) -> Next:
    if at >= end:
        return []
    found.add("ipv6", data[at:end])
    if data[at] >> 4 != 6:
        return []
    _number(found, "ipv6.hlim", data, at + 7, 1, end)
    for name, place in (("ipv6.src", at + 8), ("ipv6.dst", at + 24)):
        value = _number(found, name, data, place, 16, end)
        if value is not None:
            found.add("ipv6.addr", value)
    if end - at < 40:
        return []
    return _by_protocol(data[at + 6], at + 40, min(end, at + 40 + int.from_bytes(data[at + 4 : at + 6])))


def _extension(found: Facts, data: bytes, at: int, end: int, unit: int = 8) -> Next:
    return _by_protocol(data[at], at + 8 + data[at + 1] * unit, end) if end - at >= 2 else []


def _ah(found: Facts, data: bytes, at: int, end: int) -> Next:
    return _extension(found, data, at, end, 4)


def _fragment(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at < 8 or int.from_bytes(data[at + 2 : at + 4]) & 0xFFF8:
        return []
    return _by_protocol(data[at], at + 8, end)


def _icmp(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at < 6:
        return []
    found.add("icmp", data[at:end])
    found.add("icmp.type", data[at])
    return [("ip", at + 8, end)] if data[at] in (3, 4, 5, 11, 12) else []


def _icmpv6(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end < at:
        return []
    found.add("icmpv6", data[at:end])
    kind = _number(found, "icmpv6.type", data, at, 1, end)
    return [("ipv6", at + 8, end)] if kind in (1, 2, 3, 4) else []


def _ports(found: Facts, name: str, data: bytes, at: int, end: int) -> bool:
    if end - at < 4:
        return False
    found.add(name, data[at:end])
    for port, value in zip(("srcport", "dstport"), struct.unpack_from("!HH", data, at), strict=True):
        found.add(f"{name}.{port}", value)
        found.add(f"{name}.port", value)
    return True


def _tcp(found: Facts, data: bytes, at: int, end: int) -> Next:
    if not _ports(found, "tcp", data, at, end) or end - at < 16:
        return []
    size = (data[at + 12] >> 4) * 4
    if size < 20:
        return []
    flags = int.from_bytes(data[at + 12 : at + 14])
    found.add("tcp.flags", flags & 0xFFF)
    found.add("tcp.flags.syn", flags >> 1 & 1)
    found.add("tcp.window_size_value", int.from_bytes(data[at + 14 : at + 16]))
    if at + size < end:
        found.add("tcp.payload", data[at + size : end])
    return []


def _udp(found: Facts, data: bytes, at: int, end: int) -> Next:
    if not _ports(found, "udp", data, at, end):
        return []
    length = _number(found, "udp.length", data, at + 4, 2, end)
    if length is None or end - at < 8 or length < 8:
        return []
    if at + 8 < end:
        found.add("udp.payload", data[at + 8 : end])
    source, target = struct.unpack_from("!HH", data, at)
    known = {
        53: "other",
        5353: "other",
        5355: "other",
        67: "other",
        68: "other",
        4789: "vxlan",
        6081: "geneve",
    }
    kind = known.get(min(source, target)) or known.get(max(source, target)) or "other"
    return [(kind, at + 8, min(end, at + length))]


def _vxlan(found: Facts, data: bytes, at: int, end: int) -> Next:
    return [("eth", at + 8, end)] if end - at >= 8 else []


def _geneve(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at < 8:
        return []
    return _by_type(int.from_bytes(data[at + 2 : at + 4]), at + 8 + (data[at] & 63) * 4, end)


def _gre(found: Facts, data: bytes, at: int, end: int) -> Next:
    if end - at < 4 or data[at + 1] & 7:
        return []
    bits = data[at] >> 4
    size = 4 + 4 * bool(bits & 12) + 4 * bool(bits & 2) + 4 * bool(bits & 1)
    return _by_type(int.from_bytes(data[at + 2 : at + 4]), at + size, end)


def _other(found: Facts, data: bytes, at: int, end: int) -> Next:
    return []


_READ = {"eth": _eth, "llc": _llc, "vlan": _vlan, "service": _service, "mpls": _mpls, "arp": _arp, "ip": _ip,
         "ipv6": _ipv6, "extension": _extension, "ah": _ah, "fragment": _fragment, "icmp": _icmp,
         "icmpv6": _icmpv6, "tcp": _tcp, "udp": _udp, "vxlan": _vxlan, "geneve": _geneve, "gre": _gre,
         "other": _other}  # fmt: skip


@dataclass(frozen=True)
class Has:
    name: str

    def text(self) -> str:
        return self.name

    def holds(self, values: Values) -> bool:
        return self.name in values


@dataclass(frozen=True)
class Test:
    """A comparison with a value, which is written in the filter as `written`."""

    name: str
    operator: str
    value: Any
    written: str
    quantifier: str = ""

    def text(self) -> str:
        return f"{self.quantifier} {self.name} {self.operator} {self.written}".strip()

    def holds(self, values: Values) -> bool:
        if self.name not in values:
            return False
        every = self.quantifier == "all" or (not self.quantifier and self.operator in ("!=", "==="))
        return (all if every else any)(self._one(value) for value in values[self.name])

    def _one(self, held: Any) -> bool:
        match self.operator:
            case "==" | "===":
                return bool(held == self.value)
            case "!=" | "~=":
                return bool(held != self.value)
            case "<":
                return bool(held < self.value)
            case "<=":
                return bool(held <= self.value)
            case ">":
                return bool(held > self.value)
            case ">=":
                return bool(held >= self.value)
            case "contains":
                return self.value in held
            case "matches":
                return re.search(self.value, held, re.IGNORECASE) is not None
            case "in":
                return any(low <= held <= high for low, high in self.value)
        raise ValueError(self.operator)


@dataclass(frozen=True)
class Join:
    word: str
    parts: tuple[Any, ...]

    def text(self) -> str:
        return f" {self.word} ".join(f"({part.text()})" for part in self.parts)

    def holds(self, values: Values) -> bool:
        return (all if self.word in ("and", "&&") else any)(part.holds(values) for part in self.parts)


@dataclass(frozen=True)
class Negated:
    part: Any
    word: str

    def text(self) -> str:
        return f"{self.word} ({self.part.text()})"

    def holds(self, values: Values) -> bool:
        return not self.part.holds(values)
