"""Each row of a split ring: told right it is silent, told wrong it is named. The two differ in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dataplane.records import Kind, Reason
from dataplane.rules.conformance import rows_split
from tests.rings.hand import INDIRECT, NEXT, WRITE, D, Hand, V

Case = Callable[[bool], Hand]
CASES: dict[str, Case] = {}


def case(*rows: str) -> Callable[[Case], Case]:
    def put(function: Case) -> Case:
        CASES.update(dict.fromkeys(rows, function))
        return function

    return put


# ---- how it begins -----------------------------------------------------------------------------------------


@case("SPLIT-BOTH-01")
def size(wrong: bool) -> Hand:
    hand = Hand()
    if wrong:
        hand.resize(6)
    hand.told(Kind.WAIT, D)
    return hand


@case("SPLIT-DRV-02")
def alignment(wrong: bool) -> Hand:
    hand = Hand(desc_addr=0x100008 if wrong else 0x100000)
    hand.told(Kind.WAIT, D)
    return hand


@case("SPLIT-NOT-33")
def first_flags(wrong: bool) -> Hand:
    hand = Hand(features="-event_idx")
    if wrong:
        at = sum(length for _, _, length in hand.shape.areas[:2])
        memory = bytearray(hand.keyframe.memory[0])
        memory[at] = 1
        hand.begin(replace(hand.keyframe, memory=(bytes(memory),)))
    hand.told(Kind.WAIT, D)
    return hand


# ---- chains and tables -------------------------------------------------------------------------------------


def chain(hand: Hand, flags: list[int], follow: list[int] | None = None, length: int = 64) -> Hand:
    """A chain through the slots 0, 1, 2, ..., made available."""
    for slot, each in enumerate(flags):
        hand.desc(slot, 4096, length, each, (follow or [*range(1, len(flags)), 0])[slot])
    hand.entry(0)
    hand.publish()
    return hand


@case("SPLIT-DRV-04")
def read_behind_written(wrong: bool) -> Hand:
    return chain(Hand(), [NEXT | WRITE, 0] if wrong else [NEXT, WRITE])


@case("SPLIT-DRV-05")
def many_descriptors(wrong: bool) -> Hand:
    count = 65 if wrong else 64
    return chain(Hand(size=128), [NEXT] * (count - 1) + [0])


@case("SPLIT-DRV-09")
def four_gigabytes(wrong: bool) -> Hand:
    return chain(Hand(), [NEXT, 0], length=(1 << 31) + wrong)


@case("SPLIT-DRV-10")
def in_order_slots(wrong: bool) -> Hand:
    hand = Hand(features="in_order")
    hand.desc(2, 4096, 64, 0)
    return chain(hand, [NEXT, 0], [2 if wrong else 1, 0])


@case("SPLIT-DRV-50")
def beyond_the_queue(wrong: bool) -> Hand:
    return chain(Hand(), [NEXT, 0], [8 if wrong else 1, 0])


def indirect(hand: Hand, entries: list[tuple[int, int, int]], flags: int = INDIRECT) -> Hand:
    address, length = hand.table(0, entries)
    hand.desc(0, address, length, flags)
    hand.entry(0)
    hand.publish()
    return hand


@case("SPLIT-IND-11")
def not_accepted(wrong: bool) -> Hand:
    hand = Hand(features="-indirect_desc" if wrong else "")
    if wrong:  # as it would stand there, had it been accepted
        at = hand.shape.driver_addr + 0x1000
        hand.keyframe = replace(
            hand.keyframe,
            shapes=(replace(hand.shape, tables_addr=at, table_entries=1),),
            memory=(hand.keyframe.memory[0] + bytes(16 * 8),),
        )
    return indirect(hand, [(64, 0, 0)])


@case("SPLIT-IND-12")
def nested(wrong: bool) -> Hand:
    return indirect(Hand(), [(64, INDIRECT if wrong else 0, 0)])


@case("SPLIT-IND-13")
def longer_than_the_queue(wrong: bool) -> Hand:
    count = 9 if wrong else 8
    return indirect(Hand(), [(64, NEXT, i + 1) for i in range(count - 1)] + [(64, 0, 0)])


@case("SPLIT-IND-14")
def indirect_and_next(wrong: bool) -> Hand:
    return indirect(Hand(), [(64, 0, 0)], INDIRECT | NEXT if wrong else INDIRECT)


@case("SPLIT-IND-15")
def sequential_entries(wrong: bool) -> Hand:
    first = (64, NEXT, 2 if wrong else 1)
    return indirect(Hand(features="in_order"), [first, (64, NEXT, 2), (64, 0, 0)])


@case("SPLIT-IND-16")
def write_on_indirect(wrong: bool) -> Hand:
    hand = indirect(Hand(), [(64, WRITE, 0)], INDIRECT | WRITE)
    if wrong:
        hand.told(Kind.BROKEN, V, new=Reason.INDIRECT_REFUSED)
    else:
        hand.take()
    return hand


@case("SPLIT-IND-17")
def plain_then_table(wrong: bool) -> Hand:
    hand = Hand()
    address, length = hand.table(1, [(64, 0, 0)])
    hand.desc(1, address, length, INDIRECT)
    hand.desc(0, 4096, 64, NEXT, 1)
    hand.entry(0)
    hand.publish()
    if wrong:
        hand.told(Kind.BROKEN, V, new=Reason.INDIRECT_NEXT)
    else:
        hand.take()
    return hand


# ---- indices and elements ----------------------------------------------------------------------------------


@case("SPLIT-DRV-18")
def backwards(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    hand.offer(1)
    hand.store(D, "avail_idx", 0, "", 1 if wrong else 2)
    return hand


@case("SPLIT-BOTH-47")
def more_than_the_queue(wrong: bool) -> Hand:
    hand = Hand(size=4)
    for head in range(4):
        hand.desc(head)
        hand.entry(head, head)
    hand.publish(5 if wrong else 4)
    return hand


@case("SPLIT-DEV-08")
def device_writes_descriptors(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    if wrong:
        hand.store(V, "desc", 0, "len", 32)
    hand.take()
    return hand


@case("SPLIT-DEV-28")
def element_behind_index(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0, writable=True)
    hand.take()
    hand.store(V, "used_ring", 0, "id", 0)
    if not wrong:
        hand.store(V, "used_ring", 0, "len", 10)
    hand.show()
    if wrong:
        hand.store(V, "used_ring", 0, "len", 10)
    return hand


@case("SPLIT-DEV-46")
def unknown_id(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    hand.finish(3 if wrong else 0)
    return hand


@case("SPLIT-DEV-49")
def too_long(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0, writable=True, length=64)
    hand.finish(0, 65 if wrong else 64)
    return hand


def three_in_order() -> Hand:
    hand = Hand(features="in_order", in_order=True)
    for head in range(3):
        hand.offer(head)
    hand.take(3)
    return hand


@case("SPLIT-ORD-31")
def short_batch(wrong: bool) -> Hand:
    hand = three_in_order()
    hand.element(2)
    hand.show(2 if wrong else 3)
    return hand


@case("SPLIT-ORD-32")
def out_of_order(wrong: bool) -> Hand:
    hand = three_in_order()
    hand.finish(1 if wrong else 0)
    return hand


# ---- what is on its way stays as it is ---------------------------------------------------------------------


@case("SPLIT-DRV-43")
def entry_behind_index(wrong: bool) -> Hand:
    hand = Hand()
    hand.desc(2, 4096)
    if not wrong:
        hand.entry(2)
    hand.publish()
    if wrong:
        hand.entry(2, 0)
    return hand


@case("SPLIT-DRV-48")
def changed_on_its_way(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0, writable=True)
    hand.take()
    if not wrong:
        hand.finish(0, 10)
        hand.collect()
    hand.store(D, "desc", 0, "len", 32)
    return hand


# ---- words that ask for notifications ----------------------------------------------------------------------


@case("SPLIT-NOT-19")
def odd_flags(wrong: bool) -> Hand:
    hand = Hand(features="-event_idx")
    hand.store(D, "avail_flags", 0, "", 2 if wrong else 1)
    return hand


@case("SPLIT-NOT-20")
def flags_with_event_idx(wrong: bool) -> Hand:
    hand = Hand()
    hand.store(D, "avail_flags", 0, "", int(wrong))
    return hand


@case("SPLIT-NOT-40")
def odd_device_flags(wrong: bool) -> Hand:
    hand = Hand(features="-event_idx")
    hand.store(V, "used_flags", 0, "", 3 if wrong else 1)
    return hand


@case("SPLIT-NOT-41")
def device_flags_with_event_idx(wrong: bool) -> Hand:
    hand = Hand()
    hand.store(V, "used_flags", 0, "", int(wrong))
    return hand


def completed(features: str = "", *, flags: int = 0, event: int = 0) -> Hand:
    """One buffer used, with the driver's words as given, and what came before them over."""
    hand = Hand(features=features)
    hand.offer(0)
    hand.store(D, "avail_flags" if features else "used_event", 0, "", flags if features else event)
    hand.told(Kind.NOTIFY_ON, D)
    hand.take()
    hand.finish(0)
    return hand


def offered(features: str = "", *, flags: int = 0, event: int = 0) -> Hand:
    """One buffer made available, with the device's words as given."""
    hand = Hand(features=features)
    hand.store(V, "used_flags" if features else "avail_event", 0, "", flags if features else event)
    hand.told(Kind.NOTIFY_ON, V)
    hand.offer(0)
    return hand


NO_EVENTS = "-event_idx"


@case("SPLIT-NOT-22")
def call_by_event(wrong: bool) -> Hand:
    hand = Hand(features=NO_EVENTS)
    hand.store(D, "used_event", 0, "", 7)
    hand.told(Kind.NOTIFY_ON, D)
    hand.offer(0)
    hand.take()
    hand.finish(0)
    hand.call(not wrong, 7 if wrong else 0, 0, 1)
    return hand


@case("SPLIT-NOT-23")
def call_unwanted(wrong: bool) -> Hand:
    hand = completed(NO_EVENTS, flags=1)
    hand.call(wrong, 1, 0, 1)
    return hand


@case("SPLIT-NOT-24")
def call_missing(wrong: bool) -> Hand:
    hand = completed(NO_EVENTS)
    hand.call(not wrong, 0, 0, 1)
    return hand


@case("SPLIT-NOT-25")
def call_by_flags(wrong: bool) -> Hand:
    hand = completed(event=5)
    hand.call(wrong, 0 if wrong else 5, 0, 1)
    return hand


@case("SPLIT-NOT-26")
def call_missing_by_event(wrong: bool) -> Hand:
    hand = completed(event=0)
    hand.call(not wrong, 0, 0, 1)
    return hand


@case("SPLIT-NOT-27")
def call_unwanted_by_event(wrong: bool) -> Hand:
    hand = completed(event=1)
    hand.call(wrong, 1, 0, 1)
    return hand


@case("SPLIT-NOT-34")
def kick_by_event(wrong: bool) -> Hand:
    hand = Hand(features=NO_EVENTS)
    hand.store(V, "avail_event", 0, "", 9)
    hand.told(Kind.NOTIFY_ON, V)
    hand.offer(0)
    hand.kick(not wrong, 9 if wrong else 0, 0, 1)
    return hand


@case("SPLIT-NOT-35")
def kick_unwanted(wrong: bool) -> Hand:
    hand = offered(NO_EVENTS, flags=1)
    hand.kick(wrong, 1, 0, 1)
    return hand


@case("SPLIT-NOT-36")
def kick_missing(wrong: bool) -> Hand:
    hand = offered(NO_EVENTS)
    hand.kick(not wrong, 0, 0, 1)
    return hand


@case("SPLIT-NOT-37")
def kick_by_flags(wrong: bool) -> Hand:
    hand = offered(event=5)
    hand.kick(wrong, 0 if wrong else 5, 0, 1)
    return hand


@case("SPLIT-NOT-38")
def kick_missing_by_event(wrong: bool) -> Hand:
    hand = offered(event=0)
    hand.kick(not wrong, 0, 0, 1)
    return hand


@case("SPLIT-NOT-39")
def kick_unwanted_by_event(wrong: bool) -> Hand:
    hand = offered(event=1)
    hand.kick(wrong, 1, 0, 1)
    return hand


@case("SPLIT-DRV-44")
def stale_event(wrong: bool) -> Hand:
    hand = offered(event=3)
    hand.store(V, "avail_event", 0, "", 4)
    hand.told(Kind.NOTIFY_ON, V)
    hand.offer(1)
    hand.kick(False, 3 if wrong else 4, 0, 2)
    return hand


@case("SPLIT-NOT-21")
def spurious_call(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    hand.take()
    if not wrong:
        hand.finish(5)  # an id that is that of no buffer: a reason to give up
    hand.told(Kind.BROKEN, D, new=Reason.ID_UNKNOWN)
    return hand


@case("SPLIT-NOT-42")
def spurious_kick(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    if wrong:
        hand.take()
    hand.told(Kind.BROKEN, V, new=Reason.BAD_GSO)
    return hand


@case("SPLIT-DRV-45")
def sleeps_over_it(wrong: bool) -> Hand:
    hand = Hand()
    hand.offer(0)
    hand.take()
    hand.finish(0)
    hand.store(D, "used_event", 0, "", 1)
    hand.told(Kind.NOTIFY_ON, D)
    if not wrong:
        hand.collect()
    hand.told(Kind.WAIT, D)
    return hand


#: Rows that a trace cannot be told wrong by without another one being wrong as well.
BESIDE = {
    "SPLIT-DRV-18": {"CLEAN-DRV-01", "SPLIT-BOTH-47"},
    "SPLIT-DRV-43": {"SPLIT-DRV-48"},
    "SPLIT-NOT-22": {"SPLIT-NOT-24"},
    "SPLIT-NOT-25": {"SPLIT-NOT-27"},
    "SPLIT-NOT-34": {"SPLIT-NOT-36"},
    "SPLIT-NOT-37": {"SPLIT-NOT-39"},
}


def test_every_row_has_a_case() -> None:
    assert set(CASES) == {row.id for row in rows_split.ROWS}


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_wrong_is_named(row: str) -> None:
    found = CASES[row](True).found()
    assert row in found
    assert found <= {row} | BESIDE.get(row, set())


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_right_is_silent(row: str) -> None:
    found = CASES[row](False).found()
    assert found <= ({"SPLIT-DEV-46"} if row == "SPLIT-NOT-21" else set())
