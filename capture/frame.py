"""What is kept of a frame: one numpy record in the store, one dataclass once it is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

TO_DEVICE = 0  #: transmitted by the driver
TO_DRIVER = 1  #: received by the driver
DIRECTION_NAMES = ("to device", "to driver")

INDIRECT = 1  #: its buffer came through an indirect table
FIXED = 2  #: its queue uses the fixed slot-to-descriptor mapping

#: One kept frame, 74 bytes. `number` counts from 1 without a gap; `time` is nanoseconds since the Unix
#: epoch; `length` is that on the wire, `captured` that of the bytes kept. (`origin_queue`,
#: `origin_position`) is its origin, `head` and `descriptors` the chain, `buffers` how many buffers it
#: spans. `net_header` holds the first `net_header_length` bytes that stood before the frame. `offset`
#: is where its bytes stand in the store, counted from the first byte the store ever took.
RECORD = np.dtype(
    [
        ("number", "<u8"),
        ("time", "<u8"),
        ("length", "<u4"),
        ("captured", "<u4"),
        ("interface", "<u2"),
        ("direction", "u1"),
        ("flags", "u1"),
        ("origin_queue", "<u2"),
        ("head", "<u2"),
        ("origin_position", "<u8"),
        ("descriptors", "<u2"),
        ("buffers", "<u2"),
        ("net_header_length", "<u2"),
        ("net_header", "V20"),
        ("offset", "<u8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame with its bytes; the fields are those of `RECORD`."""

    number: int
    time: int
    length: int
    data: bytes
    interface: int
    direction: int
    flags: int
    origin: tuple[int, int]  #: (queue, position)
    head: int
    descriptors: int
    buffers: int
    net_header: bytes


def frame_of(row: Any, data: bytes) -> Frame:
    """A frame from one element of a `RECORD` array and its captured bytes."""
    number, time, length, _, interface, direction, flags, queue, head, position, *rest = row.item()
    descriptors, buffers, header_length, header, _ = rest
    return Frame(
        number=number,
        time=time,
        length=length,
        data=data,
        interface=interface,
        direction=direction,
        flags=flags,
        origin=(queue, position),
        head=head,
        descriptors=descriptors,
        buffers=buffers,
        net_header=bytes(header)[:header_length],
    )


def records(count: int) -> Array:
    """`count` zeroed rows of `RECORD`."""
    return np.zeros(count, RECORD)
