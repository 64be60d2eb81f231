"""What became of the buffers of frames, for many frames at once: their stages, by bisection in the moves.

`available` is when the driver had made the last buffer of the frame available, `used` when the device had
shown the last one as used, `collected` when the driver had taken it back. For a transmitted frame
available -> used is what the device needed. A receive buffer is posted long before its frame arrives, so
there available -> used is how long the ring's supply of buffers waited (short: the driver posts too few or
too late), the frame arrived at its own `time`, and used -> collected is what the driver needed.

A side tells its event after the store that the other side acts on, so the other may be first in the log. The
order of the ring is kept: available is never after the frame was seen, and used never after it was collected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from capture.frame import CALL_QUIET, CALL_SENT, KICK_QUIET, KICK_SENT, STAGES
from dataplane.moves import MoveLog, Stage
from dataplane.snapshot import Array

Mask = np.ndarray[Any, np.dtype[np.bool_]]

KEEP = 1 << 16  #: moves, and decisions, remembered of each stage of each queue

_APART = np.uint64(1_000_000_000)  #: ns that a side may take from its store to its event
_STAGES: tuple[Stage, ...] = ("available", "used", "collected")
#: stage -> the bits of its notification by the answer of the decision: not known, quiet, sent
_BITS = {
    "available": np.array([0, KICK_QUIET, KICK_SENT], np.uint8),
    "used": np.array([0, CALL_QUIET, CALL_SENT], np.uint8),
}


class Stages:
    """Follows the events of a source. One thread at a time."""

    def __init__(self, keep: int = KEEP) -> None:
        self._log = MoveLog(_STAGES, keep)

    def add(self, rows: Array, lost: int = 0) -> None:
        """Take in an array of `records.EVENT`; `lost` events are missing before it."""
        self._log.add(rows, lost)

    def of(self, queues: Any, positions: Any, buffers: Any, times: Any) -> tuple[Array, Mask]:
        """The stages (`STAGES`) of frames: of each its queue, first buffer, number of buffers, and time.

        What is not known, or did not happen yet, is 0. With them one bool a frame: whether the driver was
        seen to collect beyond it, so that what is not known will not come any more.
        """
        made = np.zeros(len(queues), STAGES)
        passed = np.zeros(len(queues), np.bool_)
        for index in np.unique(queues).tolist():
            life = self._log.newest(index)
            if life is None:
                continue
            own = np.flatnonzero(queues == index)
            last = positions[own] + np.maximum(buffers[own], 1) - 1
            seen = times[own]
            notices = np.zeros(len(own), np.uint8)
            found: dict[str, Any] = {}
            for stage in _STAGES:
                moves = life.moves[stage]
                if not len(moves):
                    found[stage] = np.zeros(len(own), np.uint64)
                    continue
                at, inside = life.find(stage, last)
                time = moves["time"][at]
                # The same count before or after a reset of the queue is another buffer.
                inside &= time <= seen + _APART if stage == "available" else time >= seen
                found[stage] = np.where(inside, time, 0)
                if stage in _BITS:
                    answers, _ = life.decided(stage, moves["number"][at])
                    notices |= np.where(inside, _BITS[stage][answers.astype(np.intp)], 0).astype(np.uint8)
            used, collected = found["used"], found["collected"]
            made["available"][own] = np.minimum(found["available"], seen)
            made["used"][own] = np.where(collected > 0, np.minimum(used, collected), used)
            made["collected"][own] = collected
            made["notices"][own] = notices
            taken = life.moves["collected"]
            if len(taken):
                passed[own] = np.uint64(taken["new"][-1]) > last
        return made, passed
