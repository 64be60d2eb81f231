"""Why a side that sleeps has not come: was it told, did that arrive, did it act on it?

The two ways are alike: a kick tells the device of available buffers, a call the driver of used ones. What the
sender decided (`told`), what got into the eventfd (`reached`) and what the receiver had taken when it read
(`heard`) say which link is missing; where all did their part by what stands in memory, the wish itself is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataplane.records import Side
from dataplane.rules import notices
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.gates import Gate, Standing
from dataplane.rules.notices import asked_for
from dataplane.rules.patient import SECOND, Patient, is_receive, several
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, Notify, PackedQueue

_OFTEN = 4.0  #: notifications a second that are read, and nothing moves: no sleep, but no work either


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: what the sender calls what it sends, and the codes of what can go wrong with it."""

    name: str  #: "kick"
    sender: str
    receiver: str
    side: Side  #: whose coming is waited for
    gate: Gate
    missing: str
    suppressed_event: str
    suppressed_flag: str
    discarded: str
    unserviced: str
    wrong_queue: str
    took_part: str
    took_none: str
    sections: tuple[str, ...]


KICK = Way(
    "kick",
    "driver",
    "device",
    Side.DEVICE,
    Gate.SEEN,
    missing="KICK_MISSING",
    suppressed_event="KICK_SUPPRESSED_EVENT",
    suppressed_flag="KICK_SUPPRESSED_FLAG",
    discarded="KICK_DISCARDED",
    unserviced="KICK_UNSERVICED",
    wrong_queue="KICK_WRONG_QUEUE",
    took_part="DEVICE_STOPS_EARLY",
    took_none="DEVICE_NOT_CONSUMING",
    sections=("2.7.10", "2.7.13.4", "2.8.10"),
)
CALL = Way(
    "call",
    "device",
    "driver",
    Side.DRIVER,
    Gate.COLLECTED,
    missing="CALL_MISSING",
    suppressed_event="CALL_SUPPRESSED_STALE",
    suppressed_flag="CALL_SUPPRESSED_FLAG",
    discarded="CALL_DISCARDED",
    unserviced="CALL_DISCARDED",
    wrong_queue="CALL_WRONG_QUEUE",
    took_part="DRIVER_NOT_REAPING",
    took_none="DRIVER_NOT_REAPING",
    sections=("2.7.7", "2.8.10"),
)


def sleeping(
    patient: Patient, way: Way, gate: Standing, driver: DriverState, device: DeviceState, waits: str
) -> Iterator[Finding]:
    """The receiver sleeps, and something waits for it: one finding that says why."""
    sent, got = (driver.kick, device.call) if way is KICK else (device.call, driver.kick)
    half = device if way is KICK else driver
    wish = (notices.kick if way is KICK else notices.call)(patient.queue, patient.event_idx)
    decided = _decided(way.sender, sent, patient.queue)
    again = got.received - gate.read[way.side]
    alike: tuple[str, ...] = ()
    decides = ""
    if again >= max(_OFTEN * gate.still / SECOND, _OFTEN):
        code = "LIVELOCK"
        why = f"the {way.receiver} read {several(again, way.name)} since, and took nothing"
    elif sent.told > sent.reached:
        elsewhere = next((q for q in _others(patient) if _stray(q, way)), None)
        code = way.missing if elsewhere is None else way.wrong_queue
        where = "never written to the eventfd" if elsewhere is None else f"written for {elsewhere.name}"
        why = f"the last {way.name} that was decided on was counted, and {where}"
    elif sent.reached > gate.passed and sent.pending:
        code = way.unserviced
        why = f"{several(sent.pending, way.name)} stand in the eventfd, and nobody reads them"
    elif sent.reached > gate.passed and got.heard < gate.passed:
        code = way.took_part
        why = (
            f"told of {several(sent.reached - got.heard)}, the {way.receiver} took"
            f" {gate.passed - got.heard:,} and went to sleep without looking again"
        )
    elif sent.reached > gate.passed and half.turns > got.heard_turn:
        code = way.took_none
        if way is KICK and gate.waits == patient.queue.size:
            code, alike = full_ring(patient)
        why = f"the {way.name} was read, the {way.receiver} came to the queue, took nothing and sleeps"
        decides = f"whether it would come again: inject a {way.name}"
    elif sent.reached > gate.passed:
        code = way.discarded
        why = f"a {way.name} was sent and read, and the {way.receiver} went back to sleep without looking"
        alike, decides = (way.took_none,), f"inject a {way.name}: if they move, it was lost"
    elif wish.due and way is CALL and _stale(sent, wish):
        code = way.suppressed_event
        why = f"the device did not call, by an old value: {decided}; now {wish.words}"
    elif wish.due:
        code = way.missing
        why = f"the {way.receiver} was not told, though {wish.words}; {decided}"
        if wish.mode == "event" and sent.event == wish.raw and sent.answer == "quiet":
            alike, decides = (way.suppressed_event,), "whether one was sent for the crossing, long ago"
            if way is KICK and not asked_for(sent, patient.queue, patient.event_idx):
                why += ", rightly: what crossed it was before, and no later index will"
    else:
        code = way.suppressed_event if wish.mode == "event" else way.suppressed_flag
        why = f"the {way.receiver} sleeps and wants no {way.name}: {wish.words}"
        if wish.mode == "event" and _torn(wish.raw & 0xFFFF, _asked(way, driver, device, patient.queue)):
            code = "TORN_VALUE"
            why += "; one byte of that is right: it was stored, or read, in two halves"
        if patient.event_idx and patient.watched.flags:
            code = "FEATURE_MISMATCH"
            why += "; flags were used, which is for rings without EVENT_IDX"
    yield patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        *wish.evidence,
        Evidence(f"{way.name}s sent", sent.sent),
        Evidence(f"{way.name}s read", got.received),
        Evidence("in the eventfd", sent.pending),
        Evidence(f"last {way.name} decision", sent.answer),
        Evidence("decided with", notices.spelled(sent.event, patient.queue)),
        sections=way.sections,
        vantage="MKS",
        alike=alike,
        decides=decides,
    )


def by_another(patient: Patient, gate: Standing, device: DeviceState, waits: str) -> Finding:
    """The same where the driver is another process: its decisions are its own, its eventfd counts."""
    wish, pending = notices.kick(patient.queue, patient.event_idx), device.kicks_pending
    alike: tuple[str, ...] = ()
    decides = ""
    if pending:
        code = KICK.unserviced
        why = f"{several(pending, 'kick')} stand in the eventfd, and the device does not read them"
    elif wish.due:
        code, alike = KICK.missing, (KICK.discarded,)
        why = f"the device was not told, though {wish.words}; whether the driver meant to, only it knows"
        decides = "inject a kick: if they move, it was never sent, or lost on its way here"
    else:
        code = KICK.suppressed_event if wish.mode == "event" else KICK.suppressed_flag
        why = f"the device sleeps and wants no kick: {wish.words}"
    return patient.finding(
        code,
        gate.since,
        f"{waits}: {why}",
        *wish.evidence,
        Evidence("kicks read", device.call.received),
        *([Evidence("in the eventfd", pending)] if pending is not None else []),
        sections=KICK.sections,
        vantage="MK",
        alike=alike,
        decides=decides,
    )


def _asked(way: Way, driver: DriverState, device: DeviceState, queue: AnyQueue) -> int:
    """The event value that a sleeping side of ours asks for: where it will go on."""
    at, wrap = (device.last_avail, device.avail_wrap) if way is KICK else (driver.last_used, driver.used_wrap)
    return at | wrap << 15 if isinstance(queue, PackedQueue) else at


def _torn(stands: int, means: int) -> bool:
    return stands != means and stands & 0xFF == means & 0xFF and means & 0xFF != 0


def full_ring(patient: Patient) -> tuple[str, tuple[str, ...]]:
    """What it is called that a device takes nothing of a ring all of whose descriptors are available, and
    what looks the same: a receive ring is always full."""
    codes = ("FULL_RING_SEEN_AS_EMPTY", "DEVICE_NOT_CONSUMING")
    return (codes[1], codes[:1]) if is_receive(patient.queue) else (codes[0], codes[1:])


def _others(patient: Patient) -> list[AnyQueue]:
    return [queue for queue in patient.snapshot.queues if queue.index != patient.queue.index]


def _stray(queue: AnyQueue, way: Way) -> int:
    half = queue.driver.kick if queue.driver and way is KICK else queue.device.call if queue.device else None
    return half.stray if half is not None else 0


def _stale(decision: Notify, wish: notices.Wish) -> bool:
    """Whether it was decided with another event value than the one that stands in memory."""
    return decision.answer == "quiet" and decision.event != wish.raw


def _decided(side: str, decision: Notify, queue: AnyQueue) -> str:
    if decision.answer == "none":
        return f"the {side} never decided"
    answer = "sent one" if decision.answer == "sent" else "sent none"
    seen = notices.spelled(decision.event, queue)
    return f"the {side}, with {seen}, {answer} on {decision.old} -> {decision.new}"
