"""Which descriptor stands on which line of the table, with indirect tables opened in place.

Two orders: by slot, and by buffer as the ring has them (oldest first, each chain together). Either
costs a few passes of numpy over the ring at most; only the lines in sight are ever walked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataplane.layout import DESC_F_NEXT
from dataplane.snapshot import AnyQueue, PackedQueue

#: A line of the table: a descriptor slot, and an entry of the indirect table it points to or -1.
Line = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Order:
    """Lines of a table. `heads` None: by slot; otherwise the heads in ring order, `starts` their first
    line (without opened tables) and `starts[-1]` the number of lines.

    `opened` has (base line, slot, entries) ascending.
    """

    queue: AnyQueue
    heads: npt.NDArray[np.int64] | None
    starts: npt.NDArray[np.int64]
    opened: tuple[tuple[int, int, int], ...]

    @property
    def total(self) -> int:
        return int(self.starts[-1]) + sum(entries for _, _, entries in self.opened)

    def lines(self, top: int, count: int) -> list[Line]:
        """Up to `count` lines from line `top` on."""
        found: list[Line] = []
        base, entry = self._split(top)
        entries = {at: (slot, size) for at, slot, size in self.opened}
        slots = self._slots(base, base + count)
        for at, slot in enumerate(slots, base):
            if entry < 0:
                found.append((slot, -1))
            if at in entries:
                first = max(entry, 0)
                found += [(slot, n) for n in range(first, entries[at][1])]
            entry = -1
            if len(found) >= count:
                break
        return found[:count]

    def line_of(self, slot: int) -> int | None:
        """The line on which a slot stands; None where this order does not show it."""
        base = self._base_of(slot)
        if base is None:
            return None
        return base + sum(entries for at, _, entries in self.opened if at < base)

    def _split(self, line: int) -> Line:
        """(base line, entry of the opened table below it or -1)."""
        shift = 0
        for at, _, entries in self.opened:
            if line <= at + shift:
                break
            if line <= at + shift + entries:
                return at, line - at - shift - 1
            shift += entries
        return line - shift, -1

    def _slots(self, start: int, stop: int) -> list[int]:
        stop = min(stop, int(self.starts[-1]))
        if self.heads is None:
            return list(range(start, stop))
        slots: list[int] = []
        chain = bisect_right(self.starts, start) - 1
        while chain < len(self.heads) and self.starts[chain] < stop:
            slots += members_of(self.queue, int(self.heads[chain]), self._length(chain))
            chain += 1
        first = int(self.starts[bisect_right(self.starts, start) - 1])
        return slots[start - first : stop - first]

    def _length(self, chain: int) -> int:
        return int(self.starts[chain + 1] - self.starts[chain])

    def _base_of(self, slot: int) -> int | None:
        if self.heads is None:
            return slot if 0 <= slot < int(self.starts[-1]) else None
        return _base_line(self.queue, self.heads, self.starts, slot)


def by_slot(queue: AnyQueue, opened: Mapping[int, int]) -> Order:
    """Every slot, ascending. `opened`: number of lines below each slot that is open."""
    rows = len(queue.desc)
    tables = tuple((slot, slot, opened[slot]) for slot in sorted(opened) if slot < rows)
    return Order(queue, None, np.array([rows]), tables)


def by_buffer(queue: AnyQueue, opened: Mapping[int, int]) -> Order:
    """The slots of outstanding buffers, the oldest buffer first; free slots are left out."""
    size = len(queue.desc)
    slots = np.arange(size)
    held = (queue.buffer >= 0) & (queue.head < size)
    heads = np.flatnonzero(held & (queue.head == slots))
    heads = heads[np.argsort(queue.buffer[heads], kind="stable")]
    lengths = np.bincount(queue.head[held], minlength=size)[heads]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    tables = []
    for slot, entries in opened.items():
        base = _base_line(queue, heads, starts, slot)
        if base is not None:
            tables.append((base, slot, entries))
    return Order(queue, heads, starts, tuple(sorted(tables)))


def _base_line(
    queue: AnyQueue, heads: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], slot: int
) -> int | None:
    if not 0 <= slot < len(queue.desc) or queue.buffer[slot] < 0:
        return None
    found = np.flatnonzero(heads == queue.head[slot])
    if not len(found):
        return None
    chain = int(found[0])
    members = members_of(queue, int(heads[chain]), int(starts[chain + 1] - starts[chain]))
    return int(starts[chain]) + members.index(slot) if slot in members else None


def members_of(queue: AnyQueue, head: int, length: int) -> list[int]:
    """The `length` slots of the chain at `head`, in chain order.

    Follows NEXT in the copy; where that does not lead through exactly the slots that belong to the
    buffer (a chain rewritten under the copy, a broken one), the slots come in ascending order.
    """
    size = len(queue.desc)
    if isinstance(queue, PackedQueue):
        return [(head + i) % size for i in range(length)]
    members = [head]
    at = head
    while len(members) < length and int(queue.desc["flags"][at]) & DESC_F_NEXT:
        at = int(queue.desc["next"][at])
        if at >= size or int(queue.head[at]) != head or at in members:
            break
        members.append(at)
    if len(members) == length:
        return members
    return [int(slot) for slot in np.flatnonzero(queue.head == head)[:length]]
