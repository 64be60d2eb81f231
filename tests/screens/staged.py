"""A real pair at rest behind a clock of its own: event n happened 5 n milliseconds after the start.

Its two sides are stepped by hand, so that every run ends in the same rings, events and times.
"""

from __future__ import annotations

from typing import Any

from capture.play import load_mix
from dataplane.pair import Pair, PlayFrame
from dataplane.source import TraceLevel
from screenshots.posed import Even, Posed
from tests.fakes import EPOCH

PACE = 5_000_000  #: ns from one event to the next


class Staged(Posed):
    """See the module. `state`: what it says of itself, so that screens may be seen as of a running pair."""

    def __init__(self, trace: TraceLevel = "stores", *, state: str | None = None, **options: Any) -> None:
        options.setdefault("queue_size", 16)
        pair = Pair(frozen=True, trace=trace, **options)
        pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
        pair.set_rate(1e9)
        pair.start()
        super().__init__(pair, Even(EPOCH, PACE), state)

    def go(self, rounds: int = 1, unit: Any = "operation") -> None:
        """So many times a step of the driver and one of the device."""
        for _ in range(rounds):
            self.advance(1, 1, unit=unit)
