"""Time travel: takes every screen to moments of the past and back.

A moment takes some milliseconds to make, so it is made on a thread. Wishes that come while one is at work are
followed one after the other, and only the last of them is made: a key that is held never lags behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dataplane.records import Kind
from dataplane.words.operations import WITHOUT_QUEUE
from inspector.sanitise import one_line
from inspector.session import Session

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.tick import Tick

Unit = Literal["event", "store", "operation", "packet", "second", "lap"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a wish leads: an event number or None for live, and a line for the foot ("" says nothing)."""

    number: int | None
    said: str = ""
    style: str = "past"
    keeps: bool = False  #: the queue that is selected stays selected; else it is the one of the event


#: From the place that the wish before it led to, the next one. LookupError with one line: it leads nowhere.
Wish = Callable[[Session, int | None], Place]


def to_event(number: int | None) -> Wish:
    """The moment after an event, or live."""
    return lambda session, _: Place(number)


def again(_: Session, number: int | None) -> Place:
    """The same moment, with the rows of what is selected now."""
    return Place(number, keeps=True)


def to_time(time: int) -> Wish:
    """The moment at a time, ns since the epoch."""
    return lambda session, _: Place(session.history.number_at(time))


def by_units(unit: Unit, step: int) -> Wish:
    """So many units back or on; from live one goes back from the newest event."""

    def lead(session: Session, number: int | None) -> Place:
        reach = session.history.reach
        if reach.last < reach.first or not reach.last:
            raise LookupError(nothing(session))
        start = min(max(number if number is not None else reach.last, reach.first), reach.last)
        found = session.history.step(start, unit, step)
        if found != start or (number is None and step < 0):
            return Place(found)
        if step > 0:
            end = "the end of the recording" if session.lent else "the newest event; 0 goes back to live"
            if number is None and not session.lent:
                end = "now: , goes back"
            return Place(number, f"this is {end}", "muted")
        begin = "the recording begins here" if session.lent else "this is the first event that there was"
        if reach.first > 1 and not session.lent:
            begin = f"the past kept begins here: {session.history_bytes >> 20} MiB, --history keeps more"
        return Place(found, begin, "muted")

    return lead


def nothing(session: Session) -> str:
    """Why there is no past."""
    level = session.tick.snapshot.logs.trace_level if session.tick is not None else "off"
    if level == "off" and session.source.control is not None:
        return "nothing is journaled, so there is no past: t chooses how much is"
    return "nothing has happened yet that could be gone back to"


class Travel:
    """Follows wishes for one app, one after the other."""

    def __init__(self, app: RingscopeApp) -> None:
        self._app = app
        self._wishes: list[Wish] = []
        self._busy = False
        self._home: int | None = None  # the queue that was selected when the past was entered
        self._led: int | None = None  # the one that an event led to last

    def go(self, wish: Wish) -> None:
        """Follow a wish; on the app's loop. Returns at once."""
        self._wishes.append(wish)
        if not self._busy:
            self._busy = True
            self._app.run_worker(self._run(), group="travel", exit_on_error=False)

    async def _run(self) -> None:
        app = self._app
        try:
            while self._wishes:
                wishes, self._wishes = self._wishes, []
                session = app.session
                try:
                    place, queue, tick = await asyncio.to_thread(_follow, session, wishes)
                except (LookupError, ValueError, RuntimeError) as error:
                    app.tell(str(error.args[0]) if error.args else one_line(error), "flux")
                    continue
                if session is app.session:
                    queue = self._settle(session, queue, tick is not None)
                    session.past = tick
                    app.arrived(queue, place.said, place.style)
        finally:
            self._busy = False

    def _settle(self, session: Session, queue: int, past: bool) -> int:
        """The queue to look at: at live again the one of before, unless somebody chose another meanwhile."""
        chosen = session.selection.queue
        if past:
            if session.past is None:
                self._home = chosen
            self._led = queue
            return queue
        home, led, self._home, self._led = self._home, self._led, None, None
        return home if home is not None and chosen == led else chosen


def _follow(session: Session, wishes: list[Wish]) -> tuple[Place, int, Tick | None]:
    """Where wishes lead, one after the other: the place, the queue to look at there, and the moment."""
    place = Place(session.cursor)
    for wish in wishes:
        place = wish(session, place.number)
    selected = session.selection.queue
    if place.number is None:
        return place, selected, None
    queue = selected if place.keeps else _queue_of(session, place.number)
    whole = None if session.whole is None else {queue}
    return place, queue, session.moment(place.number, whole)


def _queue_of(session: Session, number: int) -> int:
    """The queue in which an event happened; for what concerns none, the one that is selected."""
    row = session.history.row(number)
    if row is None or Kind(int(row["kind"])) in WITHOUT_QUEUE or session.shape(int(row["queue"])) is None:
        return session.selection.queue
    return int(row["queue"])
