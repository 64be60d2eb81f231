"""Rows of net headers, network buffers and configuration. Told right they are silent, told wrong named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dataplane.bare import Bare, Piece
from dataplane.faults import Fault
from dataplane.pair import Pair, PlayFrame
from dataplane.records import TO_DEVICE, TO_DRIVER, Kind, Role, Side
from dataplane.rules.conformance import rows_net
from dataplane.rules.conformance.audit import Audit
from dataplane.rules.conformance.net import DATA_VALID, GSO_ECN, GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM, RSC_INFO
from dataplane.rules.doctor import Doctor
from dataplane.source import START
from tests.rings.told import Told, V, at_rest, changed, network

#: features of the pair, and a frame each (right, wrong); `tx`: towards the device
Header = dict[str, Any]
CSUM: Header = {"flags": NEEDS_CSUM, "start": 34, "offset": 16, "length": 2000}
CUT: Header = {**CSUM, "gso": GSO_TCPV4, "hdr_len": 54, "size": 1448}
NO_TSO = "-host_tso4,-host_tso6,-host_ecn,-guest_tso4,-guest_tso6,-guest_ecn"

HEADERS: dict[str, tuple[str, bool, Header, Header]] = {
    "NETTX-DRV-02": ("", True, {}, {"num": 1}),
    "NETTX-DRV-03": ("-csum," + NO_TSO, True, {}, {**CSUM, "length": 1000}),
    "NETTX-DRV-04": ("", True, CUT, {**CUT, "gso": GSO_UDP_L4}),
    "NETTX-DRV-05": (NO_TSO, True, {}, CUT),
    "NETTX-DRV-06": ("-host_ecn", True, CUT, {**CUT, "gso": GSO_TCPV4 | GSO_ECN}),
    "NETTX-DRV-07": ("", True, {**CSUM, "length": 52}, {**CSUM, "length": 51}),
    "NETTX-DRV-08": ("", True, CUT, {**CUT, "size": 0}),
    "NETTX-DRV-09": ("", True, CUT, {**CUT, "hdr_len": 14}),
    "NETTX-DRV-10": ("", True, {}, {"flags": DATA_VALID}),
    "NETTX-DRV-11": ("", True, CUT, {**CUT, "gso": GSO_TCPV4 | 0x20}),
    "NETRX-DRV-03": ("", False, {}, {"header_length": 20}),
    "NETRX-DEV-05": ("", False, {"buffers": 2}, {"buffers": 2, "num": 1}),
    "NETRX-DEV-06": ("-mrg_rxbuf", False, {}, {"buffers": 2}),
    "NETRX-DEV-09": ("-guest_csum," + NO_TSO, False, {}, {"flags": RSC_INFO}),
    "NETRX-DEV-10": ("", False, CUT, {**CUT, "gso": GSO_UDP_L4}),
    "NETRX-DEV-11": ("-guest_ecn", False, CUT, {**CUT, "gso": GSO_TCPV4 | GSO_ECN}),
    "NETRX-DEV-12": ("", False, {**CSUM, "length": 52}, {**CSUM, "length": 51}),
    "NETRX-DEV-13": ("", False, CUT, {**CUT, "size": 0}),
    "NETRX-DEV-14": ("", False, {"flags": DATA_VALID}, {"flags": RSC_INFO}),
    "NETRX-DEV-15": ("", False, CUT, {**CUT, "hdr_len": 14}),
    "NETRX-DEV-16": ("-guest_csum," + NO_TSO, False, {}, {"flags": DATA_VALID}),
    "NETRX-DEV-17": ("", False, CUT, {**CUT, "gso": GSO_TCPV4 | 0x40}),
    "NETC-DEV-03": ("", False, {"length": 1514}, {"length": 1515}),
    "NETC-DRV-11": ("", True, {"length": 1514}, {"length": 1515}),
}
#: Rows that a header cannot be wrong by without another one being wrong as well.
BESIDE = {
    "NETRX-DEV-09": {"NETRX-DEV-14"},
    "NETRX-DEV-16": {"NETRX-DEV-09"},
}


@pytest.mark.parametrize("row", sorted(HEADERS))
def test_a_wrong_header_is_named(row: str) -> None:
    features, transmit, _, wrong = HEADERS[row]
    found = Told(at_rest(features)).frame(transmit, **wrong)
    found.event(Kind.WAIT, V)
    ids = found.found()
    assert row in ids
    assert ids <= {row} | BESIDE.get(row, set())


@pytest.mark.parametrize("row", sorted(HEADERS))
def test_a_right_header_is_silent(row: str) -> None:
    features, transmit, right, _ = HEADERS[row]
    told = Told(at_rest(features)).frame(transmit, **right)
    told.event(Kind.WAIT, V)
    assert told.found() == set()


@pytest.mark.parametrize("transmit", [False, True])
@pytest.mark.parametrize("tags", [1, 2])
def test_vlan_tags_are_part_of_the_ethernet_header(tags: int, transmit: bool) -> None:
    data = bytes(12) + b"\x81\x00\x00\x01" * tags + b"\x08\x00" + bytes(40)
    for length, named in ((1514 + 4 * tags, False), (1515 + 4 * tags, True)):
        told = Told(at_rest()).frame(transmit, length=length, data=data)
        told.event(Kind.WAIT, V)
        assert bool(told.found()) == named


def test_a_frame_longer_than_mtu_is_right_without_the_feature() -> None:
    told = Told(at_rest("-mtu")).frame(True, length=4000).frame(False, length=4000)
    told.event(Kind.WAIT, V)
    assert told.found() == set()


# ---- configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [0, 1, 0x8000, 0x8001])
def test_max_virtqueue_pairs(pairs: int) -> None:
    keyframe = at_rest()
    config = replace(keyframe.base.config, max_virtqueue_pairs=pairs)
    told = Told(changed(keyframe, config=config))
    told.event(Kind.WAIT, V)
    assert told.found() == (set() if 1 <= pairs <= 0x8000 else {"NETC-DEV-01"})


@pytest.mark.parametrize("mtu", [67, 68, 65535, 65536])
def test_mtu_has_bounds(mtu: int) -> None:
    keyframe = at_rest()
    told = Told(changed(keyframe, config=replace(keyframe.base.config, mtu=mtu)))
    told.event(Kind.WAIT, V)
    assert told.found() == (set() if 68 <= mtu <= 65535 else {"NETC-DEV-02"})


def test_mtu_stays_what_it_is() -> None:
    keyframe = at_rest()
    told = Told(keyframe)
    told.event(Kind.WAIT, V)
    told.found()
    for mtu, wanted in ((1500, set[str]()), (1400, {"NETC-DEV-02"})):
        later = changed(keyframe, config=replace(keyframe.base.config, mtu=mtu))
        told.audit.anchor(replace(later, number=told.number))
        told.event(Kind.WAIT, V)
        assert told.found() == wanted


# ---- buffers ------------------------------------------------------------------------------------------


def offered(role: Role, room: int, features: str, layout: str) -> set[str]:
    """What is said of one buffer that real verbs make available in a queue of some role."""
    with Bare(layout=layout) as rings:  # type: ignore[arg-type]
        moment = network(rings, role, features)
        cursor = rings.events((0, 0), most=1 << 16).cursor
        rings.add([Piece(rings.place(16), room, role == Role.RECEIVE)])
        rings.publish()
        pull = rings.events(cursor, most=1 << 16)
        return {violation.row.id for violation in Audit(moment).feed(pull.rows)}


SMALL = "-mrg_rxbuf," + NO_TSO
BUFFERS: dict[str, tuple[Role, int, str]] = {
    "NETTX-DRV-01": (Role.TRANSMIT, 12, ""),
    "NETRX-DRV-02": (Role.RECEIVE, 12, ""),
    "NETRX-DRV-01": (Role.RECEIVE, 65601, "-mrg_rxbuf"),
    "NETC-DRV-11": (Role.RECEIVE, 1526, SMALL),
}


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("row", sorted(BUFFERS))
def test_a_buffer_that_is_too_small_is_named(row: str, layout: str) -> None:
    role, least, features = BUFFERS[row]
    wrong = offered(role, least - 1, features, layout)
    assert row in wrong
    assert wrong <= {row, *(["NETRX-DRV-01"] if row == "NETC-DRV-11" else [])}
    assert offered(role, least, features, layout) == set()


# ---- frames in several buffers ------------------------------------------------------------------------


def spread(layout: str, lengths: list[int], together: bool, early: bool = False) -> set[str]:
    """A frame in buffers of 64 bytes, used with these lengths; `early`: its record is read first."""
    with Bare(layout=layout) as rings:  # type: ignore[arg-type]
        told = Told(network(rings, Role.RECEIVE))
        cursor = rings.events((0, 0), most=1 << 16).cursor
        for _ in lengths:
            rings.add([Piece(rings.place(64), 64, True)])
        rings.publish()
        for length in lengths:
            taken = rings.next()
            assert taken is not None
            rings.complete([taken.done(length)])
            if not together:
                rings.flush()
        rings.flush()
        told.frame(False, buffers=len(lengths), length=sum(lengths) - 12)
        if early:
            told.found()
            told.frame(False, buffers=len(lengths), length=sum(lengths) - 12, position=999)
        found = told.audit.feed(rings.events(cursor, most=1 << 16).rows)
        return {violation.row.id for violation in found} | told.found()


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_all_buffers_of_a_frame_but_the_last_are_full(layout: str) -> None:
    assert spread(layout, [64, 64, 20], True) == set()
    assert spread(layout, [64, 63, 20], True) == {"NETRX-DEV-07"}
    assert spread(layout, [64, 63, 20], True, early=True) == {"NETRX-DEV-07"}


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_the_buffers_of_a_frame_are_shown_together(layout: str) -> None:
    assert spread(layout, [64, 64, 20], False) == {"NETRX-DEV-08"}


# ---- real traffic -------------------------------------------------------------------------------------

FRAME = bytes.fromhex("525400000001020000000002 0800".replace(" ", "")) + bytes(50)


def judged(pair: Pair, turns: int = 12) -> set[str]:
    """What a frozen pair does in so many turns of either side."""
    audit = Audit(pair.keyframe())
    events, frames = pair.events((0, 0), most=1 << 16).cursor, pair.frames((0, 0)).cursor
    found = []
    for _ in range(turns):
        pair.step(Side.DRIVER, "turn")
        pair.step(Side.DEVICE, "turn")
        pull, logged = pair.events(events, most=1 << 16), pair.frames(frames)
        events, frames = pull.cursor, logged.cursor
        found += audit.feed(pull.rows, pull.lost) + audit.frames(logged)
    assert audit.follows and pair.snapshot().logs.frames > 4
    return {violation.row.id for violation in found}


def flooded(features: str, layout: str, length: int, **more: Any) -> Pair:
    pair = Pair(layout=layout, features=features, queue_size=16, frozen=True, trace="stores", **more)  # type: ignore[arg-type]
    pair.flood(length=length, sample=1)
    pair._engine.start(False, False, True)
    pair._started = True
    return pair


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("features", "length"),
    [("", 64), ("", 1514), ("-mrg_rxbuf", 64), (SMALL, 1514), ("+in_order", 64), ("-event_idx,-mtu", 5000)],
)
def test_real_traffic_is_silent(layout: str, features: str, length: int) -> None:
    with flooded(features, layout, length) as pair:
        assert judged(pair) == set()


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_device_that_counts_its_buffers_wrong_is_named(layout: str) -> None:
    with flooded("", layout, 64) as pair:
        pair.inject_fault(Fault("bad_num_buffers", Side.DEVICE, queue=0, value=3))
        assert "NETRX-DEV-05" in judged(pair)


def test_the_doctor_reads_the_headers_of_logged_frames() -> None:
    with flooded("", "split", 64) as pair:
        pair.inject_fault(Fault("bad_num_buffers", Side.DEVICE, queue=0, value=3))
        doctor = Doctor()
        doctor.review.share = None
        doctor.heed_frames(pair.frames(START))  # before anything is known: of no use, and no harm
        doctor.heed(pair.snapshot(), pair.events(START), pair.keyframe)
        for _ in range(6):
            pair.step(Side.DRIVER, "turn")
            pair.step(Side.DEVICE, "turn")
        doctor.heed_frames(pair.frames(START))
        snapshot = pair.snapshot()
        doctor.heed(snapshot, pair.events(START), pair.keyframe)
        assert "NETRX-DEV-05" in {finding.code for finding in doctor.look(snapshot)}


def test_a_flood_of_frames_longer_than_mtu_is_named() -> None:
    with flooded("", "split", 4000) as pair:
        assert judged(pair) == {"NETC-DEV-03", "NETC-DRV-11"}


def test_a_driver_takes_away_what_only_a_receiver_is_told() -> None:
    """DATA_VALID in the list of frames that is played is not in what is sent."""
    header = bytes([DATA_VALID]) + bytes(11)
    with Pair(queue_size=16, trace="stores") as pair:
        pair.play([PlayFrame(i, way, FRAME, header) for i in range(8) for way in (TO_DEVICE, TO_DRIVER)])
        pair.start()
        while pair.snapshot((1,)).queue(1).collected < 8:
            pass
        pair.freeze()
        audit = Audit(pair.keyframe())
        assert audit.frames(pair.frames((0, 0))) == []


CASES = {*HEADERS, *BUFFERS, "NETC-DEV-01", "NETC-DEV-02", "NETRX-DEV-07", "NETRX-DEV-08"}


def test_every_row_has_a_case() -> None:
    elsewhere = ("CVQ", "MQ", "RSS", "OFFL", "COAL", "NETHASH", "STATS")
    ids = {row.id for row in rows_net.ROWS if row.id.split("-")[0] not in elsewhere}
    assert ids - CASES == {"NETC-DEV-08", "NETC-DRV-13", "NETRX-DRV-04"}  # beside features and commands
