"""`ringscope check`: a pair, a scenario or a recording under the eyes of the doctor, without screens.

With `--json` one JSON object: `healthy`, `seconds`, `readings`, and `findings`, the gravest first, each with
`code`, `level`, `queue` (a name, or null), `since` (ns since the epoch), `verdict`, `evidence` (objects of
name, value and slot), `spec` (sections), `vantage`, `confidence`, `alike` (codes that look the same from
here), `decides` (what would tell them apart), and `gone`: whether it was over before the end.
"""

from __future__ import annotations

import argparse
import json

from dataplane.rules.doctor import STUCK
from dataplane.rules.finding import Finding
from dataplane.source import RingSource
from inspector.cli import FAILED, INTERRUPTED, OK
from inspector.commands.examining import Examined, Names, examined, findings_as_json, queue_name
from inspector.commands.watching import until_signalled
from inspector.sanitise import clean


def check(options: argparse.Namespace, source: RingSource | None = None) -> int:
    """Watches a pair for `options.seconds`, or what the options name instead: 0 healthy, 1 something was
    found. Refused where that cannot be read."""
    with until_signalled() as stop, examined(options, source, stop) as seen:
        for finding in seen.found:
            if not options.json:
                print(told(seen.names, finding), flush=True)
            if stop.is_set():
                break
        return INTERRUPTED if stop.is_set() else _told_all(options, seen)


def _told_all(options: argparse.Namespace, seen: Examined) -> int:
    diagnosis = seen.diagnosis
    if options.json:
        document = {
            "healthy": not diagnosis.wrong,
            "seconds": options.seconds,
            "readings": diagnosis.readings,
            "findings": findings_as_json(seen),
        }
        print(json.dumps(document), flush=True)
    elif not diagnosis.found:
        print(f"healthy: nothing stood still for {STUCK:g} s in {diagnosis.readings:,} readings", flush=True)
    else:
        for key, finding in diagnosis.found.items():
            if key not in diagnosis.present:
                print(f"{finding.code} of {queue_name(seen.names, finding)} is over", flush=True)
    return FAILED if diagnosis.wrong else OK


def told(names: Names, finding: Finding) -> str:
    """A finding for somebody who reads: the verdict, then what it rests on."""
    evidence = ", ".join(f"{one.name} {one.value}" for one in finding.evidence)
    line = clean(f"{queue_name(names, finding)}: {finding.code}: {finding.verdict}")
    if finding.alike:
        line += f"; from here {', '.join(finding.alike)} would look the same"
    return line + clean(f"  [{evidence}; {', '.join(finding.sections)}; {finding.confidence}]")
