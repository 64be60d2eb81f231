"""Puts the pulls of an event log into the one sequence that their numbers tell of.

A pull is sorted within, but what a side was just writing comes with the next one, behind a higher number of
the other side. So rows wait here until every number before theirs has come. Where rows were lost, what stands
between losses is told by one side alone; it is left out, and the sequence goes on behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataplane.records import EVENT, Kind
from dataplane.snapshot import Array

PATIENCE = 32  #: pulls that rows wait for a number which does not come, although nothing was lost


@dataclass(frozen=True, slots=True)
class Run:
    """Rows whose numbers follow each other without a gap, each event whole: OWN rows before theirs.

    `gap`: between them and the run before, something is missing.
    """

    rows: Array
    gap: bool


class Order:
    """Takes pulls as they come. One thread at a time.

    Event numbers of a source begin at 1; a sequence that is joined later begins with a gap, unless `first`
    says which number is the first that is wanted.
    """

    def __init__(self, first: int = 1) -> None:
        self._waiting: Array = np.zeros(0, EVENT)
        self._next = first  #: the number that comes next
        self._pulls = 0  #: without it, while others waited
        self._gap = False

    @property
    def waiting(self) -> int:
        """Rows that wait for a number before theirs."""
        return len(self._waiting)

    def take(self, rows: Array, lost: int = 0) -> list[Run]:
        """What is whole now, in its order. `lost` rows are missing somewhere before or among these.

        A side that lost rows has its newest among these: a log gives the newest that it holds.
        """
        runs: list[Run] = []
        self._waiting = self._sorted(rows)
        if lost and len(rows):
            self._skip(self._doubtful(rows))
        runs += self._release()
        self._pulls = self._pulls + 1 if len(self._waiting) else 0
        if self._pulls > PATIENCE:
            first = int(self._waiting["number"][0])
            self._skip(first - (first > self._next))  # its own event may be what does not come
            runs += self._release()
            self._pulls = 0
        return runs

    def _sorted(self, rows: Array) -> Array:
        """These rows among those that wait; what came too late is left out."""
        if len(self._waiting):
            rows = np.concatenate([self._waiting, rows])
        numbers = rows["number"].copy()
        if len(rows) and (numbers[1:] < numbers[:-1]).any():
            order = np.argsort(numbers, kind="stable")
            rows, numbers = rows[order], numbers[order]
        return rows[int(np.searchsorted(numbers, np.uint64(self._next))) :]

    def _release(self) -> list[Run]:
        """The rows up to the first number that has not come; the others wait on."""
        waiting = self._waiting
        if not len(waiting) or int(waiting["number"][0]) != self._next:
            return []
        whole = np.flatnonzero(waiting["kind"] != Kind.OWN)  # the last row of each event
        numbers = waiting["number"][whole]
        expected = np.uint64(self._next) + np.arange(len(whole), dtype=np.uint64)
        held = int(np.argmin(numbers == expected)) if (numbers != expected).any() else len(whole)
        if not held:
            return []
        end = int(whole[held - 1]) + 1
        self._waiting = waiting[end:].copy()
        self._next += held
        self._pulls = 0
        gap, self._gap = self._gap, False
        return [Run(waiting[:end], gap)]

    def _skip(self, number: int) -> None:
        """Goes on behind `number`; what waits up to there is given up."""
        self._gap = True
        self._next = max(self._next, number + 1)
        at = int(np.searchsorted(self._waiting["number"], np.uint64(self._next)))
        self._waiting = self._waiting[at:]

    @staticmethod
    def _doubtful(rows: Array) -> int:
        """The number up to which a pull with losses may have holes.

        A side loses what it wrote before the rows that it still has, and perhaps OWN rows of the first of
        them; what it has not written yet is behind them.
        """
        firsts = [int(rows["number"][rows["side"] == side][0]) for side in np.unique(rows["side"])]
        return max(firsts)
