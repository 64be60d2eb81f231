"""The language in which scenarios and lessons ask for what stands in a ring.

    tx0.kick.answer == sent
    tx0.desc[0].flags has NEXT
    avail_ring[avail_idx % size] == 2 and not driver.asleep
    u16(avail_idx - avail_event - 1)

A text is parsed once, bound to the names that there are (`facts`), and worked out at any moment. A word such
as `sent` belongs to the fact that it is compared with; one in quotes may also stand for itself. What binds
how tightly is as in Python, with one comparison at a time; nothing is looked up but facts.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from dataplane.layout import need_event
from dataplane.script.facts import FLAGS, Fact, Leaf, RowsView
from dataplane.script.table import near, there_are

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F_]+|\d[\d_]*)|(?P<name>[A-Za-z_]\w*)|(?P<text>'[^']*')"
    r"|(?P<sign>==|!=|<=|>=|<<|//|[<>+\-*%&|~.,()\[\]]))"
)
_LONGEST = 400  #: characters
_DEEPEST = 40  #: parts within parts
_LARGEST = 1 << 64
_SHIFT = 128  #: bits


class Unsound(ValueError):
    """A text that cannot be read, names what is not there or cannot be worked out: one line."""


@dataclass(frozen=True, slots=True)
class Name:
    """A path to a fact, as it is written, and its fields and rows."""

    text: str
    parts: tuple[str | Node, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """An operator or function, and what it is done to."""

    sign: str
    of: tuple[Node, ...]


Node: TypeAlias = int | str | Name | Op  #: a text is a word in quotes


def _shifted(value: int, by: int) -> int:
    if not 0 <= by < _SHIFT:
        raise ValueError
    return value << by


def _u16(value: int) -> int:
    return value & 0xFFFF


_COMPARE: dict[str, Callable[..., Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "has": lambda a, b: a & b == b,
    "lacks": lambda a, b: not a & b,
    "in": lambda a, *those: a in those,
}
_CALLS: dict[str, tuple[int, Callable[..., int]]] = {
    "u16": (1, _u16),
    "bit": (2, lambda value, at: value >> (at & 63) & 1),
    "passed": (3, need_event),
}
_CALCULATE: dict[str, Callable[..., int]] = {
    "|": operator.or_,
    "&": operator.and_,
    "<<": _shifted,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "not": operator.not_,
    **{name: act for name, (_, act) in _CALLS.items()},
}
_OR, _AND, _NOT, _COMPARING, _UNARY = 1, 2, 3, 4, 11
_LEVELS = {
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(_COMPARE, _COMPARING),
    **{"|": 5, "&": 7, "<<": 8, "+": 9, "-": 9, "*": 10, "//": 10, "%": 10},
}


@lru_cache(maxsize=2048)
def parse(text: str) -> Node:
    """The tree of a text, its names not looked up yet. Unsound."""
    if len(text) > _LONGEST:
        raise Unsound(f"an expectation of {len(text)} characters is too long: {_LONGEST} at most")
    return _Reader(text).whole()


def names(node: str | Node, rows: bool = True) -> Iterator[Name]:
    """Every path in it, in the order in which it is written; with `rows` those that say which row, too."""
    if isinstance(node, Name):
        yield node
    of = node.of if isinstance(node, Op) else node.parts if isinstance(node, Name) and rows else ()
    for part in of:
        yield from names(part, rows)


def bind(node: Node, known: Mapping[str, Any], beside: tuple[str, Leaf] | None = None) -> Node:
    """Its names checked and its words turned into their numbers. Unsound names what is not there.

    `known` are the facts, which need no values yet (`facts.BLANK`); words belong to the one `beside` them.
    """
    match node:
        case str(word):
            return _number_of(word, known, beside, quoted=True)
        case Name(parts=(str(word),)) if word not in known or (beside and word in beside[1].words):
            return _number_of(word, known, beside)
        case Name(text, parts):
            for part in parts:
                if isinstance(part, Name) and len(part.parts) == 1 and part.text not in known:
                    raise Unsound(f"the number of a row is wanted after {text[: text.index('[') + 1]}")
            bound = Name(text, tuple(p if isinstance(p, str) else bind(p, known) for p in parts))
            _reach(bound, known, _first_row)
            return bound
        case Op(sign, of):
            if sign in _COMPARE:
                beside = _first(node, known)
                if sign in ("has", "lacks") and beside and not beside[1].flags:
                    raise Unsound(f"{sign} asks for flags, and {beside[0]} has none")
            return Op(sign, tuple(bind(one, known, beside) for one in of))
    return node


def _first(node: Node, known: Mapping[str, Any]) -> tuple[str, Leaf] | None:
    """Its first fact with words, else its first: as it is written, and what it can be."""
    found: list[tuple[str, Leaf]] = []
    for name in names(node, rows=False):
        with suppress(Unsound):  # told when this name is bound
            fact = _reach(name, known, _first_row)
            if isinstance(fact, Fact):
                found.append((name.text, fact.leaf))
    return next((one for one in found if one[1].words), found[0] if found else None)


def _number_of(
    word: str, known: Mapping[str, Any], beside: tuple[str, Leaf] | None, quoted: bool = False
) -> Node:
    """What a word stands for: without a fact itself where it is quoted, or the flag of this name."""
    if beside is not None:
        text, words = beside[0], beside[1].words
        if word not in words:
            there = near(word, words) if words else "it is a number"
            raise Unsound(f"{word} is no word for {text}; {there}")
        return words[word]
    if quoted:
        return word
    if word not in FLAGS:
        raise Unsound(f"nothing is called {word!r} here; {near(word, known)}")
    return FLAGS[word]


def work(node: Node, known: Mapping[str, Any]) -> int | str:
    """What something bound comes to now: a `Fact`, another number or a word. Unsound."""
    match node:
        case int() | str():
            return node
        case Name():
            return _reach(node, known, lambda row: work(row, known))
        case Op("and", of):
            return int(all(work(one, known) for one in of))
        case Op("or", of):
            return int(any(work(one, known) for one in of))
        case Op("if", (test, yes, no)):
            return work(yes if work(test, known) else no, known)
    values = [work(one, known) for one in node.of]
    if node.sign not in _COMPARE and any(isinstance(value, str) for value in values):
        raise Unsound("only numbers can be calculated with")
    try:
        return int((_COMPARE.get(node.sign) or _CALCULATE[node.sign])(*values))
    except (ArithmeticError, TypeError, ValueError):
        raise Unsound("it cannot be worked out") from None


def _first_row(row: Node) -> int:
    """For a row that is not known before the moment: any will do."""
    return row if isinstance(row, int) else 0


def _reach(name: Name, known: Mapping[str, Any], row_of: Callable[[Node], int | str]) -> int | str:
    """The value at the end of a path. Unsound where there is none, or none just now."""
    at: Any = known
    keys: list[str | int] = []
    for part in name.parts:
        keys.append(part if isinstance(part, str) else row_of(part))
        try:
            at = at[keys[-1]]
        except (KeyError, IndexError, TypeError):
            raise Unsound(_missing(at, _spelt(keys[:-1]), keys[-1])) from None
        except LookupError as error:
            raise Unsound(str(error)) from None
    if not isinstance(at, int | str):
        raise Unsound(_missing(at, _spelt(keys), ""))
    return at


def _spelt(keys: Sequence[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)[1:]


def _missing(at: Any, told: str, key: str | int) -> str:
    """Why what is `told` has no such field or row; with "", why it is no value itself."""
    rows = len(at) if isinstance(at, RowsView) else 0
    if isinstance(key, int) and not rows:
        return f"{told} has no rows to number"
    if isinstance(key, int):
        return f"{told} has no row {key}; they are numbered 0 to {rows - 1}"
    if rows:
        return f"{told} has {rows} rows: which? {told}[0]"
    if isinstance(at, int | str):
        return f"{told} is a number and has no {key}"
    if key:
        return f"{f'{told} has' if told else 'there is'} no {key}; {near(key, at)}"
    return f"{told} has several fields; {there_are([str(field) for field in at])}"


class _Reader:
    """Goes through the tokens of a text; behind the last one stands an empty one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []  #: kind, text, where it ends
        self._at = 0
        self._deep = 0
        end = 0
        while text[end:].strip():
            found = _TOKEN.match(text, end)
            if not found:
                stray = text[end:].strip()[0]
                hint = "; equal is written ==" if stray == "=" else ""
                raise Unsound(f"{stray!r} has no place in an expectation{hint}")
            end = found.end()
            self._tokens.append((str(found.lastgroup), found[0].strip(), end))
        if not self._tokens:
            raise Unsound("an expectation is empty")
        self._tokens.append(("", "", end))

    def whole(self) -> Node:
        node = self._expression()
        if self._kind:
            raise Unsound(f"what is {self._token!r} after {self._before!r}? one comparison each")
        return node

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _token(self) -> str:
        return self._tokens[self._at][1]

    @property
    def _before(self) -> str:
        return self._tokens[self._at - 1][1]

    def _next(self) -> str:
        self._at += 1
        return self._before

    def _take(self, *signs: str) -> str:
        """The next token if it is one of these, else ""."""
        return self._next() if self._kind and self._token in signs else ""

    def _need(self, sign: str, after: str = "") -> None:
        if not self._take(sign):
            raise Unsound(f"a{'n' * sign.isalpha()} {sign} is missing after {after or self._before}")

    def _expression(self, least: int = 0) -> Node:
        """What binds at least so tightly."""
        self._deep += 1
        if self._deep > _DEEPEST:
            raise Unsound("it is nested too deeply")
        if least <= _NOT and self._take("not"):
            left: Node = Op("not", (self._expression(_NOT),))
        elif sign := self._take("-", "~"):
            left = Op("-", (-1 if sign == "~" else 0, self._expression(_UNARY)))
        else:
            left = self._atom()
        most = _UNARY
        while least <= (level := _LEVELS.get(self._token, -1)) < most:
            sign = self._next()
            right = self._list() if sign == "in" else (self._expression(level + 1),)
            left = Op(sign, (left, *right))
            most = level if level == _COMPARING else most
        if not least and self._take("if"):
            test = self._expression(_OR)
            self._need("else")
            left = Op("if", (test, left, self._expression()))
        self._deep -= 1
        return left

    def _list(self) -> tuple[Node, ...]:
        self._need("(")
        found: list[Node] = []
        while not self._take(")"):
            found.append(self._expression())
            if self._token != ")":
                self._need(",")
        return tuple(found)

    def _atom(self) -> Node:
        match self._kind:
            case "number":
                return self._number()
            case "text":
                return self._next()[1:-1]
            case "name":
                return self._name()
        if self._take("("):
            node = self._expression()
            self._need(")")
            return node
        what = f"not {self._token!r}" if self._token else f"and nothing comes after {self._before!r}"
        raise Unsound(f"a name or a number is wanted, {what}")

    def _name(self) -> Node:
        first = self._next()
        if self._token == "(":
            return self._call(first)
        start = self._tokens[self._at - 1][2] - len(first)

        def text() -> str:
            return self._text[start : self._tokens[self._at - 1][2]]

        parts: list[str | Node] = [first]
        while sign := self._take(".", "["):
            if sign == "." and self._kind != "name":
                raise Unsound(f"a field is wanted after {text()}")
            if sign == "[" and self._kind in ("", "text"):
                raise Unsound(f"the number of a row is wanted after {text()}")
            parts.append(self._next() if sign == "." else self._expression())
            if sign == "[":
                self._need("]", text())
        return Name(text(), tuple(parts))

    def _call(self, name: str) -> Node:
        if name not in _CALLS:
            raise Unsound(f"there is no {name}(); {near(name, _CALLS)}")
        of, wanted = self._list(), _CALLS[name][0]
        if len(of) != wanted:
            raise Unsound(f"{name}() takes {wanted} value{'s' if wanted > 1 else ''}")
        return Op(name, of)

    def _number(self) -> int:
        text = self._next()
        try:
            number = int(text, 0) if len(text) <= 40 else _LARGEST + 1
        except ValueError:
            raise Unsound(f"{text} is no number") from None
        if number > _LARGEST:
            raise Unsound(f"{text[:24]} is larger than anything in a ring")
        return number
