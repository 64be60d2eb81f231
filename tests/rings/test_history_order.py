"""Pulls put in order: however a log is pulled, the sequence is the one its numbers tell of."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.history import History
from dataplane.past.chunk import CHUNK, cut
from dataplane.past.order import PATIENCE, Order, Run
from dataplane.records import EVENT, Kind
from dataplane.snapshot import Array


def journal(dice: random.Random, events: int) -> tuple[Array, list[Array]]:
    """Events of two sides with OWN rows before some; and the log of each side."""
    numbers, kinds, sides = [], [], []
    for number in range(1, events + 1):
        side = dice.randrange(2)
        own = dice.choice((0, 0, 1, 3))
        numbers += [number] * (own + 1)
        kinds += [Kind.OWN] * own + [dice.choice((Kind.STORE, Kind.ADD, Kind.FLUSH))]
        sides += [side] * (own + 1)
    rows = np.zeros(len(numbers), EVENT)
    rows["number"], rows["kind"], rows["side"] = numbers, kinds, sides
    rows["place"] = np.arange(len(rows))
    rows["time"] = 1000 + rows["number"]
    return rows, [rows[rows["side"] == side] for side in (0, 1)]


def pulls(dice: random.Random, logs: list[Array]) -> list[Array]:
    """Each side's log in random parts, those of one pull together and sorted, as `Pair.events` gives them."""
    at = [0, 0]
    made = []
    while at[0] < len(logs[0]) or at[1] < len(logs[1]):
        ends = [min(a + dice.choice((0, 1, 2, 7, 40)), len(log)) for a, log in zip(at, logs, strict=True)]
        rows = np.concatenate([log[a:b] for log, a, b in zip(logs, at, ends, strict=True)])
        made.append(rows[np.argsort(rows["number"], kind="stable")])
        at = ends
    return made


def joined(runs: list[Run]) -> Array:
    return np.concatenate([np.zeros(0, EVENT), *(run.rows for run in runs)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 120))
def test_any_pulls_give_the_same_sequence(seed: int, events: int) -> None:
    dice = random.Random(seed)
    rows, logs = journal(dice, events)
    order = Order()
    runs: list[Run] = []
    for pull in pulls(dice, logs):
        runs += order.take(pull)
        assert all(run.rows["kind"][-1] != Kind.OWN for run in runs)
    assert joined(runs).tobytes() == rows.tobytes()
    assert not any(run.gap for run in runs) and not order.waiting


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_history_of_pulls_is_that_of_one_append(seed: int) -> None:
    dice = random.Random(seed)
    rows, logs = journal(dice, 400)
    at_once, bit_by_bit = History(), History()
    at_once.append(rows)
    for pull in pulls(dice, logs):
        bit_by_bit.append(pull)
    assert at_once.reach == bit_by_bit.reach
    for _ in range(10):
        first, last = sorted(dice.randint(0, 420) for _ in range(2))
        assert (
            at_once.rows(first, last, own=True).tobytes() == bit_by_bit.rows(first, last, own=True).tobytes()
        )
        low, high = np.searchsorted(rows["number"], [first, last + 1])
        assert at_once.rows(first, last, own=True).tobytes() == rows[low:high].tobytes()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_losses_leave_holes_and_nothing_else(seed: int) -> None:
    """What was lost, and what stands between losses, is missing; the rest is whole and in order."""
    dice = random.Random(seed)
    rows, logs = journal(dice, 200)
    order = Order()
    runs: list[Run] = []
    at = [0, 0]
    while at[0] < len(logs[0]) or at[1] < len(logs[1]):
        parts, lost = [], 0
        for side in (0, 1):
            end = min(at[side] + dice.choice((3, 9, 30)), len(logs[side]))
            begin = max(min(at[side] + dice.choice((0, 0, 0, 5)), end - 1), at[side])  # its newest is there
            lost += begin - at[side]
            parts.append(logs[side][begin:end])
            at[side] = end
        pull = np.concatenate(parts)
        runs += order.take(pull[np.argsort(pull["number"], kind="stable")], lost)
    whole = {int(n): rows[rows["number"] == n].tobytes() for n in np.unique(rows["number"])}
    last = 0
    for run in runs:
        numbers = np.unique(run.rows["number"])
        assert (np.diff(numbers) == 1).all()
        assert int(numbers[0]) > last and (run.gap or int(numbers[0]) == last + 1)
        for number in numbers.tolist():
            assert run.rows[run.rows["number"] == number].tobytes() == whole[number]
        last = int(numbers[-1])


def test_a_number_that_never_comes_is_a_gap_in_the_end() -> None:
    rows, _ = journal(random.Random(3), 40)
    order = Order()
    runs = order.take(rows[rows["number"] != 20])
    assert runs[-1].rows["number"][-1] == 19 and order.waiting
    for _ in range(PATIENCE):
        assert not runs[-1].gap
        runs += order.take(rows[:0])
    assert runs[-1].gap and runs[-1].rows["number"].tolist()[0] == 21 and runs[-1].rows["number"][-1] == 40
    assert not order.waiting


def test_an_event_of_which_only_own_rows_come_is_given_up() -> None:
    rows = np.zeros(4, EVENT)
    rows["number"], rows["kind"] = [1, 2, 3, 4], [Kind.WAKE, Kind.OWN, Kind.WAKE, Kind.WAKE]
    order = Order()
    runs = order.take(rows)
    for _ in range(PATIENCE):
        runs += order.take(rows[:0])
    assert [run.rows["number"].tolist() for run in runs] == [[1], [3, 4]] and runs[1].gap


def test_what_comes_twice_is_taken_once() -> None:
    rows, _ = journal(random.Random(5), 30)
    order = Order()
    assert joined([*order.take(rows), *order.take(rows)]).tobytes() == rows.tobytes()


def test_cuts_fall_between_events() -> None:
    rows, _ = journal(random.Random(6), 40_000)
    parts = list(cut(rows))
    assert np.concatenate(parts).tobytes() == rows.tobytes() and len(parts) > 2
    assert all(len(part) <= CHUNK and part["kind"][-1] != Kind.OWN for part in parts)
    huge = np.zeros(CHUNK + 5, EVENT)
    huge["kind"], huge["number"] = Kind.OWN, 1
    huge["kind"][-1] = Kind.WAKE
    assert [len(part) for part in cut(huge)] == [CHUNK + 5]
    history = History()
    history.append(huge)
    history.append(rows[rows["number"] == 2])
    assert history.reach.last == 2 and len(history.rows(1, 1, own=True)) == CHUNK + 5
