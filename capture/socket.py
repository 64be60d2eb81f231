"""Frames of a ring as a scapy socket.

    sniff(opened_socket=RingSocket(pair), filter="udp port 53", count=10)

Everything of scapy that takes an opened socket takes this one: `sniff`, `AsyncSniffer`, what stands on them.
Frames are pulled from the source's log with a cursor of our own, so neither the rings nor other readers
notice; what the log had overwritten before we came is counted in `lost`.

scapy ignores `filter=` for sockets that it did not open itself, and gives every frame of one socket the same
`sniffed_on`. A capture that silently shows more than was asked for is worse than none. So importing this
module wraps the one method through which every sniff of scapy goes: a sniff that holds a RingSocket applies
its filter there, by libpcap's rules, for as long as it runs; a sniff without one is passed on untouched.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np
import scapy.layers.dhcp
import scapy.layers.dns
import scapy.layers.inet
import scapy.layers.inet6
import scapy.layers.vxlan  # noqa: F401  # scapy takes apart only what is loaded
from scapy.data import MTU
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.sendrecv import AsyncSniffer
from scapy.supersocket import SuperSocket
from scapy.utils import EDecimal

from capture._frames import words
from capture.bpf import Program, compile_bpf
from capture.frame import LOGGED, RECORD, STAGES, TO_DRIVER, Array, Frame, frame_of, records
from capture.store import Block

_BEAT = 0.02  #: seconds between two looks at a log that had nothing new
_INBOUND, _OUTBOUND = 1, 2  #: as pcapng's packet flags and scapy's `direction` count

Cursor = tuple[int, ...]


class LoggedFrames(Protocol):
    """What one pull gives: frame i is `data[offsets[i] : offsets[i] + rows["captured"][i]]`."""

    @property
    def rows(self) -> Array: ...
    @property
    def offsets(self) -> Array: ...
    @property
    def data(self) -> bytes | memoryview: ...
    @property
    def cursor(self) -> Cursor: ...
    @property
    def lost(self) -> int: ...


class FrameSource(Protocol):
    """Any object whose log of frames can be pulled; rows have the fields of the first 64 bytes of `RECORD`.

    A source that is closed raises RuntimeError: the end of the stream.
    """

    def frames(self, since: Cursor = (0, 0)) -> Any: ...


class _Batch:
    """The frames of one pull that wait to be taken."""

    __slots__ = ("at", "block", "picks")

    def __init__(self, pulled: LoggedFrames) -> None:
        count = len(pulled.rows)
        rows = records(count)
        logged = np.ascontiguousarray(pulled.rows).view(np.uint8).reshape(count, LOGGED)
        rows.view(np.uint8).reshape(count, RECORD.itemsize)[:, :LOGGED] = logged
        offsets = np.asarray(pulled.offsets, np.int64)
        self.block = Block(rows, memoryview(pulled.data), offsets, np.zeros(count, STAGES))
        self.picks: list[int] = []
        self.at = 0  # frames before this one are taken or passed over

    def choose(self, programs: Iterable[Program]) -> None:
        """Which of the frames not taken yet match every program."""
        mask = np.ones(len(self.block.rows), bool)
        for program in programs:
            mask &= program.mask(self.block)
        mask[: self.at] = False
        self.picks = np.flatnonzero(mask)[::-1].tolist()


class _Feed:
    """Pulls on a thread of its own while there is room; what does not fit stays in the source's log.

    The thread knows only this object, so that a socket nobody holds any more can be collected and closed.
    """

    def __init__(self, source: FrameSource, since: Cursor, limit: int) -> None:
        self.lost = 0
        # readable while a frame waits, and for good once the end is reached
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._source = source
        self._cursor = since
        self._limit = limit
        self._changed = threading.Condition()
        self._batches: deque[_Batch] = deque()
        self._held = 0  # bytes
        self._waiting = 0  # frames that match
        self._programs: list[Program] = []
        self._ended = False
        self._why: Exception | None = None  # what the source raised at its end
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to pull, if that has not happened yet."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="ring socket", daemon=True)
                self._thread.start()

    def take(self) -> tuple[Frame, str]:
        """The next frame that matches, and its place in the ring; waits for one. EOFError at the end."""
        if self._thread is None:
            self.begin()
        with self._changed:
            while not self._waiting:
                if self._ended or self._closed:
                    raise EOFError("the source of this ring socket is closed") from self._why
                self._changed.wait()
            batch = next(batch for batch in self._batches if batch.picks)
            while self._batches[0] is not batch:
                self._forget()
            index = batch.picks.pop()
            batch.at = index + 1
            block = batch.block
            row = block.rows[index]
            start = int(block.offsets[index])
            data = bytes(block.data[start : start + int(row["captured"])])
            if batch.at == len(block.rows):
                self._forget()
            self._count(-1)
        return frame_of(row, data), words(block.rows[index : index + 1], None)

    @contextmanager
    def filtered(self, program: Program) -> Any:
        """Only frames that match, those that wait already included, for as long as this is entered."""
        with self._changed:
            self._programs.append(program)
            self._choose()
        try:
            yield
        finally:
            with self._changed:
                self._programs.remove(program)
                self._choose()

    def close(self) -> None:
        """End the thread and wait for it."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        os.close(self.descriptor)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._held >= self._limit and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            try:
                pulled = self._source.frames(self._cursor)
            except Exception as error:  # whoever waits for a frame is told, whatever it was
                pulled, why = None, error
            with self._changed:
                if self._closed:
                    return
                if pulled is None:
                    self._ended, self._why = True, why
                    os.eventfd_write(self.descriptor, 1)
                    self._changed.notify_all()
                    return
                self._cursor = pulled.cursor
                self.lost += pulled.lost
                if len(pulled.rows):
                    self._add(_Batch(pulled))
                else:
                    self._changed.wait(_BEAT)

    def _add(self, batch: _Batch) -> None:
        batch.choose(self._programs)
        if not batch.picks:
            return
        self._batches.append(batch)
        self._held += len(batch.block.data)
        self._count(len(batch.picks))

    def _forget(self) -> None:
        self._held -= len(self._batches.popleft().block.data)
        self._changed.notify_all()

    def _choose(self) -> None:
        for batch in self._batches:
            batch.choose(self._programs)
        self._count(sum(len(batch.picks) for batch in self._batches) - self._waiting)
        if not self._waiting:
            while self._batches:
                self._forget()

    def _count(self, change: int) -> None:
        """Keep the descriptor readable exactly while a frame waits, or for good once the end was reached."""
        before, self._waiting = self._waiting, self._waiting + change
        if self._ended:
            return
        if before and not self._waiting:
            os.eventfd_read(self.descriptor)
        elif self._waiting and not before:
            os.eventfd_write(self.descriptor, 1)
            self._changed.notify_all()


class RingSocket(SuperSocket):  # type: ignore[misc]  # scapy is untyped
    """A scapy socket on the frames of `source`, a `Pair` or any other `FrameSource`. It only receives.

    filter: BPF in tcpdump's language, beside the one that `sniff` is given. net_header: packets begin with
    `VirtioNetHdr`. from_now: not what the log holds already. names: interface names by queue, else the
    source's own ("net0.tx0"). limit_bytes: frames held here; the rest waits in the source's log.

    A packet has `time` exact to the nanosecond, `wirelen`, `direction` (1 to the driver, 2 to the device),
    `sniffed_on` (the queue) and in `comments` its place in the ring. FilterError for a filter that is wrong.
    """

    desc = "frames that cross a ring"

    def __init__(
        self,
        source: FrameSource,
        filter: str | None = None,
        *,
        net_header: bool = False,
        from_now: bool = False,
        names: Mapping[int, str] | None = None,
        limit_bytes: int = 8 << 20,
    ) -> None:
        self.ins = self.outs = None
        self.closed = True  # until there is something to close
        self._filter = ExitStack()
        if not callable(getattr(source, "frames", None)):
            raise TypeError(f"a ring socket needs a Pair or what has frames(), not {type(source).__name__}")
        program = compile_bpf(filter) if filter else None
        self._names = _names(source) if names is None else names
        self._net_header = net_header
        self._begun = False
        self._feed = _Feed(source, _end(source) if from_now else (0, 0), limit_bytes)
        self.closed = False
        self.iface = self._names.get(-1, "ring")
        self.last = self.iface  #: name of the queue that the newest packet came from
        if program is not None:
            self._filter.enter_context(self._feed.filtered(program))

    @property
    def lost(self) -> int:
        """Frames that the log had overwritten before they could be pulled."""
        return self._feed.lost

    def fileno(self) -> int:
        """A descriptor that is readable while a frame waits."""
        if not self._begun:
            self._begun = True
            self._feed.begin()
        return -1 if self.closed else self._feed.descriptor

    def recv(self, x: int = MTU, **kwargs: Any) -> Packet:
        """The next packet; waits for one. EOFError once the source is closed and everything was taken."""
        frame, place = self._feed.take()
        header = frame.net_header if self._net_header else b""
        kind: type[Packet] = Ether
        if header:
            from capture.vnet import layer_for

            kind = layer_for(len(header))
        whole = header + frame.data
        self._raw = (kind, whole if x >= MTU else whole[:x], EDecimal(frame.time).scaleb(-9))
        packet = super().recv(x, **kwargs)
        queue = frame.origin[0]
        self.last = self._names.get(queue) or f"{self.iface}.q{queue}"
        packet.wirelen = len(header) + frame.length
        packet.direction = _INBOUND if frame.direction == TO_DRIVER else _OUTBOUND
        packet.sniffed_on = self.last
        packet.comments = [place.encode()]
        return packet

    def recv_raw(self, x: int = MTU) -> tuple[type[Packet], bytes, Any]:
        """For `recv`."""
        return self._raw

    def send(self, x: Any) -> int:
        raise OSError("a ring socket only receives; Pair.play sends frames")

    def filtered(self, text: str) -> Any:
        """A context in which only frames come that match this BPF filter. FilterError where it is wrong."""
        return self._feed.filtered(compile_bpf(text))

    def close(self) -> None:
        """Let go of the source, which stays open; no thread is left."""
        if not self.closed:
            self.closed = True
            self._feed.close()


def _names(source: FrameSource) -> dict[int, str]:
    """Interface names as the files we write have them; -1 is the device."""
    identity = getattr(source, "identity", None)
    device = str(getattr(identity, "name", "ring"))
    look = getattr(source, "snapshot", None)
    queues = look(()).queues if callable(look) else ()
    return {-1: device} | {queue.index: f"{device}.{queue.name}" for queue in queues}


def _end(source: FrameSource) -> Cursor:
    """The cursor behind everything that is logged now."""
    cursor: Cursor = (0, 0)
    while True:
        pulled = source.frames(cursor)
        cursor = pulled.cursor
        if not len(pulled.rows):
            return cursor


def _apply(sniff: Callable[..., None]) -> Callable[..., None]:
    """scapy's loop of a sniff, which then also filters ring sockets and names their queues."""
    shape = inspect.signature(sniff)

    @functools.wraps(sniff)
    def run(self: Any, *args: Any, **kwargs: Any) -> None:
        given = shape.bind(self, *args, **kwargs)
        labelled = _labelled(given.arguments.get("opened_socket"))
        ours = [one for one in labelled if isinstance(one, RingSocket)]
        if not ours:
            return sniff(self, *args, **kwargs)
        text = given.arguments.get("karg", {}).get("filter")
        named = {label: one for one, label in labelled.items() if one in ours}
        wanted = given.arguments.get("lfilter")

        def look(packet: Packet) -> bool:
            if not isinstance(given.arguments["opened_socket"], dict) and packet.sniffed_on in named:
                packet.sniffed_on = named[packet.sniffed_on].last
            return not wanted or bool(wanted(packet))

        with ExitStack() as stack:
            for one in ours if text else ():
                stack.enter_context(one.filtered(text))
            given.arguments["lfilter"] = look
            return sniff(*given.args, **given.kwargs)

    return run


def _labelled(opened: Any) -> dict[Any, Any]:
    """The opened sockets of a sniff with the labels that scapy gives them."""
    if isinstance(opened, dict):
        return opened
    if isinstance(opened, list):
        return {one: f"socket{number}" for number, one in enumerate(opened)}
    return {opened: "socket0"}


AsyncSniffer._run = _apply(AsyncSniffer._run)
