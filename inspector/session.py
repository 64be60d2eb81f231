"""All that the app knows which is not pixels: the source, the frames kept, rates, what is selected.

Free of any toolkit, so that headless output is a loop over the same object. Rings and frames meet
only here: a frame's origin is (queue, publication count of its first buffer), and `frame_of_slot`
and `slot_of_frame` lead from one to the other. So do now and then: `cursor` is the event of the past
after which everything is shown, and `moment` makes of it what a reading is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from capture.bpf import Program
from capture.store import FrameStore
from dataplane import blk
from dataplane import features as f
from dataplane.explain import plain
from dataplane.history import History
from dataplane.keyframe import QueueShape
from dataplane.records import EVENT
from dataplane.rules.doctor import Doctor
from dataplane.snapshot import AnyQueue, Snapshot
from dataplane.source import START, Cursor, Events, RingSource
from inspector.keeping import Keeping, records
from inspector.meters import Meter, Meters
from inspector.past.moments import Past
from inspector.requests import Requests
from inspector.tick import Selection, Tick

__all__ = ["HISTORY_BYTES", "Meter", "Selection", "Session", "Tick", "records"]

HISTORY_BYTES = 64 << 20  #: of events, before the oldest go
_LOGS_OF_FLOOD = 8  #: the logs are read at every reading, of a flood at one in so many
_ANCHOR_EVERY = 1 << 18  #: events after which the rings of a resting source are taken whole once more

#: Called after every reading, on the thread that reads: a line for the foot and its style, or None.
Watch = Callable[["Session", Tick], tuple[str, str] | None]


class Session:
    """A source being looked at. `pull` may run on one thread while another selects or looks back.

    `budget_bytes` bounds the frames kept, `history_bytes` the events; a source that has a `history` of its
    own, such as a recording, lends it. The source is closed by `close` only if `owns` is set.
    """

    def __init__(
        self,
        source: RingSource,
        *,
        budget_bytes: int = 256 << 20,
        history_bytes: int = HISTORY_BYTES,
        owns: bool = False,
    ) -> None:
        self.source = source
        self.keeping = Keeping(source, budget_bytes)
        self.requests = Requests(source, budget_bytes)
        lent = getattr(source, "history", None)
        self.lent = isinstance(lent, History)  #: whether the source has the past itself
        self.history: History = lent if isinstance(lent, History) else History(history_bytes)
        self.budget_bytes, self.history_bytes = budget_bytes, history_bytes
        self.selection = Selection()
        self.paused = False
        self.tick: Tick | None = None
        self.past: Tick | None = None  #: the moment that is looked at, None: live
        self.whole: frozenset[int] | None = frozenset({0})
        self.badges: dict[str, tuple[str, str]] = {}  #: pieces of every screen's first line, by who says them
        self.watches: list[Watch] = []
        self.doctor = Doctor()
        if not self.lent:
            self.keeping.heed = self.doctor.heed_frames
        self.told: deque[tuple[str, str]] = deque(maxlen=8)  #: what the watches said, not yet shown
        self._owns = owns
        self._lock = threading.Lock()
        self._events: Cursor = START
        self._nothing = Events(np.empty(0, EVENT), START, 0)
        self._overrun = 0  #: readings until the logs of a flood are read again
        self._meters = Meters()
        self._moments = Past(self.history, self._meters)
        self._anchored = -1  #: number of the newest keyframe that the history has
        self._shapes: tuple[QueueShape, ...] = ()
        self._pulls: deque[float] = deque(maxlen=256)
        self._pulled = 0
        self._shown = 0
        self._picture: Tick | None = None

    # reading

    def pull(self) -> Tick:
        """Read the source once. Whatever the source raises passes through."""
        with self._lock:
            snapshot = self.source.snapshot(self._rows_wanted())
            log = self.requests if self.blocks else self.keeping
            lost = log.lost
            added, events = (0, self._nothing) if self._floods(snapshot) else self._read_logs(snapshot)
            before = self.tick
            self._pulled += 1
            tick = Tick(
                snapshot=snapshot,
                previous=before.snapshot if before else None,
                meters=self._measured(snapshot),
                events=events,
                frames_added=added,
                frames_lost=log.lost,
                frames_lost_now=log.lost - lost,
                frames_filtered=snapshot.logs.frames_filtered,
                hertz=self._hertz(time.monotonic()),
                missed=max(self._pulled - self._shown - 1, 0),
                findings=self.doctor.findings if self.lent else self.doctor.look(snapshot),
            )
            self.tick = tick
        for watch in tuple(self.watches):
            if (said := watch(self, tick)) is not None:
                self.told.append(said)
        return tick

    @property
    def blocks(self) -> bool:
        """Whether the rings are those of a block device: requests cross them, and no frames."""
        return self.source.identity.device_id == blk.DEVICE_ID

    def _floods(self, snapshot: Snapshot) -> bool:
        """Whether the logs can wait: of a flood most events are overwritten at any pace, and each reading of
        the logs costs the rings as many buffers as all the rest of it."""
        if snapshot.state != "running" or snapshot.logs.frame_sample == 1 or not self._overrun:
            return False
        self._overrun -= 1
        return self._overrun > 0

    def _read_logs(self, snapshot: Snapshot) -> tuple[int, Events]:
        """What was logged since: how many frames, and the events."""
        added = self.requests.take() if self.blocks else self.keeping.take()
        events = self.source.events(self._events)  # after the frames: what became of them is there too
        self._events = events.cursor
        self._nothing = Events(events.rows[:0], events.cursor, 0)
        self._overrun = _LOGS_OF_FLOOD if events.lost > len(events.rows) else 0
        self.keeping.learn(events.rows, events.lost)
        if not self.lent:
            self.history.append(events.rows, events.lost)
            self._anchor(snapshot)
            self.doctor.heed(snapshot, events, self.source.keyframe)
        self.keeping.settle(snapshot, time.monotonic())
        return added, events

    def _rows_wanted(self) -> frozenset[int] | None:
        """The queues whose rows are looked at, and those where the doctor needs them."""
        return None if self.whole is None else self.whole | self.doctor.wants

    def _measured(self, snapshot: Snapshot) -> Mapping[int, Meter]:
        """Rates by what was read so far; of a recording, whose clock rests, by what it holds."""
        if not self.lent:
            return {queue.index: self._meters.measure(queue, snapshot.time) for queue in snapshot.queues}
        if self.tick is not None and self.tick.snapshot.number == snapshot.number:
            return self.tick.meters
        return {queue.index: self._moments.meter(queue, snapshot.time) for queue in snapshot.queues}

    def _anchor(self, snapshot: Snapshot) -> None:
        """Give the history the exact images that the source has: memory is known from them on.

        A source at rest makes one at every question, so it is asked only where the history needs one.
        """
        if snapshot.state != "running" and self._anchored >= 0:
            exact = self.history.reach.exact
            known = bool(exact) and exact[-1][1] >= snapshot.number
            if known and snapshot.number - self._anchored < _ANCHOR_EVERY:
                return
        keyframe = self.source.keyframe(self._anchored + 1)
        if keyframe is not None:
            self._anchored, self._shapes = keyframe.number, keyframe.shapes
            self.history.anchor(keyframe)

    def showed(self, tick: Tick) -> None:
        """A reading has reached the screen; while the view is paused the one shown stays."""
        if not self._shown:
            self._pulled = 1
        self._shown += 1
        if not self.paused:
            self._picture = tick

    def _hertz(self, now: float) -> float:
        pulls = self._pulls
        pulls.append(now)
        while len(pulls) > 2 and pulls[0] < now - 2:
            pulls.popleft()
        span = now - pulls[0]
        return (len(pulls) - 1) / span if span > 0 else 0.0

    def close(self) -> None:
        """Let go of the source; close it if it is ours."""
        if self._owns:
            self.source.close()

    # looking back

    @property
    def cursor(self) -> int | None:
        """The event of the past after which everything is shown; None: live."""
        return self.past.cursor if self.past is not None else None

    @property
    def shown(self) -> Tick | None:
        """What the screens show: a moment of the past, the picture held, or the newest reading."""
        if self.past is not None:
            return self.past
        return self._picture if self.paused and self._picture else self.tick

    def moment(self, number: int, whole: Collection[int] | None = None) -> Tick:
        """The moment after event `number` as a reading; rows of the queues in `whole`, None: as live.

        LookupError with one line where the history does not reach there. Any thread may ask.
        """
        if self.tick is None:
            raise LookupError("nothing has been read yet")
        tick = self._moments.tick(number, self.whole if whole is None else whole, self.tick)
        stood = self.doctor.at(tick.snapshot.time)
        return replace(
            tick, findings=tuple(replace(one, verdict=f"found later: {one.verdict}") for one in stood)
        )

    def visit(self, number: int | None) -> Tick | None:
        """Show the moment after event `number`, or go back to live (None). Errors as `moment`."""
        self.past = self.moment(number) if number is not None else None
        return self.past

    @property
    def cursor_frame(self) -> int | None:
        """The newest frame that was logged by the moment shown; None: live."""
        return self.frame_at(self.past.snapshot.time) if self.past is not None else None

    def frame_at(self, time: int) -> int:
        """The newest frame logged up to `time`, ns since the epoch; one before the first where none was."""
        return self.keeping.newest_at(time)

    def memory(self, address: int, length: int) -> bytes:
        """Guest memory at the moment shown; LookupError where it is not known."""
        cursor = self.cursor
        if cursor is None:
            return self.source.memory(address, length)
        return self.history.memory(cursor, address, length)

    @property
    def shapes(self) -> tuple[QueueShape, ...]:
        """What of each queue stays the same, addresses above all; empty before the first reading."""
        if not self._shapes:
            told = getattr(self.source, "shapes", None)
            if callable(told):
                self._shapes = tuple(told())
            elif (keyframe := self.source.keyframe()) is not None:
                self._shapes = keyframe.shapes
        return self._shapes or (shapes_of(self.tick.snapshot) if self.tick is not None else ())

    def shape(self, queue: int) -> QueueShape | None:
        """The one of a queue."""
        return next((shape for shape in self.shapes if shape.index == queue), None)

    def words(self, row: np.void) -> str:
        """An event in one sentence."""
        return plain(row, self.shapes)

    # frames

    @property
    def frames(self) -> FrameStore:
        """The frames kept."""
        return self.keeping.frames

    @property
    def settled(self) -> int:
        """Up to this frame number nothing more will be learnt of what became of its buffer."""
        return self.keeping.settled

    @property
    def capture_filter(self) -> Program | None:
        """What the frame log takes; None: every frame."""
        return self.keeping.program

    def set_capture_filter(self, program: Program | None) -> None:
        """From the source's next frame on only what matches is logged; None: every frame.

        RuntimeError where the source's frame log is not ours to filter; ValueError for an unsound program.
        """
        self.keeping.set_program(program)

    def log_frames(self, on: bool) -> None:
        """Log frames, or only count them; filter and sampling stay as they are."""
        self.keeping.log(on)

    # what is selected, and what belongs together

    def select(self, **changes: int | None) -> Selection:
        """Change what is selected; the rows of the selected queue are read from now on."""
        self.selection = replace(self.selection, **changes)  # type: ignore[arg-type]
        if self.whole is not None:
            self.whole = frozenset({self.selection.queue})
        return self.selection

    def frame_of_slot(self, queue: int, slot: int) -> int | None:
        """The number of the frame whose buffer stands in a slot, None where no kept frame does."""
        held = self._rows(queue)
        if held is None or not 0 <= slot < len(held.buffer) or held.buffer[slot] < 0:
            return None
        return self.frames.by_origin(queue, int(held.buffer[slot]))

    def slot_of_frame(self, frame: int) -> tuple[int, int, bool] | None:
        """(queue, head slot, whether its buffer stands there) of a frame; None if it is not kept."""
        try:
            row = self.frames.frame(frame)
        except LookupError:
            return None
        queue, position = row.origin
        held = self._rows(queue)
        there = held is not None and row.head < len(held.buffer) and int(held.buffer[row.head]) == position
        return queue, row.head, there

    def queue_name(self, index: int) -> str:
        """The name of a queue, such as "tx0"."""
        if self.tick is not None:
            for queue in self.tick.snapshot.queues:
                if queue.index == index:
                    return queue.name
        return f"q{index}"

    def _rows(self, queue: int) -> AnyQueue | None:
        """A queue with its rows at the moment shown: from the picture, or looked up now."""
        tick = self.shown
        try:
            if tick is not None:
                known = tick.snapshot.queue(queue)
                if len(known.buffer):
                    return known
            if tick is not None and tick.cursor is not None:
                return self.history.at(tick.cursor, {queue}).queue(queue)
            return self.source.snapshot({queue}).queue(queue)
        except (LookupError, RuntimeError):
            return None


def shapes_of(snapshot: Snapshot) -> tuple[QueueShape, ...]:
    """The shapes of queues as a snapshot tells them: indirect tables and the first index are not in it."""
    accepted = snapshot.identity.accepted
    return tuple(
        QueueShape(
            index=queue.index,
            name=queue.name,
            role=queue.role,
            size=queue.size,
            packed=snapshot.identity.packed,
            in_order=f.has(accepted, f.F_IN_ORDER),
            indirect=f.has(accepted, f.F_INDIRECT_DESC),
            event_idx=f.has(accepted, f.F_EVENT_IDX),
            enabled=queue.enabled,
            generation=queue.generation,
            start_index=0,
            desc_addr=queue.desc_addr,
            driver_addr=queue.driver_addr,
            device_addr=queue.device_addr,
            tables_addr=0,
            table_entries=0,
        )
        for queue in snapshot.queues
    )
