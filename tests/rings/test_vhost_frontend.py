"""Our driver behind vhost-user: against our device over one socket, and against back-ends that lie."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataplane import features as f
from dataplane.pair import Layout
from dataplane.records import Path
from dataplane.rules.doctor import Doctor
from dataplane.vhost import payload as p
from dataplane.vhost.backend import Backend
from dataplane.vhost.connection import Connection, Listener, ProtocolError
from dataplane.vhost.frontend import Frontend
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, Message
from tests.rings.staging import wait_until

OFFERED = f.mask(f.F_VERSION_1, F_PROTOCOL_FEATURES)
BUFFERS = 3_000


def fds_open() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def no_descriptor_stays() -> Iterator[None]:
    before = fds_open()
    yield
    assert fds_open() == before


@pytest.fixture
def sock(tmp_path: Any) -> str:
    return str(tmp_path / "ring.sock")


def both_went(device: Backend, driver: Frontend, pairs: int = 1, least: int = BUFFERS) -> None:
    """Every frame of both directions arrives once, whole, in its order, as both ends count it."""
    wait_until(
        lambda: min(queue.used for queue in driver.snapshot(()).queues[: 2 * pairs]) > least,
        f"{least} buffers on every queue",
    )
    doctor = Doctor()
    for source in (device, driver):
        snapshot = source.snapshot()
        assert snapshot.notes == ()
        assert not doctor.look(snapshot)
        for queue in snapshot.queues:
            assert (queue.driver is None) != (queue.device is None)
            assert queue.published >= queue.seen >= queue.used >= queue.collected
            assert queue.published - queue.collected <= queue.size
    driver.quiet()
    device.quiet()
    wait_until(lambda: settled(device, driver), "what is under way arrives")
    for ours, theirs in zip(device.snapshot(()).queues, driver.snapshot(()).queues, strict=True):
        assert ours.device is not None and theirs.driver is not None
        assert (ours.used, ours.device.frames) == (theirs.collected, theirs.driver.frames)
        assert not ours.device.broken and not theirs.driver.broken and not ours.device.drops
    assert device.info()["wrong"] == driver.info()["wrong"] == 0


def settled(device: Backend, driver: Frontend) -> bool:
    """Nothing is under way: what waits in a receive queue waits for what may never come."""
    for ours, theirs in zip(device.snapshot(()).queues, driver.snapshot(()).queues, strict=True):
        sent = theirs.published if ours.index & 1 else ours.used
        if not ours.used == theirs.collected == sent:
            return False
    return True


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("features", "size", "chains"),
    [
        ("", 256, Path.AUTO),
        ("+in_order", 64, Path.AUTO),
        ("-mrg_rxbuf", 8, Path.AUTO),
        ("-mrg_rxbuf,+in_order", 256, Path.FIXED),
        ("-event_idx", 16, Path.CHAIN),
        ("", 32, Path.INDIRECT),
        ("+in_order,-event_idx,-indirect_desc", 1024, Path.DIRECT),
    ],
    ids=lambda value: str(value),
)
def test_both_ends_count_the_same(sock: str, layout: Layout, features: str, size: int, chains: Path) -> None:
    with Backend(sock) as device:
        device.flood(length=200)
        device.set_rate(20_000)
        device.start()
        with Frontend(sock, layout=layout, queue_size=size, features=features, chains=chains) as driver:
            driver.flood(length=200)
            driver.set_rate(20_000)
            driver.start()
            both_went(device, driver)
            assert driver.identity.accepted == device.identity.accepted
            assert driver.identity.packed == device.identity.packed == (layout == "packed")
        wait_until(lambda: bool(device.snapshot(()).notes), "the driver is gone")


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_several_queue_pairs(sock: str, layout: Layout) -> None:
    with Backend(sock, queue_pairs=3) as device:
        device.flood()
        device.set_rate(20_000)
        device.start()
        with Frontend(sock, layout=layout, queue_pairs=2) as driver:
            driver.flood()
            driver.set_rate(20_000)
            driver.start()
            both_went(device, driver, 2, 200)
            assert len(device.snapshot(()).queues) == 4


@pytest.mark.parametrize("size", [3, 100, 257])
def test_packed_sizes_that_are_no_power_of_two(sock: str, size: int) -> None:
    with Backend(sock) as device:
        device.flood()
        device.set_rate(20_000)
        device.start()
        with Frontend(sock, layout="packed", queue_size=size) as driver:
            driver.flood()
            driver.set_rate(20_000)
            driver.start()
            both_went(device, driver)


def test_the_device_may_come_to_us(sock: str) -> None:
    with Backend(sock, listen=False) as device:
        device.start()
        with Frontend(sock, listen=True, seconds=20) as driver:
            driver.flood()
            driver.set_rate(20_000)
            driver.start()
            wait_until(lambda: driver.snapshot(()).queue(1).used > 100, "it takes what we send")
        assert not os.path.exists(sock)


def test_the_end_of_the_device_is_told(sock: str) -> None:
    device = Backend(sock)
    device.start()
    with Frontend(sock) as driver:
        driver.start()
        assert driver.peer.connected and not driver.snapshot().notes
        device.close()
        wait_until(lambda: bool(driver.snapshot(()).notes), "the device is gone")
        assert "hung up" in driver.snapshot().notes[0] and not driver.peer.connected


def test_kicks_that_the_device_has_not_read_are_counted(sock: str) -> None:
    with Backend(sock) as device:
        device.start()
        with Frontend(sock) as driver:
            driver.start()
            wait_until(lambda: device.snapshot(()).queues != (), "rings")
            device.freeze()
            driver.kick(1)
            driver.kick(1)
            half = driver.snapshot(()).queue(1).driver
            assert half is not None and half.kick.pending == 2
            device.run()
            wait_until(lambda: not pending(driver), "it reads them")


def pending(driver: Frontend) -> int:
    half = driver.snapshot(()).queue(1).driver
    return half.kick.pending if half is not None else -1


@pytest.mark.parametrize(
    ("options", "device", "words"),
    [
        ({"layout": "packed"}, {"features": "-indirect_desc"}, None),
        ({"queue_pairs": 2}, {}, "1 queue pairs, not 2"),
        ({"queue_size": 24}, {}, "power of two"),
        ({"queue_pairs": 17}, {}, "1 to 16"),
        ({"features": "-version_1"}, {}, "VERSION_1"),
    ],
)
def test_what_does_not_go_together(sock: str, options: Any, device: Any, words: str | None) -> None:
    with Backend(sock, **device) as backend:
        backend.start()
        if words is None:
            with Frontend(sock, **options) as driver:
                assert not f.has(driver.identity.accepted, f.F_INDIRECT_DESC)
            return
        with pytest.raises(ValueError, match=words):
            Frontend(sock, **options)


Answer = Callable[[Message], Message | bytes | None]


def lying(path: str, answer: Answer) -> threading.Thread:
    """A back-end that says what a test wants; None: it hangs up."""
    listener = Listener(path)

    def serve() -> None:
        sock = listener.accept()
        connection = Connection(sock)
        try:
            while (message := connection.recv(10)) is not None:
                said = answer(message)
                message.close()
                if said is None:
                    return
                if isinstance(said, bytes):
                    sock.setblocking(True)
                    sock.sendall(said)
                    sock.setblocking(False)
                else:
                    connection.send(said)
        except (ProtocolError, OSError):
            pass
        finally:
            connection.close()
            listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def honest(message: Message) -> Message | bytes:
    """What a decent one says."""
    known = {
        "GET_FEATURES": p.U64(OFFERED),
        "GET_PROTOCOL_FEATURES": p.U64(1 << PROTOCOL["REPLY_ACK"]),
    }
    if message.name in known:
        return message.answer(known[message.name])
    return message.answer(p.U64(0)) if message.needs_reply else b""


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("GET_FEATURES", None, "hung up|gone|broke"),
        ("GET_FEATURES", Message(3, 5, bytes(8)), "answered by SET_OWNER"),
        ("GET_FEATURES", Message(1, 5, bytes(4)), "payload is 4 bytes long"),
        ("GET_FEATURES", Message(1, 1, bytes(8)), "no reply to it"),
        ("SET_FEATURES", Message(2, 5, b"\1" + bytes(7)), "refused SET_FEATURES"),
        ("SET_MEM_TABLE", Message(5, 5, b"\1" + bytes(7)), "refused SET_MEM_TABLE"),
        ("SET_VRING_KICK", None, "hung up|gone|broke"),
    ],
)  # fmt: skip
def test_a_back_end_that_lies(sock: str, name: str, said: Message | None, words: str) -> None:
    """HI-099: whatever it says the session ends with one line."""
    thread = lying(sock, lambda message: said if message.name == name else honest(message))
    with pytest.raises(ProtocolError, match=words) as caught, Frontend(sock) as driver:
        driver.start()
    assert "\n" not in str(caught.value)
    thread.join(10)


def test_a_back_end_without_version_1(sock: str) -> None:
    thread = lying(sock, lambda message: message.answer(p.U64(0)) if message.name == "GET_FEATURES" else b"")
    with pytest.raises(ValueError, match="does not offer VERSION_1"):
        Frontend(sock)
    thread.join(10)


def test_nobody_is_there(sock: str) -> None:
    with pytest.raises(FileNotFoundError):
        Frontend(sock)
    with pytest.raises(OSError, match=r"nobody connected in 0\.1 s"):
        Frontend(sock, listen=True, seconds=0.1)
    with socket.socket(socket.AF_UNIX) as plain:
        plain.bind(sock)
        with pytest.raises(ConnectionRefusedError):
            Frontend(sock)
