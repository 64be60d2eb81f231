"""Who is at the other end of the rings, and what did the two say to each other?

Of rings of a front-end: each ring as it was set up, the memory that is shared, and every message, the newest
first. Of a pair of our own, which has nobody to talk to: how others come to our sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from dataplane.decode import queue_name
from dataplane.features import feature_names, mask
from dataplane.records import Role
from dataplane.vhost.message import F_PROTOCOL_FEATURES, protocol_names
from dataplane.vhost.peer import Peer, Spoken
from dataplane.vhost.sockets import listening
from dataplane.vhost.talk import Said
from inspector.commands.attached import lately
from inspector.commands.meeting import offer, whose
from inspector.numbers import duration
from inspector.sanitise import clean
from inspector.tick import Selection, Tick
from inspector.widgets.filling import Words
from inspector.widgets.grid import Grid, GridColumn, GridRow
from inspector.widgets.keys import key

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_RINGS = (
    GridColumn("ring", "ring", meaning="strong"),
    GridColumn("state", "state"),
    GridColumn("size", "size", right=True),
    GridColumn("base", "base", right=True),
    GridColumn("kick", "kick"),
    GridColumn("call", "call"),
    GridColumn("err", "err", meaning="muted", gives_way=4),
    GridColumn("desc", "descriptors at", right=True, gives_way=1),
    GridColumn("avail", "driver area", right=True, gives_way=2),
    GridColumn("used", "device area", right=True, gives_way=3),
)
_MEMORY = (
    GridColumn("guest", "guest address", right=True, meaning="strong"),
    GridColumn("size", "size", right=True),
    GridColumn("user", "front-end's address", right=True, gives_way=1),
    GridColumn("offset", "in its file", right=True, meaning="muted", gives_way=2),
)
_TALK = (
    GridColumn("when", "ago", right=True, meaning="muted", gives_way=2),
    GridColumn("who", "who"),
    GridColumn("what", "message", fills=True),
)
_SOCKETS = (
    GridColumn("path", "socket that listens", meaning="strong"),
    GridColumn("whose", "whose", gives_way=1),
    GridColumn("command", "to look into it", fills=True),
)
_KEPT = 400  #: messages shown
_AGAIN = 1_000_000_000  #: ns after which the sockets of this machine are listed again
_SPEAKERS = {"frontend": ("driver", "driver"), "backend": ("device", "device"), "": ("", "muted")}
_NOBODY = (
    "both sides are in this process: there is nobody to talk to. To look into rings of others, leave and"
    " start one of these; ringscope peers says what QEMU, DPDK, libvirt and cloud-hypervisor are started with"
)


class PeerScreen(Screen[None]):
    """The other end of one source."""

    HELP = "Who is at the other end of the rings, and what did the two say to each other?"
    BINDING_GROUP_TITLE = "The other end"
    FOOT_FIRST = ("peer.pane", "grid.turn")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("peer.pane", "tab", "app.focus_next", "pane", "The next table", show=True),
    ]
    DEFAULT_CSS = """
    PeerScreen {
        #body { height: 1fr; }
        Words { background: $panel; }
        #rings { height: 5; }
        #memory { height: 4; }
        #talk, #sockets { height: 1fr; }
        Grid { background: $surface; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: Tick | None = None
        self._looked = 0  # when the sockets of this machine were last listed

    def compose(self) -> ComposeResult:
        with Vertical(id="body"):
            yield Words(id="about")
            yield Grid(_RINGS, "no ring was set up", id="rings")
            yield Grid(_MEMORY, "no memory is shared", id="memory")
            talk = Grid(_TALK, "nothing was said", id="talk")
            talk.sort = (0, False)
            yield talk
            yield Grid(_SOCKETS, "no socket listens here that looks like vhost-user", id="sockets")

    def on_mount(self) -> None:
        self.query_one("#talk", Grid).focus()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def show(self, tick: Tick) -> None:
        """Show what stands now: of this the past keeps nothing but the messages."""
        self._shown = tick
        source, about = self.ringscope.session.source, self.query_one("#about", Words)
        tables = {name: self.query_one(f"#{name}", Grid) for name in ("rings", "memory", "talk")}
        sockets = self.query_one("#sockets", Grid)
        sockets.display = not isinstance(source, Spoken)
        if not isinstance(source, Spoken):
            about.put(_NOBODY)
            for table in tables.values():
                table.display = False
            if tick.snapshot.time - self._looked >= _AGAIN:
                self._looked = tick.snapshot.time
                rows = _attachable()
                sockets.put("sockets", f"{sum(bool(row.texts[0]) for row in rows)} that listen here", rows)
            return
        peer = source.peer
        about.put(_agreed(peer, tick.snapshot.identity.device_id), "text" if peer.connected else "flux")
        tables["rings"].put(
            "rings",
            f"{len(peer.rings)}, as the driver's side set them up",
            _rings(peer, self.ringscope.session.blocks),
        )
        tables["memory"].put(
            "memory", f"{len(peer.regions)} region{'s' * (len(peer.regions) != 1)}", _memory(peer)
        )
        said = source.talk.since()
        tables["talk"].put("said", f"{len(said):,} messages, the newest first", _talk(said[-_KEPT:], tick))
        tables["rings"].styles.height = 2 + max(len(peer.rings), 1)
        tables["memory"].styles.height = 2 + max(min(len(peer.regions), 8), 1)

    def selection_changed(self, selection: Selection) -> None:
        """Nothing here is of one slot."""

    def copy_text(self) -> str | None:
        """The message under the cursor."""
        talk = self.query_one("#talk", Grid)
        return next((row.texts[-1] for row in talk.rows if row.key == talk.key), None)


def _attachable() -> list[GridRow]:
    """What can be attached to here, and by which command; and what was attached to lately."""
    rows = []
    for one in listening():
        if one.kind:
            texts = (clean(one.path), clean(whose(one)), clean(offer(one)))
            rows.append(GridRow(one.path, texts, texts))
    for line in lately():
        texts = ("", "attached to lately", clean(line))
        rows.append(GridRow(line, texts, texts))
    return rows


def _agreed(peer: Peer, device_id: int) -> str:
    """Whether somebody is there, and what both can do."""
    if not peer.connected:
        return clean(f"nobody is connected{': ' + peer.why if peer.why else ''}; {peer.where}")
    features = ", ".join(feature_names(peer.features & ~mask(F_PROTOCOL_FEATURES), device_id)) or "none yet"
    protocol = ", ".join(protocol_names(peer.protocol_features)) or "none"
    return clean(f"somebody is connected, {peer.where} · features {features} · of the protocol {protocol}")


def _rings(peer: Peer, blocks: bool) -> list[GridRow]:
    rows = []
    for ring in peer.rings:
        role = Role.REQUEST if blocks else Role.TRANSMIT if ring.index & 1 else Role.RECEIVE
        state = ring.state if ring.enabled or ring.state != "started" else "started, not enabled"
        texts = (
            queue_name(ring.index, role), state, str(ring.size or ""), f"{ring.base:#x}",
            *("yes" if fd else "no" for fd in (ring.kick, ring.call, ring.err)),
            *(f"{at:#x}" if at else "" for at in (ring.desc, ring.avail, ring.used)),
        )  # fmt: skip
        meaning = "" if state == "started" else "flux"
        rows.append(GridRow(ring.index, texts, (ring.index,) * len(texts), meaning))
    return rows


def _memory(peer: Peer) -> list[GridRow]:
    return [
        GridRow(
            region.guest_addr,
            (
                f"{region.guest_addr:#x}",
                f"{region.size:#x}",
                f"{region.user_addr:#x}",
                f"{region.mmap_offset:#x}",
            ),
            (region.guest_addr, region.size, region.user_addr, region.mmap_offset),
        )
        for region in peer.regions
    ]


def _talk(said: tuple[Said, ...], tick: Tick) -> list[GridRow]:
    rows = []
    for one in said:
        if one.time > tick.snapshot.time and tick.cursor is not None:
            continue
        who, meaning = _SPEAKERS[one.speaker]
        ago = duration(max(tick.snapshot.time - one.time, 0))
        what = f"! {one.text}" if one.refused else one.text
        rows.append(
            GridRow(
                one.number,
                (ago, who, clean(what)),
                (-one.number, who, one.text),
                "fault" if one.refused else meaning,
            )
        )
    return rows
