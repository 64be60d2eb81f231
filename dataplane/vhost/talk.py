"""What was said on a vhost-user socket: the newest messages, in words, with the times and who sent them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from time import time_ns
from typing import Literal

from dataplane.vhost.message import Message, describe

_KEPT = 4096

Speaker = Literal["frontend", "backend", ""]


@dataclass(frozen=True, slots=True)
class Said:
    """One line: `speaker` "" where it is a remark of ours."""

    number: int
    time: int  #: ns since the epoch
    speaker: Speaker
    name: str
    text: str
    fds: int = 0
    refused: bool = False


class Talk:
    """Any thread may add, any may read."""

    def __init__(self) -> None:
        self._said: deque[Said] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._number = 0

    def add(
        self, speaker: Speaker, message: Message, *, time: int | None = None, fds: int | None = None
    ) -> None:
        """`time` and `fds` where it is told of later, without its descriptors."""
        count = len(message.fds) if fds is None else fds
        self._put(speaker, message.name, describe(message, count), count, time=time)

    def note(self, text: str, *, refused: bool = False, time: int | None = None) -> None:
        """A remark: why something was refused, that somebody hung up."""
        self._put("", "", text, 0, refused, time)

    def _put(
        self,
        speaker: Speaker,
        name: str,
        text: str,
        fds: int,
        refused: bool = False,
        time: int | None = None,
    ) -> None:
        with self._lock:
            self._number += 1
            when = time_ns() if time is None else time
            self._said.append(Said(self._number, when, speaker, name, text, fds, refused))

    def since(self, number: int = 0) -> tuple[Said, ...]:
        """What was said after that number, the oldest first."""
        with self._lock:
            return tuple(one for one in self._said if one.number > number)
