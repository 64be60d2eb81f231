"""Puts the life of a buffer together from a session's history and its frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataplane import places
from dataplane.explain import explain
from dataplane.history import Moments
from dataplane.layout import desc_flag_names
from dataplane.records import Kind, Role, Side
from dataplane.snapshot import AnyQueue, Array
from inspector.life.around import recycled_by, stores_of
from inspector.life.model import TITLES, Detail, Life, Name, State, Step
from inspector.life.waits import with_waits
from inspector.numbers import count
from inspector.session import Session

#: A step that must have happened where a later one of these is known.
_NEEDED: tuple[Name, ...] = ("filled", "available", "seen", "completed", "used", "collected")


_OPEN: dict[Name, str] = {
    "allocated": "not yet",
    "filled": "not yet",
    "available": "not yet: the device must not look at it",
    "kick": "not decided yet",
    "seen": "not yet: it waits for the device",
    "packet": "",
    "completed": "not yet: the device has it",
    "used": "not yet: the driver cannot see it",
    "call": "not decided yet",
    "collected": "not yet: it waits for the driver",
    "recycled": "not yet: its slots lie free",
}
#: What stores are told of, beside descriptors that are being filled.
_RINGS = frozenset({"desc", "avail_ring", "avail_idx", "used_ring", "used_idx"})
#: Steps whose stores are told one by one.
_STORING: tuple[Name, ...] = ("available", "completed", "used")
_LINES = 4  #: stores of one step that are told
_MERGED = 64  #: buffers that one frame spans at most


def life_of(
    session: Session, queue: int, position: int, *, near: int | None = None, details: bool = True
) -> Life:
    """The life of the buffer published at count `position` of a queue.

    near: an event of the time that is meant, for counts begin anew when a queue is reset; None: the newest.
    details: every descriptor, who slept, who filled its slots again: what takes some milliseconds more.
    LookupError with one line where nothing at all is known of it.
    """
    moments = session.history.moments(queue, position, near)
    return _Reading(session, moments, details).life()


class _Reading:
    """What is at hand while one life is put together."""

    def __init__(self, session: Session, moments: Moments, details: bool) -> None:
        self.session, self.moments, self.details = session, moments, details
        self.queue, self.position = queue, position = moments.queue, moments.position
        self.history = session.history
        self.numbers: dict[Name, int] = {
            "filled": moments.added.number,
            "available": moments.available.number,
            "kick": moments.kick.number,
            "seen": moments.seen.number,
            "completed": moments.completed.number,
            "used": moments.used.number,
            "call": moments.call.number,
            "collected": moments.collected.number,
        }
        self.frame = frame_of(session, queue, position)
        tick = session.tick
        known = next((q for q in tick.snapshot.queues if q.index == queue), None) if tick else None
        self.now: AnyQueue | None = known
        self.role = known.role if known else Role.RECEIVE if queue % 2 == 0 else Role.TRANSMIT
        self.slots: tuple[int, ...] = ()

    def life(self) -> Life:
        if not any(self.numbers.values()):
            raise LookupError(self._nothing())
        steps: list[Step] = []
        for name in TITLES:
            step = self._step(name)
            if step is not None:
                steps.append(step)
        steps = self._states(steps)
        if self.details:
            steps = with_waits(self.session, self.role, self.queue, self.position, steps)
        head = self._head()
        return Life(
            self.queue,
            self.session.queue_name(self.queue),
            self.role,
            self.position,
            head,
            self.slots or ((head,) if head is not None else ()),
            self.frame,
            tuple(steps),
            tuple(self._notes(steps)),
        )

    # events

    def _row(self, number: int) -> np.void | None:
        return self.history.row(number)

    def _words(self, row: np.void) -> tuple[str, str]:
        """What an event did, and why, with the section of the spec."""
        said = explain(row, self.session.shapes)
        section = f" ({said.section})" if said.section else ""
        return f"the {said.who} {said.what}", f"{said.why}{section}" if said.why else ""

    def _step(self, name: Name) -> Step | None:
        if name == "allocated":
            return self._allocated(self.numbers["filled"])
        if name == "packet":
            return self._packet()
        if name == "recycled":
            return self._recycled(self.numbers["collected"])
        row = self._row(self.numbers[name]) if self.numbers[name] else None
        if row is None:
            return Step(name, 0, 0, "open", "")
        quiet = int(row["kind"]) in (Kind.KICK_QUIET, Kind.CALL_QUIET)
        details: tuple[Detail, ...] = ()
        if self.details:
            details = self._filled(row) if name == "filled" else self._stored(row) if name in _STORING else ()
        words, why = self._words(row)
        state: State = "quiet" if quiet else "done"
        return Step(name, int(row["number"]), int(row["time"]), state, words, why, details=details)

    def _allocated(self, added: int) -> Step | None:
        """When the driver began to write it: with its first store, where stores are known."""
        if not added or not self.details:
            return None
        rows = stores_of(self.history, self.queue, Side.DRIVER, added)
        self._learn_slots(self.numbers["available"] or added)
        free = self._free(added)
        many = len(self.slots)
        head = self._head()
        first = f", the first is {head}" if head is not None else ""
        taken = f"{'slots' if many > 1 else 'slot'} {_listed(self.slots)}" if many else f"its slots{first},"
        words = f"the driver takes {taken} from the free ones"
        if free is not None and many:
            words += f"; {count(free)} are left"
        if not len(rows):
            row = self._row(added)
            if row is None:
                return None
            words += "" if self._stores(added) else "; without stores only the end of this is known"
            return Step("allocated", added, int(row["time"]), "done", words)
        return Step("allocated", int(rows["number"][0]), int(rows["time"][0]), "done", words)

    def _learn_slots(self, number: int) -> None:
        """Which slots it stands in: the driver keeps them still from when it is available on."""
        try:
            queue = self.history.at(number, {self.queue}).queue(self.queue)
        except (LookupError, ValueError):
            return
        if len(queue.buffer):
            mine = np.flatnonzero(queue.buffer == self.position)
            self.slots = _in_order(queue, mine)

    def _stores(self, number: int) -> bool:
        """Whether stores were journaled at an event."""
        try:
            return self.history.at(number, ()).logs.trace_level == "stores"
        except (LookupError, ValueError):
            return False

    def _free(self, added: int) -> int | None:
        try:
            driver = self.history.at(added, ()).queue(self.queue).driver
        except (LookupError, ValueError):
            return None
        return driver.free if driver is not None else None

    def _stored(self, row: np.void) -> tuple[Detail, ...]:
        """The stores of an operation that are about this buffer, or about the whole batch it was in."""
        rows = stores_of(self.history, self.queue, Side(int(row["side"])), int(row["number"]))
        return self._told(rows, _RINGS)

    def _told(self, rows: Array, areas: frozenset[str]) -> tuple[Detail, ...]:
        shape, head, found = self.session.shape(self.queue), self._head(), []
        for store in rows if shape is not None else ():
            place = places.at(shape, int(store["place"])) if shape is not None else None
            if shape is None or place is None or place.area not in areas:
                continue
            match place.area:
                case "desc":
                    mine = place.index in self.slots or head is None
                case "avail_ring":
                    mine = place.index == (shape.start_index + self.position) % shape.size
                case "used_ring" if self.moments.ordered:
                    mine = place.index == (shape.start_index + self.position) % shape.size
                case "used_ring":
                    mine = int(store["new"]) & 0xFFFFFFFF == head
                case _:
                    mine = True
            if mine:
                found.append(Detail(int(store["number"]), explain(store, (shape,)).what))
        return tuple(found[-_LINES:])

    def _filled(self, row: np.void) -> tuple[Detail, ...]:
        """Each descriptor as it was written, with the event of its last store."""
        shape, added = self.session.shape(self.queue), int(row["number"])
        rows = stores_of(self.history, self.queue, Side.DRIVER, added)
        if shape is None or not self.slots:
            return ()
        whole = self.numbers["available"] or added  # the first of a packed batch is whole only then
        try:
            desc = self.history.at(whole, {self.queue}).queue(self.queue).desc
        except (LookupError, ValueError):
            return ()
        if not len(desc):
            return ()
        found = []
        for slot in self.slots:
            begin = shape.desc_addr + 16 * slot
            wrote = rows[(rows["place"] >= begin) & (rows["place"] < begin + 16)]
            number = int(wrote["number"][-1]) if len(wrote) else 0
            stores = f"{len(wrote)} store{'s' if len(wrote) != 1 else ''}"
            kept = stores if len(wrote) else "as it stood"
            found.append(Detail(number, f"desc[{slot}]: {_described(desc[slot], shape.packed)} ({kept})"))
        if shape.tables_addr:
            low = shape.tables_addr
            tables = rows[
                (rows["place"] >= low) & (rows["place"] < low + 16 * shape.table_entries * shape.size)
            ]
            if len(tables):
                begun = (int(tables["place"].min()) - low) // (16 * shape.table_entries)
                found.append(
                    Detail(int(tables["number"][-1]), f"table of slot {begun}: {len(tables)} stores")
                )
        return (*found, *self._told(rows, frozenset({"avail_ring"})))

    def _packet(self) -> Step | None:
        if self.frame is None:
            return None
        try:
            frame = self.session.frames.frame(self.frame)
        except LookupError:
            return None
        way = "the frame is copied into it" if self.role is Role.RECEIVE else "the device reads the frame"
        words = f"{way}: packet {count(self.frame)}, {frame.length:,} bytes"
        return Step("packet", 0, frame.time, "done", words)

    def _recycled(self, collected: int) -> Step | None:
        if not collected or not self.details:
            return None
        head = self._head()
        found = recycled_by(self.history, self.queue, head, collected) if head is not None else None
        if found is None:
            return Step("recycled", 0, 0, "open", "")
        row, position = found
        words = f"slot {head} is filled again, for buffer {count(position)}"
        return Step("recycled", int(row["number"]), int(row["time"]), "done", words)

    def _head(self) -> int | None:
        if self.slots:
            return self.slots[0]
        for name in ("filled", "seen"):
            row = self._row(self.numbers[name]) if self.numbers[name] else None
            if row is not None and int(row["place"]) == self.position:
                return int(row["slot"])
        if self.frame is not None:
            try:
                frame = self.session.frames.frame(self.frame)
            except LookupError:
                return None
            return frame.head if frame.origin == (self.queue, self.position) else None
        return None

    # what is open and what is not known

    def _states(self, steps: list[Step]) -> list[Step]:
        known = [step.name for step in steps if step.event]
        last = max((_NEEDED.index(name) for name in known if name in _NEEDED), default=-1)
        counts = self._counts()
        found = []
        for step in steps:
            if step.event or step.name == "packet":
                found.append(step)
                continue
            after = {"kick": "available", "call": "used"}.get(step.name, step.name)
            happened = after in _NEEDED and (
                _NEEDED.index(after) < last or counts.get(after, -1) > self.position
            )
            if step.name in ("kick", "call"):
                happened = happened or (after in known and self._followed(after))
            words = self._missing(step.name) if happened else _OPEN[step.name]
            found.append(replace(step, state="unknown" if happened else "open", words=words))
        return found

    def _followed(self, name: str) -> bool:
        """Whether the side has gone on since, so that its decision must have been made."""
        later: Name = "seen" if name == "available" else "collected"
        return bool(self.numbers[later])

    def _counts(self) -> dict[str, int]:
        now = self.now
        if now is None:
            return {}
        return {"available": now.published, "seen": now.seen, "used": now.used, "collected": now.collected}

    def _missing(self, name: Name) -> str:
        reach = self.history.reach
        if reach.first > 1:
            return f"not known: the journal begins with event {reach.first:,}"
        return "not known: events are missing here" if len(reach.gaps) else "not known"

    def _nothing(self) -> str:
        name = self.session.queue_name(self.queue)
        now, reach = self.now, self.history.reach
        if now is not None and self.position >= now.published:
            return (
                f"there is no buffer {self.position:,} of {name} yet: {now.published:,} were made available"
            )
        why = f"the journal begins with event {reach.first:,}" if reach.last else "nothing is journaled"
        if reach.gaps:
            why += " and has gaps: some came too fast to be read"
        return f"nothing is known of buffer {self.position:,} of {name}: {why}"

    def _notes(self, steps: list[Step]) -> list[str]:
        notes = []
        if any(step.state == "unknown" for step in steps):
            reach = self.history.reach
            if reach.first > 1:
                notes.append(f"events before {reach.first:,} were overwritten: --history keeps more")
            elif len(reach.gaps):
                notes.append("some events came too fast to be read")
        filled = next((step for step in steps if step.name == "filled"), None)
        if self.details and filled is not None and filled.event and not filled.details:
            notes.append("stores are not journaled here: t chooses trace stores, which shows each descriptor")
        return notes


def event_near(session: Session, time: int) -> int | None:
    """An event of about that time, ns since the epoch; None where none is kept."""
    try:
        return session.history.number_at(time) or None
    except LookupError:
        return None


def frame_of(session: Session, queue: int, position: int) -> int | None:
    """The packet that a buffer carried, alone or with others merged; None where none is kept."""
    for begin in range(position, max(position - _MERGED, -1), -1):
        number = session.frames.by_origin(queue, begin)
        if number is not None:
            try:
                many = session.frames.frame(number).buffers
            except LookupError:
                return None
            return number if begin + max(many, 1) > position else None
    return None


def _listed(slots: tuple[int, ...]) -> str:
    few = [str(slot) for slot in slots[:6]]
    return ", ".join(few) + (f" and {len(slots) - 6} more" if len(slots) > 6 else "")


def _in_order(queue: AnyQueue, slots: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, ...]:
    """The slots of one buffer from its head on, as the chain has them (packed: as they follow round)."""
    mine = {int(slot) for slot in slots}
    heads = [slot for slot in mine if int(queue.head[slot]) == slot]
    if not heads:
        return tuple(sorted(mine))
    at, found = heads[0], []
    names = queue.desc.dtype.names or ()
    while at in mine:
        mine.discard(at)
        found.append(at)
        at = int(queue.desc["next"][at]) if "next" in names else (at + 1) % queue.size
    return (*found, *sorted(mine))


def _described(row: np.void, packed: bool) -> str:
    names = desc_flag_names(int(row["flags"]), packed)
    text = f"0x{int(row['addr']):x}, {int(row['len']):,} bytes"
    if names:
        text += f", {' '.join(names)}"
    if packed:
        text += f", id {int(row['id'])}"
    elif "NEXT" in names:
        text += f" → {int(row['next'])}"
    return text
