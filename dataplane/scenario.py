"""Scenarios: a driver and a device scripted in TOML, for tests, lessons and pictures.

    scenario = load("tests/scenarios/goes_round.toml")
    with scenario.open() as played:
        while not played.done:
            outcome = played.step()
            print(outcome.step.say, outcome.failure or "ok")

A file has one `[pair]` (or `[ring]`: rings without a device type, moved by verbs), frames by name, and steps
`[[do]]`, each with one verb, a line for the reader (`say`) and what must hold then (`expect`).
`tests/scenarios/reference.toml` shows every word of the language. The rings rest except while a step moves
them, one side at a time, so that a scenario does the same each time.

Nothing in a scenario is executed, it opens no file but captures below its own folder, and it ends: every
step is bounded. What is wrong with one is a `ScenarioError` that names file, line and key.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from pathlib import Path as File
from typing import Any

from dataplane.script.document import Scenario, read
from dataplane.script.lines import Path, line_index
from dataplane.script.playing import Outcome, Played, Result
from dataplane.script.steps import Doors
from dataplane.script.table import Book, ScenarioError, Table

__all__ = ["Doors", "Outcome", "Played", "Result", "Scenario", "ScenarioError", "load"]

TEXT_MAX = 1 << 20  #: bytes of a scenario
_TWICE = re.compile(r"Cannot (overwrite a value|declare .* twice|mutate immutable .*|redefine .*)")
_KEYS = re.compile(r"""\s*\[*\s*([\w.\-"' ]+?)\s*[\]=]""")


def load(what: File | str, *, name: str | None = None, doors: Doors | None = None) -> Scenario:
    """A scenario from a file (a `Path`) or from its text (a `str`). ScenarioError; OSError of the file.

    `name` is told in errors instead of the file's. `doors` open what a scenario cannot do by itself; without
    them captures and capture filters are refused.
    """
    folder: File | None = None
    if isinstance(what, str):
        text, file = what, name or "scenario"
    else:
        file, folder = name or str(what), what.parent
        with open(what, "rb") as stream:
            data = stream.read(TEXT_MAX + 1)
        if len(data) > TEXT_MAX:
            raise ScenarioError(file, 0, "", f"a scenario of more than {TEXT_MAX:,} bytes is none")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ScenarioError(file, line, "", "this is not UTF-8 text") from None
    try:
        values, lines = _values(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, str(error)) from None
    except (RecursionError, ValueError) as error:
        what = "this is nested too deeply"
        if isinstance(error, ValueError):  # the one limit that Python sets: on the digits of a number
            what = "a number of that many digits cannot be read"
        raise ScenarioError(file, _reached(text, type(error)), "", what) from None
    return read(Table(Book(file, lines), (), values), folder, doors or Doors())


def _values(text: str) -> tuple[dict[str, Any], dict[Path, int]]:
    return tomllib.loads(text), line_index(text)


def _reached(text: str, kind: type[Exception]) -> int:
    """The first line that must be there for the reading to end in this error, which does not tell where."""
    lines = text.splitlines(keepends=True)

    def ends_so(count: int) -> bool:
        try:
            _values("".join(lines[:count]))
        except Exception as error:
            return type(error) is kind
        return False

    return bisect_left(range(len(lines)), True, key=lambda i: ends_so(i + 1)) + 1


def _not_toml(file: str, text: str, message: str) -> ScenarioError:
    """tomllib says where in words: `... (at line 3, column 5)`, or at the end of the document."""
    what, _, place = message.rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if len(words) == 4 and words[1].isdecimal() else text.count("\n") + 1
    where = f", column {words[3]}" if len(words) == 4 else ", at the end"
    if _TWICE.match(what):
        keys = _KEYS.match(text.split("\n")[line - 1])
        return ScenarioError(file, line, keys[1] if keys else "", "not TOML: it was given above already")
    return ScenarioError(file, line, "", f"not TOML: {what or message}{where if what else ''}")
