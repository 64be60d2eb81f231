"""The workshop: an editor on one side, what the judge says and the ring on the other.

A half of a ring is written in Python and tried against our other half; every load and store is judged. The
text is kept between visits and while it is written, and nothing that it does can hang the screen: it runs in
a process of its own, which ends with the screen.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import TextArea

from dataplane.records import EVENT
from dataplane.snapshot import Snapshot
from dataplane.source import START, Events
from dataplane.workshop import picture
from dataplane.workshop.judging import HALVES, Result, run
from inspector.learning import workbook
from inspector.screens.sheet import Sheet
from inspector.tick import Tick
from inspector.widgets.areas import Areas
from inspector.widgets.keys import key
from inspector.widgets.table import Descriptors
from inspector.widgets.verdict import Steps, Verdict

_BESIDE_AT = 100  #: columns from which the verdict stands beside the editor
_THREE_AT = 170  #: and from which the ring has a column of its own
_KEEP_EVERY = 2.0  #: seconds between two looks whether there is something new to keep


_KEYS: tuple[Binding, ...] = (
    Binding(
        "escape",
        "leave",
        "back",
        id="sheet.leave",
        show=True,
        tooltip="Back; your text is kept",
        priority=True,
    ),  # an editor would take it for itself
    key(
        "workshop.run",
        "ctrl+r,f5",
        "run",
        "run",
        "Run the tests, in order, until one is wrong; again: stop them",
        show=True,
    ),
    key("workshop.hint", "ctrl+t", "hint", "hint", "A hint for the test that is wrong", show=True),
    key(
        "workshop.solution",
        "ctrl+o",
        "solution",
        "solution",
        "Our solution, and back to your text",
        show=True,
    ),
    key(
        "workshop.skeleton",
        "ctrl+l",
        "skeleton",
        "skeleton",
        "Begin anew; ctrl+z brings yours back",
        show=True,
    ),
    key(
        "workshop.pane",
        "f6,ctrl+n",
        "pane",
        "pane",
        "The next pane: editor, what happened, ring",
        show=True,
    ),
)


class Editor(TextArea):
    """Where the half is written: keys are text here, so it has those of the workshop for its own."""

    BINDING_GROUP_TITLE = "Editor"
    BINDINGS: ClassVar[list[BindingType]] = [replace(one, action=f"screen.{one.action}") for one in _KEYS]


class WorkshopScreen(Sheet[bool]):
    """Writes one half; True where its text passed every test in this visit."""

    HELP = "Write a half of a ring; run it; read what is wrong, and at which line."
    BINDING_GROUP_TITLE = "Workshop"
    BINDINGS: ClassVar[list[BindingType]] = [*_KEYS]
    FOOT_FIRST = ("workshop.run", "workshop.hint", "workshop.solution", "workshop.pane", "sheet.leave")
    DEFAULT_CSS = """
    WorkshopScreen {
        #bench { height: 1fr; layout: horizontal; }
        #bench.-stacked { layout: vertical; }
        #editor { width: 1fr; height: 1fr; border: none; padding: 0; background: $surface; }
        #editor:focus { border: none; }
        #said { width: 50; height: 1fr; margin-left: 1; }
        #rings { width: 50; height: 1fr; margin-left: 1; }
        #bench.-stacked #said, #bench.-stacked #rings { width: 1fr; margin-left: 0; }
        #bench.-two { layout: grid; grid-size: 2 2; grid-columns: 1fr 50; grid-rows: 1fr 1fr; }
        #bench.-two #editor { row-span: 2; }
        #bench.-two #said, #bench.-two #rings { width: 1fr; }
        Verdict { height: auto; }
        Steps { height: 1fr; }
    }
    """

    def __init__(self, half: str) -> None:
        super().__init__()
        self.half = HALVES[half]
        self.passed = False
        self._busy = False
        self._stop = threading.Event()
        self._kept: str | None = None  #: the text that was kept last
        self._results: tuple[Result, ...] = ()
        self._own: str | None = None  #: the learner's text while the solution is shown
        self._shown = 0  #: of a narrow screen: which pane is unfolded below the editor
        self._hints = 0

    # the picture

    def body(self) -> Iterable[Widget]:
        text = workbook.load(self.half.name) or self.half.skeleton
        editor = Editor(text, id="editor", show_line_numbers=True, tab_behavior="indent", soft_wrap=True)
        driver = self.half.class_name == "Driver"
        yield Container(
            editor,
            Vertical(Verdict(self.half, id="verdict"), Steps(driver, id="steps"), id="said"),
            Vertical(Descriptors(id="table"), Areas(id="areas"), id="rings"),
            id="bench",
        )

    @property
    def editor(self) -> Editor:
        return self.query_one(Editor)

    def on_mount(self) -> None:
        super().on_mount()
        table = self.query_one(Descriptors)
        table.follow = False
        self.editor.focus()
        self.fit()
        self._kept = self.editor.text
        self.set_interval(_KEEP_EVERY, self._keep)

    def on_unmount(self) -> None:
        """Nothing runs on behind a screen that is gone, however it went."""
        self._stop.set()

    def on_resize(self, event: events.Resize) -> None:
        self.fit()

    def fit(self) -> None:
        """Give each pane its room for this size of the terminal."""
        bench = self.query_one("#bench")
        width, height = bench.size
        if not width or not height:
            return
        stacked, three = width < _BESIDE_AT, width >= _THREE_AT
        bench.set_class(stacked, "-stacked")
        bench.set_class(not stacked and not three, "-two")
        said, rings = self.query_one("#said"), self.query_one("#rings")
        rings.visible = bool(self._results)  # before a run there is no ring to show
        said.display = not stacked or self._shown == 0
        rings.display = not stacked or self._shown == 1
        below = max(height // 2, 9)
        for pane in (said, rings):
            pane.styles.height = below if stacked else "1fr"
        verdict = self.query_one(Verdict)
        columns = width if stacked else 49
        room = below if stacked else height if three else height // 2
        least = 4 if room > 10 else 0
        verdict.styles.height = max(3, verdict.needed(columns, room - least))
        table, areas = self.query_one(Descriptors), self.query_one(Areas)
        half = room // 2
        table.styles.height = min(half, 10) if not stacked else half
        areas.styles.height = "1fr"

    # running

    def action_run(self) -> None:
        if self._busy:
            self._stop.set()
            return
        self._busy, self._results = True, ()
        self._stop.clear()
        text = self.editor.text
        self._keep()
        self._said()
        self.run_worker(self._run(text, self._own is None), exit_on_error=False)

    async def _run(self, text: str, own: bool) -> None:
        """Runs on a thread; each test is shown as it ends."""
        loop = asyncio.get_running_loop()

        def told(result: Result) -> None:
            loop.call_soon_threadsafe(self._test_done, result)

        try:
            report = await asyncio.to_thread(run, text, self.half, told, stopped=self._stop.is_set)
        finally:
            self._busy = False
        if not self.is_attached:
            return
        self._results = report.results
        self._said()
        self.call_after_refresh(self.query_one(Steps).put, report.results[-1])
        wrong = report.wrong
        if wrong is not None:
            self._hints = 0
            if wrong.line:
                self._go_to(wrong.line)
        elif report.right:
            self.passed = self.passed or own
            words = (
                "every test is right"
                if own
                else "every test is right: of our solution; ctrl+o goes back to yours"
            )
            self.ringscope.tell(words, "used")
            self._said(tuple(f"Not judged: {text}" for text in self.half.not_judged))

    def _test_done(self, result: Result) -> None:
        if self.is_attached and self._busy:
            self._results = (*self._results, result)
            self._said()

    def _said(self, extra: tuple[str, ...] = ()) -> None:
        self.query_one(Verdict).put(self._results, self._busy, extra)
        self.fit()

    def _go_to(self, number: int) -> None:
        """The cursor to a line of the text, in the middle of the editor."""
        last = self.editor.document.line_count - 1
        self.editor.move_cursor((min(number - 1, last), 0), center=True)

    @on(Steps.Moved)
    def _moved(self, message: Steps.Moved) -> None:
        steps = self.query_one(Steps)
        result = steps.result
        if result is None or result.shape is None or not result.steps:
            return
        at = message.at
        now = picture.snapshot(result.shape, result.steps[at].moment, at + 1)
        before = picture.snapshot(result.shape, result.steps[max(at - 1, 0)].moment, max(at, 1))
        tick = _tick(now, before)
        for pane in (self.query_one(Descriptors), self.query_one(Areas)):
            pane.selected = 0
            pane.show(tick)
        if steps.has_focus and result.steps[at].line:
            self._go_to(result.steps[at].line)

    # what keys do

    def action_hint(self) -> None:
        hints = self._hints_now()
        if not hints:
            self.ringscope.tell(
                "run it first: ctrl+r" if not self._results else "there is nothing to hint at"
            )
            return
        self._said((hints[self._hints % len(hints)],))
        self._hints += 1

    def _hints_now(self) -> tuple[str, ...]:
        """Of the test that is wrong, or of the first."""
        wrong = self._results[-1] if self._results else None
        if wrong is not None and wrong.wrong is None:
            return ()
        name = wrong.task.name if wrong else self.half.tasks[0].name
        return self.half.hints.get(name, ())

    def action_solution(self) -> None:
        if self._own is None:
            self._keep()
            self._own = self.editor.text
            self.editor.load_text(self.half.solution)
            self.editor.read_only = True
            self.ringscope.tell("this is our solution, one of many; ctrl+o goes back to your text")
        else:
            own, self._own = self._own, None
            self.editor.read_only = False
            self.editor.load_text(own)
            self.ringscope.tell("this is your text")

    def action_skeleton(self) -> None:
        if self._own is not None:
            self.ringscope.tell("ctrl+o goes back to your text first")
            return
        editor = self.editor
        editor.replace(self.half.skeleton, (0, 0), editor.document.end)
        editor.move_cursor((0, 0))
        self.ringscope.tell("begun anew; ctrl+z brings your text back")

    def action_pane(self) -> None:
        bench = self.query_one("#bench")
        rings: list[Widget] = [self.query_one(Descriptors), self.query_one(Areas)]
        panes = [self.editor, self.query_one(Steps), *(rings if self._results else [])]
        focused = self.focused
        at = next((i for i, pane in enumerate(panes) if pane is focused), 0)
        chosen = panes[(at + 1) % len(panes)]
        if bench.has_class("-stacked") and chosen is not self.editor:
            self._shown = 0 if isinstance(chosen, Steps) else 1
            self.fit()
        chosen.focus()

    def action_leave(self) -> None:
        self._keep()
        self.dismiss(self.passed)

    def _keep(self) -> None:
        """Keep the learner's text where it has changed."""
        text = self.editor.text
        if self._own is not None or text == self._kept:
            return
        self._kept = text
        if wrong := workbook.save(self.half.name, text):
            self.ringscope.tell(wrong, "flux")


def _tick(now: Snapshot, before: Snapshot) -> Tick:
    """A picture of a moment that no source gave."""
    return Tick(
        snapshot=now,
        previous=before,
        meters={},
        events=Events(np.zeros(0, EVENT), START, 0),
        frames_added=0,
        frames_lost=0,
        frames_lost_now=0,
        frames_filtered=0,
        hertz=0.0,
        missed=0,
    )
