"""Device status: in which order it rises, and what either side may do before DRIVER_OK (2.1, 2.4, 3.1).

A reset is known by its 0: the journal has the status that a write came to, not the value that was written.
"""

from __future__ import annotations

from dataplane import features as f
from dataplane.keyframe import Keyframe
from dataplane.records import Kind, Side
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.features import unsound
from dataplane.rules.conformance.scene import Event, Scene

_BEFORE = {
    f.STATUS_DRIVER: f.STATUS_ACKNOWLEDGE,
    f.STATUS_FEATURES_OK: f.STATUS_DRIVER,
    f.STATUS_DRIVER_OK: f.STATUS_FEATURES_OK,
}
_DRIVING = frozenset({Kind.ADD, Kind.PUBLISH, Kind.KICK})
_DEVICE = frozenset({Kind.NEXT, Kind.COMPLETE, Kind.FLUSH, Kind.CALL})
_SETS = 8  #: feature sets remembered as taken


def _said(status: int) -> str:
    return " ".join(f.status_names(status)) or "0"


class Status(Check):
    """The driver's way through initialisation, and what the device answers."""

    rows = (
        "STAT-DRV-01",
        "STAT-DRV-02",
        "STAT-DRV-03",
        "STAT-DEV-08",
        "RST-DEV-01",
        "FEAT-DEV-08",
        "FEAT-DEV-10",
        "INIT-DRV-01",
        "INIT-DRV-03",
        "INIT-DRV-05",
    )
    kinds = frozenset({Kind.STATUS, Kind.FEATURES})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._reset = False  # the newest status written was 0
        self._asked = False  # features were written, and not taken or refused yet
        self._refused = False
        self._passed: list[int] = []  # sets that were taken, the newest last

    def told(self, event: Event) -> None:
        if event.kind == Kind.FEATURES:
            self._features()
        elif event.side == Side.DRIVER:
            self._written(event)

    def _features(self) -> None:
        status = self.scene.status
        self._asked, self._refused = True, False
        if status is None:
            return
        if status & f.STATUS_FEATURES_OK:
            self.say("INIT-DRV-03", None, None, f"features are written with status {_said(status)}")
        elif not status & f.STATUS_DRIVER:
            self.say("INIT-DRV-01", None, None, f"features are written with status {_said(status)}")

    def _written(self, event: Event) -> None:
        old, new = event.old & ~f.STATUS_NEEDS_RESET, event.new & ~f.STATUS_NEEDS_RESET
        if event.number == 1:
            self._first(event)
        elif self._reset and old:
            self.say("RST-DEV-01", None, None, f"behind a reset the status is {_said(old)}")
        self._reset = not event.new
        if not new:
            self._asked = self._refused = False
            return
        words = f"status goes from {_said(old)} to {_said(new)}"
        added = new & ~old
        if old & f.STATUS_FAILED:
            self.say("STAT-DRV-03", None, None, f"{words} without a reset")
        if old & ~new:
            self.say("STAT-DRV-02", None, None, words)
        if added & (added - 1):
            self.say("STAT-DRV-01", None, None, f"{words} in one step")
        if any(added & bit and not new & before for bit, before in _BEFORE.items()):
            self.say("INIT-DRV-01", None, None, words)
        if added & f.STATUS_FEATURES_OK:
            self._taken()
        elif self._asked and not added and not old & (f.STATUS_FEATURES_OK | f.STATUS_FAILED):
            self._not_taken(words)
        elif added & f.STATUS_FAILED:
            self._refused = False

    def _first(self, event: Event) -> None:
        """The first event of all: what the status was at power-on, and whether a reset came first."""
        if event.old:
            self.say(
                "STAT-DEV-08", None, None, f"the status is {_said(event.old)} before anything was written"
            )
        if event.new:
            words = f"the driver begins with {_said(event.new)} and not with a reset"
            self.say("INIT-DRV-01", None, None, words)

    def _taken(self) -> None:
        self._asked = self._refused = False
        offered, accepted = self.scene.offered, self.scene.accepted
        if offered is None or accepted is None:
            return
        if why := unsound(offered, accepted):
            self.say("FEAT-DEV-08", None, None, f"FEATURES_OK stays set: {why}")
        elif accepted not in self._passed:
            self._passed = [*self._passed[1 - _SETS :], accepted]

    def _not_taken(self, words: str) -> None:
        """FEATURES_OK was written and is not there; a driver that goes on all the same writes once more."""
        if self._refused:
            self.say("INIT-DRV-05", None, None, f"{words}: the features were refused, FAILED is not set")
        elif self.scene.accepted in self._passed:
            self.say("FEAT-DEV-10", None, None, "a set of features that was taken before is refused")
        self._refused = True


class Early(Check):
    """What a side does with the rings while the status does not allow it."""

    rows = ("STAT-DEV-05", "RST-DEV-02", "INIT-DRV-01", "INIT-DRV-06", "INIT-DRV-07", "FEAT-DRV-05")
    kinds = frozenset({Kind.STATUS}) | _DRIVING | _DEVICE

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._named: set[str] = set()  # of this status
        self._reset = False

    def told(self, event: Event) -> None:
        status = self.scene.status
        if event.kind == Kind.STATUS:
            self._named.clear()
            if not status:
                self._reset = True
            elif not status & f.STATUS_FAILED and status & f.STATUS_DRIVER_OK:
                self._reset = False
        elif status is None or status & (f.STATUS_DRIVER_OK | f.STATUS_FAILED) == f.STATUS_DRIVER_OK:
            return
        elif event.kind in _DRIVING:
            self._driver(event, status)
        elif not status & f.STATUS_DRIVER_OK:
            self._name("STAT-DEV-05" if status or not self._reset else "RST-DEV-02", event, status)

    def _driver(self, event: Event, status: int) -> None:
        if status & f.STATUS_FAILED:
            self._name("INIT-DRV-06", event, status)
        elif event.kind == Kind.KICK:
            self._name("INIT-DRV-07", event, status)
        elif not status & f.STATUS_FEATURES_OK:
            self._name("FEAT-DRV-05" if status & f.STATUS_DRIVER else "INIT-DRV-01", event, status)

    def _name(self, row: str, event: Event, status: int) -> None:
        if row not in self._named:
            self._named.add(row)
            side = "driver" if event.side == Side.DRIVER else "device"
            kind = Kind(event.kind).name
            self.say(row, event.queue, None, f"{kind} of the {side} with status {_said(status)}")


class Broken(Check):
    """A device that gives a queue up says so: NEEDS_RESET, and a configuration change notification."""

    rows = ("STAT-DEV-06", "STAT-DEV-07")
    kinds = frozenset({Kind.STATUS, Kind.BROKEN, Kind.WAIT, Kind.CONFIG})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._queue: int | None = None  # given up, and not said so yet
        self._slept = 0
        self._generation: int | None = None  # of the configuration, as far as it is known
        self._rose = False

    def told(self, event: Event) -> None:
        match event.kind:
            case Kind.STATUS if event.new & ~event.old & f.STATUS_NEEDS_RESET:
                self._queue, self._rose = None, bool(event.old & f.STATUS_DRIVER_OK)
            case Kind.STATUS if not event.new:
                self._queue, self._rose = None, False
            case Kind.CONFIG:
                self._generation = event.new
            case Kind.BROKEN if event.side == Side.DEVICE:
                if not (self.scene.status or 0) & f.STATUS_NEEDS_RESET:
                    self._queue, self._slept = event.queue, 0
            case Kind.WAIT if event.side == Side.DEVICE and self._queue is not None:
                self._slept += 1
                if self._slept == 2:  # before the first it had not come to the queue again
                    words = "the device gave the queue up and sleeps again without DEVICE_NEEDS_RESET"
                    self.say("STAT-DEV-06", self._queue, None, words)

    def met(self, keyframe: Keyframe) -> None:
        generation = keyframe.base.config_generation
        if self._rose and generation == self._generation:
            words = f"DEVICE_NEEDS_RESET is set and the configuration still of generation {generation}"
            self.say("STAT-DEV-07", None, None, words)
        self._rose, self._generation = False, generation


CHECKS = (Status, Early, Broken)
