"""What a user sees of a stuck queue, key by key: `python -m tests.stuck.transcripts [SB-001 ...]`.

A public bug's scenario is played, both sides are let go, and the screens are opened on what is left: the
first look, then at most five keys to the cause and to what proves it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from dataplane.rules.finding import Level
from dataplane.scenario import load
from inspector.app import RingscopeApp
from tests.stuck.entries import entries

SIZE = (110, 34)
PATIENCE = 40.0  #: seconds: nothing depends on it but how long a failure takes
MOST_KEYS = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One bug: the keys, and what each leads to: words that the screen has then."""

    id: str
    keys: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def first(self) -> tuple[str, str]:
        """The code, and the queue: they stand on the first screen already."""
        entry = next(entry for entry in entries() if entry.id == self.id)
        return entry.code, next(step["queue"] for step in entry.document()["do"] if "queue" in step)


@dataclass(frozen=True, slots=True)
class Look:
    """One screen: the key that led there ("" for the first look) and its lines."""

    key: str
    text: str


_PROBED = ("P", ("spare kick",)), ("enter", ("moved",))

#: Ten of different kinds. Words stand on the screen once the key has been followed.
CASES = (
    Case("SB-001", (("4", ("the device was not told", "used.flags")), *_PROBED)),
    Case("SB-034", (("4", ("the driver was not told", "avail.flags")), ("m", ("ago",)), ("3", ("events",)))),
    Case("SB-037", (("4", ("off_wrap names slot 0", "slot 5, wrap 1", "decided with")),)),
    Case(
        "SB-023",
        (
            (
                "4",
                ("told of 3 buffers", "went to sleep without"),
            ),
            ("P", ("spare kick",)),
        ),
    ),
    Case("SB-094", (("4", ("no receive buffer", "a frame waits")), ("enter", ("go there",)))),
    Case("SB-161", (("4", ("INDIRECT_LENGTH", "is computed wrongly")), ("m", ("ago",)))),
    Case("SB-109", (("4", ("those of the", "used_wrap")), ("enter", ()), ("enter", ("AVAIL USED",)))),
    Case("SB-119", (("4", ("the next", "slot 5 of tx0")), ("enter", ()), ("enter", ("descriptors of tx0",)))),
    Case("SB-148", (("4", ("it writes elsewhere", "device's used.idx", "USED_NOT_PUBLISHED")),)),
    Case("SB-088", (("4", ("used.idx is 1, the device means 9", "modulo the queue size")),)),
)


def screen(app: RingscopeApp) -> str:
    """All lines of the screen that is up."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def flat(text: str) -> str:
    """Without line ends: where a line is broken depends on the width."""
    return " ".join(text.split())


async def walk(case: Case, size: tuple[int, int] = SIZE) -> list[Look]:
    """Every look of a case. AssertionError names what did not come."""
    entry = next(entry for entry in entries() if entry.id == case.id)
    with load(entry.file.read_text(), name=entry.id).open() as played:
        while not played.done:
            played.step()
        played.pair.run()
        app = RingscopeApp(played.pair)
        async with app.run_test(size=size) as pilot:
            found = app.session.doctor
            await until(pilot, "a finding", lambda: any(one.level > Level.INFO for one in found.findings))
            code, _ = case.first
            await until(pilot, code, lambda: code in screen(app))
            looks = [Look("", screen(app))]
            for key, words in case.keys:
                await pilot.press(key)
                for word in words:
                    await until(pilot, f"{word!r} behind {key}", lambda word=word: word in flat(screen(app)))
                looks.append(Look(key, screen(app)))
            return looks


async def until(pilot: Pilot[Any], what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"it never came: {what}\n{screen(pilot.app)}"  # type: ignore[arg-type]
        await pilot.pause(0.05)


def main() -> None:
    wanted = sys.argv[1:] or [case.id for case in CASES]
    known = {case.id: case for case in CASES}
    for name in wanted:
        entry = next(entry for entry in entries() if entry.id == name)
        case = known.get(name) or Case(name, (("4", (entry.code,)), ("enter", ()), ("enter", ())))
        print(f"==== {entry.document()['title']}")
        for look in asyncio.run(walk(case)):
            print(f"---- {look.key or 'first look'}")
            print(look.text)


if __name__ == "__main__":
    main()
