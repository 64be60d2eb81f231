"""What the commands do, once the command line is understood: each loads only what it needs."""

from __future__ import annotations

import argparse
import errno
import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

from inspector.cli import FAILED, USAGE, complain
from inspector.commands.filters import capture_filter
from inspector.commands.opening import Refused, opened
from inspector.sanitise import one_line

if TYPE_CHECKING:
    from dataplane.source import RingSource

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def perform(options: argparse.Namespace) -> int:
    """Do one command; its exit code. Errors become one line."""
    if options.command != "run":
        _collect_from_now_on()
    try:
        return _plain(options) if options.command in ("dissect", "extcap") else _with_a_pair(options)
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
    if isinstance(error, OSError) and error.strerror and error.filename is None and error.errno in _FULL:
        return f"cannot write to standard output: {error.strerror}"
    return None


def _plain(options: argparse.Namespace) -> int:
    if options.command == "dissect":
        from inspector.commands.dissecting import dissect

        return dissect(options)
    from inspector.wireshark.installing import install

    return install(options)


def _with_a_pair(options: argparse.Namespace) -> int:
    act: Callable[[argparse.Namespace, RingSource], int]
    if options.command == "capture":
        from inspector.commands.capturing import capture

        with opened(options, start=False) as pair:
            return capture(options, pair, pair.start)
    if options.command == "run":
        act = _run
    elif options.command == "snapshot":
        from inspector.commands.watching import snapshot as act
    else:
        from inspector.commands.watching import watch as act
    program = capture_filter(getattr(options, "filter", None))
    with opened(options, program) as source:
        return act(options, source)


def _run(options: argparse.Namespace, source: RingSource) -> int:
    from inspector.app import run

    _collect_from_now_on()
    return run(source, keep_bytes=options.budget, capture_filter=capture_filter(options.filter))


def _collect_from_now_on() -> None:
    gc.freeze()
    gc.enable()
