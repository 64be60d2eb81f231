"""What a vhost-user session has said of each ring, and where that puts it.

A ring is *configured* once it has a size and addresses, *started* with its kick, *enabled* by
SET_VRING_ENABLE, or from the start where VHOST_USER_F_PROTOCOL_FEATURES was not agreed on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from dataplane.decode import queue_name
from dataplane.keyframe import QueueShape
from dataplane.records import Role
from dataplane.vhost.payload import VringAddr
from dataplane.vhost.peer import RingSetup


@dataclass
class Ring:
    """One ring; its file descriptors are its own."""

    index: int
    num: int = 0  #: size
    addr: VringAddr | None = None
    base: int = 0  #: as it was set: split: an index, packed: two places with their wrap counters
    kick: int = -1
    call: int = -1
    err: int = -1
    polled: bool = False  #: it was kicked off without an eventfd
    enabled: bool = False
    started: bool = False
    #: split, as read when it was started: avail.idx and used.idx; packed: where the driver goes on, twice
    found: tuple[int, int] | None = None
    trouble: str = ""  #: a code and words, where it cannot be as it was set up

    def put(self, what: str, fd: int) -> None:
        """Exchanges an eventfd: `what` is kick, call or err; -1: none."""
        old = getattr(self, what)
        if old >= 0:
            os.close(old)
        setattr(self, what, fd)

    @property
    def ready(self) -> bool:
        """Everything is known that it takes to start."""
        return bool(self.num) and self.addr is not None and (self.kick >= 0 or self.polled)

    @property
    def setup(self) -> RingSetup:
        """What there is to see of it."""
        state = "started" if self.started else "stopped" if self.num and self.addr else "not set up"
        at = self.addr or VringAddr(self.index, 0, 0, 0, 0, 0)
        fds = (self.kick >= 0, self.call >= 0, self.err >= 0)
        return RingSetup(
            self.index, self.num, self.base, state, self.enabled, *fds, at.desc, at.avail, at.used
        )

    def close(self) -> None:
        for what in ("kick", "call", "err"):
            self.put(what, -1)


def eventfd_count(fd: int) -> int | None:
    """What stands in an eventfd, without taking it; None where that is not to be known."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
            return next(
                (int(line.split()[1], 16) for line in lines if line.startswith("eventfd-count")), None
            )
    except OSError:
        return None


def to_come(index: int, packed: bool) -> QueueShape:
    """A ring that nobody has set up: what is known of it, and a size that is usual."""
    role = Role.TRANSMIT if index & 1 else Role.RECEIVE
    return QueueShape(
        index, queue_name(index, role), role, 256, packed, False, False, False, False, 0, 0, 0, 0, 0, 0, 0
    )


def place(base: int, packed: bool) -> tuple[int, int, int, int]:
    """Where a device goes on: (avail, avail wrap, used, used wrap). Of a split ring used.idx says the latter;
    of a packed one the upper half of `base`, which some front-ends leave 0."""
    if not packed:
        return base & 0xFFFF, 0, 0, 0
    avail, avail_wrap = base & 0x7FFF, base >> 15 & 1
    if not base >> 16:
        return avail, avail_wrap, avail, avail_wrap
    return avail, avail_wrap, base >> 16 & 0x7FFF, base >> 31 & 1


def base_of(at: tuple[int, int, int, int], packed: bool) -> int:
    """The number that GET_VRING_BASE is answered with."""
    avail, avail_wrap, used, used_wrap = at
    if not packed:
        return avail
    return avail | avail_wrap << 15 | used << 16 | used_wrap << 31
