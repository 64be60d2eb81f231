"""Frames a second that a display filter looks at, next to tshark -Y over the same frames in the same run.

    python tests/bench/filtering.py [--frames 1000000] [--seconds 2] [--json]

The frames are those of the shipped mix, again and again. tshark reads them from a file and dissects all
of each, which is more than a filter needs; its time includes starting and reading.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from measure import report, steal_ticks  # noqa: E402

from capture.batch import Batch, sort_key  # noqa: E402
from capture.dfilter import compile_filter  # noqa: E402
from capture.frame import records  # noqa: E402
from capture.play import load_mix  # noqa: E402
from capture.store import FrameStore  # noqa: E402

FILTERS = (
    "frame.len > 1000",
    "ip.addr == 192.0.2.10",
    "tcp.flags.syn == 1",
    "ip.dst == 192.0.2.10 and tcp.port == 443",
    "ipv6 and not icmpv6",
    'dns.qry.name contains "example"',
    'tcp.payload contains "GET"',
)
OURS_ALONE = ("queue == 1", "vnet.gso_type != none", "latency > 100us")
SORTS = ("source", "protocol", "latency")


def filled(count: int) -> FrameStore:
    """A store with at least `count` frames of the mix."""
    mix = [bytes(frame.data) for frame in load_mix()]
    rows = records(len(mix))
    rows["captured"] = rows["length"] = [len(frame) for frame in mix]
    ends = np.cumsum(rows["captured"].astype(np.int64))
    starts = ends - rows["captured"].astype(np.int64)
    store = FrameStore(4 << 30)
    while len(store) < count:
        store.append(rows, b"".join(mix), starts)
    return store


def rate(store: FrameStore, text: str, seconds: float) -> tuple[float, int]:
    """Frames a second of one thread, and frames shown of those in the store."""
    made = compile_filter(text)
    best = 0.0
    end = time.monotonic() + seconds
    while True:
        start, shown = time.perf_counter(), 0
        for block in store.blocks(1, store.last + 1):
            shown += int(np.count_nonzero(made.mask(block)))
        best = max(best, len(store) / (time.perf_counter() - start))
        if time.monotonic() >= end:
            return best, shown


def key_rate(store: FrameStore, column: str) -> float:
    start = time.perf_counter()
    for block in store.blocks(1, store.last + 1):
        sort_key(Batch(block), column)
    return len(store) / (time.perf_counter() - start)


def write(store: FrameStore, path: Path) -> None:
    """The frames as a pcap file."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for start in range(store.first, store.last + 1, 10_000):
            frames = store.payloads(start, start + 10_000)
            out.write(b"".join(struct.pack("<IIII", 1, 0, len(data), len(data)) + data for data in frames))


def tshark(path: Path, text: str, frames: int) -> tuple[float, int]:
    """Frames a second of tshark -Y, and frames it shows; its stateful parts are off as they are in ours."""
    apart = ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams")
    options = [word for name in apart for word in ("-o", f"{name}:FALSE")]
    command = ["tshark", "-n", "-r", str(path), *options, "-Y", text, "-T", "fields", "-e", "frame.number"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True)
    return frames / (time.perf_counter() - start), done.stdout.count(b"\n")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames in the store")
    parser.add_argument("--tshark-frames", type=int, default=100_000, help="of which tshark reads so many")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each filter, at least one pass")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(argv)
    before = steal_ticks()
    store = filled(options.frames)
    filters: dict[str, dict[str, Any]] = {}
    result: dict[str, Any] = {"frames": len(store), "filters": filters, "keys": {}}
    for text in (*FILTERS, *OURS_ALONE):
        speed, shown = rate(store, text, options.seconds)
        filters[text] = {"frames_per_second": round(speed), "shown": shown}
    for column in SORTS:
        result["keys"][column] = round(key_rate(store, column))
    if shutil.which("tshark"):
        small = filled(min(options.tshark_frames, options.frames))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "frames.pcap")
            write(small, path)
            for text in FILTERS:
                speed, shown = tshark(path, text, len(small))
                entry = filters[text]
                entry["tshark_frames_per_second"] = round(speed)
                entry["same"] = shown * len(store) == entry["shown"] * len(small)
    after = steal_ticks()
    result["steal_percent"] = round(100 * (after[0] - before[0]) / max(after[1] - before[1], 1), 2)
    lines = [f"{len(store):,} frames, steal {result['steal_percent']} %"]
    for text, entry in filters.items():
        theirs = entry.get("tshark_frames_per_second")
        beside = f"   tshark {theirs:>9,}   same frames: {entry['same']}" if theirs else ""
        lines.append(f"{text:42} {entry['frames_per_second']:>12,} /s{beside}")
    lines += [f"{'sort key ' + name:42} {speed:>12,} /s" for name, speed in result["keys"].items()]
    report(result, "\n".join(lines), options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
