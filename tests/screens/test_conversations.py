"""What lies over the packets: conversations, streams, expert notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input

from capture.streams import Segment, Stream, follow
from inspector.app import RingscopeApp
from inspector.keys import BINDINGS
from inspector.packets.search import parse
from inspector.packets.streamlines import FORMS, find, lines, runs, suits
from inspector.screens.conversations import ConversationsScreen
from inspector.screens.help import HelpScreen, sections
from inspector.screens.notes import NotesScreen
from inspector.screens.packets import PacketsScreen
from inspector.screens.stream import StreamScreen, StreamView, save
from inspector.widgets.grid import Grid
from tests.screens.at_packets import at_packets, mixed, until
from tests.screens.crossing import Crossing

pytestmark = pytest.mark.usefixtures("at_once")


async def analysed(pilot: Pilot[int], *keys: str) -> PacketsScreen:
    """The packets screen, once every packet has been gone through."""
    screen = await at_packets(pilot, *keys)
    app = screen.ringscope
    await until(pilot, lambda: app.analysis.through == 783)
    return screen


def texts(grid: Grid) -> list[str]:
    return [grid.render_line(y).text for y in range(min(grid.size.height, len(grid.rows) + 2))]


@pytest.mark.asyncio
async def test_enter_filters_the_list_to_a_conversation() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await analysed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConversationsScreen))
        grid = pilot.app.screen.query_one(Grid)
        await until(pilot, lambda: len(grid.rows) == 7)
        await pilot.press("down", "down")
        row = grid.rows[2]
        assert grid.key == row.key
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen and screen.packets.shown.complete)
        await until(pilot, lambda: len(screen.packets.shown) == row.order[2])
        assert "tcp.srcport" in screen.bar.text


@pytest.mark.asyncio
async def test_every_kind_and_every_order() -> None:
    async with RingscopeApp(mixed()).run_test(size=(200, 60)) as pilot:
        await analysed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConversationsScreen))
        screen = pilot.app.screen
        grid = screen.query_one(Grid)
        seen = {}
        for _ in range(5):
            seen[grid.heading] = len(grid.rows)
            await pilot.press("c")
        assert len(seen) == 5 and all(seen.values()), seen
        assert grid.heading.startswith("TCP")
        for _ in range(len(grid.columns)):
            await pilot.press("right")
            at, descending = grid.sort
            keys = [row.order[at] for row in grid.rows]
            assert keys == sorted(keys, reverse=descending)
            await pilot.press("o")
            assert [row.order[at] for row in grid.rows] == sorted(keys, reverse=not descending)
        await pilot.press("C", "end", "home", "pagedown", "pageup", "up", "y", "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("escape", "escape")
        assert isinstance(pilot.app.screen, PacketsScreen)


@pytest.mark.asyncio
async def test_the_screens_before_are_reached_with_one_key() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await analysed(pilot)
        await pilot.press("c", "T")
        await until(pilot, lambda: isinstance(pilot.app.screen, StreamScreen))
        await pilot.press("1", "2")
        assert isinstance(pilot.app.screen, StreamScreen), "what lay over the packets lies there still"
        await pilot.press("2")
        assert pilot.app.screen is screen


@pytest.mark.asyncio
async def test_every_key_over_the_packets_is_in_the_help_and_means_one_thing() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await analysed(pilot)
        app = screen.ringscope
        everywhere = {key for b in BINDINGS if isinstance(b, Binding) for key in b.key.split(",")}
        for key in ("c", "x", "T"):
            await pilot.press(key)
            await pilot.pause()
            titles = dict(sections(app, app.screen))
            assert len(titles) >= 3, titles.keys()
            for title, bindings in titles.items():
                for binding in bindings:
                    assert binding.id and binding.description and binding.tooltip, binding
                    if title != "Everywhere":
                        assert not everywhere & set(binding.key.split(",")), binding
            await pilot.press("escape")


@pytest.mark.asyncio
async def test_columns_go_whole_and_no_end_is_cut() -> None:
    async with RingscopeApp(mixed()).run_test(size=(80, 24)) as pilot:
        await analysed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConversationsScreen))
        grid = pilot.app.screen.query_one(Grid)
        await until(pilot, lambda: len(grid.rows) == 7)
        shown = "\n".join(texts(grid))
        assert "[2001:db8::10]:49171" in shown and "…" not in shown


@pytest.mark.asyncio
async def test_a_stream_is_read_searched_and_saved(tmp_path: Path) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await analysed(pilot)
        app = screen.ringscope
        number = next(n for n in range(1, 784) if b"GET /" in app.session.frames.frame(n).data)
        screen.packets.go(number)
        await pilot.pause()
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, StreamScreen))
        view = app.screen.query_one(StreamView)
        await until(pilot, lambda: view._lines)
        assert view._lines[0].text.startswith("GET /")
        assert view.meanings == ("driver", "device")
        first = view.render_line(1).text
        assert first.startswith("▌→ GET")
        await pilot.press("slash")
        app.screen.query_one(Input).value = "content-length"
        await pilot.press("enter")
        await pilot.pause()
        assert "content-length" in view._lines[view.at].text.lower()
        at = view.at
        await pilot.press("n", "N")
        assert view.at == at or app._message
        await pilot.press("v")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert view._lines[0].text.startswith("00000000  47 45 54 20")
        await pilot.press("e")
        await app.workers.wait_for_complete()
        await pilot.pause()
        stream = follow(app.session.frames, number)
        assert {view.said[line.run].side for line in view._lines} == {0}
        await pilot.press("w")
        app.screen.query_one(Input).value = str(tmp_path / "said.bin")
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        assert (tmp_path / "said.bin").read_bytes() == stream.raw(0)
        await pilot.press("home", "enter")
        await pilot.pause()
        assert app.screen is screen
        cursor = screen.packets.cursor
        assert cursor and b"GET /" in app.session.frames.frame(cursor).data


@pytest.mark.asyncio
async def test_what_is_no_stream_is_said() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", *["down"] * 4)
        assert screen.packets.summary(screen.packets.cursor or 0).protocol == "ARP"
        await pilot.press("T")
        await pilot.pause()
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        assert app.screen is screen, "no empty screen comes up"
        assert app._message is not None and "no TCP or UDP" in app._message[0]


def stream_of(*segments: Segment) -> Stream:
    return Stream("tcp", "10.0.0.1", 1, "10.0.0.2", 2, segments, (1, 1), 1, 9, False)


def test_foreign_bytes_and_gaps_in_every_form() -> None:
    ugly = b"a\x1b]0;x\x07\xc2\x9b31m\xe2\x80\xae\xff\r\nsecond\tline"
    stream = stream_of(
        Segment(0, 1, 0, ugly),
        Segment(0, 2, 0, b"more"),
        Segment(1, 3, 0, b"", 1448),
        Segment(1, 4, 0, b"end"),
    )
    said = runs(stream)
    assert [(run.side, run.missing, run.numbers) for run in said] == [
        (0, 0, (1, 2)),
        (1, 1448, (3,)),
        (1, 0, (4,)),
    ]
    assert said[2].offset == 1448
    for form in FORMS:
        for width in (16, 76, 200):
            made = lines(said, form, width)
            assert all(line.text.isprintable() and "\u202e" not in line.text for line in made)
            assert "[1,448 bytes are missing here]" in [line.text for line in made]
            if form != "hex":
                assert all(len(line.text) <= max(width, 30) for line in made)
    assert [line.text for line in lines(said, "text", 200)][1] == "second    linemore"
    assert said[0].number_at(len(ugly)) == 2
    assert suits(stream_of(Segment(0, 1, 0, bytes(range(256))))) == "hex"


def test_a_search_in_a_stream_goes_on_behind_and_round() -> None:
    said = runs(stream_of(Segment(0, 1, 0, b"one two one"), Segment(1, 2, 0, b"ONE")))
    one = parse("one")
    assert find(said, one, 0, 0, 1) == (0, 8, False)
    assert find(said, one, 0, 8, 1) == (1, 0, False)
    assert find(said, one, 1, 0, 1) == (0, 0, True)
    assert find(said, one, 1, 0, -1) == (0, 8, False)
    assert find(said, one, 0, 0, -1) == (1, 0, True)
    assert find(said, parse("three"), 0, 0, 1) is None


def test_a_stream_is_never_saved_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    stream = stream_of(Segment(0, 1, 0, b"abc"), Segment(1, 2, 0, b"", 7))
    assert save(stream, None, str(path)) == f"3 bytes written to {path}; 7 bytes are missing in it"
    with pytest.raises(OSError, match="exists already"):
        save(stream, None, str(path))


@pytest.mark.asyncio
async def test_notes_lead_from_packet_to_packet() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await analysed(pilot, "g")
        expert = screen.ringscope.analysis.expert
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, NotesScreen))
        grid = pilot.app.screen.query_one(Grid)
        await until(pilot, lambda: grid.rows)
        assert {row.key: row.order[2] for row in grid.rows} == {b: n for b, n in expert.counts.items() if n}
        bit = grid.rows[0].key
        assert isinstance(bit, int)
        wanted = expert.found(bit).numbers.tolist()
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.packets.cursor == wanted[0]
        for number in [*wanted[1:], wanted[0]]:
            await pilot.press("x", "enter")
            await until(pilot, lambda: pilot.app.screen is screen)
            assert screen.packets.cursor == number


@pytest.mark.asyncio
async def test_nothing_to_tell_is_said() -> None:
    async with RingscopeApp(Crossing([])).run_test(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        await until(pilot, lambda: app.shown is not None)
        await pilot.press("2")
        for key, words in (("c", "none of this kind"), ("x", "nothing odd")):
            await pilot.press(key)
            await pilot.pause()
            assert words in "".join(
                [*texts(app.screen.query_one(Grid)), app.screen.query_one(Grid).render_line(2).text]
            )
            await pilot.press("enter", "escape")
        assert isinstance(app.screen, PacketsScreen)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize(
    "keys", [("c",), ("x",), ("c", "c", "c", "c", "T")], ids=["conversations", "notes", "stream"]
)
def test_how_they_look(size: tuple[int, int], keys: tuple[str, ...], snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        await analysed(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    app = RingscopeApp(mixed())
    app.feed.hertz = 4.0
    assert snap_compare(app, terminal_size=size, run_before=go)
