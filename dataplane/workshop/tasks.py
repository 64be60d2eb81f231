"""The tests of a half, in their order: each is small and has one thing in it that the ones before had not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataplane.workshop.bench import DeviceBench, DriverBench
from dataplane.workshop.split_driver import SplitDriverJudge


@dataclass(frozen=True, slots=True)
class Task:
    """One test: what it tries, how the queue is made, and the script."""

    name: str
    about: str
    run: Callable[[Any], None]
    size: int = 4
    start: int = 0
    wrap: int = 1
    event_idx: bool = False


# ---- a driver half ---------------------------------------------------------------------------------------


def one_buffer(bench: DriverBench) -> None:
    bench.collect()
    bench.add(64)
    bench.publish()
    bench.kick_needed()
    taken = bench.take()
    bench.collect()
    bench.use(taken)
    bench.collect()
    bench.collect()


def chain(bench: DriverBench) -> None:
    bench.round(12, 100, -200)
    bench.round(-1500)
    bench.round(16, -1)


def batch(bench: DriverBench) -> None:
    for length in (60, 61, -62):
        bench.add(length)
    bench.publish()
    bench.kick_needed()
    taken = [bench.take() for _ in range(3)]
    bench.use(*taken)
    for _ in range(4):
        bench.collect()


def laps(bench: DriverBench) -> None:
    for i in range(9):
        bench.round(40 + i, *((-8,) if i % 3 == 0 else ()))


def full(bench: DriverBench) -> None:
    for length in (50, 51, 52, 53):
        bench.add(length)
    bench.publish()
    bench.add(54)
    first = bench.take()
    bench.add(54)
    bench.use(first)
    bench.collect()
    bench.add(55)
    bench.publish()
    bench.add(56)
    taken = [bench.take() for _ in range(4)]
    bench.use(*taken)
    for _ in range(5):
        bench.collect()


def index_wraps(bench: DriverBench) -> None:
    for i in range(5):
        bench.round(30 + i)
    bench.add(40)
    bench.add(41)
    bench.publish()
    bench.use(bench.take(), bench.take())
    for _ in range(3):
        bench.collect()


def out_of_order(bench: DriverBench) -> None:
    for lengths in ((20, -20), (30,), (10, 11, -12), (40, 41)):
        bench.add(*lengths)
    bench.publish()
    a, b, c, d = (bench.take() for _ in range(4))
    bench.use(c, a)
    bench.collect()
    bench.collect()
    bench.add(1, 2, 3, 4, -5)
    bench.publish()
    e = bench.take()
    bench.use(d, e, b)
    for _ in range(3):
        bench.collect()
    for length in range(8):
        bench.add(60 + length)
    bench.publish()
    bench.add(99)
    bench.use(*(bench.take() for _ in range(8)))
    for _ in range(8):
        bench.collect()


def suppressed(bench: DriverBench) -> None:
    bench.kicks(False)
    bench.add(64)
    bench.publish()
    bench.kick_needed()
    bench.kicks(True)
    bench.add(65)
    bench.publish()
    bench.kick_needed()
    bench.use(bench.take(), bench.take())
    bench.collect()
    bench.collect()


def event_index(bench: DriverBench) -> None:
    """From 65,533 on, so that the arithmetic crosses the wrap."""
    for count in (1, 2, 3, 1):
        bench.kicks(True)  # avail_event: the next one
        for i in range(count):
            bench.add(70 + i)
        bench.publish()
        bench.kick_needed()
        bench.add(80)
        bench.publish()
        bench.kick_needed()
        bench.use(*(bench.take() for _ in range(count + 1)))
        for _ in range(count + 1):
            bench.collect()


def id_out_of_range(bench: DriverBench) -> None:
    bench.add(64)
    bench.publish()
    bench.take()
    bench.lie(9)
    bench.collect()


def id_twice(bench: DriverBench) -> None:
    bench.add(64)
    bench.add(65)
    bench.publish()
    first = bench.take()
    bench.take()
    bench.use(first)
    bench.collect()
    bench.lie(first.head)
    bench.collect()


def scribbled(bench: DriverBench) -> None:
    bench.add(10, 11, -12)
    bench.publish()
    taken = bench.take()
    judge = bench.judge
    assert isinstance(judge, SplitDriverJudge)
    judge.scribble(taken.head)
    bench.said("ours", "the device, against the rules, writes over descriptors that it was given", 0)
    bench.use(taken)
    bench.collect()
    judge.restore()
    bench.add(20, 21, 23, -22)
    bench.publish()
    bench.use(bench.take())
    bench.collect()


_DRIVER_START = (
    Task("one buffer", "a buffer goes round once, and nothing is collected that is not there", one_buffer),
    Task("a chain", "several pieces, readable before writable", chain),
    Task("a batch", "three buffers are added and published by one step", batch),
    Task("laps", "nine buffers through four slots: entries and descriptors are used again", laps),
    Task("a full ring", "no room is said when there is none, and room when something came back", full),
)
SPLIT_DRIVER = (
    *_DRIVER_START,
    Task("the index wraps", "from 65,534 on: 65,535 is followed by 0", index_wraps, start=65534),
    Task(
        "out of order", "the device gives chains back in another order than they came", out_of_order, size=8
    ),
    Task("no kicks wanted", "used.flags decides whether the device is told", suppressed),
    Task(
        "the event index",
        "avail_event decides, across the wrap too",
        event_index,
        start=65533,
        event_idx=True,
    ),
    Task("a device that lies: id", "used.id is larger than the queue", id_out_of_range),
    Task("a device that lies: twice", "used.id names a buffer that came back before", id_twice),
    Task("a device that scribbles", "descriptors do not hold what was written there", scribbled),
)

# ---- a device half ---------------------------------------------------------------------------------------


def device_one(bench: DeviceBench) -> None:
    bench.next()
    id = bench.add(64)
    bench.next()
    bench.publish()
    bench.next()
    bench.next()
    bench.complete(id, 0)
    bench.flush()
    bench.call_needed()
    bench.collect()


def device_chain(bench: DeviceBench) -> None:
    bench.round(12, 100, -200)
    bench.round(-1500)
    bench.round(16, -1)


def device_batch(bench: DeviceBench) -> None:
    ids = [bench.add(60), bench.add(61), bench.add(-62)]
    bench.publish()
    for _ in range(4):
        bench.next()
    for id in ids:
        bench.complete(id, 62 if id == ids[2] else 0)
    bench.flush()
    bench.call_needed()
    for _ in ids:
        bench.collect()


def device_laps(bench: DeviceBench) -> None:
    for i in range(9):
        bench.round(40 + i, *((-8,) if i % 3 == 0 else ()))


def device_wraps(bench: DeviceBench) -> None:
    for i in range(5):
        bench.round(30 + i)
    ids = [bench.add(40), bench.add(-41)]
    bench.publish()
    bench.next()
    bench.next()
    bench.next()
    for id in ids:
        bench.complete(id, 0)
    bench.flush()
    bench.collect()
    bench.collect()


def device_order(bench: DeviceBench) -> None:
    ids = [bench.add(20, -20), bench.add(30), bench.add(10, 11, -12), bench.add(-40)]
    bench.publish()
    for _ in ids:
        bench.next()
    bench.complete(ids[2], 12)
    bench.complete(ids[0], 5)
    bench.flush()
    bench.collect()
    bench.collect()
    later = bench.add(1, 2, -3)
    bench.publish()
    bench.next()
    bench.complete(ids[3], 40)
    bench.flush()
    bench.complete(later, 3)
    bench.complete(ids[1], 0)
    bench.flush()
    for _ in range(3):
        bench.collect()


def device_suppressed(bench: DeviceBench) -> None:
    for on in (False, True):
        bench.calls(on)
        id = bench.add(64)
        bench.publish()
        bench.next()
        bench.complete(id, 0)
        bench.flush()
        bench.call_needed()
        bench.collect()


def device_event_index(bench: DeviceBench) -> None:
    """From 65,533 on, so that the arithmetic crosses the wrap."""
    for count in (1, 2, 3, 1):
        bench.calls(True)  # used_event: the next one
        ids = [bench.add(70 + i) for i in range(count + 1)]
        bench.publish()
        for _ in ids:
            bench.next()
        for id in ids[:-1]:
            bench.complete(id, 0)
        bench.flush()
        bench.call_needed()
        bench.complete(ids[-1], 0)
        bench.flush()
        bench.call_needed()
        for _ in ids:
            bench.collect()


def _driver_lies(
    bench: DeviceBench,
    lengths: tuple[int, ...],
    lies: Mapping[tuple[str, int, str], int],
    told: str,
    wrong: tuple[str, str, str],
) -> None:
    """A buffer is published, and then the driver writes what it must not: next() has to find it."""
    bench.add(*lengths)
    bench.publish()
    for where, value in lies.items():
        bench.judge.put_theirs(bench.judge.at(*where), value)
    bench.judge.lies(*wrong)
    bench.said("ours", f"a driver that lies: {told}", 0)
    bench.next()


def driver_head(bench: DeviceBench) -> None:
    what = "avail.ring[0] is 9, and the table has 4 descriptors"
    would = (
        "A device that believes it reads behind the end of the table and takes whatever stands there for "
        "an address."
    )
    _driver_lies(bench, (64,), {("avail_ring", 0, ""): 9}, "avail.ring[0] is 9", (what, would, "2.7.6"))


def driver_loop(bench: DeviceBench) -> None:
    what = "the chain 0, 1, 2 leads back to 0: a loop, longer than the queue"
    would = "A device that follows it never comes back."
    lies = {("desc", 2, "flags"): 1, ("desc", 2, "next"): 0}
    _driver_lies(bench, (10, 11, 12), lies, "the chain leads back to its head", (what, would, "2.7.5.2"))


def driver_next(bench: DeviceBench) -> None:
    what = "desc[0].next is 7, and the table has 4 descriptors"
    would = "A device that believes it reads behind the end of the table."
    _driver_lies(bench, (10, 11), {("desc", 0, "next"): 7}, "desc[0].next is 7", (what, would, "2.7.5"))


def driver_jump(bench: DeviceBench) -> None:
    what = "avail.idx is 40 after 0: more buffers than the queue has descriptors"
    would = "A device that believes it takes the same heads again and again."
    _driver_lies(bench, (64,), {("avail_idx", 0, ""): 40}, "avail.idx is 40", (what, would, "2.7.6"))


def driver_changes(bench: DeviceBench) -> None:
    judge = bench.judge
    bench.add(10, -11)
    bench.publish()
    for at, value in (
        (judge.at("avail_ring", 0), 3),
        (judge.at("desc", 0, "flags"), 0),
        (judge.at("desc", 0, "next"), 0),
        (judge.at("desc", 1, "len"), 1 << 20),
        (judge.at("desc", 1, "addr"), 0),
    ):
        judge.bait[at] = value
    bench.said("ours", "a driver that changes what it gave, once it was loaded", 0)
    bench.next()


SPLIT_DEVICE = (
    Task(
        "one buffer",
        "a buffer is taken once and given back, and nothing is taken that is not there",
        device_one,
    ),
    Task("a chain", "several pieces, followed by NEXT to the last", device_chain),
    Task("a batch", "three buffers are taken, completed and made visible by one step", device_batch),
    Task("laps", "nine buffers through four slots", device_laps),
    Task("the index wraps", "from 65,534 on: 65,535 is followed by 0", device_wraps, start=65534),
    Task("out of order", "buffers are given back in another order than they came", device_order, size=8),
    Task("no calls wanted", "avail.flags decides whether the driver is told", device_suppressed),
    Task(
        "the event index",
        "used_event decides, across the wrap too",
        device_event_index,
        start=65533,
        event_idx=True,
    ),
    Task("a driver that lies: head", "an entry is larger than the queue", driver_head),
    Task("a driver that lies: next", "a chain leads out of the table", driver_next),
    Task("a driver that lies: a loop", "a chain has no end", driver_loop),
    Task("a driver that lies: avail.idx", "more buffers than there can be", driver_jump),
    Task("a driver that changes its mind", "what was loaded is another thing a moment later", driver_changes),
)


# ---- packed rings ----------------------------------------------------------------------------------------


def wrap_counters(bench: DriverBench) -> None:
    for i in range(7):
        bench.round(30 + i)
    bench.add(40, 41, -42)
    bench.publish()
    bench.use(bench.take())
    bench.collect()
    bench.collect()


PACKED_DRIVER = (
    *_DRIVER_START,
    Task("wrap counters", "two laps, and a chain across the end of the ring", wrap_counters),
    Task(
        "out of order", "the device gives chains back in another order than they came", out_of_order, size=8
    ),
    Task("no kicks wanted", "the device event structure decides whether it is told", suppressed),
    Task("the event index", "it names a slot and a lap", event_index, size=5, event_idx=True),
    Task("a device that lies: id", "the id is larger than the queue", id_out_of_range),
    Task("a device that lies: twice", "the id is that of a buffer that came back before", id_twice),
)
