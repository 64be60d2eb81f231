"""One ring as its two sides have written it, and the buffers that are on their way in it.

`Ring` holds the bytes; what each layout makes of them stands in `split` and `packed`. A buffer is known from
the store that makes it available to the store that shows it as used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Literal, NamedTuple

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE

#: A head or next beyond the queue or table; a loop; not all of it there yet; more slots than are free; more
#: than the queue has; a table that is not known, or no whole number of descriptors.
Why = Literal["", "range", "loop", "late", "room", "long", "unknown", "ragged"]

_TABLE_MOST = 1 << 15  #: entries of an indirect table that are looked at


_DESC = Struct("<QIHH")


class Element(NamedTuple):
    """One descriptor of a buffer: in slot `at` of the ring, or entry `at` of an indirect table."""

    at: int
    address: int
    length: int
    flags: int
    next: int  #: packed: the buffer id
    table: bool = False

    @property
    def writable(self) -> bool:
        return bool(self.flags & DESC_F_WRITE)


@dataclass(slots=True)
class Buffer:
    """What the driver made available in one go. `wrong` says where following it came to an end too soon, and
    `why` in one word."""

    ring: Ring
    position: int  #: the how-manieth of this ring, as far as the audit knows it
    id: int  #: split: the head
    head: int
    slots: tuple[int, ...]
    elements: tuple[Element, ...]  #: those of the ring, in order
    entries: tuple[Element, ...]  #: those of its indirect table
    table: tuple[int, int] | None  #: address and bytes of the table
    number: int  #: the event that made it available; 0: before the audit began
    why: Why = ""
    wrong: str = ""

    @property
    def data(self) -> Iterator[Element]:
        """The elements that hold data, in order."""
        yield from (e for e in self.elements if not e.flags & DESC_F_INDIRECT)
        yield from self.entries

    @property
    def writable(self) -> int:
        """Bytes that the device may write."""
        return sum(element.length for element in self.data if element.writable)


@dataclass(frozen=True, slots=True)
class Use:
    """A used element or descriptor that the device has shown.

    `buffers` are all that it returns, the one with its id last; none where the id is that of none.
    """

    ring: Ring
    at: int  #: used.ring entry (split), slot (packed)
    id: int
    length: int
    buffers: tuple[Buffer, ...]
    number: int
    writes: bool = True  #: packed: its WRITE flag, without which `length` says nothing (2.8.4)

    @property
    def buffer(self) -> Buffer | None:
        return self.buffers[-1] if self.buffers else None


@dataclass
class Ring:
    """What both layouts share. `lost`: it can no longer be told who owns what; nothing more is judged."""

    shape: QueueShape
    memory: dict[str, bytearray]
    outstanding: dict[int, Buffer] = field(default_factory=dict)  #: by id, in the order of positions
    owners: dict[int, Buffer] = field(default_factory=dict)  #: the same by slot
    positions: dict[int, Buffer] = field(default_factory=dict)  #: the same by position
    made: int = 0  #: buffers made available
    seen: int = 0  #: buffers that the device said it had taken
    used: int = 0  #: buffers used
    collected: int = 0  #: buffers that the driver said it had taken back
    lost: str = ""
    fresh: bool = False  #: known from its setup on: nobody but the driver that set it up wrote in it before

    def counts(self, own: np.void) -> None:
        """How far the four counts of a queue were at the keyframe."""
        driver, device = own["driver"], own["device"]
        self.made, self.collected = int(driver["published"]), int(driver["collected"])
        self.seen, self.used = int(device["seen"]), int(device["used"])

    @property
    def index(self) -> int:
        return self.shape.index

    @property
    def size(self) -> int:
        return self.shape.size

    def lend(self, buffer: Buffer) -> None:
        """A buffer is on its way; an id that comes again is from now on the newer one's."""
        known = self.outstanding.pop(buffer.id, None)
        if known is not None:
            self.take_back(known)
        self.outstanding[buffer.id] = buffer
        self.positions[buffer.position] = buffer
        for slot in buffer.slots:
            self.owners[slot] = buffer

    def take_back(self, buffer: Buffer) -> None:
        """A buffer was shown as used."""
        if self.outstanding.get(buffer.id) is buffer:
            del self.outstanding[buffer.id]
        self.positions.pop(buffer.position, None)
        for slot in buffer.slots:
            if self.owners.get(slot) is buffer:
                del self.owners[slot]

    def value(self, area: str, offset: int, width: int) -> int:
        return int.from_bytes(self.memory[area][offset : offset + width], "little")

    def write(self, area: str, offset: int, value: int, width: int) -> None:
        self.memory[area][offset : offset + width] = value.to_bytes(width, "little")

    def element(self, slot: int) -> Element:
        """The descriptor in a slot, as it stands."""
        return self._element(self.memory["desc"], slot, False)

    def flags(self, slot: int) -> int:
        """Those of the descriptor in a slot."""
        at = 16 * slot + (14 if self.shape.packed else 12)
        return int.from_bytes(self.memory["desc"][at : at + 2], "little")

    def _element(self, data: bytes | bytearray, at: int, table: bool) -> Element:
        address, length, first, second = _DESC.unpack_from(data, 16 * at)
        if self.shape.packed:
            return Element(at, address, length, second, first, table)
        return Element(at, address, length, first, second, table)

    def table(self, address: int, length: int) -> bytes | None:
        """An indirect table; None where it does not stand in the memory that the journal tells of."""
        for name, start, size in self.shape.areas:
            offset = address - start
            if offset >= 0 and offset + length <= size and length <= 16 * _TABLE_MOST:
                return bytes(self.memory[name][offset : offset + length])
        return None

    def entries(self, element: Element) -> tuple[tuple[Element, ...], Why, str]:
        """The elements of the table that an INDIRECT descriptor points to, and what is wrong with them."""
        if element.length % 16 or not element.length:
            return (), "ragged", f"an indirect table of {element.length} bytes"
        data = self.table(element.address, element.length)
        if data is None:
            return (), "unknown", "its indirect table stands outside of what is known"
        count = len(data) // 16
        if self.shape.packed:
            return tuple(self._element(data, i, True) for i in range(count)), "", ""
        found: list[Element] = []
        at = 0
        while True:
            entry = self._element(data, at, True)
            found.append(entry)
            if not entry.flags & DESC_F_NEXT:
                return tuple(found), "", ""
            if entry.next >= count:
                return tuple(found), "range", f"next {entry.next} in a table of {count} entries"
            if len(found) >= count:
                return tuple(found), "loop", "a loop in its indirect table"
            at = entry.next

    def field(self, area: str, offset: int, left: int) -> tuple[str, int, int, int]:
        """Which area of `places`, row and byte of it stand at an offset, and how far a store of `left` bytes
        stays within that row."""
        raise NotImplementedError

    def follow(self, area: str, index: int, side: int, old: int, new: int, number: int) -> Iterator[Any]:
        """What a store that has just been done makes available or shows as used."""
        raise NotImplementedError
