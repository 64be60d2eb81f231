"""The layers of many frames at once, by numpy: which there are, and where each stands.

Frames are walked a layer at a time, all frames together, tunnels included: every step takes the layers of one
kind that were found by the step before and finds what they carry. Headers that contradict themselves end
the walk of their frame, as they do in Wireshark. Not one byte outside a frame's captured bytes is used.
Fragments are not put together: the first shows its headers, the later ones carry nothing that is known.
Entered are tags, MPLS, PPPoE, IP in IP, GRE, VXLAN, Geneve, IPsec AH, SNAP, and what ICMP errors quote.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import NamedTuple

import numpy as np

from capture.frame import Array
from capture.store import Block

DEPTH = 48  #: layers of a frame that are walked


class Layers(NamedTuple):
    """Layers of one kind, one element each: all arrays are int64 of the same length.

    frames: index of the frame in its block. at: first byte, in the block's data. end: behind the last byte
    that was captured and belongs to it. stop: behind the last byte that it claims.
    """

    frames: Array
    at: Array
    end: Array
    stop: Array

    def take(self, which: Array) -> Layers:
        """Those at these indices, or where this mask is true."""
        if which.dtype == bool:
            which = np.flatnonzero(which)
        return Layers(self.frames[which], self.at[which], self.end[which], self.stop[which])

    def inside(self, size: int | Array) -> Layers:
        """What stands `size` bytes further on."""
        return self._replace(at=self.at + size)

    def cut(self, stop: Array) -> Layers:
        """The same, claiming no byte from `stop` on."""
        stop = np.minimum(self.stop, stop)
        return self._replace(stop=stop, end=np.minimum(self.end, stop))


def join(parts: list[Layers]) -> Layers:
    """All of them in one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Layers(nothing, nothing, nothing, nothing)
    return Layers(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def heads(data: Array, at: Array, size: int) -> Array:
    """The `size` bytes from each place on, uint8[len(at), size]; zeros behind the end of `data`."""
    limit = len(data) - size
    early = at <= limit
    if early.all() and limit >= 0:
        return _windows(data, at, size)
    made = np.zeros((len(at), size), np.uint8)
    base = max(limit, 0)
    if limit >= 0:
        made[early] = _windows(data, at[early], size)
    # the last few reach over the end: they read a copy with zeros behind it
    rest = np.concatenate((data[base:], np.zeros(size, np.uint8)))
    late = np.minimum(at[~early] - base, len(rest) - size)
    made[~early] = _windows(rest, late, size)
    return made


def _windows(data: Array, at: Array, size: int) -> Array:
    places = np.ndarray((len(data) - size + 1,), np.dtype((np.void, size)), data, strides=(1,))
    return np.asarray(places[at].view(np.uint8).reshape(len(at), size))


def word(head: Array, offset: int, size: int = 2) -> Array:
    """The big-endian number of 1, 2, 3, 4, 6 or 8 bytes at `offset` of each head: int64[n] (8: uint64)."""
    if not len(head):
        return np.zeros(0, np.uint64 if size == 8 else np.int64)
    if size == 1:
        return head[:, offset].astype(np.int64)
    if size in (3, 6):
        half = size // 3
        return word(head, offset, half) << (16 * half) | word(head, offset + half, 2 * half)
    kind = {2: ">u2", 4: ">u4", 8: ">u8"}[size]
    column = np.ndarray((len(head),), kind, head, offset, (head.shape[1],))
    return column.astype(np.uint64 if size == 8 else np.int64)


def ipv6_length(layers: Layers, head: Array) -> Array:
    """The payload length of IPv6 layers, of whose headers all 40 bytes are there as `head`."""
    length, room = word(head, 4), layers.stop - layers.at - 40
    # 0 stands for more than the field can say (jumbograms, RFC 2675; segmentation offload)
    return np.where((length == 0) & (room > 0xFFFF), room, length)


class _Table(NamedTuple):
    """Where numbers lead: `codes[number]` is 0, or the place in `kinds` counted from 1."""

    codes: Array
    kinds: tuple[str, ...]


def _table(known: dict[int, str]) -> _Table:
    kinds = tuple(dict.fromkeys(known.values()))
    codes = np.zeros(1 << 16, np.uint8)
    for number, kind in known.items():
        codes[number] = kinds.index(kind) + 1
    return _Table(codes, kinds)


#: The layer that each known EtherType leads to.
ETHER_NEXT = {0x800: "ip", 0x806: "arp", 0x8035: "arp", 0x86DD: "ipv6", 0x8100: "vlan", 0x9100: "vlan",
               0x88A8: "ieee8021ad", 0x8847: "mpls", 0x8848: "mpls", 0x8864: "pppoes",
               0x6558: "eth"}  # fmt: skip
_ETHER = _table(ETHER_NEXT)
_IP_NEXT = _table({0: "hopopts", 1: "icmp", 4: "ip", 6: "tcp", 17: "udp", 41: "ipv6", 43: "routing",
                   44: "fraghdr", 47: "gre", 51: "ah", 58: "icmpv6", 60: "dstopts"})  # fmt: skip
_PORTS = _table(
    {53: "dns", 5353: "mdns", 5355: "llmnr", 67: "dhcp", 68: "dhcp", 4789: "vxlan", 6081: "geneve"}
)
_ERRORS = np.isin(np.arange(256), (3, 4, 5, 11, 12))  #: ICMP types that quote a packet
_ECHOES = np.isin(np.arange(256), (0, 8, 13, 14, 15, 16, 17, 18))  #: those with an identifier
_APPLICATIONS = frozenset(("dns", "mdns", "llmnr", "dhcp", "dns_stream"))
#: Bytes that a header cannot do without; nothing is asked of what applications say.
_LEAST = {"eth": 14, "llc": 3, "vlan": 4, "ieee8021ad": 4, "mpls": 4, "pppoes": 8, "arp": 8, "ip": 20,
          "ipv6": 40, "hopopts": 8, "routing": 8, "dstopts": 8, "ah": 8, "fraghdr": 8, "icmp": 8,
          "icmpv6": 8, "tcp": 20, "udp": 8, "vxlan": 8, "geneve": 8, "gre": 4}  # fmt: skip
_NEVER = np.int64(1 << 62)  #: behind all data


class Walk:
    """All layers of a block: `found[kind]` in pieces ordered by depth, `depths[kind]` their depths.

    The masks over its frames leave out what is quoted or goes on in another fragment. carried: what
    applications say over TCP and UDP is walked too, not tunnels alone.
    """

    def __init__(self, block: Block, carried: bool = True) -> None:
        self.data = np.frombuffer(block.data, np.uint8)
        #: of each frame the depth of the ICMP error in it: what is deeper is only quoted
        self.quoted = np.full(len(block.rows), DEPTH, np.int64)
        #: of each frame where the payload of a first fragment begins: the rest of it is elsewhere
        self.pieces = np.full(len(block.rows), _NEVER)
        self.lacking = np.zeros(len(block.rows), bool)  #: a header ends before its last byte
        self.wrong = np.zeros(len(block.rows), bool)  #: a header contradicts itself
        self.found: dict[str, list[Layers]] = {}
        self.depths: dict[str, list[int]] = {}
        self._next: dict[str, list[Layers]] = {}
        self._depth = 0
        self._left_out = frozenset() if carried else _APPLICATIONS
        rows = block.rows
        captured = rows["captured"].astype(np.int64)
        length = np.maximum(rows["length"].astype(np.int64), captured)
        at = np.asarray(block.offsets, np.int64)
        frames = Layers(np.arange(len(rows), dtype=np.int64), at, at + captured, at + length)
        self._keep("frame", frames)
        self._next["eth"] = [frames]
        while self._next and self._depth < DEPTH:
            steps, self._next = self._next, {}
            self._depth += 1
            for kind, parts in steps.items():
                _STEPS[kind](self, join(parts))

    def layers(self, kind: str, quoted: bool = True) -> Layers:
        """All layers of that kind, outer ones before inner ones; `quoted`: those in ICMP errors too."""
        parts = self.found.get(kind, [])
        if not quoted and bool((self.quoted < DEPTH).any()):
            depths = self.depths.get(kind, [])
            parts = [
                part.take(self.quoted[part.frames] >= at) for part, at in zip(parts, depths, strict=True)
            ]
        return join(parts)

    def _keep(self, kind: str, layers: Layers) -> None:
        if len(layers.at):
            self.found.setdefault(kind, []).append(layers)
            self.depths.setdefault(kind, []).append(self._depth)

    def _carry(self, kind: str, layers: Layers) -> None:
        if len(layers.at) and kind not in self._left_out:
            self._next.setdefault(kind, []).append(layers)

    def _trouble(self, mask: Array, layers: Layers, which: Array) -> None:
        """Note it of the frames of some layers, unless they are only quoted or end in another fragment."""
        frames = layers.frames[which]
        own = (self.quoted[frames] >= self._depth) & (layers.at[which] < self.pieces[frames])
        mask[frames[own]] = True

    def _torn(self, layers: Layers) -> None:
        """What these layers are is the first fragment of something."""
        self.pieces[layers.frames] = np.minimum(self.pieces[layers.frames], layers.at)

    def _quote(self, kind: str, layers: Layers) -> None:
        self.quoted[layers.frames] = np.minimum(self.quoted[layers.frames], self._depth)
        self._carry(kind, layers)

    def _spread(self, kinds: Array, table: _Table, layers: Layers) -> None:
        """Each layer goes where its number in `kinds` leads."""
        codes = table.codes[kinds]
        counts = np.bincount(codes, minlength=1)
        for code in np.flatnonzero(counts[1:]).tolist():
            every = counts[code + 1] == len(codes)
            self._carry(table.kinds[code], layers if every else layers.take(codes == code + 1))

    def _headed(self, kind: str, layers: Layers, needed: int, size: int) -> tuple[Layers, Array]:
        """Keep those with `needed` bytes as that kind; go on with those of `size`, and their heads."""
        room = layers.end - layers.at
        least = _LEAST.get(kind, 0)
        if len(room) and int(room.min()) < max(size, least):
            self._trouble(self.lacking, layers, room < least)
            self._keep(kind, layers.take(room >= needed))
            layers = layers.take(room >= size)
        else:
            self._keep(kind, layers)
        return layers, heads(self.data, layers.at, size)

    def _eth(self, layers: Layers) -> None:
        layers, head = self._headed("eth", layers, 14, 14)
        kinds = word(head, 12)
        typed = kinds >= 0x600
        if typed.all():
            self._keep("ethertype", layers)
            self._spread(kinds, _ETHER, layers.inside(14))
            return
        self._keep("ethertype", layers.take(typed))
        self._spread(kinds[typed], _ETHER, layers.take(typed).inside(14))
        short = kinds <= 1500
        self._keep("llc_length", layers.take(short))
        inner = layers.take(short).inside(14)
        self._carry("llc", inner.cut(inner.at + kinds[short]))

    def _llc(self, layers: Layers) -> None:
        layers, head = self._headed("llc", layers, 1, 8)
        snap = (word(head, 0, 4) == 0xAAAA0300) & (word(head, 4) == 0)
        self._spread(word(head, 6)[snap], _ETHER, layers.take(snap).inside(8))

    def _tag(self, kind: str, layers: Layers) -> None:
        layers, head = self._headed(kind, layers, 2, 4)
        kinds = word(head, 2)
        inner = layers.inside(4)
        self._spread(kinds, _ETHER, inner)
        short = kinds <= 1500
        if short.any():
            self._carry("llc", inner.take(short).cut(inner.at[short] + kinds[short]))

    _vlan = partialmethod(_tag, "vlan")
    _ieee8021ad = partialmethod(_tag, "ieee8021ad")

    def _mpls(self, layers: Layers) -> None:
        layers, head = self._headed("mpls", layers, 4, 4)
        last = head[:, 2] & 1 != 0
        inner = layers.inside(4)
        self._carry("mpls", inner.take(~last))
        inner = inner.take(last)
        inner = inner.take(inner.at < inner.end)
        versions = self.data[inner.at] >> 4
        self._carry("ip", inner.take(versions == 4))
        self._carry("ipv6", inner.take(versions == 6))

    def _pppoes(self, layers: Layers) -> None:
        layers, head = self._headed("pppoes", layers, 8, 8)
        inner = layers.cut(layers.at + 6 + word(head, 4)).inside(8)
        protocol = word(head, 6)
        self._carry("ip", inner.take(protocol == 0x21))
        self._carry("ipv6", inner.take(protocol == 0x57))

    def _arp(self, layers: Layers) -> None:
        layers, head = self._headed("arp", layers, 2, 28)
        ether = (word(head, 0) == 1) & (head[:, 4] == 6)
        four = (word(head, 2) == 0x800) & (head[:, 5] == 4)
        self._keep("arp_ether", layers.take(ether & (head[:, 5] == 4)))
        self._keep("arp_ipv4", layers.take(ether & four))

    def _begun(self, kind: str, layers: Layers) -> Layers:
        """Those of which there is a byte."""
        room = layers.end - layers.at
        if len(room) and int(room.min()) < _LEAST[kind]:
            self._trouble(self.lacking, layers, room < _LEAST[kind])
            layers = layers.take(room > 0)
        self._keep(kind, layers)
        return layers

    def _ip(self, layers: Layers) -> None:
        layers = self._begun("ip", layers)
        head = heads(self.data, layers.at, 20)
        version, size, total = head[:, 0] >> 4, (head[:, 0] & 15).astype(np.int64) * 4, word(head, 2)
        if not (version == 4).all():
            six, four = version == 6, version == 4
            self._ipv6(layers.take(six))
            self._trouble(self.wrong, layers, ~(six | four))
            layers, head, size, total = layers.take(four), head[four], size[four], total[four]
        self._keep("ip_header", layers)
        room = layers.end - layers.at
        # 0 stands for a segment too long for the field (segmentation offload)
        sound = (size >= 20) & ((total >= size) | (total == 0) | (room < 4))
        if sound.all():
            self._keep("ip_length", layers)
        else:
            self._keep("ip_length", layers.take(size >= 20))
            self._trouble(self.wrong, layers, ~sound)
            layers, head, room = layers.take(sound), head[sound], room[sound]
            size, total = size[sound], total[sound]
        self._keep("ip4", layers)
        inner = layers.cut(layers.at + np.where(total == 0, _NEVER >> 1, total)).inside(size)
        piece = word(head, 6) & 0x3FFF
        if piece.any() or (len(room) and int(room.min()) < 20):
            there = room >= 20
            self._torn(inner.take(there & (piece != 0)))
            first = there & (piece & 0x1FFF == 0)
            inner, head = inner.take(first), head[first]
        self._spread(head[:, 9], _IP_NEXT, inner)

    def _ipv6(self, layers: Layers) -> None:
        layers = self._begun("ipv6", layers)
        head = heads(self.data, layers.at, 40)
        right = head[:, 0] >> 4 == 6
        if not right.all():
            self._trouble(self.wrong, layers, ~right)
            layers, head = layers.take(right), head[right]
        self._keep("ip6", layers)
        whole = layers.end - layers.at >= 40
        layers, head = layers.take(whole), head[whole]
        inner = layers.inside(40)
        self._spread(head[:, 6], _IP_NEXT, inner.cut(inner.at + ipv6_length(layers, head)))

    def _extension(self, kind: str, unit: int, layers: Layers) -> None:
        layers, head = self._headed(kind, layers, 2, 2)
        size = head[:, 1].astype(np.int64) * unit + 8
        self._spread(head[:, 0], _IP_NEXT, layers.inside(size))

    _hopopts = partialmethod(_extension, "hopopts", 8)
    _routing = partialmethod(_extension, "routing", 8)
    _dstopts = partialmethod(_extension, "dstopts", 8)
    _ah = partialmethod(_extension, "ah", 4)

    def _fraghdr(self, layers: Layers) -> None:
        layers, head = self._headed("fraghdr", layers, 1, 8)
        piece, inner = word(head, 2), layers.inside(8)
        self._torn(inner.take(piece & 0xFFF9 != 0))
        first = piece & 0xFFF8 == 0
        self._spread(head[:, 0][first], _IP_NEXT, inner.take(first))

    def _icmp(self, layers: Layers) -> None:
        layers, head = self._headed("icmp", layers, 6, 6)
        kinds = head[:, 0]
        self._keep("icmp_echo", layers.take(_ECHOES[kinds]))
        self._quote("ip", layers.take(_ERRORS[kinds]).inside(8))

    def _icmpv6(self, layers: Layers) -> None:
        layers, head = self._headed("icmpv6", layers, 0, 1)
        kinds = head[:, 0]
        self._keep("icmpv6_echo", layers.take((kinds == 128) | (kinds == 129)))
        self._keep("nd_ns", layers.take(kinds == 135))
        self._keep("nd_na", layers.take(kinds == 136))
        self._quote("ipv6", layers.take((kinds >= 1) & (kinds <= 4)).inside(8))

    def _tcp(self, layers: Layers) -> None:
        layers, head = self._headed("tcp", layers, 4, 16)
        size = (head[:, 12] >> 4).astype(np.int64) * 4
        self._keep("tcp_header", layers)
        sound = size >= 20
        if not sound.all():
            layers, head, size = layers.take(sound), head[sound], size[sound]
        self._keep("tcp_body", layers)
        name = (word(head, 0) == 53) | (word(head, 2) == 53)
        if name.any():
            self._carry("dns_stream", layers.take(name).inside(size[name]))

    def _dns_stream(self, layers: Layers) -> None:
        """Messages with their length in front (RFC 1035, 4.2.2), those that are whole."""
        layers = layers.take(layers.end - layers.at >= 2)
        stop = layers.at + 2 + word(heads(self.data, layers.at, 2), 0)
        whole = stop <= layers.end
        layers, stop = layers.take(whole), stop[whole]
        self._carry("dns", layers.inside(2).cut(stop))
        self._carry("dns_stream", layers._replace(at=stop))

    def _udp(self, layers: Layers) -> None:
        layers, head = self._headed("udp", layers, 4, 8)
        source, target, length = word(head, 0), word(head, 2), word(head, 4)
        right = length >= 8
        if not right.all():
            layers, source, target, length = (
                layers.take(right), source[right], target[right], length[right]
            )  # fmt: skip
        self._keep("udp_body", layers)
        layers = layers.cut(layers.at + length)
        # as Wireshark does: the lower of the two ports is asked first
        low, high = np.minimum(source, target), np.maximum(source, target)
        ports = np.where(_PORTS.codes[low] != 0, low, high)
        self._spread(ports, _PORTS, layers.inside(8))

    def _vxlan(self, layers: Layers) -> None:
        layers, _ = self._headed("vxlan", layers, 1, 8)
        self._carry("eth", layers.inside(8))

    def _geneve(self, layers: Layers) -> None:
        layers, head = self._headed("geneve", layers, 1, 8)
        size = 8 + (head[:, 0] & 63).astype(np.int64) * 4
        self._spread(word(head, 2), _ETHER, layers.inside(size))

    def _gre(self, layers: Layers) -> None:
        layers, head = self._headed("gre", layers, 4, 4)
        flags = word(head, 0)
        size = 4 + 4 * ((flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1))
        plain = flags & 0x4007 == 0  # version 0, without a list of routes (RFC 2784)
        self._spread(word(head, 2)[plain], _ETHER, layers.take(plain).inside(size[plain]))

    def _message(self, kind: str, layers: Layers) -> None:
        layers, head = self._headed(kind, layers, 4, 4)
        self._keep("dns_message", layers)
        response = head[:, 2] & 0x80 != 0
        self._keep("dns_response", layers.take(response))
        if kind != "llmnr":  # its flags are others
            self._keep("dns_asking", layers)
            self._keep("dns_answering", layers.take(response))

    _dns = partialmethod(_message, "dns")
    _mdns = partialmethod(_message, "mdns")
    _llmnr = partialmethod(_message, "llmnr")

    def _dhcp(self, layers: Layers) -> None:
        self._headed("dhcp", layers, 44, 44)


_STEPS: dict[str, Callable[[Walk, Layers], None]] = {
    kind: getattr(Walk, f"_{kind}")
    for kind in (
        "eth", "llc", "vlan", "ieee8021ad", "mpls", "pppoes", "arp", "ip", "ipv6", "hopopts", "routing",
        "dstopts", "ah", "fraghdr", "icmp", "icmpv6", "tcp", "dns_stream", "udp", "vxlan", "geneve", "gre",
        "dns", "mdns", "llmnr", "dhcp",
    )
}  # fmt: skip
