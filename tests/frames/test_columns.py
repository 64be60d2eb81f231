"""The columns of the packet list: what they say, and that no bytes make them fail."""

from __future__ import annotations

import random
import string
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capture.columns import Summary, summaries, summary
from capture.play import load_mix

ALLOWED = set(string.printable[:95]) | {"\u2192"}
ETHER = bytes.fromhex("525400000002 525400000001")


def ipv4(
    protocol: int, payload: bytes, total: int | None = None, first: int = 0x45, fragment: int = 0
) -> bytes:
    length = 20 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", first, 0, length, 7, fragment, 64, protocol, 0)
    return ETHER + b"\x08\0" + head + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + payload


def ipv6(following: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 64)
    return ETHER + b"\x86\xdd" + head + bytes(15) + b"\x01" + bytes(15) + b"\x02" + payload


def udp(source: int, target: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(bits: int, target: int = 2, payload: bytes = b"") -> bytes:
    return ipv4(6, struct.pack("!HHIIHHI", 1, target, 3, 4, bits, 9, 0) + payload)


ALIAS = b"\xc0\x0c\0\x05\0\x01\0\0\0\1\0\4\1b\xc0\x0c"
ADDRESS = b"\xc0\x1f\0\x01\0\x01\0\0\0\1\0\4\xc0\0\2\1"


def dns(body: bytes, answers: int = 0, bits: int = 0x100) -> bytes:
    return ipv4(17, udp(40_000, 53, struct.pack("!HHHHHH", 0x1234, bits, 1, answers, 0, 0) + body))


CASES = [
    (b"", "Ethernet", "0 bytes [truncated]"),
    (ETHER + b"\x08", "Ethernet", "13 bytes [truncated]"),
    (ETHER + b"\x88\xb5abc", "0x88b5", "3 bytes"),
    (ETHER + b"\0\x04\x42\x42\x03\0", "STP", "4 bytes [truncated]"),
    (ETHER + b"\0\x40\xf0\xf0\x03\0", "LLC", "from service 0xf0 to 0xf0, 64 bytes [truncated]"),
    (ETHER + b"\0\x03\xe0\xe0\x03", "LLC", "from service 0xe0 to 0xe0, 3 bytes"),
    (ETHER + b"\x05\xff", "LLC", "1535 bytes"),
    (ETHER + b"\0\x08\xaa\xaa\x03\0\0\0\x88\xb5", "LLC", "SNAP, type 0x88b5, 8 bytes"),
    (ETHER + b"\x81\0\x20\x05\x88\xb5abc", "0x88b5", "3 bytes (VLAN 5)"),
    (ETHER + b"\x88\xa8\0\x64\x81\0\0\x14\x88\xb5", "0x88b5", "0 bytes (VLAN 100, VLAN 20)"),
    (ETHER + b"\x81\0\0", "VLAN", "[truncated]"),
    (ipv4(17, udp(1, 2, b"abc")), "UDP", "1 \u2192 2 len=3"),
    (ipv4(17, udp(1, 2, b"abc")) + bytes(20), "UDP", "1 \u2192 2 len=3"),
    (ipv4(17, udp(1, 2, b"abc"))[:-1], "UDP", "1 \u2192 2 len=3 [truncated]"),
    (ipv4(17, b"\0\1\0\2\0\3\0\0"), "UDP", "1 \u2192 2 [malformed: UDP length 3]"),
    (ipv4(17, b"", first=0x43), "IPv4", "[malformed: IP header of 12 bytes]"),
    (ipv4(17, b"", first=0x65), "IPv4", "[malformed: IP version 6]"),
    (ipv4(17, b"abc", total=10), "IPv4", "[malformed: IP total length 10]"),
    (ipv4(99, b"abc"), "IPv4", "protocol 99, 3 bytes"),
    (ipv4(17, bytes(1480), fragment=0x2000), "IPv4 fragment", "UDP, bytes 0-1479 (id 0x0007)"),
    (ipv4(17, bytes(40), fragment=185), "IPv4 fragment", "UDP, bytes 1480-1519, the last (id 0x0007)"),
    (tcp(0x5012), "TCP", "1 \u2192 2 [SYN, ACK] seq=3 ack=4 win=9 len=0"),
    (tcp(0x5000), "TCP", "1 \u2192 2 [none] seq=3 win=9 len=0"),
    (tcp(0x3010), "TCP", "1 \u2192 2 [malformed: TCP header of 12 bytes]"),
    (tcp(0xF010), "TCP", "1 \u2192 2 [malformed: TCP header of 60 bytes]"),
    (tcp(0xF010)[:-1], "TCP", "1 \u2192 2 [truncated]"),
    (ipv4(17, b"\0\1\0\2\0\x63\0\0"), "UDP", "1 \u2192 2 len=91 [malformed: UDP length 99]"),
    (tcp(0x5018, 80, b"GET /\x1b[31m HTTP/1.1\r\n"), "HTTP", "GET /.[31m HTTP/1.1"),
    (ipv4(1, b"\x08\0\0\0\0\x07\0\x09"), "ICMP", "echo request id=0x0007 seq=9"),
    (ipv4(1, b"\x03\x01" + bytes(6)), "ICMP", "destination unreachable (code 1)"),
    (ipv6(58, b"\x87\0" + bytes(6) + bytes(15) + b"\x09"), "ICMPv6", "neighbor solicitation for ::9"),
    (ipv6(0, b"\x3a\0" + bytes(6) + b"\x81\0\0\0\0\x01\0\x02"), "ICMPv6", "echo reply id=0x0001 seq=2"),
    (ipv6(44, b"\x11\0\0\x01\0\0\0\x05" + bytes(8)), "IPv6 fragment", "UDP, bytes 0-7 (id 0x0005)"),
    (ipv6(43, b"\x11\xff" + bytes(6)), "IPv6", "[malformed: extension header longer than the packet]"),
    (dns(b"\x03www\x07example\x03com\0\0\x1c\0\x01"), "DNS", "query 0x1234 AAAA www.example.com"),
    (dns(b"\x04a\x1b]0\0\0\x01\0\x01"), "DNS", "query 0x1234 A a.]0"),
    (dns(b"\xc0\x0c\0\x01\0\x01"), "DNS", "query 0x1234 [malformed: DNS name points forward]"),
    (dns(b"\x01a\xc0\x0c\0\x01\0\x01"), "DNS", "query 0x1234 [malformed: DNS name points forward]"),
    (dns(b"\x40" + bytes(5)), "DNS", "query 0x1234 [malformed: DNS label type]"),
    (
        dns(b"\x01a\0\0\x01\0\x01" + ALIAS + ADDRESS, 2, 0x8180),
        "DNS",
        "response 0x1234 A a CNAME b.a A 192.0.2.1",
    ),
    (dns(b"\x01a\0\0\x01\0\x01", 0, 0x8183), "DNS", "response 0x1234 no such name A a"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "protocol", "info"), CASES, ids=range(len(CASES)))
def test_cases(frame: bytes, protocol: str, info: str) -> None:
    made = summary(frame)
    assert (made.protocol, made.info) == (protocol, info)


def test_arp() -> None:
    body = bytes.fromhex("0001 0800 06 04 0001 525400000001 c0000201 000000000000 c0000202")
    assert summary(ETHER + b"\x08\x06" + body).info == "who has 192.0.2.2? tell 192.0.2.1"
    reply = body[:7] + b"\x02" + body[8:]
    assert summary(ETHER + b"\x08\x06" + reply).info == "192.0.2.1 is at 52:54:00:00:00:01"
    own = body[:24] + body[14:18]
    assert summary(ETHER + b"\x08\x06" + own).info == "announcement for 192.0.2.1"
    assert summary(ETHER + b"\x08\x06" + body[:20]).info == "[truncated]"
    assert summary(ETHER + b"\x08\x06" + b"\0\1\x08\0\xff\x04\0\1" + body).info == "[truncated]"


def test_addresses_are_those_of_the_innermost_network_layer() -> None:
    inner = ipv4(17, udp(1, 2, b"x"))
    outer = ipv4(17, udp(50_000, 4789, b"\x08\0\0\0\0\0\x2a\0" + inner.replace(b"\xc0\0\2", b"\x0a\0\0")))
    assert summary(outer) == Summary("UDP", "10.0.0.1", "10.0.0.2", "1 \u2192 2 len=1 (VXLAN 42)")
    assert summary(ETHER + b"\x88\xb5").source == "52:54:00:00:00:01"


def test_nesting_is_bounded() -> None:
    step = struct.pack("!BBHHHBBH", 0x45, 0, 0, 7, 0, 64, 4, 0) + bytes(8)
    assert "more than 16 tags and tunnels" in summary(ETHER + b"\x08\0" + step * 3000).info
    assert "more than 16 tags and tunnels" in summary(ETHER + b"\x81\0\0\x01" * 16000).info
    assert "more than 32 extension headers" in summary(ipv6(0, bytes(8 * 4000))).info


def test_the_mix_shows_every_protocol() -> None:
    made = summaries(frame.data for frame in load_mix())
    protocols = {one.protocol for one in made}
    assert {
        "ARP",
        "DHCP",
        "DNS",
        "HTTP",
        "ICMP",
        "ICMPv6",
        "IPv4 fragment",
        "IPv6 fragment",
        "TCP",
        "TLS",
        "UDP",
    } <= protocols
    infos = " | ".join(one.info for one in made)
    for text in (
        "SNI=secure.example.com",
        "CNAME web.example.net A 192.0.2.80",
        "(VLAN 100, VLAN 20)",
        "(VXLAN 42)",
        "[malformed: IP header of 12 bytes]",
        "[malformed: DNS name points forward]",
        "[truncated]",
        "GET /vring.html HTTP/1.1",
        "Offer 192.0.2.10",
        "neighbor advertisement 2001:db8::1",
        "no such name",
    ):
        assert text in infos


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
@example(ETHER + b"\x08\0")
@example(ETHER + b"\x86\xdd")
def test_no_bytes_make_it_fail(data: bytes) -> None:
    made = summary(data)
    assert all(set(text) <= ALLOWED for text in made)


def test_mutated_and_cut_frames_never_fail() -> None:
    dice = random.Random(20)
    frames = [frame.data for frame in load_mix() if len(frame.data) < 2000]
    for _ in range(20_000):
        data = bytearray(dice.choice(frames))
        for _ in range(dice.randrange(5)):
            data[dice.randrange(12, min(len(data), 120))] = dice.choice((0, 255, 0xC0, dice.randrange(256)))
        made = summary(bytes(data[: dice.randrange(len(data) + 1)]))
        assert all(set(text) <= ALLOWED for text in made)
        assert sum(map(len, made)) < 1200
