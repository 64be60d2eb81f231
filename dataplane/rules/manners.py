"""What costs something, or will: notifications that nobody asked for, calls that come late, flags used where
the event index is negotiated, two queues over the same memory."""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.rules.gates import Watched
from dataplane.rules.notices import asked_for
from dataplane.rules.patient import SECOND, Patient, Rule, packed, several
from dataplane.snapshot import AnyQueue, Notify

_NOT_ASKED = 4  #: of the last 64 readings with a new notification
_SLOW = 64  #: decisions from one reading to the next: above that the words of one are not read together
_LATE = 2  #: calls that were decided at one reading and written at a later one,
_RECENT = 10 * SECOND  #: in the last ns


def count_unwanted(watched: Watched, queue: AnyQueue, event_idx: bool) -> None:
    """Follow whether each side's newest notifications were wanted; once a reading."""
    driver, device = queue.driver, queue.device
    if driver is None or device is None:
        return
    before = watched.decided
    watched.decided = (driver.kick.sent + driver.kick.quiet, device.call.sent + device.call.quiet)
    asked = list(watched.asked)
    for i, decision in enumerate((driver.kick, device.call)):
        if 0 < watched.decided[i] - before[i] < _SLOW and decision.answer == "sent":
            odd = not asked_for(decision, queue, event_idx)
            asked[i] = (asked[i] << 1 | odd) & (1 << 64) - 1
    watched.asked = (asked[0], asked[1])


def unwanted(patient: Patient) -> Iterator[Finding]:
    """A side notifies where the other asked for none."""
    if patient.halves is None:
        return
    driver, device = patient.halves
    for i, (code, decision, sender) in enumerate(
        (("KICK_UNWANTED", driver.kick, "driver"), ("CALL_UNWANTED", device.call, "device"))
    ):
        if patient.watched.asked[i].bit_count() < _NOT_ASKED:
            continue
        name = code.split("_")[0].lower()
        polls = (device if i == 0 else driver).polling
        if patient.event_idx and not polls and decision.quiet == patient.watched.quiet[i]:
            yield _each_time(patient, code, name, sender, decision)
            continue
        yield patient.finding(
            code,
            patient.snapshot.time,
            f"the {sender} sends {name}s that were not asked for: {several(decision.sent, name)} so far",
            Evidence("event", decision.event),
            Evidence("old", decision.old),
            Evidence("new", decision.new),
            sections=("2.7.7.1", "2.7.10.1", "2.8.10"),
            vantage="KS",
            level=Level.WARNING,
        )


def _each_time(patient: Patient, alike: str, name: str, sender: str, decision: Notify) -> Finding:
    return patient.finding(
        "FEATURE_MISMATCH",
        patient.snapshot.time,
        f"the {sender} sends a {name} each time, whatever the event index says: it does not know EVENT_IDX",
        Evidence("event", decision.event),
        Evidence("sent", decision.sent),
        Evidence("quiet", decision.quiet),
        sections=("2.7.7.1", "2.7.10.1"),
        vantage="KS",
        level=Level.WARNING,
        alike=(alike,),
    )


def delayed(patient: Patient) -> Iterator[Finding]:
    """Calls are decided and come much later, again and again."""
    late = sum(patient.snapshot.time - when < _RECENT for when in patient.watched.delayed)
    if late < _LATE:
        return
    yield patient.finding(
        "CALL_DELAYED",
        patient.snapshot.time,
        f"{late} calls were decided and written later: a limiter, or coalescing",
        Evidence("calls late", late),
        sections=("2.7.7", "5.1.6.5.10"),
        vantage="HK",
        level=Level.WARNING,
    )


def flags(patient: Patient) -> Iterator[Finding]:
    """Split, with EVENT_IDX: both flags words stay 0 (2.7.7.1, 2.7.10.1)."""
    if not patient.event_idx or not patient.watched.flags or packed(patient.queue):
        return
    yield patient.finding(
        "FEATURE_MISMATCH",
        patient.snapshot.time,
        "a flags word was used though EVENT_IDX is negotiated: one side does not know that",
        Evidence("event_idx", 1),
        sections=("2.7.7.1", "2.7.10.1"),
        vantage="MH",
        level=Level.WARNING,
    )


def aliased(patient: Patient) -> Iterator[Finding]:
    """Two queues have the same memory."""
    mine = patient.queue
    for other in patient.snapshot.queues:
        if other.index <= mine.index or not other.enabled or not mine.desc_addr:
            continue
        for name in ("desc_addr", "driver_addr", "device_addr"):
            if getattr(mine, name) == getattr(other, name):
                yield patient.finding(
                    "QUEUE_ALIASED",
                    patient.snapshot.time,
                    f"{mine.name} and {other.name} both have {name} 0x{getattr(mine, name):x}",
                    Evidence(name, getattr(mine, name)),
                    sections=("2.6",),
                    vantage="X",
                    confidence="certain",
                )
                return


RULES: tuple[Rule, ...] = (unwanted, delayed, flags, aliased)
