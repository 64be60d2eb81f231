"""What every judge of a half shares: the accesses one by one, the field an address belongs to, who is to
blame.

A judge hears the loads, stores and barriers of a half in their order, and the calls around them. It keeps its
own account of the ring by the specification and says at the first access that breaks a rule what is wrong.
Blame goes to the store that put the wrong value there, even where it shows only later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NoReturn

from dataplane import places
from dataplane.bare import Bare
from dataplane.keyframe import QueueShape
from dataplane.places import Place
from dataplane.records import Owner, Side
from dataplane.workshop.ring import Piece

What = Literal["load", "store", "barrier"]
WIDTHS = {2: 16, 4: 32, 8: 64}
_NEAR = 64  #: bytes by which an access may miss an area and still be meant for it


@dataclass(frozen=True, slots=True)
class Access:
    """One load, store or barrier of a half. `during` names the call; `old` is what a store wrote over."""

    number: int
    what: What
    address: int
    width: int
    value: int
    old: int
    line: int
    during: str
    where: str  #: the field, in words; "" of a barrier

    def words(self) -> str:
        """One line: "store16 avail.idx = 1 (was 0)"."""
        if self.what == "barrier":
            return "barrier"
        value = _number(self.value)
        name = f"{self.what}{WIDTHS[self.width]} {self.where or f'0x{self.address:x}'}"
        if self.what == "load":
            return f"{name} → {value}"
        return f"{name} = {value}" + (f" (was {self.before})" if self.old != self.value else " (as before)")

    @property
    def before(self) -> str:
        """What a store wrote over, in words."""
        return _number(self.old)


def _number(value: int) -> str:
    return f"0x{value:x}" if value > 0xFFFF else str(value)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, what the other side would have done, where the specification says so, and where it is.

    `section` is "" where it is a matter of the workshop; `access` the number of the access to blame, 0: none.
    """

    what: str
    would: str = ""
    section: str = ""
    line: int = 0
    access: int = 0


class Judged(Exception):
    """The first thing that is wrong. The test ends here."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong.what)
        self.wrong = wrong


@dataclass(slots=True)
class Buffer:
    """One buffer on its way round, as the judge accounts for it."""

    pieces: tuple[Piece, ...]
    id: int = -1
    slots: tuple[int, ...] = ()
    since: int = 0  #: accesses made before the call that added it
    length: int = 0  #: that the device reported
    position: int = -1  #: publication count
    owner: Owner = Owner.FREE

    @property
    def writable(self) -> int:
        return sum(p.length for p in self.pieces if p.writable)


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def pieces_words(pieces: Sequence[Piece]) -> str:
    """ "0x1000+64, 0x2000+1500 writable"."""
    return ", ".join(f"0x{p.address:x}+{p.length}{' writable' if p.writable else ''}" for p in pieces)


@dataclass
class Judge:
    """Hears a half and keeps account. Subclasses have the rules of one half of one layout."""

    shape: QueueShape
    ring: Bare
    accesses: list[Access] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)  #: what is allowed and better done otherwise, once each
    during: str = ""
    barrier: int = 0  #: number of the last barrier
    writers: dict[int, int] = field(default_factory=dict)  #: byte address -> number of the last store there
    lying: bool = False  #: the other side breaks the rules in this test
    begun: int = 0  #: accesses made before this call
    start: int = 0  #: the ring index of buffer 0 (split), the slot of the first (packed)
    wrap: int = 1  #: packed: both wrap counters at the start
    event_idx: bool = False
    live: list[Buffer] = field(default_factory=list)  #: available and not collected, oldest first
    published: int = 0
    seen_count: int = 0
    used_count: int = 0
    collected: int = 0
    seen: Callable[[], None] = lambda: None  #: called at every access, and again once a store is performed

    # accesses

    @property
    def number(self) -> int:
        """Of the last access."""
        return len(self.accesses)

    def read(self, address: int, width: int) -> int:
        """What stands in memory, without anybody having loaded it."""
        return int.from_bytes(self.ring.memory(address, width), "little")

    def value(self, at: Place) -> int:
        return self.read(at.address, at.width)

    def put(self, at: Place, value: int) -> None:
        """Writes a field as the half that is judged would."""
        self.ring.write(at.address, value.to_bytes(at.width, "little"), self.SIDE)

    def put_theirs(self, at: Place, value: int) -> None:
        """Writes a field as the other side would, where it breaks the rules."""
        self.ring.write(at.address, value.to_bytes(at.width, "little"), Side(1 - self.SIDE))

    def load(self, address: int, width: int, line: int) -> int:
        """A load of the half: judged; its value."""
        touched = self._placed("load", address, width, 0, line)
        value = self.read(address, width)
        self._note("load", address, width, value, value, line, touched)
        for one in touched:
            self.loaded(one)
        return value

    def store(self, address: int, width: int, value: int, line: int) -> None:
        """A store of the half: judged before and performed; what it exposes is judged with it in place."""
        touched = self._placed("store", address, width, value, line)
        old = self.read(address, width)
        self._note("store", address, width, value, old, line, touched)
        if not 0 <= value < 1 << 8 * width:
            self._too_large(value, width, touched)
        if not touched:
            self.wrong(
                "a buffer lies there, not the ring: this half moves descriptors, not data", section="2.7"
            )
        for one in touched:
            self.storing(one, self._part(value, address, one, width), touched)
        self.ring.write(address, value.to_bytes(width, "little"), self.SIDE)
        for at in range(address, address + width):
            self.writers[at] = self.number
        self.seen()
        for one in touched:
            self.stored(one, old)

    def barrier_made(self, line: int) -> None:
        self._note("barrier", 0, 0, 0, 0, line, ())
        self.barrier = self.number

    def _part(self, value: int, address: int, one: Place, width: int) -> int:
        """The bits of a wide store that fall into one field; of a narrow one, the field as it will be."""
        data = bytearray(self.ring.memory(one.address, one.width))
        new = value.to_bytes(width, "little")
        for i, byte in enumerate(new):
            at = address + i - one.address
            if 0 <= at < one.width:
                data[at] = byte
        return int.from_bytes(data, "little")

    def _note(
        self, what: What, address: int, width: int, value: int, old: int, line: int, touched: Sequence[Place]
    ) -> None:
        where = " and ".join(one.text for one in touched)
        self.accesses.append(
            Access(self.number + 1, what, address, width, value, old, line, self.during, where)
        )
        self.seen()

    def _placed(self, what: What, address: int, width: int, value: int, line: int) -> tuple[Place, ...]:
        """The fields that an access touches; it is judged where it is nowhere in the ring."""
        name = f"{what}{WIDTHS[width]}"
        touched = places.covered(self.shape, address, width)
        covered = sum(
            min(one.address + one.width, address + width) - max(one.address, address) for one in touched
        )
        wrong = ""
        if address % width:
            wrong = f"{name} at 0x{address:x}: the address is not a multiple of {width}"
        elif touched and covered < width:
            wrong = f"{name} at 0x{address:x} begins in {touched[-1].text} and ends outside the ring"
        elif not touched and not self.in_scratch(address, width):
            wrong = f"{name} at 0x{address:x}: no part of this queue stands there{self.near(address)}"
        if wrong:
            self._note(what, address, width, value, 0, line, touched)
            self.wrong(wrong, section=self.AREAS)
        return touched

    def in_scratch(self, address: int, width: int) -> bool:
        try:
            self.ring.memory(address, width)
        except LookupError:
            return False
        return not self.near(address)

    def near(self, address: int) -> str:
        """ " (it is ... behind ...)" of an address that missed an area by a little."""
        for name, base, length in self.shape.areas:
            if base + length <= address < base + length + _NEAR:
                behind = plural(address - base - length, "byte")
                return f" (it is {behind} behind the end of the {self.AREA_WORDS[name]})"
        return ""

    def _too_large(self, value: int, width: int, touched: Sequence[Place]) -> NoReturn:
        bits = WIDTHS[width]
        where = touched[0].text if touched else "there"
        hint = ""
        if any(one.area.endswith("_idx") for one in touched):
            hint = ": an index wraps from 65535 to 0, keep it with & 0xffff"
        self.wrong(f"{value} is stored to {where} and does not fit in {bits} bits{hint}", section=self.INDEX)

    def at(self, area: str, index: int = 0, name: str = "") -> Place:
        """A field by its name."""
        return places.of(self.shape, area, index, name)

    @property
    def size(self) -> int:
        return self.shape.size

    # what subclasses know

    AREAS = "2.7"  #: section on the parts of a queue
    INDEX = "2.7.6"
    SIDE: ClassVar[Side] = Side.DRIVER  #: the half that is judged
    AREA_WORDS: ClassVar[Mapping[str, str]] = {
        "desc": "descriptor table",
        "driver": "available ring",
        "device": "used ring",
    }

    def loaded(self, at: Place) -> None:
        """A load has been noted."""

    def storing(self, at: Place, value: int, touched: Sequence[Place]) -> None:
        """A store is about to be performed."""

    def stored(self, at: Place, old: int) -> None:
        """It was performed."""

    def started(self, call: str, arguments: list[object]) -> None:
        """A call begins."""

    def returned(self, call: str, value: object, line: int) -> None:
        """A call has returned."""

    def gave_up(self, call: str, words: str, line: int) -> None:
        """A call has raised Broken."""
        if not self.lying:
            self.wrong(f"{call}() says the other side broke a rule ({words}); it did not", line=line)

    def would(self) -> str:
        """What the other side would make of memory as it stands."""
        return ""

    # calls

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.published, self.seen_count, self.used_count, self.collected

    def begin(self, call: str, arguments: list[object]) -> None:
        self.during = f"{call}()"
        self.begun = self.number
        self.started(call, arguments)

    def end(self, call: str, value: object, line: int) -> None:
        self.returned(call, value, line)
        self.during = ""

    # verdicts

    def wrong(
        self,
        what: str,
        *,
        would: str = "",
        section: str = "",
        line: int | None = None,
        access: int | None = None,
    ) -> NoReturn:
        """The test ends: `access` is to blame, or the last one; of a matter of a whole call, its `line`."""
        if line is not None:
            raise Judged(Wrong(what, would, section, line, access or 0))
        number = self.number if access is None else access
        blamed = self.accesses[number - 1] if number else None
        raise Judged(Wrong(what, would, section, blamed.line if blamed else 0, number))

    def decision(self, value: object, wanted: bool, why: str, line: int, how: Decision) -> None:
        """What a half decided about a notification, held against what the other side asked for."""
        if not isinstance(value, bool) and value not in (0, 1):
            self.wrong(f"{how.call}() returned {shown(value)}: it returns True or False", line=line)
        if bool(value) == wanted:
            return
        if wanted:
            words, would = f"says no, but the {how.other} asked for {how.what}", how.missed
        else:
            words, would = f"says yes, but the {how.other} asked for none", how.spare
        self.wrong(f"{how.call}() {words}: {why}", would=would, section=how.section, line=line)

    def advise(self, text: str) -> None:
        if text not in self.advice:
            self.advice.append(text)

    def writer(self, at: Place, since: int = 0) -> int:
        """Number of the last store to a field after access `since`; 0: there was none."""
        last = max((self.writers.get(a, 0) for a in range(at.address, at.address + at.width)), default=0)
        return last if last > since else 0

    def line_of(self, number: int) -> int:
        return self.accesses[number - 1].line if number else 0

    def unordered(self, fields: Sequence[Place], since: int) -> list[Access]:
        """Stores to these fields after `since` that changed something, and no barrier has come since them."""
        numbers = {self.writers.get(a, 0) for f in fields for a in range(f.address, f.address + f.width)}
        late = sorted(n for n in numbers if n > max(since, self.barrier))
        return [self.accesses[n - 1] for n in late if self.accesses[n - 1].value != self.accesses[n - 1].old]

    def undo(self, late: Sequence[Access]) -> None:
        """Put memory as the other side may see it that has not got these stores yet."""
        for access in reversed(late):
            self.ring.write(access.address, access.old.to_bytes(access.width, "little"), self.SIDE)


@dataclass(frozen=True, slots=True)
class Decision:
    """How a decision about a notification is told where it is wrong."""

    call: str  #: "kick_needed"
    other: str  #: who is notified
    what: str  #: "a kick"
    section: str
    missed: str  #: what comes of saying no
    spare: str  #: what comes of saying yes


@dataclass
class DriverJudge(Judge):
    """The account of buffers that the judges of both layouts keep of a driver half."""

    NAMED: ClassVar[str] = "head"  #: what names a buffer; packed: "id"

    waiting: list[Buffer] = field(default_factory=list)  #: added and not exposed
    out: dict[int, Buffer] = field(default_factory=dict)  #: exposed and not told to be used, by name
    back: list[Buffer | None] = field(default_factory=list)  #: told and not collected; None: a lie
    adding: Buffer | None = None
    decided: int = 0  #: what was exposed at the last decision about a kick

    @property
    def room(self) -> int:
        """Slots that a driver with a sound account has left."""
        held = sum(len(b.pieces) for b in (*self.out.values(), *self.waiting))
        return self.size - held - sum(len(b.pieces) for b in self.back if b)

    def started(self, call: str, arguments: list[object]) -> None:
        if call == "add":
            pieces = arguments[0]
            assert isinstance(pieces, list)
            self.adding = Buffer(tuple(Piece(*p) for p in pieces), since=self.begun)

    def gave_up(self, call: str, words: str, line: int) -> None:
        if self.lying and call == "collect" and self.back and self.back[0] is None:
            return
        super().gave_up(call, words, line)

    def would(self) -> str:
        """Our device takes one buffer from memory as it stands; what it got, in words."""
        taken = self.ring.next()
        if taken is None:
            device = self.ring.snapshot((0,)).queue(0).device
            if device is not None and device.broken:
                return f"Our device, asked now, gives the queue up: {device.broken.name}."
            return "Our device, asked now, sees no buffer."
        pieces = pieces_words([Piece(p.address, p.length, p.writable) for p in taken.pieces])
        return f"Our device, asked now, takes {self.NAMED} {taken.id}: {pieces or 'nothing'}."

    def forge(self, count: int, id: int) -> None:
        """Puts an id into the used element of buffer `count`, as a device does that breaks the rules."""
        raise NotImplementedError


def integer(value: object) -> int | None:
    """An int that is no bool, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def shown(value: object) -> str:
    """What a call returned, in words."""
    if isinstance(value, dict):
        return f"a {value.get('type')}"
    if isinstance(value, list):
        return f"({', '.join(shown(one) for one in value)})"
    number = integer(value)
    return str(value) if number is None else _number(number)
