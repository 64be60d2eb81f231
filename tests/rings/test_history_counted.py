"""Moments where only operations were journaled: counts, indices, decisions as they were, and why no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataplane.history import History
from dataplane.keyframe import Keyframe
from dataplane.pair import Pair
from dataplane.records import Kind, Side
from dataplane.snapshot import AnyQueue, Snapshot, SplitQueue
from dataplane.source import START
from tests.rings.staging import LAYOUTS, wait_until

MOST = 1 << 16


def told(queue: AnyQueue) -> dict[str, Any]:
    """What operations tell of a queue."""
    driver, device = queue.driver, queue.device
    assert driver and device
    made: dict[str, Any] = {
        "after": queue.after,
        "added": driver.added,
        "in_flight": driver.in_flight,
        "holding": device.holding,
        "unflushed": device.unflushed,
        "asleep": (driver.asleep, device.asleep),
        "broken": (driver.broken, device.broken),
        "drops": (driver.drops, device.drops),
    }
    for name, notify in (("kick", driver.kick), ("call", device.call)):
        made[name] = (notify.sent, notify.quiet, notify.answer, notify.event, notify.old, notify.new)
    if isinstance(queue, SplitQueue):
        made["memory"] = (queue.avail_idx, queue.used_idx, queue.avail_flags, queue.used_flags)
        made["events"] = (queue.used_event, queue.avail_event)
        made["private"] = (driver.avail_idx, driver.last_used, device.last_avail, device.used_idx)
    else:
        made["flags"] = (queue.driver_flags, queue.device_flags)
        made["off_wrap"] = (queue.driver_off_wrap, queue.device_off_wrap)
    return made


def run_a_while(pair: Pair, events: int) -> None:
    begin = pair.info()["number"]
    pair.run()
    wait_until(lambda: pair.info()["number"] > begin + events, "the pair runs")
    pair.freeze()


def keyframe(pair: Pair) -> Keyframe:
    taken = pair.keyframe()
    assert taken is not None
    return taken


@LAYOUTS
@pytest.mark.parametrize("features", ["", "-event_idx", "in_order,-indirect_desc"])
def test_counts_are_those_that_were(features: str, packed: bool) -> None:
    """A freeze is an event: just before it, nothing that a pair at rest shows had changed."""
    layout: Any = "packed" if packed else "split"
    history = History()
    frozen: dict[int, Snapshot] = {}
    with Pair(layout=layout, queue_size=64, features=features, start_index=65500, frozen=True) as pair:
        pair.flood()
        pair.set_rate(3_000)
        pair.start()
        history.anchor(keyframe(pair))
        for _ in range(8):
            run_a_while(pair, 60)
            frozen[keyframe(pair).number] = pair.snapshot()
        rows = pair.events(START, most=MOST).rows
    history.append(rows)
    freezes = rows["number"][rows["kind"] == Kind.FREEZE].tolist()
    assert set(frozen) <= set(freezes)
    for number, there in frozen.items():
        made = history.at(number - 1)
        assert made.state == "past" and made.number == number - 1
        assert "stores were not journaled here: t raises the trace level" in made.notes
        for queue in there.queues:
            again = made.queue(queue.index)
            assert not again.exact and len(again.desc) == len(again.owner) == 0
            assert told(again) == told(queue), (number, queue.name)
        with pytest.raises(LookupError, match="stores were not journaled"):
            history.memory(number - 1, there.queues[0].desc_addr, 8)


def test_between_two_images_counts_follow_operations() -> None:
    """Forward from one image, and back from the other: both tell the same."""
    with Pair(queue_size=64, frozen=True) as pair:
        pair.flood()
        pair.set_rate(3_000)
        pair.start()
        first = keyframe(pair)
        run_a_while(pair, 200)
        last = keyframe(pair)
        rows = pair.events(START, most=MOST).rows
    forward, backward = History(), History()
    forward.append(rows)
    backward.append(rows)
    forward.anchor(first)
    backward.anchor(last)
    rows = rows[rows["kind"] != Kind.OWN]
    for number in range(first.number + 1, last.number):
        for one, other in zip(forward.at(number).queues, backward.at(number).queues, strict=True):
            assert one.after == other.after
            assert one.driver and other.driver and one.device and other.device
            assert one.driver.free == one.size - (one.driver.in_flight + one.driver.added)
            assert one.driver.kick.sent == other.driver.kick.sent
            assert one.device.call.quiet == other.device.call.quiet
        published = [
            int(r["new"])
            for r in rows
            if r["number"] <= number and r["kind"] == Kind.PUBLISH and r["queue"] == 1
        ]
        assert forward.at(number).queue(1).published == (published[-1] if published else 0)


def test_behind_a_gap_counts_are_those_of_the_next_events() -> None:
    """What came before a gap is not carried over it, where events behind it tell better."""
    with Pair(queue_size=64, frozen=True) as pair:
        pair.flood()
        pair.set_rate(20_000)
        pair.start()
        first = keyframe(pair)
        run_a_while(pair, 3000)
        last = keyframe(pair)
        rows = pair.events(START, most=MOST).rows
    whole, part = History(), History()
    for history in (whole, part):
        history.anchor(first)
    whole.append(rows)
    middle = int(np.searchsorted(rows["number"], last.number - 1500))
    part.append(rows[:50])
    part.append(rows[middle:], lost=middle - 50)
    (gap,) = part.reach.gaps
    assert gap == rows["number"][49]
    begin = part.step(gap, "event", 1)
    assert begin > gap + 1
    for number in range(begin, begin + 200):
        there, made = whole.at(number), part.at(number)
        for index in (0, 1):
            assert made.queue(index).after == there.queue(index).after, number
            for kick, known in (
                (made.queue(index).driver.kick, False),
                (there.queue(index).driver.kick, True),
            ):  # type: ignore[union-attr]
                assert kick.counted == known, number
    assert part.at(gap).queue(0).driver.kick.counted  # type: ignore[union-attr]


def test_levels_and_status_of_the_past() -> None:
    with Pair(queue_size=8, frozen=True) as pair:
        pair.flood()
        pair.start()
        first = keyframe(pair)
        run_a_while(pair, 20)
        pair.trace("stores")
        run_a_while(pair, 20)
        pair.trace("off")
        pair.run()
        wait_until(lambda: pair.snapshot(()).logs.trace_level == "off", "nothing is traced")
        pair.freeze()
        pair.trace("operations")
        last = keyframe(pair)
        rows = pair.events(START, most=MOST).rows
    history = History()
    history.append(rows)
    history.anchor(first)
    history.anchor(last)
    status = rows[rows["kind"] == Kind.STATUS]
    for mark in status:
        assert history.at(int(mark["number"])).status == int(mark["new"])
    seen = set()
    for mark in rows[np.isin(rows["kind"], (Kind.FREEZE, Kind.RUN, Kind.LEVEL))]:
        number = int(mark["number"])
        names = ("off", "operations", "stores")
        assert history.at(number).logs.trace_level == names[int(mark["new"])]
        assert history.at(number - 1).logs.trace_level == names[int(mark["old"])]
        seen.add(int(mark["new"]))
        if int(mark["new"]) == 0:
            assert number in history.reach.gaps
    assert seen == {0, 1, 2}


def test_without_any_keyframe_there_are_only_events() -> None:
    with Pair(queue_size=8, frozen=True) as pair:
        pair.flood()
        pair.start()
        run_a_while(pair, 20)
        rows = pair.events(START, most=MOST).rows
    history = History()
    history.append(rows)
    assert history.reach.last == rows["number"][-1] and not history.reach.exact
    with pytest.raises(LookupError, match="no keyframe"):
        history.at(history.reach.last)
    assert history.row(3) is not None


def test_queue_pairs_in_use_are_those_of_the_moment() -> None:
    with Pair(queue_size=8, queue_pairs=2, features="+mq", frozen=True, trace="stores") as pair:
        pair.start()
        first = keyframe(pair)
        for _ in range(400):
            if pair.snapshot(()).queue_pairs == 2:
                break
            pair.step(Side.DRIVER, "operation")
            pair.step(Side.DEVICE, "operation")
        history = History()
        history.anchor(first)
        history.append(pair.events(START, most=MOST).rows)
        assert history.at(first.number).queue_pairs == first.base.queue_pairs == 1
        assert history.at(history.reach.last).queue_pairs == pair.snapshot(()).queue_pairs == 2
