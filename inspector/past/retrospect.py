"""The doctor over a recording that is on the screens: what was wrong in it, and when, found on a thread.

Every moment of the recording's own time is looked at once, as `ringscope check --recording` does; what was
found so far is with the session's doctor at any time. A recording that is still being written is followed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from inspector.diagnosis import moments

if TYPE_CHECKING:
    from dataplane.recording import Recording
    from inspector.session import Session

_AGAIN = 0.5  #: seconds between two looks at a file that grows


class Retrospect:
    """Goes through the recording of a session from its start on."""

    def __init__(self, session: Session) -> None:
        self._session, self._recording = session, cast("Recording", session.source)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retrospect", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Harmless when repeated or never started. Waits `timeout` seconds at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def wait(self) -> None:
        """Until all of a recording that does not grow has been gone through."""
        self._thread.join()

    def _run(self) -> None:
        look, reached = self._session.doctor.look, 0
        while True:
            for moment in moments(self._recording, after=reached):
                if self._stop.is_set():
                    return
                look(moment)
                reached = moment.time
            if not self._recording.following or self._stop.wait(_AGAIN):
                return
