"""Every byte of ring memory has one name, and every name its bytes."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from dataplane import layout, places
from dataplane.keyframe import QueueShape
from dataplane.pair import Pair
from dataplane.records import Role, Side
from dataplane.snapshot import PackedQueue, SplitQueue


def shape(packed: bool, size: int = 8, entries: int = 4) -> QueueShape:
    return QueueShape(
        1, "tx0", Role.TRANSMIT, size, packed, False, True, True, True, 1, 0,
        0x1000, 0x9000, 0xA004, 0x20000, entries,
    )  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [1, 8, 256])
def test_every_byte_of_every_area_is_one_field(packed: bool, size: int) -> None:
    queue = shape(packed, size)
    for _, address, length in queue.areas:
        found = places.covered(queue, address, length)
        assert sum(place.width for place in found) == length
        here = address
        for place in found:
            assert place.address == here
            for byte in range(place.width):
                assert places.at(queue, here + byte) == place
            assert places.of(queue, place.area, place.index, place.field) == place
            here += place.width
        assert places.at(queue, address - 1) is None or places.at(queue, address - 1) not in found


@pytest.mark.parametrize("packed", [False, True])
def test_fields_stand_where_the_structures_say(packed: bool) -> None:
    queue = shape(packed)
    dtype = layout.PACKED_DESC if packed else layout.DESC
    for area, start in (("desc", queue.desc_addr), ("tables", queue.tables_addr)):
        for name in dtype.names or ():
            field, offset = dtype.fields[name][:2]  # type: ignore[index]
            place = places.of(queue, area, 3, name)
            assert (place.address, place.width) == (start + 3 * 16 + offset, field.itemsize)


def test_a_descriptors_second_word_is_three_fields() -> None:
    names = [place.field for place in places.covered(shape(False), 0x1000 + 3 * 16 + 8, 8)]
    assert names == ["len", "flags", "next"]
    names = [place.field for place in places.covered(shape(True), 0x1000 + 3 * 16 + 8, 8)]
    assert names == ["len", "id", "flags"]


def test_words() -> None:
    split, packed = shape(False), shape(True)
    assert places.of(split, "desc", 3, "len").text == "desc[3].len"
    assert places.of(split, "avail_ring", 2).text == "avail.ring[2]"
    assert places.of(split, "used_ring", 2, "id").text == "used.ring[2].id"
    assert places.of(split, "avail_idx").text == "avail.idx"
    assert places.of(split, "tables", 2 * 4 + 1, "addr").text == "table of slot 2, entry 1: addr"
    assert places.of(packed, "driver_event", field="flags").text == "driver event: flags"
    assert places.table_place(split, 2, 1, "addr").mark == ("tables", 9, "addr")
    assert (places.table_place(split, 2, 1, "addr").slot, places.of(split, "desc", 5, "len").slot) == (2, 5)
    assert [places.writer(area) for area in ("avail_idx", "used_idx", "driver_event", "device_event")] == [
        0,
        1,
        0,
        1,
    ]


def test_names_that_do_not_exist_are_refused_in_a_line() -> None:
    with pytest.raises(ValueError, match="no area 'avail_idx'"):
        places.of(shape(True), "avail_idx")
    with pytest.raises(ValueError, match="rows 0 to 7, not 8"):
        places.of(shape(False), "desc", 8, "len")
    with pytest.raises(ValueError, match="has addr, len, flags, next"):
        places.of(shape(False), "desc", 0, "id")
    with pytest.raises(ValueError, match="one value"):
        places.of(shape(False), "avail_idx", 0, "lo")
    assert places.at(replace(shape(False), tables_addr=0), 0x20000) is None


@pytest.mark.parametrize("name", ["split", "packed"])
def test_memory_read_by_place_is_what_the_snapshot_shows(name: str) -> None:
    with Pair(layout=name, queue_size=8, frozen=True) as pair:  # type: ignore[arg-type]
        pair.flood(length=64)
        pair.start()
        for _ in range(12):
            pair.step(Side.DRIVER, "operation", 3)
            pair.step(Side.DEVICE, "operation", 3)
        shapes = {each.index: each for each in pair.shapes()}

        def value(queue: int, area: str, index: int = 0, field: str = "") -> int:
            place = places.of(shapes[queue], area, index, field)
            assert places.find(shapes.values(), place.address) == place
            raw = pair.memory(place.address, place.width)
            return int(struct.unpack({2: "<H", 4: "<I", 8: "<Q"}[place.width], raw)[0])

        for queue in pair.snapshot().queues:
            assert queue.published
            for slot in range(queue.size):
                for name in queue.desc.dtype.names or ():
                    assert value(queue.index, "desc", slot, name) == queue.desc[slot][name]
            if isinstance(queue, SplitQueue):
                for area in (
                    "avail_flags",
                    "avail_idx",
                    "used_event",
                    "used_flags",
                    "used_idx",
                    "avail_event",
                ):
                    assert value(queue.index, area) == getattr(queue, area)
                for entry in range(queue.size):
                    assert value(queue.index, "avail_ring", entry) == queue.avail_ring[entry]
                    assert value(queue.index, "used_ring", entry, "len") == queue.used_ring[entry]["len"]
            else:
                assert isinstance(queue, PackedQueue)
                assert value(queue.index, "driver_event", 0, "flags") == queue.driver_flags
                assert value(queue.index, "device_event", 0, "off_wrap") == queue.device_off_wrap
