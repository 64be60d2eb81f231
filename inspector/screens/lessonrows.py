"""Which panes stand beside the prose of a lesson, and how many rows each has.

What the page speaks of comes first; a pane that would not be whole is left out, and the bar beside those that
the page speaks of lights up.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.containers import Container

from dataplane.snapshot import PackedQueue
from inspector.learning.course import Course
from inspector.widgets.areas import SIDE_BY_SIDE

RING_LEAST = 6  #: rows that the ring has in any case
TITLED_AT = {"notifications": 3, "queues": 4, "flow": 4}  #: rows from which a pane has its title
_ROUND_AT = (44, 15)  #: columns and rows from which the ring is drawn round
_FLOW_TITLED_AT = 96  #: columns from which the title of the flow is whole
_TALL = 26  #: rows from which panes need not be short
_COUNTS = frozenset({"published", "seen", "used", "collected"})
_TABLES = frozenset({"desc", "tables"})


class Framed(Container):
    """A pane with a bar beside it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Rows that a pane cannot do without, and those that it would like."""

    name: str
    least: int
    best: int


def shares(wishes: list[Wish], rows: int) -> dict[str, int]:
    """Rows for each pane, those that stand first before the others; what gets none is left out."""
    given: dict[str, int] = {}
    left = rows
    for wish in wishes:
        if wish.least <= left or not given:
            given[wish.name] = min(wish.least, left)
            left -= given[wish.name]
    for wish in wishes:
        if wish.name in given:
            more = max(min(wish.best - given[wish.name], left), 0)
            given[wish.name] += more
            left -= more
    return given


def looked_at(course: Course, turned: str | None) -> list[str]:
    """The panes that the page speaks of; `turned`, which the reader unfolded, before them."""
    areas = {area for area, _, _ in course.marks}
    found = [turned] if turned else []
    if areas & _TABLES:
        found.append("table")
    if areas - _TABLES - _COUNTS:
        found.append("areas")
    if areas & _COUNTS:
        found.append("flow")
    return list(dict.fromkeys([*found, *sorted(course.panes)]))


def opened_tables(course: Course) -> dict[int, int]:
    """Entries of the indirect tables that the page speaks of, by slot."""
    entries = course.bench.shape.table_entries
    slots = {index // entries for area, index, _ in course.marks if area == "tables"}
    tables = course.tick.snapshot.queue(course.bench.shape.index).tables
    return {slot: len(tables[slot]) for slot in sorted(slots) if slot in tables}


def _wishes(course: Course, looked: list[str], width: int, tall: bool) -> dict[str, Wish]:
    queue = course.tick.snapshot.queue(course.bench.shape.index)
    packed = isinstance(queue, PackedQueue)
    lines = min(queue.size + sum(opened_tables(course).values()), 16)
    times = 1 if width >= SIDE_BY_SIDE else 2
    entries = min(queue.size, 4 if "areas" in looked else 0)
    least = 6 if packed else 5 + bool(entries) + entries
    return {
        "table": Wish("table", 2 + (lines if tall else min(lines, 5)), 2 + lines),
        "flow": Wish("flow", 3, 3 + (tall and width >= _FLOW_TITLED_AT)),
        "areas": Wish("areas", least * times, (8 if packed else 6 + min(queue.size, 8)) * times),
        "wheel": Wish("wheel", 2, 2),
        "notifications": Wish("notifications", 2, 5 if tall else 2),
        "queues": Wish("queues", 3, 4 if tall else 3),
    }


def needed(course: Course, turned: str | None, width: int) -> int:
    """Rows without which a pane that the page speaks of would not be whole, at least `RING_LEAST`."""
    looked = looked_at(course, turned)
    wishes = _wishes(course, looked, width, False)
    return max(sum(wishes[name].least for name in looked), RING_LEAST)


def rows_of(course: Course, looked: list[str], width: int, height: int) -> tuple[dict[str, int], bool]:
    """Rows for each pane that has room, and whether the ring is drawn round.

    Notifications stand there once the lesson has spoken of them.
    """
    wishes = _wishes(course, looked, width, height >= _TALL)
    order = [*dict.fromkeys([*looked, "table", "flow", "areas", "wheel"])]
    if "notifications" in course.introduced and "notifications" not in order:
        order.append("notifications")
    if height >= 50:
        order.append("queues")
    round_ = False
    if width >= _ROUND_AT[0] and sum(wishes[name].least for name in order) - 2 + _ROUND_AT[1] <= height:
        wishes["wheel"] = Wish("wheel", _ROUND_AT[1], height)
        order.remove("wheel")
        order.append("wheel")  # it takes what is left
        round_ = True
    given = shares([wishes[name] for name in order], height)
    return given, round_
