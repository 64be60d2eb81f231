"""Moving a pair by the steps of a scenario: always frozen, one side at a time, so that it repeats.

Whatever goes on is bounded: by the step's own limit, and by an allowance for the whole scenario.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from dataplane.breaks import BreakRule
from dataplane.breaks_text import EVENTS
from dataplane.interleaving import Item
from dataplane.pair import Pair
from dataplane.records import EVENT, Kind, Side
from dataplane.script import actions as a
from dataplane.script.watched import BETWEEN, Watched
from dataplane.script.wire import Wire
from dataplane.snapshot import Array
from dataplane.source import START, Cursor, Unit
from dataplane.stepping import Plan, Stepper

ALLOWANCE = 1_000_000  #: units that a whole scenario may take
_PIECE = 256  #: operations let go at once where nothing is asked in between
_LOG = 1 << 16  #: events of a side that its log holds
_KEPT, _PIECES = 4096, 64
Pull = Callable[[Cursor], tuple[Array, Cursor]]


class Failed(Exception):
    """A step could not be done: one line."""


class Stopped(Exception):
    """A breakpoint ended what was going on."""


class Journal:
    """What a step did, counted: events by queue and kind since `begin`."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._cursor: Cursor = START
        self._newest = 0
        self.counts: Counter[tuple[int, Kind]] = Counter()
        self.stopped: list[int] = []  #: breakpoints that were met
        self._rows: list[Array] = []

    def begin(self) -> None:
        """What happened up to now is not this step's."""
        self.read()
        self.counts.clear()
        self.stopped.clear()
        self._rows.clear()

    @property
    def rows(self) -> Array:
        """The events of the step without the words of a side's own, the newest 4096."""
        return np.concatenate(self._rows)[-_KEPT:] if self._rows else np.zeros(0, EVENT)

    def read(self) -> None:
        """Count what is new."""
        rows, self._cursor = self._pull(self._cursor)
        rows = rows[(rows["kind"] != Kind.OWN) & (rows["number"] > self._newest)]
        if not len(rows):
            return
        self._newest = int(rows["number"][-1])
        self._rows.append(rows[-_KEPT:])
        if len(self._rows) > _PIECES:
            self._rows = [self.rows]
        pairs, counts = np.unique(
            rows["queue"].astype(np.uint32) << 8 | rows["kind"], return_counts=True
        )  # few queues, few kinds
        for both, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self.counts[both >> 8, Kind(both & 0xFF)] += count
        self.stopped += rows["place"][rows["kind"] == Kind.BREAK].tolist()


class Moving:
    """The pair of a scenario, and everything that its steps do to it."""

    def __init__(self, pair: Pair, wire: Wire) -> None:
        self.pair, self.wire = pair, wire
        self.journal = Journal(self._pull)
        self.ack = -1  #: of the last control command; -1: none was answered yet
        self._left = ALLOWANCE
        self._serial = 0
        self._faults: dict[str, tuple[int, ...]] = {}
        self._hits: dict[str, int] = {}  #: of what was taken away
        self._breaks: dict[str, BreakRule] = {}
        self._names: dict[int, str] = {}

    def _pull(self, cursor: Cursor) -> tuple[Array, Cursor]:
        events = self.pair.events(cursor, most=_LOG)
        acks = events.rows[events.rows["kind"] == Kind.CONTROL]
        if len(acks):
            self.ack = int(acks["new"][-1])
        return events.rows, events.cursor

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the breakpoints that ended this step."""
        return tuple(self._names.get(number, "?") for number in self.journal.stopped)

    @property
    def hits(self) -> dict[str, int]:
        """How often each fault acted and each breakpoint was met."""
        found = dict(self._hits)
        acted = {number: hits for number, _, hits in self.pair.faults()}
        found |= {name: sum(acted.get(n, 0) for n in numbers) for name, numbers in self._faults.items()}
        found |= {self._names[state.id]: state.hits for state in self.pair.breaks_hit()}
        return found

    # ---- going on ---------------------------------------------------------------------------------------

    def _go(self, side: Side, unit: Unit, count: int) -> int:
        """Lets one side take so many units; how many it took. Stopped where a breakpoint was met."""
        self.wire.pump()
        taken = self.pair.step(side, unit, count).taken
        self.wire.pump()
        self.journal.read()
        self._charge(taken + 1)
        if self.journal.stopped:
            raise Stopped
        return taken

    def _charge(self, units: int) -> None:
        self._left -= units
        if self._left < 0:
            raise Failed(f"a scenario goes on for {ALLOWANCE:,} operations at most")

    def walk(self, items: Iterable[Item]) -> None:
        """A chosen interleaving; Failed where a side has less to do than it is asked for."""
        for item in items:
            if item.until:
                self._walk_until(item)
                continue
            done = 0
            while done < item.count:
                taken = self._go(item.side, item.unit, min(item.count - done, _PIECE))
                done += taken
                if not taken:
                    what = f"{item.count} {item.unit}{'s' if item.count > 1 else ''}"
                    raise Failed(f"the {item.side.name.lower()} took {done} of {what}: nothing to do")

    def _walk_until(self, item: Item) -> None:
        kinds = EVENTS[item.until]
        indices = self._indices(item.queue)

        def count() -> int:
            return sum(self.journal.counts[index, kind] for index in indices for kind in kinds)

        before = count()
        while count() == before:
            if not self._go(item.side, "operation", 1):
                raise Failed(f"{item.text}: nothing to do before it came")

    def _indices(self, queue: str | None) -> list[int]:
        return [q.index for q in self.pair.snapshot(()).queues if queue in (None, q.name)]

    def whole(self, action: a.Whole) -> None:
        """Buffers all the way round."""
        stepper = Stepper(self.pair, Plan(action.unit, "driver first"))
        for done in range(action.count):
            self.wire.pump()
            step = stepper.step(action.queue)
            self.wire.pump()
            self.journal.read()
            self._charge(len(step.rows))
            if step.breaks:
                raise Stopped
            if not step.taken:
                raise Failed(f"{done} of {action.count} {action.unit}s went through: {step.why}")

    def until(self, sides: tuple[Side, ...], holds: Callable[[], bool] | None, limit: int) -> None:
        """One side after the other as far as it gets, until it holds (None: until all rest)."""
        if holds and holds():
            return
        left, idle = limit, 0
        while idle < len(sides) or self.wire.backlog:
            side = sides[0]
            sides = (*sides[1:], side)
            moved = 0
            while taken := self._go(side, "operation", min(left, 1 if holds else _PIECE)):
                moved += taken
                left -= taken
                if holds and holds():
                    return
                if left <= 0:
                    raise Failed(f"it has not come to pass in {limit:,} operations")
            idle = 0 if moved else idle + 1
        if holds:
            raise Failed("it has not come to pass, and there is nothing more to do")

    def settle(self) -> None:
        """What a pair does when it comes up: buffers posted, control commands answered."""
        self.until((Side.DRIVER, Side.DEVICE), None, 200_000)
        self.journal.begin()

    def free(
        self, seconds: float, watched: Watched | None = None, beat: Callable[[], None] | None = None
    ) -> None:
        """Both sides at liberty, then at rest again; under the eyes of a doctor, until it was shown so much
        time. `beat` is called fifteen times a second meanwhile, and at the end."""
        due = 0.0
        if watched is not None:
            watched.begin()
        self.pair.run()
        began = now = time.monotonic()
        while not self.pair.frozen:
            left = began + seconds - now if watched is None else watched.left(seconds, now - began)
            if left <= 0:
                break
            time.sleep(min(left, 0.002))
            self.wire.pump()
            now = time.monotonic()
            if watched is not None:
                watched.beat(now)
            if beat is not None and now >= due:
                beat()
                due = now + BETWEEN
        if beat is not None and not self.pair.frozen:
            beat()
        self.pair.freeze()
        self.wire.pump()
        self.journal.read()

    # ---- everything else --------------------------------------------------------------------------------

    def send(self, action: a.Send) -> None:
        pairs = self.pair.snapshot(()).queue_pairs
        if action.pair >= pairs:
            raise Failed(f"{action.queue} is not in use: its pair is not among the {pairs} in use")
        for _ in range(action.count):
            for frame in action.frames:
                self._serial += 1
                data = frame.make(self._serial, action.side, action.pair, pairs)
                self.wire.send(action.side, data, frame.net_header, action.pair)

    def inject(self, action: a.Inject) -> None:
        try:
            self._faults[action.name] = tuple(self.pair.inject_fault(one) for one in action.faults)
        except ValueError as error:
            raise Failed(str(error)) from None

    def heal(self, name: str) -> None:
        chosen = list(self._faults) if name == "all" else [name]
        for one in chosen:
            if one not in self._faults:
                raise Failed(f"there is no fault {one} any more, or not yet")
            self._hits[one] = self.hits[one]
            for number in self._faults.pop(one):
                self.pair.heal(number)

    def set_break(self, name: str, rule: BreakRule) -> None:
        number = len(self._names) + 1
        self._names[number] = name
        self._breaks[name] = replace(rule, id=number)
        self._arm()

    def clear(self, name: str) -> None:
        chosen = list(self._breaks) if name == "all" else [name]
        for one in chosen:
            if one not in self._breaks:
                raise Failed(f"there is no breakpoint {one} any more, or not yet")
            self._hits[one] = self.hits[one]
            del self._breaks[one]
        self._arm()

    def _arm(self) -> None:
        try:
            self.pair.set_breaks(tuple(self._breaks.values()))
        except ValueError as error:
            raise Failed(str(error)) from None

    def command(self, action: a.Command) -> None:
        with suppress(TimeoutError):  # it is not waited for: the steps that follow answer it
            self.pair.command(action.cls, action.command, action.data, milliseconds=0)
