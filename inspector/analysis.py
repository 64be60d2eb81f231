"""What is worked out of the frames kept, on a thread of its own: conversations and expert notes.

It begins with the first screen that asks, goes through what is kept, and then keeps up. It works in small
pieces with rests between them, so that the screen stays quick while a million frames are gone through.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from capture.expert import Expert
from capture.flows import Conversations
from inspector.sanitise import one_line

if TYPE_CHECKING:
    from inspector.session import Session

_PIECE = 2048  #: frames at a time
_REST = 0.02  #: seconds between two pieces, and at least twice as long as a piece takes
_IDLE = 0.2  #: seconds until it looks for more


class Analysis:
    """Goes through the frames of a session up to `settled`, where what became of them is known."""

    def __init__(self, session: Session) -> None:
        self.conversations = Conversations()
        self.expert = Expert()
        self.notes: dict[int, int] = {}  #: bits by frame number, of frames that have any
        self.through = 0  #: the last frame gone through
        self.failed = ""  #: why it ended, in one line
        self._session = session
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> float:
        """How much of what is kept it has gone through, 0 to 1."""
        first, last = self._session.frames.first, self._end()
        if last < first:
            return 1.0
        return min(max((self.through - first + 1) / (last - first + 1), 0.0), 1.0)

    def start(self) -> None:
        """Begin, if it has not yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ringscope-analysis", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """End the thread; harmless when repeated or never started."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _end(self) -> int:
        return min(self._session.settled, self._session.frames.last)

    def _run(self) -> None:
        rest = _REST
        try:
            while not self._stop.wait(rest):
                began = time.monotonic()
                more = self._go_on()
                rest = max(2 * (time.monotonic() - began), _REST) if more else _IDLE
        except Exception as error:
            self.failed = f"conversations and notes end here: {one_line(error)}"

    def _go_on(self) -> bool:
        """One piece; whether there was any."""
        store = self._session.frames
        start = max(self.through + 1, store.first)
        stop = min(self._end() + 1, start + _PIECE)
        if start >= stop:
            return False
        self.expert.gaps = self._session.capture_filter is None and self._unbroken(start)
        for block in store.blocks(start, stop):
            self.conversations.add(block)
            found = self.expert.add(block)
            self.notes.update(zip(found.numbers.tolist(), found.bits.tolist(), strict=True))
        self.through = stop - 1
        self._forget(store.first)
        return True

    def _unbroken(self, start: int) -> bool:
        """Whether every frame was logged, and none fell out of the store before it was looked at."""
        tick = self._session.tick
        return start == self.through + 1 and tick is not None and tick.snapshot.logs.frame_sample == 1

    def _forget(self, first: int) -> None:
        """Notes of frames that are gone; they were made in ascending order."""
        while self.notes and (oldest := next(iter(self.notes))) < first:
            del self.notes[oldest]
