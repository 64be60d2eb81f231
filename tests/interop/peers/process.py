"""A program that a test starts, talks to and ends: bounded in time, ended by its pid, nothing left behind.

Whatever starts here dies with this process, even when that one is killed: the kernel is asked to see to it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

_TAIL = 12  #: lines of a log that an error shows

#: The kernel kills a child when the *thread* that started it ends, so one thread that stays starts them all.
_starter = ThreadPoolExecutor(1, "peer-starter")
_open: weakref.WeakSet[Peer] = weakref.WeakSet()


class PeerError(Exception):
    """A peer did not do what it should have, with the end of what it said."""


class Transcript:
    """What somebody says, as it comes, read by a thread of its own so that the speaker never has to wait."""

    def __init__(self, name: str, read: Callable[[], bytes]) -> None:
        self.name = name
        self._said = bytearray()
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(read,), name=f"{name}-reader", daemon=True)
        self._thread.start()

    def _follow(self, read: Callable[[], bytes]) -> None:
        try:
            while piece := read():
                with self._changed:
                    self._said += piece
                    self._changed.notify_all()
        except (OSError, ValueError):
            pass  # closed under us: the end, too
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def mark(self) -> int:
        """A place to `wait` from: what is said later lies behind it."""
        with self._changed:
            return len(self._said)

    def text(self, since: int = 0) -> str:
        with self._changed:
            return self._said[since:].decode(errors="replace")

    def find(self, pattern: str, since: int = 0) -> re.Match[str] | None:
        """The first match of what was said so far, `^` being the start of a line."""
        return re.search(pattern, self.text(since), re.MULTILINE)

    def wait(self, pattern: str, seconds: float, since: int = 0) -> re.Match[str]:
        """The first match within a line, once it is said; PeerError when the time is over or it has gone.

        The last line may still be coming: a pattern that ends with a number has to end with its newline.
        """
        deadline = time.monotonic() + seconds
        while True:
            with self._changed:
                length, ended = len(self._said), self._ended
                newline = self._said.rfind(b"\n", since)
            if found := self.find(pattern, since):
                return found
            if ended or (left := deadline - time.monotonic()) <= 0:
                why = "ended" if ended else f"was waited for {seconds:g} s in vain"
                raise PeerError(f"{self.name} {why}, without {pattern!r}; its last lines:\n{self.tail()}")
            since = newline + 1 or since  # whole lines need no second look
            with self._changed:
                if len(self._said) == length and not self._ended:
                    self._changed.wait(left)

    def tail(self) -> str:
        lines = [line.rstrip() for line in self.text().splitlines()]
        return "\n".join([line for line in lines if line][-_TAIL:]) or "(it said nothing)"

    def join(self) -> None:
        self._thread.join(5)


class Peer:
    """One running program with its log and a directory of its own, both gone with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix="ringscope-peer-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Transcript | None = None
        _open.add(self)

    def _launch(self, argv: Sequence[str]) -> None:
        """Starts `argv`, its lines unbuffered, as our child and with our death as its own."""
        command = ["setpriv", "--pdeathsig", "KILL", "stdbuf", "-oL", *argv]
        self._process = process = _starter.submit(
            subprocess.Popen,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        ).result()
        assert process.stdout is not None
        out = process.stdout
        self._log = Transcript(self.name, lambda: os.read(out.fileno(), 65536))

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise PeerError(f"{self.name} was not started")
        return self._process

    @property
    def log(self) -> Transcript:
        """All that it printed, errors included."""
        if self._log is None:
            raise PeerError(f"{self.name} was not started")
        return self._log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, pattern: str, seconds: float, since: int = 0) -> re.Match[str]:
        """The first match in its log, once it is there."""
        return self.log.wait(pattern, seconds, since)

    def pause(self) -> None:
        """Stops every thread of it where it stands, until `resume()`; returns when they stand."""
        self.process.send_signal(signal.SIGSTOP)
        self._until_state("T")

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _until_state(self, state: str) -> None:
        deadline = time.monotonic() + 10
        while any(_state(task) not in (state, "Z", "") for task in Path(f"/proc/{self.pid}/task").glob("*")):
            if time.monotonic() > deadline:
                raise PeerError(f"{self.name} does not come to a halt")
            time.sleep(0.001)

    def kill(self) -> None:
        """Ends it without a chance to say goodbye."""
        self.process.kill()
        self.process.wait(10)

    def _farewell(self) -> None:
        """Asks politely; then its input ends."""
        self.process.terminate()

    def close(self) -> None:
        """Ends it: politely, then less so. Can be called again."""
        if (process := self._process) is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                self._farewell()
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            for harder in (process.terminate, process.kill, None):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                    break
                if harder is not None:
                    harder()
            self.log.join()
            assert process.stdout is not None
            process.stdout.close()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        _open.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _state(task: Path) -> str:
    """The state letter of a thread; "" when it has gone."""
    try:
        return (task / "stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def cpus() -> list[int]:
    """The processors that we may use."""
    return sorted(os.sched_getaffinity(0))


@atexit.register
def _close_all() -> None:
    for peer in list(_open):
        with contextlib.suppress(PeerError, OSError):
            peer.close()
