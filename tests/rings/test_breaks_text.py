"""The language of breakpoints: read, written, and what is wrong with a line named to the character."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.breaks import BREAK, COUNTS, INDICES, OPERATORS, BreakRule, Condition, What, encode
from dataplane.breaks_text import EVENTS, EXAMPLES, BreakError, parse, text
from dataplane.keyframe import own_dtype
from dataplane.records import DEVICE_STATE, DRIVER_STATE, Kind, Reason, Side
from tests.rings.test_places import shape


@pytest.mark.parametrize("line", [line for line, _ in EXAMPLES])
def test_every_example_is_a_rule(line: str) -> None:
    rule = parse(line)
    assert parse(text(rule)) == rule


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("tx0 published > 500", BreakRule(What.PASSES, "published", 500, "tx0")),
        ("tx0 published >= 500", BreakRule(What.PASSES, "published", 499, "tx0")),
        ("published passes 1,000 tx0", BreakRule(What.PASSES, "published", 1000, "tx0")),
        ("used = 5", BreakRule(What.PASSES, "used", 4)),
        ("tx0 avail_idx > 0xfff0", BreakRule(What.PASSES, "avail.idx", 0xFFF0, "tx0")),
        ("Driver TX0 Slot 7", BreakRule(What.SLOT, "", 7, "tx0", Side.DRIVER)),
        ("once head 7 after 10", BreakRule(What.HEAD, "", 7, once=True, skip=10)),
        ("kick tx0", BreakRule(What.EVENT, "kick", 0, "tx0", kinds=1 << Kind.KICK | 1 << Kind.KICK_QUIET)),
        ("kick quiet", BreakRule(What.EVENT, "kick quiet", kinds=1 << Kind.KICK_QUIET)),
        ("wrap used flips", BreakRule(What.WRAP, "used")),
        ("device broken chain_loop", BreakRule(What.EVENT, "broken", 3, None, Side.DEVICE, 1 << Kind.BROKEN)),
        ("tx0 bpf udp port 53 or if", BreakRule(What.FRAME, queue="tx0", expression="udp port 53 or if")),
        ("once filter tcp.port == 80", BreakRule(What.FILTER, once=True, expression="tcp.port == 80")),
        (
            "tx0 chain > 4 if free<3 and device.used_wrap == 0",
            BreakRule(
                What.CHAIN,
                "",
                4,
                "tx0",
                conditions=(
                    Condition(Side.DRIVER, "free", "<", 3),
                    Condition(Side.DEVICE, "used_wrap", "==", 0),
                ),
            ),
        ),
    ],
)
def test_what_lines_mean(line: str, rule: BreakRule) -> None:
    assert parse(line) == rule and parse(text(rule)) == rule


@pytest.mark.parametrize(
    ("line", "wrong", "why"),
    [
        ("tx0 publised > 5", "publised", "did you mean published"),
        ("tx0 slot x", "x", "is a number"),
        ("tx0 slot 99999", "99999", "out of range"),
        ("chain < 4", "<", "only grows"),
        ("published >= 0", "0", "never below 0"),
        ("kick sent call sent", "call", "one thing"),
        ("tx0 tx1 lap", "tx1", "named already"),
        ("driver device lap", "device", "named already"),
        ("lap if fre < 3", "fre", "did you mean free"),
        ("lap if free ~ 3", "~", "no comparison"),
        ("lap if free < 3 and free > 1 and free > 0", "and free > 0", "at most 2"),
        ("tx9 lap", "tx9", "no queue is called"),
        ("avail.idx > 65536", "65536", "out of range"),
        ("notify maybe", "maybe", "on or off"),
        ("wrap rx0", "rx0", "flips"),
        ("tx0", "", "what to wait for"),
        ("lap after", "", "missing"),
        ("bpf", "", "a filter is missing"),
        ("", "", "a rule is missing"),
        ("lap and free < 3", "and", "not understood"),
    ],
)
def test_what_is_wrong_is_named(line: str, wrong: str, why: str) -> None:
    with pytest.raises(BreakError) as caught:
        parse(line, queues=("rx0", "tx0", "tx1", "ctl"))
    error = caught.value
    assert line[error.start : error.end] == wrong and why in error.message
    assert str(error).startswith("character") and "\n" not in str(error)


def rules() -> st.SearchStrategy[BreakRule]:
    conditions = st.builds(
        lambda side, at, op, value: Condition(side, *_named(side, at), op, value),
        st.sampled_from(list(Side)),
        st.integers(0, 200),
        st.sampled_from(OPERATORS),
        st.integers(0, 2**64 - 1),
    )
    plain = st.one_of(
        st.builds(
            lambda n, v: BreakRule(What.PASSES, n, v),
            st.sampled_from(list(COUNTS)),
            st.integers(0, 2**64 - 1),
        ),
        st.builds(
            lambda n, v: BreakRule(What.PASSES, n, v), st.sampled_from(list(INDICES)), st.integers(0, 65535)
        ),
        st.just(BreakRule(What.PASSES, "lap")),
        st.builds(
            lambda w, v: BreakRule(w, "", v), st.sampled_from([What.SLOT, What.HEAD]), st.integers(0, 32767)
        ),
        st.builds(lambda v: BreakRule(What.CHAIN, "", v), st.integers(0, 1000)),
        st.builds(lambda n: BreakRule(What.WRAP, n), st.sampled_from(["", "avail", "used"])),
        st.builds(_event, st.sampled_from(list(EVENTS)), st.sampled_from(list(Reason))),
        st.builds(
            lambda w, e: BreakRule(w, expression=e),
            st.sampled_from([What.FRAME, What.FILTER]),
            st.text(string.ascii_letters + " =.0123456789", min_size=1).map(str.strip).filter(bool),
        ),
    )
    return st.builds(
        lambda rule, queue, side, ifs, once, skip: _with(rule, queue, side, tuple(ifs), once, skip),
        plain,
        st.sampled_from([None, "rx0", "tx15", "ctl"]),
        st.sampled_from([None, *Side]),
        st.lists(conditions, max_size=2),
        st.booleans(),
        st.integers(0, 2**32 - 1),
    )


def _named(side: Side, at: int) -> tuple[str]:
    names = (DRIVER_STATE if side is Side.DRIVER else DEVICE_STATE).names or ()
    return (names[at % len(names)],)


def _event(name: str, reason: Reason) -> BreakRule:
    value = int(reason) if name in ("broken", "drop") else 0
    return BreakRule(What.EVENT, name, value, kinds=sum(1 << kind for kind in EVENTS[name]))


def _with(
    rule: BreakRule, queue: str | None, side: Side | None, ifs: tuple[Condition, ...], once: bool, skip: int
) -> BreakRule:
    from dataclasses import replace

    return replace(rule, queue=queue, side=side, conditions=ifs, once=once, skip=skip)


@given(rules())
def test_a_rule_written_and_read_is_the_rule_again(rule: BreakRule) -> None:
    assert parse(text(rule)) == rule


@given(st.text(max_size=60) | st.text("tx0 slot>=7ifonceafterbpf ", max_size=60))
def test_any_text_is_a_rule_or_an_error_within_it(line: str) -> None:
    try:
        parse(line)
    except BreakError as error:
        assert 0 <= error.start < error.end <= max(len(line), 1) + 1


def test_records_as_the_engine_has_them() -> None:
    split, packed = shape(False), shape(True)
    assert BREAK.itemsize == 72 and BREAK.fields is not None and BREAK.fields["value"][1] == 24
    lines = ["tx0 slot 7 once after 3", "lap", "avail.idx > 2", "kick sent", "chain > 4", "device chain > 4"]
    rows, programs = encode([parse(line) for line in lines], [split])
    assert rows["what"].tolist() == [2, 1, 1, 6, 4, 4] and not programs
    assert (rows[0]["queue"], rows[0]["skip"], rows[0]["once"], rows[0]["side"]) == (1, 3, 1, 255)
    assert (rows[1]["queue"], rows[1]["value"], rows[1]["period"]) == (65535, 7, 8)
    assert (rows[2]["value"], rows[2]["period"]) == (2, 65536)
    assert [int(row["kinds"]) for row in rows[4:]] == [1 << Kind.ADD, 1 << Kind.NEXT]
    for line, why in (
        ("wrap flips", "no wrap counter"),
        ("rx7 lap", "no queue is called rx7; there are tx0"),
        ("slot 8", "slots 0 to 7"),
        ("filter dns", "not for the engine"),
        ("bpf udp", "compiled"),
    ):
        with pytest.raises(ValueError, match=why):
            encode([parse(line)], [split])
    with pytest.raises(ValueError, match="packed queue"):
        encode([parse("avail.idx > 2")], [packed])


def test_conditions_name_words_of_the_queues_own_image() -> None:
    own = own_dtype(8)
    for side, dtype in ((Side.DRIVER, DRIVER_STATE), (Side.DEVICE, DEVICE_STATE)):
        start = own.fields["driver" if side is Side.DRIVER else "device"][1]  # type: ignore[index]
        for name in dtype.names or ():
            at = start + dtype.fields[name][1]  # type: ignore[index]
            assert Condition(side, name, "<", 1).word * 8 == at
