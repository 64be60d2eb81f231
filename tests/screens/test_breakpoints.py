"""Breakpoints on the screen: made by typing, met, switched, removed; and those that only a reader can see."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from textual.widgets import Input

from dataplane.breaks_text import BreakError
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE
from inspector.screens.breakpoints import BreakDialogue, BreakList
from inspector.session import Session
from inspector.stopping import breakpoints
from inspector.widgets.filling import Words
from inspector.widgets.step import StepPanel
from tests.fakes import Still, device
from tests.screens.at_packets import until
from tests.screens.by_hand import ByHand, text


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair(layout="split", queue_size=16, frozen=True) as made:
        made.flood(length=64)
        made.start()
        yield made


def lines(app: ByHand) -> list[str]:
    listed = app.screen.query_one(BreakList)
    return [listed.render_line(y).text for y in range(listed.size.height)]


async def test_one_is_typed_checked_switched_and_removed(pair: Pair) -> None:
    app = ByHand(pair)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.look(pilot)
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, BreakDialogue))
        assert any("tx0 slot 7" in line for line in lines(app))  # examples, as long as there is none
        line, words = app.screen.query_one(Input), app.screen.query_one(Words)
        assert line.has_focus
        line.value = "tx0 publised > 5"
        await until(pilot, lambda: "5-12 «publised»" in words._text and "published" in words._text)
        await pilot.press("enter")
        assert line.value and not breakpoints.of(app.session).all
        line.value = "tx7 lap"
        await until(pilot, lambda: "no queue is called" in words._text)
        line.value = "tx0 published >= 5 once"
        await pilot.press("enter")
        await until(pilot, lambda: len(breakpoints.of(app.session).all) == 1)
        await until(
            pilot, lambda: any("tx0 published > 4 once" in each and "0 hits" in each for each in lines(app))
        )
        assert [state.id for state in pair.breaks_hit()] == [1]
        await pilot.press("tab", "space")
        await until(pilot, lambda: not breakpoints.of(app.session).all[0].on)
        assert pair.breaks_hit() == () and breakpoints.BADGE not in app.session.badges
        await pilot.press("d")
        await until(pilot, lambda: not breakpoints.of(app.session).all)
        await pilot.press("escape")
        assert not isinstance(app.screen, BreakDialogue)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_one_that_is_met_freezes_the_pair_and_tells_of_the_event(
    pair: Pair, size: tuple[int, int]
) -> None:
    app = ByHand(pair)
    breakpoints.arm(app.session, ["tx0 published > 5"])
    async with app.run_test(size=size) as pilot:
        await app.look(pilot)
        assert app.session.badges[breakpoints.BADGE][0] == "◉ 1 break"
        pair.run()
        await until(pilot, lambda: pair.frozen)
        await app.look(pilot)
        assert app._message is not None and app._message[0].startswith("breakpoint 1: tx0 published > 5")
        words = "\n".join(text(app.rings.query_one(StepPanel)))
        assert "driver tx0" in words and "available" in words
        assert app.session.selection.queue == 1
        made = breakpoints.of(app.session).all[0]
        assert made.hits == 1 and made.stopped > 0 and made.on


async def test_a_step_that_meets_one_says_so(pair: Pair) -> None:
    app = ByHand(pair)
    breakpoints.arm(app.session, ["rx0 publish"])
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        for _ in range(2):  # the buffers are added, then made available
            await pilot.press("s")
            await app.workers.wait_for_complete()
        assert app._message is not None
        assert app._message[0].startswith("breakpoint 1 · driver · rx0 · has made")


def test_hits_stay_counted_when_others_come_and_go(pair: Pair) -> None:
    session = Session(pair)
    known = breakpoints.of(session)
    first = known.add("rx0 publish after 1")
    for _ in range(60):
        for side in (0, 1):
            pair.step(side, "operation", 1)  # type: ignore[arg-type]
    hits = known.all[0].hits
    assert hits >= 1
    second = known.add("kick sent once")
    assert [each.rule.id for each in known.all] == [first.rule.id, second.rule.id]
    assert known.all[0].hits == hits
    known.turn(second.rule.id)
    known.remove(first.rule.id)
    assert [each.text for each in known.all] == ["kick sent once"] and pair.breaks_hit() == ()


def dns(port: int) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return bytes(12) + b"\x08\0" + ip + struct.pack(">HHHH", 5000, port, 20, 0) + bytes(26)


async def test_a_display_filter_stops_the_pair_and_leads_to_the_moment() -> None:
    with Pair(layout="packed", queue_size=16, frozen=True, trace="stores") as pair:
        pair.play([PlayFrame(i * 1000, TO_DEVICE, dns(53 if i == 40 else 99)) for i in range(80)], loop=False)
        pair.start()
        app = ByHand(pair)
        breakpoints.arm(app.session, ["filter udp.dstport == 53"])
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot)
            pair.run()
            await until(pilot, lambda: len(app.session.frames) > 0 or app.session.pull() is None)
            for _ in range(50):
                await app.look(pilot)
                if app.session.cursor is not None:
                    break
            await until(pilot, lambda: app.session.cursor is not None)
            made = breakpoints.of(app.session).all[0]
            assert made.hits == 1 and pair.frozen and made.stopped == app.session.cursor
            frame = next(
                n
                for n in range(1, len(app.session.frames) + 1)
                if app.session.frames.frame(n).data[36:38] == b"\0\x35"
            )
            moments = app.session.history.moments(*app.session.frames.frame(frame).origin)
            assert app.session.cursor == moments.completed.number


def test_what_cannot_be_had_is_one_line(pair: Pair) -> None:
    session = Session(pair)
    for line, why in (
        ("wrap flips", "no wrap counter"),
        ("tx0 slot 99", "slots 0 to 15"),
        ("bpf udp porrt 53", "characters"),
        ("filter tcp.prot == 1", "tcp.prot"),
        ("nonsense", "not understood"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            breakpoints.arm(session, [line])
        assert "\n" not in str(caught.value) and repr(line) in str(caught.value)
        assert not breakpoints.of(session).all
        with pytest.raises(ValueError, match=why) as checked:  # before there is a session, the same words
            breakpoints.check([line], pair.shapes())
        assert str(checked.value) == str(caught.value)
    breakpoints.check(["bpf udp port 53", "filter dns", "finding", "tx0 slot 15"], pair.shapes())


def test_a_filter_that_is_wrong_is_pointed_at() -> None:
    line = "tx0 filter udp.prot == 53"
    with pytest.raises(BreakError) as caught:
        breakpoints.compiled(line)
    assert caught.value.start >= line.index("udp") and caught.value.end <= len(line)


async def test_a_source_that_is_not_ours_cannot_be_stopped() -> None:
    app = ByHand(Still(device()))
    async with app.run_test(size=(120, 40)) as pilot:
        await app.look(pilot)
        await pilot.press("B")
        await until(pilot, lambda: app._message is not None and "no side of it is ours" in app._message[0])
