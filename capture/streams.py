"""Follow a stream: what two ends said to each other, in the order of their bytes.

TCP is put together by sequence numbers as Wireshark does it: what was seen first stays, what comes twice is
left out, what comes early waits; where the other end acknowledges bytes that were never captured, the gap is
said with its size and the stream goes on. A super-frame is one large segment. UDP is taken as it comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import Literal, NamedTuple

import numpy as np

from capture.batch.ends import TCP, UDP, Headers, Transport
from capture.flows import filter_between
from capture.store import Block, FrameStore
from capture.tracking.connections import ACK, SYN, Connection
from capture.tracking.grouping import group_by_ends

_MASK = 0xFFFFFFFF
_HALF = 1 << 31
_WAITING = 65_536  #: segments of one side that may wait for an earlier one
_PLAIN = bytes(code if 32 <= code < 127 else 46 for code in range(256))


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of one side in their place. A gap has no data and says how many bytes are `missing`."""

    side: int  #: 0: sent by a, 1: by b
    number: int  #: of the frame that brought them; of a gap, the frame that told of it
    time: int  #: of that frame, nanoseconds since the epoch
    data: bytes
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """Both directions; `a` is the end that sent first."""

    kind: Literal["tcp", "udp"]
    a: str
    a_port: int
    b: str
    b_port: int
    segments: tuple[Segment, ...]
    frames: tuple[int, int]  #: of each side, with and without data
    first_number: int
    last_number: int
    cut: bool  #: there is more than the limit allowed
    shared: bool = False  #: its ports had other connections before or after

    @property
    def filter_text(self) -> str:
        """The display filter that shows its frames; by their numbers too where its ports were used again."""
        text = filter_between(self.kind, self.a, self.a_port, self.b, self.b_port)
        numbers = f"{{{self.first_number}..{self.last_number}}}"
        return f"({text}) and frame.number in {numbers}" if self.shared else text

    @property
    def sizes(self) -> tuple[int, int]:
        """Of each side, gaps not counted."""
        sizes = [0, 0]
        for segment in self.segments:
            sizes[segment.side] += len(segment.data)
        return sizes[0], sizes[1]

    @property
    def missing(self) -> tuple[int, int]:
        """Bytes of each side that were not captured."""
        sizes = [0, 0]
        for segment in self.segments:
            sizes[segment.side] += segment.missing
        return sizes[0], sizes[1]

    def raw(self, side: int | None = None) -> bytes:
        """The bytes of one side, or of both as they came."""
        return b"".join(s.data for s in self.segments if side is None or s.side == side)


def kind_of(store: FrameStore, number: int) -> Literal["tcp", "udp"]:
    """Whether a frame belongs to a stream, and of which kind; it raises what `follow` does."""
    store.frame(number)
    return "tcp" if _of(store, number)[1] == TCP else "udp"


def follow(store: FrameStore, number: int, limit_bytes: int = 64 << 20) -> Stream:
    """The stream that a frame belongs to, from all frames kept; the innermost one of a tunnel.

    LookupError where the frame is not kept, ValueError (one line) where it is no TCP or UDP.
    """
    store.frame(number)
    key, protocol = _of(store, number)
    found = list(_gather(store, key, protocol))
    gathered = _connection(found, number) if protocol == TCP else found
    first = gathered[0]
    stream = _Assembly(first.side, limit_bytes, protocol == TCP)
    for packet in gathered:
        if stream.cut:
            break
        stream.add(packet)
    stream.finish()
    return Stream(
        kind="tcp" if protocol == TCP else "udp",
        a=first.ends[0],
        a_port=first.ends[1],
        b=first.ends[2],
        b_port=first.ends[3],
        segments=tuple(stream.segments),
        frames=(stream.frames[0], stream.frames[1]),
        first_number=first.number,
        last_number=gathered[-1].number,
        cut=stream.cut,
        shared=len(gathered) < len(found),
    )


def as_hex(data: bytes, start: int = 0) -> Iterator[str]:
    """Lines of sixteen bytes: offset, hex, ASCII. start: the offset of the first byte."""
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        yield f"{start + at:08x}  {left:<23}  {right:<23}  {row.translate(_PLAIN).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class _Packet:
    number: int
    time: int
    side: int  # as its key has it
    ends: tuple[str, int, str, int]
    flags: int
    seq: int
    ack: int
    size: int  # as its headers say
    block: Block
    at: int  # where its payload begins in the block's data
    stop: int  # and where that ends

    @property
    def data(self) -> bytes:
        return bytes(self.block.data[self.at : max(self.stop, self.at)])


def _of(store: FrameStore, number: int) -> tuple[bytes, int]:
    """The key of the innermost TCP or UDP header of a frame, and which of both it is."""
    for block in store.blocks(number, number + 1):
        transport = Headers(block).transport
        for protocol in (TCP, UDP):
            mine = transport.only(transport.protocol == protocol)
            if len(mine.frame):
                groups = group_by_ends(mine)
                return groups.keys[int(groups.group[-1])], protocol
    raise ValueError(f"frame {number} has no sound TCP or UDP header; only these have streams")


def _gather(store: FrameStore, key: bytes, protocol: int) -> Iterator[_Packet]:
    for block in store.blocks(store.first, store.last + 1):
        transport = Headers(block).transport
        transport = transport.only(transport.protocol == protocol)
        groups = group_by_ends(transport)
        if key not in groups.keys:
            continue
        mine = np.flatnonzero(groups.group == groups.keys.index(key))
        yield from _packets(block, transport.only(mine), groups.side[mine].tolist(), protocol)


def _packets(block: Block, headers: Transport, sides: list[int], protocol: int) -> Iterator[_Packet]:
    rows = block.rows[headers.frame]
    numbers, times = rows["number"].tolist(), rows["time"].tolist()
    columns = zip(
        *(c.tolist() for c in (headers.at, headers.end, headers.stop, headers.whole, headers.ports)),
        strict=True,
    )
    for place, (at, end, stop, whole, ports) in enumerate(columns):
        four = bool(headers.four[place])
        ends = (
            _address(headers.source[place].tobytes(), four),
            ports[0],
            _address(headers.target[place].tobytes(), four),
            ports[1],
        )
        flags = seq = ack = 0
        start = at + 8
        if protocol == TCP:
            if not whole:
                continue  # its sequence numbers are known, its length is not
            head = bytes(block.data[at : at + 20])
            seq, ack = int.from_bytes(head[4:8]), int.from_bytes(head[8:12])
            start, flags = at + (head[12] >> 4) * 4, head[13]
        yield _Packet(
            numbers[place], times[place], sides[place], ends, flags, seq, ack, max(end - start, 0), block,
            start, min(end, stop),
        )  # fmt: skip


def _connection(packets: list[_Packet], number: int) -> list[_Packet]:
    """The packets of the connection that one of them is part of, where its ports were used several times."""
    connection = Connection()
    serials = []
    for packet in packets:
        connection.segment(packet.side, packet.time, packet.flags, packet.seq, packet.ack)
        serials.append(connection.serial)
    wanted = [serial for packet, serial in zip(packets, serials, strict=True) if packet.number == number]
    if not wanted:
        raise ValueError(f"frame {number} is a fragment; follow the stream from another frame")
    return [packet for packet, serial in zip(packets, serials, strict=True) if serial == wanted[-1]]


def _address(raw: bytes, four: bool) -> str:
    return inet_ntoa(raw[12:]) if four else inet_ntop(AF_INET6, raw)


class _Piece(NamedTuple):
    """A segment that came early. `place` counts on where sequence numbers wrap, so that pieces sort."""

    place: int
    order: int  # of arrival
    size: int
    number: int
    time: int
    data: bytes


@dataclass(slots=True)
class _Assembly:
    """The stream while it is put together; sides are 0 and 1 as `Stream` has them."""

    first: int  # the side of the key that is 0 here
    limit: int
    ordered: bool  # by sequence numbers
    segments: list[Segment] = field(default_factory=list)
    frames: list[int] = field(default_factory=lambda: [0, 0])
    cut: bool = False
    held: int = 0
    expected: list[int | None] = field(default_factory=lambda: [None, None])  # as a place
    waiting: tuple[list[_Piece], list[_Piece]] = field(default_factory=lambda: ([], []))

    def add(self, packet: _Packet) -> None:
        side = packet.side ^ self.first
        self.frames[side] += 1
        if not self.ordered:
            data = packet.data
            self._put(side, packet.number, packet.time, data, packet.size - len(data))
            return
        if packet.flags & ACK:
            self._acknowledged(1 - side, packet)
        seq = packet.seq + (packet.flags & SYN != 0) & _MASK
        if self.expected[side] is None:
            self.expected[side] = seq
        if packet.size:
            place, order = self._place(side, seq), sum(self.frames)
            piece = _Piece(place, order, packet.size, packet.number, packet.time, packet.data)
            if place > (self.expected[side] or 0):
                self._wait(side, piece)
            else:
                self._take(side, piece)
                self._release(side)

    def finish(self) -> None:
        """What still waits comes with the gaps before it."""
        for side in (0, 1):
            while self.waiting[side] and not self.cut:
                piece = self.waiting[side][0]
                self._skip(side, piece.number, piece.time)

    def _place(self, side: int, seq: int) -> int:
        """A sequence number as a place: the one nearest to what is expected."""
        expected = self.expected[side] or 0
        ahead = seq - expected & _MASK
        return expected + (ahead if ahead < _HALF else ahead - _MASK - 1)

    def _take(self, side: int, piece: _Piece) -> None:
        """Add what is new of a piece that begins no later than expected."""
        known = (self.expected[side] or 0) - piece.place
        if known < piece.size:
            data = piece.data[known:]
            self._put(side, piece.number, piece.time, data, piece.size - known - len(data))
            self.expected[side] = piece.place + piece.size

    def _wait(self, side: int, piece: _Piece) -> None:
        heapq.heappush(self.waiting[side], piece)
        self.held += len(piece.data)
        if len(self.waiting[side]) > _WAITING or self.held > self.limit:
            self.cut = True

    def _release(self, side: int) -> None:
        """Take what waited and fits now, what came first before the rest."""
        waiting = self.waiting[side]
        while waiting and waiting[0].place <= (self.expected[side] or 0):
            fitting = []
            while waiting and waiting[0].place <= (self.expected[side] or 0):
                fitting.append(heapq.heappop(waiting))
            for piece in sorted(fitting, key=lambda one: one.order):
                self.held -= len(piece.data)
                self._take(side, piece)

    def _acknowledged(self, side: int, packet: _Packet) -> None:
        """The other end has bytes before those that wait: they were not captured."""
        while self.waiting[side] and self._place(side, packet.ack) > self.waiting[side][0].place:
            self._skip(side, packet.number, packet.time)

    def _skip(self, side: int, number: int, time: int) -> None:
        """Go on at the first piece that waits."""
        place = self.waiting[side][0].place
        self.segments.append(Segment(side, number, time, b"", place - (self.expected[side] or 0)))
        self.expected[side] = place
        self._release(side)

    def _put(self, side: int, number: int, time: int, data: bytes, missing: int) -> None:
        if self.held + len(data) > self.limit:
            self.cut = True
            data = data[: max(self.limit - self.held, 0)]
            missing = 0
        self.held += len(data)
        if data:
            self.segments.append(Segment(side, number, time, data))
        if missing:
            self.segments.append(Segment(side, number, time, b"", missing))
