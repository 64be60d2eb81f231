"""The app: screens, the keys that mean the same on all of them, and the two lines around every screen.

It holds no state of its own but what is on the screen; what is known is in `Session`, and every
control of the source goes through `inspector.stopping.driving`, off the loop, so that nothing can hang it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen

from dataplane.source import RingSource
from inspector import changing, ending, leading, menu, remembered, theme
from inspector.chrome import Foot, TopLine
from inspector.cli import has_terminal
from inspector.diagnosis import HERTZ
from inspector.feed import Feed
from inspector.headlines import Piece, facts, headline, recorded
from inspector.keys import BINDINGS
from inspector.messages import FeedFailed, Ticked
from inspector.past.travel import Travel, Unit, Wish, again, by_units, to_event
from inspector.sanitise import clean, one_line
from inspector.session import HISTORY_BYTES, Session
from inspector.starting import Options
from inspector.stopping import breakpoints, driving
from inspector.tick import Tick
from inspector.view import Beats, Records, Scopes, Searches, View
from inspector.views import DOORS, VIEWS
from inspector.wireshark.offering import offered

if TYPE_CHECKING:
    from capture.bpf import Program
    from inspector.analysis import Analysis
    from inspector.life.model import Name

KEEP_BYTES = 256 << 20  #: of frames, before the oldest go

#: From how many columns and rows on a screen has which class.
_WIDTHS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]
_HEIGHTS = [(0, "-low"), (32, "-tall")]
_MESSAGE_SECONDS = 8.0
_CONTROL_SECONDS = 10.0


class RingscopeApp(App[int]):
    """Looks at one source until the user quits. `return_code` is 0, or 128 plus the signal that ended it.

    It is read `hertz` times a second. `keep_bytes` bounds the packets kept, `history_bytes` the events;
    `capture_filter` decides which packets are kept from the start, `breaks` where the source stops.
    `recording` is what writes the source down meanwhile. The app opens on the screen `first`; `lesson` is
    the one asked for. ValueError with one line for a breakpoint that cannot be.
    """

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
        history_bytes: int = HISTORY_BYTES,
        recording: Records | None = None,
        breaks: Sequence[str] = (),
        first: str = "rings",
        lesson: str | None = None,
    ) -> None:
        super().__init__()
        for one in theme.THEMES:
            self.register_theme(one)
        if self.theme == "textual-dark":  # nobody asked for another one
            self.theme = theme.RINGSCOPE.name
        self.session = Session(source, budget_bytes=keep_bytes, history_bytes=history_bytes)
        if capture_filter is not None:
            self.session.set_capture_filter(capture_filter)
        if breaks:
            breakpoints.arm(self.session, breaks)
        self.remembered = remembered.load()
        self._analysis: Analysis | None = None
        self.feed = Feed(self.session, self, hertz)
        self.recording = recording
        self.first_view = first
        self.lesson = lesson  #: the one that was asked for, None: whichever is next
        self.shown: Tick | None = None  #: the newest reading that was painted
        self._travel = Travel(self)
        self.failed: str | None = None
        self._message: Piece | None = None
        self._message_timer: Any = None
        self._release: Callable[[], None] = lambda: None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.variables(self.current_theme)

    # life

    async def on_mount(self) -> None:
        self._release = ending.catch(lambda number: self.exit(return_code=128 + number))
        self.feed.start()
        self.theme_changed_signal.subscribe(self, self._themed)
        await self.action_view(self.first_view)
        if wrong := getattr(self.session.source, "wrong", ""):
            self.tell(str(wrong), "fault")

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
        self._release()

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
        session = self.session
        if message.session not in (None, session):
            return  # of a source that was let go of
        session.showed(message.tick)
        held = session.paused and self.shown is not None
        if not held:
            self.shown = message.tick
            if session.past is None:
                self._paint(message.tick)
        while session.told:
            self.tell(*session.told.popleft())
        if self.recording is not None:
            session.badges["recording"] = recorded(self.recording)
        if (wanted := breakpoints.take_wanted(session)) is not None:
            self.go_to(wanted)
        self._beat(session.past is not None or not held)
        self.say(message.tick)

    def on_feed_failed(self, message: FeedFailed) -> None:
        if message.session in (None, self.session):
            self.failed = message.line
            self.tell(message.line, "fault", forever=True)

    def _paint(self, tick: Tick) -> None:
        if self._up and isinstance(self.view, View):
            self.view.show(tick)

    def _beat(self, moves: bool) -> None:
        if self._up and moves:
            for screen in {self.view, self.top}:
                if isinstance(screen, Beats) and screen.is_mounted:
                    screen.beat()

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
        name = leading.view_of(self.session, name)
        if name == self.current_mode:
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            return
        if name not in self._modes:
            self.add_mode(name, VIEWS[name])
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
        shown = self.session.past or self.shown
        if isinstance(view, View):
            if shown is not None:
                view.show(shown)
            view.selection_changed(self.session.selection)
        self.say()

    async def change_source(self, source: RingSource, owns: bool = True, view: str | None = None) -> None:
        """Look at another source; see `changing.change_source`."""
        await changing.change_source(self, source, owns, view)

    def look_at(self, session: Session) -> None:
        """Take another session; its feed is not started."""
        if self._analysis is not None:
            self._analysis.stop()
        self._analysis = None
        self.session = session
        self.feed = Feed(session, self, self.feed.hertz)
        self.shown, self.failed, self._message = None, None, None

    @property
    def modes(self) -> tuple[str, ...]:
        """The screens that have been gone to."""
        return tuple(name for name in VIEWS if name in self._modes)

    def base_of(self, mode: str) -> Screen[Any] | None:
        """The screen of a mode, below any dialogue."""
        return next(iter(self._screen_stacks.get(mode, ())), None)

    def action_pause(self) -> None:
        self.session.paused = not self.session.paused
        if not self.session.paused and self.session.tick is not None:
            self.shown = self.session.tick
            if self.session.past is None:
                self._paint(self.shown)
        self.say()

    # the past

    def go_to(self, number: int | None) -> None:
        """Show the moment after event `number` on every screen; None: live."""
        self._travel.go(to_event(number))

    def travel(self, unit: Unit, by: int) -> None:
        """Go so many units back (less than 0) or on."""
        self._travel.go(by_units(unit, by))

    def arrived(self, queue: int, said: str = "", style: str = "past") -> None:
        """The session shows another moment, in which this queue is looked at: paint it."""
        before = self.session.selection
        slot = before.slot if queue == before.queue else None
        after = self.session.select(queue=queue, slot=slot, event=self.session.cursor)
        if after.queue != before.queue and self._up and isinstance(self.view, View):
            self.view.selection_changed(after)
        shown = self.session.past or self.shown
        if shown is not None:
            self._paint(shown)
        self._beat(True)
        self.screen.refresh_bindings()
        if said:
            self.tell(said, style)
        self.say()

    def action_travel(self, unit: Unit, by: int) -> None:
        self.travel(unit, by)

    def action_live(self) -> None:
        self.go_to(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.session.past is not None if action == "live" else True

    def seek(self, wish: Wish) -> None:
        """Go wherever a wish leads."""
        self._travel.go(wish)

    def action_written(self) -> None:
        leading.show_writer(self)

    async def action_stage(self, name: Name) -> None:
        await leading.show_stage(self, name)

    # driving

    def action_freeze(self) -> None:
        self._drive_now(driving.toggle)

    def action_step(self) -> None:
        self._drive_now(driving.step)

    def _drive_now(self, act: Callable[[Session], driving.Said]) -> None:
        """What is done is done now, so now is what is shown."""
        if self.session.past is not None:
            self.go_to(None)
        self.drive(act)

    def action_open(self, name: str) -> None:
        """A dialogue or sheet over whatever is up: see `views.DOORS`."""
        DOORS[name](self)

    def action_rate(self, way: int) -> None:
        self.drive(lambda session: driving.change_rate(session, way))

    def drive(self, act: Callable[[Session], driving.Said]) -> None:
        """Control the source off the loop; what it did is told at the foot."""
        if self.session.lent:
            self.tell("this is a recording: it can be looked through, not driven", "flux")
            return
        self.run_worker(self._driven(act), group="control", exit_on_error=False)

    async def _driven(self, act: Callable[[Session], driving.Said]) -> None:
        """Control the source on a thread of its own: a side that does not answer must not hang the screen."""
        try:
            said = await asyncio.wait_for(asyncio.to_thread(act, self.session), _CONTROL_SECONDS)
        except TimeoutError:
            self.tell(f"the source did not answer within {_CONTROL_SECONDS:.0f} seconds", "fault")
        except Exception as error:
            self.tell(one_line(error), "fault")
        else:
            self.tell(said.text, said.style)
            self.feed.soon()

    def action_queue(self, step: int) -> None:
        view = self.top
        if isinstance(view, Scopes):
            self.tell(view.step_queue(step))
        else:
            leading.step_queue(self, step)

    def select(self, **changes: int | None) -> None:
        """Select something; the screen highlights it, and the next reading brings its rows."""
        before = self.session.selection
        after = self.session.select(**changes)
        if self._up and isinstance(self.view, View):
            self.view.selection_changed(after)
        if before.queue != after.queue:
            self.feed.soon()
            if self.session.past is not None:
                self.seek(again)
        self.say()

    def action_follow(self) -> None:
        leading.follow(self)

    def action_copy(self) -> None:
        leading.copy(self)

    async def action_search(self) -> None:
        if isinstance(self.top, Searches):
            self.top.search()
            return
        await leading.search(self)

    def action_write(self) -> None:
        leading.write(self)

    def open_stream(self, number: int) -> None:
        """Show what the two ends of a packet's stream said."""
        leading.open_stream(self, number)

    def set_capture_filter(self, text: str) -> None:
        """Keep only packets that match from now on; "" keeps all."""
        from inspector import asking

        self.drive(lambda session: asking.set_capture_filter(session, text))

    def remember(self, history: remembered.History, line: str) -> None:
        """Keep a line that was typed for later, also for the next run."""
        self._keep(self.remembered.with_line(history, line))

    def remember_columns(self, columns: tuple[str, ...], time_format: str) -> None:
        self._keep(replace(self.remembered, columns=columns, time_format=time_format))

    def remember_lesson(self, name: str, now: remembered.Progress) -> None:
        self._keep(self.remembered.with_lesson(name, now))

    def _keep(self, now: remembered.Remembered) -> None:
        if now != self.remembered:
            self.remembered = now
            if wrong := remembered.save(now):
                self.tell(f"nothing is kept for the next run: {wrong}", "flux")

    def action_trace(self) -> None:
        menu.choose_level(self)

    async def action_show_packet(self, queue: int, slot: int) -> None:
        await leading.show_packet(self, queue, slot)

    async def action_show_descriptor(self, frame: int) -> None:
        await leading.show_descriptor(self, frame)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from menu.commands(self)
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Quit", "Screenshot"):
                yield command


def run(source: RingSource, **options: Unpack[Options]) -> int:
    """Show a source until the user quits; the exit code. RuntimeError without a terminal."""
    if not has_terminal():
        raise RuntimeError("the screens need a terminal for input and output")
    app = RingscopeApp(source, **options)
    with offered(app.session), ending.outliving():
        app.run()
    return app.return_code or 0
