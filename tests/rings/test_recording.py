"""Recording a source and reading it back: the same history, while it is written and after."""

from __future__ import annotations

import json
import random
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataplane.pair import Layout, Pair
from dataplane.past.chunk import CHUNK
from dataplane.recorded.exporting import export
from dataplane.recorded.recorder import Recorder
from dataplane.recording import Recording, RecordingError
from dataplane.records import EVENT, Kind
from dataplane.snapshot import Array
from dataplane.source import START, Cursor, Events, Frames, RingSource
from tests.rings.recorded import FRAMES, facts, parts, stepped
from tests.rings.staging import LAYOUTS, wait_until

ROOT = Path(__file__).resolve().parents[2]


def all_events(source: RingSource) -> Array:
    cursor, pulls = START, []
    while len((got := source.events(cursor)).rows):
        cursor = got.cursor
        pulls.append(got.rows.view(np.uint64))
    return np.concatenate(pulls).view(EVENT)


def all_frames(source: RingSource) -> list[tuple[bytes, bytes]]:
    """Header and bytes of each frame."""
    cursor, found = START, []
    while len((got := source.frames(cursor)).rows):
        cursor = got.cursor
        for row, offset in zip(got.rows, got.offsets.tolist(), strict=True):
            found.append((row.tobytes(), bytes(got.data[offset : offset + int(row["captured"])])))
    return found


# ---- there and back -------------------------------------------------------------------------------------


@LAYOUTS
def test_every_moment_is_as_it_was(packed: bool, tmp_path: Path) -> None:
    """Stepped store by store: the past of the file is the picture that was taken then, row for row."""
    path = tmp_path / "a.ring"
    seen = stepped(path, "packed" if packed else "split", steps=80)
    with Recording(path) as recording:
        assert recording.wrong == "" and not recording.following
        assert recording.history.reach.last == max(seen)
        numbers = sorted(seen)
        random.Random(2).shuffle(numbers)
        for number in numbers:
            assert facts(recording.history.at(number)) == facts(seen[number]), number
        assert facts(recording.snapshot()) == facts(seen[max(seen)])


def test_the_file_tells_what_the_source_told(tmp_path: Path) -> None:
    """Events, frames and counts of a pair that ran, against another reader of the same pair."""
    path = tmp_path / "a.ring"
    with Pair(trace="stores", queue_size=8) as pair:
        pair.play(FRAMES)
        recorder = Recorder(pair, path)
        pair.start()
        wait_until(lambda: pair.snapshot(()).logs.frames >= 6, "frames")
        pair.freeze()
        recorder.close()
        live = all_events(pair)
        frames = all_frames(pair)
        last = pair.snapshot()
        exact = pair.keyframe()
    with Recording(path) as recording:
        told = all_events(recording)
        assert (told == live[np.argsort(live["number"], kind="stable")]).all() and len(told) == len(live)
        assert all_frames(recording) == frames
        assert recording.counts == {int(k): int((live["kind"] == k).sum()) for k in np.unique(live["kind"])}
        assert recording.losses.events == recording.losses.frames == 0
        assert facts(recording.snapshot()) == facts(last)
        assert exact is not None
        image = recording.history.image(exact.number)
        assert (image.memory, image.own) == (exact.memory, exact.own)
        assert recording.identity == replace(pair.identity, kind="recording")
        assert recording.recorded_kind == "pair"


def test_a_flood_is_recorded_with_gaps(tmp_path: Path) -> None:
    """What the recorder is too slow for is missing in the file, counted, and nothing else is."""
    path = tmp_path / "a.ring"
    with Pair(trace="stores") as pair:
        pair.flood()
        with Recorder(pair, path) as recorder:
            pair.start()
            wait_until(lambda: recorder.events_lost > 1000 and recorder.events > 2 * CHUNK, "a gap")
    with Recording(path) as recording:
        reach = recording.history.reach
        assert recording.wrong == ""
        assert len(reach.gaps) and recording.losses.events > 0
        rows = all_events(recording)
        numbers = rows["number"][rows["kind"] != Kind.OWN]
        assert (np.diff(numbers.astype(np.int64)) >= 1).all()
        assert recording.losses.events == int(numbers[-1] - numbers[0]) + 1 - len(numbers)
        assert recording.snapshot().queues


@pytest.mark.parametrize("trace", ["off", "operations"])
def test_without_stores(tmp_path: Path, trace: str) -> None:
    """The counts are there all the same, and a note says what is not."""
    path = tmp_path / "a.ring"
    with Pair(trace=trace) as pair:  # type: ignore[arg-type]
        pair.play(FRAMES)
        with Recorder(pair, path):
            pair.start()
            wait_until(lambda: pair.snapshot(()).logs.frames >= 6, "frames")
            pair.quiet()
    with Recording(path) as recording:
        assert recording.frame_count >= 6
        shown = recording.snapshot(())
        assert shown.queue(1).published >= 3 and shown.queue(1).used >= 3
        assert shown.logs.frames >= 6


def test_a_queue_is_reset_and_the_level_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    with Pair(trace="operations", queue_size=8) as pair:
        pair.play(FRAMES)
        with Recorder(pair, path) as recorder:
            pair.start()
            wait_until(lambda: pair.snapshot(()).logs.frames >= 3, "frames")
            pair.trace("stores")
            wait_until(lambda: recorder.keyframes >= 2, "a keyframe")
            pair.reset_queue(1)
            wait_until(lambda: recorder.keyframes >= 3, "a keyframe")
            pair.freeze()
            then = pair.snapshot()
    with Recording(path) as recording:
        assert recording.history.reach.last == then.number
        assert facts(recording.history.at(then.number)) == facts(then)


class Scripted:
    """A source whose pulls of events are given."""

    def __init__(self, pair: Pair, pulls: list[tuple[Array, int]]) -> None:
        self._pair = pair
        self._pulls = pulls
        self.identity = pair.identity
        self.control = self.probe = None

    def snapshot(self, whole: object = None) -> object:
        return self._pair.snapshot(())

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        if since[0] >= len(self._pulls):
            return Events(np.zeros(0, EVENT), since, 0)
        rows, lost = self._pulls[since[0]]
        return Events(rows, (since[0] + 1, 0), lost)

    def frames(self, since: Cursor = START) -> Frames:
        return self._pair.frames(since)

    def keyframe(self, after: int = 0) -> None:
        return None

    def memory(self, address: int, length: int) -> bytes:
        return bytes(length)

    def close(self) -> None:
        pass


def test_pulls_that_overlap_are_put_in_order(tmp_path: Path) -> None:
    """Numbers arrive behind higher ones of the other side; the file has them in order."""
    rows = np.zeros(9, EVENT)
    rows["number"], rows["kind"], rows["time"] = range(1, 10), Kind.WAKE, range(100, 109)
    pulls = [(rows[[0, 1, 4]], 0), (rows[[2, 3, 7]], 0), (rows[[5, 6, 8]], 0)]
    path = tmp_path / "a.ring"
    with Pair() as pair:
        Recorder(Scripted(pair, pulls), path).close()  # type: ignore[arg-type]
    with Recording(path) as recording:
        assert (all_events(recording) == rows).all()


def test_a_reader_made_from_the_description_alone(tmp_path: Path) -> None:
    """Nothing but struct and json, as the module's text tells the format: the same events and frames."""
    path = tmp_path / "a.ring"
    stepped(path, steps=40)
    data = path.read_bytes()
    assert data[:16] == b"\x89RINGREC\r\n\x1a\n" + struct.pack("<HH", 1, 0)
    at, ordinal = 16, 0
    events: list[tuple[int, ...]] = []
    frames: list[bytes] = []
    tags: list[bytes] = []
    while at < len(data):
        tag, number, length, crc, check = struct.unpack_from("<4sIQII", data, at)
        assert (number, check) == (ordinal, zlib.crc32(data[at : at + 20]))
        content = data[at + 24 : at + 24 + length]
        assert crc == zlib.crc32(content)
        match tag:
            case b"HEAD":
                head = json.loads(content)
            case b"CHNK":
                first, last, _, _, n, m = struct.unpack_from("<QQQQII", content)
                rows = list(struct.iter_unpack("<QQQQQBBHHH", content[40 : 40 + 48 * n]))
                assert (rows[0][0], rows[-1][0]) == (first, last) and length == 40 + 48 * n + 32 * m
                events += rows
            case b"FRAM":
                _, k, n, _ = struct.unpack_from("<QQII", content)
                offsets = struct.unpack_from(f"<{n}q", content, 24 + 64 * n)
                for i, offset in enumerate(offsets):
                    captured = struct.unpack_from("<I", content, 24 + 64 * i + 28)[0]
                    frames.append(content[24 + 72 * n :][offset : offset + captured])
                assert length == 24 + 72 * n + k
            case b"KEYF":
                n, queues = struct.unpack_from("<QQII", content)[2:]
                facts = json.loads(content[24 : 24 + n])
                assert len(facts["shapes"]) == len(facts["base"]["queues"]) == queues
                words = sum(len(head["own"][side]) for side in ("driver", "device"))
                size = 0
                for shape in facts["shapes"]:
                    size += (16 + 2 + 8) * shape["size"] + 12 + 16 * shape["size"] * shape["table_entries"]
                    size += 8 * (words + len(head["own"]["ids"]) * shape["size"])
                assert length == 24 + n + size
        tags.append(tag)
        at, ordinal = at + 24 + length + -length % 8, ordinal + 1
    assert tags[0] == b"HEAD" and tags[-1] == b"ENDS" and b"STAT" in tags
    with Recording(path) as recording:
        assert [tuple(row) for row in all_events(recording).tolist()] == events
        assert [data for _, data in all_frames(recording)] == frames


# ---- while it is written --------------------------------------------------------------------------------


def test_followed_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    with Pair(trace="stores", queue_size=8) as pair:
        pair.play(FRAMES)
        recorder = Recorder(pair, path)
        pair.start()
        wait_until(lambda: recorder.events > 0, "events in the file")
        with Recording(path) as recording, Recording(path) as other:
            assert recording.following and recording.wrong == ""
            assert recording.snapshot().state == "running"
            at_first = recording.history.reach.last

            def grown() -> bool:
                return recording.follow() and recording.history.reach.last > at_first

            wait_until(grown, "more in the file")
            recorder.close()
            while recording.follow():
                pass
            assert not recording.following and recording.wrong == ""
            assert recording.snapshot().state == "stopped"
            other.follow()
            assert recording.history.reach.last == other.history.reach.last
            assert (all_events(recording) == all_events(other)).all()


def test_killed_while_it_writes(tmp_path: Path) -> None:
    """What was flushed is there: every block is whole, and the file says that it was not ended."""
    path = tmp_path / "a.ring"
    command = [sys.executable, "-m", "inspector", "record", str(path), "--rate", "2000"]
    writing = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: path.exists() and b"CHNK" in path.read_bytes(), "a chunk in the file")
    finally:
        writing.send_signal(signal.SIGKILL)
        writing.wait()
    with Recording(path) as recording:
        assert not recording.following
        assert recording.wrong.startswith(("the recording was not ended", "the file is cut short"))
        assert recording.history.reach.last > 0 and recording.snapshot().queues


@contextmanager
def disk(room: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [10, 100, 1000])
def test_no_room_for_the_beginning(tmp_path: Path, room: int) -> None:
    with Pair() as pair, disk(room), pytest.raises(OSError, match="File too large"):
        Recorder(pair, tmp_path / "a.ring")
    assert not (tmp_path / "a.ring").exists()


@pytest.mark.parametrize("room", [800_000, 1_000_001, 2_000_000])
def test_a_full_disk_ends_the_recording_and_not_the_pair(tmp_path: Path, room: int) -> None:
    """The recorder says in a line why it ended; the file ends with a whole block; the pair never notices."""
    path = tmp_path / "a.ring"
    with Pair(trace="stores") as pair:
        pair.flood()
        with Recorder(pair, path) as recorder:
            with disk(room):
                pair.start()
                wait_until(lambda: bool(recorder.failed), "a full disk")
            assert recorder.failed == "the disk is full: File too large"
            before = pair.snapshot(()).queue(1).published
            wait_until(lambda: pair.snapshot(()).queue(1).published > before, "more traffic")
        assert recorder.size == path.stat().st_size <= room
    assert recorder.size == max(part.end for part in parts(path.read_bytes()))
    with Recording(path) as recording:
        assert recording.wrong == "the recording was not ended: what was written is shown"
        assert recording.snapshot().queues


# ---- where it may be written ----------------------------------------------------------------------------


def test_a_recording_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    stepped(path, steps=5)
    with Recording(path) as old:
        last = old.history.reach.last
        stepped(path, steps=30)
        assert old.history.reach.last == last and len(all_events(old))  # its reader keeps what it had
    with Recording(path) as new:
        assert new.history.reach.last > last
    text = tmp_path / "text"
    text.write_text("dear diary")
    with Pair() as pair:
        with pytest.raises(RecordingError, match="is there already and is no recording"):
            Recorder(pair, text)
        with pytest.raises(RecordingError, match="no file"):
            Recorder(pair, tmp_path)
        with pytest.raises(FileNotFoundError):
            Recorder(pair, tmp_path / "no" / "a.ring")
        with Recorder(pair, path), pytest.raises(RecordingError, match="written by another"):
            Recorder(pair, path)
    assert text.read_text() == "dear diary"
    (tmp_path / "latest").symlink_to(path)
    stepped(tmp_path / "latest", steps=5)
    assert (tmp_path / "latest").is_symlink()
    with Recording(path) as newest:
        assert newest.history.reach.last == last
    assert (path.stat().st_mode & 0o777) == 0o600


# ---- a part of it ---------------------------------------------------------------------------------------


@LAYOUTS
def test_a_part_opens_by_itself(packed: bool, tmp_path: Path) -> None:
    layout: Layout = "packed" if packed else "split"
    seen = stepped(tmp_path / "a.ring", layout, steps=80)
    numbers = sorted(seen)
    numbers = numbers[len(numbers) // 4 : len(numbers) // 2]
    first, last = numbers[0], numbers[-1]
    with Recording(tmp_path / "a.ring") as whole:
        made = export(whole, tmp_path / "b.ring", first, last)
        with Recording(tmp_path / "b.ring") as part:
            assert part.wrong == "" and made.bytes == part.size
            assert (part.history.reach.first, part.history.reach.last) == (first, last)
            assert made.events == last - first + 1
            for number in numbers:
                assert facts(part.history.at(number)) == facts(seen[number])
            rows = whole.history.rows(first, last, own=True)
            assert (part.history.rows(first, last, own=True) == rows).all()
            start, end = whole.history.time_of(first), whole.history.time_of(last)
            inside = [
                frame
                for frame in all_frames(whole)
                if start <= int.from_bytes(frame[0][8:16], "little") <= end
            ]
            assert all_frames(part) == inside


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    stepped(tmp_path / "a.ring", steps=20)
    full = pytest.raises(OSError, match="File too large")
    with Recording(tmp_path / "a.ring") as whole, disk(9_000), full:
        export(whole, tmp_path / "b.ring", 1, whole.history.reach.last)
    assert not (tmp_path / "b.ring").exists()
