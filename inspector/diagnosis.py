"""The doctor over all that can be watched: a pair that runs, a scenario, a recording. Free of any toolkit.

A pair is read as the screens read it. A scenario is played to its end and then let go for a while: what is
stuck shows by itself. Of a recording every moment of its own time is looked at,
fifteen a second, and the time after its last event as far as it was still being written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from dataplane.records import Kind
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding, Level
from dataplane.snapshot import Snapshot
from dataplane.source import START

if TYPE_CHECKING:
    from dataplane.recording import Recording
    from dataplane.script.playing import Played

HERTZ = 15.0  #: readings a second
_STEP = int(1e9 / HERTZ)


@dataclass
class Diagnosis:
    """What was found so far, in the order in which it appeared, and what of it is there now."""

    found: dict[tuple[str, int | None], Finding] = field(default_factory=dict)
    present: frozenset[tuple[str, int | None]] = frozenset()
    readings: int = 0

    def take(self, findings: tuple[Finding, ...]) -> list[Finding]:
        """The findings of one more reading; those among them that are new."""
        fresh = [finding for finding in findings if finding.key not in self.found]
        self.found |= {finding.key: finding for finding in findings}
        self.present = frozenset(finding.key for finding in findings)
        self.readings += 1
        return fresh

    @property
    def wrong(self) -> bool:
        """Whether anything was found that is more than worth knowing."""
        return any(finding.level > Level.INFO for finding in self.found.values())


def over_scenario(
    played: Played,
    diagnosis: Diagnosis,
    seconds: float,
    wait: Callable[[float], bool],
    *,
    stores: bool = False,
) -> Iterator[Finding]:
    """Every finding of a scenario, once it is played to its end, and of the steps in which both sides are at
    liberty: between others nothing has had its time. With `stores` each store is held against the rows of
    the spec as well. `wait` sleeps and says whether to stop.

    RuntimeError where the script cannot go on, or its rings have no two sides that run.
    """
    doctor, pair, cursor = Doctor(), played.pair, START
    doctor.review.share = None

    def look() -> list[Finding]:
        nonlocal cursor
        snapshot = pair.snapshot()
        if stores:
            events = pair.events(cursor)
            cursor = events.cursor
            doctor.heed(snapshot, events, pair.keyframe)
        return diagnosis.take(doctor.look(snapshot))

    if stores:
        pair.trace("stores")
    fresh: list[Finding] = []
    played.beat = lambda: fresh.extend(look())
    while not played.done:
        played.step()
        yield from fresh
        fresh.clear()
    if played.failed:
        raise RuntimeError(played.outcomes[-1].failure)
    pair.run()
    for _ in range(int(seconds * HERTZ) + 1):
        yield from look()
        if wait(1 / HERTZ):
            return


def over_recording(recording: Recording, diagnosis: Diagnosis) -> Iterator[Finding]:
    """Every finding of a recording, in the order of its time."""
    doctor = Doctor()
    for snapshot in moments(recording):
        yield from diagnosis.take(doctor.look(snapshot))


def moments(recording: Recording, after: int = 0) -> Iterator[Snapshot]:
    """A recording read as it was when it was made: fifteen moments a second of its time, those later than
    `after`, ns since the epoch."""
    history = recording.history
    first, last = history.reach.first, history.reach.last
    if last < first:
        return
    state, seen, known = "running", first - 1, None
    time, end = max(history.time_of(first), after + _STEP if after else 0), history.time_of(last)
    if after and time > max(end, recording.ended):
        return
    while True:
        number = last if time >= end else max(history.number_at(time), first)
        if number > seen:
            rows = history.rows(seen + 1, number)
            stops = rows["kind"][np.isin(rows["kind"], (Kind.FREEZE, Kind.RUN))]
            if len(stops):
                state = "frozen" if stops[-1] == Kind.FREEZE else "running"
            try:
                known = history.at(number)
            except LookupError:
                known = None
            seen = number
        if known is not None:
            yield replace(known, time=time, state="frozen" if state == "frozen" else "running")
        if time >= max(end, recording.ended):
            return
        time += _STEP
