"""What every check is: told of what happens in a scene, it says which rows were not kept.

A check lives from the moment that the scene begins until something is missing from the journal; then it is
made anew. It overrides what it wants to hear of, and keeps of each queue only a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from dataplane.keyframe import Keyframe
from dataplane.records import Kind
from dataplane.rules.conformance.ring import Buffer, Ring, Use
from dataplane.rules.conformance.scene import Event, Logged, Scene, Stored

#: row id, queue (None: the device), slot (None: nowhere), what was seen
Say = Callable[[str, int | None, int | None, str], None]


class Check:
    """`rows` are the ids that it can say; `kinds` the events, beside stores, that `told` is called with."""

    rows: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[frozenset[Kind]] = frozenset()

    def __init__(self, scene: Scene, say: Say) -> None:
        self.scene = scene
        self.say = say

    def began(self, ring: Ring) -> None:
        """A ring is known from here on: at a keyframe, and after each of its resets."""

    def stored(self, stored: Stored) -> None:
        """A store was done; the ring has it, what it made available or used follows."""

    def available(self, buffer: Buffer) -> None:
        """The driver made a buffer available; it is not among the outstanding ones yet."""

    def used(self, use: Use) -> None:
        """The device showed a used element; what it returns is still among the outstanding ones."""

    def told(self, event: Event) -> None:
        """Any other event of `kinds`."""

    def met(self, keyframe: Keyframe) -> None:
        """The scene has come to where a keyframe was taken; its rings are known."""

    def framed(self, frame: Logged) -> None:
        """A frame of the frame log."""
