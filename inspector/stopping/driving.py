"""Driving a source from the keyboard: freeze, step, rate, trace. Each says in words what it did.

These block while the source answers; the app calls them on a thread of their own. What the source
raises passes through.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.source import Control, TraceLevel
from inspector.numbers import count
from inspector.session import Session
from inspector.stopping import stepped

_LADDER = tuple(m * 10**e for e in range(8) for m in (1, 2, 5))


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
    return Said("frozen: z runs it again, s takes one step, S says how", "past")


def step(session: Session) -> Said:
    """One step of a frozen pair, as chosen (`inspector.stopping.stepped`); in words what it did."""
    control = _control(session)
    if not control.frozen:
        return Said("steps are for a frozen pair: z freezes it", "flux")
    step, told = stepped.of(session).step(stepped.shapes_of(session))
    if step.breaks:
        names = ", ".join(f"{number}" for number in step.breaks)
        return Said(f"breakpoint {names} · {told.main.brief if told.main else 'reached'}", "flux")
    if not step.moved:
        return Said(f"no side has anything to do ({stepped.how(stepped.of(session).plan)})", "muted")
    if told.main is None:
        off = session.source.snapshot(()).logs.trace_level == "off"
        hint = "; t turns tracing on, which tells what it did" if off else ""
        return Said(f"the {step.sides[-1].name.lower()} took a step{hint}")
    return Said(told.main.brief + (f" · {step.why}" if step.why else ""), told.main.who)


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
    control = _control(session)
    control.trace(level)
    later = " once it runs: of a frozen pair every store is journaled" if control.frozen else ""
    return Said(f"trace level: {level}{later}")


def toggle_log(session: Session) -> Said:
    """Log frames, or only count them."""
    logs = session.tick.snapshot.logs if session.tick else session.source.snapshot(()).logs
    session.log_frames(not logs.frames_on)
    return Said("packets are counted, not kept" if logs.frames_on else "packets are kept")
