"""Session: rates by the source's clock, packets tied to rings, reading only what is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capture import frame
from capture.frame import LOGGED, RECORD
from capture.play import PlayFrame
from dataplane import records
from dataplane.records import TO_DEVICE, TO_DRIVER
from inspector.session import Session
from tests.fakes import EPOCH, Counts, Film, Still, device, snapshot, split
from tests.screens.crossing import Crossing

FRAMES = [
    PlayFrame(0, TO_DEVICE, b"\xff" * 60),
    PlayFrame(1_000, TO_DRIVER, b"\xee" * 70),
    PlayFrame(2_000, TO_DEVICE, b"\xdd" * 80),
]


def at(seconds: float, used: int, frames: int, generation: int = 0):
    """A device whose transmit queue has come this far at this time."""
    queue = split(64, Counts(used + 4, used + 2, used, used), index=0, name="tx0")
    assert queue.device is not None and queue.driver is not None
    queue = replace(
        queue,
        generation=generation,
        driver=replace(queue.driver, frames=frames, bytes=frames * 100),
    )
    return replace(snapshot(queue), time=EPOCH + int(seconds * 1e9))


def test_a_row_begins_with_the_bytes_of_the_ring_s_log() -> None:
    """Rows are filled by one copy: the two layouts, kept apart in two packages, have to be one."""
    logged, kept = records.FRAME.fields, RECORD.fields
    assert logged is not None and kept is not None
    named = {"position": "origin_position", "queue": "origin_queue"}
    begins = {name: place for name, place in kept.items() if place[1] < LOGGED}
    assert {named.get(name, name): place for name, place in logged.items()} == begins
    assert records.FRAME.itemsize == LOGGED
    for name in ("FRAME_INDIRECT", "FRAME_FIXED", "TO_DEVICE", "TO_DRIVER"):
        assert getattr(records, name) == getattr(frame, name.removeprefix("FRAME_"))


def test_rates_come_from_the_source_s_clock() -> None:
    session = Session(Film([at(0, 0, 0), at(0.5, 50, 25), at(0.6, 60, 30)]))
    assert session.pull().meters[0].buffers_per_s == 0
    meter = session.pull().meters[0]
    assert (meter.buffers_per_s, meter.frames_per_s, meter.bytes_per_s) == pytest.approx((100, 50, 5000))
    assert session.pull().meters[0].buffers_per_s == pytest.approx(100)


def test_a_rate_looks_back_one_second() -> None:
    session = Session(Film([at(0, 0, 0), at(1, 1000, 0), at(2, 1000, 0), at(3, 1000, 0)]))
    rates = [session.pull().meters[0].buffers_per_s for _ in range(4)]
    assert rates == pytest.approx([0, 1000, 0, 0])


def test_history_has_a_sample_every_half_second_and_sixty_at_most() -> None:
    session = Session(Film([at(i / 10, i * 10, 0) for i in range(400)]))
    for _ in range(400):
        tick = session.pull()
    history = tick.meters[0].history
    assert len(history) == 60
    assert history == pytest.approx([100.0] * 60)


def test_a_reset_queue_starts_its_rates_anew() -> None:
    session = Session(
        Film([at(0, 0, 0), at(1, 500, 0), at(2, 3, 0, generation=1), at(3, 13, 0, generation=1)])
    )
    rates = [session.pull().meters[0].buffers_per_s for _ in range(4)]
    assert rates == pytest.approx([0, 500, 0, 10])


def test_a_clock_that_rests_gives_no_rate() -> None:
    session = Session(Still(at(1, 10, 10)))
    session.pull()
    assert session.pull().meters[0].frames_per_s == 0


def test_only_the_selected_queue_is_read_whole() -> None:
    session = Session(Still(device(64)))
    first = session.pull().snapshot
    assert [len(queue.desc) for queue in first.queues] == [64, 0, 0]
    session.select(queue=1)
    assert [len(queue.desc) for queue in session.pull().snapshot.queues] == [0, 64, 0]
    session.whole = None
    assert [len(queue.desc) for queue in session.pull().snapshot.queues] == [64, 64, 64]


def test_previous_is_the_reading_before() -> None:
    session = Session(Film([at(0, 0, 0), at(1, 1, 1)]))
    first = session.pull()
    second = session.pull()
    assert first.previous is None
    assert second.previous is first.snapshot


def test_frames_keep_their_origin_and_bytes() -> None:
    session = Session(Crossing(FRAMES))
    assert session.pull().frames_added == 3
    assert session.pull().frames_added == 0
    frame = session.frames.frame(3)
    assert frame.data == b"\xdd" * 80
    assert frame.origin == (1, 1)
    assert (frame.direction, frame.interface, frame.head) == (TO_DEVICE, 1, 1)
    assert len(frame.net_header) == 12


def test_from_a_slot_to_its_packet_and_back() -> None:
    source = Crossing(FRAMES, snapshot(split(64, Counts(4, 3, 2, 0), index=1, name="tx0")))
    session = Session(source)
    session.select(queue=1)
    session.pull()
    queue = session.tick.snapshot.queue(1)
    slot = int(queue.head[queue.buffer.tolist().index(1)])
    number = session.frame_of_slot(1, slot)
    assert number is not None and session.frames.frame(number).origin == (1, 1)
    source_head = session.frames.frame(number).head
    assert session.slot_of_frame(number) == (1, source_head, source_head == slot)


def test_a_buffer_that_went_on_is_told_apart() -> None:
    session = Session(Crossing(FRAMES, snapshot(split(64, Counts(70, 70, 70, 66), index=1, name="tx0"))))
    session.pull()
    assert session.slot_of_frame(1) == (1, 0, False)


def test_what_is_not_there_is_none() -> None:
    session = Session(Crossing(FRAMES, snapshot(split(64, Counts(4, 3, 2, 0), index=1, name="tx0"))))
    session.select(queue=1)
    session.pull()
    assert session.slot_of_frame(99) is None
    assert session.frame_of_slot(1, 63) is None
    assert session.frame_of_slot(1, 64_000) is None
    assert session.frame_of_slot(7, 0) is None


def test_a_paused_view_is_asked_about_what_it_shows() -> None:
    early = snapshot(split(64, Counts(4, 3, 2, 0), index=1, name="tx0"))
    late = snapshot(split(64, Counts(70, 70, 70, 66), index=1, name="tx0"), step=1)
    session = Session(Crossing(FRAMES, early))
    session.select(queue=1)
    session.showed(session.pull())
    session.paused = True
    session.source._picture = late  # type: ignore[attr-defined]
    session.showed(session.pull())
    assert session.slot_of_frame(1) == (1, 0, True)
    session.paused = False
    session.showed(session.pull())
    assert session.slot_of_frame(1) == (1, 0, False)


def test_readings_that_no_screen_saw_are_counted() -> None:
    session = Session(Still(device(64)))
    session.pull()
    session.showed(session.pull())
    for _ in range(4):
        tick = session.pull()
    assert tick.missed == 3
    session.showed(tick)
    assert session.pull().missed == 3


def test_closing_closes_only_what_it_owns() -> None:
    theirs, ours = Still(device(64)), Still(device(64))
    Session(theirs).close()
    Session(ours, owns=True).close()
    assert (theirs.released, ours.released) == (0, 1)
