"""A packed ring as its stores tell of it (2.8)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, PACKED_F_AVAIL, PACKED_F_USED
from dataplane.rules.conformance.ring import Buffer, Element, Ring, Use, Why

_BITS = PACKED_F_AVAIL | PACKED_F_USED


def is_available(flags: int, wrap: int) -> bool:
    """Whether flags say available to who is on the lap with this wrap counter (2.8.1)."""
    return flags & _BITS == (PACKED_F_AVAIL if wrap else PACKED_F_USED)


def is_used(flags: int, wrap: int) -> bool:
    """Whether flags say used on the lap with this wrap counter (2.8.1)."""
    return flags & _BITS == (_BITS if wrap else 0)


class PackedRing(Ring):
    """`avail` and `back` are slot and wrap counter that the driver makes available next, and where the device
    shows the next used descriptor."""

    def __init__(self, shape: QueueShape, memory: dict[str, bytearray], own: np.void) -> None:
        super().__init__(shape, memory)
        self.counts(own)
        self.back = int(own["driver"]["last_used"]) % shape.size, int(own["driver"]["used_wrap"]) & 1
        self._begin(own)

    def _begin(self, own: np.void) -> None:
        """What was on its way at the keyframe, from the slots and numbers that the driver keeps."""
        ids, driver, size = own["ids"], own["driver"], self.size
        self.avail = int(driver["avail_idx"]) % size, int(driver["avail_wrap"]) & 1
        waiting = sorted(
            (int(ids["outstanding"][id]) - 1, int(id), int(ids["place"][id]))
            for id in np.flatnonzero(ids["outstanding"])
        )
        gone = self._gone(waiting)
        before = self.avail
        for position, _, place in reversed(waiting):
            before = self._before(before, place >> 16 & 0xFFFF)
            shown = is_available(self.flags(before[0]), before[1])
            if position >= self.seen and not shown:  # written and not shown yet, nor is what follows it
                self.made, self.avail = min(self.made, position), before
        for position, id, place in waiting:
            if position < self.made and id not in gone:
                head = place & 0xFFFF
                slots = tuple((head + i) % size for i in range(place >> 16 & 0xFFFF))
                self.lend(self._buffer(id, head, slots, position, 0))

    def _before(self, at: tuple[int, int], count: int) -> tuple[int, int]:
        """So many slots before a slot and wrap counter."""
        slot = at[0] - count
        return (slot + self.size, at[1] ^ 1) if slot < 0 else (slot, at[1])

    def _gone(self, waiting: list[tuple[int, int, int]]) -> set[int]:
        """Ids that the device has shown as used and the driver has not collected; `back` moves behind them.

        In order they are those below the count, for a batch marks none of them but the first.
        """
        slots = {id: place >> 16 & 0xFFFF for _, id, place in waiting}
        if self.shape.in_order:
            found = [id for position, id, _ in waiting if position < self.used]
            for id in found:
                self.back = self.on(self.back, slots[id])
            return set(found)
        gone: set[int] = set()
        while is_used(self.flags(self.back[0]), self.back[1]):
            id = self.element(self.back[0]).next
            if id in gone or id not in slots:
                break
            gone.add(id)
            self.back = self.on(self.back, slots[id])
        self.used = self.collected + len(gone)
        return gone

    def on(self, at: tuple[int, int], count: int) -> tuple[int, int]:
        """So many slots on from a slot and wrap counter."""
        slot = at[0] + count
        return (slot - self.size, at[1] ^ 1) if slot >= self.size else (slot, at[1])

    def field(self, area: str, offset: int, left: int) -> tuple[str, int, int, int]:
        if area in ("driver", "device"):
            return f"{area}_event", 0, offset, min(left, 4 - offset)
        index, at = divmod(offset, 16)
        return area, index, at, min(left, 16 - at)

    def _buffer(self, id: int, head: int, slots: tuple[int, ...], position: int, number: int) -> Buffer:
        elements = tuple(self.element(slot) for slot in slots)
        entries: tuple[Element, ...] = ()
        table, wrong = None, ""
        why: Why = ""
        for element in elements:
            if element.flags & DESC_F_INDIRECT:
                table = (element.address, element.length)
                entries, why, wrong = self.entries(element)
        return Buffer(self, position, id, head, slots, elements, entries, table, number, why, wrong)

    def follow(
        self, area: str, index: int, side: int, old: int, new: int, number: int
    ) -> Iterator[Buffer | Use]:
        if self.lost or area != "desc":
            return
        if side == 0:
            yield from self._available(number)
        else:
            yield from self._used(number)

    def free(self) -> int:
        """Slots that no buffer holds."""
        return self.size - len(self.owners)

    def _available(self, number: int) -> Iterator[Buffer]:
        room = self.free()
        while room and is_available(self.flags(self.avail[0]), self.avail[1]):
            buffer = self._list(number, room)
            yield buffer
            self.made += 1
            self.lend(buffer)
            self.avail = self.on(self.avail, len(buffer.slots))
            if buffer.why in ("late", "room", "long"):
                self.lost = buffer.wrong
                return
            room = self.free()

    def _list(self, number: int, room: int) -> Buffer:
        """The list that begins where the driver stands; ended early where one of it cannot be of it."""
        slots: list[int] = []
        at, wrong = self.avail, ""
        why: Why = ""
        while True:
            if len(slots) == self.size:
                why, wrong = "long", f"a list longer than the {self.size} slots of the queue"
                break
            if len(slots) == room:
                why, wrong = "room", f"slot {at[0]} of its list is still the device's"
                break
            element = self.element(at[0])
            if slots and not is_available(element.flags, at[1]):
                why, wrong = "late", f"slot {at[0]} of its list is not available yet"
                break
            slots.append(at[0])
            if not element.flags & DESC_F_NEXT:
                break
            at = self.on(at, 1)
        id = self.element(slots[-1]).next
        buffer = self._buffer(id, slots[0], tuple(slots), self.made, number)
        if why:
            buffer.why, buffer.wrong = why, wrong
        return buffer

    def holds(self, slot: int) -> bool:
        """Whether a slot is the device's: from where it shows the next used descriptor to where the driver
        makes the next one available."""
        return (slot - self.back[0]) % self.size < self.size - self.free()

    def _used(self, number: int) -> Iterator[Use]:
        while self.outstanding:
            slot, wrap = self.back
            if not is_used(self.flags(slot), wrap):
                return
            element = self.element(slot)
            buffers = self._returned(element.next)
            writes = bool(element.flags & DESC_F_WRITE)
            yield Use(self, slot, element.next, element.length, buffers, number, writes)
            for buffer in buffers:
                self.take_back(buffer)
            self.used += max(len(buffers), 1)
            if not buffers:
                self.lost = f"used id {element.next} is that of no buffer"
                return
            self.back = self.on(self.back, sum(len(buffer.slots) for buffer in buffers))

    def _returned(self, id: int) -> tuple[Buffer, ...]:
        """The buffers that a used descriptor returns: in order all up to the one it names (2.8.8)."""
        buffer = self.outstanding.get(id)
        if buffer is None or not self.shape.in_order:
            return (buffer,) if buffer else ()
        batch = []
        for each in self.outstanding.values():
            batch.append(each)
            if each is buffer:
                break
        return tuple(batch)
