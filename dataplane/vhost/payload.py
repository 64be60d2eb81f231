"""What vhost-user messages carry: one frozen dataclass for each layout, with `pack` and `parse`.

Machine byte order. `parse` raises ValueError with one line for a wrong length or a field out of its range,
and every byte that `pack` gives is defined: padding is zero.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import ClassVar, Self

CONFIG_MAX = 256  #: bytes of device configuration space in one message
REGIONS_MAX = 8  #: regions in one memory table
RINGS_MAX = 256  #: a ring number has eight bits where it comes with an eventfd
_NO_FD = 1 << 8


class Payload:
    """A layout of fixed length, unless `parse` says otherwise."""

    LAYOUT: ClassVar[struct.Struct]

    def pack(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def fields(cls, data: bytes) -> tuple[int, ...]:
        if len(data) != cls.LAYOUT.size:
            raise ValueError(f"its payload is {len(data)} bytes long, not {cls.LAYOUT.size}")
        return cls.LAYOUT.unpack(data)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(*cls.fields(data))


@dataclass(frozen=True, slots=True)
class Empty(Payload):
    LAYOUT: ClassVar = struct.Struct("=")

    def pack(self) -> bytes:
        return b""

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Raw(Payload):
    """Passed on as it is: what we neither offer nor look into."""

    data: bytes

    def pack(self) -> bytes:
        return self.data

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(bytes(data))

    def __str__(self) -> str:
        return f"{len(self.data)} bytes"


@dataclass(frozen=True, slots=True)
class U64(Payload):
    LAYOUT: ClassVar = struct.Struct("=Q")
    value: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.value)

    def __str__(self) -> str:
        return f"{self.value:#x}"


@dataclass(frozen=True, slots=True)
class VringState(Payload):
    LAYOUT: ClassVar = struct.Struct("=II")
    index: int
    num: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.index, self.num)

    def __str__(self) -> str:
        return f"ring {self.index}, {self.num if self.num <= 0xFFFF else hex(self.num)}"


@dataclass(frozen=True, slots=True)
class VringFd(Payload):
    """Of SET_VRING_KICK, CALL and ERR: without `has_fd` the ring is polled, or calls are not wanted."""

    LAYOUT: ClassVar = struct.Struct("=Q")
    index: int
    has_fd: bool

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.index | (0 if self.has_fd else _NO_FD))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        (value,) = cls.fields(data)
        if value >> 9:
            raise ValueError(f"bits above 8 are set in {value:#x}")
        return cls(value & 0xFF, not value & _NO_FD)

    def __str__(self) -> str:
        return f"ring {self.index}" + ("" if self.has_fd else ", no eventfd")


@dataclass(frozen=True, slots=True)
class VringAddr(Payload):
    """Addresses in the front-end's own process; `log` is guest-physical, where flag bit 0 is set."""

    LAYOUT: ClassVar = struct.Struct("=IIQQQQ")
    index: int
    flags: int
    desc: int
    used: int
    avail: int
    log: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.index, self.flags, self.desc, self.used, self.avail, self.log)

    def __str__(self) -> str:
        logged = f", log {self.log:#x}" if self.flags & 1 else ""
        return f"ring {self.index}, desc {self.desc:#x}, avail {self.avail:#x}, used {self.used:#x}{logged}"


@dataclass(frozen=True, slots=True)
class Region(Payload):
    """Memory of the front-end, `mmap_offset` bytes into the file that comes with it."""

    LAYOUT: ClassVar = struct.Struct("=QQQQ")
    guest_addr: int
    size: int
    user_addr: int
    mmap_offset: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.guest_addr, self.size, self.user_addr, self.mmap_offset)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        region = cls(*cls.fields(data))
        if not region.size:
            raise ValueError(f"the region at {region.guest_addr:#x} is empty")
        for what, start in (
            ("guest", region.guest_addr),
            ("user", region.user_addr),
            ("file", region.mmap_offset),
        ):
            if start + region.size > 1 << 64:
                raise ValueError(f"the region at {what} address {start:#x} goes round the end of memory")
        return region

    def __str__(self) -> str:
        user = f"user {self.user_addr:#x}, offset {self.mmap_offset:#x}"
        return f"guest {self.guest_addr:#x}, {self.size:#x} bytes, {user}"


@dataclass(frozen=True, slots=True)
class MemoryTable(Payload):
    regions: tuple[Region, ...]

    def pack(self) -> bytes:
        return struct.pack("=II", len(self.regions), 0) + b"".join(region.pack() for region in self.regions)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        count = int.from_bytes(data[:4], sys.byteorder) if len(data) >= 8 else 0
        if not 1 <= count <= REGIONS_MAX:
            raise ValueError(f"{count} memory regions: 1 to {REGIONS_MAX} can be given")
        step = Region.LAYOUT.size
        if len(data) != 8 + count * step:
            raise ValueError(f"its payload is {len(data)} bytes long, not {8 + count * step}")
        return cls(tuple(Region.parse(data[at : at + step]) for at in range(8, len(data), step)))

    def __str__(self) -> str:
        return "; ".join(map(str, self.regions))


@dataclass(frozen=True, slots=True)
class SingleRegion(Payload):
    region: Region

    def pack(self) -> bytes:
        return bytes(8) + self.region.pack()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) != 40:
            raise ValueError(f"its payload is {len(data)} bytes long, not 40")
        return cls(Region.parse(data[8:]))

    def __str__(self) -> str:
        return str(self.region)


@dataclass(frozen=True, slots=True)
class Log(Payload):
    LAYOUT: ClassVar = struct.Struct("=QQ")
    size: int
    offset: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.size, self.offset)

    def __str__(self) -> str:
        return f"{self.size} bytes at {self.offset:#x}"


@dataclass(frozen=True, slots=True)
class Iotlb(Payload):
    LAYOUT: ClassVar = struct.Struct("=QQQBB6x")
    iova: int
    size: int
    user_addr: int
    permission: int
    kind: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.iova, self.size, self.user_addr, self.permission, self.kind)

    def __str__(self) -> str:
        names = {1: "miss", 2: "update", 3: "invalidate", 4: "access refused"}
        what = names.get(self.kind, f"kind {self.kind}")
        return f"{what} {self.iova:#x}, {self.size:#x} bytes, user {self.user_addr:#x}"


@dataclass(frozen=True, slots=True)
class Config(Payload):
    """Device configuration space; a request to read carries as many bytes as it asks for."""

    offset: int
    size: int
    flags: int
    data: bytes

    def pack(self) -> bytes:
        return struct.pack("=III", self.offset, self.size, self.flags) + self.data

    @classmethod
    def parse(cls, data: bytes) -> Self:
        if len(data) < 12:
            raise ValueError(f"its payload is {len(data)} bytes long, not 12 and more")
        offset, size, flags = struct.unpack_from("=III", data)
        if not size or offset + size > CONFIG_MAX or len(data) != 12 + size:
            raise ValueError(
                f"{size} bytes of configuration at {offset}, with {len(data) - 12} bytes of data"
            )
        return cls(offset, size, flags, data[12:])

    def __str__(self) -> str:
        return f"{self.size} bytes at {self.offset}"


@dataclass(frozen=True, slots=True)
class Area(Payload):
    """Of VRING_HOST_NOTIFIER_MSG: a page of doorbells."""

    LAYOUT: ClassVar = struct.Struct("=QQQ")
    index: int
    size: int
    offset: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.index, self.size, self.offset)

    def __str__(self) -> str:
        return f"ring {self.index & 0xFF}, {self.size} bytes at {self.offset:#x}"


@dataclass(frozen=True, slots=True)
class Inflight(Payload):
    LAYOUT: ClassVar = struct.Struct("=QQHH4x")
    mmap_size: int
    mmap_offset: int
    num_queues: int
    queue_size: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.mmap_size, self.mmap_offset, self.num_queues, self.queue_size)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The last four bytes are padding that some leave out."""
        return cls(*cls.fields(data.ljust(24, b"\0") if len(data) == 20 else data))

    def __str__(self) -> str:
        return (
            f"{self.num_queues} queues of {self.queue_size}, {self.mmap_size} bytes at {self.mmap_offset:#x}"
        )


@dataclass(frozen=True, slots=True)
class Transfer(Payload):
    """Of SET_DEVICE_STATE_FD: which way device state goes."""

    LAYOUT: ClassVar = struct.Struct("=II")
    direction: int
    phase: int

    def pack(self) -> bytes:
        return self.LAYOUT.pack(self.direction, self.phase)

    def __str__(self) -> str:
        return "save" if self.direction == 0 else "load"
