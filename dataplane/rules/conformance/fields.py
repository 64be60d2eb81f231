"""The words by which a side asks for notifications: which values they may have (2.7.7, 2.7.10, 2.8.10)."""

from __future__ import annotations

from dataplane import features as f
from dataplane.layout import EVENT_DESC
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.ring import Ring
from dataplane.rules.conformance.scene import Stored


class Fields(Check):
    rows = ("SPLIT-NOT-19", "SPLIT-NOT-20", "SPLIT-NOT-40", "SPLIT-NOT-41", "PACKED-EVT-31")

    def began(self, ring: Ring) -> None:
        if ring.shape.packed:
            self._event(ring, "driver")
            self._event(ring, "device")
        else:
            self._flags(ring, "driver")
            self._flags(ring, "device")

    def stored(self, stored: Stored) -> None:
        match stored.area:
            case "avail_flags":
                self._flags(stored.ring, "driver")
            case "used_flags":
                self._flags(stored.ring, "device")
            case "driver_event":
                self._event(stored.ring, "driver")
            case "device_event":
                self._event(stored.ring, "device")

    def _flags(self, ring: Ring, side: str) -> None:
        flags = ring.value(side, 0, 2)
        driver = side == "driver"
        name = "avail.flags" if driver else "used.flags"
        if self.scene.has(f.F_EVENT_IDX):
            if flags:
                row = "SPLIT-NOT-20" if driver else "SPLIT-NOT-41"
                self.say(row, ring.index, None, f"{name} is {flags} with EVENT_IDX")
        elif flags > 1:
            row = "SPLIT-NOT-19" if driver else "SPLIT-NOT-40"
            self.say(row, ring.index, None, f"{name} is {flags}")

    def _event(self, ring: Ring, side: str) -> None:
        off_wrap, flags = ring.value(side, 0, 2), ring.value(side, 2, 2)
        name = f"the {side} event structure has"
        if flags > EVENT_DESC:
            self.say("PACKED-EVT-31", ring.index, None, f"{name} flags {flags}")
        elif flags == EVENT_DESC and not self.scene.has(f.F_EVENT_IDX):
            self.say("PACKED-EVT-31", ring.index, None, f"{name} flags 2 without EVENT_IDX")
        elif flags == EVENT_DESC and off_wrap & 0x7FFF >= ring.size:
            words = f"{name} offset {off_wrap & 0x7FFF} in a queue of {ring.size}"
            self.say("PACKED-EVT-31", ring.index, None, words)


CHECKS = (Fields,)
