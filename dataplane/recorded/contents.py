"""A recording's file, read to its last whole block: what is where in it, and loading that on demand.

The bytes of every block are checked once, when they are first seen; events and frames stay in the file and
are read again when a question needs them. They are read, not mapped: a mapped file that somebody cuts kills
whoever looks at it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dataplane.keyframe import Keyframe, own_dtype
from dataplane.past.chunk import CHANGE
from dataplane.recorded.blocks import (
    CUT,
    DAMAGED,
    HEAD,
    DamagedError,
    Found,
    RecordingError,
    Unsound,
    check_head,
    content,
    headers,
    read,
)
from dataplane.recorded.content import (
    CHUNK_HEAD,
    ChunkFacts,
    Counts,
    FramesFacts,
    frames_of,
    read_chunk,
    read_frames,
    read_keyframe,
)
from dataplane.recorded.facts import LIMIT, Json, identity_of, plain, snapshot_of, unpack, whole
from dataplane.records import EVENT
from dataplane.snapshot import Array, Identity, Snapshot
from dataplane.source import Frames

_LARGE = 8 << 20  #: bytes not read yet that are worth more than one thread
_AHEAD = 16  #: blocks that are read ahead
_LOADED = 64 << 20  #: bytes of events that are kept once they were read
TAG_HEAD, TAG_CHUNK, TAG_FRAMES, TAG_KEYFRAME = b"HEAD", b"CHNK", b"FRAM", b"KEYF"
TAG_STATE, TAG_END = b"STAT", b"ENDS"


def own_layout() -> Json:
    """The names of the private words that a keyframe holds, in their order."""
    image = own_dtype(1)
    return {
        "driver": list(image["driver"].names or ()),
        "device": list(image["device"].names or ()),
        "ids": list(image["ids"].base.names or ()),
    }


class Loader:
    """Reads parts of a file and remembers the newest of them, up to a budget. Any thread."""

    def __init__(self, fd: int, budget: int = _LOADED) -> None:
        self._fd = fd
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Array] = OrderedDict()
        self._size = 0

    def array(self, offset: int, count: int, dtype: np.dtype[Any]) -> Array:
        """`count` rows that stand at `offset`, read-only. LookupError where the file was cut."""
        with self._lock:
            kept = self._kept.get(offset)
            if kept is not None:
                self._kept.move_to_end(offset)
                return kept
            made: Array = np.frombuffer(read(self._fd, offset, count * dtype.itemsize), dtype)
            self._kept[offset] = made
            self._size += made.nbytes
            while self._size > self._budget and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._size -= old.nbytes
            return made


@dataclass(frozen=True, slots=True, eq=False)
class StoredChunk:
    """A chunk of events in a file, as `chunk.Chunk`: its rows and its effect are read when asked for."""

    facts: ChunkFacts
    offset: int
    loader: Loader

    @property
    def first(self) -> int:
        return self.facts.first

    @property
    def last(self) -> int:
        return self.facts.last

    @property
    def first_time(self) -> int:
        return self.facts.first_time

    @property
    def last_time(self) -> int:
        return self.facts.last_time

    @property
    def count(self) -> int:
        return self.facts.rows

    @property
    def kinds(self) -> Counts:
        """How many rows it has of each kind of event."""
        return self.facts.counts

    @property
    def rows(self) -> Array:
        return self.loader.array(self.offset + CHUNK_HEAD.size, self.facts.rows, EVENT)

    @property
    def effect(self) -> Array:
        at = self.offset + CHUNK_HEAD.size + self.facts.rows * EVENT.itemsize
        return self.loader.array(at, self.facts.effects, CHANGE)


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrames:
    """A block of frames in a file."""

    facts: FramesFacts
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a recording says of itself in its first block."""

    program: str
    began: int  #: ns since the epoch
    kind: str  #: of the source: "pair", ...
    identity: Identity


@dataclass(slots=True)
class News:
    """What a reading found that was not there before."""

    chunks: list[StoredChunk]
    frames: list[StoredFrames]
    keyframes: list[Keyframe]
    state: Snapshot | None = None


class Contents:
    """The file at a path, open. RecordingError or OSError where it cannot be."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):
                raise RecordingError("it is no file")
            check_head(self._fd, status.st_size)
            self._loader = Loader(self._fd)
            self._at, self._ordinal = HEAD.size, 0  # of the first block that was not read yet
            self._why = ""
            self._beginning: Beginning | None = None
            self._last = -1  # number of the last event
            self._last_frame = -1
            self._stuck = False
            self._told = b""  # the newest state of the device, not read yet
            self._untold = ""
            self.finished = False
            self.written = self._is_written()  #: somebody writes it now
            self._early = self._read()
            if self._beginning is None:
                raise DamagedError(f"it is {self._why} from the start" if self._why else "it is empty")
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def beginning(self) -> Beginning:
        assert self._beginning is not None
        return self._beginning

    @property
    def size(self) -> int:
        """Bytes of the file that are whole blocks."""
        return self._at

    @property
    def why(self) -> str:
        """What is wrong with the end of the file, in one line; "" where nothing is."""
        if self._why and not self.written:
            size = os.fstat(self._fd).st_size
            where = f"at byte {self._at:,} of {size:,}"
            return f"the file is {self._why} {where}: what comes before is shown"
        if not self.finished and not self.written:
            return "the recording was not ended: what was written is shown"
        return self._untold

    def news(self) -> News:
        """What the file has more than at the last call; the first time all of it."""
        early, self._early = self._early, News([], [], [])
        if early.chunks or early.frames or early.keyframes or not self.written:
            return early
        self.written = self._is_written()  # asked before reading: what is there then is all
        return self._read()

    def frames(self, stored: StoredFrames) -> Frames:
        """The frames of a block. LookupError where the file was cut."""
        return frames_of(read(self._fd, stored.offset, stored.length))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_written(self) -> bool:
        """Whether a writer holds the file: it keeps a lock on it as long as it lives."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def _read(self) -> News:
        """All blocks from here on, to the first that is not whole."""
        news = News([], [], [])
        if self._stuck or self.finished:
            return news
        self._why = ""
        try:
            for found, told in self._examined():
                self._take(found, told, news)
                self._at, self._ordinal = found.end, found.ordinal + 1
        except Unsound as error:
            self._why, self._stuck = f"{DAMAGED} ({error})", True
        except LookupError:
            self._why = CUT
        if self._told:
            try:
                news.state = replace(snapshot_of(unpack(self._told)), identity=self.beginning.identity)
            except Unsound as error:
                self._untold = f"how the device stood at its end cannot be read ({error})"
            self._told = b""
        return news

    def _examined(self) -> Iterator[tuple[Found, object]]:
        """Each block with what it tells. What is wrong with one is raised when its turn comes.

        Of a large file some are read ahead, on every processor.
        """
        large = os.fstat(self._fd).st_size - self._at >= _LARGE
        pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) if large else None
        ahead: deque[tuple[Found, Callable[[], object]]] = deque()
        local = threading.local()

        def examine(found: Found) -> object:
            if not hasattr(local, "buffer"):
                local.buffer = bytearray()
            return _told(self._fd, found, local.buffer)

        try:
            for found in headers(self._fd, self._at, self._ordinal):
                if isinstance(found, str):
                    self._why = found
                    self._stuck = found == DAMAGED
                    break
                ahead.append((found, pool.submit(examine, found).result if pool else partial(examine, found)))
                if len(ahead) > (_AHEAD if pool else 0):
                    first, wait = ahead.popleft()
                    yield first, wait()
            while ahead:
                first, wait = ahead.popleft()
                yield first, wait()
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def _take(self, found: Found, told: object, news: News) -> None:
        if (self._beginning is None) != (found.tag == TAG_HEAD):
            raise Unsound("it has no beginning" if self._beginning is None else "it has two beginnings")
        if self.finished:
            raise Unsound("something follows its end")
        match told:
            case Beginning():
                self._beginning = told
            case ChunkFacts():
                if told.first <= self._last:
                    raise Unsound("the numbers of events do not go up")
                self._last = told.last
                news.chunks.append(StoredChunk(told, found.offset, self._loader))
            case FramesFacts():
                if told.first <= self._last_frame:
                    raise Unsound("the numbers of frames do not go up")
                self._last_frame = told.last
                news.frames.append(StoredFrames(told, found.offset, found.length))
            case Keyframe():
                base = replace(told.base, identity=self.beginning.identity)
                news.keyframes.append(replace(told, base=base))
            case bytes():
                self._told = told  # only the last state is of interest
            case _:
                self.finished = found.tag == TAG_END


def _told(fd: int, found: Found, buffer: bytearray) -> object:
    """What a block tells, by its kind; None where it may be passed over. Unsound."""
    data = content(fd, found, buffer)
    match found.tag:
        case b"HEAD":
            return _beginning(unpack(data))
        case b"CHNK":
            return read_chunk(data)
        case b"FRAM":
            return read_frames(data)
        case b"KEYF":
            return read_keyframe(data)
        case b"STAT":
            if len(data) > LIMIT:
                raise Unsound("its facts are too long")
            return bytes(data)
    if found.tag == TAG_END or found.tag[:1].islower():
        return None
    raise Unsound("a block of a kind that is not known here: it needs a newer ringscope")


def _beginning(facts: Json) -> Beginning:
    if facts.get("own") != own_layout():
        raise RecordingError(
            "it was written by another version of ringscope, which keeps other private words"
        )
    identity = identity_of(facts.get("identity"))
    return Beginning(
        program=plain(str(facts.get("program", ""))),
        began=whole(facts.get("began"), "the time it began", 0, (1 << 63) - 1),
        kind=identity.kind,
        identity=replace(identity, kind="recording"),
    )
