"""What became of the buffers of frames: read back from the events, for many frames at once.

A frame names its first buffer by queue and publication count, and each event that moves a count (available,
used, collected) covers the buffers between its old and its new count. So the event of a buffer is found by
bisection, and so is the notification decision that followed it: a decision covers everything the same side
has made visible on that queue since its decision before.

`available` is when the driver had made the last buffer of the frame available, `used` when the device had
shown the last one as used, `collected` when the driver had taken it back. For a transmitted frame
available -> used is what the device needed. A receive buffer is posted long before its frame arrives, so
there available -> used is how long the ring's supply of buffers waited (short: the driver posts too few or
too late), the frame arrived at its own `time`, and used -> collected is what the driver needed.

A side tells its event after the store that the other side acts on, so the other may be first in the log. The
order of the ring is kept: available is never after the frame was seen, and used never after it was collected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from capture.frame import CALL_QUIET, CALL_SENT, KICK_QUIET, KICK_SENT, STAGES
from dataplane.records import Kind, Side
from dataplane.snapshot import Array

Mask = np.ndarray[Any, np.dtype[np.bool_]]

KEEP = 1 << 16  #: moves, and decisions, remembered of each stage of each queue

_ACROSS = 1 << 10  #: of them, those remembered across a gap in the events
_APART = np.uint64(1_000_000_000)  #: ns that a side may take from its store to its event

_MOVES = {"available": Kind.PUBLISH, "used": Kind.FLUSH, "collected": Kind.COLLECT}
#: stage -> the decision that follows it: (kind, bit) of sent and quiet
_DECISIONS = {
    "available": ((Kind.KICK, KICK_SENT), (Kind.KICK_QUIET, KICK_QUIET)),
    "used": ((Kind.CALL, CALL_SENT), (Kind.CALL_QUIET, CALL_QUIET)),
}
_OF_SIDE = {"available": Side.DRIVER, "used": Side.DEVICE, "collected": Side.DRIVER}
_MOVE = np.dtype([("old", "<u8"), ("new", "<u8"), ("time", "<u8"), ("number", "<u8")])
_DECISION = np.dtype([("number", "<u8"), ("bit", "<u8")])
_BITS = np.zeros(256, np.uint8)
for _pair in _DECISIONS.values():
    for _kind, _bit in _pair:
        _BITS[_kind] = _bit


@dataclass(slots=True)
class _Queue:
    """The newest moves and decisions of one queue, by stage; each array is in the order of its events."""

    moves: dict[str, Array] = field(default_factory=lambda: {stage: np.zeros(0, _MOVE) for stage in _MOVES})
    decisions: dict[str, Array] = field(
        default_factory=lambda: {stage: np.zeros(0, _DECISION) for stage in _DECISIONS}
    )


class Stages:
    """Follows the events of a source. One thread at a time."""

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._queues: dict[int, _Queue] = {}

    def add(self, rows: Array, lost: int = 0) -> None:
        """Take in an array of `records.EVENT`; `lost` events are missing before it."""
        if not len(rows):
            return
        kinds = rows["kind"]
        if (kinds == Kind.QUEUE_RESET).any():  # counts begin anew
            for at in np.flatnonzero(kinds == Kind.QUEUE_RESET).tolist():
                self.add(rows[:at], lost)
                self._queues.pop(int(rows["place"][at]), None)
                rows, lost = rows[at + 1 :], 0
                return self.add(rows, lost)
        if lost:
            self._gap(rows)
        kinds, queues = kinds.copy(), rows["queue"].copy()  # end to end: they are read many times
        for index in np.unique(queues).tolist():
            own = queues == index
            queue = self._queues.get(index)
            for stage, kind in _MOVES.items():
                hits = np.flatnonzero(own & (kinds == kind))
                if len(hits):
                    queue = queue or self._queues.setdefault(index, _Queue())
                    moves = np.empty(len(hits), _MOVE)
                    for name in ("old", "new", "time", "number"):
                        moves[name] = rows[name][hits]
                    queue.moves[stage] = _join(queue.moves[stage], moves, self._keep)
            for stage, (sent, quiet) in _DECISIONS.items():
                hits = np.flatnonzero(own & ((kinds == sent[0]) | (kinds == quiet[0])))
                if len(hits):
                    queue = queue or self._queues.setdefault(index, _Queue())
                    made = np.empty(len(hits), _DECISION)
                    made["number"], made["bit"] = rows["number"][hits], _BITS[kinds[hits]]
                    queue.decisions[stage] = _join(queue.decisions[stage], made, self._keep)

    def of(self, queues: Any, positions: Any, buffers: Any, times: Any) -> tuple[Array, Mask]:
        """The stages (`STAGES`) of frames: of each its queue, first buffer, number of buffers, and time.

        What is not known, or did not happen yet, is 0. With them one bool a frame: whether the driver was
        seen to collect beyond it, so that what is not known will not come any more.
        """
        made = np.zeros(len(queues), STAGES)
        passed = np.zeros(len(queues), np.bool_)
        for index in np.unique(queues).tolist():
            queue = self._queues.get(index)
            if queue is None:
                continue
            own = np.flatnonzero(queues == index)
            last = positions[own] + np.maximum(buffers[own], 1) - 1
            seen = times[own]
            notices = np.zeros(len(own), np.uint8)
            found: dict[str, Any] = {}
            for stage, moves in queue.moves.items():
                at: Any = np.searchsorted(moves["new"], last, "right")
                inside = at < len(moves)
                at = np.where(inside, at, 0)
                if len(moves):
                    inside &= moves["old"][at] <= last
                    # The same count before or after a reset of the queue is another buffer.
                    time = moves["time"][at]
                    inside &= time <= seen + _APART if stage == "available" else time >= seen
                    found[stage] = np.where(inside, time, 0)
                    decisions = queue.decisions.get(stage)
                    if decisions is not None and len(decisions):
                        then = np.searchsorted(decisions["number"], moves["number"][at], "right")
                        known = inside & (then < len(decisions))
                        bits = decisions["bit"][np.where(known, then, 0)]
                        notices |= np.where(known, bits, 0).astype(np.uint8)
                else:
                    found[stage] = np.zeros(len(own), np.uint64)
            used, collected = found["used"], found["collected"]
            made["available"][own] = np.minimum(found["available"], seen)
            made["used"][own] = np.where(collected > 0, np.minimum(used, collected), used)
            made["collected"][own] = collected
            made["notices"][own] = notices
            if len(queue.moves["collected"]):
                passed[own] = np.uint64(queue.moves["collected"]["new"][-1]) > last
        return made, passed

    def _gap(self, rows: Array) -> None:
        """After lost events: a decision seen from now on is not that of a move seen before.

        Little of what came before is of use now, and under a flood, when events are lost with every reading,
        carrying all of it along would cost more than the rest of the reading.
        """
        for queue in self._queues.values():
            for stage, moves in queue.moves.items():
                queue.moves[stage] = moves[-_ACROSS:]
            for stage, decisions in queue.decisions.items():
                of_side = rows["number"][rows["side"] == _OF_SIDE[stage]]
                if len(of_side):
                    wall = np.zeros(1, _DECISION)
                    wall["number"] = of_side[0] - np.uint64(1)
                    queue.decisions[stage] = _join(decisions[-_ACROSS:], wall, self._keep)


def _join(old: Array, new: Array, keep: int) -> Array:
    # as words: structured rows are copied field by field, 25 times slower
    return np.concatenate((old.view(np.uint64), new.view(np.uint64))).view(old.dtype)[-keep:]
