"""A history on disk, as a source: the same screens on what happened elsewhere, or before.

    with Recording("a.ring") as recording:
        print(recording.history.at(recording.history.reach.last).queue(1).driver)

A file that is still being written is followed. One that is cut or altered opens to its last whole block,
and `snapshot().notes` says so; nothing in a file is ever executed.

The file
--------
All numbers are little-endian; "uN" is unsigned with N bits. It begins with 16 bytes:

    12 bytes  89 "RINGREC" 0d 0a 1a 0a
    u16       major version, 1: a reader refuses another one
    u16       minor version, 0: higher ones only add what may be passed over

Then come blocks, one after the other, each a header of 24 bytes, its content, and zeros up to the next
multiple of 8:

    4 bytes   tag
    u32       ordinal: 0 for the first block, then up by one
    u64       length of the content, at most 2^30
    u32       CRC-32 (that of zlib) of the content
    u32       CRC-32 of the 20 bytes before

A block that is cut, or whose ordinal or checksum is wrong, ends the recording. A tag that begins with a
small letter may be passed over; another one that is not known ends it. JSON is ASCII, padded with blanks to
a multiple of 8 bytes, at most 2^20 of them; fields that are not known are passed over.

    HEAD  the first block: JSON {program, began, identity, own}. began is in ns since 1970, as all times are;
          identity is that of `snapshot.Identity`; own names the private words of `keyframe.own_dtype` in
          their order: {driver: [], device: [], ids: []}.
    KEYF  the image of every ring after event `number`: u64 number, u64 time, u32 n, u32 queues; n bytes of
          JSON {base, shapes}; then of each shape its memory and its private words. base is a
          `snapshot.Snapshot` without rows (bytes as hexadecimal, enumerations as numbers, each queue with
          "packed": true or false); shapes are `keyframe.QueueShape`. Memory is the areas of
          `QueueShape.areas`, end to end; the private words are one `keyframe.own_dtype(size)`.
    CHNK  events without a gap: u64 number of the first, u64 of the last, u64 time of the first, u64 of the
          last, u32 n, u32 m; n rows of `records.EVENT` (48 bytes), those of kind OWN before the event that
          they belong to; m rows of `chunk.CHANGE` (32 bytes), the net effect of all of them. Numbers
          go up by one from event to event; where the first of a block is not the last of the one before plus
          one, events were lost between.
    FRAM  frames: u64 lost (before or among them), u64 k, u32 n, u32 0; n rows of `records.FRAME`
          (64 bytes), n times i64 offset into the data, k bytes of data. Frame i has `captured` bytes at its
          offset. Numbers go up from frame to frame and from block to block.
    STAT  JSON: a `snapshot.Snapshot` without rows, as it was then: about once a second.
    ENDS  JSON {events, events_lost, frames, frames_lost}: the recording was ended in order. Nothing follows.

Whoever writes the file holds an exclusive flock() on it, by which a reader knows whether more may come.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from dataplane.history import History
from dataplane.keyframe import Keyframe
from dataplane.recorded.blocks import DamagedError, RecordingError
from dataplane.recorded.contents import Contents, News, StoredChunk, StoredFrames
from dataplane.records import EVENT, FRAME
from dataplane.snapshot import Identity, Logs, NetConfig, Snapshot
from dataplane.source import START, Cursor, Events, Frames

__all__ = ["DamagedError", "Losses", "Recording", "RecordingError"]

_EVENTS_AT_ONCE = 1 << 17  #: rows of a batch of events, about
_FRAMES_AT_ONCE = 1 << 22  #: bytes of a batch of frames, about
_LOOK = 0.1  #: seconds between two looks for more in a file that grows


@dataclass(frozen=True, slots=True)
class Losses:
    """What was overwritten before it was recorded, or never logged."""

    events: int
    frames: int


class Recording:
    """A recording at a path, as a source; RecordingError or OSError where it cannot be opened.

    `history` is all of it; `following` says whether somebody writes it now. Any thread may read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._contents = Contents(path)
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._chunks: list[StoredChunk] = []
        self._frames: list[StoredFrames] = []
        self._keyframes: list[Keyframe] = []
        self._state: Snapshot | None = None
        self._last: tuple[int, frozenset[int] | None, Snapshot] | None = None
        news = self._contents.news()
        self._keep(news)
        self.history = History.of(news.chunks, news.keyframes)

    # ---- what it is -------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self._contents.beginning.identity

    @property
    def recorded_kind(self) -> str:
        """The kind of source that was recorded: "pair"."""
        return self._contents.beginning.kind

    @property
    def program(self) -> str:
        """What wrote it, in its own words."""
        return self._contents.beginning.program

    @property
    def began(self) -> int:
        """When it began, ns since the epoch."""
        return self._contents.beginning.began

    @property
    def ended(self) -> int:
        """Up to when it is known that nothing more happened, ns since the epoch; 0: to its last event."""
        return self._state.time if self._state is not None else 0

    @property
    def size(self) -> int:
        """Bytes of the file that are whole blocks."""
        return self._contents.size

    @property
    def control(self) -> None:
        return None

    @property
    def probe(self) -> None:
        return None

    @property
    def following(self) -> bool:
        return self._contents.written

    @property
    def wrong(self) -> str:
        """What is wrong with the file, in one line; "" where nothing is."""
        return self._contents.why

    @property
    def counts(self) -> dict[int, int]:
        """Rows of each kind of event (`records.Kind`), of those that there are."""
        total = sum((chunk.facts.counts for chunk in self._chunks), np.zeros(1, np.int64))
        return {kind: int(count) for kind, count in enumerate(total) if count}

    @property
    def losses(self) -> Losses:
        """What is missing between its beginning and its end."""
        events, last = 0, None
        for chunk in self._chunks:
            events += chunk.first - last - 1 if last is not None else 0
            last = chunk.last
        return Losses(events, sum(block.facts.lost for block in self._frames))

    @property
    def frame_count(self) -> int:
        return sum(block.facts.rows for block in self._frames)

    # ---- reading ----------------------------------------------------------------------------------------

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        """The last moment there is. Where no ring can be rebuilt the counts of the last second."""
        self._follow()
        wanted = None if whole is None else frozenset(whole)
        with self._lock:
            state, last = self._state, self.history.reach.last
            known = self._last
        if known is not None and known[:2] == (last, wanted):
            shown = known[2]
        else:
            try:
                shown = self.history.at(last, wanted)
            except LookupError as error:
                shown = self._told(str(error))
            if state is not None and _overtaken(shown, state):
                shown = self._told("nothing was written down of the rings at the end: trace level off")
            with self._lock:
                self._last = last, wanted, shown
        if state is not None:
            shown = replace(shown, status=state.status, config=state.config, logs=state.logs)
        notes = [note for note in (self.wrong, *shown.notes) if note]
        return replace(
            shown,
            identity=self.identity,
            state="running" if self.following else "stopped",
            notes=tuple(notes),
        )

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        """The next events, some hundred thousand rows at once; `most` makes no difference."""
        self._follow()
        with self._lock:
            chunks = self._chunks[since[0] :]
            before = self._chunks[since[0] - 1].last if since[0] else None
        rows, count, lost = [], 0, 0
        for chunk in chunks:
            if count and count + chunk.count > _EVENTS_AT_ONCE:
                break
            lost += chunk.first - before - 1 if before is not None else 0
            before = chunk.last
            rows.append(chunk.rows.view(np.uint64))
            count += chunk.count
        made = np.concatenate(rows).view(EVENT) if rows else np.zeros(0, EVENT)
        made.flags.writeable = False
        return Events(made, (since[0] + len(rows), 0), lost)

    def frames(self, since: Cursor = START) -> Frames:
        """The next frames, some megabytes at once."""
        self._follow()
        with self._lock:
            blocks = self._frames[since[0] :]
        parts: list[Frames] = []
        size = 0
        for block in blocks:
            if size and size + block.length > _FRAMES_AT_ONCE:
                break
            parts.append(self._contents.frames(block))
            size += block.length
        cursor = (since[0] + len(parts), 0)
        if len(parts) == 1:
            return replace(parts[0], cursor=cursor)
        return _joined(parts, cursor)

    def frames_between(self, start: int, end: int) -> Iterator[Frames]:
        """The blocks that have frames of the time from `start` to `end`, ns since the epoch."""
        with self._lock:
            blocks = [b for b in self._frames if b.facts.last_time >= start and b.facts.first_time <= end]
        for block in blocks:
            yield self._contents.frames(block)

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """All that were recorded, in the order of their numbers."""
        with self._lock:
            return tuple(sorted(self._keyframes, key=lambda one: one.number))

    def keyframe(self, after: int = 0) -> Keyframe | None:
        """The newest that was recorded, if of event `after` or later."""
        keyframes = self.keyframes
        return keyframes[-1] if keyframes and keyframes[-1].number >= after else None

    def memory(self, address: int, length: int) -> bytes:
        """Ring memory at the last moment; LookupError where it is not known."""
        return self.history.memory(self.history.reach.last, address, length)

    def close(self) -> None:
        """Let go of the file."""
        self._contents.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def follow(self) -> bool:
        """Look for more in the file now; whether there was."""
        with self._lock:
            self._looked = time.monotonic()
            news = self._contents.news()
            self._keep(news)
            if news.chunks or news.keyframes:
                self.history.extend(news.chunks, news.keyframes)
            return bool(news.chunks or news.keyframes or news.frames or news.state)

    def _follow(self) -> None:
        if self.following and time.monotonic() - self._looked >= _LOOK:
            self.follow()

    def _keep(self, news: News) -> None:
        self._chunks += news.chunks
        self._frames += news.frames
        self._keyframes += news.keyframes
        self._state = news.state or self._state

    def _told(self, why: str) -> Snapshot:
        """The last that was written of the whole device, without rows."""
        with self._lock:
            told = self._state
        if told is None:
            keyframe = self.keyframe()
            told = keyframe.base if keyframe else _nothing(self.identity, self.began)
        return replace(told, notes=(*told.notes, why))


def _overtaken(shown: Snapshot, state: Snapshot) -> bool:
    """Whether the rings went on without a trace after the moment that is shown."""
    counts = {queue.index: queue.after for queue in shown.queues}
    return (
        state.logs.trace_level == "off"
        and state.number >= shown.number
        and any(counts.get(queue.index) != queue.after for queue in state.queues)
    )


def _joined(parts: list[Frames], cursor: Cursor) -> Frames:
    if not parts:
        return Frames(np.zeros(0, FRAME), np.zeros(0, np.int64), b"", cursor, 0)
    starts = np.cumsum([0, *(len(part.data) for part in parts)])
    rows = np.concatenate([part.rows.view(np.uint64) for part in parts]).view(FRAME)
    offsets = np.concatenate([part.offsets + start for part, start in zip(parts, starts, strict=False)])
    rows.flags.writeable = offsets.flags.writeable = False
    data = b"".join(part.data for part in parts)
    return Frames(rows, offsets, data, cursor, sum(part.lost for part in parts))


def _nothing(identity: Identity, time_: int) -> Snapshot:
    """Of a recording in which nothing stands yet but its beginning."""
    return Snapshot(
        identity=identity,
        state="stopped",
        status=0,
        config=NetConfig(bytes(6), 0, 0, 0),
        config_generation=0,
        queue_pairs=0,
        number=0,
        time=time_,
        logs=Logs("off", 0, False, 1, 0, 0, 0),
        queues=(),
    )
