"""Another source in the same app: lessons and scripts go from one pair to the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.screen import ModalScreen, Screen

from dataplane.source import RingSource
from inspector.session import Session
from inspector.view import Stays
from inspector.views import VIEWS

if TYPE_CHECKING:
    from inspector.app import RingscopeApp

_BETWEEN = "between"


async def change_source(app: RingscopeApp, source: RingSource, owns: bool, view: str | None) -> None:
    """Look at another source: screens begin afresh, but those that have `source_changed`.

    The one before is closed if it was owned. `view` is the screen to go to, None: the one that is up.
    """
    before, going = app.session, app.current_mode
    await asyncio.to_thread(app.feed.stop)
    app.look_at(
        Session(source, budget_bytes=before.budget_bytes, history_bytes=before.history_bytes, owns=owns)
    )
    before.close()
    while isinstance(app.screen, ModalScreen):
        await app.pop_screen()
    stale = [name for name in VIEWS if name in app.modes and not isinstance(app.base_of(name), Stays)]
    app.add_mode(_BETWEEN, Screen)
    if going in stale:
        await app.switch_mode(_BETWEEN)  # the mode that is up cannot be taken away
    for name in stale:
        await app.remove_mode(name)
    for name in app.modes:
        screen = app.base_of(name)
        if isinstance(screen, Stays):
            screen.source_changed()
    await app.action_view(view or going)
    await app.remove_mode(_BETWEEN)
    app.feed.start()
