"""The audit: a journal in, what was not kept out.

    audit = Audit(source.keyframe())
    pull = source.events(cursor)
    for violation in audit.feed(pull.rows, pull.lost):
        print(violation.row.id, violation.words)

It wants every store (trace level stores). Where some are missing it judges nothing until the next keyframe
that it is given (`anchor`), and begins anew there. What it keeps does not grow.
"""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.keyframe import Keyframe
from dataplane.past.order import Order
from dataplane.records import Kind, Side
from dataplane.rules.conformance.check import Check
from dataplane.rules.conformance.checks import CHECKS
from dataplane.rules.conformance.ring import Buffer, Use
from dataplane.rules.conformance.row import Row, Violation
from dataplane.rules.conformance.scene import Event, Happened, Logged, Scene, Stored
from dataplane.rules.conformance.table import ROWS
from dataplane.snapshot import Array
from dataplane.source import Frames

_STORES = 2  #: the trace level that journals them
_MOST = 256  #: violations kept between two feeds


class Audit:
    """See the module. One thread at a time. `judged` counts the events that were looked at."""

    def __init__(self, keyframe: Keyframe | None = None, checks: Sequence[type[Check]] = CHECKS) -> None:
        self._checks = checks
        self._order: Order | None = Order(keyframe.number + 1 if keyframe else 1)
        self._anchor: Keyframe | None = None
        self._found: list[Violation] = []
        self.judged = 0
        self._begin()
        if keyframe is None:
            self.scene.status = 0  # numbers begin at 1: nothing has happened yet
        else:
            self._meet(keyframe)

    @property
    def follows(self) -> bool:
        """Whether any ring is known: nothing is judged of those that are not."""
        return bool(self.scene.rings)

    def anchor(self, keyframe: Keyframe) -> None:
        """The image of a moment, taken where the rings are not known. Give it before the events behind it."""
        if self._order is None:
            self._order = Order(keyframe.number + 1)
            self._meet(keyframe)
        elif self._anchor is None or keyframe.number > self._anchor.number:
            self._anchor = keyframe

    def skip(self) -> None:
        """Something is left out: what comes next is judged from the next keyframe on."""
        self._anchor = self._order = None
        self._begin()

    def feed(self, rows: Array, lost: int = 0) -> list[Violation]:
        """The rows (EVENT) of one pull, of which `lost` are missing; what they show was not kept."""
        for run in self._order.take(rows, lost) if self._order else ():
            if run.gap:
                self._begin()
            self._take(run.rows)
        if self._anchor is not None and self.scene.number == self._anchor.number:
            self._meet(self._anchor)
        return self._take_found()

    def frames(self, pull: Frames) -> list[Violation]:
        """The same of frames that were logged; give it the events of their time first."""
        for row, start in zip(pull.rows, pull.offsets.tolist(), strict=True):
            frame = Logged(
                queue=int(row["queue"]),
                position=int(row["position"]),
                head=int(row["head"]),
                time=int(row["time"]),
                direction=int(row["direction"]),
                buffers=int(row["buffers"]),
                length=int(row["length"]),
                header_length=int(row["net_header_length"]),
                header=row["net_header"].tobytes(),
                data=pull.data[start : start + int(row["captured"])],
            )
            for framed in self._framed:
                framed(frame)
        return self._take_found()

    def _take_found(self) -> list[Violation]:
        found, self._found = self._found, []
        return found

    # ---- going on -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.scene = Scene()
        self._whole = True  # stores are journaled
        made = [check(self.scene, self._say) for check in self._checks]
        self._began = [c.began for c in made if type(c).began is not Check.began]
        self._stored = [c.stored for c in made if type(c).stored is not Check.stored]
        self._available = [c.available for c in made if type(c).available is not Check.available]
        self._used = [c.used for c in made if type(c).used is not Check.used]
        self._met = [c.met for c in made if type(c).met is not Check.met]
        self._framed = [c.framed for c in made if type(c).framed is not Check.framed]
        self._told = {int(k): [c.told for c in made if k in c.kinds] for k in Kind}

    def _take(self, rows: Array) -> None:
        wanted = rows[(rows["kind"] != Kind.OWN) & (rows["side"] <= Side.DEVICE)]
        for event in map(Event._make, wanted.tolist()):
            if self._anchor is not None and event.number > self._anchor.number:
                self._meet(self._anchor)
            if event.kind in _LEVELS:
                self._whole = event.new == _STORES
            elif event.kind in _STORING and not self._whole:
                self._begin()  # the stores of this operation are missing
                self._whole = False
            for happened in self.scene.take(event):
                self._tell(happened)
        self.judged += len(wanted)

    def _tell(self, happened: Happened) -> None:
        match happened:
            case Event():
                for told in self._told.get(happened.kind, ()):
                    told(happened)
            case Stored():
                for stored in self._stored:
                    stored(happened)
            case Buffer():
                for available in self._available:
                    available(happened)
            case Use():
                for used in self._used:
                    used(happened)

    def _meet(self, keyframe: Keyframe) -> None:
        """The scene has come to where a keyframe was taken; one that comes too late is of no use."""
        self._anchor = None
        if self.scene.number > keyframe.number:
            return
        base = keyframe.base
        self._whole = base.logs.trace_level == "stores" or base.state == "frozen"
        for ring in self.scene.begin(keyframe):
            for began in self._began:
                began(ring)
        for met in self._met:
            met(keyframe)

    def _say(self, row: str, queue: int | None, slot: int | None, words: str) -> None:
        if len(self._found) < _MOST:
            one: Row = ROWS[row]
            self._found.append(Violation(one, queue, self.scene.number, self.scene.time, slot, words))


_LEVELS = frozenset({Kind.FREEZE, Kind.RUN, Kind.LEVEL})
_STORING = frozenset({Kind.ADD, Kind.PUBLISH, Kind.COMPLETE, Kind.FLUSH, Kind.NOTIFY_ON, Kind.NOTIFY_OFF})
