"""The options of `ringscope record` and `ringscope open`: the standard library alone."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Literal

from inspector.commands.options import seconds, size, trace_options

OPEN = """\
Look into a recording that ringscope run --record or ringscope record wrote, here or on another machine:
the screens at any moment of it. A file that is still being written is followed."""

OPEN_EXAMPLES = """\
moments are written
  81204          after this event (every event has a number)
  1.5s 200ms     so long after the recording began
  -2s            so long before it ends

examples:
  ringscope open a.ring                      the screens
  ringscope open a.ring --json               what is in it, in one JSON document
  ringscope open a.ring --at -2s             every ring two seconds before the end, as JSON
  ringscope open a.ring --events --from 1s --to 1010ms
                                             a line of JSON for every event of ten milliseconds
  ringscope open a.ring --export b.ring --from -5s
                                             the last five seconds as a recording of its own

exit codes: 0 all went well, 1 the file is damaged from the start on, 2 a mistake"""

_UNITS = {"ms": 1e6, "s": 1e9, "min": 60e9, "h": 3600e9}
_TIME = re.compile(r"(-?)(\d+(?:\.\d+)?)(ms|s|min|h)")


@dataclass(frozen=True, slots=True)
class When:
    """A moment as somebody writes it: the number of an event, or ns from the start, or before the end."""

    of: Literal["number", "start", "end"]
    amount: int


def when(text: str) -> When:
    """The type of a moment: `81204`, `1.5s`, `-200ms`."""
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return When("number", int(text))
    found = _TIME.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment: give an event's number (81204), a time from the start (1.5s), "
            "or before the end (-2s)"
        )
    return When("end" if found[1] else "start", int(float(found[2]) * _UNITS[found[3]]))


def add_record_options(record: argparse.ArgumentParser) -> None:
    """The options of `ringscope record` that are not those of the pair."""
    record.add_argument("file", metavar="FILE", help="the recording; one that is there is replaced")
    record.add_argument(
        "--seconds", metavar="S", type=seconds, default=None, help="how long; without it until ctrl+c"
    )
    trace_options(record)


def add_open_options(parser: argparse.ArgumentParser) -> None:
    """The options of `ringscope open`."""
    parser.add_argument("file", metavar="FILE", help="a recording")
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        type=size,
        default=256 << 20,
        help="memory for the packets kept (256M)",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="what it holds, as one JSON document")
    shape.add_argument("--at", metavar="MOMENT", type=when, help="every ring at that moment, as JSON")
    shape.add_argument("--events", action="store_true", help="a line of JSON for every event")
    shape.add_argument("--export", metavar="OUT", help="write a part of it as a recording of its own")
    parser.add_argument("--from", dest="start", metavar="MOMENT", type=when, help="of --events and --export")
    parser.add_argument("--to", dest="stop", metavar="MOMENT", type=when, help="of --events and --export")


def record_contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of a recording that is written, in one line."""
    path = options.file if options.command == "record" else options.record
    if path is None:
        return None
    if path in ("", "-"):
        return "a recording is a file, no stream: give its name"
    return None


def open_contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of `ringscope open`, in one line."""
    if not options.file or options.file == "-":
        return "a recording is a file, no stream: give its name"
    if (options.start or options.stop) and not (options.events or options.export is not None):
        return "--from and --to are for --events and --export: say which"
    if options.export is not None and not options.export:
        return "--export: an empty name is no file"
    if options.export == "-":
        return "--export: a recording is a file, no stream: give its name"
    return None


def on_screen(options: argparse.Namespace) -> bool:
    """Whether `ringscope open` shows the screens."""
    return not prints(options) and getattr(options, "export", None) is None


def prints(options: argparse.Namespace) -> bool:
    """Whether `ringscope open` is of no use without standard output."""
    return bool(getattr(options, "json", False) or getattr(options, "events", False) or _at(options))


def _at(options: argparse.Namespace) -> bool:
    return getattr(options, "at", None) is not None
