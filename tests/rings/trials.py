"""Every switch of the catalogue put into a pair of its own, many at a time, under the eyes of the doctor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dataplane.faults import Fault
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER, Path, Side
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding, Level
from dataplane.switches import SWITCHES, Switch

PATIENCE = 40.0  #: seconds: nothing depends on it but how long a failure takes
_SIZES = {"mask_slot": 24, "overwrite": 256}
_POLLS: dict[str, dict[str, Any]] = {"extra_kick": {"device": "poll"}, "extra_call": {"driver": "poll"}}
#: What a queue reset does not mend: the status bit stays until the device is reset (2.1.2).
FOR_GOOD = ("silent_reset",)

ALL = [
    (name, layout)
    for name, switch in SWITCHES.items()
    for layout in ("split", "packed")
    if switch.layouts in ("both", layout)
]


def _frame(i: int) -> bytes:
    """Now and then one that takes more than one descriptor."""
    return bytes(12) + b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(400 if i % 3 == 0 else 60)


@dataclass
class Trial:
    """One switch in one layout."""

    name: str
    layout: str
    pair: Pair
    doctor: Doctor = field(default_factory=Doctor)
    seen: dict[str, Finding] = field(default_factory=dict)  #: in the order in which they appeared
    healed: bool = False

    @property
    def switch(self) -> Switch:
        return SWITCHES[self.name]

    @property
    def queue(self) -> int:
        return 1 if self.switch.queue == "tx0" else 0

    def look(self) -> None:
        for finding in self.doctor.look(self.pair.snapshot(self.doctor.wants | {self.queue})):
            self.seen.setdefault(finding.code, finding)

    def put(self) -> None:
        """Switch it on, from the third chance on."""
        shape = next(shape for shape in self.pair.shapes() if shape.index == self.queue)
        after = 0 if self.name == "wrong_base" else 3
        for fault in self.switch.faults(shape, self.layout == "packed", count=0, after=after):
            self._inject(fault)
        if self.name == "wrong_base":
            self.pair.reset_queue(self.queue)

    def _inject(self, fault: Fault) -> None:
        self.pair.inject_fault(fault)

    def mend(self) -> None:
        """Switch it off, and do what a user would: a kick and a call, and where that is not enough a reset."""
        self.pair.heal()
        self.pair.probe.kick(self.queue)
        self.pair.probe.call(self.queue)
        self.healed = True

    @property
    def named(self) -> bool:
        return bool(set(self.switch.codes) & set(self.seen))

    @property
    def well(self) -> bool:
        return not [one for one in self.doctor.findings if one.level == Level.FAULT]


def begun(name: str, layout: str, *, frozen: bool = False) -> Trial:
    """A pair with traffic of the one way that shows this switch."""
    switch = SWITCHES[name]
    options: dict[str, Any] = {"features": switch.needs} if switch.needs else {}
    options |= {"path": Path[switch.path.upper()]} | _POLLS.get(name, {})
    pair = Pair(layout=layout, queue_size=_SIZES.get(name, 16), frozen=frozen, **options)  # type: ignore[arg-type]
    way = TO_DEVICE if switch.way == "to_device" else TO_DRIVER
    alike = switch.path == "direct"
    frames = [PlayFrame(i * 1_000_000, way, _frame(1 if alike else i)) for i in range(100)]
    pair.play(frames, loop=True)
    pair.control.set_rate(400)
    pair.start()
    return Trial(name, layout, pair)


def watch(trials: Iterable[Trial], done: Callable[[Trial], bool], seconds: float = PATIENCE) -> None:
    """Reads all of them fifteen times a second until each is done."""
    end = time.monotonic() + seconds
    left = list(trials)
    while left and time.monotonic() < end:
        began = time.monotonic()
        for trial in left:
            trial.look()
        left = [trial for trial in left if not done(trial)]
        time.sleep(max(0.0, 1 / 15 - (time.monotonic() - began)))


def stepped(name: str, layout: str) -> Trial:
    """The same by hand: turn after turn of a frozen pair, until nothing moves or enough went round."""
    trial = begun(name, layout, frozen=True)
    pair = trial.pair
    for _ in range(4):
        pair.step(Side.DRIVER, "turn", 2)
        pair.step(Side.DEVICE, "turn", 2)
    trial.put()
    for _ in range(60):
        pair.step(Side.DRIVER, "turn", 2)
        pair.step(Side.DEVICE, "turn", 2)
    trial.look()
    return trial
