"""The breakpoints: which there are, how often each was met, and one more by typing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from dataplane.breaks_text import EXAMPLES, BreakError
from inspector.packets.rows import cut
from inspector.sanitise import clean
from inspector.session import Session
from inspector.stopping import breakpoints
from inspector.stopping.breakpoints import Breakpoint
from inspector.stopping.driving import Said
from inspector.widgets.filling import Words, fitting
from inspector.widgets.pane import Piece, ScrollPane
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_LIST_HINTS = ("space on/off · d remove · tab type one · esc back", "space on/off · d remove · esc back")
_TYPE_HINTS = ("enter adds · tab the list · esc back", "enter adds · esc back")
_BEAT = 0.25  #: seconds between two looks at the hits


class BreakList(ScrollPane):
    """One line for each breakpoint; before there is one, examples."""

    BINDING_GROUP_TITLE = "Breakpoints"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="breaks.up", show=False, tooltip="The breakpoint above"),
        Binding("down,j", "move(1)", "down", id="breaks.down", show=False, tooltip="The breakpoint below"),
        Binding("space", "turn", "on/off", id="breaks.turn", show=False, tooltip="Switch it on or off"),
        Binding("d,delete", "remove", "remove", id="breaks.remove", show=False, tooltip="Remove it"),
    ]  # fmt: skip
    HEAD = 0
    DEFAULT_CSS = "BreakList { height: 1fr; background: $surface; }"

    def __init__(self) -> None:
        super().__init__()
        self.all: tuple[Breakpoint, ...] = ()
        self.at = 0

    @property
    def chosen(self) -> Breakpoint | None:
        return self.all[self.at] if self.at < len(self.all) else None

    def put(self, known: tuple[Breakpoint, ...]) -> None:
        """Show these."""
        self.all = known
        self.at = min(self.at, max(len(known) - 1, 0))
        self.set_lines(len(known) or len(EXAMPLES) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        at, ink, width = self.top + y, self.ink, self.size.width
        if not self.all:
            return self._example(at, width)
        if at >= len(self.all):
            return strip(width, [], ink("text"))
        each, here = self.all[at], at == self.at and self.has_focus
        ground = "selected" if here else "surface"
        met = f"{each.hits:,} hit{'s' if each.hits != 1 else ''}"
        where = f" · last at event {each.stopped:,}" if each.stopped else ""
        room = max(width - 11 - len(met) - len(where), 8)
        pieces: list[Piece] = [
            ("▌" if here else " ", ink("accent", ground)),
            ("[x] " if each.on else "[ ] ", ink("used" if each.on else "muted", ground)),
            (f"{each.rule.id:>3} ", ink("muted", ground)),
            (cut(clean(each.text), room).ljust(room), ink("strong" if each.on else "muted", ground)),
            (f" {met}{where}", ink("flux" if each.hits else "muted", ground)),
        ]
        return strip(width, pieces, ink("text", ground))

    def _example(self, at: int, width: int) -> Strip:
        ink = self.ink
        if at == 0:
            return strip(width, [(" there is none yet; such lines can be typed:", ink("muted"))], ink("text"))
        if at > len(EXAMPLES):
            return strip(width, [], ink("text"))
        example, about = EXAMPLES[at - 1]
        pieces: list[Piece] = [(f"   {example:<28} ", ink("text"))]
        pieces.append((cut(about, max(width - 33, 8)), ink("muted")))
        return strip(width, pieces, ink("text"))

    def action_move(self, by: int) -> None:
        if self.all:
            self.at = min(max(self.at + by, 0), len(self.all) - 1)
            self.reveal(self.at)

    def action_turn(self) -> None:
        cast("BreakDialogue", self.screen).turn(self.chosen)

    def action_remove(self) -> None:
        cast("BreakDialogue", self.screen).forget(self.chosen)


class BreakDialogue(ModalScreen[None]):
    """Stays until it is left; what is done takes effect at once."""

    DEFAULT_CSS = """
    BreakDialogue { align: center middle; background: $background 35%; }
    #breaks {
        width: 92%;
        max-width: 100;
        height: 22;
        max-height: 90%;
        background: $surface;
        border: round $primary 60%;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    #breaks.-wrong { border: round $error; border-subtitle-color: $error; }
    #breaks Input { border: none; height: 1; margin-top: 1; padding: 0 1; background: $panel; }
    """
    BINDING_GROUP_TITLE = "Breakpoints"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="breaks.back", tooltip="Back; the breakpoints stay"),
        Binding(
            "tab,shift+tab", "app.focus_next", "pane", id="breaks.tab", show=False, tooltip="List or text"
        ),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._queues = tuple(queue.name for queue in session.source.snapshot(()).queues)

    def compose(self) -> ComposeResult:
        with Container(id="breaks") as box:
            box.border_title = "breakpoints"
            yield BreakList()
            yield Input("", placeholder="tx0 published > 500", select_on_focus=False)
            yield Words(id="about", ground="surface")

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_BEAT, self._look)
        listed = self.query_one(BreakList)
        (listed if listed.all else self.query_one(Input)).focus()
        self._say()

    def on_resize(self) -> None:
        self._say()

    def on_descendant_focus(self) -> None:
        self._say()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def _look(self) -> None:
        known = breakpoints.of(self._session).all
        self.query_one(BreakList).put(known)
        on = sum(each.on for each in known)
        self.query_one("#breaks").border_title = (
            f"breakpoints · {len(known)}, {on} on" if known else "breakpoints"
        )

    def _wrong(self) -> BreakError | None:
        value = self.query_one(Input).value
        if not value.strip():
            return None
        try:
            breakpoints.compiled(value, self._queues)
        except BreakError as error:
            return error
        except ValueError as error:
            return BreakError(str(error), 0, len(value))
        return None

    def _say(self) -> None:
        """What is wrong with what is typed, and which characters of it; else the keys."""
        box, line, words = self.query_one("#breaks"), self.query_one(Input), self.query_one(Words)
        wrong = self._wrong()
        box.set_class(wrong is not None, "-wrong")
        hints = _TYPE_HINTS if line.has_focus else _LIST_HINTS
        box.border_subtitle = fitting(max(box.size.width - 2, 16), *hints)
        if wrong is not None:
            found = clean(line.value[wrong.start : wrong.end]).strip()
            where = f"{wrong.start + 1}" + (f"-{wrong.end}" if wrong.end > wrong.start + 1 else "")
            at = f"! {where} «{found}» · " if found else f"! at {where} · "
            words.put(at + clean(wrong.message), "fault")
        else:
            what = "what to wait for, with a side, a queue, 'if free < 3', 'once', 'after 10'"
            words.put(what if not line.value.strip() else "enter adds it", "muted")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            return
        if self._wrong() is not None:
            self.app.bell()
            return
        line = event.value.strip()

        def add(session: Session) -> Said:
            made = breakpoints.of(session).add(line)
            return Said(f"breakpoint {made.rule.id}: {made.text}", "flux")

        self.query_one(Input).value = ""
        self.ringscope.drive(add)

    def turn(self, chosen: Breakpoint | None) -> None:
        """Switch one on or off."""
        if chosen is None:
            return
        number = chosen.rule.id

        def act(session: Session) -> Said:
            breakpoints.of(session).turn(number)
            return Said(f"breakpoint {number} is switched")

        self.ringscope.drive(act)

    def forget(self, chosen: Breakpoint | None) -> None:
        """Do without one."""
        if chosen is None:
            return
        number = chosen.rule.id

        def act(session: Session) -> Said:
            breakpoints.of(session).remove(number)
            return Said(f"breakpoint {number} is removed")

        self.ringscope.drive(act)

    def action_leave(self) -> None:
        self.dismiss(None)


def ask(app: RingscopeApp) -> None:
    """The breakpoints of what is looked at."""
    if app.session.source.control is None:
        app.tell(f"{app.session.source.identity.name} cannot be stopped: no side of it is ours", "flux")
        return
    app.push_screen(BreakDialogue(app.session))
