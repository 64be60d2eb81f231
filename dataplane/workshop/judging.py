"""A half, judged: every test in its order, until the first that is wrong.

report = run(text, HALVES["split-driver"])
print(report.right, report.results[-1].wrong)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dataplane.bare import Bare
from dataplane.keyframe import QueueShape
from dataplane.workshop import hints, tasks
from dataplane.workshop.bench import Bench, DeviceBench, DriverBench, Step
from dataplane.workshop.judge import Access, Judge, Judged, Wrong
from dataplane.workshop.packed_driver import PackedDriverJudge
from dataplane.workshop.process import Ended, Process
from dataplane.workshop.ring import Queue
from dataplane.workshop.split_device import SplitDeviceJudge
from dataplane.workshop.split_driver import SplitDriverJudge
from dataplane.workshop.tasks import Task

TEXT_MAX = 200_000  #: characters of a half
_HALVES = Path(__file__).parent / "halves"
_LINTER = "# ruff: noqa: F401\n"  #: a skeleton imports what its author will need


@dataclass(frozen=True, slots=True)
class Half:
    """One kind of half: the class to write, its methods with the count of their arguments, its tests."""

    name: str
    title: str
    layout: Literal["split", "packed"]
    class_name: str
    methods: tuple[tuple[str, int], ...]
    tasks: tuple[Task, ...]
    judge: type[Judge]
    bench: type[Bench]
    hints: Mapping[str, tuple[str, ...]]
    not_judged: tuple[str, ...]

    @property
    def skeleton(self) -> str:
        """What a learner begins with."""
        return self._text("skeleton")

    @property
    def solution(self) -> str:
        """Ours. One of many that are right."""
        return self._text("solution")

    def _text(self, kind: str) -> str:
        text = (_HALVES / f"{self.name.replace('-', '_')}_{kind}.py").read_text(encoding="utf-8")
        return text.replace(_LINTER, "")


@dataclass(frozen=True, slots=True)
class Result:
    """How one test went: `wrong` is None where all of it was right. `advice` is no error."""

    task: Task
    wrong: Wrong | None
    steps: tuple[Step, ...]
    accesses: tuple[Access, ...]
    advice: tuple[str, ...]
    shape: QueueShape | None


@dataclass(frozen=True, slots=True)
class Report:
    """What was tried; the tests behind the first that is wrong were not."""

    half: Half
    results: tuple[Result, ...]

    @property
    def right(self) -> bool:
        """Whether every test was run and right."""
        return len(self.results) == len(self.half.tasks) and self.results[-1].wrong is None

    @property
    def wrong(self) -> Wrong | None:
        """The first thing that is wrong."""
        return self.results[-1].wrong if self.results else None


def run(
    text: str,
    half: Half,
    told: Callable[[Result], None] = lambda _: None,
    tasks: Sequence[Task] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Report:
    """Judge a text; `told` hears of each test as it ends. Never raises for anything that the text does.

    `stopped` is asked several times a second: where it says so, the test that is being run ends as wrong.
    """
    results: list[Result] = []
    for task in half.tasks if tasks is None else tasks:
        result = run_task(text, half, task, stopped)
        results.append(result)
        told(result)
        if result.wrong is not None:
            break
    return Report(half, tuple(results))


def run_task(text: str, half: Half, task: Task, stopped: Callable[[], bool] = lambda: False) -> Result:
    """One test, in a process of its own."""
    if len(text) > TEXT_MAX:
        long = Wrong(f"the text has {len(text):,} characters; a half has at most {TEXT_MAX:,}")
        return Result(task, long, (), (), (), None)
    features = f"{'+' if task.event_idx else '-'}event_idx,-indirect_desc"
    with Bare(
        layout=half.layout,
        size=task.size,
        features=features,
        start_index=task.start,
        start_wrap=task.wrap,
        scratch=1 << 16,
    ) as ring:
        keyframe = ring.keyframe()
        assert keyframe is not None
        shape = keyframe.shapes[0]
        judge = half.judge(shape=shape, ring=ring, start=task.start, wrap=task.wrap, event_idx=task.event_idx)
        bench = half.bench(ring, judge)
        judge.seen = bench.accessed
        wrong = _script(text, half, task, bench, shape, stopped)
        return Result(task, wrong, tuple(bench.steps), tuple(judge.accesses), tuple(judge.advice), shape)


def _script(
    text: str, half: Half, task: Task, bench: Any, shape: QueueShape, stopped: Callable[[], bool]
) -> Wrong | None:
    queue = Queue(
        shape.size,
        shape.desc_addr,
        shape.driver_addr,
        shape.device_addr,
        task.event_idx,
        task.start,
        task.wrap,
    )
    try:
        bench.process = Process(text, half.class_name, half.methods, queue, bench.heard, stopped)
    except Ended as ended:
        return Wrong(ended.words, line=ended.line)
    except OSError as error:
        return Wrong(f"no process for your code could be started: {error.strerror}")
    try:
        bench.call("__init__", [], "memory, queue")
        task.run(bench)
    except Judged as judged:
        return judged.wrong
    except Ended as ended:
        return Wrong(ended.words, line=ended.line)
    finally:
        bench.process.close()
    return None


_DRIVER_METHODS = (("add", 1), ("publish", 0), ("collect", 0), ("kick_needed", 0))
_DEVICE_METHODS = (("next", 0), ("complete", 2), ("flush", 0), ("call_needed", 0))

_NOT_JUDGED = (
    "Two sides at the same time: the halves take turns here, and order is judged by barriers.",
    "Whether less than a full barrier would do. It would, but before a notification is decided.",
    "Speed, and how many buffers one call could move.",
    "Indirect tables and IN_ORDER, which are not negotiated here.",
)

HALVES: Mapping[str, Half] = {
    half.name: half
    for half in (
        Half(
            "split-driver",
            "a driver half of a split ring",
            "split",
            "Driver",
            _DRIVER_METHODS,
            tasks.SPLIT_DRIVER,
            SplitDriverJudge,
            DriverBench,
            hints.DRIVER,
            _NOT_JUDGED,
        ),
        Half(
            "split-device",
            "a device half of a split ring",
            "split",
            "Device",
            _DEVICE_METHODS,
            tasks.SPLIT_DEVICE,
            SplitDeviceJudge,
            DeviceBench,
            hints.DEVICE,
            _NOT_JUDGED,
        ),
        Half(
            "packed-driver",
            "a driver half of a packed ring",
            "packed",
            "Driver",
            _DRIVER_METHODS,
            tasks.PACKED_DRIVER,
            PackedDriverJudge,
            DriverBench,
            hints.PACKED_DRIVER,
            _NOT_JUDGED,
        ),
    )
}
