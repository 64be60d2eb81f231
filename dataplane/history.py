"""What happened so far, and every queue as it stood at any moment of it.

    history = History()
    history.anchor(source.keyframe())
    events = source.events(cursor)
    history.append(events.rows, events.lost)
    then = history.at(history.number_at(time))

A history takes the pulls of an event log (`Pair.events`) and images of moments (`Pair.keyframe`). Where
stores were journaled and one image is known, every moment is rebuilt to the byte, forward or backward from
it; where only operations were, a moment has its counts and says why the rings are empty. The oldest events go
when the budget is spent; the image moves on with them.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataplane.keyframe import Keyframe
from dataplane.past import counted, rebuild, seek
from dataplane.past.chunk import CHUNK, AnyChunk, Chunk, cut, make_chunk
from dataplane.past.image import Anchor, anchor_of
from dataplane.past.moments import Moment, Moments, moments
from dataplane.past.order import Order
from dataplane.past.reel import LEVEL_STORES, NOTHING, Piece, Reel, Stretch, Tail
from dataplane.past.seek import Density, Part, Unit
from dataplane.past.walk import Walker, moved
from dataplane.records import EVENT, Kind
from dataplane.snapshot import AnyQueue, Array, Snapshot
from dataplane.source import TraceLevel

__all__ = ["Density", "History", "Moment", "Moments", "Part", "Reach", "Unit"]

_KEPT = 8  #: snapshots
_PIECE_BYTES = 8 << 10  #: of the budget that a piece takes at least
_LEAST = 2  #: pieces that are kept whatever the budget
_LEVELS: tuple[TraceLevel, ...] = ("off", "operations", "stores")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a history reaches. Event numbers; all 0 where there is nothing yet.

    `last` is complete: nothing up to it is still to come. `exact` are the ranges of moments in which memory
    can be rebuilt; the moment before the first event may be one. `gaps` are the events behind which something
    is missing: it was overwritten before it was read, or not journaled at all.
    """

    first: int
    last: int
    first_time: int  #: ns since the epoch
    last_time: int
    exact: tuple[tuple[int, int], ...]
    gaps: tuple[int, ...]

    def is_exact(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.exact)


class History:
    """See the module. One thread appends, any number read."""

    def __init__(self, budget_bytes: int = 64 << 20) -> None:
        self.budget_bytes = budget_bytes
        self._lock = threading.Lock()  # what is kept
        self._walking = threading.Lock()  # the walker, and snapshots made
        self._order = Order()
        self._pieces: list[Piece] = []
        self._tail = np.empty(CHUNK, EVENT)  # rows are only ever added to it, so slices of it may be shared
        self._held = 0
        self._tail_gap = False
        self._serial = 0
        self._bytes = 0
        self._anchors: list[Anchor] = []
        self._bases: tuple[counted.Base, ...] = ()  # by number; never changed, only replaced
        self._reel: Reel | None = None
        self._walker = Walker()
        self._made: OrderedDict[tuple[int, frozenset[int] | None, int], Snapshot] = OrderedDict()

    @classmethod
    def of(cls, chunks: Iterable[AnyChunk], keyframes: Iterable[Keyframe]) -> History:
        """Of what a recording holds; nothing of it is copied or dropped. Chunks come by number."""
        history = cls(budget_bytes=1 << 62)
        history.extend(chunks, keyframes)
        return history

    # ---- taking in --------------------------------------------------------------------------------------

    def append(self, rows: Array, lost: int = 0) -> None:
        """The rows (EVENT) of one pull, and how many were lost before or among them.

        Sorted within; pulls may overlap: rows wait until every number before theirs has come.
        """
        for run in self._order.take(rows, lost):
            with self._lock:
                if run.gap:
                    self._seal()
                    self._tail_gap = True
                self._take(run.rows)
                self._reel = None
        if self._bytes + self._tail.nbytes > self.budget_bytes:
            self._drop()

    def anchor(self, keyframe: Keyframe) -> None:
        """The image of a moment. It may come before the events that lead to it.

        One in a range that has an image already is not needed. ValueError, in one line, for one whose parts
        do not fit each other.
        """
        reel = self._now
        known = reel.stretch(keyframe.number)
        if known is None or self._news(keyframe, known):
            self._remember([keyframe])
        if known is None:
            self._put_aside(anchor_of(keyframe))

    def extend(self, chunks: Iterable[AnyChunk], keyframes: Iterable[Keyframe]) -> None:
        """Later chunks and keyframes of a recording that is still being written."""
        with self._lock:
            for chunk in chunks:
                if not self._pieces or chunk.first > self._pieces[-1].last:
                    self._add(chunk, bool(self._pieces) and chunk.first != self._pieces[-1].last + 1)
            self._reel = None
        keyframes = list(keyframes)
        self._remember(keyframes)
        for keyframe in keyframes:
            self._put_aside(anchor_of(keyframe))

    def _remember(self, keyframes: Sequence[Keyframe]) -> None:
        """Keeps what keyframes tell beside their images."""
        told = [counted.Base(keyframe.number, keyframe.base, keyframe.shapes) for keyframe in keyframes]
        self._bases = tuple(sorted([*self._bases, *told], key=lambda base: base.number))

    def _news(self, keyframe: Keyframe, known: Stretch) -> bool:
        """Whether a keyframe in an exact range tells of the device what the one before it did not."""
        before = self._base(keyframe.number)
        if before is None or not known.first <= before.number <= keyframe.number:
            return True
        a, b = before.snapshot, keyframe.base
        return (a.config, a.queue_pairs, a.status) != (b.config, b.queue_pairs, b.status)

    def _put_aside(self, anchor: Anchor) -> None:
        with self._lock:
            if all(known.number != anchor.number for known in self._anchors):
                insort(self._anchors, anchor, key=lambda a: a.number)
                self._bytes += anchor.nbytes
                self._reel = None

    def _take(self, rows: Array) -> None:
        """Rows that follow each other, into the tail and, where it is full, into pieces."""
        while len(rows):
            room = len(self._tail) - self._held
            if len(rows) <= room:
                self._tail[self._held : self._held + len(rows)] = rows
                self._held += len(rows)
                return
            whole = np.flatnonzero(rows["kind"][:room] != Kind.OWN)
            if len(whole):
                at = int(whole[-1]) + 1
                self._tail[self._held : self._held + at] = rows[:at]
                self._held += at
                rows = rows[at:]
            elif not self._held:  # one event with more rows than a chunk has
                at = len(next(cut(rows)))
                self._add(make_chunk(rows[:at].copy()), self._tail_gap)
                self._tail_gap = False
                rows = rows[at:]
            self._seal()

    def _seal(self) -> None:
        """The tail becomes a piece."""
        if self._held:
            rows = self._tail[: self._held] if self._held > CHUNK // 2 else self._tail[: self._held].copy()
            self._tail = np.empty(CHUNK, EVENT)  # who holds a slice of the old one reads on in it
            self._add(make_chunk(rows), self._tail_gap)
            self._tail_gap, self._held = False, 0

    def _add(self, chunk: AnyChunk, gap: bool) -> None:
        self._pieces.append(Piece(chunk, self._serial, gap))
        self._serial += 1
        self._bytes += _cost(chunk)

    def _current(self) -> Reel:
        """Everything as it stands; under the lock."""
        if self._reel is None:
            pieces = list(self._pieces)
            if self._held:
                rows = self._tail[: self._held]
                rows.flags.writeable = False
                pieces.append(Piece(Tail(rows), self._serial, self._tail_gap, sealed=False))
            self._reel = Reel(tuple(pieces), tuple(self._anchors))
        return self._reel

    @property
    def _now(self) -> Reel:
        with self._lock:
            return self._current()

    # ---- the budget -------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Lets the oldest pieces go, some at once, and takes the image that begins with them along."""
        reel = self._now
        over = self._bytes + self._tail.nbytes - self.budget_bytes * 7 // 8
        drop = 0
        while over > 0 and drop < len(self._pieces) - _LEAST:
            over -= _cost(self._pieces[drop].chunk)
            drop += 1
        if not drop:
            return
        last = self._pieces[drop - 1].last
        anchors = [anchor for anchor in self._anchors if anchor.number >= last]
        begin = reel.stretch(last)
        if (
            begin is not None
            and begin.last > last
            and begin.anchor is not None
            and begin.anchor.number < last
        ):
            anchors.insert(0, moved(reel, begin, last))
        with self._lock:
            del self._pieces[:drop]
            self._anchors = anchors
            older = sum(base.number <= last for base in self._bases)
            self._bases = self._bases[max(older - 1, 0) :]
            self._bytes = sum(_cost(p.chunk) for p in self._pieces) + sum(a.nbytes for a in anchors)
            self._reel = None
            serial = self._pieces[0].serial
        with self._walking:
            self._walker.forget(serial)

    # ---- what there is ----------------------------------------------------------------------------------

    @property
    def reach(self) -> Reach:
        """How far back it goes, and where it is exact."""
        reel = self._now
        exact = tuple((stretch.first, stretch.last) for stretch in reel.stretches)
        if not reel.pieces:
            first, last = (exact[0][0], exact[-1][1]) if exact else (0, 0)
            times = [anchor.time for anchor in reel.anchors] or [0]
            return Reach(first, last, times[0], times[-1], exact, ())
        end = reel.pieces[-1].last_time
        return Reach(reel.first, reel.last, reel.first_times[0], end, exact, reel.gaps)

    @property
    def kept(self) -> tuple[Part, ...]:
        """The events that are kept, in parts between which some are missing: all as of one moment, however
        fast the oldest go."""
        return seek.parts(self._now)

    def rows(self, first: int, last: int, own: bool = False) -> Array:
        """The events with numbers from `first` to `last`; with `own` the rows of kind OWN before theirs."""
        found = list(self._now.slices(first, last))
        rows = np.concatenate(found) if len(found) > 1 else found[0] if found else NOTHING
        if not own:
            kind = rows["kind"].copy()
            if (kind == Kind.OWN).any():
                rows = rows[kind != Kind.OWN]
        rows = rows.view()
        rows.flags.writeable = False
        return rows

    def row(self, number: int) -> np.void | None:
        """The event with this number; None where it is not kept."""
        return self._now.row(number)

    def time_of(self, number: int) -> int:
        """Nanoseconds since the epoch. LookupError where the event is not kept."""
        return self._now.time_of(number)

    def number_at(self, time: int) -> int:
        """The last event at or before a time; the first one where all are later, 0 where there is none."""
        return self._now.number_at(time)

    def step(self, number: int, unit: Unit, by: int, queue: int | None = None) -> int:
        """Where so many units on (or back, below 0) lead from an event; clamped to the reach.

        `queue`: only its stores, operations, packets. A lap is as many buffers used as the queue has
        descriptors; without a queue the one that used a buffer last. LookupError where nothing is kept.
        """
        sizes = {shape.index: shape.size for base in self._bases[-1:] for shape in base.shapes}
        return seek.step(self._now, number, unit, by, queue, sizes)

    def last_write(self, address: int, length: int, before: int) -> np.void | None:
        """The newest STORE up to event `before` that touched these bytes; None where none is kept."""
        return seek.last_write(self._now, address, length, before)

    def moments(self, queue: int, position: int, near: int | None = None) -> Moments:
        """The way of the buffer published as number `position` of a queue.

        `near`: an event of the life that is meant, where the queue was reset in between; None: the newest.
        """
        return moments(self._now, queue, position, near)

    def density(self, bins: int, first: int | None = None, last: int | None = None) -> Density:
        """How much happened in each part of the events `first` to `last`, or of all."""
        return seek.density(self._now, bins, first, last)

    def density_between(
        self, bins: int, first_time: int | None = None, last_time: int | None = None
    ) -> Density:
        """The same in parts of equal time, in ns since the epoch."""
        return seek.density_between(self._now, bins, first_time, last_time)

    # ---- moments ----------------------------------------------------------------------------------------

    def at(self, number: int, whole: Collection[int] | None = None) -> Snapshot:
        """The moment after event `number`; `whole` names the queues whose rows are wanted, None: all.

        LookupError, in one line, where the journal does not reach.
        """
        reel = self._now
        stretch = reel.stretch(number)
        if stretch is None:
            reel.index(number)
        key = number, None if whole is None else frozenset(whole), stretch is not None
        with self._walking:
            made = self._made.get(key)
            if made is None:
                made = self._exact(reel, stretch, number, whole) if stretch else self._counted(reel, number)
                self._made[key] = made
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            else:
                self._made.move_to_end(key)
        return made

    def memory(self, number: int, address: int, length: int) -> bytes:
        """Ring memory at the moment after an event. LookupError where it is not known."""
        reel = self._now
        with self._walking:
            return self._walker.image(reel, self._stretch(reel, number), number).read(address, length)

    def image(self, number: int) -> Keyframe:
        """The whole exact image of the moment after an event. LookupError where it is not known."""
        reel = self._now
        stretch = self._stretch(reel, number)
        base = self.at(number, ())
        with self._walking:
            image = self._walker.image(reel, stretch, number)
            every = range(len(image.plan.shapes))
            memory, own = tuple(map(image.memory, every)), tuple(map(image.own, every))
        return Keyframe(number, base.time, base, image.plan.shapes, memory, own)

    @staticmethod
    def _stretch(reel: Reel, number: int) -> Stretch:
        stretch = reel.stretch(number)
        if stretch is None:
            reel.index(number)
            raise LookupError(f"memory is not known at event {number:,}: {_why(reel, number)}")
        return stretch

    def _base(self, number: int) -> counted.Base | None:
        """What the last keyframe up to a moment told, or else the first behind it."""
        bases = self._bases
        at = bisect_right(bases, number, key=lambda base: base.number) - 1
        return bases[max(at, 0)] if bases else None

    def _device(self, reel: Reel, base: counted.Base, number: int) -> Snapshot:
        """The device at a moment, without its queues."""
        level = reel.level(number)
        snapshot = base.snapshot
        return replace(
            snapshot,
            state="past",
            status=_status(reel, base, number),
            config_generation=_generation(reel, base, number),
            queue_pairs=_queue_pairs(reel, base, number),
            number=number,
            time=reel.time_of(number),
            logs=replace(
                snapshot.logs,
                events=number,
                trace_level=_LEVELS[level] if level is not None else snapshot.logs.trace_level,
            ),
            queues=(),
            notes=(),
        )

    def _exact(self, reel: Reel, stretch: Stretch, number: int, whole: Collection[int] | None) -> Snapshot:
        base = self._base(number)
        if base is None:
            raise LookupError("nothing is known of the device: there was no keyframe")
        image = self._walker.image(reel, stretch, number)
        device = self._device(reel, base, number)
        queues = [
            rebuild.from_areas(
                shape, image.areas(i), image.own(i), device.time, whole is None or shape.index in whole
            )
            for i, shape in enumerate(image.plan.shapes)
        ]
        return replace(device, queues=tuple(queues))

    def _counted(self, reel: Reel, number: int) -> Snapshot:
        base = self._base(number)
        if base is None:
            raise LookupError("nothing is known of the device: there was no keyframe")
        account = counted.Account(reel, number, base)
        device = self._device(reel, base, number)
        shapes = {shape.index: shape for shape in base.shapes}
        queues: list[AnyQueue] = [
            counted.queue(account, queue, shapes[queue.index], device.time)
            for queue in base.snapshot.queues
            if queue.index in shapes
        ]
        stale = f"a buffer counts as one descriptor; frames and bytes are those of event {base.number:,}"
        return replace(device, queues=tuple(queues), notes=(_why(reel, number), stale))


def _status(reel: Reel, base: counted.Base, number: int) -> int:
    if base.number > number:
        mark = reel.mark_behind(number, Kind.STATUS)
        return (
            int(mark["old"]) if mark is not None and mark["number"] <= base.number else base.snapshot.status
        )
    mark = reel.mark(number, Kind.STATUS)
    return int(mark["new"]) if mark is not None and mark["number"] > base.number else base.snapshot.status


def _generation(reel: Reel, base: counted.Base, number: int) -> int:
    mark = reel.mark(number, Kind.CONFIG)
    if mark is not None and mark["number"] > base.number:
        return int(mark["new"])
    return base.snapshot.config_generation


def _queue_pairs(reel: Reel, base: counted.Base, number: int) -> int:
    """How many are in use: every answer to a command of the control queue says it (5.1.6.5.5)."""
    mark = reel.mark(number, Kind.CONTROL)
    if mark is not None and (mark["number"] > base.number or base.number > number):
        return int(mark["old"])
    if mark is None and base.number > number and reel.mark_behind(number, Kind.CONTROL) is not None:
        return min(base.snapshot.queue_pairs, 1)  # what a device begins with
    return base.snapshot.queue_pairs


def _why(reel: Reel, number: int) -> str:
    """Why memory is not known at a moment."""
    if reel.level(number) == LEVEL_STORES:
        return "events before this were lost, and no image of the rings is known"
    return "stores were not journaled here: t raises the trace level"


def _cost(chunk: AnyChunk) -> int:
    return max(chunk.nbytes, _PIECE_BYTES) if isinstance(chunk, Chunk) else 0
