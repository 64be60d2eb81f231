"""pcap files: read all four magics, microseconds and nanoseconds; write nanoseconds.

Nothing in a file is trusted: lengths are bounded before they are used, and a bad one is told in one line
with its place in the file. What is written has the frames and their times; queues, losses and ring facts
need pcapng.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from capture._frames import pcap_records
from capture.errors import CaptureError
from capture.files.whole import WholeBlocks
from capture.files.window import Window

ETHERNET = 1
LENGTH_MAX = 262_144  #: no captured frame may be longer: Wireshark's own bound

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
MAGICS = frozenset(_MAGIC)


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


class Records:
    """The records of a pcap file, one at a time. CaptureError where it is damaged."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.packet: Packet | None = None
        head = window.take(24)
        if head[:4] not in _MAGIC:
            raise CaptureError("not a pcap file: no known magic at byte 0")
        if len(head) < 24:
            raise CaptureError(f"cut short at byte {len(head)}, inside the file header of 24 bytes")
        self.order, self.unit = _MAGIC[head[:4]]
        self.link_type: int = struct.unpack_from(self.order + "I", head, 20)[0] & 0xFFFF

    def step(self) -> bool:
        """Reads one record into `packet`; False at the end of the file."""
        window, self.packet = self.window, None
        at = window.place
        entry = window.take(16)
        if not entry:
            return False
        if len(entry) < 16:
            raise CaptureError(f"cut short at byte {window.place}, inside a record header")
        seconds, fraction, captured, length = struct.unpack(self.order + "IIII", entry)
        if captured > LENGTH_MAX:
            raise CaptureError(f"record at byte {at}: captured length {captured} is more than {LENGTH_MAX}")
        data = window.take(captured)
        if len(data) < captured:
            raise CaptureError(f"cut short at byte {window.place}, inside a frame of {captured} bytes")
        time = seconds * 1_000_000_000 + fraction * self.unit
        self.packet = Packet(time, 0, data, max(length, captured), self.link_type)
        return True


def read_pcap(file: IO[bytes] | Window) -> Iterator[Packet]:
    """The frames of a pcap file at its first byte. CaptureError where it is damaged."""
    records = Records(file if isinstance(file, Window) else Window(file))
    while records.step():
        if records.packet is not None:
            yield records.packet


class PcapWriter(WholeBlocks):
    """Writes a pcap file with nanoseconds, little-endian; what rows say of interfaces is not in it."""

    _format = staticmethod(pcap_records)

    def __init__(self, file: IO[bytes], interfaces: int = 1, *, snap: int = LENGTH_MAX) -> None:
        super().__init__(file)
        self._put(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, snap, ETHERNET))
        for _ in range(interfaces):
            self._add_interface()

    @classmethod
    def create(cls, path: str | os.PathLike[str], interfaces: int = 1, *, snap: int = 0) -> PcapWriter:
        """A writer on a new file that only its owner may read; close() closes it."""
        writer = cls(cls._open(path), interfaces, snap=snap or LENGTH_MAX)
        writer._owned = True
        return writer

    def _block(self, view: memoryview, at: int) -> tuple[int, bool]:
        if not self._whole and not at:
            return 24, False
        return 16 + int(struct.unpack_from("<8xI", view, at)[0]), True
