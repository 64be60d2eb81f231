"""The host behind our device, against the kernel's own stack where there is a right to make interfaces, and
frame by frame where there is not."""

from __future__ import annotations

import struct

from dataplane.responder import MAC, Responder, checksum

PEER = bytes.fromhex("525400770002")
HERE, THERE = bytes([10, 77, 0, 2]), bytes([10, 77, 0, 1])


def _arp(asker: bytes, asked: bytes) -> bytes:
    return b"\xff" * 6 + PEER + bytes.fromhex("0806000108000604" + "0001") + PEER + asker + bytes(6) + asked


def _ip(protocol: int, body: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0) + HERE + THERE
    return MAC + PEER + b"\x08\0" + head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + body


def _sound(frame: bytes) -> bytes:
    """The body of an answer whose checksums are right."""
    assert frame[:12] == PEER + MAC and checksum(frame[14:34]) == 0
    assert frame[26:34] == THERE + HERE and int.from_bytes(frame[16:18], "big") == len(frame) - 14
    body, protocol = frame[34:], frame[23]
    pseudo = b"" if protocol == 1 else THERE + HERE + struct.pack(">BBH", 0, protocol, len(body))
    assert checksum(pseudo + body) == 0
    return body


def test_arp_for_whom_it_answers() -> None:
    with Responder() as host:
        (answer,) = host.answers(_arp(HERE, THERE))
        assert answer[:6] == PEER and answer[20:22] == b"\0\2" and answer[22:28] == MAC
        assert (answer[28:32], answer[38:42]) == (THERE, HERE)
        assert not list(host.answers(_arp(HERE, HERE))), "somebody announces itself"
        assert not list(host.answers(_arp(bytes(4), THERE))), "somebody asks whether an address is free"
    with Responder("10.77.0.1") as host:
        assert list(host.answers(_arp(HERE, THERE)))
        assert not list(host.answers(_arp(HERE, bytes([10, 77, 0, 3]))))


def test_ping_and_udp() -> None:
    with Responder() as host:
        echo = b"\x08\0\0\0\0\1\0\2abcde"
        (answer,) = host.answers(_ip(1, echo[:2] + checksum(echo).to_bytes(2, "big") + echo[4:]))
        assert _sound(answer)[4:] == echo[4:] and answer[34] == 0
        (answer,) = host.answers(_ip(17, struct.pack(">HHHH", 5000, 7, 11, 0) + b"xyz"))
        body = _sound(answer)
        assert struct.unpack(">HH", body[:4]) == (7, 5000) and body[8:] == b"xyz"


class Peer:
    """The other end of a TCP connection, by hand."""

    def __init__(self, host: Responder, port: int = 7, options: bytes = b"") -> None:
        self.host, self.port, self.seq, self.ack = host, port, 1000, 0
        (answer,) = self.say(2, options=options)
        (
            flags,
            seq,
            ack,
            _,
        ) = self.read(answer)
        assert flags == 0x12 and ack == 1001
        self.seq, self.ack = 1001, seq + 1
        assert not self.say(16)

    def say(
        self,
        flags: int,
        data: bytes = b"",
        *,
        seq: int | None = None,
        window: int = 65535,
        options: bytes = b"",
    ) -> list[bytes]:
        at = self.seq if seq is None else seq
        options += bytes(-len(options) % 4)
        offset = (5 + len(options) // 4) << 4
        head = struct.pack(">HHIIBBHHH", 4321, self.port, at, self.ack, offset, flags, window, 0, 0)
        return list(self.host.answers(_ip(6, head + options + data)))

    def read(self, frame: bytes) -> tuple[int, int, int, bytes]:
        """(flags, seq, ack, data)"""
        body = _sound(frame)
        _, _, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", body)
        return flags, seq, ack, body[4 * (offset >> 4) :]


def test_tcp_echoes_and_ends() -> None:
    with Responder() as host:
        peer = Peer(host)
        sent = bytes(range(256)) * 20
        answers = [peer.read(one) for one in peer.say(24, sent)]
        assert b"".join(data for *_, data in answers) == sent
        assert [seq for _, seq, _, _ in answers] == [peer.ack + at for at in range(0, len(sent), 1460)]
        assert {ack for _, _, ack, _ in answers} == {peer.seq + len(sent)}
        again = [peer.read(one) for one in peer.say(24, sent)]
        assert [data for *_, data in again] == [b""], "what is known is acknowledged, and not echoed twice"
        peer.seq, peer.ack = peer.seq + len(sent), peer.ack + len(sent)
        assert not peer.say(16)
        ((flags, seq, ack, _),) = [peer.read(one) for one in peer.say(17)]
        assert flags == 17 and (seq, ack) == (peer.ack, peer.seq + 1)
        peer.seq, peer.ack = peer.seq + 1, peer.ack + 1
        assert not peer.say(16)
        ((flags, *_),) = [peer.read(one) for one in peer.say(16)]
        assert flags & 4, "the connection is forgotten"


def test_tcp_keeps_to_the_length_of_a_segment_that_is_asked_for() -> None:
    for options, longest in (
        (struct.pack(">BBH", 2, 4, 860), 860),
        (b"\1\1" + struct.pack(">BBHBB", 2, 4, 860, 1, 0), 860),
        (struct.pack(">BBHBBH", 99, 4, 7, 2, 4, 860), 860),
        (struct.pack(">BBH", 2, 4, 9000), 1460),
        (struct.pack(">BBH", 2, 4, 1), 48),
        (b"\0\2\4\1", 1460),
        (b"\2\0\1\1", 1460),
        (b"\1\1\1\2", 1460),
    ):
        with Responder() as host:
            peer = Peer(host, options=options)
            answers = [peer.read(one) for one in peer.say(24, bytes(3000))]
            assert next(len(data) for *_, data in answers) == longest, options
            assert sum(len(data) for *_, data in answers) == 3000


def test_tcp_keeps_to_the_window_and_sends_again() -> None:
    with Responder() as host:
        peer = Peer(host)
        first = [peer.read(one) for one in peer.say(24, bytes(3000), window=2000)]
        assert sum(len(data) for *_, data in first) == 2000
        peer.seq, peer.ack = peer.seq + 3000, peer.ack + 2000
        rest = [peer.read(one) for one in peer.say(16, window=2000)]
        assert [len(data) for *_, data in rest] == [1000]
        flow = next(iter(host._flows.values()))
        flow.at -= 10
        again = [peer.read(one) for one in host._again()]
        assert [(seq, len(data)) for _, seq, _, data in again] == [(peer.ack, 1000)]


def test_what_it_does_not_know_is_passed_over() -> None:
    with Responder() as host:
        for frame in (
            b"",
            bytes(60),
            _ip(6, b""),
            _ip(17, b"abc"),
            _ip(1, b"\x08"),
            _ip(99, bytes(20)),
            _ip(6, bytes(19)),
        ):
            assert not list(host.answers(frame))
        assert not list(host.answers(b"\xff" * 6 + _ip(17, bytes(9))[6:])), "no answer to a broadcast"


def test_discard_only_listens() -> None:
    with Responder() as host:
        peer = Peer(host, 9)
        ((flags, _, ack, data),) = [peer.read(one) for one in peer.say(24, bytes(5000))]
        assert (flags, ack, data) == (16, peer.seq + 5000, b"")
