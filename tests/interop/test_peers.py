"""The peers themselves, before anything of ours is put between or beside them."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.netns import until
from tests.interop.ours import one_layout
from tests.interop.peers import (
    Clean,
    DpdkDevice,
    DpdkDriver,
    Guest,
    PeerError,
    needs_dpdk,
    needs_qemu,
)
from tests.interop.peers.dpdk import Layout
from tests.interop.peers.guest import _archive
from tests.interop.peers.process import Peer

pytestmark = pytest.mark.xdist_group("peers")

PEER = "10.77.0.1"


@pytest.fixture
def sock() -> Iterator[Path]:
    """A place for a socket, its path short enough for one."""
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:
        yield Path(folder) / "s"


class Shell(Peer):
    """A peer of a few lines of shell."""

    def __init__(self, script: str) -> None:
        super().__init__("the shell")
        self._launch(["sh", "-c", script])


def test_a_peer_is_waited_for_and_ended() -> None:
    with Shell("echo one; read line; echo two; exec sleep 1000") as peer:
        peer.wait("one", 20)
        since = peer.log.mark()
        assert peer.process.stdin is not None
        peer.process.stdin.write(b"\n")
        assert peer.wait(r"t.o\n", 20, since)[0] == "two\n"
        assert peer.log.find("one", since) is None
        pid, directory = peer.pid, peer.directory
        assert directory.is_dir()
    assert not Path(f"/proc/{pid}").exists()
    assert not directory.exists()
    peer.close()


def test_what_a_peer_does_not_say_is_an_error_with_what_it_said() -> None:
    with Shell("echo here it is") as peer, pytest.raises(PeerError, match="here it is"):
        peer.wait("something else", 20)
    with Shell("echo going on; exec sleep 1000") as peer:
        peer.wait("going on", 20)
        with pytest.raises(PeerError, match=r"(?s)in vain.*going on"):
            peer.wait("something else", 0.01)


def test_a_peer_can_be_paused_and_killed() -> None:
    with Shell("while read line; do echo got $line; done") as peer:
        peer.pause()
        state = Path(f"/proc/{peer.pid}/stat")
        assert state.read_text().rpartition(") ")[2].startswith("T")
        assert peer.process.stdin is not None
        peer.process.stdin.write(b"it\n")
        peer.resume()
        peer.wait("got it", 20)
        peer.kill()
        assert not peer.running
        assert peer.process.returncode == -signal.SIGKILL


def test_a_paused_peer_is_ended_too() -> None:
    with Shell("read line") as peer:
        peer.pause()
        pid = peer.pid
    assert not Path(f"/proc/{pid}").exists()


ORPHAN = """
import os, signal, sys
from tests.interop.peers.process import Peer

peer = Peer("the orphan")
peer._launch(["sh", "-c", "echo up; exec sleep 1000"])
peer.wait("up", 60)
print(peer.pid, peer.directory, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_peer_dies_with_whoever_started_it() -> None:
    starter = subprocess.Popen([sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        number, directory = starter.stdout.readline().decode().split()
        orphan = os.pidfd_open(int(number))
        starter.stdin.write(b"\n")
    try:
        assert select.select([orphan], [], [], 60)[0], "it lives on"
    finally:
        os.close(orphan)
        shutil.rmtree(directory)


def test_a_sample_tells_whether_a_thread_ran() -> None:
    with Shell("read line") as peer:
        with Clean(Path(f"/proc/{peer.pid}/task/{peer.pid}")) as sample:
            os.sched_yield()
        assert not sample.clean
        assert sample.run < 97
    with pytest.raises(ValueError, match="at least one"):
        Clean()


@pytest.mark.skipif(shutil.which("cpio") is None, reason="not installed: cpio")
def test_the_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"".join(_archive({"init": b"x", "bin/tool": b"12345"})))
    with Shell(f"cd {tmp_path} && cpio -i --quiet <a && cat init bin/tool && echo .") as peer:
        peer.wait(r"x12345\.\n", 20)
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


@needs_dpdk
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_dpdk_counts_the_same_on_both_ends(sock: Path, layout: Layout) -> None:
    with DpdkDevice(sock) as device, DpdkDriver(sock, layout) as driver:
        device.joined()
        device.start("rxonly")
        assert driver.send_exactly(10_000) == 10_000
        assert driver.send_exactly(33) == 33
        got, sent = device.received(10_033), driver.stats()
        assert (got.rx_packets, got.rx_bytes) == (sent.tx_packets, sent.tx_bytes) == (10_033, 10_033 * 64)
        assert got.rx_errors == sent.tx_errors == 0
        assert bool(device.features >> 34 & 1) == (layout == "packed")
        assert any("packed" in path for path in driver.paths) == (layout == "packed")
        with Clean(*driver.pollers, *device.pollers) as sample:
            driver.stats()
        assert sample.seconds > 0


@needs_dpdk
def test_the_driver_may_listen_and_have_several_queues(sock: Path) -> None:
    waiting = DpdkDriver(sock, "packed", server=True, queues=2, queue_size=512, packet_size=1000)
    with waiting as driver, DpdkDevice(sock, client=True, queues=2) as device:
        device.joined()
        device.start("rxonly")
        with pytest.raises(ValueError, match="2 queues"):
            driver.send_exactly(1_001)
        driver.send_exactly(1_002)
        assert device.received(1_002).rx_bytes == 1_002_000
        driver.start("rxonly")
        device.stop()
        device.start("txonly")
        assert driver.received(1_000).rx_errors == 0


@needs_dpdk
def test_a_paused_device_gets_every_packet_later(sock: Path) -> None:
    """The driver waits for room in the ring, the packets for the device."""
    with DpdkDevice(sock) as device, DpdkDriver(sock, "split") as driver:
        device.joined()
        device.start("rxonly")
        driver.ready()
        device.pause()
        driver.send_exactly(256)
        assert driver.stats().tx_packets == 256
        device.resume()
        assert device.received(256).rx_packets == 256


@needs_dpdk
def test_a_killed_device_leaves_its_place_to_the_next(sock: Path) -> None:
    with DpdkDevice(sock) as device:
        device.kill()
        assert sock.is_socket()
        with DpdkDevice(sock) as second, DpdkDriver(sock, "packed") as driver:
            second.joined()
            second.start("rxonly")
            driver.send_exactly(64)
            second.received(64)


@needs_dpdk
def test_hugepages_are_given_back(sock: Path) -> None:
    count = Path("/proc/sys/vm/nr_hugepages")
    before = count.read_text()
    try:
        with DpdkDevice(sock, hugepages=True) as device, DpdkDriver(sock, "split", hugepages=True) as driver:
            assert count.read_text() != before
            device.joined()
            device.start("rxonly")
            driver.send_exactly(64)
            device.received(64)
    except PeerError as error:
        if "hugepages" not in str(error) and "no room" not in str(error):
            raise
        pytest.skip(str(error))
    finally:
        assert count.read_text() == before


@needs_dpdk
def test_what_testpmd_refuses_is_an_error(sock: Path) -> None:
    with DpdkDevice(sock) as device:
        with pytest.raises(PeerError, match="refuses 'set fwd nonsense'"):
            device.start("nonsense")
        with pytest.raises(PeerError, match="nothing yet"):
            _ = device.features


@needs_dpdk
@needs_qemu
@one_layout
def test_a_guest_boots_pings_and_boots_again(sock: Path, layout: Layout) -> None:
    with DpdkDevice(sock) as device, Guest(sock, layout) as guest:
        device.start("icmpecho")
        guest.put("greet", b"#!/bin/sh\necho hello $1\n")
        guest.boot()
        for bit, want in ((34, layout == "packed"), (29, True), (28, True), (15, True)):
            assert bool(guest.features >> bit & 1) == bool(device.features >> bit & 1) == want, bit
        assert guest.ping(PEER) == 20
        # An ARP request of Linux's own may come between two looks.
        until(lambda: agree(guest, device), "the same counts at both ends")
        guest.interface(False)
        with pytest.raises(PeerError, match="unreachable"):
            guest.ping(PEER, 1)
        guest.interface(True)
        assert guest.ping(PEER, 3) == 3
        if layout == "split":
            obeys(guest)
        guest.reboot()
        assert len(set(guest.boots)) == 2
        assert guest.ping(PEER) == 20


def obeys(guest: Guest) -> None:
    """What does not depend on the ring's layout."""
    assert guest.run("greet you") == "hello you\n"
    assert guest.attempt("echo no; exit 137").status == 137
    with pytest.raises(PeerError, match="exit 3: it is so"):
        guest.run("echo it is so; exit 3")
    # Orphans that end while a command is on its way.
    guest.run("for i in $(seq 60); do (usleep ${i}0000 &); done")
    for number in range(20):
        assert guest.run(f"echo {number}") == f"{number}\n"
    digest = guest.run("head -c 50000 /dev/urandom >/tmp/noise && sha256sum /tmp/noise").split()[0]
    assert hashlib.sha256(guest.read("/tmp/noise")).hexdigest() == digest
    with pytest.raises(PeerError, match="No such file"):
        guest.read("/tmp/silence")
    guest.start_capture()
    assert guest.ping(PEER, 3) == 3
    captured = guest.stop_capture()
    frames = list(_frames(captured.pcap))
    assert (len(frames), captured.lost) == (captured.frames, 0)
    assert sum(frame[12:14] == b"\x08\x00" and frame[23] == 1 for frame in frames) == 6
    guest.run("tool serve 7")
    assert guest.tcp_echo("127.0.0.1", 7, 1_000_001) == "sent 1000001 received 1000001\n"
    assert guest.udp_echo("127.0.0.1", 7, 20, 1400) == "sent 20 received 20 altered 0\n"


@needs_dpdk
@needs_qemu
def test_a_guest_with_two_queue_pairs_that_listens(sock: Path) -> None:
    guest = Guest(sock, "split", server=True, queues=2, cpus=2, event_idx=False, indirect=False, mrg=False)
    with guest, DpdkDevice(sock, client=True, queues=2) as device:
        device.start("icmpecho")
        guest.boot()
        assert guest.features & (1 << 29 | 1 << 28 | 1 << 15) == 0
        assert guest.run("tool channels eth0 1").split() == ["combined", "1", "of", "2"]
        guest.channels(2)
        assert guest.ping(PEER, 5) == 5
        guest.offloads(False)
        assert guest.ping(PEER, 5) == 5


@needs_qemu
def test_a_guest_without_a_device_is_an_error(sock: Path) -> None:
    with Guest(sock, "split") as guest:
        with pytest.raises(PeerError, match="not booted"):
            guest.run("true")
        with pytest.raises(PeerError, match=r"(?s)QEMU did not start.*No such file"):
            guest.boot()


def agree(guest: Guest, device: DpdkDevice) -> bool:
    """True when both ends have counted the same, and no error."""
    counted, stats = guest.counters(), device.stats()
    assert counted["rx_errors"] == counted["tx_errors"] == stats.rx_errors == 0
    return (counted["rx_packets"], counted["tx_packets"]) == (stats.tx_packets, stats.rx_packets)


def _frames(pcap: bytes) -> Iterator[bytes]:
    assert pcap[:4] == struct.pack("<I", 0xA1B23C4D)
    at = 24
    while at < len(pcap):
        length = struct.unpack_from("<I", pcap, at + 8)[0]
        yield pcap[at + 16 : at + 16 + length]
        at += 16 + length
