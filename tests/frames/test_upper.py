"""DNS, HTTP and TLS from one segment, options and checksums: places, texts, and what broken ones become."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.dissection import dns, upper
from capture.dissection.checksums import internet, total
from capture.dissection.worker import load
from capture.fields import Field, walk

load()

from capture.dissection.fieldmap import dissect  # noqa: E402
from capture.dissection.options import dhcp_options, tcp_options  # noqa: E402
from tests.frames.hostile import ether, ip4, ip6, tcp, udp  # noqa: E402


def found(layers: tuple[Field, ...] | list[Field], filter_: str) -> list[str]:
    return [field.text for _, field in walk(tuple(layers)) if field.filter == filter_]


QUESTION = struct.pack("!6H", 7, 0x8180, 1, 2, 0, 0) + b"\3web\7example\0\0\1\0\1"
ANSWERS = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1a\xc0\x10" + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"


def test_a_response_in_words() -> None:
    layer = dns.read(QUESTION + ANSWERS, 10)
    assert layer.text == "response A web.example: CNAME a.example, A 192.0.2.1"
    assert (layer.bit_start, layer.bit_length) == (80, len(QUESTION + ANSWERS) * 8)
    assert found((layer,), "dns.resp.name") == ["web.example"] * 2
    assert found((layer,), "dns.cname") == ["a.example"]
    assert found((layer,), "dns.resp.ttl") == ["60 s"] * 2
    assert "'" not in "".join(field.text for _, field in walk((layer,)))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"\xc0\x0c", "a name points forward"),
        (b"\xc0\xff", "a name points forward"),
        (b"\x41abc", "a label of type 1"),
        (b"\x3fabc", "a name ends outside"),
        (b"\x01a" * 128 + b"\0", "a name is longer than 255 bytes"),
    ],
)
def test_names_that_cannot_be_read(name: bytes, why: str) -> None:
    layer = dns.read(QUESTION[:12] + name, 0)
    assert layer.children[-1].text == f"malformed: {why}; read no further"
    assert layer.children[-1].bit_start + layer.children[-1].bit_length == layer.bit_length


def test_records_beyond_the_limit_are_said() -> None:
    message = struct.pack("!6H", 7, 0x100, 1000, 0, 0, 0) + b"\1a\0\0\1\0\1" * 1000
    layer = dns.read(message, 0)
    assert len(found((layer,), "dns.qry.name")) == dns.RECORDS
    assert layer.children[-1].text == f"malformed: more than {dns.RECORDS} records; read no further"


@given(st.binary(max_size=300))
def test_any_bytes_as_a_message(data: bytes) -> None:
    layer = dns.read(data, 3)
    for _, field in walk((layer,)):
        assert field.bit_start >= 24
        assert field.bit_start + field.bit_length <= (3 + len(data)) * 8


def test_dns_over_tcp_and_on_any_port() -> None:
    message = QUESTION + ANSWERS
    (layer,) = upper.read("TCP", (53, 4000), struct.pack("!H", len(message)) + message, 0) or []
    assert found([layer], "dns.length") == [f"{len(message)} bytes"]
    assert [layer.name for layer in upper.read("UDP", (8053, 4000), message, 0) or []] == ["DNS"]
    assert upper.read("UDP", (8053, 4000), b"\xff" * 60, 0) is None
    assert [layer.name for layer in upper.read("UDP", (5353, 5353), message, 0) or []] == ["mDNS"]


def test_http_lines_are_fields() -> None:
    data = b"GET /a?b HTTP/1.1\r\nHost: example\r\nX\x1b[31m: y\x07\r\n\r\nbody"
    head, body = upper.read("TCP", (4000, 8080), data, 0) or []
    assert (head.name, head.text, body.name, body.text) == (
        "HTTP",
        "GET /a?b HTTP/1.1",
        "HTTP body",
        "4 bytes",
    )
    assert found([head], "http.request.uri") == ["/a?b"]
    assert [(field.name, field.text) for field in head.children[1:3]] == [
        ("Host", "example"),
        ("X.[31m", "y."),
    ]
    (status,) = upper.read("TCP", (80, 4000), b"HTTP/1.1 404 Not Found\r\nServer: x", 0) or []
    assert found([status], "http.response.code") == ["404"]
    assert found([status], "http.response.phrase") == ["Not Found"]


def hello(name: bytes) -> bytes:
    names = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack("!HH", 0, len(names)) + names
    body = b"\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0" + struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3) + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message


def test_the_server_that_a_client_asks_for() -> None:
    (layer,) = upper.read("TCP", (4000, 443), hello(b"www.example.com"), 0) or []
    assert layer.text == "Client Hello (www.example.com)"
    assert found([layer], "tls.handshake.extensions_server_name") == ["www.example.com"]


def test_a_record_that_goes_on_says_so() -> None:
    data = hello(b"www.example.com")
    (layer,) = upper.read("TCP", (4000, 443), data[:60], 0) or []
    assert f"[{len(data) - 60} bytes are in later segments]" in layer.text


@given(st.binary(max_size=200), st.integers(0, 24))
def test_any_bytes_as_tls_or_http(data: bytes, kind: int) -> None:
    for start in (bytes([kind, 3, 3, 0, 90]), b"GET ", b"HTTP/1.1 "):
        for layer in upper.read("TCP", (1, 2), start + data, 0) or []:
            for _, field in walk((layer,)):
                assert field.bit_start + field.bit_length <= len(start + data) * 8


def test_tcp_options() -> None:
    made = tcp_options(b"\2\4\5\xb4\1\3\3\7\5\x0a" + bytes(8) + b"\0\0", 0)
    assert [(field.name, field.text) for field in made] == [
        ("maximum segment size", "1460 bytes"),
        ("no operation", ""),
        ("window scale", "7"),
        ("SACK", "0, 0"),
        ("end of options", ""),
        ("padding", "00"),
    ]
    (wrong,) = tcp_options(b"\2\x09\1", 0)
    assert wrong.text == "length 9 is wrong, 3 bytes are there"


def test_dhcp_options() -> None:
    made = dhcp_options(b"\x35\1\1\x33\4\0\0\x0e\x10\x0c\4a\x1b[m\0\0\xff\0", 0)
    assert [(field.name, field.text) for field in made] == [
        ("message type (53)", "discover (1)"),
        ("lease time (51)", "3600 s"),
        ("hostname (12)", "61 1b 5b 6d"),
        ("padding", "2 bytes"),
        ("end (255)", ""),
        ("padding", "1 bytes"),
    ]


def test_sums() -> None:
    header = bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7")
    assert internet(header) == 0xB861
    assert total(header[:10] + b"\xb8\x61" + header[12:]) == 0xFFFF
    assert internet(b"\1") == 0xFEFF


def verdict(frame: bytes, filter_: str, net_header: bytes = b"") -> str:
    return found(dissect(frame, net_header), filter_)[0]


def test_verdicts() -> None:
    def patched(frame: bytes, at: int, value: int) -> bytes:
        return frame[:at] + struct.pack("!H", value) + frame[at + 2 :]

    frame = ether(0x800, ip4(17, udp(1, 2, b"odd")))
    assert verdict(frame, "udp.checksum") == "0x0 (none)"
    bad = patched(frame, 40, 0x1234)
    words = verdict(bad, "udp.checksum")
    assert words.startswith("0x1234 (bad, 0x")
    right = int(words.split()[2], 16)
    assert verdict(patched(frame, 40, right), "udp.checksum") == f"{right:#x} (good)"
    assert verdict(bad[:-1], "udp.checksum") == "0x1234 (not verified: the packet is cut)"
    assert verdict(patched(bad, 20, 0x2000), "udp.checksum") == "0x1234 (not verified: a fragment)"
    six = ether(0x86DD, ip6(17, udp(1, 2, b"odd")))
    assert verdict(six, "udp.checksum").startswith("0x0 (none, which IPv6 allows")
    segment = ether(0x800, ip4(6, tcp(1, 2, b"odd")))
    assert verdict(segment, "tcp.checksum").startswith("0x0 (bad, 0x")
    assert (
        verdict(segment, "tcp.checksum", struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 16, 0))
        == "0x0 (partial, offload)"
    )
