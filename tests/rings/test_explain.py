"""Every event in words: the right field, the right numbers, a section that exists, the right barrier."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from dataplane.explain import Explanation, explain, plain
from dataplane.keyframe import QueueShape
from dataplane.layout import need_event
from dataplane.pair import Pair
from dataplane.places import writer
from dataplane.records import EVENT, Kind, Path, Reason, Side
from dataplane.snapshot import Array
from dataplane.stepping import Plan, Stepper
from dataplane.words.operations import REASONS
from tests.rings.test_places import shape

#: The sections of VIRTIO 1.3 that may be cited, each with what its heading says.
SECTIONS = {
    "2.1": "device status field",
    "2.1.2": "device requirements: device status field",
    "2.2.1": "driver requirements: feature bits",
    "2.5.1": "driver requirements: device configuration space",
    "2.6.1.1.1": "device requirements: virtqueue reset",
    "2.7.4.2": "driver requirements: message framing",
    "2.7.5": "the virtqueue descriptor table",
    "2.7.5.2": "driver requirements: the virtqueue descriptor table",
    "2.7.5.3": "indirect descriptors",
    "2.7.5.3.1": "driver requirements: indirect descriptors",
    "2.7.7": "used buffer notification suppression",
    "2.7.7.1": "driver requirements: used buffer notification suppression",
    "2.7.7.2": "device requirements: used buffer notification suppression",
    "2.7.8": "the virtqueue used ring",
    "2.7.8.2": "device requirements: the virtqueue used ring",
    "2.7.9": "in-order use of descriptors",
    "2.7.10": "available buffer notification suppression",
    "2.7.10.1": "driver requirements: available buffer notification suppression",
    "2.7.13": "supplying buffers to the device",
    "2.7.13.1": "placing buffers into the descriptor table",
    "2.7.13.2": "updating the available ring",
    "2.7.13.3.1": "driver requirements: updating idx",
    "2.7.13.4.1": "driver requirements: notifying the device",
    "2.7.14": "receiving used buffers from the device",
    "2.8.1": "driver and device ring wrap counters",
    "2.8.6": "next flag: descriptor chaining",
    "2.8.7": "indirect flag: scatter-gather support",
    "2.8.10": "driver and device event suppression",
    "2.8.12": "device requirements: virtqueues",
    "2.8.14": "event suppression structure format",
    "2.8.15": "device requirements: the virtqueue descriptor table",
    "2.8.21.1": "placing available buffers into the descriptor ring",
    "2.8.21.1.1": "driver requirements: updating flags",
    "2.8.21.3.1": "driver requirements: sending available buffer notifications",
    "2.8.22": "receiving used buffers from the device",
    "3.1.1": "driver requirements: device initialization",
    "3.3.1": "driver requirements: device cleanup",
    "5.1.6.2.1": "driver requirements: packet transmission",
    "5.1.6.3.2": "device requirements: setting up receive buffers",
    "5.1.6.5": "control virtqueue",
    "5.1.6.5.1.1": "device requirements: packet receive filtering",
    "5.1.6.5.2.1": "device requirements: setting MAC address filtering",
    "5.1.6.5.3.1": "device requirements: VLAN filtering",
    "5.1.6.5.4.1": "driver requirements: gratuitous packet sending",
    "5.1.6.5.6": "automatic receive steering in multiqueue mode",
}


def row(kind: Kind, side: Side = Side.DRIVER, **fields: int) -> np.void:
    made = np.zeros(1, EVENT)
    made["kind"], made["side"], made["queue"] = kind, side, fields.pop("queue", 1)
    for name, value in fields.items():
        made[name] = value
    return made[0]  # type: ignore[no-any-return]


def store(side: Side, place: int, old: int, new: int, width: int) -> np.void:
    return row(Kind.STORE, side, place=place, old=old, new=new, count=width)


def said(one: np.void, queue: QueueShape) -> Explanation:
    return explain(one, [queue])


def word(length: int, third: int, fourth: int) -> int:
    return length | third << 32 | fourth << 48


SPLIT, PACKED = shape(False), shape(True)


def test_a_split_descriptor_names_its_flags_and_where_it_goes_on() -> None:
    it = said(store(Side.DRIVER, 0x1000 + 3 * 16 + 8, 0, word(76, 1, 4), 8), SPLIT)
    assert it.what == "desc[3]: len 0 → 76, flags none → NEXT, next 0 → 4"
    assert "goes on in descriptor 4" in it.why and "76 bytes for the device to read" in it.why
    assert (it.section, it.who, it.queue, it.address, it.length) == ("2.7.5", "driver", "tx0", 0x1038, 8)
    assert "avail.idx comes after" in it.barrier
    assert it.marks == {("desc", 3, "len"), ("desc", 3, "flags"), ("desc", 3, "next")}
    assert [(c.place.field, c.old, c.new) for c in it.changes] == [
        ("len", 0, 76),
        ("flags", 0, 1),
        ("next", 0, 4),
    ]
    assert it.changes[0].new_bytes == b"\x4c\0\0\0"
    it = said(store(Side.DRIVER, 0x1008, word(76, 1, 4), word(48, 4, 0), 8), SPLIT)
    assert "3 of them" in it.why and it.section == "2.7.5.3"


def test_an_available_entry_and_its_index() -> None:
    it = said(store(Side.DRIVER, 0x9000 + 4 + 2 * 5, 2, 3, 2), SPLIT)
    assert it.what == "avail.ring[5]: head 2 → 3" and it.section == "2.7.13.2"
    it = said(store(Side.DRIVER, 0x9002, 5, 6, 2), SPLIT)
    assert it.what == "avail.idx 5 → 6: entry 5 is shown" and it.section == "2.7.13.3.1"
    assert it.barrier.startswith("release; pairs with the device's acquire of avail.idx")
    it = said(store(Side.DRIVER, 0x9002, 0xFFFF, 1, 2), SPLIT)
    assert it.what == "avail.idx 65535 → 1: 2 entries from 7 are shown; 16 bits ran over, which is no event"
    it = said(store(Side.DRIVER, 0x9002, 5, 25, 2), SPLIT)
    assert "more than the 8 of the queue" in it.what


def test_a_used_element_and_its_index() -> None:
    at = 0xA004 + 4 + 8 * 2
    assert said(store(Side.DEVICE, at, 0, 3, 4), SPLIT).what == "used.ring[2]: id 0 → 3"
    assert "wrote nothing" in said(store(Side.DEVICE, at + 4, 9, 0, 4), SPLIT).why
    it = said(store(Side.DEVICE, 0xA006, 3, 4, 2), SPLIT)
    assert it.what == "used.idx 3 → 4: element 3 is shown" and it.section == "2.7.8.2"
    assert (
        it.barrier.startswith("release; pairs with the driver's acquire of used.idx") and it.who == "device"
    )


def test_event_values_and_flags_of_a_split_queue() -> None:
    it = said(store(Side.DRIVER, 0x9000 + 4 + 16, 0, 7, 2), SPLIT)
    assert it.what == "used_event 0 → 7" and "moves from 7 to 8" in it.why and it.section == "2.7.7"
    assert "full barrier" in it.barrier
    it = said(store(Side.DEVICE, 0xA004, 0, 1, 2), SPLIT)
    assert it.what == "used.flags: 0 → NO_NOTIFY" and it.section == "2.7.10" and not it.barrier
    it = said(store(Side.DEVICE, 0xA004 + 4 + 64, 1, 65535, 2), SPLIT)
    assert "moves from 65535 to 0" in it.why


def test_a_packed_descriptor_made_available_and_used() -> None:
    at = 0x1000 + 16 * 2 + 8
    it = said(store(Side.DRIVER, at, 0, word(60, 7, 0x80 | 1), 8), PACKED)
    assert it.what == "desc[2]: len 0 → 60, id 0 → 7, flags none → NEXT AVAIL"
    assert "wrap counter is 1" in it.why and "head is written last" in it.why and it.section == "2.8.21.1.1"
    it = said(store(Side.DRIVER, at, word(0, 0, 0x8080), word(60, 7, 0x8000), 8), PACKED)
    assert "AVAIL 0, USED 1" in it.why and "wrap counter is 0" in it.why
    it = said(store(Side.DEVICE, at, word(60, 7, 0x82), word(12, 7, 0x8082), 8), PACKED)
    assert "the device wrote 12 bytes" in it.why and "Buffer 7" in it.why and it.who == "device"
    assert it.barrier.startswith("release; pairs with the driver's acquire")
    it = said(store(Side.DRIVER, at - 8, 0, 0x4000, 8), PACKED)
    assert it.what == "desc[2]: addr 0x0 → 0x4000" and "flags" in it.barrier
    it = said(store(Side.DRIVER, at, 0, word(60, 7, 0x8080), 8), PACKED)
    assert "says used, not available" in it.why


def test_event_suppression_structures() -> None:
    it = said(store(Side.DRIVER, 0x9000, 0, 5 | 1 << 15, 2), PACKED)
    assert it.what == "driver event: off_wrap offset 0, wrap 0 → offset 5, wrap 1" and it.section == "2.8.14"
    it = said(store(Side.DEVICE, 0xA006, 0, 1, 2), PACKED)
    assert it.what == "device event: flags ENABLE → DISABLE" and not it.barrier
    it = said(store(Side.DEVICE, 0xA006, 1, 2, 2), PACKED)
    assert "one kick" in it.why and "full barrier" in it.barrier


def test_an_entry_of_an_indirect_table() -> None:
    at = 0x20000 + (2 * 4 + 1) * 16
    it = said(store(Side.DRIVER, at + 8, 0, word(100, 2, 0), 8), SPLIT)
    assert it.what.startswith("table of slot 2, entry 1: len 0 → 100") and it.section == "2.7.5.3"
    it = said(store(Side.DRIVER, at, 0, 0x5000, 8), PACKED)
    assert it.section == "2.8.7"


@pytest.mark.parametrize("sent", [True, False])
def test_the_arithmetic_of_a_split_decision(sent: bool) -> None:
    kind = Kind.KICK if sent else Kind.KICK_QUIET
    it = said(row(kind, old=5, new=6, place=5 if sent else 9), SPLIT)
    numbers = "6 - 5 - 1 = 0 < 1 = 6 - 5" if sent else "6 - 9 - 1 = 65532 >= 1 = 6 - 5, in 16 bits"
    assert (
        it.what
        == f"sends {'a' if sent else 'no'} kick: avail.idx 5 → 6, avail_event {5 if sent else 9}: {numbers}"
    )
    assert it.section == "2.7.10.1" and "full barrier" in it.barrier
    it = said(row(Kind.CALL if sent else Kind.CALL_QUIET, Side.DEVICE, old=5, new=6, place=5), SPLIT)
    assert "used_event 5" in it.what and it.section == "2.7.7.2"


def test_the_numbers_that_are_printed_decide() -> None:
    chance = random.Random(4)
    for _ in range(300):
        old, moved = chance.randrange(1 << 16), chance.randrange(1, 9)
        new, event = (
            (old + moved) & 0xFFFF,
            chance.choice([old, old + 1, old - 1, chance.randrange(1 << 16)]) & 0xFFFF,
        )
        sent = need_event(event, new, old)
        it = said(row(Kind.KICK if sent else Kind.KICK_QUIET, old=old, new=new, place=event), SPLIT)
        left, sign, right = it.what.split(" = ")[1].split()[:3]
        assert sign == ("<" if int(left) < int(right) else ">=") == ("<" if sent else ">=")


def test_a_packed_decision_tells_in_which_lap() -> None:
    # The event stands at slot 6 of the lap before; the driver has come from slot 6 to slot 1 of the next.
    it = said(row(Kind.KICK, old=0xFFFE, new=1, place=6 | 1 << 15 | 2 << 16), PACKED)
    assert "slots -2 → 1, event at slot 6 of the lap before: 6 - 8 (wrap 1)" in it.what
    assert it.what.endswith("= 2 < 3")
    it = said(row(Kind.KICK_QUIET, old=1, new=2, place=1 << 16), PACKED)
    assert it.what == "sends no kick: the device's event flags say DISABLE"


def test_every_reason_has_words() -> None:
    for reason in Reason:
        meaning, section = REASONS[reason]
        it = said(row(Kind.BROKEN, Side.DEVICE, new=reason), SPLIT)
        assert it.what == f"gives tx0 up: {meaning}" and it.section == section
    assert "reason 99" in said(row(Kind.DROP, new=99), SPLIT).what


def test_what_concerns_the_device_as_a_whole() -> None:
    assert said(row(Kind.STATUS, old=1, new=3), SPLIT).what == "status ACKNOWLEDGE → ACKNOWLEDGE DRIVER"
    assert said(row(Kind.STATUS, old=15, new=0), SPLIT).what.startswith("resets the device")
    assert said(row(Kind.STATUS, Side.DEVICE, old=15, new=79), SPLIT).section == "2.1.2"
    assert said(row(Kind.WAIT, queue=0), SPLIT).what == "goes to sleep"
    assert said(row(Kind.QUEUE_RESET, place=1, new=4, queue=0), SPLIT).what == "resets tx0: generation 4"
    assert (
        said(row(Kind.CONTROL, place=4 << 8, new=0), SPLIT).what
        == "has the answer to control command 4.0 (queue pairs): OK"
    )
    assert said(row(Kind.NOTIFY_ON, place=7), SPLIT).what == "asks for calls: when used.idx passes 7"


def test_rows_that_make_no_sense_are_told_and_not_refused() -> None:
    chance = np.random.default_rng(7)
    raw = chance.integers(0, 256, (3000, EVENT.itemsize), np.uint8)
    rows: Array = raw.reshape(-1).view(EVENT)
    rows["queue"] %= 3
    rows["kind"] %= 32
    for one in rows:
        for queue in (SPLIT, PACKED):
            it = explain(one, [queue])
            assert it.what and plain(one, [queue])
    assert explain(rows[0], []).what


def _journal(options: dict[str, Any], steps: int) -> tuple[Array, Sequence[QueueShape]]:
    with Pair(frozen=True, **options) as pair:
        pair.flood(length=1500 if "path" in options else 64)
        pair.start()
        stepper = Stepper(pair, Plan("operation", "alternate", every=True))
        rows = [stepper.step().rows for _ in range(steps)]
        return np.concatenate(rows), pair.shapes()


@pytest.mark.parametrize("name", ["split", "packed"])
@pytest.mark.parametrize("features", ["", "-event_idx", "in_order"])
@pytest.mark.parametrize("path", [Path.AUTO, Path.INDIRECT, Path.CHAIN])
def test_everything_a_pair_does_is_explained_and_cited(name: str, features: str, path: Path) -> None:
    rows, shapes = _journal({"layout": name, "queue_size": 8, "features": features, "path": path}, 120)
    kinds = set()
    for one in rows:
        it = explain(one, shapes)
        kinds.add(it.kind)
        assert it.what and (it.section in SECTIONS or not it.section), it
        if it.kind is Kind.STORE:
            assert it.changes and it.where and it.why and it.section, it
            assert sum(change.place.width for change in it.changes) == it.length
            value = 0
            for change in it.changes:
                value |= change.new << 8 * (change.place.address - it.address)
            assert value == int(one["new"])
            assert (name, it.changes[0].place.area) == ("packed", "desc") or it.side == writer(
                it.changes[0].place.area
            )
    assert {Kind.STORE, Kind.ADD, Kind.PUBLISH, Kind.NEXT, Kind.COMPLETE, Kind.FLUSH, Kind.COLLECT} <= kinds


def test_sections_of_reasons_exist() -> None:
    assert {section for _, section in REASONS.values() if section} <= SECTIONS.keys()
