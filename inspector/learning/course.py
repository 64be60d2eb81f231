"""A lesson being followed: its pair, the page the reader is on, what has been shown of it.

Free of any toolkit. Every page can be come to again: the pair is built anew and everything up to there is
done once more, which takes a few milliseconds because nothing waits for a clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from dataplane.pair import Pair
from dataplane.script.expression import Unsound
from dataplane.script.facts import View
from inspector.learning import ringfacts, verbs
from inspector.learning.bench import Bench, set_up
from inspector.learning.lesson import PANES, Claim, Lesson, LessonError, Page, Part
from inspector.learning.marks import Mark, marks_of
from inspector.tick import Tick

_NUMBER = re.compile(r"\{([^{}]+)\}")
_LETTERS = "abcdefgh"

State = Literal["open", "done", "right", "shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A part that has been reached: its prose with the ring's numbers in it, and how it went.

    `options` are the texts of a choice; `reply` is what was said to the last answer.
    """

    part: Part
    prose: str
    state: State
    options: tuple[str, ...] = ()
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the foot of the screen, and the palette's style for it."""

    text: str
    style: str = "text"


class Course:
    """One reader in one lesson. One thread at a time; LessonError where the lesson itself is at fault."""

    def __init__(self, lesson: Lesson, page: int = 0) -> None:
        self.lesson = lesson
        self.at = 0
        self.shown: tuple[Shown, ...] = ()
        self.marks: frozenset[Mark] = frozenset()
        self.panes: frozenset[str] = frozenset()
        self.retired: list[Bench] = []  #: no longer used, to be closed by `sweep`
        self.failed: tuple[str, ...] = ()  #: claims that did not hold: there are none in a sound lesson
        self._kept: dict[str, View] = {}
        self._bench: Bench | None = None
        self.turn_to(page)

    # ---- where the reader is

    @property
    def page(self) -> Page:
        return self.lesson.pages[self.at]

    @property
    def introduced(self) -> frozenset[str]:
        """The panes that this lesson has spoken of up to this page."""
        pages = self.lesson.pages[: self.at + 1]
        return frozenset(
            c.text for page in pages for part in page.parts for c in part.look if c.text in PANES
        )

    @property
    def queue(self) -> str:
        """The queue that this page shows, by name."""
        return self.lesson.queue_of(self.at)

    @property
    def part(self) -> Shown:
        """What was reached last."""
        return self.shown[-1]

    @property
    def waits(self) -> bool:
        """Whether an answer, or something the reader does, is needed before it goes on."""
        return self.part.state == "open" and self.part.part.kind in ("question", "free", "workshop")

    @property
    def page_done(self) -> bool:
        """Whether every part of this page was reached and answered."""
        return len(self.shown) == len(self.page.parts) and not self.waits

    @property
    def finished(self) -> bool:
        return self.page_done and self.at == len(self.lesson.pages) - 1

    @property
    def moved(self) -> bool:
        """Whether somebody else drove the pair since the last part was reached, or lets it run."""
        return not self.pair.frozen or self.pair.snapshot(()).number != self.tick.snapshot.number

    # ---- what the reader does

    def on(self) -> Said:
        """The next part, or the next page; says what is missing where it cannot go on yet."""
        if self.waits:
            part = self.part.part
            if self.reached():
                return Said("")
            words = {
                "question": "type an answer first; ctrl+n shows it",
                "free": "not there yet: s steps the pair; ctrl+n does it for you",
                "workshop": "enter opens the workshop; ctrl+n goes on without it",
            }
            return Said(words[part.kind], "flux")
        if self.finished:
            return Said("this was the last page", "muted")
        again = self._back_in_place()
        if len(self.shown) == len(self.page.parts):
            self._enter(self.at + 1)
        else:
            self._reach(self.page.parts[len(self.shown)])
        return again

    def answer(self, text: str) -> tuple[bool, str]:
        """Whether an answer is right, and what there is to say about it; a wrong one may be tried again."""
        part = self.part.part
        question = part.question
        if question is None or self.part.state != "open":
            return False, "there is no question here"
        known = self.facts()
        if question.asked == "choice":
            at = _LETTERS.find(text.strip().lower()[:1] or "?")
            if len(text.strip()) != 1 or not 0 <= at < len(question.options):
                letters = _LETTERS[: len(question.options)]
                return self._again(f"answer with a letter: {', '.join(letters[:-1])} or {letters[-1]}")
            option = question.options[at]
            right = ringfacts.holds(option.when.text, known)
            reply = option.reply or (question.right if right else question.hint)
        else:
            given = number(text)
            if given is None:
                return self._again("answer with a number; 0x begins a hexadecimal one")
            right = question.answer is not None and given == ringfacts.evaluate(question.answer.text, known)
            reply = question.right if right else question.hint
        reply = self._filled(reply, known)
        if not right:
            return self._again(reply or "no")
        self._finish("right", f"{text.strip()}: {reply}" if reply else text.strip())
        return True, reply

    def _again(self, reply: str) -> tuple[bool, str]:
        self.shown = (*self.shown[:-1], replace(self.part, reply=reply))
        return False, reply

    def solve(self) -> Said:
        """Show the answer, or do for the reader what was left to them."""
        part = self.part.part
        if not self.waits:
            return Said("there is nothing to show here", "muted")
        if part.question is not None:
            self._finish("shown", self.solution())
            return Said("this is the answer; enter goes on")
        if part.kind == "free":
            said = self._back_in_place()
            self._do(part)
            self._look(part)
            self._finish("shown")
            return said if said.text else Said("done for you; enter goes on")
        self._finish("shown")
        return Said("enter goes on")

    def solution(self) -> str:
        """The answer of the question that is asked, from the ring."""
        question = self.part.part.question
        if question is None:
            return ""
        known = self.facts()
        if question.answer is not None:
            value = ringfacts.evaluate(question.answer.text, known)
            why = self._filled(question.right, known)
            return f"The answer is {value}." + (f" {why}" if why else "")
        for letter, option in zip(_LETTERS, question.options, strict=False):
            if ringfacts.holds(option.when.text, known):
                reply = self._filled(option.reply or question.right, known)
                return f"The answer is {letter}." + (f" {reply}" if reply else "")
        raise LessonError(f"lesson {self.lesson.name}, line {self.part.part.line}: no option is right")

    def reached(self) -> bool:
        """Whether what the reader drives to has just come true; the part is done then."""
        part = self.part.part
        if not (self.waits and part.kind == "free" and self._holds(part.until)):
            return False
        self._finish("done")
        return True

    def achieved(self) -> None:
        """The workshop was passed."""
        if self.waits and self.part.part.kind == "workshop":
            self._finish("done")

    def back(self) -> Said:
        """The beginning of this page, or the page before where this is its beginning."""
        if len(self.shown) > 1:
            self.turn_to(self.at)
        elif self.at:
            self.turn_to(self.at - 1)
        else:
            return Said("this is the first page", "muted")
        return Said("")

    def turn_to(self, page: int) -> None:
        """The beginning of a page: a pair built anew, everything before done once more."""
        page = max(0, min(page, len(self.lesson.pages) - 1))
        self.failed = ()
        self._kept = {}
        self._build("")
        for at in range(page):
            self._enter(at)
            self._rest_of_page()
        self._enter(page)

    def _rest_of_page(self) -> None:
        while len(self.shown) < len(self.page.parts) or self.waits:
            if not self.waits:
                self._reach(self.page.parts[len(self.shown)])
            elif self.part.part.kind == "free":
                self._do(self.part.part)
                self._finish("done")
            else:
                self._finish("done")

    # ---- the pair

    @property
    def bench(self) -> Bench:
        if self._bench is None:
            raise RuntimeError("the lesson is closed")
        return self._bench

    @property
    def pair(self) -> Pair:
        return self.bench.pair

    @property
    def tick(self) -> Tick:
        """What is shown: the pair as the part reached last left it."""
        return self.bench.tick

    def _build(self, setting: str) -> None:
        if self._bench is not None:
            self.retired.append(self._bench)
        self._bench = set_up(self.lesson, setting)

    def _back_in_place(self) -> Said:
        """Where the pair was driven meanwhile: to where this page left it."""
        if not self.moved:
            return Said("")
        page, parts = self.at, len(self.shown)
        states = [one.state for one in self.shown]
        self.turn_to(page)
        for part, state in zip(self.page.parts[1:parts], states[1:], strict=True):
            self._reach(part)
            if part.kind == "free" and state != "open":
                self._do(part)
            self.shown = (*self.shown[:-1], replace(self.part, state=state))
        return Said("the pair had been driven meanwhile: it is back where this page left it", "flux")

    def sweep(self) -> None:
        """Close the pairs that nobody looks at any more."""
        while self.retired:
            self.retired.pop().close()

    def close(self) -> None:
        """Close every pair that was opened."""
        if self._bench is not None:
            self.retired.append(self._bench)
            self._bench = None
        self.sweep()

    # ---- parts

    def _enter(self, page: int) -> None:
        setting = self.lesson.pages[page].setting
        if setting:
            self._kept[self.bench.setting] = self.facts()
            self._build(setting)
        self.at = page
        try:
            self.bench.turn_to(self.queue)
        except LookupError as error:
            raise LessonError(f"lesson {self.lesson.name}, line {self.page.line}: {error}") from None
        self.shown = ()
        self._reach(self.page.parts[0])

    def _reach(self, part: Part) -> None:
        """Do what a part does, and show it."""
        self._do(part if part.kind != "free" else replace(part, verbs=()))
        self._look(part)
        known = self.facts()
        for claim in part.expect:
            if not ringfacts.holds(claim.text, known):
                self.failed = (*self.failed, f"line {claim.line}: {claim.text} does not hold")
        options = part.question.options if part.question else ()
        state: State = "open" if part.kind in ("question", "free", "workshop") else "done"
        one = Shown(
            part, self._filled(part.text, known), state, tuple(self._filled(o.text, known) for o in options)
        )
        self.shown = (*self.shown, one)

    def _do(self, part: Part) -> None:
        bench = self.bench
        if part.verbs:
            bench.before = bench.tick
        for verb in part.verbs:
            try:
                verbs.perform(bench.moving, verb, self.queue)
            except (RuntimeError, ValueError) as error:
                raise LessonError(f"lesson {self.lesson.name}, line {part.line}: {error}") from None
        bench.read()

    def _look(self, part: Part) -> None:
        """What lights up: what the part names, and what was stored in its step."""
        known, bench = self.facts(), self.bench
        panes = frozenset(claim.text for claim in part.look if claim.text in PANES)
        cells = [claim for claim in part.look if claim.text not in PANES]
        try:
            named = frozenset(mark for claim in cells for mark in marks_of(claim.text, known, bench.shape))
        except Unsound as error:
            raise LessonError(f"lesson {self.lesson.name}, line {part.line}: {error}") from None
        stores = bench.stored()
        if part.look:
            self.panes, self.marks = panes, named
        elif part.kind in ("opening", "step"):  # a question is about what was lit before it
            self.panes, self.marks = frozenset(), stores

    def _finish(self, state: State, reply: str = "") -> None:
        self.bench.read()
        self.shown = (*self.shown[:-1], replace(self.part, state=state, reply=reply or self.part.reply))

    def _holds(self, claim: Claim | None) -> bool:
        self.bench.read()
        return claim is not None and ringfacts.holds(claim.text, self.facts())

    def facts(self) -> View:
        """Every name that the lesson may use now."""
        bench = self.bench
        before = bench.before.snapshot
        return ringfacts.facts(bench.tick.snapshot, bench.shape.name, before, bench.pair.memory, self._kept)

    def _filled(self, text: str, known: Mapping[str, Any]) -> str:
        """Prose with the numbers of the ring in it."""
        return _NUMBER.sub(lambda found: ringfacts.written(found[1], known), text)


def number(text: str) -> int | None:
    """A number as it is typed: decimal, hexadecimal with 0x; None for anything else."""
    text = text.strip().replace(",", "").replace("_", "")
    try:
        return int(text, 0) if len(text) <= 24 else None
    except ValueError:
        return None
