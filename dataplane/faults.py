"""Faults to put into a pair of ours: what a broken driver or device does, by kind and with an exact trigger.

    pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=1))
    pair.inject_fault(Fault("delay_store", Side.DRIVER, queue=1, area="avail_ring"))

They act where a side stores, notifies or decides (`engine/fault.h`), at every trace level, and are told as
FAULT events. A driver of ours with a fault writes every word each time: it cannot know what stands in memory.
`switches` has the ready-made ones by the name of what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from dataplane.places import PACKED_AREAS, SPLIT_AREAS, writer
from dataplane.records import Side

FaultKind = Literal[
    "drop_store",
    "delay_store",
    "corrupt_store",
    "set_store",
    "mask_store",
    "add_store",
    "swap_store",
    "tear_store",
    "cut_chain",
    "loop_chain",
    "lose_kick",
    "lose_call",
    "late_kick",
    "late_call",
    "misdirect_kick",
    "misdirect_call",
    "miss_kick",
    "miss_call",
    "extra_kick",
    "extra_call",
    "nag",
    "eat_kick",
    "eat_call",
    "deaf_kick",
    "deaf_call",
    "ignore",
    "break",
    "keep_wrap",
    "forget_event_idx",
    "stop_early",
    "blind",
    "hold",
    "leak",
    "twice",
    "wrong_id",
    "wrong_length",
    "reorder",
    "hole",
    "no_flush",
    "miscount",
    "silent",
    "wrong_size",
    "wrong_base",
    "mask_slot",
    "bad_num_buffers",
    "no_collect",
    "no_refill",
    "no_submit",
    "spin",
    "read_unused",
    "reuse_id",
    "lose_free",
    "overwrite",
    "ignore_order",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)  #: in the order of `enum fault_kind`

Family = Literal["store", "notification", "either", "device", "driver"]


@dataclass(frozen=True, slots=True)
class Primitive:
    """What a kind does: one line; whose fault it can be (None: either's), and what `value` is."""

    means: str
    family: Family
    side: Side | None = None
    value: str = ""


_D, _V = Side.DRIVER, Side.DEVICE
PRIMITIVES: Mapping[FaultKind, Primitive] = MappingProxyType(
    {
        "drop_store": Primitive("a store is never performed", "store"),
        "delay_store": Primitive("a store comes behind later ones: no barrier", "store", None, "stores"),
        "corrupt_store": Primitive("bits of a store are turned round", "store", None, "xor"),
        "set_store": Primitive("another value is stored", "store", None, "the value"),
        "mask_store": Primitive("bits of a store are cleared", "store", None, "and"),
        "add_store": Primitive("a store is off by so much", "store", None, "added"),
        "swap_store": Primitive("a store has the other byte order", "store"),
        "tear_store": Primitive("of a store the low byte comes first", "store", None, "stores between"),
        "cut_chain": Primitive("a descriptor loses NEXT", "store", _D),
        "loop_chain": Primitive("a chain does not end", "store", _D),
        "lose_kick": Primitive("a kick is decided and never sent", "notification", _D),
        "lose_call": Primitive("a call is decided and never sent", "notification", _V),
        "late_kick": Primitive("a kick is sent late", "notification", _D, "us"),
        "late_call": Primitive("a call is sent late", "notification", _V, "us"),
        "misdirect_kick": Primitive("a kick goes to another queue", "notification", _D, "its index"),
        "misdirect_call": Primitive("a call goes to another queue", "notification", _V, "its index"),
        "miss_kick": Primitive("a kick is wanted and not sent", "notification", _D),
        "miss_call": Primitive("a call is wanted and not sent", "notification", _V),
        "extra_kick": Primitive("a kick is not wanted and sent", "notification", _D),
        "extra_call": Primitive("a call is not wanted and sent", "notification", _V),
        "nag": Primitive("a side notifies again and again", "notification", None, "us between two"),
        "eat_kick": Primitive("a kick is read and not acted on", "notification", _V),
        "eat_call": Primitive("a call is read and not acted on", "notification", _D),
        "deaf_kick": Primitive("kicks are not read", "notification", _V),
        "deaf_call": Primitive("calls are not read", "notification", _D),
        "ignore": Primitive("a side does not come to the queue", "either"),
        "break": Primitive("a side gives the queue up", "either", None, "the reason"),
        "keep_wrap": Primitive("a wrap counter is not toggled (packed)", "either"),
        "forget_event_idx": Primitive("a side acts as if EVENT_IDX were not negotiated (split)", "either"),
        "stop_early": Primitive("after so many buffers it does not look again", "device", _V, "buffers"),
        "blind": Primitive("it looks and takes nothing", "device", _V, "2: until full, 3: and sleeps"),
        "hold": Primitive("it does not complete what it took", "device", _V),
        "leak": Primitive("it forgets what it took", "device", _V),
        "twice": Primitive("it returns a buffer twice", "device", _V),
        "wrong_id": Primitive("a used element has another id", "device", _V, "xor"),
        "wrong_length": Primitive("a used element has another length", "device", _V, "the length"),
        "reorder": Primitive("a buffer comes back behind the next one", "device", _V),
        "hole": Primitive("a used slot stays unwritten", "device", _V),
        "no_flush": Primitive("used elements are written and not shown", "device", _V),
        "miscount": Primitive("its count of what it holds stays too high", "device", _V, "by so many"),
        "silent": Primitive("DEVICE_NEEDS_RESET is set and nobody is told", "device", _V),
        "wrong_size": Primitive("it goes round at another size", "device", _V, "slots"),
        "wrong_base": Primitive("after a queue reset it begins elsewhere", "device", _V, "further on by"),
        "mask_slot": Primitive("it goes on by a mask, not a modulo (packed)", "device", _V),
        "bad_num_buffers": Primitive("num_buffers of a frame is wrong", "device", _V, "num_buffers"),
        "no_collect": Primitive("it does not collect", "driver", _D, "2: and sleeps"),
        "no_refill": Primitive("it makes no receive buffer available", "driver", _D),
        "no_submit": Primitive("it makes no frame available", "driver", _D),
        "spin": Primitive("it runs and comes to no queue", "driver", _D),
        "read_unused": Primitive("it collects what is not used", "driver", _D),
        "reuse_id": Primitive("it makes a buffer available that is outstanding", "driver", _D),
        "lose_free": Primitive("it forgets that a descriptor is free again", "driver", _D),
        "overwrite": Primitive("it writes over a descriptor that is outstanding", "driver", _D, "xor of len"),
        "ignore_order": Primitive("it does not know that buffers come in order", "driver", _D),
    }
)

_ANY = 0xFFFFFFFF
_BEHIND = 256  #: stores; up to 16 within a turn of the side, more over its end
_WORDS = ("desc.addr", "desc.flags")
_OF_ONE_LAYOUT = tuple(one for one in (*SPLIT_AREAS, *PACKED_AREAS) if one not in ("desc", "tables"))
#: Where a store goes, by the names of `places`; "" is anywhere. The first word of a descriptor is its
#: address, the second holds the rest: a packed driver shows a buffer by the second word of its head.
#: In the order of `enum area` (engine/fault.h).
AREAS = ("", "desc", "tables", *_OF_ONE_LAYOUT, *_WORDS)


def areas_of(packed: bool) -> tuple[str, ...]:
    """The areas that rings of this layout have, "" among them."""
    there = PACKED_AREAS if packed else SPLIT_AREAS
    return tuple(one for one in AREAS if one in there or one in ("", *_WORDS))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one side.

    `queue` None: any; `entry` the slot or ring entry concerned, None: any; `index`: it begins when the side's
    own index (driver: avail, device: used; packed: the slot) has come to this, None: at once. The first
    `after` chances pass, then it acts `count` times, 0: for ever; with `odds` at one chance in so many, which
    `seed` decides, the same each time. `value`: see `PRIMITIVES`.
    """

    kind: FaultKind
    side: Side
    queue: int | None = None
    area: str = ""
    entry: int | None = None
    after: int = 0
    count: int = 1
    value: int = 1
    index: int | None = None
    odds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        known = PRIMITIVES.get(self.kind)
        if known is None:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(KINDS)}")
        if self.area not in AREAS:
            raise ValueError(f"no area is called {self.area!r}; there are {', '.join(AREAS[1:])}")
        if known.family != "store" and (self.area or self.entry is not None):
            what = "a notification" if known.family == "notification" else "a side, not a store,"
            raise ValueError(f"{self.kind} concerns {what} and has no area")
        if self.area in _OF_ONE_LAYOUT and writer(self.area) != self.side:
            owner = Side(writer(self.area)).name.lower()
            raise ValueError(f"the {owner} writes {self.area}: the other side has no store there to fail")
        if known.side is not None and known.side != self.side:
            raise ValueError(f"{self.kind} is a fault of the {known.side.name.lower()}: {known.means}")
        if not 0 <= self.after < _ANY or not 0 <= self.count < _ANY or not 0 <= self.value < 1 << 64:
            raise ValueError("after and count are 0 to 4294967294, value 0 to 2^64 - 1")
        if not 1 <= self.odds < _ANY or not 0 <= self.seed < 1 << 64:
            raise ValueError("odds are 1 to 4294967294, a seed is 0 to 2^64 - 1")
        if self.index is not None and not 0 <= self.index < 1 << 16:
            raise ValueError("an index has 16 bits")
        if self.kind in ("delay_store", "tear_store") and not 1 <= self.value <= _BEHIND:
            raise ValueError(f"a store can be held back behind 1 to {_BEHIND} others")

    def wire(self) -> tuple[int, ...]:
        """As `Engine.add_fault` takes it."""
        return (
            KINDS.index(self.kind) + 1,
            int(self.side),
            0xFFFF if self.queue is None else self.queue,
            AREAS.index(self.area),
            _ANY if self.entry is None else self.entry,
            _ANY if self.index is None else self.index,
            self.after,
            self.count,
            self.odds,
            self.seed,
            self.value,
        )
