"""Regular expressions that somebody typed, refused where they could run for ever.

Python's matcher goes back and tries again: with a repeat inside a repeat it can take longer than the universe
has lasted, and nothing stops it meanwhile. What is refused can always be written without the inner repeat.
"""

from __future__ import annotations

import re
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as grammar  # type: ignore[attr-defined]
from typing import Any

REPEATS = 3  #: unbounded repeats in one expression: its time grows with that power of the text's length
_LOOPS = (code.MAX_REPEAT, code.MIN_REPEAT)
_MANY = 16  #: a repeat of more than that counts as unbounded


def compile_pattern(pattern: str | bytes, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[Any]:
    """The compiled expression. re.error where it is none, or where it could take too long."""
    compiled = re.compile(pattern, flags)
    if _repeats(grammar.parse(pattern, compiled.flags & ~re.DEBUG), False) > REPEATS:
        raise re.error(f"more than {REPEATS} unbounded repeats take too long")
    return compiled


def _repeats(parsed: Any, inside: bool) -> int:
    """The unbounded repeats of a parsed expression; `inside`: it stands in one itself."""
    found = 0
    for operation, argument in parsed:
        if operation in _LOOPS:
            _, most, body = argument
            endless = most > _MANY
            if endless and inside:
                raise re.error("a repeat inside a repeat can take for ever: write it without the inner one")
            found += endless + _repeats(body, inside or endless)
        elif operation is code.BRANCH:
            ways = argument[1]
            firsts = {way[0][1] for way in ways if len(way) and way[0][0] is code.LITERAL}
            if inside and len(firsts) < len(ways):
                raise re.error(
                    "a choice inside a repeat can take for ever: let each way begin with a letter of its own"
                )
            found += sum(_repeats(way, inside) for way in ways)
        else:
            found += sum(_repeats(part, inside) for part in _parts(argument))
    return found


def _parts(argument: Any) -> list[Any]:
    """The expressions inside an operation, wherever they stand among its arguments."""
    if isinstance(argument, grammar.SubPattern):
        return [argument]
    if isinstance(argument, tuple):
        return [part for item in argument for part in _parts(item)]
    return []
