"""Playing scenarios under the eyes of the doctor, many at a time in one thread.

A run plays the script of a scenario, lets both sides go on, and ends when a finding is there or enough time
has been proven to pass. Runs are generators: each tells when it wants to go on.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from dataplane.rules.doctor import STUCK, Doctor
from dataplane.rules.finding import Finding, Level
from dataplane.scenario import Played, load
from dataplane.script import actions as a
from dataplane.script.playing import Outcome
from dataplane.snapshot import Snapshot

HERTZ = 15
LONG = STUCK + 0.9  #: seconds, after the script, in which what is stuck must have shown
AT_A_TIME = 24
_MOST = 0.25  #: seconds that one reading proves, as the doctor counts


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario to play: its text, and a key by which its result is known."""

    key: tuple[str, int, bool]  #: entry, variant, with its faults
    text: str
    #: whether it must come as it expects
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What was found first; `codes` all that was ever found, `failure` why it could not be played."""

    key: tuple[str, int, bool]
    first: str  #: "" for nothing above information level
    codes: tuple[str, ...] = ()
    verdict: str = ""
    failure: str = ""
    shown: str = ""  #: the rings in the end, in short
    seconds: float = 0.0  #: after the script


Playing = Generator[float, None, Result]


class Watch:
    """A doctor, what it found first, and how much time it was shown."""

    def __init__(self) -> None:
        self._doctor = Doctor()
        self.first: Finding | None = None
        self.info: Finding | None = None
        self.codes: dict[str, None] = {}
        self.proven = 0.0
        self._last = 0

    def look(self, snapshot: Snapshot) -> None:
        self.proven += min((snapshot.time - self._last) / 1e9, _MOST) if self._last else 0.0
        self._last = snapshot.time
        findings = self._doctor.look(snapshot)
        self.codes.update(dict.fromkeys(one.code for one in findings))
        grave = [one for one in findings if one.level > Level.INFO]
        if self.first is None and grave:
            self.first = grave[0]
        elif self.info is None and findings and not grave:
            self.info = findings[0]


def play(run: Run) -> Playing:
    """The script, then both sides at liberty."""
    watch = Watch()
    try:
        with load(run.text, name=run.key[0]).open() as played:
            yield from script(played, watch.look)
            failed = played.outcomes[-1].failure if played.outcomes else ""
            began, watch.proven = watch.proven, 0.0
            pair = played.pair
            pair.run()
            while watch.proven < LONG and watch.first is None:
                yield time.monotonic() + 1 / HERTZ
                snapshot = pair.snapshot()
                watch.look(snapshot)
            first = watch.first or watch.info
            return Result(
                run.key,
                first.code if first else "",
                tuple(watch.codes),
                first.verdict if first else "",
                failed if run.strict or not played.done else "",
                told(pair.snapshot(())) if run.key[2] else "",
                watch.proven if began >= 0 else 0.0,
            )
    except (ValueError, RuntimeError) as error:
        return Result(run.key, "", failure=str(error))


def script(played: Played, look: Callable[[Snapshot], None]) -> Iterator[float]:
    """All steps; yields when to go on, while both sides are at liberty."""
    while not played.done:
        step = played.next
        assert step is not None
        if not isinstance(step.action, a.Free):
            played.step()
            continue
        moving = played.moving
        assert moving is not None
        moving.journal.begin()
        end = time.monotonic() + step.action.seconds
        played.pair.run()
        while (left := end - time.monotonic()) > 0:
            moving.wire.pump()
            look(played.pair.snapshot())
            yield time.monotonic() + min(left, 1 / HERTZ)
        played.pair.freeze()
        moving.wire.pump()
        moving.journal.read()
        played.outcomes.append(Outcome(step, (), "", (), moving.journal.rows))


def told(snapshot: Snapshot) -> str:
    """Counts and states of each queue, one after the other."""
    words = []
    for queue in snapshot.queues:
        driver, device = queue.driver, queue.device
        assert driver is not None and device is not None
        sleep = ("z" if driver.asleep else ".") + ("Z" if device.asleep else ".")
        kick, call = driver.kick, device.call
        words.append(
            f"{queue.name}/{queue.size} {queue.published}>{queue.seen}>{queue.used}>{queue.collected} {sleep}"
            f" kick {kick.answer} s{kick.sent} r{kick.received} p{kick.pending} l{kick.lost}"
            f" call {call.answer} s{call.sent} r{call.received} p{call.pending} l{call.lost}"
            f" hold {device.holding} unfl {device.unflushed} free {driver.free} drops {device.drops}"
            f"{f' dev {device.broken.name}' if device.broken else ''}"
            f"{f' drv {driver.broken.name}' if driver.broken else ''}"
        )
    return "; ".join(words)


def together(runs: Iterable[Run], most: int = AT_A_TIME) -> Iterator[Result]:
    """All of them, `most` at a time, each when it is ready."""
    waiting = iter(runs)
    going: list[tuple[float, int, Playing]] = []
    number = 0

    def begin() -> None:
        nonlocal number
        for run in waiting:
            number += 1
            heapq.heappush(going, (0.0, number, play(run)))
            return

    for _ in range(most):
        begin()
    while going:
        due, order, playing = heapq.heappop(going)
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)
        try:
            heapq.heappush(going, (next(playing), order, playing))
        except StopIteration as ended:
            yield ended.value
            begin()
