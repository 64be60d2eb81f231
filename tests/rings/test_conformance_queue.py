"""Rows of every queue: resets, withdrawn buffers, features. What is right is silent, what is wrong named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dataplane import features as f
from dataplane.records import Kind, Reason
from dataplane.rules.conformance import rows_queue
from tests.rings.hand import AVAIL, D, Hand, V

Case = Callable[[bool, str], Hand]
CASES: dict[str, Case] = {}


def case(*rows: str) -> Callable[[Case], Case]:
    def put(function: Case) -> Case:
        CASES.update(dict.fromkeys(rows, function))
        return function

    return put


def again(layout: str) -> Hand:
    """A queue behind a reset of its own."""
    return Hand(layout, generation=2)


@case("VQ-DEV-03")
def begins_further_on(wrong: bool, layout: str) -> Hand:
    hand = again(layout)
    for id in range(3):
        hand.offer(id)
    if wrong:
        hand.told(Kind.NEXT, V, 0, slot=2)
    else:
        hand.take(slot=0)
        hand.finish(0)
    return hand


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_first_used_element_in_the_wrong_place_is_named(layout: str) -> None:
    hand = again(layout)
    for id in range(3):
        hand.offer(id)
    if layout == "split":
        hand.element(0, at=2)
    else:
        hand.used_desc(2, 0)
        hand.flush()
    assert "VQ-DEV-03" in hand.found()


@case("VQ-DRV-06")
def set_up_half(wrong: bool, layout: str) -> Hand:
    hand = again(layout)
    if wrong and layout == "split":
        memory = bytearray(hand.keyframe.memory[0])
        memory[16 * hand.shape.size + 2] = 3  # avail.idx of the time before
        hand.begin(replace(hand.keyframe, memory=(bytes(memory),)))
    elif wrong:
        own = hand.own()
        own["driver"]["avail_idx"] = 3
        hand.begin(replace(hand.keyframe, own=(own.tobytes(),)))
    hand.told(Kind.WAIT, D)
    return hand


@case("CLEAN-DRV-01")
def withdrawn(wrong: bool, layout: str) -> Hand:
    hand = Hand(layout)
    hand.offer(0)
    hand.offer(1)
    if not wrong:
        hand.take(2)
        hand.finish(0)
        hand.finish(1)
        hand.collect(2)
    elif layout == "split":
        hand.store(D, "avail_idx", 0, "", 1)
    else:
        hand.store(D, "desc", 1, "flags", 0)
    return hand


def offered(layout: str, offers: int = 0, accepts: int = 0, lacks: int = 0) -> Hand:
    """A device that offers and a driver that accepts more than those here do."""
    hand = Hand(layout)
    identity = hand.keyframe.base.identity
    identity = replace(
        identity,
        offered=(identity.offered | offers) & ~lacks,
        accepted=(identity.accepted | accepts) & ~lacks,
    )
    hand.begin(replace(hand.keyframe, base=replace(hand.keyframe.base, identity=identity)))
    hand.told(Kind.WAIT, D)
    return hand


def unaccepted(*bits: int) -> Case:
    def made(wrong: bool, layout: str) -> Hand:
        mask = f.mask(*bits)
        hand = offered(layout, mask, 0 if wrong else mask)
        if wrong and mask & hand.keyframe.base.identity.accepted:  # what is accepted already
            identity = replace(hand.keyframe.base.identity)
            identity = replace(identity, accepted=identity.accepted & ~mask)
            hand.begin(replace(hand.keyframe, base=replace(hand.keyframe.base, identity=identity)))
        return hand

    return made


CASES["RF-DRV-01"] = unaccepted(f.F_VERSION_1)
CASES["RF-DRV-02"] = unaccepted(f.F_ACCESS_PLATFORM)
CASES["RF-DRV-04"] = unaccepted(f.F_RING_PACKED, f.F_ORDER_PLATFORM)
CASES["RF-DRV-07"] = unaccepted(f.F_NOTIF_CONFIG_DATA)


@case("RF-DEV-08")
def no_version(wrong: bool, layout: str) -> Hand:
    return offered(layout, lacks=f.mask(f.F_VERSION_1) if wrong else 0)


@case("RF-DEV-10")
def sr_iov_offered(wrong: bool, layout: str) -> Hand:
    return offered(layout, f.mask(f.F_SR_IOV) if wrong else 0)


@case("RF-DRV-06")
def sr_iov_accepted(wrong: bool, layout: str) -> Hand:
    return offered(layout, accepts=f.mask(f.F_SR_IOV) if wrong else 0)


@case("RF-BOTH-11")
def bit_thirty(wrong: bool, layout: str) -> Hand:
    return offered(layout, 1 << 30 if wrong else 0, 1 << 30 if wrong else 0)


@case("RF-DRV-03")
def out_of_reach(wrong: bool, layout: str) -> Hand:
    hand = Hand(layout)
    hand.offer(0)
    if wrong:
        hand.told(Kind.BROKEN, V, new=Reason.BAD_ADDRESS)
    else:
        hand.take()
    return hand


#: Rows that a trace cannot be told wrong by without another one being wrong as well.
BESIDE = {
    "RF-DRV-06": {"FEAT-DRV-01"},
    "CLEAN-DRV-01": {"SPLIT-DRV-18", "PACKED-DRV-12", "PACKED-BOTH-03", "SPLIT-BOTH-47"},
    "VQ-DEV-03": {"PACKED-DEV-05"},
    "VQ-DRV-06": {"SPLIT-BOTH-47"},
}


def test_every_row_has_a_case() -> None:
    assert set(CASES) == {row.id for row in rows_queue.ROWS}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_wrong_is_named(row: str, layout: str) -> None:
    found = CASES[row](True, layout).found()
    assert row in found
    assert found <= {row} | BESIDE.get(row, set())


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_right_is_silent(row: str, layout: str) -> None:
    assert CASES[row](False, layout).found() == set()


def test_features_written_again_are_judged_again() -> None:
    """FEATURES tells what was offered and accepted, also behind the moment that the audit began with."""
    hand = Hand()
    hand.told(Kind.FEATURES, D, old=f.mask(f.F_VERSION_1), new=0)
    assert hand.found() == {"INIT-DRV-03", "RF-DRV-01"}


def test_what_the_flags_of_a_slot_that_is_withdrawn_may_be() -> None:
    """A store of the same flags withdraws nothing: it is only one store too many."""
    hand = Hand("packed")
    hand.offer(0)
    hand.store(D, "desc", 0, "flags", AVAIL)
    assert hand.found() == {"PACKED-DRV-12"}
