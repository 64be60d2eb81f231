"""What a step of a scenario can do, as data: each action as it was understood, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dataplane.breaks import BreakRule
from dataplane.faults import Fault
from dataplane.interleaving import Item, text_of
from dataplane.records import Side
from dataplane.script.expect import Expectation
from dataplane.script.frames import Frame
from dataplane.source import TraceLevel


@dataclass(frozen=True, slots=True)
class Send:
    """A side is given frames to send; they go when its turn comes."""

    frames: tuple[Frame, ...]
    side: Side
    queue: str
    pair: int
    count: int

    @property
    def text(self) -> str:
        what = ", ".join(frame.text for frame in self.frames)
        return f"send {what}{_times(self.count)} on {self.queue}"


@dataclass(frozen=True, slots=True)
class Walk:
    """The sides go on in a chosen order."""

    items: tuple[Item, ...]

    @property
    def text(self) -> str:
        return f"step {text_of(self.items)}"


@dataclass(frozen=True, slots=True)
class Whole:
    """Both sides go on, the driver first, until buffers have gone all the way."""

    unit: Literal["packet", "lap"]
    count: int
    queue: int | None
    name: str

    @property
    def text(self) -> str:
        many = f"{self.count} {self.unit}{'s' if self.count > 1 else ''}"
        return f"step {many}" + (f" of {self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class Until:
    """Sides go on, one after the other as far as each gets, until something holds; None: until both rest."""

    condition: Expectation | None
    sides: tuple[Side, ...]
    limit: int

    @property
    def text(self) -> str:
        who = "" if len(self.sides) > 1 else f"{self.sides[0].name.lower()} "
        return f"{who}until {self.condition.text if self.condition else 'quiet'}"


@dataclass(frozen=True, slots=True)
class Free:
    """Both sides run at liberty."""

    seconds: float

    @property
    def text(self) -> str:
        return f"run {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Inject:
    """A switch of the catalogue, or one fault, is put into a side."""

    name: str
    what: str
    faults: tuple[Fault, ...]
    queue: str

    @property
    def text(self) -> str:
        where = f" on {self.queue}" if self.queue else ""
        first = self.faults[0]
        area = f" of {first.area}" if first.area and first.kind == self.what else ""
        return f"fault {self.what}{area} of the {first.side.name.lower()}{where}"


@dataclass(frozen=True, slots=True)
class Heal:
    """A fault is taken away; "all": every one."""

    name: str

    @property
    def text(self) -> str:
        return f"heal {self.name}"


@dataclass(frozen=True, slots=True)
class Probe:
    """One spurious notification (2.7.7, 2.8.10)."""

    what: Literal["kick", "call"]
    queue: int
    name: str

    @property
    def text(self) -> str:
        return f"probe {self.what} on {self.name}"


@dataclass(frozen=True, slots=True)
class Reset:
    """A queue is reset (2.6.1)."""

    queue: int
    name: str

    @property
    def text(self) -> str:
        return f"reset {self.name}"


@dataclass(frozen=True, slots=True)
class Command:
    """A control command is handed to the driver (5.1.6.5); it goes when the driver's turn comes."""

    name: str
    cls: int
    command: int
    data: bytes

    @property
    def text(self) -> str:
        return f"command {self.name} {self.data.hex()}".rstrip()


@dataclass(frozen=True, slots=True)
class Announce:
    """The device asks the driver to announce itself (5.1.6.5.4)."""

    text: str = "the device asks for an announcement"


@dataclass(frozen=True, slots=True)
class Trace:
    """How much is journaled while the pair runs at liberty."""

    level: TraceLevel

    @property
    def text(self) -> str:
        return f"trace {self.level}"


@dataclass(frozen=True, slots=True)
class Break:
    """A breakpoint is set."""

    name: str
    rule: BreakRule
    line: str

    @property
    def text(self) -> str:
        return f"break {self.line}"


@dataclass(frozen=True, slots=True)
class Clear:
    """A breakpoint is taken away; "all": every one."""

    name: str

    @property
    def text(self) -> str:
        return f"clear {self.name}"


@dataclass(frozen=True, slots=True)
class Hand:
    """One verb of a bare ring (`engine/ring.h`). `count` 0: all there are; `id` -1: the oldest."""

    side: Side
    verb: str
    ring: int
    name: str
    count: int = 1
    pieces: tuple[tuple[int, bool], ...] = ()  #: length, writable
    table: bool = False
    length: int = 0
    batch: bool = False
    id: int = -1

    @property
    def text(self) -> str:
        told = f"{self.side.name.lower()} {self.verb}"
        if self.pieces:
            told += " " + ", ".join(f"{'writable' if w else 'readable'} {n}" for n, w in self.pieces)
            told += " in a table" if self.table else ""
            return told + _times(self.count) + f" on {self.name}"
        if self.id >= 0:
            told += f" id {self.id}"
        elif self.count != 1:
            told += f" {self.count or 'all'}"
        if self.verb == "complete":
            told += f", {self.length} bytes written" if self.length else ""
            told += ", in one batch" if self.batch else ""
        return f"{told} on {self.name}"


Action = (
    Send
    | Walk
    | Whole
    | Until
    | Free
    | Inject
    | Heal
    | Probe
    | Reset
    | Command
    | Announce
    | Trace
    | Break
    | Clear
    | Hand
)

#: Control commands by the spec's names without VIRTIO_NET_CTRL_ (5.1.6.5).
COMMANDS: Mapping[str, tuple[int, int]] = {
    "RX_PROMISC": (0, 0),
    "RX_ALLMULTI": (0, 1),
    "RX_ALLUNI": (0, 2),
    "RX_NOMULTI": (0, 3),
    "RX_NOUNI": (0, 4),
    "RX_NOBCAST": (0, 5),
    "MAC_TABLE_SET": (1, 0),
    "MAC_ADDR_SET": (1, 1),
    "VLAN_ADD": (2, 0),
    "VLAN_DEL": (2, 1),
    "ANNOUNCE_ACK": (3, 0),
    "MQ_VQ_PAIRS_SET": (4, 0),
}


def _times(count: int) -> str:
    return f" {count} times" if count > 1 else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One `[[do]]`: what the reader is told, what is done, what must hold then."""

    number: int  #: from 1 on
    line: int
    key: str  #: "do[3].step", where what is done stands
    key_line: int
    say: str
    action: Action | None
    expect: tuple[tuple[int, str, Expectation], ...]  #: line, key, what must hold

    @property
    def text(self) -> str:
        """What is done, in one line; "" where nothing is."""
        return self.action.text if self.action else ""
