"""A history of a stranger's file: whatever stands in it, a question is answered or refused in one line."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dataplane.history import History
from dataplane.keyframe import Keyframe
from dataplane.past.chunk import Chunk, make_chunk
from dataplane.records import Kind
from dataplane.snapshot import Array
from tests.rings.staging import LAYOUTS
from tests.rings.walking import Walk, rebuilt, walk_bare, walk_pair

#: What a file is refused for before it comes to be a history.
KEPT = ("number", "time")
#: Values that lead astray.
WILD = (0, 1, 2, 7, 8, 255, 256, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, 1 << 63)


def spoiled(dice: random.Random, array: Array, share: float) -> Array:
    """Some fields of some rows made wild."""
    made = array.copy()
    names = [name for name in made.dtype.names or () if name not in KEPT]
    for at in dice.sample(range(len(made)), int(share * len(made))):
        name = dice.choice(names)
        top = (1 << 8 * made.dtype[name].itemsize) - 1
        value = dice.choice((*WILD, dice.getrandbits(64), int(made[name][at]) + 1, int(made[name][at]) - 1))
        made[name][at] = value & top
    return made


def spoiled_bytes(dice: random.Random, data: bytes, share: float) -> bytes:
    made = bytearray(data)
    for at in dice.sample(range(len(made)), int(share * len(made))):
        made[at] = dice.choice((0, 1, 128, 255, dice.randrange(256)))
    return bytes(made)


def questions(dice: random.Random, history: History, keyframe: Keyframe) -> list[Callable[[], Any]]:
    reach = history.reach
    shape = dice.choice(keyframe.shapes)

    def number() -> int:
        return dice.choice((dice.randint(reach.first - 2, reach.last + 2), dice.choice(WILD), -1))

    units = ("event", "store", "operation", "packet", "second", "lap")
    asked: list[Callable[[], Any]] = [lambda: history.step(number(), u, b) for u in units for b in (1, -1)]  # type: ignore[misc]  # noqa: B023
    return [
        *asked,
        lambda: history.at(number()),
        lambda: history.at(number(), ()),
        lambda: history.at(number(), {shape.index}),
        lambda: history.image(number()),
        lambda: history.memory(number(), dice.choice((shape.desc_addr, *WILD)), dice.choice((1, 8, *WILD))),
        lambda: history.rows(number(), number()),
        lambda: history.row(number()),
        lambda: history.time_of(number()),
        lambda: history.number_at(dice.choice((reach.first_time, reach.last_time, *WILD, -1, 1 << 70))),
        lambda: history.last_write(dice.choice((shape.desc_addr, *WILD)), dice.choice(WILD), number()),
        lambda: history.moments(dice.choice((0, 1, *WILD)), dice.choice((0, 3, 40, *WILD))),
        lambda: history.moments(0, dice.randrange(30), near=number()),
        lambda: history.density(dice.choice((1, 30)), number(), number()),
        lambda: history.density_between(dice.choice((1, 30))),
        lambda: history.reach,
    ]


@pytest.fixture(scope="module", params=range(4), ids=["split", "packed", "bare-split", "bare-packed"])
def walk(request: pytest.FixtureRequest) -> Walk:
    dice = random.Random(f"hostile {request.param}")
    packed = bool(request.param & 1)
    return (
        walk_bare(dice, packed, "", 500, 8)[0] if request.param > 1 else walk_pair(dice, packed, "", 500, 8)
    )


@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_spoiled_rows_are_answered_or_refused(walk: Walk, share: float) -> None:
    dice = random.Random(f"rows {share}")
    numbers = walk.rows["number"]
    edges = [0, *(int(np.searchsorted(numbers, n)) for n in (100, 101, 300)), len(numbers)]
    for _ in range(6):
        chunks = []
        for a, b in pairwise(edges):
            sound = make_chunk(walk.rows[a:b].copy())
            rows, effect = spoiled(dice, sound.rows, share), spoiled(dice, sound.effect, share)
            chunks.append(Chunk(rows, effect) if dice.random() < 0.7 else make_chunk(rows))
        history = History.of(chunks, [moment.keyframe for moment in walk.moments])
        for _ in range(4):
            for ask in questions(dice, history, walk.moments[0].keyframe):
                answered(ask)


def answered(ask: Callable[[], Any]) -> None:
    try:
        ask()
    except (LookupError, ValueError) as refused:
        assert not isinstance(refused, (IndexError, KeyError)), repr(refused)
        assert str(refused) and "\n" not in str(refused)


@pytest.mark.parametrize("share", [0.001, 0.05, 1.0])
def test_spoiled_images_are_rebuilt_or_refused(walk: Walk, share: float) -> None:
    dice = random.Random(f"images {share}")
    for _ in range(25):
        keyframe = dice.choice(walk.moments).keyframe
        keyframe = replace(
            keyframe,
            memory=tuple(
                spoiled_bytes(dice, m, share if dice.random() < 0.5 else 0) for m in keyframe.memory
            ),
            own=tuple(spoiled_bytes(dice, o, share) for o in keyframe.own),
        )
        history = History.of([make_chunk(walk.rows.copy())], [keyframe])
        for queue, again in zip(rebuilt(keyframe), history.at(keyframe.number).queues, strict=True):
            assert (queue.owner == again.owner).all() and len(queue.owner) == queue.size
            assert sum(queue.owners) <= queue.size


@LAYOUTS
def test_a_keyframe_alone_is_a_moment(packed: bool) -> None:
    walk, _ = walk_bare(random.Random(f"alone {packed}"), packed, "", 60, 4)
    keyframe = walk.moments[-1].keyframe
    history = History.of([], [keyframe])
    assert history.reach.exact == ((keyframe.number, keyframe.number),)
    assert history.image(keyframe.number).memory == keyframe.memory
    with pytest.raises(LookupError):
        history.at(keyframe.number + 1)


def test_a_number_without_a_shape_is_only_an_event(walk: Walk) -> None:
    """Stores to addresses of nobody, words of queues that nobody knows."""
    rows = walk.rows.copy()
    number = int(rows["number"][-1])
    more = np.zeros(4, rows.dtype)
    more["number"] = number + np.array([1, 2, 3, 3], np.uint64)
    more["kind"] = [Kind.STORE, Kind.STORE, Kind.OWN, Kind.ADD]
    more["place"], more["queue"], more["count"] = [8, 1 << 40, 8, 0], [0, 9, 999, 999], 8
    more["time"] = rows["time"][-1]
    history = walk.history()
    before = history.image(number)
    history.append(more)
    behind = history.image(number + 3)
    assert (behind.memory, behind.own) == (before.memory, before.own)
    assert history.row(number + 1) is not None and history.reach.last == number + 3
