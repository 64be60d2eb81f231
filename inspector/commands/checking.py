"""`ringscope check`: a pair watched by the doctor, without screens.

With `--json` one JSON object: `healthy`, `seconds`, `readings`, and `findings`, each with `code`, `level`,
`queue` (a name, or null), `since` (ns since the epoch), `verdict`, `evidence` (objects of name, value and
slot), `sections` of the spec, `vantage`, `confidence`, and `gone`: whether it was over before the end.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from dataplane.rules.doctor import STUCK
from dataplane.rules.finding import Finding, Level
from dataplane.source import RingSource
from inspector.cli import FAILED, INTERRUPTED, OK
from inspector.commands.watching import until_signalled
from inspector.feed import HERTZ
from inspector.sanitise import clean
from inspector.session import Session


def check(options: argparse.Namespace, source: RingSource) -> int:
    """Watches for `options.seconds`: 0 healthy, 1 something was found."""
    session = Session(source, budget_bytes=1 << 20)
    session.whole = frozenset()
    if options.trace == "stores":
        session.doctor.review.share = None  # whoever asks for every store wants each of them judged
    found: dict[tuple[str, int | None], Finding] = {}
    readings = 0
    end = time.monotonic() + options.seconds
    with until_signalled() as stop:
        while True:
            for finding in session.pull().findings:
                if finding.key not in found and not options.json:
                    print(told(session, finding), flush=True)
                found[finding.key] = finding
            readings += 1
            left = end - time.monotonic()
            if left <= 0:
                break
            if stop.wait(min(1 / HERTZ, left)):
                return INTERRUPTED
    there = {finding.key for finding in session.doctor.findings}
    wrong = any(finding.level > Level.INFO for finding in found.values())
    if options.json:
        document = {
            "healthy": not wrong,
            "seconds": options.seconds,
            "readings": readings,
            "findings": [
                {**as_json(session, finding), "gone": key not in there} for key, finding in found.items()
            ],
        }
        print(json.dumps(document), flush=True)
    elif not found:
        print(f"healthy: nothing stood still for {STUCK:g} s in {options.seconds:g} s", flush=True)
    else:
        for key, finding in found.items():
            if key not in there:
                print(f"{finding.code} of {_queue(session, finding)} is over", flush=True)
    return FAILED if wrong else OK


def _queue(session: Session, finding: Finding) -> str:
    return "the device" if finding.queue is None else clean(session.queue_name(finding.queue))


def told(session: Session, finding: Finding) -> str:
    """A finding for somebody who reads: the verdict, then what it rests on."""
    evidence = ", ".join(f"{one.name} {one.value}" for one in finding.evidence)
    return clean(f"{_queue(session, finding)}: {finding.code}: {finding.verdict}") + clean(
        f"  [{evidence}; {', '.join(finding.sections)}; {finding.confidence}]"
    )


def as_json(session: Session, finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "code": finding.code,
        "level": finding.level.name.lower(),
        "queue": None if finding.queue is None else clean(session.queue_name(finding.queue)),
        "since": finding.since,
        "verdict": finding.verdict,
        "evidence": [{"name": one.name, "value": one.value, "slot": one.slot} for one in finding.evidence],
        "sections": list(finding.sections),
        "vantage": finding.vantage,
        "confidence": finding.confidence,
    }
