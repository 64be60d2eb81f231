"""What the scenes of `capture.craft` are played with: stations, a clock, and TCP connections.

Importing it loads scapy, without scapy's look at the machine's routes and interfaces.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from capture.dissection.worker import load
from capture.frame import TO_DEVICE, TO_DRIVER
from capture.play import PlayFrame

load()

from scapy.layers.inet import IP, TCP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402
from scapy.packet import Packet, Raw  # noqa: E402

MS = 1_000_000
_NEEDS_CSUM, _DATA_VALID = 1, 2
_GSO_TCPV4, _GSO_TCPV6 = 1, 4


@dataclass(frozen=True, slots=True)
class Station:
    """One end of the traffic."""

    mac: str
    ip4: str
    ip6: str


DRIVER = Station("52:54:00:00:00:10", "192.0.2.10", "2001:db8::10")
ROUTER = Station("52:54:00:00:00:01", "192.0.2.1", "2001:db8::1")
SERVER = Station("52:54:00:00:00:80", "192.0.2.80", "2001:db8::80")
PEER = Station("52:54:00:00:00:20", "192.0.2.20", "2001:db8::20")
BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(slots=True)
class Script:
    """The frames so far; `now` is the time in nanoseconds from the start."""

    frames: list[PlayFrame] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0x1AF4))
    now: int = 0

    def wait(self, least_us: int, most_us: int | None = None) -> None:
        self.now += self.dice.randint(least_us, most_us or least_us + least_us // 4) * 1000

    def send(self, packet: Packet, net_header: bytes = b"") -> None:
        """One frame at `now`; its source address tells the direction. Those from a wire are padded to 60."""
        direction = TO_DEVICE if packet.src == DRIVER.mac else TO_DRIVER
        data = bytes(packet).ljust(60 if direction == TO_DRIVER else 0, b"\0")
        self.frames.append(PlayFrame(self.now, direction, data, net_header))

    def noise(self, size: int) -> bytes:
        return self.dice.randbytes(size)


def ether(source: Station, target: Station) -> Packet:
    return Ether(src=source.mac, dst=target.mac)


def ip4(source: Station, target: Station, ident: int = 0) -> Packet:
    return ether(source, target) / IP(
        src=source.ip4, dst=target.ip4, id=ident, flags="DF" if not ident else 0
    )


def ip6(source: Station, target: Station) -> Packet:
    return ether(source, target) / IPv6(src=source.ip6, dst=target.ip6, fl=0x1A2B3)


def net_header(
    flags: int, gso: int = 0, hdr: int = 0, size: int = 0, start: int = 0, offset: int = 0
) -> bytes:
    """The 12 bytes of a virtio-net header; num_buffers is for the device to write."""
    return struct.pack("<BBHHHHH", flags, gso, hdr, size, start, offset, 0)


class Connection:
    """A TCP connection between the driver's side and a server, as Linux would speak it."""

    def __init__(self, script: Script, port: int, server: Station, service: int, six: bool = False) -> None:
        self.script = script
        self.ports = {TO_DEVICE: (port, service), TO_DRIVER: (service, port)}
        self.sequence = {TO_DEVICE: script.dice.getrandbits(31), TO_DRIVER: script.dice.getrandbits(31)}
        self.ends = {TO_DEVICE: (DRIVER, server), TO_DRIVER: (server, DRIVER)}
        self.six = six

    def segment(self, way: int, flags: str, payload: bytes = b"", gso: int = 0) -> None:
        """One segment; with `gso` a super-frame that asks to be cut into segments of that size."""
        source, target = self.ends[way]
        stamp = 100_000 + self.script.now // MS
        times: list[tuple[str, object]] = [("NOP", None), ("NOP", None), ("Timestamp", (stamp, stamp - 1))]
        if "S" in flags:
            times = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (stamp, 0)), ("NOP", None), ("WScale", 7)]
        sport, dport = self.ports[way]
        below = (ip6 if self.six else ip4)(source, target)
        tcp = TCP(
            sport=sport,
            dport=dport,
            seq=self.sequence[way],
            ack=self.sequence[1 - way] if "A" in flags else 0,
            flags=flags,
            window=64240 if "S" in flags else 502,
            options=times,
        )
        packet = below / tcp / Raw(payload) if payload else below / tcp
        header = b""
        if gso:
            start = 54 if self.six else 34
            size = 20 + 12
            kind = _GSO_TCPV6 if self.six else _GSO_TCPV4
            header = net_header(_NEEDS_CSUM, kind, start + size, gso, start, 16)
            packet[TCP].chksum = partial_checksum(packet, size + len(payload))
        elif way == TO_DRIVER:
            header = net_header(_DATA_VALID)
        self.script.send(packet, header)
        self.sequence[way] += len(payload) + ("S" in flags) + ("F" in flags)

    def open(self) -> None:
        self.segment(TO_DEVICE, "S")
        self.script.wait(180)
        self.segment(TO_DRIVER, "SA")
        self.script.wait(40)
        self.segment(TO_DEVICE, "A")

    def say(self, way: int, payload: bytes, mss: int = 1448, gap_us: int = 90) -> None:
        """Bytes in segments of `mss`, every second one acknowledged."""
        parts = [payload[at : at + mss] for at in range(0, len(payload), mss)]
        for number, part in enumerate(parts):
            self.script.wait(gap_us)
            self.segment(way, "PA" if number == len(parts) - 1 else "A", part)
            if number % 2 or number == len(parts) - 1:
                self.script.wait(30)
                self.segment(1 - way, "A")

    def pour(self, way: int, count: int, size: int) -> None:
        """Super-frames of about `size` bytes, each acknowledged."""
        for _ in range(count):
            length = size - self.script.dice.randrange(4) * 1448
            self.segment(way, "PA", self.script.noise(length), gso=1428 if self.six else 1448)
            self.script.wait(260)
            self.segment(1 - way, "A")
            self.script.wait(40_000)

    def close(self) -> None:
        self.script.wait(300)
        self.segment(TO_DEVICE, "FA")
        self.script.wait(150)
        self.segment(TO_DRIVER, "FA")
        self.script.wait(40)
        self.segment(TO_DEVICE, "A")


def partial_checksum(packet: Packet, length: int) -> int:
    """The sum over the pseudo header, which a checksum to be completed starts from (5.1.6.2)."""
    raw = bytes(packet[IPv6] if IPv6 in packet else packet[IP])
    addresses = raw[8:40] if IPv6 in packet else raw[12:20]
    total: int = 6 + length + sum(struct.unpack(f"!{len(addresses) // 2}H", addresses))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def arp(operation: int, source: Station, target: Station, unknown: bool = False) -> Packet:
    there = "00:00:00:00:00:00" if unknown else target.mac
    return ARP(op=operation, hwsrc=source.mac, psrc=source.ip4, hwdst=there, pdst=target.ip4)
