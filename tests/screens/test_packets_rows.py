"""The pure parts of the packets screen: columns, lines, bytes, the Ring layer, search."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from capture.columns import Summary, summary
from capture.expert import NOTES
from capture.frame import CALL_QUIET, FIXED, INDIRECT, KICK_SENT
from capture.play import load_mix
from capture.store import FrameStore
from capture.tracking import tcpstate
from capture.view import FrameView
from inspector.packets.bytes import layout, per_row
from inspector.packets.colours import DAMAGED, Trouble, of_notes, trouble
from inspector.packets.layers import life_of_frame, ring_layer
from inspector.packets.rows import ALL_COLUMNS, GUTTER, Packet, cut, lay_out, middle, texts
from inspector.packets.search import find, parse
from inspector.session import Session
from tests.screens.crossing import Crossing, events_of, rows_of


@pytest.fixture(scope="module")
def session() -> Session:
    source = Crossing()
    source.journal(events_of(rows_of(source.all)[0]))
    session = Session(source)
    session.pull()
    return session


SEEN = {"time": 12, "latency": 7, "pickup": 7, "gso": 10, "source": 39, "destination": 39, "number": 6}


@pytest.mark.parametrize("width", range(64, 240, 7))
def test_columns_fill_the_width_and_no_more(width: int) -> None:
    shown = lay_out(width, seen=SEEN).columns
    assert GUTTER + sum(column.width + 1 for column in shown) - 1 == width
    assert shown[-1].name == "info"


def test_wider_terminals_show_more() -> None:
    names = [{column.name for column in lay_out(width, seen=SEEN).columns} for width in (80, 120, 200)]
    assert names[0] < names[1] < names[2]
    assert {"number", "queue", "protocol", "source", "destination", "info"} <= names[0]
    assert {"time", "length"} <= names[1]
    assert {"delta", "head", "descriptors", "latency"} <= names[2]


def test_no_ring_column_comes_by_itself_while_it_is_empty() -> None:
    names = {column.name for column in lay_out(240, seen={"source": 15}).columns}
    assert not names & {"latency", "pickup", "gso"}


def test_columns_that_were_chosen_are_left_out_whole_the_last_first() -> None:
    every = [column.name for column in ALL_COLUMNS]
    for width in range(40, 260, 9):
        layout = lay_out(width, every, SEEN)
        assert len(layout.columns) + layout.left_out == len(every)
        kept = [column.name for column in layout.columns if column.name != "info"]
        assert kept == [name for name in every if name != "info"][: len(kept)]
        assert GUTTER + sum(column.width + 1 for column in layout.columns) - 1 <= width
    assert [column.name for column in lay_out(120, ["info", "number"], SEEN).columns] == ["info", "number"]


def test_a_heading_shows_the_order_and_is_found_by_its_place() -> None:
    layout = lay_out(120, seen=SEEN, order=("length", True))
    assert next(column for column in layout.columns if column.name == "length").heading == "bytes▼"
    start = GUTTER
    for column in layout.columns:
        assert layout.at(start) is column and layout.at(start + column.width - 1) is column
        start += column.width + 1
    assert layout.at(0) is None and layout.at(start) is None


def test_cut_marks_what_is_missing() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert middle("fe80::5054:ff:fe00:1", 15) == "fe80::5…:fe00:1"
    assert len(middle("2001:db8:1:2:3:4:5:6", 12)) == 12


PLAIN = Packet(
    number=7, time=1_700_000_000_123_456_789, length=1514, captured=128, queue="tx0", direction=0, head=3,
    descriptors=2, buffers=1, flags=INDIRECT, net_header=bytes(12), summary=Summary("TCP", "a", "b", "what"),
    zero=1_700_000_000_000_000_000, before=1_700_000_000_123_455_789, above=1_700_000_000_023_456_789,
)  # fmt: skip


def told(packet: Packet, name: str, time_format: str = "relative") -> str:
    return texts(packet, [name], time_format)[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("relative", "0.123456"),
        ("delta", "0.100000"),
        ("utc", "22:13:20.123456"),
        ("date", "2023-11-14 22:13:20.123456"),
        ("epoch", "1700000000.123456789"),
    ],
)
def test_the_formats_of_the_time(name: str, text: str) -> None:
    assert told(PLAIN, "time", name) == text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"number": "7", "delta": "1.00 us", "above": "100 ms", "queue": "tx0 →", "head": "3",
              "direction": "to device", "length": "1514", "captured": "128", "descriptors": "2i",
              "layout": "indirect", "buffers": "1", "gso": "", "checksum": "", "kick": "", "call": "",
              "latency": "", "pickup": ""}),
        ({"before": None, "above": None, "direction": 1, "flags": FIXED},
         {"delta": "", "above": "", "queue": "tx0 ←", "direction": "to driver", "descriptors": "2f"}),
        ({"available": 1000, "used": 13_300, "collected": 14_000, "notices": KICK_SENT | CALL_QUIET},
         {"latency": "12.3 us", "pickup": "700 ns", "kick": "sent", "call": "quiet"}),
        ({"available": 1000}, {"latency": "", "pickup": ""}),
        ({"net_header": bytes([1, 1, 54, 0, 0xA8, 5, 34, 0, 16, 0, 1, 0])},
         {"gso": "TCPv4 1448", "checksum": "partial"}),
        ({"net_header": bytes([2, 0x84, 0, 0, 100, 0, 0, 0, 0, 0])},
         {"gso": "TCPv6 ECN 100", "checksum": "valid"}),
        ({"net_header": bytes([0, 9, 0, 0, 1, 0, 0, 0, 0, 0])}, {"gso": "type 9 1"}),
        ({"net_header": b""}, {"gso": "", "checksum": ""}),
        ({"queue": "", "direction": 2, "descriptors": 0},
         {"queue": "", "direction": "not known", "head": "", "descriptors": "", "layout": "", "buffers": ""}),
    ],
)  # fmt: skip
def test_what_stands_in_the_columns(changes: dict[str, Any], expected: dict[str, str]) -> None:
    packet = replace(PLAIN, **changes)
    assert texts(packet, list(expected)) == expected


def test_troubles_have_a_sign_and_words_and_the_worst_wins() -> None:
    whole = replace(PLAIN, captured=1514)
    assert trouble(whole, 1000) is None
    assert trouble(replace(whole, available=1, used=1500), 1000) == Trouble("◷", "available", "[slow]")
    assert trouble(replace(whole, available=1, used=1500, direction=1), 1000) is None, "a posted buffer waits"
    cut_short = trouble(PLAIN, 1000)
    assert cut_short is not None and cut_short.words == "[128 of 1514 bytes kept]"
    noted = trouble(replace(whole, notes=tcpstate.RETRANSMISSION | tcpstate.WINDOW_UPDATE), 1000)
    assert noted is not None and (noted.sign, noted.words) == ("↻", "[retransmission]")
    reset = trouble(replace(PLAIN, notes=tcpstate.RESET), 1000)
    assert reset is not None and (reset.sign, reset.meaning) == ("×", "fault")
    assert trouble(replace(whole, notes=tcpstate.WINDOW_UPDATE), 1000) is None
    bad = replace(PLAIN, summary=Summary("TCP", "a", "b", "x [malformed: y]"), notes=tcpstate.RESET)
    assert trouble(bad, 1000) == DAMAGED


def test_a_damaged_frame_is_marked() -> None:
    frame = load_mix()[0].data[:15]
    assert trouble(replace(PLAIN, captured=1514, summary=summary(frame)), 1000) == DAMAGED


def test_every_note_has_a_trouble_or_only_informs() -> None:
    for bit, note in NOTES.items():
        found = of_notes(bit)
        assert (found is None) == (note.severity == "chat")
        assert found is None or (len(found.sign) == 1 and note.name in found.words)


def test_rows_of_bytes_begin_with_the_net_header() -> None:
    rows = layout(bytes(12), bytes(range(40)), 16)
    assert [(row.vnet, row.start, len(row.data)) for row in rows] == [
        (True, 0, 12), (False, 0, 16), (False, 16, 16), (False, 32, 8),
    ]  # fmt: skip
    assert (per_row(74), per_row(42)) == (16, 8)


def test_the_ring_layer_tells_where_and_when(session: Session) -> None:
    frame = session.frames.frame(1)
    layer = ring_layer(frame, "tx0", life_of_frame(session, frame), True)
    told = {field.name: field.text for field in layer.children}
    assert told["queue"] == "tx0, virtqueue 1"
    assert told["direction"] == "driver to device"
    assert told["slot"] == "0, still there"
    assert told["chain"] == "1 descriptor"
    assert told["notification"] == "kick sent; no call: the driver wanted none"
    assert told["way"] == "8 steps in 7.00 us"
    way = next(field for field in layer.children if field.name == "way")
    assert [step.name for step in way.children][:4] == ["driver", "driver", "driver", "device"]
    assert way.children[1].text == "made available, 1.00 us later"


def test_the_ring_layer_of_the_past_tells_nothing_later(session: Session) -> None:
    frame = session.frames.frame(1)
    told = {}
    for cursor in (0, 2, 4, 8):
        layer = ring_layer(frame, "tx0", life_of_frame(session, frame), True, cursor)
        told[cursor] = {field.name: field.text for field in layer.children}
    assert told[0]["way"] == "not begun at this moment" and "notification" not in told[0]
    assert told[2]["way"] == "2 steps in 1.00 us, 6 later ones not shown"
    assert told[4]["notification"] == "kick sent" and "call" not in told[4]["notification"]
    assert told[8]["way"] == "8 steps in 7.00 us"


def test_the_ring_layer_without_events(session: Session) -> None:
    frame = session.frames.frame(9)
    layer = ring_layer(frame, "tx0", life_of_frame(session, frame), False)
    told = {field.name: field.text for field in layer.children}
    assert told["way"] == "no longer in the journal"
    assert "used again" in told["slot"]
    assert "notification" not in told


@pytest.mark.parametrize("text", ["", "   ", "0x", "0xzz", "0x123"])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def _look(store: FrameStore, text: str, start: int, step: int = 1) -> int | None:
    found = find(store, FrameView(store).shown, parse(text), start - store.first, step, threading.Event())
    return found.number if found else None


def test_search_finds_the_same_as_a_plain_loop(session: Session) -> None:
    store = session.frames
    data = store.payloads(1, store.last + 1)
    arps = [n for n, octets in enumerate(data, 1) if summary(octets).protocol == "ARP"]
    assert len(arps) > 2
    assert _look(store, "arp", 1) == arps[0]
    assert _look(store, "ARP", arps[0] + 1) == arps[1]
    assert _look(store, "arp", arps[1] - 1, -1) == arps[0]
    assert _look(store, "arp", arps[-1] + 1) == arps[0], "round the end"
    assert _look(store, "arp", arps[0] - 1 or store.last, -1) == arps[-1], "round the beginning"


def test_search_finds_bytes(session: Session) -> None:
    needle = session.frames.frame(5).data[:30]
    first = next(n for n in range(1, 6) if needle in session.frames.frame(n).data)
    assert _look(session.frames, "0x" + needle.hex(), 1) == first
    assert _look(session.frames, "0x" + needle.hex(":"), 1) == first
    assert _look(session.frames, "0x" + "a5" * 40, 1) is None


def test_search_ends_when_it_is_told(session: Session) -> None:
    stop = threading.Event()
    stop.set()
    shown = FrameView(session.frames).shown
    assert find(session.frames, shown, parse("arp"), 0, 1, stop) is None
    assert find(FrameStore(), FrameView(FrameStore()).shown, parse("arp"), 0, 1, threading.Event()) is None
