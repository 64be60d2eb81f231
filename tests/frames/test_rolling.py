"""Rotation and triggers: every file whole in itself, nothing between two files missing, memory bounded."""

from __future__ import annotations

import errno
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.files.around import Around, chosen
from capture.files.rolling import RollingWriter
from capture.files.whole import WholeBlocks
from capture.frame import RECORD, STAGES, Array, records
from capture.pcap import PcapWriter
from capture.pcapng import Interface, Writer, read_pcapng
from capture.play import read
from capture.store import Block

ONE = [Interface("net0.rx0")]


def block(times: list[int], size: int = 60, number: int = 1) -> Block:
    rows = records(len(times))
    rows["time"] = times
    rows["number"] = np.arange(number, number + len(times))
    rows["captured"] = rows["length"] = size
    offsets = np.arange(len(times), dtype=np.int64) * size
    data = b"".join(bytes([time % 256]) * size for time in times)
    return Block(rows, memoryview(data), offsets, np.zeros(len(times), STAGES))


def times_in(path: Path) -> list[int]:
    with open(path, "rb") as file:
        return [packet.time for packet in read(file)]


def create(path: Path) -> WholeBlocks:
    return PcapWriter.create(path) if path.suffix == ".pcap" else Writer.create(path, ONE)


class Clock:
    def __init__(self) -> None:
        self.now = time.mktime((2026, 11, 22, 15, 44, 8, 0, 0, -1))

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", ["rings.pcapng", "rings.pcap"])
def test_by_size(tmp_path: Path, name: str) -> None:
    with RollingWriter(tmp_path / name, create, size=20_000) as writer:
        for start in range(0, 2000, 100):
            one = block(list(range(start, start + 100)))
            writer.write(one.rows, one.data, one.offsets, one.stages)
    files = sorted(tmp_path.iterdir())
    assert tuple(files) == writer.names and len(files) == writer.files > 5
    assert all(15_000 < file.stat().st_size <= 20_000 for file in files[:-1])
    assert [time for file in files for time in times_in(file)] == list(range(2000))
    assert writer.frames == 2000


def test_names_say_number_and_beginning(tmp_path: Path) -> None:
    clock = Clock()
    with RollingWriter(tmp_path / "a.b.pcapng", create, seconds=60, clock=clock) as writer:
        clock.now += 60
        writer.flush()
    assert [path.name for path in writer.names] == [
        "a.b_00001_20261122154408.pcapng",
        "a.b_00002_20261122154508.pcapng",
    ]


def test_by_time_whether_frames_come_or_not(tmp_path: Path) -> None:
    clock = Clock()
    with RollingWriter(tmp_path / "a.pcapng", create, seconds=60, clock=clock) as writer:
        for minute in range(4):
            if minute != 2:
                one = block([minute])
                writer.write(one.rows, one.data, one.offsets)
            clock.now += 59.9
            writer.flush()
            clock.now += 0.2
            writer.flush()
    assert [times_in(path) for path in sorted(tmp_path.iterdir())] == [[0], [1], [], [3], []]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    with RollingWriter(tmp_path / "a.pcapng", create, size=4096, keep=3) as writer:
        for number in range(200):
            one = block([number])
            writer.write(one.rows, one.data, one.offsets)
        assert len(list(tmp_path.iterdir())) <= 3
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3 and tuple(files) == writer.names
    left = [time for file in files for time in times_in(file)]
    assert left == list(range(200))[-len(left) :] and writer.frames == 200


def test_a_frame_larger_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    with RollingWriter(tmp_path / "a.pcapng", create, size=4096) as writer:
        one = block([1, 2, 3], size=9000)
        writer.write(one.rows, one.data, one.offsets, one.stages)
    assert [times_in(path) for path in sorted(tmp_path.iterdir())] == [[1], [2], [3]]


def test_losses_stand_where_the_next_frame_stands(tmp_path: Path) -> None:
    clock = Clock()
    with RollingWriter(tmp_path / "a.pcapng", create, seconds=60, clock=clock) as writer:
        one = block([1])
        writer.write(one.rows, one.data, one.offsets)
        clock.now += 61
        writer.lost(0, 5)
        writer.write(one.rows, one.data, one.offsets)
    first, second = sorted(tmp_path.iterdir())
    drop = b"\4\0\x08\0\5\0\0\0\0\0\0\0"
    assert drop not in first.read_bytes() and drop in second.read_bytes()


def test_a_full_disk_tells_of_all_files(tmp_path: Path) -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    made: list[Path] = []

    def second_fails(path: Path) -> WholeBlocks:
        made.append(path)
        return Writer.create(path, ONE) if len(made) == 1 else Writer(Full(), ONE)  # type: ignore[arg-type]

    writer = RollingWriter(tmp_path / "a.pcapng", second_fails, size=4096)
    with pytest.raises(OSError, match="No space left"):
        for number in range(10_000):
            one = block([number])
            writer.write(one.rows, one.data, one.offsets)
            writer.flush()
    assert writer.frames == len(times_in(made[0])) > 10


# ---- around a trigger ----------------------------------------------------------------------------------


def at(wanted: int) -> Any:
    return lambda one: one.rows["time"] == wanted


def through(around: Around, blocks: list[Block]) -> list[int]:
    return [time for one in blocks for part in around.take(one) for time in part.rows["time"].tolist()]


def test_before_and_after() -> None:
    around = Around(at(50), before=10, after=20)
    blocks = [block(list(range(start, start + 7))) for start in range(0, 100, 7)]
    assert through(around, blocks) == list(range(40, 71))
    assert (around.came, around.over, around.short) == (50, True, 0)


def test_all_in_one_block_and_bytes_stay_with_their_frames() -> None:
    around = Around(at(50), before=3, after=2)
    (part,) = around.take(block(list(range(100))))
    assert part.rows["time"].tolist() == [47, 48, 49, 50, 51, 52]
    for row, offset in zip(part.rows, part.offsets.tolist(), strict=True):
        assert part.data[offset] == row["time"]
    assert around.over and list(around.take(block([200]))) == []


def test_it_wakes_once() -> None:
    around = Around(lambda one: np.ones(len(one.rows), bool), before=5, after=5)
    assert through(around, [block([10, 11]), block([12, 20])]) == [10, 11, 12]
    assert around.came == 10


def test_nothing_comes_before_the_trigger() -> None:
    around = Around(at(1 << 40), before=1000, after=1)
    assert through(around, [block(list(range(n, n + 10))) for n in range(0, 5000, 10)]) == []
    assert around.came is None and not around.over
    assert len(around._held) <= 102


def test_memory_is_bounded_and_what_did_not_fit_is_told() -> None:
    around = Around(at(990), before=500, after=5, budget_bytes=100 * (60 + 120))
    got = through(around, [block(list(range(n, n + 10))) for n in range(0, 1000, 10)])
    assert got[-1] == 995 and got[0] == 890
    assert around.short == 890 - 1 - (990 - 500)


def test_times_may_step_back_a_little() -> None:
    around = Around(at(50), before=10, after=10)
    assert through(around, [block([41, 39, 45]), block([43, 50, 49, 61, 60]), block([55])]) == [
        41, 45, 43, 50, 49, 60,
    ]  # fmt: skip


def test_chosen_copies_rows_whole() -> None:
    one = block(list(range(10)))
    one.stages["used"] = np.arange(10)
    wanted: Array = np.arange(10) % 3 == 0
    part = chosen(one, wanted)
    assert part.rows.dtype == RECORD and part.rows["time"].tolist() == part.stages["used"].tolist() == [
        0,
        3,
        6,
        9,
    ]
    file = io.BytesIO()
    with Writer(file, ONE) as writer:
        writer.write(part.rows, part.data, part.offsets, part.stages)
    assert [packet.data[0] for packet in read_pcapng(io.BytesIO(file.getvalue()))] == [0, 3, 6, 9]
