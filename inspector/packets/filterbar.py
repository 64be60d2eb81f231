"""The filter bar at the foot of the list: one line that says what is filtered, and where it is typed.

It knows no filter language: a `Language` compiles and completes. What is typed is judged with every
key, by colour and by word, with the wrong characters underlined; what is only not typed to its end is not
called wrong before enter. Only enter applies it, so the last good result stays on the screen until then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from capture.errors import FilterError
from inspector.sanitise import clean
from inspector.widgets.filling import parts
from inspector.widgets.pane import Inked, Piece
from inspector.widgets.pane import line as strip

CANDIDATES = 5  #: lines of them at most
_LINES = 3  #: of an error at most


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to go on: it takes the place of characters `start` to `stop` - 1."""

    text: str
    about: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Language:
    """A filter language. `check` gives remarks, or raises FilterError; `complete` has the best first."""

    name: str
    label: str
    about: str  #: what enter does, in a few words
    check: Callable[[str], tuple[str, ...]]
    complete: Callable[[str, int], Sequence[Candidate]]


class Lines(Inked):
    """Some lines of pieces, as many as it was given."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[list[Piece]] = []

    def say(self, lines: list[list[Piece]]) -> None:
        if lines != self._lines:
            taller = len(lines) != len(self._lines)
            self._lines = lines
            self.display = bool(lines)
            self.refresh(layout=taller)

    def get_content_height(self, *_: Any) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        pieces = self._lines[y] if y < len(self._lines) else []
        return strip(self.size.width, pieces, self.ink("text", "panel"))


class FilterInput(Input):
    """One line in which the characters that are wrong are underlined."""

    BINDING_GROUP_TITLE = "Filter line"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "history(-1)", "older", id="filter.up", show=False, tooltip="What was typed before"),
        Binding("down", "history(1)", "newer", id="filter.down", show=False, tooltip="The candidate below"),
        Binding("tab", "complete", "complete", id="filter.complete", tooltip="Take the candidate marked"),
        Binding("enter", "submit", "apply", id="filter.apply", tooltip="Apply the filter"),
        Binding("ctrl+u", "clear_all", "clear", id="filter.clear", tooltip="Empty the line"),
        Binding("escape", "turn_back", "back", id="filter.back", tooltip="Leave the filter as it was"),
    ]  # fmt: skip

    class Turned(Message):
        """The user wants something other than letters: `what` is back, clear, complete, older or newer."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self) -> None:
        super().__init__(compact=True, select_on_focus=False, highlighter=self._underline)  # type: ignore[arg-type]
        self.wrong: tuple[int, int] | None = None

    def _underline(self, text: Text) -> Text:
        if self.wrong is not None:
            start, stop = self.wrong
            text.stylize("underline", start, max(stop, start + 1))
        return text

    def action_cursor_right(self, select: bool = False) -> None:
        if self.cursor_at_end and not select:
            self.action_complete()
        else:
            super().action_cursor_right(select)

    def action_history(self, step: int) -> None:
        self.post_message(self.Turned("older" if step < 0 else "newer"))

    def action_complete(self) -> None:
        self.post_message(self.Turned("complete"))

    def action_clear_all(self) -> None:
        self.post_message(self.Turned("clear"))

    def action_turn_back(self) -> None:
        self.post_message(self.Turned("back"))


class FilterBar(Vertical):
    """Closed it is one line, or none where nothing is filtered; open it is typed in.

    `text` is the filter that holds; `facts` says what came of it.
    """

    DEFAULT_CSS = """
    FilterBar { height: auto; background: $panel; display: none; }
    FilterBar.-open, FilterBar.-set { display: block; }
    FilterBar #typed { height: 1; display: none; background: $panel; }
    FilterBar.-open #typed { display: block; }
    FilterBar #label { width: auto; }
    FilterBar FilterInput { width: 1fr; background: $panel; }
    FilterBar FilterInput:focus { background: $panel; }
    """

    class Applied(Message):
        """A good filter was entered; "" for none."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar, self.text = bar, text

        @property
        def control(self) -> FilterBar:
            return self.bar

    class Closed(Message):
        """The line is left."""

    def __init__(self, language: Language, history: Callable[[], tuple[str, ...]], *, id: str) -> None:
        super().__init__(id=id)
        self.language = language
        self.text = ""
        self.error = ""  #: why what is typed cannot be applied
        self.unfinished = False  #: nothing is wrong with it but that it goes on
        self._history = history
        self._facts: list[Piece] = []
        self._past: int | None = None  # lines back in the history
        self._draft = ""
        self._recalled: str | None = None
        self._remarks: tuple[str, ...] = ()
        self._candidates: tuple[Candidate, ...] = ()
        self._marked = 0

    def compose(self) -> ComposeResult:
        yield Lines(id="candidates")
        with Horizontal(id="typed"):
            yield Label(self.language.label, id="label")
            yield FilterInput()
        yield Lines(id="verdict")

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    @property
    def _input(self) -> FilterInput:
        return self.query_one(FilterInput)

    # what it says

    def say(self, facts: list[Piece]) -> None:
        """What stands in the closed line after the name of the bar."""
        self._facts = facts
        self.set_class(bool(facts), "-set")
        if not self.is_open and self.is_mounted:
            self._paint_closed()

    def _paint_closed(self) -> None:
        ink = self.query_one(Lines).ink
        self.query_one("#candidates", Lines).say([])
        label: Piece = (f" {self.language.label} ", ink("accent", "panel", bold=True))
        self.query_one("#verdict", Lines).say([[label, *self._facts]] if self._facts else [])

    def _judge(self, *, entered: bool = False) -> None:
        """Check what stands in the line and show what came of it; `entered`: it is to be applied."""
        line = self._input
        self.error, self._remarks, line.wrong, self.unfinished = "", (), None, False
        text = line.value
        self._candidates = tuple(self.language.complete(text, line.cursor_position))[:100]
        self._marked = 0
        try:
            self._remarks = self.language.check(text)
        except FilterError as error:
            self.error = clean(str(error))
            self.unfinished = not entered and (error.ended or self._begun(error))
            if not self.unfinished:
                line.wrong = (min(error.start, len(text)), min(error.stop, len(text)))
        line.set_class(line.wrong is not None, "-wrong")
        line.refresh()
        self._paint_open()

    def _begun(self, error: FilterError) -> bool:
        """Whether what is wrong is the word being typed, and there are words that begin with it."""
        at = self._input.cursor_position
        return bool(self._candidates) and error.start == self._candidates[0].start and at <= error.stop

    def _verdict(self, width: int) -> list[list[Piece]]:
        """What is said of what is typed; whole, in as many lines as that takes."""
        ink = self.query_one(Lines).ink
        muted = ink("muted", "panel")
        if self.error and not self.unfinished:
            wrong = ink("fault", "panel")
            said = parts(self.error, width - 4, _LINES)
            return [[("   " if at else " ! ", wrong), (text, wrong)] for at, text in enumerate(said)]
        if self.unfinished:
            many = len(self._candidates)
            what = f"{many} way{'s' if many > 1 else ''} to go on" if many else self.error
            verdict: list[Piece] = [(" …  ", muted), (what, ink("text", "panel"))]
        else:
            what = self.language.about if self._input.value.strip() else "empty: nothing is left out"
            verdict = [(" ok ", ink("used", "panel", bold=True)), (f" {what}", ink("text", "panel"))]
        hint = "tab completes · ↑ ↓ history · esc back "
        room = width - sum(len(text) for text, _ in verdict) - len(hint)
        if room > 1:
            verdict += [(" " * room, muted), (hint, muted)]
        return [verdict]

    def _paint_open(self) -> None:
        ink = self.query_one(Lines).ink
        width = self.size.width or 80
        muted = ink("muted", "panel")
        remarks: list[list[Piece]] = []
        for remark in self._remarks:
            for at, part in enumerate(parts(clean(remark), width - 5, _LINES)):
                remarks.append([("    " if at else "  ? ", ink("flux", "panel")), (part, muted)])
        self.query_one("#verdict", Lines).say([*self._verdict(width), *remarks])
        low = min(max(self._marked - CANDIDATES + 1, 0), max(len(self._candidates) - CANDIDATES, 0))
        shown = self._candidates[low : low + CANDIDATES]
        wide = max((len(one.text) for one in shown), default=0)
        lines: list[list[Piece]] = []
        for at, one in enumerate(shown, low):
            ground = "selected" if at == self._marked else "panel"
            text = clean(one.text).ljust(wide)
            more = len(self._candidates) - low - len(shown)
            last = f"  +{more} more" if more and at == low + len(shown) - 1 else ""
            pieces: list[Piece] = [(f"   {text}  ", ink("accent" if at == self._marked else "text", ground))]
            room = max(width - wide - 5 - len(last), 0)
            pieces += [(clean(one.about)[:room].ljust(room), ink("muted", ground)), (last, muted)]
            lines.append(pieces)
        self.query_one("#candidates", Lines).say(lines)

    # life

    def open(self, text: str | None = None) -> None:
        """Let the user type, beginning with `text` or the filter that holds."""
        if self.is_open and text is None:
            self._input.focus()
            return
        self.add_class("-open")
        self._past = None
        line = self._input
        line.value = self.text if text is None else text
        line.cursor_position = len(line.value)
        line.focus()
        self._judge()

    def close(self) -> None:
        """Back to one line; the filter that holds is as it was."""
        if self.is_open:
            self.remove_class("-open")
            self._paint_closed()
            self.post_message(self.Closed())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._recalled:
            self._past = None
        if self.is_open:
            self._judge()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._judge(entered=True)
        if self.error:
            self.app.bell()
            return
        text = event.value.strip()
        self.post_message(self.Applied(self, text))
        self.close()

    @on(FilterInput.Turned)
    def _turned(self, event: FilterInput.Turned) -> None:
        event.stop()
        match event.what:
            case "back":
                self.close()
            case "clear":
                self._input.value = ""
            case "complete":
                self._take()
            case "older":
                self._older()
            case "newer":
                self._newer()

    def _take(self) -> None:
        if not self._candidates:
            return
        one = self._candidates[self._marked]
        line = self._input
        line.value = line.value[: one.start] + one.text + line.value[one.stop :]
        line.cursor_position = one.start + len(one.text)
        self._judge()

    def _older(self) -> None:
        if self._past is None and self._marked:
            self._marked -= 1
            self._paint_open()
            return
        history = self._history()
        if not history or self._past == len(history):
            return
        if self._past is None:
            self._draft = self._input.value
        self._past = (self._past or 0) + 1
        self._put(history[-self._past])

    def _newer(self) -> None:
        if self._past is None:
            if self._candidates:
                self._marked = min(self._marked + 1, len(self._candidates) - 1)
                self._paint_open()
            return
        self._past = self._past - 1 or None
        self._put(self._history()[-self._past] if self._past else self._draft)

    def _put(self, text: str) -> None:
        line = self._input
        self._recalled = text
        line.value = text
        line.cursor_position = len(text)


class Label(Inked):
    """The name of the bar, before what is typed."""

    DEFAULT_CSS = "Label { height: 1; width: auto; }"

    def __init__(self, text: str, *, id: str) -> None:
        super().__init__(id=id)
        self._text = text

    def get_content_width(self, *_: Any) -> int:
        return len(self._text) + 4

    def render_line(self, y: int) -> Strip:
        ink = self.ink
        style = ink("accent", "panel", bold=True)
        return strip(self.size.width, [(f" {self._text} ", style), ("›", ink("muted", "panel"))], style)
