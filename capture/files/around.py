"""The moments around a trigger: what came before is held in bounded memory, what comes after let through."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from capture.frame import RECORD, STAGES, Array
from capture.store import Block

_PER_FRAME = RECORD.itemsize + STAGES.itemsize + 8


class Around:
    """Holds the last `before` nanoseconds until a frame wakes it; then lets `after` nanoseconds through.

    `trigger` gives one bool for each frame of a block. Time is that of the frames. Held are at most
    `budget_bytes`; where that was too little `short` tells so once the trigger came.
    """

    def __init__(
        self,
        trigger: Callable[[Block], Array],
        *,
        before: int,
        after: int,
        budget_bytes: int = 256 << 20,
    ) -> None:
        self._trigger = trigger
        self._before = before
        self.after = after  #: nanoseconds
        self._budget = budget_bytes
        self._held: deque[tuple[Block, int]] = deque()
        self._size = 0
        self._forced = 0  # the time of the newest frame that went for want of room
        self.came: int | None = None  #: the time of the frame that woke it
        self.short = 0  #: nanoseconds of the time before that were asked for and did not fit
        self.over = False  #: a frame came that is later than the time after

    def take(self, block: Block) -> Iterator[Block]:
        """The next frames; what of all that was seen is to be written now."""
        if self.over or not len(block.rows):
            return
        if self.came is not None:
            yield from self._rest(block)
            return
        hits = np.flatnonzero(self._trigger(block))
        if not len(hits):
            self._hold(block)
            return
        at = int(hits[0])
        self.came = int(block.rows["time"][at])
        start = self.came - self._before
        self.short = max(self._forced - start, 0) if self._forced else 0
        while self._held:
            yield from _cut(self._held.popleft()[0], start, None)
        self._size = 0
        for part in _cut(block, start, None):
            yield from self._rest(part)

    def _rest(self, block: Block) -> Iterator[Block]:
        assert self.came is not None
        end = self.came + self.after
        if int(block.rows["time"].max()) > end:
            self.over = True
        yield from _cut(block, None, end)

    def _hold(self, block: Block) -> None:
        size = len(block.data) + len(block.rows) * _PER_FRAME
        self._held.append((block, size))
        self._size += size
        newest = int(block.rows["time"].max())
        while len(self._held) > 1:
            oldest, weight = self._held[0]
            last = int(oldest.rows["time"].max())
            if self._size > self._budget:
                self._forced = max(self._forced, last)
            elif last >= newest - self._before:
                break
            self._held.popleft()
            self._size -= weight


def _cut(block: Block, start: int | None, end: int | None) -> Iterator[Block]:
    """The frames of a block from `start` to `end`, both included; nothing where there are none."""
    times = block.rows["time"].astype(np.int64)
    wanted = np.ones(len(times), bool)
    if start is not None:
        wanted &= times >= start
    if end is not None:
        wanted &= times <= end
    if wanted.all():
        yield block
    elif wanted.any():
        yield chosen(block, wanted)


def chosen(block: Block, wanted: Array) -> Block:
    """The frames of a block that a mask picks; their bytes stay where they are."""
    picks = np.flatnonzero(wanted)
    # as bytes: structured rows are copied field by field, 25 times slower
    rows = np.ascontiguousarray(block.rows).view(np.uint8).reshape(-1, RECORD.itemsize)[picks]
    stages = np.ascontiguousarray(block.stages).view(np.uint8).reshape(-1, STAGES.itemsize)[picks]
    return Block(
        rows.reshape(-1).view(RECORD), block.data, block.offsets[picks], stages.reshape(-1).view(STAGES)
    )
