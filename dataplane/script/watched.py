"""A pair under the eyes of the doctor while a scenario is played, for what the scenario expects to be found.

What is stuck shows only with time, and a machine that stood still proves none: `run` lasts until the doctor
was shown as many seconds as it asks for.
"""

from __future__ import annotations

from dataplane.pair import Pair
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding

BETWEEN = 1 / 15  #: seconds between two looks
_MOST = 250_000_000  #: ns that one look proves, as the doctor counts
_LONGEST = 10  #: times as long as is asked for, and it ends all the same


class Watched:
    """The doctor of one pair that is played."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._doctor = pair, Doctor()
        self._last = 0  # ns since the epoch: the look before, while the pair runs
        self._shown = 0  # ns of running
        self._next = 0.0  # when to look again

    @property
    def found(self) -> tuple[Finding, ...]:
        """The findings of the newest look, the gravest first."""
        return self._doctor.findings

    def look(self) -> None:
        """Look now."""
        snapshot = self._pair.snapshot()
        self._doctor.look(snapshot)
        runs = snapshot.state == "running"
        if runs and self._last:
            self._shown += min(max(snapshot.time - self._last, 0), _MOST)
        self._last = snapshot.time if runs else 0

    def begin(self) -> None:
        """The pair is let go now."""
        self._last, self._shown, self._next = 0, 0, 0.0

    def beat(self, now: float) -> None:
        """Look if it is time to; `now` in seconds."""
        if now >= self._next:
            self.look()
            self._next = now + BETWEEN

    def left(self, seconds: float, lasted: float) -> float:
        """Seconds of `seconds` that were not shown yet, 0 where it `lasted` far too long already."""
        return seconds - self._shown / 1e9 if lasted < seconds * _LONGEST else 0.0
