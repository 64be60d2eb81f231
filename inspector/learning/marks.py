"""Which cells of the tables light up: by the name an expression gives them, or because they were stored to.

A mark is (area, row, field) in the words of `dataplane.places`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataplane.keyframe import QueueShape
from dataplane.places import covered
from dataplane.script.expression import Name, Unsound, work
from dataplane.snapshot import Array
from inspector.learning import ringfacts

Mark = tuple[str, int, str]

#: Names of an expression that are one value.
_SINGLE = (
    *("avail_flags", "avail_idx", "used_event", "used_flags", "used_idx", "avail_event"),
    *("published", "seen", "used", "collected"),
)
_EVENTS = {
    f"{side}_{name}": (f"{side}_event", 0, field)
    for side in ("driver", "device")
    for name, field in (("off", "off_wrap"), ("wrap", "off_wrap"), ("flags", "flags"))
}


def marks_of(text: str, known: Mapping[str, Any], shape: QueueShape) -> frozenset[Mark]:
    """The cells that an expression such as `desc[free_head].len` names; Unsound where it names none.

    A row without a field, such as `desc[1]`, is every cell of it.
    """
    node = ringfacts.parse(text)
    parts = node.parts if isinstance(node, Name) else ()
    match [p if isinstance(p, str) else work(ringfacts.bound(p, known), known) for p in parts]:
        case ["desc" | "used_ring" as area, int(row)]:
            return frozenset((area, row, field) for field in known[area][0])
        case ["desc" | "used_ring" as area, int(row), str(field)]:
            return frozenset({(area, row, field)})
        case ["owner", int(row)]:
            return frozenset({("desc", row, "owner")})
        case ["avail_ring", int(row)]:
            return frozenset({("avail_ring", row, "")})
        case ["table", int(slot), int(row), str(field)]:
            return frozenset({("tables", slot * shape.table_entries + row, field)})
        case ["driver" | "device" as side, str(field)]:
            return frozenset({(f"own_{side}", 0, field)})
        case [str(name)] if name in _SINGLE or name in _EVENTS:
            return frozenset({_EVENTS.get(name, (name, 0, ""))})
    raise Unsound(f"{text}: names no cell that could be marked")


def stored(shape: QueueShape, stores: Array) -> frozenset[Mark]:
    """The cells that these STORE events wrote to."""
    return frozenset(
        place.mark for row in stores for place in covered(shape, int(row["place"]), int(row["count"]))
    )
