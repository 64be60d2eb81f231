"""What waits for too long at a gate, and on whom: the three questions that a stuck queue raises.

Did the device see it? Did it finish? Did the driver see that? A side that sleeps was not told, or told and
deaf (`untold`); one that is awake does not want to.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.records import Role, Side
from dataplane.rules import untold
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.gates import Gate, Standing
from dataplane.rules.patient import Patient, Rule, for_long, is_receive, several
from dataplane.snapshot import DeviceState, DriverState


def unseen(patient: Patient) -> Iterator[Finding]:
    """Available for too long and not seen: was the device told, and does it look?"""
    queue, gate = patient.queue, patient.late(Gate.SEEN)
    driver, device = queue.driver, queue.device
    if gate is None or device is None:
        return
    if device.broken or (is_receive(queue) and not _starving(patient, device)):
        return
    waits = f"{several(gate.waits)} available {patient.waited(gate)} and not seen"
    if patient.sleeps(Side.DEVICE, gate) and driver is None:
        yield untold.by_another(patient, gate, device, waits)
    elif patient.sleeps(Side.DEVICE, gate) and driver is not None:
        yield from untold.sleeping(patient, untold.KICK, gate, driver, device, waits)
    elif patient.for_long(Side.DEVICE, asleep=False):
        yield _awake(patient, gate, device, waits)


def _starving(patient: Patient, device: DeviceState) -> bool:
    """Whether a frame has waited for the buffers of a receive queue: else they wait for it."""
    return bool(device.backlog) and patient.watched.backlog[Side.DEVICE].still >= patient.stuck


def _awake(patient: Patient, gate: Standing, device: DeviceState, waits: str) -> Finding:
    queue, turns = patient.queue, device.turns - gate.turns[Side.DEVICE]
    code, why = "DEVICE_NOT_CONSUMING", "it is awake and does not come to this queue"
    alike: tuple[str, ...] = ()
    if not turns and not queue.seen and device.turns == patient.watched.turned[Side.DEVICE]:
        code, why = "NOT_STARTED", "it never came to this queue, from the start"
    elif turns:
        why = f"it came to the queue {turns:,} times meanwhile and took nothing"
        if gate.waits == queue.size:
            code, alike = untold.full_ring(patient)
            why = f"{why}: all {queue.size} descriptors are available"
    return patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        Evidence("last_avail", device.last_avail),
        Evidence("turns", turns),
        sections=("2.7.13", "2.8.21"),
        vantage="MHS",
        confidence="possible" if turns else "likely",
        alike=alike,
    )


def unused(patient: Patient) -> Iterator[Finding]:
    """Seen for too long and not used: does the device hold it, has it finished, or did it lose it?"""
    queue, gate, device = patient.queue, patient.late(Gate.USED), patient.queue.device
    if gate is None or device is None or device.broken:
        return
    held = f"{several(gate.waits)} taken {patient.waited(gate)} and not shown as used"
    lost = gate.waits - device.unflushed - device.holding
    if device.unflushed:
        code, why = "USED_HELD_BACK", f"{several(device.unflushed)} of them done, and not shown"
    elif lost > 0 and patient.rests(Side.DEVICE):
        code, why = "HEAD_NEVER_RETURNED", f"the device knows nothing of {several(lost)}: it lost them"
    elif is_receive(queue) or not device.holding:
        return
    elif queue.role == Role.CONTROL:
        code, why = "CONTROL_DEADLOCK", "the driver waits for the answer to its command"
    else:
        code, why = "INFLIGHT_STUCK", f"the device still works on {several(device.holding)}"
    yield patient.finding(
        code,
        gate.since,
        f"{held}: {why}",
        Evidence("holding", device.holding),
        Evidence("unflushed", device.unflushed),
        sections=("2.7.8", "2.8.22"),
        vantage="S",
    )


def uncollected(patient: Patient) -> Iterator[Finding]:
    """Used for too long and not collected: was the driver told, and does it look?"""
    gate = patient.late(Gate.COLLECTED)
    if gate is None or patient.halves is None:
        return
    driver, device = patient.halves
    if driver.broken:
        return
    waits = f"{several(gate.waits)} used {patient.waited(gate)} and not collected"
    if patient.sleeps(Side.DRIVER, gate):
        yield from untold.sleeping(patient, untold.CALL, gate, driver, device, waits)
    elif patient.for_long(Side.DRIVER, asleep=False):
        yield _not_reaping(patient, gate, driver, waits)


def _not_reaping(patient: Patient, gate: Standing, driver: DriverState, waits: str) -> Finding:
    turns = driver.turns - gate.turns[Side.DRIVER]
    code, why = "DRIVER_NOT_REAPING", f"the driver is awake, came by {turns:,} times and took nothing"
    if patient.gates.driver_away >= patient.stuck:
        code, why = "DRIVER_SPINS", "the driver is awake and comes to none of its queues"
    elif not turns:
        why = "the driver is awake and does not come to this queue"
    return patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        Evidence("last_used", driver.last_used),
        Evidence("turns", turns),
        sections=("2.7.14", "2.8.22"),
        vantage="MHS",
        confidence="likely" if code == "DRIVER_SPINS" else "possible",
    )


def unsent(patient: Patient) -> Iterator[Finding]:
    """A frame is due, the ring is empty, and the driver makes nothing available."""
    queue, watched = patient.queue, patient.watched
    if patient.halves is None or not queue.driver or not queue.driver.backlog or queue.driver.broken:
        return
    driver = queue.driver
    waited = watched.backlog[Side.DRIVER].still
    if driver.in_flight or driver.added or driver.free < queue.size or waited < patient.stuck:
        return
    code, why = "DRIVER_NOT_SUBMITTING", f"all {queue.size} descriptors are free"
    if patient.gates.driver_away >= patient.stuck and not driver.asleep:
        code, why = "DRIVER_SPINS", "the driver is awake and comes to none of its queues"
    yield patient.finding(
        code,
        patient.snapshot.time - waited,
        f"a frame waits to be sent for {for_long(waited)}: {why}",
        Evidence("free", driver.free),
        Evidence("avail_idx", driver.avail_idx),
        sections=("2.7.13", "5.1.6.2"),
        vantage="S",
    )


RULES: tuple[Rule, ...] = (unseen, unused, uncollected, unsent)
