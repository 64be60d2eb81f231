"""What TCP and UDP carry, where scapy is not asked: DNS, HTTP and TLS, each from one segment's own bytes.

A segment shows what it shows: nothing is put together from several (`capture.streams` does that). What is cut
off by the end of the segment is named by its length.
"""

from __future__ import annotations

import struct

from capture.dissection import dns
from capture.fields import Field, printable

_LINES = 128  #: header lines shown
_RECORDS = 64  #: TLS records and handshake messages shown
_TEXT_MAX = 256

_NAME_SERVICES = {53: "DNS", 5353: "mDNS", 5355: "LLMNR"}


def read(protocol: str, ports: tuple[int, int], data: bytes, base: int) -> list[Field] | None:
    """The layers of a payload at byte `base` of the frame; None where it is none of ours.

    `protocol` is TCP or UDP, `ports` the source's and the destination's.
    """
    kind = next((_NAME_SERVICES[port] for port in ports if port in _NAME_SERVICES), "")
    if protocol == "UDP":
        if len(data) < 12 or not (kind or dns.plausible(data)):
            return _http(data, base) if data.startswith(_REQUESTS) or data.startswith(b"HTTP/1.") else None
        return [dns.read(data, base, kind or "DNS")]
    if kind == "DNS":
        return _dns_stream(data, base)
    if data.startswith(_REQUESTS) or data.startswith(b"HTTP/1."):
        return _http(data, base)
    if _is_tls(data):
        return [_tls(data, base)]
    return None


def _dns_stream(data: bytes, base: int) -> list[Field] | None:
    """DNS over TCP: two bytes of length before the message."""
    if len(data) < 14:
        return None
    length = int.from_bytes(data[:2])
    if length < 12:
        return None
    message = dns.read(data[2 : 2 + length], base + 2)
    size = Field("length", f"{length} bytes", base * 8, 16, filter="dns.length")
    whole = min(2 + length, len(data))
    made = [
        Field("DNS", message.text, base * 8, whole * 8, "layer", (size, *message.children)),
    ]
    return made + rest("data", data, whole, base)


def rest(name: str, data: bytes, at: int, base: int) -> list[Field]:
    """What follows byte `at`, as one layer; nothing if nothing does."""
    if at >= len(data):
        return []
    left = len(data) - at
    start = (base + at) * 8
    inner = Field("bytes", printable(data[at:], _TEXT_MAX), start, left * 8)
    return [Field(name, f"{left} byte{'s'[: left != 1]}", start, left * 8, "layer", (inner,))]


_METHODS = (
    "GET POST PUT HEAD DELETE OPTIONS PATCH CONNECT TRACE NOTIFY M-SEARCH SUBSCRIBE UNSUBSCRIBE PROPFIND "
    "PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH"
)
_REQUESTS = tuple(f"{method} ".encode() for method in _METHODS.split())


def _http(data: bytes, base: int) -> list[Field] | None:
    """The first line and the header lines of a message, and its body as far as the segment has it."""
    stop = data.find(b"\r\n")
    first = data[: stop if stop >= 0 else len(data)]
    parts = _http_first(first, base)
    if parts is None:
        return None
    text = printable(first, _TEXT_MAX)
    at = size = len(first) + 2 if stop >= 0 else len(data)
    if stop >= 0:
        parts.append(Field("end of the line", "", (base + stop) * 8, 16))
    kind = "response" if first.startswith(b"HTTP/") else "request"
    fields = [Field(kind, text, base * 8, size * 8, "field", tuple(parts))]
    while at < len(data) and len(fields) <= _LINES:
        stop = data.find(b"\r\n", at)
        if stop < 0:  # the segment ends inside a line
            fields.append(_line(data[at:], base + at, len(data) - at))
            at = len(data)
        elif stop == at:
            fields.append(Field("end of the header", "", (base + at) * 8, 16))
            at += 2
            break
        else:
            fields.append(_line(data[at:stop], base + at, stop + 2 - at))
            at = stop + 2
    made = [Field("HTTP", text, base * 8, min(at, len(data)) * 8, "layer", tuple(fields))]
    return made + rest("HTTP body", data, at, base)


def _http_first(line: bytes, base: int) -> list[Field] | None:
    """The words of a first line; None if it is no such line."""
    words = line.split(b" ", 2)
    if len(words) < 2:
        return None
    places, at = [], 0
    for word in words:
        places.append(((base + at) * 8, len(word) * 8))
        at += len(word) + 1
    if line.startswith(b"HTTP/"):
        names = ("version", "status", "phrase")
        filters = ("http.response.version", "http.response.code", "http.response.phrase")
    else:
        names, filters = (
            ("method", "target", "version"),
            ("http.request.method", "http.request.uri", "http.request.version"),
        )
        if len(words) == 3 and not words[2].startswith(b"HTTP/"[: len(words[2])]):
            return None
    made: list[Field] = []
    for name, filter_, word, (start, length) in zip(names, filters, words, places, strict=False):
        if made:
            made.append(Field("space", "", start - 8, 8))
        if length:
            made.append(Field(name, printable(word, _TEXT_MAX), start, length, filter=filter_))
    return made


def _line(line: bytes, base: int, size: int) -> Field:
    name, colon, text = line.partition(b":")
    if not colon or not name.isascii():
        return Field("line", printable(line, _TEXT_MAX), base * 8, size * 8)
    return Field(printable(name, 64), printable(text.strip(), _TEXT_MAX), base * 8, size * 8)


_RECORD_TYPES = {20: "Change Cipher Spec", 21: "Alert", 22: "Handshake", 23: "Application Data",
                 24: "Heartbeat"}  # fmt: skip
_HANDSHAKES = {0: "Hello Request", 1: "Client Hello", 2: "Server Hello", 4: "New Session Ticket",
               8: "Encrypted Extensions", 11: "Certificate", 12: "Server Key Exchange",
               13: "Certificate Request", 14: "Server Hello Done", 15: "Certificate Verify",
               16: "Client Key Exchange", 20: "Finished", 22: "Certificate Status",
               24: "Key Update"}  # fmt: skip
_VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}
_EXTENSIONS = {0: "server name", 1: "maximum fragment length", 5: "status request", 10: "supported groups",
               11: "point formats", 13: "signature algorithms", 16: "application protocols",
               18: "certificate timestamp", 21: "padding", 22: "encrypt then MAC",
               23: "extended main secret", 35: "session ticket", 41: "pre-shared key", 42: "early data",
               43: "supported versions", 45: "key exchange modes", 51: "key share",
               65281: "renegotiation info"}  # fmt: skip


def _is_tls(data: bytes) -> bool:
    """Whether it begins as a TLS record does: type, version, and a length that a record may have."""
    if len(data) < 6:
        return False
    kind, version, length = struct.unpack_from("!BHH", data)
    return kind in _RECORD_TYPES and version in _VERSIONS and 0 < length <= 0x4800


def _tls(data: bytes, base: int) -> Field:
    """The records of a segment; each says what it carries as far as it is not encrypted."""
    made: list[Field] = []
    at = 0
    plain = True
    while at + 5 <= len(data) and len(made) < _RECORDS and _is_tls(data[at : at + 6].ljust(6)):
        kind, version, length = struct.unpack_from("!BHH", data, at)
        stop = min(at + 5 + length, len(data))
        start = (base + at) * 8
        parts = [
            Field(
                "content type", f"{_RECORD_TYPES[kind]} ({kind})", start, 8, filter="tls.record.content_type"
            ),
            Field("version", _version(version), start + 8, 16, filter="tls.record.version"),
            Field("length", f"{length} bytes", start + 24, 16, filter="tls.record.length"),
        ]
        inner, words = _record(kind, data[at + 5 : stop], base + at + 5, plain)
        if stop < at + 5 + length:
            words += f" [{at + 5 + length - stop} bytes are in later segments]"
        plain = plain and kind != 20  # what follows a change of cipher is encrypted
        made.append(Field(words, _version(version).split(" (")[0], start, (stop - at) * 8, "field",
                          (*parts, *inner)))  # fmt: skip
        at = stop
    if at < len(data):
        left = len(data) - at
        made.append(Field("not dissected", f"{left} bytes", (base + at) * 8, left * 8))
    text = ", ".join(dict.fromkeys(field.name for field in made[:8]))
    return Field("TLS", printable(text, _TEXT_MAX), base * 8, len(data) * 8, "layer", tuple(made))


def _version(value: int) -> str:
    return f"{_VERSIONS.get(value, 'unknown')} ({value:#06x})"


def _record(kind: int, body: bytes, base: int, plain: bool) -> tuple[list[Field], str]:
    """What a record carries, and what to call it."""
    name = _RECORD_TYPES[kind]
    if kind == 22 and plain and body and body[0] in _HANDSHAKES and _fits(body):
        return _handshakes(body, base)
    if kind == 21 and len(body) == 2:
        level = {1: "warning", 2: "fatal"}.get(body[0], str(body[0]))
        parts = [
            Field("level", f"{level} ({body[0]})", base * 8, 8, filter="tls.alert_message.level"),
            Field("description", str(body[1]), base * 8 + 8, 8, filter="tls.alert_message.desc"),
        ]
        return parts, f"Alert {level} {body[1]}"
    if kind == 22:
        name = "Encrypted Handshake Message"
    inner = [Field("data", f"{len(body)} bytes", base * 8, len(body) * 8)] if body else []
    return inner, name


def _fits(body: bytes) -> bool:
    """Whether a handshake message that begins so can be one: encrypted ones have any length."""
    return len(body) >= 4 and int.from_bytes(body[1:4]) <= 1 << 17 and (
        body[0] == 11 or int.from_bytes(body[1:4]) <= len(body) + (1 << 14)
    )  # fmt: skip


def _handshakes(body: bytes, base: int) -> tuple[list[Field], str]:
    made: list[Field] = []
    at = 0
    while at + 4 <= len(body) and len(made) < _RECORDS and body[at] in _HANDSHAKES:
        kind, length = body[at], int.from_bytes(body[at + 1 : at + 4])
        stop = min(at + 4 + length, len(body))
        start = (base + at) * 8
        parts = [
            Field("type", f"{_HANDSHAKES[kind]} ({kind})", start, 8, filter="tls.handshake.type"),
            Field("length", f"{length} bytes", start + 8, 24, filter="tls.handshake.length"),
        ]
        text = ""
        if kind in (1, 2):
            inner, text = _hello(kind, body[at + 4 : stop], base + at + 4)
            parts += inner
        elif stop > at + 4:
            parts.append(Field("body", f"{stop - at - 4} bytes", start + 32, (stop - at - 4) * 8))
        made.append(Field(_HANDSHAKES[kind], text, start, (stop - at) * 8, "field", tuple(parts)))
        at = stop
    if at < len(body):
        made.append(Field("not dissected", f"{len(body) - at} bytes", (base + at) * 8, (len(body) - at) * 8))
    words = ", ".join(f"{field.name}{f' ({field.text})' if field.text else ''}" for field in made[:4])
    return made, printable(words, _TEXT_MAX)


def _hello(kind: int, body: bytes, base: int) -> tuple[list[Field], str]:
    """The fields of a Client or Server Hello as far as it has bytes, and the server's name if it has one."""
    made: list[Field] = []
    server = ""
    at = 0

    def put(name: str, size: int, text: str, filter_: str = "") -> None:
        nonlocal at
        if size:
            made.append(Field(name, printable(text, _TEXT_MAX), (base + at) * 8, size * 8, filter=filter_))
        at += size

    try:
        put("version", 2, _version(int.from_bytes(_take(body, 0, 2))), "tls.handshake.version")
        draft = kind == 2 and body[0] == 0x7F and body[1] < 22  # as TLS 1.3 was before it was one
        put("random", 32, _take(body, at, 32).hex(), "tls.handshake.random")
        if not draft:
            size = _take(body, at, 1)[0]
            put("session length", 1, f"{size} bytes", "tls.handshake.session_id_length")
            put("session", size, _take(body, at, size).hex(), "tls.handshake.session_id")
        if kind == 1:
            size = int.from_bytes(_take(body, at, 2))
            put("cipher suites length", 2, f"{size} bytes", "tls.handshake.cipher_suites_length")
            put("cipher suites", size, f"{size // 2} suites: {_take(body, at, size).hex(' ', 2)}")
            size = _take(body, at, 1)[0]
            put("compression methods length", 1, f"{size} bytes", "tls.handshake.comp_methods_length")
            put("compression methods", size, _take(body, at, size).hex(" "))
        else:
            put("cipher suite", 2, hex(int.from_bytes(_take(body, at, 2))), "tls.handshake.ciphersuite")
            if not draft:
                put("compression method", 1, str(_take(body, at, 1)[0]), "tls.handshake.comp_method")
        if at < len(body):
            size = int.from_bytes(_take(body, at, 2))
            put("extensions length", 2, f"{size} bytes", "tls.handshake.extensions_length")
        for _ in range(_RECORDS):
            if at >= len(body):
                break
            code, size = struct.unpack("!HH", _take(body, at, 4))
            extension, name = _extension(code, size, _take(body, at + 4, size), base + at)
            server = server or name
            made.append(extension)
            at += 4 + size
    except _Cut:
        pass
    if at < len(body):
        made.append(Field("not dissected", f"{len(body) - at} bytes", (base + at) * 8, (len(body) - at) * 8))
    return made, server


def _extension(code: int, size: int, body: bytes, base: int) -> tuple[Field, str]:
    name = _EXTENSIONS.get(code, f"extension {code}")
    start = base * 8
    parts = [
        Field("type", f"{name} ({code})", start, 16, filter="tls.handshake.extension.type"),
        Field("length", f"{size} bytes", start + 16, 16, filter="tls.handshake.extension.len"),
    ]
    text, server = "", ""
    if code == 0 and len(body) >= 5 and body[2] == 0:
        length = int.from_bytes(body[3:5])
        if 0 < length <= len(body) - 5:
            server = text = printable(body[5 : 5 + length], _TEXT_MAX)
            parts.append(Field("list length", f"{int.from_bytes(body[:2])} bytes", start + 32, 16))
            parts.append(Field("kind", "host name (0)", start + 48, 8))
            parts.append(Field("name length", f"{length} bytes", start + 56, 16))
            where = start + 72
            filter_ = "tls.handshake.extensions_server_name"
            parts.append(Field("name", text, where, length * 8, filter=filter_))
    elif body:
        parts.append(Field("data", body[:64].hex(" "), start + 32, len(body) * 8))
    return Field(name, text, start, (4 + size) * 8, "field", tuple(parts)), server


class _Cut(Exception):
    """The bytes end here."""


def _take(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) < size:
        raise _Cut
    return piece
