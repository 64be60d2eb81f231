"""What the lines around a screen say, and the sanitiser that all foreign text passes."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.chrome import Key, cut, fit, top
from inspector.feed import RESTING, pace
from inspector.headlines import Headline, facts, headline
from inspector.numbers import count, duration, rate
from inspector.sanitise import clean, one_line
from inspector.session import Session
from tests.fakes import Still, device


@given(st.text())
def test_nothing_a_terminal_obeys_comes_through(text: str) -> None:
    for character in clean(text):
        assert character.isprintable()
        assert unicodedata.category(character)[0] not in "CM"
        assert unicodedata.east_asian_width(character) not in "WF"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain text, 100 % [NEXT]", "plain text, 100 % [NEXT]"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("two\nlines\t", "two\\x0alines\\x09"),
        ("abc\u202edef", "abc\\u202edef"),
        ("e\u0301", "e\\u0301"),
        ("\u200bé", "\\u200bé"),
        ("漢", "\\u6f22"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_clean(text: str, safe: str) -> None:
    assert clean(text) == safe


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (81_204, "81,204"), (99_999, "99,999"), (100_000, "100 k"), (1_240_000, "1.24 M"),
     (31_000_000_000, "31.00 G"), (999_600, "1.00 M")],
)  # fmt: skip
def test_count(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0/s"), (3.42, "3.4/s"), (812, "812/s"), (1.24e6, "1.24 M/s")]
)
def test_rate(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0 ns"), (834, "834 ns"), (12_340, "12.3 us"), (4_010_000, "4.01 ms"), (999_600, "1.00 ms"),
     (1.2e9, "1.20 s"), (75e9, "75.0 s"), (700e9, "11 min"), (7500e9, "2 h 05 min"), (-1500, "-1.50 us")],
)  # fmt: skip
def test_duration(nanoseconds: float, text: str) -> None:
    assert duration(nanoseconds) == text


HEAD = Headline(
    name="net0",
    kind="pair",
    layout="packed 256",
    features=("EVENT_IDX", "INDIRECT_DESC", "MRG_RXBUF", "MQ", "CSUM"),
    state=((" ● live 15 Hz ", "used"),),
    trace="operations",
    seen=1_240_000,
)


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_the_first_line_fits_and_keeps_what_matters(width: int) -> None:
    text = "".join(piece for piece, _ in top(HEAD, width))
    assert len(text) == width
    for must in ("net0", "packed 256", "● live 15 Hz", "seen 1.24 M"):
        assert must in text


def test_features_give_way_and_say_so() -> None:
    narrow = "".join(piece for piece, _ in top(HEAD, 100))
    wide = "".join(piece for piece, _ in top(HEAD, 200))
    assert "EVENT_IDX" in narrow and "+" in narrow
    assert wide.index("CSUM") and "+" not in wide


def test_keys_that_do_not_fit_go_but_help_stays() -> None:
    keys = [Key((str(n),), "something", ("x",)) for n in range(9)] + [Key(("?",), "help", ("help",))]
    fitting = fit(keys, 50)
    assert [key.keys[0] for key in fitting] == ["0", "1", "2", "?"]
    assert fit(keys, 5)[-1].description == "help"


def test_headline_and_facts_of_a_reading() -> None:
    session = Session(Still(device(256)))
    tick = session.pull()
    head = headline(session, tick)
    assert (head.name, head.kind, head.layout, head.trace) == ("net0", "pair", "split 256", "operations")
    assert head.features[0] == "EVENT_IDX"
    assert "live" in head.state[0][0]
    session.paused = True
    assert "paused" in headline(session, tick).state[0][0]
    assert "stopped" in headline(session, tick, failed=True).state[0][0]
    assert "packets kept" in "".join(text for text, _ in facts(session, tick))


def test_of_a_frozen_pair_every_store_is_traced_and_said_to_be() -> None:
    session = Session(Still(device(256)))
    tick = session.pull()
    frozen = replace(tick, snapshot=replace(tick.snapshot, state="frozen"))
    assert headline(session, frozen).trace == "stores while frozen"
    logs = replace(tick.snapshot.logs, trace_level="stores")
    frozen = replace(tick, snapshot=replace(tick.snapshot, state="frozen", logs=logs))
    assert headline(session, frozen).trace == "stores"


def test_a_pair_at_rest_is_read_less_often_until_something_happens() -> None:
    tick = Session(Still(device(256))).pull()
    frozen = replace(tick.snapshot, state="frozen")
    moved = replace(frozen, number=frozen.number + 1)
    running = replace(frozen, state="running")
    assert pace(15, replace(tick, previous=frozen, snapshot=frozen)) == RESTING
    assert pace(2, replace(tick, previous=frozen, snapshot=frozen)) == 2
    for before, now in ((None, frozen), (frozen, moved), (running, frozen), (frozen, running)):
        assert pace(15, replace(tick, previous=before, snapshot=now)) == 15


def test_what_is_too_long_for_the_foot_says_so() -> None:
    pieces = (("four", "text"), (" and five", "muted"))
    assert cut(pieces, 13) == list(pieces)
    assert cut(pieces, 10) == [("four", "text"), (" and…", "muted")]
    assert cut(pieces, 4) == [("fou…", "text")]


def test_an_error_is_one_clean_line() -> None:
    assert one_line(RuntimeError("the pair is closed")) == "the pair is closed"
    assert one_line(OSError("no\n\x1b[31mway")) == "no \\x1b[31mway"
    assert one_line(KeyError("x")) == "KeyError: 'x'"
    assert one_line(RuntimeError()) == "no reason given"
