"""A side that gave a queue up, by the reason that it says; and a receive queue that nobody fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dataplane.records import Reason
from dataplane.rules.finding import Evidence, Finding
from dataplane.rules.patient import Patient, Rule, for_long, is_receive, several

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
        if state is None or not state.broken:
            continue
        reason = Reason(state.broken)
        code, sections = _BLAMED.get(reason, ("DEVICE_BROKEN", ("2.1.2",)))
        other = "driver" if side == "device" else "device"
        since = min(gate.since for gate in patient.watched.gates)
        yield patient.finding(
            code,
            since,
            f"the {side} gave this queue up: {reason.name}, which the {other} did",
            Evidence("reason", reason.name),
            sections=sections,
            vantage="S",
            confidence="certain",
        )


def starved(patient: Patient) -> Iterator[Finding]:
    """A receive queue without a buffer while frames come: nobody refills it."""
    queue = patient.queue
    device = queue.device
    if not is_receive(queue) or device is None or patient.watched.empty < patient.stuck:
        return
    dropped = device.drops - patient.watched.drops
    if not dropped:
        return
    yield patient.finding(
        "RX_STARVED",
        patient.snapshot.time - patient.watched.empty,
        f"no receive buffer for {for_long(patient.watched.empty)}: {several(dropped, 'frame')} dropped",
        Evidence("published", queue.published),
        Evidence("used", queue.used),
        Evidence("drops", dropped),
        sections=("5.1.6.3", "5.1.6.3.1"),
        vantage="MHS",
        confidence="certain",
    )


RULES: tuple[Rule, ...] = (given_up, starved)
