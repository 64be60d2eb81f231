"""Frames a second of conversations, expert notes and following a stream.

    PYTHONPATH=.:tests python tests/bench/flows.py [--json]

The shipped traffic again and again, with other IPv4 addresses each time so that there are many conversations
(their checksums are then wrong, which takes as long to find), and bulk TCP of one connection.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from frames.talk import ACK, PSH, Tape, tcp

import capture
from capture.expert import Expert
from capture.files.opened import load
from capture.flows import Conversations
from capture.frame import Array
from capture.play import MIX
from capture.store import FrameStore
from capture.streams import follow


def repeated(rows: Array, data: Array, offsets: Array, frames: int) -> FrameStore:
    """A store of about so many frames, the same ones a second later and between other ends each time."""
    store = FrameStore(8 << 30)
    rows, data = rows.copy(), data.copy()
    four = offsets[(data[offsets + 12] == 8) & (data[offsets + 13] == 0)]
    step = int(rows["time"].max() - rows["time"].min()) + 1_000_000_000
    while store.last < frames:
        store.append(rows, data, offsets)
        rows["time"] += step
        data[four + 27] += 1
        data[four + 31] += 1
    return store


def bulk(frames: int) -> FrameStore:
    """One connection: 1448 bytes each, an ACK after every second segment, now and then one missing."""
    dice = random.Random(1)
    tape = Tape()
    ends, back = ("10.0.0.1", 1000, "10.0.0.2", 80), ("10.0.0.2", 80, "10.0.0.1", 1000)
    seq = 1
    while len(tape.frames) < frames:
        for _ in range(2):
            if dice.random() < 0.999:
                tape.put(tcp(ends, ACK | PSH, seq, 1, bytes(1448), window=65535), 1)
            seq += 1448
        tape.put(tcp(back, ACK, 1, seq, window=65535), 1)
    return tape.store()


def rate(frames: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return frames / (time.perf_counter() - start)


def measured(store: FrameStore, number: int) -> dict[str, float]:
    conversations, looked = Conversations(), Expert()

    def converse() -> None:
        for block in store.blocks(1, store.last + 1):
            conversations.add(block)

    def look() -> None:
        for block in store.blocks(1, store.last + 1):
            looked.add(block)

    return {
        "conversations": rate(store.last, converse),
        "expert": rate(store.last, look),
        "follow": rate(store.last, lambda: follow(store, number, 1 << 30)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=500_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    mix = load(Path(capture.__file__).parent / MIX).store
    (block,) = mix.blocks(1, mix.last + 1)
    tcp_frame = next(n for n in range(1, mix.last) if b"GET /vring.html" in mix.frame(n).data)
    stores = {
        "mix": (
            repeated(block.rows, np.frombuffer(block.data, np.uint8), block.offsets, options.frames),
            tcp_frame,
        ),
        "bulk": (bulk(min(options.frames, 100_000)), 1),
    }
    found = {name: measured(store, number) for name, (store, number) in stores.items()}
    if options.json:
        print(json.dumps(found))
        return
    for name, rates in found.items():
        for what, value in rates.items():
            print(f"{name:6} {what:14} {value:12,.0f} frames/s")


if __name__ == "__main__":
    main()
