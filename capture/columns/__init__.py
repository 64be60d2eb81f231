"""The columns of the packet list, from raw bytes, without scapy: tens of thousands of frames a second.

`carriers` walks from the Ethernet header inwards, through tags and tunnels, to `control` (protocols that keep
a network going), `transport` and `talk` (what people run on top).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from capture.columns.carriers import ethernet
from capture.columns.row import Short

__all__ = ["Summary", "summaries", "summary"]


class Summary(NamedTuple):
    """What one line of the list says. Printable ASCII, but for the arrow between ports."""

    protocol: str
    source: str
    destination: str
    info: str


def summaries(data: Iterable[bytes]) -> list[Summary]:
    """One summary for each Ethernet frame. Never raises, whatever the bytes."""
    return [summary(frame) for frame in data]


def summary(data: bytes) -> Summary:
    """The summary of one Ethernet frame; cut and contradictory ones are marked in `info`."""
    row = ["?", "", "", ""]
    try:
        ethernet(row, data, 0, len(data))
    except (struct.error, IndexError, Short):
        row[3] = f"{row[3]} [truncated]".lstrip()
    except ValueError as why:
        row[3] = f"{row[3]} [malformed: {why}]".lstrip()
    if len(row) > 4:
        more = ["..."] if len(row) > 7 else []
        row[3] = f"{row[3]} ({', '.join(row[4:7] + more)})".lstrip()
    return Summary(row[0], row[1], row[2], row[3])
