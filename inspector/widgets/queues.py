"""One row per queue: how full it is, how fast it moves, how often each side is notified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from dataplane.records import Owner, Reason, Role
from dataplane.rules.finding import Finding, Level
from dataplane.snapshot import AnyQueue, Notify, Outside
from inspector.numbers import rate
from inspector.sanitise import clean
from inspector.theme import GLYPHS
from inspector.widgets.keys import key
from inspector.widgets.pane import Ink, Pane, Piece, line, title
from inspector.widgets.ringtext import OWNER_MEANINGS, occupancy, shares, spark, waiting

if TYPE_CHECKING:
    from inspector.session import Meter, Tick

Cell = tuple[Piece, ...]
ROLE_WORDS = {
    Role.RECEIVE: "receive",
    Role.TRANSMIT: "transmit",
    Role.CONTROL: "control",
    Role.REQUEST: "requests",
}
#: The order along the bar, as buffers travel: what the driver takes back first stands first.
_BAR = (3, 2, 1, 0)
_BAR_MIN, _BAR_MAX = 10, 64
_LONG_AT = 116  #: columns from which a code is told in full


def wrong_with(queue: AnyQueue, findings: Sequence[Finding]) -> Finding | None:
    """The gravest finding of a queue that is more than worth knowing."""
    return next((one for one in findings if one.queue == queue.index and one.level > Level.INFO), None)


def state_word(
    queue: AnyQueue, buffers_per_s: float, findings: Sequence[Finding] = (), long: bool = False
) -> tuple[str, str]:
    """The state of a queue in a word, and the meaning that colours it; `long`: the code of what is wrong."""
    wrong = wrong_with(queue, findings)
    if wrong is not None:
        grave = wrong.level == Level.FAULT
        words = clean(wrong.code) if long else "stuck" if grave else "see 4"
        return f"✗ {words}", "fault" if grave else "flux"
    for side in (queue.driver, queue.device):
        if side is not None and side.broken:
            return f"broken: {Reason(side.broken).name}", "fault"
    if not queue.enabled:
        return "off", "muted"
    if queue.exact:
        return "held", "past"
    if buffers_per_s > 0:
        return "moving", "used"
    available, in_use, used = waiting(queue)
    if used:
        return "to collect", "driver"
    if queue.role == Role.RECEIVE and available + in_use:
        return "ready", "text"
    if available + in_use:
        return "waiting", "flux"
    return "idle", "muted"


@dataclass(frozen=True, slots=True)
class _Column:
    cells: tuple[Cell, ...]
    right: bool
    keep: int  #: columns with the lowest go first where there is no room

    @property
    def width(self) -> int:
        return max((sum(len(text) for text, _ in cell) for cell in self.cells), default=0)


def rows(
    ink: Ink,
    queues: Sequence[AnyQueue],
    meters: dict[int, Meter],
    selected: int,
    width: int,
    findings: Sequence[Finding] = (),
) -> list[Strip]:
    """One strip per queue; columns are dropped where `width` is short, values never cut.

    A queue that something is wrong with says so whatever else goes.
    """
    grounds = ["selected" if q.index == selected else "surface" for q in queues]
    columns = _columns(ink, queues, meters, grounds, findings, width >= _LONG_AT)
    room = width - 3 - _BAR_MIN
    while sum(c.width + 2 for c in columns) > room and len(columns) > 2:
        columns.remove(min(columns, key=lambda c: c.keep))
    bar_width = min(_BAR_MAX, width - 3 - sum(c.width + 2 for c in columns))
    strips = []
    for i, queue in enumerate(queues):
        ground = grounds[i]
        chosen = queue.index == selected
        pieces: list[Piece] = [("▌" if chosen else " ", ink("accent", ground))]
        for n, column in enumerate(columns):
            cell = column.cells[i]
            pad = " " * (column.width - sum(len(text) for text, _ in cell))
            base = ink("text", ground)
            pieces += [(pad, base), *cell] if column.right else [*cell, (pad, base)]
            pieces.append(("  ", base))
            if n == 0:
                pieces += _bar(ink, queue, bar_width, ground)
                pieces.append(("  ", base))
        strips.append(line(width, pieces, ink("text", ground)))
    return strips


def _bar(ink: Ink, queue: AnyQueue, width: int, ground: str) -> list[Piece]:
    slots = occupancy(queue)
    given = shares([slots[o] for o in _BAR], width)
    return [
        (GLYPHS[Owner(o)] * cells, ink(OWNER_MEANINGS[o], ground))
        for o, cells in zip(_BAR, given, strict=True)
        if cells
    ]


def _columns(
    ink: Ink,
    queues: Sequence[AnyQueue],
    meters: dict[int, Meter],
    grounds: Sequence[str],
    findings: Sequence[Finding],
    long: bool,
) -> list[_Column]:
    name: list[Cell] = []
    role: list[Cell] = []
    fill: list[Cell] = []
    speeds: list[Cell] = []
    history: list[Cell] = []
    kick: list[Cell] = []
    call: list[Cell] = []
    state: list[Cell] = []
    for queue, ground in zip(queues, grounds, strict=True):
        meter = meters.get(queue.index)
        speed = meter.buffers_per_s if meter else 0.0
        muted, text = ink("muted", ground), ink("text", ground)
        name.append(((f"{queue.index} ", muted), (clean(queue.name), ink("strong", ground))))
        role.append(((ROLE_WORDS[queue.role], muted),))
        busy = queue.size - occupancy(queue)[0]
        fill.append(((f"{busy:,}", text), (f"/{queue.size}", muted)))
        speeds.append(((rate(speed), text if speed else muted),))
        history.append(((spark(meter.history if meter else (), 12), ink("accent", ground)),))
        driver, device = queue.driver, queue.device
        out = queue.outside or Outside()
        kicks, calls = (out.kicks, out.kicks_pending), (out.calls, out.calls_pending)
        kick.append(_notifications(ink, "kick", driver.kick if driver else None, "driver", ground, kicks))
        call.append(_notifications(ink, "call", device.call if device else None, "device", ground, calls))
        word, meaning = state_word(queue, speed, findings, long)
        state.append(((word, ink(meaning, ground, bold=wrong_with(queue, findings) is not None)),))
    return [
        _Column(tuple(name), False, 9),
        _Column(tuple(role), False, 1),
        _Column(tuple(fill), True, 8),
        _Column(tuple(speeds), True, 7),
        _Column(tuple(history), False, 2),
        _Column(tuple(kick), False, 4),
        _Column(tuple(call), False, 3),
        _Column(tuple(state), False, 10 if any(wrong_with(q, findings) for q in queues) else 6),
    ]


def _notifications(
    ink: Ink, word: str, notify: Notify | None, side: str, ground: str, outside: tuple[int | None, int | None]
) -> Cell:
    """`outside`: those that passed and those that stand in the eventfd, of a side that is not ours."""
    muted = ink("muted", ground)
    if notify is None and outside != (None, None):
        passed, pending = outside
        waits = f" {pending:,} waiting" if pending else ""
        return (
            (f"{word} ", muted),
            ("?" if passed is None else f"{passed:,}", ink(side, ground)),
            (waits, muted),
        )
    if notify is None or not notify.counted:
        return ((f"{word} ?", muted),)
    quiet = f" +{notify.quiet:,} quiet" if notify.quiet else ""
    return ((f"{word} ", muted), (f"{notify.sent:,}", ink(side, ground)), (quiet, muted))


class Queues(Pane):
    """The queues of a device; a click or the arrows choose one."""

    HELP = "One row per virtqueue: fill, buffers a second, kicks and calls (sent, and not wanted), state."

    BINDING_GROUP_TITLE = "Queues"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("queues.up", "up,k", "move(-1)", "queue above", "Choose the queue above"),
        key("queues.down", "down,j", "move(1)", "queue below", "Choose the queue below"),
    ]

    class Chosen(Message):
        """The queue with this index was chosen."""

        def __init__(self, queue: int) -> None:
            super().__init__()
            self.queue = queue

    def draw(self, width: int, height: int) -> list[Strip]:
        if self.tick is None:
            return []
        snapshot = self.tick.snapshot
        room = height - self.titled
        start = self._first(room)
        shown = snapshot.queues[start : start + room]
        strips = rows(self.ink, shown, dict(self.tick.meters), self.selected, width, self.tick.findings)
        if self.titled:
            hidden = len(snapshot.queues) - len(shown)
            about = [(f"{len(snapshot.queues)} of {snapshot.identity.name}", self.ink("muted", "panel"))]
            if hidden:
                about.append((f" · {hidden} more with [ and ]", self.ink("muted", "panel")))
                out = [q for q in snapshot.queues if q not in shown and wrong_with(q, self.tick.findings)]
                if out:
                    about.append((f" · ✗ {len(out)} of them stuck", self.ink("fault", "panel")))
            strips.insert(0, title(self.ink, width, "queues", about, self.has_focus))
        return strips

    def _first(self, room: int) -> int:
        """The first queue shown: the chosen one is always in sight."""
        if self.tick is None:
            return 0
        indices = [q.index for q in self.tick.snapshot.queues]
        at = indices.index(self.selected) if self.selected in indices else 0
        return max(0, min(at - room // 2, len(indices) - room))

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.titled
        if self.tick is None or row < 0:
            return
        queues = self.tick.snapshot.queues
        at = self._first(self.size.height - self.titled) + row
        if at < len(queues):
            self.post_message(self.Chosen(queues[at].index))

    def action_move(self, by: int) -> None:
        """Choose the queue `by` rows further, round the end."""
        if self.tick is None or not self.tick.snapshot.queues:
            return
        indices = [q.index for q in self.tick.snapshot.queues]
        at = indices.index(self.selected) if self.selected in indices else 0
        self.post_message(self.Chosen(indices[(at + by) % len(indices)]))


def tick_queue(tick: Tick | None, index: int) -> AnyQueue | None:
    """The queue with this index, None where there is none (yet)."""
    if tick is None:
        return None
    return next((q for q in tick.snapshot.queues if q.index == index), None)
