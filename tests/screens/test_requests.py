"""Requests of a disk: on the screen, in lines of JSON, and on the command line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataplane import blk
from dataplane.vhost.blk_frontend import BlkFrontend
from dataplane.vhost.sockets import Socket
from inspector.app import RingscopeApp
from inspector.commands.meeting import offer
from inspector.headlines import facts, headline
from inspector.packets.bytes import BytesView
from inspector.screens.requests import RequestsScreen, in_words
from inspector.widgets.grid import Grid
from tests.rings.disk import Answer, Asked, Disk
from tests.screens.command import ringscope

IMAGE = bytes(range(256)) * 512


def every_eighth_fails(asked: Asked) -> Answer:
    sector = int(struct.unpack_from("<Q", asked.header, 8)[0])
    return Answer(blk.IOERR if sector % 64 == 0 else blk.OK)


async def until(pilot: Any, reached: Callable[[], bool]) -> None:
    for _ in range(400):
        if reached():
            return
        await pilot.pause(0.05)
    raise AssertionError("it never came to pass")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_each_request_is_a_line(tmp_path: Path, size: tuple[int, int]) -> None:
    sock = str(tmp_path / "s")
    with Disk(sock, IMAGE, answers=every_eighth_fails), BlkFrontend(sock, rate=200) as driver:
        driver.start()
        app = RingscopeApp(driver)
        async with app.run_test(size=size) as pilot:
            await pilot.press("2")
            await until(pilot, lambda: isinstance(app.screen, RequestsScreen))
            grid = app.screen.query_one(Grid)
            await until(pilot, lambda: len(grid.rows) > 20 and app.session.requests.failed > 2)
            for row in grid.rows:
                _, _, queue, _, name, sector, octets, status, _ = row.texts
                bad = int(sector) % 64 == 0
                assert (queue, name, octets) == ("req0", "IN", "4,096")
                assert status == ("IOERR" if bad else "OK")
                assert row.meaning == ("fault" if bad else "")
            tick = app.session.tick
            assert tick is not None
            badges = headline(app.session, tick).badges
            assert any("failed" in text and style == "fault" for text, style in badges)
            assert "requests" in facts(app.session, tick)[0][0]
            await pilot.press("space", "x")
            await until(pilot, lambda: {row.texts[7] for row in grid.rows} == {"IOERR"})
            chosen = app.session.requests.find(int(str(grid.key)))
            assert chosen is not None
            assert app.screen.query_one(BytesView).net_header == chosen.header
            said = app.screen.copy_text()
            assert said == in_words(chosen, len(IMAGE) // blk.SECTOR)
            assert f"IN at sector {chosen.sector}: 4,096 bytes, IOERR" in said
            await pilot.press("d")
            await until(pilot, lambda: app.current_mode == "rings")
            assert app.session.selection.slot == chosen.head


async def test_keys_of_packets_do_no_harm(tmp_path: Path) -> None:
    sock = str(tmp_path / "s")
    with Disk(sock, IMAGE), BlkFrontend(sock, rate=20) as driver:
        driver.start()
        app = RingscopeApp(driver)
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.pause(0.3)
            for keys in (
                "2",
                "slash",
                "w",
                "f",
                "n",
                "d",
                "p",
                "L",
                "escape",
                "2",
                "6",
                "4",
                "3",
                "z",
                "s",
                "1",
            ):
                await pilot.press(keys)
                await pilot.pause(0.1)
            assert app.failed is None
            assert app.is_running


def test_lines_of_json(tmp_path: Path) -> None:
    sock = str(tmp_path / "s")
    with Disk(sock, IMAGE, answers=every_eighth_fails):
        done = ringscope(
            "driver", "--connect", sock, "--device-type", "blk", "--json", "--every", "0.3", "--seconds", "1",
            "--rate", "200", "--traffic", "sequential", "--length", "1024", "--depth", "2",
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [one for line in lines for one in line["requests"]["list"]]
    assert [one["number"] for one in told] == list(range(1, len(told) + 1))
    assert [one["sector"] for one in told] == [2 * i % 256 for i in range(len(told))]
    assert {(one["name"], one["bytes"], one["queue"]) for one in told} == {("IN", 1024, 0)}
    assert all(one["answer"] == ("OK" if one["sector"] % 64 else "IOERR") for one in told)
    assert lines[-1]["requests"]["total"] == len(told)
    assert lines[-1]["requests"]["failed"] == sum(one["status"] != 0 for one in told)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--depth", "3"], "--depth is of a disk"),
        (["--traffic", "random"], "--traffic random is of a disk"),
        (["--device-type", "blk", "--traffic", "mix"], "no way to read a disk"),
        (["--device-type", "blk", "--traffic", "none", "--rate", "5"], "--rate is for what is read"),
        (["--device-type", "blk", "--filter", "arp"], "--filter chooses packets"),
        (["--device-type", "blk", "--length", "1000"], "not whole sectors of 512"),
        (["--device-type", "blk", "--fault", "lose_kick"], "--fault is for the network driver"),
        (["--device-type", "blk", "--queue-pairs", "2"], "of a disk --queues"),
        (["--device-type", "blk", "--features", "+mrg_rxbuf"], "no feature is called 'mrg_rxbuf'"),
        (["--device-type", "scsi"], "invalid choice: 'scsi'"),
        (["--device-type", "blk"], "No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(tmp_path: Path, args: list[str], words: str) -> None:
    done = ringscope("driver", "--connect", str(tmp_path / "a"), "--json", *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_serves_a_disk_is_offered_as_one() -> None:
    told = offer(Socket("/tmp/s", "peer", "qemu-storage-da", 7))
    assert told.endswith("ringscope driver --connect /tmp/s --device-type blk")
