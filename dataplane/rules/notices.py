"""Whether a notification is due by what stands in memory now (2.7.7, 2.7.10, 2.8.10).

The side that notifies decides with the values that it read; whoever looks later decides again with those in
memory. Where the two differ, one of them was late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataplane import layout
from dataplane.rules.finding import Evidence
from dataplane.snapshot import AnyQueue, DeviceState, Notify, PackedQueue

#: "on": whenever something is made available or used; "off": never; "event": at one index.
Mode = Literal["on", "off", "event"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a side asks for in memory: whether what waits for it lies across the event it named."""

    mode: Mode
    due: bool
    words: str
    evidence: tuple[Evidence, ...]
    raw: int  #: what stands in memory, as `Notify.event` holds it


def _ring_event(off_wrap: int, wrap: int, size: int) -> int:
    """A packed event offset as a position on the same lap as an index with this wrap counter."""
    offset = off_wrap & 0x7FFF
    return offset if off_wrap >> 15 == wrap else offset - size


def _behind(at: int, at_wrap: int, past: int, past_wrap: int, size: int) -> int:
    """Slots from `past` to `at`; the wrap counters tell a full ring from an empty one."""
    return at - past if at_wrap == past_wrap else at + size - past


def kick(queue: AnyQueue, event_idx: bool) -> Wish:
    """What the device asks for, of the buffers that it has not seen. Its position is known."""
    device = queue.device
    assert device is not None
    if isinstance(queue, PackedQueue):
        at, wrap = _shown(queue, device)
        distance = _behind(at, wrap, device.last_avail, device.avail_wrap, queue.size)
        return _packed(queue, queue.device_flags, queue.device_off_wrap, at, wrap, distance)
    if event_idx:
        return _split_event("avail_event", queue.avail_event, "avail.idx", queue.avail_idx, device.last_avail)
    return _split_flags("used.flags", queue.used_flags, layout.USED_F_NO_NOTIFY)


def _shown(queue: PackedQueue, device: DeviceState) -> tuple[int, int]:
    """Where the available descriptors end; of a driver that is not ours at the least, as if each were one."""
    if queue.driver is not None:
        return queue.driver.avail_idx, queue.driver.avail_wrap
    at = device.last_avail + max(queue.published - queue.seen, 0)
    return (at, device.avail_wrap) if at < queue.size else (at - queue.size, device.avail_wrap ^ 1)


def call(queue: AnyQueue, event_idx: bool) -> Wish:
    """What the driver asks for, of the buffers that it has not collected."""
    driver, device = queue.driver, queue.device
    assert driver is not None and device is not None
    if isinstance(queue, PackedQueue):
        distance = _behind(device.used_idx, device.used_wrap, driver.last_used, driver.used_wrap, queue.size)
        at, wrap = device.used_idx, device.used_wrap
        return _packed(queue, queue.driver_flags, queue.driver_off_wrap, at, wrap, distance)
    if event_idx:
        return _split_event("used_event", queue.used_event, "used.idx", queue.used_idx, driver.last_used)
    return _split_flags("avail.flags", queue.avail_flags, layout.AVAIL_F_NO_INTERRUPT)


def spelled(event: int, queue: AnyQueue) -> str:
    """The value that a decision was made with, in words: what `Notify.event` holds."""
    if not isinstance(queue, PackedQueue):
        return str(event)
    flags, off_wrap = event >> 16, event & 0xFFFF
    if flags != layout.EVENT_DESC:
        return f"flags {flags}"
    return f"slot {off_wrap & 0x7FFF}, wrap {off_wrap >> 15}"


def _split_event(name: str, event: int, index: str, new: int, old: int) -> Wish:
    due = layout.need_event(event, new, old)
    words = f"{name} is {event}: one is due when {index} moves past {event}; it went {old} -> {new}"
    return Wish("event", due, words, (Evidence(name, event), Evidence(index, new)), event)


def asked_for(decision: Notify, queue: AnyQueue, event_idx: bool) -> bool:
    """Whether the last notification was wanted, by the value that it was decided with (2.7.10, 2.8.10)."""
    flags, event = decision.event >> 16, decision.event & 0xFFFF
    if not isinstance(queue, PackedQueue):
        if event_idx:
            return layout.need_event(decision.event, decision.new, decision.old)
        return not decision.event & 1
    if flags == layout.EVENT_DISABLE:
        return False
    if flags != layout.EVENT_DESC:
        return True
    named, wrap = event & 0x7FFF, event >> 15
    # the lap of `new` is not part of the decision: wanted where either lap would want it
    return any(
        layout.need_event((named - lap * queue.size) & 0xFFFF, decision.new, decision.old) for lap in (0, 1)
    ) or bool(wrap > 1)


def _split_flags(name: str, flags: int, off: int) -> Wish:
    quiet = bool(flags & off)
    words = f"{name} is {flags}: {'none is wanted' if quiet else 'each is wanted'}"
    return Wish("off" if quiet else "on", not quiet, words, (Evidence(name, flags),), flags)


def _packed(queue: PackedQueue, flags: int, off_wrap: int, at: int, wrap: int, distance: int) -> Wish:
    found = (Evidence("flags", flags), Evidence("off_wrap", off_wrap))
    raw = flags << 16 | off_wrap
    if flags == layout.EVENT_ENABLE:
        return Wish("on", True, "flags is 0: each is wanted", found, raw)
    if flags != layout.EVENT_DESC:
        return Wish("off", False, f"flags is {flags}: none is wanted", found, raw)
    event = _ring_event(off_wrap, wrap, queue.size)
    due = at - distance <= event < at
    named = f"off_wrap names slot {off_wrap & 0x7FFF}, wrap {off_wrap >> 15}"
    words = f"{named}; the ring went on to slot {at}, wrap {wrap}"
    return Wish("event", due, words, found, raw)
