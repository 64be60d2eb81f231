"""Read pcap files: all four magics, microseconds and nanoseconds.

Nothing in a file is trusted: lengths are bounded before they are used, and a bad one is told in one line
with its place in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

ETHERNET = 1
LENGTH_MAX = 262_144  #: no captured frame may be longer: Wireshark's own bound

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
MAGICS = frozenset(_MAGIC)


class CaptureError(ValueError):
    """A capture file that cannot be read on; one line with the place in the file."""


class Packet(NamedTuple):
    """One frame of a capture file."""

    time: int  #: nanoseconds since the Unix epoch
    interface: int  #: its number within its section of the file
    data: bytes
    length: int  #: on the wire
    link_type: int = ETHERNET
    direction: int | None = None  #: 0 to the device (outbound), 1 to the driver (inbound)
    queue: int | None = None
    number: int | None = None  #: epb_packetid
    comment: str = ""


def read_pcap(file: IO[bytes]) -> Iterator[Packet]:
    """The frames of a pcap file, open at its first byte. CaptureError where it is damaged."""
    head = file.read(24)
    if head[:4] not in _MAGIC:
        raise CaptureError("not a pcap file: no known magic at byte 0")
    if len(head) < 24:
        raise CaptureError(f"cut short at byte {len(head)}, inside the file header of 24 bytes")
    order, unit = _MAGIC[head[:4]]
    link_type = struct.unpack_from(order + "I", head, 20)[0] & 0xFFFF
    record = struct.Struct(order + "IIII")
    at = 24
    while entry := file.read(16):
        if len(entry) < 16:
            raise CaptureError(f"cut short at byte {at + len(entry)}, inside a record header")
        seconds, fraction, captured, length = record.unpack(entry)
        if captured > LENGTH_MAX:
            raise CaptureError(f"record at byte {at}: captured length {captured} is more than {LENGTH_MAX}")
        data = file.read(captured)
        if len(data) < captured:
            raise CaptureError(f"cut short at byte {at + 16 + len(data)}, inside a frame of {captured} bytes")
        at += 16 + captured
        yield Packet(seconds * 1_000_000_000 + fraction * unit, 0, data, max(length, captured), link_type)
