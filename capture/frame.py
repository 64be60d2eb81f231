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
LATE = 4  #: it was read from outside when its driver might have had the buffer back

#: One kept frame, 80 bytes. `number` counts from 1 without a gap; `time` is nanoseconds since the Unix
#: epoch; `length` is that on the wire, `captured` that of the bytes kept. (`origin_queue`,
#: `origin_position`) is its origin, `head` and `descriptors` the chain, `buffers` how many buffers it
#: spans. `net_header` holds the first `net_header_length` bytes that stood before the frame. `offset`
#: is where its bytes stand in the store, counted from the first byte the store ever took. The first
#: `LOGGED` bytes are those of a frame as a ring's log gives it, so that they are copied as a whole.
RECORD = np.dtype(
    [
        ("number", "<u8"),
        ("time", "<u8"),
        ("origin_position", "<u8"),
        ("length", "<u4"),
        ("captured", "<u4"),
        ("origin_queue", "<u2"),
        ("head", "<u2"),
        ("descriptors", "<u2"),
        ("buffers", "<u2"),
        ("direction", "u1"),
        ("flags", "u1"),
        ("net_header_length", "<u2"),
        ("net_header", "V20"),
        ("offset", "<u8"),
        ("interface", "<u4"),
        ("reserved", "<u4"),
    ]
)
LOGGED = 64

KICK_SENT = 1  #: the driver notified the device of it
KICK_QUIET = 2  #: the device wanted no kick
CALL_SENT = 4  #: the device notified the driver of it
CALL_QUIET = 8  #: the driver wanted no call

#: What became of the buffer of a frame, 32 bytes: when it was made available, shown as used, and
#: collected (nanoseconds since the epoch, 0 where not known or not yet), and which notifications were
#: sent for it (the four bits above, 0 where not known).
STAGES = np.dtype(
    [("available", "<u8"), ("used", "<u8"), ("collected", "<u8"), ("notices", "u1"), ("reserved", "V7")]
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
    number, time, position, length, _, queue, head, descriptors, buffers, *rest = row.item()
    direction, flags, header_length, header, _, interface, _ = rest
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
