"""The bytes of one packet: hexadecimal and text, the net header first; the chosen field lights up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from inspector.packets.search import Pattern
from inspector.widgets.pane import Piece, ScrollPane, title
from inspector.widgets.pane import line as strip

_TEXT = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start..stop-1 of the frame, or of the net header."""

    vnet: bool
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line: which bytes it shows."""

    vnet: bool
    start: int
    data: bytes


def layout(net_header: bytes, data: bytes, per_row: int) -> list[Row]:
    """The rows, `per_row` bytes each; those of the net header stand first."""
    rows = [Row(True, at, net_header[at : at + per_row]) for at in range(0, len(net_header), per_row)]
    rows += [Row(False, at, data[at : at + per_row]) for at in range(0, len(data), per_row)]
    return rows


def per_row(width: int) -> int:
    """Bytes a row that fit: 16 or 8."""
    return 16 if width >= _needs(16) else 8


def _needs(count: int) -> int:
    return 1 + 4 + 2 + count * 3 + (count - 1) // 8 + 1 + count


class BytesView(ScrollPane):
    """A cursor on one byte; moving it chooses the smallest field that holds the byte."""

    BINDING_GROUP_TITLE = "Bytes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "left", id="bytes.left", show=False, tooltip="The byte before"),
        Binding("right,l", "move(1)", "right", id="bytes.right", show=False, tooltip="The next byte"),
        Binding("up,k", "rows(-1)", "up", id="bytes.up", show=False, tooltip="A row up"),
        Binding("down,j", "rows(1)", "down", id="bytes.down", show=False, tooltip="A row down"),
        Binding("home,g", "end(-1)", "first", id="bytes.first", show=False, tooltip="The first byte"),
        Binding("end,G", "end(1)", "last", id="bytes.last", show=False, tooltip="The last byte"),
    ]

    @property
    def _each(self) -> int:
        return per_row(self.scrollable_content_region.width)

    class Chosen(Message):
        """The cursor stands on another byte."""

        def __init__(self, vnet: bool, at: int) -> None:
            super().__init__()
            self.vnet, self.at = vnet, at

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.front = "net header"  #: what stands before the data
        self.data = b""
        self.net_header = b""
        self.span: Span | None = None
        self.match: Span | None = None  #: what a search found
        self.length = 0
        self._at = 0
        self._rows: list[Row] = []

    def put(self, net_header: bytes, data: bytes, length: int) -> None:
        """Show a packet whose length on the wire is `length`."""
        self.net_header, self.data, self.length = net_header, data, length
        self._at, self.match = 0, None
        self._lay_out()
        self.scroll_to_line(0)

    def _lay_out(self) -> None:
        self._rows = layout(self.net_header, self.data, self._each)
        self.set_lines(len(self._rows))
        self.refresh()

    def light(self, span: Span | None) -> None:
        """Light up the bytes of a field and bring them into sight."""
        if span == self.span:
            return
        self.span = span
        self.refresh()
        if span is None or span.stop <= span.start:
            return
        start = span.start if span.vnet else len(self.net_header) + span.start
        if not start <= self._at < start + span.stop - span.start:
            self._at = start
        self.reveal(self._row_of(self._at))

    def copied(self) -> bytes:
        """The bytes lit up, or all of the frame where none are."""
        span = self.span
        if span is None or span.stop <= span.start:
            return self.data
        return (self.net_header if span.vnet else self.data)[span.start : span.stop]

    def _row_of(self, at: int) -> int:
        """The row of a byte counted over net header and frame together."""
        each = self._each
        head = len(self.net_header)
        return at // each if at < head else -(-head // each) + (at - head) // each

    # the picture

    def render_line(self, y: int) -> Strip:
        width, ink = self.size.width, self.ink
        if y == 0:
            return title(ink, width, "bytes", [(self._about(), ink("muted", "panel"))], self.has_focus)
        index = self.top + y - self.HEAD
        if index >= len(self._rows):
            words = "the frame has no bytes" if not self._rows and y == self.HEAD and self.length else ""
            return strip(width, [(f" {words}", ink("muted"))], ink("text"))
        return strip(width, self._pieces(self._rows[index]), ink("text"))

    def _about(self) -> str:
        kept = len(self.data)
        words = f"{kept:,}" if kept == self.length else f"{kept:,} of {self.length:,} kept"
        return f"{len(self.net_header)} {self.front} + {words}" if self.net_header else words

    def _pieces(self, row: Row) -> list[Piece]:
        ink, each = self.ink, self._each
        plain = ink("used") if row.vnet else ink("text")
        lit, cursor = ink("strong", "selected", bold=True), ink("strong", "glow1", bold=True)
        hit = ink("strong", "glow2", bold=True)
        span = self.span
        inside = span is not None and span.vnet == row.vnet
        low = min(max(span.start - row.start, 0), len(row.data)) if span and inside else 0
        high = min(max(span.stop - row.start, low), len(row.data)) if span and inside else 0
        here = self._at - (row.start if row.vnet else row.start + len(self.net_header))
        on_row = (
            self.has_focus and 0 <= here < len(row.data) and (self._at < len(self.net_header)) == row.vnet
        )
        label = f"h{row.start:03x}" if row.vnet else f"{row.start:04x}"
        pieces: list[Piece] = [(f" {label}  ", ink("muted"))]
        text: list[Piece] = []
        letters = row.data.translate(_TEXT).decode("ascii")
        for at in range(each):
            gap = " " if at and at % 8 == 0 else ""
            joined = plain
            if at >= len(row.data):
                pieces.append((gap + "   ", plain))
                text.append((" ", plain))
                continue
            style = cursor if on_row and at == here else lit if low <= at < high else plain
            if self.match is not None and not row.vnet and style is not cursor:
                style = hit if self.match.start <= row.start + at < self.match.stop else style
            if low <= at < high - 1:
                joined = lit
            pieces += [
                (gap, lit if low < at < high else plain),
                (f"{row.data[at]:02x}", style),
                (" ", joined),
            ]
            text.append((letters[at], style))
        return [*pieces, (" ", plain), *text]

    # moving

    def _go(self, at: int) -> None:
        total = len(self.net_header) + len(self.data)
        if not total:
            return
        self._at, self.match = min(max(at, 0), total - 1), None
        self.reveal(self._row_of(self._at))
        self.refresh()
        head = len(self.net_header)
        vnet = self._at < head
        self.post_message(self.Chosen(vnet, self._at if vnet else self._at - head))

    def seek(self, pattern: Pattern, step: int, from_start: bool = False) -> bool:
        """Light up the next bytes of the frame that match and go there; whether there are any."""
        head = len(self.net_header)
        at = self._at - head
        if from_start:
            found = pattern.in_bytes(self.data)
        elif step > 0:
            found = pattern.in_bytes(self.data, max(at + 1, 0))
        else:
            found = pattern.last_in_bytes(self.data, at)
        if found is None:
            return False
        self._go(head + found[0])
        self.match = Span(False, *found)
        return True

    def action_move(self, step: int) -> None:
        self._go(self._at + step)

    def action_rows(self, step: int) -> None:
        self._go(self._at + step * self._each)

    def action_end(self, way: int) -> None:
        self._go(0 if way < 0 else len(self.net_header) + len(self.data) - 1)

    def on_click(self, event: events.Click) -> None:
        index = self.top + event.y - self.HEAD
        if event.y < self.HEAD or index >= len(self._rows):
            return
        row, each = self._rows[index], self._each
        column = event.x - 7
        hexes = each * 3 + (each - 1) // 8
        if 0 <= column < hexes:
            at = (column - (1 if column >= 24 and each > 8 else 0)) // 3
        else:
            at = column - hexes - 1
        if 0 <= at < len(row.data):
            self._go(row.start + at + (0 if row.vnet else len(self.net_header)))

    def on_resize(self) -> None:
        self._lay_out()
