"""The findings screen: one look tells what is wrong, its evidence leads to the slot, what is over stays.

And the probe: nothing is sent unasked, and what came of it is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from capture.play import load_mix
from dataplane.faults_text import parse_fault
from dataplane.pair import Pair, PlayFrame
from dataplane.rules.codes import CODES
from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.snapshot import Snapshot
from inspector.messages import Ticked
from inspector.screens.findings import FindingsScreen
from inspector.screens.help import page
from inspector.screens.probe import ProbeDialogue
from inspector.screens.rings import RingsScreen
from inspector.theme import palette
from inspector.widgets import flow
from inspector.widgets.filling import Words
from inspector.widgets.findingrows import rows
from inspector.widgets.findings import FindingList, FindingPage
from inspector.widgets.pane import ScrollPane
from inspector.widgets.queues import Queues
from tests import fakes
from tests.fakes import EPOCH
from tests.screens.at_packets import until
from tests.screens.by_hand import ByHand, text
from tests.screens.crossing import Crossing
from tests.screens.staged import Staged

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
SECOND = 1_000_000_000


def finding(code: str = "KICK_MISSING", queue: int | None = 1, **changes: Any) -> Finding:
    return replace(
        Finding(
            code,
            Level.FAULT,
            queue,
            EPOCH - 2 * SECOND,
            f"3 buffers available for 2.0 s and not seen: the words of {code}",
            (Evidence("avail_event", 38), Evidence("desc.flags", 3, slot=7)),
            ("2.7.10",),
            "MK",
            "likely",
        ),
        **changes,
    )


class Ill(ByHand):
    """A source of which the doctor says what a test wants."""

    found: tuple[Finding, ...] = ()

    async def look(self, pilot: Pilot[Any], times: int = 1) -> None:
        for _ in range(times):
            tick = replace(self.session.pull(), hertz=15.0, findings=self.found)
            self.session.tick = tick
            self.post_message(Ticked(tick))
            await pilot.pause()

    @property
    def listed(self) -> FindingList:
        return self.view.query_one(FindingList)

    @property
    def page(self) -> FindingPage:
        return self.view.query_one(FindingPage)


def lines(pane: ScrollPane) -> list[str]:
    return [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]


@pytest.fixture
def ill() -> Ill:
    return Ill(Crossing())


@SIZES
async def test_one_look_tells_what_where_why_and_what_next(ill: Ill, size: tuple[int, int]) -> None:
    ill.found = (finding(), finding("CALL_MISSING", 0))
    async with ill.run_test(size=size) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        assert isinstance(ill.view, FindingsScreen)
        listed, page = lines(ill.listed), lines(ill.page)
        assert "2 now" in listed[0]
        assert "KICK_MISSING" in "".join(listed) and "CALL_MISSING" in "".join(listed)
        assert "CALL_MISSING" in page[0] and "rx0" in page[0]  # of the queue that is selected
        await pilot.press("up")
        page = lines(ill.page)
        assert "KICK_MISSING" in page[0] and "tx0" in page[0]
        told = " ".join(" ".join(page).split())
        code = CODES["KICK_MISSING"]
        for part in (finding().verdict, code.causes[0].what, code.next[0], "avail_event 38", "slot 7 of tx0"):
            assert part in told
        assert ill.session.selection.queue == 1


async def test_enter_on_evidence_leads_to_its_slot_and_its_queue(ill: Ill) -> None:
    ill.found = (finding(),)
    async with ill.run_test(size=(120, 40)) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(ill.view, RingsScreen))
        assert (ill.session.selection.queue, ill.session.selection.slot) == (1, 7)
        await pilot.press("4")
        await until(pilot, lambda: isinstance(ill.view, FindingsScreen))
        await pilot.press("up", "enter")  # evidence without a slot
        await until(pilot, lambda: isinstance(ill.view, RingsScreen))
        assert (ill.session.selection.queue, ill.session.selection.slot) == (1, None)


async def test_what_is_over_stays_with_how_long_it_lasted(ill: Ill) -> None:
    ill.found = (finding("CALL_MISSING", 0),)
    over = finding(since=EPOCH - 9 * SECOND, until=EPOCH - 4 * SECOND)
    ill.session.doctor.past.append(over)
    async with ill.run_test(size=(80, 24)) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        listed = lines(ill.listed)
        assert "1 now" in listed[0] and "1 over" in listed[0]
        assert "CALL_MISSING" in listed[1] and "KICK_MISSING" in listed[2] and "5.00 s over" in listed[2]
        await pilot.press("down")
        assert "it lasted 5.00 s" in lines(ill.page)[1]
        ill.found = ()
        await ill.look(pilot)
        chosen = ill.view.chosen  # type: ignore[attr-defined]
        assert chosen == over  # the cursor stays on what it was on


async def test_a_code_that_no_page_knows_shows_what_the_finding_says(ill: Ill) -> None:
    ill.found = (finding("SPLIT-DRV-12", None),)
    async with ill.run_test(size=(120, 40)) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        page = "\n".join(lines(ill.page))
        assert "SPLIT-DRV-12  device" in page and "the words of SPLIT-DRV-12" in page and "2.7.10" in page


@SIZES
async def test_nothing_found_says_what_is_watched(ill: Ill, size: tuple[int, int]) -> None:
    async with ill.run_test(size=size) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        assert "nothing is wrong" in lines(ill.listed)[0]
        page = "\n".join(row.text for row in ill.page.rows)
        assert "nothing found: 3 queues are watched" in page and "unseen" in page
        assert "a receive queue full of empty buffers" in page and "\n   tx0" in page
        copied = ill.view.copy_text()  # type: ignore[attr-defined]
        assert copied is not None and "nothing found" in copied


async def test_a_moment_of_the_past_has_its_own_findings() -> None:
    staged = Staged()
    staged.go(20)
    app = Ill(staged)
    app.found = (finding(since=staged.snapshot(()).time),)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot, 2)
        await pilot.press("4")
        await app.look(pilot)
        assert app.listed.chosen is not None
        await pilot.press("comma")
        await until(pilot, lambda: app.session.past is not None)
        await until(pilot, lambda: app.listed.all == app.session.past.findings)  # type: ignore[union-attr]
        await pilot.press("0")
        await until(pilot, lambda: app.session.past is None and app.listed.chosen is not None)
    staged.close()


async def test_help_tells_the_signs_and_the_keys(ill: Ill) -> None:
    async with ill.run_test(size=(120, 40)) as pilot:
        await ill.look(pilot)
        await pilot.press("4")
        await ill.look(pilot)
        told = page(ill, ill.view, palette(ill)).plain
        for part in ("✗", "is over; it stays", "one spare kick or call", "Make a side do something wrong"):
            assert part.lower() in told.lower()


def test_what_cannot_be_told_from_here_says_what_would_decide() -> None:
    told = "\n".join(
        row.text
        for row in rows(finding(alike=("KICK_DISCARDED",), decides="one spare kick"), "tx0", EPOCH, 80)
    )
    assert "KICK_DISCARDED: one spare kick" in told


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_page(width: int) -> None:
    for name in CODES:
        for row in rows(finding(name), "tx0", EPOCH, width):
            assert len(row.text) <= width or row.evidence is not None


# ---- the headline of every queue -----------------------------------------------------------------------


@SIZES
async def test_every_queue_that_is_stuck_says_so(ill: Ill, size: tuple[int, int]) -> None:
    ill.found = (finding(), finding("CALL_MISSING", 0))
    async with ill.run_test(size=size) as pilot:
        await ill.look(pilot, 2)
        listed = text(ill.view.query_one(Queues))
        marked = [line for line in listed if "✗" in line]
        assert len(marked) == 2 and any("rx0" in line for line in marked)
        assert not any("✗" in line for line in listed if "ctl" in line)
        said = text(ill.view.query_one(flow.Flow))[-1]
        assert said.startswith(" ✗ CALL_MISSING  3 buffers available") and "4 tells why" in said


def test_information_is_no_verdict() -> None:
    queue = fakes.device(256, False).queue(1)
    worth = finding(level=Level.INFO)
    assert flow.verdict(queue, 0.0, (worth,)) == flow.verdict(queue, 0.0)
    assert flow.verdict(queue, 0.0, (worth, finding())).code == "KICK_MISSING"


# ---- the probe -----------------------------------------------------------------------------------------


@pytest.fixture
def stuck() -> Iterator[Pair]:
    """A pair whose driver loses every kick of tx0, once something waits there."""
    with Pair(layout="split") as pair:
        pair.play(PlayFrame(one.offset_ns, one.direction, one.data, one.net_header) for one in load_mix())
        pair.start()
        for one in parse_fault("lose_kick:queue=tx0,after=3", pair.shapes()):
            pair.inject_fault(one)
        tired = time.monotonic() + 30

        def waits(snapshot: Snapshot) -> bool:
            queue = snapshot.queue(1)
            return queue.published > queue.seen + 3

        while not waits(pair.snapshot(())):
            assert time.monotonic() < tired
            time.sleep(0.05)
        yield pair


def probed(app: ByHand) -> str:
    return app.screen.query_one("#said", Words)._text


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_probe_is_asked_for_and_says_what_it_proves(stuck: Pair, size: tuple[int, int]) -> None:
    app = Ill(stuck)
    app.found = (finding(),)
    async with app.run_test(size=size) as pilot:
        await app.look(pilot, 2)
        await pilot.press("4")
        await app.look(pilot)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, ProbeDialogue))
        dialogue = app.screen
        assert isinstance(dialogue, ProbeDialogue) and (dialogue.queue, dialogue.kind) == (1, "kick")
        before = stuck.snapshot(()).queue(1)
        assert "2.7.10.2" in dialogue.query_one("#about", Words)._text
        assert "had not been told" in probed(app)
        assert stuck.snapshot(()).queue(1).seen == before.seen  # nothing was sent
        await pilot.press("enter")
        await until(pilot, lambda: dialogue.judged is not None)
        judged = dialogue.judged
        assert judged is not None
        moved = stuck.snapshot(()).queue(1).seen > before.seen
        assert judged.answer == "lost" or not moved
        assert probed(app) == judged.verdict
        await pilot.press("tab")
        assert dialogue.kind == "call" and dialogue.judged is None
        await pilot.press("escape")
        assert isinstance(app.screen, FindingsScreen)


async def test_a_pair_at_rest_and_the_past_are_not_probed() -> None:
    staged = Staged()
    staged.go(20)
    app = Ill(staged)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot, 2)
        await pilot.press("P")
        assert not isinstance(app.screen, ProbeDialogue)
        assert app._message is not None and "at rest" in app._message[0]
        await pilot.press("comma")
        await until(pilot, lambda: app.session.past is not None)
        await pilot.press("P")
        assert app._message is not None and "a probe is of now" in app._message[0]
    staged.close()
