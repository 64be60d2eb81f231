"""Expert notes, each from a conversation that has just that trouble; the oracle is in tests/interop."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frames.talk import ACK, FIN, PSH, RST, SYN, Tape, chaos, checksum, ether, ip4, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

import capture
from capture import expert
from capture.batch import sums
from capture.expert import NOTES, Expert
from capture.files.opened import load
from capture.frame import TO_DRIVER
from capture.play import MIX
from capture.store import Block, FrameStore
from capture.tracking import tcpstate

A, B = ("10.0.0.1", 1000, "10.0.0.2", 80), ("10.0.0.2", 80, "10.0.0.1", 1000)
_PLAIN = (1 << 17) - 1  #: the notes on TCP alone


def notes_of(blocks: list[Block], gaps: bool = False) -> dict[int, int]:
    looked = Expert(gaps=gaps)
    found = {}
    for block in blocks:
        numbers, bits = looked.add(block)
        found.update(zip(numbers.tolist(), bits.tolist(), strict=True))
    assert found == dict(zip(*(column.tolist() for column in looked.found()), strict=True))
    assert sum(looked.counts.values()) == sum(int(bits).bit_count() for bits in found.values())
    return found


def names(bits: int) -> set[str]:
    return {info.name for bit, info in NOTES.items() if bits & bit}


class Talk:
    """One connection, opened, with segments that follow each other by themselves."""

    def __init__(self, window: int = 1000) -> None:
        self.tape = Tape()
        self.window = window
        self.tape.put(tcp(A, SYN, 0xFFFFFFF0, 0, window=window))
        self.tape.put(tcp(B, SYN | ACK, 500, 0xFFFFFFF1, window=window))
        self.tape.put(tcp(A, ACK, 0xFFFFFFF1, 501, window=window))

    def a(self, at: int, size: int = 0, acked: int = 0, **more: int) -> None:
        self._put(A, 0xFFFFFFF1 + at, 501 + acked, size, **more)

    def b(self, at: int, size: int = 0, acked: int = 0, **more: int) -> None:
        self._put(B, 501 + at, 0xFFFFFFF1 + acked, size, **more)

    def _put(
        self, ends: tuple[str, int, str, int], seq: int, ack: int, size: int, window: int | None = None,
        flags: int = ACK, after_us: int = 100,
    ) -> None:  # fmt: skip
        window = self.window if window is None else window
        self.tape.put(tcp(ends, flags, seq, ack, bytes(size), window=window), after_us)

    def last(self) -> set[str]:
        found = notes_of(self.tape.blocks())
        return names(found.get(len(self.tape.frames), 0))


def retransmission(talk: Talk) -> None:
    talk.a(0, 10)
    talk.a(0, 10, after_us=300_000)


def spurious(talk: Talk) -> None:
    talk.a(0, 10)
    talk.b(0, 0, 10)
    talk.a(0, 10, after_us=300_000)


def fast(talk: Talk) -> None:
    talk.a(0, 10)
    talk.b(0, 0, 10)
    talk.a(20, 10)
    talk.b(0, 0, 10)
    talk.b(0, 0, 10)
    talk.a(10, 10)


def out_of_order(talk: Talk) -> None:
    talk.a(0, 10)
    talk.a(20, 10)
    talk.a(10, 10, after_us=5)


def lost(talk: Talk) -> None:
    talk.a(0, 10)
    talk.a(20, 10)


def acked_lost(talk: Talk) -> None:
    talk.a(0, 10)
    talk.b(0, 0, 40)


def duplicate_ack(talk: Talk) -> None:
    talk.a(0, 10)
    talk.b(0, 0, 10)
    talk.b(0, 0, 10)


def zero_window(talk: Talk) -> None:
    talk.b(0, 0, 0, window=0)


def probe(talk: Talk) -> None:
    talk.b(0, 0, 0, window=0)
    talk.a(0, 1)


def probe_ack(talk: Talk) -> None:
    probe(talk)
    talk.b(0, 0, 0, window=0)


def full(talk: Talk) -> None:
    talk.a(0, 1000)


def update(talk: Talk) -> None:
    talk.b(0, 0, 0, window=1000)
    talk.b(0, 0, 0, window=1001)


def keep_alive(talk: Talk) -> None:
    talk.a(0, 10)
    talk.b(0, 0, 10)
    talk.a(9, 1)


def keep_alive_ack(talk: Talk) -> None:
    keep_alive(talk)
    talk.b(0, 0, 10)


def reset(talk: Talk) -> None:
    talk.a(0, 0, flags=RST | ACK)


def reused(talk: Talk) -> None:
    talk.a(0, 0, flags=FIN | ACK)
    talk.a(77, 0, flags=SYN)


def quiet(talk: Talk) -> None:
    talk.a(0, 900)
    talk.b(0, 50, 900)
    talk.a(900, 900, 50)
    talk.b(50, 0, 1800)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (retransmission, {"retransmission"}),
        (spurious, {"retransmission", "spurious retransmission"}),
        (fast, {"retransmission", "fast retransmission"}),
        (out_of_order, {"out of order"}),
        (lost, {"previous segment missing"}),
        (acked_lost, {"ACK of a segment not seen"}),
        (duplicate_ack, {"duplicate ACK"}),
        (zero_window, {"zero window"}),
        (probe, {"zero window probe"}),
        (probe_ack, {"zero window", "zero window probe ACK"}),
        (full, {"window full"}),
        (update, {"window update"}),
        (keep_alive, {"keep-alive"}),
        (keep_alive_ack, {"keep-alive ACK"}),
        (reset, {"reset"}),
        (reused, {"ports reused"}),
        (quiet, set()),
    ],
)
def test_each_trouble_of_tcp(make: Callable[[Talk], None], expected: set[str]) -> None:
    talk = Talk()
    make(talk)
    assert talk.last() == expected


def test_a_reset_that_answers_a_syn_is_a_refusal() -> None:
    tape = Tape()
    tape.put(tcp(A, SYN, 100, 0))
    tape.put(tcp(B, RST | ACK, 0, 101))
    assert names(notes_of(tape.blocks())[2]) == {"reset", "refused"}


def test_scaled_windows_are_full_at_their_real_edge() -> None:
    tape = Tape()
    scale = bytes((3, 3, 2, 0))
    tape.put(tcp(A, SYN, 0, 0, options=scale))
    tape.put(tcp(B, SYN | ACK, 0, 1, options=scale))
    tape.put(tcp(B, ACK, 1, 1, window=10))
    tape.put(tcp(A, PSH | ACK, 1, 1, bytes(10)))
    tape.put(tcp(A, PSH | ACK, 11, 1, bytes(30)))
    found = notes_of(tape.blocks())
    assert 4 not in found
    assert names(found[5]) == {"window full"}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_blocks_of_any_size_say_the_same(seed: int, sizes: list[int]) -> None:
    store = chaos(random.Random(seed), 4, 40).store()
    whole = notes_of(list(store.blocks(1, 1 << 62)))
    parts, start = [], 1
    while start <= store.last:
        size = sizes[len(parts) % len(sizes)]
        parts += list(store.blocks(start, start + size))
        start += size
    assert notes_of(parts) == whole


def damaged(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def test_checksums_are_judged_unless_offloaded_or_cut() -> None:
    good = tcp(A, ACK, 1, 1, b"payload")
    tape = Tape()
    for frame in (good, damaged(good, 60), damaged(good, 24), udp(A, b"no checksum"), damaged(good, 60)):
        tape.put(frame)
    rows, data, offsets = tape.rows()
    rows["net_header_length"][4] = 12
    rows["net_header"][4] = np.void(bytes([1]) + bytes(19))
    store = FrameStore()
    store.append(rows, data, offsets)
    found = {number: bits & ~_PLAIN for number, bits in notes_of(list(store.blocks(1, 6))).items()}
    assert {n: b for n, b in found.items() if b} == {2: expert.BAD_CHECKSUM, 3: expert.BAD_IP_CHECKSUM}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40)), min_size=1, max_size=12))
def test_sums_equal_those_of_the_rfc(parts: list[tuple[int, bytes]]) -> None:
    """Segments at odd and even places, of odd and even sizes, empty ones and the very last byte."""
    data, start, end = b"", [], []
    for gap, body in parts:
        data += b"\xa5" * gap
        start.append(len(data))
        data += body
        end.append(len(data))
    if len(data) < 2:
        return
    found = sums.ones_sum(np.frombuffer(data, np.uint8), np.array(start), np.array(end))
    expected = [checksum(body) ^ 0xFFFF for _, body in parts]
    assert [total % 0xFFFF for total in found.tolist()] == [total % 0xFFFF for total in expected]


def arp(operation: int, sender: tuple[int, str], target: tuple[int, str]) -> bytes:
    def end(one: tuple[int, str]) -> bytes:
        return bytes((0x52, 0x54, 0, 0, 0, one[0])) + bytes(int(part) for part in one[1].split("."))

    return ether(0x806, struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + end(sender) + end(target))


def test_two_stations_with_one_address() -> None:
    tape = Tape()
    tape.put(arp(1, (1, "10.0.0.1"), (0, "10.0.0.2")))
    tape.put(arp(2, (2, "10.0.0.2"), (1, "10.0.0.1")))
    tape.put(arp(1, (3, "10.0.0.1"), (0, "10.0.0.2")))
    tape.put(arp(2, (2, "10.0.0.2"), (9, "10.0.0.1")))
    found = notes_of(tape.blocks())
    assert found == {3: expert.DUPLICATE_ADDRESS, 4: expert.DUPLICATE_ADDRESS}


def test_headers_that_are_cut_or_contradict_themselves() -> None:
    good = tcp(A, ACK, 1, 1, b"payload")
    tape = Tape()
    tape.put(good[:40])
    tape.put(good[:14] + b"\x43" + good[15:])
    tape.put(ether(0x800, ip4("10.0.0.1", "10.0.0.2", 1, b"\x03\x01" + bytes(6))))
    tape.put(ether(0x800, ip4("10.0.0.1", "10.0.0.2", 1, b"\x0b\x00" + bytes(6), ttl=1)))
    found = notes_of(tape.blocks())
    assert found[1] & expert.TRUNCATED
    assert found[2] == expert.MALFORMED
    assert found[3] & expert.UNREACHABLE
    assert found[4] & expert.TIME_EXCEEDED
    assert found[4] & expert.TTL_LOW


_PACKET = tcp(A, ACK, 1, 1, bytes(8))[14:]
_FIRST = ip4("10.0.0.1", "10.0.0.2", 4, _PACKET[:48], place=0x2000)
_BEGUN = ip4("10.0.0.1", "10.0.0.2", 6, _PACKET[20:28], place=0x2000)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (bytes(10), {"malformed"}),
        (bytes(12) + b"\x81\0\0", {"malformed"}),
        (ether(0x800, ip4("10.0.0.1", "10.0.0.2", 6, bytes(12))), {"malformed"}),
        (ether(0x800, ip4("10.0.0.1", "10.0.0.2", 17, b"\0\1\0\2\0\x40\0\0")), {"malformed"}),
        (ether(0x800, _PACKET[:-4]), {"truncated"}),
        (ether(0x800, ip4("10.0.0.1", "10.0.0.2", 17, bytes(4), place=5)), set()),
        (ether(0x800, _FIRST), set()),
        (ether(0x800, _BEGUN), set()),
        (ether(0x800, ip4("10.0.0.9", "10.0.0.1", 1, b"\x03\1" + bytes(6) + _PACKET[:28])), {"unreachable"}),
        (ether(0x800, ip4("10.0.0.9", "10.0.0.1", 1, b"\x03\1" + bytes(6) + b"\x41")), {"unreachable"}),
    ],
    ids=["runt", "tag", "transport", "udp-length", "end-missing", "last-fragment", "tunnel-in-fragments",
         "header-in-fragments", "quoted", "quoted-nonsense"],
)  # fmt: skip
def test_what_is_malformed_and_what_is_only_cut(frame: bytes, expected: set[str]) -> None:
    tape = Tape()
    tape.put(frame)
    judged = {"malformed", "truncated", "unreachable"}
    assert names(notes_of(tape.blocks()).get(1, 0)) & judged == expected


def test_a_frame_kept_short_is_cut_and_not_malformed() -> None:
    tape = Tape()
    tape.put(tcp(A, ACK, 1, 1, b"payload")[:40])
    rows, data, offsets = tape.rows()
    rows["length"] = 61
    store = FrameStore()
    store.append(rows, data, offsets)
    assert names(notes_of(list(store.blocks(1, 2)))[1]) == {"truncated"}


def test_a_super_frame_too_long_for_its_length_field_is_whole() -> None:
    body = struct.pack("!HHIIBBHHH", 1, 2, 1, 1, 0x50, ACK, 512, 0, 0) + bytes(70_000)
    ends = b"\xfe\x80" + bytes(13) + b"\1" + b"\xfe\x80" + bytes(13) + b"\2"
    total = checksum(ends + struct.pack("!II", len(body), 6) + body)
    body = body[:16] + total.to_bytes(2) + body[18:]
    tape = Tape()
    tape.put(ether(0x86DD, struct.pack("!IHBB", 6 << 28, 0, 6, 64) + ends + body))
    tape.put(ether(0x86DD, struct.pack("!IHBB", 6 << 28, 0, 6, 64) + ends + damaged(body, 30)))
    found = notes_of(tape.blocks())
    bad = expert.MALFORMED | expert.TRUNCATED | expert.BAD_CHECKSUM
    assert [found.get(number, 0) & bad for number in (1, 2)] == [0, expert.BAD_CHECKSUM]


def ringed(positions: list[int], buffers: list[int]) -> list[Block]:
    tape = Tape()
    for _ in positions:
        tape.put(udp(A, b"x"))
    rows, data, offsets = tape.rows()
    rows["origin_queue"] = 1
    rows["direction"] = TO_DRIVER
    rows["origin_position"], rows["buffers"], rows["descriptors"] = positions, buffers, 1
    store = FrameStore()
    store.append(rows, data, offsets)
    return [*store.blocks(1, 3), *store.blocks(3, 1 << 62)]


def test_frames_that_a_queue_lost_on_the_way_to_the_store() -> None:
    blocks = ringed([10, 11, 13, 14, 20], [1, 2, 1, 1, 1])
    assert notes_of(blocks, gaps=True) == {5: expert.FRAMES_MISSING}
    assert notes_of(blocks, gaps=False) == {}


def test_idle_flows_are_forgotten_and_counted() -> None:
    tape = Tape()
    for number in range(50):
        tape.put(tcp(("10.0.0.1", 1 + number, "10.0.0.2", 80), ACK, 1, 1))
    looked = Expert(flows=10)
    store = tape.store()
    for start in range(1, 51, 5):
        for block in store.blocks(start, start + 5):
            looked.add(block)
    assert looked.forgotten == 40


def test_only_the_newest_troubled_frames_are_remembered() -> None:
    tape = Tape()
    for _ in range(60):
        tape.put(tcp(A, RST, 1, 0))
    looked = Expert(keep=20)
    store = tape.store()
    for start in range(1, 61, 10):
        for block in store.blocks(start, start + 10):
            looked.add(block)
    assert looked.counts[tcpstate.RESET] == 60
    assert looked.found().numbers.tolist() == list(range(41, 61))
    assert looked.bits(41) & tcpstate.RESET
    assert looked.bits(40) == 0


def test_no_bytes_make_it_fail() -> None:
    dice = random.Random(3)
    tape = Tape()
    for _, frame in chaos(random.Random(8), 5, 200).frames:
        raw = bytearray(frame)
        for _ in range(dice.randrange(8)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        tape.put(bytes(raw[: dice.randrange(len(raw) + 1)]))
    assert notes_of(tape.blocks())


def test_every_note_is_explained_in_one_line() -> None:
    bits = list(NOTES)
    assert len({info.name for info in NOTES.values()}) == len(bits)
    assert all(bit.bit_count() == 1 for bit in bits)
    assert all("\n" not in info.text + info.ring and info.text for info in NOTES.values())


def test_the_shipped_packets_played_twice_are_no_retransmissions() -> None:
    """Its sequence numbers are the same in every round; each round is a connection of its own."""
    store, expert, counts = load(Path(capture.__file__).parent / MIX).store, Expert(gaps=False), []
    for again_at in (0, 10_000_000_000):
        for block in store.blocks(1, store.last + 1):
            rows = block.rows.copy()
            rows["time"] += again_at
            expert.add(Block(rows, block.data, block.offsets, block.stages))
        counts.append(expert.counts)
    again = {NOTES[bit].name: n - counts[0][bit] for bit, n in counts[1].items() if n != counts[0][bit]}
    assert set(again) <= {"ports reused", "malformed"} and again["ports reused"] > 0
