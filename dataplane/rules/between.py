"""Rings of which a side is another process: how they were set up, what stands in memory and eventfds.

That side's own words are not known. What waits for a device is what is available and not used; whether it was
told is in the eventfd, if the kick still stands there, and in what it asks for in memory. A driver is waited
for where a receive ring is used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataplane import layout
from dataplane.records import Reason, Role
from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.rules.gates import Gate
from dataplane.rules.patient import Patient, Rule, for_long, is_receive, several
from dataplane.snapshot import AnyQueue, PackedQueue, Snapshot


def whole(snapshot: Snapshot) -> Iterator[Finding]:
    """What is wrong with the two as a whole."""
    if snapshot.trouble:
        code, _, words = snapshot.trouble.partition(": ")
        sections = ("2.1", "2.2")
        yield Finding(code, Level.FAULT, None, snapshot.time, words, (), sections, "CX", "certain")


def set_up(patient: Patient) -> Iterator[Finding]:
    """What is wrong with how a ring was set up."""
    outside = patient.queue.outside
    if outside is None or not outside.trouble:
        return
    code, _, words = outside.trouble.partition(": ")
    yield patient.finding(
        code, patient.snapshot.time, words, sections=("2.6",), vantage="MC", confidence="certain"
    )


def not_enabled(patient: Patient) -> Iterator[Finding]:
    """Started and not enabled, and the driver uses it all the same."""
    queue, outside = patient.queue, patient.queue.outside
    if outside is None or not outside.passive or outside.stopped:
        return
    device, gate = queue.device, patient.watched.gates[Gate.SEEN]
    if device is not None and device.last_drop == Reason.STOPPED:
        words = f"{several(device.drops)} came, and were dropped"
    elif queue.role == Role.TRANSMIT and gate.waits and gate.still >= patient.stuck:
        words = f"{several(gate.waits)} available {patient.waited(gate)}"
    else:
        return
    yield patient.finding(
        "NOT_ENABLED",
        gate.since,
        f"{words}: the ring is started, and SET_VRING_ENABLE has not enabled it",
        Evidence("available", queue.published),
        Evidence("used", queue.used),
        sections=("2.6",),
        vantage="MC",
    )


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the device asks for. `due`: whether that is a kick; None where it cannot be told from here."""

    due: bool | None
    words: str


def _wish(queue: AnyQueue, event_idx: bool) -> _Wish:
    if isinstance(queue, PackedQueue):
        flags, slot = queue.device_flags & 3, queue.device_off_wrap & 0x7FFF
        if flags == layout.EVENT_DISABLE:
            return _Wish(False, "it asks for no kicks, as one that polls does")
        if flags == layout.EVENT_DESC:
            return _Wish(None, f"it asks for a kick at slot {slot}")
        return _Wish(True, "it asks for kicks")
    if not event_idx:
        if queue.used_flags & layout.USED_F_NO_NOTIFY:
            return _Wish(False, "used.flags asks for no kicks, as one that polls does")
        return _Wish(True, "used.flags asks for kicks")
    due = layout.need_event(queue.avail_event, queue.avail_idx, queue.used_idx)
    said = f"avail_event is {queue.avail_event}, and avail.idx went {queue.used_idx} -> {queue.avail_idx}"
    return _Wish(due, said if due else f"{said}, which does not pass it")


def unserved(patient: Patient) -> Iterator[Finding]:
    """Available for too long and not used, in a queue where the device has something to do."""
    queue, outside, gate = patient.queue, patient.queue.outside, patient.late(Gate.SEEN)
    if outside is None or queue.device or gate is None or is_receive(queue):
        return
    pending = outside.kicks_pending if queue.driver is None else queue.driver.kick.pending
    wish = _wish(queue, patient.event_idx)
    waits = f"{several(gate.waits)} available {patient.waited(gate)} and not used"
    code, alike, decides = _who(pending, outside.kicks, wish)
    if code == "KICK_UNSERVICED":
        why = f"{several(pending or 0, 'kick')} stand in the eventfd, and the device does not read them"
    elif code == "KICK_MISSING":
        why = f"no kick stands in the eventfd, though {wish.words}: none was sent, or it was read in vain"
    else:
        why = f"the device does not come: {wish.words}"
    yield patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        Evidence("available", queue.published),
        Evidence("used", queue.used),
        *((Evidence("in the kick eventfd", pending),) if pending is not None else ()),
        *((Evidence("kicks that passed", outside.kicks),) if outside.kicks is not None else ()),
        sections=("2.7.13.4", "2.8.21", "2.7.10"),
        vantage="MK",
        confidence="possible" if alike else "likely",
        alike=alike,
        decides=decides,
    )


def _who(pending: int | None, passed: int | None, wish: _Wish) -> tuple[str, tuple[str, ...], str]:
    """The code, those that look the same from here, and what would decide."""
    if wish.due is False:
        return "DEVICE_NOT_CONSUMING", (), ""
    if pending:
        return "KICK_UNSERVICED", (), ""
    if pending is None:
        return "DEVICE_NOT_CONSUMING", ("KICK_MISSING",), "whether it was told: ringscope tap --notifications"
    if passed is None:
        decides = "kicks that pass the tap are counted: ringscope tap --notifications"
        return "KICK_MISSING", ("KICK_DISCARDED", "DEVICE_NOT_CONSUMING"), decides
    return "KICK_MISSING", ("KICK_DISCARDED",), "inject a kick: if they move, none was sent"


def unrefilled(patient: Patient) -> Iterator[Finding]:
    """A receive queue that was used up, and into which nothing is offered."""
    queue, outside, empty = patient.queue, patient.queue.outside, patient.watched.empty
    if outside is None or queue.driver or not is_receive(queue):
        return
    pending = outside.calls_pending if queue.device is None else queue.device.call.pending
    if not queue.used or empty.value != (True, queue.used) or empty.still < patient.stuck:
        return
    why = "the driver offers none"
    if pending:
        why = f"{several(pending, 'call')} stand in the eventfd, and the driver reads none"
    yield patient.finding(
        "DRIVER_NOT_REAPING",
        patient.snapshot.time - empty.still,
        f"all that was offered is used, for {for_long(empty.still)}, and {why}",
        Evidence("available", queue.published),
        Evidence("used", queue.used),
        sections=("2.7.14", "5.1.6.3"),
        vantage="MK",
        confidence="likely",
        alike=("RX_STARVED",),
    )


#: Of every ring, enabled or not.
SET_UP: tuple[Rule, ...] = (set_up, not_enabled)
RULES: tuple[Rule, ...] = (unserved, unrefilled)
