"""What waits for too long at a gate, and on whom: the three questions that a stuck queue raises.

Did the device see it? Did it finish? Did the driver see that? A side that sleeps was not told, or told and
deaf; one that is awake does not want to.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane import layout
from dataplane.rules import notices
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.gates import Gate, Standing
from dataplane.rules.patient import Patient, Rule, for_long, is_receive, several
from dataplane.snapshot import AnyQueue, DeviceState, Notify, SplitQueue

_KICK = ("2.7.10", "2.7.13.4", "2.8.10")
_CALL = ("2.7.7", "2.8.10")


def unseen(patient: Patient) -> Iterator[Finding]:
    """Available for too long and not seen: was the device told, and does it look?"""
    queue, gate = patient.queue, patient.late(Gate.SEEN)
    driver, device = queue.driver, queue.device
    if gate is None or is_receive(queue) or driver is None or device is None or device.broken:
        return
    if not _shown(queue, device):
        return
    waits = f"{several(gate.waits)} available for {for_long(gate.still)} and not seen"
    if not device.asleep:
        yield _awake(patient, gate, device, waits)
        return
    wish = notices.kick(queue, patient.event_idx)
    kick = driver.kick
    told = (*wish.evidence, *_decision("kick", kick, queue))
    if kick.pending or kick.lost:
        yield patient.finding(
            "KICK_DISCARDED",
            gate.since,
            f"{waits}: {several(kick.pending or kick.lost, 'kick')} sent, and the device sleeps"
            " as if none had come",
            *told,
            sections=_KICK,
            vantage="MKS",
        )
    elif wish.due and kick.answer == "sent" and kick.new == driver.avail_idx:
        yield patient.finding(
            "KICK_DISCARDED",
            gate.since,
            f"{waits}: a kick was sent and read, and the device went back to sleep without looking",
            *told,
            sections=_KICK,
            vantage="MKS",
        )
    elif wish.due:
        yield patient.finding(
            "KICK_MISSING",
            gate.since,
            f"{waits}: the device was not told, though {wish.words}; {_decided('driver', kick, queue)}",
            *told,
            sections=_KICK,
            vantage="MKS",
        )
    else:
        code = "KICK_SUPPRESSED_EVENT" if wish.mode == "event" else "KICK_SUPPRESSED_FLAG"
        yield patient.finding(
            code,
            gate.since,
            f"{waits}: the device sleeps and wants no kick: {wish.words}",
            *told,
            sections=_KICK,
            vantage="MKS",
        )


def _shown(queue: AnyQueue, device: DeviceState) -> bool:
    """Whether memory shows the device that there is something; True where its rows were not copied."""
    if isinstance(queue, SplitQueue):
        return bool(queue.avail_idx != device.last_avail)
    if not len(queue.desc):
        return True
    flags = int(queue.desc[device.last_avail]["flags"])
    return (
        bool(flags & layout.PACKED_F_AVAIL) == bool(device.avail_wrap) != bool(flags & layout.PACKED_F_USED)
    )


def _awake(patient: Patient, gate: Standing, device: DeviceState, waits: str) -> Finding:
    turns = device.turns - patient.watched.turns[1]
    if turns:
        why = f"it came to the queue {turns:,} times meanwhile and took nothing"
    else:
        why = "it is awake and does not come to this queue"
    code = "DEVICE_NOT_CONSUMING"
    queue = patient.queue
    if gate.waits == queue.size and turns:
        code, why = "FULL_RING_SEEN_AS_EMPTY", f"{why}: all {queue.size} descriptors are available"
    return patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        Evidence("last_avail", device.last_avail),
        Evidence("turns", turns),
        sections=("2.7.13", "2.8.21"),
        vantage="MHS",
        confidence="possible" if turns else "likely",
    )


def unused(patient: Patient) -> Iterator[Finding]:
    """Seen for too long and not used: does the device hold it, has it finished, or did it lose it?"""
    queue, gate = patient.queue, patient.late(Gate.USED)
    device = queue.device
    if gate is None or device is None or device.broken:
        return
    held = f"{several(gate.waits)} taken {for_long(gate.still)} ago and not shown as used"
    found = (Evidence("holding", device.holding), Evidence("unflushed", device.unflushed))
    if device.unflushed:
        code, why = "USED_HELD_BACK", f"{several(device.unflushed)} of them done, and used.idx not moved"
    elif is_receive(queue):
        return
    elif device.holding:
        code, why = "INFLIGHT_STUCK", f"the device still works on {several(device.holding)}"
    else:
        code, why = "HEAD_NEVER_RETURNED", "the device holds nothing: it lost them"
    yield patient.finding(
        code, gate.since, f"{held}: {why}", *found, sections=("2.7.8", "2.8.22"), vantage="S"
    )


def uncollected(patient: Patient) -> Iterator[Finding]:
    """Used for too long and not collected: was the driver told, and does it look?"""
    queue, gate = patient.queue, patient.late(Gate.COLLECTED)
    driver, device = queue.driver, queue.device
    if gate is None or driver is None or device is None or driver.broken:
        return
    waits = f"{several(gate.waits)} used for {for_long(gate.still)} and not collected"
    if not driver.asleep:
        turns = driver.turns - patient.watched.turns[0]
        yield patient.finding(
            "DRIVER_NOT_REAPING",
            gate.since,
            f"{waits}: the driver is awake, came by {turns:,} times and took nothing",
            Evidence("last_used", driver.last_used),
            Evidence("turns", turns),
            sections=("2.7.14", "2.8.22"),
            vantage="MHS",
            confidence="possible",
        )
        return
    wish = notices.call(queue, patient.event_idx)
    call = device.call
    told = (*wish.evidence, *_decision("call", call, queue))
    if call.pending or call.lost:
        code = "CALL_DISCARDED"
        why = f"{several(call.pending or call.lost, 'call')} sent, and the driver sleeps as if none had come"
    elif wish.due and call.answer == "sent" and call.new == device.used_idx:
        code, why = "CALL_DISCARDED", "a call was sent and read, and the driver went back to sleep"
    elif wish.due and _stale(call, wish, queue):
        code = "CALL_SUPPRESSED_STALE"
        why = f"the device did not call, by an old value: {_decided('device', call, queue)}; now {wish.words}"
    elif wish.due:
        code = "CALL_MISSING"
        why = f"the driver was not told, though {wish.words}; {_decided('device', call, queue)}"
    elif wish.mode == "event":
        code, why = "CALL_SUPPRESSED_STALE", f"the driver sleeps and asks for no call: {wish.words}"
    else:
        code, why = "CALL_SUPPRESSED_FLAG", f"the driver sleeps and asks for no call: {wish.words}"
    yield patient.finding(code, gate.since, f"{waits}: {why}", *told, sections=_CALL, vantage="MKS")


def _stale(decision: Notify, wish: notices.Wish, queue: AnyQueue) -> bool:
    """Whether it was decided with another event value than the one that stands in memory."""
    return decision.answer == "quiet" and decision.event != notices.raw(wish, queue)


def _decision(name: str, decision: Notify, queue: AnyQueue) -> tuple[Evidence, ...]:
    return (
        Evidence(f"{name}s sent", decision.sent),
        Evidence(f"{name}s read", decision.received),
        Evidence(f"last {name} decision", decision.answer),
        Evidence("decided with", notices.spelled(decision.event, queue)),
    )


def _decided(side: str, decision: Notify, queue: AnyQueue) -> str:
    if decision.answer == "none":
        return f"the {side} never decided"
    answer = "sent one" if decision.answer == "sent" else "sent none"
    seen = notices.spelled(decision.event, queue)
    return f"the {side}, with {seen}, {answer} on {decision.old} -> {decision.new}"


RULES: tuple[Rule, ...] = (unseen, unused, uncollected)
