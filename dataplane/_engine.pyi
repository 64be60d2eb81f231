"""The C engine: one pair of a driver and a device over one memory.

`dataplane.pair.Pair` is the face for people; this is the face for code. Nothing here explains what is wrong
with an argument: check first. Every method raises RuntimeError once `close()` was called. Sides are 0 driver,
1 device; units are 0 store, 1 operation, 2 turn; trace levels are 0 off, 1 operations, 2 stores.
"""

from typing import Any

from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview | NDArray[Any]

def offsets() -> dict[str, dict[str, int]]:
    """Sizes (under "") and field offsets of the C structs that the numpy dtypes mirror."""

class Engine:
    def __init__(
        self,
        *,
        pairs: int = 1,
        size: int = 256,
        control_size: int = 64,
        buffer_bytes: int = 2048,
        mtu: int = 1500,
        queues: int = 1,
        scratch: int = 0,
        offered: int = 0,
        trace_events: int = 65536,
        frame_bytes: int = 67108864,
        start_index: int = 0,
        start_wrap: int = 1,
        path: int = 0,
        packed: bool = False,
        bare: bool = False,
        driver_theirs: bool = False,
        device_theirs: bool = False,
    ) -> None:
        """`bare`: `queues` rings without a device type, and `scratch` bytes for a test's own buffers."""

    def close(self) -> None: ...
    def write_status(self, status: int, /) -> int:
        """Writes the device status; returns it as read back (2.1). An illegal transition changes nothing."""
    def write_features(self, low: int, high: bool, /) -> None:
        """Accepted features 0 to 63, and whether any above 63 was accepted (2.2)."""
    def setup(self) -> None:
        """Lays out and starts the queues for the features in force. OSError when memory is short."""
    def start(self, driver_polls: bool, device_polls: bool, frozen: bool, /) -> None: ...
    def run_inline(self, seconds: float, /) -> None:
        """This thread plays both sides in turn."""
    def freeze(self) -> bool:
        """Rests both sides between operations; False where one did not come to rest in five seconds."""
    def run(self) -> None: ...
    def rest(self) -> bool:
        """Rests both sides between turns for a change, unless the pair is frozen; whether they ran."""
    def resume(self, was_running: bool, /) -> None: ...
    def frozen(self) -> bool: ...
    def step(self, side: int, unit: int, count: int, /) -> int:
        """Lets one side of a frozen pair do so many units; returns those done, -1 where it is not frozen."""
    def trace(self, level: int, /) -> None:
        """Only while both sides rest, or before they begin. A frozen pair is journaled at level 2 anyway."""
    def log_frames(self, on: bool, sample: int, snap: int = 262144, program: Buffer = b"", /) -> None:
        """`program`: instructions of classic BPF, empty for every frame; ValueError where it is not sound.

        On return whatever the device had begun before is logged, and what follows is logged as asked."""
    def traffic(
        self, side: int, kind: str, number: int = 0, period: int = 0, frames: Buffer = b"", /
    ) -> None:
        """kind "flood": number = frame length; "play": period in ns, frames as port.h lays them out;
        "tap": number = file descriptor, duplicated; "quiet"."""
    def mute(self, side: int, muted: bool, /) -> None:
        """A muted flood sends nothing and still checks what it receives."""
    def rate(self, per_second: float, speed: float, /) -> None:
        """Flood: frames a second a side, 0 for no limit. Play: factor on the list's own pace."""
    def command(self, cls: int, command: int, data: Buffer, milliseconds: int, /) -> tuple[int, int]:
        """(ticket, ack): ticket 0 where there is no room for it; ack -1 where it was not answered in time."""
    def reset_queue(self, queue: int, /) -> None: ...
    def announce(self) -> None: ...
    def inject(self, queue: int, call: bool, /) -> None: ...
    def room(self, queue: int, whole: bool, /) -> int: ...
    def snapshot(self, queue: int, whole: bool, to: Buffer, /) -> int:
        """Fills `to` as engine/snapshot.h says; returns the bytes written."""
    def set_breaks(self, rules: Buffer, programs: Buffer, /) -> None:
        """Replaces all breakpoints: `breaks.BREAK` rows, and the programs of those that have one, end to end.

        ValueError where one is not sound. Both sides rest for a moment."""
    def breaks(self) -> list[tuple[int, int, bool]]:
        """Of each breakpoint: hits, number of the event that it last stopped at (0: none), whether armed."""
    def add_fault(
        self,
        kind: int,
        side: int,
        queue: int,
        area: int,
        entry: int,
        index: int,
        after: int,
        count: int,
        odds: int,
        seed: int,
        value: int,
        /,
    ) -> int:
        """Its id, 0 where there are too many; see engine/fault.h."""
    def faults(self) -> list[tuple[int, int]]:
        """Of each fault: id, how often it acted."""
    def heal(self, fault: int, /) -> bool:
        """Takes one fault away, 0: all."""
    def own(self, queue: int, to: Buffer, /) -> int:
        """Fills `to`, 8-byte aligned, with the private words of a queue at rest (`keyframe.own_dtype`);
        returns their bytes."""
    def shape(self, queue: int, /) -> dict[str, int]:
        """size, start_index, tables_addr, table_entries, in_order, indirect, event_idx."""
    def info(self) -> dict[str, int | bytes]: ...
    def events(self, side: int, position: int, to: Buffer, /) -> tuple[int, int, int]:
        """(events copied, next position, lost): the newest that fit."""
    def frames(
        self, position: int, expected: int, rows: Buffer, data: Buffer, offsets: Buffer, /
    ) -> tuple[int, int, int, int, int]:
        """(frames, their bytes, next position, number of the next frame expected, lost): the oldest that fit.

        `rows` takes their headers, `data` the frames end to end and 7 bytes of slack, `offsets` int64."""
    def frames_waiting(self, position: int, expected: int, /) -> tuple[int, int]:
        """Room that the frames not read yet need at most: (rows, bytes of data)."""
    def peek(self, address: int, to: Buffer, /) -> bool: ...
    def poke(self, address: int, data: Buffer, side: int = 0, /) -> bool:
        """Writes guest memory as a hostile other side would; at rest, ring memory as that side, journaled."""
    def add(self, queue: int, segs: Buffer, table: bool, token: int, /) -> int:
        """Driver: one buffer of "<QII" (address, length, writable) pieces; its head (split) or id (packed),
        or -1 where there is no room now. ValueError where it can never fit. Only before start()."""
    def collect(self, queue: int, /) -> tuple[int, int, int, int] | None:
        """Driver: (token, used length, publication count, head)."""
    def next(self, queue: int, /) -> tuple[int, int, int, int, int, int, int, bytes] | None:
        """Device: (publication count, id, head, slots, descriptors, indirect, reason, "<QII" pieces)."""
    def complete(self, queue: int, done: Buffer, batch: bool, /) -> None:
        """Device: "<IHHI" (length, id, slots, writable) each; written, and made visible by flush."""
    def verb(self, queue: int, name: str, /) -> bool | None:
        """publish, flush, kick_needed, call_needed, calls_on, calls_off, kicks_on, kicks_off, take_calls.

        kick_needed and call_needed decide, and where it is wanted notify, as the sides' own threads do."""
    def tables(self, queue: int, /) -> tuple[int, int]:
        """Address of the driver's indirect tables, and entries reserved for each slot."""
    def turn(self, side: int, /) -> int:
        """One turn of a side over all its queues in this thread; the buffers moved."""

    # A side that is another process. OSError where it cannot be; file descriptors are duplicated.
    def foreign_features(self, accepted: int, status: int, /) -> None: ...
    def foreign_device(self, device_id: int, /) -> None:
        """1: the rings are of a network device, 2: of a block device. While none is started."""
    def foreign_pairs(self, pairs: int, /) -> None:
        """So many queue pairs are in use."""
    def foreign_share(self) -> tuple[int, int, int]:
        """Of memory that is ours: (file descriptor, bytes, address of the first)."""
    def foreign_eventfds(self, queue: int, /) -> tuple[int, int]:
        """(kick, call) of a queue of ours; they stay ours."""
    def foreign_map(self, address: int, user: int, size: int, fd: int, offset: int, /) -> None:
        """EINVAL: empty, wrapping, or outside its file; EEXIST: overlaps; ENOSPC: too many."""
    def foreign_unmap(self, address: int, user: int, size: int, /) -> None:
        """ENOENT: no such region; EBUSY: a started ring lies in it."""
    def foreign_start(
        self,
        queue: int,
        size: int,
        desc: int,
        driver: int,
        device: int,
        place: tuple[int, int, int, int],
        kick: int,
        call: int,
        passive: bool,
        used_log: int = ...,
        /,
    ) -> None:
        """`place`: (avail, avail wrap, used, used wrap); addresses are of the other side's process;
        `used_log`: guest address of the used ring for the log of pages written. EFAULT: an area is not inside
        one region; EINVAL: not aligned; ERANGE: size or place cannot be; EPROTO: its in-flight region cannot
        be."""
    def foreign_inflight_bytes(self, entries: int, /) -> int:
        """Of one queue's part of an in-flight region, for the layout in force."""
    def foreign_inflight(self, fd: int, offset: int, size: int, queues: int, entries: int, /) -> None:
        """EINVAL: it lies outside its file, or is too small; EBUSY: a queue is started; ERANGE."""
    def foreign_dirty(self, fd: int, offset: int, size: int, /) -> None:
        """The log of pages written, one bit for 4096 bytes."""
    def foreign_forget(self) -> None:
        """Lets go of both."""
    def foreign_stop(self, queue: int, /) -> tuple[int, int, int, int]:
        """Where the device would go on."""
    def foreign_passive(self, queue: int, passive: bool, /) -> None:
        """Nothing is received any more, and what is sent is dropped."""
    def foreign_notify(self, queue: int, call: bool, fd: int, /) -> None: ...

    # Both sides are other processes.
    def observe_every(self, nanoseconds: int, /) -> None:
        """The time between two looks at the rings; 0: a processor of its own."""
    def observed(self, queue: int, /) -> tuple[int, int, int, int] | None:
        """(frames read whole, their bytes, buffers missed, looks that came too late to prove the counts);
        None while it is not started."""
