"""`ringscope driver --device-type blk`: the screens, or lines of JSON, on the rings of a disk."""

from __future__ import annotations

import argparse
from typing import cast

from dataplane.vhost.blk_frontend import BlkFrontend, Order
from dataplane.vhost.connection import ProtocolError
from inspector.commands.opening import Refused
from inspector.commands.watching import watch


def reads(options: argparse.Namespace) -> int:
    """Gives the device its rings, then shows them until the user quits."""
    with opened(options) as frontend:
        try:
            frontend.start()
        except ProtocolError as error:
            raise RuntimeError(f"{frontend.path}: {error}") from None
        if options.json:
            return watch(options, frontend)
        from inspector.app import run

        return run(frontend, keep_bytes=options.budget, history_bytes=options.history)


def opened(options: argparse.Namespace) -> BlkFrontend:
    """The driver that the options ask for, connected, not started yet."""
    path = options.connect or options.listen
    try:
        return BlkFrontend(
            path,
            listen=options.listen is not None,
            layout=options.layout,
            queue_size=options.queue_size,
            queues=options.queues or 1,
            features=options.features or (),
            order=cast("Order", options.traffic or "sequential"),
            length=options.length or 4096,
            depth=options.depth or 8,
            rate=options.rate,
            trace=options.trace,
        )
    except ProtocolError as error:
        raise RuntimeError(f"{path}: {error}") from None
    except OSError as error:
        raise Refused(
            f"{error.filename or path}: {error.strerror}" if error.strerror else str(error)
        ) from None
    except ValueError as error:
        raise Refused(str(error)) from None
