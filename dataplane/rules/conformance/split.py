"""A split ring as its stores tell of it (2.7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT
from dataplane.rules.conformance.ring import Buffer, Element, Ring, Use, Why


class SplitRing(Ring):
    """`shown` and `returned` are avail.idx and used.idx as last stored; both run on without end."""

    def __init__(self, shape: QueueShape, memory: dict[str, bytearray], own: np.void) -> None:
        super().__init__(shape, memory)
        self.shown, self.returned = self.value("driver", 2, 2), self.value("device", 2, 2)
        self.counts(own)
        # a side counts before it stores: what memory does not show yet has not happened
        unseen = shape.start_index + self.made - self.shown & 0xFFFF
        unshown = shape.start_index + self.used - self.returned & 0xFFFF
        self.made -= unseen if unseen <= shape.size else 0
        self.used -= unshown if unshown <= shape.size else 0
        self._begin(own)

    def _begin(self, own: np.void) -> None:
        """What was on its way at the keyframe: offered by the driver, and not shown as used since."""
        ids = own["ids"]
        back = {
            self.value("device", 4 + 8 * (at % self.size), 4)
            for at in range(self.returned - (self.used - int(own["driver"]["collected"])), self.returned)
        }
        waiting = [
            (int(ids["outstanding"][head]) - 1, int(head)) for head in np.flatnonzero(ids["outstanding"])
        ]
        for position, head in sorted(waiting):
            gone = position < self.used if self.shape.in_order else head in back
            if position < self.made and not gone:
                self.lend(self.buffer(head, position, 0))

    def field(self, area: str, offset: int, left: int) -> tuple[str, int, int, int]:
        size = self.size
        if area == "driver":
            if offset < 2:
                return "avail_flags", 0, offset, min(left, 2 - offset)
            if offset < 4:
                return "avail_idx", 0, offset - 2, min(left, 4 - offset)
            index, at = divmod(offset - 4, 2)
            if index < size:
                return "avail_ring", index, at, min(left, 2 - at)
            return "used_event", 0, at, min(left, 2 - at)
        if area == "device":
            if offset < 2:
                return "used_flags", 0, offset, min(left, 2 - offset)
            if offset < 4:
                return "used_idx", 0, offset - 2, min(left, 4 - offset)
            index, at = divmod(offset - 4, 8)
            if index < size:
                return "used_ring", index, at, min(left, 8 - at)
            return "avail_event", 0, at, min(left, 2 - at)
        index, at = divmod(offset, 16)
        return area, index, at, min(left, 16 - at)

    def buffer(self, head: int, position: int, number: int) -> Buffer:
        """The chain that begins with a head, as it stands."""
        elements: list[Element] = []
        entries: tuple[Element, ...] = ()
        table = None
        why: Why = ""
        wrong, slot, seen = "", head, set[int]()
        while True:
            if slot >= self.size:
                why, wrong = "range", f"{'next' if elements else 'head'} {slot} in a queue of {self.size}"
                break
            if slot in seen:
                why, wrong = "loop", f"a loop: slot {slot} comes twice"
                break
            seen.add(slot)
            element = self.element(slot)
            elements.append(element)
            if element.flags & DESC_F_INDIRECT:
                table = (element.address, element.length)
                entries, why, wrong = self.entries(element)
                break
            if not element.flags & DESC_F_NEXT:
                break
            slot = element.next
        slots = tuple(element.at for element in elements)
        return Buffer(self, position, head, head, slots, tuple(elements), entries, table, number, why, wrong)

    def follow(
        self, area: str, index: int, side: int, old: int, new: int, number: int
    ) -> Iterator[Buffer | Use]:
        if self.lost:
            return
        if area == "avail_idx":
            yield from self._available(number)
        elif area == "used_idx":
            yield from self._used(number)

    def _available(self, number: int) -> Iterator[Buffer]:
        new = self.value("driver", 2, 2)
        count = new - self.shown & 0xFFFF
        if count > self.size:
            self.lost = f"avail.idx went from {self.shown} to {new}"
            return
        for i in range(count):
            head = self.value("driver", 4 + 2 * ((self.shown + i) % self.size), 2)
            buffer = self.buffer(head, self.made, number)
            self.made += 1
            yield buffer
            self.lend(buffer)
        self.shown = new

    def _used(self, number: int) -> Iterator[Use]:
        new = self.value("device", 2, 2)
        count = new - self.returned & 0xFFFF
        if count > self.size or (
            count > len(self.outstanding) and count > (self.shown - self.returned & 0xFFFF)
        ):
            self.lost = f"used.idx went from {self.returned} to {new}"
            return
        at, end = self.returned, self.returned + count
        while at < end:
            slot = at % self.size
            id, length = self.value("device", 4 + 8 * slot, 4), self.value("device", 8 + 8 * slot, 4)
            buffers = self._returned(id, end - at)
            yield Use(self, slot, id, length, buffers, number)
            for buffer in buffers:
                self.take_back(buffer)
            at += max(len(buffers), 1)
            self.used += max(len(buffers), 1)
        self.returned = new

    def _returned(self, id: int, most: int) -> tuple[Buffer, ...]:
        """The buffers that an element returns: in order all up to the one it names (2.7.9)."""
        buffer = self.outstanding.get(id)
        if buffer is None or not self.shape.in_order:
            return (buffer,) if buffer else ()
        batch = []
        for each in self.outstanding.values():
            batch.append(each)
            if each is buffer or len(batch) == most:
                break
        return tuple(batch) if batch[-1] is buffer else (buffer,)
