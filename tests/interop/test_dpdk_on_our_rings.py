"""DPDK's virtio-user driver on our device, and our driver on DPDK's vhost device: both ends count the same.

Each case sends in both directions and compares to the packet. A few cases with 100,000 packets each way;
RINGSCOPE_FULL=1: all of them, 100 million packets each way for each of the two ends of ours.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path as File

import pytest

from dataplane import features as f
from dataplane.network import Network
from dataplane.records import Path
from dataplane.vhost.backend import Backend
from dataplane.vhost.frontend import Frontend
from tests.interop.netns import until
from tests.interop.ours import FULL, counted, watched
from tests.interop.peers import DpdkDevice, DpdkDriver, needs_dpdk
from tests.interop.peers.dpdk import Layout

pytestmark = [pytest.mark.xdist_group("peers"), needs_dpdk]

PACKETS = 100_000_000 if FULL else 100_000
_LARGE = "-guest_tso4,-guest_tso6"  # without MRG_RXBUF they would make every receive buffer large


@dataclass(frozen=True, slots=True)
class Case:
    """What is agreed on; `vectorized` is DPDK's driver's own, `chains` ours."""

    layout: Layout
    size: int = 256
    mrg: bool = True
    in_order: bool = False
    vectorized: bool = False
    chains: Path = Path.AUTO
    length: int = 64

    def __str__(self) -> str:
        words = [f"{self.layout}-{self.size}", "mrg" if self.mrg else "single"]
        words += [word for word in ("in_order", "vectorized") if getattr(self, word)]
        words += [self.chains.name.lower()] if self.chains != Path.AUTO else []
        return "-".join([*words, *([f"{self.length}B"] if self.length != 64 else [])])

    @property
    def features(self) -> str:
        """What our driver takes."""
        return (
            f"{'+' if self.in_order else '-'}in_order,{'+mrg_rxbuf' if self.mrg else '-mrg_rxbuf,' + _LARGE}"
        )

    def agreed(self, features: int) -> None:
        """What was asked for is in force."""
        for bit, wanted in (
            (f.F_RING_PACKED, self.layout == "packed"),
            (f.NET_F_MRG_RXBUF, self.mrg),
            (f.F_IN_ORDER, self.in_order),
        ):
            assert f.has(features, bit) == wanted, f.feature_names(f.mask(bit))


def their_drivers() -> Iterator[Case]:
    """Of DPDK's driver."""
    if not FULL:
        yield Case("split")
        yield Case("packed")
        yield Case("split", mrg=False, in_order=True, vectorized=True)
        yield Case("packed", mrg=False, in_order=True, vectorized=True)
        yield Case("split", 1024, in_order=True)
        yield Case("packed", 64, mrg=False, length=1500)
        return
    layouts: tuple[Layout, ...] = ("split", "packed")
    for layout in layouts:
        for mrg, in_order, vectorized in itertools.product((True, False), repeat=3):
            yield Case(layout, 256, mrg, in_order, vectorized)
    for layout, size in itertools.product(layouts, (32, 64, 512, 1024, 4096)):
        yield Case(layout, size)
        yield Case(layout, size, mrg=False, in_order=True, vectorized=True)
    for layout in layouts:
        yield Case(layout, length=1500)


def our_drivers() -> Iterator[Case]:
    """Of ours."""
    if not FULL:
        yield Case("split")
        yield Case("packed")
        yield Case("split", mrg=False, in_order=True)
        yield Case("packed", 1024, in_order=True)
        yield Case("split", 64, chains=Path.INDIRECT)
        yield Case("packed", 64, chains=Path.CHAIN, length=1500)
        return
    layouts: tuple[Layout, ...] = ("split", "packed")
    paths = (Path.AUTO, Path.INDIRECT, Path.CHAIN, Path.FIXED)
    for layout, mrg, in_order, chains in itertools.product(layouts, (True, False), (True, False), paths):
        yield Case(layout, 256, mrg, in_order, chains=chains)
    for layout, size in itertools.product(layouts, (2, 8, 32, 64, 512, 1024, 4096, 32768)):
        yield Case(layout, size)
    for layout in layouts:
        yield Case(layout, length=1500)


THEIRS, OURS = list(their_drivers()), list(our_drivers())
Told = Callable[[str, object], None]


def flooded(source: Network, packets: int, length: int, *, quiet: bool = True) -> int:
    """Sends at least so many from our side, then nothing more; how many it were. Without `quiet` what comes
    back is still checked."""
    (way,) = ("to_device" if side == 0 else "to_driver" for side in source.OURS)
    before = counted(source).sent
    source.flood(length=length, directions=(way,))
    until(lambda: counted(source).sent - before >= packets, f"{packets} packets sent")
    if quiet:
        source.quiet()
    else:
        source.flood(length=length, directions=())
    sent = -1
    while sent != (now := counted(source).sent - before):  # the turn that was under way ends
        sent = now
        source.snapshot(())
    return sent


def told(record: Told, who: str, case: Case, sent: int, received: int, seconds: tuple[float, float]) -> None:
    record(
        "told",
        f"{who} {case}: {sent} to the device in {seconds[0]:.1f} s, {received} to the driver in "
        f"{seconds[1]:.1f} s, equal at both ends",
    )


@pytest.mark.parametrize("case", THEIRS, ids=str)
def test_dpdks_driver_on_our_device(tmp_path: File, case: Case, record_property: Told) -> None:
    packets = -(-PACKETS // len(THEIRS)) if FULL else PACKETS
    sock = tmp_path / "s"
    with Backend(str(sock), polls=True, trace="off") as device, watched(device):
        device.log_frames(False)
        device.start()
        with DpdkDriver(
            sock, case.layout, queue_size=case.size, mrg_rxbuf=case.mrg, in_order=case.in_order,
            vectorized=case.vectorized, packet_size=case.length,
        ) as driver:  # fmt: skip
            driver.ready()
            case.agreed(device.identity.accepted)
            began = time.monotonic()
            driver.send_exactly(packets, 600)
            until(lambda: counted(device).received == packets, f"{packets} packets received")
            there = time.monotonic() - began
            assert counted(device).received_bytes == driver.stats().tx_bytes == packets * case.length
            driver.start("rxonly")
            began = time.monotonic()
            sent = flooded(device, packets, case.length)
            until(lambda: driver.stats().rx_packets == sent, f"{sent} packets at DPDK's driver")
            back = time.monotonic() - began
            stats, ours = driver.stats(), counted(device)
            assert (stats.rx_packets, stats.tx_packets) == (ours.sent, ours.received) == (sent, packets)
            assert (stats.rx_bytes, stats.tx_bytes) == (ours.sent_bytes, ours.received_bytes)
            assert stats.rx_errors == stats.tx_errors == stats.rx_nombuf == ours.drops == 0
            told(record_property, "DPDK's driver on our device,", case, packets, sent, (there, back))


@pytest.mark.parametrize("case", OURS, ids=str)
def test_our_driver_on_dpdks_device(tmp_path: File, case: Case, record_property: Told) -> None:
    packets = -(-PACKETS // len(OURS)) if FULL else PACKETS
    sock = tmp_path / "s"
    with (
        DpdkDevice(sock, packet_size=case.length) as device,
        Frontend(
            str(sock), layout=case.layout, queue_size=case.size, features=case.features, driver="poll",
            chains=case.chains, trace="off",
        ) as driver,
        watched(driver),
    ):  # fmt: skip
        driver.log_frames(False)
        driver.start()
        device.joined()
        case.agreed(driver.identity.accepted)
        assert driver.identity.accepted == device.features & ~(1 << 30)
        device.start("rxonly")
        began = time.monotonic()
        sent = flooded(driver, packets, case.length)
        until(lambda: device.stats().rx_packets == sent, f"{sent} packets at DPDK's device")
        there = time.monotonic() - began
        device.stop()
        began = time.monotonic()
        device.start("txonly")
        until(lambda: counted(driver).received >= packets, f"{packets} packets received")
        device.stop()
        stats = device.stats()
        until(lambda: counted(driver).received == stats.tx_packets, "every packet of DPDK's device")
        back = time.monotonic() - began
        ours = counted(driver)
        assert (stats.rx_packets, stats.tx_packets) == (ours.sent, ours.received)
        assert (stats.rx_bytes, stats.tx_bytes) == (ours.sent_bytes, ours.received_bytes)
        assert stats.rx_errors == stats.rx_missed == ours.drops == 0
        told(record_property, "our driver on DPDK's device,", case, sent, ours.received, (there, back))


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("end", ["our device", "our driver"])
def test_what_comes_back_is_whole(tmp_path: File, layout: Layout, end: str) -> None:
    """DPDK sends back what our side numbered: it checks order and content of each frame."""
    sock, length = tmp_path / "s", 400
    with ExitStack() as stack:
        peer: DpdkDevice | DpdkDriver
        ours: Network
        if end == "our device":
            ours = stack.enter_context(Backend(str(sock)))
            ours.start()
            peer = stack.enter_context(DpdkDriver(sock, layout, queue_size=1024))
            peer.ready()
        else:
            peer = stack.enter_context(DpdkDevice(sock))
            ours = stack.enter_context(Frontend(str(sock), layout=layout, queue_size=1024))
            ours.start()
            peer.joined()
        stack.enter_context(watched(ours))
        peer.start("io")
        ours.set_rate(20_000)
        sent = flooded(ours, 20_000, length, quiet=False)
        until(lambda: counted(ours).received == sent - peer.forwarded().tx_dropped, "what was not dropped")
        peer.stop()
        stats = peer.stats()
        assert (stats.rx_packets, stats.tx_packets) == (sent, counted(ours).received)
        assert stats.rx_bytes == counted(ours).sent_bytes == sent * length
        if stats.tx_packets == sent:
            assert not ours.info()["wrong"]
