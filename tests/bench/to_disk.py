"""From the frame log to a pcapng file on disk: frames lost at a million 64-byte frames a second; the limit.

    python tests/bench/to_disk.py --json

A pair floods both directions, throttled; `ringscope capture` writes every frame with its ring facts. First at
the rate asked for, then faster by a quarter each time until frames are lost. Written, lost and logged must
add up, in the report, in the file's own statistics and in the engine's counters. `speed` is what really came.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import struct
import tempfile
from pathlib import Path
from typing import Any

from measure import report

from dataplane.pair import Pair
from inspector.commands import capturing

RATE = 1_000_000.0
SECONDS = 10.0
STATISTICS = 76  #: bytes of one interface's block at the end of our files


def frames(pair: Pair) -> int:
    """Frames that crossed the device so far."""
    return sum(queue.device.frames for queue in pair.snapshot(()).queues if queue.device)


def statistics_of(path: Path) -> tuple[int, int, float]:
    """Frames seen and lost, and seconds from the first to the last, as the file itself says."""
    seen, lost, first, last = 0, 0, 1 << 64, 0
    with open(path, "rb") as file:
        file.seek(-2 * STATISTICS, os.SEEK_END)
        for _ in range(2):
            block = file.read(STATISTICS)
            high, low = struct.unpack_from("<II", block, 24)
            first = min(first, high << 32 | low)
            high, low = struct.unpack_from("<II", block, 36)
            last = max(last, high << 32 | low)
            seen += struct.unpack_from("<Q", block, 48)[0]
            lost += struct.unpack_from("<Q", block, 60)[0]
    return seen, lost, (last - first) / 1e9


def one(rate: float, seconds: float, folder: str) -> dict[str, Any]:
    """One capture; what came of it. SystemExit where the counts do not add up."""
    parser = argparse.ArgumentParser()
    capturing.add_options(parser)
    with tempfile.TemporaryDirectory(dir=folder) as room, Pair() as pair:
        path = Path(room) / "flood.pcapng"
        pair.flood()
        pair.log_frames(False)  # so that the first frame logged is the first of the capture
        pair.start()
        pair.set_rate(rate)
        before = os.times()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = capturing.capture(parser.parse_args(["-w", str(path), "--seconds", str(seconds)]), pair)
        after = os.times()
        found = re.match(r"([\d,]+) frames written, ([\d,]+) lost", said.getvalue())
        if code or not found:
            raise SystemExit(f"the capture failed: {said.getvalue()}")
        written, lost = (int(number.replace(",", "")) for number in found.groups())
        logged = pair.snapshot(()).logs.frames
        seen, missing, span = statistics_of(path)
        if not written + lost == logged == seen or lost != missing:
            raise SystemExit(
                f"{written} written and {lost} lost of {logged} logged; the file says {seen}, {missing}"
            )
        return {
            "asked": rate,
            "speed": round(seen / span),
            "written": written,
            "lost": lost,
            "bytes_a_frame": round(path.stat().st_size / max(written, 1), 1),
            "megabytes_a_second": round(path.stat().st_size / span / 1e6),
            "user_s": round(after.user - before.user, 2),  # the two sides of the pair included
            "system_s": round(after.system - before.system, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--most", type=float, default=5.0, help="times the rate, where the search ends")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [one(options.rate, options.seconds, options.folder)]
    while not runs[-1]["lost"] and runs[-1]["asked"] * 1.25 <= options.rate * options.most:
        runs.append(one(runs[-1]["asked"] * 1.25, options.seconds, options.folder))
    whole = [run["speed"] for run in runs if not run["lost"]]
    text = "\n".join(
        f"{run['speed']:,} frames/s: {run['written']:,} written, {run['lost']:,} lost, "
        f"{run['megabytes_a_second']} MB/s"
        for run in runs
    )
    report(
        {
            "benchmark": "to_disk",
            "seconds": options.seconds,
            "at_rate": runs[0],
            "highest_without_loss": max(whole, default=0),
            "runs": runs,
            "passed": runs[0]["lost"] == 0 and runs[0]["speed"] >= 0.98 * options.rate,
        },
        text,
        options.json,
    )


if __name__ == "__main__":
    main()
