"""Between two steps of a buffer's life: who waited for whom, and what that side was doing."""

from __future__ import annotations

from dataclasses import replace

from dataplane.records import Role, Side
from inspector.life.around import sleep_of
from inspector.life.model import Name, Step
from inspector.numbers import count, duration
from inspector.session import Session


def with_waits(session: Session, role: Role, queue: int, position: int, steps: list[Step]) -> list[Step]:
    """The same steps, each with what passed since the one before it whose time is known."""
    known = {step.name: step for step in steps if step.time}
    first = next(iter(known.values()), None)
    return [
        replace(step, wait=_wait(session, role, queue, position, known, step))
        if step.time and step is not first
        else step
        for step in steps
    ]


def _wait(
    session: Session, role: Role, queue: int, position: int, steps: dict[Name, Step], step: Step
) -> str:
    receives = role is Role.RECEIVE
    match step.name:
        case "filled":
            return "the driver writes its descriptors"
        case "available" if _covers(session, step) > 1:
            return "the driver fills others of its batch first"
        case "seen" if "available" in steps:
            if receives:
                return "it stands ready, empty, until the device has a frame for it"
            if step.event < steps["available"].event:
                return "the device saw it before the driver had noted that it was there"
            told = _waited(session, Side.DEVICE, steps.get("kick"), steps["available"], step)
            return told + _queued(session, queue, position, steps["available"])
        case "packet" | "completed":
            return "the device fills it" if receives else "the device has it in hand"
        case "used" if _covers(session, step) > 1:
            return "the device finishes its batch first"
        case "collected" if "used" in steps:
            if step.event < steps["used"].event:
                return "the driver saw it before the device had noted that it was done"
            return _waited(session, Side.DRIVER, steps.get("call"), steps["used"], step)
        case "recycled":
            return "its slots lie free"
    return ""


def _covers(session: Session, step: Step) -> int:
    """How many buffers a publication or a flush moved."""
    row = session.history.row(step.event)
    return int(row["new"]) - int(row["old"]) if row is not None else 0


def _waited(session: Session, side: Side, notice: Step | None, start: Step, stop: Step) -> str:
    """What the side that had to act was doing meanwhile."""
    who = side.name.lower()
    slept = sleep_of(session, side, start.event, stop.event)
    if slept.polls:
        return f"the {who} polls: it looks without being told"
    if slept.asleep is None:
        return f"the {who} had not looked yet"
    if not slept.asleep:
        return f"the {who} was awake"
    if not slept.woke:
        return f"the {who} slept"
    sent = notice is not None and notice.state == "done"
    told = f"the {notice.name} woke it" if sent and notice is not None else "it woke by itself"
    woke, looked = max(slept.woke - start.time, 0), max(stop.time - slept.woke, 0)
    return f"the {who} slept; {told} after {duration(woke)}, and it looked {duration(looked)} later"


def _queued(session: Session, queue: int, position: int, available: Step) -> str:
    """How many stood before it when it was made available."""
    try:
        seen = session.history.at(available.event, ()).queue(queue).seen
    except (LookupError, ValueError):
        return ""
    before = position - seen
    return f", behind {count(before)} other{'s' if before > 1 else ''}" if before > 0 else ""
