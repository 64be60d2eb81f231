"""The pure parts of the packets screen: columns, lines, bytes, the Ring layer, search."""

from __future__ import annotations

import threading

import pytest

from capture.columns import Summary, summary
from capture.play import PlayFrame, load_mix
from capture.store import FrameStore
from dataplane.records import TO_DEVICE
from inspector.packets.bytes import layout, per_row
from inspector.packets.layers import ring_layer
from inspector.packets.rows import columns, cut, line, middle
from inspector.packets.search import find, parse
from inspector.session import Session, records
from tests.screens.crossing import Crossing, events_of, rows_of


@pytest.fixture(scope="module")
def session() -> Session:
    source = Crossing()
    source.journal(events_of(rows_of(source.all)[0]))
    session = Session(source)
    session.pull()
    return session


@pytest.mark.parametrize("width", range(60, 240, 7))
def test_columns_fill_the_width_and_no_more(width: int) -> None:
    shown = columns(width, 6, 39, 12)
    used = 1 + sum(column.width + 1 for column in shown)
    assert used <= width or width < 80
    assert shown[-1].name == "info"


def test_wider_terminals_show_more() -> None:
    names = [{column.name for column in columns(width)} for width in (80, 120, 200)]
    assert names[0] < names[1] < names[2]
    assert {"number", "queue", "protocol", "source", "destination", "info"} <= names[0]
    assert {"delta", "slot", "chain"} <= names[2]


def test_cut_marks_what_is_missing() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert middle("fe80::5054:ff:fe00:1", 15) == "fe80::5…:fe00:1"
    assert len(middle("2001:db8:1:2:3:4:5:6", 12)) == 12


def test_a_line_of_the_list(session: Session) -> None:
    rows = session.frames.rows(1, 3)
    first, second = (
        line(row, Summary("TCP", "a", "b", "info"), int(rows["time"][0]), None, "tx0") for row in rows
    )
    assert first.texts["time"] == "0.000000"
    assert first.texts["delta"] == ""
    assert first.to_device and first.texts["queue"].endswith("→")
    assert second.number == 2


def test_a_cut_packet_says_so(session: Session) -> None:
    row = session.frames.rows(1, 2).copy()[0]
    row["length"] = 9000
    made = line(row, Summary("TCP", "a", "b", "x"), 0, 0, "tx0")
    assert made.texts["info"].endswith(f"[{int(row['captured'])} of 9000 bytes kept]")


def test_a_damaged_frame_is_marked() -> None:
    frame = load_mix()[0].data[:15]
    row = records(_frames([PlayFrame(0, TO_DEVICE, frame)]))[0]
    assert line(row, summary(frame), 0, None, "tx0").bad


def _frames(frames: list[PlayFrame]):
    return Crossing(frames).frames()


def test_rows_of_bytes_begin_with_the_net_header() -> None:
    rows = layout(bytes(12), bytes(range(40)), 16)
    assert [(row.vnet, row.start, len(row.data)) for row in rows] == [
        (True, 0, 12), (False, 0, 16), (False, 16, 16), (False, 32, 8),
    ]  # fmt: skip
    assert (per_row(74), per_row(42)) == (16, 8)


def test_the_ring_layer_tells_where_and_when(session: Session) -> None:
    frame = session.frames.frame(1)
    layer = ring_layer(frame, "tx0", session.journey(frame), True)
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


def test_the_ring_layer_without_events(session: Session) -> None:
    layer = ring_layer(session.frames.frame(9), "tx0", (), False)
    told = {field.name: field.text for field in layer.children}
    assert told["way"] == "no longer in the journal"
    assert "used again" in told["slot"]
    assert "notification" not in told


@pytest.mark.parametrize("text", ["", "   ", "0x", "0xzz", "0x123"])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def _look(store: FrameStore, text: str, start: int, step: int = 1) -> int | None:
    return find(store, parse(text), start, step, threading.Event())


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
    assert find(session.frames, parse("arp"), 1, 1, stop) is None
    assert find(FrameStore(), parse("arp"), 1, 1, threading.Event()) is None
