"""What a scenario can ask of one moment: the names, what stands behind each, and in which words it answers.

The names are a tree: queues by name, below them the fields of the spec and each side's own copies. It is
made for a scenario's own pair, so that a name that is not there is told before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

from dataplane import layout
from dataplane.records import LABEL_MASK, Kind, Label, Owner, Path, Reason
from dataplane.script.table import near
from dataplane.snapshot import Snapshot

Get = Callable[[Any], Any]
Node = "Leaf | Record | Rows"
_TABLE = 64  #: entries of an indirect table at most


@dataclass(frozen=True)
class Leaf:
    """A number. `words` name values; with `flags` they name bits, and a value may have several."""

    words: Mapping[str, int] = field(default_factory=dict)
    flags: bool = False
    hexadecimal: bool = False

    def spell(self, value: int) -> str:
        """The value in the words that a scenario would use for it."""
        if self.flags:
            names = [name for name, bit in self.words.items() if bit and value & bit]
            rest = value & ~sum(self.words[name] for name in names)
            return "|".join([*names, *([f"0x{rest:x}"] if rest or not names else [])]) if value else "0"
        for name, number in self.words.items():
            if number == value:
                return name
        return f"0x{value:x}" if self.hexadecimal else str(value)


@dataclass(frozen=True)
class Record:
    """Named fields."""

    fields: Mapping[str, tuple[Leaf | Record | Rows, Get]]


@dataclass(frozen=True)
class Rows:
    """Numbered rows of one kind."""

    length: int
    row: Leaf | Record | Rows


@dataclass(frozen=True)
class Moment:
    """What is there to be asked: `events` are those of the step, by queue and kind."""

    snapshot: Snapshot
    events: Mapping[tuple[int, Kind], int]
    traffic: Mapping[str, Mapping[str, int]]  #: by "to_device" and "to_driver"
    hits: Mapping[str, int]  #: of faults and breakpoints, by name
    step: Mapping[str, int]  #: what the step's action gave back


def _words(enum: Any) -> dict[str, int]:
    return {member.name.lower(): int(member) for member in enum}


NUMBER, ADDRESS = Leaf(), Leaf(hexadecimal=True)
_TRUTH = Leaf({"false": 0, "true": 1})
_DESC_FLAGS = {
    "NEXT": layout.DESC_F_NEXT,
    "WRITE": layout.DESC_F_WRITE,
    "INDIRECT": layout.DESC_F_INDIRECT,
}
_PACKED_FLAGS = {**_DESC_FLAGS, "AVAIL": layout.PACKED_F_AVAIL, "USED": layout.PACKED_F_USED}
_EVENT_FLAGS = {"ENABLE": layout.EVENT_ENABLE, "DISABLE": layout.EVENT_DISABLE, "DESC": layout.EVENT_DESC}
_STATUS = {
    "ACKNOWLEDGE": 1,
    "DRIVER": 2,
    "DRIVER_OK": 4,
    "FEATURES_OK": 8,
    "DEVICE_NEEDS_RESET": 64,
    "FAILED": 128,
}
_ANSWERS = {"none": 0, "quiet": 1, "sent": 2}
_KINDS = {kind.name.lower(): kind for kind in Kind if kind != Kind.OWN}
_SIDE = ("frames", "bytes", "drops", "turns", "avail_wrap", "used_wrap")
_DRIVER = (*_SIDE, "avail_idx", "last_used", "free", "free_head", "in_flight", "added")
_DEVICE = (*_SIDE, "last_avail", "used_idx", "holding", "unflushed")
_COUNTS = ("size", "generation", "published", "seen", "used", "collected")
STEP = ("moved", "answer", "length", "id")
TRAFFIC = ("sent", "arrived", "altered", "lost", "waiting")


def _own(names: Sequence[str], **more: tuple[Leaf, Get]) -> Record:
    fields: dict[str, tuple[Leaf | Record | Rows, Get]] = {name: (NUMBER, attrgetter(name)) for name in names}
    fields |= {name: (_TRUTH, attrgetter(name)) for name in ("polling", "asleep")}
    return Record({**fields, "broken": (Leaf(_words(Reason)), attrgetter("broken")), **more})


_NOTIFY = Record(
    {
        "sent": (NUMBER, attrgetter("sent")),
        "quiet": (NUMBER, attrgetter("quiet")),
        "received": (NUMBER, attrgetter("received")),
        "pending": (NUMBER, attrgetter("pending")),
        "answer": (Leaf(_ANSWERS), lambda notify: _ANSWERS[notify.answer]),
        "event": (NUMBER, attrgetter("event")),
        "old": (NUMBER, attrgetter("old")),
        "new": (NUMBER, attrgetter("new")),
    }
)


def _table(slot: int, queue: Any) -> Any:
    if slot not in queue.tables:
        raise LookupError(f"no indirect table hangs on slot {slot}")
    return queue.tables[slot]


def _queue(index: int, size: int, packed: bool) -> Record:
    """The fields of one queue, read from (its snapshot, the moment)."""

    def of(get: str) -> Get:
        attribute = attrgetter(get)
        return lambda both: attribute(both[0])

    def event(kind: Kind) -> Get:
        return lambda moment: moment.events.get((index, kind), 0)

    flags = Leaf(_PACKED_FLAGS if packed else _DESC_FLAGS, flags=True)
    last = "id" if packed else "next"
    row = Record(
        {
            "addr": (ADDRESS, itemgetter("addr")),
            "len": (NUMBER, itemgetter("len")),
            "flags": (flags, itemgetter("flags")),
            last: (NUMBER, itemgetter(last)),
        }
    )
    nobody = Leaf({"none": -1})
    fields: dict[str, tuple[Leaf | Record | Rows, Get]] = {
        **{name: (NUMBER, of(name)) for name in _COUNTS},
        "enabled": (_TRUTH, of("enabled")),
        "desc": (Rows(size, row), of("desc")),
        "table": (Rows(size, Rows(_TABLE, row)), lambda both: _Tables(both[0])),
        "owner": (Rows(size, Leaf(_words(Owner))), of("owner")),
        "label": (Rows(size, Leaf(_words(Label))), lambda both: both[0].label & LABEL_MASK),
        "head": (Rows(size, Leaf({"none": 0xFFFF})), of("head")),
        "buffer": (Rows(size, nobody), of("buffer")),
        "owners": (
            Record({o.name.lower(): (NUMBER, itemgetter(int(o))) for o in list(Owner)[:4]}),
            of("owners"),
        ),
        "driver": (_own(_DRIVER, path=(Leaf(_words(Path)), attrgetter("path"))), of("driver")),
        "device": (_own(_DEVICE), of("device")),
        "kick": (_NOTIFY, of("driver.kick")),
        "call": (_NOTIFY, of("device.call")),
        "events": (Record({name: (NUMBER, event(k)) for name, k in _KINDS.items()}), itemgetter(1)),
    }
    fields |= _packed_areas(of) if packed else _split_areas(of, size)
    return Record(fields)


def _split_areas(of: Callable[[str], Get], size: int) -> dict[str, tuple[Leaf | Record | Rows, Get]]:
    used = Record({"id": (NUMBER, itemgetter("id")), "len": (NUMBER, itemgetter("len"))})
    return {
        "avail_flags": (Leaf({"NO_INTERRUPT": layout.AVAIL_F_NO_INTERRUPT}, flags=True), of("avail_flags")),
        "avail_idx": (NUMBER, of("avail_idx")),
        "avail_ring": (Rows(size, NUMBER), of("avail_ring")),
        "used_event": (NUMBER, of("used_event")),
        "used_flags": (Leaf({"NO_NOTIFY": layout.USED_F_NO_NOTIFY}, flags=True), of("used_flags")),
        "used_idx": (NUMBER, of("used_idx")),
        "used_ring": (Rows(size, used), of("used_ring")),
        "avail_event": (NUMBER, of("avail_event")),
    }


def _packed_areas(of: Callable[[str], Get]) -> dict[str, tuple[Leaf | Record | Rows, Get]]:
    fields: dict[str, tuple[Leaf | Record | Rows, Get]] = {}
    for side in ("driver", "device"):
        off_wrap = of(f"{side}_off_wrap")
        fields[f"{side}_off"] = (NUMBER, _bits(off_wrap, 0, 0x7FFF))
        fields[f"{side}_wrap"] = (NUMBER, _bits(off_wrap, 15, 1))
        fields[f"{side}_flags"] = (Leaf(_EVENT_FLAGS), of(f"{side}_flags"))
    return fields


def _bits(get: Get, shift: int, mask: int) -> Get:
    return lambda both: get(both) >> shift & mask


def _one_queue(index: int) -> Get:
    return lambda moment: (moment.snapshot.queue(index), moment)


def _hits(name: str) -> Get:
    return lambda moment: moment.hits.get(name, 0)


def _way(name: str) -> Get:
    return lambda moment: moment.traffic[name]


class _Tables:
    """Indirect tables by slot."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getitem__(self, slot: int) -> Any:
        return _table(slot, self._queue)


@dataclass(frozen=True)
class QueueName:
    """A queue that a scenario has."""

    name: str
    index: int
    size: int


def facts(queues: Sequence[QueueName], packed: bool, *, named: Sequence[str], hand: bool) -> Record:
    """The tree of all names. `named`: faults and breakpoints; `hand`: rings moved by verbs."""
    fields: dict[str, tuple[Leaf | Record | Rows, Get]] = {
        one.name: (_queue(one.index, one.size, packed), _one_queue(one.index)) for one in queues
    }
    fields["status"] = (Leaf(_STATUS, flags=True), attrgetter("snapshot.status"))
    fields["config_generation"] = (NUMBER, attrgetter("snapshot.config_generation"))
    levels = {"off": 0, "operations": 1, "stores": 2}
    fields["trace"] = (Leaf(levels), lambda moment: levels[moment.snapshot.logs.trace_level])
    if not hand:
        fields["ack"] = (Leaf({"none": -1, "OK": 0, "ERR": 1}), lambda moment: moment.step["ack"])
        fields["queue_pairs"] = (NUMBER, attrgetter("snapshot.queue_pairs"))
        way = Record({name: (NUMBER, itemgetter(name)) for name in TRAFFIC})
        for name in ("to_device", "to_driver"):
            fields[name] = (way, _way(name))
    if named:
        hits = Record({name: (NUMBER, _hits(name)) for name in named})
        fields["hits"] = (hits, lambda moment: moment)
    if hand:
        fields["step"] = (
            Record({n: (_TRUTH if n == "answer" else NUMBER, itemgetter(n)) for n in STEP}),
            attrgetter("step"),
        )
    return Record(fields)


def find(tree: Record, path: Sequence[str | int]) -> Leaf:
    """What kind of value a path leads to; LookupError names what is not there."""
    node: Leaf | Record | Rows = tree
    told = ""
    for part in path:
        if isinstance(part, int):
            if not isinstance(node, Rows):
                raise LookupError(f"{told} has no rows to number")
            if part >= node.length:
                raise LookupError(f"{told} has no row {part}; they are numbered 0 to {node.length - 1}")
            node, told = node.row, f"{told}[{part}]"
            continue
        if isinstance(node, Rows):
            raise LookupError(f"{told} has {node.length} rows: which? {told}[0]")
        if isinstance(node, Leaf):
            raise LookupError(f"{told} is a number and has no {part}")
        if part not in node.fields:
            where = f"{told} has no" if told else "there is no"
            raise LookupError(f"{where} {part}; {near(part, node.fields)}")
        node, told = node.fields[part][0], f"{told}.{part}" if told else part
    if isinstance(node, Rows):
        raise LookupError(f"{told} has {node.length} rows: which? {told}[0]")
    if isinstance(node, Record):
        raise LookupError(f"{told} has several fields; {near('', node.fields)}")
    return node


def value(tree: Record, path: Sequence[str | int], moment: Moment) -> int:
    """What stands there now; LookupError where there is nothing just now."""
    node: Leaf | Record | Rows = tree
    at: Any = moment
    for part in path:
        if isinstance(part, int):
            assert isinstance(node, Rows)
            node = node.row
            try:
                at = at[part]
            except IndexError:
                raise LookupError(f"there are {len(at)} entries only") from None
        else:
            assert isinstance(node, Record)
            node, get = node.fields[part]
            at = get(at)
    return int(at)
