"""Pictures of the screen that every viewer draws alike.

The toolkit writes pieces of a line that begin with spaces, and some programs (librsvg) leave out spaces at
the beginning of a text: columns lose their gaps there. So a piece begins at its first letter.
"""

from __future__ import annotations

import re

_PIECE = re.compile(r'(<text [^>]*?x=")([\d.]+)(" y="[\d.]+" textLength=")([\d.]+)("[^>]*>)([^<]*)(</text>)')
_SPACE = "&#160;"


def settled(svg: str) -> str:
    """The same picture, in which no text begins or ends with a space."""
    return _PIECE.sub(_settle, svg)


def _settle(found: re.Match[str]) -> str:
    head, x, middle, length, rest, text, end = found.groups()
    inner = text
    before = after = 0
    while inner.startswith(_SPACE):
        inner, before = inner[len(_SPACE) :], before + 1
    while inner.endswith(_SPACE):
        inner, after = inner[: -len(_SPACE)], after + 1
    if not inner:
        return ""
    if not before and not after:
        return found.group()
    cells = len(re.sub(r"&[#\w]+;", "x", text))
    cell = float(length) / max(cells, 1)
    return f"{head}{float(x) + before * cell:g}{middle}{(cells - before - after) * cell:g}{rest}{inner}{end}"
