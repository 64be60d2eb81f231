"""Faults as somebody writes them: `lose_kick:queue=tx0,after=100`.

A kind, then what it concerns: `side`, `queue` (a name or a number), `area`, `entry`, and when it acts:
`after` so many chances, `count` times (0: from then on always, as without it), `value`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import get_args

from dataplane.faults import AREAS, KINDS, Fault, FaultKind
from dataplane.keyframe import QueueShape
from dataplane.places import writer
from dataplane.records import Side

_KEYS = ("side", "queue", "area", "entry", "after", "count", "value")
_SIDES = {"driver": Side.DRIVER, "device": Side.DEVICE}


def parse_fault(text: str, shapes: Sequence[QueueShape]) -> Fault:
    """One fault for a pair with these queues. ValueError with one line that says what is wrong."""
    name, _, rest = text.partition(":")
    kind = _one_of("fault", name.strip(), KINDS)
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item!r} has no value; write {key}=...")
        if _one_of("key", key, _KEYS) in given:
            raise ValueError(f"{key} is given twice")
        given[key] = value
    area = _one_of("area", given["area"], AREAS[1:]) if "area" in given else ""
    try:
        return Fault(
            kind=next(one for one in get_args(FaultKind) if one == kind),
            side=_side(given.get("side"), kind, area),
            queue=_queue(given["queue"], shapes) if "queue" in given else None,
            area=area,
            entry=_number("entry", given["entry"]) if "entry" in given else None,
            after=_number("after", given.get("after", "0")),
            count=_number("count", given.get("count", "0")),
            value=_number("value", given.get("value", "1")),
        )
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None


def _side(given: str | None, kind: str, area: str) -> Side:
    """The side that has the fault: there is often only one that can have it."""
    if given is not None:
        return _SIDES[_one_of("side", given, _SIDES)]
    if kind in ("lose_kick", "lose_call"):
        return Side.DRIVER if kind == "lose_kick" else Side.DEVICE
    if area and area not in ("tables", "desc", "desc.addr", "desc.flags"):
        return Side(writer(area))
    if area:
        return Side.DRIVER
    raise ValueError("which side has it? write side=driver or side=device")


def _queue(given: str, shapes: Sequence[QueueShape]) -> int:
    for shape in shapes:
        if given in (shape.name, str(shape.index)):
            return shape.index
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
