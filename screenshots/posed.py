"""A real pair at rest behind a clock of its own: what a picture of it shows, it shows on every machine.

Its two sides are stepped by hand, so that every run ends in the same rings and events; a `Clock` says when
each of them was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.keyframe import Keyframe, QueueShape
from dataplane.pair import Pair
from dataplane.records import Kind, Side
from dataplane.snapshot import Identity, Snapshot
from dataplane.source import START, Cursor, Events, Frames

EPOCH = 1_790_000_000_000_000_000
BEAT = 66_666_667  #: ns between two readings
PACE = 9_000  #: ns between two events

Times = NDArray[np.int64]


@dataclass
class Even:
    """Event n is `pace` ns behind the one before; what is read was so at its newest event."""

    epoch: int = EPOCH
    pace: int = PACE

    def read(self, number: int) -> int:
        """The time of a reading whose newest event is `number`."""
        return self.epoch + number * self.pace

    def times(self, numbers: NDArray[Any]) -> Times:
        """When these events were."""
        return self.epoch + numbers.astype(np.int64) * self.pace


@dataclass
class Beating(Even):
    """Readings are a beat apart, as of a pair that is never idle, however few events came between them."""

    beats: int = 0

    def read(self, number: int) -> int:
        self.beats += 1
        return self.epoch + (self.beats - 1) * BEAT


@dataclass
class Bursts(Even):
    """Readings are a beat apart; the events between two of them follow the first one closely."""

    heard: list[int] = field(default_factory=list)  #: newest event of each reading

    def read(self, number: int) -> int:
        self.heard.append(number)
        return self.epoch + (len(self.heard) - 1) * BEAT

    def times(self, numbers: NDArray[Any]) -> Times:
        def one(number: int) -> int:
            beat = bisect_right(self.heard, number - 1)  # readings that were over by then
            behind = number - (self.heard[beat - 1] if beat else 0)
            return self.epoch + max(beat - 1, 0) * BEAT + behind * self.pace

        return np.array([one(int(number)) for number in numbers.tolist()], np.int64)


class Posed:
    """See the module. `state` is what it says of itself, None: the truth. Closing it closes the pair."""

    def __init__(self, pair: Pair, clock: Even | None = None, state: str | None = "running") -> None:
        self.pair = pair
        self.clock = clock or Beating()
        self.state = state
        self.control = pair.control
        self.probe = pair.probe
        self._seen: Cursor = START
        self._handled: dict[tuple[int, int], int] = {}

    @property
    def identity(self) -> Identity:
        return self.pair.identity

    def advance(self, driver: int = 0, device: int = 0, *, unit: str = "turn") -> None:
        """Steps the driver, then the device."""
        for side, count in ((Side.DRIVER, driver), (Side.DEVICE, device)):
            if count:
                self.pair.step(side, unit, count)  # type: ignore[arg-type]

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        real = self.pair.snapshot(whole)
        now = self.clock.read(real.number)
        rests = self.state is None
        queues = tuple(
            replace(q, time=now, duration=0 if rests else 12_000, exact=q.exact and rests)
            for q in real.queues
        )
        return replace(real, time=now, queues=queues, state=self.state or real.state)  # type: ignore[arg-type]

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        events = self.pair.events(since, most=most)
        rows = events.rows.copy()
        rows["time"] = self.clock.times(rows["number"])
        return replace(events, rows=rows)

    def frames(self, since: Cursor = START) -> Frames:
        """Each frame has the time at which the device had its buffer in hand, by the events."""
        events = self.events(self._seen)
        self._seen = events.cursor
        for row in events.rows[np.isin(events.rows["kind"], (Kind.NEXT, Kind.COMPLETE))].tolist():
            _, time, place, _, _, kind, _, queue, _, count = row
            for position in range(place, place + max(count, 1)):
                if kind == Kind.NEXT or queue % 2 == 0:
                    self._handled[queue, position] = time - (kind == Kind.COMPLETE) * self.clock.pace // 2
        frames = self.pair.frames(since)
        rows = frames.rows.copy()
        origins = zip(rows["queue"].tolist(), rows["position"].tolist(), strict=True)
        newest = int(self.clock.times(np.array([self.pair.snapshot(()).number]))[0])
        rows["time"] = [self._handled.get(origin, newest) for origin in origins]  # its event may be lost
        return replace(frames, rows=rows)

    def keyframe(self, after: int = 0) -> Keyframe | None:
        made = self.pair.keyframe(after)
        if made is None:
            return None
        time = int(self.clock.times(np.array([made.number]))[0])
        return replace(made, time=time, base=replace(made.base, time=time))

    def shapes(self) -> tuple[QueueShape, ...]:
        return self.pair.shapes()

    def memory(self, address: int, length: int) -> bytes:
        return self.pair.memory(address, length)

    def close(self) -> None:
        self.pair.close()
