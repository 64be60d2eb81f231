"""What the commands do, once the command line is understood: each loads only what it needs."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from inspector.cli import FAILED, PAIR_COMMANDS, USAGE, complain
from inspector.commands.filters import capture_filter
from inspector.commands.opening import FULL, Refused, opened
from inspector.commands.options import trace_level
from inspector.sanitise import one_line

if TYPE_CHECKING:
    from dataplane.source import RingSource

#: The commands without a pair from the command line: where each is.
_PLAIN = {
    "device": ("inspector.commands.serving", "device"),
    "driver": ("inspector.commands.driving_device", "driver"),
    "tap": ("inspector.commands.tapping", "tap"),
    "peers": ("inspector.commands.meeting", "peers"),
    "dissect": ("inspector.commands.dissecting", "dissect"),
    "explain": ("inspector.commands.explaining", "explain"),
    "extcap": ("inspector.wireshark.installing", "install"),
    "learn": ("inspector.commands.learning", "learn"),
    "open": ("inspector.commands.recorded", "open_recording"),
    "play": ("inspector.commands.playing", "play"),
}


def perform(options: argparse.Namespace) -> int:
    """Do one command; its exit code. Errors become one line."""
    if options.command != "run":
        _collect_from_now_on()
    try:
        return _with_a_pair(options) if options.command in PAIR_COMMANDS else _plain(options)
    except Refused as error:
        complain(str(error))
        return USAGE
    except BrokenPipeError:
        raise
    except (RuntimeError, OSError) as error:
        complain(_output_failed(error) or one_line(error))
        return FAILED


def _output_failed(error: Exception) -> str | None:
    """What is said where standard output takes no more: the one thing that is used without a name."""
    if isinstance(error, OSError) and error.strerror and error.filename is None and error.errno in FULL:
        return f"cannot write to standard output: {error.strerror}"
    return None


def _plain(options: argparse.Namespace) -> int:
    module, name = _PLAIN[options.command]
    act: Callable[[argparse.Namespace], int] = getattr(import_module(module), name)
    return act(options)


def _with_a_pair(options: argparse.Namespace) -> int:
    act: Callable[[argparse.Namespace, RingSource], int]
    if options.command == "capture":
        from inspector.commands.capturing import capture

        with opened(options, start=False) as pair:
            return capture(options, pair, pair.start)
    if options.command == "record":
        from inspector.commands.recording import record

        with opened(options, start=False, trace=trace_level(options)) as pair:
            return record(options, pair, pair.start)
    if options.command == "run":
        return _run(options)
    if options.command in ("check", "report"):
        return _examine(options)
    if options.command == "snapshot":
        from inspector.commands.watching import snapshot as act
    else:
        from inspector.commands.watching import watch as act
    program = capture_filter(getattr(options, "filter", None))
    with opened(options, program) as source:
        return act(options, source)


def _examine(options: argparse.Namespace) -> int:
    """`check` and `report`: of a pair, or of a file that needs none."""
    if options.command == "check":
        from inspector.commands.checking import check as act
    else:
        from inspector.commands.reporting import report as act
    if options.scenario or options.recording:
        return act(options)
    with opened(options, trace=options.trace) as source:
        return act(options, source)


def _run(options: argparse.Namespace) -> int:
    """The screens on a pair; with `--record` every event from the first on goes into a file."""
    from inspector.commands.recording import recorder, report
    from inspector.stopping.breakpoints import check

    program = capture_filter(options.filter)
    with ExitStack() as stack:
        pair = stack.enter_context(opened(options, program, start=False, trace=trace_level(options)))
        try:
            check(options.breaks, pair.shapes())
        except ValueError as error:
            raise Refused(f"--break: {error}") from None
        writing = recorder(pair, options.record) if options.record is not None else None
        if writing is not None:
            stack.callback(writing.close)
        pair.start()
        from inspector.app import run

        _collect_from_now_on()
        code = run(
            pair,
            keep_bytes=options.budget,
            capture_filter=program,
            history_bytes=options.history,
            recording=writing,
            breaks=options.breaks,
        )
        if writing is not None:
            writing.close()
            code = max(code, report(writing))
        return code


def _collect_from_now_on() -> None:
    gc.freeze()
    gc.enable()
