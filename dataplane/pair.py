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
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.control import Controlled
from dataplane.layout import QUEUE_SIZE_MAX
from dataplane.negotiate import OFFERED, feature_set, why_refused
from dataplane.reading import LEVELS, SNAP
from dataplane.records import TO_DEVICE, TO_DRIVER, Path
from dataplane.snapshot import Identity, Logs, NetConfig, Snapshot
from dataplane.source import TraceLevel

Layout = Literal["split", "packed"]
Waiting = Literal["auto", "poll", "interrupt"]

PAIRS_MAX = 16
CONTROL_SIZE = 64  #: descriptors of the control queue, whatever the others have
_FLOOD_SAMPLE = 4096  #: of a flood one frame in so many is logged, unless asked otherwise


@dataclass(frozen=True, slots=True)
class PlayFrame:
    """One frame of a list: when (ns from its start), which way, the frame, and its net header or b""."""

    offset_ns: int
    direction: int
    data: bytes
    net_header: bytes = b""


def _check_size(size: int, packed: bool) -> None:
    if not 1 <= size <= QUEUE_SIZE_MAX:
        raise ValueError(f"queue size {size} is out of range: 1 to {QUEUE_SIZE_MAX}")
    if not packed and size & (size - 1):
        raise ValueError(f"queue size {size} is not a power of two, which a split queue needs (2.7)")


class Pair(Controlled):
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
        _check_size(queue_size, packed)
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
        super().__init__(engine, "pair", trace)
        self._waiting = (driver, device)
        self._start_frozen = frozen
        self._traffic = "none"
        self._natural_rate = 0.0
        self._rate: float | None = None
        self._program = b""
        self._snap = SNAP
        self._pairs = queue_pairs
        self._mtu = mtu
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

    def play(self, frames: Iterable[PlayFrame], *, loop: bool = True) -> None:
        """Sends a list of frames, each from its side, at their own pace; again and again with `loop`."""
        lists: dict[int, list[bytes]] = {TO_DEVICE: [], TO_DRIVER: []}
        count, end = 0, 0
        for frame in frames:
            header = frame.net_header[:12].ljust(12, b"\0")
            data = frame.data
            lists[frame.direction] += [
                struct.pack("<QII12sI", frame.offset_ns, len(data), 0, header, 0),
                data,
                bytes(-len(data) % 8),
            ]
            count += 1
            end = max(end, frame.offset_ns)
        if not count:
            raise ValueError("there is no frame to play")
        period = end + 500_000_000
        self._natural_rate = count * 1e9 / period
        self._log(True, 1)
        for side, chunks in ((0, lists[TO_DEVICE]), (1, lists[TO_DRIVER])):
            self._engine.traffic(side, "play", 0, period if loop else 0, b"".join(chunks))
        self._traffic = "play"

    def flood(
        self,
        *,
        length: int = 64,
        directions: Collection[str] = ("to_device", "to_driver"),
        sample: int = _FLOOD_SAMPLE,
    ) -> None:
        """Numbered UDP frames as fast as they go, checked on arrival; one in `sample` is logged.

        A rate that is asked for is shared by the sides that send.
        """
        if not 64 <= length <= 65535:
            raise ValueError(f"flood frames of {length} bytes are out of range: 64 to 65535")
        large = f.mask(f.NET_F_MRG_RXBUF, f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_GUEST_UFO)
        if "to_driver" in directions and not self._identity.accepted & large and length > self._mtu + 22:
            raise ValueError(
                f"flood frames of {length} bytes do not fit a receive buffer: accept mrg_rxbuf or raise mtu"
            )
        self._log(True, sample)
        for side, name in ((0, "to_device"), (1, "to_driver")):
            self._engine.traffic(side, "flood", length)  # either side checks what the other sends
            self._engine.mute(side, name not in directions)
        self._traffic = "flood"
        self.set_rate(self._rate)  # shared by the sides that send

    def join(self, driver_fd: int, device_fd: int) -> None:
        """The cable: two Linux TAP interfaces with a 12-byte vnet header; the descriptors are duplicated."""
        self._log(True, 1)
        self._engine.traffic(0, "tap", driver_fd)
        self._engine.traffic(1, "tap", device_fd)
        self._traffic = "cable"

    def quiet(self) -> None:
        """No traffic: what is in flight still arrives."""
        self._engine.traffic(0, "quiet")
        self._engine.traffic(1, "quiet")
        self._traffic = "none"

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

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- Control ----------------------------------------------------------------------------------------

    @property
    def control(self) -> Pair:
        return self

    def log_frames(
        self, on: bool, sample: int = 1, program: bytes | None = None, *, snap: int = SNAP
    ) -> None:
        """Switches the frame log, and says what of the traffic is logged: it holds from the next frame on.

        program: a capture filter, instructions of classic BPF of 8 bytes each (struct bpf_insn), run on every
        frame without its net header; what does not match is counted as filtered. None: every frame.
        sample: of the frames that match one in so many is logged, the others are counted as passed over.
        snap: bytes kept of a frame, 1 to 262144.
        New traffic (`play`, `flood`, `join`) keeps program and snap. ValueError for what cannot be done.
        """
        if sample < 1 or sample > 0xFFFFFFFF:
            raise ValueError(f"one frame in {sample} cannot be logged; give 1 for every frame, or more")
        if not 1 <= snap <= SNAP:
            raise ValueError(f"{snap} bytes of a frame cannot be kept: 1 to {SNAP}")
        self._engine.log_frames(on, sample, snap, program or b"")
        self._program, self._snap = program or b"", snap

    def _log(self, on: bool, sample: int) -> None:
        """The same filter for other traffic."""
        self.log_frames(on, sample, self._program, snap=self._snap)

    def set_rate(self, per_second: float | None) -> None:
        if per_second is not None and per_second <= 0:
            raise ValueError(f"a rate of {per_second:g} frames a second is no rate; freeze the pair instead")
        self._rate = per_second
        speed = per_second / self._natural_rate if per_second and self._natural_rate else 1.0
        self._engine.rate(per_second or 0.0, speed)

    @property
    def rate(self) -> float | None:
        """What was asked for; of a list at its own pace None."""
        return self._rate

    @property
    def natural_rate(self) -> float:
        """Frames a second of the list that is played, at its own pace; 0 where none is."""
        return self._natural_rate if self._traffic == "play" else 0.0

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

    # ---- Probe ------------------------------------------------------------------------------------------

    @property
    def probe(self) -> Pair:
        return self

    def kick(self, queue: int) -> None:
        self._engine.inject(queue, False)

    def call(self, queue: int) -> None:
        self._engine.inject(queue, True)

    # ---- reading ----------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self._identity

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        info: dict[str, Any] = self._engine.info()
        queues = []
        for index in range(info["queues"]):
            if index == 2 * self._pairs and not f.has(self._identity.accepted, f.NET_F_CTRL_VQ):
                continue
            rows = whole is None or index in whole
            queues.append(decode.queue(self.queue_bytes(index, rows), rows))
        state: Literal["running", "frozen", "stopped"] = "running"
        if not info["running"]:
            state = "stopped"
        elif info["frozen"]:
            state = "frozen"
        notes = []
        if info["wrong"]:
            notes.append(f"{info['wrong']} frames arrived lost, repeated, reordered or altered")
        if info["gone"]:
            notes.append("an interface of the cable was deleted: its side sends nothing any more")
        if info["refused_frames"]:
            notes.append(f"{info['refused_frames']} frames were not taken by the interface")
        return Snapshot(
            identity=self._identity,
            state=state,
            status=info["status"],
            config=NetConfig(info["mac"], info["net_status"], info["pairs_max"], info["mtu"]),
            config_generation=info["config_generation"],
            queue_pairs=info["pairs"],
            number=info["number"] - 1,
            time=info["time"],
            logs=Logs(
                trace_level=LEVELS[info["trace_level"]],
                events=info["number"] - 1,
                frames_on=bool(info["frames_on"]),
                frame_sample=info["frame_sample"],
                frames=info["frames"],
                frames_passed_over=info["frames_passed_over"],
                frames_filtered=info["frames_filtered"],
                bytes=info["frame_bytes"],
            ),
            queues=tuple(queues),
            notes=tuple(notes),
        )
