"""What may stand at the cursor of a display filter: fields, operators, names of values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from capture.errors import FilterError
from capture.fieldtable import FIELDS, FieldInfo, Kind
from capture.filters.parse import COMPARISONS, tokens

_WORD = re.compile(r"[\w.:\-]*\Z")
_EQUAL = ("==", "!=", "in")
_ORDER = ("<", "<=", ">", ">=")
_LOGIC = ("and", "or")
_EXAMPLES = {
    Kind.IPV4: ("10.0.0.1", "10.0.0.0/8"), Kind.IPV6: ("fe80::/10",), Kind.MAC: ("ff:ff:ff:ff:ff:ff",),
    Kind.DURATION: ("100us", "1ms"), Kind.FLAG: ("1", "0"),
}  # fmt: skip
#: What people look for most, first among equals.
_COMMON = ("ip.addr", "tcp.port", "udp.port", "eth.addr", "ip.src", "ip.dst", "queue", "direction", "latency",
           "vnet.gso_type", "tcp.flags.syn", "dns.qry.name", "frame.len", "vlan.id", "icmp.type")  # fmt: skip


class Completion(NamedTuple):
    """Characters `start` to `stop` - 1 may be replaced by any of the candidates, the likeliest first."""

    start: int
    stop: int
    candidates: tuple[str, ...]


def complete(text: str, cursor: int) -> Completion:
    """What may stand at `cursor`. Never raises: where nothing can be told there are no candidates."""
    cursor = min(max(cursor, 0), len(text))
    match = _WORD.search(text[:cursor])
    start = match.start() if match else cursor
    typed = text[start:cursor]
    try:
        before = tokens(text[:start])[:-1]
    except FilterError:
        return Completion(start, cursor, ())
    words = [token.text for token in before]
    quoted = bool(before) and before[-1].kind == "text"
    last = words[-1] if words and not quoted else ""
    if last in COMPARISONS and len(words) > 1:
        candidates = _values(FIELDS.get(words[-2]))
    elif last in ("{", ",") and "in" in words:
        at = len(words) - 1 - words[::-1].index("in")
        candidates = _values(FIELDS.get(words[at - 1 - (words[at - 1] == "not")])) if at else ()
    elif last in FIELDS:
        candidates = (*_operators(FIELDS[last]), *_LOGIC)
    elif last in ("in", "") and before and not quoted:
        candidates = ("{",)
    elif not words or last in ("and", "or", "not", "!", "&&", "||", "(", "any", "all"):
        return Completion(start, cursor, _fields(typed))
    else:
        candidates = _LOGIC
    found = tuple(name for name in candidates if name.startswith(typed.lower()) and name != typed)
    return Completion(start, cursor, found)


def _operators(info: FieldInfo) -> tuple[str, ...]:
    if info.kind is Kind.FLAG:
        return _EQUAL
    if info.kind in (Kind.TEXT, Kind.BYTES, Kind.PROTOCOL):
        return ("contains", "matches", *_EQUAL)
    return (*_ORDER, *_EQUAL) if info.kind in (Kind.DURATION, Kind.TIME) else (*_EQUAL, *_ORDER)


def _values(info: FieldInfo | None) -> tuple[str, ...]:
    if info is None:
        return ()
    if info.kind is Kind.FLAG:
        return _EXAMPLES[Kind.FLAG]
    return tuple(info.names) or _EXAMPLES.get(info.kind, ())


def _fields(typed: str) -> tuple[str, ...]:
    """Names that begin so; then those with a part that begins so; then those that hold it."""
    typed = typed.lower()

    def rank(name: str) -> tuple[int, int, int, str]:
        place = 0 if name.startswith(typed) else 1 if f".{typed}" in name else 2
        common = _COMMON.index(name) if name in _COMMON else len(_COMMON)
        return (
            place,
            common if place else 0 if name == typed else 1,
            name.count(".") if typed else common,
            name,
        )

    hits: Iterable[str] = (name for name in FIELDS if typed in name and name != typed)
    return tuple(sorted(hits, key=rank))
