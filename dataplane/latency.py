"""How long the buffers of a queue waited at each gate: exact over the events that are kept.

The latency of a buffer is the time between two of its events. Nothing is sampled and no buffer is looked at
by itself: between two events of either end all buffers waited equally long, so a distribution is a short list
of (nanoseconds, buffers), from which every percentile is exact (nearest rank).

A side tells its event after the store that the other side acts on, so an event can stand before the one that
it answers. Such a buffer did not wait: it counts as 0. A buffer of which one of the two events is missing
is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dataplane.moves import SENT, Array, MoveLog, Moves, Stage, covering


@dataclass(frozen=True, slots=True)
class Gate:
    """Between two moments of a buffer. `notified`: from the notification of `start`, where one was sent."""

    name: str
    start: Stage
    stop: Stage
    notified: bool = False


GATES = (
    Gate("available to seen", "available", "seen"),
    Gate("kick to seen", "available", "seen", notified=True),
    Gate("seen to used", "seen", "used"),
    Gate("used to collected", "used", "collected"),
    Gate("call to collected", "used", "collected", notified=True),
    Gate("whole round", "available", "collected"),
)


@dataclass(frozen=True, eq=False)
class Latency:
    """A distribution: `buffers[i]` of them waited `values[i]` nanoseconds; values ascend, none twice."""

    values: Array
    buffers: Array

    @property
    def count(self) -> int:
        return int(self.buffers.sum())

    @property
    def max(self) -> int:
        """The longest wait; 0 of no buffer."""
        return int(self.values[-1]) if len(self.values) else 0

    def percentile(self, part: float) -> int:
        """The shortest wait that at least `part` (0 to 1) of the buffers did not exceed; 0 of no buffer."""
        if not len(self.values):
            return 0
        rising = np.cumsum(self.buffers)
        rank = max(math.ceil(part * int(rising[-1])), 1)
        return int(self.values[int(np.searchsorted(rising, rank))])

    @property
    def p50(self) -> int:
        return self.percentile(0.5)

    @property
    def p99(self) -> int:
        return self.percentile(0.99)

    def below(self, nanoseconds: int) -> float:
        """The part of the buffers, 0 to 1, that waited less than this."""
        count = self.count
        return (
            int(self.buffers[: int(np.searchsorted(self.values, nanoseconds))].sum()) / count
            if count
            else 0.0
        )

    def histogram(self, edges: Sequence[int]) -> list[int]:
        """Buffers by wait: below edges[0], from each edge to below the next, from the last edge on."""
        places = np.searchsorted(np.asarray(edges, np.int64), self.values, "right")
        return [int(n) for n in np.bincount(places, self.buffers, len(edges) + 1)]


def edges(least: int, most: int, bins: int) -> list[int]:
    """`bins` - 1 edges (ns) for `Latency.histogram`, evenly spaced on a log scale from `least` to `most`."""
    low, high = math.log(max(least, 1)), math.log(max(most, least + 1, 2))
    return [round(math.exp(low + (high - low) * at / bins)) for at in range(1, bins)]


def latency(lives: Iterable[Moves], gate: Gate) -> Latency:
    """The waits at a gate of all buffers of a queue; `lives`: those of the queue, see `MoveLog.queues`."""
    waits: list[Array] = [np.zeros(0, np.int64)]
    weights: list[Array] = [np.zeros(0, np.int64)]
    for life in lives:
        wait, weight = _waits(life, gate)
        waits.append(wait)
        weights.append(weight)
    values, place = np.unique(np.concatenate(waits), return_inverse=True)
    buffers = np.bincount(place, np.concatenate(weights), len(values)).astype(np.int64)
    return Latency(values, buffers)


def latencies(log: MoveLog, queue: int, until: int | None = None) -> dict[str, Latency]:
    """By gate name the distributions of a queue; `until`: as it was after that event."""
    lives: Sequence[Moves] = log.queues.get(queue, ())
    if until is not None:
        lives = [life.until(until) for life in lives]
    return {gate.name: latency(lives, gate) for gate in GATES}


def _waits(life: Moves, gate: Gate) -> tuple[Array, Array]:
    """Waits (ns), and of how many buffers each."""
    starts, stops = life.moves[gate.start], life.moves[gate.stop]
    times = starts["time"]
    if gate.notified:
        answers, times = life.decided(gate.start, starts["number"])
        known = answers == SENT
        starts, times = starts[known], times[known]
    if not len(starts) or not len(stops):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    bounds = np.unique(np.concatenate([starts["old"], starts["new"], stops["old"], stops["new"]]))
    first, size = bounds[:-1], np.diff(bounds).astype(np.int64)
    at, began = covering(starts, first)
    to, ended = covering(stops, first)
    both = began & ended
    wait = stops["time"][to[both]].astype(np.int64) - times[at[both]].astype(np.int64)
    return np.maximum(wait, 0), size[both]
