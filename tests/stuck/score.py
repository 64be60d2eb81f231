"""The score: each entry with its faults, and without them; and variants of each, told as a confusion matrix."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from tests.stuck.entries import QUIET, Entry, entries
from tests.stuck.playing import Result, Run, together
from tests.stuck.varying import fixed, spelt, varied

_PROCESSES = 2


def chosen(only: Collection[str] = ()) -> tuple[Entry, ...]:
    """All entries that are scenarios, or those of these ids or codes. LookupError names what is not there."""
    known = entries()
    for one in only:
        if not any(one in (entry.id, entry.code) for entry in known):
            raise LookupError(f"no scenario is called {one!r}, and none has such a code")
    return tuple(one for one in known if not only or {one.id, one.code} & set(only))


def runs(chosen: Sequence[Entry], variants: int, seed: int, *, repaired: bool = True) -> Iterator[Run]:
    """What there is to play: variant 0 is the scenario as it stands."""
    for variant in range(max(variants, 1)):
        for entry in chosen:
            if variants:
                document = varied(entry, random.Random(f"{seed} {entry.id} {variant}"))
                text = spelt(document)
            else:
                document, text = entry.document(), entry.file.read_text()
            yield Run((entry.id, variant, True), text, strict=not variants)
            if repaired:
                yield Run((entry.id, variant, False), spelt(fixed(document)))


def played(some: Sequence[Run], processes: int = _PROCESSES) -> list[Result]:
    """All runs, shared by a few processes."""
    if processes < 2 or len(some) < 2 * processes:
        return list(together(some))
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        parts = pool.map(_some, [some[part::processes] for part in range(processes)])
        return [result for part in parts for result in part]


def _some(some: Sequence[Run]) -> list[Result]:
    return list(together(some))


@dataclass(frozen=True)
class Score:
    """What came of a number of runs."""

    entries: tuple[Entry, ...]
    results: tuple[Result, ...]

    def of(self, entry: Entry, faulty: bool) -> list[Result]:
        return [one for one in self.results if one.key[0] == entry.id and one.key[2] is faulty]

    def good(self, result: Result) -> bool:
        """Whether it is as it must be: named with its fault, silent without."""
        code = next(one.code for one in self.entries if one.id == result.key[0])
        wanted = code if result.key[2] and code != QUIET else ""
        silent = ("", "NOT_IN_RING")
        return not result.failure and (result.first == wanted or (not wanted and result.first in silent))

    @property
    def missed(self) -> list[Result]:
        """With its fault, and not named by its code first."""
        return [one for one in self.results if one.key[2] and not self.good(one)]

    @property
    def alarms(self) -> list[Result]:
        """Without a fault, and not silent."""
        return [one for one in self.results if not one.key[2] and not self.good(one)]

    def confusion(self) -> Counter[tuple[str, str]]:
        """How often (expected code, first finding) came."""
        codes = {one.id: one.code for one in self.entries}
        return Counter(
            (codes[one.key[0]], "failed" if one.failure else one.first or QUIET)
            for one in self.results
            if one.key[2]
        )
