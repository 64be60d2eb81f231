"""What a device of ours leaves behind: the buffers in flight, which the next one takes again, and the pages
that were written. Regions are read here as the vhost-user text lays them out, by a reader of its own."""

from __future__ import annotations

import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dataplane import features as f
from dataplane.faults_text import parse_fault
from dataplane.records import Reason
from dataplane.source import START
from dataplane.vhost import payload as p
from dataplane.vhost.asked import Asked
from dataplane.vhost.backend import Backend
from dataplane.vhost.connection import Connection, connect, listened_on
from dataplane.vhost.frontend import Frontend
from dataplane.vhost.message import F_LOG_ALL, F_PROTOCOL_FEATURES, NAMES, PROTOCOL, Message, request
from dataplane.vhost.talk import Talk
from tests.rings.frontend import BYTES, FEATURES, GUEST, USER, ByHand, ByHandPacked, HandRing
from tests.rings.staging import fds_open, wait_until

FRAME = b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(50)
HEADER = bytes(12)
AGREED = sum(1 << PROTOCOL[name] for name in ("REPLY_ACK", "MQ", "INFLIGHT_SHMFD", "LOG_SHMFD"))
SIZE, QUEUES = 16, 4
both_layouts = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


class Region:
    """An in-flight region as whoever holds it sees it."""

    def __init__(self, fd: int, packed: bool, size: int = SIZE) -> None:
        self.fd, self.packed, self.size = fd, packed, size
        self.header, self.step = (32, 32) if packed else (16, 16)
        self.part = -(-(self.header + self.step * size) // 64) * 64
        self.memory = mmap.mmap(fd, 0)

    def at(self, queue: int, entry: int = -1) -> int:
        return queue * self.part + (0 if entry < 0 else self.header + self.step * entry)

    def read(self, layout: str, queue: int, offset: int, entry: int = -1) -> int:
        return int(struct.unpack_from(layout, self.memory, self.at(queue, entry) + offset)[0])

    def write(self, layout: str, value: int, queue: int, offset: int, entry: int = -1) -> None:
        struct.pack_into(layout, self.memory, self.at(queue, entry) + offset, value)

    def in_flight(self, queue: int) -> list[int]:
        """Entries in flight, the oldest first."""
        found = [e for e in range(self.size) if self.read("<B", queue, 0, e)]
        return sorted(found, key=lambda e: self.read("<Q", queue, 8, e))

    def ids(self, queue: int) -> list[int]:
        """Heads (split) or buffer ids (packed) in flight, the oldest first."""
        if not self.packed:
            return self.in_flight(queue)
        return [self.read("<H", queue, 16, e) for e in self.in_flight(queue)]

    def check(self, queue: int, ring: HandRing, used: int) -> None:
        """It is whole, and says of what was used so far what the ring says."""
        assert (self.read("<H", queue, 8), self.read("<H", queue, 10)) == (1, self.size)
        if not self.packed:
            assert self.read("<H", queue, 14) == used & 0xFFFF
            return
        lap, slot = divmod(used, ring.size)
        for offset in (16, 18):
            assert self.read("<H", queue, offset) == slot
        for offset in (20, 21):
            assert self.read("<B", queue, offset) == (lap & 1) ^ 1
        assert self.read("<H", queue, 12) == self.read("<H", queue, 14)
        free, e = set(), self.read("<H", queue, 12)
        while e < self.size:
            assert e not in free and not self.read("<B", queue, 0, e)
            free.add(e)
            e = self.read("<H", queue, 2, e)
        assert len(free) + len(self.in_flight(queue)) == self.size

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)


def by_hand(device: str, packed: bool) -> ByHand:
    made = ByHandPacked(device) if packed else ByHand(device)
    made.greet(AGREED)
    return made


def ask_region(driver: ByHand, packed: bool, size: int = SIZE) -> Region:
    reply = driver.connection.request(request("GET_INFLIGHT_FD", p.Inflight(0, 0, QUEUES, size)))
    carried, (fd,) = reply.payload(), reply.take()
    region = Region(fd, packed, size)
    assert carried == p.Inflight(region.part * QUEUES, 0, QUEUES, size)
    assert not any(region.memory[:])
    return region


def give(driver: ByHand, region: Region) -> int:
    carried = p.Inflight(region.part * QUEUES, 0, QUEUES, region.size)
    return driver.say("SET_INFLIGHT_FD", carried, (region.fd,))


def base(packed: bool) -> int:
    return 0x80008000 if packed else 0


def begin(driver: ByHand, ring: HandRing, at: int) -> None:
    """Enabled before it is started: what is sent in between would be dropped."""
    assert not driver.say("SET_VRING_ENABLE", p.VringState(ring.index, 1))
    driver.start(ring, at)


def again(driver: ByHand, device: str) -> None:
    """The same driver, with its memory and rings, meets the next device."""
    driver.connection.close()
    driver.connection = Connection(connect(device))
    driver.greet(AGREED)


def frames(device: Backend) -> list[bytes]:
    read = device.frames(START)
    return [
        bytes(read.data[at : at + int(row["captured"])])
        for row, at in zip(read.rows, read.offsets.tolist(), strict=True)
    ]


def said(device: Backend, words: str) -> None:
    wait_until(lambda: any(words in one.text for one in device.talk.since() if one.refused), words)


def numbered(number: int) -> bytes:
    return HEADER + FRAME[:-2] + number.to_bytes(2, "big")


@pytest.fixture
def device(tmp_path: Any) -> Iterator[Backend]:
    before = fds_open()
    with Backend(str(tmp_path / "ring.sock"), queue_pairs=2) as backend:
        backend.log_frames(True, 1)
        backend.start()
        yield backend
    assert fds_open() == before


@both_layouts
def test_what_is_held_is_in_the_region_and_what_is_used_is_not(device: Backend, packed: bool) -> None:
    driver = by_hand(device.path, packed)
    region = ask_region(driver, packed)
    assert not give(driver, region)
    rx, tx = driver.ring(0, SIZE, base=base(packed)), driver.ring(1, SIZE, base=base(packed))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    device.plug(theirs.fileno())
    ids = [driver.put(rx, bytes(2000), writable=True) for _ in range(12)]
    for i in range(40):
        driver.put(tx, numbered(i))
        wait_until(lambda: driver.used_idx(tx) == i + 1, "it is used")  # noqa: B023
        region.check(1, tx, i + 1)
        assert not region.in_flight(1)
    for i in range(5):
        ours.send(numbered(i))
        wait_until(lambda: driver.used_idx(rx) == i + 1, "it is used")  # noqa: B023
    assert set(region.ids(0)) <= set(ids[5:])
    region.check(0, rx, 5)
    driver.close()
    region.close()
    ours.close()
    theirs.close()


@both_layouts
def test_what_was_held_is_taken_again_in_its_order(device: Backend, packed: bool) -> None:
    """The first device holds some of what it takes; the next one uses them, the oldest first, and goes on."""
    driver = by_hand(device.path, packed)
    region = ask_region(driver, packed)
    assert not give(driver, region)
    tx = driver.ring(1, SIZE, base=base(packed))
    sent = {driver.put(tx, numbered(i)): i for i in range(5)}
    wait_until(lambda: driver.used_idx(tx) == 5, "all are used")
    (fault,) = parse_fault("hold:queue=tx0,odds=2,seed=1", device.shapes())
    number = device.inject_fault(fault)
    held = 0
    for i in range(5, 13):
        sent[driver.put(tx, numbered(i))] = i
        wait_until(lambda: rests(device, i + 1), "it is taken")  # noqa: B023
        held = i + 1 - driver.used_idx(tx)
    assert 2 <= held <= 7, "some and not all are held"
    left = region.ids(1)
    assert len(left) == held
    region.check(1, tx, 13 - held)
    driver.connection.close()
    wait_until(lambda: not device.peer.connected, "the driver is gone")
    device.heal(number)
    assert region.ids(1) == left, "they stay what they were"
    before = len(frames(device))
    again(driver, device.path)
    assert not give(driver, region)
    begin(driver, tx, base(packed))
    wait_until(lambda: driver.used_idx(tx) == 13, "all are used")
    assert [driver.used(tx, 13 - held + i)[0] for i in range(held)] == left
    assert [frame[-2:] for frame in frames(device)[before:]] == [numbered(sent[id_])[-2:] for id_ in left]
    for i in range(13, 40):
        driver.put(tx, numbered(i))
        wait_until(lambda: driver.used_idx(tx) == i + 1, "it is used")  # noqa: B023
        region.check(1, tx, i + 1)
    driver.close()
    region.close()


def rests(device: Backend, taken: int) -> bool:
    """It has taken so many, and done with them what it wanted."""
    half = device.snapshot(()).queue(1).device
    return half is not None and half.asleep and half.seen == taken


@both_layouts
def test_receive_buffers_go_back_where_they_came_from(device: Backend, packed: bool) -> None:
    """A flood takes many at once; when the ring is stopped, none is in flight."""
    driver = by_hand(device.path, packed)
    region = ask_region(driver, packed)
    assert not give(driver, region)
    rx = driver.ring(0, SIZE, base=base(packed))
    device.flood(directions=("to_driver",))
    device.set_rate(20)
    for _ in range(12):
        driver.put(rx, bytes(2000), writable=True)
    wait_until(lambda: driver.used_idx(rx) >= 3, "some are used")
    assert region.in_flight(0)
    stopped = driver.ask("GET_VRING_BASE", p.VringState(0, 0))
    used = driver.used_idx(rx)
    assert not region.in_flight(0)
    region.check(0, rx, used)
    assert stopped.num & 0x7FFF == used and (not packed or stopped.num >> 16 & 0x7FFF == used)
    driver.start(rx, stopped.num)
    wait_until(lambda: driver.used_idx(rx) == 12, "all are used")
    assert sorted(driver.used(rx, i)[0] for i in range(12)) == [100 * packed + i for i in range(12)]
    driver.close()
    region.close()


class Process:
    """A device in a process of its own."""

    def __init__(self, path: str, *more: str, how: str = "--listen") -> None:
        self.listens = path if how == "--listen" else ""
        command = [sys.executable, "-m", "inspector", "device", how, path, "--traffic", "sink", "--json"]
        self.process = subprocess.Popen(
            [*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: not self.listens or listened_on(path), "it listens")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.listens:
            os.unlink(self.listens)


@both_layouts
def test_devices_that_are_killed_lose_no_buffer(tmp_path: Any, packed: bool) -> None:
    """At random moments of a stream of buffers: each is used once, whichever device does it."""
    path, rng = str(tmp_path / "ring.sock"), random.Random(3)
    times = 20 if os.environ.get("RINGSCOPE_FULL") == "1" else 4
    device = Process(path, "--queue-pairs", "2")
    driver = by_hand(path, packed)
    region = ask_region(driver, packed)
    published: Counter[int] = Counter()
    tx = HandRing(1, SIZE, 0x10000, 0x14000, 0x18000, 0x100000, os.eventfd(0, 0), os.eventfd(0, 2048))
    driver.rings.append(tx)
    for death in range(times + 1):
        if death:
            device = Process(path, "--queue-pairs", "2")
            again(driver, path)
        assert not give(driver, region)
        begin(driver, tx, base(packed))
        end = time.monotonic() + 0.2 + rng.random() * 0.3
        while time.monotonic() < end:
            if tx.published - done(driver, tx) < SIZE:
                published[driver.put(tx, numbered(tx.published & 0xFFFF))] += 1
        if death < times:
            device.kill()
    wait_until(lambda: done(driver, tx) == tx.published, "all are used")
    assert Counter(id_ for id_, _ in tx.collected) == published
    assert not region.in_flight(1)
    region.check(1, tx, tx.published)
    device.kill()
    driver.close()
    region.close()


def done(driver: ByHand, ring: HandRing) -> int:
    """Buffers used so far: of a split ring noted one by one, since its elements are written over."""
    if isinstance(driver, ByHandPacked):
        return len(driver.used_all(ring))
    while (driver.used_idx(ring) - len(ring.collected)) & 0xFFFF:
        ring.collected.append(driver.used(ring, len(ring.collected)))
    return len(ring.collected)


# ---- a driver of ours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("listen", [False, True])
def test_a_driver_of_ours_goes_on_with_the_next_device(tmp_path: Any, layout: Any, listen: bool) -> None:
    """Devices die under a flood; at the end every buffer came back, and none twice."""
    path, rng = str(tmp_path / "ring.sock"), random.Random(5)
    times = 20 if os.environ.get("RINGSCOPE_FULL") == "1" else 3
    how = "--connect" if listen else "--listen"
    before = fds_open()
    device = Process(path, how=how)
    with Frontend(path, listen=listen, layout=layout, queue_size=64, seconds=30) as driver:
        driver.flood(directions=("to_device",))
        driver.set_rate(50_000)
        driver.start()
        for _ in range(times):
            used = driver.snapshot(()).queue(1).used
            wait_until(lambda: driver.snapshot(()).queue(1).used > used + 1000, "it runs")  # noqa: B023
            time.sleep(rng.random() * 0.1)
            device.kill()
            wait_until(lambda: not driver.peer.connected, "it is missed")
            device = Process(path, how=how)
            wait_until(lambda: driver.peer.connected, "the next one is there")
        used = driver.snapshot(()).queue(1).used
        wait_until(lambda: driver.snapshot(()).queue(1).used > used + 1000, "it runs")
        driver.quiet()

        def over() -> bool:
            queue = driver.snapshot(()).queue(1)
            return queue.published == queue.used == queue.collected

        wait_until(over, "every buffer came back")
        half = driver.snapshot().queue(1).driver
        assert half is not None and not half.broken and not half.in_flight
        assert driver.peer.protocol_features >> PROTOCOL["INFLIGHT_SHMFD"] & 1
    device.kill()
    assert fds_open() == before


def test_a_next_device_that_lacks_a_feature_does_not_get_the_rings(tmp_path: Any) -> None:
    path = str(tmp_path / "ring.sock")
    with Backend(path) as device:
        device.start()
        driver = Frontend(path)
        driver.start()
    with driver:
        with Backend(path, features="-mrg_rxbuf,-guest_tso4") as device:
            device.start()
            wait_until(lambda: "lacks" in driver.peer.why, "it is refused")
            assert "GUEST_TSO4" in driver.peer.why and "MRG_RXBUF" in driver.peer.why
            assert not driver.peer.connected and not device.running
        with Backend(path) as device:
            device.start()
            wait_until(lambda: driver.peer.connected and device.running != (), "this one will do")


def test_a_change_of_the_configuration_is_told(tmp_path: Any) -> None:
    """CONFIG_CHANGE_MSG on the back-end's channel, and the driver reads it again."""
    path = str(tmp_path / "ring.sock")
    with Backend(path, mtu=2000) as device:
        device.start()
        with Frontend(path) as driver:
            driver.start()
            config = driver.snapshot(()).config
            assert (config.mtu, config.mac) == (2000, device.snapshot(()).config.mac)
            device._engine.announce()
            wait_until(lambda: heard(driver, "backend", "CONFIG_CHANGE_MSG") == 1, "it is told")
            wait_until(lambda: heard(driver, "frontend", "GET_CONFIG") == 2, "it is read again")
            wait_until(lambda: driver.snapshot(()).config.status & 2 == 2, "it asks for an announcement")


def heard(end: Any, speaker: str, name: str) -> int:
    return sum(one.speaker == speaker and one.name == name for one in end.talk.since())


@pytest.mark.parametrize("name", ["VRING_CALL", "SHMEM_MAP", "GET_FEATURES"])
def test_what_a_backend_may_not_ask(name: str) -> None:
    talk = Talk()
    asked = Asked(talk, AGREED)
    theirs = Connection(asked.theirs.dup(), "backend")
    asked.given()
    kind = NAMES[name]
    theirs.send(Message(kind.id, 1 | 1 << 3, b"", (), "backend"))
    answer = theirs.recv(5)
    assert answer is not None and answer.payload() == p.U64(1)
    assert talk.since()[1].refused
    theirs.close()
    asked.close()


# ---- a region that says what no device wrote -----------------------------------------------------------


def test_a_device_that_died_between_index_and_marks(device: Backend) -> None:
    """Split: the ring's used.idx is two ahead of the region's, whose last batch was 5 and 3."""
    driver = by_hand(device.path, False)
    region = ask_region(driver, False)
    tx = driver.ring(1, SIZE, start=False)
    for i in range(8):
        driver.put(tx, numbered(i))
    region.write("<H", 1, 1, 8)
    region.write("<H", SIZE, 1, 10)
    for counter, head in enumerate((5, 3, 7, 0, 2)):
        region.write("<Q", 50 + counter, 1, 8, head)
        region.write("<B", 1, 1, 0, head)
    region.write("<H", 5, 1, 12)  # last batch: 5, then 3
    region.write("<H", 3, 1, 6, 5)
    region.write("<H", 3, 1, 14)
    struct.pack_into("<H", driver.memory, tx.used + 2, 5)
    assert not give(driver, region)
    begin(driver, tx, 5)
    wait_until(lambda: driver.used_idx(tx) == 8, "the rest is used")
    assert [driver.used(tx, at)[0] for at in (5, 6, 7)] == [7, 0, 2]
    assert [frame[-1] for frame in frames(device)] == [7, 0, 2]
    assert not region.in_flight(1)
    driver.close()
    region.close()


@pytest.mark.parametrize("shown", [False, True])
def test_a_packed_device_that_died_within_a_flush(device: Backend, shown: bool) -> None:
    """What it meant to use is used if the ring shows it, and taken again if not."""
    driver = by_hand(device.path, True)
    region = ask_region(driver, True)
    tx = driver.ring(1, SIZE, start=False)
    for i in range(4):
        driver.put(tx, numbered(i))
    header = struct.pack("<HHHHHHBB", 1, SIZE, 1, 4, 1, 0, 1, 1)  # free 1, was 4; used 1, was 0; wraps
    at = region.at(1) + 8
    region.memory[at : at + len(header)] = header
    for e in range(SIZE):
        region.write("<H", e + 1, 1, 2, e)
    region.write("<H", 4, 1, 2, 1)  # entry 1 was buffer 101, and heads the free list since
    for e in range(4):
        entry = struct.unpack_from("<QIHH", driver.memory, tx.desc + 16 * e)
        values = (1, 0, e + 1 if e != 1 else 4, e, 1, 10 + e, entry[2], entry[3], entry[1], entry[0])
        struct.pack_into("<BBHHHQHHIQ", region.memory, region.at(1, e), *values)
    if shown:  # buffer 101 was used first
        struct.pack_into("<IHH", driver.memory, tx.desc + 8, 0, 101, 0x8080)
    assert not give(driver, region)
    begin(driver, tx, base(True))
    wait_until(lambda: driver.used_idx(tx) == 4, "all are used")
    order = [driver.used(tx, at)[0] for at in range(4)]
    assert order == ([101, 100, 102, 103] if shown else [100, 101, 102, 103])
    region.check(1, tx, 4)
    driver.close()
    region.close()


DAMAGE = [
    pytest.param("<H", 2, 8, -1, id="version 2"),
    pytest.param("<H", 0, 8, -1, id="version 0 and entries"),
    pytest.param("<H", 17, 10, -1, id="another size"),
    pytest.param("<H", 0, 10, -1, id="size 0"),
]


@both_layouts
@pytest.mark.parametrize(("layout", "value", "offset", "entry"), DAMAGE)
def test_a_region_of_another_ring_is_refused(
    device: Backend, packed: bool, layout: str, value: int, offset: int, entry: int
) -> None:
    driver = by_hand(device.path, packed)
    region = ask_region(driver, packed)
    region.write("<H", 1, 1, 8)
    region.write("<H", SIZE, 1, 10)
    region.write(layout, value, 1, offset, entry)
    assert not give(driver, region)
    tx = driver.ring(1, SIZE, start=False)
    assert [driver.say(*one) for one in starting(driver, tx, base(packed))] == [0, 0, 0, 1]
    said(device, "in-flight region is damaged")
    driver.close()
    region.close()


def starting(driver: ByHand, ring: HandRing, at: int) -> Iterator[tuple[str, p.Payload, tuple[int, ...]]]:
    i = ring.index
    yield "SET_VRING_NUM", p.VringState(i, ring.size), ()
    yield "SET_VRING_BASE", p.VringState(i, at), ()
    yield "SET_VRING_ADDR", p.VringAddr(i, 0, USER + ring.desc, USER + ring.used, USER + ring.avail, 0), ()
    yield "SET_VRING_KICK", p.VringFd(i, True), (ring.kick,)


@both_layouts
def test_any_bytes_in_a_region(device: Backend, packed: bool) -> None:
    """It starts, or is refused with a reason; nothing outside the ring is touched, and the next one runs."""
    rng = random.Random(11)
    rounds = 2000 if os.environ.get("RINGSCOPE_FULL") == "1" else 150
    started = 0
    driver = by_hand(device.path, packed)
    region = ask_region(driver, packed)
    tx = driver.ring(1, SIZE, start=False)
    for i in range(SIZE):
        driver.put(tx, numbered(i))
    before = 0
    for _ in range(rounds):
        begin, end = region.at(1), region.at(2)
        region.memory[begin:end] = bytes(
            rng.randrange(256) & rng.choice((0, 1, 15, 255)) for _ in range(end - begin)
        )
        region.write("<H", 1, 1, 8)
        region.write("<H", SIZE, 1, 10)
        assert not give(driver, region)
        answers = [driver.say(*said) for said in starting(driver, tx, base(packed))]
        started += not any(answers)
        assert not any(answers[:3])
        driver.ask("GET_VRING_BASE", p.VringState(1, 0))
        before = before or fds_open()
    assert fds_open() == before
    assert started
    region.memory[:] = bytes(len(region.memory))
    driver.close()
    region.close()


@pytest.mark.parametrize(
    ("carried", "words"),
    [
        (p.Inflight(1 << 16, 0, 0, 16), "for 0 queues"),
        (p.Inflight(1 << 16, 0, 5, 16), "for 5 queues"),
        (p.Inflight(1 << 16, 0, 4, 0), "queues of 0"),
        (p.Inflight(1 << 16, 0, 4, 65535), "queues of 65535"),
        (p.Inflight(64, 0, 4, 16), "too small"),
        (p.Inflight(1 << 16, 1 << 40, 4, 16), "outside its file"),
        (p.Inflight(1 << 63, 1 << 63, 4, 16), "outside its file"),
        (p.Inflight(0, 0, 4, 16), "too small"),
    ],
)
def test_regions_that_cannot_be(device: Backend, carried: p.Inflight, words: str) -> None:
    driver = by_hand(device.path, False)
    fd = os.memfd_create("small")
    os.ftruncate(fd, 4096)
    assert driver.say("SET_INFLIGHT_FD", carried, (fd,)) == 1
    said(device, words)
    os.close(fd)
    driver.close()


def test_a_region_that_shrinks_ends_the_queue_and_not_us(device: Backend) -> None:
    driver = by_hand(device.path, False)
    fd = os.memfd_create("shrinks")
    os.ftruncate(fd, 1 << 16)
    assert not driver.say("SET_INFLIGHT_FD", p.Inflight(1 << 16, 0, QUEUES, SIZE), (fd,))
    tx = driver.ring(1, SIZE)
    driver.put(tx, numbered(0))
    wait_until(lambda: driver.used_idx(tx) == 1, "it is used")
    os.ftruncate(fd, 0)
    driver.put(tx, numbered(1))
    wait_until(lambda: broken(device) == Reason.MEMORY_GONE, "the queue is given up")
    os.close(fd)
    driver.close()


def broken(device: Backend) -> Reason | None:
    half = device.snapshot(()).queue(1).device
    return half.broken if half is not None else None


# ---- pages that were written ---------------------------------------------------------------------------


@contextmanager
def logging(driver: ByHand) -> Iterator[mmap.mmap]:
    """A log of pages over all the driver's memory, and VHOST_F_LOG_ALL."""
    fd = os.memfd_create("log")
    size = (GUEST + BYTES) // 4096 // 8
    os.ftruncate(fd, size + 4096)
    reply = driver.connection.request(request("SET_LOG_BASE", p.Log(size, 0), (fd,)))
    assert reply.payload() == p.Raw(b"")
    with mmap.mmap(fd, 0) as log:
        yield log
        assert not any(log[size:]), "bits behind the end of the log"
    os.close(fd)


def pages(log: mmap.mmap) -> set[int]:
    """Offsets into the driver's memory of the pages that were written."""
    found = {8 * i + bit for i, byte in enumerate(log[:]) if byte for bit in range(8) if byte >> bit & 1}
    assert all(page * 4096 >= GUEST for page in found)
    return {page * 4096 - GUEST for page in found}


@both_layouts
def test_pages_that_were_written_are_noted(device: Backend, packed: bool) -> None:
    driver = by_hand(device.path, packed)
    device.flood(directions=("to_driver",))
    device.set_rate(1000)
    with logging(driver) as log:
        rx = driver.ring(0, SIZE, start=False)
        where = GUEST + (rx.desc if packed else rx.used)
        for name, carried, fds in starting(driver, rx, base(packed)):
            if isinstance(carried, p.VringAddr):
                carried = p.VringAddr(0, 1, carried.desc, carried.used, carried.avail, where)
            assert not driver.say(name, carried, fds)
        assert not driver.say("SET_VRING_ENABLE", p.VringState(0, 1))
        for _ in range(4):
            driver.put(rx, bytes(2000), writable=True)
        wait_until(lambda: driver.used_idx(rx) == 4, "they are used")
        assert not pages(log), "VHOST_F_LOG_ALL is not in force"
        assert not driver.say("SET_FEATURES", p.U64(driver.features | f.mask(F_LOG_ALL)))
        for _ in range(4):
            driver.put(rx, bytes(2000), writable=True)
        buffers = {(rx.buffers + slot * 2048) // 4096 * 4096 for slot in range(4, 8)}
        ring = {where - GUEST}
        wait_until(lambda: driver.used_idx(rx) == 8, "they are used")
        wait_until(lambda: pages(log) >= buffers | ring, "every page is noted")
        assert pages(log) <= buffers | ring | ({rx.used} if packed else set())
        assert not driver.say("SET_FEATURES", p.U64(driver.features))
        log[:] = bytes(len(log))
        for _ in range(4):
            driver.put(rx, bytes(2000), writable=True)
        wait_until(lambda: driver.used_idx(rx) == 12, "they are used")
        assert not pages(log)
        assert not device.identity.accepted & f.mask(F_LOG_ALL, F_PROTOCOL_FEATURES)
    driver.close()


@pytest.mark.parametrize(
    ("carried", "words"),
    [
        (p.Log(0, 0), "it is empty"),
        (p.Log(1 << 40, 0), "outside its file"),
        (p.Log(4096, 1 << 63), "outside its file"),
    ],
)
def test_logs_that_cannot_be(device: Backend, carried: p.Log, words: str) -> None:
    driver = by_hand(device.path, False)
    fd = os.memfd_create("log")
    os.ftruncate(fd, 4096)
    driver.connection.send(request("SET_LOG_BASE", carried, (fd,)))
    said(device, words)
    os.close(fd)
    driver.close()


def test_pages_behind_the_log_are_left_out(device: Backend) -> None:
    """One byte of log: eight pages, none of which is the driver's."""
    driver = by_hand(device.path, False)
    assert not driver.say("SET_FEATURES", p.U64(FEATURES | f.mask(F_LOG_ALL)))
    fd = os.memfd_create("log")
    os.ftruncate(fd, 4096)
    driver.connection.request(request("SET_LOG_BASE", p.Log(1, 0), (fd,)))
    device.flood(directions=("to_driver",))
    rx = driver.ring(0, SIZE)
    for _ in range(8):
        driver.put(rx, bytes(2000), writable=True)
    wait_until(lambda: driver.used_idx(rx) == 8, "they are used")
    assert not any(os.pread(fd, 4096, 0))
    os.close(fd)
    driver.close()
