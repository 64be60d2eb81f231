"""Writes what happens to a source into a recording, on a thread of its own.

The recorder is one more reader with cursors: it never disturbs the rings, and what it is too slow for is
counted and stands as a gap in the file. Whole blocks reach the file within a second. A disk that is full
ends the recording, not what is recorded.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from dataplane.keyframe import Keyframe
from dataplane.past.chunk import CHUNK, Chunk, cut, make_chunk
from dataplane.past.order import Order
from dataplane.recorded.blocks import MAGIC, BlockWriter, RecordingError
from dataplane.recorded.content import chunk_pieces, frames_pieces, keyframe_pieces
from dataplane.recorded.contents import (
    TAG_CHUNK,
    TAG_END,
    TAG_FRAMES,
    TAG_HEAD,
    TAG_KEYFRAME,
    TAG_STATE,
    own_layout,
)
from dataplane.recorded.facts import encode, pack, snapshot_facts
from dataplane.records import Kind
from dataplane.snapshot import Array, Identity, Snapshot
from dataplane.source import START, Cursor, Frames, RingSource

_BEAT = 0.02  #: seconds between two readings
_FLUSH = 1.0  #: seconds that anything waits for its block
_EVENTS = 1 << 16  #: asked of each side at a reading: all that its log holds
_LAST = 8  #: readings at most that a source which does not rest is given at the end
_BATCHES = 8  #: batches of frames that one reading takes at most
_FRAME_BYTES = 4 << 20  #: of frames, after which they are written at once
_KEYFRAME_ROWS = 1 << 21  #: rows after which a keyframe is worth its place
_ANEW = (Kind.FREEZE, Kind.RUN, Kind.LEVEL, Kind.QUEUE_RESET)  #: after which a keyframe may be needed


def create(path: str | os.PathLike[str]) -> int:
    """A new, empty file that only its owner may read, locked as long as it is open; its descriptor.

    A recording that was there is replaced, and whoever reads it keeps it. RecordingError where something else
    stands there, or where somebody writes it now; OSError.
    """
    try:
        old = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        pass
    else:
        try:
            _replaceable(old)
        finally:
            os.close(old)
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # a reader that looks whether it is held lets go at once
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            os.close(fd)
            raise
    return fd


def _replaceable(fd: int) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise RecordingError("it is no file")
    if status.st_size and os.pread(fd, len(MAGIC), 0) != MAGIC:
        raise RecordingError("it is there already and is no recording: choose another name")
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError("it is being written by another ringscope: choose another name") from None
    except OSError:
        return


class Output:
    """A recording being written, block by block; every call raises OSError where the file takes no more."""

    def __init__(self, path: str | os.PathLike[str], identity: Identity, program: str = "ringscope") -> None:
        self._path = os.path.realpath(path)  # a link goes on leading to the recording
        self._fd = create(self._path)
        try:
            self._blocks = BlockWriter(self._fd)
            facts = {
                "program": program,
                "began": time.time_ns(),
                "identity": encode(identity),
                "own": own_layout(),
            }
            self._blocks.put(TAG_HEAD, [pack(facts)])
        except BaseException:
            self.discard()
            raise

    @property
    def size(self) -> int:
        return self._blocks.size

    def chunk(self, chunk: Chunk) -> None:
        self._blocks.put(TAG_CHUNK, chunk_pieces(chunk))

    def frames(self, batches: Sequence[Frames], lost: int) -> None:
        self._blocks.put(TAG_FRAMES, frames_pieces(batches, lost))

    def keyframe(self, keyframe: Keyframe) -> None:
        self._blocks.put(TAG_KEYFRAME, keyframe_pieces(keyframe))

    def state(self, snapshot: Snapshot) -> None:
        self._blocks.put(TAG_STATE, [pack(snapshot_facts(snapshot))])

    def end(self, facts: dict[str, int]) -> None:
        self._blocks.put(TAG_END, [pack(dict(facts))])

    def discard(self) -> None:
        """Close it and leave nothing behind."""
        self.close()
        os.unlink(self._path)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Recorder:
    """Records `source` into a new file at `path` from now on, until `close`. RecordingError or OSError.

    `size` are the bytes of the file; `failed` says in one line why it takes no more, "" while all is well.
    """

    def __init__(
        self, source: RingSource, path: str | os.PathLike[str], *, program: str = "ringscope"
    ) -> None:
        self.path = Path(path)
        self.failed = ""
        self.events = 0  #: written
        self.events_lost = 0  #: rows overwritten before they were read
        self.frames = 0
        self.frames_lost = 0
        self.keyframes = 0
        self._source = source
        self._output = Output(path, source.identity, program)
        self._order = Order()
        self._logged: Cursor = START
        self._told: Cursor = START
        self._rows: list[Array] = []  # whole, in order, without a gap; not written yet
        self._held = 0
        self._frames: list[Frames] = []
        self._frame_bytes = 0
        self._owed = 0  # frames lost that no block tells of yet
        self._keyframe = -1  # number of the one written last
        self._wanted = True  # a keyframe
        self._since = 0  # rows since the last keyframe
        self._known: object = None  # of the state written last
        self._flushed = 0.0
        self._stop = threading.Event()
        try:
            self._put_keyframe()  # before the source goes on and takes a later one
        except BaseException:
            self._output.discard()
            raise
        self._thread = threading.Thread(target=self._run, name="ringscope-recorder", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        return self._output.size

    def close(self) -> None:
        """Read once more what there is, end the file. Harmless when repeated."""
        self._stop.set()
        self._thread.join()
        self._output.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._flushed = time.monotonic()
            while not self._stop.wait(_BEAT):
                self._read()
                if time.monotonic() - self._flushed >= _FLUSH:
                    self._flush()
            for _ in range(_LAST):
                if not self._read():
                    break
            self._flush()
            self._output.end(
                {
                    "events": self.events,
                    "events_lost": self.events_lost,
                    "frames": self.frames,
                    "frames_lost": self.frames_lost,
                }
            )
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            self.failed = f"the {'disk is full' if full else 'file takes no more'}: {error.strerror}"
        except RuntimeError as error:  # the source was closed before its recorder
            self.failed = str(error)
        except Exception as error:  # said where the recording is shown, never in the middle of a screen
            self.failed = f"{type(error).__name__}: {error}"

    def _read(self) -> int:
        """One reading of everything; blocks that are full are written. The rows and frames that were new."""
        count = 0
        source = self._source
        for _ in range(_BATCHES):
            frames = source.frames(self._logged)
            self._logged = frames.cursor
            self.frames_lost += frames.lost
            self._owed += frames.lost
            if not len(frames.rows):
                break
            count += len(frames.rows)
            self._frames.append(frames)
            self._frame_bytes += len(frames.data) + frames.rows.nbytes
            if self._frame_bytes >= _FRAME_BYTES:
                self._put_frames()
        told = source.events(self._told, most=_EVENTS)
        self._told = told.cursor
        self.events_lost += told.lost
        if self._wanted:
            self._put_keyframe()
        for run in self._order.take(told.rows, told.lost):
            if run.gap:
                self._put_rows(1)
                self._wanted = True
            if len(run.rows):
                self._rows.append(run.rows)
                self._held += len(run.rows)
                if np.isin(run.rows["kind"], _ANEW).any():
                    self._wanted = True
        self._put_rows(CHUNK)
        return count + len(told.rows)

    def _put_rows(self, least: int) -> None:
        """Write what waits, while it is at least so many rows."""
        if not self._rows or self._held < least:
            return
        rows = np.concatenate([part.view(np.uint64) for part in self._rows]).view(self._rows[0].dtype)
        self._rows, self._held = [], 0
        for piece in cut(rows):
            if len(piece) < min(least, CHUNK // 2):
                self._rows, self._held = [piece], len(piece)
                break
            chunk = make_chunk(piece)
            self._output.chunk(chunk)
            self.events += chunk.last - chunk.first + 1
            self._since += len(piece)
        self._wanted = self._wanted or self._since >= _KEYFRAME_ROWS

    def _put_frames(self) -> None:
        if self._frames:
            self._output.frames(self._frames, self._owed)
            self._owed = 0
            self.frames += sum(len(batch.rows) for batch in self._frames)
            self._frames, self._frame_bytes = [], 0

    def _put_keyframe(self) -> None:
        keyframe = self._source.keyframe(self._keyframe + 1)
        if keyframe is not None:
            self._output.keyframe(keyframe)
            self.keyframes += 1
            self._keyframe, self._wanted, self._since = keyframe.number, False, 0

    def _flush(self) -> None:
        """Write whatever waits, and how things stand."""
        self._put_rows(1)
        self._put_frames()
        state = self._source.snapshot(())
        known = (state.number, state.state, state.logs)
        if known != self._known:
            self._output.state(state)
            self._known = known
        self._flushed = time.monotonic()
