"""What is told of a filter that cannot be used, and of a file that cannot be read: one line each."""

from __future__ import annotations


class CaptureError(ValueError):
    """A capture file that cannot be read on; one line with the place in the file."""


class FilterError(ValueError):
    """`str()` is one line; characters `start` to `stop` - 1 of the filter's text are what is wrong.

    `ended`: nothing is wrong but that the text ends here and more must follow.
    """

    def __init__(self, message: str, start: int, stop: int, *, ended: bool = False) -> None:
        super().__init__(message)
        self.start = start
        self.stop = stop
        self.ended = ended
