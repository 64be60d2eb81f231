"""What a picture is made of: a reading of the source, or a moment of its past, and what is selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dataplane.rules.finding import Finding
from dataplane.snapshot import Snapshot
from dataplane.source import Events
from inspector.meters import Meter


@dataclass(frozen=True, slots=True)
class Selection:
    """What every widget highlights."""

    queue: int = 0
    slot: int | None = None  #: descriptor slot
    event: int | None = None  #: event number
    frame: int | None = None  #: number of a frame in the store


@dataclass(frozen=True, slots=True)
class Tick:
    """One reading of the source, or the moment after one event of its past."""

    snapshot: Snapshot
    previous: Snapshot | None  #: the reading before, or one event before: what changed glows
    meters: Mapping[int, Meter]  #: by queue index
    events: Events  #: new since the last reading; of the past, the event that led there
    frames_added: int
    frames_lost: int  #: overwritten before they were read, since the session began
    frames_lost_now: int  #: the same, since the last reading
    frames_filtered: int  #: that the capture filter did not match, since the source began
    hertz: float  #: readings a second, measured
    missed: int  #: readings that no screen saw, since the session began
    findings: tuple[Finding, ...] = ()  #: of the doctor, the gravest first; of the past those that stood then
    cursor: int | None = None  #: the event of the past after which this was; None: read live
