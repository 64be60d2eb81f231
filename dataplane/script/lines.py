"""On which line of a TOML text each key, table and array element stands, which tomllib does not tell.

A second, smaller walk over a text that tomllib has accepted: it knows how far every value reaches and
nothing of what it means. A path is a tuple of keys and of indices of array elements, from the top.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from typing import NoReturn

Path = tuple[str | int, ...]
_BLANK = " \t"
_SPACE = " \t\n"
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def line_index(text: str) -> dict[Path, int]:
    """The line, from 1 on, of everything in a valid TOML text.

    A table made by several headers or dotted keys stands where it is first named, an array of tables where
    its first element does. ValueError where the text is not TOML.
    """
    return _Scan(text.replace("\r\n", "\n")).document()


class _Scan:
    """A position in the text, going on to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
        self._found: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  #: elements of each array of tables so far

    def document(self) -> dict[Path, int]:
        prefix: Path = ()
        while self._skip(_SPACE):
            if self._peek("["):
                prefix = self._header()
            else:
                self._pair(prefix)
        return self._found

    # ---- tables and keys --------------------------------------------------------------------------------

    def _header(self) -> Path:
        line = self._line()
        many = self._peek("[[")
        self._at += 2 if many else 1
        keys = self._key()
        self._skip(_BLANK)
        self._at += 2 if many else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._newest(self._name((*path, key), line))
        path = self._name((*path, keys[-1]), line)
        if not many:
            return self._newest(path)
        self._elements[path] = self._elements.get(path, -1) + 1
        return self._name((*path, self._elements[path]), line)

    def _newest(self, path: Path) -> Path:
        """Through an array of tables to its newest element."""
        return (*path, self._elements[path]) if path in self._elements else path

    def _pair(self, prefix: Path) -> None:
        line = self._line()
        for key in self._key():
            prefix = self._name((*prefix, key), line)
        self._skip(_BLANK)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(prefix)

    def _key(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            start = self._at
            if self._peek('"') or self._peek("'"):
                self._string()
                keys.append(tomllib.loads(f"k = {self._text[start : self._at]}")["k"])
            else:
                while self._at < len(self._text) and self._text[self._at] in _BARE:
                    self._at += 1
                if self._at == start:
                    self._stray()
                keys.append(self._text[start : self._at])
            self._skip(_BLANK)
            if not self._peek("."):
                return keys
            self._at += 1

    # ---- values -----------------------------------------------------------------------------------------

    def _value(self, path: Path) -> None:
        if self._peek('"') or self._peek("'"):
            self._string()
        elif self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline(path)
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip(_SPACE) and not self._peek("]"):
            if self._peek(","):
                self._at += 1
                continue
            self._value(self._name((*path, index), self._line()))
            index += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while self._skip(_SPACE) and not self._peek("}"):
            if self._peek(","):
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _string(self) -> None:
        quote = self._text[self._at]
        wide = self._peek(quote * 3)
        end = quote * 3 if wide else quote
        self._at += len(end)
        while not self._peek(end):
            if self._at >= len(self._text):
                self._stray()
            self._at += 2 if quote == '"' and self._peek("\\") else 1
        self._at += len(end)
        for _ in range(2 if wide else 0):  # quotes may stand just before the closing ones
            self._at += self._peek(quote)

    # ---- the text ---------------------------------------------------------------------------------------

    def _skip(self, what: str) -> bool:
        """Past white space (and, where lines may end, comments); False at the end of the text."""
        text = self._text
        while self._at < len(text):
            if text[self._at] in what:
                self._at += 1
            elif text[self._at] == "#" and "\n" in what:
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            else:
                return True
        return False

    def _peek(self, what: str) -> bool:
        return self._text.startswith(what, self._at)

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)

    def _name(self, path: Path, line: int) -> Path:
        self._found.setdefault(path, line)
        return path

    def _stray(self) -> NoReturn:
        raise ValueError(f"line {self._line()} is not TOML")
