"""The view of a list: against plain Python lists, whatever is asked for while frames come and go."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from capture.batch import SORTABLE
from capture.frame import STAGES, Array, records
from capture.play import load_mix
from capture.store import Block, FrameStore
from capture.view import FrameView

COLUMNS = ["number", "length", "latency"]


@dataclass(frozen=True)
class Of:
    """Frames whose length leaves a rest, and whose buffer has been used if that is asked for."""

    modulus: int
    needs_stages: bool = False

    @property
    def text(self) -> str:
        return f"length % {self.modulus} == 0" + (" and used" if self.needs_stages else "")

    def mask(self, block: Block) -> Array:
        hit: Array = block.rows["length"] % self.modulus == 0
        return hit & (block.stages["used"] > 0) if self.needs_stages else hit

    def matches(self, length: int, used: int) -> bool:
        return length % self.modulus == 0 and (used > 0 or not self.needs_stages)


def keys(block: Block, column: str) -> Array:
    return (
        block.stages["used"].astype(np.int64)
        if column == "latency"
        else block.rows["length"].astype(np.int64)
    )


def put(store: FrameStore, lengths: list[int]) -> None:
    rows = records(len(lengths))
    rows["length"], rows["captured"] = lengths, 20
    store.append(rows, bytes(20 * len(lengths)), np.arange(len(lengths)) * 20)


class Model(RuleBasedStateMachine):
    """What a list shows is what one pass over plain lists would show."""

    def __init__(self) -> None:
        super().__init__()
        self.store = FrameStore(20_000)
        self.view = FrameView(self.store, keys)
        self.lengths: list[int] = []
        self.used: list[int] = []
        self.settled = 0
        self.filter: Of | None = None
        self.sort: tuple[str | None, bool] = (None, False)
        self.marks: set[int] = set()

    @rule(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=120))
    def come(self, lengths: list[int]) -> None:
        put(self.store, lengths)
        self.lengths += lengths
        self.used += [0] * len(lengths)

    @precondition(lambda self: self.settled < len(self.lengths))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Stages of the next frames become final."""
        stop = data.draw(st.integers(self.settled, len(self.lengths)))
        stages = np.zeros(stop - self.settled, STAGES)
        stages["used"] = (np.arange(self.settled, stop) * 7) % 5
        self.used[self.settled : stop] = stages["used"].tolist()
        self.store.set_stages(self.settled + 1, stages)
        self.settled = stop

    @rule(modulus=st.integers(1, 4), staged=st.booleans())
    def filters(self, modulus: int, staged: bool) -> None:
        self.filter = Of(modulus, staged)
        self.view.set_filter(self.filter)

    @rule()
    def filters_no_more(self) -> None:
        self.filter = None
        self.view.set_filter(None)

    @rule(column=st.sampled_from([None, *COLUMNS]), descending=st.booleans())
    def orders(self, column: str | None, descending: bool) -> None:
        self.sort = (column, descending)
        self.view.set_sort(column, descending)

    @rule(frames=st.integers(1, 64))
    def a_step(self, frames: int) -> None:
        self.view.advance(self.settled, frames)

    @rule(data=st.data())
    def marks_one(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.lengths) + 1))
        kept = self.store.first <= number <= self.store.last
        self.marks = {mark for mark in self.marks if mark >= self.store.first}
        if number in self.marks:
            self.marks.remove(number)
        elif kept:
            self.marks.add(number)
        assert self.view.mark(number) == (number in self.marks)

    def expected(self) -> list[int]:
        column, descending = self.sort
        numbers = [
            n
            for n in range(self.store.first, self.store.last + 1)
            if self.filter is None or self.filter.matches(self.lengths[n - 1], self.used[n - 1])
        ]
        if column == "length":
            numbers.sort(key=lambda n: self.lengths[n - 1])
        elif column == "latency":
            numbers.sort(key=lambda n: self.used[n - 1])
        return numbers[::-1] if descending else numbers

    @rule(frames=st.integers(1, 500))
    def is_what_it_should_be(self, frames: int) -> None:
        while self.view.advance(self.settled, frames):
            pass
        shown, expected = self.view.shown, self.expected()
        assert shown.complete
        assert shown.lines(0, 1 << 40) == expected
        assert shown.ascending().tolist() == sorted(expected)
        assert [shown.position(number) for number in expected] == list(range(len(expected)))
        assert shown.filter_text == (self.filter.text if self.filter else "")

    @invariant()
    def positions_are_those_of_the_numbers(self) -> None:
        shown = self.view.shown
        numbers = shown.lines(0, 1 << 40)
        assert len(numbers) == len(shown) == len(set(numbers))
        for position in range(0, len(numbers), max(len(numbers) // 5, 1)):
            assert shown.number(position) == numbers[position]
            assert shown.position(numbers[position]) == position
        assert 0.0 <= shown.progress <= 1.0
        self.marks = {mark for mark in self.marks if mark >= self.store.first}
        assert self.view.marks.tolist() == sorted(self.marks)

    @invariant()
    def the_next_mark_is_the_next_one_shown(self) -> None:
        shown = self.view.shown
        numbers = shown.lines(0, 1 << 40)
        places = [at for at, number in enumerate(numbers) if number in self.marks]
        here = len(numbers) // 2
        for step in (1, -1):
            found = self.view.next_mark(numbers[here], step) if numbers else None
            after = [at for at in places if (at > here if step > 0 else at < here)] or places
            assert found == (numbers[after[0 if step > 0 else -1]] if after else None)

    @invariant()
    def the_nearest_is_not_further_than_any(self) -> None:
        shown = self.view.shown
        wanted = self.store.first + (self.store.last - self.store.first) // 3
        at = shown.nearest(wanted)
        assert (at is None) == (len(shown) == 0)
        if at is not None:
            gap = abs(shown.number(at) - wanted)
            assert gap == min(abs(number - wanted) for number in shown.lines(0, 1 << 40))


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_last_good_result_stays_until_the_new_one_is_whole() -> None:
    store = FrameStore()
    put(store, list(range(100)))
    view = FrameView(store, keys)
    view.set_filter(Of(2))
    while view.advance():
        pass
    view.set_filter(Of(5))
    assert view.advance(frames=60), "there is more to look at"
    half = view.shown
    assert (half.filter_text, half.complete, half.progress) == (Of(2).text, False, 0.6)
    put(store, [2, 5])
    assert not view.advance(frames=60)
    assert view.shown.filter_text == Of(5).text
    assert len(view.shown) == 21


def test_what_is_shown_grows_while_another_order_is_worked_out() -> None:
    store = FrameStore()
    put(store, [3, 1, 2] * 20)
    view = FrameView(store, keys)
    view.set_filter(Of(3))
    view.advance()
    view.set_sort("length")
    put(store, [3])
    view.advance(frames=5)
    assert view.shown.ascending()[-1] == 61
    assert not view.shown.complete


def test_a_picture_never_changes_under_its_reader() -> None:
    store = FrameStore(20_000)
    put(store, [2] * 50)
    view = FrameView(store, keys)
    view.set_filter(Of(2))
    view.advance()
    held, numbers = view.shown, view.shown.lines(0, 1 << 40)
    for _ in range(40):
        put(store, [2] * 50)
        view.advance()
    assert view.shown.numbers[0] > 50
    assert held.lines(0, 1 << 40) == numbers


def test_without_a_filter_and_an_order_nothing_is_kept_of_the_frames() -> None:
    store = FrameStore()
    put(store, [1] * 5000)
    view = FrameView(store)
    assert view.shown.numbers == range(1, 5001)
    view.set_sort("number", descending=True)
    assert view.plain
    assert view.shown.lines(0, 3) == [5000, 4999, 4998]
    assert not view.advance()


def test_another_filter_ends_the_one_at_work() -> None:
    store = FrameStore(1 << 22)
    put(store, [1] * 60_000)

    class Nosy(Of):
        def mask(self, block: Block) -> Array:
            seen.append(len(block.rows))
            view.set_filter(Of(1))
            return super().mask(block)

    seen: list[int] = []
    view = FrameView(store, keys)
    view.set_filter(Nosy(1))
    assert view.advance()
    assert len(seen) == 1, "the blocks after the first were not looked at"
    while view.advance():
        pass
    assert view.shown.filter_text == Of(1).text


def test_any_thread_may_look_and_ask_while_one_advances() -> None:
    store = FrameStore(1 << 18)
    view = FrameView(store, keys)
    done = threading.Event()
    wrong: list[str] = []

    def look() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            view.set_filter(None if turn % 7 == 0 else Of(1 + turn % 3))
            view.set_sort(COLUMNS[turn % 3], turn % 2 == 0)
            shown = view.shown
            numbers = shown.lines(0, 50)
            if any(shown.position(number) != at for at, number in enumerate(numbers)):
                wrong.append(f"turn {turn}")

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(200):
        put(store, [turn % 12] * 30)
        view.advance(store.last - 10, 100)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    while view.advance():
        pass
    assert view.shown.complete


def test_lines_outside_the_list() -> None:
    shown = FrameView(FrameStore()).shown
    assert shown.lines(0, 10) == []
    assert shown.nearest(7) is None
    with pytest.raises(IndexError, match="line 0 of 0"):
        shown.number(0)


@pytest.mark.parametrize("column", SORTABLE)
def test_every_column_that_can_be_sorted_by(column: str) -> None:
    """With the keys that the list uses, frames that come later and those that are dropped included."""
    frames = load_mix()
    rows = records(len(frames))
    rows["captured"] = rows["length"] = [len(frame.data) for frame in frames]
    rows["time"] = [1_700_000_000_000_000_000 + frame.offset_ns for frame in frames]
    rows["direction"] = [frame.direction for frame in frames]
    rows["origin_queue"], rows["head"] = rows["direction"] ^ 1, np.arange(len(frames)) % 37
    octets = b"".join(frame.data for frame in frames)
    offsets = np.cumsum(rows["captured"]) - rows["captured"]
    store = FrameStore(1 << 19)
    view = FrameView(store)
    view.set_sort(column)
    for start in range(0, len(frames), 200):
        store.append(rows[start : start + 200], octets, offsets[start : start + 200])
        stages = np.zeros(200, STAGES)
        stages["available"], stages["used"] = 1000, 1000 + np.arange(200) * 7 % 50
        store.set_stages(start + 1, stages)
        while view.advance():
            pass
    shown = view.shown
    assert store.first > 1
    numbers = shown.lines(0, 1 << 40)
    assert sorted(numbers) == list(range(store.first, store.last + 1))
    assert [shown.position(number) for number in numbers] == list(range(len(numbers)))
    if shown.key_of is not None:
        kept = [n for n in numbers if n > store.first]  # the time before the oldest is gone
        keyed = [(shown.key_of(number), number) for number in kept]
        assert keyed == sorted(keyed)


def test_frames_that_go_before_they_settled_are_shown_no_more() -> None:
    store = FrameStore(20_000)
    view = FrameView(store, keys)
    for column in (None, "latency"):
        view.set_filter(Of(1, needs_stages=column is None))
        view.set_sort(column)
        for _ in range(30):
            put(store, [1] * 30)
            stages = np.zeros(30, STAGES)
            stages["used"] = 1
            store.set_stages(store.last - 29, stages)
            while view.advance(settled=0):
                pass
        assert store.first > 1
        assert view.shown.lines(0, 1 << 40) == list(range(store.first, store.last + 1))
