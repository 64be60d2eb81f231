"""The pieces of a history in their order, as they stand at one moment: nothing in it changes any more.

Within a piece the event numbers have no gap. From one moment to the next ring memory can be followed where
stores were journaled (trace level stores), nothing is missing, and no queue was reset: such a range is exact
as soon as the image of one moment in it is known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from dataplane.past.chunk import AnyChunk, changes, net
from dataplane.past.image import Anchor
from dataplane.past.tally import MARKED, STORED, Tally, tally
from dataplane.records import EVENT, Kind
from dataplane.snapshot import Array

LEVEL_STORES = 2
_LEVELS = frozenset((Kind.FREEZE, Kind.RUN, Kind.LEVEL))
NOTHING: Array = np.zeros(0, EVENT)


class Tail:
    """The newest rows, not a chunk yet."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.first, self.last = int(rows["number"][0]), int(rows["number"][-1])
        self.first_time, self.last_time = int(rows["time"][0]), int(rows["time"][-1])
        self.count = len(rows)
        self.kinds = None

    @cached_property
    def effect(self) -> Array:
        return net(changes(self.rows))


class Piece:
    """A chunk in a history. `gap`: something is missing before it; `serial` goes up by one a piece.

    One that is not `sealed` still grows: the next reel has a longer one in its place.
    """

    __slots__ = ("_tally", "chunk", "first", "first_time", "gap", "last", "last_time", "sealed", "serial")

    def __init__(self, chunk: AnyChunk, serial: int, gap: bool, sealed: bool = True) -> None:
        self.chunk = chunk
        self.serial = serial
        self.gap = gap
        self.sealed = sealed
        self.first, self.last = chunk.first, chunk.last
        self.first_time, self.last_time = chunk.first_time, chunk.last_time
        self._tally: Tally | None = None

    @property
    def rows(self) -> Array:
        return self.chunk.rows

    @property
    def tally(self) -> Tally:
        """Made when it is first asked for; two threads may both make it."""
        made = self._tally
        if made is None:
            made = self._tally = tally(self.chunk.rows)
        return made

    @property
    def marks(self) -> Array:
        """Its events of the kinds that concern everything."""
        return self.tally.marks if self._has(MARKED) else NOTHING

    @property
    def stores(self) -> bool:
        """Whether it has rows that only trace level stores tells."""
        return self._has(STORED) and (self.chunk.kinds is not None or self.tally.stores)

    def _has(self, kinds: Sequence[Kind]) -> bool:
        """Whether it has, or may have, events of these kinds."""
        counts = self.chunk.kinds
        return counts is None or any(kind < len(counts) and counts[kind] for kind in kinds)

    @property
    def tallied(self) -> bool:
        return self._tally is not None

    def upto(self, number: int) -> int:
        """How many of its rows have no higher number."""
        if number >= self.last:
            return len(self.rows)
        return bisect_right(self.rows["number"], number)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Moments from `first` to `last` between which memory can be followed, and an image of one of them."""

    first: int
    last: int
    anchor: Anchor | None


@dataclass(frozen=True)
class Reel:
    """Pieces, oldest first, and images put aside, by number."""

    pieces: tuple[Piece, ...]
    anchors: tuple[Anchor, ...]

    @cached_property
    def firsts(self) -> list[int]:
        return [piece.first for piece in self.pieces]

    @cached_property
    def first_times(self) -> list[int]:
        """Never going down, whatever the pieces say."""
        return list(accumulate((piece.first_time for piece in self.pieces), max))

    @property
    def first(self) -> int:
        """Number of the first event, 0 where there is none."""
        return self.pieces[0].first if self.pieces else 0

    @property
    def last(self) -> int:
        return self.pieces[-1].last if self.pieces else 0

    def index(self, number: int) -> int:
        """The piece that has this event; LookupError in one line."""
        at = bisect_right(self.firsts, number) - 1
        if at >= 0 and number <= self.pieces[at].last:
            return at
        if not self.pieces:
            raise LookupError("nothing has been journaled yet")
        if 0 <= at < len(self.pieces) - 1:
            before, after = self.pieces[at].last, self.pieces[at + 1].first
            raise LookupError(f"events {before + 1:,} to {after - 1:,} are missing: the log was overwritten")
        raise LookupError(
            f"event {number:,} is beyond the journal, which has {self.first:,} to {self.last:,}"
        )

    def before(self, number: int) -> int:
        """How many pieces begin at this event or before it."""
        return bisect_right(self.firsts, number)

    def row(self, number: int) -> np.void | None:
        """The event itself; None where it is not kept."""
        try:
            piece = self.pieces[self.index(number)]
        except LookupError:
            return None
        at = piece.upto(number)
        row: np.void = piece.rows[at - 1]
        return row if at and int(row["number"]) == number else None

    def slices(self, first: int, last: int) -> Iterator[Array]:
        """The rows with numbers from `first` to `last`, piece by piece."""
        for piece in self.pieces[max(self.before(first) - 1, 0) : self.before(last)]:
            if piece.last < first:
                continue
            low = 0 if first <= piece.first else piece.upto(first - 1)
            rows = piece.rows[low : piece.upto(last)]
            if len(rows):
                yield rows

    @cached_property
    def totals(self) -> npt.NDArray[np.int64]:
        """What the pieces before each hold, by column of their grids."""
        held = np.array([piece.tally.grid[-1] for piece in self.pieces], np.int64).reshape(-1, 4)
        totals: npt.NDArray[np.int64] = np.concatenate([np.zeros((1, 4), np.int64), held.cumsum(axis=0)])
        return totals

    # ---- time -------------------------------------------------------------------------------------------

    def time_of(self, number: int) -> int:
        row = self.row(number)
        if row is not None:
            return int(row["time"])
        for anchor in self.anchors:
            if anchor.number == number:
                return anchor.time
        behind = bisect_right(self.firsts, number + 1) - 1
        if behind >= 0 and self.firsts[behind] == number + 1:
            return self.pieces[behind].first_time  # undoing what comes next leads there
        self.index(number)
        raise LookupError(f"event {number:,} is not in the journal")

    def time_upto(self, number: int) -> int:
        """The time of the last event up to this one, or of the first."""
        at = self.before(number) - 1
        if at < 0:
            return self.pieces[0].first_time if self.pieces else 0
        piece = self.pieces[at]
        if number >= piece.last:
            return piece.last_time
        return int(piece.rows["time"][max(piece.upto(number) - 1, 0)])

    def number_at(self, time: int) -> int:
        """The last event at or before a time; the first event where all are later."""
        for at in range(bisect_right(self.first_times, time) - 1, -1, -1):
            piece = self.pieces[at]
            if piece.last_time <= time:
                return piece.last
            rows = piece.rows
            found = np.flatnonzero((rows["time"] <= max(time, 0)) & (rows["kind"] != Kind.OWN))
            if len(found):
                return int(rows["number"][found[-1]])
        return self.first

    # ---- what concerns everything -----------------------------------------------------------------------

    @cached_property
    def marks(self) -> tuple[np.void, ...]:
        """The events of the kinds that a tally marks, in order."""
        return tuple(mark for piece in self.pieces for mark in piece.marks)

    @cached_property
    def _mark_numbers(self) -> list[int]:
        return [int(mark["number"]) for mark in self.marks]

    def mark(self, number: int, *kinds: Kind) -> np.void | None:
        """The last event of these kinds up to `number`."""
        for at in range(bisect_right(self._mark_numbers, number) - 1, -1, -1):
            if int(self.marks[at]["kind"]) in kinds:
                return self.marks[at]
        return None

    def mark_behind(self, number: int, *kinds: Kind) -> np.void | None:
        """The first event of these kinds behind `number`."""
        for at in range(bisect_right(self._mark_numbers, number), len(self.marks)):
            if int(self.marks[at]["kind"]) in kinds:
                return self.marks[at]
        return None

    def level(self, number: int) -> int | None:
        """The trace level in force behind an event, None where nothing tells."""
        mark = self.mark(number, *_LEVELS)
        if mark is not None:
            return min(int(mark["new"]), LEVEL_STORES)
        mark = self.mark_behind(number, *_LEVELS)
        return min(int(mark["old"]), LEVEL_STORES) if mark is not None else None

    def since(self, number: int, run: int) -> int:
        """From which event on nothing is missing up to this one, in the run that begins with piece `run`."""
        for at in range(bisect_right(self._mark_numbers, number) - 1, -1, -1):
            mark = self.marks[at]
            if int(mark["kind"]) in _LEVELS and int(mark["old"]) == 0:
                return max(int(mark["number"]), self.pieces[run].first)
        return self.pieces[run].first

    # ---- what can be rebuilt ----------------------------------------------------------------------------

    @cached_property
    def gaps(self) -> tuple[int, ...]:
        """Numbers of events behind which something is missing: lost, or not journaled at all."""
        found = [a.last for a, b in pairwise(self.pieces) if b.gap or b.first != a.last + 1]
        found += [int(mark["number"]) for mark in self.marks if _level(mark) == 0]
        return tuple(sorted(n for n in set(found) if n < self.last))

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Positions of pieces [first, last] between two gaps."""
        edges = [0]
        edges += [i for i, (a, b) in enumerate(pairwise(self.pieces), 1) if b.gap or b.first != a.last + 1]
        return tuple((a, b - 1) for a, b in pairwise([*edges, len(self.pieces)]) if b > a)

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Every range whose image is known, in order; a moment of its own is one too."""
        walkable = [
            stretch for run in self.runs for stretch in self._walkable(self.pieces[run[0] : run[1] + 1])
        ]
        found, lone = [], []
        starts = [first for first, _ in walkable]
        anchors: dict[int, Anchor] = {}
        for anchor in self.anchors:
            at = bisect_right(starts, anchor.number) - 1
            if at >= 0 and anchor.number <= walkable[at][1]:
                anchors.setdefault(at, anchor)
            else:
                lone.append(Stretch(anchor.number, anchor.number, anchor))
        found = [Stretch(*walkable[at], anchor) for at, anchor in anchors.items()]
        return tuple(sorted([*found, *lone], key=lambda stretch: (stretch.first, stretch.last)))

    def stretch(self, number: int) -> Stretch | None:
        """The exact range that holds the moment after an event."""
        at = bisect_right(self._stretch_firsts, number) - 1
        if at >= 0 and number <= self.stretches[at].last:
            return self.stretches[at]
        return None

    @cached_property
    def _stretch_firsts(self) -> list[int]:
        return [stretch.first for stretch in self.stretches]

    @staticmethod
    def _walkable(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
        """Ranges of moments between which memory can be followed, in pieces without a gap."""
        marks = [mark for piece in pieces for mark in piece.marks]
        levels = [mark for mark in marks if int(mark["kind"]) in _LEVELS]
        stored = int(levels[0]["old"]) == LEVEL_STORES if levels else any(piece.stores for piece in pieces)
        found = []
        begin = pieces[0].first - 1  # undoing the first event leads to the moment before it
        for mark in marks:
            number = int(mark["number"])
            if int(mark["kind"]) in _LEVELS:
                now = _level(mark) == LEVEL_STORES
                if stored and not now:
                    found.append((begin, number))
                elif now and not stored:
                    begin = number
                stored = now
            elif int(mark["kind"]) == Kind.QUEUE_RESET and stored:
                found.append((begin, number - 1))
                begin = number
        if stored:
            found.append((begin, pieces[-1].last))
        return [(first, last) for first, last in found if first < last]


def _level(mark: np.void) -> int:
    """The trace level that begins with an event; -1: it is of no such kind."""
    return int(mark["new"]) if int(mark["kind"]) in _LEVELS else -1
