"""The thread on which a frame view takes in what is new, so that no filter and no sort stops the screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from capture.view import FrameView

_REST = 3.0  #: it rests so many times as long as it worked, once it has caught up
_LEAST_REST = 0.05  #: seconds
_TOLD = 0.1  #: seconds between two words of progress


class Viewer:
    """Advances a view whenever it is woken, and calls `tell` (on its own thread) when there is more to show.

    `wrong` is called with one line when a filter fails; everything is shown again then. It starts with the
    first `wake` and ends with `close`.
    """

    def __init__(self, view: FrameView, tell: Callable[[], None], wrong: Callable[[str], None]) -> None:
        self._view = view
        self._tell = tell
        self._wrong = wrong
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._woken = self._urgent = self._closed = False
        self._settled: int | None = None

    def wake(self, settled: int | None = None, *, urgent: bool = False) -> None:
        """There is something new. settled: as `FrameView.advance`; urgent: somebody waits for it."""
        with self._condition:
            self._woken, self._urgent = True, self._urgent or urgent
            self._settled = settled
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="ringscope-view", daemon=True)
                self._thread.start()
            self._condition.notify()

    def close(self) -> None:
        """End, and wait for the end."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        rest = 0.0
        while self._next(rest):
            began = told = time.monotonic()
            try:
                while self._view.advance(self._settled) and not self._closed:
                    if time.monotonic() - told >= _TOLD:
                        self._tell()
                        told = time.monotonic()
            except Exception as error:
                self._view.set_filter(None)
                self._view.set_sort(None)
                self._wrong(f"the filter failed, every packet is shown again: {error}")
            if self._closed:
                return
            self._tell()
            rest = max(_REST * (time.monotonic() - began), _LEAST_REST)

    def _next(self, rest: float) -> bool:
        """Wait for something to do: at once if it is urgent, else after a rest. False when it is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._urgent or self._closed, rest)
            self._condition.wait_for(lambda: self._woken or self._closed)
            self._woken = self._urgent = False
            return not self._closed
