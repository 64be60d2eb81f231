"""Reading the steps of a scenario: each `[[do]]` has one verb, and keys that belong to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

from dataplane import faults
from dataplane.breaks_text import BreakError
from dataplane.breaks_text import parse as parse_break
from dataplane.faults import Fault
from dataplane.interleaving import InterleavingError, parse_interleaving
from dataplane.reading import LEVELS
from dataplane.records import Side
from dataplane.script import actions as a
from dataplane.script import frames
from dataplane.script.expect import Expectation, parse
from dataplane.script.expression import Unsound
from dataplane.script.facts import QueueName, Record
from dataplane.script.frames import Frame
from dataplane.script.table import Table, near, spelt, there_are
from dataplane.switches import SWITCHES

LIMIT, LIMIT_MAX = 20_000, 200_000  #: operations in which something must come to pass
SECONDS_MAX = 10.0
COUNT_MAX = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_WHOLE = re.compile(r"(?:(\d{1,6})\s+)?(packet|lap)s?")


@dataclass(frozen=True)
class Doors:
    """What a scenario cannot do by itself: read a capture file, compile a capture filter."""

    read_capture: Callable[[File], list[Frame]] | None = None
    compile_filter: Callable[[str], bytes] | None = None


@dataclass
class Stage:
    """What the steps of one scenario can speak of."""

    queues: Mapping[str, QueueName]
    pairs: int  #: queue pairs; 0: bare rings
    packed: bool
    tree: Record
    frames: Mapping[str, tuple[Frame, ...]]
    doors: Doors

    @property
    def hand(self) -> bool:
        return self.pairs == 0


def read_step(do: Table, number: int, stage: Stage) -> a.Step:
    """One step; ScenarioError where it is not understood."""
    verbs = _HAND if stage.hand else _PAIR
    other = _PAIR if stage.hand else _HAND
    found = [key for key in do if key in verbs]
    for key in do:
        if key in other and key not in verbs:
            place = "[ring]" if stage.hand else "[pair]"
            do.fail(key, f"{key} is not for a {place}; {near(key, verbs)}")
        if not found and key not in ("say", "expect"):
            do.fail(key, f"no such key; {near(key, ['say', 'expect', *verbs])}")
    if len(found) > 1:
        do.fail(found[1], f"one step does one thing, and this one does {found[0]} already")
    say = " ".join(do.text("say", "").split())
    expect = tuple(
        (do.book.line(path), spelt(path), expectation(do, path, text, stage))
        for path, text in do.texts("expect")
    )
    action = verbs[found[0]](do, stage) if found else None
    if not found and not say and not expect:
        do.fail("", "a step says, does or expects something; " + near("", verbs))
    do.done()
    path = (*do.path, found[0]) if found else do.path
    return a.Step(number, do.book.line(do.path), spelt(path), do.book.line(path), say, action, expect)


def expectation(do: Table, path: tuple[str | int, ...], text: str, stage: Stage) -> Expectation:
    try:
        return parse(text, stage.tree)
    except Unsound as error:
        do.book.fail(path, str(error))


def given_name(do: Table) -> str:
    """The name of the fault or breakpoint that a step makes, "" where it makes none."""
    for verb in ("fault", "break"):
        if verb in do:
            usual = do.text("fault") if verb == "fault" else "break"
            name = do.text("name", usual)
            if not _NAME.fullmatch(name):
                do.fail("name" if "name" in do else verb, f"{name!r} is no name: a letter, then a-z 0-9 _")
            return name
    return ""


# ---- words that several verbs share ---------------------------------------------------------------------


def _queue(do: Table, stage: Stage, key: str = "queue", default: str | None = None) -> QueueName:
    name = do.text(key, default)
    if name not in stage.queues:
        do.fail(key, f"there is no queue {name!r}; {near(name, stage.queues)}")
    return stage.queues[name]


def _by(do: Table) -> tuple[Side, ...]:
    word = do.one_of("by", ("both", "driver", "device"), "both")
    return (Side.DRIVER, Side.DEVICE) if word == "both" else (Side[word.upper()],)


# ---- the verbs of a pair --------------------------------------------------------------------------------


def _send(do: Table, stage: Stage) -> a.Action:
    queue = _queue(do, stage, default="tx0")
    if queue.name == "ctl":
        do.fail("queue", "frames go through rx and tx queues; for the control queue: command")
    side = Side.DRIVER if queue.name.startswith("tx") else Side.DEVICE
    pair = queue.index // 2
    chosen: list[Frame] = []
    for path, text in do.texts("send"):
        for frame in _frames(do, path, text, stage):
            if frame.data and frames.flow_pair(frame.data, stage.pairs) != pair:
                there = f"{queue.name[:2]}{frames.flow_pair(frame.data, stage.pairs)}"
                do.book.fail(path, f"the flow of these bytes belongs to {there}, not to {queue.name}")
            if not frame.data and stage.pairs > 1 and pair and frame.form not in ("udp", "tcp"):
                do.book.fail(path, f"{frame.form} has no ports to choose {queue.name} by; udp and tcp have")
            chosen.append(frame)
    header = do.text("net_header", "")
    if header:
        try:
            data = bytes.fromhex(header)
        except ValueError:
            do.fail("net_header", "hexadecimal is wanted")
        if len(data) not in (10, 12):
            do.fail("net_header", f"10 or 12 bytes are wanted (5.1.6), not {len(data)}")
        chosen = [replace(frame, net_header=data) for frame in chosen]
    return a.Send(tuple(chosen), side, queue.name, pair, do.whole("count", 1, COUNT_MAX, 1))


def _frames(do: Table, path: tuple[str | int, ...], text: str, stage: Stage) -> tuple[Frame, ...]:
    if text in stage.frames:
        return stage.frames[text]
    try:
        return (frames.read(text, stage.frames),)
    except ValueError as error:
        do.book.fail(path, str(error))


def _step(do: Table, stage: Stage) -> a.Action:
    text = do.text("step")
    if whole := _WHOLE.fullmatch(text.strip()):
        queue = _queue(do, stage) if "queue" in do else None
        count = int(whole[1] or 1)
        if not 1 <= count <= COUNT_MAX:
            do.fail("step", f"{count} is out of range: 1 to {COUNT_MAX}")
        unit = "packet" if whole[2] == "packet" else "lap"
        return a.Whole(unit, count, queue.index if queue else None, queue.name if queue else "")  # type: ignore[arg-type]
    try:
        items = parse_interleaving(text)
    except InterleavingError as error:
        do.fail("step", f"{error.message} (or packets, laps of both sides)")
    for item in items:
        if item.queue is not None and item.queue not in stage.queues:
            do.fail("step", f"there is no queue {item.queue!r}; {near(item.queue, stage.queues)}")
    return a.Walk(items)


def _until(do: Table, stage: Stage) -> a.Action:
    text = do.text("until")
    path = (*do.path, "until")
    word = text.strip()
    if word.isidentifier() and word != "quiet" and word not in stage.tree.fields:
        do.fail("until", f"{word!r} is not known; {near(word, ['quiet', *stage.tree.fields])}")
    condition = None if word == "quiet" else expectation(do, path, text, stage)
    if condition is not None and condition.diagnosed:
        do.fail("until", "what is found is known when a step is over: expect it there")
    return a.Until(condition, _by(do), do.whole("limit", 1, LIMIT_MAX, LIMIT))


def _run(do: Table, stage: Stage) -> a.Action:
    return a.Free(do.number("run", 0.001, SECONDS_MAX))


_WHEN = {"after": 1 << 30, "count": 1 << 30, "value": (1 << 63) - 1, "odds": 1 << 30, "seed": (1 << 63) - 1}


def _fault(do: Table, stage: Stage) -> a.Action:
    what = do.one_of("fault", [*SWITCHES, *(one for one in faults.KINDS if one not in SWITCHES)])
    when: dict[str, Any] = {"count": 1}
    when |= {key: do.whole(key, 0, most) for key, most in _WHEN.items() if key in do}
    if "index" in do:
        when["index"] = do.whole("index", 0, 65535)
    switch = SWITCHES.get(what)
    if switch is not None and not any(key in do for key in ("by", "area", "entry")):
        queue = _queue(do, stage, default=switch.queue)
        try:
            made = switch.faults(queue, stage.packed, **when)
        except ValueError as error:
            do.fail("fault", str(error))
        return a.Inject(given_name(do), what, made, queue.name)
    if what not in faults.KINDS:
        do.fail("fault", f"{what} says itself which side and which stores it concerns")
    return _one_fault(do, stage, next(one for one in faults.KINDS if one == what), when)


def _one_fault(do: Table, stage: Stage, kind: faults.FaultKind, when: dict[str, Any]) -> a.Action:
    owner = faults.PRIMITIVES[kind].side
    usual = None if owner is None else owner.name.lower()
    side = Side[do.one_of("by", ("driver", "device"), usual).upper()]
    found = _queue(do, stage) if "queue" in do else None
    area = do.one_of("area", faults.AREAS, "")
    there = faults.areas_of(stage.packed)
    if area not in there:
        do.fail(
            "area", f"a {'packed' if stage.packed else 'split'} ring has no {area}; {there_are(there[1:])}"
        )
    entry = do.whole("entry", 0, (found.size if found else 32768) - 1) if "entry" in do else None
    try:
        fault = Fault(kind, side, found.index if found else None, area, entry, **when)
    except ValueError as error:
        do.fail("fault", str(error))
    return a.Inject(given_name(do), kind, (fault,), found.name if found else "")


def _known(verb: str) -> Callable[[Table, Stage], str]:
    def name(do: Table, stage: Stage) -> str:
        wanted = do.text(verb)
        hits = stage.tree.fields.get("hits")
        known = list(hits[0].fields) if hits and isinstance(hits[0], Record) else []
        if wanted != "all" and wanted not in known:
            do.fail(verb, f"there is no {wanted!r}; {near(wanted, ['all', *known])}")
        return wanted

    return name


def _heal(do: Table, stage: Stage) -> a.Action:
    return a.Heal(_known("heal")(do, stage))


def _clear(do: Table, stage: Stage) -> a.Action:
    return a.Clear(_known("clear")(do, stage))


def _probe(do: Table, stage: Stage) -> a.Action:
    what = do.one_of("probe", ("kick", "call"))
    queue = _queue(do, stage, default="tx0")
    return a.Probe("kick" if what == "kick" else "call", queue.index, queue.name)


def _reset(do: Table, stage: Stage) -> a.Action:
    queue = _queue(do, stage, "reset")
    return a.Reset(queue.index, queue.name)


def _command(do: Table, stage: Stage) -> a.Action:
    if "ctl" not in stage.queues:
        do.fail("command", "there is no control queue: accept ctrl_vq")
    name = do.one_of("command", list(a.COMMANDS))
    try:
        data = bytes.fromhex(do.text("data", ""))
    except ValueError:
        do.fail("data", "hexadecimal is wanted")
    if len(data) > 500:
        do.fail("data", f"{len(data)} bytes are too many: 500 at most")
    return a.Command(name, *a.COMMANDS[name], data)


def _announce(do: Table, stage: Stage) -> a.Action:
    if not do.flag("announce", True):
        do.fail("announce", "true is the only value there is")
    return a.Announce()


def _trace(do: Table, stage: Stage) -> a.Action:
    word = do.one_of("trace", LEVELS)
    return a.Trace(next(level for level in LEVELS if level == word))


def _break(do: Table, stage: Stage) -> a.Action:
    text = do.text("break")
    try:
        rule = parse_break(text, compile=stage.doors.compile_filter, queues=stage.queues)
    except BreakError as error:
        do.fail("break", str(error))
    except ValueError as error:
        do.fail("break", " ".join(str(error).split()))
    if not rule.engine or (rule.expression and not rule.program):
        do.fail("break", "the engine cannot look at this by itself: it needs the screens")
    return a.Break(given_name(do), rule, text)


# ---- the verbs of bare rings ----------------------------------------------------------------------------

_DRIVER_VERBS = ("add", "publish", "kick_needed", "collect", "calls_on", "calls_off")
_DEVICE_VERBS = ("next", "complete", "flush", "call_needed", "kicks_on", "kicks_off")
_COUNTED = ("collect", "next", "complete")
_PIECE = re.compile(r"(readable|writable)\s+(\d{1,6})")
_PIECE_MAX = 65_536


def _driver(do: Table, stage: Stage) -> a.Action:
    return _hand(do, stage, Side.DRIVER, "driver", _DRIVER_VERBS)


def _device(do: Table, stage: Stage) -> a.Action:
    return _hand(do, stage, Side.DEVICE, "device", _DEVICE_VERBS)


def _hand(do: Table, stage: Stage, side: Side, key: str, verbs: tuple[str, ...]) -> a.Action:
    verb, _, rest = do.text(key).strip().partition(" ")
    if verb not in verbs:
        do.fail(key, f"{verb!r} is no verb of the {key}; {near(verb, verbs)}")
    ring = _queue(do, stage, default="ring0")
    hand = a.Hand(side, verb, ring.index, ring.name)
    rest = rest.strip()
    if verb == "add":
        pieces = _pieces(do, key, rest)
        count = do.whole("count", 1, COUNT_MAX, 1)
        return replace(hand, pieces=pieces, table=do.flag("table", False), count=count)
    if verb in _COUNTED:
        hand = replace(hand, count=0 if rest == "all" else 1)
        if rest.isdecimal() and 1 <= len(rest) <= 5:
            hand = replace(hand, count=int(rest))
        elif verb == "complete" and (found := re.fullmatch(r"id\s+(\d{1,5})", rest)):
            hand = replace(hand, id=int(found[1]))
        elif rest not in ("", "all"):
            more = " or id N" if verb == "complete" else ""
            do.fail(key, f"after {verb} stands nothing, a number, all{more}: not {rest!r}")
        if verb == "complete":
            written = do.whole("length", 0, 0xFFFFFFFF, 0)
            hand = replace(hand, length=written, batch=do.flag("batch", False))
        return hand
    if rest:
        do.fail(key, f"nothing stands after {verb}: not {rest!r}")
    return hand


def _pieces(do: Table, key: str, text: str) -> tuple[tuple[int, bool], ...]:
    pieces: list[tuple[int, bool]] = []
    for part in text.split(","):
        found = _PIECE.fullmatch(part.strip())
        if not found:
            do.fail(key, f'a buffer is written "add readable 12, writable 100": not {part.strip()!r}')
        length, writable = int(found[2]), found[1] == "writable"
        if not 1 <= length <= _PIECE_MAX:
            do.fail(key, f"a piece of {length} bytes is out of range: 1 to {_PIECE_MAX}")
        if pieces and pieces[-1][1] and not writable:
            do.fail(key, "readable pieces stand before writable ones (2.7.4.2)")
        pieces.append((length, writable))
    return tuple(pieces)


_PAIR: Mapping[str, Callable[[Table, Stage], a.Action]] = {
    "send": _send,
    "step": _step,
    "until": _until,
    "run": _run,
    "fault": _fault,
    "heal": _heal,
    "break": _break,
    "clear": _clear,
    "probe": _probe,
    "reset": _reset,
    "command": _command,
    "announce": _announce,
    "trace": _trace,
}
_HAND: Mapping[str, Callable[[Table, Stage], a.Action]] = {"driver": _driver, "device": _device}
