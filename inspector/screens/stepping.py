"""How to step: which unit, which side in which order, or a chosen interleaving of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input

from dataplane.interleaving import InterleavingError, parse_interleaving, text_of
from dataplane.stepping import ORDERS, UNITS, Order, Plan, StepUnit
from inspector.sanitise import clean
from inspector.stopping import stepped
from inspector.widgets.filling import Words, fitting
from inspector.widgets.pane import Inked, Piece
from inspector.widgets.pane import line as strip

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_HINTS = ("↑ ↓ which · ← → change · enter steps so · esc back", "← → change · enter · esc back")
_EXAMPLE = "driver 3 stores, device 1 operation, driver until publish"
_UNIT_WORDS: dict[StepUnit, str] = {
    "store": "one store to ring memory: what a race is made of",
    "operation": "one operation: buffers added, made available, taken, used, collected, or a notification",
    "packet": "until one more buffer has gone all the way round to the driver",
    "lap": "until as many buffers as the queue has slots have gone all the way",
}
_ORDER_WORDS: dict[Order, str] = {
    "as needed": "the side that has something to do; in turn where both have",
    "driver first": "the driver as long as it has something to do, then the device",
    "device first": "the device as long as it has something to do, then the driver",
    "alternate": "one step of each in turn",
    "driver only": "the driver alone; the device stands still",
    "device only": "the device alone; the driver stands still",
    "chosen": "item by item, again and again: sides, how many, and what of, or 'until' an operation",
}


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    values: tuple[str, ...]


class Options(Inked, can_focus=True):
    """One line for each thing that can be chosen."""

    BINDING_GROUP_TITLE = "How to step"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "row(-1)", "up", id="stepping.up", show=False, tooltip="The line above"),
        Binding("down,j", "row(1)", "down", id="stepping.down", show=False, tooltip="The line below"),
        Binding("left,h", "turn(-1)", "before", id="stepping.left", show=False, tooltip="The choice before"),
        Binding(
            "right,l,space", "turn(1)", "next", id="stepping.right", show=False, tooltip="The next choice"
        ),
    ]
    DEFAULT_CSS = "Options { height: auto; }"

    class Changed(Message):
        """Another line, or another choice."""

    def __init__(self, rows: tuple[_Row, ...], chosen: tuple[int, ...]) -> None:
        super().__init__()
        self.rows = rows
        self.chosen = list(chosen)
        self.at = 0

    def value(self, row: int) -> str:
        return self.rows[row].values[self.chosen[row]]

    def get_content_height(self, *_: object) -> int:
        return len(self.rows)

    def render_line(self, y: int) -> Strip:
        ink, row = self.ink, self.rows[y]
        here = y == self.at and self.has_focus
        ground = "selected" if here else "surface"
        pieces: list[Piece] = [
            ("▌" if here else " ", ink("accent", ground)),
            (f"{row.name:<9}", ink("muted", ground)),
        ]
        whole = sum(len(value) + 4 for value in row.values) + 10 <= self.size.width
        values = row.values if whole else (self.value(y),)
        for value in values:
            chosen = value == self.value(y)
            sign = ("(•) " if chosen else "( ) ") if whole else "‹ "
            pieces.append((f"{sign}{value} ", ink("strong" if chosen else "muted", ground, bold=chosen)))
        if not whole:
            pieces.append((f"›  {self.chosen[y] + 1} of {len(row.values)}", ink("muted", ground)))
        return strip(self.size.width, pieces, ink("text", ground))

    def action_row(self, by: int) -> None:
        self.at = (self.at + by) % len(self.rows)
        self._tell()

    def action_turn(self, by: int) -> None:
        self.chosen[self.at] = (self.chosen[self.at] + by) % len(self.rows[self.at].values)
        self._tell()

    def _tell(self) -> None:
        self.refresh()
        self.post_message(self.Changed())

    def on_click(self, event: events.Click) -> None:
        if event.y < len(self.rows):
            again = self.at == event.y
            self.at = event.y
            if again:
                self.action_turn(1)
            else:
                self._tell()


class StepDialogue(ModalScreen[tuple[Plan, bool]]):
    """Returns the plan, and whether only the selected queue's packets and laps count; None: as before."""

    DEFAULT_CSS = """
    StepDialogue { align: center middle; background: $background 35%; }
    #stepping {
        width: 92%;
        max-width: 100;
        height: auto;
        background: $surface;
        border: round $primary 60%;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    #stepping.-wrong { border: round $error; border-subtitle-color: $error; }
    #stepping Input { border: none; height: 1; margin-top: 1; padding: 0 1; background: $panel; }
    """
    BINDING_GROUP_TITLE = "Step"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "back", id="stepping.back", tooltip="Go on stepping as before"),
        Binding("enter", "apply", "step so", id="stepping.apply", tooltip="Step so from now on"),
        Binding("tab,shift+tab", "app.focus_next", "line", id="stepping.tab", show=False, tooltip="The text"),
    ]

    def __init__(self, plan: Plan, queue: str, one_queue: bool) -> None:
        super().__init__()
        self._plan, self._queue, self._one_queue = plan, queue, one_queue

    def compose(self) -> ComposeResult:
        plan = self._plan
        rows = (
            _Row("step", UNITS),
            _Row("order", ORDERS),
            _Row("stops at", ("what moves buffers or notifies", "every operation")),
            _Row("counts", ("any queue", f"{self._queue} alone")),
        )
        chosen = (UNITS.index(plan.unit), ORDERS.index(plan.order), int(plan.every), int(self._one_queue))
        with Container(id="stepping") as box:
            box.border_title = "how to step"
            yield Options(rows, chosen)
            yield Input(text_of(plan.interleaving), placeholder=_EXAMPLE, select_on_focus=False)
            yield Words(id="about", ground="surface")

    def on_mount(self) -> None:
        self.query_one(Options).focus()
        self._say()

    def on_resize(self) -> None:
        self._say()

    @property
    def _chosen(self) -> bool:
        return self.query_one(Options).value(1) == "chosen"

    def _wrong(self) -> str:
        """Why this cannot be stepped so; "" where it can."""
        if not self._chosen:
            return ""
        try:
            parse_interleaving(self.query_one(Input).value)
        except InterleavingError as error:
            return clean(str(error))
        return ""

    def _about(self) -> str:
        options = self.query_one(Options)
        unit, order = UNITS[options.chosen[0]], ORDERS[options.chosen[1]]
        match options.at:
            case 0:
                return _UNIT_WORDS[unit]
            case 1:
                return _ORDER_WORDS[order]
            case 2:
                return (
                    "switching notifications, falling asleep and waking are passed over"
                    if not options.chosen[2]
                    else "each operation is a step, also those that only switch notifications or rest"
                )
            case _:
                return "of which queue a packet or a lap must go all the way"

    @on(Options.Changed)
    @on(Input.Changed)
    def _changed(self, event: Message) -> None:
        event.stop()
        self._say()

    def _say(self) -> None:
        box, line = self.query_one("#stepping"), self.query_one(Input)
        wrong = self._wrong()
        line.display = self._chosen
        box.set_class(bool(wrong and line.value.strip()), "-wrong")
        box.border_subtitle = fitting(max(box.size.width - 2, 16), *_HINTS)
        shown = wrong if wrong and line.value.strip() else ""
        if not shown and self._chosen and not line.value.strip():
            shown = f"tab, then type, such as: {_EXAMPLE}"
            self.query_one(Words).put(shown, "muted")
            return
        self.query_one(Words).put(f"! {shown}" if shown else self._about(), "fault" if shown else "muted")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_apply()

    def action_apply(self) -> None:
        options = self.query_one(Options)
        if self._wrong():
            self.app.bell()
            self.query_one(Input).focus()
            return
        items = parse_interleaving(self.query_one(Input).value) if self._chosen else self._plan.interleaving
        plan = Plan(UNITS[options.chosen[0]], ORDERS[options.chosen[1]], bool(options.chosen[2]), items)
        self.dismiss((plan, bool(options.chosen[3])))

    def action_give_up(self) -> None:
        self.dismiss(None)


def ask(app: RingscopeApp) -> None:
    """The dialogue, and then stepping so."""
    session = app.session
    if session.source.control is None:
        app.tell(f"{session.source.identity.name} cannot be stepped: no side of it is ours", "flux")
        return
    made = stepped.of(session)

    def go(answer: tuple[Plan, bool] | None) -> None:
        if answer is not None:
            plan, one_queue = answer
            made.choose(plan, session.selection.queue if one_queue else None)
            app.tell(f"s now steps {stepped.how(plan)}", "past")

    name = clean(session.queue_name(session.selection.queue))
    app.push_screen(StepDialogue(made.plan, name, made.queue is not None), go)
