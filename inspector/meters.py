"""How fast each queue moves: rates over the last second, now and at any moment that was seen.

Rates come from the source's own clock and counts, never from how often it was read. A mark of the counts is
kept every quarter of a second, so that a moment of the past has the rates that were shown then.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dataplane.snapshot import AnyQueue

_WINDOW = 1_000_000_000  #: ns that a rate looks back over
_SAMPLE = 500_000_000  #: ns between two samples of a meter's history
_SAMPLES = 60
_MARK = 250_000_000  #: ns between two marks
_MARKS = 16_384  #: of one queue: over an hour

#: Frames, bytes, used buffers, kicks and calls so far.
Counts = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Meter:
    """Rates of one queue over the last second (or as much of it as was seen), from the engine's clock.

    `history` has up to 60 samples of buffers a second, one every half second, oldest first.
    """

    frames_per_s: float = 0.0
    bytes_per_s: float = 0.0
    buffers_per_s: float = 0.0
    kicks_per_s: float = 0.0
    calls_per_s: float = 0.0
    history: tuple[float, ...] = ()


@dataclass(slots=True)
class _Gauge:
    """What is remembered of one queue."""

    generation: int
    sampled: int
    at_sample: int
    samples: deque[tuple[int, Counts]] = field(default_factory=deque)
    history: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))


@dataclass(slots=True)
class _Marks:
    """Counts of one queue as time went by, and its speed each half second."""

    counts: deque[tuple[int, int, Counts]] = field(default_factory=lambda: deque(maxlen=_MARKS))
    speeds: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_MARKS // 2))


class Meters:
    """Measures queues one reading at a time; one thread measures, any may look back."""

    def __init__(self) -> None:
        self._gauges: dict[int, _Gauge] = {}
        self._marks: dict[int, _Marks] = {}
        self._lock = threading.Lock()

    def measure(self, queue: AnyQueue, now: int) -> Meter:
        """The meter of a queue that was read at `now`, ns since the epoch."""
        counts = counts_of(queue)
        gauge = self._gauges.get(queue.index)
        if gauge is None or gauge.generation != queue.generation:
            gauge = self._gauges[queue.index] = _Gauge(queue.generation, now, counts[2])
        samples = gauge.samples
        if not samples or now > samples[-1][0]:
            samples.append((now, counts))
        while len(samples) > 2 and samples[1][0] <= now - _WINDOW:
            samples.popleft()
        speed = None
        if now - gauge.sampled >= _SAMPLE:
            speed = (counts[2] - gauge.at_sample) * 1e9 / (now - gauge.sampled)
            gauge.history.append(speed)
            gauge.sampled, gauge.at_sample = now, counts[2]
        self._mark(queue, now, counts, speed)
        return _meter(*samples[0], *samples[-1], tuple(gauge.history))

    def _mark(self, queue: AnyQueue, now: int, counts: Counts, speed: float | None) -> None:
        with self._lock:
            marks = self._marks.setdefault(queue.index, _Marks())
            if not marks.counts or now - marks.counts[-1][0] >= _MARK:
                marks.counts.append((now, queue.generation, counts))
            if speed is not None:
                marks.speeds.append((now, speed))

    def at(self, queue: AnyQueue, time: int, earlier: Callable[[int], tuple[int, AnyQueue] | None]) -> Meter:
        """The meter of a queue as it was at `time`.

        `earlier` has the queue, and its time, at a time before that was not seen; None where nobody knows.
        """
        start, counts = time - _WINDOW, counts_of(queue)
        with self._lock:
            marks = self._marks.get(queue.index, _Marks())
            seen = marks.counts
            at = bisect_right(seen, start, key=lambda mark: mark[0]) - 1
            known = seen[at] if at >= 0 else None
            last = bisect_right(marks.speeds, time, key=lambda mark: mark[0])
            history = tuple(speed for _, speed in list(marks.speeds)[max(last - _SAMPLES, 0) : last])
        if known is not None and known[1] == queue.generation and start - known[0] <= 2 * _MARK:
            return _meter(known[0], known[2], time, counts, history)
        found = earlier(start)
        if found is None or found[1].generation != queue.generation:
            return Meter(history=history)
        return _meter(found[0], counts_of(found[1]), time, counts, history)


def _meter(start: int, old: Counts, end: int, new: Counts, history: tuple[float, ...]) -> Meter:
    if end <= start:
        return Meter(history=history)
    frames, octets, buffers, kicks, calls = (  # behind a loss less is known than was read live
        max(b - a, 0) * 1e9 / (end - start) for a, b in zip(old, new, strict=True)
    )
    return Meter(frames, octets, buffers, kicks, calls, history)


def counts_of(queue: AnyQueue) -> Counts:
    """Frames, bytes, used buffers, kicks and calls of a queue so far."""
    driver, device, outside = queue.driver, queue.device, queue.outside
    side = driver or device or outside
    passed = (outside.kicks or 0, outside.calls or 0) if outside else (0, 0)
    return (
        side.frames if side else 0,
        side.bytes if side else 0,
        queue.used,
        driver.kick.sent if driver else device.call.received if device else passed[0],
        device.call.sent if device else driver.kick.received if driver else passed[1],
    )
