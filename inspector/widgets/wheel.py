"""The ring as a ring: buffers go round clockwise, the driver's index outside, the device's inside.

Half-block pixels make the edge round, whole cells carry the owner's glyph, so that the picture can be
read without colour. The geometry of a size is worked out once; a picture is a table look-up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from dataplane.records import Owner
from dataplane.snapshot import AnyQueue, PackedQueue
from inspector.sanitise import clean
from inspector.theme import GLYPHS
from inspector.widgets import marking
from inspector.widgets.pane import Ink, Pane, Piece, line, merged, title
from inspector.widgets.positions import (
    LEVELS,
    WAKE_STEP,
    Mark,
    Positions,
    density,
    mark,
    position_of_slot,
    positions,
    slot_of_position,
    wake,
)
from inspector.widgets.queues import tick_queue
from inspector.widgets.ringtext import OWNER_MEANINGS, OWNER_WORDS

if TYPE_CHECKING:
    from inspector.session import Tick

#: What is written over the picture: by row, (column, pieces).
Note = tuple[int, list[Piece]]
Notes = dict[int, list[Note]]
Write = Callable[[int, int, list[Piece]], None]

_BLANK = 255
_CHOSEN = 254
_NOTE = 0x10000  #: codes from here on stand for what is written over the picture
_GAP_BELOW = 5  #: pixels a slot must have along the rim before gaps are left between slots
_ARROWS = "↓↙←↖↑↗→↘"  #: from outside towards the middle, clockwise from the top
_PICTURES = 24  #: that the wake of a buffer lasts
_WAKES = (0.0, 0.12, 0.2, 0.3, 0.42, 0.55)
_AGES = (9, 2, 2, 1, 1, 0)  #: glow of each level of the wake
_SHARES = (0.4, 0.6, 0.8, 1.0)
LABEL_ROOM = 7


@dataclass(frozen=True)
class Geometry:
    """Which part of the ring each pixel shows: `part` is [2 * rows, columns], -1 off the ring."""

    width: int
    height: int
    parts: int
    part: npt.NDArray[np.int16]
    outer: float
    inner: float

    def cell(self, turn: float, radius: float) -> tuple[int, int]:
        """Column and row of the cell at a fraction of a turn clockwise from the top."""
        angle = turn * math.tau
        x = (self.width - 1) / 2 + radius * math.sin(angle)
        y = (2 * self.height - 1) / 2 - radius * math.cos(angle)
        return round(x), int(y // 2)


@lru_cache(maxsize=16)
def geometry(width: int, height: int, size: int) -> Geometry:
    """A ring of `size` slots in `width` x `height` cells; pixels are half a cell high."""
    outer = max(3.0, min((width - 2 * LABEL_ROOM) / 2, (2 * height - 5) / 2)) - 0.2  # no lone pixel on top
    inner = outer - max(2.5, outer * 0.24)
    parts = max(1, min(size, int(math.tau * outer)))
    y, x = np.mgrid[0 : 2 * height, 0:width]
    dx, dy = x - (width - 1) / 2, y - (2 * height - 1) / 2
    radius = np.hypot(dx, dy)
    turn = (np.arctan2(dx, -dy) / math.tau) % 1.0
    part = np.minimum((turn * parts).astype(np.int16), parts - 1)
    along = (turn * parts) % 1.0
    pixels = math.tau * radius / parts
    gap = (parts == size) & (size > 1) & (math.tau * outer / size >= _GAP_BELOW)
    apart = gap & (np.minimum(along, 1 - along) * pixels < 0.55)
    part[(radius > outer) | (radius <= inner) | apart] = -1
    part.setflags(write=False)
    return Geometry(width, height, parts, part, outer, inner)


def lines(
    ink: Ink,
    queue: AnyQueue,
    marks: Sequence[Mark],
    slot: int | None,
    width: int,
    height: int,
    lit: Collection[int] = (),
) -> list[Strip]:
    """The wheel of one queue in exactly `height` strips; `marks`: where the driver was, newest last;
    `lit`: slots that look chosen, because something was just written there."""
    ring = positions(queue)
    shape = geometry(width, height, queue.size)
    codes = np.append(density(ring.owners, shape.parts, wake(queue.size, marks)), np.uint8(_BLANK))
    for each in (*lit, *(() if slot is None else (slot,))):
        at = position_of_slot(queue, each) if each < queue.size else None
        if at is not None:
            codes[min(at * shape.parts // queue.size, shape.parts - 1)] = _CHOSEN
    pixels = codes[shape.part]
    cells = pixels[0::2].astype(np.int32) << 8 | pixels[1::2]
    notes = _notes(ink, queue, ring, shape)
    return [_row(ink, cells[y], notes.get(y, [])) for y in range(height)]


def _row(ink: Ink, codes: npt.NDArray[np.int32], notes: list[Note]) -> Strip:
    """One row of cells, runs of equal ones together, with the notes written over it."""
    placed: list[Note] = []
    for column, pieces in notes:
        size = sum(len(text) for text, _ in pieces)
        if column >= 0 and column + size <= len(codes) and codes[column : column + size].max() < _NOTE:
            codes[column : column + size] = _NOTE + len(placed)
            placed.append((column, pieces))
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    runs = codes[edges[:-1]].tolist()
    segments: list[Segment] = []
    for code, start, stop in zip(runs, edges, edges[1:], strict=False):
        if code >= _NOTE:
            segments += [Segment(text, style) for text, style in placed[code - _NOTE][1]]
        else:
            glyph, style = ink.cells.get(code) or _cell(ink, code)
            segments.append(Segment(glyph * (stop - start), style))
    return Strip(segments, len(codes))


def _cell(ink: Ink, code: int) -> tuple[str, Style]:
    """The character and style of a cell: one colour, or the upper and the lower pixel's."""
    upper, lower = code >> 8, code & 0xFF
    if upper == lower:
        made = _whole(ink, upper)
    else:
        top, bottom = _ground(ink, upper), _ground(ink, lower)
        made = ("▀", Style(color=top.bgcolor, bgcolor=bottom.bgcolor))
    ink.cells[code] = made
    return made


def _ground(ink: Ink, code: int) -> Style:
    if code == _BLANK:
        return ink.grounds["surface"]
    if code == _CHOSEN:
        return ink.solid("strong")
    passed, code = divmod(code, WAKE_STEP)
    owner = code // LEVELS
    if passed:
        share = _WAKES[passed]
        return ink.solid("text", share * 0.4, "available") if owner else ink.solid("used", share)
    return ink.solid("free", 0.45) if not owner else ink.solid(OWNER_MEANINGS[owner], _SHARES[code % LEVELS])


def _whole(ink: Ink, code: int) -> tuple[str, Style]:
    if code == _BLANK:
        return " ", ink("text")
    ground = _ground(ink, code)
    dark = Style(color=ink.grounds["surface"].bgcolor)
    if code == _CHOSEN:
        return "█", ground + Style(color=ground.bgcolor)
    owner = Owner(code % WAKE_STEP // LEVELS)
    if owner == Owner.FREE:
        return GLYPHS[owner], ink("free") + ground
    return GLYPHS[owner], ground + dark


def _notes(ink: Ink, queue: AnyQueue, ring: Positions, shape: Geometry) -> Notes:
    """What is written around and inside the ring, by row: (column, pieces)."""
    notes: Notes = {}

    def write(column: int, row: int, pieces: list[Piece]) -> None:
        if 0 <= row < shape.height:
            notes.setdefault(row, []).append((column, pieces))

    _arrow(write, shape, (ring.avail + 0.5) / queue.size, True, "avail", ink("driver", bold=True))
    _arrow(write, shape, (ring.used + 0.5) / queue.size, False, "used", ink("device", bold=True))
    for quarter in range(4):
        number = str(queue.size * quarter // 4)
        if queue.size >= 4 or quarter == 0:
            _beside(write, shape, quarter / 4, shape.outer + 1.6, [(number, ink("muted"))], outside=True)
    middle = _middle(ink, queue, ring, shape)
    top = (shape.height - len(middle)) // 2
    for i, pieces in enumerate(middle):
        size = sum(len(text) for text, _ in pieces)
        write((shape.width - size + 1) // 2, top + i, pieces)
    return notes


def _beside(
    write: Write, shape: Geometry, turn: float, radius: float, pieces: list[Piece], outside: bool
) -> None:
    """Write next to the rim: away from the middle outside, towards it inside."""
    column, row = shape.cell(turn, radius)
    size = sum(len(text) for text, _ in pieces)
    side = math.sin(turn * math.tau)
    if abs(side) < 0.2:
        column -= size // 2
    elif (side < 0) == outside:
        column -= size - 1
    write(column, row, pieces)


def _arrow(write: Write, shape: Geometry, turn: float, outside: bool, word: str, style: Style) -> None:
    way = round(turn * 8) % 8
    arrow = _ARROWS[way if outside else (way + 4) % 8]
    right = math.sin(turn * math.tau) >= 0
    text = f"{arrow}{word}" if right == outside else f"{word}{arrow}"
    radius = shape.outer + 1.6 if outside else shape.inner - 1.2
    column, row = shape.cell(turn, radius)
    write(column if right == outside else column - len(text) + 1, row, [(text, style)])


def _middle(ink: Ink, queue: AnyQueue, ring: Positions, shape: Geometry) -> list[list[Piece]]:
    """The lines in the middle of the ring, as many as have room there."""
    muted = ink("muted")
    counts = np.bincount(ring.owners, minlength=5)
    rows: list[list[Piece]] = [[(clean(queue.name), ink("strong"))]]
    if ring.lap is not None:
        rows.append([(f"lap {ring.lap:,}", muted)])
    rows.append([(" ", muted)])
    width = max(len(f"{int(n):,}") for n in counts)
    for owner in (Owner.AVAILABLE, Owner.IN_USE, Owner.USED, Owner.FREE):
        style = ink(OWNER_MEANINGS[owner])
        number = f"{int(counts[owner]):>{width},}"
        live = ink("text", bold=True) if counts[owner] else muted
        rows.append([(f"{GLYPHS[owner]} ", style), (number, live), (f" {OWNER_WORDS[owner]:<9}", style)])
    if isinstance(queue, PackedQueue):
        rows.append([(" ", muted)])
        rows.append([("wrap    avail used", muted)])
        for side, state in (("driver", queue.driver), ("device", queue.device)):
            if state is not None:
                rows.append([(f"{side}    {state.avail_wrap}    {state.used_wrap} ", ink(side))])
    room = int(shape.inner * 1.25 / 2) * 2 - 2
    across = int(shape.inner * 1.5)
    rows = [row for row in rows if sum(len(text) for text, _ in row) <= across]
    if len(rows) > room:
        rows = [row for row in rows if row[0][0] != " "]
    return rows[: max(1, room)]


def strip_lines(
    ink: Ink, queue: AnyQueue, marks: Sequence[Mark], slot: int | None, width: int
) -> list[Strip]:
    """The ring in two lines where a wheel has no room: its positions, and under them both indices."""
    ring = positions(queue)
    cells = width - 2
    codes = density(ring.owners, min(cells, queue.size), wake(queue.size, marks)).tolist()
    span = len(codes)
    each = cells // span if span else 1
    pieces: list[Piece] = [(" ", ink("text"))]
    at = position_of_slot(queue, slot) if slot is not None else None
    chosen = at * span // queue.size if at is not None and span else -1
    for i, code in enumerate(codes):
        passed, code = divmod(code, WAKE_STEP)
        owner = Owner(code // LEVELS)
        ground = "selected" if i == chosen else "surface" if owner else ink.glow(_AGES[passed])
        pieces.append((GLYPHS[owner] * each, ink(OWNER_MEANINGS[owner], ground)))
    avail, used = (place * span // queue.size * each + 1 for place in (ring.avail, ring.used))
    return [line(width, merged(pieces), ink("text")), _pointers(ink, avail, used, width)]


def _pointers(ink: Ink, avail: int, used: int, width: int) -> Strip:
    """Both indices under a line of slots, their names turned away from each other."""
    names = [" "] * width
    styles = [ink("text")] * width
    ends = (("used", used, used <= avail, "device"), ("avail", avail, used > avail, "driver"))
    for word, column, leftwards, side in ends:
        room = column >= len(word) if leftwards else column + len(word) < width
        text = (f"{word}↑" if leftwards else f"↑{word}") if room else "↑"
        start = column - len(word) if leftwards and room else column
        for at, character in enumerate(text, start):
            names[at], styles[at] = character, ink(side, bold=True)
    return line(width, merged(zip(names, styles, strict=True)), ink("text"))


class Wheel(Pane):
    """The selected queue as a ring; a click on a slot chooses the descriptor that stands there."""

    HELP = (
        "The ring of the selected queue. Outside the driver's next position, inside the device's. "
        "Split: an entry of the available ring each; packed: a descriptor slot each."
    )

    class Chosen(Message):
        """The descriptor slot to look at."""

        def __init__(self, slot: int) -> None:
            super().__init__()
            self.slot = slot

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.slot: int | None = None
        self._marks: deque[Mark] = deque(maxlen=_PICTURES)
        self._of = (-1, -1)  #: the queue and generation that the marks are of
        self.marks: marking.Marks = marking.NONE
        self.flat = False  #: two lines and no title: there is no room for a wheel

    def light(self, marks: marking.Marks) -> None:
        """Light up the slots in which these fields stand."""
        self.marks = marks
        self.redraw()

    def show(self, tick: Tick) -> None:
        queue = tick_queue(tick, self.selected)
        if queue is not None:
            if (queue.index, queue.generation) != self._of:
                self._of = (queue.index, queue.generation)
                self._marks.clear()
            self._marks.append(mark(queue))
        super().show(tick)

    def draw(self, width: int, height: int) -> list[Strip]:
        queue = tick_queue(self.tick, self.selected)
        if queue is None:
            return []
        if self._of[0] != queue.index:
            self._marks.clear()
        if self.flat:
            return strip_lines(self.ink, queue, self._marks, self.slot, width)[:height]
        what = "slots" if isinstance(queue, PackedQueue) else "entries"
        about = [(f"of {clean(queue.name)} · {queue.size:,} {what}", self.ink("muted", "panel"))]
        head = title(self.ink, width, "ring", about, self.has_focus)
        lit = marking.fields(self.marks, "desc")
        return [head, *lines(self.ink, queue, self._marks, self.slot, width, height - 1, lit)]

    def position_at(self, x: int, y: int) -> int | None:
        """The position of the ring drawn at a cell, None off the ring."""
        queue = tick_queue(self.tick, self.selected)
        if queue is None:
            return None
        if self.flat:
            cells = self.size.width - 2
            span = min(cells, queue.size)
            part = (x - 1) // max(1, cells // span)
            return part * queue.size // span if 0 <= part < span and y == 0 else None
        shape = geometry(self.size.width, self.size.height - 1, queue.size)
        if not (0 <= y - 1 < shape.height and 0 <= x < shape.width):
            return None
        part = int(shape.part[2 * (y - 1) : 2 * (y - 1) + 2, x].max())
        return part * queue.size // shape.parts if part >= 0 else None

    def on_click(self, event: events.Click) -> None:
        queue = tick_queue(self.tick, self.selected)
        position = self.position_at(event.x, event.y)
        if queue is not None and position is not None:
            self.post_message(self.Chosen(slot_of_position(queue, position)))

    def turn(self, by: int) -> None:
        """Move the chosen slot by so many positions of the ring."""
        queue = tick_queue(self.tick, self.selected)
        if queue is None:
            return
        at = position_of_slot(queue, self.slot) if self.slot is not None else None
        start = positions(queue).avail if at is None else at
        self.post_message(self.Chosen(slot_of_position(queue, (start + by) % queue.size)))
