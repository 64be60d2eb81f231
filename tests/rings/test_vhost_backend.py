"""Our device behind vhost-user, driven by a front-end by hand: rings, memory and file descriptors that come,
change, lie and go."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dataplane import features as f
from dataplane.faults import Fault
from dataplane.faults_text import parse_fault
from dataplane.records import Owner, Reason, Side
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding
from dataplane.vhost import connection
from dataplane.vhost import payload as p
from dataplane.vhost.backend import Backend
from dataplane.vhost.connection import ProtocolError
from dataplane.vhost.message import F_PROTOCOL_FEATURES, KINDS, NAMES, PROTOCOL, request
from dataplane.vhost.session import SERVED, Session
from tests.rings.frontend import BYTES, FEATURES, GUEST, USER, ByHand, HandRing
from tests.rings.staging import fds_open, wait_until

FRAME = b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(50)
HEADER = bytes(12)
ACK = 1 << PROTOCOL["REPLY_ACK"]


def maps() -> int:
    with open("/proc/self/maps") as lines:
        return sum("memfd:by-hand" in line for line in lines)


@pytest.fixture
def device(tmp_path: Any) -> Iterator[Backend]:
    """One with two queue pairs that only listens, and leaves nothing behind."""
    before = fds_open()
    with Backend(str(tmp_path / "ring.sock"), queue_pairs=2) as backend:
        backend.log_frames(True, 1)
        backend.start()
        yield backend
    assert fds_open() == before and not maps()


@pytest.fixture
def driver(device: Backend) -> Iterator[ByHand]:
    made = ByHand(device.path)
    made.greet()
    yield made
    made.close()


def gone(device: Backend) -> None:
    wait_until(lambda: bool(device.snapshot(()).notes), "the driver is gone")


def used(driver: ByHand, ring: HandRing, count: int) -> None:
    wait_until(lambda: driver.used_idx(ring) == count & 0xFFFF, f"{count} used")


def test_what_is_sent_is_used_and_called(device: Backend, driver: ByHand) -> None:
    assert not device.wait_for_driver(0)
    tx = driver.ring(1)
    assert device.wait_for_driver(1)
    for i in range(40):
        slot = driver.put(tx, HEADER + FRAME)
        used(driver, tx, i + 1)
        assert driver.used(tx, i) == (slot, 0)
    assert os.eventfd_read(tx.call) == 40
    snapshot = device.snapshot()
    (queue,) = snapshot.queues
    assert (queue.name, queue.size, queue.enabled, queue.driver) == ("tx0", 16, True, None)
    assert queue.after[:3] == (40, 40, 40) and 24 <= queue.collected <= 40
    assert queue.device is not None and queue.device.frames == 40 and queue.device.call.received == 40
    assert (queue.desc_addr, snapshot.identity.kind, snapshot.state) == (
        GUEST + 0x10000,
        "backend",
        "running",
    )
    frames = device.frames()
    assert len(frames.rows) == 40 and bytes(frames.data[: len(FRAME)]) == FRAME


def test_what_waits_is_seen_in_memory(device: Backend, driver: ByHand) -> None:
    """A device that is not told sees nothing; whoever looks does."""
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    wait_until(lambda: asleep(device), "the device sleeps")
    for _ in range(3):
        driver.put(tx, HEADER + FRAME, kick=False)
    queue = device.snapshot().queue(1)
    assert queue.after[:3] == (4, 1, 1)
    assert list(queue.owner[:5]) == [Owner.USED, *[Owner.AVAILABLE] * 3, Owner.FREE]
    os.eventfd_write(tx.kick, 1)
    used(driver, tx, 4)


def asleep(device: Backend) -> bool:
    half = device.snapshot(()).queues[0].device
    return half is not None and half.asleep


def test_frames_come_into_receive_buffers(device: Backend, driver: ByHand) -> None:
    rx = driver.ring(0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    device.plug(theirs.fileno())
    for _ in range(8):
        driver.put(rx, bytes(2000), writable=True)
    for i in range(8):
        ours.send(HEADER + FRAME + bytes((i,)))
        used(driver, rx, i + 1)
        assert driver.used(rx, i) == (i, 12 + len(FRAME) + 1)
        assert driver.bytes_of(rx, i, 90)[12 : 13 + len(FRAME)] == FRAME + bytes((i,))
    ours.close()
    theirs.close()


def test_a_ring_stops_where_its_buffers_were_used(device: Backend, driver: ByHand) -> None:
    """Receive buffers that were taken and not filled are as they were, and the next device finds them."""
    rx = driver.ring(0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    device.plug(theirs.fileno())
    for _ in range(10):
        driver.put(rx, bytes(2000), writable=True)
    ours.send(HEADER + FRAME)
    used(driver, rx, 1)
    assert driver.ask("GET_VRING_BASE", p.VringState(0, 0)) == p.VringState(0, 1)
    assert driver.ask("GET_VRING_BASE", p.VringState(0, 0)) == p.VringState(0, 1), "it may be asked twice"
    (kept,) = device.snapshot().queues
    assert not kept.enabled and kept.used == 1 and len(kept.desc) == 16, "its last look stays"
    driver.start(rx, 1)
    for i in range(1, 10):
        ours.send(HEADER + FRAME)
        used(driver, rx, i + 1)
        assert driver.used(rx, i)[0] == i
    ours.close()
    theirs.close()


@pytest.mark.parametrize("base", [0xFFF0, 0xFFFF])
def test_indices_wrap(device: Backend, driver: ByHand, base: int) -> None:
    tx = driver.ring(1, start=False)
    tx.published = base
    struct.pack_into("<H", driver.memory, tx.avail + 2, base)
    struct.pack_into("<H", driver.memory, tx.used + 2, base)
    driver.start(tx, base)
    for i in range(40):
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, base + i + 1)
    assert device.snapshot(()).queue(1).after[:3] == (40, 40, 40)


def test_a_ring_that_is_not_enabled_drops_what_is_sent(device: Backend, driver: ByHand) -> None:
    tx = driver.ring(1)
    assert not driver.say("SET_VRING_ENABLE", p.VringState(1, 0))
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    half = device.snapshot(()).queue(1).device
    assert half is not None and (half.frames, half.drops, half.last_drop) == (0, 1, Reason.STOPPED)
    assert not driver.say("SET_VRING_ENABLE", p.VringState(1, 1))
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 2)
    half = device.snapshot(()).queue(1).device
    assert half is not None and half.frames == 1


def test_without_protocol_features_a_ring_is_enabled_from_the_start(device: Backend) -> None:
    driver = ByHand(device.path, features=f.mask(f.F_VERSION_1), ack=False)
    driver.say("SET_FEATURES", p.U64(driver.features))
    driver.share()
    tx = driver.ring(1, start=False)
    driver.say("SET_VRING_NUM", p.VringState(1, 16))
    driver.say("SET_VRING_ADDR", p.VringAddr(1, 0, USER + tx.desc, USER + tx.used, USER + tx.avail, 0))
    driver.say("SET_VRING_KICK", p.VringFd(1, True), (tx.kick,))
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    driver.close()


def test_one_driver_after_the_other(device: Backend) -> None:
    before = fds_open()
    for _ in range(5):
        driver = ByHand(device.path)
        driver.greet()
        tx = driver.ring(1)
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, 1)
        driver.close()
        gone(device)
        (queue,) = device.snapshot().queues
        assert queue.used == 1 and not queue.enabled
        assert "hung up" in device.snapshot().notes[0]
    wait_until(lambda: fds_open() == before, "nothing is kept open")
    assert not maps()


def test_memory_may_change_under_rings_that_run(device: Backend, driver: ByHand) -> None:
    """SET_MEM_TABLE once more, with traffic on its way: nothing is lost, nothing comes twice."""
    tx = driver.ring(1)
    for i in range(50):
        driver.put(tx, HEADER + FRAME)
        assert not driver.share()
        used(driver, tx, i + 1)
    half = device.snapshot(()).queue(1).device
    assert half is not None and maps() == 2
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 51)


def test_regions_come_one_by_one(device: Backend) -> None:
    driver = ByHand(device.path)
    driver.greet(ACK | 1 << PROTOCOL["CONFIGURE_MEM_SLOTS"])
    slots = driver.ask("GET_MAX_MEM_SLOTS").value
    assert slots >= 8
    tx = driver.ring(1)
    extra = os.memfd_create("by-hand-more")
    os.ftruncate(extra, 8192)
    region = p.Region(GUEST + (1 << 30), 8192, USER + (1 << 30), 0)
    assert not driver.say("ADD_MEM_REG", p.SingleRegion(region), (extra,))
    assert not driver.say("ADD_MEM_REG", p.SingleRegion(region), (extra,)), "QEMU does, for each queue pair"
    other = os.memfd_create("by-hand-other")
    os.ftruncate(other, 8192)
    assert driver.say("ADD_MEM_REG", p.SingleRegion(region), (other,)), "it overlaps"
    os.close(other)
    os.pwrite(extra, HEADER + FRAME, 4096)
    driver.descriptor(tx, 0, region.guest_addr + 4096, len(HEADER + FRAME))
    driver.publish(tx, 0)
    os.eventfd_write(tx.kick, 1)
    used(driver, tx, 1)
    assert not driver.say("REM_MEM_REG", p.SingleRegion(region))
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 2)
    assert not driver.say("REM_MEM_REG", p.SingleRegion(region))
    assert driver.say("REM_MEM_REG", p.SingleRegion(region)), "it is gone already"
    main = p.Region(GUEST, BYTES, USER, 0)
    assert driver.say("REM_MEM_REG", p.SingleRegion(main)), "a ring that is started lies in it"
    for i in range(slots - 1):
        one = p.Region(GUEST + (2 << 30) + (i << 20), 4096, USER + (2 << 30) + (i << 20), 0)
        assert not driver.say("ADD_MEM_REG", p.SingleRegion(one), (extra,))
    one = p.Region(GUEST + (9 << 30), 4096, USER + (9 << 30), 0)
    assert driver.say("ADD_MEM_REG", p.SingleRegion(one), (extra,)), "there is no slot left"
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 3)
    os.close(extra)
    driver.close()


@pytest.mark.parametrize("shrunk", [0, 0x8000])
@pytest.mark.parametrize("traffic", [True, False])
def test_memory_that_is_taken_away_ends_the_queue_and_not_us(
    device: Backend, driver: ByHand, shrunk: int, traffic: bool
) -> None:
    """HI-091: a touch of it would be SIGBUS."""
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    os.ftruncate(driver.fd, shrunk)
    if traffic:
        os.eventfd_write(tx.kick, 1)
        wait_until(lambda: not device.snapshot(()).queues[0].enabled, "the queue is given up")
    for _ in range(3):
        queue = device.snapshot().queues[0]
    assert not queue.enabled
    if traffic:
        assert queue.device is None or queue.device.broken in (Reason.MEMORY_GONE, Reason.NONE)
    assert driver.ask("GET_FEATURES").value, "the device is there as before"


@pytest.mark.parametrize(
    ("name", "carried", "words"),
    [
        ("SET_FEATURES", p.U64(FEATURES | 1 << 63), "SPEED_DUPLEX"),
        ("SET_FEATURES", p.U64(1 << F_PROTOCOL_FEATURES), "VERSION_1"),
        ("SET_VRING_NUM", p.VringState(3, 0), "size of 0"),
        ("SET_VRING_NUM", p.VringState(3, 24), "power of two"),
        ("SET_VRING_NUM", p.VringState(3, 65536), "size of 65536"),
        ("SET_VRING_NUM", p.VringState(3, 0xFFFFFFFF), "size of 4294967295"),
        ("SET_VRING_NUM", p.VringState(1, 16), "while it is started"),
        ("SET_VRING_BASE", p.VringState(1, 0), "while it is started"),
        ("SET_VRING_NUM", p.VringState(4, 16), "no ring 4"),
        ("SET_VRING_NUM", p.VringState(0x10001, 16), "no ring 65537"),
        ("SET_VRING_ENABLE", p.VringState(1, 2), "neither 0 nor 1"),
        ("SET_VRING_ADDR", p.VringAddr(1, 2, 0, 0, 0, 0), "flags 0x2"),
        ("IOTLB_MSG", p.Iotlb(0, 0, 0, 0, 0), "not served"),
        ("NET_SET_MTU", p.U64(1500), "MTU"),
        ("GET_CONFIG", p.Config(0, 4, 0, bytes(4)), "CONFIG"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    device: Backend, driver: ByHand, name: str, carried: p.Payload, words: str
) -> None:
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    if NAMES[name].answer == "always":
        with pytest.raises(ProtocolError):
            driver.ask(name, carried)
    else:
        assert driver.say(name, carried) == 1
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, 2)
    assert any(one.refused and words in one.text for one in device.talk.since())


def test_what_is_refused_without_being_asked_ends_the_connection(device: Backend) -> None:
    driver = ByHand(device.path, ack=False)
    driver.say("SET_FEATURES", p.U64(1 << 63))
    assert driver.connection.recv(2) is None
    driver.close()
    wait_until(lambda: "SPEED_DUPLEX" in device.snapshot(()).notes[0], "the reason is told")


def test_a_question_that_is_refused_is_not_answered_with_a_value(device: Backend, driver: ByHand) -> None:
    """A failure code would be read as what was asked for."""
    driver.connection.send(request("GET_VRING_BASE", p.VringState(99, 0), need_reply=True))
    assert driver.connection.recv(2) is None
    wait_until(lambda: "no ring 99" in device.peer.why, "the reason is told")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"desc": USER + 8}, "aligned"),
        ({"avail": USER + BYTES - 4}, "not inside one region"),
        ({"used": USER + BYTES}, "not inside one region"),
        ({"desc": (1 << 64) - 16}, "not inside one region"),
        ({"desc": GUEST}, "not inside one region"),
    ],
)
def test_a_ring_that_lies_nowhere_does_not_start(
    device: Backend, driver: ByHand, changes: dict[str, int], words: str
) -> None:
    ring = driver.ring(1, start=False)
    places = {"desc": USER + ring.desc, "used": USER + ring.used, "avail": USER + ring.avail, **changes}
    assert not driver.say("SET_VRING_NUM", p.VringState(1, 16))
    assert not driver.say("SET_VRING_ADDR", p.VringAddr(1, 0, log=0, **places))
    assert driver.say("SET_VRING_KICK", p.VringFd(1, True), (ring.kick,)) == 1
    assert any(one.refused and words in one.text for one in device.talk.since())
    assert not device.running


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (p.Region(GUEST, BYTES + 1, USER, 0), "outside its file"),
        (p.Region(GUEST, BYTES, USER, 4096), "outside its file"),
        (p.Region(GUEST, 1 << 62, USER, 0), "outside its file"),
        (p.Region(GUEST, 4096, USER, (1 << 63) - 4096), "outside its file"),
    ],
)
def test_memory_that_is_not_there(device: Backend, driver: ByHand, region: p.Region, words: str) -> None:
    assert driver.say("SET_MEM_TABLE", p.MemoryTable((region,)), (driver.fd,)) == 1
    assert any(one.refused and words in one.text for one in device.talk.since())
    assert maps() == 1, "the driver's own"


def test_regions_that_overlap(device: Backend, driver: ByHand) -> None:
    two = (p.Region(0, 8192, 1 << 40, 0), p.Region(4096, 8192, 1 << 41, 0))
    assert driver.say("SET_MEM_TABLE", p.MemoryTable(two), (driver.fd, driver.fd)) == 1
    assert any("overlaps" in one.text for one in device.talk.since())
    assert maps() == 1, "the driver's own"


def test_a_kick_that_is_no_eventfd(device: Backend, driver: ByHand) -> None:
    ring = driver.ring(1, start=False)
    assert not driver.say("SET_VRING_NUM", p.VringState(1, 16))
    with open("/dev/zero", "rb") as zero:
        assert driver.say("SET_VRING_KICK", p.VringFd(1, True), (zero.fileno(),)) == 1
    assert any("no eventfd" in one.text for one in device.talk.since())
    assert ring.index == 1 and not device.running


def test_a_call_that_is_full_does_not_hold_the_device(device: Backend, driver: ByHand) -> None:
    """HI-093: a blocking eventfd at its highest count would block whoever writes it."""
    ring = driver.ring(1)
    full = os.eventfd(0)
    os.eventfd_write(full, (1 << 64) - 2)
    assert not driver.say("SET_VRING_CALL", p.VringFd(1, True), (full,))
    for i in range(20):
        driver.put(ring, HEADER + FRAME)
        used(driver, ring, i + 1)
    os.close(full)


def test_a_ring_without_eventfds_is_polled(tmp_path: Any) -> None:
    with Backend(str(tmp_path / "s"), polls=True) as device:
        device.start()
        driver = ByHand(device.path)
        driver.greet()
        ring = driver.ring(1, start=False)
        assert not driver.say("SET_VRING_NUM", p.VringState(1, 16))
        addr = p.VringAddr(1, 0, USER + ring.desc, USER + ring.used, USER + ring.avail, 0)
        assert not driver.say("SET_VRING_ADDR", addr)
        assert not driver.say("SET_VRING_KICK", p.VringFd(1, False))
        assert not driver.say("SET_VRING_ENABLE", p.VringState(1, 1))
        driver.put(ring, HEADER + FRAME, kick=False)
        used(driver, ring, 1)
        driver.close()


def test_requests_repeated_for_ever_cost_nothing(device: Backend, driver: ByHand) -> None:
    """HI-078, and the same of file descriptors."""
    ring = driver.ring(1)
    before = fds_open()
    for _ in range(300):
        driver.connection.send(request("SET_VRING_CALL", p.VringFd(1, True), (ring.call,)))
        driver.connection.send(request("SET_VRING_ERR", p.VringFd(1, True), (ring.call,)))
        driver.connection.send(request("SET_VRING_ENABLE", p.VringState(1, 1)))
    assert driver.ask("GET_QUEUE_NUM").value == 2
    assert fds_open() <= before + 2  # its ERR, and what is just on its way


def test_close_ends_it_in_the_middle(tmp_path: Any) -> None:
    before = fds_open()
    device = Backend(str(tmp_path / "s"))
    device.start()
    driver = ByHand(device.path)
    driver.greet()
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    device.close()
    assert not os.path.exists(device.path)
    with pytest.raises(RuntimeError, match="closed"):
        device.snapshot()
    driver.close()
    assert fds_open() == before


def test_whatever_is_offered_is_served() -> None:
    for kind in KINDS.values():
        if (
            kind.channel == "frontend"
            and kind.served
            and (not kind.gate or SERVED >> PROTOCOL[kind.gate] & 1)
        ):
            assert callable(getattr(Session, f"_{kind.name.lower()}", None)), kind.name


def until_found(device: Backend, code: str) -> Finding:
    """Looks as the screens do, until this is found; whatever else is found before is an error."""
    doctor, end = Doctor(), time.monotonic() + 20
    while time.monotonic() < end:
        for finding in doctor.look(device.snapshot(doctor.wants)):
            assert finding.code == code, finding.verdict
            return finding
        time.sleep(1 / 15)
    raise AssertionError(f"{code} is never found")


def test_a_kick_that_never_comes_is_named(device: Backend, driver: ByHand) -> None:
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    wait_until(lambda: asleep(device), "the device sleeps")
    driver.put(tx, HEADER + FRAME, kick=False)
    found = until_found(device, "KICK_MISSING")
    assert "only it knows" in found.verdict and found.queue == 1
    assert {one.name: one.value for one in found.evidence}["in the eventfd"] == 0
    os.eventfd_write(tx.kick, 1)
    used(driver, tx, 2)


def test_a_kick_that_is_not_read_is_named(device: Backend, driver: ByHand) -> None:
    tx = driver.ring(1)
    driver.put(tx, HEADER + FRAME)
    used(driver, tx, 1)
    wait_until(lambda: asleep(device), "the device sleeps")
    for fault in parse_fault("deaf_kick:queue=tx0", device.shapes()):
        device.inject_fault(fault)
    driver.put(tx, HEADER + FRAME)
    assert until_found(device, "KICK_UNSERVICED").queue == 1


def test_a_healthy_driver_of_another_process_is_not_accused(device: Backend, driver: ByHand) -> None:
    """Idle, a receive ring full of buffers, what is used and not collected: none of it is wrong."""
    rx, tx = driver.ring(0), driver.ring(1)
    for _ in range(16):
        driver.put(rx, bytes(2000), writable=True)
    for i in range(10):
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, i + 1)
    doctor, end = Doctor(), time.monotonic() + 2.5
    while time.monotonic() < end:
        assert not doctor.look(device.snapshot(doctor.wants))
        time.sleep(1 / 15)


def test_calls_that_the_driver_has_not_read_are_counted(device: Backend, driver: ByHand) -> None:
    tx = driver.ring(1)
    for i in range(3):
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, i + 1)
    half = device.snapshot(()).queue(1).device
    assert half is not None and half.call.pending == 3
    assert os.eventfd_read(tx.call) == 3
    half = device.snapshot(()).queue(1).device
    assert half is not None and (half.call.pending, half.kicks_pending) == (0, 0)


def test_what_a_backend_is_not_made_with(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="out of range: 1 to 16"):
        Backend(str(tmp_path / "s"), queue_pairs=17)
    with pytest.raises(ValueError, match="VERSION_1"):
        Backend(str(tmp_path / "s"), features="-version_1")
    assert not os.listdir(tmp_path)


def test_a_refusal_that_ends_the_connection_is_told_once(device: Backend) -> None:
    driver = ByHand(device.path, ack=False)
    driver.say("SET_FEATURES", p.U64(1 << 63))
    wait_until(lambda: bool(device.peer.why), "it ends")
    told = [one.text for one in device.talk.since() if not one.speaker]
    assert len(told) == 1 and "was not offered" in told[0]
    driver.close()


def test_who_listens_and_takes_nobody_is_not_waited_for(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SECONDS", 0.05)
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as deaf, contextlib.ExitStack() as stack:
        deaf.bind(path)
        deaf.listen(0)
        with pytest.raises(TimeoutError, match="nobody took the connection"):
            for _ in range(4):
                stack.enter_context(connection.connect(path))


@pytest.mark.parametrize("base", [0, 2, 7])
def test_a_base_that_cannot_be_is_named(device: Backend, driver: ByHand, base: int) -> None:
    """The device that was there before used three, and the driver tells us to begin elsewhere."""
    tx = driver.ring(1)
    for i in range(3):
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, i + 1)
    driver.ask("GET_VRING_BASE", p.VringState(1, 0))
    driver.start(tx, 3)
    assert "BASE_MISMATCH" not in [one.code for one in Doctor().look(device.snapshot())]
    driver.ask("GET_VRING_BASE", p.VringState(1, 0))
    driver.start(tx, base)
    (one,) = [one for one in Doctor().look(device.snapshot()) if one.code == "BASE_MISMATCH"]
    assert f"begins at {base}, and in memory avail.idx is 3, used.idx 3" in one.verdict


def test_faults_come_and_go_while_drivers_do(device: Backend) -> None:
    """Whoever changes the device from here waits for whoever does from there, and it runs afterwards."""
    over, never = threading.Event(), Fault("hold", Side.DEVICE, after=1 << 30)

    def change() -> None:
        while not over.is_set():
            device.heal(device.inject_fault(never))

    changing = threading.Thread(target=change)
    changing.start()
    for _ in range(30):
        driver = ByHand(device.path)
        driver.greet()
        tx = driver.ring(1)
        driver.put(tx, HEADER + FRAME)
        used(driver, tx, 1)
        driver.close()
    over.set()
    changing.join()
    gone(device)
    wait_until(lambda: not device.frozen, "it runs")
    assert not device.faults()
