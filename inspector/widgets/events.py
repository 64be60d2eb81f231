"""The event list: one line an event, of which only those in sight are ever made, however many there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.records import Kind, Side
from inspector.numbers import count, duration
from inspector.past.eventlist import Lines
from inspector.sanitise import clean
from inspector.widgets.keys import key
from inspector.widgets.pane import Piece, ScrollPane, line, title

if TYPE_CHECKING:
    from inspector.session import Session

_TROUBLE = {Kind.BROKEN, Kind.DROP, Kind.QUEUE_RESET}
_QUIET = {Kind.WAIT, Kind.WAKE, Kind.KICK_QUIET, Kind.CALL_QUIET, Kind.NOTIFY_ON, Kind.NOTIFY_OFF}
_CACHED = 1024  #: events whose words are kept
_TOGETHER = 4096  #: numbers as close as this are read in one piece
_WALL_AT = 96  #: columns from which the time of day has room


class Line:
    """One event as the list shows it, made once."""

    __slots__ = ("after", "kind", "number", "queue", "side", "time", "trouble", "what")

    def __init__(self, row: np.void, before: int | None, session: Session) -> None:
        self.number, self.time = int(row["number"]), int(row["time"])
        self.side = "driver" if int(row["side"]) == Side.DRIVER else "device"
        self.kind = int(row["kind"])
        self.queue, self.what = split_words(session.words(row), self.side)
        self.after = self.time - before if before is not None else None
        self.trouble = self.kind in _TROUBLE


def split_words(words: str, side: str) -> tuple[str, str]:
    """A sentence about an event as its queue and the rest; its side has a column of its own."""
    parts = [clean(part) for part in words.split(" · ")]
    if parts and parts[0] == side:
        parts.pop(0)
    queue = parts.pop(0) if len(parts) > 1 and " " not in parts[0] else ""
    what = " · ".join(parts).removeprefix(f"{side} ").removeprefix(f"the {side} ")
    return queue, what


class EventList(ScrollPane):
    """Events in the order of their numbers; the line under the cursor is the moment that is shown.

    While nothing of the past is shown it keeps to the newest.
    """

    HELP = (
        "Every event that is journaled. Moving the cursor takes every screen to the moment after that event."
    )
    BINDING_GROUP_TITLE = "Events"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("events.up", "up,k", "move(-1)", "up", "The moment of the line above"),
        key("events.down", "down,j", "move(1)", "down", "The moment of the line below"),
        key("events.pageup", "pageup", "page(-1)", "page up", "A page back"),
        key("events.pagedown", "pagedown", "page(1)", "page down", "A page on"),
        key("events.first", "home,g", "end(-1)", "first", "The oldest event kept"),
        key("events.last", "end,G", "end(1)", "last", "The newest event"),
        key("events.enter", "enter", "rings", "rings then", "The rings as they were then", show=True),
    ]
    HEAD = 2

    class Chosen(Message):
        """Go to the moment after this event."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Entered(Message):
        """See the rings at the moment shown."""

    def __init__(self, session: Callable[[], Session], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.held = Lines()
        self.cursor: int | None = None  #: number of the event whose moment is shown; None: live
        self.about = ""  #: what of the events is shown
        self.progress = 1.0
        self.explained: Callable[[], str] = lambda: ""
        self._session = session
        self._made: dict[int, Line] = {}
        self._sight: list[int] = []
        self._astray = False  # the line of the cursor is not found yet
        self._wish: int | None = None  # where keys have led that is not shown yet

    def put(self, lines: Lines) -> None:
        """Show these lines; the one that is read stays where it is."""
        before, top, cursor = self.held, self.top, self.cursor
        self.held = lines
        self.set_lines(len(lines))
        if cursor is None:
            self.scroll_to_line(max(len(lines) - self.room, 0))
        elif self._astray:
            if len(lines) and (lines.number(len(lines) - 1) >= cursor or self.progress >= 1):
                self._astray = False
                self._show_around(max(lines.line(cursor), 0))
        elif top < len(before) and (at := lines.line(before.number(top))) >= 0 and at != top:
            self.scroll_to_line(at)
        self.refresh()

    def forget(self) -> None:
        """Other events, or another source: make every line anew, and find the cursor again."""
        self._made.clear()
        self._astray = True
        self.put(Lines())

    def go(self, number: int | None) -> None:
        """Stand on an event, or at the newest."""
        self.cursor, self._wish = number, None
        if number is None:
            self.scroll_to_line(max(len(self.held) - self.room, 0))
        elif (at := self.held.line(number)) >= 0:
            self._show_around(at)
        self.refresh()

    def _show_around(self, at: int) -> None:
        """Bring a line into sight with some of what came before and after it."""
        margin = min(4, (self.room - 1) // 2)
        self.reveal(max(at - margin, 0) if at < self.top + margin else min(at + margin, len(self.held) - 1))

    # lines

    def prepare(self) -> None:
        stop = min(self.top + self.room, len(self.held))
        self._sight = [self.held.number(at) for at in range(self.top, stop)]
        if any(number not in self._made for number in self._sight):
            if len(self._made) > _CACHED:
                self._made.clear()
            self._make()

    def _make(self) -> None:
        """The lines in sight, and the time since the line above each."""
        session = self._session()
        history = session.history
        numbers = [self.held.number(self.top - 1)] if self.top else []
        numbers += self._sight
        if numbers[-1] - numbers[0] <= _TOGETHER:
            wanted = set(numbers)
            rows = [row for row in history.rows(numbers[0], numbers[-1]) if int(row["number"]) in wanted]
        else:
            rows = [row for row in map(history.row, numbers) if row is not None]
        before: int | None = None
        for row in rows:
            number = int(row["number"])
            if number not in self._made and (before is not None or number != numbers[0] or not self.top):
                self._made[number] = Line(row, before, session)
            before = int(row["time"])

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        ink = self.ink
        if y == 0:
            return title(ink, width, "events", self._told(), self.has_focus)
        if y == 1:
            return self._headings(width)
        at = self.top + y - self.HEAD
        if at >= len(self.held) or y - self.HEAD >= len(self._sight):
            words = " nothing is journaled yet" if not len(self.held) and y == self.HEAD else ""
            return line(width, [(words, ink("muted"))], ink("text"))
        made = self._made.get(self._sight[y - self.HEAD])
        return self._strip(at, made, width) if made is not None else line(width, [], ink("text"))

    def _told(self) -> list[Piece]:
        muted = self.ink("muted", "panel")
        pieces: list[Piece] = [(f"{count(len(self.held))}", self.ink("text", "panel"))]
        if self.about:
            pieces.append((f" · {clean(self.about)}", self.ink("strong", "panel")))
        if self.progress < 1:
            pieces.append((f" · at work, {self.progress:.0%}", self.ink("flux", "panel")))
        if self.cursor is None:
            pieces.append((" · following the newest", self.ink("accent", "panel")))
        elif (at := self.held.line(self.cursor)) >= 0:
            pieces.append((f" · line {at + 1:,}", muted))
        return pieces

    def _widths(self) -> int:
        last = self.held.number(len(self.held) - 1) if len(self.held) else 0
        return max(len(f"{last:,}"), 5)

    def _headings(self, width: int) -> Strip:
        muted = self.ink("muted", "panel")
        wall = f"{'time (UTC)':<17}" if width >= _WALL_AT else ""
        text = f"  {'event':>{self._widths()}}  {wall}{'after':>9}  {'side':<6}  {'queue':<5} what"
        return line(width, [(text, muted)], muted)

    def _strip(self, at: int, made: Line, width: int) -> Strip:
        chosen = made.number == self.cursor
        ground = "selected" if chosen else "surface"
        ink = self.ink
        store = made.kind == Kind.STORE
        style = "fault" if made.trouble else "muted" if made.kind in _QUIET else "text"
        missing = self.held.breaks(at)
        pieces: list[Piece] = [
            ("▌" if chosen else " ", ink("past" if chosen else "text", ground)),
            ("×" if missing else "!" if made.trouble else " ", ink("flux" if missing else "fault", ground)),
            (f"{made.number:>{self._widths()},}  ", ink("text" if chosen else "muted", ground)),
        ]
        if width >= _WALL_AT:
            pieces.append((f"{wall(made.time):<17}", ink("text", ground)))
        after = f"+{duration(made.after)}" if made.after is not None and made.after >= 0 else ""
        pieces += [
            (f"{after:>9}  ", ink("muted", ground)),
            (f"{made.side:<6}  ", ink(made.side, ground)),
            (f"{made.queue:<5} ", ink("text", ground)),
            ("· " if store else "", ink(made.side, ground)),
        ]
        room = width - sum(len(text) for text, _ in pieces) - 1
        what = made.what if len(made.what) <= room else made.what[: max(room - 1, 0)] + "…"
        if missing:
            what = f"(events are missing before this one) {made.what}"[:room]
        pieces.append((what, ink(style if not chosen or made.trouble else "strong", ground)))
        return line(width, pieces, ink("text", ground))

    # keys

    @property
    def _at(self) -> int:
        """The line that the cursor is on, or that keys have led to already."""
        number = self._wish if self._wish is not None else self.cursor
        return self.held.line(number) if number is not None else len(self.held) - 1

    def _choose(self, at: int) -> None:
        if len(self.held):
            at = min(max(at, 0), len(self.held) - 1)
            self._wish = self.held.number(at)
            self.post_message(self.Chosen(self._wish))

    def action_move(self, by: int) -> None:
        self._choose(self._at + by)

    def action_page(self, way: int) -> None:
        self._choose(self._at + way * max(self.room - 1, 1))

    def action_end(self, way: int) -> None:
        self._choose(0 if way < 0 else len(self.held) - 1)

    def action_rings(self) -> None:
        self.post_message(self.Entered())

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y - self.HEAD
        if event.y >= self.HEAD and at < len(self.held):
            self._choose(at)
            if event.chain == 2:
                self.action_rings()


def wall(nanoseconds: int) -> str:
    """The time of day, to the microsecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06d}"
