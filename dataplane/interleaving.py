"""A chosen interleaving of two sides in text: `driver 3 stores, device 1 operation, driver until kick`.

Items are parted by commas (or new lines). Each names a side, then how far it goes: a number (1 where none
stands) of stores, operations or turns (operations where no unit stands), or until an operation of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dataplane.breaks_text import EVENTS
from dataplane.records import Side
from dataplane.source import Unit

_ITEM = re.compile(r"[^,;\n]+")
_UNITS: dict[str, Unit] = {
    "store": "store",
    "stores": "store",
    "operation": "operation",
    "operations": "operation",
    "op": "operation",
    "ops": "operation",
    "turn": "turn",
    "turns": "turn",
}
_SIDES = {"driver": Side.DRIVER, "device": Side.DEVICE}
_QUEUE = re.compile(r"[a-z]+\d*")
COUNT_MAX = 1_000_000


class InterleavingError(ValueError):
    """Text that is no interleaving; characters `start` to `end` (not included) of it are wrong."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(f"characters {start + 1} to {end}: {message}")
        self.message, self.start, self.end = message, start, end


@dataclass(frozen=True, slots=True)
class Item:
    """One side going on: `count` of a unit, or until an operation (on `queue`, where one is named)."""

    side: Side
    count: int = 1
    unit: Unit = "operation"
    until: str = ""  #: a word of `breaks_text.EVENTS`
    queue: str | None = None

    @property
    def text(self) -> str:
        who = self.side.name.lower()
        if self.until:
            return f"{who} until {self.until}" + (f" {self.queue}" if self.queue else "")
        return f"{who} {self.count} {self.unit}{'s' if self.count > 1 else ''}"


def parse_interleaving(text: str) -> tuple[Item, ...]:
    """The items of a text, in order. InterleavingError says which characters are wrong."""
    items = []
    for piece in _ITEM.finditer(text):
        if piece.group().strip():
            items.append(_item(piece.group(), piece.start()))
    if not items:
        raise InterleavingError("a side is missing: 'driver 3 stores, device 1 operation' is one", 0, 1)
    return tuple(items)


def _item(text: str, at: int) -> Item:
    words = [(m.group().lower(), at + m.start(), at + m.end()) for m in re.finditer(r"\S+", text)]
    word, start, end = words[0]
    if word not in _SIDES:
        raise InterleavingError(f"{word!r} is no side: driver or device", start, end)
    side, rest = _SIDES[word], words[1:]
    if rest and rest[0][0] == "until":
        return _until(side, rest[1:], rest[0])
    count, unit = 1, "operation"
    if rest and rest[0][0].isdecimal():
        (number, start, end), rest = rest[0], rest[1:]
        count = int(number) if len(number) < 10 else COUNT_MAX + 1
        if not 1 <= count <= COUNT_MAX:
            raise InterleavingError(f"{number} is out of range: 1 to {COUNT_MAX:,}", start, end)
    if rest:
        word, start, end = rest[0]
        if word not in _UNITS:
            raise InterleavingError(f"{word!r} is no unit: stores, operations or turns", start, end)
        unit, rest = _UNITS[word], rest[1:]
    if rest:
        raise InterleavingError("a comma parts two items", rest[0][1], rest[-1][2])
    return Item(side, count, _UNITS[unit])


def _until(side: Side, rest: list[tuple[str, int, int]], here: tuple[str, int, int]) -> Item:
    words = [word for word, _, _ in rest]
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in EVENTS:
            behind = words[length:]
            behind = behind[1:] if behind[:1] == ["on"] else behind
            queue = behind[0] if behind else None
            if len(behind) > 1 or (queue is not None and not _QUEUE.fullmatch(queue)):
                raise InterleavingError(
                    "behind the operation stands at most a queue", rest[0][1], rest[-1][2]
                )
            return Item(side, until=name, queue=queue)
    known = ", ".join(word for word in EVENTS if " " not in word)
    start, end = (rest[0][1], rest[-1][2]) if rest else (here[1], here[2])
    raise InterleavingError(f"until what? There are {known}", start, end)


def text_of(items: tuple[Item, ...]) -> str:
    """The items in their plainest spelling."""
    return ", ".join(item.text for item in items)
