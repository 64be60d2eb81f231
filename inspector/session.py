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
from capture.bpf import Program
from capture.store import Block, FrameStore
from dataplane.records import Side
from dataplane.snapshot import AnyQueue, Snapshot
from dataplane.source import START, Cursor, Events, Frames, RingSource
from inspector.journey import Journal, Stage
from inspector.stages import KEEP, Mask, Stages

_WINDOW = 1_000_000_000  #: ns that a rate looks back over
_SAMPLE = 500_000_000  #: ns between two samples of a meter's history
_SAMPLES = 60
_BATCHES = 8  #: batches of frames that one reading takes at most
_SMALL = 1 << 20  #: bytes; a batch smaller than this was the last
_PATIENCE = 1.0  #: seconds of a running source after which a stage that is missing stays missing


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
    frames_lost_now: int  #: the same, since the last reading
    frames_filtered: int  #: that the capture filter did not match, since the source began
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
        self.settled = 0  #: up to this frame number the stages are final
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
        self._filter: Program | None = None
        self._stages = Stages()
        self._looked = 0  #: frames up to this number were looked for in the events once
        self._ran = 0.0  #: seconds that the source was seen running
        self._ages: deque[tuple[float, int]] = deque()  #: (seconds run, newest frame) of each reading
        self._ran_at: float | None = None  #: when it was seen running last
        self._picture: Tick | None = None
        self.step_side = Side.DEVICE
        self.step_cursor: Cursor | None = None

    def pull(self) -> Tick:
        """Read the source once. Whatever the source raises passes through."""
        with self._lock:
            snapshot = self.source.snapshot(self.whole)
            lost = self._lost
            added = self._take_frames()
            events = self.source.events(self._events)  # after the frames: what became of them is there too
            self._events = events.cursor
            self.journal.add(events.rows)
            self._stages.add(events.rows, events.lost)
            self._settle(snapshot, time.monotonic())
            before = self.tick
            self._pulled += 1
            tick = Tick(
                snapshot=snapshot,
                previous=before.snapshot if before else None,
                meters={queue.index: self._measure(queue, snapshot.time) for queue in snapshot.queues},
                events=events,
                frames_added=added,
                frames_lost=self._lost,
                frames_lost_now=self._lost - lost,
                frames_filtered=snapshot.logs.frames_filtered,
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

    def _settle(self, snapshot: Snapshot, now: float) -> None:
        """Fill in what became of the frames that are not final yet, and say up to which they are.

        A frame is final when it was collected, or when the source has run for a second since it was read, or
        when 65,536 came after it. While the source is frozen nothing grows old.
        """
        last = self.frames.last
        if snapshot.state == "running":
            self._ran += now - self._ran_at if self._ran_at is not None else 0.0
        self._ran_at = now if snapshot.state == "running" else None
        if self.settled >= last:
            self._ages.clear()
            return
        self._ages.append((self._ran, last))
        aged = last - KEEP if snapshot.state in ("running", "frozen") else last
        while self._ages and self._ran - self._ages[0][0] >= _PATIENCE:
            aged = max(aged, self._ages.popleft()[1])
        settled, open_yet = self.settled, False
        for block in self.frames.blocks(self.settled + 1, last + 1):
            first, final = self._look(block)
            if not open_yet:
                waiting = np.flatnonzero(~final[max(aged + 1 - first, 0) :])
                open_yet = len(waiting) > 0
                at = max(aged + 1 - first, 0) + int(waiting[0]) if open_yet else len(final)
                settled = first + at - 1
        self.settled = settled
        self._looked = last

    def _look(self, block: Block) -> tuple[int, Mask]:
        """Fill in the stages of a block: the number of its first frame, and which frames are final."""
        rows = block.rows
        made, passed = self._stages.of(
            rows["origin_queue"], rows["origin_position"], rows["buffers"], rows["time"]
        )
        first = int(rows["number"][0])
        again = min(max(self._looked + 1 - first, 0), len(rows))  # so many were looked for before
        if again:
            for name in ("available", "used", "collected", "notices"):
                known = made[name][:again]
                np.copyto(known, block.stages[name][:again], where=known == 0)
        self.frames.set_stages(first, made)
        notices: Any = made["notices"]
        final = passed & (notices >= kept.CALL_SENT)
        final[:again] |= passed[:again]
        return first, final

    @property
    def capture_filter(self) -> Program | None:
        """What the frame log takes; None: every frame."""
        return self._filter

    def set_capture_filter(self, program: Program | None) -> None:
        """From the source's next frame on only what matches is logged; None: every frame.

        RuntimeError where the source's frame log is not ours to filter; ValueError for an unsound program.
        """
        logs = self.source.snapshot(()).logs
        self._log(logs.frames_on, logs.frame_sample, program)
        self._filter = program

    def log_frames(self, on: bool) -> None:
        """Log frames, or only count them; filter and sampling stay as they are."""
        self._log(on, self.source.snapshot(()).logs.frame_sample, self._filter)

    def _log(self, on: bool, sample: int, program: Program | None) -> None:
        control = self.source.control
        if control is None:
            raise RuntimeError(
                f"what {self.source.identity.name} logs cannot be chosen: no side of it is ours"
            )
        control.log_frames(on, sample, program.instructions if program else None)

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
