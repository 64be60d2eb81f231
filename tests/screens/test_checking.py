"""`ringscope check`: silent and 0 where all is well, 1 and the finding where not; and on the screens."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.rules.finding import Evidence, Finding, Level
from inspector.headlines import headline
from inspector.session import Session
from inspector.widgets.flow import verdict
from tests.screens.command import ringscope
from tests.screens.staged import Staged

FINDING = Finding(
    code="KICK_MISSING",
    level=Level.FAULT,
    queue=1,
    since=1,
    verdict="3 buffers available for 2.1 s and not seen: the device was not told",
    evidence=(Evidence("avail_event", 41),),
    sections=("2.7.10",),
    vantage="MKS",
    confidence="likely",
)


@pytest.fixture
def split() -> Iterator[Staged]:
    made = Staged()
    yield made
    made.close()


@pytest.fixture
def one_way(tmp_path: Path) -> Path:
    """A capture of 50 frames that the driver sends, a millisecond apart."""
    path = tmp_path / "one-way.pcap"
    frame = bytes.fromhex("02000000000202000000000188b5") + bytes(50)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i in range(50):
            file.write(struct.pack("<IIII", 1_700_000_000, 1_000 * i, len(frame), len(frame)) + frame)
    return path


def test_a_healthy_pair() -> None:
    done = ringscope("check", "--seconds", "1.5")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("healthy: ")


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_lost_kick(one_way: Path, layout: str) -> None:
    given = ["check", "--layout", layout, "--traffic", str(one_way), "--fault", "lose_kick:queue=tx0,after=9"]
    done = ringscope(*given, "--json", "--seconds", "6")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert not told["healthy"] and told["readings"] > 10
    (finding,) = told["findings"]
    assert (finding["code"], finding["queue"], finding["gone"]) == ("KICK_MISSING", "tx0", False)
    assert finding["evidence"] and finding["spec"] and finding["since"] > 1e18
    done = ringscope(*given, "--seconds", "6")
    assert done.returncode == 1 and done.stdout.startswith("tx0: KICK_MISSING: ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--fault", "lose_kik"], "no fault is called 'lose_kik'; did you mean lose_kick?"),
        (["--fault", "lose_kick:queue=tx5"], "no queue is called 'tx5'; there are rx0, tx0, ctl"),
        (["--seconds", "0"], "0 is no time in seconds"),
    ],
)
def test_mistakes(given: list[str], words: str) -> None:
    done = ringscope("check", *given)
    assert (done.returncode, done.stdout) == (2, "") and words in done.stderr and done.stderr.count("\n") == 1


def test_the_screens_say_it(split: Staged) -> None:
    session = Session(split)
    tick = session.pull()
    queue = tick.snapshot.queue(1)
    says = verdict(queue, 0.0, (FINDING,))
    assert (says.code, says.full, says.meaning) == ("KICK_MISSING", FINDING.verdict, "fault")
    assert says.short == "3 buffers available for 2.1 s and not seen"
    assert verdict(tick.snapshot.queue(0), 0.0, (FINDING,)) == verdict(tick.snapshot.queue(0), 0.0)
    badges = [text for text, _ in headline(session, replace(tick, findings=(FINDING,))).badges]
    assert badges == [" ✗ tx0 KICK_MISSING "]
    assert headline(session, tick).badges == ()


def test_a_scenario_store_by_store() -> None:
    """With --trace stores the rows of the spec that were not kept are told behind the code."""
    file = "tests/scenarios/stuck/SB-109.toml"
    plain = json.loads(ringscope("check", "--scenario", file, "--seconds", "1.5", "--json").stdout)
    assert [finding["code"] for finding in plain["findings"]] == ["PACKED_WRAP_WRONG"]
    done = ringscope("check", "--scenario", file, "--seconds", "1.5", "--json", "--trace", "stores")
    codes = [finding["code"] for finding in json.loads(done.stdout)["findings"]]
    assert done.returncode == 1 and codes[0] == "PACKED_WRAP_WRONG" and "PACKED-BOTH-02" in codes
    done = ringscope(
        "check", "--scenario", "tests/scenarios/goes_round.toml", "--seconds", "1", "--trace", "stores"
    )
    assert done.returncode == 0 and done.stdout.startswith("healthy: ")
