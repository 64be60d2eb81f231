"""The write dialogue: which packets, and under which name."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from inspector.numbers import count
from inspector.packets.rows import cut
from inspector.sanitise import clean
from inspector.widgets.filling import Words, fitting
from inspector.widgets.pane import Inked, Piece
from inspector.widgets.pane import line as strip
from inspector.writing import Choice, wrong_name

_HINTS = ("↑ ↓ which packets · enter writes · esc back", "enter writes · esc back")
_ENDS = "a name that ends in .pcapng keeps the facts of the ring, one in .pcap does not"


class Choices(Inked):
    """One line for each choice; those without a packet cannot be taken."""

    DEFAULT_CSS = "Choices { height: auto; }"

    def __init__(self, choices: tuple[Choice, ...], at: int) -> None:
        super().__init__()
        self.choices = choices
        self.at = at

    def get_content_height(self, *_: object) -> int:
        return len(self.choices)

    def render_line(self, y: int) -> Strip:
        ink, one = self.ink, self.choices[y]
        chosen = y == self.at
        ground = "selected" if chosen else "surface"
        name = ink("muted" if not one.packets else "strong" if chosen else "text", ground)
        pieces: list[Piece] = [
            ("▌" if chosen else " ", ink("accent", ground)),
            ("(•) " if chosen else "( ) ", ink("accent" if chosen else "muted", ground)),
            (f"{one.name:<10}", name),
            (f"{count(one.packets):>8} packet{'s' if one.packets != 1 else ' '}  ", name),
        ]
        room = max(self.size.width - sum(len(text) for text, _ in pieces), 1)
        pieces.append((cut(clean(one.about), room), ink("muted", ground)))
        return strip(self.size.width, pieces, ink("text", ground))

    def step(self, way: int) -> None:
        at = self.at
        for _ in self.choices:
            at = (at + way) % len(self.choices)
            if self.choices[at].packets:
                break
        self.at = at
        self.refresh()

    def on_click(self, event: object) -> None:
        y = getattr(event, "y", 0)
        if y < len(self.choices) and self.choices[y].packets:
            self.at = y
            self.refresh()


class WriteDialogue(ModalScreen[tuple[Choice, str]]):
    """Returns the choice and the path, None where the user turned back."""

    BINDING_GROUP_TITLE = "Write"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "which(-1)", "which", id="write.up", show=False, tooltip="The choice above"),
        Binding("down,tab", "which(1)", "which", id="write.down", show=False, tooltip="The choice below"),
        Binding("escape", "give_up", "back", id="write.back", tooltip="Write nothing"),
    ]

    def __init__(self, choices: tuple[Choice, ...], chosen: int, name: str) -> None:
        super().__init__()
        self._choices, self._proposed, self._path = choices, chosen, name

    def compose(self) -> ComposeResult:
        with Container(id="write") as box:
            box.border_title = "write packets to a file"
            yield Choices(self._choices, self._proposed)
            yield Input(self._path, select_on_focus=False)
            yield Words(id="about", ground="surface")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._say(wrong_name(self._path))

    def on_resize(self) -> None:
        self._say(wrong_name(self.query_one(Input).value))

    def _say(self, wrong: str) -> None:
        box, words = self.query_one("#write"), self.query_one(Words)
        box.set_class(bool(wrong), "-wrong")
        box.border_subtitle = fitting(max(box.size.width - 2, 16), *_HINTS)
        words.put(f"! {wrong}" if wrong else _ENDS, "fault" if wrong else "muted")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say(wrong_name(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            self.dismiss(None)
        elif wrong_name(event.value):
            self.app.bell()
        else:
            choices = self.query_one(Choices)
            self.dismiss((choices.choices[choices.at], event.value.strip()))

    def action_which(self, way: int) -> None:
        self.query_one(Choices).step(way)

    def action_give_up(self) -> None:
        self.dismiss(None)
