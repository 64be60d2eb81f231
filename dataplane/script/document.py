"""Reading a scenario: its rings, its frames by name, its steps; whatever is wrong is said with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any, Literal

from dataplane import bare, negotiate
from dataplane import features as f
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.pair import CONTROL_SIZE, PAIRS_MAX
from dataplane.records import Path
from dataplane.script import actions as a
from dataplane.script import frames
from dataplane.script.facts import QueueName, facts
from dataplane.script.frames import Frame
from dataplane.script.playing import Played
from dataplane.script.steps import Doors, Stage, given_name, read_step
from dataplane.script.table import ScenarioError, Table, near

STEPS_MAX = 1_000
FRAMES_MAX = 20_000  #: sent by a whole scenario
SECONDS_MAX = 30.0  #: at liberty, in a whole scenario
_WAITING = ("auto", "poll", "interrupt")
_LAYOUTS = ("split", "packed")
_TOP = ("title", "about", "pair", "ring", "frames", "do")


@dataclass(frozen=True)
class Scenario:
    """A scenario that has been read: nothing runs before `open`."""

    file: str  #: as it is told in errors
    title: str
    about: str
    layout: Literal["split", "packed"]
    options: Mapping[str, Any]  #: of `Pair` or `Bare`
    settle: bool
    bare: bool
    stage: Stage
    steps: tuple[a.Step, ...]
    line: int  #: of [pair] or [ring]

    def open(self) -> Played:
        """Brings the rings up, at rest before the first step. ScenarioError where they cannot be."""
        return Played(self)


def read(top: Table, folder: File | None, doors: Doors) -> Scenario:
    """The scenario in a file's values; ScenarioError where they are none."""
    for key in top:
        if key not in _TOP:
            top.fail(key, f"no such key; {near(key, _TOP)}")
    title = " ".join(top.text("title", "").split())
    about = " ".join(top.text("about", "").split())
    by_hand = "ring" in top
    if by_hand and "pair" in top:
        top.fail("ring", "a scenario has one [pair] or one [ring]")
    if not by_hand and "pair" not in top:
        top.fail("", "a [pair] is missing, or a [ring]")
    key = "ring" if by_hand else "pair"
    head = Table(top.book, (key,), top.raw(key))
    options, queues, settle = _ring(head) if by_hand else _pair(head)
    head.done()
    does = _does(top)
    names: list[str] = []
    for do in does:
        name = given_name(do)
        if name in names:
            do.fail("name" if "name" in do else "", f"there is a {name} already: give it another name")
        names += [name] if name else []
    packed = options["layout"] == "packed"
    tree = facts(queues, packed, named=names, hand=by_hand)
    named = _frames(top, folder, doors)
    pairs = 0 if by_hand else options["queue_pairs"]
    stage = Stage({q.name: q for q in queues}, pairs, packed, tree, named, doors)
    steps = tuple(read_step(do, i + 1, stage) for i, do in enumerate(does))
    _bounded(top, steps)
    line = top.book.line((key,))
    return Scenario(
        top.book.file, title, about, options["layout"], options, settle, by_hand, stage, steps, line
    )


def _does(top: Table) -> list[Table]:
    does = top.raw("do")
    if does is None:
        top.fail("", "there is no step: write [[do]]")
    if not isinstance(does, list):
        top.fail("do", "a list of steps is wanted: [[do]]")
    if len(does) > STEPS_MAX:
        top.fail("do", f"{len(does)} steps are too many: {STEPS_MAX} at most")
    return [Table(top.book, ("do", i), one) for i, one in enumerate(does)]


def _bounded(top: Table, steps: tuple[a.Step, ...]) -> None:
    frames_sent, seconds = 0, 0.0
    for step in steps:
        if isinstance(step.action, a.Send):
            frames_sent += step.action.count * len(step.action.frames)
        if isinstance(step.action, a.Free):
            seconds += step.action.seconds
        if frames_sent > FRAMES_MAX:
            top.book.fail(("do", step.number - 1), f"a scenario sends {FRAMES_MAX:,} frames at most")
        if seconds > SECONDS_MAX:
            top.book.fail(("do", step.number - 1), f"a scenario runs for {SECONDS_MAX:g} seconds at most")


def _checked(head: Table, key: str, check: Callable[[str, bool], int], packed: bool) -> tuple[str, int]:
    """Features as changes, and what they come to."""
    changes = ",".join(text for _, text in head.texts(key))
    try:
        return changes, check(changes, packed)
    except ValueError as error:
        head.fail(key, str(error))


def _size(head: Table, packed: bool, default: int) -> int:
    size = head.whole("queue_size", 1, QUEUE_SIZE_MAX, default)
    if not packed and size & (size - 1):
        head.fail("queue_size", f"{size} is not a power of two, which a split queue needs (2.7)")
    return size


def _pair(head: Table) -> tuple[dict[str, Any], list[QueueName], bool]:
    layout = head.one_of("layout", _LAYOUTS, "split")
    packed = layout == "packed"
    size = _size(head, packed, 256)
    pairs = head.whole("queue_pairs", 1, PAIRS_MAX, 1)
    features, accepted = _checked(head, "features", negotiate.feature_set, packed)
    path = head.one_of("path", [p.name.lower() for p in Path], "auto")
    if pairs > 1 and not f.has(accepted, f.NET_F_MQ):
        head.fail("queue_pairs", "more than one queue pair needs MQ (5.1.3)")
    if path == "indirect" and not f.has(accepted, f.F_INDIRECT_DESC):
        head.fail("path", "the indirect path needs INDIRECT_DESC (2.7.5.3)")
    queues = [QueueName(f"{'rt'[i % 2]}x{i // 2}", i, size) for i in range(2 * pairs)]
    if f.has(accepted, f.NET_F_CTRL_VQ):
        queues.append(QueueName("ctl", 2 * pairs, CONTROL_SIZE))
    options = {
        "layout": layout,
        "queue_size": size,
        "queue_pairs": pairs,
        "features": features,
        "driver": head.one_of("driver", _WAITING, "auto"),
        "device": head.one_of("device", _WAITING, "auto"),
        "path": Path[path.upper()],
        "start_index": _start(head, packed, size),
        "start_wrap": head.whole("start_wrap", 0, 1, 1),
        "mtu": head.whole("mtu", 68, 65535, 1500),
        "name": "net0",
        "trace": "stores",
    }
    return options, queues, head.flag("settle", True)


def _start(head: Table, packed: bool, size: int) -> int:
    start = head.whole("start_index", 0, 0xFFFF, 0)
    if packed and start >= size:
        head.fail("start_index", f"a packed ring of {size} slots starts at slot 0 to {size - 1}")
    return start


def _ring(head: Table) -> tuple[dict[str, Any], list[QueueName], bool]:
    layout = head.one_of("layout", _LAYOUTS, "split")
    packed = layout == "packed"
    size = _size(head, packed, 8)
    features, _ = _checked(head, "features", bare.feature_set, packed)
    rings = head.whole("rings", 1, bare.RINGS_MAX, 1)
    options = {
        "layout": layout,
        "size": size,
        "features": features,
        "start_index": _start(head, packed, size),
        "start_wrap": head.whole("start_wrap", 0, 1, 1),
        "rings": rings,
    }
    return options, [QueueName(f"ring{i}", i, size) for i in range(rings)], False


# ---- frames by name -------------------------------------------------------------------------------------


def _frames(top: Table, folder: File | None, doors: Doors) -> dict[str, tuple[Frame, ...]]:
    if "frames" not in top:
        return {}
    table = Table(top.book, ("frames",), top.raw("frames"))
    if "ring" in top:
        top.fail("frames", "bare rings carry no frames")
    named: dict[str, tuple[Frame, ...]] = {}
    for key in table:
        if isinstance(table.raw(key), dict):
            named[key] = _capture(Table(top.book, ("frames", key), table.raw(key)), folder, doors)
            continue
        try:
            named[key] = (frames.read(table.text(key)),)
        except ScenarioError:
            raise
        except ValueError as error:
            table.fail(key, str(error))
    return named


def _capture(one: Table, folder: File | None, doors: Doors) -> tuple[Frame, ...]:
    """Frames of a capture file that lies below the scenario's own folder."""
    name = one.text("pcap")
    first, last = one.whole("first", 1, 1_000_000, 1), one.whole("last", 1, 1_000_000, 1_000_000)
    one.done()
    if folder is None or doors.read_capture is None:
        one.fail("pcap", "a capture can only be read where the scenario is a file")
    base = folder.resolve()
    file = (base / name).resolve()
    if File(name).is_absolute() or not file.is_relative_to(base):
        one.fail("pcap", "a capture lies in the scenario's own folder, or below it")
    try:
        if not file.is_file():
            one.fail("pcap", f"there is no file {name}")
        found = doors.read_capture(file)
    except ScenarioError:
        raise
    except (OSError, ValueError) as error:
        one.fail("pcap", " ".join(str(error).split()))
    chosen = tuple(
        replace(frame, text=f"{name}:{first + i}") for i, frame in enumerate(found[first - 1 : last])
    )
    if not chosen:
        one.fail("pcap", f"{name} has {len(found)} frames, and none of {first} to {last}")
    return chosen
