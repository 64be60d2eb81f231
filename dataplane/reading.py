"""What an engine of ours can be asked: its logs, its memory, the exact image of its rings.

The half of a source that only reads; `Pair` and `Bare` add what moves their rings.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

import numpy as np

from dataplane._engine import Engine
from dataplane.keyframe import Keyframe, QueueShape, own_dtype
from dataplane.records import EVENT, FRAME
from dataplane.snapshot import AnyQueue, Array, Snapshot
from dataplane.source import START, Cursor, Events, Frames, TraceLevel

LEVELS: tuple[TraceLevel, ...] = ("off", "operations", "stores")
SNAP = 1 << 18  #: bytes kept of a frame, unless asked otherwise
_EVENTS = 1 << 16  #: of a side: what its log holds
_EVENTS_OF_FLOOD = 1 << 11


class Reading(ABC):
    """Reads an engine. Every method raises RuntimeError with one line once it is closed."""

    def __init__(self, engine: Engine, what: str) -> None:
        self._live: Engine | None = engine
        self._what = what  #: "pair": what is said to be closed
        self._keyframe: Keyframe | None = None
        self._still = threading.RLock()  #: held by whoever moves the rings, or takes their image

    @property
    def _engine(self) -> Engine:
        if self._live is None:
            raise RuntimeError(f"the {self._what} is closed")
        return self._live

    @property
    def resting(self) -> bool:
        """Whether neither side moves, so that an image of the rings is exact."""
        return True

    @abstractmethod
    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot: ...

    def info(self) -> dict[str, Any]:
        """Registers and counters of the engine as they are, by name."""
        return self._engine.info()

    def queue_bytes(self, index: int, whole: bool) -> bytes:
        """One queue as the engine copies it, for `decode.queue`."""
        scratch = bytearray(self._engine.room(index, whole))
        return bytes(memoryview(scratch)[: self._engine.snapshot(index, whole, scratch)])

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        """At most `most` events of each side, the newest; what is older counts as lost.

        Without `most` as many as the log holds while every frame is logged, so that the way of each can be
        told, and of a pair that rests; of a flood 2048. Sorted within a pull. What a side was just writing
        may come with the next pull, behind a higher number of the other side: whoever appends pulls sorts
        once more.
        """
        if most is None:
            info = self._engine.info()
            each = info["frames_on"] and info["frame_sample"] == 1
            most = _EVENTS if each or info["frozen"] else _EVENTS_OF_FLOOD
        scratch = np.empty((2 * most, EVENT.itemsize // 8), np.uint64)
        held, cursor, lost = 0, [], 0
        for side in (0, 1):
            count, position, missed = self._engine.events(side, since[side], scratch[held : held + most])
            held += count
            cursor.append(position)
            lost += missed
        order = np.argsort(scratch[:held, 0], kind="stable")
        rows: Array = scratch[order].reshape(-1).view(EVENT)
        rows.flags.writeable = False
        return Events(rows, tuple(cursor), lost)

    def frames(self, since: Cursor = START, *, most: int = 1 << 22) -> Frames:
        """At most `most` bytes of frames, oldest first; the cursor leads to the rest.

        The engine copies them out of its log into memory that belongs to the answer alone.
        """
        count, room = self._engine.frames_waiting(since[0], since[1])
        room = min(room, max(most, SNAP)) + 8
        rows = np.empty(min(count, room // FRAME.itemsize + 1), FRAME)
        offsets = np.empty(len(rows), np.int64)
        data = np.empty(room, np.uint8)
        got, size, position, expected, lost = self._engine.frames(
            since[0], since[1], rows.view(np.uint8), data, offsets.view(np.uint8)
        )
        rows, offsets = rows[:got], offsets[:got]
        rows.flags.writeable = offsets.flags.writeable = False
        return Frames(rows, offsets, data[:size].data.toreadonly(), (position, expected), lost)

    def keyframe(self, after: int = 0) -> Keyframe | None:
        """The exact image now, where both sides rest; else the newest one taken, if of event `after` on."""
        with self._still:
            if self.resting:
                self._keep_keyframe()
            kept = self._keyframe
        return kept if kept is not None and kept.number >= after else None

    def _keep_keyframe(self) -> None:
        """The image of every ring; both sides rest."""
        base = self.snapshot(())
        if not all(queue.exact for queue in base.queues):
            return  # a side did not come to rest
        kept = self._keyframe
        if kept is not None and kept.number == base.number and kept.base.queues == base.queues:
            return
        shapes = self._shapes(base)
        memory = tuple(b"".join(self.memory(at, length) for _, at, length in s.areas) for s in shapes)
        own = []
        for shape in shapes:
            image = np.empty(own_dtype(shape.size).itemsize // 8, np.uint64)
            self._engine.own(shape.index, image)
            own.append(image.tobytes())
        self._keyframe = Keyframe(base.number, base.time, base, shapes, memory, tuple(own))

    def shapes(self) -> tuple[QueueShape, ...]:
        """What of each queue stays the same."""
        return self._shapes(self.snapshot(()))

    def _shapes(self, base: Snapshot) -> tuple[QueueShape, ...]:
        return tuple(self._shape(queue, base.identity.packed) for queue in base.queues)

    def _shape(self, queue: AnyQueue, packed: bool) -> QueueShape:
        shape = self._engine.shape(queue.index)
        return QueueShape(
            index=queue.index,
            name=queue.name,
            role=queue.role,
            size=queue.size,
            packed=packed,
            in_order=bool(shape["in_order"]),
            indirect=bool(shape["indirect"]),
            event_idx=bool(shape["event_idx"]),
            enabled=queue.enabled,
            generation=queue.generation,
            start_index=shape["start_index"],
            desc_addr=queue.desc_addr,
            driver_addr=queue.driver_addr,
            device_addr=queue.device_addr,
            tables_addr=shape["tables_addr"],
            table_entries=shape["table_entries"],
        )

    def memory(self, address: int, length: int) -> bytes:
        """Bytes of guest memory; LookupError where the range is not inside one region."""
        data = bytearray(length)
        if not self._engine.peek(address, data):
            raise LookupError(f"{length} bytes at 0x{address:x} are not inside one region of memory")
        return bytes(data)

    def close(self) -> None:
        """Ends both sides."""
        engine, self._live = self._live, None
        if engine is not None:
            engine.close()
