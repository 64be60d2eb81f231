"""What the app asks of every screen, so that screens need not know the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inspector.packets.list import PacketList
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


@runtime_checkable
class Lists(Protocol):
    """A screen with a packet list."""

    @property
    def packets(self) -> PacketList:
        """The list."""


@runtime_checkable
class Scopes(Protocol):
    """A screen that can keep to one queue."""

    def step_queue(self, step: int) -> str:
        """Keep to the next queue, or to none after the last; one line that says which."""


@runtime_checkable
class Searches(Protocol):
    """A screen that has something of its own to search."""

    def search(self) -> None:
        """Ask what to look for."""


@runtime_checkable
class Writes(Protocol):
    """A screen that has something of its own to write to a file."""

    def write(self) -> None:
        """Ask where to."""


@runtime_checkable
class Beats(Protocol):
    """A screen over another one that wants to know of readings."""

    def beat(self) -> None:
        """There is a newer reading."""
