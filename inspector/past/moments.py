"""Moments of the past as the screens want them: like a reading, with what changed and with rates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from dataplane.snapshot import AnyQueue
from dataplane.source import START, Events
from inspector.meters import Meter, Meters
from inspector.tick import Tick

if TYPE_CHECKING:
    from dataplane.history import History

_GRID = 250_000_000  #: ns: earlier moments that only rates need are taken at such times, to be found again


class Past:
    """The moments of one history. Any thread may ask."""

    def __init__(self, history: History, meters: Meters) -> None:
        self.history = history
        self._meters = meters

    def tick(self, number: int, whole: Collection[int] | None, like: Tick) -> Tick:
        """The moment after event `number` as a reading; what is no part of it is as `like` has it.

        LookupError with one line where it cannot be known.
        """
        try:
            previous = self.history.at(number - 1, whole) if number > 1 else None
        except LookupError:
            previous = None
        snapshot = self.history.at(number, whole)
        return replace(
            like,
            snapshot=snapshot,
            previous=previous,
            meters={queue.index: self.meter(queue, snapshot.time) for queue in snapshot.queues},
            events=Events(self.history.rows(number, number), START, 0),
            frames_added=0,
            frames_lost_now=0,
            cursor=number,
        )

    def meter(self, queue: AnyQueue, time: int) -> Meter:
        """Rates of a queue as it was at `time`, ns since the epoch."""
        return self._meters.at(queue, time, lambda start: self._earlier(queue.index, start))

    def _earlier(self, queue: int, time: int) -> tuple[int, AnyQueue] | None:
        """A queue as it was at `time` or up to a quarter of a second before; its counters only."""
        try:
            snapshot = self.history.at(self.history.number_at(time - time % _GRID), ())
            return snapshot.time, snapshot.queue(queue)
        except (LookupError, ValueError):
            return None
