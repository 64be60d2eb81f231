"""Following a lesson by keys: what a test types, and the answers from the ring."""

from __future__ import annotations

from collections.abc import Callable

from textual.pilot import Pilot

from dataplane.pair import Pair
from inspector.app import RingscopeApp
from inspector.learning import lesson as lessons
from inspector.learning import ringfacts
from inspector.learning.course import Course
from inspector.learning.lesson import Lesson
from inspector.screens.lesson import LessonScreen


def app_for(pair: Pair, lesson: Lesson) -> RingscopeApp:
    """The app as `ringscope learn NAME` opens it; `pair` is what it looks at until the lesson is there."""
    return RingscopeApp(pair, first="lesson", lesson=lesson.name)


async def opened(app: RingscopeApp, pilot: Pilot[int]) -> LessonScreen:
    """The screen, once the lesson is open."""
    for _ in range(200):
        await pilot.pause(0.01)
        screen = app.view
        course = screen.course if isinstance(screen, LessonScreen) else None
        if course is not None and app.shown is not None and app.session.source is course.pair:
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert isinstance(screen, LessonScreen)
            return screen
    raise AssertionError("the lesson does not open")


def following(screen: LessonScreen) -> Course:
    """Where the reader is."""
    assert screen.course is not None
    return screen.course


def answers(course: Course) -> tuple[str, str]:
    """(a wrong answer, the right one) to the question that is asked now."""
    question = course.part.part.question
    assert question is not None
    known = course.facts()
    if question.answer is not None:
        right = ringfacts.evaluate(question.answer.text, known)
        assert isinstance(right, int)
        return str(right + 1), str(right)
    truth = [ringfacts.holds(option.when.text, known) for option in question.options]
    assert truth.count(True) == 1, f"line {course.part.part.line}: {truth} is not one right option"
    return "abcdefgh"[truth.index(False)], "abcdefgh"[truth.index(True)]


async def type_answer(pilot: Pilot[int], text: str) -> None:
    await pilot.press(*text, "enter")
    await pilot.pause()


async def follow(screen: LessonScreen, pilot: Pilot[int], look: Callable[[Course], None]) -> None:
    """From here to the lesson's last part: each key, each question wrong once and then right."""
    for _ in range(400):
        course = following(screen)
        look(course)
        if course.finished:
            return
        if not course.waits:
            await pilot.press("enter")
        elif course.part.part.kind == "question":
            wrong, right = answers(course)
            await type_answer(pilot, wrong)
            assert course.waits and course.part.reply
            look(course)
            await type_answer(pilot, right)
            assert course.part.state == "right", f"line {course.part.part.line}: {right} is not taken"
        elif course.part.part.kind == "free":
            await pilot.press("enter")
            assert course.waits, "free driving was over before it began"
            await pilot.press("ctrl+n")
        else:
            await pilot.press("ctrl+n")
        await pilot.pause()
    raise AssertionError("the lesson does not end")


def by_name(name: str) -> Lesson:
    return lessons.find(name)
