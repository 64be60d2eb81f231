"""Capture files that are compressed: gzip is read as it comes, what else is known is named."""

from __future__ import annotations

import gzip
import select
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from capture.errors import CaptureError

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4 -d"),
    b"\xfd7zX": ("xz", "xz -d"),
    b"BZh": ("bzip2", "bzip2 -d"),
    b"PK\x03\x04": ("zip", "unzip"),
}


def unpacked(file: IO[bytes]) -> Callable[[int], bytes] | None:
    """Reads some of what a compressed file holds, at most as many bytes as it is asked for.

    None where the file, which stands at its first byte, is not compressed. CaptureError where it is in a way
    that is not read here; the function raises it where the file is damaged or cut short.
    """
    magic = _ahead(file)
    for begins, (name, tool) in _OTHERS.items():
        if magic.startswith(begins):
            raise CaptureError(f"compressed with {name}: unpack it first, with {tool}")
    if not magic.startswith(_GZIP):
        return None
    inner = gzip.GzipFile(fileobj=file, mode="rb")

    def read(size: int) -> bytes:
        try:
            return inner.read1(size)
        except EOFError:
            raise CaptureError("cut short inside what gzip compressed") from None
        except (gzip.BadGzipFile, zlib.error) as why:
            raise CaptureError(f"damaged inside what gzip compressed: {why}") from None

    return read


def _ahead(file: IO[bytes]) -> bytes:
    """The first bytes of a file, which still come when it is read."""
    peek = getattr(file, "peek", None)
    if peek is not None:
        with suppress(OSError, ValueError):  # what is in memory has nothing to wait for
            select.select([file], [], [])
        return bytes(peek(4)[:4])
    if not file.seekable():
        return b""
    place = file.tell()
    magic = file.read(4)
    file.seek(place)
    return magic
