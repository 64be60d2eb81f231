"""Between two peers that know nothing of us: QEMU's guest, DPDK's driver, DPDK's device.

What the tap captured is what the guest captured, frame for frame; what it saw wrong was wrong; and whoever
looks, dies, or comes back, the two lose nothing over it. RINGSCOPE_FULL=1: longer.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataplane.faults import Fault
from dataplane.records import Side
from dataplane.responder import Responder
from dataplane.source import START, RingSource
from dataplane.vhost.backend import Backend
from dataplane.vhost.relaying import start_relay
from dataplane.vhost.tap import Tap
from tests.interop.netns import MIB, until
from tests.interop.ours import FULL, Watch, one_layout
from tests.interop.peers import DpdkDevice, DpdkDriver, Guest, needs_dpdk, needs_qemu
from tests.interop.peers.dpdk import Layout

pytestmark = pytest.mark.xdist_group("peers")

HOST = "10.77.0.1"


class Standing:
    """A relay before a device that listens on `back`, and one who looks through it."""

    def __init__(self, folder: Path, **how: bool) -> None:
        self.front, self.back, self.viewers = folder / "a", folder / "b", str(folder / "v")
        self.pid = start_relay(str(self.front), str(self.back), self.viewers, **how)
        self.tap = self.look()

    def look(self) -> Tap:
        tap = Tap(self.viewers)
        tap.start()
        return tap

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.tap.end_relay()
        self.tap.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


@contextmanager
def standing(folder: Path, **how: bool) -> Iterator[Standing]:
    made = Standing(folder, **how)
    try:
        yield made
    finally:
        made.close()


def tapped(source: RingSource) -> list[bytes]:
    """Every frame of the log."""
    found, cursor = [], START
    while len((read := source.frames(cursor)).rows):
        assert not read.lost
        for row, at in zip(read.rows, read.offsets.tolist(), strict=True):
            found.append(bytes(read.data[at : at + int(row["captured"])]))
        cursor = read.cursor
    return found


def in_pcap(data: bytes) -> list[bytes]:
    """The frames of a pcap file."""
    found, at = [], 24
    while at < len(data):
        captured, length = struct.unpack_from("<II", data, at + 8)
        assert captured == length
        found.append(data[at + 16 : at + 16 + captured])
        at += 16 + captured
    return found


def the_same_but_for_what_was_missed(tap: Tap, guest: list[bytes]) -> int:
    """Nothing that the guest did not capture, and of that all but what the tap says: at least, in a packed
    ring whose count is not proven. How many it missed."""
    missed, proven = tap.missed()
    mine, theirs = Counter(tapped(tap)), Counter(guest)
    assert not mine - theirs, "a frame that the guest never saw"
    lost = (theirs - mine).total()
    at_least = tap.identity.packed and not proven and missed
    assert lost >= missed if at_least else lost == missed
    return missed


@needs_qemu
@needs_dpdk
@one_layout
def test_a_guests_ping_through_dpdk(tmp_path: Path, layout: Layout) -> None:
    with DpdkDevice(tmp_path / "b") as device, standing(tmp_path) as between:
        device.start("icmpecho")
        with Guest(between.front, layout) as guest:
            guest.boot()
            assert between.tap.wait_for_rings(10)
            watch = Watch(between.tap)
            guest.start_capture()
            assert guest.ping(HOST, 40) == 40
            captured = guest.stop_capture()
            watch.close()
            counters = guest.counters()
        assert not watch.findings
        assert counters["rx_packets"] == counters["tx_packets"] >= 40
        assert the_same_but_for_what_was_missed(between.tap, in_pcap(captured.pcap)) < 40
        assert "driver's side is gone" in between.tap.talk.since()[-1].text


@needs_qemu
@one_layout
def test_a_guests_tcp_session(tmp_path: Path, layout: Layout) -> None:
    """Against our device, whose host echoes. Offloads are off, so that a frame is what both captured."""
    size = 8 * MIB if FULL else MIB // 2
    with Responder(HOST) as host, Backend(str(tmp_path / "b")) as device:
        device.plug(host.fileno())
        device.start()
        with standing(tmp_path, notifications=True) as between, Guest(between.front, layout) as guest:
            guest.boot()
            guest.offloads(False)
            assert between.tap.wait_for_rings(10)
            watch = Watch(between.tap)
            guest.start_capture()
            assert guest.tcp_echo(HOST, 7, size, 120) == f"sent {size} received {size}\n"
            captured = guest.stop_capture()
            watch.close()
            assert not captured.lost and not watch.findings
            frames = in_pcap(captured.pcap)
            missed = the_same_but_for_what_was_missed(between.tap, frames)
            assert missed < len(frames) / 2
            outside = between.tap.snapshot(()).queue(1).outside
            assert outside is not None and outside.kicks and outside.calls is not None


def served(tap: Tap) -> bool:
    """Whether all that was sent is used."""
    queue = tap.snapshot(()).queue(1)
    return queue.published == queue.used


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


@needs_dpdk
@one_layout
@pytest.mark.parametrize("notifications", [False, True])
def test_viewers_that_are_killed_cost_dpdk_no_packet(
    tmp_path: Path, layout: Layout, notifications: bool
) -> None:
    times, packets = (25, 20_000_000) if FULL else (3, 300_000)
    rng = random.Random(7)
    with DpdkDevice(tmp_path / "b") as device, standing(tmp_path, notifications=notifications) as between:
        device.start("rxonly")
        between.tap.close()
        with DpdkDriver(between.front, layout) as driver:
            driver.ready()
            device.joined()
            sent = 0
            for _ in range(times):
                viewer = subprocess.Popen(
                    [sys.executable, "-c", VIEWER, between.viewers], stdout=subprocess.PIPE
                )
                with viewer:
                    assert viewer.stdout is not None and viewer.stdout.readline() == b"there\n"
                    time.sleep(rng.random() * 0.02)
                    sent += driver.send_exactly(packets // times // 32 * 32, 120)
                    viewer.send_signal(signal.SIGKILL)
                sent += driver.send_exactly(3200, 60)
            assert device.received(sent).rx_packets == sent
            between.tap = between.look()
            assert between.tap.wait_for_rings(5)
            assert served(between.tap)


@needs_dpdk
@one_layout
def test_faults_of_dpdk_are_named(tmp_path: Path, layout: Layout) -> None:
    """The device is stopped by SIGSTOP, then goes on; the driver is killed, and the next one comes."""
    with DpdkDevice(tmp_path / "b") as device, standing(tmp_path) as between:
        device.start("rxonly")
        with DpdkDriver(between.front, layout) as driver:
            driver.ready()
            device.joined()
            driver.send_exactly(3200)
            assert between.tap.wait_for_rings(10)
            watch = Watch(between.tap)
            device.pause()
            driver.start("txonly")
            until(lambda: watch.findings, "the doctor names it")
            assert {one.code for one in watch.findings} <= {"DEVICE_NOT_CONSUMING", "KICK_UNSERVICED"}
            assert {one.queue for one in watch.findings} == {1}
            device.resume()
            until(lambda: not watch.diagnosis.present, "it is over")
            watch.close()
            driver.kill()
            until(lambda: not between.tap.peer.connected, "they part")
            assert "driver's side is gone" in between.tap.peer.why
        with DpdkDriver(between.front, layout) as driver:
            driver.ready()
            driver.send_exactly(3200)
            until(lambda: between.tap.peer.connected and between.tap.running != (), "the next one is there")
            until(lambda: served(between.tap) and between.tap.snapshot(()).queue(1).used, "all is used")
            assert device.received(3200).rx_packets


@needs_qemu
@needs_dpdk
def test_a_relay_that_is_killed(tmp_path: Path) -> None:
    """As the manual says: the guest's link goes down, and DPDK waits for the next driver."""
    with DpdkDevice(tmp_path / "b") as device, standing(tmp_path) as between:
        device.start("icmpecho")
        with Guest(between.front, "split") as guest:
            guest.boot()
            assert guest.ping(HOST, 3) == 3
            assert guest.run("cat /sys/class/net/eth0/carrier") == "1\n"
            os.kill(between.pid, signal.SIGKILL)
            until(lambda: guest.run("cat /sys/class/net/eth0/carrier") == "0\n", "the link is down")
            until(lambda: not between.tap.alive, "who looks is told")
        with standing(tmp_path) as other, DpdkDriver(other.front, "split") as driver:
            driver.ready()
            driver.send_exactly(320)
            until(lambda: served(other.tap), "all is used")


@needs_qemu
def test_a_guests_interface_that_is_stopped(tmp_path: Path) -> None:
    """Its receive ring fills up, and is not offered again; once it is up, it goes on."""
    with Backend(str(tmp_path / "b")) as device:
        device.flood(directions=("to_driver",))
        device.set_rate(2000)
        device.start()
        with standing(tmp_path) as between, Guest(between.front, "split") as guest:
            guest.boot()
            assert between.tap.wait_for_rings(10)
            watch = Watch(between.tap)
            guest.interface(False)
            until(lambda: any(one.queue == 0 for one in watch.findings), "the doctor names it")
            assert {one.code for one in watch.findings} == {"DRIVER_NOT_REAPING"}
            guest.interface(True)
            until(lambda: not watch.diagnosis.present, "it is over")
            watch.close()


@needs_qemu
@one_layout
def test_a_guest_that_is_told_a_wrong_base(tmp_path: Path, layout: Layout) -> None:
    """Our device plays the faulty one: stopped, it answers with a base that is three too high; QEMU takes it
    for granted, and has the rings go on there."""
    with Responder(HOST) as host, Backend(str(tmp_path / "b")) as device:
        device.plug(host.fileno())
        device.start()
        with standing(tmp_path) as between, Guest(between.front, layout) as guest:
            guest.boot()
            assert between.tap.wait_for_rings(10)
            assert guest.ping(HOST, 5) == 5
            watch = Watch(between.tap)
            guest.monitor("stop")
            until(
                lambda: all(one.state == "stopped" for one in between.tap.peer.rings), "the rings are stopped"
            )
            guest.monitor("cont")
            assert guest.ping(HOST, 5) == 5
            assert not watch.findings, "a base that is right"
            device.inject_fault(Fault("wrong_base", Side.DEVICE, queue=1, value=3))
            guest.monitor("stop")
            guest.monitor("cont")
            assert watch.wait("BASE_MISMATCH").queue == 1
            watch.close()
            assert "it begins at" in watch.wait("BASE_MISMATCH").verdict
