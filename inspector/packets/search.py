"""Finding a packet by what its line says or by bytes in it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from capture.columns import Summary, summaries
from capture.store import FrameStore

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Pattern:
    """Words to be found in a line, any case, or in the bytes; `0x...` and `aa:bb` are bytes alone."""

    text: str
    needle: bytes
    words: bool

    def matches(self, summary: Summary, data: bytes) -> bool:
        if self.words and any(self.text in part.lower() for part in summary):
            return True
        return self.needle in data


def parse(text: str) -> Pattern:
    """The pattern that a user typed; ValueError with one line where the hexadecimal is not any."""
    wanted = text.strip()
    if not wanted:
        raise ValueError("give a word to look for, or bytes as 0x0a00")
    if wanted.lower().startswith("0x"):
        digits = wanted[2:].replace(":", "").replace(" ", "")
        try:
            needle = bytes.fromhex(digits)
        except ValueError:
            raise ValueError(f"{wanted} is no row of bytes: give two hexadecimal digits for each") from None
        if not needle:
            raise ValueError("0x alone names no bytes")
        return Pattern(wanted, needle, False)
    return Pattern(wanted.lower(), wanted.encode(), True)


def find(store: FrameStore, pattern: Pattern, start: int, step: int, stop: threading.Event) -> int | None:
    """The nearest packet that matches, from `start` on in direction `step`, round the end once.

    None where there is none, or when `stop` was set meanwhile.
    """
    first, last = store.first, store.last
    if last < first:
        return None
    start = min(max(start, first), last)
    ranges = ((start, last + 1), (first, start)) if step > 0 else ((first, start + 1), (start + 1, last + 1))
    for low, high in ranges:
        edges = list(range(low, high, _BATCH))
        for edge in edges if step > 0 else reversed(edges):
            if stop.is_set():
                return None
            until = min(edge + _BATCH, high)
            numbers = store.rows(edge, until)["number"].tolist()
            data = store.payloads(edge, until)
            hits = [
                number
                for number, summary, octets in zip(numbers, summaries(data), data, strict=False)
                if pattern.matches(summary, octets)
            ]
            if hits:
                return int(hits[0] if step > 0 else hits[-1])
    return None
