"""`ringscope capture`: what is logged is written or told as lost, through kills, full disks, slow readers."""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.files.opened import load
from capture.pcap import read_pcap
from dataplane.pair import Pair
from inspector.commands import capturing
from inspector.commands.opening import Refused
from inspector.sections import interfaces, section_comment
from tests.screens import command
from tests.screens.command import ROOT

COMMAND = [*command.COMMAND, "capture"]


def ringscope(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return command.ringscope("capture", *args, **options)


def counts(report: str) -> dict[str, int]:
    """The numbers of the report by what stands behind them."""
    return {words: int(n.replace(",", "")) for n, words in re.findall(r"([\d,]+) ([a-z ]+)", report)}


# ---- the options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("64MB", (64 << 20, 0.0)),
        ("64M", (64 << 20, 0.0)),
        ("1.5g", (3 << 29, 0.0)),
        ("8kb", (8192, 0.0)),
        ("60s", (0, 60.0)),
        ("5min", (0, 300.0)),
        ("1h,100MB", (100 << 20, 3600.0)),
    ],
)
def test_rotation(text: str, limits: tuple[int, float]) -> None:
    assert capturing.rotation(text) == limits


@pytest.mark.parametrize("text", ["", "64", "5m", "1B", "-1s", "0.5s", "1KB", "64MB,", "x", "1e9s"])
def test_no_rotation(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no size and no time|too small"):
        capturing.rotation(text)


def test_durations() -> None:
    texts = ("5", "5s", "500ms", "2min", "1h", "0s")
    assert [capturing.duration(text) for text in texts] == [5, 5, 0.5, 120, 3600, 0]
    for text in ("", "5m", "s", "-1s", "1d"):
        with pytest.raises(argparse.ArgumentTypeError, match="no length of time"):
            capturing.duration(text)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-w", "a", "--keep", "3"], "--keep is for --rotate"),
        (["-w", "-", "--rotate", "1MB"], "--rotate needs files"),
        (["-w", "a", "--rotate", "1MB", "--until", "dns"], "--rotate and --until exclude each other"),
        (["-w", "a", "--before", "5s"], "--before and --after need --until"),
        (["-w", "a", "--until", "dns", "--count", "3"], "--count and --until exclude each other"),
        (["-w", "a", "--rotate", "64"], "is no size and no time"),
        (["-w", "a", "--until", "dns", "--before", "5m"], "is no length of time"),
        (["-w", "a", "--snap", "0"], "number from 1 to 262144"),
        (["-w", "a", "-f", "udp port"], "-f: "),
        (["-w", "a", "-Y", "ip.foo == 1"], "-Y: no field is called ip.foo"),
        (["-w", "a", "--until", "lost_kick"], "no names of findings"),
        (["-w", "a", "--until", "bpf:udp port"], "--until bpf: "),
        (["-w", "a", "--until", "bpf:"], "--until: an empty filter"),
        (["-w", "no/such/a.pcapng"], "cannot write no/such/a.pcapng: No such file"),
    ],
)
def test_mistakes_are_one_line(args: list[str], message: str, tmp_path: Path) -> None:
    args = [str(tmp_path / word) if word == "a" else word for word in args]
    done = ringscope(*args)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_options_load_nothing_heavy() -> None:
    heavy = ("numpy", "scapy", "textual")
    code = f"import inspector.commands.capturing, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- files ---------------------------------------------------------------------------------------------


def test_the_file_says_what_was_captured_where(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope(
        "-w", str(path), "--layout", "packed", "-f", "udp port 53", "--count", "8", "--rate", "2000"
    )
    assert done.returncode == 0, done.stderr
    said = counts(done.stderr)
    assert said["frames written"] == 8 and said["lost"] == 0 and said["not matching the capture filter"] > 0
    opened = load(path)
    assert [one.name for one in opened.interfaces] == ["net0.rx0", "net0.tx0"]
    assert opened.interfaces[0].description == "virtqueue 0, device to driver, packed, 256 descriptors"
    rows, stages = opened.store.rows(1, 9), opened.store.stages(1, 9)
    assert len(rows) == 8 and (rows["descriptors"] > 0).all() and (rows["net_header_length"] == 12).all()
    assert (rows["interface"] == rows["origin_queue"]).all()
    assert all(stages[name].all() for name in ("available", "used", "notices"))
    for frame in opened.store.payloads(1, 9):
        assert b"\0\x35" in frame[34:42] or b"\0\x35" in frame[54:60]


def test_only_what_matches_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope("-w", str(path), "-Y", "queue == 1 and latency > 0us", "--count", "20", "--rate", "2000")
    assert done.returncode == 0, done.stderr
    rows = load(path).store.rows(1, 21)
    assert len(rows) == 20 and (rows["origin_queue"] == 1).all()


def test_snap(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    assert ringscope("-w", str(path), "--snap", "40", "--count", "30", "--rate", "2000").returncode == 0
    rows = load(path).store.rows(1, 31)
    assert rows["captured"].max() == 40 and rows["length"].max() > 300


def test_pcap_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    assert ringscope("-w", str(path), "--count", "30", "--rate", "2000").returncode == 0
    with open(path, "rb") as file:
        packets = list(read_pcap(file))
    assert len(packets) == 30 and any(packet.time % 1000 for packet in packets)


def test_rotated_files_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope("-w", str(path), "--rotate", "8KB", "--count", "200", "--rate", "2000")
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.iterdir())
    assert len(files) > 5 and all(file.stat().st_size <= 8192 or load(file).store.last == 1 for file in files)
    numbers = [number for file in files for number in ids(file.read_bytes())]
    assert len(numbers) == 200 and numbers == sorted(numbers)


def ids(raw: bytes) -> list[int]:
    """epb_packetid of every packet block of one of our files."""
    return [number for block in packets_of(raw) for number in option(block, 5)]


def losses(raw: bytes) -> list[int]:
    """epb_dropcount wherever it stands."""
    return [count for block in packets_of(raw) for count in option(block, 4)]


def packets_of(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        kind, total = struct.unpack_from("<II", raw, at)
        if kind == 6:
            yield raw[at : at + total]
        at += total


def option(block: bytes, wanted: int) -> Iterator[int]:
    """The eight bytes of an option of a packet block, if it is there."""
    at = 28 + (struct.unpack_from("<I", block, 20)[0] + 3 & ~3)
    while at < len(block) - 8:
        code, size = struct.unpack_from("<HH", block, at)
        if code == wanted:
            yield struct.unpack_from("<Q", block, at + 4)[0]
        at += 4 + (size + 3 & ~3)


def test_the_moments_around_a_trigger(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope(
        "-w",
        str(path),
        "--until",
        "dns",
        "--before",
        "60ms",
        "--after",
        "80ms",
        "--rate",
        "300",
        "--seconds",
        "60",
    )
    assert done.returncode == 0, done.stderr
    store = load(path).store
    times = store.rows(1, store.last + 1)["time"].astype(np.int64)
    first = next(
        number
        for number, frame in enumerate(store.payloads(1, store.last + 1))
        if b"\x07example\x03com" in frame
    )
    assert 0 < first < store.last - 1
    assert times[first] - times[0] <= 60_000_000 and times[-1] - times[first] <= 80_000_000
    assert "the trigger came" in done.stderr


def test_what_never_comes(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    done = ringscope("-w", str(path), "--until", "bpf:tcp port 9", "--seconds", "0.5")
    assert done.returncode == 1
    assert "it never came; nothing was written" in done.stderr
    assert not path.exists()


def test_a_signal_finishes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    running = subprocess.Popen([*COMMAND, "-w", str(path), "--rate", "500"], cwd=ROOT, stderr=subprocess.PIPE)
    wait_for(lambda: path.exists() and path.stat().st_size > 10_000)
    running.send_signal(signal.SIGTERM)
    report = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 0
    opened = load(path)
    assert opened.warnings == () and opened.store.last == counts(report)["frames written"]
    assert struct.unpack_from("<I", path.read_bytes()[-4:])[0] == 76, "it ends with the statistics"


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_killed_in_the_middle_everything_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    running = subprocess.Popen(
        [*COMMAND, "-w", str(path), "--traffic", "flood", "--rate", "100000"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: path.exists() and path.stat().st_size > 4_000_000)
    running.kill()
    running.wait(60)
    opened = load(path)
    whole = len(ids_of_whole_blocks(path.read_bytes()))
    assert opened.store.last == whole > 10_000
    assert len(opened.warnings) <= 1, "at most the last block is cut"


def ids_of_whole_blocks(raw: bytes) -> list[int]:
    at = 0
    while at + 8 <= len(raw):
        total = struct.unpack_from("<I", raw, at + 4)[0]
        if at + total > len(raw):
            break
        at += total
    return ids(raw[:at])


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (48 << 20, 48 << 20))  # the rings are in a file too

    done = ringscope("-w", str(path), "--traffic", "flood", "--queue-size", "16", preexec_fn=limited)
    assert done.returncode == 1
    assert re.search(r"File too large; the first [\d,]+ frames are written and readable", done.stderr)
    opened = load(path)
    assert opened.warnings == () and opened.store.last == counts(done.stderr)["frames written"] > 100_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        path = tmp_path / "a.pcapng"
        done = ringscope("-w", str(path), "--traffic", "flood", "--rate", "50000")
        assert done.returncode == 1
        assert f"cannot write {path}: No space left on device" in done.stderr
        opened = load(path)
        assert opened.warnings == () and opened.store.last == counts(done.stderr)["frames written"] > 500
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_reader_that_is_slow_loses_frames_and_is_told_how_many() -> None:
    """What a pipe takes is all that can be written; the rest is counted, in the file and in the report."""
    running = subprocess.Popen(
        [*COMMAND, "-w", "-", "--traffic", "flood", "--rate", "400000", "--budget", "1M", "--seconds", "3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None and running.stderr is not None
    os.read(running.stdout.fileno(), 4)
    time.sleep(2.5)  # nobody reads: the log holds 1.3 seconds of this
    raw = b"\n\r\r\n" + running.stdout.read()
    report = counts(running.stderr.read().decode())
    running.stdout.close()
    running.stderr.close()
    assert running.wait(60) == 0
    assert report["frames written"] == len(ids(raw))
    assert report["lost"] > 100_000 and report["frames written"] + report["lost"] == ids(raw)[-1]
    assert report["lost"] == sum(losses(raw))


def test_sections_say_what_the_device_is() -> None:
    with Pair(layout="packed", queue_pairs=2) as pair:
        snapshot = pair.snapshot()
        assert [one.name for one in interfaces(snapshot)] == ["net0.rx0", "net0.tx0", "net0.rx1", "net0.tx1"]
        assert interfaces(snapshot, snap=64, capture_filter="udp")[0].filter == "udp"
        text = section_comment(snapshot)
        assert text.startswith("virtio device net0 (pair), packed, 2 queue pairs, features: ")
        assert "RING_PACKED" in text


def test_refused_before_anything_is_written(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    capturing.add_options(parser)
    with Pair() as pair, pytest.raises(Refused, match="cannot write"):
        capturing.capture(parser.parse_args(["-w", str(tmp_path)]), pair)
