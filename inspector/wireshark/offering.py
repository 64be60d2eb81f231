"""Offer the frames of a session to other programs of the same user: how Wireshark sees a running session.

Readers take from the session's frame store with cursors of their own: neither the rings nor the screens
notice, and numbers are those that the packet list shows. A reader that is too slow for the store's budget
loses frames, and the file says how many.
"""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, cast

from inspector.session import Session
from inspector.wireshark.offers import SUFFIX, folder, read_line

if TYPE_CHECKING:
    from capture.bpf import Program
    from capture.pcapng import Writer

_BEAT = 0.1  #: seconds between two looks at the store
_READERS = 8  #: at a time
_PATIENCE = 2.0  #: seconds that a reader may take to say what it wants


@contextmanager
def offered(session: Session) -> Iterator[None]:
    """While this is entered the session's frames can be had; without a runtime folder it does nothing."""
    server = _listen()
    if server is None:
        yield
        return
    offer = _Offer(session, server)
    try:
        yield
    finally:
        offer.close()


def _listen() -> socket.socket | None:
    where = folder()
    if where is None:
        return None
    path = where / f"{os.getpid()}{SUFFIX}"
    server = socket.socket(socket.AF_UNIX)
    try:
        where.mkdir(mode=0o700, exist_ok=True)
        info = os.lstat(where)
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
            raise PermissionError("others may enter the folder")
        path.unlink(missing_ok=True)  # of an earlier process with this number
        server.bind(str(path))
        os.chmod(path, 0o600)
        server.listen(_READERS)
    except OSError:
        server.close()
        return None
    return server


class _Offer:
    """The listening socket, and a thread for it and for each reader."""

    def __init__(self, session: Session, server: socket.socket) -> None:
        self._session = session
        self._server = server
        self._path = server.getsockname()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._readers: dict[socket.socket, threading.Thread] = {}
        self._thread = threading.Thread(target=self._accept, name="offer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take the offer back; readers get a whole file."""
        self._stop.set()
        with suppress(OSError):
            os.unlink(self._path)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        with self._lock:
            readers = list(self._readers.items())
        for connection, thread in readers:
            thread.join(_PATIENCE)
            if thread.is_alive():  # it waits for a reader that does not read
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with self._lock:
                if len(self._readers) >= _READERS or not _same_user(connection):
                    connection.close()
                    continue
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name="offer reader", daemon=True
                )
                self._readers[connection] = thread
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError, ValueError, RuntimeError):  # it went away, spoke nonsense, or we end
                connection.settimeout(_PATIENCE)
                request = read_line(connection)
                connection.settimeout(None)
                if request.get("do") == "describe":
                    _say(connection, {"text": _description(self._session)})
                elif request.get("do") == "capture":
                    self._capture(connection, request)
        finally:
            with self._lock:
                del self._readers[connection]
            connection.close()

    def _capture(self, connection: socket.socket, request: dict[str, Any]) -> None:
        from inspector.commands.filters import capture_filter
        from inspector.commands.opening import Refused
        from inspector.writing import writer

        text = request.get("filter")
        try:
            program = capture_filter(text if isinstance(text, str) and text else None, "capture filter")
        except Refused as error:
            _say(connection, {"error": str(error)})
            return
        _say(connection, {})
        store = self._session.frames
        told = store.first - 1 if request.get("kept") is True else store.last
        with (
            cast("IO[bytes]", connection.makefile("wb", buffering=0)) as file,
            writer(self._session, file) as out,
        ):
            out.flush()
            leaving = select.poll()
            leaving.register(connection, select.POLLIN | select.POLLRDHUP)
            while True:
                last = self._stop.is_set() or bool(leaving.poll(0))
                told = self._write(out, told, program)
                out.flush()
                if last:
                    return
                self._stop.wait(_BEAT)

    def _write(self, out: Writer, told: int, program: Program | None) -> int:
        """Write what is new since frame `told`; the number of the last frame looked at."""
        for block in self._session.frames.blocks(told + 1, self._session.settled + 1):
            first = int(block.rows["number"][0])
            if first > told + 1:
                out.lost(int(block.rows["interface"][0]), first - told - 1)
            told = int(block.rows["number"][-1])
            rows, offsets, stages = block.rows, block.offsets, block.stages
            if program is not None:
                picks = program.mask(block).nonzero()[0]
                rows, offsets, stages = rows[picks], offsets[picks], stages[picks]
            out.write(rows, block.data, offsets, stages)
        return told


def _say(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _description(session: Session) -> str:
    identity = session.source.identity
    queues = len(session.tick.snapshot.queues) if session.tick is not None else 0
    many = f", {queues} queues" if queues else ""
    return f"{identity.name}, {'packed' if identity.packed else 'split'} rings{many}"


def _same_user(connection: socket.socket) -> bool:
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    return bool(struct.unpack("iII", peer)[1] in (os.getuid(), 0))
