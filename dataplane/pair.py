"""A virtio-net driver and device in this process, running without the GIL: the embedded default.

    with Pair(layout="packed") as pair:
        pair.flood()
        pair.start()
        print(pair.snapshot().queue(1).driver.published)

Both sides are ours and share one memfd. The driver brings the device up the way any driver does (3.1.1):
status bit by status bit, features written and read back; what the device refuses raises ValueError with the
reason. A `Pair` is a `RingSource`; one thread at a time may change it, any number may read it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.negotiate import OFFERED, feature_set, why_refused
from dataplane.network import Network, PlayFrame
from dataplane.reading import LEVELS
from dataplane.records import Path
from dataplane.snapshot import Identity
from dataplane.source import TraceLevel

__all__ = ["Layout", "Pair", "PlayFrame", "Waiting", "check_size"]

Layout = Literal["split", "packed"]
Waiting = Literal["auto", "poll", "interrupt"]

PAIRS_MAX = 16
CONTROL_SIZE = 64  #: descriptors of the control queue, whatever the others have


def check_size(size: int, packed: bool) -> None:
    """ValueError for a size that no queue of this layout can have (2.7, 2.8)."""
    if not 1 <= size <= QUEUE_SIZE_MAX:
        raise ValueError(f"queue size {size} is out of range: 1 to {QUEUE_SIZE_MAX}")
    if not packed and size & (size - 1):
        raise ValueError(f"queue size {size} is not a power of two, which a split queue needs (2.7)")


class Pair(Network):
    """See the module. `features` are changes to `DEFAULT_FEATURES`; `start_index` and `start_wrap` say where
    the rings begin; `mtu` is the device's; `path` how frames become descriptors; `trace` says how much is
    journaled (while frozen every store)."""

    def __init__(
        self,
        *,
        layout: Layout = "split",
        queue_size: int = 256,
        queue_pairs: int = 1,
        features: str | Iterable[str] = (),
        driver: Waiting = "auto",
        device: Waiting = "auto",
        path: Path = Path.AUTO,
        start_index: int = 0,
        start_wrap: int = 1,
        mtu: int = 1500,
        name: str = "net0",
        frozen: bool = False,
        trace: TraceLevel = "operations",
    ) -> None:
        if layout not in ("split", "packed"):
            raise ValueError(f"layout {layout!r} is neither split nor packed")
        packed = layout == "packed"
        check_size(queue_size, packed)
        if not 1 <= queue_pairs <= PAIRS_MAX:
            raise ValueError(f"{queue_pairs} queue pairs are out of range: 1 to {PAIRS_MAX}")
        if not 0 <= start_index <= 0xFFFF or start_wrap not in (0, 1):
            raise ValueError("the start index is 0 to 65535, the start wrap 0 or 1")
        if not 68 <= mtu <= 65535:
            raise ValueError(f"mtu {mtu} is out of range: 68 to 65535 (5.1.4.1)")
        wanted = feature_set(features, packed)
        if queue_pairs > 1 and not f.has(wanted, f.NET_F_MQ):
            raise ValueError("more than one queue pair needs MQ (5.1.3)")
        if path == Path.INDIRECT and not f.has(wanted, f.F_INDIRECT_DESC):
            raise ValueError("the indirect path needs INDIRECT_DESC (2.7.5.3)")
        offered = OFFERED | (f.mask(f.F_RING_PACKED) if packed else 0)
        engine = Engine(
            pairs=queue_pairs,
            size=queue_size,
            control_size=CONTROL_SIZE,
            mtu=mtu,
            offered=offered,
            start_index=start_index,
            start_wrap=start_wrap,
            path=int(path),
            packed=packed,
        )
        super().__init__(engine, "pair", trace, queue_pairs=queue_pairs, mtu=mtu)
        self._waiting = (driver, device)
        self._start_frozen = frozen
        try:
            self._bring_up(wanted, packed)
        except BaseException:
            self.close()
            raise
        self._identity = Identity(name, "pair", 1, offered, wanted, packed)

    def _bring_up(self, wanted: int, packed: bool) -> None:
        """3.1.1, step by step."""
        engine = self._engine
        engine.write_status(0)
        status = engine.write_status(f.STATUS_ACKNOWLEDGE)
        status = engine.write_status(status | f.STATUS_DRIVER)
        engine.write_features(wanted & (1 << 64) - 1, wanted >> 64 != 0)
        status = engine.write_status(status | f.STATUS_FEATURES_OK)
        if not status & f.STATUS_FEATURES_OK:
            refused = int(self._engine.info()["refused"])
            engine.write_status(status | f.STATUS_FAILED)
            raise ValueError(why_refused(refused, wanted, packed))
        try:
            engine.setup()
        except OSError as error:
            raise ValueError(f"no memory for queues of this size: {error.strerror}") from None
        engine.write_status(status | f.STATUS_DRIVER_OK)

    # ---- traffic ----------------------------------------------------------------------------------------

    def join(self, driver_fd: int, device_fd: int) -> None:
        """The cable: two Linux TAP interfaces with a 12-byte vnet header; the descriptors are duplicated."""
        self._log(True, 1)
        self._engine.traffic(0, "tap", driver_fd)
        self._engine.traffic(1, "tap", device_fd)
        self._traffic = "cable"

    # ---- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts both sides, then configures the device through its control queue, if there is one."""
        if self._started:
            raise RuntimeError("the pair runs already")
        polls = [self._traffic == "flood" if w == "auto" else w == "poll" for w in self._waiting]
        with self._still:
            self._engine.trace(LEVELS.index(self._trace))
            self._keep_keyframe()
            self._engine.start(polls[0], polls[1], self._start_frozen)
            self._started = True
            if self._start_frozen:
                self._keep_keyframe()
        accepted = self._identity.accepted
        if f.has(accepted, f.NET_F_CTRL_RX):
            self._engine.command(0, 0, b"\1", 0)
        if f.has(accepted, f.NET_F_MQ) and self._pairs > 1:
            self._engine.command(4, 0, struct.pack("<H", self._pairs), 0)

    def run_inline(self, seconds: float) -> None:
        """Instead of `start`: this thread plays both sides in turn: what a ring costs on one processor."""
        self._engine.run_inline(seconds)

    # ---- Control ----------------------------------------------------------------------------------------

    def command(self, cls: int, cmd: int, data: bytes = b"", *, milliseconds: int = 2000) -> int:
        """Sends one command on the control queue (5.1.6.5); its ack. TimeoutError where none comes."""
        ticket, ack = self._engine.command(cls, cmd, data, milliseconds)
        if not ticket:
            raise RuntimeError("no room for another control command")
        if ack < 0:
            raise TimeoutError(f"control command {cls}.{cmd} was not answered in {milliseconds} ms")
        return ack

    def announce(self) -> None:
        """The device asks the driver to announce itself (5.1.6.5.4)."""
        self._engine.announce()
