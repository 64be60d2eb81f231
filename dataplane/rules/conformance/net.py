"""Network buffers, net headers and the configuration they depend on (5.1.4, 5.1.6.2 to 5.1.6.4).

Headers come from the frame log: what the device read, and what it wrote. Of a buffer that was dropped there
is none.
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque

from dataplane import features as f
from dataplane.keyframe import Keyframe
from dataplane.records import TO_DEVICE, Kind, Role
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.features import GUEST_USO4, GUEST_USO6, HASH_REPORT, HOST_USO, RSC_EXT
from dataplane.rules.conformance.ring import Buffer, Use
from dataplane.rules.conformance.scene import Event, Logged, Scene

NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4
GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN, GSO_TUNNEL = 1, 3, 4, 5, 0x80, 0x60
_ETHERNET, _HEADER = 14, 12
_LARGE, _SMALL = 65601, 1526  #: bytes of a receive buffer (5.1.6.3.1)
_TAGS = (b"\x81\x00", b"\x88\xa8")
_WAITING = 16  #: frames whose buffers are not used yet
_KEPT = 4096  #: used receive buffers remembered until their frame is read from the log

#: By gso_type, the features of which one is needed: towards the device, towards the driver.
_GSO: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    GSO_TCPV4: ((f.NET_F_HOST_TSO4,), (f.NET_F_GUEST_TSO4,)),
    GSO_TCPV6: ((f.NET_F_HOST_TSO6,), (f.NET_F_GUEST_TSO6,)),
    GSO_UDP: ((f.NET_F_HOST_UFO,), (f.NET_F_GUEST_UFO,)),
    GSO_UDP_L4: ((HOST_USO,), (GUEST_USO4, GUEST_USO6)),
}


class Config(Check):
    """The configuration space as each keyframe has it (5.1.4.1)."""

    rows = ("NETC-DEV-01", "NETC-DEV-02")

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._mtu: int | None = None

    def met(self, keyframe: Keyframe) -> None:
        identity, config = keyframe.base.identity, keyframe.base.config
        if identity.device_id != 1:
            return
        pairs, mtu = config.max_virtqueue_pairs, config.mtu
        if f.has(identity.offered, f.NET_F_MQ) and not 1 <= pairs <= 0x8000:
            self.say("NETC-DEV-01", None, None, f"max_virtqueue_pairs is {pairs}")
        if not f.has(identity.offered, f.NET_F_MTU):
            return
        if not 68 <= mtu <= 65535:
            self.say("NETC-DEV-02", None, None, f"mtu is {mtu}")
        elif self._mtu not in (None, mtu):
            self.say("NETC-DEV-02", None, None, f"mtu was {self._mtu} and is {mtu}")
        self._mtu = mtu


class Buffers(Check):
    """Whether what the driver offers is large enough for what is to stand in it."""

    rows = ("NETTX-DRV-01", "NETRX-DRV-01", "NETRX-DRV-02", "NETC-DRV-11")

    def available(self, buffer: Buffer) -> None:
        if self.scene.device != 1 or buffer.why:
            return
        has = self.scene.has
        header = 20 if has(HASH_REPORT) else _HEADER
        match buffer.ring.shape.role:
            case Role.TRANSMIT:
                readable = sum(element.length for element in buffer.data if not element.writable)
                if readable < header:
                    self._say("NETTX-DRV-01", buffer, f"{readable} bytes hold no net header of {header}")
            case Role.RECEIVE if has(f.NET_F_MRG_RXBUF):
                if buffer.writable < header:
                    words = f"{buffer.writable} bytes hold no net header of {header}"
                    self._say("NETRX-DRV-02", buffer, words)
            case Role.RECEIVE:
                self._whole(buffer, header)

    def _whole(self, buffer: Buffer, header: int) -> None:
        """Without MRG_RXBUF a frame has to fit one buffer."""
        scene, room = self.scene, buffer.writable
        bits = (f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_GUEST_UFO, GUEST_USO4, GUEST_USO6)
        wanted = (_LARGE if any(map(scene.has, bits)) else _SMALL) + header - _HEADER
        if scene.config and scene.has(f.NET_F_MTU):
            least = header + _ETHERNET + scene.config.mtu
            if room < least:
                self._say("NETC-DRV-11", buffer, f"{room} bytes for frames that may take {least}")
        if room < wanted:
            self._say("NETRX-DRV-01", buffer, f"{room} bytes where {wanted} are asked for")

    def _say(self, row: str, buffer: Buffer, words: str) -> None:
        self.say(row, buffer.ring.index, buffer.head, words)


class Headers(Check):
    """The net header of each logged frame."""

    rows = (
        "NETTX-DRV-02",
        "NETTX-DRV-03",
        "NETTX-DRV-04",
        "NETTX-DRV-05",
        "NETTX-DRV-06",
        "NETTX-DRV-07",
        "NETTX-DRV-08",
        "NETTX-DRV-09",
        "NETTX-DRV-10",
        "NETTX-DRV-11",
        "NETRX-DRV-03",
        "NETRX-DEV-05",
        "NETRX-DEV-06",
        "NETRX-DEV-09",
        "NETRX-DEV-10",
        "NETRX-DEV-11",
        "NETRX-DEV-12",
        "NETRX-DEV-13",
        "NETRX-DEV-14",
        "NETRX-DEV-15",
        "NETRX-DEV-16",
        "NETRX-DEV-17",
        "NETC-DEV-03",
        "NETC-DRV-11",
    )

    def framed(self, frame: Logged) -> None:
        if self.scene.accepted is None:
            return
        self._frame = frame
        wanted = 20 if self.scene.has(HASH_REPORT) else _HEADER
        if frame.header_length != wanted:
            self._say("NETRX-DRV-03", f"a net header of {frame.header_length} bytes, not of {wanted}")
            return
        flags, gso, hdr_len, gso_size, start, offset, buffers = struct.unpack_from("<BBHHHHH", frame.header)
        transmit = frame.direction == TO_DEVICE
        if transmit:
            if buffers:
                self._say("NETTX-DRV-02", f"num_buffers is {buffers}")
        else:
            self._buffers(buffers)
        if gso & ~GSO_ECN == 0:
            self._length(transmit)
        if not flags and not gso:
            return
        self._flags(transmit, flags, gso)
        if flags & NEEDS_CSUM and not flags & RSC_INFO and start + offset + 2 > frame.length:
            row = "NETTX-DRV-07" if transmit else "NETRX-DEV-12"
            self._say(row, f"csum_start {start} and csum_offset {offset} in {frame.length} bytes")
        if gso:
            self._gso(transmit, flags, gso, gso_size)
            if flags & NEEDS_CSUM and hdr_len < start:
                row = "NETTX-DRV-09" if transmit else "NETRX-DEV-15"
                self._say(row, f"hdr_len {hdr_len} ends before the transport header at {start}")

    def _buffers(self, buffers: int) -> None:
        frame = self._frame
        if buffers != frame.buffers:
            self._say("NETRX-DEV-05", f"num_buffers is {buffers} for a frame in {frame.buffers} buffers")
        if frame.buffers > 1 and not self.scene.has(f.NET_F_MRG_RXBUF):
            self._say("NETRX-DEV-06", f"a frame in {frame.buffers} buffers without MRG_RXBUF")

    def _length(self, transmit: bool) -> None:
        """A frame that is not to be cut: no longer than mtu, its Ethernet header and tags."""
        config, frame = self.scene.config, self._frame
        if config is None or not self.scene.has(f.NET_F_MTU):
            return
        at = 12
        while frame.data[at : at + 2] in _TAGS and at < 20:
            at += 4
        if frame.length > (most := config.mtu + at + 2):
            row = "NETC-DRV-11" if transmit else "NETC-DEV-03"
            self._say(row, f"a frame of {frame.length} bytes where mtu allows {most}")

    def _flags(self, transmit: bool, flags: int, gso: int) -> None:
        has = self.scene.has
        tunnel = gso & GSO_TUNNEL
        if transmit:
            if flags and not has(f.NET_F_CSUM):
                self._say("NETTX-DRV-03", f"flags {flags:#x} without CSUM")
            if flags & (DATA_VALID | RSC_INFO):
                self._say("NETTX-DRV-10", f"flags {flags:#x} in a transmitted frame")
            if tunnel:
                self._say("NETTX-DRV-11", f"gso_type {gso:#x} without HOST_UDP_TUNNEL_GSO")
            return
        if flags & RSC_INFO and not has(RSC_EXT):
            self._say("NETRX-DEV-14", f"flags {flags:#x} without RSC_EXT")
        if not has(f.NET_F_GUEST_CSUM):
            if flags:
                self._say("NETRX-DEV-09", f"flags {flags:#x} without GUEST_CSUM")
            if flags & NEEDS_CSUM:
                self._say("NETRX-DEV-12", "NEEDS_CSUM without GUEST_CSUM")
            if flags & DATA_VALID:
                self._say("NETRX-DEV-16", "DATA_VALID without GUEST_CSUM")
        elif flags & DATA_VALID and tunnel:
            self._say("NETRX-DEV-16", "DATA_VALID in a tunnel")
        if tunnel:
            self._say("NETRX-DEV-17", f"gso_type {gso:#x} without GUEST_UDP_TUNNEL_GSO")

    def _gso(self, transmit: bool, flags: int, gso: int, size: int) -> None:
        has, way = self.scene.has, 0 if transmit else 1
        kind = gso & ~GSO_ECN & ~GSO_TUNNEL
        if kind and not any(map(has, _GSO.get(kind, ((), ()))[way])):
            row = "NETRX-DEV-10"
            if transmit:
                some = any(has(bit) for groups in _GSO.values() for bit in groups[0])
                row = "NETTX-DRV-04" if some else "NETTX-DRV-05"
            self._say(row, f"gso_type {kind} without the feature for it")
        if gso & GSO_ECN and not has(f.NET_F_HOST_ECN if transmit else f.NET_F_GUEST_ECN):
            self._say("NETTX-DRV-06" if transmit else "NETRX-DEV-11", "gso_type with ECN without the feature")
        if kind and (not flags & NEEDS_CSUM or not size):
            words = "no gso_size" if flags & NEEDS_CSUM else "no NEEDS_CSUM"
            self._say("NETTX-DRV-08" if transmit else "NETRX-DEV-13", f"gso_type {kind} with {words}")

    def _say(self, row: str, words: str) -> None:
        self.say(row, self._frame.queue, self._frame.head, words)


class Spread(Check):
    """A received frame in several buffers: all but the last one full, all shown together.

    A frame is logged before its buffers are used: it waits until they are.
    """

    rows = ("NETRX-DEV-07", "NETRX-DEV-08")
    kinds = frozenset({Kind.FLUSH, Kind.QUEUE_RESET, Kind.STATUS})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._shows = 0
        #: by queue and position: length, room, and the how-manieth flush showed it
        self._used: OrderedDict[tuple[int, int], tuple[int, int, int]] = OrderedDict()
        self._waiting: deque[Logged] = deque(maxlen=_WAITING)

    def told(self, event: Event) -> None:
        if event.kind == Kind.FLUSH:
            self._shows += 1
        elif event.kind == Kind.QUEUE_RESET or not event.new:  # positions begin anew
            self._used.clear()
            self._waiting.clear()

    def used(self, use: Use) -> None:
        if use.ring.shape.role != Role.RECEIVE or len(use.buffers) != 1:
            return
        buffer = use.buffers[0]
        self._used[use.ring.index, buffer.position] = use.length, buffer.writable, self._shows
        if len(self._used) > _KEPT:
            self._used.popitem(last=False)

    def framed(self, frame: Logged) -> None:
        if frame.direction == TO_DEVICE or frame.buffers < 2:
            return
        self._waiting.append(frame)
        for each in list(self._waiting):
            if self._whole(each):
                self._waiting.remove(each)

    def _whole(self, frame: Logged) -> bool:
        """Judges a frame; False where its buffers are not all used yet, as far as the journal was read."""
        parts = [self._used.get((frame.queue, frame.position + i)) for i in range(frame.buffers)]
        known = [part for part in parts if part]
        if len(known) < len(parts):
            return False
        for i, (length, room, _) in enumerate(known[:-1]):
            if length < room:
                words = f"buffer {i + 1} of {len(known)} has {length} of {room} bytes filled"
                self.say("NETRX-DEV-07", frame.queue, frame.head, words)
                break
        if len({shown for _, _, shown in known}) > 1:
            words = f"the {len(known)} buffers of a frame are shown one after another"
            self.say("NETRX-DEV-08", frame.queue, frame.head, words)
        return True


CHECKS = (Config, Buffers, Headers, Spread)
