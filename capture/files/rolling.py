"""A capture in several files, as dumpcap writes them: each whole in itself, the oldest given up.

`rings.pcapng` becomes rings_00001_20261122154408.pcapng and so on: number, and local time of its beginning.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from capture.files.whole import WholeBlocks
from capture.frame import Array


class RollingWriter:
    """Writes as `capture.files.whole.WholeBlocks` does, on file after file.

    `create(path)` opens one. A new file begins before `size` bytes are passed (a frame that is larger gets
    one of its own), or `seconds` after the last began, whether frames come or not: 0 is no limit. At most
    `keep` files are left, 0: all. Losses are told in the file in which the next frame stands.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        create: Callable[[Path], WholeBlocks],
        *,
        size: int = 0,
        seconds: float = 0,
        keep: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._create = create
        self._size = size
        self._seconds = seconds
        self._keep = keep
        self._clock = clock
        self._names: deque[Path] = deque()
        self._count = 0
        self._before = 0
        self._closed = False
        self._writer = self._open()

    @property
    def frames(self) -> int:
        """Frames handed to all files; after an error those that stand in them whole."""
        return self._before + self._writer.frames

    @property
    def files(self) -> int:
        """Files begun, those given up included."""
        return self._count

    @property
    def names(self) -> tuple[Path, ...]:
        """The files that are left, the oldest first."""
        return tuple(self._names)

    def lost(self, interface: int, count: int) -> None:
        self._turn_if_late()
        self._writer.lost(interface, count)

    def write(
        self, rows: Array, data: bytes | memoryview | Array, offsets: Array, stages: Array | None = None
    ) -> None:
        """Frames, as many into each file as fit. OSError as the writers raise it."""
        self._turn_if_late()
        at = 0
        while at < len(rows):
            rest = None if stages is None else stages[at:]
            if not self._size:
                self._writer.write(rows[at:], data, offsets[at:], rest)
                return
            taken = self._writer.fill(rows[at:], data, offsets[at:], rest, self._size)
            if not taken and not self._writer.count:
                taken = 1
                self._writer.write(
                    rows[at : at + 1], data, offsets[at : at + 1], None if rest is None else rest[:1]
                )
            at += taken
            if at < len(rows):
                self._turn()

    def flush(self) -> None:
        self._turn_if_late()
        self._writer.flush()

    def close(self) -> None:
        """Finish the last file. Nothing happens the second time."""
        if not self._closed:
            self._closed = True
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> WholeBlocks:
        now = self._clock()
        stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(now))
        name = self._path.with_name(f"{self._path.stem}_{self._count + 1:05d}_{stamp}{self._path.suffix}")
        writer = self._create(name)
        self._count += 1
        self._due = now + self._seconds if self._seconds else float("inf")
        self._names.append(name)
        while self._keep and len(self._names) > self._keep:
            self._names.popleft().unlink(missing_ok=True)
        return writer

    def _turn(self) -> None:
        """Finish this file and begin the next, which first stands open: a full disk loses neither."""
        self._writer.close()
        self._before += self._writer.frames
        self._writer = self._open()

    def _turn_if_late(self) -> None:
        if self._clock() >= self._due:
            self._turn()
