"""The front-end's half of a vhost-user conversation: what every driver of ours says to somebody's device."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.snapshot import AnyQueue
from dataplane.vhost import payload as p
from dataplane.vhost.connection import Connection, Listener, ProtocolError, connect
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, request
from dataplane.vhost.peer import Peer, RingSetup
from dataplane.vhost.rings import eventfd_count
from dataplane.vhost.talk import Talk

_NEEDED = ((f.F_VERSION_1, "virtio 1.0"), (f.F_RING_PACKED, "packed rings"))


class Asking:
    """One connection, made by us or with `listen` by the back-end. `protocol`: features of the protocol that
    we know. OSError where nobody is there."""

    def __init__(self, path: str, *, listen: bool, seconds: float, protocol: int) -> None:
        self.path, self.talk = path, Talk()
        self.given = 0  #: the back-end's features, vhost-user's own bit included
        self.protocol = 0  #: features of the protocol in force
        self.why = ""  #: what ended the connection
        self._listens, self._known = listen, protocol
        self._connection = Connection(_met(path, listen, seconds))
        self._thread: threading.Thread | None = None

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
        self.say("SET_OWNER")
        self.given = self.ask("GET_FEATURES").value
        for bit, why in _NEEDED:
            if f.has(wanted, bit) and not f.has(self.offered, bit):
                raise ValueError(f"the back-end does not offer {f.feature_names(f.mask(bit))[0]} ({why})")
        if f.has(self.given, F_PROTOCOL_FEATURES):
            agreed = self.ask("GET_PROTOCOL_FEATURES").value & self._known
            self.say("SET_PROTOCOL_FEATURES", p.U64(agreed))
            self.protocol = agreed  # acknowledgements from the next message on

    def accept(self, features: int) -> None:
        self.say("SET_FEATURES", p.U64(features | self.given & f.mask(F_PROTOCOL_FEATURES)))

    def give(self, engine: Engine, queues: Iterable[AnyQueue], packed: bool) -> None:
        """Memory and rings of an engine of ours; the device takes them into use."""
        fd, size, address = engine.foreign_share()
        self.say("SET_MEM_TABLE", p.MemoryTable((p.Region(address, size, address, 0),)), (fd,))
        rings = tuple(queues)
        for queue in rings:
            self._give_ring(engine, queue, base(packed))
        if f.has(self.given, F_PROTOCOL_FEATURES):  # else they are enabled by themselves
            for queue in rings:
                self.say("SET_VRING_ENABLE", p.VringState(queue.index, 1))

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

    # ---- the end ----------------------------------------------------------------------------------------

    def wait_for_the_end(self) -> None:
        """From now on nothing is asked any more, by a thread that notes how it ends."""
        self._thread = threading.Thread(target=self._listen, name="vhost-user", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        """Nothing comes unasked: whatever comes is the end."""
        try:
            message = self._connection.recv()
            said = (
                "the back-end hung up" if message is None else f"{message.name} came, and was not asked for"
            )
            if message is not None:
                message.close()
        except (ProtocolError, OSError) as error:
            said = str(error)
        self.why = said
        self.talk.note(said)

    def close(self) -> None:
        """Hangs up, which the back-end takes as the end of every ring."""
        self._connection.hang_up()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(5.0)
        self._connection.close()

    def peer(self, engine: Engine, queues: Iterable[AnyQueue], accepted: int, *, packed: bool) -> Peer:
        """Who is connected, and what was agreed on."""
        where = f"{'listening on' if self._listens else 'connected to'} {self.path}"
        _, size, address = engine.foreign_share()
        state = "started" if self._thread is not None else "stopped"
        rings = tuple(
            RingSetup(
                q.index, q.size, base(packed), state, True, True, True, False,
                q.desc_addr, q.driver_addr, q.device_addr,
            )
            for q in queues
        )  # fmt: skip
        return Peer(
            not self.why, where, self.why, accepted, self.protocol, (p.Region(address, size, address, 0),),
            rings,
        )  # fmt: skip


def base(packed: bool) -> int:
    """Where every ring begins: packed: slot 0, both wrap counters 1."""
    return 0x80008000 if packed else 0


def with_eventfds(engine: Engine, queue: AnyQueue) -> AnyQueue:
    """With kicks that the device has not read yet: it keeps no count that we could compare."""
    half = queue.driver
    if half is None:
        return queue
    kick, _ = engine.foreign_eventfds(queue.index)
    pending = eventfd_count(kick) or 0
    return replace(queue, driver=replace(half, kick=replace(half.kick, pending=pending)))


def _met(path: str, listen: bool, seconds: float) -> socket.socket:
    if not listen:
        return connect(path)
    listener = Listener(path)
    try:
        listener.sock.settimeout(seconds)
        return listener.accept()
    except TimeoutError:
        raise OSError(0, f"nobody connected in {seconds:g} s", path) from None
    finally:
        listener.close()
