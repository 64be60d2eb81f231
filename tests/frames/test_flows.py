"""Conversations: counted like a plain loop would, latencies within their error, memory within its budget."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from frames.talk import ACK, FIN, PSH, RST, SYN, Tape, chaos, ether, ip4, lossy, tcp, udp

import capture
from capture.dfilter import compile_filter
from capture.files.opened import load
from capture.flows import KINDS, Conversation, Conversations
from capture.frame import STAGES, TO_DRIVER
from capture.play import MIX
from capture.store import Block, FrameStore
from capture.tracking import grouping
from capture.tracking.connections import Connection

MIX_PATH = Path(capture.__file__).parent / MIX
A, B = ("10.0.0.1", 1000, "10.0.0.2", 80), ("10.0.0.2", 80, "10.0.0.1", 1000)


def added(store: FrameStore, budget: int = 8192) -> Conversations:
    conversations = Conversations(budget)
    for block in store.blocks(1, 1 << 62):
        conversations.add(block)
    return conversations


def test_both_ways_are_one_row_and_a_is_who_sent_first() -> None:
    tape = Tape()
    tape.put(tcp(B, ACK, 1, 1, b"late"))
    tape.put(tcp(A, ACK, 1, 5), 1000)
    tape.put(tcp(A, ACK, 1, 5, bytes(100)), 1000)
    (row,) = added(tape.store()).rows("tcp")
    assert (row.a, row.a_port, row.b, row.b_port) == ("10.0.0.2", 80, "10.0.0.1", 1000)
    assert row.packets == (1, 2)
    assert row.bytes == (58, 54 + 154)
    assert (row.first_number, row.last_number) == (1, 3)
    assert row.duration == pytest.approx(0.002)
    assert row.bits_per_s[0] == pytest.approx(58 * 8 / 0.002)


def test_counts_equal_those_of_a_plain_loop() -> None:
    """The same segments, one at a time in a dict of Python; blocks of uneven size."""
    tape = chaos(random.Random(4), 40, 50)
    store = tape.store()
    expected: dict[tuple[object, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    known: dict[object, Connection] = {}
    for time, frame in tape.frames:
        ends = ((frame[26:30], frame[34:36]), (frame[30:34], frame[36:38]))
        key = frozenset(ends)
        connection = known.setdefault(key, Connection())
        side = int(ends[0] > ends[1])
        seq, ack = int.from_bytes(frame[38:42]), int.from_bytes(frame[42:46])
        connection.segment(side, time, frame[47], seq, ack)
        counts = expected[key, connection.serial]
        if not any(counts):
            counts += [side]
        way = int(side != counts[4])
        counts[way] += 1
        counts[2 + way] += len(frame)
    conversations = Conversations()
    start = 1
    for size in (1, 2, 7, 100, 500, 5000):
        for block in store.blocks(start, start + size):
            conversations.add(block)
        start += size
    got = sorted((*row.packets, *row.bytes) for row in conversations.rows("tcp"))
    assert got == sorted(tuple(counts[:4]) for counts in expected.values())
    assert sum(sum(row.packets) for row in conversations.rows("eth")) == len(tape.frames)


def test_ports_used_again_make_a_row_each() -> None:
    tape = Tape()
    for first in (100, 900):
        tape.put(tcp(A, SYN, first, 0))
        tape.put(tcp(B, SYN | ACK, 50 + first, first + 1))
        tape.put(tcp(A, PSH | ACK, first + 1, 51 + first, b"x"))
    rows = added(tape.store()).rows("tcp")
    assert [(row.serial, row.followed, row.packets) for row in rows] == [
        (0, True, (2, 1)),
        (1, False, (2, 1)),
    ]
    assert "frame.number in {4..6}" in rows[1].filter_text


def test_filter_text_selects_exactly_its_frames() -> None:
    store = load(MIX_PATH).store
    conversations = added(store)
    for kind in KINDS:
        for row in conversations.rows(kind):
            chosen = compile_filter(row.filter_text)
            blocks = list(store.blocks(1, 1 << 62))
            shown = sum(int(chosen.mask(block).sum()) for block in blocks)
            assert shown == sum(row.packets), row.filter_text


def test_tunnels_count_for_both_and_fragments_by_the_first() -> None:
    inner = ether(
        0x800, ip4("10.5.0.1", "10.5.0.2", 17, udp(("10.5.0.1", 1, "10.5.0.2", 2), b"in")[34:]), 7, 8
    )
    tape = Tape()
    tape.put(udp(("10.0.0.1", 5555, "10.0.0.2", 4789), b"\x08\0\0\0\0\0\x2a\0" + inner))
    tape.put(ether(0x800, ip4("10.0.0.1", "10.0.0.2", 17, udp(A, bytes(32))[34:], place=0x2000)))
    tape.put(ether(0x800, ip4("10.0.0.1", "10.0.0.2", 17, bytes(40), place=5)))
    conversations = added(tape.store())
    assert [(row.a_port, row.packets) for row in conversations.rows("udp")] == [
        (5555, (1, 0)),
        (1, (1, 0)),
        (1000, (1, 0)),
    ]
    assert {row.a: row.packets for row in conversations.rows("ip")} == {
        "10.0.0.1": (3, 0),
        "10.5.0.1": (1, 0),
    }
    assert len(conversations.rows("eth")) == 2


def tunnels() -> dict[str, bytes]:
    """UDP between 10.5.0.1 and 10.5.0.2 in all that a packet may stand in, by name."""
    packet = ip4("10.5.0.1", "10.5.0.2", 17, udp(("10.5.0.1", 1, "10.5.0.2", 2), b"in")[34:])
    inner = ether(0x800, packet, 7, 8)
    session = b"\x11\0\0\x01" + (len(packet) + 2).to_bytes(2) + b"\0\x21" + packet
    snap = b"\xaa\xaa\x03\0\0\0\x08\0" + packet
    outer = ("192.0.2.1", 5555, "192.0.2.2")
    return {
        "plain": ether(0x800, packet),
        "tags": ether(0x88A8, b"\0\x05\x81\0\0\x06\x08\0" + packet),
        "mpls": ether(0x8847, b"\0\0\x10\x40\0\0\x21\x40" + packet),
        "pppoe": ether(0x8864, session),
        "snap": ether(len(snap), snap),
        "ipip": ether(0x800, ip4("192.0.2.1", "192.0.2.2", 4, packet)),
        "gre": ether(0x800, ip4("192.0.2.1", "192.0.2.2", 47, b"\x20\0\x08\0\0\0\0\x09" + packet)),
        "vxlan": udp((*outer, 4789), b"\x08\0\0\0\0\0\x2a\0" + inner),
        "geneve": udp((*outer, 6081), b"\0\0\x65\x58\0\0\x2a\0" + inner),
    }


@pytest.mark.parametrize("name", tunnels())
def test_every_tunnel_is_entered(name: str) -> None:
    tape = Tape()
    tape.put(tunnels()[name])
    rows = added(tape.store()).rows("udp")
    assert [(row.b, row.b_port) for row in rows if row.a == "10.5.0.1"] == [("10.5.0.2", 2)]


def test_what_an_icmp_error_quotes_is_nobodys_packet() -> None:
    tape = Tape()
    tape.put(ether(0x800, ip4("10.0.0.9", "10.0.0.1", 1, b"\x03\x01" + bytes(6) + tcp(A, ACK, 1, 1)[14:])))
    conversations = added(tape.store())
    assert [row.a for row in conversations.rows("ip")] == ["10.0.0.9"]
    assert not conversations.rows("tcp")


def staged(tape: Tape, spent: list[int]) -> Block:
    (block,) = tape.blocks()
    stages = np.zeros(len(block.rows), STAGES)
    stages["available"] = 1000
    stages["used"] = 1000 + np.array(spent)
    return block._replace(stages=stages)


def test_latencies_are_within_five_percent_and_the_maximum_exact() -> None:
    dice = random.Random(2)
    tape = Tape()
    for _ in range(2000):
        tape.put(udp(A, b"x"))
    spent = [int(dice.lognormvariate(10, 2)) + 100 for _ in range(2000)]
    conversations = Conversations()
    conversations.add(staged(tape, spent))
    (row,) = conversations.rows("udp")
    spent.sort()
    assert row.latency.count == 2000
    assert row.latency.max == spent[-1]
    assert row.latency.median == pytest.approx(spent[999], rel=0.05)
    assert row.latency.p99 == pytest.approx(spent[1979], rel=0.05)
    assert row.latency == row.to_device
    assert row.to_driver.count == 0


def test_latencies_may_come_later_and_by_direction() -> None:
    tape = Tape()
    for _ in range(4):
        tape.put(udp(A, b"x"))
    block = staged(tape, [500, 600, 70_000, 80_000])
    rows = block.rows.copy()
    rows["direction"][2:] = TO_DRIVER
    block = block._replace(rows=rows)
    conversations = Conversations()
    conversations.add(block, settled=False)
    assert conversations.rows("udp")[0].latency.count == 0
    conversations.stages(block)
    (row,) = conversations.rows("udp")
    assert (row.to_device.count, row.to_device.max) == (2, 600)
    assert (row.to_driver.count, row.to_driver.max) == (2, 80_000)
    assert (row.latency.count, row.latency.max) == (4, 80_000)
    assert row.packets == (4, 0)


def test_late_latencies_find_the_connection_they_belong_to() -> None:
    tape = Tape()
    for first in (100, 900):
        tape.put(tcp(A, SYN, first, 0))
        tape.put(tcp(A, ACK, first + 1, 0))
    block = staged(tape, [100, 200, 3000, 4000])
    conversations = Conversations()
    conversations.add(block, settled=False)
    conversations.stages(block)
    assert [row.latency.max for row in conversations.rows("tcp")] == [200, 4000]


def test_a_scan_stays_within_the_budget_and_is_counted() -> None:
    tape = Tape()
    for port in range(3000):
        tape.put(tcp((A[0], 1 + port, A[2], 80), SYN, 1, 0))
        if port % 100 == 0:
            tape.put(tcp(("10.7.7.7", 7, "10.8.8.8", 8), ACK, 1, 1))
    conversations = Conversations(budget=200)
    store = tape.store()
    for start in range(1, store.last + 1, 100):
        for block in store.blocks(start, start + 100):
            conversations.add(block)
    rows = conversations.rows("tcp")
    folded = conversations.folded("tcp")
    assert len(rows) <= 200
    assert folded.conversations + len(rows) == 3001
    assert folded.packets + sum(sum(row.packets) for row in rows) == len(tape.frames)
    busy = [row for row in rows if row.a == "10.7.7.7"]
    assert busy[0].packets == (30, 0)


def test_no_bytes_make_it_fail() -> None:
    dice = random.Random(9)
    tape, _ = lossy(dice, 3, 5)
    hostile = Tape()
    for _, frame in tape.frames * 20:
        raw = bytearray(frame)
        for _ in range(dice.randrange(6)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        hostile.put(bytes(raw[: dice.randrange(len(raw) + 1)]))
    conversations = added(hostile.store())
    rows: list[Conversation] = [row for kind in KINDS for row in conversations.rows(kind)]
    assert rows
    assert all(row.filter_text.isprintable() for row in rows)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="budget of 0"):
        Conversations(0)


def test_keys_that_fall_on_one_number_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = chaos(random.Random(1), 10, 20)
    before = added(tape.store()).rows("tcp")
    monkeypatch.setattr(grouping, "_MIXERS", np.zeros(grouping.KEY_WORDS, np.uint64))
    assert added(tape.store()).rows("tcp") == before


@pytest.mark.parametrize("end", [FIN | ACK, RST], ids=["fin", "reset"])
@pytest.mark.parametrize("cut", [1, 3, 100])
def test_traffic_played_again_is_another_connection(end: int, cut: int) -> None:
    """With the same numbers in every round: the end tells the rounds apart, in whichever block it stands."""
    tape = Tape()
    for _ in range(3):
        tape.put(tcp(A, SYN, 100, 0), after_us=500_000)
        tape.put(tcp(B, SYN | ACK, 50, 101))
        tape.put(tcp(A, PSH | ACK, 101, 51, b"x"))
        tape.put(tcp(B, end, 51, 102))
    store = tape.store()
    conversations = Conversations()
    for start in range(store.first, store.last + 1, cut):
        for block in store.blocks(start, min(start + cut, store.last + 1)):
            conversations.add(block)
    rows = conversations.rows("tcp")
    assert [(row.serial, row.followed, row.packets) for row in rows] == [
        (0, True, (2, 2)),
        (1, True, (2, 2)),
        (2, False, (2, 2)),
    ]


@pytest.mark.parametrize("ended", [False, True])
def test_the_same_syn_again_is_no_other_connection(ended: bool) -> None:
    """Late on an open connection, or at once on one that ended: it was sent again."""
    tape = Tape()
    tape.put(tcp(A, SYN, 100, 0))
    tape.put(tcp(B, RST if ended else SYN | ACK, 50, 101))
    tape.put(tcp(A, SYN, 100, 0), after_us=1_000 if ended else 3_000_000)
    assert [(row.serial, row.packets) for row in added(tape.store()).rows("tcp")] == [(0, (2, 1))]


def test_only_kinds_that_there_are_are_named() -> None:
    tape = Tape()
    assert added(tape.store()).kinds == ()
    tape.put(tcp(A, SYN, 100, 0))
    assert added(tape.store()).kinds == ("eth", "ip", "tcp")
