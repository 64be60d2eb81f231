"""The protocol of each frame as a number to sort by: its innermost layer, as the list names it."""

from __future__ import annotations

import numpy as np

from capture.batch.walk import ETHER_NEXT, Layers, Walk, heads, word
from capture.columns import names
from capture.frame import Array

_PLAIN = {"arp": "ARP", "ip": "IPv4", "ipv6": "IPv6", "icmp": "ICMP", "icmpv6": "ICMPv6", "udp": "UDP",
          "dns": "DNS", "mdns": "MDNS", "llmnr": "LLMNR", "dhcp": "DHCP", "vxlan": "VXLAN",
          "geneve": "Geneve", "gre": "GRE", "mpls": "MPLS", "llc": "LLC"}  # fmt: skip
_NAMED = (names.ETHER_NAMES, names.SLOW_NAMES, names.IP_NAMES, names.PORT_NAMES, names.PPP_NAMES,
          names.LLC_NAMES, names.SNAP_NAMES)  # fmt: skip
#: The names in their order; a key is the place of a name here, times 65,536, plus an unknown EtherType.
NAMES = tuple(
    sorted(
        {"0x", "?", "Ethernet", "HTTP", "IPv4 fragment", "IPv6 fragment", "TCP", "TLS", "VLAN"}
        | set(_PLAIN.values()).union(*(table.values() for table in _NAMED))
    )
)
_CODE = {name: place << 16 for place, name in enumerate(NAMES)}


def _table(known: dict[int, str]) -> Array:
    codes = np.zeros(1 << 16, np.int64)
    for number, name in known.items():
        codes[number] = _CODE[name]
    return codes


_ETHER, _SLOW, _PORTS = map(_table, (names.ETHER_NAMES, names.SLOW_NAMES, names.PORT_NAMES))
_IP, _PPP = map(_table, (names.IP_NAMES, names.PPP_NAMES))
#: Where a layer over IP says what follows.
_FOLLOWING = {"ip4": 9, "ip6": 6, "hopopts": 0, "routing": 0, "dstopts": 0, "ah": 0}


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
        if kind in _FOLLOWING:
            _over_ip(walk, layers, _FOLLOWING[kind], keys)
        if kind == "eth":
            _typed(walk, layers, 12, keys)
        elif kind in ("vlan", "ieee8021ad"):
            keys[layers.frames] = _CODE["VLAN"]
            _typed(walk, layers, 2, keys)
        elif kind == "llc":
            _services(walk, layers, keys)
        elif kind == "geneve":
            layers = _room(layers, 8)
            options = (walk.data[layers.at] & 63).astype(np.int64) * 4
            _known(walk, layers, 2, 8 + options, keys)
        elif kind == "gre":
            _routed(walk, layers, keys)
        elif kind == "ip4":
            _fragments(walk, layers, 6, 0x3FFF, "IPv4 fragment", keys, cut)
        elif kind == "fraghdr":
            _fragments(walk, layers, 2, 0xFFF9, "IPv6 fragment", keys, cut)
            _over_ip(walk, layers.take(~cut[layers.frames]), 0, keys)
        elif kind == "tcp":
            keys[layers.frames] = _CODE["TCP"]
            _streams(walk, layers, keys)
        elif kind == "udp_body":
            _ports(walk, layers, keys)
    return keys


def _room(layers: Layers, size: int) -> Layers:
    return layers.take(layers.end - layers.at >= size)


def _typed(walk: Walk, layers: Layers, offset: int, keys: Array) -> None:
    layers = _room(layers, offset + 2)
    kinds = word(heads(walk.data, layers.at + offset, 2), 0)
    unknown = (kinds >= 0x600) & ~np.isin(kinds, list(ETHER_NEXT))
    keys[layers.frames[unknown]] = _CODE["0x"] | kinds[unknown]
    keys[layers.frames[kinds < 0x600]] = _CODE["LLC"]
    _known(walk, layers, offset, offset + 2, keys)


def _known(walk: Walk, layers: Layers, offset: int, size: int | Array, keys: Array) -> None:
    """EtherTypes at `offset` that have a name; what they name begins at `size`."""
    kinds = word(heads(walk.data, layers.at + offset, 2), 0)
    codes = _ETHER[kinds]
    keys[layers.frames[codes != 0]] = codes[codes != 0]
    inner = layers.inside(size)
    sub = inner.take(kinds == 0x8809)
    sub = _room(sub, 1)
    codes = _SLOW[walk.data[sub.at]]
    keys[sub.frames[codes != 0]] = codes[codes != 0]
    session = _room(inner.take(kinds == 0x8864), 8)
    codes = _PPP[word(heads(walk.data, session.at, 8), 6)]
    keys[session.frames[codes != 0]] = codes[codes != 0]


def _services(walk: Walk, layers: Layers, keys: Array) -> None:
    """What the service points of LLC name, and SNAP behind them."""
    layers = _room(layers, 3)
    head = heads(walk.data, layers.at, 8)
    room = layers.end - layers.at
    for table in (names.LLC_NAMES, names.SNAP_NAMES):
        for start, name in table.items():
            same = (head[:, : len(start)] == np.frombuffer(start, np.uint8)).all(1) & (room >= len(start))
            keys[layers.frames[same]] = _CODE[name]
    snap = (room >= 8) & (word(head, 0, 4) == 0xAAAA0300) & (word(head, 4) == 0)
    _known(walk, layers.take(snap), 6, 8, keys)


def _routed(walk: Walk, layers: Layers, keys: Array) -> None:
    layers = _room(layers, 4)
    flags = word(heads(walk.data, layers.at, 4), 0)
    plain = flags & 7 == 0
    size = 4 + 4 * ((flags & 0xC000 != 0) + (flags >> 13 & 1) + (flags >> 12 & 1))
    _known(walk, layers.take(plain), 2, size[plain], keys)


def _over_ip(walk: Walk, layers: Layers, offset: int, keys: Array) -> None:
    layers = _room(layers, offset + 1)
    codes = _IP[walk.data[layers.at + offset]]
    keys[layers.frames[codes != 0]] = codes[codes != 0]


def _ports(walk: Walk, layers: Layers, keys: Array) -> None:
    """The lower port that has a name; those that the walk knows follow as layers of their own."""
    head = heads(walk.data, layers.at, 8)
    filled = np.minimum(layers.at + word(head, 4), layers.end) - layers.at > 8
    layers, head = layers.take(filled), head[filled]
    low, high = np.minimum(word(head, 0), word(head, 2)), np.maximum(word(head, 0), word(head, 2))
    codes = np.where(_PORTS[low] != 0, _PORTS[low], _PORTS[high])
    keys[layers.frames[codes != 0]] = codes[codes != 0]


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
    first = head[:, :2].copy().reshape(-1).view("S2")
    letters = np.flatnonzero(np.isin(first, [start[:2] for start in names.HTTP_STARTS]))
    room = layers.end - layers.at
    for start in names.HTTP_STARTS:
        same = (head[letters, : len(start)] == np.frombuffer(start, np.uint8)).all(1)
        same &= room[letters] >= len(start)
        keys[layers.frames[letters[same]]] = _CODE["HTTP"]
    record = (head[:, 0] >= 20) & (head[:, 0] <= 23) & (head[:, 1] == 3) & (head[:, 2] < 5)
    keys[layers.frames[record]] = _CODE["TLS"]
