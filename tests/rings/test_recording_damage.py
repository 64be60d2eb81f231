"""Recordings that were cut or altered: a clean prefix or a clear refusal, whatever the bytes are.

The short form alters a few hundred files; RINGSCOPE_FULL=1 in the environment asks for 10,000 and more.
"""

from __future__ import annotations

import json
import os
import random
import resource
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataplane.pair import Layout
from dataplane.recorded.blocks import HEAD, LIMIT
from dataplane.recorded.contents import Contents
from dataplane.recording import DamagedError, Recording, RecordingError
from dataplane.records import EVENT
from dataplane.snapshot import Array
from dataplane.source import START
from inspector.headless import document
from tests.rings.recorded import Part, parts, sealed, stepped

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
SMALL = "-indirect_desc,-ctrl_vq,-ctrl_rx,-ctrl_vlan,-mq,-guest_announce,-ctrl_mac_addr"
_ROOM = 1 << 30  #: bytes of memory that looking at a small file may take


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Layout, bytes]:
    made: dict[Layout, bytes] = {}
    for layout in ("split", "packed"):
        path = tmp_path_factory.mktemp("whole") / "a.ring"
        stepped(path, layout, steps=6, queue_size=2, features=SMALL)
        made[layout] = path.read_bytes()
    return made


@pytest.fixture
def bounded() -> Iterator[None]:
    """No more memory than a small file can need: what it asks for beyond is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def all_events(recording: Recording) -> Array:
    cursor, pulls = START, []
    while len((got := recording.events(cursor)).rows):
        cursor = got.cursor
        pulls.append(got.rows.view(np.uint64))
    return np.concatenate(pulls).view(EVENT) if pulls else np.zeros(0, EVENT)


def look(recording: Recording, chance: random.Random) -> None:
    """Ask a recording everything that screens ask. What the past cannot tell is said in one line."""
    for note in recording.snapshot().notes:
        assert "\n" not in note
    json.dumps(document(recording.snapshot()))
    all_events(recording)
    cursor = START
    while len((frames := recording.frames(cursor)).rows):
        cursor = frames.cursor
        ends = frames.offsets + frames.rows["captured"]
        assert int(ends.max()) <= len(frames.data) and int(frames.offsets.min()) >= 0
    history = recording.history
    reach = history.reach
    for number in {reach.first, reach.last, chance.randint(reach.first, max(reach.last, reach.first))}:
        for ask in (
            lambda number=number: document(history.at(number)),
            lambda number=number: history.image(number),
            lambda number=number: history.step(number, "store", 1),
            lambda number=number: history.step(number, "packet", -1),
            lambda number=number: history.step(number, "lap", 1),
            lambda number=number: history.moments(0, number % 5),
            lambda number=number: history.time_of(number),
            lambda number=number: recording.memory(0x1000, 64),
        ):
            try:
                ask()
            except (LookupError, ValueError) as error:
                assert type(error) in (LookupError, ValueError) and "\n" not in str(error)
    try:
        history.density(50)
    except (LookupError, ValueError) as error:
        assert type(error) in (LookupError, ValueError) and "\n" not in str(error)


def opened(path: Path, chance: random.Random) -> Array | None:
    """The events of a file that opens, after everything was asked of it; None where it is refused."""
    try:
        recording = Recording(path)
    except RecordingError as error:
        assert str(error) and "\n" not in str(error)
        return None
    with recording:
        look(recording, chance)
        return all_events(recording)


# ---- cut ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_cut_at_every_byte(files: dict[Layout, bytes], layout: Layout, tmp_path: Path) -> None:
    """It opens to the last whole block and says where it was cut; without one it is refused."""
    whole = files[layout]
    blocks = list(parts(whole))
    path = tmp_path / "cut.ring"
    path.write_bytes(whole)
    with open(path, "r+b") as file:
        for length in range(len(whole) - 1, -1, -1 if layout == "split" or FULL else -7):
            file.truncate(length)
            ends = [part.end for part in blocks if part.end <= length]
            try:
                contents = Contents(path)
            except RecordingError as error:
                assert not ends
                assert isinstance(error, DamagedError) or length < HEAD.size
                continue
            news = contents.news()
            assert contents.size == ends[-1]
            chunks = [part for part in blocks if part.tag == b"CHNK" and part.end <= length]
            assert len(news.chunks) == len(chunks)
            assert len(news.frames) == sum(part.tag == b"FRAM" and part.end <= length for part in blocks)
            if length == ends[-1]:
                assert contents.why == "the recording was not ended: what was written is shown"
            else:
                where = f"cut short at byte {ends[-1]:,} of {length:,}"
                assert contents.why == f"the file is {where}: what comes before is shown"
            contents.close()


def test_a_cut_file_shows_what_is_whole(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """At every block's end, and in its middle, all that screens ask is answered."""
    whole = files["split"]
    path = tmp_path / "cut.ring"
    for part in parts(whole):
        for length in (part.at, part.at + 12, part.end - 1):
            path.write_bytes(whole[:length])
            opened(path, random.Random(length))


# ---- altered --------------------------------------------------------------------------------------------


def altered(data: bytes, chance: random.Random) -> bytes:
    """The file with one accident: bits, bytes, a stretch lost, doubled, moved, zeroed, or cut."""
    made = bytearray(data)
    at = chance.randrange(len(made))
    length = chance.choice((1, 2, 8, 24, 512, 4096))
    match chance.randrange(8):
        case 0:
            made[at] ^= 1 << chance.randrange(8)
        case 1:
            made[at : at + length] = chance.randbytes(len(made[at : at + length]))
        case 2:
            del made[at : at + length]
        case 3:
            made[at:at] = made[at : at + length]
        case 4:
            made[at : at + length] = bytes(len(made[at : at + length]))
        case 5:
            made[at:at] = chance.randbytes(length)
        case 6:
            blocks = list(parts(data))
            one = chance.choice(blocks)
            where = chance.choice(blocks).at
            made[where:where] = data[one.at : one.end]
        case 7:
            del made[at:]
    return bytes(made)


@pytest.mark.usefixtures("bounded")
def test_accidents(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """What opens is the beginning of what was recorded, event for event."""
    path = tmp_path / "altered.ring"
    whole: dict[Layout, Array] = {}
    for layout, data in files.items():
        path.write_bytes(data)
        with Recording(path) as recording:
            whole[layout] = all_events(recording).copy()
    shown = refused = 0
    for seed in range(10_000 if FULL else 300):
        chance = random.Random(seed)
        layout = chance.choice(("split", "packed"))
        path.write_bytes(altered(files[layout], chance))
        events = opened(path, chance)
        if events is None:
            refused += 1
        else:
            shown += 1
            assert (events == whole[layout][: len(events)]).all(), seed
    assert shown and refused


# ---- made on purpose ------------------------------------------------------------------------------------


_WORDS = (0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x10000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62,
          (1 << 63) - 1, 1 << 63, (1 << 64) - 16, (1 << 64) - 1)  # fmt: skip


def forged(blocks: list[Part], chance: random.Random) -> bytes:
    """Every checksum is right; something in one block is not."""
    made = [(part.tag, part.content) for part in blocks]
    which = chance.randrange(len(made))
    tag, content = made[which]
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 20))):
        at = chance.randrange(len(data) // 8) * 8 if len(data) >= 8 else 0
        match chance.randrange(4):
            case 0 | 1:
                data[at : at + 8] = struct.pack("<Q", chance.choice(_WORDS))
            case 2:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 3 if tag in (b"HEAD", b"KEYF", b"STAT"):
                number = str(chance.choice(_WORDS)).encode()
                digits = [i for i, byte in enumerate(data[:3000]) if 48 <= byte <= 57]
                where = chance.choice(digits) if digits else 0
                data[where : where + len(number)] = number
            case _:
                data[at : at + 2] = struct.pack("<H", chance.choice(_WORDS) & 0xFFFF)
    made[which] = (tag, bytes(data))
    if chance.randrange(10) == 0:
        made.insert(chance.randrange(len(made) + 1), made[chance.randrange(len(made))])
    if chance.randrange(10) == 0:
        del made[chance.randrange(len(made))]
    return sealed(made)


@pytest.mark.usefixtures("bounded")
def test_forgeries(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """Files with right checksums and wrong contents harm nobody, whatever they say."""
    path = tmp_path / "forged.ring"
    for seed in range(10_000 if FULL else 300):
        chance = random.Random(seed)
        path.write_bytes(forged(list(parts(files[chance.choice(("split", "packed"))])), chance))
        opened(path, chance)


def rows_of(part: Part) -> Array:
    head = struct.calcsize("<QQQQII")
    count = struct.unpack_from("<I", part.content, head - 8)[0]
    return np.frombuffer(part.content, EVENT, count, head).copy()


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("kind", 0, "of a kind that is not known here"),
        ("kind", 200, "of a kind that is not known here"),
        ("number", 1 << 40, "the numbers of"),
        ("side", 2, "has no side or queue"),
        ("queue", 60_000, "has no side or queue"),
    ],
)
def test_a_wrong_event_ends_the_recording_before_its_block(
    files: dict[Layout, bytes], tmp_path: Path, field: str, value: int, why: str
) -> None:
    blocks = list(parts(files["split"]))
    at = next(i for i, part in enumerate(blocks) if part.tag == b"CHNK")
    rows = rows_of(blocks[at])
    rows[field][len(rows) // 2] = value
    content = blocks[at].content
    head = struct.calcsize("<QQQQII")
    content = content[:head] + rows.tobytes() + content[head + rows.nbytes :]
    made = [(part.tag, part.content if i != at else content) for i, part in enumerate(blocks)]
    path = tmp_path / "wrong.ring"
    path.write_bytes(sealed(made))
    with Recording(path) as recording:
        assert why in recording.wrong and recording.wrong.startswith("the file is damaged (")
        assert len(all_events(recording)) == 0
        assert recording.wrong in recording.snapshot().notes


def test_sizes_that_no_queue_has(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """A queue of none or of 2^31 descriptors ends the recording there; nothing is made for it."""
    blocks = list(parts(files["split"]))
    at = next(i for i, part in enumerate(blocks) if part.tag == b"KEYF")
    for size in (b"0", b"3", b"65536", b"2147483648", b"-4", b'"2"', b"2.0", b"null"):
        content = blocks[at].content.replace(b'"size":2,', b'"size":' + size + b",")
        number, time, length, count = struct.unpack_from("<QQII", content)
        longer = len(content) - len(blocks[at].content)
        content = struct.pack("<QQII", number, time, length + longer, count) + content[24:]
        path = tmp_path / "size.ring"
        path.write_bytes(sealed([(p.tag, content if i == at else p.content) for i, p in enumerate(blocks)]))
        with Recording(path) as recording:
            assert recording.wrong.startswith("the file is damaged (") and not recording.keyframes


def test_text_comes_out_plain(files: dict[Layout, bytes], tmp_path: Path) -> None:
    blocks = list(parts(files["split"]))
    head = blocks[0].content.replace(b'"name":"net0"', b'"name":"\\u001b[2J\\u202e"')
    path = tmp_path / "text.ring"
    path.write_bytes(sealed([(b"HEAD", head), *((part.tag, part.content) for part in blocks[1:])]))
    with Recording(path) as recording:
        assert recording.identity.name == r"\x1b[2J\u202e"
        assert recording.snapshot().identity.name == recording.identity.name


def test_other_private_words_are_not_taken_for_ours(files: dict[Layout, bytes], tmp_path: Path) -> None:
    blocks = list(parts(files["split"]))
    head = blocks[0].content.replace(b'"published"', b'"publicity"')
    path = tmp_path / "other.ring"
    path.write_bytes(sealed([(b"HEAD", head), *((part.tag, part.content) for part in blocks[1:])]))
    with pytest.raises(RecordingError, match="it was written by another version of ringscope"):
        Recording(path)


# ---- refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"\x89RINGREC", "it is empty: 8 bytes, no block of a recording"),
        (b"#!/bin/sh\n", "it is no recording of ringscope"),
        (b"\x0a\x0d\x0d\x0a" + bytes(100), "it is no recording of ringscope"),
        (
            HEAD.pack(b"\x89RINGREC\r\n\x1a\n", 2, 7) + bytes(64),
            "it is a recording of version 2.7, by a ringscope newer than this one, which reads version 1",
        ),
        (HEAD.pack(b"\x89RINGREC\r\n\x1a\n", 1, 0), "it is empty"),
        (HEAD.pack(b"\x89RINGREC\r\n\x1a\n", 1, 0) + bytes(64), "it is damaged from the start"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "x.ring"
    path.write_bytes(data)
    with pytest.raises(RecordingError) as refused:
        Recording(path)
    assert str(refused.value) == why


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(RecordingError, match="it is no file"):
            Recording(path)


@pytest.mark.usefixtures("bounded")
def test_a_length_beyond_reason_is_not_believed(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """A file of holes may be as long as it likes: nothing of its size is made."""
    blocks = [(part.tag, part.content) for part in parts(files["split"])]
    path = tmp_path / "holes.ring"
    good = sealed(blocks[:2])
    path.write_bytes(good)
    with open(path, "r+b") as file:
        file.seek(len(good))
        header = struct.pack("<4sIQI", b"CHNK", 2, LIMIT + 1, 0)
        file.write(header + struct.pack("<I", zlib.crc32(header)))
        file.truncate(1 << 40)
    with Recording(path) as recording:
        assert recording.wrong.startswith(f"the file is damaged at byte {len(good):,}")


def test_blocks_of_a_later_version(files: dict[Layout, bytes], tmp_path: Path) -> None:
    """A small letter may be passed over, a capital ends the recording, and says what is needed."""
    blocks = [(part.tag, part.content) for part in parts(files["split"])]
    path = tmp_path / "later.ring"
    path.write_bytes(sealed([*blocks[:1], (b"note", b"hello"), *blocks[1:]]))
    with Recording(path) as recording:
        assert recording.wrong == "" and len(all_events(recording))
    path.write_bytes(sealed([*blocks[:1], (b"NEWS", b"hello"), *blocks[1:]]))
    with Recording(path) as recording:
        assert "needs a newer ringscope" in recording.wrong and not len(all_events(recording))
