"""The cable: two kernel network stacks talk through the rings of a pair, offloads included, and what we
say crossed them is what tcpdump saw on either side, byte for byte."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from capture.frame import TO_DEVICE, TO_DRIVER, Frame
from dataplane.cable import open_cable
from dataplane.pair import Pair
from inspector.session import Session
from inspector.writing import write_frames
from tests.interop.netns import (
    ENDS,
    MIB,
    PATIENCE,
    V4,
    V6,
    Bench,
    Tcpdump,
    between,
    lacking,
    read_pcap,
    run,
    until,
)

Layout = Literal["split", "packed"]

MTU = 9000
WHOLE = MTU + 14  #: longest frame that is no super-frame
PLAIN = "-csum,-host_tso4,-host_tso6,-host_ecn,-guest_csum,-guest_tso4,-guest_tso6,-guest_ecn"
NEEDS_CSUM, DATA_VALID = 1, 2
TCPV4, TCPV6 = 1, 4

both_layouts = pytest.mark.parametrize("layout", ["split", "packed"])
with_and_without_offloads = pytest.mark.parametrize("features", ["", PLAIN], ids=["offloads", "plain"])


@contextmanager
def cabled(bench: Bench, layout: Layout, features: str = "", mtu: int = MTU) -> Iterator[Pair]:
    """A running pair between the two stacks of a bench, which have their addresses and are up."""
    with (
        Pair(layout=layout, features=features, mtu=mtu) as pair,
        open_cable(*bench.names.values(), features=pair.identity.accepted, mtu=mtu) as joined,
    ):
        bench.plug()
        pair.join(joined.driver.fd, joined.device.fd)
        pair.start()
        try:
            bench.settle()
            yield pair
        finally:
            pair.close()


class Recorder:
    """Reads a pair as the app does, on a thread of its own, and keeps every frame."""

    def __init__(self, pair: Pair) -> None:
        self.session = Session(pair, budget_bytes=512 * MIB)
        self._searched = 1
        self._found: dict[bytes, set[int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pull)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._drain()

    def _pull(self) -> None:
        while not self._stop.wait(0.01):
            self._drain()

    def _drain(self) -> None:
        while self.session.pull().frames_added:
            pass

    def has(self, marker: bytes) -> bool:
        """True once frames with these bytes were seen in both directions."""
        store = self.session.frames
        last = store.last
        found = self._found.setdefault(marker, set())
        for row, data in zip(
            store.rows(self._searched, last + 1), store.payloads(self._searched, last + 1), strict=True
        ):
            for known, directions in self._found.items():
                if known in data:
                    directions.add(int(row["direction"]))
        self._searched = last + 1
        return found == {TO_DEVICE, TO_DRIVER}

    def whole_frames(self) -> tuple[int, int]:
        """How many frames of just the MTU went to the device and to the driver."""
        rows = self.session.frames.rows(1, self.session.frames.last + 1)
        ways = rows["direction"][rows["length"] == WHOLE]
        return int((ways == TO_DEVICE).sum()), int((ways == TO_DRIVER).sum())

    def frames(self) -> list[Frame]:
        """All of them; AssertionError if any was lost or cut."""
        self._drain()
        assert self.session.tick is not None
        assert self.session.tick.frames_lost == 0
        assert self.session.frames.dropped == 0
        made = [self.session.frames.frame(number) for number in range(1, self.session.frames.last + 1)]
        assert all(len(frame.data) == frame.length for frame in made)
        return made


def nothing_dropped(bench: Bench, pair: Pair) -> None:
    """Neither kernel nor ring lost or refused a frame."""
    for end in ENDS:
        wrong = bench.trouble(end) - bench.settled[end]
        assert not wrong, f"{end}'s TAP: {dict(wrong)}"
    for queue in pair.snapshot().queues:
        for side in (queue.driver, queue.device):
            assert side is not None
            assert (side.drops, side.broken) == (0, 0), f"{queue.name}: {side}"


def sound_headers(frames: list[Frame], mergeable: bool) -> None:
    """What 5.1.6.2 and 5.1.6.3 ask of every net header, in both directions."""
    for frame in frames:
        header = frame.net_header
        assert len(header) == 12
        num_buffers = int.from_bytes(header[10:12], "little")
        if frame.direction == TO_DEVICE:
            assert num_buffers == 0
            assert not header[0] & ~NEEDS_CSUM
        else:
            assert num_buffers == (frame.buffers if mergeable else 1)
            assert not header[0] & ~(NEEDS_CSUM | DATA_VALID)
        if header[1]:
            assert header[0] & NEEDS_CSUM
            assert int.from_bytes(header[4:6], "little") > 0


def crossed(frames: list[Frame], direction: int) -> tuple[int, set[int]]:
    """The longest frame that went this way, and the gso_type values of those longer than the MTU."""
    ours = [frame for frame in frames if frame.direction == direction]
    return max(frame.length for frame in ours), {
        frame.net_header[1] for frame in ours if frame.length > WHOLE
    }


@both_layouts
@with_and_without_offloads
def test_ping(bench: Bench, layout: Layout, features: str) -> None:
    with cabled(bench, layout, features) as pair, Recorder(pair) as recorder:
        for payload in (56, 1472, MTU - 28):
            bench.ping("driver", V4["device"], payload=payload)
            bench.ping("device", V4["driver"], payload=payload)
        bench.ping("driver", V6["device"], payload=MTU - 48)
        bench.ping("device", V6["driver"], payload=MTU - 48)
        until(lambda: len(set(recorder.whole_frames())) == 1, "as many replies as requests")
        nothing_dropped(bench, pair)
        frames = recorder.frames()
    sound_headers(frames, mergeable=True)
    assert crossed(frames, TO_DEVICE)[0] == crossed(frames, TO_DRIVER)[0] == WHOLE
    assert min(recorder.whole_frames()) >= 4 * 10


@both_layouts
@with_and_without_offloads
@pytest.mark.parametrize("source", ENDS)
def test_tcp(
    bench: Bench, layout: Layout, features: str, source: Literal["driver", "device"], transfer_bytes: int
) -> None:
    """What arrives is what was sent, and as super-frames exactly where they were negotiated."""
    direction, name = (TO_DEVICE, "tx0") if source == "driver" else (TO_DRIVER, "rx0")
    with cabled(bench, layout, features) as pair:

        def carried() -> int:
            """Bytes that the device has counted on the queue of this direction."""
            return sum(
                q.device.bytes for q in pair.snapshot(()).queues if q.name == name and q.device is not None
            )

        done = bench.transfer(source, size=transfer_bytes)
        assert done.sent == done.received
        with Recorder(pair) as recorder:
            before = carried()
            for family in (socket.AF_INET, socket.AF_INET6):
                done = bench.transfer(source, size=2 * MIB, family=family)
                assert done.sent == done.received
            # A side counts a frame after it has handed it over.
            until(lambda: carried() - before > 2 * 2 * MIB, "the device to have counted them")
            nothing_dropped(bench, pair)
        frames = [recorder.session.frames.frame(n) for n in range(1, recorder.session.frames.last + 1)]
    longest, kinds = crossed(frames, direction)
    if features == PLAIN:
        assert longest == WHOLE
        assert not any(frame.net_header[0] | frame.net_header[1] for frame in frames)
    else:
        assert longest > WHOLE
        assert kinds == {TCPV4, TCPV6}


@both_layouts
@pytest.mark.parametrize(
    "features",
    [
        "-mrg_rxbuf",
        "+in_order",
        "-event_idx",
        "-indirect_desc",
        "+in_order,-mrg_rxbuf,-event_idx,-indirect_desc",
        f"-mrg_rxbuf,{PLAIN}",
    ],
)
def test_tcp_with_other_features(bench: Bench, layout: Layout, features: str) -> None:
    with cabled(bench, layout, features) as pair, Recorder(pair) as recorder:
        bench.ping("driver", V4["device"], payload=MTU - 28)
        for source in ENDS:
            done = bench.transfer(source, size=4 * MIB)
            assert done.sent == done.received
        nothing_dropped(bench, pair)
        frames = recorder.frames()
    sound_headers(frames, mergeable="-mrg_rxbuf" not in features)
    for direction in (TO_DEVICE, TO_DRIVER):
        longest, _ = crossed(frames, direction)
        assert (longest == WHOLE) if PLAIN in features else (longest > WHOLE)


def tshark(*argv: str) -> str:
    """Standard output of tshark, which must have nothing to complain about."""
    done = subprocess.run(
        ["tshark", "-n", *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user ")]
    assert (done.returncode, said) == (0, [])
    return done.stdout


def same(ours: list[bytes], theirs: list[bytes], whose: str) -> None:
    """Equal, frame by frame and in order; the message names the first difference."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        assert one == other, f"frame {number} of {len(ours)} differs from {whose}'s"
    assert len(ours) == len(theirs), whose


@both_layouts
@with_and_without_offloads
def test_our_capture_is_what_tcpdump_saw(bench: Bench, layout: Layout, features: str, tmp_path: Path) -> None:
    """Four captures by tcpdump, in and out at either end, against our file as tshark reads it."""
    if shutil.which("tshark") is None:
        pytest.skip("not installed: tshark")
    start, end = b"first of the frames that we compare", b"last of the frames that we compare"
    with cabled(bench, layout, features) as pair, Recorder(pair) as recorder:
        watching: dict[str, Tcpdump] = {}
        for at in ENDS:
            for way in ("out", "in"):
                watching[f"{at} {way}"] = bench.tcpdump(at, way, tmp_path / f"{at}-{way}.pcap")
        bench.mark(start)
        for target in (V4, V6):
            bench.ping("driver", target["device"], payload=8000)
            bench.ping("device", target["driver"], payload=100)
        for source in ENDS:
            for family in (socket.AF_INET, socket.AF_INET6):
                done = bench.transfer(source, size=MIB, family=family)
                assert done.sent == done.received
        bench.mark(end)
        until(lambda: recorder.has(end), "the last frame in our log")
        for name, theirs in watching.items():
            until(lambda dump=theirs: dump.wrote(end), f"the last frame in the capture of {name}")  # type: ignore[misc]
            theirs.stop()
        nothing_dropped(bench, pair)
        frames = recorder.frames()
        path = tmp_path / "ours.pcapng"
        write_frames(recorder.session, str(path))
        queues = {queue.name: queue.index for queue in pair.snapshot().queues}

    listed = tshark("-r", str(path), "-T", "fields", "-e", "frame.comment").splitlines()
    assert len(listed) == len(frames)
    for frame, comment in zip(frames, listed, strict=True):
        assert f"vnet={frame.net_header.hex()}" in comment
    partial = sum(frame.net_header[0] & NEEDS_CSUM for frame in frames)
    assert partial > 0 if features != PLAIN else partial == 0

    for queue, ends in (("tx0", ("driver out", "device in")), ("rx0", ("device out", "driver in"))):
        part = tmp_path / f"{queue}.pcap"
        tshark("-r", str(path), "-Y", f"frame.interface_id == {queues[queue]}", "-F", "pcap", "-w", str(part))
        ours = between(list(read_pcap(part.read_bytes())), start, end)
        assert len(ours) > 100
        assert (max(map(len, ours)) > WHOLE) == (features != PLAIN)
        for name in ends:
            same(ours, between(watching[name].frames(), start, end), name)

    if features == PLAIN:
        checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
        # Linux writes 0xffff where a TCP checksum comes to 0, which is the same in one's complement.
        bad = "ip.checksum.status == 0 || udp.checksum.status == 0"
        bad += " || (tcp.checksum.status == 0 && tcp.checksum != 0xffff)"
        assert tshark("-r", str(path), *checks, "-Y", bad) == ""


def test_an_interface_that_is_down_or_gone(bench: Bench) -> None:
    """Frames that a TAP which is down does not take are counted; one that is deleted ends nothing else."""
    with cabled(bench, "split") as pair:
        bench.ping("driver", V4["device"], payload=56)
        device = bench.spaces["device"]
        device.run("ip", "link", "set", bench.names["device"], "down")
        with bench.spaces["driver"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"lost", (V4["device"], 9))
        said = "not taken by the interface"
        until(lambda: any(said in note for note in pair.snapshot().notes), "a note of the frame")
        device.run("ip", "link", "set", bench.names["device"], "up")
        bench.ping("driver", V4["device"], payload=56)
        device.run("ip", "link", "del", bench.names["device"])
        with bench.spaces["driver"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"lost", (V4["device"], 9))
        until(lambda: any("deleted" in note for note in pair.snapshot().notes), "a note of the interface")
        assert pair.snapshot().state == "running"


def test_nothing_stays_behind() -> None:
    """A test that fails halfway leaves no namespace, interface or process of ours."""
    if why := lacking():
        pytest.skip(why)
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ZeroDivisionError), Bench() as bench, cabled(bench, "packed"):
        watching = bench.tcpdump("driver", "out", Path(os.devnull))
        bench.ping("driver", V4["device"], payload=56, count=1)
        raise ZeroDivisionError
    assert not watching.running
    assert not set(bench.names.values()) & set(run("ip", "netns", "list").split())
    assert not set(bench.names.values()) & set(os.listdir("/sys/class/net"))
    assert len(os.listdir("/proc/self/fd")) == fds
