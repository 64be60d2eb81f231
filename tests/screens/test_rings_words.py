"""What the panes of the Rings screen say, worked out by hand: no app, no terminal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dataplane.records import CHANGED, Label, Owner, Reason, Role
from dataplane.snapshot import AnyQueue, PackedQueue
from inspector.widgets import areas, flow, notify, queues, ringtext
from inspector.widgets.descriptors import changed, layout, measure
from inspector.widgets.order import by_buffer, by_slot, members_of
from inspector.widgets.positions import (
    LEVELS,
    WAKE,
    WAKE_STEP,
    Mark,
    density,
    position_of_slot,
    positions,
    slot_of_position,
    wake,
)
from inspector.widgets.table import gauge
from tests import fakes
from tests.fakes import Chain, Counts

# numbers


@pytest.mark.parametrize(
    ("event", "now", "distance"),
    [(17, 12, 5), (12, 12, 0), (11, 12, -1), (2, 65534, 4), (65534, 2, -4), (0, 65535, 1)],
)
def test_ahead_counts_across_the_wrap(event: int, now: int, distance: int) -> None:
    assert ringtext.ahead(event, now) == distance


@pytest.mark.parametrize(
    ("counts", "cells", "given"),
    [
        ((0, 0, 0, 0), 10, [0, 0, 0, 0]),
        ((256, 0, 0, 0), 10, [10, 0, 0, 0]),
        ((255, 1, 0, 0), 10, [9, 1, 0, 0]),
        ((1, 1, 1, 97), 10, [1, 1, 1, 7]),
        ((5, 5), 3, [2, 1]),
    ],
)
def test_shares_fill_every_cell_and_hide_nothing(
    counts: tuple[int, ...], cells: int, given: list[int]
) -> None:
    assert ringtext.shares(counts, cells) == given


def test_addresses_grow_only_when_they_must() -> None:
    assert ringtext.address_digits(0xFFFF_FFFF) == 8
    assert ringtext.address_digits(0x1_0000_0000) == 9
    assert ringtext.address_digits((1 << 64) - 1) == 16


def test_spark_keeps_the_last_samples_and_is_low_when_nothing_moves() -> None:
    assert ringtext.spark((0.0, 0.0), 4) == "  ▁▁"
    assert ringtext.spark((1.0, 0.0, 4.0, 8.0), 3) == "▁▄▇"
    assert ringtext.spark((), 3) == "   "


def test_a_row_seen_to_change_says_so_whatever_its_label() -> None:
    assert ringtext.label_word(Label.STABLE) == "stable"
    assert ringtext.label_word(Label.STABLE | CHANGED) == "changed"
    assert ringtext.label_word(Label.IN_FLUX) == "in flux"
    assert ringtext.label_word(Label.FREE) == ""
    assert [ringtext.label_sign(n) for n in (Label.STABLE, Label.IN_FLUX, Label.IN_FLUX | CHANGED)] == [
        " ",
        "?",
        "±",
    ]


# notifications


@pytest.mark.parametrize(
    ("event", "now", "ends"),
    [
        (17, 12, "passes 17; now 12: no call for 5 more buffers"),
        (13, 12, "passes 13; now 12: no call for 1 more buffer"),
        (12, 12, "passes 12; now 12: the next buffer brings one"),
        (11, 12, "passes 11; now 12: passed, no call until the driver moves used_event"),
        (1, 65535, "passes 1; now 65535: no call for 2 more buffers"),
        (65535, 0, "passes 65535; now 0: passed, no call until the driver moves used_event"),
    ],
)
def test_split_call_in_words(event: int, now: int, ends: str) -> None:
    queue = replace(fakes.split(), used_event=event, used_idx=now)
    assert notify.asked(queue, True, kick=False).full == f"the driver wants a call when used.idx {ends}"


def test_split_without_event_index_goes_by_the_flags() -> None:
    queue = fakes.split()
    assert notify.asked(queue, False, kick=True).full == "the device wants every kick (flags 0)"
    quiet = replace(queue, used_flags=1, avail_flags=1)
    assert notify.asked(quiet, False, kick=True).full == "the device wants no kick (NO_NOTIFY)"
    assert notify.asked(quiet, False, kick=False).full == "the driver wants no call (NO_INTERRUPT)"


def test_a_side_that_polls_is_said_to() -> None:
    words = notify.asked(fakes.polling(fakes.split()), False, kick=True).full
    assert words.startswith("the device polls and needs no kick; in memory: ")


@pytest.mark.parametrize(
    ("off", "wrap", "position", "lap", "distance"),
    [(5, 1, 5, 1, 0), (7, 1, 5, 1, 2), (4, 1, 5, 1, -1), (1, 0, 6, 1, 3), (7, 0, 1, 1, -2)],
)
def test_packed_event_ahead_or_behind(off: int, wrap: int, position: int, lap: int, distance: int) -> None:
    assert notify.packed_ahead(off, wrap, position, lap, 8) == distance


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (0, "the driver wants every call (ENABLE)"),
        (1, "the driver wants no call (DISABLE)"),
        (3, "the driver wrote reserved flags: 3"),
        (2, "the driver wants a call past slot 40 (wrap 1); now 37 (wrap 1): no call for 3 more slots"),
    ],
)
def test_packed_call_in_words(flags: int, words: str) -> None:
    queue = fakes.packed(driver_event=(40 | 1 << 15, flags))
    assert notify.asked(queue, True, kick=False).full == words


def test_every_sentence_has_a_form_for_80_columns() -> None:
    worst = fakes.split(32768, Counts(65535, 65535, 65535, 65535), avail_event=1, used_event=1)
    packed = fakes.packed(32768, Counts(65535, 65535, 65535, 65535), device_event=(32767 | 1 << 15, 2))
    for queue in (worst, packed, fakes.packed(device_event=(0, 3))):
        for kick in (True, False):
            assert len(notify.asked(queue, True, kick).short) <= 73


def test_the_last_decision_in_words() -> None:
    split = fakes.split(counts=Counts(9, 8, 7, 6))
    assert split.driver and split.device
    assert notify.decided(split, split.driver.kick, True, True) == "last: avail.idx 8 → 9, event 8: sent"
    assert notify.decided(split, None, True, True) == "that side is not ours: its decisions cannot be seen"
    packed = fakes.packed(8, Counts(9, 9, 9, 9))
    kick = replace(packed.driver.kick, old=65535, new=1, event=7 | 1 << 15 | 2 << 16)  # type: ignore[union-attr]
    assert notify.decided(packed, kick, True, True) == "last: slot 7 → 1, event slot 7 w1: sent"
    quiet = replace(kick, event=1 << 16, answer="quiet")
    assert notify.decided(packed, quiet, True, True) == "last: slot 7 → 1, DISABLE: quiet"


# the way of a buffer


def test_verdicts() -> None:
    moving = fakes.split(counts=Counts(41, 38, 37, 37))
    assert (
        flow.verdict(moving, 20).full == "3 buffers wait for the device; the device holds 1 · 20/s go round"
    )
    assert flow.verdict(moving, 0).full.endswith("· nothing moves")
    assert flow.verdict(moving, 0).meaning == "flux"
    empty = fakes.split(counts=Counts(5, 5, 5, 5))
    assert flow.verdict(empty, 0).full == "nothing is outstanding · at rest"
    posted = fakes.split(counts=Counts(9, 0, 0, 0), role=Role.RECEIVE)
    assert flow.verdict(posted, 0).full == "9 empty buffers ready for the device to fill · at rest"
    held = fakes.split(counts=Counts(41, 38, 37, 37), exact=True)
    assert flow.verdict(held, 20).full.endswith("· held still")
    broken = fakes.split(device={"broken": Reason.CHAIN_LOOP})
    assert flow.verdict(broken, 20).full == "the device gave this queue up: CHAIN_LOOP"
    assert flow.verdict(fakes.split(enabled=False), 0).full == "this queue is not enabled"
    asleep = fakes.split(counts=Counts(2, 0, 0, 0), device={"asleep": True})
    assert flow.verdict(asleep, 0).full == "2 buffers wait for the device · nothing moves · the device sleeps"


def test_a_gate_moves_by_one_for_each_buffer_and_is_as_wide_as_asked() -> None:
    before, after = (flow.gate(24, 3, passed, 2.0) for passed in (100, 101))
    assert "".join(before) != "".join(after)
    assert flow.gate(24, 3, 100, 2.0) == flow.gate(24, 3, 104, 2.0)
    assert flow.gate(24, 3, 100, 1000.0) == flow.gate(24, 3, 101, 1000.0), "too fast to be seen otherwise"
    assert all(len("".join(flow.gate(width, 1234, 0, 0))) == width for width in range(11, 40))
    assert before[1] == " 3 "


def test_states() -> None:
    assert queues.state_word(fakes.split(device={"broken": Reason.BAD_ADDRESS}), 1) == (
        "broken: BAD_ADDRESS",
        "fault",
    )
    assert queues.state_word(fakes.split(enabled=False), 0)[0] == "off"
    assert queues.state_word(fakes.split(), 5)[0] == "moving"
    assert queues.state_word(fakes.split(counts=Counts(4, 0, 0, 0)), 0)[0] == "waiting"
    assert queues.state_word(fakes.split(counts=Counts(4, 0, 0, 0), role=Role.RECEIVE), 0)[0] == "ready"
    assert queues.state_word(fakes.split(counts=Counts(4, 4, 4, 0)), 0)[0] == "to collect"
    assert queues.state_word(fakes.split(counts=Counts(4, 4, 4, 4)), 0)[0] == "idle"


def test_occupancy_counts_descriptors_and_needs_no_rows() -> None:
    queue = fakes.split(counts=Counts(6, 4, 3, 0), chains=(Chain(2),))
    assert ringtext.occupancy(queue) == (256 - 12, 4, 2, 6)
    assert ringtext.occupancy(fakes.without_rows(queue)) == ringtext.occupancy(queue)


# the ring


def arcs(queue: AnyQueue) -> str:
    return "".join(".aiu?"[int(owner)] for owner in positions(queue).owners)


def test_split_positions_are_ring_entries_across_the_end() -> None:
    queue = fakes.split(8, Counts(13, 11, 10, 7))
    assert arcs(queue) == "uuiaa..u"
    assert (positions(queue).avail, positions(queue).used, positions(queue).lap) == (5, 2, 1)


def test_split_positions_follow_the_index_wherever_it_began() -> None:
    queue = fakes.split(8, Counts(3, 2, 1, 0), start=65534)
    assert arcs(queue) == "a.....ui"
    assert positions(queue).avail == 1


def test_packed_positions_are_slots() -> None:
    queue = fakes.packed(7, Counts(3, 2, 1, 0), chains=(Chain(2),))
    assert arcs(queue) == "uuiiaa."
    assert positions(queue).lap is None


def test_a_full_and_an_empty_ring() -> None:
    assert arcs(fakes.split(4, Counts(9, 5, 5, 5))) == "aaaa"
    assert arcs(fakes.split(4, Counts(5, 5, 5, 5))) == "...."


def test_from_slot_to_position_and_back() -> None:
    queue = fakes.split(16, Counts(5, 4, 3, 2), chains=(Chain(2),))
    for buffer, head in ((2, 4), (3, 6), (4, 8)):
        assert position_of_slot(queue, head + 1) == buffer
        assert slot_of_position(queue, buffer) == head
    assert position_of_slot(queue, 0) is None


def test_density_shows_one_buffer_among_thousands() -> None:
    owners = np.zeros(32768, dtype=np.uint8)
    owners[20000] = Owner.IN_USE
    codes = density(owners, 100)
    assert codes[20000 * 100 // 32768] == Owner.IN_USE * LEVELS
    assert np.count_nonzero(codes) == 1


def test_density_of_a_small_ring_is_the_ring() -> None:
    owners = np.array([0, 1, 2, 3], dtype=np.uint8)
    assert (density(owners, 8) // LEVELS).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_wake_fades_and_wraps() -> None:
    trail = wake(8, [Mark(5, 5, 5, 5), Mark(7, 7, 7, 7), Mark(1, 1, 9, 9)])
    assert trail.tolist() == [WAKE, 0, 0, 0, 0, WAKE - WAKE // 2, WAKE - WAKE // 2, WAKE]
    assert wake(8, [Mark(5, 5, 5, 5), Mark(5, 5, 13, 13)]).tolist() == [WAKE] * 8, "a whole lap"
    assert not wake(8, [Mark(5, 5, 5, 5)]).any()
    shown = density(np.array([0, 1, 2, 3], dtype=np.uint8), 4, np.full(4, 1, dtype=np.uint8))
    assert (shown // WAKE_STEP).tolist() == [1, 1, 0, 0], (
        "what the device or the driver waits for stays plain"
    )


# the table


def test_by_slot_with_an_open_table() -> None:
    queue = fakes.split(8, Counts(2, 1, 0, 0), chains=(Chain(1, 3), Chain(2)))
    order = by_slot(queue, {0: 3})
    assert order.total == 11
    assert order.lines(0, 6) == [(0, -1), (0, 0), (0, 1), (0, 2), (1, -1), (2, -1)]
    assert order.lines(2, 3) == [(0, 1), (0, 2), (1, -1)]
    assert [order.line_of(slot) for slot in (0, 1, 7)] == [0, 4, 10]


@pytest.mark.parametrize("make", [fakes.split, fakes.packed])
def test_by_buffer_goes_round_the_end_of_the_table(make: type[AnyQueue]) -> None:
    queue = make(8, Counts(5, 4, 3, 2), chains=(Chain(3), Chain(1)))  # type: ignore[call-arg, arg-type]
    order = by_buffer(queue, {})
    shown = [slot for slot, _ in order.lines(0, 20)]
    assert shown == [4, 5, 6, 7, 0, 1, 2]
    assert order.total == 7
    assert [order.line_of(slot) for slot in (4, 0, 3)] == [0, 4, None]
    assert [slot for slot, _ in order.lines(3, 2)] == [7, 0]


def test_by_buffer_with_an_open_table() -> None:
    queue = fakes.split(8, Counts(3, 2, 1, 0), chains=(Chain(2), Chain(1, 2), Chain(1)))
    order = by_buffer(queue, {2: 2})
    assert order.lines(0, 9) == [(0, -1), (1, -1), (2, -1), (2, 0), (2, 1), (3, -1)]
    assert order.line_of(3) == 5


def test_every_slice_of_an_order_agrees_with_the_whole() -> None:
    queue = fakes.split(64, Counts(30, 20, 15, 9), chains=fakes.MIXED)
    opened = {slot: len(table) for slot, table in queue.tables.items()}
    for order in (by_slot(queue, opened), by_buffer(queue, opened)):
        whole = order.lines(0, order.total)
        assert len(whole) == order.total
        for top in range(order.total):
            assert order.lines(top, 7) == whole[top : top + 7]


def test_a_chain_that_does_not_lead_through_its_slots_is_shown_all_the_same() -> None:
    queue = fakes.split(8, Counts(1, 0, 0, 0), chains=(Chain(3),))
    desc = queue.desc.copy()
    desc["next"][1] = 0
    assert members_of(replace(queue, desc=desc), 0, 3) == [0, 1, 2]


def test_columns_are_dropped_before_anything_is_cut() -> None:
    for width in range(46, 200):
        made = layout(width, 5, 8, 5, 21, 9)
        assert made.used <= width or not (made.owner_word or made.label_word or made.buffer)
    assert layout(120, 5, 8, 5, 10, 9).buffer
    assert layout(66, 5, 8, 5, 10, 9).label_word
    assert not layout(66, 5, 8, 5, 10, 9).buffer


def test_widths_hold_the_longest_value_in_sight() -> None:
    queue = fakes.split(8, Counts(2, 1, 0, 0))
    desc = queue.desc.copy()
    desc["addr"][1], desc["len"][1], desc["flags"][1] = 1 << 63, 1 << 31, 0xFFFF
    wide = measure(replace(queue, desc=desc), [(0, -1), (1, -1)])
    assert (wide.digits, wide.lengths) == (16, 10)
    assert wide.flags >= len("NEXT WRITE INDIRECT 0xfff8")


def test_what_changed_since_the_last_picture() -> None:
    before, now = (fakes.split(8, Counts(n, 0, 0, 0)) for n in (2, 3))
    assert changed(now, before, np.arange(8)).tolist() == [False, False, True, *[False] * 5]
    assert not changed(now, fakes.without_rows(before), np.arange(8)).any()


def test_the_scroll_mark_reaches_both_ends() -> None:
    assert gauge(0, 10, 10) == (0, -1)
    assert gauge(0, 10, 100)[0] == 0
    assert gauge(90, 10, 100)[1] == 9
    assert gauge(32768 - 20, 20, 32768) == (19, 19)


# both areas


def test_disagreement_of_memory_and_the_writers_own_copy() -> None:
    agreed, _ = areas.facts(fakes.split())
    assert all(fact.agrees for fact in agreed)
    available, used = areas.facts(fakes.split(driver={"avail_idx": 40}, device={"used_idx": 39}))
    assert [fact.name for fact in (*available, *used) if not fact.agrees] == ["idx", "idx"]
    assert (available[0].memory, available[0].driver) == ("41", "40")


def test_event_structures_in_words() -> None:
    assert areas.event_words(40 | 1 << 15, 2, "call") == "a call past slot 40, wrap 1"
    assert areas.event_words(0, 0, "kick") == "every kick"
    assert areas.event_words(0, 1, "kick") == "no kick"


# the fakes themselves


def test_the_fakes_keep_the_layouts_rules() -> None:
    queue = fakes.packed(7, Counts(9, 8, 7, 6), chains=(Chain(1),))
    assert isinstance(queue, PackedQueue) and queue.driver
    assert queue.driver.avail_wrap == 0 and queue.driver.avail_idx == 2
    flags = {int(slot): int(queue.desc["flags"][slot]) for slot in np.flatnonzero(queue.buffer >= 0)}
    assert flags == {6: 0x8080, 0: 0x8000, 1: 0x8000}
    with pytest.raises(ValueError, match="do not fit"):
        fakes.split(4, Counts(5, 0, 0, 0))


@pytest.mark.parametrize(
    ("index", "entries", "shown", "written", "rows"),
    [
        (2, [1], 0, 0, 0),  # collected a moment ago: behind the index
        (2, [2], 0, 0, 1),  # just written
        (2, [3], 1, 1, 2),
        (0, [0], 4, 0, 0),  # a lap before, and outstanding
        (65535, [3], 0, 0, 1),
        (1, [1, 2, 3], 1, 3, 3),
        (0, [], 0, 0, 0),
    ],
)
def test_a_lit_entry_is_ahead_of_the_index_or_behind_it(
    index: int, entries: list[int], shown: int, written: int, rows: int
) -> None:
    assert areas.ahead_of(index, 4, entries, shown, written) == rows


def test_in_the_first_lap_no_entry_is_an_older_one() -> None:
    assert areas.ahead_of(0, 16, [12], 0, 0, 0) == 13
    assert areas.ahead_of(3, 16, [1], 0, 0, 3) == 0


def test_what_a_side_wrote_beyond_the_index() -> None:
    assert areas.unshown(65535, 1, 4) == 2
    assert areas.unshown(5, 5, 4) == 0
    assert areas.unshown(5, None, 4) == 0
    assert areas.unshown(5, 3, 4) == 0  # the index was written by somebody else
