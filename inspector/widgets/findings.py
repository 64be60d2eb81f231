"""The findings: a list, the gravest first, and the page of the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.rules.finding import Evidence, Finding
from inspector.sanitise import clean
from inspector.widgets.findingrows import Row, lasted, sign
from inspector.widgets.keys import key
from inspector.widgets.pane import Piece, ScrollPane, line, title

Names = Callable[[int | None], str]  #: of a queue, by its index; None: the device


class FindingList(ScrollPane):
    """One line for each finding: those that are there, then those that are over."""

    HELP = "What is wrong now, the gravest first; below it what was wrong, and for how long."
    BINDING_GROUP_TITLE = "Findings"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("findings.up", "up,k", "move(-1)", "up", "The finding above"),
        key("findings.down", "down,j", "move(1)", "down", "The finding below"),
        key("findings.first", "g,home", "end(-1)", "first", "The gravest one"),
        key("findings.last", "G,end", "end(1)", "last", "The one that is over for longest"),
        key("findings.open", "enter", "open", "evidence", "To what it rests on", show=True),
    ]

    class Moved(Message):
        """Another finding was chosen by hand."""

    class Opened(Message):
        """Its page is wanted."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.all: tuple[Finding, ...] = ()
        self.at = 0
        self.names: Names = str
        self.now = 0
        self._key: tuple[object, ...] | None = None

    @property
    def chosen(self) -> Finding | None:
        return self.all[self.at] if self.at < len(self.all) else None

    def put(self, found: tuple[Finding, ...], now: int, names: Names) -> None:
        """Show these; the chosen one stays chosen while it is there, also once it is over."""
        keys = [_key(one) for one in found]
        if self._key in keys:
            self.at = keys.index(self._key)
        else:
            self.at = min(self.at, max(len(found) - 1, 0))
        self.all, self.now, self.names = found, now, names
        self._keep()
        self.set_lines(len(found))
        self.refresh()

    def _keep(self) -> None:
        self._key = _key(self.chosen) if self.chosen is not None else None

    def choose(self, at: int) -> None:
        """Choose one by its place."""
        if self.all:
            self.at = max(0, min(at, len(self.all) - 1))
            self._keep()
            self.reveal(self.at)
            self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        if y == 0:
            return self._head(width)
        at = self.top + y - 1
        if at >= len(self.all):
            return line(width, [], ink("text"))
        each, here = self.all[at], at == self.at
        ground = "selected" if here else "surface"
        mark, meaning = sign(each)
        code = max(len(one.code) for one in self.all)
        queue = max(len(self.names(one.queue)) for one in self.all)
        over, wide = (" over" if each.until else ""), 13 if self.all[-1].until else 8
        how_long = f"{lasted(each, self.now)}{over}"
        pieces: list[Piece] = [
            ("▌" if here else " ", ink("accent", ground)),
            (f"{mark} ", ink(meaning, ground, bold=True)),
            (f"{clean(each.code):<{code}}  ", ink("muted" if each.until else meaning, ground, bold=not over)),
            (f"{clean(self.names(each.queue)):<{queue}}  ", ink("strong", ground)),
            (f"{how_long:<{wide}}", ink("muted" if over else "text", ground)),
        ]
        room = width - sum(len(text) for text, _ in pieces) - 1
        words = clean(each.verdict)
        if room >= 16:
            words = words if len(words) <= room else words[: room - 1] + "…"
            pieces.append((words, ink("muted" if over else "text", ground)))
        return line(width, pieces, ink("text", ground))

    def _head(self, width: int) -> Strip:
        ink = self.ink
        there = sum(not one.until for one in self.all)
        over = len(self.all) - there
        about: list[Piece] = [
            (f"{there} now" if there else "nothing is wrong", ink("fault" if there else "used", "panel"))
        ]
        if over:
            about.append((f" · {over} over", ink("muted", "panel")))
        return title(ink, width, "findings", about, self.has_focus)

    def action_move(self, by: int) -> None:
        self.choose(self.at + by)

    def action_end(self, way: int) -> None:
        self.choose(0 if way < 0 else len(self.all) - 1)

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= len(self.all) - self.top:
            self.choose(self.top + event.y - 1)


def _key(finding: Finding) -> tuple[object, ...]:
    return (*finding.key, finding.since)


class FindingPage(ScrollPane):
    """All that is told of one finding. The cursor goes from line to line; enter follows evidence."""

    HELP = "Why, and what next. Enter on a line with a number goes to the queue and slot that it is of."
    BINDING_GROUP_TITLE = "One finding"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("finding.up", "up,k", "move(-1)", "up", "The line above"),
        key("finding.down", "down,j", "move(1)", "down", "The line below"),
        key("finding.page_up", "pageup", "page(-1)", "page up", "A page up"),
        key("finding.page_down", "pagedown", "page(1)", "page down", "A page down"),
        key("finding.first", "g,home", "end(-1)", "top", "The first line"),
        key("finding.last", "G,end", "end(1)", "end", "The last line"),
        key("finding.go", "enter", "go", "go there", "To the slot or queue of this line", show=True),
        key("finding.back", "escape", "back", "list", "Back to the list", show=True),
    ]

    class Followed(Message):
        """What this evidence is of is wanted; None: the queue."""

        def __init__(self, evidence: Evidence | None) -> None:
            super().__init__()
            self.evidence = evidence

    class Left(Message):
        """Back to the list."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: list[Row] = []
        self.at = 0
        self.head: list[tuple[str, str]] = []

    def put(self, head: list[tuple[str, str]], rows: list[Row], fresh: bool) -> None:
        """Show these lines; `fresh`: of another finding than before."""
        if fresh:
            self.at = 0
            self.scroll_to_line(0)
        if (head, rows) != (self.head, self.rows):
            self.head, self.rows = head, rows
            self.at = min(self.at, max(len(rows) - 1, 0))
            self.set_lines(len(rows))
            self.refresh()

    def to_evidence(self) -> None:
        """The cursor to the first evidence, one with a slot before all others."""
        shown = [at for at, row in enumerate(self.rows) if row.evidence is not None]
        with_slot = [at for at in shown if (one := self.rows[at].evidence) and one.slot is not None]
        if shown:
            self.at = (with_slot or shown)[0]
            self.reveal(self.at)

    def render_line(self, y: int) -> Strip:
        ink, width = self.ink, self.size.width
        if y == 0:
            bar = ("▌", ink("accent", "panel")) if self.has_focus else (" ", ink("muted", "panel"))
            told = [
                (text, ink(meaning, "panel", bold=not at)) for at, (text, meaning) in enumerate(self.head)
            ]
            return line(width, [bar, *told], ink("muted", "panel"))
        at = self.top + y - 1
        if at >= len(self.rows):
            return line(width, [], ink("text"))
        here = self.has_focus and at == self.at
        ground = "selected" if here else "surface"
        pieces: list[Piece] = [(text, ink(meaning, ground)) for text, meaning in self.rows[at].words]
        if here and pieces and pieces[0][0].startswith(" "):
            pieces[0] = (pieces[0][0][1:], pieces[0][1])
        return line(width, [("▌", ink("accent", ground)), *pieces] if here else pieces, ink("text", ground))

    def _to(self, at: int) -> None:
        self.at = max(0, min(at, len(self.rows) - 1))
        self.reveal(self.at)

    def action_move(self, by: int) -> None:
        self._to(self.at + by)

    def action_page(self, way: int) -> None:
        self._to(self.at + way * max(self.room - 1, 1))

    def action_end(self, way: int) -> None:
        self._to(0 if way < 0 else len(self.rows) - 1)

    def action_go(self) -> None:
        row = self.rows[self.at] if self.at < len(self.rows) else None
        self.post_message(self.Followed(row.evidence if row is not None else None))

    def action_back(self) -> None:
        self.post_message(self.Left())

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= len(self.rows) - self.top:
            self._to(self.top + event.y - 1)
