"""How long buffers wait at each gate: a line of numbers and a histogram each, one buffer marked in it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.geometry import Region
from textual.strip import Strip

from dataplane.latency import GATES, Latency, edges
from inspector.latencies import Waits, percent_below, scale
from inspector.numbers import count, duration
from inspector.sanitise import clean
from inspector.widgets.pane import Inked, Piece, title
from inspector.widgets.pane import line as strip

_LEVELS = " ▁▂▃▄▅▆▇█"
_NAME = 18
_NUMBER = 9
#: Places on an axis: powers of a thousand go before powers of ten, these before what lies between.
_AXIS = tuple(
    (rank, value, duration(value))
    for power in range(12)
    for rank, value in ((power % 3 != 0, 10**power), (2, 2 * 10**power), (2, 5 * 10**power))
)
_WIDEST = 96  #: cells of a histogram beside its numbers
_CHART, _HIGHEST = 7, 18  #: lines from which one is drawn large, and at most


def bars(latency: Latency, cuts: list[int]) -> str:
    """A histogram in one line: the fuller a bin the higher, and a bin with any buffer is never blank."""
    bins = latency.histogram(cuts)
    most = max(bins, default=0)
    if not most:
        return " " * len(bins)
    return "".join(_LEVELS[max(round(n / most * 8), 1)] if n else " " for n in bins)


def axis(least: int, most: int, cuts: list[int], zero: bool = False) -> str:
    """What the bins stand for: round times under them, where there is room.

    zero: the first bin also holds those that did not wait at all.
    """
    width = len(cuts) + 1
    cells = list("╵0") + [" "] * (width - 2) if zero else [" "] * width
    for _, value, text in sorted(_AXIS):
        label = f"╵{text}"
        at = sum(cut <= value for cut in cuts)
        if least <= value <= most and at + len(label) <= width:
            around = cells[max(at - 2, 0) : at + len(label) + 2]
            if "".join(around).isspace():
                cells[at : at + len(label)] = label
    return "".join(cells)


def chart(bins: list[int], rows: int) -> list[str]:
    """A histogram `rows` lines high, the uppermost first; a bin with any buffer is never blank."""
    most = max(bins, default=0) or 1
    heights = [max(round(n / most * rows * 8), 1) if n else 0 for n in bins]
    return [
        "".join(_LEVELS[min(max(height - 8 * row, 0), 8)] for height in heights)
        for row in range(rows - 1, -1, -1)
    ]


class WaitTable(Inked):
    """A line for each gate and, with the room, the histogram of one; `mine` marks a buffer, by gate name."""

    DEFAULT_CSS = "WaitTable { width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.waits: Waits | None = None
        self.mine: Mapping[str, int] = {}
        self.name_of_queue = ""
        self.past = False
        self.gate = GATES[-1].name

    def put(self, waits: Waits | None, mine: Mapping[str, int], queue: str, past: bool) -> None:
        self.waits, self.mine, self.name_of_queue, self.past = waits, mine, queue, past
        self.refresh()

    def choose(self, gate: str) -> None:
        """Draw the histogram of this gate."""
        if gate != self.gate:
            self.gate = gate
            self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        made = self._lines(*self.size)
        blank = Strip.blank(self.size.width, self.ink("text"))
        made += [blank] * (crop.bottom - len(made))
        return self.fitted(made[crop.y : crop.bottom], crop)

    def _lines(self, width: int, height: int) -> list[Strip]:
        ink = self.ink
        heads = ("buffers", "p50", "p99", "max", "this one")
        text = " " * (2 + _NAME) + "".join(head.rjust(_NUMBER + 1) for head in heads)
        lines = [
            title(ink, width, "latency", self._about(), False),
            strip(width, [(text, ink("muted"))], ink("text")),
        ]
        gates = self.waits.gates if self.waits is not None else {}
        room = min(width - len(text) - 2, _WIDEST)
        ends = scale(gates)
        cuts = edges(*ends, max(room, 8))
        lines += [self._gate(gate.name, gates.get(gate.name), cuts, room, width) for gate in GATES]
        if room >= 8 and gates and height > len(lines):
            under = " " * (len(text) + 2) + axis(
                *ends, cuts, any(not one.values[0] for one in gates.values() if one.count)
            )
            lines.append(strip(width, [(under, ink("muted"))], ink("text")))
        found = gates.get(self.gate)
        if found is not None and found.count and height - len(lines) >= _CHART:
            lines += self._chart(found, width, min(height - len(lines), _HIGHEST))
        return lines

    def _gate(self, name: str, found: Latency | None, cuts: list[int], room: int, width: int) -> Strip:
        ink = self.ink
        chosen = name == self.gate
        pieces: list[Piece] = [
            ("▸ " if chosen else "  ", ink("accent")),
            (f"{name:<{_NAME}}", ink("text", bold=chosen)),
        ]
        if found is None or not found.count:
            return strip(width, [*pieces, ("none so far".rjust(_NUMBER + 3), ink("muted"))], ink("text"))
        pieces.append((count(found.count).rjust(_NUMBER + 1), ink("muted")))
        for value in (found.p50, found.p99, found.max):
            pieces.append((duration(value).rjust(_NUMBER + 1), ink("text")))
        own = self.mine.get(name)
        pieces.append((("" if own is None else duration(own)).rjust(_NUMBER + 1), ink("accent", bold=True)))
        if room >= 8:
            pieces.append(("  ", ink("text")))
            pieces += self._marked(bars(found, cuts), cuts, own)
        return strip(width, pieces, ink("text"))

    def _marked(self, text: str, cuts: list[int], own: int | None, blank: str = "▏") -> list[Piece]:
        """A line of a histogram with the bin of the one buffer in another colour."""
        ink = self.ink
        style = ink("in_use")
        if own is None:
            return [(text, style)]
        at = sum(cut <= own for cut in cuts)
        mark = text[at] if text[at] != " " else blank
        return [(text[:at], style), (mark, ink("accent", "selected", bold=True)), (text[at + 1 :], style)]

    def _chart(self, found: Latency, width: int, height: int) -> list[Strip]:
        """The histogram of the chosen gate over the whole width, on an axis of its own."""
        ink = self.ink
        ends = scale({self.gate: found})
        room = width - _NUMBER - 3
        cuts = edges(*ends, room)
        bins = found.histogram(cuts)
        own, rows = self.mine.get(self.gate), height - 3
        about = f"{self.gate}, {count(found.count)} buffers by time" + (
            ", this one marked" if own is not None else ""
        )
        lines = [
            strip(width, [], ink("text")),
            strip(width, [(f"  {about}", ink("text", bold=True))], ink("text")),
        ]
        for at, text in enumerate(chart(bins, rows)):
            label = count(max(bins)) if not at else ""
            pieces: list[Piece] = [(label.rjust(_NUMBER) + " ", ink("muted"))]
            lines.append(strip(width, [*pieces, *self._marked(text, cuts, own, " ")], ink("text")))
        under = " " * (_NUMBER + 1) + axis(*ends, cuts, not found.values[0])
        return [*lines, strip(width, [(under, ink("muted"))], ink("text"))]

    def _about(self) -> list[Piece]:
        ink, waits = self.ink, self.waits
        muted = ink("muted", "panel")
        if waits is None:
            return [("counting", muted)]
        when = "up to the moment shown" if self.past else "so far"
        said = [(f"of {clean(self.name_of_queue)}", ink("text", "panel")), (f" · {when}", muted)]
        said.append((f" · events {waits.first:,} to {waits.last:,}", muted))
        whole, own = waits.gates.get(GATES[-1].name), self.mine.get(GATES[-1].name)
        if whole is not None and own is not None and whole.count > 1:
            share = percent_below(whole, own)
            said.append((f" · {share:.0%} went round as fast as this one or faster", muted))
        return said
