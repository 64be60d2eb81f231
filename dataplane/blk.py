"""virtio-blk (5.2): its configuration, and each request that crossed its rings, as the frame log has it.

A record of the log is one completed buffer: the first bytes of its readable part stand where a frame has its
net header, in front of what follows stands a `records.REQUEST`. Nothing in it can be relied on: both sides
may have written anything.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataplane.records import (
    FRAME_INDIRECT,
    FRAME_LATE,
    FRAME_REQUEST,
    REQUEST,
    REQUEST_LENGTH,
    REQUEST_SOUND,
    REQUEST_STATUS,
)

if TYPE_CHECKING:
    from dataplane.source import Frames

DEVICE_ID = 2
SECTOR = 512  #: bytes, whatever blk_size says (5.2.6)
HEADER = struct.Struct("<IIQ")  #: type, reserved, sector
DATA_KEPT = 512  #: first bytes of a request's data that are logged

T_IN, T_OUT, T_FLUSH, T_GET_ID, T_GET_LIFETIME = 0, 1, 4, 8, 10
T_DISCARD, T_WRITE_ZEROES, T_SECURE_ERASE = 11, 13, 14
TYPES = {
    T_IN: "IN",
    T_OUT: "OUT",
    T_FLUSH: "FLUSH",
    T_GET_ID: "GET_ID",
    T_GET_LIFETIME: "GET_LIFETIME",
    T_DISCARD: "DISCARD",
    T_WRITE_ZEROES: "WRITE_ZEROES",
    T_SECURE_ERASE: "SECURE_ERASE",
}
OK, IOERR, UNSUPP = 0, 1, 2
STATUSES = {OK: "OK", IOERR: "IOERR", UNSUPP: "UNSUPP"}
_WITH_SECTOR = (T_IN, T_OUT)
_SEGMENTS = (T_DISCARD, T_WRITE_ZEROES, T_SECURE_ERASE)
_SEGMENT = 16  #: bytes of a struct virtio_blk_discard_write_zeroes


def type_name(number: int) -> str:
    """ "IN"; of a type without a name its number."""
    return TYPES.get(number, f"type {number}")


def status_name(number: int) -> str:
    """ "OK"; of a status without a name its number."""
    return STATUSES.get(number, f"status {number}")


# ---- configuration --------------------------------------------------------------------------------------

_CONFIG = struct.Struct("<QIIHBBIBBHIBBHIIIIIB3x")
CONFIG_BYTES = _CONFIG.size  #: up to write_zeroes_may_unmap
_CAPACITY_ONLY = 8


@dataclass(frozen=True, slots=True)
class BlkConfig:
    """struct virtio_blk_config (5.2.4), as far as it was read; what was not is 0.

    A field counts only where its feature was accepted, `capacity` always: in sectors of 512 bytes.
    """

    capacity: int
    size_max: int
    seg_max: int
    cylinders: int
    heads: int
    sectors: int
    blk_size: int
    physical_block_exp: int
    alignment_offset: int
    min_io_size: int
    opt_io_size: int
    writeback: int
    num_queues: int
    max_discard_sectors: int
    max_discard_seg: int
    discard_sector_alignment: int
    max_write_zeroes_sectors: int
    max_write_zeroes_seg: int
    write_zeroes_may_unmap: int

    @classmethod
    def parse(cls, data: bytes) -> BlkConfig:
        """ValueError where not even the capacity is there."""
        if len(data) < _CAPACITY_ONLY:
            raise ValueError(f"{len(data)} bytes of configuration hold no capacity")
        fields = _CONFIG.unpack(data[:CONFIG_BYTES].ljust(CONFIG_BYTES, b"\0"))
        return cls(*fields[:12], *fields[13:])  # between them stands unused0

    def pack(self) -> bytes:
        values = [getattr(self, name) for name in self.__slots__]
        return _CONFIG.pack(*values[:12], 0, *values[12:])

    @property
    def size(self) -> int:
        """Of the disk, in bytes."""
        return self.capacity * SECTOR


# ---- requests -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One completed buffer of a request queue (5.2.6).

    `header` is what there was of the 16 bytes; `readable` and `writable` count the buffer's bytes, the header
    and the status included; `used_length` and `status` are None where they are not known. Times are ns since
    the epoch, numbers count from 1; from outside `available` is when it was first seen, at most `slack` late.
    """

    number: int
    time: int  #: when it was used
    available: int
    slack: int
    queue: int
    position: int
    head: int
    descriptors: int
    indirect: bool
    late: bool  #: read when the driver might have had the memory back
    sound: bool  #: its descriptors can be followed
    header: bytes
    readable: int
    writable: int
    used_length: int | None
    status: int | None
    data: bytes  #: first bytes of what was written or read, at most `DATA_KEPT`

    @property
    def type(self) -> int | None:
        return int.from_bytes(self.header[:4], "little") if len(self.header) >= 4 else None

    @property
    def sector(self) -> int | None:
        """The header's own, which only IN and OUT give a meaning to."""
        return int.from_bytes(self.header[8:], "little") if len(self.header) == HEADER.size else None

    @property
    def name(self) -> str:
        return type_name(self.type) if self.type is not None else "?"

    @property
    def length(self) -> int:
        """Bytes of data: what stands between header and status."""
        return max(self.readable - HEADER.size, 0) + max(self.writable - 1, 0)

    @property
    def where(self) -> str:
        """The sector as words; "" where the type has none."""
        return str(self.sector) if self.sector is not None and self.type in _WITH_SECTOR else ""

    @property
    def answer(self) -> str:
        """The status as words."""
        if self.status is not None:
            return status_name(self.status)
        return "no status" if self.sound and not self.writable else "unknown"

    @property
    def failed(self) -> bool:
        """Whether its status is anything but OK."""
        return self.status != OK

    @property
    def latency(self) -> int:
        """Nanoseconds from available to used, as they were seen; `slack` more may have passed."""
        return max(self.time - self.available, 0)

    def wrong(self, capacity: int = 0) -> list[str]:
        """What cannot be right about it, in words. `capacity`: of the disk in sectors, 0: not known."""
        if not self.sound:
            return ["its descriptors cannot be followed"]
        said = []
        if len(self.header) < HEADER.size:
            said.append(f"its header has {len(self.header)} bytes, not {HEADER.size} (5.2.6)")
        if not self.writable:
            said.append("it has no byte for the status (5.2.6)")
        sectors, rest = divmod(self.length, SECTOR)
        if self.type in _WITH_SECTOR:
            if rest:
                said.append(f"{self.length} bytes of data are not whole sectors of {SECTOR} (5.2.6.1)")
            if self.sector is not None and capacity and self.sector + sectors > capacity:
                last = self.sector + max(sectors, 1) - 1
                said.append(f"sector {last} lies beyond the {capacity} of the disk (5.2.6.1)")
        elif self.type in _SEGMENTS and self.length % _SEGMENT:
            said.append(f"{self.length} bytes of segments are no multiple of {_SEGMENT} (5.2.6.1)")
        if self.used_length is not None and self.used_length > self.writable:
            said.append(f"{self.used_length} bytes were written into {self.writable} writable ones (2.7.8)")
        return said


def logged(request: Request) -> bytes:
    """The content of a record of the frame log; `requests` reads it again."""
    row = np.zeros(1, REQUEST)
    row["available"], row["slack"] = request.available, min(request.slack, 0xFFFFFFFF)
    row["readable"], row["writable"] = request.readable, request.writable
    row["used_length"], row["status"] = request.used_length or 0, request.status or 0
    row["flags"] = (
        (REQUEST_STATUS if request.status is not None else 0)
        | (REQUEST_LENGTH if request.used_length is not None else 0)
        | (REQUEST_SOUND if request.sound else 0)
    )
    return row.tobytes() + request.data


def requests(frames: Frames) -> list[Request]:
    """The requests among what was logged."""
    found = []
    for row, at in zip(frames.rows, frames.offsets.tolist(), strict=True):
        if not int(row["flags"]) & FRAME_REQUEST or int(row["captured"]) < REQUEST.itemsize:
            continue
        found.append(_request(row, bytes(frames.data[at : at + int(row["captured"])])))
    return found


def _request(row: Any, content: bytes) -> Request:
    more = np.frombuffer(content, REQUEST, 1)[0]
    known, flags = int(more["flags"]), int(row["flags"])
    return Request(
        number=int(row["number"]) + 1,
        time=int(row["time"]),
        available=int(more["available"]),
        slack=int(more["slack"]),
        queue=int(row["queue"]),
        position=int(row["position"]),
        head=int(row["head"]),
        descriptors=int(row["descriptors"]),
        indirect=bool(flags & FRAME_INDIRECT),
        late=bool(flags & FRAME_LATE),
        sound=bool(known & REQUEST_SOUND),
        header=row["net_header"].tobytes()[: min(int(row["net_header_length"]), HEADER.size)],
        readable=int(more["readable"]),
        writable=int(more["writable"]),
        used_length=int(more["used_length"]) if known & REQUEST_LENGTH else None,
        status=int(more["status"]) if known & REQUEST_STATUS else None,
        data=content[REQUEST.itemsize :],
    )
