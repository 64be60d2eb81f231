"""What others read in our files: names, queues, ids, directions, nanoseconds and losses, as they are."""

from __future__ import annotations

import io
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from capture.files.opened import load
from capture.frame import CALL_SENT, KICK_QUIET, STAGES, TO_DEVICE, TO_DRIVER, Array, records
from capture.pcap import PcapWriter
from capture.pcapng import Interface, Writer

ROOT = Path(__file__).resolve().parents[2]
QUEUES = [
    Interface("net0.rx0", "virtqueue 0, device to driver, split, 256 descriptors"),
    Interface("net0.tx0", "virtqueue 1, driver to device, split, 256 descriptors"),
]
pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def frames(count: int) -> tuple[Array, bytes, Array, Array]:
    """UDP frames on two queues, a different value in every field."""
    rows, stages = records(count), np.zeros(count, STAGES)
    each = np.arange(count)
    rows["number"] = each * 3 + 7
    rows["time"] = 1_767_225_600_123_456_789 + each * 1_000_001
    rows["interface"] = rows["origin_queue"] = each % 2
    rows["direction"] = np.where(each % 2, TO_DEVICE, TO_DRIVER)
    rows["origin_position"], rows["head"] = each * 70_000, each
    rows["descriptors"], rows["buffers"] = 1 + each % 5, 1 + each % 2
    rows["net_header_length"] = 12
    rows["net_header"] = [
        bytes([n % 4, (0, 1, 4, 0x81)[n % 4], *range(10)]).ljust(20, b"\0") for n in range(count)
    ]
    stages["available"] = rows["time"] - np.uint64(12_345)
    stages["used"] = rows["time"] + (each * 100).astype(np.uint64)
    stages["collected"] = stages["used"] + np.uint64(1)
    stages["notices"] = KICK_QUIET | CALL_SENT
    data, offsets = b"", []
    for number in range(count):
        payload = bytes([number]) * (number % 50)
        udp = struct.pack("!HHHH", 1000 + number, 53000, 8 + len(payload), 0) + payload
        ip = struct.pack(
            "!BBHHHBBH4s4s", 69, 0, 20 + len(udp), number, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2"
        )
        offsets.append(len(data))
        frame = bytes.fromhex("525400000002 525400000001 0800") + ip + udp
        rows["captured"][number] = rows["length"][number] = len(frame)
        data += frame
    return rows, data, np.array(offsets), stages


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Array, bytes, Array, Array]:
    rows, data, offsets, stages = frames(40)
    path = tmp_path / "ours.pcapng"
    with Writer.create(path, QUEUES, "virtio device net0") as writer:
        writer.write(rows[:10], data, offsets[:10], stages[:10])
        writer.lost(0, 5)
        writer.lost(1, 7)
        writer.write(rows[10:], data, offsets[10:], stages[10:])
        writer.lost(1, 2)
    return path, rows, data, offsets, stages


def tshark(path: Path, *names: str, full: bool = False) -> list[list[str]]:
    done = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", *(word for name in names for word in ("-e", name))],
        capture_output=True,
        text=True,
        check=not full,
    )
    assert full or not any(word in done.stderr for word in ("damaged", "cut short", "corrupt")), done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_reads_everything(written: tuple[Path, Array, bytes, Array, Array]) -> None:
    path, rows, _, _, stages = written
    lines = tshark(
        path,
        *(
            f"frame.{name}"
            for name in (
                "time_epoch", "interface_name", "interface_description", "interface_queue", "packet_id",
                "packet_flags_direction", "packet_flags_reception_type", "drop_count", "comment",
            )
        ),
        "udp.srcport",
    )  # fmt: skip
    assert len(lines) == 40
    for number, (row, stage, line) in enumerate(zip(rows, stages, lines, strict=True)):
        epoch, name, about, queue, packet, way, reception, drops, comment, port = line
        seconds, fraction = epoch.split(".")
        assert int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")) == row["time"]
        assert (name, about) == (QUEUES[number % 2].name, QUEUES[number % 2].description)
        assert (int(queue), int(packet, 0)) == (row["origin_queue"], row["number"])
        assert int(way, 0) == (1 if row["direction"] == TO_DRIVER else 2) and int(reception, 0) == 1
        assert drops == {10: "5", 11: "7"}.get(number, "")
        assert f"head={row['head']} descriptors={row['descriptors']} buffers={row['buffers']}" in comment
        assert f"position={row['origin_position']} kick=quiet call=sent available=-12.345us used=+" in comment
        assert f"vnet={bytes(row['net_header'])[:12].hex()}" in comment
        assert port == str(1000 + number)
        assert int(stage["used"]) - int(row["time"]) == number * 100


def test_capinfos_counts_the_losses(written: tuple[Path, Array, bytes, Array, Array]) -> None:
    out = subprocess.run(["capinfos", str(written[0])], capture_output=True, text=True, check=True).stdout
    assert "nanoseconds (9)" in out and "Capture comment:     virtio device net0" in out
    assert out.count("Number of packets = 20") == 2
    assert "Number of interfaces in file: 2" in out


@pytest.mark.parametrize("program", ["editcap", "tshark"])
def test_what_others_wrote_again_keeps_the_ring_facts(
    written: tuple[Path, Array, bytes, Array, Array], tmp_path: Path, program: str
) -> None:
    path, rows, _, _, stages = written
    again = tmp_path / "again.pcapng"
    arguments = {"editcap": [str(path), str(again)], "tshark": ["-r", str(path), "-w", str(again)]}
    subprocess.run([program, *arguments[program]], check=True, capture_output=True)
    opened = load(again)
    assert opened.warnings == () and [one.name for one in opened.interfaces] == ["net0.rx0", "net0.tx0"]
    back = opened.store.rows(1, 41)
    for name in ("time", "origin_position", "origin_queue", "head", "descriptors", "buffers", "direction",
                 "net_header", "length"):  # fmt: skip
        assert back[name].tolist() == rows[name].tolist(), name
    assert opened.store.stages(1, 41).tolist() == stages.tolist()


def test_scapy_reads_everything(written: tuple[Path, Array, bytes, Array, Array]) -> None:
    path, rows, data, offsets, _ = written
    from capture.dissection.worker import load as load_scapy

    load_scapy()
    from scapy.utils import PcapNgReader, rdpcap

    packets = list(PcapNgReader(str(path)))
    assert len(packets) == len(rdpcap(str(path))) == 40
    for row, at, packet in zip(rows, offsets.tolist(), packets, strict=True):
        assert bytes(packet) == data[at : at + int(row["captured"])]
        assert int(packet.time * 1_000_000_000) == row["time"]
        assert packet.sniffed_on == QUEUES[row["interface"]].name
        assert packet.direction == (1 if row["direction"] == TO_DRIVER else 2)
        comments = packet.comments if isinstance(packet.comments, list) else [packet.comments]
        assert comments[0].startswith(f"head={row['head']} ".encode())


def test_pcap_with_nanoseconds(tmp_path: Path) -> None:
    rows, data, offsets, _ = frames(20)
    path = tmp_path / "ours.pcap"
    with PcapWriter.create(path, 2) as writer:
        writer.write(rows, data, offsets)
    out = subprocess.run(["capinfos", "-t", str(path)], capture_output=True, text=True, check=True).stdout
    assert "nanosecond" in out
    lines = tshark(path, "frame.time_epoch", "udp.srcport")
    assert [line[1] for line in lines] == [str(1000 + number) for number in range(20)]
    assert [line[0].split(".")[1][:9] for line in lines] == [
        f"{t % 10**9:09d}" for t in rows["time"].tolist()
    ]


def test_cut_at_any_byte_tshark_gives_everything_before(
    written: tuple[Path, Array, bytes, Array, Array], tmp_path: Path
) -> None:
    whole = written[0].read_bytes()
    cut = tmp_path / "cut.pcapng"
    for size in range(len(whole) - 700, len(whole), 97):
        cut.write_bytes(whole[:size])
        opened = load(cut)
        ours = opened.store.last
        theirs = [line[0] for line in tshark(cut, "frame.packet_id", full=True)]
        assert len(theirs) == ours > 30
        assert len(opened.warnings) <= 1


def test_killed_in_the_middle_tshark_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "inspector",
            "capture",
            "-w",
            str(path),
            "--traffic",
            "flood",
            "--rate",
            "50000",
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < 3_000_000:
        assert time.monotonic() < end
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait(60)
    theirs = tshark(path, "frame.packet_id", full=True)
    ours = load(io.BytesIO(path.read_bytes()))
    assert len(theirs) == ours.store.last > 5000
