"""Expectations: one comparison over one moment, such as

    tx0.avail_idx == 1
    tx0.kick.answer == sent
    tx0.desc[0].flags has NEXT
    tx0.published - tx0.used <= 2
    tx0.driver.asleep

Names are those of `facts`; words on one side belong to what stands on the other. Without a comparison the
value must not be zero. `has` and `lacks` ask for flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dataplane.script.facts import Leaf, Moment, Record, find, value
from dataplane.script.table import near

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F_]+|\d[\d_]*)|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|[<>+\-|.\[\]]))"
)
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "has": lambda a, b: a & b == b,
    "lacks": lambda a, b: not a & b,
}
_LONGEST = 300  #: characters
_LARGEST = 1 << 64

Term = tuple[str, "int | str | tuple[str | int, ...]"]  #: sign, and a number, a word, or a path


class Unsound(ValueError):
    """An expectation that cannot be read, or names what is not there: one line."""


@dataclass(frozen=True)
class Expectation:
    """One comparison, read and checked. `leaf` spells the values of both sides."""

    text: str
    left: tuple[Term, ...]
    sign: str  #: "" where the left must not be zero
    right: tuple[Term, ...]
    leaf: Leaf

    @property
    def names(self) -> tuple[str, ...]:
        """The first names of what it asks for: queues, and what else is at the top."""
        return tuple(str(what[0]) for _, what in (*self.left, *self.right) if isinstance(what, tuple))


@dataclass(frozen=True)
class Verdict:
    """Whether it holds, and what is there."""

    holds: bool
    there: str


def parse(text: str, tree: Record) -> Expectation:
    """Reads one expectation and checks its names; Unsound with one line."""
    if len(text) > _LONGEST:
        raise Unsound(f"an expectation of {len(text)} characters is too long: {_LONGEST} at most")
    reader = _Reader(text, tree)
    left = reader.sum()
    sign = reader.take(*_COMPARE)
    right = reader.sum() if sign else ()
    if not reader.at_end:
        raise Unsound(f"what is {reader.token!r} after {reader.before!r}? one comparison each")
    leaves = [_leaf(term[1], tree) for term in (*left, *right) if isinstance(term[1], tuple)]
    if not leaves:
        raise Unsound(f"it asks for nothing of the rings; {near(_first_word(left), tree.fields)}")
    leaf = leaves[0]
    if sign in ("has", "lacks") and not leaf.flags:
        raise Unsound(f"{sign} asks for flags, and {reader.first_path} has none")
    left, right = _numbers(left, leaf, reader.first_path), _numbers(right, leaf, reader.first_path)
    return Expectation(" ".join(text.split()), left, sign, right, leaf)


def judge(one: Expectation, tree: Record, moment: Moment) -> Verdict:
    """Whether an expectation holds at this moment."""
    try:
        left, right = _total(one.left, tree, moment), _total(one.right, tree, moment)
    except LookupError as error:
        return Verdict(False, str(error.args[0]))
    holds = _COMPARE[one.sign](left, right) if one.sign else left != 0
    told = []
    for _, what in (*one.left, *one.right):
        if isinstance(what, tuple):
            told.append(f"{path_text(what)} is {find(tree, what).spell(value(tree, what, moment))}")
    return Verdict(holds, ", ".join(dict.fromkeys(told)))


def path_text(path: tuple[str | int, ...]) -> str:
    """A path as it is written."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)[1:]


def _leaf(what: object, tree: Record) -> Leaf:
    assert isinstance(what, tuple)
    try:
        return find(tree, what)
    except LookupError as error:
        raise Unsound(str(error.args[0])) from None


def _first_word(terms: tuple[Term, ...]) -> str:
    return next((str(what) for _, what in terms if isinstance(what, str)), "")


def _numbers(terms: tuple[Term, ...], leaf: Leaf, of: str) -> tuple[Term, ...]:
    """Words become what they stand for."""
    made: list[Term] = []
    for sign, what in terms:
        if isinstance(what, str):
            if what not in leaf.words:
                there = near(what, leaf.words) if leaf.words else "it is a number"
                raise Unsound(f"{what} is no word for {of}; {there}")
            what = leaf.words[what]
        made.append((sign, what))
    return tuple(made)


def _total(terms: tuple[Term, ...], tree: Record, moment: Moment) -> int:
    total = 0
    for sign, what in terms:
        assert not isinstance(what, str)
        number = value(tree, what, moment) if isinstance(what, tuple) else what
        total = total | number if sign == "|" else total - number if sign == "-" else total + number
    return total


class _Reader:
    """Goes through the tokens of one expectation."""

    def __init__(self, text: str, tree: Record) -> None:
        self._tree = tree
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self.first_path = ""
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if not found:
                stray = text[at:].strip()[0]
                hint = "; equal is written ==" if stray == "=" else ""
                raise Unsound(f"{stray!r} has no place in an expectation{hint}")
            self._tokens.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
            at = found.end()
        if not self._tokens:
            raise Unsound("an expectation is empty")

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    @property
    def token(self) -> str:
        return "" if self.at_end else self._tokens[self._at][1]

    @property
    def before(self) -> str:
        return self._tokens[self._at - 1][1] if self._at else ""

    def take(self, *signs: str) -> str:
        """The next token if it is one of these, else ""."""
        token = self.token
        if token not in signs or not token:
            return ""
        self._at += 1
        return token

    def sum(self) -> tuple[Term, ...]:
        terms = [(self.take("-") or "+", self._atom())]
        while sign := self.take("+", "-", "|"):
            terms.append((sign, self._atom()))
        return tuple(terms)

    def _atom(self) -> int | str | tuple[str | int, ...]:
        kind = "" if self.at_end else self._tokens[self._at][0]
        if kind == "number":
            return self._number()
        if kind != "name":
            what = f"not {self.token!r}" if self.token else f"and nothing comes after {self.before!r}"
            raise Unsound(f"a name or a number is wanted, {what}")
        path: list[str | int] = [self._next()]
        while sign := self.take(".", "["):
            if sign == ".":
                if self.at_end or self._tokens[self._at][0] != "name":
                    raise Unsound(f"a field is wanted after {path_text(tuple(path))}.")
                path.append(self._next())
                continue
            if self.at_end or self._tokens[self._at][0] != "number":
                raise Unsound(f"the number of a row is wanted after {path_text(tuple(path))}[")
            path.append(self._number())
            if not self.take("]"):
                raise Unsound(f"a ] is missing after {path_text(tuple(path))[:-1]}")
        if len(path) == 1 and path[0] not in self._tree.fields:
            return str(path[0])
        self.first_path = self.first_path or path_text(tuple(path))
        return tuple(path)

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _number(self) -> int:
        text = self._next()
        try:
            number = int(text, 0) if len(text) <= 40 else _LARGEST + 1
        except ValueError:
            raise Unsound(f"{text} is no number") from None
        if number > _LARGEST:
            raise Unsound(f"{text[:24]} is larger than anything in a ring")
        return number
