"""What the calls of a device half return, held against the ring: a buffer taken, a notification decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from dataplane.places import Place
from dataplane.records import Owner, Side
from dataplane.workshop.judge import Buffer, Decision, integer, pieces_words, plural, shown
from dataplane.workshop.ring import NO_INTERRUPT
from dataplane.workshop.split_index import SplitJudge

_CALL = Decision(
    "call_needed",
    "driver",
    "a call",
    "2.7.7.2",
    "The driver sleeps and is never told: the buffer waits for ever.",
    "The driver can bear it (2.7.7.1); it costs an interrupt that nobody wanted. The device SHOULD NOT.",
)


@dataclass
class SplitDeviceCalls(SplitJudge):
    """The account of a device half. Counts are of buffers; index = start + count, 16 bits."""

    SIDE: ClassVar[Side] = Side.DEVICE
    IDX: ClassVar[str] = "used_idx"
    OTHER: ClassVar[str] = "driver"
    ORDER: ClassVar[str] = "2.7.8.2"

    told: int = 0  #: published count that the device has loaded
    told_at: list[int] = field(default_factory=list)  #: by buffer: the access that told of it
    held: list[Buffer] = field(default_factory=list)  #: returned by next() and not completed
    waiting: list[Buffer] = field(default_factory=list)  #: completed and not exposed
    idx_at: int = 0  #: access that last moved used.idx
    decided: int = 0
    lie: str = ""  #: what the driver does that it must not, and what would come of it
    lie_would: str = ""
    lie_section: str = ""
    completing: Buffer | None = None
    first: dict[Place, tuple[int, int]] = field(
        default_factory=dict
    )  #: of this call: field -> (value, access)
    bait: dict[Place, int] = field(default_factory=dict)  #: field -> what it changes to once it was loaded

    def first_slot(self, one: Buffer, found: Sequence[int]) -> int:
        """The slot of the head of a buffer: in a split ring its id."""
        return one.id

    @property
    def next_one(self) -> Buffer | None:
        """The buffer that next() has to return."""
        return next((one for one in self.live if one.position == self.seen_count), None)

    # calls

    def started(self, call: str, arguments: list[object]) -> None:
        self.first = {}
        if call == "complete":
            id, length = arguments
            assert isinstance(id, int) and isinstance(length, int)
            one = next((b for b in self.held if b.id == id), None)
            assert one is not None, "a test of the workshop completes what was not taken"
            one.length, one.since = length, self.begun
            self.held.remove(one)
            self.waiting.append(one)

    def returned(self, call: str, value: object, line: int) -> None:
        match call:
            case "next":
                self._taken(value, line)
            case "flush":
                if self.waiting:
                    self.wrong(
                        f"flush() returned, and used.idx is still {self.index(self.used_count)}: "
                        f"{plural(len(self.waiting), 'buffer')} completed and not made visible",
                        would="The driver sees nothing.",
                        section="2.7.8",
                        line=line,
                    )
            case "call_needed":
                self._decided(value, line)

    def _taken(self, value: object, line: int) -> None:
        if self.lying:
            self.wrong(
                f"{self.lie}: next() must raise Broken",
                would=self.lie_would,
                section=self.lie_section,
                line=line,
            )
        one = self.next_one
        if value is None:
            if one is not None:
                self.wrong(
                    f"next() returned None, but avail.idx is {self.value(self.at('avail_idx'))} and this "
                    f"half has taken buffers up to {self.index(self.seen_count)}",
                    would="The buffer stays where it is.",
                    section="2.7.6",
                    line=line,
                )
            return
        if one is None:
            self.wrong(
                f"next() returned {shown(value)}, but avail.idx is {self.index(self.published)}: nothing is "
                "available",
                section="2.7.6",
                line=line,
            )
        wanted = [[p.address, p.length, p.writable] for p in one.pieces]
        if (
            not isinstance(value, list)
            or len(value) != 2
            or integer(value[0]) is None
            or not isinstance(value[1], list)
        ):
            self.wrong(f"next() returned {shown(value)}: it returns (id, pieces), or None", line=line)
        id, pieces = value
        if id != one.id:
            self.wrong(
                f"next() returned id {id}; the head is {one.id}: the id is the head",
                section="2.7.8",
                line=line,
            )
        for i, (got, right) in enumerate(zip(pieces, wanted, strict=False)):
            if got[:2] != right[:2] or len(got) != 3 or bool(got[2]) != right[2]:
                self.wrong(
                    f"piece {i + 1} of head {id} is {shown(got)}; the descriptor says {shown(right)}",
                    section="2.7.5",
                    line=line,
                )
        if len(pieces) != len(one.pieces):
            self.wrong(
                f"next() found {plural(len(pieces), 'piece')} of head {id}; the chain has {len(one.pieces)} "
                f"({pieces_words(one.pieces)})",
                section="2.7.5",
                line=line,
            )
        if self.told <= self.seen_count:
            self.wrong(
                "next() returned a buffer without having loaded avail.idx past it", section="2.7.6", line=line
            )
        one.owner = Owner.IN_USE
        self.seen_count += 1
        self.held.append(one)

    def gave_up(self, call: str, words: str, line: int) -> None:
        if self.lying and call == "next":
            return
        super().gave_up(call, words, line)

    def _decided(self, value: object, line: int) -> None:
        new, old = self.used_count, self.decided
        self.decided = new
        if self.event_idx:
            wanted, why = self.event_passed(self.at("used_event"), old, new)
        else:
            flags = self.value(self.at("avail_flags"))
            wanted, why = not flags & NO_INTERRUPT, f"avail.flags is {flags}"
        self.decision(value, wanted, why, line, _CALL)
