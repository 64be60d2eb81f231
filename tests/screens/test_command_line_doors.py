"""The commands as a shell uses them: streams that are closed or full, readers that leave, odd names."""

from __future__ import annotations

import argparse
import gzip
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from capture.files.opened import load
from capture.pcapng import read_pcapng
from capture.play import MIX
from inspector.commands import capturing
from tests.screens.command import COMMAND, ROOT
from tests.screens.command import ringscope_bytes as ringscope

MIXED = ROOT / "capture" / MIX
CLOSE = "import os, sys; os.close(int(sys.argv[1])); os.execv(sys.executable, sys.argv[2:])"


def without(stream: int, *args: str) -> subprocess.CompletedProcess[bytes]:
    """The command with one of its three streams closed."""
    command = [sys.executable, "-c", CLOSE, str(stream), *COMMAND, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "args",
    [
        ("capture", "-w", "-", "--count", "3"),
        ("dissect", str(MIXED)),
        ("snapshot", "--json"),
        ("watch", "--json", "--seconds", "1"),
    ],
    ids=lambda args: args[0],
)
def test_without_standard_output(args: tuple[str, ...]) -> None:
    done = without(1, *args)
    words = f"ringscope: {args[0]}: standard output is closed, so there is nowhere to write\n"
    assert (done.returncode, done.stderr.decode()) == (1, words)


def test_without_standard_error_the_report_stays_out_of_the_capture() -> None:
    done = without(2, "capture", "-w", "-", "--count", "5")
    assert done.returncode == 0
    assert b"written" not in done.stdout and done.stdout.startswith(b"\x0a\x0d\x0d\x0a")


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_file_needs_no_stream(stream: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    assert without(stream, "capture", "-w", str(path), "--count", "5").returncode == 0
    opened = load(path)
    assert len(opened.store) == 5 and not opened.warnings


@pytest.mark.parametrize(
    "args", [("dissect", str(MIXED)), ("dissect", str(MIXED), "--json"), ("snapshot", "--json")]
)
def test_standard_output_that_is_full(args: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = ringscope(*args, stdout=full)
    words = b"ringscope: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_frames_that_a_full_disk_kept_away_are_counted() -> None:
    done = ringscope("capture", "-w", "/dev/full", "--count", "5")
    report, error = done.stderr.decode().splitlines()
    assert done.returncode == 1 and report.startswith("0 frames written, 0 lost, ")
    assert report.endswith("taken and not written") and "No space left on device" in error


@pytest.mark.parametrize("more", [("--traffic", "none"), ("-f", "tcp port 1"), ("--until", "tcp.port == 1")])
def test_a_reader_that_leaves_is_noticed_without_a_frame(more: tuple[str, ...]) -> None:
    taken, given = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "capture", "-w", "-", *more], cwd=ROOT, stdout=given, stderr=subprocess.PIPE
    )
    os.close(given)
    assert os.read(taken, 4) == b"\x0a\x0d\x0d\x0a"
    os.close(taken)
    try:
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, told) == (141, b"ringscope: the reader went away after 0 frames\n")


def test_a_hangup_finishes_the_file() -> None:
    process = subprocess.Popen(
        [*COMMAND, "capture", "-w", "-"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    start = process.stdout.read(4)
    process.send_signal(signal.SIGHUP)
    rest, told = process.communicate(timeout=30)
    frames = sum(1 for _ in read_pcapng(io.BytesIO(start + rest)))
    assert process.returncode == 0 and told.startswith(b"%d frames written, 0 lost" % frames)


@pytest.mark.parametrize("rate", [[], ["--rate", "200000"]])
def test_a_capture_begins_with_the_first_frame(rate: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope("capture", "-w", str(path), "--traffic", "flood", *rate, "--count", "1000")
    assert (done.returncode, b"passed" in done.stderr) == (0, False)
    first = next(read_pcapng(path.open("rb")))
    assert first.number == 1 and "position=0" in first.comment


def test_short_names_of_options_are_those_of_tcpdump(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    assert ringscope("capture", "-w", str(path), "-c", "7", "-s", "40").returncode == 0
    packets = list(read_pcapng(path.open("rb")))
    assert len(packets) == 7 and {len(one.data) for one in packets} == {40}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("capture", "-w", "", "-c", "1"), "-w: an empty name is no file"),
        (("capture", "-w", "x", "--rotate", "1s,4MB,2s"), "gives two times"),
        (("capture", "-w", "x", "--rotate", "1MB,4MB"), "gives two sizes"),
        (("capture", "-w", "x", "-f", b"host \xff"), "-f: character 6 of the filter is not UTF-8"),
        (("dissect", str(MIXED), "-Y", b'eth contains "\xff"'), "-Y: character 15 of the filter"),
        (("dissect", str(MIXED), "-f", "x" * 9000), "at most 4096 characters"),
        (("dissect", str(MIXED), "-Y", "x" * 90000), "at most 10000 characters"),
        (("dissect", str(MIXED), "-Y", "nonsense"), "ringscope dissect --list-fields shows all"),
        (("dissect", str(MIXED), "--fields", "nonsense"), "ringscope dissect --list-fields shows all"),
        (("dissect", "-"), "standard input: it is empty"),
    ],
)  # fmt: skip
def test_mistakes_are_one_short_line(args: tuple[str | bytes, ...], words: str) -> None:
    done = ringscope(*args)
    told = done.stderr.decode()
    assert (done.returncode, done.stdout, told.count("\n")) == (2, b"", 1)
    assert words in told and len(told) < 500


def test_the_fields_are_listed() -> None:
    from capture.fieldtable import FIELDS

    done = ringscope("dissect", "--list-fields")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == sorted(FIELDS)


def test_what_gzip_compressed_is_dissected_and_played(tmp_path: Path) -> None:
    packed = tmp_path / "mix.pcapng.gz"
    packed.write_bytes(gzip.compress(MIXED.read_bytes()))
    plain = ringscope("dissect", str(MIXED))
    assert ringscope("dissect", str(packed)).stdout == plain.stdout != b""
    with packed.open("rb") as file:
        assert ringscope("dissect", "-", stdin=file).stdout == plain.stdout
    out = tmp_path / "a.pcapng"
    done = ringscope("capture", "-w", str(out), "--traffic", str(packed), "-c", "3")
    assert done.returncode == 0 and len(load(out).store) == 3


def test_fields_of_headers_are_not_read_out_of_what_is_no_ethernet(tmp_path: Path) -> None:
    path = tmp_path / "raw.pcap"
    inner = next(one for one in read_pcapng(MIXED.open("rb")) if one.data[12:14] == b"\x08\x00").data[14:]
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000")
    size = len(inner).to_bytes(4, "little")
    path.write_bytes(head + bytes(8) + size + size + inner)
    done = ringscope("dissect", str(path), "--fields", "frame.number,frame.len,eth.src,eth.type")
    assert done.stdout.decode() == f"1\t{len(inner)}\t\t\n"


def test_rotation_takes_one_size_and_one_time() -> None:
    assert capturing.rotation("8KB,2s") == (8192, 2.0)
    with pytest.raises(argparse.ArgumentTypeError, match="two times"):
        capturing.rotation("1s,2min")


def test_an_extcap_whose_fifo_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inspector.wireshark.extcap", "--capture", "--extcap-interface"]
    done = subprocess.run(
        [*command, "ringscope-split", "--fifo", str(tmp_path / "none")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"ringscope: {tmp_path}/none: No such file or directory\n")
