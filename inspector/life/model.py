"""What the life of a buffer is made of: steps, in the order in which a ring has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataplane.records import Role, Side

Name = Literal[
    "allocated", "filled", "available", "kick", "seen", "packet", "completed", "used", "call", "collected",
    "recycled",
]  # fmt: skip
State = Literal["done", "quiet", "open", "unknown"]

#: In the order of a life: what it is called, whose step it is, and the side that has it to do.
TITLES: dict[Name, tuple[str, Side]] = {
    "allocated": ("slots taken", Side.DRIVER),
    "filled": ("filled", Side.DRIVER),
    "available": ("made available", Side.DRIVER),
    "kick": ("kick", Side.DRIVER),
    "seen": ("seen by the device", Side.DEVICE),
    "packet": ("packet logged", Side.DEVICE),
    "completed": ("used element written", Side.DEVICE),
    "used": ("made visible", Side.DEVICE),
    "call": ("call", Side.DEVICE),
    "collected": ("collected", Side.DRIVER),
    "recycled": ("slots filled again", Side.DRIVER),
}


@dataclass(frozen=True, slots=True)
class Detail:
    """Something small that belongs to a step; `event` 0 where it is no event of its own."""

    event: int
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `event` and `time` (ns since the epoch) are 0 where they are not known or it is still open.

    state: "quiet" is a notification that was not sent; "open" has not happened (yet); "unknown" did happen.
    wait: what passed since the step before, and who waited for whom.
    """

    name: Name
    event: int
    time: int
    state: State
    words: str
    why: str = ""  #: why the spec wants it here, with the section
    wait: str = ""
    details: tuple[Detail, ...] = ()

    @property
    def title(self) -> str:
        """What is done in it, in few words."""
        if self.state == "quiet":
            return f"no {self.name}"
        return f"{self.name} sent" if self.name in ("kick", "call") and self.time else TITLES[self.name][0]

    @property
    def side(self) -> Side:
        """Who does it."""
        return TITLES[self.name][1]


@dataclass(frozen=True, slots=True)
class Life:
    """One buffer. `slots` are its descriptors in the order of the chain, as far as they are known."""

    queue: int
    queue_name: str
    role: Role
    position: int  #: publication count
    head: int | None
    slots: tuple[int, ...]
    frame: int | None  #: number of the packet that it carried, where that is kept
    steps: tuple[Step, ...]
    notes: tuple[str, ...]  #: what is not known, and why

    @property
    def known(self) -> tuple[Step, ...]:
        """The steps whose time is known, in the order of a life."""
        return tuple(step for step in self.steps if step.time)

    def step(self, name: Name) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)

    def before(self, step: Step) -> Step | None:
        """What a step waited for: the step before it whose time is known; None of the first.

        A notification is no step that the next one waits for: a buffer is seen or collected without one too.
        """
        known = [one for one in self.known if one.name not in ("kick", "call") or one is step]
        at = next((i for i, one in enumerate(known) if one.name == step.name), 0)
        return known[at - 1] if at else None

    def waited(self, step: Step) -> int | None:
        """Nanoseconds since the step before it; None of the first. One that was noted late waited for 0."""
        before = self.before(step)
        return max(step.time - before.time, 0) if before is not None else None
