"""A driver half of a split ring: one of many that are right."""

from dataplane.workshop.ring import NEXT, WRITE, Broken, Memory, Piece, Queue


class Driver:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue
        self.avail = queue.driver_area  # flags, idx, ring[size], used_event
        self.used = queue.device_area  # flags, idx, ring[size] of (id, len), avail_event
        self.idx = queue.start  # the next avail.idx: free-running, 16 bits
        self.last_used = queue.start  # the next used element to look at
        self.announced = queue.start  # avail.idx at the last decision about a kick
        self.free = list(range(queue.size))
        self.chains: dict[int, list[int]] = {}  # head -> its descriptors, remembered here, not read back

    def add(self, pieces: list[Piece]) -> int | None:
        if len(pieces) > len(self.free):
            return None
        chain = [self.free.pop(0) for _ in pieces]
        for i, (slot, piece) in enumerate(zip(chain, pieces, strict=True)):
            more = i + 1 < len(chain)
            at = self.queue.desc + 16 * slot
            self.memory.store64(at, piece.address)
            self.memory.store32(at + 8, piece.length)
            self.memory.store16(at + 12, (NEXT if more else 0) | (WRITE if piece.writable else 0))
            self.memory.store16(at + 14, chain[i + 1] if more else 0)
        head = chain[0]
        self.chains[head] = chain
        self.memory.store16(self.avail + 4 + 2 * (self.idx % self.queue.size), head)
        self.idx = (self.idx + 1) & 0xFFFF
        return head

    def publish(self) -> None:
        self.memory.barrier()  # descriptors and entries before idx (2.7.13.3.1)
        self.memory.store16(self.avail + 2, self.idx)

    def collect(self) -> tuple[int, int] | None:
        if self.memory.load16(self.used + 2) == self.last_used:
            return None
        self.memory.barrier()  # idx before the element
        at = self.used + 4 + 8 * (self.last_used % self.queue.size)
        head = self.memory.load32(at)
        length = self.memory.load32(at + 4)
        if head not in self.chains:
            raise Broken(f"used id {head} is not the head of a buffer that is out")
        self.free += self.chains.pop(head)
        self.last_used = (self.last_used + 1) & 0xFFFF
        return head, length

    def kick_needed(self) -> bool:
        self.memory.barrier()  # idx before the other side's wish is read (2.7.13.4.1)
        old, new = self.announced, self.idx
        self.announced = new
        if self.queue.event_idx:
            event = self.memory.load16(self.used + 4 + 8 * self.queue.size)  # avail_event
            return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
        return self.memory.load16(self.used) & 1 == 0  # used.flags: NO_NOTIFY
