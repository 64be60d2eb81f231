"""What was asked of the disk, what came of it, and how long did it take? One line for each request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from dataplane.blk import Request
from inspector.numbers import count, duration
from inspector.packets.bytes import BytesView
from inspector.requests import is_bad
from inspector.sanitise import clean
from inspector.tick import Selection, Tick
from inspector.widgets.filling import Words
from inspector.widgets.grid import Grid, GridColumn, GridRow
from inspector.widgets.keys import key

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_COLUMNS = (
    GridColumn("number", "no", right=True, meaning="muted", gives_way=3),
    GridColumn("when", "ago", right=True, meaning="muted", gives_way=2),
    GridColumn("queue", "queue", gives_way=4),
    GridColumn("head", "head", right=True, gives_way=5),
    GridColumn("type", "type", meaning="strong"),
    GridColumn("sector", "sector", right=True),
    GridColumn("bytes", "bytes", right=True),
    GridColumn("status", "status"),
    GridColumn("latency", "latency", right=True),
)
_SHOWN = 500
_SIGNS = (
    (
        "A request",
        (
            ("OK", "the status that the device wrote; any other is red, and counted in the first line"),
            ("unknown", "the driver had the memory back before the status could be read"),
            ("~", "read late: the driver might have had the memory back"),
            ("≤", "a latency that is no longer than that: it was seen available and used at once"),
        ),
    ),
)


class RequestsScreen(Screen[None]):
    """The newest requests, and the chosen one in words and bytes."""

    HELP = "What was asked of the disk, what came of it, and how long did it take?"
    BINDING_GROUP_TITLE = "Requests"
    FOOT_FIRST = ("requests.pane", "requests.failed", "requests.descriptor", "grid.turn")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("requests.pane", "tab", "app.focus_next", "pane", "The next pane", show=True),
        key(
            "requests.failed",
            "x",
            "failed",
            "only failed",
            "Only those with another status than OK",
            show=True,
        ),
        key("requests.descriptor", "d", "descriptor", "descriptors", "The head of the chosen one", show=True),
    ]
    DEFAULT_CSS = """
    RequestsScreen {
        #body { height: 1fr; }
        Words { background: $panel; }
        #requests { height: 1fr; }
        BytesView { height: 6; background: $surface; }
        Grid { background: $surface; }
    }
    RequestsScreen.-tall BytesView { height: 12; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._only_failed = False
        self._shown: Tick | None = None
        self._told: int | None = None  # number of the request whose bytes are shown

    def compose(self) -> ComposeResult:
        with Vertical(id="body"):
            grid = Grid(_COLUMNS, "no request was completed yet", id="requests")
            grid.sort = (0, True)
            yield grid
            yield Words(id="about")
            data = BytesView(id="bytes")
            data.front = "header"
            yield data

    def on_mount(self) -> None:
        self.query_one(Grid).focus()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def explanations(self) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
        """What the signs mean, for the help."""
        return _SIGNS

    def show(self, tick: Tick) -> None:
        self._shown = tick
        session = self.ringscope.session
        until = tick.snapshot.time if tick.cursor is not None else None
        found = session.requests.newest(_SHOWN, until, bad=self._only_failed)
        about = f"{count(session.requests.total)}, {count(session.requests.failed)} failed"
        if (waits := session.requests.latencies(found)) is not None:
            about += f" · of {waits.count}: p50 {duration(waits.half)}, p99 {duration(waits.most)}"
        rows = [self._row(one, tick) for one in found]
        self.query_one(Grid).put("failed requests" if self._only_failed else "requests", about, rows)
        self._tell()

    def _row(self, one: Request, tick: Tick) -> GridRow:
        texts = (
            str(one.number),
            duration(max(tick.snapshot.time - one.time, 0)),
            self.ringscope.session.queue_name(one.queue),
            str(one.head),
            f"{'~' if one.late else ''}{one.name}",
            one.where,
            f"{one.length:,}",
            one.answer,
            f"{'≤ ' if not one.latency else ''}{duration(one.latency or one.slack)}",
        )
        order = (
            one.number, -one.time, one.queue, one.head, one.name,
            one.sector if one.where and one.sector is not None else -1, one.length, one.answer, one.latency,
        )  # fmt: skip
        bad = is_bad(one) or bool(one.wrong(self._capacity))
        return GridRow(one.number, tuple(map(clean, texts)), order, "fault" if bad else "")

    @property
    def _capacity(self) -> int:
        known = self._shown.snapshot.blk if self._shown is not None else None
        return known.capacity if known is not None else 0

    @property
    def _chosen(self) -> Request | None:
        number = self.query_one(Grid).key
        return self.ringscope.session.requests.find(number) if isinstance(number, int) else None

    def _tell(self) -> None:
        """The chosen request in words and bytes."""
        one = self._chosen
        data = self.query_one(BytesView)
        if one is None:
            self.query_one(Words).put("")
            data.put(b"", b"", 0)
            self._told = None
            return
        self.query_one(Words).put(in_words(one, self._capacity), "fault" if is_bad(one) else "text")
        if self._told != one.number:
            self._told = one.number
            data.put(one.header, one.data, one.length)

    @on(Grid.Moved)
    def _moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._tell()

    def action_failed(self) -> None:
        self._only_failed = not self._only_failed
        if self._shown is not None:
            self.show(self._shown)

    async def action_descriptor(self) -> None:
        one = self._chosen
        if one is None:
            self.ringscope.tell("no request is chosen", "flux")
            return
        self.ringscope.select(queue=one.queue, slot=one.head)
        await self.ringscope.action_view("rings")

    def search(self) -> None:
        self.ringscope.tell("requests are sorted by any column: ← → change it; x shows those that failed")

    def write(self) -> None:
        self.ringscope.tell("requests are written as JSON: --json instead of the screens", "flux")

    def selection_changed(self, selection: Selection) -> None:
        """Nothing here is of one slot."""

    def copy_text(self) -> str | None:
        """The chosen request in words."""
        one = self._chosen
        return in_words(one, self._capacity) if one is not None else None


def in_words(one: Request, capacity: int = 0) -> str:
    """All that there is to say of a request."""
    where = f" at sector {one.where}" if one.where else ""
    used = "an unknown number" if one.used_length is None else f"{one.used_length:,}"
    how = "in an indirect table" if one.indirect else "in a chain"
    said = [
        f"{one.name}{where}: {one.length:,} bytes, {one.answer}",
        f"{one.readable:,} readable and {one.writable:,} writable bytes in {one.descriptors} descriptors"
        f" {how}, used with {used}",
    ]  # fmt: skip
    if one.slack:
        said.append(f"waited {duration(one.latency)}, and at most {duration(one.slack)} more")
    else:
        said.append(f"waited {duration(one.latency)}")
    if one.late:
        said.append("it was read late: the driver might have had the memory back")
    return "; ".join([*said, *one.wrong(capacity)])
