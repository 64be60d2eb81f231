"""A device half of a split ring: one of many that are right."""

from dataplane.workshop.ring import INDIRECT, NEXT, WRITE, Broken, Memory, Piece, Queue


class Device:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue
        self.avail = queue.driver_area  # flags, idx, ring[size], used_event
        self.used = queue.device_area  # flags, idx, ring[size] of (id, len), avail_event
        self.last_avail = queue.start  # the next available entry to look at
        self.used_idx = queue.start  # the next used.idx: free-running, 16 bits
        self.announced = queue.start  # used.idx at the last decision about a call

    def next(self) -> tuple[int, list[Piece]] | None:
        ready = (self.memory.load16(self.avail + 2) - self.last_avail) & 0xFFFF
        if ready == 0:
            return None
        if ready > self.queue.size:
            raise Broken(f"avail.idx is {ready} ahead of what was taken")
        self.memory.barrier()  # idx before the entry and its descriptors
        head = self.memory.load16(self.avail + 4 + 2 * (self.last_avail % self.queue.size))
        pieces: list[Piece] = []
        slot = head
        while True:
            if slot >= self.queue.size:
                raise Broken(f"descriptor {slot} is out of range")
            if len(pieces) == self.queue.size:
                raise Broken("the chain is longer than the queue")
            at = self.queue.desc + 16 * slot
            address, length = self.memory.load64(at), self.memory.load32(at + 8)
            flags = self.memory.load16(at + 12)
            if flags & INDIRECT:
                raise Broken("INDIRECT was not negotiated")
            pieces.append(Piece(address, length, bool(flags & WRITE)))
            if not flags & NEXT:
                break
            slot = self.memory.load16(at + 14)
        self.last_avail = (self.last_avail + 1) & 0xFFFF
        return head, pieces

    def complete(self, id: int, length: int) -> None:
        at = self.used + 4 + 8 * (self.used_idx % self.queue.size)
        self.memory.store32(at, id)
        self.memory.store32(at + 4, length)
        self.used_idx = (self.used_idx + 1) & 0xFFFF

    def flush(self) -> None:
        self.memory.barrier()  # elements before idx (2.7.8.2)
        self.memory.store16(self.used + 2, self.used_idx)

    def call_needed(self) -> bool:
        self.memory.barrier()  # idx before the other side's wish is read
        old, new = self.announced, self.used_idx
        self.announced = new
        if self.queue.event_idx:
            event = self.memory.load16(self.avail + 4 + 2 * self.queue.size)  # used_event
            return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
        return self.memory.load16(self.avail) & 1 == 0  # avail.flags: NO_INTERRUPT
