"""Every kind of breakpoint stops the engine right behind the event that a plain reading of the journal names.

The pair is stepped until a rule stops it, and then goes on without rules. From the whole journal the events
of every buffer are worked out again: its slots and elements as they stood in memory when it was published.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from capture.bpf import compile_bpf
from dataplane.breaks import COUNTS, BreakRule, What
from dataplane.breaks_text import parse
from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT
from dataplane.pair import Pair, PlayFrame
from dataplane.records import DEVICE_STATE, DRIVER_STATE, TO_DEVICE, TO_DRIVER, Kind, Path, Side
from dataplane.snapshot import Array
from tests.rings.staging import wait_until

_COUNTED = (Kind.ADD, Kind.NEXT, Kind.COMPLETE)
_SIZE = 8
_PORT = 4000
_WORDS = (*(DRIVER_STATE.names or ()), *(DEVICE_STATE.names or ()))  #: of a queue's own image


@dataclass(frozen=True)
class Buffer:
    head: int
    slots: tuple[int, ...]
    elements: int


def udp(port: int, length: int) -> bytes:
    body = bytes(max(length - 42, 0))
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return bytes(12) + b"\x08\0" + ip + struct.pack(">HHHH", 5000, port, 8 + len(body), 0) + body


def made(layout: str, path: Path = Path.AUTO, **options: Any) -> Pair:
    pair = Pair(layout=layout, queue_size=_SIZE, frozen=True, path=path, trace="stores", **options)  # type: ignore[arg-type]
    frames = [
        PlayFrame(0, way, udp(_PORT + i % 7, 60 + 700 * (i % 6)))
        for i in range(120)
        for way in (TO_DEVICE, TO_DRIVER)
    ]
    pair.play(frames, loop=False)
    pair.start()
    return pair


class Reading:
    """The journal of a pair, read again in plain Python from a first image on."""

    def __init__(self, first: Keyframe, rows: Array) -> None:
        self.shapes = {shape.index: shape for shape in first.shapes}
        self.names = {shape.name: shape.index for shape in first.shapes}
        self.memory: dict[int, int] = {}
        for shape, image in zip(first.shapes, first.memory, strict=True):
            at = 0
            for _, address, length in shape.areas:
                self.memory.update(
                    zip(range(address, address + length), image[at : at + length], strict=True)
                )
                at += length
        self.own = {shape.index: bytearray(own) for shape, own in zip(first.shapes, first.own, strict=True)}
        self.rows = rows[rows["number"] > first.number]
        self.buffers: dict[tuple[int, int], Buffer] = {}
        self.next_slot = {i: self._word(i, "driver", "avail_idx") for i in self.own}
        self.state: dict[int, dict[int, bytes]] = {}
        self.flips: dict[int, set[str]] = {}
        self._run()

    def _word(self, queue: int, side: str, name: str) -> int:
        image = np.frombuffer(bytes(self.own[queue]), own_dtype(self.shapes[queue].size))[0]
        return int(image[side][name])

    def _get(self, address: int, form: str) -> Any:
        raw = bytes(self.memory[address + i] for i in range(struct.calcsize(form)))
        return struct.unpack(form, raw)

    def _run(self) -> None:
        for row in self.rows:
            kind, queue, number = Kind(int(row["kind"])), int(row["queue"]), int(row["number"])
            if kind is Kind.STORE:
                data = int(row["new"]).to_bytes(8, "little")[: int(row["count"])]
                self.memory.update(enumerate(data, int(row["place"])))
            elif kind is Kind.OWN:
                at = int(row["place"])
                word = at // 8
                if word < len(_WORDS) and _WORDS[word].endswith("_wrap") and row["old"] != row["new"]:
                    self.flips.setdefault(number, set()).add(_WORDS[word])
                self.own[queue][at : at + 8] = int(row["new"]).to_bytes(8, "little")
            else:
                if kind is Kind.PUBLISH:
                    for position in range(int(row["old"]), int(row["new"])):
                        self.buffers[queue, position] = self._buffer(self.shapes[queue], position)
                self.state[number] = {queue: bytes(self.own[queue])} if queue in self.own else {}

    def _buffer(self, shape: QueueShape, position: int) -> Buffer:
        if shape.packed:
            head = slot = self.next_slot[shape.index]
        else:
            entry = (shape.start_index + position) % shape.size
            head = slot = self._get(shape.driver_addr + 4 + 2 * entry, "<H")[0]
        slots = []
        while True:
            _, length, third, fourth = self._get(shape.desc_addr + 16 * slot, "<QIHH")
            flags = fourth if shape.packed else third
            slots.append(slot)
            if flags & DESC_F_INDIRECT or not flags & DESC_F_NEXT:
                break
            slot = (slot + 1) % shape.size if shape.packed else fourth
        self.next_slot[shape.index] = (slot + 1) % shape.size
        elements = length // 16 if flags & DESC_F_INDIRECT else len(slots)
        return Buffer(head, tuple(slots), elements)

    # ---- what a rule means

    def first(self, rule: BreakRule, frames: dict[int, set[int]]) -> int | None:
        """The event behind which this rule stops, None: it never does."""
        hits = 0
        for row in self.rows:
            kind = Kind(int(row["kind"]))
            if kind in (Kind.STORE, Kind.OWN, Kind.BREAK, Kind.FREEZE, Kind.RUN, Kind.LEVEL):
                continue
            if self._matches(rule, row, kind, frames) and self._holds(rule, row):
                hits += 1
                if hits > rule.skip:
                    return int(row["number"])
        return None

    def _holds(self, rule: BreakRule, row: Any) -> bool:
        for condition in rule.conditions:
            image = self.state[int(row["number"])][int(row["queue"])]
            value = int.from_bytes(image[8 * condition.word : 8 * condition.word + 8], "little")
            want = condition.value
            if not {
                "==": value == want, "!=": value != want, "<": value < want,
                "<=": value <= want, ">": value > want, ">=": value >= want,
            }[condition.operator]:  # fmt: skip
                return False
        return True

    def _matches(self, rule: BreakRule, row: Any, kind: Kind, frames: dict[int, set[int]]) -> bool:
        queue, number = int(row["queue"]), int(row["number"])
        if rule.queue is not None and self.names[rule.queue] != queue:
            return False
        if rule.side is not None and int(row["side"]) != rule.side:
            return False
        if kind in _COUNTED:
            moved = range(int(row["place"]), int(row["place"]) + int(row["count"]))
        else:
            moved = range(int(row["old"]), int(row["new"]))
        match rule.what:
            case What.EVENT:
                return bool(rule.kinds >> kind & 1) and (not rule.value or int(row["new"]) == rule.value)
            case What.WRAP:
                flips = self.flips.get(number, set())
                return bool(flips) if not rule.name else f"{rule.name}_wrap" in flips
            case What.FRAME:
                return kind is Kind.COMPLETE and bool(frames.get(queue, set()) & set(moved))
            case What.PASSES if rule.name in COUNTS:
                return kind is COUNTS[rule.name] and rule.value in moved
            case What.PASSES if rule.name == "lap":
                return kind is Kind.PUBLISH and any((p + 1) % self.shapes[queue].size == 0 for p in moved)
            case What.PASSES:
                index = (self.shapes[queue].start_index + p for p in moved)
                wanted = Kind.PUBLISH if rule.name == "avail.idx" else Kind.FLUSH
                return kind is wanted and any(i & 0xFFFF == rule.value for i in index)
            case What.SLOT | What.HEAD:
                if kind not in (*_COUNTED, Kind.COLLECT):
                    return False
                buffers = [self.buffers[queue, p] for p in moved]
                return any(rule.value in (b.slots if rule.what is What.SLOT else (b.head,)) for b in buffers)
            case What.CHAIN:
                wanted = Kind.NEXT if rule.side is Side.DEVICE else Kind.ADD
                return kind is wanted and any(self.buffers[queue, p].elements > rule.value for p in moved)
        return False


def go(pair: Pair, operations: int) -> bool:
    """Steps both sides in turn; whether a breakpoint ended it."""
    for _ in range(operations):
        for side in Side:
            pair.step(side, "operation", 3)
            if any(state.stopped for state in pair.breaks_hit()):
                return True
    return False


def matching(pair: Pair, program: bytes | None) -> dict[int, set[int]]:
    """The positions of logged frames to the port that the filter of these tests asks for, by queue."""
    found: dict[int, set[int]] = {}
    frames = pair.frames()
    for row, at in zip(frames.rows, frames.offsets.tolist(), strict=True):
        if bytes(frames.data[at + 36 : at + 38]) == struct.pack(">H", _PORT + 3):
            first = int(row["position"])
            found.setdefault(int(row["queue"]), set()).add(first + int(row["buffers"]) - 1)
    return found


def compiled(line: str) -> BreakRule:
    return replace(parse(line, compile=lambda text: compile_bpf(text).instructions), id=7)


ANY = [
    "tx0 published > 20",
    "rx0 seen > 9",
    "used >= 12 tx0",
    "tx0 collected > 5",
    "rx0 completed > 11",
    "tx0 added > 17",
    "tx0 lap after 1",
    "rx0 slot 5",
    "device tx0 slot 3",
    "driver rx0 head 6 after 3",
    "device tx0 head 6",
    "kick sent rx0",
    "kick quiet",
    "call sent",
    "call tx0",
    "tx0 publish after 3",
    "tx0 collect if free > 5",
    "tx0 publish if in_flight > 2 and free < 6",
    "device tx0 next if device.holding > 1",
    "device rx0 flush if device.holding == 0",
    "sleep",
    "wake after 1",
    f"bpf udp dst port {_PORT + 3}",
    f"rx0 bpf udp dst port {_PORT + 3} ",
]


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("line", ANY)
def test_it_stops_right_behind_the_event(layout: str, line: str) -> None:
    stops_where_it_should(layout, line)


@pytest.mark.parametrize("line", ["tx0 avail.idx > 65533", "rx0 used.idx > 4", "tx0 avail.idx > 3 after 0"])
def test_indices_of_a_split_queue(line: str) -> None:
    stops_where_it_should("split", line, start_index=65530)


@pytest.mark.parametrize(
    "line", ["wrap flips tx0", "wrap used flips rx0", "device wrap avail flips", "driver wrap used flips"]
)
def test_what_only_a_packed_queue_has(line: str) -> None:
    stops_where_it_should("packed", line)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("path", [Path.CHAIN, Path.INDIRECT, Path.AUTO])
@pytest.mark.parametrize(
    "line", ["tx0 chain > 1", "device tx0 chain > 2", "tx0 chain > 2 once", "tx0 slot 4 after 2"]
)
def test_chains(layout: str, path: Path, line: str) -> None:
    stops_where_it_should(layout, line, path)


def stops_where_it_should(layout: str, line: str, path: Path = Path.AUTO, **options: Any) -> None:
    rule = compiled(line)
    with made(layout, path, **options) as pair:
        first = pair.keyframe()
        assert first is not None
        pair.set_breaks([rule])
        ended = go(pair, 120)
        state = pair.breaks_hit()[0]
        reached = pair.snapshot(()).number
        pair.set_breaks([])
        go(pair, 60)
        rows = pair.events(most=1 << 16).rows
        reading = Reading(first, rows)
        expected = reading.first(rule, matching(pair, rule.program or None))
    assert expected is not None, "the oracle never sees it: the test shows nothing"
    assert ended and (state.id, state.stopped) == (7, expected)
    told = rows[rows["kind"] == Kind.BREAK]
    assert told["new"].tolist() == [expected] and told["place"].tolist() == [7]
    side = rows[(rows["number"] == expected) & (rows["kind"] != Kind.OWN)]["side"][0]
    behind = rows[(rows["number"] > expected) & (rows["number"] <= reached) & (rows["side"] == side)]
    assert not set(behind["kind"].tolist()) - {Kind.BREAK, Kind.FREEZE, Kind.OWN}  # the side went no further


@pytest.fixture
def running() -> Iterator[Pair]:
    with Pair(layout="packed", queue_size=64) as pair:
        pair.flood(length=64)
        yield pair


def test_a_running_pair_is_frozen_by_it(running: Pair) -> None:
    running.set_breaks([replace(parse("tx0 published > 100000"), id=3)])
    running.start()
    wait_until(lambda: running.frozen, "the breakpoint")
    state = running.breaks_hit()[0]
    queue = running.snapshot(()).queue(1)
    assert state.hits == 1 and state.stopped and 100_000 < queue.published < 100_000 + 64 + 32
    running.set_breaks([])
    running.run()
    assert not running.frozen


def test_once_and_hits_and_new_rules(running: Pair) -> None:
    lines = ["tx0 lap once after 4", "tx0 published > 1000000000", "rx0 kick quiet"]
    running.set_breaks([replace(parse(line), id=i) for i, line in enumerate(lines)][:2])
    running.start()
    wait_until(lambda: running.frozen, "the breakpoint")
    once, never = running.breaks_hit()
    assert (once.hits, once.armed, never.hits, never.armed) == (5, False, 0, True)
    running.run()
    running.freeze()
    assert running.breaks_hit()[0].hits == 5  # it looks no more
    running.set_breaks([])
    assert running.breaks_hit() == ()
    with pytest.raises(ValueError, match="slots 0 to 63"):
        running.set_breaks([parse("slot 9999")])


def test_all_rules_that_an_event_meets_are_told() -> None:
    with made("split") as pair:
        pair.set_breaks(
            [replace(parse(line), id=i) for i, line in enumerate(["tx0 publish", "tx0 published > 0"], 1)]
        )
        assert go(pair, 40)
        first, second = pair.breaks_hit()
        assert first.stopped == second.stopped > 0
        told = pair.events().rows
        told = told[told["kind"] == Kind.BREAK]
        assert sorted(told["place"].tolist()) == [1, 2] and set(told["new"].tolist()) == {first.stopped}


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_rule_for_a_buffer_that_the_device_holds_already(layout: str) -> None:
    with made(layout) as pair:
        for _ in range(200):
            pair.step(Side.DRIVER)
            pair.step(Side.DEVICE)
            taken = pair.events().rows
            taken = taken[(taken["kind"] == Kind.NEXT) & (taken["queue"] == 1)]
            if len(taken) and pair.snapshot(()).queue(1).device.holding:
                break
        else:
            pytest.fail("the device never held a buffer")
        pair.set_breaks([replace(parse(f"device tx0 slot {taken['slot'][-1]}"), id=1)])
        pair.step(Side.DEVICE)
        assert pair.events().rows["kind"][-1] in (Kind.COMPLETE, Kind.BREAK)
        assert pair.breaks_hit()[0].hits == 1


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_rules_for_more_slots_than_there_are_groups(layout: str) -> None:
    with Pair(layout=layout, queue_size=512) as pair:  # type: ignore[arg-type]
        pair.flood(length=64)
        pair.set_breaks(
            [replace(parse(f"driver tx0 slot {2 * i} after 1000000000"), id=i) for i in range(256)]
        )
        pair.start()
        wait_until(lambda: pair.breaks_hit()[0].hits > 20, "ten laps")
        pair.freeze()
        hits = [rule.hits for rule in pair.breaks_hit()]
        assert max(hits) - min(hits) <= 2  # one of a lap's two: added and collected
