"""How a queue begins: its size, where its parts lie, and what stands in them before the first buffer."""

from __future__ import annotations

from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.records import Kind
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.packed import PackedRing
from dataplane.rules.conformance.ring import Ring
from dataplane.rules.conformance.scene import Event, Scene, Stored
from dataplane.rules.conformance.split import SplitRing


class Beginning(Check):
    rows = (
        "SPLIT-BOTH-01",
        "SPLIT-DRV-02",
        "SPLIT-NOT-33",
        "PACKED-BOTH-01",
        "PACKED-DRV-04",
        "PACKED-BOTH-36",
        "VQ-DRV-06",
    )

    def began(self, ring: Ring) -> None:
        size, packed = ring.size, ring.shape.packed
        if not 1 <= size <= QUEUE_SIZE_MAX or (not packed and size & size - 1):
            self.say("PACKED-BOTH-01" if packed else "SPLIT-BOTH-01", ring.index, None, f"a queue of {size}")
        shape = ring.shape
        for name, address, multiple in (
            ("descriptor table", shape.desc_addr, 16),
            ("driver area", shape.driver_addr, 4 if packed else 2),
            ("device area", shape.device_addr, 4),
        ):
            if address % multiple:
                words = f"the {name} at 0x{address:x} is at no multiple of {multiple}"
                self.say("PACKED-DRV-04" if packed else "SPLIT-DRV-02", ring.index, None, words)
        if not ring.fresh or ring.made:
            return  # it is under way: what stands in it is no beginning
        if isinstance(ring, SplitRing):
            self._split(ring)
        elif isinstance(ring, PackedRing):
            self._packed(ring)

    def _split(self, ring: SplitRing) -> None:
        flags = ring.value("device", 0, 2)
        if flags:
            self.say("SPLIT-NOT-33", ring.index, None, f"used.flags is {flags} before the first buffer")
        if ring.shown != ring.returned and ring.shape.generation > 1:
            words = f"begins again with avail.idx {ring.shown} and used.idx {ring.returned}"
            self.say("VQ-DRV-06", ring.index, None, words)

    def _packed(self, ring: PackedRing) -> None:
        slot, wrap = ring.avail
        for _ in range(ring.size):
            element = ring.element(slot)
            if element.flags >> 7 & 1 != element.flags >> 15:
                words = f"slot {slot} has flags 0x{element.flags:x} before the first buffer"
                self.say("PACKED-BOTH-36", ring.index, slot, words)
                break
            slot, wrap = ring.on((slot, wrap), 1)
        if ring.avail != ring.back and ring.shape.generation > 1:
            words = f"begins again with the driver at {ring.avail} and the device at {ring.back}"
            self.say("VQ-DRV-06", ring.index, None, words)


class Afresh(Check):
    """The device behind a queue reset: its first steps are those of a new queue."""

    rows = ("VQ-DEV-03",)
    kinds = frozenset({Kind.NEXT, Kind.FLUSH})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._fresh: set[int] = set()

    def began(self, ring: Ring) -> None:
        self._fresh.discard(ring.index)
        if ring.shape.generation > 1 and not ring.made and not ring.used:
            self._fresh.add(ring.index)

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.index in self._fresh and isinstance(ring, SplitRing) and stored.area == "used_ring":
            self._first(ring, stored.index, ring.returned % ring.size)

    def told(self, event: Event) -> None:
        ring = self.scene.rings.get(event.queue)
        if ring is None or ring.index not in self._fresh:
            return
        if event.kind == Kind.NEXT:
            buffer = ring.positions.get(0)
            if event.place == 0 and buffer is not None and event.slot != buffer.head:
                words = f"the first buffer taken is that of slot {event.slot}, not of slot {buffer.head}"
                self._wrong(ring, event.slot, words)
        elif isinstance(ring, PackedRing) and not ring.used:
            self._wrong(ring, ring.back[0], f"something is used, and slot {ring.back[0]} says nothing of it")
        else:
            self._fresh.discard(ring.index)

    def _first(self, ring: Ring, at: int, wanted: int) -> None:
        self._fresh.discard(ring.index)
        if at != wanted:
            words = f"its first used element stands at {at}, where a new queue has it at {wanted}"
            self._wrong(ring, at, words)

    def _wrong(self, ring: Ring, slot: int, words: str) -> None:
        self._fresh.discard(ring.index)
        self.say("VQ-DEV-03", ring.index, slot, words)


CHECKS = (Beginning, Afresh)
