"""Our pairs and running sessions as capture interfaces of tshark, as an ordinary user asks for them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "inspector"]
#: root is refused a folder of extcaps of its own by tshark; this user has the same rights and another name
AS_A_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


def run(*words: str, seconds: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("extcap")
    done = run(*COMMAND, "extcap", "--install", "--dir", str(where))
    assert done.returncode == 0, done.stderr
    return where


@pytest.fixture(scope="module")
def tshark(folder: Path) -> Any:
    """`tshark(...)` as an ordinary user who has our extcap; skips where that cannot be."""
    if shutil.which("tshark") is None:
        pytest.skip("there is no tshark")
    if AS_A_USER and run(*AS_A_USER, "true").returncode:
        pytest.skip("no user namespace, and tshark gives root no extcap of its own")
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)

    def call(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "HOME": str(folder), "WIRESHARK_EXTCAP_DIR": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
        }  # fmt: skip
        return run(*AS_A_USER, "tshark", *words, env=environment, **options)

    call.runtime = runtime  # type: ignore[attr-defined]
    return call


def extcap(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(str(folder / "ringscope"), *words, env={**os.environ, "XDG_RUNTIME_DIR": "", **environment})


SENTENCE = re.compile(r"(extcap|interface|dlt|arg|value) (\{[a-z]+=[^{}]*\})+")


@pytest.mark.parametrize(
    "words",
    [
        ["--extcap-interfaces", "--extcap-version=4.0"],
        ["--extcap-dlts", "--extcap-interface", "ringscope-split"],
        ["--extcap-config", "--extcap-interface", "ringscope-packed"],
        ["--extcap-config", "--extcap-interface", "ringscope-123"],
    ],
)
def test_every_answer_is_in_sentences(folder: Path, words: list[str]) -> None:
    done = extcap(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    for line in done.stdout.splitlines():
        assert SENTENCE.fullmatch(line), line


def test_answers_load_the_standard_library_alone() -> None:
    code = (
        "import sys; from inspector.wireshark.extcap import main; main(['--extcap-interfaces']);"
        "print([m for m in ('numpy', 'textual', 'scapy', 'rich', 'dataplane') if m in sys.modules])"
    )
    assert run(sys.executable, "-c", code).stdout.endswith("[]\n")


def test_a_capture_filter_is_checked(folder: Path) -> None:
    words = ["--extcap-interface", "ringscope-split", "--extcap-capture-filter"]
    assert extcap(folder, *words, "udp port 53").stdout == ""
    assert extcap(folder, *words, "udp prt 53").stdout.count("\n") == 1


def test_tshark_lists_them(tshark: Any) -> None:
    told = tshark("-D").stdout
    assert "ringscope-split (" in told and "ringscope-packed (" in told


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_tshark_shows_live_packets(tshark: Any, layout: str) -> None:
    done = tshark("-i", f"ringscope-{layout}", "-c", "10", "-T", "fields", "-e", "frame.interface_name",
                  "-e", "frame.interface_queue", "-e", "frame.packet_id", "-e", "frame.comment")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 10
    assert {row[0] for row in rows} == {"net0.rx0", "net0.tx0"}
    assert all((row[0] == "net0.tx0") == (row[1] == "1") for row in rows)
    assert all("head=" in row[3] for row in rows)
    assert "Error" not in done.stderr


def test_a_capture_filter_of_tshark_holds(tshark: Any) -> None:
    done = tshark("-i", "ringscope-split", "-f", "udp port 53", "-c", "8", "-T", "fields", "-e", "udp.port")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8
    assert all("53" in line.split(",") for line in done.stdout.splitlines())


def test_options_of_the_interface_hold(tshark: Any) -> None:
    chosen = {"ways": "to_driver", "queuesize": "64"}
    words = [
        word for name, value in chosen.items() for word in ("-o", f"extcap.ringscope_split.{name}:{value}")
    ]
    shown = ("-T", "fields", "-e", "frame.interface_name", "-e", "frame.interface_description")
    done = tshark("-i", "ringscope-split", "-c", "5", *words, *shown)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert {row[0] for row in rows} == {"net0.rx0"}
    assert all("64 descriptors" in row[1] for row in rows)


def test_it_ends_when_nobody_reads_even_without_traffic(folder: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = ["--capture", "--extcap-interface", "ringscope-split", "--fifo", str(fifo), "--traffic", "none"]
    running = subprocess.Popen(
        [str(folder / "ringscope"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with open(fifo, "rb", buffering=0) as reader:
            assert select.select([reader], [], [], 30)[0]
            assert reader.read(4) == b"\n\r\r\n"
        output = running.communicate(timeout=30)
        assert (running.returncode, *output) == (0, b"", b"")
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--extcap-interface", "ringscope-4000000000", "--fifo", "x"], "no session '4000000000' runs"),
        (["--extcap-interface", "eth0", "--fifo", "x"], "no session 'eth0' runs"),
        (["--extcap-interface", "ringscope-split"], "--capture needs --fifo"),
    ],
)
def test_mistakes_are_told(folder: Path, words: list[str], why: str) -> None:
    done = extcap(folder, "--capture", *words)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1 and why in done.stderr


def test_a_running_session_is_listed_and_shown(tshark: Any) -> None:
    """The screens in a terminal; tshark beside them, with numbers that the list shows."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tshark.runtime), "TERM": "xterm-256color"}
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [*COMMAND, "--rate", "500"], environment)
    drain = threading.Thread(target=_drain, args=(terminal,), daemon=True)
    drain.start()
    try:
        name = f"ringscope-{process}"
        deadline = time.monotonic() + 60
        while name not in tshark("-D").stdout:
            assert time.monotonic() < deadline, "the session is not listed"
        assert f"{name} (ringscope session {process}, net0, split rings" in tshark("-D").stdout
        done = tshark("-i", name, "-f", "udp port 53", "-c", "3", "-T", "fields", "-e", "udp.port",
                      "-e", "frame.packet_id")  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(rows) == 3 and all("53" in row[0].split(",") for row in rows)
        numbers = [int(row[1]) for row in rows]
        assert numbers == sorted(numbers) and numbers[0] > 1
        assert "Error" not in done.stderr
        done = tshark("-i", name, "-f", "udp prt 53", "-c", "3")
        assert done.returncode != 0 or "capture filter" in done.stderr
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        drain.join(10)
        os.close(terminal)
    assert list((tshark.runtime / "ringscope").iterdir()) == [], "nothing is left behind"


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass
