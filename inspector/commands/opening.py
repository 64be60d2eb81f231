"""From the options to a running pair."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dataplane.pair
    from capture.bpf import Program
    from capture.play import PlayFrame
    from dataplane.pair import Pair
    from dataplane.source import TraceLevel

#: What fails while writing goes on; any other error is that of a name that cannot be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Refused(Exception):
    """What was asked for cannot be had: one line that says why."""


@contextmanager
def opened(
    options: argparse.Namespace,
    program: Program | None = None,
    *,
    start: bool = True,
    trace: TraceLevel = "operations",
) -> Iterator[Pair]:
    """The source that the options ask for, started, and closed in the end. Refused or RuntimeError.

    Of the very first frame on only those are logged that match `program`. With `start` false everything is
    ready and nothing moves until its start() is called.
    """
    from dataplane.faults_text import parse_fault

    frames = read_frames(options.traffic) if options.driver_if is None else None
    with ExitStack() as stack:
        pair = stack.enter_context(_pair(options, trace))
        try:
            if options.driver_if is not None:
                _join(pair, options, stack)
            elif options.traffic == "flood":
                pair.flood()
            elif frames is None:
                pair.quiet()
            else:
                pair.play(played(frames))
            if options.rate is not None:
                pair.control.set_rate(options.rate)
            if program is not None:
                sample = pair.snapshot(()).logs.frame_sample
                pair.control.log_frames(True, sample, program.instructions)
            for text in options.faults:
                for fault in parse_fault(text, pair.shapes()):
                    pair.inject_fault(fault)
            if start:
                pair.start()
        except ValueError as error:
            raise Refused(str(error)) from None
        yield pair


def _pair(options: argparse.Namespace, trace: TraceLevel) -> Pair:
    try:
        from dataplane.pair import Pair
    except ImportError as error:
        raise RuntimeError(f"the engine does not load ({error}); build it with: pip install -e .") from None
    from dataplane.records import Path

    try:
        return Pair(
            layout=options.layout,
            queue_size=options.queue_size,
            queue_pairs=options.queue_pairs,
            features=options.features or (),
            driver=options.driver,
            device=options.device,
            path=Path[options.path.upper()],
            start_index=options.start_index,
            start_wrap=int(options.start_wrap),
            mtu=options.mtu,
            frozen=options.frozen,
            trace=trace,
        )
    except ValueError as error:
        raise Refused(str(error)) from None


def read_frames(traffic: str) -> list[PlayFrame] | None:
    """The frames to play; None where there is nothing to be read."""
    if traffic in ("flood", "none"):
        return None
    from capture.play import load_mix, read_play
    from inspector.cli import complain

    if traffic == "mix":
        return load_mix()
    try:
        return read_play(traffic, warn=complain)
    except OSError as error:
        hint = (
            "; --traffic takes mix, flood, none or a capture file"
            if isinstance(error, FileNotFoundError)
            else ""
        )
        raise Refused(f"--traffic {traffic}: {error.strerror}{hint}") from None
    except ValueError as error:
        raise Refused(f"--traffic {error}") from None


def played(frames: list[PlayFrame]) -> Iterator[dataplane.pair.PlayFrame]:
    """Frames of a capture as the pair takes them: neither package knows the other."""
    from dataplane.pair import PlayFrame

    return (PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in frames)


def _join(pair: Pair, options: argparse.Namespace, stack: ExitStack) -> None:
    from dataplane.cable import CableError, open_cable

    try:
        cable = open_cable(
            options.driver_if, options.device_if, features=pair.identity.accepted, mtu=options.mtu
        )
    except CableError as error:
        raise Refused(str(error)) from None
    # Last in, first out: the engine lets go of the descriptors before they are closed.
    stack.callback(cable.close)
    stack.callback(pair.close)
    pair.join(cable.driver.fd, cable.device.fd)
