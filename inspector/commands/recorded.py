"""`ringscope open`: the screens on a recording, or what is in it as JSON, or a part of it as another one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from inspector import __version__
from inspector.cli import FAILED, NO_TERMINAL, OK, complain, has_terminal
from inspector.commands.opening import FULL, Refused
from inspector.commands.recording import written
from inspector.commands.recordings import When, on_screen
from inspector.sanitise import clean, one_line

if TYPE_CHECKING:
    from dataplane.history import Reach
    from dataplane.recording import Recording

Json = dict[str, Any]
_PIECE = 1 << 14  #: events that are read at once
#: How pcapng begins, and pcap in micro- and nanoseconds of either byte order.
_CAPTURES = tuple(map(bytes.fromhex, ("0a0d0d0a", "d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")))


def opened_recording(file: str) -> Recording:
    """A recording. RuntimeError where it is damaged from the start on, Refused where it is none."""
    from dataplane.recording import DamagedError, Recording, RecordingError

    try:
        return Recording(file)
    except DamagedError as error:
        raise RuntimeError(f"{file}: {error}") from None
    except RecordingError as error:
        raise Refused(f"{file}: {error}{_hint(file)}") from None
    except OSError as error:
        raise Refused(f"cannot open {file}: {error.strerror}") from None


def open_recording(options: argparse.Namespace) -> int:
    """Do it; the exit code. Errors as `opened_recording`."""
    recording = opened_recording(options.file)
    with recording:
        if recording.wrong:
            complain(f"{options.file}: {recording.wrong}")
        if not on_screen(options):
            return _print(options, recording)
        if not has_terminal():
            raise Refused(f"{NO_TERMINAL} ringscope open --json")
        from inspector.app import run

        return run(recording, keep_bytes=options.budget)


def _print(options: argparse.Namespace, recording: Recording) -> int:
    if options.json:
        return _say(described(recording))
    if options.at is not None:
        from inspector.headless import document

        number = moment(options.at, recording.history.reach, recording)
        try:
            return _say(document(recording.history.at(number)))
        except LookupError as error:
            raise Refused(f"--at: {error}") from None
    first, last = between(options, recording)
    if options.events:
        return _events(recording, first, last)
    return _export(options, recording, first, last)


def _say(what: Json) -> int:
    json.dump(what, sys.stdout)
    print(flush=True)
    return OK


def _hint(path: str) -> str:
    """What to do with a file that is something else."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return ""
    try:
        with open(path, "rb") as file:
            begins = file.read(4)
    except OSError:
        return ""
    if begins in _CAPTURES:
        return f"; it is a capture: ringscope dissect {path}"
    return f"; a scenario is run with ringscope play {path}" if path.endswith(".toml") else ""


def described(recording: Recording) -> Json:
    """What a recording holds, as plain data."""
    from dataplane.features import feature_names
    from dataplane.records import Kind
    from inspector.headless import document

    identity, reach, losses = recording.identity, recording.history.reach, recording.losses
    return {
        "file": clean(str(recording.path)),
        "bytes": recording.size,
        "program": clean(recording.program),
        "began": recording.began,
        "following": recording.following,
        "wrong": recording.wrong,
        "name": clean(identity.name),
        "kind": clean(recording.recorded_kind),
        "device_id": identity.device_id,
        "layout": "packed" if identity.packed else "split",
        "offered": list(feature_names(identity.offered, identity.device_id)),
        "accepted": list(feature_names(identity.accepted, identity.device_id)),
        "reach": {
            "first": reach.first,
            "last": reach.last,
            "first_time": reach.first_time,
            "last_time": reach.last_time,
            "exact": [list(one) for one in reach.exact],
            "gaps": list(reach.gaps),
        },
        "losses": {"events": losses.events, "frames": losses.frames},
        "frames": recording.frame_count,
        "counts": {Kind(kind).name.lower(): count for kind, count in recording.counts.items()},
        "end": document(recording.snapshot()),
    }


def moment(when: When, reach: Reach, recording: Recording) -> int:
    """The number of the event that a moment names. Refused where it is not in the recording."""
    if reach.last < reach.first:
        raise Refused("there is no event in the recording")
    if when.of == "number":
        if not reach.first <= when.amount <= reach.last:
            raise Refused(
                f"event {when.amount} is not in the recording: it has {reach.first} to {reach.last}"
            )
        return when.amount
    length = reach.last_time - reach.first_time
    if when.amount > length:
        raise Refused(f"the recording is {length / 1e9:.3f} s long, so no moment of it is that far in")
    at = reach.first_time + when.amount if when.of == "start" else reach.last_time - when.amount
    return recording.history.number_at(at)


def between(options: argparse.Namespace, recording: Recording) -> tuple[int, int]:
    """The first and the last event asked for. Refused where there is none."""
    reach = recording.history.reach
    first = moment(options.start, reach, recording) if options.start else reach.first
    last = moment(options.stop, reach, recording) if options.stop else reach.last
    if first > last:
        raise Refused(f"--from is event {first}, behind --to, which is event {last}")
    return first, last


def _events(recording: Recording, first: int, last: int) -> int:
    """A line of JSON for every event from `first` to `last`."""
    from dataplane.records import Kind, Side

    kinds = {int(kind): kind.name.lower() for kind in Kind}
    sides = {int(side): side.name.lower() for side in Side}
    for start in range(first, last + 1, _PIECE):
        rows = recording.history.rows(start, min(start + _PIECE - 1, last))
        names = rows.dtype.names or ()
        lines = []
        for row in rows.tolist():
            event = dict(zip(names, row, strict=True))
            event["kind"], event["side"] = kinds[event["kind"]], sides[event["side"]]
            lines.append(json.dumps(event))
        if lines:
            print("\n".join(lines))
    sys.stdout.flush()
    return OK


def _export(options: argparse.Namespace, recording: Recording, first: int, last: int) -> int:
    from dataplane.recorded.exporting import export
    from dataplane.recording import RecordingError

    if os.path.exists(options.export) and os.path.samefile(options.export, options.file):
        raise Refused("--export: the part cannot be written over the recording that it is from")
    try:
        made = export(recording, options.export, first, last, program=f"ringscope {__version__}")
    except RecordingError as error:
        raise Refused(f"cannot write {options.export}: {error}") from None
    except OSError as error:
        said = f"cannot write {options.export}: {error.strerror or one_line(error)}"
        if error.errno not in FULL:
            raise Refused(said) from None
        complain(said)
        return FAILED
    print(f"{written(made.events, made.frames)} to {clean(options.export)}", file=sys.stderr)
    return OK
