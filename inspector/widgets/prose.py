"""The page of a lesson: what has been reached of it, the newest part lit, and the key that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.strip import Strip

from dataplane.records import Side
from inspector.learning.lesson import Part
from inspector.learning.prose import lay
from inspector.sanitise import clean
from inspector.widgets.keys import key
from inspector.widgets.pane import Ink, Inked, Pane, Piece, line, merged

if TYPE_CHECKING:
    from inspector.learning.course import Course, Shown

_LETTERS = "abcdefgh"


def page_lines(ink: Ink, course: Course, width: int, airy: bool) -> list[list[Piece]]:
    """The page without its head, in lines of at most `width` cells, gutter included."""
    room = width - 3
    lines: list[list[Piece]] = [[(" ", ink("text")), (clean(course.page.title), ink("strong", bold=True))]]
    for i, shown in enumerate(course.shown):
        newest = i == len(course.shown) - 1
        body = part_lines(ink, shown, room, airy, newest)
        if not body:
            continue
        if airy:
            lines.append([])
        side = _side(shown.part)
        bar = "▌" if newest and course.shown[1:] else "▏" if side else " "
        style = ink(side) if side else ink("accent" if newest else "muted")
        lines += [[(bar, style), (" ", ink("text")), *text] for text in body]
    return lines


def _side(part: Part) -> str:
    """Who moves in a part: "driver", "device", or "" where both or neither do."""
    sides: frozenset[Side] = frozenset().union(*(verb.sides for verb in part.verbs))
    if part.kind != "step" or len(sides) != 1:
        return ""
    return "driver" if sides == {Side.DRIVER} else "device"


def part_lines(ink: Ink, shown: Shown, width: int, airy: bool, newest: bool) -> list[list[Piece]]:
    """One part: its prose, the options of a choice, what was said to the answer."""
    lines = lay(ink, shown.prose, width, meaning="text" if newest else "muted", airy=airy)
    for letter, option in zip(_LETTERS, shown.options, strict=False):
        told = lay(ink, option, width - 3, meaning="text" if newest else "muted", airy=False)
        for i, text in enumerate(told):
            lines.append([(f"{letter}  " if i == 0 else "   ", ink("accent", bold=True)), *text])
    if shown.reply:
        sign, meaning = {"right": ("✓", "used"), "shown": ("→", "text"), "done": ("✓", "used")}.get(
            shown.state, ("✗", "flux")
        )
        told = lay(ink, shown.reply, width - 2, airy=False)
        lines += [[(f"{sign} " if i == 0 else "  ", ink(meaning, bold=True)), *t] for i, t in enumerate(told)]
    elif shown.part.kind == "free" and shown.state != "open":
        lines.append([("✓ ", ink("used", bold=True)), ("there it is", ink("used"))])
    return lines


def next_words(course: Course) -> tuple[tuple[str, str], ...]:
    """(key, what it does now) for the line that is always there."""
    part = course.part
    back = ("backspace", "back") if course.at or len(course.shown) > 1 else ("esc", "all lessons")
    if course.waits:
        match part.part.kind:
            case "question":
                return (("enter", "answers"), ("ctrl+n", "shows it"), back)
            case "free":
                return (("s", "steps"), ("enter", "goes on"), ("ctrl+n", "does it for you"), back)
            case _:
                return (("enter", "opens the workshop"), ("ctrl+n", "goes on without"), back)
    if course.finished:
        return (("enter", "the next lesson"), ("esc", "all lessons"), back)
    if course.page_done:
        return (("enter", "next page"), back)
    following = course.page.parts[len(course.shown)]
    return (("enter", _what(following)), back)


def _what(part: Part) -> str:
    if part.kind == "question":
        return "a question"
    if part.kind == "step" and part.verbs and all(verb.act == "frames" for verb in part.verbs):
        who = "driver" if part.verbs[0].side == Side.DRIVER else "device"
        return f"gives the {who} a frame" if part.verbs[0].count == 1 else f"gives the {who} frames"
    side = _side(part)
    return f"the {side} goes on" if side else "goes on"


class Prose(Pane):
    """The text of the page; scrolls by itself so that the newest part is in sight."""

    HELP = "The lesson. `enter` goes on, one thing at a time; `backspace` goes back."
    BINDING_GROUP_TITLE = "Lesson"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("prose.up", "up,k,pageup", "scroll_text(-5)", "up", "Earlier on this page, where it is long"),
        key("prose.down", "down,j,pagedown", "scroll_text(5)", "down", "Further down on this page"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.course: Course | None = None
        self._up = 0  #: lines scrolled back from the newest

    def put(self, course: Course) -> None:
        """Show where this reader is."""
        self.course = course
        self._up = 0
        self.redraw(everything=True)

    def needed(self, width: int) -> tuple[int, int]:
        """Lines that the page needs: without empty lines between paragraphs, and with them."""
        if self.course is None:
            return 1, 1
        return tuple(len(page_lines(self.ink, self.course, width, airy)) + 1 for airy in (False, True))  # type: ignore[return-value]

    def draw(self, width: int, height: int) -> list[Strip]:
        course = self.course
        if course is None:
            return []
        ink = self.ink
        lines = page_lines(ink, course, width, True)
        if len(lines) > height - 1:
            lines = page_lines(ink, course, width, False)
        room = height - 1
        over = len(lines) - room
        if over > 0:
            self._up = max(0, min(self._up, over))
            start = over - self._up
            lines = lines[start : start + room]
            if start and lines:
                lines[0] = [(" ↑ pageup: the page above", ink("muted"))]
        base = ink("text")
        strips = [self._head(course, width)]
        strips += [line(width, merged(pieces), base) for pieces in lines]
        return strips

    def _head(self, course: Course, width: int) -> Strip:
        ink = self.ink
        lesson = course.lesson
        name = f" {lesson.number} {clean(lesson.title)}"
        where = f"page {course.at + 1} of {len(lesson.pages)} "
        gap = width - len(name) - len(where)
        pieces: list[Piece] = [(name[: max(width - len(where) - 1, 0)], ink("strong", "panel", bold=True))]
        pieces += [(" " * max(gap, 1), ink("muted", "panel")), (where, ink("muted", "panel"))]
        return line(width, pieces, ink("muted", "panel"))

    def action_scroll_text(self, by: int) -> None:
        self._up -= by
        self.redraw(everything=True)


class Onward(Inked):
    """The line that says which key goes on, and what it does now."""

    DEFAULT_CSS = "Onward { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.words: tuple[tuple[str, str], ...] = ()

    def put(self, words: tuple[tuple[str, str], ...]) -> None:
        self.words = words
        self.refresh()

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        pieces: list[Piece] = []
        room = width
        for i, (name, what) in enumerate(self.words):
            size = len(name) + len(what) + 2
            if size > room:
                break
            pieces += [(f" {name}", ink("accent", "panel", bold=True))]
            pieces += [(f" {what}", ink("strong" if i == 0 else "muted", "panel"))]
            room -= size
        return line(width, pieces, ink("muted", "panel"))
