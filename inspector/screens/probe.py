"""One spare kick or call: asked for first, then what moved at each gate, and what that proves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import ModalScreen

from dataplane import features as f
from dataplane.rules import probing
from dataplane.rules.probing import Judged, Kind
from inspector.sanitise import clean, one_line
from inspector.screens.findings import FindingsScreen
from inspector.widgets.filling import Words, fitting
from inspector.widgets.keys import key

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_COLOURS = {"lost": "used", "stops": "flux", "refuses": "fault", "deaf": "fault", "nothing": "muted"}


class ProbeDialogue(ModalScreen[None]):
    """Sends nothing before it is told to, and may be told to again."""

    DEFAULT_CSS = """
    ProbeDialogue { align: center middle; background: $background 35%; }
    #probe {
        width: 92%;
        max-width: 92;
        height: auto;
        background: $surface;
        border: round $primary 60%;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 1 1;
    }
    #probe #said, #probe #moves0, #probe #next { margin-top: 1; }
    """
    BINDING_GROUP_TITLE = "Probe"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("probe.send", "enter", "send", "send it", "Send one, and watch for half a second"),
        key("probe.other", "tab,left,right", "other", "kick or call", "The other one"),
        key("probe.back", "escape", "leave", "back", "Send nothing more"),
    ]

    def __init__(self, queue: int, kind: Kind) -> None:
        super().__init__()
        self.queue, self.kind = queue, kind
        self.judged: Judged | None = None
        self.sent = False  #: whether one is on its way
        self._busy = False

    def compose(self) -> ComposeResult:
        with Container(id="probe"):
            yield Words(id="about", ground="surface")
            yield Words(id="said", ground="surface")
            for at in range(3):
                yield Words(id=f"moves{at}", ground="surface")
            yield Words(id="codes", ground="surface")
            yield Words(id="next", ground="surface")

    def on_mount(self) -> None:
        self._say()

    def on_resize(self) -> None:
        self._say()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    def _say(self) -> None:
        session = self.ringscope.session
        name = clean(session.queue_name(self.queue))
        box = self.query_one("#probe")
        box.border_title = f"probe {name}: one spare {self.kind}"
        other = "call" if self.kind == "kick" else "kick"
        again = "again" if self.judged is not None else "sends it"
        long = f"enter {again} · tab a {other} instead · esc back"
        box.border_subtitle = (
            "" if self._busy else fitting(max(self.size.width - 12, 16), long, f"enter {again}")
        )
        way = "the driver sent the device" if self.kind == "kick" else "the device sent the driver"
        self._put(
            "about",
            f"As if {way} one more {self.kind} for {name}, which nothing asked for. The spec has every side"
            f" tolerate it ({', '.join(probing.SECTIONS[self.kind])}); no ring is written.",
        )
        if self._busy:
            self._clear("sent; watching for half a second ...", "flux")
        elif self.judged is not None:
            self._tell(self.judged)
        else:
            tick = session.tick
            queue = tick.snapshot.queue(self.queue) if tick is not None else None
            self._clear(probing.foreseen(self.kind, queue) if queue is not None else "", "strong")

    def _put(self, name: str, text: str, meaning: str = "text") -> None:
        words = self.query_one(f"#{name}", Words)
        words.put(text, meaning)
        words.display = bool(text)

    def _clear(self, text: str, meaning: str) -> None:
        self._put("said", text, meaning)
        for name in ("moves0", "moves1", "moves2", "codes", "next"):
            self._put(name, "")

    def _tell(self, judged: Judged) -> None:
        self._put("said", judged.verdict, _COLOURS[judged.answer])
        for at, move in enumerate(judged.moves):
            went = f"{move.before:,} -> {move.after:,}" if move.moved else f"{move.before:,}, as before"
            still = (
                f"{move.waited:,} waited, {move.waits:,} wait{'s' * (move.waits == 1)} now"
                if move.waited or move.waits
                else ""
            )
            self._put(f"moves{at}", f"{move.stage:<10} {went:<22} {still}", "text" if move.moved else "muted")
        codes = f"it speaks for {', '.join(judged.codes)}" if judged.codes else ""
        self._put("codes", codes, "strong")
        self._put("next", f"next: {judged.next}")

    def action_other(self) -> None:
        if not self._busy:
            self.kind = "call" if self.kind == "kick" else "kick"
            self.judged = None
            self._say()

    def action_send(self) -> None:
        if not self._busy:
            self._busy = True
            self._say()
            self.run_worker(self._send(), exit_on_error=False)

    async def _send(self) -> None:
        source, kind = self.ringscope.session.source, self.kind
        try:
            if source.probe is None:
                raise RuntimeError("this source takes no probe")
            before = await asyncio.to_thread(source.snapshot, ())
            await asyncio.to_thread(source.probe.kick if kind == "kick" else source.probe.call, self.queue)
            self.sent = True
            await asyncio.sleep(probing.WAIT)
            after = await asyncio.to_thread(source.snapshot, ())
            event_idx = f.has(after.identity.accepted, f.F_EVENT_IDX)
            pair = before.queue(self.queue), after.queue(self.queue)
            self.judged = probing.judge(kind, *pair, event_idx)
        except Exception as error:
            self.ringscope.tell(one_line(error), "fault")
        finally:
            self._busy = self.sent = False
            if self.is_attached:
                self._say()

    def action_leave(self) -> None:
        self.dismiss(None)


def ask(app: RingscopeApp) -> None:
    """Ask whether to probe the queue of the chosen finding, else the one that is selected."""
    session = app.session
    name, tick = clean(session.source.identity.name), session.tick
    if session.source.probe is None:
        app.tell(f"{name} cannot be probed: there is nobody to notify", "flux")
    elif session.past is not None:
        app.tell("a probe is of now: 0 goes back to live", "flux")
    elif tick is None or tick.snapshot.state != "running":
        app.tell(f"{name} is at rest, so nothing can move: z runs it", "flux")
    else:
        chosen = app.top.chosen if isinstance(app.top, FindingsScreen) else None
        queue = session.selection.queue
        if chosen is not None and chosen.queue is not None:
            queue = chosen.queue
        app.push_screen(ProbeDialogue(queue, probing.proposed(tick.snapshot.queue(queue))))
