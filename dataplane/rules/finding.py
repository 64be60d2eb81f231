"""What a rule found: a stable code, where and since when, and the numbers that show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

#: Nothing else explains what is seen; nothing explains it better; it is one of several.
Confidence = Literal["certain", "likely", "possible"]


class Level(IntEnum):
    """How much a finding matters."""

    INFO = 0  #: worth knowing, nothing is wrong
    WARNING = 1  #: costs something, or will
    FAULT = 2  #: the queue does not do what it is for


@dataclass(frozen=True, slots=True)
class Evidence:
    """A number or word that a finding rests on, under the spec's name; `slot`: where, if in a row."""

    name: str
    value: int | str
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a queue, or with the device (`queue` None).

    `since` is ns since the epoch. `vantage` is what it was seen by: M memory, H history, K notifications,
    S private state, X status and configuration. `alike` are codes that look the same from here; `decides`
    says what would tell them apart. `until` is when it was gone, ns since the epoch; 0 while it is there.
    """

    code: str
    level: Level
    queue: int | None
    since: int
    verdict: str  #: one line
    evidence: tuple[Evidence, ...]
    sections: tuple[str, ...]
    vantage: str
    confidence: Confidence
    alike: tuple[str, ...] = ()
    decides: str = ""
    until: int = 0

    @property
    def key(self) -> tuple[str, int | None]:
        """What makes it the same finding at another moment."""
        return self.code, self.queue
