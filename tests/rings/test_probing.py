"""What a spare kick or call proves: of queues that stand still for every reason there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from capture.play import load_mix
from dataplane import features as f
from dataplane.faults_text import parse_fault
from dataplane.pair import Pair, PlayFrame
from dataplane.records import Reason, Role
from dataplane.rules import probing
from dataplane.rules.doctor import Doctor
from dataplane.rules.probing import Judged, Kind
from dataplane.snapshot import AnyQueue
from tests import fakes
from tests.fakes import Counts

LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


def still(layout: str, *counts: int) -> AnyQueue:
    """A queue with these counts: published, seen, used, collected."""
    packed = layout == "packed"
    queue = (fakes.packed if packed else fakes.split)(16, Counts(*counts))
    assert queue.driver is not None and queue.device is not None
    return queue


def after(queue: AnyQueue, counts: tuple[int, int, int, int], **device: Any) -> AnyQueue:
    assert queue.device is not None
    return replace(queue, before=counts, after=counts, device=replace(queue.device, **device))


@LAYOUTS
def test_what_moves_had_not_been_told(layout: str) -> None:
    before = still(layout, 41, 38, 38, 38)
    told = probing.judge("kick", before, after(before, (43, 43, 41, 38)), True)
    assert told.answer == "lost" and told.verdict.startswith("seen moved 38 -> 43: the kick had been lost")
    assert told.codes and all(code.startswith("KICK_") for code in told.codes)
    assert [(move.stage, move.before, move.after) for move in told.moves] == [
        ("seen", 38, 43),
        ("used", 38, 41),
        ("collected", 38, 38),
    ]
    before = still(layout, 41, 41, 41, 38)
    told = probing.judge("call", before, after(before, (41, 41, 41, 41)), True)
    assert told.answer == "lost" and "the call had been lost" in told.verdict
    assert all(code.startswith("CALL_") for code in told.codes)


@LAYOUTS
def test_a_part_that_moves_is_a_limit(layout: str) -> None:
    before = still(layout, 45, 38, 38, 38)
    told = probing.judge("kick", before, after(before, (45, 41, 41, 41)), True)
    assert (told.answer, told.codes) == ("stops", ("DEVICE_STOPS_EARLY",))
    assert "4 buffers of before" in told.verdict and "3 once more" in told.next


@LAYOUTS
@pytest.mark.parametrize(
    ("device", "answer", "words"),
    [
        ({"turns": 5}, "refuses", "came to the queue"),
        ({"asleep": True}, "deaf", "does not read its kicks"),
        ({"asleep": False}, "refuses", "does not come to this queue"),
        ({"broken": Reason.CHAIN_LOOP}, "refuses", "CHAIN_LOOP"),
    ],
)
def test_nothing_moves(layout: str, device: dict[str, Any], answer: str, words: str) -> None:
    before = still(layout, 41, 38, 38, 38)
    assert before.device is not None
    if "turns" in device:
        device = {"turns": before.device.turns + 5}
    told = probing.judge("kick", before, after(before, before.after, **device), True)
    assert told.answer == answer and words in told.verdict


def test_a_notification_that_was_read_says_so() -> None:
    before = still("split", 41, 38, 38, 38)
    assert before.device is not None
    read = replace(before.device.call, received=before.device.call.received + 1)
    told = probing.judge("kick", before, after(before, before.after, call=read), True)
    assert told.answer == "refuses" and "read the kick" in told.verdict
    assert told.codes == ("DEVICE_NOT_CONSUMING",)


def test_the_other_sides_own_kick_proves_nothing() -> None:
    before = still("split", 41, 38, 38, 38)
    assert before.driver is not None
    moved = after(before, (43, 43, 38, 38))
    assert moved.driver is not None
    own = replace(moved.driver, kick=replace(moved.driver.kick, sent=moved.driver.kick.sent + 1))
    told = probing.judge("kick", before, replace(moved, driver=own), True)
    assert told.answer == "nothing" and "of its own" in told.verdict
    lost = replace(own, kick=replace(own.kick, lost=1))  # decided, and never written: it told nobody
    assert probing.judge("kick", before, replace(moved, driver=lost), True).answer == "lost"


def test_where_nothing_waits_nothing_is_proven() -> None:
    idle = still("split", 41, 41, 41, 41)
    assert probing.judge("kick", idle, idle, True).answer == "nothing"
    uncollected = still("split", 41, 41, 41, 38)
    assert "probe with a call" in probing.judge("kick", uncollected, uncollected, True).next
    held = still("split", 41, 41, 38, 38)
    assert "the device holds 3 buffers" in probing.judge("kick", held, held, True).next
    shown = probing.judge("kick", held, after(held, (41, 41, 41, 38)), True)
    assert shown.codes == ("USED_HELD_BACK",)
    other = replace(idle, generation=idle.generation + 1)
    assert "reset" in probing.judge("kick", idle, other, True).verdict


def test_which_one_is_proposed() -> None:
    assert probing.proposed(still("split", 41, 38, 38, 38)) == "kick"
    assert probing.proposed(still("split", 41, 41, 41, 38)) == "call"
    assert probing.proposed(still("split", 41, 38, 38, 30)) == "kick"
    assert "3 buffers wait:" in probing.foreseen("kick", still("split", 41, 38, 38, 38))
    assert "nothing waits" in probing.foreseen("call", still("split", 41, 38, 38, 38))


def test_empty_receive_buffers_prove_nothing() -> None:
    waiting = replace(still("split", 41, 38, 38, 38), role=Role.RECEIVE)
    told = probing.judge("kick", waiting, waiting, True)
    assert told.answer == "nothing" and not told.codes and "wait for frames" in told.verdict
    assert "wait for frames" in probing.foreseen("kick", waiting)
    assert waiting.device is not None
    held = replace(waiting, device=replace(waiting.device, backlog=1, asleep=True))
    assert probing.judge("kick", held, held, True).answer == "deaf"  # a frame is there
    used = replace(still("split", 41, 38, 38, 30), role=Role.RECEIVE)
    assert probing.proposed(used) == "call"


def test_sides_that_are_not_ours_are_judged_by_what_moves() -> None:
    before = replace(still("split", 41, 38, 38, 38), driver=None, device=None)
    same = probing.judge("kick", before, before, True)
    assert same.answer == "refuses" and "does not look" in same.verdict
    moved = replace(before, before=(41, 41, 41, 38), after=(41, 41, 41, 38))
    assert probing.judge("kick", before, moved, True).answer == "lost"


# ---- pairs that are stuck ------------------------------------------------------------------------------


def awaited(there: Callable[[], bool]) -> None:
    tired = time.monotonic() + 30
    while not there():
        assert time.monotonic() < tired, "it never came"
        time.sleep(0.05)


def probed(pair: Pair, kind: Kind, queue: int, moves: bool) -> Judged:
    """A probe; where it shall move something, it is waited for as long as it takes."""
    before = pair.snapshot(()).queue(queue)
    (pair.probe.kick if kind == "kick" else pair.probe.call)(queue)
    event_idx = f.has(pair.identity.accepted, f.F_EVENT_IDX)

    def judged() -> Judged:
        return probing.judge(kind, before, pair.snapshot(()).queue(queue), event_idx)

    if moves:
        awaited(lambda: judged().answer != "deaf" and "nothing moved" not in judged().verdict)
    else:
        time.sleep(probing.WAIT)
    return judged()


@LAYOUTS
@pytest.mark.parametrize(
    ("fault", "kind", "queue", "answer"),
    [
        ("lose_kick:after=5", "kick", 1, "lost"),
        ("stale_avail_event:after=5", "kick", 1, "lost"),
        ("deaf_kick:after=5", "kick", 1, "deaf"),
        ("blind:after=5", "kick", 1, "refuses"),
        ("lose_call:after=5", "call", 0, "lost"),
    ],
)
def test_a_pair_that_is_stuck(layout: str, fault: str, kind: Kind, queue: int, answer: str) -> None:
    with Pair(layout=layout) as pair:  # type: ignore[arg-type]
        pair.play(PlayFrame(one.offset_ns, one.direction, one.data, one.net_header) for one in load_mix())
        pair.start()
        for one in parse_fault(fault, pair.shapes()):
            pair.inject_fault(one)
        doctor = Doctor()

        def stuck() -> bool:
            doctor.look(pair.snapshot())
            return any(finding.queue == queue for finding in doctor.findings)

        awaited(stuck)
        told = probed(pair, kind, queue, moves=answer == "lost")
        assert told.answer == answer, told
