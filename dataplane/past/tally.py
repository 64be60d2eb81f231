"""What a piece of the journal tells at a glance: how much happened in it, and how far each side came.

From the first and the last event of each sort the counts of a queue follow at any moment, with no look at the
rows between: that is all there is where stores were not journaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from dataplane.records import Kind, Side
from dataplane.snapshot import Array

STEP = 1 << 11  #: rows between two lines of a tally's grid
QUEUES = 1 << 10  #: queues that are counted; an event of any higher one is only an event


class Sort(IntEnum):
    """What the latest event of a sort tells of a queue."""

    ADDED = 0
    PUBLISHED = 1
    SEEN = 2
    COMPLETED = 3
    USED = 4
    COLLECTED = 5
    KICK = 6  #: decision, sent or not
    CALL = 7
    DRIVER_NOTIFY = 8  #: the driver asked for calls, or for none
    DEVICE_NOTIFY = 9
    DRIVER_BROKEN = 10
    DEVICE_BROKEN = 11
    DRIVER_SLEEP = 12  #: WAIT or WAKE; of no queue of its own, kept under queue 0
    DEVICE_SLEEP = 13
    RESET = 14


class Count(IntEnum):
    """What is counted of a queue, event by event."""

    KICKS = 0
    KICKS_QUIET = 1
    CALLS = 2
    CALLS_QUIET = 3
    DRIVER_DROPS = 4
    DEVICE_DROPS = 5


#: Columns of a tally's grid.
STORES, OPERATIONS, PACKETS, TROUBLE = range(4)

_SORTS = 16
_NONE = 255
_ROLES: Mapping[Kind, tuple[Sort, Sort]] = {  # by side
    Kind.ADD: (Sort.ADDED,) * 2,
    Kind.PUBLISH: (Sort.PUBLISHED,) * 2,
    Kind.NEXT: (Sort.SEEN,) * 2,
    Kind.COMPLETE: (Sort.COMPLETED,) * 2,
    Kind.FLUSH: (Sort.USED,) * 2,
    Kind.COLLECT: (Sort.COLLECTED,) * 2,
    Kind.KICK: (Sort.KICK,) * 2,
    Kind.KICK_QUIET: (Sort.KICK,) * 2,
    Kind.CALL: (Sort.CALL,) * 2,
    Kind.CALL_QUIET: (Sort.CALL,) * 2,
    Kind.NOTIFY_ON: (Sort.DRIVER_NOTIFY, Sort.DEVICE_NOTIFY),
    Kind.NOTIFY_OFF: (Sort.DRIVER_NOTIFY, Sort.DEVICE_NOTIFY),
    Kind.BROKEN: (Sort.DRIVER_BROKEN, Sort.DEVICE_BROKEN),
    Kind.WAIT: (Sort.DRIVER_SLEEP, Sort.DEVICE_SLEEP),
    Kind.WAKE: (Sort.DRIVER_SLEEP, Sort.DEVICE_SLEEP),
    Kind.QUEUE_RESET: (Sort.RESET,) * 2,
}
_COUNTED: Mapping[Kind, tuple[Count, Count]] = {
    Kind.KICK: (Count.KICKS,) * 2,
    Kind.KICK_QUIET: (Count.KICKS_QUIET,) * 2,
    Kind.CALL: (Count.CALLS,) * 2,
    Kind.CALL_QUIET: (Count.CALLS_QUIET,) * 2,
    Kind.DROP: (Count.DRIVER_DROPS, Count.DEVICE_DROPS),
}


def _table(roles: Mapping[Kind, tuple[IntEnum, IntEnum]]) -> npt.NDArray[np.uint8]:
    table = np.full((256, 2), _NONE, np.uint8)
    for kind, of_side in roles.items():
        table[kind] = of_side
    return table


_SORT_OF, _COUNT_OF = _table(_ROLES), _table(_COUNTED)
#: Kinds that a tally marks, and those that only trace level stores tells.
MARKED = (Kind.STATUS, Kind.CONFIG, Kind.CONTROL, Kind.QUEUE_RESET, Kind.FREEZE, Kind.RUN, Kind.LEVEL)
STORED = (Kind.STORE, Kind.OWN)
_RARE = np.zeros(256, bool)
_RARE[list(MARKED)] = True
_STORED = np.zeros(256, bool)
_STORED[list(STORED)] = True

Key = tuple[int, int]  #: queue, and Sort or Count


@dataclass(frozen=True, slots=True)
class Tally:
    """Of rows in a row. `grid[i]` has what the first i * STEP rows hold of each column; its last line, all.

    `first` and `last` have a row (EVENT) of each queue and `Sort`, `counts` how often each `Count` came.
    `marks` are the rows of kinds that concern everything: status, configuration, resets, levels of tracing.
    """

    grid: npt.NDArray[np.int64]
    first: Mapping[Key, np.void]
    last: Mapping[Key, np.void]
    counts: Mapping[Key, int]
    marks: Array
    stores: bool  #: something was told that only trace level stores tells


def tally(rows: Array) -> Tally:
    """Of rows (EVENT) sorted by number."""
    kind = rows["kind"].copy()
    stored = _STORED[kind]
    at = np.flatnonzero(~stored)
    told = rows[at] if len(at) < len(rows) else rows
    kinds = kind[at]
    side = np.minimum(told["side"], Side.DEVICE)
    queue = told["queue"].astype(np.int64)
    sort = _SORT_OF[kinds, side].astype(np.int64)
    queue[sort == Sort.RESET] = np.minimum(told["place"][sort == Sort.RESET], np.uint64(QUEUES))
    queue[(sort == Sort.DRIVER_SLEEP) | (sort == Sort.DEVICE_SLEEP)] = 0
    mine = np.flatnonzero((sort != _NONE) & (queue < QUEUES))
    key = queue[mine] * _SORTS + sort[mine]
    return Tally(
        grid=_grid(rows, kind, stored),
        first=_picked(told, mine[::-1], key[::-1]),
        last=_picked(told, mine, key),
        counts=_counted(queue, _COUNT_OF[kinds, side].astype(np.int64)),
        marks=told[_RARE[kinds]].copy(),
        stores=bool(stored.any()),
    )


def _picked(told: Array, at: npt.NDArray[np.int64], key: npt.NDArray[np.int64]) -> dict[Key, np.void]:
    """The last row of each key, in the order given."""
    if not len(key):
        return {}
    last = np.full(int(key.max()) + 1, -1, np.int64)
    np.maximum.at(last, key, np.arange(len(key)))
    keys = np.flatnonzero(last >= 0)
    rows = told[at[last[keys]]]
    return {(k // _SORTS, k % _SORTS): row for k, row in zip(keys.tolist(), rows, strict=True)}


def _counted(queue: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> dict[Key, int]:
    mine = (count != _NONE) & (queue < QUEUES)
    found = np.bincount(queue[mine] * _SORTS + count[mine])
    keys = np.flatnonzero(found)
    return {(k // _SORTS, k % _SORTS): n for k, n in zip(keys.tolist(), found[keys].tolist(), strict=True)}


def columns(rows: Array, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """What rows hold of each column of a grid, in all."""
    stores = int(np.count_nonzero(kind == Kind.STORE))
    own = int(np.count_nonzero(kind == Kind.OWN))
    trouble = int(np.count_nonzero((kind == Kind.BROKEN) | (kind == Kind.DROP)))
    used = rows[kind == Kind.FLUSH]
    made = used["new"] - used["old"]
    packets = int(np.minimum(made, np.uint64(1 << 16)).sum()) if len(used) else 0
    return np.array([stores, len(rows) - stores - own, packets, trouble], np.int64)


def _grid(rows: Array, kind: npt.NDArray[np.uint8], stored: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    starts = np.arange(0, len(rows), STEP)
    cells = np.zeros((len(starts), 4), np.int64)
    if not len(rows):
        return np.zeros((1, 4), np.int64)
    cells[:, STORES] = np.add.reduceat(kind == Kind.STORE, starts, dtype=np.int64)
    cells[:, OPERATIONS] = np.add.reduceat(~stored, starts, dtype=np.int64)
    cells[:, TROUBLE] = np.add.reduceat((kind == Kind.BROKEN) | (kind == Kind.DROP), starts, dtype=np.int64)
    used = np.flatnonzero(kind == Kind.FLUSH)
    made = np.minimum(rows["new"][used] - rows["old"][used], np.uint64(1 << 16)).astype(np.int64)
    np.add.at(cells[:, PACKETS], used // STEP, made)
    return np.concatenate([np.zeros((1, 4), np.int64), cells.cumsum(axis=0)])
