"""The packet list: one line per packet that is shown, of which only those in sight are ever made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from capture.columns import Summary
from capture.view import FrameView, Shown
from inspector.numbers import count
from inspector.packets.cells import about, cells, headings
from inspector.packets.colours import SLOW_NS, trouble
from inspector.packets.facts import Facts
from inspector.packets.rows import (
    COLUMNS,
    DEFAULT,
    TIME_FORMATS,
    UNSORTED,
    Layout,
    Packet,
    lay_out,
    texts,
)
from inspector.packets.viewer import Viewer
from inspector.widgets.pane import Ink, Piece, ScrollPane, title
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from capture.passes import Matcher
    from inspector.session import Session


class PacketList(ScrollPane, can_focus=True):
    """Line 0 is the title, line 1 the headings; both stay while the rest scrolls.

    While it follows, the newest packet stays in sight; moving the cursor stops that, so that nothing
    moves under a reader's eyes. The cursor is a packet number, not a line.
    """

    BINDING_GROUP_TITLE = "Packet list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="packets.up", show=False, tooltip="The packet before"),
        Binding("down,j", "move(1)", "down", id="packets.down", show=False, tooltip="The next packet"),
        Binding("pageup", "page(-1)", "page up", id="packets.page_up", show=False, tooltip="A page back"),
        Binding("pagedown", "page(1)", "page down", id="packets.page_down", show=False, tooltip="A page on"),
        Binding("home,g", "end(-1)", "first", id="packets.first", show=False, tooltip="The first line"),
        Binding("end,G", "end(1)", "last", id="packets.last", show=False, tooltip="The last line"),
        Binding("m", "mark", "mark", id="packets.mark", tooltip="Mark the packet, or take its mark away"),
        Binding("M", "next_mark(1)", "next mark", id="packets.next_mark", show=False,
                tooltip="The next marked packet, round the end"),
        Binding("o", "order", "order", id="packets.order", tooltip="Choose the column to order by"),
        Binding("left", "choose(-1)", "column before", id="packets.column_before", show=False,
                tooltip="While a column is chosen: the one before"),
        Binding("right", "choose(1)", "next column", id="packets.column_next", show=False,
                tooltip="While a column is chosen: the next one"),
        Binding("enter", "chosen", "order by it", id="packets.column_take", show=False,
                tooltip="While a column is chosen: order by it"),
        Binding("escape", "stop_choosing", "as it was", id="packets.column_leave", show=False,
                tooltip="While a column is chosen: leave the order as it is"),
    ]  # fmt: skip
    HEAD = 2

    cursor: reactive[int | None] = reactive(None, repaint=False)

    class Chosen(Message):
        """The cursor stands on another packet."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Changed(Message):
        """There is another picture: more or other packets, or a filter has come further."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PacketList.Changed)

    class Ready(Message):
        """The thread of the view has something new. `wrong` says in one line what went wrong, if anything."""

        def __init__(self, wrong: str = "") -> None:
            super().__init__()
            self.wrong = wrong

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PacketList.Ready) and not self.wrong

    def __init__(self, session: Session, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.session = session
        self.view = FrameView(session.frames)
        self.follow = True
        self.slow_ns = SLOW_NS
        self.time_format = TIME_FORMATS[0]
        self.failure = ""  #: why the last filter could not be used, in one line
        self.shown = Shown(1, 0, range(0))
        self.until: int | None = None  #: of the past: the newest packet that there was; None: live
        self._whole = self.shown  # the view's picture, of which `shown` may be a part
        self._before: tuple[bool, int | None] = True, None  # followed, and the cursor, before the past
        self._viewer = Viewer(self.view, self._ready, self._ready)
        self._wanted: tuple[str, ...] | None = None
        self._facts = Facts(session)
        self._seen: dict[str, int] = {}
        self._layout = Layout(())
        self._lines: dict[int, tuple[Packet, dict[str, str]]] = {}
        self._choosing: str | None = None
        self._numbers: list[int] = []  # these are of the picture being painted, looked up once for all lines
        self._marked: frozenset[int] = frozenset()
        self._focused = False
        self._width = 0

    def on_unmount(self) -> None:
        self._viewer.close()

    # what is there

    def grow(self) -> None:
        """Take in what the store has now: at once, or on the view's thread if it has a filter or an order."""
        self._facts.begin()
        if not self.view.plain:
            self._viewer.wake(self.session.settled)
        self._take()

    def look_back(self, until: int | None, moment: int | None) -> None:
        """Show only what had been logged by a moment of the past: packets up to `until`; None: live again.

        `moment` (ns since the epoch): of these, what became of their buffers later is not shown either. The
        cursor goes to the newest packet of that moment.
        """
        if (until, moment) == (self.until, self._facts.moment):
            return
        if until is not None and self.until is None:
            self._before, self.follow = (self.follow, self.cursor), False
        back = until is None and self.until is not None
        self.until, self._facts.moment = until, moment
        self._take(anew=True)
        if until is not None:
            at = self.shown.newest
            if at is not None:
                self._go_to(at)
        elif back and self._before[0]:
            self.toggle_follow()
        elif back and self._before[1] is not None:
            self.go(self._before[1])
        self.refresh()

    def set_filter(self, wanted: Matcher | None) -> None:
        """Show what matches; None shows all. What is shown stays until the new picture is whole."""
        self.failure = ""
        self.view.set_filter(wanted)
        self._asked()

    def set_sort(self, column: str | None, descending: bool = False) -> None:
        """Order by a column; None or "number" is the order of the capture. ValueError for one of no order."""
        if column is not None and (column not in COLUMNS or column in UNSORTED):
            raise ValueError(f"packets cannot be ordered by {column}")
        if column not in (None, "number"):
            self.follow = False
        self.view.set_sort(column, descending)
        self._asked()

    def _asked(self) -> None:
        if not self.view.plain:
            self._viewer.wake(self.session.settled, urgent=True)
        self._take()
        self.refresh()

    def _ready(self, wrong: str = "") -> None:
        """Called by the view's thread."""
        self.post_message(self.Ready(wrong))

    def on_packet_list_ready(self, event: Ready) -> None:
        event.stop()
        self.failure = event.wrong or self.failure
        self._take()

    def _take(self, anew: bool = False) -> None:
        """Show the view's newest picture; the line that is read stays where it is."""
        whole = self.view.shown
        if not anew and self._whole.same(whole):
            return
        before, after = self.shown, whole if self.until is None else whole.until(self.until)
        self._whole = whole
        cursor, top = self.cursor, self.top
        at = before.position(cursor) if cursor is not None and before.keys is not None else None
        held = at if at is not None and top <= at < top + self.room else top
        number = before.number(held) if held < len(before) else None
        self.shown = after
        self.set_lines(len(after))
        if before.order != after.order:
            self._reveal_nearest()
        elif self.follow:
            self._to_newest()
        elif number is not None and (place := after.nearest(number)) is not None and place != held:
            self.scroll_to_line(top + place - held)
        if self.cursor is None and len(after):
            self.cursor = after.number(len(after) - 1)
        elif self.until is not None and self.cursor is not None and self.cursor > self.until and len(after):
            self.cursor = after.number(after.newest or 0)
        self.refresh()
        self.post_message(self.Changed())

    def _reveal_nearest(self) -> None:
        """Another filter or order has come: find the cursor again, or what is nearest to it."""
        if self.follow:
            self._to_newest()
        elif self.cursor is not None and (at := self.shown.nearest(self.cursor)) is not None:
            self.cursor = self.shown.number(at)
            self.scroll_to_line(at - self.room // 2)

    def _to_newest(self) -> None:
        self.scroll_to_line(0 if self.shown.descending else max(len(self.shown) - self.room, 0))

    def set_notes(self, notes: Mapping[int, int]) -> None:
        """Bits of `capture.expert.NOTES` by packet number, of those packets that have any."""
        self._facts.notes = notes
        self.refresh()

    # what lines say

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that were chosen, or those shown where nobody chose."""
        return self._wanted or tuple(column.name for column in self._layout.columns)

    def set_columns(self, names: Sequence[str] | None) -> None:
        """Show these, in this order; None: what suits the width. ValueError names one that there is not."""
        for name in names or ():
            if name not in COLUMNS:
                raise ValueError(f"there is no column {name}")
        self._wanted = tuple(dict.fromkeys(names)) if names else None
        self.refresh()

    def set_time_format(self, name: str) -> None:
        """How the time column tells the time: one of `TIME_FORMATS`. ValueError else."""
        if name not in TIME_FORMATS:
            raise ValueError(f"there is no time format {name}; there are {', '.join(TIME_FORMATS)}")
        self.time_format = name
        self._seen.pop("time", None)
        self.refresh()

    def summary(self, number: int, data: bytes | None = None) -> Summary:
        """What the line of a packet says."""
        return self._facts.summary(number, data)

    def prepare(self) -> None:
        shown, top = self.shown, self.top
        numbers = self._numbers = shown.lines(top, top + self.room)
        self._inks, self._focused = self.ink, self.has_focus
        marks = self.view.marks
        found = np.take(marks, marks.searchsorted(numbers), mode="clip").tolist() if len(marks) else ()
        self._marked = frozenset(found)
        above = shown.number(top - 1) if 0 < top <= len(shown) else None
        names = self._wanted or DEFAULT
        self._lines = {}
        for packet in self._facts.packets(numbers, above):
            made = texts(packet, names, self.time_format)
            self._lines[packet.number] = packet, made
            for name, text in made.items():
                if len(text) > self._seen.get(name, 0):
                    self._seen[name] = len(text)
        self._seen["number"] = len(str(shown.last))
        self._width = self.scrollable_content_region.width
        order = (shown.column or ("number" if shown.descending else None), shown.descending)
        self._layout = lay_out(self._width, self._wanted, self._seen, order, self.time_format)

    # the picture

    def render_line(self, y: int) -> Strip:
        width, ink = self._width, self._inks
        if y == 0:
            return title(ink, width, "packets", self._about(ink), self._focused)
        if y == 1:
            return strip(width, headings(ink, self._layout, self._choosing), ink("muted"))
        if y - self.HEAD >= len(self._numbers):
            return strip(width, [(self._nothing() if y == self.HEAD else "", ink("muted"))], ink("text"))
        made = self._lines.get(self._numbers[y - self.HEAD])
        if made is None:
            return strip(width, [("   no longer kept", ink("muted"))], ink("text"))
        return self._line(*made)

    def _line(self, packet: Packet, made: Mapping[str, str]) -> Strip:
        chosen = packet.number == self.cursor
        edge = "●" if packet.number in self._marked else "▌" if chosen and self._focused else " "
        wrong = trouble(packet, self.slow_ns)
        ink, ground = self._inks, "selected" if chosen else "surface"
        pieces = cells(ink, self._layout, packet, made, edge, wrong, ground)
        return strip(self._width, pieces, ink("text", ground))

    def _nothing(self) -> str:
        if self.until is not None and not len(self._whole.until(self.until)) and self.view.filter is None:
            return "   no packet had been logged by this moment"
        if len(self.session.frames) and self.view.filter is not None:
            return f"   none of {count(len(self.session.frames))} packets matches the filter"
        return "   no packet yet: nothing has crossed the rings since this began"

    def _about(self, ink: Ink) -> list[Piece]:
        shown = self.shown
        if self._choosing is not None:
            words = " order by it: ← → chooses · enter takes it · o turns it round · esc"
            return [(words, ink("accent", "panel"))]
        return about(
            ink,
            shown,
            failure=self.failure,
            filtering=self.view.filter is not None,
            marks=len(self.view.marks),
            left_out=self._layout.left_out,
            follow=self.follow,
            held=self.session.frames.held_bytes,
            until=self.until,
        )

    def watch_cursor(self, number: int | None) -> None:
        if number is not None:
            self.refresh()
            self.post_message(self.Chosen(number))

    def go(self, number: int) -> bool:
        """Put the cursor on a packet and bring it into sight; following ends.

        Where the packet is not shown the cursor goes to the nearest that is, and the answer is False.
        """
        self.grow()
        at = self.shown.nearest(number)
        if at is None:
            return False
        self._go_to(at)
        return self.cursor == number

    def _go_to(self, line: int) -> None:
        self.follow = False
        if len(self.shown):
            line = min(max(line, 0), len(self.shown) - 1)
            self.cursor = self.shown.number(line)
            self.reveal(line)

    def in_sight(self) -> tuple[int, int]:
        """The first and the last line in sight; the last is below the first where there is none."""
        return self.top, min(self.top + self.room, len(self.shown)) - 1

    def action_move(self, step: int) -> None:
        first, last = self.in_sight()
        at = self.shown.position(self.cursor) if self.cursor is not None else None
        if at is None or not first <= at <= last:
            self._go_to(last if step < 0 or self.follow else first)
        else:
            self._go_to(at + step)

    def action_page(self, step: int) -> None:
        at = self.shown.nearest(self.cursor) if self.cursor is not None else None
        self._go_to((len(self.shown) - 1 if at is None else at) + step * max(self.room - 1, 1))

    def action_end(self, way: int) -> None:
        self._go_to(0 if way < 0 else len(self.shown) - 1)

    def toggle_follow(self) -> bool:
        """Follow the newest or stop; whether it follows now: only the capture's order has a newest end.

        In the past there is nothing to follow.
        """
        self.follow = not self.follow and self.view.column is None and self.until is None
        if self.follow and len(self.shown):
            self.cursor = self.shown.number(0 if self.shown.descending else len(self.shown) - 1)
            self._to_newest()
        self.refresh()
        return self.follow

    # marks and order

    def action_mark(self) -> None:
        if self.cursor is not None:
            self.view.mark(self.cursor)
            self.refresh()
            self.post_message(self.Changed())

    def action_next_mark(self, step: int) -> None:
        self.next_mark(step)

    def next_mark(self, step: int = 1) -> int | None:
        """Go to the next marked packet that is shown, or to the one before; its number, None without any."""
        number = self.view.next_mark(self.cursor or 0, step)
        if number is not None:
            self.go(number)
        return number

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("choose", "chosen", "stop_choosing"):
            return self._choosing is not None
        return True

    def action_order(self) -> None:
        """Choose a column in the headings; the second time, order by it or turn the order round."""
        if self._choosing is not None:
            self.order_by(self._choosing)
            return
        self._choosing = self.view.column or "number"
        self.action_choose(0)

    def _sortable(self) -> list[str]:
        return [column.name for column in self._layout.columns if column.name not in UNSORTED]

    def action_choose(self, step: int) -> None:
        names = self._sortable()
        if not names:
            self._choosing = None
            return
        at = names.index(self._choosing) if self._choosing in names else 0
        self._choosing = names[(at + step) % len(names)]
        self.refresh_bindings()
        self.refresh()

    def action_chosen(self) -> None:
        if self._choosing is not None:
            self.order_by(self._choosing)
        self.action_stop_choosing()

    def action_stop_choosing(self) -> None:
        self._choosing = None
        self.refresh_bindings()
        self.refresh()

    def order_by(self, name: str) -> None:
        """Order by a column: ascending, then descending, then as captured again."""
        if name in UNSORTED:
            return
        now, descending = self.view.column or "number", self.view.descending
        if now != name:
            self.set_sort(name, descending=False)
        elif not descending:
            self.set_sort(name, descending=True)
        else:
            self.set_sort(None)

    # the mouse and the toolkit

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y - self.HEAD
        if event.y == 1:
            column = self._layout.at(event.x)
            if column is not None:
                self.order_by(column.name)
        elif event.y >= self.HEAD and at < len(self.shown):
            self._go_to(at)

    def on_mouse_scroll_up(self) -> None:
        self.follow = False

    def on_resize(self) -> None:
        self._seen = {}
        if self.follow:
            self.call_after_refresh(self._to_newest)

    def on_blur(self) -> None:
        self._choosing = None
