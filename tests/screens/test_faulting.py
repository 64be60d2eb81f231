"""The menu of faults: every one there is, switched on and off while the pair runs, with its count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.widgets import Input

from dataplane.faults import KINDS, Fault
from dataplane.faults_text import parse_fault
from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.switches import SWITCHES
from inspector.screens.faults import FaultDialogue, FaultList
from inspector.session import Session
from inspector.stopping import faulting
from inspector.widgets.filling import Words
from tests.fakes import Still, device
from tests.screens.at_packets import until
from tests.screens.by_hand import ByHand


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair(layout="split", queue_size=16) as made:
        made.flood(length=64)
        made.start()
        yield made


def lines(app: ByHand) -> list[str]:
    listed = app.screen.query_one(FaultList)
    return [listed.render_line(y).text.rstrip() for y in range(listed.size.height)]


def test_every_fault_can_be_chosen_once() -> None:
    names = [choice.name for _, choices in faulting.catalogue() for choice in choices]
    assert sorted(names) == sorted({*SWITCHES, *KINDS})


@pytest.mark.parametrize(
    "text", ["lose_kick:queue=tx0,after=30", "corrupt_store:side=driver,queue=rx0,area=desc"]
)
def test_a_fault_is_spelled_as_it_is_typed(pair: Pair, text: str) -> None:
    shapes = pair.shapes()
    (fault,) = parse_fault(text, shapes)
    assert parse_fault(faulting.spelled(fault, shapes), shapes) == (fault,)


def test_what_others_put_in_can_be_typed_again(pair: Pair) -> None:
    shapes = pair.shapes()
    here = [name for name, switch in SWITCHES.items() if switch.layouts != "packed"]
    for name in here:
        for fault in parse_fault(name, shapes):
            assert parse_fault(faulting.spelled(fault, shapes), shapes) == (fault,)


def test_a_switch_of_two_faults_comes_and_goes_as_one(pair: Pair) -> None:
    session = Session(pair)
    known = faulting.of(session)
    known.put("livelock")
    (acting,) = known.acting
    assert len(acting.numbers) == 2 and acting.line == "livelock:queue=tx0"
    pair.inject_fault(Fault("lose_call", Side.DEVICE, queue=0, after=1 << 20, count=0))
    assert [each.name for each in known.acting] == ["livelock", "lose_call"]
    assert session.badges[faulting.BADGE][0] == "1 fault on"
    known.heal(acting)
    assert [each.name for each in known.acting] == ["lose_call"]
    known.heal(None)
    assert known.acting == () and faulting.BADGE not in session.badges and pair.faults() == ()


def test_what_cannot_be_put_in_leaves_nothing_behind(pair: Pair) -> None:
    session = Session(pair)
    known = faulting.of(session)
    for _ in range(31):
        pair.inject_fault(Fault("lose_call", Side.DEVICE, queue=0, after=1 << 20))
    with pytest.raises(ValueError, match="heal one first"):
        known.put("livelock")  # two faults, and room for one
    assert len(pair.faults()) == 31


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_one_is_switched_on_and_off_while_it_runs(pair: Pair, size: tuple[int, int]) -> None:
    app = ByHand(pair)
    async with app.run_test(size=size) as pilot:
        await app.look(pilot)
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, FaultDialogue))
        assert any("[ ] lose_kick" in line for line in lines(app))
        await pilot.press("space")
        await until(pilot, lambda: any("[x] lose_kick:queue=tx0" in line for line in lines(app)))
        assert [fault.kind for _, fault, _ in pair.faults()] == ["lose_kick"]
        await pilot.press("space")  # the cursor stayed on it
        await until(pilot, lambda: not pair.faults())
        await until(pilot, lambda: not any("[x]" in line for line in lines(app)))


async def test_one_is_typed_checked_counted_and_all_are_healed(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        await pilot.press("F", "enter")
        line, words = app.screen.query_one(Input), app.screen.query_one("#about", Words)
        assert line.has_focus and line.value == "lose_kick:queue=tx0"
        line.value = "drop_store:side=driver,area=avail_idx,queue=tx9"
        await until(pilot, lambda: "tx9" in words._text and "!" in words._text)
        await pilot.press("enter")
        assert line.value and not pair.faults()
        line.value = "drop_store:side=driver,area=avail_idx,queue=tx0,count=1"
        await pilot.press("enter")
        await until(pilot, lambda: any("acted 1 time" in each for each in lines(app)))
        await pilot.press("D")
        await until(pilot, lambda: not pair.faults())
        await pilot.press("escape")
        assert not isinstance(app.screen, FaultDialogue)


async def test_what_is_not_ours_cannot_be_broken() -> None:
    app = ByHand(Still(device(256, False)))
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot)
        await pilot.press("F")
        assert not isinstance(app.screen, FaultDialogue)
        assert app._message is not None and "no side of it is ours" in app._message[0]
