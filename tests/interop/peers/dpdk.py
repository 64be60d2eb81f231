"""DPDK's testpmd as the peer: its virtio-user driver, or its vhost device.

Both poll on one processor, all the time, so each costs a whole one. Without hugepages their memory is a memfd
of small pages, and nothing on the machine is changed.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

from .hugepages import Hugepages
from .process import Peer, PeerError, cpus

Layout = Literal["split", "packed"]

READY = 30.0  #: seconds within which testpmd shows its prompt, or answers at it
_MIB = 256
_WORKERS = ("lcore-worker-1", "rte-worker-1", "dpdk-worker1")  #: the polling thread's name, by version
_BURST = 32
_NO_PORT = 1000  #: from here on no testpmd has ports
#: a full ring is waited for as long as a noisy machine can hold a peer up: microseconds, times
_RETRY = "set burst tx delay 1 retry 5000000"


@dataclass(frozen=True, slots=True)
class Stats:
    """What a port has counted since its start, and packets a second since the last look."""

    rx_packets: int
    rx_missed: int
    rx_bytes: int
    rx_errors: int
    rx_nombuf: int
    tx_packets: int
    tx_errors: int
    tx_bytes: int
    rx_pps: int
    tx_pps: int


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What testpmd itself did since `start`: a packet that found no room in the ring is dropped here."""

    rx_packets: int
    tx_packets: int
    tx_dropped: int


def _make_way(sock: Path | str) -> None:
    """Removes the socket of one that was killed: DPDK would not listen there."""
    if (path := Path(sock)).is_socket():
        path.unlink()


class Testpmd(Peer):
    """One testpmd with one port."""

    __test__ = False  # pytest takes every Test... for its own

    def __init__(
        self, name: str, vdev: str, *, cpu: int, queues: int, hugepages: bool, eal: tuple[str, ...] = ()
    ) -> None:
        super().__init__(name)
        self.queues = queues
        self._prompted = False
        self._numbers = itertools.cycle(range(_NO_PORT, 60000))
        self._prefix = f"ringscope.{os.getpid()}.{self.directory.name}"
        self._pages = Hugepages()
        memory = ["--in-memory", "--single-file-segments"] if hugepages else ["--no-huge", "--no-shconf"]
        # lcore 0 is the prompt, which sleeps; lcore 1 polls: together they need one processor.
        argv = [
            "dpdk-testpmd", "--lcores", f"0@{cpu},1@{cpu}", "--no-pci", "--no-telemetry", "--iova-mode=va",
            "-m", str(_MIB), *memory, f"--file-prefix={self._prefix}", "--force-max-simd-bitwidth=512",
            "--log-level=pmd.net.virtio.init:info", *eal, "--vdev", vdev,
            "--", "-i", "--total-num-mbufs=16384", f"--rxq={queues}", f"--txq={queues}",
        ]  # fmt: skip
        try:
            if hugepages:
                self._pages.reserve(160)
            self._launch(argv)
        except BaseException:
            self.close()
            raise

    def ready(self, seconds: float = READY) -> None:
        """Waits for the prompt: the port is configured, its other end joined where it cannot do without."""
        if not self._prompted:
            self._until_done(0, seconds)
            self._prompted = True

    def say(self, line: str) -> None:
        """Types a line, without waiting for anything."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{line}\n".encode())
        except OSError as error:
            raise PeerError(f"{self.name} has gone; its last lines:\n{self.log.tail()}") from error

    def ask(self, line: str, seconds: float = READY) -> str:
        """What testpmd says to a line."""
        self.ready()
        since = self.log.mark()
        self.say(line)
        return self._until_done(since, seconds)

    def _until_done(self, since: int, seconds: float) -> str:
        """What it says up to the answer to one more question, which comes after those asked before.

        Prompt and echo come in single bytes, with what other threads say between them; an answer is a line.
        """
        number = next(self._numbers)
        self.say(f"show port info {number}")
        answer = self.wait(rf"Invalid port {number}\n", seconds, since)[0]
        return self.log.text(since).partition(answer)[0]

    def _must(self, line: str, seconds: float = READY) -> str:
        said = self.ask(line, seconds)
        if re.search(r"Bad arguments|Command not found|Ambiguous|not started|Please stop", said):
            raise PeerError(f"{self.name} refuses {line!r}: {' '.join(said.split())}")
        return said

    def start(self, mode: str, first: int | None = None) -> None:
        """Forwards in `mode` (rxonly, txonly, io, macswap, icmpecho, flowgen...), after `first` bursts."""
        self._must(f"set fwd {mode}")
        self._must("start" if first is None else f"start tx_first {first}")

    def stop(self) -> None:
        """Ends forwarding; what has come up to then is counted."""
        said = self.ask("stop")
        if "Done." not in said and "not started" not in said:
            raise PeerError(f"{self.name} did not stop: {said}")

    def stats(self) -> Stats:
        said = self._must("show port stats 0")
        found = {
            name.lower().replace("-", "_"): int(value)
            for name, value in re.findall(r"([RT][Xx]-[a-z]+): +(\d+)", said)
        }
        try:
            return Stats(**{field.name: found[field.name] for field in fields(Stats)})
        except KeyError as error:
            raise PeerError(f"{self.name} tells no {error} in its statistics:\n{said}") from None

    def forwarded(self) -> Forwarded:
        """Counted since `start`; only while it forwards, or after `stop`."""
        said = self._must("show fwd stats all")
        port = said.partition("Accumulated")[0]
        found = {name: int(value) for name, value in re.findall(r"([RT]X-[a-z]+): +(\d+)", port)}
        return Forwarded(found["RX-packets"], found["TX-packets"], found["TX-dropped"])

    def received(self, packets: int, seconds: float = READY) -> Stats:
        """The statistics once that many packets have come since the port's start."""
        deadline = time.monotonic() + seconds
        while (stats := self.stats()).rx_packets < packets:
            if time.monotonic() > deadline:
                raise PeerError(f"{self.name} got {stats.rx_packets} packets of {packets} in {seconds:g} s")
            time.sleep(0.05)
        return stats

    @property
    def pollers(self) -> list[Path]:
        """/proc folders of the threads that poll."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*")
        return [task for task in tasks if (task / "comm").read_text().strip() in _WORKERS]

    def _farewell(self) -> None:
        """Nothing: testpmd shuts its ports and quits when its input ends."""

    def close(self) -> None:
        super().close()
        self._pages.give_back()
        for base in ("/var/run/dpdk", os.environ.get("XDG_RUNTIME_DIR", "/tmp") + "/dpdk"):
            shutil.rmtree(Path(base) / self._prefix, ignore_errors=True)


class DpdkDriver(Testpmd):
    """DPDK's virtio-user: the driver for the device that listens on `sock`, or with `server` connects to it.

    `vectorized` takes effect on packed only with `in_order`, without `mrg_rxbuf` and where the processor has
    AVX-512; `paths` tells.
    """

    def __init__(
        self,
        sock: Path | str,
        layout: Layout,
        *,
        server: bool = False,
        queues: int = 1,
        queue_size: int = 256,
        mrg_rxbuf: bool = True,
        in_order: bool = False,
        vectorized: bool = False,
        packet_size: int = 64,
        mac: str = "02:00:00:00:00:01",
        cpu: int | None = None,
        hugepages: bool = False,
    ) -> None:
        self.packet_size = packet_size
        vdev = (
            f"net_virtio_user0,path={sock},server={server:d},queues={queues},queue_size={queue_size},mac={mac},"
            f"packed_vq={layout == 'packed':d},mrg_rxbuf={mrg_rxbuf:d},in_order={in_order:d},"
            f"vectorized={vectorized:d}"
        )
        cpu = cpus()[-1] if cpu is None else cpu
        if server:
            _make_way(sock)
        super().__init__("DPDK's driver", vdev, cpu=cpu, queues=queues, hugepages=hugepages)

    def start(self, mode: str, first: int | None = None) -> None:
        self._must(f"set txpkts {self.packet_size}")
        super().start(mode, first)

    @property
    def paths(self) -> list[str]:
        """The receive and transmit functions that it chose."""
        return sorted(set(re.findall(r"using (.* [TR]x) path", self.log.text())))

    def send_exactly(self, packets: int, seconds: float = 60.0) -> int:
        """Sends so many packets, none more; the number its port counted, which is that.

        A full ring is waited for, and what was dropped nevertheless is sent again. testpmd sends as much on
        every queue, so `packets` has to be a multiple of their number. It is stopped afterwards.
        """
        if packets < 0 or packets % self.queues:
            raise ValueError(f"{packets} packets cannot be spread evenly over {self.queues} queues")
        deadline = time.monotonic() + seconds
        self._must(_RETRY)
        self._must(f"set txpkts {self.packet_size}")
        before = self.stats().tx_packets
        while left := packets - (self.stats().tx_packets - before):
            burst = _BURST if left >= _BURST * self.queues else 1
            rounds = left // (burst * self.queues)
            if left < 0 or not rounds or time.monotonic() > deadline:
                raise PeerError(f"{self.name} sent {packets - left} packets of {packets} in {seconds:g} s")
            self._must(f"set burst {burst}")
            # Of the modes that wait for room, the one that sends nothing of its own.
            self._must("set fwd icmpecho retry")
            self._must(f"start tx_first {rounds}", max(1.0, deadline - time.monotonic()))
            self.stop()
        self._must(f"set burst {_BURST}")
        return packets


class DpdkDevice(Testpmd):
    """DPDK's vhost device: listens on `sock`, or as a `client` connects and connects again."""

    def __init__(
        self,
        sock: Path | str,
        *,
        client: bool = False,
        queues: int = 1,
        packet_size: int = 64,
        cpu: int | None = None,
        hugepages: bool = False,
    ) -> None:
        self.packet_size = packet_size
        vdev = f"net_vhost0,iface={sock},queues={queues},client={client:d}"
        # With this it tells where it has mapped each ring.
        eal = ("--log-level=lib.vhost.config:debug",)
        cpu = cpus()[0] if cpu is None else cpu
        if not client:
            _make_way(sock)
        super().__init__("DPDK's device", vdev, cpu=cpu, queues=queues, hugepages=hugepages, eal=eal)

    def start(self, mode: str, first: int | None = None) -> None:
        self._must(f"set txpkts {self.packet_size}")
        super().start(mode, first)

    def __enter__(self) -> Self:
        """Listening, so that a driver may connect."""
        try:
            self.ready()
        except BaseException:
            self.close()
            raise
        return self

    def joined(self, seconds: float = READY, since: int = 0) -> None:
        """Waits until a driver has set it up."""
        self.wait("virtio is now ready", seconds, since)

    @property
    def features(self) -> int:
        """The virtio features that were agreed on last."""
        found = re.findall(r"negotiated Virtio features: 0x([0-9a-f]+)", self.log.text())
        if not found:
            raise PeerError(f"{self.name} has agreed on nothing yet")
        return int(found[-1], 16)

    @property
    def messages(self) -> list[str]:
        """The vhost-user messages that came, by name."""
        return re.findall(r"read message VHOST_USER_(\w+)", self.log.text())
