"""Rings written by hand, as a hostile other side would, for tests of what our two sides make of them."""

from __future__ import annotations

import gc
import os
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from model import AVAIL, NEXT, USED, WRITE

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.negotiate import DEFAULT_FEATURES
from dataplane.records import EVENT, Kind, Reason
from dataplane.snapshot import PackedQueue, SplitQueue
from tests.rings.twin import Setting, Twin

SCRATCH = 1 << 19
#: Everything the engine's device offers, the layout apart.
ALL = DEFAULT_FEATURES | f.mask(f.F_IN_ORDER, f.NET_F_CTRL_RX_EXTRA, f.NET_F_HOST_UFO, f.NET_F_GUEST_UFO)

SPLIT, PACKED = False, True
LAYOUTS = pytest.mark.parametrize("packed", [SPLIT, PACKED], ids=["split", "packed"])

Desc = tuple[int, int, int, int]  #: address, length, flags, and next (split) or id (packed)


def hi(number: int, *values: object) -> object:
    """A parameter whose id names the recipe."""
    return pytest.param(*values, id="-".join([f"HI-{number:03}", *(str(v) for v in values)]))


class Twins:
    """Makes twins and closes them at the end of a test."""

    def __init__(self) -> None:
        self.made: list[Twin] = []

    def __call__(self, packed: bool, size: int = 8, **setting: int) -> Twin:
        self.made.append(Twin(Setting(packed, size, **setting)))  # type: ignore[arg-type]
        return self.made[-1]

    def close(self) -> None:
        for twin in self.made:
            twin.close()


def write_desc(twin: Twin, slot: int, desc: Desc, available: int = AVAIL) -> None:
    """One descriptor of a twin's ring; in a packed one with the bits `available`."""
    address, length, flags, last = desc
    words = (last, flags | available) if twin.setting.packed else (flags, last)
    twin.poke(twin.shape.desc + 16 * slot, struct.pack("<QIHH", address, length, *words))


def show(twin: Twin, *heads: int) -> None:
    """Split: makes heads available, whatever they are."""
    idx = twin.memory.u16(twin.shape.driver + 2)
    for i, head in enumerate(heads):
        at = twin.shape.driver + 4 + 2 * ((idx + i) % twin.setting.size)
        twin.poke(at, struct.pack("<H", head))
    twin.poke(twin.shape.driver + 2, struct.pack("<H", (idx + len(heads)) & 0xFFFF))


def offer(twin: Twin, *descs: Desc) -> None:
    """Descriptors from slot 0 on, the first available as a head."""
    for slot, desc in enumerate(descs):
        write_desc(twin, slot, desc)
    if not twin.setting.packed:
        show(twin, 0)


def table_entries(twin: Twin, at: int, entries: Iterable[Desc]) -> None:
    """An indirect table in memory, in the form of the layout."""
    form = (lambda a, n, flags, last: (a, n, last, flags)) if twin.setting.packed else (lambda *d: d)
    twin.poke(at, b"".join(struct.pack("<QIHH", *form(*e)) for e in entries))


def refused(twin: Twin, reason: Reason) -> None:
    """The device gives the queue up for this reason, hands nothing out, and stays so."""
    seen = twin.device.seen
    while twin.next():
        pass
    assert twin.device.broken == reason, twin.device.broken.name
    assert twin.next() is None
    assert twin.device.seen - seen <= twin.setting.size


class Net:
    """A network device and its driver without threads, one queue of each played by hand.

    `offer()` plays a driver on any queue, `use()` a device; `turn()` lets the engine's side answer.
    """

    def __init__(
        self, packed: bool, *, size: int = 8, changes: int = 0, pairs: int = 1, **options: Any
    ) -> None:
        self.packed, self.size = packed, size
        self.features = (ALL | (f.mask(f.F_RING_PACKED) if packed else 0)) & ~f.mask(f.F_IN_ORDER) ^ changes
        self.engine = Engine(
            packed=packed,
            size=size,
            control_size=size,
            pairs=pairs,
            scratch=SCRATCH,
            offered=self.features,
            trace_events=4096,
            frame_bytes=4096,
            **options,
        )
        for status in (1, 3):
            self.engine.write_status(status)
        self.engine.write_features(self.features, False)
        assert self.engine.write_status(11) == 11, self.engine.info()["refused"]
        self.engine.setup()
        self.engine.write_status(15)
        info = self.engine.info()
        self.base = int(info["scratch"])
        self.control = 2 * pairs
        self.free = 0  #: bytes of the scratch memory used
        self.at: dict[int, int] = {}  #: slots offered or used so far, by queue
        self.count: dict[int, int] = {}  #: buffers likewise
        self.read = [0, 0]
        self.rows = np.empty(8192, EVENT)
        self.areas: dict[int, tuple[int, int, int]] = {}
        for index in range(self.control + 1):
            q = self.queue(index)
            self.areas[index] = (q.desc_addr, q.driver_addr, q.device_addr)

    def close(self) -> None:
        self.engine.close()

    def queue(self, index: int) -> SplitQueue | PackedQueue:
        room = bytearray(self.engine.room(index, True))
        return decode.queue(bytes(memoryview(room)[: self.engine.snapshot(index, True, room)]), True)

    def turn(self, side: int) -> int:
        return self.engine.turn(side)

    def place(self, data: bytes) -> int:
        """Puts bytes into scratch memory, round and round; their address."""
        if self.free + len(data) > SCRATCH:
            self.free = 0
        address = self.base + self.free
        self.free += len(data) + 63 & ~63
        assert self.engine.poke(address, data) or not data
        return address

    def offer(self, index: int, chains: list[list[Desc]]) -> None:
        """Chains of (address, length, flags, ignored): NEXT and the slot or id are filled in."""
        desc, driver, _ = self.areas[index]
        heads = []
        for chain in chains:
            heads.append(self.at.get(index, 0))
            for i, (address, length, flags, _) in enumerate(chain):
                number = self.at.get(index, 0)
                slot, lap = number % self.size, number // self.size
                flags |= NEXT if i + 1 < len(chain) else 0
                if self.packed:
                    words = (heads[-1] % self.size, flags | (USED if lap & 1 else AVAIL))
                else:
                    words = (flags, (slot + 1) % self.size)
                self.engine.poke(desc + 16 * slot, struct.pack("<QIHH", address, length, *words))
                self.at[index] = number + 1
            if not self.packed:
                entry = self.count.get(index, 0)
                at = driver + 4 + 2 * (entry % self.size)
                self.engine.poke(at, struct.pack("<H", heads[-1] % self.size))
                self.engine.poke(driver + 2, struct.pack("<H", entry + 1 & 0xFFFF))
            self.count[index] = self.count.get(index, 0) + 1

    def send(self, *frames: bytes) -> None:
        """Offers frames, net header included, on the first transmit queue, and lets the device look."""
        for frame in frames:
            self.offer(1, [[(self.place(frame), len(frame), 0, 0)]])
        self.turn(1)

    def request(self, *parts: bytes, acks: int = 1, ack_flags: int = WRITE) -> bytes:
        """Offers one control command in as many descriptors as parts; the bytes where the ack belongs."""
        ack = self.place(b"\xff" * max(acks, 1))
        chain = [(self.place(p), len(p), 0, 0) for p in parts]
        if acks:
            chain.append((ack, acks, ack_flags, 0))
        self.offer(self.control, [chain])
        self.turn(1)
        answer = bytearray(max(acks, 1))
        self.engine.peek(ack, answer)
        return bytes(answer)

    def use(self, index: int, *used: tuple[int, int]) -> None:
        """As the device: used elements (id, length) of buffers made available in slot order."""
        desc, _, device = self.areas[index]
        for id, length in used:
            number = self.at.get(index, 0)
            slot, lap = number % self.size, number // self.size
            if self.packed:
                bits = 0 if lap & 1 else AVAIL | USED
                word = struct.pack("<IHH", length, id, bits | WRITE)
                self.engine.poke(desc + 16 * slot + 8, word)
            else:
                self.engine.poke(device + 4 + 8 * slot, struct.pack("<II", id, length))
                self.engine.poke(device + 2, struct.pack("<H", number + 1 & 0xFFFF))
            self.at[index] = number + 1

    def drops(self, side: int) -> list[Reason]:
        """The reasons of what a side dropped since the last look."""
        n, self.read[side], lost = self.engine.events(side, self.read[side], self.rows)
        assert not lost
        rows = self.rows[:n]
        return [Reason(reason) for reason in rows["new"][rows["kind"] == Kind.DROP].tolist()]


def played(frames: list[bytes]) -> bytes:
    """A list of frames as `Engine.traffic` takes it, all due at once."""
    return b"".join(
        struct.pack("<QII12sI", 0, len(d), 0, bytes(12), 0) + d + bytes(-len(d) % 8) for d in frames
    )


def fds_open() -> int:
    """File descriptors of this process, but for those that nobody holds any more."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Looks again and again; AssertionError where it does not come to pass in twenty seconds."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.0005)
