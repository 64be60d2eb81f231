"""Which events a list shows: lines and numbers, gaps, choices, what has gone."""

from __future__ import annotations

import numpy as np
import pytest

from dataplane.history import History, Reach
from dataplane.records import EVENT, Kind, Side
from inspector.past.eventlist import EventIndex, Lines, Wanted, choose
from inspector.past.survey import hatched, look_for, survey
from inspector.widgets.events import split_words, wall
from inspector.widgets.scrubber import blocks


def rows(first: int, last: int) -> np.ndarray:
    """Events with these numbers, kinds and queues in turn."""
    made = np.zeros(last - first + 1, EVENT)
    made["number"] = np.arange(first, last + 1)
    made["time"] = made["number"] * 1000
    made["kind"] = np.resize([Kind.STORE, Kind.PUBLISH, Kind.KICK, Kind.FLUSH], len(made))
    made["queue"] = made["number"] % 3
    made["side"] = made["number"] % 2
    return made


ALL = Wanted()


def index(history: History, wanted: Wanted = ALL) -> EventIndex:
    made = EventIndex(history, wanted)
    while made.grow(1):
        pass
    return made


def numbers(lines: Lines) -> list[int]:
    return [lines.number(at) for at in range(len(lines))]


def test_nothing_is_no_line() -> None:
    lines = index(History()).lines
    assert len(lines) == 0
    assert lines.line(7) == -1
    with pytest.raises(IndexError):
        lines.number(0)


def test_all_events_and_the_gaps_between_them() -> None:
    history = History()
    history.append(rows(1, 100))
    history.append(rows(301, 400), lost=200)
    history.append(rows(401, 450))
    lines = index(history).lines
    kept = history.rows(1, 450)["number"].tolist()
    after = next(n for n in kept if n > 100)
    assert after > 300
    assert numbers(lines) == kept == [*range(1, 101), *range(after, 451)]
    assert [lines.line(n) for n in (1, 100, 200, after, 450, 999)] == [
        0,
        99,
        99,
        100,
        len(kept) - 1,
        len(kept) - 1,
    ]
    assert [at for at in range(len(lines)) if lines.breaks(at)] == [100]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(stores=False),
        Wanted(queue=2),
        Wanted(kinds=frozenset({Kind.KICK, Kind.STORE})),
        Wanted(sides=frozenset({Side.DEVICE}), queue=0),
        Wanted(stores=False, sides=frozenset({Side.DRIVER})),
    ],
)
def test_a_choice_is_every_event_that_is_wanted_and_no_other(wanted: Wanted) -> None:
    history = History()
    every = rows(1, 90_000)
    history.append(every)
    made = index(history, wanted)
    assert numbers(made.lines) == every["number"][wanted.mask(every)].tolist()
    assert made.progress == 1.0
    for number in (1, 7, 40_000, 89_999):
        at = made.lines.line(number)
        expected = np.flatnonzero(every["number"][wanted.mask(every)] <= number)
        assert at == (int(expected[-1]) if len(expected) else -1)


def test_a_choice_grows_with_the_journal_piece_by_piece() -> None:
    history = History()
    history.append(rows(1, 100_000))
    made = EventIndex(history, Wanted(queue=1))
    assert made.grow(1)
    assert 0 < made.progress < 1
    while made.grow(1):
        pass
    before = numbers(made.lines)
    history.append(rows(100_001, 100_030))
    made.grow()
    assert numbers(made.lines) == before + [n for n in range(100_001, 100_031) if n % 3 == 1]


def test_what_the_journal_let_go_of_goes_from_the_front() -> None:
    history = History(4 << 20)
    made = EventIndex(history, Wanted(queue=1))
    for at in range(1, 400_001, 20_000):
        history.append(rows(at, at + 19_999))
        made.grow()
    first = history.reach.first
    assert first > 1
    assert numbers(made.lines) == [n for n in range(first, 400_001) if n % 3 == 1]


def test_a_journal_that_lets_go_while_it_is_looked_at() -> None:
    """Under a flood the oldest events go between any two questions."""

    class Flooded(History):
        """Goes on behind every answer."""

        upto = 0

        @property
        def reach(self) -> Reach:
            found = super().reach
            for _ in range(40):
                self.append(rows(self.upto + 1, self.upto + 2_000), lost=3 * bool(self.upto))
                self.upto += 2_003
            return found

    class Told:
        history = Flooded(1 << 20)
        lent, history_bytes = False, 1 << 20

    made, before = Told(), None
    everything = EventIndex(made.history, ALL)
    for _ in range(4):
        before = survey(made, everything, 40, None, before)  # type: ignore[arg-type]
    assert before is not None and before.missing
    assert len(everything.lines.parts) > 1 and everything.lines.number(0) > 1


def test_words_choose_kinds_sides_and_queues() -> None:
    queues = {"rx0": 0, "tx0": 1}
    assert choose("", queues) == Wanted()
    assert choose("publish, Flush", queues).kinds == {Kind.PUBLISH, Kind.FLUSH}
    assert choose("kick", queues).kinds == {Kind.KICK, Kind.KICK_QUIET}
    assert choose("queue-reset", queues).kinds == {Kind.QUEUE_RESET}
    chosen = choose("device tx0 store", queues, stores=False)
    assert chosen == Wanted(False, 1, frozenset({Kind.STORE}), frozenset({Side.DEVICE}))
    for wrong, why in (
        ("bogus", "'bogus' is no kind"),
        ("own", "'own' is no kind"),
        ("rx0 tx0", "one queue at most"),
    ):
        with pytest.raises(ValueError, match=why):
            choose(wrong, queues)


def test_search_finds_the_nearest_either_way() -> None:
    class Told:
        """A session that says an event's kind."""

        def __init__(self) -> None:
            self.history = History()
            self.history.append(rows(1, 100))

        def words(self, row: np.void) -> str:
            return f"the driver {Kind(int(row['kind'])).name} {int(row['number'])}"

    session = Told()
    lines = index(session.history).lines
    found = [
        look_for(session, lines, 0, 100, words, way)  # type: ignore[arg-type]
        for words, way in ((["flush"], 1), (["flush"], -1), (["flush", "8"], 1), (["nothing"], 1))
    ]
    assert found == [4, 100, 8, None]
    assert look_for(session, lines, 4, 4, ["flush"], 1) is None  # type: ignore[arg-type]


def test_a_sentence_is_split_into_its_columns() -> None:
    assert split_words("driver · tx0 · has made 1 buffer available", "driver") == (
        "tx0",
        "has made 1 buffer available",
    )
    assert split_words("driver · goes to sleep", "driver") == ("", "goes to sleep")
    assert split_words("device · ctl · a \x1b[31m · b", "device") == ("ctl", "a \\x1b[31m · b")


def test_the_time_of_day() -> None:
    assert wall(1_700_000_000_123_456_789) == "22:13:20.123456"


def test_blocks_show_anything_at_all() -> None:
    assert blocks([0, 1, 10_000]) == " ▁█"
    assert blocks([0, 0]) == "  "
    assert blocks([]) == ""


def test_what_is_missing_is_hatched_where_it_is() -> None:
    assert hatched([(40, 60)], 0, 100, 10).tolist() == [False] * 4 + [True] * 3 + [False] * 3
    assert not hatched([(40, 60)], 100, 200, 10).any()
    assert hatched([(0, 1000)], 100, 200, 4).all()
