"""The keys that mean the same on every screen. Key line, help and palette are made from them."""

from __future__ import annotations

from textual.binding import Binding, BindingType

_SCREENS = Binding.Group("screens", compact=True)
_QUEUE = Binding.Group("queue", compact=True)
_RATE = Binding.Group("traffic", compact=True)
_EVENT = Binding.Group("event", compact=True)
_OPERATION = Binding.Group("operation", compact=True)
_PACKET = Binding.Group("packet", compact=True)
_SECOND = Binding.Group("second", compact=True)


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


def _travel(
    unit: str, keys: tuple[str, str], signs: str, group: Binding.Group, back: str, on: str, show: bool = False
) -> list[BindingType]:
    """One unit back and one on."""
    return [
        _key(f"past.{unit}.back", keys[0], f"travel('{unit}', -1)", f"{unit} back", back,
             sign=signs[0], group=group, show=show),
        _key(f"past.{unit}.on", keys[1], f"travel('{unit}', 1)", f"{unit} on", on,
             sign=signs[1], group=group, show=show),
    ]  # fmt: skip


BINDINGS: list[BindingType] = [
    _key("view.rings", "1", "view('rings')", "rings", "The rings of every queue", group=_SCREENS),
    _key("view.packets", "2", "view('packets')", "packets", "What went through them", group=_SCREENS),
    _key("view.history", "3", "view('history')", "history", "What happened, and when", group=_SCREENS),
    _key("view.findings", "4", "view('findings')", "findings", "What is wrong, why, and what to do now",
         group=_SCREENS),
    _key("view.lesson", "5", "view('lesson')", "lessons", "Learn how rings work, on a pair of your own",
         group=_SCREENS),
    _key("view.peer", "6", "view('peer')", "other end", "Who is at the other end, and what was said",
         show=False),
    _key("pause", "space", "pause", "pause", "Hold the picture; the pair goes on"),
    _key("freeze", "z", "freeze", "freeze", "Stop the pair where it is, or let it run again"),
    _key("step", "s", "step", "step", "While frozen: one step, as chosen with S"),
    _key("step.how", "S", "open('stepping')", "how to step", "What a step is, and which side takes it",
         show=False),
    _key("breaks", "B", "open('breakpoints')", "breakpoints", "Where the pair stops by itself", show=False),
    _key("faults", "F", "open('faults')", "faults", "Make a side do something wrong, and stop it again",
         show=False),
    _key("probe", "P", "open('probe')", "probe", "Send one spare kick or call, and see what it proves",
         show=False),
    *_travel("event", ("comma", "full_stop"), ",.", _EVENT, "Look at the moment one event before",
             "Look at the moment one event later", show=True),
    _key("past.live", "0", "live", "back to live", "Leave the past: everything is shown as it is now"),
    *_travel("operation", ("less_than_sign", "greater_than_sign"), "<>", _OPERATION,
             "Back to the operation before, past its stores", "On to the next operation"),
    *_travel("packet", ("left_parenthesis", "right_parenthesis"), "()", _PACKET,
             "Back to where a buffer was used before", "On to where the next buffer is used"),
    *_travel("second", ("left_curly_bracket", "right_curly_bracket"), "{}", _SECOND,
             "One second back", "One second on"),
    _key("past.written", "W", "written", "who wrote it",
         "When the chosen slot was last written, and by whom; again: the time before", show=False),
    *(
        _key(f"life.{stage}", key, f"stage('{stage}')", words, f"To the moment when this buffer was {words}",
             show=False)
        for key, stage, words in (
            ("V", "available", "made available"), ("U", "used", "made used"), ("E", "collected", "collected")
        )
    ),
    _key("life", "L", "open('life')", "life", "The life of the chosen buffer: who did what, and when",
         show=False),
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
    _key("help", "question_mark", "open('help')", "help", "What the signs mean, and every key", sign="?"),
    _key("quit", "q", "quit", "quit", "Leave; the terminal is as it was"),
]  # fmt: skip
