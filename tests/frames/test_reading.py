"""Reading captures: every magic and block, and that damage is told in one line with its place."""

from __future__ import annotations

import gzip
import io
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.errors import CaptureError
from capture.files.opened import NO_QUEUE, WAY_UNKNOWN, Reader, load
from capture.frame import TO_DEVICE, TO_DRIVER
from capture.pcap import LENGTH_MAX, Packet, read_pcap
from capture.pcapng import read_pcapng
from capture.play import arrange, net_header, read, read_play

MAGICS = [("<", 0xA1B2C3D4, 1000), (">", 0xA1B2C3D4, 1000), ("<", 0xA1B23C4D, 1), (">", 0xA1B23C4D, 1)]


def pcap(order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    frames = b"".join(
        struct.pack(order + "IIII", 10 + number, 5, len(data), len(data) + number) + data
        for number, data in enumerate((b"first", b"second!"))
    )
    return struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link) + frames


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    total = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + total + body + total


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, *options: bytes, link: int = 1, snap: int = 0) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + b"".join(options))


def packet(order: str, data: bytes, *options: bytes, number: int = 0, stamp: int = 7) -> bytes:
    head = struct.pack(order + "IIIII", number, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data) + 1)
    return block(order, 6, head + data + bytes(-len(data) % 4) + b"".join(options))


def pcapng(order: str = "<") -> bytes:
    old = (
        struct.pack(order + "HHIIII", 1, 3, 0, 9, 3, 3)
        + b"old\0"
        + option(order, 2, struct.pack(order + "I", 1))
    )
    return (
        section(order)
        + interface(order)
        + interface(order, option(order, 9, b"\x09"), option(order, 14, struct.pack(order + "q", 5)))
        + packet(
            order,
            b"frame",
            option(order, 1, b"vnet=" + b"00" * 12),
            option(order, 1, b"\x1b[2J more"),
            option(order, 2, struct.pack(order + "I", 2)),
            option(order, 5, struct.pack(order + "Q", 77)),
            option(order, 6, struct.pack(order + "I", 3)),
        )
        + block(order, 0x0BAD, bytes(100))
        + packet(order, b"nano", number=1, stamp=1 << 33)
        + block(order, 3, struct.pack(order + "I", 6) + b"simple")
        + block(order, 2, old)
    )


@pytest.mark.parametrize(("order", "magic", "unit"), MAGICS)
def test_pcap_of_every_magic(order: str, magic: int, unit: int) -> None:
    assert list(read_pcap(io.BytesIO(pcap(order, magic)))) == [
        Packet(10_000_000_000 + 5 * unit, 0, b"first", 5),
        Packet(11_000_000_000 + 5 * unit, 0, b"second!", 8),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_of_both_orders_and_every_packet_block(order: str) -> None:
    nano = 5_000_000_000 + (1 << 33)
    assert list(read_pcapng(io.BytesIO(pcapng(order)))) == [
        Packet(7000, 0, b"frame", 6, 1, 0, 3, 77, "vnet=" + "00" * 12 + " .[2J more"),
        Packet(nano, 1, b"nano", 5),
        Packet(nano, 0, b"simple", 6),
        Packet(5_000_000_009, 1, b"old", 3, 1, 1),
    ]


def test_pcapng_sections_begin_anew() -> None:
    both = pcapng("<") + section(">") + interface(">", option(">", 9, b"\x82")) + packet(">", b"quarter")
    assert list(read(io.BytesIO(both)))[-1] == Packet(1_750_000_000, 0, b"quarter", 8)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_cut_at_every_byte(make: Callable[[], bytes]) -> None:
    whole = make()
    packets = list(read(io.BytesIO(whole)))
    for size in range(len(whole)):
        got = []
        try:
            for one in read(io.BytesIO(whole[:size])):
                got.append(one)
        except CaptureError as why:
            assert "\n" not in str(why)
            assert "byte" in str(why) or "neither" in str(why) or not size
        assert got == packets[: len(got)]
        if len(got) < len(packets) and size < 24:
            assert not got


LIES = [
    (b"", "it is empty"),
    (b"\x28\xb5\x2f\xfd....", "compressed with zstd: unpack it first, with zstd -d"),
    (b"hello world", "neither a pcap nor a pcapng"),
    (
        pcap()[:24] + struct.pack("<IIII", 0, 0, LENGTH_MAX + 1, 0),
        "record at byte 24: captured length 262145",
    ),
    (
        pcap()[:24] + struct.pack("<IIII", 0, 0, 1000, 0) + b"x",
        "cut short at byte 41, inside a frame of 1000",
    ),
    (section("<")[:8] + b"abcd", "section at byte 0: no known byte-order magic"),
    (section("<") + struct.pack("<II", 6, 8), "block at byte 28: impossible length 8"),
    (section("<") + struct.pack("<II", 6, 13), "block at byte 28: impossible length 13"),
    (section("<") + struct.pack("<II", 6, 1 << 28), "block at byte 28: impossible length 268435456"),
    (section("<") + struct.pack("<II", 99, 0xFFFFFFFC), "block at byte 28: impossible length 4294967292"),
    (section("<") + packet("<", b"x"), "block at byte 28: interface 0 of 0 described"),
    (section("<") + block("<", 1, b""), "block at byte 28: 12 bytes are too few"),
    (
        section("<") + interface("<") + block("<", 3, struct.pack("<I", 9) + b"x"),
        "captured length 9 does not fit",
    ),
    (section("<") + interface("<", b"\x09\0\x90\x01"), "option 9 of 400 bytes does not fit"),
    (section("<")[:-4] + bytes(4), "block at byte 0: the length at its end is not 28"),
    (
        section("<") + interface("<") + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 0xFFFFFFFF, 1)),
        "captured length 4294967295 does not fit",
    ),
]


@pytest.mark.parametrize(("data", "message"), LIES, ids=range(len(LIES)))
def test_lies_are_told_with_their_place(data: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        list(read(io.BytesIO(data)))
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([pcap("<"), pcap(">"), pcapng("<"), pcapng(">")]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_damage_never_surprises(whole: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(whole)
    for at, value in changes:
        data[at % len(data)] = value
    try:
        for one in read(io.BytesIO(bytes(data))):
            assert len(one.data) <= LENGTH_MAX
    except CaptureError as why:
        assert "\n" not in str(why)


Taken = tuple[int, int, bytes, int, int]


def in_python(data: bytes) -> tuple[list[Taken], str]:
    """Times, lengths, bytes, directions and queues of a file's packets, and what is wrong with it."""
    taken: list[Taken] = []
    try:
        for one in read(io.BytesIO(data)):
            way = WAY_UNKNOWN if one.direction is None else one.direction
            queue = NO_QUEUE if one.queue is None else min(one.queue, NO_QUEUE)
            time = min(max(one.time, 0), (1 << 64) - 1)
            taken.append((time, one.length, one.data, way, queue))
    except CaptureError as why:
        return taken, str(why)
    return taken, ""


def by_the_batch(data: bytes) -> tuple[list[Taken], str]:
    """The same from the reader that takes runs of packets in C."""
    taken: list[Taken] = []
    try:
        reader = Reader(io.BytesIO(data))
    except CaptureError as why:
        return taken, str(why)
    for block in reader:
        for row, at in zip(block.rows, block.offsets.tolist(), strict=True):
            raw = bytes(block.data[at : at + int(row["captured"])])
            taken.append(
                (int(row["time"]), int(row["length"]), raw, int(row["direction"]), int(row["origin_queue"]))
            )
    return taken, "".join(reader.warnings).removesuffix("; what stands before it is used")


@pytest.mark.parametrize("whole", [*(pcap(o, m) for o, m, _ in MAGICS), pcapng("<"), pcapng(">")])
def test_by_the_batch_the_same_is_read(whole: bytes) -> None:
    for size in range(len(whole) + 1):
        assert by_the_batch(whole[:size]) == in_python(whole[:size])


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([pcap("<"), pcap(">"), pcapng("<") * 2, pcapng(">"), pcapng("<") + pcapng(">")]),
    st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=4),
)
def test_damage_is_the_same_by_the_batch(whole: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(whole)
    for at, value in changes:
        data[at % len(data)] = value
    assert by_the_batch(bytes(data)) == in_python(bytes(data))


def test_lies_by_the_batch() -> None:
    for data, _ in LIES:
        assert by_the_batch(data) == in_python(data)


def test_more_frames_than_one_batch_and_blocks_across_every_boundary() -> None:
    sizes = [number * 37 % 1501 for number in range(40_000)]
    file = section("<") + interface("<", option("<", 9, b"\x09"))
    file += b"".join(packet("<", bytes(size), stamp=number) for number, size in enumerate(sizes))
    opened = load(io.BytesIO(file), 256 << 20)
    rows = opened.store.rows(1, 40_001)
    assert rows["captured"].tolist() == sizes
    assert rows["time"].tolist() == list(range(40_000))
    assert opened.warnings == ()


def test_a_damaged_file_is_loaded_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcapng"
    path.write_bytes(pcapng()[:-30])
    opened = load(path)
    assert len(opened.store) == 3
    (warning,) = opened.warnings
    assert warning.startswith("cut short at byte") and warning.endswith("; what stands before it is used")
    path.write_bytes(b"nonsense")
    with pytest.raises(CaptureError, match=r"cut.pcapng: neither a pcap nor"):
        load(path)


def test_what_is_not_ethernet_is_kept_and_told() -> None:
    opened = load(io.BytesIO(pcap(link=113)))
    assert len(opened.store) == 2 and opened.interfaces[0].link_type == 113
    assert opened.warnings == ("interface: link type 113 is not Ethernet: not dissected",)


def test_what_does_not_fit_the_budget_is_told() -> None:
    file = section("<") + interface("<") + packet("<", bytes(1000)) * 3000
    opened = load(io.BytesIO(file), 1 << 20)
    assert opened.store.last == 3000 and opened.store.dropped > 0
    assert opened.warnings == (f"the first {opened.store.dropped:,} frames did not fit 1 MiB",)


def test_a_live_pipe_gives_what_it_has() -> None:
    source, sink = os.pipe()
    whole = section("<") + interface("<") + packet("<", b"one") + packet("<", b"two")
    last = packet("<", b"three")
    os.write(sink, whole + last[:20])
    with open(source, "rb") as file:
        blocks = iter(Reader(file))
        seen = next(blocks)
        assert seen.rows["number"].tolist() == [1, 2]

        def more() -> None:
            os.write(sink, last[20:])
            os.close(sink)

        thread = threading.Thread(target=more)
        thread.start()
        rest = next(blocks)
        thread.join()
        assert rest.rows["number"].tolist() == [3]
        assert bytes(rest.data) == b"three"
        assert next(blocks, None) is None


def test_interfaces_are_those_of_the_whole_file() -> None:
    named = [interface("<", option("<", 2, name)) for name in (b"a", b"b\x1b", b"c")]
    file = section("<") + named[0] + named[1] + packet("<", b"x", number=1)
    file += section("<") + named[2] + packet("<", b"y")
    opened = load(io.BytesIO(file))
    assert [one.name for one in opened.interfaces] == ["a", "b.", "c"]
    assert opened.store.rows(1, 3)["interface"].tolist() == [1, 2]


def test_a_damaged_file_is_played_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap()[:-3])
    with pytest.raises(CaptureError, match=r"cut.pcap: cut short at byte"):
        read_play(path)
    told: list[str] = []
    assert [frame.data for frame in read_play(path, warn=told.append)] == [b"first"]
    assert len(told) == 1 and told[0].endswith("inside a frame of 7 bytes; the 1 frames before it are played")
    path.write_bytes(pcap()[:30])
    with pytest.raises(CaptureError, match=r"cut.pcap: cut short at byte 30"):
        read_play(path, warn=told.append)


def test_play_takes_directions_from_the_file_or_from_the_first_source() -> None:
    mine, other = b"\2" * 6 + b"\1" * 6 + b"..", b"\1" * 6 + b"\2" * 6 + b".."
    guessed = arrange(iter([Packet(50, 0, other, 14), Packet(20, 0, mine, 14), Packet(90, 0, other, 14)]))
    assert [(frame.offset_ns, frame.direction) for frame in guessed] == [
        (0, TO_DRIVER),
        (30, TO_DEVICE),
        (70, TO_DEVICE),
    ]
    told = arrange(
        iter([Packet(5, 0, mine, 14, direction=TO_DRIVER), Packet(5, 0, other, 14, direction=TO_DEVICE)])
    )
    assert [frame.direction for frame in told] == [TO_DRIVER, TO_DEVICE]


def test_play_refuses_what_it_cannot_play(tmp_path: Path) -> None:
    path = tmp_path / "cooked.pcap"
    path.write_bytes(pcap(link=113))
    with pytest.raises(CaptureError, match=r"cooked.pcap: link type 113; only Ethernet"):
        read_play(path)
    path.write_bytes(pcap()[:24])
    with pytest.raises(CaptureError, match=r"cooked.pcap: no frames in it"):
        read_play(path)
    with pytest.raises(FileNotFoundError):
        read_play(tmp_path / "nowhere.pcap")
    with pytest.raises(CaptureError, match="more than 0 MiB of frames"):
        arrange(iter([Packet(0, 0, b"abc", 3)]), limit_bytes=2)


def test_net_header_from_a_comment() -> None:
    assert net_header("head=3 vnet=" + "01" * 12) == b"\1" * 12
    assert net_header("vnet=" + "01" * 10) == b"\1" * 10
    assert [net_header(text) for text in ("", "vnet=", "vnet=zz", "vnet=0102", "no")] == [b""] * 5


@pytest.mark.parametrize("whole", [pcap(), pcapng()], ids=["pcap", "pcapng"])
def test_gzip_is_read_as_what_it_holds(whole: bytes) -> None:
    packed = gzip.compress(whole)
    assert in_python(packed) == in_python(whole)
    assert [len(block.rows) for block in Reader(io.BytesIO(packed))] == [
        len(block.rows) for block in Reader(io.BytesIO(whole))
    ]


def test_gzip_that_is_cut_or_damaged_gives_what_stands_before() -> None:
    frames = b"".join(struct.pack("<IIII", 1, 2, 900, 900) + os.urandom(900) for _ in range(2000))
    packed = gzip.compress(pcap() + frames)
    cut = Reader(io.BytesIO(packed[: len(packed) // 2]))
    assert 900 < sum(len(block.rows) for block in cut) < 1100
    assert len(cut.warnings) == 1 and "cut short" in cut.warnings[0]
    middle = len(packed) // 2
    broken = Reader(io.BytesIO(packed[:middle] + bytes(5000) + packed[middle + 5000 :]))
    assert sum(len(block.rows) for block in broken) >= 900
    assert len(broken.warnings) == 1


def test_a_section_of_another_version_is_not_read() -> None:
    strange = block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1))
    reader = Reader(io.BytesIO(pcapng() + strange + interface("<") + packet("<", b"x")))
    assert sum(len(block.rows) for block in reader) == len(list(read(io.BytesIO(pcapng()))))
    assert len(reader.warnings) == 1 and "version 2 of pcapng is not known" in reader.warnings[0]


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    taken, given = os.pipe()
    os.set_blocking(taken, False)
    data = pcap()

    def write() -> None:
        with os.fdopen(given, "wb", buffering=0) as out:
            for at in range(len(data)):
                out.write(data[at : at + 1])

    with os.fdopen(taken, "rb") as file:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert sum(len(block.rows) for block in Reader(file)) == 2
        finally:
            writer.join()
