"""What the benchmarks share: who had the processor, whether a sample may count, and numbers in the middle.

A figure of a shared machine means nothing unless the threads really ran: as in DPDK's rig, a sample is
clean only when every polling thread had its processor for 97 % of the time and the hypervisor took less
than 3 %.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RUN_NEEDED = 97.0  #: percent
STEAL_ALLOWED = 3.0  #: percent
TRIES = 6  #: samples taken for each one wanted, at most
ENGINE_THREADS = ("rs-driver", "rs-device")
TASKS = Path("/proc/self/task")


def threads() -> dict[str, list[int]]:
    """Ids of this process's threads by name."""
    found: dict[str, list[int]] = {}
    for task in TASKS.iterdir():
        try:
            found.setdefault((task / "comm").read_text().strip(), []).append(int(task.name))
        except OSError:
            continue
    return found


def cpu_ns(thread: int) -> int:
    """Nanoseconds that a thread of this process has run; 0 where it is gone."""
    try:
        return int((TASKS / str(thread) / "schedstat").read_text().split()[0])
    except OSError:
        return 0


def cpu_without_engine() -> int:
    """Nanoseconds that all threads but the two sides' have run."""
    return sum(
        cpu_ns(thread) for name, ids in threads().items() if name not in ENGINE_THREADS for thread in ids
    )


def steal_ticks() -> tuple[int, int]:
    """Ticks that the hypervisor took, and all, over all processors."""
    stolen = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("cpu") and line[3].isdigit():
            fields = [int(field) for field in line.split()[1:9]]
            stolen += fields[7]
            total += sum(fields)
    return stolen, total


def sides() -> list[int]:
    """The threads of the driver and the device of the one pair that runs; they name themselves."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        found = threads()
        if all(name in found for name in ENGINE_THREADS):
            return [found[name][0] for name in ENGINE_THREADS]
        time.sleep(0.01)
    raise SystemExit("the two sides of the pair did not start")


def pin(watched: Sequence[int]) -> None:
    """Each thread onto a processor of its own, where there are enough."""
    for cpu, thread in zip(sorted(os.sched_getaffinity(0)), watched, strict=False):
        os.sched_setaffinity(thread, {cpu})


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: the figure, each thread's share of a processor and the steal, both in percent."""

    value: float
    run: tuple[float, ...]
    steal: float

    @property
    def clean(self) -> bool:
        return min(self.run, default=100.0) >= RUN_NEEDED and self.steal < STEAL_ALLOWED


class Stopwatch:
    """Times some threads, and the machine, from its making to `sample`."""

    def __init__(self, watched: Sequence[int]) -> None:
        self._threads = watched
        self._steal = steal_ticks()
        self._cpu = [cpu_ns(thread) for thread in watched]
        self._start = time.monotonic_ns()

    def sample(self, count: float) -> Sample:
        """`count` things happened since: a sample of so many a second."""
        elapsed = max(time.monotonic_ns() - self._start, 1)
        run = tuple(
            round(100 * (cpu_ns(thread) - before) / elapsed, 1)
            for thread, before in zip(self._threads, self._cpu, strict=True)
        )
        stolen, total = steal_ticks()
        steal = 100 * (stolen - self._steal[0]) / max(total - self._steal[1], 1)
        return Sample(count * 1e9 / elapsed, run, round(steal, 2))


@dataclass(frozen=True, slots=True)
class Figure:
    """The middle of the clean samples, or of all where fewer than half of those wanted are clean."""

    median: float
    least: float
    most: float
    clean: int
    samples: int
    dirty: bool


def figure(samples: Sequence[Sample], wanted: int) -> Figure:
    clean = [sample.value for sample in samples if sample.clean]
    dirty = 2 * len(clean) < wanted
    values = [sample.value for sample in samples] if dirty else clean
    return Figure(statistics.median(values), min(values), max(values), len(clean), len(samples), dirty)


def interval(values: Sequence[float], *, rounds: int = 2000, seed: int = 1) -> tuple[float, float]:
    """Where the median lies with 95 % confidence, by resampling."""
    dice = random.Random(seed)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(0.025 * rounds)], medians[int(0.975 * rounds)]


def report(result: dict[str, Any], line: str, as_json: bool) -> None:
    """One JSON document, or one line."""
    print(json.dumps(result) if as_json else line)
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """A dataclass as a dict with its properties' verdict."""
    data = asdict(value)
    if isinstance(value, Sample):
        data["clean"] = value.clean
    return data
