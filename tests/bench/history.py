"""What looking back costs over millions of events: a pair at trace level stores, journaled without a loss.

    python tests/bench/history.py --json
    python tests/bench/history.py --events 1000000 --size 256 --layout packed

Each question is asked `--count` times, of random moments, as a scrubber would; milliseconds, middle and
worst. `append_us` is what a pull of 2,000 rows costs, chunks included.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from measure import report

from dataplane.history import History
from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.snapshot import Array
from dataplane.source import START

PULL = 2000  #: rows
STEPS = 100  #: operations of a side between two readings: their rows fit its log
MOST = 1 << 16  #: rows of a side that one reading takes


def journal(layout: Any, size: int, events: int) -> tuple[History, list[float]]:
    """A history of so many events, and what each of its appends took, in microseconds."""
    history = History(budget_bytes=1 << 40)
    took: list[float] = []
    with Pair(layout=layout, queue_size=size, trace="stores", frozen=True) as pair:
        pair.flood()
        pair.start()
        history.anchor(wanted(pair))
        cursor = START
        while history.reach.last < events:
            for side in (Side.DRIVER, Side.DEVICE):
                pair.step(side, "operation", STEPS)
            pulled = pair.events(cursor, most=MOST)
            if pulled.lost:
                raise SystemExit(f"{pulled.lost} rows were lost: fewer operations at a time")
            cursor = pulled.cursor
            append(history, pulled.rows, took)
    return history, took


def wanted(pair: Pair) -> Any:
    keyframe = pair.keyframe()
    if keyframe is None:
        raise SystemExit("the pair does not rest")
    return keyframe


def append(history: History, rows: Array, took: list[float]) -> None:
    for begin in range(0, len(rows), PULL):
        part = rows[begin : begin + PULL].copy()
        start = time.perf_counter()
        history.append(part)
        took.append((time.perf_counter() - start) * 1e6)


def asked(count: int, ask: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of a question: the first time, in the middle, at worst of the others."""
    times = []
    for _ in range(count + 1):
        start = time.perf_counter()
        ask()
        times.append((time.perf_counter() - start) * 1e3)
    return {
        "first_ms": round(times[0], 3),
        "median_ms": round(statistics.median(times[1:]), 3),
        "worst_ms": round(max(times[1:]), 3),
    }


def questions(history: History, size: int, count: int) -> dict[str, dict[str, float]]:
    reach = history.reach
    dice = random.Random(1)
    shape = history.image(reach.last).shapes[1]
    published = history.at(reach.last, ()).queue(1).published

    def number() -> int:
        return dice.randint(reach.first, reach.last)

    near = number()

    def scrub() -> None:
        nonlocal near
        near = min(max(near + dice.randint(-2000, 2000), reach.first), reach.last)
        history.at(near)

    made = {
        "reach": asked(count, lambda: history.reach),
        "at": asked(count, lambda: history.at(number())),
        "at_near": asked(count, scrub),
        "number_at": asked(count, lambda: history.number_at(dice.randint(reach.first_time, reach.last_time))),
        "density": asked(count, lambda: history.density(200)),
        "last_write": asked(
            count, lambda: history.last_write(shape.desc_addr + 16 * dice.randrange(size), 16, number())
        ),
        "last_write_never": asked(count, lambda: history.last_write(shape.desc_addr - 8, 8, number())),
        "moments": asked(count, lambda: history.moments(1, dice.randrange(max(published, 1)))),
    }
    for unit in ("event", "store", "operation", "packet", "second", "lap"):
        for by in (1, -1):
            made[f"step_{unit}_{by}"] = asked(count, lambda u=unit, b=by: history.step(number(), u, b))  # type: ignore[misc]
    made["step_operation_100000"] = asked(count, lambda: history.step(number(), "operation", 100_000))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000, metavar="N")
    parser.add_argument("--size", type=int, default=256, metavar="N", help="descriptors of a queue")
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--count", type=int, default=50, metavar="N", help="times of each question")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.events < 1 or options.count < 1:
        parser.error("at least one event, and one question")
    history, took = journal(options.layout, options.size, options.events)
    results = questions(history, options.size, options.count)
    rows = len(history.rows(1, history.reach.last, own=True))
    stores = int(history.density(1).stores[0])
    lines = [
        f"{options.layout} {options.size}: {history.reach.last:,} events, {rows:,} rows, {stores:,} stores",
        f"append of {PULL} rows: median {statistics.median(took):.0f} us, worst {max(took):.0f} us",
        *(
            f"{name:21} first {r['first_ms']:8.2f} ms, middle {r['median_ms']:.3f}, worst {r['worst_ms']:.2f}"
            for name, r in results.items()
        ),
    ]
    result = {
        "benchmark": "history",
        "layout": options.layout,
        "slots": options.size,
        "events": history.reach.last,
        "rows": rows,
        "stores": stores,
        "append_us": {"median": statistics.median(took), "worst": max(took)},
        "questions": results,
    }
    report(result, "\n".join(lines), options.json)


if __name__ == "__main__":
    main()
