"""The event log and the frame log: cursors, exact losses, order, trace levels; and the journal undone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dataplane.pair import Pair
from dataplane.records import EVENT, FRAME, TO_DEVICE, Kind, Side
from dataplane.snapshot import Array
from dataplane.source import START
from tests.rings.staging import LAYOUTS, Net, wait_until
from tests.rings.twin import BASE, Sequence, Setting, Tape, Twin

HEADER = bytes(12)


def pull(engine: object, side: int, position: int = 0, room: int = 1 << 15) -> tuple[Array, int, int]:
    """(events, next position, lost) of one side."""
    rows = np.empty(room, EVENT)
    count, position, lost = engine.events(side, position, rows)  # type: ignore[attr-defined]
    return rows[:count], position, lost


def all_events(engine: object) -> Array:
    """Both sides' events in the order of their numbers."""
    rows = np.concatenate([pull(engine, side)[0] for side in (0, 1)])
    return rows[np.argsort(rows["number"])]


# ---- events --------------------------------------------------------------------------------------------


@LAYOUTS
def test_numbers_have_no_gap_and_no_twin(packed: bool) -> None:
    """One sequence over both sides, beginning with 1."""
    twin = Twin(Setting(packed, 4), trace_events=1 << 14)
    try:
        Sequence(twin, Tape(random.Random(1).randbytes(2000))).play()
        numbers = all_events(twin.engine)["number"].tolist()
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 300
        assert len(numbers) == int(twin.engine.info()["number"]) - 1
    finally:
        twin.close()


@pytest.mark.parametrize("written", [0, 1, 63, 64, 65, 128, 1000])
def test_loss_is_exact(written: int) -> None:
    """A log of 64 events: what is not read in time is counted, the rest comes in order."""
    twin = Twin(Setting(False, 4))
    try:
        _, start, _ = pull(twin.engine, 0)
        first = int(twin.engine.info()["number"])
        for _ in range(written):
            twin.engine.verb(0, "calls_on")
        rows, end, lost = pull(twin.engine, 0, start)
        assert end - start == written == len(rows) + lost
        assert rows["number"].tolist() == list(range(first + lost, first + written))
        assert lost == max(0, written - 63)
        assert len(pull(twin.engine, 0, end)[0]) == 0
    finally:
        twin.close()


def test_readers_do_not_disturb_each_other() -> None:
    """One reads often, one seldom, one far too little at a time: the first two miss nothing."""
    twin = Twin(Setting(True, 4), trace_events=1 << 14)
    try:
        positions, got = [0, 0, 0], [[], [], []]  # type: ignore[var-annotated]
        for i in range(300):
            Sequence(twin, Tape(random.Random(i).randbytes(4))).play()
            for reader, (every, room) in enumerate(((1, 1 << 12), (50, 1 << 12), (7, 2))):
                if i % every == every - 1:
                    rows, positions[reader], lost = pull(twin.engine, 0, positions[reader], room)
                    got[reader].append(rows)
                    assert lost == 0 or room == 2
        whole, end, _ = pull(twin.engine, 0)
        assert positions[:2] == [end, end]
        assert (np.concatenate(got[0]) == whole).all() and (np.concatenate(got[1]) == whole).all()
    finally:
        twin.close()


@pytest.mark.parametrize("room", [1, 7, 100])
def test_a_small_buffer_gets_the_newest(room: int) -> None:
    twin = Twin(Setting(False, 4), trace_events=1 << 10)
    try:
        _, start, _ = pull(twin.engine, 0)
        first = int(twin.engine.info()["number"])
        for _ in range(200):
            twin.engine.verb(0, "calls_on")
        rows, end, lost = pull(twin.engine, 0, start, room)
        assert rows["number"].tolist() == list(range(first + 200 - room, first + 200))
        assert lost == 200 - room and end - start == 200
    finally:
        twin.close()


@pytest.mark.parametrize("most", [1, 10, 1000])
def test_small_pulls_account_for_everything(most: int) -> None:
    with Pair(queue_size=8, frozen=True) as pair:
        pair.flood()
        pair.start()
        for _ in range(20):
            pair.step(Side.DRIVER, "turn", 2)
            pair.step(Side.DEVICE, "turn", 2)
        cursor, seen, lost = START, 0, 0
        while (events := pair.events(cursor, most=most)).cursor != cursor:
            assert len(events.rows) <= 2 * most
            cursor, seen, lost = events.cursor, seen + len(events.rows), lost + events.lost
        assert seen + lost == sum(cursor) > pair.snapshot(()).number > 100


def test_cursor_beyond_the_end_reads_nothing() -> None:
    twin = Twin(Setting(False, 4))
    try:
        rows, position, lost = pull(twin.engine, 0, 1 << 40)
        assert len(rows) == 0 and lost == 0
        assert position <= int(twin.engine.info()["number"]), "and comes back to where the log is"
    finally:
        twin.close()


def test_trace_levels() -> None:
    twin = Twin(Setting(False, 8), trace_events=1 << 12)
    kinds = {}
    try:
        for level in (0, 1, 2, 1, 0):
            twin.engine.trace(level)
            before = int(twin.engine.info()["number"])
            Sequence(twin, Tape(random.Random(3).randbytes(200))).play()
            rows = all_events(twin.engine)
            kinds[level] = set(rows["kind"][rows["number"] >= before].tolist())
            assert twin.engine.info()["trace_level"] == level
        assert kinds[0] == set()
        assert Kind.STORE not in kinds[1] and Kind.PUBLISH in kinds[1]
        assert Kind.STORE in kinds[2] and Kind.PUBLISH in kinds[2]
    finally:
        twin.close()


@LAYOUTS
def test_operations_tell_what_was_done(packed: bool) -> None:
    """One buffer, once round."""
    twin = Twin(Setting(packed, 4, start=3))
    sequence = Sequence(twin, Tape(bytes(64)))
    try:
        since = int(twin.engine.info()["number"])
        sequence.lap()
        rows = all_events(twin.engine)
        rows = rows[rows["number"] >= since]
        around = (65535, 0) if packed else (3, 4)  # of the slot, and of the index, that moved
        kick, call = (Kind.KICK, Kind.CALL) if packed else (Kind.KICK_QUIET, Kind.CALL_QUIET)
        told = [(Kind(r["kind"]), Side(r["side"]), int(r["old"]), int(r["new"])) for r in rows]
        assert told == [
            (Kind.ADD, Side.DRIVER, 0, 0),
            (Kind.PUBLISH, Side.DRIVER, 0, 1),
            (kick, Side.DRIVER, *around),
            (Kind.NEXT, Side.DEVICE, 0, 0),
            (Kind.COMPLETE, Side.DEVICE, 0, 0),
            (Kind.FLUSH, Side.DEVICE, 0, 1),
            (call, Side.DEVICE, *around),
            (Kind.COLLECT, Side.DRIVER, 0, 1),
        ]
        slot = 3 if packed else 0
        by_kind = {Kind(r["kind"]): r for r in rows}
        assert (
            by_kind[Kind.ADD]["slot"] == by_kind[Kind.NEXT]["slot"] == by_kind[Kind.COLLECT]["slot"] == slot
        )
        assert all(r["count"] == 1 and r["queue"] == 0 for r in rows)
    finally:
        twin.close()


# ---- the journal ---------------------------------------------------------------------------------------


def undo(memory: bytearray, stores: Array) -> None:
    """Takes stores back, the last first; each must find what it left."""
    for store in stores[::-1]:
        at, width = int(store["place"]) - BASE, int(store["count"])
        assert int.from_bytes(memory[at : at + width], "little") == int(store["new"]), f"{store}"
        memory[at : at + width] = int(store["old"]).to_bytes(width, "little")


def redo(memory: bytearray, stores: Array) -> None:
    for store in stores:
        at, width = int(store["place"]) - BASE, int(store["count"])
        memory[at : at + width] = int(store["new"]).to_bytes(width, "little")


@LAYOUTS
@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_undoing_restores_every_byte(packed: bool, in_order: bool, seed: int) -> None:
    """Backwards to the first byte, and forwards again."""
    size = (1, 2, 4, 16, 64)[seed]
    setting = Setting(packed, size, True, bool(seed & 1), in_order, 65530, seed & 1)
    twin = Twin(setting, trace_events=1 << 17)
    try:
        twin.engine.trace(2)
        before = bytearray(twin.memory.data)
        Sequence(twin, Tape(random.Random(seed).randbytes(3000)), shuffle=True).play()
        after = bytearray(twin.memory.data)
        rows = all_events(twin.engine)
        stores = rows[rows["kind"] == Kind.STORE]
        assert len(stores) > 200
        undo(after, stores)
        assert after == before
        redo(after, stores)
        assert after == twin.memory.data
    finally:
        twin.close()


@LAYOUTS
def test_undoing_what_two_threads_did(packed: bool) -> None:
    """A flood with both sides at work, then frozen: the journal still leads back."""
    with Pair(layout="packed" if packed else "split", queue_size=8, frozen=True) as pair:
        pair.flood()
        pair.trace("stores")
        pair.set_rate(20_000)
        pair.start()
        areas = [
            (at, size)
            for q in pair.snapshot().queues
            for at, size in (
                (q.desc_addr, 16 * q.size),
                (q.driver_addr, 4 if packed else 6 + 2 * q.size),
                (q.device_addr, 4 if packed else 6 + 8 * q.size),
            )
        ]

        def ring_memory() -> list[bytes]:
            return [pair.memory(at, size) for at, size in areas]

        before, cursor = ring_memory(), pair.events().cursor
        pair.run()
        wait_until(lambda: pair.snapshot(()).queue(1).used >= 500, "500 buffers")
        pair.freeze()
        after, events = ring_memory(), pair.events(cursor, most=1 << 16)
        assert events.lost == 0
        stores = events.rows[events.rows["kind"] == Kind.STORE]
        end = max(at + size for at, size in areas)
        memory = bytearray(end - BASE)
        for (at, _), data in zip(areas, after, strict=True):
            memory[at - BASE : at - BASE + len(data)] = data
        tables = ~np.isin(stores["place"], np.concatenate([np.arange(at, at + size) for at, size in areas]))
        undo(memory, stores[~tables])
        assert [bytes(memory[at - BASE : at - BASE + size]) for at, size in areas] == before


def test_events_of_a_running_pair_are_in_order() -> None:
    """Within one pull the numbers rise; of each side they rise from pull to pull, and nothing is silent."""
    with Pair(queue_size=16) as pair:
        pair.flood()
        pair.start()
        cursor, last, seen, lost = START, {0: 0, 1: 0}, 0, 0
        while pair.snapshot(()).queue(1).used < 20_000 or seen < 1000:
            events = pair.events(cursor)
            numbers = events.rows["number"].astype(np.int64)
            assert (np.diff(numbers) > 0).all()
            for side in (0, 1):
                own = numbers[events.rows["side"] == side]
                assert not len(own) or own[0] > last[side]
                last[side] = int(own[-1]) if len(own) else last[side]
            assert events.rows["time"].min(initial=1 << 62) > 1 << 60
            cursor, seen, lost = events.cursor, seen + len(events.rows), lost + events.lost
        pair.freeze()
        events = pair.events(cursor, most=1 << 16)
        assert sum(events.cursor) == seen + len(events.rows) + lost + events.lost == pair.snapshot(()).number


# ---- frames --------------------------------------------------------------------------------------------


class Reader:
    """Reads the frame log of an engine from a cursor of its own."""

    def __init__(self, net: Net) -> None:
        self.net, self.position, self.expected, self.lost = net, 0, 0, 0

    def read(self, room: int = 1 << 16) -> list[tuple[np.void, bytes]]:
        rows, data, offsets = (bytearray(n) for n in (room // 72 * 64, room, room // 72 * 8))
        n, _, self.position, self.expected, lost = self.net.engine.frames(
            self.position, self.expected, rows, data, offsets
        )
        self.lost += lost
        found = []
        for row, at in zip(np.frombuffer(rows, FRAME, n), np.frombuffer(offsets, np.int64, n), strict=True):
            found.append((row.copy(), bytes(data[at : at + int(row["captured"])])))
        return found


def numbered(i: int, length: int = 64) -> bytes:
    return i.to_bytes(4, "little") * (length // 4)


@LAYOUTS
def test_a_frame_is_told_as_it_was(net: type[Net], packed: bool) -> None:
    device = net(packed)
    device.engine.log_frames(True, 1)
    frame = numbered(7, 600)
    header = bytes([1, 0]) + bytes(4) + b"\x22\0\x10\0\0\0"
    at = device.place(header + frame)
    device.offer(1, [[(at, 12, 0, 0), (at + 12, 100, 0, 0), (at + 112, 500, 0, 0)]])
    device.turn(1)
    ((row, data),) = Reader(device).read()
    assert data == frame and row["length"] == row["captured"] == 600
    assert (row["queue"], row["head"], row["position"], row["direction"]) == (1, 0, 0, TO_DEVICE)
    assert (row["descriptors"], row["buffers"], row["flags"], row["number"]) == (3, 1, 0, 0)
    assert row["net_header_length"] == 12 and bytes(row["net_header"])[:12] == header


@LAYOUTS
@pytest.mark.parametrize("room", [200, 777, 4096])
def test_frames_in_small_portions(net: type[Net], packed: bool, room: int) -> None:
    device = net(packed)
    device.engine.log_frames(True, 1)
    one, other, got = Reader(device), Reader(device), []
    for i in range(100):
        device.send(HEADER + numbered(i, 64 + 4 * (i % 9)))
        if i % 6 == 5:
            while part := one.read(room):
                got += part
            other.read()
    while part := one.read(room):
        got += part
    assert [data for _, data in got] == [numbered(i, 64 + 4 * (i % 9)) for i in range(100)]
    assert [int(row["number"]) for row, _ in got] == list(range(100))
    assert one.lost == other.lost == 0


@LAYOUTS
@pytest.mark.parametrize("sent", [10, 31, 32, 33, 100, 1000])
def test_lost_frames_are_counted(net: type[Net], packed: bool, sent: int) -> None:
    """A log of 4096 bytes holds 32 records of 128; what a reader misses it is told."""
    device = net(packed)
    device.engine.log_frames(True, 1)
    for i in range(sent):
        device.send(HEADER + numbered(i))
    reader = Reader(device)
    got = reader.read()
    assert [data for _, data in got] == [numbered(i) for i in range(sent - len(got), sent)]
    assert len(got) == min(sent, 32) and reader.lost == sent - len(got)
    device.send(HEADER + numbered(sent))
    assert [data for _, data in reader.read()] == [numbered(sent)] and reader.lost == sent - len(got)


@pytest.mark.parametrize("sample, logged", [(1, 30), (3, 10), (7, 5), (100, 1)])
def test_sampling(net: type[Net], sample: int, logged: int) -> None:
    """One frame in so many; the others are counted as passed over."""
    device = net(False)
    device.engine.log_frames(True, sample)
    for i in range(30):
        device.send(HEADER + numbered(i))
    got = Reader(device).read()
    assert [data for _, data in got] == [numbered(i) for i in range(0, 30, sample)] and len(got) == logged
    info = device.engine.info()
    assert (info["frames"], info["frames_passed_over"]) == (logged, 30 - logged)


def test_log_switched_off_and_on(net: type[Net]) -> None:
    device = net(False)
    reader = Reader(device)
    for i in range(12):
        device.engine.log_frames(i % 4 < 2, 1)
        device.send(HEADER + numbered(i))
    assert [data for _, data in reader.read()] == [numbered(i) for i in range(12) if i % 4 < 2]
    assert device.engine.info()["frames_passed_over"] == 6 and reader.lost == 0


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_frames_of_a_pair(layout: str) -> None:
    """The rows and the bytes belong together; (queue, position) names the buffer."""
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.flood(sample=1)
        pair.set_rate(5000)
        pair.start()
        wait_until(lambda: pair.snapshot(()).logs.frames >= 300, "300 frames")
        pair.freeze()
        frames = pair.frames()
        assert frames.lost == 0 and len(frames.rows) >= 300
        assert (np.diff(frames.rows["number"].astype(np.int64)) == 1).all()
        for queue in (0, 1):
            of_queue = frames.rows["queue"] == queue
            assert (np.diff(frames.rows["position"][of_queue].astype(np.int64)) > 0).all()
        for row, offset in zip(frames.rows, frames.offsets, strict=True):
            assert frames.data[offset : offset + int(row["captured"])][42:44] == b"rs"
        again = pair.frames(frames.cursor)
        assert len(again.rows) == 0 and again.lost == 0
