"""A few lines of plain words, broken where the width ends."""

from __future__ import annotations

from typing import Any

from textual.strip import Strip

from inspector.sanitise import clean
from inspector.widgets.pane import Inked
from inspector.widgets.pane import line as strip

_MOST = 6  #: lines


def parts(text: str, width: int, most: int) -> list[str]:
    """`text` in lines of `width` cells, broken between words where there are any; `most` lines at most."""
    lines: list[str] = []
    while len(text) > width > 0:
        if len(lines) == most - 1:
            return [*lines, text[: width - 1] + "…"]
        at = text.rfind(" ", width // 2, width + 1)
        cut = at if at > 0 else width
        lines.append(text[:cut])
        text = text[cut:].lstrip(" ")
    return [*lines, text]


def fitting(width: int, *texts: str) -> str:
    """The first of these, from the longest to the shortest, that needs no more than `width` cells."""
    return next((text for text in texts if len(text) <= width), texts[-1])


class Words(Inked):
    """As high as its words need."""

    DEFAULT_CSS = "Words { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, ground: str = "panel") -> None:
        super().__init__(id=id)
        self._text = ""
        self._meaning = "text"
        self._ground = ground

    def put(self, text: str, meaning: str = "text") -> None:
        text = clean(text)
        if (text, meaning) != (self._text, self._meaning):
            self._text, self._meaning = text, meaning
            self.refresh(layout=True)

    def _lines(self, width: int) -> list[str]:
        return parts(self._text, max(width - 2, 8), _MOST) if self._text else []

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        return len(self._lines(width))

    def render_line(self, y: int) -> Strip:
        lines = self._lines(self.size.width)
        text = f" {lines[y]}" if y < len(lines) else ""
        style = self.ink(self._meaning, self._ground)
        return strip(self.size.width, [(text, style)], self.ink("text", self._ground))
