"""The lines of the packet list with their colours: the title, the headings, and one packet's cells."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style

from capture.frame import TO_DRIVER
from capture.view import Shown
from inspector.numbers import count
from inspector.packets.colours import Trouble, protocol_meaning
from inspector.packets.rows import GUTTER, Column, Layout, Packet, fitted
from inspector.sanitise import clean
from inspector.widgets.pane import Ink, Piece


def about(
    ink: Ink,
    shown: Shown,
    *,
    failure: str,
    filtering: bool,
    marks: int,
    left_out: int,
    follow: bool,
    held: int,
    until: int | None,
) -> list[Piece]:
    """What the title says: how many packets are shown, of how many, and what is being done to them.

    `held` is the memory that those kept take, in bytes: told where older ones had to go for it. `until`: at a
    moment of the past, the newest packet that there was.
    """
    muted = ink("muted", "panel")
    kept = max(shown.last - shown.first + 1, 0)
    said: list[Piece] = []
    if until is not None:
        later = max(shown.last - until, 0)
        kept = max(kept - later, 0)
        words = f"{count(later)} later one{'s' if later != 1 else ''} not shown" if later else "none is later"
        said.append((f"in the past: {words}", ink("past", "panel")))
    if failure:
        said.append((clean(failure), ink("fault", "panel")))
    if shown.filter_text:
        share = f" ({len(shown) / kept:.1%})" if kept else ""
        said.append((f"{count(len(shown))} shown{share} of {count(kept)} kept", ink("text", "panel")))
    else:
        said.append((f"{count(kept)} kept", muted))
    if not shown.complete:
        said.append(
            (f"{'filtering' if filtering else 'ordering'} {shown.progress:.0%}", ink("accent", "panel"))
        )
    if shown.first > 1 and kept:
        said.append((f"{count(shown.first - 1)} older ones gone, {held >> 20} MB kept", muted))
    if marks:
        said.append((f"● {count(marks)} marked", ink("available", "panel")))
    if left_out:
        said.append((f"no room for {left_out} column{'s' if left_out > 1 else ''}", ink("flux", "panel")))
    if follow:
        said.append(("following", ink("used", "panel")))
    elif shown.column is None and until is None:
        said.append(("f follows the newest", muted))
    pieces = said[:1]
    for text, style in said[1:]:
        pieces += [(" ", muted), (f"· {text}", style)]
    return pieces


def headings(ink: Ink, layout: Layout, choosing: str | None) -> list[Piece]:
    """The line of the headings; the column being chosen lies on another ground."""
    line = _Line(ink("muted"))
    for column in layout.columns:
        chosen = column.name == choosing
        strong = chosen or column.heading[-1] in "▲▼"
        style = ink("strong" if strong else "muted", "selected" if chosen else "surface")
        line.add(column, column.heading, style)
    return line.pieces


def cells(
    ink: Ink,
    layout: Layout,
    packet: Packet,
    texts: Mapping[str, str],
    edge: str,
    wrong: Trouble | None,
    ground: str,
) -> list[Piece]:
    """One packet: `edge` (one cell: a mark or the cursor), the sign of what is wrong, the columns."""
    marked = edge == "●"
    line = _Line(ink("text", ground), 0)
    line.pieces += [
        (edge, ink("available" if marked else "accent", ground)),
        (wrong.sign if wrong else " ", ink(wrong.meaning if wrong else "text", ground, bold=True)),
    ]
    for column in layout.columns:
        text, meaning = texts[column.name], _meaning(column, packet)
        if wrong is not None and column.name in ("protocol", "info"):
            meaning = wrong.meaning
            if column.name == "info" and wrong.words:
                text = f"{wrong.words} {text}"
        line.add(column, fitted(column, text), ink(meaning, ground, bold=marked))
    return line.pieces


class _Line:
    """Texts side by side; blanks are pieces of their own: some programs drop those before a text."""

    def __init__(self, blank: Style, gap: int = GUTTER) -> None:
        self.pieces: list[Piece] = []
        self._blank = blank
        self._gap = gap

    def add(self, column: Column, text: str, style: Style) -> None:
        if not text:
            self._gap += column.width + 1
            return
        pad = column.width - len(text)
        before = self._gap + pad if column.right else self._gap
        if before:
            self.pieces.append((" " * before, self._blank))
        self.pieces.append((text, style))
        self._gap = 1 if column.right else 1 + pad


def _meaning(column: Column, packet: Packet) -> str:
    if column.name == "protocol":
        return protocol_meaning(packet.summary.protocol)
    if column.name in ("queue", "direction"):
        return "device" if packet.direction == TO_DRIVER else "driver"
    return "text" if column.name in ("source", "destination", "info") else "muted"
