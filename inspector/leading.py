"""From a thing on one screen to what belongs to it on another: a slot, its packet, who wrote it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from dataplane.records import Role
from inspector.sanitise import clean
from inspector.view import Copies, Follows, Lists, Writes

if TYPE_CHECKING:
    from capture.frame import Frame
    from inspector.app import RingscopeApp
    from inspector.life import Name
    from inspector.session import Session


def view_of(session: Session, name: str) -> str:
    """Of a block device there are requests where there are packets of another."""
    return "requests" if name == "packets" and session.blocks else name


async def show_packet(app: RingscopeApp, queue: int, slot: int) -> None:
    """From a descriptor to the packet whose buffer stands in its slot."""
    if app.session.blocks:
        await app.action_view("requests")
        return
    number = app.session.frame_of_slot(queue, slot)
    name = clean(app.session.queue_name(queue))
    if number is None:
        app.tell(f"no packet that is kept stands in slot {slot} of {name}")
        return
    app.session.select(queue=queue, slot=slot, frame=number)
    await app.action_view("packets")


async def show_descriptor(app: RingscopeApp, frame: int) -> None:
    """From a packet to the descriptors that carried it."""
    found = app.session.slot_of_frame(frame)
    if found is None:
        app.tell(f"packet {frame} is no longer kept")
        return
    queue, slot, there = found
    app.select(queue=queue, slot=slot, frame=frame)
    await app.action_view("rings")
    app.feed.soon()
    if not there:
        name = clean(app.session.queue_name(queue))
        app.tell(f"the buffer of packet {frame} is gone: slot {slot} of {name} has been used again", "flux")


async def search(app: RingscopeApp) -> None:
    """Search the packets, from a screen that has nothing of its own to search."""
    if app.current_mode == "packets" and len(app.screen_stack) > 1:
        await app.action_view("packets")
    await app.action_view("packets")
    await app.run_action("packets_search", app.view)


async def show_stage(app: RingscopeApp, name: Name) -> None:
    """From a packet, slot, event or life to the moment at which its buffer came to a stage."""
    from inspector.life import life_of
    from inspector.screens.life import LifeScreen, selected

    session, sheet = app.session, app.screen if isinstance(app.screen, LifeScreen) else None
    frame = _chosen(session) if sheet is None and app.current_mode == "packets" else None
    try:
        if sheet is not None:
            queue, position, near = sheet.queue, sheet.position, sheet.near
        else:
            queue, position, near = selected(session, app.current_mode)
            position += max(frame.buffers, 1) - 1 if frame is not None else 0
        life = await asyncio.to_thread(life_of, session, queue, position, near=near, details=False)
    except LookupError as error:
        why = str(error.args[0])
        if frame is not None:
            late = frame.time >= session.history.reach.first_time
            why = f"packet {frame.number}: " + (
                "its events came too fast to be journaled"
                if late
                else "its buffer is no longer in the journal"
            )
        app.tell(why, "flux")
        return
    what = (
        f"packet {frame.number}" if frame is not None else f"buffer {position:,} of {clean(life.queue_name)}"
    )
    step = life.step(name)
    if step is None or not step.event:
        app.tell(f"{what}: {step.words if step is not None else 'that is not known of it'}", "flux")
        return
    app.go_to(step.event)
    if sheet is None:
        head = frame.head if frame is not None else life.head
        session.select(queue=queue, slot=head, frame=frame.number if frame is not None else life.frame)
        if app.current_mode == "packets":
            await app.action_view("rings")
    app.tell(f"{what}, {step.title}: after event {step.event:,} · 0 goes back to live", "past")


def _chosen(session: Session) -> Frame | None:
    """The packet that is selected, where it is kept."""
    try:
        return session.frames.frame(session.selection.frame) if session.selection.frame is not None else None
    except LookupError:
        return None


def show_writer(app: RingscopeApp) -> None:
    """From a slot to the moment when it was last written."""
    from inspector.past.written import last_written

    selection = app.session.selection
    if selection.slot is None:
        app.tell("choose a slot first: 1 goes to the rings, arrows or a click choose")
    else:
        app.seek(partial(last_written, selection.queue, selection.slot))


def follow(app: RingscopeApp) -> None:
    """Keep up with the newest, or stay where one is."""
    view = app.top
    if isinstance(view, Follows):
        app.tell("following the newest" if view.toggle_follow() else "staying where you are")
    else:
        app.tell("there is nothing to follow here; 2 goes to the packets")


def copy(app: RingscopeApp) -> None:
    """Put what is selected on the clipboard, as text."""
    view = app.top
    text = view.copy_text() if isinstance(view, Copies) else None
    if not text:
        app.tell("nothing is selected that could be copied")
        return
    app.copy_to_clipboard(text)
    app.tell(f"copied {len(text):,} characters (the terminal must allow OSC 52)")


def write(app: RingscopeApp) -> None:
    """Ask where to write what a screen has: something of its own, else packets."""
    from inspector import asking

    top = app.top
    if isinstance(top, Writes):
        top.write()
    else:
        asking.ask_what_to_write(app, app.view.packets if isinstance(app.view, Lists) else None)


async def show_slot(app: RingscopeApp, queue: int | None, slot: int | None) -> None:
    """To the rings, a queue and a slot of it; None: what is selected stays so."""
    app.select(queue=app.session.selection.queue if queue is None else queue, slot=slot)
    await app.action_view("rings")
    app.feed.soon()


def step_queue(app: RingscopeApp, step: int) -> None:
    """Select the next queue, or the one before, round the end."""
    tick = app.session.tick
    if tick is None or not tick.snapshot.queues:
        return
    indices = [queue.index for queue in tick.snapshot.queues]
    now = app.session.selection.queue
    at = indices.index(now) if now in indices else 0
    chosen = tick.snapshot.queues[(at + step) % len(indices)]
    app.select(queue=chosen.index, slot=None)
    app.tell(f"{clean(chosen.name)} is selected, {_ROLES[chosen.role]}")


def open_stream(app: RingscopeApp, number: int) -> None:
    """Show what the two ends of a packet's stream said; from there one may come back to another packet."""
    from inspector.screens.stream import StreamScreen

    async def back(chosen: int | None) -> None:
        if chosen is not None:
            await app.action_view("packets")
            app.select(frame=chosen)

    app.push_screen(StreamScreen(number), back)


_ROLES = {
    Role.RECEIVE: "what the driver receives",
    Role.TRANSMIT: "what the driver transmits",
    Role.CONTROL: "what the driver asks of the device",
    Role.REQUEST: "what the driver asks of the disk",
}
