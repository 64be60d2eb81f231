"""What the History screen knows of the whole past: which events there are, how dense, where some are missing.

Made on a thread, again and again while the source goes on; what has not changed is not made twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dataplane.records import Kind

if TYPE_CHECKING:
    from dataplane.history import Density, Reach
    from inspector.past.eventlist import EventIndex, Lines
    from inspector.session import Session

EVERY = 0.3  #: seconds between two densities while the source goes on
_PIECES = 32  #: of a choice of events, gone through at a time


@dataclass(frozen=True, slots=True)
class Survey:
    """One look at the whole past."""

    reach: Reach
    events: int
    density: Density | None
    missing: tuple[tuple[int, int], ...]  #: times between which events are missing
    known: str  #: of which moments ring memory is known, in words
    more: bool  #: there is more to go through
    stale: bool  #: the density is of a moment ago
    made: float  #: when the density was
    asked: tuple[int, tuple[int, int] | None]  #: for how many columns, and of which window


def survey(
    session: Session,
    index: EventIndex,
    bins: int,
    window: tuple[int, int] | None,
    before: Survey | None,
) -> Survey:
    """Look once more. `bins` columns of the scrubber, over the times of `window` (None: all)."""
    history = session.history
    more = index.grow(_PIECES)
    reach = history.reach
    if reach.last < reach.first or not reach.last:
        return Survey(reach, 0, None, (), "", more, False, 0.0, (bins, window))
    now, asked = time.monotonic(), (bins, window)
    fresh = before is not None and before.asked == asked
    parts = history.kept
    stale = False
    same = before is not None and before.reach == reach and not before.stale
    if before is not None and fresh and (same or now - before.made < EVERY):
        density, missing, made, stale = before.density, before.missing, before.made, not same
    else:
        density = history.density_between(bins, *(window or (None, None)))
        missing = tuple((before.last_time, part.first_time) for before, part in pairwise(parts))
        made = now
    kept = sum(part.last - part.first + 1 for part in parts)
    return Survey(reach, kept, density, missing, _known(session, reach, kept), more, stale, made, asked)


def _known(session: Session, reach: Reach, kept: int) -> str:
    """Of which moments ring memory is known, and how many events are kept."""
    whole = sum(last - first + 1 for first, last in reach.exact)
    if not whole:
        words = "ring memory is not known: t traces stores"
    elif whole >= kept:
        words = "ring memory is known at every moment"
    else:
        words = f"ring memory is known at {whole:,} of these moments"
    return words if session.lent else f"{words} · the newest {session.history_bytes >> 20} MiB are kept"


def look_for(
    session: Session, lines: Lines, start: int, stop: int, words: Sequence[str], way: int
) -> int | None:
    """The first event on lines [start, stop) whose sentence has all the words; from the end for way < 0."""
    numbers = [lines.number(at) for at in range(start, stop)]
    if not numbers:
        return None
    wanted = set(numbers)
    found = None
    for row in session.history.rows(numbers[0], numbers[-1]):
        if row["kind"] == Kind.OWN or int(row["number"]) not in wanted:
            continue
        sentence = session.words(row).lower()
        if all(word in sentence for word in words):
            found = int(row["number"])
            if way > 0:
                return found
    return found


def hatched(missing: Sequence[tuple[int, int]], first: int, last: int, bins: int) -> np.ndarray:
    """Which columns of a graph from time `first` to `last` lie in what is missing."""
    found = np.zeros(bins, bool)
    length = max(last - first, 1)
    for start, stop in missing:
        if stop <= first or start >= last:
            continue
        low = max((start - first) * bins // length, 0)
        high = min((stop - first) * bins // length, bins - 1)
        found[low : high + 1] = True
    return found
