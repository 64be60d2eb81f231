"""The straight way from the frame log to a file: no store between, every loss booked where it happened.

`Straight` reads the log on the thread of its caller. `Behind` writes on a thread of its own, so that a disk
that stalls for a moment costs memory and no frames. When that is used up the reader waits, the log runs
over, and the numbers of its frames tell how many are missing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from capture.files.around import chosen
from capture.frame import RECORD, STAGES, Array
from capture.store import Block
from dataplane.source import START, Cursor, Frames, RingSource
from inspector.session import records
from inspector.stages import Stages

_PER_FRAME = 128  # bytes of a row and its stages besides the frame

if TYPE_CHECKING:
    from capture.bpf import Program

Losses = Sequence[tuple[int, int]]  #: (interface, frames lost before the next of it)


class Output(Protocol):
    """What frames are written to: `files.whole.WholeBlocks` and `files.rolling.RollingWriter`."""

    @property
    def frames(self) -> int: ...
    def write(self, rows: Array, data: memoryview, offsets: Array, stages: Array | None = None) -> None: ...
    def lost(self, interface: int, count: int) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Straight:
    """Frames of a source in the order of its log, from now on whole: switched on, filtered, and counted."""

    def __init__(self, source: RingSource, program: Program | None = None, snap: int = 0) -> None:
        self._source = source
        self._program = program
        self._snap = snap
        self._cursor: Cursor = START
        self._events: Cursor = START
        self._stages = Stages()
        self._places: dict[int, int] = {}  # the position that the next frame of each queue has
        self._single = True  # every frame took one buffer so far
        self._parts: deque[tuple[Block, Losses]] = deque()
        self._owed = 0  # frames lost that are not booked yet
        self._stopped = False
        self._filter_here = 1 << 63  # frames below this number met no filter in the log
        self.taken = 0  #: frames that came out of the log
        self.unmatched = 0  #: those of them that the capture filter did not match
        self.lost = 0  #: frames that the log overwrote before they were read
        self.passed_over = 0  #: frames that crossed before every one was logged
        before = source.snapshot(())
        if not before.logs.frames:  # nothing was logged yet: what comes first follows what was seen so far
            self._places = {queue.index: queue.after[1] for queue in before.queues}
        control = source.control
        if control is not None:
            control.log_frames(True, 1, program.instructions if program else None)
            logs = source.snapshot(()).logs
            self._filter_here = logs.frames if program else 0
            self.passed_over = logs.frames_passed_over

    def pull(self) -> tuple[Block, Losses] | None:
        """The next frames, some megabytes at most; None where there are no more now.

        Frames are missing only before a block, never inside it.
        """
        if not self._parts:
            frames = self._source.frames(self._cursor)
            self._cursor = frames.cursor
            self.lost += frames.lost
            self.taken += len(frames.rows)
            if not len(frames.rows):
                return self._rest()
            self._part(frames)
        return self._parts.popleft()

    def _part(self, frames: Frames) -> None:
        """Cut what was read where the log ran over meanwhile, and book what is missing."""
        numbers = frames.rows["number"].astype(np.int64)
        missing = np.diff(numbers) - 1
        cuts = [0, *(np.flatnonzero(missing) + 1).tolist(), len(numbers)]
        lost = frames.lost - int(missing.sum())
        rows = records(frames)
        rows["number"] = numbers + 1
        if self._snap:
            rows["captured"] = np.minimum(rows["captured"], self._snap)
        data = memoryview(frames.data)
        for start, stop in pairwise(cuts):
            block = Block(rows[start:stop], data, frames.offsets[start:stop], np.zeros(stop - start, STAGES))
            losses = self._book(frames.rows[start:stop], lost if not start else int(missing[start - 1]))
            if self._program is not None and int(numbers[start]) < self._filter_here:
                wanted = self._program.mask(block) | (numbers[start:stop] >= self._filter_here)
                self.unmatched += stop - start - int(wanted.sum())
                block = chosen(block, wanted)
            self._parts.append((block, losses))

    def _rest(self) -> tuple[Block, Losses] | None:
        """Once nothing more comes: the losses whose queue had no frame after them."""
        if not self._stopped or not self._owed:
            return None
        owed, self._owed = self._owed, 0
        nothing = np.zeros(0, np.int64)
        return Block(np.zeros(0, RECORD), memoryview(b""), nothing, np.zeros(0, STAGES)), [(0, owed)]

    def listen(self) -> None:
        """Read the events that tell what became of buffers. To be called between two readings."""
        events = self._source.events(self._events)
        self._events = events.cursor
        self._stages.add(events.rows, events.lost)

    def fill(self, block: Block) -> None:
        """What became of the buffers of a block, as far as it is known by now."""
        rows = block.rows
        if len(rows):
            made, _ = self._stages.of(
                rows["origin_queue"], rows["origin_position"], rows["buffers"], rows["time"]
            )
            block.stages.view(np.uint8)[:] = made.view(np.uint8)

    def stop(self) -> None:
        """Log nothing more: what was logged can then be read to its end."""
        self._stopped = True
        if self._source.control is not None:
            self._source.control.log_frames(False)

    def _book(self, rows: Array, lost: int) -> Losses:
        """Which interfaces the lost frames belong to.

        Where every frame takes one buffer and none is left out, the gap in the positions of a queue is the
        number of its frames that are missing, told once the queue has a frame again. Elsewhere all go to
        the first frame after them.
        """
        self._owed += lost
        self._single = self._single and bool((rows["buffers"] == 1).all())
        queues, first = np.unique(rows["queue"], return_index=True)
        booked = []
        exact = self._single and self._program is None
        for queue, at in zip(queues.tolist(), first.tolist(), strict=True):
            place = self._places.get(queue)
            exact = exact and place is not None
            if exact and place is not None and self._owed:
                gap = min(max(int(rows["position"][at]) - place, 0), self._owed)
                self._owed -= gap
                if gap:
                    booked.append((queue, gap))
            last = rows[len(rows) - 1 - int(np.argmax(rows["queue"][::-1] == queue))]
            self._places[queue] = int(last["position"]) + int(last["buffers"])
        if self._owed and not exact:
            booked.append((int(rows["queue"][0]), self._owed))
            self._owed = 0
        return booked


class Behind:
    """Writes blocks on a thread of its own, at most `budget_bytes` of them waiting.

    What the output raises ends the thread and is raised by the next call here.
    """

    def __init__(self, output: Output, budget_bytes: int) -> None:
        self._output = output
        self._budget = budget_bytes
        self._waiting: deque[tuple[Block, Losses, int]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._ending = False
        self._flush = False
        self._why: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="capture-writer", daemon=True)
        self._thread.start()

    def put(self, block: Block, losses: Losses = ()) -> None:
        """One more block; waits while too much is waiting."""
        size = int(block.rows["captured"].sum(dtype=np.int64)) + len(block.rows) * _PER_FRAME
        with self._changed:
            self._changed.wait_for(lambda: self._why or not self._size or self._size + size <= self._budget)
            self._check()
            self._waiting.append((block, losses, size))
            self._size += size
            self._changed.notify_all()

    @property
    def pressed(self) -> bool:
        """Whether so much is waiting that the file falls behind."""
        return self._size > self._budget // 4

    def flush(self) -> None:
        """Let everything reach the file when its turn comes."""
        with self._changed:
            self._check()
            self._flush = True
            self._changed.notify_all()

    def close(self) -> None:
        """Write what is waiting and finish the output."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()
        self._check()
        self._output.close()

    def abandon(self) -> None:
        """End the thread without a word; what is waiting is written if it can be."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def _check(self) -> None:
        if self._why is not None:
            raise self._why

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._flush or self._ending)
                    if not self._waiting:
                        if self._ending:
                            return
                        self._flush = False
                        block = None
                    else:
                        block, losses, size = self._waiting[0]
                if block is None:
                    self._output.flush()
                    continue
                for interface, count in losses:
                    self._output.lost(interface, count)
                if len(block.rows):
                    self._output.write(block.rows, block.data, block.offsets, block.stages)
                with self._changed:
                    self._waiting.popleft()
                    self._size -= size
                    self._changed.notify_all()
        except BaseException as why:  # told to the thread that reads
            with self._changed:
                self._why = why
                self._changed.notify_all()
