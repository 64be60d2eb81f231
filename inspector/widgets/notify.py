"""Who wants to be told what: the arithmetic of notifications, in words.

The rule for both layouts is that of 2.7.7 and 2.8.10: with an event value E, a move from old to new
notifies when it passes E. Everything is said twice: what the values in memory mean now, and how the
last decision went with the value read then.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.strip import Strip

from dataplane.features import F_EVENT_IDX, has
from dataplane.layout import AVAIL_F_NO_INTERRUPT, EVENT_DESC, EVENT_DISABLE, EVENT_ENABLE, USED_F_NO_NOTIFY
from dataplane.snapshot import AnyQueue, Notify, PackedQueue, SplitQueue
from inspector.widgets.pane import Ink, Pane, Piece, line, title
from inspector.widgets.queues import tick_queue
from inspector.widgets.ringtext import ahead, plural


@dataclass(frozen=True, slots=True)
class Asked:
    """What a side asks for, in full, and in fewer words for a narrow screen."""

    full: str
    short: str


def passes(who: str, what: str, index: str, event: int, now: int, event_name: str) -> Asked:
    """What a split event value asks for (2.7.7): `what` is sent when `index` moves past `event`."""
    distance = ahead(event, now)
    then = _then(who, what, distance, "buffer", event_name)
    when = f"when {index} passes {event}; now {now}: "
    return Asked(f"the {who} wants a {what} {when}{then.full}", f"wanted {when}{then.short}")


def _then(who: str, what: str, distance: int, unit: str, event_name: str) -> Asked:
    """What that means for the next buffer."""
    if distance == 0:
        return Asked(f"the next {unit} brings one", "the next brings one")
    if distance > 0:
        return Asked(f"no {what} for {plural(distance, 'more ' + unit)}", f"none for {distance:,} more")
    return Asked(f"passed, no {what} until the {who} moves {event_name}", "passed, none till it moves")


def packed_ahead(off: int, wrap: int, position: int, position_wrap: int, size: int) -> int:
    """Slots from a packed position to an event offset, negative once it was passed (2.8.10).

    An event never lies a whole lap away, which decides what a different wrap counter means.
    """
    if wrap == position_wrap:
        return off - position
    return off - position + size if off < position else off - position - size


def asked(queue: AnyQueue, event_idx: bool, kick: bool) -> Asked:
    """What the other side asks for now: kicks of the driver (`kick`), or calls of the device."""
    who, what = ("device", "kick") if kick else ("driver", "call")
    asker = queue.device if kick else queue.driver
    if isinstance(queue, SplitQueue):
        said = _split_asked(queue, event_idx, kick, who, what)
    else:
        said = _packed_asked(queue, kick, who, what)
    if asker is not None and asker.polling:
        return Asked(
            f"the {who} polls and needs no {what}; in memory: {said.full}", f"it polls; {said.short}"
        )
    return said


def _split_asked(queue: SplitQueue, event_idx: bool, kick: bool, who: str, what: str) -> Asked:
    if not event_idx:
        flags, name = (queue.used_flags, "NO_NOTIFY") if kick else (queue.avail_flags, "NO_INTERRUPT")
        none = flags & (USED_F_NO_NOTIFY if kick else AVAIL_F_NO_INTERRUPT)
        return _every(who, what, not none, name if none else "flags 0")
    if kick:
        return passes(who, what, "avail.idx", queue.avail_event, queue.avail_idx, "avail_event")
    return passes(who, what, "used.idx", queue.used_event, queue.used_idx, "used_event")


def _every(who: str, what: str, every: bool, because: str) -> Asked:
    amount = "every" if every else "no"
    return Asked(f"the {who} wants {amount} {what} ({because})", f"{amount} {what} wanted ({because})")


def _packed_asked(queue: PackedQueue, kick: bool, who: str, what: str) -> Asked:
    if kick:
        off_wrap, flags, side = queue.device_off_wrap, queue.device_flags, queue.driver
        here = (side.avail_idx, side.avail_wrap) if side else None
    else:
        off_wrap, flags, mine = queue.driver_off_wrap, queue.driver_flags, queue.device
        here = (mine.used_idx, mine.used_wrap) if mine else None
    kind = flags & 3
    if kind != EVENT_DESC:
        words = {EVENT_ENABLE: (True, "ENABLE"), EVENT_DISABLE: (False, "DISABLE")}.get(kind)
        if words is None:
            return Asked(f"the {who} wrote reserved flags: {flags}", f"reserved flags: {flags}")
        return _every(who, what, *words)
    off, wrap = off_wrap & 0x7FFF, off_wrap >> 15
    full = f"the {who} wants a {what} past slot {off} (wrap {wrap}); "
    short = f"wanted past slot {off} w{wrap}; "
    if here is None:
        return Asked(f"{full}the position is not known from here", f"{short}position unknown")
    at, lap = here
    then = _then(who, what, packed_ahead(off, wrap, at, lap, queue.size), "slot", "it")
    return Asked(f"{full}now {at} (wrap {lap}): {then.full}", f"{short}now {at} w{lap}: {then.short}")


def decided(queue: AnyQueue, notify: Notify | None, event_idx: bool, kick: bool) -> str:
    """How the last decision went: the move that was made, the value read for it, the answer."""
    if notify is None:
        return _from_outside(queue, kick)
    if notify.answer == "none":
        return "nothing decided yet"
    if isinstance(queue, SplitQueue):
        against = f"event {notify.event}" if event_idx else f"flags {notify.event}"
        index = "avail.idx" if kick else "used.idx"
        return f"last: {index} {notify.old} → {notify.new}, {against}: {notify.answer}"
    flags, off_wrap = notify.event >> 16 & 3, notify.event & 0xFFFF
    against = {EVENT_ENABLE: "ENABLE", EVENT_DISABLE: "DISABLE", EVENT_DESC: "event"}.get(
        flags, "reserved flags"
    )
    if flags == EVENT_DESC:
        against += f" slot {off_wrap & 0x7FFF} w{off_wrap >> 15}"
    old = notify.old if notify.old < queue.size else (notify.old - (1 << 16)) % queue.size
    return f"last: slot {old} → {notify.new}, {against}: {notify.answer}"


def _from_outside(queue: AnyQueue, kick: bool) -> str:
    """What is known where the decision is another process's."""
    said, out = "that side is not ours: its decisions cannot be seen", queue.outside
    if out is None:
        return said
    what = "kick" if kick else "call"
    passed, pending = (out.kicks, out.kicks_pending) if kick else (out.calls, out.calls_pending)
    if passed is not None:
        said = f"{plural(passed, what)} passed the relay"
    if pending is None:
        return said
    return f"{said}; {plural(pending, what) if pending else 'none'} in the eventfd"


def lines(ink: Ink, queue: AnyQueue, event_idx: bool, width: int, height: int) -> list[Strip]:
    """Two sentences, and their last decisions beside them or, with the room, below."""
    driver, device = queue.driver, queue.device
    strips: list[Strip] = []
    base, muted = ink("text"), ink("muted")
    for word, writer, kick, notify in (
        ("kick", "driver", True, driver.kick if driver else None),
        ("call", "device", False, device.call if device else None),
    ):
        said = asked(queue, event_idx, kick)
        says = said.full if len(said.full) + 7 <= width else said.short
        last = decided(queue, notify, event_idx, kick)
        counts = ""
        if notify is not None:
            pending = f", {notify.pending:,} not read yet" if notify.pending else ""
            pending += f", {notify.lost:,} never arrived" if notify.lost else ""
            counts = f" · {notify.sent:,} sent, {notify.quiet:,} quiet{pending}"
            if not notify.counted:
                counts = " · how many is not known: events are missing"
        head: list[Piece] = [(f" {word} ", ink(writer, bold=True)), (says, base)]
        room = width - 7 - len(says)
        if height >= 4:
            strips.append(line(width, head, base))
            strips.append(line(width, [("      ", base), (last + counts, muted)], base))
        else:
            tails = (f" · {last}{counts}", f" · {last}", "")
            tail = next(t for t in tails if len(t) <= room or not t)
            strips.append(line(width, [*head, (tail, muted)], base))
    return strips[:height]


class Notifications(Pane, can_focus=False):
    """Whether the next buffer brings a kick, and the next used one a call."""

    def draw(self, width: int, height: int) -> list[Strip]:
        queue = tick_queue(self.tick, self.selected)
        if queue is None or self.tick is None:
            return []
        event_idx = has(self.tick.snapshot.identity.accepted, F_EVENT_IDX)
        strips = lines(self.ink, queue, event_idx, width, height - self.titled)
        if self.titled:
            about = [("will the next buffer bring one?", self.ink("muted", "panel"))]
            strips.insert(0, title(self.ink, width, "notifications", about, False))
        return strips
