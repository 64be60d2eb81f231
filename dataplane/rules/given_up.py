"""A side that gave a queue up or drops frames, by the reason that it says; a receive queue that is empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dataplane.records import Reason, Side
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.patient import SECOND, Patient, Rule, for_long, is_receive, several
from dataplane.snapshot import DeviceState, DriverState

#: The code of what the other side did, and where the spec forbids it.
_BLAMED: Mapping[Reason, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        Reason.HEAD_OUT_OF_RANGE: ("CHAIN_BAD", ("2.7.6", "2.7.5")),
        Reason.INDEX_JUMP: ("INDEX_JUMP", ("2.7.6", "2.8.21")),
        Reason.CHAIN_LOOP: ("CHAIN_BAD", ("2.7.5.2",)),
        Reason.BAD_ADDRESS: ("ADDR_OUT_OF_RANGE", ("2.7.5",)),
        Reason.INDIRECT_LENGTH: ("CHAIN_BAD", ("2.7.5.3",)),
        Reason.INDIRECT_NESTED: ("CHAIN_BAD", ("2.7.5.3.1",)),
        Reason.INDIRECT_NEXT: ("CHAIN_BAD", ("2.7.5.3.1",)),
        Reason.INDIRECT_REFUSED: ("CHAIN_BAD", ("2.7.5.3.1",)),
        Reason.WRITE_BEFORE_READ: ("CHAIN_BAD", ("2.7.4.2",)),
        Reason.ID_UNKNOWN: ("USED_ID_INVALID", ("2.7.8", "2.8.13")),
        Reason.USED_LENGTH: ("USED_LEN_BAD", ("2.7.8.2",)),
        Reason.USED_JUMP: ("USED_OVERRUN", ("2.7.8",)),
        Reason.ORDER: ("IN_ORDER_BATCH_NOT_UNDERSTOOD", ("2.7.9", "2.8.8")),
        Reason.NUM_BUFFERS: ("NUM_BUFFERS_BAD", ("5.1.6.4",)),
        Reason.DUPLICATE_HEAD: ("ID_REUSED_WHILE_OUTSTANDING", ("2.7.13", "2.8.6")),
    }
)


def given_up(patient: Patient) -> Iterator[Finding]:
    """What a side refused to go on with: it names the code, and the other side did it."""
    queue = patient.queue
    for side, state in (("device", queue.device), ("driver", queue.driver)):
        if state is None or not state.broken or not patient.settled:
            continue  # what stands in memory then may say more
        reason = Reason(state.broken)
        other = "driver" if side == "device" else "device"
        code, sections = _BLAMED.get(reason, ("DEVICE_BROKEN", ("2.1.2",)))
        why = f"{reason.name}: the {other} made it so"
        if reason == Reason.DUPLICATE_HEAD and state.last_drop == Reason.TOO_SHORT:
            code, sections = "CHAIN_CUT", ("2.7.5", "2.8.6")
            why = "a buffer too short for a frame, and the next with the same id: one chain, and NEXT missing"
        elif reason not in _BLAMED:
            code = "DEVICE_BROKEN" if side == "device" else "DRIVER_NOT_REAPING"
            why = f"{reason.name}, and the ring shows no cause"
        yield patient.finding(
            code,
            min(gate.since for gate in patient.watched.gates),
            f"the {side} gave this queue up: {why}",
            Evidence("reason", reason.name),
            sections=sections,
            vantage="S",
            confidence="certain",
        )


#: What a frame was dropped for says of the other side: the code, and in words.
_DROPPED: Mapping[tuple[Side, Reason], tuple[str, str, tuple[str, ...]]] = MappingProxyType(
    {
        (Side.DRIVER, Reason.NUM_BUFFERS): (
            "NUM_BUFFERS_BAD",
            "num_buffers is not the number of used buffers of the frame",
            ("5.1.6.4",),
        ),
        (Side.DEVICE, Reason.TOO_SHORT): (
            "CHAIN_CUT",
            "the chain ends before the frame: NEXT is missing, or was not followed",
            ("2.7.5", "5.1.6.2"),
        ),
    }
)


def dropped(patient: Patient) -> Iterator[Finding]:
    """Frames are dropped for a reason that only the other side can have given."""
    if patient.halves is None:
        return
    halves: tuple[DriverState | DeviceState, ...] = patient.halves
    for side, state in zip((Side.DRIVER, Side.DEVICE), halves, strict=True):
        lately = patient.watched.dropped[side]
        count = state.drops - patient.watched.refused[side]
        known = _DROPPED.get((side, state.last_drop))
        if not count or known is None or lately.still > 2 * SECOND + patient.stuck:
            continue
        if patient.watched.dropping[side].still < patient.stuck:
            continue  # what else is wrong shows by then
        code, why, sections = known
        yield patient.finding(
            code,
            patient.snapshot.time,
            f"the {side.name.lower()} dropped {several(count, 'frame')}: {why}",
            Evidence("drops", count),
            Evidence("reason", state.last_drop.name),
            sections=sections,
            vantage="HS",
        )


def starved(patient: Patient) -> Iterator[Finding]:
    """A receive queue without a buffer while frames come: nobody refills it."""
    queue = patient.queue
    device = queue.device
    empty = patient.watched.empty.still
    if not is_receive(queue) or device is None or queue.published != queue.used or empty < patient.stuck:
        return
    if queue.used != queue.collected:
        return  # it cannot refill what it has not collected
    dropped = device.drops - patient.watched.drops
    if not dropped and not device.backlog:
        return
    frames = f"{several(dropped, 'frame')} dropped" if dropped else "a frame waits"
    yield patient.finding(
        "RX_STARVED",
        patient.snapshot.time - empty,
        f"no receive buffer for {for_long(empty)}: {frames}",
        Evidence("published", queue.published),
        Evidence("used", queue.used),
        Evidence("drops", dropped),
        Evidence("a frame waits", device.backlog),
        sections=("5.1.6.3", "5.1.6.3.1"),
        vantage="MHS",
        confidence="certain",
    )


RULES: tuple[Rule, ...] = (given_up, dropped, starved)
