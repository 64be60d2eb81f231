"""Conversations: "who talks with whom, how much, and how long do their buffers take?" """

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from capture.flows import KINDS, Conversation, Conversations, Kind
from inspector.numbers import count, duration, rate
from inspector.sanitise import clean
from inspector.screens.sheet import Sheet
from inspector.screens.stream import open_stream
from inspector.session import Session
from inspector.widgets.grid import Grid, GridColumn, GridRow

_COLUMNS = (
    GridColumn("a", "A (sent first)", meaning="strong"),
    GridColumn("b", "B", meaning="strong"),
    GridColumn("packets", "packets", right=True),
    GridColumn("bytes", "bytes", right=True),
    GridColumn("to_b", "A → B", right=True, meaning="muted", gives_way=6),
    GridColumn("bytes_b", "bytes →", right=True, meaning="muted", gives_way=3),
    GridColumn("to_a", "B → A", right=True, meaning="muted", gives_way=6),
    GridColumn("bytes_a", "bytes ←", right=True, meaning="muted", gives_way=3),
    GridColumn("rate", "bits/s", right=True, gives_way=4),
    GridColumn("start", "first s", right=True, meaning="muted", gives_way=7),
    GridColumn("span", "lasts", right=True, meaning="muted", gives_way=5),
    GridColumn("median", "latency", right=True, gives_way=1),
    GridColumn("max", "longest", right=True, gives_way=2),
)
_PAUSE = 0.5  #: seconds between two looks
_PIECE = 1 << 14  #: packets gone through at a time
_TITLES: dict[Kind, str] = {"eth": "Ethernet", "ip": "IP", "tcp": "TCP", "udp": "UDP", "icmp": "ICMP"}


def grid_row(one: Conversation, zero: int) -> GridRow:
    """A conversation as a row; `zero` is the time that `first` counts from.

    Latency is that of frames the driver sent: a buffer for receiving waits for as long as nothing comes.
    """
    bits = sum(one.bits_per_s)
    latency = one.to_device
    texts = (
        _end(one.a, one.a_port, one.kind),
        _end(one.b, one.b_port, one.kind),
        count(sum(one.packets)),
        count(sum(one.bytes)),
        count(one.packets[0]),
        count(one.bytes[0]),
        count(one.packets[1]),
        count(one.bytes[1]),
        rate(bits).removesuffix("/s") if bits else "",
        f"{(one.first - zero) / 1e9:.3f}",
        duration(one.last - one.first) if one.last > one.first else "",
        duration(latency.median) if latency.count else "",
        duration(latency.max) if latency.count else "",
    )
    order = (
        (one.a, one.a_port or 0),
        (one.b, one.b_port or 0),
        sum(one.packets),
        sum(one.bytes),
        one.packets[0],
        one.bytes[0],
        one.packets[1],
        one.bytes[1],
        bits,
        one.first,
        one.last - one.first,
        latency.median,
        latency.max,
    )
    return GridRow((one.kind, one.first_number, one.a, one.a_port, one.b, one.b_port), texts, order)


def _made(conversations: Conversations, kind: Kind) -> tuple[tuple[Conversation, ...], list[GridRow]]:
    rows = conversations.rows(kind)
    zero = min((row.first for row in rows), default=0)
    return rows, [grid_row(row, zero) for row in rows]


def _until(session: Session, last: int) -> Conversations:
    """The conversations of the packets kept up to one."""
    conversations = Conversations()
    for start in range(session.frames.first, last + 1, _PIECE):
        for block in session.frames.blocks(start, min(start + _PIECE, last + 1)):
            conversations.add(block)
    return conversations


def _end(address: str, port: int | None, kind: Kind) -> str:
    address = clean(address)
    if port is None or kind == "icmp":
        return address if port is None else f"{address} id {port}"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class ConversationsScreen(Sheet[str]):
    """Returns the display filter of the conversation that was chosen, None where none was."""

    BINDING_GROUP_TITLE = "Conversations"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "show its packets", id="flows.filter", tooltip="Filter the list to it"),
        Binding("T", "stream", "stream", id="flows.stream", tooltip="Follow what it says"),
        Binding("c", "kind(1)", "next kind", id="flows.kind", tooltip="Ethernet, IP, TCP, UDP, ICMP"),
        Binding("C", "kind(-1)", "kind before", id="flows.before", show=False, tooltip="The kind before"),
    ]  # fmt: skip
    FOOT_FIRST = ("flows.filter", "flows.stream", "flows.kind", "grid.turn", "sheet.leave")
    DEFAULT_CSS = "ConversationsScreen Grid { height: 1fr; background: $surface; }"

    def __init__(self) -> None:
        super().__init__()
        self._kind: Kind = "tcp"
        self._known: dict[object, Conversation] = {}
        self._came = False
        self._looked = 0.0
        self._past: tuple[int, Conversations] | None = None  # those of a moment: its newest packet, and they

    def body(self) -> Iterable[Widget]:
        grid = Grid(_COLUMNS, "none of this kind so far · c goes to the next kind", id="conversations")
        grid.sort = (3, True)
        yield grid

    def on_mount(self) -> None:
        self.ringscope.analysis.start()
        self.query_one(Grid).focus()
        self._show()

    def beat(self) -> None:
        if time.monotonic() - self._looked >= _PAUSE:
            self._show()

    def _show(self) -> None:
        self._looked = time.monotonic()
        self.run_worker(self._look(), group="conversations", exclusive=True, exit_on_error=False)

    async def _look(self) -> None:
        """Make the rows on a thread of its own: there may be thousands."""
        analysis, kind = self.ringscope.analysis, self._kind
        conversations = await self._conversations()
        rows, made = await asyncio.to_thread(_made, conversations, kind)
        there = conversations.kinds
        if not rows and not self._came and there:
            self._kind, self._came = there[-1], True
            await self._look()
            return
        self._came = self._came or bool(rows)
        if kind != self._kind:
            return
        self._known = {one.key: row for one, row in zip(made, rows, strict=True)}
        folded = conversations.folded(self._kind)
        about = f"{count(len(rows))} · latency: available to used, of what the driver sent"
        if folded.conversations:
            about += f" · {count(folded.conversations)} idle ones summed up: {count(folded.packets)} packets"
        if self._past is not None:
            about = f"in the past: of packets up to {self._past[0]:,} · {about}"
        elif analysis.progress < 1:
            about += f" · {analysis.progress:.0%} of the packets gone through"
        if analysis.failed:
            about = analysis.failed
        others = "  ".join(_TITLES[kind] for kind in there if kind != self._kind)
        about += f"   c: {others}" if others else ""
        self.query_one(Grid).put(f"{_TITLES[self._kind]} conversations", about, made)

    async def _conversations(self) -> Conversations:
        """Those of all packets, or at a moment of the past of those there were."""
        until = self.session.cursor_frame
        if until is None:
            self._past = None
            return self.ringscope.analysis.conversations
        if self._past is None or self._past[0] != until:
            self._past = until, await asyncio.to_thread(_until, self.session, until)
        return self._past[1]

    def _chosen(self) -> Conversation | None:
        return self._known.get(self.query_one(Grid).key)

    @on(Grid.Chosen)
    def _take(self, event: Grid.Chosen) -> None:
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        one = self._chosen()
        if one is not None:
            self.dismiss(one.filter_text)

    def action_stream(self) -> None:
        one = self._chosen()
        if one is not None:
            open_stream(self.ringscope, one.last_number)

    def action_kind(self, step: int) -> None:
        """The next kind of which there is any."""
        there = (self._past[1] if self._past is not None else self.ringscope.analysis.conversations).kinds
        around = [KINDS[(KINDS.index(self._kind) + step * far) % len(KINDS)] for far in range(1, len(KINDS))]
        others = [kind for kind in around if kind in there]
        if not others:
            self.ringscope.tell("there are conversations of no other kind")
            return
        self._kind, self._came = others[0], True
        self._show()

    def copy_text(self) -> str | None:
        one = self._chosen()
        return one.filter_text if one is not None else None
