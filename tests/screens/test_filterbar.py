"""The filter bar: judged while it is typed, completed, remembered; what is shown and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from inspector import remembered
from inspector.app import RingscopeApp
from inspector.packets.filterbar import FilterBar, FilterInput, Lines
from inspector.packets.tree import FieldTree
from inspector.screens.packets import PacketsScreen
from tests.screens.at_packets import at_packets, mixed, until

pytestmark = pytest.mark.usefixtures("at_once")


def bar_text(bar: FilterBar) -> list[str]:
    """Every line the bar shows, but for the one that is typed in."""
    found = []
    for lines in bar.query(Lines):
        if lines.display:
            found += [lines.render_line(y).text.rstrip() for y in range(len(lines._lines))]
    return found


async def shown(pilot: Pilot[int], screen: PacketsScreen, count: int) -> None:
    await until(pilot, lambda: screen.packets.shown.complete and len(screen.packets.shown) == count)


@pytest.mark.asyncio
async def test_enter_filters_and_the_line_stays_to_say_so() -> None:
    source = mixed()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "ampersand", *"frame.len == 42", "enter")
        few = sum(len(frame.data) == 42 for frame in source.all)
        assert 0 < few < 783
        await shown(pilot, screen, few)
        await pilot.pause()
        assert not screen.bar.is_open
        text = " ".join(bar_text(screen.bar))
        assert "frame.len == 42" in text and f"{few} of 783 packets" in text
        assert screen.focused is screen.packets
        await pilot.press("ctrl+u")
        await shown(pilot, screen, 783)
        assert not screen.bar.display


@pytest.mark.asyncio
async def test_a_wrong_word_is_underlined_said_and_not_applied() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"arp", "enter")
        await until(pilot, lambda: screen.packets.shown.filter_text == "arp")
        good = len(screen.packets.shown)
        await pilot.press("ampersand", "ctrl+u", *"tcp.prot == 80")
        await pilot.pause()
        typed = screen.bar.query_one(FilterInput)
        assert screen.bar.error and "tcp.prot" in screen.bar.error
        assert typed.wrong is not None
        assert typed.value[slice(*typed.wrong)] == "tcp.prot"
        spans = [span for span in typed._value.spans if "underline" in str(span.style)]
        assert [(span.start, span.end) for span in spans] == [typed.wrong]
        assert any(line.startswith(" ! ") for line in bar_text(screen.bar))
        await pilot.press("enter")
        assert screen.bar.is_open, "a wrong filter is not applied"
        assert (screen.packets.shown.filter_text, len(screen.packets.shown)) == ("arp", good)
        await pilot.press("escape")
        assert screen.bar.text == "arp"
        assert not screen.bar.is_open


@pytest.mark.asyncio
async def test_a_good_filter_is_called_ok_with_every_key() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"udp")
        assert any(line.startswith(" ok") for line in bar_text(screen.bar))
        await pilot.press(*" and")
        await pilot.pause()
        assert any(line.startswith(" …") for line in bar_text(screen.bar)), "it only has to go on"
        await pilot.press(*" tcp.flags.syn")
        await pilot.pause()
        assert any("tcp.flags.syn == 1" in line for line in bar_text(screen.bar)), "a remark on what it means"
        assert any(line.startswith(" ok") for line in bar_text(screen.bar))


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["tab", "right"])
async def test_the_candidate_marked_is_taken(key: str) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"dns.qry.n")
        assert screen.bar._candidates[0].text == "dns.qry.name"
        await pilot.press(key)
        assert screen.bar.query_one(FilterInput).value.strip() == "dns.qry.name"


@pytest.mark.asyncio
async def test_down_and_up_go_through_the_candidates() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"tcp.flags.")
        bar = screen.bar
        names = [one.text for one in bar._candidates]
        assert len(names) > 6
        await pilot.press(*["down"] * 6, "up")
        assert bar._marked == 5
        assert any(names[5] in line for line in bar_text(bar)), "the list scrolls with the mark"
        await pilot.press("tab")
        assert bar.query_one(FilterInput).value.strip() == names[5]


@pytest.mark.asyncio
async def test_filters_are_remembered_for_the_next_run(own_state: Path) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        await at_packets(pilot, "ampersand", *"arp", "enter")
        await pilot.press("ampersand", "ctrl+u", *"udp", "enter")
    assert remembered.load().filters == ("arp", "udp")
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", "t")
        line = screen.bar.query_one(FilterInput)
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            await pilot.pause()
            seen.append(line.value)
        assert seen == ["udp", "arp", "arp", "udp", "t"]


@pytest.mark.asyncio
async def test_a_capture_filter_decides_what_is_kept_and_the_first_line_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = mixed()
    asked: list[bytes | None] = []

    def log_frames(on: bool, sample: int = 1, program: bytes | None = None, **_: Any) -> None:
        asked.append(program)

    monkeypatch.setattr(source.lever, "log_frames", log_frames)
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        screen = await at_packets(pilot, "b", *"tcp prot 80")
        bar = screen.query_one("#capture", FilterBar)
        await pilot.pause()
        assert bar.error
        await pilot.press("enter")
        assert bar.is_open and asked == []
        await pilot.press("ctrl+u", *"tcp port 80", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert asked and asked[-1]
        assert app.session.capture_filter is not None and app.session.capture_filter.text == "tcp port 80"
        await until(pilot, lambda: "tcp port 80" in app.view.query_one("TopLine").render_line(0).text)  # type: ignore[attr-defined]
        await pilot.press("b", "ctrl+u", "enter")
        await app.workers.wait_for_complete()
        assert app.session.capture_filter is None and asked[-1] is None


@pytest.mark.asyncio
async def test_a_field_becomes_a_filter_and_a_second_one_narrows_it() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "tab")
        tree = screen.query_one(FieldTree)
        tried = {}
        for _ in range(60):
            field = tree.chosen
            assert field is not None
            await pilot.press("a")
            if screen.bar.text and screen.bar.text not in tried:
                tried[screen.bar.text] = field.name
                await until(pilot, lambda: screen.packets.shown.complete)
                assert screen.packets.shown.position(screen._frame.number) is not None, screen.bar.text  # type: ignore[union-attr]
            await pilot.press("ctrl+u", "down")
        assert {"queue == 1", "direction == to_device", "udp.srcport == 68", "ip.src == 0.0.0.0"} <= set(
            tried
        )
        assert "eth" in tried and "vnet.gso_type == 0" in tried
        await pilot.press("home", "down", "a", "down", "A")
        assert screen.bar.text == "(queue == 1) and direction == to_device"


@pytest.mark.asyncio
async def test_brackets_show_one_queue_and_all_again() -> None:
    source = mixed()
    sent = sum(frame.direction == 0 for frame in source.all)
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        screen = await at_packets(pilot)
        await pilot.press("right_square_bracket")
        await shown(pilot, screen, 783 - sent)
        assert "rx0 only" in " ".join(bar_text(screen.bar))
        await pilot.press("right_square_bracket")
        await shown(pilot, screen, sent)
        assert app.session.selection.queue == 1
        await pilot.press("ampersand", *"arp", "enter")
        await until(pilot, lambda: screen.packets.shown.filter_text == "queue == 1 and (arp)")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: screen.packets.shown.filter_text == "arp")


@pytest.mark.asyncio
async def test_foreign_text_in_a_filter_is_cleaned() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot)
        screen.bar.open("arp \x1b]0;x\x07 \u202e")
        await pilot.pause()
        text = "".join(bar_text(screen.bar))
        assert screen.bar.error and text.isprintable()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_how_typing_looks(size: tuple[int, int], snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        await at_packets(pilot, "g", "ampersand", *"dns and ip.s")

    app = RingscopeApp(mixed())
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=size, run_before=go)


def test_how_a_mistake_looks(snap_compare: Any) -> None:
    async def go(pilot: Pilot[int]) -> None:
        await at_packets(pilot, "g", "ampersand", *"dns and tcp.prot == 80")

    app = RingscopeApp(mixed())
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=(120, 40), run_before=go)


@pytest.mark.asyncio
async def test_what_is_only_not_typed_to_its_end_is_not_called_wrong() -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand")
        bar, line = screen.bar, screen.bar.query_one(FilterInput)
        said = {}
        for text in ("dns.qry.n", "tcp and ", "(udp", "ip.src =", "kick == s", 'dns.qry.name contains "a'):
            line.value = text
            line.cursor_position = len(text)
            await pilot.pause()
            said[text] = bar_text(bar)[-1].strip()
            assert bar.unfinished and line.wrong is None and not line.has_class("-wrong"), text
            assert said[text].startswith("…"), text
        assert said["dns.qry.n"].startswith("…  1 way to go on") and "closing quote" in said[text]
        for text in ("tcp.prot", "zzz", "frame.len > 12x", "tcp.prot == 8"):
            line.value = text
            line.cursor_position = len(text)
            await pilot.pause()
            assert bar.error and not bar.unfinished and line.wrong is not None, text
        line.value = "dns.qry.n"
        line.cursor_position = 9
        await pilot.press("enter")
        assert bar.is_open and not bar.unfinished and line.wrong == (0, 9), "enter says what is wrong with it"


@pytest.mark.asyncio
@pytest.mark.parametrize("width", [80, 120])
async def test_a_long_error_is_said_whole(width: int) -> None:
    async with RingscopeApp(mixed()).run_test(size=(width, 24)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"vnet.gso_type == 70000")
        await pilot.pause()
        error = screen.bar.error
        assert len(error) > 76
        shown = [line.strip(" !") for line in bar_text(screen.bar)]
        assert error in " ".join(shown) and all(len(line) <= width for line in bar_text(screen.bar))
