"""What one evaluation of all rules costs: two queues of 256, eight of 1,024, with and without their rows.

    python tests/bench/doctor.py --json

Each pair floods: first with both sides polling, then with both asleep in between and stopped by one fault
after the other (its queues stand still, so that every rule that asks for rest has something to say); `look`
alone is timed, on a snapshot that was taken before. How long after it counts as stuck a finding is told, at
15 readings a second. Then the throughput of a flood while a session pulls 15
times a second, the doctor in it, divided by that without a session (`observer.py` measures the same, and the
whole app).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from measure import report
from observer import NEEDED, feed_alone

from dataplane.faults import Fault, FaultKind
from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.rules.doctor import STUCK as STUCK_AFTER
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Level
from inspector.diagnosis import HERTZ
from inspector.session import Session

WANTED = {(1, 256): 0.7, (4, 1024): 3.0}  #: ms, by queue pairs and size
STUCK: tuple[FaultKind | None, ...] = (None, "lose_kick", "lose_call", "ignore", "no_collect")
STUCK_FOR = 1.5  #: seconds
LAG = 0.5  #: seconds: a finding comes no later than so long after it could


def looks(pair: Pair, rows: bool, seconds: float) -> list[float]:
    """ms of processor time of each look, once what stands still has stood long enough to be told."""
    doctor, out = Doctor(), []
    patient = time.monotonic() + STUCK_FOR
    while time.monotonic() < patient:
        doctor.look(pair.snapshot(doctor.wants))
        time.sleep(0.05)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        snapshot = pair.snapshot(None if rows else doctor.wants)
        began = time.thread_time()
        doctor.look(snapshot)
        out.append(1e3 * (time.thread_time() - began))
        time.sleep(0.01)
    return out


def case(
    layout: Any, pairs: int, size: int, fault: FaultKind | None, rows: bool, seconds: float
) -> list[float]:
    waits: Any = "poll" if fault is None else "interrupt"
    with Pair(layout=layout, queue_pairs=pairs, queue_size=size, driver=waits, device=waits) as pair:
        pair.flood()
        pair.start()
        time.sleep(0.1)
        if fault is not None:
            side = Side.DRIVER if fault in ("lose_kick", "no_collect") else Side.DEVICE
            for queue in range(2 * pairs):
                pair.inject_fault(Fault(fault, side, queue=queue, count=0))
        return looks(pair, rows, seconds)


def lag(layout: Any, fault: FaultKind) -> float | None:
    """Seconds from the moment at which a queue counts as stuck to the reading that says so; None: it never
    does. The side that would have to act is stopped while both sleep in between."""
    with Pair(layout=layout, queue_size=256, driver="interrupt", device="interrupt") as pair:
        pair.flood()
        pair.control.set_rate(2_000)
        session = Session(pair)
        pair.start()
        end = time.monotonic() + 5
        fresh = True
        while time.monotonic() < end:
            tick = session.pull()
            for finding in tick.findings:
                if finding.level == Level.FAULT:
                    return (tick.snapshot.time - finding.since) / 1e9 - STUCK_AFTER
            if fresh and time.monotonic() > end - 4:
                side = Side.DRIVER if fault in ("lose_kick", "no_collect") else Side.DEVICE
                pair.inject_fault(Fault(fault, side, queue=1 if side == Side.DRIVER else 0, count=0))
                fresh = False
            time.sleep(1 / HERTZ)
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of each case")
    parser.add_argument(
        "--alternations", type=int, default=60, metavar="N", help="of the throughput; 0: none"
    )
    parser.add_argument("--lags", type=int, default=5, metavar="N", help="how often each fault is timed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.alternations < 0 or options.seconds < 0.5:
        parser.error("give half a second a case or more, and no negative number of alternations")
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
    lags: dict[str, list[float]] = {}
    for layout in ("split", "packed"):
        for fault in STUCK[1:]:
            assert fault is not None
            took = [late for late in (lag(layout, fault) for _ in range(options.lags)) if late is not None]
            lags[f"{layout} {fault}"] = took
            if options.lags:
                told = f"{statistics.median(took):.3f} s, at most {max(took):.3f}" if took else "never"
                lines.append(
                    f"{layout:6} {fault:12} told {told} after it counts as stuck,"
                    f" {len(took)} of {options.lags}; wanted {LAG:g}"
                )
    throughput = {}
    for layout in ("split", "packed") if options.alternations else ():
        throughput[layout] = r = feed_alone(layout, options.alternations)
        lines.append(
            f"{layout:6} {r['ratio']:.4f} of the throughput without a session ({r['low']:.4f} to"
            f" {r['high']:.4f}, {r['alternations']} alternations, {r['unwatched_mpps']:.2f} Mpps);"
            f" wanted {NEEDED:g}"
        )
    report(
        {"benchmark": "doctor", "cases": results, "lags": lags, "needed": NEEDED, "throughput": throughput},
        "\n".join(lines),
        options.json,
    )


if __name__ == "__main__":
    main()
