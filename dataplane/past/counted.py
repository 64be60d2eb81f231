"""A queue at a moment where stores were not journaled: how far each side was, from operations alone.

Every operation says what it moved, so counts, ring indices and notification decisions are known at any
moment; what stood in the rings is not, and the row arrays are empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dataplane.keyframe import QueueShape
from dataplane.past.reel import Reel
from dataplane.past.tally import Count, Sort, Tally, tally
from dataplane.records import Kind, Reason
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, Notify, PackedQueue, Snapshot, SplitQueue

_MOVES = (Sort.ADDED, Sort.SEEN, Sort.COMPLETED)  #: their rows tell place and count, the others old and new
_U64 = (1 << 64) - 1
_SPLIT_AREAS = {
    Sort.DRIVER_NOTIFY: ("used_event", "avail_flags"),
    Sort.DEVICE_NOTIFY: ("avail_event", "used_flags"),
}
_PACKED_AREAS = {
    Sort.DRIVER_NOTIFY: ("driver_off_wrap", "driver_flags"),
    Sort.DEVICE_NOTIFY: ("device_off_wrap", "device_flags"),
}


@dataclass(frozen=True, slots=True)
class Base:
    """What a keyframe tells of the device beside its image: `snapshot` is one without rows."""

    number: int
    snapshot: Snapshot
    shapes: tuple[QueueShape, ...]


@dataclass(frozen=True)
class Account:
    """What operations tell of the moment after event `number`; `base` is what is known of one near it."""

    reel: Reel
    number: int
    base: Base

    @cached_property
    def _at(self) -> int:
        return self.reel.index(self.number)

    @cached_property
    def _run(self) -> tuple[int, int]:
        """Positions of the pieces around the moment between two gaps."""
        return next(run for run in self.reel.runs if run[0] <= self._at <= run[1])

    @cached_property
    def _before(self) -> Tally:
        piece = self.reel.pieces[self._at]
        return tally(piece.rows[: piece.upto(self.number)])

    @cached_property
    def _behind(self) -> Tally:
        piece = self.reel.pieces[self._at]
        return tally(piece.rows[piece.upto(self.number) :])

    def latest(self, queue: int, sort: Sort, since: int = 0) -> np.void | None:
        """The last event of a sort up to the moment, in the pieces from position `since` on."""
        row = self._before.last.get((queue, sort))
        at = self._at
        while row is None and at > since:
            at -= 1
            row = self.reel.pieces[at].tally.last.get((queue, sort))
        return row

    def next(self, queue: int, sort: Sort) -> np.void | None:
        """The first event of a sort behind the moment, before something is missing."""
        row = self._behind.first.get((queue, sort))
        for at in range(self._at + 1, self._run[1] + 1):
            if row is not None:
                break
            row = self.reel.pieces[at].tally.first.get((queue, sort))
        return row

    def count(self, queue: int, sort: Sort, known: int) -> int:
        """How many buffers had come so far; `known` of them at the base."""
        begin = self.reel.since(self.number, self._run[0])
        found = self._found(queue, sort, known, self._run[0])
        if found is not None and found[0] >= begin - 1:
            return found[1]
        row = self.next(queue, sort)
        if row is not None and not self.number < self.base.number < int(row["number"]):
            return int(row["place"] if sort in _MOVES else row["old"])
        if self.base.number > self.number:
            return known
        found = self._found(queue, sort, known, 0)
        return found[1] if found is not None else known

    def _found(self, queue: int, sort: Sort, known: int, since: int) -> tuple[int, int] | None:
        """(number of the event that told it, the count), the newest up to the moment."""
        found = []
        if self.base.number <= self.number:
            found.append((self.base.number, known))
        row = self.latest(queue, sort, since)
        if row is not None:
            behind = int(row["place"]) + int(row["count"]) if sort in _MOVES else int(row["new"])
            found.append((int(row["number"]), behind & _U64))
        reset = self.latest(queue, Sort.RESET, since)
        if reset is not None:
            found.append((int(reset["number"]), 0))
        return max(found, default=None)

    def told(self, queue: int, sort: Sort) -> np.void | None:
        """The last event of a sort that the base does not know of yet."""
        row = self.latest(queue, sort)
        return row if row is not None and int(row["number"]) > self.base.number else None

    @cached_property
    def _counts(self) -> dict[tuple[int, int], int]:
        """Of each `Count` how many events lie between base and moment; below 0 where the base is later."""
        low, high = sorted((self.base.number, self.number))
        sign = 1 if self.base.number <= self.number else -1
        made: dict[tuple[int, int], int] = {}
        pieces = self.reel.pieces[max(self.reel.before(low + 1) - 1, 0) : self.reel.before(high)]
        for piece in pieces:
            whole = low < piece.first and piece.last <= high
            part = piece.tally if whole else tally(piece.rows[piece.upto(low) : piece.upto(high)])
            for key, count in part.counts.items():
                made[key] = made.get(key, 0) + sign * count
        return made

    @cached_property
    def whole(self) -> bool:
        """Whether every event between base and moment is kept."""
        low, high = sorted((self.base.number, self.number))
        return low + 1 >= self.reel.first and not any(low <= gap < high for gap in self.reel.gaps)

    def events(self, queue: int, count: Count) -> int:
        return self._counts.get((queue, count), 0)


def queue(account: Account, known: AnyQueue, shape: QueueShape, time: int) -> AnyQueue:
    """The queue at the moment of the account; `known` is the base's, without rows.

    What no operation tells (frames and bytes, and of a packed ring the slots reached) stays as it was known;
    of descriptors a buffer holds at least one, and is taken to hold no more.
    """
    driver, device = known.driver, known.device
    if driver is None or device is None:
        return known

    def count(sort: Sort, base: int) -> int:
        return account.count(known.index, sort, base)

    added = count(Sort.ADDED, driver.published + driver.added)
    published, collected = count(Sort.PUBLISHED, driver.published), count(Sort.COLLECTED, driver.collected)
    completed = count(Sort.COMPLETED, device.used + device.unflushed)
    seen, used = count(Sort.SEEN, device.seen), count(Sort.USED, device.used)
    moved = published, seen, used, collected

    def index(reached: int) -> int:
        return (shape.start_index + reached) & 0xFFFF

    driver = replace(
        driver,
        published=published,
        collected=collected,
        free=min(max(known.size - (added - collected), 0), known.size),
        in_flight=max(published - collected, 0),
        added=max(added - published, 0),
        **_driver(account, known.index, driver),
    )
    device = replace(
        device,
        seen=seen,
        used=used,
        holding=max(seen - completed, 0),
        unflushed=max(completed - used, 0),
        **_device(account, known.index, device),
    )
    areas = _areas(account, known, shape)
    if isinstance(known, SplitQueue):
        driver = replace(driver, avail_idx=index(added), last_used=index(collected))
        device = replace(device, last_avail=index(seen), used_idx=index(completed))
        areas |= {"avail_idx": index(published), "used_idx": index(used)}
    else:
        driver = replace(driver, avail_idx=driver.kick.new & 0xFFFF)
        device = replace(device, used_idx=device.call.new & 0xFFFF)
    told: dict[str, Any] = {
        "driver": driver,
        "device": device,
        "before": moved,
        "after": moved,
        "exact": False,
    }
    return replace(known, time=time, duration=0, **told, **areas)


def _driver(account: Account, queue: int, known: DriverState) -> dict[str, Any]:
    sent, quiet = account.events(queue, Count.KICKS), account.events(queue, Count.KICKS_QUIET)
    return {
        "drops": max(known.drops + account.events(queue, Count.DRIVER_DROPS), 0),
        "kick": _decided(known.kick, account.told(queue, Sort.KICK), Kind.KICK, sent, quiet, account.whole),
        "broken": _broken(account, queue, Sort.DRIVER_BROKEN, known.broken),
        "asleep": _asleep(account, Sort.DRIVER_SLEEP, known.asleep),
    }


def _device(account: Account, queue: int, known: DeviceState) -> dict[str, Any]:
    sent, quiet = account.events(queue, Count.CALLS), account.events(queue, Count.CALLS_QUIET)
    return {
        "drops": max(known.drops + account.events(queue, Count.DEVICE_DROPS), 0),
        "call": _decided(known.call, account.told(queue, Sort.CALL), Kind.CALL, sent, quiet, account.whole),
        "broken": _broken(account, queue, Sort.DEVICE_BROKEN, known.broken),
        "asleep": _asleep(account, Sort.DEVICE_SLEEP, known.asleep),
    }


def _decided(known: Notify, row: np.void | None, sent_by: Kind, sent: int, quiet: int, whole: bool) -> Notify:
    made = replace(
        known,
        sent=max(known.sent + sent, 0),
        quiet=max(known.quiet + quiet, 0),
        counted=whole and known.counted,
    )
    if row is None:
        return made
    answer: Any = "sent" if int(row["kind"]) == sent_by else "quiet"
    return replace(made, answer=answer, event=int(row["place"]), old=int(row["old"]), new=int(row["new"]))


def _broken(account: Account, queue: int, sort: Sort, known: Reason) -> Reason:
    row, reset = account.told(queue, sort), account.told(queue, Sort.RESET)
    if reset is not None and (row is None or int(row["number"]) < int(reset["number"])):
        return Reason.NONE
    if row is None:
        return known
    return Reason(int(row["new"])) if int(row["new"]) <= max(Reason) else Reason.NONE


def _asleep(account: Account, sort: Sort, known: bool) -> bool:
    row = account.told(0, sort)
    return known if row is None else int(row["kind"]) == Kind.WAIT


def _areas(account: Account, known: AnyQueue, shape: QueueShape) -> dict[str, Any]:
    """What each side last wrote for the other about notifications (2.7.7, 2.7.10, 2.8.14)."""
    made: dict[str, Any] = {}
    packed = isinstance(known, PackedQueue)
    for sort, (event, flags) in (_PACKED_AREAS if packed else _SPLIT_AREAS).items():
        row = account.told(known.index, sort)
        if row is None:
            continue
        on = int(row["kind"]) == Kind.NOTIFY_ON and shape.event_idx
        if on:
            made[event] = int(row["place"]) & 0xFFFF
        if packed or not on:
            made[flags] = int(row["new"]) & 0xFFFF
    return made
