"""Capture filters: the machine against libpcap's, what is refused and where, names that are not looked up."""

from __future__ import annotations

import ctypes
import random
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from capture import bpf
from capture.bpf import compile_bpf
from capture.errors import FilterError
from capture.frame import records
from capture.store import FrameStore

ENGINE = Path(__file__).resolve().parents[2] / "dataplane" / "engine"
PROGRAMS, FRAMES = 6000, 20
LOADS = (0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1)
OTHERS = (
    *(0x00, 0x01, 0x60, 0x61, 0x80, 0x81, 0x02, 0x03, 0x07, 0x87),
    *(0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54, 0x5C),
    *(0x64, 0x6C, 0x74, 0x7C, 0x84, 0x94, 0x9C, 0xA4, 0xAC),
)
JUMPS = (0x05, 0x15, 0x25, 0x35, 0x45, 0x1D, 0x2D, 0x3D, 0x4D)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """bpf.c alone, so that what it returns can be compared and not only whether it matches."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler: cc is not installed")
    path = tmp_path_factory.mktemp("bpf") / "bpf.so"
    subprocess.run(
        [compiler, "-std=c11", "-O2", "-shared", "-fPIC", ENGINE / "bpf.c", "-o", path], check=True
    )
    library = ctypes.CDLL(str(path))
    library.bpf_check.restype = ctypes.c_char_p
    library.bpf_check.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    library.bpf_run.restype = ctypes.c_uint32
    library.bpf_run.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32)
    return library


@pytest.fixture(scope="module")
def theirs() -> ctypes.CDLL:
    library = ctypes.CDLL("libpcap.so.0.8")
    library.bpf_filter.restype = ctypes.c_uint
    library.bpf_filter.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)
    return library


def any_program(draw: random.Random) -> bytes:
    """Some instructions; the sixteen words are written first, since libpcap leaves them as they were."""
    steps = [(0x02, 0, 0, word) for word in range(16)]
    count = draw.randrange(2, 24)
    for left in range(count, 0, -1):
        kind = draw.random()
        code = draw.choice(LOADS if kind < 0.4 else OTHERS if kind < 0.75 else JUMPS)
        limit = 16 if code in (0x60, 0x61, 0x02, 0x03) else 32 if code in (0x64, 0x74) else 0
        small = draw.randrange(limit) if limit else draw.choice((draw.randrange(1, 70), draw.getrandbits(32)))
        if code in LOADS and draw.random() < 0.95:
            small = draw.randrange(60)
        if code == 0x05:
            small = draw.randrange(left)
        steps.append((code, draw.randrange(min(left, 255)), draw.randrange(min(left, 255)), small))
    steps += [(0x16, 0, 0, 0), (0x06, 0, 0, draw.getrandbits(32))]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def test_the_machine_returns_what_that_of_libpcap_does(ours: ctypes.CDLL, theirs: ctypes.CDLL) -> None:
    draw = random.Random(7)
    run, matched, values = 0, 0, set()
    while run < PROGRAMS * FRAMES:
        program = any_program(draw)
        if ours.bpf_check(program, len(program) // 8):
            continue
        for _ in range(FRAMES):
            frame = draw.randbytes(draw.randrange(80))
            length = len(frame) + draw.choice((0, 0, 100))
            got = ours.bpf_run(program, frame, length, len(frame))
            assert got == theirs.bpf_filter(program, frame, length, len(frame)), (program.hex(), frame.hex())
            run, matched = run + 1, matched + (got != 0)
            values.add(got)
    assert matched > run / 10 and len(values) > run / 100, "the draw is poor"


def store_of(*frames: bytes) -> FrameStore:
    rows = records(len(frames))
    rows["length"] = rows["captured"] = [len(frame) for frame in frames]
    store = FrameStore()
    store.append(rows, b"".join(frames), np.cumsum(rows["captured"]) - rows["captured"])
    return store


def udp(port: int) -> bytes:
    return (
        bytes(12) + b"\x08\x00\x45" + bytes(8) + b"\x11" + bytes(10) + struct.pack(">HHHH", 9, port, 8, 0)
    )  # fmt: skip


def test_a_program_over_a_block_and_over_one_frame() -> None:
    frames = [udp(53), udp(54), b"\xff" * 60, udp(53)[:30]]
    program = compile_bpf("udp dst port 53")
    (block,) = store_of(*frames).blocks(1, 5)
    assert program.mask(block).tolist() == [True, False, False, False]
    assert [program.matches(frame) for frame in frames] == [True, False, False, False]
    assert compile_bpf("").mask(block).all() and program.text == "udp dst port 53"


def test_the_length_is_that_on_the_wire() -> None:
    program = compile_bpf("greater 1000")
    assert program.matches(b"x" * 60, 1500) and not program.matches(b"x" * 60)


def test_the_snap_is_what_a_match_returns() -> None:
    assert struct.unpack("=I", compile_bpf("", snap=96).instructions[4:8]) == (96,)


REFUSED = {
    "tcp port": ("port", "missing after port"),
    "tcp and": ("and", "missing after and"),
    "ip[0] =": ("=", "missing after ="),
    "tcp port 70000": ("70000", "illegal port number 70000"),
    "udp or tcp port 70000 and ip": ("70000", "illegal port number"),
    "port 53 or nonsuch": ("nonsuch", "unknown port 'nonsuch'"),
    "ip proto nonsuch": ("nonsuch", "unknown ip proto 'nonsuch'"),
    "tcp adn udp": ("adn", "did you mean and?"),
    "tcp prot 80": ("prot", "did you mean proto?"),
    "(tcp and (udp or icmp)": ("(", "never closed"),
    "tcp) and udp": (")", "closes nothing"),
    "ip[0): 2] = 1": (")", "closes nothing"),
    "host 300.1.1.1": ("300.1.1.1", "invalid IPv4 address"),
    "net 10.0.0.1/8": ("8", "non-network bits"),
    "net ::1/200": ("200", "mask length"),
    "ip[0:3] = 1": ("3", "data size must be 1, 2, or 4"),
    "ip[5/0] = 1": ("0", "division by zero"),
    "len < 5 5": ("5", "does not fit after 5"),
    "10.0.0.1": ("10.0.0.1", "does not fit at the beginning"),
    "tcp = 5": ("=", "does not fit after tcp"),
    "tcp port 80 or tcp host 1.2.3.4": ("tcp", "'tcp' modifier applied to host"),
    "vlan 5000": ("5000", "VLAN tag 5000"),
    "tcp # udp": ("#", "cannot stand"),
    "host ex\u00e4mple": ("\u00e4", "cannot stand"),
    "tcp \x1b[31m": ("\x1b", "U+001B cannot stand"),
    "tcp and inbound": ("inbound", "not a frame of a ring"),
    "ip6 protochain 6": ("protochain", "needs a loop"),
    "tcp and udp": ("tcp and udp", "contradict each other"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_told_with_its_place(text: str) -> None:
    words, why = REFUSED[text]
    with pytest.raises(FilterError) as caught:
        compile_bpf(text)
    error = caught.value
    assert text[error.start : error.stop] == words and why in str(error)
    assert "\n" not in str(error) and str(error).isprintable()


def test_the_later_of_two_same_words_is_blamed_where_it_is_wrong() -> None:
    with pytest.raises(FilterError) as caught:
        compile_bpf("tcp port 80 or tcp host 1.2.3.4")
    assert caught.value.start == 15
    with pytest.raises(FilterError) as caught:
        compile_bpf("len < 5 5")
    assert caught.value.start == 8


@pytest.mark.parametrize(
    "text",
    [
        "host example.org",
        "example.org",
        "src gw",
        "ether host gw",
        "net lan",
        "gateway gw",
        "port 80 or host ftp",
        "not host 10.0.0.1 and ace",
        "tcp port ftp and host ftp",
        "dst host \\gw",
        "net 10.0.0.0 mask lan",
    ],
)
def test_names_are_refused_and_nothing_is_asked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name never reaches libpcap, which would ask the resolver of the system for it."""
    monkeypatch.setattr(bpf, "_compile", lambda *_, **__: pytest.fail("libpcap was asked"))
    with pytest.raises(FilterError, match="neither a word of capture filters nor an address"):
        compile_bpf(text)


@pytest.mark.parametrize(
    "text",
    [
        "port domain",
        "tcp dst port ftp or ftp-data or domain",
        "port (ftp or domain)",
        "ip proto \\tcp",
        "ip proto ospf",
        "ether host 02:00:00:00:00:01",
        "ether src 0200.0000.0001",
        "ether host 02-00-00-00-00-01",
        "ip6 host fe80::1",
        "net 2001:db8::/32",
        "src net 10",
        "net 10.1 and port 80",
        "vlan 5 && ip",
        "portrange 1-5",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "ether[0x0c:2] == 0x800",
        "not (arp or icmp6)",
        "! arp || ip",
    ],
)
def test_words_of_the_language_services_and_addresses_pass(text: str) -> None:
    assert compile_bpf(text).instructions


def test_services_are_those_of_this_machine() -> None:
    assert socket.getservbyname("domain") == 53
    assert compile_bpf("udp dst port domain").instructions == compile_bpf("udp dst port 53").instructions


def test_a_long_filter_is_refused_at_once() -> None:
    with pytest.raises(FilterError, match="at most 4096 characters"):
        compile_bpf("tcp or " * 600 + "tcp")
    assert (
        len(compile_bpf(" or ".join(f"host 10.0.{i // 250}.{i % 250}" for i in range(200))).instructions)
        > 800
    )


def test_deep_brackets_neither_crash_nor_hang() -> None:
    assert compile_bpf("(" * 1500 + "tcp" + ")" * 1500).instructions
    with pytest.raises(FilterError, match="does not fit"):
        compile_bpf("(" * 1500 + "tcp" + ")" * 1500 + " 5")


def test_without_libpcap_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "_library", lambda: None)
    with pytest.raises(FilterError, match="install the package libpcap"):
        compile_bpf("tcp")
