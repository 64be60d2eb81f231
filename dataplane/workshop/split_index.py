"""What the judges of both halves of a split ring share: indices that run free, and what they make visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dataplane.places import Place
from dataplane.workshop.judge import Judge

MASK = 0xFFFF


@dataclass
class SplitJudge(Judge):
    """Counts are of buffers; index = start + count, 16 bits (2.7.6, 2.7.8)."""

    IDX: ClassVar[str] = "avail_idx"  #: the index that this half moves
    OTHER: ClassVar[str] = "device"  #: who reads it
    ORDER: ClassVar[str] = "2.7.13.3.1"  #: section that wants a barrier before it

    def index(self, count: int) -> int:
        return (self.start + count) & MASK

    def entry(self, count: int) -> int:
        """The entry of the available or used ring for buffer `count`."""
        return self.index(count) % self.size

    def would_index(self, value: int) -> str:
        """What the other side would make of memory with this index in it."""
        self.put(self.at(self.IDX), value)
        return self.would()

    def ordered(self, fields: Sequence[Place], since: int, value: int) -> None:
        """The index is stored: a barrier must stand between that and every store to these fields."""
        late = self.unordered(fields, since)
        if not late:
            return
        names = ", ".join(dict.fromkeys(a.where for a in late))
        number, index = self.number, self.at(self.IDX).text
        self.undo(late)
        self.wrong(
            f"no barrier between the store to {names} (line {late[-1].line}) and this one to {index}",
            would=f"The {self.OTHER} may see {index} = {value} while {late[0].where} is still "
            f"{late[0].before}. {self.would_index(value)}",
            section=self.ORDER,
            access=number,
        )

    def event_passed(self, event: Place, old: int, new: int) -> tuple[bool, str]:
        """Whether the index passed the event index between two counts, and why (2.7.7, 2.7.10)."""
        wish, index = self.value(event), self.at(self.IDX).text
        distance, moved = (self.index(new) - wish - 1) & MASK, (new - old) & MASK
        return distance < moved, (
            f"{event.text} is {wish} and {index} went from {self.index(old)} to {self.index(new)}: "
            f"({self.index(new)} - {wish} - 1) mod 65536 = {distance}, "
            f"{'less' if distance < moved else 'not less'} than {moved}"
        )
