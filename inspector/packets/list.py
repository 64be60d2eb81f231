"""The packet list: one line per packet that is kept, of which only those in sight are ever made."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from capture.columns import Summary, summary
from inspector.numbers import count
from inspector.packets.rows import Column, Line, columns, cut, line, middle
from inspector.sanitise import clean
from inspector.theme import palette
from inspector.widgets.pane import Ink, Piece, title
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from inspector.session import Session

_SUMMARIES = 4096


class PacketList(ScrollView, can_focus=True):
    """Line 0 is the title, line 1 the headings; both stay while the rest scrolls.

    While it follows, the newest packet stays in sight; moving the cursor stops that, so that nothing
    moves under a reader's eyes. The cursor is a packet number, not a line.
    """

    BINDING_GROUP_TITLE = "Packet list"
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="packets.up", show=False, tooltip="The packet before"),
        Binding("down,j", "move(1)", "down", id="packets.down", show=False, tooltip="The next packet"),
        Binding("pageup", "page(-1)", "page up", id="packets.page_up", show=False, tooltip="A page back"),
        Binding("pagedown", "page(1)", "page down", id="packets.page_down", show=False, tooltip="A page on"),
        Binding("home,g", "end(-1)", "first", id="packets.first", show=False, tooltip="The oldest kept"),
        Binding("end,G", "end(1)", "last", id="packets.last", show=False, tooltip="The newest"),
    ]
    HEAD = 2

    cursor: reactive[int | None] = reactive(None, repaint=False)

    class Chosen(Message):
        """The cursor stands on another packet."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, session: Session, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.session = session
        self.follow = True
        self._first = 1
        self._last = 0
        self._zero: int | None = None
        self._summaries: OrderedDict[int, Summary] = OrderedDict()
        self._address = 15
        self._time = 10
        self._columns: tuple[Column, ...] = ()
        self._lines: dict[int, Line] = {}
        self._ink: Ink | None = None

    # what is there

    def grow(self) -> None:
        """Take in what the store has now."""
        store = self.session.frames
        first, last = store.first, store.last
        if (first, last) == (self._first, self._last):
            return
        gone = first - self._first
        self._first, self._last = first, last
        if self._zero is None and last >= first:
            self._zero = int(store.rows(first, first + 1)["time"][0])
        self.virtual_size = Size(self.scrollable_content_region.width, self.HEAD + max(last - first + 1, 0))
        if self.follow:
            self._to_end()
        elif gone > 0:
            self.scroll_to(y=max(self.scroll_offset.y - gone, 0), animate=False, force=True, immediate=True)
        if self.cursor is None and last >= first:
            self._set(last)
        self.refresh()

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)

    def summary(self, number: int, data: bytes | None = None) -> Summary:
        """What the line of a packet says; remembered for those lately in sight."""
        known = self._summaries.get(number)
        if known is None:
            known = summary(self.session.frames.frame(number).data if data is None else data)
            self._summaries[number] = known
            if len(self._summaries) > _SUMMARIES:
                self._summaries.popitem(last=False)
        return known

    def _prepare(self, top: int, stop: int) -> None:
        """Make the lines of packets top..stop-1."""
        store = self.session.frames
        rows = store.rows(max(top - 1, 1), stop)
        missing = [int(n) for n in rows["number"].tolist() if n not in self._summaries]
        if missing:
            for number, data in zip(
                range(missing[0], missing[-1] + 1), store.payloads(missing[0], missing[-1] + 1), strict=False
            ):
                self.summary(number, data)
        self._lines = {}
        before: int | None = None
        for row in rows:
            number = int(row["number"])
            if number >= top:
                name = clean(self.session.queue_name(int(row["origin_queue"])))
                self._lines[number] = line(row, self.summary(number), self._zero or 0, before, name)
            before = int(row["time"])
        for made in self._lines.values():
            longest = max(len(made.texts["source"]), len(made.texts["destination"]))
            self._address = max(self._address, longest)
            self._time = max(self._time, len(made.texts["time"]))

    # the picture

    @property
    def ink(self) -> Ink:
        colours = palette(self.app)
        if self._ink is None or self._ink.palette is not colours:
            self._ink = Ink(colours)
        return self._ink

    def render_lines(self, crop: object) -> list[Strip]:
        top = self._first + self.scroll_offset.y
        self._prepare(top, min(top + self.size.height - self.HEAD, self._last + 1))
        width = self.scrollable_content_region.width
        self._columns = columns(width, len(str(self._last)), self._address, self._time)
        return super().render_lines(crop)  # type: ignore[arg-type]

    def render_line(self, y: int) -> Strip:
        width, ink = self.scrollable_content_region.width, self.ink
        if y == 0:
            return title(ink, width, "packets", self._about(ink), self.has_focus)
        if y == 1:
            return strip(width, [(" ", ink("muted")), (self._headings(), ink("muted"))], ink("muted"))
        number = self._first + self.scroll_offset.y + y - self.HEAD
        made = self._lines.get(number)
        if made is None:
            words = "   no packet yet: nothing has crossed the rings since this began"
            empty = words if y == self.HEAD and self._last < self._first else ""
            return strip(width, [(empty, ink("muted"))], ink("text"))
        return self._strip(made, width)

    def _about(self, ink: Ink) -> list[Piece]:
        muted = ink("muted", "panel")
        kept = max(self._last - self._first + 1, 0)
        pieces: list[Piece] = [(f"{count(kept)} kept", muted)]
        if self._first > 1 and kept:
            pieces.append((f" · {count(self._first - 1)} older ones gone", muted))
        if self.follow:
            pieces.append((" · following", ink("used", "panel")))
        else:
            pieces.append((" · f follows the newest", muted))
        return pieces

    def _headings(self) -> str:
        return " ".join(
            c.heading.rjust(c.width) if c.right else c.heading.ljust(c.width) for c in self._columns
        )

    def _strip(self, made: Line, width: int) -> Strip:
        ink = self.ink
        chosen = made.number == self.cursor
        ground = "selected" if chosen else "surface"
        pieces: list[Piece] = [("▌" if chosen and self.has_focus else " ", ink("accent", ground))]
        for column in self._columns:
            text = made.texts[column.name]
            text = middle(text, column.width) if column.name in _ADDRESSES else cut(text, column.width)
            text = text.rjust(column.width) if column.right else text.ljust(column.width)
            style = ink(_MEANINGS.get(column.name, "text"), ground)
            if column.name == "queue":
                style = ink("driver" if made.to_device else "device", ground)
            elif made.bad and column.name in ("protocol", "info"):
                style = ink("fault", ground)
            pieces += [(text, style), (" ", ink("text", ground))]
        return strip(width, pieces, ink("text", ground))

    # moving

    def watch_cursor(self, number: int | None) -> None:
        if number is not None:
            self.refresh()
            self.post_message(self.Chosen(number))

    def _set(self, number: int) -> None:
        if self._last >= self._first:
            self.cursor = min(max(number, self._first), self._last)

    def go(self, number: int) -> None:
        """Put the cursor on a packet and bring it into sight; following ends."""
        self.grow()
        self.follow = False
        self._set(number)
        self._reveal()

    def _reveal(self) -> None:
        if self.cursor is None:
            return
        at, height = self.cursor - self._first, max(self.size.height - self.HEAD, 1)
        top = self.scroll_offset.y
        if not top <= at < top + height:
            far = at < top - height or at >= top + 2 * height
            wanted = at - height // 2 if far else at if at < top else at - height + 1
            self.scroll_to(y=max(wanted, 0), animate=False, force=True, immediate=True)
        self.refresh()

    def _visible(self) -> tuple[int, int]:
        top = self._first + self.scroll_offset.y
        return top, min(top + max(self.size.height - self.HEAD, 1) - 1, self._last)

    def action_move(self, step: int) -> None:
        first, last = self._visible()
        if self.cursor is None or not first <= self.cursor <= last:
            self.go(last if step < 0 or self.follow else first)
        else:
            self.go(self.cursor + step)

    def action_page(self, step: int) -> None:
        height = max(self.size.height - self.HEAD - 1, 1)
        self.go((self.cursor or self._last) + step * height)

    def action_end(self, way: int) -> None:
        self.go(self._first if way < 0 else self._last)

    def toggle_follow(self) -> bool:
        """Follow the newest or stop; whether it follows now."""
        self.follow = not self.follow
        if self.follow:
            self._set(self._last)
            self._to_end()
        self.refresh()
        return self.follow

    def on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y - self.HEAD
        if event.y >= self.HEAD and 0 <= at <= self._last - self._first:
            self.go(self._first + at)

    def on_mouse_scroll_up(self) -> None:
        self.follow = False

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self.refresh()

    def on_resize(self) -> None:
        self._address, self._time = 15, 10
        self.virtual_size = Size(
            self.scrollable_content_region.width, self.HEAD + max(self._last - self._first + 1, 0)
        )
        if self.follow:
            self.call_after_refresh(self._to_end)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


_ADDRESSES = ("source", "destination")
_MEANINGS = {
    "number": "muted",
    "time": "muted",
    "delta": "muted",
    "slot": "muted",
    "chain": "muted",
    "length": "muted",
    "protocol": "strong",
}
