"""Frames in short forms are whole frames: scapy computes the same lengths and checksums."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from dataplane.records import Side
from dataplane.script.frames import flow_pair, read

SIDES = pytest.mark.parametrize("side", list(Side))


@SIDES
@pytest.mark.parametrize("length", [46, 47, 64, 1514, 9014, 65_000])
@pytest.mark.parametrize("form, layer", [("udp", UDP), ("tcp", TCP), ("icmp", ICMP)])
def test_lengths_and_checksums(form: str, layer: type, length: int, side: Side) -> None:
    length = max(length, 58) if form == "tcp" else length
    frame = read(f"{form} {length}").make(7, side)
    assert len(frame) == length
    packet = Ether(frame)
    assert packet.haslayer(layer)
    again = packet.copy()
    for one in (IP, layer):
        del again[one].chksum
    del again[IP].len
    if form == "udp":
        del again[UDP].len
    assert bytes(Ether(bytes(again))) == frame == bytes(again)


@SIDES
def test_arp(side: Side) -> None:
    frame = read("arp").make(1, side)
    assert len(frame) == 60 and Ether(frame)[ARP].op == 1 + side


@pytest.mark.parametrize("form", ["udp 64", "tcp 64", "icmp", "arp", "bytes 60"])
def test_no_two_are_alike(form: str) -> None:
    frame = read(form)
    assert len({frame.make(serial, Side.DRIVER) for serial in range(1000)}) == 1000


@SIDES
@pytest.mark.parametrize("pairs", range(1, 17))
def test_a_flow_for_each_queue_pair(pairs: int, side: Side) -> None:
    for form in ("udp 64", "tcp 64"):
        for pair in range(pairs):
            assert flow_pair(read(form).make(3, side, pair, pairs), pairs) == pair


def test_bytes_as_they_are() -> None:
    frame = read("hex 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d")
    assert frame.make(1, Side.DRIVER) == frame.make(2, Side.DEVICE) == bytes(range(14))
