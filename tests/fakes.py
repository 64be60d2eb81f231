"""Sources without an engine: `Still` holds one snapshot, `Film` plays a list of them.

`split` and `packed` build the rings of one queue, entry for entry as a driver and a device leave them,
from a few numbers: how far each side is, and how long the chains are. Buffer k always occupies the
slots that follow those of buffer k - 1, so every value can be worked out by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from dataplane import features as f
from dataplane.layout import (
    AVAIL_F_NO_INTERRUPT,
    DESC,
    DESC_F_INDIRECT,
    DESC_F_NEXT,
    DESC_F_WRITE,
    EVENT_DESC,
    PACKED_DESC,
    PACKED_F_AVAIL,
    PACKED_F_USED,
    USED_ELEM,
    USED_F_NO_NOTIFY,
)
from dataplane.records import EVENT, FRAME, Label, Owner, Path, Reason, Role
from dataplane.snapshot import (
    AnyQueue,
    DeviceState,
    DriverState,
    Identity,
    Logs,
    NetConfig,
    Notify,
    PackedQueue,
    Snapshot,
    SplitQueue,
)
from dataplane.source import START, Control, Cursor, Events, Frames, Probe

EPOCH = 1_700_000_000_000_000_000
TICK = 66_666_667
DATA, TABLES = 0x0010_0000, 0x0800_0000
_SIZES = (74, 66, 1514, 342, 98, 60, 590, 1514)
FEATURES = f.mask(
    f.F_VERSION_1, f.F_INDIRECT_DESC, f.F_EVENT_IDX, f.NET_F_MRG_RXBUF, f.NET_F_CSUM, f.NET_F_MAC,
    f.NET_F_STATUS, f.NET_F_MTU, f.NET_F_CTRL_VQ, f.NET_F_MQ, f.F_RING_RESET,
)  # fmt: skip


Q = TypeVar("Q", SplitQueue, PackedQueue)


@dataclass(frozen=True)
class Counts:
    """Buffers published, seen, used and collected so far."""

    published: int = 0
    seen: int = 0
    used: int = 0
    collected: int = 0

    @property
    def all(self) -> tuple[int, int, int, int]:
        return self.published, self.seen, self.used, self.collected


@dataclass(frozen=True)
class Chain:
    """What one buffer is made of: descriptors in the ring, or one that points to a table of `entries`."""

    descriptors: int = 1
    entries: int = 0


ONE = Chain()
#: A lifelike mixture: header and data apart, single ones, an indirect table.
MIXED = (Chain(2), ONE, Chain(1, 3), Chain(3), ONE, Chain(1, 2))


class _Slots:
    """Where each outstanding buffer stands."""

    def __init__(self, size: int, counts: Counts, chains: Sequence[Chain]) -> None:
        self.size = size
        self.chains = chains
        lengths = np.array([c.descriptors for c in chains])
        self._before = np.concatenate(([0], np.cumsum(lengths)))
        first, last = counts.collected, counts.published
        self.buffers = np.arange(first, last)
        self.lengths = lengths[self.buffers % len(chains)]
        self.places = np.array([self.place(first)]) if first == last else self._places(self.buffers)
        if int(self.lengths.sum()) > size:
            raise ValueError(f"{int(self.lengths.sum())} descriptors do not fit into {size} slots")
        self.heads = self.places[: len(self.buffers)] % size

    def _places(self, buffers: Any) -> Any:
        rounds, rest = np.divmod(buffers, len(self.chains))
        return rounds * int(self._before[-1]) + self._before[rest]

    def place(self, buffer: int) -> int:
        """Descriptors handed out before this buffer."""
        rounds, rest = divmod(buffer, len(self.chains))
        return rounds * int(self._before[-1]) + int(self._before[rest])

    def rows(self) -> tuple[Any, Any, Any]:
        """For each descriptor held: its slot, its buffer, its number in the chain."""
        which = np.repeat(np.arange(len(self.buffers)), self.lengths)
        number = np.arange(len(which)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return (self.heads[which] + number) % self.size, self.buffers[which], number


def _owners(counts: Counts, buffers: Any) -> Any:
    owners = np.full(len(buffers), int(Owner.AVAILABLE), dtype=np.uint8)
    owners[buffers < counts.seen] = Owner.IN_USE
    owners[buffers < counts.used] = Owner.USED
    return owners


def _notify(moved: int) -> Notify:
    """A side that has moved this far and notified every third time, the last time too."""
    old, new = (moved - 1) % 65536, moved % 65536
    sent = moved // 3
    return Notify(sent, moved - sent, sent, 0, "sent" if moved else "none", old, old, new)


def _passed(moved: int, place: int, size: int) -> Notify:
    """The same of a packed ring: the event stood at the slot that was passed last."""
    old = max(0, place - 1)
    event = old % size | (old // size + 1) % 2 << 15 | EVENT_DESC << 16
    return replace(_notify(moved), event=event, old=old % size, new=place % size)


def _lengths(buffers: Any, role: Role) -> Any:
    return np.array([1526]) if role == Role.RECEIVE else np.array(_SIZES)[buffers % len(_SIZES)]


def _common(
    packed: bool, size: int, counts: Counts, chains: Sequence[Chain], role: Role, exact: bool
) -> tuple[dict[str, Any], _Slots]:
    slots = _Slots(size, counts, chains)
    at, buffer, number = slots.rows()
    desc = np.zeros(size, dtype=PACKED_DESC if packed else DESC)
    every = np.arange(size)
    desc["addr"] = DATA + every * 2048
    if not packed:
        desc["next"] = (every + 1) % size
    writes = DESC_F_WRITE if role == Role.RECEIVE else 0
    held = np.array([c.descriptors for c in chains])[buffer % len(chains)]
    tables_of = np.array([c.entries for c in chains])[buffer % len(chains)]
    header = (number == 0) & (held > 1)
    whole = _lengths(buffer, role) + np.where(held > 1, 0, 12)
    share = np.maximum(1, whole // np.maximum(1, held - 1))
    desc["len"][at] = np.where(header, 12, share)
    flags = np.where(number < held - 1, DESC_F_NEXT, 0) | writes
    flags = np.where(tables_of > 0, DESC_F_INDIRECT, flags)
    desc["flags"][at] = flags
    tables = {}
    for slot, entries, k in zip(at.tolist(), tables_of.tolist(), buffer.tolist(), strict=True):
        if not entries:
            continue
        table = np.zeros(entries, dtype=desc.dtype)
        table["addr"] = TABLES + 0x4000 + slot * 2048 + np.arange(entries) * 512
        table["len"] = [12, *[int(_lengths(np.array([k]), role)[0]) // (entries - 1 or 1)] * (entries - 1)][
            :entries
        ]
        if not packed:
            table["flags"] = [DESC_F_NEXT | writes] * (entries - 1) + [writes]
            table["next"] = [*range(1, entries), 0]
        else:
            table["flags"] = writes
        table.setflags(write=False)
        tables[slot] = table
        desc["addr"][slot], desc["len"][slot] = TABLES + slot * 256, 16 * entries
    owner = np.zeros(size, dtype=np.uint8)
    owner[at] = _owners(counts, buffer)
    label = np.zeros(size, dtype=np.uint8)
    label[at] = np.where(exact | (buffer >= counts.used), Label.STABLE, Label.IN_FLUX)
    head = np.full(size, 65535, dtype=np.uint16)
    head[at] = (at - number) % size
    of = np.full(size, -1, dtype=np.int64)
    of[at] = buffer
    return {"desc": desc, "owner": owner, "label": label, "head": head, "buffer": of, "tables": tables}, slots


def _driver(counts: Counts, size: int, free: int, **changes: Any) -> DriverState:
    base = DriverState(
        published=counts.published, collected=counts.collected, avail_idx=counts.published % 65536,
        last_used=counts.collected % 65536, avail_wrap=0, used_wrap=0, free=free, free_head=0,
        in_flight=counts.published - counts.collected, added=0, path=Path.AUTO, polling=False, asleep=False,
        kick=_notify(counts.published), frames=counts.collected, bytes=counts.collected * 300, drops=0,
        broken=Reason.NONE, turns=counts.published,
    )  # fmt: skip
    return replace(base, **changes)


def _device(counts: Counts, **changes: Any) -> DeviceState:
    base = DeviceState(
        seen=counts.seen, used=counts.used, last_avail=counts.seen % 65536, used_idx=counts.used % 65536,
        avail_wrap=0, used_wrap=0, holding=counts.seen - counts.used, unflushed=0, polling=False,
        asleep=False, call=_notify(counts.used), frames=counts.used, bytes=counts.used * 300, drops=0,
        broken=Reason.NONE, turns=counts.used,
    )  # fmt: skip
    return replace(base, **changes)


def _areas(index: int) -> dict[str, int]:
    """Where the three areas of a queue lie: no two queues in one place."""
    base = index << 20
    return {"desc_addr": 0x10000 + base, "driver_addr": 0x90000 + base, "device_addr": 0xA0000 + base}


def split(
    size: int = 256,
    counts: Counts = Counts(41, 38, 37, 37),
    *,
    chains: Sequence[Chain] = (ONE,),
    index: int = 1,
    name: str = "tx0",
    role: Role = Role.TRANSMIT,
    exact: bool = False,
    start: int = 0,
    used_event: int | None = None,
    avail_event: int | None = None,
    avail_flags: int = 0,
    used_flags: int = 0,
    driver: dict[str, Any] | None = None,
    device: dict[str, Any] | None = None,
    **changes: Any,
) -> SplitQueue:
    """A split queue whose ring indices began at `start`."""
    rows, slots = _common(False, size, counts, chains, role, exact)
    at, _, _ = slots.rows()
    flags = rows["desc"]["flags"]
    more = (flags[at] & DESC_F_NEXT) > 0
    rows["desc"]["next"][at] = np.where(more, (at + 1) % size, 0)
    avail_ring, used_ring = np.zeros(size, dtype="<u2"), np.zeros(size, dtype=USED_ELEM)
    history = np.arange(max(0, counts.published - size), counts.published)
    if len(history):
        avail_ring[(history + start) % size] = slots._places(history) % size
    done = np.arange(max(0, counts.used - size), counts.used)
    if len(done):
        used_ring["id"][(done + start) % size] = slots._places(done) % size
        used_ring["len"][(done + start) % size] = (
            np.array(_SIZES)[done % len(_SIZES)] + 12 if role == Role.RECEIVE else 0
        )
    avail_label, used_label = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=np.uint8)
    out = np.arange(counts.used, counts.published)
    avail_label[(out + start) % size] = Label.STABLE
    used_label[(np.arange(max(0, counts.published - size), counts.used) + start) % size] = Label.STABLE
    avail_idx, used_idx = (counts.published + start) % 65536, (counts.used + start) % 65536
    free = size - int(slots.lengths.sum())
    used_event = (counts.collected + start) % 65536 if used_event is None else used_event
    avail_event = (counts.seen + start) % 65536 if avail_event is None else avail_event
    mine = {"avail_idx": avail_idx, "last_used": (counts.collected + start) % 65536, **(driver or {})}
    theirs = {"used_idx": used_idx, "last_avail": (counts.seen + start) % 65536, **(device or {})}
    made = SplitQueue(
        index=index, name=name, role=role, size=size, enabled=True, generation=0, **_areas(index),
        time=EPOCH, duration=9_000, exact=exact, before=counts.all,
        after=counts.all, tables_left_out=0, driver=_driver(counts, size, free, **mine),
        device=_device(counts, **theirs), avail_flags=avail_flags, avail_idx=avail_idx, avail_ring=avail_ring,
        used_event=used_event, used_flags=used_flags, used_idx=used_idx, used_ring=used_ring,
        avail_event=avail_event, avail_label=avail_label, used_label=used_label, **rows,
    )  # fmt: skip
    return _read_only(replace(made, **changes))


def packed(
    size: int = 256,
    counts: Counts = Counts(41, 38, 37, 37),
    *,
    chains: Sequence[Chain] = (ONE,),
    index: int = 1,
    name: str = "tx0",
    role: Role = Role.TRANSMIT,
    exact: bool = False,
    driver_event: tuple[int, int] | None = None,
    device_event: tuple[int, int] | None = None,
    driver: dict[str, Any] | None = None,
    device: dict[str, Any] | None = None,
    **changes: Any,
) -> PackedQueue:
    """A packed queue that began at slot 0 with wrap counter 1; events are (off_wrap, flags)."""
    rows, slots = _common(True, size, counts, chains, role, exact)
    at, buffer, number = slots.rows()
    desc = rows["desc"]
    where = {name: slots.place(count) for name, count in zip(("a", "s", "u", "c"), counts.all, strict=True)}
    laps = {name: (place // size + 1) % 2 for name, place in where.items()}
    wraps = 1 - (slots._places(buffer) + number) // size % 2 if len(buffer) else np.zeros(0, dtype=int)
    used = buffer < counts.used
    bits = np.where(
        used, wraps * (PACKED_F_AVAIL | PACKED_F_USED), np.where(wraps == 1, PACKED_F_AVAIL, PACKED_F_USED)
    )
    desc["flags"][at] |= bits.astype(np.uint16)
    desc["id"][at] = buffer % size
    event = (where["c"] % size | laps["c"] << 15, EVENT_DESC)
    other = (where["s"] % size | laps["s"] << 15, EVENT_DESC)
    driver_event, device_event = driver_event or event, device_event or other
    free = size - int(slots.lengths.sum())
    mine = {
        "avail_idx": where["a"] % size, "avail_wrap": laps["a"], "last_used": where["c"] % size,
        "used_wrap": laps["c"], "kick": _passed(counts.published, where["a"], size), **(driver or {}),
    }  # fmt: skip
    theirs = {
        "last_avail": where["s"] % size, "avail_wrap": laps["s"], "used_idx": where["u"] % size,
        "used_wrap": laps["u"], "call": _passed(counts.used, where["u"], size), **(device or {}),
    }  # fmt: skip
    made = PackedQueue(
        index=index, name=name, role=role, size=size, enabled=True, generation=0, **_areas(index),
        time=EPOCH, duration=9_000, exact=exact, before=counts.all,
        after=counts.all, tables_left_out=0, driver=_driver(counts, size, free, **mine),
        device=_device(counts, **theirs), driver_off_wrap=driver_event[0], driver_flags=driver_event[1],
        device_off_wrap=device_event[0], device_flags=device_event[1], **rows,
    )  # fmt: skip
    return _read_only(replace(made, **changes))


def polling(queue: AnyQueue) -> AnyQueue:
    """The same queue with both sides polling, so that neither wants to be notified."""
    assert queue.driver and queue.device
    sides: dict[str, Any] = {
        "driver": replace(queue.driver, polling=True),
        "device": replace(queue.device, polling=True),
    }
    if isinstance(queue, SplitQueue):
        return replace(queue, avail_flags=AVAIL_F_NO_INTERRUPT, used_flags=USED_F_NO_NOTIFY, **sides)
    return replace(queue, driver_flags=1, device_flags=1, **sides)


def _read_only(queue: Q) -> Q:
    for value in vars(queue).values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
    return queue


def snapshot(
    *queues: AnyQueue, step: int = 0, state: Any = "running", accepted: int = FEATURES, kind: str = "pair"
) -> Snapshot:
    """A net device with these queues, `step` ticks of 15 Hz after the first."""
    is_packed = any(isinstance(q, PackedQueue) for q in queues)
    accepted |= f.mask(f.F_RING_PACKED) if is_packed else 0
    return Snapshot(
        identity=Identity("net0", kind, 1, accepted, accepted, is_packed),
        state=state,
        status=15,
        config=NetConfig(bytes.fromhex("525400123456"), 1, 1, 1500),
        config_generation=0,
        queue_pairs=1,
        number=sum(q.published for q in queues),
        time=EPOCH + step * TICK,
        logs=Logs("operations", 0, True, 1, 0, 0, 0),
        queues=queues,
    )


def device(size: int = 256, is_packed: bool = False, step: int = 0, *, exact: bool = False) -> Snapshot:
    """A receive, a transmit and a control queue in the middle of their work, `step` pictures on."""
    make: Any = packed if is_packed else split
    rx_used = 812 + 3 * step
    chains = MIXED if size >= 16 else (ONE,)
    tx = 1041 + 5 * step + (2 * size if size > 1024 else 0)
    posted = size - max(1, size // 21)
    waits = max(1, size // 40)
    return snapshot(
        make(size, Counts(rx_used + posted, rx_used + 2, rx_used, rx_used - min(2, size - posted)), index=0,
             name="rx0", role=Role.RECEIVE, exact=exact),
        make(size, Counts(tx, tx - 2 * waits, tx - 3 * waits, tx - 4 * waits), chains=chains, exact=exact),
        make(64, Counts(5, 5, 5, 5), index=2, name="ctl", role=Role.CONTROL, exact=exact),
        step=step,
        state="frozen" if exact else "running",
    )  # fmt: skip


def hurry(size: int, is_packed: bool, step: int) -> Snapshot:
    """A device under full load: between two steps every slot of its transmit queue changes."""
    make: Any = packed if is_packed else split
    done = step * size * 37 + step * (size // 3 + 1)
    half = size // 2
    busy = make(size, Counts(done + half, done + size // 4, done + size // 8, done))
    moved = busy.desc.copy()
    moved["addr"] += step % 1000 * 64
    moved["len"] = (moved["len"] + step) % 1500 + 60
    busy = _read_only(replace(busy, desc=moved))
    rx = make(size, Counts(done + size - 4, done + 2, done, done), index=0, name="rx0", role=Role.RECEIVE)
    return snapshot(rx, busy, make(64, Counts(), index=2, name="ctl", role=Role.CONTROL), step=step)


def without_rows(queue: AnyQueue) -> AnyQueue:
    """The queue as it is read when its rows were not asked for."""
    empty: dict[str, Any] = {n: v[:0] for n, v in vars(queue).items() if isinstance(v, np.ndarray)}
    return replace(queue, tables={}, **empty)


class Still:
    """A source that never moves. `released` counts calls of `close`."""

    control: Control | None = None
    probe: Probe | None = None

    def __init__(
        self, picture: Snapshot, *, rows: Any = None, data: bytes = b"", offsets: Any = None
    ) -> None:
        self._picture = picture
        self._frames = np.zeros(0, dtype=FRAME) if rows is None else rows
        self._offsets = np.zeros(0, dtype=np.int64) if offsets is None else offsets
        self._data = data
        self.released = 0

    @property
    def identity(self) -> Identity:
        return self._picture.identity

    def snapshot(self, whole: Collection[int] | None = None) -> Snapshot:
        picture = self._next()
        if whole is None:
            return picture
        queues = tuple(q if q.index in whole else without_rows(q) for q in picture.queues)
        return replace(picture, queues=queues)

    def _next(self) -> Snapshot:
        return self._picture

    def events(self, since: Cursor = START, *, most: int | None = None) -> Events:
        return Events(np.zeros(0, dtype=EVENT), since, 0)

    def frames(self, since: Cursor = START) -> Frames:
        """All frames at the first call, none after."""
        total = len(self._frames)
        if since[0] >= total:
            return Frames(self._frames[:0], self._offsets[:0], b"", since, 0)
        return Frames(self._frames, self._offsets, self._data, (total, 0), 0)

    def keyframe(self, after: int = 0) -> None:
        return None

    def memory(self, address: int, length: int) -> bytes:
        raise LookupError(f"no memory at 0x{address:x}")

    def close(self) -> None:
        self.released += 1


class Film(Still):
    """A source that shows the next picture at every look, and stays at the last one."""

    def __init__(self, pictures: Iterable[Snapshot]) -> None:
        self._pictures = list(pictures)
        super().__init__(self._pictures[0])
        self._at = -1

    def _next(self) -> Snapshot:
        self._at = min(self._at + 1, len(self._pictures) - 1)
        return self._pictures[self._at]
