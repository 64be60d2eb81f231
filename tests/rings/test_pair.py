"""The pair of a driver and a device: their modes, resting and stepping, resets, and every way to set one up.

A flood numbers its frames and sums one in a hundred over all its bytes; what arrives lost, repeated,
reordered or altered shows in the snapshot's `notes`, so "no notes" is what most of these tests ask for.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dataplane import features as f
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER, Kind, Label, Owner, Path, Side
from dataplane.snapshot import Snapshot
from dataplane.source import RingSource
from tests.rings.staging import wait_until

LAYOUT = pytest.mark.parametrize("layout", ["split", "packed"])
FRAMES = [
    PlayFrame(i * 1000, TO_DEVICE if i % 3 else TO_DRIVER, bytes([i]) * (60 + 100 * (i % 17)))
    for i in range(40)
]


def frames_of(snapshot: Snapshot) -> list[int]:
    """Frames that arrived so far, by receive and transmit queue."""
    counts = []
    for q in snapshot.queues[:-1]:
        assert q.driver and q.device
        counts.append(q.driver.frames if q.name.startswith("rx") else q.device.frames)
    return counts


def flooded(pair: Pair, least: int = 300) -> Snapshot:
    """Runs until every queue has carried so many frames more, then freezes; nothing went wrong."""
    before = frames_of(pair.snapshot(()))
    pair.run()

    def reached() -> bool:
        now = frames_of(pair.snapshot(()))
        return all(n - b >= least for n, b in zip(now, before, strict=True))

    wait_until(reached, f"{least} frames on every queue")
    pair.freeze()
    snapshot = pair.snapshot()
    assert snapshot.notes == ()
    assert all(not q.driver.broken and not q.device.broken for q in snapshot.queues if q.driver and q.device)
    return snapshot


# ---- modes ---------------------------------------------------------------------------------------------


@LAYOUT
@pytest.mark.parametrize("driver, device", list(itertools.product(("poll", "interrupt"), repeat=2)))
@pytest.mark.parametrize("event_idx", ["+", "-"])
def test_polling_and_sleeping(layout: Any, driver: Any, device: Any, event_idx: str) -> None:
    with Pair(layout=layout, driver=driver, device=device, features=f"{event_idx}event_idx") as pair:
        pair.flood()
        pair.start()
        snapshot = flooded(pair)
        for q in snapshot.queues:
            assert q.driver and q.device
            assert (q.driver.polling, q.device.polling) == (driver == "poll", device == "poll")
            if driver == "poll":
                assert q.driver.kick.received == 0
            if device == "poll":
                assert q.device.call.received == 0


@LAYOUT
def test_sleepers_wake_each_other(layout: Any) -> None:
    """Neither side polls and the traffic has a pace: each buffer arrives because somebody was told."""
    with Pair(layout=layout, driver="interrupt", device="interrupt", queue_size=4) as pair:
        pair.play(FRAMES)
        pair.start()
        wait_until(lambda: min(frames_of(pair.snapshot(()))) >= 13, "every frame of the list")
        tx = pair.snapshot(()).queue(1)
        assert tx.driver and tx.device and tx.driver.kick.sent > 0 and tx.device.call.received > 0
        assert pair.snapshot(()).notes == ()


FEATURES = ("indirect_desc", "event_idx", "in_order", "mrg_rxbuf", "csum")


@LAYOUT
@pytest.mark.parametrize("on", list(itertools.product("+-", repeat=len(FEATURES))), ids="".join)
def test_every_combination_of_features(layout: Any, on: tuple[str, ...]) -> None:
    changes = [sign + name for sign, name in zip(on, FEATURES, strict=True)]
    if "-csum" in changes:
        changes += ["-host_tso4", "-host_tso6", "-host_ecn"]
    with Pair(layout=layout, features=changes, queue_size=16) as pair:
        pair.flood(length=64 if on[3] == "+" else 200)
        pair.start()
        snapshot = flooded(pair)
        assert all(f.has(pair.identity.accepted, f.bit_of(c[1:])) == (c[0] == "+") for c in changes)
        assert all(q.exact for q in snapshot.queues)


@LAYOUT
@pytest.mark.parametrize("path", list(Path), ids=lambda p: p.name)
@pytest.mark.parametrize("length", [64, 300, 1500, 9000])
def test_every_path(layout: Any, path: Path, length: int) -> None:
    """How a frame becomes descriptors does not change what arrives."""
    if path == Path.FIXED and length == 9000:
        pytest.skip("the fixed mapping is for frames of one piece")
    with Pair(layout=layout, path=path, queue_size=32) as pair:
        pair.flood(length=length)
        pair.start()
        snapshot = flooded(pair)
        tx = snapshot.queue(1)
        assert tx.driver and tx.driver.path == path


SIZES = [("split", 2**n) for n in (0, 1, 2, 3, 10, 15)] + [("packed", n) for n in (1, 2, 3, 5, 7, 255, 1000)]


@pytest.mark.parametrize("in_order", ["-", "+"])
@pytest.mark.parametrize("layout, size", SIZES)
def test_every_size(layout: Any, size: int, in_order: str) -> None:
    with Pair(layout=layout, queue_size=size, features=f"{in_order}in_order") as pair:
        pair.flood()
        pair.start()
        snapshot = flooded(pair)
        assert [q.size for q in snapshot.queues] == [size, size, 64]


@LAYOUT
@pytest.mark.parametrize("start, wrap", [(65530, 1), (65535, 0), (65535, 1), (7, 0)])
@pytest.mark.parametrize("event_idx", ["+", "-"])
def test_rings_begin_anywhere(layout: Any, start: int, wrap: int, event_idx: str) -> None:
    """Indices run over 65535 and packed rings over their end while both sides sleep and wake."""
    with Pair(
        layout=layout,
        queue_size=8,
        start_index=start,
        start_wrap=wrap,
        features=f"{event_idx}event_idx",
        driver="interrupt",
        device="interrupt",
    ) as pair:
        pair.flood()
        pair.start()
        flooded(pair)


@LAYOUT
@pytest.mark.parametrize("pairs", [2, 4])
def test_queue_pairs(layout: Any, pairs: int) -> None:
    with Pair(layout=layout, queue_pairs=pairs, queue_size=16) as pair:
        pair.flood()
        pair.start()
        snapshot = flooded(pair)
        assert snapshot.queue_pairs == pairs and len(snapshot.queues) == 2 * pairs + 1
        assert [q.name for q in snapshot.queues[:3]] == ["rx0", "tx0", "rx1"]


@LAYOUT
@pytest.mark.parametrize("length", [64, 1514, 4000, 65535])
@pytest.mark.parametrize("features", ["", "-mrg_rxbuf", "-indirect_desc"])
def test_frames_of_any_length(layout: Any, length: int, features: str) -> None:
    with Pair(layout=layout, queue_size=64, features=features, mtu=65535) as pair:
        pair.flood(length=length)
        pair.start()
        flooded(pair, 60)


# ---- resting and stepping ------------------------------------------------------------------------------


@pytest.fixture(params=["split", "packed"])
def frozen(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with Pair(layout=request.param, queue_size=8, frozen=True) as pair:
        pair.play(FRAMES)
        pair.trace("stores")
        pair.start()
        yield pair


def rows(pair: Pair, cursor: Any) -> tuple[Any, Any]:
    events = pair.events(cursor)
    assert events.lost == 0
    return events.rows, events.cursor


def test_one_store_is_one_store(frozen: Pair) -> None:
    _, cursor = rows(frozen, (0, 0))
    for side in (Side.DRIVER, Side.DEVICE):
        for _ in range(30):
            taken = frozen.step(side, "store").taken
            new, cursor = rows(frozen, cursor)
            assert (new["kind"] == Kind.STORE).sum() == taken <= 1
            assert (new["side"] == side).all()


def test_one_operation_is_one_operation(frozen: Pair) -> None:
    _, cursor = rows(frozen, (0, 0))
    for i in range(60):
        side = (Side.DRIVER, Side.DEVICE)[i // 3 % 2]
        taken = frozen.step(side, "operation").taken
        new, cursor = rows(frozen, cursor)
        assert (~np.isin(new["kind"], (Kind.STORE, Kind.OWN))).sum() == taken <= 1
        assert (new["side"] == side).all()


@pytest.mark.parametrize("unit", ["store", "operation", "turn"])
def test_many_at_once_are_as_many_one_by_one(frozen: Pair, unit: Any) -> None:
    layout: Any = "packed" if frozen.identity.packed else "split"
    with Pair(layout=layout, queue_size=8, frozen=True) as other:
        other.play(FRAMES)
        other.trace("stores")
        other.start()
        for side in (Side.DRIVER, Side.DEVICE, Side.DRIVER):
            together = frozen.step(side, unit, 5).taken
            alone = sum(other.step(side, unit).taken for _ in range(5))
            assert together == alone or unit == "turn", "of turns without work two are enough"
        names = ["number", "kind", "side", "queue", "slot", "count", "place", "old", "new"]
        assert frozen.events().rows[names].tolist() == other.events().rows[names].tolist()


def test_the_other_side_rests(frozen: Pair) -> None:
    for _ in range(10):
        before = frozen.snapshot()
        frozen.step(Side.DRIVER, "turn")
        after = frozen.snapshot()
        assert [q.device for q in before.queues] == [
            q.device if q.device == p.device else None
            for p, q in zip(before.queues, after.queues, strict=True)
        ]
        frozen.step(Side.DEVICE, "turn")
        assert [q.driver for q in after.queues] == [q.driver for q in frozen.snapshot().queues]


def test_a_side_without_work_says_so(frozen: Pair) -> None:
    frozen.quiet()
    for _ in range(50):
        frozen.step(Side.DRIVER, "turn", 10)
        frozen.step(Side.DEVICE, "turn", 10)
    stepped = frozen.step(Side.DEVICE, "operation", 1000)
    assert stepped.taken < 1000 and stepped.why == "nothing to do"


@LAYOUT
@pytest.mark.parametrize("unit", ["store", "operation", "turn"])
def test_same_steps_same_journal(layout: Any, unit: Any) -> None:
    """Deterministic mode: two pairs, the same script, the same events and the same memory."""
    journals = []
    script = np.random.default_rng(5).integers(0, 2, 120)
    for _ in range(2):
        with Pair(layout=layout, queue_size=4, frozen=True) as pair:
            pair.play(FRAMES)
            pair.trace("stores")
            pair.start()
            taken = [pair.step(Side(int(side)), unit, 1 + i % 3) for i, side in enumerate(script)]
            events = pair.events().rows
            names = ["number", "kind", "side", "queue", "slot", "count", "place", "old", "new"]
            journals.append((taken, events[names].tolist()))
    assert journals[0] == journals[1]
    assert len(journals[0][1]) > 60


def test_a_step_of_nothing(frozen: Pair) -> None:
    number = frozen.snapshot().number
    assert frozen.step(Side.DEVICE, "operation", 0).taken == 0
    frozen.freeze()
    assert frozen.snapshot().number == number
    assert frozen.step(Side.DRIVER, "operation", 1).taken == 1


def test_a_frozen_pair_does_not_move(frozen: Pair) -> None:
    frozen.step(Side.DRIVER, "operation", 3)
    number = frozen.snapshot().number
    assert all(frozen.snapshot().number == number and frozen.snapshot().state == "frozen" for _ in range(50))
    assert all(q.exact for q in frozen.snapshot().queues)


@LAYOUT
def test_freezing_and_running_again_and_again(layout: Any) -> None:
    with Pair(layout=layout, queue_size=8) as pair:
        pair.flood()
        pair.start()
        for i in range(40):
            pair.freeze()
            snapshot = pair.snapshot()
            assert snapshot.state == "frozen" and pair.frozen
            assert all(q.exact for q in snapshot.queues)
            if layout == "split":  # a packed used element that is not shown yet stands over a descriptor
                assert not any(Label.IN_FLUX in q.label for q in snapshot.queues)
            pair.step(Side(i % 2), ("store", "operation", "turn")[i % 3], 1 + i % 7)
            pair.run()
        flooded(pair)


# ---- life and death ------------------------------------------------------------------------------------


@LAYOUT
@pytest.mark.parametrize("state", ["new", "set up", "flooding", "frozen", "half-way", "sleeping"])
def test_close_in_any_state(layout: Any, state: str) -> None:
    pair = Pair(layout=layout, queue_size=8, frozen=state in ("frozen", "half-way"))
    if state != "new":
        pair.flood()
    if state == "sleeping":
        pair.quiet()
    if state not in ("new", "set up"):
        pair.start()
    if state == "half-way":
        pair.step(Side.DRIVER, "store", 3)
    if state == "flooding":
        wait_until(lambda: pair.snapshot(()).queue(1).used > 100, "100 buffers")
    pair.close()
    pair.close()
    for act in (
        pair.snapshot,
        pair.events,
        pair.frames,
        pair.freeze,
        pair.run,
        pair.info,
        lambda: pair.memory(0, 1),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            act()


@LAYOUT
def test_close_while_others_read(layout: Any) -> None:
    """Readers in threads of their own get data or a RuntimeError, never anything else."""
    for _ in range(5):
        pair = Pair(layout=layout, queue_size=16)
        pair.flood()
        pair.start()
        problems: list[BaseException] = []
        began = threading.Barrier(4)

        def read(
            pair: Pair = pair, began: threading.Barrier = began, problems: list[BaseException] = problems
        ) -> None:
            began.wait()
            try:
                while True:
                    pair.snapshot()
                    pair.events()
                    pair.frames()
            except RuntimeError as error:
                if "closed" not in str(error):
                    problems.append(error)
            except BaseException as error:
                problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        began.wait()
        pair.snapshot()
        pair.close()
        for reader in readers:
            reader.join(30)
            assert not reader.is_alive()
        assert problems == []


@LAYOUT
@pytest.mark.parametrize("in_order", ["-", "+"])
def test_queues_are_reset_under_load(layout: Any, in_order: str) -> None:
    with Pair(layout=layout, queue_size=16, features=f"{in_order}in_order") as pair:
        pair.flood()
        pair.start()
        generations = {q.index: q.generation for q in pair.snapshot(()).queues}
        for i in range(30):
            queue = i % 3
            pair.reset_queue(queue)
            generations[queue] += 1
            assert pair.snapshot(()).queue(queue).generation == generations[queue]
            pair.kick(queue)
            pair.call(queue)
        flooded(pair)


def test_a_frozen_queue_is_reset(frozen: Pair) -> None:
    """In the middle of a turn, too; it begins anew, and the pair stays frozen."""
    for i in range(12):
        frozen.step(Side(i % 2), "store", 2 + i)
        frozen.reset_queue(i % 2)
        q = frozen.snapshot().queue(i % 2)
        assert frozen.frozen and q.published == q.collected == 0 and (q.owner == Owner.FREE).all()
    frozen.run()
    wait_until(lambda: min(frames_of(frozen.snapshot(()))) >= 5, "frames again")


def test_no_reset_without_the_feature() -> None:
    with Pair(features="-ring_reset") as pair, pytest.raises(RuntimeError, match="RING_RESET"):
        pair.reset_queue(0)


def test_the_rules_of_the_face() -> None:
    """What is asked wrongly gets one line."""
    with Pair(queue_size=8) as pair:
        assert isinstance(pair, RingSource)
        pair.start()
        with pytest.raises(RuntimeError, match="frozen"):
            pair.step(Side.DRIVER)
        with pytest.raises(RuntimeError, match="already"):
            pair.start()
        with pytest.raises(LookupError, match="not inside one region"):
            pair.memory(0, 16)
        with pytest.raises(KeyError, match="no queue 9; there are 0, 1, 2"):
            pair.snapshot().queue(9)
        with pytest.raises(ValueError, match="rate"):
            pair.set_rate(0)
        with pytest.raises(ValueError, match="out of range"):
            pair.flood(length=10)
        with pytest.raises(ValueError, match="no frame"):
            pair.play([])


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"layout": "ring"}, "neither split nor packed"),
        ({"queue_size": 0}, "queue size 0 is out of range: 1 to 32768"),
        ({"queue_size": 32769, "layout": "packed"}, "queue size 32769 is out of range"),
        ({"queue_size": 100}, "not a power of two"),
        ({"queue_pairs": 17}, "17 queue pairs are out of range"),
        ({"queue_pairs": 2, "features": "-mq"}, "more than one queue pair needs MQ"),
        ({"start_index": 65536}, "the start index is 0 to 65535"),
        ({"start_wrap": 2}, "the start wrap 0 or 1"),
        ({"mtu": 10}, "mtu 10 is out of range"),
        ({"path": Path.INDIRECT, "features": "-indirect_desc"}, "needs INDIRECT_DESC"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as error:
        Pair(**options)
    assert reason in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_flood_goes_over_the_pairs_in_use_alone(layout: Any) -> None:
    """5.1.6.5.6: what is told of the number of pairs holds for both sides from their next turn on."""
    with Pair(layout=layout, queue_pairs=2, queue_size=16) as pair:
        pair.flood()
        pair.start()
        wait_until(
            lambda: min(queue.used for queue in pair.snapshot(()).queues[:4]) > 1000, "traffic on both"
        )
        assert pair.command(4, 0, b"\1\0") == 0
        start = pair.snapshot(()).queue(1).used
        wait_until(lambda: pair.snapshot(()).queue(1).used > start + 10_000, "more sent")
        before = [pair.snapshot(()).queue(index).used for index in (2, 3)]
        start = pair.snapshot(()).queue(0).used
        wait_until(lambda: pair.snapshot(()).queue(0).used > start + 10_000, "more received")
        assert [pair.snapshot(()).queue(index).used for index in (2, 3)] == before
        driver, device = pair.snapshot(()).queue(3).driver, pair.snapshot(()).queue(2).device
        assert driver is not None and device is not None and not driver.backlog and not device.backlog
