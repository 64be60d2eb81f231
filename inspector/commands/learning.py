"""`ringscope learn`: the lessons on screen, their list without one, and what is done forgotten."""

from __future__ import annotations

import argparse
from dataclasses import replace

from inspector import remembered
from inspector.cli import FAILED, OK, USAGE, complain, has_terminal
from inspector.learning import lesson as lessons
from inspector.learning.lesson import Lesson, LessonError
from inspector.remembered import Progress, Remembered


def learn(options: argparse.Namespace) -> int:
    """Open the lessons; the exit code."""
    try:
        asked = lessons.find(options.lesson) if options.lesson is not None else None
        shelf = lessons.shelf()
    except LessonError as error:
        complain(str(error))
        return USAGE
    if getattr(options, "file", None) is not None:
        return _judge(options, asked)
    if getattr(options, "reset", False):
        return _forget(asked)
    if options.list:
        print("\n".join(table(shelf, remembered.load())), flush=True)
        return OK
    if not has_terminal():
        complain("the lessons need a terminal for input and output; without one: ringscope learn --list")
        return USAGE
    return _show(asked)


def table(shelf: tuple[Lesson, ...], known: Remembered) -> list[str]:
    """The lessons, a line each: number, how far it is, title, what it is about."""
    widest = max((len(one.title) for one in shelf), default=0)
    return [
        f"{one.number:>2}  {_state(one, known.lessons.get(one.name)):<10}  {one.title:<{widest}}  {one.about}"
        for one in shelf
    ]


def _state(one: Lesson, progress: Progress | None) -> str:
    if progress is None:
        return "-"
    return "done" if progress.done else f"page {progress.page + 1}/{len(one.pages)}"


def _forget(asked: Lesson | None) -> int:
    known = remembered.load()
    kept = {name: one for name, one in known.lessons.items() if asked is not None and name != asked.name}
    wrong = remembered.save(replace(known, lessons=kept))
    if wrong:
        complain(f"nothing is forgotten: {wrong}")
        return FAILED
    print(f"forgotten: {f'lesson {asked.number}' if asked else 'what was done of every lesson'}", flush=True)
    return OK


def _judge(options: argparse.Namespace, asked: Lesson | None) -> int:
    """A half that the learner wrote in a file, judged without a screen."""
    from inspector.commands.judging import judge_file

    half = getattr(options, "half", None)
    if half is None and asked is not None:
        half = next((part.half for page in asked.pages for part in page.parts if part.half), None)
    if half is None:
        complain("say which half the file is: --half split-driver, or the lesson that asks for it")
        return USAGE
    return judge_file(options.file, half)


def _show(asked: Lesson | None) -> int:
    from inspector.app import run
    from inspector.learning.bench import open_pair

    first = asked or lessons.shelf()[0]
    moving = open_pair(first.settings[""], first.queue)
    try:
        return run(moving.pair, first="lesson", lesson=asked.name if asked else None)
    finally:
        moving.pair.close()
        moving.wire.close()
