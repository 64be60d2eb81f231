"""Make the `mix`, the lifelike traffic that is shipped: `python -m capture.craft FILE`.

Deterministic to the byte: one seed, fixed times, every address and number given, nothing asked of the
machine. Addresses are those reserved for documentation. The frames are as an offloading driver and its
device would exchange them: super-frames carry their segmentation request in a net header, kept as
`vnet=HEX` in the comment of the packet.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from capture.dissection.worker import load
from capture.frame import TO_DEVICE, TO_DRIVER, records
from capture.pcapng import Interface, Writer
from capture.play import MIX, PlayFrame
from capture.staging import (
    BROADCAST,
    DRIVER,
    MS,
    PEER,
    ROUTER,
    SERVER,
    Connection,
    Script,
    Station,
    arp,
    ether,
    ip4,
    ip6,
)

load()  # before any of scapy's layers

from scapy.layers.dhcp import BOOTP, DHCP  # noqa: E402
from scapy.layers.dns import DNS, DNSQR, DNSRR, dns_compress  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment  # noqa: E402
from scapy.layers.inet6 import (  # noqa: E402
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.layers.ntp import NTPHeader  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Packet, Raw  # noqa: E402

START = 1_767_225_600_000_000_000  #: 2026-01-01T00:00:00Z


def dhcp(script: Script) -> None:
    """An address is asked for and given."""
    steps = (("discover", DRIVER), ("offer", ROUTER), ("request", DRIVER), ("ack", ROUTER))
    for kind, sender in steps:
        own = sender is DRIVER
        below = Ether(src=sender.mac, dst=BROADCAST if own else DRIVER.mac)
        below /= IP(src="0.0.0.0" if own else ROUTER.ip4, dst="255.255.255.255" if own else DRIVER.ip4, id=0)
        below /= UDP(sport=68 if own else 67, dport=67 if own else 68)
        boot = BOOTP(
            op=1 if own else 2,
            xid=0x5254BEEF,
            chaddr=bytes.fromhex(DRIVER.mac.replace(":", "")),
            yiaddr="0.0.0.0" if own else DRIVER.ip4,
        )
        options: list[object] = [("message-type", kind)]
        if own:
            options += [("hostname", b"vm.example.net"), ("param_req_list", [1, 3, 6, 15, 26])]
        else:
            options += [("server_id", ROUTER.ip4), ("lease_time", 3600), ("subnet_mask", "255.255.255.0")]
            options += [("router", ROUTER.ip4), ("name_server", ROUTER.ip4)]
        script.send(below / boot / DHCP(options=[*options, "end"]))
        script.wait(4000, 9000)


def neighbours(script: Script) -> None:
    """ARP and IPv6 neighbour discovery, both ways."""
    mine, router = DRIVER, ROUTER
    script.send(Ether(src=mine.mac, dst=BROADCAST) / arp(1, mine, mine, unknown=True))
    for other in (router, SERVER, PEER):
        script.wait(900)
        script.send(Ether(src=mine.mac, dst=BROADCAST) / arp(1, mine, other, unknown=True))
        script.wait(200)
        script.send(ether(other, mine) / arp(2, other, mine))
    script.wait(5000)
    solicit = Ether(src=mine.mac, dst="33:33:00:00:00:02") / IPv6(
        src="fe80::5054:ff:fe00:10", dst="ff02::2", hlim=255
    )
    script.send(solicit / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=mine.mac))
    script.wait(700)
    advert = Ether(src=router.mac, dst="33:33:00:00:00:01") / IPv6(
        src="fe80::5054:ff:fe00:1", dst="ff02::1", hlim=255
    )
    prefix = ICMPv6NDOptPrefixInfo(
        prefix="2001:db8::", prefixlen=64, validlifetime=86400, preferredlifetime=14400
    )
    script.send(advert / ICMPv6ND_RA(routerlifetime=1800) / prefix / ICMPv6NDOptSrcLLAddr(lladdr=router.mac))
    for one, other in ((mine, router), (router, mine), (mine, SERVER)):
        script.wait(1500)
        tail = other.ip6.split(":")[-1].rjust(4, "0")
        group = f"ff02::1:ff00:{int(tail, 16):x}"
        ask = Ether(src=one.mac, dst=f"33:33:ff:00:{tail[:2]}:{tail[2:]}") / IPv6(
            src=one.ip6, dst=group, hlim=255
        )
        script.send(ask / ICMPv6ND_NS(tgt=other.ip6) / ICMPv6NDOptSrcLLAddr(lladdr=one.mac))
        script.wait(250)
        answer = ether(other, one) / IPv6(src=other.ip6, dst=one.ip6, hlim=255)
        script.send(answer / ICMPv6ND_NA(tgt=other.ip6, R=0, S=1) / ICMPv6NDOptDstLLAddr(lladdr=other.mac))


def lookup(script: Script, name: str, kind: str = "A", alias: str = "", found: Sequence[str] = ()) -> None:
    """A DNS query and its answer, names compressed."""
    ident, port = script.dice.getrandbits(16), script.dice.randint(32768, 60999)
    question = DNSQR(qname=name, qtype=kind)
    script.send(ip4(DRIVER, ROUTER) / UDP(sport=port, dport=53) / DNS(id=ident, rd=1, qd=[question]))
    script.wait(700, 9000)
    answers = [DNSRR(rrname=name, type="CNAME", ttl=300, rdata=alias)] if alias else []
    answers += [DNSRR(rrname=alias or name, type=kind, ttl=60, rdata=address) for address in found]
    reply = DNS(id=ident, qr=1, rd=1, ra=1, rcode=0 if answers else 3, qd=[question], an=answers)
    script.send(ip4(ROUTER, DRIVER) / UDP(sport=53, dport=port) / dns_compress(reply))


def web(script: Script, port: int = 49152) -> None:
    """A whole HTTP exchange over one TCP connection."""
    connection = Connection(script, port, SERVER, 80)
    connection.open()
    ask = (
        b"GET /vring.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: example/1.0\r\nAccept: */*\r\n\r\n"
    )
    connection.say(TO_DEVICE, ask)
    line = b"<p>A descriptor is available, then in use, then used, then free again.</p>\n"
    body = b"<!doctype html>\n<title>Vrings</title>\n" + line * 500
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    script.wait(4000)
    connection.say(TO_DRIVER, head + body, gap_us=5000)
    connection.close()


def hello(script: Script, name: bytes) -> bytes:
    """A TLS 1.3 Client Hello with a server name."""

    def extension(code: int, body: bytes) -> bytes:
        return struct.pack("!HH", code, len(body)) + body

    server = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    share = struct.pack("!HHH", 36, 29, 32) + script.noise(32)
    extensions = (
        extension(0, server) + extension(10, b"\0\x02\0\x1d") + extension(13, b"\0\x04\x04\x03\x08\x04")
    )
    extensions += (
        extension(16, b"\0\x0c\x02h2\x08http/1.1") + extension(43, b"\x02\x03\x04") + extension(51, share)
    )
    body = b"\x03\x03" + script.noise(32) + b"\x20" + script.noise(32) + b"\0\x04\x13\x01\x13\x02\x01\0"
    return handshake(1, body + struct.pack("!H", len(extensions)) + extensions)


def handshake(kind: int, body: bytes) -> bytes:
    return b"\x16\x03\x01" + struct.pack("!HB", len(body) + 4, kind) + len(body).to_bytes(3) + body


def secret(script: Script, size: int) -> bytes:
    return b"\x17\x03\x03" + struct.pack("!H", size) + script.noise(size)


def tls(script: Script) -> None:
    """A TLS handshake and what follows, over IPv6."""
    connection = Connection(script, 49160, SERVER, 443, six=True)
    connection.open()
    connection.say(TO_DEVICE, hello(script, b"secure.example.com"))
    extensions = b"\0\x2b\0\x02\x03\x04" + b"\0\x33\0\x24\0\x1d\0\x20" + script.noise(32)
    answer = b"\x03\x03" + script.noise(32) + b"\x20" + script.noise(32) + b"\x13\x01\0"
    answer += struct.pack("!H", len(extensions)) + extensions
    rest = b"\x14\x03\x03\0\x01\x01" + secret(script, 2400)
    connection.say(TO_DRIVER, handshake(2, answer) + rest, mss=1428)
    connection.say(TO_DEVICE, b"\x14\x03\x03\0\x01\x01" + secret(script, 74))
    for size in (310, 5200, 420, 9100, 190, 2200):
        script.wait(9000, 70000)
        way = TO_DEVICE if size < 500 else TO_DRIVER
        connection.say(way, secret(script, size), mss=1428, gap_us=3000)
    connection.close()


def ping(script: Script, count: int, six: bool = False, size: int = 56) -> None:
    for number in range(1, count + 1):
        body = bytes(at % 256 for at in range(size))
        if six:
            script.send(ip6(DRIVER, ROUTER) / ICMPv6EchoRequest(id=0x1AF4, seq=number, data=body))
            script.wait(210, 600)
            script.send(ip6(ROUTER, DRIVER) / ICMPv6EchoReply(id=0x1AF4, seq=number, data=body))
        else:
            script.send(ip4(DRIVER, ROUTER) / ICMP(id=0x1AF4, seq=number) / Raw(body))
            script.wait(210, 600)
            script.send(ip4(ROUTER, DRIVER) / ICMP(type=0, id=0x1AF4, seq=number) / Raw(body))
        script.wait(110_000, 150_000)


def clock(script: Script) -> None:
    """An NTP exchange."""
    for source, target, mode, stratum in ((DRIVER, ROUTER, 3, 0), (ROUTER, DRIVER, 4, 2)):
        now = 3_976_214_400 + script.now / 1e9  # seconds since 1900
        ntp = NTPHeader(mode=mode, stratum=stratum, id=ROUTER.ip4, ref=now, orig=now, recv=now, sent=now)
        script.send(ip4(source, target) / UDP(sport=123, dport=123) / ntp)
        script.wait(900)


def call(script: Script, milliseconds: int) -> None:
    """A voice call: a packet each way every 20 ms."""
    base = script.now
    for number in range(milliseconds // 20):
        for source, target in ((DRIVER, PEER), (PEER, DRIVER)):
            script.now = base + number * 20 * MS + script.dice.randint(0, 4000) * 1000
            media = struct.pack("!BBHII", 0x80, 0, number, number * 160, 0x52540000) + script.noise(160)
            script.send(ip4(source, target) / UDP(sport=16384, dport=16384) / Raw(media))
    script.now = base + milliseconds * MS


def tagged(script: Script) -> None:
    """VLAN and QinQ."""
    for number in range(1, 9):
        tags = (
            Dot1Q(vlan=10, prio=number % 4) if number % 2 else Dot1AD(vlan=100) / Dot1Q(vlan=20, type=0x800)
        )
        for source, target in ((DRIVER, PEER), (PEER, DRIVER)):
            body = IP(src=source.ip4, dst=target.ip4, id=0, flags="DF")
            kind = 8 if source is DRIVER else 0
            echo = ICMP(type=kind, id=10, seq=number) / Raw(bytes(48))
            script.send(ether(source, target) / tags / body / echo)
            script.wait(300, 900)
        script.wait(12_000, 30_000)


def overlay(script: Script) -> None:
    """Frames inside VXLAN."""
    inside = (
        Station("52:54:00:0a:00:01", "10.0.0.1", "2001:db8:a::1"),
        Station("52:54:00:0a:00:02", "10.0.0.2", "2001:db8:a::2"),
    )
    for number in range(1, 8):
        for way, (source, target) in enumerate(((DRIVER, PEER), (PEER, DRIVER))):
            one, other = inside[way], inside[1 - way]
            if number == 1:
                inner = ether(one, other) / arp(way + 1, one, other, unknown=not way)
            else:
                inner = (
                    ip4(one, other) / UDP(sport=5000 + way, dport=5001 - way) / Raw(script.noise(90 * number))
                )
            outer = ip4(source, target) / UDP(sport=50_000 + number, dport=4789, chksum=0)
            script.send(outer / VXLAN(flags="Instance", vni=42) / inner)
            script.wait(300, 800)
        script.wait(9000, 25_000)


def pieces(script: Script) -> None:
    """IPv4 and IPv6 fragments."""
    for number, (source, target) in enumerate(((DRIVER, PEER), (PEER, DRIVER)), start=1):
        datagram = (
            ip4(source, target, ident=0x4000 + number) / UDP(sport=7000, dport=7000) / Raw(script.noise(4000))
        )
        for part in fragment(datagram, 1480):
            script.send(part)
            script.wait(25)
        script.wait(50_000)
        whole = bytes(
            IPv6(src=source.ip6, dst=target.ip6) / UDP(sport=7006, dport=7006) / Raw(script.noise(3000))
        )[40:]
        for at in range(0, len(whole), 1448):
            more = int(at + 1448 < len(whole))
            head = IPv6ExtHdrFragment(nh=17, offset=at // 8, m=more, id=0x52540000 + number)
            script.send(ip6(source, target) / head / Raw(whole[at : at + 1448]))
            script.wait(25)
        script.wait(40_000)


def jumbo(script: Script) -> None:
    """Frames of up to 9000 bytes, which need several mergeable buffers."""
    for size in (4000, 6000, 8000, 8958):
        for source, target in ((DRIVER, PEER), (PEER, DRIVER)):
            script.send(ip4(source, target) / UDP(sport=9000, dport=9000) / Raw(script.noise(size)))
            script.wait(500)
        script.wait(60_000)


def broken(script: Script, which: int) -> None:
    """Something malformed, each time in another way."""
    good = ip4(PEER, DRIVER) / UDP(sport=53, dport=40_000)
    loop = bytes.fromhex("52548180000100000000 0000 c00c 0001 0001".replace(" ", ""))
    made: list[Callable[[], Packet]] = [
        lambda: good / Raw(loop),
        lambda: (
            ether(PEER, DRIVER)
            / IP(src=PEER.ip4, dst=DRIVER.ip4, ihl=3, id=0, proto=17)
            / Raw(script.noise(40))
        ),
        lambda: ip4(PEER, DRIVER) / UDP(sport=4000, dport=4000, len=400) / Raw(script.noise(30)),
        lambda: (
            ip4(PEER, DRIVER)
            / TCP(sport=80, dport=50_000, seq=1, ack=1, flags="A", dataofs=15)
            / Raw(b"short")
        ),
        lambda: Ether(src=PEER.mac, dst=DRIVER.mac, type=0x0806) / Raw(bytes.fromhex("00010800ff040001")),
    ]
    script.send(made[which % len(made)]())


def mix() -> list[PlayFrame]:
    """All of it, in time order: about fifteen seconds with bursts and lulls."""
    script = Script()
    at = _moments(script)
    at(0, dhcp)
    at(120, neighbours)
    at(260, lambda s: lookup(s, "www.example.com", "A", "web.example.net", [SERVER.ip4]))
    at(270, lambda s: lookup(s, "www.example.com", "AAAA", "web.example.net", [SERVER.ip6]))
    at(310, web)
    at(600, lambda s: ping(s, 12))
    at(1400, clock)
    at(2300, lambda s: lookup(s, "secure.example.com", "AAAA", "", [SERVER.ip6]))
    at(2320, tls)
    at(2900, lambda s: ping(s, 10, six=True))
    at(3300, lambda s: broken(s, 0))
    at(3700, lambda s: web(s, 49153))
    at(4200, tagged)
    at(5000, lambda s: call(s, 4200))
    at(5400, overlay)
    at(6100, lambda s: broken(s, 1))
    at(6600, lambda s: bulk(s, TO_DRIVER, six=False))
    at(7400, lambda s: broken(s, 2))
    at(7700, lambda s: bulk(s, TO_DEVICE, six=True))
    at(8800, pieces)
    at(9700, jumbo)
    at(10_500, lambda s: broken(s, 3))
    at(10_700, lambda s: lookup(s, "nowhere.example.org"))
    at(11_000, web_again)
    at(11_600, lambda s: ping(s, 8, size=1400))
    at(12_200, lambda s: broken(s, 4))
    at(12_600, lambda s: bulk(s, TO_DEVICE, six=False))
    at(13_500, neighbours)
    at(14_200, clock)
    return sorted(script.frames, key=lambda frame: frame.offset_ns)


def _moments(script: Script) -> Callable[[int, Callable[[Script], None]], None]:
    def at(milliseconds: int, scene: Callable[[Script], None]) -> None:
        script.now = milliseconds * MS
        scene(script)

    return at


def bulk(script: Script, way: int, six: bool) -> None:
    """A transfer in super-frames."""
    connection = Connection(script, 49170 + 2 * way + six, SERVER, 5201, six)
    connection.open()
    connection.pour(way, 6, 14_480 if way == TO_DRIVER else 11_424)
    connection.close()


def web_again(script: Script) -> None:
    """A second request, answered in jumbo segments."""
    connection = Connection(script, 49180, SERVER, 80)
    connection.open()
    connection.say(TO_DEVICE, b"HEAD / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    connection.say(TO_DRIVER, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    connection.say(TO_DRIVER, script.noise(26_000), mss=8948, gap_us=20_000)
    connection.close()


def write(path: Path, frames: Sequence[PlayFrame]) -> None:
    """Save frames as a capture that `read_play` gives back."""
    rows = records(len(frames))
    rows["number"] = np.arange(1, len(frames) + 1)
    rows["time"] = [START + frame.offset_ns for frame in frames]
    rows["captured"] = rows["length"] = [len(frame.data) for frame in frames]
    rows["interface"] = rows["direction"] = [frame.direction for frame in frames]
    rows["net_header_length"] = [len(frame.net_header) for frame in frames]
    rows["net_header"] = [frame.net_header.ljust(20, b"\0") for frame in frames]
    sizes = rows["captured"].astype(np.int64)
    interfaces = [
        Interface("to-device", "sent by the driver"),
        Interface("to-driver", "received by the driver"),
    ]
    with Writer.create(path, interfaces, comment="traffic for a virtio-net pair") as writer:
        writer.write(rows, b"".join(frame.data for frame in frames), np.cumsum(sizes) - sizes)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(f"usage: python -m capture.craft FILE    (the shipped one is capture/{MIX})", file=sys.stderr)
        return 2
    try:
        write(Path(arguments[0]), mix())
    except OSError as why:
        print(f"capture.craft: {arguments[0]}: {why.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
