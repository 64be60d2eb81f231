"""The shipped traffic: its script makes it again to the byte, and it holds what it promises."""

from __future__ import annotations

import struct
import subprocess
import sys
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from capture.frame import TO_DEVICE, TO_DRIVER
from capture.play import MIX, PlayFrame, load_mix, read_play


@pytest.fixture(scope="module")
def mix() -> list[PlayFrame]:
    return load_mix()


def test_the_script_makes_it_again(tmp_path: Path) -> None:
    made = tmp_path / MIX
    subprocess.run([sys.executable, "-m", "capture.craft", str(made)], check=True, timeout=120)
    assert made.read_bytes() == files("capture").joinpath(MIX).read_bytes()
    assert read_play(made) == load_mix()


def test_the_script_wants_one_file() -> None:
    run = subprocess.run([sys.executable, "-m", "capture.craft"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")
    run = subprocess.run(
        [sys.executable, "-m", "capture.craft", "/nowhere/mix"], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1
    assert run.stderr == "capture.craft: /nowhere/mix: No such file or directory\n"


def test_loading_it_needs_no_scapy() -> None:
    code = "import sys, capture.play; capture.play.load_mix(); sys.exit('scapy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_it_is_lively(mix: list[PlayFrame]) -> None:
    assert 12e9 < mix[-1].offset_ns < 20e9
    assert 600 < len(mix) < 1500
    assert mix[0].offset_ns == 0
    assert all(one.offset_ns <= other.offset_ns for one, other in pairwise(mix))
    ways = [frame.direction for frame in mix]
    assert ways.count(TO_DEVICE) > len(mix) / 3
    assert ways.count(TO_DRIVER) > len(mix) / 3
    gaps = [other.offset_ns - one.offset_ns for one, other in pairwise(mix)]
    assert max(gaps) > 200e6
    assert sum(gap < 1e6 for gap in gaps) > 100


def test_it_has_jumbo_frames_both_ways(mix: list[PlayFrame]) -> None:
    for way in (TO_DEVICE, TO_DRIVER):
        sizes = [len(frame.data) for frame in mix if frame.direction == way and not frame.net_header]
        assert 8900 < max(sizes) <= 9014


def test_super_frames_ask_for_segmentation(mix: list[PlayFrame]) -> None:
    kinds = set()
    for frame in mix:
        if len(frame.net_header) != 12:
            assert frame.net_header == b""
            continue
        flags, kind, header, size, start, offset, buffers = struct.unpack("<BBHHHHH", frame.net_header)
        assert buffers == 0
        if not kind:
            assert (flags, frame.direction) == (2, TO_DRIVER)
            continue
        kinds.add((kind, frame.direction))
        assert flags == 1
        assert frame.data[start - (20 if kind == 1 else 40)] >> 4 == (4 if kind == 1 else 6)
        assert header == start + (frame.data[start + 12] >> 4) * 4
        assert len(frame.data) - header > size
        assert header + size <= 1514
        partial = struct.unpack_from("!H", frame.data, start + offset)[0]
        pseudo = frame.data[26:34] if kind == 1 else frame.data[22:54]
        total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo)) + 6 + len(frame.data) - start
        assert partial == (total & 0xFFFF) + (total >> 16)
    assert kinds == {(1, TO_DRIVER), (1, TO_DEVICE), (4, TO_DEVICE)}
