"""What one spare kick or call proves about a queue that stands still.

    before = source.snapshot(()).queue(1)
    source.probe.kick(1)
    ...                                   # WAIT seconds
    print(judge("kick", before, source.snapshot(()).queue(1), event_idx=True).verdict)

What moves then had not been told; what does not move does not want to, or does not listen. A spare
notification is one that nothing asked for: both sides have to bear it (2.7.7.1, 2.7.10.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dataplane.rules import notices
from dataplane.rules.gates import Gate
from dataplane.rules.patient import is_receive, several
from dataplane.snapshot import AnyQueue, DeviceState, DriverState

Kind = Literal["kick", "call"]
#: The notification had been lost; of what waits only a part is taken; the side knows and takes nothing; it
#: does not read notifications; nothing follows.
Answer = Literal["lost", "stops", "refuses", "deaf", "nothing"]

WAIT = 0.5  #: seconds in which a side that listens has moved
#: Where the spec says that the side which gets it has to bear it.
SECTIONS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {"kick": ("2.7.10.2", "2.8.10"), "call": ("2.7.7.1", "2.8.10")}
)

_STAGES = ("seen", "used", "collected")


@dataclass(frozen=True, slots=True)
class Move:
    """A count before and after a probe, and how many buffers waited at the gate that leads to it."""

    stage: str
    before: int
    after: int
    waited: int
    waits: int

    @property
    def moved(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a probe: what passed each gate, what that proves in one line, and what to do next.

    `codes` are the findings that it speaks for, the likeliest first.
    """

    kind: Kind
    answer: Answer
    moves: tuple[Move, ...]
    verdict: str
    codes: tuple[str, ...]
    next: str


@dataclass(frozen=True, slots=True)
class _Probe:
    """A probe and the two looks around it."""

    kind: Kind
    before: AnyQueue
    after: AnyQueue
    event_idx: bool

    @property
    def side(self) -> str:
        """Who was notified."""
        return "device" if self.kind == "kick" else "driver"

    @property
    def moves(self) -> tuple[Move, ...]:
        return _moves(self.before, self.after)

    @property
    def gate(self) -> Move:
        """What the side that was notified takes."""
        return self.moves[Gate.SEEN if self.kind == "kick" else Gate.COLLECTED]

    def said(self, answer: Answer, verdict: str, *codes: str, then: str) -> Judged:
        return Judged(self.kind, answer, self.moves, verdict, codes, then)


def proposed(queue: AnyQueue) -> Kind:
    """Which of the two would tell more about what waits in this queue."""
    if queue.used == queue.collected:
        return "kick"
    return "call" if queue.published == queue.seen or _for_frames(queue) else "kick"


def _for_frames(queue: AnyQueue) -> bool:
    """Whether what is available waits for frames, as it does in a receive queue, and none is there."""
    return is_receive(queue) and (queue.device is None or not queue.device.backlog)


def foreseen(kind: Kind, queue: AnyQueue) -> str:
    """What it can prove, in one line, before it is sent."""
    side, does = ("device", "sees") if kind == "kick" else ("driver", "collects")
    waits = _moves(queue, queue)[Gate.SEEN if kind == "kick" else Gate.COLLECTED].waited
    if kind == "kick" and _for_frames(queue):
        return "empty buffers of a receive queue wait for frames: nothing moves unless one is there"
    if not waits:
        return f"nothing waits for the {side} here: a {kind} has nothing to tell it of"
    return f"{several(waits)} wait{'s' * (waits == 1)}: if the {side} {does} them now, it had not been told"


def judge(kind: Kind, before: AnyQueue, after: AnyQueue, event_idx: bool) -> Judged:
    """What is proven by two looks at a queue, right before a probe and `WAIT` seconds behind it."""
    probe = _Probe(kind, before, after, event_idx)
    gate, side = probe.gate, _notified(kind, after)
    if after.generation != before.generation:
        return probe.said("nothing", "the queue was reset meanwhile: this proves nothing", then="probe again")
    if side is not None and side.broken:
        why = f"the {probe.side} gave this queue up ({side.broken.name}): no notification can help"
        return probe.said("refuses", why, then="see what it gave up for; a reset starts the queue afresh")
    if not gate.waited:
        return _none_waited(probe)
    if not gate.moved:
        if kind == "kick" and _for_frames(after):
            why = "nothing moved: empty buffers of a receive queue wait for frames, and that is their work"
            return probe.said("nothing", why, then="see whether frames come to the device at all")
        return _unmoved(probe)
    if _told_itself(probe):
        other = "driver" if kind == "kick" else "device"
        why = f"{_went(gate)}, but the {other} sent a {kind} of its own meanwhile: this proves nothing"
        return probe.said("nothing", why, then="probe again, with less traffic")
    if gate.moved < gate.waited:
        left = several(gate.waited - gate.moved)
        code = "DEVICE_STOPS_EARLY" if kind == "kick" else "DRIVER_NOT_REAPING"
        why = f"{_went(gate)} and stopped, with {left} of before still waiting"
        then = f"probe again: {gate.moved:,} once more is a limit, and nobody comes back for the rest"
        return probe.said("stops", why, code, then=then)
    why, codes = _lost(probe)
    then = f"find where the {kind} gets lost: ringscope explain {codes[0]} tells the causes apart"
    return probe.said("lost", f"{_went(gate)}: the {kind} had been lost; {why}", *codes, then=then)


def _moves(before: AnyQueue, after: AnyQueue) -> tuple[Move, ...]:
    old = (before.published, before.seen, before.used, before.collected)
    new = (after.published, after.seen, after.used, after.collected)
    return tuple(
        Move(stage, old[to], new[to], max(old[to - 1] - old[to], 0), max(new[to - 1] - new[to], 0))
        for to, stage in enumerate(_STAGES, 1)
    )


def _went(move: Move) -> str:
    return f"{move.stage} moved {move.before:,} -> {move.after:,}"


def _notified(kind: Kind, queue: AnyQueue) -> DriverState | DeviceState | None:
    """The side that such a notification goes to, where it is ours."""
    return queue.device if kind == "kick" else queue.driver


def _written(kind: Kind, queue: AnyQueue) -> int | None:
    """How many notifications of its own the other side wrote to the eventfd."""
    if kind == "kick":
        own = queue.driver.kick if queue.driver is not None else None
    else:
        own = queue.device.call if queue.device is not None else None
    return None if own is None else own.sent - own.lost


def _told_itself(probe: _Probe) -> bool:
    before, after = _written(probe.kind, probe.before), _written(probe.kind, probe.after)
    return before != after


def _none_waited(probe: _Probe) -> Judged:
    held = probe.moves[Gate.USED]
    if probe.kind == "kick" and held.waited and held.moved >= held.waited:
        why = f"{_went(held)}: the device had finished, and showed it only when it was woken"
        return probe.said("lost", why, "USED_HELD_BACK", then="see what ends a batch of the device")
    elsewhere = probe.moves[Gate.COLLECTED if probe.kind == "kick" else Gate.SEEN]
    if elsewhere.waited:
        other = "call" if probe.kind == "kick" else "kick"
        then = f"{several(elsewhere.waited)} at the other side's gate: probe with a {other}"
    elif held.waited:
        then = f"the device holds {several(held.waited)}: no notification asks for them, look at the device"
    else:
        then = "nothing is outstanding: what is missing never came to this queue"
    return probe.said("nothing", f"nothing waited for the {probe.side}: this proves nothing", then=then)


def _unmoved(probe: _Probe) -> Judged:
    """Nothing passed: did the side that was notified read it, and did it come to the queue?"""
    kick = probe.kind == "kick"
    before, after = _notified(probe.kind, probe.before), _notified(probe.kind, probe.after)
    still = "nothing moved"
    if before is None or after is None:
        code = "DEVICE_NOT_CONSUMING" if kick else "DRIVER_NOT_REAPING"
        why = f"{still}: the {probe.side} does not look, or looks and takes nothing"
        return probe.said("refuses", why, code, then=f"the {probe.side} is not ours: attach to it")
    turns = after.turns - before.turns
    if _heard(probe):
        code = "DEVICE_NOT_CONSUMING" if kick else "DRIVER_NOT_REAPING"
        came = f", came to the queue {several(turns, 'time')}" if turns else ""
        why = f"{still}: the {probe.side} read the {probe.kind}{came} and took nothing"
    elif turns:
        code = "DEVICE_NOT_CONSUMING" if kick else "DRIVER_NOT_REAPING"
        why = f"{still}: the {probe.side} came to the queue {several(turns, 'time')} and took nothing"
    elif after.asleep:
        code = "KICK_UNSERVICED" if kick else "CALL_DISCARDED"
        why = f"{still}: the {probe.side} sleeps and does not read its {probe.kind}s"
        then = f"see what the {probe.side} waits on: is this queue's eventfd among it?"
        return probe.said("deaf", why, code, then=then)
    else:
        code = "DEVICE_NOT_CONSUMING" if kick else "DRIVER_SPINS"
        why = f"{still}: the {probe.side} is awake and does not come to this queue"
    then = f"no {probe.kind} was lost: what it waits for is inside the {probe.side}"
    return probe.said("refuses", why, code, then=then)


def _heard(probe: _Probe) -> bool:
    """Whether the side that was notified read a notification meanwhile."""
    if probe.kind == "kick":
        assert probe.before.device is not None and probe.after.device is not None
        return probe.after.device.call.received > probe.before.device.call.received
    assert probe.before.driver is not None and probe.after.driver is not None
    return probe.after.driver.kick.received > probe.before.driver.kick.received


def _lost(probe: _Probe) -> tuple[str, tuple[str, ...]]:
    """Which suppression state was in memory while it was missing, in words, and what that makes of it."""
    kick, queue = probe.kind == "kick", probe.before
    if queue.driver is None or queue.device is None:
        codes = ("KICK_MISSING", "KICK_DISCARDED") if kick else ("CALL_MISSING", "CALL_DISCARDED")
        return "whether one was wanted is not known from here", codes
    wish = (notices.kick if kick else notices.call)(queue, probe.event_idx)
    name = "KICK" if kick else "CALL"
    own, taken = (queue.driver.kick, queue.seen) if kick else (queue.device.call, queue.collected)
    if own.told > taken:
        if own.reached <= taken:
            return "one was decided for what waits, and never written", (
                f"{name}_MISSING",
                f"{name}_DISCARDED",
            )
        return "one was sent for what waits, and nobody acted on it", (f"{name}_DISCARDED",)
    if wish.due:
        return f"one was wanted: {wish.words}", (f"{name}_MISSING",)
    if wish.mode == "event":
        stale = "KICK_SUPPRESSED_EVENT" if kick else "CALL_SUPPRESSED_STALE"
        return f"none was wanted: {wish.words}", (stale,)
    return f"none was wanted: {wish.words}", (f"{name}_SUPPRESSED_FLAG",)
