"""Which columns the packet list has, in which order, and how it tells the time."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip

from inspector.packets.rows import ALL_COLUMNS, TIME_FORMATS, cut
from inspector.widgets.filling import Words, fitting
from inspector.widgets.pane import Piece, ScrollPane
from inspector.widgets.pane import line as strip

_ABOUT = {column.name: column for column in ALL_COLUMNS}
_HINTS = (
    "space shows · K J move · t time · d default · enter applies · esc back",
    "space shows · K J move · t time · d default · enter applies",
    "space shows · enter applies · esc back",
)


class Choice(ScrollPane):
    """Every column: those chosen first, in their order."""

    BINDING_GROUP_TITLE = "Columns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="columns.up", show=False, tooltip="The column above"),
        Binding("down,j", "move(1)", "down", id="columns.down", show=False, tooltip="The column below"),
        Binding("space", "turn", "show", id="columns.turn", show=False, tooltip="Show it or leave it out"),
        Binding("shift+up,K", "carry(-1)", "left", id="columns.left", show=False, tooltip="Further left"),
        Binding("shift+down,J", "carry(1)", "right", id="columns.right", show=False, tooltip="Further right"),
    ]  # fmt: skip
    HEAD = 0
    DEFAULT_CSS = "Choice { height: 1fr; background: $surface; }"

    def __init__(self, chosen: tuple[str, ...]) -> None:
        super().__init__()
        self.chosen = list(chosen)
        self.names = [*chosen, *(column.name for column in ALL_COLUMNS if column.name not in chosen)]
        self._at = 0

    class Moved(Message):
        """The cursor stands on another column."""

    @property
    def about(self) -> str:
        """What the column under the cursor holds."""
        return _ABOUT[self.names[self._at]].about

    def on_mount(self) -> None:
        self.set_lines(len(self.names))

    def render_line(self, y: int) -> Strip:
        at, ink, width = self.top + y, self.ink, self.size.width
        if at >= len(self.names):
            return strip(width, [], ink("text"))
        name = self.names[at]
        shown = name in self.chosen
        ground = "selected" if at == self._at else "surface"
        column = _ABOUT[name]
        pieces: list[Piece] = [
            ("▌" if at == self._at else " ", ink("accent", ground)),
            ("[x] " if shown else "[ ] ", ink("used" if shown else "muted", ground)),
            (f"{name:<13}", ink("strong" if shown else "text", ground)),
            (cut(column.about, max(width - 18, 8)), ink("muted", ground)),
        ]
        return strip(width, pieces, ink("text", ground))

    def _arrange(self) -> None:
        self.chosen = [name for name in self.names if name in self.chosen]
        self.refresh()

    def action_move(self, step: int) -> None:
        self._at = min(max(self._at + step, 0), len(self.names) - 1)
        self.reveal(self._at)
        self.post_message(self.Moved())

    def action_turn(self) -> None:
        name = self.names[self._at]
        self.chosen = [n for n in self.chosen if n != name] if name in self.chosen else [*self.chosen, name]
        self._arrange()

    def action_carry(self, step: int) -> None:
        to = self._at + step
        if 0 <= to < len(self.names):
            self.names[self._at], self.names[to] = self.names[to], self.names[self._at]
            self._at = to
            self._arrange()
            self.reveal(to)


class ColumnsDialogue(ModalScreen[tuple[tuple[str, ...], str]]):
    """Returns (columns, time format); no columns: those that suit the width. None where it was left."""

    BINDING_GROUP_TITLE = "Columns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "apply", id="columns.apply", tooltip="Show these"),
        Binding("t", "time", "time", id="columns.time", tooltip="How the time is told"),
        Binding("d", "default", "default", id="columns.default", tooltip="What suits the width"),
        Binding("escape", "give_up", "back", id="columns.back", tooltip="Leave them as they were"),
    ]

    def __init__(self, columns: tuple[str, ...], time_format: str) -> None:
        super().__init__()
        self._columns = columns
        self._time = time_format

    def compose(self) -> ComposeResult:
        with Container(id="columns"):
            yield Choice(self._columns)
            yield Words(id="about", ground="surface")

    def on_mount(self) -> None:
        self._entitle()
        self.query_one(Choice).focus()

    def on_resize(self) -> None:
        self._entitle()

    def on_choice_moved(self, event: Choice.Moved) -> None:
        event.stop()
        self._entitle()

    def _entitle(self) -> None:
        """The border says how the time is told and which keys there are; below the list, one column whole."""
        box = self.query_one("#columns")
        box.border_title = f"columns · time: {self._time}"
        box.border_subtitle = fitting(max(box.size.width - 2, 16), *_HINTS)
        self.query_one(Words).put(self.query_one(Choice).about)

    def action_time(self) -> None:
        at = TIME_FORMATS.index(self._time) if self._time in TIME_FORMATS else 0
        self._time = TIME_FORMATS[(at + 1) % len(TIME_FORMATS)]
        self._entitle()

    def action_default(self) -> None:
        self.dismiss(((), self._time))

    def action_apply(self) -> None:
        chosen = self.query_one(Choice).chosen
        self.dismiss((tuple(chosen), self._time))

    def action_give_up(self) -> None:
        self.dismiss(None)
