"""Display filters: what they show equals what a plain reading of each frame shows, and errors point."""

from __future__ import annotations

import random
import re
import struct
import threading

import numpy as np
import pytest
from frames import dfilter_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.dfilter import FilterError, compile_filter, complete
from capture.fieldtable import FIELDS
from capture.frame import CALL_QUIET, CALL_SENT, INDIRECT, KICK_QUIET, KICK_SENT, STAGES, records
from capture.play import load_mix
from capture.store import Block, FrameStore

MIX = [bytes(frame.data) for frame in load_mix()]
_NUMBERS = {
    "eth.type": (0x600, 0xFFFF), "vlan.id": (0, 4095), "vlan.priority": (0, 7), "arp.opcode": (0, 65535),
    "ip.id": (0, 65535), "ip.ttl": (0, 255), "ip.proto": (0, 255), "ipv6.hlim": (0, 255),
    "icmp.type": (0, 255), "icmpv6.type": (0, 255),
    "tcp.srcport": (0, 65535), "tcp.dstport": (0, 65535), "tcp.port": (0, 65535),
    "udp.port": (0, 65535), "udp.srcport": (0, 65535), "udp.length": (0, 65535), "tcp.flags": (0, 4095),
    "tcp.window_size_value": (0, 65535), "frame.len": (0, 3000),
}  # fmt: skip
_LIKELY = (0, 1, 2, 4, 6, 8, 17, 53, 64, 80, 100, 128, 129, 443, 0x800, 4789)
_PROTOCOLS = ("eth", "vlan", "arp", "ip", "ipv6", "icmp", "icmpv6", "tcp", "udp", "tcp.payload",
              "udp.payload", "tcp.flags.syn", "ip.flags.df")  # fmt: skip
_ORDERS = ("==", "!=", "<", "<=", ">", ">=", "===", "~=")


def block_of(frames: list[bytes]) -> Block:
    """The frames with three bytes of something else between them."""
    rows = records(len(frames))
    rows["captured"] = rows["length"] = [len(frame) for frame in frames]
    rows["number"] = np.arange(1, len(frames) + 1)
    sizes = np.array([len(frame) + 3 for frame in frames], np.int64)
    data = b"".join(frame + b"###" for frame in frames)
    return Block(rows, memoryview(data), np.cumsum(sizes) - sizes, np.zeros(len(frames), STAGES))


@st.composite
def mangled(draw: st.DrawFn) -> list[bytes]:
    """Frames of the mix, some cut, some with a few bytes changed, some put into one another."""
    dice = random.Random(draw(st.integers(0, 1 << 32)))
    frames = []
    for _ in range(draw(st.integers(1, 40))):
        data = bytearray(dice.choice(MIX)[:400])
        for _ in range(dice.choice((0, 0, 1, 3))):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 4, 6, 17, 41, 47, 255, dice.randrange(256)))
        if dice.random() < 0.15 and data[12:14] == b"\x08\0":
            inner = dice.choice(MIX)[14:200]
            data[23] = dice.choice((4, 41, 47))
            data[34:] = (b"\0\0\x08\0" if data[23] == 47 else b"") + inner
            data[16:18] = struct.pack("!H", len(data) - 14)
        frames.append(bytes(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.2 else data))
    return frames


@st.composite
def leaves(draw: st.DrawFn) -> object:
    """One test of a field, and how it is written."""
    kind = draw(st.sampled_from(("has", "number", "number", "set", "ip", "ipv6", "mac", "bytes", "matches")))
    quantifier = draw(st.sampled_from(("", "", "any", "all")))
    if kind == "has":
        return reference.Has(draw(st.sampled_from(_PROTOCOLS)))
    if kind == "bytes":
        wanted = draw(
            st.sampled_from((b"\0\1", b"GET", b"a", b"\x08\0", b"\x45\0", b"example", b"\xff\xff\xff"))
        )
        name = draw(
            st.sampled_from(("frame", "ip", "udp", "tcp", "tcp.payload", "udp.payload", "eth", "arp"))
        )
        written = draw(st.sampled_from((wanted.hex(":"), '"' + "".join(f"\\x{b:02x}" for b in wanted) + '"')))
        return reference.Test(name, "contains", wanted, written, quantifier)
    if kind == "matches":
        pattern = draw(st.sampled_from(("get|post", "^.a", "[0-9]{3}", "e.a")))
        name = draw(st.sampled_from(("tcp.payload", "udp.payload")))
        return reference.Test(name, "matches", pattern.encode(), f'"{pattern}"', quantifier)
    operator = draw(st.sampled_from(_ORDERS))
    if operator in ("===", "~="):
        quantifier = ""
    dice = random.Random(draw(st.integers(0, 1 << 32)))
    found = reference.facts(dice.choice(MIX))
    if kind == "mac":
        name = draw(st.sampled_from(("eth.src", "eth.dst", "eth.addr")))
        value = dice.choice(found.get(name, ["52:54:00:00:00:01"]))
        return reference.Test(name, operator, value, value, quantifier)
    if kind in ("ip", "ipv6"):
        size = 4 if kind == "ip" else 16
        name = f"{kind}.{draw(st.sampled_from(('src', 'dst', 'addr')))}"
        value = dice.choice(found.get(name, [0xC0000201]))
        raw = value.to_bytes(size)
        written = ".".join(map(str, raw)) if size == 4 else re.sub("(....)(?=.)", r"\1:", raw.hex())
        return reference.Test(name, operator, value, written, quantifier)
    name = draw(st.sampled_from(sorted(_NUMBERS)))
    least, most = _NUMBERS[name]
    numbers = st.one_of(st.sampled_from([n for n in _LIKELY if least <= n <= most]), st.integers(least, most))
    if kind == "set":
        items = [tuple(sorted((draw(numbers), draw(numbers)))) for _ in range(draw(st.integers(1, 3)))]
        written = ", ".join(f"{low}..{high}" if high > low else str(low) for low, high in items)
        return reference.Test(name, "in", items, f"{{{written}}}", quantifier)
    value = draw(numbers)
    written = draw(st.sampled_from((str(value), hex(value))))
    return reference.Test(name, operator, value, written, quantifier)


FILTERS = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(reference.Negated, inner, st.sampled_from(("not", "!"))),
        st.builds(
            reference.Join,
            st.sampled_from(("and", "or", "&&", "||")),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=250, deadline=None)
@given(frames=mangled(), wanted=FILTERS)
def test_a_mask_is_what_every_frame_says_by_itself(frames: list[bytes], wanted: reference.Join) -> None:
    mask = compile_filter(wanted.text()).mask(block_of(frames))
    assert mask.dtype == bool
    assert mask.tolist() == [wanted.holds(reference.facts(frame)) for frame in frames]


@settings(max_examples=150, deadline=None)
@given(frames=st.lists(st.binary(max_size=120), max_size=12), name=st.sampled_from(sorted(FIELDS)))
def test_no_bytes_make_a_field_fail(frames: list[bytes], name: str) -> None:
    mask = compile_filter(name).mask(block_of(frames))
    assert len(mask) == len(frames)


def shown(text: str, frames: list[bytes] = MIX) -> list[int]:
    return (np.flatnonzero(compile_filter(text).mask(block_of(frames))) + 1).tolist()


def test_an_empty_filter_shows_all() -> None:
    assert len(shown("")) == len(shown("  \n")) == len(MIX)
    assert compile_filter("").fields == frozenset()


def test_and_binds_tighter_than_or() -> None:
    assert shown("arp or tcp and udp") == shown("arp or (tcp and udp)") == shown("arp")
    assert shown("not arp and ip") == shown("(not arp) and ip") != shown("not (arp and ip)")


def test_a_filter_knows_its_fields() -> None:
    made = compile_filter("ip.src == 10.0.0.1 and not latency > 1ms or len(tcp.payload) > 3")
    assert made.fields == {"ip.src", "latency", "tcp.payload"}
    assert made.needs_stages
    assert not compile_filter("queue == 1").needs_stages


def test_a_bit_alone_asks_whether_it_is_there_and_says_so() -> None:
    made = compile_filter("ip and tcp.flags.syn")
    assert shown(made.text) == shown("ip and tcp")
    assert made.remarks == (
        "tcp.flags.syn alone asks whether a frame has the bit; tcp.flags.syn == 1 asks whether it is set",
    )
    assert not compile_filter("tcp.flags.syn == 1").remarks


def facts_block() -> Block:
    """Five small frames: two queues, all stages, offloads."""
    block = block_of([b"x" * 60] * 5)
    rows, stages = block.rows, block.stages
    rows["origin_queue"] = [0, 1, 0, 1, 2]
    rows["direction"] = [1, 0, 1, 0, 1]
    rows["head"] = [5, 6, 7, 8, 9]
    rows["descriptors"] = [1, 2, 3, 1, 1]
    rows["flags"] = [0, INDIRECT, 0, 0, 0]
    rows["net_header_length"] = [12, 12, 12, 10, 0]
    header = np.zeros((5, 20), np.uint8)
    header[1, :6] = [1, 1, 54, 0, 0xB4, 5]
    header[2, 10] = 2
    rows["net_header"] = header.reshape(-1).view("V20")
    rows["time"] = [10**18 + index * 1000 for index in range(5)]
    stages["available"] = [1000, 1000, 1000, 0, 5000]
    stages["used"] = [51_000, 151_000, 0, 9000, 5000]
    stages["collected"] = [52_000, 152_000, 0, 0, 6000]
    stages["notices"] = [KICK_SENT, KICK_QUIET, KICK_SENT | KICK_QUIET, CALL_SENT, CALL_QUIET]
    return block


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("queue == 1", [2, 4]),
        ("queue in {1..2}", [2, 4, 5]),
        ("direction == to_device", [2, 4]),
        ("direction == TO_DRIVER and queue == 0", [1, 3]),
        ("head > 6 and descriptors == 1", [4, 5]),
        ("indirect == 1", [2]),
        ("indirect == true", [2]),
        ("fixed == 1", []),
        ("kick == sent", [1, 3]),
        ("kick == suppressed", [2, 3]),
        ("kick", [1, 2, 3]),
        ("call == sent or call == suppressed", [4, 5]),
        ("latency > 100us", [2]),
        ("latency <= 50us", [1, 5]),
        ("latency == 50us", [1]),
        ("latency", [1, 2, 5]),
        ("not latency > 100us", [1, 3, 4, 5]),
        ("pickup == 1us", [1, 2, 5]),
        ("pickup < 0.0005ms", []),
        ("vnet.gso_type != none", [2]),
        ("vnet.gso_type == tcpv4", [2]),
        ("vnet.gso_size == 1460", [2]),
        ("vnet.needs_csum == 1", [2]),
        ("vnet.hdr_len == 54", [2]),
        ("vnet.num_buffers", [1, 2, 3]),
        ("vnet.num_buffers == 2", [3]),
        ("vnet.gso_type", [1, 2, 3, 4]),
        ("frame.time_epoch > 1000000000.000002", [4, 5]),
        ('frame.time > "2001-09-09T01:46:40.000003Z"', [5]),
        ("captured == 60 and frame.number >= 4", [4, 5]),
        ("frame.len < 1k", [1, 2, 3, 4, 5]),
        ("60 == frame.len and 3 > frame.number", [1, 2]),
        ("frame.number + 1 == 3", [2]),
        ("{frame.number + 1} * 2 == 8", [3]),
        ("frame.number & 1", [1, 3, 5]),
        ("frame.number % 2 == 0", [2, 4]),
        ("head == frame.number + 4", [1, 2, 3, 4, 5]),
        ("count(kick) == 2", [3]),
    ],
)
def test_facts_of_the_ring(text: str, numbers: list[int]) -> None:
    assert (np.flatnonzero(compile_filter(text).mask(facts_block())) + 1).tolist() == numbers


ERRORS = [
    ("ip.foo == 1", "ip.foo", "no field is called ip.foo; did you mean ip."),
    (
        "ip.src == 1 and tcp",
        "1",
        "ip.src takes an IPv4 address, such as 10.0.0.1 or 10.0.0.0/8, not 1",
    ),
    ("tcp and tcp.prot == 5", "tcp.prot", "no field is called tcp.prot; did you mean tcp.port?"),
    ("vnet.gso == 1", "vnet.gso", "no field is called vnet.gso; did you mean vnet.gso_size?"),
    ("tcp.port == 70000", "70000", "tcp.port takes numbers 0 to 65535, not 70000"),
    ("tcp.port == -1", "-1", "tcp.port takes numbers 0 to 65535, not -1"),
    ("ip.src == 10.0.0.0/33", "33", "a prefix of ip.src has at most 32 bits, not 33"),
    ("ipv6.src == fe80::1::2", "fe80::1::2", "ipv6.src takes an IPv6 address"),
    ("eth.src == 1:2", "1:2", "eth.src takes a MAC address"),
    ("latency > 100", "100", "latency takes a time with its unit, such as 100us or 1.5ms, not 100"),
    ("direction == up", "up", "direction takes to_device, to_driver or numbers 0 to 1, not up"),
    ("tcp.flags.syn < 1", "<", "tcp.flags.syn is true or false; use == or !="),
    ("tcp.port contains 1", "contains", "contains looks into text or bytes; tcp.port holds a number"),
    ("tcp.port == ip.src", "ip.src", "tcp.port holds a number, ip.src an IPv4 address"),
    ('dns.qry.name matches "("', '"("', "this expression cannot be used: missing )"),
    ("dns.qry.name matches abc", "abc", "after matches comes an expression in quotes"),
    ('dns.qry.name == "abc', '"abc', "this text has no closing quote"),
    (r'dns.qry.name == "a\.b"', r'"a\.b"', "has no meaning in quotes"),
    ("tcp[0", "[0", "this slice has no closing bracket"),
    ("tcp[a]", "[a]", "a slice is [first:length]"),
    ("tcp.port[0] == 1", "tcp.port[0]", "tcp.port holds a number and has no slices"),
    ("(tcp", "(", "this parenthesis is not closed"),
    ("tcp)", ")", "this parenthesis closes none"),
    ("tcp udp", "udp", "after a test comes and, or or the end of the filter, not udp"),
    ("tcp AND udp", "AND", "after a test comes and, or or the end of the filter, not AND"),
    ("tcp and", "", "here a field or a value is needed, not its end"),
    ("tcp.port ==", "", "here a field or a value is needed, not its end"),
    ("tcp.port = 80", "=", "equality is written =="),
    ("tcp | udp", "|", "or is written ||"),
    ("tcp $ udp", "$", "'$' has no meaning here"),
    ("80", "80", "80 alone is no test"),
    ('"a" == "b"', '"a"', "a value alone is no test"),
    ("tcp.port in 80", "80", "after in comes a set"),
    ("tcp.port in {80 81}", "81", "separated by commas"),
    ("tcp.port in {9..1}", "9..1", "this range ends before it begins"),
    ("any tcp", "tcp", "any stands before a comparison"),
    ("foo(tcp) == 1", "foo", "no function is called foo; there are len, count, lower, upper"),
    ("len(tcp.port) == 1", "tcp.port", "len takes text or bytes"),
    ("tcp.seq == 1", "tcp.seq", "use tcp.seq_raw"),
    ("ip.ttl / 0 == 1", "0", "nothing is divided by 0"),
    ("http", "http", "http is not told apart by the filter"),
    ("ip.src#0", "0", "after # comes the number of a layer, from 1"),
]


@pytest.mark.parametrize(("text", "word", "message"), ERRORS)
def test_an_error_is_one_line_and_points_at_the_word(text: str, word: str, message: str) -> None:
    with pytest.raises(FilterError) as error:
        compile_filter(text)
    assert message in str(error.value)
    assert text[error.value.start : error.value.stop] == word
    assert str(error.value).isprintable()


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["tcp", "ip.src", "==", "10.0.0.1", "(", ")", "and", "or", "not", "{", "}", "in", "..", ",", "5",
             "[0:2]", '"x"', "&", "-", "#", "1", "len(", "latency", "1ms", "'", "\x1b[31m", "é", "contains",
             "matches", "all"]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_words_give_a_filter_or_one_line(words: list[str]) -> None:
    text = " ".join(words)
    try:
        assert len(compile_filter(text).mask(block_of(MIX[:20]))) == 20
    except FilterError as error:
        assert str(error).isprintable() and "\n" not in str(error)
        assert 0 <= error.start <= error.stop <= len(text)
    for cursor in (0, len(text) // 2, len(text)):
        found = complete(text, cursor)
        assert 0 <= found.start <= found.stop <= len(text)


def test_length_and_depth_are_bounded() -> None:
    assert shown("(" * 200 + "tcp" + ")" * 200) == shown("tcp")
    assert shown("(tcp or arp and not (" * 100 + "udp" + "))" * 100) == shown("tcp or arp and udp")
    assert shown("!" * 9_000 + "tcp") == shown("tcp")
    assert shown(" or ".join(["tcp"] * 1000)) == shown("tcp")
    for text, message in (
        ("(" * 201 + "tcp" + ")" * 201, "more than 200 parentheses"),
        ("{" * 100 + "ip.ttl" + "}" * 100 + " == 1", "at most 24 parts"),
        ("tcp or " * 2000 + "tcp", "at most 10000 characters"),
        ("-" * 9000 + "1 == ip.ttl", "at most 24 parts"),
        ("tcp" + "[0:2]" * 1000, "at most 24 parts"),
        ("ip.ttl" + " + 1" * 1000 + " == 3", "at most 24 parts"),
    ):
        with pytest.raises(FilterError, match=message):
            compile_filter(text)


def test_pairs_of_values_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = (
        "tcp.port == udp.port",
        "eth.addr == eth.src",
        "ip.addr != ip.dst",
        "eth.addr[0:3] == eth.src[0:3]",
    )
    sums = ("udp.port + 1 == udp.port + udp.port - udp.port + 1",)
    whole = [shown(text) for text in (*texts, *sums)]
    assert any(whole)
    monkeypatch.setattr("capture.filters.run._PAIRS", 3)
    assert [shown(text, MIX) for text in (*texts, *sums)] == whole


def test_many_threads_may_use_one_filter() -> None:
    made, block = compile_filter("ip.addr == 192.0.2.0/24 and udp.payload contains 00"), block_of(MIX)
    expected = made.mask(block).tolist()
    found: list[list[bool]] = []
    threads = [threading.Thread(target=lambda: found.append(made.mask(block).tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_the_blocks_of_a_store_give_the_same_as_one() -> None:
    store = FrameStore(1 << 20)
    whole = block_of(MIX)
    store.append(whole.rows, whole.data, whole.offsets)
    made = compile_filter("tcp or vlan")
    parts = [made.mask(block) for block in store.blocks(1, 1 << 60)]
    assert len(parts) > 1
    assert np.concatenate(parts).tolist() == made.mask(whole).tolist()[store.first - 1 :]


@pytest.mark.parametrize(
    ("text", "candidates", "replaced"),
    [
        ("", ("ip.addr", "tcp.port"), ""),
        ("tcp.fl", ("tcp.flags",), "tcp.fl"),
        ("ip.s", ("ip.src",), "ip.s"),
        ("srcp", ("tcp.srcport", "udp.srcport"), "srcp"),
        ("vnet.gso_type == ", ("none", "tcpv4"), ""),
        ("vnet.gso_type == t", ("tcpv4", "tcpv6"), "t"),
        ("direction in {", ("to_device", "to_driver"), ""),
        ("latency ", ("<", "<="), ""),
        ("dns.qry.name ", ("contains", "matches"), ""),
        ("tcp.port == 80 ", ("and", "or"), ""),
        ("tcp and ud", ("udp",), "ud"),
        ("tcp.flags.syn == ", ("1", "0"), ""),
        ('dns.qry.name == "a', (), None),
    ],
)
def test_completion(text: str, candidates: tuple[str, ...], replaced: str | None) -> None:
    found = complete(text, len(text))
    assert found.candidates[: len(candidates)] == candidates
    if replaced is not None:
        assert text[found.start : found.stop] == replaced


def test_every_field_says_what_it_is() -> None:
    for name, info in FIELDS.items():
        assert info.name == name and info.about and info.about.isprintable()
        assert all(part in FIELDS for part in info.parts)
