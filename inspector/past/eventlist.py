"""Which events a list shows, by line: all of them, or those that are wanted.

Events are found by number, and most follow each other without a gap, so a list of all of them is a few
ranges. Of a choice the numbers are kept, found piece by piece on a thread while the journal grows. What the
journal has let go of goes from the front.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dataplane.records import Kind, Side
from dataplane.snapshot import Array

if TYPE_CHECKING:
    from dataplane.history import History

Numbers = npt.NDArray[np.uint64]

PIECE = 1 << 15  #: events gone through at a time


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of the events. Empty sets want all."""

    stores: bool = True  #: whether stores are shown among the operations
    queue: int | None = None
    kinds: frozenset[Kind] = frozenset()
    sides: frozenset[Side] = frozenset()

    @property
    def everything(self) -> bool:
        return self == Wanted()

    def mask(self, rows: Array) -> npt.NDArray[np.bool_]:
        """Which of these rows are wanted."""
        kinds = rows["kind"]
        found: npt.NDArray[np.bool_] = kinds != Kind.OWN
        if self.kinds:
            found &= np.isin(kinds, [int(kind) for kind in self.kinds])
        elif not self.stores:
            found &= kinds != Kind.STORE
        if self.queue is not None:
            found &= rows["queue"] == self.queue
        if self.sides:
            found &= np.isin(rows["side"], [int(side) for side in self.sides])
        return found


@dataclass(frozen=True, slots=True)
class Lines:
    """Event numbers in ascending order, in parts; a part is a range or an array of numbers."""

    parts: tuple[range | Numbers, ...] = ()
    starts: tuple[int, ...] = (0,)  #: the first line of each part, and the line after the last

    def __len__(self) -> int:
        return self.starts[-1]

    def number(self, line: int) -> int:
        """The event on a line; IndexError beyond the end."""
        if not 0 <= line < len(self):
            raise IndexError(f"line {line} of {len(self)}")
        at = bisect_right(self.starts, line) - 1
        return int(self.parts[at][line - self.starts[at]])

    def line(self, number: int) -> int:
        """The line of an event, or of the nearest one before it; -1 where there is none."""
        at = bisect_right(self.parts, number, key=_first) - 1
        if at < 0:
            return -1
        part = self.parts[at]
        if isinstance(part, range):
            return self.starts[at] + min(number - part.start, len(part) - 1)
        return self.starts[at] + int(np.searchsorted(part, np.uint64(number), "right")) - 1

    def breaks(self, line: int) -> bool:
        """Whether events are missing between this line and the one before; only ranges tell."""
        at = bisect_right(self.starts, line) - 1
        return 0 < at < len(self.parts) and self.starts[at] == line and isinstance(self.parts[at], range)


def _first(part: range | Numbers) -> int:
    return int(part[0])


def _lines(parts: Iterable[range | Numbers]) -> Lines:
    held = tuple(part for part in parts if len(part))
    starts = np.cumsum([0, *(len(part) for part in held)]).tolist()
    return Lines(held, tuple(starts))


class EventIndex:
    """The lines of one choice of the events of one history. One thread grows it; any may read `lines`."""

    def __init__(self, history: History, wanted: Wanted) -> None:
        self.wanted = wanted
        self.lines = Lines()
        self.through = 0  #: the last event gone through
        self._history = history

    def of(self, history: History) -> bool:
        """Whether these are the events of this history."""
        return self._history is history

    @property
    def progress(self) -> float:
        """How much of the journal has been gone through, 0 to 1."""
        reach = self._history.reach
        if reach.last < reach.first or self.through >= reach.last:
            return 1.0
        return max(self.through - reach.first + 1, 0) / (reach.last - reach.first + 1)

    def grow(self, pieces: int = 1 << 30) -> bool:
        """Go through what is new, at most so many pieces of it. Whether there is more."""
        if self.wanted.everything:
            kept = self._history.kept
            self.lines = _lines(range(part.first, part.last + 1) for part in kept)
            self.through = kept[-1].last if kept else 0
            return False
        reach = self._history.reach
        if not reach.last or self._history.row(reach.last) is None:
            return False
        parts = list(self._kept(reach.first))
        start = max(self.through + 1, reach.first)
        for _ in range(pieces):
            if start > reach.last:
                break
            stop = min(start + PIECE - 1, reach.last)
            rows = self._history.rows(start, stop)
            numbers: Numbers = rows["number"][self.wanted.mask(rows)]
            if len(numbers):
                parts.append(numbers)
            start = stop + 1
        self.lines = _lines(parts)
        self.through = start - 1
        return start <= reach.last

    def _kept(self, first: int) -> Iterable[range | Numbers]:
        for part in self.lines.parts:
            if isinstance(part, range) or int(part[0]) >= first:
                yield part
            elif int(part[-1]) >= first:
                yield part[int(np.searchsorted(part, np.uint64(first))) :]


#: Words that choose several kinds of event, and what they stand for.
_GROUPS: dict[str, tuple[Kind, ...]] = {
    "kick": (Kind.KICK, Kind.KICK_QUIET),
    "call": (Kind.CALL, Kind.CALL_QUIET),
    "quiet": (Kind.KICK_QUIET, Kind.CALL_QUIET),
    "sleep": (Kind.WAIT, Kind.WAKE),
    "notify": (Kind.NOTIFY_ON, Kind.NOTIFY_OFF),
    "trouble": (Kind.BROKEN, Kind.DROP, Kind.QUEUE_RESET, Kind.FAULT),
}
HINT = "such as: publish flush · kick tx0 · device call · trouble · nothing shows all"
CHOICES = (
    ("add publish next complete flush", "what moves a buffer on; any of them"),
    ("collect store status control", "and more: every kind of event by its name"),
    ("kick call quiet notify sleep", "notifications sent or not, asked for; a side asleep and awake"),
    ("trouble", "a queue given up, a frame dropped, a queue reset, a fault that acted"),
    ("driver, device; tx0", "only of this side; only of this queue"),
)


def choose(text: str, queues: dict[str, int], stores: bool = True) -> Wanted:
    """What words choose: kinds of event, sides, queues. ValueError with one line for any other word."""
    kinds: set[Kind] = set()
    sides: set[Side] = set()
    queue: int | None = None
    for word in text.lower().replace(",", " ").split():
        name = word.replace("-", "_")
        if name in _GROUPS:
            kinds.update(_GROUPS[name])
        elif name.upper() in Kind.__members__ and name != "own":
            kinds.add(Kind[name.upper()])
        elif name in ("driver", "device"):
            sides.add(Side[name.upper()])
        elif word in queues:
            if queue not in (None, queues[word]):
                raise ValueError("events of one queue or of all: name one queue at most")
            queue = queues[word]
        else:
            raise ValueError(
                f"{word!r} is no kind of event, no side and no queue: try publish, kick, device, tx0"
            )
    return Wanted(stores, queue, frozenset(kinds), frozenset(sides))
