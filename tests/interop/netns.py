"""Two network stacks of Linux's own for the two ends of a cable, made and unmade by the tests.

A `Bench` owns everything it makes: two network namespaces, the two TAPs moved into them, the captures that
watch them. Leaving it removes all of that, by name and by process, whatever happened in between.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

CLONE_NEWNET = 0x40000000
PATIENCE = 60.0  #: seconds after which something that should happen has failed to
V4 = {"driver": "192.0.2.1", "device": "192.0.2.2"}
V6 = {"driver": "2001:db8::1", "device": "2001:db8::2"}
MIB = 1 << 20

End = Literal["driver", "device"]
ENDS: tuple[End, End] = ("driver", "device")


def lacking() -> str:
    """Why there can be no bench here; "" when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    missing = [tool for tool in ("ip", "ping", "tcpdump") if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def run(*argv: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (
        f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}{done.stdout}"
    )
    return done.stdout


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; AssertionError naming it when PATIENCE is over."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain for {what}"
        time.sleep(0.01)


class Namespace:
    """One network namespace, by name, until deleted."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)

    def run(self, *argv: str) -> str:
        return run("ip", "netns", "exec", self.name, *argv)

    def socket(self, family: int, kind: int) -> socket.socket:
        """A socket that lives in this namespace; it can be used from any thread."""
        made: list[socket.socket] = []

        def make() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if libc.setns(fd, CLONE_NEWNET) == 0:
                    made.append(socket.socket(family, kind))
            finally:
                os.close(fd)

        # setns() moves one thread, so a thread that ends afterwards needs no way back.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        assert made, f"cannot enter namespace {self.name}"
        made[0].settimeout(PATIENCE)
        return made[0]

    def delete(self) -> None:
        run("ip", "netns", "del", self.name)


class Tcpdump:
    """tcpdump on one interface and one direction of it, writing `path`; ready once constructed."""

    def __init__(
        self, namespace: Namespace, interface: str, direction: Literal["in", "out"], path: Path
    ) -> None:
        self.path = path
        argv = [
            "ip",
            "netns",
            "exec",
            namespace.name,
            "tcpdump",
            "-i",
            interface,
            "-Q",
            direction,
            "-w",
            str(path),
        ]
        argv += ["-n", "-U", "-s", "0", "-B", "32768", "-Z", "root"]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._read = 0
        self._tail = b""
        self._said = b""
        assert self._process.stderr is not None
        deadline = time.monotonic() + PATIENCE
        while b"listening on" not in self._said:
            ready, _, _ = select.select([self._process.stderr], [], [], max(0.0, deadline - time.monotonic()))
            said = os.read(self._process.stderr.fileno(), 4096) if ready else b""
            self._said += said
            if not said:
                self.close()
                raise AssertionError(f"tcpdump does not listen on {interface}: {self._said.decode()}")

    def wrote(self, marker: bytes) -> bool:
        """True once the file holds these bytes; call it with one marker until it does."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = self._tail + file.read()
            self._read = file.tell()
        self._tail = new[1 - len(marker) :]
        return marker in new

    def stop(self) -> None:
        """End it and make sure that it lost nothing."""
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=PATIENCE)
        report = (self._said + said).decode()
        assert "0 packets dropped by kernel" in report, report

    def frames(self) -> list[bytes]:
        return list(read_pcap(self.path.read_bytes()))

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self.running:
            self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def read_pcap(raw: bytes) -> Iterator[bytes]:
    """The frames of a little-endian classic capture file, each of them whole."""
    assert raw[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"), raw[:4]
    at = 24
    while at < len(raw):
        _, _, captured, length = struct.unpack_from("<IIII", raw, at)
        assert captured == length, "a capture cut a frame short"
        yield raw[at + 16 : at + 16 + captured]
        at += 16 + captured


@dataclass(frozen=True, slots=True)
class Transfer:
    """SHA-256 of what one end sent and of what the other received."""

    sent: str
    received: str


class Bench:
    """Two namespaces and whatever is put into them; a context manager that leaves nothing behind."""

    _made = 0

    def __init__(self) -> None:
        Bench._made += 1
        stem = f"rs{os.getpid()}-{Bench._made}"
        self.names: dict[End, str] = {
            "driver": f"{stem}-v",
            "device": f"{stem}-e",
        }  #: namespaces and TAPs alike
        self.stack = ExitStack()
        self.spaces: dict[End, Namespace] = {}
        self.settled: dict[End, Counter[str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for end in ENDS:
                self.spaces[end] = Namespace(self.names[end])
                undo.callback(self.spaces[end].delete)
            self.stack = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def plug(self) -> None:
        """Move the open TAPs into their namespaces, give them addresses and raise them."""
        for end in ENDS:
            name = self.names[end]
            run("ip", "link", "set", name, "netns", name)
            space = self.spaces[end]
            space.run("ip", "addr", "add", f"{V4[end]}/24", "dev", name)
            space.run("ip", "-6", "addr", "add", f"{V6[end]}/64", "dev", name, "nodad")
            # Long enough that the kernel never drops a frame which tcpdump has seen.
            space.run("ip", "link", "set", name, "txqueuelen", "10000", "up")

    def tcpdump(self, end: End, direction: Literal["in", "out"], path: Path) -> Tcpdump:
        """A capture of what goes `out` of this end's stack, or comes `in`."""
        watching = Tcpdump(self.spaces[end], self.names[end], direction, path)
        self.stack.callback(watching.close)
        return watching

    def settle(self) -> None:
        """Wait until both ways are open; what the kernel drops while it raises a TAP is nobody's loss."""
        self.ping("driver", V4["device"], payload=56, count=1)
        self.settled = {end: self.trouble(end) for end in ENDS}

    def trouble(self, end: End) -> Counter[str]:
        """The kernel's errors and drops on this end's TAP, by name."""
        links = json.loads(self.spaces[end].run("ip", "-s", "-j", "link", "show", self.names[end]))
        stats = links[0]["stats64"]
        return Counter(
            {f"{way} {name}": stats[way][name] for way in ("rx", "tx") for name in ("errors", "dropped")}
        )

    def ping(self, source: End, target: str, *, payload: int, count: int = 10) -> None:
        """Echo requests that may not be fragmented, until `count` are answered.

        ping itself forgets a reply that is later than two of the round trips before, so a slow one costs
        another request and no verdict; whoever must know that nothing was lost counts the frames.
        """
        argv = ["ping", "-n", "-q", "-i", "0.01", "-M", "do", "-s", str(payload), "-c", str(count)]
        said = self.spaces[source].run(*argv, "-w", f"{PATIENCE / 2:.0f}", target)
        answered = re.search(r"(\d+) received", said)
        assert answered and int(answered[1]) >= count, said

    def transfer(self, source: End, *, size: int, family: int = socket.AF_INET) -> Transfer:
        """Send `size` bytes (whole MiB) over TCP from one end to the other."""
        target: End = "device" if source == "driver" else "driver"
        address = (V4 if family == socket.AF_INET else V6)[target]
        sent = hashlib.sha256()
        received = hashlib.sha256()
        with (
            self.spaces[target].socket(family, socket.SOCK_STREAM) as listener,
            self.spaces[source].socket(family, socket.SOCK_STREAM) as sender,
        ):
            listener.bind((address, 0))
            listener.listen(1)
            sender.connect(listener.getsockname()[:2])
            receiver, _ = listener.accept()
            receiver.settimeout(PATIENCE)

            def send() -> None:
                block = bytearray(random.Random(size).randbytes(MIB))
                with sender:
                    for number in range(size // MIB):
                        struct.pack_into("<Q", block, 0, number)
                        sent.update(block)
                        sender.sendall(block)

            sending = threading.Thread(target=send)
            sending.start()
            with receiver:
                buffer = memoryview(bytearray(MIB))
                while got := receiver.recv_into(buffer):
                    received.update(buffer[:got])
            sending.join()
        return Transfer(sent.hexdigest(), received.hexdigest())

    def mark(self, marker: bytes) -> None:
        """One UDP datagram with these bytes each way, received."""
        for source, target in (ENDS, ENDS[::-1]):
            with (
                self.spaces[target].socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
                self.spaces[source].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            ):
                receiver.bind((V4[target], 0))
                sender.sendto(marker, receiver.getsockname())
                assert receiver.recv(2048) == marker


def between(frames: list[bytes], start: bytes, end: bytes) -> list[bytes]:
    """The frames from the one that holds `start` to the one that holds `end`, both included."""
    first = next(i for i, frame in enumerate(frames) if start in frame)
    last = next(i for i, frame in enumerate(frames) if end in frame)
    return frames[first : last + 1]
