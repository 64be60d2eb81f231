"""Whether a stretch of time was undisturbed: on a shared machine only such samples are kept.

    with Clean(*driver.pollers, *device.pollers) as sample:
        time.sleep(1)
    if sample.clean: ...

Not seen is a neighbour on the same physical core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

RUN = 97.0  #: per cent of the time that a thread which polls has to have had its processor
STEAL = 3.0  #: per cent of all processors' time that the hypervisor may have taken
BUSY = 15.0  #: per cent of a processor's time that others may use on a machine that counts as quiet


def _processors() -> Iterator[tuple[int, int, int]]:
    """Idle, stolen and all ticks so far, of each processor."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *words = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(word) for word in words[:8]]
            yield ticks[3] + ticks[4], ticks[7], sum(ticks)


def _ran(task: Path) -> int:
    """Nanoseconds that a thread has spent on a processor; 0 once it has gone."""
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:
        return 0


class Clean:
    """One sample: how much of it the threads given (as /proc folders of a task) ran, and what was stolen."""

    def __init__(self, *tasks: Path) -> None:
        if not tasks:
            raise ValueError("a sample is clean for threads: name at least one")
        self.tasks = tasks
        self.seconds = 0.0
        self.run = 0.0  #: per cent, of the thread that ran least
        self.steal = 0.0  #: per cent, of all processors together

    def __enter__(self) -> Self:
        self._ran = [_ran(task) for task in self.tasks]
        self._ticks = list(_processors())
        self._start = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        passed = max(1, time.monotonic_ns() - self._start)
        self.seconds = passed / 1e9
        least = min(_ran(task) - ran for task, ran in zip(self.tasks, self._ran, strict=True))
        self.run = max(0.0, 100 * least / passed)
        pairs = list(zip(self._ticks, _processors(), strict=False))
        stolen = sum(after[1] - before[1] for before, after in pairs)
        self.steal = 100 * stolen / max(1, sum(after[2] - before[2] for before, after in pairs))

    @property
    def clean(self) -> bool:
        return self.run >= RUN and self.steal < STEAL

    def __str__(self) -> str:
        word = "clean" if self.clean else "dirty"
        return f"{word}: ran {self.run:.0f}%, steal {self.steal:.0f}% of {self.seconds:.2f} s"


def await_quiet(seconds: float) -> bool:
    """Waits, at most so long, for a second in which every processor is all but idle; whether it came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = list(_processors())
        time.sleep(1)
        pairs = zip(before, _processors(), strict=False)
        if all(100 * (new[0] - old[0]) >= (100 - BUSY) * (new[2] - old[2]) for old, new in pairs):
            return True
    return False
