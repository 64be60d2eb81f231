"""What a half of a ring is written with: the queue's addresses, its memory, and how to say "broken".

Everything here is plain Python without a dependency, so that an editor knows the names too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

NEXT, WRITE, INDIRECT = 1, 2, 4  #: flags of a descriptor (2.7.5, 2.8.13)
AVAIL, USED = 1 << 7, 1 << 15  #: flags of a packed descriptor besides (2.8.1)
NO_INTERRUPT = 1  #: avail.flags (2.7.7)
NO_NOTIFY = 1  #: used.flags (2.7.10)
ENABLE, DISABLE, DESC = 0, 1, 2  #: flags of a packed event suppression structure (2.8.10)

SOURCE = "<your code>"  #: the name under which the learner's text is compiled


class Piece(NamedTuple):
    """One contiguous part of a buffer. `writable`: the device writes it; else it reads it."""

    address: int
    length: int
    writable: bool


class Queue(NamedTuple):
    """Where the queue stands. Addresses are guest addresses, for `Memory`."""

    size: int  #: descriptors
    desc: int  #: address of the descriptor table (split), or of the descriptor ring (packed)
    driver_area: int  #: the available ring (2.7.6), or the driver event suppression structure (2.8.10)
    device_area: int  #: the used ring (2.7.8), or the device event suppression structure
    event_idx: bool  #: VIRTIO_F_EVENT_IDX was negotiated
    start: int  #: split: the value both idx fields have at first; packed: the slot where both sides begin
    wrap: int  #: packed: what both wrap counters are at first


class Broken(Exception):
    """Raise it where the other side did what it must not: this half takes nothing more from the ring."""


def line_of_learner() -> int:
    """The line of the learner's text that is being run; 0 where none is."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == SOURCE:
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return 0


class Memory:
    """Memory that both sides see: little-endian, every access of its natural width and alignment.

    A store is performed when it is called. On a real machine the other side may see two stores the other way
    round, and a load may be done early, unless a `barrier()` stands between.
    """

    def __init__(self, tell: Callable[..., None], ask: Callable[..., Any]) -> None:
        self._tell, self._ask = tell, ask

    def load16(self, address: int) -> int:
        return self._load(address, 2)

    def load32(self, address: int) -> int:
        return self._load(address, 4)

    def load64(self, address: int) -> int:
        return self._load(address, 8)

    def store16(self, address: int, value: int) -> None:
        self._store(address, 2, value)

    def store32(self, address: int, value: int) -> None:
        self._store(address, 4, value)

    def store64(self, address: int, value: int) -> None:
        self._store(address, 8, value)

    def barrier(self) -> None:
        """Everything before it is visible to the other side before anything after it."""
        self._tell("barrier", line_of_learner())

    def _load(self, address: int, width: int) -> int:
        _check(address, "an address")
        return int(self._ask("load", address, width, line_of_learner()))

    def _store(self, address: int, width: int, value: int) -> None:
        _check(address, "an address")
        _check(value, "a value to store")
        self._tell("store", address, width, int(value), line_of_learner())


def _check(value: object, what: str) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{what} is an int, not {type(value).__name__}")
    if value.bit_length() > 128:
        raise OverflowError(f"{what} has {value.bit_length()} bits")
