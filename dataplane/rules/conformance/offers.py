"""Features that concern rings: what is offered, and what is accepted (6)."""

from __future__ import annotations

from dataplane import features as f
from dataplane.records import Kind
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.ring import Ring
from dataplane.rules.conformance.scene import Event, Scene

_UNUSED = 30  #: of an early draft; no device has it (6)


class Offers(Check):
    rows = (
        "RF-DRV-01",
        "RF-DRV-02",
        "RF-DRV-04",
        "RF-DRV-06",
        "RF-DRV-07",
        "RF-DEV-08",
        "RF-DEV-10",
        "RF-BOTH-11",
    )
    kinds = frozenset({Kind.FEATURES})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._judged: tuple[int, int] | None = None

    def began(self, ring: Ring) -> None:
        self._judge()

    def told(self, event: Event) -> None:
        self._judge()

    def _judge(self) -> None:
        offered, accepted = self.scene.offered, self.scene.accepted
        if offered is None or accepted is None or self._judged == (offered, accepted):
            return
        self._judged = offered, accepted
        for bit, row, name in (
            (f.F_VERSION_1, "RF-DRV-01", "VERSION_1"),
            (f.F_ACCESS_PLATFORM, "RF-DRV-02", "ACCESS_PLATFORM"),
            (f.F_RING_PACKED, "RF-DRV-04", "RING_PACKED"),
            (f.F_ORDER_PLATFORM, "RF-DRV-04", "ORDER_PLATFORM"),
            (f.F_NOTIF_CONFIG_DATA, "RF-DRV-07", "NOTIF_CONFIG_DATA"),
        ):
            if f.has(offered, bit) and not f.has(accepted, bit):
                self.say(row, None, None, f"{name} is offered and not accepted")
        if not f.has(offered, f.F_VERSION_1):
            self.say("RF-DEV-08", None, None, "VERSION_1 is not offered")
        if f.has(offered, f.F_SR_IOV):
            self.say("RF-DEV-10", None, None, "SR_IOV is offered by a device that is not on PCI")
        if f.has(accepted, f.F_SR_IOV):
            self.say("RF-DRV-06", None, None, "SR_IOV is accepted of a device that is not on PCI")
        if f.has(offered | accepted, _UNUSED):
            self.say("RF-BOTH-11", None, None, "feature bit 30 is offered or accepted")


CHECKS = (Offers,)
