"""The plain headers of a frame, decoded by hand: what is shown when scapy cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import NamedTuple

from capture.fields import Field, Kind


class _Part(NamedTuple):
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
    *[
        _Part(name, bits)
        for name, bits in (("hwtype", 16), ("ptype", 16), ("hwlen", 8), ("plen", 8), ("op", 16))
    ],
    _Part("hwsrc", 48, _mac),
    _Part("psrc", 32, _ip4),
    _Part("hwdst", 48, _mac),
    _Part("pdst", 32, _ip4),
]
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
    _Part("flags", 12, hex),
    _Part("window", 16),
    _Part("chksum", 16, hex),
    _Part("urgptr", 16),
]
_UDP = [_Part("sport", 16), _Part("dport", 16), _Part("len", 16), _Part("chksum", 16, hex)]
_ICMP = [_Part("type", 8), _Part("code", 8), _Part("chksum", 16, hex)]
_ETHER_NEXT = {0x800: "IPv4", 0x806: "ARP", 0x86DD: "IPv6", 0x8100: "VLAN", 0x88A8: "VLAN"}
_IP_NEXT = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_LAYERS = {"Ethernet": _ETHERNET, "VLAN": _VLAN, "ARP": _ARP, "IPv4": _IPV4, "IPv6": _IPV6, "TCP": _TCP,
           "UDP": _UDP, "ICMP": _ICMP, "ICMPv6": _ICMP}  # fmt: skip
_DEPTH = 32


def decode(data: bytes, net_header: bytes = b"") -> tuple[Field, ...]:
    """The layers that are recognised, and what follows them as one layer of bytes. Never raises."""
    layers: list[Field] = []
    if net_header:
        layers.append(_layer("virtio-net", net_header, 0, _VNET, "vnet")[0])
    name, at = "Ethernet", 0
    while name and at < len(data) and len(layers) < _DEPTH:
        layer, values = _layer(name, data, at, _LAYERS[name])
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
    return tuple(layers)


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
        children.append(
            Field(part.name, part.show(value), bit, part.bits, "vnet" if kind == "vnet" else "field")
        )
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
