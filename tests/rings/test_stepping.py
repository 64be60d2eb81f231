"""Steps go as far as they say, in the order that was picked, and the same steps give the same rings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dataplane.interleaving import InterleavingError, Item, parse_interleaving, text_of
from dataplane.pair import Pair
from dataplane.records import Kind, Side
from dataplane.stepping import DULL, NOTHING, ORDERS, UNITS, Order, Plan, Stepper, StepUnit

LAYOUTS = ["split", "packed"]


def frozen(layout: str, **options: Any) -> Pair:
    pair = Pair(layout=layout, queue_size=8, frozen=True, **options)  # type: ignore[arg-type]
    pair.flood(length=64)
    pair.start()
    return pair


@pytest.fixture(params=LAYOUTS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with frozen(request.param) as made:
        yield made


def of(rows: Any, kind: Kind) -> int:
    return int(np.count_nonzero(rows["kind"] == kind))


def rings(pair: Pair) -> tuple[bytes, ...]:
    keyframe = pair.keyframe()
    assert keyframe is not None
    return keyframe.memory


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ORDERS[:-1])
@pytest.mark.parametrize("unit", UNITS[:3])
def test_the_same_steps_give_the_same_rings(layout: str, order: Order, unit: StepUnit) -> None:
    seen = []
    for _ in range(2):
        with frozen(layout) as pair:
            stepper = Stepper(pair, Plan(unit, order))
            steps = [stepper.step() for _ in range(25)]
            told = [
                (s.sides, s.taken, s.why, s.rows[["kind", "side", "place", "old", "new"]].tolist())
                for s in steps
            ]
            seen.append((told, rings(pair)))
    assert seen[0] == seen[1]


def test_one_store_is_one_store(pair: Pair) -> None:
    stepper = Stepper(pair, Plan("store"))
    for _ in range(200):
        step = stepper.step()
        assert step.taken == of(step.rows, Kind.STORE) == 1 and step.sides and not step.why
        assert int(step.rows["kind"][-1]) != Kind.STORE or len(step.rows) >= 1


def test_one_operation_is_one_that_matters(pair: Pair) -> None:
    stepper = Stepper(pair)
    for _ in range(60):
        step = stepper.step()
        operations = [Kind(int(kind)) for kind in step.rows["kind"] if kind != Kind.STORE]
        assert sum(kind not in DULL for kind in operations) == step.taken == 1
        assert operations[-1] not in DULL


def test_the_first_step_of_a_new_pair_shows_buffers(pair: Pair) -> None:
    step = Stepper(pair).step()
    assert Kind.ADD in step.rows["kind"]


def test_every_operation_where_one_asks_for_them(pair: Pair) -> None:
    stepper = Stepper(pair, Plan(every=True))
    for _ in range(60):
        step = stepper.step()
        assert np.count_nonzero(step.rows["kind"] != Kind.STORE) == 1


def test_a_packet_has_gone_all_the_way(pair: Pair) -> None:
    for queue in (0, 1):
        stepper = Stepper(pair, Plan("packet"))
        before = pair.snapshot(()).queue(queue).collected
        step = stepper.step(queue)
        after = pair.snapshot(()).queue(queue)
        assert step.taken == 1 and not step.why and after.collected > before
        collected = step.rows[(step.rows["kind"] == Kind.COLLECT) & (step.rows["queue"] == queue)]
        assert len(collected) == 1 and step.rows["number"][-1] == collected["number"][0]


def test_a_lap_is_as_many_buffers_as_slots(pair: Pair) -> None:
    stepper = Stepper(pair, Plan("lap"))
    before = pair.snapshot(()).queue(1).collected
    step = stepper.step(1)
    gone = pair.snapshot(()).queue(1).collected - before
    assert step.taken == 1 and 8 <= gone < 8 + 32


@pytest.mark.parametrize(("order", "side"), [("driver only", Side.DRIVER), ("device only", Side.DEVICE)])
def test_one_side_alone(pair: Pair, order: Order, side: Side) -> None:
    stepper = Stepper(pair, Plan("operation", order))
    step = stepper.step()
    for _ in range(40):
        assert set(step.rows["side"].tolist()) <= {int(side)} and set(step.sides) <= {side}
        if not step.moved:
            break
        step = stepper.step()
    assert not step.moved and step.why.startswith(NOTHING)  # the other side must act before it can go on


def test_driver_first_and_device_first(pair: Pair) -> None:
    stepper = Stepper(pair, Plan("operation", "driver first"))
    sides = [stepper.step().sides for _ in range(4)]
    assert all(each == (Side.DRIVER,) for each in sides)
    stepper.choose(Plan("operation", "device first"))
    assert stepper.step().sides == (Side.DEVICE,)


def test_alternate(pair: Pair) -> None:
    stepper = Stepper(pair, Plan("store", "alternate"))
    sides = [stepper.step().sides[0] for _ in range(6)]
    assert sides == [Side.DRIVER, Side.DEVICE] * 3 or len(set(sides)) == 1


def test_nothing_to_do_is_said() -> None:
    with Pair(layout="split", queue_size=8, frozen=True) as pair:
        pair.start()
        stepper = Stepper(pair)
        steps = [stepper.step() for _ in range(60)]
        assert steps[-1].why.startswith(NOTHING) and steps[-1].taken == 0
        stepper.choose(Plan("packet"))
        assert stepper.step().why == NOTHING


def test_only_a_frozen_pair_is_stepped(pair: Pair) -> None:
    pair.run()
    with pytest.raises(RuntimeError, match="freeze it first"):
        Stepper(pair).step()


def test_a_race_is_shown_and_repeated() -> None:
    """The driver rests between avail.idx and its look at avail_event; the device goes on meanwhile."""
    seen = []
    for _ in range(2):
        with frozen("split") as pair:
            items = parse_interleaving("driver until publish on rx0, device 3 stores, driver until kick rx0")
            stepper = Stepper(pair, Plan(order="chosen", interleaving=items))
            steps = [stepper.step() for _ in range(3)]
            assert [step.item for step in steps] == [0, 1, 2]
            assert int(steps[0].rows["kind"][-1]) == Kind.PUBLISH and of(steps[1].rows, Kind.STORE) == 3
            assert set(steps[1].rows["side"].tolist()) == {int(Side.DEVICE)}
            assert int(steps[2].rows["kind"][-1]) in (Kind.KICK, Kind.KICK_QUIET)
            assert stepper.step().item == 0  # round and round
            seen.append(rings(pair))
    assert seen[0] == seen[1]


def test_what_never_comes_ends_the_step(pair: Pair) -> None:
    items = parse_interleaving("device until collect")  # only a driver collects
    step = Stepper(pair, Plan(order="chosen", interleaving=items)).step()
    assert "no collect" in step.why and step.rows["side"].all()


def test_interleavings_are_read_and_written() -> None:
    text = "driver 3 stores, device 1 operation, device until kick sent tx0, driver 2 turns"
    items = parse_interleaving(text)
    assert items == (
        Item(Side.DRIVER, 3, "store"),
        Item(Side.DEVICE),
        Item(Side.DEVICE, until="kick sent", queue="tx0"),
        Item(Side.DRIVER, 2, "turn"),
    )
    assert parse_interleaving(text_of(items)) == items
    assert parse_interleaving("device until notify on on tx0, driver until notify on") == (
        Item(Side.DEVICE, until="notify on", queue="tx0"),
        Item(Side.DRIVER, until="notify on"),
    )
    assert parse_interleaving(" driver 3,\n device operation; driver ") == (
        Item(Side.DRIVER, 3), Item(Side.DEVICE), Item(Side.DRIVER)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wrong", "why"),
    [
        ("", "", "a side is missing"),
        ("driver 3, drive 1", "drive", "no side"),
        ("driver 0 stores", "0", "out of range"),
        ("driver 3 storms", "storms", "no unit"),
        ("driver 3 stores device 1", "device 1", "a comma parts"),
        ("driver until", "until", "until what"),
        ("driver until lunch", "lunch", "until what"),
        ("driver 99999999999999999999", "99999999999999999999", "out of range"),
    ],
)
def test_wrong_interleavings_name_the_characters(text: str, wrong: str, why: str) -> None:
    with pytest.raises(InterleavingError) as caught:
        parse_interleaving(text)
    assert text[caught.value.start : caught.value.end] == wrong and why in str(caught.value)
    assert "\n" not in str(caught.value)
