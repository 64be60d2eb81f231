"""A journal written by hand: stores and events that follow each other behind the keyframe of real rings.

    hand = Hand("split", size=8, features="-event_idx")
    hand.chain([(0, 64, False)])
    hand.publish()
    assert hand.found() == set()

The memory that it begins with is that of rings that the engine set up; what is stored into it from there on
is whatever a test wants, by names of `places`. The audit is fed what a reader of the log would see.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dataplane import places
from dataplane.bare import Bare
from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE
from dataplane.records import EVENT, Kind, Side
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.row import Violation

D, V = Side.DRIVER, Side.DEVICE
AVAIL, USED = 1 << 7, 1 << 15

#: address, length, whether the device writes it
Part = tuple[int, int, bool]


class Hand:
    """One ring, both of its sides played. Where a driver goes on in the ring, it keeps itself."""

    def __init__(
        self, layout: str = "split", size: int = 8, features: str = "", *, start: int = 0, **changes: Any
    ) -> None:
        with Bare(layout=layout, size=size, features=features, start_index=start) as rings:  # type: ignore[arg-type]
            keyframe = rings.keyframe()
        assert keyframe is not None
        self.keyframe = replace(keyframe, shapes=(replace(keyframe.shapes[0], **changes),))
        self.packed = layout == "packed"
        self._rows: list[tuple[int, ...]] = []
        self._number = keyframe.number
        self.memory = dict[tuple[str, int, str], int]()
        self.avail = start
        self.used = start
        self.slot = start if self.packed else 0
        self.wrap = 1
        self.back = (start, 1)
        self.seen = self.flushed = self.collected = self.made = 0
        self.lists: dict[int, int] = {}  # packed: slots by id

    @property
    def shape(self) -> QueueShape:
        return self.keyframe.shapes[0]

    def begin(self, keyframe: Keyframe) -> None:
        """Another moment to begin with."""
        self.keyframe = keyframe

    def own(self) -> np.ndarray[Any, np.dtype[np.void]]:
        """The private words of that moment, to be changed."""
        return np.frombuffer(self.keyframe.own[0], own_dtype(self.shape.size)).copy()[0]

    def resize(self, size: int) -> None:
        """The same moment of a queue of another size, in which nothing stands."""
        shape = replace(self.shape, size=size)
        memory = bytes(sum(length for _, _, length in shape.areas))
        own = bytes(own_dtype(size).itemsize)
        self.keyframe = replace(self.keyframe, shapes=(shape,), memory=(memory,), own=(own,))

    def found(self) -> set[str]:
        """The ids of the rows that were not kept."""
        return {violation.row.id for violation in self.violations()}

    def violations(self) -> list[Violation]:
        rows = np.array(self._rows, EVENT)
        audit = Audit(self.keyframe)
        assert rows.size, "a trace has events"
        return audit.feed(rows)

    # ---- the journal --------------------------------------------------------------------------------------

    def told(self, kind: Kind, side: Side, place: int = 0, old: int = 0, new: int = 0, **more: int) -> None:
        """An event that is no store."""
        self._number += 1
        slot, count = more.get("slot", 0), more.get("count", 1)
        row = (self._number, self._number * 1000, place, old, new, int(kind), int(side), 0, slot, count)
        self._rows.append(row)

    def store(self, side: Side, area: str, index: int, field: str, value: int) -> None:
        """A store to one field."""
        place = places.of(self.shape, area, index, field)
        old = self.memory.get((area, index, field), self._initial(place))
        self.memory[area, index, field] = value
        self._number += 1
        row = (self._number, self._number * 1000, place.address, old, value, int(Kind.STORE), int(side), 0, 0)
        self._rows.append((*row, place.width))

    def _initial(self, place: places.Place) -> int:
        at = 0
        for _, address, length in self.shape.areas:
            if address <= place.address < address + length:
                begin = at + place.address - address
                return int.from_bytes(self.keyframe.memory[0][begin : begin + place.width], "little")
            at += length
        raise AssertionError(place)

    # ---- the driver ---------------------------------------------------------------------------------------

    def desc(
        self, slot: int, address: int = 0, length: int = 64, flags: int = 0, last: int = 0, side: Side = D
    ) -> None:
        """Every field of a descriptor, the one that shows it last."""
        self.store(side, "desc", slot, "addr", address)
        self.store(side, "desc", slot, "len", length)
        if self.packed:
            self.store(side, "desc", slot, "id", last)
            self.store(side, "desc", slot, "flags", flags)
        else:
            self.store(side, "desc", slot, "next", last)
            self.store(side, "desc", slot, "flags", flags)

    def table(self, slot: int, parts: list[tuple[int, int, int]], chained: bool = True) -> tuple[int, int]:
        """Entries of (length, flags, next or id) in the table of a slot; where it is, and its bytes."""
        for i, (length, flags, last) in enumerate(parts):
            at = slot * self.shape.table_entries + i
            self.store(D, "tables", at, "addr", 4096)
            self.store(D, "tables", at, "len", length)
            self.store(D, "tables", at, "id" if self.packed else "next", last)
            self.store(D, "tables", at, "flags", flags)
        return self.shape.tables_addr + 16 * slot * self.shape.table_entries, 16 * len(parts)

    def entry(self, head: int, at: int | None = None) -> None:
        """The next entry of the available ring."""
        self.store(D, "avail_ring", self.avail % self.shape.size if at is None else at, "", head)

    def publish(self, count: int = 1) -> None:
        """avail.idx moves on."""
        before = self.avail
        self.avail = before + count & 0xFFFF
        self.store(D, "avail_idx", 0, "", self.avail)
        self.made += count
        self.told(Kind.PUBLISH, D, old=self.made - count, new=self.made)

    def offer(self, head: int = 0, writable: bool = False, length: int = 64) -> None:
        """A buffer of one descriptor, made available: split in slot `head`, packed under id `head`."""
        if not self.packed:
            self.desc(head, 4096, length, DESC_F_WRITE if writable else 0)
            self.entry(head)
            self.publish()
            return
        self.list_(head, 1, writable=writable, length=length)

    def list_(self, id: int, count: int = 1, writable: bool = False, length: int = 64) -> None:
        """Packed: a list of so many descriptors where the driver stands, its head last."""
        where = [self.on((self.slot, self.wrap), i) for i in range(count)]
        for i in reversed(range(count)):
            slot, wrap = where[i]
            flags = (DESC_F_NEXT if i + 1 < count else 0) | (DESC_F_WRITE if writable else 0)
            self.desc(slot, 4096, length, flags | self.available(wrap), id)
        self.slot, self.wrap = self.on((self.slot, self.wrap), count)
        self.lists[id] = count
        self.made += 1
        self.told(Kind.PUBLISH, D, old=self.made - 1, new=self.made)

    @staticmethod
    def available(wrap: int) -> int:
        return AVAIL if wrap else USED

    def on(self, at: tuple[int, int], count: int) -> tuple[int, int]:
        """So many slots on in a packed ring."""
        slot = at[0] + count
        return (slot - self.shape.size, at[1] ^ 1) if slot >= self.shape.size else (slot, at[1])

    def collect(self, count: int = 1) -> None:
        self.collected += count
        self.told(Kind.COLLECT, D, old=self.collected - count, new=self.collected, count=count)

    def kick(self, sent: bool, value: int, old: int, new: int) -> None:
        """What the driver decided, and with which value."""
        self.told(Kind.KICK if sent else Kind.KICK_QUIET, D, value, old, new)

    # ---- the device ---------------------------------------------------------------------------------------

    def take(self, count: int = 1, slot: int = 0) -> None:
        self.told(Kind.NEXT, V, self.seen, count=count, slot=slot)
        self.seen += count

    def element(self, id: int, length: int = 0, at: int | None = None) -> None:
        """The next used element of a split ring, not shown yet."""
        where = self.used % self.shape.size if at is None else at
        self.store(V, "used_ring", where, "id", id)
        self.store(V, "used_ring", where, "len", length)

    def show(self, count: int = 1) -> None:
        """used.idx moves on."""
        self.used = self.used + count & 0xFFFF
        self.store(V, "used_idx", 0, "", self.used)
        self.flush(count)

    def flush(self, count: int = 1) -> None:
        self.flushed += count
        self.told(Kind.FLUSH, V, old=self.flushed - count, new=self.flushed, count=count)

    def finish(self, id: int = 0, length: int = 0) -> None:
        """A buffer is used, and shown so."""
        if not self.packed:
            self.element(id, length)
            self.show()
            return
        self.used_desc(self.back[0], id, length, wrap=self.back[1])
        self.back = self.on(self.back, self.lists.get(id, 1))
        self.flush()

    def used_desc(self, slot: int, id: int, length: int = 0, *, wrap: int = 1, flags: int = 0) -> None:
        """A used descriptor of a packed ring."""
        self.store(V, "desc", slot, "len", length)
        self.store(V, "desc", slot, "id", id)
        self.store(V, "desc", slot, "flags", flags | (AVAIL | USED if wrap else 0))

    def call(self, sent: bool, value: int, old: int, new: int) -> None:
        """What the device decided, and with which value."""
        self.told(Kind.CALL if sent else Kind.CALL_QUIET, V, value, old, new)


INDIRECT, NEXT, WRITE = DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE
