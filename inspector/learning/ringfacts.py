"""What a lesson claims, asks and shows: the language of `dataplane.script.expression` about one queue.

    evaluate("avail_idx == was.avail_idx + 1", facts(snapshot, "tx0", before))

The fields of the queue that is shown stand at the top. Beside them are `was`, the same before the step;
`queues`, all of them by name; `kept`, what pairs of pages before came to; and `memory16`, numbers of 16 bits
in the memory of the pair by address.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataplane import layout
from dataplane.script import expression
from dataplane.script.expression import Node, Unsound
from dataplane.script.facts import BLANK, NUMBER, Fact, Fields, Record, Rows, View, queue_facts
from dataplane.script.table import near
from dataplane.snapshot import PackedQueue, Snapshot


def facts(
    snapshot: Snapshot,
    name: str,
    before: Snapshot | None = None,
    memory: Callable[[int, int], bytes] | None = None,
    kept: Mapping[str, View] | None = None,
) -> View:
    """Every name a lesson may use while it shows the queue called `name`. Unsound where there is none."""
    known = _queues(snapshot, name)
    if before is not None:
        known["was"] = _fixed(View(Record(_queues(before, name)), None))
    if memory is not None:
        known["memory16"] = (Rows(sys.maxsize, NUMBER), lambda _: _Memory(memory))
    known["kept"] = (Record({page: _fixed(view) for page, view in (kept or {}).items()}), lambda _: None)
    return View(Record(known), None)


def _queues(snapshot: Snapshot, name: str) -> Fields:
    """The fields of one queue, and all queues by name."""
    views: dict[str, View] = {}
    for queue in snapshot.queues:
        fields = dict(queue_facts(queue.index, queue.size, isinstance(queue, PackedQueue)).fields)
        del fields["events"]  # those of a step are not kept
        views[queue.name] = View(Record(fields), (queue, None))
    if name not in views:
        raise Unsound(f"no queue is called {name!r}; {near(name, views)}")
    known: Fields = {
        field: (node, lambda _, get=get: get(views[name].at))  # type: ignore[misc]
        for field, (node, get) in views[name].node.fields.items()
    }
    known["queues"] = (Record({other: _fixed(view) for other, view in views.items()}), lambda _: None)
    return known


def _fixed(view: View) -> tuple[Record, Callable[[Any], Any]]:
    """A view as a field of another, whatever that one looks at."""
    return view.node, lambda _: view.at


@dataclass(frozen=True)
class _Memory:
    """Little-endian numbers of 16 bits by address."""

    read: Callable[[int, int], bytes]

    def __getitem__(self, address: int) -> int:
        return int.from_bytes(self.read(address, 2), "little")


def parse(text: str) -> Node:
    """The tree of an expression; Unsound where it is none."""
    try:
        return expression.parse(text.strip())
    except Unsound as error:
        raise Unsound(f"{text.strip()!r} is no expression: {error}") from None


def bound(node: Node, known: Mapping[str, Any]) -> Node:
    """Its names checked against what is known."""
    return expression.bind(node, View(known.node, BLANK) if isinstance(known, View) else known)


def evaluate(text: str, known: Mapping[str, Any]) -> int | str:
    """The number or word that an expression stands for; Unsound names what is wrong in it."""
    node = parse(text)
    try:
        return expression.work(bound(node, known), known)
    except Unsound as error:
        raise Unsound(f"{text.strip()}: {error}") from None


def holds(text: str, known: Mapping[str, Any]) -> bool:
    """Whether an expression is true."""
    return bool(evaluate(text, known))


def written(text: str, known: Mapping[str, Any]) -> str:
    """An expression as prose has it: "EXPR" in decimal or its word, "EXPR:x" in hex, ":b" 16 bits, ":flags"
    by name."""
    asked, _, form = text.partition(":")
    value = evaluate(asked, known)
    if isinstance(value, str) or not form:
        return value.spelt if isinstance(value, Fact) and not value.leaf.flags else str(value)
    match form.strip():
        case "x":
            return f"0x{value:x}"
        case "b":
            return f"{value & 0xFFFF:016b}"
        case "flags":
            return " ".join(layout.desc_flag_names(value, "driver_off" in known)) or "none"
    raise Unsound(f"{form.strip()!r} is no form: x, b or flags")
