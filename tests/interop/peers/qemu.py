"""A Linux guest in QEMU as the peer: the kernel's virtio-net driver, through QEMU's vhost-user front-end.

QEMU emulates the processor (TCG), so the guest's speed says nothing; what it does is that of real hardware.
It has no MSI-X (`vectors=0`): with that, QEMU 7.2 under TCG dies of a null pointer as the device starts.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import itertools
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dpdk import Layout
from .guest import write_initramfs
from .install import kernel
from .process import Peer, PeerError, Transcript

BOOT = 90.0  #: seconds; a quiet machine needs six
_SLACK = 20.0  #: seconds more than a command's own, until its answer is here
_LONGEST = 16384  #: of a command: what the terminal between keeps while init is busy
_CAPTURE = "/tmp/capture.pcap"
ON_OFF = {True: "on", False: "off"}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command in the guest: its exit status, and both its outputs."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Captured:
    """A pcap file that the guest wrote, frames in and out alike, and what its kernel could not keep."""

    pcap: bytes
    frames: int
    lost: int


class Guest(Peer):
    """One guest with one NIC, eth0, whose device is behind `sock`; `boot()` starts it.

    QEMU connects to `sock`, or with `server` listens there and waits for the device. `cpus` are the guest's;
    Linux takes as many queue pairs as it has processors, `channels()` asks for others. `properties` are added
    to those of QEMU's virtio-net-pci. With `disk` it has a disk instead, /dev/vda, and no NIC.
    """

    def __init__(
        self,
        sock: Path | str,
        layout: Layout,
        *,
        server: bool = False,
        queues: int = 1,
        event_idx: bool = True,
        indirect: bool = True,
        mrg: bool = True,
        queue_size: int = 256,
        memory_mib: int = 192,
        cpus: int = 1,
        address: str = "10.77.0.2/24",
        mac: str = "52:54:00:77:00:02",
        cpu: int | None = None,
        properties: Mapping[str, str] | None = None,
        disk: bool = False,
    ) -> None:
        super().__init__("the guest")
        found = kernel()
        if found is None:
            self.close()
            raise PeerError("there is no kernel for a guest")
        self._kernel = found
        self._files: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self._line: socket.socket | None = None
        self._said: Transcript | None = None
        self.features = 0  #: the virtio features that the driver took
        self.boots: list[str] = []  #: one id of Linux's own for each time it came up
        here = self.directory
        device = {
            "netdev": "n0",
            "mac": mac,
            "packed": ON_OFF[layout == "packed"],
            "event_idx": ON_OFF[event_idx],
            "indirect_desc": ON_OFF[indirect],
            "mrg_rxbuf": ON_OFF[mrg],
            "rx_queue_size": str(queue_size),
            "tx_queue_size": str(queue_size),
            "mq": ON_OFF[queues > 1],
            "vectors": "0",
            **(properties or {}),
        }
        front = [
            "-netdev", f"vhost-user,id=n0,chardev=c0,queues={queues}",
            "-device", ",".join(["virtio-net-pci", *(f"{name}={value}" for name, value in device.items())]),
        ]  # fmt: skip
        if disk:
            front = ["-device", f"vhost-user-blk-pci,chardev=c0,num-queues={queues},vectors=0"]
        self._argv = [
            *(["taskset", "-c", str(cpu)] if cpu is not None else []),
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", str(cpus), "-m", str(memory_mib),
            "-object", f"memory-backend-memfd,id=m0,size={memory_mib}M,share=on",
            "-machine", "q35,memory-backend=m0", "-nodefaults", "-no-user-config", "-display", "none",
            "-chardev", f"socket,id=c0,path={sock}" + (",server=on" if server else ""),
            *front,
            "-qmp", f"unix:{here / 'qmp'},server=on,wait=off",
            "-serial", "stdio", "-chardev", f"socket,id=line,path={here / 'line'}", "-serial", "chardev:line",
            "-kernel", str(found.image), "-initrd", str(here / "initrd"),
            "-append", f"console=ttyS0 quiet panic=0 guest_address={address}"
            + (" guest_disk=1" if disk else ""),
        ]  # fmt: skip

    def put(self, name: str, data: bytes) -> None:
        """A program or file for the guest's /bin; before it boots."""
        if self._process is not None:
            raise ValueError("files are put into a guest before it boots")
        self._files[name] = data

    def boot(self, timeout: float = BOOT) -> None:
        """Starts QEMU and waits until eth0 is up; the console's end is in the error when it does not come."""
        deadline = time.monotonic() + timeout
        write_initramfs(self.directory / "initrd", self._kernel, self._files)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.directory / "line"))
            listener.listen(1)
            self._launch(self._argv)
            line = self._line = self._accept(listener, deadline)
        self._said = Transcript("the guest's init", lambda: line.recv(65536))
        self._await_ready(0, deadline)

    def _accept(self, listener: socket.socket, deadline: float) -> socket.socket:
        """QEMU's connection for the commands; it makes it as it starts."""
        listener.settimeout(0.1)
        while True:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if not self.running or time.monotonic() > deadline:
                    raise PeerError(f"QEMU did not start:\n{self.log.tail()}") from None

    def _await_ready(self, since: int, deadline: float) -> None:
        try:
            found = self._init.wait(
                r"^(?:READY (\S+) ([01]+)|FAILED (.*?))\r?\n", deadline - time.monotonic(), since
            )
        except PeerError as error:
            raise PeerError(f"{error}\nand its console:\n{self.log.tail()}") from None
        if found[3]:
            raise PeerError(f"the guest came up without its device: {found[3]}")
        self.features = sum(1 << bit for bit, one in enumerate(found[2]) if one == "1")
        self.boots.append(found[1])

    @property
    def _init(self) -> Transcript:
        if self._said is None:
            raise PeerError("the guest was not booted")
        return self._said

    def _send(self, command: str, timeout: float) -> tuple[int, int]:
        """Hands a command over; its number, and the place that its answer comes after."""
        code = base64.b64encode(command.encode()).decode()
        if len(code) > _LONGEST:
            raise ValueError(f"a command of {len(command)} characters is too long: put() a script")
        number, since = next(self._numbers), self._init.mark()
        assert self._line is not None
        try:
            self._line.sendall(f"{number} {max(1, round(timeout))} {code}\n".encode())
        except OSError as error:
            raise PeerError(
                f"the guest has gone: {error.strerror}; its console:\n{self.log.tail()}"
            ) from None
        return number, since

    def _answer(self, command: str, timeout: float) -> tuple[int, bytes]:
        number, since = self._send(command, timeout)
        end = self._init.wait(rf"^END {number} (\d+)\r?\n", timeout + _SLACK, since)
        code = self._init.text(since).partition(f"BEGIN {number}")[2].partition(end[0])[0]
        try:
            return int(end[1]), base64.b64decode("".join(code.split()), validate=True)
        except binascii.Error as error:
            raise PeerError(f"the guest's answer to {command!r} came broken: {error}") from None

    def attempt(self, command: str, timeout: float = 20.0) -> Ran:
        """Runs a line of shell in the guest; it is killed there, with status 137, when its time is over."""
        status, output = self._answer(command, timeout)
        return Ran(status, output.decode(errors="replace"))

    def run(self, command: str, timeout: float = 20.0) -> str:
        """What a line of shell printed; PeerError with that when its exit status is not 0."""
        done = self.attempt(command, timeout)
        if done.status:
            raise PeerError(f"{command!r} in the guest: exit {done.status}: {done.output.strip()}")
        return done.output

    def reboot(self, timeout: float = BOOT) -> None:
        """Boots Linux anew in the same QEMU, from the reset on, and waits until eth0 is up again."""
        deadline = time.monotonic() + timeout
        _, since = self._send("reboot -f", 10)
        self._await_ready(since, deadline)
        if self.boots[-1] in self.boots[:-1]:
            raise PeerError("the guest did not boot anew")

    def read(self, path: str, timeout: float = 60.0) -> bytes:
        """The content of a file in the guest; its console carries some 100 KB a second."""
        status, packed = self._answer(f"gzip -c {path}", timeout)
        if status:
            raise PeerError(f"{path} in the guest: {packed.decode(errors='replace').strip()}")
        return gzip.decompress(packed)

    def monitor(self, command: str, **arguments: object) -> Any:
        """One command of QMP and what it returns: `stop` stops the virtual machine, and with it its rings."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(str(self.directory / "qmp"))
            lines = monitor.makefile("rw")
            answer: dict[str, Any] = {}
            for said, more in (("", {}), ("qmp_capabilities", {}), (command, arguments)):
                if said:
                    lines.write(json.dumps({"execute": said, "arguments": more}) + "\n")
                    lines.flush()
                while not {"QMP", "return", "error"} & set(answer := json.loads(lines.readline())):
                    pass
                if "error" in answer:
                    raise PeerError(f"QEMU does not {said}: {answer['error']}")
            return answer["return"]

    def interface(self, up: bool) -> None:
        """eth0 up or down; its address stays."""
        self.run(f"ip link set eth0 {'up' if up else 'down'}")

    def counters(self) -> dict[str, int]:
        """eth0's statistics as Linux counts them: rx_packets, tx_dropped and so on."""
        said = self.run("cd /sys/class/net/eth0/statistics && grep -H . *")
        return {name: int(value) for name, _, value in (line.partition(":") for line in said.splitlines())}

    def ping(self, target: str, count: int = 20, size: int = 56) -> int:
        """So many echo requests, ten a second: the number answered."""
        said = self.attempt(
            f"ping -q -i 0.1 -s {size} -c {count} -w {count + 20} {target}", count + 30
        ).output
        received = re.search(r"(\d+) packets received", said)
        if received is None:
            raise PeerError(f"ping in the guest: {said.strip()}")
        return int(received[1])

    def channels(self, pairs: int) -> None:
        """Uses so many queue pairs."""
        self.run(f"tool channels eth0 {pairs}")

    def offloads(self, on: bool) -> None:
        """Leaves checksums and segmentation to the device, or does them in the guest."""
        self.run(f"tool offloads eth0 {on:d}")

    def tcp_echo(self, target: str, port: int, size: int, timeout: float = 60.0) -> str:
        """Sends `size` bytes over TCP to an echo and verifies each that comes back."""
        return self.run(f"tool tcp {target} {port} {size}", timeout)

    def udp_echo(self, target: str, port: int, count: int, size: int, timeout: float = 60.0) -> str:
        """Sends datagrams to an echo, one at a time; none may be missing or altered."""
        return self.run(f"tool udp {target} {port} {count} {size}", timeout)

    def start_capture(self, interface: str = "eth0") -> None:
        """Keeps every frame of an interface, both ways, from the return of this on."""
        self.run(f"tool capture start {interface} {_CAPTURE}")

    def stop_capture(self) -> Captured:
        words = self.run(f"tool capture stop {_CAPTURE}").split()
        return Captured(self.read(_CAPTURE), int(words[1]), int(words[3]))

    def close(self) -> None:
        super().close()
        if self._line is not None:
            self._init.join()
            self._line.close()
            self._line = None
