"""The past in a session: what was read live at an event is what is shown when one goes back there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dataplane.history import History
from dataplane.records import Kind, Side
from dataplane.snapshot import AnyQueue, Snapshot
from inspector.past.travel import Place, by_units, to_event, to_time
from inspector.past.written import last_written
from inspector.session import Session
from tests.fakes import EPOCH, Film, Still, device
from tests.screens.staged import PACE, Staged

TX = 1


@pytest.fixture(params=["split", "packed"])
def staged(request: pytest.FixtureRequest) -> Iterator[Staged]:
    made = Staged(layout=request.param)
    yield made
    made.close()


def differences(live: AnyQueue, past: AnyQueue) -> list[str]:
    """Fields in which two queues differ."""
    found = []
    for field in fields(live):
        one, other = getattr(live, field.name), getattr(past, field.name)
        if isinstance(one, np.ndarray):
            same = one.dtype == other.dtype and one.tobytes() == other.tobytes()
        elif field.name == "tables":
            same = {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}
        else:
            same = one == other
        if not same:
            found.append(field.name)
    return found


def watched(session: Session, staged: Staged, steps: int, unit: Any = "operation") -> dict[int, Snapshot]:
    """Steps the pair, and what was read after each step by event number."""
    seen = {}
    for _ in range(steps):
        tick = session.pull()
        seen[tick.snapshot.number] = tick.snapshot
        staged.go(unit=unit)
    session.pull()
    return seen


@pytest.mark.parametrize("unit", ["operation", "store"])
def test_a_moment_is_what_was_read_then(staged: Staged, unit: str) -> None:
    session = Session(staged)
    session.whole = None
    seen = watched(session, staged, 120, unit)
    assert len(seen) > 60
    for number, live in seen.items():
        tick = session.moment(number)
        assert tick.cursor == number
        past = tick.snapshot
        assert (past.state, past.number, past.time) == ("past", number, live.time)
        assert (past.identity, past.status, past.queue_pairs) == (
            live.identity,
            live.status,
            live.queue_pairs,
        )
        assert [differences(a, b) for a, b in zip(live.queues, past.queues, strict=True)] == [[]] * 3


def test_what_changed_is_against_one_event_before(staged: Staged) -> None:
    session = Session(staged)
    watched(session, staged, 60)
    last = session.history.reach.last
    tick = session.moment(last - 5)
    assert tick.previous is not None
    assert tick.previous.number == last - 6
    assert [int(row["number"]) for row in tick.events.rows] == [last - 5]


def test_a_visit_changes_what_is_shown_and_reading_goes_on(staged: Staged) -> None:
    session = Session(staged)
    watched(session, staged, 40)
    session.visit(session.history.reach.last - 10)
    shown = session.shown
    before = session.history.reach.last
    staged.go(10)
    session.pull()
    assert session.shown is shown
    assert session.history.reach.last > before
    assert session.cursor == before - 10
    session.visit(None)
    assert session.cursor is None
    assert session.shown is session.tick


def test_a_paused_view_stays_paused(staged: Staged) -> None:
    session = Session(staged)
    held = session.pull()
    session.showed(held)
    session.paused = True
    watched(session, staged, 20)
    session.visit(session.history.reach.last - 3)
    session.visit(None)
    assert session.shown is held


def test_memory_is_that_of_the_moment(staged: Staged) -> None:
    session = Session(staged)
    shape = staged.shapes()[TX]
    seen: dict[int, bytes] = {}
    for _ in range(60):
        session.pull()
        seen[session.history.reach.last] = session.memory(shape.desc_addr, 16 * shape.size)
        staged.go()
    session.pull()
    assert len(set(seen.values())) > 3
    for number, octets in seen.items():
        session.visit(number)
        assert session.memory(shape.desc_addr, 16 * shape.size) == octets


def test_without_stores_counts_are_known_and_a_note_says_why_memory_is_not() -> None:
    staged = Staged(trace="operations")
    staged.pair.run()
    session = Session(staged)
    session.pull()
    while not session.history.reach.last or not session.tick or session.tick.snapshot.number < 300:
        session.pull()
    number = int(session.tick.events.rows["number"][-1])
    staged.pair.freeze()
    session.pull()
    session.pull()
    past = session.moment(number, None).snapshot
    assert past.queue(TX).published > 0
    assert not len(past.queue(TX).desc)
    assert "stores were not journaled" in past.notes[0]
    with pytest.raises(LookupError, match="stores were not journaled"):
        session.history.memory(number, staged.shapes()[TX].desc_addr, 16)
    staged.close()


def test_rates_of_the_past_are_those_shown_then() -> None:
    def at(step: int) -> Snapshot:
        return replace(device(64, step=step), time=EPOCH + step * 100_000_000)

    session = Session(Film(at(step) for step in range(60)))
    live = [session.pull() for _ in range(60)]
    for tick in live[15:]:
        for queue in tick.snapshot.queues:
            past = session._meters.at(queue, tick.snapshot.time, lambda _: None)
            assert past.buffers_per_s == pytest.approx(tick.meters[queue.index].buffers_per_s, rel=0.01)
            assert past.history == pytest.approx(tick.meters[queue.index].history)


def test_rates_of_what_nobody_watched_come_from_the_journal(staged: Staged) -> None:
    staged.go(600)
    watching = Session(staged)
    watching.pull()
    lending = Still(staged.snapshot())
    lending.history = watching.history  # type: ignore[attr-defined]
    session = Session(lending)
    session.pull()
    assert session.lent
    number = session.history.reach.last - 10
    then = session.moment(number).snapshot.queue(TX)
    start = session.history.time_of(number) - 10**9
    before = session.history.at(session.history.number_at(start - start % 250_000_000), ()).queue(TX)
    span = number - session.history.number_at(start - start % 250_000_000)
    meter = session.moment(number).meters[TX]
    assert meter.buffers_per_s == pytest.approx((then.used - before.used) * 200 / span)
    assert meter.buffers_per_s > 0


def test_the_newest_frame_of_a_moment(staged: Staged) -> None:
    session = Session(staged)
    for _ in range(40):
        staged.go(5)
        session.pull()
    assert session.cursor_frame is None
    rows = session.frames.rows(1, session.frames.last + 1)
    for number in (rows["number"][3], rows["number"][9]):
        event = (int(rows["time"][int(number) - 1]) - EPOCH) // PACE
        time = session.history.time_of(event)
        session.visit(event)
        newest = session.cursor_frame
        assert newest is not None
        assert session.frames.frame(newest).time <= time
        assert newest == session.frames.last or session.frames.frame(newest + 1).time > time


def test_a_source_s_own_history_is_taken_and_never_written() -> None:
    class Lending(Still):
        def __init__(self) -> None:
            super().__init__(device(64))
            self.history = History(1 << 20)

    source = Lending()
    session = Session(source)
    session.pull()
    assert session.history is source.history
    assert source.history.reach.last == 0


# wishes


def place(session: Session, wish: Any, number: int | None) -> Place:
    made: Place = wish(session, number)
    return made


def test_units_lead_back_and_on(staged: Staged) -> None:
    session = Session(staged)
    watched(session, staged, 100)
    reach = session.history.reach
    assert place(session, by_units("event", -1), None).number == reach.last - 1
    middle = reach.first + 200
    assert place(session, by_units("event", 3), middle).number == middle + 3
    for unit, kind in (("operation", None), ("packet", Kind.FLUSH), ("store", Kind.STORE)):
        back = place(session, by_units(unit, -1), middle).number  # type: ignore[arg-type]
        assert back is not None and back < middle
        row = session.history.row(back)
        assert row is not None
        assert row["kind"] == kind if kind else row["kind"] != Kind.STORE
        between = session.history.rows(back + 1, middle - 1)["kind"]
        assert not (between == kind).any() if kind else (between == Kind.STORE).all()
    assert place(session, by_units("second", -1), reach.last).number == pytest.approx(reach.last - 200, abs=1)
    assert place(session, to_time(EPOCH + 123 * PACE), None).number == 123


def test_at_the_ends_it_says_so(staged: Staged) -> None:
    session = Session(staged, history_bytes=8 << 20)
    watched(session, staged, 30)
    reach = session.history.reach
    said = place(session, by_units("event", 1), reach.last)
    assert (said.number, "newest event" in said.said) == (reach.last, True)
    assert place(session, by_units("event", 1), None).number is None
    said = place(session, by_units("event", -1), reach.first)
    assert said.number == reach.first == 1
    assert said.said == "this is the first event that there was"


def test_nothing_to_go_back_to() -> None:
    session = Session(Still(device(64)))
    session.pull()
    with pytest.raises(LookupError, match="nothing has happened yet"):
        place(session, by_units("event", -1), None)
    with pytest.raises(LookupError):
        session.moment(5)


def test_beyond_what_is_kept_is_one_line(staged: Staged) -> None:
    session = Session(staged)
    watched(session, staged, 10)
    with pytest.raises(LookupError) as raised:
        session.visit(place(session, to_event(1 << 40), None).number)
    assert "\n" not in str(raised.value)
    assert session.cursor is None


# who wrote it


def test_who_wrote_a_slot_last_and_before_that(staged: Staged) -> None:
    session = Session(staged)
    watched(session, staged, 400)
    shape = staged.shapes()[TX]
    writes = [
        row
        for row in session.history.rows(1, session.history.reach.last)
        if row["kind"] == Kind.STORE and shape.desc_addr <= row["place"] < shape.desc_addr + 16 * shape.size
    ]
    slot = (int(writes[-1]["place"]) - shape.desc_addr) // 16
    own = [int(row["number"]) for row in writes if (int(row["place"]) - shape.desc_addr) // 16 == slot]
    assert len(own) > 2
    number: int | None = None
    for expected in own[:-4:-1]:
        found = last_written(TX, slot, session, number)
        assert found.number == expected
        row = session.history.row(expected)
        assert row is not None
        assert f"written by the {Side(int(row['side'])).name.lower()}" in found.said
        number = found.number


def test_where_stores_are_not_journaled_it_says_what_it_goes_by() -> None:
    staged = Staged(trace="operations")
    staged.pair.run()
    session = Session(staged)
    while not session.tick or session.tick.snapshot.queue(TX).published < 20:
        session.pull()
    staged.pair.freeze()
    session.pull()
    session.pull()
    rows = session.history.rows(1, session.history.reach.last)
    adds = rows[(rows["kind"] == Kind.ADD) & (rows["queue"] == TX)]
    slot = int(adds["slot"][-1])
    found = last_written(TX, slot, session, None)
    assert found.number == int(adds["number"][-1])
    assert "stores are not journaled" in found.said
    with pytest.raises(LookupError, match="no write to slot 9999"):
        last_written(TX, 9999, session, None)
    staged.close()


def test_a_watch_is_called_with_every_reading() -> None:
    session = Session(Still(device(64)))
    seen = []
    session.watches.append(lambda _, tick: seen.append(tick) or ("hit", "past"))  # type: ignore[func-returns-value]
    tick = session.pull()
    assert seen == [tick]
    assert list(session.told) == [("hit", "past")]
