"""Every lesson, followed from its first page to its last by keys: true, answerable, and never cut."""

from __future__ import annotations

import pytest

from dataplane.pair import Pair
from inspector import remembered
from inspector.app import RingscopeApp
from inspector.cli import main, parser
from inspector.commands.learning import learn
from inspector.learning import lesson as lessons
from inspector.learning.course import Course
from inspector.learning.lesson import Lesson
from inspector.remembered import Progress
from inspector.screens.lesson import LessonScreen
from inspector.screens.lessonlist import LessonList
from inspector.screens.lessonrows import RING_LEAST
from inspector.widgets.answer import Answer, Table
from inspector.widgets.prose import Prose
from tests.screens.at_lessons import app_for, follow, following, opened

SHELF = lessons.shelf()
NAMES = [f"{one.number:02}-{one.name}" for one in SHELF]


def whole(prose: Prose, course: Course) -> None:
    """Nothing of the page is out of sight, nothing wider than its pane."""
    tight, _ = prose.needed(prose.size.width)
    where = f"{course.lesson.name}, page {course.at + 1}: {course.page.title!r}"
    assert tight <= prose.size.height, f"{where} has {tight} rows for {prose.size.height}"


def out_of_sight(screen: LessonScreen, course: Course) -> list[str]:
    """What a step lit up and does not show: its pane, or the row, has no room."""
    if course.part.part.kind != "step":
        return []
    told = []
    for wanted, area in (("table", {"desc", "tables"}), ("areas", {"avail_ring", "used_ring"})):
        rows = {row for name, row, _ in course.marks if name in area}
        frame = screen.query_one(f"#frame-{wanted}")
        least = 2 + (5 if wanted == "areas" else 0) + len(rows)
        if rows and (not frame.display or frame.size.height < least):
            told.append(f"line {course.part.part.line}: {wanted} has {frame.size.height} rows, not {least}")
    return told


@pytest.mark.parametrize("lesson", SHELF, ids=NAMES)
async def test_every_lesson_is_followed_to_its_end_by_keys(lesson: Lesson) -> None:
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, lesson)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            prose = screen.query_one(Prose)
            cut: list[str] = []
            hidden: list[str] = []

            def look(course: Course) -> None:
                assert course.failed == ()
                hidden.extend(out_of_sight(screen, course))
                assert screen.query_one("#right").size.height >= RING_LEAST
                try:
                    whole(prose, course)
                except AssertionError as error:
                    cut.append(str(error))

            await follow(screen, pilot, look)
            assert not cut, "\n".join(dict.fromkeys(cut))
            assert not hidden, "\n".join(dict.fromkeys(hidden))
            assert following(screen).at == len(lesson.pages) - 1
    assert remembered.load().lessons[lesson.name].done


@pytest.mark.parametrize("size", [(100, 30), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_no_page_is_cut_where_prose_and_ring_stand_side_by_side(size: tuple[int, int]) -> None:
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, SHELF[0])
        async with app.run_test(size=size) as pilot:
            screen = await opened(app, pilot)
            prose = screen.query_one(Prose)
            height = screen.query_one("#left").size.height - 2  # the answer, and the line of keys
            cut = []
            for lesson in SHELF:
                prose.course = course = Course(lesson)
                while True:
                    tight, _ = prose.needed(prose.size.width)
                    if tight > height:
                        cut.append(f"{lesson.name}, page {course.at + 1}: {tight} rows for {height}")
                    if course.finished:
                        break
                    _ = course.solve() if course.waits else course.on()
                course.close()
            prose.course = following(screen)
            assert not cut


async def test_keys_go_on_back_and_away(lesson: Lesson = SHELF[0]) -> None:
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, lesson)
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await pilot.press("enter", "s", "enter")
            course = following(screen)
            assert (course.at, len(course.shown)) == (1, 3)
            assert course.marks == {("desc", 2, "addr")} == screen.query_one(Table).marks
            assert app.session.source is course.pair
            await pilot.press("backspace")
            assert (course.at, len(course.shown)) == (1, 1)
            assert app.session.source is course.pair
            await pilot.press("backspace")
            assert (course.at, len(course.shown)) == (0, 1)
            await pilot.press("escape")
            assert isinstance(app.screen, LessonList)
            await pilot.press("down", "enter")
            await pilot.pause()
            assert following(screen).lesson is SHELF[1]
            await pilot.press("1")
            await pilot.pause()
            assert app.current_mode == "rings" and app.session.source is following(screen).pair
            await pilot.press("5")
            await pilot.pause()
            assert app.view is screen


async def test_free_driving_by_s_is_over_as_soon_as_the_ring_says_so() -> None:
    lesson = SHELF[0]
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, lesson)
        app.remember_lesson(lesson.name, Progress(len(lesson.pages) - 1))
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            course = following(screen)
            await pilot.press("enter", "enter")
            assert course.waits and course.part.part.kind == "free"
            counts = []
            for _ in range(12):
                if not course.waits:
                    break
                await pilot.press("s")
                await app.workers.wait_for_complete()
                for _ in range(200):
                    if app.shown is not None and app.shown.snapshot.number == course.pair.snapshot(()).number:
                        break
                    await pilot.pause(0.01)
                assert app.shown is not None
                counts.append(app.shown.snapshot.queue(1).collected)
            assert counts == [*[2] * (len(counts) - 1), 3], "it was over too late, or too early"
            assert course.finished and course.part.state == "done"
            assert "there it is" in "".join(strip.text for strip in screen.query_one(Prose).draw(80, 20))
    assert remembered.load().lessons[lesson.name].done


async def test_the_slot_of_an_answer_is_chosen_in_the_table() -> None:
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, SHELF[0])
        app.remember_lesson(SHELF[0].name, Progress(5))
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await pilot.press("enter", "enter", "down", "down", "down")
            assert screen.query_one(Answer).value == "2"
            await pilot.press("enter")
            await pilot.pause()
            assert following(screen).part.state == "right"


async def test_progress_is_kept_between_visits_and_what_is_done_stays_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = SHELF[0].name
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, SHELF[0])
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await pilot.press("enter", "enter")
            await pilot.pause()
    assert remembered.load().lessons == {name: Progress(1)}
    assert main(["learn", "--list"]) == 0
    assert f"page 2/{len(SHELF[0].pages)}" in capsys.readouterr().out.splitlines()[0]
    with Pair(frozen=True) as pair:
        pair.start()
        app = app_for(pair, SHELF[0])
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            assert following(screen).at == 1
            app.remember_lesson(name, Progress(6, True))
            app.remember_lesson(name, Progress(0))
    assert remembered.load().lessons[name] == Progress(0, True)
    assert main(["learn", "--list"]) == 0
    assert " done " in capsys.readouterr().out.splitlines()[0]


async def test_the_source_of_before_comes_back_when_the_lessons_are_left() -> None:
    with Pair(queue_size=8) as pair:
        pair.start()
        app = RingscopeApp(pair, lesson=SHELF[0].name)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            await pilot.press("5")
            screen = await opened(app, pilot)
            lessons_pair = following(screen).pair
            assert pair.frozen and app.session.source is lessons_pair
            await pilot.press("escape", "x")
            await pilot.pause()
            assert app.session.source is pair and app.current_mode == "rings" and not pair.frozen
            with pytest.raises(RuntimeError):
                lessons_pair.snapshot()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "no lesson is called 'nowhere'; there are 1 to"),
        (["99"], "no lesson is called '99'"),
        (["ring"], "more than one lesson is called 'ring'"),
        (["1"], "need a terminal"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(parser().parse_args(["learn", *arguments])) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1 and not said.out


def test_the_list_names_every_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [one.title in line for one, line in zip(SHELF, lines, strict=True)] == [True] * len(SHELF)
