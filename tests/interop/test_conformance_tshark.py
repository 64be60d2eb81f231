"""Our tree and tshark's (4.0) say the same: places to the bit, and values, field by field, frame by frame.

Each field of the list (`fields.json`) that either of the two finds in a frame must be found by the other, at
the same bits, with the same value. What differs is wrong, unless a predicate of `agreement.py` explains it.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from capture.dissection.dns import RECORDS
from capture.dissection.worker import load
from capture.fields import Field, walk
from tests.interop import corpus
from tests.interop.agreement import (
    EXPLAINED,
    Case,
    Difference,
    Place,
    after_the_last_option,
    another_reading,
    broken_message,
    carried,
    compare,
    contradicting,
    cut_header,
    cut_short,
    guessed,
    kinds,
    named_twice,
    opaque,
    record_goes_on,
    refused,
    unknown_option,
    version_two,
)

load()

from capture.dissection.fieldmap import dissect  # noqa: E402


@dataclass
class Found:
    """What the comparison of all frames found; the frames themselves are not kept."""

    frames: int = 0
    equal: int = 0
    beyond: int = 0
    long: int = 0  #: frames with fields beyond the limit
    sources: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    explained: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    #: protocol, our verdict on a checksum, tshark's
    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Every frame of the corpus, read by both."""
    if why := corpus.lacking():
        pytest.skip(why)
    made, wanted = Found(), kinds()
    try:
        for frame in corpus.read(tmp_path_factory.mktemp("corpus")):
            _add(made, frame, dissect(frame.data), wanted)
    except corpus.Missing as why:
        pytest.skip(f"the corpus cannot be had: {why}")
    return made


def _add(made: Found, frame: corpus.Read, tree: tuple[Field, ...], wanted: dict[str, str]) -> None:
    made.frames += 1
    made.sources.add(frame.source)
    made.seen.update(one.filter for _, one in walk(tree) if one.filter in wanted)
    same, differences, beyond = compare(tree, frame.layers, wanted)
    made.equal += same
    made.beyond += beyond
    made.long += beyond > 0
    for difference in differences:
        case = Case(difference, tree, frame.layers)
        why = next((predicate.__name__ for predicate in EXPLAINED if predicate(case)), "")
        if why:
            made.explained[why] += 1
        else:
            made.wrong.append(f"{frame.source}, frame {frame.number}: {difference}")
    for protocol in ("ip", "tcp", "udp", "icmp", "icmpv6", "igmp"):
        mine = [
            verdict[1]
            for _, one in walk(tree)
            if one.filter == f"{protocol}.checksum"
            and (verdict := re.search(r"\((good|bad|none|not verified)", one.text))
        ]
        said = list(_statuses(frame.layers, f"{protocol}.checksum.status"))
        if len(mine) == len(said):
            made.verdicts.update(
                (protocol, one, _VERDICTS.get(other, "?")) for one, other in zip(mine, said, strict=True)
            )


_VERDICTS = {"0": "bad", "1": "good", "3": "none"}


def _statuses(layers: Any, name: str) -> Iterator[str]:
    if isinstance(layers, list):
        for item in layers:
            yield from _statuses(item, name)
    elif isinstance(layers, dict):
        for key, inner in layers.items():
            if key == name:
                yield from inner if isinstance(inner, list) else [inner]
            elif not key.endswith("_raw"):
                yield from _statuses(inner, name)


def test_fields_are_those_of_tshark(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    explained = found.explained.total()
    compared = found.equal + explained + len(found.wrong)
    with capsys.disabled():
        print(f"\n{found.frames} frames of {len(found.sources)} captures, {len(kinds())} fields of the list "
              f"({len(found.seen)} occur), {compared} compared: {found.equal} equal, {explained} explained "
              f"({explained / compared:.2%}), {len(found.wrong)} wrong; not compared: {found.beyond} beyond "
              f"the {RECORDS} of a kind that a frame shows (frames: {found.long})")  # fmt: skip
        for name, count in found.explained.most_common():
            print(f"{count:6} {name}")
        print(f"never met: {', '.join(sorted(set(kinds()) - found.seen)) or 'none'}")
    assert not found.wrong, "\n".join(found.wrong[:20])
    assert found.frames > 12_000
    assert found.equal > 280_000
    assert explained < compared / 100
    assert found.long <= 1


def test_verdicts_on_checksums_are_those_of_tshark(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    """Never good where tshark says bad, or the other way round; what we do not verify is rare."""
    seen = found.verdicts
    with capsys.disabled():
        print()
        for (protocol, one, other), count in sorted(seen.items()):
            print(f"{count:6} {protocol:6} ours {one}, tshark's {other}")
    against = {
        key: count for key, count in seen.items() if key[2] != "?" and key[1] not in (key[2], "not verified")
    }
    assert not against
    stricter = sum(count for key, count in seen.items() if key[2] != "?" and key[1] == "not verified")
    assert stricter < seen.total() / 100
    assert seen.total() > 13_000


def _case(what: str, filter_: str, start: int, tree: tuple[Field, ...], **layers: Any) -> Case:
    return Case(Difference(what, Place(filter_, start, 8), 1, 1), tree, layers)


def _layer(name: str, *fields: Field, text: str = "") -> tuple[Field, ...]:
    return (Field(name, text, 0, 800, "layer", fields),)


_OPAQUE = _layer("Raw", Field("load", "...", 100, 200))
_CUT = _layer("Raw", Field("load", "...", 600, 200))
_GOES_ON = _layer("TLS", Field("Handshake [7 bytes are in later segments]", "", 100, 100))
_BROKEN = _layer("DNS", Field("not dissected", "malformed: a name points forward; read no further", 100, 9))
_PADDED = _layer("TCP", Field("padding", "00 00", 100, 16))
_SIX = _layer("IPv6", Field("version", "6", 112, 4, filter="ipv6.version"))
_VXLAN = (*_layer("UDP", Field("destination port", "8472", 0, 16, filter="udp.dstport")), *_layer("VXLAN"))


@pytest.mark.parametrize(
    ("predicate", "case", "other"),
    [
        (carried, _case("missing", "ip.src", 150, _OPAQUE, pim={}),
         _case("missing", "ip.src", 150, _OPAQUE, udp={})),
        (carried, _case("missing", "ip.src", 150, _OPAQUE, pim={}),
         _case("missing", "ip.src", 50, _OPAQUE, pim={})),
        (refused, _case("missing", "lldp.tlv.type", 150, _OPAQUE),
         _case("missing", "lldp.tlv.type", 50, _OPAQUE)),
        (version_two, _case("missing", "tls.record.length", 9, _OPAQUE, tls={}),
         _case("missing", "tls.record.length", 9, _GOES_ON, tls={})),
        (opaque, _case("extra", "tls.record.content_type", 80, (), tls={
            "tls.record.opaque_type_raw": ["17", 10, 1, 0, 4], "tls.record.opaque_type": "23"}),
         _case("extra", "tls.record.content_type", 88, (), tls={
             "tls.record.opaque_type_raw": ["17", 10, 1, 0, 4], "tls.record.opaque_type": "23"})),
        (named_twice, _case("missing", "ip.version", 112, _SIX), _case("missing", "ip.version", 120, _SIX)),
        (record_goes_on, _case("extra", "tls.record.length", 120, _GOES_ON),
         _case("extra", "tls.record.length", 220, _GOES_ON)),
        (cut_short, _case("extra", "tcp.srcport", 1, (), **{"_ws.short": {}}),
         _case("missing", "tcp.srcport", 1, (), **{"_ws.short": {}})),
        (broken_message, _case("missing", "dns.qry.name", 1, _BROKEN),
         _case("value", "dns.qry.name", 1, _BROKEN)),
        (broken_message, _case("missing", "dns.qry.name", 1, _BROKEN),
         _case("missing", "dns.id", 1, _OPAQUE)),
        (contradicting, _case("extra", "ip.ttl", 1, (), ip={"ip.len": "3"}),
         _case("extra", "ip.ttl", 1, (), ip={"ip.dst": "10.0.0.1"})),
        (unknown_option, _case("extra", "ip.opt.len", 1, ()), _case("missing", "ip.opt.len", 1, ())),
        (another_reading, _case("extra", "eth.dst", 0, (), isl={}),
         _case("extra", "eth.dst", 0, (), eth={})),
        (another_reading, _case("extra", "dhcpv6.xid", 0, (), syslog={}),
         _case("extra", "dhcpv6.xid", 0, (), dhcpv6={})),
        (another_reading, _case("extra", "vxlan.vni", 0, _VXLAN), _case("missing", "vxlan.vni", 0, _VXLAN)),
        (guessed, _case("missing", "dns.id", 1, _OPAQUE, **{"_ws.malformed": {}}),
         _case("missing", "dns.id", 1, _OPAQUE)),
        (cut_header, _case("missing", "mpls.label", 650, _CUT), _case("missing", "mpls.label", 150, _OPAQUE)),
    ],
)  # fmt: skip
def test_what_explains_a_difference(predicate: Callable[[Case], bool], case: Case, other: Case) -> None:
    assert predicate(case)
    assert not predicate(other)


def test_after_the_last_option() -> None:
    zero = Case(Difference("missing", Place("tcp.option_kind", 104, 8), None, 0), _PADDED, {})
    other = Case(Difference("missing", Place("tcp.option_kind", 104, 8), None, 2), _PADDED, {})
    assert after_the_last_option(zero)
    assert not after_the_last_option(other)


def test_every_predicate_has_its_test() -> None:
    marks = next(mark for mark in test_what_explains_a_difference.pytestmark if mark.name == "parametrize")
    assert {row[0] for row in marks.args[1]} | {after_the_last_option} == set(EXPLAINED)


def test_a_shifted_field_and_a_wrong_value_are_found() -> None:
    """The comparison can fail: in place, in value, by absence and by invention."""
    frame = bytes(12) + b"\x08\0" + struct.pack("!BBHHHBBH", 0x45, 0, 20, 7, 0, 64, 17, 0) + bytes(8)
    tree = dissect(frame)
    layers: dict[str, Any] = {"ip": {"ip.ttl_raw": ["40", 22, 1, 0, 4], "ip.ttl": "64"}}
    wanted = {"ip.ttl": "number"}
    assert compare(tree, layers, wanted) == (1, [], 0)
    layers["ip"]["ip.ttl"] = "63"
    assert [found.what for found in compare(tree, layers, wanted).differences] == ["value"]
    layers["ip"]["ip.ttl_raw"][1] = 23
    assert sorted(found.what for found in compare(tree, layers, wanted).differences) == ["extra", "missing"]
