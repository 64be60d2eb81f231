"""The History screen, and the rings in the past, as pictures."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from inspector.app import RingscopeApp
from inspector.past import survey
from inspector.session import Session
from tests.screens.by_hand import ByHand
from tests.screens.staged import Staged

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_hertz", lambda *_: 15.0)
    monkeypatch.setattr(survey, "EVERY", 0.0)


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        for _ in range(3):
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()


async def _happened(app: ByHand, pilot: Pilot[Any], staged: Staged) -> None:
    """Something has happened for some seconds, in bursts."""
    app.select(queue=1)
    for rounds in (40, 5, 60, 120):
        staged.go(rounds)
        await app.look(pilot)
    await _press(pilot, "3")
    await app.look(pilot)
    await _press(pilot)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_history_in_the_past(snap_compare: Any, layout: str, size: tuple[int, int]) -> None:
    staged = Staged(layout=layout, state="running")
    app = ByHand(staged)

    async def play(pilot: Pilot[Any]) -> None:
        await _happened(app, pilot, staged)
        await _press(pilot, "left_curly_bracket", "less_than_sign", "up", "up")

    assert snap_compare(app, terminal_size=size, run_before=play)
    staged.close()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_history_live_with_stores_folded(snap_compare: Any, size: tuple[int, int]) -> None:
    staged = Staged(state="running")
    app = ByHand(staged)

    async def play(pilot: Pilot[Any]) -> None:
        await _happened(app, pilot, staged)
        await _press(pilot, "x")
        app._hush()
        await _press(pilot)

    assert snap_compare(app, terminal_size=size, run_before=play)
    staged.close()


def test_zoomed_and_chosen(snap_compare: Any) -> None:
    staged = Staged(state="running")
    app = ByHand(staged)

    async def play(pilot: Pilot[Any]) -> None:
        await _happened(app, pilot, staged)
        await _press(
            pilot, "left", "left", "left", "left", "ampersand", *"flush", "enter", "shift+tab", "up", "up"
        )

    assert snap_compare(app, terminal_size=(120, 40), run_before=play)
    staged.close()


def test_help_of_history(snap_compare: Any) -> None:
    staged = Staged(state="running")
    app = ByHand(staged)

    async def play(pilot: Pilot[Any]) -> None:
        await _happened(app, pilot, staged)
        await _press(pilot, "question_mark")

    assert isinstance(app, RingscopeApp)
    assert snap_compare(app, terminal_size=(120, 40), run_before=play)
    staged.close()
