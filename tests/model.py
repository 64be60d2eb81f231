"""Both ring layouts in plain Python, written from the specification alone: the oracle of the ring tests.

Here is what the layouts share; VIRTIO 1.3 section 2.7 is model_split.py, 2.8 is model_packed.py. Memory is a
bytearray, every access is a slice of it, and nothing is clever: this is the text of the specification with
types. A test drives the engine and this model with the same operations and compares every byte and answer.

Where the specification leaves a choice, the model makes the one that the engine documents:

- Free descriptors (split) and free buffer ids (packed) are queues: at first 0 to N-1 in order; what comes
  back goes to the end, a chain in chain order. With IN_ORDER a packed buffer's id is the slot of its head.
- `next` of the last descriptor of a chain is 0. Every descriptor of a packed chain carries the id and the
  AVAIL and USED bits, and so does the one that points to a table; entries of a packed table have id 0.
- The indirect table of slot s stands at `tables` + 16 * TABLE_ENTRIES * s.
- A driver does not write a word (a split descriptor's or a packed one's addr, a split descriptor's len, flags
  and next together, an available entry) that it knows to hold the value already from its own last write.
- add() writes everything except what makes it visible: split avail.idx, packed len, id and flags of the first
  head since the last publish(). complete() keeps back used.idx, or that word of the first used descriptor.
- A device may keep the available index that it has read and fetch another only once that is used up.
- complete(batch=True) with IN_ORDER writes one element for all, naming the last (2.7.9, 2.8.9); a driver
  takes the buffers that were skipped as used completely.
- A descriptor of length 0 does not break the queue: its chain is handed out with the reason.
- A chain has at most N descriptors, those of a table included. Checks are made in reading order, and of one
  descriptor in this order: chain too long, address, length, order of readable and writable.
- A notification is wanted when the event names one of the entries moved since the last decision; only what
  was published or flushed counts. The reserved packed event flag 3 counts as enable.
- Calls and kicks are switched off by EVENT_DISABLE or the flag; with the split event index, by doing nothing.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from dataplane.records import Reason

NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15
TABLE_ENTRIES = 64


class Piece(NamedTuple):
    """One contiguous part of a buffer."""

    address: int
    length: int
    writable: bool


class Returned(NamedTuple):
    """What a driver gets back: its own token, the used length, the count at publication, the head's slot."""

    token: int
    length: int
    position: int
    head: int


class Chain(NamedTuple):
    """What a device takes. `slots` of the ring, `descriptors` with those of a table."""

    position: int
    id: int
    head: int
    slots: int
    descriptors: int
    indirect: bool
    reason: Reason
    pieces: tuple[Piece, ...]


class Done(NamedTuple):
    """What a device gives back."""

    length: int
    id: int
    slots: int
    writable: bool


class Decision(NamedTuple):
    """What the last decision about a notification looked at (see `records`: event_used, _old, _new)."""

    event: int = 0
    old: int = 0
    new: int = 0


@dataclass(frozen=True)
class Shape:
    """Where a queue's three areas and its driver's tables stand, and the features in force."""

    size: int
    desc: int
    driver: int
    device: int
    tables: int
    indirect: bool
    event_idx: bool
    in_order: bool


class Broken(Exception):
    """The other side did what it must not."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass
class Memory:
    """One region of guest memory, little-endian."""

    base: int
    data: bytearray

    def holds(self, address: int, length: int) -> bool:
        return self.base <= address < self.base + len(self.data) and address + length <= self.base + len(
            self.data
        )

    def read(self, address: int, form: str) -> tuple[int, ...]:
        return struct.unpack_from(form, self.data, address - self.base)

    def write(self, address: int, form: str, *values: int) -> None:
        struct.pack_into(form, self.data, address - self.base, *values)

    def u16(self, address: int) -> int:
        return self.read(address, "<H")[0]

    def put16(self, address: int, value: int) -> None:
        self.write(address, "<H", value & 0xFFFF)


@dataclass
class Buffer:
    """One outstanding buffer, as its driver remembers it."""

    token: int
    position: int
    id: int
    slots: list[int]
    writable: int  #: bytes


@dataclass
class Side:
    """What the four halves share. `broken` is the first reason for which this side gave the queue up."""

    shape: Shape
    memory: Memory
    index: int  #: split: where the rings begin, free-running; packed: the first slot
    wrap: int = 1
    broken: Reason = Reason.NONE
    decision: Decision = field(default_factory=Decision)

    def give_up(self, reason: Reason) -> None:
        self.broken = self.broken or reason


@dataclass
class Driver(Side):
    """Counts of buffers, and the buffers that are out, oldest first."""

    added: int = 0
    published: int = 0
    collected: int = 0
    out: dict[int, Buffer] = field(default_factory=dict)  #: by head (split) or id (packed)
    batch: deque[tuple[Buffer, int]] = field(
        default_factory=deque
    )  #: returned by an element, not yet handed out
    known: dict[int, tuple[int, ...]] = field(default_factory=dict)  #: what it wrote last, by address

    def check(self, pieces: list[Piece], table: bool) -> None:
        """2.7.5.2, 2.7.5.3.1: what can never be offered. ValueError with the reason."""
        limit = min(self.shape.size, TABLE_ENTRIES) if table else self.shape.size
        if not 0 < len(pieces) <= limit:
            raise ValueError(f"a buffer of {len(pieces)} pieces does not fit: the limit is {limit}")
        if table and not self.shape.indirect:
            raise ValueError("INDIRECT_DESC was not accepted")
        if any(a.writable and not b.writable for a, b in pairwise(pieces)):
            raise ValueError("readable pieces stand before writable ones (2.7.4.2)")

    def remember(self, pieces: list[Piece], token: int, id: int, slots: list[int]) -> None:
        self.out[id] = Buffer(token, self.added, id, slots, sum(p.length for p in pieces if p.writable))
        self.added += 1

    def write_new(self, address: int, form: str, *values: int) -> None:
        """Writes unless this driver knows that the same stands there; at first everything is 0."""
        if self.known.get(address, (0,) * len(values)) != values:
            self.memory.write(address, form, *values)
            self.known[address] = values

    def published_buffer(self, id: int) -> Buffer:
        buffer = self.out.get(id)
        if buffer is None or buffer.position >= self.published:
            raise Broken(Reason.ID_UNKNOWN)
        return buffer

    def returned_by(self, last: Buffer) -> list[Buffer]:
        """The buffers that one used element returns: with IN_ORDER all up to the one it names."""
        if not self.shape.in_order:
            return [last]
        return [b for b in self.out.values() if b.position <= last.position]

    def open_batch(self, buffers: list[Buffer], length: int) -> None:
        self.batch.extend((b, b.writable) for b in buffers[:-1])
        self.batch.append((buffers[-1], length))


@dataclass
class Device(Side):
    seen: int = 0
    used: int = 0
    completed: int = 0
    taken: set[int] = field(default_factory=set)  #: ids it holds
    holding: int = 0


class Walk:
    """One chain as a device reads it. Raises Broken."""

    def __init__(self, shape: Shape, memory: Memory) -> None:
        self.shape, self.memory = shape, memory
        self.pieces: list[Piece] = []
        self.reason = Reason.NONE
        self.indirect = False

    def element(self, address: int, length: int, flags: int) -> None:
        writable = bool(flags & WRITE)
        if len(self.pieces) == self.shape.size:
            raise Broken(Reason.CHAIN_LOOP)  # 2.7.5.2
        if not self.memory.holds(address, length):
            raise Broken(Reason.BAD_ADDRESS)
        if length == 0:
            self.reason = Reason.ZERO_LENGTH
        if not writable and self.pieces and self.pieces[-1].writable:
            raise Broken(Reason.WRITE_BEFORE_READ)  # 2.7.4.2
        self.pieces.append(Piece(address, length, writable))

    def open_table(self, address: int, length: int, flags: int) -> int:
        """2.7.5.3.1: the entries of the table that an INDIRECT descriptor points to."""
        if not self.shape.indirect:
            raise Broken(Reason.INDIRECT_REFUSED)
        if flags & NEXT:
            raise Broken(Reason.INDIRECT_NEXT)
        entries = length // 16
        if length == 0 or length % 16 or entries > self.shape.size:
            raise Broken(Reason.INDIRECT_LENGTH)
        if not self.memory.holds(address, length):
            raise Broken(Reason.BAD_ADDRESS)
        self.indirect = True
        return entries
