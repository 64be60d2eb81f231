"""Steps, densities, who wrote a word, and the way of a buffer: against plain loops over the same events."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dataplane.history import History, Unit
from dataplane.past.chunk import CHUNK, make_chunk
from dataplane.past.seek import SECOND
from dataplane.records import Kind
from dataplane.snapshot import Array
from tests.rings.staging import LAYOUTS
from tests.rings.walking import Hand, Walk, walk_bare, walk_pair

UNITS: tuple[Unit, ...] = ("event", "store", "operation", "packet", "second", "lap")


def in_pieces(rows: Array, size: int) -> History:
    """A history whose pieces are much shorter than any would be, so that ways lead over many."""
    numbers = rows["number"]
    edges = [0]
    while edges[-1] < len(rows):
        at = min(edges[-1] + size, len(rows))
        edges.append(int(np.searchsorted(numbers, numbers[at - 1], "right")))
    return History.of([make_chunk(rows[a:b].copy()) for a, b in pairwise(edges)], [])


@pytest.fixture(scope="module", params=[False, True], ids=["split", "packed"])
def walked(request: pytest.FixtureRequest) -> tuple[Walk, Hand]:
    return walk_bare(random.Random(f"ways {request.param}"), request.param, "", 600, 30)


@pytest.fixture(scope="module", params=[40, 1 << 20], ids=["pieces", "whole"])
def history(request: pytest.FixtureRequest, walked: tuple[Walk, Hand]) -> History:
    rows = walked[0].rows
    if request.param < CHUNK:
        made = in_pieces(rows, request.param)
    else:
        made = History()
        made.append(rows)
    for moment in walked[0].moments[:1]:
        made.anchor(moment.keyframe)
    return made


def events(walk: Walk) -> list[Any]:
    rows = walk.rows
    return rows[rows["kind"] != Kind.OWN].tolist()  # type: ignore[no-any-return]


NUMBER, TIME, PLACE, OLD, NEW, KIND, SIDE, QUEUE, SLOT, COUNT = range(10)


def wanted(event: Any, unit: str, queue: int | None) -> bool:
    if queue is not None and event[QUEUE] != queue:
        return False
    if unit == "store":
        return bool(event[KIND] == Kind.STORE)
    return bool(event[KIND] == Kind.FLUSH if unit == "packet" else event[KIND] != Kind.STORE)


@pytest.mark.parametrize("unit", ["store", "operation", "packet"])
@pytest.mark.parametrize("queue", [None, 0, 2])
def test_steps_lead_to_the_next_of_a_kind(
    history: History, walked: tuple[Walk, Hand], unit: Unit, queue: int | None
) -> None:
    told = events(walked[0])
    hits = [e[NUMBER] for e in told if wanted(e, unit, queue)]
    first, last = told[0][NUMBER], told[-1][NUMBER]
    dice = random.Random(unit)
    for _ in range(60):
        number, by = dice.randint(first, last), dice.choice((1, 1, 2, 17, 300))
        behind = [n for n in hits if n > number]
        before = [n for n in hits if n < number]
        assert history.step(number, unit, by, queue) == (behind[by - 1] if len(behind) >= by else last)
        assert history.step(number, unit, -by, queue) == (before[-by] if len(before) >= by else first)


def test_steps_by_event_second_and_nothing(history: History, walked: tuple[Walk, Hand]) -> None:
    told = events(walked[0])
    first, last = told[0][NUMBER], told[-1][NUMBER]
    dice = random.Random(8)
    for _ in range(60):
        number, by = dice.randint(first, last), dice.choice((1, 2, 50, 10_000))
        assert history.step(number, "event", by) == min(number + by, last)
        assert history.step(number, "event", -by) == max(number - by, first)
        assert history.step(number, "second", 0) == number
        found = history.step(number, "second", 1)
        assert found == min(max(history.number_at(history.time_of(number) + SECOND), number + 1), last)
        found = history.step(number, "second", -1)
        assert found == max(min(history.number_at(history.time_of(number) - SECOND), number - 1), first)
    for unit in UNITS:
        assert history.step(0, unit, -1) == first and history.step(1 << 60, unit, 1) == last
    with pytest.raises(ValueError, match="no step by furlong"):
        history.step(first, "furlong", 1)  # type: ignore[arg-type]


def test_a_lap_is_as_many_buffers_as_descriptors(history: History, walked: tuple[Walk, Hand]) -> None:
    told, size = events(walked[0]), walked[1].size
    first, last = told[0][NUMBER], told[-1][NUMBER]

    def used(number: int, queue: int) -> int:
        return max(
            (int(e[NEW]) for e in told if e[NUMBER] <= number and wanted(e, "packet", queue)), default=0
        )

    for number in random.Random(9).sample(range(first, last), 20):
        found = history.step(number, "lap", 1, 0)
        assert found == last or used(found, 0) >= used(number, 0) + size > used(found - 1, 0)
        found = history.step(number, "lap", -1, 0)
        assert found == first or used(found, 0) <= used(number, 0) - size < used(found + 1, 0)
    assert first <= history.step(last, "lap", -1) < last


def test_density_counts_everything_once(history: History, walked: tuple[Walk, Hand]) -> None:
    told = events(walked[0])
    for bins, first, last in ((1, None, None), (7, None, None), (200, None, None), (5, 100, 300), (3, 9, 10)):
        for made in (history.density(bins, first, last), history.density_between(bins)):
            for i in range(bins):
                low, high = int(made.numbers[i]), int(made.numbers[i + 1])
                mine = [e for e in told if low < e[NUMBER] <= high]
                assert made.stores[i] == sum(e[KIND] == Kind.STORE for e in mine)
                assert made.operations[i] == sum(e[KIND] != Kind.STORE for e in mine)
                assert made.packets[i] == sum(e[NEW] - e[OLD] for e in mine if e[KIND] == Kind.FLUSH)
                assert made.trouble[i] == sum(e[KIND] in (Kind.BROKEN, Kind.DROP) for e in mine)
                assert all(made.bin_of(e[NUMBER]) == i for e in mine)
            assert (np.diff(made.times) >= 0).all()
    made = history.density_between(50)
    assert made.numbers[0] == told[0][NUMBER] - 1 and made.numbers[-1] == told[-1][NUMBER]
    for i in range(50):
        times = [e[TIME] for e in told if made.numbers[i] < e[NUMBER] <= made.numbers[i + 1]]
        assert all(time <= made.times[i + 1] for time in times)
    middle = history.density_between(10, told[50][TIME], told[400][TIME])
    assert middle.numbers[0] < told[50][NUMBER] and middle.numbers[-1] >= told[400][NUMBER]
    with pytest.raises(ValueError, match="at least 1"):
        history.density(0)
    with pytest.raises(ValueError, match="at least 1"):
        history.density_between(0)


def test_who_wrote_a_word_last(history: History, walked: tuple[Walk, Hand]) -> None:
    told = events(walked[0])
    stores = [e for e in told if e[KIND] == Kind.STORE]
    dice = random.Random(10)
    for _ in range(150):
        one = dice.choice(stores)
        address, length = one[PLACE] + dice.randint(-9, 9), dice.choice((1, 2, 8, 16, 100))
        before = dice.randint(told[0][NUMBER], told[-1][NUMBER] + 5)
        hits = [
            e
            for e in stores
            if e[NUMBER] <= before and e[PLACE] < address + length and e[PLACE] + e[COUNT] > address
        ]
        found = history.last_write(address, length, before)
        assert (found.tolist() if found is not None else None) == (hits[-1] if hits else None)
    assert history.last_write(-5, 8, 1 << 60) is None and history.last_write(1 << 63, 8, 5) is None
    assert history.last_write(stores[0][PLACE], 0, 1 << 60) is None


def test_the_way_of_every_buffer(history: History, walked: tuple[Walk, Hand]) -> None:
    """Completed and collected in any order: the hand that played both sides knows when."""
    told = {e[NUMBER]: e for e in events(walked[0])}
    assert any(len(way) == 5 for way in walked[1].way.values())
    for (ring, position), way in walked[1].way.items():
        found = history.moments(ring, position)
        for stage, kind in (
            ("added", Kind.ADD),
            ("seen", Kind.NEXT),
            ("completed", Kind.COMPLETE),
            ("used", Kind.FLUSH),
            ("collected", Kind.COLLECT),
        ):
            moment = getattr(found, stage)
            assert moment.number == way.get(stage, 0), (ring, position, stage)
            if moment:
                assert moment.kind == kind and moment.time == told[moment.number][TIME] and moment.words
        assert bool(found.available) >= bool(found.seen)
        for moment, decision, kinds in (
            (found.available, found.kick, (Kind.KICK, Kind.KICK_QUIET)),
            (found.used, found.call, (Kind.CALL, Kind.CALL_QUIET)),
        ):
            later = [e for e in told.values() if e[NUMBER] > moment.number > 0 and e[QUEUE] == ring]
            assert decision.number == next((e[NUMBER] for e in later if e[KIND] in kinds), 0)
        assert found.kick_sent == (None if not found.kick else found.kick.kind == Kind.KICK)
        assert found.call_sent == (None if not found.call else found.call.kind == Kind.CALL)
        numbers = [
            m.number for m in (found.added, found.available, found.seen, found.completed, found.used) if m
        ]
        assert numbers == sorted(numbers) and len(found.known) >= len(numbers)
    assert not history.moments(0, 1 << 40).known and not history.moments(77, 0).known


@LAYOUTS
def test_counts_begin_anew_when_a_queue_is_reset(packed: bool) -> None:
    """A buffer of the same number in another life is another buffer."""
    dice = random.Random(11)
    walk = next(
        walk
        for walk in (walk_pair(dice, packed, "", 800, 4) for _ in range(40))
        if ((walk.rows["kind"] == Kind.QUEUE_RESET) & (walk.rows["place"] == 0)).sum() > 1
    )
    history = in_pieces(walk.rows, 300)
    resets = walk.rows["number"][(walk.rows["kind"] == Kind.QUEUE_RESET) & (walk.rows["place"] == 0)].tolist()
    lives = zip([0, *resets], [*resets, 1 << 60], strict=True)
    seen = 0
    for low, high in lives:
        adds = [
            e
            for e in events(walk)
            if low < e[NUMBER] < high and e[KIND] == Kind.ADD and e[QUEUE] == 0 and e[PLACE] == 0
        ]
        found = history.moments(0, 0, near=min(low + 1, history.reach.last))
        assert found.added.number == (adds[0][NUMBER] if adds else 0)
        assert all(low < m.number < high for m in found.known)
        seen += bool(adds)
    assert seen > 1
