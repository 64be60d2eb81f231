"""How our tree and tshark's reading of a frame are compared, and what may explain a difference.

`fields.json` is the list of what is compared and how. A predicate explains a class of differences; each has a
test of its own in `test_conformance_tshark.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from capture.dissection.dns import RECORDS
from capture.fields import Field, walk

LIST = Path(__file__).with_name("fields.json")


class Place(NamedTuple):
    """A field of the list and its bits; where tshark names bytes only, those bytes."""

    filter: str
    start: int
    length: int


def kinds() -> dict[str, str]:
    """How each field of the list is compared."""
    return {name: kind for kind, names in json.loads(LIST.read_text()).items() for name in names}


def number(text: str) -> int | None:
    """The number in a text of ours or tshark's: the one in brackets at its end, or the one it begins with."""
    text = re.sub(r" \((good|bad|not verified|none|partial|verified by)\b.*\)$", "", text)
    if text in ("set", "yes", "True"):
        return 1
    if text in ("not set", "no", "False"):
        return 0
    found = re.search(r"\((0x[0-9a-f]+|-?\d+)\)$", text) or re.match(r"(0x[0-9a-f]+|-?\d+)", text)
    return int(found[1], 0) if found else None


def value(kind: str, text: str) -> object:
    match kind:
        case "number" | "named":
            return number(text)
        case "name":
            return "" if text in ("<Root>", "<root>") else text.removesuffix(".").lower()
        case "range":
            return None
        case _:
            return text


def theirs(layers: Any, wanted: dict[str, str]) -> Iterator[tuple[Place, int, object]]:
    """What tshark found: place, number of bytes if it did not say bits (else 0), value."""
    if isinstance(layers, list):
        for item in layers:
            yield from theirs(item, wanted)
        return
    if not isinstance(layers, dict):
        return
    for key, inner in layers.items():
        if isinstance(inner, dict | list) and not key.endswith("_raw"):
            yield from theirs(inner, wanted)
        if key not in wanted or f"{key}_raw" not in layers:
            continue
        if key == "ip.version" and "ipv6.version" in layers:
            continue  # a hidden alias that IPv6 has too
        raws = layers[f"{key}_raw"]
        raws = raws if isinstance(raws[0], list) else [raws]
        shown = inner if isinstance(inner, list) else [inner]
        for (raw, at, size, mask, _), text in zip(raws, shown, strict=False):
            if not isinstance(text, str) or not size:
                continue
            if mask:
                size = max(size, (mask.bit_length() + 7) // 8)  # the word that the mask is of
                low = (mask & -mask).bit_length() - 1
                length = mask.bit_length() - low
                place = Place(key, (at + size) * 8 - low - length, length)
            else:
                place = Place(key, at * 8, size * 8)
            found = value(wanted[key], text)
            if mask and wanted[key] == "number":  # tshark shows some of several bits as set or not set
                found = int(raw, 16)
            elif wanted[key] == "named":  # and the last option as 0
                found = int(raw[:2], 16)
            yield place, 0 if mask else size, found


def ours(layers: tuple[Field, ...], wanted: dict[str, str]) -> Iterator[tuple[Place, object]]:
    for _, field in walk(layers):
        if field.filter in wanted:
            kind = wanted[field.filter]
            text = field.name if kind == "named" else field.text  # "hostname (12)" and its value
            yield Place(field.filter, field.bit_start, field.bit_length), value(kind, text)


class Difference(NamedTuple):
    what: str  #: "missing" in our tree, "extra" in it, "value", "place"
    place: Place
    ours: object
    theirs: object


class Compared(NamedTuple):
    equal: int
    differences: list[Difference]
    beyond: int  #: fields that tshark has more of in one frame than are shown


def compare(tree: tuple[Field, ...], layers: dict[str, Any], wanted: dict[str, str]) -> Compared:
    """How many fields are equal, what is not, and what was left out."""
    mine: dict[Place, list[object]] = {}
    for place, text in ours(tree, wanted):
        mine.setdefault(place, []).append(text)
    equal, beyond, found = 0, 0, []
    seen: set[Place] = set()
    repeated: Counter[str] = Counter()
    for place, size, their_value in theirs(layers, wanted):
        repeated[place.filter] += 1
        if repeated[place.filter] > RECORDS:  # no more records of a message are shown
            beyond += 1
            continue
        if size and place not in mine:  # bytes only: our bits inside them
            place = next(
                (one for one in mine if one.filter == place.filter
                 and one.start // 8 == place.start // 8
                 and (one.start + one.length + 7) // 8 == place.start // 8 + size),
                place,
            )  # fmt: skip
        if place in seen:
            continue
        seen.add(place)
        if place not in mine:
            found.append(Difference("missing", place, None, their_value))
        elif mine[place][0] != their_value:
            found.append(Difference("value", place, mine[place][0], their_value))
        else:
            equal += 1
    found += [
        Difference("extra", place, texts[0], None) for place, texts in mine.items() if place not in seen
    ]
    return Compared(equal, found, beyond)


class Case(NamedTuple):
    """A difference with all that a predicate may look at."""

    difference: Difference
    tree: tuple[Field, ...]
    layers: dict[str, Any]


#: Protocols that tshark reads and we do not; what they carry we show as bytes.
CARRIERS = frozenset(
    [
        "pim", "wg", "avsp", "macsec", "nsh", "isl", "openflow_v1", "openflow_v4", "l2tp", "ah",
        "udpencap", "esp", "brdwlk", "lisp", "bvlc", "pgm", "macctrl", "sflow", "mpls-echo", "rsvp",
        "gtp", "capwap", "lwapp", "eapol", "quic", "rx", "dtls",
    ]
)  # fmt: skip
_BYTES = ("load", "bytes", "data", "not dissected")


def _over(case: Case, names: tuple[str, ...]) -> bool:
    """Whether one of our fields with such a name holds the place of the difference."""
    place = case.difference.place
    return any(
        field.name in names and field.bit_start <= place.start < field.bit_start + field.bit_length
        for _, field in walk(case.tree)
    )


def carried(case: Case) -> bool:
    """Inside a protocol that we do not read: the bytes are shown, not named."""
    found = CARRIERS.intersection(case.layers)
    return case.difference.what == "missing" and bool(found) and _over(case, _BYTES)


def opaque(case: Case) -> bool:
    """The content type of an encrypted TLS 1.3 record, which tshark calls opaque type."""
    difference = case.difference
    if (difference.what, difference.place.filter) != ("extra", "tls.record.content_type"):
        return False
    wanted = {"tls.record.opaque_type": "number"}
    return any(place.start == difference.place.start for place, _, _ in theirs(case.layers, wanted))


def refused(case: Case) -> bool:
    """Units of LLDP with a wrong length: scapy gives up what follows, so the bytes are shown, not named."""
    difference = case.difference
    return (
        difference.what == "missing" and difference.place.filter.startswith("lldp.") and _over(case, _BYTES)
    )


def version_two(case: Case) -> bool:
    """A hello of SSL 2, which has no record."""
    return case.difference.what == "missing" and case.difference.place.filter.startswith("tls.") and (
        "tls" in case.layers and not any(layer.name == "TLS" for layer in case.tree)
    )  # fmt: skip


def named_twice(case: Case) -> bool:
    """The version of an IPv6 packet whose type says IPv4: tshark names it for both."""
    difference = case.difference
    if (difference.what, difference.place.filter) != ("missing", "ip.version"):
        return False
    return any(
        field.filter == "ipv6.version" and field.bit_start == difference.place.start
        for _, field in walk(case.tree)
    )


def record_goes_on(case: Case) -> bool:
    """A TLS record that the segment does not end: tshark waits for the rest, we show what is there."""
    difference = case.difference
    if difference.what != "extra" or not difference.place.filter.startswith("tls."):
        return False
    return any(
        "in later segments]" in field.name
        and field.bit_start <= difference.place.start < field.bit_start + field.bit_length
        for _, field in walk(case.tree)
    )


def after_the_last_option(case: Case) -> bool:
    """Zero bytes after the end of TCP's options: tshark calls each an end, we call them padding."""
    difference = case.difference
    return (
        difference.what == "missing"
        and (difference.place.filter, difference.theirs) == ("tcp.option_kind", 0)
        and _over(case, ("padding",))
    )


def broken_message(case: Case) -> bool:
    """A DNS message that is malformed, or longer than we show: tshark reads on from somewhere, we stop."""
    return (
        case.difference.what != "value"
        and case.difference.place.filter.startswith("dns.")
        and any(
            field.text.startswith("malformed: ") for _, field in walk(case.tree) if "not dis" in field.name
        )
    )


def cut_short(case: Case) -> bool:
    """A frame where tshark met an exception and stopped: what stands behind, we still name."""
    return case.difference.what == "extra" and bool({"_ws.malformed", "_ws.short"}.intersection(case.layers))


def contradicting(case: Case) -> bool:
    """A header with a wrong version or length: tshark names nothing behind that, we all of it."""
    protocol = case.difference.place.filter.partition(".")[0]
    if case.difference.what != "extra" or protocol not in ("ip", "ipv6"):
        return False
    ends = case.layers.get(protocol)
    return isinstance(ends, dict) and f"{protocol}.dst" not in ends


def unknown_option(case: Case) -> bool:
    """An IPv4 option that tshark does not know: it names the whole, we its parts."""
    return case.difference.what == "extra" and case.difference.place.filter.startswith("ip.opt.")


def another_reading(case: Case) -> bool:
    """Bytes that mean another thing to tshark: ISL, VXLAN on Linux's old port, NTP's private mode, syslog."""
    filter_ = case.difference.place.filter
    return (
        ("isl" in case.layers and case.difference.place.start < 26 * 8)
        or (case.difference.what == "extra" and any(layer.name == "VXLAN" for layer in case.tree)
            and "vxlan" not in case.layers and _port(case.tree, "8472"))
        or (filter_.startswith("ntp.") and any("mode 7" in layer.name for layer in case.tree))
        or (case.difference.what == "extra" and filter_.startswith("dhcpv6.") and "syslog" in case.layers)
        or (filter_ == "llc.control" and case.difference.what == "missing")
    )  # fmt: skip


def guessed(case: Case) -> bool:
    """DNS on a port of no name service, where tshark guesses and ends malformed."""
    difference = case.difference
    return (
        difference.what == "missing"
        and difference.place.filter.startswith("dns.")
        and "_ws.malformed" in case.layers
        and not any(layer.name in ("DNS", "mDNS", "LLMNR") for layer in case.tree)
    )


def cut_header(case: Case) -> bool:
    """A header whose last bytes are missing: scapy leaves what is there as bytes."""
    place = case.difference.place
    end = max((layer.bit_start + layer.bit_length for layer in case.tree), default=0)
    return case.difference.what == "missing" and any(
        field.name in (*_BYTES, "truncated", "records")
        and field.bit_start <= place.start < field.bit_start + field.bit_length
        and field.bit_start + field.bit_length == end
        and field.bit_length < 40 * 8
        for _, field in walk(case.tree)
    )


def _port(tree: tuple[Field, ...], port: str) -> bool:
    return any(
        field.filter in ("udp.srcport", "udp.dstport") and field.text == port for _, field in walk(tree)
    )


EXPLAINED = (
    guessed,
    cut_header,
    refused,
    contradicting,
    unknown_option,
    another_reading,
    carried,
    version_two,
    opaque,
    named_twice,
    record_goes_on,
    after_the_last_option,
    broken_message,
    cut_short,
)
