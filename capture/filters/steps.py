"""The steps of a checked filter, as data: what is taken from each frame, and what is asked of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """A field in the layer of that number only, from 1; negative ones count from the innermost."""

    of: Field
    number: int


@dataclass(frozen=True, slots=True)
class Sliced:
    """Some bytes or characters: from `first` (negative: from the end) to before `last` (None: to the end)."""

    of: Source
    first: int
    last: int | None

    @property
    def single(self) -> bool:
        """Whether it is one byte, which counts as a number in arithmetic."""
        return self.last == self.first + 1 or (self.first == -1 and self.last is None)


@dataclass(frozen=True, slots=True)
class Length:
    of: Source


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a field stands in a frame."""

    of: Field


@dataclass(frozen=True, slots=True)
class Change:
    """Text in small or capital letters; `name` is "lower" or "upper"."""

    name: str
    of: Source


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str
    left: Source | int
    right: Source | int


Source = Field | Numbered | Sliced | Length | Counted | Change | Arithmetic


class Range(NamedTuple):
    """Numbers, times or addresses from `first` to `last`, both included; IPv6 as 16 bytes."""

    first: int | bytes
    last: int | bytes


Constant = Range | str | bytes | re.Pattern[str] | re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Present:
    of: Source


@dataclass(frozen=True, slots=True)
class Compare:
    """`every`: of a frame's values all must compare so, and there must be one; else any."""

    operator: str
    left: Source
    right: Source | Constant
    every: bool


@dataclass(frozen=True, slots=True)
class Member:
    left: Source
    items: tuple[Constant, ...]
    every: bool


@dataclass(frozen=True, slots=True)
class Without:
    part: Step


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Step, ...]


Step = Present | Compare | Member | Without | AllOf | AnyOf


def fields_of(step: Step | Source | Constant | int) -> frozenset[str]:
    """The names of all fields that a single test uses."""
    match step:
        case Field(name):
            return frozenset((name,))
        case Present(of) | Numbered(of) | Sliced(of) | Length(of) | Counted(of) | Change(_, of):
            return fields_of(of)
        case Compare(_, left, right, _) | Arithmetic(_, left, right):
            return fields_of(left) | fields_of(right)
        case Member(left):
            return fields_of(left)
    return frozenset()
