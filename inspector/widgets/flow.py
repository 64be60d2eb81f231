"""The way of a buffer: available, seen, used, collected, with what waits at each gate.

The marks on a gate move by one for each buffer that passes it, so a queue that stands still looks it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.strip import Strip

from dataplane.records import Reason, Role
from dataplane.rules.finding import Finding, Level
from dataplane.snapshot import AnyQueue
from inspector.numbers import rate
from inspector.sanitise import clean
from inspector.widgets.pane import Ink, Pane, Piece, line, title
from inspector.widgets.queues import tick_queue
from inspector.widgets.ringtext import plural, waiting

if TYPE_CHECKING:
    from inspector.session import Meter

#: Stage, who writes it, and what a buffer waits for before the next one.
STAGES = (
    ("available", "driver", "available", "for the device"),
    ("seen", "device", "in_use", "held by the device"),
    ("used", "device", "used", "for the driver"),
    ("collected", "driver", "", ""),
)
_PERIOD = 4
_STEPS_A_SECOND = 12


def gate(width: int, waits: int, passed: int, buffers_per_s: float) -> tuple[str, str, str]:
    """A gate of `width` cells: the way in, the number that waits, the way out with its arrowhead."""
    number = f" {waits:,} "
    room = max(4, width - len(number))
    left = room // 2
    steps = passed // _slowness(buffers_per_s)
    track = "".join("▸" if (i - steps) % _PERIOD == 0 else "─" for i in range(room - 2)) + "─▸"
    return track[:left], number, track[left:]


def _slowness(buffers_per_s: float) -> int:
    """Buffers per step of the marks: a power of ten that keeps the movement slow enough to be seen."""
    if buffers_per_s <= _STEPS_A_SECOND:
        return 1
    return int(10 ** math.ceil(math.log10(buffers_per_s / _STEPS_A_SECOND)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the buffers are: in full, in fewer words for a narrow screen, and what colours it; before it the
    code of what is wrong."""

    full: str
    short: str
    meaning: str
    code: str = ""


def verdict(queue: AnyQueue, buffers_per_s: float, findings: Sequence[Finding] = ()) -> Verdict:
    """What is wrong with the queue; else where the buffers are, and whether they move."""
    for finding in findings:
        if finding.queue == queue.index and finding.level > Level.INFO:
            words = clean(finding.verdict)
            meaning = "fault" if finding.level == Level.FAULT else "flux"
            return Verdict(words, words.partition(": ")[0], meaning, clean(finding.code))
    for side, state in (("driver", queue.driver), ("device", queue.device)):
        if state is not None and state.broken:
            words = f"the {side} gave this queue up: {Reason(state.broken).name}"
            return Verdict(words, words, "fault")
    if not queue.enabled:
        return Verdict("this queue is not enabled", "this queue is not enabled", "muted")
    available, in_use, used = waiting(queue)
    full, short = [], []
    if queue.role == Role.RECEIVE:
        if available:
            full.append(f"{plural(available, 'empty buffer')} ready for the device to fill")
            short.append(f"{available:,} ready to be filled")
    elif available:
        full.append(f"{plural(available, 'buffer')} wait{'s' if available == 1 else ''} for the device")
        short.append(f"{available:,} wait for the device")
    if in_use:
        full.append(f"the device holds {in_use:,}")
        short.append(f"it holds {in_use:,}")
    if used and queue.driver is not None:
        full.append(f"{used:,} used, for the driver to collect")
        short.append(f"{used:,} to collect")
    elif used and not full:
        full.append("all is used; what of that the driver has collected, only it knows")
        short.append("all is used")
    where = "; ".join(full) or "nothing is outstanding"
    brief = " · ".join(short) or where
    if queue.exact:
        return Verdict(f"{where} · held still", f"{brief} · held still", "text")
    if buffers_per_s > 0:
        pace = rate(buffers_per_s)
        return Verdict(f"{where} · {pace} go round", f"{brief} · {pace}", "text")
    waits = in_use + (used if queue.driver is not None else 0)
    if queue.role != Role.RECEIVE:
        waits += available
    if waits:
        return Verdict(f"{where} · nothing moves{_sleepers(queue)}", f"{brief} · nothing moves", "flux")
    return Verdict(f"{where} · at rest{_sleepers(queue)}", f"{brief} · at rest", "muted")


def _sleepers(queue: AnyQueue) -> str:
    asleep = [
        side for side, s in (("driver", queue.driver), ("device", queue.device)) if s is not None and s.asleep
    ]
    if not asleep:
        return ""
    return f" · the {asleep[0]} sleeps" if len(asleep) == 1 else " · both sides sleep"


@dataclass(frozen=True, slots=True)
class _Stage:
    name: str
    number: str
    side: str

    @property
    def width(self) -> int:
        return max(len(self.name), len(self.number))


def lines(
    ink: Ink, queue: AnyQueue, meter: Meter | None, width: int, findings: Sequence[Finding] = ()
) -> list[Strip]:
    """Three strips: the stages and gates, their counts, the verdict."""
    counts = (queue.published, queue.seen, queue.used, queue.collected)
    least = ("", "", "", "≥" if queue.driver is None else "")  # a driver that is not ours tells nobody
    told = [f"{sign}{n:,}" for sign, n in zip(least, counts, strict=True)]
    stages = [_Stage(s[0], number, s[1]) for s, number in zip(STAGES, told, strict=True)]
    speed = meter.buffers_per_s if meter else 0.0
    room = width - 2 - sum(s.width for s in stages) - 2 * 3
    each, rest = divmod(max(room, 9), 3)
    base = ink("text")
    upper: list[Piece] = [(" ", base)]
    lower: list[Piece] = [(" ", base)]
    for i, stage in enumerate(stages):
        style = ink(stage.side)
        upper.append((stage.name, ink(stage.side, bold=True)))
        lower.append((stage.number.ljust(stage.width), style))
        if i == 3:
            break
        waits = waiting(queue)[i]
        span = each + (1 if i < rest else 0) + stage.width - len(stage.name)
        before, number, after = gate(span, waits, counts[i + 1], speed)
        track = ink(STAGES[i][2] if waits else "free")
        held = ink(STAGES[i][2], bold=True) if waits else ink("muted")
        upper += [(" ", base), (before, track), (number, held), (after, track), (" ", base)]
        hint = STAGES[i][3]
        gap = span + 2 - (stage.width - len(stage.name))
        fits = each >= 22
        lower.append((hint.center(gap) if fits else " " * gap, ink("muted")))
    return [
        line(width, upper, base),
        line(width, lower, base),
        line(width, _said(ink, verdict(queue, speed, findings), width), base),
    ]


def _said(ink: Ink, says: Verdict, width: int) -> list[Piece]:
    """The code on a ground of its own, the reason, and the key that tells more, as far as they fit."""
    if not says.code:
        words = says.full if len(says.full) + 2 <= width else says.short
        return [(" ", ink("text")), (words, ink(says.meaning))]
    code: Piece = (f" ✗ {says.code} ", ink(says.meaning, "selected", bold=True))
    room = width - len(code[0]) - 2
    words = says.full if len(says.full) <= room else says.short
    pieces: list[Piece] = [code, (" ", ink("text")), (words[:room], ink(says.meaning))]
    gap = room - len(words) - len(_MORE)
    return [*pieces, (" " * gap, ink("text")), (_MORE, ink("muted"))] if gap > 1 else pieces


_MORE = "4 tells why"


class Flow(Pane, can_focus=False):
    """The four counts of the selected queue and the gates between them."""

    def draw(self, width: int, height: int) -> list[Strip]:
        queue = tick_queue(self.tick, self.selected)
        if queue is None or self.tick is None:
            return []
        strips = lines(self.ink, queue, self.tick.meters.get(queue.index), width, self.tick.findings)
        if self.titled:
            muted = self.ink("muted", "panel")
            about: list[Piece] = [
                (f"of {clean(queue.name)} · buffers the ", muted),
                ("driver", self.ink("driver", "panel")),
                (" makes available, the ", muted),
                ("device", self.ink("device", "panel")),
                (" sees and uses, the ", muted),
                ("driver", self.ink("driver", "panel")),
                (" collects", muted),
            ]
            strips.insert(0, title(self.ink, width, "flow", about, False))
        return strips
