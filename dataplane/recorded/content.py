"""What stands in the blocks of a recording: events with their effect, frames, keyframes.

Each kind has an `..._pieces` function, what a writer appends, and a `read_...` one, which takes nothing for
granted: it raises Unsound, in one line, for whatever no writer of ours leaves behind. Bulk is stored as the
arrays of `dataplane.records`, so that nothing is parsed and nothing but bytes is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.past.chunk import CHANGE, Chunk
from dataplane.recorded.blocks import Buffer, Unsound
from dataplane.recorded.facts import (
    LIMIT,
    encode,
    pack,
    shape_of,
    snapshot_facts,
    snapshot_of,
    unpack,
)
from dataplane.records import EVENT, FRAME, Kind
from dataplane.snapshot import Array, PackedQueue
from dataplane.source import Frames

CHUNK_HEAD = struct.Struct("<QQQQII")
FRAMES_HEAD = struct.Struct("<QQII")
KEYFRAME_HEAD = struct.Struct("<QQII")

ROWS = 1 << 20  #: rows of a chunk at most
FRAME_ROWS = 1 << 20  #: frames of a block at most
_CAPTURED = 1 << 18  #: bytes of a frame at most
_NEVER = 1 << 63  #: ns: no time is later
_KINDS = max(Kind) + 1
_QUEUES = 1 << 10
_NO_EVENT = np.uint64((0xFFFF & ~(_QUEUES - 1)) << 16 | 0xFE << 8)  #: bits of queue and side that none has
_SHAPES = 1 << 10

Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class ChunkFacts:
    """What a chunk holds, without its rows. `counts` has the rows of each kind of event."""

    first: int  #: number of its first event
    last: int
    first_time: int  #: of its first event, ns since the epoch
    last_time: int
    rows: int
    effects: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class FramesFacts:
    """What a block of frames holds, without them."""

    first: int  #: number of its first frame
    last: int
    first_time: int
    last_time: int
    lost: int  #: frames missing before it or inside, as far as the writer knew
    rows: int
    data: int  #: bytes


# ---- events ---------------------------------------------------------------------------------------------


def chunk_pieces(chunk: Chunk) -> list[Buffer]:
    """The block of a chunk of events."""
    rows, effect = chunk.rows, chunk.effect
    head = CHUNK_HEAD.pack(chunk.first, chunk.last, chunk.first_time, chunk.last_time, len(rows), len(effect))
    return [head, octets(rows), octets(effect)]


def octets(rows: Any) -> memoryview:
    """An array's bytes, without a copy where it lies end to end."""
    return np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data.toreadonly()


def read_chunk(data: memoryview) -> ChunkFacts:
    """Look a block of events through. Unsound."""
    if len(data) < CHUNK_HEAD.size:
        raise Unsound("a chunk has no head")
    first, last, first_time, last_time, count, effects = CHUNK_HEAD.unpack_from(data)
    if not 1 <= count <= ROWS or effects > 2 * ROWS:
        raise Unsound("a chunk has too many rows, or none")
    if len(data) != CHUNK_HEAD.size + count * EVENT.itemsize + effects * CHANGE.itemsize:
        raise Unsound("a chunk is not as long as its rows")
    words = np.frombuffer(data, "<u8", 6 * count, CHUNK_HEAD.size).reshape(count, 6)
    numbers, rest = words[:, 0].copy(), words[:, 5].copy()
    if first != int(numbers[0]) or last != int(numbers[-1]) or last >= 1 << 63:
        raise Unsound("the numbers of a chunk are not those of its rows")
    if first_time != int(words[0, 1]) or last_time != int(words[-1, 1]) or int(words[:, 1].max()) >= _NEVER:
        raise Unsound("the times of a chunk are not those of its rows")
    kinds = rest.astype(np.uint8)  # the lowest byte
    counts = np.bincount(kinds, minlength=_KINDS)
    if len(counts) > _KINDS or counts[0]:
        raise Unsound("an event is of a kind that is not known here")
    if (rest & _NO_EVENT).any():
        raise Unsound("an event has no side or queue")
    alone = kinds != Kind.OWN  # the last row of its event
    if not alone[-1] or ((numbers[1:] - numbers[:-1]) != alone[:-1]).any():
        raise Unsound("the numbers of events do not go up one by one")
    changes = np.frombuffer(data, CHANGE, effects, CHUNK_HEAD.size + count * EVENT.itemsize)
    known = (changes["kind"] == Kind.STORE) | (changes["kind"] == Kind.OWN)
    if not known.all() or (changes["width"] > 8).any():
        raise Unsound("a change is neither of memory nor of a side")
    return ChunkFacts(first, last, first_time, last_time, count, effects, counts)


# ---- frames ---------------------------------------------------------------------------------------------


def frames_pieces(batches: Sequence[Frames], lost: int) -> list[Buffer]:
    """The block of some readings of the frame log, one after the other; `lost` are missing among them."""
    rows, offsets, size = [], [], 0
    for batch in batches:
        rows.append(octets(batch.rows))
        offsets.append(octets(batch.offsets.astype("<i8") + size))
        size += len(batch.data)
    count = sum(len(batch.rows) for batch in batches)
    head = FRAMES_HEAD.pack(lost, size, count, 0)
    return [head, *rows, *offsets, *(batch.data for batch in batches)]


def frames_of(data: bytes | memoryview) -> Frames:
    """The frames of such a block, found sound before; the cursor is empty."""
    lost, size, count, _ = FRAMES_HEAD.unpack_from(data)
    rows: Array = np.frombuffer(data, FRAME, count, FRAMES_HEAD.size)
    at = FRAMES_HEAD.size + rows.nbytes
    offsets = np.frombuffer(data, "<i8", count, at).astype(np.int64, copy=False)
    return Frames(rows, offsets, memoryview(data)[at + offsets.nbytes :][:size].toreadonly(), (), lost)


def read_frames(data: memoryview) -> FramesFacts:
    """Look a block of frames through. Unsound."""
    if len(data) < FRAMES_HEAD.size:
        raise Unsound("a block of frames has no head")
    lost, size, count, _ = FRAMES_HEAD.unpack_from(data)
    if not 1 <= count <= FRAME_ROWS:
        raise Unsound("a block has too many frames, or none")
    if len(data) != FRAMES_HEAD.size + count * (FRAME.itemsize + 8) + size:
        raise Unsound("a block of frames is not as long as they are")
    frames = frames_of(data)
    rows, offsets = frames.rows, frames.offsets
    numbers, times = rows["number"].copy(), rows["time"].copy()
    captured = rows["captured"].astype(np.int64)
    if (numbers[1:] <= numbers[:-1]).any() or int(numbers[-1]) >= 1 << 63 or int(times.max()) >= _NEVER:
        raise Unsound("the numbers of frames do not go up")
    if (captured > _CAPTURED).any() or (captured > rows["length"]).any():
        raise Unsound("a frame is too long")
    if (offsets < 0).any() or (offsets > size - captured).any():
        raise Unsound("a frame lies outside its block")
    if (rows["queue"] >= _QUEUES).any() or (rows["direction"] > 1).any():
        raise Unsound("a frame belongs to no queue")
    if (rows["position"] >= _NEVER).any():
        raise Unsound("the position of a frame is out of range")
    if (rows["net_header_length"] > 20).any():
        raise Unsound("a net header is too long")
    return FramesFacts(
        int(numbers[0]), int(numbers[-1]), int(times.min()), int(times.max()), lost, count, size
    )


# ---- keyframes ------------------------------------------------------------------------------------------


def keyframe_pieces(keyframe: Keyframe) -> list[Buffer]:
    """The block of a keyframe."""
    facts = pack(
        {
            "base": snapshot_facts(keyframe.base),
            "shapes": [encode(shape) for shape in keyframe.shapes],
        }
    )
    head = KEYFRAME_HEAD.pack(keyframe.number, keyframe.time, len(facts), len(keyframe.shapes))
    pieces: list[Buffer] = [head, facts]
    for memory, own in zip(keyframe.memory, keyframe.own, strict=True):
        pieces += [memory, own]
    return pieces


def _sizes(shape: QueueShape) -> tuple[int, int]:
    """Bytes of a queue's memory and of its private words."""
    return sum(length for _, _, length in shape.areas), own_dtype(shape.size).itemsize


def read_keyframe(data: memoryview) -> Keyframe:
    """The keyframe of a block. Unsound."""
    if len(data) < KEYFRAME_HEAD.size:
        raise Unsound("a keyframe has no head")
    number, time, length, count = KEYFRAME_HEAD.unpack_from(data)
    if length > min(LIMIT, len(data) - KEYFRAME_HEAD.size) or count > _SHAPES:
        raise Unsound("a keyframe is shorter than its facts")
    if number >= 1 << 63 or time >= _NEVER:
        raise Unsound("the number of a keyframe is out of range")
    facts = unpack(data[KEYFRAME_HEAD.size : KEYFRAME_HEAD.size + length])
    base, listed = facts.get("base"), facts.get("shapes")
    if not isinstance(base, dict) or not isinstance(listed, list) or len(listed) != count:
        raise Unsound("the facts of a keyframe are not complete")
    shapes = tuple(shape_of(one) for one in listed)
    snapshot = snapshot_of(base)
    queues = {queue.index: queue for queue in snapshot.queues}
    if len({shape.index for shape in shapes}) != len(shapes):
        raise Unsound("two queues of a keyframe have one index")
    for shape in shapes:
        queue = queues.get(shape.index)
        if queue is None or queue.size != shape.size or isinstance(queue, PackedQueue) != shape.packed:
            raise Unsound(f"queue {shape.index} of a keyframe has two shapes")
    sizes = [size for shape in shapes for size in _sizes(shape)]
    if len(data) != KEYFRAME_HEAD.size + length + sum(sizes):
        raise Unsound("a keyframe is not as long as its queues")
    parts, at = [], KEYFRAME_HEAD.size + length
    for size in sizes:
        parts.append(bytes(data[at : at + size]))
        at += size
    return Keyframe(number, time, snapshot, shapes, tuple(parts[::2]), tuple(parts[1::2]))
