"""The driver's and the device's area: values in memory beside what each side believes.

Split: the available ring (2.7.6) and the used ring (2.7.8). Packed: both event suppression structures
(2.8.14) and the positions, which exist only in the sides' private copies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.strip import Strip

from dataplane.layout import (
    AVAIL_F_NO_INTERRUPT,
    EVENT_DESC,
    EVENT_DISABLE,
    EVENT_ENABLE,
    EVENT_NAMES,
    USED_F_NO_NOTIFY,
)
from dataplane.records import Owner
from dataplane.snapshot import AnyQueue, PackedQueue, SplitQueue
from inspector.sanitise import clean
from inspector.theme import GLYPHS
from inspector.widgets import marking
from inspector.widgets.keys import key
from inspector.widgets.pane import Ink, Pane, Piece, line, title
from inspector.widgets.queues import tick_queue
from inspector.widgets.ringtext import OWNER_MEANINGS, label_sign, label_word

_NAME, _VALUE = 11, 7
SIDE_BY_SIDE = 68


@dataclass(frozen=True, slots=True)
class Fact:
    """One value: in memory, and as each side has it ("" where it keeps none).

    `writer` is the side that writes it; `agrees` whether its own copy equals memory (True where it
    keeps none); `ahead`: it differs by what the side has written and not made visible yet, as it should.
    """

    name: str
    memory: str
    driver: str
    device: str
    writer: str
    agrees: bool
    note: str = ""
    ahead: bool = False


def facts(queue: AnyQueue) -> tuple[list[Fact], list[Fact]]:
    """What the driver area and the device area say."""
    return _split_facts(queue) if isinstance(queue, SplitQueue) else _packed_facts(queue)


def _split_facts(queue: SplitQueue) -> tuple[list[Fact], list[Fact]]:
    driver, device = queue.driver, queue.device
    own_avail = driver.avail_idx if driver else None
    own_used = device.used_idx if device else None
    no_call = queue.avail_flags & AVAIL_F_NO_INTERRUPT
    no_kick = queue.used_flags & USED_F_NO_NOTIFY
    available = [
        Fact(
            "idx",
            str(queue.avail_idx),
            _text(own_avail),
            _text(device.last_avail if device else None),
            "driver",
            own_avail is None or own_avail == queue.avail_idx,
            ahead=driver is not None and own_avail == (queue.avail_idx + driver.added) & 0xFFFF,
        ),
        Fact("flags", str(queue.avail_flags), "", "", "driver", True, "NO_INTERRUPT" if no_call else ""),
        Fact(
            "used_event",
            str(queue.used_event),
            "",
            str(device.call.event) if device and device.call.answer != "none" else "",
            "driver",
            True,
        ),
    ]
    used = [
        Fact(
            "idx",
            str(queue.used_idx),
            _text(driver.last_used if driver else None),
            _text(own_used),
            "device",
            own_used is None or own_used == queue.used_idx,
            ahead=device is not None and own_used == (queue.used_idx + device.unflushed) & 0xFFFF,
        ),
        Fact("flags", str(queue.used_flags), "", "", "device", True, "NO_NOTIFY" if no_kick else ""),
        Fact(
            "avail_event",
            str(queue.avail_event),
            str(driver.kick.event) if driver and driver.kick.answer != "none" else "",
            "",
            "device",
            True,
        ),
    ]
    return available, used


def _packed_facts(queue: PackedQueue) -> tuple[list[Fact], list[Fact]]:
    def event(off_wrap: int, flags: int, writer: str) -> list[Fact]:
        word = EVENT_NAMES.get(flags & 3, "reserved")
        return [
            Fact("off", str(off_wrap & 0x7FFF), "", "", writer, True),
            Fact("wrap", str(off_wrap >> 15), "", "", writer, True),
            Fact("flags", str(flags), "", "", writer, True, word),
        ]

    driver, device = queue.driver, queue.device

    def places(name: str, d: tuple[int, int] | None, v: tuple[int, int] | None) -> list[Fact]:
        mine, theirs = (("", "") if at is None else (str(at[0]), str(at[1])) for at in (d, v))
        return [
            Fact(name, "", mine[0], theirs[0], "", True),
            Fact("  wrap", "", mine[1], theirs[1], "", True),
        ]

    first = event(queue.driver_off_wrap, queue.driver_flags, "driver") + places(
        "next avail",
        (driver.avail_idx, driver.avail_wrap) if driver else None,
        (device.last_avail, device.avail_wrap) if device else None,
    )
    second = event(queue.device_off_wrap, queue.device_flags, "device") + places(
        "next used",
        (driver.last_used, driver.used_wrap) if driver else None,
        (device.used_idx, device.used_wrap) if device else None,
    )
    return first, second


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


#: What a fact is called where it is marked: (area, field), by the side that writes it and its name.
_MARKED = {
    ("driver", "idx"): ("avail_idx", ""),
    ("driver", "flags"): ("avail_flags", ""),
    ("driver", "used_event"): ("used_event", ""),
    ("device", "idx"): ("used_idx", ""),
    ("device", "flags"): ("used_flags", ""),
    ("device", "avail_event"): ("avail_event", ""),
}
_MARKED_EVENT = {"off": "off_wrap", "wrap": "off_wrap", "flags": "flags"}


def marked(fact: Fact, packed: bool, marks: marking.Marks) -> bool:
    """Whether a fact's value in memory is one of the fields that light up."""
    if packed:
        field = _MARKED_EVENT.get(fact.name)
        return field is not None and (f"{fact.writer}_event", 0, field) in marks
    known = _MARKED.get((fact.writer, fact.name))
    return known is not None and (known[0], 0, known[1]) in marks


def block(
    ink: Ink,
    facts: list[Fact],
    exact: bool,
    width: int,
    packed: bool = False,
    marks: marking.Marks = marking.NONE,
) -> list[Strip]:
    """The values of one area: a line of sides, and a line for each fact."""
    muted = ink("muted")
    head: list[Piece] = [
        (f" {'':<{_NAME}}{'memory':>{_VALUE}}", muted),
        (f"{'driver':>{_VALUE}}", ink("driver")),
        (f"{'device':>{_VALUE}}", ink("device")),
    ]
    strips = [line(width, head, muted)]
    mark = "≠" if exact else "~"
    for fact in facts:
        pieces: list[Piece] = [
            (f" {fact.name:<{_NAME}}", muted),
            *marking.cell(
                ink, f"{fact.memory:>{_VALUE}}", fact.writer or "text", "surface", marked(fact, packed, marks)
            ),
        ]
        for side, value in (("driver", fact.driver), ("device", fact.device)):
            if fact.writer == side and not fact.agrees:
                pieces.append(
                    (f"{mark + value:>{_VALUE}}", ink("fault" if exact and not fact.ahead else "flux"))
                )
            elif value or not fact.note:
                pieces.append((f"{value:>{_VALUE}}", ink(side if fact.writer == side else "text")))
        if fact.note:
            pieces.append((f" {fact.note}", ink("text")))
        strips.append(line(width, pieces, muted))
    return strips


def unshown(index: int, own: int | None, size: int) -> int:
    """Entries that a side has written beyond the index in memory, by its own copy of it; 0 if not known."""
    ahead = (own - index) & 0xFFFF if own is not None else 0
    return ahead if ahead <= size else 0


def ahead_of(
    index: int, size: int, entries: Iterable[int], shown: int, written: int = 0, ever: int = 1 << 16
) -> int:
    """How many entries from `index` on are shown too, as far as a mark stands: written, not visible yet.

    The last `shown` entries before `index` hold what is outstanding, and `written` stand beyond it; the next
    ones may just be written. `ever` entries were visible so far: what no lap has come to is no older one, and
    of the others the nearer end tells.
    """
    room = size - shown
    nearer = max((room + written + 1) // 2, size - ever)
    ahead = ((entry - index) % size for entry in entries)
    return max((far + 1 for far in ahead if far < min(room, nearer)), default=0)


def _available(queue: SplitQueue) -> tuple[int, int]:
    """Buffers that the index in memory shows, and entries written beyond it.

    A side that rests right behind its store has not counted yet what everybody can see already.
    """
    driver = queue.driver
    if driver is None or not queue.exact:
        return queue.published, 0
    beyond = unshown(queue.avail_idx, driver.avail_idx, queue.size)
    return driver.published + driver.added - beyond, beyond


def _used(queue: SplitQueue) -> tuple[int, int]:
    """The same of used buffers."""
    device = queue.device
    if device is None or not queue.exact:
        return queue.used, 0
    beyond = unshown(queue.used_idx, device.used_idx, queue.size)
    return device.used + device.unflushed - beyond, beyond


def available_rows(
    ink: Ink,
    queue: SplitQueue,
    start: int,
    count: int,
    width: int,
    marks: marking.Marks = marking.NONE,
) -> list[Strip]:
    """Entries of the available ring, the newest first from the `start`th on."""
    lit = marking.fields(marks, "avail_ring")
    shown, beyond = _available(queue)
    start -= ahead_of(queue.avail_idx, queue.size, lit, shown - queue.collected, beyond, shown)
    strips = [line(width, [(f" {'entry':>6}      head  row", ink("muted"))], ink("muted"))]
    size = len(queue.avail_ring)
    stages = (
        (queue.collected, Owner.FREE),
        (queue.used, Owner.USED),
        (queue.seen, Owner.IN_USE),
        (shown, Owner.AVAILABLE),
    )
    for back in range(start, min(start + count - 1, size)):
        slot = (queue.avail_idx - 1 - back) % queue.size
        buffer = shown - 1 - back
        owner = next((o for limit, o in stages if buffer < limit), Owner.FREE)
        label = int(queue.avail_label[slot])
        past = owner == Owner.FREE and back >= 0
        pieces: list[Piece] = [
            (f" {slot:>6} ", ink("muted")),
            (f"{GLYPHS[owner]} ", ink(OWNER_MEANINGS[owner])),
            ("→", ink("muted" if past else "driver")),
            *marking.cell(
                ink,
                f" {int(queue.avail_ring[slot]):>5}",
                "muted" if past else "driver",
                "surface",
                slot in lit,
            ),
            (_row_word(label, back, width, 28), ink(_trust(label))),
        ]
        strips.append(line(width, pieces, ink("text")))
    return strips


def _row_word(label: int, back: int, width: int, words_from: int) -> str:
    """How far an entry can be trusted; of one that the index has not come to, that it is not visible yet."""
    if back < 0:
        return "  not yet" if width >= words_from else " ·"
    return f"  {label_word(label)}" if width >= words_from else f" {label_sign(label)}"


def used_rows(
    ink: Ink,
    queue: SplitQueue,
    start: int,
    count: int,
    width: int,
    marks: marking.Marks = marking.NONE,
) -> list[Strip]:
    """Entries of the used ring, the newest first from the `start`th on."""
    lit = marking.fields(marks, "used_ring")
    shown, beyond = _used(queue)
    waits = shown - queue.collected
    start -= ahead_of(queue.used_idx, queue.size, lit, waits, beyond, shown)
    strips = [line(width, [(f" {'entry':>6}        id     len  row", ink("muted"))], ink("muted"))]
    size = len(queue.used_ring)
    for back in range(start, min(start + count - 1, size)):
        slot = (queue.used_idx - 1 - back) % queue.size
        written, length = queue.used_ring[slot].tolist()
        label = int(queue.used_label[slot])
        owner = Owner.USED if 0 <= back < waits else Owner.FREE
        fresh = "device" if owner == Owner.USED or back < 0 else "muted"
        names = lit.get(slot, frozenset())
        pieces: list[Piece] = [
            (f" {slot:>6} ", ink("muted")),
            (f"{GLYPHS[owner]} ", ink(OWNER_MEANINGS[owner])),
            ("→", ink(fresh)),
            *marking.cell(ink, f" {written:>5}", fresh, "surface", "id" in names),
            *marking.cell(ink, f" {length:>7}", fresh, "surface", "len" in names),
            (_row_word(label, back, width, 34), ink(_trust(label))),
        ]
        strips.append(line(width, pieces, ink("text")))
    return strips


def _trust(label: int) -> str:
    return "muted" if label_sign(label) == " " else "flux"


def event_words(off_wrap: int, flags: int, what: str) -> str:
    """What an event suppression structure asks for, in words (2.8.10)."""
    kind = flags & 3
    if kind == EVENT_ENABLE:
        return f"every {what}"
    if kind == EVENT_DISABLE:
        return f"no {what}"
    if kind == EVENT_DESC:
        return f"a {what} past slot {off_wrap & 0x7FFF}, wrap {off_wrap >> 15}"
    return "reserved flags"


class Areas(Pane):
    """The available and used ring, or the event structures, of the selected queue."""

    HELP = (
        "Values in memory, and the copy each side keeps. `≠`: a side's own copy differs from what stands in "
        "memory; `~`: it differs, and may only have moved while it was read."
    )
    BINDING_GROUP_TITLE = "Available and used"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("areas.up", "up,k", "scroll_by(-1)", "newer", "Towards the newest entry"),
        key("areas.down", "down,j", "scroll_by(1)", "older", "Towards older entries"),
        key("areas.pageup", "pageup", "scroll_by(-10)", "page up", "Ten entries newer"),
        key("areas.pagedown", "pagedown", "scroll_by(10)", "page down", "Ten entries older"),
        key("areas.newest", "g,home", "newest", "newest", "Back to the newest entry"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._back = 0
        self.marks: marking.Marks = marking.NONE

    def light(self, marks: marking.Marks) -> None:
        """Light up these fields, and turn to the newest entries."""
        self.marks = marks
        if marks:
            self._back = 0
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        queue = tick_queue(self.tick, self.selected)
        if queue is None:
            return []
        if width >= SIDE_BY_SIDE:
            half = width // 2
            left = self._area(queue, True, half - 1, height)
            right = self._area(queue, False, width - half, height)
            gap = [line(1, [], self.ink("text", "background"))]
            tall = max(len(left), len(right))
            left += [line(half - 1, [], self.ink("text"))] * (tall - len(left))
            right += [line(width - half, [], self.ink("text"))] * (tall - len(right))
            return [Strip.join([a, gap[0], b]) for a, b in zip(left, right, strict=True)]
        upper = height // 2
        first = self._area(queue, True, width, upper)
        first += [line(width, [], self.ink("text"))] * (upper - len(first))
        return first + self._area(queue, False, width, height - upper)

    def _area(self, queue: AnyQueue, driver: bool, width: int, height: int) -> list[Strip]:
        ink = self.ink
        packed = isinstance(queue, PackedQueue)
        side = "driver" if driver else "device"
        name = f"{side} event structure" if packed else "available ring" if driver else "used ring"
        about: list[Piece] = [(side, ink(side, "panel")), (" writes", ink("muted", "panel"))]
        if packed:
            about = [(clean(queue.name), ink("muted", "panel"))]
        strips = [title(ink, width, name, about, self.has_focus and driver)]
        strips += block(ink, facts(queue)[0 if driver else 1], queue.exact, width, packed, self.marks)
        room = height - len(strips)
        if isinstance(queue, SplitQueue):
            if room >= 2 and len(queue.avail_ring):
                rows = available_rows if driver else used_rows
                strips += rows(ink, queue, self._back, room, width, self.marks)
        elif room >= 1:
            words = (
                event_words(queue.driver_off_wrap, queue.driver_flags, "call")
                if driver
                else event_words(queue.device_off_wrap, queue.device_flags, "kick")
            )
            if len(words) + 11 <= width:
                strips.append(line(width, [(f" asks for {words}", ink(side))], ink("text")))
        return strips[:height]

    def action_scroll_by(self, by: int) -> None:
        queue = tick_queue(self.tick, self.selected)
        if isinstance(queue, SplitQueue):
            self._back = max(0, min(self._back + by, queue.size - 1))
            self.redraw()

    def action_newest(self) -> None:
        self._back = 0
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_scroll_by(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_scroll_by(3)
