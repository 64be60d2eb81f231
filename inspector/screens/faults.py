"""The faults: what can go wrong on purpose, what is in, and how often each acted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from inspector.packets.rows import cut
from inspector.sanitise import clean
from inspector.session import Session
from inspector.stopping import faulting
from inspector.stopping.driving import Said
from inspector.stopping.faulting import Acting, Choice
from inspector.widgets.filling import Words, fitting
from inspector.widgets.keys import key
from inspector.widgets.pane import Piece, ScrollPane
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_LIST_HINTS = (
    "space on/off · enter with queue, after, count, value · D all off · esc back",
    "space on/off · enter more · D all off · esc back",
    "space on/off · esc back",
)
_TYPE_HINTS = ("enter puts it in · tab the list · esc back", "enter puts it in · esc back")
_BEAT = 0.25  #: seconds between two looks at how often each acted

Row = str | Acting | Choice  #: a title, a fault that is in, one that can be put in


class FaultList(ScrollPane):
    """What is in, then every fault there is by what it breaks."""

    BINDING_GROUP_TITLE = "Faults"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("faults.up", "up,k", "move(-1)", "up", "The fault above"),
        key("faults.down", "down,j", "move(1)", "down", "The fault below"),
        key("faults.page_up", "pageup", "move(-10)", "page up", "Ten up"),
        key("faults.page_down", "pagedown", "move(10)", "page down", "Ten down"),
        key("faults.turn", "space", "turn", "on/off", "Put it in, or take it away"),
        key("faults.type", "enter", "type", "more", "Say queue, after, count, value first"),
        key("faults.heal", "D", "heal", "all off", "Take all of them away"),
    ]
    HEAD = 0
    DEFAULT_CSS = "FaultList { height: 1fr; background: $surface; }"

    def __init__(self, packed: bool) -> None:
        super().__init__()
        self._families = faulting.catalogue()
        self._not_here = "split" if packed else "packed"
        self.all: list[Row] = []
        self.on: dict[str, Acting] = {}
        self.at = 0

    @property
    def chosen(self) -> Acting | Choice | None:
        row = self.all[self.at] if self.at < len(self.all) else None
        return None if isinstance(row, str) else row

    def put(self, acting: tuple[Acting, ...]) -> None:
        """Show these as being in; the cursor stays on what it is on."""
        chosen = self.chosen
        rows: list[Row] = ["in now", *acting] if acting else []
        for title, choices in self._families:
            rows += [title, *choices]
        self.all, self.on = rows, {each.name: each for each in acting}
        same = (at for at, row in enumerate(rows) if _same(row, chosen))
        self.at = next(same, 1)
        self.set_lines(len(rows))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        at, ink, width = self.top + y, self.ink, self.size.width
        row = self.all[at] if at < len(self.all) else ""
        if isinstance(row, str):
            return strip(width, [(f" {row}", ink("accent"))], ink("text"))
        here = at == self.at
        ground = "selected" if here and self.has_focus else "surface"
        acting = row if isinstance(row, Acting) else self.on.get(row.name)
        pieces: list[Piece] = [
            ("▌" if here else " ", ink("accent", ground)),
            ("[x] " if acting else "[ ] ", ink("fault" if acting else "muted", ground)),
        ]
        times = f" acted {acting.hits:,} time{'s' * (acting.hits != 1)}" if acting is not None else ""
        room = max(width - 6 - len(times), 8)
        if isinstance(row, Acting):
            pieces.append((cut(clean(row.line), room).ljust(room), ink("strong", ground)))
        else:
            away = row.only == self._not_here
            only = f" ({row.only} only)" if row.only else ""
            pieces.append((f"{row.name:<18} ", ink("muted" if away else "strong", ground)))
            side = f"{row.side:<7}"
            pieces.append((side, ink("muted" if row.side == "either" else row.side, ground)))
            left = max(room - 26, 8)
            pieces.append(
                (cut(f"{row.means}{only}", left).ljust(left), ink("muted" if away else "text", ground))
            )
        pieces.append((times, ink("flux" if acting and acting.hits else "muted", ground)))
        return strip(width, pieces, ink("text", ground))

    def action_move(self, by: int) -> None:
        at = max(0, min(self.at + by, len(self.all) - 1))
        way = 1 if by > 0 else -1
        while 0 <= at < len(self.all) and isinstance(self.all[at], str):
            at += way
        if 0 <= at < len(self.all):
            self.at = at
            self.reveal(max(at - 1, 0) if way < 0 else at)

    def on_click(self, event: events.Click) -> None:
        at = self.top + event.y
        if at < len(self.all) and not isinstance(self.all[at], str):
            self.at = at
            self.refresh()

    def action_turn(self) -> None:
        cast("FaultDialogue", self.screen).turn(self.chosen)

    def action_type(self) -> None:
        cast("FaultDialogue", self.screen).type(self.chosen)

    def action_heal(self) -> None:
        cast("FaultDialogue", self.screen).heal(None)


def _same(row: Row, chosen: Row | None) -> bool:
    """Whether a row stands for what was chosen before its counts moved on."""
    if isinstance(row, Acting) and isinstance(chosen, Acting):
        return row.numbers == chosen.numbers
    return isinstance(row, Choice) and isinstance(chosen, Choice) and row.name == chosen.name


class FaultDialogue(ModalScreen[None]):
    """Stays until it is left; what is done takes effect at once."""

    DEFAULT_CSS = """
    FaultDialogue { align: center middle; background: $background 35%; }
    #faults {
        width: 94%;
        max-width: 104;
        height: 34;
        max-height: 94%;
        background: $surface;
        border: round $primary 60%;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    #faults.-wrong { border: round $error; border-subtitle-color: $error; }
    #faults Input { border: none; height: 1; margin-top: 1; padding: 0 1; background: $panel; }
    """
    BINDING_GROUP_TITLE = "Faults"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("faults.back", "escape", "leave", "back", "Back; what is in stays in"),
        key("faults.tab", "tab,shift+tab", "app.focus_next", "pane", "List or text"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._faults = faulting.of(session)

    def compose(self) -> ComposeResult:
        with Container(id="faults") as box:
            box.border_title = "faults"
            yield FaultList(self._session.source.identity.packed)
            yield Input("", placeholder="lose_kick:queue=tx0,after=30,count=1", select_on_focus=False)
            yield Words(id="about", ground="surface")

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_BEAT, self._look)
        self.query_one(FaultList).focus()
        self._say()

    def on_resize(self) -> None:
        self._say()

    def on_descendant_focus(self) -> None:
        self._say()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def _look(self) -> None:
        try:
            acting = self._faults.acting
        except RuntimeError:  # the source is gone
            return
        self.query_one(FaultList).put(acting)
        box = self.query_one("#faults")
        box.border_title = f"faults · {len(acting)} in" if acting else "faults"

    def _wrong(self) -> str:
        """Why what is typed cannot be put in, in one line."""
        value = self.query_one(Input).value
        if not value.strip():
            return ""
        try:
            self._faults.check(value)
        except ValueError as error:
            return clean(str(error))
        return ""

    def _say(self) -> None:
        box, line, words = self.query_one("#faults"), self.query_one(Input), self.query_one(Words)
        wrong = self._wrong()
        box.set_class(bool(wrong), "-wrong")
        hints = _TYPE_HINTS if line.has_focus else _LIST_HINTS
        box.border_subtitle = fitting(max(box.size.width - 2, 16), *hints)
        if wrong:
            words.put(f"! {wrong}", "fault")
        else:
            words.put(
                "queue=tx0 after=30 count=1 (0: always) index= odds= seed= value= · space: always", "muted"
            )

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            return
        if self._wrong():
            self.app.bell()
            return
        self.query_one(Input).value = ""
        self._put(event.value.strip())
        self.query_one(FaultList).focus()

    def _put(self, line: str) -> None:
        faults = self._faults
        self.ringscope.drive(lambda _: Said(faults.put(line), "flux"))

    def turn(self, chosen: Acting | Choice | None) -> None:
        """Put one in with what its name says, or take it away."""
        if chosen is None:
            return
        acting = chosen if isinstance(chosen, Acting) else self.query_one(FaultList).on.get(chosen.name)
        if acting is not None:
            self.heal(acting)
        elif isinstance(chosen, Choice) and not chosen.queue:
            self.type(chosen)  # it cannot be without a side or an area
        else:
            self._put(chosen.name)

    def type(self, chosen: Acting | Choice | None) -> None:
        """Begin its line, for the queue that is selected where it can be there."""
        if chosen is None:
            return
        line = self.query_one(Input)
        if isinstance(chosen, Acting):
            line.value = chosen.line
        else:
            there = clean(self._session.queue_name(self._session.selection.queue))
            queue = there if there[:2] == chosen.queue[:2] else chosen.queue or there
            side = f"side={'driver' if chosen.side == 'either' else chosen.side}," if not chosen.queue else ""
            line.value = f"{chosen.name}:{side}queue={queue}"
        line.focus()
        line.cursor_position = len(line.value)

    def heal(self, acting: Acting | None) -> None:
        """Take one away; None: all."""
        faults = self._faults
        what = "all faults are" if acting is None else f"{acting.name} is"

        def act(_: Session) -> Said:
            faults.heal(acting)
            return Said(f"{what} off; what waits stays stuck until somebody is told: P probes", "used")

        self.ringscope.drive(act)

    def action_leave(self) -> None:
        self.dismiss(None)


def ask(app: RingscopeApp) -> None:
    """The faults of what is looked at."""
    if not faulting.of(app.session).possible:
        app.tell(
            f"no fault can be put into {app.session.source.identity.name}: no side of it is ours", "flux"
        )
        return
    app.push_screen(FaultDialogue(app.session))
