"""A front-end by hand: a driver in plain Python that speaks vhost-user to a back-end under test.

Memory is one memfd, seen by the back-end at a guest address and a user address that differ. Rings are written
with struct, store by store, so that a test can write what no driver would.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from dataplane import features as f
from dataplane.vhost import payload as p
from dataplane.vhost.connection import Connection, connect
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, Message, request

GUEST, USER = 0x4000_0000, 0x7F00_0000_0000
BYTES = 1 << 22
FEATURES = f.mask(f.F_VERSION_1, F_PROTOCOL_FEATURES)


@dataclass
class HandRing:
    """Where a ring lies in the file, and its eventfds."""

    index: int
    size: int
    desc: int
    avail: int
    used: int
    buffers: int
    kick: int
    call: int
    published: int = 0
    collected: list[tuple[int, int]] = field(default_factory=list)  # packed


class ByHand:
    """One connection to a back-end."""

    def __init__(self, path: str, *, features: int = FEATURES, ack: bool = True) -> None:
        self.connection = Connection(connect(path))
        self.fd = os.memfd_create("by-hand")
        os.ftruncate(self.fd, BYTES)
        self.memory = mmap.mmap(self.fd, BYTES)
        #: For what the device may read just now: struct clears bytes before it writes them.
        self.words = memoryview(self.memory).cast("H")
        self.features = features
        self.ack = ack
        self.rings: list[HandRing] = []

    def ask(self, name: str, carried: p.Payload | None = None) -> Any:
        return self.connection.request(request(name, carried)).payload()

    def say(self, name: str, carried: p.Payload | None = None, fds: tuple[int, ...] = ()) -> int:
        """Sends a request; where acknowledgements are agreed on the answer, else 0."""
        message = request(name, carried, fds, need_reply=self.ack)
        if not self.ack:
            self.connection.send(message)
            return 0
        reply = self.connection.request(message).payload()
        assert isinstance(reply, p.U64)
        return reply.value

    def greet(self, protocol: int = 1 << PROTOCOL["REPLY_ACK"] | 1 << PROTOCOL["MQ"]) -> None:
        """Features and memory, before any ring."""
        assert self.ask("GET_FEATURES").value & self.features == self.features
        self.connection.send(
            request("SET_PROTOCOL_FEATURES", p.U64(self.ask("GET_PROTOCOL_FEATURES").value & protocol))
        )
        assert not self.say("SET_OWNER")
        assert not self.say("SET_FEATURES", p.U64(self.features))
        assert not self.share()

    def share(self) -> int:
        table = p.MemoryTable((p.Region(GUEST, BYTES, USER, 0),))
        return self.say("SET_MEM_TABLE", table, (self.fd,))

    def ring(self, index: int, size: int = 16, *, start: bool = True, base: int = 0) -> HandRing:
        """Makes a split ring and starts it."""
        at = index * 0x10000
        ring = HandRing(
            index, size, at, at + 0x4000, at + 0x8000, 0x100000 + index * 0x40000, os.eventfd(0,
            os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK),
        )  # fmt: skip
        self.rings.append(ring)
        if start:
            self.start(ring, base)
        return ring

    def start(self, ring: HandRing, base: int = 0) -> None:
        i = ring.index
        assert not self.say("SET_VRING_NUM", p.VringState(i, ring.size))
        assert not self.say("SET_VRING_BASE", p.VringState(i, base))
        addr = p.VringAddr(i, 0, USER + ring.desc, USER + ring.used, USER + ring.avail, 0)
        assert not self.say("SET_VRING_ADDR", addr)
        assert not self.say("SET_VRING_CALL", p.VringFd(i, True), (ring.call,))
        assert not self.say("SET_VRING_KICK", p.VringFd(i, True), (ring.kick,))
        assert not self.say("SET_VRING_ENABLE", p.VringState(i, 1))

    # ---- the driver's half ------------------------------------------------------------------------------

    def put(self, ring: HandRing, data: bytes, *, writable: bool = False, kick: bool = True) -> int:
        """One buffer of one descriptor; its slot."""
        slot = ring.published % ring.size
        at = ring.buffers + slot * 2048
        self.memory[at : at + len(data)] = data
        self.descriptor(ring, slot, GUEST + at, len(data), 2 if writable else 0)
        self.publish(ring, slot)
        if kick:
            os.eventfd_write(ring.kick, 1)
        return slot

    def descriptor(
        self, ring: HandRing, slot: int, addr: int, length: int, flags: int = 0, next: int = 0
    ) -> None:
        struct.pack_into("<QIHH", self.memory, ring.desc + 16 * slot, addr, length, flags, next)

    def publish(self, ring: HandRing, head: int) -> None:
        struct.pack_into("<H", self.memory, ring.avail + 4 + 2 * (ring.published % ring.size), head)
        ring.published += 1
        self.words[ring.avail // 2 + 1] = ring.published & 0xFFFF

    def used_idx(self, ring: HandRing) -> int:
        return int(struct.unpack_from("<H", self.memory, ring.used + 2)[0])

    def used(self, ring: HandRing, at: int) -> tuple[int, int]:
        """(id, length) of one used element."""
        id_, length = struct.unpack_from("<II", self.memory, ring.used + 4 + 8 * (at % ring.size))
        return int(id_), int(length)

    def bytes_of(self, ring: HandRing, slot: int, length: int) -> bytes:
        at = ring.buffers + slot * 2048
        return self.memory[at : at + length]

    def close(self) -> None:
        self.connection.close()
        for ring in self.rings:
            os.close(ring.kick)
            os.close(ring.call)
        self.words.release()
        self.memory.close()
        os.close(self.fd)


class ByHandPacked(ByHand):
    """The same with packed rings: `published` and `collected` count buffers of one descriptor, ids are slots
    counted from 100, so that nothing passes that mixes up the two."""

    def __init__(self, path: str, *, features: int = FEATURES | f.mask(f.F_RING_PACKED)) -> None:
        super().__init__(path, features=features)

    def put(self, ring: HandRing, data: bytes, *, writable: bool = False, kick: bool = True) -> int:
        lap, slot = divmod(ring.published, ring.size)
        at = ring.buffers + slot * 2048
        self.memory[at : at + len(data)] = data
        flags = (0x8000 if lap & 1 else 0x80) | (2 if writable else 0)
        struct.pack_into("<QIH", self.memory, ring.desc + 16 * slot, GUEST + at, len(data), 100 + slot)
        self.words[ring.desc // 2 + 8 * slot + 7] = flags
        ring.published += 1
        if kick:
            os.eventfd_write(ring.kick, 1)
        return 100 + slot

    def used_idx(self, ring: HandRing) -> int:
        return len(self.used_all(ring)) & 0xFFFF

    def used_all(self, ring: HandRing) -> list[tuple[int, int]]:
        """(id, length) of all that was used, as long as the ring did not go round since the first look."""
        while ring.published - len(ring.collected) > 0:
            lap, slot = divmod(len(ring.collected), ring.size)
            length, id_, flags = struct.unpack_from("<IHH", self.memory, ring.desc + 16 * slot + 8)
            if flags & 0x8080 != (0 if lap & 1 else 0x8080):
                break
            ring.collected.append((id_, length))
        return ring.collected

    def used(self, ring: HandRing, at: int) -> tuple[int, int]:
        return self.used_all(ring)[at]


def raw(path: str, data: bytes, fds: tuple[int, ...] = ()) -> socket.socket:
    """A connection with some bytes sent on it."""
    sock = connect(path)
    socket.send_fds(sock, [data], fds)
    return sock


__all__ = ["BYTES", "GUEST", "USER", "ByHand", "ByHandPacked", "HandRing", "Message", "raw"]
