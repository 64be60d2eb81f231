"""`ringscope explain`: what it prints fits, leaves nothing out, and is the same as data."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from dataplane.rules.codes import CODES, FAMILIES, VANTAGES
from dataplane.rules.conformance.table import ROWS, UNSEEN
from inspector import cli
from inspector.commands.explaining import as_json, page, table
from tests.screens.command import COMMAND, ROOT, ringscope


def words(lines: list[str]) -> str:
    """The text without its line ends and indentation."""
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", [44, 80, 120])
def test_a_page_tells_all_of_a_code_and_fits(columns: int) -> None:
    for code in CODES.values():
        lines = page(code, columns)
        assert all(len(line) <= columns for line in lines), code.name
        text = words(lines)
        assert text.startswith(code.name) and code.means in text and code.look in text
        assert code.healthy in text
        for cause in code.causes:
            assert cause.what in text and cause.tell in text
        for bug in code.bugs:
            assert f"{bug.project}, {bug.ref}: {bug.title}" in text
        for alike in code.alike:
            assert f"{alike.code} {alike.decides}" in text
        for step in (*code.next, *code.sections):
            assert step in text


@pytest.mark.parametrize("columns", [20, 80, 120])
def test_the_table_has_every_code_under_its_family(columns: int) -> None:
    lines = table(columns)
    named = [line.strip() for line in lines if re.match(r"  [A-Z]", line)]
    assert [line.split()[0] for line in named] == list(CODES)
    assert [line for line in lines if line.isupper() and not line.startswith(" ")] == [
        title.upper() for title in FAMILIES.values()
    ]
    for code in CODES.values():
        assert code.means in words(lines)
    if columns >= 80:
        assert max(map(len, lines)) <= columns


def test_without_a_terminal_it_is_80_columns_wide() -> None:
    done = ringscope("explain", "kick-missing", env={**os.environ, "COLUMNS": "200"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == page(CODES["KICK_MISSING"], 80)


def test_on_a_terminal_it_is_as_wide_as_that() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 97, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [*COMMAND, "explain", "BENIGN"]
    with subprocess.Popen(command, cwd=ROOT, stdin=slave, stdout=slave, env=environment) as running:
        os.close(slave)
        said = b""
        try:
            while part := os.read(master, 65536):
                said += part
        except OSError:  # Linux's word for the end of a terminal
            pass
        assert running.wait(60) == 0
    os.close(master)
    assert said.decode().splitlines() == page(CODES["BENIGN"], 97)


def test_json_is_the_same_as_data() -> None:
    one = json.loads(ringscope("explain", "used_hole", "--json").stdout)
    assert one == json.loads(json.dumps(as_json(CODES["USED_HOLE"])))
    assert one["bugs"] == [bug for cause in one["causes"] for bug in cause["bugs"]]
    every = json.loads(ringscope("explain", "--json").stdout)
    assert [code["name"] for code in every["codes"]] == list(CODES)
    assert every["families"] == dict(FAMILIES) and every["vantages"] == dict(VANTAGES)
    assert one in every["codes"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["call_mising"], "near it: CALL_MISSING"),
        (["frobnicate", "--json"], "there are 62, none of them like it; ringscope explain lists all"),
        ([""], "no code is called ''"),
        (["KICK\x1b[31m\n"], "no code is called 'KICK"),
        (["KICK_MISSING", "CALL_MISSING"], "unrecognized arguments: CALL_MISSING"),
    ],
)
def test_mistakes_are_one_line(args: list[str], said: str) -> None:
    done = ringscope("explain", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and said in done.stderr and "\x1b" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = ringscope("explain", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (cli.PIPE, "")


def test_a_closed_output_is_told() -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "explain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == cli.FAILED and "standard output is closed" in done.stderr


def test_it_needs_no_engine_and_no_screens() -> None:
    code = (
        "import sys; from inspector.cli import main; main(['explain', 'BENIGN']);"
        "print([m for m in ('numpy', 'textual', 'scapy', 'rich', 'dataplane._engine') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n")


def test_every_command_that_is_advised_is_understood() -> None:
    advised = [
        command
        for code in CODES.values()
        for text in (*code.next, *(cause.tell for cause in code.causes))
        for command in re.findall(r"`ringscope ([^`]*)`", text)
    ]
    assert len(advised) > 10
    for command in advised:
        cli.parser().parse_args(command.split())
    for options in re.findall(
        r"\((`--[^`]*`)\)", " ".join(step for code in CODES.values() for step in code.next)
    ):
        cli.parser().parse_args(["run", *options.strip("`").split()])


# ---- rows of the spec --------------------------------------------------------------------------------------


def test_a_row_of_the_spec_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "split-drv-18"]) == 0
    told = capsys.readouterr().out
    row = ROWS["SPLIT-DRV-18"]
    assert told.startswith("SPLIT-DRV-18") and row.statement in words(told.splitlines())
    assert f"VIRTIO 1.3: {row.section}" in told and "driver MUST NOT" in told
    assert all(len(line) <= 80 for line in told.splitlines())


def test_a_row_that_cannot_be_seen_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "SPLIT-DEV-06"]) == 0
    assert UNSEEN["SPLIT-DEV-06"] in words(capsys.readouterr().out.splitlines())


def test_rows_are_the_same_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "SPLIT-DRV-18", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["row"] == "SPLIT-DRV-18" and told["binds"] == "driver" and told["vantage"] == ["M", "H"]
    assert cli.main(["explain", "--conformance", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["row"] for one in told["rows"]] == [*ROWS, *UNSEEN]
    assert (told["checked"], told["unseen"]) == (len(ROWS), len(UNSEEN))


def test_the_rows_are_counted_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "--conformance"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split()[0]: [int(number) for number in line.split()[1:]] for line in lines[1:]}
    *families, total = told.values()
    assert all(checked + unseen == rows for checked, unseen, rows in told.values())
    assert total == [sum(column) for column in zip(*families, strict=True)]
    assert told["SPLIT"][2] == 50 and told["PACKED"][2] == 38


def test_one_code_and_the_count_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "KICK_MISSING", "--conformance"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
