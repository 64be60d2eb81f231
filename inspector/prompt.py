"""One line of input at the foot of the screen: a question, an answer, enter or escape."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widgets import Input

from inspector.sanitise import clean
from inspector.widgets.filling import Words


class Prompt(ModalScreen[str | None]):
    """Returns the line, or None where the user turned back.

    `check` raises ValueError with one line for what cannot be used; that is said while it is typed, and
    enter does nothing. `history` has the newest line last; up and down go through it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "back", id="prompt.back", tooltip="Change nothing"),
        Binding("up", "history(1)", "older", id="prompt.older", show=False, tooltip="What was typed before"),
        Binding("down", "history(-1)", "newer", id="prompt.newer", show=False, tooltip="What came after"),
    ]

    def __init__(
        self,
        question: str,
        value: str = "",
        hint: str = "enter go · esc back",
        *,
        check: Callable[[str], object] | None = None,
        history: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._question, self._value, self._hint = question, value, hint
        self._check, self._history, self._past = check, history, 0

    def compose(self) -> ComposeResult:
        with Container(id="prompt") as box:
            box.border_title = self._question
            box.styles.height = "auto"
            yield Input(self._value, select_on_focus=False)
            yield Words(id="wrong", ground="surface")

    def on_mount(self) -> None:
        self._say("")

    def on_resize(self) -> None:
        self._say(self._wrong(self.query_one(Input).value))

    def _say(self, wrong: str) -> None:
        """The hint on the border, or what is wrong: below the line where the border has no room for it."""
        box = self.query_one("#prompt")
        box.set_class(bool(wrong), "-wrong")
        text = f"! {wrong}" if wrong else clean(self._hint)
        fits = len(text) <= max(self.size.width - 8, 16)
        box.border_subtitle = (text if fits else "" if wrong else "enter go · esc back").replace("[", r"\[")
        self.query_one(Words).put("" if fits or not wrong else text, "fault")

    def _wrong(self, text: str) -> str:
        """One line that says why the text cannot be used; "" where it can."""
        if self._check is None or not text.strip():
            return ""
        try:
            self._check(text)
        except ValueError as error:
            return clean(str(error))
        return ""

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say(self._wrong(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._wrong(event.value):
            self.app.bell()
        else:
            self.dismiss(event.value.strip() or None)

    def action_history(self, step: int) -> None:
        past = min(max(self._past + step, 0), len(self._history))
        if past != self._past:
            self._past = past
            line = self.query_one(Input)
            line.value = self._history[-past] if past else ""
            line.cursor_position = len(line.value)

    def action_give_up(self) -> None:
        self.dismiss(None)
