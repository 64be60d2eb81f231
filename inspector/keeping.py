"""The frames of a source, kept, with what became of each; and which of them the source logs at all.

A frame is read when its buffer passed; when the buffer was used and collected comes later, out of the
events. `settled` says up to which frame nothing more will be learnt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from capture import frame as kept
from capture.bpf import Program
from capture.store import Block, FrameStore
from dataplane.records import FRAME_REQUEST
from dataplane.snapshot import Array, Snapshot
from dataplane.source import START, Cursor, Frames, FramesLogged, RingSource
from inspector.stages import KEEP, Mask, Stages

_BATCHES = 8  #: batches of frames that one reading takes at most
_SMALL = 1 << 20  #: bytes; a batch smaller than this was the last
_PATIENCE = 1.0  #: seconds of a running source after which a stage that is missing stays missing


class Keeping:
    """The frames of one source. One thread takes and settles; any may read `frames` and `settled`."""

    def __init__(self, source: RingSource, budget_bytes: int) -> None:
        self.frames = FrameStore(budget_bytes)
        self.settled = 0  #: up to this frame number the stages are final
        self.lost = 0  #: overwritten before they were read
        self.program: Program | None = None  #: what the frame log takes; None: every frame
        self.heed: Callable[[Frames], None] | None = None  #: who else reads what was logged, as it comes
        self._source = source
        self._cursor: Cursor = START
        self._stages = Stages()
        self._looked = 0  #: frames up to this number were looked for in the events once
        self._ran = 0.0  #: seconds that the source was seen running
        self._ages: deque[tuple[float, int]] = deque()  #: (seconds run, newest frame) of each reading
        self._ran_at: float | None = None  #: when it was seen running last

    def take(self) -> int:
        """Keep what was logged since; a source gives a batch at a time. The number of frames."""
        added = 0
        for _ in range(_BATCHES):
            frames = self._source.frames(self._cursor)
            self._cursor = frames.cursor
            self.lost += frames.lost
            if not len(frames.rows):
                break
            read = len(frames.data)
            frames = _of_packets(frames)
            self.frames.append(records(frames), frames.data, frames.offsets)
            if self.heed is not None:
                self.heed(frames)
            added += len(frames.rows)
            if read < _SMALL:
                break
        return added

    def learn(self, rows: Array, lost: int) -> None:
        """Events that may tell what became of a frame."""
        self._stages.add(rows, lost)

    def settle(self, snapshot: Snapshot, now: float) -> None:
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

    def set_program(self, program: Program | None) -> None:
        """From the source's next frame on only what matches is logged; None: every frame.

        RuntimeError where the source's frame log is not ours to filter; ValueError for an unsound program.
        """
        logs = self._source.snapshot(()).logs
        self._log(logs.frames_on, logs.frame_sample, program)
        self.program = program

    def log(self, on: bool) -> None:
        """Log frames, or only count them; filter and sampling stay as they are."""
        self._log(on, self._source.snapshot(()).logs.frame_sample, self.program)

    def _log(self, on: bool, sample: int, program: Program | None) -> None:
        logged = self._source.control or self._source
        if not isinstance(logged, FramesLogged):
            raise RuntimeError(
                f"what {self._source.identity.name} logs cannot be chosen: no side of it is ours"
            )
        logged.log_frames(on, sample, program.instructions if program else None)

    def newest_at(self, time: int) -> int:
        """The newest frame that was logged up to `time`, ns since the epoch; one before the first: none."""
        low, high = self.frames.first, self.frames.last + 1
        while low < high:
            middle = (low + high) // 2
            try:
                later = self.frames.frame(middle).time > time
            except LookupError:  # it fell out of the store just now
                later = False
            low, high = (low, middle) if later else (middle + 1, high)
        return low - 1


def _of_packets(frames: Frames) -> Frames:
    """Without requests, which are no frames: a tap may have taken the device for another."""
    mine = (frames.rows["flags"] & FRAME_REQUEST) == 0
    return frames if mine.all() else replace(frames, rows=frames.rows[mine], offsets=frames.offsets[mine])


def records(frames: Frames) -> Any:
    """Logged frames as rows of the frame store: one interface per queue and direction."""
    logged = frames.rows
    rows = kept.records(len(logged))
    whole = rows.view(np.uint8).reshape(-1, kept.RECORD.itemsize)
    whole[:, : kept.LOGGED] = np.ascontiguousarray(logged).view(np.uint8).reshape(-1, kept.LOGGED)
    rows["interface"] = logged["queue"]
    return rows
