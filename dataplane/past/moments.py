"""The way of one buffer, as event numbers: added, made available, seen, completed, used, collected.

A buffer is named by its publication count. Operations tell counts, so its events are found by comparing them.
What a device completed, and what a driver collected, is told in the order of completion: out of order that is
another buffer's count. There the private words tell, where stores were journaled: they name the buffer's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dataplane.keyframe import own_dtype
from dataplane.past.reel import Piece, Reel
from dataplane.past.tally import Sort
from dataplane.records import Kind
from dataplane.snapshot import Array

Mask = npt.NDArray[np.bool_]

_IDS = int(own_dtype(1).fields["ids"][1])  # type: ignore[index]  # byte of the first id's row
_ID_BYTES = 32
_TAKEN = 16  #: byte of the word `taken` in it

_WORDS = {
    Kind.ADD: "descriptors written",
    Kind.PUBLISH: "made available",
    Kind.KICK: "kick sent",
    Kind.KICK_QUIET: "no kick wanted",
    Kind.NEXT: "taken by the device",
    Kind.COMPLETE: "used element written",
    Kind.FLUSH: "made visible as used",
    Kind.CALL: "call sent",
    Kind.CALL_QUIET: "no call wanted",
    Kind.COLLECT: "collected by the driver",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One event on the way; `number` 0: it is not known, or has not come yet."""

    number: int = 0
    time: int = 0  #: ns since the epoch
    kind: Kind | None = None

    @property
    def words(self) -> str:
        return _WORDS.get(self.kind, "") if self.kind is not None else ""

    def __bool__(self) -> bool:
        return self.number > 0


@dataclass(frozen=True, slots=True)
class Moments:
    """The way of the buffer published as number `position` of a queue.

    `id`: its buffer id (packed) or head (split), -1 where stores were not journaled. `ordered`: completed and
    collected are told by counts alone, which holds where buffers are used in the order they became available.
    """

    queue: int
    position: int
    id: int = -1
    ordered: bool = True
    added: Moment = field(default=Moment())
    available: Moment = field(default=Moment())
    kick: Moment = field(default=Moment())  #: the decision that followed
    seen: Moment = field(default=Moment())
    completed: Moment = field(default=Moment())
    used: Moment = field(default=Moment())
    call: Moment = field(default=Moment())
    collected: Moment = field(default=Moment())

    @property
    def kick_sent(self) -> bool | None:
        """None: no decision is known."""
        return self.kick.kind == Kind.KICK if self.kick else None

    @property
    def call_sent(self) -> bool | None:
        return self.call.kind == Kind.CALL if self.call else None

    @property
    def known(self) -> tuple[Moment, ...]:
        """Those that are known, in their order."""
        every = (
            self.added,
            self.available,
            self.kick,
            self.seen,
            self.completed,
            self.used,
            self.call,
            self.collected,
        )
        return tuple(moment for moment in every if moment)


def moments(reel: Reel, queue: int, position: int, near: int | None) -> Moments:
    """Counts begin anew when a queue is reset: `near` is an event of the life that is meant, None: the newest
    in which there was such a buffer."""
    for life in _lives(reel, queue, near):
        way = _Way(reel, queue, position, life)
        if way.added or way.available or way.seen:
            return way.moments()
    return Moments(queue, position)


def _lives(reel: Reel, queue: int, near: int | None) -> list[tuple[int, int]]:
    """Ranges of events between two resets of a queue, the newest first."""
    resets = [
        int(mark["number"])
        for mark in reel.marks
        if int(mark["kind"]) == Kind.QUEUE_RESET and int(mark["place"]) == queue
    ]
    edges = [reel.first - 1, *resets, reel.last]
    lives = [(a + 1, b) for a, b in pairwise(edges)]
    if near is not None:
        lives = [life for life in lives if life[0] <= near <= life[1]]
    return lives[::-1]


def _moment(row: np.void | None) -> Moment:
    return Moment() if row is None else Moment(int(row["number"]), int(row["time"]), Kind(int(row["kind"])))


@dataclass(frozen=True)
class _Way:
    """One buffer in one life of its queue, looked for as it is asked for."""

    reel: Reel
    queue: int
    position: int
    life: tuple[int, int]

    def moments(self) -> Moments:
        told = self._told
        completed, collected = told if told is not None else (self._completed, self._collected)
        made_used = self._after(completed, Kind.FLUSH) if completed is not None else None
        if completed is None:  # the journal may begin behind it
            made_used = self._ranged(Sort.USED, Kind.FLUSH)
        return Moments(
            self.queue,
            self.position,
            id=self._id,
            ordered=told is None,
            added=_moment(self.added),
            available=_moment(self.available),
            kick=_moment(self._after(self.available, Kind.KICK, Kind.KICK_QUIET)),
            seen=_moment(self.seen),
            completed=_moment(completed),
            used=_moment(made_used),
            call=_moment(self._after(made_used, Kind.CALL, Kind.CALL_QUIET)),
            collected=_moment(collected),
        )

    @cached_property
    def added(self) -> np.void | None:
        return self._counted(Sort.ADDED, Kind.ADD)

    @cached_property
    def available(self) -> np.void | None:
        return self._ranged(Sort.PUBLISHED, Kind.PUBLISH)

    @cached_property
    def seen(self) -> np.void | None:
        return self._counted(Sort.SEEN, Kind.NEXT)

    @property
    def _completed(self) -> np.void | None:
        return self._counted(Sort.COMPLETED, Kind.COMPLETE)

    @property
    def _collected(self) -> np.void | None:
        return self._ranged(Sort.COLLECTED, Kind.COLLECT)

    # ---- by counts --------------------------------------------------------------------------------------

    def _counted(self, sort: Sort, kind: Kind) -> np.void | None:
        """The event whose `place` and `count` cover the buffer."""
        wanted = np.uint64(self.position)

        def mask(rows: Array) -> Mask:
            covered: Mask = (rows["kind"] == kind) & (rows["queue"] == self.queue) & (rows["place"] <= wanted)
            return covered & (wanted - rows["place"] < rows["count"].astype(np.uint64))

        return self._find(sort, mask, lambda row: (int(row["place"]), int(row["place"]) + int(row["count"])))

    def _ranged(self, sort: Sort, kind: Kind) -> np.void | None:
        """The event whose `old` and `new` cover it."""
        wanted = np.uint64(self.position)

        def mask(rows: Array) -> Mask:
            covered: Mask = (rows["kind"] == kind) & (rows["queue"] == self.queue)
            covered &= (rows["old"] <= wanted) & (wanted < rows["new"])
            return covered

        return self._find(sort, mask, lambda row: (int(row["old"]), int(row["new"])))

    def _find(
        self, sort: Sort, mask: Callable[[Array], Mask], span: Callable[[np.void], tuple[int, int]]
    ) -> np.void | None:
        """The newest such event of this life. In a piece within it, counts only go up."""
        key = self.queue, sort
        low, high = self.life
        pieces = self.reel.pieces[max(self.reel.before(low) - 1, 0) : self.reel.before(high)]
        for piece in reversed(pieces):
            first, last = piece.tally.first.get(key), piece.tally.last.get(key)
            if first is None or last is None:
                continue
            inside = low <= piece.first and piece.last <= high
            if inside and not span(first)[0] <= self.position < span(last)[1]:
                continue
            rows = self._within(piece)
            hits = np.flatnonzero(mask(rows))
            if len(hits):
                row: np.void = rows[hits[-1]]
                return row
        return None

    def _within(self, piece: Piece) -> Array:
        low, high = self.life
        return piece.rows[0 if low <= piece.first else piece.upto(low - 1) : piece.upto(high)]

    # ---- what follows -----------------------------------------------------------------------------------

    def _behind(self, row: np.void) -> Iterator[Piece]:
        """The pieces with what comes after an event, until something is missing or the queue is reset."""
        at = self.reel.index(int(row["number"]))
        run = next(run for run in self.reel.runs if run[0] <= at <= run[1])
        for piece in self.reel.pieces[at : run[1] + 1]:
            if piece.first > self.life[1]:
                return
            yield piece

    def _after(self, row: np.void | None, *kinds: Kind) -> np.void | None:
        """The first event of these kinds on the queue behind another."""
        if row is None:
            return None
        number = int(row["number"])
        for piece in self._behind(row):
            rows = self._within(piece)
            hits = np.flatnonzero(
                np.isin(rows["kind"], kinds) & (rows["queue"] == self.queue) & (rows["number"] > number)
            )
            if len(hits):
                found: np.void = rows[hits[0]]
                return found
        return None

    # ---- by private words -------------------------------------------------------------------------------

    @cached_property
    def _id(self) -> int:
        """The id under which the driver remembers the buffer."""
        if self.added is None:
            return -1
        number = int(self.added["number"])
        for rows in self.reel.slices(number, number):
            own = rows[(rows["kind"] == Kind.OWN) & (rows["queue"] == self.queue)]
            words = own["place"].astype(np.int64) - _IDS
            hits = np.flatnonzero(
                (words >= 0) & (words % _ID_BYTES == 0) & (own["new"] == np.uint64(self.position + 1))
            )
            if len(hits):
                return int(words[hits[-1]]) // _ID_BYTES
        return -1

    @property
    def _told(self) -> tuple[np.void | None, np.void | None] | None:
        """Completed and collected as the private words tell them; None where they do not."""
        if self._id < 0 or self.seen is None:
            return None
        row = _IDS + _ID_BYTES * self._id
        completed = self._cleared(self.seen, row + _TAKEN, 1)
        return completed, self._cleared(self.seen, row, self.position + 1)

    def _cleared(self, after: np.void, place: int, old: int) -> np.void | None:
        """The event behind `after` with which a private word lost this value."""
        number = int(after["number"])
        for piece in self._behind(after):
            effect: Any = piece.chunk.effect
            if not ((effect["place"] == place) & (effect["kind"] == Kind.OWN)).any():
                continue
            rows = self._within(piece)
            hits = np.flatnonzero(
                (rows["kind"] == Kind.OWN)
                & (rows["queue"] == self.queue)
                & (rows["place"] == place)
                & (rows["old"] == np.uint64(old))
                & (rows["new"] != np.uint64(old))
                & (rows["number"] > number)
            )
            if len(hits):
                return self.reel.row(int(rows["number"][hits[0]]))
        return None
