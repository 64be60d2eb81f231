"""The command `ringscope`: a mistake is one line and exit code 2, and what it prints has its shape."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

import pytest

from capture.pcapng import read_pcapng
from capture.play import load_mix
from inspector import __version__, cli
from inspector.commands import options
from inspector.headless import document, line
from inspector.session import Session
from tests.fakes import Still, device
from tests.screens.command import COMMAND, ROOT, ringscope

MISTAKES = [
    (["disect"], "did you mean dissect?"),
    (["snapsht"], "no command is called 'snapsht'; did you mean snapshot?"),
    (
        ["frobnicate"],
        "no command is called 'frobnicate'; there are run, snapshot, watch, check, report, capture, record, "
        "device, driver, tap, peers, open, play, learn, explain, dissect, extcap",
    ),
    (["--layout", "spilt"], "--layout: invalid choice: 'spilt'"),
    (["--queue-size", "300"], "take 256 or 512, or --layout packed"),
    (["--queue-size", "0"], "--queue-size: 0 is no queue size: give a number from 1 to 32768"),
    (["--queue-size", "65536", "--layout", "packed"], "give a number from 1 to 32768"),
    (["--queue-size", "many"], "'many' is no whole number"),
    (["--features", "+indirec"], "did you mean indirect_desc"),
    (["--features", "in_order"], "needs a sign: +in_order to add it"),
    (["--features", "+in_order,,"], "has an empty name"),
    (["--features", "-version_1"], "VERSION_1"),
    (["--rate", "0"], "--rate: 0 is no rate"),
    (["--rate", "nan"], "--rate: nan is no rate"),
    (["--rate", "5", "--traffic", "none"], "--rate needs traffic"),
    (
        ["--traffic", "no/such.pcap"],
        "no/such.pcap: No such file or directory; --traffic takes mix, flood, none",
    ),
    (["--traffic", "pyproject.toml"], "pyproject.toml: neither a pcap nor a pcapng file"),
    (["--traffic", "tests"], "Is a directory"),
    (["--driver-if", "tap0"], "a cable has two ends: --device-if is missing"),
    (["--device-if", "tap0"], "--driver-if is missing"),
    (["--driver-if", "a", "--device-if", "b", "--traffic", "flood"], "exclude each other"),
    (["--driver-if", "a", "--device-if", "b", "--rate", "3"], "at their pace"),
    (["--driver-if", "a/b", "--device-if", "b"], "is no interface name"),
    (["--driver-if", "a", "--device-if", "a"], "needs two interfaces"),
    (["--start-index", "70000"], "give a number from 0 to 65535"),
    (["--start-wrap", "2"], "invalid choice: '2'"),
    (["--path", "straight"], "invalid choice: 'straight'"),
    (["--path", "indirect", "--features", "-indirect_desc"], "INDIRECT_DESC"),
    (["--queue-pairs", "2", "--features", "-mq"], "MQ"),
    (["--unheard-of"], "unrecognized arguments: --unheard-of"),
    (["--after", "-1"], "--after: -1 is no time in seconds"),
]


@pytest.mark.parametrize(("args", "words"), MISTAKES, ids=[" ".join(args) for args, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(args: list[str], words: str) -> None:
    first = args if args[0][0] != "-" else ["snapshot", "--json", *args]
    done = ringscope(*first)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("ringscope: ") and done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "the screens need a terminal for input and output; without one: ringscope snapshot --json"),
        (["run"], "need a terminal"),
        (["--frozen"], "need a terminal"),
        (["snapshot"], "say ringscope snapshot --json"),
        (["watch"], "say ringscope watch --json"),
        (["capture"], "required: -w/--write"),
        (["capture", "-w", "no/such/dir/a.pcapng"], "cannot write no/such/dir/a.pcapng: No such file"),
        (["capture", "-w", "x", "--count", "0"], "0 is no count"),
        (["watch", "--json", "--every", "soon"], "'soon' is no number"),
        (["capture", "-w", "-", "-f", "udp prt 53"], "-f: "),
        (["capture", "-w", "-", "-Y", "ip.foo"], "-Y: no field is called ip.foo"),
        (["capture", "-w", "x", "--keep", "3"], "--keep is for --rotate"),
        (["extcap", "--dir", "x"], "extcap: say --install or --uninstall"),
        (["extcap", "--install", "--uninstall"], "not allowed with"),
        (["extcap", "--install", "--dir", "/dev/null/x"], "cannot write /dev/null/x/ringscope: "),
    ],
)  # fmt: skip
def test_mistakes_of_the_commands(args: list[str], words: str) -> None:
    done = ringscope(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and words in done.stderr


def test_nothing_hostile_reaches_the_terminal_through_a_mistake() -> None:
    done = ringscope("snapshot", "--json", "--traffic", "a\x1b]0;x\x07b")
    assert "\x1b" not in done.stderr and "\\x1b" in done.stderr


def test_version_is_that_of_the_distribution() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        wanted = tomllib.load(file)["project"]["version"]
    assert __version__ == wanted
    assert ringscope("--version").stdout == f"ringscope {wanted}\n"


def test_help_is_for_newcomers_and_loads_nothing_heavy() -> None:
    text = ringscope("--help").stdout
    for word in (*cli.COMMANDS, "examples:", "exit codes:", "--traffic flood"):
        assert word in text
    for command in cli.PAIR_COMMANDS:
        assert "--queue-size" in ringscope(command, "--help").stdout
    for command in cli.COMMANDS:
        said = ringscope(command, "--help")
        assert said.returncode == 0 and said.stdout.startswith(f"usage: ringscope {command} ")
    code = (
        "import sys; from inspector.cli import main; main(['--help']);"
        "print([m for m in ('numpy', 'textual', 'scapy', 'rich', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n")


def test_what_has_no_screen_loads_no_toolkit() -> None:
    code = (
        "import sys, inspector.headless, inspector.session, inspector.commands.perform;"
        "print([m for m in ('textual', 'scapy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-f", "udp prt 53"], "-f: "),
        (["--budget", "10"], "10 is no size that fits: give 64K to 1T"),
        (["--budget", "many"], "'many' is no size; write it as 64M or 2G"),
        (["--keep", "nan"], "is no size"),
        (["--history", "1K"], "1K is no size that fits: give 64K to 1T"),
        (["--break", "nonsense"], "--break: breakpoint 'nonsense': "),
        (["--break", "tx0 slot 999"], "--break: breakpoint 'tx0 slot 999': slot 999 does not exist"),
        (["--break", "kick", "--break", "wrap flips rx0"], "--break: breakpoint 'wrap flips rx0': "),
    ],
)
def test_options_of_the_screens(options: list[str], words: str) -> None:
    terminal = Terminal("run", *options)
    assert terminal.wait() == 2
    assert words in terminal.output.decode() and terminal.output.count(b"\n") == 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [("64K", 65536), ("1.5G", 3 << 29), ("512M", 512 << 20), ("2GiB", 2 << 30), ("1mb", 1 << 20)],
)
def test_sizes(text: str, amount: int) -> None:
    assert options.size(text) == amount


def test_minus_features_need_no_equals_sign() -> None:
    assert cli._arguments(["--features", "-mrg_rxbuf,+in_order"]) == [
        "run",
        "--features=-mrg_rxbuf,+in_order",
    ]
    assert cli._arguments(["watch", "--features", "--json"]) == ["watch", "--features", "--json"]


KEYS = [
    "name", "kind", "device_id", "layout", "state", "status", "offered", "accepted", "config",
    "blk", "config_generation", "queue_pairs", "number", "time", "logs", "queues", "notes",
]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_a_document_has_its_shape_and_is_json(packed: bool) -> None:
    picture = device(64, packed)
    made = document(picture)
    assert json.loads(json.dumps(made)) == made
    assert list(made) == KEYS
    queue = made["queues"][1]
    truth = picture.queue(1)
    assert [tuple(row) for row in queue["desc"]["rows"]] == [row.item() for row in truth.desc]
    assert queue["desc"]["columns"] == list(truth.desc.dtype.names or ())
    assert len(queue["owner"]) == len(queue["label"]) == len(queue["head"]) == len(queue["buffer"]) == 64
    assert queue["owners"] == dict(zip(("free", "available", "in_use", "used"), truth.owners, strict=True))
    assert set(queue["owner"]) <= {"free", "available", "in_use", "used", "unknown"}
    assert queue["tables"].keys() == {str(slot) for slot in truth.tables}
    assert queue["driver"]["kick"]["sent"] == truth.driver.kick.sent  # type: ignore[union-attr]
    assert queue["driver"]["path"] == "auto" and queue["driver"]["broken"] == "none"
    if packed:
        assert queue["driver_event"] == {"off_wrap": truth.driver_off_wrap, "flags": truth.driver_flags}  # type: ignore[union-attr]
        assert "avail" not in queue
    else:
        assert queue["avail"]["idx"] == truth.avail_idx  # type: ignore[union-attr]
        assert len(queue["avail"]["ring"]) == len(queue["used"]["ring"]) == 64
        assert "driver_event" not in queue


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_is_json_and_small(packed: bool) -> None:
    session = Session(Still(device(32768, packed)))
    session.whole = frozenset()
    made = line(session, session.pull())
    assert len(json.dumps(made)) < 4096
    assert [queue["name"] for queue in made["queues"]] == ["rx0", "tx0", "ctl"]
    assert ("avail_idx" in made["queues"][0]) != packed


@pytest.mark.parametrize(
    "options",
    [[], ["--layout", "packed", "--queue-size", "7"],
     ["--features", "-mrg_rxbuf,+in_order", "--start-index", "65530"],
     ["--queue-pairs", "2", "--path", "indirect"], ["--traffic", "none"], ["--frozen"]],
    ids=" ".join,
)  # fmt: skip
def test_snapshot_of_a_running_pair(options: list[str]) -> None:
    done = ringscope("snapshot", "--json", "--after", "0.3", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    made = json.loads(done.stdout)
    assert list(made) == KEYS
    assert made["status"] == ["ACKNOWLEDGE", "DRIVER", "FEATURES_OK", "DRIVER_OK"]
    assert made["state"] == ("frozen" if "--frozen" in options else "running")
    assert len(made["queues"]) == (5 if "--queue-pairs" in options else 3)
    assert ("IN_ORDER" in made["accepted"]) == ("+in_order" in " ".join(options))
    for queue in made["queues"]:
        assert len(queue["desc"]["rows"]) == queue["size"]


def test_watch_prints_a_line_a_reading_and_ends() -> None:
    done = ringscope("watch", "--json", "--every", "0.2", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(lines) >= 3
    assert [one["time"] for one in lines] == sorted(one["time"] for one in lines)
    assert lines[-1]["frames"]["kept"] > 0
    assert lines[-1]["queues"][1]["published"] > 0


def test_watch_ends_quietly_when_nobody_reads_on() -> None:
    running = subprocess.Popen(
        [*COMMAND, "watch", "--json", "--every", "0.05"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None and running.stderr is not None
    assert json.loads(running.stdout.readline())
    running.stdout.close()
    assert running.wait(30) == 141
    assert running.stderr.read() == b""
    running.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_watch_and_leaves_whole_lines(number: signal.Signals) -> None:
    running = subprocess.Popen(
        [*COMMAND, "watch", "--json", "--every", "0.05"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(number)
    rest, errors = running.communicate(timeout=30)
    assert running.returncode == 0
    assert errors == b""
    for text in rest.splitlines():
        json.loads(text)


def test_capture_writes_frames_of_the_traffic(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope("capture", "-w", str(path), "--count", "40", "--rate", "400")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "40 frames written, 0 lost\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with open(path, "rb") as file:
        packets = list(read_pcapng(file))
    assert len(packets) == 40
    known = {frame.data[:60] for frame in load_mix()}
    assert sum(packet.data[:60] in known for packet in packets) > 30
    assert {packet.queue for packet in packets} == {0, 1}
    assert all(packet.interface == packet.queue for packet in packets)
    assert [packet.number for packet in packets] == list(range(1, 41))


def test_capture_into_a_pipe_and_until_a_signal() -> None:
    running = subprocess.Popen(
        [*COMMAND, "capture", "-w", "-", "--rate", "400"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    start = os.read(running.stdout.fileno(), 4096)
    assert start[:4] == b"\n\r\r\n"
    while b"\x06\0\0\0" not in start:
        start += os.read(running.stdout.fileno(), 4096)
    running.send_signal(signal.SIGINT)
    rest, errors = running.communicate(timeout=30)
    assert running.returncode == 0
    assert b"frames written, 0 lost" in errors
    import io

    assert len(list(read_pcapng(io.BytesIO(start + rest)))) > 0


def test_capture_whose_reader_goes_away() -> None:
    running = subprocess.Popen(
        [*COMMAND, "capture", "-w", "-", "--rate", "2000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None and running.stderr is not None
    os.read(running.stdout.fileno(), 1024)
    running.stdout.close()
    assert running.wait(30) == 141
    assert b"Traceback" not in running.stderr.read()
    running.stderr.close()


def test_capture_on_a_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    done = ringscope("capture", "-w", "/dev/full", "--count", "5")
    assert done.returncode == 1
    assert "No space left" in done.stderr and "Traceback" not in done.stderr


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *args: str, columns: int = 120, rows: int = 40, **environment: str) -> None:
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
            os.execve(sys.executable, [*COMMAND, *args], environ)
        self.pid = pid
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.output = b""

    def until(self, wanted: bytes, seconds: float = 40.0) -> None:
        """Read until it has printed this."""
        end = time.monotonic() + seconds
        while wanted not in self.output:
            ready, _, _ = select.select([self.fd], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{wanted!r} never came"
            try:
                self.output += os.read(self.fd, 65536)
            except OSError:
                raise AssertionError(f"it ended before {wanted!r}: {self.output[-800:]!r}") from None

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self) -> int:
        """Read to the end; the exit code."""
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            self.output += piece
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


LEFT = b"\x1b[?1049l"


def test_in_a_terminal_it_shows_the_rings_and_quits() -> None:
    terminal = Terminal("--queue-size", "64")
    terminal.until(b"descriptors")
    terminal.until(b"live")
    terminal.type("q")
    assert terminal.wait() == 0
    assert LEFT in terminal.output
    assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    terminal = Terminal()
    terminal.until(b"live")
    os.kill(terminal.pid, number)
    assert terminal.wait() == 128 + number
    assert LEFT in terminal.output
    assert b"\x1b[?1000l" in terminal.output, "mouse reporting is off"


def test_it_ends_though_its_terminal_was_gone_before() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, "--traffic", "flood"], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    try:
        output = b""
        while b"live" not in output:
            output += os.read(ours, 65536)
        os.close(ours)
        time.sleep(4)  # it goes on drawing, more than Textual lets wait to be written
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()


def test_without_colours_there_are_none() -> None:
    terminal = Terminal(NO_COLOR="1")
    terminal.until(b"live")
    terminal.type("q")
    terminal.wait()
    colours = {
        tuple(part.split(b"m")[0].split(b";")[2:5])
        for part in terminal.output.split(b"\x1b[")
        if part.startswith((b"38;2;", b"48;2;"))
    }
    assert all(len(set(colour)) == 1 for colour in colours)
