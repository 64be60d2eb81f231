"""A Linux guest on our device: its kernel's driver, QEMU's front-end, our rings and our responder behind.

One life a layout: what a guest does to its interface, ending with a reboot, and after each step both ends
have counted the same frames and bytes. The doctor looks all the while. RINGSCOPE_FULL=1: longer, and with
each feature of the ring left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dataplane import features as f
from dataplane.responder import Responder
from dataplane.vhost.backend import Backend
from inspector.screens.peer import _rings
from tests.interop.netns import MIB, until
from tests.interop.ours import FULL, Count, counted, one_layout, watched
from tests.interop.peers import Guest, PeerError, needs_qemu
from tests.interop.peers.dpdk import Layout

pytestmark = [pytest.mark.xdist_group("peers"), needs_qemu]

HOST = "10.77.0.1"
PINGS, DATAGRAMS, STREAM, TURNS = (50, 5_000, 64 * MIB, 3) if FULL else (5, 200, 4 * MIB, 1)


class Bench:
    """A guest and our device; `agree` compares what they counted since the guest came up."""

    def __init__(self, device: Backend, guest: Guest) -> None:
        self.device, self.guest = device, guest
        self._before = Count()

    def up(self, boot: Callable[[], None]) -> None:
        """The guest's counts begin anew, ours go on."""
        self._before = counted(self.device)
        boot()

    def agree(self) -> None:
        """An ARP request of Linux's own may come between two looks."""
        until(self._agree, "the same counts at both ends")

    def _agree(self) -> bool:
        theirs, ours = self.guest.counters(), counted(self.device) - self._before
        wrong = {name: n for name, n in theirs.items() if n and name.endswith(("errors", "dropped"))}
        assert not wrong and not ours.drops, (wrong, ours)
        assert not self.device.snapshot(()).notes
        names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes")
        return [theirs[name] for name in names] == [
            ours.sent, ours.received, ours.sent_bytes, ours.received_bytes,
        ]  # fmt: skip

    def talk(self, stream: int = STREAM, datagrams: int = DATAGRAMS, size: int = 1400) -> None:
        """Ping, UDP and TCP; the tool in the guest compares every byte that comes back."""
        guest = self.guest
        assert guest.ping(HOST, PINGS) == PINGS
        assert (
            guest.udp_echo(HOST, 7, datagrams, size, 300)
            == f"sent {datagrams} received {datagrams} altered 0\n"
        )
        assert guest.tcp_echo(HOST, 7, stream, 600) == f"sent {stream} received {stream}\n"
        self.agree()

    def moved(self) -> list[int]:
        """Frames of each ring: rx0, tx0, rx1, tx1."""
        halves = [queue.device for queue in self.device.snapshot(()).queues]
        return [half.frames for half in halves if half is not None]


@contextmanager
def life(sock: Path, layout: Layout, *, pairs: int = 1, listen: bool = True, **guest: Any) -> Iterator[Bench]:
    """A guest that has come up on our device, with the doctor beside."""
    with ExitStack() as stack:
        host = stack.enter_context(Responder(HOST))
        device = stack.enter_context(Backend(str(sock), queue_pairs=pairs, listen=listen))
        device.plug(host.fileno())
        device.start()
        stack.enter_context(watched(device))
        peer = stack.enter_context(Guest(sock, layout, queues=pairs, cpus=pairs, server=not listen, **guest))
        bench = Bench(device, peer)
        bench.up(peer.boot)
        assert device.identity.packed == (layout == "packed")
        yield bench


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_guest_lives_on_our_device(tmp_path: Path, layout: Layout) -> None:
    with life(tmp_path / "s", layout, pairs=2) as bench:
        guest, device = bench.guest, bench.device
        took = device.identity.accepted
        for bit in (f.F_VERSION_1, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.NET_F_MRG_RXBUF, f.NET_F_HOST_TSO4):
            assert f.has(took, bit), f.feature_names(f.mask(bit))
        bench.talk()
        queue_pairs(bench)
        for mtu, size in ((900, 800), (9000, 8500)):
            guest.run(f"ip link set eth0 mtu {mtu}")
            bench.talk(STREAM // 4, DATAGRAMS // 4, size)
        guest.run("ip link set eth0 mtu 1500")
        for _ in range(TURNS):
            guest.interface(False)
            with pytest.raises(PeerError, match="unreachable"):
                guest.ping(HOST, 1)
            guest.interface(True)
            assert guest.ping(HOST, 3) == 3
        guest.offloads(False)
        bench.talk(STREAM // 4)
        for _ in range(TURNS):
            bench.up(guest.reboot)
            assert f.has(device.identity.accepted, f.F_RING_PACKED) == (layout == "packed")
            bench.talk()
        assert len(set(guest.boots)) == TURNS + 1


def states(device: Backend) -> dict[str, str]:
    """What the screen of the other end says of each ring."""
    return {row.texts[0]: row.texts[1] for row in _rings(device.peer, False)}


def queue_pairs(bench: Bench) -> None:
    """The second pair goes, comes back, and both carry traffic each way."""
    guest, device = bench.guest, bench.device
    guest.channels(1)
    until(lambda: not device.peer.rings[2].enabled, "the second pair is not used")
    off = "started, not enabled"
    assert states(device) == {"rx0": "started", "tx0": "started", "rx1": off, "tx1": off}
    before = bench.moved()
    assert guest.ping(HOST, 3) == 3
    assert bench.moved()[2:] == before[2:]
    guest.channels(2)
    until(lambda: device.peer.rings[3].enabled, "the second pair is used")
    assert set(states(device).values()) == {"started"}
    for port in range(7000, 7100):  # which receive queue it is depends on the ports
        guest.run(f"taskset -c {port % 2} tool udp {HOST} {port} 20 700")
        if all(now > then + 20 for now, then in zip(bench.moved(), before, strict=True)):
            break
    else:
        pytest.fail(f"one of the rings stood still: {before}, then {bench.moved()}")
    bench.agree()


@pytest.mark.skipif(not FULL, reason="RINGSCOPE_FULL=1 asks for it")
@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    "without",
    [
        {"event_idx": False},
        {"indirect": False},
        {"mrg": False},
        {"event_idx": False, "indirect": False, "mrg": False, "queue_size": 1024},
        {"listen": False},
    ],
    ids=lambda one: "+".join(one),
)
def test_a_guest_without_a_feature(tmp_path: Path, layout: Layout, without: dict[str, Any]) -> None:
    with life(tmp_path / "s", layout, **without) as bench:
        for bit, name in (
            (f.F_EVENT_IDX, "event_idx"),
            (f.F_INDIRECT_DESC, "indirect"),
            (f.NET_F_MRG_RXBUF, "mrg"),
        ):
            assert f.has(bench.device.identity.accepted, bit) == without.get(name, True), name
        bench.talk(16 * MIB, 2_000)
        bench.guest.offloads(False)
        bench.talk(4 * MIB, 200)
        bench.up(bench.guest.reboot)
        bench.talk(4 * MIB, 200)


@one_layout
def test_a_guest_is_migrated_away(tmp_path: Path, layout: Layout) -> None:
    """To nowhere: its memory goes while our device writes into it, which has the pages sent again; then it
    goes on here."""
    with Responder(HOST) as host, Backend(str(tmp_path / "s")) as device:
        device.plug(host.fileno())
        device.start()
        with Guest(tmp_path / "s", layout) as guest:
            guest.boot()
            guest.run(f"(ping -A {HOST} >/dev/null 2>&1 &)")
            guest.monitor("migrate", uri="exec:cat >/dev/null")
            until(lambda: guest.monitor("query-migrate")["status"] == "completed", "it is migrated")
            said = [one.name for one in device.talk.since()]
            assert "SET_LOG_BASE" in said and not any(one.refused for one in device.talk.since())
            guest.monitor("cont")
            assert guest.ping(HOST, 5) == 5
