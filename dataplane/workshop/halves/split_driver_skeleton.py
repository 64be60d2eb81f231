"""Your driver half of a split ring (VIRTIO 1.3, 2.7).

memory.load16(a)  load32  load64  store16(a, value)  store32  store64  barrier()
queue.size        queue.desc  queue.driver_area  queue.device_area  (addresses)
queue.start       what both idx are at first     queue.event_idx   True or False

descriptor table   16 bytes each: addr 64, len 32, flags 16, next 16
driver area        flags 16, idx 16, ring[size] of 16, used_event 16
device area        flags 16, idx 16, ring[size] of (id 32, len 32), avail_event 16
"""

# ruff: noqa: F401
from dataplane.workshop.ring import NEXT, WRITE, Broken, Memory, Piece, Queue


class Driver:
    def __init__(self, memory: Memory, queue: Queue) -> None:
        self.memory = memory
        self.queue = queue

    def add(self, pieces: list[Piece]) -> int | None:
        """Put a buffer into free descriptors and its head into the next entry of
        the available ring; nothing is visible yet. Its head; None: no room.
        piece.address, piece.length, piece.writable"""
        return None

    def publish(self) -> None:
        """Make everything that was added available to the device."""

    def collect(self) -> tuple[int, int] | None:
        """Take one used buffer back: (id, length). None: nothing is used.
        Its descriptors are free again. raise Broken("why") where the device
        did what it must not."""
        return None

    def kick_needed(self) -> bool:
        """After publish: does the device want to be told?"""
        return True
