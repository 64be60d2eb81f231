"""A lesson as it stands in its file: pages of prose, the steps on them, the questions, what must be true.

A file begins with TOML between two lines of `+++` (title, the queue shown, the pair and how it starts); then
come pages. `# ` begins a page; a line that begins with `@` belongs to the part of the page it stands in:

    # The index moves

    Prose, with *emphasis*, `code`, lists, and numbers read from the ring: {avail_idx}.
    @expect avail_idx == 1
    @step driver until publish
    The text of a step appears with it.
    @look avail_idx
    @ask number
    What will `idx` hold after the next buffer?
    @answer avail_idx + 1
    @hint It counts buffers.

Nothing here draws or runs anything: `course` plays a lesson, `screens.lesson` shows it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from inspector.learning import ringfacts
from inspector.learning.verbs import Verb, parse_verbs

PartKind = Literal["opening", "step", "question", "free", "workshop"]
Asked = Literal["number", "choice", "slot"]
PANES = ("flow", "wheel", "table", "areas", "notifications", "queues")

_NAME = re.compile(r"(\d\d)-([a-z0-9-]+)\.md")
_OPTION = re.compile(r"(.+?)\s+::\s+(.+)")


class LessonError(ValueError):
    """A lesson that cannot be read or played: one line that names file, line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An expression of the lesson, and the line on which it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to choose: right when `when` is true of the ring."""

    when: Claim
    text: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`answer` is an expression over the ring at the moment of asking; a choice has `options` instead."""

    asked: Asked
    answer: Claim | None
    options: tuple[Option, ...]
    right: str
    hint: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one key brings: the page's opening, a step, a question, driving by hand, or the workshop.

    `verbs` are done when the part is reached; of a free part they stand in for the reader, `until` is its
    end. `look` are the fields and panes that light up, `expect` what must be true then.
    """

    kind: PartKind
    line: int
    text: str = ""
    verbs: tuple[Verb, ...] = ()
    look: tuple[Claim, ...] = ()
    expect: tuple[Claim, ...] = ()
    question: Question | None = None
    until: Claim | None = None
    half: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """`setting` names the pair of this page where it is not the one before; `queue` is the one it shows."""

    title: str
    line: int
    parts: tuple[Part, ...]
    setting: str = ""
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A pair, and what it does before anybody looks. `pair` are keyword arguments of `Pair`."""

    pair: Mapping[str, Any]
    start: tuple[Verb, ...] = ()


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson. `settings` has the first pair under ""."""

    number: int
    name: str
    title: str
    about: str
    queue: str
    pages: tuple[Page, ...]
    settings: Mapping[str, Setting]

    def queue_of(self, page: int) -> str:
        """The queue that is shown on a page: what was named last."""
        return next((one.queue for one in reversed(self.pages[: page + 1]) if one.queue), self.queue)

    @property
    def parts(self) -> int:
        """How many parts it has, over all pages."""
        return sum(len(page.parts) for page in self.pages)


# ---- finding them ---------------------------------------------------------------------------------------


@cache
def shelf() -> tuple[Lesson, ...]:
    """Every lesson in its order. LessonError where one cannot be read."""
    found = []
    for entry in resources.files("inspector").joinpath("lessons").iterdir():
        named = _NAME.fullmatch(entry.name)
        if named:
            found.append(parse(entry.read_text(encoding="utf-8"), named[2], int(named[1])))
    return tuple(sorted(found, key=lambda lesson: lesson.number))


def find(asked: str) -> Lesson:
    """The lesson of this number or name, or the only one whose name or title has these letters.

    LessonError says what there is.
    """
    wanted = asked.strip().lower()
    lessons = shelf()
    for lesson in lessons:
        if wanted in (lesson.name, str(lesson.number), f"{lesson.number:02}"):
            return lesson
    near = [
        lesson for lesson in lessons if wanted and (wanted in lesson.name or wanted in lesson.title.lower())
    ]
    if len(near) == 1:
        return near[0]
    if near:
        names = ", ".join(lesson.name for lesson in near)
        raise LessonError(f"more than one lesson is called {asked!r}: {names}")
    last = lessons[-1].number if lessons else 0
    raise LessonError(f"no lesson is called {asked!r}; there are 1 to {last}: ringscope learn --list")


# ---- reading one ----------------------------------------------------------------------------------------


def parse(text: str, name: str, number: int = 0) -> Lesson:
    """A lesson from the text of its file; LessonError with file, line and what is wrong."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "+++" or "+++" not in [line.strip() for line in lines[1:]]:
        raise LessonError(f"lesson {name}: it must begin with TOML between two lines of +++")
    end = next(i for i, line in enumerate(lines[1:], 1) if line.strip() == "+++")
    try:
        head = tomllib.loads("\n".join(lines[1:end]))
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"lesson {name}: {error}") from None
    try:
        pages = _Reader(lines, end + 1).pages()
        settings = _settings(head)
    except LessonError as error:
        raise LessonError(f"lesson {name}, {error}") from None
    known = {key: head.pop(key, "") for key in ("title", "about", "queue")}
    if not all(isinstance(value, str) and value for value in known.values()):
        raise LessonError(f"lesson {name}: title, about and queue are words, and needed")
    if unknown := set(head) - {"start", "pair", "settings"}:
        raise LessonError(f"lesson {name}: nothing is called {', '.join(sorted(unknown))} at its head")
    for page in pages:
        if page.setting not in settings:
            raise LessonError(f"lesson {name}, line {page.line}: no setting is called {page.setting!r}")
    if not pages:
        raise LessonError(f"lesson {name}: it has no page")
    return Lesson(number, name, pages=pages, settings=settings, **known)


def _settings(head: Mapping[str, Any]) -> dict[str, Setting]:
    """The first pair under "", the others by their names; each takes from the first what it does not say."""
    first = dict(head.get("pair", {}))
    start = head.get("start", [])
    found = {"": Setting(first, _verbs_of(start))}
    for name, changes in head.get("settings", {}).items():
        changes = dict(changes)
        own = changes.pop("start", start)
        found[name] = Setting({**first, **changes}, _verbs_of(own))
    return found


def _verbs_of(lines: object) -> tuple[Verb, ...]:
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise LessonError("head: start is a list of verbs in quotes")
    try:
        return tuple(verb for line in lines for verb in parse_verbs(line))
    except ValueError as error:
        raise LessonError(f"head: {error}") from None


@dataclass
class _Draft:
    """A part while its lines come in."""

    part: Part
    text: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    hint: list[str] = field(default_factory=list)
    options: list[tuple[Claim, str, list[str]]] = field(default_factory=list)
    asked: Asked | None = None
    answer: Claim | None = None
    into: list[str] | None = None  #: where a line without @ goes; None: `text`

    def made(self) -> Part:
        part = replace(self.part, text=_trimmed(self.text))
        if self.asked is None:
            return part
        where = f"line {part.line}"
        if self.asked == "choice" and len(self.options) < 2:
            raise LessonError(f"{where}: a choice has at least two lines of @option")
        if self.asked != "choice" and self.answer is None:
            raise LessonError(f"{where}: the question has no @answer")
        options = tuple(Option(when, text, _trimmed(reply)) for when, text, reply in self.options)
        asked = Question(self.asked, self.answer, options, _trimmed(self.right), _trimmed(self.hint))
        return replace(part, question=asked)


def _trimmed(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n")


class _Reader:
    """Goes through the lines of a file once."""

    def __init__(self, lines: list[str], start: int) -> None:
        self._lines, self._start = lines, start
        self._pages: list[Page] = []
        self._title, self._line, self._setting, self._queue = "", 0, "", ""
        self._drafts: list[_Draft] = []

    def pages(self) -> tuple[Page, ...]:
        for number, line in enumerate(self._lines[self._start :], self._start + 1):
            if line.startswith("# "):
                self._turn()
                self._title, self._line = line[2:].strip(), number
                self._setting = self._queue = ""
                self._drafts = [_Draft(Part("opening", number))]
            elif line.startswith("@"):
                self._directive(line, number)
            elif self._drafts:
                draft = self._drafts[-1]
                (draft.text if draft.into is None else draft.into).append(line)
            elif line.strip():
                raise LessonError(f"line {number}: the first page begins with a line '# Title'")
        self._turn()
        return tuple(self._pages)

    def _turn(self) -> None:
        """The page that was read so far is whole."""
        if self._drafts:
            parts = tuple(draft.made() for draft in self._drafts)
            self._pages.append(Page(self._title, self._line, parts, self._setting, self._queue))

    def _directive(self, line: str, number: int) -> None:
        word, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        if not self._drafts:
            raise LessonError(f"line {number}: @{word} stands before the first page")
        if word not in _DIRECTIVES:
            raise LessonError(f"line {number}: @{word} is not known; there are {', '.join(_DIRECTIVES)}")
        if not rest and word not in ("right", "hint"):
            raise LessonError(f"line {number}: @{word} says nothing")
        try:
            _DIRECTIVES[word](self, rest, number)
        except LessonError:
            raise
        except ValueError as error:
            raise LessonError(f"line {number}: {error}") from None

    def _new(self, part: Part) -> _Draft:
        self._drafts.append(_Draft(part))
        return self._drafts[-1]

    def _change(self, **changes: Any) -> None:
        draft = self._drafts[-1]
        draft.part = replace(draft.part, **changes)

    def step(self, rest: str, number: int) -> None:
        self._new(Part("step", number, verbs=parse_verbs(rest)))

    def free(self, rest: str, number: int) -> None:
        self._new(Part("free", number, until=_claim(rest, number)))

    def do(self, rest: str, number: int) -> None:
        if self._drafts[-1].part.kind != "free":
            raise LessonError(f"line {number}: @do stands in a part that begins with @free")
        self._change(verbs=parse_verbs(rest))

    def workshop(self, rest: str, number: int) -> None:
        self._new(Part("workshop", number, half=rest))

    def setting(self, rest: str, number: int) -> None:
        if len(self._drafts) > 1:
            raise LessonError(f"line {number}: @setting stands before the first step of a page")
        self._setting = rest

    def queue(self, rest: str, number: int) -> None:
        if len(self._drafts) > 1:
            raise LessonError(f"line {number}: @queue stands before the first step of a page")
        self._queue = rest

    def look(self, rest: str, number: int) -> None:
        claims = tuple(_look(one.strip(), number) for one in rest.split(",") if one.strip())
        self._change(look=self._drafts[-1].part.look + claims)

    def expect(self, rest: str, number: int) -> None:
        self._change(expect=(*self._drafts[-1].part.expect, _claim(rest, number)))

    def ask(self, rest: str, number: int) -> None:
        asked: dict[str, Asked] = {"number": "number", "choice": "choice", "slot": "slot"}
        if rest not in asked:
            raise LessonError(f"line {number}: @ask is followed by number, choice or slot, not {rest!r}")
        self._new(Part("question", number)).asked = asked[rest]

    def answer(self, rest: str, number: int) -> None:
        self._question(number).answer = _claim(rest, number)

    def option(self, rest: str, number: int) -> None:
        draft = self._question(number)
        found = _OPTION.fullmatch(rest)
        if found is None:
            raise LessonError(f"line {number}: an option is written EXPRESSION :: text")
        draft.options.append((_claim(found[1], number), found[2], []))
        draft.into = draft.options[-1][2]

    def right(self, rest: str, number: int) -> None:
        draft = self._question(number)
        draft.into = draft.right
        draft.right.append(rest)

    def hint(self, rest: str, number: int) -> None:
        draft = self._question(number)
        draft.into = draft.hint
        draft.hint.append(rest)

    def _question(self, number: int) -> _Draft:
        draft = self._drafts[-1]
        if draft.asked is None:
            raise LessonError(f"line {number}: this belongs to a question, which begins with @ask")
        return draft


_DIRECTIVES = {
    "step": _Reader.step,
    "look": _Reader.look,
    "expect": _Reader.expect,
    "ask": _Reader.ask,
    "answer": _Reader.answer,
    "option": _Reader.option,
    "right": _Reader.right,
    "hint": _Reader.hint,
    "free": _Reader.free,
    "do": _Reader.do,
    "setting": _Reader.setting,
    "queue": _Reader.queue,
    "workshop": _Reader.workshop,
}


def _claim(text: str, number: int) -> Claim:
    ringfacts.parse(text)
    return Claim(text, number)


def _look(text: str, number: int) -> Claim:
    if text not in PANES:
        ringfacts.parse(text)
    return Claim(text, number)
