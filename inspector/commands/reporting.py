"""`ringscope report FILE`: all that somebody needs who is to find out why a queue stands still.

The document (`--json`, or a name that ends in .json):

    ringscope python system made                  versions, and when (UTC)
    of {what options{} seconds readings}          what was looked at, and how
    healthy, findings [{... as of check, gone, means, causes[{what tell}], next[]}]
    snapshot                                      as of `ringscope snapshot`, at the end
    events {lost rows[{number time side queue kind words}]}
    frames null, or [{number time queue direction length hex}]  with --payloads alone

Host name, user, and folders are left out; packet payloads too, unless they are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

from dataplane.records import TO_DEVICE, Kind, Side
from dataplane.rules.codes import CODES
from dataplane.snapshot import Snapshot
from dataplane.source import START, RingSource
from inspector import __version__
from inspector.cli import FAILED, INTERRUPTED, OK
from inspector.commands.examining import Examined, examined, findings_as_json
from inspector.commands.opening import Refused
from inspector.commands.watching import until_signalled
from inspector.headless import Json, document
from inspector.replacing import replace_text
from inspector.reporttext import text_of
from inspector.sanitise import clean
from inspector.session import Session

EVENTS, FRAMES = 200, 20  #: of the last so many are told


def report(options: argparse.Namespace, source: RingSource | None = None) -> int:
    """Looks as `check` does, and writes it all into one file, whole or not at all: 0 healthy, 1 something
    was found. Interrupted, it writes what was seen so far. Refused where nothing can be read or written."""
    target = None if options.file == "-" else _target(options.file)
    with until_signalled() as stop, examined(options, source, stop) as seen:
        for _ in seen.found:
            if stop.is_set():
                break
        whole = report_of(seen, options)
        as_json = options.json or (target is not None and target.suffix.lower() == ".json")
        text = json.dumps(whole, indent=1) + "\n" if as_json else text_of(whole)
        if target is None:
            print(text, end="", flush=True)
        else:
            replace_text(target, text, private=False)
        if stop.is_set():
            return INTERRUPTED
        return FAILED if seen.diagnosis.wrong else OK


def _target(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        raise Refused(f"{name} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise Refused(f"cannot write {name}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Refused(f"cannot write {name}: Permission denied")
    return path


def report_of(seen: Examined, options: argparse.Namespace) -> Json:
    """The document."""
    source = seen.source
    return {
        "ringscope": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "of": {
            "what": seen.what,
            "options": _asked(options),
            "seconds": options.seconds,
            "readings": seen.diagnosis.readings,
        },
        "healthy": not seen.diagnosis.wrong,
        "findings": [{**finding, **_told(finding["code"])} for finding in findings_as_json(seen)],
        "snapshot": document(_last(source)),
        "events": _events(Session(source)),
        "frames": _frames(seen) if options.payloads else None,
    }


#: What is told elsewhere, or means nothing to somebody else.
_NOT_TOLD = ("command", "file", "json", "payloads", "seconds")
_FILES = ("scenario", "recording", "traffic")


def _asked(options: argparse.Namespace) -> Json:
    """The options that are not as they are without being named; of files the last part of the name."""
    from inspector.cli import parser

    usual = vars(parser().parse_args(["report", "-"]))
    out = {}
    for name, value in sorted(vars(options).items()):
        if name in _NOT_TOLD or value == usual.get(name):
            continue
        named = name in _FILES and isinstance(value, str)
        out[name] = os.path.basename(value) if named else value if _is_plain(value) else str(value)
    return out


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list)


def _told(name: str) -> Json:
    code = CODES.get(name)
    if code is None:
        return {"means": f"the spec says otherwise: ringscope explain {name}", "causes": [], "next": []}
    return {
        "means": code.means,
        "causes": [{"what": cause.what, "tell": cause.tell} for cause in code.causes],
        "next": list(code.next),
    }


def _last(source: RingSource) -> Snapshot:
    history = getattr(source, "history", None)
    if history is not None:
        try:
            moment: Snapshot = history.at(history.reach.last)
            return moment
        except LookupError:
            pass
    return source.snapshot()


def _events(session: Session) -> Json:
    source = session.source
    history = getattr(source, "history", None)
    if history is not None:
        first, last = history.reach.first, history.reach.last
        rows, lost = history.rows(max(last - EVENTS + 1, first), last), 0
    else:
        events = source.events(START)
        rows, lost = events.rows[-EVENTS:], events.lost
    names = {shape.index: shape.name for shape in session.shapes}
    return {
        "lost": lost,
        "rows": [
            {
                "number": int(row["number"]),
                "time": int(row["time"]),
                "side": Side(row["side"]).name.lower(),
                "queue": names.get(int(row["queue"]), f"q{int(row['queue'])}"),
                "kind": Kind(row["kind"]).name.lower(),
                "words": clean(session.words(row)),
            }
            for row in rows
        ],
    }


def _frames(seen: Examined) -> list[Json]:
    frames = seen.source.frames(START)
    out = []
    for at in range(max(len(frames.rows) - FRAMES, 0), len(frames.rows)):
        row, start = frames.rows[at], int(frames.offsets[at])
        out.append(
            {
                "number": int(row["number"]),
                "time": int(row["time"]),
                "queue": clean(seen.names.get(int(row["queue"]), f"q{int(row['queue'])}")),
                "direction": "to the device" if row["direction"] == TO_DEVICE else "to the driver",
                "length": int(row["length"]),
                "hex": bytes(frames.data[start : start + int(row["captured"])]).hex(),
            }
        )
    return out
