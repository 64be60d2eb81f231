"""The one thread that reads the source, at a steady pace, and posts what it read.

It never waits for the app, and the app never waits for it: a picture that is late is replaced by the
next one, and quitting waits at most for one reading. Of a recording, whose readings do not change, it lets
the doctor go through what was recorded meanwhile.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from inspector.diagnosis import HERTZ
from inspector.messages import FeedFailed, Ticked
from inspector.past.retrospect import Retrospect
from inspector.sanitise import one_line

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

    from inspector.session import Session
    from inspector.tick import Tick

RESTING = 4.0  #: readings a second of a frozen pair in which nothing happens


def pace(hertz: float, tick: Tick) -> float:
    """How many readings a second are worth their time after this one."""
    before, now = tick.previous, tick.snapshot
    rests = before is not None and (before.state, before.number, now.state) == (
        "frozen",
        now.number,
        "frozen",
    )
    return min(hertz, RESTING) if rests else hertz


class Feed:
    """Reads `session` `hertz` times a second and posts a `Ticked` to `target` until stopped."""

    def __init__(self, session: Session, target: MessagePump, hertz: float = HERTZ) -> None:
        if not hertz > 0:
            raise ValueError(f"{hertz} readings a second are no pace; give more than 0")
        self.hertz = hertz
        self._session = session
        self._target = target
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ringscope-feed", daemon=True)
        self._retrospect = Retrospect(session) if session.lent else None

    def start(self) -> None:
        self._thread.start()
        if self._retrospect is not None:
            self._retrospect.start()

    def soon(self) -> None:
        """Read now rather than at the next beat: something was selected or stepped."""
        self._wake.set()

    def stop(self, timeout: float = 1.0) -> None:
        """End the thread; harmless when repeated or never started. Waits `timeout` seconds at most."""
        self._stop.set()
        self._wake.set()
        if self._retrospect is not None:
            self._retrospect.stop(timeout)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._wake.clear()
            try:
                tick = self._session.pull()
            except Exception as error:
                if not self._stop.is_set():
                    self._target.post_message(FeedFailed(one_line(error), self._session))
                return
            self._target.post_message(Ticked(tick, self._session))
            now = time.monotonic()
            due = max(due + 1 / pace(self.hertz, tick), now)
            if self._wake.wait(due - now):
                due = time.monotonic()
