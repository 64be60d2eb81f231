"""Filters given on a command line: compiled, or refused in one line that names the words that are wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inspector.commands.opening import Refused

if TYPE_CHECKING:
    from capture.bpf import Program
    from capture.dfilter import Filter
    from capture.errors import FilterError

_LONG = 200  #: characters of a message or a quotation at most
_LISTED = "ringscope dissect --list-fields shows all"


def capture_filter(text: str | None, option: str = "-f") -> Program | None:
    """BPF in tcpdump's language; None where none is given. Refused where it is wrong."""
    if text is None:
        return None
    _must_be_text(text, option)
    from capture.bpf import compile_bpf
    from capture.errors import FilterError

    try:
        return compile_bpf(text)
    except FilterError as error:
        raise Refused(_told(error, text, option)) from None


def display_filter(text: str | None, option: str = "-Y") -> Filter | None:
    """A display filter; None where none is given. Refused where it is wrong."""
    if text is None:
        return None
    _must_be_text(text, option)
    from capture.dfilter import compile_filter
    from capture.errors import FilterError

    try:
        return compile_filter(text)
    except FilterError as error:
        raise Refused(_told(error, text, option)) from None


def _must_be_text(text: str, option: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"{option}: character {error.start + 1} of the filter is not UTF-8") from None


def _told(error: FilterError, text: str, option: str) -> str:
    # the screens have a help, the command line a list
    message = _short(" ".join(str(error).split()).replace("the help lists all fields", _LISTED))
    words = _short(text[error.start : error.stop].strip())
    if not words or words == text.strip() or words in message:
        return f"{option}: {message}"
    return f"{option}: {message} (at {words!r})"


def field_table() -> Iterator[str]:
    """A line for each field: its name, what it holds, what it is, and the names that its values have."""
    from capture.fieldtable import FIELDS

    for name, info in sorted(FIELDS.items()):
        words = f" ({', '.join(info.names)})" if info.names else ""
        yield f"{name:<26} {info.kind.value.partition(',')[0]:<16} {info.about}{words}"


def _short(text: str) -> str:
    """As much of a text as a line has room for."""
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]} ... {text[-_LONG // 4 :]}"


def field_names(text: str, option: str = "--fields") -> tuple[str, ...]:
    """Names of fields, separated by commas. Refused where one is not a field."""
    from capture.fieldtable import FIELDS

    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not name:
            raise Refused(f"{option}: {text!r} has an empty name; write frame.number,ip.src")
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {near[0]}?" if near else _LISTED
            raise Refused(f"{option}: no field is called {_short(name)!r}; {hint}")
    return names
