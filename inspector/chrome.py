"""The first and the last lines of every screen: what is looked at, and which keys do something.

Both are one-pass Line API widgets: they repaint only when what they say has changed. The key line is
made from the active bindings, in their order, and drops what does not fit from its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.color import Color
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, TextArea

from inspector.headlines import Headline, Piece
from inspector.numbers import count
from inspector.theme import Palette, palette


def top(head: Headline, width: int) -> list[Piece]:
    """The pieces of the first line, exactly `width` cells; features give way first, then kind and trace.

    A capture filter is always told: what is not kept is seen by nobody.
    """
    left: list[Piece] = [
        (" ringscope ", "accent"),
        (f" {head.name}", "strong"),
        (f" · {head.layout}", "text"),
    ]
    state = list(head.state)
    seen = " " if head.seen is None else f"  seen {count(head.seen)} "
    right: list[Piece] = [*head.badges, *state, (seen, "text")]
    if head.past:
        room = width - _length(left)
        right.pop()
        while len(state) > 2 and _length(right) > room:
            right.remove(state.pop())
        if _length(right) > room:
            left = left[:2] if _length(left[:2]) + _length(right) <= width else left[:1]
    if head.keeps:
        right[0:0] = keeps(head, width - _length(left) - _length(right) - 1)
    room = width - _length(left) - _length(right)
    trace: Piece = (f"  trace {head.trace}", "muted")
    if room > len(trace[0]) + 30:
        right.insert(len(right) - (not head.past), (trace[0] + " " * head.past, trace[1]))
        room -= len(trace[0])
    kind: Piece = (f" · {head.kind}", "text")
    if room > len(kind[0]) + 24:
        left.insert(2, kind)
        room -= len(kind[0])
    shown: list[str] = []
    for index, name in enumerate(head.features):
        rest = len(head.features) - index - 1
        more = f" +{rest}" if rest else ""
        if len(" · " + " ".join([*shown, name]) + more) + 2 > room:
            break
        shown.append(name)
    if shown:
        rest = len(head.features) - len(shown)
        text = " · " + " ".join(shown) + (f" +{rest}" if rest else "")
        left.append((text, "muted"))
        room -= len(text)
    return [*left, (" " * max(room, 0), "text"), *right]


def keeps(head: Headline, room: int) -> list[Piece]:
    """The capture filter in at most `room` cells; it gives way to what it left out."""
    before, after = "▽ keeps ", f" · {count(head.left_out)} left out  "
    if len(before) + len(after) + 8 > room:
        return [(f"▽ {count(head.left_out)} left out  ", "available")]
    text = head.keeps
    most = min(room - len(before) - len(after), 48)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return [(before, "available"), (text, "strong"), (after, "available")]


def _length(pieces: Iterable[Piece]) -> int:
    return sum(len(text) for text, _ in pieces)


def strip(pieces: Iterable[Piece], width: int, inks: Palette) -> Strip:
    """Pieces as one line of exactly `width` cells."""
    segments = [Segment(text, getattr(inks, style)) for text, style in pieces]
    return Strip(segments).adjust_cell_length(width, inks.text)


def cut(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """As much of the pieces as fits; what goes on beyond it ends with an ellipsis."""
    if _length(pieces) <= width:
        return list(pieces)
    kept: list[Piece] = []
    room = width - 1
    for text, style in pieces:
        if len(text) > room:
            return [*kept, (text[:room].rstrip() + "…", style)]
        kept.append((text, style))
        room -= len(text)
    return kept


def past_ground(inks: Palette) -> Style:
    """The ground of the first line while a moment of the past is shown: nobody takes it for now."""
    colour, under = inks.past.color, inks.panel.bgcolor
    if colour is None or under is None or not colour.triplet or not under.triplet:
        return Style(reverse=True) + inks.panel
    return Style(bgcolor=Color(*under.triplet).blend(Color(*colour.triplet), 0.28, alpha=1).rich_color)


class TopLine(Widget):
    """What is looked at, and whether it moves."""

    DEFAULT_CSS = "TopLine { dock: top; height: 1; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._said: Headline | None = None

    def say(self, head: Headline) -> None:
        if head != self._said:
            self._said = head
            self.refresh()

    def render_line(self, y: int) -> Strip:
        inks = palette(self.app)
        over = inks.on(past_ground(inks) if self._said is not None and self._said.past else inks.panel)
        if self._said is None:
            return Strip.blank(self.size.width, over.text)
        return strip(top(self._said, self.size.width), self.size.width, over)


@dataclass(frozen=True, slots=True)
class Key:
    """Keys that do one thing (or a group of things), as the key line shows them."""

    keys: tuple[str, ...]
    description: str
    actions: tuple[str, ...]


def keys_of(screen: Screen[Any]) -> list[Key]:
    """The shown bindings that work now: `FOOT_FIRST`, then the focused pane's, the screen's, the app's.

    Of a dialogue all of its own, shown or not: it has few.
    """
    found: dict[str, Key] = {}
    ranks: dict[str, int] = {}
    ids: dict[str, list[str]] = {}
    typing = isinstance(screen.focused, Input | TextArea)  # letters are text then
    modal = isinstance(screen, ModalScreen)  # its few keys are all shown
    for active in screen.active_bindings.values():
        binding = active.binding
        if not active.enabled or not (binding.show or (modal and binding.id)):
            continue
        if typing and active.node is not screen.focused and not _untyped(screen, active.node, binding):
            continue
        name = binding.group.description if binding.group else binding.description
        shown = screen.app.get_key_display(binding)
        known = found.get(name)
        ids.setdefault(name, []).append(binding.id or "")
        if known is None:
            ranks[name] = 2 if active.node is screen.app else 1 if active.node is screen else 0
            found[name] = Key((shown,), name, (binding.action,))
        elif shown not in known.keys and (binding.group or binding.action not in known.actions):
            found[name] = Key((*known.keys, shown), name, (*known.actions, binding.action))
    first = {name: at for at, name in enumerate((_WAY_OUT, *getattr(screen, "FOOT_FIRST", ())))}
    order = {name: at for at, name in enumerate(found)}
    places = {name: min((first.get(id, len(first)) for id in ids[name]), default=0) for name in found}

    def rank(key: Key) -> tuple[int, int, int]:
        return places[key.description], ranks[key.description], order[key.description]

    return sorted(found.values(), key=rank)


def _untyped(screen: Screen[Any], node: object, binding: Binding) -> bool:
    """Whether this is a key of the screen itself, and one that does not type anything."""
    own = isinstance(screen, ModalScreen) or node is screen
    key = binding.key.split(",")[0]
    return own and (key in _UNTYPED or key.startswith(("ctrl+", "shift+")))


_WAY_OUT = "past.live"  #: shown before all others, and only in the past
_UNTYPED = frozenset(("escape", "enter", "tab", "up", "down", "pageup", "pagedown"))


def fit(keys: list[Key], width: int, last: str = "help") -> list[Key]:
    """As many keys as fit into `width` cells in their order; the one described as `last` always does."""
    kept = [key for key in keys if key.description == last]
    room = width - sum(_width(key) for key in kept)
    for key in keys:
        if key.description != last and _width(key) <= room:
            kept.append(key)
            room -= _width(key)
    return sorted(kept, key=keys.index)


def _width(key: Key) -> int:
    return len(" ".join(key.keys)) + len(key.description) + 3


class Foot(Widget):
    """A line of state or of the last message, and the keys; one line only in a low terminal."""

    DEFAULT_CSS = """
    Foot { dock: bottom; height: 1; background: $panel; }
    Foot.-tall { height: 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._facts: tuple[Piece, ...] = ()
        self._message: Piece | None = None
        self._spots: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._rebound)
        self.app.screen_change_signal.subscribe(self, self._rebound)

    def _rebound(self, _screen: Screen[Any]) -> None:
        self.refresh()

    def say(self, facts: tuple[Piece, ...], message: Piece | None) -> None:
        """What stands above the keys: the message while there is one, else the facts."""
        if (facts, message) == (self._facts, self._message):
            return
        self._facts, self._message = facts, message
        if self.size.height > 1:
            self.refresh(Region(0, 0, self.size.width, 1))
        else:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        inks = palette(self.app)
        width = self.size.width
        tall = self.size.height > 1
        if (tall and y == 0) or (not tall and self._message is not None):
            pieces = (
                ((" " + self._message[0], self._message[1]),)
                if self._message
                else ((" ", "muted"), *self._facts)
            )
            return strip(cut(pieces, width), width, inks.on(inks.surface))
        return self._key_strip(inks.on(inks.panel), width)

    def _key_strip(self, inks: Palette, width: int) -> Strip:
        segments: list[Segment] = []
        self._spots = []
        at = 0
        bold = inks.accent + Style(bold=True)
        over = self.app.screen
        keys = keys_of(over if isinstance(over, ModalScreen) else self.screen)
        for key in fit(keys, width):
            segments.append(Segment(" ", inks.text))
            at += 1
            for index, (shown, action) in enumerate(zip(key.keys, key.actions, strict=False)):
                if index:
                    segments.append(Segment(" ", inks.text))
                    at += 1
                self._spots.append((at, at + len(shown), action))
                segments.append(Segment(shown, bold))
                at += len(shown)
            text = f" {key.description} "
            self._spots.append((at, at + len(text), key.actions[0]))
            segments.append(Segment(text, inks.muted))
            at += len(text)
        return Strip(segments).adjust_cell_length(width, inks.text)

    async def on_click(self, event: events.Click) -> None:
        if event.y == self.size.height - 1:
            for start, stop, action in self._spots:
                if start <= event.x < stop:
                    await self.app.run_action(action, self.screen.focused or self.screen)


def bindings_of(node: object) -> list[Binding]:
    """The bindings that a class of ours declares for itself, most specific class first."""
    found: list[Binding] = []
    for cls in type(node).__mro__:
        if cls.__module__.partition(".")[0] != "textual":
            found += [binding for binding in vars(cls).get("BINDINGS", ()) if isinstance(binding, Binding)]
    return found
