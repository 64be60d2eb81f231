"""The keys that mean the same on every screen. Key line, help and palette are made from them."""

from __future__ import annotations

from textual.binding import Binding, BindingType

_SCREENS = Binding.Group("screens", compact=True)
_QUEUE = Binding.Group("queue", compact=True)
_RATE = Binding.Group("traffic", compact=True)


def _key(
    id: str,
    key: str,
    action: str,
    description: str,
    tooltip: str,
    *,
    sign: str | None = None,
    group: Binding.Group | None = None,
    show: bool = True,
) -> Binding:
    return Binding(key, action, description, id=id, tooltip=tooltip, key_display=sign, group=group, show=show)


BINDINGS: list[BindingType] = [
    _key("view.rings", "1", "view('rings')", "rings", "The rings of every queue", group=_SCREENS),
    _key("view.packets", "2", "view('packets')", "packets", "What went through them", group=_SCREENS),
    _key("pause", "space", "pause", "pause", "Hold the picture; the pair goes on"),
    _key("freeze", "z", "freeze", "freeze", "Stop the pair where it is, or let it run again"),
    _key("step", "s", "step", "step", "While frozen: one operation of the side whose turn it is"),
    _key(
        "queue.previous",
        "left_square_bracket",
        "queue(-1)",
        "previous queue",
        "The queue before; on Packets: only its packets",
        sign="[",
        group=_QUEUE,
    ),
    _key(
        "queue.next",
        "right_square_bracket",
        "queue(1)",
        "next queue",
        "The queue after; on Packets: only its packets",
        sign="]",
        group=_QUEUE,
    ),
    _key("follow", "f", "follow", "follow", "Keep up with the newest, or stay where you are"),
    _key("search", "slash", "search", "search", "Find packets by address, protocol, name or bytes", sign="/"),
    _key(
        "rate.up",
        "plus,equals_sign",
        "rate(1)",
        "more traffic",
        "Ask for more frames a second",
        sign="+",
        group=_RATE,
    ),
    _key(
        "rate.down",
        "minus",
        "rate(-1)",
        "less traffic",
        "Ask for fewer frames a second",
        sign="-",
        group=_RATE,
    ),
    _key("write", "w", "write", "write", "Write packets to a pcapng or pcap file"),
    _key("copy", "y", "copy", "copy", "Copy what is selected to the clipboard", show=False),
    _key("trace", "t", "trace", "trace level", "How much of what happens is journaled", show=False),
    _key("help", "question_mark", "help", "help", "What the signs mean, and every key", sign="?"),
    _key("quit", "q", "quit", "quit", "Leave; the terminal is as it was"),
]
