"""Colours by meaning, for every theme.

Two themes of our own and a `Palette` that gives widgets with `render_line` one style per meaning,
whatever theme is chosen. Whoever wrote a thing gives it its colour: one accent for the driver, one
for the device. No meaning hangs on colour alone: `GLYPHS` has a sign for each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from dataplane.records import Owner

if TYPE_CHECKING:
    from textual.app import App

#: One cell each; "fault" and "flux" mark rows, the owners mark slots.
GLYPHS: dict[Owner | str, str] = {
    Owner.FREE: "·",
    Owner.AVAILABLE: "▸",
    Owner.IN_USE: "▪",
    Owner.USED: "◂",
    Owner.UNKNOWN: "?",
    "fault": "!",
    "flux": "?",
}

_DARK = {
    "free": "#4b566b",
    "available": "#ffc777",
    "in-use": "#6cb6ff",
    "used": "#5fd7b0",
    "unknown": "#c099ff",
    "driver": "#ffb05c",
    "device": "#58b7ff",
    "fault": "#ff6b7f",
    "flux": "#e58fe0",
    "past": "#a08cff",
}
_LIGHT = {
    "free": "#9aa3b2",
    "available": "#a35a00",
    "in-use": "#0b62b8",
    "used": "#0a7a58",
    "unknown": "#7046c4",
    "driver": "#b04f00",
    "device": "#0059b3",
    "fault": "#c01c3a",
    "flux": "#a3269c",
    "past": "#5b43c9",
}

_COMMON = {"block-cursor-text-style": "none", "block-cursor-blurred-text-style": "none"}

RINGSCOPE = Theme(
    name="ringscope",
    primary="#58b7ff",
    secondary="#ffb05c",
    accent="#5fd7b0",
    warning="#ffc777",
    error="#ff6b7f",
    success="#5fd7b0",
    foreground="#d6deeb",
    background="#0b0f17",
    surface="#101623",
    panel="#1a2233",
    dark=True,
    variables={**_DARK, **_COMMON, "footer-key-foreground": "#58b7ff", "border": "#2c3a52"},
)
RINGSCOPE_LIGHT = Theme(
    name="ringscope-light",
    primary="#0059b3",
    secondary="#b04f00",
    accent="#0a7a58",
    warning="#a35a00",
    error="#c01c3a",
    success="#0a7a58",
    foreground="#1c2433",
    background="#fafbfd",
    surface="#f1f4f9",
    panel="#e2e8f1",
    dark=False,
    variables={**_LIGHT, **_COMMON, "footer-key-foreground": "#0059b3", "border": "#c3cddd"},
)
THEMES = (RINGSCOPE, RINGSCOPE_LIGHT)
MEANINGS = tuple(_DARK)


@dataclass(frozen=True)
class Palette:
    """One `rich.style.Style` per meaning, over the theme's background.

    `background`, `surface`, `panel` and `selected` are grounds; `on(ground)` gives the same palette
    over another one. `glow` runs from "changed just now" to "changed a moment ago". `hexes` has the
    colours as `#rrggbb` by meaning ("" where the theme leaves the choice to the terminal).
    """

    free: Style
    available: Style
    in_use: Style
    used: Style
    unknown: Style
    driver: Style
    device: Style
    fault: Style
    flux: Style
    past: Style
    muted: Style
    text: Style
    strong: Style
    accent: Style
    background: Style
    surface: Style
    panel: Style
    selected: Style
    glow: tuple[Style, ...]
    hexes: dict[str, str]
    name: str
    dark: bool

    def owner(self, owner: int) -> Style:
        """The style of a slot by its owner."""
        return (self.free, self.available, self.in_use, self.used, self.unknown)[owner]

    def on(self, ground: Style) -> Palette:
        """The same meanings over another ground, such as `panel`."""
        return _on(self, Style(bgcolor=ground.bgcolor))

    def __hash__(self) -> int:
        return hash((self.name, self.background))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Palette) and (self.name, self.background) == (other.name, other.background)


_FOREGROUNDS = (
    "free",
    "available",
    "in_use",
    "used",
    "unknown",
    "driver",
    "device",
    "fault",
    "flux",
    "past",
    "muted",
    "text",
    "strong",
    "accent",
)


@lru_cache(maxsize=32)
def _on(palette: Palette, ground: Style) -> Palette:
    changes = {name: getattr(palette, name) + ground for name in _FOREGROUNDS}
    return dataclasses.replace(palette, background=ground, **changes)


def variables(theme: Theme) -> dict[str, str]:
    """The meanings as theme variables (`$driver`, `$in-use`, ...) for a theme that does not name them."""
    colours = theme.to_color_system().generate()

    def of(name: str, otherwise: str) -> str:
        return colours.get(name) or otherwise

    error, warning, success = of("error", "red"), of("warning", "yellow"), of("success", "green")
    primary, secondary, accent = of("primary", "blue"), of("secondary", "cyan"), of("accent", "magenta")
    faint = _mix(of("foreground", "#888888"), of("background", "#000000"), 0.35)
    return {
        "free": "ansi_bright_black" if theme.ansi else faint,
        "available": warning,
        "in-use": primary,
        "used": success,
        "unknown": accent,
        "driver": warning,
        "device": primary,
        "fault": error,
        "flux": accent,
        "past": secondary,
    }


def palette(app: App[Any]) -> Palette:
    """The palette of the app's theme; the same object until the theme changes."""
    name = app.theme
    known = _made.get(app)
    if known is None or known.name != name:
        known = _made[app] = _build(app.current_theme, app.get_css_variables())
    return known


_made: WeakKeyDictionary[App[Any], Palette] = WeakKeyDictionary()


def _build(theme: Theme, colours: Mapping[str, str]) -> Palette:
    name, ansi, dark = theme.name, theme.ansi, theme.dark
    background, foreground = colours["background"], colours["foreground"]
    ground = Style(bgcolor=_rich(background))

    def ink(variable: str, bold: bool | None = None) -> Style:
        return ground + Style(color=_rich(colours.get(variable, foreground)), bold=bold)

    def ground_of(variable: str, part: float) -> Style:
        return Style(bgcolor=_rich(_mix(colours[variable], background, part)))

    glow: tuple[Style, ...]
    if ansi:
        muted = ground + Style(dim=True)
        glow = (Style(reverse=True), Style(bold=True))
        selected, panel, surface = Style(reverse=True), ground, ground
    else:
        muted = ground + Style(color=_rich(_mix(foreground, background, 0.55)))
        glow = tuple(ground_of("accent", part) for part in (0.42, 0.26, 0.13))
        selected = ground_of("primary", 0.34 if dark else 0.22)
        panel, surface = Style(bgcolor=_rich(colours["panel"])), Style(bgcolor=_rich(colours["surface"]))
    return Palette(
        free=ink("free"),
        available=ink("available"),
        in_use=ink("in-use"),
        used=ink("used"),
        unknown=ink("unknown"),
        driver=ink("driver"),
        device=ink("device"),
        fault=ink("fault", bold=True),
        flux=ink("flux"),
        past=ink("past"),
        muted=muted,
        text=ink("foreground"),
        strong=ink("foreground", bold=True),
        accent=ink("accent"),
        background=ground,
        surface=surface,
        panel=panel,
        selected=selected,
        glow=glow,
        hexes={name: _hex(colours.get(name, foreground)) for name in (*MEANINGS, "background", "foreground")},
        name=name,
        dark=dark,
    )


def _rich(value: str) -> RichColor | None:
    try:
        colour = Color.parse(value)
    except ColorParseError:
        return None
    return None if colour.ansi == -1 else colour.rich_color


def _hex(value: str) -> str:
    try:
        colour = Color.parse(value)
    except ColorParseError:
        return ""
    return "" if colour.ansi is not None else colour.hex6


def _mix(colour: str, ground: str, part: float) -> str:
    """`part` of `colour` over `ground`; the colour itself where one is the terminal's own."""
    try:
        first, second = Color.parse(colour), Color.parse(ground)
    except ColorParseError:
        return colour
    if first.ansi is not None or second.ansi is not None:
        return colour
    return second.blend(first, part, alpha=1).hex6
