"""pcapng files (draft-ietf-opsawg-pcapng): read any, write ours.

Reading: sections of both byte orders; enhanced, simple and the obsolete packet blocks. Nothing in a file is
trusted: lengths are bounded before they are used, and a bad one is told in one line with its place.

Writing: nanoseconds, an interface for each queue and direction, and with each frame its number
(epb_packetid), queue, direction, the frames lost before it, and its place in the ring as a comment.
"""

from __future__ import annotations

import io
import os
import select
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from capture.fields import printable
from capture.frame import FIXED, INDIRECT, TO_DRIVER, Array
from capture.pcap import ETHERNET, LENGTH_MAX, CaptureError, Packet

SECTION = b"\x0a\x0d\x0d\x0a"
_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_BLOCK_MAX = LENGTH_MAX + (1 << 20)  # a frame and a megabyte of options
_SKIP = 1 << 16
_OPAQUE_MAX = 1 << 30

_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_OPT_COMMENT, _OPT_FLAGS, _EPB_PACKETID, _EPB_QUEUE, _IF_TSRESOL, _IF_TSOFFSET = 1, 2, 5, 6, 9, 14


@dataclass(slots=True)
class _Interface:
    link_type: int
    snap: int
    units: int = 1_000_000  # of a second
    start: int = 0  # nanoseconds to add

    def time(self, stamp: int) -> int:
        return stamp * 1_000_000_000 // self.units + self.start


@dataclass(slots=True)
class _Section:
    order: str
    interfaces: list[_Interface] = field(default_factory=list)
    last: int = 0  # the time of the packet before, for those that have none


def read_pcapng(file: IO[bytes]) -> Iterator[Packet]:
    """The frames of a pcapng file, open at its first byte. CaptureError where it is damaged.

    A simple packet block has no time; it gets that of the packet before it.
    """
    at, section = 0, None
    while head := file.read(8):
        if len(head) < 8:
            raise CaptureError(f"cut short at byte {at + len(head)}, inside a block header")
        if head[:4] == SECTION:
            magic = file.read(4)
            order = _ORDER.get(magic)
            if order is None:
                raise CaptureError(f"section at byte {at}: no known byte-order magic")
            section, done = _Section(order), 12
        elif section is None:
            raise CaptureError("not a pcapng file: no section header at byte 0")
        else:
            done = 8
        kind, total = struct.unpack(section.order + "II", head)
        known = kind in (_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET)
        if total < 12 or total % 4 or total > (_BLOCK_MAX if known else _OPAQUE_MAX):
            raise CaptureError(f"block at byte {at}: impossible length {total}")
        if known:
            body = file.read(total - done)
            if len(body) < total - done:
                raise CaptureError(
                    f"cut short at byte {at + done + len(body)}, inside a block of {total} bytes"
                )
            tail = body[-4:]
            packet = _block(section, kind, body[:-4], at)
            if packet is not None:
                section.last = packet.time
        else:
            tail, packet = _skip(file, total - done, at + done), None
        if struct.unpack(section.order + "I", tail)[0] != total:
            raise CaptureError(f"block at byte {at}: the length at its end is not {total}")
        if packet is not None:
            yield packet
        at += total


def _skip(file: IO[bytes], size: int, at: int) -> bytes:
    """Read over the rest of a block in small pieces; its last four bytes."""
    tail = b""
    while size:
        piece = file.read(min(size, _SKIP))
        if not piece:
            raise CaptureError(f"cut short at byte {at}, inside a block")
        size -= len(piece)
        at += len(piece)
        tail = (tail + piece)[-4:]
    if len(tail) < 4:
        raise CaptureError(f"block before byte {at}: too short for its length fields")
    return tail


def _block(section: _Section, kind: int, body: bytes, at: int) -> Packet | None:
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


def _interface(order: str, body: bytes) -> _Interface:
    link_type, _, snap = struct.unpack_from(order + "HHI", body)
    made = _Interface(link_type, snap)
    for code, value in _options(order, body, 8):
        if code == _IF_TSRESOL and len(value) >= 1:
            made.units = (2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F)
        elif code == _IF_TSOFFSET and len(value) >= 8:
            made.start = struct.unpack_from(order + "q", value)[0] * 1_000_000_000
    return made


def _of(section: _Section, number: int) -> _Interface:
    if number >= len(section.interfaces):
        raise CaptureError(f"interface {number} of {len(section.interfaces)} described")
    return section.interfaces[number]


def _data(body: bytes, at: int, captured: int) -> bytes:
    if captured > LENGTH_MAX or at + captured > len(body):
        raise CaptureError(f"captured length {captured} does not fit")
    return body[at : at + captured]


def _simple(section: _Section, body: bytes) -> Packet:
    (length,) = struct.unpack_from(section.order + "I", body)
    interface = _of(section, 0)
    captured = min(length, interface.snap or length)
    return Packet(section.last, 0, _data(body, 4, captured), length, interface.link_type)


def _enhanced(section: _Section, body: bytes, old: bool) -> Packet:
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


@dataclass(slots=True)
class _Tally:
    written: int = 0
    lost: int = 0  # in all
    lost_since: int = 0  # since the last frame written
    first: int = 0
    last: int = 0


_HEAD = struct.Struct("<IIIIIII")
_TAIL = struct.Struct("<HHIHHQHHI")
_FLUSH = 1 << 18


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _text(code: int, value: str) -> bytes:
    return _option(code, value.encode()[:65532]) if value else b""


def _block_of(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total


class Writer:
    """Writes one section to `file`, unbuffered below this class: whole blocks or none.

    rows["interface"] of a frame is the index of its interface. OSError (disk full, reader gone) is raised
    once with the number of frames that stand in the file; a file that can seek is cut to whole blocks.
    """

    def __init__(
        self,
        file: IO[bytes],
        interfaces: Sequence[Interface] = (),
        *,
        application: str = "ringscope",
        comment: str = "",
    ) -> None:
        if isinstance(file, io.BufferedWriter | io.BufferedRandom):
            file.flush()
            self._file: IO[bytes] | io.RawIOBase = file.raw
        else:
            self._file = file
        self._owned = False
        self._start = self._file.tell() if self._file.seekable() else None
        self._pending: list[bytes] = []
        self._size = 0
        self._sent = 0  # bytes of what is pending that an interrupted call has written
        self._whole = 0
        self._frames = 0
        self._tallies: list[_Tally] = []
        self._closed = False
        options = _text(1, comment) + _text(4, application) + _option(0, b"")
        self._put(_block_of(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options))
        for interface in interfaces:
            self.add_interface(interface)

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], interfaces: Sequence[Interface] = (), comment: str = ""
    ) -> Writer:
        """A writer on a new file that only its owner may read; close() closes it."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        writer = cls(os.fdopen(fd, "wb", buffering=0), interfaces, comment=comment)
        writer._owned = True
        return writer

    @property
    def frames(self) -> int:
        """Frames handed to the file; after an error those that stand in it whole."""
        return self._frames

    def add_interface(self, interface: Interface) -> int:
        """Describe one more interface; its index."""
        options = (
            _text(2, interface.name)
            + _text(3, interface.description)
            + _option(_IF_TSRESOL, b"\x09")
            + _option(0, b"")
        )
        self._put(_block_of(1, struct.pack("<HHI", interface.link_type, 0, interface.snap) + options))
        self._tallies.append(_Tally())
        return len(self._tallies) - 1

    def lost(self, interface: int, count: int) -> None:
        """Tell of frames that were not kept since the last one written of an interface."""
        self._tallies[interface].lost += count
        self._tallies[interface].lost_since += count

    def write(self, rows: Array, data: bytes | memoryview, offsets: Array) -> None:
        """Frames as the store gives them: `RECORD` rows, bytes, and where each frame begins in them."""
        if len(rows) and int(rows["interface"].max()) >= len(self._tallies):
            raise ValueError(f"interface {int(rows['interface'].max())} of {len(self._tallies)} described")
        with memoryview(data) as view:
            for row, at in zip(rows.tolist(), offsets.tolist(), strict=True):
                number, time, position, length, captured, queue, head, descriptors, buffers, *rest = row
                direction, flags, net_length, net_header, _, interface, _ = rest
                words = ""
                if descriptors:  # a frame that no ring carried has no place in one
                    words = f"head={head} descriptors={descriptors} buffers={buffers} position={position}"
                    words += (" indirect" if flags & INDIRECT else "") + (" fixed" if flags & FIXED else "")
                if net_length:
                    words += f" vnet={net_header[:net_length].hex()}"
                options = _text(_OPT_COMMENT, words.strip())
                tally = self._tallies[interface]
                if tally.lost_since:
                    options += struct.pack("<HHQ", 4, 8, tally.lost_since)
                    tally.lost_since = 0
                tally.first = tally.first or time
                tally.last = time
                tally.written += 1
                pad = -captured % 4
                if descriptors:
                    options += struct.pack("<HHI", _EPB_QUEUE, 4, queue)
                total = 56 + captured + pad + len(options)
                way = 1 if direction == TO_DRIVER else 2
                self._put(
                    _HEAD.pack(_PACKET, total, interface, time >> 32, time & 0xFFFFFFFF, captured, length)
                    + view[at : at + captured].tobytes()
                    + bytes(pad)
                    + options
                    + _TAIL.pack(_OPT_FLAGS, 4, way, _EPB_PACKETID, 8, number, 0, 0, total)
                )

    def flush(self) -> None:
        """Hand what is pending to the file. OSError as the class says."""
        if self._pending:
            self._drain()

    def close(self) -> None:
        """Write the statistics of every interface and finish. Nothing happens the second time."""
        if self._closed:
            return
        for number, tally in enumerate(self._tallies):
            stamp = struct.pack("<II", tally.last >> 32, tally.last & 0xFFFFFFFF)
            began = struct.pack("<II", tally.first >> 32, tally.first & 0xFFFFFFFF)
            body = struct.pack("<I", number) + stamp + _option(2, began) + _option(3, stamp)
            body += _option(4, struct.pack("<Q", tally.written + tally.lost)) + _option(
                5, struct.pack("<Q", tally.lost)
            )
            self._pending.append(_block_of(5, body + _option(0, b"")))
        self._drain()
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, block: bytes) -> None:
        if self._closed:
            raise ValueError("the capture is closed")
        self._pending.append(block)
        self._size += len(block)
        if self._size >= _FLUSH:
            self._drain()

    def _drain(self) -> None:
        """Write what is pending; called again after an interrupt it goes on where that struck."""
        if self._sent and self._start is not None:
            self._sent = self._file.tell() - self._start - self._whole
        try:
            with memoryview(b"".join(self._pending)) as view:
                while self._sent < len(view):
                    count = self._file.write(view[self._sent :])
                    if count is None:  # a pipe that does not block is full
                        select.select([], [self._file], [])
                    self._sent += count or 0
        except OSError as why:
            self._keep()
            self._cut()
            self._finish()
            text = f"{why.strerror}; the first {self._frames} frames are written and readable"
            raise OSError(why.errno, text) from why
        self._keep()

    def _keep(self) -> None:
        """Count the blocks that stand whole within the bytes written, and forget all that was pending."""
        kept = 0
        for block in self._pending:
            if kept + len(block) > self._sent:
                break
            kept += len(block)
            self._frames += block[:4] == b"\x06\0\0\0"
        self._whole += kept
        self._pending.clear()
        self._size = self._sent = 0

    def _cut(self) -> None:
        if self._start is not None:
            try:
                self._file.truncate(self._start + self._whole)
            except OSError:
                return  # a reader will find the half block at the end

    def _finish(self) -> None:
        self._closed = True
        if self._owned:
            self._file.close()
