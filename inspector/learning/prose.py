"""The little of Markdown that lessons are written in, as lines of styled pieces.

Paragraphs, `- ` lists, indented code; *emphasis*, **strong**, `code`. The words driver and device have the
colours that the panes give them. Text is never looked at by a markup parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.style import Style

from inspector.sanitise import clean
from inspector.widgets.pane import Ink, Piece

_SPANS = re.compile(r"\*\*(.+?)\*\*|\*(.+?)\*|`([^`]+)`")
_SIDES = re.compile(r"\b(driver|device)s?\b")
_ITALIC = Style(italic=True)


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, an item of a list, or a line of code that stands as it is."""

    kind: Literal["text", "item", "code"]
    text: str


def blocks(text: str) -> list[Block]:
    """What stands in a text, in order; lines that follow each other are one paragraph."""
    found: list[Block] = []
    open_ = False
    for raw in text.splitlines():
        line = clean(raw.rstrip())
        if not line:
            open_ = False
        elif line.startswith("    "):
            found.append(Block("code", line[4:]))
            open_ = False
        elif line.startswith("- "):
            found.append(Block("item", line[2:]))
            open_ = True
        elif open_:
            found[-1] = Block(found[-1].kind, f"{found[-1].text} {line.strip()}")
        else:
            found.append(Block("text", line.strip()))
            open_ = True
    return found


def lay(ink: Ink, text: str, width: int, *, meaning: str = "text", airy: bool = True) -> list[list[Piece]]:
    """A text in lines of at most `width` cells; `airy`: an empty line between paragraphs."""
    lines: list[list[Piece]] = []
    before: Block | None = None
    for block in blocks(text):
        if before is not None and airy and not (before.kind == block.kind and block.kind != "text"):
            lines.append([])
        before = block
        match block.kind:
            case "code":
                lines.append([("  " + block.text[: max(width - 2, 1)], ink("strong"))])
            case "item":
                wrapped = wrap(list(spans(ink, block.text, meaning)), width - 2)
                mark = ink("muted")
                lines += [[("- " if i == 0 else "  ", mark), *line] for i, line in enumerate(wrapped)]
            case "text":
                lines += wrap(list(spans(ink, block.text, meaning)), width)
    return lines


def spans(ink: Ink, text: str, meaning: str) -> Iterator[Piece]:
    """A paragraph in pieces of one style."""
    at = 0
    for found in _SPANS.finditer(text):
        yield from _plain(ink, text[at : found.start()], ink(meaning))
        strong, soft, code = found.groups()
        if code is not None:
            yield code, ink("accent")
        elif strong is not None:
            yield from _plain(ink, strong, ink("strong", bold=True), bold=True)
        else:
            yield from _plain(ink, soft, ink(meaning) + _ITALIC)
        at = found.end()
    yield from _plain(ink, text[at:], ink(meaning))


def _plain(ink: Ink, text: str, style: Style, bold: bool = False) -> Iterator[Piece]:
    at = 0
    for found in _SIDES.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], style
        yield found[0], ink(found[1], bold=bold)
        at = found.end()
    if at < len(text):
        yield text[at:], style


def wrap(pieces: list[Piece], width: int) -> list[list[Piece]]:
    """Pieces in lines of at most `width` cells, broken between words; a longer word is broken within."""
    width = max(width, 4)
    lines: list[list[Piece]] = [[]]
    room = width
    for word in _words(pieces):
        size = sum(cell_len(text) for text, _ in word)
        blank = word[0][0] == " "
        if blank and not lines[-1]:
            continue
        if size > room and not blank:
            _strip_end(lines[-1])
            lines.append([])
            room = width
            while size > width:
                text, style = "".join(text for text, _ in word), word[0][1]
                lines[-1] = [(text[:width], style)]
                lines.append([])
                word, size = [(text[width:], style)], size - width
        elif blank and size > room:
            continue
        lines[-1] += word
        room -= size
    _strip_end(lines[-1])
    return [line for i, line in enumerate(lines) if line or i]


def _strip_end(line: list[Piece]) -> None:
    while line and line[-1][0] == " ":
        line.pop()


def _words(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Words, and single blanks between them; a word may have pieces of several styles."""
    word: list[Piece] = []
    for text, style in pieces:
        for part in re.findall(r"\S+|\s+", text):
            if part.isspace():
                if word:
                    yield word
                    word = []
                yield [(" ", style)]
            else:
                word.append((part, style))
    if word:
        yield word
