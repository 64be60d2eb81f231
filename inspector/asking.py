"""What takes a dialogue or more time than a key: writing packets to a file, setting a capture filter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from inspector.sanitise import one_line
from inspector.session import Session
from inspector.stopping.driving import Said
from inspector.writing import Choice, proposed_name, write_frames

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.packets.list import PacketList


class Progress:
    """How far something on another thread has come, told at the foot of the screen until it is over."""

    def __init__(self, app: RingscopeApp, what: str) -> None:
        self.over = False
        self._app, self._what = app, what
        self._told = 0

    def tell(self, part: float) -> None:
        """Any thread: `part` of it is done, 0 to 1."""
        if int(part * 20) > self._told:
            self._told = int(part * 20)
            self._app.call_later(self._say, part)

    def _say(self, part: float) -> None:
        if not self.over:
            self._app.tell(f"{self._what}: {part:.0%}", "muted")


def choices(session: Session, packets: PacketList | None) -> tuple[tuple[Choice, ...], int]:
    """What may be written, and which of it is proposed: what is shown, where that is not all."""
    kept = Choice("all", len(session.frames), "every packet that is kept", None)
    if packets is None:
        return (kept,), 0
    shown, marks, cursor = packets.shown, packets.view.marks, packets.cursor
    one = range(cursor, cursor + 1) if cursor is not None else range(0)
    told = shown.filter_text or "no filter is set: the same as all"
    found = (
        Choice("selected", len(one), f"number {cursor:,}" if cursor is not None else "", one),
        Choice("marked", len(marks), "" if len(marks) else "m marks a packet", marks),
        Choice("filtered", len(shown), told, shown.ascending() if shown.filter_text else None),
        kept,
    )
    return found, 2 if shown.filter_text and len(shown) else 3


def ask_what_to_write(app: RingscopeApp, packets: PacketList | None) -> None:
    """The write dialogue, and then the writing."""
    from inspector.screens.writing import WriteDialogue

    if not len(app.session.frames):
        app.tell("there are no packets to write yet")
        return
    found, proposed = choices(app.session, packets)

    def go(answer: tuple[Choice, str] | None) -> None:
        if answer is not None:
            numbers, path = answer[0].numbers, answer[1]
            work(app, f"writing to {path}", lambda tell: write_frames(app.session, path, numbers, tell))

    app.push_screen(WriteDialogue(found, proposed, proposed_name()), go)


def work(app: RingscopeApp, what: str, act: Callable[[Callable[[float], None]], str]) -> None:
    """Do something that may take long on a thread of its own; tell how far it has come, and what it says."""
    progress = Progress(app, what)

    async def run() -> None:
        try:
            said = await asyncio.to_thread(act, progress.tell)
        except Exception as error:
            progress.over = True
            app.tell(one_line(error), "fault")
        else:
            progress.over = True
            app.tell(said, "used")

    app.run_worker(run(), group="work", exit_on_error=False)


def set_capture_filter(session: Session, text: str) -> Said:
    """Keep only what matches from now on; "" keeps all."""
    from capture.bpf import compile_bpf

    session.set_capture_filter(compile_bpf(text) if text.strip() else None)
    if not text.strip():
        return Said("every packet is kept from now on", "used")
    return Said(f"from now on only packets are kept that match: {text}", "used")
