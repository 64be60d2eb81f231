"""`ringscope record` and `ringscope open`: what they print, and what they say where it cannot be done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataplane.recording import Recording
from dataplane.records import Kind
from inspector import cli
from inspector.commands.options import trace_level
from inspector.commands.recording import written
from inspector.commands.recordings import When, when
from inspector.headless import document
from tests.rings.recorded import stepped
from tests.rings.staging import wait_until
from tests.screens.command import COMMAND, ROOT, ringscope
from tests.screens.test_cli import Terminal


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "a.ring"
    stepped(path, steps=60)
    return path


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


# ---- what is asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0", When("number", 0)),
        ("81204", When("number", 81204)),
        ("1.5s", When("start", 1_500_000_000)),
        ("200ms", When("start", 200_000_000)),
        ("-2s", When("end", 2_000_000_000)),
        ("-1min", When("end", 60_000_000_000)),
    ],
)
def test_moments(text: str, meant: When) -> None:
    assert when(text) == meant
    assert cli.parser().parse_args(cli._arguments(["open", "a", "--at", text])).at == meant


MISTAKES = [
    (["open"], "the following arguments are required: FILE"),
    (["open", "-", "--json"], "a recording is a file, no stream"),
    (["open", "no/such.ring", "--json"], "cannot open no/such.ring: No such file or directory"),
    (["open", "README.md", "--json"], "README.md: it is no recording of ringscope"),
    (["open", "capture/mix.pcapng", "--json"], "it is a capture: ringscope dissect capture/mix.pcapng"),
    (["open", "tests", "--json"], "tests: it is no file"),
    (["open", "a", "--json", "--events"], "not allowed with argument --json"),
    (["open", "a", "--from", "3"], "--from and --to are for --events and --export"),
    (["open", "a", "--at", "soon"], "'soon' is no moment"),
    (["open", "a", "--at", "1e9s"], "'1e9s' is no moment"),
    (["open", "a", "--export", ""], "an empty name is no file"),
    (["open", "a", "--export", "-"], "--export: a recording is a file, no stream"),
    (["open", "no/such.ring"], "cannot open no/such.ring: No such file or directory"),
    (["open", "capture/mix.pcapng"], "it is a capture: ringscope dissect capture/mix.pcapng"),
    (["record"], "the following arguments are required: FILE"),
    (["record", "-"], "a recording is a file, no stream"),
    (["record", "README.md"], "README.md: it is there already and is no recording"),
    (["record", "no/such/a.ring"], "cannot record to no/such/a.ring: No such file or directory"),
    (["record", "/dev/null"], "cannot record to /dev/null: it is no file"),
    (["record", "a.ring", "--seconds", "0"], "--seconds"),
    (["record", "a.ring", "--trace", "everything"], "invalid choice: 'everything'"),
    (["run", "--record", ""], "a recording is a file, no stream"),
    (["run", "--history", "3"], "is no size"),
    (["play"], "the following arguments are required: FILE"),
    (["play", "tests/scenarios/chain.toml"], "without one: ringscope play --check"),
    (["learn"], "without one: ringscope learn --list"),
]


@pytest.mark.parametrize(("args", "words"), MISTAKES, ids=lambda value: " ".join(value)[:40])
def test_a_mistake_is_one_line(args: list[str], words: str) -> None:
    done = ringscope(*args)
    assert done.returncode == 2 and not done.stdout
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert done.stderr.startswith("ringscope: ")


def test_without_a_terminal_a_sound_file_needs_the_option(ring: Path) -> None:
    done = ringscope("open", str(ring))
    assert done.returncode == 2 and done.stderr.endswith("without one: ringscope open --json\n")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ring")
    done = ringscope("open", str(tmp_path / "a.ring"), "--json", timeout=30)
    assert (done.returncode, done.stderr) == (2, f"ringscope: {tmp_path}/a.ring: it is no file\n")


def test_one_of_a_thing_is_told_as_one() -> None:
    assert written(1, 0) == "1 event and 0 frames written"
    assert written(1000, 1) == "1,000 events and 1 frame written"


@pytest.mark.parametrize(
    ("args", "level"),
    [
        ([], "stores"),
        (["--traffic", "none"], "stores"),
        (["--traffic", "flood"], "operations"),
        (["--driver-if", "a", "--device-if", "b"], "operations"),
        (["--traffic", "flood", "--trace", "stores"], "stores"),
        (["--trace", "off"], "off"),
    ],
)
def test_what_is_traced(args: list[str], level: str) -> None:
    assert trace_level(cli.parser().parse_args(["run", *args])) == level


# ---- what comes out -------------------------------------------------------------------------------------


def test_json_tells_what_is_in_it(ring: Path) -> None:
    done = ringscope("open", str(ring), "--json")
    assert done.returncode == 0 and not done.stderr
    told = json.loads(done.stdout)
    with Recording(ring) as recording:
        reach = recording.history.reach
        assert (told["reach"]["first"], told["reach"]["last"]) == (reach.first, reach.last)
        assert told["counts"]["store"] == recording.counts[Kind.STORE]
        assert told["frames"] == recording.frame_count > 0
        assert told["end"] == plain(document(recording.snapshot()))
    assert (told["kind"], told["wrong"], told["following"]) == ("pair", "", False)
    assert told["losses"] == {"events": 0, "frames": 0}
    assert told["bytes"] == ring.stat().st_size


@pytest.mark.parametrize("text", ["200", "0s", "-1ms"])
def test_a_past_moment_as_json(ring: Path, text: str) -> None:
    done = ringscope("open", str(ring), "--at", text)
    assert done.returncode == 0 and not done.stderr
    with Recording(ring) as recording:
        history = recording.history
        reach = history.reach
        number = {
            "200": 200,
            "0s": history.number_at(reach.first_time),
            "-1ms": history.number_at(reach.last_time - 1_000_000),
        }[text]
        assert json.loads(done.stdout) == plain(document(history.at(number)))


def test_events_as_lines(ring: Path) -> None:
    done = ringscope("open", str(ring), "--events", "--from", "100", "--to", "200")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["number"] for line in lines] == list(range(100, 201))
    with Recording(ring) as recording:
        rows = recording.history.rows(100, 200)
    for line, row in zip(lines, rows, strict=True):
        assert line["kind"] == Kind(int(row["kind"])).name.lower()
        assert line["side"] == ("driver", "device")[int(row["side"])]
        for name in ("place", "old", "new"):
            assert line[name] == int(row[name])


def test_a_part_is_exported(ring: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.ring"
    done = ringscope("open", str(ring), "--export", str(out), "--from", "150", "--to", "250")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("101 events and ")
    at = ringscope("open", str(out), "--at", "200")
    assert at.stdout == ringscope("open", str(ring), "--at", "200").stdout
    same = ringscope("open", str(out), "--export", str(out))
    assert same.returncode == 2 and "cannot be written over" in same.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--at", "9999999"], "event 9999999 is not in the recording: it has 1 to "),
        (["--at", "3h"], "s long, so no moment of it is that far in"),
        (["--at", "-3h"], "s long, so no moment of it is that far in"),
        (["--events", "--from", "20", "--to", "10"], "--from is event 20, behind --to, which is event 10"),
    ],
)
def test_beyond_the_recording(ring: Path, args: list[str], words: str) -> None:
    done = ringscope("open", str(ring), *args)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_a_damaged_file_is_said_and_shown(ring: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.ring"
    path.write_bytes(ring.read_bytes()[:-20])
    done = ringscope("open", str(path), "--json")
    assert done.returncode == 0
    assert "the file is cut short at byte" in done.stderr and done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["wrong"] in done.stderr
    path.write_bytes(ring.read_bytes()[:300])
    done = ringscope("open", str(path), "--json")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"ringscope: {path}: it is cut short from the start\n"


def test_record_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    done = ringscope("record", str(path), "--seconds", "0.5", "--rate", "500", "--layout", "packed")
    assert (done.returncode, done.stdout) == (0, "")
    assert " frames written to " in done.stderr and "lost" not in done.stderr
    with Recording(path) as recording:
        assert recording.wrong == "" and recording.identity.packed
        assert recording.program.startswith("ringscope ")
        assert recording.frame_count > 10
        numbers = recording.history.rows(1, recording.history.reach.last)["number"]
        assert (np.diff(numbers.astype(np.int64)) == 1).all() and int(numbers[0]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_record_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """The file is ended in order."""
    path = tmp_path / "a.ring"
    writing = subprocess.Popen(
        [*COMMAND, "record", str(path)], cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: path.exists() and b"CHNK" in path.read_bytes(), "events in the file")
    writing.send_signal(number)
    _, said = writing.communicate(timeout=30)
    assert writing.returncode == 0 and "frames written to" in said
    with Recording(path) as recording:
        assert recording.wrong == ""


# ---- on the screens -------------------------------------------------------------------------------------


def test_the_screens_record_and_open(tmp_path: Path) -> None:
    """What was on the screens goes into the file from the first event on, and comes back out of it."""
    path = tmp_path / "a.ring"
    terminal = Terminal("run", "--record", str(path), "--queue-size", "64")
    terminal.until(b"rec a.ring")
    terminal.type("q")
    assert terminal.wait() == 0
    assert b"frames written to" in terminal.output and b"Traceback" not in terminal.output
    with Recording(path) as recording:
        assert recording.wrong == "" and recording.history.reach.first == 1
        assert recording.counts[Kind.STORE] > 0
    terminal = Terminal("open", str(path))
    terminal.until(b"recording")
    terminal.until(b"end of the recording")
    terminal.type("q")
    assert terminal.wait() == 0 and b"Traceback" not in terminal.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--break", "foo bar"], b"ringscope: --break: "),
        (["--record", "README.md"], b"ringscope: cannot record to README.md: it is there already"),
    ],
)
def test_what_run_cannot_do_is_said_before_the_screens(args: list[str], words: bytes) -> None:
    terminal = Terminal("run", *args)
    assert terminal.wait() == 2
    assert words in terminal.output and b"\x1b[?1049h" not in terminal.output
