"""The frames that are kept: a bounded store with one writer and any number of readers.

Rows and bytes live in chunks of arrays which are filled once and never changed again, so a reader works
on them without a copy while the writer goes on. When the budget is passed the oldest chunk goes as a
whole and its frames are counted in `dropped`.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from capture._frames import gather
from capture.frame import RECORD, STAGES, Array, Frame, frame_of

_ROWS = 8192  #: rows of one chunk
_CHUNKS = 64  #: chunks that the budget is divided into
_ROW = np.dtype(f"V{RECORD.itemsize}")
PICKED_BYTES = 1 << 20  #: bytes of frames that one block of `FrameStore.pick` has at most


class Block(NamedTuple):
    """Consecutive frames without a copy: frame i is `data[offsets[i] : offsets[i] + rows["captured"][i]]`.

    rows: `RECORD`, read-only. offsets: int64. stages: `STAGES`, still filled in by the store's writer.
    """

    rows: Array
    data: memoryview
    offsets: Array
    stages: Array


class _Chunk:
    """Room for some rows and their bytes; grows only at its end."""

    __slots__ = ("base", "count", "data", "first", "rows", "stages", "used")

    def __init__(self, first: int, base: int, rows: int, size: int) -> None:
        self.first = first
        self.base = base
        self.count = 0
        self.used = 0
        self.rows = np.zeros(rows, RECORD)
        self.stages = np.zeros(rows, STAGES)
        self.data = np.empty(size, np.uint8)

    @property
    def size(self) -> int:
        return int(self.rows.nbytes + self.stages.nbytes + self.data.nbytes)

    def view(self, start: int, stop: int) -> Array:
        """Rows by frame number, clipped to this chunk, read-only."""
        rows = self.rows[max(start - self.first, 0) : max(min(stop - self.first, self.count), 0)]
        rows.flags.writeable = False
        return rows

    def block(self, start: int, stop: int) -> Block:
        """The same rows with their bytes and stages."""
        rows = self.view(start, stop)
        at = max(start - self.first, 0)
        offsets = (rows["offset"] - np.uint64(self.base)).astype(np.int64)
        return Block(rows, self.data.data.toreadonly(), offsets, self.stages[at : at + len(rows)])

    def pick(self, places: Array) -> Iterator[Block]:
        """Rows by their place in this chunk, ascending, copied together with their bytes."""
        sizes = self.rows["captured"][places].astype(np.int64)
        starts = self.rows["offset"][places].astype(np.int64) - self.base
        ends = np.cumsum(sizes)
        at, view = 0, self.data.data
        while at < len(places):
            taken = int(ends[at - 1]) if at else 0
            stop = max(int(np.searchsorted(ends, taken + PICKED_BYTES, "right")), at + 1)
            parts = zip(starts[at:stop].tolist(), sizes[at:stop].tolist(), strict=True)
            data = b"".join([view[begin : begin + size] for begin, size in parts])
            # as plain bytes: structured rows are taken field by field, 25 times slower
            rows = self.rows.view(_ROW)[places[at:stop]].view(RECORD)
            rows.flags.writeable = False
            offsets = ends[at:stop] - sizes[at:stop] - taken
            yield Block(rows, memoryview(data), offsets, self.stages[places[at:stop]])
            at = stop

    def trim(self) -> None:
        """Give back the room that was not needed; arrays that readers hold are not touched."""
        if self.used < len(self.data):
            self.data = self.data[: self.used].copy()
        if self.count < len(self.rows):
            self.rows = self.rows[: self.count].view(np.uint8).copy().view(RECORD)
            self.stages = self.stages[: self.count].copy()

    def bytes_of(self, row: Array) -> bytes:
        at = int(row["offset"]) - self.base
        return self.data[at : at + int(row["captured"])].tobytes()


class FrameStore:
    """Frames by number, counted from 1; the newest `budget_bytes` of them, everything counted."""

    def __init__(self, budget_bytes: int = 256 << 20) -> None:
        if budget_bytes < 1:
            raise ValueError(f"a frame store of {budget_bytes} bytes keeps nothing; give it at least 1")
        self._budget = budget_bytes
        self._chunk_bytes = max(budget_bytes // _CHUNKS, 1 << 12)
        self._chunk_rows = max(min(_ROWS, self._chunk_bytes // (RECORD.itemsize + STAGES.itemsize)), 1)
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._next = 1
        self._end = 0
        self._held = 0
        self._dropped = 0

    def __len__(self) -> int:
        with self._lock:
            return self._next - self._first()

    @property
    def first(self) -> int:
        """The number of the oldest frame kept; `last` + 1 when there is none."""
        with self._lock:
            return self._first()

    @property
    def last(self) -> int:
        """The number of the newest frame; 0 before the first."""
        with self._lock:
            return self._next - 1

    @property
    def dropped(self) -> int:
        """Frames that had to go to keep within the budget."""
        with self._lock:
            return self._dropped

    @property
    def held_bytes(self) -> int:
        """Memory of the chunks that are kept."""
        with self._lock:
            return self._held

    def append(self, rows: Array, data: bytes | memoryview | Array, offsets: Array) -> int:
        """Keep frames; returns the number of the first of them.

        rows: array of `RECORD`, whose `number` and `offset` are set here. Frame i is
        `data[offsets[i] : offsets[i] + rows["captured"][i]]`. ValueError where that is not inside `data`.
        """
        source = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
        captured = rows["captured"].astype(np.int64)
        starts = np.asarray(offsets, np.int64)
        if len(starts) != len(rows):
            raise ValueError(f"{len(rows)} rows with {len(starts)} offsets")
        if len(rows) and (int(starts.min()) < 0 or int((starts + captured).max()) > len(source)):
            raise ValueError(f"a frame lies outside the {len(source)} bytes that came with it")
        ends = np.cumsum(captured)
        with self._lock:
            number, at = self._next, 0
            while at < len(rows):
                chunk = self._room(int(captured[at]))
                before = int(ends[at - 1]) if at else 0
                fits = int(np.searchsorted(ends, before + len(chunk.data) - chunk.used, "right"))
                stop = min(fits, at + len(chunk.rows) - chunk.count)
                self._fill(chunk, rows[at:stop], source, starts[at:stop], captured[at:stop])
                at = stop
            return number

    def rows(self, start: int, stop: int) -> Array:
        """Rows of the frames numbered start..stop-1 that are still kept, read-only, in one array."""
        with self._lock:
            parts = [chunk.view(start, stop) for chunk in self._between(start, stop)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.zeros(0, RECORD)
        # as bytes: structured rows are copied field by field, 25 times slower
        joined = np.concatenate([part.view(np.uint8) for part in parts]).view(RECORD)
        joined.flags.writeable = False
        return joined

    def payloads(self, start: int, stop: int) -> list[bytes]:
        """The captured bytes of the same frames as `rows(start, stop)`: one list item a frame."""
        with self._lock:
            parts = [(chunk, chunk.view(start, stop)) for chunk in self._between(start, stop)]
        made: list[bytes] = []
        for chunk, rows in parts:
            view = chunk.data.data
            for offset, size in zip(rows["offset"].tolist(), rows["captured"].tolist(), strict=True):
                made.append(bytes(view[offset - chunk.base : offset - chunk.base + size]))
        return made

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The same frames a chunk at a time and without a copy: for filters, columns, writers."""
        with self._lock:
            parts = [chunk.block(start, stop) for chunk in self._between(start, stop)]
        return (part for part in parts if len(part.rows))

    def pick(self, numbers: Array) -> Iterator[Block]:
        """The frames of these numbers that are still kept, copied, ascending, each once.

        numbers: integers in any order. A block has at most `PICKED_BYTES` and one frame more.
        """
        wanted = np.unique(np.asarray(numbers, np.int64))
        at = 0
        while at < len(wanted):
            with self._lock:
                start = max(int(wanted[at]), self._first())
                chunk = next(iter(self._between(start, start + 1)), None)
            if chunk is None or start >= self._next:
                return
            at = int(np.searchsorted(wanted, start))
            stop = int(np.searchsorted(wanted, chunk.first + chunk.count))
            if at < stop:
                yield from chunk.pick(wanted[at:stop] - chunk.first)
                at = stop

    def stages(self, start: int, stop: int) -> Array:
        """The stages of the same frames as `rows(start, stop)`, copied."""
        parts = [block.stages for block in self.blocks(start, stop)]
        return np.concatenate(parts) if parts else np.zeros(0, STAGES)

    def set_stages(self, start: int, stages: Array) -> None:
        """Fill in what became of the frames from number `start` on; those no longer kept are passed over."""
        stop = start + len(stages)
        with self._lock:
            for chunk in self._between(start, stop):
                first, last = max(start, chunk.first), min(stop, chunk.first + chunk.count)
                if last > first:
                    kept = chunk.stages[first - chunk.first : last - chunk.first]
                    kept[:] = stages[first - start : last - start]

    def frame(self, number: int) -> Frame:
        """One frame; LookupError says whether it is gone or not there yet."""
        with self._lock:
            if not self._first() <= number < self._next:
                fate = "is not there yet" if number >= self._next else "is no longer kept"
                raise LookupError(f"frame {number} {fate}")
            chunk = self._between(number, number + 1)[0]
            row = chunk.rows[number - chunk.first]
        return frame_of(row, chunk.bytes_of(row))

    def by_origin(self, queue: int, position: int) -> int | None:
        """The newest frame one of whose buffers is the one published at `position` of `queue`."""
        with self._lock:
            parts = [chunk.view(chunk.first, chunk.first + chunk.count) for chunk in reversed(self._chunks)]
        wanted = np.uint64(position)
        for rows in parts:
            # Unsigned: a position past the wanted one wraps round to a huge distance.
            distance = wanted - rows["origin_position"]
            hit = (distance < np.maximum(rows["buffers"], 1)) & (rows["origin_queue"] == queue)
            found = np.flatnonzero(hit)
            if len(found):
                return int(rows["number"][found[-1]])
        return None

    def clear(self) -> None:
        """Forget every frame; numbers go on."""
        with self._lock:
            self._chunks.clear()
            self._held = 0

    def _first(self) -> int:
        return self._chunks[0].first if self._chunks else self._next

    def _between(self, start: int, stop: int) -> list[_Chunk]:
        firsts = [chunk.first for chunk in self._chunks]
        return self._chunks[max(bisect_right(firsts, start) - 1, 0) : bisect_right(firsts, stop - 1)]

    def _room(self, size: int) -> _Chunk:
        """The last chunk if it takes one more frame of this size, else a new one."""
        if self._chunks:
            last = self._chunks[-1]
            if last.count < len(last.rows) and last.used + size <= len(last.data):
                return last
            self._held -= last.size
            last.trim()
            self._held += last.size
        chunk = _Chunk(self._next, self._end, self._chunk_rows, max(self._chunk_bytes, size))
        self._chunks.append(chunk)
        self._held += chunk.size
        while self._held > self._budget and len(self._chunks) > 1:
            oldest = self._chunks.pop(0)
            self._held -= oldest.size
            self._dropped += oldest.count
        return chunk

    def _fill(self, chunk: _Chunk, rows: Array, source: Array, starts: Array, captured: Array) -> None:
        count, size = len(rows), int(captured.sum())
        ends = np.cumsum(captured)
        local = ends - captured
        where = chunk.data[chunk.used : chunk.used + size]
        begin = int(starts[0])
        if np.array_equal(starts - begin, local):
            where[:] = source[begin : begin + size]
        else:
            gather(source, starts, np.ascontiguousarray(rows["captured"]), where)
        kept = chunk.rows[chunk.count : chunk.count + count]
        kept.view(np.uint8)[:] = np.ascontiguousarray(rows).view(np.uint8)
        kept["number"] = np.arange(self._next, self._next + count, dtype=np.uint64)
        kept["offset"] = (local + self._end).astype(np.uint64)
        chunk.used += size
        chunk.count += count
        self._next += count
        self._end += size
