"""The doctor against public bugs: `python -m tests.stuck [SB-001 ...] [--variants 20 --seed 1]`.

Plays every scenario of tests/scenarios/stuck with its faults and without, and prints what was found first
against what the catalogue calls it. With `--variants` each is played so often with other sizes, indices,
layouts, loads and times. Exit code 0 where each is found and nothing else, 1 where not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.stuck.entries import not_here
from tests.stuck.playing import Result
from tests.stuck.score import Score, chosen, played, runs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stuck", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("only", nargs="*", metavar="ENTRY", help="ids or codes; all without")
    parser.add_argument("--variants", type=int, default=0, help="of each entry so many; 0: as it stands")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-fixed", action="store_true", help="not without their faults")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where to write what went wrong, as scenarios"
    )
    parser.add_argument("--show", action="store_true", help="the rings of what was not found")
    options = parser.parse_args()
    try:
        some = chosen(options.only)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    began = time.monotonic()
    todo = list(runs(some, options.variants, options.seed, repaired=not options.no_fixed))
    score = Score(some, tuple(played(todo)))
    (_matrix if options.variants else _list)(score)
    if options.show or options.variants:
        for one in sorted(score.missed + score.alarms, key=lambda result: result.key):
            print(_wrong(score, one, options.show))
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        texts = {run.key: run.text for run in todo}
        for one in score.missed + score.alarms:
            name = f"{one.key[0]}-{one.key[1]}{'' if one.key[2] else '-fixed'}.toml"
            (options.keep / name).write_text(texts[one.key])
    if not options.only:
        print(f"\nnot here ({len(not_here())}):")
        for name, why in not_here().items():
            print(f"  {name}  {why}")
    faulty = sum(one.key[2] for one in score.results)
    repaired = len(score.results) - faulty
    print(
        f"\n{len(some)} entries, found first {faulty - len(score.missed)} of {faulty},"
        f" silent when fixed {repaired - len(score.alarms)} of {repaired}, {time.monotonic() - began:.0f} s"
    )
    return 1 if score.missed or score.alarms else 0


def _list(score: Score) -> None:
    for entry in score.entries:
        (with_it,) = score.of(entry, True)
        words = "found" if score.good(with_it) else f"{with_it.failure or with_it.first or 'nothing'}"
        fixed = "".join(
            "silent" if score.good(one) else one.failure or one.first for one in score.of(entry, False)
        )
        print(f"{entry.id}  {entry.code:<30} {words:<34} {fixed}")


def _matrix(score: Score) -> None:
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for (code, first), count in score.confusion().items():
        rows[code][first] = count
    for code, found in sorted(rows.items()):
        right = found.get(code, 0)
        others = ", ".join(f"{name} {count}" for name, count in sorted(found.items()) if name != code)
        print(f"{code:<30} {right:>4} of {sum(found.values()):>4}  {others}")


def _wrong(score: Score, one: Result, shown: bool) -> str:
    code = next(entry.code for entry in score.entries if entry.id == one.key[0])
    state = "" if one.key[2] else " fixed"
    line = f"  {one.key[0]}.{one.key[1]}{state}: {code}, got {one.failure or one.first or 'nothing'} {one.verdict}"
    return f"{line}\n      {', '.join(one.codes)}  {one.shown}" if shown else line


if __name__ == "__main__":
    sys.exit(main())
