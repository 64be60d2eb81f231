"""Which field of which structure stands at an address of ring memory, and back.

    covered(shape, 0x1008, 8)  ->  desc[0].len, desc[0].flags, desc[0].next

Plain arithmetic over `QueueShape`: exact for both layouts (2.7, 2.8) and the driver's indirect tables
(2.7.5.3, 2.8.7), with no view of memory. An area is named as in the dataclasses of `snapshot`: what a
snapshot calls `avail_idx` is the area "avail_idx" here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from dataplane.keyframe import QueueShape

#: (field, offset, bytes) of one descriptor; `next` gives way to `id` in a packed ring, and flags stand last.
_SPLIT_DESC = (("addr", 0, 8), ("len", 8, 4), ("flags", 12, 2), ("next", 14, 2))
_PACKED_DESC = (("addr", 0, 8), ("len", 8, 4), ("id", 12, 2), ("flags", 14, 2))
_USED_ELEM = (("id", 0, 4), ("len", 4, 4))
_EVENT = (("off_wrap", 0, 2), ("flags", 2, 2))
_WHOLE = (("", 0, 2),)

#: How the spec writes an area (2.7.6, 2.7.8, 2.8.14).
_SPELLED = {
    "desc": "desc",
    "tables": "table",
    "avail_flags": "avail.flags",
    "avail_idx": "avail.idx",
    "avail_ring": "avail.ring",
    "used_event": "used_event",
    "used_flags": "used.flags",
    "used_idx": "used.idx",
    "used_ring": "used.ring",
    "avail_event": "avail_event",
    "driver_event": "driver event",
    "device_event": "device event",
}

SPLIT_AREAS = (
    "desc",
    "avail_flags",
    "avail_idx",
    "avail_ring",
    "used_event",
    "used_flags",
    "used_idx",
    "used_ring",
    "avail_event",
    "tables",
)
PACKED_AREAS = ("desc", "driver_event", "device_event", "tables")
_ROWS = ("desc", "avail_ring", "used_ring", "tables")
_DRIVERS = ("desc", "tables", "avail_flags", "avail_idx", "avail_ring", "used_event", "driver_event")


@dataclass(frozen=True, slots=True)
class Place:
    """One field of ring memory.

    `index` is the slot of "desc", the entry of "avail_ring" and "used_ring", and in "tables" the slot times
    `table_entries` plus the entry of its table; 0 elsewhere. `field` is "" where the area is a single value.
    """

    queue: int
    area: str
    index: int
    field: str
    address: int
    width: int  #: bytes
    table_entries: int = 0

    @property
    def mark(self) -> tuple[str, int, str]:
        """What a table marks: area, index, field."""
        return self.area, self.index, self.field

    @property
    def slot(self) -> int | None:
        """The descriptor slot it belongs to: its own, or the one whose indirect table it stands in."""
        if self.area == "desc":
            return self.index
        return self.index // self.table_entries if self.area == "tables" else None

    @property
    def row(self) -> str:
        """Its row, as the spec writes it: "desc[3]", "used.ring[1]", "table of slot 3, entry 0"."""
        if self.area == "tables":
            slot, entry = divmod(self.index, self.table_entries)
            return f"table of slot {slot}, entry {entry}"
        name = _SPELLED[self.area]
        return f"{name}[{self.index}]" if self.area in _ROWS else name

    @property
    def text(self) -> str:
        """The field in the spec's words: "desc[3].len", "avail.idx", "driver event: flags"."""
        if not self.field:
            return self.row
        joint = "." if self.area in ("desc", "used_ring") else ": "
        return f"{self.row}{joint}{self.field}"


@dataclass(frozen=True, slots=True)
class _Area:
    name: str
    address: int
    rows: int
    stride: int
    fields: tuple[tuple[str, int, int], ...]

    @property
    def end(self) -> int:
        return self.address + self.rows * self.stride


@lru_cache(maxsize=256)
def _areas(shape: QueueShape) -> tuple[_Area, ...]:
    size, driver, device = shape.size, shape.driver_addr, shape.device_addr
    fields = _PACKED_DESC if shape.packed else _SPLIT_DESC
    found = [_Area("desc", shape.desc_addr, size, 16, fields)]
    if shape.packed:
        found += [
            _Area("driver_event", driver, 1, 4, _EVENT),
            _Area("device_event", device, 1, 4, _EVENT),
        ]
    else:
        found += [
            _Area("avail_flags", driver, 1, 2, _WHOLE),
            _Area("avail_idx", driver + 2, 1, 2, _WHOLE),
            _Area("avail_ring", driver + 4, size, 2, _WHOLE),
            _Area("used_event", driver + 4 + 2 * size, 1, 2, _WHOLE),
            _Area("used_flags", device, 1, 2, _WHOLE),
            _Area("used_idx", device + 2, 1, 2, _WHOLE),
            _Area("used_ring", device + 4, size, 8, _USED_ELEM),
            _Area("avail_event", device + 4 + 8 * size, 1, 2, _WHOLE),
        ]
    if shape.tables_addr and shape.table_entries:
        found.append(_Area("tables", shape.tables_addr, size * shape.table_entries, 16, fields))
    return tuple(found)


def at(shape: QueueShape, address: int) -> Place | None:
    """The field in which the byte at `address` stands; None where no area of this queue holds it."""
    for area in _areas(shape):
        if area.address <= address < area.end:
            index, offset = divmod(address - area.address, area.stride)
            for name, first, width in area.fields:
                if first <= offset < first + width:
                    start = area.address + index * area.stride + first
                    return Place(shape.index, area.name, index, name, start, width, shape.table_entries)
    return None


def find(shapes: Iterable[QueueShape], address: int) -> Place | None:
    """The same over several queues."""
    for shape in shapes:
        place = at(shape, address)
        if place is not None:
            return place
    return None


def covered(shape: QueueShape, address: int, length: int) -> tuple[Place, ...]:
    """Every field that shares a byte with `length` bytes at `address`, in order of addresses."""
    found = []
    here, end = address, address + length
    while here < end:
        place = at(shape, here)
        if place is None:
            here += 1
            continue
        found.append(place)
        here = place.address + place.width
    return tuple(found)


def of(shape: QueueShape, area: str, index: int = 0, field: str = "") -> Place:
    """The place of a field by name. ValueError with one line where there is none."""
    known = {each.name: each for each in _areas(shape)}
    here = known.get(area)
    if here is None:
        raise ValueError(f"{shape.name} has no area {area!r}; it has {', '.join(known)}")
    if not 0 <= index < here.rows:
        raise ValueError(f"{area} of {shape.name} has rows 0 to {here.rows - 1}, not {index}")
    for name, offset, width in here.fields:
        if name == field:
            start = here.address + index * here.stride + offset
            return Place(shape.index, area, index, name, start, width, shape.table_entries)
    names = ", ".join(name for name, _, _ in here.fields if name)
    raise ValueError(f"{area} has no field {field!r}; " + (f"it has {names}" if names else "it is one value"))


def writer(area: str) -> int:
    """The side that writes an area: 0 driver, 1 device. A packed descriptor is written by both (2.8)."""
    return 0 if area in _DRIVERS else 1


def table_place(shape: QueueShape, slot: int, entry: int, field: str) -> Place:
    """A field of the driver's own indirect table of a slot."""
    return of(shape, "tables", slot * shape.table_entries + entry, field)
