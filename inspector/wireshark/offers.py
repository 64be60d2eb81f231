"""Sessions of this user that run now and offer their frames: where they are, and how they are asked.

Each has a socket `PID.sock` in the folder `ringscope` of $XDG_RUNTIME_DIR, which only its user may enter.
Whoever connects sends one line of JSON and gets one back:

    {"do": "describe"}                                -> {"text": "net0, split rings, 3 queues"}
    {"do": "capture", "filter": BPF, "kept": false}   -> {} or {"error": "..."}, then pcapng until either
                                                         end closes; `kept`: begin with what is kept already

The standard library alone: Wireshark asks for its interfaces at every start.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any, NamedTuple

SUFFIX = ".sock"
_PATIENCE = 1.0  #: seconds for one answer
_LONG = 10.0  #: seconds for the answer to a capture, which may have to load libpcap first
_LINE_MAX = 1 << 16


class Offer(NamedTuple):
    """A session that answers."""

    process: int
    path: Path
    text: str


def folder() -> Path | None:
    """The folder of the sockets; None where there is no safe place for one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or not os.path.isabs(runtime):
        return None
    try:
        info = os.stat(runtime)
    except OSError:
        return None
    private = stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o022
    return Path(runtime, "ringscope") if private else None


def running() -> list[Offer]:
    """The sessions that answer, by process number. Sockets that nobody listens on any more are removed."""
    where = folder()
    found = []
    for path in sorted(where.glob(f"*{SUFFIX}")) if where is not None and where.is_dir() else ():
        if not path.stem.isdecimal():
            continue
        try:
            with ask(path, {"do": "describe"}) as (_, answer):
                found.append(Offer(int(path.stem), path, str(answer.get("text", ""))))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue  # busy or leaving: not ours to remove
    return sorted(found)


class ask:
    """A context: the connection and the answer to a request. OSError or ValueError where there is none."""

    def __init__(self, path: Path, request: dict[str, Any]) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.settimeout(_LONG if request.get("do") == "capture" else _PATIENCE)
            self._connection.connect(str(path))
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            self._answer = read_line(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> tuple[socket.socket, dict[str, Any]]:
        self._connection.settimeout(None)
        return self._connection, self._answer

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def read_line(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON, and not a byte more. OSError at the end or after the patience, else ValueError."""
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)
        if not piece or len(line) > _LINE_MAX:
            raise ConnectionError("the connection was closed before it said anything")
        line += piece
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value
