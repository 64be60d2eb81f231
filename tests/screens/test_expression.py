"""The one language of scenarios and lessons: what it means, in which words it answers, what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.scenario import load
from dataplane.script.expression import Unsound
from dataplane.script.facts import View
from inspector.learning.ringfacts import evaluate, facts, written

SENT = "[pair]\nqueue_size = 4\n[[do]]\nsend = 'udp 64'\n[[do]]\nstep = 'driver until kick on tx0'\n"


@pytest.fixture(scope="module")
def known() -> Iterator[View]:
    """A queue of four whose driver has made all its buffers available and kicked."""
    with Pair(queue_size=4, frozen=True) as pair:
        pair.start()
        before = pair.snapshot()
        for side in Side:
            pair.step(side, "operation", 40)
        yield facts(pair.snapshot(), "rx0", before, pair.memory)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("published == 4 and was.published == 0", 1),
        ("owner[0] == available", 1),
        ("owner[used] == available and used == 0", 1),  # a fact in its own right, a word beside an owner
        ("owner[0] == used or used == owner[0]", 0),
        ("owner[0] == 'available'", 1),
        ("desc[owner[0]].next == used", 1),  # a row is no neighbour
        ("desc[avail_ring[size - 1]].flags has WRITE", 1),
        ("desc[0].flags lacks NEXT | INDIRECT", 1),
        ("queues.tx0.published == 0 and queues.rx0.published == published", 1),
        ("u16(0 - 1)", 65535),
        ("1" + "+1" * 190, 191),
        ("2 + 3 * 4 - 10 // 3 % 2", 13),
        ("1 | 6 & 3", 3),
        ("~0 & 0xf", 15),
        ("not 1 == 2", 1),
        ("3 if published in (4, 5) else 8", 3),
        ("'yes' if kick.sent else 'none yet'", "yes"),
    ],
)
def test_what_it_means(known: View, text: str, value: int | str) -> None:
    assert evaluate(text, known) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("publisehd", "publisehd: nothing is called 'publisehd' here; did you mean published?"),
        ("was.publisehd", "was.publisehd: was has no publisehd; did you mean published?"),
        ("owner[0] == availble", "availble is no word for owner[0]; did you mean available?"),
        ("owner[0] == 'in use'", "in use is no word for owner[0]; did you mean in_use?"),
        ("desc[size].len", "desc has no row 4; they are numbered 0 to 3"),
        ("desc[0 - 1].len", "desc has no row -1;"),
        ("desc['len']", "the number of a row is wanted after desc["),
        ("table[0][0].len", "no indirect table hangs on slot 0"),
        ("memory16[3]", "2 bytes at 0x3 are not inside one region of memory"),
        ("pased(1, 2, 3)", "there is no pased(); did you mean passed?"),
        ("passed(1, 2)", "passed() takes 3 values"),
        ("1 // published - 0 // (used - used)", "it cannot be worked out"),
        ("(" * 60 + "1" + ")" * 60, "it is nested too deeply"),
        ("desc[0 == " * 15 + "size" + "]" * 15, "desc[0] has several fields"),
        ("1 if 2", "an else is missing after 2"),
        ("events.store", "there is no events; did you mean used_event?"),
    ],
)
def test_what_it_refuses(known: View, text: str, said: str) -> None:
    with pytest.raises(Unsound) as caught:
        evaluate(text, known)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_prose_has_words_and_numbers(known: View) -> None:
    texts = ("owner[0]", "kick.answer", "desc[0].flags", "desc[0].flags:flags", "size:x", "size:b")
    assert [written(text, known) for text in texts] == [
        "available", "sent", "2", "WRITE", "0x4", "0000000000000100",
    ]  # fmt: skip


def test_a_scenario_may_use_all_of_it() -> None:
    expect = [
        "tx0.desc[tx0.avail_ring[0]].len == 76 and tx0.kick.answer == sent",
        "passed(tx0.kick.event, tx0.kick.new, tx0.kick.old)",
        "tx0.seen == 0 or tx0.table[0][0].len == 1",
    ]
    with load(f"{SENT}expect = {expect}\n").open() as played:
        while not played.done:
            played.step()
        assert [one.there for one in played.expectations if not one.holds] == []
        assert played.expectations[2].there == "tx0.seen is 0"


@pytest.mark.parametrize("wrong", ["tx0.seen == 1 and tx0.used == 0", "tx0.desc[tx0.avail_idx + 9].len == 1"])
def test_what_does_not_hold_is_told_with_what_is_there(wrong: str) -> None:
    with load(f"{SENT}expect = '{wrong}'\n").open() as played:
        while not played.done:
            played.step()
        assert not played.expectations[0].holds
        assert played.expectations[0].there in (
            "tx0.seen is 0, tx0.used is 0",
            "tx0.desc has no row 10; they are numbered 0 to 3",
        )


_NUMBERS = st.integers(0, 40).map(str)
_SUMS = st.recursive(
    _NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "|", "&"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        inner.map("~{}".format),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(_SUMS)
def test_operators_bind_as_in_python(text: str) -> None:
    assert evaluate(text, {}) == eval(text)


_TOKENS = "( ) [ ] . , 0 1 - ~ not if else and in == has size desc used 'x' u16".split()  # noqa: SIM905


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_TOKENS), max_size=12))
def test_whatever_is_asked_is_answered_or_refused(known: View, tokens: list[str]) -> None:
    try:
        evaluate(" ".join(tokens), known)
    except Unsound as error:
        assert "\n" not in str(error)
