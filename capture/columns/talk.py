"""What people run on top: DNS, DHCP, NTP, HTTP, TLS, each from one packet's own bytes."""

from __future__ import annotations

import struct

from capture.columns.names import HTTP_STARTS
from capture.columns.row import Short, ip4, ip6
from capture.fields import printable


def stream(row: list[str], b: bytes, at: int, end: int, names: bool) -> None:
    """What the first bytes of a TCP segment show: HTTP, TLS, or, where `names` says so, DNS."""
    head = b[at : min(at + 8, end)]
    if len(head) < 6:
        return
    length = head[0] << 8 | head[1]
    if names and 4 <= length <= end - at - 2:
        dns(row, b, at + 2, at + 2 + length)
    elif head.startswith(HTTP_STARTS):
        row[0] = "HTTP"
        row[3] = first_line(b, at, end)
    elif 20 <= head[0] <= 23 and head[1] == 3 and head[2] < 5:
        row[0] = "TLS"
        row[3] = _tls(b, at, end)


def first_line(b: bytes, at: int, end: int) -> str:
    return printable(b[at : min(end, at + 120)].split(b"\r\n", 1)[0])


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


def dns(row: list[str], b: bytes, at: int, end: int, name: str = "DNS") -> None:
    row[0] = name
    ident, bits, questions, answers = struct.unpack_from("!HHHH", b, at)
    if at + 12 > end:
        raise Short
    what = "response" if bits & 0x8000 else "query"
    row[3] = f"{what} 0x{ident:04x}"
    if bits & 15:
        row[3] += f" {_RCODES.get(bits & 15, f'rcode {bits & 15}')}"
    place = at + 12
    if questions:
        asked, place = _name(b, at, place, end)
        row[3] += f" {_TYPES.get(b[place] << 8 | b[place + 1], 'TYPE?')} {asked}"
        place += 4
    if questions != 1:
        return
    for _ in range(min(answers, 8)):
        _, place = _name(b, at, place, end)
        kind, size = struct.unpack_from("!H6xH", b, place)
        place += 10
        if place + size > end:
            raise Short
        if kind == 1 and size == 4:
            row[3] += f" A {ip4(b[place : place + 4])}"
        elif kind == 28 and size == 16:
            row[3] += f" AAAA {ip6(b[place : place + 16])}"
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
            raise Short
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
                raise Short
            labels.append(printable(b[at + 1 : at + 1 + size]))
            at += 1 + size
        else:
            raise ValueError("DNS label type")
    raise ValueError("DNS name of more than 128 parts")


def dhcp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[0] = "DHCP"
    xid = struct.unpack_from("!4xI", b, at)[0]
    row[3] = f"BOOTP transaction 0x{xid:08x}"
    yours = ip4(b[at + 16 : at + 20])
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


_DHCP6 = {1: "Solicit", 2: "Advertise", 3: "Request", 4: "Confirm", 5: "Renew", 6: "Rebind", 7: "Reply",
          8: "Release", 9: "Decline", 10: "Reconfigure", 11: "Information-request", 12: "Relay-forward",
          13: "Relay-reply"}  # fmt: skip


def dhcp6(row: list[str], b: bytes, at: int, end: int) -> None:
    if at + 4 > end:
        raise Short
    name = _DHCP6.get(b[at], f"message {b[at]}")
    if b[at] in (12, 13):
        row[3] = f"{name}, link {ip6(b[at + 2 : at + 18])}, peer {ip6(b[at + 18 : at + 34])}"
    else:
        row[3] = f"{name}, transaction 0x{b[at + 1 : at + 4].hex()}"


_MODES = (
    "reserved",
    "symmetric active",
    "symmetric passive",
    "client",
    "server",
    "broadcast",
    "control",
    "private",
)


def ntp(row: list[str], b: bytes, at: int, end: int) -> None:
    first = b[at]
    row[3] = f"version {first >> 3 & 7}, {_MODES[first & 7]}"
    if first & 7 in (6, 7):
        return
    if at + 48 > end:
        raise Short
    if first & 7 > 3 and b[at + 1]:
        row[3] += f", stratum {b[at + 1]}"


def ssdp(row: list[str], b: bytes, at: int, end: int) -> None:
    row[3] = first_line(b, at, end)


_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
          41: "OPT", 64: "SVCB", 65: "HTTPS", 255: "ANY"}  # fmt: skip
_RCODES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
_DHCP = {1: "Discover", 2: "Offer", 3: "Request", 4: "Decline", 5: "ACK", 6: "NAK", 7: "Release", 8: "Inform"}
