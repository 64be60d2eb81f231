"""The frame log: which frames it takes, how they are read, and that nothing is ever counted wrongly."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER
from dataplane.source import START, Cursor

LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


def steps(*rows: tuple[int, int, int, int]) -> bytes:
    """Instructions as struct bpf_insn lays them out: code, jt, jf, k."""
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def byte_is(at: int, value: int, keep: int = 1 << 18) -> bytes:
    """The program that matches frames with this byte there."""
    return steps((0x30, 0, 0, at), (0x15, 0, 1, value), (0x06, 0, 0, keep), (0x06, 0, 0, 0))


NUMBER = 48  #: where a flood frame has the low byte of its number (FLOOD_SEQUENCE in port.c)
NOTHING = steps((0x06, 0, 0, 0))


def wait_until(true: Callable[[], bool], what: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s"
        time.sleep(0.002)


def frame(number: int, size: int = 60) -> bytes:
    return bytes(12) + b"\x88\xb5" + struct.pack("<I", number) + bytes([number % 7]) * (size - 18)


def played(pair: Pair, frames: list[PlayFrame]) -> None:
    """Plays them once and waits until the device has seen them all."""
    pair.play(frames, loop=False)
    pair.start()
    wait_until(lambda: counted(pair) >= len(frames), "all frames")


def counted(pair: Pair) -> int:
    logs = pair.snapshot(()).logs
    return logs.frames + logs.frames_filtered + logs.frames_passed_over


def drained(
    pair: Pair, since: Cursor = START, most: int = 1 << 22
) -> tuple[list[tuple[int, bytes]], int, Cursor]:
    """(frame number, bytes) of everything from a cursor on, how many were lost, and the cursor after."""
    found, lost = [], 0
    while True:
        got = pair.frames(since, most=most)
        lost, since = lost + got.lost, got.cursor
        if not len(got.rows):
            return found, lost, since
        assert len(got.data) == int(got.rows["captured"].sum())
        for row, at in zip(got.rows, got.offsets.tolist(), strict=True):
            found.append((int(row["number"]), bytes(got.data[at : at + int(row["captured"])])))


@LAYOUTS
def test_only_what_matches_is_logged(layout: str) -> None:
    frames = [PlayFrame(0, i % 2, frame(i, 60 + i % 40)) for i in range(700)]
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.log_frames(True, program=byte_is(18, 3))
        played(pair, frames)  # what plays next keeps the program
        got, lost, _ = drained(pair)
        logs = pair.snapshot(()).logs
    wanted = sorted(f.data for f in frames if f.data[18] == 3)
    assert sorted(data for _, data in got) == wanted and lost == 0
    assert [number for number, _ in got] == list(range(100))
    assert (logs.frames, logs.frames_filtered, logs.frames_passed_over) == (100, 600, 0)


@pytest.mark.parametrize("way", [TO_DEVICE, TO_DRIVER])
def test_the_filter_sees_the_frame_and_not_the_net_header(way: int) -> None:
    header = bytes([1, 0]) + bytes(4) + struct.pack("<HH", 14, 4) + bytes(2)
    with Pair() as pair:
        pair.log_frames(True, program=byte_is(0, 0x5A))
        played(pair, [PlayFrame(0, way, b"\x5a" * 60, header), PlayFrame(0, way, b"\x01" * 60, header)])
        ((_, data),), _, _ = drained(pair)
    assert data == b"\x5a" * 60


def test_a_frame_of_many_buffers_is_seen_whole() -> None:
    """The last byte of a frame that is merged from several receive buffers decides."""
    frames = [PlayFrame(0, TO_DRIVER, bytes(5999) + bytes([i])) for i in range(10)]
    with Pair(mtu=9000) as pair:
        pair.log_frames(True, program=byte_is(5999, 4))
        played(pair, frames)
        ((_, data),), _, _ = drained(pair)
    assert data == frames[4].data


def test_of_what_matches_one_in_so_many_is_logged() -> None:
    frames = [PlayFrame(0, TO_DEVICE, frame(i)) for i in range(700)]
    with Pair() as pair:
        pair.play(frames, loop=False)
        pair.log_frames(True, 10, byte_is(18, 3))
        pair.start()
        wait_until(lambda: counted(pair) >= 700, "all frames")
        got, _, _ = drained(pair)
        logs = pair.snapshot(()).logs
    assert [data for _, data in got] == [frame(i) for i in range(3, 700, 70)]
    assert (logs.frames, logs.frames_filtered, logs.frames_passed_over) == (10, 600, 90)


@pytest.mark.parametrize(
    "keep, snap, kept", [(40, 1 << 18, 40), (1 << 18, 33, 33), (50, 33, 33), (90, 90, 60)]
)
def test_the_shortest_of_frame_snap_and_answer_is_kept(keep: int, snap: int, kept: int) -> None:
    with Pair() as pair:
        pair.log_frames(True, program=steps((0x06, 0, 0, keep)), snap=snap)
        played(pair, [PlayFrame(0, TO_DEVICE, frame(i)) for i in range(20)])
        got = pair.frames()
    assert (got.rows["captured"] == kept).all() and (got.rows["length"] == 60).all() and len(got.rows) == 20
    for i, at in enumerate(got.offsets.tolist()):
        assert got.data[at : at + kept] == frame(i)[:kept]


@pytest.mark.parametrize(
    "program, why",
    [
        (b"1234567", "whole number of instructions"),
        (steps((0x00, 0, 0, 1)), "does not end with a return"),
        (steps((0x05, 0, 0, 0xFFFFFFFE), (0x06, 0, 0, 0)), "jumps backwards"),
        (steps((0x28, 0, 0, 0xFFFFF000), (0x06, 0, 0, 0)), "negative offset"),
        (steps((0x34, 0, 0, 0), (0x06, 0, 0, 0)), "divides by zero"),
        (steps((0x99, 0, 0, 0), (0x06, 0, 0, 0)), "does not exist"),
        (NOTHING * 4097, "more than 4096"),
    ],
)
def test_an_unsound_program_changes_nothing(program: bytes, why: str) -> None:
    with Pair() as pair:
        pair.log_frames(True, 5, NOTHING)
        with pytest.raises(ValueError, match=why) as caught:
            pair.log_frames(False, 1, program)
        assert "\n" not in str(caught.value)
        logs = pair.snapshot(()).logs
        assert logs.frames_on and logs.frame_sample == 5


@pytest.mark.parametrize("sample, snap", [(0, 96), (-1, 96), (1, 0), (1, (1 << 18) + 1)])
def test_numbers_out_of_range_are_refused(sample: int, snap: int) -> None:
    with Pair() as pair, pytest.raises(ValueError, match="cannot be"):
        pair.log_frames(True, sample, snap=snap)


@LAYOUTS
def test_a_filter_holds_when_the_call_returns(layout: str) -> None:
    """Under a flood: not one frame after the call that the new program would not take."""
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.log_frames(True, program=NOTHING)
        pair.flood(sample=1)
        pair.start()
        seen = 0
        for turn in range(60):
            pair.log_frames(True, program=byte_is(NUMBER, turn))  # one frame in 256
            cursor = end_of_log(pair)
            before = counted(pair)
            wait_until(lambda before=before: counted(pair) > before + 2000, "more frames")
            got = pair.frames(cursor)
            assert {got.data[at + NUMBER] for at in got.offsets.tolist()} <= {turn}
            seen += len(got.rows)
        assert seen > 60


def end_of_log(pair: Pair) -> Cursor:
    got = pair.frames()
    while len(got.rows):
        got = pair.frames(got.cursor)
    return got.cursor


def test_the_filter_changes_in_a_frozen_and_in_a_sleeping_pair() -> None:
    with Pair() as pair:
        pair.flood(sample=1)
        pair.set_rate(2000)
        pair.start()
        wait_until(lambda: counted(pair) > 50, "frames")
        pair.freeze()
        before = pair.snapshot(()).logs
        pair.log_frames(True, program=NOTHING)
        pair.run()
        wait_until(
            lambda: pair.snapshot(()).logs.frames_filtered > before.frames_filtered + 50, "filtered frames"
        )
        assert pair.snapshot(()).logs.frames == before.frames
    with Pair() as pair:  # nothing to do: both sides sleep
        pair.start()
        started = time.monotonic()
        for _ in range(20):
            pair.log_frames(True, program=NOTHING)
        assert time.monotonic() - started < 10


def test_closing_while_filters_change_neither_hangs_nor_crashes() -> None:
    for _ in range(8):
        pair = Pair()
        pair.flood(sample=1)
        pair.start()
        failed: list[BaseException] = []

        def change(pair: Pair = pair, failed: list[BaseException] = failed) -> None:
            try:
                while True:
                    pair.log_frames(True, program=byte_is(0, 2))
                    pair.log_frames(True, 1)
            except RuntimeError:  # closed
                pass
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=change) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda pair=pair: counted(pair) > 1000, "frames")
        pair.freeze()
        pair.run()
        pair.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert not failed


# ---- reading -------------------------------------------------------------------------------------------


@LAYOUTS
def test_readers_who_are_lapped_are_told_what_they_missed(layout: str) -> None:
    """Full flood into the log, a quick reader and a slow one: read and lost are all that was written."""
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.flood(sample=1, length=200)
        pair.start()
        cursors: list[Cursor] = [START, START]
        totals = [0, 0]
        for turn in range(60):
            for reader in (0, 1) if turn % 20 == 0 else (0,):
                got = pair.frames(cursors[reader])
                numbers = got.rows["number"].astype(np.int64)
                assert (np.diff(numbers) == 1).all()
                assert (got.rows["captured"] == 200).all() and (np.diff(got.offsets) == 200).all()
                cursors[reader] = got.cursor
                totals[reader] += len(got.rows) + got.lost
        pair.log_frames(False)
        for reader in (0, 1):
            while len((got := pair.frames(cursors[reader])).rows):
                cursors[reader] = got.cursor
                totals[reader] += len(got.rows) + got.lost
            assert totals[reader] + got.lost == pair.snapshot(()).logs.frames


@pytest.mark.parametrize("most", [1, 1 << 18, 300_000])
def test_reading_in_small_portions_gives_the_same(most: int) -> None:
    frames = [PlayFrame(0, i % 2, frame(i, 60 + 37 * i % 1400)) for i in range(900)]
    with Pair() as pair:
        played(pair, frames)
        whole, lost, _ = drained(pair)
        again, missed, _ = drained(pair, most=most)
    assert whole == again and lost == missed == 0
    assert sorted(data for _, data in whole) == sorted(f.data for f in frames)


def test_an_answer_is_the_reader_s_own() -> None:
    """What was read stays as it was while the log goes on and others read."""
    with Pair() as pair:
        pair.flood(sample=1)
        pair.start()
        wait_until(lambda: counted(pair) > 1000, "frames")
        got = pair.frames()
        before = (got.rows.tobytes(), bytes(got.data), got.offsets.tobytes())
        for _ in range(20):
            pair.frames()
        assert (got.rows.tobytes(), bytes(got.data), got.offsets.tobytes()) == before
        assert got.data.readonly and not got.rows.flags.writeable and not got.offsets.flags.writeable
        assert len(got.data) == int(got.rows["captured"].sum())


def test_a_closed_pair_says_so() -> None:
    pair = Pair()
    pair.close()
    with pytest.raises(RuntimeError, match="closed"):
        pair.frames()
    with pytest.raises(RuntimeError, match="closed"):
        pair.log_frames(True, program=NOTHING)


def test_a_smaller_sample_holds_at_once() -> None:
    """From one in a thousand to every one: the rest of the thousand is not waited for."""
    frames = [PlayFrame(0, TO_DEVICE, frame(i)) for i in range(10)]
    with Pair() as pair:
        pair.play(frames, loop=False)
        pair.log_frames(True, 1000)
        pair.start()
        wait_until(lambda: counted(pair) >= 10, "the first frames")
        pair.play(frames, loop=False)  # which logs every frame
        wait_until(lambda: counted(pair) >= 20, "all frames")
        logs = pair.snapshot(()).logs
    assert (logs.frames, logs.frames_passed_over) == (11, 9)
