"""Who writes what, and when: a store to what is the other side's, or was shown before it was whole.

At trace level stores the order in which a side's stores are done stands in the journal. What a missing
barrier does on a machine that reorders is there as what it is: a store behind the one that shows it.
"""

from __future__ import annotations

from dataplane.records import Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.packed import PackedRing, is_available
from dataplane.rules.conformance.ring import Buffer, Use
from dataplane.rules.conformance.scene import Scene, Stored
from dataplane.rules.conformance.split import SplitRing


class SplitHeld(Check):
    rows = ("SPLIT-DEV-08", "SPLIT-DEV-28", "SPLIT-DRV-43", "SPLIT-DRV-48", "CLEAN-DRV-01")

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.lost or not isinstance(ring, SplitRing):
            return
        driver = stored.side == Side.DRIVER
        match stored.area:
            case "desc" | "tables":
                if not driver:
                    words = f"the device writes {_row(stored)}"
                    self.say("SPLIT-DEV-08", ring.index, _slot(stored), words)
                else:
                    self._descriptor(ring, stored)
            case "avail_ring":
                self._entry(ring, stored)
            case "used_ring":
                self._element(ring, stored)
            case "avail_idx":
                by = stored.new - stored.old & 0xFFFF
                if by >= 0x8000:
                    words = f"avail.idx {stored.old} → {stored.new} takes back what was made available"
                    self.say("CLEAN-DRV-01", ring.index, None, words)

    def _descriptor(self, ring: SplitRing, stored: Stored) -> None:
        buffer = ring.owners.get(_slot(stored))
        if buffer is not None and (stored.area == "desc" or _of_table(buffer, stored)):
            self._late(stored, buffer, f"{_row(stored)} is written while its buffer is on its way")

    def _entry(self, ring: SplitRing, stored: Stored) -> None:
        """An entry is that of the buffer shown there last, until the device has taken it."""
        behind = (ring.shown - 1 - stored.index) % ring.size
        buffer = ring.positions.get(ring.made - 1 - behind)
        if buffer is not None and buffer.position >= ring.seen:
            self._late(stored, buffer, f"avail.ring[{stored.index}] is written behind avail.idx")

    def _late(self, stored: Stored, buffer: Buffer, words: str) -> None:
        queue, slot = stored.ring.index, _slot(stored) if stored.area in ("desc", "tables") else None
        if buffer.position >= stored.ring.seen:
            self.say("SPLIT-DRV-43", queue, slot, words)
        if stored.new != stored.old:
            self.say("SPLIT-DRV-48", queue, slot, words)

    def _element(self, ring: SplitRing, stored: Stored) -> None:
        ahead = (stored.index - ring.returned) % ring.size
        if ahead >= len(ring.outstanding):
            words = f"used.ring[{stored.index}] is written with used.idx {ring.returned} behind it"
            self.say("SPLIT-DEV-28", ring.index, None, words)


class PackedHeld(Check):
    rows = (
        "PACKED-DRV-11",
        "PACKED-DRV-12",
        "PACKED-DRV-26",
        "PACKED-DEV-09",
        "PACKED-DEV-10",
        "PACKED-DEV-29",
        "PACKED-BOTH-37",
        "CLEAN-DRV-01",
    )

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._returned: dict[int, tuple[int, ...]] = {}  # by queue: slots of the list used last but its first

    def used(self, use: Use) -> None:
        if isinstance(use.ring, PackedRing):
            self._returned[use.ring.index] = (
                use.buffer.slots[1:] if len(use.buffers) == 1 and use.buffer else ()
            )

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.lost or not isinstance(ring, PackedRing):
            return
        driver = stored.side == Side.DRIVER
        if stored.area in ("driver_event", "device_event"):
            if driver != (stored.area == "driver_event"):
                who = "driver" if driver else "device"
                words = f"the {who} writes the {stored.area.replace('_', ' ')} structure"
                self.say("PACKED-BOTH-37", ring.index, None, words)
        elif stored.area == "desc" and driver:
            if ring.holds(stored.index):
                self._driver(ring, stored)
        elif stored.area == "tables" and driver:
            buffer = ring.owners.get(_slot(stored))
            if buffer is not None and _of_table(buffer, stored):
                self._say(stored, buffer, f"{_row(stored)} is written while its buffer is on its way")
        elif stored.area == "desc" and not ring.holds(stored.index):
            self._device(ring, stored)

    def _driver(self, ring: PackedRing, stored: Stored) -> None:
        words = f"{_row(stored)} is written while it is the device's"
        owner = ring.owners.get(stored.index)
        self._say(stored, owner, words)
        if stored.at >= 8 and owner is not None and stored.index == owner.head:
            flags = ring.flags(stored.index)
            if not is_available(flags, flags >> 7 & 1) and stored.new != stored.old:
                self.say("CLEAN-DRV-01", ring.index, stored.index, f"{words}, and is available no more")

    def _say(self, stored: Stored, owner: Buffer | None, words: str) -> None:
        queue, slot = stored.ring.index, _slot(stored)
        self.say("PACKED-DRV-12", queue, slot, words)
        if owner is not None and owner.position < stored.ring.seen:
            self.say("PACKED-DRV-11", queue, slot, words)
        elif stored.area == "tables" or stored.at < 8:
            self.say("PACKED-DRV-26", queue, slot, f"{words}: behind its flags")

    def _device(self, ring: PackedRing, stored: Stored) -> None:
        flags = ring.flags(stored.index) if stored.at < 8 else _old_flags(stored)
        if stored.index in self._returned.get(ring.index, ()):
            words = f"{_row(stored)} is written, which is inside of the list returned last"
            self.say("PACKED-DEV-29", ring.index, stored.index, words)
        if flags >> 7 & 1 == flags >> 15:
            words = f"{_row(stored)} is written behind its USED flag"
            self.say("PACKED-DEV-10", ring.index, stored.index, words)
        self.say("PACKED-DEV-09", ring.index, stored.index, f"{_row(stored)} was not made available")


def _slot(stored: Stored) -> int:
    """The slot of a store to a descriptor, or to the table of one; -1: to neither."""
    if stored.area == "desc":
        return stored.index
    return stored.index // stored.ring.shape.table_entries if stored.area == "tables" else -1


def _of_table(buffer: Buffer, stored: Stored) -> bool:
    """Whether a store to the tables lies in that of a buffer."""
    if buffer.table is None:
        return False
    place = stored.ring.shape.tables_addr + 16 * stored.index
    return buffer.table[0] <= place < buffer.table[0] + buffer.table[1]


def _old_flags(stored: Stored) -> int:
    flags = stored.field(14, 2, stored.old)
    return stored.ring.flags(stored.index) if flags is None else flags


def _row(stored: Stored) -> str:
    if stored.area == "tables":
        slot, entry = divmod(stored.index, stored.ring.shape.table_entries)
        return f"entry {entry} of the table of slot {slot}"
    return f"desc[{stored.index}]"


CHECKS = (SplitHeld, PackedHeld)
