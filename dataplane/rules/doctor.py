"""The doctor: every rule over every snapshot, and which findings are new, still there, or gone.

    doctor = Doctor()
    for snapshot in ...:
        for finding in doctor.look(snapshot):
            print(finding.verdict)

It reads snapshots and nothing else: no UI, no engine, and nothing of what is looked at changes. Snapshots
come in the order of time, at least four a second; a queue that has not moved for `stuck` seconds is stuck.
"""

from __future__ import annotations

from dataclasses import replace

from dataplane import features as f
from dataplane.rules import given_up, waiting
from dataplane.rules.finding import Finding
from dataplane.rules.gates import Gates
from dataplane.rules.patient import SECOND, Patient, Rule
from dataplane.snapshot import Snapshot

STUCK = 1.0  #: seconds: busy machines make a side late by some tenths, and nobody waits longer gladly

RULES: tuple[Rule, ...] = (*given_up.RULES, *waiting.RULES)


class Doctor:
    """Looks at one source. One thread at a time."""

    def __init__(self, stuck: float = STUCK) -> None:
        self._stuck = int(stuck * SECOND)
        self._gates = Gates()
        self.findings: tuple[Finding, ...] = ()  #: of the newest snapshot, the gravest first
        self.past: list[Finding] = []  #: those that are gone, the newest last

    def look(self, snapshot: Snapshot) -> tuple[Finding, ...]:
        """The findings of this snapshot, the gravest first; of one that stays `since` stays."""
        self._gates.look(snapshot)
        if snapshot.state == "past":
            return self.findings
        known = {finding.key: finding for finding in self.findings}
        found: dict[tuple[str, int | None], Finding] = {}
        if snapshot.status & f.STATUS_DRIVER_OK:
            for queue in snapshot.queues:
                if not queue.enabled:
                    continue
                patient = Patient(snapshot, queue, self._gates.of(queue), self._stuck)
                for rule in RULES:
                    for finding in rule(patient):
                        before = known.get(finding.key)
                        since = before.since if before is not None else finding.since
                        found.setdefault(finding.key, replace(finding, since=since))
        self.past.extend(one for key, one in known.items() if key not in found)
        del self.past[:-_KEPT]
        self.findings = tuple(sorted(found.values(), key=lambda one: (-one.level, one.since)))
        return self.findings


_KEPT = 256  #: findings that are gone
