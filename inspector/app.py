"""The app: screens, the keys that mean the same on all of them, and the two lines around every screen.

It holds no state of its own but what is on the screen; what is known is in `Session`, and every
control of the source goes through `inspector.driving`, off the loop, so that nothing can hang it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from dataplane.records import Role
from dataplane.source import RingSource, TraceLevel
from inspector import driving, remembered, theme
from inspector.chrome import Foot, TopLine
from inspector.cli import has_terminal
from inspector.feed import HERTZ, Feed
from inspector.headlines import Piece, facts, headline
from inspector.keys import BINDINGS
from inspector.messages import FeedFailed, Ticked
from inspector.sanitise import clean, one_line
from inspector.session import Session, Tick
from inspector.view import Beats, Copies, Follows, Lists, Scopes, Searches, View, Writes
from inspector.wireshark.offering import offered

if TYPE_CHECKING:
    from capture.bpf import Program
    from inspector.analysis import Analysis

KEEP_BYTES = 256 << 20  #: of frames, before the oldest go

#: From how many columns and rows on a screen has which class.
_WIDTHS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]
_HEIGHTS = [(0, "-low"), (32, "-tall")]
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_MESSAGE_SECONDS = 8.0
_CONTROL_SECONDS = 2.0


class RingscopeApp(App[int]):
    """Looks at one source until the user quits. `return_code` is 0, or 128 plus the signal that ended it."""

    TITLE = "ringscope"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self,
        source: RingSource,
        *,
        hertz: float = HERTZ,
        keep_bytes: int = KEEP_BYTES,
        capture_filter: Program | None = None,
    ) -> None:
        super().__init__()
        for one in theme.THEMES:
            self.register_theme(one)
        if self.theme == "textual-dark":  # nobody asked for another one
            self.theme = theme.RINGSCOPE.name
        self.session = Session(source, budget_bytes=keep_bytes)
        if capture_filter is not None:
            self.session.set_capture_filter(capture_filter)
        self.remembered = remembered.load()
        self._analysis: Analysis | None = None
        self.feed = Feed(self.session, self, hertz)
        self.shown: Tick | None = None
        self.failed: str | None = None
        self._message: Piece | None = None
        self._message_timer: Any = None
        self._signals: list[signal.Signals] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.variables(self.current_theme)

    # life

    async def on_mount(self) -> None:
        self._catch_signals()
        self.feed.start()
        self.theme_changed_signal.subscribe(self, self._themed)
        await self.action_view("rings")

    @property
    def analysis(self) -> Analysis:
        """Conversations and expert notes; nothing is worked out before it is started."""
        if self._analysis is None:
            from inspector.analysis import Analysis

            self._analysis = Analysis(self.session)
        return self._analysis

    def on_unmount(self) -> None:
        self.feed.stop()
        if self._analysis is not None:
            self._analysis.stop()
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.remove_signal_handler(number)

    def _catch_signals(self) -> None:
        """Textual restores the terminal when it exits, but not when a signal ends the process."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
            self._signals.append(number)

    def _signalled(self, number: signal.Signals) -> None:
        self.exit(return_code=128 + number)

    # the picture

    @property
    def view(self) -> Screen[Any]:
        """The screen below any dialogue."""
        return self.screen_stack[0]

    @property
    def top(self) -> Screen[Any]:
        """The uppermost screen that is no dialogue."""
        return next(one for one in reversed(self.screen_stack) if not isinstance(one, ModalScreen))

    @property
    def _up(self) -> bool:
        """Whether there is a whole screen: readings also arrive before the first and after the last."""
        return self.is_running and bool(self.screen_stack) and self.view.is_mounted

    def on_ticked(self, message: Ticked) -> None:
        self.session.showed(message.tick)
        if self.shown is None or not self.session.paused:
            self.shown = message.tick
            self._paint(message.tick)
        self.say(message.tick)

    def on_feed_failed(self, message: FeedFailed) -> None:
        self.failed = message.line
        self.tell(message.line, "fault", forever=True)

    def _paint(self, tick: Tick) -> None:
        if self._up:
            view, top = self.view, self.top
            if isinstance(view, View):
                view.show(tick)
            if isinstance(top, Beats) and top.is_mounted:
                top.beat()

    def _themed(self, _theme: object) -> None:
        for screen in self.screen_stack:
            screen.refresh(layout=False)
            for widget in screen.query("*"):
                widget.refresh()

    def say(self, tick: Tick | None = None) -> None:
        """Bring the lines around the screen up to date."""
        if not self._up:
            return
        tick = tick or self.session.tick
        for screen in {self.view, self.top}:
            if tick is not None:
                for line in screen.query(TopLine):
                    line.say(headline(self.session, tick, self.failed is not None))
            for foot in screen.query(Foot):
                foot.say(facts(self.session, tick) if tick is not None else (), self._message)

    def tell(self, text: str, style: str = "text", *, forever: bool = False) -> None:
        """Say one line at the foot of the screen; it goes after some seconds."""
        self._message = (clean(text), style)
        if self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None
        if not forever:
            self._message_timer = self.set_timer(_MESSAGE_SECONDS, self._hush)
        self.say()

    def _hush(self) -> None:
        self._message = (self.failed, "fault") if self.failed is not None else None
        self.say()

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        from inspector.pictures import settled

        return settled(super().export_screenshot(title=title, simplify=simplify))

    # what keys do

    async def action_view(self, name: str) -> None:
        """Go to a screen; to the one that is up already: away with what lies over it."""
        if isinstance(self.screen, ModalScreen):
            return
        if name == self.current_mode:
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            return
        if name not in self._modes:
            self.add_mode(name, _VIEWS[name])
        await self.switch_mode(name)
        view = self.view
        if view.is_mounted:
            await self._entered(view)
        else:
            view.call_later(self._entered, view)  # a screen takes calls once it is composed

    async def _entered(self, view: Screen[Any]) -> None:
        """A screen has come up: give it its first and last line, and what there is to show."""
        if not self.is_running:
            return
        if not view.query(TopLine):
            await view.mount_all([TopLine(), Foot()])
        if isinstance(view, View) and self.shown is not None:
            view.show(self.shown)
            view.selection_changed(self.session.selection)
        self.say()

    def action_pause(self) -> None:
        self.session.paused = not self.session.paused
        if not self.session.paused and self.session.tick is not None:
            self.shown = self.session.tick
            self._paint(self.shown)
        self.say()

    def action_freeze(self) -> None:
        self._drive(driving.toggle)

    def action_step(self) -> None:
        self._drive(driving.step)

    def action_rate(self, way: int) -> None:
        self._drive(lambda session: driving.change_rate(session, way))

    def _drive(self, act: Callable[[Session], driving.Said]) -> None:
        self.run_worker(self._driven(act), group="control", exit_on_error=False)

    async def _driven(self, act: Callable[[Session], driving.Said]) -> None:
        """Control the source on a thread of its own: a side that does not answer must not hang the screen."""
        try:
            said = await asyncio.wait_for(asyncio.to_thread(act, self.session), _CONTROL_SECONDS)
        except TimeoutError:
            self.tell("the source did not answer within two seconds", "fault")
        except Exception as error:
            self.tell(one_line(error), "fault")
        else:
            self.tell(said.text, said.style)
            self.feed.soon()

    def action_queue(self, step: int) -> None:
        view, tick = self.top, self.session.tick
        if isinstance(view, Scopes):
            self.tell(view.step_queue(step))
            return
        if tick is None or not tick.snapshot.queues:
            return
        indices = [queue.index for queue in tick.snapshot.queues]
        now = self.session.selection.queue
        at = indices.index(now) if now in indices else 0
        chosen = tick.snapshot.queues[(at + step) % len(indices)]
        self.select(queue=chosen.index, slot=None)
        self.tell(f"{clean(chosen.name)} is selected, {_ROLES[chosen.role]}")

    def select(self, **changes: int | None) -> None:
        """Select something; the screen highlights it, and the next reading brings its rows."""
        before = self.session.selection
        after = self.session.select(**changes)
        if self._up and isinstance(self.view, View):
            self.view.selection_changed(after)
        if before.queue != after.queue:
            self.feed.soon()
        self.say()

    def action_follow(self) -> None:
        view = self.top
        if isinstance(view, Follows):
            self.tell("following the newest" if view.toggle_follow() else "staying where you are")
        else:
            self.tell("there is nothing to follow here; 2 goes to the packets")

    def action_copy(self) -> None:
        view = self.top
        text = view.copy_text() if isinstance(view, Copies) else None
        if not text:
            self.tell("nothing is selected that could be copied")
            return
        self.copy_to_clipboard(text)
        self.tell(f"copied {len(text):,} characters (the terminal must allow OSC 52)")

    async def action_search(self) -> None:
        if isinstance(self.top, Searches):
            self.top.search()
            return
        if self.current_mode == "packets" and len(self.screen_stack) > 1:
            await self.action_view("packets")
        await self.action_view("packets")
        await self.run_action("packets_search", self.view)

    def action_write(self) -> None:
        from inspector import asking

        top = self.top
        if isinstance(top, Writes):
            top.write()
        else:
            packets = self.view.packets if isinstance(self.view, Lists) else None
            asking.ask_what_to_write(self, packets)

    def open_stream(self, number: int) -> None:
        """Show what the two ends of a packet's stream said."""
        from inspector.screens.stream import StreamScreen

        self.push_screen(StreamScreen(number), self._go_to_packet)

    async def _go_to_packet(self, number: int | None) -> None:
        if number is not None:
            await self.action_view("packets")
            self.select(frame=number)

    def set_capture_filter(self, text: str) -> None:
        """Keep only packets that match from now on; "" keeps all."""
        from inspector import asking

        self._drive(lambda session: asking.set_capture_filter(session, text))

    def remember(self, history: remembered.History, line: str) -> None:
        """Keep a line that was typed for later, also for the next run."""
        self._keep(self.remembered.with_line(history, line))

    def remember_columns(self, columns: tuple[str, ...], time_format: str) -> None:
        self._keep(replace(self.remembered, columns=columns, time_format=time_format))

    def _keep(self, now: remembered.Remembered) -> None:
        if now != self.remembered:
            self.remembered = now
            if wrong := remembered.save(now):
                self.tell(wrong, "flux")

    def action_trace(self) -> None:
        self.search_commands(
            [(name, lambda level=level: self._trace(level), help_) for name, level, help_ in _LEVELS],
            placeholder="Trace level",
        )

    def _trace(self, level: TraceLevel) -> None:
        self._drive(lambda session: driving.trace(session, level))

    def action_help(self) -> None:
        from inspector.screens.help import HelpScreen

        if not isinstance(self.screen, ModalScreen):
            self.push_screen(HelpScreen(self.screen))

    async def action_show_packet(self, queue: int, slot: int) -> None:
        """From a descriptor to the packet whose buffer stands in its slot."""
        number = self.session.frame_of_slot(queue, slot)
        name = clean(self.session.queue_name(queue))
        if number is None:
            self.tell(f"no packet that is kept stands in slot {slot} of {name}")
            return
        self.session.select(queue=queue, slot=slot, frame=number)
        await self.action_view("packets")

    async def action_show_descriptor(self, frame: int) -> None:
        """From a packet to the descriptors that carried it."""
        found = self.session.slot_of_frame(frame)
        if found is None:
            self.tell(f"packet {frame} is no longer kept")
            return
        queue, slot, there = found
        self.session.select(queue=queue, slot=slot, frame=frame)
        await self.action_view("rings")
        self.feed.soon()
        if not there:
            name = clean(self.session.queue_name(queue))
            self.tell(
                f"the buffer of packet {frame} is gone: slot {slot} of {name} has been used again", "flux"
            )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for binding in self.BINDINGS:
            if isinstance(binding, Binding) and binding.id != "quit":
                yield SystemCommand(
                    binding.description.capitalize(), binding.tooltip, self._run(binding.action)
                )
        for name, level, help_ in _LEVELS:
            yield SystemCommand(name, help_, lambda level=level: self._trace(level))
        for title, help_, act in _COMMANDS:
            yield SystemCommand(title, help_, lambda act=act: self._drive(act))
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Quit", "Screenshot"):
                yield command

    def _run(self, action: str) -> Callable[[], object]:
        return lambda: self.call_later(self.run_action, action)


def _rings() -> Screen[Any]:
    from inspector.screens.rings import RingsScreen

    return RingsScreen()


def _packets() -> Screen[Any]:
    from inspector.screens.packets import PacketsScreen

    return PacketsScreen()


_VIEWS: dict[str, Callable[[], Screen[Any]]] = {"rings": _rings, "packets": _packets}
_ROLES = {
    Role.RECEIVE: "what the driver receives",
    Role.TRANSMIT: "what the driver transmits",
    Role.CONTROL: "what the driver asks of the device",
}
_LEVELS: tuple[tuple[str, TraceLevel, str], ...] = (
    ("Trace off", "off", "Nothing is journaled; the pair is fastest"),
    ("Trace operations", "operations", "What each side published, took, completed, notified"),
    ("Trace stores", "stores", "Every single store to ring memory as well"),
)
_COMMANDS: tuple[tuple[str, str, Callable[[Session], driving.Said]], ...] = (
    ("Traffic at its own pace", "Take back any rate that was asked for", driving.own_pace),
    ("Log packets on or off", "Keep packets for the packets screen, or only count them", driving.toggle_log),
)


def run(
    source: RingSource,
    *,
    hertz: float = HERTZ,
    keep_bytes: int = KEEP_BYTES,
    capture_filter: Program | None = None,
) -> int:
    """Show a source until the user quits; the exit code. RuntimeError without a terminal.

    `keep_bytes` bounds the packets kept; `capture_filter` decides which are kept from the start.
    """
    if not has_terminal():
        raise RuntimeError("the screens need a terminal for input and output")
    app = RingscopeApp(source, hertz=hertz, keep_bytes=keep_bytes, capture_filter=capture_filter)
    with offered(app.session):
        app.run()
    return app.return_code or 0
