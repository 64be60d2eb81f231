"""The grammar of display filters: from text to single tests and how they are joined.

    tests     = test { ("and" | "or") test }        and binds tighter than or
    test      = ["not"] ( "(" tests ")" | relation )
    relation  = ["any" | "all"] operand { compare operand } | operand ["not"] "in" "{" item { "," item } "}"
    operand   = term { ("&" | "+" | "-" | "*" | "/" | "%") term }
    term      = word | "text" | 'c' | name "(" operands ")" | "{" operand "}", then slices [..] and layers #n

Nothing here knows fields. Tests are read with a stack of their own, so that no text overflows Python's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from capture.errors import FilterError
from capture.filters.steps import AllOf, AnyOf, Step, Without

LENGTH_MAX = 10_000  #: characters of a filter
_LEVELS = 200  #: parentheses in parentheses
_PARTS = 24  #: operators, braces, calls and slices of one operand


@dataclass(frozen=True, slots=True)
class Word:
    """A field, or a value without quotes."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Text:
    """A value in quotes, as bytes; `char` where they are single ones."""

    value: bytes
    char: bool
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Some bytes of an operand: from `first` (negative: from its end) to before `last` (None: to its end)."""

    of: Operand
    first: int
    last: int | None
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Nth:
    """An operand in the layer of that number only, from 1; negative ones count from the innermost."""

    of: Operand
    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of operands."""

    name: str
    arguments: tuple[Operand, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Sum:
    """Two operands and an operator of arithmetic between them; `left` is None for a sign."""

    operator: str
    left: Operand | None
    right: Operand
    start: int
    stop: int


Operand = Word | Text | Slice | Nth | Call | Sum


@dataclass(frozen=True, slots=True)
class Exists:
    """An operand alone: is there any of it."""

    of: Operand


@dataclass(frozen=True, slots=True)
class Relation:
    """A comparison. `quantifier` is "any", "all" or "" for what the operator means by itself."""

    operator: str
    left: Operand
    right: Operand
    quantifier: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Within:
    """One of a set: single operands, and ranges of two."""

    left: Operand
    items: tuple[tuple[Operand, Operand | None], ...]
    quantifier: str


Leaf = Exists | Relation | Within

COMPARISONS = {
    "==": "==", "eq": "==", "any_eq": "==", "!=": "!=", "ne": "!=", "all_ne": "!=", "===": "===",
    "all_eq": "===", "~=": "~=", "any_ne": "~=", "!==": "~=",
    "<": "<", "lt": "<", "<=": "<=", "le": "<=", ">": ">", "gt": ">",
    ">=": ">=", "ge": ">=", "contains": "contains", "matches": "matches", "~": "matches",
}  # fmt: skip
_AND, _OR, _NOT = ("and", "&&"), ("or", "||"), ("not", "!")
_ARITHMETIC = {"&": 1, "bitand": 1, "bitwise_and": 1, "+": 2, "-": 2, "*": 3, "/": 3, "%": 3}
WORDS = frozenset(
    {"and", "or", "not", "in", "any", "all", "bitand", "bitwise_and"}
    | {name for name in COMPARISONS if name[0].isalpha()}
)

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>[rR]?"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<slice>\[[^\]]*\])
    |(?P<word>(?:[0-9]+\.[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)/[0-9]+
        |[\w:](?:(?!\.\.)[\w.:\-])*)
    |(?P<mark>===|!==|==|!=|~=|<=|>=|&&|\|\||\.\.|[<>!~&+\-*/%(){},\#])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)


class Token(NamedTuple):
    kind: str  #: text, slice, word, mark, or end
    text: str
    start: int
    stop: int


def tokens(text: str) -> list[Token]:
    """The words and marks of a filter, and one of kind `end` behind them. FilterError at what is neither."""
    if len(text) > LENGTH_MAX:
        raise FilterError(
            f"a filter has at most {LENGTH_MAX} characters, not {len(text)}", LENGTH_MAX, len(text)
        )
    made, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            opened = text[at] in "\"'["
            ended = opened or (text[at] in "=|&" and at == len(text) - 1)
            raise FilterError(_odd(text, at), at, len(text) if opened else at + 1, ended=ended)
        if match.lastgroup != "space":
            made.append(Token(match.lastgroup or "", match[0], at, match.end()))
        at = match.end()
    return [*made, Token("end", "", len(text), len(text))]


def _odd(text: str, at: int) -> str:
    match text[at]:
        case '"' | "'":
            return "this text has no closing quote"
        case "[":
            return "this slice has no closing bracket"
        case "=":
            return "equality is written =="
        case "|":
            return "or is written || or or"
        case _:
            return f"{text[at]!a} has no meaning here"


def parse(text: str, leaf: Callable[[Leaf], Step]) -> Step | None:
    """The steps of a filter; None where the text is empty. FilterError says what is wrong and where.

    leaf: makes the step of a single test.
    """
    listed = tokens(text)
    return _Parser(listed, leaf).tests() if len(listed) > 1 else None


@dataclass(slots=True)
class _Group:
    """Tests between parentheses, as far as they are read."""

    opened: Token | None
    negated: bool
    sums: list[list[Step]] = field(default_factory=lambda: [[]])

    def add(self, step: Step, negated: bool) -> None:
        self.sums[-1].append(Without(step) if negated else step)

    def step(self) -> Step:
        parts = tuple(part[0] if len(part) == 1 else AllOf(tuple(part)) for part in self.sums)
        return parts[0] if len(parts) == 1 else AnyOf(parts)


class _Parser:
    """One pass over the tokens."""

    def __init__(self, listed: list[Token], leaf: Callable[[Leaf], Step]) -> None:
        self._tokens = listed
        self._leaf = leaf
        self._at = 0
        self._parts = 0

    def tests(self) -> Step:
        groups = [_Group(None, False)]
        negated = False
        while True:
            token = self._peek()
            if token.text in _NOT and token.kind != "text":
                self._take()
                negated = not negated
                continue
            if token.text == "(":
                self._take()
                if len(groups) > _LEVELS:
                    raise FilterError(
                        f"more than {_LEVELS} parentheses in one another", token.start, token.stop
                    )
                groups.append(_Group(token, negated))
                negated = False
                continue
            groups[-1].add(self._relation(), negated)
            negated = False
            while self._peek().text == ")":
                closing = self._take()
                group = groups.pop()
                if not groups:
                    raise FilterError("this parenthesis closes none", closing.start, closing.stop)
                groups[-1].add(group.step(), group.negated)
            token = self._take()
            if token.kind == "end":
                break
            if token.text in _OR:
                groups[-1].sums.append([])
            elif token.text not in _AND:
                message = f"after a test comes and, or or the end of the filter, not {_shown(token)}"
                raise FilterError(message, token.start, token.stop)
        last = groups.pop()
        if last.opened is not None:
            opened = last.opened
            raise FilterError("this parenthesis is not closed", opened.start, opened.stop, ended=True)
        return last.step()

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _need(self, mark: str, why: str) -> Token:
        token = self._take()
        if token.text != mark or token.kind == "text":
            ended = token.kind == "end"
            raise FilterError(f"{why}, not {_shown(token)}", token.start, token.stop, ended=ended)
        return token

    def _relation(self) -> Step:
        quantifier = ""
        if self._peek().text in ("any", "all"):
            quantifier = self._take().text
        left = self._whole()
        made: list[Step] = []
        while True:
            token = self._peek()
            if token.text == "in" or (token.text == "not" and self._tokens[self._at + 1].text == "in"):
                self._take()
                if token.text == "not":
                    self._take()
                within = self._leaf(Within(left, self._items(), quantifier))
                made.append(Without(within) if token.text == "not" else within)
                break
            if token.text not in COMPARISONS or token.kind == "text":
                break
            self._take()
            right = self._whole()
            operator = COMPARISONS[token.text]
            made.append(self._leaf(Relation(operator, left, right, quantifier, token.start, token.stop)))
            left = right
        if not made:
            if quantifier:
                message = f"{quantifier} stands before a comparison"
                raise FilterError(message, left.start, left.stop)
            return self._leaf(Exists(left))
        return made[0] if len(made) == 1 else AllOf(tuple(made))

    def _items(self) -> tuple[tuple[Operand, Operand | None], ...]:
        self._need("{", "after in comes a set, such as {1, 2, 5..9}")
        items: list[tuple[Operand, Operand | None]] = []
        while True:
            first, last = self._whole(), None
            if self._peek().text == "..":
                self._take()
                last = self._whole()
            items.append((first, last))
            if self._peek().text != ",":
                break
            self._take()
        self._need("}", "the values of a set are separated by commas and end with }")
        return tuple(items)

    def _whole(self) -> Operand:
        self._parts = 0
        return self._operand()

    def _part(self, token: Token) -> None:
        """Count what is nested, so that no operand is deeper than Python's own calls may be."""
        self._parts += 1
        if self._parts > _PARTS:
            raise FilterError(f"an operand has at most {_PARTS} parts", token.start, token.stop)

    def _operand(self, least: int = 1) -> Operand:
        left = self._term()
        while _ARITHMETIC.get(self._peek().text, 0) >= least and self._peek().kind != "text":
            self._part(self._peek())
            operator = self._take().text
            right = self._operand(_ARITHMETIC[operator] + 1)
            operator = "&" if operator.startswith("b") else operator
            left = Sum(operator, left, right, left.start, right.stop)
        return left

    def _term(self) -> Operand:
        token = self._take()
        made: Operand
        if token.kind == "text":
            made = _quoted(token)
        elif token.text == "-":
            self._part(token)
            inner = self._term()
            made = Sum("-", None, inner, token.start, inner.stop)
        elif token.text == "{":
            made = self._deeper(token)
            self._need("}", "this brace is not closed")
        elif token.kind == "word" and token.text not in WORDS:
            if self._peek().text == "(" and self._peek().kind == "mark":
                made = self._call(token)
            else:
                made = Word(token.text, token.start, token.stop)
        else:
            message, ended = f"here a field or a value is needed, not {_shown(token)}", token.kind == "end"
            raise FilterError(message, token.start, token.stop, ended=ended)
        return self._tail(made)

    def _deeper(self, token: Token) -> Operand:
        self._part(token)
        return self._operand()

    def _call(self, name: Token) -> Operand:
        opened = self._take()
        arguments = [self._deeper(opened)]
        while self._peek().text == ",":
            self._take()
            arguments.append(self._deeper(opened))
        closing = self._need(")", f"the arguments of {name.text} end with )")
        return Call(name.text, tuple(arguments), name.start, closing.stop)

    def _tail(self, made: Operand) -> Operand:
        """Slices and layer numbers behind a term."""
        while True:
            token = self._peek()
            if token.kind == "slice":
                self._part(token)
                self._take()
                first, last = _range(token)
                made = Slice(made, first, last, made.start, token.stop)
            elif token.text == "#" and token.kind == "mark":
                self._part(token)
                self._take()
                sign = -1 if self._peek().text == "-" else 1
                if sign < 0:
                    self._take()
                number = self._take()
                if not re.fullmatch("[0-9]{1,3}", number.text) or int(number.text) == 0:
                    raise FilterError(
                        "after # comes the number of a layer, from 1", number.start, number.stop
                    )
                made = Nth(made, sign * int(number.text), made.start, number.stop)
            else:
                return made


def _shown(token: Token) -> str:
    if token.kind == "end":
        return "its end"
    shown = ascii(token.text)[1:-1]
    return shown if len(shown) < 40 else shown[:37] + "..."


def _range(token: Token) -> tuple[int, int | None]:
    """First and last of [first:length], [first-last], [index], [:length] and [first:]."""
    body = token.text[1:-1].replace(" ", "")
    number = "-?[0-9]{1,6}"
    if match := re.fullmatch(f"({number})", body):
        first = int(body)
        return first, first + 1 if first != -1 else None
    if match := re.fullmatch(f"({number})?:([0-9]{{1,6}})?", body):
        first = int(match[1] or 0)
        if match[2] is None:
            return first, None
        last = first + int(match[2])
        if int(match[2]) and (first >= 0 or last <= 0):
            return first, None if first < 0 and last == 0 else last
    elif match := re.fullmatch(f"({number})-({number})", body):
        first, last = int(match[1]), int(match[2]) + 1
        if (first < 0) == (last <= 0) and (last > first or last == 0):
            return first, None if first < 0 and last == 0 else last
    message = "a slice is [first:length], [first-last] or [place], such as [0:3]"
    raise FilterError(message, token.start, token.stop)


def _quoted(token: Token) -> Text:
    text, char = token.text, token.text[0] == "'"
    if text[0] in "rR":
        return Text(text[2:-1].encode(), False, token.start, token.stop)
    try:
        value = _ESCAPE.sub(_escaped, text[1:-1].encode())
    except ValueError as what:
        message = f'\\{ascii(str(what))[1:-1]} has no meaning in quotes; r"..." takes backslashes as they are'
        raise FilterError(message, token.start, token.stop) from None
    if char and len(value) != 1:
        raise FilterError(
            "single quotes hold one character; text stands in double quotes", token.start, token.stop
        )
    return Text(value, char, token.start, token.stop)


def _escaped(match: re.Match[bytes]) -> bytes:
    body = match[1].decode("latin-1")
    if not re.fullmatch(r"""x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|[abfnrtv\\"'?]""", body):
        raise ValueError(body)
    if body[0] == "x" and len(body) > 1:
        return bytes([int(body[1:], 16)])
    if body[0] in "01234567":
        return bytes([int(body, 8) & 255])
    return bytes([_ESCAPES.get(body, ord(body))])
