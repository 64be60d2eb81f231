"""Hostile ring contents against our device: a reason code, never a crash, a hang or a read outside memory.

Test ids carry the recipe (HI-nnn). Everything here runs in a `Twin`: the model must give the same answer.
Our driver's turn is in test_hostile_driver.py, what needs a network device in test_hostile_net.py, the
control queue in test_control.py, the status register (HI-028, HI-071) in test_status.py. Not here, because
another approach is needed or there is nothing to attack:

    HI-017 HI-018 HI-039   memory that changes between two loads: the native tests, by the hook at the door
    HI-022 HI-023 HI-105   accesses after return, uninitialised or past a region: the native tests under
                           ASan and TSan; the checks at the edges are here
    HI-024                 dirty logging: this device does not log
    HI-046 HI-049          lengths inside frames: the engine never parses them
    HI-059                 configuration writes: there is no register to write
    HI-132                 a completion after a reset: a queue is reset only while both sides rest between
                           turns, and nothing is carried over (test_pair.py resets queues under load)
"""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from model import AVAIL, INDIRECT, NEXT, USED, WRITE, Done, Piece

from dataplane._engine import Engine
from dataplane.records import Reason
from tests.rings.conftest import Tally
from tests.rings.staging import (
    LAYOUTS,
    PACKED,
    SPLIT,
    Twins,
    hi,
    offer,
    refused,
    show,
    table_entries,
    write_desc,
)
from tests.rings.twin import BASE, Sequence, Setting, Tape, Twin

# ---- our device, a hostile driver ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, cycle", [hi(1, n, c) for n in (1, 2, 4, 256) for c in {*range(1, 9), n} if c <= n]
)
def test_chain_that_loops(twins: Twins, size: int, cycle: int) -> None:
    twin = twins(SPLIT, size)
    offer(twin, *[(twin.scratch, 16, NEXT, (i + 1) % cycle) for i in range(cycle)])
    refused(twin, Reason.CHAIN_LOOP)


@pytest.mark.parametrize("size, entries", [hi(3, n, e) for n in (4, 8) for e in (1, n, n + 1, 4 * n)])
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_table_that_loops(twins: Twins, size: int, entries: int, prefix: int) -> None:
    twin = twins(SPLIT, size)
    table = twin.scratch + 1024
    table_entries(twin, table, [(twin.scratch, 8, NEXT, (i + 1) % entries) for i in range(entries)])
    chain = [(twin.scratch, 8, NEXT, i + 1) for i in range(prefix)]
    offer(twin, *chain, (table, 16 * entries, INDIRECT, 0))
    refused(twin, Reason.CHAIN_LOOP if entries <= size else Reason.INDIRECT_LENGTH)


@pytest.mark.parametrize("head", [hi(4, h) for h in (8, 9, 0x7FFF, 0xFFFF)])
def test_head_out_of_range(twins: Twins, head: int) -> None:
    twin = twins(SPLIT)
    show(twin, head)
    refused(twin, Reason.HEAD_OUT_OF_RANGE)


@pytest.mark.parametrize("follower", [hi(4, h) for h in (8, 0x7FFF, 0xFFFF)])
@pytest.mark.parametrize("table", [False, True])
def test_next_out_of_range(twins: Twins, follower: int, table: bool) -> None:
    twin = twins(SPLIT)
    desc = (twin.scratch, 8, NEXT, follower)
    if table:
        table_entries(twin, twin.scratch + 64, [desc] * 2)
        desc = (twin.scratch + 64, 32, INDIRECT, 0)
    offer(twin, desc)
    refused(twin, Reason.HEAD_OUT_OF_RANGE)


@pytest.mark.parametrize("start", [0, 65530])
@pytest.mark.parametrize("jump", [hi(6, j) for j in (9, 0x8000, 0xFFFF)])
def test_available_index_jumps(twins: Twins, jump: int, start: int) -> None:
    twin = twins(SPLIT, start=start)
    twin.poke(twin.shape.driver + 2, struct.pack("<H", start + jump & 0xFFFF))
    refused(twin, Reason.INDEX_JUMP)


@LAYOUTS
@pytest.mark.parametrize("writable", [0, WRITE])
@pytest.mark.parametrize("count, position", [hi(7, 1, 0), hi(7, 3, 0), hi(7, 3, 1), hi(7, 3, 2)])
def test_length_0_drops_the_chain_and_the_ring_goes_on(
    twins: Twins, packed: bool, count: int, position: int, writable: int
) -> None:
    twin = twins(packed)
    pieces = [Piece(twin.scratch, 0 if i == position else 64, bool(writable)) for i in range(count)]
    for _ in range(20):
        assert twin.add(pieces) is not None
        twin.publish()
        chain = twin.next()
        assert chain and chain.reason == Reason.ZERO_LENGTH
        twin.complete([Done(0, chain.id, chain.slots, bool(writable))], False)
        twin.flush()
        assert twin.collect()
    assert not twin.device.broken


@LAYOUTS
@pytest.mark.parametrize("count", [hi(8, n) for n in (1, 4, 8)])
@pytest.mark.parametrize("bad", [0, -1])
def test_length_0_at_no_address(twins: Twins, packed: bool, count: int, bad: int) -> None:
    """The last of so many buffers, or the last descriptor of a chain of so many."""
    nowhere = 0 if bad == 0 else 2**64 - 16
    twin = twins(packed)
    for i in range(count):
        write_desc(twin, i, (nowhere if i + 1 == count else twin.scratch, 0 if i + 1 == count else 4, 0, i))
    if not packed:
        show(twin, *range(count))
    refused(twin, Reason.BAD_ADDRESS)
    assert twin.device.seen == count - 1


@LAYOUTS
@pytest.mark.parametrize("flags", [0, WRITE])
@pytest.mark.parametrize("where, length, good", [
    hi(9, "start", 16, True),
    hi(9, "before", 16, False),
    hi(9, "end", 16, True),
    hi(9, "end", 17, False),
    hi(9, "behind", 1, False),
    hi(9, "behind", 0, False),
    hi(9, "start", 2**32 - 1, False),
    hi(9, "wrap", 16, False),
    hi(9, "wrap", 2**32 - 1, False),
    hi(9, "zero", 1, False),
    hi(105, "end", 16 + 4096, False),
    hi(105, "end", 16 + 65536, False),
])  # fmt: skip
def test_edges_of_memory(twins: Twins, packed: bool, flags: int, where: str, length: int, good: bool) -> None:
    twin = twins(packed)
    end = BASE + len(twin.memory.data)
    address = {
        "start": BASE,
        "before": BASE - 1,
        "end": end - 16,
        "behind": end,
        "wrap": 2**64 - 8,
        "zero": 0,
    }
    offer(twin, (address[where], length, flags, 0))
    if not good:
        refused(twin, Reason.BAD_ADDRESS)
    else:
        chain = twin.next()
        assert chain and chain.pieces == (Piece(address[where], length, bool(flags)),)


@LAYOUTS
@pytest.mark.parametrize("inside", [hi(11, k) for k in range(0, 9)])
@pytest.mark.parametrize("skew", [0, 4, 15])
def test_table_over_the_end_of_memory(twins: Twins, packed: bool, inside: int, skew: int) -> None:
    """The first `inside` of 8 entries lie in memory, less `skew` bytes."""
    twin = twins(packed)
    end = BASE + len(twin.memory.data)
    table = end - 16 * inside + skew
    entry = struct.pack("<QIHH", twin.scratch, 8, 0, 0)
    twin.poke(end - 144, (entry * 9)[:144])
    offer(twin, (table, 16 * 8, INDIRECT, 0))
    if inside == 8 and skew == 0:
        assert twin.next()
    else:
        refused(twin, Reason.BAD_ADDRESS)


@LAYOUTS
@pytest.mark.parametrize("length", [hi(12, n) for n in (0, 1, 15, 17, 16 * 9, 16 * 65536, 2**32 - 1)])
def test_table_of_no_length(twins: Twins, packed: bool, length: int) -> None:
    twin = twins(packed)
    offer(twin, (twin.scratch, length, INDIRECT, 0))
    refused(twin, Reason.INDIRECT_LENGTH)


@pytest.mark.parametrize("depth", [hi(13, n) for n in (1, 2, 64)])
def test_table_in_a_table(twins: Twins, depth: int) -> None:
    twin = twins(SPLIT)
    for level in range(depth):
        at = twin.scratch + 16 * level
        table_entries(twin, at, [(at + 16, 16, INDIRECT, 0)])
    offer(twin, (twin.scratch, 16, INDIRECT, 0))
    refused(twin, Reason.INDIRECT_NESTED)


@pytest.mark.parametrize("recipe", [hi(13, "itself")])
def test_table_that_is_itself(twins: Twins, recipe: str) -> None:
    twin = twins(SPLIT)
    table_entries(twin, twin.scratch, [(twin.scratch, 16, INDIRECT, 0)])
    offer(twin, (twin.scratch, 16, INDIRECT, 0))
    refused(twin, Reason.INDIRECT_NESTED)


@LAYOUTS
@pytest.mark.parametrize("reason, indirect, flags", [
    hi(12, "INDIRECT_REFUSED", 0, INDIRECT),
    hi(12, "INDIRECT_NEXT", 1, INDIRECT | NEXT),
])  # fmt: skip
def test_table_where_none_may_be(twins: Twins, packed: bool, reason: str, indirect: int, flags: int) -> None:
    twin = twins(packed, indirect=bool(indirect))
    table_entries(twin, twin.scratch, [(twin.scratch + 64, 8, 0, 0)])
    offer(twin, (twin.scratch, 16, flags, 1))
    refused(twin, Reason[reason])


@pytest.mark.parametrize("recipe", [hi(12, "packed-list-then-table")])
def test_packed_table_behind_a_list(twins: Twins, recipe: str) -> None:
    twin = twins(PACKED)
    offer(twin, (twin.scratch, 8, NEXT, 0), (twin.scratch, 16, INDIRECT, 0))
    refused(twin, Reason.INDIRECT_NEXT)


@LAYOUTS
@pytest.mark.parametrize("length", [hi(19, n) for n in range(1, 7)])
@pytest.mark.parametrize("table", [False, True])
def test_every_order_of_readable_and_writable(twins: Twins, packed: bool, length: int, table: bool) -> None:
    for pattern in itertools.product((0, WRITE), repeat=length):
        twin = twins(packed)
        last = length - 1
        chain = [(twin.scratch, 8, f | (NEXT if i < last else 0), i + 1) for i, f in enumerate(pattern)]
        if table:
            table_entries(twin, twin.scratch + 64, chain)
            chain = [(twin.scratch + 64, 16 * length, INDIRECT, 0)]
        offer(twin, *chain)
        if list(pattern) == sorted(pattern):
            assert twin.next()
        else:
            refused(twin, Reason.WRITE_BEFORE_READ)


@LAYOUTS
@pytest.mark.parametrize("rounds", [hi(20, 500)])
def test_head_offered_twice(twins: Twins, packed: bool, rounds: int) -> None:
    """Again and again is fine, once at a time; twice at once breaks."""
    twin = twins(packed, 4)
    for i in range(rounds):
        bits = USED if i // 4 & 1 else AVAIL
        write_desc(twin, i % 4 if packed else 0, (twin.scratch, 8, 0, 3 if packed else 0), bits)
        if not packed:
            show(twin, 0)
        chain = twin.next()
        assert chain and twin.device.holding == 1
        twin.complete([Done(0, chain.id, 1, False)], False)
        twin.flush()
    for i in (rounds, rounds + 1):
        bits = USED if i // 4 & 1 else AVAIL
        write_desc(twin, i % 4 if packed else 0, (twin.scratch, 8, 0, 3 if packed else 0), bits)
    if not packed:
        show(twin, 0, 0)
    refused(twin, Reason.DUPLICATE_HEAD)
    assert twin.device.holding == 1


@LAYOUTS
@pytest.mark.parametrize("size", [hi(27, n) for n in (0, 3, 5, 32769, 65535, 2**32 - 1)])
def test_size_that_is_none(packed: bool, size: int) -> None:
    if packed and size in (3, 5):
        Engine(bare=True, packed=True, size=size, offered=0).close()
    else:
        with pytest.raises(ValueError):
            Engine(bare=True, packed=packed, size=size, offered=0)


@pytest.mark.parametrize("index", [hi(29, n) for n in (1, 0x7FFF, 0x8000, 0xFFFF)])
def test_queue_that_is_none(twins: Twins, index: int) -> None:
    engine = twins(SPLIT).engine
    for call in (
        lambda: engine.room(index, True),
        lambda: engine.reset_queue(index),
        lambda: engine.inject(index, False),
        lambda: engine.next(index),
        lambda: engine.verb(index, "publish"),
    ):
        with pytest.raises(IndexError):
            call()


@LAYOUTS
@pytest.mark.parametrize("flags", [hi(33, n) for n in (0, 1, 2, 3, 0xFFFF)])
def test_hostile_event_values(twins: Twins, packed: bool, flags: int) -> None:
    """Whatever stands there, each side answers, at most once for what it moved, and goes on."""
    twin = twins(packed, 7 if packed else 8, start=65533)
    piece = [Piece(twin.scratch, 64, True)]
    values = [0, 1, 6, 7, 8, 0x7FFE, 0x7FFF, 0x8000, 0x8006, 0x8007, 0xFFFE, 0xFFFF]
    for value in [*values, *random.Random(flags).choices(range(1 << 16), k=60)]:
        for area, event in ((twin.shape.driver, 4 + 2 * 8), (twin.shape.device, 4 + 8 * 8)):
            twin.poke(area, struct.pack("<HH", value, flags) if packed else struct.pack("<H", flags))
            if not packed:
                twin.poke(area + event, struct.pack("<H", value))
        twin.add(piece)
        twin.publish()
        twin.ask("kick_needed")
        chain = twin.next()
        assert chain
        twin.complete([Done(1, chain.id, 1, True)], False)
        twin.flush()
        twin.ask("call_needed")
        assert twin.collect()
        if not packed or flags & 3 in (1, 2):
            assert not (twin.ask("kick_needed") and twin.setting.event_idx), "nothing moved, nothing to tell"


@pytest.mark.parametrize("size", [hi(34, n) for n in (1, 3, 7, 256)])
def test_packed_ring_that_is_always_available(twins: Twins, size: int) -> None:
    """Slots are made available again behind the device: it takes N, then no more."""
    twin = twins(PACKED, size)
    for i in range(size):
        write_desc(twin, i, (twin.scratch, 8, 0, i))
    for i in range(size):
        assert twin.next()
        write_desc(twin, i, (twin.scratch, 8, 0, i + size), USED)
    refused(twin, Reason.INDEX_JUMP)


@pytest.mark.parametrize(
    "size, start", [hi(35, n, s) for n in (1, 3, 7) for s in range(n)] + [hi(35, 256, 255)]
)
@pytest.mark.parametrize("holes", [0, 1])
def test_packed_chain_without_end(twins: Twins, size: int, start: int, holes: int) -> None:
    """NEXT in all slots, or in all but those that the device holds already."""
    twin = twins(PACKED, size, start=start)
    for i in range(size):
        slot, wrapped = (start + i) % size, start + i >= size
        flags = NEXT if i >= holes else 0
        write_desc(twin, slot, (twin.scratch, 8, flags, i), USED if wrapped else AVAIL)
    for _ in range(holes):
        assert twin.next()
    if holes < size:
        refused(twin, Reason.CHAIN_LOOP)
    assert twin.device.seen == holes


@pytest.mark.parametrize("seed", [hi(37, s) for s in range(4)])
def test_packed_table_entries_mean_only_write(twins: Twins, seed: int) -> None:
    """2.8.7: the other flags and the id are reserved; entries follow one another."""
    random_ = random.Random(seed)
    for _ in range(50):
        twin = twins(PACKED)
        flags = sorted((random_.getrandbits(16) for _ in range(5)), key=lambda value: value & WRITE)
        table_entries(
            twin, twin.scratch, [(twin.scratch + 128, 8, v, random_.getrandbits(16)) for v in flags]
        )
        offer(twin, (twin.scratch, 80, INDIRECT, 5))
        chain = twin.next()
        assert chain and [p.writable for p in chain.pieces] == [bool(v & WRITE) for v in flags]
        assert chain.id == 5 and chain.indirect


@pytest.mark.parametrize("stale", [hi(38, n) for n in range(3)])
def test_packed_head_before_its_tail(twins: Twins, stale: int) -> None:
    """The rest of the chain is what stands there: empty, of the lap before, or an address nowhere."""
    twin = twins(PACKED)
    tail = [(0, 0, 0, 0), (twin.scratch, 16, 0, 9), (2**40, 16, 0, 0)][stale]
    write_desc(twin, 1, tail, AVAIL | USED if stale else 0)
    write_desc(twin, 0, (twin.scratch, 8, NEXT, 2))
    if stale == 1:
        chain = twin.next()
        assert chain and chain.id == 9 and chain.slots == 2
    else:
        refused(twin, Reason.BAD_ADDRESS)


@LAYOUTS
@pytest.mark.parametrize("offset", [hi(31, n) for n in (0, 8, 16)])
def test_pieces_that_overlap(twins: Twins, packed: bool, offset: int) -> None:
    twin = twins(packed)
    pieces = [Piece(twin.scratch, 16, False), Piece(twin.scratch + offset, 16, True)]
    twin.add(pieces)
    twin.publish()
    chain = twin.next()
    assert chain and list(chain.pieces) == pieces


@LAYOUTS
@pytest.mark.parametrize("entries", [hi(135, 9)])
def test_indirect_chain_longer_than_the_queue(twins: Twins, packed: bool, entries: int) -> None:
    twin = twins(packed)
    offer(twin, (twin.scratch, 16 * entries, INDIRECT, 0))
    refused(twin, Reason.INDIRECT_LENGTH)
    if not packed:
        twin = twins(packed)
        table_entries(twin, twin.scratch, [(twin.scratch, 8, NEXT, i + 1) for i in range(8)])
        offer(twin, (twin.scratch, 8, NEXT, 1), (twin.scratch, 16 * 8, INDIRECT, 0))
        refused(twin, Reason.CHAIN_LOOP)


# ---- whatever comes ------------------------------------------------------------------------------------


@LAYOUTS
def test_random_mutations(packed: bool, tally: Tally) -> None:
    """Thousands of tables with fields changed at random between the operations of both sides."""
    random_ = random.Random(20260101 + packed)
    sizes = (1, 2, 3, 7, 16) if packed else (1, 2, 4, 8, 16)
    mutated, rounds = 0, 0
    while mutated < 10_000:
        rounds += 1
        setting = Setting(packed, random_.choice(sizes), *(random_.random() < 0.7 for _ in range(3)))
        twin = Twin(setting._replace(start=random_.choice((0, 65530, 3)), wrap=random_.randint(0, 1)))
        try:
            sequence = Sequence(twin, Tape(random_.randbytes(400)), shuffle=True, hostile=True, mutations=96)
            tally.add(sequence.play(), hostile=True)
            mutated += sequence.counts["poke"]
        finally:
            twin.close()
    assert rounds > 100
