"""The workshop: our halves are right, other right ways are right too, and nothing a text does can do harm."""

# ruff: noqa: E501  (tables of texts, one a line)
from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from dataplane.bare import Bare
from dataplane.history import History
from dataplane.keyframe import QueueShape
from dataplane.records import Kind
from dataplane.snapshot import SplitQueue
from dataplane.source import START
from dataplane.workshop import judging, picture, process
from dataplane.workshop.judging import HALVES, Result, run, run_task

DRIVER = HALVES["split-driver"]


@pytest.mark.parametrize("name", list(HALVES))
def test_our_halves_are_right(name: str) -> None:
    report = run(HALVES[name].solution, HALVES[name])
    assert report.right, report.wrong
    assert [result.advice for result in report.results if result.advice] == []


@pytest.mark.parametrize("name", list(HALVES))
def test_a_skeleton_is_a_half_that_fails_at_the_first_thing_missing(name: str) -> None:
    report = run(HALVES[name].skeleton, HALVES[name])
    assert report.wrong is not None
    assert len(report.results) == 1
    assert "returned None" in report.wrong.what


@pytest.mark.parametrize("name", list(HALVES))
def test_every_test_has_a_hint(name: str) -> None:
    half = HALVES[name]
    assert set(half.hints) == {task.name for task in half.tasks}


# other ways that are right


def _changed(*changes: tuple[str, str]) -> str:
    text = DRIVER.solution
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


_ADD_FROM = "            self.memory.store64(at, piece.address)\n"
_LEN = "            self.memory.store32(at + 8, piece.length)\n"
_FLAGS = (
    "            self.memory.store16(at + 12, (NEXT if more else 0) | (WRITE if piece.writable else 0))\n"
    "            self.memory.store16(at + 14, chain[i + 1] if more else 0)\n"
)
_ENTRY = "        self.memory.store16(self.avail + 4 + 2 * (self.idx % self.queue.size), head)\n"
RIGHT = {
    "descriptors backwards": _changed(
        (
            "enumerate(zip(chain, pieces, strict=True)):",
            "reversed(list(enumerate(zip(chain, pieces, strict=True)))):",
        )
    ),
    "two words a descriptor": _changed(
        (
            _LEN + _FLAGS,
            "            flags = (NEXT if more else 0) | (WRITE if piece.writable else 0)\n"
            "            word = piece.length | flags << 32 | (chain[i + 1] if more else 0) << 48\n"
            "            self.memory.store64(at + 8, word)\n",
        )
    ),
    "addresses in halves": _changed(
        (
            _ADD_FROM,
            "            self.memory.store32(at, piece.address & 0xffffffff)\n"
            "            self.memory.store32(at + 4, piece.address >> 32)\n",
        )
    ),
    "the entry before the descriptors": _changed(
        (_ENTRY, ""),
        (
            "        for i, (slot, piece) in enumerate",
            "        self.memory.store16(self.avail + 4 + 2 * (self.idx % self.queue.size), chain[0])\n"
            "        for i, (slot, piece) in enumerate",
        ),
    ),
    "a barrier after every store": _changed(
        (_LEN, _LEN + "            self.memory.barrier()\n"),
        (_ENTRY, _ENTRY + "        self.memory.barrier()\n"),
    ),
    "a free stack": _changed(("self.free.pop(0)", "self.free.pop()")),
    "used.idx looked at twice": _changed(
        (
            "        self.memory.barrier()  # idx before the element\n",
            "        self.memory.load16(self.used + 2)\n        self.memory.barrier()\n",
        )
    ),
    "entries and flags prepared at the start": _changed(
        (
            "        self.free = list(range(queue.size))\n",
            "        self.free = list(range(queue.size))\n"
            "        memory.store16(self.avail, 0)\n"
            "        for i in range(queue.size):\n"
            "            memory.store16(self.avail + 4 + 2 * i, i)\n"
            "            memory.store64(queue.desc + 16 * i, 0)\n",
        )
    ),
    "the index stored for each buffer": _changed(
        (
            "        self.memory.store16(self.avail + 2, self.idx)\n",
            "        for i in range(self.queue.size, -1, -1):\n"
            "            at = (self.idx - i) & 0xFFFF\n"
            "            if (at - self.shown) & 0xFFFF <= self.queue.size:\n"
            "                self.memory.store16(self.avail + 2, at)\n"
            "        self.shown = self.idx\n",
        ),
        ("        self.chains: dict", "        self.shown = queue.start\n        self.chains: dict"),
    ),
}


@pytest.mark.parametrize("way", RIGHT)
def test_other_orders_are_right_too(way: str) -> None:
    report = run(RIGHT[way], DRIVER)
    assert report.right, report.wrong


# texts that are no half, and code that does not behave

_HEAD = "class Driver:\n"
_REST = (
    "    def __init__(self, memory, queue): self.m, self.q = memory, queue\n"
    "    def publish(self): pass\n    def collect(self): return None\n    def kick_needed(self): return True\n"
)
BAD = {
    "": ("there is no class called Driver", 0),
    "class Driver": ("Python cannot read this line: expected ':'", 1),
    "x = 1\n\n  y = 2": ("Python cannot read this line: unexpected indent", 3),
    "import no_such_module": ("ModuleNotFoundError while the text was read: No module named 'no_such_module'", 1),
    "class Driver: pass": ("class Driver has no add()", 0),
    _HEAD + _REST + "    def add(self): return None\n": ("add() must take self and 1 more", 6),
    _HEAD + _REST + "    def add(self, pieces, more): return None\n": ("add() must take self and 1 more", 6),
    _HEAD + _REST + "    def add(self, pieces):\n        return 1 / 0\n": ("add() raised ZeroDivisionError: division by zero", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        return self.add(pieces)\n": ("add() raised RecursionError", 0),
    _HEAD + _REST + "    def add(self, pieces):\n        raise SystemExit(0)\n": ("add() raised SystemExit: 0", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        return input()\n": ("add() raised EOFError", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        return 'head'\n": ("add() returned a str: it returns the head", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        return True\n": ("add() returned True: it returns the head", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        return -1\n": ("add() returned -1: it returns the head", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.store16(1.5, 0)\n": ("add() raised TypeError: an address is an int, not float", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.store16(self.q.desc, 'x')\n": ("a value to store is an int, not str", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.store16(self.q.desc, 1 << 200)\n": ("a value to store has 201 bits", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.store64(self.q.desc, -1)\n": ("does not fit in 64 bits", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.load32(2 ** 64 - 4)\n": ("no part of this queue stands there", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        self.m.load64(-8)\n": ("no part of this queue stands there", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        import os; os._exit(3)\n": ("its process ended with status 3", 0),
    _HEAD + _REST + "    def add(self, pieces):\n        import os; os.kill(os.getpid(), 11)\n": ("its process was killed by SIGSEGV", 0),
    _HEAD + _REST + "    def add(self, pieces):\n        return bytearray(1 << 40)\n": ("add() raised MemoryError", 7),
    _HEAD + _REST + "    def add(self, pieces):\n        import os; os.closerange(3, 99)\n        self.m.barrier()\n": ("during add(): its process ended", 0),
    "# é\x00": ("Python cannot read", 0),
    "(" * 5000: ("Python cannot read", 1),
    "class Driver:\n    def __init__(self, memory, queue):\n        raise KeyError('x')\n    def add(self, p): pass\n"
    "    def publish(self): pass\n    def collect(self): pass\n    def kick_needed(self): pass\n": ("__init__() raised KeyError: 'x'", 3),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=[words[:40] or "empty" for words, _ in BAD.values()])
def test_a_text_that_is_no_half_gets_one_line_and_its_number(text: str) -> None:
    words, line = BAD[text]
    wrong = run(text, DRIVER).wrong
    assert wrong is not None
    assert words in wrong.what
    assert "\n" not in wrong.what
    assert wrong.line == line or not line


ENDLESS = {
    "a loop": ("while True: pass", 7),
    "a loop of loads": ("while True: self.m.load16(self.q.driver_area + 2)", 7),
    "inside C code": ("return sum(range(10 ** 12))", 7),
    "a wait": ("import time; time.sleep(1000)", 7),
    "waits between loads": (
        "import time\n        while True: time.sleep(0.02); self.m.load16(self.q.desc)",
        8,
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_ended_and_its_line_told(name: str) -> None:
    code, line = ENDLESS[name]
    text = _HEAD + _REST + f"    def add(self, pieces):\n        {code}\n"
    wrong = run(text, DRIVER).wrong
    assert wrong is not None
    assert "does not come to an end" in wrong.what
    assert wrong.line == line


def test_a_text_that_does_not_end_is_ended() -> None:
    wrong = run("while True:\n    pass\n", DRIVER).wrong
    assert wrong is not None
    assert "did not come to an end" in wrong.what
    assert wrong.line in (1, 2)


def test_prints_are_shown_with_their_line_and_are_bounded() -> None:
    text = (
        _HEAD + _REST + "    def add(self, pieces):\n        for i in range(100_000): print('\\x1b[31m', i)\n"
    )
    result = run(text, DRIVER).results[0]
    printed = [step for step in result.steps if step.kind == "print"]
    assert printed[0].text == "\x1b[31m 0"  # a screen cleans it
    assert printed[0].line == 7
    assert len(printed) <= 60


STARTS = {
    "os.fork": "os.fork()",
    "os.system": "os.system('true')",
    "os.posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "os.execv": "os.execv('/bin/true', ['true'])",
    "subprocess": "subprocess.Popen(['true'], start_new_session=True)",
    "multiprocessing": "multiprocessing.get_context('fork').Process(target=print).start()",
}


@pytest.mark.parametrize("name", STARTS)
def test_a_half_starts_no_processes(name: str) -> None:
    text = "import multiprocessing, os, subprocess\n" + STARTS[name] + "\n"
    wrong = run(text, DRIVER).wrong
    assert wrong is not None
    assert wrong.what == "RuntimeError while the text was read: a half starts no processes"
    assert wrong.line == 2


def test_the_limits_of_the_process() -> None:
    text = (
        "import resource as r\n"
        + _HEAD
        + "    def __init__(self, memory, queue):\n"
        + "        print(*(r.getrlimit(one)[1] for one in (r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE,\n"
        + "            r.RLIMIT_NPROC, r.RLIMIT_CPU)))\n"
        + _REST.partition("\n")[2]
        + "    def add(self, pieces): return None\n"
    )
    result = run(text, DRIVER).results[0]
    assert [step.text for step in result.steps if step.kind == "print"] == ["1073741824 1048576 0 0 60"]


def test_calls_that_end_one_by_one_have_an_allowance_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that stays below its own allowance may not be made again and again."""
    monkeypatch.setattr(process, "CPU_SECONDS", 0.2)
    spin = "        end = time.process_time() + 0.15\n        while time.process_time() < end: pass\n"
    text = "import time\n" + _changed(
        ("    def collect(self) -> tuple[int, int] | None:\n", "    def collect(self):\n" + spin)
    )
    wrong = run(text, DRIVER).wrong
    assert wrong is not None
    assert "during collect(): the calls of this test took" in wrong.what
    assert "of processor time" in wrong.what


def test_a_run_is_stopped_from_outside() -> None:
    text = _HEAD + _REST + "    def add(self, pieces):\n        while True: pass\n"
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(len(asked) > 5)
        return asked[-1]

    report = run(text, DRIVER, stopped=stopped)
    assert report.wrong is not None
    assert report.wrong.what in ("during add(): it was stopped", "it was stopped")
    assert len(report.results) == 1


def test_a_half_ends_with_the_process_that_watches_it() -> None:
    """Killed outright, so that it can end nothing by itself."""
    text = (
        _HEAD
        + _REST
        + "    def add(self, pieces):\n        import os, time; print(os.getpid()); time.sleep(1000)\n"
    )
    code = (
        "import sys\n"
        "from dataplane.workshop import bench, judging\n"
        "said = bench.Bench.said\n"
        "def heard(self, kind, text, *rest):\n"
        "    if kind == 'print': print(text, flush=True)\n"
        "    said(self, kind, text, *rest)\n"
        "bench.Bench.said = heard\n"
        f"judging.run({text!r}, judging.HALVES['split-driver'])\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as watcher:
        assert watcher.stdout is not None
        half = os.pidfd_open(int(watcher.stdout.readline()))
        watcher.kill()
    try:
        assert select.select([half], [], [], 10.0)[0], "the half outlived what watched it"
    finally:
        os.close(half)


def test_a_text_that_is_too_long_is_not_run() -> None:
    wrong = run("#" * 300_000, DRIVER).wrong
    assert wrong is not None
    assert "has 300,000 characters" in wrong.what


# what is told


def test_each_test_is_told_as_it_ends() -> None:
    told: list[Result] = []
    report = run(DRIVER.solution, DRIVER, told.append, DRIVER.tasks[:3])
    assert tuple(told) == report.results
    assert not report.right  # three of many


def test_a_missing_barrier_says_what_the_device_would_have_done() -> None:
    text = _changed(
        ("        self.memory.barrier()  # descriptors and entries before idx (2.7.13.3.1)\n", "")
    )
    report = run(text, DRIVER)
    wrong = report.wrong
    assert wrong is not None
    assert wrong.would == (
        "The device may see avail.idx = 1 while desc[0].addr is still 0. "
        "Our device, asked now, gives the queue up: BAD_ADDRESS."
    )
    last = report.results[-1].accesses[wrong.access - 1]
    assert (last.where, last.value, last.line) == ("avail.idx", 1, wrong.line)


def test_every_step_has_a_picture_of_the_ring() -> None:
    task = next(task for task in DRIVER.tasks if task.name == "out of order")
    result = run_task(DRIVER.solution, DRIVER, task)
    assert result.shape is not None
    counts = []
    for number, step in enumerate(result.steps):
        queue = picture.snapshot(result.shape, step.moment, number).queue(0)
        assert isinstance(queue, SplitQueue)
        assert queue.driver is None
        assert queue.device is not None
        counts.append((queue.published, queue.seen, queue.used, queue.collected))
        assert sum(queue.owners) == queue.size
        if step.kind == "access" and "avail.idx =" in step.text:
            assert f"avail.idx = {queue.avail_idx} " in step.text + " "
    assert counts == sorted(counts)
    assert counts[-1] == (13, 13, 13, 13)


def test_the_package_of_the_learner_needs_nothing_but_python(tmp_path: Path) -> None:
    """The process of a half must come up fast: what it imports is small."""
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path.append({str(root)!r}); import dataplane.workshop.child; "
        "print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'textual', 'rich', 'scapy')])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# what is journaled of a test


@pytest.mark.parametrize("name", list(HALVES))
def test_the_past_of_a_test_is_exact_and_says_who_wrote(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the half stored stands in the journal as stores of its side, and memory is rebuilt from them."""
    half = HALVES[name]
    side = half.judge.SIDE
    pasts: list[tuple[History, QueueShape, list[bytes]]] = []

    class Kept(Bare):
        def close(self) -> None:
            keyframe = self.keyframe()
            assert keyframe is not None
            shape = keyframe.shapes[0]
            events = self.events(START)
            past = History()
            past.anchor(keyframe)
            past.append(events.rows, events.lost)
            pasts.append((past, shape, [self.memory(at, length) for _, at, length in shape.areas]))
            super().close()

    monkeypatch.setattr(judging, "Bare", Kept)
    for task in half.tasks:
        result = run_task(half.solution, half, task)
        assert result.wrong is None
        past, shape, areas = pasts[-1]
        ((first, last),) = past.reach.exact
        assert last == past.reach.last
        for (_, at, length), now in zip(shape.areas, areas, strict=True):
            assert past.memory(last, at, length) == now
        assert not any(past.memory(first, shape.desc_addr, 16 * shape.size))
        rows = past.rows(first, last)
        stores = rows[(rows["kind"] == Kind.STORE) & (rows["side"] == side)]
        told = [(int(row["place"]), int(row["old"]), int(row["new"])) for row in stores]
        assert told == [(a.address, a.old, a.value) for a in result.accesses if a.what == "store"]


def test_an_error_without_words_is_told_by_its_name() -> None:
    wrong = run("raise MemoryError", DRIVER).wrong
    assert wrong is not None and wrong.what == "MemoryError while the text was read"
