"""Faults by the name of what is wrong: the catalogue that `--fault`, the menu and the tests go through.

    for fault in SWITCHES["stale_avail_event"].faults(shape):
        pair.inject_fault(fault)

A switch is one or more faults of `faults` with everything set, so that a queue shows what a known bug makes
of it. Every kind of fault is a switch as well; `codes` are what the doctor may call it, the likeliest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

from dataplane import layout
from dataplane.faults import PRIMITIVES, Fault, FaultKind
from dataplane.records import Side

Layouts = Literal["both", "split", "packed"]
Way = Literal["to_device", "to_driver"]
_D, _V = Side.DRIVER, Side.DEVICE


class Ring(Protocol):
    """What a fault must know of the queue that it is put into: a `QueueShape`, or less."""

    @property
    def index(self) -> int: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One fault of a switch. `value` may depend on the queue that it is put into."""

    kind: FaultKind
    side: Side
    area: str = ""
    entry: int | None = None
    value: int | Callable[[Ring], int] = 1

    def fault(self, shape: Ring | None, **given: Any) -> Fault:
        value = self.value if isinstance(self.value, int) else self.value(shape) if shape else 1
        named = {"queue": shape.index if shape else None, "area": self.area, "entry": self.entry}
        return Fault(self.kind, self.side, **{**named, "value": value, **given})


@dataclass(frozen=True, slots=True)
class Switch:
    """One thing that is wrong. `way` is the direction of traffic that shows it, `queue` where it is put."""

    name: str
    means: str  #: one line
    side: Side
    codes: tuple[str, ...]  #: what the doctor may call it; none: it costs something, or nothing
    split: tuple[Part, ...]
    packed: tuple[Part, ...]
    way: Way = "to_device"
    queue: str = "tx0"
    needs: str = ""  #: features to change, as `--features` takes them
    path: str = "auto"  #: how the driver makes descriptors of a frame

    @property
    def layouts(self) -> Layouts:
        """Of which rings it is a fault."""
        return "both" if self.split and self.packed else "split" if self.split else "packed"

    def faults(self, shape: Ring | None, packed: bool, **given: Any) -> tuple[Fault, ...]:
        """Its faults for a queue (None: every one), in the order in which they have to be put in; `given` are
        fields of `Fault` for the last of them, the others act from the start.

        ValueError where rings of this layout cannot have it.
        """
        parts = self.packed if packed else self.split
        if not parts:
            there = "packed" if packed else "split"
            raise ValueError(f"{self.name} is no fault of a {there} ring: it needs --layout {self.layouts}")
        first, *others = parts
        return (*(part.fault(shape, count=0) for part in others), first.fault(shape, **given))


def _both(
    name: str, codes: str, *parts: Part, means: str = "", layouts: Layouts = "both", **more: Any
) -> Switch:
    kind = parts[0].kind
    return Switch(
        name,
        means or PRIMITIVES[kind].means,
        parts[0].side,
        tuple(codes.split()),
        parts if layouts != "packed" else (),
        parts if layouts != "split" else (),
        **more,
    )


def _one(kind: FaultKind, codes: str = "", value: Any = 1, side: Side | None = None, **more: Any) -> Switch:
    owner = side if side is not None else PRIMITIVES[kind].side
    assert owner is not None, kind
    return _both(kind, codes, Part(kind, owner, value=value), **more)


def _of(name: str, means: str, codes: str, split: Part | None, packed: Part | None, **more: Any) -> Switch:
    parts = (split,) if split else (), (packed,) if packed else ()
    first = split or packed
    assert first is not None
    return Switch(name, means, first.side, tuple(codes.split()), *parts, **more)


_RX: dict[str, Any] = {"way": "to_driver", "queue": "rx0"}
_WRAP_BITS = (layout.PACKED_F_AVAIL | layout.PACKED_F_USED) << 48

_ALL = (
    # kick: driver to device
    _one("lose_kick", "KICK_MISSING"),
    _one("eat_kick", "KICK_DISCARDED"),
    _one("deaf_kick", "KICK_UNSERVICED"),
    _one("late_kick", value=20_000),
    _one("misdirect_kick", "KICK_WRONG_QUEUE", value=lambda shape: shape.index ^ 1),
    _one("miss_kick", "KICK_MISSING"),
    _one("extra_kick", "KICK_UNWANTED"),
    _of(
        "kick_flag_stuck",
        "the device switched kicks off and never on again",
        "KICK_SUPPRESSED_FLAG",
        Part("set_store", _V, "used_flags", value=layout.USED_F_NO_NOTIFY),
        Part("set_store", _V, "device_event", 1, value=layout.EVENT_DISABLE),
        needs="-event_idx",
    ),
    _of(
        "stale_avail_event",
        "the device's event index stays where it was",
        "KICK_SUPPRESSED_EVENT",
        Part("drop_store", _V, "avail_event"),
        Part("drop_store", _V, "device_event", 0),
    ),
    # call: device to driver
    _one("lose_call", "CALL_MISSING", **_RX),
    _one("eat_call", "CALL_DISCARDED", **_RX),
    _one("deaf_call", "CALL_DISCARDED", **_RX),
    _one("late_call", value=20_000, **_RX),
    _one("misdirect_call", "CALL_WRONG_QUEUE", value=lambda shape: shape.index ^ 1, **_RX),
    _one("miss_call", "CALL_MISSING", **_RX),
    _one("extra_call", "CALL_UNWANTED", **_RX),
    _of(
        "call_flag_stuck",
        "the driver switched calls off and never on again",
        "CALL_SUPPRESSED_FLAG",
        Part("set_store", _D, "avail_flags", value=layout.AVAIL_F_NO_INTERRUPT),
        Part("set_store", _D, "driver_event", 1, value=layout.EVENT_DISABLE),
        needs="-event_idx",
        **_RX,
    ),
    _of(
        "stale_used_event",
        "the driver's event index stays where it was",
        "CALL_SUPPRESSED_STALE",
        Part("drop_store", _D, "used_event"),
        Part("drop_store", _D, "driver_event", 0),
        **_RX,
    ),
    # the device
    _one("stop_early", "DEVICE_STOPS_EARLY KICK_MISSING"),
    _both(
        "dead_device",
        "DEVICE_NOT_CONSUMING",
        Part("ignore", _V),
        means="the device does not come to the queue",
    ),
    _one("blind", "DEVICE_NOT_CONSUMING"),
    _both(
        "full_seen_as_empty",
        "FULL_RING_SEEN_AS_EMPTY",
        Part("blind", _V, value=2),
        means="the device takes a full ring for an empty one",
        path="direct",
    ),
    _both(
        "livelock",
        "LIVELOCK",
        Part("blind", _V, value=3),
        Part("nag", _D, value=2_000),
        means="kicks come again and again, and the device takes nothing",
    ),
    _one("hold", "INFLIGHT_STUCK"),
    _one("leak", "HEAD_NEVER_RETURNED"),
    _one("no_flush", "USED_HELD_BACK"),
    _of(
        "hidden_used_idx",
        "what the device used is not shown",
        "USED_NOT_PUBLISHED",
        Part("drop_store", _V, "used_idx"),
        None,
    ),
    _one("miscount", "DEVICE_COUNT_WRONG"),
    _both(
        "device_breaks", "DEVICE_BROKEN", Part("break", _V, value=0), means="the device gives the queue up"
    ),
    _both(
        "silent_reset",
        "NEEDS_RESET_SILENT",
        Part("break", _V, value=0),
        Part("silent", _V),
        means="the device needs a reset and tells nobody",
    ),
    _one("silent"),
    _one("wrong_size", "SIZE_MISMATCH", value=lambda shape: max(shape.size // 2, 1)),
    _one("wrong_base", "BASE_MISMATCH"),
    # what it says it used
    _one("twice", "USED_OVERRUN USED_ID_INVALID"),
    _one("wrong_id", "USED_ID_INVALID"),
    _one("wrong_length", "USED_LEN_BAD", value=1 << 20, **_RX),
    _one("reorder"),
    _one("hole", "USED_HOLE USED_ID_INVALID USED_OVERRUN"),
    _one("bad_num_buffers", "NUM_BUFFERS_BAD", value=0, **_RX),
    # the driver
    _one("no_refill", "RX_STARVED", **_RX),
    _one("no_collect", "DRIVER_NOT_REAPING", **_RX),
    _one("no_submit", "DRIVER_NOT_SUBMITTING"),
    _one("spin", "DRIVER_SPINS", **_RX),
    _one("read_unused", "DRIVER_READS_UNUSED USED_ID_INVALID ID_REUSED_WHILE_OUTSTANDING", layouts="split"),
    _one("lose_free", "FREE_COUNT_WRONG"),
    _one("reuse_id", "ID_REUSED_WHILE_OUTSTANDING", **_RX),
    _one("ignore_order", "IN_ORDER_BATCH_NOT_UNDERSTOOD", needs="+in_order"),
    _both("driver_breaks", "DRIVER_NOT_REAPING", Part("break", _D, value=0), means="the driver gives up"),
    # indices and layout
    _of(
        "index_jump",
        "avail.idx goes further than the ring is long",
        "INDEX_JUMP",
        Part("add_store", _D, "avail_idx", value=lambda shape: 2 * shape.size),
        None,
    ),
    _of(
        "index_wrapped",
        "avail.idx is kept below the queue size",
        "INDEX_WRAPPED_AT_SIZE",
        Part("mask_store", _D, "avail_idx", value=lambda shape: shape.size - 1),
        None,
    ),
    _of(
        "torn_index",
        "avail.idx is stored in two halves",
        "TORN_VALUE",
        Part("tear_store", _D, "avail_idx", value=16),
        None,
    ),
    _of(
        "swapped_index",
        "avail.idx has the other byte order",
        "ENDIAN_SWAPPED",
        Part("swap_store", _D, "avail_idx"),
        Part("swap_store", _D, "desc.flags"),
    ),
    _of(
        "stale_entry",
        "avail.idx is shown before the entry: no barrier",
        "STALE_DESCRIPTOR DRIVER_READS_UNUSED ID_REUSED_WHILE_OUTSTANDING USED_ID_INVALID",
        Part("delay_store", _D, "avail_ring", value=20),
        None,
    ),
    _both(
        "stale_desc",
        "",
        Part("delay_store", _D, "desc.addr", value=20),
        means="a buffer is shown before its address: no barrier; the wrong data goes out",
    ),
    _of(
        "wrong_wrap",
        "descriptors are written with the wrap bits of another lap",
        "PACKED_WRAP_WRONG",
        None,
        Part("corrupt_store", _D, "desc.flags", value=_WRAP_BITS),
    ),
    _one("keep_wrap", "PACKED_WRAP_WRONG", side=_V, layouts="packed"),
    _one("mask_slot", "PACKED_INDEX_BAD", layouts="packed"),
    _one("cut_chain", "CHAIN_CUT", path="chain"),
    _one("loop_chain", "CHAIN_BAD", path="chain"),
    _one("overwrite", "DESC_OVERRUN", **_RX),
    _both(
        "bad_address",
        "ADDR_OUT_OF_RANGE",
        Part("corrupt_store", _D, "desc.addr", value=1 << 62),
        means="a descriptor points outside memory",
    ),
    _one("forget_event_idx", "FEATURE_MISMATCH KICK_SUPPRESSED_EVENT", side=_V, layouts="split"),
)

#: By name.
SWITCHES: Mapping[str, Switch] = MappingProxyType({switch.name: switch for switch in _ALL})
