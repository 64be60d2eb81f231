"""Each event and each store in words: who did what, where, why now, and which barrier it pairs with.

    explain(row, shapes).what     driver writes desc[3]: len 0 -> 76, flags none -> NEXT, next 0 -> 4

Sections are those of VIRTIO 1.3. What is said is true of any driver and device that keep to the spec; where
only our engine does a thing in some way, that is not said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.records import Kind, Side
from dataplane.words import operations as operation_words
from dataplane.words import stores as store_words
from dataplane.words.fields import FieldChange, changes


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event in words. `address` and `length` name the bytes a store wrote; 0, 0 for an operation."""

    number: int
    kind: Kind
    side: Side
    queue: str  #: "tx0"; "" for what concerns the device as a whole
    what: str  #: begins with who did it
    where: str
    why: str
    section: str  #: of VIRTIO 1.3; "" where the spec has nothing to say
    barrier: str  #: "" where none is involved
    address: int = 0
    length: int = 0
    changes: tuple[FieldChange, ...] = ()

    @property
    def who(self) -> str:
        return self.side.name.lower()

    @property
    def brief(self) -> str:
        """One line: who, where, what; for the foot of a screen."""
        return f"{self.who} · {self.queue} · {self.what}" if self.queue else f"{self.who} · {self.what}"

    @property
    def marks(self) -> frozenset[tuple[str, int, str]]:
        """The fields that were written, as tables mark them: (area, index, field)."""
        return frozenset(change.place.mark for change in self.changes)


def _kind(value: int) -> Kind | None:
    try:
        return Kind(value)
    except ValueError:
        return None


def explain(row: np.void, shapes: Iterable[QueueShape]) -> Explanation:
    """One row of `records.EVENT` in words; `shapes` are the queues' (`Keyframe.shapes`).

    Never raises for what a row may hold: what is not known is said so.
    """
    kind, side = _kind(int(row["kind"])), Side(int(row["side"]) & 1)
    number, index = int(row["number"]), int(row["queue"])
    if kind is Kind.QUEUE_RESET:
        index = int(row["place"])
    shape = next((each for each in shapes if each.index == index), None)
    if kind is None or shape is None:
        about = (
            f"an event of kind {int(row['kind'])}" if kind is None else kind.name.lower().replace("_", " ")
        )
        if kind is None or kind not in operation_words.WITHOUT_QUEUE:
            return Explanation(number, kind or Kind.OWN, side, f"q{index}", f"does {about}", "", "", "", "")
    if kind is Kind.STORE and shape is not None:
        made = changes(row, shape)
        said = store_words.words(row, shape, made)
        return Explanation(
            number,
            kind,
            side,
            shape.name,
            said.what,
            said.where,
            said.why,
            said.section,
            said.barrier,
            int(row["place"]),
            int(row["count"]),
            made,
        )
    told = operation_words.words(row, shape)
    name = "" if kind in operation_words.WITHOUT_QUEUE or shape is None else shape.name
    return Explanation(number, kind, side, name, told.what, told.where, told.why, told.section, told.barrier)


def plain(row: np.void, shapes: Iterable[QueueShape]) -> str:
    """One line about an event, for a list or the foot of a screen."""
    return explain(row, shapes).brief
