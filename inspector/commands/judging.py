"""A half in a file, judged without a screen: for whoever writes in an editor of their own.

ringscope learn 14 --file driver.py
"""

from __future__ import annotations

import sys

from dataplane.workshop.judging import HALVES, TEXT_MAX, Half, Result, run
from inspector.sanitise import clean

_BEFORE = 6  #: steps shown before the one to blame


def judge_file(path: str, half: str) -> int:
    """Prints what is right and what is wrong; 0 all right, 1 something wrong, 2 it cannot be judged."""
    kind = HALVES.get(half)
    if kind is None:
        print(f"ringscope: no half is called {half!r}; there are {', '.join(HALVES)}", file=sys.stderr)
        return 2
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(TEXT_MAX + 1)
    except OSError as error:
        print(f"ringscope: cannot read {clean(path)}: {error.strerror}", file=sys.stderr)
        return 2
    except ValueError:
        print(f"ringscope: {clean(path)} is no UTF-8 text", file=sys.stderr)
        return 2
    print(f"{clean(path)}: {kind.title}, {len(kind.tasks)} tests")
    report = run(text, kind, lambda result: _told(result, kind))
    if report.right:
        print("every test is right\n\nNot judged:")
        for line in kind.not_judged:
            print(f"  {line}")
        return 0
    _explain(path, report.results[-1])
    left = len(kind.tasks) - len(report.results)
    if left:
        print(f"\n{left} more test{'s' if left > 1 else ''} not run")
    return 1


def _told(result: Result, kind: Half) -> None:
    widest = max(len(task.name) for task in kind.tasks)
    state = "right" if result.wrong is None else "WRONG"
    print(f"  {state}  {result.task.name:<{widest}}  {result.task.about}")


def _explain(path: str, result: Result) -> None:
    wrong = result.wrong
    assert wrong is not None
    where = f"{clean(path)}:{wrong.line}: " if wrong.line else f"{clean(path)}: "
    print(f"\n{where}{clean(wrong.what)}")
    if wrong.would:
        print(f"  {clean(wrong.would)}")
    if wrong.section:
        print(f"  VIRTIO 1.3, {wrong.section}")
    steps = result.steps
    at = next(
        (i for i, step in enumerate(steps) if wrong.access and step.access == wrong.access), len(steps) - 1
    )
    if steps:
        print("\nwhat happened, your line first:")
    for i, step in enumerate(steps[max(at - _BEFORE, 0) : at + 1], max(at - _BEFORE, 0)):
        sign = "!" if i == at and wrong.access else " "
        print(f"  {step.line or '':>4} {sign} {clean(step.text)}")
