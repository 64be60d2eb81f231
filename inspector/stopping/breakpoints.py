"""The breakpoints of a session: those the engine looks at, and those that only a reader can.

A rule of the engine stops the pair right behind the event. A display filter and a finding are looked at with
every reading: the pair is frozen, and the screens are taken to the moment of the past where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from capture.bpf import compile_bpf
from capture.errors import FilterError
from dataplane import features as f
from dataplane.breaks import BreakRule, What, encode
from dataplane.breaks_text import BreakError, parse, text
from dataplane.keyframe import QueueShape
from dataplane.records import Kind
from dataplane.rules.finding import Level
from dataplane.snapshot import Snapshot
from dataplane.source import Control
from inspector.session import Session
from inspector.stopping import stepped
from inspector.tick import Tick

if TYPE_CHECKING:
    from capture.dfilter import Filter

MOST = 256
BADGE = "breaks"


def compiled(line: str, queues: Sequence[str] | None = None) -> BreakRule:
    """A line as a rule, its filter compiled. BreakError says which characters are wrong."""
    try:
        rule = parse(line, compile=lambda text: compile_bpf(text).instructions, queues=queues)
        if rule.what is What.FILTER:
            _display_filter(rule.expression)
    except FilterError as error:
        at = _expression_at(line)
        raise BreakError(str(error), at + error.start, at + error.stop) from None
    return rule


def _display_filter(expression: str) -> Filter:
    from capture.dfilter import compile_filter  # a tenth of a second, for the one kind of rule that needs it

    return compile_filter(expression)


def _expression_at(line: str) -> int:
    """Where the filter of a rule begins."""
    lower = line.lower()
    starts = [at for word in ("bpf ", "filter ") if (at := lower.find(word)) >= 0]
    if not starts:
        return 0
    at = line.find(" ", min(starts)) + 1
    return at + len(line[at:]) - len(line[at:].lstrip())


def check(lines: Sequence[str], shapes: Sequence[QueueShape]) -> None:
    """Whether each line is a rule that queues like these can have; ValueError of one line names the one
    that is wrong."""
    names = [shape.name for shape in shapes]
    for line in lines:
        try:
            rule = compiled(line, names)
            if rule.engine:
                encode([rule], shapes)
        except ValueError as error:
            raise ValueError(f"breakpoint {line!r}: {error}") from None


@dataclass(slots=True)
class Breakpoint:
    """A rule, whether it is on, and how often it was met."""

    rule: BreakRule
    text: str
    on: bool = True
    hits: int = 0
    stopped: int = 0  #: number of the event behind which it stopped the pair last; 0: never
    before: int = 0  #: hits counted before the engine was given its rules last
    shows: Filter | None = field(default=None, repr=False)


class Breakpoints:
    """All breakpoints of one session. Any thread may change them; `watch` runs on the one that reads."""

    def __init__(self, session: Session) -> None:
        self._of = ref(session)
        self._lock = threading.RLock()
        self._all: list[Breakpoint] = []
        self._next = 1
        self._told = 0  #: newest BREAK event that was told of
        self._wrong: frozenset[str] = frozenset()
        self._found: frozenset[tuple[str, int | None]] = frozenset()  #: findings of the reading before
        self.wanted: int | None = None  #: a moment of the past to which the screens shall be taken

    @property
    def _session(self) -> Session:
        session = self._of()
        if session is None:
            raise RuntimeError("the source was let go of")
        return session

    @property
    def all(self) -> tuple[Breakpoint, ...]:
        """In the order in which they were made, their hits brought up to date."""
        with self._lock:
            self._count()
            return tuple(self._all)

    def add(self, line: str) -> Breakpoint:
        """One more, on at once. ValueError with one line where it cannot be had here."""
        names = [queue.name for queue in self._session.source.snapshot(()).queues]
        rule = compiled(line, names)
        with self._lock:
            if len(self._all) >= MOST:
                raise ValueError(f"there are {MOST} breakpoints already: remove one first")
            made = Breakpoint(replace(rule, id=self._next), text(rule))
            if rule.what is What.FILTER:
                made.shows = _display_filter(rule.expression)
            self._count()
            if not self._all and self._session.tick is not None:  # what is wrong already is no news
                self._wrong = _wrongs(self._session.tick.snapshot)
                self._found = frozenset(one.key for one in self._session.tick.findings)
            self._all.append(made)
            try:
                self._arm()
            except (ValueError, RuntimeError):
                self._all.remove(made)
                raise
            self._next += 1
        return made

    def remove(self, number: int) -> None:
        """No longer look at the one with this id."""
        with self._lock:
            self._count()
            self._all = [each for each in self._all if each.rule.id != number]
            self._arm()

    def turn(self, number: int) -> None:
        """On or off."""
        with self._lock:
            self._count()
            for each in self._all:
                if each.rule.id == number:
                    each.on = not each.on
            self._arm()

    def _control(self) -> Control:
        control = self._session.source.control
        if control is None:
            name = self._session.source.identity.name
            raise RuntimeError(f"{name} cannot be stopped: no side of it is ours")
        return control

    def _arm(self) -> None:
        """Give the engine its rules anew; what was counted stays counted."""
        control = self._control()
        given = []
        for each in self._all:
            each.before = each.hits
            if each.on and each.rule.engine:
                given.append(replace(each.rule, skip=max(each.rule.skip - each.hits, 0)))
        control.set_breaks(given)
        on = sum(each.on for each in self._all)
        badges = self._session.badges
        if on:
            badges[BADGE] = (f"◉ {on} break{'s' if on > 1 else ''}", "flux")
        else:
            badges.pop(BADGE, None)
        watches = self._session.watches
        if self._all and self.watch not in watches:
            watches.append(self.watch)

    def _count(self) -> None:
        """Take over what the engine has counted."""
        control = self._session.source.control
        if control is None or not self._all:
            return
        known = {state.id: state for state in control.breaks_hit()}
        for each in self._all:
            state = known.get(each.rule.id)
            if state is not None:
                each.hits = each.before + state.hits
                each.stopped = state.stopped or each.stopped
                each.on = state.armed

    # looked at with every reading

    def watch(self, session: Session, tick: Tick) -> tuple[str, str] | None:
        """What stopped the pair since the reading before, in one line."""
        with self._lock:
            if not self._all:
                return None
            said = self._engine(session, tick)
            for each in self._all:
                if each.on and not each.rule.engine:
                    look = self._filter if each.rule.what is What.FILTER else self._finding
                    said = look(each, session, tick) or said
            self._wrong = _wrongs(tick.snapshot)
            self._found = frozenset(one.key for one in tick.findings)
            return said

    def _engine(self, session: Session, tick: Tick) -> tuple[str, str] | None:
        rows = tick.events.rows
        met = rows[(rows["kind"] == Kind.BREAK) & (rows["number"] > self._told)]
        if not len(met):
            return None
        self._told = int(met["number"][-1])
        made = stepped.of(session)
        if self._told <= made.stepper.seen:
            return None  # a step met it, and has said so
        number, at = int(met[-1]["place"]), int(met[-1]["new"])
        each = next((each for each in self._all if each.rule.id == number), None)
        name = each.text if each is not None else ""
        found = rows[rows["number"] == at]
        told = stepped.tell(found, stepped.shapes_of(session), f"breakpoint {number} · {name}")
        made.told = replace(told, steps=-number, last=max(int(rows["number"][-1]), tick.snapshot.number))
        what = f" · {told.main.brief}" if told.main is not None else ""
        return f"breakpoint {number}: {name}{what}", "flux"

    def _stop(self, each: Breakpoint, session: Session, number: int, why: str) -> tuple[str, str] | None:
        """A rule of ours was met at event `number`: freeze the pair, and ask to be taken there."""
        each.hits += 1
        if each.hits <= each.rule.skip:
            return None
        self._control().freeze()
        each.stopped, self.wanted = number, number
        if each.rule.once:
            each.on = False
        return f"breakpoint {each.rule.id}: {each.text} · {why}", "flux"

    def _filter(self, each: Breakpoint, session: Session, tick: Tick) -> tuple[str, str] | None:
        if not tick.frames_added or each.shows is None or tick.snapshot.state != "running":
            return None
        frames = session.frames
        for block in frames.blocks(frames.last - tick.frames_added + 1, frames.last + 1):
            for at in each.shows.mask(block).nonzero()[0].tolist():
                row = block.rows[at]
                number = _event_of(
                    session, int(row["origin_queue"]), int(row["origin_position"]), row["time"]
                )
                said = self._stop(each, session, number, f"packet {int(row['number']):,}")
                if said is not None:
                    return said
        return None

    def _finding(self, each: Breakpoint, session: Session, tick: Tick) -> tuple[str, str] | None:
        if tick.snapshot.state != "running":
            return None
        rule = each.rule
        for one in tick.findings:
            name = "the device" if one.queue is None else session.queue_name(one.queue)
            meant = rule.expression in ("", one.code) and rule.queue in (None, name)
            if meant and one.level > Level.INFO and one.key not in self._found:
                return self._stop(each, session, tick.snapshot.number, f"{name}: {one.code}: {one.verdict}")
        wrong = sorted(_wrongs(tick.snapshot) - self._wrong)
        if not wrong or rule.expression or rule.queue is not None:
            return None
        return self._stop(each, session, tick.snapshot.number, wrong[0])


def _event_of(session: Session, queue: int, position: int, time: int) -> int:
    """The event at which the device handled a frame; where it is not kept, the last one before its time."""
    try:
        moments = session.history.moments(queue, position)
        moment = moments.completed or moments.seen or moments.available
        return moment.number or session.history.number_at(int(time))
    except (LookupError, ValueError):
        return session.tick.snapshot.number if session.tick is not None else 0


def _wrongs(snapshot: Snapshot) -> frozenset[str]:
    """What a snapshot says is wrong: queues given up, a device that needs a reset, frames that went wrong."""
    found = set()
    for queue in snapshot.queues:
        for name, side in (("driver", queue.driver), ("device", queue.device)):
            if side is not None and side.broken:
                found.add(f"the {name} gave {queue.name} up")
    if snapshot.status & f.STATUS_NEEDS_RESET:
        found.add("the device needs a reset")
    if snapshot.status & f.STATUS_FAILED:
        found.add("the driver has given the device up")
    if any("arrived lost" in note for note in snapshot.notes):
        found.add("frames arrived lost, repeated, reordered or altered")
    return frozenset(found)


_every: WeakKeyDictionary[Session, Breakpoints] = WeakKeyDictionary()


def of(session: Session) -> Breakpoints:
    """The breakpoints of a session; made when they are first asked for."""
    found = _every.get(session)
    if found is None:
        found = _every[session] = Breakpoints(session)
    return found


def arm(session: Session, lines: Sequence[str]) -> None:
    """Breakpoints that were asked for from the start. ValueError of one line names the one that is wrong."""
    for line in lines:
        try:
            of(session).add(line)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"breakpoint {line!r}: {error}") from None


def take_wanted(session: Session) -> int | None:
    """The moment to which the screens shall be taken, once; None: nowhere."""
    found = _every.get(session)
    if found is None or found.wanted is None:
        return None
    number, found.wanted = found.wanted, None
    return number
