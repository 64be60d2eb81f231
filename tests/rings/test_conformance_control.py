"""Rows of control commands and queue pairs. Real commands of a pair, and events told by hand."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from dataplane.bare import Bare, Piece
from dataplane.pair import Pair
from dataplane.records import Kind, Role
from dataplane.rules.conformance import rows_net
from dataplane.rules.conformance.audit import Audit
from tests.rings.told import D, Told, V, at_rest, network

MAC = bytes.fromhex("525400000009")
TABLE = struct.pack("<I", 1) + MAC + struct.pack("<I", 0)

#: row: features of the pair, a right command (class, command, data) and a wrong one
COMMANDS: dict[str, tuple[str, tuple[int, int, bytes], tuple[int, int, bytes]]] = {
    "CVQ-DRV-03": ("+ctrl_rx_extra", (0, 2, b"\0"), (0, 2, b"\0")),
    "CVQ-DRV-05": ("", (1, 0, TABLE), (1, 0, TABLE)),
    "CVQ-DRV-06": ("", (1, 0, TABLE), (1, 0, TABLE[:-1])),
    "MQ-DRV-01": ("", (4, 0, b"\1\0"), (4, 0, b"\7\0")),
    "RSS-DRV-01": ("", (1, 1, MAC), (4, 1, bytes(20))),
    "OFFL-DRV-01": ("", (1, 1, MAC), (5, 0, bytes(8))),
    "COAL-DRV-01": ("", (1, 1, MAC), (6, 0, bytes(8))),
    "NETHASH-DRV-04": ("", (1, 1, MAC), (7, 0, bytes(4))),
    "STATS-DRV-02": ("", (1, 1, MAC), (8, 0, b"")),
}
#: features without which the right command of a row is a wrong one
WITHOUT = {"CVQ-DRV-03": "-ctrl_rx_extra", "CVQ-DRV-05": "-ctrl_rx"}


def commanded(features: str, command: tuple[int, int, bytes], layout: str, **more: Any) -> set[str]:
    """What the audit says of a running pair that sends one command."""
    with Pair(layout=layout, features=features, queue_size=16, trace="stores", **more) as pair:  # type: ignore[arg-type]
        audit = Audit(pair.keyframe())
        assert pair.keyframe() is not None
        cursor = pair.events((0, 0), most=1 << 16).cursor
        pair.start()
        pair.command(*command)
        pair.freeze()
        pull = pair.events(cursor, most=1 << 16)
        found = {violation.row.id for violation in audit.feed(pull.rows, pull.lost)}
        assert audit.follows and (pull.rows["kind"] == Kind.CONTROL).any()
        return found


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("row", sorted(COMMANDS))
def test_a_wrong_command_is_named(row: str, layout: str) -> None:
    features, _, wrong = COMMANDS[row]
    assert commanded(WITHOUT.get(row, features), wrong, layout) == {row}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("row", sorted(COMMANDS))
def test_a_right_command_is_silent(row: str, layout: str) -> None:
    features, right, _ = COMMANDS[row]
    assert commanded(features, right, layout) == set()


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("features", ["", ",+in_order", ",-event_idx"])
def test_every_command_that_a_pair_knows_is_silent(layout: str, features: str) -> None:
    commands = [
        *((0, command, b"\1") for command in range(6)),
        (1, 0, TABLE),
        (1, 1, MAC),
        (2, 0, b"\5\0"),
        (2, 1, b"\5\0"),
        (4, 0, b"\1\0"),
        (4, 0, b"\2\0"),
    ]
    with Pair(
        layout=layout,  # type: ignore[arg-type]
        features="+ctrl_rx_extra" + features,
        queue_size=16,
        queue_pairs=2,
        trace="stores",
    ) as pair:
        audit = Audit(pair.keyframe())
        cursor = pair.events((0, 0), most=1 << 16).cursor
        pair.start()
        for cls, command, data in commands:
            assert pair.command(cls, command, data) == 0
        pair.announce()
        pair.freeze()
        pull = pair.events(cursor, most=1 << 16)
        assert [v.row.id for v in audit.feed(pull.rows, pull.lost)] == []


def control_buffer(pieces: list[tuple[int, bool]], ack: int) -> set[str]:
    """A buffer of real verbs on a control queue, and how the device says it answered command 0.0."""
    with Bare() as rings:
        told = Told(network(rings, Role.CONTROL))
        cursor = rings.events((0, 0), most=1 << 16).cursor
        rings.add([Piece(rings.place(16), length, writable) for length, writable in pieces])
        rings.publish()
        rings.next()
        found = told.audit.feed(rings.events(cursor, most=1 << 16).rows)
        told.number = rings.snapshot().number
        told.command(0, 0, ack, queue=0)
        return {violation.row.id for violation in found} | told.found()


@pytest.mark.parametrize(
    ("pieces", "named"),
    [
        ([(2, False), (1, False), (1, True)], False),
        ([(2, False), (1, True)], False),
        ([(1, False), (1, True)], True),
        ([(2, False), (1, False)], True),
    ],
)
def test_the_shape_of_a_command(pieces: list[tuple[int, bool]], named: bool) -> None:
    assert control_buffer(pieces, 0) == ({"CVQ-BOTH-01"} if named else set())


@pytest.mark.parametrize("ack", [0, 1])
@pytest.mark.parametrize("data", [0, 1])
def test_a_mode_that_the_device_has_to_know_is_obeyed(ack: int, data: int) -> None:
    pieces = [(2, False), *([(data, False)] if data else []), (1, True)]
    assert control_buffer(pieces, ack) == ({"CVQ-DEV-02"} if ack and data else set())


# ---- queue pairs --------------------------------------------------------------------------------------


def moved(queue: int, pairs: int, sleeps: int) -> set[str]:
    """A queue of a device moves while `pairs` are used, and each side has slept so often since it heard."""
    receives = not queue % 2
    with Bare() as rings:
        told = Told(network(rings, Role.RECEIVE if receives else Role.TRANSMIT, index=queue, pairs=2))
        cursor = rings.events((0, 0), most=1 << 16).cursor
        rings.add([Piece(rings.place(64), 64, receives)])
        rings.publish()
        taken = rings.next()
        assert taken is not None
        rings.complete([taken.done(64 if receives else 0)])
        rings.flush()
        rows = rings.events(cursor, most=1 << 16).rows.copy()
        told.command(4, 0, 0, pairs, V, queue=4)
        for _ in range(sleeps):
            told.event(Kind.WAIT, D)
            told.event(Kind.WAIT, V)
        first = told.found()
        rows["number"] += told.number + 1 - rows["number"][0]
        return first | {violation.row.id for violation in told.audit.feed(rows)}


@pytest.mark.parametrize(("queue", "row"), [(2, "MQ-DEV-03"), (3, "MQ-DRV-02")])
def test_queues_of_pairs_that_are_not_used_stay_still(queue: int, row: str) -> None:
    assert moved(queue, 1, sleeps=2) == {row}
    assert moved(queue, 2, sleeps=2) == set()
    assert moved(queue - 2, 1, sleeps=2) == set()
    assert moved(queue, 1, sleeps=1) == set(), "it may not have heard of the new number yet"


def test_a_receive_queue_that_is_used_is_filled() -> None:
    """Of a pair that has come up and not started no queue was filled yet."""
    told = Told(at_rest(pairs=2))
    told.command(4, 0, 0, 2, D, queue=4)
    assert told.found() == {"NETRX-DRV-04"}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("features", ["", "+in_order", "-event_idx", "-mrg_rxbuf"])
def test_pairs_that_come_and_go_under_traffic_are_silent(layout: str, features: str) -> None:
    with Pair(layout=layout, features=features, queue_size=16, queue_pairs=3, trace="stores") as pair:  # type: ignore[arg-type]
        audit = Audit(pair.keyframe())
        cursor = pair.events((0, 0), most=1 << 16).cursor
        pair.flood(length=64)
        pair.set_rate(500)
        pair.start()
        for pairs in (3, 1, 2, 1, 3):
            assert pair.command(4, 0, struct.pack("<H", pairs)) == 0
        pair.freeze()
        pull = pair.events(cursor, most=1 << 16)
        assert not pull.lost
        assert [v.row.id for v in audit.feed(pull.rows, pull.lost)] == []


def test_every_row_has_a_case() -> None:
    told = {"CVQ-BOTH-01", "CVQ-DEV-02", "MQ-DRV-02", "MQ-DEV-03"}
    here = ("CVQ", "MQ", "RSS", "OFFL", "COAL", "NETHASH", "STATS")
    assert {*COMMANDS, *told} == {row.id for row in rows_net.ROWS if row.id.split("-")[0] in here}
