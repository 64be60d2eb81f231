"""What ends the app from outside: signals, and a terminal that goes away.

Textual restores the terminal at its exit, but not when a signal kills it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_Done = TypeVar("_Done")


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


class Outliving:
    """The file of a terminal that may go away: from then on what is written to it goes nowhere.

    Textual writes on a thread of its own; if that died of the error, the app would wait for it for ever.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> int:
        return self._try(lambda: self._file.write(text), len(text))

    def flush(self) -> None:
        self._try(self._file.flush, None)

    def _try(self, act: Callable[[], _Done], instead: _Done) -> _Done:
        if self._gone:
            return instead
        try:
            return act()
        except OSError:
            self._gone = True
            return instead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def outliving() -> Iterator[None]:
    """While it is open the terminal may go away."""
    file = sys.__stderr__
    if file is None:
        yield
        return
    sys.__stderr__ = Outliving(file)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sys.__stderr__ = file  # type: ignore[misc]
