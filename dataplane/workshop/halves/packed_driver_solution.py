"""A driver half of a packed ring: one of many that are right."""

from dataplane.workshop.ring import AVAIL, DESC, DISABLE, NEXT, USED, WRITE, Broken, Memory, Piece, Queue


class Driver:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue
        self.next_avail = queue.start  # the next slot to fill
        self.avail_wrap = queue.wrap
        self.next_used = queue.start  # the next slot that can become used
        self.used_wrap = queue.wrap
        self.free = queue.size
        self.ids = list(range(queue.size))  # ids that no buffer has
        self.out: dict[int, int] = {}  # id -> slots
        self.pending: list[tuple[int, int]] = []  # heads not shown yet: (address of flags, flags)
        self.moved = 0  # slots shown since the last decision about a kick

    def add(self, pieces: list[Piece]) -> int | None:
        if len(pieces) > self.free:
            return None
        id = self.ids.pop(0)
        for i, piece in enumerate(pieces):
            at = self.queue.desc + 16 * self.next_avail
            flags = (AVAIL if self.avail_wrap else USED) | (WRITE if piece.writable else 0)
            if i + 1 < len(pieces):
                flags |= NEXT
            self.memory.store64(at, piece.address)
            self.memory.store32(at + 8, piece.length)
            self.memory.store16(at + 12, id)
            if i == 0:
                self.pending.append((at + 14, flags))
            else:
                self.memory.store16(at + 14, flags)
            self.next_avail += 1
            if self.next_avail == self.queue.size:
                self.next_avail = 0
                self.avail_wrap ^= 1
        self.free -= len(pieces)
        self.moved += len(pieces)
        self.out[id] = len(pieces)
        return id

    def publish(self) -> None:
        self.memory.barrier()  # all of a buffer before the flags of its head (2.8.21.1.1)
        for address, flags in self.pending:
            self.memory.store16(address, flags)
        self.pending = []

    def collect(self) -> tuple[int, int] | None:
        at = self.queue.desc + 16 * self.next_used
        flags = self.memory.load16(at + 14)
        if flags & (AVAIL | USED) != (AVAIL | USED if self.used_wrap else 0):
            return None
        self.memory.barrier()  # flags before the rest
        id = self.memory.load16(at + 12)
        length = self.memory.load32(at + 8) if flags & WRITE else 0
        if id not in self.out:
            raise Broken(f"no buffer with id {id} is out")
        slots = self.out.pop(id)
        self.ids.append(id)
        self.free += slots
        self.next_used += slots
        if self.next_used >= self.queue.size:
            self.next_used -= self.queue.size
            self.used_wrap ^= 1
        return id, length

    def kick_needed(self) -> bool:
        self.memory.barrier()  # flags before the other side's wish is read (2.8.21.3.1)
        moved, self.moved = self.moved, 0
        wish = self.memory.load32(self.queue.device_area)
        off, wrap, flags = wish & 0x7FFF, wish >> 15 & 1, wish >> 16 & 3
        if flags != DESC:
            return flags != DISABLE
        if wrap != self.avail_wrap:
            off -= self.queue.size
        return (self.next_avail - off - 1) & 0xFFFF < moved
