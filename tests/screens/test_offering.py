"""A running session offers its frames to programs of the same user, and that disturbs nothing."""

from __future__ import annotations

import io
import os
import select
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.pcapng import read_pcapng
from capture.play import load_mix
from dataplane.pair import Pair, PlayFrame
from inspector.session import Session
from inspector.wireshark import offering, offers
from tests.rings.staging import wait_until


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "run"
    where.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(where))
    return where


@pytest.fixture
def session(runtime: Path) -> Iterator[Session]:
    """A session on live traffic, read by a thread as the screens read it."""
    stop = threading.Event()
    with Pair() as pair:
        pair.play(PlayFrame(f.offset_ns, f.direction, f.data, f.net_header) for f in load_mix())
        pair.control.set_rate(2000)
        pair.start()
        made = Session(pair)
        made.pull()

        def feed() -> None:
            while not stop.wait(0.02):
                made.pull()

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            thread.join()


def path_of_ours(runtime: Path) -> Path:
    return runtime / "ringscope" / f"{os.getpid()}.sock"


def read_frames(connection: socket.socket, count: int) -> tuple[bytes, list[Any]]:
    """What came until it holds so many whole packets."""
    got = b""
    while True:
        assert select.select([connection], [], [], 30)[0], "nothing came"
        piece = connection.recv(1 << 16)
        got += piece
        packets = []
        try:
            for packet in read_pcapng(io.BytesIO(got)):
                packets.append(packet)
        except ValueError:
            assert piece, "cut in the middle of a block"
        if len(packets) >= count or not piece:
            return got, packets


def test_it_is_found_and_described(runtime: Path, session: Session) -> None:
    with offering.offered(session):
        (offer,) = offers.running()
        assert (offer.process, offer.text) == (os.getpid(), "net0, split rings, 3 queues")
        assert stat.S_IMODE(path_of_ours(runtime).stat().st_mode) == 0o600
        assert stat.S_IMODE(path_of_ours(runtime).parent.stat().st_mode) == 0o700
    assert offers.running() == []
    assert not path_of_ours(runtime).exists()


def test_readers_get_frames_with_the_numbers_of_the_list(runtime: Path, session: Session) -> None:
    with offering.offered(session):
        with offers.ask(path_of_ours(runtime), {"do": "capture", "kept": True}) as (connection, answer):
            assert answer == {}
            _, packets = read_frames(connection, 40)
        for packet in packets:
            assert packet.number is not None
            frame = session.frames.frame(packet.number)
            assert (packet.data, packet.time, packet.queue) == (frame.data, frame.time, frame.origin[0])
        assert [packet.number for packet in packets] == list(range(1, len(packets) + 1))


def test_without_what_is_kept_it_begins_now(runtime: Path, session: Session) -> None:
    before = session.frames.last
    with (
        offering.offered(session),
        offers.ask(path_of_ours(runtime), {"do": "capture"}) as (connection, _),
    ):
        _, packets = read_frames(connection, 5)
    assert packets[0].number > before


def test_each_reader_has_a_filter_of_its_own(runtime: Path, session: Session) -> None:
    wanted = {"do": "capture", "filter": "udp port 53", "kept": True}
    with offering.offered(session):
        path = path_of_ours(runtime)
        with offers.ask(path, wanted) as (one, _), offers.ask(path, {"do": "capture"}) as (other, _):
            _, dns = read_frames(one, 10)
            _, all_ = read_frames(other, 10)
    assert all(b"\x00\x35" in packet.data[34:38] for packet in dns)
    assert len({packet.data[12:14] + packet.data[23:24] for packet in all_}) >= 1


def test_a_wrong_filter_is_told(runtime: Path, session: Session) -> None:
    with (
        offering.offered(session),
        offers.ask(path_of_ours(runtime), {"do": "capture", "filter": "udp prt 53"}) as (_, answer),
    ):
        assert answer["error"].startswith("capture filter: ")


def test_the_end_of_the_session_is_a_whole_file(runtime: Path, session: Session) -> None:
    with offering.offered(session):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path_of_ours(runtime)))
        connection.sendall(b'{"do": "capture", "kept": true}\n')
        assert offers.read_line(connection) == {}
        got, _ = read_frames(connection, 5)
    while piece := connection.recv(1 << 16):
        got += piece
    connection.close()
    assert len(list(read_pcapng(io.BytesIO(got)))) >= 5  # raises where it is cut


def test_a_reader_that_does_not_read_holds_nobody_up(runtime: Path, session: Session) -> None:
    before = threading.active_count()
    with offering.offered(session):
        slow = socket.socket(socket.AF_UNIX)
        slow.connect(str(path_of_ours(runtime)))
        slow.sendall(b'{"do": "capture", "kept": true}\n')
        with offers.ask(path_of_ours(runtime), {"do": "capture", "kept": True}) as (connection, _):
            assert len(read_frames(connection, 20)[1]) >= 20
    slow.close()
    wait_until(lambda: threading.active_count() == before, "the end of every thread of the offer")


@pytest.mark.parametrize("nonsense", [b"\n", b"[]\n", b"{\n", b"\xff\xfe\n", b'{"do": 3}\n', b""])
def test_nonsense_is_answered_by_closing(runtime: Path, session: Session, nonsense: bytes) -> None:
    with offering.offered(session):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path_of_ours(runtime)))
        connection.sendall(nonsense)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
        connection.close()
        assert len(offers.running()) == 1


def test_a_socket_that_nobody_listens_on_is_removed(runtime: Path) -> None:
    where = runtime / "ringscope"
    where.mkdir(mode=0o700)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(where / "4000000.sock"))
    dead.close()
    (where / "notes.sock").write_text("not ours")
    assert offers.running() == []
    assert sorted(path.name for path in where.iterdir()) == ["notes.sock"]


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o750])
def test_a_folder_that_others_may_enter_is_not_used(runtime: Path, session: Session, mode: int) -> None:
    where = runtime / "ringscope"
    where.mkdir()
    where.chmod(mode)
    with offering.offered(session):
        assert list(where.iterdir()) == []


def test_without_a_runtime_folder_nothing_happens(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with offering.offered(session):
        assert offers.running() == []
