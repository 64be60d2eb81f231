"""What stands around the events of one buffer: the stores that filled it, who slept, who had its slots next.

All of it looks through a bounded number of events; what is not found there is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataplane.history import History
from dataplane.records import Kind, Side
from dataplane.snapshot import Array
from inspector.session import Session

_FILL = 1 << 12  #: events before an operation that are looked through for its stores
_PIECE = 1 << 13  #: events that are looked through at a time
_PIECES = 16
_NO_ROWS = frozenset({Kind.STORE, Kind.OWN})


@dataclass(frozen=True, slots=True)
class Sleep:
    """What a side was doing at an event. `woke`: when it woke after it, ns since the epoch; 0: it did not."""

    polls: bool
    asleep: bool | None  #: None: not known
    woke: int


def stores_of(history: History, queue: int, side: Side, operation: int) -> Array:
    """The stores that a side made for an operation: those since its operation before."""
    first = max(operation - _FILL, history.reach.first)
    rows = history.rows(first, operation)
    mine = rows[rows["side"] == side]
    operations = np.flatnonzero(~np.isin(mine["kind"], list(_NO_ROWS)))
    begin = int(operations[-2]) + 1 if len(operations) > 1 else 0
    mine = mine[begin:]
    stores: Array = mine[(mine["kind"] == Kind.STORE) & (mine["queue"] == queue)]
    return stores


def recycled_by(history: History, queue: int, head: int, collected: int) -> tuple[np.void, int] | None:
    """The ADD that filled a slot again after event `collected`, and for which buffer; None: none is known.

    Of buffers that were filled together, each with one slot, the slots follow each other.
    """
    last = history.reach.last
    for piece in range(_PIECES):
        start = collected + 1 + piece * _PIECE
        if start > last:
            return None
        rows = history.rows(start, min(start + _PIECE - 1, last))
        kinds = rows["kind"]
        if (reset := np.flatnonzero((kinds == Kind.QUEUE_RESET) & (rows["place"] == queue))).size:
            rows, kinds = rows[: reset[0]], kinds[: reset[0]]
        adds = rows[(kinds == Kind.ADD) & (rows["queue"] == queue)]
        ahead = head - adds["slot"].astype(np.int64)
        hit = np.flatnonzero((ahead >= 0) & (ahead < np.maximum(adds["count"], 1)))
        if len(hit):
            row = adds[int(hit[0])]
            return row, int(row["place"]) + int(ahead[hit[0]])
        if reset.size:
            return None
    return None


def sleep_of(session: Session, side: Side, start: int, stop: int) -> Sleep:
    """What a side was doing at event `start`, and whether it woke before event `stop`."""
    polls = _polls(session, side)
    if polls:
        return Sleep(True, False, 0)
    history = session.history
    asleep = _asleep(history, side, start)
    woke = 0
    if asleep:
        rows = history.rows(start, min(stop, start + _PIECES * _PIECE))
        wakes = rows[(rows["kind"] == Kind.WAKE) & (rows["side"] == side)]
        woke = int(wakes["time"][0]) if len(wakes) else 0
    return Sleep(False, asleep, woke)


def _asleep(history: History, side: Side, number: int) -> bool | None:
    first = history.reach.first
    stop = number
    for _ in range(_PIECES):
        if stop < first:
            return None
        rows = history.rows(max(first, stop - _PIECE + 1), stop)
        mine = rows[(rows["side"] == side) & np.isin(rows["kind"], (Kind.WAIT, Kind.WAKE))]
        if len(mine):
            return int(mine["kind"][-1]) == Kind.WAIT
        stop -= _PIECE
    return None


def _polls(session: Session, side: Side) -> bool:
    """Whether a side of ours never sleeps: that is so from its start to its end."""
    if session.tick is None:
        return False
    states = [queue.driver if side is Side.DRIVER else queue.device for queue in session.tick.snapshot.queues]
    return any(state is not None and state.polling for state in states)
