"""The packet screen of a still source, for tests: how to get there, and a dissector that never waits."""

from __future__ import annotations

from collections.abc import Callable

from textual.pilot import Pilot

from capture.dissection.headers import decode
from capture.fields import Tree
from inspector.app import RingscopeApp
from inspector.chrome import Foot
from inspector.screens.packets import PacketsScreen
from tests.screens.crossing import Crossing, events_of, rows_of


class AtOnce:
    """A dissector whose trees are there at once and never change with scapy's version."""

    def __init__(self, on_tree: Callable[[Tree], None]) -> None:
        self.on_tree = on_tree
        self.restarts = 0

    def warm(self) -> None: ...

    def request(self, number: int, data: bytes, net_header: bytes = b"") -> None:
        self.on_tree(Tree(number, decode(data, net_header)))

    def close(self) -> None: ...


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    for _ in range(600):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to hold")


async def at_packets(pilot: Pilot[int], *keys: str) -> PacketsScreen:
    """Go to the packets and press keys, once the fields of a packet are there."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    await until(pilot, lambda: app.shown is not None and len(app.screen_stack) and app.view.query(Foot))
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, PacketsScreen) and app.screen._tree is not None)
    await pilot.press(*keys)
    await app.workers.wait_for_complete()
    await pilot.pause()
    assert isinstance(app.screen, PacketsScreen)
    await until(pilot, lambda: app.screen._tree is not None)  # type: ignore[attr-defined]
    await pilot.pause()
    return app.screen


def mixed() -> Crossing:
    """The shipped packets, with the way of the first one that was sent."""
    source = Crossing()
    rows = rows_of(source.all)
    sent = next(row for row in rows if row["queue"] == 1)
    source.journal(events_of(sent))
    return source
