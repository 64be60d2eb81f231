"""A part of a recording as a recording of its own, which opens by itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from dataplane.keyframe import Keyframe
from dataplane.past.chunk import cut, make_chunk
from dataplane.recorded.recorder import Output
from dataplane.recording import Recording
from dataplane.snapshot import Array
from dataplane.source import Frames

_NUMBERS = 1 << 14  #: event numbers that are read at once


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    events: int
    frames: int
    bytes: int


def export(
    recording: Recording,
    path: str | os.PathLike[str],
    first: int,
    last: int,
    *,
    program: str = "ringscope",
) -> Exported:
    """Write events `first` to `last`, and the frames of that time, to a new recording at `path`.

    It begins with the exact image before `first`, where that can be rebuilt. RecordingError where `path`
    cannot be a recording; OSError, after which nothing is left of it.
    """
    history = recording.history
    output = Output(path, replace(recording.identity, kind=recording.recorded_kind), program)
    try:
        for keyframe in _keyframes(recording, first, last):
            output.keyframe(keyframe)
        events = 0
        for start in range(first, last + 1, _NUMBERS):
            for rows in _runs(history.rows(start, min(start + _NUMBERS - 1, last), own=True)):
                for piece in cut(rows):
                    chunk = make_chunk(piece)
                    output.chunk(chunk)
                    events += chunk.last - chunk.first + 1
        frames = lost = 0
        start_time, end_time = history.time_of(first), history.time_of(last)
        for batch in recording.frames_between(start_time, end_time):
            part = _part(batch, start_time, end_time)
            if part is not None:
                output.frames([part], part.lost)
                frames += len(part.rows)
                lost += part.lost
        output.state(replace(history.at(last, ()), state="stopped"))
        output.end({"events": events, "events_lost": 0, "frames": frames, "frames_lost": lost})
    except BaseException:
        output.discard()
        raise
    output.close()
    return Exported(events, frames, output.size)


def _keyframes(recording: Recording, first: int, last: int) -> list[Keyframe]:
    """The image at the start, and those recorded since."""
    inside = [keyframe for keyframe in recording.keyframes if first <= keyframe.number <= last]
    for number in (first - 1, first):
        try:
            return [recording.history.image(number), *(one for one in inside if one.number > number)]
        except LookupError:
            continue
    return inside


def _runs(rows: Array) -> list[Array]:
    """Rows cut where numbers are missing."""
    numbers = rows["number"]
    return [run for run in np.split(rows, np.flatnonzero(numbers[1:] > numbers[:-1] + 1) + 1) if len(run)]


def _part(frames: Frames, start: int, end: int) -> Frames | None:
    """Those of a batch that are of the time from `start` to `end`; None where there are none."""
    rows = frames.rows
    wanted = (rows["time"] >= start) & (rows["time"] <= end)
    if not wanted.any():
        return None
    offsets = frames.offsets[wanted]
    rows = rows[wanted]
    begin = int(offsets.min())
    stop = int((offsets + rows["captured"]).max())
    return replace(frames, rows=rows, offsets=offsets - begin, data=frames.data[begin:stop])
