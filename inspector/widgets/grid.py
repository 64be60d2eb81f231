"""A table of few columns and up to some thousand rows: sorted by any of them, columns dropped, never cut.

For what changes now and then (conversations, notes); the packet list is a widget of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from inspector.widgets.pane import Piece, ScrollPane, title
from inspector.widgets.pane import line as strip


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A heading and how its cells look. Columns of the highest `gives_way` go first where it is narrow."""

    name: str
    heading: str
    right: bool = False
    meaning: str = "text"
    gives_way: int = 0
    fills: bool = False  #: takes the room that is left, and is the one that may be cut


@dataclass(frozen=True, slots=True)
class GridRow:
    """One row: `key` is what it stays known by, `order` what its columns are sorted by."""

    key: Hashable
    texts: tuple[str, ...]
    order: tuple[Any, ...]
    meaning: str = ""  #: of the whole row, instead of the columns' own


class Grid(ScrollPane):
    """The cursor stays on its row while rows come, go and change places."""

    BINDING_GROUP_TITLE = "Table"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="grid.up", show=False, tooltip="The row above"),
        Binding("down,j", "move(1)", "down", id="grid.down", show=False, tooltip="The row below"),
        Binding("pageup", "page(-1)", "page up", id="grid.page_up", show=False, tooltip="A page up"),
        Binding("pagedown", "page(1)", "page down", id="grid.page_down", show=False, tooltip="A page down"),
        Binding("home,g", "end(-1)", "first", id="grid.first", show=False, tooltip="The first row"),
        Binding("end,G", "end(1)", "last", id="grid.last", show=False, tooltip="The last row"),
        Binding("left,h", "column(-1)", "sort", id="grid.left", show=False, tooltip="Sort by the one before"),
        Binding("right,l", "column(1)", "sort", id="grid.right", show=False, tooltip="Sort by the next"),
        Binding("o", "turn", "order", id="grid.turn", tooltip="Turn the order round; ← → change the column"),
    ]  # fmt: skip
    HEAD = 2

    class Chosen(Message):
        """A second click on a row."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class Moved(Message):
        """The cursor stands on another row."""

    def __init__(self, columns: Sequence[GridColumn], empty: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.rows: tuple[GridRow, ...] = ()
        self.sort: tuple[int, bool] = (0, False)  #: column and whether descending
        self.heading, self.about, self.empty = "", "", empty
        self.key: Hashable | None = None
        self._given: tuple[GridRow, ...] = ()
        self._moved = False  # until somebody moves it the cursor is on the first row
        self._widths: tuple[int, ...] = ()
        self._shown: tuple[int, ...] = ()

    def put(self, name: str, about: str, rows: Sequence[GridRow]) -> None:
        """Show these rows under this title."""
        if (name, about) != (self.heading, self.about):
            self.heading, self.about = name, about
            self.refresh()
        if (new := tuple(rows)) != self._given:
            self._given = new
            self._arrange(new)

    def _arrange(self, rows: Sequence[GridRow]) -> None:
        at, descending = self.sort
        self.rows = tuple(sorted(rows, key=lambda row: row.order[at], reverse=descending))
        if self.rows and (not self._moved or self._index() is None):
            self.key = self.rows[0].key
        self._measure()
        self.set_lines(len(self.rows))
        self.refresh()

    def _measure(self) -> None:
        self._widths = tuple(
            max(len(column.heading) + 1, max((len(row.texts[at]) for row in self.rows), default=0))
            for at, column in enumerate(self.columns)
        )
        room = self.scrollable_content_region.width - 2
        shown = list(range(len(self.columns)))
        least = [_LEAST if column.fills else self._widths[at] for at, column in enumerate(self.columns)]
        while sum(least[at] + 2 for at in shown) > room and len(shown) > 1:
            going = max(shown, key=lambda at: (self.columns[at].gives_way, at))
            if not self.columns[going].gives_way:
                break
            shown.remove(going)
        self._shown = tuple(shown)

    def _index(self) -> int | None:
        return next((at for at, row in enumerate(self.rows) if row.key == self.key), None)

    # the picture

    def render_line(self, y: int) -> Strip:
        width, ink = self.size.width, self.ink
        if y == 0:
            return title(ink, width, self.heading, [(self.about, ink("muted", "panel"))], self.has_focus)
        if y == 1:
            return strip(width, self._cells(None, "surface"), ink("muted"))
        at = self.top + y - self.HEAD
        if at >= len(self.rows):
            words = f"   {self.empty}" if not self.rows and y == self.HEAD else ""
            return strip(width, [(words, ink("muted"))], ink("text"))
        row = self.rows[at]
        ground = "selected" if row.key == self.key else "surface"
        return strip(width, self._cells(row, ground), ink("text", ground))

    def _cells(self, row: GridRow | None, ground: str) -> list[Piece]:
        ink = self.ink
        bar = "▌" if row is not None and row.key == self.key and self.has_focus else " "
        pieces: list[Piece] = [(bar, ink("accent", ground))]
        for at in self._shown:
            column, wide = self.columns[at], self._wide(at)
            if row is None:
                arrow = ("▾" if self.sort[1] else "▴") if at == self.sort[0] else ""
                text = f"{column.heading}{arrow}"
                style = ink("accent" if arrow else "muted", ground)
            else:
                text = row.texts[at]
                style = ink(row.meaning or column.meaning, ground)
            text = text if len(text) <= wide else text[: wide - 1] + "…"
            pieces += [(text.rjust(wide) if column.right else text.ljust(wide), style), ("  ", style)]
        return pieces

    def _wide(self, at: int) -> int:
        """Cells of a column, without the gap."""
        if not self.columns[at].fills:
            return self._widths[at]
        others = sum(self._widths[one] + 2 for one in self._shown if not self.columns[one].fills)
        return max(self.size.width - 4 - others, _LEAST)

    # moving

    def go(self, index: int) -> None:
        if self.rows:
            index = min(max(index, 0), len(self.rows) - 1)
            self._moved = True
            self.key = self.rows[index].key
            self.reveal(index)
            self.post_message(self.Moved())

    def action_move(self, step: int) -> None:
        self.go((self._index() or 0) + step)

    def action_page(self, step: int) -> None:
        self.go((self._index() or 0) + step * max(self.room - 1, 1))

    def action_end(self, way: int) -> None:
        self.go(0 if way < 0 else len(self.rows) - 1)

    def action_column(self, step: int) -> None:
        at = self._shown.index(self.sort[0]) if self.sort[0] in self._shown else 0
        self.order_by(self._shown[(at + step) % len(self._shown)])

    def order_by(self, column: int) -> None:
        """Sort by a column: numbers from the greatest, words from the first; once more turns it round."""
        if column == self.sort[0]:
            self.sort = (column, not self.sort[1])
        else:
            self.sort = (column, self.columns[column].right)
        self._arrange(self.rows)
        self.reveal(self._index() or 0)

    def action_turn(self) -> None:
        self.order_by(self.sort[0])

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self.key))

    def on_click(self, event: events.Click) -> None:
        if event.y == 1:
            left = 1
            for at in self._shown:
                wide = self._wide(at) + 2
                if left <= event.x < left + wide:
                    self.order_by(at)
                    return
                left += wide
            return
        at = self.top + event.y - self.HEAD
        if event.y >= self.HEAD and at < len(self.rows):
            again = self.rows[at].key == self.key
            self.go(at)
            if again:
                self.action_choose()

    def on_resize(self) -> None:
        self._measure()
        self.refresh()


_LEAST = 24  #: cells of the column that fills
