"""Which rules need not be asked: of a queue that moves, and of one that stands as it stood.

Most rules compare what has come to rest, and one reading of a queue at rest is like the other. What had
nothing to say then has nothing to say now; asking again would cost a watched ring more than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.records import Reason, Side
from dataplane.rules import between, given_up, ids, indices, rows, waiting
from dataplane.rules.gates import Gate
from dataplane.rules.patient import Patient, Rule
from dataplane.snapshot import AnyQueue, SplitQueue

_DRIVER, _DEVICE = Side.DRIVER, Side.DEVICE
_SEEN, _USED, _COLLECTED = Gate

#: From cause to consequence.
RULES: tuple[Rule, ...] = (
    indices.size,
    rows.not_here,
    ids.twice,
    *indices.RULES,
    *rows.RULES,
    *ids.BEHIND,
    *indices.BEHIND_ROWS,
    *given_up.RULES,
    *waiting.RULES,
    *between.RULES,
)
#: What can be said of a queue that moves, between two sides that have not given it up.
_MOVING: tuple[Rule, ...] = (
    indices.size,
    *indices.RULES,
    rows.overwritten,
    *indices.BEHIND_ROWS,
    *given_up.RULES,
    *waiting.RULES,
    *between.RULES,
)
#: What depends on time, or on the reading before.
_ALWAYS = frozenset(
    (
        indices.base,
        indices.packed_base,
        rows.overwritten,
        given_up.dropped,
        given_up.starved,
        *waiting.RULES,
        *between.RULES,
    )
)


def asked(patient: Patient) -> Iterator[Rule]:
    """The rules that may have something to say, from cause to consequence. Whoever asks one and hears nothing
    tells `watched.silent`."""
    words = _words(patient)
    if words is None:
        patient.watched.stands = None
        yield from _MOVING
        return
    watched = patient.watched
    held = (words, _rows(patient.queue))
    if held != watched.stands:
        watched.stands = held
        watched.silent.clear()
    for rule in RULES:
        if rule in _ALWAYS or rule not in watched.silent:
            yield rule


def _words(patient: Patient) -> tuple[object, ...] | None:
    """All that the rules look at, but time and rows; None of a queue that moves."""
    queue, watched = patient.queue, patient.watched
    driver, device = queue.driver, queue.device
    broken = (driver.broken if driver else Reason.NONE, device.broken if device else Reason.NONE)
    rest = (patient.at_rest, patient.rests(_DRIVER), patient.rests(_DEVICE))
    stands = (patient.stands(_SEEN), patient.stands(_USED), patient.stands(_COLLECTED))
    if not any((*broken, *rest, *stands)):
        return None
    mine = driver and (driver.avail_wrap, driver.used_wrap, driver.last_drop, driver.asleep, driver.polling)
    theirs = device and (
        device.avail_wrap, device.used_wrap, device.last_drop, device.asleep, device.polling, device.size,
        device.avail_read,
    )  # fmt: skip
    events = (queue.used_event, queue.avail_event) if isinstance(queue, SplitQueue) else ()
    return (watched.rest.value, broken, rest, stands, patient.settled, watched.aligned, mine, theirs, events)


def _rows(queue: AnyQueue) -> tuple[bytes, ...]:
    common = (queue.desc.tobytes(), queue.owner.tobytes(), queue.buffer.tobytes())
    if not isinstance(queue, SplitQueue):
        return common
    return (*common, queue.avail_ring.tobytes(), queue.used_ring.tobytes(), queue.used_label.tobytes())
