"""Hostile buffers of a network device: headers, lengths, offloads, receive buffers. See test_hostile.py.

Both sides are driven by hand, without threads, so that after one turn everything has been answered.
"""

from __future__ import annotations

import itertools
import struct

import pytest
from model import WRITE

from dataplane import features as f
from dataplane.records import Reason
from tests.rings.staging import LAYOUTS, Net, hi, played

HEADER = 12
FRAME = bytes(range(64))
NEEDS_CSUM, ECN = 1, 0x80
TCPV4, UDP, TCPV6 = 1, 3, 4


def header(
    flags: int = 0, gso: int = 0, size: int = 0, start: int = 0, offset: int = 0, buffers: int = 0
) -> bytes:
    return struct.pack("<BBHHHHH", flags, gso, 0, size, start, offset, buffers)


def legal(features: int, to_device: bool, head: bytes, length: int) -> bool:
    """5.1.6.2, 5.1.6.4: whether the header agrees with the features and the frame."""
    flags, gso, _, size, start, offset, _ = struct.unpack("<BBHHHHH", head)
    csum, tso4, tso6, ecn, ufo = (
        (f.NET_F_CSUM, f.NET_F_HOST_TSO4, f.NET_F_HOST_TSO6, f.NET_F_HOST_ECN, f.NET_F_HOST_UFO)
        if to_device
        else (
            f.NET_F_GUEST_CSUM,
            f.NET_F_GUEST_TSO4,
            f.NET_F_GUEST_TSO6,
            f.NET_F_GUEST_ECN,
            f.NET_F_GUEST_UFO,
        )
    )
    if flags & NEEDS_CSUM and not (f.has(features, csum) and start + offset + 2 <= length):
        return False
    if gso == 0:
        return True
    kind = gso & ~ECN
    if gso & ECN and not (kind in (TCPV4, TCPV6) and f.has(features, ecn)):
        return False
    needed = {TCPV4: tso4, TCPV6: tso6, UDP: ufo}.get(kind)
    return needed is not None and f.has(features, needed) and size > 0 and bool(flags & NEEDS_CSUM)


def verdict(net: Net, frame: bytes) -> Reason:
    """What the device says to one frame."""
    net.send(frame)
    dropped = net.drops(1)
    assert len(dropped) <= 1
    return dropped[0] if dropped else Reason.NONE


# ---- our device, a hostile driver ----------------------------------------------------------------------


@LAYOUTS
@pytest.mark.parametrize("length", [hi(41, n) for n in range(0, HEADER + 1)])
def test_buffer_no_longer_than_the_header(net: type[Net], packed: bool, length: int) -> None:
    device = net(packed)
    assert verdict(device, bytes(length)) == (Reason.TOO_SHORT if length else Reason.ZERO_LENGTH)
    assert verdict(device, bytes(HEADER) + FRAME) == Reason.NONE


@LAYOUTS
@pytest.mark.parametrize("length", [hi(45, n) for n in range(1, 21)])
def test_frame_shorter_than_ethernet(net: type[Net], packed: bool, length: int) -> None:
    expected = Reason.TOO_SHORT if length < 14 else Reason.NONE
    assert verdict(net(packed), bytes(HEADER + length)) == expected


@pytest.mark.parametrize("gso", [hi(44, g) for g in (TCPV4, UDP, TCPV6, 5, TCPV4 | ECN, TCPV6 | ECN)])
def test_segments_of_no_size(net: type[Net], gso: int) -> None:
    assert verdict(net(False), header(NEEDS_CSUM, gso, 0, 34, 16) + FRAME) == Reason.BAD_GSO


@LAYOUTS
@pytest.mark.parametrize("gso", [hi(43, g) for g in (0, TCPV4, UDP, TCPV6, 5, 0x20)])
def test_offload_fields_that_contradict_the_frame(net: type[Net], packed: bool, gso: int) -> None:
    device = net(packed)
    for flags, size, start, offset in itertools.product(
        (0, NEEDS_CSUM), (0, 1, 1448, 65535), (0, 34, 62, 63, 64, 65535), (0, 16, 28, 29, 65535)
    ):
        head = header(flags, gso, size, start, offset)
        good = legal(device.features, True, head, len(FRAME))
        assert verdict(device, head + FRAME) == (Reason.NONE if good else Reason.BAD_GSO), head.hex(" ")


OFFLOADS = {
    "all": (),
    "none": (f.NET_F_CSUM, f.NET_F_HOST_TSO4, f.NET_F_HOST_TSO6, f.NET_F_HOST_ECN, f.NET_F_HOST_UFO),
    "csum": (f.NET_F_HOST_TSO4, f.NET_F_HOST_TSO6, f.NET_F_HOST_ECN, f.NET_F_HOST_UFO),
    "tso4": (f.NET_F_HOST_TSO6, f.NET_F_HOST_ECN, f.NET_F_HOST_UFO),
}


@pytest.mark.parametrize("without", [hi(51, name) for name in OFFLOADS])
def test_every_flags_and_gso_type(net: type[Net], without: str) -> None:
    """65,536 headers for each set of features: those pass that were negotiated."""
    device = net(False, size=32, changes=f.mask(*OFFLOADS[without]))
    for gso in range(256):
        for base in range(0, 256, 32):
            heads = [header(flags, gso, 1448, 34, 16) for flags in range(base, base + 32)]
            device.offer(1, [[(device.place(head + FRAME), HEADER + len(FRAME), 0, 0)] for head in heads])
            assert device.turn(1) == 32
            bad = [h for h in heads if not legal(device.features, True, h, len(FRAME))]
            assert device.drops(1) == [Reason.BAD_GSO] * len(bad), (gso, base)


@LAYOUTS
@pytest.mark.parametrize("rounds", [hi(21, 4000)])
def test_rejected_buffers_come_back_once(net: type[Net], packed: bool, rounds: int) -> None:
    device = net(packed, size=32)
    for i in range(rounds // 32):
        for k in range(32):
            frame = bytes(HEADER - 2) if k % 3 else header(NEEDS_CSUM, 0, 0, 65535) + FRAME
            device.offer(1, [[(device.place(frame), len(frame), WRITE if k % 5 == 0 else 0, 0)]])
        assert device.turn(1) == 32
        state = device.queue(1).device
        assert state and (state.seen, state.used, state.holding) == (32 * (i + 1), 32 * (i + 1), 0)
        assert len(device.drops(1)) == 32
    assert state and state.drops == rounds - rounds % 32 and not state.broken


@LAYOUTS
@pytest.mark.parametrize("size", [hi(25, 256)])
def test_one_turn_has_a_budget(net: type[Net], packed: bool, size: int) -> None:
    """A full transmit queue does not keep the control queue waiting."""
    device = net(packed, size=size)
    frame = device.place(bytes(HEADER) + FRAME)
    device.offer(1, [[(frame, HEADER + len(FRAME), 0, 0)]] * size)
    assert device.request(b"\0\0", b"\1") == b"\0"
    state = device.queue(1).device
    assert state and state.seen == 32
    while device.turn(1):
        pass
    state = device.queue(1).device
    assert state and state.used == size and not device.drops(1)


@LAYOUTS
@pytest.mark.parametrize("target", [hi(30, t) for t in ("desc", "driver", "device", "header")])
def test_buffers_over_the_ring_itself(net: type[Net], packed: bool, target: str) -> None:
    """Receive buffers that cover the rings: the device writes there, and keeps its own mind."""
    device = net(packed)
    q = device.queue(0)
    at = {"desc": q.desc_addr, "driver": q.driver_addr, "device": q.device_addr, "header": device.base}[
        target
    ]
    device.engine.traffic(1, "play", 0, 0, played([FRAME * 4] * 12))
    for _ in range(8):
        device.offer(0, [[(at, 2048, WRITE, 0)]])
    for _ in range(20):
        device.turn(1)
    state = device.queue(0).device
    assert state and state.used <= 8 and state.holding <= 8


@LAYOUTS
@pytest.mark.parametrize("relation", [hi(31, r) for r in ("equal", "nested", "partial")])
def test_transmit_buffers_that_overlap(net: type[Net], packed: bool, relation: str) -> None:
    device = net(packed)
    at = device.place(bytes(HEADER) + FRAME)
    second = {"equal": (at, 76), "nested": (at + 16, 8), "partial": (at + 8, 76)}[relation]
    device.offer(1, [[(at, 76, 0, 0), (*second, 0, 0)]])
    device.turn(1)
    assert device.drops(1) == []
    state = device.queue(1).device
    assert state and state.bytes == 64 + second[1]


@LAYOUTS
@pytest.mark.parametrize("length", [hi(50, n) for n in (60, 1514, 1515, 9000, 65535)])
def test_frame_larger_than_any_buffer(net: type[Net], packed: bool, length: int) -> None:
    """Without MRG_RXBUF and with 1526-byte buffers: dropped and counted, and the ring works on."""
    device = net(packed, changes=f.mask(f.NET_F_MRG_RXBUF))
    device.engine.traffic(1, "play", 0, 0, played([bytes(length), FRAME]))
    for _ in range(4):
        device.offer(0, [[(device.place(bytes(1526)), 1526, WRITE, 0)]])
    for _ in range(3):
        device.turn(1)
    fits = length + HEADER <= 1526
    assert device.drops(1) == ([] if fits else [Reason.NO_BUFFER])
    state = device.queue(0).device
    assert state and state.frames == (2 if fits else 1) and not state.broken


@LAYOUTS
@pytest.mark.parametrize("recipe", [hi(50, "readable"), hi(50, "shorter-than-header")])
def test_receive_buffers_that_are_none(net: type[Net], packed: bool, recipe: str) -> None:
    device = net(packed)
    device.engine.traffic(1, "play", 0, 0, played([FRAME]))
    flags, length = (0, 2048) if recipe == "readable" else (WRITE, 5)
    for _ in range(4):
        device.offer(0, [[(device.place(bytes(length)), length, flags, 0)]])
    for _ in range(6):
        device.turn(1)
    device.offer(0, [[(device.place(bytes(2048)), 2048, WRITE, 0)]])
    for _ in range(6):
        device.turn(1)
    state = device.queue(0).device
    assert state and not state.broken and state.holding <= 5


# ---- our driver, a hostile device ----------------------------------------------------------------------


def received(driver: Net, *frame: tuple[bytes, int]) -> list[Reason]:
    """Writes (bytes, claimed length) into the next receive buffers and uses them; what the driver dropped."""
    first = driver.at.get(0, 0)
    for i, (data, _) in enumerate(frame):
        address = bytearray(8)
        assert driver.engine.peek(driver.areas[0][0] + 16 * ((first + i) % driver.size), address)
        assert driver.engine.poke(int.from_bytes(address, "little"), data)
    driver.use(0, *[((first + i) % driver.size, length) for i, (_, length) in enumerate(frame)])
    driver.turn(0)
    return driver.drops(0)


@LAYOUTS
@pytest.mark.parametrize("first, second", [hi(65, *n) for n in ((62, 30), (12, 90), (76, 0), (13, 13))])
def test_first_buffer_is_not_filled(net: type[Net], packed: bool, first: int, second: int) -> None:
    """The frame is put together from the lengths that were given."""
    driver = net(packed)
    driver.turn(0)
    data = header(buffers=2) + FRAME * 2
    assert received(driver, (data[:first], first), (data[first : first + second], second)) == []
    state = driver.queue(0).driver
    assert state and state.frames == 1 and state.bytes == first + second - HEADER


@LAYOUTS
@pytest.mark.parametrize("buffers", [hi(65, n) for n in (0, 3, 33, 65535)])
def test_number_of_buffers_that_do_not_follow(net: type[Net], packed: bool, buffers: int) -> None:
    driver = net(packed)
    driver.turn(0)
    assert received(driver, (header(buffers=buffers) + FRAME, HEADER + 64)) == [Reason.NUM_BUFFERS]
    assert received(driver, (header(buffers=1) + FRAME, HEADER + 64)) == []
    state = driver.queue(0).driver
    assert state and not state.broken and state.in_flight == driver.size


@LAYOUTS
@pytest.mark.parametrize("length", [hi(60, n) for n in (0, 1, 11)])
def test_used_shorter_than_the_header(net: type[Net], packed: bool, length: int) -> None:
    driver = net(packed)
    driver.turn(0)
    assert received(driver, (header(buffers=1), length)) == [Reason.TOO_SHORT]


GUEST = {
    "all": (),
    "none": (
        f.NET_F_GUEST_CSUM,
        f.NET_F_GUEST_TSO4,
        f.NET_F_GUEST_TSO6,
        f.NET_F_GUEST_ECN,
        f.NET_F_GUEST_UFO,
    ),
    "csum": (f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_GUEST_ECN, f.NET_F_GUEST_UFO),
}


@pytest.mark.parametrize("without", [hi(68, name) for name in GUEST])
def test_offloads_that_were_not_negotiated(net: type[Net], without: str) -> None:
    """Every gso_type with each of the known flags."""
    driver = net(False, changes=f.mask(*GUEST[without]))
    driver.turn(0)
    for gso, flags in itertools.product(range(256), (0, 1, 2, 3)):
        head = header(flags, gso, 1448, 34, 16, 1)
        good = legal(driver.features, False, head, 64)
        assert received(driver, (head + FRAME, HEADER + 64)) == ([] if good else [Reason.BAD_GSO]), (
            gso,
            flags,
        )


@LAYOUTS
@pytest.mark.parametrize("recipe", [hi(70, "storm-of-calls")])
def test_calls_for_nothing(net: type[Net], packed: bool, recipe: str) -> None:
    driver = net(packed)
    driver.turn(0)
    for _ in range(1000):
        driver.engine.inject(0, True)
        assert driver.turn(0) == 0
    state = driver.queue(0).driver
    assert state and state.in_flight == driver.size and not state.broken
