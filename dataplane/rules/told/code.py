"""The shape of what is told about a code. Everything is text for somebody whose queue is stuck now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Where something can be seen: memory, history, kicks and calls, control messages, status and configuration
#: of the transport, private state of a side.
Vantage = Literal["M", "H", "K", "C", "X", "S"]

#: Which part of the way around the ring a code is about.
Family = Literal["kick", "call", "device", "driver", "used", "layout", "control", "other"]


@dataclass(frozen=True, slots=True)
class Bug:
    """A real one, in a public project: its commit, issue or message, and its title there."""

    project: str
    ref: str
    title: str


@dataclass(frozen=True, slots=True)
class Cause:
    """A mechanism that ends in this state, how to tell it from the other causes, and where it was real."""

    what: str
    tell: str
    bugs: tuple[Bug, ...] = ()


@dataclass(frozen=True, slots=True)
class Alike:
    """Another code that looks the same, what decides between the two, and from where that can be seen."""

    code: str
    decides: str
    vantage: tuple[Vantage, ...]


@dataclass(frozen=True, slots=True)
class Twins:
    """Two codes that look alike."""

    one: str
    other: str
    decides: str
    vantage: tuple[Vantage, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """One state that a queue ends in.

    `sections` are those of VIRTIO 1.3 that it concerns, `vantage` what has to be seen to be sure of it;
    `healthy` is what looks the same and is right.
    """

    name: str
    family: Family
    means: str  #: one line
    sections: tuple[str, ...]
    look: str  #: what one sees in the ring
    causes: tuple[Cause, ...]
    next: tuple[str, ...]  #: what to do, in this order
    vantage: tuple[Vantage, ...]
    healthy: str = ""
    alike: tuple[Alike, ...] = ()

    @property
    def bugs(self) -> tuple[Bug, ...]:
        """The real bugs that ended so, cause by cause."""
        return tuple(bug for cause in self.causes for bug in cause.bugs)
