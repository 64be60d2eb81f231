"""What the frame log costs and carries: a filter on every frame of a flood, and how fast one reader reads.

    python tests/bench/frame_log.py --json

Filter: both sides poll and flood in both directions. Slices of 250 ms with the log off and with the log on
behind a filter that matches nothing (`udp port 53`, run on every frame) take turns; each is compared with
the mean of the two around it. Nothing is logged in either. Reader: the log (64 MiB) is filled with 64-byte
frames, the pair is frozen, and one reader empties it, again and again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from engine import received, sound
from measure import Stopwatch, interval, report, sides

from capture.bpf import compile_bpf
from dataplane.pair import Pair
from dataplane.source import START

SLICE = 0.25  #: seconds
FILTER = "udp port 53"


def filtering(layout: Any, alternations: int) -> dict[str, Any]:
    """The throughput behind the filter, divided by that with the log off."""
    program = compile_bpf(FILTER).instructions
    rates: list[float] = []
    with Pair(layout=layout, driver="poll", device="poll") as pair:
        pair.flood(sample=1)
        pair.log_frames(False)
        pair.start()
        time.sleep(SLICE)
        watched = sides()
        for number in range(2 * alternations + 1):
            pair.log_frames(bool(number % 2), 1, program)
            before, watch = received(pair), Stopwatch(watched)
            time.sleep(SLICE)
            rates.append(watch.sample(received(pair) - before).value)
        logs = pair.snapshot(()).logs
        sound(pair)
    if logs.frames or not logs.frames_filtered:
        raise SystemExit(f"frame_log: {logs.frames} frames were logged, {logs.frames_filtered} filtered")
    ratios = [2 * rates[i] / (rates[i - 1] + rates[i + 1]) for i in range(1, len(rates) - 1, 2)]
    low, high = interval(ratios)
    return {
        "ratio": statistics.median(ratios), "low": low, "high": high,
        "off_mpps": statistics.median(rates[::2]) / 1e6,
        "filtered_mpps": statistics.median(rates[1::2]) / 1e6,
    }  # fmt: skip


def reading(layout: Any, reps: int) -> dict[str, Any]:
    """Frames a second that one reader takes out of a full log."""
    with Pair(layout=layout, driver="poll", device="poll") as pair:
        pair.flood(sample=1)
        pair.start()
        until = time.monotonic() + 30
        while pair.snapshot(()).logs.frames < 600_000 and time.monotonic() < until:
            time.sleep(0.01)
        pair.freeze()
        rates = []
        for _ in range(reps):
            cursor, count, lost, begun = START, 0, 0, time.perf_counter()
            while len((got := pair.frames(cursor)).rows):
                cursor, count, lost = got.cursor, count + len(got.rows), lost + got.lost
            rates.append(count / (time.perf_counter() - begun))
        written = pair.snapshot(()).logs.frames
        if count + lost != written:
            raise SystemExit(f"frame_log: {count} read and {lost} lost of {written}")
    return {"mfps": statistics.median(rates) / 1e6, "frames": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alternations", type=int, default=40, metavar="N")
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.alternations < 1:
        parser.error("at least one alternation")
    told = filtering(options.layout, options.alternations)
    read = reading(options.layout, 7)
    line = (
        f"{options.layout}: behind '{FILTER}' {told['ratio']:.3f} of the throughput with the log off "
        f"({told['low']:.3f} to {told['high']:.3f}; {told['off_mpps']:.2f} Mpps off); "
        f"one reader {read['mfps']:.2f} million frames a second"
    )
    report({"filter": told, "read": read}, line, options.json)


if __name__ == "__main__":
    main()
