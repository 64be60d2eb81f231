"""A tap between our driver and our device, or a front-end by hand: what it sees, and that nobody feels it."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane.faults import Fault
from dataplane.records import Side
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding
from dataplane.snapshot import AnyQueue
from dataplane.source import START, RingSource
from dataplane.vhost import payload as p
from dataplane.vhost.backend import Backend
from dataplane.vhost.connection import connect
from dataplane.vhost.frontend import Frontend
from dataplane.vhost.message import PROTOCOL, request
from dataplane.vhost.passing import PACKETS_MOST
from dataplane.vhost.relay import MEMORY_OF_TALK
from dataplane.vhost.relaying import start_relay, viewers_path
from dataplane.vhost.rings import eventfd_count
from dataplane.vhost.talk import Talk
from dataplane.vhost.tap import Tap
from tests.rings.frontend import ByHand, ByHandPacked, HandRing
from tests.rings.staging import wait_until

FRAME = b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(50)
HEADER = bytes(12)


class Between:
    """A device that listens, a relay before it, and one who looks."""

    def __init__(self, folder: Path, *, notifications: bool = False, **device: Any) -> None:
        self.driver_at, self.device_at = str(folder / "a"), str(folder / "b")
        self.viewers = viewers_path(self.driver_at)
        self.device = Backend(self.device_at, queue_pairs=2, **device)
        self.device.log_frames(True, 1)
        self.device.start()
        self.relay = start_relay(self.driver_at, self.device_at, self.viewers, notifications=notifications)
        self.tap = self.look()

    def look(self, **how: Any) -> Tap:
        tap = Tap(self.viewers, **how)
        tap.start()
        return tap

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.look(capture=False).end_relay()
        self.tap.close()
        self.device.close()
        wait_until(lambda: ended(self.relay), "the relay ends")


def ended(pid: int) -> bool:
    """Whether a child has ended; it is waited for then."""
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    made = Between(tmp_path)
    yield made
    made.close()


@pytest.fixture
def by_hand(between: Between) -> Iterator[ByHand]:
    made = ByHand(between.driver_at)
    made.greet()
    yield made
    made.close()


def frames(source: RingSource) -> dict[int, list[bytes]]:
    """What was logged of each queue; none may have been lost in the log."""
    found: dict[int, list[bytes]] = {}
    cursor = START
    while len((read := source.frames(cursor)).rows):
        assert not read.lost
        for row, at in zip(read.rows, read.offsets.tolist(), strict=True):
            found.setdefault(int(row["queue"]), []).append(bytes(read.data[at : at + int(row["captured"])]))
        cursor = read.cursor
    return found


def counts(between: Between, driver: Frontend) -> Callable[[], bool]:
    """Whether both ends and the tap have the same counts."""

    def same() -> bool:
        seen = {q.index: (q.published, q.used) for q in between.tap.snapshot(()).queues}
        sent = {q.index: q.published for q in driver.snapshot(()).queues}
        used = {q.index: q.used for q in between.device.snapshot(()).queues}
        return seen == {index: (sent[index], used[index]) for index in sent}

    return same


def watched_from_the_start(between: Between, driver: Frontend) -> None:
    """Both rings are looked at before the first frame: counts are of what was used since."""
    driver.start()
    wait_until(lambda: between.tap.running == (0, 1), "both rings are looked at")


def send(end: Frontend | Backend, rate: float, length: int, directions: tuple[str, ...]) -> None:
    """Held to the rate from the first frame on."""
    end.freeze()
    end.flood(length=length, sample=1, directions=directions)
    end.set_rate(rate)
    end.run()


LAYOUTS = {
    "split": {},
    "split in order": {"features": "+in_order"},
    "split chains": {"features": "-indirect_desc", "size": 64},
    "packed": {"layout": "packed"},
    "packed in order": {"layout": "packed", "features": "+in_order"},
    "packed odd": {"layout": "packed", "size": 77},
    "no events": {"features": "-event_idx"},
    "alone": {"features": "-mrg_rxbuf"},
}


def looked_at(queue: AnyQueue) -> bool:
    """Counts are those of the memory as it is now; frames are as of the last look."""
    outside = queue.outside
    return outside is not None and outside.frames + outside.missed >= queue.used


@pytest.mark.parametrize("length", [64, 1400])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_all_frames_are_seen_as_both_ends_saw_them(between: Between, kind: str, length: int) -> None:
    """At a pace at which the looks cannot be late: every frame, and none altered."""
    more = dict(LAYOUTS[kind])
    size = more.pop("size", 256)
    with Frontend(between.driver_at, queue_size=size, **more) as driver:
        watched_from_the_start(between, driver)
        for end in (driver, between.device):
            send(end, 400, length, ("to_device", "to_driver"))
        wait_until(lambda: min(q.used for q in driver.snapshot(()).queues) > 100, "traffic")
        driver.quiet()
        between.device.quiet()
        wait_until(counts(between, driver), "equal counts")
        wait_until(lambda: all(map(looked_at, between.tap.snapshot(()).queues)), "all is looked at")
        missed, _ = between.tap.missed()
        assert not driver.info()["wrong"] and not between.device.info()["wrong"]
        tapped, logged = frames(between.tap), frames(between.device)
    for index, there in logged.items():
        seen = tapped.get(index, [])
        assert set(seen) <= set(there), "a frame that nobody sent"
        assert len(there) - len(seen) <= missed
        assert seen == there or missed


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_at_any_pace_what_is_read_is_right_and_what_is_not_is_counted(between: Between, layout: str) -> None:
    with Frontend(between.driver_at, layout=layout) as driver:  # type: ignore[arg-type]
        watched_from_the_start(between, driver)
        for end in (between.device, driver):
            send(end, 100_000, 100, ("to_device",))
        time.sleep(0.3)
        driver.quiet()
        wait_until(counts(between, driver) if layout == "split" else lambda: True, "equal counts")

        def all_told() -> bool:
            queue, sent = between.tap.snapshot(()).queue(1), driver.snapshot(()).queue(1).published
            seen = queue.outside
            assert seen is not None and seen.bytes == 100 * seen.frames
            return seen.frames > 0 and seen.frames + seen.missed == queue.used == sent

        if layout == "split":  # of a packed ring laps may be gone, which it says
            wait_until(all_told, "each was read, or is counted as missed")
        numbers: dict[int, list[int]] = {0: [], 1: []}
        for index, data in frames_kept(between.tap):
            assert data[42:44] == b"rs" and data[60:] == bytes(range(60, 100))
            numbers[index].append(int.from_bytes(data[48:56], "little"))
        assert all(sorted(set(some)) == some for some in numbers.values()), "one twice, or out of order"


def frames_kept(source: RingSource) -> Iterator[tuple[int, bytes]]:
    """(queue, frame) of what the log still has."""
    read = source.frames(START)
    for row, at in zip(read.rows, read.offsets.tolist(), strict=True):
        yield int(row["queue"]), bytes(read.data[at : at + int(row["captured"])])


def test_every_message_goes_on_and_is_told(between: Between, by_hand: ByHand) -> None:
    by_hand.ring(1)
    assert between.tap.wait_for_rings(5)

    def messages(talk: Talk) -> list[tuple[str, str]]:
        return [(one.speaker, one.text) for one in talk.since() if one.speaker]

    wait_until(lambda: messages(between.tap.talk) == messages(between.device.talk), "the same is told")
    peer = between.tap.peer
    assert peer.connected and peer.regions == between.device.peer.regions
    assert [ring.state for ring in peer.rings] == ["started"]


def fds_open() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def mapped() -> list[str]:
    with open("/proc/self/maps") as lines:
        return [line.split()[1] for line in lines if "memfd:by-hand" in line]


def test_nothing_is_written_and_nothing_is_taken(between: Between, by_hand: ByHand) -> None:
    """The ring memory is what it was, the eventfds hold what they held, and what is mapped is read-only."""
    by_hand.ring(0)
    tx = by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    ours = [mode for mode in mapped() if "w" not in mode]
    assert ours and all(mode == "r--s" for mode in ours)
    wait_until(lambda: between.device.snapshot(()).queue(1).device.asleep, "it sleeps")  # type: ignore[union-attr]
    before = hashlib.sha256(by_hand.memory[:]).digest()
    for _ in range(20):
        other = between.look()
        other.snapshot()
        other.close()
    assert hashlib.sha256(by_hand.memory[:]).digest() == before
    by_hand.put(tx, HEADER + FRAME)
    wait_until(lambda: by_hand.used_idx(tx) == 1, "used")
    wait_until(lambda: between.tap.snapshot(()).queue(1).used == 1, "seen")
    outside = between.tap.snapshot(()).queue(1).outside
    assert outside is not None and outside.calls_pending == 1
    assert os.eventfd_read(tx.call) == 1


def test_who_comes_later_sees_what_stands(between: Between) -> None:
    for layout in ("split", "packed"):
        with Frontend(between.driver_at, layout=layout) as driver:  # type: ignore[arg-type]
            driver.flood(length=64)
            driver.set_rate(5000)
            driver.start()
            wait_until(lambda: driver.snapshot(()).queue(1).used > 1000, "traffic")
            later = between.look()
            assert later.wait_for_rings(5)
            driver.quiet()
            wait_until(lambda: same_rings(later, driver), "the same rings")  # noqa: B023
            told = [one.text for one in later.talk.since() if one.speaker == "frontend"]
            assert "SET_OWNER" in told
            later.close()
        wait_until(lambda: not between.tap.peer.connected, "they part")


def same_rings(tap: Tap, driver: Frontend) -> bool:
    """Memory, owners and what is outstanding."""
    for queue in driver.snapshot().queues:
        seen = tap.snapshot().queue(queue.index)
        if seen.published - seen.used != queue.published - queue.used:
            return False
        if seen.desc.tobytes() != queue.desc.tobytes():
            return False
        if (seen.owner == 1).tolist() != (queue.owner == 1).tolist():
            return False
    return True


def test_a_thousand_visits_leave_nothing(between: Between, by_hand: ByHand) -> None:
    by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    relay = f"/proc/{between.relay}/fd"

    def visit() -> None:
        tap = between.look(capture=False)
        tap.snapshot(())
        tap.close()

    there = len(os.listdir(relay))
    visit()
    here, maps = fds_open(), len(mapped())
    for _ in range(40):
        visit()
    wait_until(lambda: len(os.listdir(relay)) == there, "the relay lets go")
    assert (fds_open(), len(mapped())) == (here, maps)


VIEWER = """
import sys
from dataplane.vhost.tap import Tap
tap = Tap(sys.argv[1])
tap.start()
tap.wait_for_rings(10)
print("there", flush=True)
while True:
    tap.snapshot()
"""


def test_a_viewer_that_is_killed_costs_nothing(between: Between) -> None:
    """At random moments, while all counts go on."""
    rng = random.Random(6)
    between.tap.close()
    with Frontend(between.driver_at) as driver:
        for end in (driver, between.device):
            end.flood(length=64)
        driver.start()
        for _ in range(100 if os.environ.get("RINGSCOPE_FULL") else 4):
            viewer = subprocess.Popen([sys.executable, "-c", VIEWER, between.viewers], stdout=subprocess.PIPE)
            with viewer:
                assert viewer.stdout is not None and viewer.stdout.readline() == b"there\n"
                before = driver.snapshot(()).queue(1).used
                time.sleep(rng.random() * 0.05)
                viewer.kill()
            wait_until(lambda: driver.snapshot(()).queue(1).used > before, "they go on")  # noqa: B023
        driver.quiet()
        between.device.quiet()
        wait_until(lambda: all(q.used == q.collected for q in driver.snapshot(()).queues), "all arrived")
        assert not driver.info()["wrong"] and not between.device.info()["wrong"]
    between.tap = between.look()


def test_a_relay_that_is_killed_is_a_hang_up_at_both_ends(between: Between, by_hand: ByHand) -> None:
    by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    os.kill(between.relay, signal.SIGKILL)
    assert by_hand.connection.recv(5.0) is None
    wait_until(lambda: bool(between.device.snapshot(()).notes), "the device notices")
    wait_until(lambda: not between.tap.alive, "so does who looks")
    assert between.tap.peer.why == "the relay is gone"
    queue = between.tap.snapshot().queue(1)
    assert not queue.enabled and len(queue.desc) == 16
    wait_until(lambda: ended(between.relay), "it is gone")


def test_each_end_that_goes_takes_the_connection_along(between: Between) -> None:
    for _ in range(3):
        driver = ByHand(between.driver_at)
        driver.greet()
        driver.ring(1)
        assert between.tap.wait_for_rings(5)
        driver.close()
        wait_until(lambda: not between.tap.peer.connected, "they part")
        assert "driver's side is gone" in between.tap.peer.why
    driver = ByHand(between.driver_at)
    driver.greet()
    between.device.close()
    assert driver.connection.recv(5.0) is None
    driver.close()


def test_kicks_and_calls_that_pass_are_counted(tmp_path: Path) -> None:
    between = Between(tmp_path, notifications=True)
    with Frontend(between.driver_at) as driver:
        driver.flood(length=64)
        driver.set_rate(300)
        driver.start()
        assert between.tap.wait_for_rings(5)
        wait_until(lambda: driver.snapshot(()).queue(1).used > 100, "traffic")
        driver.quiet()

        def same() -> bool:
            mine, theirs = driver.snapshot(()).queue(1).driver, between.device.snapshot(()).queue(1).device
            seen = between.tap.snapshot(()).queue(1).outside
            assert mine is not None and theirs is not None and seen is not None
            return (seen.kicks, seen.calls) == (mine.kick.sent, theirs.call.sent) and mine.kick.sent > 0

        wait_until(same, "equal counts")
    between.close()


def test_a_kick_that_is_put_in_wakes_the_device(tmp_path: Path) -> None:
    between = Between(tmp_path, notifications=True)
    driver = ByHand(between.driver_at)
    driver.greet()
    tx = driver.ring(1)
    assert between.tap.wait_for_rings(5)
    device = between.device
    wait_until(lambda: device.snapshot(()).queue(1).device.asleep, "it sleeps")  # type: ignore[union-attr]
    driver.put(tx, HEADER + FRAME, kick=False)
    assert between.tap.probe is not None
    between.tap.probe.kick(1)
    wait_until(lambda: driver.used_idx(tx) == 1, "used")
    between.tap.probe.call(1)
    wait_until(lambda: bool(eventfd_count(tx.call)), "called")
    driver.close()
    between.close()


# ---- the doctor -------------------------------------------------------------------------------------------


def found(source: RingSource, doctor: Doctor, code: str) -> Finding:
    """Looks until the doctor names it."""
    named: list[Finding] = []

    def look() -> bool:
        named[:] = [one for one in doctor.look(source.snapshot()) if one.code == code]
        return bool(named)

    wait_until(look, code)
    return named[0]


def test_the_doctor_is_silent_on_what_goes_well(between: Between) -> None:
    doctor = Doctor(stuck=0.3)
    for layout in ("split", "packed"):
        with Frontend(between.driver_at, layout=layout) as driver:  # type: ignore[arg-type]
            driver.flood(length=64)
            driver.start()
            assert between.tap.wait_for_rings(5)
            for _ in range(30):
                assert not doctor.look(between.tap.snapshot())
                time.sleep(0.02)
            driver.quiet()
            for _ in range(30):
                assert not doctor.look(between.tap.snapshot())
                time.sleep(0.02)
        wait_until(lambda: not between.tap.peer.connected, "they part")


def test_a_device_that_is_not_kicked_reads_nothing_or_sleeps(between: Between, by_hand: ByHand) -> None:
    tx = by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    device = between.device
    by_hand.put(tx, HEADER + FRAME)  # it may still sleep from before the ring was there
    wait_until(lambda: by_hand.used_idx(tx) == 1, "it is used")
    wait_until(lambda: device.snapshot(()).queue(1).device.asleep, "it sleeps")  # type: ignore[union-attr]
    by_hand.put(tx, HEADER + FRAME, kick=False)
    doctor = Doctor(stuck=0.3)
    one = found(between.tap, doctor, "KICK_MISSING")
    assert one.queue == 1 and "no kick stands in the eventfd" in one.verdict and one.decides
    device.freeze()
    os.eventfd_write(tx.kick, 1)
    one = found(between.tap, doctor, "KICK_UNSERVICED")
    assert "1 kick" in one.verdict
    device.run()
    wait_until(lambda: not doctor.look(between.tap.snapshot()), "it is over")


def test_a_device_that_polls_and_is_stopped(tmp_path: Path) -> None:
    between = Between(tmp_path, polls=True)
    driver = ByHand(between.driver_at)
    driver.greet()
    tx = driver.ring(1)
    assert between.tap.wait_for_rings(5)
    driver.put(tx, HEADER + FRAME)
    wait_until(lambda: driver.used_idx(tx) == 1, "used")
    between.device.freeze()
    driver.put(tx, HEADER + FRAME)
    one = found(between.tap, Doctor(stuck=0.3), "DEVICE_NOT_CONSUMING")
    assert "as one that polls does" in one.verdict
    driver.close()
    between.close()


def test_a_ring_that_is_not_enabled(between: Between, by_hand: ByHand) -> None:
    tx = by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    assert not by_hand.say("SET_VRING_ENABLE", p.VringState(1, 0))
    wait_until(lambda: bool(between.device.peer.rings and not between.device.peer.rings[0].enabled), "off")
    between.device.freeze()
    by_hand.put(tx, HEADER + FRAME)
    assert found(between.tap, Doctor(stuck=0.3), "NOT_ENABLED").queue == 1
    between.device.run()
    assert found(between.device, Doctor(stuck=0.3), "NOT_ENABLED").queue == 1


def start_again(driver: ByHand, ring: HandRing, base: int) -> None:
    assert driver.ask("GET_VRING_BASE", p.VringState(ring.index, 0)).num is not None
    driver.start(ring, base)


@pytest.mark.parametrize("base", [0, 2, 7])
def test_a_ring_that_begins_at_a_wrong_place(between: Between, by_hand: ByHand, base: int) -> None:
    tx = by_hand.ring(1)
    for i in range(3):
        by_hand.put(tx, HEADER + FRAME)
        wait_until(lambda: by_hand.used_idx(tx) == i + 1, "used")  # noqa: B023
    assert between.tap.wait_for_rings(5)
    start_again(by_hand, tx, 3)
    wait_until(lambda: between.tap.peer.rings[0].state == "started", "it goes on")
    assert not Doctor().look(between.tap.snapshot())
    start_again(by_hand, tx, base)
    one = found(between.tap, Doctor(), "BASE_MISMATCH")
    assert f"begins at {base}" in one.verdict and "used.idx 3" in one.verdict


@pytest.mark.parametrize("packed", [False, True])
def test_a_device_that_tells_its_driver_a_wrong_base(between: Between, packed: bool) -> None:
    """It stops at 3 and says 5, and the driver believes it: the next device begins there."""
    driver = ByHandPacked(str(between.driver_at)) if packed else ByHand(str(between.driver_at))
    driver.greet()
    number = between.device.inject_fault(Fault("wrong_base", Side.DEVICE, queue=1, value=2))
    tx = driver.ring(1, base=0x80008000 if packed else 0)
    for i in range(3):
        driver.put(tx, HEADER + FRAME)
        wait_until(lambda: driver.used_idx(tx) == i + 1, "used")  # noqa: B023
    assert between.tap.wait_for_rings(5)
    assert not Doctor().look(between.tap.snapshot())
    said = driver.ask("GET_VRING_BASE", p.VringState(1, 0))
    assert said.num & 0x7FFF == 5
    between.device.heal(number)
    driver.start(tx, said.num)
    for end in (between.tap, between.device):
        assert "it begins at" in found(end, Doctor(), "BASE_MISMATCH").verdict
    driver.close()


def test_a_ring_that_is_stopped_behind_its_drivers_back(between: Between, by_hand: ByHand) -> None:
    tx = by_hand.ring(1)
    assert between.tap.wait_for_rings(5)
    by_hand.ask("GET_VRING_BASE", p.VringState(1, 0))
    wait_until(lambda: between.tap.peer.rings[0].state == "stopped", "stopped")
    doctor = Doctor()
    assert not doctor.look(between.tap.snapshot())
    by_hand.put(tx, HEADER + FRAME)
    one = found(between.tap, doctor, "OBSERVER_STOPPED_RING")
    assert "1 more made available" in one.verdict


def test_a_ring_outside_the_memory_that_is_shared(between: Between, by_hand: ByHand) -> None:
    ring = by_hand.ring(1, start=False)
    i = ring.index
    assert not by_hand.say("SET_VRING_NUM", p.VringState(i, ring.size))
    assert not by_hand.say("SET_VRING_ADDR", p.VringAddr(i, 0, 0x1000, 0x3000, 0x2000, 0))
    by_hand.say("SET_VRING_KICK", p.VringFd(i, True), (ring.kick,))
    wait_until(lambda: any("stale address" in note for note in between.tap.snapshot().notes), "it is said")


def test_a_question_that_is_never_answered(tmp_path: Path) -> None:
    """A back-end that takes the question and says nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "b"))
    listener.listen()
    pid = start_relay(str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "v"))
    with Tap(str(tmp_path / "v")) as tap:
        tap.start()
        front = connect(str(tmp_path / "a"))
        back = listener.accept()[0]
        front.sendall(request("GET_FEATURES").pack())
        wait_until(lambda: "CONTROL_DEADLOCK: GET_FEATURES" in tap.snapshot().trouble, "it is late")
        tap.end_relay()
        for sock in (front, back, listener):
            sock.close()
    wait_until(lambda: ended(pid), "the relay ends")


# ---- the relay --------------------------------------------------------------------------------------------


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket, Tap]]:
    """A relay between two bare sockets: (front, back, who looks)."""
    a, b, v = (str(tmp_path / name) for name in "abv")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(b)
    listener.listen()
    pid = start_relay(a, b, v)
    tap = Tap(v, capture=False)
    tap.start()
    front = connect(a)
    back = listener.accept()[0]
    for sock in (front, back):
        sock.settimeout(10)
    yield front, back, tap
    tap.end_relay()
    tap.close()
    for sock in (front, back, listener):
        sock.close()
    wait_until(lambda: ended(pid), "the relay ends")


Ends = tuple[socket.socket, socket.socket, Tap]


def exactly(sock: socket.socket, count: int, fds: int = 16) -> tuple[bytes, list[int]]:
    data, came = b"", []
    while len(data) < count:
        part, some, _, _ = socket.recv_fds(sock, count - len(data), fds)
        assert part, "it hung up"
        data += part
        came += some
    return data, came


def test_any_message_passes_as_it_is(ends: Ends) -> None:
    """Of any number, flags and size, with descriptors, in one piece or byte by byte, both ways."""
    front, back, _ = ends
    rng = random.Random(1)
    for i in range(200):
        body = rng.randbytes(rng.choice((0, 1, 8, 40, 264, 5000, 70000)))
        message = struct.pack("=III", rng.randrange(1 << 16), rng.randrange(1 << 8) | 1, len(body)) + body
        fds = [os.memfd_create("passed") for _ in range(rng.choice((0, 0, 1, 3, 8)))]
        for number, fd in enumerate(fds):
            os.write(fd, b"%d" % number)
        source, target = (front, back) if i % 2 else (back, front)
        if rng.random() < 0.3 and len(message) < 100:
            socket.send_fds(source, [message[:1]], fds)
            for at in range(1, len(message)):
                source.send(message[at : at + 1])
        else:
            socket.send_fds(source, [message[:12]], fds)
            source.sendall(message[12:])
        data, came = exactly(target, len(message))
        assert data == message and len(came) == len(fds)
        assert [os.pread(fd, 8, 0) for fd in came] == [b"%d" % number for number in range(len(came))]
        for fd in (*came, *fds):
            os.close(fd)


def test_many_at_once_keep_their_order_and_their_descriptors(ends: Ends) -> None:
    front, back, _ = ends
    fd = os.memfd_create("passed")
    for i in range(300):
        some = [fd] if i % 3 == 0 else []
        socket.send_fds(front, [struct.pack("=IIIQ", 1000, 1, 8, i)], some)
    for i in range(300):
        head, first = exactly(back, 12)
        body, rest = exactly(back, 8)
        assert struct.unpack("=Q", body) == (i,) and head[:4] == struct.pack("=I", 1000)
        assert len(first) + len(rest) == (i % 3 == 0)
        for one in (*first, *rest):
            os.close(one)
    os.close(fd)


@pytest.mark.parametrize("what", ["size", "half", "nothing"])
def test_what_is_no_message_parts_the_two(ends: Ends, what: str) -> None:
    front, back, tap = ends
    if what == "size":
        front.sendall(struct.pack("=III", 1, 1, 1 << 30))
    elif what == "half":
        front.sendall(struct.pack("=III", 1, 1, 8) + b"abc")
        front.shutdown(socket.SHUT_WR)
    else:
        front.shutdown(socket.SHUT_WR)
    assert back.recv(1) == b""
    wait_until(lambda: not tap.peer.connected and "driver's side is gone" in tap.peer.why, "it is told")


def test_the_channel_of_the_back_end_passes_too(ends: Ends) -> None:
    front, back, tap = ends
    mine, given = socket.socketpair()
    socket.send_fds(front, [request("SET_BACKEND_REQ_FD").pack()], [given.fileno()])
    given.close()
    _, (fd,) = exactly(back, 12)
    channel = socket.socket(fileno=fd)
    channel.sendall(struct.pack("=III", 2, 1 | 8, 0))
    assert exactly(mine, 12)[0] == struct.pack("=III", 2, 1 | 8, 0)
    mine.sendall(struct.pack("=IIIQ", 2, 1 | 4, 8, 0))
    assert exactly(channel, 20)[0] == struct.pack("=IIIQ", 2, 1 | 4, 8, 0)
    wait_until(lambda: len([one for one in tap.talk.since() if "CONFIG_CHANGE" in one.text]) == 2, "told")
    mine.close()
    assert channel.recv(1) == b""
    channel.close()
    front.sendall(request("GET_FEATURES").pack())
    assert exactly(back, 12)[0] == request("GET_FEATURES").pack()


def test_an_end_that_does_not_read_is_waited_for_and_the_other_way_goes_on(ends: Ends) -> None:
    front, back, _ = ends
    front.setblocking(False)
    message, sent = struct.pack("=III", 999, 1, 4000) + bytes(4000), 0
    with contextlib.suppress(BlockingIOError):
        while sent < 4_000_000:
            sent += front.send(message[sent % len(message) :])
    assert sent > 100_000
    back.sendall(request("GET_STATUS").pack())
    front.setblocking(True)
    assert exactly(front, 12)[0] == request("GET_STATUS").pack()
    assert exactly(back, sent)[0] == (message * (sent // len(message) + 1))[:sent]


def test_viewers_that_say_nonsense_change_nothing(ends: Ends) -> None:
    front, back, tap = ends
    for said in (b"{", b"[]", b'{"do": 1}', b'{"do": "kick", "ring": "x"}', b'{"do": "kick", "ring": 9}'):
        viewer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        viewer.connect(tap.path)
        viewer.send(said)
        viewer.close()
    front.sendall(request("GET_FEATURES").pack())
    assert exactly(back, 12)[0] == request("GET_FEATURES").pack()


def test_a_viewer_that_does_not_read_is_dropped(ends: Ends) -> None:
    front, back, tap = ends
    viewer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    viewer.connect(tap.path)
    message = struct.pack("=III", 999, 1, 60000) + bytes(60000)
    for _ in range(PACKETS_MOST // 16 if os.environ.get("RINGSCOPE_FULL") else 60):
        front.sendall(message)
        assert exactly(back, len(message))[0] == message
    small = struct.pack("=III", 999, 1, 0)
    for _ in range(PACKETS_MOST + 100):
        front.sendall(small)
        assert exactly(back, len(small))[0] == small
    viewer.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        while viewer.recv(1 << 20):
            pass
    viewer.close()


def test_who_comes_late_is_told_of_all_that_is_remembered(ends: Ends) -> None:
    """More than any socket holds at once, and a viewer that takes its time."""
    front, back, tap = ends
    for i in range(2500):
        message = struct.pack("=IIIQ", 1000, 1, 8, i)
        front.sendall(message)
        assert exactly(back, len(message))[0] == message
    viewer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    viewer.connect(tap.path)
    viewer.settimeout(10)
    time.sleep(0.05)
    kinds = []
    while not kinds or kinds[-1] != "ready":
        kinds.append(json.loads(viewer.recv(1 << 20))["kind"])
    assert kinds[0] == "hello" and kinds.count("said") == MEMORY_OF_TALK
    viewer.close()


def test_who_comes_third_is_turned_away(ends: Ends, tmp_path: Path) -> None:
    third = connect(str(tmp_path / "a"))
    third.settimeout(10)
    assert third.recv(1) == b""
    third.close()
    front, back, _ = ends
    front.sendall(request("GET_FEATURES").pack())
    assert exactly(back, 12)[0] == request("GET_FEATURES").pack()


def test_a_device_that_nobody_finds(tmp_path: Path) -> None:
    pid = start_relay(*(str(tmp_path / name) for name in "abv"))
    with Tap(str(tmp_path / "v")) as tap:
        tap.start()
        front = connect(str(tmp_path / "a"))
        front.settimeout(10)
        assert front.recv(1) == b""
        wait_until(lambda: any("nobody listens" in one.text for one in tap.talk.since()), "it is said")
        front.close()
        tap.end_relay()
    wait_until(lambda: ended(pid), "the relay ends")


def test_a_place_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(OSError, match="there is a file, and it is no socket"):
        start_relay(*(str(tmp_path / name) for name in "abv"))
    with pytest.raises(OSError, match="No such file"):
        Tap(str(tmp_path / "v"))


def test_the_protocol_bits_that_pass_are_not_ours_to_mask(between: Between, by_hand: ByHand) -> None:
    assert between.tap.peer.protocol_features == 1 << PROTOCOL["REPLY_ACK"] | 1 << PROTOCOL["MQ"]


# ---- for long ---------------------------------------------------------------------------------------------


def resident(pid: int) -> int:
    """KiB of memory that are a process's own."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


def test_nothing_leaks_while_drivers_and_viewers_come_and_go(between: Between) -> None:
    """RINGSCOPE_TAP_SECONDS says for how long; of memory the second half may take no more than a little.
    A long run takes its time over each driver, since others run beside it."""
    seconds = float(
        os.environ.get("RINGSCOPE_TAP_SECONDS", "3600" if os.environ.get("RINGSCOPE_FULL") else "4")
    )
    relay = between.relay
    told: list[tuple[int, ...]] = []
    before = fds_open(), fds_of(relay)
    began = time.monotonic()
    rounds = 0
    while time.monotonic() - began < seconds or rounds < 6:
        layout = ("split", "packed")[rounds % 2]
        with Frontend(between.driver_at, layout=layout, driver="interrupt") as driver:  # type: ignore[arg-type]
            for end in (driver, between.device):
                end.flood(length=200, sample=1)
                end.set_rate(2000)
            driver.start()
            assert between.tap.wait_for_rings(20)
            for _ in range(3):
                other = between.look()
                other.snapshot()
                other.close()
            wait_until(lambda: driver.snapshot(()).queue(1).used > 200, "traffic")
            assert not driver.info()["wrong"]
        wait_until(lambda: not between.tap.peer.connected, "they part")
        wait_until(lambda: not between.device.running, "the device lets go")
        rounds += 1
        if seconds > 60:
            time.sleep(3.0)
        if rounds > 2:
            wait_until(lambda: (fds_open(), fds_of(relay)) == before, f"{before} descriptors")
            maps = len(maps_of("self")), len(maps_of(relay))
            told.append((*before, *maps, resident(os.getpid()), resident(relay)))
    first, half, last = told[0], told[len(told) // 2], told[-1]
    assert last[2] <= first[2] + 8 and last[3] <= first[3] + 2, "maps"
    assert last[5] - half[5] < 2048, "memory of the relay"
    # Of those who look, the logs fill up first: that takes some minutes.
    assert last[4] - half[4] < 16384 or (seconds < 1200 and last[4] < 300_000), "memory of those who look"
    print(f"{rounds} drivers: first {first}, halfway {half}, at the end {last}")


def fds_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def maps_of(pid: int | str) -> list[str]:
    with open(f"/proc/{pid}/maps") as lines:
        return lines.readlines()
