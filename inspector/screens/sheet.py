"""A screen that lies over another one and is left with escape: conversations, a stream, notes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from inspector.chrome import Foot, TopLine

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.session import Session

Result = TypeVar("Result")


class Sheet(Screen[Result]):
    """Has the first and the last line of every screen, and what `body` gives between them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="sheet.leave", tooltip="Back to where you came from"),
        Binding("tab", "app.focus_next", "pane", id="sheet.pane", show=False, tooltip="The next pane"),
    ]
    FOOT_FIRST: ClassVar[tuple[str, ...]] = ("sheet.leave",)

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @property
    def session(self) -> Session:
        return self.ringscope.session

    def body(self) -> Iterable[Widget]:
        """What stands between the first and the last line."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield TopLine()
        yield from self.body()
        yield Foot()

    def on_mount(self) -> None:
        self.call_later(self.ringscope.say)

    def beat(self) -> None:
        """There is a newer reading."""

    def action_leave(self) -> None:
        self.dismiss(None)
