"""Hostile used elements, indices and flags against our driver. See test_hostile.py."""

from __future__ import annotations

import struct

import pytest
from model import AVAIL, USED, WRITE, Piece

from dataplane.records import Reason
from tests.rings.staging import LAYOUTS, PACKED, SPLIT, Twins, hi
from tests.rings.twin import Twin


def out(twin: Twin, count: int = 3) -> None:
    """So many buffers of two descriptors, 64 writable bytes each, taken by the device."""
    for _ in range(count):
        twin.add([Piece(twin.scratch, 16, False), Piece(twin.scratch, 64, True)])
    twin.publish()


def use(
    twin: Twin, id: int, length: int, flags: int = WRITE, slot: int = 0, bits: int = AVAIL | USED
) -> None:
    """One used element by hand: of a split ring the next one, of a packed one in any slot."""
    if twin.setting.packed:
        twin.poke(twin.shape.desc + 16 * slot + 8, struct.pack("<IHH", length, id & 0xFFFF, bits | flags))
        return
    idx = twin.memory.u16(twin.shape.device + 2)
    twin.poke(twin.shape.device + 4 + 8 * (idx % twin.setting.size), struct.pack("<II", id, length))
    twin.poke(twin.shape.device + 2, struct.pack("<H", idx + 1 & 0xFFFF))


def gave_up(twin: Twin, reason: Reason) -> None:
    """The driver gives up, and its private lists are as they were."""
    free, outstanding = twin.driver.private()["free"], dict(twin.driver.out)
    assert twin.collect() is None
    assert twin.driver.broken == reason, twin.driver.broken.name
    assert twin.collect() is None
    assert twin.driver.private()["free"] == free and twin.driver.out == outstanding


@LAYOUTS
@pytest.mark.parametrize("length", [hi(60, n) for n in (65, 65535, 2**31, 2**32 - 1)])
def test_used_length_too_large(twins: Twins, packed: bool, length: int) -> None:
    twin = twins(packed)
    out(twin)
    use(twin, 0, length)
    gave_up(twin, Reason.USED_LENGTH)


@LAYOUTS
@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("id", [hi(62, n) for n in (8, 7, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 2**32 - 1)])
def test_used_id_of_nothing(twins: Twins, packed: bool, in_order: bool, id: int) -> None:
    """Outside the queue, of nothing outstanding, of the second descriptor of a chain."""
    if packed and (id > 0xFFFF or (id == 1 and not in_order)):
        pytest.skip("a packed id has 16 bits; 1 is a buffer here")
    twin = twins(packed, in_order=in_order)
    out(twin)
    use(twin, id, 0)
    gave_up(twin, Reason.ID_UNKNOWN)


@LAYOUTS
@pytest.mark.parametrize("recipe", [hi(62, "completed-already")])
def test_used_twice(twins: Twins, packed: bool, recipe: str) -> None:
    twin = twins(packed)
    out(twin)
    use(twin, 0, 64)
    assert twin.collect()
    use(twin, 0, 64, slot=2)
    gave_up(twin, Reason.ID_UNKNOWN)


@LAYOUTS
@pytest.mark.parametrize("recipe", [hi(62, "not-published-yet")])
def test_used_before_it_was_published(twins: Twins, packed: bool, recipe: str) -> None:
    twin = twins(packed)
    out(twin, 1)
    id = twin.add([Piece(twin.scratch, 64, True)])
    assert id is not None
    use(twin, id, 0)
    gave_up(twin, Reason.ID_UNKNOWN)


@pytest.mark.parametrize("jump", [hi(63, n) for n in (4, 9, 0x7FFF, 0x8000, 0xFFFF)])
@pytest.mark.parametrize("start", [0, 65530])
def test_used_index_jumps(twins: Twins, jump: int, start: int) -> None:
    twin = twins(SPLIT, start=start)
    out(twin)
    twin.poke(twin.shape.device + 2, struct.pack("<H", start + jump & 0xFFFF))
    gave_up(twin, Reason.USED_JUMP)


@pytest.mark.parametrize("recipe", [hi(63, "batch-beyond-the-index")])
def test_batch_larger_than_what_was_used(twins: Twins, recipe: str) -> None:
    """IN_ORDER: the element names the third buffer, the index moved by one."""
    twin = twins(SPLIT, in_order=True)
    out(twin)
    use(twin, 4, 64)
    gave_up(twin, Reason.ORDER)


@pytest.mark.parametrize("slot, bits, flags", [
    hi(67, 1, AVAIL | USED, WRITE),
    hi(67, 0, 0, WRITE),
    hi(67, 0, AVAIL, WRITE),
    hi(67, 0, USED, WRITE),
])  # fmt: skip
def test_packed_used_where_it_does_not_belong(twins: Twins, slot: int, bits: int, flags: int) -> None:
    """Another slot, or bits of another lap: not there until it is."""
    twin = twins(PACKED)
    out(twin)
    use(twin, 0, 64, flags, slot, bits)
    assert twin.collect() is None and not twin.driver.broken
    use(twin, 0, 64)
    assert twin.collect()


@pytest.mark.parametrize("reserved", [hi(67, hex(1 << bit)) for bit in (0, 2, 3, 6, 8, 14)])
def test_packed_used_with_reserved_flags(twins: Twins, reserved: str) -> None:
    twin = twins(PACKED)
    out(twin)
    use(twin, 0, 64, WRITE | int(reserved, 16))
    returned = twin.collect()
    assert returned and returned.length == 64


@LAYOUTS
@pytest.mark.parametrize("recipe", [hi(70, "never-uses-anything")])
def test_device_that_uses_nothing(twins: Twins, packed: bool, recipe: str) -> None:
    """The driver fills the ring, then waits; a reset of the queue gives everything back."""
    twin = twins(packed)
    out(twin, 4)
    assert twin.add([Piece(twin.scratch, 1, True)]) is None
    assert twin.collect() is None and not twin.driver.broken
    twin.engine.reset_queue(0)
    for _ in range(8):
        assert twin.engine_add([Piece(twin.scratch, 1, True)], 0, False) is not None
