"""Finding: a word, a regular expression or bytes, in the lines shown, in the fields, in the bytes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from capture.columns import Summary, summaries
from capture.patterns import compile_pattern, reach
from capture.store import FrameStore
from capture.view import Shown

_BATCH = 512
_LENGTH = 1000  #: characters of what is looked for

HINT = "a word · /a regular expression/ · bytes as 0x0a00 or 0a:00"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is looked for. `words` is for text, any case; None where only bytes were asked for."""

    text: str
    words: re.Pattern[str] | None
    octets: re.Pattern[bytes]

    def in_text(self, *texts: str) -> bool:
        return self.words is not None and any(self.words.search(text, 0, reach(self.words)) for text in texts)

    def in_bytes(self, data: bytes, start: int = 0) -> tuple[int, int] | None:
        """Where it first stands in `data` from `start` on, as (start, stop)."""
        found = self.octets.search(data, start, start + reach(self.octets))
        return (found.start(), found.end()) if found and found.end() > found.start() else None

    def last_in_bytes(self, data: bytes, stop: int) -> tuple[int, int] | None:
        """The last place that begins before `stop`."""
        last = None
        for found in self.octets.finditer(data, 0, reach(self.octets)):
            if found.start() >= stop:
                break
            if found.end() > found.start():
                last = (found.start(), found.end())
        return last


def parse(text: str) -> Pattern:
    """The pattern that a user typed; ValueError with one line where it is none."""
    wanted = text.strip()
    if not wanted:
        raise ValueError("give a word to look for, /a regular expression/, or bytes as 0x0a00")
    if len(wanted) > _LENGTH:
        raise ValueError(f"{len(wanted)} characters are too many to look for; give at most {_LENGTH}")
    if wanted.lower().startswith("0x"):
        needle = _hexadecimal(wanted[2:], wanted)
        return Pattern(wanted, None, re.compile(re.escape(needle), re.DOTALL))
    if len(wanted) > 2 and wanted[0] == wanted[-1] == "/":
        return _regular(wanted)
    words = re.compile(re.escape(wanted), re.IGNORECASE)
    octets = re.compile(re.escape(wanted.encode("utf-8", "replace")), re.IGNORECASE)
    if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})+", wanted):  # a MAC address, or just bytes
        octets = re.compile(re.escape(_hexadecimal(wanted, wanted)), re.DOTALL)
    return Pattern(wanted, words, octets)


def _hexadecimal(digits: str, wanted: str) -> bytes:
    try:
        needle = bytes.fromhex(digits.replace(":", "").replace(" ", ""))
    except ValueError:
        raise ValueError(f"{wanted} is no row of bytes: give two hexadecimal digits for each") from None
    if not needle:
        raise ValueError("0x alone names no bytes")
    return needle


def _regular(wanted: str) -> Pattern:
    inner = wanted[1:-1]
    try:
        words = compile_pattern(inner, re.IGNORECASE)
        octets = compile_pattern(inner.encode("utf-8", "replace"), re.IGNORECASE | re.DOTALL)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{wanted} cannot be searched for: {error}") from None
    return Pattern(wanted, words, octets)


@dataclass(frozen=True, slots=True)
class Found:
    """A packet that has it; `wrapped`: the search went past the end of the list and on from the other."""

    number: int
    wrapped: bool


def find(
    store: FrameStore,
    shown: Shown,
    pattern: Pattern,
    position: int,
    step: int,
    stop: threading.Event,
    tell: Callable[[float], None] = lambda _: None,
) -> Found | None:
    """The nearest line that matches, from `position` on in direction `step`, round the end once.

    Only what the list shows is looked at, in its order. None where there is none, or `stop` was set.
    `tell` is told the part that is done, 0 to 1.
    """
    size = len(shown)
    if not size:
        return None
    position = min(max(position, 0), size)
    if step > 0:
        ranges = ((position, size, False), (0, position, True))
    else:
        ranges = ((0, min(position + 1, size), False), (min(position + 1, size), size, True))
    done = 0
    for low, high, wrapped in ranges:
        edges = range(low, high, _BATCH)
        for edge in edges if step > 0 else reversed(edges):
            if stop.is_set():
                return None
            numbers = shown.lines(edge, min(edge + _BATCH, high))
            found = next(_matching(store, pattern, numbers if step > 0 else numbers[::-1]), None)
            if found is not None:
                return Found(found, wrapped)
            done += len(numbers)
            tell(done / size)
    return None


def _matching(store: FrameStore, pattern: Pattern, numbers: list[int]) -> Iterator[int]:
    """Those of these frames that match, in the order given."""
    held: dict[int, bytes] = {}
    for block in store.pick(np.asarray(numbers, np.int64)):
        ends = block.offsets + block.rows["captured"].astype(np.int64)
        for number, start, end in zip(
            block.rows["number"].tolist(), block.offsets.tolist(), ends.tolist(), strict=True
        ):
            held[number] = bytes(block.data[start:end])
    kept = [number for number in numbers if number in held]
    data = [held[number] for number in kept]
    lines: list[Summary] = summaries(data) if pattern.words is not None else []
    for at, number in enumerate(kept):
        if pattern.in_bytes(data[at]) or (lines and pattern.in_text(*lines[at])):
            yield number
