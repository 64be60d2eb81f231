"""A finding stands as long as what it is about has not moved: one glance at a bad moment does not end it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataplane.rules.doctor import STUCK, Doctor
from dataplane.scenario import load
from dataplane.snapshot import Snapshot

BEAT = 1_000_000_000 // 15
READINGS = int(STUCK * 15) + 3  #: in which what is stuck has shown
LOST = """
[pair]
queue_size = 8
[[do]]
fault = "lose_call"
queue = "rx0"
count = 0
[[do]]
send = "udp 64"
queue = "rx0"
[[do]]
until = "quiet"
"""


class Told:
    """One moment of a pair with a used receive buffer of which the driver was not told, as if time passed."""

    def __init__(self) -> None:
        with load(LOST).open() as played:
            while not played.done:
                played.step()
            self._moment = played.pair.snapshot()
        self.doctor = Doctor()
        self._time = self._moment.time

    def look(self, *, awake: bool = False, collected: bool = False) -> list[str]:
        """The codes at the next reading."""
        self._time += BEAT
        first = self._moment.queues[0]
        assert first.driver is not None
        after = first.used if collected else first.collected
        half = replace(first.driver, asleep=not awake, collected=after)
        ends = (*first.after[:3], after)
        queue = replace(first, driver=half, before=ends, after=ends)
        now: Snapshot = replace(
            self._moment, state="running", time=self._time, queues=(queue, *self._moment.queues[1:])
        )
        return [one.code for one in self.doctor.look(now)]


@pytest.fixture
def told() -> Told:
    made = Told()
    for _ in range(READINGS):
        made.look()
    assert made.look() == ["CALL_MISSING"]
    return made


def test_a_side_that_is_caught_awake_once_is_stuck_still(told: Told) -> None:
    (before,) = told.doctor.findings
    assert told.look(awake=True) == ["CALL_MISSING"]
    for _ in range(2 * READINGS):
        assert told.look() == ["CALL_MISSING"]
    assert told.doctor.past == [] and told.doctor.findings[0].since == before.since


def test_what_has_moved_is_over_at_once(told: Told) -> None:
    assert told.look(collected=True) == []
    assert [one.code for one in told.doctor.past] == ["CALL_MISSING"]


def test_a_side_that_stays_awake_is_another_story(told: Told) -> None:
    found = [told.look(awake=True) for _ in range(2 * READINGS)]
    assert "CALL_MISSING" in found[0] and "CALL_MISSING" not in found[-1]
