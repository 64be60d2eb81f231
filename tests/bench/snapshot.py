"""What a whole snapshot costs in C, without the GIL: microseconds for 256 and 32768 slots, both layouts.

    python tests/bench/snapshot.py --json

The rings are full of buffers and both sides at work; the time is the one that each snapshot carries itself.
`python_us` is the whole call, the decoding included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from measure import report

from dataplane.pair import Pair

SIZES = (256, 32768)
RATE = 200_000  #: frames a second: rings that change, and a processor left for the one who looks


def measure(layout: Any, size: int, count: int) -> dict[str, Any]:
    """The transmit queue of a pair at work."""
    with Pair(layout=layout, queue_size=size, driver="interrupt", device="interrupt") as pair:
        pair.flood()
        pair.set_rate(RATE)
        pair.start()
        durations: list[int] = []
        calls: list[float] = []
        for _ in range(count):
            start = time.perf_counter()
            queue = pair.snapshot(whole={1}).queue(1)
            calls.append((time.perf_counter() - start) * 1e6)
            durations.append(queue.duration)
    durations.sort()
    return {
        "layout": layout,
        "slots": size,
        "median_us": statistics.median(durations) / 1e3,
        "p95_us": durations[int(0.95 * (count - 1))] / 1e3,
        "least_us": durations[0] / 1e3,
        "python_us": statistics.median(calls),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=400, metavar="N", help="snapshots of each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.count < 1:
        parser.error("at least one snapshot")
    results = [measure(layout, size, options.count) for layout in ("split", "packed") for size in SIZES]
    lines = [
        f"{r['layout']:6} {r['slots']:5} slots: {r['median_us']:.1f} us (95 %: {r['p95_us']:.1f}, least "
        f"{r['least_us']:.1f}); the whole call {r['python_us']:.0f} us"
        for r in results
    ]
    report({"benchmark": "snapshot", "results": results}, "\n".join(lines), options.json)


if __name__ == "__main__":
    main()
