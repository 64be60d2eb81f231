"""Breakpoints: a rule in one line of text, its parts, and the record the engine is given.

    parse("tx0 published > 500")           parse("driver tx0 slot 7 if free < 3 once after 10")
    text(rule)                             the same line again, in its plainest spelling
    encode(rules, shapes)                  BREAK records for `Pair.set_breaks`

What the engine cannot see (a display filter, a finding) is a rule of the same language; whoever reads the
source looks at it (`BreakRule.engine` is False). The language stands in `breaks_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.records import DEVICE_STATE, DRIVER_STATE, Kind, Side
from dataplane.snapshot import Array


class What(IntEnum):
    """What a rule waits for."""

    PASSES = 1  #: a count of buffers passes a value, or one every `period`
    SLOT = 2  #: a buffer that holds a descriptor slot is added, taken, completed or collected
    HEAD = 3  #: the same of a buffer with this head
    CHAIN = 4  #: a buffer has more elements than this
    FRAME = 5  #: a frame matches a capture filter
    EVENT = 6  #: an event of some kinds
    WRAP = 7  #: a wrap counter flipped (2.8.1)
    FILTER = 8  #: a frame matches a display filter: for whoever reads frames
    FINDING = 9  #: something is found wrong: for whoever reads snapshots


#: One rule as the engine has it, 72 bytes (`engine/breaks.h`).
BREAK = np.dtype(
    [
        ("id", "<u4"),
        ("what", "u1"),
        ("side", "u1"),  #: 255: either
        ("queue", "<u2"),  #: 65535: any
        ("kinds", "<u4"),  #: bit 1 << kind
        ("skip", "<u4"),  #: hits to let pass first
        ("once", "u1"),
        ("conditions", "u1"),
        ("program", "<u2"),  #: instructions of classic BPF; the programs stand end to end in order
        ("pad", "<u4"),
        ("value", "<u8"),
        ("period", "<u8"),
        (
            "tests",
            [("word", "<u2"), ("op", "u1"), ("pad", "u1", (5,)), ("value", "<u8")],
            (2,),
        ),
    ]
)
_ANY_SIDE, _ANY_QUEUE = 255, 0xFFFF
CONDITIONS_MAX = 2
OPERATORS = ("==", "!=", "<", "<=", ">", ">=")

#: The counts of buffers, each with the event that moves it.
COUNTS: Mapping[str, Kind] = MappingProxyType(
    {
        "added": Kind.ADD,
        "published": Kind.PUBLISH,
        "seen": Kind.NEXT,
        "completed": Kind.COMPLETE,
        "used": Kind.FLUSH,
        "collected": Kind.COLLECT,
    }
)
#: The free-running indices of a split queue, each with the event that moves it (2.7.6, 2.7.8).
INDICES: Mapping[str, Kind] = MappingProxyType({"avail.idx": Kind.PUBLISH, "used.idx": Kind.FLUSH})
WRAPS: Mapping[str, int] = MappingProxyType({"": 0, "avail": 1, "used": 2})

_DRIVER_WORDS = tuple(DRIVER_STATE.names or ())
_DEVICE_WORDS = tuple(DEVICE_STATE.names or ())


def _mask(*kinds: Kind) -> int:
    return sum(1 << kind for kind in kinds)


_TOUCHES = _mask(Kind.ADD, Kind.NEXT, Kind.COMPLETE, Kind.COLLECT)
_EVERY = _mask(*(kind for kind in Kind if kind not in (Kind.STORE, Kind.OWN, Kind.BREAK)))


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one of a side's own numbers, as it is behind the event: `free < 3`."""

    side: Side
    name: str  #: a field of `records.DRIVER_STATE` or `DEVICE_STATE`
    operator: str  #: one of `OPERATORS`
    value: int

    @property
    def word(self) -> int:
        """Which 8-byte word of the queue's own image (`keyframe.own_dtype`) it is."""
        if self.side is Side.DRIVER:
            return _DRIVER_WORDS.index(self.name)
        return len(_DRIVER_WORDS) + _DEVICE_WORDS.index(self.name)

    @property
    def text(self) -> str:
        both = self.side is Side.DEVICE and self.name in _DRIVER_WORDS
        return f"{'device.' if both else ''}{self.name} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class BreakRule:
    """One breakpoint. Its `id` is the caller's; `queue` and `side` are None for any.

    `value`: of PASSES the number that is passed (the first that is not below it fires), of SLOT and HEAD the
    slot, of CHAIN the elements that are still allowed, of EVENT what its `new` must be (0: anything).
    """

    what: What
    name: str = ""  #: PASSES: the count, the index or "lap"; EVENT: its word; WRAP: "avail", "used" or ""
    value: int = 0
    queue: str | None = None
    side: Side | None = None
    kinds: int = 0  #: EVENT: bit 1 << kind
    conditions: tuple[Condition, ...] = ()
    once: bool = False
    skip: int = 0
    expression: str = ""  #: FRAME, FILTER, FINDING: what is looked for
    program: bytes = b""  #: FRAME: the filter, compiled
    id: int = 0

    @property
    def engine(self) -> bool:
        """Whether the engine itself looks at it; else whoever reads the source does."""
        return self.what not in (What.FILTER, What.FINDING)


@dataclass(frozen=True, slots=True)
class BreakState:
    """What has become of a rule: `Pair.breaks_hit`."""

    id: int
    hits: int
    armed: bool
    stopped: int  #: number of the event behind which it stopped the pair last; 0: it never did


def _shape(rule: BreakRule, shapes: Sequence[QueueShape]) -> QueueShape | None:
    if rule.queue is None:
        return None
    for shape in shapes:
        if shape.name == rule.queue:
            return shape
    raise ValueError(f"no queue is called {rule.queue}; there are {', '.join(s.name for s in shapes)}")


def _passes(rule: BreakRule, concerned: Sequence[QueueShape]) -> tuple[int, int, int]:
    """(kinds, value, period) of a PASSES rule for the queues it concerns."""
    if rule.name in COUNTS:
        return _mask(COUNTS[rule.name]), rule.value, 0
    if rule.name == "lap":
        sizes = {shape.size for shape in concerned}
        if len(sizes) > 1:
            raise ValueError("the queues differ in size: say of which a lap is meant, such as 'tx0 lap'")
        size = sizes.pop() if sizes else 1
        return _mask(Kind.PUBLISH), size - 1, size
    for shape in concerned:
        if shape.packed:
            raise ValueError(
                f"{shape.name} is a packed queue: it has no {rule.name} (2.8); use published or used"
            )
    starts = {shape.start_index for shape in concerned}
    if len(starts) > 1:
        raise ValueError(f"the queues start at different indices: say whose {rule.name} is meant")
    start = starts.pop() if starts else 0
    return _mask(INDICES[rule.name]), (rule.value - start) & 0xFFFF, 1 << 16


def _check(rule: BreakRule, concerned: Sequence[QueueShape]) -> None:
    if not rule.engine:
        raise ValueError(f"a rule for {rule.what.name.lower()} is not for the engine: it cannot see that")
    if rule.what is What.WRAP and any(not shape.packed for shape in concerned):
        raise ValueError("a split queue has no wrap counter (2.8.1); use 'lap'")
    if rule.what in (What.SLOT, What.HEAD):
        largest = max((shape.size for shape in concerned), default=0)
        if rule.value >= largest:
            raise ValueError(f"slot {rule.value} does not exist: the queue has slots 0 to {largest - 1}")
    if rule.what is What.FRAME and (not rule.program or len(rule.program) % 8):
        raise ValueError("a capture filter must be compiled before the engine can run it")
    if len(rule.conditions) > CONDITIONS_MAX:
        raise ValueError(f"at most {CONDITIONS_MAX} conditions")


def kinds_of(rule: BreakRule) -> int:
    """The kinds of event at which a rule of the engine can stop, bit 1 << kind."""
    match rule.what:
        case What.PASSES:
            return _passes(rule, ())[0]
        case What.SLOT | What.HEAD | What.WRAP:
            return _TOUCHES
        case What.CHAIN:
            return _mask(Kind.NEXT if rule.side is Side.DEVICE else Kind.ADD)
        case What.FRAME:
            return _EVERY
        case _:
            return rule.kinds


def encode(rules: Iterable[BreakRule], shapes: Sequence[QueueShape]) -> tuple[Array, bytes]:
    """The rules as BREAK records, and their BPF programs end to end; `shapes` are the queues there are.

    ValueError with one line where a rule cannot be for these queues.
    """
    given = tuple(rules)
    rows = np.zeros(len(given), BREAK)
    programs = []
    for row, rule in zip(rows, given, strict=True):
        shape = _shape(rule, shapes)
        concerned = (shape,) if shape is not None else tuple(shapes)
        _check(rule, concerned)
        kinds, value, period = kinds_of(rule), rule.value, 0
        if rule.what is What.PASSES:
            kinds, value, period = _passes(rule, concerned)
        elif rule.what is What.WRAP:
            value = WRAPS[rule.name]
        side = Side.DEVICE if rule.what is What.FRAME else rule.side
        row["id"], row["what"], row["kinds"] = rule.id, rule.what, kinds
        row["side"] = _ANY_SIDE if side is None else side
        row["queue"] = _ANY_QUEUE if shape is None else shape.index
        row["skip"], row["once"] = rule.skip, rule.once
        row["value"], row["period"] = value, period
        row["program"] = len(rule.program) // 8
        row["conditions"] = len(rule.conditions)
        for test, condition in zip(row["tests"], rule.conditions, strict=False):
            test["word"], test["value"] = condition.word, condition.value
            test["op"] = OPERATORS.index(condition.operator)
        programs.append(rule.program)
    return rows, b"".join(programs)
