"""A host behind our device: it answers ARP and ping, and echoes what UDP and TCP send to any of its ports.

    with Responder() as host:
        device.plug(host.fileno())

Whoever connects to TCP port 9 (discard) is only listened to. IPv4, no fragments. Frames go through a pair of
sockets with the 12-byte net header before each, as they would through a Linux TAP.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import TracebackType

import numpy as np

MAC = bytes.fromhex("027273000001")
MSS = 1460
_MSS_LEAST = 48  # fewer would be an attack on us
_HEADER = bytes(12)
_ARP, _IPV4 = 0x0806, 0x0800
_ICMP, _TCP, _UDP = 1, 6, 17
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_DISCARD = 9
_WINDOW = 65535
_AGAIN = 0.3  #: seconds after which what was not acknowledged is sent again
_HELD = 1 << 20  #: bytes echoed and not acknowledged; beyond them our window closes
_ROOM = 4 << 20  #: bytes on their way in each direction
_MASK = 0xFFFFFFFF


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = start + int(np.frombuffer(data, ">u2").sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(slots=True)
class _Flow:
    """One TCP connection: what comes in goes out again. Sequence numbers as they stand on the wire."""

    expected: int  #: next byte of theirs
    first: int  #: of ours, not acknowledged yet
    window: int  #: how much they take
    mss: int  #: the longest segment they take
    held: bytearray = field(default_factory=bytearray)  #: from `first` on
    sent: int = 0  #: of `held`, sent already
    closing: bool = False  #: they are done, and so are we once all is echoed
    done: bool = False  #: our FIN was sent,
    over: bool = False  #: and acknowledged
    at: float = 0.0  #: when something was sent or acknowledged last


class Responder:
    """See the module. `address`: the only one it answers to; None: to all of them."""

    def __init__(self, address: str | None = None) -> None:
        self._address = IPv4Address(address).packed if address is not None else None
        ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for sock in (ours, self._theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._theirs.setblocking(False)  # the engine reads and writes it
        self._sock = ours
        self._flows: dict[bytes, _Flow] = {}
        self._thread = threading.Thread(target=self._run, name="responder", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """What the device's frames go through."""
        return self._theirs.fileno()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._sock.close()
        self._theirs.close()

    def __enter__(self) -> Responder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        self._sock.settimeout(_AGAIN)
        while True:
            try:
                data = self._sock.recv(1 << 17)
                if not data:
                    return
                answers = self.answers(data[12:])
            except TimeoutError:
                answers = self._again()
            except OSError:
                return
            for answer in answers:
                try:
                    self._sock.settimeout(None)
                    self._sock.send(_HEADER + answer)
                    self._sock.settimeout(_AGAIN)
                except OSError:
                    return

    # ---- one frame --------------------------------------------------------------------------------------

    def answers(self, frame: bytes) -> Iterator[bytes]:
        """What comes back for a frame."""
        if len(frame) < 34:
            return
        kind = int.from_bytes(frame[12:14], "big")
        if kind == _ARP:
            yield from self._arp(frame)
        elif kind == _IPV4 and frame[0:6] == MAC:
            yield from self._ipv4(frame)

    def _mine(self, address: bytes) -> bool:
        return address == self._address if self._address is not None else address[0] < 224

    def _arp(self, frame: bytes) -> Iterator[bytes]:
        asked, asker = frame[38:42], frame[28:32]
        if frame[20:22] != b"\0\1" or len(frame) < 42 or not self._mine(asked) or asked == asker:
            return
        if asker == bytes(4):
            return  # somebody asks whether the address is free
        yield frame[6:12] + MAC + frame[12:20] + b"\0\2" + MAC + asked + frame[22:28] + asker

    def _ipv4(self, frame: bytes) -> Iterator[bytes]:
        head = 4 * (frame[14] & 15)
        length = int.from_bytes(frame[16:18], "big")
        fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
        source, target = frame[26:30], frame[30:34]
        if frame[14] >> 4 != 4 or head < 20 or fragment or not self._mine(target):
            return
        body = frame[14 + head : 14 + length] if length > head else frame[14 + head :]  # 0: a huge segment
        protocol = frame[23]
        back = frame[6:12], target, source
        if protocol == _ICMP and len(body) >= 8 and body[0] == 8:
            answer = b"\0\0\0\0" + body[4:]
            yield _packet(*back, _ICMP, answer[:2] + checksum(answer).to_bytes(2, "big") + answer[4:])
        elif protocol == _UDP and len(body) >= 8:
            answer = body[2:4] + body[0:2] + len(body).to_bytes(2, "big") + b"\0\0" + body[8:]
            total = checksum(target + source + struct.pack(">BBH", 0, _UDP, len(answer)) + answer) or 0xFFFF
            yield _packet(*back, _UDP, answer[:6] + total.to_bytes(2, "big") + answer[8:])
        elif protocol == _TCP and len(body) >= 20:
            yield from self._tcp(back, body)

    # ---- TCP --------------------------------------------------------------------------------------------

    def _tcp(self, back: tuple[bytes, bytes, bytes], body: bytes) -> Iterator[bytes]:
        ours, seq, ack, offset, flags, window = struct.unpack_from(">2xHIIBBH", body)
        key = b"".join(back) + body[:4]
        flow = self._flows.get(key)
        if flags & _RST:
            self._flows.pop(key, None)
            return
        if flags & _SYN:
            mss = _mss(body[20 : 4 * (offset >> 4)])
            flow = self._flows[key] = _Flow((seq + 1) & _MASK, ours * 0x10001 & _MASK, window, mss)
            yield _segment(key, flow.first, flow.expected, _SYN | _ACK, b"", struct.pack(">BBH", 2, 4, MSS))
            flow.first = (flow.first + 1) & _MASK
            return
        if flow is None:
            yield _segment(key, ack, (seq + len(body)) & _MASK, _RST | _ACK, b"")
            return
        self._acknowledged(flow, ack, window)
        data = body[4 * (offset >> 4) :]
        if data or flags & _FIN:
            late = (flow.expected - seq) & _MASK
            fresh = data[late:] if late <= len(data) else b""
            if late <= len(data) and len(flow.held) + len(fresh) <= _HELD:
                flow.expected = (flow.expected + len(fresh)) & _MASK
                if ours != _DISCARD:
                    flow.held += fresh
                if flags & _FIN and not flow.closing:
                    flow.expected = (flow.expected + 1) & _MASK
                    flow.closing = True
        yield from self._send(key, flow, answer=bool(data or flags & _FIN))
        if flow.over:
            self._flows.pop(key, None)

    def _acknowledged(self, flow: _Flow, ack: int, window: int) -> None:
        done = (ack - flow.first) & _MASK
        flow.window = window
        most = flow.sent + flow.done
        if 0 < done <= most:
            flow.first = ack
            flow.over = done > len(flow.held)
            flow.sent -= min(done, flow.sent)
            del flow.held[: min(done, len(flow.held))]
            flow.at = time.monotonic()

    def _send(self, key: bytes, flow: _Flow, *, answer: bool) -> Iterator[bytes]:
        """As much as their window takes; at least an acknowledgement where they wait for one."""
        said = False
        while flow.sent < len(flow.held) and flow.sent < flow.window:
            part = bytes(flow.held[flow.sent : min(flow.sent + flow.mss, flow.window)])
            last = flow.sent + len(part) == len(flow.held)
            yield _segment(key, flow.first + flow.sent, flow.expected, _ACK | (_PSH if last else 0), part)
            flow.sent += len(part)
            flow.at, said = time.monotonic(), True
        if flow.closing and not flow.done and flow.sent == len(flow.held):
            yield _segment(key, flow.first + flow.sent, flow.expected, _ACK | _FIN, b"")
            flow.done, flow.at, said = True, time.monotonic(), True
        if answer and not said:
            yield _segment(key, flow.first + flow.sent, flow.expected, _ACK, b"")

    def _again(self) -> Iterator[bytes]:
        """What nobody acknowledged for long."""
        now = time.monotonic()
        for key, flow in list(self._flows.items()):
            if (flow.sent or flow.done) and now - flow.at >= _AGAIN:
                flow.sent, flow.done = 0, False
                yield from self._send(key, flow, answer=False)


def _mss(options: bytes) -> int:
    """What the options of a SYN ask for (RFC 9293, 3.7.1), ours where they do not; never more than ours."""
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            break
        if options[0] == 2 and options[1] == 4:
            return max(_MSS_LEAST, min(MSS, int.from_bytes(options[2:4], "big")))
        options = options[options[1] :]
    return MSS


def _packet(to: bytes, source: bytes, target: bytes, protocol: int, body: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0) + source + target
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return to + MAC + b"\x08\0" + head + body


def _segment(key: bytes, seq: int, ack: int, flags: int, data: bytes, options: bytes = b"") -> bytes:
    """To the connection of this key: their MAC, our address, theirs, their port, our port."""
    to, source, target, ports = key[0:6], key[6:10], key[10:14], key[16:18] + key[14:16]
    offset = (20 + len(options)) // 4 << 4
    body = (
        ports
        + struct.pack(">IIBBHHH", seq & _MASK, ack & _MASK, offset, flags, _WINDOW, 0, 0)
        + options
        + data
    )
    total = checksum(source + target + struct.pack(">BBH", 0, _TCP, len(body)) + body)
    return _packet(to, source, target, _TCP, body[:16] + total.to_bytes(2, "big") + body[18:])
