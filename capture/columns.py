"""The columns of the packet list, from raw bytes, without scapy: tens of thousands of frames a second.

Every layer overwrites what it knows better: `row` is [protocol, source, destination, info, *wrappings]
(tags and tunnels that were entered), and `layer(row, data, at, end)` reads data[at:end]. Reading past the end
raises, is caught once at the top and marks the row: no bytes whatever make it fail.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import NamedTuple

from capture.fields import printable

_Layer = Callable[[list[str], bytes, int, int], None]
_WRAPPINGS = 16  #: tags and tunnels that are looked into
_EXTENSIONS = 32  #: extension headers of one IPv6 packet


class Summary(NamedTuple):
    """What one line of the list says. Printable ASCII, but for the arrow between ports."""

    protocol: str
    source: str
    destination: str
    info: str


class _Short(Exception):
    """The bytes end inside a header."""


def summaries(data: Iterable[bytes]) -> list[Summary]:
    """One summary for each Ethernet frame. Never raises, whatever the bytes."""
    return [summary(frame) for frame in data]


def summary(data: bytes) -> Summary:
    """The summary of one Ethernet frame; cut and contradictory ones are marked in `info`."""
    row = ["?", "", "", ""]
    try:
        _ethernet(row, data, 0, len(data))
    except (struct.error, IndexError, _Short):
        row[3] = f"{row[3]} [truncated]".lstrip()
    except ValueError as why:
        row[3] = f"{row[3]} [malformed: {why}]".lstrip()
    if len(row) > 4:
        more = ["..."] if len(row) > 7 else []
        row[3] = f"{row[3]} ({', '.join(row[4:7] + more)})".lstrip()
    return Summary(row[0], row[1], row[2], row[3])


def _enter(row: list[str], wrapping: str) -> None:
    if len(row) >= 4 + _WRAPPINGS:
        raise ValueError(f"more than {_WRAPPINGS} tags and tunnels")
    row.append(wrapping)


@lru_cache(4096)
def mac(raw: bytes) -> str:
    return raw.hex(":")


@lru_cache(4096)
def _ip4(raw: bytes) -> str:
    if len(raw) < 4:
        raise _Short
    return inet_ntoa(raw)


@lru_cache(4096)
def _ip6(raw: bytes) -> str:
    if len(raw) < 16:
        raise _Short
    return inet_ntop(AF_INET6, raw)


def _ethernet(row: list[str], b: bytes, at: int, end: int) -> None:
    if end - at < 14:
        row[0], row[3] = "Ethernet", f"{end - at} bytes"
        raise _Short
    row[1], row[2] = mac(b[at + 6 : at + 12]), mac(b[at : at + 6])
    at += 12
    kind = b[at] << 8 | b[at + 1]
    at += 2
    while kind in (0x8100, 0x88A8, 0x9100):
        row[0] = "VLAN"
        _enter(row, f"VLAN {(b[at] & 15) << 8 | b[at + 1]}")
        kind = b[at + 2] << 8 | b[at + 3]
        at += 4
    if at > end:
        raise _Short
    layer = _ETHER.get(kind)
    if layer is not None:
        layer(row, b, at, end)
    elif kind < 0x600:
        row[0] = "LLC"
        row[3] = f"{kind} bytes"
        if kind > end - at:
            raise _Short
    else:
        row[0], row[3] = f"0x{kind:04x}", f"{end - at} bytes"


def _arp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ARP"
    hardware, protocol, hlen, plen, op = struct.unpack_from("!HHBBH", b, at)
    if end - at < 8 + 2 * (hlen + plen):
        raise _Short
    if (hardware, protocol, hlen, plen) != (1, 0x800, 6, 4):
        row[3] = f"hardware {hardware}, protocol 0x{protocol:04x}, operation {op}"
        return
    sender, target = _ip4(b[at + 14 : at + 18]), _ip4(b[at + 24 : at + 28])
    if op == 1:
        row[3] = f"announcement for {sender}" if sender == target else f"who has {target}? tell {sender}"
    elif op == 2:
        row[3] = f"{sender} is at {mac(b[at + 8 : at + 14])}"
    else:
        row[3] = f"operation {op}"


def _ipv4(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "IPv4"
    version_ihl, _, total, ident, fragment, _ttl, protocol = struct.unpack_from("!BBHHHBB", b, at)
    if at + 20 > end:
        raise _Short
    row[1], row[2] = _ip4(b[at + 12 : at + 16]), _ip4(b[at + 16 : at + 20])
    header = (version_ihl & 15) * 4
    if version_ihl >> 4 != 4:
        raise ValueError(f"IP version {version_ihl >> 4}")
    if header < 20:
        raise ValueError(f"IP header of {header} bytes")
    # 0 stands for a segment too long for the field (segmentation offload)
    stop = at + total if total else end
    if stop < at + header:
        raise ValueError(f"IP total length {total}")
    _ip_payload(
        row, b, at + header, stop, end, protocol, (fragment & 0x1FFF) * 8, bool(fragment & 0x2000), ident
    )


def _ipv6(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "IPv6"
    first, length, following = struct.unpack_from("!IHB", b, at)
    if at + 40 > end:
        raise _Short
    row[1], row[2] = _ip6(b[at + 8 : at + 24]), _ip6(b[at + 24 : at + 40])
    if first >> 28 != 6:
        raise ValueError(f"IP version {first >> 28}")
    at += 40
    stop = at + length if length else end
    for _ in range(_EXTENSIONS):
        if following in (0, 43, 60, 135, 139, 140):
            following, size = b[at], 8 + b[at + 1] * 8
        elif following == 51:
            following, size = b[at], 8 + b[at + 1] * 4
        elif following == 44:
            following, place, ident = struct.unpack_from("!BxHI", b, at)
            _ip_payload(row, b, at + 8, stop, end, following, place & 0xFFF8, bool(place & 1), ident)
            return
        else:
            break
        at += size
        if at > stop:
            raise ValueError("extension header longer than the packet")
    else:
        raise ValueError(f"more than {_EXTENSIONS} extension headers")
    _ip_payload(row, b, at, stop, end, following, 0, False, 0)


def _ip_payload(
    row: list[str], b: bytes, at: int, stop: int, end: int, protocol: int, place: int, more: bool, ident: int
) -> None:
    """What an IP packet carries: data[at:stop] as it says, data[at:end] as there is."""
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    if place or more:
        row[0] += " fragment"
        last = "" if more else ", the last"
        row[3] = f"{name}, bytes {place}-{place + max(stop - at, 1) - 1}{last} (id 0x{ident:04x})"
    elif protocol in _IP:
        if protocol in (4, 41):
            _enter(row, f"in {row[0]} {row[1]} > {row[2]}")
        try:
            _IP[protocol](row, b, at, min(stop, end))
        except ValueError:
            if stop > end:  # what contradicts may be no more than the cut
                raise _Short from None
            raise
    else:
        row[3] = f"{name}, {max(stop - at, 0)} bytes"
    if stop > end:
        raise _Short


def _tcp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "TCP"
    source, target = struct.unpack_from("!HH", b, at)
    row[3] = f"{source} \u2192 {target}"
    seq, ack, bits, window = struct.unpack_from("!IIHH", b, at + 4)
    if at + 20 > end:
        raise _Short
    header = (bits >> 12) * 4
    if header < 20:
        raise ValueError(f"TCP header of {header} bytes")
    start = at + header
    size = end - start
    if size < 0:
        raise ValueError(f"TCP header of {header} bytes")
    acked = f" ack={ack}" if bits & 16 else ""
    row[3] = f"{source} \u2192 {target} [{_flags(bits & 0x1FF)}] seq={seq}{acked} win={window} len={size}"
    if size:
        _stream(row, b, start, end)


@lru_cache(512)
def _flags(bits: int) -> str:
    names = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")
    return ", ".join(name for bit, name in enumerate(names) if bits >> bit & 1) or "none"


def _stream(row: list[str], b: bytes, at: int, end: int) -> None:
    """What the first bytes of a TCP segment show: an HTTP line or a TLS record."""
    head = b[at : at + 8]
    if head.startswith(_HTTP):
        row[0] = "HTTP"
        line = b[at : min(end, at + 120)].split(b"\r\n", 1)[0]
        row[3] = printable(line)
    elif 20 <= head[0] <= 23 and len(head) > 5 and head[1] == 3 and head[2] < 5:
        row[0] = "TLS"
        row[3] = _tls(b, at, end)


_HTTP = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"HTTP/1.")
_TLS = {20: "Change Cipher Spec", 21: "Alert", 22: "Handshake", 23: "Application Data"}
_HELLO = {1: "Client Hello", 2: "Server Hello", 4: "New Session Ticket", 11: "Certificate",
          14: "Server Hello Done", 16: "Client Key Exchange", 20: "Finished"}  # fmt: skip


def _tls(b: bytes, at: int, end: int) -> str:
    kind, size = b[at], b[at + 3] << 8 | b[at + 4]
    if kind != 22:
        return f"{_TLS[kind]}, {size} bytes"
    name = _HELLO.get(b[at + 5], "Encrypted Handshake Message")
    if b[at + 5] == 1:
        server = _server_name(b[at + 9 : min(end, at + 5 + size)])
        if server:
            name += f" (SNI={server})"
    return name


def _server_name(hello: bytes) -> str:
    """The server name that a Client Hello asks for (RFC 6066); "" where there is none within reach."""
    try:
        at = 34
        at += 1 + hello[at]
        at += 2 + (hello[at] << 8 | hello[at + 1])
        at += 1 + hello[at]
        at += 2
        for _ in range(64):
            kind, size = struct.unpack_from("!HH", hello, at)
            if kind == 0:
                length = hello[at + 7] << 8 | hello[at + 8]
                return printable(hello[at + 9 : at + 9 + length], 80)
            at += 4 + size
    except (IndexError, struct.error):
        return ""
    return ""


def _udp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "UDP"
    source, target, length = struct.unpack_from("!HHH", b, at)
    row[3] = f"{source} \u2192 {target}"
    if length < 8 and length:
        raise ValueError(f"UDP length {length}")
    stop = at + length if length else end
    row[3] += f" len={stop - at - 8}"
    layer = _UDP.get(target) or _UDP.get(source)
    if layer is not None and stop > at + 8:
        layer(row, b, at + 8, min(stop, end))
    if stop > end:
        raise ValueError(f"UDP length {length}")


def _dns(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "MDNS" if row[3].startswith("5353 ") else "DNS"
    ident, bits, questions, answers = struct.unpack_from("!HHHH", b, at)
    if at + 12 > end:
        raise _Short
    what = "response" if bits & 0x8000 else "query"
    row[3] = f"{what} 0x{ident:04x}"
    if bits & 15:
        row[3] += f" {_RCODES.get(bits & 15, f'rcode {bits & 15}')}"
    place = at + 12
    if questions:
        name, place = _name(b, at, place, end)
        row[3] += f" {_TYPES.get(b[place] << 8 | b[place + 1], 'TYPE?')} {name}"
        place += 4
    if questions != 1:
        return
    for _ in range(min(answers, 8)):
        name, place = _name(b, at, place, end)
        kind, size = struct.unpack_from("!H6xH", b, place)
        place += 10
        if place + size > end:
            raise _Short
        if kind == 1 and size == 4:
            row[3] += f" A {_ip4(b[place : place + 4])}"
        elif kind == 28 and size == 16:
            row[3] += f" AAAA {_ip6(b[place : place + 16])}"
        elif kind in (2, 5, 12):
            row[3] += f" {_TYPES[kind]} {_name(b, at, place, end)[0]}"
        else:
            row[3] += f" {_TYPES.get(kind, f'TYPE{kind}')}"
        place += size


def _name(b: bytes, start: int, at: int, end: int) -> tuple[str, int]:
    """The name at `at` of the message at `start`, and where it ends (RFC 1035, 4.1.4)."""
    labels: list[str] = []
    # a pointer must lead further back than every one before it, so there is no loop
    after, lowest = 0, at
    for _ in range(128):
        size = b[at]
        if at >= end:
            raise _Short
        if size == 0:
            return ".".join(labels) or ".", after or at + 1
        if size >= 0xC0:
            target = start + ((size & 0x3F) << 8 | b[at + 1])
            if target >= lowest:
                raise ValueError("DNS name points forward")
            after = after or at + 2
            at = lowest = target
        elif size < 0x40:
            if at + 1 + size > end:
                raise _Short
            labels.append(printable(b[at + 1 : at + 1 + size]))
            at += 1 + size
        else:
            raise ValueError("DNS label type")
    raise ValueError("DNS name of more than 128 parts")


def _dhcp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "DHCP"
    xid = struct.unpack_from("!4xI", b, at)[0]
    row[3] = f"BOOTP transaction 0x{xid:08x}"
    yours = _ip4(b[at + 16 : at + 20])
    if b[at + 236 : at + 240] != b"\x63\x82\x53\x63":
        return
    at += 240
    while at < end and b[at] != 255:
        if b[at] == 0:
            at += 1
            continue
        if b[at] == 53:
            name = _DHCP.get(b[at + 2], f"message {b[at + 2]}")
            offered = f" {yours}" if b[at + 2] in (2, 5) else ""
            row[3] = f"{name}{offered}, transaction 0x{xid:08x}"
            return
        at += 2 + b[at + 1]


def _vxlan(row: list[str], b: bytes, at: int, end: int) -> None:
    flags, vni = struct.unpack_from("!B3xI", b, at)
    if at + 8 > end:
        raise _Short
    row[0] = "VXLAN"
    if not flags & 8:
        raise ValueError("VXLAN without a VNI")
    _enter(row, f"VXLAN {vni >> 8}")
    _ethernet(row, b, at + 8, end)


def _icmp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ICMP"
    kind, code, one, two = struct.unpack_from("!BB2xHH", b, at)
    if at + 8 > end:
        raise _Short
    if kind in (0, 8):
        row[3] = f"echo {'reply' if kind == 0 else 'request'} id=0x{one:04x} seq={two}"
    else:
        row[3] = _ICMP.get(kind, f"type {kind}") + (f" (code {code})" if code else "")


def _icmp6(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ICMPv6"
    kind, code, one, two = struct.unpack_from("!BB2xHH", b, at)
    if at + 8 > end:
        raise _Short
    if kind in (128, 129):
        row[3] = f"echo {'reply' if kind == 129 else 'request'} id=0x{one:04x} seq={two}"
    elif kind == 135:
        row[3] = f"neighbor solicitation for {_ip6(b[at + 8 : at + 24])}"
    elif kind == 136:
        row[3] = f"neighbor advertisement {_ip6(b[at + 8 : at + 24])}"
    else:
        row[3] = _ICMP6.get(kind, f"type {kind}") + (f" (code {code})" if code else "")


_PROTOCOLS = {1: "ICMP", 2: "IGMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP",
              51: "AH", 58: "ICMPv6", 59: "no next header", 89: "OSPF", 112: "VRRP", 132: "SCTP"}  # fmt: skip
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
          41: "OPT", 64: "SVCB", 65: "HTTPS", 255: "ANY"}  # fmt: skip
_RCODES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
_DHCP = {1: "Discover", 2: "Offer", 3: "Request", 4: "Decline", 5: "ACK", 6: "NAK", 7: "Release", 8: "Inform"}
_UNREACHABLE = "destination unreachable"
_ICMP = {3: _UNREACHABLE, 4: "source quench", 5: "redirect", 9: "router advertisement", 11: "time exceeded",
         10: "router solicitation", 12: "parameter problem", 13: "timestamp"}  # fmt: skip
_ICMP6 = {1: _UNREACHABLE, 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 137: "redirect",
          130: "multicast listener query", 131: "multicast listener report", 133: "router solicitation",
          134: "router advertisement", 143: "multicast listener report v2"}  # fmt: skip
_ETHER: dict[int, _Layer] = {0x800: _ipv4, 0x806: _arp, 0x86DD: _ipv6}
_IP: dict[int, _Layer] = {1: _icmp, 4: _ipv4, 6: _tcp, 17: _udp, 41: _ipv6, 58: _icmp6}
_UDP: dict[int, _Layer] = {53: _dns, 5353: _dns, 67: _dhcp, 68: _dhcp, 4789: _vxlan}
