"""The audit as a reader of a log: gaps, pulls that come late, trace levels, what it keeps, what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataplane.faults import Fault
from dataplane.keyframe import Keyframe
from dataplane.pair import Pair
from dataplane.records import EVENT, Kind, Side
from dataplane.rules.conformance import table
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.checks import CHECKS
from dataplane.rules.conformance.count import find_row, shares
from dataplane.rules.conformance.review import Review, finding_of
from dataplane.rules.conformance.row import Violation
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Level
from dataplane.snapshot import Array
from dataplane.source import START, Events

LAYOUTS = ("split", "packed")


def trace(layout: str, fault: Fault | None = None, steps: int = 40) -> tuple[Keyframe, Array]:
    """What a frozen pair journals, step by step, from its beginning on."""
    with Pair(layout=layout, queue_size=8, frozen=True) as pair:  # type: ignore[arg-type]
        pair.flood()
        keyframe = pair.keyframe()
        assert keyframe is not None
        pair.start()
        if fault is not None:
            pair.inject_fault(fault)
        for _ in range(steps):
            pair.step(Side.DRIVER, "operation", 3)
            pair.step(Side.DEVICE, "operation", 3)
        return keyframe, pair.events(START, most=1 << 15).rows


def wrong(after: int = 4) -> Fault:
    """Used ids that are those of no slot."""
    return Fault("wrong_id", Side.DEVICE, queue=1, after=after, count=1, value=64)


def ids(found: list[Violation]) -> list[str]:
    return [violation.row.id for violation in found]


BAD = {"split": "SPLIT-DEV-46", "packed": "PACKED-DEV-38"}


# ---- the tables --------------------------------------------------------------------------------------------


def test_every_row_is_said_by_a_check_or_cannot_be_seen() -> None:
    said = {row for check in CHECKS for row in check.rows}
    assert said == set(table.ROWS)
    assert not said & set(table.UNSEEN)


def test_a_check_says_only_rows_of_its_own() -> None:
    for check in CHECKS:
        assert issubclass(check, Check) and check.rows
        assert set(check.rows) <= set(table.ROWS)


def test_both_counts_together_are_all_rows() -> None:
    assert sum(one.checked for one in shares()) == len(table.ROWS)
    assert sum(one.all for one in shares()) == len(table.ROWS) + len(table.UNSEEN)
    assert sum(one.all for one in shares()) == 359
    assert {one.family: one.all for one in shares()}.items() >= {
        "VQ": 6,
        "SPLIT": 50,
        "PACKED": 38,
        "RF": 11,
        "CLEAN": 1,
    }.items()


@pytest.mark.parametrize("name", ["SPLIT-DRV-18", "split_drv_18", " split drv-18 "])
def test_a_row_is_found_however_it_is_spelt(name: str) -> None:
    assert find_row(name) is table.ROWS["SPLIT-DRV-18"]


def test_a_row_that_is_not_there_is_not_found() -> None:
    assert find_row("SPLIT-DRV-99") is None
    assert isinstance(find_row("split-dev-06"), str)


# ---- reading a log -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 7, 1 << 15])
def test_it_does_not_matter_how_a_log_is_pulled(layout: str, size: int) -> None:
    keyframe, rows = trace(layout, wrong())
    audit = Audit(keyframe)
    found = [one for at in range(0, len(rows), size) for one in audit.feed(rows[at : at + size])]
    assert ids(found) == [BAD[layout]]
    number = found[0].number
    assert int(rows["kind"][rows["number"] == number][-1]) == Kind.STORE


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_one_side_may_come_a_pull_late(layout: str) -> None:
    keyframe, rows = trace(layout, wrong())
    audit, found = Audit(keyframe), []
    late = rows[:0]
    for at in range(0, len(rows), 50):
        part = rows[at : at + 50]
        mine = part["side"] == Side.DEVICE
        found += audit.feed(np.concatenate([late, part[~mine]]))
        late = part[mine]
    found += audit.feed(late)
    assert ids(found) == [BAD[layout]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_behind_a_gap_nothing_is_judged_until_the_next_keyframe(layout: str) -> None:
    keyframe, rows = trace(layout)
    _, others = trace(layout, wrong(0))
    audit = Audit(keyframe)
    assert audit.feed(rows[: len(rows) // 3]) == []
    assert audit.feed(rows[-len(rows) // 3 :], lost=7) == []
    assert not audit.follows
    assert ids(Audit(keyframe).feed(others)) == [BAD[layout]]  # the same would be named without one


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_goes_on_at_a_keyframe_behind_what_was_left_out(layout: str) -> None:
    with Pair(layout=layout, queue_size=8, frozen=True) as pair:  # type: ignore[arg-type]
        pair.flood()
        audit = Audit(pair.keyframe())
        pair.start()
        pair.step(Side.DRIVER, "operation", 9)
        pair.step(Side.DEVICE, "operation", 9)
        cursor = pair.events().cursor
        audit.skip()
        assert not audit.follows
        keyframe = pair.keyframe()
        assert keyframe is not None
        audit.anchor(keyframe)
        pair.inject_fault(wrong(0))
        found = []
        for _ in range(20):
            pair.step(Side.DRIVER, "operation", 3)
            pair.step(Side.DEVICE, "operation", 3)
            pull = pair.events(cursor)
            cursor = pull.cursor
            found += audit.feed(pull.rows, pull.lost)
        assert ids(found) == [BAD[layout]]


def test_operations_without_their_stores_are_not_judged() -> None:
    """At trace level operations the numbers have no gap, and yet the stores are missing."""
    keyframe, rows = trace("split", wrong())
    stored = rows[~np.isin(rows["kind"], (Kind.STORE, Kind.OWN, Kind.FREEZE))].copy()
    first = keyframe.number + 1
    stored["number"] = np.arange(first, first + len(stored))
    audit = Audit(keyframe)
    assert audit.feed(stored) == []
    assert not audit.follows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_kept_does_not_grow(layout: str) -> None:
    keyframe, rows = trace(layout, steps=300)
    audit = Audit(keyframe)
    audit.feed(rows)
    for ring in audit.scene.rings.values():
        assert len(ring.outstanding) <= ring.size and len(ring.owners) <= ring.size
        assert len(ring.positions) == len(ring.outstanding)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_bytes_for_a_journal_are_survived(layout: str) -> None:
    """Rows that no engine writes: they may be named, and nothing is raised."""
    keyframe, rows = trace(layout)
    chance = np.random.default_rng(7)
    for _ in range(40):
        bad = rows.copy()
        for name in ("place", "old", "new", "kind", "side", "queue", "slot", "count"):
            at = chance.integers(0, len(bad), 30)
            limit = {"kind": 29, "side": 2, "queue": 5, "slot": 70, "count": 9}.get(name, 1 << 20)
            bad[name][at] = chance.integers(0, limit, 30).astype(EVENT[name])
        Audit(keyframe).feed(bad)


# ---- the doctor --------------------------------------------------------------------------------------------


def looked(layout: str, review: Review, fault: Fault | None) -> tuple[list[Any], Review]:
    """A pair that is stepped under a review; what it told at the end."""
    with Pair(layout=layout, queue_size=8, frozen=True) as pair:  # type: ignore[arg-type]
        pair.flood()
        pair.start()
        cursor, told = START, []
        for turn in range(40):
            if turn == 1 and fault is not None:
                pair.inject_fault(fault)
            pull: Events = pair.events(cursor)
            cursor = pull.cursor
            told = list(review.look(pair.snapshot(()), pull, pair.keyframe))
            pair.step(Side.DRIVER, "operation", 3)
            pair.step(Side.DEVICE, "operation", 3)
        return told, review


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_violation_is_a_finding_under_the_id_of_its_row(layout: str) -> None:
    told, _ = looked(layout, Review(None), wrong(0))
    assert [finding.code for finding in told] == [BAD[layout]]
    finding = told[0]
    assert finding.queue == 1 and finding.level == Level.WARNING and finding.confidence == "certain"
    assert finding.sections == (table.ROWS[finding.code].section,)
    assert [one.name for one in finding.evidence] == ["event"] and finding.evidence[0].slot is not None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sound_pair_has_no_finding(layout: str) -> None:
    told, _ = looked(layout, Review(None), None)
    assert told == []


def test_what_cannot_be_afforded_is_left_out_whole() -> None:
    told, review = looked("split", Review(1e-9), wrong(0))
    assert told == [] and review.share == 1e-9


def test_what_should_be_is_information() -> None:
    should = Violation(table.ROWS["SPLIT-NOT-39"], 1, 5, 5, None, "a kick")
    must = Violation(table.ROWS["SPLIT-NOT-38"], 1, 5, 5, None, "no kick")
    assert finding_of(should).level == Level.INFO and finding_of(must).level == Level.WARNING


def test_the_doctor_tells_of_what_its_review_found() -> None:
    doctor = Doctor()
    doctor.review = Review(None)
    with Pair(queue_size=8, frozen=True) as pair:
        pair.flood()
        pair.start()
        pair.inject_fault(wrong(0))
        cursor = START
        for _ in range(20):
            pair.step(Side.DRIVER, "operation", 3)
            pair.step(Side.DEVICE, "operation", 3)
            pull, snapshot = pair.events(cursor), pair.snapshot()
            cursor = pull.cursor
            doctor.heed(snapshot, pull, pair.keyframe)
            doctor.look(snapshot)
    assert "SPLIT-DEV-46" in {finding.code for finding in doctor.findings}
