"""vhost-user messages: every row of the table, what goes over a socket, and what is refused."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.vhost import payload as p
from dataplane.vhost.connection import Connection, Listener, ProtocolError, connect
from dataplane.vhost.message import (
    BODY_MAX,
    FDS_MAX,
    HEADER,
    KINDS,
    NAMES,
    NEED_REPLY,
    PROTOCOL,
    REPLY,
    VERSION,
    Kind,
    Message,
    Policy,
    Refused,
    describe,
    protocol_names,
    request,
)
from tests.rings.staging import fds_open

REGION = p.Region(0x1000, 0x2000, 0x7F0000, 0x10)
SAMPLES: dict[type[p.Payload], tuple[p.Payload, int]] = {
    p.Empty: (p.Empty(), 0),
    p.Raw: (p.Raw(b"abc"), 3),
    p.U64: (p.U64(1 << 63), 8),
    p.VringState: (p.VringState(3, 0x8000), 8),
    p.VringFd: (p.VringFd(255, False), 8),
    p.VringAddr: (p.VringAddr(1, 1, 2, 3, 4, 5), 40),
    p.Region: (REGION, 32),
    p.MemoryTable: (p.MemoryTable((REGION, p.Region(1 << 32, 1, 2, 3))), 72),
    p.SingleRegion: (p.SingleRegion(REGION), 40),
    p.Log: (p.Log(1, 2), 16),
    p.Iotlb: (p.Iotlb(1, 2, 3, 1, 2), 32),
    p.Config: (p.Config(1, 2, 0, b"xy"), 14),
    p.Area: (p.Area(1, 4096, 0), 24),
    p.Inflight: (p.Inflight(1 << 40, 0, 2, 256), 24),
    p.Transfer: (p.Transfer(1, 0), 8),
}
ROWS = sorted(KINDS.values(), key=lambda kind: (kind.channel, kind.id))


@pytest.fixture(autouse=True)
def no_descriptor_stays() -> Iterator[None]:
    before = fds_open()
    yield
    assert fds_open() == before


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """Ours, and the bare socket of the other end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    connection = Connection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def test_there_is_a_row_for_every_message() -> None:
    assert [kind.id for kind in ROWS if kind.channel == "frontend"] == list(range(1, 45))
    assert [kind.id for kind in ROWS if kind.channel == "backend"] == list(range(1, 11))
    assert all(kind.gate in ("", *PROTOCOL) for kind in ROWS)
    assert NAMES["IOTLB_MSG"].id == 22
    assert protocol_names(1 << 63 | 9) == ["MQ", "REPLY_ACK", "bit 63"]


@pytest.mark.parametrize("layout", SAMPLES, ids=lambda layout: layout.__name__)
def test_a_payload_comes_back_as_it_went(layout: type[p.Payload]) -> None:
    sample, length = SAMPLES[layout]
    data = sample.pack()
    assert len(data) == length and layout.parse(data) == sample
    assert is_dataclass(sample) and str(sample) != repr(sample)
    if layout is not p.Raw:
        with pytest.raises(ValueError, match=r"payload|regions|configuration"):
            layout.parse(data + b"\0")


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: f"{kind.channel}-{kind.name}")
def test_a_request_passes_as_its_row_says_and_not_otherwise(kind: Kind) -> None:
    everything = Policy(kind.channel, (1 << 64) - 1, served_only=False)
    sample, _ = SAMPLES[kind.payload]
    count = 2 if kind.payload is p.MemoryTable else 0 if kind.payload is p.VringFd else kind.fds[0]

    def message(**changes: Any) -> Message:
        given: dict[str, Any] = {"body": sample.pack(), "fds": tuple(range(100, 100 + count)), **changes}
        return Message(kind.id, channel=kind.channel, **given)

    assert everything.check(message()) == sample
    assert kind.name in describe(message())
    with pytest.raises(Refused, match="file descriptors"):
        everything.check(message(fds=tuple(range(100, 100 + kind.fds[1] + 1))))
    with pytest.raises(Refused, match="as a reply"):
        everything.check(message(flags=VERSION | REPLY))
    if kind.payload is not p.Raw:
        with pytest.raises(Refused, match=kind.name):
            everything.check(message(body=sample.pack() + b"1"))
    if kind.gate:
        without = Policy(kind.channel, (1 << 64) - 1 & ~(1 << PROTOCOL[kind.gate]), served_only=False)
        with pytest.raises(Refused, match=kind.gate):
            without.check(message())
    if not kind.served:
        with pytest.raises(Refused, match="not served"):
            Policy(kind.channel, (1 << 64) - 1).check(message())


@pytest.mark.parametrize("number", [0, 45, 200, 1 << 31])
def test_what_has_no_row_is_refused_by_its_number(number: int) -> None:
    with pytest.raises(Refused, match=f"no request {number} of the front-end"):
        Policy("frontend").check(Message(number))


@pytest.mark.parametrize(
    ("layout", "data", "words"),
    [
        (p.VringFd, struct.pack("=Q", 1 << 9), "bits above 8"),
        (p.Region, struct.pack("=QQQQ", 0, 0, 0, 0), "empty"),
        (p.Region, struct.pack("=QQQQ", (1 << 64) - 1, 2, 0, 0), "guest address"),
        (p.Region, struct.pack("=QQQQ", 0, 1 << 63, 1 << 63 | 1, 0), "user address"),
        (p.Region, struct.pack("=QQQQ", 0, 2, 0, (1 << 64) - 1), "file address"),
        (p.MemoryTable, struct.pack("=II", 0, 0), "0 memory regions"),
        (p.MemoryTable, struct.pack("=II", 9, 0) + bytes(9 * 32), "9 memory regions"),
        (p.MemoryTable, struct.pack("=II", 0xFFFFFFFF, 0), "4294967295 memory regions"),
        (p.MemoryTable, b"", "0 memory regions"),
        (p.Config, struct.pack("=III", 0xFFFFFFFF, 1, 0) + b"x", "configuration"),
        (p.Config, struct.pack("=III", 0, 257, 0) + bytes(257), "configuration"),
        (p.Config, struct.pack("=III", 0, 4, 0) + b"x", "configuration"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(layout: type[p.Payload], data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layout.parse(data)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd_to_be_parsed_or_refused(data: bytes) -> None:
    for layout in SAMPLES:
        try:
            made = layout.parse(data)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert all(getattr(made, field.name) is not None for field in fields(made))  # type: ignore[arg-type]
            str(made)


def test_a_message_goes_over_a_socket_with_its_descriptors(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    other = Connection(theirs.dup())
    fd = os.eventfd(0)
    ours.send(request("SET_VRING_CALL", p.VringFd(1, True), (fd,), need_reply=True))
    ours.send(request("GET_FEATURES"))
    first, second = other.recv(1), other.recv(1)
    assert first is not None and second is not None
    assert first.payload() == p.VringFd(1, True) and first.needs_reply and not second.fds
    (copy,) = first.fds
    os.eventfd_write(copy, 7)
    assert os.eventfd_read(fd) == 7 and not os.get_inheritable(copy)
    other.send(second.answer(p.U64(5)))
    reply = ours.recv(1)
    assert reply is not None and reply.is_reply and reply.payload() == p.U64(5)
    assert describe(reply) == "GET_FEATURES reply 0x5"
    first.close()
    first.close()
    other.close()
    os.close(fd)


def test_what_comes_in_drops_is_put_together(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    data = request("SET_VRING_NUM", p.VringState(1, 256)).pack()
    theirs.sendall(data[:1])
    ours._wait(1, None, "")
    for byte in data[1:-1]:
        theirs.send(bytes((byte,)))
    theirs.send(data[-1:])
    message = ours.recv(1)
    assert message is not None and message.payload() == p.VringState(1, 256)
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(1) is None


@pytest.mark.parametrize("length", [1, 11, 12, 19])
def test_an_end_within_a_message_is_told(length: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    connection, fd = Connection(ours), os.eventfd(0)
    data = request("SET_VRING_NUM", p.VringState(1, 256)).pack()
    socket.send_fds(theirs, [data[:length]], [fd, fd])
    theirs.close()
    with pytest.raises(ProtocolError, match=f"{(12 if length < 12 else 20) - length} bytes short"):
        connection.recv(1)
    connection.close()
    os.close(fd)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HEADER.pack(1, 0, 0), "flags 0x0"),
        (HEADER.pack(1, 2, 0), "flags 0x2"),
        (HEADER.pack(1, 1 | 16, 0), "flags 0x11"),
        (HEADER.pack(1, 1 | 1 << 31, 0), "flags 0x80000001"),
        (HEADER.pack(7, 1, BODY_MAX + 1), f"{BODY_MAX + 1} bytes long"),
        (HEADER.pack(7, 1, 0xFFFFFFFF), "4294967295 bytes long"),
    ],
)
def test_a_head_that_cannot_be_is_refused(
    ends: tuple[Connection, socket.socket], head: bytes, words: str
) -> None:
    ours, theirs = ends
    fd = os.eventfd(0)
    socket.send_fds(theirs, [head], [fd])
    with pytest.raises(ProtocolError, match=words):
        ours.recv(1)
    os.close(fd)


@pytest.mark.parametrize("count", [FDS_MAX + 1, 253])
def test_more_descriptors_than_any_message_has(ends: tuple[Connection, socket.socket], count: int) -> None:
    ours, theirs = ends
    fd = os.eventfd(0)
    socket.send_fds(theirs, [HEADER.pack(1, 1, 0)], [fd] * count)
    with pytest.raises(ProtocolError, match=f"comes with {count} file descriptors"):
        ours.recv(1)
    os.close(fd)


def test_descriptors_in_the_middle_of_a_message(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    data, fd = request("SET_VRING_NUM", p.VringState(1, 2)).pack(), os.eventfd(0)
    theirs.sendall(data[:12])
    socket.send_fds(theirs, [data[12:]], [fd])
    with pytest.raises(ProtocolError, match="within it"):
        ours.recv(1)
    os.close(fd)


def test_a_reply_that_is_none(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(Message(3, VERSION | REPLY, bytes(8)).pack())
    with pytest.raises(ProtocolError, match="GET_FEATURES was answered by SET_OWNER"):
        ours.request(request("GET_FEATURES"), 1)
    with pytest.raises(ProtocolError, match="not answered in"):
        ours.request(request("GET_FEATURES", need_reply=bool(NEED_REPLY)), 0.05)
    theirs.close()
    with pytest.raises(ProtocolError, match=r"gone|hung up|broke"):
        ours.request(request("GET_FEATURES"), 1)


def test_descriptors_of_a_reply_that_has_none_are_closed(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    fd = os.eventfd(0)
    socket.send_fds(theirs, [Message(1, VERSION | REPLY, bytes(8)).pack()], [fd])
    with pytest.raises(ProtocolError, match="comes with 1 file descriptors"):
        ours.request(request("GET_FEATURES"), 1)
    os.close(fd)


def test_a_copy_of_a_message_owns_what_it_has_and_no_more() -> None:
    fd, other = os.eventfd(0), os.eventfd(0)
    one = Message(12, fds=(fd,))
    two = replace(one, fds=(other,))
    one.close()
    two.close()
    one.close()


def test_a_socket_of_ours_is_for_us_alone_and_goes_with_us(tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    listener = Listener(path)
    assert os.stat(path).st_mode & 0o777 == 0o700
    with pytest.raises(OSError, match="listens there already"):
        Listener(path)
    one, other = connect(path), listener.accept()
    one.close()
    other.close()
    listener.sock.close()  # as after a crash: the name stays
    again = Listener(path)
    again.close()
    assert not os.path.exists(path)
    with pytest.raises(OSError, match="longer than 107"):
        Listener("/tmp/" + "x" * 120)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="no socket"):
        Listener(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
