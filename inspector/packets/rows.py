"""Lines of the packet list: which columns fit, and what stands in them. No widget, no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capture.columns import Summary
from capture.frame import FIXED, INDIRECT, TO_DEVICE
from inspector.numbers import duration

ELLIPSIS = "…"
_INFO = 38  #: cells that info has before addresses get more than an IPv4 address needs


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it holds, its heading, its cells, and on which side it stands."""

    name: str
    heading: str
    width: int
    right: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One packet as the list shows it; texts by column name, and what its colours say."""

    number: int
    texts: Mapping[str, str]
    to_device: bool
    bad: bool


def columns(width: int, digits: int = 5, address: int = 15, time: int = 10) -> tuple[Column, ...]:
    """The columns that fit into `width` cells, info taking what is left.

    `digits` is how long packet numbers are, `address` how long the addresses seen are: they get that
    much where there is room. What does not fit is left out whole.
    """
    number = Column("number", "no.", max(digits, 3), right=True)
    queue = Column("queue", "queue", 6)
    protocol = Column("protocol", "protocol", 8)
    length = Column("length", "bytes", 6, right=True)
    when = Column("time", "time s", time, right=True)
    delta = Column("delta", "after", 7, right=True)
    slot = Column("slot", "slot", 5, right=True)
    chain = Column("chain", "desc", 5, right=True)
    if width < 98:
        cap, parts = 15, [number, queue, protocol]
    elif width < 112:
        cap, parts = 21, [number, when, queue, protocol]
    elif width < 138:
        cap, parts = 21, [number, when, queue, protocol, length]
    else:
        cap, parts = (26 if width < 178 else 39), [number, when, delta, queue, slot, chain, protocol, length]
    left = width - 2 - sum(column.width + 1 for column in parts) - _INFO
    wide = max(min(address, cap, left // 2 - 1), 15)
    at = parts.index(protocol)
    parts[at:at] = [Column("source", "source", wide), Column("destination", "destination", wide)]
    rest = width - 2 - sum(column.width + 1 for column in parts)
    return (*parts, Column("info", "info", max(rest, 8)))


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def middle(text: str, width: int) -> str:
    """The same for addresses, which differ at both ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + ELLIPSIS + text[-tail:]


def line(row: Any, summary: Summary, zero: int, before: int | None, name: str) -> Line:
    """One packet: its row in the store, its summary, the times of the first packet and of the one before."""
    to_device = int(row["direction"]) == TO_DEVICE
    flags, chain = int(row["flags"]), int(row["descriptors"])
    time = int(row["time"])
    captured, length = int(row["captured"]), int(row["length"])
    texts = {
        "number": str(int(row["number"])),
        "time": f"{(time - zero) / 1e9:.6f}",
        "delta": duration(time - before) if before is not None else "",
        "queue": f"{name} {'→' if to_device else '←'}",
        "slot": str(int(row["head"])),
        "chain": f"{chain}{'i' if flags & INDIRECT else 'f' if flags & FIXED else ' '}",
        "source": summary.source,
        "destination": summary.destination,
        "protocol": summary.protocol,
        "length": str(length),
        "info": summary.info + (f" [{captured} of {length} bytes kept]" if captured < length else ""),
    }
    return Line(int(row["number"]), texts, to_device, is_bad(summary))


def is_bad(summary: Summary) -> bool:
    """Whether the summary says that the frame contradicts itself."""
    return "[malformed" in summary.info or "[truncated" in summary.info
