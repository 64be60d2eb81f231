"""`ringscope check`: a pair, a scenario or a recording under the eyes of the doctor, without screens.

With `--json` one JSON object: `healthy`, `seconds`, `readings`, and `findings`, each with `code`, `level`,
`queue` (a name, or null), `since` (ns since the epoch), `verdict`, `evidence` (objects of name, value and
slot), `spec` (sections), `vantage`, `confidence`, `alike` (codes that look the same from here), `decides`
(what would tell them apart), and `gone`: whether it was over before the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from dataplane.rules.doctor import STUCK
from dataplane.rules.finding import Finding
from dataplane.snapshot import Snapshot
from dataplane.source import RingSource
from inspector.cli import FAILED, INTERRUPTED, OK
from inspector.commands.watching import until_signalled
from inspector.diagnosis import HERTZ, Diagnosis, over_recording, over_scenario
from inspector.sanitise import clean
from inspector.session import Session

Names = Mapping[int | None, str]  #: of queues; None: the device


def check(options: argparse.Namespace, source: RingSource) -> int:
    """Watches a pair for `options.seconds`: 0 healthy, 1 something was found."""
    session = Session(source, budget_bytes=1 << 20)
    session.whole = frozenset()
    if options.trace == "stores":
        session.doctor.review.share = None  # whoever asks for every store wants each of them judged
    names = names_of(source.snapshot(()))
    diagnosis = Diagnosis()
    with until_signalled() as stop:
        for finding in _live(session, diagnosis, options.seconds, stop.wait):
            _say(options, names, finding)
        return INTERRUPTED if stop.is_set() else told_all(options, names, diagnosis)


def check_file(options: argparse.Namespace) -> int:
    """The same of a scenario or a recording; Refused where it cannot be read."""
    diagnosis = Diagnosis()
    with ExitStack() as stack, until_signalled() as stop:
        if options.scenario is not None:
            from inspector.commands.playing import opened_scenario

            played = stack.enter_context(opened_scenario(options.scenario))
            names = names_of(played.pair.snapshot(()))
            found = over_scenario(played, diagnosis, options.seconds, stop.wait)
        else:
            from inspector.commands.recorded import opened_recording

            recording = stack.enter_context(opened_recording(options.recording))
            names = names_of(recording.snapshot(()))
            found = over_recording(recording, diagnosis)
        for finding in found:
            _say(options, names, finding)
            if stop.is_set():
                break
        return INTERRUPTED if stop.is_set() else told_all(options, names, diagnosis)


def _live(
    session: Session, diagnosis: Diagnosis, seconds: float, wait: Callable[[float], bool]
) -> Iterator[Finding]:
    end = time.monotonic() + seconds
    while True:
        yield from diagnosis.take(session.pull().findings)
        left = end - time.monotonic()
        if left <= 0 or wait(min(1 / HERTZ, left)):
            return


def _say(options: argparse.Namespace, names: Names, finding: Finding) -> None:
    if not options.json:
        print(told(names, finding), flush=True)


def told_all(options: argparse.Namespace, names: Names, diagnosis: Diagnosis) -> int:
    """What it came to in the end; the exit code."""
    if options.json:
        document = {
            "healthy": not diagnosis.wrong,
            "seconds": options.seconds,
            "readings": diagnosis.readings,
            "findings": [
                {**as_json(names, finding), "gone": key not in diagnosis.present}
                for key, finding in diagnosis.found.items()
            ],
        }
        print(json.dumps(document), flush=True)
    elif not diagnosis.found:
        print(f"healthy: nothing stood still for {STUCK:g} s in {diagnosis.readings:,} readings", flush=True)
    else:
        for key, finding in diagnosis.found.items():
            if key not in diagnosis.present:
                print(f"{finding.code} of {_queue(names, finding)} is over", flush=True)
    return FAILED if diagnosis.wrong else OK


def names_of(snapshot: Snapshot) -> Names:
    """How the queues of a source are called."""
    return {None: "the device", **{queue.index: queue.name for queue in snapshot.queues}}


def _queue(names: Names, finding: Finding) -> str:
    return clean(names.get(finding.queue, f"q{finding.queue}"))


def told(names: Names, finding: Finding) -> str:
    """A finding for somebody who reads: the verdict, then what it rests on."""
    evidence = ", ".join(f"{one.name} {one.value}" for one in finding.evidence)
    line = clean(f"{_queue(names, finding)}: {finding.code}: {finding.verdict}")
    if finding.alike:
        line += f"; from here {', '.join(finding.alike)} would look the same"
    return line + clean(f"  [{evidence}; {', '.join(finding.sections)}; {finding.confidence}]")


def as_json(names: Names, finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "code": finding.code,
        "level": finding.level.name.lower(),
        "queue": None if finding.queue is None else _queue(names, finding),
        "since": finding.since,
        "verdict": finding.verdict,
        "evidence": [{"name": one.name, "value": one.value, "slot": one.slot} for one in finding.evidence],
        "spec": list(finding.sections),
        "vantage": finding.vantage,
        "confidence": finding.confidence,
        "alike": list(finding.alike),
        "decides": finding.decides,
    }
