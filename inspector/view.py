"""What the app asks of every screen, so that screens need not know the app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from inspector.packets.list import PacketList
    from inspector.tick import Selection, Tick


@runtime_checkable
class View(Protocol):
    """A screen that shows the source."""

    def show(self, tick: Tick) -> None:
        """A newer reading, or a moment of the past (`tick.cursor`); not called while the view is paused."""

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
    """A screen that wants to know of readings also where it does not show them: in the past, or over another.

    Not called while the view is paused, unless a moment of the past is shown.
    """

    def beat(self) -> None:
        """There is a newer reading."""


@runtime_checkable
class Explains(Protocol):
    """A screen that has something of its own to say in the help."""

    def explanations(self) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
        """(title, lines) for each section; a line is a sign or an example, and what it means."""


@runtime_checkable
class Stays(Protocol):
    """A screen that stays when the app is given another source."""

    def source_changed(self) -> None:
        """The app's session is another one."""


class Records(Protocol):
    """What writes a source down while it is looked at."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def failed(self) -> str:
        """Why it ended, in one line; "" while it goes on."""
