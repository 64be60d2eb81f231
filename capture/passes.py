"""One filter and one order, applied to the frames of a store from the oldest on, as fast as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from capture.frame import Array
from capture.store import Block, FrameStore

STAGED = frozenset({"latency", "pickup", "kick", "call"})  #: columns that come from the stages
_NONE = np.zeros(0, np.int64)


class Matcher(Protocol):
    """What a display filter must have; `capture.dfilter.Filter` does."""

    @property
    def text(self) -> str: ...

    @property
    def needs_stages(self) -> bool: ...

    def mask(self, block: Block) -> Array: ...


@dataclass(frozen=True, slots=True)
class Want:
    """What a list is to show; `serial` counts the filters and columns that were asked for."""

    filter: Matcher | None = None
    column: str | None = None
    descending: bool = False
    serial: int = 0

    @property
    def plain(self) -> bool:
        return self.filter is None and self.column is None

    @property
    def staged(self) -> bool:
        """Whether what becomes of a frame after it was kept can change its place."""
        return self.column in STAGED or (self.filter is not None and self.filter.needs_stages)


class Growing:
    """Ascending numbers that grow at the end and go in front; what was handed out never changes."""

    def __init__(self) -> None:
        self._room = np.empty(1024, np.int64)
        self._start = self._stop = 0

    @property
    def array(self) -> Array:
        part = self._room[self._start : self._stop]
        part.flags.writeable = False
        return part

    def add(self, numbers: Array) -> None:
        if self._stop + len(numbers) > len(self._room):
            kept = self._room[self._start : self._stop]
            self._room = np.empty(2 * (len(kept) + len(numbers)) + 1024, np.int64)
            self._room[: len(kept)] = kept
            self._start, self._stop = 0, len(kept)
        self._room[self._stop : self._stop + len(numbers)] = numbers
        self._stop += len(numbers)

    def forget(self, first: int) -> None:
        """Let go of numbers below `first`."""
        self._start += int(np.searchsorted(self._room[self._start : self._stop], first))


class Ordered:
    """Numbers in the order of their keys, equal keys in that of their numbers."""

    def __init__(self) -> None:
        self.numbers, self.keys = _NONE, _NONE

    def merged(self, numbers: Array, keys: Array) -> tuple[Array, Array]:
        """These numbers, all greater than those here, and those here: both in one order."""
        if not len(numbers):
            return self.numbers, self.keys
        turn = np.argsort(keys, kind="stable")
        numbers, keys = numbers[turn], keys[turn]
        if not len(self.numbers):
            return numbers, keys
        at = np.searchsorted(self.keys, keys, "right")
        return np.insert(self.numbers, at, numbers), np.insert(self.keys, at, keys)

    def forget(self, first: int) -> None:
        keep = self.numbers >= first
        self.numbers, self.keys = self.numbers[keep], self.keys[keep]


class Pass:
    """What was found so far. Where stages matter, frames whose stages are not final are looked at twice:
    as they come (the tail), and for good once they have settled.
    """

    def __init__(self, want: Want, store: FrameStore, keys: Callable[[Block, str], Array]) -> None:
        self.want = want
        self.complete = False  #: whether it has reached what was newest when it began
        self._store = store
        self._key = keys
        self._first = self._begun = store.first
        self._target = store.last
        self._done = self._seen = self._first  # frames below are looked at for good; at all
        self._found = Growing()
        self._ordered = Ordered()
        self._waiting: list[tuple[Array, Array]] = []  # found, and not yet in order
        self._tail: tuple[Array, Array] = (_NONE, _NONE)

    @property
    def looked_at(self) -> int:
        """The newest frame that was looked at."""
        return self._seen - 1

    @property
    def progress(self) -> float:
        whole = self._target + 1 - self._begun
        return min(max((self._seen - self._begun) / whole, 0.0), 1.0) if whole > 0 else 1.0

    def take(self, settled: int | None, limit: int, wanted: Callable[[], bool]) -> bool:
        """Look at up to `limit` more frames; whether some are left. Ends early when no longer `wanted`."""
        self._forget(self._store.first)
        last = self._store.last
        final = min(settled, last) if self.want.staged and settled is not None else last
        stop = min(final + 1, self._done + limit)
        if stop > self._done:
            found = self._look(self._done, stop, wanted)
            if found is None:
                return True
            self._waiting.append(found)
            self._done = stop
            self._seen = max(self._seen, stop)
            self._tail = _from(self._tail, stop)
        more = self._done <= final
        if not more:
            more = self._look_ahead(last, limit, wanted)
        self.complete = self.complete or self._seen > self._target
        if self.complete:
            self._settle()
        return more

    def _look_ahead(self, last: int, limit: int, wanted: Callable[[], bool]) -> bool:
        """Look for now at frames that have not settled; whether some are left."""
        start = max(self._seen, self._done)
        stop = min(last + 1, start + limit)
        if stop > start:
            found = self._look(start, stop, wanted)
            if found is None:
                return True
            self._tail = _joined([self._tail, found])
            self._seen = stop
        return self._seen <= last

    def _look(self, start: int, stop: int, wanted: Callable[[], bool]) -> tuple[Array, Array] | None:
        """The frames from `start` to `stop` - 1 that are to be shown, with their keys; None if given up."""
        parts: list[tuple[Array, Array]] = []
        for block in self._store.blocks(start, stop):
            if not wanted():
                return None
            numbers = block.rows["number"].astype(np.int64)
            keys = _NONE
            mask = self.want.filter.mask(block) if self.want.filter is not None else None
            if self.want.column is not None and (mask is None or mask.any()):
                keys = self._key(block, self.want.column)
                keys = keys if mask is None else keys[mask]
            numbers = numbers if mask is None else numbers[mask]
            if len(numbers):
                parts.append((numbers, keys))
        return _joined(parts)

    def _settle(self) -> None:
        """Bring what waits into its place."""
        numbers, keys = _joined(self._waiting)
        self._waiting = []
        if self.want.column is None:
            self._found.add(numbers)
        else:
            self._ordered.numbers, self._ordered.keys = self._ordered.merged(numbers, keys)

    def _forget(self, first: int) -> None:
        """Frames below `first` are no longer kept."""
        if first <= self._first:
            return
        self._first = first
        self._done, self._seen = max(self._done, first), max(self._seen, first)
        self._found.forget(first)
        self._ordered.forget(first)
        self._waiting = [_from(part, first) for part in self._waiting]
        self._tail = _from(self._tail, first)

    def picture(self) -> tuple[Array, Array | None]:
        """The numbers in ascending order of the sort, and their keys (None in the order of the capture)."""
        numbers, keys = self._tail
        if self.want.column is not None:
            return self._ordered.merged(numbers, keys)
        found = self._found.array
        return (np.concatenate([found, numbers]) if len(numbers) else found), None

    def key_of(self, number: int) -> Any:
        """The key of one frame now; None where it is no longer kept."""
        for block in self._store.blocks(number, number + 1):
            return self._key(block, self.want.column or "")[0]
        return None


def _joined(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """One after the other; empty ones have no say in the type of the keys."""
    some = [part for part in parts if len(part[0])]
    if len(some) < 2:
        return some[0] if some else (_NONE, _NONE)
    return np.concatenate([part[0] for part in some]), np.concatenate([part[1] for part in some])


def _from(part: tuple[Array, Array], first: int) -> tuple[Array, Array]:
    """The same without numbers below `first`; the numbers ascend."""
    at = int(np.searchsorted(part[0], first))
    return part[0][at:], part[1][at:]
