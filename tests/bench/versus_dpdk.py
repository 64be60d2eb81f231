"""Our pair against DPDK's, alternated in one run, so that the machine's mood falls on both.

    python tests/bench/versus_dpdk.py --rig PATH/dpdk_pair.sh --json

PATH holds the rig that joins testpmd's net_virtio_user0 to net_vhost0. Like for like: ring of 256, bursts of
at most 32, 64-byte frames behind a 12-byte header, in_order=1, mrg_rxbuf=0 on both; DPDK in the
configurations that are its best (packed: also vectorised). Each round measures DPDK, then us; the ratio is
that of the medians, with DPDK's best configuration.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import line, run
from measure import report

#: what DPDK is given: name -> arguments of the rig
CONFIGURATIONS: dict[str, dict[str, list[str]]] = {
    "split": {"in_order": ["--in-order", "1", "--mrg", "0"]},
    "packed": {
        "in_order": ["--in-order", "1", "--mrg", "0"],
        "vectorised": ["--in-order", "1", "--mrg", "0", "--vec", "1"],
    },
}
NEEDED = {False: 1.5, True: 2.0}
_LINE = re.compile(r": ([\d.]+) / ([\d.]+) / ([\d.]+) Mpps .*?(\[.*?\])(.*)$", re.MULTILINE)


def dpdk(
    rig: Path, layout: str, knobs: Sequence[str], alone: bool, seconds: float, reps: int, size: int
) -> dict[str, Any]:
    """One launch of the rig: its median in Mpps, and what it said about itself."""
    command = [
        str(rig), layout, *knobs, "--qsize", "256", "--burst", "32", "--size", str(size),
        "--secs", f"{seconds:g}", "--reps", str(reps), "--launches", "1", *(["--one-core"] if alone else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    found = _LINE.search(done.stdout)
    if done.returncode or not found or not float(found[2]):
        last = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise SystemExit(f"versus_dpdk: {rig.name} gave no figure: {last}")
    return {"median": float(found[2]), "path": found[4], "dirty": "DIRTY" in found[5], "line": found[0][2:]}


def compare(rig: Path, layout: str, alone: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Alternates the two for so many rounds."""
    theirs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONFIGURATIONS[layout]}
    ours: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for name, knobs in CONFIGURATIONS[layout].items():
            theirs[name].append(dpdk(rig, layout, knobs, alone, options.seconds, options.reps, options.size))
            print(f"# {number + 1}: DPDK {layout} {name}: {theirs[name][-1]['line']}", file=sys.stderr)
        ours.append(run(layout, options.size, options.seconds, options.reps, alone))
        print(f"# {number + 1}: ours: {line(ours[-1])}", file=sys.stderr)
    medians = {name: statistics.median(one["median"] for one in found) for name, found in theirs.items()}
    best = max(medians, key=medians.__getitem__)
    mine = statistics.median(one["median"] for one in ours)
    dirty = any(one["dirty"] for one in [*ours, *theirs[best]])
    return {
        "layout": layout, "one_core": alone, "ours": mine, "dpdk": medians, "best": best,
        "ratio": mine / medians[best], "needed": NEEDED[alone], "dirty": dirty,
        "rounds": {"ours": ours, "dpdk": theirs},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rig", type=Path, required=True, metavar="FILE", help="dpdk_pair.sh")
    parser.add_argument("--layout", choices=("split", "packed"), action="append", help="default: both")
    parser.add_argument(
        "--one-core", action="store_true", help="only that; default: two threads, then one core"
    )
    parser.add_argument("--two-threads", action="store_true", help="only that")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--reps", type=int, default=5, metavar="N", help="clean samples a round and side")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of one sample")
    parser.add_argument("--size", type=int, default=64, metavar="BYTES")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.rig.is_file():
        parser.error(f"{options.rig} is no file: give the path of dpdk_pair.sh")
    if options.rounds < 1 or options.reps < 1 or options.seconds <= 0:
        parser.error("at least one round of at least one sample of some length")
    cores = [
        alone
        for alone in (False, True)
        if (alone or not options.one_core) and not (alone and options.two_threads)
    ]
    results = [
        compare(options.rig.resolve(), layout, alone, options)
        for layout in options.layout or ["split", "packed"]
        for alone in cores
    ]
    lines = [
        f"{r['layout']:6} {'one core' if r['one_core'] else 'two threads':11}: ours {r['ours']:.2f} Mpps, "
        f"DPDK's best ({r['best']}) {r['dpdk'][r['best']]:.2f} Mpps: {r['ratio']:.2f} times "
        f"(wanted {r['needed']:g}){'  DIRTY' if r['dirty'] else ''}"
        for r in results
    ]
    report({"benchmark": "versus_dpdk", "unit": "Mpps", "results": results}, "\n".join(lines), options.json)


if __name__ == "__main__":
    main()
