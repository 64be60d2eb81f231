"""What the commands do, once the command line is understood."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from capture.pcapng import Writer
from dataplane.source import RingSource
from inspector.cli import FAILED, INTERRUPTED, OK, PIPE, USAGE, complain
from inspector.headless import document, line
from inspector.opening import Refused, opened
from inspector.sanitise import one_line
from inspector.session import Session
from inspector.writing import interfaces

_BEAT = 0.05  #: seconds between two readings of a capture


def perform(options: argparse.Namespace) -> int:
    """Do one command; its exit code. Errors become one line."""
    act: Callable[[argparse.Namespace, RingSource], int] = {
        "run": _run,
        "snapshot": _snapshot,
        "watch": _watch,
        "capture": _capture,
    }[options.command]
    if options.command != "run":
        _collect_from_now_on()
    try:
        with opened(options) as source:
            return act(options, source)
    except Refused as error:
        complain(str(error))
        return USAGE
    except BrokenPipeError:
        raise
    except (RuntimeError, OSError) as error:
        complain(one_line(error))
        return FAILED


def _run(options: argparse.Namespace, source: RingSource) -> int:
    from inspector.app import run

    _collect_from_now_on()
    return run(source)


def _collect_from_now_on() -> None:
    gc.freeze()
    gc.enable()


def _snapshot(options: argparse.Namespace, source: RingSource) -> int:
    time.sleep(options.after)
    json.dump(document(source.snapshot()), sys.stdout)
    print(flush=True)
    return OK


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, so that files are finished."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(options: argparse.Namespace, source: RingSource) -> int:
    session = Session(source, budget_bytes=1 << 20)
    session.whole = frozenset()
    end = time.monotonic() + options.seconds if options.seconds else math.inf
    due = time.monotonic()
    with _until_signalled() as stop:
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


def _capture(options: argparse.Namespace, source: RingSource) -> int:
    session = Session(source)
    session.whole = frozenset()
    if source.control is not None:
        source.control.log_frames(True)  # every one, where the traffic would have it sampled
    with _until_signalled() as stop:
        tick = session.pull()
        with _output(options.write) as file:
            writer = Writer(file, interfaces(tick.snapshot))
            try:
                _fill(writer, session, stop, options.count or math.inf, options.seconds or math.inf)
                writer.close()
            except BrokenPipeError:
                complain(f"the reader went away after {writer.frames:,} frames")
                return PIPE
            except OSError as error:
                _report(session, writer)
                complain(f"cannot write {options.write}: {error.strerror or error}")
                return FAILED
        _report(session, writer)
    return OK


def _fill(writer: Writer, session: Session, stop: threading.Event, count: float, seconds: float) -> None:
    """Write frames until there are `count` of them, `seconds` are over, or `stop` is set."""
    end = time.monotonic() + seconds
    written, told, lost = 0, 0, 0
    while True:
        tick = session.tick or session.pull()
        store = session.frames
        for rows, data, offsets, _ in store.blocks(told + 1, store.last + 1):
            room = len(rows) if written + len(rows) <= count else int(count - written)
            writer.write(rows[:room], data, offsets[:room])
            written += room
        told = store.last
        if tick.frames_lost > lost:
            writer.lost(0, tick.frames_lost - lost)
            lost = tick.frames_lost
        writer.flush()
        over = time.monotonic() >= end
        if written >= count or over or stop.wait(min(_BEAT, max(end - time.monotonic(), 0))):
            return
        session.pull()


def _report(session: Session, writer: Writer) -> None:
    tick = session.tick
    lost = tick.frames_lost if tick is not None else 0
    passed_over = tick.snapshot.logs.frames_passed_over if tick is not None else 0
    more = f", {passed_over:,} passed before every one was logged" if passed_over else ""
    print(f"{writer.frames:,} frames written, {lost:,} lost{more}", file=sys.stderr)


@contextmanager
def _output(path: str) -> Iterator[IO[bytes]]:
    """Standard output, or a new file that only its owner may read. Refused where it cannot be made."""
    if path == "-":
        if sys.stdout.isatty():
            raise Refused("a capture is no text for a terminal: give -w FILE, or send -w - into a pipe")
        yield sys.stdout.buffer
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(fd, "wb", buffering=0) as file:
        yield file
