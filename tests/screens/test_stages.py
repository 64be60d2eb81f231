"""Stages of frames: found by bisection in the events, filled in as they come, final when no more will."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from capture.bpf import compile_bpf
from capture.frame import CALL_QUIET, CALL_SENT, KICK_QUIET, KICK_SENT
from dataplane.pair import Pair, PlayFrame
from dataplane.records import EVENT, FRAME, Kind, Side
from dataplane.source import Cursor, Events, Frames
from inspector import session as sessions
from inspector.life import life_of
from inspector.session import Session
from inspector.stages import Stages
from tests.fakes import EPOCH, Film, Still, device

Row = tuple[Kind, int, int, int]  #: kind, old, new, microseconds


def events(*rows: Row, queue: int = 1, first: int = 1) -> Any:
    made = np.zeros(len(rows), EVENT)
    for at, (kind, old, new, when) in enumerate(rows):
        side = Side.DEVICE if kind in (Kind.FLUSH, Kind.CALL, Kind.CALL_QUIET) else Side.DRIVER
        made[at] = (first + at, EPOCH + when * 1000, 0, old, new, kind, side, queue, 0, 1)
    return made


def told(stages: Stages, *frames: tuple[int, int, int], queue: int = 1) -> list[tuple[int, int, int, int]]:
    """Microseconds of the three stages, -1: unknown, and notices; of (position, buffers, microseconds)."""
    positions, buffers, times = (np.array(column, np.uint64) for column in zip(*frames, strict=True))
    made, _ = stages.of(
        np.full(len(frames), queue, np.uint16), positions, buffers.astype(np.uint16),
        np.uint64(EPOCH) + times * np.uint64(1000),
    )  # fmt: skip
    return [
        (*((int(row[name]) and (int(row[name]) - EPOCH) // 1000) or -1 * (not row[name]) for name in STAGED),
         int(row["notices"]))
        for row in made
    ]  # fmt: skip


STAGED = ("available", "used", "collected")
WAY: tuple[Row, ...] = (
    (Kind.PUBLISH, 0, 3, 10),
    (Kind.KICK, 0, 0, 11),
    (Kind.FLUSH, 0, 2, 30),
    (Kind.CALL_QUIET, 0, 0, 31),
    (Kind.PUBLISH, 3, 4, 35),
    (Kind.KICK_QUIET, 0, 0, 36),
    (Kind.FLUSH, 2, 4, 40),
    (Kind.CALL, 0, 0, 41),
    (Kind.COLLECT, 0, 4, 50),
)


def test_each_buffer_has_the_moves_that_cover_it() -> None:
    stages = Stages()
    stages.add(events(*WAY))
    assert told(stages, (0, 1, 20), (1, 1, 20), (2, 1, 32), (3, 1, 38)) == [
        (10, 30, 50, KICK_SENT | CALL_QUIET),
        (10, 30, 50, KICK_SENT | CALL_QUIET),
        (10, 40, 50, KICK_SENT | CALL_SENT),
        (35, 40, 50, KICK_QUIET | CALL_SENT),
    ]
    assert told(stages, (4, 1, 60)) == [(-1, -1, -1, 0)] == told(stages, (0, 1, 20), queue=5)


def test_a_frame_of_many_buffers_is_told_by_its_last() -> None:
    stages = Stages()
    stages.add(events(*WAY))
    assert told(stages, (1, 3, 37)) == [(35, 40, 50, KICK_QUIET | CALL_SENT)]


def test_a_decision_covers_all_that_was_made_visible_since_the_one_before() -> None:
    stages = Stages()
    stages.add(events((Kind.PUBLISH, 0, 1, 1), (Kind.PUBLISH, 1, 2, 2), (Kind.KICK, 0, 0, 3)))
    assert told(stages, (0, 1, 5), (1, 1, 5)) == [(1, -1, -1, KICK_SENT), (2, -1, -1, KICK_SENT)]


def test_parts_of_a_way_may_come_in_any_number_of_readings() -> None:
    whole, parts = Stages(), Stages()
    rows = events(*WAY)
    whole.add(rows)
    for row in rows.reshape(-1, 1):
        parts.add(row)
    frames = [(n, 1, 20) for n in range(4)]
    assert told(whole, *frames) == told(parts, *frames)


def test_after_lost_events_a_decision_is_not_given_to_what_came_before() -> None:
    stages = Stages()
    stages.add(events((Kind.PUBLISH, 0, 1, 1)))
    stages.add(events((Kind.PUBLISH, 5, 6, 9), (Kind.KICK, 0, 0, 10), first=20), lost=18)
    assert told(stages, (0, 1, 5), (3, 1, 5), (5, 1, 11)) == [
        (1, -1, -1, 0),
        (-1, -1, -1, 0),
        (9, -1, -1, KICK_SENT),
    ]


def test_the_order_of_the_ring_is_kept_where_a_side_was_late_to_tell() -> None:
    """The device saw the buffer before the driver noted that it was there; the driver the same way round."""
    stages = Stages()
    stages.add(events((Kind.PUBLISH, 0, 1, 25), (Kind.COLLECT, 0, 1, 30), (Kind.FLUSH, 0, 1, 33)))
    assert told(stages, (0, 1, 20)) == [(20, 30, 30, 0)]


def test_a_reset_queue_counts_anew() -> None:
    stages = Stages()
    stages.add(events(*WAY))
    reset = events((Kind.QUEUE_RESET, 0, 1, 60), first=50)
    reset["queue"], reset["place"] = 0, 1
    stages.add(np.concatenate([reset, events((Kind.PUBLISH, 0, 1, 70), (Kind.FLUSH, 0, 1, 90), first=60)]))
    assert told(stages, (0, 1, 80), (1, 1, 80)) == [(70, 90, -1, 0), (-1, -1, -1, 0)]


def test_the_memory_is_bounded_and_the_newest_are_kept() -> None:
    stages = Stages(keep=100)
    for n in range(1000):
        stages.add(events((Kind.PUBLISH, n, n + 1, n), (Kind.KICK, 0, 0, n), first=2 * n + 1))
    assert told(stages, (899, 1, 5000), (900, 1, 5000), (999, 1, 5000)) == [
        (-1, -1, -1, 0),
        (900, -1, -1, KICK_SENT),
        (999, -1, -1, KICK_SENT),
    ]


def naive(rows: Any, position: int) -> list[int]:
    """The same by walking the events one by one."""
    found = [0, 0, 0]
    notices, pending = 0, [False, False]
    for row in rows:
        kind, covers = int(row["kind"]), int(row["old"]) <= position < int(row["new"])
        if kind in (Kind.PUBLISH, Kind.FLUSH, Kind.COLLECT) and covers:
            found[(Kind.PUBLISH, Kind.FLUSH, Kind.COLLECT).index(Kind(kind))] = int(row["time"])
            if kind != Kind.COLLECT:
                pending[kind == Kind.FLUSH] = True
        for which, kinds in enumerate(((Kind.KICK, Kind.KICK_QUIET), (Kind.CALL, Kind.CALL_QUIET))):
            if kind in kinds and pending[which]:
                notices |= (KICK_SENT, KICK_QUIET, CALL_SENT, CALL_QUIET)[2 * which + (kind == kinds[1])]
                pending[which] = False
    return [*found, notices]


def test_bisection_finds_what_walking_finds() -> None:
    draw = random.Random(3)
    for _ in range(8):
        counts, rows, when = [0, 0, 0], [], 0
        for _ in range(120):
            when += draw.randrange(1, 9)
            side = draw.randrange(3)
            limit = counts[side - 1] if side else counts[0] + 5
            if limit > counts[side]:
                new = draw.randrange(counts[side] + 1, limit + 1)
                rows.append(((Kind.PUBLISH, Kind.FLUSH, Kind.COLLECT)[side], counts[side], new, when))
                counts[side] = new
                if side < 2 and draw.random() < 0.8:
                    kinds = ((Kind.KICK, Kind.KICK_QUIET), (Kind.CALL, Kind.CALL_QUIET))[side]
                    rows.append((draw.choice(kinds), 0, 0, when))
        made = events(*rows)
        stages = Stages()
        at = 0
        while at < len(made):
            step = draw.randrange(1, 40)
            stages.add(made[at : at + step])
            at += step
        positions = np.arange(counts[0], dtype=np.uint64)
        ways = [naive(made, n) for n in range(counts[0])]
        seen = np.array([(way[1] or 1 << 62) for way in ways], np.uint64)  # seen just when it was used
        got, passed = stages.of(np.ones(counts[0], np.uint16), positions, np.ones(counts[0], np.uint16), seen)
        assert [[int(row[name]) for name in (*STAGED, "notices")] for row in got] == ways
        assert passed.tolist() == [n < counts[2] for n in range(counts[0])]


# ---- in the session ------------------------------------------------------------------------------------


class Slow(Still):
    """Frames at once, their events when the test says so."""

    def __init__(self, count: int) -> None:
        rows = np.zeros(count, FRAME)
        rows["position"], rows["queue"], rows["buffers"] = np.arange(count), 1, 1
        rows["time"], rows["length"], rows["captured"] = EPOCH + 20_000, 60, 60
        super().__init__(device(64), rows=rows, data=bytes(60 * count), offsets=np.arange(count) * 60)
        self.told: list[Any] = []
        self.state: Any = "running"

    def events(self, since: Cursor = (0, 0)) -> Events:
        rows = np.concatenate([np.zeros(0, EVENT), *self.told])
        return Events(rows[since[0] :], (len(rows), 0), 0)

    def _next(self) -> Any:
        return replace(super()._next(), state=self.state)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now[0])
    return now


def test_a_frame_is_final_when_it_was_collected(clock: list[float]) -> None:
    source = Slow(4)
    session = Session(source)
    session.pull()
    assert session.settled == 0
    source.told.append(events(*WAY[:4]))
    session.pull()
    assert session.settled == 0 and (session.frames.stages(1, 5)["used"] > 0).tolist() == [
        True,
        True,
        False,
        False,
    ]
    source.told.append(events(*WAY[4:], first=5))
    session.pull()
    assert session.settled == 4
    got = session.frames.stages(1, 5)
    assert got["notices"].tolist() == [9, 9, 5, 6] and (got["collected"] == EPOCH + 50_000).all()


def test_what_does_not_come_is_waited_for_a_second_of_running(clock: list[float]) -> None:
    source = Slow(4)
    session = Session(source)
    session.pull()
    source.state = "frozen"
    for _ in range(10):
        clock[0] += 5
        session.pull()
    assert session.settled == 0  # nothing grows old while nothing moves
    source.state = "running"
    session.pull()
    clock[0] += 0.9
    session.pull()
    assert session.settled == 0
    clock[0] += 0.2
    session.pull()
    assert session.settled == 4


def test_of_a_source_that_ended_everything_is_final() -> None:
    source = Slow(3)
    source.state = "stopped"
    session = Session(source)
    session.pull()
    assert session.settled == 3


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_the_stages_of_a_pair_are_those_of_its_lives(layout: str) -> None:
    with Pair(layout=layout, driver="interrupt", device="interrupt") as pair:  # type: ignore[arg-type]
        pair.play([PlayFrame(i * 1_000_000, i % 2, bytes(60)) for i in range(240)], loop=False)
        pair.start()
        session = Session(pair)
        until = time.monotonic() + 20
        while session.settled < 200 and time.monotonic() < until:
            session.pull()
            time.sleep(0.01)
        assert session.settled >= 200
        got = session.frames.stages(1, 201)
        rows = session.frames.rows(1, 201)
        assert (got["available"] > 0).all() and (got["collected"] > 0).all() and (got["notices"] > 3).all()
        assert (got["available"] <= rows["time"]).all() and (rows["time"] <= got["used"]).all()
        assert (got["used"] <= got["collected"]).all()
        for number in range(1, 201, 7):
            life = life_of(session, *session.frames.frame(number).origin, details=False)
            by_name = {step.name: step for step in life.steps}
            stage = got[number - 1]
            assert int(stage["collected"]) == by_name["collected"].time
            assert int(stage["used"]) == min(by_name["used"].time, by_name["collected"].time)
            assert bool(stage["notices"] & CALL_SENT) == (by_name["call"].state == "done")


# ---- the capture filter --------------------------------------------------------------------------------


def test_a_capture_filter_is_set_and_taken_back() -> None:
    with Pair() as pair:
        pair.flood(sample=1)
        pair.set_rate(2000)
        pair.start()
        session = Session(pair)
        session.set_capture_filter(compile_bpf("arp"))
        assert session.capture_filter is not None and session.capture_filter.text == "arp"
        session.pull()
        before, until = session.frames.last, time.monotonic() + 20
        while session.pull().frames_filtered < 100 and time.monotonic() < until:
            time.sleep(0.01)
        assert session.tick is not None and session.tick.frames_filtered >= 100
        assert session.frames.last == before
        session.log_frames(False)
        session.log_frames(True)  # the filter stays
        session.pull()
        assert session.frames.last == before
        session.set_capture_filter(None)
        while session.frames.last == before and time.monotonic() < until:
            session.pull()
        assert session.frames.last > before and session.capture_filter is None


def test_a_source_that_is_not_ours_cannot_be_filtered() -> None:
    session = Session(Film([device(64)]))
    with pytest.raises(RuntimeError, match="no side of it is ours"):
        session.set_capture_filter(compile_bpf("arp"))
    assert session.capture_filter is None


def test_losses_are_told_for_each_reading_and_in_all() -> None:
    class Losing(Still):
        def frames(self, since: Cursor = (0, 0)) -> Frames:
            got = super().frames((0, 0))
            return replace(got, lost=3, cursor=(since[0] + 1, 0))

    rows = np.zeros(1, FRAME)
    session = Session(Losing(device(64), rows=rows, offsets=np.zeros(1, np.int64)))
    ticks = [session.pull(), session.pull()]
    assert [tick.frames_lost_now for tick in ticks] == [3, 3] and ticks[1].frames_lost == 6
