"""Every key of the app, pressed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.pilot import Pilot

import inspector
from dataplane.records import Side
from inspector import theme
from inspector.app import RingscopeApp
from inspector.chrome import Foot, TopLine
from inspector.keys import BINDINGS
from inspector.packets.list import PacketList
from inspector.screens.help import HelpScreen, sections
from inspector.screens.packets import PacketsScreen
from inspector.screens.rings import RingsScreen
from tests.fakes import Counts, Still, device, snapshot, split
from tests.screens.crossing import Crossing, events_of, rows_of

pytestmark = pytest.mark.asyncio


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Let the app go on until something holds; fails after 400 turns."""
    for _ in range(400):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to hold")


async def ready(pilot: Pilot[int]) -> RingscopeApp:
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    await until(pilot, lambda: app.shown is not None and len(app.screen_stack) and app.view.query(Foot))
    return app


def said(app: RingscopeApp) -> str:
    return app._message[0] if app._message else ""


async def press(pilot: Pilot[int], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_it_opens_on_the_rings_and_goes_between_screens() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        assert isinstance(app.screen, RingsScreen)
        await press(pilot, "2")
        assert isinstance(app.screen, PacketsScreen)
        await press(pilot, "1")
        assert isinstance(app.screen, RingsScreen)


async def test_every_screen_has_one_first_and_one_last_line() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        for key in "1212":
            await press(pilot, key)
            assert len(app.screen.query(TopLine)) == 1
            assert len(app.screen.query(Foot)) == 1


async def test_space_holds_the_picture_while_the_source_goes_on() -> None:
    source = Crossing()
    source.sent = 10
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "2", "space")
        held = app.shown
        source.sent = 20
        await until(pilot, lambda: len(app.session.frames) == 20)
        assert app.shown is held
        assert app.screen.query_one(PacketList).shown.last == 10
        await press(pilot, "space")
        await until(pilot, lambda: app.screen.query_one(PacketList).shown.last == 20)


async def test_z_freezes_and_runs() -> None:
    source = Crossing()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "z")
        assert source.lever.done == [("freeze",)]
        await until(pilot, lambda: app.shown is not None and app.shown.snapshot.state == "frozen")
        await press(pilot, "z")
        assert source.lever.done[-1] == ("run",)


async def test_s_steps_the_side_whose_turn_it_is_and_says_what_it_did() -> None:
    source = Crossing(picture=snapshot(split(64, Counts(9, 8, 8, 8), index=1, name="tx0")))
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "s")
        assert source.lever.done == []
        assert "z freezes" in said(app)
        await press(pilot, "z")
        step = source.lever.step

        def stepping(side: Side, *rest: Any) -> Any:
            source.journal(events_of(rows_of(source.all)[0])[3:4])
            return step(side, *rest)

        source.lever.step = stepping  # type: ignore[method-assign, assignment]
        await press(pilot, "s")
        assert source.lever.done[-1] == ("step", Side.DEVICE)
        assert said(app) == "device · tx0 · has taken 1 buffer, the first with head 0"


async def test_s_asks_the_other_side_where_one_has_nothing_to_do() -> None:
    source = Crossing(picture=snapshot(split(64, Counts(9, 9, 9, 8), index=1, name="tx0")))
    source.lever.idle = {Side.DRIVER}
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        source.journal(events_of(rows_of(source.all)[0])[3:4])
        await press(pilot, "z", "s")
        assert source.lever.done[1:3] == [("step", Side.DRIVER), ("step", Side.DEVICE)]
        source.lever.idle = {Side.DRIVER, Side.DEVICE}
        await press(pilot, "s")
        assert "no side has anything to do" in said(app)


async def test_plus_and_minus_change_the_rate() -> None:
    source = Crossing()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        source.lever.rate = 100.0
        await press(pilot, "plus")
        await press(pilot, "minus")
        await press(pilot, "minus")
        assert source.lever.done == [("rate", 200.0), ("rate", 100.0), ("rate", 50.0)]


async def test_brackets_go_from_queue_to_queue() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        seen = []
        for key in ("]", "]", "]", "["):
            await press(pilot, {"]": "right_square_bracket", "[": "left_square_bracket"}[key])
            seen.append(app.session.selection.queue)
        assert seen == [1, 2, 0, 2]


async def test_t_sets_the_trace_level_through_the_palette() -> None:
    source = Crossing()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "t")
        assert isinstance(app.screen, CommandPalette)
        await pilot.press(*"stores")
        await pilot.pause(0.3)
        await press(pilot, "enter")
        await press(pilot, "enter")
        await until(pilot, lambda: ("trace", "stores") in source.lever.done)


async def test_escape_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await press(pilot, "w", "escape")
        assert os.listdir(tmp_path) == []


async def test_y_copies_the_selected_packet() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "2", "g", "y")
        assert app.clipboard.startswith("1 ")


async def test_f_stops_and_starts_following() -> None:
    source = Crossing()
    source.sent = 40
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "2", "f")
        packets = app.screen.query_one(PacketList)
        assert not packets.follow
        await press(pilot, "f")
        source.sent = 80
        await until(pilot, lambda: packets.shown.last == 80)
        assert packets.in_sight()[1] == 79


async def test_help_has_every_binding_and_q_quits() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        await press(pilot, "2", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        titles = dict(sections(app, app.view))
        assert {"Everywhere", "Packets", "Packet list", "Fields", "Bytes"} <= set(titles)
        assert titles["Everywhere"] == BINDINGS
        await press(pilot, "escape")
        assert isinstance(app.screen, PacketsScreen)
        await press(pilot, "q")
    assert app.return_code == 0


async def test_every_binding_says_what_it_is_and_no_key_means_two_things() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        everywhere = {key for b in BINDINGS if isinstance(b, Binding) for key in b.key.split(",")}
        for key in "12":
            await press(pilot, key)
            for title, bindings in sections(app, app.view):
                for binding in bindings:
                    assert binding.id and binding.description and binding.tooltip, binding
                    if title != "Everywhere":
                        assert not everywhere & set(binding.key.split(",")), binding


async def test_the_palette_has_the_bindings_and_every_theme_can_be_worn() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(100, 30)) as pilot:
        app = await ready(pilot)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert {"Theme", "Quit", "Pause", "Freeze", "Trace stores", "Traffic at its own pace"} <= set(titles)
        assert len(titles) == len(set(titles))
        for key, names in (("1", ["ringscope-light", "ansi-dark"]), ("2", app.available_themes)):
            await press(pilot, key)
            for name in names:
                app.theme = name
                await pilot.pause()
                assert theme.palette(app).name == name


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (20, 6), (200, 60)])
async def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async with RingscopeApp(Crossing()).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        for key in "12":
            await press(pilot, key)
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert app.is_running


async def test_a_source_that_fails_is_one_line_and_the_app_stays() -> None:
    source = Crossing()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        source.broken = RuntimeError("the pair is\nclosed \x1b[31m")
        await until(pilot, lambda: app.failed)
        assert said(app) == "the pair is closed \\x1b[31m"
        await press(pilot, "2", "question_mark", "escape")
        assert isinstance(app.screen, PacketsScreen)


async def test_a_source_that_fails_at_once_is_told_too() -> None:
    source = Crossing()
    source.broken = RuntimeError("no such device")
    async with RingscopeApp(source).run_test(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        await until(pilot, lambda: app.failed)
        assert said(app) == "no such device"


async def test_what_control_refuses_is_told() -> None:
    source = Crossing()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        source.lever.error = RuntimeError("the pair is closed")
        await press(pilot, "z")
        assert said(app) == "the pair is closed"


async def test_a_source_without_control_can_be_watched() -> None:
    async with RingscopeApp(Still(device(64))).run_test(size=(120, 40)) as pilot:
        app = await ready(pilot)
        for key in ("z", "s", "plus"):
            await press(pilot, key)
            assert "not driven" in said(app)


async def test_the_feed_ends_with_the_app() -> None:
    async with RingscopeApp(Crossing()).run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        thread = app.feed._thread
        assert thread.is_alive()
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    async with RingscopeApp(Crossing()).run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        await until(pilot, lambda: app._exit)
    assert app.return_code == 128 + number


async def test_attach_needs_a_terminal() -> None:
    with pytest.raises(RuntimeError, match="terminal"):
        inspector.attach(Still(device(64)))
