"""The virtio-blk driver for somebody else's device: qemu-storage-daemon's export, or any that serves a disk.

    with BlkFrontend("/tmp/disk.sock", depth=8) as driver:
        driver.start()
        print(driver.snapshot().blk.capacity)

It reads, and nothing else: every request is of type IN, so no disk is ever written. The rings are the
engine's (`ring.h`, the driver's half, verb by verb), moved by one thread of Python.
"""

from __future__ import annotations

import os
import random
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from dataplane import blk
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.negotiate import feature_set
from dataplane.pair import Layout, check_size
from dataplane.reading import LEVELS
from dataplane.records import FRAME, FRAME_INDIRECT, FRAME_REQUEST, TO_DRIVER, Role
from dataplane.snapshot import AnyQueue, Identity, Snapshot
from dataplane.source import START, Cursor, Frames, TraceLevel
from dataplane.vhost import payload as p
from dataplane.vhost.asking import Asking, with_eventfds
from dataplane.vhost.connection import SECONDS
from dataplane.vhost.message import PROTOCOL
from dataplane.vhost.peer import Peer
from dataplane.viewed import Viewed

QUEUES_MAX, DEPTH_MAX = 16, 256
LENGTH_MAX = 1 << 20  #: bytes of one request
#: What the driver takes where it is offered, unless told otherwise: nothing that it would need to write.
WANTED = f.mask(
    f.F_VERSION_1, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.BLK_F_SIZE_MAX, f.BLK_F_SEG_MAX, f.BLK_F_RO,
    f.BLK_F_BLK_SIZE, f.BLK_F_TOPOLOGY, f.BLK_F_MQ,
)  # fmt: skip
_PROTOCOL = 1 << PROTOCOL["MQ"] | 1 << PROTOCOL["REPLY_ACK"] | 1 << PROTOCOL["CONFIG"]
_LOGGED = 1 << 16  #: requests kept for those who read
_UNWRITTEN = 0xFF  #: the status before the device writes it
_SPARE = 4  #: times as much memory as may be outstanding: what was read stands for a while
_TABLE = 64  #: entries of an indirect table of ours

Order = Literal["sequential", "random", "none"]


class _Slot:
    """Memory of one request, and the request that is in it."""

    __slots__ = ("at", "available", "position", "sector")

    def __init__(self, at: int) -> None:
        self.at, self.sector, self.available, self.position = at, 0, 0, 0


class BlkFrontend(Viewed):
    """See the module. `features` are changes to `WANTED`, `length` the bytes of a request, `depth` how many
    are outstanding on each queue at most, `rate` requests a second over all queues.

    ValueError where back-end and wishes do not go together, OSError where there is no connection,
    ProtocolError where the other end does not keep to the protocol.
    """

    control: None = None

    def __init__(
        self,
        path: str,
        *,
        listen: bool = False,
        layout: Layout = "split",
        queue_size: int = 128,
        queues: int = 1,
        features: str | Iterable[str] = (),
        order: Order = "sequential",
        length: int = 4096,
        depth: int = 8,
        rate: float | None = None,
        name: str = "blk0",
        trace: TraceLevel = "operations",
        seconds: float = SECONDS,
    ) -> None:
        packed = layout == "packed"
        check_size(queue_size, packed)
        for what, value, most in (("queues", queues, QUEUES_MAX), ("requests outstanding", depth, DEPTH_MAX)):
            if not 1 <= value <= most:
                raise ValueError(f"{value} {what} are out of range: 1 to {most}")
        if not blk.SECTOR <= length <= LENGTH_MAX or length % blk.SECTOR:
            raise ValueError(f"{length} bytes a request: whole sectors of 512 up to {LENGTH_MAX}")
        wanted = feature_set(features, packed, WANTED, blk.DEVICE_ID)
        self._asking = Asking(path, listen=listen, seconds=seconds, protocol=_PROTOCOL)
        self.path, self.talk = path, self._asking.talk
        self.on_read: Callable[[blk.Request, bytes], None] | None = (
            None  #: by the driver's thread, whole data
        )
        try:
            accepted = self._negotiated(wanted, queues)
            self._sizes = self._cut(length, accepted)
            self._check_room(queue_size, f.has(accepted, f.F_INDIRECT_DESC))
            stride = (64 + length + 63) & ~63
            engine = Engine(
                bare=True, packed=packed, size=queue_size, queues=queues, offered=self._asking.offered,
                scratch=queues * _SPARE * depth * stride, frame_bytes=64, device_theirs=True,
            )  # fmt: skip
        except BaseException:
            self._asking.close()
            raise
        super().__init__(engine, "driver")
        self._identity = Identity(name, "frontend", blk.DEVICE_ID, self._asking.offered, accepted, packed)
        self._trace, self._order, self._length, self._rate = trace, order, length, rate
        self._queues, self._depth, self._sectors = queues, depth, length // blk.SECTOR
        self._log: deque[blk.Request] = deque(maxlen=_LOGGED)
        self._number = 0  # of requests done
        self._passed_over = 0
        self._logs, self._failed = True, 0
        self._next_sector, self._random = 0, random.Random(1)
        self._turns, self._asleep, self._thread = 0, False, None
        self._wake, self._closing = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), threading.Event()
        try:
            engine.foreign_features(accepted, f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER | f.STATUS_FEATURES_OK)
            engine.setup()
        except BaseException:
            self.close()
            raise
        first, slots = int(engine.info()["scratch"]), _SPARE * depth
        self._free = [
            deque(_Slot(first + (q * slots + i) * stride) for i in range(slots)) for q in range(queues)
        ]
        self._busy: list[dict[int, _Slot]] = [{} for _ in range(queues)]
        self._token = 0

    _thread: threading.Thread | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- setting up -------------------------------------------------------------------------------------

    def _negotiated(self, wanted: int, queues: int) -> int:
        """What is accepted; the configuration is read."""
        asking = self._asking
        asking.greet(wanted)
        if not asking.has("CONFIG"):
            raise ValueError("the back-end does not tell its configuration (CONFIG): it is no block device")
        room = p.Config(0, blk.CONFIG_BYTES, 0, bytes(blk.CONFIG_BYTES))
        self.config = blk.BlkConfig.parse(asking.ask("GET_CONFIG", room).data)
        accepted = wanted & asking.offered
        most = asking.ask("GET_QUEUE_NUM").value if asking.has("MQ") else 1
        if f.has(accepted, f.BLK_F_MQ) and self.config.num_queues:
            most = min(most, self.config.num_queues)
        if queues > most:
            raise ValueError(f"the back-end has {most} request queue{'s' * (most != 1)}, not {queues}")
        asking.accept(accepted)
        return accepted

    def _cut(self, length: int, accepted: int) -> tuple[int, ...]:
        """The data's pieces: none longer than size_max."""
        config = self.config
        if config.capacity * blk.SECTOR < length:
            raise ValueError(f"the disk has {config.size} bytes, fewer than the {length} of a request")
        most = config.size_max if f.has(accepted, f.BLK_F_SIZE_MAX) and config.size_max else length
        sizes = tuple(min(most, length - at) for at in range(0, length, most)) if most else ()
        limit = config.seg_max if f.has(accepted, f.BLK_F_SEG_MAX) and config.seg_max else _TABLE - 2
        if not 1 <= len(sizes) <= min(limit, _TABLE - 2):
            raise ValueError(f"{length} bytes a request need {len(sizes)} segments: the most is {limit}")
        return sizes

    def _check_room(self, queue_size: int, indirect: bool) -> None:
        if not indirect and len(self._sizes) + 2 > queue_size:
            raise ValueError(f"a queue of {queue_size} has no room for {len(self._sizes) + 2} descriptors")

    def start(self) -> None:
        """Gives the back-end memory and rings, and reads from then on."""
        if self._thread is not None:
            raise RuntimeError("the driver runs already")
        self._asking.give(self._engine, super().snapshot(()).queues, self._identity.packed)
        self._engine.trace(LEVELS.index(self._trace))
        self._engine.foreign_features(self._identity.accepted, 15)
        self._asking.serve(None)
        self._thread = threading.Thread(target=self._run, name="blk-driver", daemon=True)
        self._thread.start()

    def read(self, order: Order) -> None:
        """Which sectors are read from now on; "none": none, and what is outstanding still arrives."""
        self._order = order
        os.eventfd_write(self._wake, 1)

    # ---- the driver -------------------------------------------------------------------------------------

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for index in range(self._queues):
            poll.register(self._engine.foreign_eventfds(index)[1], select.POLLIN)
        due = time.monotonic()
        self._each("calls_off")
        while not self._closing.is_set():
            self._turns += 1
            moved = sum([self._collect(index) for index in range(self._queues)])
            sent, due = self._send(due)
            if moved or sent:
                continue
            if any(self._each("calls_on")):  # something came before the device knew that it should tell
                self._each("calls_off")
                continue
            self._asleep = True
            poll.poll(self._pause(due))
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            self._asleep = False
            self._each("take_calls")
            self._each("calls_off")

    def _each(self, verb: str) -> list[bool | None]:
        with self._still:
            return [self._engine.verb(index, verb) for index in range(self._queues)]

    def _pause(self, due: float) -> float | None:
        """Milliseconds until the next request may be sent; None: until something comes."""
        if not self._rate or self._order == "none" or self._asking.why or self._full:
            return None
        return max((due - time.monotonic()) * 1000, 0)

    @property
    def _full(self) -> bool:
        """Whether as many are outstanding on every queue as may be."""
        return all(len(busy) >= self._depth for busy in self._busy)

    def _send(self, due: float) -> tuple[int, float]:
        """As many requests as there is room for and the rate allows, spread over the queues: how many, and
        when the next is due."""
        sent, now = 0, time.monotonic()
        if self._order == "none" or self._asking.why:
            return 0, now
        touched = set()
        while not self._rate or due <= now:
            index = min(range(self._queues), key=lambda q: len(self._busy[q]))
            if len(self._busy[index]) >= self._depth or not self._add(index):
                break
            touched.add(index)
            sent += 1
            due += 1 / self._rate if self._rate else 0
        with self._still:
            for index in touched:
                self._engine.verb(index, "publish")
                self._engine.verb(index, "kick_needed")
        # what could not be sent in time is not caught up with
        return sent, max(due, now - 0.1) if self._rate else now

    def _add(self, index: int) -> bool:
        slot = self._free[index][0]
        sector = self._choose()
        pieces = [(slot.at, blk.HEADER.size, 0)]
        at = slot.at + 64
        for length in self._sizes:
            pieces.append((at, length, 1))
            at += length
        pieces.append((slot.at + 32, 1, 1))
        with self._still:
            engine = self._engine
            engine.poke(slot.at, blk.HEADER.pack(blk.T_IN, 0, sector))
            engine.poke(slot.at + 32, bytes((_UNWRITTEN,)))
            table = f.has(self._identity.accepted, f.F_INDIRECT_DESC)
            token = self._token & 0xFFFFFFFF
            if engine.add(index, b"".join(struct.pack("<QII", *one) for one in pieces), table, token) < 0:
                return False
        self._free[index].popleft()
        slot.sector, slot.available = sector, time.time_ns()
        self._busy[index][token] = slot
        self._token += 1
        self._next_sector = sector + self._sectors
        return True

    def _choose(self) -> int:
        """The sector of the next request."""
        places = self.config.capacity // self._sectors
        if self._order == "random":
            return self._random.randrange(places) * self._sectors
        return self._next_sector if self._next_sector + self._sectors <= self.config.capacity else 0

    def _collect(self, index: int) -> int:
        count = 0
        while True:
            with self._still:
                back = self._engine.collect(index)
            if back is None:
                return count
            token, length, position, head = back
            slot = self._busy[index].pop(token)
            self._done(index, slot, length, position, head)
            self._free[index].append(slot)
            count += 1

    def _done(self, index: int, slot: _Slot, length: int, position: int, head: int) -> None:
        data = self.memory(slot.at + 64, self._length) if self.on_read else b""
        kept = data[: blk.DATA_KEPT] or self.memory(slot.at + 64, min(self._length, blk.DATA_KEPT))
        status = self.memory(slot.at + 32, 1)[0]
        indirect = f.has(self._identity.accepted, f.F_INDIRECT_DESC)
        request = blk.Request(
            number=self._number + 1, time=time.time_ns(), available=slot.available, slack=0, queue=index,
            position=position, head=head, descriptors=len(self._sizes) + 2, indirect=indirect, late=False,
            sound=True, header=blk.HEADER.pack(blk.T_IN, 0, slot.sector), readable=blk.HEADER.size,
            writable=self._length + 1, used_length=length, status=status, data=kept,
        )  # fmt: skip
        self._failed += request.failed
        with self._still:
            self._number += 1
            if self._logs:
                self._log.append(request)
            else:
                self._passed_over += 1
        if self.on_read:
            self.on_read(request, data)

    # ---- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hangs up, which the back-end takes as the end of every ring, and ends the driver."""
        self._closing.set()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join(10.0)
        self._asking.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1
        super().close()

    # ---- Probe ------------------------------------------------------------------------------------------

    @property
    def probe(self) -> Self:
        return self

    def kick(self, queue: int) -> None:
        self._engine.inject(queue, False)

    def call(self, queue: int) -> None:
        self._engine.inject(queue, True)

    # ---- reading ----------------------------------------------------------------------------------------

    def log_frames(self, on: bool, sample: int = 1, program: bytes | None = None, **_: int) -> None:
        """Logs requests or only counts them; there is no filter for them, and no sampling."""
        if program:
            raise ValueError("a capture filter is for packets: requests are logged all, or not at all")
        self._logs = on

    def frames(self, since: Cursor = START, *, most: int = 1 << 22) -> Frames:
        """The requests that are done, as records of the frame log (`blk.requests`)."""
        with self._still:
            log = self._log
            first = self._number - self._passed_over - len(log)
            begin = max(since[0], first)
            rest = list(islice(log, begin - first, begin - first + most // 1024 + 1))
        rows, contents = np.zeros(len(rest), FRAME), []
        for row, request in zip(rows, rest, strict=True):
            content = blk.logged(request)
            for name in ("time", "position", "queue", "head", "descriptors"):
                row[name] = getattr(request, name)
            row["number"] = request.number - 1
            row["length"] = row["captured"] = len(content)
            row["buffers"], row["direction"] = 1, TO_DRIVER
            row["flags"] = FRAME_REQUEST | (FRAME_INDIRECT if request.indirect else 0)
            row["net_header_length"], row["net_header"] = len(request.header), request.header
            contents.append(content)
        offsets = np.cumsum([0, *map(len, contents)], dtype=np.int64)[:-1]
        return Frames(rows, offsets, b"".join(contents), (begin + len(rest), 0), begin - since[0])

    @property
    def peer(self) -> Peer:
        """Who is connected, and what was agreed on."""
        queues, identity = super().snapshot(()).queues, self._identity
        return self._asking.peer(self._engine, queues, identity.accepted, packed=identity.packed)

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        return range(self._queues)

    def _notes(self, info: dict[str, Any]) -> list[str]:
        notes = [f"no device: {self._asking.why}"] if self._asking.why else []
        return [*notes, *([f"{self._failed} requests failed"] if self._failed else [])]

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        live = super().snapshot(whole)
        running = self._thread is not None and self._thread.is_alive()
        logs = replace(
            live.logs, frames_on=self._logs, frames=self._number - self._passed_over,
            frames_passed_over=self._passed_over,
        )  # fmt: skip
        return replace(
            live, state="running" if running else "stopped", queue_pairs=0, blk=self.config, logs=logs,
            queues=tuple(map(self._as_ours, live.queues)),
        )  # fmt: skip

    def _as_ours(self, queue: AnyQueue) -> AnyQueue:
        """A request queue, with what only our thread knows of itself."""
        named = replace(queue, role=Role.REQUEST, name=f"req{queue.index}")
        half = named.driver
        if half is not None:
            named = replace(named, driver=replace(half, turns=self._turns, asleep=self._asleep))
        return with_eventfds(self._engine, named)
