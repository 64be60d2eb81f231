"""What a device of ours writes down in memory that outlives it: which buffers are in flight, for whoever is
the device next, and which pages it has written, for a guest that moves to another host."""

from __future__ import annotations

import errno
import fcntl
import os

from dataplane._engine import Engine
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.vhost import payload as p
from dataplane.vhost.message import Refused


def because(error: OSError, reasons: dict[int, str]) -> str:
    return reasons.get(error.errno or 0, str(error.strerror))


def new_inflight(engine: Engine, asked: p.Inflight, queues: int) -> tuple[p.Inflight, int]:
    """A region for what is asked for, and its file descriptor, which is the caller's. We make it, the
    front-end keeps it."""
    _check_inflight(asked, queues)
    size = asked.num_queues * engine.foreign_inflight_bytes(asked.queue_size)
    fd = os.memfd_create("inflight", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return p.Inflight(size, 0, asked.num_queues, asked.queue_size), fd


def use_inflight(engine: Engine, given: p.Inflight, fd: int, queues: int) -> None:
    """While no ring is started."""
    _check_inflight(given, queues)
    try:
        engine.foreign_inflight(fd, given.mmap_offset, given.mmap_size, given.num_queues, given.queue_size)
    except OSError as error:
        reasons = {
            errno.EINVAL: "it is too small for that, or lies outside its file",
            errno.EBUSY: "a ring is started",
        }
        raise Refused(f"SET_INFLIGHT_FD, {given}: {because(error, reasons)}") from None


def _check_inflight(given: p.Inflight, queues: int) -> None:
    if not 1 <= given.num_queues <= queues:
        raise Refused(f"an in-flight region for {given.num_queues} queues: the device has {queues}")
    if not 1 <= given.queue_size <= QUEUE_SIZE_MAX:
        raise Refused(f"an in-flight region for queues of {given.queue_size}: 1 to {QUEUE_SIZE_MAX}")


def use_log(engine: Engine, given: p.Log, fd: int) -> None:
    """It is written while VHOST_F_LOG_ALL is in force."""
    try:
        engine.foreign_dirty(fd, given.offset, given.size)
    except OSError as error:
        reasons = {errno.EINVAL: "it is empty, or lies outside its file"}
        raise Refused(f"SET_LOG_BASE, {given}: {because(error, reasons)}") from None
