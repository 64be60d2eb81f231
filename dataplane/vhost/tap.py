"""Between somebody's driver and somebody's device: their rings looked at, their messages overheard.

    relay = start_relay("/tmp/driver.sock", "/tmp/device.sock", "/tmp/tap.sock")
    with Tap("/tmp/tap.sock") as tap:
        tap.start()
        print(tap.snapshot().queue(1).used)

The relay (`relay.py`) is a process of its own, and all that stands in the way of the two. A `Tap` connects
to it, gets duplicates of the descriptors, maps the memory read-only and has the engine look at the rings
(`engine/observe.h`). It may come and go: the two do not notice. What it never does: write ring memory, read
an eventfd, send a message.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from dataplane import decode
from dataplane import features as f
from dataplane._engine import Engine
from dataplane.reading import LEVELS
from dataplane.snapshot import AnyQueue, Identity, Outside, Snapshot
from dataplane.source import TraceLevel
from dataplane.vhost.device_type import DeviceType, block_config, taken_for
from dataplane.vhost.message import F_PROTOCOL_FEATURES, Message
from dataplane.vhost.overheard import Change, Overheard
from dataplane.vhost.peer import Peer
from dataplane.vhost.rings import Ring, eventfd_count
from dataplane.vhost.talk import Talk
from dataplane.viewed import Viewed

PAIRS_MAX = 16
LOOK_NS = 50_000  #: between two looks at the rings while frames are captured,
COUNT_NS = 1_500_000  #: and while they are only counted
_UNANSWERED = 2.0  #: seconds after which whoever asked is stuck, not waiting
_PACKET = 4 << 20
_FDS = socket.CMSG_SPACE(253 * array.array("i").itemsize)


class Tap(Viewed):
    """See the module. `viewers` is the relay's socket for those who look. `every`: nanoseconds between two
    looks, 0: a processor of its own, None: as often as what is asked for needs. `device_type`: None where it
    is to be guessed. OSError where no relay is there."""

    control = None

    def __init__(
        self,
        viewers: str,
        *,
        capture: bool = True,
        every: int | None = None,
        device_type: DeviceType | None = None,
        name: str = "",
        trace: TraceLevel = "operations",
    ) -> None:
        self.path = viewers
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._sock.connect(viewers)
        except OSError as error:
            self._sock.close()
            raise OSError(error.errno, os.strerror(error.errno or 0), viewers) from None
        engine = Engine(pairs=PAIRS_MAX, driver_theirs=True, device_theirs=True)
        super().__init__(engine, "tap")
        self.talk = Talk()
        self.relay = 0  #: its process id
        self.notifications: dict[tuple[str, int], int] = {}  #: kicks and calls that passed, where they do
        self._asked, self._name = device_type, name
        self._taken = taken_for(device_type, 0, 0, b"")
        self._identity = Identity(name or f"{self._taken.type}0", "tap", self._taken.device_id, 0, 0, False)
        engine.foreign_device(self._taken.device_id)
        self._trace = trace
        self._every = every
        self._heard = Overheard()
        self._lock = threading.Lock()  # over what was heard, and over the rings in the engine
        self._running: set[int] = set()
        self._ended: dict[int, AnyQueue] = {}
        self._wrong: dict[int, str] = {}
        self._missed, self._proven = 0, True  # of rings that were stopped
        self._halted: dict[int, int] = {}  # rings that were told to stop, and what was made available then
        self._regions: list[tuple[int, int, int]] = []
        self._connected = False
        self._crosses = False  # whether notifications pass through the relay
        self._why = ""
        self._closing = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="tap", daemon=True)
        self.log_frames(capture, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- life -------------------------------------------------------------------------------------------

    def start(self, seconds: float = 30.0) -> None:
        """Looks from now on. RuntimeError where the relay says nothing in that time."""
        self._engine.trace(LEVELS.index(self._trace))
        self._engine.start(False, False, False)
        self._thread.start()
        if not self._ready.wait(seconds):
            raise RuntimeError(f"{self.path}: the relay does not answer")

    def wait_for_rings(self, seconds: float) -> bool:
        """Whether a ring is started, within that time."""
        end = time.monotonic() + seconds
        while not self._running and not self._closing and time.monotonic() < end:
            time.sleep(0.01)
        return bool(self._running)

    @property
    def alive(self) -> bool:
        """Whether the relay is there."""
        return self._thread.is_alive()

    @property
    def running(self) -> tuple[int, ...]:
        """Rings that are looked at."""
        return tuple(sorted(self._running))

    def end_relay(self) -> None:
        """Ends the relay, and waits until it has: both ends see the other hang up."""
        with suppress(OSError):
            self._sock.send(json.dumps({"do": "end"}).encode())
        if self._thread.is_alive():
            self._thread.join(5.0)

    def close(self) -> None:
        self._closing = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._sock.close()
        with self._lock:
            self._heard.close()
        super().close()

    def log_frames(self, on: bool, sample: int = 1, program: bytes | None = None, **more: int) -> None:
        """As `Viewed.log_frames`; what is only counted is looked at less often."""
        super().log_frames(on, sample, program, **more)
        wanted = self._every if self._every is not None else LOOK_NS if on else COUNT_NS
        self._engine.observe_every(wanted)

    @property
    def probe(self) -> Self | None:
        """One kick or call may be put in where they pass through the relay."""
        return self if self._crosses else None

    def kick(self, queue: int) -> None:
        self._inject("kick", queue)

    def call(self, queue: int) -> None:
        self._inject("call", queue)

    def _inject(self, what: str, ring: int) -> None:
        self._sock.send(json.dumps({"do": what, "ring": ring}).encode())

    # ---- listening --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            while (packet := self._packet()) is not None:
                said, fds = packet
                try:
                    self._take(said, fds)
                finally:
                    for fd in fds:
                        os.close(fd)
        except (OSError, RuntimeError) as error:
            self._why = "" if self._closing else str(error)
        finally:
            if not self._closing:
                self._parted(self._why or "the relay is gone")
            self._ready.set()

    def _packet(self) -> tuple[dict[str, Any], list[int]] | None:
        data, ancillary, _, _ = self._sock.recvmsg(_PACKET, _FDS, socket.MSG_CMSG_CLOEXEC)
        fds: list[int] = []
        for level, kind, given in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                some = array.array("i")
                some.frombytes(given[: len(given) - len(given) % some.itemsize])
                fds.extend(some)
        if not data:
            return None
        return json.loads(data), fds

    def _take(self, said: dict[str, Any], fds: list[int]) -> None:
        match said["kind"]:
            case "hello":
                self.relay, self._connected = said["pid"], said["connected"]
                self._crosses = said["notifications"]
                self._heard.offered, self._heard.config = said["offered"], bytes.fromhex(said["config"])
            case "ready":
                self._ready.set()
            case "note":
                self.talk.note(said["text"], time=said["time"])
                if said.get("parted"):
                    self._parted(said["text"])
                elif self._ready.is_set():
                    self._connected = True
            case "kick" | "call" as what:
                self.notifications[what, said["ring"]] = said["count"]
            case "said" | "state" as kind:
                self._message(said, fds, kind == "state")

    def _message(self, said: dict[str, Any], fds: list[int], state: bool) -> None:
        body = bytes.fromhex(said["body"])
        given, fds[:] = tuple(fds), []
        message = Message(said["request"], said["flags"], body, given, said["channel"])
        try:
            if not state:
                self.talk.add(said["by"], message, time=said["time"], fds=said["fds"])
            if state or self._ready.is_set():  # what was said before we came is told again as what stands
                with self._lock:
                    change = self._heard.hear(message)
                    for index in change.rings if said.get("found") else ():
                        self._heard.rings[index].found = tuple(said["found"])
                    self._follow(change)
        finally:
            message.close()

    # ---- the rings --------------------------------------------------------------------------------------

    def _follow(self, change: Change) -> None:
        """Brings the engine to where the conversation is."""
        for index in change.stopped & self._running:
            self._halted[index] = decode.queue(self.queue_bytes(index, False), False).published
        if change.features:
            self._new_features()
        if change.memory:
            self._map_anew()
        for index in sorted(change.rings):
            ring = self._heard.rings.get(index)
            if ring is None or index >= 2 * PAIRS_MAX:
                continue
            if ring.started and (index not in self._running or index in self._halted):
                self._start(ring)
            elif index in self._running:
                self._engine.foreign_passive(index, not ring.enabled)
        used = [i // 2 + 1 for i, ring in self._heard.rings.items() if ring.enabled and i < 2 * PAIRS_MAX]
        self._engine.foreign_pairs(max(used, default=1))

    def _new_features(self) -> None:
        features = self._heard.features & ~f.mask(F_PROTOCOL_FEATURES)
        status = self._heard.status
        if status is None:
            status = f.STATUS_ACKNOWLEDGE | f.STATUS_DRIVER | f.STATUS_FEATURES_OK
            status |= f.STATUS_DRIVER_OK if self._running else 0
        packed = f.has(features, f.F_RING_PACKED)
        self._taken = taken = taken_for(self._asked, self._heard.offered, features, self._heard.config)
        other = taken.device_id != self._identity.device_id
        again = tuple(self._running) if other else ()
        if self._running and (other or packed != self._identity.packed):
            for index in tuple(self._running):
                self._stop(index)
        if other:
            self._ended.clear()
            self._engine.foreign_device(taken.device_id)
            self.talk.note(f"taken for virtio-{taken.type}: {taken.why}")
        self._engine.foreign_features(features, status)
        name = self._name or f"{taken.type}0"
        self._identity = Identity(name, "tap", taken.device_id, self._heard.offered, features, packed)
        for index in again:
            self._start(self._heard.rings[index])

    def _map_anew(self) -> None:
        running = sorted(self._running)
        for index in running:
            self._stop(index)
        for region in tuple(self._regions):
            with suppress(OSError):
                self._engine.foreign_unmap(*region)
        self._regions = []
        for shared in self._heard.memory:
            at = shared.region
            try:
                self._engine.foreign_map(at.guest_addr, at.user_addr, at.size, shared.fd, at.mmap_offset)
                self._regions.append((at.guest_addr, at.user_addr, at.size))
            except OSError as error:
                self.talk.note(f"memory region {at} cannot be looked at: {error.strerror}", refused=True)
        for index in running:
            if self._heard.rings[index].started:
                self._heard.rings[index].found = None  # that was when it began
                self._start(self._heard.rings[index])

    def _start(self, ring: Ring) -> None:
        at, why = ring.addr, ""
        if ring.index in self._running:
            self._stop(ring.index)
        if at is None or not ring.num:
            return
        if f.has(self._heard.features, f.F_ACCESS_PLATFORM):
            why = "ACCESS_PLATFORM is in force: addresses are an IOMMU's, and its table is not ours to ask"
        else:
            try:
                self._engine.foreign_start(
                    ring.index, ring.num, at.desc, at.avail, at.used, (0, 0, 0, 0), -1, -1, not ring.enabled
                )
            except OSError as error:
                why = {
                    errno.EFAULT: "a part of it lies outside the memory that is shared: a stale address",
                    errno.EINVAL: "a part of it is not aligned (2.7, 2.8)",
                    errno.ERANGE: f"a size of {ring.num} cannot be",
                }.get(error.errno or 0, str(error.strerror))
        if why:
            code = "ADDR_STALE" if "stale" in why else "NOT_STARTED"
            self._wrong[ring.index] = f"{code}: it cannot be looked at: {why}"
            self.talk.note(f"ring {ring.index} cannot be looked at: {why}", refused=True)
            return
        self._wrong.pop(ring.index, None)
        if base := self._heard.base_wrong(ring):
            self._wrong[ring.index] = f"BASE_MISMATCH: {base}"
        self._running.add(ring.index)
        self._new_features()

    def _stop(self, index: int) -> None:
        queue = decode.queue(self.queue_bytes(index, True), True)
        if (read := self._engine.observed(index)) is not None:
            self._missed, self._proven = self._missed + read[2], self._proven and not read[3]
        self._ended[index] = replace(queue, enabled=False)
        self._running.discard(index)
        self._halted.pop(index, None)
        self._engine.foreign_stop(index)

    def _parted(self, why: str) -> None:
        with self._lock:
            for index in tuple(self._running):
                self._stop(index)
            for region in tuple(self._regions):
                with suppress(OSError):
                    self._engine.foreign_unmap(*region)
            self._regions = []
            self._heard.close()
            self._heard = Overheard()
            self.notifications.clear()
        self._connected, self._why = False, why

    # ---- reading ----------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def peer(self) -> Peer:
        """The two, as they set each other up."""
        with self._lock:
            heard = self._heard
            rings = tuple(
                replace(ring.setup, kicks=eventfd_count(ring.kick), calls=eventfd_count(ring.call))
                for _, ring in sorted(heard.rings.items())
            )
            regions = tuple(shared.region for shared in heard.memory)
            agreed = heard.features, heard.protocol_features
        where = f"through the relay {self.relay}"
        return Peer(self._connected, where, self._why, *agreed, regions, rings)

    def _indices(self, info: dict[str, Any]) -> Iterable[int]:
        return self.running

    def _from_outside(self, queue: AnyQueue) -> AnyQueue:
        """A queue with what its memory does not say."""
        index = queue.index
        ring, read = self._heard.rings.get(index), self._engine.observed(index)
        frames, octets, missed, late = read or (0, 0, 0, 0)
        stopped = index in self._halted
        trouble = self._wrong.get(index, "")
        if stopped and queue.published > self._halted[index]:
            more = queue.published - self._halted[index]
            trouble = (
                f"OBSERVER_STOPPED_RING: its device was told to stop, and the driver does not know: {more}"
            )
            trouble += " more made available since"
        outside = Outside(
            passive=ring is not None and not ring.enabled,
            stopped=stopped,
            kicks_pending=eventfd_count(ring.kick) if ring is not None else None,
            calls_pending=eventfd_count(ring.call) if ring is not None else None,
            kicks=self.notifications.get(("kick", index), 0) if self._crosses else None,
            calls=self.notifications.get(("call", index), 0) if self._crosses else None,
            frames=frames,
            bytes=octets,
            missed=missed,
            proven=not late,
            trouble=trouble,
        )
        return replace(queue, outside=outside, enabled=queue.enabled and not stopped)

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        with self._lock:
            live = super().snapshot(whole)
            there = {queue.index for queue in live.queues}
            ended = [queue for index, queue in self._ended.items() if index not in there]
            queues = tuple(
                sorted((*map(self._from_outside, live.queues), *ended), key=lambda queue: queue.index)
            )
            state = live.state if there else "stopped"
            known = block_config(self._heard.config) if self._taken.type == "blk" else None
            return replace(live, queues=queues, state=state, trouble=self._trouble(), blk=known)

    def missed(self) -> tuple[int, bool]:
        """Buffers whose frame could not be read so far, and whether that count is proven exact."""
        found = [one for index in self.running if (one := self._engine.observed(index)) is not None]
        return self._missed + sum(one[2] for one in found), self._proven and not any(one[3] for one in found)

    def _trouble(self) -> str:
        """What is wrong between the two as a whole."""
        late = self._heard.unanswered()
        if late is not None and late[1] >= _UNANSWERED:
            return f"CONTROL_DEADLOCK: {late[0]} has waited for its answer for {late[1]:.0f} s"
        extra = self._identity.accepted & ~self._identity.offered
        if self._identity.offered and extra:
            names = ", ".join(f.feature_names(extra, self._taken.device_id))
            return f"FEATURE_MISMATCH: {names} was accepted and not offered"
        return ""

    def _notes(self, info: dict[str, Any]) -> list[str]:
        notes = [f"ring {index}: {why.partition(': ')[2]}" for index, why in sorted(self._wrong.items())]
        if self._asked is None and (self._taken.type != "net" or self._running):
            notes.append(f"taken for virtio-{self._taken.type}: {self._taken.why}")
        if not self._connected:
            notes.insert(0, f"the two are not connected{': ' + self._why if self._why else ''}")
        missed, exact = self.missed()
        if missed and info["frames_on"]:
            kind = "frames" if self._taken.type == "net" else "requests"
            count = f"{missed:,}" if exact else f"at least {missed:,}"
            notes.append(f"{count} buffers came and went between two looks: their {kind} are missing")
        return notes
