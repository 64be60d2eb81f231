"""What the steps of a scenario do to a pair: bounds, faults, breakpoints, frames on their way."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest

from dataplane.records import TO_DEVICE, TO_DRIVER, Side
from dataplane.scenario import Doors, Outcome, Played, load
from dataplane.script import moving
from dataplane.script.frames import Frame
from dataplane.script.wire import Way

LAYOUT = pytest.mark.parametrize("layout", ["split", "packed"])
START = "[pair]\nqueue_size = 4\n"


def play(text: str, **more: Any) -> tuple[Played, Outcome]:
    """Plays a text to its end (and closes it); its last outcome."""
    with load(text, name="q.toml", **more).open() as played:
        while not played.done:
            played.step()
        return played, played.outcomes[-1]


def do(*steps: str, start: str = START) -> str:
    return start + "".join(f"[[do]]\n{step}\n" for step in steps)


# ---- what cannot be done -------------------------------------------------------------------------------


def test_a_side_with_nothing_to_do() -> None:
    _, last = play(do("step = 'driver 2 operations'"))
    assert last.failure == "q.toml:4: do[1].step: the driver took 0 of 2 operations: nothing to do, in step 1"


def test_what_never_comes() -> None:
    _, last = play(do("until = 'tx0.used == 1'"))
    assert last.failure == (
        "q.toml:4: do[1].until: it has not come to pass, and there is nothing more to do: tx0.used is 0, "
        "in step 1"
    )
    _, last = play(do("send = 'udp 64'\ncount = 40", "until = 'tx0.used == 40'\nlimit = 20"))
    assert "it has not come to pass in 20 operations: tx0.used is " in last.failure


def test_what_would_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "ALLOWANCE", 3_000)
    _, last = play(do("send = 'udp 64'\ncount = 5000", "until = 'quiet'\nlimit = 200000"))
    assert "a scenario goes on for 3,000 operations at most" in last.failure


def test_quiet_is_bounded_too() -> None:
    _, last = play(do("send = 'udp 64'\ncount = 5000", "until = 'quiet'\nlimit = 1000"))
    assert "it has not come to pass in 1,000 operations" in last.failure


def test_an_operation_that_does_not_come() -> None:
    _, last = play(do("step = 'driver until kick'"))
    assert "driver until kick: nothing to do before it came" in last.failure


def test_packets_that_do_not_go_through() -> None:
    _, last = play(do("send = 'udp 64'", "step = '2 packets'"))
    assert "1 of 2 packets went through: nothing to do" in last.failure


def test_what_was_taken_away_before() -> None:
    fault = "fault = 'lose_kick'\nqueue = 'tx0'"
    _, last = play(do(fault, "heal = 'lose_kick'", "heal = 'lose_kick'"))
    assert "do[3].heal: there is no fault lose_kick any more, or not yet" in last.failure
    _, last = play(do("clear = 'break'", "break = 'kick'"))
    assert "do[1].clear: there is no breakpoint break any more, or not yet" in last.failure


def test_a_queue_that_is_not_in_use() -> None:
    start = "[pair]\nqueue_size = 4\nqueue_pairs = 2\n"
    one = do("command = 'MQ_VQ_PAIRS_SET'\ndata = '0100'", "until = 'quiet'", start=start)
    _, last = play(one + "[[do]]\nsend = 'udp 64'\nqueue = 'tx1'\n")
    assert "do[3].send: tx1 is not in use: its pair is not among the 1 in use" in last.failure


def test_a_pair_that_was_let_go_in_between_is_brought_to_rest() -> None:
    """On the screens `z` lets it go; the next step of the script goes on all the same."""
    with load(do("send = 'udp 64'", "until = 'quiet'\nexpect = 'tx0.collected == 1'")).open() as played:
        played.step()
        played.pair.run()
        last = played.step()
        assert (last.failure, played.pair.frozen) == ("", True)


def test_a_failure_ends_it() -> None:
    played, last = play(do("expect = ['tx0.used == 0', 'tx0.used == 1', 'rx0.used == 1']", "say = 'never'"))
    assert [one.holds for one in last.results] == [True, False, False]
    assert last.failure == "q.toml:4: do[1].expect[2]: expected tx0.used == 1: tx0.used is 0, after step 1"
    assert played.done and played.failed and played.at == 1 and played.next is None


# ---- what can ------------------------------------------------------------------------------------------


@LAYOUT
def test_two_queue_pairs(layout: str) -> None:
    start = f"[pair]\nlayout = '{layout}'\nqueue_size = 8\nqueue_pairs = 2\n"
    sends = [f"send = ['udp 64', 'tcp 100']\nqueue = '{q}'\ncount = 2" for q in ("tx0", "tx1", "rx1")]
    expect = ["tx0.used == 4", "tx1.used == 4", "rx1.used == 4", "rx0.used == 0", "to_device.altered == 0"]
    _, last = play(do(*sends, f"until = 'quiet'\nexpect = {expect}", start=start))
    assert not last.failure


@LAYOUT
def test_more_than_a_socket_holds(layout: str) -> None:
    start = f"[pair]\nlayout = '{layout}'\nqueue_size = 4\n"
    sends = ("send = 'udp 64'\ncount = 3000", "send = 'bytes 3000'\ncount = 60\nqueue = 'rx0'")
    expect = ["to_device.arrived == 3000", "to_device.altered == 0", "to_device.lost == 0",
              "to_driver.arrived == 60", "to_driver.altered == 0"]  # fmt: skip
    _, last = play(do(*sends, f"until = 'quiet'\nlimit = 200000\nexpect = {expect}", start=start))
    assert not last.failure


@LAYOUT
@pytest.mark.parametrize("size, waiting", [(1, "auto"), (2, "poll"), (32_768, "interrupt")])
def test_extremes(layout: str, size: int, waiting: str) -> None:
    """A condition is looked at after every operation, also of a large queue; sides that poll come to rest."""
    start = f"[pair]\nlayout = '{layout}'\nqueue_size = {size}\ndriver = '{waiting}'\ndevice = '{waiting}'\n"
    expect = ["to_driver.altered == 0", "rx0.used == 3", f"tx0.owners.free == {size}"]
    steps = (
        "send = ['udp 64', 'udp 300']\ncount = 3",
        "until = 'tx0.used == 6'",
        "send = 'arp'\nqueue = 'rx0'\ncount = 3",
    )
    _, last = play(do(*steps, f"until = 'quiet'\nexpect = {expect}", start=start))
    assert not last.failure


def test_laps() -> None:
    _, last = play(
        do("send = 'udp 64'\ncount = 9", "step = '2 laps'\nqueue = 'tx0'\nexpect = ['tx0.collected >= 8']")
    )
    assert not last.failure


def test_without_settling_nothing_has_happened() -> None:
    expect = ["rx0.published == 0", "ctl.published == 0", "tx0.driver.turns == 0"]
    settled = ["rx0.published == 4", "ctl.used == 1"]
    start = START + "settle = false\n"
    _, last = play(do(f"expect = {expect}", f"until = 'quiet'\nexpect = {settled}", start=start))
    assert not last.failure


def test_a_step_counts_its_own_events() -> None:
    one = (
        "send = 'udp 64'",
        "until = 'quiet'\nexpect = ['tx0.events.publish == 1', 'tx0.events.collect == 1']",
    )
    _, last = play(do(*one, "expect = ['tx0.events.publish == 0']", *one))
    assert not last.failure


def test_a_breakpoint_ends_an_interleaving() -> None:
    text = do(
        "break = 'tx0 publish'\nname = 'here'", "send = 'udp 64'", "step = 'driver 50 stores, device 1 turn'"
    )
    _, last = play(text)
    assert last.stopped == ("here",) and not last.failure


def test_a_breakpoint_ends_liberty() -> None:
    steps = "break = 'tx0 publish'\nname = 'here'", "send = 'udp 64'", "run = 5"
    _, last = play(do(*steps) + "expect = ['hits.here == 1', 'tx0.published == 1']")
    assert last.stopped == ("here",) and not last.failure


def test_hits_stay_known() -> None:
    fault = (
        "fault = 'drop_store'\nby = 'driver'\nqueue = 'tx0'\narea = 'used_event'\nname = 'gone'\ncount = 0"
    )
    steps = fault, "send = 'udp 64'", "until = 'quiet'", "heal = 'all'\nexpect = ['hits.gone >= 1']"
    _, last = play(do(*steps, "expect = ['hits.gone >= 1']"))
    assert not last.failure


def test_stores_one_by_one() -> None:
    text = do(
        "send = 'udp 64'",
        "step = 'driver 1 store'\nexpect = ['tx0.desc[0].addr != 0', 'tx0.desc[0].len == 0']",
        "step = 'driver 1 store'\nexpect = ['tx0.desc[0].len == 76', 'tx0.avail_idx == 0']",
    )
    _, last = play(text)
    assert not last.failure


def test_a_capture_filter_needs_a_door() -> None:
    seen: list[str] = []

    def compiled(text: str) -> bytes:
        seen.append(text)
        return bytes.fromhex("0600000000000400")  # takes every frame

    steps = "break = 'bpf udp port 9'\nname = 'dns'", "send = 'udp 64'", "until = 'quiet'"
    _, last = play(do(*steps) + "expect = ['hits.dns == 1']", doors=Doors(compile_filter=compiled))
    assert seen == ["udp port 9"] and not last.failure


# ---- captures ------------------------------------------------------------------------------------------


def test_a_capture_by_name(tmp_path: Path) -> None:
    asked: list[Path] = []

    def read(file: Path) -> list[Frame]:
        asked.append(file)
        return [Frame("x", data=bytes([i]) * 60) for i in range(5)]

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.pcap").touch()
    (tmp_path / "out.pcap").touch()
    file = tmp_path / "sub" / "s.toml"

    def text(table: str) -> None:
        file.write_text(f"[frames]\nweb = {{ {table} }}\n" + do("send = 'web'", "until = 'quiet'"))

    text('pcap = "a.pcap", first = 2, last = 3')
    with load(file, doors=Doors(read)).open() as played:
        played.step()
        played.step()
        assert played.moment().traffic["to_device"]["arrived"] == 2
    assert asked == [tmp_path / "sub" / "a.pcap"]
    for table, said in [
        ('pcap = "../out.pcap"', "a capture lies in the scenario's own folder, or below it"),
        (f'pcap = "{tmp_path}/sub/a.pcap"', "a capture lies in the scenario's own folder"),
        ('pcap = "b.pcap"', "there is no file b.pcap"),
        ('pcap = "a.pcap", first = 6', "a.pcap has 5 frames, and none of 6 to 1000000"),
    ]:
        text(table)
        with pytest.raises(ValueError, match=r"s\.toml:2: frames\.web\.pcap: ") as caught:
            load(file, doors=Doors(read))
        assert said in str(caught.value)
    (tmp_path / "sub" / "link.pcap").symlink_to(tmp_path / "out.pcap")
    text('pcap = "link.pcap"')
    with pytest.raises(ValueError, match="a capture lies in the scenario's own folder"):
        load(file, doors=Doors(read))


# ---- the wire ------------------------------------------------------------------------------------------


def test_what_became_of_frames() -> None:
    way = Way()
    way.expected = {0: deque([b"a", b"b", b"c", b"d"]), 1: deque([b"e", b"f"])}
    way.sent = 6
    way.take(b"e")
    way.take(b"a")
    way.take(b"c")
    assert way.count() == {"sent": 6, "arrived": 3, "altered": 0, "lost": 1, "waiting": 2}
    way.take(b"x")
    assert way.count() == {"sent": 6, "arrived": 4, "altered": 1, "lost": 1, "waiting": 1}
    way.take(b"f")
    way.take(b"y")
    assert way.count() == {"sent": 6, "arrived": 6, "altered": 2, "lost": 1, "waiting": 0}


def test_sides_and_directions_agree() -> None:
    assert (TO_DEVICE, TO_DRIVER) == (Side.DRIVER, Side.DEVICE)
