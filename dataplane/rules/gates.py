"""The three gates of a queue, and how long nothing has passed each while something waits there.

A buffer is made available, seen, used, collected: between two of these it waits for one side. Time counts
only while both sides run, so a frozen pair is never late, and a machine that stood still proves nothing.
What else has to last before it proves anything is counted here too: a side that is awake, a queue at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from dataplane.records import Side
from dataplane.rules.finding import Finding
from dataplane.snapshot import AnyQueue, PackedQueue, Snapshot

_DRIVER, _DEVICE = Side.DRIVER, Side.DEVICE
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
    turns: tuple[int, int] = (0, 0)  #: of driver and device at `since`,
    read: tuple[int, int] = (0, 0)  #: and the notifications that they had read


@dataclass(slots=True)
class Lasting:
    """Something that is so, and for how many ns of running it has been."""

    value: object = None
    still: int = 0
    seen: int = 0  #: readings in a row

    def see(self, value: object, ran: int) -> None:
        same = value == self.value
        self.still = self.still + ran if same else 0
        self.seen = self.seen + 1 if same else 1
        self.value = value


@dataclass(slots=True)
class Watched:
    """One queue over time."""

    generation: int
    turned: tuple[int, int]  #: turns of driver and device when it was first looked at
    gates: tuple[Standing, Standing, Standing] = field(
        default_factory=lambda: (Standing(), Standing(), Standing())
    )
    asleep: tuple[Lasting, Lasting] = field(default_factory=lambda: (Lasting(), Lasting()))
    rest: Lasting = field(default_factory=Lasting)  #: every position and count of both sides
    sides: tuple[Lasting, Lasting] = field(default_factory=lambda: (Lasting(), Lasting()))  #: of each
    backlog: tuple[Lasting, Lasting] = field(default_factory=lambda: (Lasting(), Lasting()))
    aligned: bool = False  #: both sides' positions agreed at some reading
    skew: Lasting = field(default_factory=Lasting)  #: of the device's position against its count
    empty: Lasting = field(default_factory=Lasting)  #: whether the device has no buffer, and used no more
    drops: int = 0  #: of the device, when that began
    dropped: tuple[Lasting, Lasting] = field(default_factory=lambda: (Lasting(), Lasting()))
    dropping: tuple[Lasting, Lasting] = field(default_factory=lambda: (Lasting(), Lasting()))  #: any at all
    refused: tuple[int, int] = (0, 0)  #: drops of both when it was first looked at
    quiet: tuple[int, int] = (0, 0)  #: decisions not to notify, when it was first looked at
    flags: bool = False  #: a flags word was not 0 in memory at some reading
    decided: tuple[int, int] = (0, 0)  #: decisions of both sides up to the last reading
    asked: tuple[int, int] = (0, 0)  #: of the last 64 readings with a new notification, a bit where it was
    #: not asked for
    delayed: list[int] = field(default_factory=list)  #: when the last calls came that were decided at one
    #: reading and not written yet at the next
    withheld: Lasting = field(default_factory=Lasting)  #: up to where such a call would tell
    before: AnyQueue | None = None  #: at the last reading, where its rows were copied
    stands: object = None  #: what the rules saw of it when they had nothing to say,
    silent: set[object] = field(default_factory=set)  #: and which had nothing


_GATES = tuple(Gate)


class Gates:
    """Follows the counts of every queue from one snapshot to the next."""

    def __init__(self) -> None:
        self._queues: dict[int, Watched] = {}
        self._last: Snapshot | None = None
        self._driver = Lasting()
        self.ran = 0  #: ns that both sides ran since the reading before
        self.quiet = False  #: a pair that rests with both sides asleep and no notification on its way

    def look(self, snapshot: Snapshot) -> None:
        """Take in the next snapshot, in the order of time."""
        last, self._last = self._last, snapshot
        ran = 0
        if last is not None and last.state == snapshot.state == "running":
            ran = min(max(snapshot.time - last.time, 0), _MOST)
        self.ran = ran
        for queue in snapshot.queues:
            self._queue(queue, snapshot.time, ran)
        self._driver.see(tuple(q.driver.turns if q.driver else 0 for q in snapshot.queues), ran)
        self.quiet = snapshot.state == "frozen" and all(_asleep(q) for q in snapshot.queues if q.enabled)

    def of(self, queue: AnyQueue) -> Watched:
        """A queue as it was at the newest snapshot."""
        return self._queues[queue.index]

    def waiting(self, finding: Finding) -> frozenset[Gate]:
        """The gates of its queue where something waits that nothing has passed since it began."""
        watched = None if finding.queue is None else self._queues.get(finding.queue)
        if watched is None:
            return frozenset()
        both = zip(Gate, watched.gates, strict=True)
        return frozenset(gate for gate, at in both if at.waits and at.since == finding.since)

    @property
    def driver_away(self) -> int:
        """ns of running in which the driver came to no queue at all."""
        return self._driver.still

    def _queue(self, queue: AnyQueue, now: int, ran: int) -> None:
        driver, device = queue.driver, queue.device
        turns = (driver.turns if driver else 0, device.turns if device else 0)
        read = (driver.kick.received if driver else 0, device.call.received if device else 0)
        watched = self._queues.get(queue.index)
        if watched is None or watched.generation != queue.generation:
            watched = self._queues[queue.index] = Watched(queue.generation, turns)
            watched.refused = (driver.drops if driver else 0, device.drops if device else 0)
            watched.quiet = (driver.kick.quiet if driver else 0, device.call.quiet if device else 0)
            ran = 0
        counts = (queue.published, queue.seen, queue.used, queue.collected)
        for gate in _GATES:
            standing = watched.gates[gate]
            waits, passed = max(counts[gate] - counts[gate + 1], 0), counts[gate + 1]
            if not waits or not standing.waits or passed != standing.passed:
                standing.since, standing.still = now, 0
                standing.turns, standing.read = turns, read
            else:
                standing.still += ran
            standing.waits, standing.passed = waits, passed
        watched.empty.see((queue.published == queue.used, queue.used), ran)
        if watched.empty.seen == 1:
            watched.drops = device.drops if device else 0
        watched.rest.see(positions(queue), ran)
        self._sides(watched, queue, now, ran)

    def _sides(self, watched: Watched, queue: AnyQueue, now: int, ran: int) -> None:
        driver, device = queue.driver, queue.device
        if not isinstance(queue, PackedQueue):
            watched.flags |= bool(queue.avail_flags or queue.used_flags)
        if driver is not None:
            mine = (driver.published, driver.collected, driver.added, driver.avail_idx, driver.last_used)
            watched.sides[_DRIVER].see((*mine, driver.free), ran)
            watched.asleep[_DRIVER].see(driver.asleep, ran)
            watched.backlog[_DRIVER].see((driver.backlog, driver.published, driver.collected), ran)
            watched.dropped[_DRIVER].see(driver.drops, ran)
            watched.dropping[_DRIVER].see(driver.drops > watched.refused[_DRIVER], ran)
        if device is None:
            return
        theirs = (device.seen, device.used, device.unflushed, device.holding, device.used_idx)
        watched.sides[_DEVICE].see((*theirs, device.last_avail), ran)
        watched.asleep[_DEVICE].see(device.asleep, ran)
        watched.backlog[_DEVICE].see((device.backlog, device.seen, device.used), ran)
        watched.dropped[_DEVICE].see(device.drops, ran)
        watched.dropping[_DEVICE].see(device.drops > watched.refused[_DEVICE], ran)
        withheld = device.call.told if device.call.told > device.call.reached else None
        lasted = watched.withheld.value is not None and watched.withheld.seen > 1
        if lasted and withheld is None and ran:
            watched.delayed = [*watched.delayed[-63:], now]
        watched.withheld.see(withheld, ran)


def positions(queue: AnyQueue) -> tuple[int, ...]:
    """Every count and position of both sides, and the indices in memory: equal twice, and nothing moved."""
    driver, device = queue.driver, queue.device
    mine = () if driver is None else (driver.added, driver.avail_idx, driver.last_used, driver.free)
    theirs = () if device is None else (device.unflushed, device.holding, device.last_avail, device.used_idx)
    if isinstance(queue, PackedQueue):
        return (*queue.before, *queue.after, *mine, *theirs)
    return (*queue.before, *queue.after, *mine, *theirs, queue.avail_idx, queue.used_idx)


def _asleep(queue: AnyQueue) -> bool:
    driver, device = queue.driver, queue.device
    if driver is None or device is None:
        return False
    return driver.asleep and device.asleep and not driver.kick.pending and not device.call.pending
