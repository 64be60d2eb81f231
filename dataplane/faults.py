"""Faults to put into a pair of ours: what a broken driver or device does, by name.

    pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=1))
    pair.inject_fault(Fault("delay_store", Side.DRIVER, queue=1, area="avail_ring"))

They act where a side stores or notifies (`engine/fault.h`), at every trace level, and are told as FAULT
events. A driver of ours with a fault writes every word each time: it cannot know what stands in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dataplane.places import PACKED_AREAS, SPLIT_AREAS, writer
from dataplane.records import Side

FaultKind = Literal["drop_store", "delay_store", "corrupt_store", "lose_kick", "lose_call"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

_ANY = 0xFFFFFFFF
_WORDS = ("desc.addr", "desc.flags")
_OF_ONE_LAYOUT = tuple(one for one in (*SPLIT_AREAS, *PACKED_AREAS) if one not in ("desc", "tables"))
#: Where a store goes, by the names of `places`; "" is anywhere. The first word of a descriptor is its
#: address, the second holds the rest: a packed driver shows a buffer by the second word of its head.
#: In the order of `enum area` (engine/fault.h).
AREAS = ("", "desc", "tables", *_OF_ONE_LAYOUT, *_WORDS)


def areas_of(packed: bool) -> tuple[str, ...]:
    """The areas that rings of this layout have, "" among them."""
    there = PACKED_AREAS if packed else SPLIT_AREAS
    return tuple(one for one in AREAS if one in there or one in ("", *_WORDS))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one side.

    `queue` None: any; `entry` the slot or ring entry concerned, None: any. The first `after` chances pass,
    then it acts `count` times, 0: for ever. `value`: delay_store: behind how many more stores of the side the
    store is performed (1); corrupt_store: what is xored into it.
    """

    kind: FaultKind
    side: Side
    queue: int | None = None
    area: str = ""
    entry: int | None = None
    after: int = 0
    count: int = 1
    value: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(KINDS)}")
        if self.area not in AREAS:
            raise ValueError(f"no area is called {self.area!r}; there are {', '.join(AREAS[1:])}")
        store = self.kind.endswith("_store")
        if not store and (self.area or self.entry is not None):
            raise ValueError(f"{self.kind} concerns a notification and has no area")
        if self.area in _OF_ONE_LAYOUT and writer(self.area) != self.side:
            owner = Side(writer(self.area)).name.lower()
            raise ValueError(f"the {owner} writes {self.area}: the other side has no store there to fail")
        if self.kind == "lose_kick" and self.side != Side.DRIVER:
            raise ValueError("the driver sends kicks: lose_kick is a fault of its side")
        if self.kind == "lose_call" and self.side != Side.DEVICE:
            raise ValueError("the device sends calls: lose_call is a fault of its side")
        if not 0 <= self.after < _ANY or not 0 <= self.count < _ANY or not 0 <= self.value < 1 << 64:
            raise ValueError("after and count are 0 to 4294967294, value 0 to 2^64 - 1")
        if self.kind == "delay_store" and not 1 <= self.value <= 16:
            raise ValueError("a store can be held back behind 1 to 16 others")

    def wire(self) -> tuple[int, int, int, int, int, int, int, int]:
        """As `Engine.add_fault` takes it."""
        return (
            KINDS.index(self.kind) + 1,
            int(self.side),
            0xFFFF if self.queue is None else self.queue,
            AREAS.index(self.area),
            _ANY if self.entry is None else self.entry,
            self.after,
            self.count,
            self.value,
        )
