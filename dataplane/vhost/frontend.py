"""The driver for somebody else's device: DPDK's vhost, OVS-DPDK, or whatever speaks vhost-user's back-end.

    with Frontend("/tmp/ring.sock", layout="packed") as driver:
        driver.flood(directions=("to_device",))
        driver.start()
        print(driver.snapshot().queue(1).driver.published)

Memory, rings and eventfds are ours and are shared with the back-end; the device's words are not ours to read
(`Queue.device` is None). The features in force are those that are wanted and offered.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.negotiate import feature_set
from dataplane.network import Network
from dataplane.pair import Layout, Waiting, check_size
from dataplane.reading import LEVELS
from dataplane.records import Path, Side
from dataplane.snapshot import AnyQueue, Identity, Snapshot
from dataplane.source import TraceLevel
from dataplane.vhost import payload as p
from dataplane.vhost.connection import SECONDS, Connection, Listener, ProtocolError, connect
from dataplane.vhost.message import F_PROTOCOL_FEATURES, PROTOCOL, request
from dataplane.vhost.peer import Peer, RingSetup
from dataplane.vhost.rings import eventfd_count
from dataplane.vhost.talk import Talk

PAIRS_MAX = 16
#: What the driver takes where it is offered, unless told otherwise.
WANTED = f.mask(
    f.F_VERSION_1, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.NET_F_MRG_RXBUF, f.NET_F_CSUM, f.NET_F_GUEST_CSUM,
    f.NET_F_HOST_TSO4, f.NET_F_HOST_TSO6, f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_MQ,
)  # fmt: skip
_PROTOCOL = 1 << PROTOCOL["MQ"] | 1 << PROTOCOL["REPLY_ACK"]


class Frontend(Network):
    """See the module. `features` are changes to `WANTED`; with `listen` the back-end connects to us.

    ValueError where back-end and wishes do not go together, OSError where there is no connection,
    ProtocolError where the other end does not keep to the protocol.
    """

    OURS: ClassVar = (Side.DRIVER,)

    def __init__(
        self,
        path: str,
        *,
        listen: bool = False,
        layout: Layout = "split",
        queue_size: int = 256,
        queue_pairs: int = 1,
        features: str | Iterable[str] = (),
        driver: Waiting = "auto",
        chains: Path = Path.AUTO,
        mtu: int = 1500,
        name: str = "net0",
        trace: TraceLevel = "operations",
        seconds: float = SECONDS,
    ) -> None:
        packed = layout == "packed"
        check_size(queue_size, packed)
        if not 1 <= queue_pairs <= PAIRS_MAX:
            raise ValueError(f"{queue_pairs} queue pairs are out of range: 1 to {PAIRS_MAX}")
        wanted = feature_set(features, packed, WANTED)
        if not f.has(wanted, f.F_VERSION_1):
            raise ValueError("a driver without VERSION_1 would have a net header of another length (5.1.6.1)")
        self.path, self.talk = path, Talk()
        self._listens = listen
        self._connection = Connection(_met(path, listen, seconds))
        self._given, self._protocol, self._why = 0, 0, ""
        try:
            offered, accepted = self._negotiated(wanted, queue_pairs)
            engine = Engine(
                pairs=queue_pairs, size=queue_size, mtu=mtu, offered=offered, path=int(chains),
                packed=packed, device_theirs=True,
            )  # fmt: skip
        except BaseException:
            self._connection.close()
            raise
        super().__init__(engine, "driver", trace, queue_pairs=queue_pairs, mtu=mtu)
        self._waiting = driver
        self._identity = Identity(name, "frontend", 1, offered, accepted, packed)
        try:
            engine.foreign_features(accepted, f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER | f.STATUS_FEATURES_OK)
            engine.foreign_pairs(queue_pairs)
            engine.setup()
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._listen, name="vhost-user", daemon=True)

    # ---- setting up -------------------------------------------------------------------------------------

    def _ask(self, name: str, carried: p.Payload | None = None) -> Any:
        message = request(name, carried)
        self.talk.add("frontend", message)
        reply = self._connection.request(message)
        self.talk.add("backend", reply)
        return reply.payload()

    def _say(self, name: str, carried: p.Payload | None = None, fds: tuple[int, ...] = ()) -> None:
        acknowledged = bool(self._protocol >> PROTOCOL["REPLY_ACK"] & 1)
        message = request(name, carried, fds, need_reply=acknowledged)
        self.talk.add("frontend", message)
        if not acknowledged:
            self._connection.send(message)
            return
        reply = self._connection.request(message)
        self.talk.add("backend", reply)
        if reply.payload() != p.U64(0):
            raise ProtocolError(f"the back-end refused {name}")

    def _negotiated(self, wanted: int, pairs: int) -> tuple[int, int]:
        """(offered, accepted); both without the bit that is vhost-user's own."""
        self._say("SET_OWNER")
        self._given = given = self._ask("GET_FEATURES").value
        offered = given & ~f.mask(F_PROTOCOL_FEATURES)
        for bit, why in ((f.F_VERSION_1, "virtio 1.0"), (f.F_RING_PACKED, "packed rings")):
            if f.has(wanted, bit) and not f.has(offered, bit):
                raise ValueError(f"the back-end does not offer {f.feature_names(f.mask(bit))[0]} ({why})")
        if f.has(given, F_PROTOCOL_FEATURES):
            self._protocol = self._ask("GET_PROTOCOL_FEATURES").value & _PROTOCOL
            agreed, self._protocol = self._protocol, 0  # acknowledgements from the next message on
            self._say("SET_PROTOCOL_FEATURES", p.U64(agreed))
            self._protocol = agreed
        most = self._ask("GET_QUEUE_NUM").value if self._protocol >> PROTOCOL["MQ"] & 1 else 1
        if pairs > most:
            raise ValueError(f"the back-end has {most} queue pairs, not {pairs}")
        accepted = wanted & offered & ~(f.mask(f.NET_F_MQ) if pairs == 1 else 0)
        self._say("SET_FEATURES", p.U64(accepted | given & f.mask(F_PROTOCOL_FEATURES)))
        return offered, accepted

    def start(self) -> None:
        """Gives the back-end memory and rings, and lets the driver run."""
        if self._started:
            raise RuntimeError("the driver runs already")
        engine = self._engine
        fd, size, address = engine.foreign_share()
        self._say("SET_MEM_TABLE", p.MemoryTable((p.Region(address, size, address, 0),)), (fd,))
        for queue in super().snapshot(()).queues:
            self._start_ring(queue)
        if f.has(self._given, F_PROTOCOL_FEATURES):  # else they are enabled by themselves
            for index in range(2 * self._pairs):
                self._say("SET_VRING_ENABLE", p.VringState(index, 1))
        with self._still:  # what is sent before a ring is enabled would be dropped
            engine.trace(LEVELS.index(self._trace))
            polls = self._traffic == "flood" if self._waiting == "auto" else self._waiting == "poll"
            engine.foreign_features(self._identity.accepted, 15)
            engine.start(polls, False, False)
            self._started = True
        self._thread.start()

    @property
    def _base(self) -> int:
        """Where every ring begins: packed: slot 0, both wrap counters 1."""
        return 0x80008000 if self._identity.packed else 0

    def _start_ring(self, queue: AnyQueue) -> None:
        i = queue.index
        kick, call = self._engine.foreign_eventfds(i)
        self._say("SET_VRING_NUM", p.VringState(i, queue.size))
        self._say("SET_VRING_BASE", p.VringState(i, self._base))
        self._say(
            "SET_VRING_ADDR", p.VringAddr(i, 0, queue.desc_addr, queue.device_addr, queue.driver_addr, 0)
        )
        self._say("SET_VRING_CALL", p.VringFd(i, True), (call,))
        self._say("SET_VRING_KICK", p.VringFd(i, True), (kick,))

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
        self._why = said
        self.talk.note(said)

    # ---- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hangs up, which the back-end takes as the end of every ring, and ends the driver."""
        self._connection.hang_up()
        thread = getattr(self, "_thread", None)
        if thread is not None and thread.is_alive():
            thread.join(5.0)
        self._connection.close()
        super().close()

    # ---- reading ----------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """Who is connected, and what was agreed on."""
        where = f"{'listening on' if self._listens else 'connected to'} {self.path}"
        _, size, address = self._engine.foreign_share()
        rings = tuple(
            RingSetup(
                q.index, q.size, self._base,
                "started" if self._started else "stopped", True, True, True, False,
                q.desc_addr, q.driver_addr, q.device_addr,
            )
            for q in super().snapshot(()).queues
        )  # fmt: skip
        region = p.Region(address, size, address, 0)
        return Peer(
            not self._why, where, self._why, self._identity.accepted, self._protocol, (region,), rings
        )

    def _notes(self, info: dict[str, Any]) -> list[str]:
        notes = super()._notes(info)
        return [f"no device: {self._why}", *notes] if self._why else notes

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        return range(2 * self._pairs)

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        live = super().snapshot(whole)
        return replace(live, queues=tuple(map(self._with_eventfds, live.queues)))

    def _with_eventfds(self, queue: AnyQueue) -> AnyQueue:
        """Kicks that the device has not read yet: it keeps no count that we could compare."""
        half = queue.driver
        if half is None:
            return queue
        kick, _ = self._engine.foreign_eventfds(queue.index)
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
