"""Columns and sort keys: what the list shows is what it sorts by, and nothing is read outside a frame."""

from __future__ import annotations

import random
from socket import inet_ntop

import numpy as np
import pytest
from frames.crafted import frames as crafted
from frames.test_dfilter import MIX, block_of, facts_block
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.batch import SORTABLE, Batch, sort_key
from capture.batch.protocols import NAMES
from capture.batch.walk import DEPTH, heads, word
from capture.columns import summary
from capture.fieldtable import FIELDS, Kind
from capture.store import Block


def test_protocols_sort_as_the_list_names_them() -> None:
    batch = Batch(block_of(MIX))
    keys = sort_key(batch, "protocol").tolist()
    named = [NAMES[key >> 16] if key >> 16 else f"0x{key & 0xFFFF:04x}" for key in keys]
    assert named == [summary(frame).protocol for frame in MIX]
    assert list(NAMES) == sorted(NAMES)
    assert sorted(range(len(keys)), key=lambda i: keys[i]) == sorted(range(len(keys)), key=lambda i: named[i])


def written(key: bytes) -> str:
    """An address from its key."""
    raw = key.ljust(17, b"\0")
    if raw[0] == 8:
        return raw[1:7].hex(":")
    if raw[0] == 4:
        return ".".join(map(str, raw[1:5]))
    return inet_ntop(10, raw[1:]) if raw[0] == 6 else ""


@pytest.mark.parametrize("column", ["source", "destination"])
def test_addresses_sort_as_the_list_shows_them(column: str) -> None:
    keys = sort_key(Batch(block_of(MIX)), column)
    assert keys.dtype == np.dtype("S17")
    for frame, key in zip(MIX, keys.tolist(), strict=True):
        shown = summary(frame)
        if not shown.info.startswith("[malformed"):
            assert written(key) == getattr(shown, column)
    order = [written(key) for key in np.sort(keys).tolist()]
    kinds = [0 if "." in text else 2 if text.count(":") == 5 and len(text) == 17 else 1 for text in order]
    assert kinds == sorted(kinds)


def test_what_an_icmp_error_quotes_is_not_its_source() -> None:
    for frame in crafted():
        if summary(frame).protocol == "ICMP" and frame[23:24] == b"\1" and frame[34:35] in (b"\x03", b"\x0b"):
            batch = Batch(block_of([frame]))
            assert written(sort_key(batch, "source")[0]) == "10.1.0.1"
            assert NAMES[int(sort_key(batch, "protocol")[0]) >> 16] == "ICMP"
            assert len(batch.column("ip.src").values) == 2


def test_keys_of_the_ring() -> None:
    batch = Batch(facts_block(), before=10**18 - 5)
    last = np.iinfo(np.int64).max
    assert sort_key(batch, "latency").tolist() == [50_000, 150_000, last, last, 0]
    assert sort_key(batch, "pickup").tolist() == [1000, 1000, last, last, 1000]
    assert sort_key(batch, "delta").tolist() == [5, 1000, 1000, 1000, 1000]
    assert sort_key(Batch(facts_block()), "delta").tolist()[0] == 0
    assert sort_key(batch, "queue").tolist() == [0, 1, 0, 1, 2]
    assert np.argmax(sort_key(batch, "gso")) == 1
    assert sort_key(batch, "layout").tolist() == [0, 1, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(frames=st.lists(st.binary(max_size=90), max_size=8), column=st.sampled_from(SORTABLE))
def test_every_key_is_one_value_a_frame(frames: list[bytes], column: str) -> None:
    keys = sort_key(Batch(block_of(frames)), column)
    assert keys.shape == (len(frames),)
    assert keys.dtype == sort_key(Batch(block_of(MIX[:3])), column).dtype


def around(frames: list[bytes], fill: int) -> Block:
    """The frames with `fill` before, between and behind them."""
    block = block_of(frames)
    data = np.full(sum(map(len, frames)) + 64 * len(frames) + 64, fill, np.uint8)
    at = 64
    for index, frame in enumerate(frames):
        data[at : at + len(frame)] = np.frombuffer(frame, np.uint8)
        block.offsets[index] = at
        at += len(frame) + 64
    return Block(block.rows, data.data, block.offsets, block.stages)


def held(block: Block, name: str) -> list[tuple[int, object]]:
    column = Batch(block).column(name)
    if column.stops is None:
        values: list[object] = column.values.tolist()
    else:
        spans = zip(column.values.tolist(), column.stops.tolist(), strict=True)
        values = [bytes(block.data[at:stop]) for at, stop in spans]
    return sorted(zip(column.frames.tolist(), values, strict=True), key=repr)


def test_what_stands_around_a_frame_changes_nothing() -> None:
    dice = random.Random(1)
    frames = [frame[: dice.randrange(len(frame) + 1)] for frame in (MIX[::7] + crafted()) * 2]
    first, second = around(frames, 0), around(frames, 0x45)
    for name in FIELDS:
        assert held(first, name) == held(second, name), name


def test_layers_without_end_are_bounded() -> None:
    tags = b"\x52\x54\0\0\0\1" * 2 + b"\x81\0\0\5" * 5000 + b"\x08\0"
    batch = Batch(block_of([tags, MIX[0]]))
    assert len(batch.column("vlan.id").values) == DEPTH - 1
    assert batch.column("ip.src").frames.tolist() == [1]


def test_heads_reads_zeros_behind_the_end() -> None:
    data = np.arange(1, 7, dtype=np.uint8)
    assert heads(data, np.array([0, 4, 5, 6]), 3).tolist() == [[1, 2, 3], [5, 6, 0], [6, 0, 0], [0, 0, 0]]
    assert heads(data[:0], np.array([0]), 2).tolist() == [[0, 0]]
    assert heads(data, np.zeros(0, np.int64), 9).shape == (0, 9)
    head = heads(data, np.array([0]), 6)
    assert [int(word(head, 0, size)[0]) for size in (1, 2, 3, 4, 6)] == [
        0x01, 0x0102, 0x010203, 0x01020304, 0x010203040506,
    ]  # fmt: skip


def test_a_field_of_any_has_the_kind_of_its_parts() -> None:
    for info in FIELDS.values():
        assert all(FIELDS[part].kind is info.kind for part in info.parts)
        assert info.kind in (Kind.NUMBER, Kind.FLAG) or not info.names
