"""Driving a source from the keyboard: freeze, step, rate, trace. Each says in words what it did.

These block while the source answers; the app calls them on a thread of their own. What the source
raises passes through.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.records import Kind, Role, Side
from dataplane.snapshot import Snapshot
from dataplane.source import START, Control, TraceLevel
from inspector.journey import sentence
from inspector.numbers import count
from inspector.session import Session

_LADDER = tuple(m * 10**e for e in range(8) for m in (1, 2, 5))
_QUIET = {Kind.WAIT, Kind.WAKE, Kind.FREEZE, Kind.RUN}


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the foot of the screen, and the palette's style for it."""

    text: str
    style: str = "text"


def _control(session: Session) -> Control:
    control = session.source.control
    if control is None:
        raise RuntimeError(
            f"{session.source.identity.name} can be watched but not driven: no side of it is ours"
        )
    return control


def toggle(session: Session) -> Said:
    """Freeze the sides that are ours, or let them run."""
    control = _control(session)
    if control.frozen:
        control.run()
        return Said("running", "used")
    control.freeze()
    return Said("frozen: z runs it again, s takes one step", "past")


def turn(snapshot: Snapshot, last: Side) -> Side:
    """The side that has something to do: the device before what is sent, the driver before what is used.

    Where both have or neither has, it is the one that did not move last.
    """
    queues = snapshot.queues
    device = any(q.published > q.seen for q in queues if q.role is not Role.RECEIVE) or any(
        q.device is not None and (q.device.holding or q.device.unflushed) for q in queues
    )
    driver = any(q.used > q.collected or (q.driver is not None and q.driver.added) for q in queues)
    if device == driver:
        return Side.DEVICE if last is Side.DRIVER else Side.DRIVER
    return Side.DEVICE if device else Side.DRIVER


def step(session: Session) -> Said:
    """One operation of the side whose turn it is, or of the other one where that side has nothing to do."""
    control = _control(session)
    if not control.frozen:
        return Said("steps are for a frozen pair: z freezes it", "flux")
    source = session.source
    before = source.events(session.step_cursor or START)
    first = turn(source.snapshot(()), session.step_side)
    why = ""
    for side in (first, Side.DEVICE if first is Side.DRIVER else Side.DRIVER):
        stepped = control.step(side, "operation", 1)
        if stepped.taken:
            session.step_side = side
            events = source.events(before.cursor)
            session.step_cursor = events.cursor
            told = [row for row in events.rows if row["kind"] not in _QUIET] or list(events.rows)
            if not told:
                off = source.snapshot(()).logs.trace_level == "off"
                hint = "; t turns tracing on, which tells what it did" if off else ""
                return Said(f"the {side.name.lower()} took a step{hint}")
            words = [sentence(row, session.queue_name(int(row["queue"]))) for row in told[:3]]
            more = f" · and {len(told) - 3} more" if len(told) > 3 else ""
            return Said(" · ".join(words) + more, side.name.lower())
        why = why or stepped.why
    return Said(f"no side has anything to do{': ' + why if why else ''}", "muted")


def change_rate(session: Session, way: int) -> Said:
    """The next rate up or down a ladder of frames a second: 1, 2, 5, 10, ...."""
    control = _control(session)
    asked = control.rate
    if asked is None:
        tick = session.tick
        asked = sum(meter.frames_per_s for meter in tick.meters.values()) if tick else 0.0
    if way > 0:
        wanted = next((step for step in _LADDER if step > asked * 1.01), _LADDER[-1])
    else:
        wanted = next((step for step in reversed(_LADDER) if step < asked * 0.99), _LADDER[0])
    control.set_rate(float(wanted))
    return Said(f"traffic: {count(wanted)} frames a second asked for")


def own_pace(session: Session) -> Said:
    """Take back any rate that was asked for."""
    _control(session).set_rate(None)
    return Said("traffic: at its own pace")


def trace(session: Session, level: TraceLevel) -> Said:
    """Set the trace level."""
    _control(session).trace(level)
    return Said(f"trace level: {level}")


def toggle_log(session: Session) -> Said:
    """Log frames, or only count them."""
    logs = session.tick.snapshot.logs if session.tick else session.source.snapshot(()).logs
    session.log_frames(not logs.frames_on)
    return Said("packets are counted, not kept" if logs.frames_on else "packets are kept")
