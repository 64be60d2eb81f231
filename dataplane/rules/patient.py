"""What a rule looks at: one queue at one moment, and how long nothing has passed its gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataplane import features as f
from dataplane.records import Role, Side
from dataplane.rules.finding import Confidence, Evidence, Finding, Level
from dataplane.rules.gates import Gate, Gates, Standing, Watched
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, PackedQueue, Snapshot, SplitQueue

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Patient:
    """One queue; `stuck` is the time, in ns, after which what waits is stuck and not only late."""

    snapshot: Snapshot
    queue: AnyQueue
    watched: Watched
    stuck: int
    gates: Gates

    def has(self, bit: int) -> bool:
        """Whether a feature is negotiated."""
        return f.has(self.snapshot.identity.accepted, bit)

    @property
    def event_idx(self) -> bool:
        """Whether VIRTIO_F_EVENT_IDX is."""
        return self.has(f.F_EVENT_IDX)

    @property
    def at_rest(self) -> bool:
        """Whether nothing of the queue moved for so long that memory and private state can be compared: at
        speed a snapshot is no instant."""
        return self.gates.quiet or self.watched.rest.still >= self.stuck // 2

    def rests(self, side: Side) -> bool:
        """The same of one side alone: the other may go on."""
        return self.gates.quiet or self.watched.sides[side].still >= self.stuck // 2

    def stands(self, gate: Gate) -> bool:
        """Whether something waits at a gate and nothing has passed it for half the time that is too long."""
        standing = self.watched.gates[gate]
        return bool(standing.waits) and (self.gates.quiet or standing.still >= self.stuck // 2)

    @property
    def settled(self) -> bool:
        """Whether what stands in memory is the end of the story of a side that gave up."""
        return self.at_rest or self.snapshot.state != "running"

    @property
    def halves(self) -> tuple[DriverState, DeviceState] | None:
        """Both sides' own state, where both are ours."""
        if self.queue.driver is None or self.queue.device is None:
            return None
        return self.queue.driver, self.queue.device

    def late(self, gate: Gate) -> Standing | None:
        """The gate, where something has waited there for too long; at a pair that rests with both sides
        asleep and nothing on its way, where it would wait for ever."""
        standing = self.watched.gates[gate]
        if not standing.waits:
            return None
        return standing if self.gates.quiet or standing.still >= self.stuck else None

    def waited(self, gate: Standing) -> str:
        """For how long, in words."""
        return "with both sides asleep" if self.gates.quiet else f"for {for_long(gate.still)}"

    def for_long(self, side: Side, asleep: bool) -> bool:
        """Whether a side has been asleep, or awake, for all the time that makes it stuck."""
        lasting = self.watched.asleep[side]
        return lasting.value is asleep and (self.gates.quiet or lasting.still >= self.stuck)

    def sleeps(self, side: Side, gate: Standing) -> bool:
        """Whether a side that something waits for sleeps: for all that time, or between turns at other
        queues, while it never came to this one."""
        half = self.queue.driver if side == Side.DRIVER else self.queue.device
        if self.for_long(side, asleep=True):
            return True
        dozes = half is not None and half.turns == gate.turns[side]
        return dozes and self.watched.asleep[side].value is True

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
        alike: tuple[str, ...] = (),
        decides: str = "",
    ) -> Finding:
        """A finding of this queue."""
        return Finding(
            code,
            level,
            self.queue.index,
            since,
            verdict,
            evidence,
            sections,
            vantage,
            confidence,
            alike,
            decides,
        )


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


def split(queue: AnyQueue) -> SplitQueue | None:
    """The queue, if it is split."""
    return queue if isinstance(queue, SplitQueue) else None


def packed(queue: AnyQueue) -> PackedQueue | None:
    """The queue, if it is packed."""
    return queue if isinstance(queue, PackedQueue) else None
