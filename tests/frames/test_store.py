"""The frame store: what goes in comes out, the budget holds, readers are never disturbed."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.frame import RECORD, STAGES, Array, records
from capture.store import PICKED_BYTES, FrameStore


def batch(frames: list[bytes], queue: int = 0, position: int = 0, gap: int = 0) -> tuple[Array, bytes, Array]:
    """Rows, bytes and offsets of these frames, with `gap` bytes of something else between them."""
    rows = records(len(frames))
    rows["captured"] = rows["length"] = [len(frame) for frame in frames]
    rows["origin_queue"] = queue
    rows["origin_position"] = np.arange(position, position + len(frames))
    rows["buffers"] = 1
    sizes = np.array([len(frame) + gap for frame in frames], np.int64)
    return rows, b"".join(frame + b"#" * gap for frame in frames), np.cumsum(sizes) - sizes


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.binary(max_size=300), max_size=20), max_size=12),
    budget=st.sampled_from([1, 5000, 40_000, 1 << 20]),
    gap=st.integers(0, 3),
)
def test_frames_come_back_as_they_went_in(batches: list[list[bytes]], budget: int, gap: int) -> None:
    store = FrameStore(budget)
    put: list[bytes] = []
    for frames in batches:
        assert store.append(*batch(frames, gap=gap)) == len(put) + 1
        put += frames
    assert store.last == len(put)
    assert len(store) == store.last - store.first + 1
    assert store.dropped == store.first - 1
    for number in range(store.first, store.last + 1):
        assert store.frame(number).data == put[number - 1]
    rows = store.rows(0, 1 << 62)
    assert rows["number"].tolist() == list(range(store.first, store.last + 1))
    assert store.payloads(0, 1 << 62) == put[store.first - 1 :]
    assert [
        bytes(data[at : at + size])
        for rows, data, offsets, _ in store.blocks(store.first, store.last + 1)
        for at, size in zip(offsets.tolist(), rows["captured"].tolist(), strict=True)
    ] == put[store.first - 1 :]


def test_budget_is_kept_and_the_oldest_go() -> None:
    store = FrameStore(1 << 20)
    for _ in range(200):
        store.append(*batch([bytes(1500)] * 32))
    assert store.held_bytes <= 1 << 20
    assert store.first > 1
    assert store.dropped == store.first - 1
    assert store.last == 6400
    kept = sum(len(data) for data in store.payloads(store.first, store.last + 1))
    assert kept > (1 << 20) * 0.8


def test_one_frame_larger_than_a_chunk() -> None:
    store = FrameStore(1 << 18)
    store.append(*batch([b"a" * 9000, b"b" * 65_000, b"c"]))
    assert store.frame(store.last).data == b"c"
    assert [len(data) for data in store.payloads(1, 4)][-2:] == [65_000, 1]


def test_errors_say_what_is_wrong() -> None:
    store = FrameStore()
    with pytest.raises(LookupError, match="frame 1 is not there yet"):
        store.frame(1)
    rows, data, offsets = batch([b"abc"])
    with pytest.raises(ValueError, match="outside the 2 bytes"):
        store.append(rows, data[:2], offsets)
    with pytest.raises(ValueError, match="1 rows with 0 offsets"):
        store.append(rows, data, offsets[:0])
    with pytest.raises(ValueError, match="keeps nothing"):
        FrameStore(0)
    small = FrameStore(1)
    small.append(*batch([bytes(5000), bytes(5000)]))
    with pytest.raises(LookupError, match="frame 1 is no longer kept"):
        small.frame(1)


def test_rows_cannot_be_changed_by_a_reader() -> None:
    store = FrameStore()
    store.append(*batch([b"abc"]))
    with pytest.raises(ValueError, match="read-only"):
        store.rows(1, 2)["head"] = 3


def test_by_origin_finds_the_newest_and_every_buffer_of_a_frame() -> None:
    store = FrameStore()
    store.append(*batch([b"a", b"b", b"c"], queue=1, position=65_535))
    rows, data, offsets = batch([bytes(9000)], queue=0, position=100)
    rows["buffers"] = 5
    store.append(rows, data, offsets)
    store.append(*batch([b"again"], queue=1, position=65_536))
    assert store.by_origin(1, 65_535) == 1
    assert store.by_origin(1, 65_536) == 5
    assert store.by_origin(1, 65_537) == 3
    assert [store.by_origin(0, position) for position in (99, 100, 104, 105)] == [None, 4, 4, None]
    assert store.by_origin(2, 65_536) is None


def test_frame_carries_the_fields_of_its_row() -> None:
    store = FrameStore()
    rows, data, offsets = batch([b"abcd"], queue=3, position=1 << 40)
    rows["time"], rows["length"], rows["head"], rows["descriptors"] = 1 << 60, 60, 7, 2
    rows["net_header"], rows["net_header_length"] = [bytes(range(20))], 12
    rows["direction"], rows["flags"], rows["interface"] = 1, 3, 2
    store.append(rows, data, offsets)
    frame = store.frame(1)
    assert (frame.origin, frame.time, frame.length, frame.head) == ((3, 1 << 40), 1 << 60, 60, 7)
    assert (frame.net_header, frame.direction, frame.flags, frame.interface) == (bytes(range(12)), 1, 3, 2)


def test_clear_forgets_and_numbers_go_on() -> None:
    store = FrameStore()
    store.append(*batch([b"a", b"b"]))
    store.clear()
    assert (len(store), store.first, store.last, store.held_bytes) == (0, 3, 2, 0)
    assert len(store.rows(0, 100)) == 0
    assert store.append(*batch([b"c"])) == 3
    assert store.frame(3).data == b"c"


def test_readers_see_whole_frames_while_the_writer_goes_on() -> None:
    """Every frame's bytes are its origin: a reader that sees a half-written one would notice."""
    store = FrameStore(1 << 18)
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        dice = random.Random(1)
        while not done.is_set():
            first, last = store.first, store.last
            for number in (first, last, dice.randint(first, max(first, last))):
                try:
                    frame = store.frame(number)
                except LookupError:
                    continue
                if frame.number != number or frame.data != (frame.origin[1] % 251).to_bytes() * len(
                    frame.data
                ):
                    wrong.append(f"frame {number}")
            for row in store.rows(last - 20, last + 1):
                if int(row["number"]) != int(row["origin_position"]) + 1:
                    wrong.append(f"row {row['number']}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(300):
        frames = [((turn * 16 + i) % 251).to_bytes() * (20 + i * 60) for i in range(16)]
        store.append(*batch(frames, position=turn * 16))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert store.dropped > 0


def test_record_size_is_the_documented_one() -> None:
    assert RECORD.itemsize == 80


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.binary(max_size=300), max_size=120),
    numbers=st.lists(st.integers(-2, 130), max_size=60),
    budget=st.sampled_from([1, 6000, 1 << 20]),
)
def test_picked_frames_are_those_asked_for_once_and_in_order(
    frames: list[bytes], numbers: list[int], budget: int
) -> None:
    store = FrameStore(budget)
    store.append(*batch(frames))
    stages = np.zeros(len(frames), STAGES)
    stages["used"] = np.arange(1, len(frames) + 1)
    store.set_stages(1, stages)
    found = []
    for rows, data, offsets, marks in store.pick(np.array(numbers, np.int64)):
        assert rows["number"].tolist() == marks["used"].tolist()
        for number, at, size in zip(
            rows["number"].tolist(), offsets.tolist(), rows["captured"].tolist(), strict=True
        ):
            assert bytes(data[at : at + size]) == frames[number - 1]
            found.append(number)
    assert found == sorted({n for n in numbers if store.first <= n <= store.last})


def test_picked_frames_are_a_copy_in_blocks_of_bounded_size() -> None:
    store = FrameStore(64 << 20)
    store.append(*batch([bytes([n]) * 200_000 for n in range(24)]))
    blocks = list(store.pick(np.arange(1, 25)))
    assert sum(len(block.rows) for block in blocks) == 24
    assert max(len(block.data) for block in blocks) <= PICKED_BYTES
    store.clear()
    assert bytes(blocks[-1].data[:1]) == bytes([24 - len(blocks[-1].rows)])
