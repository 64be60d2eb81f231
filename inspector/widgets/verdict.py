"""What the workshop says of a half: tests, the first thing that is wrong, everything that happened."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.workshop.bench import Step
from dataplane.workshop.judging import Half, Report, Result
from inspector.sanitise import clean
from inspector.widgets.keys import key
from inspector.widgets.pane import Pane, Piece, ScrollPane, line, title

_SIGNS = {"call": "▸", "access": " ", "print": "»", "ours": "◂"}


class Verdict(Pane):
    """The tests one by one, and what is wrong with the first that is."""

    HELP = (
        "The tests of the half: ✓ right, ✗ wrong, · not run yet; what is wrong, and the section that says so."
    )
    BINDING_GROUP_TITLE = "Verdict"

    def __init__(self, half: Half, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.half = half
        self.results: tuple[Result, ...] = ()
        self.running = False
        self.extra: tuple[str, ...] = ()  #: a hint, or what is not judged

    def put(self, results: tuple[Result, ...], running: bool, extra: tuple[str, ...] = ()) -> None:
        """Show what is known by now."""
        self.results, self.running, self.extra = results, running, extra
        self.redraw()

    @property
    def report(self) -> Report:
        return Report(self.half, self.results)

    def needed(self, width: int, most: int) -> int:
        """Lines that it takes where there are at most so many."""
        lines = len(self._lines(width)) + 1
        return lines if lines <= most else min(len(self._words(width)) + 2, most)

    def draw(self, width: int, height: int) -> list[Strip]:
        ink = self.ink
        report, count = self.report, len(self.half.tasks)
        right = sum(result.wrong is None for result in self.results)
        if self.running:
            state: Piece = (f"running, {right} of {count} right", ink("available", "panel"))
        elif not self.results:
            state = (f"{count} tests", ink("muted", "panel"))
        elif report.right:
            state = (f"all {count} are right", ink("used", "panel"))
        else:
            state = (f"{right} of {count} right", ink("fault", "panel"))
        strips = [title(ink, width, "tests", [state], self.has_focus)]
        lines = self._lines(width)
        if len(lines) > height - 1:  # the marks of all tests in one line leave room for the words
            lines = [self._marks(), *self._words(width)]
        return (strips + [line(width, pieces, ink("text")) for pieces in lines])[:height]

    def _lines(self, width: int) -> list[list[Piece]]:
        return [*self._tests(width), *self._words(width)]

    def _sign(self, at: int) -> Piece:
        if at >= len(self.results):
            return ("·", self.ink("muted"))
        wrong = self.results[at].wrong is not None
        return ("✗", self.ink("fault")) if wrong else ("✓", self.ink("used"))

    def _tests(self, width: int) -> list[list[Piece]]:
        ink, found = self.ink, []
        most = max(len(task.name) for task in self.half.tasks)
        for at, task in enumerate(self.half.tasks):
            done = at < len(self.results)
            pieces: list[Piece] = [(" ", ink("text")), self._sign(at)]
            pieces.append((f" {task.name:<{most}}", ink("text" if done else "muted")))
            if len(task.about) + most + 6 <= width:
                pieces.append((f"  {task.about}", ink("muted")))
            found.append(pieces)
        return found

    def _marks(self) -> list[Piece]:
        ink = self.ink
        pieces: list[Piece] = [(" ", ink("text"))]
        for at in range(len(self.half.tasks)):
            pieces += [self._sign(at), (" ", ink("text"))]
        if self.results:
            pieces.append((self.results[-1].task.name, ink("text")))
        return pieces

    def _words(self, width: int) -> list[list[Piece]]:
        ink = self.ink
        found: list[list[Piece]] = []

        def say(text: str, meaning: str, head: str = "", style: str = "") -> None:
            room = max(width - 2 - len(head), 20)
            for i, row in enumerate(wrap(clean(text), room) or [""]):
                first: Piece = (f" {head if not i else ' ' * len(head)}", ink(style or meaning))
                found.append([first, (row, ink(meaning))])

        wrong = self.report.wrong
        if wrong is not None:
            say(wrong.what, "text", f"line {wrong.line}  " if wrong.line else "", "fault")
            if wrong.would:
                say(wrong.would, "muted")
            if wrong.section:
                say(f"VIRTIO 1.3, {wrong.section}", "accent")
        elif self.report.right:
            say("This half does everything right that is judged here.", "used")
        for advice in dict.fromkeys(a for result in self.results for a in result.advice):
            say(advice, "muted", "advice: ", "flux")
        for text in self.extra:
            say(text, "text")
        return found


class Steps(ScrollPane):
    """Everything that happened in the test run last, line by line; the ring beside shows the moment."""

    HELP = "Calls ▸, your loads and stores, what the other half did ◂, what you printed »."
    BINDING_GROUP_TITLE = "What happened"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("steps.up", "up,k", "move(-1)", "up", "The step before", show=True),
        key("steps.down", "down,j", "move(1)", "down", "The next step", show=True),
        key("steps.pageup", "pageup", "move(-10)", "page up", "Ten steps back"),
        key("steps.pagedown", "pagedown", "move(10)", "page down", "Ten steps on"),
        key("steps.first", "g,home", "move(-100000)", "first", "The first step"),
        key("steps.last", "G,end", "move(100000)", "last", "The last step"),
    ]

    class Moved(Message):
        """Another step is chosen."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    def __init__(self, driver: bool, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.result: Result | None = None
        self.at = 0
        self._wrong = -1
        self.driver = driver  #: the half that is judged is a driver

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.result.steps if self.result else ()

    def put(self, result: Result) -> None:
        """Show a test; the step to blame is chosen, or the last."""
        self.result = result
        access = result.wrong.access if result.wrong else 0
        self._wrong = next((i for i, s in enumerate(result.steps) if access and s.access == access), -1)
        self.set_lines(len(result.steps))
        self.at = self._wrong if self._wrong >= 0 else max(len(result.steps) - 1, 0)
        self.reveal(self.at)
        self.post_message(self.Moved(self.at))

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        if y == 0:
            name = self.result.task.name if self.result else "nothing was run yet"
            return title(ink, width, "what happened", [(clean(name), ink("muted", "panel"))], self.has_focus)
        at = self.top + y - 1
        if at >= len(self.steps):
            return line(width, [], ink("text"))
        step = self.steps[at]
        ground = "selected" if at == self.at else "surface"
        meaning = {"call": "accent", "access": "text", "print": "flux", "ours": self._others}[step.kind]
        sign: Piece = (
            ("!", ink("fault", ground)) if at == self._wrong else (_SIGNS[step.kind], ink(meaning, ground))
        )
        where = f"{step.line:>4} " if step.line else "     "
        indent = "  " if step.kind in ("access", "print") else ""
        pieces: list[Piece] = [
            (where, ink("muted", ground)),
            sign,
            (f" {indent}{clean(step.text)}", ink(meaning, ground)),
        ]
        return line(width, pieces, ink("text", ground))

    @property
    def _others(self) -> str:
        """The colour of the side that is ours."""
        return "device" if self.driver else "driver"

    def action_move(self, by: int) -> None:
        if self.steps:
            self.at = max(0, min(self.at + by, len(self.steps) - 1))
            self.reveal(self.at)
            self.post_message(self.Moved(self.at))
