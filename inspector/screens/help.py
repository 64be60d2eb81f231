"""Help, made from the bindings themselves: what is not bound is not in it, and nothing bound is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from dataplane.records import Owner
from inspector.chrome import bindings_of
from inspector.theme import GLYPHS, Palette, palette
from inspector.view import Explains, Lists

_LEGEND = (
    (Owner.FREE, "free", "nobody owns it; the driver may fill it"),
    (Owner.AVAILABLE, "available", "published by the driver, not yet seen by the device"),
    (Owner.IN_USE, "in use", "taken by the device"),
    (Owner.USED, "used", "completed by the device, not yet collected by the driver"),
    ("flux", "in flux", "may have changed while it was read"),
    ("fault", "fault", "breaks a rule"),
)
_INKS = {"flux": "flux", "fault": "fault"}


def sections(app: Any, screen: Screen[Any]) -> Iterator[tuple[str, list[Binding]]]:
    """(title, bindings) for a screen, its panes and the app; nothing twice."""
    seen: set[type] = set()
    for node in (screen, *screen.query("*")):
        if type(node) in seen:
            continue
        seen.add(type(node))
        bindings = bindings_of(node)
        if bindings:
            yield node.BINDING_GROUP_TITLE or type(node).__name__, bindings
    yield "Everywhere", bindings_of(app)


def page(app: Any, screen: Screen[Any], inks: Palette) -> Text:
    """The whole help as one text."""
    text = Text()
    text.append("ringscope", inks.accent)
    text.append("  both sides of every virtqueue, now and at any moment of the past\n\n", inks.text)
    if isinstance(screen, Lists):
        _keys(text, app, screen, inks)
        _filters(text, inks)
    else:
        if isinstance(screen, Explains):
            _explained(text, screen, inks)
        else:
            _legend(text, inks)
        _keys(text, app, screen, inks)
    text.append("\nctrl+p", inks.accent)
    text.append(" has every command by name, and the themes.", inks.text)
    return text


def _explained(text: Text, screen: Explains, inks: Palette) -> None:
    for title, lines in screen.explanations():
        text.append(f"{title}\n", inks.strong)
        told = tuple(lines)
        width = max((len(example) for example, _ in told), default=0) + 2
        for example, about in told:
            text.append(f"  {example:<{width}}", inks.accent)
            text.append(f"{about}\n", inks.text)
        text.append("\n")


def _legend(text: Text, inks: Palette) -> None:
    text.append("A slot of a ring\n", inks.strong)
    for sign, word, meaning in _LEGEND:
        style = inks.owner(sign) if isinstance(sign, Owner) else getattr(inks, _INKS[sign])
        text.append(f"  {GLYPHS[sign]} {word:<11}", style)
        text.append(f"{meaning}\n", inks.text)
    text.append("  driver", inks.driver)
    text.append(" and ", inks.text)
    text.append("device", inks.device)
    text.append(" each have a colour: whoever wrote a thing gives it its own\n", inks.text)
    text.append("\n")


def _keys(text: Text, app: Any, screen: Screen[Any], inks: Palette) -> None:
    for title, bindings in sections(app, screen):
        text.append(f"{title}\n", inks.strong)
        for binding in bindings:
            keys = " ".join(
                app.get_key_display(binding.with_key(key.strip())) for key in binding.key.split(",")
            )
            text.append(f"  {keys:<14}", inks.accent)
            text.append(f"{binding.description:<18}", inks.text)
            text.append(f"{binding.tooltip}\n", inks.muted)
        text.append("\n")


_SEARCHING = (
    ("word", "any case, in the lines of the packets shown and in their bytes"),
    ("/a.c/", "a regular expression, any case"),
    ("0x0a00", "bytes; aa:bb:cc finds bytes and addresses"),
)
_FILTERS = (
    ("ip.addr == 10.0.0.0/8", "either address is in this network"),
    ("tcp.flags.syn and not tcp.flags.ack", "connections that are opened"),
    ('dns.qry.name contains "example"', "by a part of the name"),
    ("udp.port in {53, 5353, 8000..8999}", "one of these, or between"),
    ("latency > 100us", "buffers that the device held for long"),
    ("vnet.gso_type != none and queue == 1", "ring facts that no other tool has"),
)


_PANES = """\
  The pane with the focus is looked through first: from the fields the search goes through
  the fields of this packet, from the bytes through its bytes, then on to the next packet.
"""


def _filters(text: Text, inks: Palette) -> None:
    """What can be searched and filtered for, every field of a filter included."""
    from capture.fieldtable import FIELDS

    text.append("Search /\n", inks.strong)
    for example, about in _SEARCHING:
        text.append(f"  {example:<38}", inks.accent)
        text.append(f"{about}\n", inks.muted)
    text.append(_PANES, inks.text)
    text.append("\nDisplay filter &\n", inks.strong)
    for example, about in _FILTERS:
        text.append(f"  {example:<38}", inks.accent)
        text.append(f"{about}\n", inks.muted)
    text.append("\nFields of a display filter\n", inks.strong)
    for name, info in FIELDS.items():
        values = f": {', '.join(info.names)}" if info.names and len(info.names) < 7 else ""
        text.append(f"  {name:<30}", inks.accent)
        text.append(f"{info.about}", inks.text)
        text.append(f"{values}\n", inks.muted)


def open_help(app: App[Any]) -> None:
    """The help of the screen that is up."""
    app.push_screen(HelpScreen(app.screen))


class HelpScreen(ModalScreen[None]):
    """What the signs mean and what the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close", id="help.close", tooltip="Back to the screen"),
    ]

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__()
        self._of = of

    def compose(self) -> ComposeResult:
        inks = palette(self.app)
        with VerticalScroll(id="help") as body:
            body.border_title = "help"
            body.border_subtitle = "esc close · ↑ ↓ page up, page down"
            yield Static(page(self.app, self._of, inks.on(inks.surface)), markup=False)
