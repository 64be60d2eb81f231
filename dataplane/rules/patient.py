"""What a rule looks at: one queue at one moment, and how long nothing has passed its gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataplane import features as f
from dataplane.records import Role
from dataplane.rules.finding import Confidence, Evidence, Finding, Level
from dataplane.rules.gates import Gate, Standing, Watched
from dataplane.snapshot import AnyQueue, Snapshot

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Patient:
    """One queue; `stuck` is the time, in ns, after which what waits is stuck and not only late."""

    snapshot: Snapshot
    queue: AnyQueue
    watched: Watched
    stuck: int

    @property
    def event_idx(self) -> bool:
        """Whether VIRTIO_F_EVENT_IDX is negotiated."""
        return f.has(self.snapshot.identity.accepted, f.F_EVENT_IDX)

    def late(self, gate: Gate) -> Standing | None:
        """The gate, where something has waited there for too long."""
        standing = self.watched.gates[gate]
        return standing if standing.waits and standing.still >= self.stuck else None

    def finding(
        self,
        code: str,
        since: int,
        verdict: str,
        *evidence: Evidence,
        sections: tuple[str, ...],
        vantage: str = "MS",
        level: Level = Level.FAULT,
        confidence: Confidence = "likely",
    ) -> Finding:
        """A finding of this queue."""
        return Finding(code, level, self.queue.index, since, verdict, evidence, sections, vantage, confidence)


Rule = Callable[[Patient], Iterator[Finding]]


def several(count: int, what: str = "buffer") -> str:
    """A number of things."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def for_long(ns: int) -> str:
    """How long something has waited."""
    return f"{ns / SECOND:.1f} s"


def is_receive(queue: AnyQueue) -> bool:
    """Whether buffers wait in this queue for what may never come: that is its work."""
    return queue.role == Role.RECEIVE
