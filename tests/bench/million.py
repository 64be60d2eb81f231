"""The packet list over a million frames: what a paint costs, in a real terminal and without one.

    python tests/bench/million.py --json

A store is filled with frames of 64 to 1500 bytes, and the list scrolls, jumps, filters and sorts at 160x50.
For every step: from the key to the end of the paint that it led to, the processor time of the screen's
thread and the time on the clock, median and worst. `while` a filter or a sort runs the list jumps about.
Then live frames come in (20,000 a second) while it follows, plainly and through a filter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import report
from terminal import in_terminal
from textual.app import App, ComposeResult

from capture.dfilter import compile_filter
from capture.frame import STAGES, Array, records
from capture.play import load_mix
from capture.store import FrameStore
from dataplane.pair import Pair
from inspector import theme
from inspector.collector import leave_alone
from inspector.packets.list import PacketList
from inspector.session import Session

SIZE = (160, 50)
LIMIT = 50.0  #: ms of a paint
FILTER = "tcp and frame.len > 500"
EPOCH = 1_700_000_000_000_000_000
GAP = 900  #: ns between two frames


def batches(count: int, size: int = 8192) -> Iterator[tuple[Array, Array, Array]]:
    """Rows, bytes and offsets of `count` frames like those shipped, made 64 to 1500 bytes long."""
    frames = [frame.data[:1500].ljust(64, b"\0") for frame in load_mix()]
    ways = np.array([frame.direction for frame in load_mix()], np.uint8)
    lengths = np.array([len(frame) for frame in frames])
    starts = np.cumsum(lengths) - lengths
    octets = np.frombuffer(b"".join(frames), np.uint8)
    for first in range(0, count, size):
        which = (np.arange(first, min(first + size, count)) * 7) % len(frames)
        rows = records(len(which))
        rows["time"] = EPOCH + np.arange(first, first + len(which)) * GAP
        rows["length"] = rows["captured"] = lengths[which]
        rows["direction"], rows["origin_queue"] = ways[which], 1 - ways[which]
        rows["origin_position"] = np.arange(first, first + len(which))
        rows["head"], rows["descriptors"], rows["buffers"] = which % 256, 1 + which % 3, 1
        yield rows, octets, starts[which]


def add(store: FrameStore, rows: Array, octets: Array, starts: Array) -> None:
    """Keep frames together with what became of them."""
    first = store.append(rows, octets, starts)
    stages = np.zeros(len(rows), STAGES)
    stages["available"] = rows["time"]
    stages["used"] = (
        rows["time"] + 800 + (rows["origin_position"] * np.uint64(2_654_435_761)) % np.uint64(90_000)
    )
    stages["collected"] = stages["used"] + np.uint64(1500)
    store.set_stages(first, stages)


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Bench(App[None]):
    """Goes through the steps, and leaves what each cost."""

    CSS = "PacketList { height: 1fr; background: $surface; }"

    def __init__(self, session: Session, seconds: float, jumps: int) -> None:
        super().__init__()
        for one in theme.THEMES:
            self.register_theme(one)
        self.theme = theme.RINGSCOPE.name
        self.session = session
        self.results: dict[str, Any] = {}
        self._seconds = seconds
        self._jumps = jumps
        self._painted = asyncio.Event()
        self._dice = random.Random(1)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.variables(self.current_theme)

    def compose(self) -> ComposeResult:
        yield PacketList(self.session)

    def _display(self, *arguments: Any, **keywords: Any) -> None:
        super()._display(*arguments, **keywords)
        self._painted.set()

    def on_ready(self) -> None:
        self.run_worker(self._go())

    @property
    def packets(self) -> PacketList:
        return self.query_one(PacketList)

    async def _step(self, act: Callable[[], object]) -> tuple[float, float]:
        """CPU and wall milliseconds from a key to the end of its paint."""
        self._painted.clear()
        cpu, wall = time.thread_time_ns(), time.monotonic_ns()
        act()
        await asyncio.wait_for(self._painted.wait(), 10)
        return (time.thread_time_ns() - cpu) / 1e6, (time.monotonic_ns() - wall) / 1e6

    def _note(self, name: str, steps: list[tuple[float, float]], **more: Any) -> None:
        cpu, wall = ([step[i] for step in steps] for i in (0, 1))
        self.results[name] = {
            "paints": len(steps),
            "cpu_ms": statistics.median(cpu),
            "cpu_ms_max": max(cpu),
            "wall_ms": statistics.median(wall),
            "wall_ms_max": max(wall),
            **more,
        }

    async def _many(self, name: str, act: Callable[[int], object]) -> None:
        self._note(name, [await self._step(partial(act, turn)) for turn in range(self._jumps)])

    def _jump(self) -> object:
        """To a place other than this: a jump to where the list is would paint nothing."""
        size = len(self.packets.shown)
        before = self.packets.top
        at = self._dice.randrange(size)
        while abs(at - before) < 200 < size // 4:
            at = self._dice.randrange(size)
        self.packets.follow = False
        self.packets.cursor = self.packets.shown.number(at)
        self.packets.reveal(at)
        return at

    async def _while(self, name: str, ask: Callable[[], object]) -> None:
        """Jump about until what was asked for is shown."""
        frames, begun = len(self.session.frames), time.monotonic()
        steps = [await self._step(ask)]
        wanted = self.packets.view
        while not self.packets.shown.complete:
            steps.append(await self._step(self._jump))
        took = time.monotonic() - begun
        self._note(
            name, steps, seconds=took, frames_per_s=frames / took, shown=len(wanted.shown), rss=resident()
        )

    async def _live(self, name: str) -> None:
        """Follow while 20,000 frames a second come in, read fifteen times a second."""
        packets, stop = self.packets, threading.Event()
        packets.follow = True
        before = self.session.frames.last

        def feed() -> None:
            due = time.monotonic()
            for rows, octets, starts in batches(1 << 40, 2000):
                add(self.session.frames, rows, octets, starts)
                due += 0.1
                if stop.wait(max(due - time.monotonic(), 0)):
                    return

        feeder = threading.Thread(target=feed)
        feeder.start()
        steps, until = [], time.monotonic() + self._seconds
        cpu, begun = time.process_time(), time.monotonic()
        while time.monotonic() < until:
            due = time.monotonic() + 1 / 15
            packets.grow()
            if packets.follow and self.session.frames.last > before:
                steps.append(await self._step(packets.refresh))
            await asyncio.sleep(max(due - time.monotonic(), 0))
        stop.set()
        feeder.join()
        took = time.monotonic() - begun
        added = self.session.frames.last - before
        share = (time.process_time() - cpu) / took
        self._note(name, steps, frames_per_s=added / took, process_share=share, shown=len(packets.shown))

    async def _go(self) -> None:
        packets = self.packets
        leave_alone()  # as the app does
        packets.focus()
        packets.grow()
        await asyncio.sleep(0.5)
        packets.action_end(-1)
        await asyncio.sleep(0.2)
        await self._many("line", lambda _: packets.action_move(1))
        await self._many("page", lambda _: packets.action_page(1))
        await self._many("end", lambda turn: packets.action_end(-1 if turn % 2 else 1))
        await self._many("jump", lambda _: self._jump())
        await self._while("while filtering", lambda: packets.set_filter(compile_filter(FILTER)))
        await self._many("jump, filtered", lambda _: self._jump())
        packets.set_filter(None)
        await self._while("while sorting by length", lambda: packets.set_sort("length"))
        await self._many("jump, sorted", lambda _: self._jump())
        await self._while("while sorting by source", lambda: packets.set_sort("source"))
        await self._while("while sorting by latency", lambda: packets.set_sort("latency"))
        await self._live("live, sorted by latency")
        packets.set_sort(None)
        await self._live("live")
        packets.set_filter(compile_filter(FILTER))
        await self._live("live, filtered")
        self.exit()


def inside(frames: int, seconds: float, jumps: int, headless: bool) -> dict[str, Any]:
    """Fill, run, and say what it cost."""
    with Pair() as pair:
        empty = resident()
        session = Session(pair, budget_bytes=1 << 30)
        session.pull()
        for rows, octets, starts in batches(frames):
            add(session.frames, rows, octets, starts)
        filled = resident()
        app = Bench(session, seconds, jumps)
        app.run(headless=headless, size=SIZE if headless else None)
        return {
            "terminal": "none" if headless else "tmux",
            "frames": frames,
            "kept": len(session.frames),
            "held_bytes": session.frames.held_bytes,
            "rss_empty": empty,
            "rss_filled": filled,
            "rss_end": resident(),
            "steps": app.results,
        }


def lines(result: dict[str, Any]) -> list[str]:
    """The numbers of one run for people."""
    made = [
        f"{result['terminal']}: {result['frames']:,} frames; resident {result['rss_filled'] >> 20} MB filled "
        f"(store {result['held_bytes'] >> 20} MB), {result['rss_end'] >> 20} MB at the end"
    ]
    for name, step in result["steps"].items():
        more = f"; {step['frames_per_s']:,.0f} frames/s" if "frames_per_s" in step else ""
        more += f", done in {step['seconds']:.2f} s" if "seconds" in step else ""
        more += f", {step['process_share']:.0%} of a processor" if "process_share" in step else ""
        made.append(
            f"  {name:26} {step['paints']:4} paints: CPU {step['cpu_ms']:5.1f} ms, "
            f"at most {step['cpu_ms_max']:5.1f}; "
            f"clock {step['wall_ms']:5.1f} ms, at most {step['wall_ms_max']:5.1f} (wanted {LIMIT:g}){more}"
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, help="of live frames, each kind")
    parser.add_argument("--jumps", type=int, default=100, metavar="N", help="paints of each kind")
    parser.add_argument("--headless", action="store_true", help="only without a terminal")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.frames < 1000 or options.jumps < 1 or options.seconds <= 0:
        parser.error("at least 1000 frames, one jump and some time")
    size = ["--frames", str(options.frames), "--seconds", str(options.seconds), "--jumps", str(options.jumps)]
    if options.inside:
        result = inside(options.frames, options.seconds, options.jumps, headless=False)
        Path(options.inside).write_text(json.dumps(result))
        return
    results = [inside(options.frames, options.seconds, options.jumps, headless=True)]
    if not options.headless:
        results.append(in_terminal([__file__, *size, "--inside"], columns=SIZE[0], rows=SIZE[1]))
    text = "\n".join(line for result in results for line in lines(result))
    report({"benchmark": "million", "filter": FILTER, "results": results}, text, options.json)


if __name__ == "__main__":
    main()
