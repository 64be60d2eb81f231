"""`ringscope play FILE.toml`: a scenario, on the screens or checked without them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplane.scenario import Doors, Played, ScenarioError, load
from dataplane.script.frames import Frame
from inspector.cli import FAILED, NO_TERMINAL, OK, USAGE, complain, has_terminal
from inspector.commands.opening import Refused
from inspector.sanitise import clean

if TYPE_CHECKING:
    from dataplane.scenario import Outcome, Scenario


def play(options: argparse.Namespace) -> int:
    """Plays the scenario `options.file`: 0 all is as it expects, 1 it is not, 2 it cannot be played."""
    try:
        scenario = load(Path(options.file), doors=DOORS)
        if not (options.check or getattr(options, "json", False) or has_terminal()):
            complain(f"{NO_TERMINAL} ringscope play --check")
            return USAGE
        played = scenario.open()
    except ScenarioError as error:
        complain(str(error))
        return USAGE
    except OSError as error:
        complain(f"{options.file}: {error.strerror or error}")
        return USAGE
    with played:
        if getattr(options, "json", False):
            return _as_json(played)
        if options.check:
            return _as_text(played)
        from inspector.screens.playing import run

        code = run(played)
        if played.failed:
            complain(played.outcomes[-1].failure)
        return code


def opened_scenario(file: str) -> Played:
    """A scenario of a pair, ready to be played. Refused with one line where it is none."""
    try:
        scenario = load(Path(file), doors=DOORS)
        if scenario.bare:
            raise Refused(f"{file}: these are bare rings, of which no side runs: there is nothing to watch")
        return scenario.open()
    except ScenarioError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{file}: {error.strerror or error}") from None


def _as_text(played: Played) -> int:
    """What is said, done and found, line by line; what fails goes to standard error."""
    scenario = played.scenario
    print(clean(f"{scenario.file}: {scenario.title or 'untitled'}"))
    while not played.done:
        outcome = played.step()
        for line in told(outcome):
            print(clean(line), flush=True)
        if outcome.failure:
            complain(outcome.failure)
            return FAILED
    print(f"{plural(played.at, 'step')}, {plural(len(played.expectations), 'expectation')}: all hold")
    return OK


def told(outcome: Outcome) -> list[str]:
    """One step in a few lines."""
    step = outcome.step
    lines = [f"{step.number:3} {step.say or step.text}"]
    if step.say and step.text:
        lines.append(f"      {step.text}")
    if outcome.stopped:
        lines.append(f"      stopped at breakpoint {', '.join(outcome.stopped)}")
    for one in outcome.results:
        lines.append(
            f"      {'ok ' if one.holds else 'NOT'} {one.text}" + ("" if one.holds else f": {one.there}")
        )
    return lines


def plural(count: int, word: str) -> str:
    """ "1 step", "2 steps"."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _as_json(played: Played) -> int:
    while not played.done:
        played.step()
    print(json.dumps(record(played)), flush=True)
    return FAILED if played.failed else OK


def record(played: Played) -> dict[str, Any]:
    """What came of a scenario, for a machine to read."""
    scenario: Scenario = played.scenario
    return {
        "file": scenario.file,
        "title": scenario.title,
        "about": scenario.about,
        "ok": not played.failed,
        "failure": played.outcomes[-1].failure if played.failed else None,
        "steps": [
            {
                "number": outcome.step.number,
                "line": outcome.step.line,
                "say": outcome.step.say,
                "does": outcome.step.text,
                "ok": not outcome.failure,
                "stopped": list(outcome.stopped),
                "expect": [
                    {"line": one.line, "text": one.text, "holds": one.holds, "there": one.there}
                    for one in outcome.results
                ],
            }
            for outcome in played.outcomes
        ],
        "left": len(scenario.steps) - played.at,
    }


def _read_capture(file: Path) -> list[Frame]:
    """Frames of a capture as a scenario takes them: neither package knows the other."""
    from capture.play import read_play

    return [
        Frame(file.name, data=bytes(one.data), net_header=bytes(one.net_header[:12]))
        for one in read_play(str(file), warn=complain)
    ]


def _compile_filter(text: str) -> bytes:
    from capture.bpf import compile_bpf

    return compile_bpf(text).instructions


DOORS = Doors(_read_capture, _compile_filter)
