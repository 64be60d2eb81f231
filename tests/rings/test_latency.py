"""Latencies: every percentile is that of a plain walk over the buffers; gaps, resets and the past."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from dataplane.latency import GATES, Gate, Latency, edges, latencies, latency
from dataplane.moves import MoveLog
from dataplane.pair import Pair
from dataplane.records import EVENT, Kind, Side
from dataplane.source import START
from tests.rings.staging import wait_until

EPOCH = 1_790_000_000_000_000_000
_DEVICE = {Kind.NEXT, Kind.FLUSH, Kind.CALL, Kind.CALL_QUIET}


def row(number: int, kind: Kind, when: int, old: int = 0, new: int = 0, queue: int = 1) -> tuple[Any, ...]:
    side = Side.DEVICE if kind in _DEVICE else Side.DRIVER
    place, count = (old, new - old) if kind == Kind.NEXT else (queue if kind == Kind.QUEUE_RESET else 0, 0)
    return number, EPOCH + when, place, old, new, kind, side, queue, 0, count


def rows(*made: tuple[Any, ...]) -> Any:
    return np.array(list(made), EVENT)


def log_of(made: Any, parts: int = 1) -> MoveLog:
    log = MoveLog()
    for part in np.array_split(made, parts):
        log.add(part)
    return log


def shown(found: Latency) -> list[tuple[int, int]]:
    return list(zip(found.values.tolist(), found.buffers.tolist(), strict=True))


def history(draw: random.Random, steps: int, queue: int = 1) -> Any:
    """Two sides at random; each event a random time after the one before, now and then told late."""
    published = seen = used = collected = 0
    made: list[tuple[Any, ...]] = []
    when = 0
    for _ in range(steps):
        when += draw.choice((1, 3, 40, 1000, 250_000))
        number = len(made) + 1
        what = draw.randrange(4)
        if what == 0:
            many = draw.randrange(1, 6)
            made.append(row(number, Kind.PUBLISH, when, published, published + many, queue))
            published += many
            if draw.random() < 0.7:
                kick = draw.choice((Kind.KICK, Kind.KICK_QUIET))
                made.append(row(number + 1, kick, when + 2, queue=queue))
        elif what == 1 and seen < published:
            many = draw.randrange(1, published - seen + 1)
            made.append(row(number, Kind.NEXT, when - draw.choice((0, 0, 5)), seen, seen + many, queue))
            seen += many
        elif what == 2 and used < seen:
            many = draw.randrange(1, seen - used + 1)
            made.append(row(number, Kind.FLUSH, when, used, used + many, queue))
            used += many
            if draw.random() < 0.7:
                call = draw.choice((Kind.CALL, Kind.CALL_QUIET))
                made.append(row(number + 1, call, when + 2, queue=queue))
        elif what == 3 and collected < used:
            many = draw.randrange(1, used - collected + 1)
            made.append(row(number, Kind.COLLECT, when, collected, collected + many, queue))
            collected += many
    return rows(*made)


def plain(made: Any, gate: Gate, queue: int = 1) -> list[int]:
    """The waits of single buffers, by walking the events one by one."""
    kinds = {"available": Kind.PUBLISH, "seen": Kind.NEXT, "used": Kind.FLUSH, "collected": Kind.COLLECT}
    sent, quiet = (Kind.KICK, Kind.KICK_QUIET) if gate.start == "available" else (Kind.CALL, Kind.CALL_QUIET)
    begun: dict[int, int] = {}
    told: dict[int, int] = {}
    open_yet: list[int] = []
    waits = []
    ends: dict[int, int] = {}
    for one in made:
        if int(one["queue"]) != queue:
            continue
        covered = range(int(one["old"]), int(one["new"]))
        if one["kind"] == Kind.NEXT:
            covered = range(int(one["place"]), int(one["place"]) + int(one["count"]))
        if one["kind"] == kinds[gate.start]:
            begun.update((n, int(one["time"])) for n in covered)
            open_yet += covered
        elif one["kind"] == kinds[gate.stop]:
            ends.update((n, int(one["time"])) for n in covered)
        elif one["kind"] in (sent, quiet):
            if one["kind"] == sent:
                told.update((n, int(one["time"])) for n in open_yet)
            open_yet = []
    start = told if gate.notified else begun
    waits = [max(end - start[n], 0) for n, end in ends.items() if n in start]
    return sorted(waits)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
@pytest.mark.parametrize("seed", range(6))
def test_percentiles_are_those_of_a_walk_over_the_buffers(gate: Gate, seed: int) -> None:
    draw = random.Random(seed)
    made = history(draw, draw.choice((5, 60, 800)))
    log = log_of(made, draw.choice((1, 2, 17)))
    found, waits = latency(log.queues.get(1, ()), gate), plain(made, gate)
    assert found.count == len(waits)
    assert [wait for wait, many in shown(found) for _ in range(many)] == waits
    for part in (0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0):
        rank = max(math.ceil(part * len(waits)), 1)
        assert found.percentile(part) == (waits[rank - 1] if waits else 0)
    assert (found.p50, found.p99, found.max) == (
        found.percentile(0.5), found.percentile(0.99), waits[-1] if waits else 0
    )  # fmt: skip


def test_the_past_counts_what_had_happened() -> None:
    made = history(random.Random(4), 600)
    log = log_of(made)
    for number in (0, 1, 5, 100, len(made) // 2, len(made), len(made) + 100):
        then = latencies(log, 1, until=number)
        for gate in GATES:
            assert shown(then[gate.name]) == shown(latency(log_of(made[:number]).queues.get(1, ()), gate))
    assert shown(latencies(log, 1)["whole round"]) == shown(latencies(log, 1, len(made))["whole round"])


def test_queues_are_apart() -> None:
    one, other = history(random.Random(1), 200), history(random.Random(2), 200, queue=4)
    turns = np.repeat([0, 1], [len(one), len(other)])
    turns = np.array(random.Random(3).sample(turns.tolist(), len(turns)))
    mixed = np.zeros(len(turns), EVENT)
    mixed[turns == 0], mixed[turns == 1] = one, other
    mixed["number"] = np.arange(1, len(mixed) + 1)
    log = log_of(mixed, 3)
    for queue, alone in ((1, one), (4, other)):
        for gate in GATES:
            found = latencies(log, queue)[gate.name]
            assert [w for w, n in shown(found) for _ in range(n)] == plain(alone, gate, queue)
    assert all(not each.count for each in latencies(log, 9).values())


def test_a_queue_that_was_reset_counts_anew_and_keeps_what_it_had() -> None:
    first, second = history(random.Random(1), 300), history(random.Random(2), 300)
    second["number"] += len(first) + 1
    second["time"] += 10_000_000
    reset = rows(row(len(first) + 1, Kind.QUEUE_RESET, 9_000_000))
    log = log_of(np.concatenate([first, reset, second]), 5)
    for gate in GATES:
        found = latencies(log, 1)[gate.name]
        both = sorted(plain(first, gate) + plain(second, gate))
        assert [w for w, n in shown(found) for _ in range(n)] == both


def test_lost_events_lead_to_no_wait_that_was_not() -> None:
    """Buffers with an event in the gap are left out; a decision after it is not that of a move before."""
    log = MoveLog()
    log.add(rows(row(1, Kind.PUBLISH, 10, 0, 4), row(2, Kind.NEXT, 20, 0, 2)))
    log.add(rows(row(9, Kind.KICK, 90), row(10, Kind.NEXT, 100, 3, 6)), lost=6)
    found = latencies(log, 1)
    assert shown(found["available to seen"]) == [(10, 2), (90, 1)]
    assert found["kick to seen"].count == 0


def test_what_is_forgotten_is_not_counted() -> None:
    made = history(random.Random(7), 500)
    log = log_of(made)
    half = len(made) // 2
    log.forget(int(made["number"][half]))
    for gate in GATES:
        if not gate.notified:
            found = latencies(log, 1)[gate.name]
            assert [w for w, n in shown(found) for _ in range(n)] == plain(made[half:], gate)


def test_a_histogram_holds_every_buffer_once() -> None:
    found = Latency(np.array([0, 5, 99, 100, 101, 5000]), np.array([3, 1, 2, 7, 1, 4]))
    assert found.histogram([1, 100, 1000]) == [3, 3, 8, 4]
    cuts = edges(1, 10_000, 40)
    assert len(cuts) == 39 and cuts == sorted(cuts) and sum(found.histogram(cuts)) == found.count == 18
    assert (found.below(0), found.below(100), found.below(1 << 40)) == (0.0, 6 / 18, 1.0)
    nothing = Latency(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert (nothing.count, nothing.p50, nothing.max, nothing.below(5)) == (0, 0, 0, 0.0)
    assert nothing.histogram([1, 2]) == [0, 0, 0]


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_of_a_pair(layout: str) -> None:
    """Every buffer that went round is counted at every gate; the numbers are those of its events."""
    with Pair(layout=layout, queue_size=16) as pair:  # type: ignore[arg-type]
        pair.flood(directions=("to_device",))
        pair.set_rate(20_000)
        pair.start()
        wait_until(lambda: pair.snapshot(()).queue(1).collected >= 500, "500 buffers")
        pair.freeze()
        events = pair.events(START, most=1 << 16)
        assert events.lost == 0
        log = log_of(events.rows)
        queue = pair.snapshot(()).queue(1)
        found = latencies(log, 1)
        assert found["available to seen"].count == queue.seen
        assert found["seen to used"].count == queue.used
        assert found["used to collected"].count == found["whole round"].count == queue.collected
        for part in ("available to seen", "seen to used", "used to collected"):
            assert found[part].p50 <= found["whole round"].max
        for gate in GATES:
            assert [w for w, n in shown(found[gate.name]) for _ in range(n)] == plain(events.rows, gate)
