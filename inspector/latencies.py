"""The waits of a session's buffers, kept up with as events come: `dataplane.latency` over the history."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dataplane.latency import Latency, latencies
from dataplane.moves import MoveLog
from inspector.life import Life, Name
from inspector.session import Session

_PIECE = 1 << 15  #: events that are taken in at a time


@dataclass(frozen=True, slots=True)
class Waits:
    """By gate name the distributions of one queue, and over which events."""

    queue: int
    first: int
    last: int  #: the newest event counted
    gates: Mapping[str, Latency] = field(default_factory=dict)


class Follower:
    """Takes in the events of a history once; any thread may ask, one after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._log = MoveLog()
        self._next = 0  # the first event not taken in yet
        self._lock = threading.Lock()

    def waits(self, queue: int, until: int | None = None) -> Waits:
        """The waits of a queue over all events kept; `until`: as they were after that event."""
        with self._lock:
            reach = self._session.history.reach
            self._take(reach.first, reach.last, reach.gaps)
            last = reach.last if until is None else min(until, reach.last)
            return Waits(queue, reach.first, last, latencies(self._log, queue, until))

    def _take(self, first: int, last: int, gaps: tuple[int, ...]) -> None:
        lost = self._next and first > self._next  # what was not taken in has gone meanwhile
        begin = max(self._next, first)
        self._log.forget(first)
        breaks = [gap for gap in gaps if begin <= gap < last]
        for stop in [*breaks, last]:
            for start in range(begin, stop + 1, _PIECE):
                rows = self._session.history.rows(start, min(start + _PIECE - 1, stop))
                self._log.add(rows, int(lost))
                lost = lost and not len(rows)
            begin, lost = stop + 1, True
        self._next = max(last + 1, self._next)


#: gate name -> the steps of a life between which it lies
_ENDS: dict[str, tuple[Name, Name]] = {
    "available to seen": ("available", "seen"),
    "kick to seen": ("kick", "seen"),
    "seen to used": ("seen", "used"),
    "used to collected": ("used", "collected"),
    "call to collected": ("call", "collected"),
    "whole round": ("available", "collected"),
}


def own_waits(life: Life) -> dict[str, int]:
    """How long one buffer waited at each gate, ns; gates of which an end is not known are missing."""
    steps = {step.name: step for step in life.steps if step.event and step.state == "done"}
    return {
        gate: max(steps[stop].time - steps[start].time, 0)
        for gate, (start, stop) in _ENDS.items()
        if start in steps and stop in steps
    }


def percent_below(latency: Latency, nanoseconds: int) -> float:
    """The part of the buffers, 0 to 1, that waited no longer."""
    return latency.below(nanoseconds + 1)


def scale(gates: Mapping[str, Latency]) -> tuple[int, int]:
    """The ends of an axis for the waits of all gates, ns; 0 counts as 1, and it spans a decade at least."""
    some = [one for one in gates.values() if one.max]
    least = min((int(one.values[np.searchsorted(one.values, 1)]) for one in some), default=1)
    most = max((one.max for one in some), default=10)
    return (least, most) if most >= 10 * least else (max(least // 4, 1), max(most * 4, 10))
