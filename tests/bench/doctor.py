"""What one evaluation of all rules costs: two queues of 256, eight of 1,024, with and without their rows.

    python tests/bench/doctor.py --json

Each pair floods, both sides polling, and is then stopped by a fault of one kind after the other (its queues
stand still, so that every rule that asks for rest has something to say); `look` alone is timed, on a
snapshot that was taken before. Throughput with the doctor on is `observer.py`: its feed has the doctor in it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from measure import report

from dataplane.faults import Fault, FaultKind
from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.rules.doctor import Doctor

WANTED = {(1, 256): 0.7, (4, 1024): 3.0}  #: ms, by queue pairs and size
STUCK: tuple[FaultKind | None, ...] = (None, "lose_kick", "lose_call", "ignore", "no_collect")


def looks(pair: Pair, rows: bool, seconds: float) -> list[float]:
    """ms of each look; snapshots come at 15 Hz of the pair's own time, looks follow each other."""
    doctor, out = Doctor(), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        snapshot = pair.snapshot(None if rows else doctor.wants)
        began = time.perf_counter()
        doctor.look(snapshot)
        out.append(1e3 * (time.perf_counter() - began))
        time.sleep(0.01)
    return out


def case(
    layout: Any, pairs: int, size: int, fault: FaultKind | None, rows: bool, seconds: float
) -> list[float]:
    waits: Any = "poll" if fault is None else "auto"
    with Pair(layout=layout, queue_pairs=pairs, queue_size=size, driver=waits, device=waits) as pair:
        pair.flood()
        pair.start()
        time.sleep(0.1)
        if fault is not None:
            side = Side.DRIVER if fault in ("lose_kick", "no_collect") else Side.DEVICE
            for queue in range(2 * pairs):
                pair.inject_fault(Fault(fault, side, queue=queue, count=0))
            time.sleep(1.2)
        return looks(pair, rows, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of each case")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results, lines = [], []
    for (pairs, size), wanted in WANTED.items():
        for layout in ("split", "packed"):
            for fault in STUCK:
                for rows in (False, True):
                    took = case(layout, pairs, size, fault, rows, options.seconds)
                    middle, worst = statistics.median(took), statistics.quantiles(took, n=20)[-1]
                    results.append(
                        {
                            "queues": 2 * pairs, "size": size, "layout": layout, "fault": fault,
                            "rows": rows, "ms": middle, "ms_95": worst, "wanted": wanted, "n": len(took),
                        }
                    )  # fmt: skip
                    lines.append(
                        f"{2 * pairs} x {size:5} {layout:6} {fault or 'flood':12}"
                        f" {'all rows' if rows else 'rows wanted':11} {middle:6.3f} ms"
                        f" (95 %: {worst:6.3f}); wanted {wanted:g}"
                    )
    report({"benchmark": "doctor", "cases": results}, "\n".join(lines), options.json)


if __name__ == "__main__":
    main()
