"""Your driver half of a packed ring (VIRTIO 1.3, 2.8).

memory.load16(a)  load32  load64  store16(a, value)  store32  store64  barrier()
queue.size        queue.desc  queue.driver_area  queue.device_area  (addresses)
queue.start       the slot where both sides begin    queue.wrap   both wrap counters
queue.event_idx   True or False

descriptor ring    16 bytes each: addr 64, len 32, id 16, flags 16
both areas         off_wrap 16 (slot, and the wrap counter in bit 15), flags 16
"""

# ruff: noqa: F401
from dataplane.workshop.ring import AVAIL, DESC, DISABLE, NEXT, USED, WRITE, Broken, Memory, Piece, Queue


class Driver:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue

    def add(self, pieces: list[Piece]) -> int | None:
        """Fill the next slots, one for each piece; nothing is visible yet.
        The id of the buffer, 0 to size - 1; None: no room."""
        return None

    def publish(self) -> None:
        """Make everything that was added available: the flags of the first head last."""

    def collect(self) -> tuple[int, int] | None:
        """Take one used buffer back: (id, length). None: nothing is used.
        length is 0 where the used descriptor has no WRITE.
        raise Broken("why") where the device did what it must not."""
        return None

    def kick_needed(self) -> bool:
        """After publish: does the device want to be told?"""
        return True
