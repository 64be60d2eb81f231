"""The way of one buffer through its queue, read back from the events: who did what to it, and when.

A buffer is named by its publication count, so its events are found by comparing counts; the
notification decisions that follow a publication or a flush belong to every buffer it covered.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dataplane.records import EVENT, Kind, Side
from dataplane.snapshot import Array

_KEEP = 1 << 15  #: events; at 48 bytes each, 1.5 MiB


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a buffer's way. `time` is nanoseconds since the epoch, `event` the event's number."""

    kind: Kind
    side: Side
    time: int
    event: int
    words: str


_WORDS = {
    Kind.ADD: "descriptors written",
    Kind.PUBLISH: "made available",
    Kind.KICK: "kick sent",
    Kind.KICK_QUIET: "no kick wanted",
    Kind.NEXT: "taken by the device",
    Kind.COMPLETE: "used element written",
    Kind.FLUSH: "made visible as used",
    Kind.CALL: "call sent",
    Kind.CALL_QUIET: "no call wanted",
    Kind.COLLECT: "collected by the driver",
}
#: What follows what: the notification decision of the side that just published.
_DECISIONS = {Kind.PUBLISH: (Kind.KICK, Kind.KICK_QUIET), Kind.FLUSH: (Kind.CALL, Kind.CALL_QUIET)}


class Journal:
    """The newest events, kept for looking back at one buffer. One writer, many readers."""

    def __init__(self, keep: int = _KEEP) -> None:
        self._keep = keep
        self._parts: deque[Array] = deque()
        self._held = 0
        self._lock = threading.Lock()

    def add(self, rows: Array) -> None:
        """Keep an array of `records.EVENT`; the oldest go when there are too many."""
        if not len(rows):
            return
        with self._lock:
            self._parts.append(rows[-self._keep :])
            self._held += len(self._parts[-1])
            while self._held - len(self._parts[0]) >= self._keep:
                self._held -= len(self._parts.popleft())

    def rows(self) -> Array:
        """Everything kept, oldest first."""
        with self._lock:
            parts = list(self._parts)
        return np.concatenate(parts) if parts else np.zeros(0, EVENT)

    def of(self, queue: int, position: int) -> tuple[Stage, ...]:
        """The stages of the buffer published at `position` of `queue`, in the order they happened."""
        rows = self.rows()
        rows = rows[rows["queue"] == queue]
        if not len(rows):
            return ()
        wanted = np.uint64(position)
        ranged = np.isin(rows["kind"], [Kind.PUBLISH, Kind.FLUSH, Kind.COLLECT])
        counted = np.isin(rows["kind"], [Kind.ADD, Kind.NEXT, Kind.COMPLETE])
        inside = ranged & (rows["old"] <= wanted) & (wanted < rows["new"])
        # Unsigned: a place past the wanted one wraps round to a huge distance.
        inside |= counted & ((wanted - rows["place"]) < np.maximum(rows["count"], 1))
        found: dict[Kind, Stage] = {}
        for at in np.flatnonzero(inside).tolist():
            stage = _stage(rows[at])
            found[stage.kind] = stage
            if stage.kind in _DECISIONS:
                after = np.isin(rows["kind"][at + 1 :], _DECISIONS[stage.kind])
                # A decision belongs to the latest publication before it, so the next one ends the search.
                until = np.flatnonzero(rows["kind"][at + 1 :] == stage.kind)
                hit = np.flatnonzero(after)
                if len(hit) and (not len(until) or hit[0] < until[0]):
                    decision = _stage(rows[at + 1 + int(hit[0])])
                    found.pop(_DECISIONS[stage.kind][0], None)
                    found.pop(_DECISIONS[stage.kind][1], None)
                    found[decision.kind] = decision
        return tuple(sorted(found.values(), key=lambda stage: stage.event))


def _stage(row: np.void) -> Stage:
    kind = Kind(int(row["kind"]))
    return Stage(kind, Side(int(row["side"])), int(row["time"]), int(row["number"]), _WORDS[kind])


def waits(stages: tuple[Stage, ...]) -> list[tuple[Stage, int | None]]:
    """Each stage with the nanoseconds since the one before it; None for the first."""
    if not stages:
        return []
    return [(stages[0], None), *((b, b.time - a.time) for a, b in pairwise(stages))]


def sentence(row: np.void, name: str) -> str:
    """One event of queue `name` in words, for a status line."""
    kind, side = Kind(int(row["kind"])), Side(int(row["side"]))
    who = "driver" if side is Side.DRIVER else "device"
    place, old, new = int(row["place"]), int(row["old"]), int(row["new"])
    slot, count = int(row["slot"]), int(row["count"])
    many = f"{count} buffers from {place}" if count > 1 else f"buffer {place}"
    match kind:
        case Kind.STORE:
            what = f"stores {count} bytes at 0x{place:x}: 0x{old:x} to 0x{new:x}"
        case Kind.ADD:
            what = f"writes {many} into slot {slot}"
        case Kind.PUBLISH:
            what = f"makes {new - old} available: {old} to {new} published"
        case Kind.KICK | Kind.CALL:
            word = "kick" if kind is Kind.KICK else "call"
            what = f"sends a {word}: index {old} to {new}, event value {place}"
        case Kind.KICK_QUIET | Kind.CALL_QUIET:
            word = "kick" if kind is Kind.KICK_QUIET else "call"
            what = f"sends no {word}: none is wanted at index {new}"
        case Kind.NEXT:
            what = f"takes {many}, head {slot}"
        case Kind.COMPLETE:
            what = f"writes {many} into the used {'elements' if count > 1 else 'element'}, id {slot}"
        case Kind.FLUSH:
            what = f"makes {new - old} used visible: {old} to {new}"
        case Kind.COLLECT:
            what = f"collects {new - old}: {old} to {new}"
        case Kind.WAIT:
            what = "goes to sleep"
        case Kind.WAKE:
            what = "wakes"
        case Kind.NOTIFY_ON:
            what = "asks to be notified" + (f" past {place}" if place else "")
        case Kind.NOTIFY_OFF:
            what = "wants no notifications"
        case Kind.BROKEN | Kind.DROP:
            what = f"{'gives the queue up' if kind is Kind.BROKEN else 'drops a frame'}: reason {new}"
        case _:
            what = kind.name.lower().replace("_", " ")
    return f"{who} · {name} · {what}"
