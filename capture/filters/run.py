"""Running the steps of a filter on a batch: one boolean a frame, by numpy.

A comparison is made for every value of a column and then told for each frame: any of its values, or all.
A frame without the field never compares. Names and expressions are the only things looked at one by one.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator

import numpy as np

from capture.batch import Batch
from capture.batch.column import Column
from capture.batch.walk import heads
from capture.fieldtable import FIELDS, Kind
from capture.filters.steps import (
    AllOf,
    AnyOf,
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
    Without,
)
from capture.filters.values import shape_of
from capture.frame import Array
from capture.patterns import reach

_SPANS = (Kind.BYTES, Kind.PROTOCOL)
_COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_CONSTANT = (Range, str, bytes, re.Pattern)
_PAIRS = 1 << 18  #: pairs of values of one frame that are compared at a time


def run(step: Step, batch: Batch) -> Array:
    """bool[frames]: where the step holds."""
    match step:
        case AllOf(parts):
            mask = run(parts[0], batch)
            for part in parts[1:]:
                if not mask.any():
                    break
                mask = mask & run(part, batch)
            return mask
        case AnyOf(parts):
            mask = run(parts[0], batch)
            for part in parts[1:]:
                if mask.all():
                    break
                mask = mask | run(part, batch)
            return mask
        case Without(part):
            return np.logical_not(run(part, batch))
        case Present(of):
            column = values(of, batch)
            if isinstance(of, Arithmetic):
                column = column.take(column.values != 0)
            return _told(batch, column.frames)
        case Member(left, items, every):
            column = values(left, batch)
            kind = shape_of(left).kind
            hits = np.zeros(len(column.frames), bool)
            for item in items:
                hits |= _against("==", column, kind, item, batch)
            return _reduce(batch, column.frames, hits, every)
        case Compare(sign, left, right, every):
            column = values(left, batch)
            kind = shape_of(left).kind
            if isinstance(right, _CONSTANT):
                return _reduce(batch, column.frames, _against(sign, column, kind, right, batch), every)
            held, missed = np.zeros(batch.size, bool), np.zeros(batch.size, bool)
            for first, second in _pairs(column, values(right, batch)):
                hits = _between(sign, first, second, kind, batch)
                held[first.frames[hits]] = True
                missed[first.frames[~hits]] = True
            return held & ~missed if every else held


def _told(batch: Batch, frames: Array) -> Array:
    mask = np.zeros(batch.size, bool)
    mask[frames] = True
    return mask


def _reduce(batch: Batch, frames: Array, hits: Array, every: bool) -> Array:
    """Per frame: any of its values hit, or all and at least one."""
    mask = _told(batch, frames if every else frames[hits])
    if every:
        mask[frames[~hits]] = False
    return mask


def values(source: Source, batch: Batch) -> Column:
    """What a source yields of the frames of a batch."""
    match source:
        case Field(name):
            return batch.column(name)
        case Numbered(of, number):
            column = batch.column(of.name)
            return column.take(_numbered(column.frames, number))
        case Sliced():
            return _sliced(source, batch)
        case Length(of):
            if isinstance(of, Field) and FIELDS[of.name].kind is Kind.PROTOCOL:
                column = batch.spans(of.name)
            else:
                column = values(of, batch)
            if column.stops is not None:
                return Column(column.frames, column.stops - column.values)
            sizes = [len(text.encode()) for text in column.values.tolist()]
            return Column(column.frames, np.array(sizes, np.int64))
        case Counted(of):
            counts = np.bincount(batch.column(of.name).frames, minlength=batch.size)
            frames = np.flatnonzero(counts)
            return Column(frames, counts[frames])
        case Change(name, of):
            column = values(of, batch)
            texts = [text.lower() if name == "lower" else text.upper() for text in column.values.tolist()]
            return Column(column.frames, _objects(texts))
        case Arithmetic(sign, left, right):
            return _arithmetic(sign, left, right, batch)


def _objects(listed: list[str]) -> Array:
    made = np.empty(len(listed), "O")
    made[:] = listed
    return made


def _numbered(frames: Array, number: int) -> Array:
    """Indices of the values that are the `number`th of their frame."""
    order = np.argsort(frames, kind="stable")
    if number < 0:
        order = order[::-1]
    ordered = frames[order]
    starts = np.flatnonzero(
        np.concatenate((np.ones(1, bool), ordered[1:] != ordered[:-1])[: len(ordered) + 1])
    )
    starts = starts[starts < len(ordered)]
    chosen = starts + abs(number) - 1
    chosen = chosen[chosen < len(ordered)] if not len(starts) else chosen
    inside = chosen < len(ordered)
    inside[inside] = ordered[chosen[inside]] == ordered[starts[inside]]
    return np.sort(order[chosen[inside]])


def _sliced(source: Sliced, batch: Batch) -> Column:
    of, first, last = source.of, source.first, source.last
    if shape_of(of).kind is Kind.TEXT:
        column = values(of, batch)
        cut = [text[first:last] for text in column.values.tolist()]
        some = np.array([bool(text) for text in cut], bool)
        return Column(column.frames[some], _objects(cut)[some])
    if isinstance(of, Field):
        column = batch.spans(of.name)
    elif isinstance(of, Numbered):
        column = batch.spans(of.of.name)
        column = column.take(_numbered(column.frames, of.number))
    else:
        column = values(of, batch)
    at, stop = column.values, column.stops
    assert stop is not None
    start = at + first if first >= 0 else stop + first
    end = stop if last is None else (at + last if last > 0 else stop + last)
    # a slice that reaches out of the field is none
    inside = (start >= at) & (end <= stop) & (start < end)
    return Column(column.frames[inside], start[inside], end[inside])


def _arithmetic(sign: str, left: Source | int, right: Source | int, batch: Batch) -> Column:
    if isinstance(left, int) or isinstance(right, int):
        number = left if isinstance(left, int) else right
        source = right if isinstance(left, int) else left
        assert isinstance(number, int) and not isinstance(source, int)
        column = _numbers(source, batch)
        other = np.full(len(column.frames), number, np.int64)
        first, second = (other, column.values) if isinstance(left, int) else (column.values, other)
        frames = column.frames
    else:
        pairs = list(_pairs(_numbers(left, batch), _numbers(right, batch)))
        frames = np.concatenate([one.frames for one, _ in pairs])
        first = np.concatenate([one.values for one, _ in pairs])
        second = np.concatenate([two.values for _, two in pairs])
    match sign:
        case "&":
            made = first & second
        case "+":
            made = first + second
        case "-":
            made = first - second
        case "*":
            made = first * second
        case _:
            some = second != 0
            first, second, frames = first[some], second[some], frames[some]
            quotient = np.abs(first) // np.abs(second) * np.sign(first) * np.sign(second)  # as in C
            made = quotient if sign == "/" else first - quotient * second
    return Column(frames, made)


def _numbers(source: Source, batch: Batch) -> Column:
    """Numbers, or single bytes taken as numbers."""
    column = values(source, batch)
    if column.stops is not None:
        return Column(column.frames, batch.walk.data[column.values].astype(np.int64))
    return column


def _pairs(left: Column, right: Column) -> Iterator[tuple[Column, Column]]:
    """Every value of the left with every one of the right in the same frame, in one piece or more."""
    order = np.argsort(right.frames, kind="stable")
    ordered = right.frames[order]
    start = np.searchsorted(ordered, left.frames, "left")
    count = np.searchsorted(ordered, left.frames, "right") - start
    ends = np.cumsum(count)
    at = 0
    while True:
        before = int(ends[at - 1]) if at else 0
        stop = max(int(np.searchsorted(ends, before + _PAIRS, "right")), at + 1)
        part = np.arange(at, min(stop, len(ends)))
        first = np.repeat(part, count[part])
        shift = start[part] - (ends[part] - count[part] - before)
        second = order[np.arange(len(first)) + np.repeat(shift, count[part])]
        yield left.take(first), right.take(second)
        at = stop
        if at >= len(ends):
            return


def _against(sign: str, column: Column, kind: Kind, constant: Constant, batch: Batch) -> Array:
    """bool for each value: does it compare with the constant."""
    held = column.values
    if isinstance(constant, Range):
        first, last = constant
        match sign:
            case "==" | "!=":
                hits = held == first if first == last else (held >= first) & (held <= last)
                return np.asarray(hits if sign == "==" else ~hits)
            case "<" | ">=":
                return np.asarray(_COMPARE[sign](held, np.asarray(first)))
            case _:
                return np.asarray(_COMPARE[sign](held, np.asarray(last)))
    if isinstance(constant, re.Pattern):
        return _matching(column, constant, batch)
    if isinstance(constant, bytes):
        if sign == "contains":
            return _containing(column, constant, batch.walk.data)
        return _bytes_against(sign, column, constant, batch.walk.data)
    if sign == "contains":
        found: Iterator[bool] = (constant in text for text in held.tolist())
    else:
        compare = _COMPARE[sign]
        found = (bool(compare(text, constant)) for text in held.tolist())  # type: ignore[arg-type]
    return np.fromiter(found, bool, len(held))


def _matching(column: Column, pattern: re.Pattern[str] | re.Pattern[bytes], batch: Batch) -> Array:
    search: Callable[..., object] = pattern.search
    far = reach(pattern)
    if column.stops is None:
        found = (search(text, 0, far) is not None for text in column.values.tolist())
    else:
        view = batch.block.data
        spans = zip(column.values.tolist(), column.stops.tolist(), strict=True)
        found = (search(view[at : min(stop, at + far)]) is not None for at, stop in spans)
    return np.fromiter(found, bool, len(column.frames))


def _containing(column: Column, wanted: bytes, data: Array) -> Array:
    """Where the bytes stand in a span: one pass over the data, then two look-ups a span."""
    assert column.stops is not None
    room = column.stops - column.values
    if not wanted:
        return room >= 0
    hits = np.flatnonzero(data[: max(len(data) - len(wanted) + 1, 0)] == wanted[0])
    for offset, byte in enumerate(wanted[1:], 1):
        if not len(hits):
            break
        hits = hits[data[hits + offset] == byte]
    start = np.searchsorted(hits, column.values, "left")
    stop = np.searchsorted(hits, column.stops - len(wanted), "right")
    return np.asarray((stop > start) & (room >= len(wanted)))


def _bytes_against(sign: str, column: Column, wanted: bytes, data: Array) -> Array:
    """Spans compared with bytes: by length, then by the first byte that differs."""
    assert column.stops is not None
    room = column.stops - column.values
    size = len(wanted)
    if sign in ("==", "!="):
        equal = room == size
        which = np.flatnonzero(equal)
        if size and len(which):
            head = heads(data, column.values[which], size)
            equal[which] = (head == np.frombuffer(wanted, np.uint8)).all(axis=1)
        return np.asarray(equal if sign == "==" else ~equal)
    order = np.sign(room - size)
    if size and len(room):
        head = heads(data, column.values, size).astype(np.int16) - np.frombuffer(wanted, np.uint8)
        head[np.arange(size) >= room[:, None]] = 0
        first = (head != 0).argmax(axis=1)
        order = np.where(order != 0, order, head[np.arange(len(head)), first])
    return np.asarray(_COMPARE[sign](order, np.int64(0)))  # type: ignore[arg-type]


def _between(sign: str, left: Column, right: Column, kind: Kind, batch: Batch) -> Array:
    """bool for each pair of values."""
    if kind not in _SPANS:
        return np.asarray(_COMPARE[sign](left.values, right.values)).astype(bool)
    assert left.stops is not None and right.stops is not None
    data = batch.walk.data
    one, two = left.stops - left.values, right.stops - right.values
    order = np.sign(one - two)
    going = np.flatnonzero(order == 0)
    place = 0
    while len(going := going[one[going] > place]):
        differs = data[left.values[going] + place].astype(np.int64) - data[right.values[going] + place]
        order[going[differs != 0]] = np.sign(differs[differs != 0])
        going = going[differs == 0]
        place += 1
    return np.asarray(_COMPARE[sign](order, np.int64(0)))  # type: ignore[arg-type]
