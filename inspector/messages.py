"""What the feed tells the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from inspector.session import Session
    from inspector.tick import Tick


class Ticked(Message):
    """The source was read. A newer one replaces those that wait: no picture is ever late.

    `session` is the one that read it; None: the one that is looked at.
    """

    def __init__(self, tick: Tick, session: Session | None = None) -> None:
        super().__init__()
        self.tick, self.session = tick, session

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Ticked)


class FeedFailed(Message):
    """The source could not be read: one line that says why. The feed has ended."""

    def __init__(self, line: str, session: Session | None = None) -> None:
        super().__init__()
        self.line, self.session = line, session
