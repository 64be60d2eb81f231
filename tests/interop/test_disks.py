"""Disks of others: our driver reads what qemu-storage-daemon serves, and the tap before it sees each request.

So it does between a guest and the daemon: what the guest wrote is in the file, and in what was seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataplane import blk
from dataplane.blk import Request
from dataplane.source import START, RingSource
from dataplane.vhost.blk_frontend import BlkFrontend
from dataplane.vhost.relaying import start_relay
from dataplane.vhost.tap import Tap
from tests.interop.ours import Watch
from tests.interop.peers import Guest, StorageDaemon, needs_disk, needs_qemu
from tests.rings.disk import agree
from tests.rings.staging import wait_until

pytestmark = [pytest.mark.xdist_group("peers"), needs_disk]

MIB = 1 << 20
IMAGE = random.Random(6).randbytes(4 * MIB)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(IMAGE)
    return path


class Reads:
    """Every byte that came, held against the file."""

    def __init__(self, driver: BlkFrontend) -> None:
        self.right, self.wrong = 0, 0
        self.seen = set[int]()
        driver.on_read = self

    def __call__(self, request: Request, data: bytes) -> None:
        begin = (request.sector or 0) * blk.SECTOR
        same = data == IMAGE[begin : begin + len(data)] and request.answer == "OK"
        self.right, self.wrong = self.right + same, self.wrong + (not same)
        self.seen.update(range(begin, begin + len(data), blk.SECTOR))


@pytest.mark.parametrize(
    ("features", "queues", "length"), [("", 1, 65536), ("-indirect_desc", 2, 4096), ("-event_idx", 1, 16384)]
)
def test_our_driver_reads_the_whole_image(
    tmp_path: Path, image: Path, features: str, queues: int, length: int
) -> None:
    sock = tmp_path / "s"
    with (
        StorageDaemon(sock, image, queues=2),
        BlkFrontend(str(sock), features=features, queues=queues, length=length) as driver,
    ):
        reads, watch = Reads(driver), Watch(driver)
        assert driver.config.size == len(IMAGE)
        assert driver.config.blk_size == blk.SECTOR
        driver.start()
        wait_until(lambda: len(reads.seen) * blk.SECTOR == len(IMAGE), "every sector was read")
        assert not reads.wrong
        watch.close()
        assert not watch.findings
    assert image.read_bytes() == IMAGE


def requests(source: RingSource) -> list[Request]:
    found, cursor = [], START
    while len((read := source.frames(cursor)).rows):
        assert not read.lost
        found += blk.requests(read)
        cursor = read.cursor
    return found


@contextmanager
def tapped(folder: Path) -> Iterator[Tap]:
    """A tap before the daemon's socket "s"; the driver goes to "front"."""
    relay = start_relay(str(folder / "front"), str(folder / "s"), str(folder / "v"))
    tap = Tap(str(folder / "v"))
    try:
        tap.start()
        yield tap
    finally:
        with contextlib.suppress(OSError):
            tap.end_relay()
        wait_until(lambda: not tap.alive, "the relay ends")
        tap.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(relay, 0)


def test_the_tap_sees_every_request(tmp_path: Path, image: Path) -> None:
    with (
        StorageDaemon(tmp_path / "s", image, queues=2),
        tapped(tmp_path) as tap,
        BlkFrontend(str(tmp_path / "front"), queues=2, order="none", rate=500) as driver,
    ):
        driver.start()
        wait_until(lambda: tap.running == (0, 1), "both rings are looked at")
        watch = Watch(tap)
        driver.read("random")
        wait_until(lambda: sum(q.used for q in driver.snapshot(()).queues) > 500, "500 requests")
        driver.read("none")
        wait_until(lambda: counts(tap) == counts(driver), "all of them are seen")
        agree(requests(driver), requests(tap), tap.missed()[0])
        assert tap.snapshot().blk == driver.config
        assert tap.identity.device_id == blk.DEVICE_ID
        watch.close()
        assert not watch.findings


def counts(source: RingSource) -> list[tuple[int, int]]:
    return [(queue.published, queue.used) for queue in source.snapshot(()).queues]


def test_a_daemon_that_stands_still_is_found(tmp_path: Path, image: Path) -> None:
    with (
        StorageDaemon(tmp_path / "s", image) as daemon,
        tapped(tmp_path) as tap,
        BlkFrontend(str(tmp_path / "front"), rate=500) as driver,
    ):
        driver.start()
        wait_until(lambda: bool(tap.running), "the ring is looked at")
        watches = Watch(driver), Watch(tap)
        daemon.process.send_signal(signal.SIGSTOP)
        for watch in watches:
            watch.wait("KICK_UNSERVICED")
        daemon.resume()
        before = driver.snapshot(()).queues[0].used
        wait_until(lambda: driver.snapshot(()).queues[0].used > before + 50, "it goes on")
        for watch in watches:
            watch.close()


@needs_qemu
def test_a_guest_reads_and_writes_through_the_tap(tmp_path: Path, image: Path) -> None:
    with StorageDaemon(tmp_path / "s", image, writable=True), tapped(tmp_path) as tap:
        with Guest(tmp_path / "front", "split", disk=True) as guest:
            guest.boot()
            read = guest.run("dd if=/dev/vda bs=64k count=16 2>/dev/null | sha256sum").split()[0]
            assert read == hashlib.sha256(IMAGE[:MIB]).hexdigest()
            guest.run("yes ringscope | dd of=/dev/vda bs=4k seek=512 count=8 conv=fsync iflag=fullblock")
            guest.run("sync; cat /sys/block/vda/serial")
            found = requests(tap)
            snapshot, (missed, _) = tap.snapshot(), tap.missed()
        written = (b"ringscope\n" * 3277)[:32768]
        assert image.read_bytes()[2 * MIB : 2 * MIB + len(written)] == written
    assert snapshot.identity.device_id == blk.DEVICE_ID
    assert snapshot.blk is not None
    assert snapshot.blk.size == len(IMAGE)
    assert {one.name for one in found} == {"IN", "OUT", "GET_ID"}
    assert {one.answer for one in found if not one.late} <= {"OK", "unknown", "UNSUPP"}
    seen = set[int]()
    for one in found:
        begin = (one.sector or 0) * blk.SECTOR
        if one.name == "OUT":
            assert one.data == written[begin - 2 * MIB :][: len(one.data)]
        elif one.name == "IN" and begin + one.length <= MIB and one.answer == "OK" and not one.late:
            assert one.data == IMAGE[begin : begin + len(one.data)]
            seen.update(range(begin, begin + one.length, blk.SECTOR))
    assert len(found) + missed >= snapshot.queues[0].used  # since it was started last
    sent = sum(one.length for one in found if one.name == "OUT")
    assert sent == len(written) or (missed and sent < len(written))
    assert seen
