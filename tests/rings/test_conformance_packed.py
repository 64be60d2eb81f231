"""Each row of a packed ring: told right it is silent, told wrong it is named. The two differ in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dataplane.layout import EVENT_DESC, EVENT_DISABLE, EVENT_ENABLE
from dataplane.records import Kind, Reason
from dataplane.rules.conformance import rows_packed
from tests.rings.hand import AVAIL, INDIRECT, NEXT, USED, WRITE, D, Hand, V

Case = Callable[[bool], Hand]
CASES: dict[str, Case] = {}


def case(*rows: str) -> Callable[[Case], Case]:
    def put(function: Case) -> Case:
        CASES.update(dict.fromkeys(rows, function))
        return function

    return put


def packed(features: str = "", size: int = 8, **changes: object) -> Hand:
    return Hand("packed", size, features, **changes)  # type: ignore[arg-type]


# ---- how it begins -----------------------------------------------------------------------------------------


@case("PACKED-BOTH-01")
def size(wrong: bool) -> Hand:
    hand = packed()
    hand.resize(32769 if wrong else 6)
    hand.told(Kind.WAIT, D)
    return hand


@case("PACKED-DRV-04")
def alignment(wrong: bool) -> Hand:
    hand = packed()
    if wrong:
        hand.begin(replace(hand.keyframe, shapes=(replace(hand.shape, driver_addr=0x200002),)))
    hand.told(Kind.WAIT, D)
    return hand


@case("PACKED-BOTH-36")
def first_flags(wrong: bool) -> Hand:
    hand = packed()
    if wrong:
        memory = bytearray(hand.keyframe.memory[0])
        memory[16 * 3 + 14] = AVAIL
        hand.begin(replace(hand.keyframe, memory=(bytes(memory),)))
    hand.told(Kind.WAIT, D)
    return hand


# ---- lists and tables --------------------------------------------------------------------------------------


def listed(hand: Hand, flags: list[int]) -> Hand:
    """A list in the slots from 0 on, its head last."""
    for slot in reversed(range(len(flags))):
        hand.desc(slot, 4096, 64, flags[slot] | AVAIL, 0)
    return hand


@case("PACKED-DRV-15")
def longer_than_the_queue(wrong: bool) -> Hand:
    return listed(packed(size=4), [NEXT, NEXT, NEXT, NEXT if wrong else 0])


@case("PACKED-DRV-16")
def read_behind_written(wrong: bool) -> Hand:
    return listed(packed(), [NEXT | WRITE, 0] if wrong else [NEXT, WRITE])


@case("PACKED-DRV-17")
def no_room(wrong: bool) -> Hand:
    hand = packed(size=4)
    hand.list_(0, 2)
    hand.desc(3, 4096, 64, (NEXT if wrong else 0) | AVAIL, 1)
    hand.desc(2, 4096, 64, NEXT | AVAIL, 1)
    return hand


@case("PACKED-DRV-18")
def head_first(wrong: bool) -> Hand:
    hand = packed()
    order = [0, 1] if wrong else [1, 0]
    for slot in order:
        hand.desc(slot, 4096, 64, (0 if slot else NEXT) | AVAIL, 0)
    return hand


def indirect(hand: Hand, entries: list[tuple[int, int, int]], flags: int = INDIRECT) -> Hand:
    address, length = hand.table(0, entries)
    hand.desc(0, address, length, flags | AVAIL, 0)
    return hand


@case("PACKED-IND-20")
def not_accepted(wrong: bool) -> Hand:
    hand = packed("-indirect_desc" if wrong else "")
    if wrong:  # as it would stand there, had it been accepted
        shape = replace(hand.shape, tables_addr=hand.shape.driver_addr + 0x1000, table_entries=1)
        memory = hand.keyframe.memory[0] + bytes(16 * 8)
        hand.begin(replace(hand.keyframe, shapes=(shape,), memory=(memory,)))
    return indirect(hand, [(64, 0, 0)])


@case("PACKED-IND-21")
def table_flags(wrong: bool) -> Hand:
    return indirect(packed(), [(64, NEXT if wrong else 0, 0), (64, WRITE, 0)])


@case("PACKED-IND-22")
def ragged_table(wrong: bool) -> Hand:
    hand = packed()
    address, length = hand.table(0, [(64, 0, 0)])
    hand.desc(0, address, length + 4 * wrong, INDIRECT | AVAIL, 0)
    return hand


@case("PACKED-IND-23")
def table_in_a_list(wrong: bool) -> Hand:
    hand = packed()
    address, length = hand.table(1, [(64, 0, 0)])
    hand.desc(1, address, length, INDIRECT | AVAIL, 0)
    hand.desc(0, 4096, 64, (NEXT if wrong else 0) | AVAIL, 1)
    return hand


@case("PACKED-IND-24")
def reserved_bits(wrong: bool) -> Hand:
    hand = indirect(packed(), [(64, 0, 77)])
    return gave_up(hand) if wrong else taken(hand)


@case("PACKED-IND-25")
def write_on_indirect(wrong: bool) -> Hand:
    hand = indirect(packed(), [(64, WRITE, 0)], INDIRECT | WRITE)
    return gave_up(hand) if wrong else taken(hand)


def gave_up(hand: Hand) -> Hand:
    hand.told(Kind.BROKEN, V, new=Reason.INDIRECT_REFUSED)
    return hand


def taken(hand: Hand) -> Hand:
    hand.take()
    return hand


@case("PACKED-DRV-28")
def id_on_its_way(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(5)
    hand.offer(5 if wrong else 6)
    return hand


# ---- laps and slots ----------------------------------------------------------------------------------------


@case("PACKED-BOTH-02")
def wrong_lap(wrong: bool) -> Hand:
    hand = packed()
    hand.desc(0, 4096, 64, USED if wrong else AVAIL, 0)
    return hand


@case("PACKED-BOTH-03")
def driver_writes_alike(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0)
    hand.desc(1, 4096, 64, AVAIL | USED if wrong else AVAIL, 1)
    return hand


def test_a_device_on_the_wrong_lap_is_named() -> None:
    hand = packed()
    hand.offer(0)
    hand.take()
    hand.used_desc(0, 0, wrap=0)
    assert hand.found() == {"PACKED-BOTH-02"}


def test_a_device_that_writes_available_is_named() -> None:
    hand = packed()
    hand.offer(0)
    hand.take()
    hand.store(V, "desc", 0, "flags", USED)
    assert "PACKED-BOTH-03" in hand.found()


@case("PACKED-DEV-05")
def taken_out_of_order(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0)
    hand.offer(1)
    hand.take(slot=1 if wrong else 0)
    return hand


@case("PACKED-DEV-06")
def hole(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0)
    hand.offer(1)
    hand.take(2)
    if not wrong:
        hand.used_desc(0, 0)
    hand.used_desc(1, 1)
    hand.flush(1 if wrong else 2)
    return hand


@case("PACKED-DEV-09")
def never_available(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0)
    hand.take()
    if wrong:
        hand.store(V, "desc", 4, "len", 3)
    hand.finish(0)
    return hand


@case("PACKED-DEV-10")
def written_behind_used(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0, writable=True)
    hand.take()
    if not wrong:
        hand.store(V, "desc", 0, "len", 9)
    hand.used_desc(0, 0, 9)
    hand.flush()
    if wrong:
        hand.store(V, "desc", 0, "len", 8)
    return hand


@case("PACKED-DRV-11")
def changed_when_taken(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0)
    hand.take()
    if not wrong:
        hand.finish(0)
        hand.collect()
    hand.store(D, "desc", 0, "len", 32)
    return hand


@case("PACKED-DRV-12")
def changed_when_available(wrong: bool) -> Hand:
    hand = packed()
    hand.desc(0, 4096, 64, AVAIL, 0)
    hand.store(D, "desc", 0 if wrong else 1, "len", 32)
    return hand


@case("PACKED-DRV-26")
def address_behind_flags(wrong: bool) -> Hand:
    hand = packed()
    if not wrong:
        hand.store(D, "desc", 0, "addr", 4096)
    hand.store(D, "desc", 0, "len", 64)
    hand.store(D, "desc", 0, "flags", AVAIL)
    if wrong:
        hand.store(D, "desc", 0, "addr", 4096)
    return hand


# ---- what comes back ---------------------------------------------------------------------------------------


@case("PACKED-DEV-29")
def one_for_a_list(wrong: bool) -> Hand:
    hand = packed()
    hand.list_(0, 3)
    hand.offer(1)
    hand.take(2)
    hand.finish(0)
    slot = 1 if wrong else 3
    hand.used_desc(slot, 1)
    hand.flush()
    return hand


@case("PACKED-DEV-30")
def too_long(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(0, writable=True, length=64)
    hand.take()
    hand.used_desc(0, 0, 64 + wrong, flags=WRITE)
    return hand


def test_a_length_without_write_says_nothing() -> None:
    hand = packed()
    hand.offer(0)
    hand.take()
    hand.finish(0, 99)
    assert hand.found() == set()


@case("PACKED-DEV-38")
def unknown_id(wrong: bool) -> Hand:
    hand = packed()
    hand.offer(2)
    hand.take()
    hand.finish(3 if wrong else 2)
    return hand


@case("PACKED-ORD-34")
def batch(wrong: bool) -> Hand:
    hand = packed("in_order", in_order=True)
    for id in range(3):
        hand.offer(id)
    hand.take(3)
    hand.used_desc(0, 2)
    hand.flush(1 if wrong else 3)
    return hand


# ---- words that ask for notifications ----------------------------------------------------------------------


@case("PACKED-EVT-31")
def event_flags(wrong: bool) -> Hand:
    hand = packed()
    hand.store(D, "driver_event", 0, "flags", 3 if wrong else EVENT_DISABLE)
    return hand


@pytest.mark.parametrize(
    ("features", "flags", "offset", "right"),
    [
        ("", EVENT_DESC, 7, True),
        ("", EVENT_DESC, 8, False),
        ("-event_idx", EVENT_DESC, 0, False),
        ("", EVENT_ENABLE, 9, True),
        ("", 4, 0, False),
    ],
)
def test_event_fields(features: str, flags: int, offset: int, right: bool) -> None:
    hand = packed(features)
    hand.store(V, "device_event", 0, "off_wrap", offset | 1 << 15)
    hand.store(V, "device_event", 0, "flags", flags)
    assert hand.found() == (set() if right else {"PACKED-EVT-31"})


@case("PACKED-EVT-32")
def call_missing(wrong: bool) -> Hand:
    hand = packed()
    hand.store(D, "driver_event", 0, "off_wrap", 0 | 1 << 15)
    hand.store(D, "driver_event", 0, "flags", EVENT_DESC)
    hand.told(Kind.NOTIFY_ON, D)
    hand.offer(0)
    hand.take()
    hand.finish(0)
    hand.call(not wrong, 1 << 15 | EVENT_DESC << 16, 0, 1)
    return hand


def asked(offset: int, flags: int) -> Hand:
    """One buffer offered to a device whose words these are."""
    hand = packed()
    hand.store(V, "device_event", 0, "off_wrap", offset | 1 << 15)
    hand.store(V, "device_event", 0, "flags", flags)
    hand.told(Kind.NOTIFY_ON, V)
    hand.offer(0)
    return hand


@case("PACKED-EVT-33")
def kick_missing(wrong: bool) -> Hand:
    hand = asked(0, EVENT_DESC)
    hand.kick(not wrong, 1 << 15 | EVENT_DESC << 16, 0, 1)
    return hand


@pytest.mark.parametrize(("offset", "flags"), [(3, EVENT_DESC), (0, EVENT_DISABLE)])
def test_a_kick_that_is_not_wanted_is_named(offset: int, flags: int) -> None:
    hand = asked(offset, flags)
    hand.kick(True, offset | 1 << 15 | flags << 16, 0, 1)
    assert hand.found() == {"PACKED-EVT-33"}


@case("PACKED-DRV-27")
def stale_event(wrong: bool) -> Hand:
    hand = packed()
    hand.store(V, "device_event", 0, "flags", EVENT_DISABLE)
    hand.told(Kind.NOTIFY_OFF, V)
    hand.offer(0)
    if not wrong:
        hand.store(V, "device_event", 0, "flags", EVENT_ENABLE)
    hand.kick(not wrong, EVENT_ENABLE << 16, 0, 1)
    return hand


@case("PACKED-BOTH-37")
def whose_event(wrong: bool) -> Hand:
    hand = packed()
    hand.store(V if wrong else D, "driver_event", 0, "flags", EVENT_DISABLE)
    return hand


#: Rows that a trace cannot be told wrong by without another one being wrong as well.
BESIDE = {
    "PACKED-DEV-10": {"PACKED-DEV-09"},
    "PACKED-DEV-09": {"PACKED-DEV-10"},
    "PACKED-DEV-29": {"PACKED-DEV-09"},
    "PACKED-DRV-11": {"PACKED-DRV-12"},
    "PACKED-DRV-26": {"PACKED-DRV-12"},
    "PACKED-BOTH-03": {"PACKED-BOTH-02"},
}


def test_every_row_has_a_case() -> None:
    assert set(CASES) == {row.id for row in rows_packed.ROWS}


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_wrong_is_named(row: str) -> None:
    found = CASES[row](True).found()
    assert row in found
    assert found <= {row} | BESIDE.get(row, set())


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_right_is_silent(row: str) -> None:
    assert CASES[row](False).found() == set()
