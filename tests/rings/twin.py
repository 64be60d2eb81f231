"""Engine and model side by side: every operation is done by both, and every byte and answer compared.

A `Tape` turns a string of bytes into a sequence of operations, so that hypothesis can shrink one that fails.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from model import TABLE_ENTRIES, Chain, Done, Memory, Piece, Returned, Shape
from model_packed import PackedDevice, PackedDriver, packed_start
from model_split import SplitDevice, SplitDriver, split_start

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.records import DEVICE_STATE, DRIVER_STATE, QUEUE_HEADER, Label, Owner, Reason

BASE = 0x100000  #: where the engine's own memory begins
SCRATCH = 4096  #: bytes for buffers
BURST = 32


def _words(dtype: np.dtype[Any], base: int = 0, prefix: str = "") -> dict[str, int]:
    """The place of each field among the 64-bit words of a snapshot's header."""
    assert dtype.fields is not None
    return {prefix + name: (base + field[1]) // 8 for name, field in dtype.fields.items()}


_FIELDS = _words(QUEUE_HEADER)
_FIELDS |= _words(DRIVER_STATE, 8 * _FIELDS["driver"], "driver.")
_FIELDS |= _words(DEVICE_STATE, 8 * _FIELDS["device"], "device.")
_HEADER = struct.Struct(f"<{QUEUE_HEADER.itemsize // 8}Q")


class Setting(NamedTuple):
    """One queue to try."""

    packed: bool
    size: int
    indirect: bool = True
    event_idx: bool = True
    in_order: bool = False
    start: int = 0
    wrap: int = 1

    @property
    def features(self) -> int:
        bits = [f.F_VERSION_1]
        bits += [f.F_RING_PACKED] if self.packed else []
        bits += [f.F_INDIRECT_DESC] if self.indirect else []
        bits += [f.F_EVENT_IDX] if self.event_idx else []
        bits += [f.F_IN_ORDER] if self.in_order else []
        return f.mask(*bits)


def bare_engine(setting: Setting, *, scratch: int = SCRATCH, trace_events: int = 64) -> Engine:
    """A queue without a device type, brought up step by step."""
    engine = Engine(
        bare=True,
        packed=setting.packed,
        size=setting.size,
        offered=setting.features,
        scratch=scratch,
        trace_events=trace_events,
        frame_bytes=64,
        start_index=setting.start,
        start_wrap=setting.wrap,
    )
    for status in (f.STATUS_ACKNOWLEDGE, f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER):
        engine.write_status(status)
    engine.write_features(setting.features, False)
    status = engine.write_status(11)
    assert status & f.STATUS_FEATURES_OK, engine.info()["refused"]
    engine.setup()
    engine.write_status(status | f.STATUS_DRIVER_OK)
    return engine


def pack(pieces: list[Piece]) -> bytes:
    return b"".join(struct.pack("<QII", *p) for p in pieces)


class Twin:
    """One queue, twice. Every method does one operation on both and compares."""

    def __init__(self, setting: Setting, *, trace_events: int = 64) -> None:
        self.setting = setting
        self.engine = bare_engine(setting, trace_events=trace_events)
        self.scratch = int(self.engine.info()["scratch"])
        self.memory = Memory(BASE, bytearray(self.scratch + SCRATCH - BASE))
        self.copy = bytearray(len(self.memory.data))
        self.header = bytearray(self.engine.room(0, False))
        head = self.state()
        desc, driver, device = (head[_FIELDS[name]] for name in ("desc_addr", "driver_addr", "device_addr"))
        self.shape = Shape(
            setting.size,
            desc,
            driver,
            device,
            self.engine.tables(0)[0],
            setting.indirect,
            setting.event_idx,
            setting.in_order,
        )
        self.driver: SplitDriver | PackedDriver
        self.device: SplitDevice | PackedDevice
        start = packed_start if setting.packed else split_start
        self.driver, self.device = start(self.shape, self.memory, setting.start, setting.wrap)
        self.held: list[Chain] = []  #: taken by the device and not completed
        self.unshown: list[int] = []  #: positions completed and not flushed
        self.shown: set[int] = set()  #: positions flushed and not collected
        self.spans = 0  #: taken since the device last held nothing
        self.token = 0
        self.operations = 0
        self.compare("start")

    def close(self) -> None:
        self.engine.close()

    def state(self) -> tuple[int, ...]:
        self.engine.snapshot(0, False, self.header)
        return _HEADER.unpack(self.header)

    # ---- comparing -------------------------------------------------------------------------------------

    def compare(self, what: str) -> None:
        self.operations += 1
        assert self.engine.peek(BASE, self.copy)
        if self.copy != self.memory.data:
            raise AssertionError(f"{what}: {self.difference()}")
        state = self.state()
        for name, value in self.expected().items():
            assert state[_FIELDS[name]] == value, f"{what}: {name} is {state[_FIELDS[name]]}, not {value}"

    def difference(self) -> str:
        at = next(i for i, (a, b) in enumerate(zip(self.copy, self.memory.data, strict=True)) if a != b)
        areas = {n: getattr(self.shape, n) for n in ("desc", "driver", "device", "tables")}
        name = max((n for n in areas if areas[n] <= BASE + at), key=lambda n: areas[n])
        base = areas[name] - BASE
        word = slice(at & ~7, (at & ~7) + 8)
        engine, model = self.copy[word].hex(" "), self.memory.data[word].hex(" ")
        return f"{name} + {at - base}: engine {engine}, model {model}"

    def expected(self) -> dict[str, int]:
        driver, device = self.driver, self.device
        unshown = device.completed - device.used  # a snapshot takes more than N for counts that raced
        return {
            **{f"driver.{name}": value for name, value in driver.private().items()},
            **{f"device.{name}": value for name, value in device.private().items()},
            "driver.published": driver.published,
            "driver.collected": driver.collected,
            "driver.in_flight": driver.published - driver.collected,
            "driver.added": driver.added - driver.published,
            "driver.broken": driver.broken,
            "driver.event_used": driver.decision.event,
            "driver.event_old": driver.decision.old,
            "driver.event_new": driver.decision.new,
            "device.seen": device.seen,
            "device.used": device.used,
            "device.holding": device.holding,
            "device.unflushed": unshown if unshown <= self.setting.size else 0,
            "device.broken": device.broken,
            "device.event_used": device.decision.event,
            "device.event_old": device.decision.old,
            "device.event_new": device.decision.new,
        }

    def compare_owners(self) -> None:
        """Of a queue at rest: whose turn it is with each slot, its buffer and the slot of its head."""
        room = bytearray(self.engine.room(0, True))
        queue = decode.queue(bytes(memoryview(room)[: self.engine.snapshot(0, True, room)]), True)
        size = self.setting.size
        owner, buffer, head = [Owner.FREE] * size, [-1] * size, [0xFFFF] * size
        for b in self.driver.out.values():
            if b.position >= self.driver.published:
                continue
            turn = Owner.AVAILABLE if b.position >= self.device.seen else Owner.IN_USE
            turn = Owner.USED if b.position in self.shown else turn
            mine = [slot for slot in b.slots if queue.buffer[slot] == b.position]
            if b.position in self.unshown and any(queue.owner[slot] == Owner.USED for slot in mine):
                turn = Owner.USED  # written and not shown yet: either
            for slot in b.slots:
                owner[slot], buffer[slot], head[slot] = turn, b.position, b.slots[0]
        assert queue.exact
        assert queue.owner.tolist() == owner
        assert queue.buffer.tolist() == buffer
        assert queue.head.tolist() == head
        if not (self.setting.packed and self.unshown):  # used elements half shown stand over descriptors
            assert Label.IN_FLUX not in queue.label.tolist()

    # ---- the driver ------------------------------------------------------------------------------------

    def add(self, pieces: list[Piece], table: bool = False) -> int | None:
        self.token += 1
        answers: list[int | str | None] = []
        for add in (self.engine_add, self.driver.add):
            try:
                answers.append(add(pieces, self.token, table))
            except ValueError:
                answers.append("refused")
        assert answers[0] == answers[1], f"add {len(pieces)} pieces, table {table}: {answers}"
        self.compare("add")
        return answers[0] if isinstance(answers[0], int) else None

    def engine_add(self, pieces: list[Piece], token: int, table: bool) -> int | None:
        answer = self.engine.add(0, pack(pieces), table, token)
        return None if answer < 0 else answer

    def collect(self) -> Returned | None:
        answer, expected = self.engine.collect(0), self.driver.collect()
        assert answer == expected, f"collect: {answer}, not {expected}"
        if expected:
            self.shown.discard(expected.position)
        self.compare("collect")
        return expected

    def publish(self) -> None:
        self.engine.verb(0, "publish")
        self.driver.publish()
        self.compare("publish")

    # ---- the device ------------------------------------------------------------------------------------

    def next(self) -> Chain | None:
        if self.spans > self.setting.size + 4 * BURST:  # room for one more chain is no longer certain
            self.complete([Done(0, c.id, c.slots, has_writable(c)) for c in self.held[:BURST]], False)
            return None
        answer, expected = self.engine.next(0), self.device.next()
        assert (answer is None) == (expected is None), f"next: {answer}, not {expected}"
        if answer and expected:
            got = Chain(*answer[:5], bool(answer[5]), Reason(answer[6]), tuple(unpack(answer[7])))
            assert got == expected, f"next: {got}, not {expected}"
            self.held.append(expected)
            self.spans += expected.descriptors
        self.compare("next")
        return expected

    def complete(self, done: list[Done], batch: bool) -> None:
        self.engine.complete(0, b"".join(struct.pack("<IHHI", *d) for d in done), batch)
        self.device.complete(done, batch)
        ids = {d.id for d in done}
        self.unshown += [c.position for c in self.held if c.id in ids]
        self.held = [c for c in self.held if c.id not in ids]
        if not self.held:
            self.spans = 0
        self.compare("complete")

    def flush(self) -> None:
        self.engine.verb(0, "flush")
        self.device.flush()
        self.shown.update(self.unshown)
        self.unshown.clear()
        self.compare("flush")

    # ---- both ------------------------------------------------------------------------------------------

    def ask(self, verb: str) -> bool | None:
        """kick_needed, calls_on, calls_off of the driver; call_needed, kicks_on, kicks_off of the device."""
        side = self.driver if verb in ("kick_needed", "calls_on", "calls_off") else self.device
        answer = self.engine.verb(0, verb)
        expected: bool | None = getattr(side, verb)()
        assert answer == expected, f"{verb}: {answer}, not {expected}"
        self.compare(verb)
        return expected

    def poke(self, address: int, data: bytes) -> None:
        """What a hostile other side would write."""
        assert self.engine.poke(address, data)
        self.memory.data[address - BASE : address - BASE + len(data)] = data
        self.compare("poke")


def has_writable(chain: Chain) -> bool:
    return any(p.writable for p in chain.pieces)


def unpack(pieces: bytes) -> list[Piece]:
    return [Piece(a, n, bool(w)) for a, n, w in struct.iter_unpack("<QII", pieces)]


@dataclass
class Tape:
    """Bytes read one by one; behind the end come zeros, and zeros at the end do not count."""

    data: bytes
    at: int = 0

    def __post_init__(self) -> None:
        self.data = self.data.rstrip(b"\0")

    @property
    def over(self) -> bool:
        return self.at >= len(self.data)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def below(self, limit: int) -> int:
        value = self.byte()
        return (value if limit <= 256 else value | self.byte() << 8) % limit


VERBS = ("kick_needed", "calls_on", "calls_off", "call_needed", "kicks_on", "kicks_off")
#: What a byte of the tape chooses from; what keeps buffers going stands in it more than once.
DRAW = (
    *("add",) * 5,
    *("publish",) * 3,
    *("next",) * 4,
    *("complete",) * 3,
    *("flush",) * 3,
    *("collect",) * 4,
    *VERBS,
    *("lap", "next_all", "collect_all", "refused"),
)


@dataclass
class Sequence:
    """Plays a tape on a twin. `shuffle`: completed in any order; `hostile`: ring memory is poked."""

    twin: Twin
    tape: Tape
    shuffle: bool = False
    hostile: bool = False
    mutations: int = 48  #: of 256, before each operation
    counts: Counter[str] = field(default_factory=Counter)

    def play(self) -> int:
        """Plays the whole tape; the operations done."""
        while not self.tape.over:
            if self.hostile and self.tape.byte() < self.mutations:
                self.poke()
            name = DRAW[self.tape.below(len(DRAW))]
            self.counts[name] += 1
            if name in VERBS:
                self.twin.ask(name)
            elif name in ("publish", "next", "flush", "collect"):
                getattr(self.twin, name)()
            else:
                getattr(self, name)()
        return self.twin.operations

    def pieces(self, count: int) -> list[Piece]:
        """Readable ones first. Lengths of 0 are rare, and legal for a driver of ours to be asked for."""
        writable = self.tape.below(count + 1)
        made = []
        for i in range(count):
            shape = self.tape.byte()
            offset = 8 * shape
            length = (1, 12, 64, 256, 1514, 16, 2048, 100)[shape >> 2 & 7] if shape != 255 else 0
            made.append(
                Piece(self.twin.scratch + offset, min(length, SCRATCH - offset), i >= count - writable)
            )
        return made

    def add(self) -> None:
        size = self.twin.setting.size
        table = self.twin.setting.indirect and self.tape.byte() & 1 == 1
        most = min(size, TABLE_ENTRIES) if table else size
        count = (1, 1, 1, 2, 3, 1 + self.tape.below(most), most, 1 + self.tape.below(8))[self.tape.below(8)]
        self.twin.add(self.pieces(count), table)

    def refused(self) -> None:
        """What can never fit, or must not be offered: refused, and nothing changed."""
        size = self.twin.setting.size
        most = min(size, TABLE_ENTRIES)
        tail = Piece(self.twin.scratch, 1, False)
        for pieces, table in (
            (self.pieces(size + 1), False),
            (self.pieces(most + 1), True),
            ([], False),
            ([tail._replace(writable=True), tail], False),
            *([] if self.twin.setting.indirect else [([tail], True)]),
        ):
            assert self.twin.add(pieces, table) is None
            assert len(self.twin.driver.out) + self.twin.driver.collected == self.twin.driver.added

    def complete(self) -> None:
        held = list(self.twin.held)
        if not held:
            return
        count = 1 + self.tape.below(min(len(held), BURST))
        batch = self.tape.byte() & 1 == 1
        if self.shuffle and not self.twin.setting.in_order:
            chosen = [held.pop(self.tape.below(len(held))) for _ in range(count)]
        else:
            chosen = held[:count]
        self.twin.complete([self.done(c) for c in chosen], batch)

    def done(self, chain: Chain) -> Done:
        writable = sum(p.length for p in chain.pieces if p.writable)
        length = 0 if chain.reason else (0, writable, writable // 2, min(1, writable))[self.tape.below(4)]
        return Done(length, chain.id, chain.slots, has_writable(chain))

    def next_all(self) -> None:
        while self.twin.next():
            pass

    def collect_all(self) -> None:
        while self.twin.collect():
            pass

    def lap(self) -> None:
        """The way a buffer goes, once round."""
        self.add()
        self.twin.publish()
        self.twin.ask("kick_needed")
        self.next_all()
        self.complete()
        self.twin.flush()
        self.twin.ask("call_needed")
        self.collect_all()

    def poke(self) -> None:
        """One field somewhere in the rings gets a value that it should not have."""
        twin, shape, size = self.twin, self.twin.shape, self.twin.setting.size
        slot = self.tape.below(size)
        area = self.tape.below(10)
        if area < 5:
            offset, width = ((0, 8), (8, 4), (12, 2), (14, 2), (15, 1))[area]
            address = shape.desc + 16 * slot + offset
        elif area < 7:
            width = 2
            address = shape.driver + 2 * self.tape.below(2 if twin.setting.packed else size + 3)
        elif area < 9:
            width = 2
            address = shape.device + 2 * self.tape.below(2 if twin.setting.packed else 4 * size + 3)
        elif twin.setting.indirect:
            offset, width = ((0, 8), (8, 4), (12, 2), (14, 2))[self.tape.below(4)]
            address = shape.tables + 16 * TABLE_ENTRIES * slot + 16 * self.tape.below(4) + offset
        else:
            return
        old = int.from_bytes(twin.memory.data[address - BASE : address - BASE + width], "little")
        pick = self.tape.below(14)
        values = (0, 1, 2, 4, size - 1, size, size + 1, old ^ 1, old + 1, old - 1, old ^ 0x8080, 0x7FFF, -1)
        value = values[pick] if pick < len(values) else 1 << self.tape.below(8 * width)
        self.counts["poke"] += 1
        twin.poke(address, (value & (1 << 8 * width) - 1).to_bytes(width, "little"))
