"""Positions that contradict each other: what a side believes, what stands in memory, what the counts say.

A queue at rest has one truth for each index: the side that owns it has it as a private copy, memory shows it,
and the other side read it. Which of the three differs, and how (a byte order, a modulo, half a store), names
the bug.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane import features as f
from dataplane.records import Owner, Reason, Role, Side
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.patient import Patient, Rule, packed, split
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, SplitQueue

_U16 = 0xFFFF
_READINGS = 15  #: with the same skew: at speed a snapshot is no instant, and each has another
_SPLIT = ("2.7.6", "2.7.8")


def _swapped(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8


def misread(read: int, low: int, high: int, size: int) -> str:
    """What a value that was read instead of one in [low, high] (16 bits, wrapping) tells of its writer."""
    span = ((high - low) & _U16) + 1
    truths = [(low + i) & _U16 for i in range(min(span, 2 * size + 1))]
    halves = [(truth >> 8, truth & 0xFF) for truth in truths]
    upper = {high for high, _ in halves if high == read >> 8} | {
        (read >> 8) for high, _ in halves if (high - (read >> 8)) & 0xFF == 1
    }
    torn = bool(upper) and any(byte == read & 0xFF and high not in upper for high, byte in halves)
    fell = 0 < (low - read) & _U16 < 256  # by less than what the lower byte can lose: no accident of swapping
    if any(read == _swapped(truth) for truth in truths) and not (torn and fell):
        return "ENDIAN_SWAPPED"
    if any(read == truth % size for truth in truths):
        return "INDEX_WRAPPED_AT_SIZE"
    return "TORN_VALUE" if torn else "INDEX_JUMP"


_SAYS = {
    "ENDIAN_SWAPPED": "it is right in the other byte order",
    "INDEX_WRAPPED_AT_SIZE": "it is right modulo the queue size: the index does not run free",
    "TORN_VALUE": "one of its bytes is right: it was stored, or read, in two halves",
    "INDEX_JUMP": "it is further than the ring is long",
}


def jumped(patient: Patient) -> Iterator[Finding]:
    """A side gave up for an index that it read (split): what was wrong with that value?"""
    queue = split(patient.queue)
    if queue is None or patient.halves is None or not patient.settled:
        return
    driver, device = patient.halves
    since = min(gate.since for gate in patient.watched.gates)
    if device.broken == Reason.INDEX_JUMP and not _based_wrong(patient):
        shown = (driver.avail_idx - driver.added) & _U16
        code = misread(device.avail_read, device.last_avail, shown, queue.size)
        yield patient.finding(
            code,
            since,
            f"the device read avail.idx {device.avail_read} behind {device.last_avail}: {_SAYS[code]}",
            Evidence("avail.idx read", device.avail_read),
            Evidence("last_avail", device.last_avail),
            Evidence("avail.idx", queue.avail_idx),
            Evidence("driver's avail.idx", shown),
            sections=("2.7.6", "2.7.13.3"),
            alike=("TORN_VALUE",) if code == "INDEX_JUMP" and queue.avail_idx == shown else (),
        )
    if driver.broken == Reason.USED_JUMP:
        yield from _used_jump(patient, queue, since)


def _used_jump(patient: Patient, queue: SplitQueue, since: int) -> Iterator[Finding]:
    driver, device = patient.halves or (None, None)
    assert driver is not None and device is not None
    found = (
        Evidence("used.idx", queue.used_idx),
        Evidence("last_used", driver.last_used),
        Evidence("device's used.idx", device.used_idx),
        Evidence("in flight", driver.in_flight),
    )
    shown = (device.used_idx - device.unflushed) & _U16
    if device.used + device.unflushed > device.seen:
        code, why = "USED_OVERRUN", "the device returned more buffers than it took"
    elif queue.used_idx != shown:
        code = misread(queue.used_idx, shown, shown, queue.size)
        why = f"used.idx is {queue.used_idx}, the device means {shown}: {_SAYS[code]}"
    elif _used_skew(patient):
        code, why = "USED_HOLE", f"used.idx went {_used_skew(patient)} further than what the device used"
    elif (queue.used_idx - driver.last_used) & _U16 <= queue.published - queue.collected:
        code, why = "DRIVER_READS_UNUSED", "the driver had gone past used.idx: it read what was not used yet"
    else:
        code, why = "USED_OVERRUN", "used.idx is ahead of all that is outstanding"
    yield patient.finding(code, since, f"the driver gave up: {why}", *found, sections=("2.7.8", "2.7.14"))


def _used_skew(patient: Patient) -> int:
    """By how much the device's used index is ahead of its count (split)."""
    if patient.halves is None:
        return 0
    driver, device = patient.halves
    mine = (driver.last_used - driver.collected) & _U16
    return (device.used_idx - device.unflushed - device.used - mine) & _U16


def _based_wrong(patient: Patient) -> int:
    """By how much the device is ahead of where the driver began; 0 where they agree, or it is open."""
    return skew(patient.queue) or 0


def skew(queue: AnyQueue) -> int | None:
    """The device's position against its count, and the driver's against its own; 0 where both agree, None
    where that cannot be told."""
    driver, device = queue.driver, queue.device
    if driver is None or device is None:
        return None
    if packed(queue) is not None:
        if device.seen == device.used and not device.holding and not device.unflushed:
            return (device.last_avail - device.used_idx) % queue.size
        if device.seen == driver.published and not driver.added and not queue.size & (queue.size - 1):
            return (device.last_avail - driver.avail_idx) % queue.size
        return None  # positions are slots, which the counts do not tell
    begun = (driver.avail_idx - driver.added - driver.published) & _U16
    return (device.last_avail - device.seen - begun) & _U16


def base(patient: Patient, late: bool = False) -> Iterator[Finding]:
    """After a start the device looks where the driver did not begin. In a packed ring it may also have gone
    astray on a chain: `late` is behind the rules that know."""
    if patient.halves is None or (packed(patient.queue) is not None) is not late:
        return
    ahead, lasting = _based_wrong(patient), patient.watched.skew
    if not ahead or not (patient.at_rest or (lasting.still >= patient.stuck and lasting.seen >= _READINGS)):
        return
    driver, device = patient.halves
    yield patient.finding(
        "BASE_MISMATCH",
        patient.watched.gates[0].since,
        f"the device is at {device.last_avail} after {device.seen:,} buffers, the driver at"
        f" {driver.avail_idx} after {driver.published + driver.added:,}: they began {ahead} apart",
        Evidence("last_avail", device.last_avail),
        Evidence("avail_idx", driver.avail_idx),
        Evidence("apart", ahead),
        sections=("2.7.6", "2.6.1"),
        confidence="certain",
    )


def hidden(patient: Patient) -> Iterator[Finding]:
    """At rest an index in memory is not the one that its owner believes to have stored (split)."""
    queue = split(patient.queue)
    if queue is None or patient.halves is None:
        return
    driver, device = patient.halves
    for name, stands, means, behind, sections in (
        ("avail.idx", queue.avail_idx, (driver.avail_idx - driver.added) & _U16, "", ("2.7.13.3",)),
        (
            "used.idx",
            queue.used_idx,
            (device.used_idx - device.unflushed) & _U16,
            "USED_NOT_PUBLISHED",
            ("2.7.8.2",),
        ),
    ):
        late = (means - stands) & _U16
        owns = Side.DRIVER if name == "avail.idx" else Side.DEVICE
        if not patient.rests(owns):
            continue
        since = patient.snapshot.time - patient.watched.sides[owns].still
        if not late or device.broken == Reason.INDEX_JUMP or driver.broken == Reason.USED_JUMP:
            continue
        code = misread(stands, means, means, queue.size)
        if late <= queue.size and code in ("INDEX_JUMP", "TORN_VALUE"):
            code = behind or "DRIVER_NOT_SUBMITTING"
            says = f"the last {late} are not shown"
        else:
            says = _SAYS[code]
        owner = "driver" if name == "avail.idx" else "device"
        yield patient.finding(
            code,
            since,
            f"{name} is {stands} in memory, and the {owner} is at {means}: {says}",
            Evidence(name, stands),
            Evidence(f"{owner}'s {name}", means),
            sections=(*_SPLIT, *sections),
            alike=("ADDR_STALE",) if code == "USED_NOT_PUBLISHED" else (),
            decides="the addresses that the device was given, against those of the queue"
            if code == "USED_NOT_PUBLISHED"
            else "",
        )


def counts(patient: Patient) -> Iterator[Finding]:
    """A side's own counts do not add up."""
    if patient.halves is None:
        return
    driver, device = patient.halves
    yield from _collected_unused(patient, driver, device)
    if not patient.rests(Side.DEVICE):
        return
    queue, since = patient.queue, patient.snapshot.time - patient.watched.rest.still
    taken = device.seen - device.used - device.unflushed
    if taken < 0:
        yield patient.finding(
            "USED_OVERRUN",
            since,
            f"the device used {-taken} more than it took: a buffer came back twice",
            Evidence("seen", device.seen),
            Evidence("used", device.used + device.unflushed),
            sections=("2.7.8", "2.8.12"),
            vantage="S",
            confidence="certain",
        )
    elif device.holding > taken:
        yield patient.finding(
            "DEVICE_COUNT_WRONG",
            since,
            f"the device counts {device.holding} in use, and has {taken}",
            Evidence("holding", device.holding),
            Evidence("seen", device.seen),
            Evidence("used", queue.used),
            sections=("2.7.13", "2.8.21"),
            vantage="S",
            confidence="certain",
        )
    if patient.at_rest:
        yield from _free(patient, since)


def _collected_unused(patient: Patient, driver: DriverState, device: DeviceState) -> Iterator[Finding]:
    """No race makes this: the driver's words are read first. In order a used element stands for all up to its
    id; where that is of a later buffer, the driver takes several at once that are not used."""
    ordered, ahead = patient.has(f.F_IN_ORDER), driver.collected - device.used
    if ahead <= 0 or (ordered and not patient.at_rest):  # at rest the rows may say more
        return
    code, other = "DRIVER_READS_UNUSED", "ID_REUSED_WHILE_OUTSTANDING"
    why = f"the driver collected {driver.collected:,}, and only {device.used:,} are used"
    if ordered and ahead > 1:
        code, other = other, code
        why += ": a used element had the id of a later buffer, and stood for all up to that"
    yield patient.finding(
        code,
        patient.snapshot.time,
        why,
        Evidence("collected", driver.collected),
        Evidence("used", device.used),
        sections=("2.7.14", "2.8.22"),
        vantage="S",
        confidence="likely" if ordered else "certain",
        alike=(other,) if ordered else (),
        decides="the ids of used elements, in the past, against the order of the buffers" if ordered else "",
    )


def _free(patient: Patient, since: int) -> Iterator[Finding]:
    driver, queue = patient.queue.driver, patient.queue
    if driver is None or driver.broken:
        return
    if driver.in_flight or driver.added:
        if not len(queue.owner) or queue.role == Role.CONTROL or driver.added:
            return
        if (queue.owner == Owner.UNKNOWN).any():
            return  # buffers came back out of order: rows of a pair that runs do not tell what is free
        free = queue.owners[0]
    else:
        free = queue.size
    if driver.free < free:
        yield patient.finding(
            "FREE_COUNT_WRONG",
            since,
            f"the driver counts {driver.free} descriptors as free, and {free} are: {free - driver.free} lost",
            Evidence("free", driver.free),
            Evidence("in no chain", free),
            Evidence("in flight", driver.in_flight),
            sections=("2.7.13.1", "2.7.14"),
            vantage="S",
            confidence="certain",
        )


def size(patient: Patient) -> Iterator[Finding]:
    """The two sides go round at different sizes."""
    device, queue = patient.queue.device, patient.queue
    if device is None or not device.size or device.size == queue.size:
        return
    yield patient.finding(
        "SIZE_MISMATCH",
        patient.watched.gates[0].since,
        f"the device goes round at {device.size} slots, the driver at {queue.size}",
        Evidence("device's size", device.size),
        Evidence("queue size", queue.size),
        sections=("2.7", "2.8", "4.1.4.3"),
        vantage="S",
        confidence="certain",
    )


def packed_base(patient: Patient) -> Iterator[Finding]:
    """`base` of a packed ring; a chain that the device read as several buffers is no other base."""
    device = patient.queue.device
    if not patient.watched.aligned and (device is None or device.last_drop != Reason.TOO_SHORT):
        yield from base(patient, late=True)


RULES: tuple[Rule, ...] = (base, jumped, hidden, counts)
BEHIND_ROWS: tuple[Rule, ...] = (packed_base,)
