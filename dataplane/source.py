"""RingSource and Control: what every view reads.

Reading is pull with cursors. A cursor is an opaque tuple; `START` asks for everything still kept.
Any number of readers keep cursors of their own and never disturb each other or the rings; what was
overwritten before a reader came shows as `lost`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from dataplane.breaks import BreakRule, BreakState
from dataplane.keyframe import Keyframe
from dataplane.records import Side
from dataplane.snapshot import Array, Identity, Snapshot

Cursor = tuple[int, ...]
START: Cursor = (0, 0)

Unit = Literal["store", "operation", "turn"]
TraceLevel = Literal["off", "operations", "stores"]


@dataclass(frozen=True, slots=True)
class Events:
    """Events in the order of their numbers: an array of `records.EVENT`."""

    rows: Array
    cursor: Cursor
    lost: int


@dataclass(frozen=True, slots=True)
class Frames:
    """Logged frames: `rows` of `records.FRAME`, and their captured bytes end to end in `data`, read-only.

    Frame i is `data[offsets[i] : offsets[i] + rows["captured"][i]]`.
    """

    rows: Array
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]]
    data: bytes | memoryview
    cursor: Cursor
    lost: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step did: the units it really took, and why it took no more ("" if it took all)."""

    taken: int
    why: str


class Control(Protocol):
    """The sides that are ours, driven. Errors: RuntimeError with one line once the source is closed."""

    @property
    def frozen(self) -> bool: ...
    def freeze(self) -> None: ...
    def run(self) -> None: ...
    def set_breaks(self, rules: Iterable[BreakRule]) -> None: ...
    def breaks_hit(self) -> tuple[BreakState, ...]: ...
    def step(self, side: Side, unit: Unit = "operation", count: int = 1) -> Stepped: ...
    def trace(self, level: TraceLevel) -> None: ...
    def log_frames(self, on: bool, sample: int = 1, program: bytes | None = None) -> None:
        """Logs frames or only counts them; of those that match `program` (classic BPF) one in `sample`.

        ValueError with one line where the program is not sound.
        """

    def set_rate(self, per_second: float | None) -> None:
        """Frames a second asked of the traffic; None: its own pace, or as fast as it goes."""

    @property
    def rate(self) -> float | None: ...
    def reset_queue(self, queue: int) -> None: ...


@runtime_checkable
class FramesLogged(Protocol):
    """A source that logs what we ask for of the frames that cross it."""

    def log_frames(self, on: bool, sample: int = 1, program: bytes | None = None) -> None:
        """As `Control.log_frames`."""


class Probe(Protocol):
    """One spurious notification, which the spec lets every side tolerate (2.7.7, 2.8.10)."""

    def kick(self, queue: int) -> None: ...
    def call(self, queue: int) -> None: ...


@runtime_checkable
class RingSource(Protocol):
    """A device whose rings can be read."""

    @property
    def identity(self) -> Identity: ...
    @property
    def control(self) -> Control | None: ...
    @property
    def probe(self) -> Probe | None: ...
    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        """Every queue; `whole` names those whose rows are copied, None: all.

        Of the others only the counters and areas' indices are read, and their row arrays are empty.
        """
        ...

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        """At most `most` rows of each side, the newest; None: what a screen needs. Older ones are lost."""
        ...

    def frames(self, since: Cursor = START) -> Frames: ...
    def keyframe(self, after: int = 0) -> Keyframe | None:
        """The exact image now, where both sides rest; else the newest one taken earlier of event `after` or
        later. None: there is none."""
        ...

    def memory(self, address: int, length: int) -> bytes:
        """Bytes of guest memory; LookupError where the range is not inside one region."""
        ...

    def close(self) -> None: ...
