"""Who talks to whom in a block of frames: both ends of every Ethernet, IP and transport header.

A view on the walk. A frame in a tunnel has the headers of both, as Wireshark counts them; what an ICMP error
quotes is nobody's packet and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from capture.batch.walk import Layers, Walk, heads, ipv6_length, join, word
from capture.frame import Array
from capture.store import Block

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_TRANSPORTS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}
_ECHOES = (0, 8, 128, 129)  #: types of ICMP and ICMPv6


@dataclass(frozen=True, slots=True)
class Ends:
    """n headers that name two ends, by frame, outer ones before inner ones.

    frame: index in the block, several times the same in tunnels. source, target: n x 16 bytes, short
    addresses with zeros in front. four: of IPv4. ports: n x 2; an echo has its id twice, others 0.
    """

    frame: Array
    source: Array
    target: Array
    four: Array
    ports: Array

    def only(self, mask: Array) -> Self:
        """Some of them: by a mask or by indices."""
        which = np.flatnonzero(mask) if mask.dtype == bool else mask
        return type(self)(*(getattr(self, name).take(which, axis=0) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Packets(Ends):
    """IP headers, with where they stand in the block's data.

    at: where the header begins. size: its bytes. end: where it says that its payload ends. stop: where the
    bytes end that are there.
    """

    at: Array
    size: Array
    end: Array
    stop: Array


@dataclass(frozen=True, slots=True)
class Transport(Ends):
    """TCP, UDP and ICMP headers that are there and sound.

    at: where the header begins. end: where the packet says that its payload ends. stop: where the bytes end
    that are there. whole: not a fragment, so `end` is the end of the segment.
    """

    protocol: Array
    at: Array
    end: Array
    stop: Array
    whole: Array


class Headers:
    """The headers of `block`."""

    def __init__(self, block: Block) -> None:
        self.walk = Walk(block, carried=False)
        self.data = self.walk.data
        self._cut = block.rows["captured"] < block.rows["length"]

    @cached_property
    def ether(self) -> Ends:
        """Ethernet headers; addresses in the last six of the sixteen bytes."""
        layers = _by_frame(self.walk.layers("eth", quoted=False))
        head, count = heads(self.data, layers.at, 12), len(layers.at)
        source, target = np.zeros((2, count, 16), np.uint8)
        source[:, 10:], target[:, 10:] = head[:, 6:], head[:, :6]
        return Ends(layers.frames, source, target, np.zeros(count, bool), np.zeros((count, 2), np.uint16))

    @cached_property
    def network(self) -> Packets:
        """IPv4 and IPv6 headers."""
        four = _room(self.walk.layers("ip4", quoted=False), 20)
        six = _room(self.walk.layers("ip6", quoted=False), 40)
        head, count = heads(self.data, four.at, 20), len(four.at)
        total = word(head, 2)
        # 0 stands for a packet too long for the field (segmentation offload)
        ends = [np.where(total == 0, four.stop, four.at + total)]
        both = join([four, six])
        source, target = np.zeros((2, len(both.at), 16), np.uint8)
        source[:count, 12:], target[:count, 12:] = head[:, 12:16], head[:, 16:]
        sizes = np.full(len(both.at), 40)
        sizes[:count] = (head[:, 0] & 15) * 4
        head = heads(self.data, six.at, 40)
        source[count:], target[count:] = head[:, 8:24], head[:, 24:]
        ends.append(six.at + 40 + ipv6_length(six, head))
        packets = Packets(
            both.frames, source, target, np.arange(len(both.at)) < count,
            np.zeros((len(both.at), 2), np.uint16), both.at, sizes, np.concatenate(ends), both.end,
        )  # fmt: skip
        keys = _keys(both)
        return packets if _rising(keys) else packets.only(np.argsort(keys, kind="stable"))

    @cached_property
    def arp(self) -> tuple[Array, Array]:
        """(frame index, n x 28 bytes) of the ARP packets for IPv4 over Ethernet."""
        layers = _by_frame(self.walk.layers("arp_ipv4", quoted=False))
        return layers.frames, heads(self.data, layers.at, 28)

    @property
    def transport(self) -> Transport:
        """TCP, UDP, ICMP and ICMPv6 headers."""
        return self._transport[0]

    @cached_property
    def short(self) -> Array:
        """Mask over the frames: there are fewer bytes than the frame or one of its packets announces."""
        packets = self.network
        over = (packets.end > packets.stop) & (packets.at < self.walk.pieces[packets.frame])
        mask = self._cut.copy()
        mask[packets.frame[over]] = True
        return mask

    @cached_property
    def malformed(self) -> Array:
        """Mask over the frames: a header contradicts itself, or does not fit in although nothing was cut."""
        arp = _room(self.walk.layers("arp", quoted=False), 8)
        head = heads(self.data, arp.at + 4, 2)
        mask = self.walk.lacking.copy()
        mask[arp.frames[arp.at + 8 + 2 * (word(head, 0, 1) + word(head, 1, 1)) > arp.stop]] = True
        mask &= ~self.short
        mask |= self.walk.wrong
        mask[self._transport[1]] = True
        return mask

    @cached_property
    def _transport(self) -> tuple[Transport, Array]:
        """The sound ones, and the frames of the others."""
        parts = [
            _room(self.walk.layers(kind, quoted=False), 20 if kind == "tcp" else 8) for kind in _TRANSPORTS
        ]
        layers = join(parts)
        protocol = np.repeat(np.array(list(_TRANSPORTS.values())), [len(part.at) for part in parts])
        keys = _keys(layers)
        if not _rising(keys):
            order = np.argsort(keys, kind="stable")
            layers, protocol, keys = layers.take(order), protocol[order], keys[order]
        packets, at = self.network, layers.at
        # the layers of a frame stand one behind the other: the IP header before is the one that carries it
        carrier = np.searchsorted(_keys(packets), keys, "right") - 1
        end = packets.end[carrier]
        whole = at < self.walk.pieces[layers.frames]
        head = heads(self.data, at, 8)
        tcp, udp = protocol == TCP, protocol == UDP
        ports = np.stack([word(head, 0), word(head, 2)], axis=1).astype(np.uint16)
        other = ~(tcp | udp)
        echo = other & np.isin(head[:, 0], _ECHOES)
        told = word(head, 4)
        ports[other] = 0
        ports[echo] = told[echo, None]
        size = (self.data[at[tcp] + 12] >> 4).astype(np.int64) * 4
        good = np.ones(len(at), bool)
        good[tcp] = (size >= 20) & (at[tcp] + size <= end[tcp])
        good[udp] = (told[udp] >= 8) | (told[udp] == 0)
        over = udp & whole & (at + told > end)
        end = np.where(udp & (told != 0), np.minimum(at + told, end), end)
        bad = layers.frames[~good & whole | over]
        if not good.all():
            layers, carrier, ports, protocol = layers.take(good), carrier[good], ports[good], protocol[good]
            end, whole = end[good], whole[good]
        sound = Transport(
            layers.frames, packets.source.take(carrier, axis=0), packets.target.take(carrier, axis=0),
            packets.four[carrier], ports, protocol, layers.at, end, layers.end, whole,
        )  # fmt: skip
        return sound, bad


def _room(layers: Layers, size: int) -> Layers:
    fits = layers.end - layers.at >= size
    return layers if fits.all() else layers.take(fits)


def _keys(layers: Layers | Packets) -> Array:
    """Numbers that rise by frame, and in a frame from the outside in."""
    frames = layers.frames if isinstance(layers, Layers) else layers.frame
    keys: Array = (frames << 40) + layers.at
    return keys


def _rising(keys: Array) -> bool:
    return bool((keys[1:] >= keys[:-1]).all())


def _by_frame(layers: Layers) -> Layers:
    keys = _keys(layers)
    return layers if _rising(keys) else layers.take(np.argsort(keys, kind="stable"))
