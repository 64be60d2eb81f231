"""What `check` and `report` share: a pair, a scenario or a recording under the eyes of the doctor."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from dataplane.rules.finding import Finding
from dataplane.snapshot import Snapshot
from dataplane.source import RingSource
from inspector.commands.watching import Signalled
from inspector.diagnosis import HERTZ, Diagnosis, over_recording, over_scenario
from inspector.sanitise import clean
from inspector.session import Session

Names = Mapping[int | None, str]  #: of queues; None: the device


@dataclass
class Examined:
    """What is looked at, and what was found so far. `found` has to be gone through: that is the looking."""

    what: str  #: "pair", "scenario" or "recording"
    source: RingSource
    names: Names
    found: Iterator[Finding]  #: each as it appears
    diagnosis: Diagnosis = field(default_factory=Diagnosis)


@contextmanager
def examined(options: argparse.Namespace, source: RingSource | None, stop: Signalled) -> Iterator[Examined]:
    """What the options ask for: the pair that is opened already, else their scenario or recording.

    Refused where a file cannot be read; RuntimeError where a scenario cannot go on.
    """
    diagnosis = Diagnosis()
    with ExitStack() as stack:
        if source is not None:
            names = names_of(source.snapshot(()))
            found = _live(options, source, diagnosis, stop.wait)
            yield Examined("pair", source, names, found, diagnosis)
        elif options.scenario is not None:
            from inspector.commands.playing import opened_scenario

            played = stack.enter_context(opened_scenario(options.scenario))
            names = names_of(played.pair.snapshot(()))
            stores = options.trace == "stores"
            found = over_scenario(played, diagnosis, options.seconds, stop.wait, stores=stores)
            yield Examined("scenario", played.pair, names, found, diagnosis)
        else:
            from inspector.commands.recorded import opened_recording

            recording = stack.enter_context(opened_recording(options.recording))
            names = names_of(recording.snapshot(()))
            yield Examined("recording", recording, names, over_recording(recording, diagnosis), diagnosis)


def _live(
    options: argparse.Namespace, source: RingSource, diagnosis: Diagnosis, wait: Callable[[float], bool]
) -> Iterator[Finding]:
    session = Session(source, budget_bytes=1 << 20)
    session.whole = frozenset()
    if options.trace == "stores":
        session.doctor.review.share = None  # whoever asks for every store wants each of them judged
    end = time.monotonic() + options.seconds
    while True:
        yield from diagnosis.take(session.pull().findings)
        left = end - time.monotonic()
        if left <= 0 or wait(min(1 / HERTZ, left)):
            return


def names_of(snapshot: Snapshot) -> Names:
    """How the queues of a source are called."""
    return {None: "the device", **{queue.index: queue.name for queue in snapshot.queues}}


def queue_name(names: Names, finding: Finding) -> str:
    """The queue of a finding."""
    return clean(names.get(finding.queue, f"q{finding.queue}"))


def as_json(names: Names, finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "code": finding.code,
        "level": finding.level.name.lower(),
        "queue": None if finding.queue is None else queue_name(names, finding),
        "since": finding.since,
        "verdict": finding.verdict,
        "evidence": [{"name": one.name, "value": one.value, "slot": one.slot} for one in finding.evidence],
        "spec": list(finding.sections),
        "vantage": finding.vantage,
        "confidence": finding.confidence,
        "alike": list(finding.alike),
        "decides": finding.decides,
    }


def findings_as_json(seen: Examined) -> list[dict[str, Any]]:
    """All that was found, the gravest first, of one level in the order in which it appeared; `gone`: it was
    over before the end."""
    diagnosis = seen.diagnosis
    gravest = sorted(diagnosis.found.items(), key=lambda item: -item[1].level)
    return [
        {**as_json(seen.names, finding), "gone": key not in diagnosis.present} for key, finding in gravest
    ]
