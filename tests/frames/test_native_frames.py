"""The C face of frames by the batch: what hostile arguments get is a ValueError, and nothing else happens."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture import _frames
from capture.files.opened import INTERFACE
from capture.files.whole import TALLY
from capture.frame import RECORD, STAGES, Array, records


def room(size: int = 4096) -> tuple[bytearray, Array]:
    return bytearray(size), np.zeros(2, np.uint64)


def rows_of(*captured: int) -> tuple[Array, Array]:
    rows = records(len(captured))
    rows["captured"] = rows["length"] = captured
    sizes = np.array(captured, np.int64)
    return rows, np.cumsum(sizes) - sizes


def format_with(**changes: Any) -> int:
    rows, offsets = rows_of(4, 8)
    out, state = room()
    given: dict[str, Any] = {
        "rows": rows,
        "data": bytes(12),
        "offsets": offsets,
        "stages": None,
        "start": 0,
        "tallies": np.zeros(1, TALLY),
        "out": out,
        "state": state,
    }
    given |= changes
    return _frames.pcapng_blocks(*given.values())


def changed(field: str, value: int) -> Array:
    rows, _ = rows_of(4, 8)
    rows[field][1] = value
    return rows


LIES: list[tuple[dict[str, Any], str]] = [
    ({"rows": bytes(79)}, "rows: 79 bytes are no whole number"),
    ({"rows": changed("interface", 1)}, "frame 1 of the batch: its interface is not described"),
    ({"rows": changed("captured", 9)}, "frame 1 of the batch: its bytes are not inside"),
    ({"rows": changed("captured", (1 << 32) - 1)}, "more bytes captured"),
    ({"rows": changed("net_header_length", 21)}, "net header is longer"),
    ({"offsets": np.array([0, -1])}, "its bytes are not inside"),
    ({"offsets": np.array([0, (1 << 63) - 1])}, "its bytes are not inside"),
    ({"offsets": np.array([0])}, "offsets: 1 items for 2 frames"),
    ({"stages": np.zeros(1, STAGES)}, "stages: 1 items for 2 frames"),
    ({"start": -1}, "lead outside"),
    ({"start": 3}, "lead outside"),
    ({"state": np.array([4097, 0], np.uint64)}, "lead outside"),
    ({"state": np.zeros(4, np.uint64)}, "state: 2 items"),
    ({"tallies": np.zeros(0, TALLY)}, "frame 0 of the batch: its interface is not described"),
    ({"tallies": memoryview(bytearray(44))[4:]}, "lead outside|no whole number"),
]


@pytest.mark.parametrize(("changes", "message"), LIES, ids=range(len(LIES)))
def test_lies_to_the_writer(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        format_with(**changes)


def test_read_only_memory_is_not_written_to() -> None:
    with pytest.raises((BufferError, ValueError)):
        format_with(out=bytes(4096))
    with pytest.raises(TypeError):
        format_with(data=None)


def test_a_bad_row_leaves_those_before_it() -> None:
    out, state = room()
    tallies = np.zeros(1, TALLY)
    with pytest.raises(ValueError, match="frame 1"):
        format_with(rows=changed("captured", 9), out=out, state=state, tallies=tallies)
    assert state.tolist() == [struct.unpack_from("<I", out, 4)[0], 1]
    assert tallies["written"][0] == 1


def test_what_does_not_fit_is_not_begun() -> None:
    out, state = room(600)
    assert format_with(out=out, state=state) == 1
    assert bytes(out[int(state[0]) :]).count(0) == 600 - int(state[0])
    out, state = room(30)
    assert format_with(out=out, state=state) == 0
    assert not any(out)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=160, max_size=160), st.binary(min_size=64, max_size=64), st.binary(max_size=300))
def test_any_bytes_as_rows(rows: bytes, stages: bytes, data: bytes) -> None:
    """Rows and stages of any content: a ValueError, or blocks as the format wants them."""
    out, state = room()
    tallies = np.zeros(2, TALLY)
    raw = bytearray(rows)
    raw[72:76] = raw[152:156] = struct.pack("<I", rows[0] & 1)  # interfaces that exist
    raw[28:32] = struct.pack("<I", rows[1] % 64)  # and a captured length that may fit
    with suppress(ValueError):
        _frames.pcapng_blocks(raw, data, np.zeros(2, np.int64), stages, 0, tallies, out, state)
    at = 0
    while at < int(state[0]):
        total = struct.unpack_from("<I", out, at + 4)[0]
        assert struct.unpack_from("<I", out, at + total - 4)[0] == total
        at += total
    assert at == int(state[0])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 600), st.booleans(), st.integers(0, 2))
def test_any_bytes_as_a_file(data: bytes, at: int, swapped: bool, described: int) -> None:
    data = b"\6\0\0\0" + data if at % 2 else data
    out, state = room(200)
    rows, stages, offsets = records(3), np.zeros(3, STAGES), np.zeros(3, np.int64)
    table = np.zeros(described, INTERFACE)
    table["units"] = 1
    at = min(at, len(data))
    for _ in range(2):
        after = _frames.pcapng_frames(data, len(data), at, swapped, table, rows, offsets, stages, out, state)
        assert at <= after <= len(data) and state[0] <= 3 and state[1] <= 200
        after = _frames.pcap_frames(data, len(data), at, swapped, 1000, rows, offsets, stages, out, state)
        assert at <= after <= len(data) and state[0] <= 3 and state[1] <= 200


def test_lies_to_the_reader() -> None:
    out, state = room(10)
    rows, stages, offsets = records(3), np.zeros(3, STAGES), np.zeros(3, np.int64)
    good = (rows, offsets, stages, out, state)
    for size, at in ((5, 0), (-1, 0), (4, 5), (4, -1)):
        with pytest.raises(ValueError, match="lead outside"):
            _frames.pcap_frames(bytes(4), size, at, False, 1, *good)
    with pytest.raises(ValueError, match="stages: 2 items for 3 frames"):
        _frames.pcap_frames(bytes(4), 4, 0, False, 1, rows, offsets, stages[:2], out, state)
    with pytest.raises(ValueError, match="lead outside"):
        _frames.pcap_frames(bytes(4), 4, 0, False, 1, rows, offsets, stages, out, np.array([4, 0], np.uint64))
    with pytest.raises(ValueError, match="lead outside"):
        _frames.pcap_frames(
            bytes(4), 4, 0, False, 1, rows, offsets, stages, out, np.array([0, 11], np.uint64)
        )


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_words_as_facts(text: bytes) -> None:
    row, stages = records(1), np.zeros(1, STAGES)
    _frames.facts(text, row, stages)
    assert int(row["net_header_length"][0]) in (0, 10, 12, 20)


GOOD = "head=1 descriptors=2 buffers=3 position=4"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (GOOD, True),
        (f"my note: {GOOD} seen twice", True),
        ("head=1 descriptors=2 buffers=3", False),
        ("head=65536 descriptors=2 buffers=3 position=4", False),
        ("head=1 descriptors=0 buffers=3 position=4", False),
        ("head=1 descriptors=2 buffers=3 position=18446744073709551616", False),
        ("head=1 descriptors=2 buffers=3 position=18446744073709551615", True),
        ("head= descriptors=2 buffers=3 position=4", False),
        ("head=-1 descriptors=2 buffers=3 position=4", False),
    ],
)
def test_facts_are_all_there_or_somebody_elses(text: str, known: bool) -> None:
    row, stages = records(1), np.zeros(1, STAGES)
    _frames.facts(text.encode(), row, stages)
    assert bool(row["descriptors"][0]) == known


@pytest.mark.parametrize(
    ("words", "used"),
    [
        ("used=+1us", 6000),
        ("used=-1.5us", 3500),
        ("used=+0.07us", 5070),
        ("used=+1ms", 0),
        ("used=1us", 0),
        ("used=+1.2345us", 0),
        ("used=-6us", 0),
        ("used=+18446744073709551615us", 0),
        ("used=+us", 0),
    ],
)
def test_times_of_facts(words: str, used: int) -> None:
    row, stages = records(1), np.zeros(1, STAGES)
    row["time"] = 5000
    _frames.facts(f"{GOOD} {words}".encode(), row, stages)
    assert int(stages["used"][0]) == used


def test_words_are_what_facts_reads() -> None:
    row, stages = records(1), np.zeros(1, STAGES)
    row["time"], row["head"], row["descriptors"], row["buffers"] = 9000, 7, 3, 2
    stages["used"] = 9001
    text = _frames.words(row, stages)
    assert text == "head=7 descriptors=3 buffers=2 position=0 used=+0.001us"
    again, found = records(1), np.zeros(1, STAGES)
    again["time"] = 9000
    _frames.facts(text.encode(), again, found)
    assert (again.tobytes(), found.tobytes()) == (row.tobytes(), stages.tobytes())
    row["net_header_length"] = 21
    with pytest.raises(ValueError, match="net header"):
        _frames.words(row, None)
    with pytest.raises(ValueError, match="row"):
        _frames.words(b"", None)


RETURN_ALL, RETURN_NONE = struct.pack("<HBBI", 6, 0, 0, 65535), struct.pack("<HBBI", 6, 0, 0, 0)
#: ldb [3]; jeq #7, keep, drop
BYTE_3_IS_7 = (
    struct.pack("<HBBI", 0x30, 0, 0, 3) + struct.pack("<HBBI", 0x15, 0, 1, 7) + RETURN_ALL + RETURN_NONE
)


def mask(program: bytes, data: bytes, offsets: list[int], captured: list[int]) -> list[int]:
    out = np.full(len(offsets), 9, np.uint8)
    sizes = np.array(captured, np.uint32)
    _frames.bpf_mask(program, data, np.array(offsets, np.int64), sizes, sizes, out)
    return out.tolist()  # type: ignore[no-any-return]


def test_the_filter_machine_by_the_batch() -> None:
    data = bytes([0, 0, 0, 7, 7, 0, 0, 7])
    assert mask(RETURN_ALL, data, [0, 4], [4, 0]) == [1, 1]
    assert mask(RETURN_NONE, data, [0, 4], [4, 4]) == [0, 0]
    assert mask(BYTE_3_IS_7, data, [0, 2, 4, 0], [4, 4, 4, 3]) == [1, 0, 1, 0]
    assert mask(RETURN_ALL, b"", [], []) == []


@pytest.mark.parametrize("program", [b"", bytes(7), bytes(8), BYTE_3_IS_7[:-16], RETURN_ALL * 4097])
def test_unsound_programs(program: bytes) -> None:
    with pytest.raises(ValueError, match=r"no sound filter program|no whole number"):
        mask(program, bytes(4), [0], [4])


@pytest.mark.parametrize(("offset", "captured"), [(-1, 1), (0, 5), (4, 1), (1 << 62, 1), (3, (1 << 32) - 1)])
def test_frames_outside_their_data(offset: int, captured: int) -> None:
    with pytest.raises(ValueError, match="frame 0 of the batch: its bytes are not inside"):
        mask(RETURN_ALL, bytes(4), [offset], [captured])
    with pytest.raises(ValueError, match="frame 0 of the batch: its bytes are not inside"):
        _frames.gather(
            bytes(4), np.array([offset], np.int64), np.array([captured], np.uint32), bytearray(1 << 10)
        )


def test_gather() -> None:
    out = bytearray(6)
    sizes = np.array([2, 0, 3], np.uint32)
    assert _frames.gather(b"abcdef", np.array([4, 0, 0]), sizes, out) == 5
    assert out == b"efabc\0"
    with pytest.raises(ValueError, match="too few"):
        _frames.gather(b"abcdef", np.array([4, 0, 0]), sizes, bytearray(4))


def test_sizes_agree_with_numpy() -> None:
    assert (RECORD.itemsize, STAGES.itemsize, TALLY.itemsize, INTERFACE.itemsize) == (80, 32, 40, 24)
