"""Findings as events: they stop a pair, they stand in the past, and a recording is gone through for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.faults import Fault
from dataplane.pair import Pair, PlayFrame
from dataplane.recording import Recording
from dataplane.records import TO_DEVICE, Side
from dataplane.rules.finding import Finding
from inspector.app import RingscopeApp
from inspector.past.retrospect import Retrospect
from inspector.screens.findings import FindingsScreen
from inspector.screens.history import HistoryScreen
from inspector.session import Session
from inspector.stopping import breakpoints
from inspector.widgets.findings import FindingList
from inspector.widgets.pane import Pane
from inspector.widgets.scrubber import Scrubber
from tests.screens.at_packets import until
from tests.screens.command import ringscope

PATIENCE = 30.0  #: seconds: nothing depends on it but how long a failure takes


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair(queue_size=16) as made:
        frame = bytes(12) + b"\x88\xb5" + bytes(60)
        made.play([PlayFrame(i * 5_000_000, TO_DEVICE, frame) for i in range(20)])
        made.start()
        yield made


def pulled(session: Session, code: str) -> Finding | None:
    """The finding of this code, once a reading has it; None where none does for long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for finding in session.pull().findings:
            if finding.code == code:
                return finding
        time.sleep(0.05)
    return None


def lost(pair: Pair) -> None:
    pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=1, count=0))


@pytest.mark.parametrize("line", ["finding", "finding KICK_MISSING", "finding kick-missing tx0 once"])
def test_a_finding_stops_the_pair(pair: Pair, line: str) -> None:
    session = Session(pair)
    session.pull()
    made = breakpoints.of(session).add(line)
    lost(pair)
    found = pulled(session, "KICK_MISSING")
    assert found is not None and pair.frozen and made.hits == 1
    said = session.told[-1][0]
    assert said.startswith(f"breakpoint 1: {made.text} · tx0: KICK_MISSING: "), said
    session.pull()
    assert made.hits == 1  # it is there still: that is no news


@pytest.mark.parametrize("line", ["finding CALL_MISSING", "finding KICK_MISSING rx0", "finding after 1"])
def test_another_finding_does_not(pair: Pair, line: str) -> None:
    session = Session(pair)
    session.pull()
    breakpoints.of(session).add(line)
    lost(pair)
    assert pulled(session, "KICK_MISSING") is not None and not pair.frozen


def test_what_was_wrong_before_is_no_news(pair: Pair) -> None:
    session = Session(pair)
    lost(pair)
    assert pulled(session, "KICK_MISSING") is not None
    breakpoints.of(session).add("finding")
    for _ in range(3):
        session.pull()
    assert not pair.frozen


def test_a_code_that_is_not_known_is_pointed_at() -> None:
    with pytest.raises(ValueError, match="near it: KICK_MISSING"):
        breakpoints.compiled("finding kick_mising")


def test_the_past_has_what_stood_then(pair: Pair) -> None:
    session = Session(pair)
    history, end = session.history, time.monotonic() + PATIENCE
    session.pull()
    while time.monotonic() < end and history.reach.last_time - history.reach.first_time < 500_000_000:
        session.pull()
    lost(pair)
    found = pulled(session, "KICK_MISSING")
    assert found is not None
    pair.heal()
    pair.probe.kick(1)
    end = time.monotonic() + PATIENCE
    while session.pull().findings and time.monotonic() < end:
        time.sleep(0.05)
    (over,) = session.doctor.past
    assert over.code == "KICK_MISSING" and over.until > over.since == found.since
    then = session.moment(history.number_at(over.since))
    (stood,) = then.findings
    assert (stood.code, stood.since) == (over.code, over.since)
    assert stood.verdict == f"found later: {over.verdict}"
    before = history.number_at(over.since - 200_000_000)
    assert session.moment(before).findings == ()
    while history.time_of(history.reach.last) < over.until and time.monotonic() < end:
        session.pull()
    assert session.moment(history.reach.last).findings == ()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "lost.ring"
    done = ringscope("record", str(path), "--seconds", "4", "--fault", "lose_call:queue=rx0,after=9")
    assert done.returncode == 0, done.stderr
    return path


def test_a_recording_is_gone_through(recorded: Path) -> None:
    with Recording(recorded) as source:
        session = Session(source)
        look = Retrospect(session)
        look.start()
        look.wait()
        assert [one.code for one in session.doctor.known] == ["CALL_MISSING"]
        assert session.pull().findings == session.doctor.findings != ()
        look.stop()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_screens_lead_to_when_it_began(recorded: Path, size: tuple[int, int]) -> None:
    with Recording(recorded) as source:
        app = RingscopeApp(source)
        async with app.run_test(size=size) as pilot:
            await pilot.press("4")
            await until(pilot, lambda: isinstance(app.screen, FindingsScreen))
            await until(pilot, lambda: "CALL_MISSING" in listed(app))
            await pilot.press("m")
            await until(pilot, lambda: app.session.cursor is not None)
            past = app.session.past
            assert past is not None and [one.code for one in past.findings] == ["CALL_MISSING"]
            await until(pilot, lambda: "found later" in listed(app))
            await pilot.press("3")
            await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
            await pilot.press("0")  # where it stands the mark of the moment would hide that of the finding
            await until(pilot, lambda: "✗" in drawn(app, Scrubber))


def drawn(app: RingscopeApp, what: type[Pane]) -> str:
    """The lines of a pane."""
    pane = app.screen.query_one(what)
    return "\n".join(strip.text for strip in pane.draw(*pane.size))


def listed(app: RingscopeApp) -> str:
    """The lines of the findings."""
    found = app.screen.query_one(FindingList)
    return "\n".join(found.render_line(y).text for y in range(found.size.height))
