"""`capture.RingSocket`: scapy's own sniff on the frames of a source, its filter included."""

from __future__ import annotations

import gc
import select
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture import RingSocket
from capture.errors import FilterError
from capture.frame import INDIRECT, LOGGED, RECORD, TO_DEVICE, TO_DRIVER, Array, records

scapy = pytest.importorskip("scapy.all")
ROOT = Path(__file__).resolve().parents[2]
START = 1_700_000_000_123_456_789
UDP, TCP = 17, 6


@dataclass(frozen=True)
class Pulled:
    rows: Array
    offsets: Array
    data: bytes
    cursor: tuple[int, ...]
    lost: int


def frame(number: int, protocol: int = UDP, port: int = 53, size: int = 60) -> bytes:
    """An Ethernet frame with IPv4; its number in the identification."""
    ip = bytes([0x45, 0, 0, size - 14]) + number.to_bytes(2) + bytes([0, 0, 64, protocol, 0, 0])
    ip += bytes([10, 0, 0, 1, 10, 0, 0, 2])
    ports = (4000).to_bytes(2) + port.to_bytes(2) + (size - 34).to_bytes(2) + b"\0\0"
    return (b"\x02" * 6 + b"\x04" * 6 + b"\x08\x00" + ip + ports).ljust(size, b"\0")


class Log:
    """A source whose log is what was put into it; `at` most frames a pull."""

    def __init__(self, at: int = 7) -> None:
        self.frames_ = []  # type: list[tuple[bytes, int]]
        self.lost = 0
        self.pulls = 0
        self.most = at
        self.open = True
        self.idle = threading.Event()  # set when a pull found nothing

    def put(self, *frames: bytes, direction: int = TO_DEVICE) -> None:
        self.frames_ += [(one, direction) for one in frames]

    def frames(self, since: tuple[int, ...] = (0, 0)) -> Any:
        if not self.open and since[0] >= len(self.frames_):
            raise RuntimeError("the log is closed")
        self.pulls += 1
        taken = self.frames_[since[0] : since[0] + self.most]
        rows = records(len(taken))
        for place, (row, (data, direction)) in enumerate(zip(rows, taken, strict=True)):
            position = since[0] + place
            row["time"] = START + position
            row["origin_position"] = position
            row["origin_queue"] = 1 - direction
            row["length"] = len(data) + 1000
            row["captured"] = len(data)
            row["descriptors"], row["buffers"], row["flags"], row["head"] = 2, 1, INDIRECT, position % 256
            row["direction"] = direction
            row["net_header_length"] = 12
            row["net_header"] = bytes([1, 1, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0]).ljust(20, b"\0")
        if not taken:
            self.idle.set()
        ends = np.cumsum(rows["captured"].astype(np.int64))
        lost, self.lost = self.lost, 0
        data = b"".join(one for one, _ in taken)
        return Pulled(logged(rows), ends - rows["captured"], data, (since[0] + len(taken), 0), lost)


def logged(rows: Array) -> Array:
    """Rows under the names that a ring's log gives them."""
    names = {"origin_position": "position", "origin_queue": "queue"}
    fields = list((RECORD.fields or {}).items())
    kind = np.dtype([(names.get(name, name), one[0]) for name, one in fields if one[1] < LOGGED])
    return np.frombuffer(b"".join(row.tobytes()[:LOGGED] for row in rows), kind)


def numbers(packets: Any) -> list[int]:
    return [packet[scapy.IP].id for packet in packets]


def test_sniff_filters_as_it_is_told_and_ends_at_the_count() -> None:
    log = Log()
    log.put(*(frame(n, UDP if n % 3 else TCP, 53 if n % 2 else 80) for n in range(200)))
    wanted = [n for n in range(200) if n % 3 and n % 2]
    socket = RingSocket(log)
    try:
        assert numbers(scapy.sniff(opened_socket=socket, filter="udp port 53", count=10)) == wanted[:10]
        rest = wanted[10:]
        assert numbers(scapy.sniff(opened_socket=[socket], filter="udp port 53", count=len(rest))) == rest
    finally:
        socket.close()


def test_a_filter_lasts_as_long_as_its_sniff() -> None:
    log = Log(at=1000)
    log.put(*(frame(n, UDP, 53 if n == 5 else 80) for n in range(50)))
    socket = RingSocket(log)
    try:
        assert numbers(scapy.sniff(opened_socket=socket, filter="port 53", count=1)) == [5]
        assert numbers(scapy.sniff(opened_socket=socket, count=3)) == [6, 7, 8]
        with socket.filtered("port 80"):
            assert numbers(scapy.sniff(opened_socket=socket, count=1)) == [9]
    finally:
        socket.close()


def test_two_filters_both_hold() -> None:
    log = Log()
    log.put(*(frame(n, UDP if n % 2 else TCP, 53 if n % 3 else 80) for n in range(60)))
    socket = RingSocket(log, filter="udp")
    try:
        got = scapy.sniff(opened_socket=socket, filter="port 53", count=5)
        assert numbers(got) == [n for n in range(60) if n % 2 and n % 3][:5]
    finally:
        socket.close()


def test_a_wrong_filter_is_told_and_not_ignored() -> None:
    log = Log()
    log.put(frame(1))
    with pytest.raises(FilterError):
        RingSocket(log, filter="udp prt 53")
    socket = RingSocket(log)
    try:
        with pytest.raises(FilterError):
            scapy.sniff(opened_socket=socket, filter="udp prt 53", count=1)
        assert numbers(scapy.sniff(opened_socket=socket, count=1)) == [1]
    finally:
        socket.close()


def test_a_packet_knows_where_it_was() -> None:
    log = Log()
    log.put(frame(7), direction=TO_DEVICE)
    log.put(frame(8), direction=TO_DRIVER)
    socket = RingSocket(log, names={-1: "net0", 0: "net0.rx0", 1: "net0.tx0"})
    try:
        sent, received = scapy.sniff(opened_socket=socket, count=2)
    finally:
        socket.close()
    assert (sent.sniffed_on, sent.direction, received.sniffed_on, received.direction) == (
        "net0.tx0", 2, "net0.rx0", 1,
    )  # fmt: skip
    assert int(received.time * 10**9) == START + 1 and f"{received.time:.9f}" == "1700000000.123456790"
    assert sent.wirelen == 1060
    (comment,) = sent.comments
    for word in (b"head=0", b"descriptors=2", b"indirect", b"position=0"):
        assert word in comment


def test_labels_of_the_user_stay() -> None:
    log = Log()
    log.put(frame(1))
    socket = RingSocket(log)
    try:
        assert scapy.sniff(opened_socket={socket: "mine"}, count=1)[0].sniffed_on == "mine"
    finally:
        socket.close()


def test_the_net_header_is_a_layer() -> None:
    log = Log()
    log.put(frame(1))
    from capture.vnet import VirtioNetHdr

    socket = RingSocket(log, net_header=True)
    try:
        (packet,) = scapy.sniff(opened_socket=socket, count=1)
    finally:
        socket.close()
    assert packet[VirtioNetHdr].gso_type == 1 and packet[scapy.IP].id == 1
    assert packet.wirelen == 1072


def test_lfilter_prn_store_and_timeout_are_scapys() -> None:
    log = Log()
    log.put(*(frame(n) for n in range(20)))
    socket = RingSocket(log)
    seen: list[int] = []
    try:
        got = scapy.sniff(
            opened_socket=socket,
            lfilter=lambda packet: packet[scapy.IP].id % 2,
            prn=lambda packet: seen.append(packet[scapy.IP].id),
            store=False,
            timeout=0.3,
        )
    finally:
        socket.close()
    assert seen == list(range(1, 20, 2)) and len(got) == 0


def test_async_sniffer_and_the_end_of_the_source() -> None:
    log = Log()
    log.put(*(frame(n, UDP, 53 if n % 2 else 80) for n in range(30)))
    socket = RingSocket(log)
    sniffer = scapy.AsyncSniffer(opened_socket=socket, filter="udp port 53")
    sniffer.start()
    log.open = False
    sniffer.join(20)
    assert numbers(sniffer.results) == list(range(1, 30, 2))
    assert socket.closed, "scapy closes a socket at its end"


def test_async_sniffer_is_stopped_while_nothing_comes() -> None:
    socket = RingSocket(Log())
    started = threading.Event()
    sniffer = scapy.AsyncSniffer(opened_socket=socket, filter="arp", started_callback=started.set)
    sniffer.start()
    assert started.wait(20)
    assert len(sniffer.stop()) == 0
    socket.close()


def test_from_now_leaves_out_what_was() -> None:
    log = Log()
    log.put(*(frame(n) for n in range(30)))
    socket = RingSocket(log, from_now=True)
    log.put(frame(99))
    try:
        assert numbers(scapy.sniff(opened_socket=socket, count=1)) == [99]
    finally:
        socket.close()


def test_readable_only_while_a_frame_waits() -> None:
    log = Log()
    socket = RingSocket(log)
    try:
        assert socket.fileno() >= 0 and log.idle.wait(20)
        assert not select.select([socket], [], [], 0)[0]
        log.put(frame(1), frame(2))
        assert select.select([socket], [], [], 20)[0] == [socket]
        assert numbers([socket.recv(), socket.recv()]) == [1, 2]
        assert not select.select([socket], [], [], 0)[0]
    finally:
        socket.close()


def test_what_does_not_fit_stays_in_the_log_and_losses_are_told() -> None:
    log = Log(at=10)
    log.lost = 3
    log.put(*(frame(n) for n in range(1000)))
    socket = RingSocket(log, limit_bytes=60 * 20)
    try:
        assert numbers([socket.recv()]) == [0]
        assert socket.lost == 3
        before = log.pulls
        assert before <= 4, "the rest is left where it is"
        assert numbers([socket.recv() for _ in range(999)]) == list(range(1, 1000))
    finally:
        socket.close()


def test_closing_leaves_no_thread_and_forgetting_neither() -> None:
    before = threading.active_count()
    socket = RingSocket(Log())
    socket.fileno()
    assert threading.active_count() == before + 1
    socket.close()
    socket.close()
    assert threading.active_count() == before
    with pytest.raises(EOFError):
        socket.recv()
    forgotten = RingSocket(Log())
    forgotten.fileno()
    del forgotten
    gc.collect()
    assert threading.active_count() == before


def test_nothing_can_be_sent() -> None:
    socket = RingSocket(Log())
    with pytest.raises(OSError, match="only receives"):
        socket.send(scapy.Ether())
    socket.close()


def test_other_sniffs_are_not_touched() -> None:
    got = scapy.sniff(
        offline=scapy.Ether() / scapy.IP() / scapy.UDP(dport=53), lfilter=lambda _: True, quiet=True
    )
    assert len(got) == 1 and got[0].sniffed_on != "ring"


def test_scapy_is_loaded_only_for_the_socket() -> None:
    known = "print('scapy' in sys.modules)"
    code = f"import sys, capture; {known}; capture.RingSocket; {known}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_what_has_no_frames_is_no_source() -> None:
    for wrong in (None, object(), "net0"):
        with pytest.raises(TypeError, match="a ring socket needs a Pair"):
            RingSocket(wrong)  # type: ignore[arg-type]


def test_a_source_that_fails_in_any_way_ends_the_stream() -> None:
    class Broken:
        def frames(self, since: tuple[int, ...] = (0, 0)) -> Any:
            raise KeyError("gone")

    socket = RingSocket(Broken())
    try:
        with pytest.raises(EOFError) as caught:
            socket.recv()
        assert isinstance(caught.value.__cause__, KeyError)
    finally:
        socket.close()


def test_frames_are_taken_apart_with_nothing_else_of_scapy_loaded() -> None:
    """In a fresh interpreter: whoever imports no layers gets DNS packets all the same."""
    program = """
from scapy.sendrecv import sniff
from capture import RingSocket
from capture.play import load_mix
from dataplane.pair import Pair, PlayFrame

with Pair() as pair:
    pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
    pair.start()
    for packet in sniff(opened_socket=RingSocket(pair), filter="udp port 53", count=10):
        print(packet.lastlayer().name, "DNS" in packet)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.splitlines() == ["DNS True"] * 10, done.stderr
