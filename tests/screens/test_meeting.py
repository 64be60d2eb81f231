"""What can be attached to on this machine: as a command, and on the screen of the other end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.pair import Pair
from dataplane.vhost.backend import Backend
from dataplane.vhost.relaying import start_relay, viewers_path
from dataplane.vhost.sockets import Socket, listening
from dataplane.vhost.tap import Tap
from inspector.app import RingscopeApp
from inspector.commands.meeting import offer
from inspector.screens.peer import PeerScreen
from inspector.widgets.grid import Grid
from tests.screens.command import ringscope


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A relay of ours, one of a program called like QEMU, one of some other program; by what they are."""
    paths = {name: str(tmp_path / name) for name in ("relay", "peer", "other", "device")}
    script = f"""
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b"qemu-system-x86", 0, 0, 0)
s = socket.socket(socket.AF_UNIX); s.bind({paths["peer"]!r}); s.listen(); print("ready", flush=True)
sys.stdin.read()
"""
    with (
        subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1) as peer,
        socket.socket(socket.AF_UNIX) as other,
        Backend(paths["device"]) as device,
    ):
        assert peer.stdout is not None and peer.stdout.readline() == b"ready\n"
        other.bind(paths["other"])
        other.listen()
        device.start()
        pid = start_relay(paths["relay"], paths["device"], viewers_path(paths["relay"]))
        yield paths
        with Tap(viewers_path(paths["relay"]), capture=False) as tap:
            tap.start()
            tap.end_relay()
        os.waitpid(pid, 0)
        peer.communicate()


def test_those_that_listen_are_told_apart(sockets: dict[str, str]) -> None:
    found = {one.path: one for one in listening()}
    kinds = {name: found[path].kind for name, path in sockets.items()}
    assert kinds == {"relay": "relay", "peer": "peer", "other": "", "device": ""}
    assert found[sockets["other"]].pid == os.getpid()
    assert found[sockets["peer"]].process == "qemu-system-x86"
    assert viewers_path(sockets["relay"]) not in found
    kinds_in_order = [one.kind for one in listening()]
    assert kinds_in_order == sorted(kinds_in_order, key=["relay", "device", "driver", "peer", ""].index)


def test_nobody_is_connected_to(sockets: dict[str, str]) -> None:
    with Backend(sockets["other"] + "2") as device:
        device.start()
        listening()
        ringscope("peers", "--all")
        assert not device.talk.since()


def test_lines_to_copy(sockets: dict[str, str]) -> None:
    done = ringscope("peers")
    assert done.returncode == 0 and not done.stderr
    assert f"ringscope tap --attach {sockets['relay']}" in done.stdout
    assert f"--connect {sockets['peer']}" in done.stdout
    assert sockets["other"] not in done.stdout
    assert "memory-backend-memfd" in done.stdout and "net_virtio_user0" in done.stdout
    assert sockets["other"] in ringscope("peers", "--all").stdout


def test_the_same_as_json(sockets: dict[str, str]) -> None:
    told = json.loads(ringscope("peers", "--json").stdout)
    mine = {one["path"]: one for one in told["listening"]}
    assert mine[sockets["relay"]]["command"] == f"ringscope tap --attach {sockets['relay']}"
    assert set(told["to_start"]) == {"QEMU", "DPDK", "libvirt", "cloud-hypervisor"}


def test_a_path_is_quoted() -> None:
    assert "'/tmp/a b.front'" in offer(Socket("/tmp/a b", "peer"))


async def test_the_screen_of_a_pair_lists_them(sockets: dict[str, str]) -> None:
    with Pair() as pair:
        pair.start()
        app = RingscopeApp(pair)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("6")
            await pilot.pause()
            assert isinstance(app.screen, PeerScreen)
            grid = app.screen.query_one("#sockets", Grid)
            for _ in range(200):
                if sockets["relay"] in [row.key for row in grid.rows]:
                    break
                await pilot.pause(0.05)
            keys = [row.key for row in grid.rows]
            assert sockets["relay"] in keys and sockets["peer"] in keys and sockets["other"] not in keys
            assert not app.screen.query_one("#talk", Grid).display


def test_what_was_attached_to_is_remembered(tmp_path: Path, sockets: dict[str, str]) -> None:
    """Once the rings were there, and not before; the newest first, each once."""
    state = {"env": {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}}
    path = sockets["device"]
    assert json.loads(ringscope("peers", "--json", **state).stdout)["lately"] == []
    for layout in ("split", "packed"):
        how = ("--layout", layout, "--json", "--seconds", "0.2")
        ran = ringscope("driver", "--connect", path, *how, **state)
        assert ran.returncode == 0, ran.stderr
    assert ringscope("driver", "--connect", str(tmp_path / "nobody"), **state).returncode == 2
    lately = [f"ringscope driver --connect {path}"]
    assert json.loads(ringscope("peers", "--json", **state).stdout)["lately"] == lately
    assert "attached to lately" in ringscope("peers", **state).stdout
