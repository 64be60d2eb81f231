"""The rings of a network device in an engine of ours, as they are read: whoever moves them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal

from dataplane import decode
from dataplane.reading import LEVELS, SNAP, Reading
from dataplane.snapshot import Identity, Logs, NetConfig, Snapshot


class Viewed(Reading):
    """What `Pair`, `Backend`, `Frontend` and `Tap` have in common."""

    _identity: Identity
    _program = b""  #: the capture filter
    _snap = SNAP

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

    # ---- reading ----------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self._identity

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        """The queues that there are."""
        raise NotImplementedError

    def _notes(self, info: dict[str, Any]) -> list[str]:
        """What a reader must know, in plain words."""
        return []

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        info: dict[str, Any] = self._engine.info()
        queues = []
        for index in self._indices(info):
            rows = whole is None or index in whole
            queues.append(decode.queue(self.queue_bytes(index, rows), rows))
        state: Literal["running", "frozen", "stopped"] = "running"
        if not info["running"]:
            state = "stopped"
        elif info["frozen"]:
            state = "frozen"
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
            notes=tuple(self._notes(info)),
        )
