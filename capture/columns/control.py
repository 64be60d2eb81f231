"""Protocols that keep a network going: ARP, ICMP, ICMPv6, IGMP, bridges, discovery, aggregation, routing."""

from __future__ import annotations

import struct

from capture.columns.names import SLOW_NAMES
from capture.columns.row import Short, ip4, ip6, mac
from capture.fields import printable


def arp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ARP"
    hardware, protocol, hlen, plen, op = struct.unpack_from("!HHBBH", b, at)
    if end - at < 8 + 2 * (hlen + plen):
        raise Short
    if (hardware, protocol, hlen, plen) != (1, 0x800, 6, 4):
        row[3] = f"hardware {hardware}, protocol 0x{protocol:04x}, operation {op}"
        return
    sender, target = ip4(b[at + 14 : at + 18]), ip4(b[at + 24 : at + 28])
    if op == 1:
        row[3] = f"announcement for {sender}" if sender == target else f"who has {target}? tell {sender}"
    elif op == 2:
        row[3] = f"{sender} is at {mac(b[at + 8 : at + 14])}"
    else:
        row[3] = f"operation {op}"


def icmp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ICMP"
    kind, code, one, two = struct.unpack_from("!BB2xHH", b, at)
    if at + 8 > end:
        raise Short
    if kind in (0, 8):
        row[3] = f"echo {'reply' if kind == 0 else 'request'} id=0x{one:04x} seq={two}"
    else:
        row[3] = _ICMP.get(kind, f"type {kind}") + (f" (code {code})" if code else "")


def icmp6(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "ICMPv6"
    kind, code, one, two = struct.unpack_from("!BB2xHH", b, at)
    if at + 8 > end:
        raise Short
    if kind in (128, 129):
        row[3] = f"echo {'reply' if kind == 129 else 'request'} id=0x{one:04x} seq={two}"
    elif kind == 135:
        row[3] = f"neighbor solicitation for {ip6(b[at + 8 : at + 24])}"
    elif kind == 136:
        row[3] = f"neighbor advertisement {ip6(b[at + 8 : at + 24])}"
    else:
        row[3] = _ICMP6.get(kind, f"type {kind}") + (f" (code {code})" if code else "")


_QUERIES = {0x11: "query", 0x12: "report v1", 0x16: "report", 0x17: "leave", 0x22: "report v3"}


def igmp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "IGMP"
    kind = b[at]
    if at + 8 > end:
        raise Short
    group = ip4(b[at + 4 : at + 8])
    row[3] = _QUERIES.get(kind, f"type 0x{kind:02x}")
    if kind == 0x22:
        count = struct.unpack_from("!H", b, at + 6)[0]
        first = f": {ip4(b[at + 12 : at + 16])}" if count and at + 16 <= end else ""
        row[3] += f", {count} group{'s'[: count != 1]}{first}{', ...' if count > 1 else ''}"
    elif group != "0.0.0.0":
        row[3] += f" {group}"
    elif kind == 0x11:
        row[3] = "general query"


def bridging(row: list[str], b: bytes, at: int, end: int) -> None:
    """A bridge's message (IEEE 802.1D, 9)."""
    if at + 4 > end:
        raise Short
    version, kind = b[at + 2], b[at + 3]
    if kind == 0x80:
        row[3] = "topology change notification"
        return
    flags, root, root_mac, cost, _, bridge_mac, port = struct.unpack_from("!BH6sIH6sH", b, at + 4)
    if at + 27 > end:
        raise Short
    word = {0: "spanning tree", 2: "rapid spanning tree", 3: "multiple spanning tree"}.get(version, "?")
    change = ", topology change" if flags & 1 else ""
    who = "is the root" if bridge_mac == root_mac else f"has root {mac(root_mac)}"
    row[3] = f"{word}: {mac(bridge_mac)} {who}, priority {root}, cost {cost}, port 0x{port:04x}{change}"


def discovery(row: list[str], b: bytes, at: int, end: int) -> None:
    """Who a neighbour is: LLDP's units of type and length (IEEE 802.1AB, 8)."""
    said: dict[int, str] = {}
    for _ in range(32):
        if at + 2 > end:
            raise Short
        word = b[at] << 8 | b[at + 1]
        kind, size = word >> 9, word & 511
        at += 2
        if kind == 0:
            break
        if at + size > end:
            raise Short
        body = b[at : at + size]
        if kind in (1, 2) and size > 1:  # a MAC has its subtype: 4 of a chassis, 3 of a port
            is_mac = body[0] == (4, 3)[kind - 1] and size == 7
            is_ip = body[0] == (5, 4)[kind - 1] and size == 6 and body[1] == 1
            text = mac(body[1:]) if is_mac else ip4(body[2:]) if is_ip else printable(body[1:], 40)
            said.setdefault(kind, f"{('chassis', 'port')[kind - 1]} {text}")
        elif kind == 3 and size == 2:
            said.setdefault(8, f"for {body[0] << 8 | body[1]} s")
        elif kind == 5:
            said.setdefault(0, printable(body, 40))
        at += size
        row[3] = ", ".join(said[key] for key in sorted(said))


def slow(row: list[str], b: bytes, at: int, end: int) -> None:
    """Aggregation of links and its kin (IEEE 802.3, 57A and 802.1AX)."""
    if at >= end:
        raise Short
    row[0] = SLOW_NAMES.get(b[at], "Slow")
    if b[at] != 1:
        row[3] = f"subtype {b[at]}, {end - at} bytes"
        return
    sides = []
    for name, start in (("actor", at + 6), ("partner", at + 26)):
        if start + 15 > end:
            raise Short
        system, key, port, state = struct.unpack_from("!6sH2xHB", b, start)
        words = [word for bit, word in enumerate(_STATES) if state >> bit & 1 and word]
        sides.append(f"{name} {mac(system)} key {key} port {port} [{', '.join(words)}]")
        row[3] = ", ".join(sides)


_STATES = (
    "active",
    "short timeout",
    "aggregating",
    "in sync",
    "collecting",
    "distributing",
    "defaulted",
    "expired",
)
_OSPF = {1: "hello", 2: "database description", 3: "link state request", 4: "link state update",
         5: "link state acknowledgment"}  # fmt: skip
_PIM = {0: "hello", 1: "register", 2: "register stop", 3: "join/prune", 4: "bootstrap", 5: "assert",
        6: "graft", 7: "graft acknowledgment", 8: "candidate"}  # fmt: skip


def control(row: list[str], b: bytes, at: int, end: int) -> None:
    """One line of ESP, OSPF, PIM or VRRP, whichever the row is of."""
    if at + 8 > end:
        raise Short
    if row[0] == "ESP":
        spi, sequence = struct.unpack_from("!II", b, at)
        row[3] = f"encrypted, parameters 0x{spi:08x} seq={sequence} len={end - at - 8}"
    elif row[0] == "OSPF":
        row[3] = f"{_OSPF.get(b[at + 1], f'type {b[at + 1]}')} from router {ip4(b[at + 4 : at + 8])}"
    elif row[0] == "PIMv2":
        row[3] = _PIM.get(b[at] & 15, f"type {b[at] & 15}")
    else:
        row[3] = f"router {b[at + 1]}, priority {b[at + 2]} (version {b[at] >> 4})"


_UNREACHABLE = "destination unreachable"
_ICMP = {3: _UNREACHABLE, 4: "source quench", 5: "redirect", 9: "router advertisement", 11: "time exceeded",
         10: "router solicitation", 12: "parameter problem", 13: "timestamp"}  # fmt: skip
_ICMP6 = {1: _UNREACHABLE, 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 137: "redirect",
          130: "multicast listener query", 131: "multicast listener report", 133: "router solicitation",
          134: "router advertisement", 143: "multicast listener report v2"}  # fmt: skip
