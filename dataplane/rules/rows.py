"""What the rows of a queue at rest show: bits of the wrong lap, holes, ids twice, descriptors that changed.

Rows are copied of the queues that somebody looks at; `Doctor.wants` names those whose rows are needed next.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataplane import features as f
from dataplane import layout
from dataplane.records import Label, Owner, Reason, Side
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.gates import Gate
from dataplane.rules.patient import Patient, Rule, packed, split
from dataplane.snapshot import PackedQueue

_AVAIL, _USED = layout.PACKED_F_AVAIL, layout.PACKED_F_USED
_PACKED = ("2.8.1", "2.8.2", "2.8.22")


def _bits(queue: PackedQueue, slot: int) -> tuple[bool, bool]:
    flags = int(queue.desc[slot]["flags"])
    return bool(flags & _AVAIL), bool(flags & _USED)


def _swapped_bits(queue: PackedQueue, slot: int) -> tuple[bool, bool]:
    flags = int(queue.desc[slot]["flags"])
    flags = (flags & 0xFF) << 8 | flags >> 8
    return bool(flags & _AVAIL), bool(flags & _USED)


def _swapped_length(queue: PackedQueue, slot: int) -> bool:
    """Whether a length makes more sense in the other byte order: the two bits alone just change places."""
    length = int(queue.desc[slot]["len"])
    return int.from_bytes(length.to_bytes(4, "little"), "big") < length


def _since(patient: Patient) -> int:
    return patient.snapshot.time - patient.watched.rest.still


def not_available(patient: Patient) -> Iterator[Finding]:
    """Packed: made available by the driver's count, and not by the bits at the device's cursor."""
    queue = packed(patient.queue)
    if queue is None or patient.halves is None or not len(queue.desc) or not patient.stands(Gate.SEEN):
        return
    driver, device = patient.halves
    if queue.published <= queue.seen or device.broken or driver.broken:
        return
    slot, wrap = device.last_avail, bool(device.avail_wrap)
    avail, used = _bits(queue, slot)
    if avail == wrap and used != wrap:
        return
    there = np.flatnonzero((queue.buffer == device.seen) & (queue.head == np.arange(queue.size)))
    if len(there) and int(there[0]) != slot:
        odd = patient.watched.aligned and queue.size & (queue.size - 1)
        code = "PACKED_INDEX_BAD" if odd else "BASE_MISMATCH"
        why = f"the next buffer is at slot {int(there[0])}, the device is elsewhere"
        why += f", and was not: the size, {queue.size}, is no power of two" if odd else ""
    elif _swapped_bits(queue, slot) == (wrap, not wrap) and _swapped_length(queue, slot):
        code, why = "ENDIAN_SWAPPED", "they are right in the other byte order"
    elif (avail, used) == (not wrap, wrap):
        code, why = "PACKED_WRAP_WRONG", "they are those of the other lap"
    else:
        code, why = "DRIVER_NOT_SUBMITTING", "the descriptor was not shown"
    if code != "ENDIAN_SWAPPED" and device.size and device.size != queue.size:
        return
    yield patient.finding(
        code,
        _since(patient),
        f"the driver made {queue.published - queue.seen} more available, and at the device's cursor AVAIL and"
        f" USED are {avail:d}/{used:d}, not {wrap:d}/{not wrap:d}: {why}",
        Evidence("flags", int(queue.desc[slot]["flags"]), slot),
        Evidence("avail_wrap", int(wrap)),
        sections=_PACKED,
    )


def astray(patient: Patient) -> Iterator[Finding]:
    """Packed, a size that is no power of two: the next buffer is not where the device looks."""
    queue, device = packed(patient.queue), patient.queue.device
    if queue is None or device is None or not len(queue.desc) or not patient.at_rest:
        return
    if not queue.size & (queue.size - 1):
        return
    there = np.flatnonzero((queue.buffer == device.seen) & (queue.head == np.arange(queue.size)))
    if not len(there) or int(there[0]) == device.last_avail:
        return
    based = not patient.watched.aligned
    why = "they began apart" if based else f"the size, {queue.size}, is no power of two"
    yield patient.finding(
        "BASE_MISMATCH" if based else "PACKED_INDEX_BAD",
        _since(patient),
        f"the next buffer is at slot {int(there[0])}, the device looks at {device.last_avail}: {why}",
        Evidence("last_avail", device.last_avail, device.last_avail),
        Evidence("next buffer", int(there[0]), int(there[0])),
        sections=("2.8.1", "2.8"),
    )


def not_used(patient: Patient) -> Iterator[Finding]:
    """Packed: used by the device's count, and not by the bits at the driver's cursor."""
    queue = packed(patient.queue)
    if queue is None or patient.halves is None or not len(queue.desc) or not patient.stands(Gate.COLLECTED):
        return
    driver, device = patient.halves
    if queue.used <= queue.collected or driver.broken or device.unflushed:
        return
    slot, wrap = driver.last_used, bool(driver.used_wrap)
    avail, used = _bits(queue, slot)
    whole = int((queue.owner == Owner.USED).sum()) in (0, queue.size)
    if (device.used_idx, bool(device.used_wrap)) == (slot, wrap) and whole:
        yield patient.finding(
            "PACKED_WRAP_WRONG",
            _since(patient),
            f"the device is where the driver is, slot {slot} with wrap {wrap:d}, and"
            f" {queue.used - queue.collected} lie between them: one of them did not toggle its counter",
            Evidence("device's used_wrap", device.used_wrap, slot),
            Evidence("driver's used_wrap", driver.used_wrap, slot),
            sections=_PACKED,
        )
        return
    if avail == used == wrap:
        if patient.at_rest:
            yield from _behind(patient, queue, slot)
        return
    code, why = _unused_story(patient, queue, slot, wrap)
    yield patient.finding(
        code,
        _since(patient),
        f"the device used {queue.used - queue.collected} more, and at the driver's cursor AVAIL and USED are"
        f" {avail:d}/{used:d}, not {wrap:d}/{wrap:d}: {why}",
        Evidence("flags", int(queue.desc[slot]["flags"]), slot),
        Evidence("used_wrap", int(wrap)),
        Evidence("device's next used slot", device.used_idx),
        sections=_PACKED,
        alike=("PACKED_WRAP_WRONG",) if code == "USED_HOLE" else (),
        decides="a hole at slot 0 on every lap is a wrap counter; at the edge of a batch a hole"
        if code == "USED_HOLE"
        else "",
    )


def _behind(patient: Patient, queue: PackedQueue, slot: int) -> Iterator[Finding]:
    """The device goes on behind slots that it left out."""
    device, used = patient.queue.device, queue.owner == Owner.USED
    heads = int((used & (queue.head == np.arange(queue.size))).sum())
    if device is None or heads != queue.used - queue.collected or (queue.owner == Owner.UNKNOWN).any():
        return
    ends = (slot + int(used.sum())) % queue.size
    if ends == device.used_idx or queue.size & (queue.size - 1):
        return
    yield patient.finding(
        "USED_HOLE",
        _since(patient),
        f"what the device used ends before slot {ends}, it goes on at {device.used_idx}: it left slots out",
        Evidence("flags", int(queue.desc[ends]["flags"]), ends),
        Evidence("device's next used slot", device.used_idx, device.used_idx),
        sections=_PACKED,
        alike=("SIZE_MISMATCH",),
    )


def _unused_story(patient: Patient, queue: PackedQueue, slot: int, wrap: bool) -> tuple[str, str]:
    driver, device = patient.halves or (None, None)
    assert driver is not None and device is not None
    avail, used = _bits(queue, slot)
    if _swapped_bits(queue, slot) == (wrap, wrap) and _swapped_length(queue, slot):
        return "ENDIAN_SWAPPED", "they are right in the other byte order"
    goes_on = (slot + int((queue.owner == Owner.USED).sum())) % queue.size
    known = not (queue.owner == Owner.UNKNOWN).any()
    if avail == used == (not wrap) and (device.used_idx == goes_on or not known):
        return "PACKED_WRAP_WRONG", "they are those of the other lap"
    if patient.has(f.F_IN_ORDER):
        return (
            "IN_ORDER_BATCH_NOT_UNDERSTOOD",
            "one element stands for a batch, and the driver goes on by one buffer",
        )
    for step in range(1, (device.used_idx - slot) % queue.size):
        at = slot + step
        if _bits(queue, at % queue.size) == ((wrap if at < queue.size else not wrap),) * 2:
            return "USED_HOLE", f"slot {at % queue.size} behind it is used"
    if device.used_idx != goes_on:
        takes_well = (device.seen, device.last_avail) == (driver.published, driver.avail_idx)
        if queue.size & (queue.size - 1) and not takes_well:
            return "PACKED_INDEX_BAD", "the device went elsewhere: the size is no power of two"
        return "USED_HOLE", "the device went further than what it used: it left slots out"
    return "ADDR_STALE", "nothing that the device says it used stands in this ring: it writes elsewhere"


def chains(patient: Patient) -> Iterator[Finding]:
    """Packed: a buffer of several slots whose NEXT is missing, or that goes on behind its last one."""
    queue = packed(patient.queue)
    if queue is None or not len(queue.desc) or not patient.at_rest:
        return
    driver, device = queue.driver, queue.device
    if driver is None or device is None or not (driver.broken or device.broken):
        return
    heads = queue.head == np.arange(queue.size)
    mine = (queue.owner != Owner.FREE) & ~(heads & (queue.owner == Owner.USED))
    follows = mine & np.roll(mine, -1) & (queue.buffer == np.roll(queue.buffer, -1))
    follows &= np.arange(queue.size) != (queue.head - 1) % queue.size
    has_next = (queue.desc["flags"] & layout.DESC_F_NEXT) != 0
    avail = ((queue.desc["flags"] & _AVAIL) != 0) != ((queue.desc["flags"] & _USED) != 0)
    cut = np.flatnonzero(follows & ~has_next & avail)
    if len(cut):
        slot, code, why = int(cut[0]), "CHAIN_CUT", "NEXT is missing: what follows looks like a buffer"
    else:
        loops = np.flatnonzero(mine & ~follows & has_next & avail)
        if not len(loops):
            return
        slot, code, why = int(loops[0]), "CHAIN_BAD", "NEXT stands in the last descriptor of a buffer"
    yield patient.finding(
        code,
        min(gate.since for gate in patient.watched.gates),
        f"slot {slot}: {why}",
        Evidence("flags", int(queue.desc[slot]["flags"]), slot),
        sections=("2.7.5.2", "2.8.6"),
    )


def overwritten(patient: Patient) -> Iterator[Finding]:
    """A descriptor of a buffer that is outstanding is not what it was at the last reading."""
    queue, before = patient.queue, patient.watched.before
    if before is None or not len(queue.desc) or len(before.desc) != len(queue.desc):
        return
    if queue.desc.tobytes() == before.desc.tobytes():  # of what stands still, at a fraction of the price
        return
    same = (queue.buffer == before.buffer) & (queue.buffer >= 0)
    for one in (queue, before):
        mine = one.owner == Owner.IN_USE
        if packed(one) is not None:  # there the device writes what it used, store by store
            mine &= one.head != np.arange(one.size)
        same &= (one.label == Label.STABLE) & ((one.owner == Owner.AVAILABLE) | mine)
    if not same.any():
        return
    slots = np.flatnonzero(same)
    changed = slots[queue.desc[slots] != before.desc[slots]]
    if not len(changed):
        return
    slot = int(changed[0])
    was, now = int(before.desc[slot]["len"]), int(queue.desc[slot]["len"])
    yield patient.finding(
        "DESC_OVERRUN",
        patient.snapshot.time,
        f"{len(changed)} descriptors of outstanding buffers changed; slot {slot}: length {was} -> {now}",
        Evidence("desc", now, slot),
        sections=("2.7.13.1", "2.8.21"),
        vantage="MH",
        confidence="certain",
        alike=("STALE_DESCRIPTOR",),
        decides="a store log: whether the descriptor was written late, or again",
    )


def not_here(patient: Patient) -> Iterator[Finding]:
    """Split: used.idx stays behind the device's, and the elements between are none of what is outstanding."""
    queue = split(patient.queue)
    if queue is None or patient.halves is None or not len(queue.desc) or not patient.rests(Side.DEVICE):
        return
    driver, device = patient.halves
    behind = (device.used_idx - device.unflushed - queue.used_idx) & 0xFFFF
    if not 0 < behind <= queue.size or driver.broken or device.broken:
        return
    slots = (queue.used_idx + np.arange(behind)) % queue.size
    count = min(max(driver.in_flight, 0), queue.size)
    heads = queue.avail_ring[(queue.avail_idx - count + np.arange(count)) % queue.size]
    ids = queue.used_ring["id"][slots]
    what = "the elements are"
    if np.isin(ids, heads).all() and (len(np.unique(ids)) == behind):
        # by chance they are those of a lap before: the device's other word in this memory tells
        told = not patient.event_idx or not device.asleep or device.polling
        if told or queue.avail_event == device.last_avail:
            return
        what = "the avail_event with which it went to sleep is"
    yield patient.finding(
        "ADDR_STALE",
        _since(patient),
        f"the device used {behind} more by its own count, and neither used.idx nor {what} here:"
        " it writes elsewhere",
        Evidence("used.idx", queue.used_idx),
        Evidence("device's used.idx", device.used_idx),
        Evidence("used.ring id", int(ids[0]), int(slots[0])),
        sections=("2.7.8", "2.6"),
        alike=("USED_NOT_PUBLISHED",),
        decides="the addresses that the device was given, against those of the queue",
    )


def skipped(patient: Patient) -> Iterator[Finding]:
    """Split, in order: the driver reads a used element that a batch jumped over (2.7.9)."""
    queue = split(patient.queue)
    if queue is None or not patient.has(f.F_IN_ORDER) or not len(queue.used_label):
        return
    driver = queue.driver
    if driver is None or driver.broken not in (Reason.ID_UNKNOWN, Reason.ORDER):
        return
    slot = driver.last_used % queue.size
    if not (queue.used_label == Label.SKIPPED).any():
        return
    yield patient.finding(
        "IN_ORDER_BATCH_NOT_UNDERSTOOD",
        min(gate.since for gate in patient.watched.gates),
        f"the driver read used element {slot} by itself: the device used a batch and wrote one for all",
        Evidence("used.ring id", int(queue.used_ring[slot]["id"]), slot),
        Evidence("last_used", driver.last_used),
        sections=("2.7.9",),
    )


RULES: tuple[Rule, ...] = (
    astray,
    not_available,
    not_used,
    chains,
    overwritten,
    skipped,
)
