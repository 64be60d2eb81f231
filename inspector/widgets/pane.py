"""Panes: whole lines, painted past the toolkit's cache of styled lines.

`Pane` shows a tick and paints only the lines that differ from the last picture; `ScrollPane` scrolls over
any number of lines, of which those in sight are made. `Ink` makes the styles of a theme once; `line` makes
a full-width strip out of pieces. No pane has a border: a title line, a ground of its own and a gap do the
same in fewer cells and less time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from inspector.theme import Palette, palette

if TYPE_CHECKING:
    from inspector.session import Tick

Piece = tuple[str, Style]


class Ink:
    """The styles of one palette, each made once: a meaning over a ground."""

    def __init__(self, colours: Palette) -> None:
        self.palette = colours
        self._made: dict[tuple[str, str, bool], Style] = {}
        self.cells: dict[int, tuple[str, Style]] = {}  #: what `wheel` makes of its cell codes
        self._mixed: dict[tuple[str, float, str], Style] = {}
        self.grounds: dict[str, Style] = {
            "background": colours.background,
            "surface": colours.surface,
            "panel": colours.panel,
            "selected": colours.selected,
            **{f"glow{i}": glow for i, glow in enumerate(colours.glow, 1)},
        }

    def __call__(self, meaning: str, ground: str = "surface", bold: bool = False) -> Style:
        key = (meaning, ground, bold)
        made = self._made.get(key)
        if made is None:
            style: Style = getattr(self.palette, meaning) + self.grounds[ground]
            made = self._made[key] = style + Style(bold=True) if bold else style
        return made

    def glow(self, age: int) -> str:
        """The ground of a row changed `age` pictures ago."""
        return f"glow{age + 1}" if age < len(self.palette.glow) else "surface"

    def solid(self, meaning: str, share: float = 1.0, over: str = "") -> Style:
        """A ground filled with a share of the colour of a meaning over another's, or over the surface."""
        key = (meaning, share, over)
        made = self._mixed.get(key)
        if made is None:
            base: Style = getattr(self.palette, meaning)
            colour, under = base.color, self.palette.surface.bgcolor
            if over:
                under = getattr(self.palette, over).color
            if colour is not None and under is not None and colour.triplet and under.triplet and share < 1:
                blended = Color(*under.triplet).blend(Color(*colour.triplet), share, alpha=1)
                colour = blended.rich_color
            made = self._mixed[key] = Style(bgcolor=colour)
        return made


def line(width: int, pieces: Iterable[Piece], base: Style) -> Strip:
    """One strip of exactly `width` cells; pieces of one-cell characters, the rest in `base`."""
    segments: list[Segment] = []
    left = width
    for text, style in pieces:
        size = len(text)
        if not size:
            continue
        if size >= left:
            segments.append(Segment(text[:left], style))
            return Strip(segments, width)
        segments.append(Segment(text, style))
        left -= size
    if left > 0:
        segments.append(Segment(" " * left, base))
    return Strip(segments, width)


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours of one style as one piece: cells drawn one by one cost the terminal as much as words."""
    found: list[Piece] = []
    for text, style in pieces:
        if found and found[-1][1] is style:
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found


def title(ink: Ink, width: int, name: str, about: Sequence[Piece], focused: bool) -> Strip:
    """The first line of a pane: its name, and as much of what it shows as fits whole."""
    bar = ("▌", ink("accent", "panel")) if focused else (" ", ink("muted", "panel"))
    head = (f"{name} ", ink("strong" if focused else "text", "panel", bold=True))
    pieces = [bar, head]
    room = width - 2 - len(name)
    for piece in about:
        room -= len(piece[0])
        if room < 0:
            break
        pieces.append(piece)
    return line(width, pieces, ink("muted", "panel"))


def bands(rows: Sequence[int], width: int) -> list[Region]:
    """Regions that cover these ascending rows, neighbours together."""
    regions: list[Region] = []
    start = previous = -2
    for row in rows:
        if row != previous + 1:
            if start >= 0:
                regions.append(Region(0, start, width, previous - start + 1))
            start = row
        previous = row
    if start >= 0:
        regions.append(Region(0, start, width, previous - start + 1))
    return regions


class Inked(Widget):
    """A widget that paints whole strips in the inks of the app's theme.

    It has no border, padding or opacity, so the toolkit's cache of styled lines would only cost time;
    filters (NO_COLOR) are applied here, but for that of ANSI colours where there are none.
    """

    ALLOW_SELECT = False
    _ink: Ink | None = None

    @property
    def ink(self) -> Ink:
        colours = palette(self.app)
        if self._ink is None or self._ink.palette is not colours:
            self._ink = Ink(colours)
        return self._ink

    def fitted(self, strips: list[Strip], crop: Region) -> list[Strip]:
        """Strips of the widget's full width through the line filters, cut to the columns of `crop`."""
        filters = [f for f in self.get_line_filters() if not isinstance(f, ANSIToTruecolor)]
        for one in filters:
            strips = [strip.apply_filter(one, self.background_colors[1]) for strip in strips]
        if crop.x or crop.width != self.size.width:
            strips = [strip.crop(crop.x, crop.right) for strip in strips]
        return strips


class Pane(Inked, can_focus=True):
    """Keeps the tick it shows and the strips it made of it."""

    DEFAULT_CSS = "Pane { height: 1fr; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tick: Tick | None = None
        self.selected = 0  #: index of the queue shown
        self.titled = True
        self._strips: list[Strip] = []

    def draw(self, width: int, height: int) -> list[Strip]:
        """At most `height` strips of `width` cells for what is shown now."""
        raise NotImplementedError

    def show(self, tick: Tick) -> None:
        """Show this tick; costs nothing while the pane is hidden."""
        self.tick = tick
        self.redraw()

    def redraw(self, everything: bool = False) -> None:
        width, height = self.size
        if not width or not height or not self.display or not self.is_attached:
            return
        before, after = self._strips, self.draw(width, height)
        if len(after) < height:
            after += [Strip.blank(width, self.ink("text"))] * (height - len(after))
        self._strips = after
        if everything or len(before) != len(after) or before[0].cell_length != width:
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        if changed:
            self.refresh(*bands(changed, width))

    def render_lines(self, crop: Region) -> list[Strip]:
        width = self.size.width
        strips = self._strips[crop.y : crop.bottom]
        if len(strips) < crop.height or strips[0].cell_length != width:
            strips = [Strip.blank(width, self.ink("text"))] * crop.height
        return self.fitted(strips, crop)

    def on_resize(self) -> None:
        self.redraw(everything=True)

    def on_show(self) -> None:
        self.redraw(everything=True)

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw(everything=True))


class ScrollPane(Inked, ScrollView, can_focus=True):
    """Scrolls over `lines` lines under its first `HEAD`, which stay; any number of lines costs the same.

    A subclass has `render_line(y)`, a strip of `size.width` cells for line y of the pane, and `prepare()`
    for what is to be made once a picture.
    """

    HEAD = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines = 0

    @property
    def room(self) -> int:
        """Lines that are in sight below the head; at least 1."""
        return max(self.size.height - self.HEAD, 1)

    @property
    def top(self) -> int:
        """The first line in sight."""
        return self.scroll_offset.y

    def set_lines(self, count: int) -> None:
        """How many lines there are below the head."""
        self.lines = count
        size = Size(self.scrollable_content_region.width, self.HEAD + count)
        if size != self.virtual_size:
            self.virtual_size = size

    def reveal(self, line: int) -> None:
        """Bring a line into sight: by as little as it takes, or to the middle where it is far away."""
        top, room = self.top, self.room
        if not top <= line < top + room:
            far = line < top - room or line >= top + 2 * room
            self.scroll_to_line(line - room // 2 if far else line if line < top else line - room + 1)
        self.refresh()

    def scroll_to_line(self, line: int) -> None:
        """Make a line the first in sight, at once."""
        self.scroll_to(y=max(line, 0), animate=False, force=True, immediate=True)

    def prepare(self) -> None:
        """Called once before the lines of a picture."""

    def render_lines(self, crop: Region) -> list[Strip]:
        self.prepare()
        return self.fitted([self.render_line(y) for y in range(crop.y, crop.bottom)], crop)

    def on_resize(self) -> None:
        self.set_lines(self.lines)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.refresh())
