"""The app with its feed at rest: a test reads the source when it wants the next picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

import inspector.app
from dataplane.source import RingSource
from inspector.app import RingscopeApp
from inspector.feed import Feed
from inspector.messages import Ticked
from inspector.screens.rings import RingsScreen
from inspector.widgets.areas import Areas
from inspector.widgets.pane import Pane
from inspector.widgets.queues import Queues
from inspector.widgets.table import Descriptors
from inspector.widgets.wheel import Wheel


class _Resting(Feed):
    def start(self) -> None:
        """A test reads instead."""


class ByHand(RingscopeApp):
    """Reads only when told to."""

    CSS_PATH = str(Path(inspector.app.__file__).with_name("app.tcss"))

    def __init__(self, source: RingSource) -> None:
        super().__init__(source)
        self.feed = _Resting(self.session, self)

    async def look(self, pilot: Pilot[Any], times: int = 1) -> None:
        """Read the source and wait until the picture is painted."""
        for _ in range(times):
            tick = replace(self.session.pull(), hertz=15.0)
            self.session.tick = tick
            self.post_message(Ticked(tick))
            await pilot.pause()

    @property
    def rings(self) -> RingsScreen:
        assert isinstance(self.view, RingsScreen)
        return self.view

    @property
    def table(self) -> Descriptors:
        return self.rings.query_one(Descriptors)

    @property
    def wheel(self) -> Wheel:
        return self.rings.query_one(Wheel)

    @property
    def queues(self) -> Queues:
        return self.rings.query_one(Queues)

    @property
    def areas(self) -> Areas:
        return self.rings.query_one(Areas)


def text(pane: Pane) -> list[str]:
    """What a pane shows, line by line."""
    return [strip.text for strip in pane.draw(pane.size.width, pane.size.height)]
