"""The descriptor table as a pane: scrolling, the cursor, opened indirect tables, what glows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.records import Owner
from dataplane.snapshot import AnyQueue, PackedQueue
from inspector.sanitise import clean
from inspector.theme import GLYPHS
from inspector.widgets import marking
from inspector.widgets.descriptors import Layout, Widths, changed, header, layout, measure, rows, trust
from inspector.widgets.keys import key
from inspector.widgets.order import Line, Order, by_buffer, by_slot
from inspector.widgets.pane import Ink, Pane, Piece, line, merged, title
from inspector.widgets.positions import LEVELS, density
from inspector.widgets.queues import tick_queue
from inspector.widgets.ringtext import OWNER_MEANINGS

if TYPE_CHECKING:
    from inspector.session import Tick

_LONG_AGO = 1 << 40


def gauge(top: int, height: int, total: int) -> tuple[int, int]:
    """First and last row of the scroll mark for `height` rows of `total` lines; (0, -1) if all are seen."""
    if total <= height or height <= 0:
        return 0, -1
    size = max(1, height * height // total)
    start = min(height - size, top * (height - size) // max(1, total - height))
    return start, start + size - 1


def overview(ink: Ink, queue: AnyQueue, width: int, first: int, last: int) -> Strip:
    """All descriptor slots in one line, those in sight on a lighter ground."""
    cells = min(width - 2, queue.size)
    codes = density(queue.owner, cells).tolist()
    pieces: list[Piece] = [(" ", ink("text"))]
    for i, code in enumerate(codes):
        owner = Owner(code // LEVELS)
        seen = first <= (i * queue.size // cells) <= last
        pieces.append((GLYPHS[owner], ink(OWNER_MEANINGS[owner], "panel" if seen else "surface")))
    return line(width, merged(pieces), ink("text"))


class Descriptors(Pane):
    """The descriptor table (2.7.5) or descriptor ring (2.8) of the selected queue."""

    HELP = (
        "One line per descriptor slot. The last column says how far the row can be trusted: *stable*, "
        "*in flux* while it was copied, or seen to *change*."
    )
    BINDING_GROUP_TITLE = "Descriptors"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("table.up", "up,k", "move(-1)", "row up", "The descriptor above"),
        key("table.down", "down,j", "move(1)", "row down", "The descriptor below"),
        key("table.pageup", "pageup", "page(-1)", "page up", "A page up"),
        key("table.pagedown", "pagedown", "page(1)", "page down", "A page down"),
        key("table.first", "g,home", "end(-1)", "first", "The first line"),
        key("table.last", "G,end", "end(1)", "last", "The last line"),
        key("table.open", "enter,x", "open", "open table", "Open or close its indirect table", show=True),
        key("table.order", "o", "order", "order", "By slot, or by buffer in ring order", show=True),
    ]

    class Chosen(Message):
        """The descriptor slot under the cursor."""

        def __init__(self, slot: int) -> None:
            super().__init__()
            self.slot = slot

    class Said(Message):
        """Something to tell the user, in a line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.slot: int | None = None
        self.by_buffer = False
        self.follow = True
        self.mapped = True  #: whether a line shows all slots at once
        self.opened: dict[int, dict[int, int]] = {}
        self.marks: marking.Marks = marking.NONE
        self._unseen = False  #: lit up, and not in sight yet
        self.table_entries = 0  #: of each slot's indirect table, for marks in "tables"
        self._top = 0
        self._widths = Widths()
        self._shape = (-1, -1)
        self._changed_at: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._pictures = 0

    @property
    def queue(self) -> AnyQueue | None:
        """The queue shown, if its rows have been read."""
        queue = tick_queue(self.tick, self.selected)
        return queue if queue is not None and len(queue.desc) else None

    def order(self, queue: AnyQueue) -> Order:
        """The lines of this table for a queue."""
        opened = self.opened.get(queue.index, {})
        for slot in opened:
            opened[slot] = max(opened[slot], len(queue.tables.get(slot, ())))
        return (by_buffer if self.by_buffer else by_slot)(queue, opened)

    def body(self) -> tuple[int, int]:
        """First row of the lines, and how many rows there are."""
        first = 3 if self.mapped else 2
        return first, max(0, self.size.height - first)

    def show(self, tick: Tick) -> None:
        self._pictures += 1
        self.tick = tick
        queue = self.queue
        if queue is not None and self.follow:
            self._keep_up(queue)
        self._show_marks()
        self.redraw()

    def _nothing(self) -> str:
        """Why there are no rows."""
        past = self.tick is not None and self.tick.cursor is not None
        notes = self.tick.snapshot.notes if past and self.tick is not None else ()
        return notes[0] if notes else "waiting for the rows"

    def draw(self, width: int, height: int) -> list[Strip]:
        queue = self.queue
        ink = self.ink
        if queue is None or self.tick is None:
            about: list[Piece] = [(clean(self._nothing()), ink("muted", "panel"))]
            return [title(ink, width, "descriptors", about, self.has_focus)]
        first, room = self.body()
        order = self.order(queue)
        self._top = max(0, min(self._top, order.total - room))
        lines = order.lines(self._top, room)
        shape = (queue.index, queue.size)
        if shape != self._shape:
            self._shape, self._widths = shape, Widths()
            self._changed_at = np.full(queue.size, -_LONG_AGO, dtype=np.int64)
        self._widths = self._widths.grown(measure(queue, lines))
        wide = self._widths
        number = max(3, len(str(queue.size - 1)))
        it = layout(width - 1, number, wide.digits, wide.lengths, wide.flags, wide.buffer)
        slots = np.fromiter((slot for slot, _ in lines), dtype=np.int64, count=len(lines))
        ages = self._ages(queue, slots)
        opened = frozenset(self.opened.get(queue.index, {}))
        start, stop = gauge(self._top, room, order.total)
        strips = [title(ink, width, "descriptors", self._about(queue, order), self.has_focus)]
        if first == 3:
            seen = slots if len(slots) else np.array([0])
            low, high = (int(seen.min()), int(seen.max())) if not self.by_buffer else (0, -1)
            strips.append(overview(ink, queue, width, low, high))
        strips.append(Strip.join([header(ink, queue, it), line(1, [], ink("muted"))]))
        mark, rail = line(1, [("▐", ink("accent"))], ink("text")), line(1, [], ink("text"))
        for i, strip in enumerate(self._rows(queue, lines, ages, opened, it)):
            strips.append(Strip([*strip, *(mark if start <= i <= stop else rail)], width))
        return strips

    def _rows(
        self,
        queue: AnyQueue,
        lines: Sequence[Line],
        ages: npt.NDArray[np.int64],
        opened: frozenset[int],
        it: Layout,
    ) -> list[Strip]:
        return rows(self.ink, queue, lines, ages, self.slot, opened, it, self.marks, self.table_entries)

    def light(self, marks: marking.Marks, table_entries: int = 0) -> None:
        """Light up these fields, open the tables that they stand in, and bring the first one into sight."""
        self.marks, self.table_entries = marks, table_entries
        self._unseen = bool(marks)
        self._show_marks()
        self.redraw()

    def _show_marks(self) -> None:
        """Bring what is lit up into sight, once its rows are there."""
        queue, marks, table_entries = self.queue, self.marks, self.table_entries
        if queue is not None and self._unseen:
            self._unseen = False
            tables = sorted(
                {i // table_entries for i in marking.fields(marks, "tables")} if table_entries else ()
            )
            opened = self.opened.setdefault(queue.index, {})
            for slot in tables:
                opened.setdefault(slot, len(queue.tables.get(slot, ())))
            slots = sorted(marking.fields(marks, "desc")) or tables
            if slots and slots[0] < queue.size:
                self._bring(queue, slots[0])

    def _bring(self, queue: AnyQueue, slot: int) -> None:
        """Bring the line of a slot into sight, with some lines around it where it is far."""
        at = self.order(queue).line_of(slot)
        _, room = self.body()
        if at is not None and room and not self._top <= at < self._top + room:
            self._top = max(0, at - room // 4)

    def _ages(self, queue: AnyQueue, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        previous = self.tick.previous if self.tick else None
        before = next((q for q in previous.queues if q.index == queue.index), None) if previous else None
        self._changed_at[slots[changed(queue, before, slots)]] = self._pictures
        return self._pictures - self._changed_at[slots]

    def _about(self, queue: AnyQueue, order: Order) -> list[Piece]:
        muted = self.ink("muted", "panel")
        about: list[Piece] = [(f"of {clean(queue.name)} · ", muted)]
        if self.by_buffer:
            free = queue.size - int(order.starts[-1])
            about.append((f"in ring order, {free:,} free not shown", muted))
        else:
            about.append((f"{queue.size:,} by slot", muted))
        stable, flux, seen = trust(queue)
        if queue.exact:
            about.append((" · exact", self.ink("used", "panel")))
        else:
            about.append((f" · {stable:,} stable" if stable or flux else " · all free", muted))
            if flux:
                about.append((f" · {flux:,} in flux", self.ink("flux", "panel")))
            if seen:
                about.append((f" · {seen:,} changed", self.ink("flux", "panel")))
        if queue.tables_left_out:
            about.append((f" · {queue.tables_left_out:,} tables not copied", self.ink("flux", "panel")))
        if self.follow:
            about.append((" · following", self.ink("accent", "panel")))
        return about

    def _keep_up(self, queue: AnyQueue) -> None:
        """Turn the page when the newest available buffer leaves it; some of what came before stays."""
        if self.by_buffer:
            return
        if isinstance(queue, PackedQueue):
            if queue.driver is None:
                return
            newest = (queue.driver.avail_idx - 1) % queue.size
        else:
            newest = int(queue.avail_ring[(queue.avail_idx - 1) % queue.size])
        if not self.marks:
            self._bring(queue, newest)

    def reveal(self, slot: int | None) -> None:
        """Put the cursor on a slot and bring its line into sight."""
        self.slot = slot
        queue = self.queue
        if queue is not None and slot is not None:
            at = self.order(queue).line_of(slot)
            _, room = self.body()
            if at is not None and room:
                if at < self._top:
                    self._top = at
                elif at >= self._top + room:
                    self._top = at - room + 1
        self.redraw()

    def forget(self) -> None:
        """Another queue is shown: start at its top."""
        self._top = 0
        self.redraw()

    def _choose(self, order: Order, at: int, way: int) -> None:
        """Choose the descriptor on line `at`, or the next one `way` wards where that is a table's entry."""
        self.follow = False
        at = max(0, min(at, order.total - 1))
        while 0 <= at < order.total:
            found = order.lines(at, 1)
            if found and found[0][1] < 0:
                self.post_message(self.Chosen(found[0][0]))
                return
            at += way

    def action_move(self, by: int) -> None:
        queue = self.queue
        if queue is None:
            return
        order = self.order(queue)
        at = order.line_of(self.slot) if self.slot is not None else None
        self._choose(order, self._top if at is None else at + by, by)

    def action_page(self, way: int) -> None:
        queue = self.queue
        if queue is None:
            return
        order = self.order(queue)
        _, room = self.body()
        at = order.line_of(self.slot) if self.slot is not None else None
        self._top += way * room
        self._choose(order, (self._top if at is None else at + way * room), -way)

    def action_end(self, way: int) -> None:
        queue = self.queue
        if queue is None:
            return
        order = self.order(queue)
        self._choose(order, 0 if way < 0 else order.total - 1, -way)

    def action_order(self) -> None:
        self.by_buffer = not self.by_buffer
        self._top = 0
        self.reveal(self.slot)

    def action_open(self) -> None:
        """Open or close the table of the chosen row; say why there is nothing to open."""
        queue = self.queue
        if queue is None or self.slot is None:
            return
        opened = self.opened.setdefault(queue.index, {})
        if opened.pop(self.slot, None) is None:
            table = queue.tables.get(self.slot)
            if table is None:
                self.post_message(self.Said(f"slot {self.slot} points to no indirect table"))
                return
            opened[self.slot] = len(table)
            self.follow = False
            self._unfold(queue, len(table))
        self.redraw()

    def _unfold(self, queue: AnyQueue, entries: int) -> None:
        """Scroll so that the table just opened below the chosen row is in sight, the row with it."""
        at = self.order(queue).line_of(self.slot) if self.slot is not None else None
        _, room = self.body()
        if at is not None and at + entries >= self._top + room:
            self._top = min(at, at + entries - room + 1)

    def on_click(self, event: events.Click) -> None:
        queue = self.queue
        first, _ = self.body()
        if queue is None:
            return
        if event.y == 1 and first == 3 and not self.by_buffer:
            cells = min(self.size.width - 2, queue.size)
            part = max(0, min(event.x - 1, cells - 1))
            order = self.order(queue)
            self._choose(order, order.line_of(part * queue.size // cells) or 0, 1)
        elif event.y >= first:
            found = self.order(queue).lines(self._top + event.y - first, 1)
            if found:
                again = found[0][0] == self.slot
                self.follow = False
                self.post_message(self.Chosen(found[0][0]))
                if again and event.chain == 2:
                    self.action_open()

    def _scroll(self, by: int) -> None:
        queue = self.queue
        if queue is not None:
            self.follow = False
            _, room = self.body()
            self._top = max(0, min(self._top + by, self.order(queue).total - room))
            self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)
