"""The plain headers of a frame, decoded by hand: what is shown when scapy cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import NamedTuple

from capture.dissection.checksums import verified
from capture.dissection.names import Bits, named, parts_named
from capture.fields import Field, Kind


class _Part(NamedTuple):
    """A field by the name that scapy gives it (`capture.dissection.names` says what it is called)."""

    name: str
    bits: int
    show: Callable[[int], str] = str


def _mac(value: int) -> str:
    return value.to_bytes(6).hex(":")


def _ip4(value: int) -> str:
    return inet_ntoa(value.to_bytes(4))


def _ip6(value: int) -> str:
    return inet_ntop(AF_INET6, value.to_bytes(16))


def _swapped(value: int) -> str:
    return str(int.from_bytes(value.to_bytes(2), "little"))


_VNET = [
    _Part("flags", 8, hex),
    _Part("gso_type", 8),
    *[
        _Part(name, 16, _swapped)
        for name in ("hdr_len", "gso_size", "csum_start", "csum_offset", "num_buffers")
    ],
]
_ETHERNET = [_Part("dst", 48, _mac), _Part("src", 48, _mac), _Part("type", 16, hex)]
_VLAN = [_Part("prio", 3), _Part("dei", 1), _Part("vlan", 12), _Part("type", 16, hex)]
_ARP = [
    _Part(name, bits) for name, bits in (("hwtype", 16), ("ptype", 16), ("hwlen", 8), ("plen", 8), ("op", 16))
]


def _arp(data: bytes, at: int) -> list[_Part]:
    """The parts of an ARP message; how long its addresses are is part of it."""
    hardware, protocol = data[at + 4 : at + 5], data[at + 5 : at + 6]
    if not hardware or not protocol:
        return _ARP
    sizes = {"hw": hardware[0], "p": protocol[0]}
    shows = {"hw": _colons(sizes["hw"]), "p": _ip4 if sizes["p"] == 4 else _colons(sizes["p"])}
    return _ARP + [
        _Part(kind + side, sizes[kind] * 8, shows[kind])
        for side in ("src", "dst")
        for kind in ("hw", "p")
        if sizes[kind]
    ]


def _colons(size: int) -> Callable[[int], str]:
    return lambda value: value.to_bytes(size).hex(":")


_IPV4 = [
    *[_Part(name, bits) for name, bits in (("version", 4), ("ihl", 4), ("tos", 8), ("len", 16), ("id", 16))],
    *[_Part(name, bits) for name, bits in (("flags", 3), ("frag", 13), ("ttl", 8), ("proto", 8))],
    _Part("chksum", 16, hex),
    _Part("src", 32, _ip4),
    _Part("dst", 32, _ip4),
]
_IPV6 = [
    *[
        _Part(name, bits)
        for name, bits in (("version", 4), ("tc", 8), ("fl", 20), ("plen", 16), ("nh", 8), ("hlim", 8))
    ],
    _Part("src", 128, _ip6),
    _Part("dst", 128, _ip6),
]
_TCP = [
    *[
        _Part(name, bits)
        for name, bits in (("sport", 16), ("dport", 16), ("seq", 32), ("ack", 32), ("dataofs", 4))
    ],
    _Part("reserved", 3),
    _Part("flags", 9, hex),
    _Part("window", 16),
    _Part("chksum", 16, hex),
    _Part("urgptr", 16),
]
_UDP = [_Part("sport", 16), _Part("dport", 16), _Part("len", 16), _Part("chksum", 16, hex)]
_ICMP = [_Part("type", 8), _Part("code", 8), _Part("chksum", 16, hex)]
_ICMP6 = [_Part("type", 8), _Part("code", 8), _Part("cksum", 16, hex)]
_ETHER_NEXT = {0x800: "IPv4", 0x806: "ARP", 0x86DD: "IPv6", 0x8100: "VLAN", 0x88A8: "VLAN"}
_IP_NEXT = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_LAYERS = {"Ethernet": _ETHERNET, "VLAN": _VLAN, "ARP": _ARP, "IPv4": _IPV4, "IPv6": _IPV6, "TCP": _TCP,
           "UDP": _UDP, "ICMP": _ICMP, "ICMPv6": _ICMP6}  # fmt: skip
_CLASSES = {"Ethernet": "Ether", "VLAN": "Dot1Q", "ARP": "ARP", "IPv4": "IP", "IPv6": "IPv6", "TCP": "TCP",
            "UDP": "UDP", "ICMP": "ICMP", "ICMPv6": "_ICMPv6", "virtio-net": "VirtioNetHdr"}  # fmt: skip
_DEPTH = 32


def decode(data: bytes, net_header: bytes = b"") -> tuple[Field, ...]:
    """The layers that are recognised, and what follows them as one layer of bytes. Never raises."""
    layers: list[Field] = []
    if net_header:
        layers.append(_layer("virtio-net", net_header, 0, _VNET, "vnet")[0])
    name, at = "Ethernet", 0
    while name and at < len(data) and len(layers) < _DEPTH:
        layer, values = _layer(name, data, at, _arp(data, at) if name == "ARP" else _LAYERS[name])
        layers.append(layer)
        at = layer.byte_stop
        name, size = _following(name, values)
        if size > at - layer.byte_start and name:
            at = min(layer.byte_start + size, len(data))
            start = layer.bit_start + layer.bit_length
            if at * 8 > start:
                options = Field("options", data[start // 8 : at].hex(" "), start, at * 8 - start)
                layers[-1] = Field(
                    layer.name,
                    "",
                    layer.bit_start,
                    at * 8 - layer.bit_start,
                    "layer",
                    (*layer.children, options),
                )
    if at < len(data):
        layers.append(Field("data", f"{len(data) - at} bytes", at * 8, (len(data) - at) * 8, "layer"))
    return verified(tuple(layers), data, net_header)


def part(name: str, data: bytes, base: int) -> list[Field]:
    """One header alone, made of the whole of `data` at byte `base` of a frame."""
    whole = bytes(base) + data
    layer, _ = _layer(name, whole, base, _arp(whole, base) if name == "ARP" else _LAYERS[name])
    made = [layer]
    left = base + len(data) - layer.byte_stop
    if left:
        made.append(Field("data", f"{left} bytes", layer.byte_stop * 8, left * 8, "layer"))
    return made


def _layer(
    name: str, data: bytes, at: int, parts: list[_Part], kind: Kind = "layer"
) -> tuple[Field, dict[str, int]]:
    """One header from data[at:], as far as there are bytes for whole fields."""
    values: dict[str, int] = {}
    children = []
    bit = at * 8
    for part in parts:
        if bit + part.bits > len(data) * 8:
            break
        first, last = bit >> 3, bit + part.bits + 7 >> 3
        value = int.from_bytes(data[first:last]) >> (last * 8 - bit - part.bits) & (1 << part.bits) - 1
        values[part.name] = value
        called = named(_CLASSES[name], part.name)
        text = called.show(value) if called.show and part.show is str else part.show(value)
        inner: Kind = "vnet" if kind == "vnet" else "field"
        inside = tuple(
            _bit(bits, value, bit, part.bits, inner) for bits in parts_named(_CLASSES[name], part.name)
        )
        children.append(Field(called.label, text, bit, part.bits, inner, inside, called.filter))
        bit += part.bits
    if len(children) < len(parts):  # a cut header owns every byte that is left
        if bit < len(data) * 8:
            rest = Field(
                "truncated",
                f"{len(data) * 8 - bit} bits",
                bit,
                len(data) * 8 - bit,
                children[0].kind if children else "field",
            )
            children.append(rest)
        bit = len(data) * 8
    return Field(name, "", at * 8, bit - at * 8, kind, tuple(children)), values


def _bit(bits: Bits, value: int, start: int, length: int, kind: Kind) -> Field:
    """One named part of a field of `length` bits at bit `start`."""
    own = value >> length - bits.start - bits.length & (1 << bits.length) - 1
    text = bits.name.show(own) if bits.name.show else str(own)
    return Field(bits.name.label, text, start + bits.start, bits.length, kind, (), bits.name.filter)


def _following(name: str, values: dict[str, int]) -> tuple[str, int]:
    """The name of the layer after this one ("" if unknown), and this one's size (0: as decoded)."""
    match name:
        case "Ethernet" | "VLAN":
            return _ETHER_NEXT.get(values.get("type", 0), ""), 0
        case "IPv4":
            first = values.get("frag", 1) == 0
            return _IP_NEXT.get(values.get("proto", 0), "") if first else "", values.get("ihl", 0) * 4
        case "IPv6":
            return _IP_NEXT.get(values.get("nh", 0), ""), 0
    return "", 0
