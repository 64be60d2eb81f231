"""What can be asked of one moment: the names, what stands behind each, and in which words it answers.

The names are a tree: queues by name, below them the fields of the spec and each side's own copies. It is
made for a pair before anything runs, so that a name that is not there is told at once; a `View` joins it with
a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from dataplane import layout
from dataplane.decode import ANSWERS
from dataplane.features import STATUS_BITS
from dataplane.reading import LEVELS
from dataplane.records import LABEL_MASK, Kind, Label, Owner, Path, Reason
from dataplane.rules.codes import CODES
from dataplane.rules.finding import Finding, Level
from dataplane.snapshot import DeviceState, DriverState, Notify, Snapshot

Get = Callable[[Any], Any]
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

    fields: Mapping[str, tuple[Node, Get]]


@dataclass(frozen=True)
class Rows:
    """Numbered rows of one kind."""

    length: int
    row: Node


Node: TypeAlias = Leaf | Record | Rows
Fields: TypeAlias = dict[str, tuple[Node, Get]]


@dataclass(frozen=True)
class Moment:
    """What is there to be asked: `events` are those of the step, by queue and kind."""

    snapshot: Snapshot
    events: Mapping[tuple[int, Kind], int]
    traffic: Mapping[str, Mapping[str, int]]  #: by "to_device" and "to_driver"
    hits: Mapping[str, int]  #: of faults and breakpoints, by name
    step: Mapping[str, int]  #: what the step's action gave back
    found: tuple[Finding, ...] = ()  #: what the doctor finds, the gravest first, where that is asked for


def _words(enum: Any) -> dict[str, int]:
    return {member.name.lower(): int(member) for member in enum}


def _counted(words: Sequence[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


NUMBER, ADDRESS = Leaf(), Leaf(hexadecimal=True)
_TRUTH = Leaf({"false": 0, "true": 1})
_STATUS = Leaf({name: bit for bit, name in STATUS_BITS.items()}, flags=True)
_LEVELS, _ANSWERS = _counted(LEVELS), _counted(ANSWERS)
_KINDS = {kind.name.lower(): kind for kind in Kind if kind != Kind.OWN}
_COUNTS = ("size", "generation", "published", "seen", "used", "collected")
_CODES = Leaf(_counted(("none", *CODES)))
#: What only the doctor knows.
FINDING = "finding"
STEP = ("moved", "answer", "length", "id")
TRAFFIC = ("sent", "arrived", "altered", "lost", "waiting")
#: Flags by name wherever they stand.
FLAGS = {**layout.PACKED_FLAGS, **layout.AVAIL_FLAGS, **layout.USED_FLAGS, **layout.EVENT_FLAGS}

_BY_TYPE = {"int": NUMBER, "bool": _TRUTH, "Path": Leaf(_words(Path)), "Reason": Leaf(_words(Reason))}


def _own(state: type[DriverState | DeviceState | Notify]) -> Fields:
    """What is one number in a side's own copies."""
    known = {one.name: str(one.type) for one in fields(state)}
    return {name: (_BY_TYPE[kind], attrgetter(name)) for name, kind in known.items() if kind in _BY_TYPE}


_OWNERS = Record({one.name.lower(): (NUMBER, itemgetter(int(one))) for one in list(Owner)[:4]})
_DRIVER, _DEVICE = Record(_own(DriverState)), Record(_own(DeviceState))
_NOTIFY = Record({**_own(Notify), "answer": (Leaf(_ANSWERS), lambda notify: _ANSWERS[notify.answer])})


def queue_facts(index: int, size: int, packed: bool) -> Record:
    """The fields of one queue, read from (its snapshot, the moment)."""

    def of(get: str) -> Get:
        attribute = attrgetter(get)
        return lambda both: attribute(both[0])

    def event(kind: Kind) -> Get:
        return lambda moment: moment.events.get((index, kind), 0)

    flags = Leaf(layout.PACKED_FLAGS if packed else layout.DESC_FLAGS, flags=True)
    last = "id" if packed else "next"
    row = Record(
        {
            "addr": (ADDRESS, itemgetter("addr")),
            "len": (NUMBER, itemgetter("len")),
            "flags": (flags, itemgetter("flags")),
            last: (NUMBER, itemgetter(last)),
        }
    )
    known: Fields = {
        **{name: (NUMBER, of(name)) for name in _COUNTS},
        "enabled": (_TRUTH, of("enabled")),
        "desc": (Rows(size, row), of("desc")),
        "table": (Rows(size, Rows(_TABLE, row)), of("tables")),
        "owner": (Rows(size, Leaf(_words(Owner))), of("owner")),
        "label": (Rows(size, Leaf(_words(Label))), lambda both: both[0].label & LABEL_MASK),
        "head": (Rows(size, Leaf({"none": 0xFFFF})), of("head")),
        "buffer": (Rows(size, Leaf({"none": -1})), of("buffer")),
        "owners": (_OWNERS, of("owners")),
        "driver": (_DRIVER, of("driver")),
        "device": (_DEVICE, of("device")),
        "kick": (_NOTIFY, of("driver.kick")),
        "call": (_NOTIFY, of("device.call")),
        "events": (Record({name: (NUMBER, event(k)) for name, k in _KINDS.items()}), itemgetter(1)),
    }
    known |= _packed_areas(of) if packed else _split_areas(of, size)
    return Record(known)


def _split_areas(of: Callable[[str], Get], size: int) -> Fields:
    used = Record({"id": (NUMBER, itemgetter("id")), "len": (NUMBER, itemgetter("len"))})
    return {
        "avail_flags": (Leaf(layout.AVAIL_FLAGS, flags=True), of("avail_flags")),
        "avail_idx": (NUMBER, of("avail_idx")),
        "avail_ring": (Rows(size, NUMBER), of("avail_ring")),
        "used_event": (NUMBER, of("used_event")),
        "used_flags": (Leaf(layout.USED_FLAGS, flags=True), of("used_flags")),
        "used_idx": (NUMBER, of("used_idx")),
        "used_ring": (Rows(size, used), of("used_ring")),
        "avail_event": (NUMBER, of("avail_event")),
    }


def _packed_areas(of: Callable[[str], Get]) -> Fields:
    known: Fields = {}
    for side in ("driver", "device"):
        off_wrap = of(f"{side}_off_wrap")
        known[f"{side}_off"] = (NUMBER, _bits(off_wrap, 0, 0x7FFF))
        known[f"{side}_wrap"] = (NUMBER, _bits(off_wrap, 15, 1))
        known[f"{side}_flags"] = (Leaf(layout.EVENT_FLAGS), of(f"{side}_flags"))
    return known


def _bits(get: Get, shift: int, mask: int) -> Get:
    return lambda both: get(both) >> shift & mask


def _one_queue(index: int) -> Get:
    return lambda moment: (moment.snapshot.queue(index), moment)


def _gravest(queue: int | None) -> Get:
    """The code of what is found of a queue (None: of any, or of the device) above information level."""

    def code(moment: Moment) -> int:
        for one in moment.found:
            if queue in (None, one.queue) and one.level > Level.INFO:
                return _CODES.words.get(one.code, 0)
        return 0

    return code


def _queue_of_step(one: QueueName, packed: bool, hand: bool) -> Record:
    """The fields of a queue, and what is found of it; bare rings have no sides that could be stuck."""
    known = queue_facts(one.index, one.size, packed)
    if hand:
        return known
    gravest = _gravest(one.index)
    return Record({**known.fields, FINDING: (_CODES, lambda both: gravest(both[1]))})


def _hits(name: str) -> Get:
    return lambda moment: moment.hits.get(name, 0)


def _way(name: str) -> Get:
    return lambda moment: moment.traffic[name]


@dataclass(frozen=True)
class QueueName:
    """A queue that a scenario has."""

    name: str
    index: int
    size: int


def facts(queues: Sequence[QueueName], packed: bool, *, named: Sequence[str], hand: bool) -> Record:
    """The tree of all names. `named`: faults and breakpoints; `hand`: rings moved by verbs."""
    known: Fields = {one.name: (_queue_of_step(one, packed, hand), _one_queue(one.index)) for one in queues}
    known["status"] = (_STATUS, attrgetter("snapshot.status"))
    known["config_generation"] = (NUMBER, attrgetter("snapshot.config_generation"))
    known["trace"] = (Leaf(_LEVELS), lambda moment: _LEVELS[moment.snapshot.logs.trace_level])
    if not hand:
        known[FINDING] = (_CODES, _gravest(None))
        known["ack"] = (Leaf({"none": -1, "OK": 0, "ERR": 1}), lambda moment: moment.step["ack"])
        known["queue_pairs"] = (NUMBER, attrgetter("snapshot.queue_pairs"))
        way = Record({name: (NUMBER, itemgetter(name)) for name in TRAFFIC})
        for name in ("to_device", "to_driver"):
            known[name] = (way, _way(name))
    if named:
        hits = Record({name: (NUMBER, _hits(name)) for name in named})
        known["hits"] = (hits, lambda moment: moment)
    if hand:
        known["step"] = (
            Record({n: (_TRUTH if n == "answer" else NUMBER, itemgetter(n)) for n in STEP}),
            attrgetter("step"),
        )
    return Record(known)


BLANK = object()  #: in place of a moment: every number is 0


class Fact(int):
    """A number that stands somewhere in the tree."""

    leaf: Leaf

    @property
    def spelt(self) -> str:
        return self.leaf.spell(self)


class View(Mapping[str, Any]):
    """The fields of a record at a moment: facts, and views of what lies below."""

    def __init__(self, node: Record, at: Any) -> None:
        self.node, self.at = node, at

    def __getitem__(self, name: str) -> Any:
        node, get = self.node.fields[name]
        return _below(node, BLANK if self.at is BLANK else get(self.at))

    def __iter__(self) -> Iterator[str]:
        return iter(self.node.fields)

    def __len__(self) -> int:
        return len(self.node.fields)


class RowsView(Sequence[Any]):
    """Rows at a moment. LookupError, in one line, where one is not there just now."""

    def __init__(self, node: Rows, at: Any) -> None:
        self._node, self._at = node, at

    def __len__(self) -> int:
        return self._node.length

    def __getitem__(self, row: Any) -> Any:
        if row not in range(self._node.length):
            raise IndexError
        if self._at is BLANK:
            return _below(self._node.row, BLANK)
        try:
            return _below(self._node.row, self._at[row])
        except IndexError:
            raise LookupError(f"there are {len(self._at)} entries only") from None
        except KeyError:
            raise LookupError(f"no indirect table hangs on slot {row}") from None


def _below(node: Node, at: Any) -> Any:
    if isinstance(node, Leaf):
        fact = Fact(0 if at is BLANK else at)
        fact.leaf = node
        return fact
    return View(node, at) if isinstance(node, Record) else RowsView(node, at)
