"""A side that gives a queue up, or goes to sleep over one: whether it had a reason to.

A side says why it gave up (BROKEN). Where what it was given keeps to the spec, the one that gave up did not.
"""

from __future__ import annotations

from dataplane import features as f
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE
from dataplane.records import Kind, Reason, Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.ring import Buffer, Ring
from dataplane.rules.conformance.scene import Event, Scene


class GaveUp(Check):
    rows = (
        "SPLIT-IND-16",
        "SPLIT-IND-17",
        "SPLIT-NOT-21",
        "SPLIT-NOT-42",
        "PACKED-IND-24",
        "PACKED-IND-25",
        "RF-DRV-03",
    )
    kinds = frozenset({Kind.BROKEN})

    def told(self, event: Event) -> None:
        ring = self.scene.rings.get(event.queue)
        if ring is None:
            return
        if event.side == Side.DEVICE:
            self._device(ring, event.new)
        elif not ring.shape.packed and not ring.lost:
            found_later = event.new == Reason.NUM_BUFFERS  # behind taking them back
            if ring.used == ring.collected and not found_later:
                self.say("SPLIT-NOT-21", ring.index, None, _gave_up("driver", event.new, "used"))

    def _device(self, ring: Ring, reason: int) -> None:
        if reason == Reason.BAD_ADDRESS:
            buffer = ring.positions.get(ring.seen)
            words = "the device cannot reach a descriptor's address"
            self.say("RF-DRV-03", ring.index, buffer.head if buffer else None, words)
            return
        if ring.lost:
            return
        buffer = ring.positions.get(ring.seen)
        if buffer is None:
            if not ring.shape.packed and ring.made == ring.seen:
                self.say("SPLIT-NOT-42", ring.index, None, _gave_up("device", reason, "available"))
        elif buffer.table and self._legal(buffer):
            self._table(buffer, reason)

    def _legal(self, buffer: Buffer) -> bool:
        """Whether a buffer with a table keeps to what the driver is bound to, reserved bits aside."""
        kinds = [element.writable for element in buffer.data]
        plain = not any(e.flags & DESC_F_INDIRECT and e.flags & DESC_F_NEXT for e in buffer.elements)
        whole = len(buffer.elements) + len(buffer.entries) - 1 <= buffer.ring.size
        return (
            not buffer.why
            and kinds == sorted(kinds)
            and plain
            and whole
            and self.scene.has(f.F_INDIRECT_DESC)
        )

    def _table(self, buffer: Buffer, reason: int) -> None:
        queue, head, packed = buffer.ring.index, buffer.head, buffer.ring.shape.packed
        words = f"the device gave the queue up ({_named(reason)}) at a buffer"
        if buffer.elements[-1].flags & DESC_F_WRITE:
            row = "PACKED-IND-25" if packed else "SPLIT-IND-16"
            self.say(row, queue, head, f"{words} that has WRITE beside INDIRECT")
        if not packed and len(buffer.elements) > 1:
            self.say("SPLIT-IND-17", queue, head, f"{words} of plain descriptors and a table")
        if packed and any(e.flags & ~DESC_F_WRITE or e.next for e in buffer.entries):
            self.say("PACKED-IND-24", queue, head, f"{words} with reserved bits or ids in its table")


class LookAgain(Check):
    """Who asks for calls and goes to sleep has looked at what was used before it asked."""

    rows = ("SPLIT-DRV-45",)
    kinds = frozenset({Kind.NOTIFY_ON, Kind.NOTIFY_OFF, Kind.FLUSH, Kind.WAIT, Kind.BROKEN})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._shown: dict[int, int] = {}
        self._broken: set[int] = set()  # queues that a side gave up: nobody looks at them any more
        self._asked: dict[int, int] = {}  # by queue: used when the driver last asked

    def began(self, ring: Ring) -> None:
        self._shown[ring.index] = ring.used
        self._asked.pop(ring.index, None)
        self._broken.discard(ring.index)

    def told(self, event: Event) -> None:
        queue = event.queue
        match event.kind:
            case Kind.FLUSH:
                ring = self.scene.rings.get(queue)
                self._shown[queue] = ring.used if ring else 0
            case Kind.NOTIFY_ON if event.side == Side.DRIVER:
                self._asked[queue] = self._shown.get(queue, 0)
            case Kind.NOTIFY_OFF:
                self._asked.pop(queue, None)
            case Kind.BROKEN:
                self._broken.add(queue)
            case Kind.WAIT if event.side == Side.DRIVER:
                self._sleeps()

    def _sleeps(self) -> None:
        for queue, shown in list(self._asked.items()):
            ring = self.scene.rings.get(queue)
            if ring is None or ring.shape.packed or ring.lost or queue in self._broken:
                continue
            if shown <= ring.collected:
                continue
            left = shown - ring.collected
            words = f"the driver sleeps over {left} buffers that were used before it asked for calls"
            self.say("SPLIT-DRV-45", queue, None, words)
            del self._asked[queue]


def _gave_up(side: str, reason: int, what: str) -> str:
    return f"the {side} gave the queue up ({_named(reason)}) with nothing {what}"


def _named(reason: int) -> str:
    known = {int(one): one.name for one in Reason}
    return known.get(reason, f"reason {reason}")


CHECKS = (GaveUp, LookAgain)
