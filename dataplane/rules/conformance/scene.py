"""What is known so far of a device from its journal: status, features, and every ring byte for byte.

A scene begins blank or at a keyframe and takes one event after another. What a check judges by stands here,
so that no check has to keep a copy of the rings. It knows what the two sides wrote for each other and the
names of events, and nothing of a side's own words but where they stood at the keyframe: a side that lies to
itself is seen by what it writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dataplane import features as f
from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.records import Kind
from dataplane.rules.conformance.packed import PackedRing
from dataplane.rules.conformance.ring import Buffer, Ring, Use
from dataplane.rules.conformance.split import SplitRing
from dataplane.snapshot import NetConfig


class Event(NamedTuple):
    """One row of the journal, in the fields of `records.EVENT`."""

    number: int
    time: int
    place: int
    old: int
    new: int
    kind: int
    side: int
    queue: int
    slot: int
    many: int  #: `count` of the record


class Logged(NamedTuple):
    """One frame of the frame log: its net header, what was captured of it, and its first buffer."""

    queue: int
    position: int
    head: int
    time: int
    direction: int
    buffers: int
    length: int
    header_length: int
    header: bytes
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Stored:
    """A store to one field, or to several of one row, as it has just been done.

    `area` and `index` as in `places`; `at` is the byte of the row that it begins with.
    """

    ring: Ring
    side: int
    area: str
    index: int
    at: int
    width: int
    old: int
    new: int
    number: int
    queue: int  #: for whom the side said it was writing

    def field(self, at: int, width: int, value: int) -> int | None:
        """What `value` (`old` or `new`) has in so many bytes of the row; None where it does not reach."""
        if at < self.at or at + width > self.at + self.width:
            return None
        return value >> 8 * (at - self.at) & (1 << 8 * width) - 1


Happened = Stored | Buffer | Use | Event


def _ring(shape: QueueShape, memory: bytes, own: np.void) -> Ring:
    areas, at = {}, 0
    for name, _, length in shape.areas:
        areas[name] = bytearray(memory[at : at + length])
        at += length
    return (PackedRing if shape.packed else SplitRing)(shape, areas, own)


class Scene:
    """See the module. `number` is the newest event that is in it."""

    def __init__(self) -> None:
        self.number = 0
        self.time = 0
        self.status: int | None = None  #: None: not known
        self.offered: int | None = None
        self.accepted: int | None = None
        self.device: int | None = None  #: 1: network (5)
        self.config: NetConfig | None = None
        self.rings: dict[int, Ring] = {}
        self._resets: dict[int, int] = {}  # by queue: the event of its newest reset
        self._starts: list[int] = []
        self._areas: list[tuple[Ring, str, int, int]] = []  # ring, area, address, length

    # ---- beginning ----------------------------------------------------------------------------------------

    def begin(self, keyframe: Keyframe) -> tuple[Ring, ...]:
        """Takes what is not known yet from the image of a moment; the rings that were not known before."""
        self.number, self.time = keyframe.number, keyframe.time
        base = keyframe.base
        self.status, self.offered = base.status, base.identity.offered
        self.accepted = base.identity.accepted
        self.device, self.config = base.identity.device_id, base.config
        made = []
        untouched = base.state == "stopped" or base.identity.kind == "bare"
        for shape, memory, own in zip(keyframe.shapes, keyframe.memory, keyframe.own, strict=True):
            if shape.index not in self.rings:
                words = np.frombuffer(own, own_dtype(shape.size))[0]
                ring = self.rings[shape.index] = _ring(shape, memory, words)
                ring.fresh = self._resets.get(shape.index) == self.number or untouched
                made.append(ring)
        self._lay_out()
        return tuple(made)

    def _forget(self, queue: int) -> None:
        if self.rings.pop(queue, None):
            self._lay_out()

    def _lay_out(self) -> None:
        found = [
            (address, length, name, ring)
            for ring in self.rings.values()
            for name, address, length in ring.shape.areas
        ]
        found.sort(key=lambda area: area[0])
        self._starts = [address for address, _, _, _ in found]
        self._areas = [(ring, name, address, length) for address, length, name, ring in found]

    def has(self, bit: int) -> bool:
        """Whether a feature was negotiated."""
        return self.accepted is not None and f.has(self.accepted, bit)

    def shape(self, queue: int) -> QueueShape | None:
        ring = self.rings.get(queue)
        return ring.shape if ring else None

    # ---- going on -----------------------------------------------------------------------------------------

    def take(self, event: Event) -> Iterator[Happened]:
        """Takes the next event in; what it came to, each while the scene is as it was right behind it."""
        self.number, self.time = event.number, event.time
        kind = event.kind
        if kind == Kind.STORE:
            yield from self._store(event)
            return
        if kind == Kind.STATUS:
            self.status = event.new
            if not event.new:
                self.rings.clear()
                self._lay_out()
        elif kind == Kind.FEATURES:
            self.offered, self.accepted = event.old, event.new
        elif kind == Kind.QUEUE_RESET:
            self._forget(event.place)
            self._resets[event.place] = event.number
        elif kind in (Kind.NEXT, Kind.COLLECT) and (ring := self.rings.get(event.queue)):
            if kind == Kind.NEXT:
                ring.seen = event.place + event.many
            else:
                ring.collected = event.new
        yield event

    def _store(self, event: Event) -> Iterator[Happened]:
        address, end = event.place, event.place + event.many
        while address < end:
            at = bisect_right(self._starts, address) - 1
            if at < 0:
                return
            ring, area, start, length = self._areas[at]
            offset = address - start
            if offset >= length:
                return
            name, index, inside, width = ring.field(area, offset, end - address)
            shift = 8 * (address - event.place)
            mask = (1 << 8 * width) - 1
            old, new = event.old >> shift & mask, event.new >> shift & mask
            ring.write(area, offset, new, width)
            stored = Stored(ring, event.side, name, index, inside, width, old, new, event.number, event.queue)
            yield stored
            yield from ring.follow(stored.area, stored.index, event.side, old, new, event.number)
            address += width
