"""Lessons without a screen: what is written wrong is said, what is asked is checked against the ring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dataplane.records import Kind, Side
from dataplane.script.expression import Unsound as FactError
from dataplane.source import START
from inspector.learning import lesson as lessons
from inspector.learning import ringfacts, verbs
from inspector.learning.course import Course, number
from inspector.learning.lesson import LessonError, parse
from inspector.learning.marks import marks_of
from inspector.learning.ringfacts import evaluate, written

HEAD = '+++\ntitle = "T"\nabout = "A"\nqueue = "tx0"\nstart = ["settle"]\n[pair]\nqueue_size = 4\n+++\n'


@contextmanager
def followed(body: str, head: str = HEAD, page: int = 0) -> Iterator[Course]:
    course = Course(parse(head + body, "test"), page)
    try:
        yield course
    finally:
        course.close()


@contextmanager
def followed_file(name: str) -> Iterator[Course]:
    course = Course(lessons.find(name))
    try:
        yield course
    finally:
        course.close()


SMALL = """\
# One
Nothing yet: {avail_idx}.
@expect avail_idx == 0
@step send 60; driver until kick
Now {was.avail_idx} is {avail_idx}, slot 0 is {owner[0]}.
@expect avail_idx == 1
@ask number
How many?
@answer avail_idx + 2
@right Three.
@hint It is {avail_idx} and two.
# Two
@ask choice
Which?
@option avail_idx == 0 :: none
No: {avail_idx}.
@option avail_idx == 1 :: one
@option avail_idx == 2 :: two
@free used == 1
Go on.
@do device until flush
"""


def test_parts_come_one_by_one_with_the_numbers_of_the_ring() -> None:
    with followed(SMALL) as course:
        assert course.part.prose == "Nothing yet: 0." and not course.waits
        course.on()
        assert course.part.prose == "Now 0 is 1, slot 0 is available."
        assert ("avail_idx", 0, "") in course.marks and ("desc", 0, "addr") in course.marks
        assert not course.finished and course.failed == ()


def test_a_wrong_answer_gets_its_hint_and_may_be_tried_again() -> None:
    with followed(SMALL) as course:
        course.on()
        course.on()
        assert course.on().style == "flux" and course.waits
        assert course.answer("four") == (False, "answer with a number; 0x begins a hexadecimal one")
        assert course.answer("2") == (False, "It is 1 and two.")
        assert course.part.reply == "It is 1 and two." and course.waits
        assert course.answer("0x3") == (True, "Three.")
        assert course.part.state == "right" and course.page_done
        course.on()
        course.on()
        assert course.answer("z")[0] is False
        assert course.answer("a") == (False, "No: 1.")
        assert course.answer("b")[0] is True


def test_nobody_is_stuck_in_a_question_or_where_they_drive() -> None:
    with followed(SMALL, page=1) as course:
        course.on()
        course.solve()
        assert course.part.state == "shown" and "b" in course.part.reply
        course.on()
        assert course.part.part.kind == "free" and course.waits
        assert course.on().style == "flux"
        course.solve()
        assert course.facts()["used"] == 1 and course.finished
        assert course.on().text == "this was the last page"


def test_free_driving_ends_when_the_ring_says_so() -> None:
    with followed(SMALL, page=1) as course:
        course.on()
        course.solve()
        course.on()
        for _ in range(40):
            course.pair.step(Side.DEVICE, "operation", 1)
            if course.pair.snapshot().queue(1).used == 1:
                break
        course.on()
        assert course.part.state == "done" and course.finished


def test_back_goes_to_the_beginning_of_the_page_and_then_to_the_one_before() -> None:
    with followed(SMALL) as course:
        for _ in range(2):
            course.on()
        course.solve()
        course.on()
        course.on()
        assert (course.at, len(course.shown)) == (1, 2)
        course.back()
        assert (course.at, len(course.shown)) == (1, 1) and course.facts()["avail_idx"] == 1
        course.back()
        assert (course.at, len(course.shown)) == (0, 1) and course.facts()["avail_idx"] == 0
        assert course.back().text == "this is the first page"
        assert len(course.retired) >= 2
        course.sweep()
        assert course.retired == []


def test_a_pair_that_was_driven_elsewhere_is_put_back() -> None:
    with followed(SMALL) as course:
        course.on()
        course.pair.step(Side.DEVICE, "turn", 4)
        assert course.moved
        said = course.on()
        assert said.style == "flux" and "back" in said.text
        assert course.facts()["seen"] == 0 and course.part.part.kind == "question"


def test_a_pair_that_somebody_lets_run_is_put_back() -> None:
    with followed(SMALL) as course:
        course.on()
        course.pair.run()
        assert course.moved
        said = course.on()
        assert said.style == "flux" and course.pair.frozen and not course.moved
        assert course.facts()["seen"] == 0 and course.part.part.kind == "question"


def test_an_answer_that_cannot_be_read_is_told_beside_the_question() -> None:
    with followed(SMALL) as course:
        course.on()
        course.on()
        assert course.answer("two") == (False, "answer with a number; 0x begins a hexadecimal one")
        assert course.part.reply.startswith("answer with a number") and course.waits
        course.solve()
        course.on()
        course.on()
        course.answer("d")
        assert course.part.reply == "answer with a letter: a, b or c" and course.waits


def sent(course: Course) -> list[bytes]:
    """The frames that the device of a lesson has taken from tx0, in order."""
    frames = course.pair.frames(START)
    ends = frames.rows["captured"].cumsum()
    return [
        bytes(frames.data[int(end) - int(row["captured"]) : int(end)])
        for row, end in zip(frames.rows, ends, strict=True)
    ]


def to_page(course: Course, title: str) -> None:
    """On to the beginning of a page, every question answered from the ring."""
    while course.page.title != title:
        assert not course.finished
        _ = course.solve() if course.waits else course.on()


def test_without_its_barrier_the_device_really_sends_the_wrong_frame() -> None:
    with followed_file("memory-barriers") as course:
        to_page(course, "The wrong frame")
        assert [len(one) for one in sent(course)] == [300]
        to_page(course, "What is left of it")
        first, second = sent(course)
        assert second == first and len(first) == 300
        stores = course.pair.events(START).rows
        stores = stores[(stores["kind"] == Kind.STORE) & (stores["side"] == Side.DRIVER)]
        shape = course.bench.shape
        entry, index = shape.driver_addr + 4 + 2, shape.driver_addr + 2
        late = [int(place) for place in stores["place"] if int(place) in (entry, index)]
        assert late[-2:] == [index, entry]
        to_page(course, "Side by side")
        assert [len(one) for one in sent(course)] == [300, 60] and course.failed == ()
        cells = [line.split() for line in course.part.prose.splitlines()]
        assert ["sent,", "header", "included", "312", "72"] in cells
        assert ["entry", "1", "used:", "id", "0", "2"] in cells
        assert ["the", "driver", "gave", "up", "goes", "on"] in cells


def test_a_claim_that_does_not_hold_is_told() -> None:
    with followed("# P\n@expect avail_idx == 7\n") as course:
        assert course.failed == ("line 10: avail_idx == 7 does not hold",)


def test_pages_may_have_another_pair_and_remember_the_one_before() -> None:
    late = "[settings.late]\nstart_index = 9\nstart = []\n+++\n"
    body = (
        "# A\n@step send 60; driver until publish\n# B\n@setting late\n{kept.first.avail_idx} {avail_idx}\n"
    )
    with followed(body, HEAD.removesuffix("+++\n") + late) as course:
        first = course.pair
        course.on()
        course.on()
        assert course.part.prose == "1 9" and course.pair is not first


def test_another_queue_can_be_shown() -> None:
    with followed("# A\n{size} {published}\n# B\n@queue rx0\n{published} {queues.tx0.published}\n") as course:
        assert course.part.prose == "4 0"
        course.on()
        assert course.part.prose == "4 0" and course.bench.shape.name == "rx0"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must begin with TOML"),
        ("+++\ntitle = \n+++\n# P\n", "lesson test: "),
        (HEAD, "it has no page"),
        (HEAD + "text\n", "line 9: the first page begins"),
        (HEAD + "@look desc[0]\n", "line 9: @look stands before the first page"),
        (HEAD + "# P\n@jump 3\n", "line 10: @jump is not known"),
        (HEAD + "# P\n@step fly\n", "line 10: 'fly' is no verb"),
        (HEAD + "# P\n@step\n", "line 10: @step says nothing"),
        (HEAD + "# P\n@expect 1 +\n", "line 10: '1 +' is no expression"),
        (HEAD + "# P\n@ask colour\n", "line 10: @ask is followed by number, choice or slot"),
        (HEAD + "# P\n@ask number\nHow?\n", "line 10: the question has no @answer"),
        (HEAD + "# P\n@ask choice\n@option 1 :: a\n", "line 10: a choice has at least two"),
        (HEAD + "# P\n@answer 3\n", "line 10: this belongs to a question"),
        (HEAD + "# P\n@do settle\n", "line 10: @do stands in a part that begins with @free"),
        (HEAD + "# P\n@setting other\n", "no setting is called 'other'"),
        (HEAD.replace("queue", "quoue", 1) + "# P\n", "title, about and queue"),
        (HEAD.replace('"settle"', '"sottle"') + "# P\n", "head: 'sottle' is no verb"),
        (HEAD.replace("[pair]", "[pear]") + "# P\n", "nothing is called pear at its head"),
    ],
)
def test_what_is_written_wrong_is_said_in_one_line(text: str, told: str) -> None:
    with pytest.raises(LessonError) as caught:
        parse(text, "test")
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("# P\n{nothing}\n", "nothing is called 'nothing'"),
        ("# P\n@look desc\n", "names no cell"),
        ("# P\n@queue rx9\n", "its pair has no queue 'rx9'"),
        ("# P\n@step device until publish\n", "line 10"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(body: str, told: str) -> None:
    with pytest.raises((LessonError, FactError)) as caught, followed(body) as course:
        course.on()
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_pair_that_cannot_be_is_said() -> None:
    for line in ("queue_size = 5", 'path = "crooked"', "wheels = 4"):
        with pytest.raises(LessonError), followed("# P\n", HEAD.replace("queue_size = 4", line)):
            pass


KNOWN = {"idx": 65535, "desc": {0: {"flags": 0x8080}}, "word": "used", "was": {"idx": 3}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("idx + 1", 65536),
        ("u16(idx + 1)", 0),
        ("was.idx * 2 - 1", 5),
        ("desc[0].flags & USED != 0", 1),
        ("bit(desc[0].flags, 7)", 1),
        ("passed(65534, 2, 65534)", 1),
        ("passed(5, 5, 3)", 0),
        ("word == 'used' and not idx < 3", 1),
        ("7 if idx in (1, 65535) else 8", 7),
        ("~0 & 0xf", 15),
        ("1 << 4 | 1", 17),
    ],
)
def test_expressions(text: str, value: int) -> None:
    assert evaluate(text, KNOWN) == value


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "idx.__class__", "word.upper()", "open('x')", "[x for x in (1,)]", "lambda: 1",
     "2 ** 9", "1 << 1000", "1 // 0", "desc", "desc[9]", "nobody", "'a' + 'b'", "1 +", "u16()", "x" * 500,
     "desc[0]", "f'{idx}'", "(1).real", "idx := 3", "was['idx'].x", "load16(4)"],
)  # fmt: skip
def test_nothing_else_is_an_expression(text: str) -> None:
    with pytest.raises(FactError) as caught:
        evaluate(text, KNOWN)
    assert "\n" not in str(caught.value)


def test_numbers_are_written_as_prose_wants_them() -> None:
    known = {"n": 0x8080, "driver_off": 0}
    assert [written(f"n{form}", known) for form in ("", ":x", ":b", ":flags")] == [
        "32896", "0x8080", "1000000010000000", "AVAIL USED",
    ]  # fmt: skip
    with pytest.raises(FactError):
        written("n:q", known)


def test_numbers_as_they_are_typed() -> None:
    assert [number(text) for text in ("12", " 0x10 ", "65,535", "", "0x", "twelve", "1" * 30)] == [
        12, 16, 65535, None, None, None, None,
    ]  # fmt: skip


def test_cells_are_named_by_expressions() -> None:
    with followed("# P\n") as course:
        known, shape = course.facts(), course.bench.shape
        for text, mark in (
            ("desc[avail_idx].len", ("desc", 0, "len")),
            ("owner[1]", ("desc", 1, "owner")),
            ("used_ring[3].id", ("used_ring", 3, "id")),
            ("avail_ring[0]", ("avail_ring", 0, "")),
            ("table[2][1].addr", ("tables", 2 * shape.table_entries + 1, "addr")),
            ("used_event", ("used_event", 0, "")),
            ("seen", ("seen", 0, "")),
            ("driver.free", ("own_driver", 0, "free")),
        ):
            assert marks_of(text, known, shape) == {mark}
        assert marks_of("used_ring[1]", known, shape) == {("used_ring", 1, "id"), ("used_ring", 1, "len")}
        assert ("desc", 2, "flags") in marks_of("desc[2]", known, shape)


@pytest.mark.parametrize(
    "text",
    ["driver fly", "device until lunch", "send", "send 10", "receive x", "fault nothing driver",
     "fault drop_store nobody", "fault lose_kick device", "fault drop_store driver desc after some"],
)  # fmt: skip
def test_what_is_no_verb_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        verbs.parse_verbs(text)
    assert "\n" not in str(caught.value)


def test_verbs_are_understood() -> None:
    one, two, three = verbs.parse_verbs("driver 2 stores; send 60 x3; fault lose_kick driver on tx0 after 1")
    assert one.sides == {Side.DRIVER} and one.items[0].count == 2
    assert (two.length, two.count) == (60, 3) and two.sides == {Side.DRIVER}
    assert three.fault is not None and three.fault.after == 1 and three.queue == "tx0"


def test_lessons_are_found_by_number_name_and_part_of_it() -> None:
    first = lessons.shelf()[0]
    assert all(lessons.find(asked) is first for asked in ("1", "01", first.name, "goes-round", " GOES ROUND"))
    for asked in ("99", "", "nonsense", "ring"):
        with pytest.raises(LessonError) as caught:
            lessons.find(asked)
        assert "\n" not in str(caught.value)


def test_the_shelf_is_whole() -> None:
    shelf = lessons.shelf()
    assert len(shelf) >= 13
    assert [one.number for one in shelf] == list(range(1, len(shelf) + 1))
    assert len({one.name for one in shelf}) == len(shelf)


@pytest.mark.parametrize("lesson", lessons.shelf(), ids=lambda one: one.name)
def test_every_claim_of_every_lesson_holds(lesson: lessons.Lesson) -> None:
    course = Course(lesson)
    try:
        while not course.finished:
            if course.waits:
                question = course.part.part.question
                if question is not None and question.options:
                    truth = [ringfacts.holds(one.when.text, course.facts()) for one in question.options]
                    assert truth.count(True) == 1, f"line {course.part.part.line}"
                course.solve()
            else:
                course.on()
            assert course.failed == ()
        claims = sum(len(part.expect) for page in lesson.pages for part in page.parts)
        assert claims >= len(lesson.pages)
        course.sweep()
    finally:
        course.close()
