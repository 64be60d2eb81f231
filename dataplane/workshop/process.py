"""A learner's half in a process of its own: called method by method, watched while it runs, killed when it
must.

Nothing the text does can hang the caller: a call, and a test of many calls, has its allowance of processor
time, of waiting and of accesses; the line where it was is told. The process ends with the one that started
it, however that one ended (`child`).
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

CPU_SECONDS = 1.5  #: of one call; of a whole test twice as much, as with the other two
WALL_SECONDS = 5.0  #: that one call may wait for something
ACCESSES = 20_000  #: loads, stores and barriers of one call
START_SECONDS = 20.0  #: until Python itself is there
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
    "slow" (all calls of the test together), "died", "stopped", "bad" (the text is no half)."""

    kind: str
    words: str
    line: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call returned, and the line it returned from."""

    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class _Spent:
    """What the half has used so far."""

    cpu: float = 0.0  #: seconds
    waited: float = 0.0  #: seconds in which it was waited for
    accesses: int = 0

    def since(self, before: _Spent) -> _Spent:
        return _Spent(self.cpu - before.cpu, self.waited - before.waited, self.accesses - before.accesses)


class Process:
    """One process with one half in it. `heard` gets every load (and gives its value), store and print;
    `stopped` is asked several times a second, and the half is ended where it says so."""

    def __init__(
        self,
        text: str,
        class_name: str,
        methods: Sequence[tuple[str, int]],
        queue: Queue,
        heard: Callable[[list[Any]], int | None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts it and reads the text. Ended("bad") where it is no half."""
        self._heard, self._stopped = heard, stopped
        self._buffer = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        ours, theirs = socket.socketpair()
        self._socket = ours
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, str(theirs.fileno())],
                stdin=subprocess.PIPE,
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
            self._line, self._accesses, self._waited, self._looked = 0, 0, 0.0, 0.0
            self._test: _Spent | None = None  #: when Python was there, and with it the test began
            self._call = _Spent()  #: when this call began
            self._until("up")
            self._test = self._call = self._spent()
            self._tell(["begin", text, class_name, [list(m) for m in methods], list(queue)])
            self._read_text()
        except BaseException:
            self.close()
            raise

    def call(self, method: str, arguments: list[Any]) -> Returned:
        """Calls a method of the half. Ended where it does not return."""
        self._call, self._line = self._spent(), 0
        self._tell(["call", method, arguments])
        _, value, line = self._until("done")
        return Returned(value, line)

    def close(self) -> None:
        """Ends the process and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
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
            if self._accesses - self._call.accesses > ACCESSES:
                words = f"one call made more than {ACCESSES:,} loads and stores and did not end"
                raise Ended("endless", words, self._line)

    def _message(self) -> list[Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MESSAGE:
                raise Ended("died", "the code sent a message without an end", self._line)
            begin = time.monotonic()
            if begin - self._looked >= _LOOK:
                self._looked = begin
                self._look()
            self._socket.settimeout(_LOOK)
            try:
                piece = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            finally:
                self._waited += time.monotonic() - begin
            if not piece:
                raise self._death()
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        return message if isinstance(message, list) else []

    def _read_text(self) -> None:
        """Until the text has been read; it has the time of one call."""
        try:
            self._until("ready")
        except Ended as ended:
            if ended.kind != "endless":
                raise
            words = f"the text outside of its functions did not come to an end: {ended.words}"
            raise Ended("bad", words, ended.line) from None

    # a process that has to be ended

    def _spent(self) -> _Spent:
        return _Spent(self._used(), self._waited, self._accesses)

    def _look(self) -> None:
        """Whether the half has had all that it can have, or is to be stopped. Ended then."""
        if self._stopped():
            raise Ended("stopped", "it was stopped", self._where() if self._test else 0)
        if self._test is None:
            if self._waited > START_SECONDS:
                raise Ended("died", f"Python was not there after {self._waited:.0f} s", 0)
            return
        now = self._spent()
        if words := self._too_much(now.since(self._call), 1):
            raise Ended("endless", words, self._where())
        test = now.since(self._test)
        if self._too_much(test, 2) or test.accesses > 2 * ACCESSES:
            words = f"{test.cpu:.1f} s of processor time, {test.waited:.1f} s of waiting"
            words = f"the calls of this test took {words} and {test.accesses:,} loads and stores together"
            raise Ended("slow", words, self._where())

    def _too_much(self, spent: _Spent, times: int) -> str:
        """Whether that is more than `times` the allowance of a call, in words."""
        if spent.cpu > times * CPU_SECONDS:
            return f"it was still running after {spent.cpu:.1f} s"
        idle = spent.cpu < spent.waited / 4 and self._state() != "R"  # else it only lacks a processor
        if spent.waited > times * WALL_SECONDS and idle:
            return f"it waited {spent.waited:.0f} s for something and did not end"
        if spent.waited > times * START_SECONDS:
            return f"it had not ended after {spent.waited:.0f} s"
        return ""

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
