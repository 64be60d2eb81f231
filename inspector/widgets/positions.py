"""The ring as positions: who stands where, and where both indices point.

In a packed ring a position is a descriptor slot. In a split ring it is an entry of the available and
used rings: buffers enter there in order, while descriptor slots are handed out in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dataplane.records import Owner
from dataplane.snapshot import AnyQueue, Bytes, PackedQueue, SplitQueue

#: Cell codes: an owner and how much of the cell's slots are his, in quarters; 0 is free.
LEVELS = 4
#: What the wake adds to a code, for each of its levels.
WAKE, WAKE_STEP = 5, 32


@dataclass(frozen=True, slots=True)
class Positions:
    """`owners`: one byte (`Owner`) for each position; `avail`, `used`: positions written next."""

    owners: Bytes
    avail: int
    used: int
    lap: int | None  #: times round since the count began; a packed ring has only its wrap counters


def positions(queue: AnyQueue) -> Positions:
    """Who stands at each position of the ring of this queue, from one snapshot."""
    size = queue.size
    match queue:
        case SplitQueue():
            owners = np.zeros(size, dtype=np.uint8)
            for start, stop, owner in (
                (queue.collected, queue.used, Owner.USED),
                (queue.used, queue.seen, Owner.IN_USE),
                (queue.seen, queue.published, Owner.AVAILABLE),
            ):
                _arc(owners, start + _offset(queue), min(stop - start, size), owner)
            avail, used = queue.avail_idx % size, queue.used_idx % size
            return Positions(owners, avail, used, queue.published // size)
        case PackedQueue():
            owners = queue.owner if len(queue.owner) == size else np.zeros(size, dtype=np.uint8)
            avail = queue.driver.avail_idx % size if queue.driver else 0
            used = queue.device.used_idx % size if queue.device else 0
            return Positions(owners, avail, used, None)


def _offset(queue: SplitQueue) -> int:
    """What must be added to a count of buffers to give its ring index: rings may start anywhere."""
    if queue.driver is None:
        return 0
    return (queue.driver.avail_idx - queue.driver.published) % (1 << 16)


def _arc(owners: Bytes, start: int, length: int, owner: int) -> None:
    if length <= 0:
        return
    size = len(owners)
    start %= size
    owners[start : start + length] = owner
    if start + length > size:
        owners[: start + length - size] = owner


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the driver was: ring positions of its next buffer out and in, and the counts behind them."""

    out: int
    back: int
    published: int
    collected: int


def mark(queue: AnyQueue) -> Mark:
    """Where the driver of this queue is."""
    size = queue.size
    if isinstance(queue, SplitQueue):
        offset = _offset(queue)
        out, back = (queue.published + offset) % size, (queue.collected + offset) % size
    else:
        out, back = (queue.driver.avail_idx, queue.driver.last_used) if queue.driver else (0, 0)
    return Mark(out, back, queue.published, queue.collected)


def wake(size: int, marks: Sequence[Mark]) -> Bytes:
    """What the last pictures' buffers left behind: `WAKE` where one passed just now, down to 1, 0 elsewhere.

    A buffer is often back before the next picture is taken; without its wake a busy ring looks empty.
    `marks` has the newest last.
    """
    trail = np.zeros(size, dtype=np.uint8)
    steps = list(pairwise(marks))
    for age, (then, now) in sorted(enumerate(reversed(steps)), reverse=True):
        level = max(1, WAKE - age * WAKE // max(1, len(steps)))
        for start, stop, passed in (
            (then.out, now.out, now.published - then.published),
            (then.back, now.back, now.collected - then.collected),
        ):
            _arc(trail, start, size if passed >= size else (stop - start) % size, level)
    return trail


def position_of_slot(queue: AnyQueue, slot: int) -> int | None:
    """The position at which the buffer that holds this slot stands; None where no buffer does."""
    if isinstance(queue, PackedQueue):
        return slot
    if slot >= len(queue.buffer) or queue.buffer[slot] < 0:
        return None
    return (int(queue.buffer[slot]) + _offset(queue)) % queue.size


def slot_of_position(queue: AnyQueue, position: int) -> int:
    """The descriptor slot to look at for a position: the head written there, or the slot itself."""
    if isinstance(queue, SplitQueue) and len(queue.avail_ring) == queue.size:
        return int(queue.avail_ring[position]) % queue.size
    return position


def density(owners: Bytes, cells: int, trail: Bytes | None = None) -> Bytes:
    """Codes of `cells` equal parts of a ring: `owner * LEVELS + quarter`, 0 for free, and the wake.

    Where a part is free or available, `WAKE_STEP` times the highest value of `trail` in it is added.

    A part shows the owner who has most of it, the free ones aside: what is in flight is what one
    looks for. The quarter tells how much of the part is in flight.
    """
    size = len(owners)
    if cells <= 0 or size == 0:
        return np.zeros(max(cells, 0), dtype=np.uint8)
    if cells >= size:
        at = np.arange(cells) * size // cells
        codes = np.where(owners[at] > 0, owners[at] * LEVELS + LEVELS - 1, 0).astype(np.uint8)
        return codes if trail is None else _add_wake(codes, trail[at])
    starts = np.arange(cells) * size // cells
    lengths = np.diff(np.append(starts, size))
    shares = np.stack([np.add.reduceat(owners == owner, starts, dtype=np.int32) for owner in range(1, 5)])
    busiest = shares.argmax(axis=0)
    busy = shares.sum(axis=0)
    quarter = np.minimum(LEVELS - 1, busy * LEVELS // lengths)
    codes = np.where(busy > 0, (busiest + 1) * LEVELS + quarter, 0).astype(np.uint8)
    return codes if trail is None else _add_wake(codes, np.maximum.reduceat(trail, starts))


def _add_wake(codes: Bytes, trail: Bytes) -> Bytes:
    shown = codes // LEVELS <= Owner.AVAILABLE
    marked: Bytes = codes + np.where(shown, trail * WAKE_STEP, 0).astype(np.uint8)
    return marked
