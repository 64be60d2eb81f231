"""What is told of a finding, line by line: the answer, then what it rests on, then all that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dataplane.rules.codes import CODES, VANTAGES, Code
from dataplane.rules.finding import Evidence, Finding, Level
from dataplane.snapshot import Snapshot
from inspector.meters import Meter
from inspector.numbers import duration
from inspector.sanitise import clean
from inspector.widgets.filling import parts
from inspector.widgets.flow import verdict

#: Text, and the meaning that colours it.
Word = tuple[str, str]

SIGNS = {Level.FAULT: ("✗", "fault"), Level.WARNING: ("▲", "available"), Level.INFO: ("·", "muted")}
GONE: Word = ("✓", "used")
_WIDEST = 110  #: of prose: longer lines are hard to read
_MOST = 40  #: lines of one paragraph
_LABEL = 6  #: cells of "why" and "next" with their gap


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `evidence` where there is somewhere to go to."""

    words: tuple[Word, ...]
    evidence: Evidence | None = None

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.words)


def sign(finding: Finding) -> Word:
    """How grave it is in one cell; of one that is over, that it is."""
    return GONE if finding.until else SIGNS[finding.level]


def lasted(finding: Finding, now: int) -> str:
    """For how long it has been there, or was."""
    return duration(max((finding.until or now) - finding.since, 0))


def rows(finding: Finding, name: str, now: int, width: int) -> list[Row]:
    """The page of a finding of the queue called `name`; `now` is the moment shown, ns since the epoch."""
    width = max(min(width, _WIDEST) - 2, 20)
    code = CODES.get(finding.code)
    told = list(_answer(finding, code, width))
    told += _evidence(finding, name, width)
    if finding.decides or finding.alike:
        told += _titled("cannot tell from here")
        names = ", ".join(finding.alike)
        told += _para(
            f"{names}: {finding.decides}" if names and finding.decides else names or finding.decides, width
        )
    if code is not None:
        told += _all_of(code, width)
    told += _titled("where it is said")
    told += _para(f"VIRTIO 1.3: {', '.join(finding.sections) or '-'}", width)
    seen = ", ".join(words for letter, words in VANTAGES.items() if letter in finding.vantage)
    told += _para(f"seen by {seen or '-'} · {finding.confidence}", width, "muted")
    if finding.until:
        ago = duration(max(now - finding.until, 0))
        told.insert(0, Row(((f" ✓ over: it lasted {lasted(finding, now)}, until {ago} ago", "used"),)))
    return told


def _answer(finding: Finding, code: Code | None, width: int) -> Iterator[Row]:
    yield from _para(finding.verdict, width, "strong")
    if code is None:
        return
    yield Row(())
    if code.causes:
        more = len(code.causes) - 1
        others = f" (or {more} other cause{'s' * (more != 1)}: below)" if more else ""
        yield from _labelled("why", f"{code.causes[0].what}{others}", width)
    if code.next:
        yield from _labelled("next", code.next[0], width)


def _evidence(finding: Finding, name: str, width: int) -> Iterator[Row]:
    if not finding.evidence:
        return
    yield from _titled("what it rests on", "  enter goes there")
    widest = max(len(one.name) for one in finding.evidence)
    for one in finding.evidence:
        value = f"{one.value:,}" if isinstance(one.value, int) and one.value > 0xFFFF else str(one.value)
        if one.name == "flags" and one.slot is not None and isinstance(one.value, int):
            value = f"0x{one.value:04x}"  # of a descriptor: the table beside has the bits by name
        words: list[Word] = [(f"   {clean(one.name):<{widest}}  ", "muted"), (clean(value), "strong")]
        if one.slot is not None:
            words.append((f"   ▸ slot {one.slot} of {clean(name)}", "accent"))
        yield Row(tuple(words), one)


def _all_of(code: Code, width: int) -> Iterator[Row]:
    yield from _titled("causes, and how to tell them apart")
    for number, cause in enumerate(code.causes, 1):
        yield from _para(cause.what, width, "text", f"{number}. ")
        yield from _para(f"tell: {cause.tell}", width, "muted", "   ")
    yield from _titled("what to do, in this order")
    for number, step in enumerate(code.next, 1):
        yield from _para(step, width, "text", f"{number}. ")
    if code.alike:
        yield from _titled("looks like it")
        for alike in code.alike:
            yield from _para(alike.code, width, "strong")
            seen = ", ".join(VANTAGES[one] for one in alike.vantage)
            yield from _para(f"{alike.decides} ({seen})", width, "text", "   ")
    if code.healthy:
        yield from _titled("healthy, and looks like it")
        yield from _para(code.healthy, width)
    if code.bugs:
        yield from _titled("real bugs that ended so")
        for bug in code.bugs:
            yield from _para(f"{bug.project} {bug.ref}: {bug.title}", width, "muted")


def _titled(title: str, hint: str = "") -> Iterator[Row]:
    yield Row(())
    yield Row(((f" {title}", "accent"), (hint, "muted")))


def _para(text: str, width: int, meaning: str = "text", first: str = "") -> Iterator[Row]:
    gap = " " * len(first)
    for at, each in enumerate(parts(clean(text), width - len(first), _MOST)):
        yield Row(((f" {gap if at else first}{each}", meaning),))


def _labelled(label: str, text: str, width: int) -> Iterator[Row]:
    for at, each in enumerate(parts(clean(text), width - _LABEL, _MOST)):
        yield Row(((f" {'' if at else label:<{_LABEL}}", "accent"), (each, "text")))


#: Why what waits may be right: the traps, for somebody who expected a finding.
_HEALTHY = (
    "a receive queue full of empty buffers waits for frames: that is its work",
    "nothing outstanding and nothing moving: the queue is idle",
    "a side that polls switches notifications off, and stays awake",
    "buffers that come back in order or in batches leave gaps on the way",
    "calls that are coalesced come late, not never",
)


def calm(
    snapshot: Snapshot, meters: dict[int, Meter], stuck: float, rules: Sequence[str], width: int
) -> list[Row]:
    """Where nothing is wrong: what is being watched, by which rules, and where each queue stands."""
    width = max(min(width, _WIDEST) - 2, 20)
    queues = [queue for queue in snapshot.queues if queue.enabled]
    word = "queue is" if len(queues) == 1 else "queues are"
    told = list(_para(f"✓ nothing found: {len(queues)} {word} watched", width, "used"))
    said = f"A queue is stuck where something waits and nothing passes for {stuck:g} s while both sides run."
    told += _para(said, width)
    if snapshot.state == "frozen":
        told += _para("The pair is frozen: no time passes, so nothing gets late. z runs it.", width, "past")
    told.append(Row(()))
    widest = max((len(queue.name) for queue in queues), default=0)
    for queue in queues:
        meter = meters.get(queue.index)
        where = verdict(queue, meter.buffers_per_s if meter else 0.0)
        for at, each in enumerate(parts(where.full, width - widest - 4, 4)):
            head = "" if at else clean(queue.name)
            told.append(Row(((f"   {head:<{widest}}  ", "strong"), (each, where.meaning))))
    told += _titled("healthy, though something waits")
    for each in _HEALTHY:
        told += _para(each, width, "text", "· ")
    told += _titled(f"{len(rules)} rules look at every reading")
    told += _para(" · ".join(rules), width, "muted")
    return told
