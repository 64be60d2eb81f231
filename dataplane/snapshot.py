"""One moment of a device, held still.

Frozen dataclasses over read-only arrays; nothing here changes once made, so a snapshot may be
handed to any thread. Field names are the spec's. Beside the values in memory stand each side's
own, private copies (`driver`, `device`): the two may disagree, and then that is the news.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from dataplane.blk import BlkConfig
from dataplane.records import Owner, Path, Reason, Role

Array = npt.NDArray[np.void]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint16]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Notify:
    """What one side knows of notifying the other (2.7.7, 2.7.10, 2.8.10).

    `answer` is the last decision: "none" yet, "quiet" or "sent"; `event` the event value (or flags)
    it was made with and `old`, `new` the indices around it. `received` counts what this side read.
    """

    sent: int
    quiet: int
    received: int
    pending: int  #: written to the eventfd and not yet read by the other side
    answer: Literal["none", "quiet", "sent"]
    event: int
    old: int
    new: int
    lost: int = 0  #: decided and never written to this queue's eventfd
    stray: int = 0  #: written to it and never decided for this queue
    told: int = 0  #: count (published, used) up to which it decided to notify
    reached: int = 0  #: and up to which that was written to the eventfd
    heard: int = 0  #: count (seen, collected) of this side when it last read a notification
    heard_turn: int = 0  #: and its turns then
    counted: bool = True  #: whether `sent` and `quiet` are known: of the past not where events are missing


@dataclass(frozen=True, slots=True)
class DriverState:
    """The driver's private copies. 64-bit counts of buffers; 16-bit ring positions."""

    published: int
    collected: int
    avail_idx: int
    last_used: int
    avail_wrap: int
    used_wrap: int
    free: int
    free_head: int
    in_flight: int
    added: int
    path: Path
    polling: bool
    asleep: bool
    kick: Notify
    frames: int
    bytes: int
    drops: int
    broken: Reason
    turns: int
    backlog: int = 0  #: 1: a frame for this queue is due and not made available
    last_drop: Reason = Reason.NONE


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The device's private copies."""

    seen: int
    used: int
    last_avail: int
    used_idx: int
    avail_wrap: int
    used_wrap: int
    holding: int
    unflushed: int
    polling: bool
    asleep: bool
    call: Notify
    frames: int
    bytes: int
    drops: int
    broken: Reason
    turns: int
    size: int = 0  #: at which it goes round; 0: not known
    avail_read: int = 0  #: split: avail.idx as it last read it
    backlog: int = 0  #: 1: a frame for this queue is due and waits for buffers
    last_drop: Reason = Reason.NONE
    kicks_pending: int | None = None  #: what stands in the eventfd of a driver that is another process


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known of a queue whose sides are not both ours, beside its memory."""

    passive: bool = False  #: started, and not enabled: nothing is received, what is sent is dropped
    stopped: bool = False  #: stopped by a message, and still looked at
    kicks_pending: int | None = None  #: what stands in the eventfd, not taken yet; None: not to be known
    calls_pending: int | None = None
    kicks: int | None = None  #: that passed through a tap's relay; None: they do not pass there
    calls: int | None = None
    frames: int = 0  #: read whole, and their bytes
    bytes: int = 0
    missed: int = 0  #: buffers that came and went between two looks
    proven: bool = True  #: whether no more than that can have been missed
    trouble: str = ""  #: a code of what is wrong with how it was set up, a colon, and the words


@dataclass(frozen=True)
class Queue:
    """What both layouts share.

    Arrays of `size` rows, one per descriptor slot:
    `owner` (see `Owner`), `label` of the descriptor (see `Label`, with CHANGED added),
    `head` the slot that heads its chain (65535 where none), `buffer` the publication count of the
    buffer that holds the slot (-1 where none). `tables` maps a slot to the indirect table it points
    to; a slot whose table was over the copy budget is missing, and `tables_left_out` counts those.
    `driver` or `device` is None where that side is not ours.
    """

    index: int
    name: str  #: "rx0", "tx0", "ctl"
    role: Role
    size: int
    enabled: bool
    generation: int
    desc_addr: int
    driver_addr: int
    device_addr: int
    time: int
    duration: int
    exact: bool
    before: tuple[int, int, int, int]  #: published, seen, used, collected when the copy began
    after: tuple[int, int, int, int]  #: and when it ended
    desc: Array
    owner: Bytes
    label: Bytes
    head: Words
    buffer: Positions
    tables: Mapping[int, Array]
    tables_left_out: int
    driver: DriverState | None
    device: DeviceState | None
    outside: Outside | None = field(default=None, kw_only=True)  #: None: both sides are ours

    @cached_property
    def owners(self) -> tuple[int, int, int, int]:
        """Slots that are free, available, in use, used."""
        counts = np.bincount(self.owner, minlength=5)
        free, available, in_use, used = (int(counts[o]) for o in list(Owner)[:4])
        return free, available, in_use, used

    @property
    def published(self) -> int:
        return self.after[0]

    @property
    def seen(self) -> int:
        return self.after[1]

    @property
    def used(self) -> int:
        return self.after[2]

    @property
    def collected(self) -> int:
        return self.after[3]


@dataclass(frozen=True)
class SplitQueue(Queue):
    """Split virtqueue (2.7). `avail_ring` and `used_ring` have `size` entries, with labels of their own."""

    avail_flags: int
    avail_idx: int
    avail_ring: Words
    used_event: int
    used_flags: int
    used_idx: int
    used_ring: Array
    avail_event: int
    avail_label: Bytes
    used_label: Bytes


@dataclass(frozen=True)
class PackedQueue(Queue):
    """Packed virtqueue (2.8). Who owns a slot (`owner`) and whose buffer stands in it (`buffer`) differ."""

    driver_off_wrap: int
    driver_flags: int
    device_off_wrap: int
    device_flags: int


AnyQueue = SplitQueue | PackedQueue


@dataclass(frozen=True, slots=True)
class NetConfig:
    """virtio-net configuration space (5.1.4)."""

    mac: bytes
    status: int
    max_virtqueue_pairs: int
    mtu: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What is being looked at; the same for the life of a source."""

    name: str  #: "net0"
    kind: str  #: "pair", "backend", "frontend", "tap", "recording"
    device_id: int  #: 1: network, 2: block (5)
    offered: int  #: feature bits the device offers, any width
    accepted: int  #: what the driver accepted
    packed: bool


@dataclass(frozen=True, slots=True)
class Logs:
    """State of the two logs: the trace of events and the frame log."""

    trace_level: Literal["off", "operations", "stores"]
    events: int
    frames_on: bool
    frame_sample: int  #: one frame in so many is logged
    frames: int  #: logged so far
    frames_passed_over: int  #: not logged, by sampling or because it was off
    bytes: int
    frames_filtered: int = 0  #: not logged, because the capture filter did not match


@dataclass(frozen=True)
class Snapshot:
    """Every queue of a device at one moment; `number` is the event number reached, `time` ns since 1970."""

    identity: Identity
    state: Literal["running", "frozen", "stopped", "closed", "past"]
    status: int  #: device status bits (2.1)
    config: NetConfig
    config_generation: int
    queue_pairs: int  #: in use (5.1.6.5.5)
    number: int
    time: int
    logs: Logs
    queues: tuple[AnyQueue, ...]
    notes: tuple[str, ...] = field(default=())  #: what a reader must know, in plain words
    trouble: str = ""  #: as `Outside.trouble`, of the two other processes as a whole
    blk: BlkConfig | None = None  #: of a block device, where it is known

    def queue(self, index: int) -> AnyQueue:
        """The queue with this virtqueue index; KeyError names those that exist."""
        for queue in self.queues:
            if queue.index == index:
                return queue
        raise KeyError(f"no queue {index}; there are {', '.join(str(q.index) for q in self.queues)}")
