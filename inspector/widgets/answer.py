"""Where an answer is typed, and the descriptor table in which a slot is chosen for one."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from inspector.learning.lesson import Asked
from inspector.widgets.keys import key
from inspector.widgets.table import Descriptors


class Table(Descriptors, inherit_bindings=False):
    """The descriptor table; `enter` goes on in a lesson, so here only `x` opens a table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding if "enter" not in binding.key else replace(binding, key="x")
        for binding in Descriptors.BINDINGS
        if isinstance(binding, Binding)
    ]


class Answer(Input):
    """Where an answer is typed; what it has no use for goes to the lesson."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("lesson.answer_back", "backspace", "erase", "back", "Rub out; back where there is nothing typed"),
        key("lesson.answer_up", "up", "screen.slot(-1)", "slot up", "Choose the slot above in the table"),
        key("lesson.answer_down", "down", "screen.slot(1)", "slot down", "Choose the slot below"),
    ]

    def prompt(self, asked: Asked, table: bool) -> None:
        """Say what is to be typed; `table`: the slots are in sight."""
        self.placeholder = {
            "number": "a number, then enter",
            "choice": "a letter, then enter",
            "slot": "a slot: ↑ ↓ in the table, or its number"
            if table
            else "the number of a slot, then enter",
        }[asked]

    async def action_erase(self) -> None:
        if self.value:
            self.action_delete_left()
        else:
            await self.run_action("screen.back")
