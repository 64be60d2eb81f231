"""Screens of tests remember nothing of the user's, and leave nothing with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.screens import packets
from inspector.session import Session
from tests.screens.at_packets import AtOnce


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own for every test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of packets without a wait, and a pace that does not change."""
    monkeypatch.setattr(packets, "Dissector", AtOnce)
    monkeypatch.setattr(Session, "_hertz", lambda *_: 15.0)
