"""The screens there are, one question each, by the name that a key goes to; and what opens over them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textual.screen import ModalScreen, Screen

if TYPE_CHECKING:
    from inspector.app import RingscopeApp


def _screen(module: str, name: str) -> Callable[[], Screen[Any]]:
    """Makes a screen when it is first gone to: what nobody looks at costs no time at the start."""

    def make() -> Screen[Any]:
        made: Screen[Any] = getattr(import_module(f"inspector.screens.{module}"), name)()
        return made

    return make


VIEWS: dict[str, Callable[[], Screen[Any]]] = {
    "rings": _screen("rings", "RingsScreen"),
    "packets": _screen("packets", "PacketsScreen"),
    "requests": _screen("requests", "RequestsScreen"),
    "history": _screen("history", "HistoryScreen"),
    "findings": _screen("findings", "FindingsScreen"),
    "lesson": _screen("lesson", "LessonScreen"),
    "peer": _screen("peer", "PeerScreen"),
}


def _door(module: str, function: str) -> Callable[[RingscopeApp], None]:
    """Calls a function of a screen's module, which opens it; not over a dialogue."""

    def open_(app: RingscopeApp) -> None:
        if not isinstance(app.screen, ModalScreen):
            getattr(import_module(f"inspector.screens.{module}"), function)(app)

    return open_


DOORS: dict[str, Callable[[RingscopeApp], None]] = {
    "help": _door("help", "open_help"),
    "stepping": _door("stepping", "ask"),
    "breakpoints": _door("breakpoints", "ask"),
    "faults": _door("faults", "ask"),
    "probe": _door("probe", "ask"),
    "life": _door("life", "open_life"),
}
