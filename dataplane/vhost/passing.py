"""What passes through a relay: whole messages with their descriptors, kicks and calls; it waits for none."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import sys
from collections import deque

from dataplane.vhost.message import HEADER, Channel, Message

BODY_MOST = 1 << 20  #: bytes of one message; the largest that is defined has a few hundred
_FDS = socket.CMSG_SPACE(253 * array.array("i").itemsize)


class Gone(Exception):
    """An end hung up, or what it sends is no message."""


class End:
    """One socket of a channel: takes in whole messages, gives out whole messages, never waits."""

    def __init__(self, sock: socket.socket, channel: Channel) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.channel: Channel = channel
        self._data = bytearray()
        self._fds: list[int] = []
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()

    def fileno(self) -> int:
        return self.sock.fileno()

    def take(self) -> Message | None:
        """The next message as far as it is there already. A stream keeps descriptors with the byte that they
        came with, so never a byte of the message behind is read with it."""
        while True:
            wanted = HEADER.size
            if len(self._data) >= HEADER.size:
                request, flags, size = HEADER.unpack_from(self._data)
                if size > BODY_MOST:
                    raise Gone(f"message {request} says it is {size} bytes long")
                wanted += size
                if len(self._data) == wanted:
                    body, fds = bytes(self._data[HEADER.size :]), tuple(self._fds)
                    self._data, self._fds = bytearray(), []
                    return Message(request, flags, body, fds, self.channel)
            try:
                part, ancillary, flags, _ = self.sock.recvmsg(
                    wanted - len(self._data), _FDS, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return None
            except OSError as error:
                raise Gone(str(error.strerror)) from None
            for level, kind, given in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    some = array.array("i")
                    some.frombytes(given[: len(given) - len(given) % some.itemsize])
                    self._fds.extend(some)
            if not part:
                raise Gone("it hung up")
            self._data += part

    def put(self, message: Message) -> None:
        """Sends it, or keeps it until there is room; duplicates of its descriptors are ours until then."""
        fds = tuple(os.dup(fd) for fd in message.fds)
        self._out.append((memoryview(message.pack()), fds))
        self.flush()

    @property
    def waiting(self) -> int:
        """Messages that are not out yet."""
        return len(self._out)

    def flush(self) -> None:
        while self._out:
            data, fds = self._out[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                sent = self.sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                raise Gone(str(error.strerror)) from None
            for fd in fds:
                os.close(fd)
            if sent < len(data):
                self._out[0] = (data[sent:], ())
            else:
                self._out.popleft()

    def close(self) -> None:
        self.sock.close()
        for _, fds in self._out:
            self._fds.extend(fds)
        for fd in self._fds:
            os.close(fd)
        self._fds, self._out = [], deque()


class Crossing:
    """Kicks or calls of one ring on their way: read here, counted, written to whom they are for. A kick comes
    from the front-end's eventfd into one of ours, a call from one of ours into the front-end's."""

    def __init__(self, front_fd: int, *, call: bool) -> None:
        front, ours = os.dup(front_fd), os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.source, self.target = (ours, front) if call else (front, ours)
        self.ours = ours
        self.count = 0
        self._eight = bytearray(8)

    def fileno(self) -> int:
        return self.source

    def pass_on(self) -> int:
        """What stood there goes on as it stood; returns it. Whether the front-end's eventfd blocks is its own
        business: it is never waited for."""
        try:
            os.preadv(self.source, [self._eight], -1, os.RWF_NOWAIT)
        except OSError:
            return 0
        count = int.from_bytes(self._eight, sys.byteorder)
        self.count += count
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self.target, count)
        return count

    def close(self) -> None:
        os.close(self.source)
        os.close(self.target)
