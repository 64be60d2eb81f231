"""The straight way from the frame log: every loss counted, and booked on the queue where it happened."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from capture.bpf import compile_bpf
from capture.frame import STAGES, Array, records
from capture.play import load_mix
from capture.store import Block
from dataplane.pair import Pair, PlayFrame
from inspector.commands.straight import Behind, Losses, Straight


def count(taken: tuple[Block, Losses] | None, got: Counter[int], booked: Counter[int]) -> None:
    """Frames and losses by queue; inside a block none is missing."""
    if taken is None:
        return
    block, losses = taken
    assert (np.diff(block.rows["number"].astype(np.int64)) == 1).all()
    got.update(block.rows["origin_queue"].tolist())
    for queue, lost in losses:
        booked[queue] += lost


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_losses_are_exact_and_booked_on_their_queue(layout: Any) -> None:
    with Pair(layout=layout) as pair:
        pair.flood()
        straight = Straight(pair)
        pair.start()
        booked: Counter[int] = Counter()
        got: Counter[int] = Counter()
        for _ in range(2):
            base = pair.snapshot(()).logs.frames
            while pair.snapshot(()).logs.frames < base + 700_000:  # the log holds 524,288 of these
                time.sleep(0.01)
            for _ in range(4):
                count(straight.pull(), got, booked)
        pair.freeze()
        straight.stop()
        while (taken := straight.pull()) is not None:
            count(taken, got, booked)
        snapshot = pair.snapshot(())
        assert straight.lost > 100_000
        assert straight.taken + straight.lost == snapshot.logs.frames
        for queue in snapshot.queues[:2]:
            assert queue.device is not None
            assert got[queue.index] + booked[queue.index] == queue.device.frames


def test_what_was_logged_before_the_filter_is_filtered_too() -> None:
    with Pair() as pair:
        pair.play((PlayFrame(0, f.direction, f.data, f.net_header) for f in load_mix()), loop=False)
        pair.start()
        while pair.snapshot(()).logs.frames < 100:
            time.sleep(0.01)
        program = compile_bpf("udp port 53")
        straight = Straight(pair, program)
        seen = 0
        while (taken := straight.pull()) is not None:
            block, _ = taken
            assert program.mask(block).all()
            seen += len(block.rows)
        assert seen > 0 and straight.unmatched > 50


def block(count: int, size: int = 1000) -> Block:
    rows = records(count)
    rows["captured"] = size
    rows["number"] = np.arange(count)
    return Block(rows, memoryview(bytes(size)), np.zeros(count, np.int64), np.zeros(count, STAGES))


class Slow:
    """An output that waits to be let on."""

    frames = 0

    def __init__(self) -> None:
        self.go = threading.Event()
        self.why: OSError | None = None
        self.told: list[tuple[str, int]] = []

    def write(self, rows: Array, data: memoryview, offsets: Array, stages: Array | None = None) -> None:
        assert self.go.wait(30)
        if self.why:
            raise self.why
        self.told.append(("write", len(rows)))

    def lost(self, interface: int, count: int) -> None:
        self.told.append((f"lost {interface}", count))

    def flush(self) -> None:
        self.told.append(("flush", 0))

    def close(self) -> None:
        self.told.append(("close", 0))


def test_a_slow_disk_holds_up_the_reader_only_when_memory_is_full() -> None:
    slow = Slow()
    behind = Behind(slow, 100_000)
    behind.put(block(40))
    assert behind.pressed
    behind.put(block(40), [(1, 7)])
    done = threading.Event()

    def third() -> None:
        behind.put(block(40))
        done.set()

    thread = threading.Thread(target=third)
    thread.start()
    assert not done.wait(0.05), "three blocks are more than the budget"
    slow.go.set()
    thread.join(30)
    behind.close()
    assert slow.told == [("write", 40), ("lost 1", 7), ("write", 40), ("write", 40), ("close", 0)]


def test_what_the_disk_says_reaches_the_reader() -> None:
    slow = Slow()
    slow.why = OSError(28, "No space left on device")
    slow.go.set()
    behind = Behind(slow, 1 << 20)
    behind.put(block(1))
    behind.abandon()
    with pytest.raises(OSError, match="No space"):
        behind.put(block(1))
    with pytest.raises(OSError, match="No space"):
        behind.close()
