"""A vhost-user-blk back-end in plain Python: a device that serves bytes, and as badly as a test wants.

It knows split rings, chains and indirect tables; it walks and answers whatever is offered, within memory.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dataplane import blk
from dataplane import features as f
from dataplane.vhost import payload as p
from dataplane.vhost.connection import Connection, Listener, ProtocolError
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, Message

_INDIRECT, _WRITE, _NEXT = 4, 2, 1
OFFERED = f.mask(
    f.F_VERSION_1, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.BLK_F_SEG_MAX, f.BLK_F_BLK_SIZE, f.BLK_F_MQ,
    f.BLK_F_FLUSH, F_PROTOCOL_FEATURES,
)  # fmt: skip
PROTOCOLS = 1 << PROTOCOL["MQ"] | 1 << PROTOCOL["REPLY_ACK"] | 1 << PROTOCOL["CONFIG"]


@dataclass
class DiskRing:
    num: int = 0
    desc: int = 0
    avail: int = 0
    used: int = 0
    kick: int = -1
    call: int = -1
    enabled: bool = False
    seen: int = 0


@dataclass
class Answer:
    """What comes of a request, as a test may change it."""

    status: int | None  #: None: not written
    length: int | None = None  #: the used length; None: as it was


@dataclass
class Asked:
    """A request as the device reads it."""

    queue: int
    header: bytes
    sent: bytes
    room: list[tuple[int, int]] = field(default_factory=list)


def agree(ours: list[blk.Request], theirs: list[blk.Request], missed: int) -> None:
    """What the tap saw is what the driver made, but for what it says that it read late."""
    made = {(one.queue, one.position): one for one in ours}
    assert len(theirs) + missed == len(ours) == len(made)
    for one in theirs:
        if not one.late:
            known = made[one.queue, one.position]
            if one.status is None:
                known = replace(known, status=None, data=one.data)
            assert _alike(one) == _alike(known)
    assert any(not one.late and one.status is not None for one in theirs)


def _alike(one: blk.Request) -> tuple[object, ...]:
    return (
        one.head, one.descriptors, one.indirect, one.header, one.readable, one.writable, one.used_length,
        one.status, one.data,
    )  # fmt: skip


class Disk:
    """Listens on `path` and serves `data`, to one front-end after another, until it is closed."""

    def __init__(
        self,
        path: str,
        data: bytes,
        *,
        queues: int = 2,
        offered: int = OFFERED,
        protocol: int = PROTOCOLS,
        config: bytes | None = None,
        answers: Callable[[Asked], Answer] | None = None,
    ) -> None:
        self.data, self.queues, self.offered, self.protocol = bytearray(data), queues, offered, protocol
        blank = blk.BlkConfig.parse(bytes(blk.CONFIG_BYTES)).pack()
        told = struct.pack("<Q", len(data) // blk.SECTOR) + blank[8:]
        told = told[:12] + struct.pack("<I", 62) + told[16:20] + struct.pack("<I", 512) + told[24:]
        self.config = config if config is not None else told[:34] + struct.pack("<H", queues) + told[36:]
        self.answers = answers or (lambda asked: Answer(self.does(asked)))
        self.asked: list[Asked] = []
        self.works = threading.Event()  #: clear: it takes nothing
        self.works.set()
        self.accepted = 0
        self._listener = Listener(path)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._closing = self._hang_up = False
        self._rings: dict[int, DiskRing] = {}
        self._memory: list[tuple[p.Region, mmap.mmap]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(10)
        self._listener.close()
        os.close(self._wake)

    def close_connection(self) -> None:
        """Hangs up on whoever is there."""
        self._hang_up = True
        os.eventfd_write(self._wake, 1)

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what is said -----------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            ready, _, _ = select.select([self._listener.sock, self._wake], [], [])
            if self._wake in ready:
                return
            connection = Connection(self._listener.accept())
            with suppress(ProtocolError, OSError):
                self._session(connection)
            connection.close()
            self._forget()

    def _session(self, connection: Connection) -> None:
        while not self._closing:
            works = self.works.is_set()
            kicks = [ring.kick for ring in self._rings.values() if ring.kick >= 0 and works]
            ready, _, _ = select.select([connection, self._wake, *kicks], [], [], 0.02)
            if self._hang_up:
                self._hang_up = False
                os.eventfd_read(self._wake)
                return
            for fd in ready:
                if fd in kicks:
                    with suppress(BlockingIOError):
                        os.eventfd_read(fd)
            if connection in ready:
                message = connection.recv(5)
                if message is None:
                    return
                self._hear(connection, message)
            if works:
                for index in list(self._rings):
                    self._turn(index)

    def _hear(self, connection: Connection, message: Message) -> None:
        carried = message.payload()
        known: dict[str, Callable[[], p.Payload]] = {
            "GET_FEATURES": lambda: p.U64(self.offered),
            "GET_PROTOCOL_FEATURES": lambda: p.U64(self.protocol),
            "GET_QUEUE_NUM": lambda: p.U64(self.queues),
            "GET_CONFIG": lambda: self._configuration(carried),
        }
        if message.name in known:
            connection.send(message.answer(known[message.name]()))
            return
        match carried:
            case p.U64(value) if message.name == "SET_FEATURES":
                self.accepted = value
            case p.MemoryTable(regions):
                fds = message.take()
                for region, fd in zip(regions, fds, strict=True):
                    self._memory.append((region, mmap.mmap(fd, region.size, offset=region.mmap_offset)))
                    os.close(fd)
            case p.VringState(index, num):
                ring = self._rings.setdefault(index, DiskRing())
                if message.name == "SET_VRING_NUM":
                    ring.num = num
                elif message.name == "SET_VRING_BASE":
                    ring.seen = num
                elif message.name == "SET_VRING_ENABLE":
                    ring.enabled = bool(num)
            case p.VringAddr():
                ring = self._rings.setdefault(carried.index, DiskRing())
                ring.desc, ring.avail, ring.used = carried.desc, carried.avail, carried.used
            case p.VringFd():
                ring = self._rings.setdefault(carried.index, DiskRing())
                name = "kick" if message.name == "SET_VRING_KICK" else "call"
                setattr(ring, name, message.take()[0])
            case _:
                pass
        if message.needs_reply:
            connection.send(message.answer(p.U64(0)))
        message.close()

    def _configuration(self, asked: p.Payload) -> p.Config:
        assert isinstance(asked, p.Config)
        return p.Config(0, len(self.config), 0, self.config)

    def _forget(self) -> None:
        for ring in self._rings.values():
            for fd in (ring.kick, ring.call):
                if fd >= 0:
                    os.close(fd)
        for _, memory in self._memory:
            memory.close()
        self._rings, self._memory = {}, []

    # ---- the device -------------------------------------------------------------------------------------

    def _at(self, address: int, length: int, user: bool = False) -> memoryview:
        for region, memory in self._memory:
            begin = region.user_addr if user else region.guest_addr
            if begin <= address and address + length <= begin + region.size:
                return memoryview(memory)[address - begin : address - begin + length]
        raise LookupError(f"{length} bytes at {address:#x}")

    def _turn(self, index: int) -> None:
        ring = self._rings[index]
        if not (ring.enabled and ring.desc and ring.num and ring.call >= 0):
            return
        moved = False
        while True:
            (avail,) = struct.unpack("<H", self._at(ring.avail + 2, 2, True))
            if avail == ring.seen & 0xFFFF:
                break
            entry = ring.avail + 4 + 2 * (ring.seen % ring.num)
            (head,) = struct.unpack("<H", self._at(entry, 2, True))
            length = self._request(index, ring, head)
            self._at(ring.used + 4 + 8 * (ring.seen % ring.num), 8, True)[:] = struct.pack(
                "<II", head, length
            )
            ring.seen += 1
            self._at(ring.used + 2, 2, True).cast("H")[0] = ring.seen & 0xFFFF
            moved = True
        if self.accepted >> f.F_EVENT_IDX & 1:
            event = ring.used + 4 + 8 * ring.num
            self._at(event, 2, True).cast("H")[0] = ring.seen & 0xFFFF
        if moved:
            os.eventfd_write(ring.call, 1)

    def _pieces(self, ring: DiskRing, head: int) -> list[tuple[int, int, int]]:
        """(address, length, flags) of a buffer; of a table those in it."""
        table, at, found = self._at(ring.desc, 16 * ring.num, True), head, []
        for _ in range(1024):
            address, length, flags, following = struct.unpack_from("<QIHH", table, 16 * at)
            if flags & _INDIRECT:
                table, at = self._at(address, length), 0
                continue
            found.append((address, length, flags))
            if not flags & _NEXT:
                break
            at = following
        return found

    def _request(self, index: int, ring: DiskRing, head: int) -> int:
        try:
            pieces = self._pieces(ring, head)
            sent = b"".join(bytes(self._at(at, n)) for at, n, flags in pieces if not flags & _WRITE)
            for at, n, _ in pieces:
                self._at(at, n)
        except (LookupError, struct.error):
            return 0
        room = [(at, n) for at, n, flags in pieces if flags & _WRITE]
        asked = Asked(index, sent[:16], sent[16:], room)
        self.asked.append(asked)
        answer = self.answers(asked)
        if room and room[-1][1] and answer.status is not None:
            at, n = room[-1]
            self._at(at + n - 1, 1)[0] = answer.status
        whole = sum(n for _, n in room)
        return whole if answer.length is None else answer.length

    def does(self, asked: Asked) -> int:
        """What an honest disk does, and its status."""
        if len(asked.header) < 16:
            return blk.IOERR
        kind, _, sector = blk.HEADER.unpack(asked.header)
        begin = sector * blk.SECTOR
        if kind == blk.T_IN:
            return self._reads(asked, begin)
        if kind == blk.T_OUT:
            if begin + len(asked.sent) > len(self.data):
                return blk.IOERR
            self.data[begin : begin + len(asked.sent)] = asked.sent
            return blk.OK
        return blk.OK if kind == blk.T_FLUSH else blk.UNSUPP

    def _reads(self, asked: Asked, begin: int) -> int:
        wanted = sum(n for _, n in asked.room) - 1
        if wanted < 0 or begin + wanted > len(self.data):
            return blk.IOERR
        for at, n in asked.room:
            part = bytes(self.data[begin : begin + min(n, wanted)])
            self._at(at, len(part))[:] = part
            begin, wanted = begin + len(part), wanted - len(part)
        return blk.OK
