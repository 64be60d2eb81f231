"""Frames with all that a header walk may meet: tag stacks, tunnels, fragments, extensions, options, names."""

from __future__ import annotations

import struct
from typing import Any

from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

_OUTER = {"dst": "52:54:00:00:00:02", "src": "52:54:00:00:00:01"}
_INNER = {"dst": "00:bb:00:bb:00:bb", "src": "00:aa:00:aa:00:aa"}


def _eth(**other: Any) -> Any:
    return Ether(**_OUTER, **other)


def _v4(**other: Any) -> Any:
    return IP(**({"src": "10.1.0.1", "dst": "10.1.0.2"} | other))


def _v6(**other: Any) -> Any:
    return IPv6(**({"src": "2001:db8::1", "dst": "2001:db8::2"} | other))


def _quoted(payload: Any) -> Any:
    return IP(src="10.9.9.9", dst="10.8.8.8") / payload


def _quoted6(payload: Any) -> Any:
    return IPv6(src="fe80::9", dst="fe80::8") / payload


def _stream(message: Any) -> Any:
    raw = message.build()
    return Raw(struct.pack("!H", len(raw)) + raw)


_AH = bytes.fromhex("06 04 0000 00000001 00000002") + bytes(12)
_WWW = DNSQR(qname="www.example.com")


def frames() -> list[bytes]:
    """About ninety frames, and for every fourth of them one that is cut inside its headers."""
    made = [packet.build() for packet in _packets()]
    return made + [raw[: 14 + 7 * (at % 9)] for at, raw in enumerate(made) if at % 4 == 0]


def _packets() -> list[Any]:
    syn = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (123, 0)), ("NOP", None), ("WScale", 7)]
    answers = [
        DNSRR(rrname="www.example.com", type="CNAME", rdata="a.example.net"),
        DNSRR(rrname="a.example.net", rdata="192.0.2.7", ttl=60),
    ]
    eth, v4, v6 = _eth, _v4, _v6
    nop = [IPOption_NOP() for _ in range(4)]
    missing, printer = DNSQR(qname="nx.test", qtype=28), DNSQR(qname="_ipp._tcp.local", qtype="PTR")
    discover = DHCP(options=[("message-type", "discover"), "end"])
    keyed = GRE(key_present=1, key=5, chksum_present=1)
    web, far = {"sport": 443, "dport": 40000}, {"sport": 9, "dport": 10}
    return [
        eth() / Dot1Q(vlan=5, prio=3) / v4() / UDP(sport=1001, dport=1002) / b"abc",
        eth() / Dot1AD(vlan=100) / Dot1Q(vlan=20) / v4() / TCP(flags="S"),
        eth() / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / v4() / ICMP(),
        eth(type=0x9100) / Dot1Q(vlan=9) / v4() / ICMP(),
        eth() / v4(flags="MF", id=5) / UDP(sport=7000, dport=7001, len=100) / (b"x" * 16),
        eth() / v4(frag=3, id=5, proto=17) / Raw(b"y" * 20),
        eth() / v4(options=nop) / TCP(sport=1234, dport=80, flags="PA") / b"GET /",
        eth() / v6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=1, dport=2, flags="SA"),
        eth() / v6() / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / UDP(sport=5000, dport=6000) / b"q",
        eth() / v6() / IPv6ExtHdrFragment(m=1, id=77) / UDP(sport=5000, dport=6000, len=50) / b"q",
        eth() / v6() / IPv6ExtHdrFragment(offset=3, id=77, nh=17) / Raw(b"q" * 30),
        eth() / v6(nh=59),
        eth() / v4() / TCP(sport=40000, dport=443, flags="S", options=syn),
        eth() / v4() / TCP(**web, flags="SA", options=[("MSS", 1400), ("NOP", None), ("WScale", 9)]),
        eth() / v4() / TCP(**web, flags="FA"),
        eth() / v4() / TCP(**web, flags="R"),
        eth() / v4() / TCP(**web, flags="AUPEC") / b"z",
        eth() / v4() / TCP(**web, flags=0) / b"pay\x00load",
        eth() / v4() / UDP(sport=4444, dport=53) / DNS(id=7, qd=_WWW),
        eth() / v4() / UDP(sport=53, dport=4444) / DNS(id=7, qr=1, qd=_WWW, an=answers),
        eth() / v4() / UDP(sport=53, dport=4444) / DNS(id=8, qr=1, rcode=3, qd=missing),
        eth() / v4() / UDP(sport=5353, dport=5353) / DNS(id=0, qd=printer),
        eth() / v6() / UDP(sport=5355, dport=5355) / DNS(id=0, qd=DNSQR(qname="wpad")),
        eth() / v4() / TCP(sport=4444, dport=53, flags="PA") / _stream(DNS(id=9, qd=DNSQR(qname="tcp.test"))),
        eth() / v4() / IP(src="172.16.0.1", dst="172.16.0.2") / TCP(**far),
        eth() / v4() / IPv6(src="fe80::1", dst="fe80::2") / UDP(**far) / b"in",
        eth() / v6() / IP(src="172.16.0.1", dst="172.16.0.2") / ICMP(),
        eth() / v6() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(id=3, seq=4),
        eth() / v4() / GRE() / IP(src="172.16.0.3", dst="172.16.0.4") / UDP(sport=11, dport=12),
        eth() / v4() / keyed / IPv6(src="fe80::3", dst="fe80::4") / TCP(**far),
        eth() / v4() / GRE(proto=0x6558) / Ether(**_INNER) / ARP(psrc="10.0.0.1", hwsrc="52:54:00:00:00:01"),
        eth() / v4() / UDP(sport=999, dport=4789) / VXLAN(vni=42, flags=8) / Ether(**_INNER) / Dot1Q(vlan=7)
        / IP(src="172.16.0.5", dst="172.16.0.6") / TCP(dport=22),
        eth() / v4() / UDP(sport=4789, dport=999) / VXLAN(vni=43, flags=8) / Ether(**_INNER) / _v4() / TCP(),
        eth() / v4() / UDP(sport=999, dport=6081) / GENEVE(vni=44) / Ether(**_INNER)
        / IP(src="172.16.0.7", dst="172.16.0.8") / ICMP(),
        eth() / MPLS(label=16, s=0, ttl=9) / MPLS(label=17, s=1, ttl=8) / v4() / UDP(sport=3000, dport=4000),
        eth() / v4() / ICMP(type=3, code=1) / _quoted(UDP(sport=7700, dport=8800)),
        eth() / v4() / ICMP(type=11) / Raw(_quoted(TCP(sport=77, dport=88)).build()[:28]),
        eth() / v4() / ICMP(type=5, code=1, gw="1.2.3.4") / _quoted(ICMP()),
        eth() / v4() / ICMP(type=12) / _quoted(ICMP()),
        eth() / v4() / ICMP(type=4) / _quoted(UDP(sport=7700, dport=8800)),
        eth() / v4() / ICMP(type=8, id=3, seq=4) / b"ping",
        eth() / v4() / ICMP(type=13),
        eth() / v6() / ICMPv6DestUnreach() / _quoted6(UDP(sport=7000, dport=8000)),
        eth() / v6() / ICMPv6PacketTooBig() / _quoted6(TCP(sport=70, dport=80)),
        eth() / v6() / ICMPv6TimeExceeded() / _quoted6(TCP(sport=70, dport=80)),
        eth() / v6() / ICMPv6ParamProblem() / _quoted6(TCP(sport=70, dport=80)),
        eth() / v6() / ICMPv6ND_NS(tgt="fe80::77"),
        eth() / v6() / ICMPv6ND_NA(tgt="fe80::78"),
        eth() / v6() / ICMPv6EchoReply(id=1, seq=2),
        eth() / ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2", hwsrc="52:54:00:00:00:01"),
        eth() / ARP(op=2, psrc="10.0.0.2", pdst="10.0.0.1", hwsrc="52:54:00:00:00:03"),
        eth(type=0x8035) / ARP(op=3, psrc="10.0.0.2", hwsrc="52:54:00:00:00:03"),
        Dot3(**_OUTER) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / b"stp",
        Dot3(**_OUTER) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x800) / v4()
        / UDP(sport=2100, dport=2200) / b"snap",
        eth(type=0x88B5) / b"experiment",
        eth(type=0x5FF) / b"1234",
        eth() / v4(len=0) / TCP(flags="A") / (b"tso" * 100),
        eth() / v4(len=10) / TCP(flags="A"),
        eth() / v4(len=2000) / TCP(flags="A") / b"longer",
        eth() / v4(ihl=4) / TCP(),
        eth() / v4(ihl=15) / UDP(),
        eth() / v4(version=5) / UDP(),
        eth() / v4(version=6) / UDP(),
        eth() / v6(version=4) / UDP(),
        eth() / v6(plen=0) / UDP(sport=3000, dport=3001) / b"0",
        eth() / v6(plen=500) / UDP(sport=3000, dport=3001) / b"0",
        eth() / v6(plen=4) / UDP(sport=3000, dport=3001) / b"0",
        eth() / v4() / UDP(sport=3000, dport=3001, len=4) / b"short",
        eth() / v4() / UDP(sport=3000, dport=3001, len=0) / b"zero",
        eth() / v4() / UDP(sport=3000, dport=3001, len=100) / b"long",
        eth() / v4() / UDP(sport=3000, dport=3001, len=10) / b"longer",
        eth() / v4() / TCP(dataofs=4) / b"x",
        eth() / v4() / TCP(dataofs=15) / b"x",
        eth() / v4(proto=51) / Raw(_AH) / TCP(sport=51, dport=52),
        eth() / v4(proto=89) / b"ospf",
        eth() / v6(nh=1) / ICMP(),
        eth() / v4() / UDP(sport=68, dport=67) / BOOTP() / discover,
        eth() / v4(proto=6) / Raw(b"\0\5\0\6"),
        eth() / v4(proto=17) / Raw(b"\x13\x89\x13\x8a"),
        eth() / v4(proto=1) / Raw(b"\x08\0"),
        eth() / v4(proto=17),
        eth() / v6(nh=17),
    ]  # fmt: skip
