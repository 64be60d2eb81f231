"""Expert notes: "what is odd about these packets?", one line for each kind of oddity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from capture.expert import NOTES
from capture.frame import Array
from inspector.numbers import count
from inspector.screens.sheet import Sheet
from inspector.widgets.filling import Words
from inspector.widgets.grid import Grid, GridColumn, GridRow

_COLUMNS = (
    GridColumn("severity", "how grave"),
    GridColumn("name", "what", meaning="strong"),
    GridColumn("count", "packets", right=True),
    GridColumn("text", "what it means", meaning="muted", gives_way=1, fills=True),
)
_GRAVE = {"error": 0, "warning": 1, "note": 2, "chat": 3}
_SIGNS = {"error": "! error", "warning": "▲ warning", "note": "· note", "chat": "  chat"}
_MEANINGS = {"error": "fault", "warning": "available", "note": "text", "chat": "muted"}


class NotesScreen(Sheet[int]):
    """Returns the number of the packet to go to, None where none was chosen."""

    BINDING_GROUP_TITLE = "Expert notes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "next such packet", id="notes.go", tooltip="The next after the cursor"),
        Binding("x", "leave", "back", id="notes.leave", show=False, tooltip="Back to the packets"),
    ]  # fmt: skip
    FOOT_FIRST = ("notes.go", "grid.turn", "sheet.leave")
    DEFAULT_CSS = """
    NotesScreen Grid { height: 1fr; background: $surface; }
    NotesScreen Words { background: $panel; padding: 0; }
    """

    def __init__(self, cursor: int) -> None:
        super().__init__()
        self._cursor = cursor

    def body(self) -> Iterable[Widget]:
        yield Grid(_COLUMNS, "nothing odd in any packet so far", id="notes")
        yield Words(id="about")

    def on_mount(self) -> None:
        self.ringscope.analysis.start()
        self.query_one(Grid).focus()
        self.beat()

    def beat(self) -> None:
        analysis = self.ringscope.analysis
        rows = []
        until = self.session.cursor_frame
        for bit, every in analysis.expert.counts.items():
            found = every if until is None else len(self._numbers(bit, until)) if every else 0
            if found:
                info = NOTES[bit]
                texts = (_SIGNS[info.severity], info.name, count(found), info.text)
                order = (_GRAVE[info.severity], info.name, found, info.text)
                rows.append(GridRow(bit, texts, order, _MEANINGS[info.severity]))
        about = f"{count(len(analysis.notes))} packets with notes"
        if until is not None:
            about = f"in the past: of packets up to {until:,}"
        if analysis.progress < 1:
            about += f" · {analysis.progress:.0%} of the packets gone through"
        grid = self.query_one(Grid)
        grid.put("expert notes", analysis.failed or about, rows)
        self._explain()

    def _numbers(self, bit: int, until: int | None) -> Array:
        """The packets with a note that are remembered; `until`: of those that there were by then."""
        numbers = self.ringscope.analysis.expert.found(bit).numbers
        return numbers if until is None else numbers[: int(np.searchsorted(numbers, until, "right"))]

    def _explain(self) -> None:
        """The whole explanation of the line under the cursor, and what the ring has to do with it."""
        bit = self.query_one(Grid).key
        info = NOTES.get(bit) if isinstance(bit, int) else None
        if info is None:
            self.query_one(Words).put("")
        else:
            ring = f" In a ring: {info.ring}." if info.ring else ""
            self.query_one(Words).put(f"{info.name}: {info.text}.{ring}")

    @on(Grid.Moved)
    def _moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._explain()

    @on(Grid.Chosen)
    def _take(self, event: Grid.Chosen) -> None:
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        bit = self.query_one(Grid).key
        if not isinstance(bit, int):
            return
        numbers = self._numbers(bit, self.session.cursor_frame)
        numbers = numbers[numbers >= self.session.frames.first]
        if not len(numbers):
            self.ringscope.tell("the packets with this note are no longer kept", "flux")
            return
        at = int(np.searchsorted(numbers, self._cursor, "right"))
        self.dismiss(int(numbers[at % len(numbers)]))

    def copy_text(self) -> str | None:
        bit = self.query_one(Grid).key
        return f"{NOTES[bit].name}: {NOTES[bit].text}" if isinstance(bit, int) else None
