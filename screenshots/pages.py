"""A picture of every lesson: which of its pages, and how far the reader has come on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from posed import Even, Posed
from scenes import Picture, look, settled, until
from textual.pilot import Pilot

from dataplane.pair import Pair
from inspector.app import RingscopeApp
from inspector.learning import lesson as lessons
from inspector.learning.lesson import Lesson
from inspector.remembered import Progress
from inspector.screens.lesson import LessonScreen

#: By the lesson's name: the page's title, and how many of its parts are reached.
_PAGES = {
    "a-buffer-goes-round": ("Used", 4),
    "chains": ("The last link", 3),
    "indirect-tables": ("What the table says", 3),
    "full-and-empty": ("Full", 3),
    "notifications-and-flags": ("A call is left out", 3),
    "the-event-index": ("One comparison", 3),
    "packed-rings": ("A list of descriptors", 3),
    "wrap-counters": ("The second lap", 3),
    "mergeable-buffers": ("Two used entries for one frame", 4),
    "in-order": ("One entry for all", 4),
    "memory-barriers": ("Side by side", 2),
    "fixed-mapping": ("Nothing changes but the index", 3),
    "a-lost-kick": ("Was it wanted?", 2),
    "write-a-driver": ("Two calculations", 2),
    "write-a-device": ("Where a chain must end", 2),
}
_SIZE = (100, 30)
_README = ("a-buffer-goes-round", "Available", 3)  #: the lesson that README shows, larger


async def _read(pilot: Pilot[Any], posed: Posed, *, lesson: Lesson, title: str, parts: int) -> None:
    """Opens the lesson at a page and goes on to a part of it; a question before that is solved."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    page = next((at for at, one in enumerate(lesson.pages) if one.title == title), None)
    if page is None or parts > len(lesson.pages[page].parts):
        raise RuntimeError(f"lesson {lesson.name} has no page {title!r} of {parts} parts: mend pages.py")
    app.remember_lesson(lesson.name, Progress(page))
    screen = LessonScreen()

    def opened() -> bool:
        nonlocal screen
        if not isinstance(app.view, LessonScreen):
            return False
        screen = app.view
        return screen.course is not None and app.session.source is screen.course.pair

    await pilot.press("5")
    await until(pilot, f"lesson {lesson.name}", opened)
    await settled(pilot)
    course = screen.course
    assert course is not None
    while len(course.shown) < parts:
        before = course.part
        await pilot.press("ctrl+n" if course.waits else "enter")
        await until(pilot, "the next part", lambda before=before: course.part is not before)  # type: ignore[misc]
        await settled(pilot)
    await look(pilot)


def _picture(name: str, size: tuple[int, int], lesson: Lesson, title: str, parts: int) -> Picture:
    return Picture(
        name,
        size,
        lambda: Pair(frozen=True),
        partial(_read, lesson=lesson, title=title, parts=parts),
        Even,
        None,
        {"lesson": lesson.name},
    )


def pages() -> Iterator[Picture]:
    """README's lesson, and one picture of each."""
    name, title, parts = _README
    yield _picture("lesson", (120, 40), lessons.find(name), title, parts)
    for lesson in lessons.shelf():
        if lesson.name not in _PAGES:
            raise RuntimeError(f"lesson {lesson.name} has no picture: name one of its pages in pages.py")
        yield _picture(f"lessons/{lesson.number:02}-{lesson.name}", _SIZE, lesson, *_PAGES[lesson.name])
