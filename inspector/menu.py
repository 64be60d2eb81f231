"""The commands of the palette: every key of the app by its name, and what has no key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import Binding

from dataplane.source import TraceLevel
from inspector.keys import BINDINGS
from inspector.session import Session
from inspector.stopping import driving

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

LEVELS: tuple[tuple[str, TraceLevel, str], ...] = (
    ("Trace off", "off", "Nothing is journaled; the pair is fastest"),
    ("Trace operations", "operations", "What each side published, took, completed, notified"),
    ("Trace stores", "stores", "Every single store to ring memory as well"),
)
_COMMANDS: tuple[tuple[str, str, Callable[[Session], driving.Said]], ...] = (
    ("Traffic at its own pace", "Take back any rate that was asked for", driving.own_pace),
    ("Log packets on or off", "Keep packets for the packets screen, or only count them", driving.toggle_log),
)


def commands(app: RingscopeApp) -> Iterable[SystemCommand]:
    """What the palette lists before the toolkit's own commands."""
    for binding in BINDINGS:
        if isinstance(binding, Binding) and binding.id != "quit":
            yield SystemCommand(binding.description.capitalize(), binding.tooltip, _run(app, binding.action))
    for name, level, about in LEVELS:
        yield SystemCommand(name, about, lambda level=level: _trace(app, level))
    for title, about, act in _COMMANDS:
        yield SystemCommand(title, about, lambda act=act: app.drive(act))


def choose_level(app: RingscopeApp) -> None:
    """Ask how much is to be journaled."""
    app.search_commands(
        [(name, lambda level=level: _trace(app, level), about) for name, level, about in LEVELS],
        placeholder="Trace level",
    )


def _trace(app: RingscopeApp, level: TraceLevel) -> None:
    app.drive(lambda session: driving.trace(session, level))


def _run(app: RingscopeApp, action: str) -> Callable[[], object]:
    return lambda: app.call_later(app.run_action, action)
