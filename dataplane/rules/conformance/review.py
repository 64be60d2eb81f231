"""The audit beside a live source, within a share of the time, and what it found as findings.

Every store is some microseconds of looking, and a ring does millions a second: so what is looked at is what
a budget allows, which fills up while little happens. Where more comes it is left out whole, and the audit
goes on at the next keyframe; a pair that is stepped, frozen or slow is judged without a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dataplane.keyframe import Keyframe
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.row import Violation
from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.snapshot import Snapshot
from dataplane.source import Events, Frames

SHARE = 0.0003  #: seconds a reading
_SAVED = 100  #: readings whose share can be saved up
_COST = 20e-6  #: seconds an event or a frame, until one was measured
_STAYS = 10_000_000_000  #: ns that a violation is told of
_MOST = 64  #: findings at a time


class Review:
    """One thread at a time. `share`: seconds of looking at each reading; None: everything is looked at."""

    def __init__(self, share: float | None = SHARE) -> None:
        self.share = share
        self._audit: Audit | None = None
        self._saved = share * _SAVED if share else 0.0
        self._cost = self._frame_cost = _COST
        self._found: dict[tuple[str, int | None], tuple[Finding, int]] = {}  # and the time it was seen last
        self._left_out = 0  # the newest event that was not looked at

    def look(
        self, snapshot: Snapshot, events: Events, keyframe: Callable[[int], Keyframe | None]
    ) -> tuple[Finding, ...]:
        """One reading of a source: the moment, the events since the last one, and where its keyframes are.

        What was found stays for some seconds behind the last time that it happened.
        """
        rows = events.rows
        stores = snapshot.logs.trace_level == "stores" or snapshot.state == "frozen"
        if not stores or not self._afford(len(rows)):
            if len(rows):
                self._audit, self._left_out = None, int(rows["number"][-1])
        else:
            self._feed(snapshot, events, keyframe)
        self._found = {
            key: (finding, last)
            for key, (finding, last) in self._found.items()
            if snapshot.time - last < _STAYS
        }
        return tuple(finding for finding, _ in self._found.values())

    def frames(self, pull: Frames) -> None:
        """Frames that were logged, as far as the share of time goes; the next reading tells what was found.

        They may come before the events of their time.
        """
        if self._audit is None or not len(pull.rows):
            return
        if self.share is not None and len(pull.rows) * self._frame_cost > self._saved:
            return
        began = time.perf_counter()
        violations = self._audit.frames(pull)
        spent = time.perf_counter() - began
        self._saved -= spent
        self._frame_cost += (spent / len(pull.rows) - self._frame_cost) / 8
        for violation in violations:
            self._note(violation)

    def _afford(self, events: int) -> bool:
        if self.share is None:
            return True
        self._saved = min(self._saved + self.share, self.share * _SAVED)
        return events * self._cost <= self._saved

    def _feed(self, snapshot: Snapshot, events: Events, keyframe: Callable[[int], Keyframe | None]) -> None:
        began = time.perf_counter()
        if self._audit is None or len(self._audit.scene.rings) < len(snapshot.queues):
            image = keyframe(self._left_out)
            if image is not None and self._audit is None:
                self._audit = Audit(image)
            elif image is not None and self._audit is not None:
                self._audit.anchor(image)
        if self._audit is None:
            return
        violations = self._audit.feed(events.rows, events.lost)
        spent = time.perf_counter() - began
        self._saved -= spent
        if len(events.rows) > 16:
            self._cost += (spent / len(events.rows) - self._cost) / 8
        for violation in violations:
            self._note(violation)

    def _note(self, violation: Violation) -> None:
        finding = finding_of(violation)
        known = self._found.get(finding.key)
        if known is not None:
            self._found[finding.key] = known[0], violation.time
        elif len(self._found) < _MOST:
            self._found[finding.key] = finding, violation.time


def finding_of(violation: Violation) -> Finding:
    """A violation as the doctor tells of it: its row is the code."""
    row = violation.row
    return Finding(
        code=row.id,
        level=Level.WARNING if row.binding else Level.INFO,
        queue=violation.queue,
        since=violation.time,
        verdict=f"{violation.words}. The spec: {row.statement}",
        evidence=(Evidence("event", violation.number, violation.slot),),
        sections=(row.section,),
        vantage=row.vantage,
        confidence="certain",
    )
