"""The scrubber: how much happened when, what went wrong, how far back the journal reaches, and where we are.

Time goes from left to right; a column stands for an equal share of it. A click or the arrows go there. What
is missing from the journal is hatched, never drawn as if nothing had happened: a column of which a part is
missing is pale, with the hatching in the line of trouble or, without that line, in place of the buffers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from inspector.numbers import count, duration
from inspector.past.survey import hatched
from inspector.widgets.keys import key
from inspector.widgets.pane import Pane, Piece, line, merged, title

if TYPE_CHECKING:
    from dataplane.history import Density

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABEL = 12  #: cells before the graph
_LEAST = 1_000  #: ns: no window is shorter
_SECOND = 1_000_000_000  #: ns: what is younger is told as now


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """What the scrubber shows: times in ns since the epoch."""

    first_time: int  #: the oldest moment kept
    last_time: int  #: the newest
    events: int
    density: Density | None  #: of the window
    missing: tuple[tuple[int, int], ...]  #: times between which events are missing
    cursor: int | None  #: the time of the moment shown; None: live
    live: bool  #: whether more comes at the right end
    about: str = ""  #: for the title
    now: int = 0  #: of the newest reading, where that is later than the newest event
    found: tuple[int, ...] = ()  #: since when each finding of the doctor stood

    @property
    def reached(self) -> int:
        """The time up to which it is known what happened."""
        return max(self.now, self.last_time)


def blocks(counts: Sequence[float]) -> str:
    """One block a count, by its square root: a burst does not hide the rest, and anything at all shows."""
    top = math.sqrt(max(counts, default=0))
    return "".join(_BLOCKS[max(1, round(8 * math.sqrt(n) / top))] if n > 0 else " " for n in counts)


class Scrubber(Pane):
    """Density of events over time; the cursor; the reach."""

    HELP = "How much happened when. Left and right move by a column, up and down zoom in and out."
    BINDING_GROUP_TITLE = "Scrubber"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("scrubber.in", "up,k", "zoom(2)", "zoom in", "Half the time, around the cursor", show=True),
        key("scrubber.out", "down,j", "zoom(-2)", "zoom out", "Twice the time", show=True),
        key("scrubber.first", "home,g", "end(-1)", "oldest", "The oldest moment kept"),
        key("scrubber.last", "end,G", "end(1)", "newest", "The newest moment kept"),
    ]

    class Sought(Message):
        """Go to the moment at this time, ns since the epoch."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    class Zoomed(Message):
        """Another window is shown: its density is wanted."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.span: Span | None = None
        self.window: tuple[int, int] | None = None  #: times shown; None: the whole reach
        self._wish: int | None = None  # the time that keys have led to and that is not shown yet

    def put(self, span: Span) -> None:
        """Show this."""
        before, self.span = self.span, span
        if before is None or span.cursor != before.cursor:
            self._wish = None
        elif (
            before.density is span.density
            and before.found == span.found
            and before.last_time == span.last_time
            and abs(before.reached - span.reached) < _SECOND
        ):
            self.span = before
            return
        self.redraw()

    @property
    def bins(self) -> int:
        """Columns of the graph."""
        return max(self.size.width - _LABEL - 1, 1)

    @property
    def shown(self) -> tuple[int, int]:
        """The times at both ends of the graph."""
        if self.window is not None:
            return self.window
        if self.span is None:
            return 0, 1
        return self.span.first_time, max(self.span.last_time, self.span.first_time + _LEAST)

    def column(self, time: int) -> int | None:
        """The column of a time; None where it is not in the window."""
        first, last = self.shown
        at = (time - first) * self.bins // max(last - first, 1)
        if time == last:
            at = self.bins - 1
        return at if 0 <= at < self.bins else None

    def time(self, column: int) -> int:
        """The newest time that a column stands for."""
        first, last = self.shown
        return first + (last - first) * (column + 1) // self.bins - (column + 1 < self.bins)

    # drawing

    def draw(self, width: int, height: int) -> list[Strip]:
        ink, span = self.ink, self.span
        strips: list[Strip] = []
        if self.titled:
            strips.append(title(ink, width, "what happened", self._told(), self.has_focus))
        if span is None or not span.events:
            strips.append(line(width, [(" nothing is journaled yet", ink("muted"))], ink("text")))
            return strips
        room = height - len(strips)
        rows = self._rows(room)
        return [*strips, *rows[:room]]

    def _told(self) -> list[Piece]:
        span, ink = self.span, self.ink
        if span is None or not span.events:
            return []
        muted, text = ink("muted", "panel"), ink("text", "panel")
        first, last = self.shown
        pieces: list[Piece] = [(f"{count(span.events)} events", text)]
        pieces.append((f" over {duration(max(span.last_time - span.first_time, 0))}", text))
        if self.window is not None:
            pieces.append((f" · zoomed to {duration(last - first)}", ink("accent", "panel")))
        if span.about:
            pieces.append((f" · {span.about}", muted))
        return pieces

    def _rows(self, room: int) -> list[Strip]:
        span, density = self.span, self.span.density if self.span else None
        assert span is not None
        bins, ink = self.bins, self.ink
        cursor = self.column(span.cursor) if span.cursor is not None else None
        if density is None:
            return [line(bins + _LABEL, [(" counting", ink("muted"))], ink("text"))]
        events_ = _spread(density.operations + density.stores, bins)
        packets, trouble = _spread(density.packets, bins), _spread(density.trouble, bins)
        missing = hatched(span.missing, *self.shown, bins)
        graphs: list[tuple[str, str, str]] = [
            ("events", "accent", blocks(events_.tolist())),
            ("buffers", "device", blocks(packets.tolist())),
        ]
        if room >= 5 and density.stores.any():
            stores = _spread(density.stores, bins)
            operations = _spread(density.operations, bins)
            graphs[0:1] = [
                ("stores", "driver", blocks(stores.tolist())),
                ("operations", "accent", blocks(operations.tolist())),
            ]
        signs = "".join("!" if n else " " for n in trouble.tolist())
        alone = room >= len(graphs) + 2
        if alone:
            graphs.append(("trouble", "fault", signs))
        strips = [
            self._graph(label, meaning, text, "" if alone else signs, missing, cursor, at < len(graphs) - 1)
            for at, (label, meaning, text) in enumerate(graphs)
        ]
        if room > len(strips):
            strips.append(self._axis(cursor))
        return strips

    def _graph(
        self,
        label: str,
        meaning: str,
        text: str,
        signs: str,
        missing: np.ndarray,
        cursor: int | None,
        parts: bool,
    ) -> Strip:
        """One line. `parts`: what is known of a column stands there even if it is not the whole of it."""
        ink, width = self.ink, self.size.width
        pieces: list[Piece] = [(f" {label:<{_LABEL - 1}}", ink("muted"))]
        for at, sign in enumerate(text):
            ground = "selected" if at == cursor else "surface"
            if "!" in (sign, signs[at : at + 1]):
                pieces.append(("!", ink("fault", ground)))
            elif missing[at]:
                pieces.append((sign if parts and sign != " " else "╱", ink("free", ground)))
            else:
                pieces.append((sign, ink(meaning, ground)))
        return line(width, merged(pieces), ink("text"))

    def _axis(self, cursor: int | None) -> Strip:
        """Where the window begins and ends, counted from now, and where the cursor is."""
        span = self.span
        assert span is not None
        ink, width, bins = self.ink, self.size.width, self.bins
        first, last = self.shown
        ago = "ago" if span.live else "before the end"
        left = f"{duration(span.reached - first)} {ago}" if last > first else ""
        right = "end" if last >= span.last_time else f"{duration(span.reached - last)} {ago}"
        if span.live and last >= span.last_time:
            late = span.reached - last
            right = "now ●" if late < _SECOND else f"{duration(late)} ago"
        cells = list("─" * bins)
        at = -1 if cursor is None else cursor
        begin = 0 if at < 0 or at > len(left) else at + 2
        if begin + len(left) < bins:
            cells[begin : begin + len(left)] = left
        end = bins - len(right)
        if at >= end:
            end = at - 1 - len(right)
        if end > begin + len(left):
            cells[end : end + len(right)] = right
        muted, marks = ink("muted"), {at: ("✗", ink("fault", bold=True)) for at in self._found()}
        if cursor is not None:
            marks[cursor] = ("▲", ink("past", bold=True))
        drawn: list[Piece] = [(" " * _LABEL, muted)]
        drawn += [marks.get(at, (cell, muted)) for at, cell in enumerate(cells[:bins])]
        return line(width, merged(drawn), ink("text"))

    def _found(self) -> Iterator[int]:
        """The columns in which something began that the doctor found."""
        for time in self.span.found if self.span is not None else ():
            at = self.column(time)
            if at is not None:
                yield at

    # keys and clicks

    def _here(self) -> int:
        span = self.span
        if self._wish is not None:
            return self._wish
        if span is None:
            return 0
        return span.cursor if span.cursor is not None else span.last_time

    def seek(self, time: int) -> None:
        """Go to a time within what is kept."""
        if self.span is None or not self.span.events:
            return
        self._wish = min(max(time, self.span.first_time), self.span.last_time)
        first, last = self.shown
        if self.window is not None and not first <= self._wish <= last:
            half = (last - first) // 2
            self._look(self._wish - half, self._wish + half)
        self.post_message(self.Sought(self._wish))

    def move(self, columns: int) -> None:
        """Go so many columns on, or back."""
        first, last = self.shown
        self.seek(self._here() + columns * max((last - first) // self.bins, 1))

    def action_zoom(self, by: int) -> None:
        if self.span is None:
            return
        first, last = self.shown
        whole = self.span.last_time - self.span.first_time
        length = (last - first) // 2 if by > 0 else (last - first) * 2
        if length >= whole:
            self.window = None
        else:
            here = self._here()
            length = max(length, _LEAST)
            part = (here - first) / max(last - first, 1) if first <= here <= last else 0.5
            self._look(here - int(length * part), here - int(length * part) + length)
        self.post_message(self.Zoomed())
        self.redraw()

    def _look(self, first: int, last: int) -> None:
        if self.span is None:
            return
        oldest, newest = self.span.first_time, self.span.last_time
        shift = max(oldest - first, 0) or min(newest - last, 0)
        self.window = first + shift, last + shift
        self.post_message(self.Zoomed())

    def action_end(self, way: int) -> None:
        if self.span is not None:
            self.seek(self.span.first_time if way < 0 else self.span.last_time)

    def on_click(self, event: events.Click) -> None:
        if event.y >= self.titled and event.x >= _LABEL:
            self.seek(self.time(min(event.x - _LABEL, self.bins - 1)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_zoom(2)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_zoom(-2)


def _spread(counts: np.ndarray, bins: int) -> np.ndarray:
    """Counts over as many columns as there are now: the graph is drawn at once when its width changes."""
    if len(counts) == bins or not len(counts):
        return counts if len(counts) else np.zeros(bins, np.int64)
    return counts[np.arange(bins) * len(counts) // bins]
