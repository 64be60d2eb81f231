"""What happened, and when?

The scrubber, every event that is journaled, and below them (or beside, where there is room) the rings as they
were at the moment under the cursor. Every way of moving takes the whole app along: what is shown here is what
the other screens show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events as happenings
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen

from dataplane.rules.finding import Level
from inspector.past.eventlist import CHOICES, HINT, EventIndex, Wanted, choose
from inspector.past.survey import EVERY, Survey, look_for, survey
from inspector.past.travel import to_time
from inspector.sanitise import clean, one_line
from inspector.widgets.areas import Areas
from inspector.widgets.events import EventList
from inspector.widgets.flow import Flow
from inspector.widgets.keys import key
from inspector.widgets.pane import Pane
from inspector.widgets.queues import Queues
from inspector.widgets.scrubber import Scrubber, Span
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import Wheel

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.session import Session
    from inspector.tick import Selection, Tick

_WIDE = (170, 45)  #: columns and rows from which the rings stand beside the events
_TABLES = 30  #: rows of the body from which descriptors have room below the events


class Whole(Container):
    """Everything between the first line and the last ones."""

    def on_resize(self, event: happenings.Resize) -> None:
        cast("HistoryScreen", self.screen).fit_panes()


class HistoryScreen(Screen[None]):
    """The past of one device."""

    HELP = "What happened, and when?"
    BINDING_GROUP_TITLE = "History"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("history.left", "left,h", "scrub(-1)", "earlier", "Back by a column of the scrubber"),
        key("history.right", "right,l", "scrub(1)", "later", "On by a column of the scrubber"),
        key("history.kinds", "ampersand", "kinds", "choose", "Show only some kinds, a side or a queue", True),
        key("history.clear", "ctrl+u", "clear", "show all", "Show every event again"),
        key("history.fold", "x", "fold", "stores", "Show operations alone, or their stores too", True),
        key("search.next", "n", "again(1)", "next match", "The next event found"),
        key("search.previous", "N", "again(-1)", "match before", "The one found before"),
        key(
            "history.pane",
            "tab",
            "app.focus_next",
            "pane",
            "Scrubber, events, tables, in turn; shift+tab goes back",
            True,
        ),
    ]
    FOOT_FIRST = ("past.event.back", "past.event.on", "events.enter", "history.kinds", "history.fold")
    DEFAULT_CSS = """
    HistoryScreen {
        #whole { height: 1fr; }
        #main { height: 1fr; layout: vertical; }
        #main.-wide { layout: horizontal; }
        EventList { height: 1fr; width: 1fr; background: $surface; }
        #then { height: auto; layout: vertical; }
        #main.-wide #then { width: 98; height: 1fr; margin-left: 1; }
        Queues { height: 4; }
        Flow { height: 4; }
        #tables { layout: horizontal; height: 10; }
        #main.-wide #tables { layout: vertical; height: 1fr; }
        #tables Areas { width: 38; margin-left: 1; }
        #main.-wide #tables Areas { width: 1fr; margin-left: 0; height: 9; }
        #tables Wheel { display: none; }
        #main.-wide #tables Wheel { display: block; height: 1fr; }
        #main.-wide #tables Descriptors { height: 13; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._panes: list[Pane] = []
        self._index: EventIndex | None = None
        self._wanted = Wanted()
        self._said = ""  # what was typed to choose events
        self._sought = ""  # what was searched for
        self._busy = self._again = False
        self._survey: Survey | None = None
        self._arranged: tuple[object, ...] = ()
        self._tick: Tick | None = None

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @property
    def session(self) -> Session:
        return self.ringscope.session

    @property
    def events(self) -> EventList:
        return self.query_one(EventList)

    @property
    def scrubber(self) -> Scrubber:
        return self.query_one(Scrubber)

    def compose(self) -> ComposeResult:
        with Whole(id="whole"):
            yield Scrubber(id="scrubber")
            with Container(id="main"):
                yield EventList(lambda: self.session, id="events")
                with Container(id="then"):
                    yield Queues(id="queues")
                    yield Flow(id="flow")
                    with Container(id="tables"):
                        yield Wheel(id="wheel")
                        yield Descriptors(id="table")
                        yield Areas(id="areas")

    def on_mount(self) -> None:
        self._panes = [pane for pane in self.query(Pane) if not isinstance(pane, Scrubber)]
        self.events.focus()

    # what is shown

    def show(self, tick: Tick) -> None:
        """The rings as they were at the moment shown."""
        self._tick = tick
        self.fit_panes()
        for pane in self._panes:
            pane.show(tick)
        if self._index is None and self.session.history.reach.last:
            self._index = EventIndex(self.session.history, self._wanted)
            self._index.grow(1)
            self.events.put(self._index.lines)
            self.beat()
        if self.events.cursor != tick.cursor:
            self.events.go(tick.cursor)
        self._draw()

    def beat(self) -> None:
        """There may be more events: look on a thread of its own."""
        made, index = self._survey, self._index
        if made is not None and index is not None and index.of(self.session.history):
            asked = self.scrubber.bins, self.scrubber.window
            unchanged = made.asked == asked and made.reach == self.session.history.reach
            if unchanged and not (made.more or made.stale):
                return
        if self._busy:
            self._again = True
            return
        self._busy = True
        self.run_worker(self._look(), group="history", exit_on_error=False)

    def selection_changed(self, selection: Selection) -> None:
        """Show the rings of another queue."""
        table = self.query_one(Descriptors)
        for pane in self._panes:
            pane.selected = selection.queue
        self.query_one(Wheel).slot = selection.slot
        if table.slot != selection.slot:
            table.reveal(selection.slot)
        for pane in self._panes:
            pane.redraw()

    async def _look(self) -> None:
        """Take in what is new, until nothing is."""
        try:
            while True:
                self._again = False
                session = self.session
                if self._index is None or not self._index.of(session.history):
                    self._index = EventIndex(session.history, self._wanted)
                index, scrubber = self._index, self.scrubber
                made = await asyncio.to_thread(
                    survey, session, index, scrubber.bins, scrubber.window, self._survey
                )
                if not self.is_mounted:
                    return
                if index is self._index:
                    self._survey = made
                    self._draw()
                if not (self._again or made.more):
                    if made.stale:
                        self.set_timer(EVERY, self.beat)
                    return
        except Exception as error:
            self.ringscope.tell(f"events could not be listed: {one_line(error)}", "fault")
        finally:
            self._busy = False

    def _draw(self) -> None:
        made, index, session = self._survey, self._index, self.session
        if made is None or index is None:
            return
        listed = self.events
        listed.progress = index.progress
        listed.about = self._about()
        listed.put(index.lines)
        live = session.tick is not None and session.tick.snapshot.state == "running" and not session.lent
        self.scrubber.put(
            Span(
                made.reach.first_time,
                made.reach.last_time,
                made.events,
                made.density,
                made.missing,
                self._tick.snapshot.time
                if self._tick is not None and self._tick.cursor is not None
                else None,
                live,
                made.known,
                session.tick.snapshot.time if session.tick is not None and live else 0,
                tuple(one.since for one in session.doctor.known if one.level > Level.INFO),
            )
        )

    def _about(self) -> str:
        words = [self._said] if self._said else []
        if self._wanted.queue is not None and not self._said:
            words.append(f"{self.session.queue_name(self._wanted.queue)} only")
        if not self._wanted.stores:
            words.append("stores folded")
        return " · ".join(words)

    # where it stands

    def fit_panes(self) -> None:
        """Give every pane its room for this size of the terminal and this device."""
        width, height = self.query_one(Whole).size
        queues = len(self._tick.snapshot.queues) if self._tick else 3
        key_ = (width, height, queues)
        if not width or not height or key_ == self._arranged:
            return
        self._arranged = key_
        wide = width >= _WIDE[0] and height >= _WIDE[1]
        tables = wide or height >= _TABLES
        self.query_one("#main").set_class(wide, "-wide")
        self.query_one("#tables").display = tables
        self.scrubber.styles.height = 6 if height >= _TABLES else 4
        above, flow = self.query_one(Queues), self.query_one(Flow)
        above.titled = flow.titled = tables
        above.styles.height = min(queues, 5 if tables else 3) + above.titled
        flow.styles.height = 3 + flow.titled
        self.query_one(Wheel).flat = False

    # moving

    @on(EventList.Chosen)
    def _chosen(self, message: EventList.Chosen) -> None:
        message.stop()
        self.ringscope.go_to(message.number)

    @on(EventList.Entered)
    async def _entered(self, message: EventList.Entered) -> None:
        message.stop()
        await self.ringscope.action_view("rings")

    @on(Scrubber.Sought)
    def _scrubbed(self, message: Scrubber.Sought) -> None:
        message.stop()
        self.ringscope.seek(to_time(message.at))

    @on(Scrubber.Zoomed)
    def _zoomed(self, message: Scrubber.Zoomed) -> None:
        message.stop()
        self.beat()

    @on(Queues.Chosen)
    def _queue_chosen(self, message: Queues.Chosen) -> None:
        self.ringscope.select(queue=message.queue, slot=None)

    @on(Wheel.Chosen)
    @on(Descriptors.Chosen)
    def _slot_chosen(self, message: Wheel.Chosen | Descriptors.Chosen) -> None:
        self.ringscope.select(slot=message.slot)

    @on(Descriptors.Said)
    def _told(self, message: Descriptors.Said) -> None:
        self.ringscope.tell(message.text)

    def action_scrub(self, columns: int) -> None:
        self.scrubber.move(columns)

    def toggle_follow(self) -> bool:
        """Live, or the newest event there is."""
        live = self.session.cursor is not None
        self.ringscope.go_to(None if live else self.session.history.reach.last or None)
        return live

    def copy_text(self) -> str | None:
        """The event whose moment is shown."""
        tick = self._tick
        if tick is None or tick.cursor is None or not len(tick.events.rows):
            return None
        return f"event {tick.cursor}: {clean(self.session.words(tick.events.rows[0]))}"

    def explanations(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        """What the help says of this screen."""
        yield "The past", _PAST
        yield "Choose events &", CHOICES

    # which events

    def _want(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._index = EventIndex(self.session.history, wanted)
        self._survey = None
        self.events.forget()
        self.beat()

    def step_queue(self, step: int) -> str:
        """Only the events of the next queue, or of all after the last; one line that says which."""
        tick = self.session.tick
        indices: list[int | None] = (
            [None, *(queue.index for queue in tick.snapshot.queues)] if tick else [None]
        )
        at = indices.index(self._wanted.queue) if self._wanted.queue in indices else 0
        queue = indices[(at + step) % len(indices)]
        self._said = ""
        self._want(Wanted(self._wanted.stores, queue, self._wanted.kinds, self._wanted.sides))
        if queue is None:
            return "the events of every queue are shown"
        self.ringscope.select(queue=queue, slot=None)
        return f"only the events of {clean(self.session.queue_name(queue))} are shown"

    def _queues(self) -> dict[str, int]:
        tick = self.session.tick
        return {queue.name: queue.index for queue in tick.snapshot.queues} if tick is not None else {}

    def _choice(self, text: str) -> Wanted:
        return choose(text, self._queues(), self._wanted.stores)

    def action_kinds(self) -> None:
        from inspector.prompt import Prompt

        prompt = Prompt("show which events", self._said, HINT, check=self._choice)
        self.app.push_screen(prompt, self._kinds)

    def _kinds(self, text: str | None) -> None:
        if text is not None:
            self._said = text
            self._want(self._choice(text))

    def action_clear(self) -> None:
        self._said = ""
        self._want(Wanted())

    def action_fold(self) -> None:
        wanted = self._wanted
        self._want(Wanted(not wanted.stores, wanted.queue, wanted.kinds, wanted.sides))
        self.ringscope.tell(
            "operations alone are shown" if wanted.stores else "every store is shown among the operations"
        )

    # searching

    def search(self) -> None:
        """Ask what to look for among the words of the events."""
        from inspector.prompt import Prompt

        hint = "words that stand in an event, or its number · enter goes to the next one · n N on and back"
        history = self.ringscope.remembered.searches
        self.app.push_screen(Prompt("search events", self._sought, hint, history=history), self._search)

    def _search(self, text: str | None) -> None:
        if not text:
            return
        self.ringscope.remember("searches", text)
        digits = text.replace(",", "")
        if digits.isdigit():
            self.ringscope.go_to(int(digits))
            return
        self._sought = text
        self.action_again(1)

    def action_again(self, way: int) -> None:
        if not self._sought:
            self.ringscope.tell("nothing was searched for yet: / asks")
            return
        self.run_worker(self._seek(way), group="search", exclusive=True, exit_on_error=False)

    async def _seek(self, way: int) -> None:
        app, session, lines = self.ringscope, self.session, self.events.held
        words = self._sought.lower().split()
        at = lines.line(session.cursor) if session.cursor is not None else (-1 if way > 0 else len(lines))
        found: int | None = None
        for start, stop in _pieces(at, len(lines), way):
            found = await asyncio.to_thread(look_for, session, lines, start, stop, words, way)
            if found is not None:
                break
            app.tell(f"searching for {self._sought}: line {stop if way > 0 else start:,}", "muted")
        if found is None:
            app.tell(f"no {'later' if way > 0 else 'earlier'} event says {self._sought!r}", "flux")
        else:
            app.tell(f"found: event {found:,}")
            app.go_to(found)


_PAST = (
    ("a column of the scrubber", "an equal share of the time that is kept; click, or ← and →"),
    ("▲ and a lighter column", "the moment that every screen shows"),
    ("╱", "events are missing here: they came faster than they could be kept; a pale column: some of them"),
    ("✗", "below a column: something began there that is among the findings; m there leads here"),
    ("!", "a queue was given up, a frame dropped, a fault acted"),
    ("· before the words", "a store to ring memory, at trace level stores"),
    ("× before the number", "events are missing between this line and the one above"),
    ("0", "back to live; the source has been read on all the while"),
)


def _pieces(at: int, end: int, way: int, size: int = 2048) -> Iterator[tuple[int, int]]:
    """Ranges of lines [start, stop) from beyond line `at` on, or back."""
    if way > 0:
        for start in range(at + 1, end, size):
            yield start, min(start + size, end)
    else:
        for stop in range(min(at, end), 0, -size):
            yield max(stop - size, 0), stop
