"""What is in the rings, and is it moving?

The queues, the way of a buffer through the selected one, its ring, its descriptors, both areas, and the
arithmetic of its notifications. What there is no room for is folded away, never cut: `tab` brings it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.screen import Screen

from dataplane.records import Owner
from dataplane.snapshot import PackedQueue
from inspector.stopping import stepped
from inspector.stopping.stepped import Told
from inspector.tick import Selection, Tick
from inspector.widgets import marking
from inspector.widgets.areas import Areas
from inspector.widgets.flow import Flow
from inspector.widgets.keys import key
from inspector.widgets.notify import Notifications
from inspector.widgets.pane import Pane
from inspector.widgets.queues import Queues, tick_queue
from inspector.widgets.ringtext import OWNER_WORDS, flag_words, label_word
from inspector.widgets.step import StepPanel
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import Wheel

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_WHEEL_AT = (100, 30)  #: columns and rows from which the ring is drawn round
_COLUMNS_AT = 190  #: columns from which the areas stand beside the table
_AREAS_WIDTH, _TABLE_WIDTH = 38, 70
_PACKED_AREAS = 7  #: rows that both event structures need


class Body(Vertical):
    """Everything between the first line and the last ones."""

    def on_resize(self, event: events.Resize) -> None:
        cast("RingsScreen", self.screen).fit_panes()


class RingsScreen(Screen[None]):
    """The rings of one device."""

    HELP = "What is in the rings, and is it moving?"
    BINDING_GROUP_TITLE = "Rings"
    BINDINGS: ClassVar[list[BindingType]] = [
        key(
            "rings.pane", "tab", "pane(1)", "pane", "The next pane; unfolds it where it is hidden", show=True
        ),
        key("rings.pane_back", "shift+tab", "pane(-1)", "pane back", "The pane before"),
        key(
            "rings.packet", "p", "packet", "packet", "The packet whose buffer stands in this slot", show=True
        ),
        key("rings.left", "left,h", "turn(-1)", "turn back", "Back one position of the ring"),
        key("rings.right", "right,l", "turn(1)", "turn", "On one position of the ring"),
    ]
    DEFAULT_CSS = """
    RingsScreen {
        #body { height: 1fr; }
        #middle { height: 1fr; }
        #right { height: 1fr; width: 1fr; layout: vertical; }
        #right.-columns { layout: horizontal; }
        #wheel { width: 50; margin-right: 1; }
        Queues { height: 4; }
        Flow { height: 4; }
        Notifications { height: 5; }
        StepPanel { height: 8; display: none; }
        Body.-flat #middle { layout: vertical; }
        Body.-flat #wheel { width: 1fr; height: 2; margin-right: 0; }
        #right.-columns #areas { margin-left: 1; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._flat = self._folded = False
        self._unfolded = "table"
        self._arranged: tuple[object, ...] = ()
        self._shown: Tick | None = None
        self._panes: list[Pane] = []
        self._told: Told | None = None  #: what the panel of the last step shows; None: nothing

    def compose(self) -> ComposeResult:
        with Body(id="body"):
            yield Queues(id="queues")
            yield Flow(id="flow")
            with Horizontal(id="middle"):
                yield Wheel(id="wheel")
                with Container(id="right"):
                    yield Descriptors(id="table")
                    yield Areas(id="areas")
            yield Notifications(id="notify")
            yield StepPanel(id="step")

    def on_mount(self) -> None:
        self._panes = list(self.query(Pane))
        self.query_one(Descriptors).focus()

    # what is shown

    def show(self, tick: Tick) -> None:
        """Show a newer reading."""
        self._shown = tick
        self._tell(tick)
        self.fit_panes()
        for pane in self._panes:
            pane.show(tick)
        self._light()

    def _tell(self, tick: Tick) -> None:
        """What the picture is the outcome of: a step of the pair at rest, or an event of the past."""
        session = self._rings_app.session
        told = stepped.of(session).told
        if tick.cursor is not None:
            told = stepped.tell(tick.events.rows, session.shapes, f"event {tick.cursor:,}", store=True)
        elif tick.snapshot.state != "frozen" or (told is not None and not told.holds(tick.snapshot.number)):
            told = None
        fresh = told is not None and (self._told is None or told.key != self._told.key)
        self._told = told
        self.query_one(StepPanel).told = told
        table = self.query_one(Descriptors)
        if fresh and told is not None and told.queue not in (None, table.selected) and table.follow:
            self._rings_app.select(queue=told.queue, slot=None)

    def _light(self) -> None:
        """Mark what was written in the tables of the queue that is shown."""
        table, areas, wheel = self.query_one(Descriptors), self.query_one(Areas), self.query_one(Wheel)
        marks = self._told.marks.get(table.selected, marking.NONE) if self._told else marking.NONE
        if marks != table.marks:
            shape = self._rings_app.session.shape(table.selected)
            table.light(marks, shape.table_entries if shape is not None else 0)
            areas.light(marks)
            wheel.light(marks)
            if marks and table.follow:
                self._unfold("table" if any(area in ("desc", "tables") for area, _, _ in marks) else "areas")

    def selection_changed(self, selection: Selection) -> None:
        """Highlight what is selected."""
        table = self.query_one(Descriptors)
        other = table.selected != selection.queue
        for pane in self._panes:
            pane.selected = selection.queue
        self.query_one(Wheel).slot = selection.slot
        if other:
            table.forget()
        table.reveal(selection.slot)
        if selection.slot is not None:
            table.follow = False
        self.fit_panes()
        for pane in self._panes:
            pane.redraw()

    def copy_text(self) -> str | None:
        """The selected descriptor in words."""
        table = self.query_one(Descriptors)
        queue, slot = table.queue, table.slot
        if queue is None or slot is None or slot >= len(queue.desc):
            return None
        row = queue.desc[slot]
        packed = isinstance(queue, PackedQueue)
        last = "id" if packed else "next"
        return ", ".join(
            (
                f"{queue.name} slot {slot}: {OWNER_WORDS[Owner(int(queue.owner[slot]))]}",
                f"addr 0x{int(row['addr']):x}",
                f"len {int(row['len'])}",
                f"flags {flag_words(int(row['flags']), packed)}",
                f"{last} {int(row[last])}",
                label_word(int(queue.label[slot])) or "free",
            )
        )

    def toggle_follow(self) -> bool:
        """Let the table keep up with the newest available buffer, or rest."""
        table = self.query_one(Descriptors)
        table.follow = not table.follow
        table.redraw()
        return table.follow

    # where it stands

    def fit_panes(self) -> None:
        """Give every pane its room for this size of the terminal, this device and layout."""
        body = self.query_one("#body")
        width, height = body.size
        if not width or not height:
            return
        queues = len(self._shown.snapshot.queues) if self._shown else 3
        queue = tick_queue(self._shown, self.query_one(Queues).selected)
        packed = isinstance(queue, PackedQueue)
        key = (width, height, queues, packed, self._unfolded, self._told is not None)
        if key == self._arranged:
            return
        self._arranged = key
        wheel = width >= _WHEEL_AT[0] and height >= _WHEEL_AT[1] - 3
        columns = width >= _COLUMNS_AT and not packed
        self._flat = not wheel
        self._folded = not wheel and not columns
        tall = height >= 33
        body.set_class(not wheel, "-flat")
        for pane in (
            self.query_one(Queues),
            self.query_one(Flow),
            self.query_one(Notifications),
        ):
            pane.titled = wheel
        most = 8 if height >= 45 else 5 if wheel else 3
        above = min(queues, most) + wheel
        self.query_one(Queues).styles.height = above
        self.query_one(Flow).styles.height = 3 + wheel
        below = (5 if tall else 3) if wheel else 2
        panel, notifications = self.query_one(StepPanel), self.query_one(Notifications)
        panel.display = self._told is not None
        notifications.display = not panel.display or height >= 45
        notifications.styles.height = below
        panel.titled = wheel
        if panel.display:
            tall_panel = 10 if height >= 45 else 8 if tall else 6
            panel.styles.height = tall_panel if wheel else 4
            below = below * notifications.display + (tall_panel if wheel else 4)
        middle = height - above - 3 - wheel - below
        round_ = self.query_one(Wheel)
        round_.flat = not wheel
        if wheel:
            most = width * 9 // 25 if columns else width - _TABLE_WIDTH - 1
            round_.styles.width = max(44, min(2 * middle + 9, most))
            round_.styles.height = "1fr"
        else:
            round_.styles.width, round_.styles.height = "1fr", 2
        self._place_areas(columns, packed, middle)

    def _place_areas(self, columns: bool, packed: bool, middle: int) -> None:
        table, areas = self.query_one(Descriptors), self.query_one(Areas)
        self.query_one("#right").set_class(columns, "-columns")
        table.mapped = not self._flat
        table.display = not self._folded or self._unfolded == "table"
        areas.display = not self._folded or self._unfolded == "areas"
        areas.styles.width = _AREAS_WIDTH if columns else "1fr"
        if columns or self._folded:
            areas.styles.height = "1fr"
        else:
            areas.styles.height = _PACKED_AREAS if packed else max(8, middle * 2 // 5)

    # what keys and clicks do

    @property
    def _rings_app(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @on(Queues.Chosen)
    def _queue_chosen(self, message: Queues.Chosen) -> None:
        self._rings_app.select(queue=message.queue, slot=None)

    @on(Wheel.Chosen)
    @on(Descriptors.Chosen)
    def _slot_chosen(self, message: Wheel.Chosen | Descriptors.Chosen) -> None:
        self._rings_app.select(slot=message.slot)

    @on(Descriptors.Said)
    def _said(self, message: Descriptors.Said) -> None:
        self._rings_app.tell(message.text)

    def action_pane(self, way: int) -> None:
        """Go to the next pane; where only one is unfolded, to the next of those."""
        if self._folded:
            self._unfold("areas" if self._unfolded == "table" else "table")
            self.query_one(f"#{self._unfolded}").focus()
        elif way > 0:
            self.focus_next(Pane)
        else:
            self.focus_previous(Pane)

    def _unfold(self, name: str) -> None:
        """Where only one of both has room: show the table, or the areas."""
        if not self._folded or self._unfolded == name:
            return
        hidden = self.query_one(f"#{self._unfolded}")
        self._unfolded = name
        self.fit_panes()
        if hidden.has_focus:
            self.query_one(f"#{name}").focus()

    def action_turn(self, by: int) -> None:
        self.query_one(Wheel).turn(by)

    async def action_packet(self) -> None:
        table = self.query_one(Descriptors)
        if table.slot is None:
            self._rings_app.tell("choose a descriptor first: arrows, or a click")
        else:
            await self._rings_app.action_show_packet(table.selected, table.slot)
