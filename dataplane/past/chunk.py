"""Pieces of the journal, and their net effect on the rings.

A chunk is up to `CHUNK` rows in a row, sorted by number and without a gap inside. Its `effect` says what all
of them together did to each word of ring memory and of a side's own: first old and last new value. So a seek
over millions of events applies the effects of whole chunks and replays only a part of one; and it tells at a
glance which words a chunk wrote at all.

The changes of an effect never overlap, so they may be applied in any order. Where stores of two widths meet
in one chunk, the words concerned are told byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dataplane.records import Kind
from dataplane.snapshot import Array

CHUNK = 1 << 15  #: rows of a chunk, at most

#: One word that changed, 32 bytes. kind STORE: `place` is an address, `width` 1, 2, 4 or 8 bytes. kind OWN:
#: `place` is a byte of the private image of `queue`, `width` is 8. Those of kind STORE come first, by place,
#: then those of kind OWN by queue and place.
CHANGE = np.dtype(
    [
        ("place", "<u8"),
        ("old", "<u8"),
        ("new", "<u8"),
        ("queue", "<u2"),
        ("width", "u1"),
        ("kind", "u1"),
        ("pad", "<u4"),
    ]
)

_FAR = np.uint64(1 << 62)  #: no area of ring memory lies there
_OWN_BYTES = 1 << 24  #: no private image is as long

Index = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]


class AnyChunk(Protocol):
    """A chunk, wherever it lies: one read from a file loads `rows` and `effect` when they are asked for."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def first_time(self) -> int: ...
    @property
    def last_time(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def kinds(self) -> Index | None:
        """How many of its rows are of each `Kind`, by kind, where that is known without a look at them."""
        ...

    @property
    def rows(self) -> Array: ...
    @property
    def effect(self) -> Array: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk in memory. `rows` of `records.EVENT`, at least one; `effect` of `CHANGE`."""

    rows: Array
    effect: Array

    @property
    def first(self) -> int:
        """Number of its first event."""
        return int(self.rows["number"][0])

    @property
    def last(self) -> int:
        return int(self.rows["number"][-1])

    @property
    def first_time(self) -> int:
        return int(self.rows["time"][0])

    @property
    def last_time(self) -> int:
        return int(self.rows["time"][-1])

    @property
    def count(self) -> int:
        """Rows, those of kind OWN included."""
        return len(self.rows)

    @property
    def kinds(self) -> Index | None:
        return None

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.effect.nbytes


def make_chunk(rows: Array) -> Chunk:
    """Of rows sorted by number, OWN before theirs, without a gap. ValueError where there is none."""
    if not len(rows):
        raise ValueError("a chunk has at least one row")
    effect = net(changes(rows))
    rows.flags.writeable = effect.flags.writeable = False
    return Chunk(rows, effect)


def cut(rows: Array) -> Iterator[Array]:
    """Rows without a gap in pieces of at most `CHUNK`, never within an event.

    An event with more rows than that is a piece of its own.
    """
    while len(rows) > CHUNK:
        whole = np.flatnonzero(rows["kind"][:CHUNK] != Kind.OWN)
        more = np.flatnonzero(rows["kind"][CHUNK:] != Kind.OWN)
        at = int(whole[-1]) + 1 if len(whole) else CHUNK + int(more[0]) + 1 if len(more) else len(rows)
        yield rows[:at]
        rows = rows[at:]
    if len(rows):
        yield rows


def changes(rows: Array) -> Array:
    """What the rows of kind STORE and OWN change, one `CHANGE` each, in their order."""
    kind = rows["kind"].copy()
    at = np.flatnonzero((kind == Kind.STORE) | (kind == Kind.OWN))
    made = np.zeros(len(at), CHANGE)
    for name in ("place", "old", "new", "queue", "kind"):
        made[name] = rows[name][at]
    made["width"] = np.minimum(rows["count"][at], 255)
    made["width"][made["kind"] == Kind.OWN] = 8
    return made


def net(told: Array) -> Array:
    """The net effect of changes in their order: first old and last new value of each word."""
    store = told["kind"] == Kind.STORE
    return np.concatenate([_net_stores(told[store]), _net_own(told[~store])])


def merge(effects: Sequence[Array]) -> Array:
    """The net effect of effects one after the other."""
    return net(np.concatenate(effects))


def _by(key: Numbers) -> Index:
    """The order by key; equal ones as they stand."""
    bits = max(len(key) - 1, 1).bit_length()
    if len(key) and int(key.max()) >> (64 - bits) == 0:  # key and place in one word: much faster to sort
        both = (key << np.uint64(bits)) | np.arange(len(key), dtype=np.uint64)
        both.sort()
        return (both & np.uint64((1 << bits) - 1)).astype(np.int64)
    return np.argsort(key, kind="stable")


def _collapse(told: Array, order: Index, begins: Index) -> Array:
    """One change of each group of the sorted: the groups begin at `begins`."""
    ends = np.append(begins[1:], len(order)) - 1
    made: Array = told[order[ends]]
    made["old"] = told["old"][order[begins]]
    return made


def _net_own(told: Array) -> Array:
    told = told[(told["place"] < _OWN_BYTES) & (told["kind"] == Kind.OWN)]
    if not len(told):
        return told
    key = told["queue"].astype(np.uint64) << np.uint64(24) | told["place"]
    order = _by(key)
    key = key[order]
    return _collapse(told, order, np.flatnonzero(np.append(True, key[1:] != key[:-1])))


def _net_stores(told: Array) -> Array:
    width = told["width"].astype(np.uint64)
    sound = (told["place"] < _FAR) & (width > 0) & (width <= 8) & (width & (width - np.uint64(1)) == 0)
    if not sound.all():
        told, width = told[sound], width[sound]
    if not len(told):
        return told
    order = _by(told["place"].copy())
    place: Numbers = told["place"][order]
    width = width[order]
    covered = np.maximum.accumulate(place + width)
    begins = np.flatnonzero(np.append(True, place[1:] >= covered[:-1]))
    # Within a group all have the place and width of its first; else two widths meet, or stores overlap.
    group = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(order))))
    strange = (place != place[begins][group]) | (width != width[begins][group])
    if not strange.any():
        return _collapse(told, order, begins)
    mixed = np.isin(group, group[strange])
    plain = _net_stores(told[np.sort(order[~mixed])])
    made: Array = np.concatenate([plain, _net_stores(_bytes(told[np.sort(order[mixed])]))])
    made = made[_by(made["place"].copy())]
    return made


def _bytes(told: Array) -> Array:
    """Stores byte by byte, in their order."""
    width = told["width"].astype(np.int64)
    made = np.repeat(told, width)
    at = np.arange(len(made)) - np.repeat(np.cumsum(width) - width, width)
    shift = (8 * at).astype(np.uint64)
    for name in ("old", "new"):
        made[name] = made[name] >> shift & np.uint64(0xFF)
    made["place"] += at.astype(np.uint64)
    made["width"] = 1
    return made
