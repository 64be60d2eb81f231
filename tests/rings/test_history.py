"""What a history keeps, how far it reaches, and what it lets go."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dataplane.history import History, Reach
from dataplane.pair import Pair
from dataplane.past.chunk import CHUNK, cut, make_chunk
from dataplane.records import EVENT, Kind, Side
from dataplane.snapshot import Array
from dataplane.source import START
from tests.rings.staging import LAYOUTS
from tests.rings.walking import MOST, Moment, Walk, check, walk_bare, walk_pair


def long_walk(seed: str, rows: int, size: int = 64) -> tuple[list[Array], list[Moment]]:
    """Many rows of a pair in few steps, with a moment now and then; its first is that of the start."""
    dice = random.Random(seed)
    pulls, moments, held = [], [], 0
    with Pair(queue_size=size, trace="stores", frozen=True) as pair:
        pair.flood()
        pair.start()
        walk = Walk()
        walk.note(pair)
        cursor = START
        while held < rows:
            for side in Side:
                pair.step(side, "turn", dice.randint(1, 60))
            events = pair.events(cursor, most=MOST)
            assert not events.lost
            cursor = events.cursor
            pulls.append(events.rows)
            held += len(events.rows)
            if dice.random() < 0.3:
                walk.note(pair)
        moments = walk.moments
    return pulls, moments


@pytest.fixture(scope="module")
def walked() -> tuple[list[Array], list[Moment]]:
    return long_walk("long", 8 * CHUNK)


# ---- little -----------------------------------------------------------------------------------------------


def test_nothing_yet() -> None:
    history = History()
    assert history.reach == Reach(0, 0, 0, 0, (), ())
    assert len(history.rows(0, 1 << 60)) == 0 and history.rows(1, 2).dtype == EVENT
    assert history.row(1) is None and history.number_at(5) == 0
    assert history.last_write(0x100000, 8, 1 << 60) is None
    assert not history.moments(0, 0).known
    assert history.density(4).operations.tolist() == [0, 0, 0, 0]
    for ask in (
        lambda: history.at(0),
        lambda: history.image(1),
        lambda: history.memory(1, 0, 1),
        lambda: history.step(1, "event", 1),
        lambda: history.time_of(1),
    ):
        with pytest.raises(LookupError, match="nothing has been journaled"):
            ask()
    history.append(np.zeros(0, EVENT))
    assert history.reach.last == 0


def test_one_event() -> None:
    rows = np.zeros(1, EVENT)
    rows["number"], rows["time"], rows["kind"] = 1, 50, Kind.STATUS
    history = History()
    history.append(rows)
    assert history.reach == Reach(1, 1, 50, 50, (), ())
    assert history.time_of(1) == 50 == history.time_of(0) and history.number_at(49) == 1 == history.number_at(
        99
    )
    assert history.rows(0, 9).tolist() == rows.tolist() and not history.rows(0, 9).flags.writeable
    assert history.step(1, "operation", 5) == 1 == history.step(1, "store", -5)
    assert history.density(3).operations.sum() == 1
    with pytest.raises(LookupError, match="event 2 is beyond the journal, which has 1 to 1"):
        history.time_of(2)


def test_the_moment_before_the_first_event() -> None:
    walk, _ = walk_bare(random.Random(2), False, "", 50, 5)
    history = History()
    number = walk.moments[0].keyframe.number
    history.append(walk.rows)
    history.anchor(walk.moments[-1].keyframe)
    first = history.reach.exact[0][0]
    assert first <= number
    check(history, walk.moments[0])
    assert history.at(first).number == first


@LAYOUTS
def test_an_image_may_come_before_its_events(packed: bool) -> None:
    walk, _ = walk_bare(random.Random(3), packed, "", 200, 10)
    history = History()
    history.anchor(walk.moments[5].keyframe)
    for pull in walk.pulls:
        history.append(pull)
    for moment in walk.moments:
        check(history, moment)


def test_snapshots_are_kept_for_a_while() -> None:
    walk, _ = walk_bare(random.Random(4), False, "", 100, 10)
    history = walk.history()
    number = walk.moments[3].keyframe.number
    made = history.at(number)
    assert history.at(number) is made and history.at(number, {0}) is not made
    assert len(history.at(number, ()).queues[0].desc) == 0 < len(made.queues[0].desc)
    for other in range(number + 1, number + 40):
        history.at(other)
    assert history.at(number) is not made


def test_a_moment_that_was_counted_becomes_exact_with_an_image() -> None:
    walk = walk_pair(random.Random(5), False, "", 200, 10, resets=False)
    begin = walk.moments[4].keyframe
    history = History()
    history.append(walk.rows[:20])
    rest = walk.rows[200:]
    history.append(rest, lost=180)
    number = int(rest["number"][-1]) - 5
    elsewhere = replace(begin, number=int(walk.rows["number"][10]))
    history.anchor(elsewhere)
    assert any("no image" in note for note in history.at(number).notes)
    history.anchor(walk.moments[-1].keyframe)
    assert not history.at(number).notes and history.at(number).queues[0].exact


# ---- much -------------------------------------------------------------------------------------------------


def test_moments_far_apart(walked: tuple[list[Array], list[Moment]]) -> None:
    """Over many chunks, on and back, with the images merged on the way."""
    pulls, moments = walked
    history = History()
    history.anchor(moments[0].keyframe)
    for pull in pulls:
        history.append(pull)
    ((begin, end),) = history.reach.exact
    assert begin <= moments[0].keyframe.number and end == history.reach.last
    dice = random.Random(6)
    for moment in dice.sample(moments, min(len(moments), 25)):
        check(history, moment)
    check(history, moments[0])


def test_merged_effects_lead_where_single_ones_do(walked: tuple[list[Array], list[Moment]]) -> None:
    pulls, moments = walked
    rows = np.concatenate(pulls)
    numbers = rows["number"]
    edges = [0]
    while edges[-1] < len(rows):
        at = min(edges[-1] + 300, len(rows))
        edges.append(int(np.searchsorted(numbers, numbers[at - 1], "right")))
    chunks = [make_chunk(rows[a:b].copy()) for a, b in pairwise(edges)]
    assert len(chunks) > 512  # so that effects of every height are needed
    history = History.of(chunks, [moments[0].keyframe])
    for moment in [moments[-1], *random.Random(7).sample(moments, min(len(moments), 15)), moments[0]]:
        check(history, moment)


def test_a_recording_that_grows(walked: tuple[list[Array], list[Moment]]) -> None:
    pulls, moments = walked
    chunks = [make_chunk(part.copy()) for part in cut(np.concatenate(pulls))]
    history = History.of(chunks[:2], [moments[0].keyframe])
    assert history.reach.last == chunks[1].last
    history.at(chunks[1].last)
    history.extend(chunks[:4], [])  # what is known already is not taken twice
    history.extend(chunks[5:], [moments[-1].keyframe])
    assert history.reach.gaps == (chunks[3].last,)
    before, behind = history.reach.exact
    assert before[1] == chunks[3].last and behind == (chunks[4].last, chunks[-1].last)
    for moment in moments:
        if not chunks[3].last < moment.keyframe.number < chunks[4].last:
            check(history, moment)


def test_the_oldest_go_when_the_budget_is_spent(walked: tuple[list[Array], list[Moment]]) -> None:
    pulls, moments = walked
    budget = 7 << 20
    history = History(budget)
    history.anchor(moments[0].keyframe)
    firsts = []
    for i, pull in enumerate(pulls):
        history.append(pull)
        firsts.append(history.reach.first)
        if i % 7 == 0:
            history.at(history.reach.last)
    assert firsts == sorted(firsts) and firsts[-1] > 1
    reach = history.reach
    assert reach.exact == ((reach.first - 1, reach.last),) and not reach.gaps
    kept = len(history.rows(reach.first, reach.last, own=True)) * EVENT.itemsize
    assert budget // 3 < kept <= budget
    seen = 0
    for moment in moments:
        if moment.keyframe.number >= reach.first - 1:
            check(history, moment)
            seen += 1
        else:
            with pytest.raises(LookupError, match="is beyond the journal, which has"):
                history.at(moment.keyframe.number)
    assert 0 < seen < len(moments)
    assert history.at(reach.first - 1).time <= reach.first_time
    assert history.step(reach.last, "event", -(1 << 40)) == reach.first


def test_one_reads_while_another_appends(walked: tuple[list[Array], list[Moment]]) -> None:
    pulls, moments = walked
    history = History(8 << 20)
    history.anchor(moments[0].keyframe)
    history.append(pulls[0])
    wrong: list[BaseException] = []
    done = threading.Event()

    def read(seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not done.is_set():
                reach = history.reach
                number = dice.randint(reach.first, reach.last)
                try:
                    assert history.at(number, dice.choice((None, ()))).number == number
                    history.image(number)
                except LookupError:
                    assert number < history.reach.first  # it went meanwhile
                history.step(number, dice.choice(("store", "packet")), dice.choice((1, -3)))
                history.density(10)
        except BaseException as error:
            wrong.append(error)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    for reader in readers:
        reader.start()
    for pull in pulls:
        history.append(pull)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    for moment in moments:
        if moment.keyframe.number >= history.reach.first:
            check(history, moment)


# ---- gaps -------------------------------------------------------------------------------------------------


def test_rows_that_were_given_out_stay_what_they_are(walked: tuple[list[Array], list[Moment]]) -> None:
    """Also where a gap ends a piece early: what is appended behind it is written elsewhere."""
    rows = np.concatenate(walked[0])[:600]
    history = History()
    history.append(rows[:200])
    given = history.rows(int(rows["number"][0]), int(rows["number"][199]), own=True)
    before = given.copy()
    history.append(rows[400:], lost=200)
    history.append(rows[599:])
    assert given.tobytes() == before.tobytes()


def test_an_image_behind_a_gap_begins_a_new_exact_range(walked: tuple[list[Array], list[Moment]]) -> None:
    pulls, moments = walked
    rows = np.concatenate(pulls[:12])
    cuts = [
        int(np.searchsorted(rows["number"], n))
        for n in (rows["number"][len(rows) // 3], rows["number"][len(rows) // 2])
    ]
    history = History()
    history.append(rows[: cuts[0]])
    history.append(rows[cuts[1] :], lost=cuts[1] - cuts[0])
    history.anchor(moments[0].keyframe)
    (gap,) = history.reach.gaps
    assert gap == rows["number"][cuts[0] - 1] and history.reach.exact[0][1] == gap
    for missing in (gap + 1, int(rows["number"][cuts[1]]) - 1):
        with pytest.raises(LookupError, match=r"events [\d,]+ to [\d,]+ are missing"):
            history.at(missing)
    behind = [
        m for m in moments if int(rows["number"][cuts[1]]) + 2 < m.keyframe.number <= rows["number"][-1]
    ]
    history.anchor(behind[0].keyframe)
    assert len(history.reach.exact) == 2 and history.reach.is_exact(behind[0].keyframe.number)
    for moment in [*behind, moments[0]]:
        check(history, moment)
    assert history.number_at(history.time_of(gap) + 1) == gap
    assert history.step(gap, "event", 1) == history.reach.exact[1][0] + 1


def test_images_that_are_not_needed_are_not_kept() -> None:
    walk, _ = walk_bare(random.Random(9), True, "", 300, 60)
    history = walk.history()
    assert len(history._anchors) == 1
    assert len(walk.moments) > 20
