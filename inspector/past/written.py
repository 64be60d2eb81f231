"""When was this slot last written, and by whom?"""

from __future__ import annotations

from dataplane.records import Kind, Side
from inspector.numbers import count, duration
from inspector.past.travel import Place, nothing
from inspector.sanitise import clean
from inspector.session import Session

_PIECE = 1 << 15  #: events that are looked through at a time


def last_written(queue: int, slot: int, session: Session, number: int | None) -> Place:
    """The newest write to a descriptor slot up to the moment shown; at that moment: the one before.

    LookupError in one line where none is known.
    """
    reach = session.history.reach
    if not reach.last:
        raise LookupError(nothing(session))
    now = number if number is not None else reach.last
    name = clean(session.queue_name(queue))
    shape = session.shape(queue)
    row = None
    if shape is not None:
        row = session.history.last_write(shape.desc_addr + 16 * slot, 16, now)
        if row is not None and int(row["number"]) == number:
            row = session.history.last_write(shape.desc_addr + 16 * slot, 16, now - 1)
    if row is None:
        return _added(session, queue, slot, number, now)
    found = int(row["number"])
    who = Side(int(row["side"])).name.lower()
    ago = session.history.time_of(now) - int(row["time"])
    where = f" {duration(ago)} before" if ago > 0 else ""
    return Place(found, f"slot {slot} of {name} was written by the {who}{where}, event {count(found)}: "
                 f"{session.words(row)}", who)  # fmt: skip


def _added(session: Session, queue: int, slot: int, number: int | None, now: int) -> Place:
    """Without stores: when the driver last wrote a buffer whose head is this slot."""
    name = clean(session.queue_name(queue))
    first = session.history.reach.first
    stop = now if now != number else now - 1
    while stop >= first:
        rows = session.history.rows(max(first, stop - _PIECE + 1), stop)
        hit = rows[(rows["kind"] == Kind.ADD) & (rows["queue"] == queue) & (rows["slot"] == slot)]
        if len(hit):
            found = int(hit[-1]["number"])
            return Place(
                found,
                f"stores are not journaled here; a buffer with its head in slot {slot} of {name} was "
                f"written by the driver at event {count(found)}",
                "driver",
            )
        stop -= _PIECE
    raise LookupError(f"no write to slot {slot} of {name} is in the journal, which begins at event {first:,}")
