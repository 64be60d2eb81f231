"""Stepping a frozen pair: one store, operation, packet or lap at a time, the sides in an order one picks.

    stepper = Stepper(pair, Plan("store", "alternate"))
    step = stepper.step()           step.rows: what it did        step.why: "" or why it stopped early

Which side goes next depends on the plan, on who moved last and on the queues' counts alone, so the same steps
on the same frozen pair give the same rings. (Frames of a list that is played at its own pace come due by the
clock, which goes on while the pair rests.)

A step of one operation passes over what is *dull*: a side that switches notifications on or off, falls asleep
or wakes. Whoever wants to see those asks for every operation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dataplane.breaks_text import EVENTS
from dataplane.interleaving import Item
from dataplane.records import EVENT, Kind, Role, Side
from dataplane.snapshot import Array, Snapshot
from dataplane.source import START, Control, Cursor, RingSource

StepUnit = Literal["store", "operation", "packet", "lap"]
Order = Literal[
    "as needed", "driver first", "device first", "alternate", "driver only", "device only", "chosen"
]
UNITS: tuple[StepUnit, ...] = ("store", "operation", "packet", "lap")
ORDERS: tuple[Order, ...] = (
    "as needed",
    "driver first",
    "device first",
    "alternate",
    "driver only",
    "device only",
    "chosen",
)
DULL = frozenset({Kind.NOTIFY_ON, Kind.NOTIFY_OFF, Kind.WAIT, Kind.WAKE, Kind.FREEZE, Kind.RUN, Kind.LEVEL})
_DULL_MOST = 64  #: dull operations that one step passes over
_PACKET_MOST = 4_096  #: operations in which one buffer must have gone all the way
_LAP_MOST = 20_000  #: and in which a lap of them must have
NOTHING = "nothing to do"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to step. `interleaving` is for the order "chosen": one item a step, round and round."""

    unit: StepUnit = "operation"
    order: Order = "as needed"
    every: bool = False  #: stop at dull operations too
    interleaving: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did. `rows` are its events (`records.EVENT`, OWN rows left out), sorted by number."""

    rows: Array
    sides: tuple[Side, ...]  #: who moved, in order, neighbours of one side once
    taken: int  #: of what was asked for: stores, operations, packets, laps
    why: str  #: "" where it went as far as asked; else why it stopped
    item: int = -1  #: which item of the interleaving it was
    breaks: tuple[int, ...] = ()  #: ids of the breakpoints that it met

    @property
    def moved(self) -> bool:
        return bool(self.sides)


def turn(snapshot: Snapshot, last: Side) -> Side:
    """The side that has something to do: the device before what is sent, the driver before what is used.

    Where both have or neither has, it is the one that did not move last.
    """
    queues = snapshot.queues
    device = any(q.published > q.seen for q in queues if q.role is not Role.RECEIVE) or any(
        q.device is not None and (q.device.holding or q.device.unflushed) for q in queues
    )
    driver = any(q.used > q.collected or (q.driver is not None and q.driver.added) for q in queues)
    if device == driver:
        return _other(last)
    return Side.DEVICE if device else Side.DRIVER


def _other(side: Side) -> Side:
    return Side.DEVICE if side is Side.DRIVER else Side.DRIVER


def interesting(rows: Array) -> Array:
    """The rows that are not dull."""
    kept: Array = rows[~np.isin(rows["kind"], [int(kind) for kind in DULL])]
    return kept


class Stepper:
    """Steps one frozen source after a plan, and remembers whose turn it was."""

    def __init__(self, source: RingSource, plan: Plan | None = None) -> None:
        self.source = source
        self.plan = plan or Plan()
        self.last = Side.DEVICE
        self.item = 0  #: the item of the interleaving that comes next
        self._cursor: Cursor = START
        self._seen = 0  #: newest event that a step has told of

    @property
    def seen(self) -> int:
        """Number of the newest event that a step has told of."""
        return self._seen

    def choose(self, plan: Plan) -> None:
        """Step after another plan from now on."""
        if plan.interleaving != self.plan.interleaving:
            self.item = 0
        self.plan = plan

    def step(self, queue: int | None = None) -> Step:
        """One step after the plan. RuntimeError where the pair is not frozen or no side is ours.

        queue: whose packets and laps count; None: any queue's.
        """
        control = self.source.control
        if control is None:
            raise RuntimeError(f"{self.source.identity.name} cannot be stepped: no side of it is ours")
        if not control.frozen:
            raise RuntimeError("only a frozen pair can be stepped: freeze it first")
        self._forget()
        if self.plan.order == "chosen" and self.plan.interleaving:
            return self._chosen(control)
        match self.plan.unit:
            case "store":
                return self._units(control, "store")
            case "operation":
                return self._operation(control)
            case "packet":
                return self._until_collected(control, queue, 1)
            case "lap":
                return self._until_collected(control, queue, 0)

    # ---- what each unit is

    def _units(self, control: Control, unit: Literal["store", "operation"]) -> Step:
        side, rows = self._go(control, unit)
        return _made(rows, (side,) if side is not None else (), int(side is not None))

    def _operation(self, control: Control) -> Step:
        """One operation that is not dull; the dull ones before it come with it."""
        told: list[Array] = []
        sides: list[Side] = []
        for _ in range(1 if self.plan.every else _DULL_MOST):
            side, rows = self._go(control, "operation")
            told.append(rows)
            if side is None:
                break
            if not sides or sides[-1] is not side:
                sides.append(side)
            if len(interesting(rows[rows["kind"] != Kind.STORE])):
                break
        every = np.concatenate(told) if told else np.zeros(0, EVENT)
        found = interesting(every[every["kind"] != Kind.STORE])
        step = _made(every, tuple(sides), int(bool(len(found)) or bool(self.plan.every and sides)))
        if not step.taken and not step.why:
            return replace(step, why=f"{NOTHING} but to switch notifications and to rest")
        return step

    def _until_collected(self, control: Control, queue: int | None, wanted: int) -> Step:
        """Until so many buffers more have gone all the way; 0: as many as the queue has slots."""
        before = self._collected()
        sizes = {q.index: q.size for q in self.source.snapshot(()).queues}
        told: list[Array] = []
        sides: list[Side] = []
        most = _PACKET_MOST if wanted else _LAP_MOST
        why = f"stopped after {most:,} operations"
        for _ in range(most):
            side, rows = self._go(control, "operation")
            told.append(rows)
            if side is None:
                why = NOTHING
                break
            if not sides or sides[-1] is not side:
                sides.append(side)
            if np.any(rows["kind"] == Kind.BREAK):
                break
            if not np.any(rows["kind"] == Kind.COLLECT):
                continue
            after = self._collected()
            gone = {i: n - before.get(i, 0) for i, n in after.items() if queue is None or i == queue}
            if any(n >= (wanted or sizes[i]) for i, n in gone.items()):
                why = ""
                break
        every = np.concatenate(told) if told else np.zeros(0, EVENT)
        return _made(every, tuple(sides), int(not why), why)

    def _chosen(self, control: Control) -> Step:
        at = self.item % len(self.plan.interleaving)
        item = self.plan.interleaving[at]
        self.item = at + 1
        self.last = item.side
        if item.until:
            rows, taken, why = self._until(control, item)
        else:
            stepped = control.step(item.side, item.unit, item.count)
            rows, taken, why = self._rows(), stepped.taken, stepped.why
        return replace(_made(rows, (item.side,) if taken or len(rows) else (), taken, why), item=at)

    def _until(self, control: Control, item: Item) -> tuple[Array, int, str]:
        kinds = [int(kind) for kind in EVENTS[item.until]]
        names = {q.index: q.name for q in self.source.snapshot(()).queues}
        told: list[Array] = []
        taken, why = 0, f"no {item.until} in {_PACKET_MOST:,} operations"
        for _ in range(_PACKET_MOST):
            moved = control.step(item.side, "operation", 1).taken
            rows = self._rows()
            told.append(rows)
            if not moved and not len(rows):
                why = f"{NOTHING}: no {item.until} came"
                break
            taken += 1
            if np.any(rows["kind"] == Kind.BREAK):
                break
            hits = rows[np.isin(rows["kind"], kinds)]
            if any(item.queue is None or names.get(int(hit["queue"])) == item.queue for hit in hits):
                why = ""
                break
        return (np.concatenate(told) if told else np.zeros(0, EVENT)), taken, why

    # ---- one unit of one side

    def _go(self, control: Control, unit: Literal["store", "operation"]) -> tuple[Side | None, Array]:
        """Lets the side whose turn it is take one unit, or the other where it has nothing to do.

        A side that a breakpoint stops within its unit has moved too: its events say so.
        """
        for side in self._sides():
            taken = control.step(side, unit, 1).taken
            rows = self._rows()
            if taken or len(rows):
                self.last = side
                return side, rows
        return None, np.zeros(0, EVENT)

    def _sides(self) -> tuple[Side, ...]:
        match self.plan.order:
            case "driver only":
                return (Side.DRIVER,)
            case "device only":
                return (Side.DEVICE,)
            case "driver first":
                return Side.DRIVER, Side.DEVICE
            case "device first":
                return Side.DEVICE, Side.DRIVER
            case "alternate":
                return _other(self.last), self.last
            case _:
                first = turn(self.source.snapshot(()), self.last)
                return first, _other(first)

    # ---- what happened

    def _collected(self) -> dict[int, int]:
        return {queue.index: queue.collected for queue in self.source.snapshot(()).queues}

    def _forget(self) -> None:
        """What happened before this step is not its doing."""
        self._rows()

    def _rows(self) -> Array:
        """Events since the last look, without the words of a side's own."""
        events = self.source.events(self._cursor)
        self._cursor = events.cursor
        rows = events.rows
        fresh: Array = rows[(rows["kind"] != Kind.OWN) & (rows["number"] > self._seen)]
        if len(fresh):
            self._seen = int(fresh["number"][-1])
        return fresh


def _made(rows: Array, sides: tuple[Side, ...], taken: int, why: str = "") -> Step:
    met = rows[rows["kind"] == Kind.BREAK]
    ids = tuple(int(place) for place in met["place"])
    if ids:
        why = f"breakpoint {', '.join(map(str, ids))}"
    elif not sides and not why:
        why = NOTHING
    return Step(rows[rows["kind"] != Kind.BREAK], sides, taken, why, breaks=ids)
