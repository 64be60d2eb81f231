"""One driver's visit: every message of the front-end, and what our device makes of it.

A message is checked from its row (`message.Policy`) before anything is done, and what is done is done whole
or not at all. What is refused is answered with a failure where the front-end asked for an answer; where it
did not, it would go on as if it had been heard, so the connection ends with the reason.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.vhost import payload as p
from dataplane.vhost.based import base_wrong, stands
from dataplane.vhost.connection import Connection, ProtocolError
from dataplane.vhost.guest_memory import MEM_SLOTS, GuestMemory
from dataplane.vhost.message import (
    F_LOG_ALL,
    F_PROTOCOL_FEATURES,
    PROTOCOL,
    Message,
    Policy,
    Refused,
    protocol_names,
    request,
)
from dataplane.vhost.outlives import because, new_inflight, use_inflight, use_log
from dataplane.vhost.rings import Ring, base_of, place
from dataplane.vhost.talk import Talk

if TYPE_CHECKING:
    from dataplane.vhost.backend import Backend

SERVED = sum(
    1 << PROTOCOL[name]
    for name in (
        "MQ", "REPLY_ACK", "MTU", "RESET_DEVICE", "CONFIGURE_MEM_SLOTS", "STATUS", "RARP", "CONFIG",
        "BACKEND_REQ", "INFLIGHT_SHMFD", "LOG_SHMFD",
    )
)  # fmt: skip
_OK, _FAILED = 0, 1
Answer = p.Payload | Message | None  #: a whole message where file descriptors go with it
_OURS = f.mask(F_PROTOCOL_FEATURES, F_LOG_ALL)  # feature bits that are no business of the device
_BEAT = 0.5  #: seconds between two looks at whether the configuration changed


class Session:
    """See the module. `run` serves until the front-end hangs up; `end` lets go of everything it gave."""

    def __init__(
        self, backend: Backend, engine: Engine, connection: Connection, talk: Talk, offered: int, pairs: int
    ) -> None:
        self._backend = backend
        self._engine = engine
        self._connection = connection
        self._talk = talk
        self._offered = offered | _OURS
        self._pairs = pairs
        self._policy = Policy("frontend")
        self.accepted = 0
        self.status = 0
        self.memory = GuestMemory(engine)
        self.rings: dict[int, Ring] = {}
        self._ours: Connection | None = None  # on which we ask, and the front-end answers
        self._generation = int(engine.info()["config_generation"])

    # ---- one message after the other --------------------------------------------------------------------

    def run(self) -> None:
        """ProtocolError where the connection cannot go on."""
        while True:
            try:
                message = self._connection.recv(None if self._ours is None else _BEAT)
            except TimeoutError:
                self._tell_of_change()
                continue
            if message is None:
                return
            try:
                self._serve(message)
            finally:
                message.close()

    def _serve(self, message: Message) -> None:
        self._talk.add("frontend", message)
        answer: Answer = None
        refused = ""
        try:
            carried = self._policy.check(message)
            act: Callable[[Any, Message], p.Payload | Message | None] = getattr(
                self, f"_{message.name.lower()}"
            )
            answer = act(carried, message)
        except Refused as error:
            refused = str(error)
            self._talk.note(refused, refused=True)
        kind = message.kind  # what has an answer of its own has no other: a failure would be read as a value
        acknowledge = message.needs_reply and self._agreed("REPLY_ACK")
        acknowledge &= kind is None or kind.answer != "always"
        if answer is None and acknowledge:
            answer = p.U64(_FAILED if refused else _OK)
        elif refused:
            raise ProtocolError(refused)
        if answer is not None:
            reply = answer if isinstance(answer, Message) else message.answer(answer)
            try:
                self._connection.send(reply)
                self._talk.add("backend", reply)
            finally:
                reply.close()

    @property
    def protocol_features(self) -> int:
        """Those agreed on."""
        return self._policy.protocol_features

    def _agreed(self, name: str) -> bool:
        return bool(self._policy.protocol_features >> PROTOCOL[name] & 1)

    def _ring(self, index: int) -> Ring:
        if index >= 2 * self._pairs:
            raise Refused(f"there is no ring {index}: the device has {2 * self._pairs}")
        if index not in self.rings:
            plain = not f.has(self.accepted, F_PROTOCOL_FEATURES)
            self.rings[index] = Ring(index, enabled=plain)
        return self.rings[index]

    # ---- features and status ----------------------------------------------------------------------------

    def _get_features(self, _: p.Empty, __: Message) -> p.Payload:
        return p.U64(self._offered)

    def _set_features(self, carried: p.U64, _: Message) -> None:
        extra = carried.value & ~self._offered
        if extra:
            raise Refused(f"SET_FEATURES: {', '.join(f.feature_names(extra))} was not offered")
        if not f.has(carried.value, f.F_VERSION_1):
            raise Refused(
                "SET_FEATURES without VERSION_1: only devices of virtio 1.0 and later are spoken to (6.1)"
            )
        changed = carried.value ^ self.accepted
        if not changed:
            return
        if changed != 1 << F_LOG_ALL and any(ring.started for ring in self.rings.values()):
            raise Refused("SET_FEATURES while rings are started")
        self.accepted = carried.value
        self._apply_features()

    def _apply_features(self) -> None:
        features = self.accepted & ~f.mask(F_PROTOCOL_FEATURES)  # LOG_ALL is the engine's business
        running = any(ring.started for ring in self.rings.values())
        status = self.status
        if not self._agreed("STATUS"):  # as a transport with a status register would show it
            status = f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER | f.STATUS_FEATURES_OK
            status |= f.STATUS_DRIVER_OK if running else 0
        self._engine.foreign_features(features, status)
        self._backend.negotiated(features)

    def _get_protocol_features(self, _: p.Empty, __: Message) -> p.Payload:
        return p.U64(SERVED)

    def _set_protocol_features(self, carried: p.U64, _: Message) -> None:
        extra = carried.value & ~SERVED
        if extra:
            raise Refused(f"SET_PROTOCOL_FEATURES: {', '.join(protocol_names(extra))} was not offered")
        self._policy = self._policy.agreed(carried.value)

    def _get_queue_num(self, _: p.Empty, __: Message) -> p.Payload:
        return p.U64(self._pairs)

    def _set_owner(self, _: p.Empty, __: Message) -> None:
        """One front-end has a connection for itself anyway."""

    def _reset_owner(self, _: p.Empty, __: Message) -> None:
        """Deprecated, and no longer sent for what it says: the text allows to ignore it."""

    def _set_status(self, carried: p.U64, _: Message) -> None:
        if carried.value > 0xFF:
            raise Refused(f"SET_STATUS {carried.value:#x}: the status has eight bits (2.1)")
        self.status = carried.value
        if not carried.value:
            self._stop_all()
        self._apply_features()

    def _get_status(self, _: p.Empty, __: Message) -> p.Payload:
        return p.U64(int(self._engine.info()["status"]))

    def _reset_device(self, _: p.Empty, __: Message) -> None:
        self._stop_all()
        for ring in self.rings.values():
            ring.enabled = False
        self.status = 0
        self._apply_features()

    # ---- memory -----------------------------------------------------------------------------------------

    def _set_mem_table(self, carried: p.MemoryTable, message: Message) -> None:
        """Rings that run go on in the new memory, where they lie in it."""
        running = [(ring, self._stop(ring)) for ring in self.rings.values() if ring.started]
        self.memory.replace(zip(carried.regions, message.fds, strict=True))
        for ring, base in running:
            ring.base = base
            self._start(ring)

    def _get_max_mem_slots(self, _: p.Empty, __: Message) -> p.Payload:
        return p.U64(MEM_SLOTS)

    def _add_mem_reg(self, carried: p.SingleRegion, message: Message) -> None:
        self.memory.add(carried.region, message.fds[0])

    def _rem_mem_reg(self, carried: p.SingleRegion, _: Message) -> None:
        self.memory.remove(carried.region)

    # ---- what outlives the device -----------------------------------------------------------------------

    def _get_inflight_fd(self, carried: p.Inflight, message: Message) -> Message:
        made, fd = new_inflight(self._engine, carried, 2 * self._pairs)
        return message.answer(made, (fd,))

    def _set_inflight_fd(self, carried: p.Inflight, message: Message) -> None:
        use_inflight(self._engine, carried, message.fds[0], 2 * self._pairs)

    def _set_log_base(self, carried: p.Log, message: Message) -> p.Payload:
        use_log(self._engine, carried, message.fds[0])
        return p.Raw(b"")

    # ---- the other way ----------------------------------------------------------------------------------

    def _set_backend_req_fd(self, _: p.Empty, message: Message) -> None:
        (fd,) = message.fds
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise Refused("SET_BACKEND_REQ_FD: its file descriptor is no socket")
        message.take()
        if self._ours is not None:
            self._ours.close()
        self._ours = Connection(socket.socket(fileno=fd))

    def _tell_of_change(self) -> None:
        """What the configuration space says has changed (CONFIG_CHANGE_MSG)."""
        generation = int(self._engine.info()["config_generation"])
        if generation == self._generation:
            return
        self._generation = generation
        if self._ours is None or not self._agreed("CONFIG"):
            return
        said = request("CONFIG_CHANGE_MSG")
        self._talk.add("backend", said)
        try:
            self._ours.send(said)
        except ProtocolError as error:
            self._talk.note(f"the back-end's channel: {error}")
            self._ours.close()
            self._ours = None

    # ---- rings ------------------------------------------------------------------------------------------

    def _resting(self, index: int, name: str) -> Ring:
        ring = self._ring(index)
        if ring.started:
            raise Refused(f"{name} of ring {index} while it is started")
        return ring

    def _set_vring_num(self, carried: p.VringState, _: Message) -> None:
        ring = self._resting(carried.index, "SET_VRING_NUM")
        size = carried.num
        if not 1 <= size <= QUEUE_SIZE_MAX:
            raise Refused(f"SET_VRING_NUM: a size of {size} is out of range: 1 to {QUEUE_SIZE_MAX}")
        if not f.has(self.accepted, f.F_RING_PACKED) and size & (size - 1):
            raise Refused(f"SET_VRING_NUM: {size} is not a power of two, which a split queue needs (2.7)")
        ring.num = size

    def _set_vring_base(self, carried: p.VringState, _: Message) -> None:
        self._resting(carried.index, "SET_VRING_BASE").base = carried.num

    def _set_vring_addr(self, carried: p.VringAddr, _: Message) -> None:
        if carried.flags & ~1:
            raise Refused(f"SET_VRING_ADDR: flags {carried.flags:#x} have no meaning")
        ring = self._ring(carried.index)
        if not ring.started:
            ring.addr = carried
            return
        before, base = ring.addr, self._stop(ring)
        ring.addr, ring.base = carried, base
        try:
            self._start(ring)
        except Refused:
            ring.addr = before
            raise

    def _eventfd(self, carried: p.VringFd, message: Message) -> int:
        """Taken from the message; -1: none. Only what counts can be told from what blocks."""
        if not carried.has_fd:
            return -1
        (fd,) = message.fds
        if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:[eventfd]":
            raise Refused(f"{message.name} of ring {carried.index}: its file descriptor is no eventfd")
        message.take()
        return fd

    def _set_vring_kick(self, carried: p.VringFd, message: Message) -> None:
        ring = self._ring(carried.index)
        fd = self._eventfd(carried, message)
        ring.put("kick", fd)
        ring.polled = fd < 0
        if ring.started:
            self._engine.foreign_notify(ring.index, False, fd)
        else:
            self._start(ring)

    def _set_vring_call(self, carried: p.VringFd, message: Message) -> None:
        ring = self._ring(carried.index)
        ring.put("call", self._eventfd(carried, message))
        if ring.started:
            self._engine.foreign_notify(ring.index, True, ring.call)

    def _set_vring_err(self, carried: p.VringFd, message: Message) -> None:
        self._ring(carried.index).put("err", self._eventfd(carried, message))

    def _set_vring_enable(self, carried: p.VringState, _: Message) -> None:
        if carried.num > 1:
            raise Refused(f"SET_VRING_ENABLE: {carried.num} is neither 0 nor 1")
        ring = self._ring(carried.index)
        ring.enabled = bool(carried.num)
        if ring.started:
            self._engine.foreign_passive(ring.index, not ring.enabled)
        used = [one.index // 2 + 1 for one in self.rings.values() if one.enabled]
        self._engine.foreign_pairs(max(used, default=1))
        self._backend.changed()

    def _get_vring_base(self, carried: p.VringState, _: Message) -> p.Payload:
        ring = self._ring(carried.index)
        if ring.started:
            ring.base = self._stop(ring)
        ring.put("kick", -1)
        ring.put("call", -1)
        self._apply_features()
        return p.VringState(ring.index, ring.base)

    def _start(self, ring: Ring) -> None:
        if not ring.ready or ring.addr is None:
            return
        at = ring.addr
        packed = f.has(self.accepted, f.F_RING_PACKED)
        where = place(ring.base, packed)
        ring.found = stands(ring, packed, self.memory.read)
        wrong = base_wrong(ring, packed, self._agreed("INFLIGHT_SHMFD"))
        try:
            self._engine.foreign_start(
                ring.index,
                ring.num,
                at.desc,
                at.avail,
                at.used,
                where,
                ring.kick,
                ring.call,
                not ring.enabled,
                *((at.log,) if at.flags & 1 else ()),
            )
        except OSError as error:
            reasons = {
                errno.EFAULT: "a part of it is not inside one region of memory",
                errno.EINVAL: "a part of it is not aligned (2.7, 2.8)",
                errno.ERANGE: f"it cannot go on at {ring.base:#x} with a size of {ring.num}",
                errno.EPROTO: "its part of the in-flight region is damaged, or of another ring",
            }
            why = because(error, reasons)
            raise Refused(f"ring {ring.index} is not started: {why}") from None
        ring.trouble = f"BASE_MISMATCH: {wrong}" if wrong else ""
        ring.started = True
        self._apply_features()
        self._backend.changed()

    def _stop(self, ring: Ring) -> int:
        """The base from which it would go on."""
        self._backend.before_stop(ring.index)
        ring.started = False
        at = self._engine.foreign_stop(ring.index)
        self._backend.changed()
        return base_of(at, f.has(self.accepted, f.F_RING_PACKED))

    def _stop_all(self) -> None:
        for ring in self.rings.values():
            if ring.started:
                ring.base = self._stop(ring)

    # ---- the device -------------------------------------------------------------------------------------

    def _config_space(self) -> bytes:
        """struct virtio_net_config (5.1.4)."""
        info = self._engine.info()
        return struct.pack(
            "<6sHHHIBBHI",
            info["mac"],
            info["net_status"],
            self._pairs,
            info["mtu"],
            0xFFFFFFFF,
            0xFF,
            0,
            0,
            0,
        )

    def _get_config(self, carried: p.Config, _: Message) -> p.Payload:
        space = self._config_space().ljust(p.CONFIG_MAX, b"\0")
        part = space[carried.offset : carried.offset + carried.size]
        return p.Config(carried.offset, carried.size, carried.flags, part)

    def _set_config(self, _: p.Config, __: Message) -> None:
        raise Refused("SET_CONFIG: nothing of a network device can be written (5.1.4)")

    def _net_set_mtu(self, carried: p.U64, _: Message) -> None:
        if not 68 <= carried.value <= 65535:
            raise Refused(f"NET_SET_MTU: {carried.value} is out of range: 68 to 65535 (5.1.4.1)")

    def _send_rarp(self, _: p.U64, __: Message) -> None:
        """The guest has moved here: nobody behind our device has to learn that."""

    # ---- the end ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Stops the rings and lets go of memory and file descriptors."""
        self._stop_all()
        for ring in self.rings.values():
            ring.close()
        self.memory.clear()
        self._engine.foreign_forget()
        self._engine.foreign_features(self.accepted & ~_OURS, 0)
        if self._ours is not None:
            self._ours.close()
