"""What the app asks of every screen, so that screens need not know the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inspector.session import Selection, Tick


@runtime_checkable
class View(Protocol):
    """A screen that shows the source."""

    def show(self, tick: Tick) -> None:
        """A newer reading; not called while the view is paused."""

    def selection_changed(self, selection: Selection) -> None:
        """Something else is selected; highlight it and bring it into view."""


@runtime_checkable
class Copies(Protocol):
    """A screen that has something to copy."""

    def copy_text(self) -> str | None:
        """What is selected as plain text, None where nothing is."""


@runtime_checkable
class Follows(Protocol):
    """A screen that can keep up with what is newest."""

    def toggle_follow(self) -> bool:
        """Follow or stop following; whether it follows now."""
