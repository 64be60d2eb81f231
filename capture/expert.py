"""Expert notes: what is odd about a frame, by Wireshark's rules, and what the ring has to do with it.

Frames are given once, in order. Of every block only the troubled frames come back, as numbers and bits; the
bits are explained in `NOTES`. Wireshark's names stand in brackets there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from capture.batch.ends import ICMP, ICMPV6, TCP, Headers, Transport
from capture.batch.sums import bad_network, bad_transport, offloaded
from capture.batch.walk import heads, word
from capture.frame import Array
from capture.store import Block
from capture.tracking import tcpstate as tcp
from capture.tracking.connections import SYN
from capture.tracking.grouping import group_by_ends

Severity = Literal["chat", "note", "warning", "error"]

BAD_IP_CHECKSUM = 1 << 17
BAD_CHECKSUM = 1 << 18
TRUNCATED = 1 << 19
MALFORMED = 1 << 20
UNREACHABLE = 1 << 21
TIME_EXCEEDED = 1 << 22
TTL_LOW = 1 << 23
DUPLICATE_ADDRESS = 1 << 24
FRAMES_MISSING = 1 << 25

_TTL_SMALL = 5
_ADDRESSES = 4096  #: IPv4 addresses whose owner is remembered
_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class NoteInfo:
    """What a bit says. `ring`: how it can come from a virtqueue, empty where it hardly can."""

    name: str
    severity: Severity
    text: str
    ring: str = ""


NOTES: Mapping[int, NoteInfo] = MappingProxyType(
    {
        tcp.RETRANSMISSION: NoteInfo(
            "retransmission", "note", "these bytes were sent before [tcp.analysis.retransmission]",
            "the first copy or its ACK may wait in a ring: look at the latency of both",
        ),
        tcp.FAST_RETRANSMISSION: NoteInfo(
            "fast retransmission", "note",
            "sent again after duplicate ACKs asked for it [tcp.analysis.fast_retransmission]",
            "a frame was lost on the way: look for drops before it",
        ),
        tcp.SPURIOUS_RETRANSMISSION: NoteInfo(
            "spurious retransmission", "note",
            "sent again although it was acknowledged [tcp.analysis.spurious_retransmission]",
            "the ACK came late: a receive queue that is served slowly looks like this",
        ),
        tcp.OUT_OF_ORDER: NoteInfo(
            "out of order", "warning", "it overtook or was overtaken [tcp.analysis.out_of_order]",
            "one flow spread over several queues, or buffers used out of order",
        ),
        tcp.LOST_SEGMENT: NoteInfo(
            "previous segment missing", "warning",
            "the bytes before it were not captured [tcp.analysis.lost_segment]",
            "lost on the way, or in the frame log only: see whether frames are missing before it",
        ),
        tcp.ACK_LOST_SEGMENT: NoteInfo(
            "ACK of a segment not seen", "warning",
            "it acknowledges bytes that were not captured [tcp.analysis.ack_lost_segment]",
            "they crossed another queue or the frame log lost them",
        ),
        tcp.DUPLICATE_ACK: NoteInfo(
            "duplicate ACK", "note",
            "the same ACK again: something before is missing [tcp.analysis.duplicate_ack]",
        ),
        tcp.ZERO_WINDOW: NoteInfo(
            "zero window", "warning", "the receiver takes no more bytes [tcp.analysis.zero_window]",
            "its application is slow; the ring is not to blame",
        ),
        tcp.ZERO_WINDOW_PROBE: NoteInfo(
            "zero window probe", "note", "one byte to ask for room [tcp.analysis.zero_window_probe]"
        ),
        tcp.ZERO_WINDOW_PROBE_ACK: NoteInfo(
            "zero window probe ACK", "note", "still no room [tcp.analysis.zero_window_probe_ack]"
        ),
        tcp.WINDOW_FULL: NoteInfo(
            "window full", "warning", "it fills the receiver's window to its end [tcp.analysis.window_full]"
        ),
        tcp.WINDOW_UPDATE: NoteInfo(
            "window update", "chat", "the receiver tells of another window [tcp.analysis.window_update]"
        ),
        tcp.KEEP_ALIVE: NoteInfo(
            "keep-alive", "note", "asks whether the other end is still there [tcp.analysis.keep_alive]"
        ),
        tcp.KEEP_ALIVE_ACK: NoteInfo(
            "keep-alive ACK", "note", "it is still there [tcp.analysis.keep_alive_ack]"
        ),
        tcp.RESET: NoteInfo("reset", "warning", "the connection is broken off [tcp.connection.rst]"),
        tcp.REFUSED: NoteInfo("refused", "warning", "a reset is the answer to a SYN: nothing listens there"),
        tcp.PORTS_REUSED: NoteInfo(
            "ports reused", "note", "a new connection on ports that had one [tcp.analysis.reused_ports]"
        ),
        BAD_IP_CHECKSUM: NoteInfo(
            "bad IP checksum", "error", "the IPv4 header does not sum up [ip.checksum.bad]",
            "no offload leaves this one open: the header was damaged or built wrong",
        ),
        BAD_CHECKSUM: NoteInfo(
            "bad checksum", "error", "TCP, UDP or ICMP does not sum up [tcp.checksum.bad, udp.checksum.bad]",
            "not partial: the net header does not ask for it to be filled in, so its flags may be lost",
        ),
        TRUNCATED: NoteInfo(
            "truncated", "note", "fewer bytes are here than the headers announce",
            "kept short on purpose, or a buffer was too small for its frame",
        ),
        MALFORMED: NoteInfo("malformed", "error", "a header contradicts itself [_ws.malformed]"),
        UNREACHABLE: NoteInfo("unreachable", "note", "ICMP says that a packet could not be delivered"),
        TIME_EXCEEDED: NoteInfo("time exceeded", "note", "ICMP says that a packet ran out of hops or time"),
        TTL_LOW: NoteInfo(
            "low TTL", "note", "few hops are left to a packet that is not local [ip.ttl.too_small]"
        ),
        DUPLICATE_ADDRESS: NoteInfo(
            "duplicate address", "warning",
            "two stations claim one IPv4 address [arp.duplicate-address-detected]",
            "two devices with one configuration, or one MAC address given twice",
        ),
        FRAMES_MISSING: NoteInfo(
            "frames missing", "note", "buffers of its queue went by before it and were not kept",
            "the frame log was overrun, or these buffers carried no whole frame",
        ),
    }
)  # fmt: skip


class Notes(NamedTuple):
    """The troubled frames, rising: numbers (uint64) and the bits of each (int64)."""

    numbers: Array
    bits: Array


class Expert:
    """Notes on the frames given so far. One thread adds, any may ask.

    flows: TCP conversations that are followed at once; those idle longest are forgotten and counted in
    `forgotten`. keep: troubled frames that are remembered for `found`. gaps: tell of frames missing in a
    queue (off where frames are left out on purpose: sampling or a capture filter).
    """

    def __init__(self, flows: int = 8192, keep: int = 1 << 20, gaps: bool = True) -> None:
        if flows < 1 or keep < 1:
            raise ValueError(
                f"expert notes need room for at least 1 flow and 1 frame, not {flows} and {keep}"
            )
        self.gaps = gaps
        self.forgotten = 0
        self._lock = threading.Lock()
        self._budget = flows
        self._keep = keep
        self._flows: dict[bytes, tcp.Flow] = {}
        self._owners: dict[bytes, bytes] = {}
        self._rings: dict[int, int] = {}
        self._found: deque[Notes] = deque()
        self._kept = 0
        self._counts: dict[int, int] = dict.fromkeys(NOTES, 0)

    def add(self, block: Block) -> Notes:
        """Look at frames, once and in order; the troubled ones among them."""
        parts = []
        for start in range(0, len(block.rows), _AT_ONCE):
            cut = slice(start, start + _AT_ONCE)
            parts.append(self._add(Block(block.rows[cut], block.data, block.offsets[cut], block.stages[cut])))
        return _join(parts)

    @property
    def counts(self) -> dict[int, int]:
        """Frames by note, of all frames given; every note of `NOTES` is there."""
        with self._lock:
            return dict(self._counts)

    def found(self, wanted: int = -1) -> Notes:
        """The newest troubled frames with any of these bits."""
        with self._lock:
            notes = _join(list(self._found))
        mask = notes.bits & wanted != 0
        return notes if mask.all() else Notes(notes.numbers[mask], notes.bits[mask])

    def bits(self, number: int) -> int:
        """The notes on one frame; 0 for none, or where they are no longer remembered."""
        with self._lock:
            parts = list(self._found)
        for part in parts:
            if part.numbers[0] <= number <= part.numbers[-1]:
                at = int(np.searchsorted(part.numbers, np.uint64(number)))
                return int(part.bits[at]) if part.numbers[at] == number else 0
        return 0

    def _add(self, block: Block) -> Notes:
        bits = np.zeros(len(block.rows), np.int64)
        headers = Headers(block)
        transport = headers.transport
        bits[headers.short] |= TRUNCATED
        bits[headers.malformed] |= MALFORMED
        bits[bad_network(headers)] |= BAD_IP_CHECKSUM
        bits[bad_transport(headers.data, transport, _offloaded(block))] |= BAD_CHECKSUM
        bits[_low_ttl(headers)] |= TTL_LOW
        _icmp(headers, transport, bits)
        self._tcp(block, headers, transport, bits)
        self._arp(headers, bits)
        if self.gaps:
            self._missing(block, bits)
        else:
            self._rings.clear()  # what comes next follows on nothing that was seen
        troubled = np.flatnonzero(bits)
        notes = Notes(block.rows["number"][troubled], bits[troubled])
        with self._lock:
            self._remember(notes)
        return notes

    def _remember(self, notes: Notes) -> None:
        for bit in NOTES:
            self._counts[bit] += int(np.count_nonzero(notes.bits & bit))
        if not len(notes.numbers):
            return
        self._found.append(notes)
        self._kept += len(notes.numbers)
        while self._kept > self._keep and len(self._found) > 1:
            self._kept -= len(self._found.popleft().numbers)

    def _tcp(self, block: Block, headers: Headers, transport: Transport, bits: Array) -> None:
        segments = transport.only((transport.protocol == TCP) & transport.whole)
        if not len(segments.frame):
            return
        groups = group_by_ends(segments)
        flows = self._flows
        touched = []
        for key in groups.keys:
            # taken out and put back: the front of the dict is what was idle longest
            flow = flows.pop(key, None) or tcp.Flow()
            flows[key] = flow
            touched.append(flow.segment)
        at = segments.at
        head = heads(headers.data, at, 20)
        flags = word(head, 13, 1)
        size = segments.end - at - (word(head, 12, 1) >> 4) * 4
        scale = np.full(len(at), -1)
        for place in np.flatnonzero(flags & SYN).tolist():
            scale[place] = _window_scale(headers, int(at[place]), int(segments.stop[place]))
        columns = (
            segments.frame,
            groups.group,
            groups.side,
            block.rows["time"][segments.frame],
            flags,
            word(head, 4, 4),
            word(head, 8, 4),
            word(head, 14),
            size,
            scale,
        )
        frames, notes = [], []
        for frame, group, *segment in zip(*(column.tolist() for column in columns), strict=True):
            note = touched[group](*segment)
            if note:
                frames.append(frame)
                notes.append(note)
        np.bitwise_or.at(bits, np.array(frames, np.int64), np.array(notes, np.int64))
        while len(flows) > self._budget:
            del flows[next(iter(flows))]
            self.forgotten += 1

    def _arp(self, headers: Headers, bits: Array) -> None:
        """Who claims which address: the sender always, the target in what is no request (RFC 826)."""
        frames, packets = headers.arp
        for frame, packet in zip(frames.tolist(), packets, strict=True):
            raw = packet.tobytes()
            claims = [(raw[14:18], raw[8:14])]
            if raw[7] == 2:
                claims.append((raw[24:28], raw[18:24]))
            for address, station in claims:
                if address == bytes(4) or station[0] & 1 or station == bytes(6):
                    continue
                owner = self._owners.setdefault(address, station)
                if owner != station:
                    bits[frame] |= DUPLICATE_ADDRESS
                if len(self._owners) > _ADDRESSES:
                    del self._owners[next(iter(self._owners))]

    def _missing(self, block: Block, bits: Array) -> None:
        rows = block.rows
        rung = rows["descriptors"] > 0
        for queue in np.unique(rows["origin_queue"][rung]).tolist():
            mine = np.flatnonzero(rung & (rows["origin_queue"] == queue))
            begin = rows["origin_position"][mine].astype(np.int64)
            end = begin + np.maximum(rows["buffers"][mine], 1)
            before = np.concatenate([[self._rings.get(queue, int(begin[0]))], end[:-1]])
            bits[mine[begin > before]] |= FRAMES_MISSING
            self._rings[queue] = int(end[-1])


def _offloaded(block: Block) -> Array:
    headers = np.ascontiguousarray(block.rows["net_header"]).view(np.uint8).reshape(-1, 20)
    return offloaded(headers) & (block.rows["net_header_length"] >= 2)


def _window_scale(headers: Headers, at: int, stop: int) -> int:
    """The shift of a TCP header's window scale option, at most 14 (RFC 7323); -1 where it has none."""
    raw = headers.data[at + 20 : min(at + (int(headers.data[at + 12]) >> 4) * 4, stop)].tobytes()
    place = 0
    while place < len(raw) and raw[place]:
        if raw[place] == 1:
            place += 1
            continue
        if place + 1 >= len(raw) or raw[place + 1] < 2:
            break
        if raw[place] == 3 and place + 2 < len(raw):
            return min(raw[place + 2], 14)
        place += raw[place + 1]
    return -1


def _low_ttl(headers: Headers) -> Array:
    """Frames whose IPv4 packet has few hops left and is not for the local network."""
    packets = headers.network
    ttl, target = headers.data[packets.at + 8], packets.target[:, 12]
    low: Array = packets.frame[packets.four & (ttl < _TTL_SMALL) & (target >> 4 != 14)]
    return low


def _icmp(headers: Headers, transport: Transport, bits: Array) -> None:
    kind = headers.data[transport.at].astype(np.int64) + 256 * (transport.protocol == ICMPV6)
    known = (transport.protocol == ICMP) | (transport.protocol == ICMPV6)
    bits[transport.frame[known & np.isin(kind, (3, 257, 258))]] |= UNREACHABLE
    bits[transport.frame[known & np.isin(kind, (11, 259))]] |= TIME_EXCEEDED


def _join(parts: list[Notes]) -> Notes:
    if not parts:
        return Notes(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    return Notes(np.concatenate([p.numbers for p in parts]), np.concatenate([p.bits for p in parts]))
