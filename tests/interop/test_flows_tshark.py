"""Conversations, streams and expert notes next to tshark's, on the shipped traffic and on made-up trouble.

Fragments are not put together by us, so tshark is told not to either; what an offload left open is not
judged.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from frames.talk import Tape, chaos, lossy

import capture
from capture import expert
from capture.expert import Expert
from capture.files.opened import load
from capture.flows import Conversations, Kind
from capture.play import MIX
from capture.streams import follow
from capture.tracking import connections, tcpstate

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

MIX_PATH = Path(capture.__file__).parent / MIX
_WHOLE = ("-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-n")
_NOTES = {
    "retransmission": tcpstate.RETRANSMISSION,
    "fast_retransmission": tcpstate.FAST_RETRANSMISSION,
    "spurious_retransmission": tcpstate.SPURIOUS_RETRANSMISSION,
    "out_of_order": tcpstate.OUT_OF_ORDER,
    "lost_segment": tcpstate.LOST_SEGMENT,
    "ack_lost_segment": tcpstate.ACK_LOST_SEGMENT,
    "duplicate_ack": tcpstate.DUPLICATE_ACK,
    "zero_window": tcpstate.ZERO_WINDOW,
    "zero_window_probe": tcpstate.ZERO_WINDOW_PROBE,
    "zero_window_probe_ack": tcpstate.ZERO_WINDOW_PROBE_ACK,
    "window_full": tcpstate.WINDOW_FULL,
    "window_update": tcpstate.WINDOW_UPDATE,
    "keep_alive": tcpstate.KEEP_ALIVE,
    "keep_alive_ack": tcpstate.KEEP_ALIVE_ACK,
    "reused_ports": tcpstate.PORTS_REUSED,
}


@pytest.fixture(autouse=True)
def same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 4.0 tshark tells connections on the same ports apart by their first sequence numbers alone."""
    told = subprocess.run(["tshark", "--version"], capture_output=True, text=True, timeout=60).stdout
    version = re.search(r"(\d+)\.(\d+)", told)
    if version is not None and (int(version[1]), int(version[2])) <= (4, 0):
        monkeypatch.setattr(connections, "PAUSE", 1 << 62)


def tshark(path: Path, *arguments: str) -> str:
    command = ["tshark", "-r", str(path), *_WHOLE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def columns(path: Path, *names: str) -> list[list[str]]:
    fields = [word for name in names for word in ("-e", name)]
    return [line.split("\t") for line in tshark(path, "-T", "fields", *fields).split("\n")[:-1]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("flows")
    tapes: dict[str, Tape] = {
        "chaos": chaos(random.Random(1), 100, 60),
        "lossy": lossy(random.Random(3), 40, 20)[0],
    }
    paths = {"mix": MIX_PATH}
    for name, tape in tapes.items():
        paths[name] = folder / f"{name}.pcap"
        paths[name].write_bytes(tape.pcap())
    return paths


_ROW = re.compile(
    r"^(\S+)\s+<->\s+(\S+)\s+(\d+)\s+(\d+) (\S+)\s+(\d+)\s+(\d+) (\S+)\s+\d+\s+\d+ \S+\s+([\d.]+)\s+([\d.]+)$"
)
_UNITS = {"bytes": 1, "kB": 1000, "MB": 1000_000}


def rounded(count: int) -> tuple[int, int]:
    """As tshark prints it: whole units, cut."""
    for unit in (1000_000, 1000):
        if count >= 10 * unit:
            return count // unit, unit
    return count, 1


@pytest.mark.parametrize("kind", ["eth", "ip", "tcp", "udp"])
@pytest.mark.parametrize("name", ["mix", "chaos", "lossy"])
def test_conversations(files: dict[str, Path], name: str, kind: Kind) -> None:
    conversations = Conversations()
    store = load(files[name]).store
    for block in store.blocks(1, 1 << 62):
        conversations.add(block)
    taps = ("-z", "conv,ip", "-z", "conv,ipv6") if kind == "ip" else ("-z", f"conv,{kind}")
    theirs = []
    for line in tshark(files[name], "-q", *taps).split("\n"):
        if match := _ROW.match(line):
            a, b, back, back_size, back_unit, there, there_size, there_unit, _, length = match.groups()
            ways = [
                (a, int(there), int(there_size), _UNITS[there_unit]),
                (b, int(back), int(back_size), _UNITS[back_unit]),
            ]
            theirs.append((sorted(ways), float(length)))
    ours = []
    for row in conversations.rows(kind):
        a = row.a if row.a_port is None else f"{row.a}:{row.a_port}"
        b = row.b if row.b_port is None else f"{row.b}:{row.b_port}"
        ways = [(a, row.packets[0], *rounded(row.bytes[0])), (b, row.packets[1], *rounded(row.bytes[1]))]
        ours.append((sorted(ways), row.duration))
    if (name, kind) == ("mix", "ip"):
        # of an IPv6 datagram in fragments tshark counts the first alone even here
        (torn,) = [one for one in ours if {ways[0] for ways in one[0]} == {"2001:db8::10", "2001:db8::20"}]
        assert sorted(torn[0])[0][1:3] == (3, 3194)
        ours.remove(torn)
        theirs = [one for one in theirs if {ways[0] for ways in one[0]} != {"2001:db8::10", "2001:db8::20"}]
    ours.sort()
    theirs.sort()
    assert [ways for ways, _ in ours] == [ways for ways, _ in theirs]
    assert [length for _, length in ours] == pytest.approx([length for _, length in theirs], abs=2e-4)
    assert theirs or (name != "mix" and kind == "udp")


@pytest.mark.parametrize("name", ["mix", "lossy"])
def test_streams(files: dict[str, Path], name: str) -> None:
    """Every segment in its order; the gaps that tshark says too. It leaves out what waits at the end."""
    path = files[name]
    first: dict[str, int] = {}
    for number, (stream, size) in enumerate(columns(path, "tcp.stream", "tcp.len"), 1):
        if stream and size:
            first.setdefault(stream, number)
    store = load(path).store
    taps = [word for stream in first for word in ("-z", f"follow,tcp,raw,{stream}")]
    printed = [part for part in re.split("={10,}\n", tshark(path, "-q", *taps)) if "Node 1" in part]
    assert len(printed) == len(first) > 5
    shown = {int(re.search(r"tcp\.stream eq (\d+)", part)[1]): part for part in printed}  # type: ignore[index]
    for stream, number in first.items():
        lines = shown[int(stream)].split("\n")
        start = next(at for at, line in enumerate(lines) if line.startswith("Node 1"))
        theirs = [
            (int(line[0] == "\t"), bytes.fromhex(line.strip())) for line in lines[start + 1 :] if line.strip()
        ]
        ours = [
            (part.side, part.data or b"[%d bytes missing in capture file]\0" % part.missing)
            for part in follow(store, number).segments
        ]
        assert ours[: len(theirs)] == theirs, f"stream {stream}"
        rest = [data for _, data in ours[len(theirs) :]]
        assert not rest or rest[0].startswith(b"["), f"stream {stream}"


#: Frames on which a note may differ, of all frames: our rule says an unseen segment again where tshark says
#: it once, and two corners of its rules are not ours.
_ALLOWED = {
    ("chaos", "ack_lost_segment"): 0.01,
    ("chaos", "window_full"): 0.002,
    ("chaos", "out_of_order"): 0.001,
    ("chaos", "retransmission"): 0.001,
    ("lossy", "ack_lost_segment"): 0.002,
    ("lossy", "fast_retransmission"): 0.002,
    ("lossy", "out_of_order"): 0.002,
    ("lossy", "retransmission"): 0.002,
}


@pytest.mark.parametrize("name", ["mix", "chaos", "lossy"])
def test_notes_on_tcp(files: dict[str, Path], name: str) -> None:
    theirs = columns(files[name], *(f"tcp.analysis.{field}" for field in _NOTES), "tcp.connection.rst")
    looked = Expert(gaps=False)
    for block in load(files[name]).store.blocks(1, 1 << 62):
        looked.add(block)
    wanted = {**_NOTES, "rst": tcpstate.RESET}
    differ: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for number, row in enumerate(theirs, 1):
        bits = looked.bits(number)
        for (field, bit), value in zip(wanted.items(), row, strict=True):
            seen[field] += bool(value)
            differ[field] += bool(value) != bool(bits & bit)
    if name != "mix":
        assert sum(count > 0 for count in seen.values()) >= 7
    for field, count in differ.items():
        assert count <= _ALLOWED.get((name, field), 0) * len(theirs), (field, count, seen[field])


def test_checksums_where_no_net_header_tells(files: dict[str, Path], tmp_path: Path) -> None:
    """As a plain pcap the shipped traffic has partial checksums: bad to tshark, and then to us."""
    plain = tmp_path / "plain.pcap"
    subprocess.run(["editcap", "-F", "nsecpcap", str(MIX_PATH), str(plain)], check=True, capture_output=True)
    checks = [word for name in ("ip", "tcp", "udp") for word in ("-o", f"{name}.check_checksum:TRUE")]
    shown = "ip.checksum.status == 0 or tcp.checksum.status == 0 or udp.checksum.status == 0"
    shown += " or icmp.checksum.status == 0 or icmpv6.checksum.status == 0"
    theirs = tshark(plain, *checks, "-Y", shown, "-T", "fields", "-e", "frame.number").split()
    looked = Expert(gaps=False)
    for block in load(plain).store.blocks(1, 1 << 62):
        looked.add(block)
    assert looked.found(expert.BAD_CHECKSUM | expert.BAD_IP_CHECKSUM).numbers.tolist() == [
        int(n) for n in theirs
    ]
    assert theirs
    offloaded = Expert(gaps=False)
    for block in load(MIX_PATH).store.blocks(1, 1 << 62):
        offloaded.add(block)
    assert not len(offloaded.found(expert.BAD_CHECKSUM | expert.BAD_IP_CHECKSUM).numbers)
