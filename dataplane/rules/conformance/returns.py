"""What the device gives back: ids, lengths, their order, and where it says so (2.7.8, 2.7.9, 2.8)."""

from __future__ import annotations

from dataplane.records import Kind, Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.packed import PackedRing, is_available, is_used
from dataplane.rules.conformance.ring import Ring, Use
from dataplane.rules.conformance.scene import Event, Scene, Stored
from dataplane.rules.conformance.split import SplitRing


class Indices(Check):
    """avail.idx and used.idx of a split ring, and what stands between them."""

    rows = ("SPLIT-DRV-18", "SPLIT-BOTH-47")

    def began(self, ring: Ring) -> None:
        if isinstance(ring, SplitRing):
            self._between(ring)

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.lost or stored.area not in ("avail_idx", "used_idx"):
            return
        if stored.area == "avail_idx" and stored.new - stored.old & 0xFFFF >= 0x8000:
            self.say("SPLIT-DRV-18", ring.index, None, f"avail.idx {stored.old} → {stored.new}")
        self._between(ring)

    def _between(self, ring: Ring) -> None:
        available, used = ring.value("driver", 2, 2), ring.value("device", 2, 2)
        between = available - used & 0xFFFF
        if between > ring.size:
            words = f"avail.idx {available}, used.idx {used}: {between} between them, of {ring.size}"
            self.say("SPLIT-BOTH-47", ring.index, None, words)


class Returns(Check):
    rows = (
        "SPLIT-DEV-46",
        "SPLIT-DEV-49",
        "SPLIT-ORD-31",
        "SPLIT-ORD-32",
        "PACKED-DEV-38",
        "PACKED-DEV-30",
    )

    def used(self, use: Use) -> None:
        ring = use.ring
        packed = ring.shape.packed
        buffer = use.buffer
        if buffer is None:
            row = "PACKED-DEV-38" if packed else "SPLIT-DEV-46"
            self.say(row, ring.index, use.at, f"used id {use.id} is that of no buffer on its way")
            return
        if use.writes and use.length > buffer.writable:
            row = "PACKED-DEV-30" if packed else "SPLIT-DEV-49"
            words = f"used length {use.length} of a buffer with {buffer.writable} bytes to write"
            self.say(row, ring.index, buffer.head, words)
        if isinstance(ring, SplitRing) and ring.shape.in_order:
            self._order(ring, use)

    def _order(self, ring: SplitRing, use: Use) -> None:
        """Where the index moved by less than a batch has, `buffers` is the one that was named alone."""
        oldest = next(iter(ring.outstanding.values()))
        if use.buffers[0] is oldest:
            return
        by = ring.value("device", 2, 2) - ring.returned & 0xFFFF
        words = f"used id {use.id} is that of buffer {use.buffers[0].position}, before {oldest.position}"
        if by == 1:
            self.say("SPLIT-ORD-32", ring.index, use.buffers[0].head, words)
        else:
            words += f", and used.idx moves by {by}"
            self.say("SPLIT-ORD-31", ring.index, use.buffers[0].head, words)


class Laps(Check):
    """AVAIL and USED of a packed ring, and the slots that used descriptors stand in (2.8.1, 2.8.12)."""

    rows = ("PACKED-BOTH-02", "PACKED-BOTH-03", "PACKED-DEV-06", "PACKED-DEV-05", "PACKED-ORD-34")
    kinds = frozenset({Kind.FLUSH, Kind.NEXT})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._ahead: dict[int, dict[int, int]] = {}  # by queue: slots written ahead, with their wrap counter

    def began(self, ring: Ring) -> None:
        self._ahead[ring.index] = {}

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.lost or not isinstance(ring, PackedRing) or stored.area != "desc":
            return
        if stored.at + stored.width < 16:
            return  # not the flags
        slot, flags = stored.index, ring.flags(stored.index)
        alike = flags >> 7 & 1 == flags >> 15
        driver = stored.side == Side.DRIVER
        if driver == alike:
            who = "driver" if driver else "device"
            words = f"the {who} writes AVAIL {flags >> 7 & 1}, USED {flags >> 15} into slot {slot}"
            self.say("PACKED-BOTH-03", ring.index, slot, words)
        elif driver:
            wrap = ring.avail[1] ^ (slot < ring.avail[0])
            if not ring.holds(slot) and not is_available(flags, wrap):
                words = f"slot {slot} is made available with wrap counter {wrap ^ 1}, on a lap with {wrap}"
                self.say("PACKED-BOTH-02", ring.index, slot, words)
        elif ring.holds(slot):
            wrap = ring.back[1] ^ (slot < ring.back[0])
            if not is_used(flags, wrap):
                words = f"slot {slot} is used with wrap counter {wrap ^ 1}, on a lap with {wrap}"
                self.say("PACKED-BOTH-02", ring.index, slot, words)
            elif slot != ring.back[0]:
                self._ahead[ring.index][slot] = wrap

    def used(self, use: Use) -> None:
        if isinstance(use.ring, PackedRing):
            self._ahead[use.ring.index].pop(use.at, None)

    def told(self, event: Event) -> None:
        ring = self.scene.rings.get(event.queue)
        if not isinstance(ring, PackedRing) or ring.lost:
            return
        if event.kind == Kind.NEXT:
            buffer = ring.positions.get(event.place)
            if buffer is not None and buffer.head != event.slot:
                words = f"buffer {event.place} is taken from slot {event.slot}, and begins in {buffer.head}"
                self.say("PACKED-DEV-05", ring.index, event.slot, words)
            return
        ahead = self._ahead[ring.index]
        if ahead:
            words = f"slot {ring.back[0]} is left out: {', '.join(map(str, sorted(ahead)))} are used"
            self.say("PACKED-DEV-06", ring.index, ring.back[0], words)
            ahead.clear()
        if ring.shape.in_order and event.new != ring.used:
            words = f"{event.new - event.old} buffers are returned by ids that stand for"
            words += f" {ring.used - event.old}"
            self.say("PACKED-ORD-34", ring.index, ring.back[0], words)
            ring.lost = words


CHECKS = (Indices, Returns, Laps)
