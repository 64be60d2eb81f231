"""`ringscope dissect`: what a file holds, without a screen."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from capture.columns import summary
from capture.pcapng import Interface, Writer, read_pcapng
from capture.play import MIX
from inspector import cli
from inspector.sanitise import clean

ROOT = Path(__file__).resolve().parents[2]
MIXED = str(ROOT / "capture" / MIX)
COMMAND = [sys.executable, "-m", "inspector", "dissect"]


def dissect(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([*COMMAND, *args], cwd=ROOT, capture_output=True, text=True, timeout=120, **options)


def mixed() -> list[Any]:
    with open(MIXED, "rb") as file:
        return list(read_pcapng(file))


def pcap(link_type: int, *frames: bytes) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, link_type)
    return head + b"".join(
        struct.pack("<IIII", 5, n, len(one), len(one)) + one for n, one in enumerate(frames)
    )


def test_a_line_a_frame_as_the_list_says_it() -> None:
    done = dissect(MIXED)
    assert (done.returncode, done.stderr) == (0, "")
    lines, packets = done.stdout.splitlines(), mixed()
    assert len(lines) == len(packets)
    for number, (line, packet) in enumerate(zip(lines, packets, strict=True), 1):
        said = summary(packet.data)
        left, _, right = line.partition(" → ")
        assert left.split() == [str(number), f"{(packet.time - packets[0].time) / 1e9:.9f}", said.source]
        assert right.split()[:2] == [said.destination, said.protocol.split()[0]]
        assert right.endswith(f"{packet.length} {said.info}")


def test_count_and_filters_together() -> None:
    wanted = [n for n, packet in enumerate(mixed(), 1) if summary(packet.data).protocol == "DNS"]
    done = dissect(MIXED, "-f", "udp port 53", "-n", "5")
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == wanted[:5]
    done = dissect(MIXED, "-f", "udp port 53", "-Y", "frame.number > 20")
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == [n for n in wanted if n > 20]
    assert dissect(MIXED, "-f", "port 9").stdout == ""


def test_json_has_its_shape() -> None:
    done = dissect(MIXED, "--json", "-n", "20")
    made = [json.loads(line) for line in done.stdout.splitlines()]
    for number, (one, packet) in enumerate(zip(made, mixed(), strict=False), 1):
        said = summary(packet.data)
        assert list(one) == [
            "number", "time", "length", "captured", "interface", "protocol", "source", "destination",
            "info", "ring", "vnet",
        ]  # fmt: skip
        assert (one["number"], one["time"], one["length"]) == (number, packet.time, packet.length)
        assert (one["protocol"], one["source"], one["info"]) == (said.protocol, said.source, said.info)
        assert one["ring"] is None


def test_json_trees_cover_the_frame_and_its_fields_lie_in_it() -> None:
    done = dissect(MIXED, "--json", "--tree", "-n", "12")
    for text in done.stdout.splitlines():
        one = json.loads(text)
        assert one["reason"] == ""
        assert one["layers"][0]["bytes"][0] == 0

        def check(layer: dict[str, Any], size: int = 8 * one["captured"]) -> None:
            start, length = layer["bits"]
            assert layer["kind"] in ("vnet", "note") or 0 <= start <= start + length <= size
            assert layer["bytes"] == [start // 8, (start + length + 7) // 8]
            for child in layer["children"]:
                check(child)

        for layer in one["layers"]:
            check(layer)


def test_a_tree_names_layers_and_fields() -> None:
    done = dissect(MIXED, "--tree", "-f", "udp port 53", "-n", "2")
    assert done.returncode == 0
    text = done.stdout
    assert text.startswith("Frame ") and text.endswith("\n\n") and text.count("\nFrame ") == 1
    assert "\nEthernet" in text and "\n    source: 52:54:00" in text and "\nUDP" in text


def test_fields_are_separated_by_tabs() -> None:
    done = dissect(MIXED, "--fields", "frame.number,ip.src,udp.dstport", "-n", "4")
    assert done.stdout.splitlines()[:2] == ["1\t0.0.0.0\t67", "2\t192.0.2.1\t68"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["no/such.pcap"], "cannot read no/such.pcap: No such file"),
        (["tests"], "Is a directory"),
        (["pyproject.toml"], "pyproject.toml: neither a pcap nor a pcapng file"),
        (["-"], "standard input: it is empty"),
        ([MIXED, "-f", "udp prt 53"], "-f: "),
        ([MIXED, "-Y", "ip.foo == 1"], "-Y: no field is called ip.foo"),
        ([MIXED, "-Y", "tcp.port == 70000"], "70000"),
        ([MIXED, "--fields", "ip.scr"], "--fields: no field is called 'ip.scr'; did you mean ip.src?"),
        ([MIXED, "--fields", "ip.src,"], "has an empty name"),
        ([MIXED, "--fields", "ip.src", "--json"], "not allowed with"),
        ([MIXED, "--fields", "ip.src", "--tree"], "--fields and --tree exclude each other"),
        ([MIXED, "-n", "0"], "0 is no count"),
        ([], "required: FILE"),
    ],
)  # fmt: skip
def test_mistakes(args: list[str], words: str) -> None:
    done = dissect(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ringscope: ") and done.stderr.count("\n") == 1 and words in done.stderr


def test_a_damaged_file_shows_what_stands_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;x\x07.pcap"
    frame = mixed()[0].data
    path.write_bytes(pcap(1, frame, frame, frame)[:-7])
    done = dissect(str(path))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count("\n") == 1 and "cut short" in done.stderr and "\x1b" not in done.stderr


def test_frames_that_are_not_ethernet_are_said_and_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(113, b"\0" * 40))
    done = dissect(str(path))
    assert done.returncode == 0 and "link type 113" in done.stdout and "not Ethernet" in done.stdout
    done = dissect(str(path), "--tree")
    assert "(not dissected: link type 113 is not Ethernet)" in done.stdout
    done = dissect(str(path), "-f", "len > 0")
    assert done.stdout == "" and "1 frames are not Ethernet" in done.stderr


def test_nothing_hostile_reaches_the_terminal(tmp_path: Path) -> None:
    name = b"\x0bA\x1b]0;x\x07\x9b31m\x00"
    dns = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    udp = struct.pack("!HHHH", 4000, 53, 8 + len(dns), 0) + dns
    ip = (
        struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
        + udp
    )
    path = tmp_path / "a.pcapng"
    with open(path, "wb", buffering=0) as file, Writer(file, [Interface("n\x1b[31m\u202e")]) as writer:
        from capture.frame import records

        data = b"\2" * 12 + b"\x08\0" + ip
        rows = records(1)
        rows["captured"] = rows["length"] = len(data)
        import numpy as np

        writer.write(rows, data, np.zeros(1, np.int64))
    for more in ([], ["--tree"], ["--json", "--tree"], ["--fields", "dns.qry.name"]):
        done = dissect(str(path), *more)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            assert all(clean(cell) == cell for cell in line.split("\t")), line


def test_the_head_of_it_is_enough() -> None:
    for more in ([], ["--tree"]):
        running = subprocess.Popen(
            [*COMMAND, MIXED, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.wait(60) == 141
        assert running.stderr.read() == b""
        running.stderr.close()


def test_standard_input_is_shown_as_it_comes() -> None:
    """The first packets of a pipe are there before it goes on."""
    frame = mixed()[0].data
    running = subprocess.Popen(
        [*COMMAND, "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        pipe, out = running.stdin, running.stdout
        assert pipe is not None and out is not None
        pipe.write(pcap(1, frame, frame))
        pipe.flush()
        assert [_line(out).split()[0] for _ in range(2)] == [b"1", b"2"]
        pipe.write(pcap(1, frame)[24:])
        pipe.flush()
        assert _line(out).split()[0] == b"3"
        pipe.close()
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
        for stream in (running.stdin, running.stdout, running.stderr):
            assert stream is not None
            stream.close()


def _line(out: IO[bytes]) -> bytes:
    """The next line, read from the descriptor alone; it must come."""
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([out], [], [], 30)[0], "nothing came"
        piece = os.read(out.fileno(), 1)
        assert piece, "it ended"
        line += piece
    return line


def test_scapy_is_left_alone_where_no_tree_is_wanted() -> None:
    code = (
        "import sys; from inspector.cli import main;"
        f"main(['dissect', {MIXED!r}, '-n', '1', '-Y', 'udp', '-f', 'udp', '--json']);"
        "print([m for m in ('textual', 'scapy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n"), done.stderr


def test_the_name_of_a_file_alone_is_answered_with_the_command() -> None:
    assert "dissect" in cli.COMMANDS
    done = subprocess.run(
        [*COMMAND[:-1], MIXED], cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2 and "to look into a file: ringscope dissect" in done.stderr
