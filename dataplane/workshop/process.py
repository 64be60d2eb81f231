"""A learner's half in a process of its own: called method by method, watched while it runs, killed when it
must.

Nothing the text does can hang the caller: a call that does not come to an end is stopped after `CPU_SECONDS`
of processor time (or `WALL_SECONDS` of waiting), and the line where it was is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dataplane.workshop.ring import SOURCE, Queue

CPU_SECONDS = 1.5  #: of one call
WALL_SECONDS = 5.0
START_SECONDS = 20.0  #: until Python itself is there
ACCESSES = 20_000  #: loads, stores and barriers of one call
_MESSAGE = 1 << 20  #: bytes of one message
_LOOK = 0.1  #: seconds between two looks at a silent process
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from dataplane.workshop.child import main; main(int(sys.argv[2]))"
)
_ROOT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Ended(Exception):
    """A call ended otherwise than by returning. `kind`: "raised", "broken" (it raised Broken), "endless",
    "died", "bad" (the text is no half)."""

    kind: str
    words: str
    line: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call returned, and the line it returned from."""

    value: Any
    line: int


class Process:
    """One process with one half in it. `heard` gets every load (and gives its value), store and print."""

    def __init__(
        self,
        text: str,
        class_name: str,
        methods: Sequence[tuple[str, int]],
        queue: Queue,
        heard: Callable[[list[Any]], int | None],
    ) -> None:
        """Starts it and reads the text. Ended("bad") where it is no half."""
        self._heard = heard
        self._buffer = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        ours, theirs = socket.socketpair()
        self._socket = ours
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={"PYTHONDONTWRITEBYTECODE": "1"},
            )
        except OSError:
            ours.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
        try:
            self._begin = time.monotonic()
            self._line = 0
            self._accesses = 0
            self._cpu = -1.0
            self._tell(["begin", text, class_name, [list(m) for m in methods], list(queue)])
            self._until("ready")
        except BaseException:
            self.close()
            raise

    def call(self, method: str, arguments: list[Any]) -> Returned:
        """Calls a method of the half. Ended where it does not return."""
        self._begin, self._cpu, self._accesses, self._line = time.monotonic(), self._used(), 0, 0
        self._tell(["call", method, arguments])
        _, value, line = self._until("done")
        return Returned(value, line)

    def close(self) -> None:
        """Ends the process and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()
        self._errors.close()

    # messages

    def _tell(self, message: Any) -> None:
        try:
            self._socket.settimeout(WALL_SECONDS)
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self._death() from None

    def _until(self, wanted: str) -> list[Any]:
        """Serves the half until it says `wanted`."""
        while True:
            message = self._message()
            match message:
                case [str(kind), *_] if kind == wanted:
                    return message
                case ["load", int(), int(), int(line)]:
                    self._line = line
                    self._tell(self._heard(message))
                case ["store", int(), int(), int(), int(line)] | ["barrier", int(line)]:
                    self._line = line
                    self._heard(message)
                case ["print", str(), int()]:
                    self._heard(message)
                case ["raised", str(name), str(words), int(line), bool(broken)]:
                    if broken:
                        raise Ended("broken", words, line)
                    raise Ended("raised", f"{name}: {words}" if words else name, line)
                case ["bad", str(words), int(line)]:
                    raise Ended("bad", words, line)
                case _:
                    raise Ended("died", "the code wrote into the connection of its own process", self._line)
            self._accesses += message[0] in ("load", "store", "barrier")
            if self._accesses > ACCESSES:
                words = f"one call made more than {ACCESSES:,} loads and stores and did not end"
                raise Ended("endless", words, self._line)

    def _message(self) -> list[Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MESSAGE:
                raise Ended("died", "the code sent a message without an end", self._line)
            self._socket.settimeout(_LOOK)
            try:
                piece = self._socket.recv(1 << 16)
            except TimeoutError:
                self._look()
                continue
            except OSError:
                piece = b""
            if not piece:
                raise self._death()
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        return message if isinstance(message, list) else []

    # a process that does not answer

    def _look(self) -> None:
        """Whether the call has had all the time it can have."""
        waited = time.monotonic() - self._begin
        if self._cpu < 0 and waited < START_SECONDS:
            self._cpu_of_start()
            return
        spent = self._used() - max(self._cpu, 0.0)
        if spent > CPU_SECONDS:
            raise Ended("endless", f"it was still running after {spent:.1f} s", self._where())
        if waited > WALL_SECONDS and spent < waited / 4 and self._state() != "R":
            raise Ended("endless", f"it waited {waited:.0f} s for something and did not end", self._where())
        if waited > START_SECONDS:
            raise Ended("endless", f"it had not ended after {waited:.0f} s", self._where())

    def _cpu_of_start(self) -> None:
        """While the text is read: the same limit, Python's own start left room."""
        if self._used() > CPU_SECONDS + 1.0:
            raise Ended("endless", "the text outside of its functions did not come to an end", self._where())

    def _stat(self) -> list[str]:
        try:
            return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []

    def _state(self) -> str:
        fields = self._stat()
        return fields[0] if fields else ""

    def _used(self) -> float:
        """Seconds of processor time so far."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0

    def _where(self) -> int:
        """The line of the learner's text that runs now; the process is asked for it, even inside C code."""
        try:
            os.kill(self._process.pid, signal.SIGUSR1)
        except ProcessLookupError:
            return self._line
        end = time.monotonic() + 0.5
        pattern = re.compile(re.escape(f'File "{SOURCE}", line ').encode() + rb"(\d+)")
        while time.monotonic() < end:
            found = pattern.search(self._said())
            if found:
                return int(found[1])
            time.sleep(0.01)
        return self._line

    def _said(self) -> bytes:
        """The end of what it wrote to its standard error."""
        number = self._errors.fileno()
        size = os.fstat(number).st_size
        return os.pread(number, 8192, max(size - 8192, 0))

    def _death(self) -> Ended:
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            return Ended("died", "the code closed the connection of its process", self._line)
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return Ended("died", f"its process was killed by {name}", self._line)
        lines = self._said().splitlines()
        last = lines[-1].decode("utf-8", "replace")[:200] if code and lines else ""
        return Ended("died", f"its process ended with status {code}{f': {last}' if last else ''}", self._line)
