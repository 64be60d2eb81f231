"""Screens of tests remember nothing of the user's, and leave nothing with them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

from inspector.screens import packets
from inspector.session import Session
from tests.screens.at_packets import AtOnce


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own for every test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True, scope="session")
def parsed_once() -> Iterator[None]:
    """Style sheets are parsed once for all apps of a process: that is a seventh of what these tests take."""
    known: dict[Any, Any] = {}
    real = Stylesheet._parse_rules

    def parse(self: Stylesheet, *given: Any, **named: Any) -> Any:
        key = (given, frozenset(named.items()), frozenset(self._variables.items()))
        if key not in known:
            known[key] = real(self, *given, **named)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stylesheet, "_parse_rules", parse)
        yield


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of packets without a wait, and a pace that does not change."""
    monkeypatch.setattr(packets, "Dissector", AtOnce)
    monkeypatch.setattr(Session, "_hertz", lambda *_: 15.0)


def python_time() -> float:
    """CPU seconds of the threads that run Python: those of the engine may never come to rest."""
    clocks = ((~thread.native_id << 3) | 6 for thread in threading.enumerate() if thread.native_id)
    total = 0.0
    for clock in clocks:
        with contextlib.suppress(OSError):  # it has just ended
            total += time.clock_gettime(clock)
    return total


@pytest.fixture(autouse=True, scope="session")
def idle_without_the_engine() -> Iterator[None]:
    """Textual takes an app for idle when its process is: with a ring that goes as fast as it can, never."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("textual._wait.process_time", python_time)
        yield
