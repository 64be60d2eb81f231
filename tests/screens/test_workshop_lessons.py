"""The lessons on faults show what they say on the wire too, and a lesson's workshop is passed by keys."""

from __future__ import annotations

from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.source import START
from dataplane.workshop.judging import HALVES
from inspector.learning import lesson as lessons
from inspector.learning.course import Course
from inspector.screens.lesson import LessonScreen
from inspector.screens.workshop import WorkshopScreen
from tests.screens.at_lessons import app_for, following, opened


def _sent(course: Course) -> list[int]:
    """Lengths of the frames that the lesson's device has sent, as the frame log has them."""
    rows = course.pair.frames(START).rows
    return [int(row["length"]) for row in rows if row["queue"] == 1]


def _to(course: Course, title: str) -> None:
    """To the end of the page with this title."""
    while course.page.title != title or not course.page_done:
        assert not course.finished, f"no page is called {title!r}"
        if course.waits:
            course.solve()
        else:
            course.on()


def test_without_the_barrier_the_frame_before_is_sent_again_and_with_it_the_right_one() -> None:
    course = Course(lessons.find("memory-barriers"))
    try:
        _to(course, "The order that is meant")
        assert _sent(course) == [300, 60]
        _to(course, "What is left of it")
        assert _sent(course) == [300, 300]
        assert course.facts()["driver"]["broken"]
        _to(course, "The barrier")
        assert _sent(course) == [300, 60]
        assert not course.facts()["driver"]["broken"]
        assert course.failed == ()
    finally:
        course.close()


def test_the_lost_kick_stays_lost_until_one_is_sent_by_hand() -> None:
    course = Course(lessons.find("a-lost-kick"))
    try:
        _to(course, "Why nothing mends it")
        before = course.facts()
        assert (before["published"], before["seen"]) == (5, 2)
        for side in (*Side, *Side):  # nothing that the sides do by themselves helps
            course.pair.step(side, "operation", 5)
        course.bench.read()
        assert course.facts()["seen"] == 2
        _to(course, "The proof")
        assert course.facts()["collected"] == 5
    finally:
        course.close()


async def test_a_workshop_is_opened_and_passed_from_its_lesson() -> None:
    lesson = lessons.find("write-a-driver")
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, lesson)
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            course = following(screen)
            while course.part.part.kind != "workshop":
                await pilot.press("ctrl+n" if course.waits else "enter")
                await app.workers.wait_for_complete()
                await pilot.pause()
            assert course.waits
            await pilot.press("enter")
            await pilot.pause()
            workshop = app.screen
            assert isinstance(workshop, WorkshopScreen)
            assert workshop.half.name == "split-driver"
            workshop.editor.load_text(HALVES["split-driver"].solution)
            await pilot.press("ctrl+r")
            await app.workers.wait_for_complete()
            await pilot.pause()
            await pilot.press("escape")
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert isinstance(app.screen, LessonScreen)
            assert not following(screen).waits
            assert following(screen).part.state == "done"
