"""Your device half of a split ring (VIRTIO 1.3, 2.7).

memory.load16(a)  load32  load64  store16(a, value)  store32  store64  barrier()
queue.size        queue.desc  queue.driver_area  queue.device_area  (addresses)
queue.start       what both idx are at first     queue.event_idx   True or False

descriptor table   16 bytes each: addr 64, len 32, flags 16, next 16
driver area        flags 16, idx 16, ring[size] of 16, used_event 16
device area        flags 16, idx 16, ring[size] of (id 32, len 32), avail_event 16
"""

# ruff: noqa: F401
from dataplane.workshop.ring import INDIRECT, NEXT, WRITE, Broken, Memory, Piece, Queue


class Device:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue

    def next(self) -> tuple[int, list[Piece]] | None:
        """Take the next available buffer: (id, its pieces in order).
        None: there is none. The id is the head of the chain.
        raise Broken("why") where the driver did what it must not."""
        return None

    def complete(self, id: int, length: int) -> None:
        """Write the used element of a buffer that was taken: `length` bytes were
        written into it. Nothing is visible yet."""

    def flush(self) -> None:
        """Make everything that was completed visible to the driver."""

    def call_needed(self) -> bool:
        """After flush: does the driver want to be told?"""
        return True
