"""Field places: whole whatever the bytes. That they are tshark's is proven in tests/interop."""

from __future__ import annotations

import json
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.lacp import LACP, SlowProtocol
from scapy.contrib.lldp import LLDPDU, LLDPDUChassisID, LLDPDUEndOfLLDPDU, LLDPDUPortID, LLDPDUTimeToLive
from scapy.layers.dhcp import BOOTP
from scapy.layers.dhcp6 import DHCP6_Solicit, DHCP6OptOptReq
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP, SCTPChunkData

from capture.dissection.worker import load
from capture.fields import Field, from_json, printable, to_json, walk
from capture.play import load_mix

load()

from capture.dissection.fieldmap import DEPTH, _tidy, dissect  # noqa: E402


def assert_whole(fields: tuple[Field, ...], first: int, last: int, top: bool = False) -> None:
    """Fields stand side by side from `first` to `last` and print safely."""
    at = first
    for field in fields:
        assert field.bit_start == at
        assert field.bit_length > 0 or (top and field.kind in ("layer", "note"))
        assert printable(field.name) == field.name
        assert printable(field.text) == field.text
        at += field.bit_length
        if field.children:
            assert_whole(field.children, field.bit_start, at)
    assert at == last


def test_every_frame_of_the_mix_is_whole() -> None:
    for frame in load_mix():
        layers = dissect(frame.data, frame.net_header)
        if frame.net_header:
            assert_whole(layers[:1], 0, 96)
        assert_whole(layers[len(frame.net_header) > 0 :], 0, len(frame.data) * 8, top=True)


def test_mutated_and_cut_frames_are_whole() -> None:
    dice = random.Random(7)
    frames = [frame.data for frame in load_mix() if len(frame.data) < 400]
    for _ in range(1500):
        data = bytearray(dice.choice(frames))
        for _ in range(dice.randrange(6)):
            data[dice.randrange(12, len(data))] = dice.choice((0, 255, dice.randrange(256)))
        del data[dice.randrange(len(data) + 1) :]
        assert_whole(dissect(bytes(data)), 0, len(data) * 8, top=True)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([b"", b"\x08\0", b"\x86\xdd", b"\x08\x06", b"\x81\0"]))
def test_any_bytes_are_whole(data: bytes, kind: bytes) -> None:
    data = bytes(12) + kind + data
    assert_whole(dissect(data), 0, len(data) * 8, top=True)


def test_compressed_names_keep_their_own_bytes() -> None:
    """The answer's name is the pointer's two bytes, though its text is the whole name."""
    answers = [
        field
        for frame in load_mix()
        for _, field in walk(dissect(frame.data))
        if field.filter == "dns.resp.name" and "web.example.net" in field.text
    ]
    assert answers
    assert {field.bit_length for field in answers} == {16}


def test_records_of_an_answer_stand_side_by_side() -> None:
    """Field sizes as tshark gives them; rdata has its place although scapy forgets rdlen."""
    answers = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(rdata)) + rdata
        for kind, rdata in (
            (16, b"\x05hello\x05world"),
            (15, b"\0\x0a\x02mx\xc0\x0c"),
            (1, bytes([192, 0, 2, 1])),
        )
    )
    message = struct.pack("!HHHHHH", 1, 0x8180, 1, 3, 0, 0) + b"\x07example\x03com\0\0\xff\0\1" + answers
    udp = struct.pack("!HHHH", 53, 4000, 8 + len(message), 0) + message
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes(8)
    layers = dissect(bytes(12) + b"\x08\0" + ip + udp)
    found = [
        (field.name, field.text, field.bit_length // 8)
        for _, field in walk(layers)
        if field.filter in ("dns.txt", "dns.mx.mail_exchange", "dns.mx.preference", "dns.a")
    ]
    assert found == [
        ("text", "hello", 5),
        ("text", "world", 5),
        ("preference", "10", 2),
        ("mail exchange", "mx.example.com", 5),
        ("address", "192.0.2.1", 4),
    ]
    assert not [field for _, field in walk(layers) if field.name == "not dissected"]


def test_equal_records_have_places_of_their_own() -> None:
    question = b"\x05local\0\0\x0c\0\1"
    message = struct.pack("!HHHHHH", 0, 0, 3, 0, 0, 0) + question * 3
    udp = struct.pack("!HHHH", 5353, 5353, 8 + len(message), 0) + message
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes(8)
    layers = dissect(bytes(12) + b"\x08\0" + ip + udp)
    starts = [field.byte_start for _, field in walk(layers) if field.name == "question"]
    assert starts == [54, 54 + len(question), 54 + 2 * len(question)]


def test_fields_are_cut_to_their_layer_and_made_contiguous() -> None:
    inner = (Field("inner", "", 16, 8), Field("inner", "", 24, 8))
    loose = [
        Field("a", "", 8, 8),
        Field("b", "", 12, 20, "field", inner),
        Field("c", "", 40, 80),
        Field("d", "", 200, 8),
    ]
    made = _tidy(loose, 0, 64, "layer")
    assert [(field.name, field.bit_start, field.bit_length) for field in made] == [
        ("not dissected", 0, 8),
        ("a", 8, 8),
        ("b", 16, 16),
        ("not dissected", 32, 8),
        ("c", 40, 24),
    ]
    assert_whole(made, 0, 64)


def test_a_header_that_contradicts_itself_is_not_read_on() -> None:
    broken = [frame.data for frame in load_mix() if frame.data[12:15] == b"\x08\0\x43"]
    (data,) = broken
    layers = dissect(data)
    assert [layer.name for layer in layers] == ["Ethernet", "IPv4", "malformed"]
    assert layers[2].text == "IP header of 12 bytes; read no further"


def test_depth_is_bounded() -> None:
    layers = dissect(bytes(12) + b"\x81\0\0\1" * 1000)
    assert len(layers) == DEPTH + 1
    assert layers[-1].text == f"more than {DEPTH} layers"


LEAVES = st.builds(Field, st.text("ab ", max_size=3), st.text("xyz"), st.integers(0, 99), st.integers(0, 99))


def layer_of(children: list[Field]) -> Field:
    return Field("layer", "", 0, 99, "layer", tuple(children), "ip.src")


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3).map(layer_of), max_leaves=8))
def test_json_and_back(field: Field) -> None:
    assert from_json(json.loads(json.dumps(to_json(field)))) == field


@pytest.mark.parametrize(
    "value", [None, [], ["a"], ["a", "b", "0", 8, "field", [], ""], ["a", "b", 0, 8, "field", [1], ""]]
)
def test_json_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a field"):
        from_json(value)


def test_nothing_that_does_not_print_passes() -> None:
    assert printable("a\x1b[31m\x7f\x9b\u202e\u2400\n") == "a.[31m.???."
    assert printable(bytes(range(256))).isprintable()
    assert printable("x" * 9, 4) == "xxxx"


def test_a_fragment_is_called_one() -> None:
    """With the bytes that it has, in IPv4 and in IPv6."""
    four = (
        Ether() / IP(src="10.0.0.1", dst="10.0.0.2", proto=17, frag=185, flags="MF", len=1500) / (b"x" * 1480)
    )
    last = Ether() / IP(src="10.0.0.1", dst="10.0.0.2", proto=17, frag=370) / (b"x" * 40)
    six = Ether() / IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(offset=4, m=1, nh=17) / (b"x" * 64)
    whole = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP() / b"x"
    texts = [
        {layer.name: layer.text for layer in dissect(packet.build())} for packet in (four, last, six, whole)
    ]
    assert texts[0]["IPv4"] == "fragment, bytes 1480 to 2959, more follow, 10.0.0.1 > 10.0.0.2"
    assert texts[1]["IPv4"] == "fragment, bytes 2960 to 2999, the last, 10.0.0.1 > 10.0.0.2"
    assert texts[2]["IPv6 Extension Header - Fragmentation header"] == "fragment, bytes 32 to 95, more follow"
    assert texts[3]["IPv4"] == "10.0.0.1 > 10.0.0.2"


def test_padded_places_of_dhcp_read_as_what_they_are() -> None:
    mac = bytes.fromhex("525400000001")
    frame = Ether() / IP() / UDP(sport=68, dport=67) / BOOTP(chaddr=mac, sname=b"boot\x1b", file=b"")
    found = {field.filter or field.name: field for _, field in walk(dissect(frame.build()))}
    assert found["dhcp.hw.mac_addr"].text == "52:54:00:00:00:01"
    assert found["dhcp.hw.mac_addr"].bit_length == 48
    assert found["client hardware address"].text == "52:54:00:00:00:01"
    assert found["dhcp.file"].text == "none"
    assert "\x1b" not in found["dhcp.server"].text


def test_less_common_layers_have_words() -> None:
    """Names of their own in place of scapy's, and no Python in what they say."""
    lacp = Ether() / SlowProtocol(subtype=1) / LACP(actor_state=0x3D)
    ends = LLDPDUPortID(subtype=5, id="eth0") / LLDPDUTimeToLive(ttl=90) / LLDPDUEndOfLLDPDU()
    lldp = Ether() / LLDPDU() / LLDPDUChassisID(subtype=4, id="52:54:00:00:00:01") / ends
    solicit = (
        Ether() / IPv6() / UDP(sport=546, dport=547) / DHCP6_Solicit(trid=5) / DHCP6OptOptReq(reqopts=[23])
    )
    chunk = Ether() / IP() / SCTP() / SCTPChunkData(data=b"abcdefgh")
    found = {}
    for packet in (lacp, solicit, chunk, lldp):
        for _, field in walk(dissect(packet.build())):
            assert "<" not in field.text
            assert "_" not in field.name
            found[field.name] = field.text
    assert {"Slow protocol", "LACP", "LLDP chassis id", "LLDP time to live", "SCTP data"} <= set(found)
    assert (found["in sync"], found["short timeout"]) == ("not set", "not set")  # of the partner, the last
    assert found["time to live"] == "90 s"
    assert found["options asked for"] == "DNS Recursive Name Server Option"
    assert found["transaction"] == "0x5"
