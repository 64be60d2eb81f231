"""The Rings screen under keys and mouse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events
from textual.binding import Binding

from dataplane.pair import Pair
from dataplane.snapshot import PackedQueue
from inspector.screens.rings import RingsScreen
from inspector.widgets.areas import Areas
from inspector.widgets.queues import Queues
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import geometry
from tests import fakes
from tests.fakes import Chain, Counts
from tests.screens.at_packets import until
from tests.screens.by_hand import ByHand, text

LARGE, SMALL = (120, 40), (80, 24)


def still(size: int = 256, is_packed: bool = False) -> ByHand:
    return ByHand(fakes.Still(fakes.device(size, is_packed, exact=True)))


@pytest.mark.asyncio
async def test_the_cursor_moves_and_pages() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot)
        _, room = app.table.body()
        at = []
        for key in ("g", "down", "j", "up", "k", "pagedown", "G", "pageup", "home", "end"):
            await pilot.press(key)
            at.append(app.session.selection.slot)
        assert at == [0, 1, 2, 1, 0, room, 255, 255 - room, 0, 255]
        assert any(" 255 " in row for row in text(app.table))


@pytest.mark.asyncio
async def test_enter_opens_the_table_and_closes_it() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot)
        queue = app.table.queue
        assert queue is not None
        slot = next(iter(queue.tables))
        app.select(slot=slot)
        await pilot.press("enter")
        opened = text(app.table)
        table = queue.tables[slot]
        entries = [row for row in opened if f"0x{int(table['addr'][-1]):08x}" in row]
        assert len(entries) == 1 and "└" in entries[0]
        await pilot.press("x")
        assert not any(f"0x{int(table['addr'][-1]):08x}" in row for row in text(app.table))


@pytest.mark.asyncio
async def test_enter_without_a_table_says_so() -> None:
    app = ByHand(fakes.Still(fakes.snapshot(fakes.split(index=0))))
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        await pilot.press("g", "enter")
        assert app._message == ("slot 0 points to no indirect table", "text")


@pytest.mark.asyncio
async def test_order_by_buffer_and_back() -> None:
    queue = fakes.split(8, Counts(5, 4, 3, 2), chains=(Chain(3), Chain(1)), index=0)
    app = ByHand(fakes.Still(fakes.snapshot(queue)))
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        first, _ = app.table.body()
        await pilot.press("o")
        slots = [int(row[2:6]) for row in text(app.table)[first:] if row[2:6].strip().isdigit()]
        assert slots == [4, 5, 6, 7, 0, 1, 2]
        await pilot.press("o")
        assert [int(row[2:6]) for row in text(app.table)[first : first + 8]] == list(range(8))


@pytest.mark.asyncio
async def test_queues_are_chosen_by_key_and_click() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        await pilot.press("right_square_bracket")
        assert app.session.selection.queue == 1
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert app.session.selection.queue == 2
        await pilot.click(Queues, offset=(5, 1))
        assert app.session.selection.queue == 0
        app.queues.focus()
        await pilot.press("down", "j", "up")
        assert app.session.selection.queue == 1
        await app.look(pilot)
        assert "of tx0" in text(app.table)[0]


@pytest.mark.asyncio
async def test_rows_of_a_queue_come_with_the_next_reading() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        app.select(queue=1)
        await pilot.pause()
        assert "waiting for the rows" in text(app.table)[0]
        await app.look(pilot)
        assert "by slot" in text(app.table)[0]


@pytest.mark.asyncio
async def test_a_click_on_the_table_and_the_wheel_chooses_a_slot() -> None:
    app = still(is_packed=True)
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot)
        await pilot.press("g")
        first, _ = app.table.body()
        await pilot.click(Descriptors, offset=(10, first + 4))
        assert app.session.selection.slot == 4
        wheel = app.wheel
        shape = geometry(wheel.size.width, wheel.size.height - 1, 256)
        x, y = shape.cell(0.25, (shape.outer + shape.inner) / 2)
        await pilot.click("#wheel", offset=(x, y + 1))
        chosen = app.session.selection.slot
        assert chosen is not None and abs(chosen - 64) <= 256 // shape.parts + 1
        middle = (wheel.size.width // 2, wheel.size.height // 2)
        assert wheel.position_at(*middle) is None


@pytest.mark.asyncio
async def test_left_and_right_turn_the_ring() -> None:
    app = ByHand(fakes.Still(fakes.snapshot(fakes.packed(7, Counts(6, 3, 2, 1), index=0))))
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        app.select(slot=6)
        await pilot.press("right")
        assert app.session.selection.slot == 0
        await pilot.press("left", "h")
        assert app.session.selection.slot == 5


@pytest.mark.asyncio
async def test_the_wheel_of_the_mouse_scrolls_and_stops_following() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot)
        assert app.table.follow
        await pilot.press("home")
        await pilot._post_mouse_events([events.MouseScrollDown], Descriptors)
        assert not app.table.follow
        first, _ = app.table.body()
        assert text(app.table)[first].split()[0] == "3"


@pytest.mark.asyncio
async def test_following_turns_the_page_to_the_newest_buffer() -> None:
    app = ByHand(fakes.Film(fakes.device(step=40 * n) for n in range(4)))
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        for _ in range(4):
            await app.look(pilot)
            queue = app.table.queue
            assert queue is not None and not isinstance(queue, PackedQueue)
            newest = int(queue.avail_ring[(queue.avail_idx - 1) % queue.size])
            first, _ = app.table.body()
            assert any(row.split()[0] == str(newest) for row in text(app.table)[first:])
        await pilot.press("f")
        assert not app.table.follow
        await pilot.press("f")
        assert app.table.follow


@pytest.mark.asyncio
async def test_tab_goes_round_the_panes_and_unfolds_them_when_there_is_no_room() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        seen = []
        for _ in range(4):
            await pilot.press("tab")
            seen.append(app.focused.id if app.focused else None)
        assert sorted(filter(None, seen)) == ["areas", "queues", "table", "wheel"]
    app = still()
    async with app.run_test(size=SMALL) as pilot:
        await app.look(pilot)
        assert app.table.display and not app.areas.display
        await pilot.press("tab")
        assert app.areas.display and not app.table.display and isinstance(app.focused, Areas)
        await pilot.press("shift+tab")
        assert app.table.display and isinstance(app.focused, Descriptors)


@pytest.mark.asyncio
async def test_older_entries_of_both_rings() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot)
        app.areas.focus()
        newest = text(app.areas)[6]
        await pilot.press("down")
        assert text(app.areas)[5] != newest and text(app.areas)[6] != newest
        await pilot.press("g")
        assert text(app.areas)[6] == newest


@pytest.mark.asyncio
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("size", [1, 256, 32768])
@pytest.mark.parametrize("terminal", [(60, 16), SMALL, (100, 33), LARGE, (200, 60)])
async def test_every_ring_fits_every_terminal(terminal: tuple[int, int], size: int, is_packed: bool) -> None:
    make = fakes.packed if is_packed else fakes.split
    empty, full = make(size, Counts(), index=0), make(size, Counts(size, 0, 0, 0), index=0)
    app = ByHand(fakes.Film([fakes.snapshot(empty), fakes.snapshot(full, step=1)]))
    async with app.run_test(size=terminal) as pilot:
        for _ in range(2):
            await app.look(pilot)
            for pane in app.rings._panes:
                if pane.display and pane.size.height and pane.size.width:
                    strips = pane.draw(pane.size.width, pane.size.height)
                    assert len(strips) <= pane.size.height
                    for strip in strips:
                        assert strip.cell_length == pane.size.width
                        assert sum(len(segment.text) for segment in strip) == pane.size.width


@pytest.mark.asyncio
async def test_what_is_copied_is_the_row_in_words() -> None:
    app = ByHand(fakes.Still(fakes.snapshot(fakes.split(index=0, exact=True))))
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        assert app.rings.copy_text() is None
        app.select(slot=38)
        assert (
            app.rings.copy_text() == "tx0 slot 38: available, addr 0x113000, len 602, flags -, next 0, stable"
        )


@pytest.mark.asyncio
async def test_p_without_a_slot_says_what_to_do() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        await pilot.press("p")
        assert app._message is not None and "choose a descriptor" in app._message[0]


@pytest.mark.asyncio
async def test_nothing_moving_paints_nothing() -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.select(queue=1)
        await app.look(pilot, 6)
        asked: list[str] = []
        for pane in app.rings._panes:
            pane.refresh = lambda *regions, pane=pane, **_: asked.append(pane.id) or pane  # type: ignore
        await app.look(pilot, 2)
        assert asked == []


@pytest.mark.asyncio
async def test_a_change_paints_only_its_rows() -> None:
    first = fakes.split(index=0)
    desc = first.desc.copy()
    desc["len"][40] += 1
    app = ByHand(
        fakes.Film([fakes.snapshot(first)] * 6 + [fakes.snapshot(replace(first, desc=desc), step=1)])
    )
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot, 6)
        rows: list[int] = []
        table = app.table
        table.refresh = lambda *regions, **_: rows.extend(r.height for r in regions) or table  # type: ignore
        await app.look(pilot)
        assert rows == [1]


@pytest.mark.asyncio
async def test_a_disagreement_is_marked() -> None:
    wrong = fakes.split(index=0, exact=True, driver={"avail_idx": 40})
    app = ByHand(fakes.Still(fakes.snapshot(wrong)))
    async with app.run_test(size=LARGE) as pilot:
        await app.look(pilot)
        assert any("≠40" in row for row in text(app.areas))


@pytest.mark.asyncio
@pytest.mark.parametrize("theme", ["ringscope", "ringscope-light", "ansi-dark", "ansi-light", "nord"])
async def test_every_theme_tells_the_owners_apart(theme: str) -> None:
    app = still()
    async with app.run_test(size=LARGE) as pilot:
        app.theme = theme
        app.select(queue=1)
        await app.look(pilot)
        ink = app.wheel.ink
        solid = {ink.solid(meaning).bgcolor for meaning in ("available", "in_use", "used")}
        words = {ink(meaning).color for meaning in ("available", "in_use", "used", "free")}
        assert len(solid) == 3 and len(words) == 4
        await pilot.resize_terminal(*SMALL)
        await app.look(pilot)


def test_every_binding_says_what_it_does() -> None:
    for owner in (RingsScreen, Descriptors, Areas, Queues):
        for binding in owner.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id and binding.description and binding.tooltip


@pytest.mark.asyncio
async def test_a_moment_without_stores_says_why_there_are_no_rows() -> None:
    with Pair(queue_size=16, trace="operations") as pair:
        pair.flood()
        pair.start()
        app = ByHand(pair)
        async with app.run_test(size=LARGE) as pilot:
            while app.session.history.reach.last < 200:
                await app.look(pilot)
            number = app.session.history.reach.last - 20
            app.go_to(number)
            await until(pilot, lambda: app.session.cursor == number)
            await until(pilot, lambda: "stores were not journaled here" in text(app.table)[0])
