"""Effects of chunks against a memory of single bytes that every store goes to one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.past.chunk import CHANGE, changes, make_chunk, merge, net
from dataplane.past.image import Image, anchor_of, plan, put_aside
from dataplane.records import EVENT, Kind, Role
from dataplane.snapshot import Array
from tests.fakes import snapshot

BASE = 0x1003  # an area need not begin at a multiple of 8
SIZE = 4
SHAPES = (
    QueueShape(
        index=2,
        name="rx1",
        role=Role.RECEIVE,
        size=SIZE,
        packed=False,
        in_order=False,
        indirect=False,
        event_idx=True,
        enabled=True,
        generation=1,
        start_index=0,
        desc_addr=BASE,
        driver_addr=BASE + 0x100,
        device_addr=BASE + 0x200,
        tables_addr=0,
        table_entries=0,
    ),
)


def keyframe(number: int = 0) -> Keyframe:
    length = sum(length for _, _, length in SHAPES[0].areas)
    own = bytes(own_dtype(SIZE).itemsize)
    return Keyframe(number, 5, snapshot(), SHAPES, (bytes(range(7, 7 + length)),), (own,))


@st.composite
def stores(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """(kind, place, value, width): mostly aligned, mostly inside, often the same word again."""
    made = []
    for _ in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 3)) == 0:
            place = draw(st.integers(-3, own_dtype(SIZE).itemsize // 8 + 2)) * 8 + draw(
                st.sampled_from((0, 0, 0, 4))
            )
            made.append((Kind.OWN, max(place, 0), draw(st.integers(0, 2**64 - 1)), 8))
            continue
        width = draw(st.sampled_from((1, 2, 2, 4, 8, 8, 8)))
        area = draw(st.sampled_from((0, 0, 0x100, 0x200)))
        offset = draw(st.integers(-2, 9)) * width + draw(st.sampled_from((0, 0, 0, 0, 1, 3)))
        made.append((Kind.STORE, BASE + area + offset, draw(st.integers(0, 2 ** (8 * width) - 1)), width))
    return made


class Bytes:
    """Ring memory and private words byte by byte."""

    def __init__(self) -> None:
        frame = keyframe()
        self.cells: dict[tuple[bool, int], int] = {}
        at = 0
        for _, address, length in SHAPES[0].areas:
            for i in range(length):
                self.cells[False, address + i] = frame.memory[0][at + i]
            at += length
        self.cells |= {(True, i): 0 for i in range(len(frame.own[0]))}

    def store(self, own: bool, place: int, value: int, width: int) -> int:
        """The value before; nothing happens where not all of it is inside one area."""
        keys = [(own, place + i) for i in range(width)]
        old = sum(self.cells.get(key, 0) << 8 * i for i, key in enumerate(keys))
        for i, key in enumerate(keys):
            self.cells[key] = value >> 8 * i & 0xFF
        return old

    def read(self, own: bool, place: int, length: int) -> bytes:
        return bytes(self.cells[own, place + i] for i in range(length))


def journaled(made: list[tuple[int, int, int, int]]) -> tuple[Array, Bytes, Bytes]:
    """The rows of stores done one by one; the bytes before and behind."""
    before, behind = Bytes(), Bytes()
    rows = np.zeros(len(made), EVENT)
    for i, (kind, place, value, width) in enumerate(made):
        old = behind.store(kind == Kind.OWN, place, value, width)
        rows[i] = (i + 1, 0, place, old, value, kind, 0, 2, 0, width)
    return rows, before, behind


def same(image: Image, there: Bytes) -> None:
    own = image.own(0)
    assert own == there.read(True, 0, len(own))
    for _, address, length in SHAPES[0].areas:
        assert image.read(address, length) == there.read(False, address, length)


def inside(made: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Without stores that lie partly outside: the image passes over them, single bytes do not."""
    own = own_dtype(SIZE).itemsize
    kept = []
    for kind, place, value, width in made:
        if kind == Kind.OWN:
            whole = place % 8 == 0 and place + 8 <= own
        else:
            whole = any(a <= place and place + width <= a + n for _, a, n in SHAPES[0].areas)
        if whole:
            kept.append((kind, place, value, width))
    return kept


@settings(max_examples=150, deadline=None)
@given(stores())
def test_an_effect_is_what_its_stores_do_one_by_one(made: list[tuple[int, int, int, int]]) -> None:
    rows, before, behind = journaled(inside(made))
    image = anchor_of(keyframe()).image()
    same(image, before)
    effect = net(changes(rows))
    image.apply(effect)
    same(image, behind)
    image.apply(effect, forward=False)
    same(image, before)


@settings(max_examples=80, deadline=None)
@given(stores(), st.lists(st.integers(0, 40), max_size=4))
def test_merged_effects_are_one(made: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    rows, before, behind = journaled(inside(made))
    edges = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts = [net(changes(rows[a:b])) for a, b in pairwise(edges)]
    image = anchor_of(keyframe()).image()
    for part in parts:
        image.apply(part)
    same(image, behind)
    whole = merge(parts)
    image.apply(whole, forward=False)
    same(image, before)


@settings(max_examples=80, deadline=None)
@given(stores())
def test_changes_never_overlap_and_stand_in_order(made: list[tuple[int, int, int, int]]) -> None:
    rows, _, _ = journaled(made)
    effect = net(changes(rows))
    store = effect[effect["kind"] == Kind.STORE]
    assert (effect["kind"][: len(store)] == Kind.STORE).all()
    assert (store["place"][1:] >= store["place"][:-1] + store["width"][:-1].astype(np.uint64)).all()
    own = effect[len(store) :]
    assert len(np.unique(own["place"])) == len(own)
    touched = {place + i for kind, place, _, width in made if kind == Kind.STORE for i in range(width)}
    assert touched == {int(c["place"]) + i for c in store for i in range(int(c["width"]))}


@settings(max_examples=60, deadline=None)
@given(stores())
def test_stores_outside_every_area_change_nothing(made: list[tuple[int, int, int, int]]) -> None:
    within = set(inside(made))
    rows, before, _ = journaled([one for one in made if one not in within])
    image = anchor_of(keyframe()).image()
    image.apply(net(changes(rows)))
    own = image.own(0)
    assert own == before.read(True, 0, len(own))
    # Two widths that meet are told byte by byte, and then the bytes inside count.
    if not any(change["width"] == 1 for change in net(changes(rows))):
        same(image, before)


def test_absurd_rows_have_no_effect() -> None:
    rows = np.zeros(6, EVENT)
    rows["kind"] = [Kind.STORE, Kind.STORE, Kind.STORE, Kind.OWN, Kind.OWN, Kind.STORE]
    rows["place"] = [2**64 - 1, BASE, BASE, 2**63, 8, 2**62 - 1]
    rows["count"] = [8, 0, 3, 8, 8, 8]
    rows["queue"] = [0, 2, 2, 2, 65535, 0]
    rows["new"] = 2**64 - 1
    image = anchor_of(keyframe()).image()
    image.apply(net(changes(rows)))
    same(image, Bytes())
    wild = np.zeros(3, CHANGE)  # as a stranger's file may have them
    wild["kind"], wild["width"], wild["place"] = [1, 25, 77], [255, 8, 8], [2**64 - 1, 2**64 - 8, BASE]
    image.apply(wild)
    same(image, Bytes())


def test_an_image_put_aside_comes_back() -> None:
    image = anchor_of(keyframe(9)).image()
    image.data[3] = 200
    again = put_aside(image, 77)
    assert again.image().data.tobytes() == image.data.tobytes()
    assert again.number == 9 and again.time == 77 and again.nbytes < 3 * 4096


def test_memory_is_read_inside_one_area_only() -> None:
    image = anchor_of(keyframe()).image()
    assert image.read(BASE, 2) == bytes((7, 8)) and image.read(BASE + 64, 0) == b""
    for address, length in ((BASE - 1, 2), (BASE + 63, 2), (0, 1), (2**64, 1), (-1, 1), (BASE, -1)):
        with pytest.raises(LookupError, match="not inside one area"):
            image.read(address, length)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": 1 << 20},
        {"index": -1},
        {"table_entries": -1},
        {"desc_addr": -8},
        {"desc_addr": 1 << 63},
    ],
    ids=str,
)
def test_shapes_that_cannot_be_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="queue"):
        plan((replace(SHAPES[0], **change),))  # type: ignore[arg-type]


def test_keyframes_whose_parts_do_not_fit_are_refused() -> None:
    frame = keyframe()
    for wrong in (
        replace(frame, memory=(frame.memory[0][:-1],)),
        replace(frame, own=(frame.own[0] + b"x",)),
        replace(frame, memory=()),
    ):
        with pytest.raises(ValueError):
            anchor_of(wrong)


def test_a_chunk_has_a_row() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        make_chunk(np.zeros(0, EVENT))
