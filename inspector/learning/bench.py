"""The pair of a lesson, in the hands that move it, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dataplane.keyframe import QueueShape
from dataplane.pair import Pair
from dataplane.records import Kind, Path
from dataplane.script.moving import Moving
from dataplane.script.wire import Wire
from dataplane.source import START, Cursor
from inspector.learning import verbs
from inspector.learning.lesson import Lesson, LessonError, Setting
from inspector.learning.marks import Mark, stored
from inspector.session import Session
from inspector.tick import Tick

#: Lessons are about rings: no control queue unless one asks for it.
_LEAN = ("-ctrl_rx", "-ctrl_vlan", "-ctrl_mac_addr", "-guest_announce", "-mq", "-ctrl_vq")


def open_pair(setting: Setting, queue: str) -> Moving:
    """The frozen pair of a setting, its start behind it, in the hands that move it. LessonError."""
    options: dict[str, Any] = dict(setting.pair)
    features = options.pop("features", "")
    path = str(options.pop("path", "auto")).upper()
    if path not in Path.__members__:
        raise LessonError(f"no path is called {path.lower()!r}")
    try:
        pair = Pair(**options, features=[*_LEAN, *features.split(",")], path=Path[path], frozen=True)
    except (TypeError, ValueError) as error:
        raise LessonError(f"the pair of this lesson cannot be: {error}") from None
    wire = Wire(pair)
    try:
        pair.trace("stores")
        pair.start()
        moving = Moving(pair, wire)
        for verb in setting.start:
            verbs.perform(moving, verb, queue)
    except (RuntimeError, ValueError) as error:
        pair.close()
        wire.close()
        raise LessonError(f"the pair of this lesson does not start: {error}") from None
    return moving


@dataclass
class Bench:
    """A pair, and how it is read: `tick` now, `before` as it was when the part shown began."""

    setting: str
    moving: Moving
    session: Session
    shapes: tuple[QueueShape, ...]
    shape: QueueShape  #: of the queue that is shown
    tick: Tick
    before: Tick
    cursor: Cursor

    @property
    def pair(self) -> Pair:
        return self.moving.pair

    def close(self) -> None:
        self.pair.close()
        self.moving.wire.close()

    def read(self) -> None:
        """Read the pair; what changed since the part began glows."""
        self.tick = replace(self.session.pull(), previous=self.before.snapshot)

    def turn_to(self, queue: str) -> None:
        """Show another queue. LookupError where there is none of this name."""
        self.shape = next((shape for shape in self.shapes if shape.name == queue), self.shape)
        if self.shape.name != queue:
            raise LookupError(f"its pair has no queue {queue!r}")
        self.session.select(queue=self.shape.index)
        self.read()

    def stored(self) -> frozenset[Mark]:
        """The cells of the queue that were stored to since this was asked last."""
        events = self.pair.events(self.cursor)
        self.cursor = events.cursor
        rows = events.rows
        return stored(self.shape, rows[(rows["kind"] == Kind.STORE) & (rows["queue"] == self.shape.index)])


def set_up(lesson: Lesson, setting: str) -> Bench:
    """A pair ready for the reader. LessonError where the lesson is at fault."""
    try:
        moving = open_pair(lesson.settings[setting], lesson.queue)
    except LessonError as error:
        raise LessonError(f"lesson {lesson.name}: {error}") from None
    pair = moving.pair
    key = pair.keyframe()
    if key is None:
        pair.close()
        moving.wire.close()
        raise LessonError(f"lesson {lesson.name}: its pair does not rest")
    session = Session(pair)
    tick = session.pull()
    cursor = pair.events(START).cursor
    return Bench(setting or "first", moving, session, key.shapes, key.shapes[0], tick, tick, cursor)
