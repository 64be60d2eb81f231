"""A queue as a snapshot shows it, made from ring memory and both sides' own words alone.

The same that `engine/snapshot.c` makes of a resting pair, field for field: which slot belongs to which
buffer, whose turn it is, what stands in the rings and what is left over there from earlier laps, and the
indirect tables within the same budget. Written in the engine's own form, so that one decoder serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dataplane import decode
from dataplane.keyframe import QueueShape, own_dtype
from dataplane.layout import DESC_F_INDIRECT, DESC_F_NEXT
from dataplane.records import QUEUE_HEADER, Label, Owner, Path
from dataplane.snapshot import AnyQueue

TABLES_BUDGET = 2048  #: entries of indirect tables, as SNAPSHOT_TABLE_ENTRIES of the engine
_FEW = 8  #: chains so few are followed one by one
_NO_SLOT = 0xFFFF

Numbers = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Flights:
    """Buffers that were published and not collected, by position: arrays of one row each."""

    position: Numbers
    head: Index
    slots: Index
    owner: npt.NDArray[np.uint8]


def queue(shape: QueueShape, memory: bytes, own: bytes, time: int, whole: bool = True) -> AnyQueue:
    """The queue at this moment; without `whole` its row arrays are empty.

    memory: its areas end to end, in the order of `shape.areas`. own: its private words, `own_dtype(size)`.
    time: ns since the epoch. ValueError where their lengths do not fit the shape.
    """
    areas: dict[str, memoryview] = {}
    at = 0
    for name, _, length in shape.areas:
        areas[name] = memoryview(memory)[at : at + length]
        at += length
    if at != len(memory) or len(own) != own_dtype(shape.size).itemsize:
        raise ValueError(f"the image of queue {shape.index} is not as long as its shape asks for")
    return from_areas(shape, areas, own, time, whole)


def from_areas(
    shape: QueueShape, areas: Mapping[str, memoryview], own: bytes, time: int, whole: bool
) -> AnyQueue:
    """The same with the areas by their names."""
    words: Any = np.frombuffer(own, own_dtype(shape.size))
    header = _header(shape, areas, words[0], time)
    if not whole:
        return _named(shape, decode.queue(header.tobytes(), False))
    rows, tables = _rows(shape, areas, words[0], header)
    data = b"".join([header.tobytes(), *(row.tobytes() for row in rows)])
    return _named(shape, decode.queue(b"".join([data, bytes(-len(data) % 8), *tables]), True))


def _named(shape: QueueShape, made: AnyQueue) -> AnyQueue:
    return made if made.name == shape.name else replace(made, name=shape.name)


def _less(a: int, b: int) -> int:
    return a - b if a > b else 0


def _header(shape: QueueShape, areas: Mapping[str, memoryview], own: Any, time: int) -> Any:
    made: Any = np.zeros(1, QUEUE_HEADER)
    h, driver, device = made[0], own["driver"], own["device"]
    h["driver"], h["device"] = driver, device
    if driver["path"] > max(Path):
        h["driver"]["path"] = Path.AUTO
    for name in ("index", "packed", "size", "role", "enabled", "generation"):
        h[name] = int(getattr(shape, name))
    for name in ("desc_addr", "driver_addr", "device_addr"):
        h[name] = getattr(shape, name)
    h["time"], h["exact"] = time, 1
    for end in ("before", "after"):
        h[f"published_{end}"], h[f"collected_{end}"] = driver["published"], driver["collected"]
        h[f"seen_{end}"], h[f"used_{end}"] = device["seen"], device["used"]
    kicks = int(driver["notify_written"]) + int(driver["notify_injected"])
    calls = int(device["notify_written"]) + int(device["notify_injected"])
    h["kick_pending"] = _less(kicks, int(device["notify_received"])) & (1 << 64) - 1
    h["call_pending"] = _less(calls, int(driver["notify_received"])) & (1 << 64) - 1
    mine, theirs = (np.frombuffer(areas[name], "<u2").astype(int) for name in ("driver", "device"))
    if shape.packed:  # off_wrap, flags (2.8.14)
        h["area_flags"], h["area_event"] = mine[1] | theirs[1] << 16, mine[0] | theirs[0] << 16
        return made
    h["area_flags"], h["area_idx"] = mine[0] | theirs[0] << 16, mine[1] | theirs[1] << 16
    h["area_event"] = mine[-1] | theirs[-1] << 16
    return made


# ---- rows -----------------------------------------------------------------------------------------------


def _rows(
    shape: QueueShape, areas: Mapping[str, memoryview], own: Any, header: Any
) -> tuple[list[npt.NDArray[Any]], list[bytes]]:
    """The arrays of a whole snapshot in their order, and its indirect tables."""
    size = shape.size
    desc = np.frombuffer(areas["desc"], "<u8").reshape(size, 2)
    flights = _flights(own, size)
    buffer = np.full(size, -1, "<i8")
    head = np.full(size, _NO_SLOT, "<u2")
    owner, label = np.full(size, Owner.FREE, "u1"), np.full(size, Label.FREE, "u1")
    slot, flight = _held(flights, desc, shape)
    buffer[slot] = flights.position[flight].view(np.int64)
    head[slot], owner[slot], label[slot] = flights.head[flight], flights.owner[flight], Label.STABLE
    tables = _tables(shape, areas, desc, buffer, flights, header[0])
    if shape.packed:
        return [desc, buffer, head, owner, label], tables
    used = np.frombuffer(areas["device"], "<u2")[2:-1]
    avail = np.frombuffer(areas["driver"], "<u2")[2:-1]
    avail_label, used_label = _ring_labels(shape, own)
    return [desc, buffer, used, avail, head, owner, label, avail_label, used_label], tables


def _flights(own: Any, size: int) -> _Flights:
    ids, published, seen = own["ids"], own["driver"]["published"], own["device"]["seen"]
    outstanding, place = ids["outstanding"], ids["place"]
    live = np.flatnonzero((outstanding != 0) & (outstanding - np.uint64(1) < published))
    live = live[np.lexsort((-live, outstanding[live]))]
    position = outstanding[live] - np.uint64(1)
    owner = np.where(position < seen, Owner.USED, Owner.AVAILABLE)
    owner = np.where(ids["taken"][live] != 0, Owner.IN_USE, owner).astype(np.uint8)
    head = (place[live] & np.uint64(0xFFFF)).astype(np.int64)
    slots = (place[live] >> np.uint64(16) & np.uint64(0xFFFF)).astype(np.int64)
    slots[head >= size] = 0
    # Those of all buffers together are no more than the queue has: what says otherwise is no engine of ours.
    slots[np.cumsum(slots) > size] = 0
    return _Flights(position, head, slots, owner)


def _held(flights: _Flights, desc: Numbers, shape: QueueShape) -> tuple[Index, Index]:
    """(slots, buffers that hold them), each slot once: of two buffers the newer one has it."""
    slot, flight = _run(flights, shape.size) if shape.packed else _chains(flights, desc[:, 1], shape.size)
    if len(slot) and np.bincount(slot).max() > 1:
        order = np.lexsort((flight, slot))
        slot, flight = slot[order], flight[order]
        last = np.append(slot[1:] != slot[:-1], True)
        slot, flight = slot[last], flight[last]
    return slot, flight


def _run(flights: _Flights, size: int) -> tuple[Index, Index]:
    """Packed: the slots of a buffer follow each other (2.8.6)."""
    flight = np.repeat(np.arange(len(flights.slots)), flights.slots)
    step = np.arange(len(flight)) - np.repeat(np.cumsum(flights.slots) - flights.slots, flights.slots)
    return (flights.head[flight] + step) % size, flight


def _chains(flights: _Flights, word: Numbers, size: int) -> tuple[Index, Index]:
    """Split: each chain is followed in memory, as many slots as its buffer has (2.7.5)."""
    flags = word >> np.uint64(32) & np.uint64(0xFFFF)
    following = np.where(flags & np.uint64(DESC_F_NEXT), word >> np.uint64(48), size).astype(np.int64)
    flight = np.flatnonzero(flights.slots)
    slot, left = flights.head[flight], flights.slots[flight]
    slots, holders = [slot], [flight]
    while len(slot) > _FEW:
        slot, left = following[slot], left - 1
        going = (slot < size) & (left > 0)
        slot, left, flight = slot[going], left[going], flight[going]
        slots.append(slot)
        holders.append(flight)
    if len(slot):
        steps = following.tolist()
        for at, most, holder in zip(slot.tolist(), left.tolist(), flight.tolist(), strict=True):
            chain = []
            for _ in range(most - 1):
                if (at := steps[at]) >= size:
                    break
                chain.append(at)
            slots.append(np.array(chain, np.int64))
            holders.append(np.full(len(chain), holder, np.int64))
    return np.concatenate(slots), np.concatenate(holders)


def _ring_labels(shape: QueueShape, own: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Of available entries and used elements: which stand there for a buffer, which are left over."""
    size, start = np.uint64(shape.size), np.uint64(shape.start_index)
    mask, one = size - np.uint64(1), np.uint64(1)
    published, collected = own["driver"]["published"], own["driver"]["collected"]
    used = own["device"]["used"]
    entry = np.arange(shape.size, dtype=np.uint64)
    with np.errstate(over="ignore"):  # counts wrap as the engine's do: below 0 is beyond every count
        completed = used + own["device"]["unflushed"]
        newest = published - one - (published + start - one - entry & mask)
        fresh = (newest < published) & (newest >= collected)
        element = used - one - (used + start - one - entry & mask)
        rewritten = element + size < completed
    skipped = np.where(own["ids"]["skipped"] != 0, Label.SKIPPED, Label.STABLE)
    used_label = np.where(element >= used, Label.FREE, skipped)
    used_label = np.where(rewritten, Label.STABLE, used_label)
    return np.where(fresh, Label.STABLE, Label.FREE).astype(np.uint8), used_label.astype(np.uint8)


# ---- indirect tables ------------------------------------------------------------------------------------


def _tables(
    shape: QueueShape,
    areas: Mapping[str, memoryview],
    desc: Numbers,
    buffer: Index,
    flights: _Flights,
    h: Any,
) -> list[bytes]:
    """Indirect tables of the newest buffers first, within the budget; one outside the areas is left out."""
    if not shape.indirect:
        return []
    word = desc[:, 1]
    flags = word >> np.uint64(48 if shape.packed else 32) & np.uint64(DESC_F_INDIRECT)
    published, collected = int(h["published_after"]), int(h["collected_after"])
    oldest = max(collected, published - shape.size)
    found: list[bytes] = []
    entries = 0
    newest_first = zip(flights.position.tolist()[::-1], flights.head.tolist()[::-1], strict=True)
    for position, slot in newest_first:
        if position < oldest:
            break
        if slot >= shape.size or int(buffer[slot]) != position or not flags[slot]:
            continue
        length = int(word[slot]) & 0xFFFFFFFF
        table = _translate(shape, areas, int(desc[slot, 0]), length)
        if table is None or length % 16 or entries + length // 16 > TABLES_BUDGET:
            h["tables_left_out"] += 1
            continue
        found += [np.array([slot, length // 16], "<u4").tobytes(), bytes(table)]
        entries += length // 16
        h["tables"] += 1
    h["table_entries"] = entries
    return found


def _translate(
    shape: QueueShape, areas: Mapping[str, memoryview], address: int, length: int
) -> memoryview | None:
    for name, start, size in shape.areas:
        offset = address - start
        if 0 <= offset < size and length <= size - offset:
            return areas[name][offset : offset + length] if address % 8 == 0 else None
    return None
