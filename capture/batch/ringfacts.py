"""Columns from what is kept beside a frame: its record, its virtio-net header, what became of its buffer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from capture.batch.column import Column
from capture.frame import (
    CALL_QUIET,
    CALL_SENT,
    FIXED,
    INDIRECT,
    KICK_QUIET,
    KICK_SENT,
    Array,
)
from capture.store import Block

_Fact = Callable[[Block, Array], Column]
_MOST = np.uint64(np.iinfo(np.int64).max)


def _signed(values: Array) -> Array:
    if values.dtype == np.uint64:
        values = np.minimum(values, _MOST)
    return np.asarray(values.astype(np.int64))


def _row(name: str) -> _Fact:
    return lambda block, every: Column(every, _signed(block.rows[name]))


def _flag(bit: int) -> _Fact:
    return lambda block, every: Column(every, (block.rows["flags"] & bit != 0).astype(np.int64))


def _notice(sent: int, quiet: int) -> _Fact:
    """1 where it was sent, 0 where it was suppressed, both where buffers of one frame differ."""

    def fact(block: Block, every: Array) -> Column:
        notices = block.stages["notices"].copy()  # the store's writer fills it in meanwhile
        on, off = every[notices & sent != 0], every[notices & quiet != 0]
        values = np.concatenate((np.ones(len(on), np.int64), np.zeros(len(off), np.int64)))
        return Column(np.concatenate((on, off)), values)

    return fact


def _span(first: str, second: str) -> _Fact:
    def fact(block: Block, every: Array) -> Column:
        start, stop = _signed(block.stages[first]), _signed(block.stages[second])
        known = (start > 0) & (stop > 0)
        return Column(every[known], (stop - start)[known])

    return fact


def _net(offset: int, size: int, mask: int = 0) -> _Fact:
    """A little-endian field of the virtio-net header (5.1.6), where the header is that long."""

    def fact(block: Block, every: Array) -> Column:
        rows = block.rows
        header = np.ascontiguousarray(rows["net_header"]).view(np.uint8)
        header = header.reshape(len(rows), rows.dtype["net_header"].itemsize)
        values = header[:, offset].astype(np.int64)
        if size == 2:
            values |= header[:, offset + 1].astype(np.int64) << 8
        if mask:
            values = (values & mask != 0).astype(np.int64)
        known = rows["net_header_length"] >= offset + size
        return Column(every[known], values[known])

    return fact


#: How each field is had from a block and the indices of its frames.
FACTS: dict[str, _Fact] = {
    "frame.number": _row("number"),
    "frame.len": _row("length"),
    "frame.cap_len": _row("captured"),
    "frame.time_epoch": _row("time"),
    "frame.time": _row("time"),
    "frame.interface_id": _row("interface"),
    "captured": _row("captured"),
    "queue": _row("origin_queue"),
    "position": _row("origin_position"),
    "direction": _row("direction"),
    "head": _row("head"),
    "descriptors": _row("descriptors"),
    "buffers": _row("buffers"),
    "indirect": _flag(INDIRECT),
    "fixed": _flag(FIXED),
    "kick": _notice(KICK_SENT, KICK_QUIET),
    "call": _notice(CALL_SENT, CALL_QUIET),
    "latency": _span("available", "used"),
    "pickup": _span("used", "collected"),
    "vnet.flags": _net(0, 1),
    "vnet.needs_csum": _net(0, 1, 1),
    "vnet.data_valid": _net(0, 1, 2),
    "vnet.gso_type": _net(1, 1),
    "vnet.hdr_len": _net(2, 2),
    "vnet.gso_size": _net(4, 2),
    "vnet.csum_start": _net(6, 2),
    "vnet.csum_offset": _net(8, 2),
    "vnet.num_buffers": _net(10, 2),
}
