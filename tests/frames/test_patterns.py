"""Regular expressions that could hold up the program are refused; the rest are left alone."""

from __future__ import annotations

import re

import pytest

from capture.dfilter import compile_filter
from capture.errors import FilterError
from capture.patterns import REACH, compile_pattern, reach


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a{2,30})+",
        "(?i:(x*)*)",
        "(?:(?:a*)b)+",
        "(a|ab)*c",
        ".*.*.*.*.*x",
        b"(a*)*",
        "(.|a)+",
        "(a{0,16}){0,16}$",
        "(a?){16}(a?){16}$",
        "a?" * 26 + "a" * 26,
        "([0-9]{1,3}[.]){5}",
    ],
)
def test_what_could_take_for_ever_is_refused(pattern: str | bytes) -> None:
    with pytest.raises(re.error):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^www[.]", "www.example.com"),
        ("(foo|bar)+baz", "foobarbaz"),
        ("(?:a|b)*c", "ababc"),
        ("([a-z]{3}[.])+", "abc.def."),
        ("([0-9]{1,3}[.]){3}[0-9]{1,3}", "192.0.2.1"),
        ("https?://", "http://x"),
        (r"GET .* HTTP/1\.[01]", "GET /x HTTP/1.1"),
        ("a+b+c+", "aabbcc"),
    ],
)
def test_what_is_quick_is_left_alone(pattern: str, text: str) -> None:
    assert compile_pattern(pattern).search(text)


@pytest.mark.parametrize("repeats", range(len(REACH)))
def test_the_more_repeats_the_less_is_searched(repeats: int) -> None:
    pattern = compile_pattern("x" + "[^q]*" * repeats + "q")
    assert reach(pattern) == REACH[repeats]
    text = "x" + "a" * (REACH[repeats] - 1) + "q"
    assert pattern.search(text, 0, reach(pattern)) is None


def test_a_display_filter_says_which_words() -> None:
    text = 'dns.qry.name matches "(a+)+$"'
    with pytest.raises(FilterError, match="no repeat inside a repeat") as refused:
        compile_filter(text)
    (remark,) = compile_filter('dns.qry.name matches "^a.*b.*c"').remarks
    assert "256" in remark
    assert text[refused.value.start : refused.value.stop] == '"(a+)+$"'
