"""Regular expressions that could hold up the program are refused; the rest are left alone."""

from __future__ import annotations

import re

import pytest

from capture.dfilter import compile_filter
from capture.errors import FilterError
from capture.patterns import compile_pattern


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a{2,30})+", "(?i:(x*)*)", "(?:(?:a*)b)+", "(a|ab)*c", ".*.*.*.*x", b"(a*)*", "(.|a)+"],
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
        ("([a-z]{1,3}[.])+", "ab.cd.e."),
        (r"GET .* HTTP/1\.[01]", "GET /x HTTP/1.1"),
        ("a+b+c+", "aabbcc"),
    ],
)
def test_what_is_quick_is_left_alone(pattern: str, text: str) -> None:
    assert compile_pattern(pattern).search(text)


def test_a_display_filter_says_which_words() -> None:
    text = 'dns.qry.name matches "(a+)+$"'
    with pytest.raises(FilterError, match="a repeat inside a repeat") as refused:
        compile_filter(text)
    assert text[refused.value.start : refused.value.stop] == '"(a+)+$"'
