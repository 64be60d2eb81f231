"""What steps of a frozen pair did, in words: kept beside the session, for every screen that tells of it.

One `Stepping` a session: how to step (`plan`), and what the last step told (`told`). Blocking; the app calls
`step` on a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from dataplane import stepping
from dataplane.explain import Explanation, explain
from dataplane.keyframe import QueueShape
from dataplane.places import Place, covered
from dataplane.records import Kind
from dataplane.snapshot import Array
from dataplane.stepping import Plan, Step, Stepper
from inspector.session import Session

Mark = tuple[str, int, str]  #: area, slot or entry, field, in the words of `dataplane.places`
_MOST = 256  #: events of one step that are put in words, the newest
_STORES = 4096  #: stores of one step whose fields are marked, the newest
_UNIT_WORDS = {"store": "one store", "operation": "one operation", "packet": "one packet", "lap": "one lap"}


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, in words: the event that matters most, those before it, and the fields written."""

    heading: str  #: "step 12 · one store, as needed"
    main: Explanation | None
    events: tuple[Explanation, ...]  #: in order, at most the newest 256
    total: int  #: how many there were
    marks: dict[int, frozenset[Mark]]  #: by queue index
    queue: int | None  #: where the main event was
    why: str = ""  #: why the step went no further
    steps: int = 0  #: how many steps there were by then; 0: it is no step
    last: int = 0  #: number of its last event

    @property
    def key(self) -> tuple[int, int]:
        """By which one story is told from another."""
        return self.steps, self.last

    def holds(self, number: int) -> bool:
        """Whether the rings still are as it left them: no event after its last one."""
        return number <= self.last + 1

    @property
    def stores(self) -> tuple[Explanation, ...]:
        """Those of `events` that wrote ring memory, but not the main one."""
        return tuple(e for e in self.events if e.kind is Kind.STORE and e is not self.main)

    @property
    def passed(self) -> tuple[Explanation, ...]:
        """The dull operations that came with it."""
        return tuple(e for e in self.events if e.kind in stepping.DULL and e is not self.main)


def tell(rows: Array, shapes: Sequence[QueueShape], heading: str, *, store: bool = False) -> Told:
    """Events in words. `store`: a store matters more than the operation it belongs to."""
    rows = rows[rows["kind"] != Kind.OWN]
    events = tuple(explain(row, shapes) for row in rows[-_MOST:])
    at = _main(events, store)
    main = events[at] if at is not None else None
    queue = next((s.index for s in shapes if main is not None and s.name == main.queue), None)
    last = int(rows["number"][-1]) if len(rows) else 0
    return Told(heading, main, events, len(rows), marks_of(rows, shapes), queue, last=last)


def _main(events: Sequence[Explanation], store: bool) -> int | None:
    """The newest store, or the newest operation that is not dull, or whatever came last."""
    if not events:
        return None
    back = range(len(events) - 1, -1, -1)
    stores = [i for i in back if events[i].kind is Kind.STORE]
    if store and stores:
        return stores[0]
    lively = [i for i in back if events[i].kind not in stepping.DULL and events[i].kind is not Kind.STORE]
    return (lively or stores or list(back))[0]


def marks_of(rows: Array, shapes: Sequence[QueueShape]) -> dict[int, frozenset[Mark]]:
    """The fields that the stores among these events wrote to, by queue."""
    found: dict[int, frozenset[Mark]] = {}
    stores = rows[rows["kind"] == Kind.STORE][-_STORES:]
    for shape in shapes:
        mine = stores[stores["queue"] == shape.index]
        if len(mine):
            found[shape.index] = frozenset(place.mark for row in mine for place in _changed(row, shape))
    return found


def _changed(row: np.void, shape: QueueShape) -> list[Place]:
    """The fields under a store that are other than before; all of them where none is."""
    address, old, new = int(row["place"]), int(row["old"]), int(row["new"])
    every = covered(shape, address, min(int(row["count"]), 8))
    other = []
    for place in every:
        shift, mask = 8 * (place.address - address), (1 << 8 * place.width) - 1
        if shift >= 0 and old >> shift & mask != new >> shift & mask:
            other.append(place)
    return other or list(every)


class Stepping:
    """How a session's source is stepped, and what its last step told."""

    def __init__(self, session: Session) -> None:
        self.stepper = Stepper(session.source)
        self.told: Told | None = None
        self.steps = 0
        self._lock = threading.Lock()  #: keys may come faster than steps end
        self.queue: int | None = None  #: whose packets and laps count; None: any queue's

    @property
    def plan(self) -> Plan:
        return self.stepper.plan

    def choose(self, plan: Plan, queue: int | None = None) -> None:
        """Step otherwise from now on."""
        self.stepper.choose(plan)
        self.queue = queue

    def step(self, shapes: Sequence[QueueShape]) -> tuple[Step, Told]:
        """One step. Errors as `Stepper.step`."""
        with self._lock:
            return self._step(shapes)

    def _step(self, shapes: Sequence[QueueShape]) -> tuple[Step, Told]:
        step = self.stepper.step(self.queue)
        self.steps += bool(step.moved)
        store = self.plan.unit == "store" or _item_unit(self.plan, step) == "store"
        told = tell(step.rows, shapes, f"step {self.steps:,} · {how(self.plan, step.item)}", store=store)
        told = replace(told, why=step.why, steps=self.steps, last=self.stepper.seen)
        self.told = told if step.moved else self.told
        return step, told


def _item_unit(plan: Plan, step: Step) -> str:
    return plan.interleaving[step.item].unit if step.item >= 0 else ""


def how(plan: Plan, item: int = -1) -> str:
    """How it is stepped, in a few words."""
    if plan.order == "chosen" and plan.interleaving:
        at = max(item, 0)
        return f"{at + 1} of {len(plan.interleaving)}: {plan.interleaving[at].text}"
    every = ", every one" if plan.every and plan.unit == "operation" else ""
    return f"{_UNIT_WORDS[plan.unit]}{every}, {plan.order}"


_all: WeakKeyDictionary[Session, Stepping] = WeakKeyDictionary()


def of(session: Session) -> Stepping:
    """The stepping of a session; made when it is first asked for."""
    found = _all.get(session)
    if found is None:
        found = _all[session] = Stepping(session)
    return found


def shapes_of(session: Session) -> tuple[QueueShape, ...]:
    """The queues' shapes, asked of the source where no keyframe was read yet."""
    if session.shapes:
        return session.shapes
    keyframe = session.source.keyframe()
    return keyframe.shapes if keyframe is not None else ()
