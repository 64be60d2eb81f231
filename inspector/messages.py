"""What the feed tells the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from inspector.session import Tick


class Ticked(Message):
    """The source was read. A newer one replaces those that wait: no picture is ever late."""

    def __init__(self, tick: Tick) -> None:
        super().__init__()
        self.tick = tick

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Ticked)


class FeedFailed(Message):
    """The source could not be read: one line that says why. The feed has ended."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line
