"""The write dialogue: which packets, which format, never over a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from capture.pcap import Packet, read_pcap
from capture.pcapng import read_pcapng
from inspector.app import RingscopeApp
from inspector.screens.packets import PacketsScreen
from inspector.screens.writing import Choices, WriteDialogue
from inspector.widgets.filling import Words
from inspector.writing import wrong_name
from tests.screens.at_packets import at_packets, mixed, until

pytestmark = pytest.mark.usefixtures("at_once")


def read(path: Path) -> list[Packet]:
    with path.open("rb") as file:
        return list((read_pcap if path.suffix == ".pcap" else read_pcapng)(file))


async def write(pilot: Pilot[int], path: Path, *keys: str) -> str:
    """Write to a file what some keys choose; what was said."""
    app = pilot.app
    assert isinstance(app, RingscopeApp)
    app._message = None
    await pilot.press("w", *keys)
    assert isinstance(app.screen, WriteDialogue)
    app.screen.query_one(Input).value = str(path)
    await pilot.pause()
    await pilot.press("enter")
    await app.workers.wait_for_complete()
    await pilot.pause()
    return app._message[0] if app._message else ""


@pytest.mark.asyncio
async def test_all_of_them_and_never_over_a_file(tmp_path: Path) -> None:
    source, path = mixed(), tmp_path / "a.pcapng"
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        await at_packets(pilot)
        assert await write(pilot, path) == f"783 packets written to {path}"
        assert [packet.data for packet in read(path)] == [frame.data for frame in source.all]
        before = path.read_bytes()
        await write(pilot, path)
        assert isinstance(pilot.app.screen, WriteDialogue)
        assert "exists already" in pilot.app.screen.query_one(Words)._text
        assert path.read_bytes() == before


@pytest.mark.asyncio
async def test_what_is_selected_marked_or_filtered(tmp_path: Path) -> None:
    source = mixed()
    async with RingscopeApp(source).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "g", "m", "down", "down", "m")
        assert "1 packet written" in await write(pilot, tmp_path / "one.pcapng", "down")
        assert [packet.number for packet in read(tmp_path / "one.pcapng")] == [3]
        assert "2 packets written" in await write(pilot, tmp_path / "two.pcapng", "down", "down")
        assert [packet.number for packet in read(tmp_path / "two.pcapng")] == [1, 3]
        await pilot.press("ampersand", *"dhcp", "enter")
        await until(pilot, lambda: screen.packets.shown.filter_text == "dhcp")
        await pilot.press("w")
        choices = pilot.app.screen.query_one(Choices)
        assert choices.choices[choices.at].name == "filtered", "what is shown is proposed"
        assert choices.choices[choices.at].about == "dhcp"
        await pilot.press("escape")
        told = await write(pilot, tmp_path / "three.pcap")
        packets = read(tmp_path / "three.pcap")
        assert told.startswith(f"{len(packets)} packets written")
        assert [p.data for p in packets] == [
            source.all[int(n) - 1].data for n in screen.packets.shown.ascending()
        ]
        assert packets[0].time % 1000 == 0 and packets[1].time - packets[0].time > 0


@pytest.mark.asyncio
async def test_what_is_sorted_is_written_in_the_order_of_the_capture(tmp_path: Path) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        screen = await at_packets(pilot, "ampersand", *"dns", "enter")
        screen.packets.set_sort("length", True)
        await until(pilot, lambda: screen.packets.shown.column == "length")
        await write(pilot, tmp_path / "a.pcapng")
        numbers = [packet.number or 0 for packet in read(tmp_path / "a.pcapng")]
        assert numbers == sorted(numbers) and len(numbers) == len(screen.packets.shown)


@pytest.mark.asyncio
async def test_nothing_is_written_where_one_turns_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        await at_packets(pilot)
        await pilot.press("w", "escape")
        assert isinstance(pilot.app.screen, PacketsScreen)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.asyncio
async def test_the_rings_screen_writes_all(tmp_path: Path) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        await at_packets(pilot)
        await pilot.press("1")
        assert "783 packets written" in await write(pilot, tmp_path / "a.pcapng")


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_written_to_its_end_is_said(tmp_path: Path) -> None:
    async with RingscopeApp(mixed()).run_test(size=(120, 40)) as pilot:
        await at_packets(pilot)
        await pilot.press("w")
        app = pilot.app
        app.screen.query_one(Input).value = "/proc/a.pcapng"
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(app, RingscopeApp) and app._message
        assert app._message[0].startswith("cannot write /proc/a.pcapng")


def test_names_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").touch()
    assert "exists already" in wrong_name(str(tmp_path / "a.pcap"))
    assert "no folder" in wrong_name(str(tmp_path / "none" / "a.pcap"))
    assert ".pcapng or .pcap" in wrong_name(str(tmp_path / "a.txt"))
    assert wrong_name(str(tmp_path / "b.pcapng")) == ""
