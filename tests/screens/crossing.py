"""A source for tests of screens: still rings, the shipped packets, a control that notes what it is told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from capture.play import PlayFrame, load_mix
from dataplane.records import EVENT, FRAME, TO_DEVICE, Kind, Side
from dataplane.snapshot import Snapshot
from dataplane.source import START, Cursor, Events, Frames, Stepped, TraceLevel, Unit
from tests.fakes import EPOCH, Still, device


class Lever:
    """A control that does what it is told to a state of its own, and writes down what that was."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.frozen = False
        self.level: TraceLevel = "operations"
        self.rate: float | None = None
        self.logging = True
        self.idle: set[Side] = set()
        self.error: Exception | None = None

    def _note(self, *what: Any) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(what)

    def freeze(self) -> None:
        self._note("freeze")
        self.frozen = True

    def run(self) -> None:
        self._note("run")
        self.frozen = False

    def step(self, side: Side, unit: Unit = "operation", count: int = 1) -> Stepped:
        self._note("step", side)
        return Stepped(0, f"the {side.name.lower()} waits") if side in self.idle else Stepped(1, "")

    def trace(self, level: TraceLevel) -> None:
        self._note("trace", level)
        self.level = level

    def log_frames(self, on: bool, sample: int = 1, program: bytes | None = None) -> None:
        self._note("log_frames", on)
        self.logging = on

    def set_rate(self, per_second: float | None) -> None:
        self._note("rate", per_second)
        self.rate = per_second

    def reset_queue(self, queue: int) -> None:
        self._note("reset", queue)


def rows_of(frames: list[PlayFrame], time: int = EPOCH) -> Any:
    """Logged frames as the engine would give them: one buffer each, in turn on rx0 and tx0."""
    rows = np.zeros(len(frames), FRAME)
    sent = [0, 0]
    for row, frame in zip(rows, frames, strict=True):
        queue = 1 if frame.direction == TO_DEVICE else 0
        row["time"] = time + frame.offset_ns
        row["length"] = row["captured"] = len(frame.data)
        row["direction"], row["queue"] = frame.direction, queue
        row["position"], row["head"] = sent[queue], sent[queue] % 256
        row["descriptors"], row["buffers"] = 1 + len(frame.data) // 2048, 1
        header = (frame.net_header or bytes(10) + b"\x01\x00")[:12]
        row["net_header_length"], row["net_header"] = len(header), header.ljust(20, b"\0")
        sent[queue] += 1
    rows["number"] = np.arange(1, len(frames) + 1)
    return rows


def events_of(row: Any, first: int = 1) -> Any:
    """The way of one sent frame's buffer as events, one microsecond apart."""
    queue, position, head = int(row["queue"]), int(row["position"]), int(row["head"])
    after = position + 1
    way = [
        (Kind.ADD, Side.DRIVER, position, 0, 0),
        (Kind.PUBLISH, Side.DRIVER, 0, position, after),
        (Kind.KICK, Side.DRIVER, position, position, after),
        (Kind.NEXT, Side.DEVICE, position, 0, 0),
        (Kind.COMPLETE, Side.DEVICE, position, 0, 0),
        (Kind.FLUSH, Side.DEVICE, 0, position, after),
        (Kind.CALL_QUIET, Side.DEVICE, position, position, after),
        (Kind.COLLECT, Side.DRIVER, 0, position, after),
    ]
    rows = np.zeros(len(way), EVENT)
    for at, (kind, side, place, old, new) in enumerate(way):
        rows[at] = (first + at, int(row["time"]) + 1000 * at, place, old, new, kind, side, queue, head, 1)
    return rows


class Crossing(Still):
    """Still rings through which packets came; more of them with `send`, whose pace the test sets."""

    def __init__(self, frames: list[PlayFrame] | None = None, picture: Snapshot | None = None) -> None:
        self.all = load_mix() if frames is None else frames
        self._logged = rows_of(self.all)
        self._octets = b"".join(frame.data for frame in self.all)
        ends = np.cumsum([len(frame.data) for frame in self.all]) if self.all else np.zeros(0, np.int64)
        self._begins = ends - self._logged["captured"]
        self.sent = len(self.all)
        self.lever = Lever()
        self.broken: Exception | None = None
        self.closed = False
        self._events = np.zeros(0, EVENT)
        super().__init__(picture or device(256, False))

    @property
    def control(self) -> Any:
        return self.lever

    def journal(self, rows: Any) -> None:
        """More events to be read."""
        self._events = np.concatenate([self._events, rows])

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        if self.broken is not None:
            raise self.broken
        picture = super().snapshot(whole)
        state: Literal["running", "frozen"] = "frozen" if self.lever.frozen else "running"
        logs = replace(picture.logs, trace_level=self.lever.level, frames_on=self.lever.logging)
        return replace(picture, state=state, logs=logs)

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        return Events(self._events[since[0] :], (len(self._events), 0), 0)

    def frames(self, since: Cursor = START) -> Frames:
        start, stop = since[0], self.sent
        rows, starts = self._logged[start:stop], self._begins[start:stop]
        if not len(rows):
            return Frames(rows, starts.astype(np.int64), b"", since, 0)
        low, high = int(starts[0]), int(starts[-1] + rows["captured"][-1])
        return Frames(rows, (starts - low).astype(np.int64), self._octets[low:high], (stop, 0), 0)

    def close(self) -> None:
        self.closed = True
