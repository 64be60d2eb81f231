"""Options that follow a header as type, length and value: TCP's and DHCP's, read from their own bytes.

scapy keeps of them what it needs to send them again; which bytes an option has, and what is left of a
broken one, it does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import inet_ntoa

from scapy.layers.dhcp import DHCPOptions, DHCPTypes
from scapy.layers.inet import TCPOptions

from capture.fields import Field, printable

_TEXT_MAX = 256
_LIST_MAX = 256  #: options shown

_TCP_WORDS = {
    0: "end of options",
    1: "no operation",
    2: "maximum segment size",
    3: "window scale",
    4: "SACK permitted",
    5: "SACK",
    8: "timestamps",
    19: "MD5 signature",
    28: "user timeout",
    29: "authentication",
    30: "multipath",
    34: "fast open cookie",
}


def tcp_options(data: bytes, base: int) -> tuple[Field, ...]:
    """The options in `data`, which begins at byte `base` of the frame."""
    made: list[Field] = []
    at = 0
    while at < len(data) and len(made) < _LIST_MAX:
        kind = data[at]
        given = data[at + 1] if at + 1 < len(data) and kind > 1 else 1
        size = min(max(given, 2 if kind > 1 else 1), len(data) - at)
        body = data[at + 2 : at + size]
        words = _TCP_WORDS.get(kind) or str(TCPOptions[0].get(kind, (f"option {kind}",))[0])
        parts = [Field("kind", str(kind), (base + at) * 8, 8, filter="tcp.option_kind")]
        if kind > 1 and size > 1:
            parts.append(Field("length", f"{given} bytes", (base + at + 1) * 8, 8, filter="tcp.option_len"))
        wrong = kind > 1 and given != 2 + len(body)
        values = [] if wrong else _tcp_values(kind, body, base + at + 2)
        text = ", ".join(value.text for value in values)
        if not values and body:
            parts.append(Field("value", body.hex(" "), (base + at + 2) * 8, len(body) * 8))
            text = body.hex(" ")
        if wrong:
            text = f"length {given} is wrong, {len(body) + 2 if size > 1 else size} bytes are there"
        if kind == 8 and len(values) == 2:
            text = f"{values[0].text}, echo {values[1].text}"
        made.append(Field(printable(words, 64), text, (base + at) * 8, size * 8, "field", (*parts, *values)))
        at += size
        if kind == 0:
            break
    if at < len(data):
        made.append(Field("padding", data[at:].hex(" "), (base + at) * 8, (len(data) - at) * 8))
    return tuple(made)


def _tcp_values(kind: int, body: bytes, base: int) -> list[Field]:
    """What the body of an option says, if it has the length that its kind has."""

    def number(name: str, at: int, size: int, filter_: str, unit: str = "") -> Field:
        text = f"{int.from_bytes(body[at : at + size])}{unit}"
        return Field(name, text, (base + at) * 8, size * 8, filter=filter_)

    if kind == 2 and len(body) == 2:
        return [number("value", 0, 2, "tcp.options.mss_val", " bytes")]
    if kind == 3 and len(body) == 1:
        return [number("shift", 0, 1, "tcp.options.wscale.shift")]
    if kind == 8 and len(body) == 8:
        return [
            number("value", 0, 4, "tcp.options.timestamp.tsval"),
            number("echo", 4, 4, "tcp.options.timestamp.tsecr"),
        ]
    if kind == 5 and body and len(body) % 8 == 0:
        return [
            field
            for at in range(0, len(body), 8)
            for field in (
                number("left edge", at, 4, "tcp.options.sack_le"),
                number("right edge", at + 4, 4, "tcp.options.sack_re"),
            )
        ]
    return []


def _addresses(body: bytes) -> str:
    if not body or len(body) % 4:
        return body.hex(" ")
    return ", ".join(inet_ntoa(body[at : at + 4]) for at in range(0, min(len(body), 64), 4))


def _seconds(body: bytes) -> str:
    return f"{int.from_bytes(body)} s" if len(body) == 4 else body.hex(" ")


def _number(body: bytes) -> str:
    return str(int.from_bytes(body)) if len(body) in (1, 2, 4) else body.hex(" ")


def _message(body: bytes) -> str:
    return f"{DHCPTypes.get(body[0], 'message')} ({body[0]})" if len(body) == 1 else body.hex(" ")


def _parameters(body: bytes) -> str:
    return ", ".join(f"{_dhcp_name(code)} ({code})" for code in body[:32])


def text_or_hex(body: bytes) -> str:
    """Bytes as the text that they are, or in hexadecimal."""
    plain = body.rstrip(b"\0")
    if plain and plain.isascii() and plain.decode().isprintable():
        return plain.decode()
    return body[:_TEXT_MAX].hex(" ")


_DHCP_SHOWS: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys((1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 28, 32, 41, 42, 44, 45, 48, 49, 50, 54), _addresses),
    **dict.fromkeys((2, 24, 35, 38, 51, 58, 59), _seconds),
    **dict.fromkeys((13, 19, 20, 22, 23, 26, 27, 29, 30, 31, 34, 36, 37, 39, 46, 52, 57), _number),
    53: _message,
    55: _parameters,
}


def _client(body: bytes, start: int) -> tuple[Field, ...]:
    """A client identifier: a type of hardware and its address, where it has that form."""
    if body[0] != 1 or len(body) != 7:
        return ()
    kind = Field("hardware type", "Ethernet (1)", start, 8, filter="dhcp.hw.type")
    return kind, Field("address", body[1:].hex(":"), start + 8, 48, filter="dhcp.hw.mac_addr")


def _dhcp_name(code: int) -> str:
    known = DHCPOptions.get(code)
    name = known if isinstance(known, str) else getattr(known, "name", "") or f"option {code}"
    return printable(str(name).replace("_", " ").replace("-", " "), 64)


def dhcp_options(data: bytes, base: int) -> tuple[Field, ...]:
    """The options in `data`, which begins at byte `base` of the frame."""
    made: list[Field] = []
    at = 0
    while at < len(data) and len(made) < _LIST_MAX:
        code = data[at]
        if code == 0:  # pads stand in rows
            stop = len(data) - len(data[at:].lstrip(b"\0"))
            made.append(Field("padding", f"{stop - at} bytes", (base + at) * 8, (stop - at) * 8))
            at = stop
            continue
        start = (base + at) * 8
        parts = [Field("code", str(code), start, 8)]
        if code == 255:
            made.append(Field("end (255)", "", start, 8, "field", tuple(parts), "dhcp.option.type"))
            at += 1
            break
        size = 2 + data[at + 1] if at + 1 < len(data) else 1
        body = data[at + 2 : at + size]
        there = min(size, len(data) - at)
        if there > 1:
            length = f"{data[at + 1]} bytes"
            parts.append(Field("length", length, start + 8, 8, filter="dhcp.option.length"))
        text = printable(_DHCP_SHOWS.get(code, text_or_hex)(body), _TEXT_MAX)
        if body:
            value = _client(body, start + 16) if code == 61 else ()
            parts.append(Field("value", text, start + 16, len(body) * 8, "field", value, "dhcp.option.value"))
        if there < size or size < 2:
            text = f"{text} [cut]".lstrip()
        name = f"{_dhcp_name(code)} ({code})"
        made.append(Field(name, text, start, there * 8, "field", tuple(parts), "dhcp.option.type"))
        at += there
    if at < len(data):
        made.append(Field("padding", f"{len(data) - at} bytes", (base + at) * 8, (len(data) - at) * 8))
    return tuple(made)
