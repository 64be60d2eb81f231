"""An operation of a side in words: buffers going round, notifications and their arithmetic, control."""

from __future__ import annotations

import numpy as np

from dataplane import features as f
from dataplane import layout
from dataplane.faults import KINDS
from dataplane.keyframe import QueueShape
from dataplane.records import Kind, Reason, Role, Side
from dataplane.words.stores import Words

#: Kinds that concern the device or a side as a whole.
WITHOUT_QUEUE = frozenset(
    {
        Kind.WAIT,
        Kind.WAKE,
        Kind.STATUS,
        Kind.FEATURES,
        Kind.CONFIG,
        Kind.FREEZE,
        Kind.RUN,
        Kind.LEVEL,
        Kind.FAULT,
        Kind.BREAK,
    }
)
_LEVELS = ("off", "operations", "stores")
#: What each reason means, and the section that forbids it ("" where the spec leaves it to the device).
REASONS: dict[Reason, tuple[str, str]] = {
    Reason.NONE: ("nothing is wrong", ""),
    Reason.HEAD_OUT_OF_RANGE: ("a head or next is not below the queue size", "2.7.5"),
    Reason.INDEX_JUMP: ("more is available than the queue has slots", "2.7.13"),
    Reason.CHAIN_LOOP: ("a chain is longer than the queue, so it loops", "2.7.5.2"),
    Reason.BAD_ADDRESS: ("a buffer lies outside the memory that the device was given", ""),
    Reason.INDIRECT_LENGTH: (
        "the length of an indirect table is no multiple of 16, is zero or too long",
        "2.7.5.3",
    ),
    Reason.INDIRECT_NESTED: ("an indirect table points to another", "2.7.5.3.1"),
    Reason.INDIRECT_NEXT: ("INDIRECT and NEXT stand in one descriptor", "2.7.5.3.1"),
    Reason.INDIRECT_REFUSED: ("an indirect table came without INDIRECT_DESC", "2.7.5.3.1"),
    Reason.WRITE_BEFORE_READ: ("a part to read follows a part to write", "2.7.4.2"),
    Reason.ZERO_LENGTH: ("a descriptor has length 0", ""),
    Reason.ID_UNKNOWN: ("a used id is not that of a buffer the driver waits for", "2.7.8"),
    Reason.USED_LENGTH: ("a used length exceeds what the device may write", "2.7.8"),
    Reason.USED_JUMP: ("used.idx runs ahead of what is outstanding", "2.7.13"),
    Reason.TOO_SHORT: ("it is too short", ""),
    Reason.BAD_GSO: ("the offload fields of its header contradict each other or the frame", "5.1.6.2.1"),
    Reason.NO_BUFFER: ("no buffer is large enough for the frame", ""),
    Reason.CONTROL_FORMAT: ("a control command is shorter than its fields", "5.1.6.5"),
    Reason.ORDER: ("buffers came back in another order than IN_ORDER promises", "2.7.9"),
    Reason.NUM_BUFFERS: ("num_buffers does not match the used buffers that follow", "5.1.6.3.2"),
    Reason.FILTERED: ("the receive filter does not let it pass", "5.1.6.5"),
    Reason.STOPPED: ("the queue was closed or reset while it waited", "2.6.1.1.1"),
    Reason.DUPLICATE_HEAD: ("a head is made available that the device still holds", "3.3.1"),
    Reason.TOO_LONG: ("the frame is longer than the queue can carry", ""),
    Reason.SIDE_FAILED: ("it failed by itself", "2.1.2"),
    Reason.MEMORY_GONE: ("the memory that the other side shared is gone", ""),
}
_COMMANDS = {
    0: ("receive mode", "5.1.6.5.1.1"),
    1: ("MAC addresses", "5.1.6.5.2.1"),
    2: ("VLAN filter", "5.1.6.5.3.1"),
    3: ("announce", "5.1.6.5.4.1"),
    4: ("queue pairs", "5.1.6.5.6"),
}


def reason(value: int) -> tuple[str, str]:
    """A reason code in words, and its section."""
    try:
        return REASONS[Reason(value)]
    except ValueError:
        return f"reason {value}", ""


def _many(count: int, noun: str = "buffer") -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def _range(first: int, count: int) -> str:
    return f"buffer {first}" if count == 1 else f"buffers {first} to {first + count - 1}"


def words(row: np.void, shape: QueueShape | None) -> Words:
    """A row of any kind but STORE in words; `shape` is its queue's, None for `WITHOUT_QUEUE`."""
    kind = Kind(int(row["kind"]))
    if shape is None or kind in WITHOUT_QUEUE:
        return _device(row, kind)
    if kind in (Kind.KICK, Kind.KICK_QUIET, Kind.CALL, Kind.CALL_QUIET):
        return _decision(row, kind, shape)
    if kind in (Kind.ADD, Kind.PUBLISH, Kind.COLLECT):
        return _driver(row, kind, shape)
    if kind in (Kind.NEXT, Kind.COMPLETE, Kind.FLUSH):
        return _device_side(row, kind, shape)
    return _rest(row, kind, shape)


def _driver(row: np.void, kind: Kind, shape: QueueShape) -> Words:
    old, new, count = int(row["old"]), int(row["new"]), int(row["count"])
    place, slot = int(row["place"]), int(row["slot"])
    if kind is Kind.ADD:
        empty = "empty " if shape.role is Role.RECEIVE else ""
        what = f"has {_many(count, empty + 'buffer')} in descriptors, the first at slot {slot}"
        why = (
            "A buffer is described first. The device goes slot by slot, so it comes to none of them before "
            "the flags of the first one's head say available."
            if shape.packed
            else "A buffer is described first, where the device does not look before avail.idx moves."
        )
        where = f"{shape.name}, {_range(place, count)}"
        return Words(what, where, why, "2.8.21.1" if shape.packed else "2.7.13.1")
    if kind is Kind.PUBLISH:
        what = f"has made {_many(new - old)} available: {old} → {new} published"
        why = "From here on the device may take them, and the driver must leave their descriptors alone."
        section = "2.8.21.1.1" if shape.packed else "2.7.13.3.1"
        release = "the head's flags" if shape.packed else "avail.idx"
        barrier = f"release by the store of {release}; pairs with the device's acquire of it"
        return Words(what, f"{shape.name}, {_range(old, new - old)}", why, section, barrier)
    what = f"has collected {_many(new - old)}: {old} → {new}; the first came from slot {slot}"
    why = "Their descriptors are free again, and what the device wrote is the driver's to read."
    barrier = (
        "acquire of the used descriptor's flags; pairs with the device's release. Then it reads the rest"
        if shape.packed
        else "acquire of used.idx; pairs with the device's release of it. Then it reads the element"
    )
    section = "2.8.22" if shape.packed else "2.7.14"
    return Words(what, f"{shape.name}, {_range(old, new - old)}", why, section, barrier)


def _device_side(row: np.void, kind: Kind, shape: QueueShape) -> Words:
    old, new, count = int(row["old"]), int(row["new"]), int(row["count"])
    place, slot = int(row["place"]), int(row["slot"])
    where = f"{shape.name}, {_range(place, count)}"
    if kind is Kind.NEXT:
        what = f"has taken {_many(count)}, the first with head {slot}"
        why = "The device has read the descriptors once and works on its own copy of them from here on."
        barrier = (
            "acquire of the head's flags; pairs with the driver's release of them. Then it reads the rest"
            if shape.packed
            else "acquire of avail.idx; pairs with the driver's release of it. Then it reads the entry"
        )
        return Words(what, where, why, "2.8.12" if shape.packed else "2.7.13", barrier)
    if kind is Kind.COMPLETE:
        name = "descriptor" if shape.packed else "element"
        what = f"is done with {_many(count)} and has written what {'they' if count > 1 else 'it'} came to"
        what += f": used {name} id {slot}" if count == 1 else f": the first used {name} has id {slot}"
        why = (
            "The driver does not see it yet: the flags of the first used descriptor are held back."
            if shape.packed
            else "The driver does not see it yet: used.idx has not moved past it."
        )
        if shape.in_order and count > 1:
            why += " With IN_ORDER one element may stand for a whole batch."
        return Words(what, where, why, "2.8.6" if shape.packed else "2.7.8")
    what = f"has made {_many(new - old)} visible as used: {old} → {new}"
    why = "From here on they are the driver's again; the device must not touch them any more."
    release, section = ("the used descriptor's flags", "2.8.15") if shape.packed else ("used.idx", "2.7.8.2")
    barrier = f"release by the store of {release}; pairs with the driver's acquire of it"
    return Words(what, f"{shape.name}, {_range(old, new - old)}", why, section, barrier)


def arithmetic(row: np.void, shape: QueueShape) -> str:
    """The comparison behind a notification decision, with its numbers."""
    kick = int(row["kind"]) in (Kind.KICK, Kind.KICK_QUIET)
    sent = int(row["kind"]) in (Kind.KICK, Kind.CALL)
    old, new, event = int(row["old"]), int(row["new"]), int(row["place"])
    if shape.packed:
        return _packed_arithmetic(shape, kick, sent, old, new, event)
    if not shape.event_idx:
        name = ("used.flags", "NO_NOTIFY") if kick else ("avail.flags", "NO_INTERRUPT")
        return f"{name[0]} is {event}: {name[1]} is {'not ' if sent else ''}set"
    index, field = ("avail.idx", "avail_event") if kick else ("used.idx", "used_event")
    left, right = (new - event - 1) & 0xFFFF, (new - old) & 0xFFFF
    sign = "<" if left < right else ">="
    return (
        f"{index} {old} → {new}, {field} {event}: {new} - {event} - 1 = {left} {sign} {right} = {new} - {old}"
        f"{', in 16 bits' if new < old or new - event - 1 < 0 else ''}"
    )


def _packed_arithmetic(shape: QueueShape, kick: bool, sent: bool, old: int, new: int, event: int) -> str:
    flags, off_wrap = event >> 16 & 3, event & 0xFFFF
    whose = "device" if kick else "driver"
    if flags == layout.EVENT_DISABLE:
        return f"the {whose}'s event flags say DISABLE"
    if flags != layout.EVENT_DESC or not shape.event_idx:
        return f"the {whose}'s event flags say ENABLE"
    offset, wrap = off_wrap & 0x7FFF, off_wrap >> 15
    same = layout.need_event(offset, new, old)
    other = layout.need_event((offset - shape.size) & 0xFFFF, new, old)
    other_lap = sent == other and sent != same
    value = (offset - shape.size) & 0xFFFF if other_lap else offset
    left, right = (new - value - 1) & 0xFFFF, (new - old) & 0xFFFF
    sign = "<" if left < right else ">="
    lap = f" of the lap before: {offset} - {shape.size}" if other_lap else ""
    start = old if old <= new else old - 0x10000
    return (
        f"slots {start} → {new}, event at slot {offset}{lap} (wrap {wrap}): "
        f"({new} - {value} - 1) mod 65536 = {left} {sign} {right}"
    )


def _decision(row: np.void, kind: Kind, shape: QueueShape) -> Words:
    kick = kind in (Kind.KICK, Kind.KICK_QUIET)
    sent = kind in (Kind.KICK, Kind.CALL)
    note, other = ("kick", "device") if kick else ("call", "driver")
    full = "available buffer notification" if kick else "used buffer notification"
    sums = arithmetic(row, shape)
    what = f"sends a {note}: {sums}" if sent else f"sends no {note}: {sums}"
    if sent:
        why = f"The {other} asked for this {full}; without it the {other} could sleep on."
    else:
        why = f"The {other} did not ask for this {full}: it looks by itself, or was told already."
    section = ("2.8.21.3.1" if kick else "2.8.10") if shape.packed else "2.7.10.1" if kick else "2.7.7.2"
    if shape.packed:
        wrote = "the descriptor" if kick else "the used descriptor"
    else:
        wrote = "avail.idx" if kick else "used.idx"
    barrier = (
        f"a full barrier stands between writing {wrote} and reading what the {other} wants; it pairs with "
        f"the {other}'s, between asking and looking at the ring once more"
    )
    return Words(what, shape.name, why, section, barrier)


def _rest(row: np.void, kind: Kind, shape: QueueShape) -> Words:
    driver = int(row["side"]) == Side.DRIVER
    place, new, slot = int(row["place"]), int(row["new"]), int(row["slot"])
    note = "calls" if driver else "kicks"
    section = "2.8.10" if shape.packed else "2.7.7.1" if driver else "2.7.10"
    match kind:
        case Kind.NOTIFY_ON:
            what = f"asks for {note}" + _from_when(shape, place, driver)
            why = (
                "It is about to sleep. After asking it must look at the ring once more: of what came before "
                "it asked, nobody tells it."
            )
            barrier = (
                "a full barrier follows before that last look; it pairs with the other side's, before it "
                "reads this"
            )
            return Words(what, shape.name, why, section, barrier)
        case Kind.NOTIFY_OFF:
            why = (
                f"It is awake and looks by itself: {note} would only cost time. A hint; some may still come."
            )
            return Words(f"wants no {note}", shape.name, why, section)
        case Kind.CONTROL:
            name, section = _COMMANDS.get(place >> 8, (f"class {place >> 8}", "5.1.6.5"))
            answer = "OK" if new == 0 else "ERR" if new == 1 else f"{new}"
            verb = "has the answer to" if driver else "answers"
            what = f"{verb} control command {place >> 8}.{place & 0xFF} ({name}): {answer}"
            return Words(
                what, shape.name, "One byte behind the command's data says whether it was done.", section
            )
        case Kind.QUEUE_RESET:
            why = (
                "Both sides begin afresh: indices, wrap counters and descriptors; what was in flight is lost."
            )
            return Words(f"resets {shape.name}: generation {new}", shape.name, why, "2.6.1.1.1")
        case Kind.BROKEN:
            meaning, section = reason(new)
            why = "It trusts nothing that may be wrong, so it touches this queue no more until a reset."
            return Words(f"gives {shape.name} up: {meaning}", shape.name, why, section)
        case Kind.DROP:
            meaning, section = reason(new)
            why = "Only this one is lost; the queue goes on."
            return Words(f"drops a frame: {meaning}", shape.name, why, section)
        case _:
            return Words(f"{kind.name.lower().replace('_', ' ')}, slot {slot}", shape.name, "")


def _from_when(shape: QueueShape, place: int, driver: bool) -> str:
    if not shape.event_idx:
        return " for every change"
    if shape.packed:
        return f": when slot {place & 0x7FFF} is passed with wrap counter {place >> 15 & 1}"
    return f": when {'used.idx' if driver else 'avail.idx'} passes {place & 0xFFFF}"


def _device(row: np.void, kind: Kind) -> Words:
    old, new, place = int(row["old"]), int(row["new"]), int(row["place"])
    match kind:
        case Kind.WAIT:
            why = "It found nothing to do and has asked to be notified, so that it may rest."
            return Words("goes to sleep", "", why)
        case Kind.WAKE:
            return Words("wakes", "", "A notification came, a frame is due, or somebody asked it to look.")
        case Kind.STATUS:
            was, now = (" ".join(f.status_names(v)) or "0" for v in (old, new))
            if new == 0:
                return Words(
                    f"resets the device: status {was} → 0",
                    "device status",
                    "Everything begins afresh.",
                    "2.1",
                )
            if new & ~old & f.STATUS_NEEDS_RESET:
                why = "An error is only put right by a reset; the driver is told by a configuration change."
                return Words(f"status {was} → {now}", "device status", why, "2.1.2")
            why = "The driver raises one bit after another, so that the value says how far it has come."
            return Words(f"status {was} → {now}", "device status", why, "3.1.1")
        case Kind.FEATURES:
            many = len(f.bits(new))
            what = f"accepts {many} features: {' '.join(f.feature_names(new))}"
            return Words(what, "driver features", "It may accept only what the device offers.", "2.2.1")
        case Kind.CONFIG:
            why = "Fields of the configuration space are new; by the generation a reader knows it."
            return Words(f"configuration changed: generation {new}", "configuration space", why, "2.5.1")
        case Kind.FREEZE:
            return Words("both sides rest", "", "Nothing moves until the pair runs or is stepped.")
        case Kind.RUN:
            return Words("both sides go on", "", "")
        case Kind.LEVEL:
            names = [_LEVELS[v] if v < len(_LEVELS) else str(v) for v in (old, new)]
            return Words(f"trace level {names[0]} → {names[1]}", "", "")
        case Kind.FAULT:
            known = KINDS[int(row["slot"]) - 1] if 0 < row["slot"] <= len(KINDS) else "of no known kind"
            where = f" at 0x{old:x}" if old else ""
            return Words(f"fault {place}, {known}, acted{where}", "", "It was put there on purpose.")
        case Kind.BREAK:
            return Words(f"breakpoint {place} stopped the pair behind event {new}", "", "")
        case _:
            return Words(kind.name.lower().replace("_", " "), "", "")
