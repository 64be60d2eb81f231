"""Every moment of a long random walk is rebuilt as it was: image, and every field of every queue.

RINGSCOPE_FULL=1 walks a million operations and goes back to more than a thousand moments.
"""

from __future__ import annotations

import os
import random

import pytest

from dataplane.history import History
from tests.rings.staging import LAYOUTS
from tests.rings.walking import COMBINATIONS, Walk, check, walk_bare, walk_pair

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
OPERATIONS, NOTED, WALKS = (16_000, 20, 2) if FULL else (250, 10, 1)  # of each kind, layout, combination
SEED = random.SystemRandom().randrange(1 << 32) if FULL else 20_4


def come_back(dice: random.Random, walk: Walk) -> None:
    history = walk.history()
    order = list(walk.moments)
    dice.shuffle(order)
    for moment in order:
        check(history, moment)
    assert history.reach.last == walk.rows["number"].max()
    assert not history.reach.gaps


@LAYOUTS
@pytest.mark.parametrize("features", COMBINATIONS)
def test_moments_of_a_pair(features: str, packed: bool) -> None:
    for walk in range(WALKS):
        dice = random.Random(f"{SEED} {features} {packed} {walk}")
        come_back(dice, walk_pair(dice, packed, features, OPERATIONS, NOTED))


@LAYOUTS
@pytest.mark.parametrize("events", [3, 40, 500])
def test_ranges_begin_and_end_amidst_pieces(events: int, packed: bool) -> None:
    """Beyond a reset or a change of level a piece must not be gone over: its rows do not tell all there."""
    for seed in range(2):
        dice = random.Random(f"{SEED} pieces {events} {packed} {seed}")
        walk = walk_pair(dice, packed, "", 600, 30)
        history = walk.recorded(events)
        moments = list(walk.moments)
        dice.shuffle(moments)
        for moment in moments:
            check(history, moment)


@LAYOUTS
@pytest.mark.parametrize("features", COMBINATIONS)
def test_moments_of_bare_rings(features: str, packed: bool) -> None:
    for walk in range(WALKS):
        dice = random.Random(f"{SEED} bare {features} {packed} {walk}")
        come_back(dice, walk_bare(dice, packed, features, OPERATIONS, NOTED)[0])


@LAYOUTS
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "pair"])
def test_undoing_everything_gives_the_beginning(packed: bool, bare: bool) -> None:
    """With no image but that of the end."""
    for features in COMBINATIONS if FULL else (COMBINATIONS[0], COMBINATIONS[-1]):
        dice = random.Random(f"{SEED} undo {features} {packed} {bare}")
        if bare:
            walk, _ = walk_bare(dice, packed, features, OPERATIONS, NOTED)
        else:
            walk = walk_pair(dice, packed, features, OPERATIONS, NOTED, resets=False)
        history = History(1 << 40)
        history.append(walk.rows)
        history.anchor(walk.moments[-1].keyframe)
        (exact,) = history.reach.exact
        assert exact[0] <= walk.moments[0].keyframe.number and exact[1] == history.reach.last
        for moment in walk.moments:
            check(history, moment)


@LAYOUTS
def test_a_window_before_a_loss_is_walked_back(packed: bool) -> None:
    """Of a flood only the newest events are read, and its end is the only image."""
    dice = random.Random(f"{SEED} window {packed}")
    walk = walk_pair(dice, packed, "", 600, 40, resets=False)
    rows = walk.rows
    begin = len(rows) // 2
    history = History()
    history.append(rows[:100])
    history.append(rows[begin:], lost=begin - 100)
    history.anchor(walk.moments[-1].keyframe)
    reach = history.reach
    assert reach.gaps and reach.last == rows["number"][-1]
    (exact,) = reach.exact
    assert rows["number"][begin] < exact[0] + 20 and exact[1] == reach.last
    oldest = history.at(exact[0])  # before the first event behind the loss, which was undone
    assert oldest.number == exact[0] and history.image(exact[0]).number == exact[0]
    assert oldest.time == int(rows["time"][rows["number"] > exact[0]][0])
    seen = 0
    for moment in walk.moments:
        if moment.keyframe.number >= exact[0]:
            check(history, moment)
            seen += 1
        elif moment.keyframe.number <= reach.gaps[0]:
            with pytest.raises(LookupError, match="memory is not known"):
                history.memory(moment.keyframe.number, moment.keyframe.shapes[0].desc_addr, 1)
        else:
            with pytest.raises(LookupError, match="are missing"):
                history.at(moment.keyframe.number)
    assert 0 < seen < len(walk.moments)
