"""A scenario on the screens: the rings of its pair, and above the foot what the script says.

One key, `;`, plays the next step; everything else is as on any pair: step by hand, look into the past, follow
a packet. What a step of the script did is told and marked like a step by hand.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from textual import events
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen
from textual.strip import Strip

import inspector.app
from dataplane.records import Kind
from dataplane.scenario import Outcome, Played
from dataplane.script.actions import Step
from inspector.app import RingscopeApp
from inspector.chrome import Foot
from inspector.cli import FAILED, has_terminal
from inspector.ending import outliving
from inspector.sanitise import clean, one_line
from inspector.stopping import stepped
from inspector.view import View
from inspector.widgets.filling import parts
from inspector.widgets.keys import key
from inspector.widgets.pane import Ink, Pane, Piece, line
from inspector.wireshark.offering import offered

if TYPE_CHECKING:
    from inspector.tick import Tick

_SCRIPT_KEY = ";"
#: What neither side did.
_NO_SIDES = [int(kind) for kind in (Kind.FREEZE, Kind.RUN, Kind.LEVEL, Kind.BREAK)]


class Script(Protocol):
    """What the line above the foot tells of."""

    played: Played
    busy: bool


class ScriptLines(Pane, can_focus=False):
    """Where the script stands, and what it says of the step that was played last."""

    DEFAULT_CSS = """
    ScriptLines { dock: bottom; height: 3; margin-bottom: 1; background: $surface; }
    Screen.-tall ScriptLines { margin-bottom: 2; }
    """

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def show(self, tick: Tick) -> None:
        """Nothing in it comes from the rings."""

    def draw(self, width: int, height: int) -> list[Strip]:
        return lines(self.ink, self._script.played, width, height, busy=self._script.busy)

    async def on_click(self, event: events.Click) -> None:
        await self.app.run_action("script")


def lines(ink: Ink, played: Played, width: int, height: int, *, busy: bool = False) -> list[Strip]:
    """The script in `height` lines of `width` cells: how far it is, what it says, what did not hold."""
    scenario = played.scenario
    last = played.outcomes[-1] if played.outcomes else None
    base, bar = ink("text"), ink("text", "panel")
    total = len(scenario.steps)
    left: list[Piece] = [
        (f" {clean(scenario.title) or 'script'}", ink("strong", "panel", bold=True)),
        (f"  {played.at}/{total}", ink("accent", "panel", bold=True)),
    ]
    if last is not None and last.step.text:
        left.append((f"  {clean(last.step.text)}", ink("muted", "panel")))
    if last is not None and last.results:
        held = sum(one.holds for one in last.results)
        meaning = "used" if held == len(last.results) else "fault"
        left.append((f"  {held} of {len(last.results)} hold", ink(meaning, "panel")))
    hint = _hint(ink, played, busy)
    room = width - sum(len(text) for text, _ in hint)
    strips = [line(width, [*_fit(left, room, bar), *hint], bar)]
    text, meaning = _said(played, last)
    for part in parts(text, max(width - 2, 1), height - 1):
        strips.append(line(width, [(f" {part}", ink(meaning))], base))
    while len(strips) < height:
        strips.append(line(width, [], base))
    return strips[:height]


def _hint(ink: Ink, played: Played, busy: bool) -> list[Piece]:
    if busy:
        return [(" playing ", ink("muted", "panel"))]
    if played.failed:
        return [(" failed ", ink("fault", "panel", bold=True))]
    if played.done:
        return [(" the end ", ink("used", "panel", bold=True))]
    return [(f" {_SCRIPT_KEY}", ink("accent", "panel", bold=True)), (" next step ", ink("muted", "panel"))]


def _said(played: Played, last: Outcome | None) -> tuple[str, str]:
    if last is None:
        return clean(played.scenario.about) or "The script has not begun.", "text"
    if last.failure:
        return clean(last.failure), "fault"
    if last.stopped:
        return clean(f"stopped at breakpoint {', '.join(last.stopped)}. {last.step.say}"), "flux"
    if last.step.say:
        return clean(last.step.say), "text"
    before = next((one.step.say for one in reversed(played.outcomes) if one.step.say), "")
    return clean(before), "muted"


def _fit(pieces: list[Piece], width: int, base: Any) -> list[Piece]:
    """Pieces that fit, and blanks up to `width` cells."""
    kept: list[Piece] = []
    left = width
    for text, style in pieces:
        if len(text) > left:
            if left > 12:
                kept.append((text[: left - 1] + "…", style))
                left = 0
            break
        kept.append((text, style))
        left -= len(text)
    return [*kept, (" " * left, base)]


class PlayingApp(RingscopeApp):
    """The screens on a scenario that is being played; the caller closes it."""

    CSS_PATH = str(Path(inspector.app.__file__).with_name("app.tcss"))
    BINDINGS: ClassVar[list[BindingType]] = [
        key("script.next", "semicolon", "script", "script", "Play the next step of the script", show=True)
    ]

    def __init__(self, played: Played, **options: Any) -> None:
        super().__init__(played.source, **options)
        self.played = played
        self.busy = False
        self.session.select(queue=_first_queue(played))

    async def _entered(self, view: Screen[Any]) -> None:
        await super()._entered(view)
        if self.is_running and view.query(Foot) and not view.query(ScriptLines):
            await view.mount(ScriptLines(self))
            if isinstance(view, View):
                view.selection_changed(self.session.selection)

    def action_script(self) -> None:
        """Play the next step, off the loop."""
        if isinstance(self.screen, ModalScreen) or self.busy:
            return
        if self.played.done:
            self.tell("the script has ended" if not self.played.failed else "the script has failed here")
            return
        self.busy = True
        if self.session.past is not None:
            self.go_to(None)
        self._rewrite()
        self.run_worker(self._play(), group="script", exit_on_error=False)

    async def _play(self) -> None:
        try:
            outcome = await asyncio.to_thread(self.played.step)
            self._tell_step(outcome)
        except Exception as error:  # whatever it is, the screens go on
            self.tell(one_line(error), "fault")
        finally:
            self.busy = False
            self._rewrite()
            self.feed.soon()

    def _tell_step(self, outcome: Outcome) -> None:
        """What the step did is told as if it had been taken by hand."""
        stepping = stepped.of(self.session)
        rows = outcome.rows[~np.isin(outcome.rows["kind"], _NO_SIDES)]
        if not len(rows):
            stepping.told = None
            return
        stepping.steps += 1
        heading = f"script {outcome.step.number} · {clean(outcome.step.text)}"
        shapes, queue = stepped.shapes_of(self.session), queue_of(self.played, outcome.step)
        mine = rows[rows["queue"] == queue] if queue is not None else rows
        told = stepped.tell(mine if len(mine) else rows, shapes, heading)
        marks, last = stepped.marks_of(rows, shapes), int(rows["number"][-1])
        stepping.told = replace(told, steps=stepping.steps, marks=marks, last=last, queue=queue)

    def _rewrite(self) -> None:
        for screen in {self.view, self.top}:
            for one in screen.query(ScriptLines):
                one.redraw()


def queue_of(played: Played, step: Step) -> int | None:
    """The queue that a step is about: the first that its expectations name, None where they name none."""
    queues = played.scenario.stage.queues
    named = (name for _, _, expected in step.expect for name in expected.names)
    return next((queues[name].index for name in named if name in queues), None)


def _first_queue(played: Played) -> int:
    """The queue that the script speaks of first."""
    found = (queue_of(played, step) for step in played.scenario.steps)
    return next((queue for queue in found if queue is not None), 0)


def run(played: Played) -> int:
    """Show a scenario until the user quits: 0, 1 where something did not hold, or 128 plus a signal."""
    if not has_terminal():
        raise RuntimeError("the screens need a terminal for input and output")
    app = PlayingApp(played)
    with offered(app.session), outliving():
        app.run()
    return app.return_code or (FAILED if played.failed else 0)
