"""Which frames a list shows and in what order: a display filter, a sort, marks; no toolkit.

One thread calls `advance` as often as it likes; every call takes in a bounded number of frames. Any thread
reads `shown`, which never changes under its reader. A new filter or column is worked out beside what is
shown, from the oldest frame on, and takes its place once it has reached the newest; meanwhile what is shown
goes on growing. Without a filter and a sort nothing is worked out at all: the frames kept are a range.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from capture.frame import Array
from capture.passes import Matcher, Pass, Want
from capture.store import Block, FrameStore

_FRAMES = 1 << 16  #: frames that one `advance` looks at, in each of its passes


@dataclass(frozen=True, slots=True)
class Shown:
    """The lines of a list at one moment: position 0 is the first line.

    `numbers` has the frame numbers in ascending order of the sort (of the numbers where `column` is None);
    `descending` turns it round. While `complete` is False another filter or order is being worked out, of
    which `progress` (0 to 1) is done. `keys` are the sort keys of the numbers, `key_of` gives that of one.
    """

    first: int  #: the oldest frame kept
    last: int  #: the newest frame looked at
    numbers: range | Array
    column: str | None = None
    descending: bool = False
    filter_text: str = ""
    complete: bool = True
    progress: float = 1.0
    keys: Array | None = None
    key_of: Callable[[int], Any] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def number(self, position: int) -> int:
        """The frame on a line; IndexError outside."""
        if not 0 <= position < len(self.numbers):
            raise IndexError(f"line {position} of {len(self.numbers)}")
        return int(self.numbers[len(self.numbers) - 1 - position if self.descending else position])

    def lines(self, start: int, stop: int) -> list[int]:
        """The frames on the lines start..stop-1, as many as there are."""
        size = len(self.numbers)
        start, stop = max(start, 0), min(stop, size)
        if start >= stop:
            return []
        part = self.numbers[size - stop : size - start] if self.descending else self.numbers[start:stop]
        numbers = list(part) if isinstance(part, range) else part.tolist()
        return numbers[::-1] if self.descending else numbers

    @property
    def order(self) -> tuple[str, str | None, bool]:
        """What decides which line is where: filter, column, direction."""
        return self.filter_text, self.column, self.descending

    @property
    def newest(self) -> int | None:
        """The line of the newest frame; None where there is none."""
        if not len(self.numbers):
            return None
        if self.keys is None:
            return 0 if self.descending else len(self.numbers) - 1
        return self.position(int(np.max(self.numbers)))

    def same(self, other: Shown) -> bool:
        """Whether both have the same lines and say the same about them."""
        ranges = isinstance(self.numbers, range) and isinstance(other.numbers, range)
        if self.numbers is not other.numbers and not (ranges and self.numbers == other.numbers):
            return False
        said = [(each.order, each.first, each.last, each.complete, each.progress) for each in (self, other)]
        return said[0] == said[1]

    def ascending(self) -> Array:
        """The numbers of every frame shown, ascending."""
        numbers = np.asarray(self.numbers, np.int64)
        return numbers if self.keys is None else np.sort(numbers)

    def until(self, last: int) -> Shown:
        """The same without frames behind number `last`; `first` and `last` stay those of the store."""
        if isinstance(self.numbers, range):
            return replace(
                self,
                numbers=range(self.numbers.start, max(min(self.numbers.stop, last + 1), self.numbers.start)),
            )
        if self.keys is None:
            return replace(self, numbers=self.numbers[: int(np.searchsorted(self.numbers, last, "right"))])
        kept = self.numbers <= last
        return replace(self, numbers=self.numbers[kept], keys=self.keys[kept])

    def position(self, number: int) -> int | None:
        """The line that a frame stands on, None where it is not shown. O(log n)."""
        at = self._place(number)
        return None if at is None else len(self.numbers) - 1 - at if self.descending else at

    def nearest(self, number: int) -> int | None:
        """The line of the frame shown whose number is nearest; None where the list is empty."""
        at = self.position(number)
        if at is not None or not len(self.numbers):
            return at
        if isinstance(self.numbers, range):
            at = 0 if number < self.numbers[0] else len(self.numbers) - 1
        elif self.keys is None:
            at = int(np.searchsorted(self.numbers, number))
            low, high = max(at - 1, 0), min(at, len(self.numbers) - 1)
            at = low if number - self.numbers[low] <= self.numbers[high] - number else high
        else:
            at = int(np.argmin(np.abs(self.numbers - number)))
        return len(self.numbers) - 1 - at if self.descending else at

    def _place(self, number: int) -> int | None:
        order = self.numbers
        if isinstance(order, range):
            return number - order.start if number in order else None
        low, high = 0, len(order)
        if self.keys is not None and self.key_of is not None:
            key = self.key_of(number)
            if key is not None:
                low = int(np.searchsorted(self.keys, key, "left"))
                high = int(np.searchsorted(self.keys, key, "right"))
        at = low + int(np.searchsorted(order[low:high], number))
        if at < high and order[at] == number:
            return at
        if self.keys is None:
            return None
        found = np.flatnonzero(order == number)  # its key has changed since
        return int(found[0]) if len(found) else None


class FrameView:
    """What of a store is shown. `keys` gives the sort key of a column for every frame of a block."""

    def __init__(self, store: FrameStore, keys: Callable[[Block, str], Array] | None = None) -> None:
        self.store = store
        self._keys = keys or self._key
        self._want = Want()
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._now: Pass | None = None
        self._next: Pass | None = None
        self._kept = Shown(1, 0, range(1, 1))
        self._marks = np.zeros(0, np.int64)

    # what is wanted

    @property
    def filter(self) -> Matcher | None:
        return self._want.filter

    @property
    def column(self) -> str | None:
        """The column that the list is ordered by; None is the order of the capture."""
        return self._want.column

    @property
    def descending(self) -> bool:
        return self._want.descending

    @property
    def plain(self) -> bool:
        """Whether every frame kept is shown in the order of the capture: `advance` has nothing to do."""
        return self._want.plain

    def set_filter(self, wanted: Matcher | None) -> None:
        """Show what matches; None or a filter without text shows all."""
        wanted = wanted if wanted is not None and wanted.text.strip() else None
        with self._lock:
            if wanted is not self._want.filter:
                self._ask(replace(self._want, filter=wanted, serial=self._want.serial + 1))

    def set_sort(self, column: str | None, descending: bool = False) -> None:
        """Order by a column; None or "number" is the order of the capture."""
        column = None if column == "number" else column
        with self._lock:
            serial = self._want.serial + (column != self._want.column)
            self._ask(replace(self._want, column=column, descending=descending, serial=serial))

    def _ask(self, want: Want) -> None:
        self._want = want
        if want.plain:
            self._now = self._next = None

    # what is shown

    @property
    def shown(self) -> Shown:
        """What to paint now."""
        with self._lock:
            want, now, building, kept = self._want, self._now, self._next, self._kept
        if now is None:
            first, last = self.store.first, self.store.last
            kept = Shown(first, last, range(first, max(last, first - 1) + 1))
            if want.plain:
                return replace(kept, descending=want.descending)
            progress = building.progress if building is not None else 0.0
            return replace(kept, complete=False, progress=progress)
        if now.want.serial != want.serial:
            progress = building.progress if building is not None else 0.0
            return replace(kept, complete=False, progress=progress)
        return replace(kept, descending=want.descending)

    def advance(self, settled: int | None = None, frames: int = _FRAMES) -> bool:
        """Take in what is new, at most `frames` frames of it; whether there is more to do.

        settled: the stages of frames up to this number are final; those of later ones are looked at again
        (all are where it is None). What `Filter.mask` raises passes through.
        """
        with self._turn:
            with self._lock:
                want = self._want
                if want.plain:
                    return False
                if self._now is not None and self._now.want.serial == want.serial:
                    self._next = None
                elif self._next is None or self._next.want.serial != want.serial:
                    self._next = Pass(want, self.store, self._keys)
                now, building = self._now, self._next
            more = False
            if now is not None:
                more = now.take(settled, frames, lambda: now is self._now)
            if building is not None:
                more |= building.take(settled, frames, lambda: self._want.serial == want.serial)
                if building.complete:
                    now = building
            if now is not None and now.complete:
                self._keep(now)
            return more or self._want.serial != want.serial

    def _keep(self, done: Pass) -> None:
        """Make what a pass has found the picture, unless something else was asked for meanwhile."""
        numbers, keys = done.picture()
        want = done.want
        picture = Shown(
            first=self.store.first,
            last=done.looked_at,
            numbers=numbers,
            column=want.column,
            descending=want.descending,
            filter_text=want.filter.text if want.filter is not None else "",
            keys=keys,
            key_of=done.key_of if keys is not None else None,
        )
        with self._lock:
            if self._want.plain or (done is not self._now and done.want.serial != self._want.serial):
                return
            if done is self._next:
                self._next = None
            descending = (
                self._kept.descending if done.want.serial != self._want.serial else self._want.descending
            )
            self._now, self._kept = done, replace(picture, descending=descending)

    def _key(self, block: Block, column: str) -> Array:
        from capture.batch import Batch, sort_key  # only a list that is sorted needs them

        number = int(block.rows["number"][0])
        before = self.store.rows(number - 1, number)["time"]
        return sort_key(Batch(block, int(before[0]) if len(before) else None), column)

    # marks

    @property
    def marks(self) -> Array:
        """Numbers of the marked frames that are still kept, ascending."""
        first = self.store.first
        with self._lock:
            if len(self._marks) and self._marks[0] < first:
                self._marks = self._marks[np.searchsorted(self._marks, first) :]
            return self._marks

    def mark(self, number: int) -> bool:
        """Mark a frame, or take its mark away; whether it is marked now."""
        with self._lock:
            at = int(np.searchsorted(self._marks, number))
            if at < len(self._marks) and self._marks[at] == number:
                self._marks = np.delete(self._marks, at)
                return False
            if not self.store.first <= number <= self.store.last:
                return False
            self._marks = np.insert(self._marks, at, number)
            return True

    def next_mark(self, number: int, step: int = 1) -> int | None:
        """The marked frame shown nearest to a frame in the direction of `step`, round the end once."""
        shown = self.shown
        places = _places(shown, self.marks)
        here = shown.nearest(number)
        if not len(places) or here is None:
            return None
        at = int(np.searchsorted(places, here, "right" if step > 0 else "left")) - (step < 0)
        return shown.number(int(places[at % len(places)]))


def _places(shown: Shown, marks: Array) -> Array:
    """The lines that the marked frames stand on, ascending."""
    numbers = shown.numbers
    if isinstance(numbers, range):
        at = marks[(marks >= numbers.start) & (marks < numbers.stop)] - numbers.start
    elif shown.keys is None:
        at = np.searchsorted(numbers, marks)
        at = at[np.take(numbers, at, mode="clip") == marks] if len(numbers) else at[:0]
    else:
        at = np.flatnonzero(np.isin(numbers, marks))
    return len(numbers) - 1 - at[::-1] if shown.descending else at
