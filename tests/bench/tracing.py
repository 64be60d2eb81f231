"""What journaling costs: buffers a second with tracing off, with operations, with every store; and what
breakpoints cost that are armed and never met.

    python tests/bench/tracing.py --layout packed --json

The flood of `engine.py` (64-byte frames, ring of 256), two threads on a processor each. Trace levels
take turns on one running pair; so do no breakpoints and 64, at level operations: only neighbours in time
are compared, and what is told is the median of the ratios.
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


def armed(packed: bool, conditions: bool) -> list[str]:
    """64 rules that are never met: of every kind that sees rings, for what does not happen here; or for what
    does, with a condition that never holds."""
    if conditions:
        kinds = [f"tx0 slot {slot} {CONDITION}" for slot in range(8)]
        kinds += [f"kick sent tx0 {CONDITION}", f"call sent rx0 {CONDITION}"]
        kinds += [f"wrap flips tx0 {CONDITION}"] if packed else []
    else:
        kinds = [f"tx0 {count} > {FAR}" for count in ("published", "seen", "used", "collected")]
        kinds += [
            "chain > 200",
            "kick sent rx0",
            "call sent rx0",
            "broken",
            "drop",
            "rx0 slot 7",
            "rx0 head 9",
        ]
        kinds += ["wrap flips rx0"] if packed else []
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


def breakpoints(pair: Pair, packed: bool, conditions: bool, seconds: float, rounds: int) -> dict[str, Any]:
    """Short samples in the order none, armed, armed, none: what drifts falls out."""
    rules = [parse(text) for text in armed(packed, conditions)]
    pair.trace("operations")
    with_, without, ratios = [], [], []
    for _ in range(rounds):
        taken = []
        for now in ((), rules, rules, ()):
            pair.set_breaks(now)
            taken.append(rate(pair, seconds))
            assert not any(rule.hits for rule in pair.breaks_hit()), "a breakpoint that nothing meets was met"
        without.append((taken[0] + taken[3]) / 2)
        with_.append((taken[1] + taken[2]) / 2)
        ratios.append(with_[-1] / without[-1])
    pair.set_breaks(())
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "rules": len(rules), "none": statistics.median(without), "armed": statistics.median(with_),
        "of none": middle, "quartiles": [low, high], "all": [without, with_],
    }  # fmt: skip


def run(layout: str, seconds: float, rounds: int) -> dict[str, Any]:
    with make(layout, 64, ("to_device",)) as pair:
        pair.start()
        pin(sides())
        time.sleep(0.5)
        found = {
            "benchmark": "tracing", "layout": layout, "unit": "Mpps",
            "levels": levels(pair, seconds, rounds),
            "breakpoints": breakpoints(pair, layout == "packed", False, seconds / 8, 8 * rounds),
            "conditions": breakpoints(pair, layout == "packed", True, seconds / 8, 8 * rounds),
        }  # fmt: skip
        sound(pair)
    return found


def line(found: dict[str, Any]) -> str:
    told = ", ".join(
        f"{name} {one['median']:.2f} Mpps ({one['of off']:.2f})" for name, one in found["levels"].items()
    )
    breaks, conditions = found["breakpoints"], found["conditions"]
    return (
        f"{found['layout']:6} {told}; {breaks['rules']} breakpoints {breaks['armed']:.2f} of "
        f"{breaks['none']:.2f} Mpps ({breaks['of none']:.3f}), with conditions looked at "
        f"({conditions['of none']:.3f})"
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
