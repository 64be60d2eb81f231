"""The packed virtqueue (VIRTIO 1.3, 2.8): driver half above, device half below; see model.py."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from model import (
    AVAIL,
    INDIRECT,
    NEXT,
    TABLE_ENTRIES,
    USED,
    WRITE,
    Broken,
    Chain,
    Decision,
    Device,
    Done,
    Driver,
    Memory,
    Piece,
    Returned,
    Shape,
    Walk,
)

from dataplane.records import Reason

ENABLE, DISABLE, DESC = 0, 1, 2


def available_bits(wrap: int) -> int:
    """2.8.1: AVAIL equals the driver's wrap counter, USED is its inverse."""
    return AVAIL if wrap else USED


def used_bits(wrap: int) -> int:
    """2.8.1: both equal the device's wrap counter."""
    return AVAIL | USED if wrap else 0


@dataclass
class Place:
    """A slot of the ring and the wrap counter that belongs to it."""

    size: int
    slot: int
    wrap: int

    def forward(self, slots: int) -> None:
        self.slot += slots
        if self.slot >= self.size:
            self.slot -= self.size
            self.wrap ^= 1

    def copy(self) -> Place:
        return Place(self.size, self.slot, self.wrap)

    @property
    def off_wrap(self) -> int:
        return self.slot | self.wrap << 15


def wanted(shape: Shape, flags: int, off_wrap: int, end: Place, moved: int) -> bool:
    """2.8.10: whether the named descriptor is one of the `moved` ones that end before `end`."""
    flags &= 3
    if flags == DISABLE:
        return False
    if flags != DESC or not shape.event_idx:
        return True
    ago = end.slot - (off_wrap & 0x7FFF) + (shape.size if off_wrap >> 15 != end.wrap else 0)
    return 1 <= ago <= moved


class Held:
    """The words that make descriptors visible: the first is held back, what follows goes behind it."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.first: tuple[int, int, int, int] | None = None

    def write(self, address: int, length: int, id: int, flags: int) -> None:
        if self.first is None:
            self.first = (address, length, id, flags)
        else:
            self.memory.write(address, "<IHH", length, id, flags)

    def show(self) -> None:
        assert self.first is not None
        address, *word = self.first
        self.memory.write(address, "<IHH", *word)
        self.first = None


class PackedDriver(Driver):
    def __init__(self, shape: Shape, memory: Memory, index: int, wrap: int) -> None:
        super().__init__(shape, memory, index, wrap)
        self.avail = Place(shape.size, index, wrap)
        self.used = Place(shape.size, index, wrap)
        self.shown = Place(shape.size, index, wrap)
        self.held = Held(memory)
        self.ids = deque(range(shape.size))
        self.free = shape.size
        self.unshown = self.undecided = 0  # slots

    def add(self, pieces: list[Piece], token: int, table: bool = False) -> int | None:
        """2.8.16.1; the buffer id, or None where there is no room now."""
        self.check(pieces, table)
        needed = 1 if table else len(pieces)
        if needed > self.free:
            return None
        head = self.avail.slot
        id = head if self.shape.in_order else self.ids.popleft()
        slots = [(head + i) % self.shape.size for i in range(needed)]
        if table:
            self.write_table(id, pieces)
        else:
            self.write_list(id, pieces)
        self.avail.forward(needed)
        self.free -= needed
        self.unshown += needed
        self.remember(pieces, token, id, slots)
        return id

    def write_table(self, id: int, pieces: list[Piece]) -> None:
        """2.8.7: entries in order, only WRITE means anything in them."""
        at = self.shape.tables + 16 * TABLE_ENTRIES * self.avail.slot
        for i, piece in enumerate(pieces):
            words = (piece.address, piece.length, 0, WRITE if piece.writable else 0)
            self.memory.write(at + 16 * i, "<QIHH", *words)
        desc = self.shape.desc + 16 * self.avail.slot
        self.write_new(desc, "<Q", at)
        self.held.write(desc + 8, 16 * len(pieces), id, available_bits(self.avail.wrap) | INDIRECT)

    def write_list(self, id: int, pieces: list[Piece]) -> None:
        """2.8.6: the head comes last."""
        place, words = self.avail.copy(), []
        for i, piece in enumerate(pieces):
            desc = self.shape.desc + 16 * place.slot
            flags = available_bits(place.wrap) | (WRITE if piece.writable else 0)
            flags |= NEXT if i + 1 < len(pieces) else 0
            self.write_new(desc, "<Q", piece.address)
            words.append((desc + 8, piece.length, id, flags))
            place.forward(1)
        for address, *word in words[1:]:
            self.memory.write(address, "<IHH", *word)
        self.held.write(*words[0])

    def publish(self) -> None:
        """2.8.16.2"""
        if self.published != self.added:
            self.published = self.added
            self.held.show()
            self.shown = self.avail.copy()
            self.undecided += self.unshown
            self.unshown = 0

    def collect(self) -> Returned | None:
        """2.8.17; one buffer."""
        if self.broken:
            return None
        try:
            if not self.batch and not self.read_used():
                return None
        except Broken as broken:
            self.give_up(broken.reason)
            return None
        buffer, length = self.batch.popleft()
        del self.out[buffer.id]
        if not self.shape.in_order:
            self.ids.append(buffer.id)
        self.free += len(buffer.slots)
        self.used.forward(len(buffer.slots))
        self.collected += 1
        return Returned(buffer.token, length, buffer.position, buffer.slots[0])

    def used_here(self) -> bool:
        flags = self.memory.u16(self.shape.desc + 16 * self.used.slot + 14)
        return self.published != self.collected and flags & (AVAIL | USED) == used_bits(self.used.wrap)

    def read_used(self) -> bool:
        """2.8.5: the next used descriptor, if there is one. Without WRITE its length means nothing."""
        if not self.used_here():
            return False
        length, id, flags = self.memory.read(self.shape.desc + 16 * self.used.slot + 8, "<IHH")
        last = self.published_buffer(id)
        length = length if flags & WRITE else 0
        if length > last.writable:
            raise Broken(Reason.USED_LENGTH)
        self.open_batch(self.returned_by(last), length)
        return True

    def kick_needed(self) -> bool:
        off_wrap, flags = self.memory.read(self.shape.device, "<HH")
        moved, self.undecided = self.undecided, 0
        event = off_wrap | (flags & 3) << 16
        self.decision = Decision(event, (self.shown.slot - moved) & 0xFFFF, self.shown.slot)
        return wanted(self.shape, flags, off_wrap, self.shown, moved)

    def calls_on(self) -> bool:
        """Whether something is used already, so that no call may come for it."""
        if self.shape.event_idx:
            self.memory.write(self.shape.driver, "<HH", self.used.off_wrap, DESC)
        else:
            self.memory.put16(self.shape.driver + 2, ENABLE)
        return bool(self.batch) or self.used_here()

    def calls_off(self) -> None:
        self.memory.put16(self.shape.driver + 2, DISABLE)

    def private(self) -> dict[str, int]:
        return {
            "avail_idx": self.avail.slot,
            "avail_wrap": self.avail.wrap,
            "last_used": self.used.slot,
            "used_wrap": self.used.wrap,
            "free": self.free,
        }


class PackedDevice(Device):
    def __init__(self, shape: Shape, memory: Memory, index: int, wrap: int) -> None:
        super().__init__(shape, memory, index, wrap)
        self.avail = Place(shape.size, index, wrap)
        self.used_at = Place(shape.size, index, wrap)
        self.shown = Place(shape.size, index, wrap)
        self.held = Held(memory)
        self.slots_held = 0
        self.unshown = self.undecided = 0  # slots

    def available_here(self) -> bool:
        flags = self.memory.u16(self.shape.desc + 16 * self.avail.slot + 14)
        return flags & (AVAIL | USED) == available_bits(self.avail.wrap)

    def next(self) -> Chain | None:
        """2.8.4, 2.8.6: one available buffer."""
        if self.broken or not self.available_here():
            return None
        head = self.avail.slot
        try:
            walk, id, slots = self.walk()
            if id in self.taken:
                raise Broken(Reason.DUPLICATE_HEAD)
        except Broken as broken:
            self.give_up(broken.reason)
            return None
        chain = Chain(
            self.seen, id, head, slots, len(walk.pieces), walk.indirect, walk.reason, tuple(walk.pieces)
        )
        self.taken.add(id)
        self.slots_held += slots
        self.avail.forward(slots)
        self.seen += 1
        self.holding += 1
        return chain

    def walk(self) -> tuple[Walk, int, int]:
        """The chain at the next available slot, the id in its last descriptor, the slots it occupies."""
        if self.slots_held >= self.shape.size:
            raise Broken(Reason.INDEX_JUMP)
        walk, place, slots = Walk(self.shape, self.memory), self.avail.copy(), 1
        while True:
            address, length, id, flags = self.memory.read(self.shape.desc + 16 * place.slot, "<QIHH")
            if flags & INDIRECT:
                if slots > 1:
                    raise Broken(Reason.INDIRECT_NEXT)  # 2.8.7: a buffer is a list or a table
                for entry in range(walk.open_table(address, length, flags)):
                    at, size, _, bits = self.memory.read(address + 16 * entry, "<QIHH")
                    walk.element(at, size, bits)
                return walk, id, slots
            walk.element(address, length, flags)
            if not flags & NEXT:
                return walk, id, slots
            if self.slots_held + slots >= self.shape.size:
                raise Broken(Reason.CHAIN_LOOP)
            place.forward(1)
            slots += 1

    def complete(self, done: list[Done], batch: bool) -> None:
        """2.8.5, 2.8.9, 2.8.12: a used descriptor where the next one belongs; its address is left alone."""
        groups = [done] if batch and self.shape.in_order else [[d] for d in done]
        for group in groups:
            last, slots = group[-1], sum(d.slots for d in group)
            flags = used_bits(self.used_at.wrap) | (WRITE if last.writable else 0)
            self.held.write(self.shape.desc + 16 * self.used_at.slot + 8, last.length, last.id, flags)
            self.used_at.forward(slots)
            self.unshown += slots
            self.slots_held -= slots
        self.taken -= {d.id for d in done}
        self.holding -= len(done)
        self.completed += len(done)

    def flush(self) -> None:
        if self.used != self.completed:
            self.used = self.completed
            self.held.show()
            self.shown = self.used_at.copy()
            self.undecided += self.unshown
            self.unshown = 0

    def call_needed(self) -> bool:
        off_wrap, flags = self.memory.read(self.shape.driver, "<HH")
        moved, self.undecided = self.undecided, 0
        event = off_wrap | (flags & 3) << 16
        self.decision = Decision(event, (self.shown.slot - moved) & 0xFFFF, self.shown.slot)
        return wanted(self.shape, flags, off_wrap, self.shown, moved)

    def kicks_on(self) -> bool:
        if self.shape.event_idx:
            self.memory.write(self.shape.device, "<HH", self.avail.off_wrap, DESC)
        else:
            self.memory.put16(self.shape.device + 2, ENABLE)
        return self.available_here()

    def kicks_off(self) -> None:
        self.memory.put16(self.shape.device + 2, DISABLE)

    def private(self) -> dict[str, int]:
        return {
            "last_avail": self.avail.slot,
            "avail_wrap": self.avail.wrap,
            "used_idx": self.used_at.slot,
            "used_wrap": self.used_at.wrap,
        }


def packed_start(shape: Shape, memory: Memory, index: int, wrap: int) -> tuple[PackedDriver, PackedDevice]:
    """Empty rings that begin at slot index % N: before it used in this lap, from there in the lap before."""
    index %= shape.size
    for slot in range(shape.size):
        bits = used_bits(wrap if slot < index else wrap ^ 1)
        memory.write(shape.desc + 16 * slot + 8, "<IHH", 0, 0, bits)
    return PackedDriver(shape, memory, index, wrap), PackedDevice(shape, memory, index, wrap)
