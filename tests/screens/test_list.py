"""The packet list by its keys and the mouse: following, cursor, filter, order, marks, columns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from capture.frame import STAGES, Array
from capture.store import Block
from inspector import theme
from inspector.packets.list import PacketList
from inspector.packets.rows import ALL_COLUMNS, TIME_FORMATS
from inspector.session import Session
from tests.screens.crossing import Crossing


@dataclass(frozen=True)
class Every:
    """Every `step`-th packet."""

    step: int
    needs_stages: bool = False

    @property
    def text(self) -> str:
        return f"every {self.step}"

    def mask(self, block: Block) -> Array:
        hit: Array = block.rows["number"] % self.step == 0
        return hit


class Broken(Every):
    def mask(self, block: Block) -> Array:
        raise ValueError("out of \x1bdepth")


class Alone(App[None]):
    """The list and nothing else."""

    CSS = "PacketList { height: 1fr; background: $surface; }"

    def __init__(self, session: Session) -> None:
        super().__init__()
        for one in theme.THEMES:
            self.register_theme(one)
        self.theme = theme.RINGSCOPE.name
        self.session = session
        self.chosen: list[int] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield PacketList(self.session)

    def on_packet_list_chosen(self, event: PacketList.Chosen) -> None:
        self.chosen.append(event.number)


@asynccontextmanager
async def shown(
    sent: int = 783, size: tuple[int, int] = (120, 30), budget: int = 64 << 20
) -> AsyncIterator[tuple[Pilot[None], PacketList, Crossing]]:
    """The list over the first `sent` of the shipped packets, focused."""
    source = Crossing()
    source.sent = sent
    session = Session(source, budget_bytes=budget)
    session.pull()
    async with Alone(session).run_test(size=size) as pilot:
        packets = pilot.app.query_one(PacketList)
        packets.focus()
        packets.grow()
        await pilot.pause()
        yield pilot, packets, source


async def until(pilot: Pilot[Any], true: Callable[[], object]) -> None:
    for _ in range(600):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to hold")


def words(packets: PacketList) -> list[str]:
    """The lines as they are painted."""
    strips = packets.render_lines(packets.size.region)
    return ["".join(segment.text for segment in strip) for strip in strips]


def numbers(packets: PacketList) -> list[int]:
    """The packets in sight, from their lines."""
    return [int(line[2:].split()[0]) for line in words(packets)[2:] if line.strip()]


def more(packets: PacketList, source: Crossing, sent: int) -> None:
    source.sent = sent
    packets.session.pull()
    packets.grow()


@pytest.mark.asyncio
async def test_the_newest_stay_in_sight_while_it_follows() -> None:
    async with shown(100) as (pilot, packets, source):
        assert numbers(packets)[-1] == 100
        more(packets, source, 200)
        await pilot.pause()
        assert numbers(packets) == list(range(173, 201))
        assert packets.cursor == 100, "the cursor stays on its packet"
        await pilot.press("k")
        assert packets.cursor == 200 and not packets.follow
        more(packets, source, 300)
        await pilot.pause()
        assert numbers(packets)[-1] == 200
        assert packets.toggle_follow()
        await pilot.pause()
        assert (numbers(packets)[-1], packets.cursor) == (300, 300)


@pytest.mark.asyncio
async def test_a_filter_keeps_the_cursor_or_takes_the_nearest() -> None:
    async with shown() as (pilot, packets, _):
        packets.go(300)
        packets.set_filter(Every(5))
        await until(pilot, lambda: packets.shown.filter_text)
        assert packets.cursor == 300
        assert all(number % 5 == 0 for number in numbers(packets))
        assert 300 in numbers(packets)
        packets.set_filter(Every(7))
        await until(pilot, lambda: packets.shown.filter_text == "every 7")
        assert packets.cursor == 301
        packets.set_filter(None)
        await pilot.pause()
        assert packets.cursor == 301 and 302 in numbers(packets)


@pytest.mark.asyncio
async def test_keys_move_over_what_is_shown() -> None:
    async with shown() as (pilot, packets, _):
        packets.set_filter(Every(100))
        await until(pilot, lambda: packets.shown.filter_text)
        at = []
        for key in ("g", "down", "j", "up", "G", "pageup", "end", "home", "pagedown"):
            await pilot.press(key)
            at.append(packets.cursor)
        assert at == [100, 200, 300, 200, 700, 100, 700, 100, 700]
        assert isinstance(pilot.app, Alone) and pilot.app.chosen[-1] == 700
        assert packets.go(350) is False, "it is hidden by the filter"
        assert packets.cursor in (300, 400)


@pytest.mark.asyncio
async def test_a_filter_grows_with_the_flow() -> None:
    async with shown(100) as (pilot, packets, source):
        packets.set_filter(Every(10))
        await until(pilot, lambda: packets.shown.filter_text)
        assert numbers(packets)[-1] == 100
        more(packets, source, 150)
        await until(pilot, lambda: len(packets.shown) == 15)
        await pilot.pause()
        assert numbers(packets)[-1] == 150, "and it follows"
        title = words(packets)[0]
        assert "15 shown (10.0%) of 150 kept" in title


@pytest.mark.asyncio
async def test_a_filter_that_fails_shows_everything_and_says_so() -> None:
    async with shown(50) as (pilot, packets, _):
        packets.set_filter(Broken(2))
        await until(pilot, lambda: packets.failure)
        await pilot.pause()
        title = words(packets)[0]
        assert "the filter failed" in title and "\x1b" not in title
        assert numbers(packets)[-1] == 50
        packets.set_filter(Every(2))
        await until(pilot, lambda: packets.shown.filter_text)
        assert "failed" not in words(packets)[0]


@pytest.mark.asyncio
async def test_nothing_matches() -> None:
    async with shown(50) as (pilot, packets, _):
        packets.set_filter(Every(1000))
        await until(pilot, lambda: packets.shown.filter_text)
        await pilot.press("down", "G", "g", "pagedown", "m", "M")
        assert "none of 50 packets matches the filter" in words(packets)[2]


@pytest.mark.asyncio
async def test_a_heading_orders_when_it_is_clicked() -> None:
    async with shown() as (pilot, packets, _):
        heading = words(packets)[1]
        x = heading.index("bytes") + 1
        length = packets.session.frames.rows(1, 784)["length"]
        await pilot.click(PacketList, offset=(x, 1))
        await until(pilot, lambda: packets.shown.column == "length")
        assert "bytes▲" in words(packets)[1]
        await pilot.press("g")
        assert [length[n - 1] for n in numbers(packets)] == sorted(length)[:28]
        await pilot.click(PacketList, offset=(x, 1))
        await until(pilot, lambda: packets.shown.descending)
        assert "bytes▼" in words(packets)[1]
        await pilot.press("g")
        assert [length[n - 1] for n in numbers(packets)] == sorted(length, reverse=True)[:28]
        await pilot.click(PacketList, offset=(x, 1))
        await until(pilot, lambda: packets.shown.column is None)
        assert "▲" not in words(packets)[1]


@pytest.mark.asyncio
async def test_the_order_is_chosen_by_keys() -> None:
    async with shown() as (pilot, packets, _):
        await pilot.press("o")
        assert "order by it" in words(packets)[0]
        await pilot.press("o")
        await until(pilot, lambda: packets.shown.descending)
        assert numbers(packets)[0] == 783, "newest first, and still following"
        await pilot.press("right", "enter")
        await until(pilot, lambda: packets.shown.column == "time")
        assert not packets.follow and "order by it" not in words(packets)[0]
        assert not packets.toggle_follow(), "there is no newest end to follow"
        await pilot.press("o", "left", "left", "escape")
        assert packets.view.column == "time"
        with pytest.raises(ValueError, match="cannot be ordered by info"):
            packets.set_sort("info")


@pytest.mark.asyncio
async def test_an_order_by_stages_and_new_packets_in_it() -> None:
    async with shown(200) as (pilot, packets, source):
        stages = np.zeros(300, STAGES)
        stages["available"] = 1000
        stages["used"] = 1000 + (np.arange(300) * 37) % 300 + 1
        packets.session.frames.set_stages(1, stages[:200])
        packets.set_sort("latency")
        await until(pilot, lambda: packets.shown.column == "latency")
        source.sent = 300
        packets.session.pull()
        packets.session.frames.set_stages(201, stages[200:])
        packets.grow()
        await until(pilot, lambda: len(packets.shown) == 300)
        await pilot.press("g")
        await pilot.pause()
        waits = {n: (n - 1) * 37 % 300 for n in range(1, 301)}
        assert numbers(packets) == sorted(waits, key=waits.__getitem__)[:28]


@pytest.mark.asyncio
async def test_marks_survive_filters_and_are_found_again() -> None:
    async with shown() as (pilot, packets, _):
        for number in (10, 20, 33):
            packets.go(number)
            await pilot.press("m")
        assert "● 3 marked" in words(packets)[0]
        assert [line[0] for line in words(packets)[2:] if int(line[2:].split()[0]) == 20] == ["●"]
        packets.set_filter(Every(10))
        await until(pilot, lambda: packets.shown.filter_text)
        at = []
        for _ in range(3):
            await pilot.press("M")
            at.append(packets.cursor)
        assert at == [10, 20, 10], "33 is not shown"
        assert packets.next_mark(-1) == 20
        await pilot.press("m")
        assert packets.view.marks.tolist() == [10, 33]


@pytest.mark.asyncio
async def test_the_oldest_go_and_what_is_read_stays() -> None:
    async with shown(300, budget=1 << 18) as (pilot, packets, source):
        packets.go(260)
        packets.view.mark(packets.shown.first)
        await pilot.pause()
        before = numbers(packets)
        more(packets, source, 500)
        await pilot.pause()
        assert packets.shown.first > 1
        assert numbers(packets) == before or numbers(packets)[0] == packets.shown.first
        more(packets, source, 783)
        await pilot.pause()
        assert packets.shown.first > 2 and not len(packets.view.marks)
        assert "older ones gone" in words(packets)[0]


@pytest.mark.asyncio
async def test_columns_of_one_s_own_choice() -> None:
    async with shown(size=(120, 20)) as (_, packets, _source):
        default = packets.columns
        packets.set_columns(["number", "kick", "captured", "info"])
        assert words(packets)[1].split() == ["no.", "kick", "kept", "info"]
        packets.set_columns([column.name for column in ALL_COLUMNS])
        assert "no room for" in words(packets)[0]
        packets.set_columns(None)
        words(packets)
        assert packets.columns == default
        with pytest.raises(ValueError, match="no column hight"):
            packets.set_columns(["hight"])
        with pytest.raises(ValueError, match="no time format"):
            packets.set_time_format("lunar")
        for name in TIME_FORMATS:
            packets.set_time_format(name)
            assert all(len(line) <= 120 for line in words(packets))


@pytest.mark.asyncio
async def test_expert_notes_have_a_sign_and_words() -> None:
    async with shown(50) as (_, packets, _source):
        packets.set_notes({50: 1, 49: 1 << 14})
        lines = words(packets)
        assert lines[-1][1] == "↻" and "[retransmission]" in lines[-1]
        assert lines[-2][1] == "×" and "[reset]" in lines[-2]
        assert lines[-3][1] == " "


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(60, 10), (80, 24), (120, 40), (200, 60)])
async def test_lines_are_as_wide_as_the_list(size: tuple[int, int]) -> None:
    async with shown(size=size) as (pilot, packets, _):
        width = packets.scrollable_content_region.width
        assert {len(line) for line in words(packets)} == {width}
        await pilot.click(PacketList, offset=(10, 4))
        assert packets.cursor == numbers(packets)[2]


@pytest.mark.asyncio
async def test_in_the_past_only_what_had_been_logged_is_shown() -> None:
    async with shown(300) as (pilot, packets, source):
        packets.look_back(120, 1 << 62)
        await pilot.pause()
        assert (len(packets.shown), packets.cursor, packets.follow) == (120, 120, False)
        assert "in the past: 180 later ones not shown" in words(packets)[0]
        packets.action_move(-3)
        assert packets.cursor == 117
        more(packets, source, 400)
        await pilot.pause()
        assert (len(packets.shown), packets.cursor) == (120, 117), "what is read stays"
        assert "280 later ones not shown" in words(packets)[0]
        assert not packets.toggle_follow(), "there is nothing to follow"
        packets.look_back(0, 0)
        await pilot.pause()
        assert not len(packets.shown) and "no packet had been logged by this moment" in words(packets)[2]
        packets.look_back(None, None)
        await pilot.pause()
        assert len(packets.shown) == 400 and packets.follow and packets.cursor == 400


@pytest.mark.asyncio
async def test_the_past_of_a_filtered_and_ordered_list() -> None:
    async with shown(300) as (pilot, packets, _source):
        packets.set_filter(Every(3))
        packets.set_sort("length", descending=True)
        await until(pilot, lambda: packets.shown.complete and len(packets.shown) == 100)
        packets.look_back(120, 1 << 62)
        await pilot.pause()
        assert len(packets.shown) == 40 and packets.cursor == 120
        lengths = packets.session.frames.rows(1, 301)["length"]
        order = [int(lengths[packets.shown.number(at) - 1]) for at in range(40)]
        assert order == sorted(order, reverse=True)
