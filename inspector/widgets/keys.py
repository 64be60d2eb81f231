"""How panes bind keys: every binding has an id, a description and a tooltip."""

from __future__ import annotations

from textual.binding import Binding


def key(id: str, keys: str, action: str, description: str, tooltip: str, show: bool = False) -> Binding:
    """A binding; `show` puts it into the key line."""
    return Binding(keys, action, description, id=id, tooltip=tooltip, show=show)
