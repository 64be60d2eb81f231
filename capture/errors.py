"""A filter that cannot be used: one line, and the words of the filter that it is about."""

from __future__ import annotations


class FilterError(ValueError):
    """`str()` is one line; characters `start` to `stop` - 1 of the filter's text are what is wrong."""

    def __init__(self, message: str, start: int, stop: int) -> None:
        super().__init__(message)
        self.start = start
        self.stop = stop
