"""Faults made on real peers: a guest's interface stopped, a peer paused, killed, a queue not enabled.

What our end shows of each: who is connected and what ended it, which ring is enabled, where the positions
stand, and that no count is lost over it. What the doctor says to it is expected where it has a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dataplane.network import Network
from dataplane.snapshot import AnyQueue
from dataplane.vhost.asking import Asking
from dataplane.vhost.backend import Backend
from dataplane.vhost.frontend import Frontend
from inspector.diagnosis import HERTZ
from inspector.screens.peer import _agreed
from tests.interop.netns import until
from tests.interop.ours import Watch, both_layouts, counted, one_layout
from tests.interop.peers import DpdkDevice, DpdkDriver, Guest, needs_dpdk, needs_qemu
from tests.interop.peers.dpdk import Layout

pytestmark = pytest.mark.xdist_group("peers")

RX, TX = 0, 1
SAY = Asking.say
RATE = 5_000.0


@contextmanager
def looked_at(source: Network) -> Iterator[Watch]:
    watch = Watch(source)
    try:
        yield watch
    finally:
        watch.close()


def queue(source: Network, index: int) -> AnyQueue:
    return source.snapshot(()).queue(index)


def still(source: Network, index: int, watch: Watch) -> AnyQueue:
    """A queue that is the same over more readings of the doctor than fill its patience."""
    seen = watch.diagnosis.readings
    before = queue(source, index)
    until(lambda: watch.diagnosis.readings > seen + 2 * HERTZ, "the doctor has looked for long")
    after = queue(source, index)
    assert before.after == after.after
    return after


def goes(source: Network, index: int) -> None:
    """Buffers of a queue are used, a whole ring and more."""
    before = queue(source, index)
    until(lambda: queue(source, index).used > before.used + before.size, f"{before.name} goes on")


def alone(backend: Backend) -> None:
    """The peer has gone, as the screen and every reader are told."""
    until(lambda: not backend.peer.connected, "the driver is gone")
    assert backend.peer.why == "the driver hung up"
    assert _agreed(backend.peer, 1).startswith("nobody is connected: the driver hung up; listening on ")
    assert backend.snapshot(()).notes[0].startswith("no driver: the driver hung up; listening on ")
    assert not backend.running


# ---- our device -----------------------------------------------------------------------------------------


@needs_qemu
@both_layouts
def test_a_guests_interface_is_stopped(tmp_path: Path, layout: Layout) -> None:
    """Its driver collects nothing more: the device fills every buffer and has frames left."""
    with Backend(str(tmp_path / "s")) as device, looked_at(device) as watch:
        device.flood(directions=("to_driver",))
        device.set_rate(RATE)
        device.start()
        with Guest(tmp_path / "s", layout) as guest:
            guest.boot()
            goes(device, RX)
            guest.interface(False)
            until(lambda: uncollected(device), "the ring is full of frames")
            assert device.peer.connected
            stuck = still(device, RX, watch)
            assert stuck.published == stuck.used == stuck.collected + stuck.size
            assert stuck.device is not None and stuck.device.backlog
            assert watch.wait("DRIVER_NOT_REAPING").queue == RX
            guest.interface(True)
            goes(device, RX)
            assert guest.run("echo it lives") == "it lives\n"


def uncollected(source: Network) -> bool:
    """Every buffer is used, and a frame waits for one."""
    rx = queue(source, RX)
    return rx.published == rx.used and rx.device is not None and bool(rx.device.backlog)


@needs_dpdk
@both_layouts
def test_a_driver_is_killed_and_the_next_one_comes(tmp_path: Path, layout: Layout) -> None:
    """In the middle of traffic both ways; the counts go on from where they were."""
    sock = tmp_path / "s"
    with Backend(str(sock)) as device:
        device.flood()
        device.set_rate(RATE)
        device.start()
        for _ in range(3):
            with DpdkDriver(sock, layout) as driver:
                driver.ready()
                before = counted(device).received
                wanted = before + driver.send_exactly(10_000)
                received(device, wanted)
                driver.start("io")
                goes(device, RX)
                goes(device, TX)
                driver.kill()
                alone(device)
                ended = device.snapshot(())
                assert [one.enabled for one in ended.queues] == [False, False]
                assert ended.queue(TX).used > 10_000
                assert counted(device).received - before >= ended.queue(TX).used


def received(device: Backend, packets: int) -> None:
    until(lambda: counted(device).received == packets, "every packet")


@needs_dpdk
@both_layouts
def test_a_driver_is_paused(tmp_path: Path, layout: Layout) -> None:
    sock = tmp_path / "s"
    with Backend(str(sock)) as device, looked_at(device) as watch, DpdkDriver(sock, layout) as driver:
        device.flood(directions=("to_driver",))
        device.set_rate(RATE)
        device.start()
        driver.start("rxonly")
        goes(device, RX)
        driver.pause()
        until(lambda: uncollected(device), "the ring is full of frames")
        assert device.peer.connected, "its socket says nothing"
        stuck = still(device, RX, watch)
        assert stuck.published == stuck.used == stuck.collected + stuck.size
        assert watch.wait("DRIVER_NOT_REAPING").queue == RX
        driver.resume()
        goes(device, RX)
        device.quiet()
        until(lambda: driver.stats().rx_packets == counted(device).sent, "every packet")


# ---- our driver -----------------------------------------------------------------------------------------


@contextmanager
def driven(tmp_path: Path, layout: Layout, **options: Any) -> Iterator[tuple[DpdkDevice, Frontend]]:
    """DPDK's device and our driver, which sends."""
    sock = tmp_path / "s"
    with DpdkDevice(sock) as device, Frontend(str(sock), layout=layout, **options) as driver:
        driver.flood(directions=("to_device",))
        driver.set_rate(RATE)
        driver.start()
        yield device, driver


@needs_dpdk
@pytest.mark.parametrize(("layout", "waits"), [("split", "poll"), ("packed", "interrupt")])
def test_a_device_is_paused(tmp_path: Path, layout: Layout, waits: str) -> None:
    """It takes nothing more; once it goes on, it gets every packet."""
    with driven(tmp_path, layout, driver=waits) as (device, driver), looked_at(driver) as watch:
        device.joined()
        device.start("rxonly")
        goes(driver, TX)
        device.pause()
        full(driver)
        assert driver.peer.connected, "its socket says nothing"
        stuck = still(driver, TX, watch)
        assert stuck.published == stuck.used + stuck.size
        assert stuck.driver is not None and stuck.driver.backlog
        waited_for(watch)
        device.resume()
        goes(driver, TX)
        driver.quiet()
        until(lambda: device.stats().rx_packets == counted(driver).sent, "every packet")


def waited_for(watch: Watch) -> None:
    """The doctor names the device: by its kicks where it asks for them."""
    until(lambda: watch.findings, "the doctor names it")
    assert {(one.code, one.queue) for one in watch.findings} <= {
        ("DEVICE_NOT_CONSUMING", TX),
        ("KICK_UNSERVICED", TX),
        ("KICK_MISSING", TX),
    }


def full(driver: Frontend) -> None:
    until(
        lambda: queue(driver, TX).published - queue(driver, TX).used == queue(driver, TX).size, "a full ring"
    )


@needs_dpdk
@both_layouts
def test_a_device_is_killed(tmp_path: Path, layout: Layout) -> None:
    with driven(tmp_path, layout) as (device, driver):
        device.joined()
        device.start("rxonly")
        goes(driver, TX)
        device.kill()
        until(lambda: not driver.peer.connected, "the device is gone")
        assert _agreed(driver.peer, 1).startswith("nobody is connected: the back-end hung up; connected to ")
        assert driver.snapshot(()).notes[0] == "no device: the back-end hung up"
        full(driver)
        half = queue(driver, TX).driver
        assert half is not None and not half.broken


def all_but_enable(asking: Asking, name: str, *carried: Any) -> None:
    """Leaves out what makes a back-end that knows PROTOCOL_FEATURES begin."""
    if name != "SET_VRING_ENABLE":
        SAY(asking, name, *carried)


@needs_dpdk
@one_layout
def test_a_queue_that_is_not_enabled_stands_still(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asking, "say", all_but_enable)
    with driven(tmp_path, layout) as (device, driver), looked_at(driver) as watch:
        device.start("rxonly")
        full(driver)
        stuck = still(driver, TX, watch)
        assert (stuck.published, stuck.used) == (stuck.size, 0)
        waited_for(watch)
        assert "SET_VRING_ENABLE" not in {one.name for one in driver.talk.since()}
        assert not device.stats().rx_packets
