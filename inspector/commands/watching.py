"""`ringscope snapshot` and `ringscope watch`: what the screens read, as JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dataplane.source import RingSource
from inspector.cli import INTERRUPTED, OK
from inspector.headless import document, line
from inspector.session import Session


def snapshot(options: argparse.Namespace, source: RingSource) -> int:
    """One moment of every ring."""
    time.sleep(options.after)
    json.dump(document(source.snapshot()), sys.stdout)
    print(flush=True)
    return OK


class Signalled:
    """Whether a signal came. A handler may set it at any place of the thread that waits: it takes no lock."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._ours, select.POLLIN)

    def set(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._theirs, b".")

    def is_set(self) -> bool:
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Whether it is set, after so long at most."""
        return bool(self._poll.poll(1000 * seconds))

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@contextmanager
def until_signalled() -> Iterator[Signalled]:
    """What SIGINT, SIGTERM or SIGHUP sets, so that files and lines are finished.

    What was to be ignored stays ignored, as under nohup.
    """
    stop = Signalled()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()


def watch(options: argparse.Namespace, source: RingSource) -> int:
    """A line for every reading, until the time is over or a signal comes."""
    session = Session(source, budget_bytes=1 << 20)
    session.whole = frozenset()
    end = time.monotonic() + options.seconds if options.seconds else math.inf
    due = time.monotonic()
    with until_signalled() as stop:
        session.pull()
        while True:
            due += options.every
            if stop.wait(max(min(due, end) - time.monotonic(), 0)):
                return INTERRUPTED if options.seconds else OK
            tick = session.pull()
            session.showed(tick)
            print(json.dumps(line(session, tick)), flush=True)
            if time.monotonic() >= end:
                return OK
