"""The driver for somebody else's device: DPDK's vhost, OVS-DPDK, or whatever speaks vhost-user's back-end.

    with Frontend("/tmp/ring.sock", layout="packed") as driver:
        driver.flood(directions=("to_device",))
        driver.start()
        print(driver.snapshot().queue(1).driver.published)

Memory, rings and eventfds are ours and are shared with the back-end; the device's words are not ours to read
(`Queue.device` is None). The features in force are those that are wanted and offered.
"""

from __future__ import annotations

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
from dataplane.snapshot import Identity, Snapshot
from dataplane.source import TraceLevel
from dataplane.vhost.asking import Asking, with_eventfds
from dataplane.vhost.connection import SECONDS
from dataplane.vhost.message import PROTOCOL
from dataplane.vhost.peer import Peer

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
        self._asking = Asking(path, listen=listen, seconds=seconds, protocol=_PROTOCOL)
        self.path, self.talk = path, self._asking.talk
        try:
            accepted = self._negotiated(wanted, queue_pairs)
            offered = self._asking.offered
            engine = Engine(
                pairs=queue_pairs, size=queue_size, mtu=mtu, offered=offered, path=int(chains),
                packed=packed, device_theirs=True,
            )  # fmt: skip
        except BaseException:
            self._asking.close()
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

    # ---- setting up -------------------------------------------------------------------------------------

    def _negotiated(self, wanted: int, pairs: int) -> int:
        """What is accepted, without the bit that is vhost-user's own."""
        asking = self._asking
        asking.greet(wanted)
        most = asking.ask("GET_QUEUE_NUM").value if asking.has("MQ") else 1
        if pairs > most:
            raise ValueError(f"the back-end has {most} queue pairs, not {pairs}")
        accepted = wanted & asking.offered & ~(f.mask(f.NET_F_MQ) if pairs == 1 else 0)
        asking.accept(accepted)
        return accepted

    def start(self) -> None:
        """Gives the back-end memory and rings, and lets the driver run."""
        if self._started:
            raise RuntimeError("the driver runs already")
        engine = self._engine
        self._asking.give(engine, super().snapshot(()).queues, self._identity.packed)
        with self._still:  # what is sent before a ring is enabled would be dropped
            engine.trace(LEVELS.index(self._trace))
            polls = self._traffic == "flood" if self._waiting == "auto" else self._waiting == "poll"
            engine.foreign_features(self._identity.accepted, 15)
            engine.start(polls, False, False)
            self._started = True
        self._asking.wait_for_the_end()

    # ---- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hangs up, which the back-end takes as the end of every ring, and ends the driver."""
        self._asking.close()
        super().close()

    # ---- reading ----------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """Who is connected, and what was agreed on."""
        queues, identity = super().snapshot(()).queues, self._identity
        return self._asking.peer(self._engine, queues, identity.accepted, packed=identity.packed)

    def _notes(self, info: dict[str, Any]) -> list[str]:
        notes, why = super()._notes(info), self._asking.why
        return [f"no device: {why}", *notes] if why else notes

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        return range(2 * self._pairs)

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        live = super().snapshot(whole)
        return replace(live, queues=tuple(with_eventfds(self._engine, queue) for queue in live.queues))
