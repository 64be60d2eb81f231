"""Where each key of a TOML text stands, for every form that TOML has."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.script.lines import Path, line_index

EVERY_FORM = '''\
# a comment with [brackets] and "quotes" = 1
title = "one"   # not = a key
"quoted key" = 1
'literal.key' = 2
"esc\\u0061ped" = 3
dotted.a.b = 1
dotted . a . "c d" = 2
3.14 = "bare digits"
number = 1_000
float = -3.5e+7
date = 1979-05-27 07:32:00Z
many = """
first "quoted" line = 1
[not.a.header]
escaped \\""" quotes"""
literal = \'\'\'
no \\escape
# no comment
\'\'\'
tight = """a""""
tighter = """b"""""
quotes = \'\'\'c\'\'\'\'
empty = ""
array = [1, 2, 3]
strings = [
    "a # no comment ]",  # a comment, with ] and "
    'b, [',

    """
    c
    """,
]
nested = [[1, 2], [
  3,
  [4],
]]
inline = { x = 1, y.z = [1,
  2], "w" = { v = "}" } }
tables = [{ a = 1 },
  { b = 2, c = 3}]
after = true

[table]
key = 1
  [table.sub."x.y"]  # indented
  key = 2
[ spaced . out ]
key = 3

[[do]]
step = 1
[[do]]
step = 2
[do.more]
step = 3
[[do.list]]
x = 1
[[do.list]]
x = 2
[[do]]
[[do.list]]
x = 3
[dotted2]
a.b.c = 1
[dotted2.a.d]
e = 2
'''


def paths(value: Any, at: Path = ()) -> set[Path]:
    """Every path of what tomllib made of a text."""
    found = {at} if at else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        found |= paths(one, (*at, key))
    return found


def test_every_form_has_a_line() -> None:
    index = line_index(EVERY_FORM)
    assert set(index) == paths(tomllib.loads(EVERY_FORM))


def test_the_lines() -> None:
    index = line_index(EVERY_FORM)
    lines = EVERY_FORM.split("\n")

    def line_with(start: str, nth: int = 0) -> int:
        return [i + 1 for i, line in enumerate(lines) if line.strip().startswith(start)][nth]

    for path, start, nth in [
        (("title",), "title", 0),
        (("quoted key",), '"quoted key"', 0),
        (("literal.key",), "'literal.key'", 0),
        (("escaped",), '"esc', 0),
        (("dotted",), "dotted.a.b", 0),
        (("dotted", "a", "b"), "dotted.a.b", 0),
        (("dotted", "a", "c d"), "dotted . a", 0),
        (("3", "14"), "3.14", 0),
        (("literal",), "literal =", 0),
        (("quotes",), "quotes", 0),
        (("strings", 0), '"a #', 0),
        (("strings", 1), "'b", 0),
        (("strings", 2), '"""', 0),
        (("nested", 1), "nested", 0),
        (("nested", 1, 0), "3,", 0),
        (("nested", 1, 1, 0), "[4]", 0),
        (("inline", "y", "z", 0), "inline", 0),
        (("inline", "y", "z", 1), "2], ", 0),
        (("inline", "w", "v"), "2], ", 0),
        (("tables", 1, "c"), "{ b = 2", 0),
        (("table",), "[table]", 0),
        (("table", "sub", "x.y", "key"), "key = 2", 0),
        (("spaced", "out", "key"), "key = 3", 0),
        (("do",), "[[do]]", 0),
        (("do", 1), "[[do]]", 1),
        (("do", 1, "step"), "step = 2", 0),
        (("do", 1, "more", "step"), "step = 3", 0),
        (("do", 1, "list", 1, "x"), "x = 2", 0),
        (("do", 2), "[[do]]", 2),
        (("do", 2, "list", 0, "x"), "x = 3", 0),
        (("dotted2", "a", "b", "c"), "a.b.c", 0),
        (("dotted2", "a", "d", "e"), "e = 2", 0),
    ]:
        assert index[path] == line_with(start, nth), path


def test_line_ends_of_windows() -> None:
    assert line_index("a = 1\r\n\r\n[b]\r\nc = '''\r\n'''\r\nd = 1\r\n") == {
        ("a",): 1,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "d"): 6,
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# only this", "a = 1 # no line end"])
def test_hardly_anything(text: str) -> None:
    assert set(line_index(text)) == paths(tomllib.loads(text))


_KEYS = st.sampled_from(["a", "b-c", '"x y"', "'l.i'", '"q\\"t"', "1"])
_SCALARS = st.sampled_from(
    [
        "1",
        "-0.5",
        "true",
        '"s"',
        "''",
        '"""\n"x" = [\n"""',
        "'''\n#\n'''",
        '"\\\\"',
        "1979-05-27",
        '"]}"',
        "inf",
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: "[ # c\n" + ",\n".join(v) + "\n]"),
        st.lists(inner, max_size=3).map(lambda v: "[" + " , ".join(v) + "]"),
        st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda d: "{ " + ", ".join(f"{k} = {v}" for k, v in d.items()) + " }"
        ),
    ),
    max_leaves=6,
)
_LINES = st.one_of(
    st.tuples(st.lists(_KEYS, min_size=1, max_size=3), _VALUES).map(lambda t: ".".join(t[0]) + " = " + t[1]),
    st.lists(_KEYS, min_size=1, max_size=3).map(lambda k: f"[{' . '.join(k)}] # c"),
    st.lists(_KEYS, min_size=1, max_size=3).map(lambda k: f"[[{'.'.join(k)}]]"),
    st.sampled_from(["", "# [x]", "  \t"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_LINES, max_size=12))
def test_whatever_tomllib_takes_is_found_whole(lines: list[str]) -> None:
    kept: list[str] = []
    for line in lines:  # what contradicts the lines before is left out
        try:
            tomllib.loads("\n".join([*kept, line]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(line)
    text = "\n".join(kept)
    index = line_index(text)
    assert set(index) == paths(tomllib.loads(text))
    total = text.count("\n") + 1
    assert all(1 <= line <= total for line in index.values())
    for path, line in index.items():
        if len(path) > 1:
            assert index[path[:-1]] <= line
