"""The fields of one packet, layer by layer; the one chosen lights up in the bytes.

A value that is longer than its line goes on below, under where it began: nothing is cut while there is
a line for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from capture.fields import Field
from inspector.packets.search import Pattern
from inspector.sanitise import clean
from inspector.widgets.filling import parts
from inspector.widgets.pane import Piece, ScrollPane, title
from inspector.widgets.pane import line as strip

Place = tuple[int, ...]  #: index at every depth


class Shown(NamedTuple):
    """A field that is in the tree now."""

    place: Place
    field: Field


class Line(NamedTuple):
    """One line: which of the shown fields, and which part of its value."""

    at: int
    part: str
    first: bool


class FieldTree(ScrollPane):
    """Which layers are open is remembered by their names from packet to packet."""

    BINDING_GROUP_TITLE = "Fields"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="fields.up", show=False, tooltip="The field above"),
        Binding("down,j", "move(1)", "down", id="fields.down", show=False, tooltip="The field below"),
        Binding("pageup", "page(-1)", "page up", id="fields.page_up", show=False, tooltip="A page up"),
        Binding("pagedown", "page(1)", "page down", id="fields.page_down", show=False, tooltip="A page down"),
        Binding("home,g", "end(-1)", "first", id="fields.first", show=False, tooltip="The first field"),
        Binding("end,G", "end(1)", "last", id="fields.last", show=False, tooltip="The last field"),
        Binding("left,h", "fold(False)", "close", id="fields.close", show=False, tooltip="Close, or go up"),
        Binding("right,l", "fold(True)", "open", id="fields.open", show=False, tooltip="Open a layer"),
        Binding("enter", "open_close", "open/close", id="fields.toggle", tooltip="Open or close a layer"),
    ]  # fmt: skip

    class Chosen(Message):
        """Another field is chosen."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fields: tuple[Field, ...] = ()
        self.note = ""
        self._open: dict[tuple[str, ...], bool] = {}
        self._shown: list[Shown] = []
        self._widths: dict[Place, int] = {}  # of the names below a place
        self._lines: list[Line] = []
        self._firsts: list[int] = []  # the first line of every field shown
        self._at: Place = (0,)

    @property
    def chosen(self) -> Field | None:
        """The field under the cursor."""
        return next((field for place, field in self._shown if place == self._at), None)

    def put(self, layers: tuple[Field, ...], note: str = "") -> None:
        """Show these layers; the cursor stays where it was if there is such a place."""
        if (layers, note) == (self.fields, self.note):
            return
        self.fields, self.note = layers, note
        self._lay_out()
        while len(self._at) > 1 and not any(place == self._at for place, _ in self._shown):
            self._at = self._at[:-1]
        if self._at[0] >= len(layers):
            self._at = (0,)
        self._tell()

    def _names(self, place: Place) -> tuple[str, ...]:
        names, fields = [], self.fields
        for index in place:
            names.append(fields[index].name)
            fields = fields[index].children
        return tuple(names)

    def is_open(self, place: Place) -> bool:
        """Layers start open, except the link layer's and whole lists; a user's choice stays."""
        names = self._names(place)
        default = len(place) == 1 and names[0] not in _CLOSED
        return self._open.get(names, default)

    def _lay_out(self) -> None:
        shown: list[Shown] = []

        def walk(fields: tuple[Field, ...], above: Place) -> None:
            for index, field in enumerate(fields):
                place = (*above, index)
                shown.append(Shown(place, field))
                if field.children and self.is_open(place):
                    walk(field.children, place)

        walk(self.fields, ())
        self._shown = shown
        self._widths = {}
        for place, field in shown:
            wide = self._widths.get(place[:-1], 0)
            self._widths[place[:-1]] = max(wide, min(len(field.name), _NAME_MAX))
        self._break()

    def _break(self) -> None:
        """Break the values into lines of the width there is."""
        width = self.scrollable_content_region.width
        self._lines, self._firsts = [], []
        for index, (place, field) in enumerate(self._shown):
            self._firsts.append(len(self._lines))
            room = width - self._indent(place, field)
            found = parts(self._value(place, field), max(room, 8), _LINES if len(place) > 1 else 2)
            self._lines += [Line(index, part, not at) for at, part in enumerate(found)]
        self.set_lines(len(self._lines))
        self.refresh()

    def _indent(self, place: Place, field: Field) -> int:
        """Cells before the value: cursor, depth, sign, name and a gap."""
        depth = len(place) - 1
        name = len(field.name) if depth == 0 else max(self._widths.get(place[:-1], 0), len(field.name))
        return 1 + 2 * depth + 2 + name + 2

    @staticmethod
    def _value(place: Place, field: Field) -> str:
        text = clean(field.text)
        return text if len(place) > 1 else text.removeprefix(clean(field.name)).strip()

    # the picture

    def render_line(self, y: int) -> Strip:
        width, ink = self.size.width, self.ink
        if y == 0:
            about: list[Piece] = [(self.note, ink("flux", "panel"))] if self.note else []
            return title(ink, width, "fields", about, self.has_focus)
        at = self.top + y - self.HEAD
        if at >= len(self._lines):
            return strip(width, [], ink("text"))
        line = self._lines[at]
        place, field = self._shown[line.at]
        return strip(width, self._pieces(line, place, field), ink("text", self._ground(place)))

    def _ground(self, place: Place) -> str:
        return "selected" if place == self._at else "surface"

    def _pieces(self, line: Line, place: Place, field: Field) -> list[Piece]:
        ink, ground = self.ink, self._ground(place)
        depth = len(place) - 1
        here = "▌" if place == self._at and self.has_focus else " "
        bar: Piece = (here, ink("accent", ground))
        value: Piece = (line.part, ink("muted" if depth == 0 else "text", ground))
        indent = self._indent(place, field)
        if not line.first:
            return [bar, (" " * (indent - 1), ink("text", ground)), value]
        sign = ("▾ " if self.is_open(place) else "▸ ") if field.children else "  "
        pieces: list[Piece] = [bar, ("  " * depth + sign, ink("muted", ground))]
        name = clean(field.name)
        used = 1 + 2 * depth + 2
        if depth == 0:
            meaning = {"Ring": "used", "virtio-net": "used"}.get(name, "accent")
            style = ink(meaning, ground, bold=True)
        elif depth > 1 and field.kind == "note" and field.name in ("driver", "device"):
            style = ink(field.name, ground)
        else:
            style = ink("muted", ground)
        return [*pieces, (name.ljust(indent - used), style), value]

    # moving

    def _index(self) -> int:
        return next((i for i, (place, _) in enumerate(self._shown) if place == self._at), 0)

    def _go(self, index: int) -> None:
        if not self._shown:
            return
        index = min(max(index, 0), len(self._shown) - 1)
        self._at = self._shown[index].place
        first = self._firsts[index]
        last = self._firsts[index + 1] - 1 if index + 1 < len(self._firsts) else len(self._lines) - 1
        if last >= self.top + self.room:
            self.scroll_to_line(min(last - self.room + 1, first))
        self.reveal(first)
        self._tell()

    def _tell(self) -> None:
        self.refresh()
        field = self.chosen
        if field is not None:
            self.post_message(self.Chosen(field))

    def reveal_field(self, wanted: Field) -> None:
        """Put the cursor on a field, opening what it stands in."""
        place = next((place for place, field in _walk(self.fields, ()) if field is wanted), None)
        if place is None:
            return
        for depth in range(1, len(place)):
            self._open[self._names(place[:depth])] = True
        self._at = place
        self._lay_out()
        self._go(self._index())

    def seek(self, pattern: Pattern, step: int, from_start: bool = False) -> bool:
        """Put the cursor on the next field that has it, closed layers included; whether there is one."""
        every = list(_walk(self.fields, ()))
        at = -1 if from_start else next((i for i, (place, _) in enumerate(every) if place == self._at), -1)
        rest = every[at + 1 :] if step > 0 else every[: max(at, 0)][::-1]
        for _, field in rest:
            if pattern.in_text(field.name, field.text):
                self.reveal_field(field)
                return True
        return False

    def action_move(self, step: int) -> None:
        self._go(self._index() + step)

    def action_page(self, step: int) -> None:
        self._go(self._index() + step * max(self.size.height - self.HEAD - 1, 1))

    def action_end(self, way: int) -> None:
        self._go(0 if way < 0 else len(self._shown) - 1)

    def action_open_close(self) -> None:
        field = self.chosen
        if field is not None and field.children:
            self._open[self._names(self._at)] = not self.is_open(self._at)
            self._lay_out()

    def action_fold(self, opening: bool) -> None:
        field = self.chosen
        if field is None:
            return
        if field.children and self.is_open(self._at) != opening:
            self.action_open_close()
        elif not opening and len(self._at) > 1:
            self._at = self._at[:-1]
            self._go(self._index())

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y - self.HEAD
        if event.y < self.HEAD or at >= len(self._lines):
            return
        index = self._lines[at].at
        again = self._shown[index].place == self._at
        self._go(index)
        sign = 1 + 2 * (len(self._at) - 1)
        if again or sign <= event.x < sign + 2:
            self.action_open_close()

    def on_resize(self) -> None:
        self._break()


def _walk(fields: tuple[Field, ...], above: Place) -> Iterator[tuple[Place, Field]]:
    """Every field with its place, in the order in which the tree shows them."""
    for index, field in enumerate(fields):
        place = (*above, index)
        yield place, field
        yield from _walk(field.children, place)


_NAME_MAX = 18
_LINES = 12  #: of one value
_CLOSED = ("Ethernet", "802.3", "Padding")
