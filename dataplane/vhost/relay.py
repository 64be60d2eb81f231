"""The relay of a tap: a process that stands between a front-end and a back-end, and only passes on.

    python -m dataplane.vhost.relay --listen A --connect B --viewers C

Each message goes on whole, with its descriptors, as soon as it is there; nothing is added, left out or
changed, and no message is ever sent that did not come from the other end. Two things are put in between where
they have to be: the channel of SET_BACKEND_REQ_FD, so that what the back-end asks is seen, and, with
--notifications, eventfds of our own, so that every kick and call passes here and is counted.

It keeps duplicates of the descriptors that went by. Whoever connects to the viewers' socket is told what was
said so far and what stands (`Overheard.retold`), and then each message as it goes by, with descriptors of its
own: one JSON object a packet. A viewer that does not keep up, or dies, is dropped: the two never wait for it.
Only the relay's own end is felt by them: both connections close, as if the other end had gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from dataplane.vhost.connection import Listener, connect
from dataplane.vhost.message import Channel, Message
from dataplane.vhost.overheard import Overheard
from dataplane.vhost.passing import Crossing, End, Gone, Viewer

WAITING_MOST = 256  #: messages that an end has not taken yet before nothing more is read for it
MEMORY_OF_TALK = 2048  #: messages that a viewer who comes later is told of
_LONELY = 10.0  #: seconds after which a relay that nobody needs ends
_RETRY = 2.0  #: seconds in which the other end has to be found
#: The ends by name: of the two, and of the back-end's channel: who is asked, and who asks.
_OTHER = {"front": "back", "back": "front", "served": "asking", "asking": "served"}


class Relay:
    """See the module. `reverse`: the front-end is the one that we connect to."""

    def __init__(
        self,
        listen: str,
        connect_to: str,
        viewers: str,
        *,
        reverse: bool = False,
        notifications: bool = False,
    ) -> None:
        self._connect_to, self._reverse, self._notifications = connect_to, reverse, notifications
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._listener = Listener(listen)
        self._viewers_at = Listener(viewers, socket.SOCK_SEQPACKET)
        self._ends: dict[str, End] = {}  # by the names of _OTHER
        self._crossings: dict[tuple[str, int], Crossing] = {}
        self._viewers: list[Viewer] = []
        self._said: deque[dict[str, Any]] = deque(maxlen=MEMORY_OF_TALK)
        self._heard = Overheard()
        self._lonely = time.monotonic()
        self.ended = False
        self._watch(self._listener.sock, self._met)
        self._watch(self._viewers_at.sock, self._visited)

    # ---- the loop ---------------------------------------------------------------------------------------

    def run(self) -> None:
        while not self.ended:
            for fd, _ in self._poll.poll(1.0):
                act = self._ready.get(fd)
                if act is not None:
                    act()
            if self._ends or self._viewers:
                self._lonely = time.monotonic()
            elif time.monotonic() - self._lonely > _LONELY:
                return

    def _watch(self, what: Any, act: Callable[[], None]) -> None:
        self._ready[what.fileno()] = act
        self._poll.register(what.fileno(), select.EPOLLIN)

    def _unwatch(self, what: Any) -> None:
        if self._ready.pop(what.fileno(), None) is not None:
            self._poll.unregister(what.fileno())

    # ---- the two ----------------------------------------------------------------------------------------

    def _met(self) -> None:
        """Somebody came: the other end is called. Who comes while the two are there is turned away."""
        came = self._listener.accept()
        if self._ends:
            came.close()
            return
        other = self._called()
        if other is None:
            came.close()
            self._note(f"somebody came, and nobody listens on {self._connect_to}")
            return
        front, back = (other, came) if self._reverse else (came, other)
        self._join("front", front, "back", back, "frontend")
        self._note("both ends are connected")

    def _called(self) -> socket.socket | None:
        end = time.monotonic() + _RETRY
        while True:
            try:
                return connect(self._connect_to)
            except OSError:
                if time.monotonic() >= end:
                    return None
                time.sleep(0.05)

    def _join(self, a: str, one: socket.socket, b: str, other: socket.socket, channel: Channel) -> None:
        for name, sock in ((a, one), (b, other)):
            end = self._ends[name] = End(sock, channel)
            self._watch(end, partial(self._passing, name, _OTHER[name]))

    def _passing(self, name: str, to: str) -> None:
        source = self._ends.get(name)
        if source is None:
            return
        try:
            source.flush()
            while name in self._ends and self._ends[to].waiting < WAITING_MOST:
                message = source.take()
                if message is None:
                    break
                self._pass(message, name, to)
        except Gone as gone:
            if name in ("front", "back"):
                self._part(f"the {'driver' if name == 'front' else 'device'}'s side is gone: {gone}")
            else:
                self._close_channel()
        self._set_interest()

    def _set_interest(self) -> None:
        for name, end in self._ends.items():
            room = self._ends[_OTHER[name]].waiting < WAITING_MOST
            events = (select.EPOLLIN if room else 0) | (select.EPOLLOUT if end.waiting else 0)
            self._poll.modify(end.fileno(), events)

    def _pass(self, message: Message, name: str, to: str) -> None:
        on, found = message, None
        try:
            if name == "front" and not message.is_reply:
                on = self._exchanged(message)
                found = self._looked_up(message)
            self._ends[to].put(on)
            self._tell(message, "frontend" if name in ("front", "served") else "backend", on, found)
        finally:
            if on is not message:
                on.close()
            message.close()

    def _looked_up(self, message: Message) -> tuple[int, int] | None:
        """Where a ring stands that is about to be started: a moment later its device has moved it."""
        ring = self._heard.rings.get(message.body[0]) if message.body else None
        if message.name != "SET_VRING_KICK" or ring is None:
            return None
        self._heard.look_up(ring)
        return ring.found

    def _exchanged(self, message: Message) -> Message:
        """The message with descriptors of ours, where we have to be in between."""
        if message.name == "SET_BACKEND_REQ_FD" and len(message.fds) == 1:
            self._close_channel()
            ours, theirs = socket.socketpair()
            front = socket.socket(fileno=os.dup(message.fds[0]))
            self._join("served", front, "asking", ours, "backend")
            return Message(message.request, message.flags, message.body, (theirs.detach(),), message.channel)
        what = {"SET_VRING_KICK": "kick", "SET_VRING_CALL": "call"}.get(message.name)
        if not self._notifications or what is None or len(message.body) != 8:
            return message
        index = message.body[0]
        old = self._crossings.pop((what, index), None)
        if old is not None:
            self._unwatch(old)
            old.close()
        if len(message.fds) != 1:
            return message
        crossing = self._crossings[what, index] = Crossing(message.fds[0], call=what == "call")
        self._watch(crossing, lambda: self._notified(what, index))
        given = (os.dup(crossing.ours),)
        return Message(message.request, message.flags, message.body, given, message.channel)

    def _notified(self, what: str, index: int) -> None:
        crossing = self._crossings.get((what, index))
        if crossing is None:
            return
        count = crossing.pass_on()
        if count and self._viewers:
            self._packet({"kind": what, "ring": index, "count": crossing.count, "time": time.time_ns()})

    def _close_channel(self) -> None:
        for name in ("served", "asking"):
            end = self._ends.pop(name, None)
            if end is not None:
                self._unwatch(end)
                end.close()

    def _part(self, why: str) -> None:
        """One is gone: so are we, for the other."""
        for end in self._ends.values():
            self._unwatch(end)
            end.close()
        self._ends.clear()
        for crossing in self._crossings.values():
            self._unwatch(crossing)
            crossing.close()
        self._crossings.clear()
        self._heard.close()
        self._heard = Overheard()
        self._note(why, parted=True)

    # ---- viewers ----------------------------------------------------------------------------------------

    def _visited(self) -> None:
        viewer = Viewer(self._viewers_at.accept())
        self._viewers.append(viewer)
        self._watch(viewer, lambda: self._listened_to(viewer))
        first = {"kind": "hello", "pid": os.getpid(), "connected": "front" in self._ends,
                 "notifications": self._notifications, "offered": self._heard.offered,
                 "config": self._heard.config.hex()}  # fmt: skip
        self._send(viewer, first)
        for said in tuple(self._said):
            self._send(viewer, said)
        for message in self._heard.retold():
            ring = self._heard.rings.get(message.body[0]) if message.name == "SET_VRING_KICK" else None
            found = {"found": ring.found if ring is not None else None}
            self._send(viewer, self._spelled(message, "state") | found, message.fds)
        for (what, index), crossing in self._crossings.items():
            self._send(viewer, {"kind": what, "ring": index, "count": crossing.count, "time": 0})
        self._send(viewer, {"kind": "ready"})

    def _listened_to(self, viewer: Viewer) -> None:
        """A viewer may ask for one kick or call, and for the end of the relay; else it only hangs up."""
        try:
            viewer.flush()
            self._poll.modify(viewer.fileno(), select.EPOLLIN | (select.EPOLLOUT if viewer.waiting else 0))
            data = viewer.sock.recv(4096)
        except BlockingIOError:
            return
        except (OSError, Gone):
            data = b""
        if not data:
            self._drop(viewer)
            return
        with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
            asked = json.loads(data)
            if asked["do"] == "end":
                self.ended = True
            elif asked["do"] in ("kick", "call"):
                self._inject(asked["do"], int(asked["ring"]))

    def _inject(self, what: str, index: int) -> None:
        crossing = self._crossings.get((what, index))
        if crossing is not None:
            os.eventfd_write(crossing.target, 1)

    def _drop(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._unwatch(viewer)
            self._viewers.remove(viewer)
            viewer.close()

    def _send(self, viewer: Viewer, packet: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        if viewer not in self._viewers:
            return
        try:
            viewer.put(json.dumps(packet).encode(), fds)
            if viewer.waiting:
                self._poll.modify(viewer.fileno(), select.EPOLLIN | select.EPOLLOUT)
        except (Gone, OSError):  # it may come again
            self._drop(viewer)

    def _packet(self, packet: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        for viewer in tuple(self._viewers):
            self._send(viewer, packet, fds)

    def _spelled(self, message: Message, kind: str, by: str = "") -> dict[str, Any]:
        return {"kind": kind, "time": time.time_ns(), "by": by, "channel": message.channel,
                "request": message.request, "flags": message.flags, "body": message.body.hex(),
                "fds": len(message.fds)}  # fmt: skip

    def _tell(self, message: Message, by: str, on: Message, found: tuple[int, int] | None) -> None:
        """What went by. Of an eventfd that was exchanged viewers get the one in which what stands is not
        taken yet by whom it is for."""
        spelled = self._spelled(message, "said", by) | {"found": found}
        self._said.append(spelled)
        kept = on if message.name == "SET_VRING_KICK" else message
        fds = tuple(os.dup(fd) for fd in kept.fds)
        copy = Message(message.request, message.flags, message.body, fds, message.channel)
        self._packet(spelled, fds)
        self._heard.hear(copy)
        copy.close()

    def _note(self, text: str, **more: bool) -> None:
        packet = {"kind": "note", "time": time.time_ns(), "text": text, **more}
        self._said.append(packet)
        self._packet(packet)

    def close(self) -> None:
        self._part("the relay ends")
        for viewer in tuple(self._viewers):
            self._drop(viewer)
        self._listener.close()
        self._viewers_at.close()
        self._poll.close()


def main(argv: list[str] | None = None) -> int:
    """The process. It says "ready" on standard output once both sockets listen, then nothing more."""
    parser = argparse.ArgumentParser(prog="ringscope-relay", allow_abbrev=False)
    for name in ("--listen", "--connect", "--viewers"):
        parser.add_argument(name, required=True)
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--notifications", action="store_true")
    options = parser.parse_args(argv)
    try:
        relay = Relay(
            options.listen, options.connect, options.viewers,
            reverse=options.reverse, notifications=options.notifications,
        )  # fmt: skip
    except OSError as error:
        print(f"{error.filename or options.listen}: {error.strerror}", flush=True)
        return 2

    def end(*_: object) -> None:
        relay.ended = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that of a terminal is meant for the viewer
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print("ready", flush=True)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # whoever started us may wait for the end of our output
        os.dup2(nowhere, fd)
    try:
        relay.run()
    finally:
        relay.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
