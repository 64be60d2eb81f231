"""The doctor: silent where a queue only looks stuck, and naming the code where it is.

Real pairs with faults put into them, and moments of a pair at rest told as if time had passed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from dataplane.faults import Fault
from dataplane.faults_text import parse_fault
from dataplane.layout import need_event
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER, Reason, Side
from dataplane.rules.doctor import STUCK, Doctor
from dataplane.rules.finding import Finding
from dataplane.snapshot import AnyQueue, Snapshot

_FRAME = bytes(12) + b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(60)
_RX, _TX = 0, 1
LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


@contextmanager
def played(ways: tuple[int, ...], loop: bool = True, **options: Any) -> Iterator[Pair]:
    with Pair(**options) as pair:
        pair.play([PlayFrame(i * 1_000_000, way, _FRAME) for i in range(100) for way in ways], loop=loop)
        pair.control.set_rate(400)
        yield pair


def watch(doctor: Doctor, pair: Pair, seconds: float, until: Any = None) -> dict[str, Finding]:
    """All findings of so many seconds, by code and queue's name; ends where `until` says so."""
    found: dict[str, Finding] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        snapshot = pair.snapshot()
        for finding in doctor.look(snapshot):
            found[finding.code] = finding
        if until is not None and until():
            break
        time.sleep(1 / 15)
    return found


@LAYOUTS
@pytest.mark.parametrize("features", [(), "-event_idx", "+in_order", "-indirect_desc"])
def test_healthy_traffic_is_left_in_peace(layout: str, features: Any) -> None:
    doctor = Doctor()
    with played((TO_DEVICE, TO_DRIVER), layout=layout, features=features) as pair:
        pair.start()
        assert watch(doctor, pair, 1.0) == {}
        pair.freeze()  # time that nobody runs in is nobody's fault
        assert watch(doctor, pair, 0.5) == {}
        pair.run()
        pair.control.set_rate(1)
        pair.reset_queue(_TX)
        assert watch(doctor, pair, STUCK + 0.5) == {}  # nearly idle: receive buffers wait as they should
        assert not doctor.past


@LAYOUTS
@pytest.mark.parametrize("waits", ["poll", "interrupt"])
def test_floods_and_pollers_are_left_in_peace(layout: str, waits: Any) -> None:
    with Pair(layout=layout, queue_size=16, driver=waits, device=waits) as pair:  # type: ignore[arg-type]
        pair.flood(length=64)
        pair.start()
        assert watch(Doctor(), pair, STUCK + 0.5) == {}


FAULTS = [
    ("lose_kick:queue=tx0,after=5", TO_DEVICE, _TX, "KICK_MISSING"),
    ("lose_call:queue=rx0,after=5", TO_DRIVER, _RX, "CALL_MISSING"),
]


@LAYOUTS
@pytest.mark.parametrize("features", [(), "-event_idx"])
@pytest.mark.parametrize(("text", "way", "queue", "code"), FAULTS)
def test_a_lost_notification_is_named_and_so_is_its_end(
    layout: str, features: Any, text: str, way: int, queue: int, code: str
) -> None:
    doctor = Doctor()
    with played((way,), layout=layout, features=features) as pair:
        pair.start()
        for fault in parse_fault(text, pair.shapes()):
            pair.inject_fault(fault)
        found = watch(doctor, pair, 20, lambda: doctor.findings)
        assert list(found) == [code] and found[code].queue == queue
        assert found[code].sections and found[code].evidence
        pair.heal()
        (pair.probe.kick if queue == _TX else pair.probe.call)(queue)
        watch(doctor, pair, 20, lambda: not doctor.findings)
        assert doctor.findings == () and [one.code for one in doctor.past] == [code]


# ---- moments at rest, as if time had passed ------------------------------------------------------------


def stepped(layout: str, features: Any = (), *, to: str, rows: bool = True) -> Snapshot:
    """A pair of which one frame to the device is available, seen, done or used."""
    with Pair(layout=layout, features=features, queue_size=8, frozen=True) as pair:  # type: ignore[arg-type]
        pair.play([PlayFrame(0, TO_DEVICE, _FRAME)], loop=False)
        pair.start()

        def there() -> bool:
            queue = pair.snapshot(()).queue(_TX)
            assert queue.device is not None
            return {
                "available": queue.published > 0,
                "seen": queue.seen > 0,
                "done": queue.device.unflushed > 0,
                "used": queue.used > 0,
            }[to]

        for _ in range(200):
            if there():
                break
            pair.step(Side.DRIVER if not pair.snapshot(()).queue(_TX).published else Side.DEVICE)
        else:
            pytest.fail(f"no buffer was ever {to}")
        return pair.snapshot(None if rows else ())


def later(
    snapshot: Snapshot, *, driver: Any = None, device: Any = None, **memory: Any
) -> tuple[Finding, ...]:
    """What the doctor says of a moment that lasts, with changes to both halves and to memory of tx0."""

    def changed(queue: AnyQueue) -> AnyQueue:
        if queue.index != _TX:
            return queue
        assert queue.driver is not None and queue.device is not None
        halves = {
            "driver": replace(queue.driver, **{"asleep": True, **(driver or {})}),
            "device": replace(queue.device, **{"asleep": True, **(device or {})}),
        }
        return replace(queue, **halves, **memory)  # type: ignore[arg-type]

    first = replace(snapshot, state="running", queues=tuple(changed(queue) for queue in snapshot.queues))
    return lasting(Doctor(), first, 1.1 * STUCK)


def lasting(doctor: Doctor, moment: Snapshot, seconds: float, since: float = STUCK) -> tuple[Finding, ...]:
    """What it says in the end of a moment that is read ten times a second; before `since` nothing."""
    for tenth in range(int(10 * seconds) + 1):
        found = doctor.look(replace(moment, time=moment.time + tenth * 100_000_000))
        assert not found or tenth >= 10 * since
    return found


def quiet(queue: AnyQueue, side: str, event: int) -> dict[str, Any]:
    """The half of a side that decided, by this event value, to send nothing."""
    half = queue.driver if side == "kick" else queue.device
    notify = replace(getattr(half, side), answer="quiet", event=event, pending=0, told=0, reached=0)
    return {side: notify}


@LAYOUTS
@pytest.mark.parametrize("features", [(), "-event_idx"])
def test_available_and_not_told(layout: str, features: Any) -> None:
    moment = stepped(layout, features, to="available")
    queue = moment.queue(_TX)
    (finding,) = later(moment, driver=quiet(queue, "kick", 0))
    assert (finding.code, finding.queue) == ("KICK_MISSING", _TX)
    off = {"device_flags": 1} if layout == "packed" else {"used_flags": 1}
    if features or layout == "packed":
        (finding,) = later(moment, driver=quiet(queue, "kick", 0), **off)
        assert finding.code == "KICK_SUPPRESSED_FLAG"
    (finding,) = later(moment, device={"asleep": False})
    assert finding.code == "NOT_STARTED"
    assert queue.driver is not None
    read = {"kick": replace(queue.driver.kick, pending=1, told=1, reached=1)}
    (finding,) = later(moment, driver=read)
    assert finding.code == "KICK_UNSERVICED", "it was written, and nobody has read it"


def test_available_behind_an_event_that_nobody_crosses() -> None:
    moment = stepped("split", to="available")
    (finding,) = later(moment, driver=quiet(moment.queue(_TX), "kick", 0), avail_event=40_000)
    assert finding.code == "KICK_SUPPRESSED_EVENT"
    moment = stepped("packed", to="available")
    (finding,) = later(moment, driver=quiet(moment.queue(_TX), "kick", 0), device_flags=2, device_off_wrap=7)
    assert finding.code == "KICK_SUPPRESSED_EVENT"


@LAYOUTS
def test_seen_and_not_used(layout: str) -> None:
    moment = stepped(layout, to="seen")
    (finding,) = later(moment)
    assert finding.code == "INFLIGHT_STUCK"
    (finding,) = later(moment, device={"holding": 0})
    assert finding.code == "HEAD_NEVER_RETURNED"
    (finding,) = later(stepped(layout, to="done"))
    assert finding.code == "USED_HELD_BACK"


@LAYOUTS
def test_used_and_not_collected(layout: str) -> None:
    moment = stepped(layout, "-event_idx", to="used")
    queue = moment.queue(_TX)
    on = {"driver_flags": 0} if layout == "packed" else {"avail_flags": 0}
    off = {"driver_flags": 1} if layout == "packed" else {"avail_flags": 1}
    decided = quiet(queue, "call", 0)
    assert [f.code for f in later(moment, device=decided, **off)] == ["CALL_SUPPRESSED_FLAG"]
    (finding,) = later(moment, device=quiet(queue, "call", 1 << 16 if layout == "packed" else 1), **on)
    assert finding.code == "CALL_SUPPRESSED_STALE"
    assert queue.device is not None
    never = {"call": replace(queue.device.call, answer="none", pending=0, told=0, reached=0)}
    assert [f.code for f in later(moment, device=never, **on)] == ["CALL_MISSING"]
    assert [f.code for f in later(moment, driver={"asleep": False}, **on)] == ["DRIVER_SPINS"]


@pytest.mark.parametrize(
    ("side", "reason", "code"),
    [
        ("device", Reason.CHAIN_LOOP, "CHAIN_BAD"),
        ("device", Reason.BAD_ADDRESS, "ADDR_OUT_OF_RANGE"),
        ("device", Reason.DUPLICATE_HEAD, "ID_REUSED_WHILE_OUTSTANDING"),
        ("driver", Reason.ID_UNKNOWN, "USED_ID_INVALID"),
        ("driver", Reason.USED_LENGTH, "USED_LEN_BAD"),
        ("device", Reason.SIDE_FAILED, "DEVICE_BROKEN"),
        ("driver", Reason.SIDE_FAILED, "DRIVER_NOT_REAPING"),
    ],
)
def test_a_queue_given_up_names_what_the_other_side_did(side: str, reason: Reason, code: str) -> None:
    moment = replace(stepped("split", to="used", rows=False), state="running")
    queue = moment.queue(_TX)
    given_up = replace(getattr(queue, side), broken=reason)
    queues = tuple(replace(q, **{side: given_up}) if q.index == _TX else q for q in moment.queues)
    (finding,) = lasting(Doctor(), replace(moment, queues=queues), 1.1 * STUCK, STUCK / 2)
    assert finding.code == code and finding.confidence == "certain" and reason.name in finding.verdict


def test_a_starved_receive_queue_needs_frames_that_were_dropped() -> None:
    moment = replace(stepped("split", to="used"), state="running")

    def at(seconds: float, drops: int) -> Snapshot:
        queues = []
        for queue in moment.queues:
            if queue.index == _RX:
                assert queue.device is not None
                counts = (queue.after[0],) * 4
                queue = replace(queue, after=counts, device=replace(queue.device, drops=drops))
            queues.append(queue)
        return replace(moment, time=moment.time + int(seconds * 1e9), queues=tuple(queues))

    doctor = Doctor()
    for tenth in range(16):
        found = [one.code for one in doctor.look(at(tenth / 10, 3 if tenth < 13 else 5)) if one.queue == _RX]
        assert found == (["RX_STARVED"] if tenth >= 13 else [])


def test_a_machine_that_stood_still_proves_nothing() -> None:
    moment = replace(stepped("split", to="available"), state="running")
    doctor = Doctor()
    assert doctor.look(moment) == doctor.look(replace(moment, time=moment.time + int(60e9))) == ()
    assert not lasting(doctor, replace(moment, time=moment.time + int(61e9)), 0.2)


def test_crossing_an_event_is_walking_past_it() -> None:
    for old in (0, 5, 65530):
        for steps in (0, 1, 7, 300):
            new = (old + steps) & 0xFFFF
            walked = {(old + i) & 0xFFFF for i in range(steps)}
            for event in (*range(12), *range(65520, 65536), 40_000):
                assert need_event(event, new, old) == (event in walked)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lose_kik", "did you mean lose_kick?"),
        ("lose_kick:queue=tx9", "no queue is called 'tx9'; there are rx0, tx0, ctl"),
        ("lose_kick:after", "'after' has no value"),
        ("lose_kick:after=x", "after=x: that is no whole number"),
        ("lose_kick:after=1,after=2", "after is given twice"),
        ("drop_store", "which side has it?"),
        ("drop_store:area=used_idx,side=driver", "the device writes used_idx"),
    ],
)
def test_faults_that_cannot_be(text: str, words: str) -> None:
    with Pair(frozen=True) as pair, pytest.raises(ValueError, match=f"^.*{words.replace('?', '.')}") as told:
        parse_fault(text, pair.shapes())
    assert "\n" not in str(told.value)


def test_faults_as_they_are_written() -> None:
    with Pair(frozen=True) as pair:
        shapes = pair.shapes()
    assert parse_fault("lose_call:queue=0,after=3,count=2", shapes) == (
        Fault("lose_call", Side.DEVICE, queue=0, after=3, count=2),
    )
    assert parse_fault("delay_store:area=avail_ring,value=2", shapes) == (
        Fault("delay_store", Side.DRIVER, area="avail_ring", count=0, value=2),
    )
