"""The fields that a display filter knows: what they are called, what they hold, and where they stand.

Names are Wireshark's where Wireshark has the field. `Place` says where in its layer a field stands, so
that one piece of code reads them all; fields without a place are worked out in `capture.batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple


class Kind(Enum):
    """What a field holds, in the words of an error message."""

    NUMBER = "a number"
    FLAG = "true or false"
    DURATION = "a time span, such as 100us"
    TIME = "a moment"
    IPV4 = "an IPv4 address"
    IPV6 = "an IPv6 address"
    MAC = "a MAC address"
    TEXT = "text"
    BYTES = "bytes"
    PROTOCOL = "a protocol"


class Place(NamedTuple):
    """`size` bytes at `offset` of every layer of that name; a number is what `mask` leaves, shifted down."""

    layer: str
    offset: int
    size: int
    mask: int = 0


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field. `names` gives the values that have one; `parts` the fields of which it is any."""

    name: str
    kind: Kind
    about: str
    place: Place | None = None
    most: int = 0  #: the greatest value of a number
    names: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


#: Fields that only what became of a buffer tells: they may still change for the newest frames.
STAGE_FIELDS = frozenset({"kick", "call", "latency", "pickup"})

#: Wireshark's fields that need more than the frame itself, and what to write instead.
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "tcp.seq": "tcp.seq is counted from the start of its stream; use tcp.seq_raw",
        "tcp.ack": "tcp.ack is counted from the start of its stream; use tcp.ack_raw",
        "tcp.nxtseq": "tcp.nxtseq is counted from the start of its stream; use tcp.seq_raw and tcp.len",
        "tcp.window_size": "tcp.window_size needs the start of its stream; use tcp.window_size_value",
        "tcp.stream": "tcp.stream needs the frames before; use addresses and ports",
        "udp.stream": "udp.stream needs the frames before; use addresses and ports",
        "frame.time_delta": "frame.time_delta needs the frame before; use frame.time_epoch",
        "frame.time_delta_displayed": "frame.time_delta_displayed needs the list; use frame.time_epoch",
        "frame.time_relative": "frame.time_relative needs the first frame; use frame.time_epoch",
        "http": "http is not told apart by the filter; use tcp.port == 80 or tcp.payload contains",
        "tls": "tls is not told apart by the filter; use tcp.port == 443",
    }
)

ETHER_TYPES = {"ipv4": 0x800, "arp": 0x806, "rarp": 0x8035, "vlan": 0x8100, "ipv6": 0x86DD, "mpls": 0x8847,
               "qinq": 0x88A8, "lldp": 0x88CC}  # fmt: skip
IP_PROTOCOLS = {"hopopt": 0, "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "routing": 43,
                "fragment": 44, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "none": 59, "dstopts": 60,
                "ospf": 89, "sctp": 132}  # fmt: skip
_ARP_OPCODES = {"request": 1, "reply": 2}
_ICMP_TYPES = {"echo_reply": 0, "unreachable": 3, "redirect": 5, "echo_request": 8, "time_exceeded": 11,
               "parameter_problem": 12}  # fmt: skip
_ICMPV6_TYPES = {"unreachable": 1, "too_big": 2, "time_exceeded": 3, "parameter_problem": 4,
                 "echo_request": 128, "echo_reply": 129, "router_solicitation": 133,
                 "router_advertisement": 134, "neighbor_solicitation": 135,
                 "neighbor_advertisement": 136, "redirect": 137}  # fmt: skip
DNS_TYPES = {"a": 1, "ns": 2, "cname": 5, "soa": 6, "ptr": 12, "mx": 15, "txt": 16, "aaaa": 28, "srv": 33,
             "opt": 41, "svcb": 64, "https": 65, "any": 255}  # fmt: skip
_RCODES = {"no_error": 0, "format_error": 1, "server_failure": 2, "no_such_name": 3, "not_implemented": 4,
           "refused": 5}  # fmt: skip
GSO_TYPES = {"none": 0, "tcpv4": 1, "udp": 3, "tcpv6": 4, "udp_l4": 5, "tcpv4_ecn": 0x81, "tcpv6_ecn": 0x84}
DIRECTIONS = {"to_device": 0, "to_driver": 1}
SENT = {"suppressed": 0, "sent": 1}
_TRUTH = {"false": 0, "true": 1, "not set": 0, "set": 1}

_PROTOCOLS = {
    "frame": "the whole frame, as it was captured",
    "eth": "Ethernet",
    "llc": "IEEE 802.2 logical link control",
    "vlan": "an 802.1Q tag",
    "ieee8021ad": "an 802.1ad service tag",
    "arp": "address resolution",
    "mpls": "an MPLS label",
    "ip": "IPv4",
    "ipv6": "IPv6",
    "icmp": "ICMP for IPv4",
    "icmpv6": "ICMPv6",
    "tcp": "TCP",
    "udp": "UDP",
    "gre": "generic routing encapsulation",
    "ah": "IP authentication header",
    "vxlan": "VXLAN, at UDP port 4789",
    "geneve": "Geneve, at UDP port 6081",
    "dns": "DNS, at port 53",
    "mdns": "multicast DNS, at UDP port 5353",
    "llmnr": "link-local name resolution, at UDP port 5355",
    "dhcp": "DHCP and BOOTP, at UDP ports 67 and 68",
}

# name, layer, offset, bytes, mask, description, names of values
_Numbers = list[tuple[str, str, int, int, int, str, dict[str, int]]]
_NUMBERS: _Numbers = [
    ("eth.type", "ethertype", 12, 2, 0, "EtherType of the Ethernet header", ETHER_TYPES),
    ("eth.len", "llc_length", 12, 2, 0, "length of an IEEE 802.3 frame", {}),
    ("vlan.priority", "vlan", 0, 2, 0xE000, "priority code point of an 802.1Q tag", {}),
    ("vlan.id", "vlan", 0, 2, 0x0FFF, "VLAN of an 802.1Q tag", {}),
    ("vlan.etype", "vlan", 2, 2, 0, "EtherType behind an 802.1Q tag", ETHER_TYPES),
    ("ieee8021ad.priority", "ieee8021ad", 0, 2, 0xE000, "priority of a service tag", {}),
    ("ieee8021ad.id", "ieee8021ad", 0, 2, 0x0FFF, "VLAN of a service tag", {}),
    ("mpls.label", "mpls", 0, 4, 0xFFFFF000, "label", {}),
    ("mpls.exp", "mpls", 0, 4, 0xE00, "traffic class of a label", {}),
    ("mpls.ttl", "mpls", 0, 4, 0xFF, "time to live of a label", {}),
    ("arp.hw.type", "arp", 0, 2, 0, "hardware type", {}),
    ("arp.proto.type", "arp", 2, 2, 0, "protocol type", ETHER_TYPES),
    ("arp.hw.size", "arp", 4, 1, 0, "bytes of a hardware address", {}),
    ("arp.proto.size", "arp", 5, 1, 0, "bytes of a protocol address", {}),
    ("arp.opcode", "arp", 6, 2, 0, "request or reply", _ARP_OPCODES),
    ("ip.dsfield", "ip_length", 1, 1, 0, "differentiated services", {}),
    ("ip.dsfield.dscp", "ip_length", 1, 1, 0xFC, "differentiated services codepoint", {}),
    ("ip.dsfield.ecn", "ip_length", 1, 1, 0x03, "congestion notification", {}),
    ("ip.id", "ip4", 4, 2, 0, "identification", {}),
    ("ip.flags", "ip4", 6, 2, 0xE000, "the three flags", {}),
    ("ip.frag_offset", "ip4", 6, 2, 0x1FFF, "fragment offset in units of 8 bytes", {}),
    ("ip.ttl", "ip4", 8, 1, 0, "time to live", {}),
    ("ip.proto", "ip4", 9, 1, 0, "protocol that is carried", IP_PROTOCOLS),
    ("ip.checksum", "ip4", 10, 2, 0, "header checksum", {}),
    ("ipv6.version", "ipv6", 0, 1, 0xF0, "6", {}),
    ("ipv6.tclass", "ip6", 0, 2, 0x0FF0, "traffic class", {}),
    ("ipv6.tclass.dscp", "ip6", 0, 2, 0x0FC0, "differentiated services codepoint", {}),
    ("ipv6.tclass.ecn", "ip6", 0, 2, 0x0030, "congestion notification", {}),
    ("ipv6.flow", "ip6", 0, 4, 0xFFFFF, "flow label", {}),
    ("ipv6.plen", "ip6", 4, 3, 0xFFFF00, "payload length", {}),
    ("ipv6.nxt", "ip6", 6, 1, 0, "next header", IP_PROTOCOLS),
    ("ipv6.hlim", "ip6", 7, 1, 0, "hop limit", {}),
    ("ipv6.fraghdr.nxt", "fraghdr", 0, 1, 0, "next header behind a fragment header", IP_PROTOCOLS),
    ("ipv6.fraghdr.offset", "fraghdr", 2, 2, 0xFFF8, "fragment offset in units of 8 bytes", {}),
    ("ipv6.fraghdr.ident", "fraghdr", 4, 4, 0, "identification of a fragment", {}),
    ("icmp.type", "icmp", 0, 1, 0, "type", _ICMP_TYPES),
    ("icmp.code", "icmp", 1, 1, 0, "code", {}),
    ("icmp.checksum", "icmp", 2, 2, 0, "checksum", {}),
    ("icmp.ident", "icmp_echo", 4, 2, 0, "identifier of an echo", {}),
    ("icmp.seq", "icmp_echo", 6, 2, 0, "sequence number of an echo", {}),
    ("icmpv6.type", "icmpv6", 0, 1, 0, "type", _ICMPV6_TYPES),
    ("icmpv6.code", "icmpv6", 1, 1, 0, "code", {}),
    ("icmpv6.checksum", "icmpv6", 2, 2, 0, "checksum", {}),
    ("icmpv6.echo.identifier", "icmpv6_echo", 4, 2, 0, "identifier of an echo", {}),
    ("icmpv6.echo.sequence_number", "icmpv6_echo", 6, 2, 0, "sequence number of an echo", {}),
    ("tcp.srcport", "tcp", 0, 2, 0, "source port", {}),
    ("tcp.dstport", "tcp", 2, 2, 0, "destination port", {}),
    ("tcp.seq_raw", "tcp_header", 4, 4, 0, "sequence number as it was sent", {}),
    ("tcp.ack_raw", "tcp_body", 8, 4, 0, "acknowledgment number as it was sent", {}),
    ("tcp.flags", "tcp_body", 12, 2, 0x0FFF, "the twelve flags", {}),
    ("tcp.window_size_value", "tcp_body", 14, 2, 0, "window as it was sent", {}),
    ("tcp.checksum", "tcp_body", 16, 2, 0, "checksum", {}),
    ("tcp.urgent_pointer", "tcp_body", 18, 2, 0, "urgent pointer", {}),
    ("udp.srcport", "udp", 0, 2, 0, "source port", {}),
    ("udp.dstport", "udp", 2, 2, 0, "destination port", {}),
    ("udp.length", "udp", 4, 2, 0, "length of header and payload", {}),
    ("udp.checksum", "udp_body", 6, 2, 0, "checksum", {}),
    ("vxlan.vni", "vxlan", 4, 3, 0, "VXLAN network identifier", {}),
    ("geneve.vni", "geneve", 4, 3, 0, "Geneve network identifier", {}),
    ("gre.proto", "gre", 2, 2, 0, "EtherType that is carried", ETHER_TYPES),
    ("dns.id", "dns_message", 0, 2, 0, "transaction", {}),
    ("dns.flags", "dns_message", 2, 2, 0, "the sixteen flag bits", {}),
    ("dns.flags.opcode", "dns_message", 2, 2, 0x7800, "operation", {}),
    ("dns.flags.rcode", "dns_response", 2, 2, 0x000F, "response code", _RCODES),
    ("dns.count.queries", "dns_message", 4, 2, 0, "questions", {}),
    ("dns.count.answers", "dns_message", 6, 2, 0, "answers", {}),
    ("dns.count.auth_rr", "dns_message", 8, 2, 0, "authority records", {}),
    ("dns.count.add_rr", "dns_message", 10, 2, 0, "additional records", {}),
]
_FLAGS = [
    ("eth.dst.ig", "eth", 0, 1, 0x01, "destination is a group"),
    ("eth.dst.lg", "eth", 0, 1, 0x02, "destination is locally administered"),
    ("eth.src.ig", "eth", 6, 1, 0x01, "source is a group"),
    ("eth.src.lg", "eth", 6, 1, 0x02, "source is locally administered"),
    ("vlan.dei", "vlan", 0, 2, 0x1000, "drop eligible"),
    ("ieee8021ad.dei", "ieee8021ad", 0, 2, 0x1000, "drop eligible"),
    ("mpls.bottom", "mpls", 0, 4, 0x100, "last label of the stack"),
    ("ip.flags.rb", "ip4", 6, 2, 0x8000, "reserved bit"),
    ("ip.flags.df", "ip4", 6, 2, 0x4000, "do not fragment"),
    ("ip.flags.mf", "ip4", 6, 2, 0x2000, "more fragments follow"),
    ("ipv6.fraghdr.more", "fraghdr", 2, 2, 0x0001, "more fragments follow"),
    ("tcp.flags.ae", "tcp_body", 12, 2, 0x100, "accurate ECN"),
    ("tcp.flags.cwr", "tcp_body", 12, 2, 0x080, "congestion window reduced"),
    ("tcp.flags.ece", "tcp_body", 12, 2, 0x040, "ECN echo"),
    ("tcp.flags.urg", "tcp_body", 12, 2, 0x020, "urgent"),
    ("tcp.flags.ack", "tcp_body", 12, 2, 0x010, "acknowledgment"),
    ("tcp.flags.push", "tcp_body", 12, 2, 0x008, "push"),
    ("tcp.flags.reset", "tcp_body", 12, 2, 0x004, "reset"),
    ("tcp.flags.syn", "tcp_body", 12, 2, 0x002, "synchronise: a connection opens"),
    ("tcp.flags.fin", "tcp_body", 12, 2, 0x001, "final: a side has sent all"),
    ("dns.flags.response", "dns_message", 2, 2, 0x8000, "response, not query"),
    ("dns.flags.authoritative", "dns_answering", 2, 2, 0x0400, "the server has authority"),
    ("dns.flags.truncated", "dns_message", 2, 2, 0x0200, "message is cut"),
    ("dns.flags.recdesired", "dns_asking", 2, 2, 0x0100, "recursion desired"),
    ("dns.flags.recavail", "dns_answering", 2, 2, 0x0080, "recursion available"),
]
_ADDRESSES = [
    ("eth.dst", Kind.MAC, "eth", 0, "destination of Ethernet"),
    ("eth.src", Kind.MAC, "eth", 6, "source of Ethernet"),
    ("arp.src.hw_mac", Kind.MAC, "arp_ether", 8, "MAC address of the sender"),
    ("arp.src.proto_ipv4", Kind.IPV4, "arp_ipv4", 14, "IPv4 address of the sender"),
    ("arp.dst.hw_mac", Kind.MAC, "arp_ether", 18, "MAC address of the target"),
    ("arp.dst.proto_ipv4", Kind.IPV4, "arp_ipv4", 24, "IPv4 address of the target"),
    ("ip.src", Kind.IPV4, "ip4", 12, "source of IPv4"),
    ("ip.dst", Kind.IPV4, "ip4", 16, "destination of IPv4"),
    ("ipv6.src", Kind.IPV6, "ip6", 8, "source of IPv6"),
    ("ipv6.dst", Kind.IPV6, "ip6", 24, "destination of IPv6"),
    ("icmpv6.nd.ns.target_address", Kind.IPV6, "nd_ns", 8, "address that is asked for"),
    ("icmpv6.nd.na.target_address", Kind.IPV6, "nd_na", 8, "address that is announced"),
]
_ANY = [
    ("eth.addr", Kind.MAC, "either address of Ethernet", ("eth.src", "eth.dst")),
    ("ip.addr", Kind.IPV4, "either address of IPv4", ("ip.src", "ip.dst")),
    ("ipv6.addr", Kind.IPV6, "either address of IPv6", ("ipv6.src", "ipv6.dst")),
    ("tcp.port", Kind.NUMBER, "either port of TCP", ("tcp.srcport", "tcp.dstport")),
    ("udp.port", Kind.NUMBER, "either port of UDP", ("udp.srcport", "udp.dstport")),
]
_WIDE = (1 << 63) - 1
# fields that are worked out: name, kind, greatest value, description, names of values
_WORKED: list[tuple[str, Kind, int, str, dict[str, int]]] = [
    ("frame.number", Kind.NUMBER, _WIDE, "number of the frame, from 1", {}),
    ("frame.len", Kind.NUMBER, 0xFFFFFFFF, "bytes on the wire", {}),
    ("frame.cap_len", Kind.NUMBER, 0xFFFFFFFF, "bytes that were captured", {}),
    ("frame.time_epoch", Kind.TIME, _WIDE, "seconds since 1970 began", {}),
    ("frame.time", Kind.TIME, _WIDE, 'date and time, such as "2026-01-31 12:00:00"', {}),
    ("frame.interface_id", Kind.NUMBER, 0xFFFFFFFF, "interface of the capture file", {}),
    ("ip.len", Kind.NUMBER, 0xFFFFFFFF, "total length; of a segment too long for it, what there is", {}),
    ("ip.version", Kind.NUMBER, 15, "4 or 6", {}),
    ("ip.hdr_len", Kind.NUMBER, 60, "bytes of the header", {}),
    ("tcp.hdr_len", Kind.NUMBER, 60, "bytes of the header", {}),
    ("tcp.len", Kind.NUMBER, _WIDE, "bytes of payload", {}),
    ("tcp.options.mss_val", Kind.NUMBER, 0xFFFF, "greatest segment, from the options", {}),
    ("tcp.options.wscale.shift", Kind.NUMBER, 255, "window scale, from the options", {}),
    ("tcp.options.timestamp.tsval", Kind.NUMBER, 0xFFFFFFFF, "timestamp, from the options", {}),
    ("tcp.options.timestamp.tsecr", Kind.NUMBER, 0xFFFFFFFF, "timestamp echoed, from the options", {}),
    ("tcp.options", Kind.BYTES, 0, "all options", {}),
    ("tcp.options.sack_perm", Kind.BYTES, 0, "selective acknowledgment is permitted", {}),
    ("tcp.payload", Kind.BYTES, 0, "what a segment carries", {}),
    ("udp.payload", Kind.BYTES, 0, "what a datagram carries", {}),
    ("dns.qry.name", Kind.TEXT, 0, "name that is asked for", {}),
    ("dns.qry.type", Kind.NUMBER, 0xFFFF, "type that is asked for", DNS_TYPES),
    ("dns.qry.class", Kind.NUMBER, 0xFFFF, "class that is asked for", {}),
    ("dns.resp.name", Kind.TEXT, 0, "name of a record", {}),
    ("dns.resp.type", Kind.NUMBER, 0xFFFF, "type of a record", DNS_TYPES),
    ("dns.resp.ttl", Kind.NUMBER, 0xFFFFFFFF, "seconds that a record may be kept", {}),
    ("dns.a", Kind.IPV4, 0, "IPv4 address in a record", {}),
    ("dns.aaaa", Kind.IPV6, 0, "IPv6 address in a record", {}),
    ("dns.cname", Kind.TEXT, 0, "canonical name in a record", {}),
    ("queue", Kind.NUMBER, 0xFFFF, "virtqueue that the frame crossed", {}),
    ("direction", Kind.NUMBER, 1, "towards the device or the driver", DIRECTIONS),
    ("head", Kind.NUMBER, 0xFFFF, "head descriptor of its chain", {}),
    ("position", Kind.NUMBER, _WIDE, "buffers made available in its queue before it", {}),
    ("descriptors", Kind.NUMBER, 0xFFFF, "descriptors of its chain", {}),
    ("buffers", Kind.NUMBER, 0xFFFF, "buffers that it spans", {}),
    ("indirect", Kind.FLAG, 1, "its buffer came through an indirect table", _TRUTH),
    ("fixed", Kind.FLAG, 1, "its queue maps slots to fixed descriptors", _TRUTH),
    ("kick", Kind.NUMBER, 1, "whether the device was notified of it", SENT),
    ("call", Kind.NUMBER, 1, "whether the driver was notified of it", SENT),
    ("latency", Kind.DURATION, _WIDE, "from available to used", {}),
    ("pickup", Kind.DURATION, _WIDE, "from used to collected", {}),
    ("captured", Kind.NUMBER, 0xFFFFFFFF, "bytes that were captured", {}),
    ("vnet.flags", Kind.NUMBER, 0xFF, "flags of the virtio-net header", {}),
    ("vnet.needs_csum", Kind.FLAG, 1, "checksum is left to the device", _TRUTH),
    ("vnet.data_valid", Kind.FLAG, 1, "checksum was found right", _TRUTH),
    ("vnet.gso_type", Kind.NUMBER, 0xFF, "kind of segmentation left to the device", GSO_TYPES),
    ("vnet.hdr_len", Kind.NUMBER, 0xFFFF, "bytes of headers of a large segment", {}),
    ("vnet.gso_size", Kind.NUMBER, 0xFFFF, "payload bytes of each segment to be made", {}),
    ("vnet.csum_start", Kind.NUMBER, 0xFFFF, "where the checksum begins", {}),
    ("vnet.csum_offset", Kind.NUMBER, 0xFFFF, "where behind that it is put", {}),
    ("vnet.num_buffers", Kind.NUMBER, 0xFFFF, "receive buffers merged into the frame", {}),
]

_SIZES = {Kind.MAC: 6, Kind.IPV4: 4, Kind.IPV6: 16}


def _most(size: int, mask: int) -> int:
    return mask // (mask & -mask) if mask else (1 << size * 8) - 1


def _table() -> dict[str, FieldInfo]:
    made = [FieldInfo(name, Kind.PROTOCOL, about) for name, about in _PROTOCOLS.items()]
    for name, about in (
        ("hopopts", "hop-by-hop options"), ("routing", "routing header"), ("dstopts", "destination options"),
        ("fraghdr", "fragment header"),
    ):  # fmt: skip
        made.append(FieldInfo(f"ipv6.{name}", Kind.PROTOCOL, f"IPv6 {about}"))
    for name, layer, offset, size, mask, about, names in _NUMBERS:
        place = Place(layer, offset, size, mask)
        made.append(FieldInfo(name, Kind.NUMBER, about, place, _most(size, mask), names))
    for name, layer, offset, size, mask, about in _FLAGS:
        made.append(FieldInfo(name, Kind.FLAG, about, Place(layer, offset, size, mask), 1, _TRUTH))
    for name, kind, layer, offset, about in _ADDRESSES:
        made.append(FieldInfo(name, kind, about, Place(layer, offset, _SIZES[kind])))
    for name, kind, about, parts in _ANY:
        made.append(FieldInfo(name, kind, about, most=0xFFFF, parts=parts))
    made += [FieldInfo(name, kind, about, None, most, names) for name, kind, most, about, names in _WORKED]
    return {info.name: info for info in sorted(made, key=lambda info: info.name)}


#: Every field by its name, in alphabetical order.
FIELDS: Mapping[str, FieldInfo] = MappingProxyType(_table())
