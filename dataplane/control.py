"""Driving the sides of an engine of ours: rest, step, trace, break, and go wrong on purpose.

Whatever moves or changes the rings holds one lock, and so does whoever takes their exact image: a keyframe
is one moment, whichever thread asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.breaks import BreakRule, BreakState, encode
from dataplane.faults import Fault
from dataplane.reading import LEVELS, Reading
from dataplane.records import Side
from dataplane.snapshot import Identity
from dataplane.source import Stepped, TraceLevel, Unit

_UNITS: dict[Unit, int] = {"store": 0, "operation": 1, "turn": 2}


class Controlled(Reading):
    """An engine whose two sides have threads of their own. One thread at a time may change it."""

    _identity: Identity

    def __init__(self, engine: Engine, what: str, trace: TraceLevel) -> None:
        super().__init__(engine, what)
        self._started = False
        self._trace = trace
        self._breaks: tuple[BreakRule, ...] = ()
        self._faults: dict[int, Fault] = {}

    @property
    def resting(self) -> bool:
        return not self._started or self._engine.frozen()

    # ---- resting and stepping ---------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        return self._engine.frozen()

    def freeze(self) -> None:
        """Rests both sides between two operations. RuntimeError where one does not come to rest."""
        with self._still:
            if not self._engine.freeze():
                raise RuntimeError("a side did not come to rest in five seconds")
            self._keep_keyframe()

    def run(self) -> None:
        """Lets both sides go on."""
        with self._still:
            self._engine.run()

    def step(self, side: Side, unit: Unit = "operation", count: int = 1) -> Stepped:
        """Lets one side of a frozen pair go on for `count` stores, operations or turns; the other rests.

        A breakpoint that is met on the way ends it.
        """
        with self._still:
            taken = self._engine.step(int(side), _UNITS[unit], count)
        if taken < 0:
            raise RuntimeError("only a frozen pair can be stepped: freeze it first")
        return Stepped(taken, "" if taken == count else "nothing to do")

    def trace(self, level: TraceLevel) -> None:
        """How much is journaled from now on; a frozen pair journals every store all the same.

        The pair rests for a moment, and a keyframe is taken.
        """
        with self._still:
            was_running = self._engine.rest()
            try:
                self._engine.trace(LEVELS.index(level))
                self._trace = level
                self._keep_keyframe()
            finally:
                self._engine.resume(was_running)

    def reset_queue(self, queue: int) -> None:
        """Resets one queue and starts it afresh (2.6.1); what was in flight on it is lost."""
        if not f.has(self._identity.accepted, f.F_RING_RESET):
            raise RuntimeError("RING_RESET was not accepted (2.6.1)")
        with self._still:
            was_running = self._engine.rest()
            try:
                self._engine.reset_queue(queue)
                self._keep_keyframe()
            finally:
                self._engine.resume(was_running)

    # ---- breakpoints ------------------------------------------------------------------------------------

    def set_breaks(self, rules: Iterable[BreakRule]) -> None:
        """Replaces all breakpoints. The side that meets one rests right behind that event, the other at its
        next point, and the pair is frozen. ValueError with one line where a rule cannot be had here."""
        rules = tuple(rules)
        rows, programs = encode(rules, self.shapes())
        with self._still:
            self._engine.set_breaks(rows, programs)
            self._breaks = rules

    def breaks_hit(self) -> tuple[BreakState, ...]:
        """How each breakpoint stands, in the order in which they were set."""
        return tuple(
            BreakState(rule.id, hits, armed, stopped)
            for rule, (hits, stopped, armed) in zip(self._breaks, self._engine.breaks(), strict=False)
        )

    # ---- faults -----------------------------------------------------------------------------------------

    def inject_fault(self, fault: Fault) -> int:
        """Puts a fault into a side; its id. ValueError where there is no such queue, or too many faults."""
        queues = {shape.index: shape for shape in self.shapes()}
        if fault.queue is not None and fault.queue not in queues:
            raise ValueError(f"there is no queue {fault.queue} to put a fault into")
        with self._still:
            number = self._engine.add_fault(*fault.wire())
        if not number:
            raise ValueError("there are 32 faults already: heal one first")
        self._faults[number] = fault
        return number

    def faults(self) -> tuple[tuple[int, Fault, int], ...]:
        """(id, fault, how often it acted) of each."""
        return tuple((number, self._faults[number], hits) for number, hits in self._engine.faults())

    def heal(self, number: int | None = None) -> None:
        """Takes one fault away, or all. LookupError where there is none of that id."""
        with self._still:
            found = self._engine.heal(number or 0)
        if number is not None and not found:
            raise LookupError(f"there is no fault {number}")
