"""All that the app knows which is not pixels: the source, the frames kept, rates, what is selected.

Free of any toolkit, so that headless output is a loop over the same object. Rings and frames meet
only here: a frame's origin is (queue, publication count of its first buffer), and `frame_of_slot`
and `slot_of_frame` lead from one to the other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from capture import frame as kept
from capture.store import FrameStore
from dataplane.records import Side
from dataplane.snapshot import AnyQueue, Snapshot
from dataplane.source import START, Cursor, Events, Frames, RingSource
from inspector.journey import Journal, Stage

_WINDOW = 1_000_000_000  #: ns that a rate looks back over
_SAMPLE = 500_000_000  #: ns between two samples of a meter's history
_SAMPLES = 60
_BATCHES = 8  #: batches of frames that one reading takes at most
_SMALL = 1 << 20  #: bytes; a batch smaller than this was the last


@dataclass(frozen=True, slots=True)
class Selection:
    """What every widget highlights."""

    queue: int = 0
    slot: int | None = None  #: descriptor slot
    event: int | None = None  #: event number
    frame: int | None = None  #: number of a frame in the store


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


@dataclass(frozen=True, slots=True)
class Tick:
    """One reading of the source."""

    snapshot: Snapshot
    previous: Snapshot | None  #: the one before: what changed glows
    meters: Mapping[int, Meter]  #: by queue index
    events: Events  #: new since the last reading
    frames_added: int
    frames_lost: int  #: overwritten before they were read, since the session began
    hertz: float  #: readings a second, measured
    missed: int  #: readings that no screen saw, since the session began


@dataclass(slots=True)
class _Gauge:
    """What a meter remembers of one queue."""

    generation: int
    samples: deque[tuple[int, tuple[int, ...]]]  #: (time, frames, bytes, buffers, kicks, calls)
    history: deque[float]
    sampled: int
    at_sample: int


class Session:
    """A source being looked at. `pull` may run on one thread while another selects.

    `budget_bytes` bounds the frames kept. The source is closed by `close` only if `owns` is set.
    """

    def __init__(self, source: RingSource, *, budget_bytes: int = 256 << 20, owns: bool = False) -> None:
        self.source = source
        self.frames = FrameStore(budget_bytes)
        self.journal = Journal()
        self.selection = Selection()
        self.paused = False
        self.tick: Tick | None = None
        self.whole: frozenset[int] | None = frozenset({0})
        self._owns = owns
        self._lock = threading.Lock()
        self._events: Cursor = START
        self._logged: Cursor = START
        self._gauges: dict[int, _Gauge] = {}
        self._pulls: deque[float] = deque(maxlen=256)
        self._pulled = 0
        self._shown = 0
        self._lost = 0
        self._picture: Tick | None = None
        self.step_side = Side.DEVICE
        self.step_cursor: Cursor | None = None

    def pull(self) -> Tick:
        """Read the source once. Whatever the source raises passes through."""
        with self._lock:
            snapshot = self.source.snapshot(self.whole)
            events = self.source.events(self._events)
            self._events = events.cursor
            self.journal.add(events.rows)
            added = self._take_frames()
            before = self.tick
            self._pulled += 1
            tick = Tick(
                snapshot=snapshot,
                previous=before.snapshot if before else None,
                meters={queue.index: self._measure(queue, snapshot.time) for queue in snapshot.queues},
                events=events,
                frames_added=added,
                frames_lost=self._lost,
                hertz=self._hertz(time.monotonic()),
                missed=max(self._pulled - self._shown - 1, 0),
            )
            self.tick = tick
            return tick

    def _take_frames(self) -> int:
        """Keep what was logged since; a source gives a batch at a time. The number of frames."""
        added = 0
        for _ in range(_BATCHES):
            frames = self.source.frames(self._logged)
            self._logged = frames.cursor
            self._lost += frames.lost
            if not len(frames.rows):
                break
            self.frames.append(records(frames), frames.data, frames.offsets)
            added += len(frames.rows)
            if len(frames.data) < _SMALL:
                break
        return added

    def showed(self, tick: Tick) -> None:
        """A reading has reached the screen; while the view is paused the one shown stays."""
        if not self._shown:
            self._pulled = 1
        self._shown += 1
        if not self.paused:
            self._picture = tick

    def select(self, **changes: int | None) -> Selection:
        """Change what is selected; the rows of the selected queue are read from now on."""
        self.selection = replace(self.selection, **changes)  # type: ignore[arg-type]
        if self.whole is not None:
            self.whole = frozenset({self.selection.queue})
        return self.selection

    def frame_of_slot(self, queue: int, slot: int) -> int | None:
        """The number of the frame whose buffer stands in a slot now, None where no kept frame does."""
        held = self._rows(queue)
        if held is None or not 0 <= slot < len(held.buffer) or held.buffer[slot] < 0:
            return None
        return self.frames.by_origin(queue, int(held.buffer[slot]))

    def slot_of_frame(self, frame: int) -> tuple[int, int, bool] | None:
        """(queue, head slot, whether its buffer still stands there) of a frame; None if it is not kept."""
        try:
            row = self.frames.frame(frame)
        except LookupError:
            return None
        queue, position = row.origin
        held = self._rows(queue)
        there = held is not None and row.head < len(held.buffer) and int(held.buffer[row.head]) == position
        return queue, row.head, there

    def journey(self, frame: kept.Frame) -> tuple[Stage, ...]:
        """When each side did what to the buffer of a frame, as far as the journal still knows."""
        return self.journal.of(*frame.origin)

    def queue_name(self, index: int) -> str:
        """The name of a queue, such as "tx0"."""
        if self.tick is not None:
            for queue in self.tick.snapshot.queues:
                if queue.index == index:
                    return queue.name
        return f"q{index}"

    def close(self) -> None:
        """Let go of the source; close it if it is ours."""
        if self._owns:
            self.source.close()

    def _rows(self, queue: int) -> AnyQueue | None:
        """A queue with its rows: from the last reading, or read now."""
        tick = self._picture if self.paused and self._picture else self.tick
        try:
            if tick is not None:
                known = tick.snapshot.queue(queue)
                if len(known.buffer):
                    return known
            return self.source.snapshot({queue}).queue(queue)
        except (KeyError, RuntimeError):
            return None

    def _hertz(self, now: float) -> float:
        pulls = self._pulls
        pulls.append(now)
        while len(pulls) > 2 and pulls[0] < now - 2:
            pulls.popleft()
        span = now - pulls[0]
        return (len(pulls) - 1) / span if span > 0 else 0.0

    def _measure(self, queue: AnyQueue, now: int) -> Meter:
        counts = _counts(queue)
        gauge = self._gauges.get(queue.index)
        if gauge is None or gauge.generation != queue.generation:
            gauge = _Gauge(queue.generation, deque(), deque(maxlen=_SAMPLES), now, counts[2])
            self._gauges[queue.index] = gauge
        samples = gauge.samples
        if not samples or now > samples[-1][0]:
            samples.append((now, counts))
        while len(samples) > 2 and samples[1][0] <= now - _WINDOW:
            samples.popleft()
        if now - gauge.sampled >= _SAMPLE:
            gauge.history.append((counts[2] - gauge.at_sample) * 1e9 / (now - gauge.sampled))
            gauge.sampled, gauge.at_sample = now, counts[2]
        (start, old), (end, new) = samples[0], samples[-1]
        if end <= start:
            return Meter(history=tuple(gauge.history))
        frames, octets, buffers, kicks, calls = (
            (b - a) * 1e9 / (end - start) for a, b in zip(old, new, strict=True)
        )
        return Meter(frames, octets, buffers, kicks, calls, tuple(gauge.history))


def _counts(queue: AnyQueue) -> tuple[int, int, int, int, int]:
    """Frames, bytes, used buffers, kicks and calls so far."""
    driver, device = queue.driver, queue.device
    side = driver or device
    return (
        side.frames if side else 0,
        side.bytes if side else 0,
        queue.used,
        driver.kick.sent if driver else device.call.received if device else 0,
        device.call.sent if device else driver.kick.received if driver else 0,
    )


def records(frames: Frames) -> Any:
    """Logged frames as rows of the frame store: one interface per queue and direction."""
    logged = frames.rows
    rows = kept.records(len(logged))
    whole = rows.view(np.uint8).reshape(-1, kept.RECORD.itemsize)
    whole[:, : kept.LOGGED] = np.ascontiguousarray(logged).view(np.uint8).reshape(-1, kept.LOGGED)
    rows["interface"] = logged["queue"]
    return rows
