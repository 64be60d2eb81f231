"""Heads and ids in the rows of a queue at rest: twice among what is outstanding, or read before they stood.

A driver that makes a buffer available again before it came back, and a side that reads an entry before it is
written, end in the same complaint of one side; what stands in the rings now tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataplane import features as f
from dataplane import layout
from dataplane.records import Owner, Reason
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.patient import Patient, Rule, packed, split
from dataplane.snapshot import AnyQueue, PackedQueue, SplitQueue

Slots = NDArray[np.int64]

_AVAIL, _USED = layout.PACKED_F_AVAIL, layout.PACKED_F_USED


def twice(patient: Patient) -> Iterator[Finding]:
    """The same head or id stands twice among what is outstanding: the driver's doing (2.7.13, 2.8.6)."""
    queue, driver = patient.queue, patient.queue.driver
    if driver is None or not len(queue.desc) or not patient.at_rest:
        return
    device = queue.device
    broken = {driver.broken, device.broken if device else Reason.NONE}
    found = _doubled(queue, unseen=not broken & {Reason.ID_UNKNOWN, Reason.DUPLICATE_HEAD})
    says = "stands twice among the buffers that are outstanding"
    if found is None and patient.has(f.F_IN_ORDER) and isinstance(queue, PackedQueue):
        found, says = _misnamed(queue), "stands in a buffer that does not begin there: it is that of another"
    if found is None or device is None or device.used + device.unflushed > device.seen:
        return
    what, slot = found
    yield patient.finding(
        "ID_REUSED_WHILE_OUTSTANDING",
        min(gate.since for gate in patient.watched.gates),
        f"{'id' if packed(queue) else 'head'} {what} {says}",
        Evidence("id" if packed(queue) else "avail.ring", what, slot),
        sections=("2.7.13", "2.8.6"),
        vantage="M",
        confidence="certain",
        alike=("DRIVER_READS_UNUSED",),
        decides="whether the driver had collected it before it was used: the order of events in the past",
    )


def _doubled(queue: AnyQueue, unseen: bool = False) -> tuple[int, int] | None:
    """An id that two outstanding buffers have, and the slot or entry of the second. `unseen`: of those that
    the device has not taken, which stand together whatever the order in which others came back."""
    if isinstance(queue, PackedQueue):
        return _repeated(queue.desc["id"], _unseen(queue) if unseen else _heads(queue))
    count = min(max(queue.published - (queue.seen if unseen else queue.collected), 0), queue.size)
    shown = queue.avail_idx if queue.driver is None else queue.driver.avail_idx - queue.driver.added
    return _repeated(queue.avail_ring, (shown - count + np.arange(count)) % queue.size)


def _repeated(values: NDArray[np.uint16], slots: Slots) -> tuple[int, int] | None:
    """A value that stands at two of these slots, and the second."""
    ids, times = np.unique(values[slots], return_counts=True)
    doubled = np.flatnonzero(times > 1)
    if not len(doubled):
        return None
    value = ids[doubled[0]]
    return int(value), int(slots[np.flatnonzero(values[slots] == value)[1]])


def _heads(queue: PackedQueue) -> Slots:
    return np.flatnonzero((queue.owner != Owner.FREE) & (queue.head == np.arange(queue.size)))


def _shown(queue: PackedQueue, slots: Slots, wrap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    flags: NDArray[np.uint16] = queue.desc["flags"][slots]
    shown: NDArray[np.bool_] = (((flags & _AVAIL) != 0) == wrap) & (((flags & _USED) != 0) != wrap)
    return shown


def _ends(queue: PackedQueue, slots: Slots) -> Slots:
    """Those that end a buffer: they have its id (2.8.13)."""
    flags: NDArray[np.uint16] = queue.desc["flags"][slots]
    ends: Slots = slots[(flags & layout.DESC_F_NEXT) == 0]
    return ends


def _unseen(queue: PackedQueue) -> Slots:
    """The ends of the buffers that the device has not taken, by the bits in memory alone: what the driver
    noted of its ids may be what is wrong."""
    device = queue.device
    if device is None:
        return np.zeros(0, np.int64)
    places = device.last_avail + np.arange(queue.size)
    slots = places % queue.size
    shown = _shown(queue, slots, (places < queue.size) == bool(device.avail_wrap))
    run = int(np.argmin(shown)) if not shown.all() else queue.size
    return _ends(queue, slots[:run])[: max(queue.published - queue.seen, 0)]


def _misnamed(queue: PackedQueue) -> tuple[int, int] | None:
    """In order, where our driver gives each buffer the number of its first slot: an id that another buffer
    has, and the slot where it stands. Looked at are the buffers made available since the driver last began
    at slot 0, and those behind them from the lap before; where one begins is known by the end before it."""
    driver = queue.driver
    if driver is None:
        return None
    slots, wrap = np.arange(queue.size), bool(driver.avail_wrap)
    shown = _shown(queue, slots, (slots < driver.avail_idx) == wrap)
    ends = _ends(queue, slots[shown])
    run = np.cumsum(shown)  # as many as there are slots between two ends, where none is missing
    before, after = ends[:-1], ends[1:]
    same = (before < driver.avail_idx) == (after < driver.avail_idx)
    same &= run[after] - run[before] == after - before
    wrong = np.flatnonzero(same & (queue.desc["id"][after] != before + 1))
    if not len(wrong):
        return None
    slot = int(after[wrong[0]])
    return int(queue.desc["id"][slot]), slot


_CHAIN = (Reason.CHAIN_LOOP, Reason.HEAD_OUT_OF_RANGE, Reason.WRITE_BEFORE_READ, Reason.INDIRECT_NEXT)


def blamed_wrongly(patient: Patient) -> Iterator[Finding]:
    """Split: the device gave up for a chain, or a head, and what stands there now is sound."""
    queue, device = split(patient.queue), patient.queue.device
    if queue is None or device is None or not len(queue.desc) or not patient.at_rest:
        return
    head = int(queue.avail_ring[device.last_avail % queue.size])
    since = min(gate.since for gate in patient.watched.gates)
    if device.broken in _CHAIN and _sound(queue, head):
        yield patient.finding(
            "DEVICE_BROKEN",
            since,
            f"the device gave up for {device.broken.name}, and the chain from head {head} is sound",
            Evidence("reason", device.broken.name),
            Evidence("avail.ring", head, head),
            sections=("2.1.2", "2.7.5"),
            alike=("STALE_DESCRIPTOR",),
        )
    if device.broken == Reason.DUPLICATE_HEAD and _doubled(queue) is None:
        yield patient.finding(
            "STALE_DESCRIPTOR",
            since,
            f"the device gave up for a head that it holds, and now head {head} stands there, and none twice:"
            " it read the entry before it was written",
            Evidence("avail.ring", head, head),
            Evidence("last_avail", device.last_avail),
            sections=("2.7.13.3", "2.7.6"),
            alike=("ID_REUSED_WHILE_OUTSTANDING",),
            decides="a store log: whether avail.idx was shown before the entry",
        )


def _sound(queue: SplitQueue, head: int) -> bool:
    """Whether a chain ends, within the queue, what is read before what is written (2.7.4.2, 2.7.5.2)."""
    written, slot = False, head
    for _ in range(queue.size):
        if slot >= queue.size:
            return False
        flags = int(queue.desc[slot]["flags"])
        write = bool(flags & layout.DESC_F_WRITE)
        if (written and not write) or (flags & layout.DESC_F_INDIRECT and flags & layout.DESC_F_NEXT):
            return False
        written = write
        if not flags & layout.DESC_F_NEXT:
            return True
        slot = int(queue.desc[slot]["next"])
    return False


def read_early(patient: Patient) -> Iterator[Finding]:
    """The driver gave up for an id that it does not know, and what stands there now is sound (split)."""
    queue, driver = split(patient.queue), patient.queue.driver
    if queue is None or driver is None or driver.broken != Reason.ID_UNKNOWN or not len(queue.desc):
        return
    if not patient.at_rest or patient.has(f.F_IN_ORDER):
        return
    slot = driver.last_used % queue.size
    count = min(max(driver.in_flight, 0), queue.size)
    heads = (queue.avail_idx - count + np.arange(count)) % queue.size
    now = int(queue.used_ring[slot]["id"])
    if not (queue.avail_ring[heads] == now).any():
        return
    if queue.owner[now] == Owner.FREE and int(queue.used_ring[(slot - 1) % queue.size]["id"]) == now:
        yield patient.finding(
            "ID_REUSED_WHILE_OUTSTANDING",
            min(gate.since for gate in patient.watched.gates),
            f"the driver gave up for head {now} in used element {slot}: it holds it as free, took it just"
            " before, and by the available ring it is outstanding: it was made available twice",
            Evidence("used.ring id", now, slot),
            Evidence("last_used", driver.last_used),
            sections=("2.7.13", "2.7.14"),
            vantage="MS",
            alike=("USED_OVERRUN",),
            decides="a store log: whether the head stood twice in the available ring, or in the used ring",
        )
        return
    yield patient.finding(
        "DRIVER_READS_UNUSED",
        min(gate.since for gate in patient.watched.gates),
        f"the driver gave up for the id of used element {slot}, where now stands {now}, which is outstanding:"
        " it read the element before it was written",
        Evidence("used.ring id", now, slot),
        Evidence("last_used", driver.last_used),
        sections=("2.7.8.2", "2.7.14"),
        vantage="MS",
        alike=("STALE_DESCRIPTOR",),
        decides="a store log: whether used.idx was shown before the element, or not at all",
    )


BEHIND: tuple[Rule, ...] = (blamed_wrongly, read_early)  #: once the rows say nothing else
