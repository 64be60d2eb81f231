"""Filters given on a command line: compiled, or refused in one line that names the words that are wrong."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from inspector.commands.opening import Refused

if TYPE_CHECKING:
    from capture.bpf import Program
    from capture.dfilter import Filter
    from capture.errors import FilterError


def capture_filter(text: str | None, option: str = "-f") -> Program | None:
    """BPF in tcpdump's language; None where none is given. Refused where it is wrong."""
    if text is None:
        return None
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
    from capture.dfilter import compile_filter
    from capture.errors import FilterError

    try:
        return compile_filter(text)
    except FilterError as error:
        raise Refused(_told(error, text, option)) from None


def _told(error: FilterError, text: str, option: str) -> str:
    message = " ".join(str(error).split())
    words = text[error.start : error.stop].strip()
    if not words or words == text.strip() or words in message:
        return f"{option}: {message}"
    return f"{option}: {message} (at {words!r})"


def field_names(text: str, option: str = "--fields") -> tuple[str, ...]:
    """Names of fields, separated by commas. Refused where one is not a field."""
    from capture.fieldtable import FIELDS

    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not name:
            raise Refused(f"{option}: {text!r} has an empty name; write frame.number,ip.src")
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Refused(f"{option}: no field is called {name!r}{hint}")
    return names
