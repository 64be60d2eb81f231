"""Which cells of the tables light up: by the name an expression gives them, or because they were stored to.

A mark is (area, row, field) in the words of `dataplane.places`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from dataplane.keyframe import QueueShape
from dataplane.places import covered
from dataplane.snapshot import Array
from inspector.learning import ringfacts
from inspector.learning.ringfacts import FactError

Mark = tuple[str, int, str]

#: Names of an expression that are one value in memory.
_SINGLE = ("avail_flags", "avail_idx", "used_event", "used_flags", "used_idx", "avail_event")
_EVENTS = {
    "driver_off": ("driver_event", "off_wrap"),
    "driver_wrap": ("driver_event", "off_wrap"),
    "driver_flags": ("driver_event", "flags"),
    "device_off": ("device_event", "off_wrap"),
    "device_wrap": ("device_event", "off_wrap"),
    "device_flags": ("device_event", "flags"),
}
_DESC = ("addr", "len", "flags", "next", "id")
_COUNTS = ("published", "seen", "used", "collected")


def marks_of(text: str, known: Mapping[str, Any], shape: QueueShape) -> frozenset[Mark]:
    """The cells that an expression such as `desc[free_head].len` names; FactError where it names none.

    A row without a field, such as `desc[1]`, is every cell of it.
    """
    area, index, field = _mark_of(text, known, shape)
    names = ("id", "len") if area == "used_ring" else _DESC if area in ("desc", "tables") else ()
    return frozenset((area, index, name) for name in ((field,) if field or not names else names))


def _mark_of(text: str, known: Mapping[str, Any], shape: QueueShape) -> Mark:
    node: ast.expr = ringfacts.parse(text)
    field = ""
    if isinstance(node, ast.Attribute):
        field, node = node.attr, node.value
        if isinstance(node, ast.Name) and node.id in ("driver", "device"):
            return f"own_{node.id}", 0, field
    rows: list[int] = []
    while isinstance(node, ast.Subscript):
        rows.insert(0, int(ringfacts.evaluate(ast.unparse(node.slice), known)))
        node = node.value
    if isinstance(node, ast.Name):
        match node.id, rows:
            case ("desc" | "used_ring", [row]):
                return node.id, row, field
            case ("owner", [row]):
                return "desc", row, "owner"
            case ("avail_ring", [row]) if not field:
                return node.id, row, ""
            case ("table", [slot, entry]):
                return "tables", slot * shape.table_entries + entry, field
            case (name, []) if name in _SINGLE:
                return name, 0, ""
            case (name, []) if name in _EVENTS:
                return _EVENTS[name][0], 0, _EVENTS[name][1]
            case (name, []) if name in _COUNTS:
                return name, 0, ""
    raise FactError(f"{text}: names no cell that could be marked")


def stored(shape: QueueShape, stores: Array) -> frozenset[Mark]:
    """The cells that these STORE events wrote to."""
    return frozenset(
        place.mark for row in stores for place in covered(shape, int(row["place"]), int(row["count"]))
    )
