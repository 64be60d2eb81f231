"""The bench: one half of somebody's against the other half, ours, call by call; what happened is kept.

A test is a function over a bench: it has the half called, moves our half by hand, and the judge listens. What
it leaves is a list of steps, each with a picture of the ring behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dataplane.bare import Bare, Done, Taken
from dataplane.bare import Piece as Part
from dataplane.records import Owner, Side
from dataplane.snapshot import DeviceState, DriverState
from dataplane.workshop.judge import Buffer, DriverJudge, Judge, Judged, Wrong, pieces_words, plural, shown
from dataplane.workshop.process import Ended, Process
from dataplane.workshop.ring import Piece
from dataplane.workshop.split_device import SplitDeviceJudge

_PRINTS = 60  #: lines kept of one test


@dataclass(frozen=True, slots=True)
class Moment:
    """The ring behind one step. `memory`: descriptor table, driver area and device area end to end.

    `counts`: published, seen, used, collected; `owner`, `buffer` and `head` have a value for each slot.
    `driver` or `device` is what our half has of its own; of the half that is judged nothing is known: None.
    """

    memory: bytes
    counts: tuple[int, int, int, int]
    owner: tuple[int, ...]
    buffer: tuple[int, ...]
    head: tuple[int, ...]
    driver: DriverState | None
    device: DeviceState | None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what happened.

    "call": a call of the half; "access": what it loaded or stored; "print": a line that it printed; "ours":
    something that our half did.
    """

    kind: Literal["call", "access", "print", "ours"]
    text: str
    line: int  #: of the learner's text, 0: none
    access: int  #: number of the access, 0: none
    moment: Moment


@dataclass
class Bench:
    """One test being run. `arguments` of calls and what they return cross as plain numbers."""

    ring: Bare
    judge: Judge
    process: Process | None = None
    steps: list[Step] = field(default_factory=list)
    printed: int = 0

    # the half that is judged

    def heard(self, message: list[Any]) -> int | None:
        """What the process says during a call."""
        match message:
            case ["load", int(address), int(width), int(line)]:
                return self.judge.load(address, width, line)
            case ["store", int(address), int(width), int(value), int(line)]:
                self.judge.store(address, width, value, line)
            case ["barrier", int(line)]:
                self.judge.barrier_made(line)
            case ["print", str(text), int(line)] if self.printed < _PRINTS:
                self.printed += 1
                self.said("print", text, line)
        return None

    def call(self, name: str, arguments: list[Any], words: str = "") -> Any:
        """Calls a method of the half; what it returned, judged. Judged where it is wrong."""
        assert self.process is not None
        self.said("call", f"{name}({words})", 0)
        self.judge.begin(name, arguments)
        try:
            back = self.process.call(name, arguments)
        except Ended as ended:
            self._ended(name, ended)
            return BROKEN
        self.judge.end(name, back.value, back.line)
        if name != "__init__" and back.value is not None:
            self.said("call", f"{name}() returned {shown(back.value)}", back.line)
        return back.value

    def _ended(self, name: str, ended: Ended) -> None:
        if ended.kind == "broken":
            self.judge.gave_up(name, ended.words, ended.line)
            self.said("call", f"{name}() raised Broken: {ended.words}", ended.line)
            return
        words = {
            "raised": f"{name}() raised {ended.words}",
            "endless": f"{name}() does not come to an end: {ended.words}",
        }.get(ended.kind, f"during {name}(): {ended.words}")
        raise Judged(Wrong(words, line=ended.line))

    def accessed(self) -> None:
        """An access has been noted, or a store performed: a step of its own."""
        last = self.judge.accesses[-1]
        if self.steps and self.steps[-1].access == last.number:
            self.steps.pop()
        self.said("access", last.words(), last.line, last.number)

    def said(
        self, kind: Literal["call", "access", "print", "ours"], text: str, line: int, access: int = 0
    ) -> None:
        self.steps.append(Step(kind, text, line, access, self.moment()))

    # the picture

    def moment(self) -> Moment:
        size = self.judge.shape.size
        owner, buffer, head = [int(Owner.FREE)] * size, [-1] * size, [0xFFFF] * size
        for one in self.judge.live:
            for slot in one.slots:
                owner[slot], buffer[slot], head[slot] = int(one.owner), one.position, one.slots[0]
        memory = b"".join(self.ring.memory(at, length) for _, at, length in self.judge.shape.areas[:3])
        ours = self.ring.snapshot((0,)).queue(0)
        return Moment(
            memory,
            self.judge.counts,
            tuple(owner),
            tuple(buffer),
            tuple(head),
            None if self.judge.SIDE is Side.DRIVER else ours.driver,
            None if self.judge.SIDE is Side.DEVICE else ours.device,
        )


BROKEN = "broken"  #: what `Bench.call` gives where the half raised Broken and was right


@dataclass
class DriverBench(Bench):
    """A driver half of somebody's, our device."""

    judge: DriverJudge

    def pieces(self, *lengths: int) -> list[Piece]:
        """Pieces somewhere in payload memory; a negative length is writable."""
        return [Piece(self.ring.place(abs(n)), abs(n), n < 0) for n in lengths]

    def add(self, *lengths: int) -> Any:
        pieces = self.pieces(*lengths)
        return self.call("add", [[list(p) for p in pieces]], f"[{pieces_words(pieces)}]")

    def publish(self) -> None:
        self.call("publish", [])

    def kick_needed(self) -> bool:
        return bool(self.call("kick_needed", []))

    def collect(self) -> Any:
        return self.call("collect", [])

    def take(self) -> Taken:
        """Our device takes a buffer; it must be there: the judge has seen it exposed."""
        taken = self.ring.next()
        if taken is None:
            raise Judged(Wrong("our device finds no buffer, although one was made available"))
        for one in self.judge.live:
            if one.position == taken.position:
                one.owner = Owner.IN_USE
        self.judge.seen_count += 1
        words = pieces_words([Piece(p.address, p.length, p.writable) for p in taken.pieces])
        self.said("ours", f"the device takes head {taken.head}: {words}", 0)
        return taken

    def use(self, *taken: Taken) -> None:
        """Our device completes buffers, in this order, and makes them visible."""
        for one in taken:
            self.ring.complete([one.done(one.writable)])
            for buffer in self.judge.live:
                if buffer.position == one.position:
                    buffer.owner, buffer.length = Owner.USED, one.writable
        self.ring.flush()
        self.judge.used_count += len(taken)
        heads = ", ".join(str(one.head) for one in taken)
        self.said("ours", f"the device used {heads} and moves used.idx", 0)

    def round(self, *lengths: int) -> None:
        """One buffer all the way round."""
        self.add(*lengths)
        self.publish()
        self.use(self.take())
        self.collect()

    def kicks(self, on: bool) -> None:
        """Our device asks for kicks, or for none."""
        if on:
            self.ring.kicks_on()
        else:
            self.ring.kicks_off()
        self.said("ours", f"the device wants {'a kick' if on else 'no kicks'}", 0)

    def lie(self, id: int, length: int = 0) -> None:
        """A device that breaks the rules: an element with this id, and used.idx behind it."""
        self.judge.lying = True
        self.ring.complete([Done(id % self.judge.shape.size, length, 1, False)])
        self.ring.flush()
        if id >= self.judge.shape.size:
            self.judge.forge(self.judge.used_count, id)
        self.judge.used_count += 1
        self.said("ours", f"a device that lies says that it used {id}", 0)


@dataclass
class DeviceBench(Bench):
    """A device half of somebody's, our driver."""

    judge: SplitDeviceJudge
    added: list[Buffer] = field(default_factory=list)

    def add(self, *lengths: int) -> int:
        """Our driver adds a buffer; its head or id."""
        parts = [Part(self.ring.place(abs(n)), abs(n), n < 0) for n in lengths]
        id = self.ring.add(parts)
        assert id is not None, "a test of the workshop overfills its own ring"
        pieces = tuple(Piece(p.address, p.length, p.writable) for p in parts)
        self.added.append(Buffer(pieces, id))
        self.said("ours", f"the driver adds {id}: {pieces_words(pieces)}", 0)
        return id

    def publish(self) -> None:
        """What was added becomes available; the judge learns which slots it has."""
        self.ring.publish()
        queue = self.ring.snapshot((0,)).queue(0)
        for one in self.added:
            one.position = self.judge.published
            one.slots = tuple(self.slots(one, queue.buffer.tolist()))
            one.owner = Owner.AVAILABLE
            self.judge.published += 1
            self.judge.live.append(one)
        count = plural(len(self.added), "buffer")
        self.added = []
        self.said("ours", f"the driver makes {count} available", 0)

    def slots(self, one: Buffer, holders: Sequence[int]) -> list[int]:
        """The slots of a buffer, its head first."""
        found = [slot for slot, position in enumerate(holders) if position == one.position]
        first = self.judge.first_slot(one, found)
        at = found.index(first)
        return found[at:] + found[:at]

    def next(self) -> Any:
        return self.call("next", [])

    def complete(self, id: int, length: int) -> None:
        self.call("complete", [id, length], f"{id}, {length}")

    def flush(self) -> None:
        self.call("flush", [])

    def call_needed(self) -> bool:
        return bool(self.call("call_needed", []))

    def collect(self) -> None:
        """Our driver takes a buffer back."""
        back = self.ring.collect()
        if back is None:
            raise Judged(Wrong("our driver finds nothing used, although the half made it visible"))
        self.judge.live = [one for one in self.judge.live if one.position != back.position]
        self.judge.collected += 1
        self.said("ours", f"the driver takes head {back.head} back, {back.length} bytes written", 0)

    def round(self, *lengths: int) -> None:
        """One buffer all the way round."""
        id = self.add(*lengths)
        self.publish()
        self.next()
        self.complete(id, -sum(n for n in lengths if n < 0))
        self.flush()
        self.collect()

    def calls(self, on: bool) -> None:
        """Our driver asks for calls, or for none."""
        if on:
            self.ring.calls_on()
        else:
            self.ring.calls_off()
        self.said("ours", f"the driver wants {'a call' if on else 'no calls'}", 0)
