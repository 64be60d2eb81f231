"""Packets: "what went through, and where in the ring was it?"

List above, fields and bytes below, as Wireshark's users know it; every packet begins with the Ring
layer, and one key leads to the descriptors that carried it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from capture.dissect import Dissector
from capture.fields import Field, Tree, field_at, walk
from capture.frame import Frame
from capture.headers import decode
from inspector.chrome import Foot, TopLine
from inspector.packets.bytes import BytesView, Span
from inspector.packets.layers import ring_layer
from inspector.packets.list import PacketList
from inspector.packets.search import Pattern, find, parse
from inspector.packets.tree import FieldTree
from inspector.sanitise import clean

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.session import Selection, Session, Tick

#: Sixteen bytes a row need more room than the app's own "-normal" has.
_WIDTHS = [(0, "-narrow"), (116, "-normal"), (140, "-wide")]
_PATIENCE = 0.15  #: seconds that scapy may take before our own decoder fills in


class Dissected(Message):
    """The tree of a packet is there."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.tree = tree


class PacketsScreen(Screen[None]):
    """The list, the fields of the packet under its cursor, and its bytes."""

    BINDING_GROUP_TITLE = "Packets"
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "d",
            "descriptor",
            "descriptors",
            id="packets.descriptor",
            tooltip="The descriptors that carried this packet",
        ),
        Binding("n", "again(1)", "next match", id="search.next", show=False, tooltip="The next packet found"),
        Binding(
            "N", "again(-1)", "match before", id="search.previous", show=False, tooltip="The one found before"
        ),
        Binding(
            "tab",
            "app.focus_next",
            "pane",
            id="pane.next",
            show=False,
            tooltip="List, fields, bytes, in turn",
        ),
        Binding("escape", "list", "list", id="pane.list", show=False, tooltip="Back to the list"),
    ]
    DEFAULT_CSS = """
    PacketsScreen PacketList { height: 1fr; min-height: 7; background: $surface; }
    PacketsScreen #packet { height: 1fr; margin-top: 0; }
    PacketsScreen FieldTree { width: 1fr; background: $surface; }
    PacketsScreen BytesView { width: 42; margin-left: 1; background: $surface; }
    PacketsScreen.-normal BytesView, PacketsScreen.-wide BytesView { width: 74; }
    PacketsScreen.-tall PacketList { height: 4fr; }
    PacketsScreen.-tall #packet { height: 5fr; margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._dissector = Dissector(self._made)
        self._frame: Frame | None = None
        self._tree: Tree | None = None
        self._timer: Timer | None = None
        self._pattern: Pattern | None = None
        self._looking = threading.Event()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @property
    def session(self) -> Session:
        return self.ringscope.session

    def compose(self) -> ComposeResult:
        yield TopLine()
        yield PacketList(self.session, id="list")
        with Horizontal(id="packet"):
            yield FieldTree(id="fields")
            yield BytesView(id="bytes")
        yield Foot()

    def on_mount(self) -> None:
        self._dissector.warm()
        self.query_one(PacketList).focus()

    def on_unmount(self) -> None:
        self._looking.set()
        self._dissector.close()

    # what the app tells

    def show(self, tick: Tick) -> None:
        if tick.frames_added or self._frame is None:
            self.query_one(PacketList).grow()

    def selection_changed(self, selection: Selection) -> None:
        packets = self.query_one(PacketList)
        if selection.frame is not None and selection.frame != packets.cursor:
            packets.go(selection.frame)

    @property
    def dissected(self) -> bool:
        """Whether the whole tree of the packet shown is there, not only its headers."""
        return self._tree is not None

    def toggle_follow(self) -> bool:
        return self.query_one(PacketList).toggle_follow()

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
        summary = self.query_one(PacketList).summary(frame.number, frame.data)
        return " ".join([str(frame.number), *summary])

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

    def _fill_in(self) -> None:
        if self._frame is not None and self._tree is None:
            self._show_tree(decode(self._frame.data, self._frame.net_header), "headers only so far")

    def _show_tree(self, layers: tuple[Field, ...], note: str) -> None:
        frame = self._frame
        if frame is None:
            return
        where = self.session.slot_of_frame(frame.number)
        name = clean(self.session.queue_name(frame.origin[0]))
        ring = ring_layer(frame, name, self.session.journey(frame), where[2] if where else None)
        self.query_one(FieldTree).put((ring, *layers), clean(note))

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
            fields.reveal(found)

    def all_fields(self) -> Iterator[Field]:
        """Every field shown for the packet, the Ring layer's included."""
        return (field for _, field in walk(self.query_one(FieldTree).fields))

    # keys

    def action_list(self) -> None:
        self.query_one(PacketList).focus()

    async def action_descriptor(self) -> None:
        if self._frame is not None:
            await self.ringscope.action_show_descriptor(self._frame.number)

    def action_packets_search(self) -> None:
        from inspector.prompt import Prompt

        before = self._pattern.text if self._pattern else ""
        hint = "a word, an address, or bytes as 0x0a00 · enter go · esc back"
        self.app.push_screen(Prompt("search", before, hint), self._search)

    def _search(self, text: str | None) -> None:
        if text is None:
            return
        try:
            self._pattern = parse(text)
        except ValueError as error:
            self.ringscope.tell(str(error), "fault")
            return
        self._look(1, 0)

    def action_again(self, step: int) -> None:
        if self._pattern is None:
            self.ringscope.tell("nothing was searched for yet: / does")
        else:
            self._look(step, step)

    def _look(self, step: int, skip: int) -> None:
        """Search on a thread of its own; a newer search ends the one before."""
        self._looking.set()
        self._looking = threading.Event()
        start = (self.query_one(PacketList).cursor or 1) + skip
        self.run_worker(self._found(start, step, self._looking), group="search", exclusive=True)

    async def _found(self, start: int, step: int, stop: threading.Event) -> None:
        pattern = self._pattern
        if pattern is None:
            return
        number = await asyncio.to_thread(find, self.session.frames, pattern, start, step, stop)
        if stop.is_set():
            return
        if number is None:
            self.ringscope.tell(f"no packet has {pattern.text}", "flux")
            return
        self.query_one(PacketList).go(number)
        self.ringscope.tell(f"packet {number} has {pattern.text} · n next · N before")
