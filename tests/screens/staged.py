"""A real pair at rest behind a clock of its own: event n happened 5 n milliseconds after the start.

Its two sides are stepped by hand, so that every run ends in the same rings, events and times.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from capture.play import load_mix
from dataplane.keyframe import Keyframe, QueueShape
from dataplane.pair import Pair, PlayFrame
from dataplane.records import Side
from dataplane.snapshot import Identity, Snapshot
from dataplane.source import START, Cursor, Events, Frames, TraceLevel
from tests.fakes import EPOCH

PACE = 5_000_000  #: ns from one event to the next


class Staged:
    """See the module. `state`: what it says of itself, so that screens may be seen as of a running pair."""

    def __init__(self, trace: TraceLevel = "stores", *, state: str | None = None, **options: Any) -> None:
        options.setdefault("queue_size", 16)
        self.pair = Pair(frozen=True, trace=trace, **options)
        self.pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
        self.pair.set_rate(1e9)
        self.pair.start()
        self.control = self.pair.control
        self.probe = self.pair.probe
        self.state = state

    @property
    def identity(self) -> Identity:
        return self.pair.identity

    def go(self, rounds: int = 1, unit: Any = "operation") -> None:
        """So many times a step of the driver and one of the device."""
        for _ in range(rounds):
            for side in (Side.DRIVER, Side.DEVICE):
                self.pair.step(side, unit, 1)

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        real = self.pair.snapshot(whole)
        now = EPOCH + real.number * PACE
        queues = tuple(replace(queue, time=now, duration=0) for queue in real.queues)
        return replace(real, time=now, queues=queues, state=self.state or real.state)  # type: ignore[arg-type]

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        events = self.pair.events(since, most=most)
        rows = events.rows.copy()
        rows["time"] = EPOCH + rows["number"] * PACE
        return replace(events, rows=rows)

    def frames(self, since: Cursor = START) -> Frames:
        frames = self.pair.frames(since)
        rows = frames.rows.copy()
        rows["time"] = EPOCH + self.pair.snapshot(()).number * PACE
        return replace(frames, rows=rows)

    def keyframe(self, after: int = 0) -> Keyframe | None:
        made = self.pair.keyframe(after)
        if made is None:
            return None
        time = EPOCH + made.number * PACE
        return replace(made, time=time, base=replace(made.base, time=time))

    def shapes(self) -> tuple[QueueShape, ...]:
        return self.pair.shapes()

    def memory(self, address: int, length: int) -> bytes:
        return self.pair.memory(address, length)

    def close(self) -> None:
        self.pair.close()
