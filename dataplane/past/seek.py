"""Ways through a reel: stores, operations, packets, seconds or laps on or back; who wrote a word last.

Each looks at the tallies of whole pieces first, and at rows only where it must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dataplane.past.reel import Piece, Reel
from dataplane.past.tally import OPERATIONS, PACKETS, STEP, STORES, TROUBLE, columns
from dataplane.records import Kind
from dataplane.snapshot import Array

Unit = Literal["event", "store", "operation", "packet", "second", "lap"]
SECOND = 1_000_000_000
_LAP = 256  #: buffers of a lap where the size of the queue is not known

Mask = npt.NDArray[np.bool_]
Amounts = npt.NDArray[np.int64]


# ---- steps ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Events among which none is missing."""

    first: int
    last: int
    first_time: int  #: ns since the epoch
    last_time: int


def parts(reel: Reel) -> tuple[Part, ...]:
    """All that a reel holds, oldest first."""
    if not reel.pieces:
        return ()
    behind = {a.last: b.first for a, b in pairwise(reel.pieces)}
    found, first = [], reel.first
    for gap in (*reel.gaps, reel.last):
        found.append(Part(first, gap, reel.time_of(first), reel.time_of(gap)))
        if gap < reel.last:
            first = behind.get(gap) or _events(reel, gap, 1)
    return tuple(found)


def step(reel: Reel, number: int, unit: Unit, by: int, queue: int | None, sizes: Mapping[int, int]) -> int:
    """The event that a step leads to; the first or the last of the reel where there are no more.

    LookupError where the reel is empty; ValueError for an unknown unit.
    """
    if not reel.pieces:
        raise LookupError("nothing has been journaled yet")
    number = min(max(number, reel.first), reel.last)
    if by == 0:
        return number
    if unit == "event":
        return _events(reel, number, by)
    if unit == "second":
        return _seconds(reel, number, by)
    if unit == "lap":
        which = _queue_at(reel, number) if queue is None else queue
        return _used(reel, number, by * sizes.get(which, _LAP), which)
    if unit not in _WANTED:
        raise ValueError(f"there is no step by {unit}: event, store, operation, packet, second or lap")
    return _matching(reel, number, by, unit, queue)


def _wanted(rows: Array, unit: str, queue: int | None) -> Mask:
    kind = rows["kind"].copy()
    if unit == "store":
        mask = kind == Kind.STORE
    elif unit == "packet":
        mask = kind == Kind.FLUSH
    else:
        mask = (kind != Kind.STORE) & (kind != Kind.OWN)
    if queue is not None:
        mask = mask & (rows["queue"] == queue)
    wanted: Mask = mask
    return wanted


_WANTED = {"store": STORES, "operation": OPERATIONS, "packet": PACKETS}


def _matching(reel: Reel, number: int, by: int, unit: str, queue: int | None) -> int:
    """The event of a kind that comes `by` such later, or earlier."""
    left = abs(by)
    for piece, rows in _from(reel, number, by > 0):
        if rows is None and piece.tallied and queue is None and unit != "packet":
            held = int(piece.tally.grid[-1, _WANTED[unit]])
            if held < left:
                left -= held
                continue
        rows = piece.rows if rows is None else rows
        hits = np.flatnonzero(_wanted(rows, unit, queue))
        if len(hits) >= left:
            return int(rows["number"][hits[left - 1] if by > 0 else hits[-left]])
        left -= len(hits)
    return reel.last if by > 0 else reel.first


def _from(reel: Reel, number: int, forward: bool) -> Iterator[tuple[Piece, Array | None]]:
    """(piece, its rows beyond an event, None: all) in the direction that is wanted."""
    at = reel.before(number) - 1
    piece = reel.pieces[at]
    if forward:
        yield piece, piece.rows[piece.upto(number) :]
        for further in reel.pieces[at + 1 :]:
            yield further, None
    else:
        yield piece, piece.rows[: piece.upto(number - 1)]
        for further in reversed(reel.pieces[:at]):
            yield further, None


def _events(reel: Reel, number: int, by: int) -> int:
    at = reel.before(number) - 1
    number = min(number, reel.pieces[at].last)
    while by > 0:
        room = reel.pieces[at].last - number
        if by <= room or at + 1 == len(reel.pieces):
            return number + min(by, room)
        at, by = at + 1, by - room - 1
        number = reel.pieces[at].first
    while by < 0:
        room = number - reel.pieces[at].first
        if -by <= room or at == 0:
            return number - min(-by, room)
        at, by = at - 1, by + room + 1
        number = reel.pieces[at].last
    return number


def _seconds(reel: Reel, number: int, by: int) -> int:
    """At least to the next event: who waits for nothing to happen is not stuck."""
    found = reel.number_at(reel.time_upto(number) + by * SECOND)
    if by > 0:
        return found if found > number else _events(reel, number, 1)
    return found if found < number else _events(reel, number, -1)


def _queue_at(reel: Reel, number: int) -> int:
    """The queue on which buffers were used last, or are used next."""
    for forward in (False, True):
        for piece, rows in _from(reel, number + (not forward), forward):
            rows = piece.rows if rows is None else rows
            hits = np.flatnonzero(_wanted(rows, "packet", None))
            if len(hits):
                return int(rows["queue"][hits[0 if forward else -1]])
    return 0


def _used(reel: Reel, number: int, by: int, queue: int) -> int:
    """Where so many more buffers of a queue have been used, or so many fewer had been."""
    left = abs(by)
    for piece, rows in _from(reel, number + (by < 0), by > 0):
        rows = piece.rows if rows is None else rows
        rows = rows[_wanted(rows, "packet", queue)]
        made = np.minimum(rows["new"] - rows["old"], np.uint64(1 << 16)).astype(np.int64)
        reached = np.cumsum(made if by > 0 else made[::-1])
        hit = int(np.searchsorted(reached, left))
        if hit < len(reached):
            if by > 0:
                return int(rows["number"][hit])
            return max(int(rows["number"][len(rows) - 1 - hit]) - 1, reel.first)
        left -= int(reached[-1]) if len(reached) else 0
    return reel.last if by > 0 else reel.first


# ---- who wrote it ---------------------------------------------------------------------------------------


def last_write(reel: Reel, address: int, length: int, before: int) -> np.void | None:
    """The newest STORE up to event `before` that touched any of these bytes; None where none is kept."""
    if length <= 0 or not 0 <= address < 1 << 62:
        return None
    for at in range(reel.before(before) - 1, -1, -1):
        piece = reel.pieces[at]
        effect = piece.chunk.effect
        if not _touching(effect["kind"], effect["place"], effect["width"], address, length).any():
            continue
        rows = piece.rows[: piece.upto(before)]
        hits = np.flatnonzero(_touching(rows["kind"], rows["place"], rows["count"], address, length))
        if len(hits):
            row: np.void = rows[hits[-1]]
            return row
    return None


def _touching(kind: Any, place: Any, width: Any, address: int, length: int) -> Mask:
    behind = np.uint64(address + length)
    mask: Mask = (kind == Kind.STORE) & (place < behind)
    mask &= place + width.astype(np.uint64) > np.uint64(address)
    return mask


# ---- density --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Density:
    """How much happened when: `bins` parts of a range of events.

    Bin i holds the events behind `numbers[i]` up to `numbers[i + 1]`; `times` (ns since the epoch) are those
    of the edges. `packets` counts used buffers, `trouble` broken queues and dropped frames.
    """

    numbers: Amounts  #: bins + 1
    times: Amounts  #: bins + 1
    stores: Amounts
    operations: Amounts
    packets: Amounts
    trouble: Amounts

    def bin_of(self, number: int) -> int:
        """The bin of an event, the nearest where it lies outside."""
        at = int(np.searchsorted(self.numbers, number)) - 1
        return min(max(at, 0), len(self.stores) - 1)


def density(reel: Reel, bins: int, first: int | None, last: int | None) -> Density:
    """Over the events `first` to `last`, or all. ValueError for less than one bin."""
    if bins < 1:
        raise ValueError(f"a density of {bins} bins cannot be: at least 1")
    low = reel.first if first is None else max(first, reel.first)
    high = reel.last if last is None else min(last, reel.last)
    low = min(low, high)
    edges = low - 1 + (high - low + 1) * np.arange(bins + 1, dtype=np.int64) // bins
    times = np.array([reel.time_upto(edge) for edge in edges.tolist()], np.int64)
    return _dense(reel, edges, times)


def density_between(reel: Reel, bins: int, first_time: int | None, last_time: int | None) -> Density:
    """Over bins of equal time (ns since the epoch), or over all of it. ValueError for less than one bin."""
    if bins < 1:
        raise ValueError(f"a density of {bins} bins cannot be: at least 1")
    low = reel.time_upto(reel.first) if first_time is None else first_time
    high = max(reel.time_upto(reel.last) if last_time is None else last_time, low)
    times = [low + (high - low) * i // bins for i in range(bins + 1)]
    edges = [reel.number_at(time) for time in times]
    before = reel.number_at(low - 1)
    edges[0] = before if before < edges[0] and reel.time_upto(before) < low else reel.first - 1
    return _dense(reel, np.maximum.accumulate(np.array(edges, np.int64)), np.array(times, np.int64))


def _dense(reel: Reel, edges: Amounts, times: Amounts) -> Density:
    reached = np.array([_reached(reel, edge) for edge in edges.tolist()])
    amounts = np.diff(reached, axis=0)
    return Density(
        edges,
        times,
        amounts[:, STORES],
        amounts[:, OPERATIONS],
        amounts[:, PACKETS],
        amounts[:, TROUBLE],
    )


def _reached(reel: Reel, number: int) -> Amounts:
    """What happened up to an event, by column."""
    at = reel.before(number) - 1
    if at < 0:
        return np.zeros(4, np.int64)
    piece = reel.pieces[at]
    made: Amounts = reel.totals[at]
    upto = piece.upto(number)
    line = upto // STEP
    rows = piece.rows[line * STEP : upto]
    part: Amounts = made + piece.tally.grid[line] + columns(rows, rows["kind"].copy())
    return part
