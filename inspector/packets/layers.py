"""The first layer of every packet: where in the ring it was, and when.

Its fields have no bits of the frame; they come from the frame's origin and from what the history has of its
buffer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capture.fields import Field
from capture.frame import FIXED, INDIRECT, LATE, TO_DEVICE, Frame
from inspector.life import Life, Step, event_near, life_of
from inspector.numbers import duration
from inspector.sanitise import clean

if TYPE_CHECKING:
    from inspector.session import Session


_WANTED = {"kick": "the device wanted none", "call": "the driver wanted none"}


def life_of_frame(session: Session, frame: Frame) -> Life | None:
    """What is known of the buffer of a frame, the last one of several; None where nothing is."""
    queue, position = frame.origin
    try:
        last, near = position + max(frame.buffers, 1) - 1, event_near(session, frame.time)
        return life_of(session, queue, last, near=near, details=False)
    except LookupError:
        return None


def ring_of(session: Session, frame: Frame) -> Field:
    """The Ring layer of a frame at the moment shown."""
    where = session.slot_of_frame(frame.number)
    name = clean(session.queue_name(frame.origin[0]))
    return ring_layer(frame, name, life_of_frame(session, frame), where[2] if where else None, session.cursor)


def ring_layer(
    frame: Frame, queue_name: str, life: Life | None, there: bool | None, cursor: int | None = None
) -> Field:
    """The Ring layer of a frame. `there`: whether its buffer still stands in its slot, None if unknown.

    cursor: at a moment of the past, the event after which it is; what came later is not told.
    """
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
    steps = [step for step in life.steps if step.event] if life is not None else []
    shown = [step for step in steps if cursor is None or step.event <= cursor]
    notices = [
        f"{step.title}: {_WANTED[step.name]}" if step.state == "quiet" else step.title
        for step in shown
        if step.name in _WANTED
    ]
    if notices:
        fields.append(_note("notification", "; ".join(notices)))
    if shown and life is not None:
        times = [step.time for step in shown]
        whole = duration(max(times) - min(times))
        rest = len(steps) - len(shown)
        later = f", {rest} later {'one' if rest == 1 else 'ones'} not shown" if rest else ""
        fields.append(
            _note("way", f"{len(shown)} steps in {whole}{later}", tuple(_step(life, step) for step in shown))
        )
    else:
        fields.append(_note("way", "not begun at this moment" if steps else "no longer in the journal"))
    return Field("Ring", f"{queue_name}, slot {frame.head}, buffer {position:,}", 0, 0, "note", tuple(fields))


def _step(life: Life, step: Step) -> Field:
    waited = life.waited(step)
    later = f", {duration(waited)} later" if waited is not None else ""
    return _note(step.side.name.lower(), f"{step.title}{later}")


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
    many += ", read late" if frame.flags & LATE else ""
    if frame.flags & INDIRECT:
        return f"{many}, indirect"
    return f"{many}, fixed slot" if frame.flags & FIXED else many
