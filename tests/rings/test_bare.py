"""Bare rings by hand: a source like any other, of which every byte is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataplane.bare import Bare, Piece
from dataplane.keyframe import own_dtype
from dataplane.records import Kind, Owner, Side
from dataplane.source import RingSource

LAYOUT = pytest.mark.parametrize("layout", ["split", "packed"])


def lap(rings: Bare, ring: int = 0, length: int = 0) -> None:
    """One buffer all the way round."""
    assert (
        rings.add([Piece(rings.place(b"hello"), 5), Piece(rings.place(100), 100, True)], ring=ring)
        is not None
    )
    rings.publish(ring)
    taken = rings.next(ring)
    assert taken is not None and [p.length for p in taken.pieces] == [5, 100] and taken.writable == 100
    assert rings.memory(taken.pieces[0].address, 5) == b"hello"
    rings.complete([taken.done(length)], ring=ring)
    rings.flush(ring)
    back = rings.collect(ring)
    assert back is not None and back.length == length and back.position == taken.position


@LAYOUT
def test_round_and_round(layout: Any) -> None:
    with Bare(layout=layout, size=4, rings=2, start_index=3) as rings:
        for i in range(9):
            lap(rings, ring=1, length=i)
        first, second = rings.snapshot().queues
        assert (first.name, second.name) == ("ring0", "ring1")
        assert first.published == 0 and second.collected == 9
        assert second.exact and second.owners == (4, 0, 0, 0)


@LAYOUT
def test_no_room_now_and_never(layout: Any) -> None:
    with Bare(layout=layout, size=2) as rings:
        piece = Piece(rings.place(1), 1)
        assert rings.add([piece, piece]) is not None
        assert rings.add([piece]) is None
        with pytest.raises(ValueError, match="a buffer of 3 pieces does not fit"):
            rings.add([piece] * 3)
        assert rings.next() is None
        rings.publish()
        assert rings.snapshot().queue(0).owner.tolist() == [Owner.AVAILABLE, Owner.AVAILABLE]


@LAYOUT
def test_notifications_are_decided_and_told(layout: Any) -> None:
    with Bare(layout=layout) as rings:
        lap(rings)
        rings.add([Piece(rings.place(1), 1)])
        rings.publish()
        rings.kick_needed()
        rings.kicks_on()
        queue = rings.snapshot().queue(0)
        assert queue.driver is not None and queue.driver.kick.answer in ("sent", "quiet")
        kinds = {Kind(int(kind)) for kind in rings.events().rows["kind"]}
        assert kinds & {Kind.KICK, Kind.KICK_QUIET} and Kind.NOTIFY_ON in kinds


@LAYOUT
def test_a_keyframe_is_the_moment(layout: Any) -> None:
    with Bare(layout=layout, size=4) as rings:
        lap(rings)
        found = rings.keyframe()
        assert found is not None and found.number == rings.snapshot().number
        (shape,), (memory,), (own,) = found.shapes, found.memory, found.own
        assert memory == b"".join(rings.memory(at, length) for _, at, length in shape.areas)
        image = np.frombuffer(own, own_dtype(4))[0]
        assert image["driver"]["collected"] == 1
        assert rings.keyframe(found.number + 1) is None


def test_what_is_written_past_the_verbs_is_journaled() -> None:
    with Bare(size=4) as rings:
        queue = rings.snapshot().queue(0)
        before = rings.events().cursor
        rings.write(queue.device_addr + 2, (7).to_bytes(2, "little"), Side.DEVICE)
        rows = rings.events(before).rows
        stores = rows[rows["kind"] == Kind.STORE]
        assert [(int(r["side"]), int(r["place"]), int(r["new"])) for r in stores] == [
            (1, queue.device_addr + 2, 7)
        ]


def test_it_is_a_source() -> None:
    rings = Bare()
    assert isinstance(rings, RingSource) and rings.control is None and rings.probe is None
    assert len(rings.frames().rows) == 0
    rings.close()
    rings.close()
    with pytest.raises(RuntimeError, match="the ring is closed"):
        rings.snapshot()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"size": 3}, "not a power of two"),
        ({"size": 0}, "out of range"),
        ({"rings": 0}, "0 rings are out of range: 1 to 16"),
        ({"layout": "packed", "size": 3, "start_index": 3}, "starts at slot 0 to 2"),
        ({"features": "+mq"}, "bare rings know event_idx, indirect_desc, in_order"),
    ],
)  # fmt: skip
def test_what_cannot_be(options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Bare(**options)


def test_memory_that_is_not_there() -> None:
    with Bare(scratch=64) as rings:
        with pytest.raises(ValueError, match="65 bytes do not fit the 64 bytes for payload"):
            rings.place(65)
        with pytest.raises(LookupError):
            rings.write(1, b"x")
