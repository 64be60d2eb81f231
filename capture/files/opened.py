"""Capture files opened to be looked at: their frames as rows, bytes and stages, by the batch.

Whole runs of packets are taken in C (`capture._frames`), and what stands between them, or is damaged, a block
at a time by `capture.pcapng` and `capture.pcap`. What our own writer said of the ring in a comment is found
again: head, descriptors, stages and net header, so that filters over ring facts work on files too.

A damaged file gives the frames before the damage and a warning with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from capture._frames import facts, pcap_frames, pcapng_frames
from capture.errors import CaptureError
from capture.files.window import Window
from capture.frame import RECORD, STAGES, Array
from capture.pcap import ETHERNET, LENGTH_MAX, MAGICS, Packet, Records
from capture.pcapng import SECTION, Blocks, Interface, Section
from capture.store import Block, FrameStore

WAY_UNKNOWN = 2  #: the direction of a row whose file does not tell it
NO_QUEUE = 0xFFFF  #: and its queue

#: What `pcapng_frames` knows of an interface: units of its clock in a second (0: not for it), seconds to add,
#: its number among all of the file.
INTERFACE = np.dtype([("units", "<u8"), ("start", "<i8"), ("number", "<u4"), ("reserved", "<u4")])

_ROWS = 1 << 14
_BYTES = 4 << 20
_BEHIND = 36  # bytes of the smallest packet block, and more than a pcap record header


@dataclass(frozen=True, slots=True)
class Opened:
    """A capture file that was read: rows["interface"] is an index into `interfaces`."""

    store: FrameStore
    interfaces: tuple[Interface, ...]
    warnings: tuple[str, ...]  #: one line each


class _Batch:
    """Room for frames, filled in C or one at a time."""

    def __init__(self) -> None:
        self.rows = np.zeros(_ROWS, RECORD)
        self.stages = np.zeros(_ROWS, STAGES)
        self.offsets = np.zeros(_ROWS, np.int64)
        self.data = np.empty(_BYTES, np.uint8)
        self.state = np.zeros(2, np.uint64)  # frames, bytes
        self._next = 1

    @property
    def full(self) -> bool:
        return bool(self.state[0] >= _ROWS or self.state[1] + np.uint64(LENGTH_MAX) > _BYTES)

    def add(self, packet: Packet, interface: int) -> None:
        """One frame that the parsers in C left alone."""
        at, used = int(self.state[0]), int(self.state[1])
        row, stage = self.rows[at : at + 1], self.stages[at : at + 1]
        row.view(np.uint8)[:] = stage.view(np.uint8)[:] = 0
        row["time"] = min(max(packet.time, 0), (1 << 64) - 1)
        row["captured"], row["length"] = len(packet.data), packet.length
        row["direction"] = WAY_UNKNOWN if packet.direction is None else packet.direction
        row["origin_queue"] = NO_QUEUE if packet.queue is None else min(packet.queue, NO_QUEUE)
        row["offset"], row["interface"] = used, interface
        self.offsets[at] = used
        self.data[used : used + len(packet.data)] = np.frombuffer(packet.data, np.uint8)
        facts(packet.comment.encode(), row, stage)
        self.state[:] = at + 1, used + len(packet.data)

    def block(self) -> Block:
        """What is in it; the room is used again for the next."""
        count, used = int(self.state[0]), int(self.state[1])
        self.state[:] = 0
        self.rows["number"][:count] = np.arange(self._next, self._next + count)
        self._next += count
        return Block(self.rows[:count], self.data[:used].data, self.offsets[:count], self.stages[:count])


class Reader:
    """The frames of a capture file, open at its first byte, by the block.

    A block is good until the next one is asked for; its rows are numbered as the frames of the file are. Of a
    live pipe what is there is given before more is waited for. `interfaces` and `warnings` grow while it is
    read. CaptureError only where the file is no capture at all.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.interfaces: list[Interface] = []
        self.warnings: list[str] = []
        self._window = Window(file)
        self._window.have(4)
        magic = self._window.bytes[:4]
        if not magic:
            raise CaptureError("it is empty: no capture, not even one without frames")
        if magic == SECTION:
            self._blocks = self._pcapng(Blocks(self._window))
        elif magic in MAGICS:
            records = Records(self._window)
            self.interfaces.append(Interface("", link_type=records.link_type))
            self._blocks = self._pcap(records)
        else:
            raise CaptureError(
                "neither a pcap nor a pcapng file; give a capture as tcpdump -w or Wireshark write it"
            )

    def __iter__(self) -> Iterator[Block]:
        return self._blocks

    def _run(self, batch: _Batch, step: Callable[[], bool], take: Callable[[], int]) -> Iterator[Block]:
        """Takes runs of frames with `take` and single blocks with `step` until the file ends."""
        window = self._window
        try:
            while True:
                window.have(_BEHIND)
                after = take()
                moved, window.at = after > window.at, after
                if batch.full or (batch.state[0] and window.dry(_BEHIND if moved else None)):
                    yield batch.block()
                if not moved and not step():
                    break
        except CaptureError as why:
            self.warnings.append(f"{why}; what stands before it is used")
        if batch.state[0]:
            yield batch.block()

    def _pcapng(self, blocks: Blocks) -> Iterator[Block]:
        batch, window = _Batch(), self._window
        table, section, first = np.zeros(0, INTERFACE), None, 0

        def step() -> bool:
            nonlocal table, section, first
            more = blocks.step()
            if blocks.section is not None:
                if blocks.section is not section:
                    section, first = blocks.section, len(self.interfaces)
                    table = np.zeros(0, INTERFACE)
                if len(section.interfaces) > len(table):
                    self._describe(section, len(table))
                    table = _table(section, first)
            if blocks.packet is not None:
                batch.add(blocks.packet, first + blocks.packet.interface)
            return more

        def take() -> int:
            if section is None:
                return window.at
            after = pcapng_frames(
                window.bytes,
                len(window.bytes),
                window.at,
                section.order == ">",
                table,
                batch.rows,
                batch.offsets,
                batch.stages,
                batch.data,
                batch.state,
            )
            if after > window.at:
                section.last = int(batch.rows["time"][int(batch.state[0]) - 1])
            return after

        return self._run(batch, step, take)

    def _describe(self, section: Section, known: int) -> None:
        for one in section.interfaces[known:]:
            self.interfaces.append(Interface(one.name, one.description, one.link_type, one.snap))

    def _pcap(self, records: Records) -> Iterator[Block]:
        batch, window = _Batch(), self._window

        def step() -> bool:
            more = records.step()
            if records.packet is not None:
                batch.add(records.packet, 0)
            return more

        def take() -> int:
            return pcap_frames(
                window.bytes,
                len(window.bytes),
                window.at,
                records.order == ">",
                records.unit,
                batch.rows,
                batch.offsets,
                batch.stages,
                batch.data,
                batch.state,
            )

        return self._run(batch, step, take)


def _table(section: Section, first: int) -> Array:
    table = np.zeros(len(section.interfaces), INTERFACE)
    for number, one in enumerate(section.interfaces):
        table[number] = (one.units if one.units < 1 << 63 else 0, one.start, first + number, 0)
    return table


def load(path: str | Path | IO[bytes], budget_bytes: int = 256 << 20) -> Opened:
    """A capture file in a frame store; "-" is not taken, an open file is.

    Warnings tell of damage, of frames that did not fit the budget, and of interfaces that are not Ethernet:
    their frames are kept but not dissected. OSError where it cannot be opened; CaptureError with the path
    where it is no capture.
    """
    if not isinstance(path, str | Path):
        return _load(path, budget_bytes)
    with open(path, "rb") as file:
        try:
            return _load(file, budget_bytes)
        except CaptureError as why:
            raise CaptureError(f"{path}: {why}") from None


def _load(file: IO[bytes], budget_bytes: int) -> Opened:
    store = FrameStore(budget_bytes)
    reader = Reader(file)
    for block in reader:
        number = store.append(block.rows, block.data, block.offsets)
        if block.stages.view(np.uint8).any():
            store.set_stages(number, block.stages)
    warnings = list(reader.warnings)
    for interface in reader.interfaces:
        if interface.link_type != ETHERNET:
            name = f" {interface.name}" if interface.name else ""
            warnings.append(
                f"interface{name}: link type {interface.link_type} is not Ethernet: not dissected"
            )
    if store.dropped:
        warnings.append(f"the first {store.dropped:,} frames did not fit {budget_bytes >> 20} MiB")
    return Opened(store, tuple(reader.interfaces), tuple(warnings))
