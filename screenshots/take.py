"""Takes the pictures of README: real runs, the same on every machine.

A picture is made of a real pair that rests: its two sides are stepped turn by turn, so that every run ends
in the same rings. Only the clock is replaced, so that rates and times do not depend on the machine.

    python screenshots/take.py            writes the pictures beside this file
    python screenshots/take.py --check    exit 1 where the code would draw one differently
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from textual.pilot import Pilot

from capture.play import load_mix
from dataplane.keyframe import Keyframe
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, Kind, Side
from dataplane.snapshot import Snapshot
from dataplane.source import START, Cursor, Events, Frames, RingSource
from inspector.app import RingscopeApp
from inspector.messages import Ticked
from inspector.screens.life import LifeScreen
from inspector.screens.packets import PacketsScreen

HERE = Path(__file__).parent
_EPOCH = 1_790_000_000_000_000_000
_BEAT = 66_666_667  #: ns between two readings
_PACE = 9_000  #: ns between two events
_FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

Play = Callable[[Pilot[Any], "Posed"], Awaitable[None]]


class Posed:
    """A pair at rest behind a clock that moves one beat a reading, shown as if it ran at that pace."""

    def __init__(self, pair: Pair, state: str = "running") -> None:
        self.pair = pair
        self.control = pair.control
        self.probe = pair.probe
        self.identity = pair.identity
        self.beats = 0
        self._state: Any = state
        self._seen: Cursor = START
        self._handled: dict[tuple[int, int], int] = {}

    def advance(self, driver: int = 0, device: int = 0, *, unit: str = "turn") -> None:
        """Steps the driver, then the device."""
        for side, count in ((Side.DRIVER, driver), (Side.DEVICE, device)):
            if count:
                self.pair.step(side, unit, count)  # type: ignore[arg-type]

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        now = _EPOCH + self.beats * _BEAT
        self.beats += 1
        real = self.pair.snapshot(whole)
        queues = tuple(replace(q, time=now, duration=12_000, exact=False) for q in real.queues)
        return replace(real, time=now, queues=queues, state=self._state)

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        events = self.pair.events(since, most=most)
        rows = events.rows.copy()
        rows["time"] = _EPOCH + rows["number"] * _PACE
        return replace(events, rows=rows)

    def frames(self, since: Cursor = START) -> Frames:
        """Each frame has the time at which the device had its buffer in hand, by the events."""
        events = self.events(self._seen)
        self._seen = events.cursor
        for row in events.rows[np.isin(events.rows["kind"], (Kind.NEXT, Kind.COMPLETE))].tolist():
            _, time, place, _, _, kind, _, queue, _, count = row
            for position in range(place, place + max(count, 1)):
                if kind == Kind.NEXT or queue % 2 == 0:
                    self._handled[queue, position] = time - (kind == Kind.COMPLETE) * _PACE // 2
        frames = self.pair.frames(since)
        rows = frames.rows.copy()
        origins = zip(rows["queue"].tolist(), rows["position"].tolist(), strict=True)
        rows["time"] = [self._handled[origin] for origin in origins]
        return replace(frames, rows=rows)

    def keyframe(self, after: int = 0) -> Keyframe | None:
        return self.pair.keyframe(after)

    def memory(self, address: int, length: int) -> bytes:
        return self.pair.memory(address, length)

    def close(self) -> None:
        self.pair.close()


@dataclass(frozen=True)
class Picture:
    """One picture: what runs, at which size, and what is done before it is taken."""

    name: str
    size: tuple[int, int]
    pair: Callable[[], Pair]
    play: Play


async def look(pilot: Pilot[Any], posed: Posed, beats: int = 1) -> None:
    """Reads the pair `beats` times and shows each reading."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    for _ in range(beats):
        tick = replace(app.session.pull(), hertz=15.0, missed=0)
        app.session.tick = tick
        app.post_message(Ticked(tick))
        await pilot.pause()


def _mix(layout: str, **options: Any) -> Pair:
    pair = Pair(layout=layout, frozen=True, **options)  # type: ignore[arg-type]
    pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
    return pair


def _outgoing(layout: str) -> Pair:
    """What the mix sends to the device, as fast as the rings take it."""
    pair = Pair(layout=layout, frozen=True)  # type: ignore[arg-type]
    pair.play(
        PlayFrame(f.offset_ns, f.direction, f.data, f.net_header)
        for f in load_mix()
        if f.direction == TO_DEVICE
    )
    return pair


def _flood(layout: str) -> Pair:
    pair = Pair(layout=layout, frozen=True, start_index=40)  # type: ignore[arg-type]
    pair.flood(sample=1)
    return pair


async def _in_three_states(pilot: Pilot[Any], posed: Posed) -> None:
    """Buffers available, in use and used at once: the driver is ahead, the device is in the middle."""
    for beat in range(90):
        if beat % 7 < 4:
            posed.advance(driver=1 + beat // 30, device=1 + beat // 30)
        await look(pilot, posed)
    posed.advance(driver=3)
    await look(pilot, posed)
    _until_holding(posed, queue=1)
    await look(pilot, posed, 2)


def _until_holding(posed: Posed, queue: int) -> None:
    """Steps the device until it has used some buffers of a queue and holds others."""
    for _ in range(400):
        posed.advance(device=1, unit="operation")
        q = posed.pair.snapshot(()).queue(queue)
        if q.used > q.collected and q.seen > q.used:
            return
    raise RuntimeError("the device never held buffers with others used")


async def rings(pilot: Pilot[Any], posed: Posed) -> None:
    await look(pilot, posed)
    await pilot.press("right_square_bracket")
    await _in_three_states(pilot, posed)


async def _some_traffic(pilot: Pilot[Any], posed: Posed) -> None:
    for _ in range(60):
        posed.advance(driver=1, device=1)
        await look(pilot, posed)
    await pilot.press("2")
    await look(pilot, posed, 2)
    await pilot.press("f")


async def packets(pilot: Pilot[Any], posed: Posed) -> None:
    """A DNS answer, with the bytes of one field lit."""
    await _some_traffic(pilot, posed)
    await pilot.press("slash", *"CNAME web", "enter")
    await _dissected(pilot)
    await pilot.press("tab", "G", "enter")
    await look(pilot, posed)


async def filtered(pilot: Pilot[Any], posed: Posed) -> None:
    """A display filter that holds, and the next one being typed."""
    await _some_traffic(pilot, posed)
    await pilot.press("ampersand", *"tcp or dns", "enter")
    await _viewed(pilot, posed)
    await pilot.press("slash", *"Client Hello", "enter")
    await _dissected(pilot)
    await pilot.press("ampersand", "ctrl+u", *"dns.qry.n")
    await look(pilot, posed)


async def conversations(pilot: Pilot[Any], posed: Posed) -> None:
    """Who talks with whom."""
    await _some_traffic(pilot, posed)
    await pilot.press("c")
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    for _ in range(400):
        await pilot.pause(0.05)
        await look(pilot, posed)
        if app.analysis.through >= app.session.frames.last:
            break
    await pilot.pause(1.0)  # the screen looks twice a second
    await look(pilot, posed)


async def life(pilot: Pilot[Any], posed: Posed) -> None:
    """The buffer of a packet that was sent: each step, and how long the others took."""
    await _some_traffic(pilot, posed)
    await pilot.press("slash", *"GET /vring", "enter")
    await _dissected(pilot)
    await pilot.press("L")
    for _ in range(400):
        await pilot.pause(0.05)
        screen = pilot.app.screen
        if isinstance(screen, LifeScreen) and screen.complete:
            break
    else:
        raise RuntimeError("the life was not read in twenty seconds")
    screen.lifeline.go_to("seen")
    await look(pilot, posed)


async def _viewed(pilot: Pilot[Any], posed: Posed) -> None:
    """Waits for the thread that filters."""
    for _ in range(400):
        await pilot.pause(0.05)
        await look(pilot, posed)
        view = pilot.app.screen
        if isinstance(view, PacketsScreen) and view.packets.shown.complete and view.packets.shown.filter_text:
            return
    raise RuntimeError("the filter was not through in twenty seconds")


async def _dissected(pilot: Pilot[Any]) -> None:
    """Waits for the dissector, which is a process of its own."""
    for _ in range(400):
        await pilot.pause(0.05)
        view = pilot.app.screen
        if isinstance(view, PacketsScreen) and view.dissected:
            return
    raise RuntimeError("the dissector did not answer in twenty seconds")


PICTURES = (
    Picture("rings-split", (140, 44), lambda: _outgoing("split"), rings),
    Picture("rings-packed", (140, 44), lambda: _flood("packed"), rings),
    Picture("rings-small", (80, 24), lambda: _outgoing("split"), rings),
    Picture("packets", (120, 40), lambda: _mix("split"), packets),
    Picture("packets-small", (80, 24), lambda: _mix("split"), packets),
    Picture("packets-filter", (200, 60), lambda: _mix("packed"), filtered),
    Picture("conversations", (120, 40), lambda: _mix("split"), conversations),
    Picture("life", (120, 40), lambda: _mix("split", trace="stores"), life),
)


def plain(svg: str) -> str:
    """Without the web font, which no picture in a page may fetch, and with a name of its own."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    svg = re.sub(r"font-family:\s*[^;]*;", f"font-family: {_FONT};", svg)
    svg = re.sub(r"terminal-\d+", "terminal-0", svg)
    return re.sub(r"[ \t]+\n", "\n", svg).strip() + "\n"


async def draw(picture: Picture) -> str:
    """The picture as SVG."""
    pair = picture.pair()
    posed = Posed(pair)
    assert isinstance(posed, RingSource)
    pair.start()
    app = RingscopeApp(posed, hertz=1e-3)
    app.feed.start = lambda: None  # type: ignore[method-assign]  # this script keeps the beat
    try:
        async with app.run_test(size=picture.size) as pilot:
            await picture.play(pilot, posed)
            await pilot.pause()
            return plain(app.export_screenshot(title=f"ringscope · {picture.name}"))
    finally:
        pair.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="take the pictures of README")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    stale = []
    kept = tempfile.TemporaryDirectory()  # nothing that was typed here before is in a picture
    os.environ["XDG_STATE_HOME"] = kept.name
    for picture in PICTURES:
        if options.names and picture.name not in options.names:
            continue
        svg = asyncio.run(draw(picture))
        path = HERE / f"{picture.name}.svg"
        if not options.check:
            path.write_text(svg, encoding="utf-8")
            print(f"{path.name}: {len(svg):,} bytes")
        elif not path.exists() or path.read_text(encoding="utf-8") != svg:
            stale.append(path.name)
    if options.check:
        print(f"stale: {', '.join(stale)}; run python screenshots/take.py" if stale else "pictures are fresh")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
