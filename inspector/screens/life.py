"""The life of one buffer: "when was it where, who waited for whom, and is that how long it always takes?" """

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from dataplane.records import Kind
from inspector.latencies import Follower, Waits, own_waits
from inspector.life import Life, event_near, life_of
from inspector.sanitise import clean, one_line
from inspector.screens.sheet import Sheet
from inspector.session import Session
from inspector.widgets.filling import Words
from inspector.widgets.lifeline import Lifeline
from inspector.widgets.waits import WaitTable

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_LOOK = 0.5  #: seconds between two looks at a life that goes on
_COUNT = 2.0  #: seconds between two counts of the waits
_PIECE = 1 << 15
_COUNTED = {Kind.ADD, Kind.NEXT, Kind.COMPLETE}
_MOVED = {Kind.PUBLISH, Kind.FLUSH, Kind.COLLECT}


_SIGNS = (
    (
        "A step",
        (
            ("●", "it was done; orange by the driver, blue by the device"),
            ("○", "a notification that nobody wanted, so it was not sent"),
            ("·", "it has not happened yet"),
            ("?", "it happened, and the journal no longer says when"),
            ("▶", "the newest step at the moment of the past that is shown"),
            ("████", "the wait before it, to scale; v: by logarithm"),
        ),
    ),
    (
        "Latency",
        (
            ("p50 p99", "half of the buffers, 99 of 100, waited no longer; exact over the events kept"),
            ("this one", "this buffer; its place in the histogram is marked"),
        ),
    ),
)
#: step -> the gate that it stands behind
_GATES = {
    "kick": "kick to seen",
    "seen": "available to seen",
    "packet": "seen to used",
    "completed": "seen to used",
    "used": "seen to used",
    "call": "call to collected",
    "collected": "used to collected",
}


def open_life(app: RingscopeApp) -> None:
    """The life of the buffer that is selected: of the packet, the slot or the event, as the screen has it."""
    try:
        queue, position, near = selected(app.session, app.current_mode)
    except LookupError as error:
        app.tell(str(error.args[0]), "flux")
        return
    if isinstance(app.screen, LifeScreen):
        app.screen.show_life(queue, position, near)
    else:
        app.push_screen(LifeScreen(queue, position, near))


#: A buffer: queue, publication count, and an event of the time that is meant (None: the newest).
Buffer = tuple[int, int, int | None]


def selected(session: Session, mode: str) -> Buffer:
    """The buffer that is selected on the screen of a mode; LookupError with one line where none is."""
    chosen = session.selection
    if mode == "packets":
        return _of_frame(session, chosen.frame)
    if mode == "history" and chosen.event is not None:
        return _of_event(session, chosen.event)
    if chosen.slot is not None:
        return _of_slot(session, chosen.queue, chosen.slot)
    return _newest(session, chosen.queue)


def _of_frame(session: Session, number: int | None) -> Buffer:
    if number is None:
        raise LookupError("no packet is selected whose buffer could be shown")
    try:
        frame = session.frames.frame(number)
    except LookupError:
        raise LookupError(f"packet {number} is no longer kept") from None
    return *frame.origin, event_near(session, frame.time)


def _of_event(session: Session, number: int) -> Buffer:
    row = session.history.row(number)
    kind = int(row["kind"]) if row is not None else 0
    if row is not None and kind in _COUNTED:
        return int(row["queue"]), int(row["place"]), number
    if row is not None and kind in _MOVED:
        return int(row["queue"]), int(row["old"]), number
    raise LookupError(f"event {number:,} moves no buffer; choose one that does")


def _of_slot(session: Session, queue: int, slot: int) -> Buffer:
    """The buffer that stands in a slot at the moment shown, else the last one that had its head there."""
    tick, cursor = session.shown, session.cursor
    rows = tick.snapshot.queue(queue) if tick is not None else None
    if rows is not None and slot < len(rows.buffer) and rows.buffer[slot] >= 0:
        return queue, int(rows.buffer[slot]), cursor
    reach = session.history.reach
    stop = reach.last if cursor is None else cursor
    while stop >= max(reach.first, 1):
        part = session.history.rows(max(reach.first, stop - _PIECE + 1), stop)
        ahead = slot - part["slot"].astype(np.int64)
        mine = (part["kind"] == Kind.ADD) & (part["queue"] == queue)
        hit = np.flatnonzero(mine & (ahead >= 0) & (ahead < np.maximum(part["count"], 1)))
        if len(hit):
            row = part[int(hit[-1])]
            return queue, int(row["place"]) + int(ahead[hit[-1]]), int(row["number"])
        stop -= _PIECE
    name = session.queue_name(queue)
    raise LookupError(f"no buffer stands in slot {slot} of {name}, nor is one known that did")


def _newest(session: Session, queue: int) -> Buffer:
    """Without a slot: the newest buffer of the queue that went all the way, or else the newest at all."""
    tick = session.shown
    found = tick.snapshot.queue(queue) if tick is not None else None
    if found is None or not found.published:
        raise LookupError("no buffer has been made available on this queue yet")
    return queue, (found.collected or found.published) - 1, session.cursor


class LifeScreen(Sheet[None]):
    """Steps with bars, the chosen step in words, and the waits of the whole queue."""

    BINDING_GROUP_TITLE = "Life of a buffer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "moment", "go to it", id="life.moment", tooltip="Every screen at that moment"),
        Binding("d", "descriptor", "descriptors", id="life.descriptor", tooltip="Its slot in the ring"),
        Binding("p", "packet", "packet", id="life.packet", tooltip="The packet that it carried"),
    ]  # fmt: skip
    FOOT_FIRST = ("life.moment", "life.before", "life.next", "life.even", "sheet.leave")
    DEFAULT_CSS = """
    LifeScreen Lifeline { height: 1fr; background: $surface; }
    LifeScreen #words { background: $panel; height: auto; max-height: 4; }
    LifeScreen WaitTable { height: 8; background: $surface; }
    LifeScreen.-tall Lifeline { height: auto; max-height: 50%; }
    LifeScreen.-tall WaitTable { height: 1fr; }
    """

    def __init__(self, queue: int, position: int, near: int | None = None) -> None:
        super().__init__()
        self.queue, self.position, self.near = queue, position, near
        self._life: Life | None = None
        self._waits: Waits | None = None
        self._follower: Follower | None = None
        self._looked = self._counted = 0.0
        self._at: int | None = -1  # the moment of the past that was painted

    @property
    def complete(self) -> bool:
        """Whether both the life and the waits have been read."""
        return self._life is not None and self._waits is not None

    def explanations(self) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
        """What the signs mean, for the help."""
        return _SIGNS

    @property
    def lifeline(self) -> Lifeline:
        return self.query_one(Lifeline)

    def body(self) -> Iterable[Widget]:
        yield Lifeline(id="life")
        yield Words(id="words")
        yield WaitTable(id="waits")

    def on_mount(self) -> None:
        self._follower = Follower(self.session)
        self.lifeline.focus()
        self._look()
        self._count()

    def show_life(self, queue: int, position: int, near: int | None = None) -> None:
        """Show another buffer."""
        self.queue, self.position, self.near = queue, position, near
        self._look()
        self._count()

    def beat(self) -> None:
        now, moved = time.monotonic(), self._at != self.session.cursor
        life = self._life
        whole = life is not None and all(step.state != "open" for step in life.steps)
        if moved or (now - self._looked >= _LOOK and not whole):
            self._look()
        if moved or (now - self._counted >= _COUNT and self.session.cursor is None):
            self._count()

    def _look(self) -> None:
        self._looked, self._at = time.monotonic(), self.session.cursor
        self.run_worker(self._read(), group="life", exclusive=True, exit_on_error=False)

    def _count(self) -> None:
        self._counted = time.monotonic()
        self.run_worker(self._measure(), group="waits", exclusive=True, exit_on_error=False)

    async def _read(self) -> None:
        queue, position, cursor = self.queue, self.position, self.session.cursor
        life, note = None, ""
        try:
            life = await asyncio.to_thread(life_of, self.session, queue, position, near=self.near)
        except LookupError as error:
            note = str(error.args[0]) if error.args else "nothing is known of it"
        except Exception as error:
            note = one_line(error)
        if (queue, position) == (self.queue, self.position):
            self._life = life
            past = self.session.past
            self.lifeline.put(life, note, cursor, past.snapshot.time if past is not None else 0)
            self._mark()

    async def _measure(self) -> None:
        follower, queue, cursor = self._follower, self.queue, self.session.cursor
        if follower is None:
            return
        try:
            waits = await asyncio.to_thread(follower.waits, queue, cursor)
        except Exception as error:
            self.ringscope.tell(one_line(error), "fault")
            return
        if queue == self.queue:
            self._waits = waits
            self._mark()

    def _mark(self) -> None:
        mine = own_waits(self._life) if self._life is not None else {}
        name = self.session.queue_name(self.queue)
        self.query_one(WaitTable).put(self._waits, mine, name, self.session.cursor is not None)
        self._choose_gate()

    def _choose_gate(self) -> None:
        """The histogram is that of the gate that the chosen step stands behind."""
        row = self.lifeline.chosen
        if row is not None:
            self.query_one(WaitTable).choose(_GATES.get(row.step.name, "whole round"))

    @on(Lifeline.Moved)
    def _moved(self, event: Lifeline.Moved) -> None:
        event.stop()
        self.query_one(Words).put(self._words())
        self._choose_gate()

    @on(Lifeline.Opened)
    def _opened(self, event: Lifeline.Opened) -> None:
        event.stop()
        self.action_moment()

    def _words(self) -> str:
        """The chosen line in full; what is not known of the life behind the last."""
        row = self.lifeline.chosen
        if row is None:
            return ""
        step = row.step
        said = row.detail.text if row.detail is not None else f"{step.title}: {step.words}"
        if row.detail is None:
            said += f". {step.why}" if step.why else ""
            said += f" · before it: {step.wait}" if step.wait else ""
        if row.event:
            said += f" · event {row.event:,}"
        notes = self._life.notes if self._life is not None else ()
        return " · ".join((said, *notes)) if step.state == "unknown" or step.name == "filled" else said

    # keys

    def action_moment(self) -> None:
        row = self.lifeline.chosen
        if row is None:
            return
        if row.event:
            self.ringscope.go_to(row.event)
            where = f"after event {row.event:,}: {row.step.title}"
            self.ringscope.tell(f"{where} · 1 shows the rings, 0 goes back to live", "past")
        elif row.step.name == "packet" and row.step.time:
            self.ringscope.go_to(self.session.history.number_at(row.step.time))
        else:
            self.ringscope.tell(f"{row.step.title}: {row.step.words}")

    def action_buffer(self, way: int) -> None:
        if self.position + way >= 0:
            self.show_life(self.queue, self.position + way, self.near)

    async def action_descriptor(self) -> None:
        life = self._life
        if life is not None and life.head is not None:
            self.session.select(queue=self.queue, slot=life.head)
            await self.ringscope.action_view("rings")

    async def action_packet(self) -> None:
        life = self._life
        if life is None or life.frame is None:
            self.ringscope.tell("no packet that is kept was in this buffer")
            return
        self.session.select(frame=life.frame)
        await self.ringscope.action_view("packets")

    def copy_text(self) -> str | None:
        life = self._life
        if life is None:
            return None
        lines = [f"buffer {life.position} of {clean(life.queue_name)}"]
        lines += [f"{step.time}\t{step.event}\t{step.title}\t{clean(step.words)}" for step in life.steps]
        return "\n".join(lines)
