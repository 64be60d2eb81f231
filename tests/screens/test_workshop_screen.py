"""The workshop on the screen: written, run, read, kept; and nothing can hang it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from dataplane.pair import Pair
from dataplane.workshop import judging
from dataplane.workshop.judging import HALVES, Report
from inspector.app import RingscopeApp
from inspector.chrome import keys_of
from inspector.commands.judging import judge_file
from inspector.learning import workbook
from inspector.screens.workshop import WorkshopScreen
from inspector.widgets.verdict import Steps, Verdict

HALF = HALVES["split-driver"]
NO_BARRIER = HALF.solution.replace(
    "        self.memory.barrier()  # descriptors and entries before idx (2.7.13.3.1)\n", ""
)
LINE = next(i for i, text in enumerate(NO_BARRIER.splitlines(), 1) if "self.avail + 2, self.idx" in text)


@asynccontextmanager
async def workshop(
    size: tuple[int, int] = (120, 40), left: list[bool | None] | None = None
) -> AsyncIterator[tuple[Pilot[int], WorkshopScreen]]:
    with Pair(queue_size=4, frozen=True) as pair:
        pair.start()
        app = RingscopeApp(pair)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            screen = WorkshopScreen(HALF.name)
            app.push_screen(screen, None if left is None else left.append)
            await pilot.pause()
            yield pilot, screen


async def run(pilot: Pilot[int], screen: WorkshopScreen) -> None:
    await pilot.press("ctrl+r")
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    await pilot.pause()


def words(screen: WorkshopScreen) -> str:
    return "\n".join("".join(s.text for s in strip) for strip in screen.query_one(Verdict)._strips)


def steps(screen: WorkshopScreen) -> str:
    pane = screen.query_one(Steps)
    return "\n".join("".join(s.text for s in pane.render_line(y)) for y in range(pane.size.height))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_what_is_wrong_is_said_with_its_line_and_the_cursor_goes_there(size: tuple[int, int]) -> None:
    async with workshop(size) as (pilot, screen):
        screen.editor.load_text(NO_BARRIER)
        await run(pilot, screen)
        said = " ".join(words(screen).split())
        assert f"line {LINE} no barrier between the store to desc[0].addr, desc[0].len" in said
        assert "VIRTIO 1.3, 2.7.13.3.1" in said
        assert "BAD_ADDRESS" in said
        assert screen.editor.cursor_location == (LINE - 1, 0)
        assert f"{LINE} !" in steps(screen)
        assert not screen.passed


async def test_all_right_is_told_and_brings_true() -> None:
    left: list[bool | None] = []
    async with workshop(left=left) as (pilot, screen):
        screen.editor.load_text(HALF.solution)
        await run(pilot, screen)
        assert "all 12 are right" in words(screen)
        assert "Not judged: Two sides at the same time" in words(screen)
        await pilot.press("escape")
        await pilot.pause()
    assert left == [True]


async def test_the_foot_has_the_keys_that_work_in_the_editor() -> None:
    async with workshop() as (_, screen):
        assert screen.editor.has_focus
        shown = [key.description for key in keys_of(screen)]
        assert shown[:4] == ["run", "hint", "solution", "pane"]
        assert "back" in shown
        assert "search" not in shown


async def test_our_solution_is_not_yours() -> None:
    left: list[bool | None] = []
    async with workshop(left=left) as (pilot, screen):
        screen.editor.load_text("mine = 1\n")
        await pilot.press("ctrl+o")
        assert screen.editor.text == HALF.solution
        await run(pilot, screen)
        assert "all 12 are right" in words(screen)
        await pilot.press("ctrl+o")
        assert screen.editor.text == "mine = 1\n"
        await pilot.press("escape")
        await pilot.pause()
    assert left == [False]
    assert workbook.load(HALF.name) == "mine = 1\n"


async def test_the_text_is_kept_between_visits() -> None:
    async with workshop() as (pilot, screen):
        assert screen.editor.text == HALF.skeleton
        await pilot.press("x", "y")
        await pilot.press("escape")
        await pilot.pause()
    async with workshop() as (_, screen):
        assert screen.editor.text == "xy" + HALF.skeleton


async def test_begun_anew_can_be_taken_back() -> None:
    async with workshop() as (pilot, screen):
        screen.editor.text = "mine = 1\n"
        await pilot.press("ctrl+l")
        assert screen.editor.text == HALF.skeleton
        await pilot.press("ctrl+z")
        assert screen.editor.text == "mine = 1\n"


async def test_hints_follow_each_other() -> None:
    async with workshop() as (pilot, screen):
        hints = HALF.hints["one buffer"]
        for hint in (*hints, hints[0]):
            await pilot.press("ctrl+t")
            assert " ".join(hint.split()[:4]) in words(screen)


async def test_the_ring_shows_the_step_that_is_chosen() -> None:
    async with workshop((200, 60)) as (pilot, screen):
        screen.editor.load_text(HALF.solution.replace("self.idx % self.queue.size", "self.idx"))
        await run(pilot, screen)
        pane = screen.query_one(Steps)
        pane.focus()
        await pilot.press("g")
        await pilot.pause()
        assert pane.at == 0
        tick = screen.query_one("#table").tick  # type: ignore[attr-defined]
        assert tick.snapshot.queue(0).published == 0
        await pilot.press("G")
        await pilot.pause()
        tick = screen.query_one("#table").tick  # type: ignore[attr-defined]
        assert tick.snapshot.queue(0).published == 4
        assert "calls" not in steps(screen)


async def test_a_text_that_does_not_end_does_not_hang_the_screen() -> None:
    async with workshop() as (pilot, screen):
        screen.editor.load_text(HALF.solution.replace("        return head\n", "        while True: pass\n"))
        await pilot.press("ctrl+r")
        await pilot.press("a")  # and one can write meanwhile
        assert screen.editor.text.startswith("a")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert "does not come to an end" in " ".join(words(screen).split())


async def test_one_can_leave_while_the_tests_run() -> None:
    async with workshop() as (pilot, screen):
        screen.editor.load_text(HALF.solution)
        await pilot.press("ctrl+r")
        await pilot.press("escape")
        await pilot.app.workers.wait_for_complete()
        await asyncio.sleep(0)
        assert pilot.app.screen is not screen


async def test_what_a_text_prints_reaches_no_terminal_as_it_is() -> None:
    async with workshop() as (pilot, screen):
        text = HALF.solution.replace(
            "        head = chain[0]\n",
            "        head = chain[0]\n        print('\\x1b]0;owned\\x07', head)\n",
        )
        screen.editor.load_text(text.replace("self.idx & 0xFFFF", "0"))
        await run(pilot, screen)
        pane = screen.query_one(Steps)
        for at in range(len(pane.steps)):
            pane.at = at
            pane.reveal(at)
            assert "\x1b" not in steps(screen)


async def test_a_narrow_screen_has_the_ring_one_key_away() -> None:
    async with workshop((80, 24)) as (pilot, screen):
        screen.editor.load_text(NO_BARRIER)
        await run(pilot, screen)
        assert not screen.query_one("#rings").display
        await pilot.press("ctrl+n")
        assert screen.query_one(Steps).has_focus
        await pilot.press("ctrl+n")
        assert screen.query_one("#rings").display
        assert screen.query_one("#table").has_focus


# without a screen


def test_a_file_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "driver.py"
    path.write_text(HALF.solution)
    assert judge_file(str(path), HALF.name) == 0
    assert "every test is right" in capsys.readouterr().out
    path.write_text(NO_BARRIER)
    assert judge_file(str(path), HALF.name) == 1
    out = capsys.readouterr().out
    assert f"{path}:{LINE}: no barrier between the store to" in out
    assert "VIRTIO 1.3, 2.7.13.3.1" in out


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "driver.py"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    assert judge_file(str(path), HALF.name) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "driver.py" in err


def test_a_half_that_is_not_known_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge_file("x.py", "no-half") == 2
    assert "no half is called 'no-half'; there are split-driver" in capsys.readouterr().err


ENDLESS = HALF.solution.replace("        self.queue = queue\n", "        while True: pass\n", 1)


async def _running(pilot: Pilot[int], screen: WorkshopScreen) -> threading.Thread:
    """A run that is under way: its process is there, and the thread that watches it."""
    screen.editor.load_text(ENDLESS)
    await pilot.press("ctrl+r")
    while not (found := [t for t in threading.enumerate() if "asyncio" in t.name]):
        await asyncio.sleep(0.01)
    return found[0]


async def test_run_again_stops_the_tests() -> None:
    async with workshop() as (pilot, screen):
        await _running(pilot, screen)
        await run(pilot, screen)
        assert "it was stopped" in words(screen)
        assert "running" not in words(screen)


@pytest.mark.parametrize("key", ["escape", "ctrl+q"])
async def test_nothing_runs_on_behind_a_screen_that_is_gone(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Report] = []

    def noted(*given: Any, **named: Any) -> Report:
        ended.append(judging.run(*given, **named))
        return ended[-1]

    monkeypatch.setattr("inspector.screens.workshop.run", noted)
    async with workshop() as (pilot, screen):
        await _running(pilot, screen)
        await pilot.press(key)
    while not ended:
        await asyncio.sleep(0.01)
    assert ended[0].wrong is not None
    assert "it was stopped" in ended[0].wrong.what


async def test_what_is_written_is_kept_before_the_screen_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.screens.workshop._KEEP_EVERY", 0.01)
    async with workshop() as (pilot, screen):
        await pilot.press("x", "y")
        while workbook.load(HALF.name) != "xy" + HALF.skeleton:
            await asyncio.sleep(0.01)
        assert screen.is_mounted


async def test_a_text_that_was_not_touched_is_not_kept() -> None:
    async with workshop() as (pilot, screen):
        await pilot.press("ctrl+o", "ctrl+o", "escape")
        await pilot.pause()
        assert not screen.is_attached
    assert workbook.load(HALF.name) is None


async def test_there_is_no_ring_before_a_run() -> None:
    async with workshop() as (pilot, screen):
        rings = screen.query_one("#rings")
        assert not rings.visible
        await pilot.press("f6", "f6")  # the editor and what happened, and no pane that nobody sees
        assert screen.editor.has_focus
        await run(pilot, screen)
        assert rings.visible
