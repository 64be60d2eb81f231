"""A store to ring memory in words: what was written, why there and then, and what it must stay behind.

Which store orders which: in a split ring everything of a buffer stands before avail.idx (and everything of a
used element before used.idx); in a packed ring everything of a descriptor stands before its flags. Those
stores are the releases; the other side reads the same field with acquire, and the rest after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataplane import layout, places
from dataplane.keyframe import QueueShape
from dataplane.places import Place
from dataplane.records import Side
from dataplane.words.fields import FieldChange

_BEFORE_AVAIL = "none of its own: the release store of avail.idx comes after it"
_BEFORE_USED = "none of its own: the release store of used.idx comes after it"
_BEFORE_FLAGS = "none of its own: the release store of the descriptor's flags comes after it"


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of an explanation."""

    what: str
    where: str
    why: str
    section: str = ""
    barrier: str = ""


def delta(old: int, new: int) -> int:
    """How far a free-running 16-bit index moved."""
    return (new - old) & 0xFFFF


def available(flags: int, wrap: int) -> bool:
    """Whether these descriptor flags say available to a side whose wrap counter is `wrap` (2.8.1)."""
    bits = flags & (layout.PACKED_F_AVAIL | layout.PACKED_F_USED)
    return bits == (layout.PACKED_F_AVAIL if wrap else layout.PACKED_F_USED)


def _listed(made: tuple[FieldChange, ...]) -> str:
    """The fields that changed, old to new; those that did not are not mentioned unless none did."""
    shown = [each for each in made if each.changed]
    if not shown:
        return "the same bytes again"
    named = len(made) > 1 or bool(made and made[0].place.field)
    return ", ".join(
        f"{each.place.field + ' ' if named else ''}{each.old_text} → {each.new_text}" for each in shown
    )


def words(row: np.void, shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    """A STORE row in words; `made` are the fields it covers (`fields_written.changes`)."""
    side = Side(int(row["side"]) & 1)
    address, width = int(row["place"]), int(row["count"])
    if not made:
        return Words(
            f"stores {width} bytes: 0x{int(row['old']):x} → 0x{int(row['new']):x}",
            f"0x{address:x}, outside the areas of {shape.name}",
            "",
        )
    place = made[0].place
    where = f"{place.row} of {shape.name}, {width} bytes at 0x{address:x}"
    what = f"{place.row}: {_listed(made)}"
    match place.area:
        case "desc" if shape.packed:
            said = _packed_desc(side, shape, made)
        case "desc":
            said = _split_desc(shape, made)
        case "tables":
            said = _table(shape, made)
        case "avail_ring" | "used_ring":
            said = _entry(shape, made)
        case "avail_idx" | "used_idx":
            said = _index(shape, made[0])
        case "driver_event" | "device_event":
            said = _packed_event(shape, made)
        case _:
            said = _switch(shape, made[0])
    return Words(said.what or what, where, said.why, said.section, said.barrier)


def _split_desc(shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    slot = made[0].place.index
    if made[0].place.field == "addr":
        why = f"Where the buffer of descriptor {slot} lies, as the device addresses memory."
        return Words("", "", why, "2.7.5", _BEFORE_AVAIL)
    length, flags, following = (each.new for each in made[:3])
    if flags & layout.DESC_F_INDIRECT:
        why = (
            f"INDIRECT: {length} bytes of descriptors lie there, {length // 16} of them, and no data. The "
            "whole list costs one slot of the ring."
        )
        return Words("", "", why, "2.7.5.3", _BEFORE_AVAIL)
    use = "write into (WRITE)" if flags & layout.DESC_F_WRITE else "read (no WRITE)"
    on = (
        f"NEXT: the buffer goes on in descriptor {following}"
        if flags & layout.DESC_F_NEXT
        else "no NEXT: the buffer ends here"
    )
    return Words("", "", f"{length} bytes for the device to {use}; {on}.", "2.7.5", _BEFORE_AVAIL)


def _table(shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    section = "2.8.7" if shape.packed else "2.7.5.3"
    barrier = _BEFORE_FLAGS if shape.packed else _BEFORE_AVAIL
    if made[0].place.field == "addr":
        return Words("", "", "An entry of an indirect table says where one piece lies.", section, barrier)
    how = (
        "Entries of a packed ring's table follow one another: no NEXT."
        if shape.packed
        else ("Inside the table NEXT leads on by the table's own entry numbers.")
    )
    why = f"{how} The driver writes the table before the descriptor that points to it is made available."
    return Words("", "", why, section, barrier)


def _entry(shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    place, value = made[0].place, made[0].new
    if place.area == "avail_ring":
        what = f"avail.ring[{place.index}]: head {made[0].old} → {value}"
        why = (
            f"The entry names the head of the chain: descriptor {value}. It stands where avail.idx points, "
            "modulo the queue size, and means nothing until avail.idx has moved past it."
        )
        return Words(what, "", why, "2.7.13.2", _BEFORE_AVAIL)
    if place.field == "id":
        why = (
            f"The used element names the head of the chain it gives back: {value}, as the driver offered it."
        )
        return Words("", "", why, "2.7.8", _BEFORE_USED)
    why = (
        "How many bytes the device wrote into the buffer; it says so before used.idx shows the element."
        if value
        else "The device wrote nothing into this buffer; it says so before used.idx shows the element."
    )
    return Words("", "", why, "2.7.8.2", _BEFORE_USED)


def _index(shape: QueueShape, made: FieldChange) -> Words:
    driver = made.place.area == "avail_idx"
    name = "avail.idx" if driver else "used.idx"
    by = delta(made.old, made.new)
    first = made.old % shape.size
    wrapped = "; 16 bits ran over, which is no event" if made.new < made.old else ""
    each = "entry" if driver else "element"
    which = f"{each} {first}" if by == 1 else f"{by} {'entries' if driver else 'elements'} from {first}"
    what = f"{name} {made.old} → {made.new}: {which} {'is' if by == 1 else 'are'} shown{wrapped}"
    if by == 0:
        what = f"{name} {made.new} again: nothing new is shown"
    elif by > shape.size:
        what = f"{name} {made.old} → {made.new}: by {by}, which is more than the {shape.size} of the queue"
    if driver:
        why = (
            "Only now may the device see the entry: everything that it leads to must be in memory before the "
            "index, or the device would follow what stood there before."
        )
        barrier = (
            "release; pairs with the device's acquire of avail.idx, after which it reads entry, descriptors "
            "and data. A full barrier follows before the driver reads whether a kick is wanted (2.7.13.4.1)"
        )
        return Words(what, "", why, "2.7.13.3.1", barrier)
    why = (
        "Only now may the driver see the element: its id, its length and the data must be in memory before "
        "the index."
    )
    barrier = (
        "release; pairs with the driver's acquire of used.idx, after which it reads element and data. "
        "A full barrier follows before the device reads whether a call is wanted"
    )
    return Words(what, "", why, "2.7.8.2", barrier)


def _switch(shape: QueueShape, made: FieldChange) -> Words:
    """Flags and event values of a split queue: each is one side's wish about the other's notifications."""
    area, value = made.place.area, made.new
    driver = places.writer(area) == 0
    who, other = ("driver", "device") if driver else ("device", "driver")
    note, index = ("call", "used.idx") if driver else ("kick", "avail.idx")
    section = "2.7.7" if driver else "2.7.10"
    if area in ("used_event", "avail_event"):
        what = f"{area} {made.old} → {value}"
        why = (
            f"The {who} wants a {note} when the {other} has written entry {value}: when {index} moves from "
            f"{value} to {(value + 1) & 0xFFFF}, or past it in one go."
        )
    elif value:
        what = f"{made.place.row}: {made.old_text} → {made.new_text}"
        why = f"The {who} is looking by itself: a {note} would only cost time. It is a hint, no promise."
    else:
        what = f"{made.place.row}: {made.old_text} → {made.new_text}"
        why = f"The {who} wants a {note} for every change of {index} from now on."
    barrier = (
        f"a full barrier follows, then the {who} looks at {index} once more: it pairs with the full barrier "
        f"of the {other} between writing {index} and reading this"
    )
    return Words(what, "", why, section, barrier if area.endswith("event") or not value else "")


def _packed_event(shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    place: Place = made[0].place
    driver = place.area == "driver_event"
    who, other, note = ("driver", "device", "call") if driver else ("device", "driver", "kick")
    if place.field == "off_wrap":
        value = made[0].new
        why = (
            f"Where the {other} shall give a {note}: when it passes slot {value & 0x7FFF} in the lap with "
            f"wrap counter {value >> 15}. It counts only once flags say DESC."
        )
        return Words("", "", why, "2.8.14", "none of its own: the release store of flags comes after it")
    value = made[-1].new & 3
    why = {
        layout.EVENT_ENABLE: f"The {who} wants a {note} for everything from now on.",
        layout.EVENT_DISABLE: f"The {who} is looking by itself: a {note} would only cost time.",
        layout.EVENT_DESC: f"The {who} wants one {note}: when the slot and wrap counter beside it are passed"
        ".",
    }.get(value, "This value is reserved.")
    barrier = (
        ""
        if value == layout.EVENT_DISABLE
        else (
            f"release, behind off_wrap; then a full barrier and one more look at the ring: it pairs with the "
            f"full barrier of the {other} between writing a descriptor and reading this"
        )
    )
    return Words("", "", why, "2.8.10", barrier)


def _packed_desc(side: Side, shape: QueueShape, made: tuple[FieldChange, ...]) -> Words:
    slot = made[0].place.index
    if made[0].place.field == "addr":
        why = (
            f"Where the buffer of slot {slot} lies. The device may read it only once the flags say available."
        )
        return Words("", "", why, "2.8.21.1", _BEFORE_FLAGS)
    flags = made[2].new
    avail, used = bool(flags & layout.PACKED_F_AVAIL), bool(flags & layout.PACKED_F_USED)
    bits = f"AVAIL {int(avail)}, USED {int(used)}"
    if side is Side.DRIVER:
        if avail == used:
            return Words("", "", f"{bits} are equal: that says used, not available.", "2.8.1", "")
        lap = f"{bits}: available to a device whose wrap counter is {int(avail)}."
        if flags & layout.DESC_F_INDIRECT:
            lap += f" The buffer is a table of {made[0].new // 16} entries elsewhere."
        elif flags & layout.DESC_F_NEXT:
            lap += " NEXT: the buffer goes on in the following slot."
        else:
            lap += f" No NEXT: buffer {made[1].new} ends here."
        why = f"{lap} Of a buffer's list the head is written last, so that nobody starts on half of it."
        barrier = (
            "release; pairs with the device's acquire of these flags, after which it reads addr, len and id, "
            "and the rest of the list behind a head"
        )
        return Words("", "", why, "2.8.21.1.1", barrier)
    if avail != used:
        return Words("", "", f"{bits} differ: that says available, not used.", "2.8.1", "")
    wrote = f"the device wrote {made[0].new} bytes" if flags & layout.DESC_F_WRITE else "nothing was written"
    why = (
        f"{bits}: used, to a driver whose used wrap counter is {int(avail)}. Buffer {made[1].new} comes "
        f"back; {wrote}. One used descriptor stands for a whole list, in the next slot of the device's own "
        "order."
    )
    barrier = (
        "release; pairs with the driver's acquire of these flags, after which it reads id, len and data. "
        "A full barrier follows before the device reads whether a call is wanted"
    )
    return Words("", "", why, "2.8.6", barrier)
