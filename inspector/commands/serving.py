"""`ringscope device`: the screens, or lines of JSON, on the rings of somebody else's driver."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from dataplane.cable import Tap, open_tap
from dataplane.faults_text import parse_fault
from dataplane.network import Network
from dataplane.records import Side
from dataplane.vhost.backend import Backend
from inspector.cli import FAILED, INTERRUPTED
from inspector.commands.attached import remember
from inspector.commands.filters import capture_filter
from inspector.commands.opening import Refused, played, read_frames
from inspector.commands.watching import Signalled, until_signalled, watch
from inspector.sanitise import clean

if TYPE_CHECKING:
    from capture.bpf import Program

_BEAT = 0.2  #: seconds between two looks at whether a driver came


def device(options: argparse.Namespace) -> int:
    """Waits for a driver, then shows its rings until the user quits."""
    program = capture_filter(options.filter)
    with opened(options) as backend:
        if program is not None:
            backend.log_frames(True, 1, program.instructions)
        try:
            backend.start()
        except OSError as error:
            raise Refused(f"{error.filename or backend.path}: {error.strerror}") from None
        with until_signalled() as stop:
            if not _driver_came(backend, options, stop):
                return INTERRUPTED if stop.is_set() else FAILED
        return looked_at(options, backend, program)


def looked_at(options: argparse.Namespace, source: Network, program: Program | None) -> int:
    """Lines of JSON, or the screens until the user quits."""
    remember(options)
    if options.json:
        return watch(options, source)
    from inspector.app import run

    return run(source, keep_bytes=options.budget, capture_filter=program, history_bytes=options.history)


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Backend]:
    """The device that the options ask for, with its traffic, not started yet."""
    with ExitStack() as stack:
        path = options.listen or options.connect
        try:
            backend = stack.enter_context(
                Backend(
                    path,
                    listen=options.listen is not None,
                    queue_pairs=options.queue_pairs,
                    features=options.features or (),
                    polls=options.device == "poll",
                    mtu=options.mtu,
                    trace=options.trace,
                )
            )
            _feed(backend, options, stack)
        except OSError as error:
            said = f"{error.filename or path}: {error.strerror}" if error.strerror else str(error)
            raise Refused(said) from None
        except ValueError as error:
            raise Refused(str(error)) from None
        yield backend


def _feed(backend: Backend, options: argparse.Namespace, stack: ExitStack) -> None:
    """What is behind the device."""
    if options.traffic == "answer":
        from dataplane.responder import Responder

        host = stack.enter_context(Responder(options.ip))
        stack.callback(backend.close)  # the engine lets go of the socket first
        backend.plug(host.fileno())
    elif options.traffic.startswith("tap:"):
        tap = joined(backend, options.traffic.removeprefix("tap:"), options.mtu, Side.DEVICE, stack)
        backend.when_negotiated = lambda accepted: tap.allow(accepted, Side.DEVICE)
    elif options.traffic == "flood":
        backend.flood()
    elif options.traffic == "sink":
        backend.log_frames(True, 1)
    else:
        backend.play(played(read_frames(options.traffic) or []))
    if options.rate is not None:
        backend.set_rate(options.rate)
    for text in options.faults:
        for fault in parse_fault(text, backend.shapes()):
            backend.inject_fault(fault)


def joined(source: Network, name: str, mtu: int, side: Side, stack: ExitStack) -> Tap:
    """One side of ours on a TAP interface of this host; which is closed after the side let go of it."""
    tap = stack.enter_context(open_tap(name, features=source.identity.accepted, side=side, mtu=mtu))
    stack.callback(source.close)
    source.plug(tap.fd)
    return tap


def _driver_came(backend: Backend, options: argparse.Namespace, stop: Signalled) -> bool:
    """Waits until a ring is started, and says meanwhile what is waited for."""
    if backend.wait_for_driver(_BEAT):
        return True
    if options.listen is not None:
        _say(f"a virtio-net device listens on {options.listen}; a driver connects to it with")
        for what, line in invitations(options.listen, options.queue_pairs):
            _say(f"  {what:10} {line}")
    else:
        _say(f"connecting to {options.connect}, where a driver should listen")
    told = ""
    while not stop.wait(0):
        if backend.wait_for_driver(_BEAT):
            return True
        lines = [one.text for one in backend.talk.since() if one.refused]
        if lines and lines[-1] != told:
            told = lines[-1]
            _say(f"refused: {told}")
    return False


def _say(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)


def invitations(path: str, pairs: int = 1) -> list[tuple[str, str]]:
    """What a front-end is started with so that it connects to a device on this socket: by whom."""
    absolute = str(Path(path).absolute())
    at = shlex.quote(absolute)
    queues = f",queues={pairs}" if pairs > 1 else ""
    mq = f",mq=on,vectors={2 * pairs + 2}" if pairs > 1 else ""
    return [
        (
            "QEMU",
            "-object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem"
            f" -chardev socket,id=ring,path={at} -netdev vhost-user,id=ring0,chardev=ring{queues}"
            f" -device virtio-net-pci,netdev=ring0{mq}",
        ),
        ("DPDK", f"dpdk-testpmd --no-pci --vdev 'net_virtio_user0,path={at}{queues}' -- -i"),
        (
            "libvirt",
            f"<interface type='vhostuser'><source type='unix' path={quoteattr(absolute)} mode='client'/>"
            "<model type='virtio'/></interface>",
        ),
        ("cloud-hypervisor", f"--memory size=1G,shared=on --net vhost_user=true,socket={at}"),
    ]
