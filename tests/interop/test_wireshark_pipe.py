"""Pipes between ringscope and Wireshark's tools, and `ringscope dissect` beside tshark on the same file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capture.fieldtable import FIELDS, Kind
from capture.play import MIX

ROOT = Path(__file__).resolve().parents[2]
MIXED = str(ROOT / "capture" / MIX)
RINGSCOPE = f"{sys.executable} -m inspector"
pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark")

#: What tshark says in frames of the mix otherwise, by field and frame.
_OTHERWISE = {
    "dns.qry.name": {146},  # a name that points to itself: tshark prints a remark in its place
    "dns.qry.type": {146},
    "dns.qry.class": {146},
    "tcp.options": {714},  # options cut short: tshark prints what is left of them
}


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=ROOT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("door", ["-r -", "-i -"])
def test_a_capture_into_tshark(door: str) -> None:
    fields = "-T fields -e frame.interface_name -e frame.packet_id -e frame.comment"
    done = shell(f"{RINGSCOPE} capture -w - --count 60 --rate 500 | tshark {door} {fields}")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 60 and "60 frames written, 0 lost" in done.stderr
    assert {row[0] for row in rows} == {"net0.rx0", "net0.tx0"}
    assert [int(row[1]) for row in rows] == list(range(1, 61))
    assert all(row[2].startswith("head=") for row in rows)


def test_tshark_that_has_enough_ends_the_capture_quietly() -> None:
    done = shell(f"set +o pipefail; {RINGSCOPE} capture -w - --rate 2000 | tshark -i - -c 5")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5
    assert "Traceback" not in done.stderr


def test_a_capture_filter_and_a_display_filter_in_a_pipe() -> None:
    capture = f"{RINGSCOPE} capture -w - --count 20 --rate 3000 -f 'udp port 53' -Y 'dns.flags.response == 1'"
    done = shell(f"{capture} | tshark -r - -T fields -e dns.flags.response -e udp.srcport")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 20 and all(row == ["1", "53"] for row in rows)


def test_a_capture_into_dissect_and_tsharks_file_too() -> None:
    done = shell(
        f"{RINGSCOPE} capture -w - --count 30 --rate 500 | {RINGSCOPE} dissect - --fields queue,head"
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert (
        len(rows) == 30 and {row[0] for row in rows} == {"0", "1"} and all(row[1].isdigit() for row in rows)
    )
    done = shell(f"tshark -r {MIXED} -w - | {RINGSCOPE} dissect - | wc -l")
    assert done.returncode == 0 and int(done.stdout) == 783


def test_latency_survives_the_file(tmp_path: Path) -> None:
    """What the ring knew of a packet can be asked of a file."""
    path = tmp_path / "a.pcapng"
    done = shell(f"{RINGSCOPE} capture -w {path} --count 100 --rate 500")
    assert done.returncode == 0, done.stderr
    done = shell(f"{RINGSCOPE} dissect {path} -Y 'queue == 1 and latency > 0' --fields frame.number,latency")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) > 10 and all(0 < float(row[1]) < 10 for row in rows)
    same = shell(f"tshark -r {path} -T fields -e frame.number -Y 'frame.interface_id == 1' | wc -l")
    assert len(rows) <= int(same.stdout)


def test_fields_are_those_of_tshark() -> None:
    """Every field that both know, on every frame of the mix."""
    names = [
        name for name, info in FIELDS.items()
        if "." in name and not name.startswith("vnet.") and info.kind is not Kind.PROTOCOL
    ]  # fmt: skip
    prefs = ("tcp.desegment_tcp_streams", "ip.defragment", "ipv6.defragment")
    words = ["tshark", "-n", "-r", MIXED, "-T", "fields", *(f"-o{one}:false" for one in prefs)]
    for name in names:
        words += ["-e", name]
    environment = {"TZ": "UTC", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    theirs = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)
    assert theirs.returncode == 0, theirs.stderr
    ours = shell(f"{RINGSCOPE} dissect {MIXED} --fields {','.join(names)}")
    assert ours.returncode == 0, ours.stderr
    pairs = list(zip(ours.stdout.splitlines(), theirs.stdout.splitlines(), strict=True))
    wrong, equal = [], 0
    for number, (our, their) in enumerate(pairs, 1):
        for name, one, other in zip(names, our.split("\t"), their.split("\t"), strict=True):
            equal += one == other
            if one != other and number not in _OTHERWISE.get(name, ()):
                wrong.append((number, name, one, other))
    print(f"{len(pairs)} frames, {len(names)} fields, {equal} equal, {len(wrong)} wrong")
    assert not wrong, wrong[:10]
