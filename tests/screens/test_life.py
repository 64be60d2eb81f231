"""The life of a buffer: each step is the event it says, what is not known is told, keys lead there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from dataplane.history import History
from dataplane.latency import GATES, Latency, edges, latencies
from dataplane.moves import MoveLog
from dataplane.pair import Pair, PlayFrame
from dataplane.past.chunk import make_chunk
from dataplane.records import Kind, Side
from inspector.app import RingscopeApp
from inspector.latencies import Follower, own_waits, percent_below, scale
from inspector.life import Life, Step, life_of
from inspector.screens.life import LifeScreen, selected
from inspector.session import Session
from inspector.widgets.lifeline import Lifeline, spans
from inspector.widgets.waits import WaitTable, axis, bars, chart
from tests.rings.staging import wait_until
from tests.screens.at_packets import at_packets, mixed, until
from tests.screens.crossing import Crossing, events_of, rows_of

LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])
#: step -> the kinds of event that it may be
KINDS = {
    "filled": {Kind.ADD},
    "available": {Kind.PUBLISH},
    "kick": {Kind.KICK, Kind.KICK_QUIET},
    "seen": {Kind.NEXT},
    "completed": {Kind.COMPLETE},
    "used": {Kind.FLUSH},
    "call": {Kind.CALL, Kind.CALL_QUIET},
    "collected": {Kind.COLLECT},
    "recycled": {Kind.ADD},
}


class Stage:
    """A pair that rests, its frames sent when a test says so, and a session that has read all of it."""

    def __init__(self, layout: str, sizes: tuple[int, ...], level: str = "stores", **options: Any) -> None:
        sleeping: Any = {"driver": "interrupt", "device": "interrupt"}
        asked: Any = {"layout": layout, "trace": level, **sleeping, **options}
        self.pair = Pair(queue_size=8, frozen=True, **asked)
        self.pair.play([PlayFrame(0, 0, bytes(size)) for size in sizes], loop=False)
        self.pair.start()
        self.session = Session(self.pair)
        self.session.pull()

    def go(self, side: Side, operations: int = 1) -> None:
        self.pair.step(side, "operation", operations)
        self.session.pull()

    def until(self, side: Side, kind: Kind, queue: int = 1) -> None:
        """Steps a side until the newest event of it is of this kind."""
        for _ in range(400):
            seen = self.session.history.reach.last
            self.go(side)
            rows = self.session.history.rows(seen + 1, self.session.history.reach.last)
            if ((rows["kind"] == kind) & (rows["queue"] == queue)).any():
                return
        raise AssertionError(f"{side.name} never came to {kind.name}")

    def round(self) -> None:
        """All the way, until the driver has collected what was sent."""
        for _ in range(40):
            for side in (Side.DRIVER, Side.DEVICE):
                self.pair.step(side, "turn", 1)
            self.session.pull()
            tick = self.session.tick
            if tick is not None and (queue := tick.snapshot.queue(1)).collected == queue.published > 0:
                return
        raise AssertionError("it never came round")


@pytest.fixture
def stages() -> Iterator[Any]:
    made: list[Stage] = []

    def make(*args: Any, **options: Any) -> Stage:
        made.append(Stage(*args, **options))
        return made[-1]

    yield make
    for stage in made:
        stage.pair.close()


def by_name(life: Life) -> dict[str, Step]:
    return {step.name: step for step in life.steps}


@LAYOUTS
@pytest.mark.parametrize("level", ["stores", "operations"])
def test_every_step_is_the_event_that_it_says(stages: Any, layout: str, level: str) -> None:
    stage = stages(layout, (60, 2400, 60), level)
    stage.round()
    history = stage.session.history
    for position in range(3):
        life = life_of(stage.session, 1, position)
        steps = by_name(life)
        assert (life.queue_name, life.position, life.head) == ("tx0", position, position)
        assert [step.state for step in life.steps if step.name != "recycled"].count("unknown") == 0
        for name, kinds in KINDS.items():
            if name == "recycled":
                continue
            row = history.row(steps[name].event)
            assert row is not None and int(row["kind"]) in kinds and int(row["queue"]) == 1
            assert steps[name].time == int(row["time"]) and steps[name].words
            covered = range(int(row["old"]), int(row["new"]))
            if name in ("filled", "seen", "completed"):
                covered = range(int(row["place"]), int(row["place"]) + int(row["count"]))
            assert position in covered or name in ("kick", "call")
        order = [
            steps[name].event for name in ("filled", "available", "seen", "completed", "used", "collected")
        ]
        assert order == sorted(order)
        assert (
            life.frame == position + 1 and steps["packet"].time == stage.session.frames.frame(life.frame).time
        )
        assert steps["recycled"].state == "open"


@LAYOUTS
def test_with_stores_each_descriptor_is_told_and_leads_to_its_store(stages: Any, layout: str) -> None:
    stage = stages(layout, (60, 2400))
    stage.round()
    session = stage.session
    for position, length in ((0, 72), (1, None)):
        life = life_of(session, 1, position)
        steps = by_name(life)
        assert life.slots == (position,) and not life.notes
        assert steps["allocated"].event <= steps["filled"].event
        assert f"slot {position}" in steps["allocated"].words
        texts = [detail.text for detail in steps["filled"].details]
        assert texts[0].startswith(f"desc[{position}]: 0x")
        if length is not None:
            assert f"{length} bytes" in texts[0]
        else:
            assert "INDIRECT" in texts[0] and any("table of slot 1" in text for text in texts)
        for step in life.steps:
            for detail in step.details:
                if detail.event:
                    row = session.history.row(detail.event)
                    assert row is not None and int(row["kind"]) == Kind.STORE
                    assert int(row["side"]) == step.side and detail.event <= step.event


def test_without_stores_that_is_said() -> None:
    session = Session(mixed())
    session.pull()
    life = life_of(session, 1, 0)
    assert any("stores are not journaled" in note for note in life.notes)
    assert "without stores" in by_name(life)["allocated"].words


@LAYOUTS
def test_what_has_not_happened_is_open(stages: Any, layout: str) -> None:
    stage = stages(layout, (60,))
    session, told = stage.session, []
    for side, kind in (
        (Side.DRIVER, Kind.ADD),
        (Side.DRIVER, Kind.PUBLISH),
        (Side.DEVICE, Kind.NEXT),
        (Side.DEVICE, Kind.COMPLETE),
        (Side.DEVICE, Kind.FLUSH),
        (Side.DRIVER, Kind.COLLECT),
    ):
        stage.until(side, kind)
        steps = by_name(life_of(session, 1, 0))
        main = ("filled", "available", "seen", "completed", "used", "collected")
        told.append([steps[name].state for name in main])
        assert all(not step.time and step.words for step in steps.values() if step.state == "open")
    assert told == [["done"] * n + ["open"] * (6 - n) for n in range(1, 7)]


def test_a_kick_says_its_arithmetic_and_a_quiet_one_too(stages: Any) -> None:
    stage = stages("split", (60, 60))
    stage.until(Side.DRIVER, Kind.KICK)
    kick = by_name(life_of(stage.session, 1, 0))["kick"]
    assert (kick.state, kick.title) == ("done", "kick sent")
    assert "avail_event 0" in kick.words and "<" in kick.words and "2.7.10" in kick.why
    late = Stage("split", (60,), features="-event_idx")
    try:
        late.round()
        call = by_name(life_of(late.session, 1, 0))["call"]
        assert "avail.flags" in call.words or "used.flags" in call.words
    finally:
        late.pair.close()


def test_who_slept_and_what_woke_it() -> None:
    with Pair(queue_size=8, driver="interrupt", device="interrupt") as pair:
        pair.play([PlayFrame(200_000_000, 0, bytes(60))], loop=False)
        pair.start()
        wait_until(lambda: pair.snapshot(()).queue(1).collected == 1, "one buffer")
        pair.freeze()
        session = Session(pair)
        session.pull()
        steps = by_name(life_of(session, 1, 0))
        assert steps["seen"].wait.startswith("the device slept; the kick woke it after")
        assert steps["collected"].wait.startswith("the driver ")


def test_a_side_that_polls_is_said_to(stages: Any) -> None:
    with Pair(queue_size=8, frozen=True, driver="poll", device="poll") as pair:
        pair.play([PlayFrame(0, 0, bytes(60))], loop=False)
        pair.start()
        session = Session(pair)
        for _ in range(12):
            pair.step(Side.DRIVER, "turn", 1)
            pair.step(Side.DEVICE, "turn", 1)
        session.pull()
        steps = by_name(life_of(session, 1, 0))
        assert "the device polls" in steps["seen"].wait and "the driver polls" in steps["collected"].wait


def test_buffers_that_stood_before_it_are_counted(stages: Any) -> None:
    stage = stages("split", (60, 60, 60))
    stage.round()
    waits = [by_name(life_of(stage.session, 1, n))["seen"].wait for n in range(3)]
    assert (
        "behind" not in waits[0]
        and waits[1].endswith("behind 1 other")
        and waits[2].endswith("behind 2 others")
    )


@LAYOUTS
def test_slots_are_filled_again_by_the_buffer_that_is_named(stages: Any, layout: str) -> None:
    stage = stages(layout, (60,) * 30)
    for _ in range(60):
        stage.pair.step(Side.DRIVER, "turn", 1)
        stage.pair.step(Side.DEVICE, "turn", 1)
    stage.session.pull()
    again = 0
    for position in range(20):
        life = life_of(stage.session, 1, position)
        step = by_name(life)["recycled"]
        if step.state == "open":
            continue
        again += 1
        next_one = int(step.words.rsplit(" ", 1)[1])
        assert next_one > position
        assert life.slots[0] in life_of(stage.session, 1, next_one).slots
        between = [life_of(stage.session, 1, n).slots for n in range(position + 1, next_one)]
        assert all(life.slots[0] not in slots for slots in between)
    assert again > 5


def test_what_was_overwritten_is_not_known_and_why_is_said(stages: Any) -> None:
    stage = stages("split", (60,))
    stage.round()
    history = stage.session.history
    full = life_of(stage.session, 1, 0)
    first = by_name(full)["seen"].event
    later = Session(stage.pair)
    later.tick = stage.session.tick
    later.history = History.of([make_chunk(history.rows(first, history.reach.last, own=True))], ())
    life = life_of(later, 1, 0)
    steps = by_name(life)
    assert [steps[n].state for n in ("filled", "available", "kick")] == ["unknown"] * 3
    assert [steps[n].state for n in ("seen", "completed", "used", "collected")] == ["done"] * 4
    assert f"the journal begins with event {first:,}" in steps["filled"].words
    assert any("overwritten" in note for note in life.notes)


def test_nothing_known_is_one_line(stages: Any) -> None:
    stage = stages("split", (60,))
    with pytest.raises(LookupError, match="there is no buffer 7 of tx0 yet: 0 were made available"):
        life_of(stage.session, 1, 7)


def test_the_life_after_a_reset_is_another(stages: Any) -> None:
    stage = stages("split", (60,), features="+ring_reset")
    stage.round()
    old = by_name(life_of(stage.session, 1, 0))["available"].event
    stage.pair.reset_queue(1)
    stage.session.pull()
    again = life_of(stage.session, 1, 0, near=old)
    assert by_name(again)["available"].event == old
    assert by_name(again)["recycled"].state == "open", "what came after the reset is no part of it"


# ---- waits -----------------------------------------------------------------------------------------------


@LAYOUTS
def test_the_waits_are_those_of_all_events_kept(stages: Any, layout: str) -> None:
    stage = stages(layout, (60,) * 20)
    follower = Follower(stage.session)
    for _ in range(30):
        stage.pair.step(Side.DRIVER, "turn", 1)
        stage.pair.step(Side.DEVICE, "turn", 1)
        stage.session.pull()
        follower.waits(1)  # taken in piece by piece
    history = stage.session.history
    whole = MoveLog()
    whole.add(history.rows(1, history.reach.last))
    for until_ in (None, history.reach.last // 2, 10):
        told, expected = follower.waits(1, until_).gates, latencies(whole, 1, until_)
        for gate in GATES:
            one, other = told[gate.name], expected[gate.name]
            assert (one.values.tolist(), one.buffers.tolist()) == (
                other.values.tolist(),
                other.buffers.tolist(),
            )
    assert follower.waits(1).gates["whole round"].count == 20


def test_the_waits_of_one_buffer_are_among_those_of_all(stages: Any) -> None:
    stage = stages("split", (60,) * 3)
    stage.round()
    gates = Follower(stage.session).waits(1).gates
    for position in range(3):
        mine = own_waits(life_of(stage.session, 1, position))
        assert {"available to seen", "seen to used", "used to collected", "whole round"} <= set(mine)
        for name, wait in mine.items():
            assert wait in gates[name].values, name
    assert percent_below(gates["whole round"], gates["whole round"].max) == 1.0


def test_bars_and_charts_hold_every_buffer() -> None:
    found = Latency(np.array([0, 900, 1000, 40_000]), np.array([1, 50, 3, 1]))
    least, most = scale({"a": found})
    assert (least, most) == (900, 40_000)
    cuts = edges(least, most, 20)
    line = bars(found, cuts)
    assert len(line) == 20 and line[0] == "█" and line[-1] == "▁" and line.count(" ") == 18
    rows = chart(found.histogram(cuts), 4)
    assert len(rows) == 4 and all(len(row) == 20 for row in rows)
    assert rows[-1].replace(" ", "") and rows[0][0] == "█"
    under = axis(least, most, cuts, zero=True)
    assert len(under) == 20 and under.startswith("╵0") and "10.0 us" in under
    nothing = Latency(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert bars(nothing, cuts) == " " * 20 and scale({}) == (1, 10)
    alone = scale({"a": Latency(np.array([2000]), np.array([3]))})
    assert alone[0] <= 200 * 10 <= alone[1] and alone[1] >= 10 * alone[0]


@pytest.mark.parametrize("even", [False, True])
def test_every_wait_has_a_bar_inside_the_width(stages: Any, even: bool) -> None:
    stage = stages("split", (60, 60))
    stage.round()
    life = life_of(stage.session, 1, 1)
    for width in (4, 10, 37, 120):
        found = spans(life, width, even)
        assert set(found) == {step.name for step in life.known[1:] if step.name != "recycled"}
        assert all(0 <= start < stop <= width for start, stop in found.values())
        main = [found[name] for name in ("available", "seen", "completed", "used", "collected")]
        assert main == sorted(main)


# ---- the screen ------------------------------------------------------------------------------------------


def lines(widget: Lifeline | WaitTable) -> str:
    if isinstance(widget, WaitTable):
        return "\n".join(strip.text for strip in widget._lines(*widget.size))
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


async def at_life(pilot: Pilot[int], *keys: str) -> LifeScreen:
    await at_packets(pilot, *keys)
    await pilot.press("L")
    await until(pilot, lambda: isinstance(pilot.app.screen, LifeScreen))
    screen = pilot.app.screen
    assert isinstance(screen, LifeScreen)
    await until(pilot, lambda: screen.lifeline.life is not None and screen._waits is not None)
    await pilot.pause()
    return screen


@pytest.fixture
def first_sent() -> int:
    source = mixed()
    return int(next(row["number"] for row in rows_of(source.all) if row["queue"] == 1))


async def go_to_packet(pilot: Pilot[int], number: int) -> None:
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    app.select(frame=number)
    await pilot.pause()


@pytest.mark.asyncio
async def test_one_key_from_a_packet_to_its_life_and_to_its_moments(at_once: None, first_sent: int) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        app = pilot.app
        assert isinstance(app, RingscopeApp)
        await at_packets(pilot)
        await go_to_packet(pilot, first_sent)
        screen = await at_life(pilot)
        life = screen.lifeline.life
        assert life is not None and life.frame == first_sent
        text = lines(screen.lifeline)
        for word in ("made available", "kick sent", "seen by the device", "no call", "collected"):
            assert word in text
        assert "1.00 us" in lines(screen.query_one(WaitTable))


@pytest.mark.asyncio
async def test_a_buffer_without_events_is_said_and_its_neighbours_can_be_gone_to(at_once: None) -> None:
    async with RingscopeApp(mixed()).run_test(size=(80, 24)) as pilot:
        await at_packets(pilot, "G")
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LifeScreen))
        screen = pilot.app.screen
        assert isinstance(screen, LifeScreen)
        await until(pilot, lambda: screen.lifeline.note)
        await until(pilot, lambda: "buffer" in lines(screen.lifeline))
        before = screen.position
        await pilot.press("left")
        assert screen.position == before - 1
        await pilot.press("right", "right", "v", "enter", "y", "d")
        await pilot.pause()
        await pilot.press("escape")


@pytest.mark.asyncio
async def test_in_the_past_what_is_later_is_muted_and_the_moment_is_marked() -> None:
    stage = Stage("split", (60, 60, 60))
    try:
        stage.round()
        async with RingscopeApp(stage.pair).run_test(size=(120, 40)) as pilot:
            app = pilot.app
            assert isinstance(app, RingscopeApp)
            await until(pilot, lambda: app.session.tick is not None and app.session.frames.last >= 3)
            await at_packets(pilot)
            await go_to_packet(pilot, 2)
            screen = await at_life(pilot)
            screen.lifeline.go_to("seen")
            await pilot.press("enter")
            row = screen.lifeline.chosen
            assert row is not None and row.event
            await until(pilot, lambda: app.session.cursor == row.event)
            await until(pilot, lambda: screen.lifeline.cursor == row.event)
            text = lines(screen.lifeline)
            assert "▶ seen by the device" in text
            assert screen.lifeline._is_later(life_step(screen, "used"))
            assert not screen.lifeline._is_later(life_step(screen, "available"))
            await until(pilot, lambda: "up to the moment shown" in lines(screen.query_one(WaitTable)))
            await pilot.press("0")
            await until(pilot, lambda: app.session.cursor is None and screen.lifeline.cursor is None)
            assert "▶" not in lines(screen.lifeline)
    finally:
        stage.pair.close()


def life_step(screen: LifeScreen, name: str) -> Step:
    life = screen.lifeline.life
    step = next((step for step in life.steps if step.name == name), None) if life is not None else None
    assert step is not None
    return step


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "name"), [("V", "available"), ("U", "used"), ("E", "collected")])
async def test_one_key_leads_from_the_list_to_a_moment_of_its_buffer(key: str, name: str) -> None:
    stage = Stage("split", (60, 60, 60))
    try:
        stage.round()
        async with RingscopeApp(stage.pair).run_test(size=(120, 40)) as pilot:
            app = pilot.app
            assert isinstance(app, RingscopeApp)
            await until(pilot, lambda: app.session.tick is not None and app.session.frames.last >= 3)
            await at_packets(pilot)
            await go_to_packet(pilot, 2)
            wanted = by_name(life_of(app.session, 1, 1))[name].event
            await pilot.press(key)
            await until(pilot, lambda: app.session.cursor == wanted)
            assert app.current_mode == "rings"
            assert (app.session.selection.queue, app.session.selection.slot) == (1, 1)
    finally:
        stage.pair.close()


def test_what_is_selected_leads_to_a_buffer(stages: Any) -> None:
    stage = stages("split", (60, 60, 60))
    session = stage.session
    with pytest.raises(LookupError, match="no buffer has been made available"):
        session.select(queue=1, slot=None)
        selected(session, "rings")
    stage.until(Side.DRIVER, Kind.KICK)
    session.select(queue=1, slot=1)
    session.pull()
    assert selected(session, "rings")[:2] == (1, 1)
    stage.round()
    assert selected(session, "rings")[:2] == (1, 1), "the last one that had its head there"
    session.select(queue=1, slot=7)
    with pytest.raises(LookupError, match="no buffer stands in slot 7 of tx0"):
        selected(session, "rings")
    session.select(queue=1, slot=None)
    assert selected(session, "rings")[:2] == (1, 2)
    with pytest.raises(LookupError, match="no packet is selected"):
        selected(session, "packets")
    session.select(frame=3)
    assert selected(session, "packets")[:2] == (1, 2)
    collect = by_name(life_of(session, 1, 1))["collected"].event
    session.select(event=collect)
    assert selected(session, "history")[:2] == (1, 0), "the first that the event moved"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_how_it_looks(at_once: None, size: tuple[int, int], snap_compare: Any) -> None:
    source = Crossing()
    sent = [row for row in rows_of(source.all) if row["queue"] == 1]
    for at, row in enumerate(sent[:30]):
        source.journal(events_of(row, first=1 + 8 * at))

    async def go(pilot: Pilot[int]) -> None:
        await at_packets(pilot)
        await go_to_packet(pilot, int(sent[3]["number"]))
        screen = await at_life(pilot)
        screen.lifeline.go_to("seen")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()

    app = RingscopeApp(source)
    app.feed.hertz = 0.5
    assert snap_compare(app, terminal_size=size, run_before=go)


@pytest.mark.asyncio
async def test_the_keys_to_the_moments_of_a_buffer_work_from_every_screen() -> None:
    stage = Stage("split", (60, 60, 60))
    try:
        stage.round()
        async with RingscopeApp(stage.pair).run_test(size=(120, 40)) as pilot:
            app = pilot.app
            assert isinstance(app, RingscopeApp)
            await until(pilot, lambda: app.session.tick is not None and app.session.frames.last >= 3)
            await at_packets(pilot)
            await go_to_packet(pilot, 2)
            steps = by_name(life_of(app.session, 1, 1))
            for key, name in (("V", "available"), ("U", "used"), ("E", "collected"), ("V", "available")):
                await pilot.press(key)
                await until(pilot, lambda name=name: app.session.cursor == steps[name].event)
                assert app.current_mode == "rings"
            await pilot.press("3")
            await until(pilot, lambda: app.current_mode == "history")
            await pilot.press("E")
            await until(pilot, lambda: app.session.cursor == steps["collected"].event)
            assert app.current_mode == "history"
            await pilot.press("L")
            await until(pilot, lambda: isinstance(app.screen, LifeScreen))
            await pilot.press("U")
            await until(pilot, lambda: app.session.cursor == steps["used"].event)
            assert isinstance(app.screen, LifeScreen)
    finally:
        stage.pair.close()
