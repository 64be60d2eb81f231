"""Values of a filter: what their field's kind lets them be, and what is said of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from capture.errors import FilterError
from capture.fieldtable import FIELDS, Kind
from capture.filters.parse import Text, Word
from capture.filters.steps import (
    Arithmetic,
    Change,
    Constant,
    Counted,
    Field,
    Length,
    Numbered,
    Range,
    Sliced,
    Source,
)
from capture.patterns import compile_pattern

_WIDE = (1 << 63) - 1
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 1_000_000, "s": 1_000_000_000}
_SIZES = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PATTERN_MAX = 1000  #: characters of a regular expression
_TRUTH = {"false": 0, "true": 1, "set": 1, "not set": 0}


class Shape(NamedTuple):
    """What a source yields: its kind, what it is called, the greatest number, the names of numbers."""

    kind: Kind
    called: str
    most: int
    names: Mapping[str, int]


def shape_of(source: Source) -> Shape:
    """The shape of what a source yields."""
    match source:
        case Field(name):
            info = FIELDS[name]
            return Shape(info.kind, name, info.most, info.names)
        case Numbered(of):
            return shape_of(of)
        case Sliced(of):
            inner = shape_of(of)
            kind = Kind.TEXT if inner.kind is Kind.TEXT else Kind.BYTES
            return Shape(kind, f"a slice of {inner.called}", 0, {})
        case Length(of) | Counted(of):
            word = "len" if isinstance(source, Length) else "count"
            return Shape(Kind.NUMBER, f"{word}({shape_of(of).called})", _WIDE, {})
        case Change(name, of):
            return shape_of(of)._replace(called=f"{name}({shape_of(of).called})")
        case Arithmetic():
            return Shape(Kind.NUMBER, "arithmetic", _WIDE, {})


def value(of: Word | Text, shape: Shape, operator: str) -> Constant:
    """A literal as a value of that shape. FilterError says what the field takes and points at it."""
    if operator == "matches":
        return _pattern(of, shape)
    match shape.kind:
        case Kind.NUMBER | Kind.FLAG:
            found = _number(of, shape)
        case Kind.DURATION:
            found = _duration(of)
        case Kind.TIME:
            found = _time(of)
        case Kind.MAC:
            found = _mac(of)
        case Kind.IPV4:
            return _network(of, shape, AF_INET, 4)
        case Kind.IPV6:
            return _network(of, shape, AF_INET6, 16)
        case Kind.TEXT:
            return of.text if isinstance(of, Word) else of.value.decode("utf-8", "replace")
        case Kind.BYTES | Kind.PROTOCOL:
            return _bytes(of, shape)
    if found is None:
        raise _unfit(of, shape)
    return Range(found, found)


def _unfit(of: Word | Text, shape: Shape) -> FilterError:
    if isinstance(of, Word):
        shown = ascii(of.text)[1:-1]
    else:
        shown = '"' + ascii(of.value.decode("utf-8", "replace"))[1:-1] + '"'
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return FilterError(f"{shape.called} takes {_taken(shape)}, not {shown}", of.start, of.stop)


def _taken(shape: Shape) -> str:
    match shape.kind:
        case Kind.NUMBER:
            if shape.names and len(shape.names) <= 8:
                return f"{', '.join(shape.names)} or numbers 0 to {shape.most}"
            return f"numbers 0 to {shape.most}" if shape.most < 1 << 48 else "numbers"
        case Kind.FLAG:
            return "0, 1, true or false"
        case Kind.DURATION:
            return "a time with its unit, such as 100us or 1.5ms"
        case Kind.TIME:
            return 'seconds since 1970, or a date such as "2026-01-31 12:00:00"'
        case Kind.IPV4:
            return "an IPv4 address, such as 10.0.0.1 or 10.0.0.0/8"
        case Kind.IPV6:
            return "an IPv6 address, such as fe80::1 or fe80::/64"
        case Kind.MAC:
            return "a MAC address, such as 00:11:22:33:44:55"
        case Kind.TEXT:
            return "text in quotes"
    return "bytes, such as 0a:0b, or text in quotes"


def _number(of: Word | Text, shape: Shape) -> int | None:
    if isinstance(of, Text):
        if of.char:
            return of.value[0] if of.value[0] <= shape.most else None
        text = of.value.decode("utf-8", "replace")
        return shape.names.get(text.lower())
    text = of.text.lower()
    if text in shape.names:
        return shape.names[text]
    number = _integer(text)
    if number is None:
        return None
    if shape.kind is Kind.FLAG:
        return int(number != 0)
    return number if 0 <= number <= shape.most else None


def _integer(text: str) -> int | None:
    if len(text) > 80:
        return None
    if re.fullmatch("0x[0-9a-f]+", text):
        return int(text, 16)
    if re.fullmatch("0b[01]+", text):
        return int(text, 2)
    if re.fullmatch("0[0-7]+", text):
        return int(text, 8)
    if match := re.fullmatch(r"(0|[1-9][0-9]*)([kmg]i?)?b?", text):
        return int(match[1]) * _SIZES.get(match[2] or "", 1)
    return None


def _duration(of: Word | Text) -> int | None:
    text = of.text if isinstance(of, Word) else ""
    match = re.fullmatch(r"(-?[0-9]{1,18}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s)", text)
    if match is None:
        return 0 if text == "0" else None
    nanoseconds = int(Decimal(match[1]) * _UNITS[match[2]])
    return nanoseconds if abs(nanoseconds) <= _WIDE else None


def _time(of: Word | Text) -> int | None:
    text = of.text if isinstance(of, Word) else of.value.decode("utf-8", "replace")
    if re.fullmatch(r"[0-9]{1,9}[0-9]?(\.[0-9]{1,9})?", text):
        return int(Decimal(text) * 1_000_000_000)
    match = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:]{2,8})?)(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?", text
    )
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1] + (match[3] or "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return max(seconds, 0) * 1_000_000_000 + int(Decimal(match[2] or "0") * 1_000_000_000)


def _mac(of: Word | Text) -> int | None:
    text = of.text if isinstance(of, Word) else ""
    pair, four = "[0-9A-Fa-f]{2}", "[0-9A-Fa-f]{4}"
    if re.fullmatch(rf"{pair}([:.-]){pair}(?:\1{pair}){{4}}|{four}\.{four}\.{four}", text):
        return int(re.sub("[:.-]", "", text), 16)
    return None


def _network(of: Word | Text, shape: Shape, family: int, size: int) -> Range:
    text = of.text if isinstance(of, Word) else ""
    address, slash, bits = text.partition("/")
    try:
        number = int.from_bytes(inet_pton(family, address))
    except OSError:
        raise _unfit(of, shape) from None
    if slash and int(bits) > size * 8:
        message = f"a prefix of {shape.called} has at most {size * 8} bits, not {bits}"
        raise FilterError(message, of.stop - len(bits), of.stop)
    free = (1 << size * 8 - int(bits)) - 1 if slash else 0
    first, last = number & ~free, number | free
    return Range(first, last) if size == 4 else Range(first.to_bytes(16), last.to_bytes(16))


def _bytes(of: Word | Text, shape: Shape) -> bytes:
    if isinstance(of, Text):
        return of.value
    text = of.text
    if re.fullmatch(r"0x([0-9A-Fa-f]{2})+", text):
        return bytes.fromhex(text[2:])
    if re.fullmatch(r"[0-9A-Fa-f]{1,2}([:.-][0-9A-Fa-f]{1,2})*:?", text):
        return bytes(int(pair, 16) for pair in re.split("[:.-]", text.rstrip(":")))
    if re.fullmatch(r"([0-9A-Fa-f]{2})+", text):
        return bytes.fromhex(text)
    raise _unfit(of, shape)


def _pattern(of: Word | Text, shape: Shape) -> Constant:
    if not isinstance(of, Text):
        raise FilterError('after matches comes an expression in quotes, such as "^www[.]"', of.start, of.stop)
    if len(of.value) > _PATTERN_MAX:
        raise FilterError(f"an expression has at most {_PATTERN_MAX} characters", of.start, of.stop)
    try:
        if shape.kind is Kind.TEXT:
            return compile_pattern(of.value.decode("utf-8", "replace"), re.IGNORECASE)
        return compile_pattern(of.value, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as why:
        shown = ascii(str(why))[1:-1]
        raise FilterError(f"this expression cannot be used: {shown}", of.start, of.stop) from None
