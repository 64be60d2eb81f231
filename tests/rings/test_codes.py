"""The catalogue of codes: every one is whole, agrees with the others, and is what the rules report."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from dataplane.breaks_text import parse
from dataplane.rules.codes import CODES, FAMILIES, VANTAGES, Code, Family, UnknownCode, Vantage, find
from dataplane.rules.told import alike_rings, alike_waiting

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"[1-6](\.[1-9]\d?){1,5}")
EACH = pytest.mark.parametrize("code", CODES.values(), ids=CODES)

COUNTS = {
    "kick": 8,
    "call": 8,
    "device": 11,
    "driver": 7,
    "used": 6,
    "layout": 10,
    "control": 9,
    "other": 3,
}


def texts(code: Code) -> list[str]:
    """Everything of a code that somebody reads."""
    causes = [text for cause in code.causes for text in (cause.what, cause.tell)]
    alike = [one.decides for one in code.alike]
    return [code.means, code.look, *causes, *alike, *code.next, *([code.healthy] if code.healthy else [])]


def test_there_are_all_codes_of_every_family() -> None:
    assert Counter(code.family for code in CODES.values()) == COUNTS
    assert sum(COUNTS.values()) == 62
    assert set(FAMILIES) == set(get_args(Family)) == set(COUNTS)
    assert set(VANTAGES) == set(get_args(Vantage))


def test_the_order_is_that_of_the_families() -> None:
    told = [code.family for code in CODES.values()]
    assert told == sorted(told, key=list(FAMILIES).index)


@EACH
def test_a_code_is_whole(code: Code) -> None:
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code.name) and CODES[code.name] is code
    assert code.causes and code.next and code.alike
    assert code.bugs, "where was it real?"
    assert code.sections and all(SECTION.fullmatch(section) for section in code.sections)
    assert len(set(code.sections)) == len(code.sections)
    assert code.vantage and set(code.vantage) <= set(VANTAGES)
    assert len(set(code.vantage)) == len(code.vantage)


@EACH
def test_its_sentences_are_plain_and_end(code: Code) -> None:
    for text in texts(code):
        assert text.isprintable() and text.isascii() and text == text.strip() and "  " not in text
        assert text[-1] in ".?!", text
    assert len(code.means) <= 110  # one line


@EACH
def test_what_looks_alike_exists_and_looks_back(code: Code) -> None:
    for one in code.alike:
        assert one.code != code.name and set(one.vantage) <= set(VANTAGES) and one.vantage
        back = [other for other in CODES[one.code].alike if other.code == code.name]
        assert [other.decides for other in back] == [one.decides]


def test_no_pair_stands_twice_or_of_unknown_codes() -> None:
    pairs = [frozenset((one.one, one.other)) for one in (*alike_waiting.TWINS, *alike_rings.TWINS)]
    assert len(set(pairs)) == len(pairs)
    assert frozenset().union(*pairs) <= CODES.keys()


def test_no_bug_stands_twice() -> None:
    bugs = [bug for code in CODES.values() for bug in code.bugs]
    assert len(bugs) >= 125 and len(set(bugs)) == len(bugs)
    assert len({(bug.project, bug.ref) for bug in bugs}) == len(bugs)
    for bug in bugs:
        assert bug.project and bug.ref and bug.title and f"{bug.project}{bug.ref}{bug.title}".isprintable()


def test_every_name_in_a_text_is_a_code() -> None:
    """A text may send its reader to another code, which then has to be there."""
    shaped = re.compile(r"\b(?:ADDR|BASE|CALL|CHAIN|HEAD|INDEX|INFLIGHT|KICK|PACKED|USED)_[A-Z_]+\b")
    for code in CODES.values():
        for text in texts(code):
            for word in shaped.findall(text):
                assert word in CODES, f"{code.name}: {word}"


def test_every_code_a_rule_can_report_is_told() -> None:
    """Read from the rules' text: a rule may be waiting for a state that no test brings about."""
    shaped = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')
    known = {name.split("_")[0] for name in CODES}
    for path in sorted((ROOT / "dataplane/rules").glob("*.py")):
        for name in shaped.findall(path.read_text(encoding="utf-8")):
            if name.split("_")[0] in known:
                assert name in CODES, f"{path.name}: {name}"


def test_every_breakpoint_that_is_advised_can_be_set() -> None:
    advised = [
        line
        for code in CODES.values()
        for step in code.next
        for line in re.findall(r"`([^`]*\btx0\b[^`]*)`", step)
        if not line.startswith("ringscope")
    ]
    assert len(advised) >= 4
    for line in advised:
        parse(line)


@pytest.mark.parametrize(
    "name", ["KICK_MISSING", "kick_missing", "Kick-Missing", "  kick missing ", "kick__missing"]
)
def test_a_code_is_found_however_it_is_spelt(name: str) -> None:
    assert find(name) is CODES["KICK_MISSING"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("KICK_MISING", "no code is called 'KICK_MISING'; near it: KICK_MISSING"),
        ("ring seen", "no code is called 'ring seen'; near it: FULL_RING_SEEN_AS_EMPTY"),
        ("xyz", "no code is called 'xyz'; there are 62, none of them like it"),
        ("", "no code is called ''; there are 62"),
    ],
)
def test_an_unknown_one_is_told_in_one_line(name: str, said: str) -> None:
    with pytest.raises(UnknownCode) as caught:
        find(name)
    assert isinstance(caught.value, KeyError) and str(caught.value).startswith(said)


def test_a_family_is_near_to_all_of_its_codes() -> None:
    with pytest.raises(UnknownCode) as caught:
        find("kick")
    assert all(name in str(caught.value) for name in CODES if name.startswith("KICK_"))


def test_a_very_long_name_stays_one_short_line() -> None:
    with pytest.raises(UnknownCode) as caught:
        find("é" * 100_000)
    assert len(str(caught.value)) < 200
