"""A network device whose rings an engine of ours moves: its traffic, its frame log, its snapshots.

What is the same whichever of the two sides are ours: `Pair` has both, `Backend` the device.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

from dataplane import features as f
from dataplane._engine import Engine
from dataplane.control import Controlled
from dataplane.records import TO_DEVICE, TO_DRIVER, Side
from dataplane.source import TraceLevel
from dataplane.viewed import Viewed

_FLOOD_SAMPLE = 4096  #: of a flood one frame in so many is logged, unless asked otherwise


@dataclass(frozen=True, slots=True)
class PlayFrame:
    """One frame of a list: when (ns from its start), which way, the frame, and its net header or b""."""

    offset_ns: int
    direction: int
    data: bytes
    net_header: bytes = b""


class Network(Controlled, Viewed):
    """See the module. `mtu` is the device's."""

    OURS: ClassVar[tuple[Side, ...]] = (Side.DRIVER, Side.DEVICE)  #: the sides that are ours

    def __init__(self, engine: Engine, what: str, trace: TraceLevel, *, queue_pairs: int, mtu: int) -> None:
        super().__init__(engine, what, trace)
        self._traffic = "none"
        self._natural_rate = 0.0
        self._rate: float | None = None
        self._pairs = queue_pairs
        self._mtu = mtu

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- traffic ----------------------------------------------------------------------------------------

    def play(self, frames: Iterable[PlayFrame], *, loop: bool = True) -> None:
        """Sends a list of frames, each from its side, at their own pace; again and again with `loop`. Those
        of a side that is not ours are left out. ValueError where none is left."""
        lists: dict[int, list[bytes]] = {TO_DEVICE: [], TO_DRIVER: []}
        count, end = 0, 0
        ours = {TO_DEVICE: Side.DRIVER in self.OURS, TO_DRIVER: Side.DEVICE in self.OURS}
        for frame in frames:
            if not ours[frame.direction]:
                continue
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
        for side in self.OURS:
            chunks = lists[TO_DRIVER if side == Side.DEVICE else TO_DEVICE]
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
        for side in self.OURS:
            name = "to_driver" if side == Side.DEVICE else "to_device"
            self._engine.traffic(side, "flood", length)  # either side checks what the other sends
            self._engine.mute(side, name not in directions)
        self._traffic = "flood"
        self.set_rate(self._rate)  # shared by the sides that send

    def plug(self, fd: int) -> None:
        """What the other side sends goes there, what comes from there goes to the other side: one frame a
        read or a write, behind a 12-byte net header. The descriptor must not block, and is duplicated.
        Of a source with one side of ours alone."""
        (side,) = self.OURS
        self.log_frames(True, 1)
        self._engine.traffic(int(side), "tap", fd)
        self._traffic = "joined"

    def quiet(self) -> None:
        """No traffic: what is in flight still arrives."""
        for side in self.OURS:
            self._engine.traffic(side, "quiet")
        self._traffic = "none"

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

    # ---- Probe ------------------------------------------------------------------------------------------

    @property
    def control(self) -> Self:
        return self

    @property
    def probe(self) -> Self:
        return self

    def kick(self, queue: int) -> None:
        self._engine.inject(queue, False)

    def call(self, queue: int) -> None:
        self._engine.inject(queue, True)

    # ---- reading ----------------------------------------------------------------------------------------

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        """The queues that there are."""
        control = 2 * self._pairs
        there = f.has(self._identity.accepted, f.NET_F_CTRL_VQ)
        return (index for index in range(info["queues"]) if index != control or there)

    def _notes(self, info: dict[str, Any]) -> list[str]:
        """What a reader must know, in plain words."""
        notes = []
        if info["wrong"]:
            notes.append(f"{info['wrong']} frames arrived lost, repeated, reordered or altered")
        if info["gone"]:
            notes.append("an interface of the cable was deleted: its side sends nothing any more")
        if info["refused_frames"]:
            notes.append(f"{info['refused_frames']} frames were not taken by the interface")
        return notes
