"""One thing that the spec asks for, and one time that it was not done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Binds = Literal["driver", "device", "both"]
Strength = Literal["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "implied", "info"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the conformance table. `vantage` is what must be seen to judge it, as in `Finding`."""

    id: str
    section: str
    binds: Binds
    level: Strength
    statement: str
    vantage: str = "MH"

    @property
    def binding(self) -> bool:
        """Whether who departs from it is wrong, and not only wasteful."""
        return not self.level.startswith("SHOULD")


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that was not kept: by event `number` (0: it stood there when the audit began), ns `time`."""

    row: Row
    queue: int | None
    number: int
    time: int
    slot: int | None
    words: str
