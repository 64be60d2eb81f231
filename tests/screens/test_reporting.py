"""`ringscope report`: one file with all that a bug report needs, and nothing of what is private."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from tests.screens.command import ringscope

SCENARIO = """\
[pair]

[[do]]
fault = "lose_kick"
queue = "tx0"
count = 1

[[do]]
send = ["udp 64"]
queue = "tx0"
count = 3

[[do]]
until = "quiet"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "lost.toml"
    path.write_text(SCENARIO)
    return path


def test_a_stuck_scenario_as_text(scenario: Path, tmp_path: Path) -> None:
    file = tmp_path / "bug.txt"
    done = ringscope("report", str(file), "--scenario", str(scenario), "--seconds", "2")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    text = file.read_text()
    assert text.startswith("tx0: KICK_MISSING: 3 buffers available")
    for words in (
        "1. KICK_MISSING of tx0, fault",
        "likely causes, and how to tell them apart:",
        "what to do:",
        "a scenario, ",
        "scenario: lost.toml",
        "accepted: ",
        "tx0: transmit, split, 256 entries",
        "available 3 > seen 0 > used 0 > collected 0",
        "in memory, used: flags 0, idx 0, avail_event 0",
        "newest of the avail ring: 0: ",
        "events",
    ):
        assert words in text, words
    assert text.index("tx0: transmit") < text.index("rx0: receive")  # the one that is ill comes first
    assert str(tmp_path) not in text and platform.node() not in text
    assert {*tmp_path.iterdir()} == {scenario, file}


def test_a_stuck_scenario_as_json(scenario: Path, tmp_path: Path) -> None:
    file = tmp_path / "bug.json"
    done = ringscope("report", str(file), "--scenario", str(scenario), "--seconds", "2")
    assert done.returncode == 1
    told = json.loads(file.read_text())
    assert not told["healthy"] and told["frames"] is None
    (finding,) = told["findings"]
    assert (finding["code"], finding["queue"], finding["gone"]) == ("KICK_MISSING", "tx0", False)
    assert finding["causes"] and finding["next"] and finding["means"]
    assert told["of"] == {
        "what": "scenario",
        "options": {"scenario": "lost.toml"},
        "seconds": 2.0,
        "readings": told["of"]["readings"],
    }
    queue = next(queue for queue in told["snapshot"]["queues"] if queue["name"] == "tx0")
    assert queue["after"] == [3, 0, 0, 0] and queue["avail"]["idx"] == 3
    events = told["events"]["rows"]
    assert 0 < len(events) <= 200
    assert [row["number"] for row in events] == sorted(row["number"] for row in events)
    assert any(row["queue"] == "tx0" and row["kind"] == "publish" and row["words"] for row in events)


def test_a_healthy_pair_and_its_payloads(tmp_path: Path) -> None:
    """Every payload of lifelike traffic holds addresses of 192.0.2.0/24; without --payloads none is there."""
    done = ringscope("report", "-", "--json", "--seconds", "1.5", "--layout", "packed")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["healthy"] and told["findings"] == [] and told["frames"] is None
    assert told["of"]["options"] == {"layout": "packed"}
    with_them = ringscope("report", "-", "--payloads", "--json", "--seconds", "1.5")
    frames = json.loads(with_them.stdout)["frames"]
    assert 0 < len(frames) <= 20
    for frame in frames:
        assert frame["hex"][:24] not in done.stdout
        assert len(bytes.fromhex(frame["hex"])) == frame["length"]
    text = ringscope("report", "-", "--payloads", "--seconds", "1").stdout
    assert text.startswith("healthy: nothing was found\n") and "packet " in text


def test_a_recording(scenario: Path, tmp_path: Path) -> None:
    ring = tmp_path / "a.ring"
    done = ringscope(
        "record", str(ring), "--seconds", "3", "--fault", "lose_call:queue=rx0,after=9", "--trace", "stores"
    )
    assert done.returncode == 0, done.stderr
    done = ringscope("report", "-", "--json", "--recording", str(ring))
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["of"]["what"] == "recording"
    assert told["findings"][0]["code"] == "CALL_MISSING" and told["findings"][0]["queue"] == "rx0"
    assert told["events"]["rows"][-1]["number"] == told["snapshot"]["number"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nowhere/bug.txt"], "cannot write nowhere/bug.txt: there is no folder nowhere"),
        (["."], ". is a folder; name a file in it"),
        (["a.txt", "--scenario", "no.toml"], "no.toml"),
        (["a.txt", "--scenario", "a", "--recording", "b"], "not allowed with"),
    ],
)
def test_mistakes(given: list[str], words: str, tmp_path: Path) -> None:
    done = ringscope("report", *given, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "a.txt").exists()


def test_what_stood_there_stays_until_the_new_one_is_whole(scenario: Path, tmp_path: Path) -> None:
    file = tmp_path / "bug.txt"
    file.write_text("old")
    scenario.write_text(SCENARIO + '\n[[do]]\nuntil = "tx0.used == 1"\n')  # never: the script cannot go on
    done = ringscope("report", str(file), "--scenario", str(scenario), "--seconds", "1")
    assert done.returncode == 1 and file.read_text() == "old"
    mask = os.umask(0)
    os.umask(mask)
    scenario.write_text(SCENARIO)
    ringscope("report", str(file), "--scenario", str(scenario), "--seconds", "2")
    assert file.read_text().startswith("tx0: ") and file.stat().st_mode & 0o777 == 0o666 & ~mask
