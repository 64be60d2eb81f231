"""Rings without a device type, moved by hand: buffers of an exact shape, one verb at a time.

    with Bare(layout="packed", size=4) as rings:
        at = rings.place(b"hello")
        rings.add([Piece(at, 5)])
        rings.publish()
        taken = rings.next()

No thread moves them: between two verbs everything rests, and every snapshot is exact. The verbs are the
engine's own (`engine/ring.h`): what they write, and when they notify, is what a pair's sides do. A `Bare` is
a `RingSource`; one thread at a time may move it, any number may read it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.reading import LEVELS, Reading
from dataplane.records import Reason, Side
from dataplane.snapshot import AnyQueue, Identity, Logs, NetConfig, Snapshot

RINGS_MAX = 16
BURST = 32  #: buffers completed by one call
_KNOWN = {f.F_EVENT_IDX: "event_idx", f.F_INDIRECT_DESC: "indirect_desc", f.F_IN_ORDER: "in_order"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of a buffer, in guest memory. `writable`: the device writes it (2.7.4)."""

    address: int
    length: int
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A buffer that the device has taken: `position` its publication count, `slots` of the ring it holds."""

    position: int
    id: int
    head: int
    slots: int
    descriptors: int
    indirect: bool
    reason: Reason
    pieces: tuple[Piece, ...]

    @property
    def writable(self) -> int:
        """Bytes that the device may write."""
        return sum(piece.length for piece in self.pieces if piece.writable)

    def done(self, length: int = 0) -> Done:
        """This buffer with `length` bytes written."""
        return Done(self.id, length, self.slots, any(piece.writable for piece in self.pieces))


@dataclass(frozen=True, slots=True)
class Done:
    """A buffer that the device completes: `length` bytes were written into it."""

    id: int
    length: int
    slots: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """A used buffer back at the driver: `token` is its number among all that were added to the ring."""

    token: int
    length: int
    position: int
    head: int


def feature_set(changes: str | Iterable[str], packed: bool) -> int:
    """EVENT_IDX and INDIRECT_DESC unless told otherwise; ValueError names what rings alone cannot have."""
    words = changes.split(",") if isinstance(changes, str) else list(changes)
    wanted = f.mask(f.F_VERSION_1, f.F_EVENT_IDX, f.F_INDIRECT_DESC, *([f.F_RING_PACKED] if packed else []))
    for word in (w.strip() for w in words):
        if not word:
            continue
        bit = f.bit_of(word.lstrip("+-"))
        if bit not in _KNOWN:
            raise ValueError(f"{word.lstrip('+-')}: bare rings know {', '.join(_KNOWN.values())}")
        wanted = wanted & ~f.mask(bit) if word.startswith("-") else wanted | f.mask(bit)
    return wanted


class Bare(Reading):
    """See the module. `features` are changes to event_idx and indirect_desc; `scratch` bytes hold payload.

    Every store is journaled. ValueError with one line for what cannot be set up.
    """

    control: None = None
    probe: None = None

    def __init__(
        self,
        *,
        layout: Literal["split", "packed"] = "split",
        size: int = 8,
        features: str | Iterable[str] = (),
        start_index: int = 0,
        start_wrap: int = 1,
        rings: int = 1,
        scratch: int = 1 << 18,
        name: str = "ring",
    ) -> None:
        packed = layout == "packed"
        if not 1 <= size <= QUEUE_SIZE_MAX:
            raise ValueError(f"ring size {size} is out of range: 1 to {QUEUE_SIZE_MAX}")
        if not packed and size & (size - 1):
            raise ValueError(f"ring size {size} is not a power of two, which a split queue needs (2.7)")
        if not 1 <= rings <= RINGS_MAX:
            raise ValueError(f"{rings} rings are out of range: 1 to {RINGS_MAX}")
        if not 0 <= start_index <= 0xFFFF or start_wrap not in (0, 1):
            raise ValueError("the start index is 0 to 65535, the start wrap 0 or 1")
        if packed and start_index >= size:
            raise ValueError(f"a packed ring of {size} slots starts at slot 0 to {size - 1}")
        wanted = feature_set(features, packed)
        engine = Engine(
            bare=True,
            packed=packed,
            size=size,
            queues=rings,
            offered=wanted,
            scratch=scratch,
            frame_bytes=64,
            start_index=start_index,
            start_wrap=start_wrap,
        )
        super().__init__(engine, name)
        self._identity = Identity(name, "bare", 0, wanted, wanted, packed)
        status = f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER
        engine.write_status(f.STATUS_ACKNOWLEDGE)
        engine.write_status(status)
        engine.write_features(wanted, False)
        engine.write_status(status | f.STATUS_FEATURES_OK)
        engine.setup()
        engine.write_status(status | f.STATUS_FEATURES_OK | f.STATUS_DRIVER_OK)
        engine.trace(LEVELS.index("stores"))
        self._rings = rings
        self._scratch, self._room, self._at = int(engine.info()["scratch"]), scratch, 0
        self._tokens = [0] * rings
        self.keyframe()  # the moment from which everything is journaled

    # ---- the driver -------------------------------------------------------------------------------------

    def place(self, data: bytes | int) -> int:
        """Puts bytes (or so many zeros) into payload memory, round and round; their address."""
        data = bytes(data)
        if len(data) > self._room:
            raise ValueError(f"{len(data)} bytes do not fit the {self._room} bytes for payload")
        if self._at + len(data) > self._room:
            self._at = 0
        address = self._scratch + self._at
        self._at = (self._at + len(data) + 15) & ~15
        self.write(address, data)
        return address

    def add(self, pieces: Sequence[Piece], table: bool = False, ring: int = 0) -> int | None:
        """One buffer, through an indirect table with `table`; its head (split) or id (packed).

        None where there is no room for it now; ValueError where it can never fit.
        """
        wire = b"".join(struct.pack("<QII", p.address, p.length, p.writable) for p in pieces)
        with self._still:
            head = self._engine.add(ring, wire, table, self._tokens[ring])
        if head < 0:
            return None
        self._tokens[ring] += 1
        return head

    def publish(self, ring: int = 0) -> None:
        """What was added becomes available."""
        self._verb(ring, "publish")

    def kick_needed(self, ring: int = 0) -> bool:
        """Decides whether the device wants to be told, and kicks it then."""
        return bool(self._verb(ring, "kick_needed"))

    def calls_on(self, ring: int = 0) -> bool:
        """Asks for calls; True where something was used meanwhile."""
        return bool(self._verb(ring, "calls_on"))

    def calls_off(self, ring: int = 0) -> None:
        self._verb(ring, "calls_off")

    def collect(self, ring: int = 0) -> Returned | None:
        """The next used buffer, None where there is none."""
        with self._still:
            back = self._engine.collect(ring)
        return Returned(*back) if back else None

    # ---- the device -------------------------------------------------------------------------------------

    def next(self, ring: int = 0) -> Taken | None:
        """Takes the next available buffer; None where there is none, or the device has given the ring up."""
        with self._still:
            got = self._engine.next(ring)
        if got is None:
            return None
        position, id, head, slots, descriptors, indirect, reason, wire = got
        pieces = tuple(Piece(a, n, bool(w)) for a, n, w in struct.iter_unpack("<QII", wire))
        return Taken(position, id, head, slots, descriptors, bool(indirect), Reason(reason), pieces)

    def complete(self, done: Sequence[Done], batch: bool = False, ring: int = 0) -> None:
        """Writes used elements, at most 32; `batch`: one for all, which IN_ORDER allows (2.7.9, 2.8.9)."""
        wire = b"".join(struct.pack("<IHHI", d.length, d.id, d.slots, d.writable) for d in done)
        with self._still:
            self._engine.complete(ring, wire, batch)

    def flush(self, ring: int = 0) -> None:
        """What was completed becomes visible to the driver."""
        self._verb(ring, "flush")

    def call_needed(self, ring: int = 0) -> bool:
        """Decides whether the driver wants to be told, and calls it then."""
        return bool(self._verb(ring, "call_needed"))

    def kicks_on(self, ring: int = 0) -> bool:
        """Asks for kicks; True where something became available meanwhile."""
        return bool(self._verb(ring, "kicks_on"))

    def kicks_off(self, ring: int = 0) -> None:
        self._verb(ring, "kicks_off")

    def _verb(self, ring: int, name: str) -> bool | None:
        with self._still:
            return self._engine.verb(ring, name)

    # ---- reading ----------------------------------------------------------------------------------------

    def write(self, address: int, data: bytes, side: Side = Side.DRIVER) -> None:
        """Writes guest memory past the verbs, as a side would; LookupError outside of memory.

        What meets ring memory is journaled as stores of that side.
        """
        with self._still:
            written = self._engine.poke(address, data, int(side))
        if not written:
            raise LookupError(f"{len(data)} bytes at 0x{address:x} are not inside one region of memory")

    @property
    def identity(self) -> Identity:
        return self._identity

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        with self._still:  # between two verbs, so that it is exact
            info = self.info()
            queues = tuple(self._queue(i, whole is None or i in whole) for i in range(self._rings))
        return Snapshot(
            identity=self._identity,
            state="frozen",
            status=info["status"],
            config=NetConfig(bytes(6), 0, 0, 0),
            config_generation=info["config_generation"],
            queue_pairs=0,
            number=info["number"] - 1,
            time=info["time"],
            logs=Logs(LEVELS[info["trace_level"]], info["number"] - 1, False, 1, 0, 0, 0),
            queues=queues,
        )

    def _queue(self, index: int, rows: bool) -> AnyQueue:
        return replace(decode.queue(self.queue_bytes(index, rows), rows), name=f"ring{index}")

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
