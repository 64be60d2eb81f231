"""The packets screen: every key, the mouse, and how it looks in three sizes."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from capture.play import PlayFrame, load_mix
from inspector.app import RingscopeApp
from inspector.packets.bytes import BytesView, Span
from inspector.packets.list import PacketList
from inspector.packets.tree import FieldTree
from inspector.prompt import Prompt
from inspector.screens.packets import PacketsScreen
from inspector.screens.rings import RingsScreen
from inspector.session import Session
from tests.fakes import Counts, snapshot, split
from tests.screens.at_packets import at_packets, mixed, until
from tests.screens.crossing import Crossing


@pytest.mark.asyncio
async def test_the_cursor_moves_and_stays_inside(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot)
        packets = screen.query_one(PacketList)
        last = packets.shown.last
        assert (packets.cursor, packets.follow) == (last, True)
        at = []
        for key in ("k", "up", "j", "down", "G", "down", "g", "up", "pagedown", "pageup", "end", "home"):
            await pilot.press(key)
            at.append(packets.cursor)
        page = packets.room - 1
        assert at == [last - 1, last - 2, last - 1, last, last, last, 1, 1, 1 + page, 1, last, 1]
        assert not packets.follow


@pytest.mark.asyncio
async def test_nothing_moves_under_a_reader_s_eyes(at_once: None) -> None:
    source = mixed()
    source.sent = 100
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "down", "down")
        packets = screen.query_one(PacketList)
        before = (packets.cursor, packets.in_sight())
        source.sent = 200
        await until(pilot, lambda: packets.shown.last == 200)
        await pilot.pause()
        assert (packets.cursor, packets.in_sight()) == before


@pytest.mark.asyncio
async def test_the_oldest_go_without_moving_what_is_read(at_once: None) -> None:
    source = mixed()
    source.sent = 300
    app = RingscopeApp(source)
    app.session = Session(source, budget_bytes=1 << 20)
    app.feed._session = app.session
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "G", "pageup")
        packets = screen.query_one(PacketList)
        top = packets.shown.number(packets.in_sight()[0])
        for chunk in list(app.session.frames._chunks[:1]):
            app.session.frames._chunks.remove(chunk)
        source.sent = 310
        await until(pilot, lambda: packets.shown.last == 310)
        await pilot.pause()
        assert packets.shown.first > 1
        assert packets.shown.number(packets.in_sight()[0]) == max(top, packets.shown.first)


@pytest.mark.asyncio
async def test_a_field_lights_up_its_bytes_and_a_byte_its_field(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "tab")
        fields, octets = screen.query_one(FieldTree), screen.query_one(BytesView)
        assert screen.focused is fields
        assert octets.span is None, "the Ring layer has no bytes"
        spans = set()
        for _ in range(60):
            await pilot.press("down")
            chosen = fields.chosen
            assert chosen is not None
            if chosen.bit_length:
                assert octets.span == Span(chosen.kind == "vnet", chosen.byte_start, chosen.byte_stop)
                spans.add(octets.span)
        assert len(spans) > 5
        await pilot.press("tab", "g")
        chosen = fields.chosen
        assert chosen is not None and chosen.kind == "vnet" and chosen.byte_start == 0
        await pilot.press("end")
        chosen = fields.chosen
        assert chosen is not None and chosen.byte_stop == len(octets.data)
        last = octets._at
        moves = [
            ("left", -1),
            ("up", -16),
            ("right", 1),
            ("h", -1),
            ("k", -16),
            ("l", 1),
            ("j", 16),
            ("down", 16),
        ]
        for key, step in moves:
            await pilot.press(key)
            last += step
            assert octets._at == last, key


@pytest.mark.asyncio
async def test_layers_open_and_close_and_stay_so(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "tab")
        fields = screen.query_one(FieldTree)
        lines = len(fields._shown)
        await pilot.press("enter")
        closed = len(fields._shown)
        assert closed < lines
        await pilot.press("escape", "down", "tab")
        await pilot.pause()
        assert not fields.is_open((0,)), "the choice holds for the next packet"
        await pilot.press("right")
        assert fields.is_open((0,))
        await pilot.press("down", "left")
        assert fields._at == (0,)
        await pilot.press("left")
        assert not fields.is_open((0,))
        await pilot.press("end", "home", "pagedown", "pageup")
        assert fields._at == (0,)


@pytest.mark.asyncio
async def test_search_and_its_next_and_before(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        screen = await at_packets(pilot, "n")
        assert "nothing was searched" in app._message[0]  # type: ignore[index]
        await pilot.press("g", "slash")
        assert isinstance(app.screen, Prompt)
        await pilot.press(*"dns", "enter")
        await app.workers.wait_for_complete()
        packets = screen.query_one(PacketList)
        found = [packets.cursor]
        for key in ("n", "N"):
            await pilot.press(key)
            await app.workers.wait_for_complete()
            found.append(packets.cursor)
        assert all(packets.summary(number).protocol for number in found if number)  # type: ignore[arg-type]
        assert found[0] == found[2] and found[1] > found[0]  # type: ignore[operator]
        await pilot.press("slash")
        app.screen.query_one(Input).value = "no such thing anywhere"
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        assert "no packet has" in app._message[0]  # type: ignore[index]
        await pilot.press("slash")
        app.screen.query_one(Input).value = "0xq"
        await pilot.press("enter")
        assert isinstance(app.screen, Prompt), "what cannot be looked for is said while it is typed"
        assert "hexadecimal" in str(app.screen.query_one("#prompt").border_subtitle)


async def search(pilot: Pilot[int], text: str) -> str:
    """Search for something; what was said."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    await pilot.press("slash")
    app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await app.workers.wait_for_complete()
    await pilot.pause()
    return app._message[0] if app._message else ""


@pytest.mark.asyncio
async def test_search_by_expression_and_bytes_wraps_and_says_so(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "G")
        assert "from the top again" in await search(pilot, "/discover|offer/")
        assert screen.packets.cursor == 1
        await pilot.press("g")
        told = await search(pilot, "0x63825363")
        assert told.startswith("packet 1 has 0x63825363")
        await pilot.press("n")
        await pilot.app.workers.wait_for_complete()
        assert screen.packets.cursor == 2


@pytest.mark.asyncio
async def test_search_keeps_to_what_is_shown(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"arp", "enter")
        await until(pilot, lambda: screen.packets.shown.filter_text == "arp")
        await pilot.press("g")
        assert "no packet that is shown has" in await search(pilot, "discover")
        assert "packet" in await search(pilot, "who has")
        assert screen.packets.cursor in screen.packets.shown.ascending()


@pytest.mark.asyncio
async def test_search_goes_through_the_fields_first_where_they_have_the_focus(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "tab")
        tree = screen.query_one(FieldTree)
        assert "is in this packet" in await search(pilot, "port")
        names = []
        for _ in range(3):
            assert tree.chosen is not None
            names.append(f"{tree.chosen.name} {tree.chosen.text}".lower())
            await pilot.press("n")
            await pilot.app.workers.wait_for_complete()
        assert all("port" in name for name in names) and len(set(names)) > 1


@pytest.mark.asyncio
async def test_search_goes_through_the_bytes_first_where_they_have_the_focus(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "tab", "tab")
        octets = screen.query_one(BytesView)
        assert "is in this packet" in await search(pilot, "0x63825363")
        at = octets.data.index(bytes.fromhex("63825363"))
        assert octets.match == Span(False, at, at + 4)
        await pilot.press("n")
        await pilot.app.workers.wait_for_complete()
        await until(pilot, lambda: screen.packets.cursor == 2)
        at = octets.data.index(bytes.fromhex("63825363"))
        await until(pilot, lambda: octets.match == Span(False, at, at + 4))


@pytest.mark.asyncio
async def test_columns_are_chosen_kept_and_given_back(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot)
        before = screen.packets.columns
        await pilot.press("vertical_line", "space", "down", "J", "t", "enter")
        await pilot.pause()
        chosen = screen.packets.columns
        assert before[0] == "number" and "number" not in chosen
        assert chosen[:2] == (before[2], before[1])
        assert screen.packets.time_format == "delta"
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot)
        assert (screen.packets.columns, screen.packets.time_format) == (chosen, "delta")
        await pilot.press("vertical_line", "escape")
        assert screen.packets.columns == chosen
        await pilot.press("vertical_line", "d")
        await pilot.pause()
        assert screen.packets.columns == before


@pytest.mark.asyncio
async def test_nothing_a_terminal_obeys_is_ever_drawn(at_once: None) -> None:
    ugly = b"\x1b]0;x\x07\x9b31m\xe2\x80\xae" * 3
    frames = [
        PlayFrame(0, 0, bytes(12) + b"\x08\x00" + ugly),
        PlayFrame(1000, 1, load_mix()[0].data[:42] + ugly),
    ]
    async with RingscopeApp(Crossing(frames)).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "down", "tab", "end", "tab")
        for widget in screen.query("PacketList, FieldTree, BytesView, TopLine, Foot"):
            for y in range(widget.size.height):
                text = widget.render_line(y).text
                assert text.isprintable() and "\u202e" not in text, (widget, text)


@pytest.mark.asyncio
async def test_the_slash_leads_here_from_the_rings(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        await until(pilot, lambda: isinstance(app.screen, RingsScreen))
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.screen, Prompt))


@pytest.mark.asyncio
async def test_d_leads_to_the_descriptors_and_p_back(at_once: None) -> None:
    source = Crossing(picture=snapshot(
        split(256, Counts(300, 290, 280, 250), index=0, name="rx0"),
        split(256, Counts(200, 190, 180, 60), index=1, name="tx0"),
    ))  # fmt: skip
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        screen = await at_packets(pilot, "g")
        wanted = next(
            n for n in range(1, 784)
            if (f := app.session.frames.frame(n)).origin[0] == 1 and f.origin[1] == 100 and f.head == 100
        )  # fmt: skip
        screen.query_one(PacketList).go(wanted)
        await pilot.pause()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, RingsScreen))
        assert (app.session.selection.queue, app.session.selection.slot) == (1, 100)
        assert app._message is None
        await until(pilot, lambda: app.shown and len(app.shown.snapshot.queue(1).desc))
        await app.action_show_packet(1, 100)
        await until(pilot, lambda: isinstance(app.screen, PacketsScreen))
        assert screen.query_one(PacketList).cursor == wanted
        await app.action_show_packet(1, 255)
        assert app._message and "no packet" in app._message[0]


@pytest.mark.asyncio
async def test_a_buffer_that_is_gone_is_said_to_be(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        await at_packets(pilot, "g")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, RingsScreen))
        assert app._message and "is gone" in app._message[0]
        await app.action_show_descriptor(99_999)
        assert "no longer kept" in app._message[0]


@pytest.mark.asyncio
async def test_copying_takes_what_has_the_focus(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        screen = await at_packets(pilot, "g", "y")
        assert app.clipboard.startswith("1 ARP") or app.clipboard.startswith("1 ")
        await pilot.press("tab", "y")
        assert app.clipboard.startswith("Ring: ")
        await pilot.press("tab", "y")
        assert app.clipboard == screen.query_one(BytesView).data.hex()


@pytest.mark.asyncio
async def test_the_mouse_chooses_packets_fields_and_bytes(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g")
        packets, fields, octets = (screen.query_one(kind) for kind in (PacketList, FieldTree, BytesView))
        await pilot.click(PacketList, offset=(20, 2 + 4))
        assert packets.cursor == 5
        await pilot.pause()
        await pilot.click(FieldTree, offset=(20, 3))
        assert fields._at == fields._shown[2][0]
        await pilot.click(FieldTree, offset=(1, 1))
        assert not fields.is_open((0,))
        await pilot.click(BytesView, offset=(7 + 3 * 2, 1 + 1))
        assert octets._at == len(octets.net_header) + 2
        assert fields.chosen is not None and fields.chosen.byte_start <= 2 < fields.chosen.byte_stop


@pytest.mark.asyncio
async def test_a_whole_dissection_by_scapy() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g")
        assert screen._tree is not None and screen._tree.reason == ""
        assert [field.name for field in screen.query_one(FieldTree).fields][:2] == ["Ring", "virtio-net"]


@pytest.mark.asyncio
async def test_nothing_yet_is_said(at_once: None) -> None:
    async with RingscopeApp(Crossing([])).run_test(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        await until(pilot, lambda: app.shown is not None)
        for key in (
            "2",
            "down",
            "up",
            "G",
            "g",
            "pagedown",
            "d",
            "y",
            "w",
            "tab",
            "down",
            "enter",
            "tab",
            "down",
        ):
            await pilot.press(key)
        assert isinstance(app.screen, PacketsScreen)
        assert "nothing has crossed" in "".join(
            segment.text for segment in app.screen.query_one(PacketList).render_line(2)
        )


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_how_it_looks(size: tuple[int, int], at_once: None, snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        screen = await at_packets(pilot, "g", "down", "down", "tab", "down", "down")
        assert isinstance(screen, PacketsScreen)

    app = RingscopeApp(mixed())
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=size, run_before=go)


def test_how_light_looks(at_once: None, snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        pilot.app.theme = "ringscope-light"
        await at_packets(pilot, "g", "tab", "tab", "down", "down")

    app = RingscopeApp(mixed())
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=(120, 40), run_before=go)


def test_how_help_looks(at_once: None, snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        await at_packets(pilot)
        await pilot.press("question_mark")

    app = RingscopeApp(mixed())
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=(120, 50), run_before=go)
