"""Our driver of disks, against a device in plain Python: what it reads, never does, who lies to it."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane import blk
from dataplane import features as f
from dataplane.pair import Layout
from dataplane.records import Role
from dataplane.rules.doctor import Doctor
from dataplane.source import START
from dataplane.vhost.blk_frontend import BlkFrontend
from dataplane.vhost.connection import ProtocolError
from tests.rings.disk import OFFERED, Answer, Asked, Disk
from tests.rings.staging import wait_until

SECTORS = 512
IMAGE = random.Random(2).randbytes(SECTORS * blk.SECTOR)


@pytest.fixture(autouse=True)
def no_descriptor_stays() -> Iterator[None]:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def sock(tmp_path: Path) -> str:
    return str(tmp_path / "disk.sock")


class Read:
    """What the driver read, held against the image."""

    def __init__(self, driver: BlkFrontend) -> None:
        self.right, self.wrong = 0, 0
        self.sectors: list[int] = []
        driver.on_read = self

    def __call__(self, request: blk.Request, data: bytes) -> None:
        begin = (request.sector or 0) * blk.SECTOR
        same = data == IMAGE[begin : begin + len(data)] and not request.failed
        self.right, self.wrong = self.right + same, self.wrong + (not same)
        self.sectors.append(request.sector or 0)


@pytest.mark.parametrize(
    ("features", "more"),
    [
        ("", {}),
        ("-indirect_desc", {"depth": 16}),
        ("-event_idx", {"length": 512}),
        ("-indirect_desc,-event_idx", {"queue_size": 8}),
        ("", {"queues": 2, "depth": 3, "order": "random"}),
        ("", {"length": 65536, "depth": 1}),
    ],
)
def test_what_is_read_is_what_is_there(sock: str, features: str, more: dict[str, Any]) -> None:
    with Disk(sock, IMAGE) as disk, BlkFrontend(sock, features=features, **more) as driver:
        read, doctor = Read(driver), Doctor()
        driver.start()
        wait_until(lambda: read.right + read.wrong > 400, "400 requests are done")
        snapshot = driver.snapshot()
        assert not read.wrong
        assert not doctor.look(snapshot)
        assert snapshot.identity.device_id == blk.DEVICE_ID
        assert snapshot.blk is not None
        assert snapshot.blk.capacity == SECTORS
        assert len(snapshot.queues) == more.get("queues", 1)
        for queue in snapshot.queues:
            assert queue.role == Role.REQUEST
            assert queue.name == f"req{queue.index}"
            assert queue.device is None
            assert queue.published - queue.collected <= more.get("depth", 8)
        assert {asked.queue for asked in disk.asked} == set(range(more.get("queues", 1)))
    kinds = {blk.HEADER.unpack(asked.header)[0] for asked in disk.asked}
    assert kinds == {blk.T_IN}  # no disk is ever written
    assert bytes(disk.data) == IMAGE


def test_one_sector_after_the_other(sock: str) -> None:
    with Disk(sock, IMAGE), BlkFrontend(sock, length=1024, depth=1) as driver:
        read = Read(driver)
        driver.start()
        wait_until(lambda: len(read.sectors) > SECTORS, "the disk was read twice")
        assert read.sectors[:SECTORS] == [2 * i % SECTORS for i in range(SECTORS)]


def test_segments_are_no_longer_than_the_disk_takes(sock: str) -> None:
    config = bytearray(blk.CONFIG_BYTES)
    config[:8], config[8:12], config[12:16] = bytes([0, 2]) + bytes(6), b"\0\4\0\0", b"\4\0\0\0"
    offered = OFFERED | f.mask(f.BLK_F_SIZE_MAX)
    with Disk(sock, IMAGE, config=bytes(config), offered=offered) as disk:
        with BlkFrontend(sock, length=4096) as driver:
            read = Read(driver)
            driver.start()
            wait_until(lambda: read.right > 20, "something is read")
            assert not read.wrong
        assert {tuple(n for _, n in asked.room) for asked in disk.asked} == {(1024, 1024, 1024, 1024, 1)}
        with pytest.raises(ValueError, match="need 8 segments: the most is 4"):
            BlkFrontend(sock, length=8192)


def test_the_rate_is_kept_and_reading_can_be_stopped(sock: str) -> None:
    with Disk(sock, IMAGE), BlkFrontend(sock, order="none", rate=400) as driver:
        read = Read(driver)
        driver.start()
        assert not driver.snapshot(()).queues[0].published
        driver.read("random")
        wait_until(lambda: read.right > 20, "something is read")
        driver.read("none")
        wait_until(lambda: settled(driver), "what was outstanding is done")
        assert read.right == driver.snapshot(()).queues[0].published


def settled(driver: BlkFrontend) -> bool:
    (queue,) = driver.snapshot(()).queues
    return queue.published == queue.used == queue.collected


def test_every_request_is_logged(sock: str) -> None:
    with Disk(sock, IMAGE), BlkFrontend(sock) as driver:
        read = Read(driver)
        driver.start()
        wait_until(lambda: len(read.sectors) > 100, "something is read")
        driver.read("none")
        wait_until(lambda: settled(driver), "what was outstanding is done")
        first = driver.frames(START, most=40 * 1024)
        rest = driver.frames(first.cursor)
        found = [*blk.requests(first), *blk.requests(rest)]
        assert 0 < len(first.rows) < len(found)
        assert [one.sector for one in found] == read.sectors
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        for one in found:
            begin = (one.sector or 0) * blk.SECTOR
            assert one.data == IMAGE[begin : begin + blk.DATA_KEPT]
            assert (one.readable, one.writable, one.used_length, one.answer) == (16, 4097, 4097, "OK")
            assert one.latency > 0
            assert not one.wrong(SECTORS)
        assert not len(driver.frames(rest.cursor).rows)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(blk.IOERR), "IOERR"),
        (Answer(blk.UNSUPP), "UNSUPP"),
        (Answer(77), "status 77"),
        (Answer(None), "status 255"),
    ],
)
def test_requests_that_fail(sock: str, answer: Answer, said: str) -> None:
    with Disk(sock, IMAGE, answers=lambda _: answer) as disk, BlkFrontend(sock) as driver:
        driver.start()
        wait_until(lambda: len(disk.asked) > 20, "something was asked")
        wait_until(lambda: bool(driver.snapshot(()).notes), "it is noted")
        found = blk.requests(driver.frames())
        assert {one.answer for one in found} == {said}
        assert "requests failed" in driver.snapshot(()).notes[0]


def test_a_used_length_that_cannot_be_is_not_believed(sock: str) -> None:
    """HI: more than the buffer holds: the ring is given up, and says why."""

    def lies(asked: Asked) -> Answer:
        return Answer(blk.OK, 1 << 31)

    with Disk(sock, IMAGE, answers=lies) as disk, BlkFrontend(sock) as driver:
        doctor = Doctor()
        driver.start()
        wait_until(lambda: len(disk.asked) > 0, "something was asked")
        wait_until(lambda: bool(doctor.look(driver.snapshot())), "the doctor names it")


def test_a_disk_that_stands_still_is_found(sock: str) -> None:
    with Disk(sock, IMAGE) as disk, BlkFrontend(sock) as driver:
        doctor = Doctor()
        driver.start()
        wait_until(lambda: len(disk.asked) > 20, "something was asked")
        disk.works.clear()
        codes = set[str]()

        def found() -> bool:
            codes.update(one.code for one in doctor.look(driver.snapshot()))
            return bool(codes)

        wait_until(found, "the doctor names it")
        assert codes == {"KICK_UNSERVICED"}
        disk.works.set()
        before = len(disk.asked)
        wait_until(lambda: len(disk.asked) > before + 20, "it goes on")
        wait_until(lambda: not doctor.look(driver.snapshot()), "nothing is wrong any more")


def test_the_end_of_the_disk(sock: str) -> None:
    with Disk(sock, IMAGE) as disk, BlkFrontend(sock) as driver:
        driver.start()
        wait_until(lambda: len(disk.asked) > 20, "something was asked")
        disk.close_connection()
        wait_until(lambda: not driver.peer.connected, "it is noticed")
        assert driver.snapshot(()).notes[0] == "no device: the back-end hung up"


@pytest.mark.parametrize(
    ("disk", "more", "words"),
    [
        ({"protocol": 0}, {}, "does not tell its configuration"),
        ({"config": bytes(4)}, {}, "4 bytes of configuration hold no capacity"),
        ({"config": bytes(60)}, {}, "the disk has 0 bytes"),
        ({"offered": 0}, {}, "does not offer VERSION_1"),
        ({}, {"layout": "packed"}, "does not offer RING_PACKED"),
        ({}, {"queues": 3}, "has 2 request queues, not 3"),
        ({"offered": OFFERED & ~f.mask(f.F_INDIRECT_DESC)}, {"queue_size": 2}, "no room for 3 descriptors"),
    ],
)
def test_what_does_not_go_together(sock: str, disk: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with Disk(sock, IMAGE, **disk), pytest.raises(ValueError, match=words):
        BlkFrontend(sock, **more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"queues": 0}, "0 queues are out of range"),
        ({"depth": 257}, "257 requests outstanding are out of range"),
        ({"length": 100}, "100 bytes a request"),
        ({"length": 1 << 21}, "bytes a request"),
        ({"features": "+nonsense"}, "no feature is called 'nonsense'"),
        ({"queue_size": 3}, "power of two"),
    ],
)
def test_options_that_cannot_be(sock: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BlkFrontend(sock, **more)


def test_a_configuration_that_is_garbage_ends_with_one_line(sock: str) -> None:
    random_ones = random.Random(3)
    for _ in range(20):
        config = random_ones.randbytes(random_ones.randrange(8, 120))
        path = f"{sock}{_}"
        with Disk(path, IMAGE, config=config):
            try:
                BlkFrontend(path).close()
            except (ValueError, ProtocolError) as error:
                assert "\n" not in str(error)
    assert threading.active_count() < 20


@pytest.mark.parametrize("layout", ["split"])
def test_probes_reach_the_disk(sock: str, layout: Layout) -> None:
    with Disk(sock, IMAGE), BlkFrontend(sock, layout=layout, order="none") as driver:
        driver.start()
        driver.probe.kick(0)
        driver.probe.call(0)
        wait_until(lambda: driver.snapshot(()).queues[0].driver is not None, "it answers")
        wait_until(lambda: not driver.snapshot(()).queues[0].driver.kick.pending, "the kick was read")  # type: ignore[union-attr]
        assert driver.snapshot(()).queues[0].driver.kick.received == 1  # type: ignore[union-attr]
