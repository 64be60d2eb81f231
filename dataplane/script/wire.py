"""A wire at each end of a pair: frames are handed over and taken back without touching its sides.

The two ends are socket pairs that keep frames apart. A side looks at its end when its turn comes, as it
would at a network interface, so that a frame may be put there while a side rests within an operation.
"""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, field

from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.script.frames import FRAME_MAX

_HEADER = 12
_ROOM = 1 << 22  #: bytes asked for each socket; the system may give less


@dataclass
class Way:
    """What went one way so far.

    Frames of one queue pair arrive in the order in which they were sent; one is lost when a later one of its
    pair arrives before it.
    """

    waiting: deque[bytes] = field(default_factory=deque)  #: not handed to the socket yet
    expected: dict[int, deque[bytes]] = field(default_factory=dict)  #: by pair: sent, and not arrived yet
    sent: int = 0
    arrived: int = 0
    altered: int = 0
    lost: int = 0

    def count(self) -> dict[str, int]:
        """The numbers by name; `waiting`: sent and neither arrived nor known to be lost."""
        waiting = sum(len(frames) for frames in self.expected.values())
        return {
            "sent": self.sent,
            "arrived": self.arrived,
            "altered": self.altered,
            "lost": self.lost,
            "waiting": waiting,
        }

    def take(self, frame: bytes) -> None:
        """One frame has come out at the other end."""
        self.arrived += 1
        for frames in self.expected.values():
            if frame in frames:
                before = frames.index(frame)
                self.lost += before
                for _ in range(before + 1):
                    frames.popleft()
                return
        self.altered += 1
        meant = next((frames for frames in self.expected.values() if frames), None)
        if meant:
            meant.popleft()


class Wire:
    """Joins the ends of a pair that has not started yet; `close()` after the pair is closed."""

    def __init__(self, pair: Pair) -> None:
        self._ours: list[socket.socket] = []
        self.ways = {Side.DRIVER: Way(), Side.DEVICE: Way()}  #: by the side that sends
        theirs = []
        for _ in Side:
            ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (ours, other):
                end.setblocking(False)
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, option, _ROOM)
            self._ours.append(ours)
            theirs.append(other)
        pair.join(theirs[0].fileno(), theirs[1].fileno())
        for end in theirs:
            end.close()

    def send(self, side: Side, frame: bytes, net_header: bytes = b"", pair: int = 0) -> None:
        """Hands a frame to a side, which sends it through the rings when its turn comes.

        pair: the queue pair that its flow belongs to (`frames.flow_pair`).
        """
        way = self.ways[side]
        way.waiting.append(net_header[:_HEADER].ljust(_HEADER, b"\0") + frame)
        way.expected.setdefault(pair, deque()).append(frame)
        way.sent += 1
        self.pump()

    def pump(self) -> None:
        """Moves what waits on either side of the sockets. Never blocks."""
        for side in Side:
            way, other = self.ways[side], self._ours[1 - side]
            while way.waiting:
                try:
                    self._ours[side].send(way.waiting[0])
                except BlockingIOError:
                    break
                way.waiting.popleft()
            while True:
                try:
                    frame = other.recv(_HEADER + FRAME_MAX + 1)
                except BlockingIOError:
                    break
                if not frame:
                    break
                way.take(frame[_HEADER:])

    @property
    def backlog(self) -> bool:
        """Whether frames wait for room in a socket."""
        return any(way.waiting for way in self.ways.values())

    def close(self) -> None:
        for end in self._ours:
            end.close()
