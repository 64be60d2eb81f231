"""What README shows: the pairs of its pictures, and what is done before each is taken."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from held import Held
from posed import Beating, Bursts, Even, Posed
from textual.pilot import Pilot

import inspector.app
from capture.play import load_mix
from dataplane.faults_text import parse_fault
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE
from dataplane.stepping import Plan
from inspector.app import RingscopeApp
from inspector.messages import Ticked
from inspector.past.survey import EVERY
from inspector.screens.findings import FindingsScreen
from inspector.screens.life import LifeScreen
from inspector.screens.packets import PacketsScreen
from inspector.screens.probe import ProbeDialogue
from inspector.session import Session
from inspector.stopping import stepped

Play = Callable[[Pilot[Any], Posed], Awaitable[None]]

_TIRED = 20.0  #: seconds after which what was waited for does not come


class ByHand(RingscopeApp):
    """The app, reading only when a scene says so."""

    CSS_PATH = str(Path(inspector.app.__file__).with_name("app.tcss"))

    def __init__(self, source: Any, **options: Any) -> None:
        super().__init__(source, hertz=1e-3, **options)
        self.feed.start = lambda: None  # type: ignore[method-assign]

    def look_at(self, session: Session) -> None:
        super().look_at(session)
        self.feed.start = lambda: None  # type: ignore[method-assign]

    def tell(self, text: str, style: str = "text", *, forever: bool = False) -> None:
        """What is said stays: a picture does not depend on how long it took to be taken."""
        super().tell(text, style, forever=True)


@dataclass(frozen=True)
class Picture:
    """One picture: what runs, at which size, and what is done before it is taken."""

    name: str
    size: tuple[int, int]
    pair: Callable[[], Pair | Held]
    play: Play
    clock: Callable[[], Even] = Beating
    state: str | None = "running"
    options: dict[str, Any] = field(default_factory=dict)  #: of the app


async def look(pilot: Pilot[Any], beats: int = 1) -> None:
    """Reads the source `beats` times and shows each reading."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    for _ in range(beats):
        tick = replace(app.session.pull(), hertz=15.0, missed=0)
        app.session.tick = tick
        app.post_message(Ticked(tick))
        await pilot.pause()


async def until(pilot: Pilot[Any], what: str, there: Callable[[], bool], *, looking: bool = False) -> None:
    """Waits for something that a thread or another process does; RuntimeError if it does not come."""
    tired = time.monotonic() + _TIRED
    while not there():
        if time.monotonic() > tired:
            raise RuntimeError(f"{what} did not come in {_TIRED:.0f} seconds")
        await pilot.pause(0.05)
        if looking:
            await look(pilot)


async def settled(pilot: Pilot[Any]) -> None:
    """Waits until every worker is through, and what they found is painted."""
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


# pairs


def mix(layout: str, **options: Any) -> Pair:
    pair = Pair(layout=layout, frozen=True, **options)  # type: ignore[arg-type]
    pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
    return pair


def outgoing(layout: str, **options: Any) -> Pair:
    """What the mix sends to the device, as fast as the rings take it."""
    pair = Pair(layout=layout, frozen=True, **options)  # type: ignore[arg-type]
    pair.play(
        PlayFrame(f.offset_ns, f.direction, f.data, f.net_header)
        for f in load_mix()
        if f.direction == TO_DEVICE
    )
    return pair


def flood(layout: str) -> Pair:
    pair = Pair(layout=layout, frozen=True, start_index=40)  # type: ignore[arg-type]
    pair.flood(sample=1)
    return pair


def guest() -> Held:
    """A real guest's rings."""
    return Held(Path(__file__).with_name("guest.held"))


# rings


async def of_a_guest(pilot: Pilot[Any], posed: Any) -> None:
    """Its transmit queue, moving; then again from the beginning for whoever looks at what was said."""
    await look(pilot, 12)


async def said(pilot: Pilot[Any], posed: Any) -> None:
    await look(pilot, 12)
    await pilot.press("6")
    await look(pilot, 2)


async def rings(pilot: Pilot[Any], posed: Posed) -> None:
    """Buffers available, in use and used at once: the driver is ahead, the device is in the middle."""
    await look(pilot)
    await pilot.press("right_square_bracket")
    for beat in range(90):
        if beat % 7 < 4:
            posed.advance(driver=1 + beat // 30, device=1 + beat // 30)
        await look(pilot)
    posed.advance(driver=3)
    await look(pilot)
    _until_holding(posed, queue=1)
    await look(pilot, 2)


def _until_holding(posed: Posed, queue: int) -> None:
    """Steps the device until it has used some buffers of a queue and holds others."""
    for _ in range(400):
        posed.advance(device=1, unit="operation")
        q = posed.pair.snapshot(()).queue(queue)
        if q.used > q.collected and q.seen > q.used:
            return
    raise RuntimeError("the device never held buffers with others used")


async def stepping(pilot: Pilot[Any], posed: Posed) -> None:
    """The store that makes a buffer available, right behind it."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    posed.advance(driver=3, device=3)
    await look(pilot)
    await pilot.press("right_square_bracket")
    stepping = stepped.of(app.session)
    stepping.choose(Plan("store"))
    for _ in range(400):
        before = stepping.steps
        await pilot.press("s")
        await until(pilot, "a step", lambda before=before: stepping.steps > before)  # type: ignore[misc]
        main = stepping.told.main if stepping.told is not None else None
        if main is not None and main.queue == "tx0" and "avail.idx" in main.where:
            break
    else:
        raise RuntimeError("no step stored avail.idx")
    await settled(pilot)
    await look(pilot, 2)


async def history(pilot: Pilot[Any], posed: Posed) -> None:
    """Six seconds of traffic in bursts, looked at where the device had just used a buffer."""
    await look(pilot)
    await pilot.press("right_square_bracket")
    for beat in range(90):
        busy = beat % 30 < 18
        posed.advance(driver=1 + beat % 3 if busy else beat % 5 == 0, device=1 if busy else beat % 5 == 0)
        await look(pilot)
    await pilot.press("3")
    await look(pilot)
    await settled(pilot)
    await pilot.pause(EVERY)  # what was surveyed before everything was read is old by then
    await look(pilot)
    await settled(pilot)
    for key in ("left_curly_bracket", "left_curly_bracket", "left_parenthesis"):
        await pilot.press(key)
        await settled(pilot)
    await look(pilot)
    await settled(pilot)


# packets


async def _some_traffic(pilot: Pilot[Any], posed: Posed) -> None:
    for _ in range(60):
        posed.advance(driver=1, device=1)
        await look(pilot)
    await pilot.press("2")
    await look(pilot, 2)
    await pilot.press("f")


async def packets(pilot: Pilot[Any], posed: Posed) -> None:
    """A DNS answer, with the bytes of one field lit."""
    await _some_traffic(pilot, posed)
    await pilot.press("slash", *"CNAME web", "enter")
    await _dissected(pilot)
    await pilot.press("tab", "G", "enter")
    await look(pilot)


async def filtered(pilot: Pilot[Any], posed: Posed) -> None:
    """A display filter that holds, and the next one being typed."""
    await _some_traffic(pilot, posed)
    await pilot.press("ampersand", *"tcp or dns", "enter")

    def viewed() -> bool:
        view = pilot.app.screen
        if not isinstance(view, PacketsScreen):
            return False
        return view.packets.shown.complete and bool(view.packets.shown.filter_text)

    await until(pilot, "the filter's answer", viewed, looking=True)
    await pilot.press("slash", *"Client Hello", "enter")
    await _dissected(pilot)
    await pilot.press("ampersand", "ctrl+u", *"dns.qry.n")
    await look(pilot)


async def conversations(pilot: Pilot[Any], posed: Posed) -> None:
    """Who talks with whom."""
    await _some_traffic(pilot, posed)
    await pilot.press("c")
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    await until(
        pilot,
        "the analysis",
        lambda: app.analysis.through >= app.session.frames.last,
        looking=True,
    )
    await pilot.pause(1.0)  # the screen looks twice a second
    await look(pilot)


async def life(pilot: Pilot[Any], posed: Posed) -> None:
    """The buffer of a packet that was sent: each step, and how long the others took."""
    await _some_traffic(pilot, posed)
    await pilot.press("slash", *"GET /vring", "enter")
    await _dissected(pilot)
    await pilot.press("L")

    def read() -> bool:
        screen = pilot.app.screen
        return isinstance(screen, LifeScreen) and screen.complete

    await until(pilot, "the life", read)
    screen = pilot.app.screen
    assert isinstance(screen, LifeScreen)
    screen.lifeline.go_to("seen")
    await look(pilot)


# findings


def lossy(layout: str) -> Pair:
    """What the mix sends, of whose kicks of tx0 none arrives any more."""
    pair = outgoing(layout, queue_size=32, trace="stores")
    for fault in parse_fault("lose_kick:queue=tx0,after=2", pair.shapes()):
        pair.inject_fault(fault)
    return pair


async def findings(pilot: Pilot[Any], posed: Posed) -> None:
    """A driver whose kicks are lost: what waits, why, and what to do."""
    await look(pilot)
    for beat in range(60):
        if beat % 3 == 0:
            posed.advance(driver=1, device=6)  # the device falls asleep each time
            posed.advance(driver=2)
        await look(pilot)
    await pilot.press("4")
    await until(pilot, "the findings", lambda: isinstance(pilot.app.screen, FindingsScreen))
    await look(pilot, 2)


async def probe(pilot: Pilot[Any], posed: Posed) -> None:
    """One spare kick sets free what waited: the device had not been told."""
    await findings(pilot, posed)
    await pilot.press("P", "enter")
    dialogue = pilot.app.screen
    assert isinstance(dialogue, ProbeDialogue)
    await until(pilot, "the kick", lambda: dialogue.sent)
    posed.advance(device=3)
    posed.advance(driver=1)
    await until(pilot, "the end of the probe", lambda: dialogue.judged is not None)
    await look(pilot)


def unturned(layout: str) -> Pair:
    """A packed ring whose device does not toggle its wrap counter where the ring begins anew."""
    pair = outgoing(layout, queue_size=16, trace="stores")
    for fault in parse_fault("keep_wrap:queue=tx0", pair.shapes()):
        pair.inject_fault(fault)
    return pair


async def wrapped(pilot: Pilot[Any], posed: Posed) -> None:
    """The finding, and the slot that it rests on: 4, enter, enter."""
    await look(pilot)
    for _ in range(60):
        posed.advance(driver=1, device=1)
        await look(pilot)
    await pilot.press("4")
    await until(pilot, "the findings", lambda: isinstance(pilot.app.screen, FindingsScreen))
    await look(pilot, 2)
    await pilot.press("enter", "enter")
    await look(pilot, 2)


async def _dissected(pilot: Pilot[Any]) -> None:
    """Waits for the dissector, which is a process of its own."""

    def there() -> bool:
        view = pilot.app.screen
        return isinstance(view, PacketsScreen) and view.dissected

    await pilot.pause(0.05)
    await until(pilot, "the dissector's answer", there)


SCENES = (
    Picture("rings-split", (140, 44), lambda: outgoing("split"), rings),
    Picture("rings-packed", (140, 44), lambda: flood("packed"), rings),
    Picture("rings-small", (80, 24), lambda: outgoing("split"), rings),
    Picture("guest", (140, 44), guest, of_a_guest),
    Picture("guest-said", (120, 40), guest, said),
    Picture("packets", (120, 40), lambda: mix("split"), packets),
    Picture("packets-small", (80, 24), lambda: mix("split"), packets),
    Picture("packets-filter", (200, 60), lambda: mix("packed"), filtered),
    Picture("conversations", (120, 40), lambda: mix("split"), conversations),
    Picture("life", (120, 40), lambda: mix("split", trace="stores"), life),
    Picture("stepping", (120, 40), lambda: mix("split", queue_size=16), stepping, Even, None),
    Picture("findings", (120, 40), lambda: lossy("split"), findings),
    Picture("wrapped", (120, 40), lambda: unturned("packed"), wrapped),
    Picture("probe", (120, 40), lambda: lossy("split"), probe),
    Picture("history", (140, 44), lambda: mix("split", queue_size=32, trace="stores"), history, Bursts),
)
