"""The virtio-net header as a layer of scapy: every length, every offload, and in front of a frame."""

from __future__ import annotations

import struct

import pytest

from capture.dissection.worker import load

load()

from scapy.layers.inet import IP, TCP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.sendrecv import sniff  # noqa: E402

from capture.dissection.fieldmap import dissect  # noqa: E402
from capture.fields import walk  # noqa: E402
from capture.vnet import (  # noqa: E402
    VirtioNetHdr,
    VirtioNetHdrHash,
    VirtioNetHdrLegacy,
    layer_for,
    offload,
)

FRAME = bytes(
    Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="192.0.2.1", dst="192.0.2.2") / TCP()
)


@pytest.mark.parametrize(
    ("kind", "size"), [(VirtioNetHdrLegacy, 10), (VirtioNetHdr, 12), (VirtioNetHdrHash, 20)]
)
def test_a_frame_behind_each_length(kind: type[VirtioNetHdr], size: int) -> None:
    packet = kind(bytes(range(1, size + 1)) + FRAME)
    assert bytes(packet)[:size] == bytes(range(1, size + 1))
    assert packet[Ether].src == "02:00:00:00:00:01"
    assert TCP in packet
    assert layer_for(size) is kind
    assert len(kind()) == size


def test_built_and_read_back() -> None:
    made = (
        VirtioNetHdr(flags="NEEDS_CSUM", gso_type="TCPV4", gso_size=1448, csum_start=34, csum_offset=16)
        / Ether()
    )
    assert bytes(made)[:12] == struct.pack("<BBHHHHH", 1, 1, 0, 1448, 34, 16, 0)
    assert str(VirtioNetHdr(bytes(made)).flags) == "NEEDS_CSUM"


def test_sniff_and_a_binding_use_it() -> None:
    packets = sniff(offline=[VirtioNetHdr(bytes(12) + FRAME)], quiet=True)
    assert [packet[VirtioNetHdr].payload[IP].dst for packet in packets] == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("header", "length", "words"),
    [
        ((0, 0, 0, 0, 0, 0, 1), 60, "no offload"),
        ((1, 0, 0, 0, 34, 16, 1), 60, "checksum partial (left to the device, at 34+16)"),
        ((2, 0, 0, 0, 0, 0, 3), 60, "checksums verified, 3 buffers"),
        (
            (1, 1, 54, 1460, 34, 16, 0),
            54 + 2 * 1460 + 1,
            "TCP super-frame, 3 segments of 1460 bytes, checksum partial",
        ),
        (
            (1, 0x81, 54, 1460, 34, 16, 0),
            54 + 1460,
            "TCP super-frame, 1 segment of 1460 bytes, congestion marked",
        ),
        ((1, 5, 42, 1000, 34, 6, 0), 2042, "UDP super-frame, 2 segments of 1000 bytes"),
        ((4, 1, 54, 1460, 7, 2, 0), 9000, "7 coalesced segments, 2 duplicate acknowledgments"),
        ((0, 9, 0, 0, 0, 0, 0), 60, "super-frame of type 9, segments of 0 bytes"),
    ],
)
def test_offloads_in_words(header: tuple[int, ...], length: int, words: str) -> None:
    assert words in offload(struct.pack("<BBHHHHH", *header), length)


def test_a_sum_left_to_the_device_is_partial_and_not_bad() -> None:
    """The same bytes: bad where nobody said so, partial where the header does."""
    pseudo = bytearray(FRAME)
    pseudo[50:52] = b"\x12\x34"

    def verdict(header: bytes) -> str:
        return next(
            field.text for _, field in walk(dissect(bytes(pseudo), header)) if field.filter == "tcp.checksum"
        )

    assert verdict(b"").startswith("0x1234 (bad, 0x")
    assert verdict(struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 16, 0)) == "0x1234 (partial, offload)"
    assert verdict(struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 6, 0)).startswith("0x1234 (bad, 0x")
    assert verdict(struct.pack("<BBHHHHH", 2, 0, 0, 0, 0, 0, 0)) == "0x1234 (verified by the device)"


def test_coalesced_segments_have_names_of_their_own() -> None:
    (layer, *_) = dissect(FRAME, struct.pack("<BBHHHHH", 4, 1, 54, 1460, 7, 2, 0))
    named = {field.name: field.text for field in layer.children}
    assert named["coalesced segments"] == "7"
    assert named["duplicate acknowledgments"] == "2"
