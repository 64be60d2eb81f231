"""A recording of ten million events: how long it takes to open, and how many moments a second it shows.

    python tests/bench/recording.py --json

A pair floods its rings on one thread with every store traced; between short runs its journal is read, so that
nothing is missing, and written by the recorder's own writer. The file is opened with its bytes in memory, and
once more after the system was asked to forget them. A scrub is `History.at` with the rows of one queue, at
random places and then at steps of one hundredth of the whole, as a scrubber is dragged.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import report

from dataplane.pair import Pair
from dataplane.past.chunk import cut, make_chunk
from dataplane.past.order import Order
from dataplane.recorded.exporting import export
from dataplane.recorded.recorder import Output
from dataplane.recording import Recording
from dataplane.source import START, Cursor

EVENTS = 10_000_000
OPENED = 2.0  #: seconds
SCRUBBED = 10.0  #: moments a second
_TURNS = 128  #: of each side between two readings: what they write stays within their journal
_KEYFRAME = 1 << 21  #: rows after which the recorder writes a keyframe where the source rests


def make(path: Path, events: int, layout: Any) -> dict[str, Any]:
    """Write a recording of so many events."""
    began = time.perf_counter()
    with Pair(layout=layout) as pair:
        pair.flood()
        pair.log_frames(True, 1 << 16)
        pair.trace("stores")
        output, order = Output(path, pair.identity), Order()
        told: Cursor = START
        logged: Cursor = START
        rows = written = since = 0
        keyframe = pair.keyframe()
        assert keyframe is not None
        pair.run_inline(0.0)  # polling, as under a flood
        output.keyframe(keyframe)
        while written < events:
            for _ in range(_TURNS):
                pair._engine.turn(0)
                pair._engine.turn(1)
            pull = pair.events(told, most=1 << 16)
            told = pull.cursor
            if pull.lost:
                raise SystemExit(f"{pull.lost} events were lost between two readings")
            for run in order.take(pull.rows):
                for piece in cut(run.rows):
                    output.chunk(make_chunk(piece))
                    rows += len(piece)
                    since += len(piece)
                    written = int(piece["number"][-1])
            if since >= _KEYFRAME:
                frames = pair.frames(logged)
                logged = frames.cursor
                if len(frames.rows):
                    output.frames([frames], frames.lost)
                since = 0
        output.state(pair.snapshot(()))
        output.end({"events": written, "events_lost": 0, "frames": 0, "frames_lost": 0})
        output.close()
    return {"events": written, "rows": rows, "bytes": path.stat().st_size, "made_s": _since(began)}


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def forget(path: Path) -> None:
    """Ask the system to let go of what it holds of a file in memory."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def opened(path: Path) -> float:
    """Seconds from the call to the last moment's picture."""
    began = time.perf_counter()
    with Recording(path) as recording:
        if recording.wrong:
            raise SystemExit(recording.wrong)
        recording.snapshot({0})
        return _since(began)


def scrub(path: Path, moments: int) -> dict[str, Any]:
    """Moments a second, at random and dragged; the slowest of each in milliseconds."""
    chance = random.Random(1)
    with Recording(path) as recording:
        reach = recording.history.reach
        span = reach.last - reach.first
        made: dict[str, Any] = {"exact": [list(one) for one in reach.exact]}
        ways = {
            "random": [chance.randint(reach.first, reach.last) for _ in range(moments)],
            "dragged": [reach.first + span * at // 100 for at in (*range(100), *range(100, -1, -1))][
                :moments
            ],
        }
        for name, numbers in ways.items():
            took = []
            for number in numbers:
                began = time.perf_counter()
                recording.history.at(number, {0})
                took.append(time.perf_counter() - began)
            made[name] = {
                "per_second": round(len(took) / sum(took), 1),
                "median_ms": round(statistics.median(took) * 1e3, 2),
                "worst_ms": round(max(took) * 1e3, 2),
                "first_ms": round(took[0] * 1e3, 2),
            }
        began = time.perf_counter()
        recording.history.density(100)
        made["density_s"] = _since(began)
        began = time.perf_counter()
        export(recording, path.with_suffix(".part"), reach.last - span // 10, reach.last)
        made["tenth_exported_s"] = _since(began)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as room:
        path = Path(room) / "flood.ring"
        result = make(path, options.events, options.layout)
        warm = [opened(path) for _ in range(3)]
        forget(path)
        cold = opened(path)
        scrubbed = scrub(path, options.moments)
    result |= {
        "benchmark": "recording",
        "layout": options.layout,
        "open_s": statistics.median(warm),
        "open_cold_s": cold,
        "scrub": scrubbed,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    slowest = min(scrubbed["random"]["per_second"], scrubbed["dragged"]["per_second"])
    result["passed"] = result["open_s"] < OPENED and slowest >= SCRUBBED
    text = (
        f"{result['events']:,} events, {result['rows']:,} rows, {result['bytes'] / 1e6:,.0f} MB: "
        f"opens in {result['open_s']} s ({cold} s from disk); "
        f"{scrubbed['random']['per_second']} moments a second at random, "
        f"{scrubbed['dragged']['per_second']} dragged; density of all in {scrubbed['density_s']} s"
    )
    report(result, text, options.json)


if __name__ == "__main__":
    main()
