"""Single fields that light up in the tables: what a step wrote, what a lesson points at.

A mark is (area, slot or entry, field) in the words of `dataplane.places`; "" is a whole value. A marked field
stands on the ground of what is selected, in bold, with a sign before it, so that it shows without colour.
"""

from __future__ import annotations

from collections.abc import Iterable

from inspector.widgets.pane import Ink, Piece

Mark = tuple[str, int, str]
Marks = frozenset[Mark]
NONE: Marks = frozenset()
MARK = "»"


def cell(ink: Ink, text: str, meaning: str, ground: str, marked: bool) -> list[Piece]:
    """The text of a cell, which begins with a blank for the sign."""
    if not marked:
        return [(text, ink(meaning, ground))]
    value = text.lstrip(" ")
    blanks = len(text) - len(value)
    body = value.rstrip(" ")
    pieces: list[Piece] = [(" " * (blanks - 1), ink(meaning, ground))] if blanks > 1 else []
    sign = MARK if blanks else ""
    pieces.append((sign + body, ink("strong", "selected", bold=True)))
    if len(body) < len(value):
        pieces.append((" " * (len(value) - len(body)), ink(meaning, ground)))
    return pieces


def fields(marks: Iterable[Mark], area: str) -> dict[int, frozenset[str]]:
    """The marked fields of each row of an area."""
    found: dict[int, set[str]] = {}
    for name, index, field in marks:
        if name == area:
            found.setdefault(index, set()).add(field)
    return {index: frozenset(names) for index, names in found.items()}
