"""What is kept between runs: bounded, checked, and never a reason not to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inspector import remembered
from inspector.cli import main
from inspector.pictures import settled
from inspector.remembered import Remembered


def test_what_is_kept_comes_back(own_state: Path) -> None:
    now = Remembered().with_line("filters", "arp").with_line("filters", "udp").with_line("filters", "arp")
    assert now.filters == ("udp", "arp")
    now = now.with_line("captures", "tcp port 80").with_line("searches", "/a/")
    assert remembered.save(now) == ""
    assert remembered.load() == now
    assert [path.name for path in (own_state / "ringscope").iterdir()] == ["remembered.json"]
    assert remembered.place().stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', '{"filters": 3}', '{"filters": [1, null, "", "a\\nb"]}', "[" * 100_000,
     '{"columns": {"a": 1}, "time_format": 7}', "\xff\xfe"],
)  # fmt: skip
def test_a_damaged_file_is_no_problem(own_state: Path, text: str) -> None:
    path = remembered.place()
    path.parent.mkdir(parents=True)
    path.write_text(text, "latin-1")
    assert remembered.load() == Remembered()


def test_what_is_read_back_is_bounded(own_state: Path) -> None:
    path = remembered.place()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"filters": [str(n) for n in range(500)] + ["x" * 20_000]}))
    assert remembered.load().filters == tuple(str(n) for n in range(400, 500))
    path.write_text(json.dumps({"filters": ["x" * 10_000] * 1000}))
    assert remembered.load() == Remembered()


def test_a_folder_that_cannot_be_written_is_said(own_state: Path) -> None:
    (own_state / "ringscope").write_text("in the way")
    assert remembered.load() == Remembered()
    told = remembered.save(Remembered(filters=("arp",)))
    assert told.startswith(f"{remembered.place()} cannot be written: ") and "Errno" not in told


def test_lessons_that_cannot_be_forgotten_are_said(
    own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_state / "ringscope").write_text("in the way")
    assert main(["learn", "--reset"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("ringscope: nothing is forgotten: ") and not said.out


def test_a_pipe_in_its_place_is_not_waited_for(own_state: Path) -> None:
    remembered.place().parent.mkdir(parents=True)
    os.mkfifo(remembered.place())
    called = [sys.executable, "-c", "from inspector import remembered; print(remembered.load())"]
    done = subprocess.run(called, capture_output=True, text=True, timeout=30)
    assert done.stdout == f"{Remembered()!r}\n"


def test_a_relative_state_folder_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert remembered.place() == tmp_path / ".local" / "state" / "ringscope" / "remembered.json"


def test_texts_of_a_picture_begin_at_their_first_letter() -> None:
    head = '<text class="r1" x="12.2" y="20" textLength="'
    tail = '" clip-path="url(#a)">'
    made = settled(f"{head}73.2{tail}&#160;&#160;a&#160;b&#160;</text>{head}24.4{tail}&#160;&#160;</text>")
    assert made == '<text class="r1" x="36.6" y="20" textLength="36.6" clip-path="url(#a)">a&#160;b</text>'
