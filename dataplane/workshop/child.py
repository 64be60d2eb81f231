"""The process in which a learner's half runs: its loads and stores go through a socket, one line each.

    python -c BOOT folder socket-number        (see process.py)

Lines are JSON arrays. It says ["up"] once Python is there; it is told ["begin", text, class name, [[method,
count of arguments], ...], queue] and says ["ready"], or ["bad", words, line] where the text is no half.
Then it is told ["call", method, arguments]; it says ["load", address, width, line] and reads the value,
["store", address, width, value, line], ["barrier", line], ["print", text, line], and at the end of a call
["done", result, line] or ["raised", type, words, line, whether it is `Broken`].

It is no sandbox: the text is its author's own, on a machine of his own. But whatever it does is bounded, and
nothing of it is left: it starts no processes, and its own ends when the other end of its standard input does.
"""

from __future__ import annotations

import builtins
import faulthandler
import fcntl
import inspect
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from dataplane.workshop import ring

MEMORY_BYTES = 1 << 30  #: of address space
CPU_SECONDS = 60  #: of the process, should nobody be there any more to watch it
PRINTS = 200  #: calls of print that are passed on
PRINT_CHARACTERS = 500
_STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "pty.spawn", "subprocess.Popen")


class _Wire:
    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._printed = 0

    def tell(self, *message: object) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, *message: object) -> Any:
        self.tell(*message)
        return self.hear()

    def hear(self) -> Any:
        line = self._lines.readline()
        if not line:
            os._exit(0)
        return json.loads(line)

    def print(self, *values: object, sep: str | None = " ", **_: object) -> None:
        self._printed += 1
        if self._printed <= PRINTS:
            text = (sep or " ").join(str(value)[:PRINT_CHARACTERS] for value in values)
            self.tell("print", text[:PRINT_CHARACTERS], ring.line_of_learner())


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    sys.addaudithook(_refuse)
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=False)


def _refuse(event: str, _: object) -> None:
    """What a half starts could outlive it, so that it starts nothing."""
    if event in _STARTS:
        raise RuntimeError("a half starts no processes")


def _end_with_reader() -> None:
    """SIGIO ends this process when the other end of its standard input is closed; a half reads nothing."""
    tie = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    fcntl.fcntl(tie, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(tie, fcntl.F_SETFL, fcntl.fcntl(tie, fcntl.F_GETFL) | os.O_ASYNC)


def _line_of(error: BaseException) -> int:
    """The innermost line of the learner's text on the way of an exception."""
    found, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == ring.SOURCE:
            found = at.tb_lineno
        at = at.tb_next
    return found


def _words(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception:
        return ""


class _Bad(Exception):
    def __init__(self, words: str, line: int) -> None:
        super().__init__(words)
        self.line = line


def _load(text: str, name: str, methods: list[list[Any]]) -> type[Any]:
    """The learner's class. _Bad with the line where the text has none that fits."""
    try:
        code = compile(text, ring.SOURCE, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _Bad(f"Python cannot read this line: {error.msg}", error.lineno or 0) from None
    except ValueError as error:
        raise _Bad(f"Python cannot read the text: {error}", 0) from None
    except (RecursionError, MemoryError):
        raise _Bad("Python cannot read the text: it is nested too deeply", 0) from None
    scope: dict[str, Any] = {"__name__": "your_code", "__builtins__": builtins}
    try:
        exec(code, scope)
    except BaseException as error:
        words = _words(error)
        what = f"{type(error).__name__} while the text was read{f': {words}' if words else ''}"
        raise _Bad(what, _line_of(error)) from None
    found = scope.get(name)
    if not isinstance(found, type):
        raise _Bad(f"there is no class called {name}", 0)
    line = found.__dict__.get("__firstlineno__") or _first_line(found)
    for method, count in methods:
        function = getattr(found, method, None)
        if not callable(function):
            raise _Bad(f"class {name} has no {method}()", line)
        try:
            inspect.signature(function).bind(*range(count + 1))
        except TypeError:
            at = getattr(getattr(function, "__code__", None), "co_firstlineno", line)
            wanted = "self" if not count else f"self and {count} more"
            raise _Bad(f"{method}() must take {wanted}", at) from None
        except ValueError:
            continue
    return found


def _first_line(found: type[Any]) -> int:
    lines = [
        function.__code__.co_firstlineno for function in vars(found).values() if hasattr(function, "__code__")
    ]
    return min(lines, default=0)


def _plain(value: Any, depth: int = 0) -> Any:
    """What can cross the socket: numbers, None, and short lists of them; anything else by its type's name."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= 128:
        return int(value)
    if isinstance(value, (list, tuple)) and depth < 3 and len(value) <= 4096:
        return [_plain(one, depth + 1) for one in value]
    return {"type": type(value).__name__}


class _Returns:
    """Remembers the line from which the learner's code returned last."""

    line = 0

    def __call__(self, frame: Any, event: str, argument: object) -> None:
        if event == "return" and frame.f_code.co_filename == ring.SOURCE:
            self.line = frame.f_lineno


def _call(wire: _Wire, returns: _Returns, function: Any, arguments: list[Any]) -> Any:
    """Makes a call of the learner's and tells how it ended; what it returned."""
    sys.setprofile(returns)
    try:
        result = function(*arguments)
    except BaseException as error:
        sys.setprofile(None)
        broken = isinstance(error, ring.Broken)
        wire.tell("raised", type(error).__name__, _words(error), _line_of(error), broken)
        return None
    sys.setprofile(None)
    wire.tell("done", _plain(result), returns.line)
    return result


def main(number: int) -> None:
    _end_with_reader()
    _limit()
    wire = _Wire(number)
    wire.tell("up")
    builtins.print = wire.print
    _, text, name, methods, queue = wire.hear()
    try:
        found = _load(text, name, methods)
    except _Bad as bad:
        wire.tell("bad", str(bad), bad.line)
        return
    memory, returns = ring.Memory(wire.tell, wire.ask), _Returns()
    wire.tell("ready")
    half: Any = None
    while True:
        _, method, arguments = wire.hear()
        if method == "__init__":
            made: Any = object.__new__(found)
            _call(wire, returns, made.__init__, [memory, ring.Queue(*queue)])
            half = made
        else:
            if method == "add":
                arguments = [[ring.Piece(a, n, bool(w)) for a, n, w in arguments[0]]]
            _call(wire, returns, getattr(half, method), arguments)
