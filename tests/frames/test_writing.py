"""The pcapng writer: what it says, read back by our reader and by tshark, and how it fails."""

from __future__ import annotations

import errno
import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture.errors import CaptureError
from capture.files.opened import load
from capture.frame import (
    CALL_SENT,
    FIXED,
    INDIRECT,
    KICK_QUIET,
    STAGES,
    TO_DEVICE,
    TO_DRIVER,
    Array,
    records,
)
from capture.pcap import PcapWriter, read_pcap
from capture.pcapng import Interface, Writer, read_pcapng

QUEUES = [
    Interface("net0.rx0", "virtqueue 0, device to driver"),
    Interface("net0.tx0", "virtqueue 1, driver to device"),
]
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def frames(count: int) -> tuple[Array, bytes, Array]:
    """Frames of growing length with a different value in every field."""
    rows = records(count)
    each = np.arange(count)
    rows["number"] = each + 1
    rows["time"] = 1_767_225_600_123_456_789 + each * 1_000_001
    rows["captured"] = 60 + each % 7
    rows["length"] = 60 + each % 7 + (each % 3) * 1000
    rows["interface"] = rows["origin_queue"] = each % 2
    rows["direction"] = np.where(each % 2, TO_DEVICE, TO_DRIVER)
    rows["head"] = each % 256
    rows["origin_position"] = each + 65_530
    rows["descriptors"] = 1 + each % 3
    rows["buffers"] = 1
    rows["flags"] = np.where(each % 2, INDIRECT, FIXED)
    rows["net_header_length"] = 12
    rows["net_header"] = [bytes([1, 1, *range(10)]).ljust(20, b"\0")] * count
    sizes = rows["captured"].astype(np.int64)
    offsets = np.cumsum(sizes) - sizes
    data = b"".join(
        bytes.fromhex("525400000002 525400000001 88b5") + bytes([i % 256]) * (int(size) - 14)
        for i, size in enumerate(sizes)
    )
    return rows, data, offsets


def test_what_is_written_is_read_back() -> None:
    rows, data, offsets = frames(50)
    file = io.BytesIO()
    with Writer(file, QUEUES, comment="a pair") as writer:
        writer.write(rows[:20], data, offsets[:20])
        writer.write(rows[20:], data, offsets[20:])
    assert writer.frames == 50
    for row, packet in zip(rows, read_pcapng(io.BytesIO(file.getvalue())), strict=True):
        at = int(offsets[int(row["number"]) - 1])
        assert packet.data == data[at : at + int(row["captured"])]
        assert (packet.time, packet.length) == (int(row["time"]), int(row["length"]))
        assert (packet.number, packet.queue, packet.interface) == (
            row["number"],
            row["origin_queue"],
            row["interface"],
        )
        assert packet.direction == row["direction"]
        assert packet.comment == (
            f"head={row['head']} descriptors={row['descriptors']} "
            f"buffers=1 position={row['origin_position']} "
            f"{'indirect' if row['interface'] else 'fixed'} vnet=010100010203040506070809"
            " gso=tcpv4/770 csum=1284+1798"
        )


def staged(rows: Array) -> Array:
    """Stages with every distance from the frame's time that has its own form."""
    stages = np.zeros(len(rows), STAGES)
    distances = [0, 1, 10, 999, 1000, 12_300, 4_100_000_007, -1, -999, -12_345_678]
    for number, row in enumerate(rows):
        for place, name in enumerate(("available", "used", "collected")):
            stages[name][number] = int(row["time"]) + distances[(number + place) % len(distances)]
        if number % 4 == 3:
            stages["collected"][number] = 0
    stages["notices"] = [KICK_QUIET | CALL_SENT, 0][: len(rows)] * (len(rows) // 2)
    return stages


def test_ring_facts_come_back_exactly() -> None:
    rows, data, offsets = frames(40)
    stages = staged(rows)
    rows["origin_position"] += np.uint64((1 << 64) - 70_000)
    file = io.BytesIO()
    with Writer(file, QUEUES) as writer:
        writer.write(rows, data, offsets, stages)
    opened = load(io.BytesIO(file.getvalue()))
    assert opened.warnings == ()
    assert [(one.name, one.description) for one in opened.interfaces] == [
        (one.name, one.description) for one in QUEUES
    ]
    back = opened.store.rows(1, 41)
    for name in rows.dtype.names or ():
        if name != "offset":
            assert back[name].tolist() == rows[name].tolist(), name
    assert opened.store.stages(1, 41).tolist() == stages.tolist()
    assert opened.store.payloads(1, 41) == [
        data[at : at + size] for at, size in zip(offsets.tolist(), rows["captured"].tolist(), strict=True)
    ]


def test_what_a_person_reads() -> None:
    rows, data, offsets = frames(2)
    file = io.BytesIO()
    stages = np.zeros(2, STAGES)
    stages["available"] = rows["time"] - np.uint64(12_300)
    stages["used"] = rows["time"] + np.uint64(4_100)
    stages["collected"] = rows["time"] + np.uint64(9_000)
    stages["notices"] = KICK_QUIET | CALL_SENT
    with Writer(file, QUEUES) as writer:
        writer.write(rows, data, offsets, stages)
    packet = next(read_pcapng(io.BytesIO(file.getvalue())))
    assert packet.comment == (
        "head=0 descriptors=1 buffers=1 position=65530 fixed kick=quiet call=sent available=-12.3us "
        "used=+4.1us collected=+9us vnet=010100010203040506070809 gso=tcpv4/770 csum=1284+1798"
    )


def test_flags_tell_how_a_frame_was_addressed_and_what_is_left_to_do() -> None:
    rows = frames(4)[0]
    rows["captured"] = 14
    data = b"".join(
        bytes.fromhex(to) + bytes(8) for to in ("ff" * 6, "01005e000001", "525400000001", "00" * 6)
    )
    rows["net_header"] = [bytes([flags, gso]) + bytes(18) for flags, gso in ((0, 0), (1, 1), (2, 0), (3, 4))]
    file = io.BytesIO()
    with Writer(file, QUEUES) as writer:
        writer.write(rows, data, np.arange(4) * 14)
    raw, found = file.getvalue(), []
    at = 0
    while at < len(raw):
        kind, total = struct.unpack_from("<II", raw, at)
        if kind == 6:
            place = raw.index(b"\2\0\4\0", at + 28 + 16)
            found.append(struct.unpack_from("<I", raw, place + 4)[0])
        at += total
    ready, valid, whole = 1 << 9, 1 << 10, 1 << 11
    assert found == [
        1 | 3 << 2,
        2 | 2 << 2 | ready | whole,
        1 | 1 << 2 | valid,
        2 | 1 << 2 | ready | valid | whole,
    ]


def test_what_does_not_fit_stays_for_the_next_file() -> None:
    rows, data, offsets = frames(300)
    file = io.BytesIO()
    writer = Writer(file, QUEUES)
    taken = writer.fill(rows, data, offsets, None, 20_000)
    assert 0 < taken < 300 and writer.count == taken
    assert writer.fill(rows[taken:], data, offsets[taken:], None, 20_000) == 0
    writer.close()
    assert 18_000 < len(file.getvalue()) <= 20_000
    assert len(list(read_pcapng(io.BytesIO(file.getvalue())))) == taken


def test_pcap_with_nanoseconds(tmp_path: Path) -> None:
    rows, data, offsets = frames(50)
    path = tmp_path / "a.pcap"
    with PcapWriter.create(path, 2) as writer:
        writer.write(rows, data, offsets)
    assert writer.frames == 50
    with open(path, "rb") as file:
        packets = list(read_pcap(file))
    assert [packet.time for packet in packets] == rows["time"].tolist()
    assert [packet.length for packet in packets] == rows["length"].tolist()
    assert [packet.data for packet in packets] == [
        data[at : at + size] for at, size in zip(offsets.tolist(), rows["captured"].tolist(), strict=True)
    ]
    full = Full(2000)
    pcap = PcapWriter(full, 2)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="No space left"):
        pcap.write(rows, data, offsets)
        pcap.close()
    assert len(list(read_pcap(io.BytesIO(bytes(full.kept))))) == pcap.frames > 20


def test_frames_without_a_ring_say_nothing_of_one() -> None:
    rows, data, offsets = frames(1)
    rows["descriptors"] = rows["net_header_length"] = 0
    file = io.BytesIO()
    with Writer(file, QUEUES) as writer:
        writer.write(rows, data, offsets)
    (packet,) = read_pcapng(io.BytesIO(file.getvalue()))
    assert (packet.comment, packet.queue) == ("", None)


def test_an_interface_must_be_described() -> None:
    rows, data, offsets = frames(2)
    with pytest.raises(ValueError, match="interface 1 of 1 described"):
        Writer(io.BytesIO(), QUEUES[:1]).write(rows, data, offsets)


@needs_tshark
def test_tshark_sees_everything(tmp_path: Path) -> None:
    rows, data, offsets = frames(30)
    path = tmp_path / "rings.pcapng"
    with Writer.create(path, QUEUES) as writer:
        writer.write(rows[:10], data, offsets[:10])
        writer.lost(0, 7)
        writer.write(rows[10:], data, offsets[10:])
    assert path.stat().st_mode & 0o777 == 0o600
    names = ["time_epoch", "len", "cap_len", "interface_name", "interface_description", "packet_id",
             "interface_queue", "packet_flags_direction", "drop_count", "comment"]  # fmt: skip
    got = subprocess.run(
        [
            "tshark",
            "-r",
            str(path),
            "-T",
            "fields",
            *[word for name in names for word in ("-e", f"frame.{name}")],
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "damaged" not in got.stderr
    lines = got.stdout.splitlines()
    assert len(lines) == 30
    for row, line in zip(rows, lines, strict=True):
        time, length, captured, name, about, number, queue, way, drops, comment = line.split("\t")
        seconds, fraction = time.split(".")
        assert int(seconds) * 1_000_000_000 + int(fraction) == row["time"]
        assert (int(length), int(captured)) == (row["length"], row["captured"])
        assert (name, about) == (QUEUES[row["interface"]].name, QUEUES[row["interface"]].description)
        assert (int(number, 0), int(queue)) == (row["number"], row["origin_queue"])
        assert int(way, 0) == (1 if row["direction"] == TO_DRIVER else 2)
        assert drops == ("7" if row["number"] == 11 else "")
        assert comment.startswith(f"head={row['head']} descriptors={row['descriptors']} ")
    info = subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True)
    assert "nanoseconds (9)" in info.stdout


class Full(io.RawIOBase):
    """A file on a disk with room for so many bytes."""

    def __init__(self, room: int, seekable: bool = True) -> None:
        self.kept = bytearray()
        self._room = room
        self._seekable = seekable

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def tell(self) -> int:
        return len(self.kept)

    def truncate(self, size: int | None = None) -> int:
        assert size is not None
        del self.kept[size:]
        return size

    def write(self, data: Any) -> int:
        piece = bytes(data[: min(5000, self._room - len(self.kept))])
        if not piece:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept += piece
        return len(piece)


@pytest.mark.parametrize("room", [100, 5000, 12_345, 26_001])
def test_a_full_disk_is_told_once_and_leaves_whole_frames(room: int) -> None:
    file = Full(room)
    rows, data, offsets = frames(300)
    writer = Writer(file, QUEUES)  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"No space left on device; the first \d+ frames are written") as caught:
        writer.write(rows, data, offsets)
        writer.close()
    assert caught.value.errno == errno.ENOSPC
    kept = list(read_pcapng(io.BytesIO(bytes(file.kept)))) if room > 100 else []
    assert len(kept) == writer.frames
    assert room - len(file.kept) < 400
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(rows, data, offsets)


def test_a_pipe_cannot_be_cut_but_is_not_written_to_again() -> None:
    file = Full(9000, seekable=False)
    rows, data, offsets = frames(300)
    writer = Writer(file, QUEUES)  # type: ignore[arg-type]
    writer.write(rows, data, offsets)
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    size = len(file.kept)
    writer.close()
    assert size == len(file.kept) == 9000
    got = []
    with pytest.raises(CaptureError, match="cut short"):
        for packet in read_pcapng(io.BytesIO(bytes(file.kept))):
            got.append(packet)
    assert len(got) == writer.frames


def test_a_buffered_file_is_taken_over_below_its_buffer(tmp_path: Path) -> None:
    path = tmp_path / "out.pcapng"
    with open(path, "wb") as file:
        writer = Writer(file, QUEUES)
        writer.write(*frames(3))
        writer.flush()
        assert len(list(read_pcapng(io.BytesIO(path.read_bytes())))) == 3
        writer.close()
    assert len(list(read_pcapng(io.BytesIO(path.read_bytes())))) == 3


def test_a_reader_that_went_away() -> None:
    class Gone(Full):
        def write(self, data: Any) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    writer = Writer(Gone(0), QUEUES)  # type: ignore[arg-type]
    with pytest.raises(BrokenPipeError):
        writer.flush()
    writer.close()


def test_a_full_device() -> None:
    with pytest.raises(OSError, match="No space left on device; the first 0 frames") as caught:
        Writer.create("/dev/full", QUEUES).close()
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("seekable", [True, False])
def test_an_interrupt_leaves_nothing_half_written(seekable: bool) -> None:
    class Interrupted(Full):
        calls = 0

        def write(self, data: Any) -> int:
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().write(data)

    file = Interrupted(1 << 20, seekable)
    rows, data, offsets = frames(200)
    writer = Writer(file, QUEUES)  # type: ignore[arg-type]
    writer.write(rows, data, offsets)
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    writer.close()
    assert len(list(read_pcapng(io.BytesIO(bytes(file.kept))))) == writer.frames == 200
