"""Fields and sort keys of many frames at once, worked out when they are asked for and only once.

    batch = Batch(block)
    batch.column("ip.dst")          # where the field stands and what it holds
    sort_key(batch, "destination")  # one value a frame, to sort by

A field may stand in a frame more than once (tunnels, tags, `ip.addr`), so a column says for each value
in which frame it stands. Whatever the bytes, nothing here raises or looks outside a frame.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from capture.batch import ringfacts, worked
from capture.batch.column import Column, concatenate
from capture.batch.protocols import protocols
from capture.batch.walk import Layers, Walk, heads, word
from capture.fieldtable import FIELDS, FieldInfo, Kind, Place
from capture.frame import FIXED, INDIRECT, Array
from capture.store import Block

SORTABLE = ("number", "time", "delta", "queue", "direction", "length", "captured", "protocol", "source",
            "destination", "head", "descriptors", "buffers", "layout", "gso", "checksum", "kick", "call",
            "latency", "pickup")  # fmt: skip
_LAST = np.iinfo(np.int64).max  #: what is not known sorts behind all that is
_ADDRESS = 17  #: bytes of an address as a key: its kind, then its value


class Batch:
    """The columns of one block. `before` is the time of the frame before the first, if there is one."""

    def __init__(self, block: Block, before: int | None = None) -> None:
        self.block = block
        self.before = before
        self.size = len(block.rows)
        self._columns: dict[str, Column] = {}

    @cached_property
    def walk(self) -> Walk:
        """The layers of the frames."""
        return Walk(self.block)

    @cached_property
    def all(self) -> Array:
        """The index of every frame."""
        return np.arange(self.size, dtype=np.int64)

    @cached_property
    def answers(self) -> worked.Answers:
        """What the DNS messages say."""
        return worked.answers(self)

    def column(self, name: str) -> Column:
        """The field of that name, one of `FIELDS`; KeyError for any other."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._make(FIELDS[name])
        return column

    def spans(self, name: str) -> Column:
        """Where the bytes of a field stand: `values` the first, `stops` behind the last, in the block's data.

        For fields of `Kind.BYTES`, for all that have a place, and for protocols, whose header it is.
        """
        info = FIELDS[name]
        if info.parts:
            return concatenate([self.spans(part) for part in info.parts])
        if info.kind is Kind.PROTOCOL:
            return worked.headers(self, name.removeprefix("ipv6."))
        if info.place is None:
            return self.column(name)
        layers = self._placed(info.place)
        at = layers.at + info.place.offset
        return Column(layers.frames, at, at + info.place.size)

    def _placed(self, place: Place) -> Layers:
        """The layers that hold the whole of it."""
        layers = self.walk.layers(place.layer)
        fits = layers.at + (place.offset + place.size) <= layers.end
        return layers if fits.all() else layers.take(fits)

    def _make(self, info: FieldInfo) -> Column:
        if info.parts:
            return concatenate([self.column(part) for part in info.parts])
        if info.name in ringfacts.FACTS:
            return ringfacts.FACTS[info.name](self.block, self.all)
        if info.kind is Kind.PROTOCOL:
            layers = self.walk.layers(info.name.removeprefix("ipv6."))
            return Column(layers.frames, layers.at, layers.end)
        if info.place is None:
            return worked.COLUMNS[info.name](self)
        layers, place = self._placed(info.place), info.place
        head = heads(self.walk.data, layers.at + place.offset, place.size)
        if info.kind is Kind.IPV6:
            return Column(layers.frames, head.reshape(-1).view("S16"))
        values = word(head, 0, place.size)
        if place.mask:
            values &= place.mask
            values //= place.mask & -place.mask
        return Column(layers.frames, values)


def sort_key(batch: Batch, name: str) -> Array:
    """One value a frame, in the order that the list's column of that name sorts by.

    name: one of `SORTABLE`; KeyError for any other. Addresses sort by value, IPv4 before IPv6 before MAC;
    protocols by name; what is not known comes last.
    """
    rows = batch.block.rows
    if name in ("number", "length", "captured", "head", "descriptors", "buffers", "direction"):
        return np.asarray(rows[name].astype(np.int64))
    if name == "time":
        return batch.column("frame.time_epoch").values
    if name == "delta":
        times = batch.column("frame.time_epoch").values
        first = times[:1] if batch.before is None else np.array([batch.before], np.int64)
        return np.diff(times, prepend=first[: len(times)])
    if name == "queue":
        return batch.column("queue").values
    if name == "layout":
        return np.asarray((rows["flags"] & (INDIRECT | FIXED)).astype(np.int64))
    if name in ("latency", "pickup", "kick", "call", "checksum"):
        column = batch.column("vnet.flags" if name == "checksum" else name)
        key = np.full(batch.size, _LAST)
        key[column.frames] = column.values
        return key
    if name == "gso":
        key = np.full(batch.size, -1, np.int64)
        for part in ("vnet.gso_type", "vnet.gso_size"):
            column = batch.column(part)
            key[column.frames] = np.maximum(key[column.frames], 0) << 16 | column.values
        return key
    if name == "protocol":
        return protocols(batch.walk, batch.size)
    return _address(batch, {"source": "src", "destination": "dst"}[name])


def _address(batch: Batch, end: str) -> Array:
    """The innermost address of each frame: IP where there is any, else Ethernet; S17 a frame."""
    key = np.zeros((batch.size, _ADDRESS), np.uint8)
    key[:, 0] = 9
    depth = np.full(batch.size, -1, np.int64)
    for layer, rank, offset, size in (
        ("eth", 8, {"src": 6, "dst": 0}[end], 6),
        ("ip4", 4, {"src": 12, "dst": 16}[end], 4),
        ("ipv6", 6, {"src": 8, "dst": 24}[end], 16),
    ):
        pieces = zip(batch.walk.found.get(layer, []), batch.walk.depths.get(layer, []), strict=True)
        for layers, at in pieces:
            layers = layers.take(layers.at + offset + size <= layers.end)
            layers = layers.take((depth[layers.frames] < at) & (batch.walk.quoted[layers.frames] >= at))
            key[layers.frames] = 0
            key[layers.frames, 0] = rank
            key[layers.frames, 1 : 1 + size] = heads(batch.walk.data, layers.at + offset, size)
            depth[layers.frames] = at
    return np.asarray(key.reshape(-1).view(f"S{_ADDRESS}"))
