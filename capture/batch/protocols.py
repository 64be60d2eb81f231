"""The protocol of each frame as a number to sort by: its innermost layer, as the list names it."""

from __future__ import annotations

import numpy as np

from capture.batch.walk import ETHER_NEXT, Layers, Walk, heads, word
from capture.frame import Array

#: The names in their order; a key is the place of a name here, times 65,536, plus an unknown EtherType.
NAMES = ("0x", "?", "AH", "ARP", "DHCP", "DNS", "Ethernet", "GRE", "Geneve", "HTTP", "ICMP", "ICMPv6", "IPv4",
         "IPv4 fragment", "IPv6", "IPv6 fragment", "LLC", "LLMNR", "MDNS", "MPLS", "TCP", "TLS", "UDP",
         "VLAN", "VXLAN")  # fmt: skip
_CODE = {name: place << 16 for place, name in enumerate(NAMES)}
_PLAIN = {"arp": "ARP", "ip": "IPv4", "ipv6": "IPv6", "icmp": "ICMP", "icmpv6": "ICMPv6", "udp": "UDP",
          "dns": "DNS", "mdns": "MDNS", "llmnr": "LLMNR", "dhcp": "DHCP", "vxlan": "VXLAN",
          "geneve": "Geneve", "gre": "GRE", "mpls": "MPLS", "ah": "AH", "llc": "LLC"}  # fmt: skip
_METHODS = np.array([b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"HTTP"])


def protocols(walk: Walk, size: int) -> Array:
    """One int64 a frame for the `size` frames of a walk; what an ICMP error quotes does not count."""
    keys = np.full(size, _CODE["Ethernet"], np.int64)
    pieces = [
        (depth, kind, layers)
        for kind, parts in walk.found.items()
        for depth, layers in zip(walk.depths[kind], parts, strict=True)
    ]
    cut = np.zeros(size, bool)  # the list names a fragment by what it is, not by what it carries
    for depth, kind, layers in sorted(pieces, key=lambda piece: piece[0]):
        layers = layers.take((walk.quoted[layers.frames] >= depth) & ~cut[layers.frames])
        if kind in _PLAIN:
            keys[layers.frames] = _CODE[_PLAIN[kind]]
        if kind == "eth":
            _typed(walk, layers, 12, keys)
        elif kind in ("vlan", "ieee8021ad"):
            keys[layers.frames] = _CODE["VLAN"]
            _typed(walk, layers, 2, keys)
        elif kind == "ip4":
            _fragments(walk, layers, 6, 0x3FFF, "IPv4 fragment", keys, cut)
        elif kind == "fraghdr":
            _fragments(walk, layers, 2, 0xFFF9, "IPv6 fragment", keys, cut)
        elif kind == "tcp":
            keys[layers.frames] = _CODE["TCP"]
            _streams(walk, layers, keys)
    return keys


def _room(layers: Layers, size: int) -> Layers:
    return layers.take(layers.end - layers.at >= size)


def _typed(walk: Walk, layers: Layers, offset: int, keys: Array) -> None:
    layers = _room(layers, offset + 2)
    kinds = word(heads(walk.data, layers.at + offset, 2), 0)
    unknown = (kinds >= 0x600) & ~np.isin(kinds, list(ETHER_NEXT))
    keys[layers.frames[unknown]] = _CODE["0x"] | kinds[unknown]
    keys[layers.frames[kinds < 0x600]] = _CODE["LLC"]


def _fragments(
    walk: Walk, layers: Layers, offset: int, mask: int, name: str, keys: Array, cut: Array
) -> None:
    layers = _room(layers, offset + 2)
    bits = word(heads(walk.data, layers.at + offset, 2), 0)
    pieces = layers.frames[bits & mask != 0]
    keys[pieces] = _CODE[name]
    cut[pieces] = True


def _streams(walk: Walk, layers: Layers, keys: Array) -> None:
    """What the first bytes of a segment show."""
    layers = _room(layers, 20)
    layers = layers.inside((walk.data[layers.at + 12] >> 4).astype(np.int64) * 4)
    layers = _room(layers, 6)
    head = heads(walk.data, layers.at, 8)
    first = head[:, :4].copy().reshape(-1).view("S4")
    keys[layers.frames[np.isin(first, _METHODS)]] = _CODE["HTTP"]
    record = (head[:, 0] >= 20) & (head[:, 0] <= 23) & (head[:, 1] == 3) & (head[:, 2] < 5)
    keys[layers.frames[record]] = _CODE["TLS"]
