"""The requests of a block device, kept: what `session.frames` is for the frames of a network device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dataplane import blk
from dataplane.blk import Request
from dataplane.source import START, Cursor, RingSource

_EACH = 1024  #: bytes of memory that one request takes, about
_LEAST, _MOST = 1 << 10, 1 << 16
_BATCHES = 64  #: that one reading takes at most
_TOLD = 1000  #: requests told at once, the newest


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the newest requests: half were faster than `half`, 99 of 100 faster than `most`; ns."""

    count: int
    half: int
    most: int


class Requests:
    """Of one source. One thread takes; any may read."""

    def __init__(self, source: RingSource, budget_bytes: int) -> None:
        self._source = source
        self._kept: deque[Request] = deque(maxlen=min(max(budget_bytes // _EACH, _LEAST), _MOST))
        self._bad: deque[Request] = deque(maxlen=_LEAST)  #: kept for longer than the others
        self._cursor: Cursor = START
        self._told = 0  # so many were there when `news` was asked
        self.total = 0
        self.failed = 0  #: with a status that is known and is not OK, or that have no room for one
        self.lost = 0  #: overwritten before they were read

    def take(self) -> int:
        """Keeps what was logged since; how many there were."""
        added = 0
        for _ in range(_BATCHES):
            frames = self._source.frames(self._cursor)
            self._cursor = frames.cursor
            self.lost += frames.lost
            if not len(frames.rows):
                break
            found = blk.requests(frames)
            bad = [one for one in found if is_bad(one)]
            self._bad.extend(bad)
            self.failed += len(bad)
            self._kept.extend(found)
            added += len(found)
        self.total += added
        return added

    def __len__(self) -> int:
        return len(self._kept)

    def newest(self, most: int, until: int | None = None, *, bad: bool = False) -> list[Request]:
        """At most so many, the newest first; `until`: used by then, ns; `bad`: those that failed alone."""
        kept: Iterable[Request] = reversed(tuple(self._bad if bad else self._kept))
        return list(islice((one for one in kept if until is None or one.time <= until), most))

    def find(self, number: int) -> Request | None:
        both: Iterator[Request] = (one for kept in (self._kept, self._bad) for one in tuple(kept))
        return next((one for one in both if one.number == number), None)

    def latencies(self, requests: list[Request]) -> Latencies | None:
        """None of none."""
        sizes = sorted(one.latency for one in requests)
        if not sizes:
            return None
        return Latencies(len(sizes), sizes[len(sizes) // 2], sizes[(len(sizes) * 99) // 100])

    def news(self, capacity: int) -> dict[str, Any]:
        """What came since the last time this was asked, as plain data."""
        fresh, self._told = self.total - self._told, self.total
        shown = self.newest(min(fresh, _TOLD))[::-1]
        return {
            "total": self.total,
            "failed": self.failed,
            "lost": self.lost,
            "left_out": fresh - len(shown),
            "list": [plain(one, capacity) for one in shown],
        }


def is_bad(request: Request) -> bool:
    """Whether it is known to have failed: a status that could not be read in time says nothing."""
    return request.failed and (request.status is not None or not request.sound or not request.writable)


def plain(request: Request, capacity: int = 0) -> dict[str, Any]:
    """One request as plain data; times in ns."""
    return {
        "number": request.number,
        "time": request.time,
        "queue": request.queue,
        "position": request.position,
        "head": request.head,
        "type": request.type,
        "name": request.name,
        "sector": request.sector,
        "bytes": request.length,
        "readable": request.readable,
        "writable": request.writable,
        "used_length": request.used_length,
        "status": request.status,
        "answer": request.answer,
        "latency": request.latency,
        "slack": request.slack,
        "late": request.late,
        "indirect": request.indirect,
        "descriptors": request.descriptors,
        "header": request.header.hex(),
        "data": request.data[:64].hex(),
        "wrong": request.wrong(capacity),
    }
