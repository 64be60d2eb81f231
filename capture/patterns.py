"""Regular expressions that somebody typed, so bounded that none can hold up the program.

Python's matcher goes back and tries again, cannot be stopped meanwhile, and takes a time that grows with the
length of the text to the power of the repeats (and one more, since a match may begin anywhere). So a repeat
inside a repeat is refused, and the more repeats there are, the less of a text is searched.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as grammar  # type: ignore[attr-defined]
from typing import Any

#: How many characters or bytes of a text are searched, by the number of repeats: some ten million steps.
REACH = (1 << 18, 4096, 256, 64, 32)
OPTIONAL = 8  #: parts that may be missing, such as `x?`: each doubles the time at most
_LOOPS = (code.MAX_REPEAT, code.MIN_REPEAT)


def compile_pattern(pattern: str | bytes, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[Any]:
    """The compiled expression. re.error where it is none, or where it could take too long."""
    compiled = re.compile(pattern, flags)
    reach(compiled)
    return compiled


@lru_cache(64)
def reach(pattern: re.Pattern[Any]) -> int:
    """How much of a text may be searched for it. re.error where that would not help."""
    repeats, optional = _repeats(grammar.parse(pattern.pattern, pattern.flags & ~re.DEBUG), False)
    if repeats >= len(REACH):
        raise re.error(f"{repeats} repeats such as .* could take for ever: use {len(REACH) - 1} at most")
    if optional > OPTIONAL:
        raise re.error(f"{optional} parts with ? could take for ever: use {OPTIONAL} at most")
    return REACH[repeats]


def _repeats(parsed: Any, inside: bool) -> tuple[int, int]:
    """Repeats of no fixed number and optional parts; `inside`: it stands in such a repeat itself."""
    repeats = optional = 0
    for operation, argument in parsed:
        parts, within, times = _parts(argument), inside, 1
        if operation in _LOOPS:
            least, most, _ = argument
            varies = least != most
            if inside and varies:
                raise re.error("no repeat inside a repeat: it could take for ever")
            if varies:
                repeats, optional = repeats + (most > 1), optional + (most == 1)
                within = most > 1 or inside
            else:
                times = int(most)
        elif operation is code.BRANCH:
            parts = argument[1]
            firsts = {way[0][1] for way in parts if len(way) and way[0][0] is code.LITERAL}
            if inside and len(firsts) < len(parts):
                raise re.error(
                    "in a repeat each choice must begin with another letter: it could take for ever"
                )
        for part in parts:
            more = _repeats(part, within)
            repeats, optional = repeats + times * more[0], optional + times * more[1]
    return repeats, optional


def _parts(argument: Any) -> list[Any]:
    """The expressions inside an operation, wherever they stand among its arguments."""
    if isinstance(argument, grammar.SubPattern):
        return [argument]
    if isinstance(argument, tuple):
        return [part for item in argument for part in _parts(item)]
    return []
