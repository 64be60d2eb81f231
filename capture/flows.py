"""Conversations: who talked to whom, how much each way, and how long the ring kept their frames.

Counted as Wireshark counts them: the length on the wire of every frame, both headers of a tunnel, one row
for each TCP connection even where ports are used again. Of an IP datagram in fragments the first fragment
alone belongs to its ports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import Literal, get_args

import numpy as np

from capture.batch.ends import ICMP, ICMPV6, TCP, UDP, Ends, Headers, Transport
from capture.batch.walk import heads, word
from capture.frame import TO_DRIVER, Array
from capture.store import Block
from capture.tracking.connections import ACK, FIN, RST, SYN, Connection
from capture.tracking.grouping import Groups, ends_of, group_by_ends

Kind = Literal["eth", "ip", "tcp", "udp", "icmp"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_AT_ONCE = 8192  #: frames that are grouped together: what one call may add beyond its budget
_OCTAVE = 8  #: bins of latency for each doubling: none is off by more than 4.5 %
_LOW = 6  #: the first bin holds all below 2**_LOW ns
_BINS = (38 - _LOW) * _OCTAVE  #: the last one ends above four minutes


@dataclass(frozen=True, slots=True)
class Latency:
    """From available to used, in nanoseconds. `median` and `p99` are within 5 %; the rest is exact."""

    count: int = 0
    median: int = 0
    p99: int = 0
    max: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """Two ends; `a` is the one that sent first. Pairs are (a to b, b to a); times are ns since the epoch."""

    kind: Kind
    a: str
    b: str
    a_port: int | None  #: of TCP and UDP; of ICMP the id of an echo, on both ends
    b_port: int | None
    packets: tuple[int, int]
    bytes: tuple[int, int]
    first: int
    last: int
    first_number: int
    last_number: int
    latency: Latency  #: of all its frames, as the field `latency` of a filter
    to_device: Latency  #: of those that the driver sent: what the device took
    to_driver: Latency  #: of those received: how long an empty buffer waited
    serial: int = 0  #: TCP connections before it on the same ends
    followed: bool = False  #: there is a later one

    @property
    def duration(self) -> float:
        """Seconds from its first to its last frame."""
        return max(self.last - self.first, 0) / 1e9

    @property
    def bits_per_s(self) -> tuple[float, float]:
        """Each way, over its duration; 0 for a single moment."""
        return (
            (self.bytes[0] * 8 / self.duration, self.bytes[1] * 8 / self.duration)
            if self.duration
            else (0.0, 0.0)
        )

    @property
    def filter_text(self) -> str:
        """The display filter that shows this conversation and no other."""
        text = filter_between(self.kind, self.a, self.a_port, self.b, self.b_port)
        if self.serial or self.followed:
            return f"({text}) and frame.number in {{{self.first_number}..{self.last_number}}}"
        return text


def filter_between(kind: Kind, a: str, a_port: int | None, b: str, b_port: int | None) -> str:
    """The display filter for all frames between two ends, both ways."""
    there, back = _one_way(kind, a, a_port, b, b_port), _one_way(kind, b, b_port, a, a_port)
    return there if there == back else f"({there}) or ({back})"


def _one_way(kind: Kind, source: str, source_port: int | None, target: str, target_port: int | None) -> str:
    if kind == "eth":
        return f"eth.src == {source} and eth.dst == {target}"
    family = "ipv6" if ":" in source else "ip"
    ends = f"{family}.src == {source} and {family}.dst == {target}"
    if kind in ("tcp", "udp"):
        return f"{ends} and {kind}.srcport == {source_port} and {kind}.dstport == {target_port}"
    if kind == "icmp":
        proto = "icmp" if family == "ip" else "icmpv6"
        identity = {"icmp": "icmp.ident", "icmpv6": "icmpv6.echo.identifier"}[proto]
        return f"{ends} and " + (
            f"{identity} == {source_port}" if source_port is not None else f"{proto} and not {identity}"
        )
    return ends


@dataclass(frozen=True, slots=True)
class Folded:
    """Conversations that had to make room, summed."""

    conversations: int = 0
    packets: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Columns:
    """One row of each array for each conversation of a table."""

    packets: Array
    octets: Array
    first: Array
    last: Array
    first_number: Array
    last_number: Array
    flipped: Array  #: the end that sent first stands second in the key
    serial: Array
    followed: Array
    bins: Array  #: by direction of the ring
    slowest: Array

    @classmethod
    def room(cls, size: int) -> _Columns:
        def pair() -> Array:
            return np.zeros((size, 2), np.int64)

        def one(dtype: type = np.int64) -> Array:
            return np.zeros(size, dtype)

        bins = np.zeros((size, 2, _BINS), np.uint32)
        return cls(pair(), pair(), one(), one(), one(), one(), one(bool), one(), one(bool), bins, pair())

    def chosen(self, rows: Array, size: int) -> _Columns:
        """A copy of some rows, with room for `size`."""
        made = _Columns.room(size)
        for field in fields(self):
            getattr(made, field.name)[: len(rows)] = getattr(self, field.name)[rows]
        return made


class _Table:
    """The conversations of one kind, at most `budget` of them between two calls."""

    def __init__(self, kind: Kind, budget: int) -> None:
        self.kind = kind
        self.budget = budget
        self.folded = Folded()
        self.keys: list[bytes] = []  # of each row
        self.row: dict[bytes, int] = {}  # the newest row of a key
        self.connections: dict[bytes, Connection] = {}
        self.columns = _Columns.room(64)

    def add(self, block: Block, ends: Ends, headers: Headers) -> None:
        groups = group_by_ends(ends)
        if isinstance(ends, Transport) and self.kind == "tcp":
            rows = self._connections(groups, ends, headers, block.rows["time"][ends.frame])
        else:
            rows = np.array([self._find(key) for key in groups.keys], np.int64)[groups.group]
        self._count(block.rows[ends.frame], rows, groups.side)

    def latencies(self, block: Block, ends: Ends) -> None:
        """Count the stages of frames whose conversations are known."""
        stages = block.stages[ends.frame]
        known = (stages["available"] > 0) & (stages["used"] >= stages["available"])
        if not known.any():
            return
        groups = group_by_ends(ends)
        rows = np.array([self.row.get(key, -1) for key in groups.keys], np.int64)[groups.group]
        rows = self._older(rows, block.rows["number"][ends.frame].astype(np.int64))
        known &= rows >= 0
        if not known.any():
            return
        rows, stages = rows[known], stages[known]
        way = (block.rows["direction"][ends.frame][known] == TO_DRIVER).astype(np.int64)
        spent = (stages["used"] - stages["available"]).astype(np.int64)
        bins = (np.log2(np.maximum(spent, 1)) - _LOW) * _OCTAVE
        place = np.clip(bins, 0, _BINS - 1).astype(np.int64)
        np.add.at(self.columns.bins, (rows, way, place), 1)
        np.maximum.at(self.columns.slowest, (rows, way), spent)

    def _older(self, rows: Array, numbers: Array) -> Array:
        """Where the ports were used again since a frame, the row of the connection it was part of."""
        late = np.flatnonzero((rows >= 0) & (self.columns.first_number[rows] > numbers))
        if not len(late):
            return rows
        wanted = {self.keys[row] for row in rows[late].tolist()}
        older: dict[bytes, list[int]] = {}
        for row, key in enumerate(self.keys):
            if key in wanted:
                older.setdefault(key, []).append(row)
        first, last = self.columns.first_number, self.columns.last_number
        for at in late.tolist():
            number, mine = int(numbers[at]), older[self.keys[rows[at]]]
            rows[at] = next((row for row in mine if first[row] <= number <= last[row]), -1)
        return rows

    def _find(self, key: bytes) -> int:
        row = self.row.get(key)
        return self._new(key) if row is None else row

    def _new(self, key: bytes) -> int:
        row = len(self.keys)
        if row == len(self.columns.first):
            self.columns = self.columns.chosen(np.arange(row), row * 2)
        self.keys.append(key)
        self.row[key] = row
        return row

    def _connections(self, groups: Groups, ends: Transport, headers: Headers, times: Array) -> Array:
        """The row of every segment; a loop over conversations in which a SYN is, over first and last ones."""
        flags = headers.data[ends.at + 13]
        opened = np.zeros(len(groups.keys), bool)
        opened[groups.group[flags & SYN != 0]] = True
        told = opened[groups.group] | (flags & (FIN | RST) != 0)
        acks = flags & ACK != 0
        told[np.unique((groups.group * 2 + groups.side) * 2 + acks, return_index=True)[1]] = True
        places = np.flatnonzero(told)
        head = heads(headers.data, ends.at[places], 12)
        seq, ack = word(head, 4, 4), word(head, 8, 4)
        known = [self.connections.setdefault(key, Connection()) for key in groups.keys]
        begun: dict[int, list[tuple[int, int]]] = {}  # group: (segment, row) from which a connection is new
        newest = [self.row.get(key, -1) for key in groups.keys]
        columns = (places, groups.group[places], groups.side[places], times[places], flags[places], seq, ack)
        for at, group, side, time, bits, sequence, acked in zip(*(c.tolist() for c in columns), strict=True):
            begins = known[group].segment(side, time, bits, sequence, acked)
            if newest[group] < 0:
                newest[group] = self._new(groups.keys[group])
            elif begins:
                self.columns.followed[newest[group]] = True
                begun.setdefault(group, [(0, newest[group])]).append((at, self._new(groups.keys[group])))
                newest[group] = begun[group][-1][1]
                self.columns.serial[newest[group]] = known[group].serial
        rows = np.array(newest, np.int64)[groups.group]
        for group, steps in begun.items():
            mine = np.flatnonzero(groups.group == group)
            starts = np.array([start for start, _ in steps])
            which = np.searchsorted(starts, mine, "right") - 1
            rows[mine] = np.array([row for _, row in steps])[which]
        return rows

    def _count(self, records: Array, rows: Array, side: Array) -> None:
        if not len(rows):
            return
        columns = self.columns
        touched, first, local = np.unique(rows, return_index=True, return_inverse=True)
        count = len(touched)
        fresh = columns.packets[touched].sum(axis=1) == 0
        columns.flipped[touched[fresh]] = side[first[fresh]] == 1
        cell = local * 2 + (side ^ columns.flipped[rows])
        columns.packets[touched] += np.bincount(cell, minlength=count * 2).reshape(-1, 2)
        length = np.bincount(cell, records["length"].astype(np.float64), count * 2)
        columns.octets[touched] += length.astype(np.int64).reshape(-1, 2)
        times, numbers = records["time"].astype(np.int64), records["number"].astype(np.int64)
        for values, low, high in (
            (times, columns.first, columns.last),
            (numbers, columns.first_number, columns.last_number),
        ):
            low[touched[fresh]] = high[touched[fresh]] = values[first[fresh]]
            np.minimum.at(low, rows, values)
            np.maximum.at(high, rows, values)

    def fold(self) -> None:
        """Within the budget again: the conversations that were idle longest go, an eighth at a time."""
        count = len(self.keys)
        if count <= self.budget:
            return
        keep = max(self.budget - self.budget // 8, 1)
        order = np.argsort(self.columns.last_number[:count], kind="stable")
        gone, stay = order[: count - keep], np.sort(order[count - keep :])
        self.folded = Folded(
            self.folded.conversations + len(gone),
            self.folded.packets + int(self.columns.packets[gone].sum()),
            self.folded.bytes + int(self.columns.octets[gone].sum()),
        )
        self.columns = self.columns.chosen(stay, max(self.budget, 64))
        self.keys = [self.keys[row] for row in stay.tolist()]
        self.row = {key: row for row, key in enumerate(self.keys)}
        self.connections = {key: self.connections[key] for key in self.row if key in self.connections}

    def rows(self) -> Iterator[Conversation]:
        count = len(self.keys)
        columns = self.columns.chosen(np.arange(count), count)
        quick = (columns.first, columns.last, columns.first_number, columns.last_number, columns.serial)
        plain = zip(*(column.tolist() for column in quick), strict=True)
        ways = [_latencies(columns.bins[:, way], columns.slowest[:, way]) for way in (0, 1)]
        both = _latencies(columns.bins.sum(axis=1), columns.slowest.max(axis=1, initial=0))
        packets, octets = columns.packets.tolist(), columns.octets.tolist()
        for row, (first, last, first_number, last_number, serial) in enumerate(plain):
            one, other, four = ends_of(self.keys[row])
            if columns.flipped[row]:
                one, other = other, one
            ported = self.kind in ("tcp", "udp") or (self.kind == "icmp" and one[1] + other[1] > 0)
            yield Conversation(
                kind=self.kind,
                a=self._text(one[0], four),
                b=self._text(other[0], four),
                a_port=one[1] if ported else None,
                b_port=other[1] if ported else None,
                packets=(packets[row][0], packets[row][1]),
                bytes=(octets[row][0], octets[row][1]),
                first=first,
                last=last,
                first_number=first_number,
                last_number=last_number,
                latency=both[row],
                to_device=ways[0][row],
                to_driver=ways[1][row],
                serial=serial,
                followed=bool(columns.followed[row]),
            )

    def _text(self, address: bytes, four: bool) -> str:
        if self.kind == "eth":
            return address[10:].hex(":")
        return inet_ntoa(address[12:]) if four else inet_ntop(AF_INET6, address)


def _latencies(bins: Array, slowest: Array) -> list[Latency]:
    """Of n conversations with n x `_BINS` counts."""
    rising = bins.cumsum(axis=1, dtype=np.int64)
    count = rising[:, -1] if len(bins) else np.zeros(0, np.int64)
    found = []
    for part in (0.5, 0.99):
        rank = np.maximum(np.ceil(count * part), 1)
        place = (rising < rank[:, None]).sum(axis=1)
        value = np.exp2(_LOW + (place + 0.5) / _OCTAVE).astype(np.int64)
        found.append(np.minimum(value, slowest))
    columns = (count, found[0], found[1], slowest)
    return [
        Latency(*values) if values[0] else Latency()
        for values in zip(*(column.tolist() for column in columns), strict=True)
    ]


class Conversations:
    """The conversations of the frames given so far. One thread adds, any may ask for rows.

    budget: conversations of each kind that are kept; those idle longest are folded into one sum.
    """

    def __init__(self, budget: int = 8192) -> None:
        if budget < 1:
            raise ValueError(f"a budget of {budget} conversations keeps nothing; give it at least 1")
        self._lock = threading.Lock()
        self._budget = budget
        self._tables = {kind: _Table(kind, budget) for kind in KINDS}

    def add(self, block: Block, settled: bool = True) -> None:
        """Count frames. Where their stages are not final yet pass settled=False, and `stages` later."""
        self._each(block, settled, lambda table, part, ends, headers: table.add(part, ends, headers))

    def stages(self, block: Block) -> None:
        """Count the latencies of frames that were added with settled=False, now that they are known."""
        self._each(block, True, None)

    def rows(self, kind: Kind) -> tuple[Conversation, ...]:
        """All conversations of a kind, in the order in which they began. "ip" has IPv4 and IPv6."""
        with self._lock:
            made = tuple(self._tables[kind].rows())
        return tuple(sorted(made, key=lambda row: row.first_number))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of which there is any."""
        with self._lock:
            return tuple(kind for kind in KINDS if self._tables[kind].keys)

    def folded(self, kind: Kind) -> Folded:
        """What is no longer told apart."""
        with self._lock:
            return replace(self._tables[kind].folded)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._tables = {kind: _Table(kind, self._budget) for kind in KINDS}

    def _each(
        self, block: Block, settled: bool, add: Callable[[_Table, Block, Ends, Headers], None] | None
    ) -> None:
        for start in range(0, len(block.rows), _AT_ONCE):
            cut = slice(start, start + _AT_ONCE)
            part = Block(block.rows[cut], block.data, block.offsets[cut], block.stages[cut])
            headers = Headers(part)
            with self._lock:
                for kind, ends in _by_kind(headers):
                    table = self._tables[kind]
                    if add is not None:
                        add(table, part, ends, headers)
                    if settled:
                        table.latencies(part, ends)
                    table.fold()


def _by_kind(headers: Headers) -> Iterator[tuple[Kind, Ends]]:
    yield "eth", headers.ether
    yield "ip", headers.network
    transport = headers.transport
    protocol = transport.protocol
    wanted: tuple[tuple[Kind, Array], ...] = (
        ("tcp", protocol == TCP),
        ("udp", protocol == UDP),
        ("icmp", (protocol == ICMP) | (protocol == ICMPV6)),
    )
    for kind, mask in wanted:
        if mask.any():
            yield kind, transport.only(mask)
