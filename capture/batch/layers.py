"""Who talks to whom in a block of frames: every Ethernet, IP and transport header, tunnels entered.

All by numpy over offsets, a layer of all frames at once; nothing is read past the captured bytes. A frame
inside a tunnel gives the headers of both, as Wireshark counts them; what an ICMP error quotes is not entered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from capture.batch.walk import heads
from capture.frame import Array
from capture.store import Block

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_TAGS = (0x8100, 0x88A8, 0x9100)
_EXTENSIONS = (0, 43, 60, 135, 139, 140)
_VXLAN = 4789
_ROUNDS = 32  #: headers that are entered one inside the other


@dataclass(frozen=True, slots=True)
class Ends:
    """n headers that name two ends.

    frame: index in the block, several times the same in tunnels. source, target: n x 16 bytes, short
    addresses with zeros in front. four: of IPv4. ports: n x 2; an echo has its id twice, others 0.
    """

    frame: Array
    source: Array
    target: Array
    four: Array
    ports: Array


@dataclass(frozen=True, slots=True)
class Transport(Ends):
    """The same for TCP, UDP and ICMP headers, with where they stand in the block's data.

    at: where the header begins. end: where the IP packet says that its payload ends. stop: where the
    captured bytes end. whole: not a fragment, so `end` is the end of the segment.
    """

    protocol: Array
    network: Array  #: where the IP header begins
    at: Array
    end: Array
    stop: Array
    whole: Array

    def only(self, mask: Array) -> Transport:
        """Some of them: by a mask or by indices."""
        return Transport(*(getattr(self, name)[mask] for name in _FIELDS))


@dataclass(frozen=True, slots=True)
class _Work:
    """Headers of one kind still to be read: frame index, first byte, end as told, end of what there is."""

    kind: int  # an ethertype; 1: Ethernet itself
    frame: Array
    at: Array
    end: Array
    stop: Array

    def only(self, mask: Array, kind: int, at: Array) -> _Work:
        return _Work(kind, self.frame[mask], at[mask], self.end[mask], self.stop[mask])


_ETHER, _IP4, _IP6, _ARP = 1, 0x800, 0x86DD, 0x806


class Layers:
    """The headers of `block`. `malformed` and `short` are masks over its frames."""

    def __init__(self, block: Block) -> None:
        self.data = np.frombuffer(block.data, np.uint8)
        count = len(block.rows)
        self.malformed = np.zeros(count, bool)  #: headers that contradict themselves
        self.short = np.zeros(count, bool)  #: the bytes end before what they announce
        self._ether: list[Ends] = []
        self._network: list[Ends] = []
        self._transport: list[Transport] = []
        self._arp: list[tuple[Array, Array]] = []
        self.ip4: list[tuple[Array, Array, Array]] = []  #: (frame, at, header length) of IPv4 headers
        at = block.offsets.astype(np.int64)
        captured = block.rows["captured"].astype(np.int64)
        self.captured_end = at + captured  #: where the bytes of each frame end
        self.short |= block.rows["captured"] < block.rows["length"]
        end = at + block.rows["length"].astype(np.int64)
        work = [_Work(_ETHER, np.arange(count), at, end, at + captured)]
        for _ in range(_ROUNDS):
            if not work:
                break
            work = [more for one in work for more in self._read(one) if len(more.frame)]

    @cached_property
    def ether(self) -> Ends:
        """Ethernet headers; addresses in the last six of the sixteen bytes."""
        return _join_ends(self._ether)

    @cached_property
    def network(self) -> Ends:
        """IPv4 and IPv6 headers."""
        return _join_ends(self._network)

    @cached_property
    def transport(self) -> Transport:
        """TCP, UDP, ICMP and ICMPv6 headers of which the ports (or type) are there, by frame."""
        parts = self._transport or [_NO_TRANSPORT]
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS]
        order = np.argsort(joined[0], kind="stable")
        return Transport(*(column[order] for column in joined))

    @cached_property
    def arp(self) -> tuple[Array, Array]:
        """(frame index, n x 28 bytes) of the ARP packets for IPv4 over Ethernet."""
        if not self._arp:
            return np.zeros(0, np.int64), np.zeros((0, 28), np.uint8)
        frame = np.concatenate([part[0] for part in self._arp])
        order = np.argsort(frame, kind="stable")
        return frame[order], np.concatenate([part[1] for part in self._arp])[order]

    def word(self, at: Array) -> Array:
        """The 16 bits at each place."""
        both: Array = self.data[at].astype(np.int64) << 8 | self.data[at + 1]
        return both

    def long(self, at: Array) -> Array:
        """The 32 bits at each place."""
        both: Array = self.word(at) << 16 | self.word(at + 2)
        return both

    def bytes_at(self, at: Array, size: int) -> Array:
        """n x `size` bytes."""
        return heads(self.data, at, size)

    def _there(self, work: _Work, size: int) -> _Work:
        """The part of the work whose header of `size` bytes is there; the rest is short."""
        fits = work.at + size <= work.stop
        if fits.all():
            return work
        self.short[work.frame[~fits]] = True
        return work.only(fits, work.kind, work.at)

    def _read(self, work: _Work) -> list[_Work]:
        match work.kind:
            case 1:
                return self._read_ether(work)
            case 0x800:
                return self._read_ip4(work)
            case 0x86DD:
                return self._read_ip6(work)
            case 0x806:
                self._read_arp(work)
        return []

    def _read_ether(self, work: _Work) -> list[_Work]:
        work = self._there(work, 14)
        if not len(work.frame):
            return []
        addresses = np.zeros((2, len(work.frame), 16), np.uint8)
        addresses[0, :, 10:] = self.bytes_at(work.at + 6, 6)
        addresses[1, :, 10:] = self.bytes_at(work.at, 6)
        none = np.zeros((len(work.frame), 2), np.uint16)
        no = np.zeros(len(work.frame), bool)
        self._ether.append(Ends(work.frame, addresses[0], addresses[1], no, none))
        return self._typed(work, self.word(work.at + 12), work.at + 14)

    def _typed(self, work: _Work, kind: Array, at: Array) -> list[_Work]:
        """What follows ethertypes, tags passed over."""
        for _ in range(_ROUNDS):
            tagged = np.isin(kind, _TAGS)
            cut = tagged & (at + 4 > work.stop)
            self.short[work.frame[cut]] = True
            tagged &= ~cut
            if not tagged.any():
                break
            kind = kind.copy()
            kind[tagged] = self.word(at[tagged] + 2)
            at = np.where(tagged, at + 4, at)
        return [work.only(kind == want, want, at) for want in (_IP4, _IP6, _ARP)]

    def _read_arp(self, work: _Work) -> None:
        work = self._there(work, 8)
        head = self.bytes_at(work.at, 8)
        usual = (head[:, :6] == (0, 1, 8, 0, 6, 4)).all(axis=1)
        size = 8 + 2 * (head[:, 4].astype(np.int64) + head[:, 5])
        self.malformed[work.frame[work.at + size > work.end]] = True
        work = self._there(work.only(usual, _ARP, work.at), 28)
        self._arp.append((work.frame, self.bytes_at(work.at, 28)))

    def _read_ip4(self, work: _Work) -> list[_Work]:
        work = self._there(work, 20)
        first = self.data[work.at]
        size = (first & 15).astype(np.int64) * 4
        total = self.word(work.at + 2)
        good = (first >> 4 == 4) & (size >= 20) & ((total >= size) | (total == 0))
        self.malformed[work.frame[~good]] = True
        size, total, work = size[good], total[good], work.only(good, _IP4, work.at)
        # 0 stands for a segment too long for the field (segmentation offload)
        end = np.where(total == 0, work.end, work.at + total)
        self.short[work.frame[end > work.stop]] = True
        stop = np.minimum(work.stop, end)
        work = _Work(_IP4, work.frame, work.at, end, stop)
        addresses = np.zeros((2, len(work.frame), 16), np.uint8)
        addresses[0, :, 12:] = self.bytes_at(work.at + 12, 4)
        addresses[1, :, 12:] = self.bytes_at(work.at + 16, 4)
        self.ip4.append((work.frame, work.at, size))
        place = self.word(work.at + 6)
        protocol = np.where(place & 0x1FFF, -1, self.data[work.at + 9].astype(np.int64))
        whole = place & 0x3FFF == 0
        return self._payload(work, addresses, True, protocol, work.at + size, whole)

    def _read_ip6(self, work: _Work) -> list[_Work]:
        work = self._there(work, 40)
        good = self.data[work.at] >> 4 == 6
        self.malformed[work.frame[~good]] = True
        work = work.only(good, _IP6, work.at)
        length = self.word(work.at + 4)
        end = np.where(length == 0, work.end, work.at + 40 + length)
        self.short[work.frame[end > work.stop]] = True
        work = _Work(_IP6, work.frame, work.at, end, np.minimum(work.stop, end))
        addresses = np.stack([self.bytes_at(work.at + 8, 16), self.bytes_at(work.at + 24, 16)])
        protocol = self.data[work.at + 6].astype(np.int64)
        at = work.at + 40
        whole = np.ones(len(at), bool)
        for _ in range(_ROUNDS):
            plain = np.isin(protocol, _EXTENSIONS) | (protocol == 51)
            piece = protocol == 44
            cut = (plain | piece) & (at + 8 > work.stop)
            self.short[work.frame[cut]] = True
            protocol[cut] = -1
            entered = (plain | piece) & ~cut
            if not entered.any():
                break
            here = at[entered]
            inside, size = self.data[here].astype(np.int64), self.data[here + 1].astype(np.int64)
            kind = protocol[entered]
            step = np.where(kind == 44, 8, np.where(kind == 51, 8 + size * 4, 8 + size * 8))
            place = np.where(kind == 44, self.word(here + 2), 0)
            protocol[entered] = np.where(place & 0xFFF8, -1, inside)
            whole[entered] &= (place & 0xFFF9) == 0
            at = at.copy()
            at[entered] += step
        return self._payload(work, addresses, False, protocol, at, whole)

    def _payload(
        self, work: _Work, ends: Array, four: bool, protocol: Array, at: Array, whole: Array
    ) -> list[_Work]:
        """What IP packets carry: transport headers are noted, IP and Ethernet inside are returned."""
        count = len(work.frame)
        family = np.full(count, four)
        none = np.zeros((count, 2), np.uint16)
        self._network.append(Ends(work.frame, ends[0], ends[1], family, none))
        more = []
        for inner, kind in ((4, _IP4), (41, _IP6)):
            more.append(work.only((protocol == inner) & whole, kind, at))
        more += self._read_gre(work.only((protocol == 47) & whole, 47, at))
        wanted = np.isin(protocol, (ICMP, TCP, UDP, ICMPV6))
        cut = wanted & (at + np.where(protocol == TCP, 20, 8) > work.stop)
        self.short[work.frame[cut & (work.stop < work.end)]] = True
        self.malformed[work.frame[cut & (work.stop >= work.end)]] = True
        chosen = np.flatnonzero(wanted & ~cut)
        protocol, at = protocol[chosen], at[chosen]
        frame, end, stop = work.frame[chosen], work.end[chosen], work.stop[chosen]
        ports = np.zeros((len(chosen), 2), np.uint16)
        ported = (protocol == TCP) | (protocol == UDP)
        ports[ported, 0], ports[ported, 1] = self.word(at[ported]), self.word(at[ported] + 2)
        echo = ~ported & np.isin(self.data[at], (0, 8, 128, 129))
        ports[echo] = self.word(at[echo] + 4)[:, None]
        good = np.ones(len(chosen), bool)
        tcp, udp = protocol == TCP, protocol == UDP
        size = (self.data[at[tcp] + 12] >> 4).astype(np.int64) * 4
        good[tcp] = (size >= 20) & (at[tcp] + size <= end[tcp])
        told = self.word(at[udp] + 4)
        good[udp] = (told >= 8) | (told == 0)
        self.malformed[frame[~good]] = True
        over = at[udp] + told > end[udp]
        self.malformed[frame[udp][over & whole[chosen][udp]]] = True
        end[udp] = np.where(told == 0, end[udp], np.minimum(at[udp] + told, end[udp]))
        kept = np.flatnonzero(good)
        taken = chosen[kept]
        self._transport.append(
            Transport(
                frame[kept], ends[0][taken], ends[1][taken], family[taken], ports[kept], protocol[kept],
                work.at[taken], at[kept], end[kept], stop[kept], whole[taken],
            )
        )  # fmt: skip
        tunnel = kept[udp[kept] & (ports[kept, 1] == _VXLAN) & whole[taken] & (at[kept] + 16 <= stop[kept])]
        tunnel = tunnel[self.data[at[tunnel] + 8] & 8 != 0]
        more.append(_Work(_ETHER, frame[tunnel], at[tunnel] + 16, end[tunnel], stop[tunnel]))
        return more

    def _read_gre(self, work: _Work) -> list[_Work]:
        """Version 0 (RFC 2784, 2890) without routing; Ethernet inside is 0x6558."""
        work = self._there(work, 4)
        bits, kind = self.word(work.at), self.word(work.at + 2)
        at = work.at + 4 + 4 * ((bits >> 15 & 1) + (bits >> 13 & 1) + (bits >> 12 & 1))
        plain = (bits & 0x4007) == 0
        more = [work.only(plain & (kind == 0x6558), _ETHER, at)]
        return more + [work.only(plain & (kind == want), want, at) for want in (_IP4, _IP6)]


_FIELDS = ("frame", "source", "target", "four", "ports", "protocol", "network", "at", "end", "stop", "whole")
_NOTHING = np.zeros(0, np.int64)
_NO_TRANSPORT = Transport(
    _NOTHING, np.zeros((0, 16), np.uint8), np.zeros((0, 16), np.uint8), np.zeros(0, bool),
    np.zeros((0, 2), np.uint16), _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, np.zeros(0, bool),
)  # fmt: skip


def _join_ends(parts: list[Ends]) -> Ends:
    parts = parts or [_NO_TRANSPORT]
    return Ends(*(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS[:5]))
