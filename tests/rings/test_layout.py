"""The numpy dtypes, the C structs behind them and the numbers of the specification are one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dataplane import layout, records
from dataplane._engine import Engine, offsets

DTYPES = {
    "DESC": layout.DESC,
    "USED_ELEM": layout.USED_ELEM,
    "PACKED_DESC": layout.PACKED_DESC,
    "NET_HEADER": layout.NET_HEADER,
    "EVENT": records.EVENT,
    "FRAME": records.FRAME,
    "REQUEST": records.REQUEST,
    "QUEUE_HEADER": records.QUEUE_HEADER,
    "DRIVER_STATE": records.DRIVER_STATE,
    "DEVICE_STATE": records.DEVICE_STATE,
}


def places(dtype: np.dtype) -> dict[str, int]:
    assert dtype.fields is not None
    return {name: field[1] for name, field in dtype.fields.items()}


def test_every_struct_is_compared() -> None:
    assert set(offsets()) == set(DTYPES)


@pytest.mark.parametrize("name", DTYPES)
def test_size_and_offsets_are_those_of_c(name: str) -> None:
    in_c = dict(offsets()[name])
    assert in_c.pop("") == DTYPES[name].itemsize
    assert in_c, "no field is compared"
    here = places(DTYPES[name])
    assert in_c == {field: here[field] for field in in_c}


@pytest.mark.parametrize("name", ["DESC", "USED_ELEM", "PACKED_DESC", "NET_HEADER"])
def test_every_field_of_the_specification_is_compared(name: str) -> None:
    assert set(offsets()[name]) - {""} == set(DTYPES[name].names or ())


def test_numbers_of_the_specification() -> None:
    assert places(layout.DESC) == {"addr": 0, "len": 8, "flags": 12, "next": 14}  # 2.7.5
    assert places(layout.USED_ELEM) == {"id": 0, "len": 4}  # 2.7.8
    assert places(layout.PACKED_DESC) == {"addr": 0, "len": 8, "id": 12, "flags": 14}  # 2.8.13
    assert places(layout.PACKED_EVENT) == {"off_wrap": 0, "flags": 2}  # 2.8.14
    assert places(layout.NET_HEADER) == {  # 5.1.6
        "flags": 0,
        "gso_type": 1,
        "hdr_len": 2,
        "gso_size": 4,
        "csum_start": 6,
        "csum_offset": 8,
        "num_buffers": 10,
    }
    assert places(layout.NET_CONFIG) == {"mac": 0, "status": 6, "max_virtqueue_pairs": 8, "mtu": 10}  # 5.1.4
    sizes = {
        "DESC": 16,
        "USED_ELEM": 8,
        "PACKED_DESC": 16,
        "NET_HEADER": 12,
        "EVENT": 48,
        "FRAME": 64,
        "REQUEST": 32,
    }
    assert {name: DTYPES[name].itemsize for name in sizes} == sizes


@pytest.mark.parametrize("size", [1, 2, 256, 32768])
def test_bytes_of_the_areas(size: int) -> None:
    assert layout.driver_area_bytes(size, False) == 6 + 2 * size  # 2.7.6
    assert layout.device_area_bytes(size, False) == 6 + 8 * size  # 2.7.8
    assert layout.driver_area_bytes(size, True) == layout.device_area_bytes(size, True) == 4  # 2.8.10


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4, 256, 32768])
def test_areas_are_aligned_and_apart(packed: bool, size: int) -> None:
    """2.7: 16, 2 and 4; 2.8.10: 16, 4 and 4."""
    engine = Engine(bare=True, queues=3, packed=packed, size=size, trace_events=64, frame_bytes=64)
    try:
        engine.setup()
        taken: list[tuple[int, int]] = []
        for queue in range(3):
            raw = bytearray(engine.room(queue, False))
            engine.snapshot(queue, False, raw)
            head = np.frombuffer(raw, records.QUEUE_HEADER)[0]
            desc, driver, device = (int(head[f"{n}_addr"]) for n in ("desc", "driver", "device"))
            assert desc % 16 == 0 and driver % 4 == 0 and device % 4 == 0
            taken.append((desc, 16 * size))
            taken.append((driver, layout.driver_area_bytes(size, packed)))
            taken.append((device, layout.device_area_bytes(size, packed)))
            taken.append((engine.tables(queue)[0], 0))
        taken.sort()
        for (at, length), (following, _) in pairwise(taken):
            assert at + length <= following
    finally:
        engine.close()


@pytest.mark.parametrize(
    "flags, packed, names",
    [
        (0, False, ()),
        (1, False, ("NEXT",)),
        (6, True, ("WRITE", "INDIRECT")),
        (0x8080, True, ("AVAIL", "USED")),
        (0x8081, False, ("NEXT", "0x8080")),
        (0x4000, True, ("0x4000",)),
    ],
)
def test_flags_by_name(flags: int, packed: bool, names: tuple[str, ...]) -> None:
    assert layout.desc_flag_names(flags, packed) == names
