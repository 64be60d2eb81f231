"""The device for somebody else's driver: QEMU, DPDK's virtio-user, or whatever speaks vhost-user's front-end.

    with Backend("/tmp/ring.sock") as device:
        device.start()
        device.wait_for_driver(60)
        print(device.snapshot().queue(1).device.seen)

A thread of its own serves the socket; rings, memory and eventfds are the engine's. The driver's words are not
ours to read (`Queue.driver` is None), its rings are. One driver at a time; when it hangs up, the next may
come, and what its rings looked like at the end stays to be seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.keyframe import QueueShape
from dataplane.negotiate import feature_set
from dataplane.network import Network
from dataplane.reading import LEVELS
from dataplane.records import Side
from dataplane.snapshot import AnyQueue, Identity, Outside, Snapshot
from dataplane.source import TraceLevel
from dataplane.vhost.connection import Connection, Listener, ProtocolError, connect
from dataplane.vhost.message import F_LOG_ALL, F_PROTOCOL_FEATURES
from dataplane.vhost.peer import Peer
from dataplane.vhost.rings import eventfd_count, to_come
from dataplane.vhost.session import Session
from dataplane.vhost.talk import Talk

PAIRS_MAX = 16
OUR_MISTAKE = "a mistake of ringscope's own ended it"
#: What the device offers unless told otherwise, besides MQ where it has more than one pair.
OFFERED = f.mask(
    f.F_VERSION_1, f.F_RING_PACKED, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.F_IN_ORDER, f.NET_F_MRG_RXBUF,
    f.NET_F_CSUM, f.NET_F_GUEST_CSUM, f.NET_F_HOST_TSO4, f.NET_F_HOST_TSO6, f.NET_F_HOST_ECN,
    f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_GUEST_ECN, f.NET_F_MTU, f.NET_F_STATUS,
)  # fmt: skip


class Backend(Network):
    """See the module. `features` are changes to `OFFERED`; with `listen` the driver connects to us, else we
    connect to it, again and again."""

    OURS: ClassVar = (Side.DEVICE,)

    def __init__(
        self,
        path: str,
        *,
        listen: bool = True,
        queue_pairs: int = 1,
        features: str | Iterable[str] = (),
        polls: bool = False,
        mtu: int = 1500,
        name: str = "net0",
        trace: TraceLevel = "operations",
    ) -> None:
        if not 1 <= queue_pairs <= PAIRS_MAX:
            raise ValueError(f"{queue_pairs} queue pairs are out of range: 1 to {PAIRS_MAX}")
        offered = feature_set(features, False, OFFERED | (f.mask(f.NET_F_MQ) if queue_pairs > 1 else 0))
        if not f.has(offered, f.F_VERSION_1):
            raise ValueError("a device without VERSION_1 would have a net header of another length (5.1.6.1)")
        engine = Engine(pairs=queue_pairs, mtu=mtu, offered=offered, driver_theirs=True)
        super().__init__(engine, "device", trace, queue_pairs=queue_pairs, mtu=mtu)
        self.path = path
        self.talk = Talk()
        self.when_negotiated: Callable[[int], None] | None = None  #: called with the features in force
        self._polls = polls
        self._identity = Identity(name, "backend", 1, offered, 0, False)
        self._ended: dict[int, AnyQueue] = {}  # rings that were stopped, as they were last
        self._news = threading.Condition()
        self._closing = False
        self._why = ""  # what ended the last connection
        self._session: Session | None = None
        self._connection: Connection | None = None
        self._listener = Listener(path) if listen else None
        self._thread = threading.Thread(target=self._serve, name="vhost-user", daemon=True)

    # ---- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Waits for drivers from now on."""
        with self._still:
            self._engine.trace(LEVELS.index(self._trace))
            self._engine.start(False, self._polls, False)
            self._started = True
        self._thread.start()

    def wait_for_driver(self, seconds: float) -> bool:
        """Whether a ring was started within that time."""
        with self._news:
            return self._news.wait_for(lambda: self._closing or bool(self.running), seconds)

    @property
    def running(self) -> tuple[int, ...]:
        """Rings that are started."""
        session = self._session
        return tuple(ring.index for ring in session.rings.values() if ring.started) if session else ()

    def close(self) -> None:
        """Hangs up, and ends the device."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._listener is not None:
            self._listener.close()
        connection = self._connection
        if connection is not None:
            connection.hang_up()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        super().close()

    # ---- the socket -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            try:
                sock = self._listener.accept() if self._listener is not None else connect(self.path)
            except OSError:
                with self._news:
                    self._news.wait_for(lambda: self._closing, 0.2)
                continue
            connection = Connection(sock)
            self._connection = connection
            try:
                self._one_driver(connection)
            finally:
                self._connection = None
                connection.close()

    def _one_driver(self, connection: Connection) -> None:
        session = Session(self, self._engine, connection, self.talk, self._identity.offered, self._pairs)
        self._session = session
        try:
            session.run()
            self._why = "the driver hung up"
        except ProtocolError as error:
            self._why = str(error)
        except Exception as error:  # the next driver must find us here
            self._why = str(error) if self._closing else f"{OUR_MISTAKE}: {error!r}"
        finally:
            if not (said := self.talk.since()) or said[-1].text != self._why:  # a refusal is told already
                self.talk.note(self._why)
            self._quietly(session.end)
            self._session = None
            self.changed()

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RuntimeError:
            if not self._closing:
                raise

    # ---- what a session tells ---------------------------------------------------------------------------

    def negotiated(self, accepted: int) -> None:
        """Features in force from now on."""
        packed = f.has(accepted, f.F_RING_PACKED)
        accepted &= ~f.mask(F_PROTOCOL_FEATURES, F_LOG_ALL)
        self._identity = replace(self._identity, accepted=accepted, packed=packed)
        if self.when_negotiated is not None:
            self.when_negotiated(accepted)

    def before_stop(self, index: int) -> None:
        """A ring is about to be stopped: it is kept as it is."""
        queue = self._with_eventfds(decode.queue(self.queue_bytes(index, True), True))
        self._ended[index] = replace(queue, enabled=False)

    def changed(self) -> None:
        """Rings came or went."""
        with self._news:
            self._news.notify_all()

    @property
    def peer(self) -> Peer:
        """Who is connected, and what was agreed on."""
        session, where = self._session, f"{'listening on' if self._listener else 'connecting to'} {self.path}"
        if session is None:
            return Peer(False, where, self._why)
        rings = tuple(ring.setup for ring in sorted(session.rings.values(), key=lambda ring: ring.index))
        agreed = session.accepted, session.protocol_features
        return Peer(True, where, self._why, *agreed, tuple(session.memory.regions), rings)

    # ---- reading ----------------------------------------------------------------------------------------

    def _with_eventfds(self, queue: AnyQueue) -> AnyQueue:
        """Kicks and calls that nobody has read yet: the driver keeps no count that we could compare."""
        session, half = self._session, queue.device
        ring = session.rings.get(queue.index) if session is not None else None
        if ring is None or half is None:
            return queue
        call = replace(half.call, pending=eventfd_count(ring.call) or 0)
        device = replace(half, call=call, kicks_pending=eventfd_count(ring.kick))
        outside = replace(queue.outside or Outside(), trouble=ring.trouble)
        return replace(queue, device=device, outside=outside)

    def _notes(self, info: dict[str, Any]) -> list[str]:
        notes = super()._notes(info)
        if self._session is None:
            where = (
                f"listening on {self.path}" if self._listener is not None else f"connecting to {self.path}"
            )
            notes.insert(0, f"no driver: {self._why + '; ' if self._why else ''}{where}")
        return notes

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        return self.running

    def shapes(self) -> tuple[QueueShape, ...]:
        """Also of rings that no driver has started yet: a fault may wait for them."""
        there = {shape.index: shape for shape in super().shapes()}
        packed = self._identity.packed
        return tuple(there.get(i) or to_come(i, packed) for i in range(2 * self._pairs))

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        live = super().snapshot(whole)
        live = replace(live, queues=tuple(map(self._with_eventfds, live.queues)))
        there = {queue.index for queue in live.queues}
        ended = [queue for index, queue in tuple(self._ended.items()) if index not in there]
        queues = sorted((*live.queues, *ended), key=lambda queue: queue.index)
        return replace(live, queues=tuple(queues), state=live.state if live.queues else "stopped")
