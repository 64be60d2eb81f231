"""The front-end's half of a vhost-user conversation: what every driver of ours says to somebody's device."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.snapshot import AnyQueue, SplitQueue
from dataplane.vhost import payload as p
from dataplane.vhost.asked import Asked
from dataplane.vhost.connection import Connection, Listener, ProtocolError, connect
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, request
from dataplane.vhost.peer import Peer, RingSetup
from dataplane.vhost.rings import eventfd_count
from dataplane.vhost.talk import Talk

_BEAT = 0.2  #: seconds between two looks for a back-end, or at what the one there has said
_NEEDED = ((f.F_VERSION_1, "virtio 1.0"), (f.F_RING_PACKED, "packed rings"))


class Asking:
    """One back-end after the other, each met by us or with `listen` by itself. `protocol`: features of the
    protocol that we know. OSError where nobody is there."""

    def __init__(self, path: str, *, listen: bool, seconds: float, protocol: int) -> None:
        self.path, self.talk = path, Talk()
        self.given = 0  #: the back-end's features, vhost-user's own bit included
        self.protocol = 0  #: features of the protocol in force
        self.why = ""  #: what ended the connection; "" while there is one
        self._known = protocol
        self._closing = threading.Event()
        self._asked: Asked | None = None
        self._inflight: tuple[p.Inflight, int] | None = None  # and its file: it outlives every back-end
        self._thread: threading.Thread | None = None
        self._listener = Listener(path) if listen else None
        try:
            self._connection = Connection(self._met(seconds))
        except BaseException:
            self._let_go()
            raise

    def _met(self, seconds: float) -> socket.socket:
        if self._listener is None:
            return connect(self.path)
        self._listener.sock.settimeout(seconds)
        try:
            return self._listener.accept()
        except TimeoutError:
            raise OSError(0, f"nobody connected in {seconds:g} s", self.path) from None

    def ask(self, name: str, carried: p.Payload | None = None) -> Any:
        """What a request is answered with."""
        message = request(name, carried)
        self.talk.add("frontend", message)
        reply = self._connection.request(message)
        self.talk.add("backend", reply)
        return reply.payload()

    def say(self, name: str, carried: p.Payload | None = None, fds: tuple[int, ...] = ()) -> None:
        """ProtocolError where it is refused."""
        acknowledged = self.has("REPLY_ACK")
        message = request(name, carried, fds, need_reply=acknowledged)
        self.talk.add("frontend", message)
        if not acknowledged:
            self._connection.send(message)
            return
        reply = self._connection.request(message)
        self.talk.add("backend", reply)
        if reply.payload() != p.U64(0):
            raise ProtocolError(f"the back-end refused {name}")

    def has(self, name: str) -> bool:
        """Whether a feature of the protocol is in force."""
        return bool(self.protocol >> PROTOCOL[name] & 1)

    @property
    def offered(self) -> int:
        """The device's features."""
        return self.given & ~f.mask(F_PROTOCOL_FEATURES)

    def greet(self, wanted: int) -> None:
        """Learns what is offered, and agrees on the protocol. ValueError where the device lacks what `wanted`
        cannot do without."""
        self.protocol = 0
        self.say("SET_OWNER")
        self.given = self.ask("GET_FEATURES").value
        for bit, why in _NEEDED:
            if f.has(wanted, bit) and not f.has(self.offered, bit):
                raise ValueError(f"the back-end does not offer {f.feature_names(f.mask(bit))[0]} ({why})")
        if f.has(self.given, F_PROTOCOL_FEATURES):
            agreed = self.ask("GET_PROTOCOL_FEATURES").value & self._known
            self.say("SET_PROTOCOL_FEATURES", p.U64(agreed))
            self.protocol = agreed  # acknowledgements from the next message on
        if self.has("BACKEND_REQ"):
            self._asked = asked = Asked(self.talk, self.protocol)
            self.say("SET_BACKEND_REQ_FD", None, (asked.theirs.fileno(),))
            asked.given()

    def accept(self, features: int) -> None:
        self.say("SET_FEATURES", p.U64(features | self.given & f.mask(F_PROTOCOL_FEATURES)))

    def config(self, size: int) -> bytes:
        """The first bytes of the device's configuration space, b"" where it is not to be had."""
        if not self.has("CONFIG"):
            return b""
        answer = self.ask("GET_CONFIG", p.Config(0, size, 0, bytes(size)))
        return bytes(answer.data)

    def give(self, engine: Engine, queues: Iterable[AnyQueue], packed: bool) -> None:
        """Memory and rings of an engine of ours; the device takes them into use, from where they stand."""
        fd, size, address = engine.foreign_share()
        self.say("SET_MEM_TABLE", p.MemoryTable((p.Region(address, size, address, 0),)), (fd,))
        rings = tuple(queues)
        self._give_inflight(len(rings), max(queue.size for queue in rings))
        for queue in rings:
            self._give_ring(engine, queue, base(packed, queue))
        if f.has(self.given, F_PROTOCOL_FEATURES):  # else they are enabled by themselves
            for queue in rings:
                self.say("SET_VRING_ENABLE", p.VringState(queue.index, 1))

    def _give_inflight(self, queues: int, size: int) -> None:
        """The region in which a back-end writes down what it has taken: made by the first, for the next."""
        if not self.has("INFLIGHT_SHMFD"):
            return
        if self._inflight is None:
            message = request("GET_INFLIGHT_FD", p.Inflight(0, 0, queues, size))
            self.talk.add("frontend", message)
            reply = self._connection.request(message)
            self.talk.add("backend", reply)
            made, fds = reply.payload(), reply.take()
            assert isinstance(made, p.Inflight)
            self._inflight = made, fds[0]
        made, fd = self._inflight
        self.say("SET_INFLIGHT_FD", made, (fd,))

    def _give_ring(self, engine: Engine, queue: AnyQueue, begin: int) -> None:
        i = queue.index
        kick, call = engine.foreign_eventfds(i)
        self.say("SET_VRING_NUM", p.VringState(i, queue.size))
        self.say("SET_VRING_BASE", p.VringState(i, begin))
        self.say(
            "SET_VRING_ADDR", p.VringAddr(i, 0, queue.desc_addr, queue.device_addr, queue.driver_addr, 0)
        )
        self.say("SET_VRING_CALL", p.VringFd(i, True), (call,))
        self.say("SET_VRING_KICK", p.VringFd(i, True), (kick,))

    # ---- the end, and the next --------------------------------------------------------------------------

    def serve(self, again: Callable[[], None] | None, changed: Callable[[], None] | None = None) -> None:
        """Nothing is asked any more but from here, by a thread that stays until `close`. Where the back-end
        is gone it waits for the next, with whom `again` comes to terms (None: for nobody); `changed`: read
        the configuration space again."""
        self._thread = threading.Thread(
            target=self._serve, args=(again, changed), name="vhost-user", daemon=True
        )
        self._thread.start()

    def _serve(self, again: Callable[[], None] | None, changed: Callable[[], None] | None) -> None:
        while not self._closing.is_set():
            said = self._until_the_end(changed)
            if self._closing.is_set():
                return
            self.why = said
            self.talk.note(said)
            if again is None:
                return
            while not self._closing.is_set() and self.why:
                self._next(again)

    def _until_the_end(self, changed: Callable[[], None] | None) -> str:
        """Nothing comes unasked: whatever comes is the end."""
        try:
            while True:
                try:
                    message = self._connection.recv(_BEAT)
                except TimeoutError:
                    if self._asked is not None and self._asked.changed.is_set():
                        self._asked.changed.clear()
                        if changed is not None:
                            changed()
                    continue
                if message is None:
                    return "the back-end hung up"
                message.close()
                return f"{message.name} came, and was not asked for"
        except (ProtocolError, OSError) as error:
            return str(error)

    def _next(self, again: Callable[[], None]) -> None:
        self._hang_up()
        try:
            self._connection = Connection(self._met(_BEAT))
        except OSError:
            self._closing.wait(_BEAT)
            return
        try:
            again()
            self.why = ""
            self.talk.note("the next back-end has the rings")
        except (ProtocolError, OSError):
            self._closing.wait(_BEAT)  # the one that was there may take a connection as it ends
        except ValueError as error:
            if str(error) != self.why and not self._closing.is_set():
                self.why = str(error)
                self.talk.note(self.why)
            self._closing.wait(_BEAT)

    def _hang_up(self) -> None:
        self._connection.hang_up()
        if self._asked is not None:
            self._asked.close()
            self._asked = None
        self._connection.close()

    def close(self) -> None:
        """Hangs up, which the back-end takes as the end of every ring."""
        self._closing.set()
        self._connection.hang_up()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(5.0)
        self._hang_up()
        self._let_go()

    def _let_go(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._inflight is not None:
            os.close(self._inflight[1])
            self._inflight = None

    def peer(self, engine: Engine, queues: Iterable[AnyQueue], accepted: int, *, packed: bool) -> Peer:
        """Who is connected, and what was agreed on."""
        where = f"{'listening on' if self._listener else 'connected to'} {self.path}"
        _, size, address = engine.foreign_share()
        state = "started" if self._thread is not None else "stopped"
        rings = tuple(
            RingSetup(
                q.index, q.size, base(packed, q), state, True, True, True, False,
                q.desc_addr, q.driver_addr, q.device_addr,
            )
            for q in queues
        )  # fmt: skip
        return Peer(
            not self.why, where, self.why, accepted, self.protocol, (p.Region(address, size, address, 0),),
            rings,
        )  # fmt: skip


def base(packed: bool, queue: AnyQueue) -> int:
    """Where a device goes on that knows no more than what is used: at the first buffer that is not."""
    if isinstance(queue, SplitQueue):
        return queue.used_idx
    half = queue.driver
    assert packed and half is not None
    return (half.last_used | half.used_wrap << 15) * 0x10001


def with_eventfds(engine: Engine, queue: AnyQueue) -> AnyQueue:
    """A queue of ours with kicks that the device has not read: it keeps no count that we could compare."""
    half = queue.driver
    if half is None:
        return queue
    kick, _ = engine.foreign_eventfds(queue.index)
    pending = eventfd_count(kick) or 0
    return replace(queue, driver=replace(half, kick=replace(half.kick, pending=pending)))
