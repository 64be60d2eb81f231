"""The first layer of every packet: where in the ring it was, and when.

Its fields have no bits of the frame; they come from the frame's origin and from the events that the
journal still has of its buffer.
"""

from __future__ import annotations

from datetime import UTC, datetime

from capture.fields import Field
from capture.frame import FIXED, INDIRECT, TO_DEVICE, Frame
from dataplane.records import Kind
from inspector.journey import Stage, waits
from inspector.numbers import duration

_NOTICES = {
    Kind.KICK: "kick sent",
    Kind.KICK_QUIET: "no kick: the device wanted none",
    Kind.CALL: "call sent",
    Kind.CALL_QUIET: "no call: the driver wanted none",
}


def ring_layer(frame: Frame, queue_name: str, stages: tuple[Stage, ...], there: bool | None) -> Field:
    """The Ring layer of a frame. `there`: whether its buffer still stands in its slot, None if unknown."""
    queue, position = frame.origin
    way = "driver to device" if frame.direction == TO_DEVICE else "device to driver"
    now = "" if there is None else ", still there" if there else ", used again since"
    fields = [
        _note("queue", f"{queue_name}, virtqueue {queue}"),
        _note("direction", way),
        _note("time", _clock(frame.time)),
        _note("buffer", _buffers(frame, position)),
        _note("slot", f"{frame.head}{now}"),
        _note("chain", _chain(frame)),
    ]
    notices = [_NOTICES[stage.kind] for stage in stages if stage.kind in _NOTICES]
    if notices:
        fields.append(_note("notification", "; ".join(notices)))
    if stages:
        steps = tuple(
            _note(
                stage.side.name.lower(),
                f"{stage.words}{f', {duration(wait)} later' if wait is not None else ''}",
            )
            for stage, wait in waits(stages)
        )
        whole = duration(stages[-1].time - stages[0].time)
        fields.append(_note("way", f"{len(stages)} steps in {whole}", steps))
    else:
        fields.append(_note("way", "no longer in the journal"))
    return Field("Ring", f"{queue_name}, slot {frame.head}, buffer {position:,}", 0, 0, "note", tuple(fields))


def _note(name: str, text: str, children: tuple[Field, ...] = ()) -> Field:
    return Field(name, text, 0, 0, "note", children)


def _clock(time: int) -> str:
    moment = datetime.fromtimestamp(time // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{time % 1_000_000_000:09d} UTC, {moment:%Y-%m-%d}"


def _buffers(frame: Frame, position: int) -> str:
    if frame.buffers > 1:
        return f"{position:,} to {position + frame.buffers - 1:,}, merged"
    return f"{position:,} of this queue"


def _chain(frame: Frame) -> str:
    many = f"{frame.descriptors} descriptor{'s' if frame.descriptors != 1 else ''}"
    if frame.flags & INDIRECT:
        return f"{many}, indirect"
    return f"{many}, fixed slot" if frame.flags & FIXED else many
