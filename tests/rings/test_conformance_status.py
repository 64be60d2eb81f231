"""Rows of status, reset, features and initialisation. Told right they are silent, told wrong named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dataplane import features as f
from dataplane.bare import Bare, Piece
from dataplane.negotiate import DEFAULT_FEATURES, OFFERED
from dataplane.pair import Pair
from dataplane.reading import Reading
from dataplane.records import Kind
from dataplane.rules.conformance import rows_elsewhere, rows_net, rows_queue, rows_status
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.table import ROWS, UNSEEN
from tests.rings.told import DR, FAILED, NEEDS, READY, RUNNING, UP, A, D, Told, V, at_rest, changed

Case = Callable[[bool], Told]
CASES: dict[str, Case] = {}
ONE = f.mask(f.F_VERSION_1)


def case(*rows: str) -> Callable[[Case], Case]:
    def put(function: Case) -> Case:
        CASES.update(dict.fromkeys(rows, function))
        return function

    return put


@case("STAT-DRV-01")
def one_step_at_a_time(wrong: bool) -> Told:
    told = Told().write(0)
    return told.write(A | DR) if wrong else told.write(A, A | DR)


@case("STAT-DRV-02")
def a_bit_is_cleared(wrong: bool) -> Told:
    return Told().up().write(READY if wrong else 0)


@case("STAT-DRV-03")
def on_behind_failed(wrong: bool) -> Told:
    told = Told().write(0, A, A | FAILED)
    return told.write(A | FAILED | DR) if wrong else told.write(0, A, A | DR)


@case("STAT-DEV-05")
def taken_early(wrong: bool) -> Told:
    told = Told().write(0, A, A | DR).features(ONE).write(READY)
    if not wrong:
        told.write(RUNNING)
    told.event(Kind.NEXT, V)
    return told


@case("STAT-DEV-06")
def broken_in_silence(wrong: bool) -> Told:
    told = Told().up()
    told.event(Kind.BROKEN, V, new=1)
    told.event(Kind.WAIT, V)
    if not wrong:
        told.write(RUNNING | NEEDS, side=V)
    told.event(Kind.WAIT, V)
    return told


@case("STAT-DEV-07")
def not_notified(wrong: bool) -> Told:
    keyframe = at_rest()
    generation = keyframe.base.config_generation
    told = Told(keyframe)
    told.write(RUNNING | NEEDS, side=V)
    later = changed(keyframe, config_generation=generation + (not wrong), status=RUNNING | NEEDS)
    told.found()
    told.audit.anchor(replace(later, number=told.number))
    told._rows.clear()
    told.event(Kind.WAIT, D)
    return told


@case("STAT-DEV-08")
def something_at_power_on(wrong: bool) -> Told:
    told = Told()
    told.status = A if wrong else 0
    return told.write(0)


@case("RST-DEV-01")
def not_reset(wrong: bool) -> Told:
    told = Told().up().write(0)
    told.status = NEEDS | A if wrong else 0
    return told.write(A)


@case("RST-DEV-02")
def moves_behind_a_reset(wrong: bool) -> Told:
    told = Told().up()
    if wrong:
        told.write(0)
    told.event(Kind.CALL, V)
    return told


@case("FEAT-DRV-01")
def not_offered(wrong: bool) -> Told:
    return Told().write(0, A, A | DR).features(ONE | (1 << f.NET_F_CTRL_GUEST_OFFLOADS if wrong else 0))


@case("FEAT-DRV-02")
def without_what_it_needs(wrong: bool) -> Told:
    more = f.mask(f.NET_F_HOST_TSO4) if wrong else f.mask(f.NET_F_HOST_TSO4, f.NET_F_CSUM)
    return Told().write(0, A, A | DR).features(ONE | more)


CASES["NETF-BOTH-01"] = without_what_it_needs


@case("FEAT-DRV-04")
def unknown_accepted(wrong: bool) -> Told:
    return Told().write(0, A, A | DR).features(ONE | (1 << 26 if wrong else 0))


@case("FEAT-DEV-09")
def unknown_offered(wrong: bool) -> Told:
    return Told().up(ONE, OFFERED | (1 << 26 if wrong else 0))


@case("FEAT-BOTH-11")
def reserved(wrong: bool) -> Told:
    return Told().up(ONE, OFFERED | (1 << 45 if wrong else 0))


@case("FEAT-DEV-07")
def offered_alone(wrong: bool) -> Told:
    return Told().up(ONE, ONE | f.mask(f.NET_F_MQ, *([] if wrong else [f.NET_F_CTRL_VQ])))


@case("NETC-DEV-08")
def extra_offered_alone(wrong: bool) -> Told:
    return Told().up(ONE, ONE | f.mask(f.NET_F_CTRL_RX_EXTRA, *([] if wrong else [f.NET_F_CTRL_VQ])))


@case("NETC-DRV-13")
def extra_accepted_alone(wrong: bool) -> Told:
    return Told().up(ONE | f.mask(f.NET_F_CTRL_RX_EXTRA, *([] if wrong else [f.NET_F_CTRL_VQ])))


@case("FEAT-DEV-08")
def unsound_taken(wrong: bool) -> Told:
    told = Told().write(0, A, A | DR).features(ONE | f.mask(f.NET_F_MQ))
    return told.write(READY) if wrong else told.write(A | DR, A | DR | FAILED)


@case("FEAT-DEV-10")
def refused_again(wrong: bool) -> Told:
    told = Told().up().write(0, A, A | DR).features(ONE)
    return told.write(A | DR, A | DR | FAILED) if wrong else told.write(READY)


@case("FEAT-DRV-05")
def on_without_features(wrong: bool) -> Told:
    told = Told().write(0, A, A | DR).features(ONE | f.mask(f.NET_F_MQ)).write(A | DR)
    if wrong:
        told.event(Kind.ADD, D)
    else:
        told.write(A | DR | FAILED)
    return told


@case("INIT-DRV-01")
def features_first(wrong: bool) -> Told:
    told = Told().write(0, A)
    return told.features(ONE) if wrong else told.write(A | DR).features(ONE)


@case("INIT-DRV-03")
def features_changed(wrong: bool) -> Told:
    told = Told().up()
    return told.features(ONE | f.mask(f.F_EVENT_IDX)) if wrong else told.write(0)


@case("INIT-DRV-05")
def on_without_failed(wrong: bool) -> Told:
    told = Told().write(0, A, A | DR).features(ONE | f.mask(f.NET_F_MQ)).write(A | DR)
    return told.write(A | DR) if wrong else told.write(A | DR | FAILED)


@case("INIT-DRV-06")
def on_behind_failure(wrong: bool) -> Told:
    told = Told().up().write(RUNNING | FAILED)
    if wrong:
        told.event(Kind.PUBLISH, D)
    return told


@case("INIT-DRV-07")
def kicks_early(wrong: bool) -> Told:
    told = Told().write(0, A, A | DR).features(ONE).write(READY)
    if not wrong:
        told.write(RUNNING)
    told.event(Kind.KICK, D)
    return told


#: Rows that a trace cannot be told wrong by without another one being wrong as well.
BESIDE = {
    "FEAT-DRV-02": {"NETF-BOTH-01"},
    "NETF-BOTH-01": {"FEAT-DRV-02"},
    "FEAT-DEV-07": {"NETF-BOTH-01"},
    "FEAT-DRV-04": {"FEAT-DRV-01"},
    "NETC-DRV-13": {"FEAT-DEV-08"},
    "RST-DEV-01": {"STAT-DRV-02"},
}
#: What the features of a case come to whatever else is told: it is about a set that is refused.
UNSOUND = {"FEAT-DRV-02", "NETF-BOTH-01"}
REFUSED = {"FEAT-DEV-08", "FEAT-DRV-05", "INIT-DRV-05"}


def test_every_row_has_a_case() -> None:
    elsewhere = {row.id for row in rows_net.ROWS}
    assert set(CASES) - elsewhere == {row.id for row in rows_status.ROWS}


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_wrong_is_named(row: str) -> None:
    found = CASES[row](True).found()
    assert row in found
    assert found <= {row} | BESIDE.get(row, set()) | (UNSOUND if row in REFUSED else set())


@pytest.mark.parametrize("row", sorted(CASES))
def test_what_is_right_is_silent(row: str) -> None:
    assert CASES[row](False).found() == (UNSOUND if row in REFUSED else set())


def test_every_row_is_checked_or_has_a_reason() -> None:
    """A row is in one of the two tables; what is checked says each of its ids."""
    assert not set(ROWS) & set(UNSEEN)
    assert all(UNSEEN.values())
    assert set(rows_elsewhere.UNSEEN) <= set(UNSEEN) and set(rows_queue.UNSEEN) <= set(UNSEEN)
    assert len(ROWS) + len(UNSEEN) == 359


# ---- real ones ----------------------------------------------------------------------------------------


def judged(source: Reading) -> set[str]:
    """What the whole journal of a source shows, from its first event."""
    pull = source.events((0, 0), most=1 << 16)
    return {violation.row.id for violation in Audit().feed(pull.rows, pull.lost)}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("features", ["", "+in_order", "-event_idx", "-mrg_rxbuf", "+ctrl_rx_extra,-mq"])
def test_a_pair_comes_up_in_order(layout: str, features: str) -> None:
    with Pair(layout=layout, features=features, queue_size=8) as pair:  # type: ignore[arg-type]
        assert judged(pair) == set()


def test_a_driver_that_skips_steps_is_named() -> None:
    with Pair(queue_size=8) as pair:
        pair._engine.write_status(0)
        pair._engine.write_status(A | DR)
        assert judged(pair) == {"STAT-DRV-01"}


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        (DEFAULT_FEATURES & ~f.mask(f.NET_F_CTRL_VQ), {"FEAT-DRV-02", "NETF-BOTH-01"}),
        (DEFAULT_FEATURES | f.mask(f.NET_F_CTRL_GUEST_OFFLOADS), {"FEAT-DRV-01"}),
    ],
)
def test_features_that_a_device_refuses_are_named_and_its_refusal_is_right(
    accepted: int, wanted: set[str]
) -> None:
    with Pair(queue_size=8) as pair:
        engine = pair._engine
        for status in (0, A, A | DR):
            engine.write_status(status)
        engine.write_features(accepted, False)
        assert not engine.write_status(READY) & 8
        assert judged(pair) == wanted
        engine.write_status(READY)
        assert judged(pair) == wanted | {"INIT-DRV-05"}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ((0,), {"INIT-DRV-01", "INIT-DRV-07", "RST-DEV-02"}),
        ((0, A, A | DR, READY), {"INIT-DRV-07", "STAT-DEV-05"}),
        ((RUNNING | FAILED,), {"INIT-DRV-06"}),
    ],
)
def test_rings_that_move_too_early_are_named(status: tuple[int, ...], wanted: set[str]) -> None:
    """Real verbs of both sides, on rings whose device was taken down under them."""
    with Bare(features="-event_idx") as rings:
        cursor = rings.events((0, 0), most=1 << 16).cursor
        keyframe = rings.keyframe()
        for value in status:
            if value == READY:
                rings._engine.write_features(rings.identity.accepted, False)
            rings._engine.write_status(value)
        rings.add([Piece(rings.place(b"x"), 1)])
        rings.publish()
        rings.kick_needed()
        taken = rings.next()
        assert taken is not None
        rings.complete([taken.done()])
        rings.flush()
        pull = rings.events(cursor, most=1 << 16)
        found = {violation.row.id for violation in Audit(keyframe).feed(pull.rows)}
        assert {row for row in found if row.startswith(("INIT", "STAT", "RST", "FEAT"))} == wanted


assert UP == RUNNING & ~READY
