"""Stepping on the Rings screen: what a step tells, what it marks, and how one chooses how to step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dataplane.pair import Pair
from dataplane.records import EVENT, Kind, Side
from dataplane.stepping import Plan, Stepper
from inspector.screens.stepping import Options, StepDialogue
from inspector.stopping import stepped
from inspector.widgets.filling import Words
from inspector.widgets.marking import MARK
from inspector.widgets.step import StepPanel, lines
from tests.fakes import Still, device
from tests.screens.at_packets import until
from tests.screens.by_hand import ByHand, text

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture(params=["split", "packed"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with made(request.param) as one:
        yield one


def made(layout: str) -> Pair:
    pair = Pair(layout=layout, queue_size=16, frozen=True)  # type: ignore[arg-type]
    pair.flood(length=64)
    pair.start()
    return pair


async def step(app: ByHand, pilot: Pilot[Any], times: int = 1) -> None:
    for _ in range(times):
        before = stepped.of(app.session).steps
        await pilot.press("s")
        await until(pilot, lambda before=before: stepped.of(app.session).steps > before)  # type: ignore[misc]
    await app.look(pilot)


def panel(app: ByHand) -> StepPanel:
    return app.rings.query_one(StepPanel)


def said(app: ByHand) -> str:
    return "\n".join(text(panel(app)))


@pytest.mark.parametrize("size", SIZES)
async def test_a_step_says_who_what_why_and_where(pair: Pair, size: tuple[int, int]) -> None:
    app = ByHand(pair)
    async with app.run_test(size=size) as pilot:
        await app.look(pilot)
        assert not panel(app).display
        await step(app, pilot)
        assert panel(app).display and panel(app).size.height >= 4
        words = said(app)
        assert "driver rx0" in words and "16 empty buffers in descriptors" in words and "VIRTIO 2." in words
        assert all(len(line) == size[0] for line in text(panel(app)))
        stepped.of(app.session).choose(Plan("store"))
        await step(app, pilot)
        assert "barrier" in said(app)
        if size[1] > 24:
            assert MARK in said(app) and "→" in said(app)  # the bytes, old and new


async def test_what_a_store_wrote_is_marked_without_colour(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        stepped.of(app.session).choose(Plan("store", "driver only"))
        marked = set()
        for _ in range(40):
            await step(app, pilot)
            await app.look(pilot)  # the rows of another queue come with the next reading
            told = stepped.of(app.session).told
            assert told is not None and told.main is not None and told.main.kind is Kind.STORE
            area, index, field = sorted(told.marks[told.queue or 0])[0]
            marked.add(area)
            where = app.table if area == "desc" else app.areas
            assert where.marks == told.marks[told.queue or 0]
            assert any(MARK in line for line in text(where)), (area, index, field)
            if area == "avail_ring" and told.queue == 0:
                assert any(MARK in line and "not yet" in line for line in text(where))
        assert "desc" in marked and len(marked) > 1


async def test_where_there_is_room_for_one_pane_it_is_the_one_that_was_written(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot)
        stepped.of(app.session).choose(Plan("store", "driver only"))
        seen = set()
        for _ in range(40):
            await step(app, pilot)
            told = stepped.of(app.session).told
            assert told is not None
            if {area for area, _, _ in told.marks.get(app.table.selected, ())} == {"desc"}:
                assert app.table.display and not app.areas.display
                seen.add("table")
            elif told.marks.get(app.table.selected):
                assert app.areas.display and not app.table.display
                seen.add("areas")
        assert seen == {"table", "areas"}


async def test_the_screen_goes_along_to_the_queue_unless_it_is_to_stay(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        for _ in range(30):
            await step(app, pilot)
            if stepped.of(app.session).told.queue == 1:  # type: ignore[union-attr]
                break
        assert app.session.selection.queue == 1 == app.table.selected
        app.select(queue=0, slot=3)  # to choose a slot is to stay
        for _ in range(8):
            await step(app, pilot)
        assert app.session.selection.queue == 0


async def test_a_running_pair_hides_it_and_a_past_moment_tells_its_own(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        await step(app, pilot, 4)
        last = said(app)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: app.session.cursor is not None and "event " in said(app))
        assert panel(app).display and said(app) != last
        await pilot.press("0")
        await until(pilot, lambda: app.session.cursor is None)
        assert said(app) == last
        pair.run()
        await app.look(pilot)
        assert not panel(app).display
        assert not app.table.marks and not app.areas.marks


async def test_how_to_step_is_chosen(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StepDialogue))
        options = app.screen.query_one(Options)
        assert options.has_focus
        await pilot.press("left")  # from one operation to one store
        await pilot.press("down", "right", "right", "right")
        assert (options.value(0), options.value(1)) == ("store", "alternate")
        await pilot.press("enter")
        assert stepped.of(app.session).plan == Plan("store", "alternate")
        await step(app, pilot)
        assert stepped.of(app.session).told.main.kind is Kind.STORE  # type: ignore[union-attr]


async def test_an_interleaving_is_typed_and_checked(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, StepDialogue))
        await pilot.press("down", "left")  # the last order: chosen
        dialogue = app.screen
        line = dialogue.query_one(Input)
        assert line.display
        await pilot.press("tab")
        line.value = "driver 2 stores, devise 1"
        await until(pilot, lambda: "devise" in dialogue.query_one(Words)._text)
        await pilot.press("enter")
        assert app.screen is dialogue  # refused
        line.value = "driver 2 stores, driver 1 operation"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not dialogue)
        await step(app, pilot, 2)
        told = stepped.of(app.session).told
        assert told is not None and "2 of 2: driver 1 operation" in told.heading
        assert told.main is not None and told.main.side is Side.DRIVER


async def test_nothing_to_do_and_not_frozen_are_said() -> None:
    with Pair(queue_size=16, frozen=True) as pair:
        pair.start()
        app = ByHand(pair)
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot)
            for _ in range(40):
                await pilot.press("s")
                await pilot.pause()
            await until(pilot, lambda: app._message is not None and "anything to do" in app._message[0])
            pair.run()
            await pilot.press("s")
            await until(pilot, lambda: app._message is not None and "z freezes it" in app._message[0])


async def test_a_source_that_is_not_ours_cannot_be_stepped() -> None:
    app = ByHand(Still(device()))
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        await pilot.press("S")
        await until(pilot, lambda: app._message is not None and "no side of it is ours" in app._message[0])
        assert not isinstance(app.screen, StepDialogue)


def test_a_picture_of_steps_keeps_what_matters() -> None:
    with made("split") as pair:
        stepper = Stepper(pair)
        told = stepped.tell(stepper.step().rows, pair.shapes(), "step 1")
        assert told.main is not None and told.main.kind is Kind.ADD
        assert len(told.stores) == told.total - 1 - len(told.passed)
        assert ("desc", 0, "addr") in told.marks[0] and ("avail_ring", 1, "") in told.marks[0]


async def test_every_kind_of_event_fits_a_low_panel(pair: Pair) -> None:
    """Also those that need no reason: nothing is cut, and there is an end to it."""
    app = ByHand(pair)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot)
        ink = panel(app).ink
        for kind in Kind:
            rows = np.zeros(1, EVENT)
            rows["kind"], rows["number"], rows["new"] = kind, 7, 1
            told = stepped.tell(rows, pair.shapes(), "one event", store=True)
            for height in range(4, 8):
                strips = lines(ink, told, 80, height)
                assert 1 <= len(strips) <= height and all(strip.cell_length == 80 for strip in strips)
