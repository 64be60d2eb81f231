"""Layers that carry others: Ethernet, tags, LLC, MPLS, PPPoE, IP, GRE, UDP, VXLAN, Geneve."""

from __future__ import annotations

import struct
from functools import partial

from capture.columns.control import arp, bridging, control, discovery, icmp, icmp6, igmp, slow
from capture.columns.names import ETHER_NAMES, IP_NAMES, LLC_NAMES, PORT_NAMES, PPP_NAMES, SNAP_NAMES
from capture.columns.row import Layer, Short, enter, ip4, ip6, mac
from capture.columns.talk import dhcp, dhcp6, dns, ntp, ssdp
from capture.columns.transport import sctp, tcp

_EXTENSIONS = 32  #: extension headers of one IPv6 packet


def ethernet(row: list[str], b: bytes, at: int, end: int) -> None:
    if end - at < 14:
        row[0], row[3] = "Ethernet", f"{end - at} bytes"
        raise Short
    row[1], row[2] = mac(b[at + 6 : at + 12]), mac(b[at : at + 6])
    at += 12
    kind = b[at] << 8 | b[at + 1]
    at += 2
    while kind in (0x8100, 0x88A8, 0x9100):
        row[0] = "VLAN"
        enter(row, f"VLAN {(b[at] & 15) << 8 | b[at + 1]}")
        kind = b[at + 2] << 8 | b[at + 3]
        at += 4
    if at > end:
        raise Short
    if kind < 0x600:
        _llc(row, b, at, end, kind)
    elif not _typed(row, b, at, end, kind):
        row[0], row[3] = f"0x{kind:04x}", f"{end - at} bytes"


def _typed(row: list[str], b: bytes, at: int, end: int, kind: int) -> bool:
    """What an EtherType says of data[at:end]; false where it is not known, and the row as it was."""
    if layer := _ETHER.get(kind):
        layer(row, b, at, end)
    elif name := ETHER_NAMES.get(kind):
        row[0], row[3] = name, f"{end - at} bytes"
        if layer := _ETHER_ENDS.get(kind):
            layer(row, b, at, end)
    elif kind in (0x8100, 0x88A8, 0x9100):  # behind another header than Ethernet's
        row[0] = "VLAN"
        enter(row, f"VLAN {(b[at] & 15) << 8 | b[at + 1]}")
        inner = b[at + 2] << 8 | b[at + 3]
        if inner < 0x600:
            _llc(row, b, at + 4, end, inner)
        elif not _typed(row, b, at + 4, end, inner):
            row[0], row[3] = f"0x{inner:04x}", f"{end - at - 4} bytes"
    else:
        return False
    return True


def _llc(row: list[str], b: bytes, at: int, end: int, size: int) -> None:
    """A frame that has its length where others have a type (IEEE 802.2)."""
    row[0], row[3] = "LLC", f"{size} bytes"
    stop = at + size
    if size > 1500:
        return
    if stop > end:
        stop = end
        cut = True
    else:
        cut = False
    head = b[at : min(at + 8, stop)]
    if name := SNAP_NAMES.get(head):
        row[0] = name
        if name == "STP":
            bridging(row, b, at + 8, stop)
    elif name := LLC_NAMES.get(head[:3]):
        row[0] = name
        if name == "STP":
            bridging(row, b, at + 3, stop)
    elif head[:6] == b"\xaa\xaa\x03\0\0\0" and len(head) == 8:
        kind = head[6] << 8 | head[7]
        if not _typed(row, b, at + 8, stop, kind):
            row[3] = f"SNAP, type 0x{kind:04x}, {size} bytes"
    elif len(head) >= 3:
        row[3] = f"from service 0x{head[1]:02x} to 0x{head[0]:02x}, {size} bytes"
    if cut:
        raise Short


def _mpls(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "MPLS"
    while True:
        if at + 4 > end:
            raise Short
        word = int.from_bytes(b[at : at + 4])
        enter(row, f"MPLS {word >> 12}")
        at += 4
        if word & 0x100:
            break
    row[3] = f"{end - at} bytes"
    if at >= end:
        raise Short
    version = b[at] >> 4  # nothing else says what is inside
    if version == 4:
        _ipv4(row, b, at, end)
    elif version == 6:
        _ipv6(row, b, at, end)


_DISCOVERY = {0x07: "offer (PADO)", 0x09: "initiation (PADI)", 0x19: "request (PADR)",
              0x65: "session confirmation (PADS)", 0xA7: "terminate (PADT)"}  # fmt: skip
_PPP_CODES = {1: "Configure-Request", 2: "Configure-Ack", 3: "Configure-Nak", 4: "Configure-Reject",
              5: "Terminate-Request", 6: "Terminate-Ack", 7: "Code-Reject", 8: "Protocol-Reject",
              9: "Echo-Request", 10: "Echo-Reply", 11: "Discard-Request"}  # fmt: skip


def _pppoe(row: list[str], b: bytes, at: int, end: int) -> None:
    """Discovery and session of PPP over Ethernet (RFC 2516)."""
    code, session, size = struct.unpack_from("!xBHH", b, at)
    if at + 6 > end:
        raise Short
    at += 6
    stop = at + size
    if row[0] == "PPPoED":
        tail = f" session 0x{session:04x}" if session else ""
        row[3] = f"{_DISCOVERY.get(code, f'code {code}')}{tail}"
        if stop > end:
            raise Short
        return
    row[3] = f"session 0x{session:04x}, {size} bytes"
    kind = struct.unpack_from("!H", b, at)[0]
    if at + 2 > min(stop, end):
        raise Short
    if kind in (0x21, 0x57):
        enter(row, f"PPPoE 0x{session:04x}")
        (_ipv4 if kind == 0x21 else _ipv6)(row, b, at + 2, min(stop, end))
    elif kind in PPP_NAMES:
        row[0] = PPP_NAMES[kind]
        row[3] = (
            _PPP_CODES.get(b[at + 2], f"code {b[at + 2]}") if kind & 0xFF == 0x21 else f"code {b[at + 2]}"
        )
    else:
        row[3] = f"session 0x{session:04x}, protocol 0x{kind:04x}, {size} bytes"
    if stop > end:
        raise Short


def _ipv4(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "IPv4"
    version_ihl, _, total, ident, fragment, _ttl, protocol = struct.unpack_from("!BBHHHBB", b, at)
    if at + 20 > end:
        raise Short
    row[1], row[2] = ip4(b[at + 12 : at + 16]), ip4(b[at + 16 : at + 20])
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
        raise Short
    row[1], row[2] = ip6(b[at + 8 : at + 24]), ip6(b[at + 24 : at + 40])
    if first >> 28 != 6:
        raise ValueError(f"IP version {first >> 28}")
    at += 40
    _ip_payload(row, b, at, at + length, end, following, 0, False, 0)


def _ip_payload(
    row: list[str], b: bytes, at: int, stop: int, end: int, protocol: int, place: int, more: bool, ident: int
) -> None:
    """What an IP packet carries: data[at:stop] as it says, data[at:end] as there is."""
    for _ in range(_EXTENSIONS):
        if place or more:
            break
        if protocol in (0, 43, 60, 135, 139, 140) and row[0] == "IPv6":
            protocol, size = b[at], 8 + b[at + 1] * 8
        elif protocol == 51:
            protocol, size = b[at], 8 + b[at + 1] * 4
        elif protocol == 44 and row[0] == "IPv6":
            protocol, size, where, ident = b[at], 8, *struct.unpack_from("!HI", b, at + 2)
            place, more = where & 0xFFF8, bool(where & 1)
        else:
            break
        at += size
        if at > stop:
            raise ValueError("extension header longer than the packet")
    else:
        raise ValueError(f"more than {_EXTENSIONS} extension headers")
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    if place or more:
        row[0] += " fragment"
        last = "" if more else ", the last"
        row[3] = f"{name}, bytes {place}-{place + max(stop - at, 1) - 1}{last} (id 0x{ident:04x})"
    elif protocol in _IP and stop > at:
        if protocol in (4, 41):
            enter(row, f"in {row[0]} {row[1]} > {row[2]}")
        try:
            _IP[protocol](row, b, at, min(stop, end))
        except ValueError:
            if stop > end:  # what contradicts may be no more than the cut
                raise Short from None
            raise
    else:
        row[0] = IP_NAMES.get(protocol, row[0])
        row[3] = f"{name}, {max(stop - at, 0)} bytes"
        if layer := _IP_ENDS.get(protocol):
            layer(row, b, at, min(stop, end))
    if stop > end:
        raise Short


def _gre(row: list[str], b: bytes, at: int, end: int) -> None:
    outer = row[0]
    row[0] = "GRE"
    flags, kind = struct.unpack_from("!HH", b, at)
    if at + 4 > end:
        raise Short
    row[3] = f"type 0x{kind:04x}"
    if flags & 7:
        row[3] = f"version {flags & 7}, type 0x{kind:04x}"  # PPTP's has other fields
        return
    at += 4
    if flags & 0xC000:
        at += 4
    key = ""
    if flags & 0x2000:
        key = f" key {struct.unpack_from('!I', b, at)[0]}"
        at += 4
    if flags & 0x1000:
        at += 4
    if at > end:
        raise Short
    enter(row, f"GRE{key} in {outer} {row[1]} > {row[2]}")
    if not _inside(row, b, at, end, kind):
        row[3] = f"type 0x{kind:04x}, {end - at} bytes"


def _inside(row: list[str], b: bytes, at: int, end: int, kind: int) -> bool:
    """What a tunnel carries, which may be a whole Ethernet frame."""
    if kind == 0x6558:
        ethernet(row, b, at, end)
        return True
    return _typed(row, b, at, end, kind)


def _udp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "UDP"
    source, target, length = struct.unpack_from("!HHH", b, at)
    row[3] = f"{source} \u2192 {target}"
    if length < 8 and length:
        raise ValueError(f"UDP length {length}")
    stop = at + length if length else end
    row[3] += f" len={stop - at - 8}"
    if min(stop, end) > at + 8:
        low, high = (source, target) if source < target else (target, source)
        layer = _UDP.get(low) or _UDP.get(high)  # the lower port first, as Wireshark does
        if layer is None:
            port = low if low in PORT_NAMES else high
            row[0] = PORT_NAMES.get(port, "UDP")
            layer = _UDP_ENDS.get(port)
        if layer is not None:
            layer(row, b, at + 8, min(stop, end))
    if stop > end:
        raise ValueError(f"UDP length {length}")


def _vxlan(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "VXLAN"
    flags, vni = struct.unpack_from("!B3xI", b, at)
    if at + 8 > end:
        raise Short
    enter(row, f"VXLAN {vni >> 8}" if flags & 8 else "VXLAN without a VNI")
    ethernet(row, b, at + 8, end)


def _geneve(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "Geneve"
    size, kind, vni = struct.unpack_from("!BxHI", b, at)
    start = at + 8 + (size & 63) * 4
    if start > end:
        raise Short
    enter(row, f"Geneve {vni >> 8}")
    if not _inside(row, b, start, end, kind):
        row[3] = f"type 0x{kind:04x}, {end - start} bytes"


_PROTOCOLS = {1: "ICMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 51: "AH", 58: "ICMPv6",
              59: "no next header", **IP_NAMES}  # fmt: skip
_ETHER: dict[int, Layer] = {0x800: _ipv4, 0x806: arp, 0x8035: arp, 0x86DD: _ipv6, 0x8847: _mpls,
                            0x8848: _mpls, 0x6558: ethernet}  # fmt: skip
_ETHER_ENDS: dict[int, Layer] = {0x8809: slow, 0x8863: _pppoe, 0x8864: _pppoe, 0x88CC: discovery}
_IP: dict[int, Layer] = {1: icmp, 4: _ipv4, 6: tcp, 17: _udp, 41: _ipv6, 47: _gre, 58: icmp6}
_IP_ENDS: dict[int, Layer] = {2: igmp, 50: control, 89: control, 103: control, 112: control, 132: sctp}
_UDP: dict[int, Layer] = {
    53: dns,
    5353: partial(dns, name="MDNS"),
    5355: partial(dns, name="LLMNR"),
    67: dhcp,
    68: dhcp,
    4789: _vxlan,
    6081: _geneve,
}
_UDP_ENDS: dict[int, Layer] = {123: ntp, 546: dhcp6, 547: dhcp6, 1900: ssdp}
