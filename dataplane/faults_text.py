"""Faults as somebody writes them: `lose_kick:queue=tx0,after=100`.

A switch of `switches` or a kind of `faults`, then what it concerns: `side`, `queue` (a name or a number),
`area`, `entry`, and when it acts: from `index` on, `after` so many chances, `count` times (0: from then on
always, as without it), once in `odds` by `seed`; `value`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from dataplane.faults import AREAS, KINDS, PRIMITIVES, Fault, FaultKind
from dataplane.keyframe import QueueShape
from dataplane.places import writer
from dataplane.records import Side
from dataplane.switches import SWITCHES

_KEYS = ("side", "queue", "area", "entry", "index", "after", "count", "odds", "seed", "value")
_SIDES = {"driver": Side.DRIVER, "device": Side.DEVICE}


def parse_fault(text: str, shapes: Sequence[QueueShape]) -> tuple[Fault, ...]:
    """The faults of one switch, for a pair with these queues. ValueError with one line of what is wrong."""
    name, _, rest = text.partition(":")
    name = _one_of("fault", name.strip().lower().replace("-", "_"), (*SWITCHES, *KINDS))
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item!r} has no value; write {key}=...")
        if _one_of("key", key, _KEYS) in given:
            raise ValueError(f"{key} is given twice")
        given[key] = value
    try:
        return made(name, given, shapes)
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None


def made(name: str, given: Mapping[str, str], shapes: Sequence[QueueShape]) -> tuple[Fault, ...]:
    """The faults of a switch or kind with these keys. ValueError with one line."""
    when: dict[str, Any] = {"count": 0}
    when |= {key: _number(key, given[key]) for key in _NUMBERS if key in given}
    switch = SWITCHES.get(name)
    if switch is not None and not {"side", "area", "entry"} & set(given):
        shape = _queue(given.get("queue", switch.queue), shapes)
        return switch.faults(shape, shape.packed, **when)
    kind = next((one for one in get_args(FaultKind) if one == name), None)
    if kind is None:
        raise ValueError("it says itself which side and which stores it concerns")
    area = _one_of("area", given["area"], AREAS[1:]) if "area" in given else ""
    queue = _queue(given["queue"], shapes).index if "queue" in given else None
    entry = _number("entry", given["entry"]) if "entry" in given else None
    return (Fault(kind, _side(given.get("side"), kind, area), queue, area, entry, **when),)


_NUMBERS = ("index", "after", "count", "odds", "seed", "value")


def _side(given: str | None, kind: FaultKind, area: str) -> Side:
    """The side that has the fault: there is often only one that can have it."""
    if given is not None:
        return _SIDES[_one_of("side", given, _SIDES)]
    known = PRIMITIVES[kind].side
    if known is not None:
        return known
    if area and area not in ("tables", "desc", "desc.addr", "desc.flags"):
        return Side(writer(area))
    if area:
        return Side.DRIVER
    raise ValueError("which side has it? write side=driver or side=device")


def _queue(given: str, shapes: Sequence[QueueShape]) -> QueueShape:
    for shape in shapes:
        if given in (shape.name, str(shape.index)):
            return shape
    raise ValueError(f"no queue is called {given!r}; there are {', '.join(shape.name for shape in shapes)}")


def _number(key: str, given: str) -> int:
    try:
        return int(given, 0)
    except ValueError:
        raise ValueError(f"{key}={given}: that is no whole number") from None


def _one_of(what: str, given: str, known: Iterable[str]) -> str:
    names = list(known)
    if given in names:
        return given
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise ValueError(f"no {what} is called {given!r}; {hint}")
