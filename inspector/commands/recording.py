"""`ringscope record`, and `--record` of run: what happens to a pair, into a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inspector import __version__
from inspector.cli import FAILED, OK, complain
from inspector.commands.opening import Refused
from inspector.sanitise import clean

if TYPE_CHECKING:
    from dataplane.recorded.recorder import Recorder
    from dataplane.source import RingSource

_BEAT = 0.1  #: seconds between two looks whether the recorder still writes


def recorder(source: RingSource, path: str) -> Recorder:
    """A recorder of a source, at work. Refused where its file cannot be written."""
    from dataplane.recorded.blocks import RecordingError
    from dataplane.recorded.recorder import Recorder

    try:
        return Recorder(source, path, program=f"ringscope {__version__}")
    except RecordingError as error:
        raise Refused(f"cannot record to {path}: {error}") from None
    except OSError as error:
        raise Refused(f"cannot record to {path}: {error.strerror}") from None


def record(options: argparse.Namespace, source: RingSource, start: Callable[[], None]) -> int:
    """Record without a screen until the time is over or a signal comes; the exit code."""
    from inspector.commands.watching import until_signalled

    with until_signalled() as stop:
        writing = recorder(source, options.file)
        try:
            start()
            end = time.monotonic() + options.seconds if options.seconds else float("inf")
            while not writing.failed and not stop.wait(min(_BEAT, max(end - time.monotonic(), 0))):
                if time.monotonic() >= end:
                    break
        finally:
            writing.close()
    return report(writing)


def written(events: int, frames: int) -> str:
    """ "1 event and 2 frames written"."""
    said = (
        f"{count:,} {what}{'' if count == 1 else 's'}"
        for count, what in ((events, "event"), (frames, "frame"))
    )
    return f"{' and '.join(said)} written"


def report(writing: Recorder) -> int:
    """Say on standard error what a recorder that is closed has written; the exit code."""
    lost = [
        f"{count:,} {what} lost"
        for count, what in ((writing.events_lost, "events"), (writing.frames_lost, "frames"))
        if count
    ]
    said = f"{written(writing.events, writing.frames)} to {clean(str(writing.path))}"
    print(", ".join([said, *lost]), file=sys.stderr)
    if writing.failed:
        complain(f"the recording ended early, {writing.failed}")
        return FAILED
    return OK
