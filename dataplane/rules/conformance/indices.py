"""The free-running indices of a split ring (2.7.6, 2.7.8), and what stands between them."""

from __future__ import annotations

from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.ring import Ring
from dataplane.rules.conformance.row import Row
from dataplane.rules.conformance.scene import Stored

ROWS = (
    Row(
        "SPLIT-DRV-18",
        "2.7.6.1",
        "driver",
        "MUST NOT",
        "avail.idx never goes back: what was made available cannot be taken away.",
    ),
    Row(
        "SPLIT-BOTH-47",
        "2.7.13",
        "both",
        "implied",
        "Between used.idx and avail.idx there are never more buffers than the queue has descriptors.",
        "M",
    ),
)


class Indices(Check):
    rows = ("SPLIT-DRV-18", "SPLIT-BOTH-47")

    def began(self, ring: Ring) -> None:
        if not ring.shape.packed:
            self._between(ring)

    def stored(self, stored: Stored) -> None:
        ring = stored.ring
        if ring.lost or stored.area not in ("avail_idx", "used_idx"):
            return
        if stored.area == "avail_idx":
            by = stored.new - stored.old & 0xFFFF
            if by >= 0x8000:
                self.say("SPLIT-DRV-18", ring.index, None, f"avail.idx {stored.old} → {stored.new}")
        self._between(ring)

    def _between(self, ring: Ring) -> None:
        available, used = ring.value("driver", 2, 2), ring.value("device", 2, 2)
        between = available - used & 0xFFFF
        if between > ring.size:
            words = f"avail.idx {available}, used.idx {used}: {between} between them, of {ring.size}"
            self.say("SPLIT-BOTH-47", ring.index, None, words)


CHECKS = (Indices,)
