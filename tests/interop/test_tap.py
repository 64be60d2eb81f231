"""TAPs alone: which offloads follow from the features, what goes wrong and how it is said, and a plain
relay of reads and writes between two of them, without rings."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dataplane import cable
from dataplane.cable import CableError, offloads, open_cable, open_tap
from dataplane.features import bit_of, mask
from dataplane.records import Side
from tests.interop.netns import MIB, V4, V6, Bench, run


def _bits(names: str) -> int:
    return mask(*(bit_of(name) for name in names.split()))


ALL = _bits("csum host_tso4 host_tso6 host_ecn guest_csum guest_tso4 guest_tso6 guest_ecn")
CSUM, TSO4, TSO6, ECN, UFO = 1, 2, 4, 8, 16


@pytest.mark.parametrize(
    ("names", "driver", "device"),
    [
        ("", 0, 0),
        ("csum", CSUM, 0),
        ("guest_csum", 0, CSUM),
        ("csum host_tso4", CSUM | TSO4, 0),
        ("csum host_tso6 host_ecn", CSUM | TSO6 | ECN, 0),
        ("guest_csum guest_tso4 guest_tso6", 0, CSUM | TSO4 | TSO6),
        ("csum host_ufo guest_csum guest_ufo", CSUM | UFO, CSUM | UFO),
        # What Linux would refuse: segments without partial checksums, ECN without TCP segments.
        ("host_tso4 host_tso6 host_ecn guest_tso4", 0, 0),
        ("csum host_ecn guest_csum guest_ecn", CSUM, CSUM),
        ("mrg_rxbuf mac status version_1 ring_packed", 0, 0),
    ],
)
def test_offloads_follow_from_the_features(names: str, driver: int, device: int) -> None:
    assert offloads(_bits(names), Side.DRIVER) == driver
    assert offloads(_bits(names), Side.DEVICE) == device


def test_all_offloads() -> None:
    assert offloads(ALL, Side.DRIVER) == offloads(ALL, Side.DEVICE) == CSUM | TSO4 | TSO6 | ECN


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "'' is no interface name"),
        (".", "'.' is no interface name"),
        ("a/b", "'a/b' is no interface name"),
        ("a b", "'a b' is no interface name"),
        ("tap%d", "'tap%d' is no interface name"),
        ("tap\x1b[31m", r"'tap\x1b[31m' is no interface name"),
        ("tap\u00e9", r"'tap\xe9' is no interface name"),
        ("a-name-too-long-", "interface name a-name-too-long- is too long: Linux takes 15"),
    ],
)
def test_a_name_that_linux_refuses(name: str, says: str) -> None:
    with pytest.raises(CableError) as caught:
        open_tap(name, features=0, side=Side.DRIVER)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_an_mtu_that_linux_refuses() -> None:
    with pytest.raises(CableError, match=r"^mtu 65522 is outside what a TAP takes: 68 to 65521$"):
        open_tap("rs-any", features=0, side=Side.DRIVER, mtu=65522)


def test_both_ends_on_one_interface() -> None:
    with pytest.raises(CableError, match=r"^the cable needs two interfaces, and both ends name 'tap0'$"):
        open_cable("tap0", "tap0", features=0)


def test_no_tun_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cable, "TUN_PATH", "/dev/net/no-such-node")
    with pytest.raises(CableError, match=r"^/dev/net/no-such-node is missing, .*modprobe tun"):
        open_tap("rs-any", features=0, side=Side.DRIVER)


def test_a_device_node_that_is_no_tun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cable, "TUN_PATH", "/dev/null")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CableError, match=r"^cannot attach to rs-any: "):
        open_tap("rs-any", features=0, side=Side.DRIVER)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_interface_in_use(bench: Bench) -> None:
    name = bench.names["driver"]
    with open_tap(name, features=0, side=Side.DRIVER), pytest.raises(CableError) as caught:
        open_tap(name, features=0, side=Side.DRIVER)
    assert str(caught.value).startswith(f"{name} is in use by another program")


def test_an_interface_that_is_no_tap(bench: Bench) -> None:
    with pytest.raises(CableError, match=r"^lo exists and is not a TAP with one queue: name another$"):
        open_tap("lo", features=0, side=Side.DRIVER)


def test_a_failing_second_end_lets_go_of_the_first(bench: Bench) -> None:
    with pytest.raises(CableError, match="lo exists and is not a TAP"):
        open_cable(bench.names["driver"], "lo", features=0)
    with open_tap(bench.names["driver"], features=0, side=Side.DRIVER):
        pass


def test_an_interface_made_beforehand_stays(bench: Bench) -> None:
    name = bench.names["driver"]
    run("ip", "tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr")
    bench.stack.callback(run, "ip", "link", "del", name)
    with open_tap(name, features=ALL, side=Side.DRIVER, mtu=9000) as tap:
        assert tap.offload == CSUM | TSO4 | TSO6 | ECN
        assert not os.get_blocking(tap.fd)
        assert not os.get_inheritable(tap.fd)
        with pytest.raises(BlockingIOError):
            os.read(tap.fd, 65536)
    assert tap.fd == -1
    tap.close()
    assert " mtu 9000 " in run("ip", "link", "show", name)


def test_an_interface_that_was_created_goes(bench: Bench) -> None:
    name = bench.names["driver"]
    with open_tap(name, features=0, side=Side.DRIVER):
        assert name in os.listdir("/sys/class/net")
    assert name not in os.listdir("/sys/class/net")


def _as_nobody(before: str, name: str) -> str:
    """What a program without any right prints about opening a TAP; `before` is what it did as root."""
    program = f"""
import os
from dataplane import cable
from dataplane.records import Side
{before}
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    cable.open_tap({name!r}, features=0, side=Side.DRIVER)
except cable.CableError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1, done.stderr
    return done.stdout


def test_no_right_to_the_device_node(bench: Bench) -> None:
    if os.stat("/dev/net/tun").st_mode & 0o006:
        pytest.skip("everybody may open /dev/net/tun here")
    said = _as_nobody("", bench.names["driver"])
    assert said.startswith("no right to open /dev/net/tun: run as root")


def test_no_right_to_the_interface(bench: Bench) -> None:
    """The node is open, as it is for everybody on most systems; the interface is another matter."""
    name = bench.names["driver"]
    said = _as_nobody("node = cable._open_node(); cable._open_node = lambda: node", name)
    assert said.startswith(
        f"no right to use {name}: it needs CAP_NET_ADMIN, or once, by root: ip tuntap add dev {name}"
    )


@contextmanager
def _relay(first: int, second: int, seen: Callable[[bytes], None]) -> Iterator[None]:
    """Carry every read of one file descriptor to the other in a thread; `seen` is told each of them."""
    stop_read, stop_write = os.pipe()

    def carry() -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(first, selectors.EVENT_READ, second)
            waiting.register(second, selectors.EVENT_READ, first)
            waiting.register(stop_read, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    if key.fd == stop_read:
                        return
                    try:
                        frame = os.read(key.fd, 1 << 17)
                    except BlockingIOError:
                        continue
                    seen(frame)
                    os.write(key.data, frame)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        os.close(stop_write)
        thread.join()
        os.close(stop_read)


@pytest.mark.parametrize("features", [0, ALL], ids=["plain", "offloads"])
def test_two_stacks_through_a_relay(bench: Bench, features: int) -> None:
    """The TAPs carry net headers that each other's kernel understands, and only the offloads asked for."""
    with open_cable(bench.names["driver"], bench.names["device"], features=features, mtu=9000) as joined:
        seen: list[bytes] = []
        bench.plug()
        with _relay(joined.driver.fd, joined.device.fd, seen.append):
            bench.ping("driver", V4["device"], payload=8972)
            bench.ping("device", V6["driver"], payload=56)
            for source in ("driver", "device"):
                for family in (socket.AF_INET, socket.AF_INET6):
                    done = bench.transfer(source, size=2 * MIB, family=family)
                    assert done.sent == done.received
    longest = max(len(frame) - 12 for frame in seen)
    partial = sum(frame[0] & 1 for frame in seen)
    segmented = {frame[1] for frame in seen}
    if features:
        assert longest > 9014
        assert partial > 0
        assert {1, 4} <= segmented  # TCPv4 and TCPv6 (5.1.6)
    else:
        assert longest == 9014
        assert not any(any(frame[:10]) for frame in seen)
