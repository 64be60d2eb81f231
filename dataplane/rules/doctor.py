"""The doctor: every rule over every snapshot, and which findings are new, still there, or gone.

    doctor = Doctor()
    for snapshot in ...:
        for finding in doctor.look(snapshot):
            print(finding.verdict)

It reads snapshots and nothing else: no UI, no engine, and nothing of what is looked at changes. Snapshots
come in the order of time, at least four a second; a queue that has not moved for `stuck` seconds is stuck.
`wants` names the queues of which the next snapshot should have the rows: something is wrong there, and only
they say what.

One queue, one story: rules run from cause to consequence. What contradicts itself in memory or in the sides'
own counts (`indices`, `rows`) explains why a side gave up (`given_up`), and that explains what waits
(`waiting`); of each queue only the first fault in this order is reported, and what merely costs something
(`manners`) besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from dataplane import features as f
from dataplane.keyframe import Keyframe
from dataplane.rules import between, indices, manners, standing
from dataplane.rules.conformance.review import Review
from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.rules.gates import Gate, Gates
from dataplane.rules.patient import SECOND, Patient
from dataplane.snapshot import AnyQueue, Snapshot
from dataplane.source import Events, Frames

STUCK = 1.0  #: seconds: busy machines make a side late by some tenths, and nobody waits longer gladly


class Doctor:
    """Looks at one source. One thread at a time."""

    def __init__(self, stuck: float = STUCK) -> None:
        self._stuck = int(stuck * SECOND)
        self._gates = Gates()
        self._last: Snapshot | None = None
        self._silent = False
        self.findings: tuple[Finding, ...] = ()  #: of the newest snapshot, the gravest first
        self.past: list[Finding] = []  #: those that are gone, the newest last
        self.wants: frozenset[int] = frozenset()  #: queues whose rows the next snapshot should have
        self.review = Review()
        # when a rule said so last, ns since the epoch, and the gates that it may have been about
        self._seen: dict[tuple[str, int | None], tuple[int, frozenset[Gate]]] = {}
        self._broken: tuple[Finding, ...] = ()  # rows of the spec that were not kept

    def look(self, snapshot: Snapshot) -> tuple[Finding, ...]:
        """The findings of this snapshot, the gravest first; of one that stays `since` stays."""
        self._gates.look(snapshot)
        if snapshot.state == "past":
            return self.findings
        known = {finding.key: finding for finding in self.findings}
        found: dict[tuple[str, int | None], Finding] = {}
        wants: set[int] = set()
        if snapshot.status & f.STATUS_DRIVER_OK:
            for finding in self._all(snapshot, wants):
                before = known.get(finding.key)
                since = before.since if before is not None else finding.since
                found.setdefault(finding.key, replace(finding, since=since))
            for finding in self._broken:
                found.setdefault(finding.key, finding)
            self._seen = {key: (snapshot.time, self._gates.waiting(one)) for key, one in found.items()} | {
                key: self._seen[key] for key in known if key not in found
            }
            wrong = {finding.queue for finding in found.values() if finding.level == Level.FAULT}
            for finding in known.values():
                if finding.queue not in wrong and self._waits_still(finding, snapshot.time):
                    found.setdefault(finding.key, finding)
        self._last, self.wants = snapshot, frozenset(wants)
        gone = [one for key, one in known.items() if key not in found]
        self.findings = _gravest(found.values())  # first: whoever reads along never sees one twice
        self.past.extend(replace(one, until=snapshot.time) for one in gone)
        del self.past[:-_KEPT]
        return self.findings

    @property
    def known(self) -> tuple[Finding, ...]:
        """All that was ever found and is still kept: those that are gone, then those that are there."""
        return (*self.past, *self.findings)

    def at(self, time: int) -> tuple[Finding, ...]:
        """The findings that stood at a moment, ns since the epoch, the gravest first. Their words are those
        of the last reading that had them, which may be later. Any thread may ask."""
        stood = (one for one in self.known if one.since - _READING <= time)
        return _gravest(one for one in stood if not one.until or time < one.until)

    def heed(self, snapshot: Snapshot, events: Events, keyframe: Callable[[int], Keyframe | None]) -> None:
        """What happened up to the next snapshot: each store is held against the rows of the spec, as far as
        the review's share of time goes; what was not kept is among the findings of that snapshot."""
        self._broken = self.review.look(snapshot, events, keyframe)

    def heed_frames(self, frames: Frames) -> None:
        """What was logged of frames since: their net headers are held against the spec in the same way."""
        self.review.frames(frames)

    def _all(self, snapshot: Snapshot, wants: set[int]) -> Iterator[Finding]:
        silent = self._silent_reset(snapshot)
        if silent is not None:
            yield silent
        yield from between.whole(snapshot)
        for queue in snapshot.queues:
            watched = self._gates.of(queue)
            patient = Patient(snapshot, queue, watched, self._stuck, self._gates)
            for rule in between.SET_UP if queue.outside is not None else ():
                yield from rule(patient)
            if not queue.enabled:
                continue
            manners.count_unwanted(watched, queue, patient.event_idx)
            ahead = indices.skew(queue)
            if ahead is not None:
                watched.skew.see(ahead, patient.gates.ran)
                watched.aligned |= ahead == 0
            for finding in self._story(patient):
                if silent is None or finding.code != "DEVICE_BROKEN":
                    yield finding
            for rule in manners.RULES:
                yield from rule(patient)
            if needs_rows(patient):
                wants.add(queue.index)
            watched.before = queue if len(queue.desc) else None

    def _story(self, patient: Patient) -> Iterator[Finding]:
        for rule in standing.asked(patient):
            silent = True
            for finding in rule(patient):
                silent = False
                yield finding
                if finding.level == Level.FAULT:
                    return
            if silent:
                patient.watched.silent.add(rule)

    def _waits_still(self, finding: Finding, now: int) -> bool:
        """Whether what was stuck a moment ago has not moved: a side that is caught awake for another queue
        has to be proven asleep anew, which takes as long as it took at first."""
        seen, gates = self._seen[finding.key]
        if now - seen > self._stuck * 3 // 2:
            return False
        return bool(gates) and gates <= self._gates.waiting(finding)

    def _silent_reset(self, snapshot: Snapshot) -> Finding | None:
        """DEVICE_NEEDS_RESET without a configuration change notification (2.1.2)."""
        last = self._last
        if not snapshot.status & f.STATUS_NEEDS_RESET:
            self._silent = False
            return None
        if last is None or not last.status & f.STATUS_NEEDS_RESET:
            known = last.config_generation if last is not None else 0
            self._silent = snapshot.config_generation == known
        elif snapshot.config_generation != last.config_generation:
            self._silent = False
        if not self._silent:
            return None
        return Finding(
            "NEEDS_RESET_SILENT",
            Level.FAULT,
            None,
            snapshot.time,
            "the device set DEVICE_NEEDS_RESET, and sent no configuration change notification",
            (Evidence("status", snapshot.status), Evidence("config_generation", snapshot.config_generation)),
            ("2.1.2",),
            "X",
            "certain",
        )


def _gravest(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: (-one.level, one.since)))


def needs_rows(patient: Patient) -> bool:
    """Whether something about this queue would be clearer with its rows."""
    queue: AnyQueue = patient.queue
    if patient.halves is None:
        return False
    driver, device = patient.halves
    if driver.broken or device.broken:
        return True
    return any(gate.waits and gate.still >= patient.stuck // 4 for gate in patient.watched.gates) and bool(
        queue.enabled
    )


_READING = 100_000_000  #: ns: it began between this reading and the one before
_KEPT = 256  #: findings that are gone
