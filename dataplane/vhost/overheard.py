"""What a vhost-user conversation comes to, for somebody who only listens: memory, rings, features.

Both the relay and whoever looks through it hold one of these. Descriptors that are heard are kept here and
are this object's own; `retold` gives the state as messages, from which another listener learns all of it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from dataplane import features as f
from dataplane.vhost import payload as p
from dataplane.vhost.based import base_wrong, stands
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, Channel, Message, Refused, request
from dataplane.vhost.rings import Ring

_ASKED_MOST, _REGIONS_MOST = 256, 256  #: more than two who mean well ever have


@dataclass(slots=True)
class Shared:
    """One region of the front-end's memory, with its file."""

    region: p.Region
    fd: int


@dataclass(slots=True)
class Change:
    """What a message changed: memory, the features in force, or rings that were started or stopped or
    enabled or got other eventfds."""

    memory: bool = False
    features: bool = False
    rings: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.memory or self.features or self.rings or self.stopped)


class Overheard:
    """See the module."""

    def __init__(self) -> None:
        self.offered = 0
        self.features = 0
        self.protocol_features = 0
        self.config = b""  #: what the device told of its configuration, from the first byte on
        self.status: int | None = None  #: where the protocol tells it
        self.memory: list[Shared] = []
        self.rings: dict[int, Ring] = {}
        self._asked: dict[Channel, deque[tuple[Message, float]]] = {
            "frontend": deque(maxlen=_ASKED_MOST),
            "backend": deque(maxlen=_ASKED_MOST),
        }

    # ---- listening --------------------------------------------------------------------------------------

    def hear(self, message: Message) -> Change:
        """Takes in one message, and of its descriptors what it keeps. What cannot be read changes nothing:
        the two have to come to terms themselves."""
        change = Change()
        with contextlib.suppress(Refused, ValueError, OSError):
            if message.is_reply:
                self._hear_reply(message, change)
            else:
                kind = message.kind
                if message.needs_reply or (kind is not None and kind.answer == "always"):
                    self._asked[message.channel].append((message, time.monotonic()))
                if message.channel == "frontend" and kind is not None:
                    act = getattr(self, f"_{kind.name.lower()}", None)
                    if act is not None:
                        act(message.payload(), message, change)
        return change

    def _hear_reply(self, message: Message, change: Change) -> None:
        asked = self._asked[message.channel]
        while asked and asked[0][0].request != message.request:
            asked.popleft()
        if not asked:
            return
        to = asked.popleft()[0]
        if message.channel != "frontend":
            return
        carried = message.payload()
        if to.name == "GET_VRING_BASE" and isinstance(carried, p.VringState):
            ring = self._ring(carried.index)
            ring.base = carried.num
            ring.started = False
            ring.put("kick", -1)
            ring.put("call", -1)
            change.stopped.add(ring.index)
        elif to.name == "GET_CONFIG" and isinstance(carried, p.Config) and not carried.offset:
            self.config = carried.data
            change.features = True
        elif to.name == "GET_FEATURES" and isinstance(carried, p.U64):
            self.offered = carried.value & ~(1 << F_PROTOCOL_FEATURES)

    def _ring(self, index: int) -> Ring:
        if index not in self.rings:
            plain = not self.features >> F_PROTOCOL_FEATURES & 1
            self.rings[index] = Ring(index, enabled=plain)
        return self.rings[index]

    def _set_features(self, carried: p.U64, _: Message, change: Change) -> None:
        self.features = carried.value
        change.features = True

    def _set_protocol_features(self, carried: p.U64, _: Message, change: Change) -> None:
        self.protocol_features = carried.value

    def _set_status(self, carried: p.U64, _: Message, change: Change) -> None:
        self.status = carried.value & 0xFF
        change.features = True

    def _set_mem_table(self, carried: p.MemoryTable, message: Message, change: Change) -> None:
        if len(message.fds) != len(carried.regions):
            return
        self._forget_memory()
        fds = message.take()
        self.memory = [Shared(region, fd) for region, fd in zip(carried.regions, fds, strict=True)]
        change.memory = True

    def _add_mem_reg(self, carried: p.SingleRegion, message: Message, change: Change) -> None:
        if len(message.fds) == 1 and len(self.memory) < _REGIONS_MOST:
            self.memory.append(Shared(carried.region, message.take()[0]))
            change.memory = True

    def _rem_mem_reg(self, carried: p.SingleRegion, _: Message, change: Change) -> None:
        gone = carried.region
        for one in self.memory:
            its = one.region
            if (its.guest_addr, its.user_addr, its.size) == (gone.guest_addr, gone.user_addr, gone.size):
                os.close(one.fd)
                self.memory.remove(one)
                change.memory = True
                return

    def _set_vring_num(self, carried: p.VringState, _: Message, change: Change) -> None:
        self._ring(carried.index).num = carried.num

    def _set_vring_base(self, carried: p.VringState, _: Message, change: Change) -> None:
        self._ring(carried.index).base = carried.num

    def _set_vring_addr(self, carried: p.VringAddr, _: Message, change: Change) -> None:
        ring = self._ring(carried.index)
        ring.addr = carried
        if ring.started:
            change.stopped.add(ring.index)
            change.rings.add(ring.index)

    def _set_vring_kick(self, carried: p.VringFd, message: Message, change: Change) -> None:
        ring = self._ring(carried.index)
        ring.put("kick", message.take()[0] if message.fds else -1)
        ring.polled = not carried.has_fd
        ring.started = ring.ready
        change.rings.add(ring.index)

    def _set_vring_call(self, carried: p.VringFd, message: Message, change: Change) -> None:
        ring = self._ring(carried.index)
        ring.put("call", message.take()[0] if message.fds else -1)
        change.rings.add(ring.index)

    def _set_vring_err(self, carried: p.VringFd, message: Message, change: Change) -> None:
        self._ring(carried.index).put("err", message.take()[0] if message.fds else -1)

    def _set_vring_enable(self, carried: p.VringState, _: Message, change: Change) -> None:
        self._ring(carried.index).enabled = bool(carried.num)
        change.rings.add(carried.index)

    def _reset_device(self, _: p.Empty, __: Message, change: Change) -> None:
        for ring in self.rings.values():
            ring.started = ring.enabled = False
            change.stopped.add(ring.index)

    # ---- what is wrong with it --------------------------------------------------------------------------

    def unanswered(self) -> tuple[str, float] | None:
        """The request that has waited for its answer for longest, and for how many seconds."""
        waiting = [(at, message.name) for asked in self._asked.values() for message, at in asked]
        if not waiting:
            return None
        since, name = min(waiting)
        return name, time.monotonic() - since

    def look_up(self, ring: Ring) -> None:
        """Reads where a ring stands just now: before its device is told to start."""
        ring.found = stands(ring, bool(self.features >> f.F_RING_PACKED & 1), self._read)

    def _read(self, user: int, count: int) -> bytes | None:
        """Of the front-end's memory, by its own address; through the file, which may have shrunk."""
        for shared in self.memory:
            offset = user - shared.region.user_addr
            if offset >= 0 and offset + count <= shared.region.size:
                with contextlib.suppress(OSError):
                    data = os.pread(shared.fd, count, shared.region.mmap_offset + offset)
                    return data if len(data) == count else None
        return None

    def base_wrong(self, ring: Ring) -> str:
        """As `based.base_wrong`."""
        recovers = bool(self.protocol_features >> PROTOCOL["INFLIGHT_SHMFD"] & 1)
        return base_wrong(ring, bool(self.features >> f.F_RING_PACKED & 1), recovers)

    # ---- telling ----------------------------------------------------------------------------------------

    def retold(self) -> Iterator[Message]:
        """The state as messages of the front-end; their descriptors stay ours."""
        yield request("SET_FEATURES", p.U64(self.features))
        yield request("SET_PROTOCOL_FEATURES", p.U64(self.protocol_features))
        if self.status is not None:
            yield request("SET_STATUS", p.U64(self.status))
        for shared in self.memory:
            yield request("ADD_MEM_REG", p.SingleRegion(shared.region), (shared.fd,))
        for i, ring in sorted(self.rings.items()):
            yield request("SET_VRING_NUM", p.VringState(i, ring.num))
            yield request("SET_VRING_BASE", p.VringState(i, ring.base))
            if ring.addr is not None:
                yield request("SET_VRING_ADDR", ring.addr)
            for name, fd in (("CALL", ring.call), ("ERR", ring.err)):
                if fd >= 0:
                    yield request(f"SET_VRING_{name}", p.VringFd(i, True), (fd,))
            if ring.started:
                fds = (ring.kick,) if ring.kick >= 0 else ()
                yield request("SET_VRING_KICK", p.VringFd(i, bool(fds)), fds)
            yield request("SET_VRING_ENABLE", p.VringState(i, int(ring.enabled)))

    def _forget_memory(self) -> None:
        for shared in self.memory:
            os.close(shared.fd)
        self.memory = []

    def close(self) -> None:
        """Lets go of every descriptor."""
        self._forget_memory()
        for ring in self.rings.values():
            ring.close()
        self.rings.clear()
