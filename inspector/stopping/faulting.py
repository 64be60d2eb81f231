"""The faults of a session: what can be put in, by family, and what is in, with how often each acted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary, ref

from dataplane.faults import KINDS, PRIMITIVES, Fault
from dataplane.faults_text import parse_fault
from dataplane.keyframe import QueueShape
from dataplane.records import Side
from dataplane.rules.codes import CODES, FAMILIES
from dataplane.switches import SWITCHES, Switch
from inspector.session import Session

BADGE = "faults"


@runtime_checkable
class Faulty(Protocol):
    """A control whose sides can be made to go wrong."""

    def inject_fault(self, fault: Fault) -> int: ...
    def faults(self) -> tuple[tuple[int, Fault, int], ...]: ...
    def heal(self, number: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault that can be put in; `only` is the layout that it is a fault of, "" both."""

    name: str
    means: str
    side: str
    only: str
    queue: str  #: where it shows, "" anywhere


@dataclass(frozen=True, slots=True)
class Acting:
    """A fault that is in: the line that put it there, the engine's numbers of it, how often it acted."""

    name: str
    line: str
    numbers: tuple[int, ...]
    hits: int


_OTHER = "it costs something, or nothing"
_SINGLE = "single stores and deeds: give them side, area, entry"


def catalogue() -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    """Every switch by what it breaks, then the kinds that have none: (title, choices)."""
    found: dict[str, list[Choice]] = {title: [] for title in (*FAMILIES.values(), _OTHER, _SINGLE)}
    for switch in SWITCHES.values():
        code = CODES.get(switch.codes[0]) if switch.codes else None
        title = FAMILIES[code.family] if code is not None else _OTHER
        found[title].append(_choice(switch))
    for kind in KINDS:
        if kind not in SWITCHES:
            known = PRIMITIVES[kind]
            side = known.side.name.lower() if known.side is not None else "either"
            found[_SINGLE].append(Choice(kind, known.means, side, "", ""))
    return tuple((title, tuple(choices)) for title, choices in found.items() if choices)


def _choice(switch: Switch) -> Choice:
    only = "" if switch.layouts == "both" else switch.layouts
    return Choice(switch.name, switch.means, switch.side.name.lower(), only, switch.queue)


def spelled(fault: Fault, shapes: Sequence[QueueShape]) -> str:
    """A fault as `--fault` takes it: what somebody else put in is told so."""
    given: list[str] = []
    if PRIMITIVES[fault.kind].side is None:
        given.append(f"side={Side(fault.side).name.lower()}")
    if fault.queue is not None:
        names = {shape.index: shape.name for shape in shapes}
        given.append(f"queue={names.get(fault.queue, fault.queue)}")
    plain = Fault(fault.kind, fault.side, count=0)
    for name in ("area", "entry", "index", "after", "count", "odds", "seed", "value"):
        value = getattr(fault, name)
        if value is not None and value != getattr(plain, name):
            given.append(f"{name}={value}")
    return f"{fault.kind}:{','.join(given)}" if given else fault.kind


def _whole(line: str) -> str:
    """A line that also says the queue, where its switch would choose one."""
    name, _, given = line.strip().partition(":")
    switch = SWITCHES.get(name.strip())
    if (
        switch is None
        or "queue" in given
        or {"side", "area", "entry"} & {one.partition("=")[0].strip() for one in given.split(",")}
    ):
        return line.strip()
    return f"{name}:queue={switch.queue}{',' if given else ''}{given}"


class Faults:
    """The faults of one session. Any thread may change them."""

    def __init__(self, session: Session) -> None:
        self._of = ref(session)
        self._lock = threading.Lock()
        self._lines: dict[tuple[int, ...], str] = {}  #: what was typed, by the numbers that came of it

    @property
    def _session(self) -> Session:
        session = self._of()
        if session is None:
            raise RuntimeError("the source was let go of")
        return session

    @property
    def _control(self) -> Faulty:
        control = self._session.source.control
        if not isinstance(control, Faulty):
            name = self._session.source.identity.name
            raise RuntimeError(f"no fault can be put into {name}: no side of it is ours")
        return control

    @property
    def possible(self) -> bool:
        """Whether a side is ours to break."""
        return isinstance(self._session.source.control, Faulty)

    @property
    def acting(self) -> tuple[Acting, ...]:
        """What is in, in the order in which it came."""
        there = {number: (fault, hits) for number, fault, hits in self._control.faults()}
        shapes = self._session.shapes
        with self._lock:
            lines = {numbers: line for numbers, line in self._lines.items() if set(numbers) & set(there)}
            self._lines = lines
        ours = {number: numbers for numbers in lines for number in numbers}
        found: dict[tuple[int, ...], Acting] = {}
        for number, (fault, hits) in there.items():
            numbers = ours.get(number, (number,))
            line = lines.get(numbers) or spelled(fault, shapes)
            before = found[numbers].hits if numbers in found else 0
            found[numbers] = Acting(line.partition(":")[0].strip(), line, numbers, before + hits)
        return tuple(found.values())

    def check(self, line: str) -> None:
        """ValueError with one line where this is no fault that can be put in here."""
        parse_fault(line, self._session.shapes)

    def put(self, line: str) -> str:
        """Put one in; what it is in one line. ValueError, LookupError or RuntimeError with one line."""
        line = _whole(line)
        faults = parse_fault(line, self._session.shapes)
        numbers: list[int] = []
        try:
            for fault in faults:
                numbers.append(self._control.inject_fault(fault))
        except ValueError:
            for number in numbers:
                self._control.heal(number)
            raise
        with self._lock:
            self._lines[tuple(numbers)] = line
        self._badge()
        name = line.partition(":")[0].strip()
        switch = SWITCHES.get(name)
        return f"{line}: {switch.means if switch is not None else PRIMITIVES[faults[0].kind].means}"

    def heal(self, acting: Acting | None) -> None:
        """Take one away; None: all of them."""
        if acting is None:
            self._control.heal(None)
        else:
            there = {number for number, _, _ in self._control.faults()}
            for number in there.intersection(acting.numbers):
                self._control.heal(number)
        self._badge()

    def _badge(self) -> None:
        on = len(self.acting)
        badges = self._session.badges
        if on:
            badges[BADGE] = (f"{on} fault{'s' * (on != 1)} on", "flux")
        else:
            badges.pop(BADGE, None)


_KNOWN: WeakKeyDictionary[Session, Faults] = WeakKeyDictionary()


def of(session: Session) -> Faults:
    """The faults of a session."""
    known = _KNOWN.get(session)
    if known is None:
        known = _KNOWN[session] = Faults(session)
    return known
