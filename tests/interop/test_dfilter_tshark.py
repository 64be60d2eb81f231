"""Display filters against tshark: the same frames for every filter, the same values for every field.

tshark runs without putting fragments and streams together, which the filter does not do either.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from socket import AF_INET6, inet_ntop

import numpy as np
import pytest
from frames import crafted

from capture.batch import Batch
from capture.dfilter import compile_filter
from capture.fieldtable import ELSEWHERE, FIELDS, Kind
from capture.frame import STAGES, records
from capture.play import load_mix
from capture.store import Block

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
_APART = ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams")
_START = 1_767_225_600

LISTED = Path(__file__).with_name("dfilters.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    return [bytes(frame.data) for frame in load_mix()] + crafted.frames()


@pytest.fixture(scope="module")
def block(frames: list[bytes]) -> Block:
    rows = records(len(frames))
    rows["captured"] = rows["length"] = [len(frame) for frame in frames]
    rows["number"] = np.arange(1, len(frames) + 1)
    rows["time"] = [_START * 10**9 + index * 10**8 for index in range(len(frames))]
    ends = np.cumsum(rows["captured"].astype(np.int64))
    starts = ends - rows["captured"].astype(np.int64)
    return Block(rows, memoryview(b"".join(frames)), starts, np.zeros(len(frames), STAGES))


@pytest.fixture(scope="module")
def file(frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("filters") / "frames.pcap"
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for index, frame in enumerate(frames):
            second, tenth = divmod(index, 10)
            out.write(struct.pack("<IIII", _START + second, tenth * 10**8, len(frame), len(frame)) + frame)
    return path


def tshark(file: Path, *arguments: str) -> str:
    options = [word for name in _APART for word in ("-o", f"{name}:FALSE")]
    command = ["tshark", "-n", "-r", str(file), *options, "-T", "fields", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_enough_filters() -> None:
    assert len(set(LISTED)) >= 80


@pytest.mark.parametrize("text", LISTED)
def test_a_filter_shows_the_frames_that_tshark_shows(
    text: str, file: Path, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    ours = (np.flatnonzero(compile_filter(text).mask(block)) + 1).tolist()
    theirs = [int(line) for line in tshark(file, "-Y", text, "-e", "frame.number").split()]
    assert ours == theirs


def _compared() -> list[str]:
    ours = ("vnet.", "frame.time", "frame.interface_id")
    return [
        name for name, info in FIELDS.items()
        if "." in name and not name.startswith(ours) and info.kind is not Kind.PROTOCOL
    ]  # fmt: skip


def _values(batch: Batch, name: str) -> list[list[str]]:
    """What each frame has of a field, sorted, as tshark writes it."""
    column, kind = batch.column(name), FIELDS[name].kind
    made: list[list[str]] = [[] for _ in range(batch.size)]
    for index, (frame, value) in enumerate(zip(column.frames.tolist(), column.values.tolist(), strict=True)):
        if kind is Kind.MAC:
            text = value.to_bytes(6).hex(":")
        elif kind is Kind.IPV4:
            text = ".".join(map(str, value.to_bytes(4)))
        elif kind is Kind.IPV6:
            text = inet_ntop(AF_INET6, value.ljust(16, b"\0"))
        elif column.stops is not None:
            text = bytes(batch.block.data[value : int(column.stops[index])]).hex()
        else:
            text = str(value)
        made[frame].append(text)
    return [sorted(texts) for texts in made]


def _theirs(text: str, kind: Kind) -> list[str]:
    parts = [part for part in text.split("|") if part]
    if kind in (Kind.NUMBER, Kind.FLAG):
        parts = [str(int(part, 0)) for part in parts]
    return sorted(part.replace(":", "") if kind is Kind.BYTES else part for part in parts)


def test_every_field_holds_what_tshark_says(file: Path, block: Block) -> None:
    names = _compared()
    arguments = [word for name in names for word in ("-e", name)]
    lines = tshark(file, "-E", "separator=/t", "-E", "aggregator=|", *arguments).split("\n")[:-1]
    batch, wrong, compared = Batch(block), [], 0
    rows = [line.split("\t") for line in lines]
    assert len(rows) == batch.size
    for column, name in enumerate(names):
        for number, (ours, row) in enumerate(zip(_values(batch, name), rows, strict=True), 1):
            theirs = _theirs(row[column], FIELDS[name].kind)
            compared += len(theirs)
            if ours != theirs:
                wrong.append((number, name, ours, theirs))
    assert compared > 25_000
    assert not wrong, wrong[:20]


def test_names_are_those_of_tshark() -> None:
    listed = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, check=True).stdout
    theirs = {line.split("\t")[2] for line in listed.splitlines() if line[:2] in ("F\t", "P\t")}
    ours = {name for name in FIELDS if "." in name and not name.startswith("vnet.")}
    assert ours <= theirs
    assert set(ELSEWHERE) <= theirs
