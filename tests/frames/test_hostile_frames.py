"""Frames made to hurt, through everything that reads a frame: nothing raises, grows or escapes.

The short form takes fewer of them; RINGSCOPE_FULL=1 in the environment asks for all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from capture.columns import summary
from capture.dissect import Dissector
from capture.dissection.headers import decode
from capture.fields import Field, walk
from tests.frames.hostile import ESCAPES, KINDS, MARK, frames

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
COUNT = 50_000 if FULL else 2_000  #: through the worker
QUICK = 50_000 if FULL else 10_000  #: through what runs here
WARM = 1_000
GROWTH = 48 << 20  #: bytes that a process may grow by after `WARM` frames


def resident(process: int | str = "self") -> int:
    """Bytes of memory that a process has in use."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def assert_printable(layers: tuple[Field, ...]) -> None:
    for _, field in walk(layers):
        text = field.name + field.text + field.filter
        assert text.isascii()
        assert text.isprintable()


def test_the_frames_are_hostile() -> None:
    made = list(frames(3_000))
    assert len(made) == 3_000
    assert len(set(made)) > 2_500
    assert list(frames(3_000)) == made
    for escape in ESCAPES:
        assert any(escape in frame for frame in made)
    assert all(str(MARK).encode() in escape for escape in ESCAPES)
    assert len(KINDS) == 13


def test_summaries_and_plain_headers() -> None:
    start = 0
    for number, data in enumerate(frames(QUICK)):
        row = summary(data)
        text = "".join(row).replace("\u2192", "")
        assert text.isascii()
        assert text.isprintable()
        layers = decode(data, data[:12])
        assert sum(layer.bit_length for layer in layers if layer.kind == "layer") == len(data) * 8
        assert_printable(layers)
        if number == WARM:
            start = resident()
    assert resident() - start < GROWTH


def test_trees_from_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame has a tree, and a reason where it is the plain one; memory is flat on both sides."""
    dissector = Dissector()
    reasons: dict[str, int] = {}
    lost = ours = worker = 0
    pid = None
    try:
        for number, data in enumerate(frames(COUNT)):
            tree = dissector.dissect(number, data, data[:12] if number % 2 else b"")
            assert tree.layers
            assert_printable(tree.layers)
            if tree.reason:
                reasons[tree.reason] = reasons.get(tree.reason, 0) + 1
                lost += "on this frame" in tree.reason
            process = dissector._worker
            if process is not None and (number == WARM or process.process.pid != pid) and number >= WARM:
                pid, worker, ours = process.process.pid, resident(process.process.pid), resident()
        process = dissector._worker
        assert process is not None
        grown = resident(process.process.pid) - worker if process.process.pid == pid else 0
        with capsys.disabled():
            print(f"\n{COUNT} frames, {dissector.restarts} restarts, "
                  f"{sum(reasons.values())} without scapy {reasons}, "
                  f"worker grew {grown >> 20} MB to {resident(pid or 'self') >> 20} MB, "
                  f"we {resident() - ours >> 20} MB")  # fmt: skip
        assert dissector.restarts >= lost
        assert grown < GROWTH
        assert resident() - ours < GROWTH
        assert sum(reasons.values()) <= COUNT // 100
    finally:
        dissector.close()
