"""A search as it goes on from key to key: the pane that has the focus is looked through first.

From the list it goes from packet to packet of those shown. From the fields it goes through the fields of
the packet chosen, then on to the next packet; from the bytes likewise, through the bytes.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from inspector.asking import Progress
from inspector.packets.bytes import BytesView
from inspector.packets.search import Found, Pattern, find, parse
from inspector.packets.tree import FieldTree
from inspector.sanitise import clean

if TYPE_CHECKING:
    from inspector.screens.packets import PacketsScreen


class Searching:
    """What is looked for on the packets screen, and the thread that looks."""

    def __init__(self, screen: PacketsScreen) -> None:
        self._screen = screen
        self._stop = threading.Event()
        self.pattern: Pattern | None = None
        self.pane: FieldTree | BytesView | None = None  #: looked through first, None for the list

    def stop(self) -> None:
        self._stop.set()

    def begin(self, text: str) -> None:
        """Look for this from where the cursor is. ValueError where it cannot be looked for."""
        self.pattern = parse(text)
        self._go(1, 0)

    def again(self, step: int) -> None:
        """The next one, or the one before."""
        if self.pattern is None:
            self._screen.ringscope.tell("nothing was searched for yet: / does")
        else:
            self._go(step, step)

    def _go(self, step: int, skip: int) -> None:
        self._stop.set()
        self._stop = threading.Event()
        focused = self._screen.focused
        self.pane = focused if isinstance(focused, FieldTree | BytesView) else None
        assert self.pattern is not None
        if self.pane is not None and self.pane.seek(self.pattern, step):
            self._screen.ringscope.tell(f"{_quoted(self.pattern)} is in this packet · n next · N before")
            return
        packets = self._screen.packets
        shown = packets.shown
        at = shown.nearest(packets.cursor) if packets.cursor is not None else 0
        begin = (at or 0) + (skip or (step if self.pane is not None else 0))
        looking = self._look(begin, step, self._stop)
        self._screen.run_worker(looking, group="search", exclusive=True)

    async def _look(self, begin: int, step: int, stop: threading.Event) -> None:
        pattern, screen = self.pattern, self._screen
        if pattern is None:
            return
        packets, app = screen.packets, screen.ringscope
        progress = Progress(app, f"looking for {_quoted(pattern)}")
        shown, store = packets.shown, screen.session.frames
        if begin < 0:
            begin = len(shown) - 1
        found: Found | None = await asyncio.to_thread(
            find, store, shown, pattern, begin, step, stop, progress.tell
        )
        progress.over = True
        if stop.is_set():
            return
        if found is None:
            among = "no packet that is shown" if shown.filter_text else "no packet"
            app.tell(f"{among} has {_quoted(pattern)}", "flux")
            return
        packets.go(found.number)
        wrapped = f", {'from the top' if step > 0 else 'from the end'} again" if found.wrapped else ""
        app.tell(f"packet {found.number} has {_quoted(pattern)}{wrapped} · n next · N before")

    def arrived(self) -> None:
        """The fields of the packet that was found are there: go on inside of it."""
        if self.pane is not None and self.pattern is not None and self._screen.focused is self.pane:
            pane, self.pane = self.pane, None
            pane.seek(self.pattern, 1, from_start=True)


def _quoted(pattern: Pattern) -> str:
    return clean(pattern.text)
