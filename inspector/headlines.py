"""What the first and the last line of a screen say about a reading."""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.features import feature_names
from inspector.numbers import count, rate
from inspector.sanitise import clean
from inspector.session import Session, Tick

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
    seen: int
    keeps: str = ""  #: the capture filter, "" where every packet is kept
    left_out: int = 0  #: packets that it did not keep


def headline(session: Session, tick: Tick, failed: bool = False) -> Headline:
    """The first line for a reading."""
    snapshot, program = tick.snapshot, session.capture_filter
    identity = snapshot.identity
    names = feature_names(identity.accepted, identity.device_id)
    first = [name for name in _TELLING if name in names]
    size = next((q.size for q in snapshot.queues if q.index == session.selection.queue), 0)
    return Headline(
        name=clean(identity.name),
        kind=clean(identity.kind),
        layout=f"{'packed' if identity.packed else 'split'} {size}",
        features=(*first, *(name for name in names if name not in first)),
        state=_state(session, tick, failed),
        trace=snapshot.logs.trace_level,
        keeps=clean(program.text) if program is not None else "",
        left_out=tick.frames_filtered,
        seen=sum(
            max(side.frames for side in (queue.driver, queue.device) if side is not None)
            for queue in snapshot.queues
            if queue.driver is not None or queue.device is not None
        ),
    )


def _state(session: Session, tick: Tick, failed: bool) -> tuple[Piece, ...]:
    if failed:
        return ((" ! stopped reading ", "fault"),)
    pieces: list[Piece] = []
    if tick.snapshot.state != "running":
        style = "past" if tick.snapshot.state == "frozen" else "muted"
        pieces.append((f" ■ {tick.snapshot.state} ", style))
    if session.paused:
        pieces.append((" ‖ paused ", "flux"))
    if not pieces:
        pieces.append((f" ● live {min(tick.hertz, 99):2.0f} Hz ", "used"))
    return tuple(pieces)


def facts(session: Session, tick: Tick) -> tuple[Piece, ...]:
    """What the foot says while there is no message: traffic, what is kept, what was missed."""
    meters = tick.meters.values()
    control = session.source.control
    asked = control.rate if control is not None else None
    pieces: list[Piece] = [
        (f"{rate(sum(meter.frames_per_s for meter in meters))} frames", "text"),
        (f" · {rate(sum(meter.bytes_per_s for meter in meters))} bytes", "text"),
    ]
    if asked is not None:
        pieces.append((f" · {rate(asked)} asked for", "muted"))
    sample = tick.snapshot.logs.frame_sample
    of = f", one in {sample:,}" if sample > 1 else ""
    pieces.append((f" · {count(len(session.frames))} packets kept{of}", "muted"))
    if tick.frames_lost:
        pieces.append((f" · {count(tick.frames_lost)} passed too fast to keep", "muted"))
    if tick.missed:
        pieces.append((f" · {count(tick.missed)} picture{'s' if tick.missed > 1 else ''} skipped", "muted"))
    return tuple(pieces)
