"""Protocols that few frames have: what their line says, and that the list sorts by what it says."""

from __future__ import annotations

import struct

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.contrib.lacp import LACP, SlowProtocol
from scapy.contrib.lldp import (
    LLDPDU,
    LLDPDUChassisID,
    LLDPDUEndOfLLDPDU,
    LLDPDUPortID,
    LLDPDUSystemName,
    LLDPDUTimeToLive,
)
from scapy.contrib.mpls import MPLS
from scapy.layers.dhcp6 import DHCP6_RelayForward, DHCP6_Solicit
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.hsrp import HSRP
from scapy.layers.igmp import IGMP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import GRE, LLC, SNAP, STP, Dot1Q, Dot3, Ether
from scapy.layers.ntp import NTPHeader
from scapy.layers.ppp import PPP, PPP_LCP_Configure, PPPoE, PPPoED
from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkSACK
from scapy.layers.vrrp import VRRP
from scapy.packet import Packet, Raw

from capture.batch import Batch, sort_key
from capture.batch.protocols import NAMES
from capture.columns import summary
from capture.play import load_mix
from tests.frames.crafted import frames as crafted
from tests.frames.test_dfilter import block_of

ETHER = Ether(dst="52:54:00:00:00:02", src="52:54:00:00:00:01")
FOUR = IP(src="10.0.0.1", dst="10.0.0.2")
SIX = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER = IP(src="172.16.0.1", dst="172.16.0.2") / UDP(sport=4000, dport=4001) / b"abc"
BRIDGE = Dot3(dst="01:80:c2:00:00:00", src="52:54:00:00:00:01")
NEIGHBOUR = LLDPDU() / LLDPDUChassisID(subtype=4, id="52:54:00:00:00:01") / LLDPDUPortID(subtype=5, id="eth0")
GROUPS = bytes.fromhex("22 00 0000 0000 0001 04 00 0000 ef010203")
MAC = "52:54:00:00:00:01"
FAR = "52:54:00:00:00:09"
TREE = LLC(dsap=0x42, ssap=0x42, ctrl=3)
SUBNET = LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
TUNNEL = ETHER / FOUR / UDP(sport=999, dport=6081)
NAMED = LLDPDUTimeToLive(ttl=120) / LLDPDUSystemName(system_name="a\x1b]0") / LLDPDUEndOfLLDPDU()
AHEAD = Raw(b"\x06\x04" + bytes(22))


def over_ip(protocol: int) -> Packet:
    return ETHER / IP(src="10.0.0.1", dst="10.0.0.2", proto=protocol)


PACKETS: list[tuple[Packet, str, str]] = [
    (ETHER / FOUR / GRE(key_present=1, key=7) / INNER, "UDP",
     "4000 \u2192 4001 len=3 (GRE key 7 in IPv4 10.0.0.1 > 10.0.0.2)"),
    (ETHER / FOUR / GRE(proto=0x6558) / ETHER / Dot1Q(vlan=3) / INNER, "UDP",
     "4000 \u2192 4001 len=3 (GRE in IPv4 10.0.0.1 > 10.0.0.2, VLAN 3)"),
    (ETHER / FOUR / GRE(proto=0x88B5) / Raw(b"abc"), "GRE",
     "type 0x88b5, 3 bytes (GRE in IPv4 10.0.0.1 > 10.0.0.2)"),
    (TUNNEL / GENEVE(vni=44) / ETHER / INNER, "UDP",
     "4000 \u2192 4001 len=3 (Geneve 44)"),
    (TUNNEL / GENEVE(vni=44, proto=0x88CC), "LLDP", "0 bytes [truncated] (Geneve 44)"),
    (ETHER / MPLS(label=16, s=0) / MPLS(label=17, s=1) / INNER, "UDP",
     "4000 \u2192 4001 len=3 (MPLS 16, MPLS 17)"),
    (ETHER / MPLS(label=16, s=1) / Raw(b"\0\0\0\0abc"), "MPLS", "7 bytes (MPLS 16)"),
    (ETHER / FOUR / SCTP(sport=5, dport=6) / SCTPChunkInit() / SCTPChunkSACK(), "SCTP",
     "5 \u2192 6 [INIT, SACK]"),
    (ETHER / FOUR / IGMP(type=0x11), "IGMP", "general query"),
    (ETHER / FOUR / IGMP(type=0x16, gaddr="239.1.2.3"), "IGMP", "report 239.1.2.3"),
    (ETHER / IP(src="10.0.0.1", dst="224.0.0.22", proto=2) / Raw(GROUPS), "IGMP",
     "report v3, 1 group: 239.1.2.3"),
    (ETHER / NEIGHBOUR / NAMED,
     "LLDP", "a.]0, chassis 52:54:00:00:00:01, port eth0, for 120 s"),
    (ETHER / SlowProtocol(subtype=1) / LACP(actor_system=MAC, actor_key=5, actor_port_number=6,
     actor_state=0x3D, partner_system="52:54:00:00:00:02"), "LACP",
     "actor 52:54:00:00:00:01 key 5 port 6 [active, aggregating, in sync, collecting, distributing], "
     "partner 52:54:00:00:00:02 key 0 port 0 []"),
    (ETHER / SlowProtocol(subtype=3) / Raw(b"x"), "OAM", "subtype 3, 2 bytes"),
    (BRIDGE / TREE
     / STP(rootmac=FAR, bridgemac=MAC, rootid=4096, pathcost=4, portid=0x8001), "STP",
     "spanning tree: 52:54:00:00:00:01 has root 52:54:00:00:00:09, priority 4096, cost 4, port 0x8001"),
    (BRIDGE / TREE / Raw(b"\0\0\0\x80"), "STP", "topology change notification"),
    (BRIDGE / SUBNET / SNAP(OUI=0x0C, code=0x2000) / Raw(b"x"), "CDP", "9 bytes"),
    (BRIDGE / SUBNET / SNAP(OUI=0, code=0x800) / INNER, "UDP",
     "4000 \u2192 4001 len=3"),
    (ETHER / PPPoE(sessionid=17) / PPP(proto=0x21) / INNER, "UDP", "4000 \u2192 4001 len=3 (PPPoE 0x0011)"),
    (ETHER / PPPoE(sessionid=17) / PPP(proto=0x57) / SIX / ICMPv6EchoRequest(id=1, seq=2), "ICMPv6",
     "echo request id=0x0001 seq=2 (PPPoE 0x0011)"),
    (ETHER / PPPoED(code=9), "PPPoED", "initiation (PADI)"),
    (ETHER / PPPoE(sessionid=17) / PPP(proto=0xC021) / PPP_LCP_Configure(), "PPP LCP", "Configure-Request"),
    (ETHER / PPPoE(sessionid=17) / PPP(proto=0x1234) / Raw(b"abcd"), "PPPoES",
     "session 0x0011, protocol 0x1234, 6 bytes"),
    (ETHER / FOUR / UDP(sport=123, dport=123) / NTPHeader(version=4, mode=4, stratum=2), "NTP",
     "version 4, server, stratum 2"),
    (ETHER / SIX / UDP(sport=546, dport=547) / DHCP6_Solicit(trid=0xABCDE), "DHCPv6",
     "Solicit, transaction 0x0abcde"),
    (ETHER / SIX / UDP(sport=547, dport=547) / DHCP6_RelayForward(linkaddr="2001:db8::7", peeraddr="fe80::1"),
     "DHCPv6",
     "Relay-forward, link 2001:db8::7, peer fe80::1"),
    (ETHER / FOUR / UDP(sport=1985, dport=1985) / HSRP(), "HSRP", "1985 \u2192 1985 len=20"),
    (ETHER / FOUR / UDP(sport=5000, dport=1900) / Raw(b"M-SEARCH * HTTP/1.1\r\n\r\n"), "SSDP",
     "M-SEARCH * HTTP/1.1"),
    (ETHER / FOUR / VRRP(vrid=3, priority=200), "VRRP", "router 3, priority 200 (version 2)"),
    (over_ip(50) / Raw(struct.pack("!II", 9, 8) + bytes(8)), "ESP",
     "encrypted, parameters 0x00000009 seq=8 len=8"),
    (over_ip(89) / Raw(b"\x02\x01\0\x18\x0a\0\0\x09"), "OSPF",
     "hello from router 10.0.0.9"),
    (over_ip(51) / AHEAD / TCP(sport=1, dport=2, flags="S", window=9),
     "TCP", "1 \u2192 2 [SYN] seq=0 win=9 len=0"),
    (ETHER / FOUR / TCP(sport=7, dport=53, flags="PA") / Raw(b"\0\x16")
     / DNS(id=7, qd=DNSQR(qname="tcp.t")), "DNS", "query 0x0007 A tcp.t"),
    (ETHER / FOUR / UDP(sport=5355, dport=5355) / DNS(id=1, qd=DNSQR(qname="wpad")), "LLMNR",
     "query 0x0001 A wpad"),
]  # fmt: skip


@pytest.mark.parametrize(("packet", "protocol", "info"), PACKETS, ids=range(len(PACKETS)))
def test_what_the_line_says(packet: Packet, protocol: str, info: str) -> None:
    made = summary(packet.build())
    assert (made.protocol, made.info) == (protocol, info)


def named(frames: list[bytes]) -> list[str]:
    """The protocols by which frames sort."""
    keys = sort_key(Batch(block_of(frames)), "protocol").tolist()
    return [NAMES[key >> 16] if key >> 16 else f"0x{key & 0xFFFF:04x}" for key in keys]


def test_the_list_sorts_by_what_it_says() -> None:
    frames = [packet.build() for packet, _, _ in PACKETS] + crafted() + [one.data for one in load_mix()]
    rows = [summary(frame) for frame in frames]
    for frame, row, name in zip(frames, rows, named(frames), strict=True):
        if "[" not in row.info:  # cut or contradicting: the last layer that can be told
            assert name == row.protocol, (frame.hex(), row)
    assert sum("[" not in row.info or row.protocol == "TCP" for row in rows) > 700


def test_icmp_of_an_inner_packet_is_the_protocol() -> None:
    assert summary((ETHER / FOUR / GRE() / FOUR / ICMP()).build()).protocol == "ICMP"
