"""pcapng files (draft-ietf-opsawg-pcapng): read any, write ours.

Reading: sections of both byte orders; enhanced, simple and the obsolete packet blocks. Nothing in a file is
trusted: lengths are bounded before they are used, and a bad one is told in one line with its place.

Writing: nanoseconds, an interface for each queue and direction, and with each frame its number
(epb_packetid), queue, direction, the frames lost before it, and its place in the ring as a comment.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from capture._frames import pcapng_blocks
from capture.errors import CaptureError
from capture.fields import printable
from capture.files.whole import WholeBlocks
from capture.files.window import Window
from capture.pcap import ETHERNET, LENGTH_MAX, Packet

SECTION = b"\x0a\x0d\x0d\x0a"
_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_BLOCK_MAX = LENGTH_MAX + (1 << 20)  # a frame and a megabyte of options
_OPAQUE_MAX = 1 << 30

_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_OPT_COMMENT, _OPT_FLAGS, _EPB_PACKETID, _EPB_QUEUE = 1, 2, 5, 6
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_FILTER, _IF_TSOFFSET = 2, 3, 9, 11, 14


@dataclass(slots=True)
class Described:
    """An interface as a file describes it."""

    link_type: int
    snap: int
    units: int = 1_000_000  #: of its clock in a second
    start: int = 0  #: seconds to add
    name: str = ""
    description: str = ""

    def time(self, stamp: int) -> int:
        return stamp * 1_000_000_000 // self.units + self.start * 1_000_000_000


@dataclass(slots=True)
class Section:
    """What was read of a section so far."""

    order: str  #: "<" or ">"
    interfaces: list[Described] = field(default_factory=list)
    last: int = 0  #: the time of the packet before, for those that have none


class Blocks:
    """The blocks of a pcapng file, one at a time. CaptureError where it is damaged."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.section: Section | None = None
        self.packet: Packet | None = None  #: what the last block was, if it was one

    def step(self) -> bool:
        """Reads one block; False at the end of the file."""
        window, self.packet = self.window, None
        at = window.place
        head = window.take(8)
        if not head:
            return False
        if len(head) < 8:
            raise CaptureError(f"cut short at byte {window.place}, inside a block header")
        done = 8
        if head[:4] == SECTION:
            order = _ORDER.get(window.take(4))
            if order is None:
                raise CaptureError(f"section at byte {at}: no known byte-order magic")
            self.section, done = Section(order), 12
            version = window.take(2)
            if len(version) == 2 and (major := struct.unpack(order + "H", version)[0]) != 1:
                raise CaptureError(f"section at byte {at}: version {major} of pcapng is not known")
            done += len(version)
        elif self.section is None:
            raise CaptureError("not a pcapng file: no section header at byte 0")
        kind, total = struct.unpack(self.section.order + "II", head)
        known = kind in (_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET)
        if total < done + 4 or total % 4 or total > (_BLOCK_MAX if known else _OPAQUE_MAX):
            raise CaptureError(f"block at byte {at}: impossible length {total}")
        body = window.take(total - done) if known else b""
        tail = body[-4:] if known else window.pass_over(total - done)
        if len(body) < total - done if known else len(tail) < 4:
            raise CaptureError(f"cut short at byte {window.place}, inside a block of {total} bytes")
        made = _block(self.section, kind, body[:-4], at) if known else None
        if struct.unpack(self.section.order + "I", tail)[0] != total:
            raise CaptureError(f"block at byte {at}: the length at its end is not {total}")
        if made is not None:
            self.section.last = made.time
        self.packet = made
        return True


def read_pcapng(file: IO[bytes] | Window) -> Iterator[Packet]:
    """The frames of a pcapng file at its first byte. CaptureError where it is damaged.

    A simple packet block has no time; it gets that of the packet before it.
    """
    blocks = Blocks(file if isinstance(file, Window) else Window(file))
    while blocks.step():
        if blocks.packet is not None:
            yield blocks.packet


def _block(section: Section, kind: int, body: bytes, at: int) -> Packet | None:
    try:
        match kind:
            case 1:
                section.interfaces.append(_interface(section.order, body))
                return None
            case 3:
                return _simple(section, body)
            case _:
                return _enhanced(section, body, old=kind == _OLD_PACKET)
    except struct.error:
        raise CaptureError(f"block at byte {at}: {len(body) + 12} bytes are too few for its fields") from None
    except CaptureError as why:
        raise CaptureError(f"block at byte {at}: {why}") from None


def _options(order: str, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            return
        if at + 4 + size > len(body):
            raise CaptureError(f"option {code} of {size} bytes does not fit")
        yield code, body[at + 4 : at + 4 + size]
        at += 4 + (size + 3 & ~3)


def _interface(order: str, body: bytes) -> Described:
    link_type, _, snap = struct.unpack_from(order + "HHI", body)
    made = Described(link_type, snap)
    for code, value in _options(order, body, 8):
        if code == _IF_TSRESOL and len(value) >= 1:
            made.units = (2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F)
        elif code == _IF_TSOFFSET and len(value) >= 8:
            (made.start,) = struct.unpack_from(order + "q", value)
        elif code == _IF_NAME:
            made.name = printable(value)
        elif code == _IF_DESCRIPTION:
            made.description = printable(value)
    return made


def _of(section: Section, number: int) -> Described:
    if number >= len(section.interfaces):
        raise CaptureError(f"interface {number} of {len(section.interfaces)} described")
    return section.interfaces[number]


def _data(body: bytes, at: int, captured: int) -> bytes:
    if captured > LENGTH_MAX or at + captured > len(body):
        raise CaptureError(f"captured length {captured} does not fit")
    return body[at : at + captured]


def _simple(section: Section, body: bytes) -> Packet:
    (length,) = struct.unpack_from(section.order + "I", body)
    interface = _of(section, 0)
    captured = min(length, interface.snap or length)
    return Packet(section.last, 0, _data(body, 4, captured), length, interface.link_type)


def _enhanced(section: Section, body: bytes, old: bool) -> Packet:
    if old:
        number, _drops, high, low, captured, length = struct.unpack_from(section.order + "HHIIII", body)
    else:
        number, high, low, captured, length = struct.unpack_from(section.order + "IIIII", body)
    interface = _of(section, number)
    data = _data(body, 20, captured)
    direction = queue = packet_id = None
    comments = []
    for code, value in _options(section.order, body, 20 + (captured + 3 & ~3)):
        if code == _OPT_COMMENT:
            comments.append(printable(value))
        elif code == _OPT_FLAGS and len(value) >= 4:
            direction = {1: 1, 2: 0}.get(struct.unpack_from(section.order + "I", value)[0] & 3)
        elif code == _EPB_PACKETID and len(value) >= 8 and not old:
            (packet_id,) = struct.unpack_from(section.order + "Q", value)
        elif code == _EPB_QUEUE and len(value) >= 4 and not old:
            (queue,) = struct.unpack_from(section.order + "I", value)
    time = interface.time(high << 32 | low)
    return Packet(
        time,
        number,
        data,
        max(length, captured),
        interface.link_type,
        direction,
        queue,
        packet_id,
        " ".join(comments),
    )


@dataclass(frozen=True, slots=True)
class Interface:
    """One queue and direction, as a reader of the file will see it."""

    name: str
    description: str = ""
    link_type: int = ETHERNET
    snap: int = 0  #: bytes kept of a frame at most; 0: all
    filter: str = ""  #: the capture filter, as it was written


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _text(code: int, value: str) -> bytes:
    return _option(code, value.encode()[:65532]) if value else b""


def _block_of(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total


class Writer(WholeBlocks):
    """Writes one section to `file`; rows["interface"] of a frame is the index of its interface."""

    _format = staticmethod(pcapng_blocks)
    _tail_room = 76

    def __init__(
        self,
        file: IO[bytes],
        interfaces: Sequence[Interface] = (),
        *,
        application: str = "ringscope",
        comment: str = "",
    ) -> None:
        super().__init__(file)
        options = _text(1, comment) + _text(4, application) + _option(0, b"")
        self._put(_block_of(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options))
        for interface in interfaces:
            self.add_interface(interface)

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], interfaces: Sequence[Interface] = (), comment: str = ""
    ) -> Writer:
        """A writer on a new file that only its owner may read; close() closes it."""
        writer = cls(cls._open(path), interfaces, comment=comment)
        writer._owned = True
        return writer

    def add_interface(self, interface: Interface) -> int:
        """Describe one more interface; its index."""
        options = (
            _text(2, interface.name)
            + _text(3, interface.description)
            + _option(_IF_TSRESOL, b"\x09")
            + (_option(_IF_FILTER, b"\0" + interface.filter.encode()[:65000]) if interface.filter else b"")
            + _option(0, b"")
        )
        self._put(_block_of(1, struct.pack("<HHI", interface.link_type, 0, interface.snap) + options))
        return self._add_interface()

    def _end(self) -> None:
        """The statistics of every interface."""
        for number, tally in enumerate(self._tallies.tolist()):
            written, lost, _, first, last = tally
            stamp = struct.pack("<II", last >> 32, last & 0xFFFFFFFF)
            began = struct.pack("<II", first >> 32, first & 0xFFFFFFFF)
            body = struct.pack("<I", number) + stamp + _option(2, began) + _option(3, stamp)
            body += _option(4, struct.pack("<Q", written + lost)) + _option(5, struct.pack("<Q", lost))
            self._put(_block_of(5, body + _option(0, b"")))

    def _block(self, view: memoryview, at: int) -> tuple[int, bool]:
        kind, total = struct.unpack_from("<II", view, at)
        return total, kind == _PACKET
