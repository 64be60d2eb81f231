"""What a store to avail.idx exposes: entries and chains, held against the pieces that were asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from dataplane.places import Place
from dataplane.records import Owner
from dataplane.workshop.judge import Access, Buffer, DriverJudge, plural
from dataplane.workshop.ring import NEXT, WRITE, Piece
from dataplane.workshop.split_index import MASK, SplitJudge

_DESC = ("addr", "len", "flags", "next")


@dataclass
class SplitDriverExposure(DriverJudge, SplitJudge):
    """The account of a driver half, and what a store to avail.idx exposes. Counts are of buffers."""

    told: int = 0  #: used count that the driver has loaded
    told_at: list[int] = field(default_factory=list)  #: access that told of each of those
    idx_at: int = 0  #: access that last moved avail.idx
    loads: set[str] = field(default_factory=set)  #: of this call
    idx_loaded: bool = False

    # what it knows

    @property
    def owned(self) -> dict[int, Buffer]:
        """Descriptors that the device owns."""
        return {slot: buffer for buffer in self.out.values() for slot in buffer.slots}

    # the index

    def _storing_idx(self, value: int) -> None:
        before = self.index(self.published)
        moved = (value - before) & MASK
        if moved == 0:
            return
        if moved > len(self.waiting):
            self._bad_index(value, before, moved)
        for i in range(moved):
            self._exposed(self.waiting[i], self.published + i, value)
        if self.during not in ("publish()", "__init__()"):
            self.wrong(
                f"avail.idx moves in {self.during}: in this workshop publish() makes buffers available, so "
                "that a batch costs one store"
            )
        fields = []
        for i, buffer in enumerate(self.waiting[:moved]):
            fields.append(self.at("avail_ring", self.entry(self.published + i)))
            fields += [self.at("desc", slot, name) for slot in buffer.slots for name in _DESC]
        self.ordered(fields, min(b.since for b in self.waiting[:moved]), value)
        for i, buffer in enumerate(self.waiting[:moved]):
            self.out[buffer.id] = buffer
            buffer.position, buffer.owner = self.published + i, Owner.AVAILABLE
            self.live.append(buffer)
        del self.waiting[:moved]
        self.published += moved
        self.idx_at = self.number

    def _bad_index(self, value: int, before: int, moved: int) -> NoReturn:
        count = len(self.waiting)
        right = (before + count) & MASK
        if value == right % self.size and value != right:
            self.wrong(
                f"avail.idx goes from {before} to {value}: it runs free from 0 to 65535 and must be {right} "
                f"now; only the entry is taken modulo the queue size {self.size}",
                would=self.would_index(value),
                section="2.7.6.1",
            )
        if moved >= 1 << 15:
            self.wrong(
                f"avail.idx goes back from {before} to {value}; it must never decrease (65535 is followed "
                "by 0)",
                would=self.would_index(value),
                section="2.7.6.1",
            )
        added = f"{plural(count, 'buffer')} {'was' if count == 1 else 'were'} added since"
        self.wrong(
            f"avail.idx goes from {before} to {value}, but {added if count else 'nothing was added since'}: "
            f"it must {f'be {right}' if count else 'stay'}",
            would=self.would_index(value),
            section="2.7.13.3",
        )

    def _exposed(self, buffer: Buffer, count: int, value: int) -> None:
        """The entry and the chain of one buffer that avail.idx = value makes available."""
        entry = self.at("avail_ring", self.entry(count))
        head = self.value(entry)
        if head != buffer.id:
            self._bad_entry(buffer, entry, head, count, value)
        slots = self._chain(buffer, head, value)
        buffer.slots = tuple(slots)

    def _bad_entry(self, buffer: Buffer, entry: Place, head: int, count: int, value: int) -> NoReturn:
        wrote = self.writer(entry, buffer.since)
        name = f"buffer {count + 1} (head {buffer.id})"
        if wrote:
            line = self.accesses[wrote - 1]
            self.wrong(
                f"{entry.text} = {head}, but add() said that the head of this buffer is {buffer.id}",
                would=self.would_index(value),
                section="2.7.13.2",
                access=line.number,
            )
        elsewhere = self._entry_elsewhere(buffer, entry)
        if elsewhere is not None:
            self.wrong(
                f"head {buffer.id} is put into {elsewhere.where}; avail.idx is {self.index(count)} for it, "
                f"and {self.index(count)} mod {self.size} is {entry.index}",
                would=self.would_index(value),
                section="2.7.13.2",
                access=elsewhere.number,
            )
        self.wrong(
            f"avail.idx goes to {value} while {entry.text} has not been written for {name}: it still holds "
            f"{head}",
            would=self.would_index(value),
            section="2.7.13.2",
        )

    def _entry_elsewhere(self, buffer: Buffer, entry: Place) -> Access | None:
        for access in self.accesses[buffer.since :]:
            if (
                access.what == "store"
                and access.where.startswith("avail.ring")
                and access.where != entry.text
                and access.value == buffer.id
            ):
                right = [b for b in self.waiting if b is not buffer and b.id == access.value]
                if not right:
                    return access
        return None

    def _chain(self, buffer: Buffer, head: int, value: int) -> list[int]:
        """Follows the chain from its head and compares it with the pieces that were asked for."""
        slots: list[int] = []
        slot, pieces = head, buffer.pieces
        taken = {s for b in self.waiting for s in b.slots}
        for i, piece in enumerate(pieces):
            if slot in self.owned or slot in taken:
                self.wrong(
                    f"descriptor {slot} is part of the chain of head {head}, and of another buffer that is "
                    "on its way",
                    would=self.would_index(value),
                    section="2.7.13.1",
                    access=self._blame_next(slots, buffer),
                )
            if slot in slots:
                self.wrong(
                    f"the chain of head {head} comes back to descriptor {slot}: a loop",
                    would=self.would_index(value),
                    section="2.7.5.2",
                    access=self._blame_next(slots, buffer),
                )
            slots.append(slot)
            self._descriptor(buffer, slot, i, piece, value)
            follower = self.value(self.at("desc", slot, "next"))
            if i + 1 < len(pieces):
                if follower >= self.size:
                    self._bad_field(
                        buffer,
                        self.at("desc", slot, "next"),
                        f"is {follower}: the table ends with {self.size - 1}",
                        value,
                    )
                slot = follower
        return slots

    def _blame_next(self, slots: list[int], buffer: Buffer) -> int | None:
        if not slots:
            return None
        return self.writer(self.at("desc", slots[-1], "next"), buffer.since) or None

    def _descriptor(self, buffer: Buffer, slot: int, i: int, piece: Piece, value: int) -> None:
        last = i + 1 == len(buffer.pieces)
        addr, length, flags = (self.value(self.at("desc", slot, name)) for name in _DESC[:3])
        name = f"piece {i + 1} of {len(buffer.pieces)}"
        if addr != piece.address:
            self._bad_field(
                buffer,
                self.at("desc", slot, "addr"),
                f"is 0x{addr:x}, {name} is at 0x{piece.address:x}",
                value,
            )
        if length != piece.length:
            self._bad_field(
                buffer, self.at("desc", slot, "len"), f"is {length}, {name} has {piece.length} bytes", value
            )
        where = self.at("desc", slot, "flags")
        if bool(flags & WRITE) != piece.writable:
            wanted = (
                "the device writes it, so WRITE must be set"
                if piece.writable
                else "the device reads it, so WRITE must not be set"
            )
            self._bad_field(buffer, where, f"is {flags}: {name}: {wanted}", value)
        if bool(flags & NEXT) == last:
            wanted = (
                "it is the last, so NEXT must not be set"
                if last
                else "NEXT is missing, so the chain ends here"
            )
            self._bad_field(buffer, where, f"is {flags}: {name}: {wanted}", value)
        if flags & ~(NEXT | WRITE):
            self._bad_field(
                buffer, where, f"is {flags}: INDIRECT was not negotiated, and other bits mean nothing", value
            )

    def _bad_field(self, buffer: Buffer, at: Place, words: str, value: int) -> NoReturn:
        """A descriptor is not what it should be: the store that made it so is to blame."""
        wrote = self.writer(at, buffer.since)
        text = f"{at.text} {words}"
        if not wrote:
            text += "; it has not been written for this buffer"
        elif before := self._stored_before(at, wrote, buffer.since):
            text += (
                f": it was stored to in line {before.line} ({before.value}) and again here; one descriptor "
                "is taken for two pieces"
            )
        section = "2.7.5.3.1" if "INDIRECT" in words else "2.7.5"
        self.wrong(text, would=self.would_index(value), section=section, access=wrote or None)

    def _stored_before(self, at: Place, number: int, since: int) -> Access | None:
        """An earlier store of another value to the same field."""
        last = self.accesses[number - 1]
        for access in reversed(self.accesses[since : number - 1]):
            if access.what == "store" and access.address == last.address and access.value != last.value:
                return access
        return None
