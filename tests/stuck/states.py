"""Whether a scenario of a public bug puts the rings into the state that the bug leaves them in.

What the doctor says of it is not asked here: a scenario that is named rightly for another reason would show.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dataplane.layout import PACKED_FLAGS
from dataplane.scenario import Played, load
from dataplane.script.expect import judge, parse
from dataplane.snapshot import PackedQueue, Queue, SplitQueue
from tests.stuck.playing import script

_AGAIN = 0.05  #: seconds between two looks
_PROOF = 0.3  #: seconds over which a state that is stuck must last
_LIMIT = 10.0  #: seconds, after which what has not come does not come
_AVAIL, _USED = PACKED_FLAGS["AVAIL"], PACKED_FLAGS["USED"]


@dataclass(frozen=True, slots=True)
class State:
    """What must hold: expectations of scenarios, and shapes of a queue that these have no words for."""

    holds: tuple[str, ...]
    shape: tuple[str, str] | None = None  #: name of it, and of the queue

    def missing(self, played: Played) -> str:
        """What of it is not there, in words; "" where all is."""
        tree = played.scenario.stage.tree
        for text in self.holds:
            one = parse(text, tree)
            verdict = judge(one, tree, played.moment([one]))
            if not verdict.holds:
                return f"{text}: {verdict.there}"
        if self.shape is not None:
            name, queue = self.shape
            found = next(one for one in played.pair.snapshot().queues if one.name == queue)
            return "" if _SHAPES[name](found) else f"{queue}: no {name.replace('_', ' ')}"
        return ""


def states() -> dict[str, State]:
    """By the id of the bug."""
    tables = _tables()
    known = {name: State(tuple(holds)) for name, holds in tables["states"].items()}
    return known | {name: State((), (shape, queue)) for name, (shape, queue) in tables["shapes"].items()}


def passing() -> Mapping[str, str]:
    """Those that leave nothing in memory or in the sides' own words, with the reason."""
    return dict(_tables()["passing"])


def unlike() -> Mapping[str, str]:
    """Those whose scenario ends in another state so far, with what is missing."""
    return dict(_tables()["unlike"])


def look(text: str, state: State, *, there: bool) -> Iterator[str]:
    """Plays a scenario, then looks till the state is there, or not, as `there` says; yields while it waits.

    The last text yielded is what was wrong, "" for nothing.
    """
    with load(text).open() as played:
        for _ in script(played, lambda _: None):
            yield "still playing"
        if played.failed:
            yield played.outcomes[-1].failure
            return
        played.pair.run()
        end = time.monotonic() + _LIMIT
        while bool(missing := state.missing(played)) is there and time.monotonic() < end:
            yield missing or "the state is there"
        if there and not missing:
            until = time.monotonic() + _PROOF
            while not missing and time.monotonic() < until:
                yield "not proven"
                missing = state.missing(played)
        yield missing if there else ("" if missing else "the state is there without its fault")


def together(playing: Mapping[str, Iterator[str]]) -> dict[str, str]:
    """All of them in turn, and what was wrong with each."""
    last: dict[str, str] = {}
    going = dict(playing)
    while going:
        began = time.monotonic()
        for name, one in list(going.items()):
            try:
                last[name] = next(one)
            except StopIteration:
                del going[name]
        time.sleep(max(_AGAIN - (time.monotonic() - began), 0.0))
    return last


def _repeated_id(queue: Queue) -> bool:
    """Whether one id (packed) or head (split) is outstanding twice: available, and not yet used."""
    if isinstance(queue, SplitQueue):
        assert queue.driver is not None
        first, count = queue.driver.last_used, (queue.avail_idx - queue.driver.last_used) & 0xFFFF
        ids = [int(queue.avail_ring[(first + i) % queue.size]) for i in range(min(count, queue.size))]
    else:
        flags = queue.desc["flags"]
        outstanding = ((flags & _AVAIL) != 0) != ((flags & _USED) != 0)
        ids = [int(one) for one in queue.desc["id"][outstanding]]
    return len(set(ids)) < len(ids)


def _hole(queue: Queue) -> bool:
    """Whether the device went on, and the slot that the driver looks at next is not used."""
    assert isinstance(queue, PackedQueue) and queue.driver is not None and queue.device is not None
    flags, wrap = int(queue.desc["flags"][queue.driver.last_used]), bool(queue.driver.used_wrap)
    used = bool(flags & _AVAIL) == bool(flags & _USED) == wrap
    return not used and queue.device.used > queue.driver.collected


_SHAPES: Mapping[str, Callable[[Queue], bool]] = {"repeated_id": _repeated_id, "hole": _hole}


@lru_cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "states.toml").read_text())
