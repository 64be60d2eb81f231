"""All lessons, and what is done of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip

from inspector.learning import lesson as lessons
from inspector.learning.lesson import Lesson
from inspector.remembered import Progress
from inspector.sanitise import clean
from inspector.widgets.filling import parts
from inspector.widgets.pane import Piece, ScrollPane, line


def state(lesson: Lesson, progress: Progress | None) -> tuple[str, str]:
    """A sign and words for how far a lesson is."""
    if progress is None:
        return " ", ""
    if progress.done:
        return "✓", "done"
    return "▸", f"page {progress.page + 1} of {len(lesson.pages)}"


def next_lesson(progress: Mapping[str, Progress]) -> Lesson:
    """The first lesson that is not done."""
    shelf = lessons.shelf()
    return next((one for one in shelf if not progress.get(one.name, Progress()).done), shelf[0])


class Shelf(ScrollPane):
    """One line a lesson; the words on the chosen one below."""

    BINDING_GROUP_TITLE = "Lessons"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="lessons.up", show=False, tooltip="The lesson above"),
        Binding("down,j", "move(1)", "down", id="lessons.down", show=False, tooltip="The lesson below"),
        Binding("home,g", "move(-999)", "first", id="lessons.first", show=False, tooltip="The first lesson"),
        Binding("end,G", "move(999)", "last", id="lessons.last", show=False, tooltip="The last lesson"),
    ]
    HEAD = 0
    DEFAULT_CSS = "Shelf { height: 1fr; background: $surface; }"

    def __init__(self, progress: Mapping[str, Progress], current: str) -> None:
        super().__init__()
        self.lessons = lessons.shelf()
        self.progress = progress
        self.at = next((i for i, one in enumerate(self.lessons) if one.name == current), 0)

    def on_mount(self) -> None:
        self.set_lines(len(self.lessons))
        self.call_after_refresh(self.reveal, self.at)

    def render_line(self, y: int) -> Strip:
        at, ink, width = self.top + y, self.ink, self.size.width
        if at >= len(self.lessons):
            return line(width, [], ink("text"))
        one = self.lessons[at]
        ground = "selected" if at == self.at else "surface"
        sign, words = state(one, self.progress.get(one.name))
        title = clean(one.title)
        gap = max(width - len(title) - len(words) - 9, 1)
        pieces: list[Piece] = [
            ("▌" if at == self.at else " ", ink("accent", ground)),
            (f"{one.number:>2} ", ink("muted", ground)),
            (f"{sign} ", ink("used" if sign == "✓" else "accent", ground)),
            (title, ink("strong" if at == self.at else "text", ground)),
            (" " * gap, ink("text", ground)),
            (words, ink("used" if sign == "✓" else "muted", ground)),
        ]
        return line(width, pieces, ink("text", ground))

    def action_move(self, step: int) -> None:
        self.at = min(max(self.at + step, 0), len(self.lessons) - 1)
        self.reveal(self.at)
        self.screen.query_one(About).put(self.lessons[self.at])

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y
        if at < len(self.lessons):
            again = at == self.at
            self.action_move(at - self.at)
            if again:
                self.screen.dismiss(self.lessons[at].name)


class About(ScrollPane, can_focus=False):
    """What the chosen lesson is about."""

    HEAD = 0
    DEFAULT_CSS = "About { height: 2; background: $surface; margin-top: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def put(self, one: Lesson) -> None:
        self._text = clean(one.about)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        lines = parts(self._text, max(self.size.width - 2, 8), 2)
        text = f" {lines[y]}" if y < len(lines) else ""
        return line(self.size.width, [(text, self.ink("muted"))], self.ink("text"))


class LessonList(ModalScreen[str]):
    """Returns the name of the lesson chosen, "" to leave the lessons for `origin`; None: nothing."""

    BINDING_GROUP_TITLE = "Lessons"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="lessons.open", tooltip="Open this lesson where you left it"),
        Binding("escape", "leave", "back", id="lessons.back", tooltip="Back to where you were"),
        Binding(
            "x", "away", "leave the lessons", id="lessons.away", tooltip="Back to the rings you came from"
        ),
        Binding("q", "app.quit", "quit", id="lessons.quit", tooltip="Leave ringscope"),
    ]
    DEFAULT_CSS = """
    LessonList { align: center middle; background: $background 35%; }
    #lessons {
        width: 92%; max-width: 76; height: 21; max-height: 92%; padding: 0 1;
        background: $surface; border: round $primary 60%;
        border-title-color: $primary; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, progress: Mapping[str, Progress], current: str, origin: str = "") -> None:
        super().__init__()
        self._progress, self._current, self._origin = progress, current, origin

    def compose(self) -> ComposeResult:
        with Container(id="lessons") as box:
            box.border_title = "lessons"
            away = f" · x leave for {clean(self._origin)}" if self._origin else ""
            box.border_subtitle = f"↑ ↓ choose · enter open · esc back{away} · q quit"
            yield Shelf(self._progress, self._current)
            yield About()

    def on_mount(self) -> None:
        shelf = self.query_one(Shelf)
        shelf.focus()
        self.query_one(About).put(shelf.lessons[shelf.at])

    def action_choose(self) -> None:
        shelf = self.query_one(Shelf)
        self.dismiss(shelf.lessons[shelf.at].name)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_away(self) -> None:
        if self._origin:
            self.dismiss("")
