"""The split virtqueue (VIRTIO 1.3, 2.7): driver half above, device half below; see model.py."""

from __future__ import annotations

from collections import deque

from model import (
    INDIRECT,
    NEXT,
    TABLE_ENTRIES,
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


def split_wanted(event: int, old: int, new: int) -> bool:
    """2.7.7.2, 2.7.10: the event index names the last entry already announced; old < event + 1 <= new."""
    return 1 <= (new - event) & 0xFFFF <= (new - old) & 0xFFFF


class SplitDriver(Driver):
    def __init__(self, shape: Shape, memory: Memory, index: int, wrap: int = 1) -> None:
        super().__init__(shape, memory, index, wrap)
        self.free = deque(range(shape.size))
        self.avail_idx = self.last_used = self.decided = index

    def add(self, pieces: list[Piece], token: int, table: bool = False) -> int | None:
        """2.7.13.1, 2.7.13.2; the head, or None where there is no room now."""
        self.check(pieces, table)
        needed = 1 if table else len(pieces)
        if needed > len(self.free):
            return None
        slots = [self.free.popleft() for _ in range(needed)]
        if table:
            at = self.shape.tables + 16 * TABLE_ENTRIES * slots[0]
            for i, piece in enumerate(pieces):
                more = i + 1 < len(pieces)
                flags = (NEXT if more else 0) | (WRITE if piece.writable else 0)
                words = (piece.address, piece.length, flags, i + 1 if more else 0)
                self.memory.write(at + 16 * i, "<QIHH", *words)
            self.write_desc(slots[0], at, 16 * len(pieces), INDIRECT, 0)
        else:
            for slot, piece, follower in zip(slots, pieces, [*slots[1:], None], strict=True):
                flags = (WRITE if piece.writable else 0) | (0 if follower is None else NEXT)
                self.write_desc(slot, piece.address, piece.length, flags, follower or 0)
        self.write_new(self.shape.driver + 4 + 2 * (self.avail_idx % self.shape.size), "<H", slots[0])
        self.avail_idx = (self.avail_idx + 1) & 0xFFFF
        self.remember(pieces, token, slots[0], slots)
        return slots[0]

    def write_desc(self, slot: int, address: int, length: int, flags: int, follower: int) -> None:
        self.write_new(self.shape.desc + 16 * slot, "<Q", address)
        self.write_new(self.shape.desc + 16 * slot + 8, "<IHH", length, flags, follower)

    def publish(self) -> None:
        """2.7.13.3"""
        if self.published != self.added:
            self.published = self.added
            self.memory.put16(self.shape.driver + 2, self.avail_idx)

    def collect(self) -> Returned | None:
        """2.7.14; one buffer."""
        pending = (self.memory.u16(self.shape.device + 2) - self.last_used) & 0xFFFF
        if pending == 0 or self.broken:
            return None
        try:
            if pending > self.published - self.collected:
                raise Broken(Reason.USED_JUMP)
            if not self.batch:
                self.read_element(pending)
        except Broken as broken:
            self.give_up(broken.reason)
            return None
        buffer, length = self.batch.popleft()
        del self.out[buffer.id]
        self.free.extend(buffer.slots)
        self.last_used = (self.last_used + 1) & 0xFFFF
        self.collected += 1
        return Returned(buffer.token, length, buffer.position, buffer.id)

    def read_element(self, pending: int) -> None:
        at = self.shape.device + 4 + 8 * (self.last_used % self.shape.size)
        id, length = self.memory.read(at, "<II")
        buffers = self.returned_by(self.published_buffer(id))
        if len(buffers) > pending:
            raise Broken(Reason.ORDER)
        if length > buffers[-1].writable:
            raise Broken(Reason.USED_LENGTH)
        self.open_batch(buffers, length)

    def kick_needed(self) -> bool:
        new, old = (self.avail_idx - (self.added - self.published)) & 0xFFFF, self.decided
        at = 4 + 8 * self.shape.size if self.shape.event_idx else 0  # avail_event, or used.flags
        event = self.memory.u16(self.shape.device + at)
        self.decided, self.decision = new, Decision(event, old, new)
        return split_wanted(event, old, new) if self.shape.event_idx else not event & 1

    def calls_on(self) -> bool:
        """Whether something is used already, so that no call may come for it."""
        if self.shape.event_idx:
            self.memory.put16(self.shape.driver + 4 + 2 * self.shape.size, self.last_used)
        else:
            self.memory.put16(self.shape.driver, 0)
        return self.memory.u16(self.shape.device + 2) != self.last_used

    def calls_off(self) -> None:
        if not self.shape.event_idx:
            self.memory.put16(self.shape.driver, 1)

    def private(self) -> dict[str, int]:
        return {
            "avail_idx": self.avail_idx,
            "last_used": self.last_used,
            "free": len(self.free),
            **({"free_head": self.free[0]} if self.free else {}),
        }


class SplitDevice(Device):
    def __init__(self, shape: Shape, memory: Memory, index: int, wrap: int = 1) -> None:
        super().__init__(shape, memory, index, wrap)
        self.last_avail = self.used_idx = self.decided = self.avail_read = index

    def next(self) -> Chain | None:
        """2.7.6: one available buffer."""
        if self.broken:
            return None
        if self.avail_read == self.last_avail:
            self.avail_read = self.memory.u16(self.shape.driver + 2)
            ready = (self.avail_read - self.last_avail) & 0xFFFF
            if ready == 0:
                return None
            if ready > self.shape.size:
                self.give_up(Reason.INDEX_JUMP)
                return None
        head = self.memory.u16(self.shape.driver + 4 + 2 * (self.last_avail % self.shape.size))
        try:
            walk, slots = self.walk(head)
        except Broken as broken:
            self.give_up(broken.reason)
            return None
        chain = Chain(
            self.seen, head, head, slots, len(walk.pieces), walk.indirect, walk.reason, tuple(walk.pieces)
        )
        self.taken.add(head)
        self.last_avail = (self.last_avail + 1) & 0xFFFF
        self.seen += 1
        self.holding += 1
        return chain

    def walk(self, head: int) -> tuple[Walk, int]:
        if head >= self.shape.size:
            raise Broken(Reason.HEAD_OUT_OF_RANGE)
        if head in self.taken:
            raise Broken(Reason.DUPLICATE_HEAD)
        walk, slot, slots = Walk(self.shape, self.memory), head, 1
        while True:
            address, length, flags, follower = self.memory.read(self.shape.desc + 16 * slot, "<QIHH")
            if flags & INDIRECT:
                self.walk_table(walk, address, walk.open_table(address, length, flags))
                return walk, slots
            walk.element(address, length, flags)
            if not flags & NEXT:
                return walk, slots
            if follower >= self.shape.size:
                raise Broken(Reason.HEAD_OUT_OF_RANGE)
            slot, slots = follower, slots + 1

    def walk_table(self, walk: Walk, table: int, entries: int) -> None:
        entry = 0
        for _ in range(entries):
            address, length, flags, follower = self.memory.read(table + 16 * entry, "<QIHH")
            if flags & INDIRECT:
                raise Broken(Reason.INDIRECT_NESTED)
            walk.element(address, length, flags)
            if not flags & NEXT:
                return
            if follower >= entries:
                raise Broken(Reason.HEAD_OUT_OF_RANGE)
            entry = follower
        raise Broken(Reason.CHAIN_LOOP)

    def complete(self, done: list[Done], batch: bool) -> None:
        """2.7.8.2, 2.7.9"""
        elements = done[-1:] if batch and self.shape.in_order else done
        for i, element in enumerate(elements):
            at = self.shape.device + 4 + 8 * ((self.used_idx + i) % self.shape.size)
            self.memory.write(at, "<II", element.id, element.length)
        self.used_idx = (self.used_idx + len(done)) & 0xFFFF
        self.taken -= {d.id for d in done}
        self.holding -= len(done)
        self.completed += len(done)

    def flush(self) -> None:
        if self.used != self.completed:
            self.used = self.completed
            self.memory.put16(self.shape.device + 2, self.used_idx)

    def call_needed(self) -> bool:
        new, old = (self.used_idx - (self.completed - self.used)) & 0xFFFF, self.decided
        at = 4 + 2 * self.shape.size if self.shape.event_idx else 0  # used_event, or avail.flags
        event = self.memory.u16(self.shape.driver + at)
        self.decided, self.decision = new, Decision(event, old, new)
        return split_wanted(event, old, new) if self.shape.event_idx else not event & 1

    def kicks_on(self) -> bool:
        if self.shape.event_idx:
            self.memory.put16(self.shape.device + 4 + 8 * self.shape.size, self.last_avail)
        else:
            self.memory.put16(self.shape.device, 0)
        return self.memory.u16(self.shape.driver + 2) != self.last_avail

    def kicks_off(self) -> None:
        if not self.shape.event_idx:
            self.memory.put16(self.shape.device, 1)

    def private(self) -> dict[str, int]:
        return {"last_avail": self.last_avail, "used_idx": self.used_idx}


def split_start(shape: Shape, memory: Memory, index: int, wrap: int) -> tuple[SplitDriver, SplitDevice]:
    """Empty rings that begin at any index, as after a migration."""
    memory.put16(shape.driver + 2, index)
    memory.put16(shape.device + 2, index)
    return SplitDriver(shape, memory, index), SplitDevice(shape, memory, index)
