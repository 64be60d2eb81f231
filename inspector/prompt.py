"""One line asked of the user, at the foot of the screen."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widgets import Input


class Prompt(ModalScreen[str | None]):
    """Returns the line, or None where the user turned back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "back", id="prompt.back", tooltip="Change nothing"),
    ]

    def __init__(self, question: str, value: str = "", hint: str = "enter go · esc back") -> None:
        super().__init__()
        self._question, self._value, self._hint = question, value, hint

    def compose(self) -> ComposeResult:
        with Container(id="prompt") as box:
            box.border_title = self._question
            box.border_subtitle = self._hint
            yield Input(self._value, select_on_focus=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_give_up(self) -> None:
        self.dismiss(None)
