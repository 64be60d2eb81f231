"""Frames of a session into a pcapng file: one interface per queue, losses told."""

from __future__ import annotations

import os
import time
from typing import IO

from capture.pcapng import Interface, Writer
from dataplane.records import Role
from dataplane.snapshot import Snapshot
from inspector.numbers import count
from inspector.session import Session

_WAYS = {Role.RECEIVE: "device to driver", Role.TRANSMIT: "driver to device", Role.CONTROL: "control"}


def proposed_name() -> str:
    """A file name nobody has taken, by the local time."""
    return time.strftime("ringscope-%Y%m%d-%H%M%S.pcapng")


def interfaces(snapshot: Snapshot) -> list[Interface]:
    """One interface per queue, at the place that the rows of the frame store name."""
    name = snapshot.identity.name
    layout = "packed" if snapshot.identity.packed else "split"
    known = {queue.index: queue for queue in snapshot.queues}
    described = []
    for index in range(max(known, default=-1) + 1):
        queue = known.get(index)
        if queue is None:
            described.append(Interface(f"{name}.q{index}"))
            continue
        words = f"virtqueue {index}, {_WAYS[queue.role]}, {layout}, {queue.size} descriptors"
        described.append(Interface(f"{name}.{queue.name}", words))
    return described


def writer(session: Session, file: IO[bytes]) -> Writer:
    """A pcapng writer with the interfaces of a session's source."""
    tick = session.tick or session.pull()
    return Writer(file, interfaces(tick.snapshot))


def write_frames(session: Session, path: str) -> str:
    """Write every frame kept to a new file; one line that says so. OSError where it cannot be written.

    A file that exists is never touched.
    """
    path = os.path.expanduser(path)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise OSError(f"{path} exists already; nothing was written") from None
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None
    store = session.frames
    with os.fdopen(fd, "wb", buffering=0) as file, writer(session, file) as out:
        for block in store.blocks(store.first, store.last + 1):
            out.write(block.rows, block.data, block.offsets)
        if session.tick is not None and session.tick.frames_lost:
            out.lost(0, session.tick.frames_lost)
    return f"{count(out.frames)} packets written to {path}"
