"""`ringscope driver`: the screens, or lines of JSON, on rings that somebody else's device serves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dataplane.faults_text import parse_fault
from dataplane.records import Path, Side
from dataplane.vhost.connection import ProtocolError
from dataplane.vhost.frontend import Frontend
from inspector.commands.filters import capture_filter
from inspector.commands.opening import Refused, played, read_frames
from inspector.commands.serving import joined, looked_at


def driver(options: argparse.Namespace) -> int:
    """Gives the device its rings, then shows them until the user quits."""
    if options.device_type == "blk":
        from inspector.commands.reading_disk import reads

        return reads(options)
    program = capture_filter(options.filter)
    with opened(options) as frontend:
        if program is not None:
            sample = frontend.snapshot(()).logs.frame_sample
            frontend.log_frames(True, sample, program.instructions)
        try:
            frontend.start()
        except ProtocolError as error:
            raise RuntimeError(f"{frontend.path}: {error}") from None
        return looked_at(options, frontend, program)


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Frontend]:
    """The driver that the options ask for, connected, with its traffic, not started yet."""
    path = options.connect or options.listen
    with ExitStack() as stack:
        try:
            frontend = stack.enter_context(
                Frontend(
                    path,
                    listen=options.listen is not None,
                    layout=options.layout,
                    queue_size=options.queue_size,
                    queue_pairs=options.queue_pairs,
                    features=options.features or (),
                    driver=options.driver,
                    chains=Path[options.path.upper()],
                    mtu=options.mtu,
                    trace=options.trace,
                )
            )
            _feed(frontend, options, stack)
        except ProtocolError as error:
            raise RuntimeError(f"{path}: {error}") from None
        except OSError as error:
            raise Refused(
                f"{error.filename or path}: {error.strerror}" if error.strerror else str(error)
            ) from None
        except ValueError as error:
            raise Refused(str(error)) from None
        yield frontend


def _feed(frontend: Frontend, options: argparse.Namespace, stack: ExitStack) -> None:
    traffic = options.traffic or "mix"
    if traffic.startswith("tap:"):
        joined(frontend, traffic.removeprefix("tap:"), options.mtu, Side.DRIVER, stack)
    elif traffic == "flood":
        frontend.flood()
    elif traffic != "none":
        frontend.play(played(read_frames(traffic) or []))
    if options.rate is not None:
        frontend.set_rate(options.rate)
    for text in options.faults:
        for fault in parse_fault(text, frontend.shapes()):
            frontend.inject_fault(fault)
