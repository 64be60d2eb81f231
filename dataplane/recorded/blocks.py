"""The outer shape of a recording: blocks, each with its length and checksums, one after the other.

Nothing is ever written over, so what stands whole in a file stays whole: a reader takes blocks until one is
cut, altered, or not there yet, and what comes before that is the recording. `dataplane.recording` tells
every byte of it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAGIC = b"\x89RINGREC\r\n\x1a\n"
MAJOR, MINOR = 1, 0
HEAD = struct.Struct("<12sHH")
BLOCK = struct.Struct("<4sIQII")
_BEFORE_CHECK = BLOCK.size - 4
PIECE = 1 << 20  #: bytes read at once for a checksum
LIMIT = 1 << 30  #: bytes of content that no block has

Buffer = bytes | bytearray | memoryview


CUT, DAMAGED = "cut short", "damaged"  #: what can be wrong with the end of a file


class Unsound(ValueError):
    """What a file says cannot be: one line."""


class RecordingError(ValueError):
    """A file that is no recording of ours, or none that can be opened: one line that says why."""


class DamagedError(RecordingError):
    """A recording of which nothing is whole."""


@dataclass(frozen=True, slots=True)
class Found:
    """A whole block in a file: its kind, and where its content lies."""

    tag: bytes
    ordinal: int
    at: int  #: of its header
    offset: int  #: of its content
    length: int
    crc: int

    @property
    def end(self) -> int:
        return self.offset + self.length + -self.length % 8


class BlockWriter:
    """Appends blocks to a new file; what does not fit whole is taken away again.

    `put` raises OSError where the file takes no more; it then ends with its last whole block.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ordinal = 0
        self.size = 0  #: bytes of the file, all of them whole blocks
        self._write((HEAD.pack(MAGIC, MAJOR, MINOR),))

    def put(self, tag: bytes, pieces: Sequence[Buffer]) -> None:
        """One block of these pieces, end to end."""
        views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        length, crc = 0, 0
        for view in views:
            length += len(view)
            crc = zlib.crc32(view, crc)
        header = BLOCK.pack(tag, self._ordinal, length, crc, 0)[:_BEFORE_CHECK]
        header += struct.pack("<I", zlib.crc32(header))
        self._write((header, *views, bytes(-length % 8)))
        self._ordinal += 1

    def _write(self, pieces: Sequence[Buffer]) -> None:
        waiting = [memoryview(piece) for piece in pieces if len(piece)]
        done = 0
        try:
            while waiting:
                done += (took := os.writev(self._fd, waiting[:512]))
                while waiting and took >= len(waiting[0]):
                    took -= len(waiting.pop(0))
                if took:
                    waiting[0] = waiting[0][took:]
        except BaseException:
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += done


def read(fd: int, offset: int, length: int) -> bytes:
    """So many bytes of a file. LookupError where it is shorter by now."""
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise LookupError("the file was cut while it was open")
        data += more
    return data


def check_head(fd: int, size: int) -> None:
    """RecordingError where the file does not begin as a recording that this reader knows."""
    head = os.pread(fd, HEAD.size, 0)
    if len(head) < HEAD.size and MAGIC.startswith(head[: len(MAGIC)]):
        raise RecordingError(f"it is empty: {size} bytes, no block of a recording" if size else "it is empty")
    if not head.startswith(MAGIC):
        raise RecordingError("it is no recording of ringscope")
    _, major, minor = HEAD.unpack(head)
    if major != MAJOR:
        age = "newer" if major > MAJOR else "older"
        raise RecordingError(
            f"it is a recording of version {major}.{minor}, by a ringscope {age} than this one, "
            f"which reads version {MAJOR}"
        )


def headers(fd: int, at: int, ordinal: int) -> Iterator[Found | str]:
    """The blocks from a place on, as far as their headers are sound and they are there to their ends.

    Last comes a word for why there are no more: "cut short", "damaged", or "" where the file simply ends.
    """
    size = os.fstat(fd).st_size
    while at < size:
        header = os.pread(fd, BLOCK.size, at)
        if len(header) < BLOCK.size:
            yield CUT
            return
        tag, number, length, crc, check = BLOCK.unpack(header)
        if check != zlib.crc32(header[:_BEFORE_CHECK]) or number != ordinal or length > LIMIT:
            yield DAMAGED
            return
        found = Found(tag, ordinal, at, at + BLOCK.size, length, crc)
        if found.end > size:
            yield CUT
            return
        yield found
        at, ordinal = found.end, ordinal + 1
    yield ""


def content(fd: int, found: Found, buffer: bytearray) -> memoryview:
    """The content of a block, read into `buffer`, which grows where it must; the checksum is checked.

    Unsound where it is wrong; LookupError where the file is shorter by now.
    """
    if len(buffer) < found.length:
        buffer[:] = bytes(found.length)
    view = memoryview(buffer)[: found.length]
    done, crc = 0, 0
    while done < found.length:
        piece = view[done : done + PIECE]
        took = os.preadv(fd, [piece], found.offset + done)
        if not took:
            raise LookupError("the file was cut while it was open")
        crc = zlib.crc32(piece[:took], crc)
        done += took
    if crc != found.crc:
        raise Unsound("its checksum is wrong")
    return view
