"""The one door for text that somebody else wrote: packets, peers, files, errors that quote them.

A terminal obeys what it is sent, and no toolkit below us filters it: a DNS name with an escape
sequence in it could rename the window or fill the clipboard. Everything foreign passes `clean()`
before it becomes part of a picture or of a line of output.
"""

from __future__ import annotations

import unicodedata

_ZERO_WIDTH = {"Mn", "Me", "Mc"}
_WIDE = {"W", "F"}


def clean(text: str) -> str:
    r"""`text` with everything but plain printable characters written as an escape (`\x1b`, `\u202e`).

    What comes out has one terminal cell per character: control characters, line ends, bidi and
    zero-width marks, combining characters, wide characters, unassigned ones and lone surrogates are
    all spelt out. Never raises.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _plain(character) else _escape(character) for character in text)


def _plain(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    return (
        character.isprintable()
        and unicodedata.category(character) not in _ZERO_WIDTH
        and unicodedata.east_asian_width(character) not in _WIDE
    )


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(error: BaseException) -> str:
    """An error as one clean line that says what went wrong."""
    text = clean(" ".join(str(error).split())) or "no reason given"
    if isinstance(error, RuntimeError | OSError | ValueError):
        return text
    return f"{type(error).__name__}: {text}"
