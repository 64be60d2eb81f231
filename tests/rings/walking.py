"""Random walks over rings that note what was there: moments of which a history must tell the same later.

Two kinds: a pair of our own sides that is frozen and stepped at random, and bare rings whose verbs are called
at random, which reaches what no driver of ours does (any order of completion, several tables at once).
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dataplane.bare import RINGS_MAX, Bare, Piece, Taken
from dataplane.history import History
from dataplane.keyframe import Keyframe
from dataplane.pair import Pair, PlayFrame
from dataplane.past import rebuild
from dataplane.past.chunk import make_chunk
from dataplane.records import EVENT, Kind, Path, Side
from dataplane.snapshot import AnyQueue, Array, Snapshot
from dataplane.source import START, Cursor
from tests.rings.staging import wait_until

MOST = 1 << 16  #: events that a log of ours holds of a side

#: indirect_desc, event_idx, in_order
COMBINATIONS = [
    ",".join(
        [
            *(
                f"{'' if on else '-'}{name}"
                for name, on in zip(("indirect_desc", "event_idx"), flags[:2], strict=True)
            ),
            *(["in_order"] if flags[2] else []),
        ]
    )
    for flags in np.ndindex(2, 2, 2)
]


class Moment(NamedTuple):
    """What stood there after an event."""

    keyframe: Keyframe
    snapshot: Snapshot


def differences(there: Any, rebuilt: Any, path: str = "") -> list[str]:
    """Where two snapshots, or parts of such, differ, but for when a copy was made and how long it took."""
    if type(there) is not type(rebuilt):
        return [f"{path}: {type(there).__name__}, not {type(rebuilt).__name__}"]
    if dataclasses.is_dataclass(there):
        fields = [f.name for f in dataclasses.fields(there) if f.name not in ("time", "duration")]
        return [d for n in fields for d in differences(getattr(there, n), getattr(rebuilt, n), f"{path}.{n}")]
    if isinstance(there, np.ndarray):
        same = there.dtype == rebuilt.dtype and there.tobytes() == rebuilt.tobytes()
        wrong = [] if same else [f"{path}: {there} was {rebuilt}"]
        return wrong + ([f"{path} can be written"] if rebuilt.flags.writeable else [])
    if isinstance(there, dict):
        if there.keys() != rebuilt.keys():
            return [f"{path}: {sorted(there)}, not {sorted(rebuilt)}"]
        return [d for key in there for d in differences(there[key], rebuilt[key], f"{path}[{key}]")]
    return [] if there == rebuilt else [f"{path}: {there} was {rebuilt}"]


def check(history: History, moment: Moment) -> None:
    """A moment that was noted is the same in the history: image, and every field of every queue."""
    number = moment.keyframe.number
    image, snapshot = history.image(number), history.at(number)
    for shape, *parts in zip(
        moment.keyframe.shapes,
        moment.keyframe.memory,
        image.memory,
        moment.keyframe.own,
        image.own,
        strict=True,
    ):
        for what, there, rebuilt in (("memory", *parts[:2]), ("own", *parts[2:])):
            at = next((i for i, (a, b) in enumerate(zip(there, rebuilt, strict=True)) if a != b), -1)
            assert there == rebuilt, f"event {number}, {shape.name}: {what} differs at byte {at}"
    assert image.shapes == moment.keyframe.shapes
    for queue in moment.snapshot.queues:
        assert not differences(queue, snapshot.queue(queue.index), f"event {number}, {queue.name}")
    assert snapshot.number == number and snapshot.state == "past"
    assert snapshot.status == moment.snapshot.status
    assert snapshot.config_generation == moment.snapshot.config_generation
    assert snapshot.queue_pairs == moment.snapshot.queue_pairs


@dataclass
class Walk:
    """What was noted on the way: every event, and some moments. `operations` counts what is no store."""

    moments: list[Moment] = field(default_factory=list)
    pulls: list[Array] = field(default_factory=list)
    operations: int = 0

    @property
    def rows(self) -> Array:
        return np.concatenate([np.zeros(0, EVENT), *self.pulls])

    def pull(self, source: Pair | Bare, cursor: Cursor) -> Cursor:
        events = source.events(cursor, most=MOST)
        assert not events.lost
        self.pulls.append(events.rows)
        self.operations += int((~np.isin(events.rows["kind"], (Kind.STORE, Kind.OWN))).sum())
        return events.cursor

    def note(self, source: Pair | Bare) -> None:
        keyframe = source.keyframe()
        assert keyframe is not None
        self.moments.append(Moment(keyframe, source.snapshot()))

    def history(self, budget: int = 1 << 40) -> History:
        """One append, and an image of the start and of each moment that no other one leads to."""
        history = History(budget)
        history.append(self.rows)
        for moment in self.moments:
            history.anchor(moment.keyframe)
        return history

    def recorded(self, events: int) -> History:
        """The same as chunks of at least so many rows, so that ranges begin and end amidst them."""
        rows = self.rows
        ends = np.flatnonzero(rows["kind"] != Kind.OWN)[events::events] + 1
        parts = [part for part in np.split(rows, ends) if len(part)]
        return History.of(map(make_chunk, parts), [moment.keyframe for moment in self.moments])


def walk_pair(
    dice: random.Random, packed: bool, features: str, operations: int, noted: int, resets: bool = True
) -> Walk:
    """A pair stepped at random: by store, operation and turn, run for a while, its queues reset.

    Without `resets` everything is journaled from the first store on and nothing ever rewrites a ring.
    """
    sizes = (1, 2, 3, 5, 8, 16, 64, 100) if packed else (1, 2, 4, 8, 16, 64)
    paths = [Path.AUTO, Path.CHAIN, Path.DIRECT, Path.FIXED]
    paths += [] if "-indirect_desc" in features else [Path.INDIRECT]
    pair = Pair(
        layout="packed" if packed else "split",
        queue_size=dice.choice(sizes),
        features=features,
        path=dice.choice(paths),
        start_index=dice.choice((0, 7, 65530)),
        start_wrap=dice.randrange(2),
        trace=dice.choice(("operations", "stores")) if resets else "stores",
        frozen=True,
    )
    walk = Walk()
    with pair:
        if dice.random() < 0.5:
            pair.flood(length=dice.choice((64, 700, 1500)))
        else:
            pair.play(
                [
                    PlayFrame(i * 1000, dice.randrange(2), bytes(dice.choice((64, 300, 1500))))
                    for i in range(99)
                ]
            )
        pair.start()
        walk.note(pair)
        cursor = START
        every = max(operations // noted, 1)
        while walk.operations < operations:
            walk_on(dice, pair, resets)
            cursor = walk.pull(pair, cursor)
            if walk.operations >= every * len(walk.moments) or walk.pulls[-1]["kind"].tolist()[-1:] == [
                Kind.QUEUE_RESET
            ]:
                walk.note(pair)
        walk.note(pair)
    return walk


def walk_on(dice: random.Random, pair: Pair, resets: bool) -> None:
    draw = dice.random()
    if draw < 0.01 and resets:
        pair.reset_queue(dice.randrange(3))
    elif draw < 0.02:
        before = pair.info()["number"]
        pair.set_rate(dice.choice((2_000, 20_000)))
        pair.trace(dice.choice(("stores", "stores", "operations")) if resets else "stores")
        pair.run()
        wait_until(lambda: pair.info()["number"] > before + 50, "the pair runs")
        pair.freeze()
    else:
        unit = dice.choice(("store", "operation", "turn"))
        pair.step(
            dice.choice(list(Side)), unit, dice.choice((1, 1, 2, 3, 10) if unit != "turn" else (1, 2, 5))
        )


# ---- bare rings -----------------------------------------------------------------------------------------


@dataclass
class Hand:
    """Plays both sides of bare rings. `way` has of each buffer (ring, position) the events of its stages."""

    rings: Bare
    dice: random.Random
    in_order: bool
    indirect: bool
    size: int
    count: int
    held: list[list[Taken]] = field(default_factory=list)
    unshown: list[list[int]] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    way: dict[tuple[int, int], dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = [[] for _ in range(self.count)]
        self.unshown = [[] for _ in range(self.count)]
        self.added = [0] * self.count

    def go(self) -> None:
        ring = self.dice.randrange(self.count)
        verbs = (
            ("add",) * 4
            + ("publish",) * 2
            + ("next",) * 4
            + ("complete",) * 3
            + ("flush",) * 2
            + ("collect",) * 4
        )
        verb = self.dice.choice(
            (*verbs, "kick_needed", "call_needed", "calls_on", "calls_off", "kicks_on", "kicks_off")
        )
        if hasattr(self, verb):
            getattr(self, verb)(ring)
        else:
            getattr(self.rings, verb)(ring)

    def told(self, ring: int, position: int, stage: str) -> None:
        self.way.setdefault((ring, position), {})[stage] = int(self.rings.info()["number"]) - 1

    def add(self, ring: int) -> None:
        table = self.indirect and self.dice.random() < 0.5
        most = min(self.size, 64) if table else self.size
        many = self.dice.choice((1, 1, 1, 2, 3, self.dice.randint(1, most)))
        many = min(many, most)
        writable = self.dice.randint(0, many)
        pieces = [Piece(self.rings.place(16), 16, i >= many - writable) for i in range(many)]
        if self.rings.add(pieces, table, ring) is not None:
            self.told(ring, self.added[ring], "added")
            self.added[ring] += 1

    def next(self, ring: int) -> None:
        if sum(t.descriptors for t in self.held[ring]) > self.size + 60:
            return
        taken = self.rings.next(ring)
        if taken is not None:
            self.told(ring, taken.position, "seen")
            self.held[ring].append(taken)

    def complete(self, ring: int) -> None:
        held = self.held[ring]
        if not held:
            return
        count = self.dice.randint(1, min(len(held), 32))
        if not self.in_order:
            self.dice.shuffle(held)
        done, self.held[ring] = held[:count], held[count:]
        batch = self.in_order and self.dice.random() < 0.5
        self.rings.complete(
            [taken.done(self.dice.choice((0, taken.writable))) for taken in done], batch, ring
        )
        for taken in done:
            self.told(ring, taken.position, "completed")
        self.unshown[ring] += [taken.position for taken in done]

    def flush(self, ring: int) -> None:
        self.rings.flush(ring)
        for position in self.unshown[ring]:
            self.told(ring, position, "used")
        self.unshown[ring] = []

    def collect(self, ring: int) -> None:
        back = self.rings.collect(ring)
        if back is not None:
            self.told(ring, back.position, "collected")


def walk_bare(
    dice: random.Random, packed: bool, features: str, operations: int, noted: int
) -> tuple[Walk, Hand]:
    """Verbs at random on bare rings."""
    size = dice.choice((1, 2, 3, 6, 8, 13, 32) if packed else (1, 2, 4, 8, 32))
    count = dice.randint(1, min(3, RINGS_MAX))
    rings = Bare(
        layout="packed" if packed else "split",
        size=size,
        features=features,
        start_index=dice.randrange(size) if packed else dice.choice((0, 5, 65531)),
        start_wrap=dice.randrange(2),
        rings=count,
    )
    walk = Walk()
    with rings:
        hand = Hand(rings, dice, "in_order" in features, "-indirect" not in features, size, count)
        walk.note(rings)
        cursor = START
        every = max(operations // noted, 1)
        while walk.operations < operations:
            for _ in range(min(every, 1000)):
                hand.go()
            cursor = walk.pull(rings, cursor)
            walk.note(rings)
    return walk, hand


def rebuilt(keyframe: Keyframe) -> list[AnyQueue]:
    """Every queue of a keyframe, as `rebuild` makes it."""
    parts = zip(keyframe.shapes, keyframe.memory, keyframe.own, strict=True)
    return [rebuild.queue(shape, memory, own, keyframe.time) for shape, memory, own in parts]
