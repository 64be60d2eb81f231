"""Scenarios that expect a finding: of a pair at rest at once, of one at liberty once its time has passed."""

from __future__ import annotations

import pytest

from dataplane.scenario import Played, ScenarioError, load

PAIR = """
[pair]
layout = "{layout}"
queue_size = 8

[[do]]
fault = "{fault}"
queue = "{queue}"
count = 0

[[do]]
send = "udp 64"
queue = "{queue}"
count = 3
"""


def played(text: str) -> Played:
    playing = load(text).open()
    while not playing.done:
        playing.step()
    return playing


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("fault", "queue", "code"),
    [
        ("lose_kick", "tx0", "KICK_MISSING"),
        ("lose_call", "rx0", "CALL_MISSING"),
        ("hold", "tx0", "INFLIGHT_STUCK"),
    ],
)
def test_at_rest(layout: str, fault: str, queue: str, code: str) -> None:
    made = PAIR.format(layout=layout, fault=fault, queue=queue)
    step = f'\n[[do]]\nuntil = "quiet"\nexpect = ["{queue}.finding == {code}", "ctl.finding == none"]\n'
    with played(made + step) as done:
        assert not done.failed, done.outcomes[-1].failure
    with played(made + step.replace(f"== {code}", "== none")) as done:
        assert done.failed and f"{queue}.finding is {code}" in done.outcomes[-1].failure


def test_at_liberty_time_has_to_pass() -> None:
    made = PAIR.format(layout="split", fault="spin", queue="rx0") + '\n[[do]]\nrun = {}\nexpect = "{}"\n'
    with played(made.format(0.05, "rx0.finding == none")) as done:
        assert not done.failed, done.outcomes[-1].failure
    with played(made.format(4.0, "rx0.finding == DRIVER_SPINS")) as done:
        assert not done.failed, done.outcomes[-1].failure


def test_a_code_that_is_not_known_is_a_mistake() -> None:
    made = PAIR.format(layout="split", fault="lose_kick", queue="tx0")
    with pytest.raises(ScenarioError, match="KICK_MISING"):
        load(made + '\n[[do]]\nuntil = "quiet"\nexpect = "tx0.finding == KICK_MISING"\n')
