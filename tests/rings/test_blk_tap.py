"""The tap before a disk: each request as it was, requests that cannot be, what the device is taken for."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane import blk
from dataplane import features as f
from dataplane.blk import Request
from dataplane.records import Kind, Role
from dataplane.rules.doctor import Doctor
from dataplane.source import START, RingSource
from dataplane.vhost.backend import Backend
from dataplane.vhost.blk_frontend import BlkFrontend
from dataplane.vhost.device_type import DeviceType
from dataplane.vhost.relaying import start_relay, viewers_path
from dataplane.vhost.tap import Tap
from inspector.session import Session
from tests.rings.disk import Answer, Disk, agree
from tests.rings.frontend import GUEST, ByHand, HandRing
from tests.rings.staging import wait_until

IMAGE = random.Random(4).randbytes(256 * blk.SECTOR)
NEXT, WRITE = 1, 2


class Between:
    """A disk, a relay before it, and one who looks."""

    def __init__(self, folder: Path, device_type: DeviceType | None = None, **disk: Any) -> None:
        self.driver_at, device_at = str(folder / "a"), str(folder / "b")
        self.disk = Disk(device_at, IMAGE, **disk)
        self.relay = start_relay(self.driver_at, device_at, viewers_path(self.driver_at))
        self.tap = self.look(device_type=device_type)

    def look(self, **how: Any) -> Tap:
        tap = Tap(viewers_path(self.driver_at), **how)
        tap.start()
        return tap

    def close(self) -> None:
        self.tap.end_relay()
        wait_until(lambda: not self.tap.alive, "the relay ends")
        self.tap.close()
        self.disk.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.relay, 0)


@pytest.fixture
def between(tmp_path: Path) -> Iterator[Between]:
    made = Between(tmp_path)
    yield made
    made.close()


def requests(source: RingSource) -> list[Request]:
    """Every request of the log; none may have been lost there."""
    found, cursor = [], START
    while len((read := source.frames(cursor)).rows):
        assert not read.lost
        found += blk.requests(read)
        cursor = read.cursor
    return found


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"features": "-indirect_desc"},
        {"features": "-event_idx", "queues": 2},
        {"length": 16384, "order": "random"},
    ],
)
def test_every_request_is_seen_as_the_driver_made_it(between: Between, how: dict[str, Any]) -> None:
    order = how.pop("order", "sequential")
    with BlkFrontend(between.driver_at, order="none", rate=500, **how) as driver:
        driver.start()
        count = how.get("queues", 1)
        wait_until(lambda: len(between.tap.running) == count, "the rings are looked at")
        driver.read(order)
        wait_until(lambda: sum(q.used for q in driver.snapshot(()).queues) > 200, "200 requests")
        driver.read("none")
        wait_until(lambda: counted(between.tap, driver), "the tap has seen them all")
        snapshot = between.tap.snapshot()
        agree(requests(driver), requests(between.tap), between.tap.missed()[0])
        assert not Doctor().look(snapshot)
        assert snapshot.identity.device_id == blk.DEVICE_ID
        assert snapshot.identity.name == "blk0"
        assert snapshot.blk == driver.config
        assert [q.role for q in snapshot.queues] == [Role.REQUEST] * count
        assert any("taken for virtio-blk: 60 bytes of configuration" in note for note in snapshot.notes)


def counted(tap: Tap, driver: BlkFrontend) -> bool:
    ours = [(q.published, q.used, q.collected) for q in driver.snapshot(()).queues]
    theirs = [(q.published, q.used) for q in tap.snapshot(()).queues]
    return theirs == [one[:2] for one in ours] and all(one[0] == one[2] for one in ours)


def test_one_that_comes_later_knows_what_it_is(between: Between) -> None:
    with BlkFrontend(between.driver_at, rate=300) as driver:
        driver.start()
        wait_until(lambda: bool(between.tap.running), "the ring is looked at")
        later = between.look()
        wait_until(lambda: bool(later.running), "it is looked at by another")
        assert later.snapshot(()).blk == driver.config
        assert later.identity.device_id == blk.DEVICE_ID
        wait_until(lambda: bool(requests(later)), "it sees requests")
        later.close()


@pytest.mark.parametrize("type_", ["net", "blk"])
def test_it_is_taken_for_what_was_asked(tmp_path: Path, type_: DeviceType) -> None:
    made = Between(tmp_path, type_)
    with BlkFrontend(made.driver_at, rate=300) as driver:
        driver.start()
        wait_until(lambda: bool(made.tap.running), "the ring is looked at")
        assert made.tap.identity.name == f"{type_}0"
        assert not any("taken for" in note for note in made.tap.snapshot(()).notes)
        if type_ == "blk":
            wait_until(lambda: bool(requests(made.tap)), "requests are seen")
    made.close()


def test_a_network_device_stays_one(tmp_path: Path) -> None:
    at = str(tmp_path / "n")
    with Backend(str(tmp_path / "d")) as device:
        device.start()
        relay = start_relay(at, str(tmp_path / "d"), viewers_path(at))
        with Tap(viewers_path(at)) as tap:
            tap.start()
            driver = ByHand(at)
            driver.greet()
            driver.ring(0)
            wait_until(lambda: bool(tap.running), "the ring is looked at")
            assert tap.identity.device_id == 1
            assert tap.snapshot(()).queues[0].name == "rx0"
            driver.close()
            tap.end_relay()
            wait_until(lambda: not tap.alive, "the relay ends")
        os.waitpid(relay, 0)


# ---- by hand --------------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(between: Between) -> Iterator[tuple[ByHand, HandRing]]:
    made = ByHand(between.driver_at, features=f.mask(f.F_VERSION_1, 30, f.BLK_F_SEG_MAX, f.BLK_F_BLK_SIZE))
    made.greet()
    ring = made.ring(0)
    wait_until(lambda: bool(between.tap.running), "the ring is looked at")
    yield made, ring
    made.close()


def offer(hand: ByHand, ring: HandRing, *pieces: tuple[bytes, int]) -> None:
    """One buffer: (content, flags) of each descriptor, in slots of their own."""
    first = 4 * (ring.published % 4)
    for i, (data, flags) in enumerate(pieces):
        at = ring.buffers + (first + i) * 2048
        hand.memory[at : at + len(data)] = data
        follows = NEXT if i < len(pieces) - 1 else 0
        hand.descriptor(ring, first + i, GUEST + at, len(data), flags | follows, first + i + 1)
    hand.publish(ring, first)
    os.eventfd_write(ring.kick, 1)


def published(tap: Tap) -> list[int]:
    """Publications that were seen."""
    return [int(row["new"]) for row in tap.events().rows if int(row["kind"]) == Kind.PUBLISH]


def one_of(tap: Tap) -> Request:
    wait_until(lambda: bool(requests(tap)), "a request is seen")
    (one,) = requests(tap)
    return one


HEADER = blk.HEADER.pack(blk.T_IN, 0, 3)
ROOM = b"\xee" * 512


def test_a_header_that_is_split_over_descriptors(between: Between, by_hand: tuple[ByHand, HandRing]) -> None:
    offer(*by_hand, (HEADER[:5], 0), (HEADER[5:], 0), (ROOM, WRITE), (b"\xee", WRITE))
    one = one_of(between.tap)
    assert (one.header, one.name, one.sector, one.answer) == (HEADER, "IN", 3, "OK")
    assert one.data == IMAGE[3 * 512 : 4 * 512]
    assert (one.readable, one.writable, one.used_length, one.descriptors) == (16, 513, 513, 4)
    assert not one.wrong(256)


def test_a_status_in_the_descriptor_of_the_data(between: Between, by_hand: tuple[ByHand, HandRing]) -> None:
    offer(*by_hand, (HEADER, 0), (ROOM + b"\xee", WRITE))
    one = one_of(between.tap)
    assert (one.answer, one.data) == ("OK", IMAGE[3 * 512 : 4 * 512])


def test_what_is_written_is_seen(between: Between, by_hand: tuple[ByHand, HandRing]) -> None:
    data = bytes(range(256)) * 4
    offer(*by_hand, (blk.HEADER.pack(blk.T_OUT, 0, 9) + data, 0), (b"\xee", WRITE))
    one = one_of(between.tap)
    assert (one.name, one.sector, one.length, one.answer) == ("OUT", 9, 1024, "OK")
    assert one.data == data[: blk.DATA_KEPT]


@pytest.mark.parametrize(
    ("pieces", "answer", "words"),
    [
        ([(HEADER[:9], 0), (b"\xee", WRITE)], "IOERR", "header has 9 bytes"),
        ([(b"\xee", WRITE)], "IOERR", "header has 0 bytes"),
        ([(HEADER, 0)], "no status", "no byte for the status"),
        ([(blk.HEADER.pack(0, 0, (1 << 64) - 1), 0), (ROOM, WRITE), (b"\xee", WRITE)], "IOERR", "beyond"),
        ([(blk.HEADER.pack(0, 0, 255), 0), (ROOM * 2, WRITE), (b"\xee", WRITE)], "IOERR", "sector 256 lies"),
        ([(blk.HEADER.pack(99, 0, 0), 0), (b"\xee", WRITE)], "UNSUPP", ""),
        ([(blk.HEADER.pack(0, 0, 0), 0), (b"\xee" * 100, WRITE), (b"\xee", WRITE)], "OK", "not whole"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be(
    between: Between,
    by_hand: tuple[ByHand, HandRing],
    pieces: list[tuple[bytes, int]],
    answer: str,
    words: str,
) -> None:
    offer(*by_hand, *pieces)
    one = one_of(between.tap)
    assert one.answer == answer
    assert words in " ".join(one.wrong(256))
    assert bool(one.wrong(256)) == bool(words)


def test_a_chain_that_cannot_be_followed(between: Between, by_hand: tuple[ByHand, HandRing]) -> None:
    hand, ring = by_hand
    between.disk.works.clear()
    hand.descriptor(ring, 0, 1 << 50, 16, NEXT, 1)
    hand.descriptor(ring, 1, GUEST, 1, WRITE)
    hand.publish(ring, 0)
    os.eventfd_write(ring.kick, 1)
    wait_until(lambda: bool(published(between.tap)), "it is seen before it is used")
    between.disk.works.set()
    one = one_of(between.tap)
    assert (one.sound, one.answer) == (False, "unknown")
    assert one.wrong() == ["its descriptors cannot be followed"]


def test_noise_in_the_ring_is_survived(between: Between, by_hand: tuple[ByHand, HandRing]) -> None:
    """What stands in descriptors and buffers is anything; what comes of it are requests, or nothing."""
    hand, ring = by_hand
    noise = random.Random(5)
    for _ in range(300):
        slot = noise.randrange(ring.size)
        address = (
            GUEST + ring.buffers + noise.randrange(1 << 18) if noise.random() < 0.8 else noise.getrandbits(64)
        )
        hand.descriptor(
            ring, slot, address, noise.choice([0, 1, 9, 16, 513, 1 << 17, 1 << 31]),
            noise.choice([0, 1, 2, 3, 4, 5]), noise.randrange(ring.size),
        )  # fmt: skip
        hand.publish(ring, noise.randrange(ring.size))
        os.eventfd_write(ring.kick, 1)
        wait_until(lambda: hand.used_idx(ring) == ring.published & 0xFFFF, "the disk has answered")
    queue = between.tap.snapshot(()).queues[0]
    wait_until(lambda: between.tap.snapshot(()).queues[0].used == ring.published, "the tap has seen it")
    for one in requests(between.tap):
        assert one.queue == queue.index
        assert len(one.data) <= blk.DATA_KEPT
        assert one.wrong(256) is not None
    assert between.tap.alive


def test_a_lie_about_the_used_length_is_told(tmp_path: Path) -> None:
    made = Between(tmp_path, answers=lambda _: Answer(blk.OK, 1 << 30))
    hand = ByHand(made.driver_at)
    hand.greet()
    ring = hand.ring(0)
    made.tap.close()
    made.tap = made.look(device_type="blk")
    wait_until(lambda: bool(made.tap.running), "the ring is looked at")
    offer(hand, ring, (HEADER, 0), (ROOM, WRITE), (b"\xee", WRITE))
    one = one_of(made.tap)
    assert one.used_length == 1 << 30
    assert "were written into 513 writable ones" in one.wrong()[0]
    hand.close()
    made.close()


def test_a_session_keeps_requests_and_no_frames(tmp_path: Path) -> None:
    made = Between(tmp_path, answers=lambda asked: Answer(blk.IOERR if struct_sector(asked) % 64 == 0 else 0))
    with BlkFrontend(made.driver_at, rate=500) as driver:
        driver.start()
        wait_until(lambda: bool(made.tap.running), "the ring is looked at")
        session = Session(made.tap)
        wait_until(lambda: bool(session.pull() and session.requests.failed > 2), "some failed")
        assert not len(session.frames)
        assert session.blocks
        for one in session.requests.newest(500, bad=True):
            assert one.answer == "IOERR"
            assert one.sector is not None
            assert one.sector % 64 == 0
    made.close()


def struct_sector(asked: Any) -> int:
    return int(struct.unpack_from("<Q", asked.header, 8)[0])
