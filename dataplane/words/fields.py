"""What a store did to each field that it covers: old and new value, decoded.

A store is as wide as the machine word it writes: the second half of a descriptor (len, flags, next; or len,
id, flags) is one store of eight bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataplane import layout, places
from dataplane.keyframe import QueueShape
from dataplane.places import Place


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field under a store; `old` and `new` are its numbers, the texts what they mean."""

    place: Place
    old: int
    new: int
    old_text: str
    new_text: str

    @property
    def changed(self) -> bool:
        return self.old != self.new

    @property
    def old_bytes(self) -> bytes:
        """As they stood in memory: little-endian."""
        return self.old.to_bytes(self.place.width, "little")

    @property
    def new_bytes(self) -> bytes:
        return self.new.to_bytes(self.place.width, "little")


def decoded(place: Place, value: int, shape: QueueShape) -> str:
    """A field's number as a person reads it: flags by name, addresses in hexadecimal, indices as counts."""
    match place.area, place.field:
        case _, "addr":
            return f"0x{value:x}"
        case (("desc" | "tables"), "flags"):
            table = place.area == "tables"
            return " ".join(layout.desc_flag_names(value, shape.packed and not table)) or "none"
        case (("driver_event" | "device_event"), "off_wrap"):
            return f"offset {value & 0x7FFF}, wrap {value >> 15}"
        case (("driver_event" | "device_event"), "flags"):
            return layout.EVENT_NAMES.get(value, f"0x{value:x}")
        case "avail_flags", _:
            return "NO_INTERRUPT" if value == layout.AVAIL_F_NO_INTERRUPT else f"{value}"
        case "used_flags", _:
            return "NO_NOTIFY" if value == layout.USED_F_NO_NOTIFY else f"{value}"
    return f"{value}"


def changes(row: np.void, shape: QueueShape) -> tuple[FieldChange, ...]:
    """The fields under a STORE row, in order of addresses; empty for a store outside the queue's areas."""
    address, width = int(row["place"]), min(int(row["count"]), 8)
    old, new = int(row["old"]), int(row["new"])
    found = []
    for place in places.covered(shape, address, width):
        shift, mask = 8 * (place.address - address), (1 << 8 * place.width) - 1
        if shift < 0 or place.address + place.width > address + width:
            continue  # part of a field: no store of a driver or device is
        before, after = old >> shift & mask, new >> shift & mask
        texts = decoded(place, before, shape), decoded(place, after, shape)
        found.append(FieldChange(place, before, after, *texts))
    return tuple(found)
