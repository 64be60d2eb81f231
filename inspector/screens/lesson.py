"""A lesson: prose on one side, the pair it speaks of on the other.

The panes are those of the other screens, over a small frozen pair of the lesson's own. While a lesson is open
that pair is the app's source, so that every screen shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Input

from dataplane.source import RingSource
from inspector.learning import lesson as lessons
from inspector.learning.course import Course, Said
from inspector.learning.lesson import PANES, Lesson, LessonError
from inspector.remembered import Progress
from inspector.sanitise import one_line
from inspector.screens.lessonlist import LessonList, next_lesson
from inspector.screens.lessonrows import (
    RING_LEAST,
    TITLED_AT,
    Framed,
    looked_at,
    needed,
    opened_tables,
    rows_of,
)
from inspector.tick import Selection, Tick
from inspector.widgets.answer import Answer, Table
from inspector.widgets.areas import Areas
from inspector.widgets.flow import Flow
from inspector.widgets.keys import key
from inspector.widgets.marking import NONE
from inspector.widgets.notify import Notifications
from inspector.widgets.pane import Pane
from inspector.widgets.prose import Onward, Prose, next_words
from inspector.widgets.queues import Queues
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import Wheel

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_BESIDE_AT = 100  #: columns from which prose and ring stand beside each other
_PROSE = (45, 64)  #: columns of the prose there, least and most
_SECONDS = 3.0  #: that a step may take

Result = TypeVar("Result")


_key = partial(key, show=True)


class LessonScreen(Screen[None]):
    """One lesson, page by page."""

    HELP = "A lesson: read, press enter, look at what changed."
    BINDING_GROUP_TITLE = "Lesson"
    FOOT_FIRST: ClassVar[tuple[str, ...]] = ("lesson.on", "lesson.step", "lesson.back", "lesson.list")
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("lesson.on", "enter", "on", "on", "The next step, the next question, the next page"),
        _key("lesson.step", "s", "step", "step", "The lesson's next step; where you drive: one of yours"),
        _key("lesson.back", "backspace", "back", "back", "The beginning of this page, or the page before"),
        _key("lesson.list", "escape", "list", "lessons", "All lessons, and what is done"),
        _key("lesson.solve", "ctrl+n", "solve", "show me", "Show the answer, or have it done for you"),
        _key("lesson.pane", "tab", "pane(1)", "pane", "The next pane; unfolds it where it is hidden"),
        key("lesson.pane_back", "shift+tab", "pane(-1)", "pane back", "The pane before"),
    ]
    DEFAULT_CSS = """
    LessonScreen {
        #lesson { height: 1fr; layout: horizontal; }
        #lesson.-stacked { layout: vertical; }
        #left { width: 46; height: 1fr; }
        #lesson.-stacked #left { width: 1fr; }
        #right { width: 1fr; height: 1fr; }
        Prose { height: 1fr; }
        Answer { height: 1; border: none; padding: 0 1; background: $panel-lighten-1; display: none; }
        Answer.-asked { display: block; }
        Answer:focus { border: none; }
        Framed { height: 1; border-left: blank; }
        Framed.-lit { border-left: thick $accent; }
        .-stacked Framed { border-left: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.course: Course | None = None
        self._origin: RingSource | None = None  #: what the app looked at before the lessons
        self._ours = False  #: whether the app looks at a pair of ours
        self._rested = False  #: whether the origin was running, and was put to rest
        self._stacked = False
        self._turned: str | None = None  #: the pane that the reader unfolded
        self._slot: int | None = None
        self._working = False  #: whether another thread has the course

    def compose(self) -> ComposeResult:
        with Container(id="lesson"):
            with Vertical(id="left"):
                yield Prose(id="prose")
                yield Answer(id="answer")
                yield Onward(id="onward")
            with Vertical(id="right"):
                for name, pane in (
                    ("queues", Queues()),
                    ("flow", Flow()),
                    ("wheel", Wheel()),
                    ("table", Table()),
                    ("areas", Areas()),
                    ("notifications", Notifications()),
                ):
                    with Framed(id=f"frame-{name}"):
                        yield pane

    # life

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def on_mount(self) -> None:
        self.query_one(Prose).focus()
        if self.course is None:
            self.run_worker(self._begin())

    async def _begin(self) -> None:
        """The lesson that was asked for, or the next one under the list of all."""
        asked = self.ringscope.lesson
        try:
            chosen = lessons.find(asked) if asked else next_lesson(self.ringscope.remembered.lessons)
        except LessonError as error:
            self.ringscope.tell(str(error), "fault")
            return
        await self.open(chosen)
        if asked is None:
            self.action_list()

    async def open(self, lesson: Lesson) -> None:
        """Open a lesson where it was left; at its first page where it was done."""
        known = self.ringscope.remembered.lessons.get(lesson.name, Progress())
        old = self.course
        try:
            self.course = await self._work(lambda: Course(lesson, 0 if known.done else known.page))
        except (LessonError, TimeoutError) as error:
            self.ringscope.tell(one_line(error), "fault")
            return
        await self._settle(Said(""))
        if old is not None:
            await asyncio.to_thread(old.close)

    async def leave(self) -> None:
        """Give the app back the source it had; the lesson's pair ends."""
        origin, self._origin = self._origin, None
        course, self.course = self.course, None
        self._ours = False
        if origin is not None:
            await self.ringscope.change_source(origin, owns=False, view="rings")
            if origin.control is not None and self._rested:
                await asyncio.to_thread(origin.control.run)
        if course is not None:
            await asyncio.to_thread(course.close)

    def on_unmount(self) -> None:
        if self.course is not None:
            self.course.close()

    def source_changed(self) -> None:
        """The app looks at another pair: the lesson's next one, or no lesson's at all."""

    async def _work(self, act: Callable[[], Result]) -> Result:
        """Do something to the pair on a thread of its own: a side that hangs must not hang the screen."""
        self._working = True
        try:
            return await asyncio.wait_for(asyncio.to_thread(act), _SECONDS)
        finally:
            self._working = False

    async def _do(self, act: Callable[[Course], Said]) -> None:
        course = self.course
        if course is None:
            return
        try:
            said = await self._work(lambda: act(course))
        except TimeoutError:
            said = Said("the pair did not answer in three seconds", "fault")
        except (LessonError, RuntimeError, LookupError, ValueError, OSError) as error:
            said = Said(one_line(error), "fault")
        await self._settle(said)

    async def _settle(self, said: Said) -> None:
        """Show where the reader is now, and let the rest of the app look at the lesson's pair."""
        course = self.course
        if course is None:
            return
        app = self.ringscope
        if app.session.source is not course.pair:
            await self._come_from(app.session.source)
            await app.change_source(course.pair, owns=False)
        app.session.badges["lesson"] = (f"5 lesson {course.lesson.number}", "accent")
        if app.session.selection.queue != course.bench.shape.index:
            app.select(queue=course.bench.shape.index, slot=None)
        await asyncio.to_thread(course.sweep)
        app.remember_lesson(course.lesson.name, Progress(course.at, course.finished))
        self.paint()
        if said.text:
            app.tell(said.text, said.style)

    async def _come_from(self, source: RingSource) -> None:
        """Keep the source that the app had before the lessons, at rest meanwhile."""
        if self._ours or self.ringscope.first_view == "lesson":
            return
        self._ours, self._origin = True, source
        control = source.control
        self._rested = control is not None and not control.frozen
        if control is not None and self._rested:
            await asyncio.to_thread(control.freeze)

    # what is shown

    def show(self, tick: Tick) -> None:
        """A reading of the app's: of the lesson's pair where somebody drove it, or of its past."""
        course = self.course
        if course is None or self.ringscope.session.source is not course.pair:
            return
        newer = tick.cursor is None and tick.snapshot.number > course.tick.snapshot.number
        if newer and not self._working and course.reached():
            self.ringscope.remember_lesson(course.lesson.name, Progress(course.at, course.finished))
            self.paint()
        elif newer or tick.cursor is not None:
            self._show_panes(tick)

    def selection_changed(self, selection: Selection) -> None:
        """Highlight the slot that is selected."""
        self._slot = selection.slot
        self.query_one(Wheel).slot = selection.slot
        self.query_one(Table).reveal(selection.slot)

    def copy_text(self) -> str | None:
        """The page as plain text."""
        if self.course is None:
            return None
        return "\n\n".join([self.course.page.title, *(shown.prose for shown in self.course.shown)])

    def paint(self) -> None:
        """Everything anew: the reader has moved."""
        course = self.course
        if course is None or not self.is_mounted:
            return
        self.query_one(Prose).put(course)
        self.query_one(Onward).put(next_words(course))
        answer = self.query_one(Answer)
        asked = course.waits and course.part.part.kind == "question"
        answer.set_class(asked, "-asked")
        question = course.part.part.question
        if asked and question is not None:
            if not answer.has_focus:
                answer.value = ""
                answer.focus()
        elif answer.has_focus:
            self.query_one(Prose).focus()
        self._turned = None
        table = self.query_one(Table)
        table.opened[course.bench.shape.index] = opened_tables(course)
        self.fit_panes()
        if asked and question is not None:
            answer.prompt(question.asked, self.query_one("#frame-table").display)
        self._show_panes(course.tick)

    def _show_panes(self, tick: Tick) -> None:
        course = self.course
        if course is None:
            return
        marks = course.marks if tick is course.tick else NONE  # else somebody else moved the pair
        tick = replace(tick, findings=())  # what is wrong is for the reader to find
        for pane in self.query("#right Pane").results(Pane):
            pane.selected = course.bench.shape.index
            pane.show(tick)
            if isinstance(pane, Table):
                pane.light(marks, course.bench.shape.table_entries)
            elif isinstance(pane, Areas):
                pane.light(marks)

    # where it stands

    def on_resize(self, event: events.Resize) -> None:
        self.fit_panes()

    def fit_panes(self) -> None:
        """Give prose and panes their room for this size of the terminal and this page."""
        course = self.course
        body = self.query_one("#lesson")
        width, height = body.size
        if course is None or not width or not height:
            return
        self._stacked = width < _BESIDE_AT
        body.set_class(self._stacked, "-stacked")
        left, right = self.query_one("#left"), self.query_one("#right")
        if self._stacked:
            extra = 1 + self.query_one(Answer).has_class("-asked")
            tight, airy = self.query_one(Prose).needed(width)
            most = height - needed(course, self._turned, width)
            rows = min((airy if airy + extra <= most else tight) + extra, height - RING_LEAST)
            left.styles.width, left.styles.height = "1fr", rows
            space = (width, height - rows)
        else:
            columns = max(_PROSE[0], min(width * 2 // 5, _PROSE[1]))
            left.styles.width, left.styles.height = columns, "1fr"
            space = (width - columns - 1, height)
        right.styles.height = "1fr"
        self._place(course, *space)

    def _place(self, course: Course, width: int, height: int) -> None:
        looked = looked_at(course, self._turned)
        given, round_ = rows_of(course, looked, width, height)
        for name in PANES:
            frame = self.query_one(f"#frame-{name}")
            frame.display = name in given
            frame.set_class(name in looked, "-lit")
            rows = given.get(name, 1)
            frame.styles.height = rows
            pane = frame.query_one(Pane)
            pane.titled = rows >= TITLED_AT.get(name, 4)
            if isinstance(pane, Wheel):
                pane.flat = not round_
            if isinstance(pane, Descriptors):
                pane.mapped = False

    # what keys do

    async def action_on(self) -> None:
        course = self.course
        if course is None:
            return
        part = course.part.part
        if course.waits and part.kind == "workshop":
            self._workshop(part.half)
        elif course.finished:
            await self._next()
        else:
            await self._do(lambda course: course.on())

    async def action_step(self) -> None:
        course = self.course
        if course is not None and course.waits and course.part.part.kind == "free":
            self.ringscope.action_step()
        elif course is not None and not course.page_done:
            await self.action_on()
        else:
            self.ringscope.tell("this page has no further step: enter goes on")

    async def action_back(self) -> None:
        await self._do(lambda course: course.back())

    async def action_solve(self) -> None:
        await self._do(lambda course: course.solve())

    @on(Input.Submitted, "#answer")
    async def _answered(self, message: Input.Submitted) -> None:
        course, text = self.course, message.value.strip()
        message.stop()
        if course is None:
            return
        if not text:
            self.ringscope.tell("type an answer and press enter; ctrl+n shows it")
            return
        await self._work(lambda: course.answer(text))
        message.input.value = ""
        await self._settle(Said(""))

    async def _next(self) -> None:
        course = self.course
        following = [one for one in lessons.shelf() if course and one.number > course.lesson.number]
        if following:
            await self.open(following[0])
        else:
            self.action_list()

    def action_list(self) -> None:
        current = self.course.lesson.name if self.course else ""
        from_where = self._origin.identity.name if self._origin is not None else ""
        self.app.push_screen(LessonList(self.ringscope.remembered.lessons, current, from_where), self._listed)

    async def _listed(self, name: str | None) -> None:
        if name == "":
            await self.leave()
        elif name is not None:
            await self.open(lessons.find(name))

    def _workshop(self, half: str) -> None:
        from inspector.screens.workshop import WorkshopScreen

        self.app.push_screen(WorkshopScreen(half), self._built)

    async def _built(self, passed: bool | None) -> None:
        if passed and self.course is not None:
            self.course.achieved()
        await self._settle(Said("every test passed", "used") if passed else Said(""))

    def action_pane(self, way: int) -> None:
        """The next pane; where only some have room, the next of all takes it."""
        names = ["table", "areas", "notifications", "flow", "wheel"]
        shown = [name for name in names if self.query_one(f"#frame-{name}").display]
        if self._stacked or len(shown) < len(names):
            at = names.index(self._turned) + way if self._turned in names else 0
            self._turned = names[at % len(names)]
            self.fit_panes()
            if self.course is not None:
                self._show_panes(self.course.tick)
        elif way > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_slot(self, by: int) -> None:
        """While a slot is asked for: choose it in the table."""
        course = self.course
        question = course.part.part.question if course else None
        if course is None or question is None or question.asked != "slot":
            return
        size = course.bench.shape.size
        slot = 0 if self._slot is None else (self._slot + by) % size
        self._choose(slot)

    def _choose(self, slot: int) -> None:
        self.ringscope.select(slot=slot)
        answer = self.query_one(Answer)
        question = self.course.part.part.question if self.course else None
        if answer.has_class("-asked") and question is not None and question.asked == "slot":
            answer.value = str(slot)
            answer.focus()

    @on(Wheel.Chosen)
    @on(Descriptors.Chosen)
    def _slot_chosen(self, message: Wheel.Chosen | Descriptors.Chosen) -> None:
        self._choose(message.slot)

    @on(Descriptors.Said)
    def _said(self, message: Descriptors.Said) -> None:
        self.ringscope.tell(message.text)
