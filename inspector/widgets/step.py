"""The last step, or the event of the past that is looked at: who, what, why, and the bytes old and new."""

from __future__ import annotations

import re

from textual.strip import Strip

from dataplane.explain import Explanation
from inspector.stopping.stepped import Told
from inspector.widgets.filling import parts
from inspector.widgets.marking import MARK
from inspector.widgets.pane import Ink, Pane, Piece, line, title

_END = re.compile(r", |\. |: it |; it ")  #: what follows is no more than detail


def said_bytes(explanation: Explanation) -> str:
    """The bytes of each field that changed, as they stood in memory and as they stand now."""
    changed = [each for each in explanation.changes if each.changed] or list(explanation.changes)
    return " · ".join(
        f"{each.place.field or each.place.area} {each.old_bytes.hex(' ')} → {each.new_bytes.hex(' ')}"
        for each in changed
    )


def reason(explanation: Explanation) -> str:
    """Why, and the section that says so."""
    return f"{explanation.why} (VIRTIO {explanation.section})" if explanation.section else explanation.why


def _wrapped(ink: Ink, label: str, text: str, width: int, most: int, meaning: str) -> list[Strip]:
    """Lines of words behind a label, the following ones under the words."""
    if not text or most <= 0:
        return []
    base = ink("text")
    indent = len(label) + 1
    strips = []
    for i, part in enumerate(parts(text, width - indent, most)):
        head = (f" {label}", ink("muted")) if i == 0 else (" " * indent, base)
        strips.append(line(width, [head, (part, ink(meaning))], base))
    return strips


def _who(ink: Ink, explanation: Explanation, width: int, most: int) -> list[Strip]:
    """Who did what, over as many lines as it needs."""
    head = f"{explanation.who} {explanation.queue}".rstrip()
    base = ink("text")
    strips = []
    for i, part in enumerate(parts(explanation.what, width - len(head) - 3, most)):
        lead: Piece = (
            (f" {head}  ", ink(explanation.who, bold=True)) if i == 0 else (" " * (len(head) + 3), base)
        )
        strips.append(line(width, [lead, (part, ink("strong", bold=True))], base))
    return strips


def lines(ink: Ink, told: Told, width: int, height: int) -> list[Strip]:
    """What happened in at most `height` lines: what, the bytes, why, the barrier, and what came with it."""
    main = told.main
    if main is None:
        return [line(width, [(f" {told.why or 'nothing happened'}", ink("muted"))], ink("text"))][:height]
    strips = _who(ink, main, width, 2)
    tight = height < 6
    if not tight and main.changes:
        label = f"{MARK} 0x{main.address:x}  "
        strips += _wrapped(ink, label, said_bytes(main), width, 1, "text")
    if tight:
        return strips + _tight(ink, main, width, height - len(strips))
    strips += _wrapped(ink, "why  ", reason(main), width, min(3, height - len(strips)), "text")
    strips += _wrapped(ink, "barrier  ", main.barrier, width, min(2, height - len(strips)), "muted")
    room = height - len(strips)
    rest = [*told.passed, *told.stores]
    if rest and room > 0:
        strips += _rest(ink, told, rest, width, room)
    if told.why and len(strips) < height:
        strips.append(line(width, [(f" stopped: {told.why}", ink("flux"))], ink("text")))
    return strips[:height]


def _tight(ink: Ink, main: Explanation, width: int, room: int) -> list[Strip]:
    """Why and which barrier where there is little room: whole sentences of the one, the gist of the other."""
    barrier = _wrapped(ink, "barrier  ", _END.split(main.barrier, maxsplit=1)[0], width, 1, "muted")
    left = max(room - len(barrier), 1)
    sentences = main.why.split(". ")
    strips: list[Strip] = []
    for count in range(len(sentences), 0, -1):
        text = ". ".join(sentences[:count])
        text = f"{text.rstrip('.')} (VIRTIO {main.section})" if main.section else text
        strips = _wrapped(ink, "why  ", text, width, 9, "text")
        if len(strips) <= left:
            break
    return (strips[:left] + barrier)[:room]


def _rest(ink: Ink, told: Told, rest: list[Explanation], width: int, room: int) -> list[Strip]:
    """What came with it: the newest first, one line each, and how many more there are."""
    base, muted = ink("text"), ink("muted")
    strips = []
    shown = rest[::-1][: room if len(rest) <= room and told.total <= len(told.events) else max(room - 1, 0)]
    for each in shown:
        text = f"{each.who} {each.queue}  {each.what}"
        strips.append(line(width, [(" with it  ", muted), (parts(text, width - 11, 1)[0], base)], base))
    left = told.total - 1 - len(shown)
    if left > 0 and len(strips) < room:
        more = f" and {left:,} more event{'s' if left > 1 else ''} in this step; 3 lists them"
        strips.append(line(width, [(more, muted)], base))
    return strips


class StepPanel(Pane, can_focus=False):
    """What the last step did."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.told: Told | None = None

    def draw(self, width: int, height: int) -> list[Strip]:
        if self.told is None:
            return []
        strips: list[Strip] = []
        if self.titled:
            about: list[Piece] = [(self.told.heading, self.ink("muted", "panel"))]
            strips.append(title(self.ink, width, "what happened", about, False))
        return strips + lines(self.ink, self.told, width, height - len(strips))
