"""Packets: "what went through, and where in the ring was it?"

List above, fields and bytes below, as Wireshark's users know it; every packet begins with the Ring
layer, and one key leads to the descriptors that carried it. What is shown is a display filter's choice,
what is kept a capture filter's; both are typed in a bar under the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from capture.dissect import Dissector
from capture.dissection.headers import decode
from capture.errors import FilterError
from capture.fields import Field, Tree, field_at
from capture.frame import Frame
from inspector.chrome import Foot, TopLine
from inspector.collector import leave_alone
from inspector.numbers import count
from inspector.packets.bytes import BytesView, Span
from inspector.packets.filterbar import FilterBar
from inspector.packets.languages import CAPTURE, DISPLAY
from inspector.packets.layers import ring_of
from inspector.packets.list import PacketList
from inspector.packets.search import HINT, parse
from inspector.packets.searching import Searching
from inspector.packets.tree import FieldTree
from inspector.sanitise import clean
from inspector.widgets.pane import Piece

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.session import Selection, Session, Tick

#: Sixteen bytes a row need more room than the app's own "-normal" has.
_WIDTHS = [(0, "-narrow"), (116, "-normal"), (140, "-wide")]
_PATIENCE = 0.15  #: seconds that scapy may take before our own decoder fills in


def _key(
    key: str, action: str, description: str, id: str, tooltip: str, show: bool = True, sign: str | None = None
) -> Binding:
    return Binding(key, action, description, id=id, tooltip=tooltip, show=show, key_display=sign)


class Dissected(Message):
    """The tree of a packet is there."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.tree = tree


class PacketsScreen(Screen[None]):
    """The list, the bars, the fields of the packet under the cursor, and its bytes."""

    BINDING_GROUP_TITLE = "Packets"
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("ampersand", "filter", "filter", "packets.filter", "Show only packets that match", sign="&"),
        _key("T", "stream", "stream", "packets.stream", "Follow the TCP or UDP stream of this packet"),
        _key("c", "conversations", "conversations", "packets.conversations", "Who talks with whom"),
        _key("x", "notes", "notes", "packets.notes", "Retransmissions, resets and what else is odd"),
        _key("d", "descriptor", "descriptors", "packets.descriptor", "The descriptors that carried it"),
        _key("b", "capture", "capture", "packets.capture", "Keep only packets that match (tcpdump's words)"),
        _key("vertical_line", "columns", "columns", "packets.columns", "Choose columns", sign="|"),
        _key("a", "apply(False)", "as filter", "packets.apply", "Show packets that share this field", False),
        _key("A", "apply(True)", "and this", "packets.and", "Filter by this field as well", False),
        _key("n", "again(1)", "next match", "search.next", "The next packet found", False),
        _key("N", "again(-1)", "match before", "search.previous", "The one found before", False),
        _key("tab", "app.focus_next", "pane", "pane.next", "List, fields, bytes, in turn", False),
        _key("ctrl+u", "clear", "clear filter", "packets.clear", "Show every packet again", False),
        _key("escape", "list", "list", "pane.list", "Back to the list", False),
    ]  # fmt: skip
    FOOT_FIRST = ("packets.filter", "search", "packets.stream", "packets.conversations", "write")
    DEFAULT_CSS = """
    PacketsScreen PacketList { height: 1fr; min-height: 6; background: $surface; }
    PacketsScreen #packet { height: 1fr; margin-top: 0; }
    PacketsScreen FieldTree { width: 1fr; background: $surface; }
    PacketsScreen BytesView { width: 42; margin-left: 1; background: $surface; }
    PacketsScreen.-normal BytesView, PacketsScreen.-wide BytesView { width: 75; }
    PacketsScreen.-tall PacketList { height: 4fr; }
    PacketsScreen.-tall #packet { height: 5fr; margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._dissector = Dissector(self._made)
        self._frame: Frame | None = None
        self._tree: Tree | None = None
        self._timer: Timer | None = None
        self._searching = Searching(self)
        self._scope: int | None = None  # the only queue shown
        self._noted = 0  # how far the notes of the list reach
        self._layers: tuple[tuple[Field, ...], str] = (
            (),
            "",
        )  # of the packet shown, and what is said of them
        self._moment: int | None = None  # of the past that its Ring layer tells of

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @property
    def session(self) -> Session:
        return self.ringscope.session

    @property
    def packets(self) -> PacketList:
        return self.query_one(PacketList)

    @property
    def bar(self) -> FilterBar:
        """The one of the display filter."""
        return self.query_one("#filter", FilterBar)

    def compose(self) -> ComposeResult:
        app = self.ringscope
        yield TopLine()
        yield PacketList(self.session, id="list")
        yield FilterBar(DISPLAY, lambda: app.remembered.filters, id="filter")
        yield FilterBar(CAPTURE, lambda: app.remembered.captures, id="capture")
        with Horizontal(id="packet"):
            yield FieldTree(id="fields")
            yield BytesView(id="bytes")
        yield Foot()

    def on_mount(self) -> None:
        self._dissector.warm()
        self.ringscope.analysis.start()
        packets, remembered = self.packets, self.ringscope.remembered
        if remembered.columns:
            packets.set_columns(remembered.columns)
        if remembered.time_format:
            packets.set_time_format(remembered.time_format)
        packets.focus()
        self.call_after_refresh(leave_alone)

    def on_unmount(self) -> None:
        self._searching.stop()
        self._dissector.close()

    # what the app tells

    def show(self, tick: Tick) -> None:
        packets = self.packets
        packets.grow()
        past = tick.cursor is not None
        packets.look_back(self.session.cursor_frame if past else None, tick.snapshot.time if past else None)
        if tick.cursor != self._moment:
            self._moment = tick.cursor
            self._show_tree(*self._layers)
        analysis = self.ringscope.analysis
        if analysis.through != self._noted:
            self._noted = analysis.through
            packets.set_notes(analysis.notes)
        self._say()

    def selection_changed(self, selection: Selection) -> None:
        packets = self.packets
        if selection.frame is not None and selection.frame != packets.cursor:
            packets.go(selection.frame)

    @property
    def dissected(self) -> bool:
        """Whether the whole tree of the packet shown is there, not only its headers."""
        return self._tree is not None

    def toggle_follow(self) -> bool:
        return self.packets.toggle_follow()

    def copy_text(self) -> str | None:
        """The field or the bytes chosen, whichever pane has the focus, else the line of the list."""
        frame = self._frame
        if frame is None:
            return None
        fields, octets = self.query_one(FieldTree), self.query_one(BytesView)
        if self.focused is fields and fields.chosen is not None:
            return f"{clean(fields.chosen.name)}: {clean(fields.chosen.text)}"
        if self.focused is octets:
            return octets.copied().hex()
        summary = self.packets.summary(frame.number, frame.data)
        return " ".join([str(frame.number), *summary])

    # filters

    @on(PacketList.Changed)
    def _changed(self, event: PacketList.Changed) -> None:
        event.stop()
        self._say()

    def _say(self) -> None:
        """What the closed bar says: the filter, how many packets it lets through, how far it has come."""
        bar = self.bar
        if not bar.text and self._scope is None:
            bar.say([])
            return
        ink, shown, kept = self.packets.ink, self.packets.shown, len(self.session.frames)
        text, muted = ink("text", "panel"), ink("muted", "panel")
        facts: list[Piece] = []
        if self._scope is not None:
            facts.append((f"{clean(self.session.queue_name(self._scope))} only ", ink("device", "panel")))
        if bar.text:
            facts.append((f"{clean(bar.text)} ", ink("strong", "panel")))
        if shown.complete:
            facts.append((f"· {count(len(shown))} of {count(kept)} packets ", text))
        else:
            facts.append((f"· at work, {shown.progress:.0%}; the list is as before ", ink("flux", "panel")))
        facts.append(("· & changes it, ctrl+u clears", muted))
        bar.say(facts)

    def filter_to(self, text: str) -> None:
        """Show only what matches; FilterError where that is no filter. "" shows everything."""
        from capture.dfilter import compile_filter

        whole = text.strip()
        if self._scope is not None:
            whole = f"queue == {self._scope}" + (f" and ({whole})" if whole else "")
        compiled = compile_filter(whole) if whole else None
        self.bar.text = text.strip()
        self.packets.set_filter(compiled)
        if self.bar.text:
            self.ringscope.remember("filters", self.bar.text)
        self._say()

    @on(FilterBar.Applied, "#filter")
    def _applied(self, event: FilterBar.Applied) -> None:
        event.stop()
        self._filter_or_tell(event.text)

    @on(FilterBar.Applied, "#capture")
    def _applied_capture(self, event: FilterBar.Applied) -> None:
        event.stop()
        event.bar.text = event.text
        if event.text:
            self.ringscope.remember("captures", event.text)
        self.ringscope.set_capture_filter(event.text)

    @on(FilterBar.Closed)
    def _bar_closed(self, event: FilterBar.Closed) -> None:
        event.stop()
        self.packets.focus()

    def step_queue(self, step: int) -> str:
        """Show only the next queue, or all of them again after the last; one line that says which."""
        tick = self.session.tick
        queues = tick.snapshot.queues if tick is not None else ()
        indices: list[int | None] = [None, *(queue.index for queue in queues)]
        at = indices.index(self._scope) if self._scope in indices else 0
        self._scope = indices[(at + step) % len(indices)]
        self._filter_or_tell(self.bar.text)
        if self._scope is None:
            return "the packets of every queue are shown"
        self.session.select(queue=self._scope, slot=None)
        return f"only the packets of {clean(self.session.queue_name(self._scope))} are shown"

    def _filter_or_tell(self, text: str) -> None:
        try:
            self.filter_to(text)
        except FilterError as error:
            self.ringscope.tell(str(error), "fault")

    def action_filter(self) -> None:
        self.query_one("#capture", FilterBar).close()
        self.bar.open()

    def action_capture(self) -> None:
        bar = self.query_one("#capture", FilterBar)
        held = self.session.capture_filter
        bar.text = held.text if held is not None else ""
        self.bar.close()
        bar.open()

    def action_clear(self) -> None:
        self._scope = None
        self._filter_or_tell("")

    def action_apply(self, also: bool) -> None:
        from inspector.packets.choosing import field_filter

        field = self.query_one(FieldTree).chosen
        found = None
        if field is not None and self._frame is not None:
            layers = self.query_one(FieldTree).fields
            found = field_filter(layers, field, self._frame, self.session.frames)
        if found is None:
            self.ringscope.tell("no filter has a name for this field: choose another one below the list")
            return
        before = self.bar.text
        self._filter_or_tell(f"({before}) and {found}" if also and before else found)

    # one packet

    @on(PacketList.Chosen)
    def _chosen(self, event: PacketList.Chosen) -> None:
        event.stop()
        self._show_packet(event.number)

    def _show_packet(self, number: int) -> None:
        try:
            frame = self.session.frames.frame(number)
        except LookupError:
            return
        self._frame, self._tree = frame, None
        self.session.select(frame=number)
        self.query_one(BytesView).put(frame.net_header, frame.data, frame.length)
        self._dissector.request(number, frame.data, frame.net_header)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PATIENCE, self._fill_in)

    def _made(self, tree: Tree) -> None:
        """Called by the dissector's thread."""
        self.post_message(Dissected(tree))

    def on_dissected(self, event: Dissected) -> None:
        if self._frame is not None and event.tree.number == self._frame.number:
            self._tree = event.tree
            self._show_tree(event.tree.layers, event.tree.reason)
            self._searching.arrived()

    def _fill_in(self) -> None:
        if self._frame is not None and self._tree is None:
            self._show_tree(decode(self._frame.data, self._frame.net_header), "headers only so far")

    def _show_tree(self, layers: tuple[Field, ...], note: str) -> None:
        frame = self._frame
        self._layers = layers, note
        if frame is None:
            return
        ring = ring_of(self.session, frame)
        again = self._dissector.restarts
        replaced = f"decoder replaced {again} time{'s' if again > 1 else ''}" if again else ""
        self.query_one(FieldTree).put((ring, *layers), clean(" · ".join(filter(None, (note, replaced)))))

    @on(FieldTree.Chosen)
    def _field(self, event: FieldTree.Chosen) -> None:
        event.stop()
        field = event.field
        span = Span(field.kind == "vnet", field.byte_start, field.byte_stop) if field.bit_length else None
        self.query_one(BytesView).light(span)

    @on(BytesView.Chosen)
    def _byte(self, event: BytesView.Chosen) -> None:
        event.stop()
        fields = self.query_one(FieldTree)
        found = field_at(fields.fields, event.at * 8, event.vnet)
        if found is not None:
            fields.reveal_field(found)

    # keys

    def action_list(self) -> None:
        self.packets.focus()

    async def action_descriptor(self) -> None:
        if self._frame is not None:
            await self.ringscope.action_show_descriptor(self._frame.number)

    def action_stream(self) -> None:
        from inspector.screens.stream import open_stream

        if self._frame is not None:
            open_stream(self.ringscope, self._frame.number)

    def action_conversations(self) -> None:
        from inspector.screens.conversations import ConversationsScreen

        self.app.push_screen(ConversationsScreen(), self._conversation)

    def _conversation(self, text: str | None) -> None:
        if text is not None:
            self._filter_or_tell(text)

    def action_notes(self) -> None:
        from inspector.screens.notes import NotesScreen

        self.app.push_screen(NotesScreen(self.packets.cursor or 0), self._go_to_noted)

    def _go_to_noted(self, number: int | None) -> None:
        if number is not None:
            self.packets.go(number)

    def action_columns(self) -> None:
        from inspector.screens.columns import ColumnsDialogue

        self.app.push_screen(ColumnsDialogue(self.packets.columns, self.packets.time_format), self._columned)

    def _columned(self, chosen: tuple[tuple[str, ...], str] | None) -> None:
        if chosen is not None:
            columns, time_format = chosen
            self.packets.set_columns(columns or None)
            self.packets.set_time_format(time_format)
            self.ringscope.remember_columns(columns, time_format)

    def action_packets_search(self) -> None:
        from inspector.prompt import Prompt

        before = self._searching.pattern.text if self._searching.pattern else ""
        history = self.ringscope.remembered.searches
        self.app.push_screen(Prompt("search", before, HINT, check=parse, history=history), self._search)

    def _search(self, text: str | None) -> None:
        if text is None:
            return
        try:
            self._searching.begin(text)
        except ValueError as error:
            self.ringscope.tell(str(error), "fault")
            return
        self.ringscope.remember("searches", text)

    def action_again(self, step: int) -> None:
        self._searching.again(step)
