"""Signals that end the app in order: Textual restores the terminal at its exit, but not when one kills it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def catch(ended: Callable[[int], None]) -> Callable[[], None]:
    """Call `ended` with the number of a signal that comes, on the running loop; the answer undoes it.

    Only the main thread can catch signals: on any other nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, ended, number)

    def release() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    return release
