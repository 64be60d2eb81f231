"""The three gates of a queue, and how long nothing has passed each while something waits there.

A buffer is made available, seen, used, collected: between two of these it waits for one side. Time counts
only while both sides run, so a frozen pair is never late, and a machine that stood still proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dataplane.snapshot import AnyQueue, Snapshot

#: ns that one reading proves: where whoever reads was kept from it, so were the two sides perhaps.
_MOST = 250_000_000


class Gate(IntEnum):
    """What a buffer waits for."""

    SEEN = 0  #: the device takes it
    USED = 1  #: the device completes it and shows it as used
    COLLECTED = 2  #: the driver takes it back


@dataclass(slots=True)
class Standing:
    """One gate: what passed and what waits; since when (ns since the epoch) nothing passed, and how many ns
    of that both sides ran."""

    passed: int = 0
    waits: int = 0
    since: int = 0
    still: int = 0


@dataclass(slots=True)
class Watched:
    """One queue over time."""

    generation: int
    gates: tuple[Standing, Standing, Standing]
    turns: tuple[int, int] = (0, 0)  #: of driver and device, when something passed last
    empty: int = 0  #: ns of running during which no buffer was the device's
    drops: int = 0  #: of the device, when that began


class Gates:
    """Follows the counts of every queue from one snapshot to the next."""

    def __init__(self) -> None:
        self._queues: dict[int, Watched] = {}
        self._last: Snapshot | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Take in the next snapshot, in the order of time."""
        last, self._last = self._last, snapshot
        ran = 0
        if last is not None and last.state == snapshot.state == "running":
            ran = min(max(snapshot.time - last.time, 0), _MOST)
        for queue in snapshot.queues:
            self._queue(queue, snapshot.time, ran)

    def of(self, queue: AnyQueue) -> Watched:
        """A queue as it was at the newest snapshot."""
        return self._queues[queue.index]

    def _queue(self, queue: AnyQueue, now: int, ran: int) -> None:
        watched = self._queues.get(queue.index)
        counts = (queue.published, queue.seen, queue.used, queue.collected)
        if watched is None or watched.generation != queue.generation:
            gates = (Standing(), Standing(), Standing())
            watched = self._queues[queue.index] = Watched(queue.generation, gates)
            ran = 0
        moved = False
        for gate in Gate:
            standing = watched.gates[gate]
            waits, passed = counts[gate] - counts[gate + 1], counts[gate + 1]
            if not waits or not standing.waits or passed != standing.passed:
                standing.since, standing.still = now, 0
                moved = True
            else:
                standing.still += ran
            standing.waits, standing.passed = waits, passed
        driver, device = queue.driver, queue.device
        if moved:
            watched.turns = (driver.turns if driver else 0, device.turns if device else 0)
        if queue.published != queue.used or not ran:
            watched.empty, watched.drops = 0, device.drops if device else 0
        else:
            watched.empty += ran
