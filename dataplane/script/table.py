"""Reading a scenario's tables key by key: what is wrong is said with file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, NoReturn

from dataplane.script.lines import Path

_KINDS = {str: "a text", int: "a whole number", bool: "true or false", float: "a number", list: "a list"}
_WORDS = 12  #: of what there is, named in an error


class ScenarioError(ValueError):
    """What is wrong with a scenario: `file:line: key: what`, in one line."""

    def __init__(self, file: str, line: int, key: str, what: str) -> None:
        self.file, self.line, self.key, self.what = file, line, key, what
        place = f"{file}:{line}" if line else file
        super().__init__(": ".join(part for part in (place, key, what) if part))


@dataclass(frozen=True)
class Book:
    """A scenario's text: its name and where its keys stand."""

    file: str
    lines: Mapping[Path, int]

    def fail(self, path: Path, what: str) -> NoReturn:
        """ScenarioError at a key, or at the nearest table around it."""
        raise ScenarioError(self.file, self.line(path), spelt(path), what)

    def line(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def spelt(path: Path) -> str:
    """A path as it is told: `do[3].step`; elements are counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    """A value as TOML spells it, of a long one the beginning."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value if isinstance(value, date | time) else repr(value)!s:.40}"


def there_are(words: Collection[str]) -> str:
    """ "there are a, b and c", of a long list the beginning."""
    known = list(words)
    if not known:
        return "there is none"
    if len(known) == 1:
        return f"there is {known[0]}"
    if len(known) > _WORDS:
        return f"there are {', '.join(known[:_WORDS])}, ..."
    return f"there are {', '.join(known[:-1])} and {known[-1]}"


def near(word: str, words: Collection[str]) -> str:
    """What may have been meant, or what there is."""
    known = {one.lower(): one for one in words}
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"did you mean {known[close[0]]}?" if close else there_are(words)


class Table:
    """One table; `done()` finds what nobody has asked for."""

    def __init__(self, book: Book, path: Path, values: Any) -> None:
        self.book, self.path = book, path
        if not isinstance(values, dict):
            book.fail(path, f"a table is wanted, not {values!r:.40}")
        self._values: dict[str, Any] = values
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def fail(self, key: str, what: str) -> NoReturn:
        self.book.fail((*self.path, key) if key else self.path, what)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def raw(self, key: str) -> Any:
        """A value as it is; None where it is not there."""
        self._asked.append(key)
        return self._values.get(key)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        value = self.raw(key)
        if value is None:
            if default is None:
                self.fail("", f"{key} is missing")
            return default
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not right and not (kind is float and isinstance(value, int) and not isinstance(value, bool)):
            self.fail(key, f"{_KINDS[kind]} is wanted, not {_shown(value)}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        text: str = self._take(key, str, default)
        return text

    def flag(self, key: str, default: bool) -> bool:
        return bool(self._take(key, bool, default))

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value: int = self._take(key, int, default)
        if key in self and not low <= value <= high:
            self.fail(key, f"{value} is out of range: {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = float(self._take(key, float, None))
        if not low <= value <= high:
            self.fail(key, f"{value:g} is out of range: {low:g} to {high:g}")
        return value

    def one_of(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        word = self.text(key, default)
        if word not in words:
            self.fail(key, f"{word!r} is not known; {near(word, words)}")
        return word

    def texts(self, key: str) -> list[tuple[Path, str]]:
        """A text or a list of them, each with its path."""
        value = self.raw(key)
        at = (*self.path, key)
        if value is None:
            return []
        if isinstance(value, str):
            return [(at, value)]
        if not isinstance(value, list):
            self.fail(key, f"a text or a list of texts is wanted, not {_shown(value)}")
        for i, one in enumerate(value):
            if not isinstance(one, str):
                self.book.fail((*at, i), f"a text is wanted, not {_shown(one)}")
        return [((*at, i), one) for i, one in enumerate(value)]

    def done(self) -> None:
        """Fails where there is a key that nobody has asked for."""
        for key in self._values:
            if key not in self._asked:
                self.fail(key, f"no such key; {near(key, sorted(set(self._asked)))}")
