"""Capture files written in whole blocks, whatever happens: what the writers of all formats have in common.

Blocks are put together in memory and handed over by the megabyte. After a full disk, a reader that left or an
interrupt the file holds whole blocks; only a kill in the middle of a write can cut the last one, and readers
(ours, Wireshark's) then give everything before it.
"""

from __future__ import annotations

import errno
import io
import os
import select
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

import numpy as np

from capture.frame import Array

#: What a file has said of an interface so far: frames, frames lost (in all, and since the last one written),
#: and the times of the first and the last.
TALLY = np.dtype([(name, "<u8") for name in ("written", "lost", "lost_since", "first", "last")])
_BUFFER = 1 << 20
_FLUSH = 1 << 18

_Bytes = bytes | memoryview | Array
_Format = Callable[[Array, _Bytes, Array, Array | None, int, Array, memoryview, Array], int]


class WholeBlocks:
    """Writes to `file`, unbuffered below this class: whole blocks or none.

    OSError (disk full, reader gone) is raised once with the number of frames that stand in the file; a file
    that can seek is cut to whole blocks. Subclasses say what a frame looks like (`_format`) and where
    blocks end (`_block`).
    """

    _format: _Format
    _tail_room = 0  #: bytes for each interface that close() adds

    def __init__(self, file: IO[bytes]) -> None:
        if isinstance(file, io.BufferedWriter | io.BufferedRandom):
            file.flush()
            self._file: IO[bytes] | io.RawIOBase = file.raw
        else:
            self._file = file
        self._owned = False
        self._start = self._file.tell() if self._file.seekable() else None
        self._pending = bytearray(_BUFFER)
        self._state = np.zeros(2, np.uint64)  # bytes and frames pending; brought up to date in C
        self._sent = 0  # bytes of what is pending that an interrupted call has written
        self._whole = 0
        self._frames = 0
        self._tallies = np.zeros(0, TALLY)
        self._closed = False

    @staticmethod
    def _open(path: str | os.PathLike[str]) -> IO[bytes]:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return os.fdopen(fd, "wb", buffering=0)

    @property
    def frames(self) -> int:
        """Frames handed to the file; after an error those that stand in it whole."""
        return self._frames

    @property
    def count(self) -> int:
        """Frames taken, those that are not handed over yet included."""
        return self._frames + int(self._state[1])

    @property
    def size(self) -> int:
        """Bytes of the file so far, those that are pending and those that close() will add included."""
        return self._whole + int(self._state[0]) + self._tail_room * len(self._tallies)

    def lost(self, interface: int, count: int) -> None:
        """Tell of frames that were not kept since the last one written of an interface."""
        self._tallies["lost"][interface] += np.uint64(count)
        self._tallies["lost_since"][interface] += np.uint64(count)

    def write(self, rows: Array, data: _Bytes, offsets: Array, stages: Array | None = None) -> None:
        """Frames as the store gives them: `RECORD` rows, bytes, where each frame begins in them, `STAGES`.

        ValueError where a row names an interface that is not described, and then nothing of it is written;
        or bytes that are not there: the frames before it are.
        """
        self.fill(rows, data, offsets, stages)

    def fill(
        self,
        rows: Array,
        data: _Bytes,
        offsets: Array,
        stages: Array | None = None,
        most: int | None = None,
    ) -> int:
        """The same, until the file would pass `most` bytes; how many frames were taken."""
        if self._closed:
            raise ValueError("the capture is closed")
        if len(offsets) != len(rows) or (stages is not None and len(stages) != len(rows)):
            raise ValueError(f"{len(rows)} rows with {len(offsets)} offsets")
        if len(rows) and (highest := int(rows["interface"].max())) >= len(self._tallies):
            raise ValueError(f"interface {highest} of {len(self._tallies)} described")
        rows, offsets = np.ascontiguousarray(rows), np.ascontiguousarray(offsets, np.int64)
        stages = None if stages is None else np.ascontiguousarray(stages)
        at = 0
        while at < len(rows):
            used = int(self._state[0])
            room = _BUFFER if most is None else min(_BUFFER, used + max(most - self.size, 0))
            with memoryview(self._pending)[: max(room, used)] as out:
                after = self._format(rows, data, offsets, stages, at, self._tallies, out, self._state)
            if after == at and not used:
                return at
            if after == at or self._state[0] >= _FLUSH:
                self._drain()
            at = after
        return at

    def flush(self) -> None:
        """Hand what is pending to the file. OSError as the class says: also where a reader left meanwhile."""
        if self._state[0]:
            self._drain()
        elif self._start is None and not self._closed and self._unread():
            self._finish()
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _unread(self) -> bool:
        """Whether nobody reads the pipe any more: it says so without being written to."""
        try:
            poll = select.poll()
            poll.register(self._file, 0)
        except (OSError, ValueError, TypeError):
            return False  # it is no pipe of the system
        return any(what & select.POLLERR for _, what in poll.poll(0))

    def close(self) -> None:
        """Write what the format has at its end and finish. Nothing happens the second time."""
        if self._closed:
            return
        self._end()
        self._drain()
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> None:
        """Put what stands at the end of a file."""

    def _block(self, view: memoryview, at: int) -> tuple[int, bool]:
        """The length of the block at `at` of what is pending, and whether it is a frame."""
        raise NotImplementedError

    def _add_interface(self) -> int:
        self._tallies = np.concatenate([self._tallies, np.zeros(1, TALLY)])
        return len(self._tallies) - 1

    def _put(self, block: bytes) -> None:
        """One block that is no frame."""
        if self._closed:
            raise ValueError("the capture is closed")
        if int(self._state[0]) + len(block) > _BUFFER:
            self._drain()
        used = int(self._state[0])
        self._pending[used : used + len(block)] = block
        self._state[0] = used + len(block)

    def _drain(self) -> None:
        """Write what is pending; called again after an interrupt it goes on where that struck."""
        if self._sent and self._start is not None:
            self._sent = self._file.tell() - self._start - self._whole
        try:
            with memoryview(self._pending)[: int(self._state[0])] as view:
                while self._sent < len(view):
                    count = self._file.write(view[self._sent :])
                    if count is None:  # a pipe that does not block is full
                        select.select([], [self._file], [])
                    self._sent += count or 0
        except OSError as why:
            self._keep()
            self._cut()
            self._finish()
            text = f"{why.strerror}; the first {self._frames} frames are written and readable"
            raise OSError(why.errno, text) from why
        self._frames += int(self._state[1])
        self._whole += self._sent
        self._state[:] = 0
        self._sent = 0

    def _keep(self) -> None:
        """Count the blocks that stand whole within the bytes written, and forget all that was pending."""
        at = 0
        with memoryview(self._pending)[: int(self._state[0])] as view:
            while at < len(view):
                size, frame = self._block(view, at)
                if at + size > self._sent:
                    break
                at += size
                self._frames += frame
        self._whole += at
        self._state[:] = 0
        self._sent = 0

    def _cut(self) -> None:
        if self._start is not None:
            try:
                self._file.truncate(self._start + self._whole)
            except OSError:
                return  # a reader will find the half block at the end

    def _finish(self) -> None:
        self._closed = True
        if self._owned:
            self._file.close()
