"""Real pairs: every row is silent whatever they negotiate and however they are moved; faults are named."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection
from typing import Any

import pytest

from dataplane.pair import Pair
from dataplane.records import Path, Side
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.row import Violation
from dataplane.source import START
from dataplane.switches import SWITCHES, Switch

LAYOUTS = ("split", "packed")
FEATURES = ("indirect_desc", "event_idx", "in_order", "mrg_rxbuf")
COMBINATIONS = [
    ",".join(sign + name for sign, name in zip(signs, FEATURES, strict=True))
    for signs in itertools.product("+-", repeat=len(FEATURES))
]


class Moved:
    """A frozen pair, moved by chance but the same each time, and audited from its first event on."""

    def __init__(self, layout: str, seed: int = 1, length: int = 64, **options: Any) -> None:
        options = {"queue_size": 8, "driver": "interrupt", "device": "interrupt", **options}
        self.pair = Pair(layout=layout, frozen=True, **options)  # type: ignore[arg-type]
        self.pair.flood(length=length)
        self.audit = Audit(self.pair.keyframe())
        self.pair.start()
        self.chance = random.Random(seed)
        self.found: list[Violation] = []
        self._cursor = START

    def __enter__(self) -> Moved:
        return self

    def __exit__(self, *error: object) -> None:
        self.pair.close()

    def put(self, switch: Switch, packed: bool) -> None:
        """Puts a fault of the catalogue in, from the third chance on."""
        shape = next(shape for shape in self.pair.shapes() if shape.name == switch.queue)
        for fault in switch.faults(shape, packed, after=3, count=0):
            self.pair.inject_fault(fault)

    def move(self, steps: int, units: tuple[str, ...] = ("store", "operation", "turn")) -> None:
        for _ in range(steps):
            side, unit = self.chance.choice(list(Side)), self.chance.choice(units)
            self.pair.step(side, unit, self.chance.randint(1, 12))  # type: ignore[arg-type]
            self.read()

    def read(self) -> None:
        pull = self.pair.events(self._cursor, most=1 << 15)
        self._cursor = pull.cursor
        if len(self.audit.scene.rings) < len(self.pair.shapes()):
            keyframe = self.pair.keyframe()
            assert keyframe is not None
            self.audit.anchor(keyframe)
        assert not pull.lost
        self.found += self.audit.feed(pull.rows)

    @property
    def names(self) -> set[str]:
        return {violation.row.id for violation in self.found}

    def same(self) -> bool:
        """Whether the rings that the audit has put together are those that stand in memory, and its counts
        those of the sides."""
        keyframe = self.pair.keyframe()
        assert keyframe is not None
        for shape, memory, queue in zip(keyframe.shapes, keyframe.memory, keyframe.base.queues, strict=True):
            ring = self.audit.scene.rings[shape.index]
            if b"".join(ring.memory[name] for name, _, _ in shape.areas) != memory:
                return False
            if (ring.seen, ring.collected) != (queue.seen, queue.collected) or ring.lost:
                return False
        return True


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("features", COMBINATIONS)
def test_what_is_sound_is_silent(layout: str, features: str) -> None:
    paths = [Path.AUTO, Path.CHAIN, Path.DIRECT, *([Path.INDIRECT] if "+indirect" in features else [])]
    for path in paths:
        large = 3000 if "+mrg" in features and path != Path.AUTO else 64
        with Moved(layout, features=features, path=path, length=large) as moved:
            moved.move(40)
            assert moved.found == []
            assert moved.audit.judged > 100 and moved.same()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 4, 64])
def test_small_and_large_queues_are_silent(layout: str, size: int) -> None:
    for waiting in ("poll", "interrupt"):
        options = {"queue_size": size, "driver": waiting, "device": waiting, "features": "-mrg_rxbuf"}
        with Moved(layout, seed=size, **options) as moved:
            moved.move(60, ("operation", "turn"))
            assert moved.found == [] and moved.same()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("features", ["", "-event_idx", "+in_order"])
def test_queues_that_are_reset_are_silent(layout: str, features: str) -> None:
    with Moved(layout, features=features) as moved:
        for queue in (0, 1, 1, 0):
            moved.move(15)
            moved.pair.reset_queue(queue)
            moved.read()
        moved.move(30)
        assert moved.found == [] and moved.same()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_indices_and_laps_that_begin_late_are_silent(layout: str) -> None:
    begins = {"split": (65530, 1), "packed": (5, 0)}[layout]
    with Moved(layout, start_index=begins[0], start_wrap=begins[1]) as moved:
        moved.move(60)
        assert moved.found == [] and moved.same()


PLACES = ("avail", "back", "shown", "returned", "made", "used", "seen", "collected", "lost")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("features", ["", "+in_order"])
@pytest.mark.parametrize("path", [Path.AUTO, Path.CHAIN])
def test_an_audit_that_begins_under_way_knows_what_is_on_its_way(
    layout: str, features: str, path: Path
) -> None:
    """Between any two stores: what a keyframe tells is what following every store up to there told."""
    units = ("operation", "turn") if layout == "packed" and features else ("store",)
    with Moved(layout, features=features, path=path) as moved:
        for _ in range(150):
            moved.move(1, units)
            keyframe = moved.pair.keyframe()
            assert keyframe is not None
            begun = Audit(keyframe).scene.rings
            for index, ring in moved.audit.scene.rings.items():
                told, there = begun[index], ring
                for place in PLACES:
                    assert getattr(told, place, None) == getattr(there, place, None), place
                assert [(b.id, b.position, b.slots) for b in told.outstanding.values()] == [
                    (b.id, b.position, b.slots) for b in there.outstanding.values()
                ]
        moved.audit = Audit(moved.pair.keyframe())
        moved.move(40)
        assert moved.found == [] and moved.same()


#: What a fault of the catalogue does that the spec forbids, by layout: one of these is named.
NAMED: dict[str, dict[str, Collection[str]]] = {
    "miss_kick": {"split": {"SPLIT-NOT-38"}, "packed": {"PACKED-EVT-33"}},
    "miss_call": {"split": {"SPLIT-NOT-26"}, "packed": {"PACKED-EVT-32"}},
    "wrong_length": {"split": {"SPLIT-DEV-49"}, "packed": {"PACKED-DEV-30"}},
    "wrong_id": {"split": {"SPLIT-DEV-46"}, "packed": {"PACKED-DEV-38"}},
    "twice": {"split": {"SPLIT-BOTH-47", "SPLIT-DEV-46"}, "packed": {"PACKED-BOTH-02", "PACKED-DEV-38"}},
    "hole": {"split": {"SPLIT-BOTH-47"}, "packed": {"PACKED-DEV-06"}},
    "index_jump": {"split": {"SPLIT-BOTH-47"}},
    "index_wrapped": {"split": {"SPLIT-BOTH-47"}},
    "swapped_index": {"split": {"SPLIT-BOTH-47"}, "packed": {"PACKED-BOTH-02"}},
    "stale_entry": {"split": {"SPLIT-DRV-43"}},
    "stale_desc": {"split": {"SPLIT-DRV-43"}, "packed": {"PACKED-DRV-26"}},
    "wrong_wrap": {"packed": {"PACKED-BOTH-02"}},
    "keep_wrap": {"packed": {"PACKED-BOTH-02"}},
    "loop_chain": {"split": {"SPLIT-DRV-09"}, "packed": {"PACKED-DRV-17"}},
    "bad_address": {"split": {"RF-DRV-03"}, "packed": {"RF-DRV-03"}},
    "forget_event_idx": {"split": {"SPLIT-NOT-25", "SPLIT-NOT-41"}},
    "read_unused": {"split": {"SPLIT-DRV-48"}},
}

#: Faults that leave every store and every decision as the spec asks: what is lost is lost elsewhere.
ALLOWED = ("lose_kick", "eat_kick", "lose_call", "dead_device", "hold", "no_collect", "no_refill")


@pytest.mark.parametrize(
    ("name", "layout"), [(name, layout) for name, rows in NAMED.items() for layout in rows]
)
def test_a_fault_is_named(name: str, layout: str) -> None:
    switch = SWITCHES[name]
    path = Path.CHAIN if switch.path == "chain" else Path.AUTO
    with Moved(layout, features=switch.needs, path=path) as moved:
        moved.put(switch, layout == "packed")
        moved.move(80)
        assert moved.names & set(NAMED[name][layout])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ALLOWED)
def test_a_fault_that_breaks_no_row_is_silent(name: str, layout: str) -> None:
    with Moved(layout, features=SWITCHES[name].needs) as moved:
        moved.put(SWITCHES[name], layout == "packed")
        moved.move(80)
        assert moved.found == []
