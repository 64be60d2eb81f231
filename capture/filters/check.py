"""From the tests of a filter to the steps that are run: fields are looked up, values read as their kind."""

from __future__ import annotations

import difflib
import re

from capture.errors import FilterError
from capture.fieldtable import ELSEWHERE, FIELDS, Kind
from capture.filters import parse as parsed
from capture.filters.steps import (
    Arithmetic,
    Change,
    Compare,
    Constant,
    Counted,
    Field,
    Length,
    Member,
    Numbered,
    Present,
    Range,
    Sliced,
    Source,
    Step,
)
from capture.filters.values import Shape, shape_of, value

_CHANGES = ("lower", "upper")
_FUNCTIONS = ("len", "count", *_CHANGES)
_ORDERED = ("<", "<=", ">", ">=")


def check(tree: parsed.Leaf) -> Step:
    """The step of a single test. FilterError names an unknown field or a value that does not fit."""
    match tree:
        case parsed.Exists(of):
            return _present(of)
        case parsed.Relation():
            return _compare(tree)
        case parsed.Within():
            return _member(tree)


def suggestions(name: str, count: int = 1) -> list[str]:
    """Fields whose names are like that one, the likest first."""
    name = name.lower()
    near = difflib.get_close_matches(name, FIELDS, count, 0.6)
    begun = [known for known in FIELDS if known.startswith(name) and len(name) > 2]
    if begun:
        return begun[:count]
    family = name.rpartition(".")[0]
    inside = [known for known in FIELDS if family and known.startswith(family + ".")]
    last = difflib.get_close_matches(name, inside, count, 0.0)
    if near and family and not near[0].startswith(family + ".") and last:
        near = last
    return near or last


def unknown(name: str, start: int, stop: int) -> FilterError:
    """What is said about a field that does not exist."""
    if name in ELSEWHERE:
        return FilterError(ELSEWHERE[name], start, stop)
    shown = ascii(name)[1:-1]
    near = suggestions(name)
    hint = f"; did you mean {near[0]}?" if near else "; the help lists all fields"
    return FilterError(f"no field is called {shown}{hint}", start, stop)


def _present(of: parsed.Operand) -> Step:
    source = _source(of)
    if source is None:
        raise _not_a_field(of)
    return Present(source)


def _not_a_field(of: parsed.Operand) -> FilterError:
    if isinstance(of, parsed.Word):
        if re.match(r"[A-Za-z_]", of.text):
            return unknown(of.text, of.start, of.stop)
        return FilterError(f"{of.text} alone is no test; compare a field with it", of.start, of.stop)
    return FilterError("a value alone is no test; compare a field with it", of.start, of.stop)


def _compare(tree: parsed.Relation) -> Step:
    left, right = _source(tree.left), None
    if left is None:
        right = _source(tree.right)
        if right is None or tree.operator in ("contains", "matches"):
            raise _not_a_field(tree.left)
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(tree.operator, tree.operator)
        swapped = parsed.Relation(turned, tree.right, tree.left, tree.quantifier, tree.start, tree.stop)
        return _compare(swapped)
    every = tree.quantifier == "all" or (tree.quantifier == "" and tree.operator in ("!=", "==="))
    operator = {"===": "==", "~=": "!="}.get(tree.operator, tree.operator)
    shape = shape_of(left)
    if operator in ("contains", "matches") and shape.kind not in (Kind.TEXT, Kind.BYTES, Kind.PROTOCOL):
        message = f"{operator} looks into text or bytes; {shape.called} holds {shape.kind.value}"
        raise FilterError(message, tree.start, tree.stop)
    if operator in _ORDERED and shape.kind is Kind.FLAG:
        raise FilterError(f"{shape.called} is true or false; use == or !=", tree.start, tree.stop)
    if not _names_value(tree.right, shape):
        right = _source(tree.right)
    if right is not None:
        _comparable(shape, shape_of(right), tree)
        return Compare(operator, left, right, every)
    return Compare(operator, left, _literal(tree.right, shape, operator), every)


def _comparable(left: Shape, right: Shape, tree: parsed.Relation) -> None:
    numbers = (Kind.NUMBER, Kind.FLAG)
    spans = (Kind.BYTES, Kind.PROTOCOL)
    if tree.operator in ("matches", "contains"):
        raise FilterError(f"after {tree.operator} comes text in quotes", tree.right.start, tree.right.stop)
    for kinds in (numbers, spans):
        if left.kind in kinds and right.kind in kinds:
            return
    if left.kind is not right.kind:
        message = f"{left.called} holds {left.kind.value}, {right.called} {right.kind.value}"
        raise FilterError(message, tree.right.start, tree.right.stop)


def _names_value(of: parsed.Operand, shape: Shape) -> bool:
    """Whether a word is meant as a value although a field has that name, as in `ip.proto == tcp`."""
    if not isinstance(of, parsed.Word):
        return False
    return of.text.lower() in shape.names or (shape.kind is Kind.TEXT and of.text not in FIELDS)


def _member(tree: parsed.Within) -> Step:
    left = _source(tree.left)
    if left is None:
        raise _not_a_field(tree.left)
    shape = shape_of(left)
    items = []
    for first, last in tree.items:
        low = _literal(first, shape, "==")
        if last is not None:
            high = _literal(last, shape, "==")
            if not isinstance(low, Range) or not isinstance(high, Range):
                raise FilterError(f"a range of {shape.kind.value} has no meaning", first.start, last.stop)
            if high.last < low.first:  # type: ignore[operator]  # both are of the field's kind
                raise FilterError("this range ends before it begins", first.start, last.stop)
            low = Range(low.first, high.last)
        items.append(low)
    return Member(left, tuple(items), tree.quantifier == "all")


def _literal(of: parsed.Operand, shape: Shape, operator: str) -> Constant:
    if isinstance(of, parsed.Sum) and of.left is None and isinstance(of.right, parsed.Word):
        of = parsed.Word(f"-{of.right.text}", of.start, of.stop)
    if not isinstance(of, parsed.Word | parsed.Text):
        raise FilterError("here a value is needed", of.start, of.stop)
    return value(of, shape, operator)


def _source(of: parsed.Operand) -> Source | None:
    """What an operand yields of each frame; None where it is a plain value."""
    match of:
        case parsed.Text():
            return None
        case parsed.Word(name):
            return Field(name) if name in FIELDS else None
        case parsed.Slice():
            return _sliced(of)
        case parsed.Nth():
            inner = _source(of.of)
            if not isinstance(inner, Field) or FIELDS[inner.name].parts:
                raise FilterError("# stands behind a field of one layer", of.start, of.stop)
            return Numbered(inner, of.number)
        case parsed.Call():
            return _call(of)
        case parsed.Sum():
            return _sum(of)


def _needed(of: parsed.Operand) -> Source:
    source = _source(of)
    if source is None:
        raise _not_a_field(of)
    return source


def _sliced(of: parsed.Slice) -> Source:
    inner = _needed(of.of)
    shape = shape_of(inner)
    if shape.kind in (Kind.NUMBER, Kind.FLAG, Kind.DURATION, Kind.TIME):
        raise FilterError(f"{shape.called} holds {shape.kind.value} and has no slices", of.start, of.stop)
    whole = isinstance(inner, Field | Numbered | Sliced)
    if shape.kind in (Kind.IPV4, Kind.IPV6, Kind.MAC) and isinstance(inner, Field):
        info = FIELDS[inner.name]
        whole = bool(info.place or info.parts)
    if not whole:
        raise FilterError(f"{shape.called} has no slices", of.start, of.stop)
    return Sliced(inner, of.first, of.last)


def _call(of: parsed.Call) -> Source:
    if of.name not in _FUNCTIONS:
        names = ", ".join(_FUNCTIONS)
        message = f"no function is called {ascii(of.name)[1:-1]}; there are {names}"
        raise FilterError(message, of.start, of.start + len(of.name))
    if len(of.arguments) != 1:
        raise FilterError(f"{of.name} takes one field, not {len(of.arguments)}", of.start, of.stop)
    argument = of.arguments[0]
    inner = _needed(argument)
    shape = shape_of(inner)
    if of.name == "count":
        if not isinstance(inner, Field):
            raise FilterError("count takes a field", argument.start, argument.stop)
        return Counted(inner)
    if of.name == "len":
        if shape.kind not in (Kind.TEXT, Kind.BYTES, Kind.PROTOCOL):
            raise FilterError(
                f"len takes text or bytes; {shape.called} holds {shape.kind.value}",
                argument.start,
                argument.stop,
            )
        return Length(inner)
    if shape.kind is not Kind.TEXT:
        raise FilterError(
            f"{of.name} takes text; {shape.called} holds {shape.kind.value}", argument.start, argument.stop
        )
    return Change(of.name, inner)


def _sum(of: parsed.Sum) -> Source | None:
    if of.left is None:
        return None if _source(of.right) is None else Arithmetic("-", 0, _number(of.right))
    left, right = _number(of.left), _number(of.right)
    if isinstance(left, int) and isinstance(right, int):
        raise FilterError("there is no field in this", of.start, of.stop)
    if of.operator in "/%" and right == 0:
        raise FilterError("nothing is divided by 0", of.right.start, of.right.stop)
    return Arithmetic(of.operator, left, right)


def _number(of: parsed.Operand) -> Source | int:
    """One side of an arithmetic operator."""
    source = _source(of)
    if source is None:
        if isinstance(of, parsed.Word) and re.match("[A-Za-z_]", of.text):
            raise unknown(of.text, of.start, of.stop)
        free = Shape(Kind.NUMBER, "arithmetic", (1 << 32) - 1, {})
        constant = _literal(of, free, "==")
        assert isinstance(constant, Range) and isinstance(constant.first, int)
        return constant.first
    shape = shape_of(source)
    if shape.kind not in (Kind.NUMBER, Kind.FLAG) and not (
        shape.kind in (Kind.BYTES, Kind.PROTOCOL) and isinstance(source, Sliced) and source.single
    ):
        raise FilterError(
            f"arithmetic takes numbers; {shape.called} holds {shape.kind.value}", of.start, of.stop
        )
    return source
