"""A moving window on a file that is read from its beginning to its end: of pipes too, and never mapped."""

from __future__ import annotations

import io
import select
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from capture.errors import CaptureError
from capture.files.packed import unpacked

_CHUNK = 1 << 20
_SKIP = 1 << 16


class Window:
    """Bytes `at` to `len(bytes)` of `bytes` are what was read and not taken yet."""

    def __init__(self, file: IO[bytes]) -> None:
        packed = unpacked(file)
        # What a pipe has is enough; a plain read would wait for the whole chunk.
        plain: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
        self._read = packed if packed is not None else plain
        raw = getattr(file, "raw", None) if packed is None else None
        self._raw: io.FileIO | None = raw if isinstance(raw, io.FileIO) else None
        self._base = 0
        self._file: int | None = None
        with suppress(OSError, AttributeError):  # what is in memory has none, and is never dry
            self._file = file.fileno() if packed is None else None
        self.bytes = b""
        self.at = 0

    @property
    def place(self) -> int:
        """Where in the file the next byte stands."""
        return self._base + self.at

    def have(self, size: int) -> int:
        """Reads on until `size` bytes stand in the window or the file ends; how many do."""
        left = len(self.bytes) - self.at
        if left >= size:
            return left
        parts, self._base = [self.bytes[self.at :]], self._base + self.at
        while left < size:
            piece = self._more(max(_CHUNK, size - left))
            if not piece:
                break
            parts.append(piece)
            left += len(piece)
        self.bytes, self.at = b"".join(parts), 0
        return left

    def _more(self, size: int) -> bytes:
        """Some bytes of the file, none at its end."""
        try:
            # A pipe that does not block may have none now: what is buffered says nothing for that too.
            while not (piece := self._read(size)) and self._raw is not None:
                if (piece := self._raw.read(size)) is not None:
                    break
                select.select([self._raw], [], [])
        except OSError as why:
            raise CaptureError(f"cannot be read at byte {self._base + self.at}: {why.strerror}") from None
        return piece or b""

    def dry(self, size: int | None) -> bool:
        """Whether more must be waited for: fewer than `size` bytes are here and a pipe has none now."""
        if self._file is None or (size is not None and len(self.bytes) - self.at >= size):
            return False
        return not select.select([self._file], [], [], 0)[0]

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or as many as the file still has."""
        self.have(size)
        taken = self.bytes[self.at : self.at + size]
        self.at += len(taken)
        return taken

    def pass_over(self, size: int) -> bytes:
        """Read over `size` bytes in small pieces; the last four of them, fewer where the file ends before."""
        tail = b""
        while size:
            piece = self.take(min(size, _SKIP))
            if not piece:
                return b""
            size -= len(piece)
            tail = (tail + piece)[-4:]
        return tail
