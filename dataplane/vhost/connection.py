"""A vhost-user socket: whole messages with their file descriptors, or one line that says what is wrong.

A stream socket keeps file descriptors with the byte that they were sent with, so a message is read as exactly
its header and then exactly its body: never a byte of the next one. Nothing that arrives leaks: descriptors of
a message that is refused are closed.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import select
import socket
import stat
import struct
import time
from pathlib import Path

from dataplane.vhost.message import (
    BODY_MAX,
    FDS_MAX,
    HEADER,
    NEED_REPLY,
    REPLY,
    VERSION,
    Channel,
    Message,
    Refused,
)

_CONTROL = socket.CMSG_SPACE(253 * array.array("i").itemsize)  # what one sendmsg can carry
_PATH_MAX = 107
_ACCEPTS = 0x10000  #: __SO_ACCEPTCON of /proc/net/unix
SECONDS = 5.0  #: how long the rest of a message, or a reply, may take


class ProtocolError(Exception):
    """The other end does not keep to the protocol, or is gone in the middle: one line."""


class Connection:
    """One end of a channel. `channel`: who asks on it."""

    def __init__(self, sock: socket.socket, channel: Channel = "frontend") -> None:
        self.sock = sock
        self.channel: Channel = channel
        sock.setblocking(False)

    def fileno(self) -> int:
        return self.sock.fileno()

    def recv(self, timeout: float | None = None) -> Message | None:
        """The next message, None where the other end hung up between two. TimeoutError where none begins in
        time, ProtocolError for whatever else is wrong."""
        end = None if timeout is None else time.monotonic() + timeout
        fds: list[int] = []
        try:
            head = self._exactly(HEADER.size, end, fds, begun=False)
            if not head:
                return None
            request, flags, size = HEADER.unpack(head)
            if size > BODY_MAX:
                raise ProtocolError(
                    f"message {request} says it is {size} bytes long: at most {BODY_MAX} are read"
                )
            if flags & 3 != VERSION or flags & ~(3 | REPLY | NEED_REPLY):
                raise ProtocolError(
                    f"message {request} has flags {flags:#x}: no version {VERSION} message has those"
                )
            with_head = len(fds)
            body = self._exactly(size, time.monotonic() + SECONDS, fds, begun=True)
            if len(fds) > with_head or len(fds) > FDS_MAX:
                where = "within it" if len(fds) > with_head else f"of which {FDS_MAX} can be had"
                raise ProtocolError(f"message {request} comes with {len(fds)} file descriptors, {where}")
            kept, fds = tuple(fds), []
            return Message(request, flags, body, kept, self.channel)
        finally:
            for fd in fds:
                os.close(fd)

    def _exactly(self, count: int, end: float | None, fds: list[int], *, begun: bool) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._wait(select.POLLIN, end, "the rest of a message" if begun else "a message")
            try:
                part, ancillary, flags, _ = self.sock.recvmsg(
                    count - len(data), _CONTROL, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                continue
            except OSError as error:
                if isinstance(error, ConnectionResetError) and not begun and not data:
                    return b""  # it was killed with something of ours unread: it hung up all the same
                raise ProtocolError(f"the connection broke: {error.strerror}") from None
            for level, kind, given in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    some = array.array("i")
                    some.frombytes(given[: len(given) - len(given) % some.itemsize])
                    fds.extend(some)
            if flags & socket.MSG_CTRUNC:
                raise ProtocolError("file descriptors were lost on the way: more came than fit")
            if not part:
                if begun:
                    raise ProtocolError(
                        f"the other end hung up within a message, {count - len(data)} bytes short"
                    )
                return b""
            data += part
            if not begun:
                begun, end = True, time.monotonic() + SECONDS
        return bytes(data)

    def _wait(self, events: int, end: float | None, what: str) -> None:
        poll = select.poll()
        poll.register(self.sock, events)
        left = None if end is None else max(0.0, end - time.monotonic())
        if not poll.poll(None if left is None else left * 1000):
            if what == "a message":
                raise TimeoutError("no message in time")
            raise ProtocolError(f"{what} did not come in {SECONDS:g} s")

    def send(self, message: Message) -> None:
        """All of it, its file descriptors with the first byte; they stay the caller's."""
        data = memoryview(message.pack())
        fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", message.fds))] if message.fds else []
        end = time.monotonic() + SECONDS
        while data:
            self._wait(select.POLLOUT, end, "room for a message")
            try:
                sent = self.sock.sendmsg([data], fds, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ProtocolError(f"the other end is gone: {error.strerror}") from None
            data, fds = data[sent:], []

    def request(self, message: Message, timeout: float = SECONDS) -> Message:
        """Sends a request and waits for its reply."""
        self.send(message)
        try:
            reply = self.recv(timeout)
        except TimeoutError:
            raise ProtocolError(f"{message.name} was not answered in {timeout:g} s") from None
        if reply is None:
            raise ProtocolError(f"the other end hung up instead of answering {message.name}")
        try:
            reply.replies_to(message)
        except Refused as error:
            raise ProtocolError(str(error)) from None
        return reply

    def hang_up(self) -> None:
        """From any thread: whoever waits for a message gets none."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.sock.close()


# ---- meeting -------------------------------------------------------------------------------------------


def _checked(path: str) -> str:
    if len(os.fsencode(path)) > _PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, f"the socket path is longer than {_PATH_MAX} bytes", path)
    return path


def connect(path: str) -> socket.socket:
    """A stream to whoever listens there; OSError, also where nobody takes it in time."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Who listens and takes nobody lets us wait for ever otherwise; a socket that never waits would be
        # refused by one that is only busy.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SECONDS))
        sock.connect(_checked(path))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(0))
    except BlockingIOError:
        sock.close()
        raise TimeoutError(errno.ETIMEDOUT, f"nobody took the connection in {SECONDS:g} s", path) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _timeval(seconds: float) -> bytes:
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))


class Listener:
    """A socket that we made, for our user alone; it is taken away again at the end."""

    def __init__(self, path: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self.path = _checked(path)
        _clear(path)
        self.sock = socket.socket(socket.AF_UNIX, kind)
        try:
            before = os.umask(0o077)
            try:
                self.sock.bind(path)
            finally:
                os.umask(before)
            self._mine = os.stat(path).st_ino
            self.sock.listen(1)
        except BaseException:
            self.sock.close()
            raise

    def accept(self) -> socket.socket:
        return self.sock.accept()[0]

    def close(self) -> None:
        """Ends a wait in accept() too."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_ino == self._mine:
                os.unlink(self.path)


def _clear(path: str) -> None:
    """Takes away a socket on which nobody listens any more."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file, and it is no socket", path)
    if listened_on(path):
        raise OSError(errno.EADDRINUSE, "somebody listens there already", path)
    os.unlink(path)


def listened_on(path: str) -> bool:
    """Whether some process has this socket open to listen, by what the kernel lists: asking the process
    itself would be a connection, which a peer that takes one at a time would miss."""
    names = (path, os.path.abspath(path))
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            words = line.rstrip("\n").split(None, 7)
            if len(words) == 8 and words[7] in names and int(words[3], 16) & _ACCEPTS:
                return True
    return False
