"""Columns and lines of the packet list: which there are, which fit, what stands in them. No widget."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from capture.batch import SORTABLE
from capture.columns import Summary
from capture.frame import (
    CALL_QUIET,
    CALL_SENT,
    DIRECTION_NAMES,
    FIXED,
    INDIRECT,
    KICK_QUIET,
    KICK_SENT,
    TO_DEVICE,
    TO_DRIVER,
)
from inspector.numbers import duration

ELLIPSIS = "…"
GUTTER = 2  #: cells left of the columns: cursor or mark, and the sign of a trouble
NO_QUEUE = 0xFFFF  #: of a packet from a file that does not tell; it has no descriptors and no direction then
_INFO = 38  #: cells that info has before addresses get more than an IPv4 address needs
_LEAST_INFO = 16  #: cells below which info is not shown among chosen columns


@dataclass(frozen=True, slots=True)
class Packet:
    """What a line is made of. Times are ns since the epoch: 0 is not known, None is no such packet."""

    number: int
    time: int
    length: int
    captured: int
    queue: str
    direction: int
    head: int
    descriptors: int
    buffers: int
    flags: int
    net_header: bytes
    summary: Summary
    available: int = 0
    used: int = 0
    collected: int = 0
    notices: int = 0
    zero: int = 0  #: time of the first packet
    before: int | None = None  #: time of the packet kept before
    above: int | None = None  #: time of the packet on the line above
    notes: int = 0  #: bits of the expert notes

    @property
    def latency(self) -> int | None:
        """From available to used, in nanoseconds."""
        return self.used - self.available if self.used and self.available else None

    @property
    def pickup(self) -> int | None:
        """From used to collected, in nanoseconds."""
        return self.collected - self.used if self.collected and self.used else None


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column that there is: its name, its heading, one line about it."""

    name: str
    heading: str
    about: str
    right: bool = False
    widest: int = 24  #: cells that it never exceeds


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is shown: what it holds, its heading, its cells, and on which side it stands."""

    name: str
    heading: str
    width: int
    right: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns shown, and how many of those asked for had no room."""

    columns: tuple[Column, ...]
    left_out: int = 0

    def at(self, x: int) -> Column | None:
        """The column over cell `x` of a line."""
        start = GUTTER
        for column in self.columns:
            if start <= x < start + column.width + 1:
                return column
            start += column.width + 1
        return None


ALL_COLUMNS = (
    ColumnInfo("number", "no.", "Number of the packet, counted from 1 since the capture began", True),
    ColumnInfo("time", "time", "When the packet was logged, in the time format chosen", True, 29),
    ColumnInfo("delta", "delta", "Time since the packet captured before it", True),
    ColumnInfo("above", "above", "Time since the packet on the line above", True),
    ColumnInfo("queue", "queue", "Virtqueue that it crossed; → to the device, ← to the driver", widest=14),
    ColumnInfo("direction", "direction", "To the device (transmitted) or to the driver (received)"),
    ColumnInfo("length", "bytes", "Length of the frame on the wire", True),
    ColumnInfo("captured", "kept", "Bytes of it that were kept", True),
    ColumnInfo("source", "source", "Sender: the network address, or else the MAC address", widest=39),
    ColumnInfo("destination", "destination", "Receiver, as source", widest=39),
    ColumnInfo("protocol", "proto", "The highest protocol that its headers show", widest=14),
    ColumnInfo("info", "info", "What the highest protocol says"),
    ColumnInfo("head", "head", "Head descriptor of the chain that carried it", True),
    ColumnInfo("descriptors", "desc", "Descriptors of the chain; i: indirect table, f: fixed mapping", True),
    ColumnInfo("layout", "layout", "Direct descriptors, an indirect table, or the fixed mapping"),
    ColumnInfo("buffers", "bufs", "Buffers that were merged for it (num_buffers)", True),
    ColumnInfo("gso", "gso", "Segmentation left to the device: type and segment size"),
    ColumnInfo("checksum", "csum", "Checksum: partial (left to the device), or found valid by it"),
    ColumnInfo("kick", "kick", "Whether the driver notified the device of it: sent, or suppressed"),
    ColumnInfo("call", "call", "Whether the device notified the driver of it: sent, or suppressed"),
    ColumnInfo(
        "latency",
        "used in",
        "From available to used; (in brackets) how long a receive buffer stood ready",
        True,
    ),
    ColumnInfo("pickup", "taken in", "From used to collected by the driver", True),
)
COLUMNS: Mapping[str, ColumnInfo] = {column.name: column for column in ALL_COLUMNS}
UNSORTED = frozenset(COLUMNS) - frozenset(SORTABLE)  #: columns that a list cannot be ordered by

TIME_FORMATS = ("relative", "delta", "utc", "date", "epoch")
_TIME_HEADINGS = {
    "relative": "time s",
    "delta": "above s",
    "utc": "UTC",
    "date": "UTC date",
    "epoch": "epoch s",
}

#: In the order they stand in; of those after the first six each comes with so many cells left for info.
DEFAULT = ("number", "time", "delta", "queue", "head", "descriptors", "latency", "pickup", "gso",
            "source", "destination", "protocol", "length", "info")  # fmt: skip
_ALWAYS = ("number", "queue", "source", "destination", "protocol", "info")
_MORE = (("time", 30), ("length", 38), ("latency", 40), ("delta", 52), ("head", 52), ("descriptors", 52),
         ("gso", 56), ("pickup", 56))  # fmt: skip
_ADDRESSES = ("source", "destination")
_LEAST = {"number": 4, "queue": 5, "time": 8, "delta": 7, "latency": 9, "pickup": 8, "head": 5, "length": 5}


def lay_out(
    width: int,
    wanted: Sequence[str] | None = None,
    seen: Mapping[str, int] | None = None,
    order: tuple[str | None, bool] = (None, False),
    time_format: str = "relative",
) -> Layout:
    """The columns that fit into `width` cells, info taking what is left.

    wanted: names in the order they are to stand in; None leaves the choice to the width. seen: cells that the
    longest text of a column has needed so far: a column gets that much, and one that never had any text is
    not chosen by itself. order: the column sorted by, and whether it descends. What does not fit is left out
    whole, the last first.
    """
    seen = seen or {}
    sizes = {column.name: _size(column, seen, order, time_format) for column in ALL_COLUMNS}
    cap = 17 if width < 112 else 21 if width < 138 else 26 if width < 178 else 39
    sizes.update((name, max(min(sizes[name], 15), 11)) for name in _ADDRESSES)
    left_out = 0
    if wanted is None:
        names = _chosen(width, sizes, seen)
    else:
        names = [name for name in wanted if name in COLUMNS]
        asked = len(names)
        while len(names) > 1 and _used(names, sizes) > width:
            names.pop(-2 if names[-1] == "info" and len(names) > 2 else -1)
        left_out = asked - len(names)
    spare = width - _used(names, sizes) - (_INFO - _LEAST_INFO if "info" in names else 0)
    shown = [name for name in _ADDRESSES if name in names]
    for name in shown:
        more = min(max(spare // len(shown), 17 - sizes[name]), min(seen.get(name, 0), cap) - sizes[name])
        sizes[name] += max(more, 0)
    if "info" in names:
        sizes["info"] += width - _used(names, sizes)
    if wanted is not None and "info" in names and sizes["info"] < 8:
        names.remove("info")
        left_out += 1
    return Layout(
        tuple(
            Column(name, _heading(name, order, time_format), max(sizes[name], 1), COLUMNS[name].right)
            for name in names
        ),
        left_out,
    )


def _size(
    column: ColumnInfo, seen: Mapping[str, int], order: tuple[str | None, bool], time_format: str
) -> int:
    if column.name == "info":
        return _LEAST_INFO
    least = max(len(_heading(column.name, order, time_format)), _LEAST.get(column.name, 0))
    return max(least, min(seen.get(column.name, 0), column.widest))


def _used(names: Sequence[str], sizes: Mapping[str, int]) -> int:
    return GUTTER + sum(sizes[name] + 1 for name in names) - (names[-1:] == ["info"])


def _chosen(width: int, sizes: Mapping[str, int], seen: Mapping[str, int]) -> list[str]:
    """The columns for a width when nobody chose."""
    chosen = set(_ALWAYS)
    room = width - _used(list(_ALWAYS), sizes) + _LEAST_INFO
    for name, least in _MORE:
        if name in ("latency", "pickup", "gso") and not seen.get(name):
            continue
        room -= sizes[name] + 1
        if room < least:
            break
        chosen.add(name)
    return [name for name in DEFAULT if name in chosen]


def _heading(name: str, order: tuple[str | None, bool], time_format: str) -> str:
    heading = _TIME_HEADINGS[time_format] if name == "time" else COLUMNS[name].heading
    by, descending = order
    return heading + ("▼" if descending else "▲") if name == by else heading


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def middle(text: str, width: int) -> str:
    """The same for addresses, which differ at both ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + ELLIPSIS + text[-tail:]


def fitted(column: Column, text: str) -> str:
    """The text of a column, cut where its cells are too few."""
    return middle(text, column.width) if column.name in _ADDRESSES else cut(text, column.width)


def texts(packet: Packet, names: Sequence[str], time_format: str = "relative") -> dict[str, str]:
    """What stands in these columns of a line; the words of a trouble are not among them."""
    found = {name: _TEXTS[name](packet) for name in names if name != "time"}
    if "time" in names:
        found["time"] = _TIMES[time_format](packet)
    return found


def _utc(packet: Packet, form: str) -> str:
    seconds, rest = divmod(packet.time, 1_000_000_000)
    return f"{time.strftime(form, time.gmtime(seconds))}.{rest // 1000:06d}"


def _seconds(nanoseconds: int) -> str:
    """Seconds with six places; what is beyond is cut off, as in every other format."""
    whole, rest = divmod(abs(nanoseconds) // 1000, 1_000_000)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{rest:06d}"


_TIMES: Mapping[str, Callable[[Packet], str]] = {
    "relative": lambda p: _seconds(p.time - p.zero),
    "delta": lambda p: _seconds(p.time - p.above if p.above is not None else 0),
    "utc": lambda p: _utc(p, "%H:%M:%S"),
    "date": lambda p: _utc(p, "%Y-%m-%d %H:%M:%S"),
    "epoch": lambda p: f"{p.time // 1_000_000_000}.{p.time % 1_000_000_000:09d}",
}


def _gso(packet: Packet) -> str:
    header = packet.net_header
    if len(header) < 10 or not header[1] & 0x7F:
        return ""
    kind = header[1] & 0x7F
    size = struct.unpack_from("<H", header, 4)[0]
    return f"{_GSO.get(kind, f'type {kind}')}{' ECN' if header[1] & 0x80 else ''} {size}"


def _checksum(packet: Packet) -> str:
    flags = packet.net_header[0] if packet.net_header else 0
    return "partial" if flags & 1 else "valid" if flags & 2 else ""


def _notice(packet: Packet, sent: int, quiet: int) -> str:
    return "sent" if packet.notices & sent else "quiet" if packet.notices & quiet else ""


def _since(now: int, before: int | None) -> str:
    return duration(now - before) if before is not None else ""


_ARROWS = {TO_DEVICE: "→", TO_DRIVER: "←"}
_GSO = {1: "TCPv4", 3: "UDP", 4: "TCPv6", 5: "UDP L4"}
_TEXTS: Mapping[str, Callable[[Packet], str]] = {
    "number": lambda p: str(p.number),
    "delta": lambda p: _since(p.time, p.before),
    "above": lambda p: _since(p.time, p.above),
    "queue": lambda p: f"{p.queue} {_ARROWS.get(p.direction, '')}".strip(),
    "direction": lambda p: dict(enumerate(DIRECTION_NAMES)).get(p.direction, "not known"),
    "length": lambda p: str(p.length),
    "captured": lambda p: str(p.captured),
    "source": lambda p: p.summary.source,
    "destination": lambda p: p.summary.destination,
    "protocol": lambda p: p.summary.protocol,
    "info": lambda p: p.summary.info,
    "head": lambda p: str(p.head) if p.descriptors else "",
    "descriptors": lambda p: f"{p.descriptors}{_way(p.flags)[0]}" if p.descriptors else "",
    "layout": lambda p: _way(p.flags)[1] if p.descriptors else "",
    "buffers": lambda p: str(p.buffers) if p.descriptors else "",
    "gso": _gso,
    "checksum": _checksum,
    "kick": lambda p: _notice(p, KICK_SENT, KICK_QUIET),
    "call": lambda p: _notice(p, CALL_SENT, CALL_QUIET),
    "latency": lambda p: _latency(p),
    "pickup": lambda p: duration(p.pickup) if p.pickup is not None else "",
}


def _latency(packet: Packet) -> str:
    """In brackets where it says how long an empty buffer stood ready: no frame waited for that."""
    if packet.latency is None:
        return ""
    return duration(packet.latency) if packet.direction == TO_DEVICE else f"({duration(packet.latency)})"


def _way(flags: int) -> tuple[str, str]:
    return ("i", "indirect") if flags & INDIRECT else ("f", "fixed") if flags & FIXED else (" ", "direct")
