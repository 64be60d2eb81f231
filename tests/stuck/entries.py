"""The catalogue of public bugs as scenarios: which are here, what each must be called, what of it may vary."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "scenarios" / "stuck"
QUIET = "SILENT"  #: stands for a code where the doctor must find nothing


@dataclass(frozen=True, slots=True)
class Entry:
    """One bug: the code that it must be called by, the layouts that can have it, and how it varies.

    `start`: the fault is there from the first buffer on. `last`: it lasts only until the next notification,
    so that what is sent goes at once. `scales`: values of faults and counts of frames follow the queue size;
    `exact`: counts are as they stand.
    """

    id: str
    code: str
    layouts: tuple[str, ...]
    start: bool = False
    last: bool = False
    scales: bool = False
    exact: bool = False
    paths: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    index: bool = True  #: whether the rings may begin anywhere
    note: str = ""

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.id}.toml"

    def document(self) -> dict[str, Any]:
        """The scenario as TOML reads it."""
        return tomllib.loads(self.file.read_text())


def entries() -> tuple[Entry, ...]:
    """Those that are scenarios, in the order of their ids."""
    return tuple(_entry(name, given) for name, given in _table("entries").items())


def not_here() -> Mapping[str, str]:
    """Those that no pair in a process can have, with the reason."""
    return {name: " ".join(str(why).split()) for name, why in _table("not_here").items()}


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())


def _entry(name: str, given: dict[str, Any]) -> Entry:
    lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    return Entry(name, **{**given, **lists})
