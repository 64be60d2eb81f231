"""Scenarios that expect a finding: of a pair at rest at once, of one at liberty once its time has passed."""

from __future__ import annotations

import pytest

from dataplane.pair import Pair
from dataplane.scenario import Played, ScenarioError, load
from inspector.learning.ringfacts import evaluate, facts

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


def test_what_is_over_is_found_no_more() -> None:
    made = PAIR.format(layout="split", fault="lose_kick", queue="tx0")
    stuck = '\n[[do]]\nrun = 2\nexpect = ["tx0.finding == KICK_MISSING", "finding == KICK_MISSING"]\n'
    over = (
        '[[do]]\nheal = "all"\n[[do]]\nprobe = "kick"\n[[do]]\nuntil = "quiet"\nexpect = "finding == none"\n'
    )
    with played(made + stuck + over) as done:
        assert not done.failed, done.outcomes[-1].failure


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            'expect = "tx0.finding == KICK_MISING"',
            "expect: KICK_MISING is no word for tx0.finding; did you mean KICK_MISSING?",
        ),
        ('until = "tx0.finding != none"', "until: what is found is known when a step is over"),
        ('until = "finding != none"', "until: what is found is known when a step is over"),
    ],
)
def test_a_mistake_is_said_with_line_and_key(step: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(f"[pair]\n[[do]]\n{step}", name="q.toml")
    assert str(caught.value).startswith(f"q.toml:3: do[1].{said}")


def test_bare_rings_have_no_doctor() -> None:
    with pytest.raises(ScenarioError, match="nothing is called 'finding'"):
        load("[ring]\n[[do]]\nexpect = 'finding == none'", name="q.toml")


def test_lessons_ask_for_rings_and_not_for_findings() -> None:
    with Pair(queue_size=8, frozen=True) as pair:
        pair.start()
        known = facts(pair.snapshot(), "tx0")
        assert evaluate("avail_idx == 0", known) and "finding" not in known
