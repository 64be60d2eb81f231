"""Healthy traffic of every kind, for long: nothing above information level is ever found.

Every combination of layout, EVENT_IDX, INDIRECT_DESC, IN_ORDER, MRG_RXBUF and of how each side waits gets a
pair that lives through bursts, idle time longer than the doctor's patience, floods, both sides stopped and
stepped by hand, queues reset, commands, and rates that change; sizes, paths, start indices and numbers of
queue pairs vary from one to the next. RINGSCOPE_FULL=1: 100 million buffers, 100,000 evaluations, at least
500 a combination; else each combination of layout and features once.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER, Path, Side
from dataplane.rules.finding import Level
from inspector.session import Session

FULL = os.environ.get("RINGSCOPE_FULL") == "1"
HERTZ = 15.0
AT_A_TIME = 12
BITS = ("event_idx", "indirect_desc", "in_order", "mrg_rxbuf")
WAITS = (("auto", "auto"), ("auto", "poll"), ("poll", "auto"), ("poll", "poll"))
_LARGE = "-guest_tso4,-guest_tso6,-guest_ecn"  # without MRG_RXBUF they would make every receive buffer large
_IDLE = 1.4  #: seconds: longer than what waits may stand still


@dataclass(frozen=True, slots=True)
class Combination:
    """One that is lived through; `seed` decides what it leaves open."""

    layout: str
    on: tuple[bool, ...]  #: of BITS
    waits: tuple[str, str]
    seed: int

    @property
    def features(self) -> str:
        spelt = ",".join(f"{'+' if on else '-'}{name}" for name, on in zip(BITS, self.on, strict=True))
        return spelt if self.on[3] else f"{spelt},{_LARGE}"

    def made(self) -> tuple[Pair, str]:
        """A pair, and how it was made, for whoever has to look into it."""
        rng = random.Random(f"{self.layout} {self.on} {self.waits} {self.seed}")
        packed = self.layout == "packed"
        sizes = (2, 8, 64, 100, 256, 1000) if packed else (2, 8, 32, 256, 1024)
        size = rng.choice(sizes)
        options: dict[str, Any] = {
            "layout": self.layout,
            "features": self.features,
            "driver": self.waits[0],
            "device": self.waits[1],
            "queue_size": size,
            "queue_pairs": rng.choice((1, 1, 2)),
            "path": rng.choice((Path.AUTO, Path.AUTO, Path.CHAIN)) if size > 8 else Path.AUTO,
            "start_index": rng.randrange(size) if packed else rng.choice((0, 65_530, 32_767, 7)),
        }
        return Pair(**options), str(options)


class Told:
    """Reads a pair as the screens do, and refuses everything above information level."""

    def __init__(self, pair: Pair, how: str) -> None:
        self.pair, self.how = pair, how
        self.session = Session(pair, budget_bytes=1 << 20, history_bytes=1 << 20)
        self.evaluations = 0

    def look(self, whole: bool) -> None:
        self.session.whole = None if whole else frozenset()
        findings = self.session.pull().findings
        self.evaluations += 1
        ill = [one for one in findings if one.level > Level.INFO]
        assert not ill, f"{self.how}: {[(one.code, one.queue, one.verdict) for one in ill]}"


@dataclass
class Sum:
    buffers: int = 0
    evaluations: int = 0
    least: int = 1 << 62  #: evaluations of a combination

    def add(self, buffers: int, evaluations: int) -> None:
        self.buffers += buffers
        self.evaluations += evaluations
        self.least = min(self.least, evaluations)


def lives(one: Combination, total: Sum, longer: float, often: float) -> Iterator[float]:
    """A life of `longer` times the seconds below, looked at `often` a second; yields when it goes on."""
    rng = random.Random(one.seed)
    pair, how = one.made()
    with pair:
        told = Told(pair, how)

        def goes(seconds: float) -> Iterator[float]:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                told.look(rng.random() < 0.2)
                yield time.monotonic() + 1 / often

        pair.play(_frames(rng), loop=True)
        pair.control.set_rate(300)
        pair.start()
        yield from goes(0.6 * longer)
        pair.control.set_rate(3)
        yield from goes(_IDLE)
        pair.freeze()
        told.look(True)
        for _ in range(12):
            pair.step(rng.choice((Side.DRIVER, Side.DEVICE)), rng.choice(("store", "operation", "turn")), 3)
            told.look(True)
        pair.run()
        pair.control.set_rate(2_000)
        yield from goes(0.4 * longer)
        for queue in range(2 * pair.snapshot(()).queue_pairs):
            pair.reset_queue(queue)
            told.look(False)
        pair.command(0, 0, b"\x01")  # VIRTIO_NET_CTRL_RX, promiscuous
        yield from goes(0.3 * longer)
        if pair.snapshot(()).queue_pairs > 1:
            pair.command(4, 0, struct.pack("<H", 1))  # VIRTIO_NET_CTRL_MQ, one pair
            yield from goes(0.3)
        pair.flood(length=rng.choice((64, 300, 1514)))
        pair.control.set_rate(None if FULL else 50_000)
        yield from goes(0.5 * longer)
        pair.quiet()
        yield from goes(_IDLE)
        snapshot = pair.snapshot(())
        assert not snapshot.notes, f"{how}: {snapshot.notes}"
        total.add(sum(queue.collected for queue in snapshot.queues), told.evaluations)


def _frames(rng: random.Random) -> list[PlayFrame]:
    """Both ways, of all sizes, in bursts with pauses between."""
    frames, now = [], 0
    for _ in range(200):
        now += rng.choice((0, 0, 0, 1_000, 50_000, 20_000_000))
        data = b"\x52\x54\0\0\0\x01\x52\x54\0\0\0\x02\x88\xb5" + bytes(rng.choice((46, 100, 600, 1500)))
        frames.append(PlayFrame(now, rng.choice((TO_DEVICE, TO_DRIVER)), data))
    return frames


def together(lives: Iterable[Iterator[float]], most: int) -> None:
    """All of them, `most` at a time, in one thread."""
    waiting = iter(lives)
    going = [(0.0, number, life) for number, life in zip(range(most), waiting, strict=False)]
    number = most
    while going:
        due, order, life = heapq.heappop(going)
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            heapq.heappush(going, (next(life), order, life))
        except StopIteration:
            if (fresh := next(waiting, None)) is not None:
                number += 1
                heapq.heappush(going, (0.0, number, fresh))


def combinations(waits: bool) -> list[Combination]:
    """All of layout and features; times how the sides wait, or with each of these in turn."""
    kinds = list(itertools.product(("split", "packed"), itertools.product((False, True), repeat=4)))
    if waits:
        return [Combination(*kind, wait, seed) for seed, wait in enumerate(WAITS) for kind in kinds]
    return [Combination(*kind, WAITS[(i + i // 4) % 4], i) for i, kind in enumerate(kinds)]


def test_no_false_alarm(record_property: Callable[[str, object], None]) -> None:
    total = Sum()
    some = combinations(waits=FULL)
    longer, often = (3.0, 200.0) if FULL else (1.0, HERTZ)
    most = 4 if FULL else AT_A_TIME
    together((lives(one, total, longer, often) for one in some), most)
    record_property(
        "told",
        f"healthy: {len(some)} combinations, {total.evaluations:,} evaluations"
        f" (at least {total.least:,} each), {total.buffers:,} buffers: nothing found",
    )
    assert total.buffers > (100_000_000 if FULL else 100_000)
    assert total.least >= (500 if FULL else 15)
    assert not FULL or total.evaluations >= 100_000
