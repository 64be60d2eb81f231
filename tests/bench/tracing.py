"""What journaling costs: buffers a second with tracing off, with operations, with every store; and what
breakpoints cost that are armed and never met.

    python tests/bench/tracing.py --layout packed --json

The flood of `engine.py` (64-byte frames, ring of 256), two threads on a processor each. Trace levels
take turns on one running pair; so do no breakpoints and 64 of every kind that the engine looks at, at level
operations: only neighbours in time are compared, and what is told is the median of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from engine import make, received, sound
from measure import Stopwatch, pin, report, sides

from dataplane.breaks_text import parse
from dataplane.pair import Pair

LEVELS = ("off", "operations", "stores")
FAR = 1 << 60
CONDITION = "if free > 65535"


def armed(packed: bool) -> list[str]:
    """64 rules of every kind that sees rings, none of which can be met."""
    kinds = [f"tx0 {count} > {FAR}" for count in ("published", "seen", "used", "collected")]
    kinds += ["chain > 200", f"kick sent tx0 {CONDITION}", f"call sent rx0 {CONDITION}", "broken", "drop"]
    kinds += [f"tx0 slot 7 {CONDITION}", f"rx0 head 9 {CONDITION}"]
    kinds += [f"wrap flips tx0 {CONDITION}"] if packed else []
    return [kinds[i % len(kinds)] for i in range(64)]


def rate(pair: Pair, seconds: float) -> float:
    before = received(pair)
    watch = Stopwatch(sides())
    time.sleep(seconds)
    return watch.sample(received(pair) - before).value / 1e6


def levels(pair: Pair, seconds: float, rounds: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    for _ in range(rounds):
        for level in LEVELS:
            pair.trace(level)  # type: ignore[arg-type]
            taken[level].append(rate(pair, seconds))
    ratios = {
        level: statistics.median(a / b for a, b in zip(taken[level], taken["off"], strict=True))
        for level in LEVELS
    }
    return {
        level: {"median": statistics.median(taken[level]), "of off": ratios[level], "all": taken[level]}
        for level in LEVELS
    }


def breakpoints(pair: Pair, packed: bool, seconds: float, rounds: int) -> dict[str, Any]:
    rules = [parse(text) for text in armed(packed)]
    pair.trace("operations")
    with_, without = [], []
    for i in range(2 * rounds):
        armed_now = i % 2 == 1
        pair.set_breaks(rules if armed_now else ())
        (with_ if armed_now else without).append(rate(pair, seconds))
    pair.set_breaks(())
    ratio = statistics.median(a / b for a, b in zip(with_, without, strict=True))
    return {
        "rules": len(rules), "none": statistics.median(without), "armed": statistics.median(with_),
        "of none": ratio, "all": [without, with_],
    }  # fmt: skip


def run(layout: str, seconds: float, rounds: int) -> dict[str, Any]:
    with make(layout, 64, ("to_device",)) as pair:
        pair.start()
        pin(sides())
        time.sleep(0.5)
        found = {
            "benchmark": "tracing", "layout": layout, "unit": "Mpps",
            "levels": levels(pair, seconds, rounds),
            "breakpoints": breakpoints(pair, layout == "packed", seconds, rounds),
        }  # fmt: skip
        sound(pair)
    return found


def line(found: dict[str, Any]) -> str:
    told = ", ".join(
        f"{name} {one['median']:.2f} Mpps ({one['of off']:.2f})" for name, one in found["levels"].items()
    )
    breaks = found["breakpoints"]
    return (
        f"{found['layout']:6} {told}; {breaks['rules']} breakpoints {breaks['armed']:.2f} of "
        f"{breaks['none']:.2f} Mpps ({breaks['of none']:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layout", choices=("split", "packed"), default="split")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of one sample")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.seconds <= 0 or options.rounds < 1:
        parser.error("samples have a length, and there is at least one")
    found = run(options.layout, options.seconds, options.rounds)
    report(found, line(found), options.json)


if __name__ == "__main__":
    main()
