"""Faults act where they are put, once or as often as asked, and are told; healed, the pair is sound again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataplane.faults import AREAS, KINDS, Fault, areas_of
from dataplane.pair import Layout, Pair, PlayFrame
from dataplane.places import writer
from dataplane.records import TO_DEVICE, Kind, Reason, Side
from dataplane.snapshot import PackedQueue, SplitQueue

LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])
TX = 1


def frames(count: int) -> list[PlayFrame]:
    return [PlayFrame(i, TO_DEVICE, bytes([i]) * 64) for i in range(count)]


def resting(layout: Layout, count: int = 8, **options: object) -> Pair:
    """A frozen pair, both sides asleep, with frames to send."""
    pair = Pair(layout=layout, queue_size=8, frozen=True, driver="interrupt", device="interrupt", **options)  # type: ignore[arg-type]
    pair.quiet()
    pair.start()
    settle(pair)
    if count:
        pair.play(frames(count), loop=False)
        pair.step(Side.DEVICE, "turn", 4)  # new traffic wakes both: the device sleeps again
    return pair


@pytest.fixture(params=["split", "packed"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = resting(request.param)
    yield made
    made.close()


def settle(pair: Pair, turns: int = 12) -> None:
    """Lets both sides do what they can."""
    for _ in range(turns):
        pair.step(Side.DRIVER, "turn", 2)
        pair.step(Side.DEVICE, "turn", 2)


def told(pair: Pair, kind: Kind) -> list[np.void]:
    rows = pair.events(most=1 << 16).rows
    return list(rows[rows["kind"] == kind])


def test_a_lost_kick_is_counted_as_sent_and_never_read(pair: Pair) -> None:
    pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=TX))
    settle(pair)
    queue = pair.snapshot(()).queue(TX)
    assert queue.driver is not None and queue.device is not None
    ((number, fault, hits),) = pair.faults()
    assert (fault.kind, hits) == ("lose_kick", 1)
    (row,) = told(pair, Kind.FAULT)
    assert row["place"] == number and row["slot"] == KINDS.index("lose_kick") + 1
    assert queue.driver.kick.sent == 1 and queue.device.call.received == 0
    assert queue.published > queue.seen == 0, "and the device sleeps on"
    pair.kick(TX)
    settle(pair)
    queue = pair.snapshot(()).queue(TX)
    assert queue.seen == queue.published == 8, "one kick from outside is enough"


def test_a_lost_call_leaves_used_buffers_uncollected(pair: Pair) -> None:
    pair.inject_fault(Fault("lose_call", Side.DEVICE, queue=TX))
    settle(pair)
    queue = pair.snapshot(()).queue(TX)
    assert queue.used > queue.collected and [hits for _, _, hits in pair.faults()] == [1]


@LAYOUTS
def test_a_dropped_store_never_shows(layout: Layout) -> None:
    """The index, or the flags of the head, is never stored: the buffers are never seen."""
    area = "avail_idx" if layout == "split" else "desc.flags"
    with resting(layout) as pair:
        before = pair.keyframe()
        assert before is not None
        pair.inject_fault(Fault("drop_store", Side.DRIVER, queue=TX, area=area, count=0))
        settle(pair)
        queue = pair.snapshot().queue(TX)
        assert queue.published > 0 and queue.seen == 0
        if isinstance(queue, SplitQueue):
            assert queue.avail_idx == 0
        else:
            assert not (queue.desc["flags"] & 0x80).any()
        stores = [row for row in told(pair, Kind.STORE) if row["queue"] == TX and row["side"] == Side.DRIVER]
        addresses = {int(row["old"]) for row in told(pair, Kind.FAULT)}
        assert addresses and not addresses & {int(row["place"]) for row in stores}


@LAYOUTS
def test_a_store_that_is_held_back_is_performed_late(layout: Layout) -> None:
    """Without the barrier the index, or the head's flags, can be seen before what stands behind it."""
    area = "avail_ring" if layout == "split" else "desc.addr"
    with resting(layout, 1) as pair:
        pair.inject_fault(Fault("delay_store", Side.DRIVER, queue=TX, area=area))
        settle(pair)
        (held,) = told(pair, Kind.FAULT)
        stores = [row for row in told(pair, Kind.STORE) if row["queue"] == TX and row["side"] == Side.DRIVER]
        (late,) = (row for row in stores if row["place"] == held["old"])
        assert late["new"] == held["new"]
        between = [row for row in stores if held["number"] < row["number"] < late["number"]]
        assert len(between) == 1, "behind exactly one other store"
        assert pair.snapshot(()).queue(TX).collected == 1, "run freely nobody notices"


def test_between_the_two_stores_the_device_takes_a_stale_head() -> None:
    """What a missing barrier does, by an interleaving: the frame before goes again, the driver gives up."""
    with resting("split", 0) as pair:
        pair.play(frames(1), loop=False)
        settle(pair)
        pair.inject_fault(Fault("delay_store", Side.DRIVER, queue=TX, area="avail_ring"))
        pair.play([PlayFrame(0, TO_DEVICE, b"\xee" * 64)], loop=False)
        queue = pair.snapshot().queue(TX)
        while isinstance(queue, SplitQueue) and queue.avail_idx != 2:
            assert pair.step(Side.DRIVER, "store").taken == 1
            queue = pair.snapshot().queue(TX)
        assert isinstance(queue, SplitQueue) and queue.avail_ring[1] == 0, "the entry is not there yet"
        pair.kick(TX)
        pair.step(Side.DEVICE, "turn", 2)
        sent = pair.frames()
        data = [bytes(sent.data[o : o + 64]) for o in sent.offsets.tolist()]
        assert data == [bytes(64), bytes(64)], "the second frame should have been the other one"
        settle(pair)
        driver = pair.snapshot(()).queue(TX).driver
        assert driver is not None and driver.broken == Reason.ID_UNKNOWN


def test_a_corrupted_used_id_is_noticed_by_the_driver() -> None:
    with resting("split") as pair:
        pair.inject_fault(Fault("corrupt_store", Side.DEVICE, queue=TX, area="used_ring", value=0x40))
        settle(pair)
        driver = pair.snapshot(()).queue(TX).driver
        assert driver is not None and driver.broken == Reason.ID_UNKNOWN


def test_some_pass_first_and_it_acts_so_often(pair: Pair) -> None:
    """Each of its chances is one kick of the transmit queue."""
    pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=TX, after=1000))
    settle(pair)
    queue = pair.snapshot(()).queue(TX)
    assert queue.collected == 8 and [hits for _, _, hits in pair.faults()] == [0]


def test_healed_it_is_sound_again(pair: Pair) -> None:
    number = pair.inject_fault(Fault("lose_kick", Side.DRIVER, queue=TX, count=0))
    settle(pair)
    pair.heal(number)
    assert pair.faults() == ()
    with pytest.raises(LookupError, match="no fault"):
        pair.heal(number)
    pair.kick(TX)
    settle(pair)
    assert pair.snapshot(()).queue(TX).collected == 8


@pytest.mark.parametrize(
    "options, words",
    [
        ({"kind": "burn", "side": Side.DRIVER}, "no fault is called 'burn'"),
        ({"kind": "lose_kick", "side": Side.DEVICE}, "lose_kick is a fault of the driver"),
        ({"kind": "lose_call", "side": Side.DRIVER}, "lose_call is a fault of the device"),
        ({"kind": "lose_kick", "side": Side.DRIVER, "area": "desc"}, "has no area"),
        ({"kind": "drop_store", "side": Side.DRIVER, "area": "ring"}, "no area is called"),
        ({"kind": "drop_store", "side": Side.DRIVER, "area": "used_idx"}, "the device writes used_idx"),
        (
            {"kind": "drop_store", "side": Side.DEVICE, "area": "driver_event"},
            "the driver writes driver_event",
        ),
        ({"kind": "drop_store", "side": Side.DRIVER, "after": -1}, "after and count"),
        ({"kind": "delay_store", "side": Side.DRIVER, "value": 257}, "1 to 256"),
    ],
)
def test_a_fault_that_cannot_be_says_why(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fault(**options)  # type: ignore[arg-type]


def test_areas_stand_in_the_order_of_the_engine() -> None:
    text = (Path(__file__).resolve().parents[2] / "dataplane/engine/fault.h").read_text()
    names = re.findall(r"\bAREA_(\w+)", text.partition("enum area {")[2].partition("};")[0])
    assert [area.replace(".", "_") for area in AREAS[1:]] == [name.lower() for name in names]
    assert AREAS[0] == ""
    assert set(areas_of(False)) | set(areas_of(True)) == set(AREAS)
    assert "avail_idx" not in areas_of(True)
    assert "driver_event" not in areas_of(False)


def test_a_queue_that_is_not_there_and_too_many(pair: Pair) -> None:
    with pytest.raises(ValueError, match="no queue 9"):
        pair.inject_fault(Fault("drop_store", Side.DRIVER, queue=9))
    for _ in range(32):
        pair.inject_fault(Fault("drop_store", Side.DRIVER, queue=TX, after=1 << 20))
    with pytest.raises(ValueError, match="32 faults"):
        pair.inject_fault(Fault("drop_store", Side.DRIVER, queue=TX))


@LAYOUTS
@pytest.mark.parametrize("area", AREAS)
def test_each_area_is_the_one_that_is_meant(layout: Layout, area: str) -> None:
    """A fault that lets everything pass counts nothing; one that drops tells addresses of its area only."""
    with resting(layout, features="+in_order") as pair:
        for side in Side:
            shared = not area or area.startswith(("desc", "tables"))
            if shared or side == writer(area):
                pair.inject_fault(Fault("corrupt_store", side, queue=TX, area=area, count=0, value=0))
        settle(pair)
        queue = pair.snapshot(()).queue(TX)
        spans = {
            "desc": range(queue.desc_addr, queue.desc_addr + 128),
            "driver": range(queue.driver_addr, queue.driver_addr + 22),
            "device": range(queue.device_addr, queue.device_addr + 70),
        }
        owner = {"": ("desc", "driver", "device"), "desc": ("desc",), "tables": ()}
        for name in AREAS[3:]:
            by_driver = name.startswith(("avail_flags", "avail_idx", "avail_ring", "used_event", "driver"))
            owner[name] = ("desc",) if name.startswith("desc.") else ("driver",) if by_driver else ("device",)
        rows = told(pair, Kind.FAULT)
        for row in rows:
            assert any(int(row["old"]) in spans[one] for one in owner[area]), area
        there = {"", "desc", "desc.addr", "desc.flags"}
        there |= (
            {"driver_event", "device_event"}
            if isinstance(queue, PackedQueue)
            else {"avail_idx", "avail_ring", "used_event", "used_idx", "used_ring", "avail_event"}
        )
        assert bool(rows) == (area in there), area
        assert queue.collected == 8, "xor of nothing changes nothing"
