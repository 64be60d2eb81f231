"""Every scenario that is shipped comes as it says, the same each time, and would notice if it did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplane.history import History
from dataplane.records import Kind
from dataplane.scenario import Played, Scenario, load
from dataplane.script import actions

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
SCENARIO = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
Story = list[tuple[int, ...]]


def played_out(scenario: Scenario, most: int | None = None) -> tuple[Played, Story]:
    """The scenario to its end or for so many steps (closed), and its events without their times."""
    with scenario.open() as played:
        while not played.done and played.at != most:
            played.step()
        rows = played.source.events().rows
    names = ("number", "kind", "side", "queue", "slot", "count", "place", "old", "new")
    return played, [tuple(int(row[name]) for name in names) for row in rows if row["kind"] != Kind.OWN]


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 14


@SCENARIO
def test_it_comes_as_it_says(file: Path) -> None:
    scenario = load(file)
    played, _ = played_out(scenario)
    assert not played.failed, played.outcomes[-1].failure
    assert played.at == len(scenario.steps)
    assert played.expectations, "a scenario that expects nothing shows nothing"
    assert scenario.title and scenario.about
    assert any(step.say for step in scenario.steps)


@SCENARIO
def test_it_does_the_same_each_time(file: Path) -> None:
    """As far as its sides do not run at liberty."""
    scenario = load(file)
    free = (step.number - 1 for step in scenario.steps if isinstance(step.action, actions.Free))
    most = next(free, len(scenario.steps))
    assert played_out(scenario, most)[1] == played_out(scenario, most)[1]


@SCENARIO
def test_its_journal_leads_to_its_end(file: Path) -> None:
    """From the rings as they are at first to the rings as they are at last, byte for byte."""
    unjournaled = (actions.Reset, actions.Free, actions.Trace)  # a keyframe is taken instead
    history = History()
    with load(file).open() as played:
        first, events = played.source.keyframe(), played.source.events()
        assert first is not None
        history.append(events.rows, events.lost)
        history.anchor(first)
        while not played.done:
            outcome = played.step()
            events = played.source.events(events.cursor)
            history.append(events.rows, events.lost)
            if isinstance(outcome.step.action, unjournaled) and (frame := played.source.keyframe()):
                history.anchor(frame)
        last = played.source.keyframe()
    assert last is not None
    found = history.image(last.number)
    assert (found.memory, found.own) == (last.memory, last.own)


@SCENARIO
def test_it_would_notice(file: Path) -> None:
    """Every comparison turned round fails, with the line that it stands on."""
    text = file.read_text()
    turned = text.replace(" == ", " @@ ").replace(" != ", " == ").replace(" @@ ", " != ")
    played, _ = played_out(load(turned, name=file.name))
    assert played.failed
    outcome = played.outcomes[-1]
    broken = next((one for one in outcome.results if not one.holds), None)
    if broken is not None:
        assert outcome.failure.startswith(f"{file.name}:{broken.line}: {broken.key}: expected ")
        name = broken.text.split()[0]
        assert name in text.splitlines()[broken.line - 1]
    else:
        assert outcome.failure.startswith(f"{file.name}:{outcome.step.key_line}: {outcome.step.key}: ")
