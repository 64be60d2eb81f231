"""Ask for the full dissection of a frame without ever waiting for it.

A thread passes the newest request to a worker process (`dissection.worker`) and kills it when it takes too
long; then, or when scapy fails, the tree is made by `capture.dissection.headers` and says why.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from capture.dissection.headers import decode
from capture.fields import Tree, from_json, printable

WALL_SECONDS = 2.0  #: for one frame
START_SECONDS = 30.0  #: for scapy to load
_ANSWER_MAX = 16 << 20
_STARTS = 3  #: failures to start in a row before it is left at that
_REFUSED_MAX = 64

_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from capture.dissection.worker import main; sys.exit(main())"
)
_COMMAND = (sys.executable, "-P", "-c", _BOOT, str(Path(__file__).resolve().parent.parent))


class _Lost(Exception):
    """The worker is of no use any more; one line why."""


class _Worker:
    """One process and the socket to it."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        self._socket = ours
        self._buffer = b""
        try:
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            self._errors.close()
            raise
        finally:
            theirs.close()

    def ask(self, request: bytes, seconds: float) -> bytes:
        """One line there (if any) and one back. _Lost when it takes longer or the process ends."""
        deadline = time.monotonic() + seconds
        try:
            if request:
                self._socket.settimeout(seconds)
                self._socket.sendall(request)
            while b"\n" not in self._buffer:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                piece = self._socket.recv(1 << 16)
                if not piece:
                    raise _Lost(self._death())
                self._buffer += piece
                if len(self._buffer) > _ANSWER_MAX:
                    raise _Lost("the decoder's answer has no end")
        except TimeoutError:
            raise _Lost(f"the decoder took longer than {seconds:g} s") from None
        except OSError:
            raise _Lost(self._death()) from None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def stop(self) -> None:
        """Kill it and take its remains. For the thread that owns the worker."""
        self.process.kill()
        self.process.wait()
        self._socket.close()
        self._errors.close()

    def _death(self) -> str:
        try:
            code = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the decoder closed its connection"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return f"the decoder was killed by {name}"
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(end - 4096, 0))
        lines = self._errors.read(4096).splitlines() or [b"no message"]
        return f"the decoder ended with status {code}: {printable(lines[-1], 200)}"


class Dissector:
    """Trees on request. Only the newest request counts: one that has not begun is forgotten for the next."""

    def __init__(
        self,
        on_tree: Callable[[Tree], None] | None = None,
        *,
        wall_seconds: float = WALL_SECONDS,
        start_seconds: float = START_SECONDS,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """`on_tree` is called from the dissector's own thread; `command` gets a socket's number appended."""
        self._on_tree = on_tree
        self._wall = wall_seconds
        self._start = start_seconds
        self._command = command
        self._wake = threading.Condition()
        self._request: tuple[int, bytes, bytes] | None = None
        self._done: Tree | None = None
        self._closed = False
        self._warm = False
        self._thread: threading.Thread | None = None
        self._worker: _Worker | None = None
        self._failed_starts = 0
        self._busy = threading.Lock()  # held by whoever talks to the worker
        self.restarts = 0  #: workers that had to be replaced
        self._refused: dict[tuple[bytes, bytes], str] = {}

    def warm(self) -> None:
        """Start the worker now, in the background, so that the first request need not wait for scapy."""
        with self._wake:
            self._warm = True
            self._begin()

    def request(self, number: int, data: bytes, net_header: bytes = b"") -> None:
        """Ask for the tree of a frame; it comes through `on_tree` and `poll()`."""
        with self._wake:
            self._request = (number, data, net_header)
            self._begin()

    def dissect(self, number: int, data: bytes, net_header: bytes = b"") -> Tree:
        """The tree of a frame, here and now: takes as long as the worker may, and fails as a request does."""
        if self._closed:
            raise RuntimeError("the dissector is closed")
        tree = self._tree(number, data, net_header)
        if self._closed:  # by another thread, which no longer waits for this worker
            self._drop()
        return tree

    def poll(self) -> Tree | None:
        """The newest finished tree, once; None when there is no new one."""
        with self._wake:
            done, self._done = self._done, None
            return done

    def close(self) -> None:
        """End the worker and the thread. Requests still open are forgotten."""
        with self._wake:
            self._closed = True
            self._request = None
            if self._worker is not None:
                self._worker.process.kill()
            self._wake.notify_all()
        if self._thread is None:
            self._drop()
        elif self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def _begin(self) -> None:
        if self._closed:
            raise RuntimeError("the dissector is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="dissector", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._request is None and not self._closed and not self._warm:
                    self._wake.wait()
                if self._closed:
                    break
                request, self._request, self._warm = self._request, None, False
            if request is None:
                with self._busy:
                    self._ready()
                continue
            tree = self._tree(*request)
            with self._wake:
                if self._closed:
                    break
                self._done = tree
            if self._on_tree is not None:
                self._on_tree(tree)
        self._drop()

    def _tree(self, number: int, data: bytes, net_header: bytes) -> Tree:
        with self._busy:
            return self._asked(number, data, net_header)

    def _asked(self, number: int, data: bytes, net_header: bytes) -> Tree:
        key = (data, net_header)
        reason = self._refused.get(key) or self._ready()
        if reason is None and self._worker is not None:
            try:
                request = {"data": data.hex(), "net_header": net_header.hex()}
                answer = json.loads(self._worker.ask(json.dumps(request).encode() + b"\n", self._wall))
                if "layers" in answer:
                    return Tree(number, tuple(from_json(layer) for layer in answer["layers"]))
                reason = printable(str(answer["error"]), 200)
            except _Lost as why:
                reason = f"{why} on this frame"
                self._lost()
            except (ValueError, KeyError, TypeError, RecursionError):
                reason = "the decoder answered with nonsense"
                self._lost()
            if len(self._refused) >= _REFUSED_MAX:
                self._refused.pop(next(iter(self._refused)))
            self._refused[key] = reason
        return Tree(number, decode(data, net_header), reason or "the decoder is closed")

    def _ready(self) -> str | None:
        """Have a worker that runs; why there is none."""
        if self._worker is not None and self._worker.process.poll() is not None:
            self._lost()  # ended between two requests: no frame is to blame
        if self._worker is not None:
            return None
        if self._failed_starts >= _STARTS:
            return "the decoder does not start"
        try:
            with self._wake:
                if self._closed:
                    return "the decoder is closed"
                self._worker = _Worker(self._command)
            self._worker.ask(b"", self._start)
        except (_Lost, OSError) as why:
            self._failed_starts += 1
            self._drop()
            return f"the decoder does not start: {printable(str(why), 200)}"
        self._failed_starts = 0
        return None

    def _lost(self) -> None:
        self.restarts += not self._closed
        self._drop()

    def _drop(self) -> None:
        with self._wake:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
