"""The Rings screen as pictures, at the sizes that people have."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from tests import fakes
from tests.screens.by_hand import ByHand

SIZES = [(80, 24), (120, 40), (200, 60)]


def _id(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", SIZES, ids=_id)
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_running(snap_compare: Any, layout: str, size: tuple[int, int]) -> None:
    app = ByHand(fakes.Film(fakes.device(is_packed=layout == "packed", step=n) for n in range(20)))

    async def play(pilot: Pilot[Any]) -> None:
        app.select(queue=1)
        await app.look(pilot, 20)

    assert snap_compare(app, terminal_size=size, run_before=play)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_frozen_with_an_open_table(snap_compare: Any, layout: str) -> None:
    app = ByHand(fakes.Still(fakes.device(is_packed=layout == "packed", exact=True)))

    async def play(pilot: Pilot[Any]) -> None:
        app.select(queue=1)
        await app.look(pilot)
        await pilot.press("o", "j")
        indirect = next(slot for slot in sorted(app.table.queue.tables))  # type: ignore[union-attr]
        app.select(slot=indirect)
        await pilot.press("enter")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(120, 40), run_before=play)


def test_the_areas_unfolded(snap_compare: Any) -> None:
    app = ByHand(fakes.Still(fakes.device(exact=True)))

    async def play(pilot: Pilot[Any]) -> None:
        app.select(queue=1)
        await app.look(pilot)
        await pilot.press("tab")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=play)


def test_a_ring_of_eight(snap_compare: Any) -> None:
    app = ByHand(fakes.Still(fakes.device(8)))

    async def play(pilot: Pilot[Any]) -> None:
        await app.look(pilot)

    assert snap_compare(app, terminal_size=(120, 40), run_before=play)


def test_light_and_large(snap_compare: Any) -> None:
    app = ByHand(fakes.Still(fakes.device(32768, True)))

    async def play(pilot: Pilot[Any]) -> None:
        app.theme = "ringscope-light"
        await app.look(pilot)

    assert snap_compare(app, terminal_size=(120, 40), run_before=play)
