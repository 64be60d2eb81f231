"""What a lesson does to its pair, one verb each, parted by semicolons.

    driver 2 stores; driver until publish; device until flush on rx0; send 60 x3; receive 100
    settle; kick; call; fault lose_kick driver; fault delay_store driver avail_ring after 1 count 1; heal

How far a side goes is said as in every chosen interleaving (`dataplane.interleaving`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from dataplane.faults import KINDS, Fault
from dataplane.interleaving import Item, parse_interleaving
from dataplane.records import Side
from dataplane.script import actions, frames
from dataplane.script.moving import Failed, Moving

_FRAMES = re.compile(r"(send|receive)\s+(\d+)(?:\s+x(\d+))?")
_FAULT = re.compile(
    r"fault\s+(\w+)\s+(driver|device)(?:\s+(?!on |after |count |value |entry )([a-z_.]+))?((?:\s+\w+\s+\w+)*)"
)
_NUMBERS = ("entry", "after", "count", "value")
_ANYWHERE = ("sleep", "wake")  #: what a side does for all of its queues
Act = Literal["walk", "frames", "settle", "kick", "call", "fault", "heal"]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, as it was written and as it is understood. `queue` "" is the one that is shown."""

    text: str
    act: Act
    items: tuple[Item, ...] = ()
    side: Side = Side.DRIVER
    length: int = 0
    count: int = 1
    fault: Fault | None = None
    queue: str = ""

    @property
    def sides(self) -> frozenset[Side]:
        """Who moves."""
        if self.act == "walk":
            return frozenset(item.side for item in self.items)
        return frozenset({self.side}) if self.act == "frames" else frozenset()


def parse_verbs(text: str) -> tuple[Verb, ...]:
    """The verbs of a line; ValueError with one line for what is none."""
    return tuple(_verb(one.strip()) for one in text.split(";") if one.strip())


def _verb(text: str) -> Verb:
    match text:
        case "settle" | "kick" | "call" | "heal":
            return Verb(text, text)
    if text.startswith(("driver", "device")):
        return Verb(text, "walk", parse_interleaving(text))
    if found := _FRAMES.fullmatch(text):
        side = Side.DRIVER if found[1] == "send" else Side.DEVICE
        frames.read(f"udp {found[2]}")
        return Verb(text, "frames", side=side, count=int(found[3] or 1), length=int(found[2]))
    if found := _FAULT.fullmatch(text):
        return _fault(text, found)
    raise ValueError(
        f"{text!r} is no verb: driver or device 1 store, 2 operations, until publish on tx0; "
        "send 60, receive 60 x3; settle; kick; call; fault KIND SIDE AREA; heal"
    )


def _fault(text: str, found: re.Match[str]) -> Verb:
    kind, side, area, rest = found.groups()
    if kind not in KINDS:
        raise ValueError(f"no fault is called {kind!r}; there are {', '.join(KINDS)}")
    words = rest.split()
    said = dict(zip(words[::2], words[1::2], strict=True))
    queue = said.pop("on", "")
    if any(name not in _NUMBERS or not value.isdecimal() for name, value in said.items()):
        raise ValueError(f"{text!r}: behind the area stand on QUEUE, {', '.join(f'{n} N' for n in _NUMBERS)}")
    numbers: dict[str, Any] = {name: int(value) for name, value in said.items()}
    fault = Fault(kind, Side[side.upper()], area=area or "", **numbers)
    return Verb(text, "fault", fault=fault, queue=queue)


def perform(moving: Moving, verb: Verb, queue: str) -> None:
    """Do it to a frozen pair; `queue` is the one that is shown. RuntimeError where it cannot be done."""
    try:
        _perform(moving, verb, verb.queue or queue)
    except Failed as error:
        raise RuntimeError(f"{verb.text!r}: {error}") from None
    moving.wire.pump()


def _perform(moving: Moving, verb: Verb, queue: str) -> None:
    index = next((q.index for q in moving.pair.snapshot(()).queues if q.name == queue), None)
    if index is None:
        raise RuntimeError(f"no queue is called {queue!r}")
    match verb.act:
        case "walk":
            moving.walk(_on(item, queue) for item in verb.items)
        case "frames":
            what = (frames.read(f"udp {verb.length}"),)
            moving.send(actions.Send(what, verb.side, queue, 0, verb.count))
        case "settle":
            moving.settle()
        case "kick":
            moving.pair.kick(index)
        case "call":
            moving.pair.call(index)
        case "fault" if verb.fault is not None:
            fault = replace(verb.fault, queue=index)
            moving.inject(actions.Inject(verb.text, fault.kind, (fault,), queue))
        case "heal":
            moving.heal("all")


def _on(item: Item, queue: str) -> Item:
    """Until something happens: on the queue that is shown, where no other is named."""
    if not item.until or item.queue is not None or item.until in _ANYWHERE:
        return item
    return replace(item, queue=queue)
