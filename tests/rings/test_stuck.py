"""Public bugs as scenarios: the doctor calls each by its name first, and is silent where the bug is not.

RINGSCOPE_FULL=1 plays 20 variants of each: other sizes, indices, layouts, loads and times.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from dataplane.rules.codes import CODES
from dataplane.scenario import load
from tests.stuck.entries import FOLDER, QUIET, entries, not_here
from tests.stuck.playing import Result
from tests.stuck.score import Score, chosen, played, runs
from tests.stuck.varying import fixed, spelt, varied

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
VARIANTS = 20
LEAST = 0.93  #: of the variants that are found first
#: Entries that the doctor calls something else: what SB-010 leaves is what SB-004 leaves, which has another
#: name, and no reading tells whether a kick was sent for the crossing. Each names the other as alike.
KNOWN = frozenset({"SB-010"})


def told(score: Score, results: list[Result]) -> list[str]:
    codes = {one.id: one.code for one in score.entries}
    return [f"{one.key}: {codes[one.key[0]]}, not {one.failure or one.first or 'nothing'}" for one in results]


def test_every_bug_of_the_catalogue_has_its_place() -> None:
    here, elsewhere = {entry.id for entry in entries()}, set(not_here())
    assert not here & elsewhere
    assert len(here) + len(elsewhere) == 125
    assert {file.stem for file in FOLDER.glob("*.toml")} == here
    assert {entry.code for entry in entries()} - {QUIET} <= set(CODES)
    assert all(not_here().values())


def test_without_its_faults_a_scenario_has_none() -> None:
    for entry in entries():
        text = spelt(fixed(entry.document()))
        assert "fault" not in text and load(text).steps


def test_the_same_seed_makes_the_same_variant() -> None:
    for entry in entries():
        one, same, other = (spelt(varied(entry, random.Random(seed))) for seed in (1, 1, 2))
        assert one == same
        assert one != other
        load(one)


def test_each_is_called_by_its_name_and_without_its_fault_by_none(
    record_property: Callable[[str, object], None],
) -> None:
    some = chosen()
    score = Score(some, tuple(played(list(runs(some, 0, 1)))))
    assert not told(score, score.alarms)
    again = {one.key[0] for one in score.missed} - KNOWN
    if again:  # a machine that stood still may have kept one from showing in time
        rest = chosen(sorted(again))
        score = Score(some, tuple(played(list(runs(rest, 0, 1)), 1)))
    missed = [one for one in score.missed if one.key[0] not in KNOWN]
    assert not told(score, missed)
    record_property("told", f"stuck queues: {len(some) - len(KNOWN)} of {len(some)} public bugs found first")


@pytest.mark.skipif(not FULL, reason="RINGSCOPE_FULL=1 plays the variants")
def test_variants_are_called_by_the_same_name(record_property: Callable[[str, object], None]) -> None:
    some = chosen()
    score = Score(some, tuple(played(list(runs(some, VARIANTS, 1)))))
    faulty = VARIANTS * len(some)
    found = faulty - len(score.missed)
    record_property("told", f"stuck queues: {found} of {faulty} variants found first")
    assert not told(score, score.alarms)
    assert found >= LEAST * faulty, told(score, score.missed)
