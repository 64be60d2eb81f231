"""`ringscope device` as a command, and the screen of the other end, with a front-end by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane.pair import Pair
from dataplane.vhost import payload as p
from dataplane.vhost.backend import Backend
from inspector.app import RingscopeApp
from inspector.commands.serving import invitations
from inspector.screens.peer import PeerScreen
from inspector.widgets.filling import Words
from inspector.widgets.grid import Grid
from tests.rings.frontend import ByHand
from tests.rings.staging import wait_until
from tests.screens.command import COMMAND, ROOT, ringscope

FRAME = bytes(12) + b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(50)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "one of the arguments --listen --connect is required"),
        (["--listen", "a", "--connect", "b"], "not allowed with"),
        (
            ["--listen", "a", "--ip", "1.2.3.4", "--traffic", "sink", "--json"],
            "--ip is the address that answers",
        ),
        (["--listen", "a", "--ip", "1.2.3", "--json"], "1.2.3"),
        (["--listen", "a", "--rate", "5", "--json"], "--rate is for what is sent by itself"),
        (["--listen", "a", "--seconds", "5"], "--seconds goes with --json"),
        (["--listen", "a"], "the screens need a terminal"),
        (["--listen", "/no/such/folder/s", "--json"], "/no/such/folder/s: No such file or directory"),
        (["--listen", "x" * 120, "--json"], "longer than 107 bytes"),
        (["--listen", "README.md", "--json"], "README.md: there is a file, and it is no socket"),
        (["--listen", "a", "--queue-pairs", "17", "--json"], "give a number from 1 to 16"),
        (["--listen", "a", "--features", "-version_1", "--json"], "VERSION_1"),
        (["--listen", "a", "--fault", "no_such", "--json"], "no_such"),
        (["--listen", "a", "--traffic", "no/such.pcap", "--json"], "no/such.pcap: No such file"),
        (["--listen", "a", "--traffic", "tap:a/b", "--json"], "no interface name"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(tmp_path: Path, args: list[str], words: str) -> None:
    here = tmp_path / "a"
    done = ringscope("device", *(str(here) if word == "a" else word for word in args))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not here.exists()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    path = str(tmp_path / "ring.sock")
    command = [*COMMAND, "device", "--listen", path, "--json", "--every", "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, stdin=-3, text=True) as process:
        wait_until(lambda: os.path.exists(path), "it listens")
        yield process, path
        process.kill()


def test_lines_of_a_real_driver(serving: tuple[subprocess.Popen[str], str]) -> None:
    process, path = serving
    assert process.stdout is not None and process.stderr is not None
    assert f"listens on {path}" in process.stderr.readline()
    driver = ByHand(path)
    driver.greet()
    driver.ring(0)
    tx = driver.ring(1)
    for _ in range(3):
        driver.put(tx, FRAME)
    for text in process.stdout:
        told = json.loads(text)
        if any(queue["name"] == "tx0" and queue["used"] == 3 for queue in told["queues"]):
            break
    assert told["state"] == "running" and told["frames"]["kept"] == 3
    assert [queue["kicks"] for queue in told["queues"]] == [None, None]
    driver.close()
    for text in process.stdout:
        if json.loads(text)["state"] == "stopped":
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, 130) and not os.path.exists(path)


def test_a_socket_that_is_taken(serving: tuple[subprocess.Popen[str], str]) -> None:
    _, path = serving
    done = ringscope("device", "--listen", path, "--json")
    assert done.returncode == 2 and "somebody listens there already" in done.stderr


def test_the_lines_to_copy_name_the_socket(tmp_path: Path) -> None:
    told = dict(invitations(str(tmp_path / "a b"), 2))
    assert set(told) == {"QEMU", "DPDK", "libvirt", "cloud-hypervisor"}
    assert all("a b'" in told[who] for who in ("QEMU", "DPDK", "cloud-hypervisor"))
    assert f'path="{tmp_path / "a b"}"' in told["libvirt"]
    assert "queues=2" in told["QEMU"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_other_end(tmp_path: Path, size: tuple[int, int]) -> None:
    with Backend(str(tmp_path / "s"), queue_pairs=2) as device:
        device.start()
        driver = ByHand(device.path)
        driver.greet()
        driver.ring(0)
        tx = driver.ring(1)
        driver.put(tx, FRAME)
        assert driver.say("SET_VRING_NUM", p.VringState(9, 16)) == 1
        app = RingscopeApp(device)
        async with app.run_test(size=size) as pilot:
            await pilot.press("6")
            await until(pilot, lambda: isinstance(app.screen, PeerScreen) and bool(rows(app, "talk")))
            assert [row[:2] for row in rows(app, "rings")] == [("rx0", "started"), ("tx0", "started")]
            assert rows(app, "memory") == [("0x40000000", "0x400000", "0x7f0000000000", "0x0")]
            said = [row[-1] for row in rows(app, "talk")]
            assert said[0] == "SET_VRING_NUM reply 0x1" and said[-1] == "GET_FEATURES"
            assert "! SET_VRING_NUM: there is no ring 9" in said[1] or "! there is no ring 9" in said[1]
            assert "somebody is connected" in about(app) and "VERSION_1" in about(app)
            driver.close()
            await until(pilot, lambda: "nobody is connected" in about(app))
            assert "the driver hung up" in about(app)
            await pilot.press("1")
            await pilot.pause()
            await pilot.press("2", "3", "4", "6")
            await pilot.pause()


async def test_a_pair_has_no_other_end() -> None:
    with Pair(frozen=True) as pair:
        pair.start()
        app = RingscopeApp(pair)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("6")
            await until(pilot, lambda: isinstance(app.screen, PeerScreen) and "both sides" in about(app))
            assert not app.screen.query_one("#talk").display


def rows(app: Any, table: str) -> list[tuple[str, ...]]:
    return [row.texts for row in app.screen.query_one(f"#{table}", Grid).rows]


def about(app: Any) -> str:
    return str(app.screen.query_one("#about", Words)._text)


async def until(pilot: Any, true: Any) -> None:
    for _ in range(400):
        if true():
            return
        await pilot.pause(0.05)
    raise AssertionError("it never came to pass")
