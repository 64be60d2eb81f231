"""Each fault of the catalogue wakes the finding that it names and no graver unrelated one; mended, it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dataplane.faults import KINDS
from dataplane.pair import Pair
from dataplane.rules.codes import CODES
from dataplane.rules.finding import Level
from dataplane.switches import SWITCHES
from tests.rings.trials import ALL, FOR_GOOD, Trial, begun, stepped, watch

pytestmark = pytest.mark.xdist_group("switches")
_AT_ONCE = 30
EACH = pytest.mark.parametrize(("name", "layout"), ALL)


def test_there_are_enough_of_them() -> None:
    assert len(SWITCHES) >= 40
    assert all(code in CODES for switch in SWITCHES.values() for code in switch.codes)
    assert {part.kind for one in SWITCHES.values() for part in (*one.split, *one.packed)} >= set(KINDS) - {
        "break", "corrupt_store", "drop_store", "delay_store", "set_store", "mask_store", "add_store",
        "swap_store", "tear_store", "nag", "ignore",
    }  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[dict[tuple[str, str], Trial]]:
    """All of them, put in while traffic runs, watched until named, and mended."""
    trials = {}
    try:
        for at in range(0, len(ALL), _AT_ONCE):
            some = [begun(name, layout) for name, layout in ALL[at : at + _AT_ONCE]]
            trials |= {(trial.name, trial.layout): trial for trial in some}
            watch(some, lambda trial: trial.pair.snapshot(()).queue(trial.queue).used > 20)
            for trial in some:
                trial.put()
            watch([one for one in some if one.switch.codes], lambda trial: trial.named)
            watch([one for one in some if not one.switch.codes], lambda _: False, 2.5)
            for trial in some:
                trial.mend()
            watch(some, lambda trial: trial.well, 4.0)
            for trial in some:
                if not trial.well and trial.name not in FOR_GOOD:
                    trial.pair.reset_queue(trial.queue)
            watch([one for one in some if one.name not in FOR_GOOD], lambda trial: trial.well)
        yield trials
    finally:
        for trial in trials.values():
            trial.pair.close()


@EACH
def test_while_running(running: dict[tuple[str, str], Trial], name: str, layout: str) -> None:
    trial = running[name, layout]
    grave = [finding.code for finding in trial.seen.values() if finding.level == Level.FAULT]
    if not trial.switch.codes:
        assert grave == []
        return
    assert trial.named, f"found {list(trial.seen)}"
    first = next(iter(trial.seen.values()))
    assert first.code in trial.switch.codes, [one.verdict for one in trial.seen.values()]
    assert first.sections and first.evidence and first.queue in (trial.queue, None)
    assert trial.well or name in FOR_GOOD, [one.verdict for one in trial.doctor.findings]


@EACH
def test_stepped(name: str, layout: str) -> None:
    trial = stepped(name, layout)
    try:
        if not trial.switch.codes:
            assert not [one for one in trial.seen.values() if one.level == Level.FAULT]
            return
        if not trial.named:  # awake, or it takes time or traffic: let it go
            trial.pair.run()
            watch([trial], lambda one: one.named)
        assert trial.named, f"found {list(trial.seen)}"
        assert next(iter(trial.seen)) in trial.switch.codes
    finally:
        trial.pair.close()


def test_the_same_seed_draws_the_same() -> None:
    def acted(seed: int) -> tuple[int, ...]:
        with Pair(queue_size=16, frozen=True) as pair:
            pair.flood()
            pair.start()
            shape = next(shape for shape in pair.shapes() if shape.name == "tx0")
            (fault,) = SWITCHES["miscount"].faults(shape, False, odds=4, seed=seed)
            pair.inject_fault(fault)
            seen = []
            for _ in range(40):
                for side in (0, 1):
                    pair.step(side, "turn", 1)  # type: ignore[arg-type]
                seen.append(pair.faults()[0][2])
            return tuple(seen)

    assert acted(7) == acted(7) and acted(7)[-1] > 0
    assert acted(7) != acted(8)
