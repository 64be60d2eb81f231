"""The History screen, and time travel by keys on every screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from dataplane.records import Kind
from dataplane.source import START, Cursor, Events
from inspector.chrome import Foot, TopLine
from inspector.meters import Meter, Meters
from inspector.numbers import duration
from inspector.past.moments import Past
from inspector.prompt import Prompt
from inspector.screens.history import HistoryScreen
from inspector.screens.rings import RingsScreen
from inspector.widgets.areas import Areas
from inspector.widgets.events import EventList
from inspector.widgets.flow import Flow
from inspector.widgets.pane import Pane
from inspector.widgets.queues import Queues
from inspector.widgets.scrubber import Scrubber
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import Wheel
from tests.fakes import Still, device
from tests.screens.by_hand import ByHand, text
from tests.screens.staged import Staged

pytestmark = pytest.mark.asyncio

PANES = (Queues, Flow, Wheel, Descriptors, Areas)


@pytest.fixture(autouse=True)
def no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are told over the last second, another one when one looks back; they have a test of their own."""
    monkeypatch.setattr(Meters, "measure", lambda *_: Meter())
    monkeypatch.setattr(Past, "meter", lambda *_: Meter())


@pytest.fixture(params=["split", "packed"])
def staged(request: pytest.FixtureRequest) -> Iterator[Staged]:
    made = Staged(layout=request.param)
    yield made
    made.close()


@pytest.fixture
def split() -> Iterator[Staged]:
    made = Staged()
    yield made
    made.close()


async def press(pilot: Pilot[Any], *keys: str) -> None:
    await pilot.press(*keys)
    await settled(pilot)


async def settled(pilot: Pilot[Any]) -> None:
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def read(app: ByHand, pilot: Pilot[Any]) -> None:
    """Read the source once, and let the screens take it in."""
    await app.look(pilot)
    await settled(pilot)


async def run(app: ByHand, pilot: Pilot[Any], staged: Staged, rounds: int = 60) -> None:
    """Let something happen, and read it."""
    staged.go(rounds)
    await read(app, pilot)


def picture(app: ByHand) -> list[str]:
    """What the panes of the screen say."""
    shown = [pane for pane in app.screen.query(Pane) if isinstance(pane, PANES)]
    return [line for pane in shown if pane.display and pane.size.height for line in text(pane)]


def head(app: ByHand) -> str:
    return app.screen.query_one(TopLine).render_line(0).text


def keys(app: ByHand) -> str:
    foot = app.view.query_one(Foot)
    return foot.render_line(foot.size.height - 1).text


def said(app: ByHand) -> str:
    return app._message[0] if app._message else ""


def listed(app: ByHand) -> list[int]:
    """The events in sight."""
    events = app.screen.query_one(EventList)
    events.prepare()
    return list(events._sight)


def history(app: ByHand) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


# the past is what was live


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_pane_shows_a_past_moment_as_it_was_live(staged: Staged, size: tuple[int, int]) -> None:
    app = ByHand(staged)
    async with app.run_test(size=size) as pilot:
        app.select(queue=1)
        await press(pilot, "3")
        app.screen.query_one(Descriptors).follow = False
        seen: dict[int, list[str]] = {}
        for _ in range(12):
            staged.go(9)
            await read(app, pilot)
            assert app.shown is not None
            seen[app.shown.snapshot.number] = picture(app)
        assert len({tuple(lines) for lines in seen.values()}) > 6
        for number in (*list(seen)[::-2], *list(seen)[::3]):
            app.go_to(number)
            await settled(pilot)
            app.select(queue=1)
            await settled(pilot)
            assert app.session.cursor == number
            assert picture(app) == seen[number]


async def test_keys_step_through_the_past_on_every_screen(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 150)
        last = app.session.history.reach.last
        for screen in "123":
            await press(pilot, screen, "comma")
            assert app.session.cursor == last - 1
            await press(pilot, "comma", "comma", "full_stop")
            assert app.session.cursor == last - 2
            for back, on, kind in (
                ("less_than_sign", "greater_than_sign", None),
                ("left_parenthesis", "right_parenthesis", Kind.FLUSH),
            ):
                before = app.session.cursor
                await press(pilot, back, back)
                there = app.session.cursor
                assert there is not None and before is not None and there < before
                row = app.session.history.row(there)
                assert row is not None
                assert row["kind"] == kind if kind else row["kind"] != Kind.STORE
                await press(pilot, on)
                assert there < (app.session.cursor or 0) <= before
            await press(pilot, "left_curly_bracket")
            past = app.session.past
            assert past is not None and app.shown is not None
            assert app.shown.snapshot.time - past.snapshot.time > 900_000_000
            await press(pilot, "0")
            assert app.session.cursor is None


async def test_the_queue_of_the_event_is_looked_at(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 200)
        await press(pilot, "3")
        rows = app.session.history.rows(1, app.session.history.reach.last)
        for queue in (0, 1, 2):
            app.go_to(int(rows["number"][(rows["queue"] == queue) & (rows["kind"] == Kind.PUBLISH)][-1]))
            await settled(pilot)
            assert app.session.selection.queue == queue
            for pane in app.screen.query(Pane):
                assert isinstance(pane, Scrubber) or pane.selected == queue
        app.select(queue=1)
        await settled(pilot)
        assert app.session.selection.queue == 1
        table = app.screen.query_one(Descriptors)
        assert table.queue is not None and table.queue.index == 1


async def test_keys_that_come_faster_than_moments_are_all_counted(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        last = app.session.history.reach.last
        for _ in range(40):
            app.travel("event", -1)
        await settled(pilot)
        assert app.session.cursor == last - 40


async def test_while_in_the_past_the_source_is_read_on(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "comma")
        shown, last = picture(app), app.session.history.reach.last
        await run(app, pilot, split, 20)
        assert picture(app) == shown
        assert app.session.history.reach.last > last
        await press(pilot, "0")
        assert picture(app) != shown
        assert app.shown is not None and app.shown.snapshot.number == app.session.history.reach.last


async def test_a_paused_view_is_as_it_was_when_one_comes_back(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3", "space")
        app.screen.query_one(Descriptors).follow = False
        held = picture(app)
        await run(app, pilot, split, 20)
        await press(pilot, "comma", "comma")
        assert picture(app) != held
        await press(pilot, "0")
        assert app.session.paused
        assert picture(app) == held


async def test_the_first_line_says_where_one_is(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 150)
        assert "◷" not in head(app)
        assert "back to live" not in keys(app)
        await press(pilot, "left_curly_bracket")
        cursor, last = app.session.cursor, app.session.history.reach.last
        assert f"◷ 1.00 s ago · event {cursor:,} of {last:,} · reaches" in head(app)
        assert keys(app).startswith(" 0 back to live")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert f"1.00 s ago · event {cursor:,} of {last:,}" in head(app)


async def test_a_step_in_the_past_leads_back_to_now(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "comma", "comma")
        assert app.session.cursor is not None
        await press(pilot, "s")
        assert app.session.cursor is None
        await read(app, pilot)


async def test_nothing_journaled_is_said_and_changes_nothing() -> None:
    app = ByHand(Still(device(64)))
    async with app.run_test(size=(120, 40)) as pilot:
        await read(app, pilot)
        for key in ("comma", "less_than_sign", "left_curly_bracket", "right_parenthesis"):
            await press(pilot, key)
            assert "nothing has happened yet" in said(app)
        await press(pilot, "3", "left", "up", "enter", "n", "W")
        assert app.session.cursor is None


# who wrote it


async def test_w_goes_to_the_last_write_of_the_slot_and_again_to_the_one_before(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 400)
        await press(pilot, "W")
        assert "choose a slot first" in said(app)
        app.select(queue=1, slot=2)
        shape = split.shapes()[1]
        expected = []
        before = app.session.history.reach.last
        while (row := app.session.history.last_write(shape.desc_addr + 32, 16, before)) is not None:
            expected.append(int(row["number"]))
            before = expected[-1] - 1
        assert len(expected) > 3
        for number in expected[:3]:
            await press(pilot, "W")
            assert app.session.cursor == number
            assert said(app).startswith("slot 2 of tx0 was written by the driver")


# the screen


async def test_it_follows_the_newest_until_one_goes_back(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3")
        await read(app, pilot)
        assert listed(app)[-1] == app.session.history.reach.last
        await run(app, pilot, split, 5)
        assert listed(app)[-1] == app.session.history.reach.last
        await press(pilot, "up", "up")
        assert app.session.cursor == app.session.history.reach.last - 2
        seen = listed(app)
        await run(app, pilot, split, 5)
        assert listed(app) == seen
        await press(pilot, "home")
        assert app.session.cursor == app.session.history.reach.first
        await press(pilot, "f")
        assert app.session.cursor is None
        assert listed(app)[-1] == app.session.history.reach.last


async def test_enter_shows_the_rings_of_that_moment(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3")
        await press(pilot, "pageup", "enter")
        assert isinstance(app.screen, RingsScreen)
        assert app.session.past is not None
        assert app.table.tick is app.session.past


async def test_a_click_on_an_event_goes_there(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3")
        await read(app, pilot)
        wanted = listed(app)[3]
        await pilot.click(EventList, offset=(20, 5))
        await settled(pilot)
        assert app.session.cursor == wanted


async def test_operations_alone_kinds_sides_and_queues(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 200)
        await press(pilot, "3", "x")
        rows = app.session.history.rows(1, app.session.history.reach.last)

        def numbers(wanted: Any) -> list[int]:
            return [int(n) for n in rows["number"][wanted]]

        def held() -> list[int]:
            lines = history(app).events.held
            return [lines.number(at) for at in range(len(lines))]

        assert held() == numbers(rows["kind"] != Kind.STORE)
        await press(pilot, "x")
        assert held() == numbers(rows["kind"] > 0)
        await press(pilot, "ampersand", *"publish device", "enter")
        await press(pilot, "ampersand")
        assert isinstance(app.screen, Prompt)
        await press(pilot, "escape", "ctrl+u")
        assert len(held()) == len(rows)
        for typed, wanted in (
            ("publish", rows["kind"] == Kind.PUBLISH),
            ("kick tx0", np.isin(rows["kind"], [Kind.KICK, Kind.KICK_QUIET]) & (rows["queue"] == 1)),
            ("device store", (rows["kind"] == Kind.STORE) & (rows["side"] == 1)),
        ):
            await press(pilot, "ctrl+u", "ampersand")
            await press(pilot, *("space" if c == " " else c for c in typed), "enter")
            assert held() == numbers(wanted) and held()
        await press(pilot, "ctrl+u", "right_square_bracket", "right_square_bracket")
        assert held() == numbers(rows["queue"] == 1)
        assert app.session.selection.queue == 1


async def test_arrows_go_by_the_lines_that_are_shown(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 200)
        await press(pilot, "3", "ampersand", *"flush", "enter")
        lines = history(app).events.held
        await press(pilot, "up")
        assert app.session.cursor == lines.number(len(lines) - 2)
        await press(pilot, "up")
        assert app.session.cursor == lines.number(len(lines) - 3)


async def test_a_word_that_is_no_kind_is_named(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3", "ampersand", *"bogus")
        assert isinstance(app.screen, Prompt)
        assert "'bogus' is no kind of event" in str(app.screen.query_one("#prompt").border_subtitle)
        await press(pilot, "enter")
        assert isinstance(app.screen, Prompt)


async def test_search_goes_to_events_by_their_words_and_numbers(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 200)
        session = app.session
        await press(pilot, "3", "home")
        rows = session.history.rows(1, session.history.reach.last)
        hits = [int(row["number"]) for row in rows if "visible as used" in session.words(row)]
        assert len(hits) > 2
        await press(pilot, "slash", *"visible", "space", *"used", "enter")
        assert session.cursor == hits[0]
        await press(pilot, "n")
        assert session.cursor == hits[1]
        await press(pilot, "N")
        assert session.cursor == hits[0]
        await press(pilot, "N")
        assert "no earlier event says" in said(app)
        await press(pilot, "slash")
        app.screen.query_one("Input").value = "77"  # type: ignore[attr-defined]
        await press(pilot, "enter")
        assert session.cursor == 77


async def test_y_copies_the_event(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3", "up", "y")
        assert app.clipboard.startswith(f"event {app.session.cursor}: ")


async def test_both_ends_of_the_past_are_told_as_what_they_are(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(80, 24)) as pilot:
        await run(app, pilot, split, 60)
        await press(pilot, ".")
        await settled(pilot)
        assert "this is now" in said(app) and app.session.cursor is None
        app.go_to(1)
        await settled(pilot)
        await press(pilot, ",")
        await settled(pilot)
        assert "first event that there was" in said(app) and "--history" not in said(app)
        await press(pilot, "3")
        await read(app, pilot)
        scrubber = app.screen.query_one(Scrubber)
        assert "before the end" in scrubber.draw(*scrubber.size)[-1].text


async def test_the_scrubber_tells_how_long_ago_the_newest_event_was(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 300)
        await press(pilot, "3")
        await read(app, pilot)
        scrubber = app.screen.query_one(Scrubber)
        span = scrubber.span
        assert span is not None and scrubber.draw(*scrubber.size)[-1].text.rstrip().endswith("end")
        span = replace(span, live=True, cursor=span.last_time)
        scrubber.put(span)
        assert "now ●" in scrubber.draw(*scrubber.size)[-1].text
        span = replace(span, cursor=None)
        reach = span.last_time - span.first_time
        scrubber.put(replace(span, now=span.last_time + 5_000_000_000))
        axis = scrubber.draw(*scrubber.size)[-1].text
        assert axis.rstrip().endswith("5.00 s ago") and "now" not in axis
        assert f"{duration(reach + 5_000_000_000)} ago" in axis
        first, _ = scrubber.shown
        scrubber.put(replace(span, cursor=first))
        assert (
            f"▲─{reach / 1e9:.2f} s ago" in scrubber.draw(*scrubber.size)[-1].text
        )  # beside it, not under it


async def test_the_scrubber_seeks_by_column_click_and_zoom(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split, 300)
        await press(pilot, "3")
        await read(app, pilot)
        scrubber = app.screen.query_one(Scrubber)
        reach = app.session.history.reach
        share = (reach.last_time - reach.first_time) / scrubber.bins
        await press(pilot, "left", "left", "left")
        past = app.session.past
        assert past is not None
        assert past.snapshot.time == pytest.approx(reach.last_time - 3 * share, abs=2 * share)
        await pilot.click(Scrubber, offset=(scrubber.size.width // 2, 1))
        await settled(pilot)
        past = app.session.past
        assert past is not None and scrubber.span is not None
        assert scrubber.column(past.snapshot.time) == pytest.approx(scrubber.size.width // 2 - 12, abs=1)
        scrubber.focus()
        await press(pilot, "up", "up")
        first, last = scrubber.shown
        assert last - first == pytest.approx((reach.last_time - reach.first_time) / 4, rel=0.1)
        assert first <= past.snapshot.time <= last
        before = past.snapshot.time
        await press(pilot, "right")
        assert app.session.past is not None
        assert 0 <= app.session.past.snapshot.time - before <= 2 * (last - first) / scrubber.bins + 5_000_000
        await press(pilot, "down", "down")
        assert scrubber.window is None


async def test_missing_events_are_drawn_as_missing() -> None:
    class Losing(Staged):
        """Loses what happened in the middle."""

        def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
            events = super().events(since, most=most)
            rows = events.rows
            lost = (rows["number"] >= 200) & (rows["number"] < 400)
            return replace(events, rows=rows[~lost], lost=int(lost.sum()))

    staged = Losing()
    app = ByHand(staged)
    async with app.run_test(size=(120, 40)) as pilot:
        staged.go(30)
        await read(app, pilot)
        staged.go(200)
        await read(app, pilot)
        await read(app, pilot)
        await press(pilot, "3")
        await read(app, pilot)
        assert app.session.history.reach.gaps
        scrubber = app.screen.query_one(Scrubber)
        assert "╱" in "".join(text(scrubber))
        before, span = text(scrubber), scrubber.span
        assert span is not None
        scrubber.put(replace(span, missing=((span.first_time, span.last_time),), cursor=span.last_time))
        graph, trouble = text(scrubber)[1], text(scrubber)[-2]
        assert set(trouble[12:].rstrip()) == {"╱"}
        for was, now in zip(before[1][12:], graph[12:], strict=True):
            assert now == (was if was in "▁▂▃▄▅▆▇█" else "╱") or now == was == " "
        gap = app.session.history.reach.gaps[0]
        after = app.session.history.step(gap, "event", 1)
        assert after > gap + 1
        app.go_to(after)
        await settled(pilot)
        events = app.screen.query_one(EventList)
        events.prepare()
        line = events.render_line(events._sight.index(after) + 2).text
        assert "×" in line and "missing" in line
        app.go_to(gap + 1)
        await settled(pilot)
        assert "missing" in said(app)
        assert app.session.cursor == after
    staged.close()


async def test_it_says_why_memory_is_not_known() -> None:
    staged = Staged(trace="operations")
    app = ByHand(staged)
    async with app.run_test(size=(120, 40)) as pilot:
        staged.pair.run()
        for _ in range(300):
            await read(app, pilot)
            if app.session.history.reach.last > 200:
                break
        staged.pair.freeze()
        await read(app, pilot)
        await press(pilot, "3", "home", "pagedown")
        foot = app.view.query_one(Foot)
        assert "stores were not journaled" in "".join(piece for piece, _ in foot._facts)
    staged.close()


async def test_the_key_line_below_a_dialogue_is_the_dialogue_s(split: Staged) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        assert "freeze" in keys(app)
        await press(pilot, "question_mark")
        assert keys(app).strip() == "esc close"
        await press(pilot, "escape", "3", "ampersand")
        assert "esc back" in keys(app)
        assert "freeze" not in keys(app)
        await press(pilot, "escape")
        assert "freeze" in keys(app)


async def test_another_source_in_the_same_app(split: Staged) -> None:
    app = ByHand(split)
    other = Staged(layout="packed", queue_size=8)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3", "up")
        first = app.session
        await app.change_source(other, owns=True)
        app.feed.stop()
        await read(app, pilot)
        assert isinstance(app.screen, HistoryScreen)
        assert app.session is not first
        assert app.session.cursor is None
        await run(app, pilot, other, 10)
        await press(pilot, "1")
        assert app.table.queue is not None and app.table.queue.size == 8
        await press(pilot, "comma")
        assert app.session.cursor == app.session.history.reach.last - 1
    app.session.close()
    with pytest.raises(RuntimeError, match="closed"):
        other.pair.snapshot()


@pytest.mark.parametrize("size", [(60, 16), (20, 6), (300, 80)])
async def test_any_size_is_drawn(split: Staged, size: tuple[int, int]) -> None:
    app = ByHand(split)
    async with app.run_test(size=(120, 40)) as pilot:
        await run(app, pilot, split)
        await press(pilot, "3", "up")
        await pilot.resize_terminal(*size)
        await settled(pilot)
        await press(pilot, "up", "left", "tab", "up", "tab")
        assert app.is_running
