"""The fields of one packet, layer by layer; the one chosen lights up in the bytes."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from capture.fields import Field
from inspector.packets.rows import ELLIPSIS
from inspector.sanitise import clean
from inspector.theme import palette
from inspector.widgets.pane import Ink, Piece, title
from inspector.widgets.pane import line as strip

Place = tuple[int, ...]  #: index at every depth


class FieldTree(ScrollView, can_focus=True):
    """Which layers are open is remembered by their names from packet to packet."""

    BINDING_GROUP_TITLE = "Fields"
    ALLOW_SELECT = False
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
    HEAD = 1

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
        self._shown: list[tuple[Place, Field]] = []
        self._widths: dict[Place, int] = {}  # of the names below a place
        self._at: Place = (0,)
        self._ink: Ink | None = None

    @property
    def ink(self) -> Ink:
        colours = palette(self.app)
        if self._ink is None or self._ink.palette is not colours:
            self._ink = Ink(colours)
        return self._ink

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
        shown: list[tuple[Place, Field]] = []

        def walk(fields: tuple[Field, ...], above: Place) -> None:
            for index, field in enumerate(fields):
                place = (*above, index)
                shown.append((place, field))
                if field.children and self.is_open(place):
                    walk(field.children, place)

        walk(self.fields, ())
        self._shown = shown
        self._widths = {}
        for place, field in shown:
            wide = self._widths.get(place[:-1], 0)
            self._widths[place[:-1]] = max(wide, min(len(field.name), _NAME_MAX))
        self.virtual_size = Size(self.scrollable_content_region.width, self.HEAD + len(shown))
        self.refresh()

    # the picture

    def render_line(self, y: int) -> Strip:
        width, ink = self.scrollable_content_region.width, self.ink
        if y == 0:
            about: list[Piece] = [(self.note, ink("flux", "panel"))] if self.note else []
            return title(ink, width, "fields", about, self.has_focus)
        index = self.scroll_offset.y + y - self.HEAD
        if index >= len(self._shown):
            return strip(width, [], ink("text"))
        place, field = self._shown[index]
        return strip(width, self._pieces(place, field, width), ink("text", self._ground(place)))

    def _ground(self, place: Place) -> str:
        return "selected" if place == self._at else "surface"

    def _pieces(self, place: Place, field: Field, width: int) -> list[Piece]:
        ink, ground = self.ink, self._ground(place)
        depth = len(place) - 1
        sign = ("▾ " if self.is_open(place) else "▸ ") if field.children else "  "
        here = "▌" if place == self._at and self.has_focus else " "
        name, text = clean(field.name), clean(field.text)
        pieces: list[Piece] = [
            (here, ink("accent", ground)),
            ("  " * depth, ink("text", ground)),
            (sign, ink("muted", ground)),
        ]
        used = sum(len(part) for part, _ in pieces)
        if depth == 0:
            meaning = {"Ring": "used", "virtio-net": "used"}.get(name, "accent")
            pieces.append((name, ink(meaning, ground, bold=True)))
            tail = f"  {text.removeprefix(name).strip()}".rstrip()
        else:
            name = name.ljust(self._widths.get(place[:-1], 0))
            pieces.append((name, ink("muted", ground)))
            tail = f"  {text}" if text else ""
        room = width - used - len(name)
        if len(tail) > room > 0:
            tail = tail[: room - 1] + ELLIPSIS
        if depth > 1 and field.kind == "note" and field.name in ("driver", "device"):
            pieces[-1] = (name, ink(field.name, ground))
        pieces.append((tail, ink("muted", ground) if depth == 0 else ink("text", ground)))
        return pieces

    # moving

    def _index(self) -> int:
        return next((i for i, (place, _) in enumerate(self._shown) if place == self._at), 0)

    def _go(self, index: int) -> None:
        if not self._shown:
            return
        index = min(max(index, 0), len(self._shown) - 1)
        self._at = self._shown[index][0]
        top, height = self.scroll_offset.y, max(self.size.height - self.HEAD, 1)
        if not top <= index < top + height:
            wanted = index if index < top else index - height + 1
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)
        self._tell()

    def _tell(self) -> None:
        self.refresh()
        field = self.chosen
        if field is not None:
            self.post_message(self.Chosen(field))

    def reveal(self, wanted: Field) -> None:
        """Put the cursor on a field, opening what it stands in."""

        def find(fields: tuple[Field, ...], above: Place) -> Place | None:
            for index, field in enumerate(fields):
                place = (*above, index)
                if field is wanted:
                    return place
                below = find(field.children, place)
                if below is not None:
                    return below
            return None

        place = find(self.fields, ())
        if place is None:
            return
        for depth in range(1, len(place)):
            self._open[self._names(place[:depth])] = True
        self._at = place
        self._lay_out()
        self._go(self._index())

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
        index = self.scroll_offset.y + event.y - self.HEAD
        if event.y < self.HEAD or index >= len(self._shown):
            return
        again = self._shown[index][0] == self._at
        self._go(index)
        sign = 1 + 2 * (len(self._at) - 1)
        if again or sign <= event.x < sign + 2:
            self.action_open_close()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self.HEAD + len(self._shown))

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self.refresh()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


_NAME_MAX = 14
_CLOSED = ("Ethernet", "802.3", "Padding")
