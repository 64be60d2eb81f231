"""The steps of one buffer's life, one line each, and its waiting as bars that are drawn to scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.records import Side
from inspector.life import Detail, Life, Step
from inspector.numbers import duration
from inspector.sanitise import clean
from inspector.widgets.pane import Piece, ScrollPane, title
from inspector.widgets.pane import line as strip

_TITLE = 22
_NUMBER = 9
_WORDS = 118  #: cells from which the waiting is also told in words
_SIGNS = {"done": "●", "quiet": "○", "open": "·", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a step, or something small that belongs to it."""

    step: Step
    detail: Detail | None = None

    @property
    def event(self) -> int:
        return self.detail.event if self.detail is not None else self.step.event


def spans(life: Life, width: int, even: bool) -> dict[str, tuple[int, int]]:
    """By step name the cells [start, stop) of the wait before it, of `width`; every wait has at least one.

    even: the time between two steps by its logarithm, so that short waits beside long ones can be seen.
    """
    known = [step for step in life.known if step.name != "recycled"]  # that time is nobody's wait for it
    times = sorted({step.time for step in known})
    gaps = [b - a for a, b in pairwise(times)]
    sizes = [math.log2(gap / 64 + 2) if even else float(gap) for gap in gaps]
    places = dict(zip(times, accumulate(sizes, initial=0.0), strict=True))
    whole = (places[times[-1]] if times else 0.0) or 1.0
    found: dict[str, tuple[int, int]] = {}
    for step in known:
        before = life.before(step)
        if before is not None:
            start = min(int(places[before.time] / whole * width), width - 1)
            stop = round(max(places[step.time], places[before.time]) / whole * width)
            found[step.name] = (start, min(max(stop, start + 1), width))
    return found


class Lifeline(ScrollPane):
    """The cursor stands on a step or on a detail of one."""

    BINDING_GROUP_TITLE = "Life of a buffer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="life.up", show=False, tooltip="The step before"),
        Binding("down,j", "move(1)", "down", id="life.down", show=False, tooltip="The next step"),
        Binding("home,g", "end(-1)", "first", id="life.first", show=False, tooltip="The first step"),
        Binding("end,G", "end(1)", "last", id="life.last", show=False, tooltip="The last step"),
        Binding("left", "screen.buffer(-1)", "buffer before", id="life.before", tooltip="The one before"),
        Binding("right", "screen.buffer(1)", "next buffer", id="life.next", tooltip="The one after"),
        Binding("v", "even", "bars", id="life.even", tooltip="Bars to scale, or by logarithm"),
    ]  # fmt: skip

    HEAD = 2

    class Moved(Message):
        """The cursor stands on another line."""

    class Opened(Message):
        """A line was clicked that was chosen already."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.life: Life | None = None
        self.note = "reading the journal"
        self.cursor: int | None = None  #: the event of the past that is looked at
        self.moment = 0  #: and its time, ns since the epoch
        self.rows: list[Row] = []
        self.even = False
        self._at = 0

    @property
    def chosen(self) -> Row | None:
        return self.rows[self._at] if self._at < len(self.rows) else None

    def put(self, life: Life | None, note: str, cursor: int | None, moment: int = 0) -> None:
        """Show a life, or say in one line why there is none. The cursor stays on its line.

        cursor, moment: the event of the past that is looked at, and its time; None: live.
        """
        held = self.chosen
        rows: list[Row] = []
        for step in life.steps if life is not None else ():
            rows.append(Row(step))
            rows += [Row(step, detail) for detail in step.details]
        changed = (life, note, cursor) != (self.life, self.note, self.cursor)
        self.life, self.note, self.cursor, self.moment, self.rows = life, note, cursor, moment, rows
        if not changed:
            return
        same = [at for at, row in enumerate(rows) if held is not None and row.step.name == held.step.name]
        self._at = min(self._at, max(len(rows) - 1, 0))
        if held is not None and same and self._at not in same:
            self._at = same[0]
        self.set_lines(len(rows))
        self.refresh()
        self.post_message(self.Moved())

    def go_to(self, name: str) -> None:
        """Put the cursor on a step."""
        at = next((at for at, row in enumerate(self.rows) if row.step.name == name), None)
        if at is not None:
            self._go(at)

    # the picture

    @property
    def content_height(self) -> int:
        """Lines that it would take to see all of it."""
        return self.HEAD + max(len(self.rows), 1)

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        if y == 0:
            return title(ink, width, "life", self._about(), self.has_focus)
        if y == 1:
            return strip(width, self._headings(width), ink("muted"))
        at = self.top + y - self.HEAD
        if at >= len(self.rows):
            text = f"   {clean(self.note)}" if not self.rows and y == self.HEAD else ""
            return strip(width, [(text, ink("muted"))], ink("text"))
        row = self.rows[at]
        ground = "selected" if at == self._at else "surface"
        pieces = self._detail(row, at) if row.detail is not None else self._step(row.step, at, width)
        return strip(width, pieces, ink("text", ground))

    def _about(self) -> list[Piece]:
        ink, life = self.ink, self.life
        muted = ink("muted", "panel")
        if life is None:
            return []
        name = f"of buffer {life.position:,} of {clean(life.queue_name)}"
        said: list[Piece] = [(name, ink("strong", "panel"))]
        if life.head is not None:
            said.append((f" · head {life.head}", muted))
        if life.frame is not None:
            said.append((f" · packet {life.frame:,}", muted))
        known = life.known
        if len(known) > 1:
            said.append((f" · {duration(known[-1].time - known[0].time)} in all", muted))
        return said

    def _headings(self, width: int) -> list[Piece]:
        if not self.rows:
            return []
        numbers = "at".rjust(_NUMBER + 1) + "took".rjust(_NUMBER + 1)
        bars = "waiting, by logarithm" if self.even else "waiting, to scale"
        return [(f"{'':3}{'step':<{_TITLE}}{numbers}  {bars}", self.ink("muted"))]

    def _edge(self, at: int, ground: str) -> Piece:
        here = at == self._at and self.has_focus
        return "▌" if here else " ", self.ink("accent", ground)

    def _here(self) -> str | None:
        """The step that is the newest one at the moment looked at."""
        if self.cursor is None or self.life is None:
            return None
        done = [step.name for step in self.life.steps if step.event and step.event <= self.cursor]
        return done[-1] if done else None

    def _is_later(self, step: Step) -> bool:
        """Whether it had not happened yet at the moment looked at."""
        if self.cursor is None:
            return False
        return step.state == "open" or (step.event > self.cursor if step.event else step.time > self.moment)

    def _step(self, step: Step, at: int, width: int) -> list[Piece]:
        ink, life = self.ink, self.life
        ground = "selected" if at == self._at else "surface"
        later = self._is_later(step)
        side = "driver" if step.side is Side.DRIVER else "device"
        if step.state == "done" and not later:
            meaning = side
        else:
            meaning = "fault" if step.state == "unknown" and not later else "muted"
        sign = "▶" if self._here() == step.name else _SIGNS[step.state]
        pieces = [
            self._edge(at, ground),
            (f"{sign} ", ink("past" if sign == "▶" else meaning, ground)),
            (step.title.ljust(_TITLE), ink(meaning, ground, bold=step.state == "done" and not later)),
        ]
        if life is None or not step.time:
            return [*pieces, (step.words, ink("muted", ground))]
        begun = life.known[0].time
        since, waited = step.time - begun, life.waited(step)
        text = f"+{duration(since)}" if since else "0"
        pieces.append((text.rjust(_NUMBER + 1), ink("muted", ground)))
        pieces.append((("" if waited is None else duration(waited)).rjust(_NUMBER + 1), ink("text", ground)))
        room = width - 3 - _TITLE - 2 * (_NUMBER + 1) - 2
        words = min(room // 2, 52) if width >= _WORDS else 0
        pieces.append(("  ", ink("text", ground)))
        pieces += self._bar(step, room - words - (1 if words else 0), side, ground)
        if words:
            said = clean(step.wait)
            said = said if len(said) <= words else said[: words - 1] + "…"
            pieces.append((f" {said}", ink("muted", ground)))
        return pieces

    def _bar(self, step: Step, width: int, side: str, ground: str) -> list[Piece]:
        ink = self.ink
        if self.life is None or width < 4:
            return []
        span = spans(self.life, width, self.even).get(step.name)
        if span is None:
            return [(" " * width, ink("text", ground))]
        start, stop = span
        return [
            ("·" * start, ink("free", ground)),
            ("█" * (stop - start), ink(side, ground)),
            (" " * (width - stop), ink("text", ground)),
        ]

    def _detail(self, row: Row, at: int) -> list[Piece]:
        ink = self.ink
        ground = "selected" if at == self._at else "surface"
        text = row.detail.text if row.detail is not None else ""
        return [self._edge(at, ground), ("    ", ink("text", ground)), (clean(text), ink("muted", ground))]

    # moving

    def _go(self, at: int) -> None:
        if not self.rows:
            return
        self._at = min(max(at, 0), len(self.rows) - 1)
        self.reveal(self._at)
        self.post_message(self.Moved())

    def action_move(self, step: int) -> None:
        self._go(self._at + step)

    def action_end(self, way: int) -> None:
        self._go(0 if way < 0 else len(self.rows) - 1)

    def action_even(self) -> None:
        self.even = not self.even
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y - self.HEAD
        if event.y >= self.HEAD and at < len(self.rows):
            if at == self._at:
                self.post_message(self.Opened())
            else:
                self._go(at)
