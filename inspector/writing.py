"""Frames of a session into a capture file: those selected, marked, shown, or all; losses told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from capture.frame import Array
from capture.pcap import PcapWriter
from capture.pcapng import Writer
from capture.store import Block
from inspector.numbers import count
from inspector.sections import interfaces, section_comment
from inspector.session import Session

_ENDINGS = (".pcapng", ".pcap")
_AT_ONCE = 1 << 16  #: frames between two words of progress


@dataclass(frozen=True, slots=True)
class Choice:
    """Frames that may be written. `numbers` is None for all that are kept, and ascending else."""

    name: str
    packets: int
    about: str
    numbers: range | Array | None


def proposed_name() -> str:
    """A file name nobody has taken, by the local time."""
    return time.strftime("ringscope-%Y%m%d-%H%M%S.pcapng")


def wrong_name(path: str) -> str:
    """Why no file can be written there, in one line; "" where one can."""
    path = os.path.expanduser(path.strip())
    if not path:
        return ""
    if not path.lower().endswith(_ENDINGS):
        return "let the name end in .pcapng or .pcap"
    if os.path.lexists(path):
        return f"{path} exists already; nothing is written over"
    folder = os.path.dirname(path) or "."
    return "" if os.path.isdir(folder) else f"there is no folder {folder}"


def writer(session: Session, file: IO[bytes]) -> Writer:
    """A pcapng writer with the interfaces of a session's source."""
    snapshot = (session.tick or session.pull()).snapshot
    return Writer(file, interfaces(snapshot), comment=section_comment(snapshot))


def write_frames(
    session: Session,
    path: str,
    numbers: range | Array | None = None,
    tell: Callable[[float], None] = lambda _: None,
) -> str:
    """Write frames (None: all that are kept) to a new file; one line that says how many.

    The ending of the name decides: .pcap is nanosecond pcap, anything else pcapng. A file that exists is
    never touched. OSError, in one line, where it cannot be written, or not to its end; what was written
    is readable. `tell` is told the part that is done, 0 to 1.
    """
    path = os.path.expanduser(path)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise OSError(f"{path} exists already; nothing was written") from None
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(fd, "wb", buffering=0) as file:
        plain = path.lower().endswith(".pcap")
        with _pcap(session, file) if plain else writer(session, file) as out:
            total = len(session.frames) if numbers is None else len(numbers)
            done = 0
            for block in _blocks(session, numbers):
                out.write(block.rows, block.data, block.offsets, block.stages)
                done += len(block.rows)
                tell(done / max(total, 1))
            if session.tick is not None and session.tick.frames_lost and numbers is None:
                out.lost(0, session.tick.frames_lost)
    gone = f", {count(total - done)} were no longer kept" if done < total else ""
    return f"{count(out.frames)} packet{'s' if out.frames != 1 else ''} written to {path}{gone}"


def _pcap(session: Session, file: IO[bytes]) -> PcapWriter:
    snapshot = (session.tick or session.pull()).snapshot
    return PcapWriter(file, interfaces=max(len(interfaces(snapshot)), 1))


def _blocks(session: Session, numbers: range | Array | None) -> Iterator[Block]:
    """The frames in pieces, oldest first."""
    store = session.frames
    if numbers is None:
        numbers = range(store.first, store.last + 1)
    if isinstance(numbers, range):
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            yield from store.blocks(start, min(start + _AT_ONCE, numbers.stop))
        return
    for at in range(0, len(numbers), _AT_ONCE):
        yield from store.pick(np.asarray(numbers[at : at + _AT_ONCE], np.int64))
