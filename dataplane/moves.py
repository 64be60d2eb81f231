"""Who moved which count when: the events of a queue, ready to be asked for many buffers at once.

A buffer is named by its publication count. Each event that moves a count (available, seen, used, collected)
covers the buffers between its old and its new count, so the event of a buffer is found by bisection. A
notification decision covers everything the same side has made visible on that queue since its decision
before. What one buffer went through in every detail is `History.moments`; this is for thousands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from dataplane.records import Kind, Side

Array = np.ndarray[Any, np.dtype[Any]]  #: rows, or a column of them

Stage = Literal["available", "seen", "used", "collected"]
STAGES: tuple[Stage, ...] = ("available", "seen", "used", "collected")

#: The counts `old` to `new` - 1 had come to this stage with event `number` at `time` (ns since the epoch).
MOVE = np.dtype([("old", "<u8"), ("new", "<u8"), ("time", "<u8"), ("number", "<u8")])
#: `answer`: 0 not known (events are missing), 1 quiet, 2 sent.
DECISION = np.dtype([("number", "<u8"), ("time", "<u8"), ("answer", "<u8")])
UNKNOWN, QUIET, SENT = 0, 1, 2

_KINDS: Mapping[Stage, Kind] = {
    "available": Kind.PUBLISH,
    "seen": Kind.NEXT,
    "used": Kind.FLUSH,
    "collected": Kind.COLLECT,
}
#: stage -> the decision that follows it: (sent, quiet)
_DECISIONS: Mapping[Stage, tuple[Kind, Kind]] = {
    "available": (Kind.KICK, Kind.KICK_QUIET),
    "used": (Kind.CALL, Kind.CALL_QUIET),
}
_OF_SIDE: Mapping[Stage, Side] = {"available": Side.DRIVER, "used": Side.DEVICE}
_ACROSS = 1 << 10  #: moves, and decisions, that are remembered across a gap in the events


@dataclass(slots=True)
class Moves:
    """One queue between two resets; each array is in the order of its events."""

    moves: dict[Stage, Array] = field(default_factory=lambda: {stage: np.zeros(0, MOVE) for stage in STAGES})
    decisions: dict[Stage, Array] = field(
        default_factory=lambda: {stage: np.zeros(0, DECISION) for stage in _DECISIONS}
    )

    def find(self, stage: Stage, positions: Array) -> tuple[Array, Array]:
        """`covering` of the moves of a stage."""
        return covering(self.moves[stage], positions)

    def decided(self, stage: Stage, numbers: Array) -> tuple[Array, Array]:
        """(answers, times) of the decisions that followed these moves; (0, 0) where none is known."""
        decisions = self.decisions[stage]
        if not len(decisions):
            nothing = np.zeros(len(numbers), np.uint64)
            return nothing, nothing
        at = np.searchsorted(decisions["number"], numbers, "right")
        known = at < len(decisions)
        at = np.where(known, at, 0)
        return np.where(known, decisions["answer"][at], 0), np.where(known, decisions["time"][at], 0)

    def until(self, number: int) -> Moves:
        """The same as it was after event `number`."""

        def cut(rows: Array) -> Array:
            return rows[: int(np.searchsorted(rows["number"], np.uint64(number), "right"))]

        return Moves(
            {stage: cut(rows) for stage, rows in self.moves.items()},
            {stage: cut(rows) for stage, rows in self.decisions.items()},
        )


def covering(moves: Array, positions: Array) -> tuple[Array, Array]:
    """Of buffers the index of the move that covers each (0 where there is none), and whether there is."""
    at = np.searchsorted(moves["new"], positions, "right")
    inside = at < len(moves)
    at = np.where(inside, at, 0)
    return at, inside & (moves["old"][at] <= positions) if len(moves) else inside


class MoveLog:
    """Follows the events of a source. One thread at a time.

    stages: those that are wanted. keep: moves, and decisions, remembered of each stage of each queue, of the
    newest life of the queue alone; None: all, of every life between two resets, until they are forgotten.
    """

    def __init__(self, stages: Collection[Stage] = STAGES, keep: int | None = None) -> None:
        self._stages = tuple(stages)
        self._keep = keep
        self._queues: dict[int, list[Moves]] = {}

    @property
    def queues(self) -> Mapping[int, list[Moves]]:
        """By queue index its lives, the newest last."""
        return MappingProxyType(self._queues)

    def newest(self, queue: int) -> Moves | None:
        """What is known of a queue since it was reset; None without any event of it."""
        lives = self._queues.get(queue)
        return lives[-1] if lives else None

    def add(self, rows: Array, lost: int = 0) -> None:
        """Take in an array of `records.EVENT`; `lost` events are missing before it."""
        resets = np.flatnonzero(rows["kind"] == Kind.QUEUE_RESET)  # counts begin anew
        begin = 0
        for at in resets.tolist():
            self._take(rows[begin:at], lost)
            self._reset(int(rows["place"][at]))
            begin, lost = at + 1, 0
        self._take(rows[begin:], lost)

    def forget(self, number: int) -> None:
        """Let go of what stands before event `number`."""
        for queue, lives in list(self._queues.items()):
            for life in lives:
                for table in (life.moves, life.decisions):
                    for stage, rows in table.items():
                        at = int(np.searchsorted(rows["number"], np.uint64(number)))
                        table[stage] = rows[at:].copy() if at > len(rows) // 2 else rows[at:]
            kept = [life for life in lives[:-1] if any(len(rows) for rows in life.moves.values())]
            self._queues[queue] = [*kept, lives[-1]]

    def _reset(self, queue: int) -> None:
        lives = self._queues.pop(queue, None)
        if lives is not None and self._keep is None:
            self._queues[queue] = [*lives, Moves()]

    def _life(self, queue: int) -> Moves:
        return self._queues.setdefault(queue, [Moves()])[-1]

    def _take(self, rows: Array, lost: int) -> None:
        if not len(rows):
            return
        if lost:
            self._gap(rows)
        kinds, queues = rows["kind"].copy(), rows["queue"].copy()  # end to end: they are read many times
        for index in np.unique(queues).tolist():
            own = queues == index
            for stage in self._stages:
                hits = np.flatnonzero(own & (kinds == _KINDS[stage]))
                if len(hits):
                    life = self._life(index)
                    life.moves[stage] = self._joined(life.moves[stage], _moves(stage, rows, hits))
                if stage not in _DECISIONS:
                    continue
                sent, quiet = _DECISIONS[stage]
                hits = np.flatnonzero(own & ((kinds == sent) | (kinds == quiet)))
                if len(hits):
                    life = self._life(index)
                    made = np.empty(len(hits), DECISION)
                    made["number"], made["time"] = rows["number"][hits], rows["time"][hits]
                    made["answer"] = np.where(kinds[hits] == sent, SENT, QUIET)
                    life.decisions[stage] = self._joined(life.decisions[stage], made)

    def _gap(self, rows: Array) -> None:
        """After lost events: a decision seen from now on is not that of a move seen before.

        Little of what came before is of use now where only the newest is kept, and under a flood, when events
        are lost with every reading, carrying all of it along would cost more than the rest of the reading.
        """
        for lives in self._queues.values():
            life = lives[-1]
            if self._keep is not None:
                for stage, moves in life.moves.items():
                    life.moves[stage] = moves[-_ACROSS:]
                for stage, decisions in life.decisions.items():
                    life.decisions[stage] = decisions[-_ACROSS:]
            for stage, decisions in life.decisions.items():
                of_side = rows["number"][rows["side"] == _OF_SIDE[stage]]
                if len(of_side):
                    wall = np.zeros(1, DECISION)
                    wall["number"] = of_side[0] - np.uint64(1)
                    life.decisions[stage] = self._joined(decisions, wall)

    def _joined(self, old: Array, new: Array) -> Array:
        if not len(old):
            whole = new
        else:  # as words: structured rows are copied field by field, 25 times slower
            whole = np.concatenate((old.view(np.uint64), new.view(np.uint64))).view(old.dtype)
        return whole if self._keep is None else whole[-self._keep :]


def _moves(stage: Stage, rows: Array, hits: Array) -> Array:
    made = np.empty(len(hits), MOVE)
    made["time"], made["number"] = rows["time"][hits], rows["number"][hits]
    if stage == "seen":  # NEXT tells its first buffer and how many
        made["old"] = rows["place"][hits]
        made["new"] = made["old"] + np.maximum(rows["count"][hits], 1).astype(np.uint64)
    else:
        made["old"], made["new"] = rows["old"][hits], rows["new"][hits]
    return made
