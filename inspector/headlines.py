"""What the first and the last line of a screen say about a reading."""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.blk import DEVICE_ID
from dataplane.features import feature_names
from dataplane.rules.finding import Level
from dataplane.snapshot import Snapshot
from inspector.numbers import count, duration, rate
from inspector.sanitise import clean
from inspector.session import Session, Tick
from inspector.view import Records

#: Text, and the palette's name for its style.
Piece = tuple[str, str]

#: Features that say most about a ring come first; the rest follow by bit.
_TELLING = ("EVENT_IDX", "INDIRECT_DESC", "IN_ORDER", "MRG_RXBUF", "MQ", "CSUM")


@dataclass(frozen=True, slots=True)
class Headline:
    """What the first line says. `features` go from the most telling to the least."""

    name: str
    kind: str
    layout: str
    features: tuple[str, ...]
    state: tuple[Piece, ...]
    trace: str
    seen: int | None  #: packets; not told in a lesson, whose own count of this name is another
    keeps: str = ""  #: the capture filter, "" where every packet is kept
    left_out: int = 0  #: packets that it did not keep
    badges: tuple[Piece, ...] = ()  #: what else goes on: a recording, a breakpoint
    past: bool = False  #: a moment of the past is shown


def headline(session: Session, tick: Tick, failed: bool = False) -> Headline:
    """The first line for a reading; while a moment of the past is shown, for that."""
    snapshot, program = (session.past or tick).snapshot, session.capture_filter
    identity = snapshot.identity
    names = feature_names(identity.accepted, identity.device_id)
    first = [name for name in _TELLING if name in names]
    size = next((q.size for q in snapshot.queues if q.index == session.selection.queue), 0)
    past = session.past
    return Headline(
        name=clean(identity.name),
        kind=clean(identity.kind),
        layout=f"{'packed' if identity.packed else 'split'} {size}",
        features=(*first, *(name for name in names if name not in first)),
        state=_state(session, tick, failed) if past is None else _then(session, past, tick),
        trace=_trace(snapshot),
        keeps=clean(program.text) if program is not None else "",
        left_out=tick.frames_filtered,
        seen=None if "lesson" in session.badges else _packets(snapshot),
        badges=(
            *(() if "lesson" in session.badges else _found(session, past or tick)),
            *_failed(session),
            *((f" {clean(text)} ", style) for text, style in session.badges.values() if text),
        ),
        past=past is not None,
    )


def _found(session: Session, tick: Tick) -> tuple[Piece, ...]:
    """What is wrong, and where: the gravest, and how many more."""
    wrong = [finding for finding in tick.findings if finding.level > Level.INFO]
    if not wrong:
        return ()
    more = f" +{len(wrong) - 1}" if len(wrong) > 1 else ""
    queue = "device" if wrong[0].queue is None else clean(session.queue_name(wrong[0].queue))
    return ((f" ✗ {queue} {clean(wrong[0].code)}{more} ", "fault"),)


def _failed(session: Session) -> tuple[Piece, ...]:
    """Requests of a block device with another status than OK."""
    failed = session.requests.failed
    return ((f" ✗ {count(failed)} failed ", "fault"),) if failed else ()


def _trace(snapshot: Snapshot) -> str:
    """The trace level in force: of a frozen pair every store is journaled, whatever it runs with."""
    level = snapshot.logs.trace_level
    return "stores while frozen" if snapshot.state == "frozen" and level != "stores" else level


def _packets(snapshot: Snapshot) -> int:
    if snapshot.identity.device_id == DEVICE_ID:
        return sum(queue.used for queue in snapshot.queues)
    return sum(
        max(side.frames for side in (queue.driver, queue.device) if side is not None)
        for queue in snapshot.queues
        if queue.driver is not None or queue.device is not None
    )


def _state(session: Session, tick: Tick, failed: bool) -> tuple[Piece, ...]:
    if failed:
        return ((" ! stopped reading ", "fault"),)
    pieces: list[Piece] = []
    if session.lent:
        if getattr(session.source, "wrong", ""):
            pieces.append((" ! not whole ", "fault"))
        grows = bool(getattr(session.source, "following", False))
        pieces.append((" ● being recorded ", "used") if grows else (" ■ end of the recording ", "muted"))
    elif tick.snapshot.state != "running":
        style = "past" if tick.snapshot.state == "frozen" else "muted"
        pieces.append((f" ■ {tick.snapshot.state} ", style))
    if session.paused:
        pieces.append((" ‖ paused ", "flux"))
    if not pieces:
        pieces.append((f" ● live {min(tick.hertz, 99):2.0f} Hz ", "used"))
    return tuple(pieces)


def _then(session: Session, past: Tick, now: Tick) -> tuple[Piece, ...]:
    """Where in the past it is, and how far back the journal reaches; the last pieces may give way."""
    reach = session.history.reach
    newest = max(reach.last_time, past.snapshot.time) if session.lent else now.snapshot.time
    before = duration(max(newest - past.snapshot.time, 0))
    pieces: list[Piece] = [
        (f" ◷ {before} {'before the end' if session.lent else 'ago'} ", "past"),
        (f"· event {past.cursor:,} of {reach.last:,} ", "past"),
    ]
    if past.cursor is not None and past.cursor < reach.first:
        pieces.append(("· no longer kept ", "flux"))
    else:
        back = duration(max(newest - reach.first_time, 0))
        pieces.append((f"· reaches {back} back " if not session.lent else f"· {back} recorded ", "muted"))
    if session.paused:
        pieces.append(("‖ ", "flux"))
    return tuple(pieces)


def recorded(recording: Records) -> Piece:
    """What the first line says of a file that the source is written to."""
    if recording.failed:
        return f"rec stopped: {recording.failed}", "fault"
    return f"rec {recording.path.name} {octets(recording.size)}", "fault"


def octets(size: int) -> str:
    """A size in bytes in few cells: 812 B, 64 KB, 12 MB, 1.2 GB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}" if size < 10 * scale else f"{size // scale:,} {unit}"
    return f"{size} B"


def facts(session: Session, tick: Tick) -> tuple[Piece, ...]:
    """What the foot says while there is no message: traffic, what is kept, what was missed.

    Of a moment of the past: the event that led there.
    """
    if session.past is not None:
        return _event(session, session.past)
    meters = tick.meters.values()
    control = session.source.control
    asked = control.rate if control is not None else None
    if session.blocks:
        return _requests(session, tick)
    pieces: list[Piece] = [
        (f"{rate(sum(meter.frames_per_s for meter in meters))} frames", "text"),
        (f" · {rate(sum(meter.bytes_per_s for meter in meters))} bytes", "text"),
    ]
    if asked is not None:
        pieces.append((f" · {rate(asked)} asked for", "muted"))
    sample = tick.snapshot.logs.frame_sample
    of = f", one in {sample:,}" if sample > 1 else ""
    kept = len(session.frames)
    pieces.append((f" · {count(kept)} packet{'s' * (kept != 1)} kept{of}", "muted"))
    if tick.frames_lost:
        pieces.append((f" · {count(tick.frames_lost)} passed too fast to keep", "muted"))
    if tick.missed:
        pieces.append((f" · {count(tick.missed)} picture{'s' if tick.missed > 1 else ''} skipped", "muted"))
    return tuple(pieces)


def _requests(session: Session, tick: Tick) -> tuple[Piece, ...]:
    """The same of a block device, and what it is taken for."""
    kept, config = session.requests, tick.snapshot.blk
    pieces: list[Piece] = [
        (f"{rate(sum(meter.buffers_per_s for meter in tick.meters.values()))} requests", "text"),
        (f" · {count(len(kept))} kept", "muted"),
    ]
    if config is not None:
        pieces.append((f" · a disk of {config.capacity:,} sectors", "muted"))
    if kept.lost:
        pieces.append((f" · {count(kept.lost)} passed too fast to keep", "muted"))
    pieces += [(f" · {clean(note)}", "flux") for note in tick.snapshot.notes]
    return tuple(pieces)


def _event(session: Session, past: Tick) -> tuple[Piece, ...]:
    """The event after which a moment was, and what is not known of it."""
    pieces: list[Piece] = []
    for row in past.events.rows[:1]:
        style = "driver" if int(row["side"]) == 0 else "device"
        pieces.append((clean(session.words(row)), style))
    pieces += [(f"{' · ' if pieces else ''}{clean(note)}", "flux") for note in past.snapshot.notes]
    return tuple(pieces)
