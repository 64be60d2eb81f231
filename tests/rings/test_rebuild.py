"""A queue made from its image alone is the one that the engine shows, field for field."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from dataplane.bare import Bare, Piece
from dataplane.keyframe import own_dtype
from dataplane.pair import Pair
from dataplane.past import rebuild
from dataplane.records import Label, Owner, Path, Side
from dataplane.snapshot import SplitQueue
from tests.rings.staging import LAYOUTS
from tests.rings.walking import COMBINATIONS, differences, rebuilt, walk_bare, walk_pair


def agree(source: Pair | Bare) -> None:
    keyframe = source.keyframe()
    assert keyframe is not None
    snapshot = source.snapshot()
    for queue, made in zip(snapshot.queues, rebuilt(keyframe), strict=True):
        assert queue.exact
        assert not differences(queue, made)


@LAYOUTS
@pytest.mark.parametrize("features", COMBINATIONS[:4])
def test_a_walk(features: str, packed: bool) -> None:
    dice = random.Random(f"rebuild {features} {packed}")
    for walk in (walk_pair(dice, packed, features, 150, 30), walk_bare(dice, packed, features, 150, 30)[0]):
        for moment in walk.moments:
            for queue, made in zip(moment.snapshot.queues, rebuilt(moment.keyframe), strict=True):
                assert not differences(queue, made)


@LAYOUTS
def test_large_rings_with_tables_beyond_the_budget(packed: bool) -> None:
    """Chains across the whole ring, and more tables than a snapshot has room for."""
    layout: Any = "packed" if packed else "split"
    with Bare(layout=layout, size=2048, rings=2) as rings:
        at = rings.place(64)
        for i in range(900):
            table = i % 3 == 0
            rings.add([Piece(at, 1 + i % 5)] * (1 + i % (40 if table else 7)), table, ring=i % 2)
        rings.publish(0)
        for _ in range(30):
            rings.next(0)
        agree(rings)
        snapshot = rings.snapshot()
        assert snapshot.queue(0).tables_left_out and len(snapshot.queue(0).tables) > 20
        assert snapshot.queue(1).owners[Owner.FREE] == 2048  # added, and not published
        rings.publish(1)
        agree(rings)


@LAYOUTS
def test_one_chain_through_a_whole_ring(packed: bool) -> None:
    layout: Any = "packed" if packed else "split"
    with Bare(layout=layout, size=1024, start_index=1000 if packed else 65000) as rings:
        at = rings.place(64)
        assert rings.add([Piece(at, 8)] * 1024) is not None
        rings.publish()
        agree(rings)
        assert rings.snapshot().queue(0).owners[Owner.AVAILABLE] == 1024
        taken = rings.next()
        assert taken is not None
        agree(rings)
        rings.complete([taken.done()])
        agree(rings)


def test_skipped_used_elements() -> None:
    """2.7.9: one element for a batch; what it jumped over keeps what stood there."""
    with Bare(size=8, features="in_order", start_index=65534) as rings:
        at = rings.place(16)
        for _ in range(3):
            for _ in range(5):
                rings.add([Piece(at, 16, True)])
            rings.publish()
            taken = [rings.next() for _ in range(5)]
            rings.complete([t.done(3) for t in taken if t], batch=True)
            agree(rings)
            rings.flush()
            agree(rings)
            queue = rings.snapshot().queue(0)
            assert isinstance(queue, SplitQueue)
            assert (queue.used_label == Label.SKIPPED).sum() >= 4
            while rings.collect():
                agree(rings)


def test_descriptors_that_lead_astray() -> None:
    """Memory that the other side wrote over: chains end where the engine ends them, tables are left out."""
    dice = random.Random(5)
    with Bare(size=16) as rings:
        at = rings.place(64)
        for i in range(5):
            rings.add([Piece(at, 8)] * (1 + i % 3), table=i % 2 == 0)
        rings.publish()
        keyframe = rings.keyframe()
        assert keyframe is not None
        shape = keyframe.shapes[0]
        for _ in range(300):
            slot, field = dice.randrange(16), dice.choice((0, 8, 12, 14))
            value = dice.choice((0, 1, 4, 5, 15, 16, 17, 65535, shape.tables_addr & 0xFFFF))
            rings.write(shape.desc_addr + 16 * slot + field, value.to_bytes(2, "little"))
            memory = b"".join(rings.memory(address, length) for _, address, length in shape.areas)
            made = rebuild.queue(shape, memory, keyframe.own[0], 0)
            assert not differences(rings.snapshot().queue(0), made)


@LAYOUTS
def test_counters_alone(packed: bool) -> None:
    dice = random.Random(6)
    walk = walk_pair(dice, packed, "", 100, 4)
    keyframe = walk.moments[-1].keyframe
    for shape, memory, own in zip(keyframe.shapes, keyframe.memory, keyframe.own, strict=True):
        whole = rebuild.queue(shape, memory, own, 7)
        bare = rebuild.queue(shape, memory, own, 7, whole=False)
        assert len(bare.desc) == len(bare.owner) == 0 and not bare.tables
        assert (bare.driver, bare.device, bare.after, bare.time) == (
            whole.driver,
            whole.device,
            whole.after,
            7,
        )
        with pytest.raises(ValueError, match="not as long"):
            rebuild.queue(shape, memory[:-1], own, 7)
        with pytest.raises(ValueError, match="not as long"):
            rebuild.queue(shape, memory, own[8:], 7)


def test_a_path_of_nobody_is_the_usual_one() -> None:
    with Bare() as rings:
        keyframe = rings.keyframe()
        assert keyframe is not None
        own: Any = np.frombuffer(keyframe.own[0], own_dtype(8)).copy()
        own["driver"]["path"] = 99
        made = rebuild.queue(keyframe.shapes[0], keyframe.memory[0], own.tobytes(), 0)
        assert made.driver is not None and made.driver.path == Path.AUTO


def test_a_pair_in_the_middle_of_an_operation() -> None:
    with Pair(queue_size=16, frozen=True) as pair:
        pair.flood()
        pair.start()
        for _ in range(120):
            pair.step(Side.DRIVER, "store")
            pair.step(Side.DEVICE, "store")
            agree(pair)
