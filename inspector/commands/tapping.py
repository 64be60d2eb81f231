"""`ringscope tap`: the screens, or lines of JSON, between somebody's driver and somebody's device."""

from __future__ import annotations

import argparse
import os
import sys

from dataplane.vhost.relaying import start_relay, viewers_path
from dataplane.vhost.tap import Tap
from inspector.cli import FAILED, INTERRUPTED, OK
from inspector.commands.attached import remember
from inspector.commands.filters import capture_filter
from inspector.commands.opening import Refused
from inspector.commands.watching import Signalled, until_signalled, watch
from inspector.sanitise import clean

_BEAT = 0.2  #: seconds between two looks at whether rings were started


def tap(options: argparse.Namespace) -> int:
    """Starts a relay or finds one, waits for rings, and shows them until the user quits."""
    listen = options.listen or options.attach or options.end
    if options.end is not None:
        return _end(listen)
    program = capture_filter(options.filter)
    if options.listen is not None:
        _relay(options)
    try:
        source = Tap(
            viewers_path(listen),
            capture=not options.no_capture,
            every=None if options.look is None else int(options.look * 1000),
            device_type=options.device_type,
            trace=options.trace,
        )
    except OSError as error:
        raise Refused(_no_relay(listen, error)) from None
    with source:
        if program is not None:
            source.log_frames(True, 1, program.instructions)
        source.start()
        with until_signalled() as stop:
            if not _rings_came(source, options, stop):
                return INTERRUPTED if stop.is_set() else FAILED
        remember(options)
        try:
            if options.json:
                return watch(options, source)
            from inspector.app import run

            return run(
                source, keep_bytes=options.budget, capture_filter=program, history_bytes=options.history
            )
        finally:
            if source.peer.connected:
                _say(f"the relay, process {source.relay}, goes on: ringscope tap --attach {listen} looks")
                _say(f"again, ringscope tap --end {listen} ends it, and with it the connection of the two")


def _relay(options: argparse.Namespace) -> None:
    listen = options.listen
    try:
        start_relay(
            listen,
            options.connect,
            viewers_path(listen),
            reverse=options.reverse,
            notifications=options.notifications,
        )
    except OSError as error:
        raise Refused(str(error)) from None


def _no_relay(listen: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return f"no relay listens on {listen}: start one with ringscope tap --listen {listen} --connect SOCK"
    return f"{error.filename or listen}: {os.strerror(error.errno or 0)}"


def _end(listen: str) -> int:
    try:
        with Tap(viewers_path(listen), capture=False) as source:
            source.start()
            source.end_relay()
    except OSError as error:
        raise Refused(_no_relay(listen, error)) from None
    return OK


def _rings_came(source: Tap, options: argparse.Namespace, stop: Signalled) -> bool:
    """Waits until a ring is started, and says meanwhile what is waited for."""
    if source.wait_for_rings(_BEAT):
        return True
    if options.listen is not None:
        other = ("device", "driver") if options.reverse else ("driver", "device")
        _say(f"the relay, process {source.relay}, waits for the {other[0]} on {options.listen},")
        _say(f"and calls the {other[1]} on {options.connect} once it is there")
    else:
        _say(f"the relay, process {source.relay}, has no rings to show yet")
    told = 0
    while not stop.wait(0):
        if source.wait_for_rings(_BEAT):
            return True
        if not source.alive:
            _say("the relay has ended")
            return False
        for one in source.talk.since(told):
            told = one.number
            if not one.speaker:
                _say(one.text)
    return False


def _say(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)
