"""Following a stream: bytes in their place whatever the network did, gaps said, nothing counted twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from frames.talk import ACK, PSH, SYN, Tape, ether, ip4, lossy, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

import capture
from capture.files.opened import load
from capture.play import MIX
from capture.store import FrameStore
from capture.streams import Segment, Stream, as_hex, follow

A, B = ("10.0.0.1", 1000, "10.0.0.2", 80), ("10.0.0.2", 80, "10.0.0.1", 1000)
_MASK = 0xFFFFFFFF


def seen(stream: Stream) -> list[tuple[int, bytes | int]]:
    return [(part.side, part.missing or part.data) for part in stream.segments]


def said(*segments: tuple[int, int, bytes, int]) -> Stream:
    """A stream of (side, sequence, data, acknowledged)."""
    tape = Tape()
    for side, seq, data, acked in segments:
        tape.put(tcp(A if side == 0 else B, PSH | ACK, seq, acked, data))
    return follow(tape.store(), 1)


def test_order_is_restored_and_what_comes_twice_is_left_out() -> None:
    stream = said(
        (0, 1, b"one", 1), (0, 7, b"three", 1), (0, 4, b"two", 1), (0, 4, b"TWO", 1), (1, 1, b"ok", 12)
    )
    assert seen(stream) == [(0, b"one"), (0, b"two"), (0, b"three"), (1, b"ok")]
    assert [part.number for part in stream.segments] == [1, 3, 2, 5]
    assert (stream.a, stream.a_port, stream.frames, stream.sizes) == ("10.0.0.1", 1000, (4, 1), (11, 2))


def test_of_an_overlap_the_first_copy_stays() -> None:
    assert said((0, 1, b"abcd", 1), (0, 3, b"XXef", 1)).raw(0) == b"abcdef"
    assert said((0, 1, b"ab", 1), (0, 5, b"efgh", 1), (0, 3, b"cdXXXXij", 1)).raw(0) == b"abcdXXXXij"


def test_a_gap_is_said_once_the_other_end_has_the_bytes() -> None:
    stream = said((0, 1, b"one", 1), (0, 9, b"four", 1), (1, 1, b"yes", 13))
    assert seen(stream) == [(0, b"one"), (0, 5), (0, b"four"), (1, b"yes")]
    assert stream.missing == (5, 0)
    assert stream.segments[1].number == 3


def test_what_nobody_acknowledged_comes_at_the_end() -> None:
    assert seen(said((0, 1, b"one", 1), (0, 9, b"four", 1))) == [(0, b"one"), (0, 5), (0, b"four")]


@pytest.mark.parametrize("first", [_MASK, _MASK - 2, (1 << 31) - 2])
def test_numbers_wrap(first: int) -> None:
    stream = said((0, first, b"abc", 1), (0, first + 6, b"ghi", 1), (0, first + 3, b"def", 1))
    assert stream.raw(0) == b"abcdefghi"
    assert stream.missing == (0, 0)


def test_keep_alives_bring_nothing() -> None:
    assert said((0, 1, b"abc", 1), (0, 3, b"\0", 1), (0, 4, b"d", 1)).raw(0) == b"abcd"


def test_a_super_frame_is_one_segment() -> None:
    """A segment too long for the length field of its IP header: that is 0, the frame's own length counts."""
    frame = bytearray(tcp(A, ACK, 1, 1, bytes(30_000)))
    frame[16:18] = b"\0\0"
    tape = Tape()
    tape.put(bytes(frame))
    stream = follow(tape.store(), 1)
    assert [len(part.data) for part in stream.segments] == [30_000]


def test_ports_used_again_are_two_streams() -> None:
    tape = Tape()
    for first, text in ((100, b"old"), (900, b"new")):
        tape.put(tcp(A, SYN, first, 0))
        tape.put(tcp(A, ACK | PSH, first + 1, 1, text))
    store = tape.store()
    assert follow(store, 1).raw() == b"old"
    assert follow(store, 4).raw() == b"new"
    assert "frame.number in {3..4}" in follow(store, 4).filter_text
    assert (follow(store, 4).first_number, follow(store, 4).last_number) == (3, 4)


def test_udp_is_taken_as_it_comes() -> None:
    tape = Tape()
    for way, data in ((A, b"ask"), (B, b"answer"), (A, b"ask")):
        tape.put(udp(way, data))
    tape.put(udp(("10.0.0.1", 1001, "10.0.0.2", 80), b"other"))
    stream = follow(tape.store(), 2)
    assert stream.kind == "udp"
    assert seen(stream) == [(0, b"ask"), (1, b"answer"), (0, b"ask")]


def test_bytes_that_were_not_kept_are_missing() -> None:
    tape = Tape()
    for number in range(2):
        tape.put(tcp(A, ACK, 1 + number * 10, 1, b"0123456789"))
    rows, data, offsets = tape.rows()
    rows["captured"] -= 4
    store = FrameStore()
    store.append(rows, data, offsets)
    assert seen(follow(store, 1)) == [(0, b"012345"), (0, 4), (0, b"012345"), (0, 4)]


def test_the_limit_cuts_and_says_so() -> None:
    tape = Tape()
    for number in range(100):
        tape.put(tcp(A, ACK, 1 + number * 1000, 1, bytes(1000)))
    stream = follow(tape.store(), 5, limit_bytes=2500)
    assert stream.cut
    assert stream.sizes == (2500, 0)


def test_what_has_no_stream_is_said_in_one_line() -> None:
    tape = Tape()
    tape.put(ether(0x800, ip4("10.0.0.1", "10.0.0.2", 1, bytes(8))))
    with pytest.raises(ValueError, match="frame 1 has no sound TCP or UDP header"):
        follow(tape.store(), 1)
    with pytest.raises(LookupError, match="frame 2 is not there yet"):
        follow(tape.store(), 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30))
def test_every_byte_stands_in_its_place(seed: int) -> None:
    """Over a bad network, against what was said: each byte kept is right, each gap has its size."""
    tape, texts = lossy(random.Random(seed), 2, 12)
    store = tape.store()
    numbers = {frame[26:30]: number for number, (_, frame) in reversed(list(enumerate(tape.frames, 1)))}
    for index, both in enumerate(texts):
        stream = follow(store, numbers[bytes((10, 1, 0, index))])
        for side, text in enumerate(both):
            at = 0
            for part in stream.segments:
                if part.side == side:
                    assert part.data == text[at : at + len(part.data)]
                    at += len(part.data) + part.missing
            assert at <= len(text)


def test_the_shipped_web_page_is_whole() -> None:
    store = load(Path(capture.__file__).parent / MIX).store
    number = next(n for n in range(1, store.last) if b"GET /vring.html" in store.frame(n).data)
    stream = follow(store, number)
    head, body = stream.raw(1).split(b"\r\n\r\n", 1)
    assert f"Content-Length: {len(body)}".encode() in head
    assert stream.missing == (0, 0)


def test_hex_has_offset_bytes_and_characters() -> None:
    assert list(as_hex(b"0123456789abcdef\x1bz", 16)) == [
        "00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef",
        "00000020  1b 7a                                             .z",
    ]


def test_segments_are_plain_data() -> None:
    assert Segment(0, 1, 2, b"x") == Segment(0, 1, 2, b"x", 0)
